//! The workload's signed status: how far each holder's enrolment is, so that `enrol` can say what is awaited from whom.
//!
//! It names parties and key ids, never a number of the protocol. Encoding: `[1, body, signature]`, where the body is the bytes
//! of `[1, root, epoch, serial, [[holder, [steward...], answered key id / null, enrolled key id / null]...], [[sender / null,
//! reason]...]]`, both deterministic CBOR.

use minicbor::{Decode, Encode, bytes::ByteVec};

use crate::{
    cbor,
    error::{Error, Result},
    id::Epoch,
    keys::{Identity, KeyId},
    lp::Lp,
    name::PublicName,
    root::Root,
};

const VERSION: u64 = 1;
const WHAT: &str = "status";

/// What the workload has and what it awaits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The space.
    pub root: Root,
    /// The epoch.
    pub epoch: Epoch,
    /// Grows with every status of a space.
    pub serial: u64,
    /// One entry for each holder of the roster.
    pub holders: Vec<HolderStatus>,
    /// Messages of this epoch that were refused, newest last, at most [`Status::MAX_REFUSALS`].
    pub refusals: Vec<Refusal>,
}

/// How far one holder's enrolment is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HolderStatus {
    /// The holder.
    pub holder: PublicName,
    /// The stewards whose blinds have come.
    pub blinds_from: Vec<PublicName>,
    /// The token key of the answer that has come and still waits for blinds.
    pub answered: Option<KeyId>,
    /// The token key for which the workload has a re-key.
    pub enrolled: Option<KeyId>,
}

/// A message that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Who signed it, where that could be verified.
    pub sender: Option<PublicName>,
    /// Why, in words without any value of the message.
    pub reason: String,
}

impl Status {
    /// How many refusals a status carries.
    pub const MAX_REFUSALS: usize = 32;

    /// The entry of one holder.
    #[must_use]
    pub fn holder(&self, name: &PublicName) -> Option<&HolderStatus> {
        self.holders.iter().find(|status| status.holder == *name)
    }

    /// Refuses a status older than the newest seen; serials begin anew where a new epoch begins on a new state.
    ///
    /// # Errors
    /// [`Error::Replayed`].
    pub fn check_not_older(&self, seen_epoch: Epoch, seen_serial: u64) -> Result<()> {
        if (self.epoch, self.serial) < (seen_epoch, seen_serial) {
            let (epoch, serial) = (self.epoch, self.serial);
            return Err(Error::Replayed { what: WHAT, epoch, serial, seen_epoch, seen_serial });
        }
        Ok(())
    }

    /// Signs and encodes.
    #[must_use]
    pub fn sign(&self, workload: &Identity) -> Vec<u8> {
        let body = cbor::encode(&BodyForm {
            version: VERSION,
            root: *self.root.as_bytes(),
            epoch: self.epoch.0,
            serial: self.serial,
            holders: self.holders.iter().map(HolderForm::from).collect(),
            refusals: self
                .refusals
                .iter()
                .map(|refusal| RefusalForm {
                    sender: refusal.sender.as_ref().map(|name| name.to_bytes().to_vec().into()),
                    reason: refusal.reason.clone(),
                })
                .collect(),
        });
        let signature = workload.sign(&signed_bytes(&body));
        cbor::encode(&StatusForm { version: VERSION, body, signature })
    }

    /// Decodes and verifies.
    ///
    /// # Errors
    /// [`Error::UnknownVersion`], [`Error::Malformed`], [`Error::Mismatch`] of the root, [`Error::BadSignature`].
    pub fn verify(bytes: &[u8], root: &Root, workload: &PublicName) -> Result<Self> {
        cbor::check_version(bytes, WHAT, VERSION)?;
        let form: StatusForm = cbor::decode(bytes, WHAT)?;
        workload.verify(WHAT, &signed_bytes(&form.body), &form.signature)?;
        cbor::check_version(&form.body, WHAT, VERSION)?;
        let body: BodyForm = cbor::decode(&form.body, WHAT)?;
        let status = Self {
            root: Root::from_bytes(body.root),
            epoch: Epoch(body.epoch),
            serial: body.serial,
            holders: body.holders.into_iter().map(HolderStatus::try_from).collect::<Result<_>>()?,
            refusals: body
                .refusals
                .into_iter()
                .map(|refusal| {
                    let sender = refusal.sender.map(|name| PublicName::from_bytes(&name)).transpose()?;
                    Ok(Refusal { sender, reason: refusal.reason })
                })
                .collect::<Result<_>>()?,
        };
        if status.root != *root {
            let (expected, found) = (root.to_string(), status.root.to_string());
            return Err(Error::Mismatch { what: WHAT, field: "root", expected, found });
        }
        Ok(status)
    }
}

