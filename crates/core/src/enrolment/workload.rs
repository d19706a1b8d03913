//! The workload's part for one holder: gather every steward's blind and the holder's answer, check that they belong
//! together, and take the blinds off.

use datafuse_group::{self as group, Scalar};
use subtle::ConstantTimeEq;

use super::{Answer, BlindForWorkload, check_steward_count};
use crate::{
    error::{Error, Result},
    fused::ReKey,
    name::PublicName,
};

/// An enrolment of which something is still to come.
pub struct AwaitingParts {
    holder: PublicName,
    blinds: Vec<(PublicName, Option<BlindForWorkload>)>,
    answer: Option<Answer>,
}

/// What follows when a part has come.
pub enum WorkloadStep {
    /// Others are still awaited.
    Awaiting(AwaitingParts),
    /// The holder is enrolled.
    Enrolled(ReKey),
}

impl AwaitingParts {
    /// Starts the enrolment of one holder, with the stewards' names in their fixed order.
    #[must_use]
    pub fn new(holder: PublicName, stewards: &[PublicName]) -> Self {
        Self { holder, blinds: stewards.iter().map(|name| (name.clone(), None)).collect(), answer: None }
    }

    /// The stewards whose blind is still to come.
    pub fn awaited_blinds(&self) -> impl Iterator<Item = &PublicName> {
        self.blinds.iter().filter(|(_, blind)| blind.is_none()).map(|(name, _)| name)
    }

    /// Whether the holder's answer is still to come.
    #[must_use]
    pub fn awaits_answer(&self) -> bool {
        self.answer.is_none()
    }

    /// Takes in one steward's blind; a repeated one changes nothing.
    ///
    /// # Errors
    /// [`Error::NotASteward`], [`Error::Conflict`], [`Error::TooFewStewards`]; and those of completing, [`Error::Disagreement`]
    /// above all.
    pub fn receive_blind(mut self, steward: &PublicName, blind: BlindForWorkload) -> Result<WorkloadStep> {
        let (_, place) = self
            .blinds
            .iter_mut()
            .find(|(name, _)| name == steward)
            .ok_or_else(|| Error::NotASteward { sender: steward.fingerprint() })?;
        match place {
            Some(known) if known.share_point != blind.share_point || !bool::from(known.r.ct_eq(&blind.r)) => {
                return Err(Error::Conflict { what: "blind", sender: steward.fingerprint() });
            }
            place => *place = Some(blind),
        }
        self.complete()
    }

    /// Takes in the holder's answer; a later one (after a new key) replaces it.
    ///
    /// # Errors
    /// [`Error::WrongStewardCount`], [`Error::TooFewStewards`]; and those of completing, [`Error::Disagreement`] above all.
    pub fn receive_answer(mut self, answer: Answer) -> Result<WorkloadStep> {
        let (expected, found) = (self.blinds.len(), answer.commitments.len());
        if expected != found {
            return Err(Error::WrongStewardCount { expected, found });
        }
        self.answer = Some(answer);
        self.complete()
    }

    fn complete(self) -> Result<WorkloadStep> {
        check_steward_count(self.blinds.len())?;
        let (Some(answer), true) = (&self.answer, self.awaited_blinds().next().is_none()) else {
            return Ok(WorkloadStep::Awaiting(self));
        };
        let blinds = self.blinds.iter().filter_map(|(name, blind)| Some((name, blind.as_ref()?)));
        let mut product: Option<Scalar> = None;
        for ((steward, blind), commitment) in blinds.zip(&answer.commitments) {
            let share_point = group::decode(&[blind.share_point])
                .map_err(|_| Error::InvalidPoint { what: BlindForWorkload::WHAT })?;
            if group::encode(&group::mul(&blind.r, &share_point)).as_slice() != [*commitment] {
                return Err(Error::Disagreement {
                    steward: Box::new(steward.clone()),
                    holder: Box::new(self.holder.clone()),
                });
            }
            product = Some(product.map_or_else(|| blind.r.clone(), |product| product.mul(&blind.r)));
        }
        // There are two stewards or more, so there is a product; none of its factors is zero.
        let product = product.ok_or(Error::TooFewStewards { found: 0 })?;
        Ok(WorkloadStep::Enrolled(ReKey(answer.y.mul(&product.invert()))))
    }
}
