//! Rotation: a holder changes its token key within an epoch, and nobody else does anything.
//!
//! Let `k` be the key until now and `k'` the next one. To the workload goes `u = k / k'`, which makes `d' = d * u = K / k'` of
//! its re-key `d = K / k` ([`Rotation`]). At the holder `k' / k` makes tokens under `k'` of those under `k`, one multiplication
//! each, without their identifiers ([`Retokenizer`]); there the two keys may be of two epochs of one space.
//!
//! Of one key and `u` follows the other: `u` is sealed on its way, bound to both key ids, applied once and erased.

use datafuse_group::Scalar;
use minicbor::{Decode, Encode};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    cbor,
    error::Result,
    fused::{ReKey, nonzero_scalar},
    keys::TokenKey,
    token::Token,
};

const VERSION: u64 = 1;
const WHAT: &str = "rotation";

/// `u = k / k'`: what turns the workload's re-key for one token key into that for the next. Never zero.
pub struct Rotation(Scalar);

impl Rotation {
    /// Makes the change from one token key to the next. Constant-time.
    #[must_use]
    pub fn new(from: &TokenKey, to: &TokenKey) -> Self {
        Self(from.0.mul(&to.0.invert()))
    }

    /// Encodes `[1, u]`.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(cbor::encode(&RotationForm { version: VERSION, u: self.0.to_bytes() }))
    }

    /// Decodes.
    ///
    /// # Errors
    /// [`UnknownVersion`](crate::Error::UnknownVersion), [`Malformed`](crate::Error::Malformed),
    /// [`InvalidScalar`](crate::Error::InvalidScalar).
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        cbor::check_version(bytes, WHAT, VERSION)?;
        let form: RotationForm = cbor::decode(bytes, WHAT)?;
        nonzero_scalar(&form.u, WHAT).map(Self)
    }
}

impl ReKey {
    /// Gives the re-key for the next token key: `d' = d * u`. Constant-time.
    #[must_use]
    pub fn rotate(&self, rotation: &Rotation) -> Self {
        Self(self.0.mul(&rotation.0))
    }
}

/// `k' / k`: what turns a holder's own tokens under one key into those under another, of the same space.
pub struct Retokenizer(Scalar);

impl Retokenizer {
    /// Prepares the change of tokens under `from` into tokens under `to`. Constant-time.
    #[must_use]
    pub fn new(from: &TokenKey, to: &TokenKey) -> Self {
        Self(to.0.mul(&from.0.invert()))
    }

    /// Makes a token under the next key of each, in order.
    ///
    /// Constant-time in the keys and in valid tokens.
    ///
    /// # Errors
    /// [`InvalidToken`](crate::Error::InvalidToken) with the position of the first that is no group element, or the identity.
    pub fn retokenize(&self, tokens: &[Token]) -> Result<Vec<Token>> {
        // The same multiplication as fusing, with a number of the holder's own.
        let converted = ReKey(self.0.clone()).fuse(tokens)?;
        Ok(converted.iter().map(|token| Token(token.0)).collect())
    }
}

#[derive(Encode, Decode, Zeroize, ZeroizeOnDrop)]
#[cbor(array)]
struct RotationForm {
    #[n(0)]
    version: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    u: [u8; 32],
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    use super::*;
    use crate::{Error, id::Epoch, keys::test_keys, root::Root};

    #[test]
    fn a_rotated_re_key_fuses_new_tokens_as_the_former_fused_the_old() {
        let (root, epoch) = (Root::from_bytes([1; 32]), Epoch(1));
        let (before, mut after) = (test_keys(1), test_keys(1));
        after.rotate(&mut ChaCha20Rng::seed_from_u64(3));
        let key = |keys: &crate::keys::PartyKeys, epoch| keys.token().token_key(&root, epoch).unwrap();
        let (from, to) = (key(&before, epoch), key(&after, epoch));
        let rekey = ReKey::from_bytes(&[7; 32].map(|byte| byte & 0x0f)).unwrap();
        let rotated = rekey.rotate(&Rotation::decode(&Rotation::new(&from, &to).encode()).unwrap());
        let fused = |rekey: &ReKey, token| rekey.fuse(&[token]).unwrap().remove(0).0;
        let (old, new) = (from.canary(&root, epoch), to.canary(&root, epoch));
        assert_eq!(fused(&rotated, new.clone()), fused(&rekey, old.clone()));
        assert_ne!(fused(&rotated, old.clone()), fused(&rekey, old.clone()));

        let retokenized = Retokenizer::new(&from, &to).retokenize(std::slice::from_ref(&old)).unwrap();
        assert_eq!(retokenized[0].as_bytes(), new.as_bytes());
        // Over the border of an epoch as well: the identifier stays, the key changes.
        let later = key(&after, Epoch(2));
        let back = Retokenizer::new(&later, &from);
        let there = Retokenizer::new(&from, &later).retokenize(std::slice::from_ref(&old)).unwrap();
        assert_eq!(back.retokenize(&there).unwrap()[0].as_bytes(), old.as_bytes());
    }

    #[test]
    fn zero_and_other_bytes_are_refused() {
        let zero = cbor::encode(&RotationForm { version: VERSION, u: [0; 32] });
        assert_eq!(Rotation::decode(&zero).err(), Some(Error::InvalidScalar { what: WHAT }));
        let too_large = cbor::encode(&RotationForm { version: VERSION, u: [0xff; 32] });
        assert_eq!(Rotation::decode(&too_large).err(), Some(Error::InvalidScalar { what: WHAT }));
        let good = cbor::encode(&RotationForm { version: VERSION, u: [1; 32] });
        for cut in 0..good.len() {
            assert!(Rotation::decode(&good[..cut]).is_err(), "cut at {cut}");
        }
    }
}
