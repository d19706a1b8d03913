//! A party's secrets: one file, three independent secrets, and everything that is derived from them.
//!
//! - [`Identity`]: an Ed25519 key to sign and an X25519 key to receive; its public half is the [`PublicName`].
//! - [`TokenSecret`]: the holder's token key `k_i` is derived from it; replaced on rotation, the former kept until every
//!   file made with it is re-tokenised. The workload makes no tokens: its [`StateKey`] comes from this secret instead.
//! - [`ShareSecret`]: a steward's share `s_j` of the matching key and its blinds `r_ij`.
//!
//! Derivation: HKDF-SHA-512 with empty salt, the 32-byte secret as key material, and `lp`s as `info`; scalars from 64 bytes
//! little-endian, reduced mod l. Nothing here has `Debug`, `Copy` or `Serialize` of a secret; all is wiped on drop.

use std::fmt;

use datafuse_group::Scalar;
use ed25519_dalek::{Signer, SigningKey};
use hkdf::Hkdf;
use minicbor::{Decode, Encode};
use rand_core::CryptoRng;
use sha2::Sha512;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    cbor,
    error::{Error, Result},
    id::Epoch,
    lp::Lp,
    name::PublicName,
    root::Root,
    seal::ReceiveKey,
};

const VERSION: u64 = 1;
const WHAT: &str = "key file";

/// Everything secret that one party has.
pub struct PartyKeys {
    identity: Identity,
    token: TokenSecret,
    former: Vec<TokenSecret>,
    share: ShareSecret,
}

impl PartyKeys {
    /// Draws new keys.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self {
            identity: Identity::generate(rng),
            token: TokenSecret::generate(rng),
            former: Vec::new(),
            share: ShareSecret(random(rng)),
        }
    }

    /// The key to sign and the key to receive.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The token secret in use.
    #[must_use]
    pub fn token(&self) -> &TokenSecret {
        &self.token
    }

    /// Token secrets that were replaced, newest first.
    #[must_use]
    pub fn former(&self) -> &[TokenSecret] {
        &self.former
    }

    /// The steward's secret.
    #[must_use]
    pub fn share(&self) -> &ShareSecret {
        &self.share
    }

    /// Encodes the body of a key file: `[version, sign, receive, [key id, secret], [[key id, secret]...], share]`.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let token = |secret: &TokenSecret| TokenForm { key_id: secret.key_id.0, secret: *secret.secret };
        Zeroizing::new(cbor::encode(&KeysForm {
            version: VERSION,
            sign: self.identity.sign.to_bytes(),
            receive: *self.identity.receive.as_bytes(),
            token: token(&self.token),
            former: self.former.iter().map(token).collect(),
            share: *self.share.0,
        }))
    }

    /// Decodes the body of a key file.
    ///
    /// # Errors
    /// [`Error::UnknownVersion`], [`Error::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        cbor::check_version(bytes, WHAT, VERSION)?;
        let form: KeysForm = cbor::decode(bytes, WHAT)?;
        let token = |form: &TokenForm| TokenSecret { key_id: KeyId(form.key_id), secret: Zeroizing::new(form.secret) };
        Ok(Self {
            identity: Identity {
                sign: SigningKey::from_bytes(&form.sign),
                receive: ReceiveKey::from_bytes(form.receive),
            },
            token: token(&form.token),
            former: form.former.iter().map(token).collect(),
            share: ShareSecret(Zeroizing::new(form.share)),
        })
    }
}

#[derive(Encode, Decode, Zeroize, ZeroizeOnDrop)]
#[cbor(array)]
struct KeysForm {
    #[n(0)]
    version: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    sign: [u8; 32],
    #[cbor(n(2), with = "minicbor::bytes")]
    receive: [u8; 32],
    #[n(3)]
    token: TokenForm,
    #[n(4)]
    former: Vec<TokenForm>,
    #[cbor(n(5), with = "minicbor::bytes")]
    share: [u8; 32],
}

#[derive(Encode, Decode, Zeroize, ZeroizeOnDrop)]
#[cbor(array)]
struct TokenForm {
    #[cbor(n(0), with = "minicbor::bytes")]
    key_id: [u8; KeyId::BYTES],
    #[cbor(n(1), with = "minicbor::bytes")]
    secret: [u8; 32],
}

/// The keys by which others know a party: it signs with one and receives with the other.
pub struct Identity {
    sign: SigningKey,
    receive: ReceiveKey,
}

impl Identity {
    /// Draws a new identity.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self { sign: SigningKey::from_bytes(&random(rng)), receive: ReceiveKey::generate(rng) }
    }

    /// The public half.
    ///
    /// # Panics
    /// Never: a key pair's public halves always make a name.
    #[must_use]
    pub fn public_name(&self) -> PublicName {
        PublicName::new(self.sign.verifying_key().to_bytes(), self.receive.public())
            .expect("the public halves of a key pair are a valid name")
    }

    /// The key that opens what is sealed to the public name.
    #[must_use]
    pub fn receive_key(&self) -> &ReceiveKey {
        &self.receive
    }

    /// Signs bytes with Ed25519 (RFC 8032). Constant-time.
    pub(crate) fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.sign.sign(bytes).to_bytes()
    }
}

/// Names one token secret of a holder: 16 random bytes, public.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; Self::BYTES]);

impl KeyId {
    /// Length in bytes.
    pub const BYTES: usize = 16;

