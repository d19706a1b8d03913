//! The holder's part: gather every steward's blinded share, then answer.

use datafuse_group::Scalar;
use subtle::ConstantTimeEq;

use super::{Answer, ShareForHolder, check_steward_count};
use crate::{
    error::{Error, Result},
    keys::TokenKey,
    name::PublicName,
};

/// A holder that has not heard of every steward yet.
pub struct AwaitingShares {
    shares: Vec<(PublicName, Option<Scalar>)>,
}

/// What follows when a share has come.
pub enum HolderStep {
    /// Others are still awaited.
    Awaiting(AwaitingShares),
    /// All are there.
    Ready(ReadyToAnswer),
}

/// A holder that has every steward's share.
pub struct ReadyToAnswer {
    shares: Vec<Scalar>,
}

impl AwaitingShares {
    /// Starts, with the stewards' names in their fixed order.
    #[must_use]
    pub fn new(stewards: &[PublicName]) -> Self {
        Self { shares: stewards.iter().map(|name| (name.clone(), None)).collect() }
    }

    /// The stewards whose share is still to come.
    pub fn awaited(&self) -> impl Iterator<Item = &PublicName> {
        self.shares.iter().filter(|(_, share)| share.is_none()).map(|(name, _)| name)
    }

    /// Takes in one steward's share; a repeated one changes nothing.
    ///
    /// # Errors
    /// [`Error::NotASteward`], [`Error::Conflict`] where the steward sent another share before, [`Error::TooFewStewards`].
    pub fn receive(mut self, steward: &PublicName, share: &ShareForHolder) -> Result<HolderStep> {
        check_steward_count(self.shares.len())?;
        let (_, place) = self
            .shares
            .iter_mut()
            .find(|(name, _)| name == steward)
            .ok_or_else(|| Error::NotASteward { sender: steward.fingerprint() })?;
        match place {
            Some(known) if !bool::from(known.ct_eq(&share.v)) => {
                return Err(Error::Conflict { what: "share", sender: steward.fingerprint() });
            }
            place => *place = Some(share.v.clone()),
        }
        if self.awaited().next().is_some() {
            return Ok(HolderStep::Awaiting(self));
        }
        Ok(HolderStep::Ready(ReadyToAnswer {
            shares: self.shares.into_iter().filter_map(|(_, share)| share).collect(),
        }))
    }
}

impl ReadyToAnswer {
    /// Makes `y_i = (v_i1 * ... * v_ic) / k_i` and the commitments `v_ij*G`. Constant-time.
    #[must_use]
    pub fn answer(self, key: &TokenKey) -> Answer {
        let y = self.shares.iter().fold(key.0.invert(), |product, share| product.mul(share));
        Answer { y, commitments: self.shares.iter().map(Scalar::mul_base_encoded).collect() }
    }
}
