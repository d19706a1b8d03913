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
    /// [`Error::InvalidPublicName`] where the first is no Ed25519 public key, or either has small order.
    pub fn new(verify: [u8; 32], receive: [u8; 32]) -> Result<Self> {
        let key = VerifyingKey::from_bytes(&verify)
            .map_err(|_| Error::InvalidPublicName { reason: "its signing key is not a point of the curve" })?;
        if key.is_weak() {
            return Err(Error::InvalidPublicName { reason: "its signing key has small order" });
        }
        if has_small_order(receive) {
            return Err(Error::InvalidPublicName { reason: "its receiving key has small order" });
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

/// Whether an X25519 public key is a point of order 1, 2, 4 or 8 of the curve or its twist: then the secret that it leads to
/// is zero, whatever the other key. Those are the u-coordinates 0, 1, p-1 and two of order 8, with p and p+1 for 0 and 1 (RFC
/// 7748, 6.1, has implementations look for the zero instead). The highest bit does not count.
fn has_small_order(mut u: [u8; 32]) -> bool {
    u[31] &= 0x7f;
    let mut p = [0xff; 32];
    (p[0], p[31]) = (0xed, 0x7f);
    let with_first = |mut bytes: [u8; 32], first: u8| {
        bytes[0] = first;
        bytes
    };
    let small = [with_first([0; 32], 0), with_first([0; 32], 1), with_first(p, 0xec), p, with_first(p, 0xee)];
    small.contains(&u) || ORDER_8.contains(&u)
}

/// The two u-coordinates of order 8, little-endian.
const ORDER_8: [[u8; 32]; 2] = [
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09,
        0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44,
        0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
];

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
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    use super::*;
    use crate::keys::test_keys;

    fn rng() -> ChaCha20Rng {
        ChaCha20Rng::seed_from_u64(1)
    }

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
        let mut p_minus_1 = [0xff; 32];
        (p_minus_1[0], p_minus_1[31]) = (0xec, 0x7f);
        for mut weak in [[0; 32], identity_point, p_minus_1, ORDER_8[0], ORDER_8[1]] {
            assert!(PublicName::new(name.verify, weak).is_err());
            // What the other end makes of it, to be sure that the list says what it means.
            let made = crate::seal::seal("test", &weak, b"", b"", &mut rng());
            assert!(made.is_err(), "an agreement with this key gives no zero");
            weak[31] |= 0x80;
            assert!(PublicName::new(name.verify, weak).is_err());
        }
        let mut bytes = name.to_bytes();
        bytes[0] = 2;
        assert_eq!(
            PublicName::from_bytes(&bytes),
            Err(Error::UnknownVersion { what: "public name", found: 2, known: 1 })
        );
        assert!(PublicName::from_bytes(&bytes[..64]).is_err());
    }
}