fn signed_bytes(body: &[u8]) -> Vec<u8> {
    Lp::labelled("datafuse/v1/status").field(body).into_bytes()
}

impl From<&HolderStatus> for HolderForm {
    fn from(status: &HolderStatus) -> Self {
        let key_id = |id: &Option<KeyId>| id.map(|id| id.as_bytes().to_vec().into());
        (
            status.holder.to_bytes().to_vec().into(),
            status.blinds_from.iter().map(|name| name.to_bytes().to_vec().into()).collect(),
            key_id(&status.answered),
            key_id(&status.enrolled),
        )
    }
}

impl TryFrom<HolderForm> for HolderStatus {
    type Error = Error;

    fn try_from((holder, blinds_from, answered, enrolled): HolderForm) -> Result<Self> {
        let key_id = |bytes: Option<ByteVec>| {
            bytes
                .map(|bytes| bytes.as_slice().try_into().map(KeyId::from_bytes))
                .transpose()
                .map_err(|_| Error::Malformed { what: WHAT })
        };
        Ok(Self {
            holder: PublicName::from_bytes(&holder)?,
            blinds_from: blinds_from.iter().map(|name| PublicName::from_bytes(name)).collect::<Result<_>>()?,
            answered: key_id(answered)?,
            enrolled: key_id(enrolled)?,
        })
    }
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct StatusForm {
    #[n(0)]
    version: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    body: Vec<u8>,
    #[cbor(n(2), with = "minicbor::bytes")]
    signature: [u8; 64],
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct BodyForm {
    #[n(0)]
    version: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    root: [u8; 32],
    #[n(2)]
    epoch: u64,
    #[n(3)]
    serial: u64,
    #[n(4)]
    holders: Vec<HolderForm>,
    #[n(5)]
    refusals: Vec<RefusalForm>,
}

/// Holder, stewards, answered and enrolled key id. A tuple, because a derived array leaves nulls at its end away.
type HolderForm = (ByteVec, Vec<ByteVec>, Option<ByteVec>, Option<ByteVec>);

#[derive(Encode, Decode)]
#[cbor(array)]
struct RefusalForm {
    #[n(0)]
    sender: Option<ByteVec>,
    #[n(1)]
    reason: String,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::keys::test_keys;

    #[test]
    fn verifies_for_the_signing_workload_and_refuses_every_altered_byte() {
        let (workload, root) = (test_keys(1), Root::from_bytes([1; 32]));
        let (a, b) = (test_keys(2), test_keys(3));
        let status = Status {
            root,
            epoch: Epoch(1),
            serial: 3,
            holders: vec![
                HolderStatus {
                    holder: a.identity().public_name(),
                    blinds_from: vec![b.identity().public_name()],
                    answered: Some(a.token().key_id()),
                    enrolled: None,
                },
                HolderStatus {
                    holder: b.identity().public_name(),
                    blinds_from: vec![],
                    answered: None,
                    enrolled: Some(b.token().key_id()),
                },
            ],
            refusals: vec![Refusal { sender: None, reason: "a message is damaged".into() }],
        };
        assert!(status.check_not_older(Epoch(1), 3).is_ok());
        assert!(matches!(status.check_not_older(Epoch(1), 4), Err(Error::Replayed { what: WHAT, .. })));
        assert!(matches!(status.check_not_older(Epoch(2), 1), Err(Error::Replayed { .. })));
        let bytes = status.sign(workload.identity());
        let name = workload.identity().public_name();
        assert_eq!(Status::verify(&bytes, &root, &name).unwrap(), status);
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            assert!(Status::verify(&altered, &root, &name).is_err(), "byte {at}");
        }
    }
}
