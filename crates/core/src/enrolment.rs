//! Enrolment: the workload comes by `d_i = K / k_i` of each holder, and nobody gives a key away.
//!
//! Let `K = s_1 * ... * s_c` be the product of the stewards' shares. For each holder i of an epoch, in any order:
//!
//! 1. steward j derives a blind `r_ij`; it sends `v_ij = s_j * r_ij` to holder i, and `r_ij` with `S_j = s_j*G` to the workload;
//! 2. holder i, with all c of them, sends `y_i = (v_i1 * ... * v_ic) / k_i` and every `v_ij*G` to the workload;
//! 3. workload: where each `v_ij*G = r_ij*S_j`, `d_i = y_i / (r_i1 * ... * r_ic)`; else steward j and holder i are named.
//!
//! Each step consumes the state before it. The payloads are CBOR arrays with their version first; a zero scalar, an
//! encoding that is not canonical, and the identity are refused.

mod holder;
mod steward;
mod workload;

pub use holder::{AwaitingShares, HolderStep, ReadyToAnswer};
pub use steward::contribute;
pub use workload::{AwaitingParts, WorkloadStep};

use datafuse_group::Scalar;
use minicbor::{Decode, Encode};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    cbor,
    error::{Error, Result},
    fused::nonzero_scalar,
};

const VERSION: u64 = 1;

/// `v_ij`: a steward's share, blinded, for one holder.
#[derive(Clone)]
pub struct ShareForHolder {
    v: Scalar,
}

/// `r_ij` and `S_j`: what the workload needs to take the blind off again, and to tell who made a mistake.
#[derive(Clone)]
pub struct BlindForWorkload {
    r: Scalar,
    share_point: [u8; 32],
}

/// `y_i` and every `v_ij*G`: a holder's answer.
#[derive(Clone)]
pub struct Answer {
    y: Scalar,
    commitments: Vec<[u8; 32]>,
}

impl ShareForHolder {
    const WHAT: &str = "steward's share";

    /// Encodes `[1, v]`.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(cbor::encode(&ShareForm { version: VERSION, v: self.v.to_bytes() }))
    }

    /// Decodes.
    ///
    /// # Errors
    /// [`Error::UnknownVersion`], [`Error::Malformed`], [`Error::InvalidScalar`].
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        cbor::check_version(bytes, Self::WHAT, VERSION)?;
        let form: ShareForm = cbor::decode(bytes, Self::WHAT)?;
        Ok(Self { v: nonzero_scalar(&form.v, Self::WHAT)? })
    }
}

impl BlindForWorkload {
    const WHAT: &str = "steward's blind";

    /// Encodes `[1, r, S]`.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let form = BlindForm { version: VERSION, r: self.r.to_bytes(), share_point: self.share_point };
        Zeroizing::new(cbor::encode(&form))
    }

    /// Decodes.
    ///
    /// # Errors
    /// [`Error::UnknownVersion`], [`Error::Malformed`], [`Error::InvalidScalar`], [`Error::InvalidPoint`].
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        cbor::check_version(bytes, Self::WHAT, VERSION)?;
        let form: BlindForm = cbor::decode(bytes, Self::WHAT)?;
        check_points(&[form.share_point], Self::WHAT)?;
        Ok(Self { r: nonzero_scalar(&form.r, Self::WHAT)?, share_point: form.share_point })
    }

    /// `S_j`, the point of the steward's share: the same for every holder of an epoch.
    #[must_use]
    pub fn share_point(&self) -> &[u8; 32] {
        &self.share_point
    }
}

impl Answer {
    const WHAT: &str = "holder's answer";

    /// Encodes `[1, y, [v*G...]]`.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(cbor::encode(&AnswerForm {
            version: VERSION,
            y: self.y.to_bytes(),
            commitments: self.commitments.iter().map(|&point| point.into()).collect(),
        }))
    }

    /// Decodes.
    ///
    /// # Errors
    /// [`Error::UnknownVersion`], [`Error::Malformed`], [`Error::InvalidScalar`], [`Error::InvalidPoint`].
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        cbor::check_version(bytes, Self::WHAT, VERSION)?;
        let form: AnswerForm = cbor::decode(bytes, Self::WHAT)?;
        let commitments: Vec<[u8; 32]> = form.commitments.iter().map(|point| **point).collect();
        check_points(&commitments, Self::WHAT)?;
        Ok(Self { y: nonzero_scalar(&form.y, Self::WHAT)?, commitments })
    }
}

/// With a single steward, its share would be the matching key.
fn check_steward_count(found: usize) -> Result<()> {
    if found < 2 { Err(Error::TooFewStewards { found }) } else { Ok(()) }
}

fn check_points(points: &[[u8; 32]], what: &'static str) -> Result<()> {
    datafuse_group::decode(points).map(drop).map_err(|_| Error::InvalidPoint { what })
}

#[derive(Encode, Decode, Zeroize, ZeroizeOnDrop)]
#[cbor(array)]
struct ShareForm {
    #[n(0)]
    version: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    v: [u8; 32],
}

#[derive(Encode, Decode, Zeroize, ZeroizeOnDrop)]
#[cbor(array)]
struct BlindForm {
    #[n(0)]
    version: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    r: [u8; 32],
    #[cbor(n(2), with = "minicbor::bytes")]
    share_point: [u8; 32],
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct AnswerForm {
    #[n(0)]
    version: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    y: [u8; 32],
    #[n(2)]
    commitments: Vec<minicbor::bytes::ByteArray<32>>,
}

impl Drop for AnswerForm {
    fn drop(&mut self) {
        self.y.zeroize();
    }
}

#[cfg(test)]
mod tests;
