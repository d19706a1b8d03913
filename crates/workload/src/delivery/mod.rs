//! Delivery: a finished report on its way to the data users, to each place that the agreement names for them.
//!
//! In: the folder of an event's report, complete and signed. Out: the same files in a `folder`, in a `bucket`, or the signed
//! envelope at an `endpoint`, each of them encrypted where the report is. It comes after the report is in place and before the event is acknowledged, so a crash at any moment
//! means that the event comes again; what was delivered is noted in the state and not sent a second time, and a receiver that has it
//! already is left as it is.
//!
//! One place that fails does not keep the others waiting: all are tried, then the event fails, for now or for good. A place is
//! somebody's word in the agreement: it is held to the rule of downloads (public addresses, but for hosts that the operator allows),
//! and tokens and credentials come from the operator's environment alone.

mod bucket;
mod endpoint;
mod error;
mod folder;
mod settings;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::{Path, PathBuf},
};

use datafuse_core::{
    id::{EventId, ParticipantId},
    name::PublicName,
    root::Root,
};
use datafuse_engine::{dataset::FetchPolicy, signed_report::FileSet};
use datafuse_space::DeliverPlace;
use sha2::{Digest, Sha256};

pub use error::DeliveryError;
pub use settings::{CA_FILE_VARIABLE, DeliverySettings, Patience};

use crate::{
    audit::Fact,
    error::{Error, Result},
    event::Event,
    report_folder::{self, NamedFile},
    workload::Workload,
};

/// A place that has the report of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// For whom.
    pub user: ParticipantId,
    /// Where.
    pub place: String,
    /// How it came there.
    pub arrival: Arrival,
}

/// How a report came to a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It was sent now.
    Sent,
    /// The place had it already, from a run that ended before it could note that.
    WasThere,
    /// An earlier run noted that it was delivered; nothing was sent.
    NotedBefore,
}

/// What is delivered.
pub(crate) struct Parcel<'a> {
    event: &'a EventId,
    event_type: &'a str,
    /// Whether it is in clear or encrypted.
    set: FileSet,
    /// The data users it was made for.
    users: Vec<ParticipantId>,
    /// Name and content, in the order in which they are to appear: the envelope last.
    files: Vec<NamedFile>,
    /// The workload's names, present and former: who may have signed what is there already.
    signers: Vec<PublicName>,
    /// The space's root.
    root: Root,
}

impl<'a> Parcel<'a> {
    fn read(workload: &Workload, event: &'a Event, folder: &Path) -> Result<Self> {
        let failed = |source| Error::Output { action: "read", path: folder.to_owned(), source };
        let (set, files) = report_folder::read_all(folder).map_err(failed)?;
        let signers = workload.signers();
        let found = report_folder::find(folder, &event.id, workload.root(), &signers).map_err(failed)?;
        Ok(Self {
            event: &event.id,
            event_type: event.name(),
            set,
            users: found.users().to_vec(),
            files,
            signers,
            root: *workload.root(),
        })
    }

    fn envelope(&self) -> &[u8] {
        self.files.iter().find(|(name, _)| *name == self.set.envelope()).map_or(&[], |(_, bytes)| bytes)
    }
}

/// Delivers the report of an event to every place that the agreement names: to a user who has a report of its own, in one of the
/// folders of `own`, that one.
///
/// # Errors
/// [`Error::Delivery`] where a place failed, after all were tried: one that may pass, where there is one, else one for good.
pub(crate) fn deliver(
    workload: &mut Workload,
    event: &Event,
    folder: &Path,
    own: &[(ParticipantId, PathBuf)],
) -> Result<Vec<Delivered>> {
    let places: Vec<(ParticipantId, DeliverPlace)> =
        workload.space().deliver_places().map(|(user, place)| (user.clone(), place)).collect();
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let (mut delivered, mut failure) = (Vec::new(), None::<DeliveryError>);
    let mut parcels = BTreeMap::new();
    for (user, place) in places {
        let shown = place.to_string();
        if workload.state().is_delivered(&event.id, &user, &shown)? {
            delivered.push(Delivered { user, place: shown, arrival: Arrival::NotedBefore });
            continue;
        }
        let lies_in = own.iter().find(|(of, _)| *of == user).map_or(folder, |(_, own)| own.as_path());
        let parcel = match parcels.entry(lies_in) {
            Entry::Occupied(read) => read.into_mut(),
            Entry::Vacant(place) => place.insert(Parcel::read(workload, event, lies_in)?),
        };
        let sha256 = hex::encode(Sha256::digest(parcel.envelope()));
        match to_place(workload, parcel, &user, &place) {
            Ok(arrival) => {
                workload.state_mut().note_delivered(&event.id, &user, &shown, jiff::Timestamp::now())?;
                workload.note(&Fact::Delivered { to: &user, sha256: &sha256, ok: true })?;
                tracing::info!(event = %event.id, %user, place = shown, "report delivered");
                delivered.push(Delivered { user, place: shown, arrival });
            }
            Err(error) => {
                workload.note(&Fact::Delivered { to: &user, sha256: &sha256, ok: false })?;
                tracing::warn!(event = %event.id, class = error.class(), retryable = error.is_retryable(), "{error}");
                if failure.as_ref().is_none_or(|first| !first.is_retryable() && error.is_retryable()) {
                    failure = Some(error);
                }
            }
        }
    }
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(delivered),
    }
}

fn to_place(
    workload: &Workload,
    parcel: &Parcel<'_>,
    user: &ParticipantId,
    place: &DeliverPlace,
) -> Result<Arrival, DeliveryError> {
    let settings = workload.delivery();
    let policy = FetchPolicy {
        allow_hosts: workload.allow_hosts().to_vec(),
        bucket: settings.bucket.clone(),
        connect_timeout: settings.patience.connect,
        idle_timeout: settings.patience.request,
        total_timeout: Some(settings.patience.request),
        ..FetchPolicy::strict()
    };
    match place {
        DeliverPlace::Folder(path) => folder::deliver(parcel, path),
        DeliverPlace::Bucket(url) => bucket::deliver(parcel, user, url, &policy, settings.patience),
        DeliverPlace::Endpoint(url) => endpoint::deliver(parcel, user, url, &policy, settings),
    }
}

#[cfg(test)]
mod tests;
