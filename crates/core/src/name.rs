//! Public names: who a party is to everybody else.
//!
//! A public name is a version byte, an Ed25519 public key (to verify its signatures) and an X25519 public key (to seal to it):
//! 65 bytes, shown as Bech32m with the prefix `dfpub`. The checksum finds any three wrong characters, and others but once in 2^30. In hashes and `info` the
//! name enters as its 65 bytes.

use std::{fmt, str::FromStr};

use bech32::{Bech32m, Hrp};
use ed25519_dalek::{Signature, VerifyingKey};

use crate::error::{Error, Result};

const VERSION: u8 = 1;
const HRP: Hrp = Hrp::parse_unchecked("dfpub");

/// A party's public name, shown as `dfpub1...`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicName {
    verify: [u8; 32],
    receive: [u8; 32],
}

impl PublicName {
    /// Length of the byte form.
    pub const BYTES: usize = 65;

    /// Makes a name of both public keys.
    ///
    /// # Errors
    /// [`Error::InvalidPublicName`] where the first is no Ed25519 public key, or one of small order, or the second is zero.
    pub fn new(verify: [u8; 32], receive: [u8; 32]) -> Result<Self> {
        let key = VerifyingKey::from_bytes(&verify)
            .map_err(|_| Error::InvalidPublicName { reason: "its signing key is not a point of the curve" })?;
        if key.is_weak() {
            return Err(Error::InvalidPublicName { reason: "its signing key has small order" });
        }
        if receive == [0; 32] {
            return Err(Error::InvalidPublicName { reason: "its receiving key is zero" });
        }
        Ok(Self { verify, receive })
    }

    /// Gives the 65 bytes that stand for this name in hashes and messages.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [VERSION; Self::BYTES];
        bytes[1..33].copy_from_slice(&self.verify);
        bytes[33..].copy_from_slice(&self.receive);
        bytes
    }

    /// Reads the byte form.
    ///
    /// # Errors
    /// [`Error::InvalidPublicName`], [`Error::UnknownVersion`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        match bytes.split_first() {
            Some((&VERSION, keys)) if keys.len() == 64 => {
                let (mut verify, mut receive) = ([0; 32], [0; 32]);
                verify.copy_from_slice(&keys[..32]);
                receive.copy_from_slice(&keys[32..]);
                Self::new(verify, receive)
            }
            Some((&version, keys)) if keys.len() == 64 => {
                Err(Error::UnknownVersion { what: "public name", found: version.into(), known: VERSION.into() })
            }
            _ => Err(Error::InvalidPublicName { reason: "it has the wrong length" }),
        }
    }

    /// Gives 32 hex digits in groups of four, to compare by eye or by voice: the first 16 bytes of the SHA-256 of the byte
    /// form. To find another name with the same one takes 2^128 trials.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        use sha2::Digest;
        let digest = sha2::Sha256::digest(self.to_bytes());
        digest[..16].chunks(2).map(hex::encode).collect::<Vec<_>>().join("-")
    }

    /// The X25519 public key to seal to.
    #[must_use]
    pub fn receive_key(&self) -> &[u8; 32] {
        &self.receive
    }

    /// Verifies a signature of this party (Ed25519, strict: no malleability, no small-order keys).
    ///
    /// # Errors
    /// [`Error::BadSignature`].
    pub(crate) fn verify(&self, what: &'static str, signed: &[u8], signature: &[u8; 64]) -> Result<()> {
        VerifyingKey::from_bytes(&self.verify)
            .and_then(|key| key.verify_strict(signed, &Signature::from_bytes(signature)))
            .map_err(|_| Error::BadSignature { what, signer: self.fingerprint() })
    }
}

impl fmt::Display for PublicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bech32::encode_lower_to_fmt::<Bech32m, _>(f, HRP, &self.to_bytes()).map_err(|_| fmt::Error)
    }
}

impl fmt::Debug for PublicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicName({})", self.fingerprint())
    }
}

impl FromStr for PublicName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let checked = bech32::primitives::decode::CheckedHrpstring::new::<Bech32m>(text).map_err(|_| {
            Error::InvalidPublicName { reason: "its checksum does not fit: a character was lost or changed" }
        })?;
        if checked.hrp() != HRP {
            return Err(Error::InvalidPublicName { reason: "it does not begin with dfpub1" });
        }
        let name = Self::from_bytes(&checked.byte_iter().collect::<Vec<_>>())?;
        // A character more than the bytes need would be dropped unseen: one name has one text, but for its case.
        if !name.to_string().eq_ignore_ascii_case(text) {
            return Err(Error::InvalidPublicName { reason: "it has the wrong length" });
        }
        Ok(name)
    }
}

impl TryFrom<String> for PublicName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<PublicName> for String {
    fn from(name: PublicName) -> Self {
        name.to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::keys::test_keys;

    #[test]
    fn text_and_bytes_round_trip() {
        let name = test_keys(1).identity().public_name();
        assert!(name.to_string().starts_with("dfpub1"));
        assert_eq!(name.to_string().parse::<PublicName>().unwrap(), name);
        assert_eq!(PublicName::from_bytes(&name.to_bytes()).unwrap(), name);
        assert_eq!(name.fingerprint().len(), 39);
    }

    #[test]
    fn finds_every_single_changed_character() {
        let text = test_keys(1).identity().public_name().to_string();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'q' { b'p' } else { b'q' };
            assert!(String::from_utf8(bytes).unwrap().parse::<PublicName>().is_err(), "position {at}");
        }
    }

    #[test]
    fn refuses_weak_and_foreign_keys() {
        let mut identity_point = [0; 32];
        identity_point[0] = 1;
        assert!(PublicName::new(identity_point, [9; 32]).is_err());
        let name = test_keys(1).identity().public_name();
        let mut bytes = name.to_bytes();
        bytes[0] = 2;
        assert_eq!(
            PublicName::from_bytes(&bytes),
            Err(Error::UnknownVersion { what: "public name", found: 2, known: 1 })
        );
        assert!(PublicName::from_bytes(&bytes[..64]).is_err());
    }
}
