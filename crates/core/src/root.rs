//! The root: the hash that names a space in all keys and all hashing.
//!
//! It binds what was founded: the readable id, 32 random bytes, the workload's and the stewards' founding public names, and
//! the identifier kinds. Who imitates a space under the same id gets another root, and so unrelated keys and unrelated
//! tokens. The roster of participants is not in it: newcomers change nothing here.

use std::fmt;

use sha2::Digest;

use crate::{id::SpaceId, kind::Kind, lp::Lp, name::PublicName};

const LABEL: &str = "datafuse/v1/root";

/// The root of a space: SHA-512/256 over what it was founded with.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Root([u8; 32]);

/// What a root is made of.
#[derive(Clone, Debug)]
pub struct Founding<'a> {
    /// The readable id.
    pub id: &'a SpaceId,
    /// 32 random bytes drawn when the space was made.
    pub nonce: &'a [u8; 32],
    /// The workload's founding name.
    pub workload: &'a PublicName,
    /// The stewards' founding names, in their fixed order.
    pub stewards: &'a [PublicName],
    /// The identifier kinds, in any order.
    pub kinds: &'a [Kind],
}

impl Root {
    /// Computes the root.
    #[must_use]
    pub fn new(founding: &Founding<'_>) -> Self {
        let mut kinds: Vec<_> = founding.kinds.iter().collect();
        kinds.sort_by_key(|kind| kind.name());
        let bytes = Lp::labelled(LABEL)
            .field(founding.id.as_str().as_bytes())
            .field(founding.nonce)
            .field(&founding.workload.to_bytes())
            .list(founding.stewards.iter().map(PublicName::to_bytes))
            .list(kinds.iter().map(|kind| kind.binding()))
            .into_bytes();
        Self(sha2::Sha512_256::digest(bytes).into())
    }

    /// Takes the 32 bytes of a root read from a file.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Gives the 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Root({self})")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{keys::test_keys, normalize::Profile};

    #[test]
    fn binds_everything_that_was_founded_and_not_the_order_of_kinds() {
        let names: Vec<_> = (1..=4).map(|seed| test_keys(seed).identity().public_name()).collect();
        let email = Kind::single("email".parse().unwrap(), Profile::EmailV1, None);
        let phone = |region: &str| Kind::single("phone".parse().unwrap(), Profile::PhoneE164V1, Some(region.into()));
        let (id, other_id): (SpaceId, SpaceId) = ("retail".parse().unwrap(), "retai1".parse().unwrap());
        let (belgium, france) = ([email.clone(), phone("BE")], [email.clone(), phone("FR")]);
        let founding =
            Founding { id: &id, nonce: &[7; 32], workload: &names[0], stewards: &names[1..3], kinds: &belgium };
        let root = Root::new(&founding);

        let reversed = [belgium[1].clone(), belgium[0].clone()];
        assert_eq!(Root::new(&Founding { kinds: &reversed, ..founding.clone() }), root);

        let swapped = [names[2].clone(), names[1].clone()];
        for other in [
            Founding { id: &other_id, ..founding.clone() },
            Founding { nonce: &[8; 32], ..founding.clone() },
            Founding { workload: &names[3], ..founding.clone() },
            Founding { stewards: &swapped, ..founding.clone() },
            Founding { stewards: &names[1..4], ..founding.clone() },
            Founding { kinds: &france, ..founding.clone() },
            Founding { kinds: &belgium[..1], ..founding.clone() },
        ] {
            assert_ne!(Root::new(&other), root, "{other:?}");
        }
    }
}
