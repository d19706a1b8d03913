//! What the workload announces when it opens an epoch: two fresh receive keys, one for datasets and one for messages.
//!
//! Signed by the workload's identity, with a serial that grows; parties remember the highest they saw and refuse lower ones.
//! Encoding: `[1, root, epoch, serial, dataset key, message key, signature]`, deterministic CBOR.

use minicbor::{Decode, Encode};
use sha2::Digest;

use crate::{
    cbor,
    error::{Error, Result},
    id::Epoch,
    keys::Identity,
    lp::Lp,
    name::PublicName,
    root::Root,
};

const VERSION: u64 = 1;
const WHAT: &str = "announcement";

/// The open epoch and where to seal to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The space.
    pub root: Root,
    /// The open epoch.
    pub epoch: Epoch,
    /// Grows with every announcement of a space.
    pub serial: u64,
    /// X25519 public key that datasets of this epoch are sealed to.
    pub dataset_key: [u8; 32],
    /// X25519 public key that messages are sealed to; replaced more often than the dataset key.
    pub message_key: [u8; 32],
}

impl Announcement {
    /// Signs and encodes.
    #[must_use]
    pub fn sign(&self, workload: &Identity) -> Vec<u8> {
        cbor::encode(&AnnouncementForm {
            version: VERSION,
            root: *self.root.as_bytes(),
            epoch: self.epoch.0,
            serial: self.serial,
            dataset_key: self.dataset_key,
            message_key: self.message_key,
            signature: workload.sign(&self.signed_bytes()),
        })
    }

    /// Decodes and verifies.
    ///
    /// # Errors
    /// [`Error::UnknownVersion`], [`Error::Malformed`], [`Error::Mismatch`] of the root, [`Error::BadSignature`].
    pub fn verify(bytes: &[u8], root: &Root, workload: &PublicName) -> Result<Self> {
        cbor::check_version(bytes, WHAT, VERSION)?;
        let form: AnnouncementForm = cbor::decode(bytes, WHAT)?;
        let announcement = Self {
            root: Root::from_bytes(form.root),
            epoch: Epoch(form.epoch),
            serial: form.serial,
            dataset_key: form.dataset_key,
            message_key: form.message_key,
        };
        if announcement.root != *root {
            let (expected, found) = (root.to_string(), announcement.root.to_string());
            return Err(Error::Mismatch { what: WHAT, field: "root", expected, found });
        }
        workload.verify(WHAT, &announcement.signed_bytes(), &form.signature)?;
        Ok(announcement)
    }

    /// Gives 32 bytes that tell this announcement from every other: SHA-256 of what is signed.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        sha2::Sha256::digest(self.signed_bytes()).into()
    }

    /// Refuses an announcement older than the highest epoch and serial seen.
    ///
    /// # Errors
    /// [`Error::Replayed`].
    pub fn check_not_older(&self, seen_epoch: Epoch, seen_serial: u64) -> Result<()> {
        // Serials grow over all epochs of a space.
        if self.epoch < seen_epoch || self.serial < seen_serial {
            let (epoch, serial) = (self.epoch, self.serial);
            return Err(Error::Replayed { what: WHAT, epoch, serial, seen_epoch, seen_serial });
        }
        Ok(())
    }

    fn signed_bytes(&self) -> Vec<u8> {
        Lp::labelled("datafuse/v1/announcement")
            .field(self.root.as_bytes())
            .integer(self.epoch.0)
            .integer(self.serial)
            .field(&self.dataset_key)
            .field(&self.message_key)
            .into_bytes()
    }
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct AnnouncementForm {
    #[n(0)]
    version: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    root: [u8; 32],
    #[n(2)]
    epoch: u64,
    #[n(3)]
    serial: u64,
    #[cbor(n(4), with = "minicbor::bytes")]
    dataset_key: [u8; 32],
    #[cbor(n(5), with = "minicbor::bytes")]
    message_key: [u8; 32],
    #[cbor(n(6), with = "minicbor::bytes")]
    signature: [u8; 64],
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::keys::test_keys;

    #[test]
    fn verifies_for_the_signing_workload_and_refuses_every_altered_byte() {
        let (workload, root) = (test_keys(1), Root::from_bytes([1; 32]));
        let name = workload.identity().public_name();
        let announcement =
            Announcement { root, epoch: Epoch(2), serial: 5, dataset_key: [7; 32], message_key: [8; 32] };
        let bytes = announcement.sign(workload.identity());
        assert_eq!(Announcement::verify(&bytes, &root, &name).unwrap(), announcement);
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            assert!(Announcement::verify(&altered, &root, &name).is_err(), "byte {at}");
        }
        let other = test_keys(2).identity().public_name();
        assert!(matches!(Announcement::verify(&bytes, &root, &other), Err(Error::BadSignature { .. })));
        assert!(matches!(
            Announcement::verify(&bytes, &Root::from_bytes([2; 32]), &name),
            Err(Error::Mismatch { field: "root", .. })
        ));
    }

    #[test]
    fn refuses_a_lower_serial_and_a_lower_epoch() {
        let at = |epoch, serial| Announcement {
            root: Root::from_bytes([1; 32]),
            epoch: Epoch(epoch),
            serial,
            dataset_key: [7; 32],
            message_key: [8; 32],
        };
        assert!(at(2, 5).check_not_older(Epoch(2), 5).is_ok());
        assert!(at(3, 6).check_not_older(Epoch(2), 5).is_ok());
        assert!(matches!(at(2, 4).check_not_older(Epoch(2), 5), Err(Error::Replayed { .. })));
        assert!(matches!(at(1, 9).check_not_older(Epoch(2), 5), Err(Error::Replayed { .. })));
        assert!(matches!(at(3, 4).check_not_older(Epoch(2), 5), Err(Error::Replayed { .. })));
    }
}