    /// Takes the bytes of a key id read from a file.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// Gives the bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// What a holder's token key is derived from.
pub struct TokenSecret {
    key_id: KeyId,
    secret: Zeroizing<[u8; 32]>,
}

impl TokenSecret {
    /// Draws a new secret with a new key id.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut key_id = [0; KeyId::BYTES];
        rng.fill_bytes(&mut key_id);
        Self { key_id: KeyId(key_id), secret: random(rng) }
    }

    /// The public name of this secret.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Derives `k_i`, the token key of one space and epoch.
    ///
    /// # Errors
    /// [`Error::InvalidScalar`] where it is zero (once in 2^252 secrets).
    pub fn token_key(&self, root: &Root, epoch: Epoch) -> Result<TokenKey> {
        let info = Lp::labelled("datafuse/v1/token-key")
            .field(root.as_bytes())
            .integer(epoch.0)
            .field(&self.key_id.0)
            .into_bytes();
        derive_scalar(&self.secret, &info, "token key").map(TokenKey)
    }

    /// Derives the key under which a workload seals its state for one space.
    #[must_use]
    pub fn state_key(&self, root: &Root) -> StateKey {
        let info = Lp::labelled("datafuse/v1/state-key").field(root.as_bytes()).into_bytes();
        let mut key = Zeroizing::new([0; 32]);
        expand(&self.secret, &info, key.as_mut());
        StateKey(key)
    }
}

/// `k_i`: what turns a holder's normalised identifiers into its tokens. Never zero.
#[derive(Clone)]
pub struct TokenKey(pub(crate) Scalar);

/// The symmetric key under which a workload seals the secrets in its state.
pub struct StateKey(Zeroizing<[u8; 32]>);

impl StateKey {
    /// Gives the 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What a steward's share and blinds are derived from.
pub struct ShareSecret(Zeroizing<[u8; 32]>);

impl ShareSecret {
    /// Derives `s_j`, this steward's share of the matching key of one space and epoch.
    pub(crate) fn share(&self, root: &Root, epoch: Epoch) -> Result<Scalar> {
        let info = Lp::labelled("datafuse/v1/share").field(root.as_bytes()).integer(epoch.0).into_bytes();
        derive_scalar(&self.0, &info, "share")
    }

    /// Derives `r_ij`, this steward's blind for one holder.
    pub(crate) fn blind(&self, root: &Root, epoch: Epoch, holder: &PublicName) -> Result<Scalar> {
        let info = Lp::labelled("datafuse/v1/blind")
            .field(root.as_bytes())
            .integer(epoch.0)
            .field(&holder.to_bytes())
            .into_bytes();
        derive_scalar(&self.0, &info, "blind")
    }
}

fn derive_scalar(secret: &[u8; 32], info: &[u8], what: &'static str) -> Result<Scalar> {
    let mut wide = Zeroizing::new([0; 64]);
    expand(secret, info, wide.as_mut());
    let scalar = Scalar::from_wide_bytes(&wide);
    if scalar.is_zero() { Err(Error::InvalidScalar { what }) } else { Ok(scalar) }
}

fn expand(secret: &[u8; 32], info: &[u8], out: &mut [u8]) {
    Hkdf::<Sha512>::new(None, secret).expand(info, out).expect("64 bytes are within the limit of HKDF-SHA-512");
}

fn random<const N: usize>(rng: &mut impl CryptoRng) -> Zeroizing<[u8; N]> {
    let mut bytes = Zeroizing::new([0; N]);
    rng.fill_bytes(bytes.as_mut());
    bytes
}

/// Fixed keys for tests: the same seed, the same keys.
#[cfg(test)]
pub(crate) fn test_keys(seed: u64) -> PartyKeys {
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
    PartyKeys::generate(&mut ChaCha20Rng::seed_from_u64(seed))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn encoding_round_trips_and_refuses_other_bytes() {
        let keys = test_keys(1);
        let bytes = keys.encode();
        let again = PartyKeys::decode(&bytes).unwrap();
        assert_eq!(again.identity().public_name(), keys.identity().public_name());
        assert_eq!(again.encode().as_slice(), bytes.as_slice());

        for cut in 0..bytes.len() {
            assert!(PartyKeys::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(matches!(PartyKeys::decode(&longer), Err(Error::Malformed { .. })));
        let mut newer = bytes.to_vec();
        newer[1] = 2;
        assert!(matches!(PartyKeys::decode(&newer), Err(Error::UnknownVersion { found: 2, .. })));
    }

    #[test]
    fn derived_keys_differ_by_root_epoch_key_and_purpose() {
        let (root, other) = (Root::from_bytes([1; 32]), Root::from_bytes([2; 32]));
        let (keys, name) = (test_keys(1), test_keys(2).identity().public_name());
        let scalars = [
            keys.token().token_key(&root, Epoch(1)).unwrap().0,
            keys.token().token_key(&root, Epoch(2)).unwrap().0,
            keys.token().token_key(&other, Epoch(1)).unwrap().0,
            test_keys(2).token().token_key(&root, Epoch(1)).unwrap().0,
            keys.share().share(&root, Epoch(1)).unwrap(),
            keys.share().share(&root, Epoch(2)).unwrap(),
            keys.share().blind(&root, Epoch(1), &name).unwrap(),
            keys.share().blind(&root, Epoch(1), &keys.identity().public_name()).unwrap(),
        ];
        let distinct: std::collections::BTreeSet<_> = scalars.iter().map(Scalar::to_bytes).collect();
        assert_eq!(distinct.len(), scalars.len());
    }
}
