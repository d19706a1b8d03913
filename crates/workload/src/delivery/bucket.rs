//! Delivery to a bucket: the objects `PREFIX/EVENT/report.json`, `.html`, `.dsse.json` and `receipt.json`, or the receipt and
//! `report.dsse.json.age`.
//!
//! Each appears whole; the envelope comes last, so where it is, the others are. Writing one again replaces it by the same bytes.

use datafuse_core::id::ParticipantId;
use datafuse_engine::dataset::{Bucket, BucketAddress, FetchPolicy};
use url::Url;

use super::{Arrival, DeliveryError, Parcel, Patience, endpoint::Attempts};

pub(super) fn deliver(
    parcel: &Parcel<'_>,
    user: &ParticipantId,
    url: &Url,
    policy: &FetchPolicy,
    patience: Patience,
) -> Result<Arrival, DeliveryError> {
    let failed = |source| DeliveryError::Bucket { user: user.clone(), source: Box::new(source) };
    let address = BucketAddress::try_from(url).map_err(failed)?;
    let bucket = Bucket::open(&address, policy).map_err(failed)?;
    let mut attempts = Attempts::new(patience);
    for (name, bytes) in &parcel.files {
        let object = address.join(&format!("{}/{name}", parcel.event)).map_err(failed)?;
        while let Err(error) = bucket.put_bytes(object.key(), bytes.clone()).map_err(failed) {
            match attempts.pause_after(&error, None) {
                Some(pause) => std::thread::sleep(pause),
                None => return Err(error),
            }
        }
    }
    Ok(Arrival::Sent)
}
