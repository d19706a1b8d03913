//! The steward's part: one derivation for each holder; nothing to remember, and the same again whenever it is asked.

use super::{BlindForWorkload, ShareForHolder};
use crate::{error::Result, id::Epoch, keys::ShareSecret, name::PublicName, root::Root};

/// Makes what steward j sends for one holder: `v_ij = s_j * r_ij` to the holder, `r_ij` and `S_j` to the workload.
///
/// To make it is the steward's consent to this holder. Constant-time in the share secret.
///
/// # Errors
/// [`Error::InvalidScalar`](crate::Error::InvalidScalar) where a derived number is zero (once in 2^252).
pub fn contribute(
    secret: &ShareSecret,
    root: &Root,
    epoch: Epoch,
    holder: &PublicName,
) -> Result<(ShareForHolder, BlindForWorkload)> {
    let share = secret.share(root, epoch)?;
    let r = secret.blind(root, epoch, holder)?;
    let v = share.mul(&r);
    Ok((ShareForHolder { v }, BlindForWorkload { r, share_point: share.mul_base_encoded() }))
}
