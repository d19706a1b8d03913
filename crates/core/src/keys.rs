//! A party's secrets: one file, three independent secrets, and everything that is derived from them.
//!
//! - [`Identity`]: an Ed25519 key to sign and an X25519 key to receive; its public half is the [`PublicName`].
//! - [`TokenSecret`]: the holder's token key `k_i` is derived from it; replaced on rotation, the former kept until every
//!   file made with it is re-tokenised. The workload makes no tokens: its [`StateKey`] comes from this secret instead.
//! - [`ShareSecret`]: a steward's share `s_j` of the matching key and its blinds `r_ij`.
//!
//! What was replaced stays in the file as long as something needs it: former token secrets and identities open the holder's
//! own earlier datasets, and a former share secret serves its epoch to the end.
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
    share: ShareSecret,
    former: Former,
}

/// What was replaced, newest first.
#[derive(Default)]
struct Former {
    tokens: Vec<TokenSecret>,
    shares: Vec<ShareSecret>,
    identities: Vec<FormerIdentity>,
}

impl PartyKeys {
    /// Draws new keys.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self {
            identity: Identity::generate(rng),
            token: TokenSecret::generate(rng),
            share: ShareSecret::generate(rng),
            former: Former::default(),
        }
    }

    /// Draws a new token secret, and keeps the former one for what was made with it.
    pub fn rotate(&mut self, rng: &mut impl CryptoRng) {
        let former = std::mem::replace(&mut self.token, TokenSecret::generate(rng));
        self.former.tokens.insert(0, former);
    }

    /// Draws everything anew, after a leak: identity, token secret and share secret. Of the former identity only what opens
    /// the holder's own datasets is kept; its signing key is gone.
    pub fn replace(&mut self, rng: &mut impl CryptoRng) {
        self.rotate(rng);
        let share = std::mem::replace(&mut self.share, ShareSecret::generate(rng));
        self.former.shares.insert(0, share);
        let identity = std::mem::replace(&mut self.identity, Identity::generate(rng));
        self.former.identities.insert(0, FormerIdentity::of(identity));
    }

    /// Wipes former token secrets and identities: files made with them can no longer be opened or re-tokenised. Former share
    /// secrets stay, as one may still serve an epoch, unless `shares` says that none does.
    pub fn forget_former(&mut self, shares: bool) {
        self.former.tokens.clear();
        self.former.identities.clear();
        if shares {
            self.former.shares.clear();
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
    pub fn former_tokens(&self) -> &[TokenSecret] {
        &self.former.tokens
    }

    /// The token secret of a key id, in use or replaced.
    #[must_use]
    pub fn token_of(&self, key_id: KeyId) -> Option<&TokenSecret> {
        std::iter::once(&self.token).chain(&self.former.tokens).find(|secret| secret.key_id == key_id)
    }

    /// The steward's secret in use.
    #[must_use]
    pub fn share(&self) -> &ShareSecret {
        &self.share
    }

    /// Share secrets that were replaced, newest first.
    #[must_use]
    pub fn former_shares(&self) -> &[ShareSecret] {
        &self.former.shares
    }

    /// Identities that were replaced, newest first.
    #[must_use]
    pub fn former_identities(&self) -> &[FormerIdentity] {
        &self.former.identities
    }

    /// Encodes the body of a key file: `[version, sign, receive, [key id, secret], share, [[key id, secret]...], [share...],
    /// [[verify, receive]...]]`.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let token = |secret: &TokenSecret| TokenForm { key_id: secret.key_id.0, secret: *secret.secret };
        Zeroizing::new(cbor::encode(&KeysForm {
            version: VERSION,
            sign: self.identity.sign.to_bytes(),
            receive: *self.identity.receive.as_bytes(),
            token: token(&self.token),
            share: *self.share.0,
            former_tokens: self.former.tokens.iter().map(token).collect(),
            former_shares: self.former.shares.iter().map(|share| (*share.0).into()).collect(),
            former_identities: self
                .former
                .identities
                .iter()
                .map(|former| IdentityForm { verify: former.verify, receive: *former.receive.as_bytes() })
                .collect(),
        }))
    }

    /// Decodes the body of a key file.
    ///
    /// # Errors
    /// [`Error::UnknownVersion`], [`Error::Malformed`], [`Error::InvalidPublicName`] for a former identity.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        cbor::check_version(bytes, WHAT, VERSION)?;
        let form: KeysForm = cbor::decode(bytes, WHAT)?;
        let token = |form: &TokenForm| TokenSecret { key_id: KeyId(form.key_id), secret: Zeroizing::new(form.secret) };
        let identity = |form: &IdentityForm| {
            let former = FormerIdentity { verify: form.verify, receive: ReceiveKey::from_bytes(form.receive) };
            PublicName::new(former.verify, former.receive.public()).map(|_| former)
        };
        Ok(Self {
            identity: Identity {
                sign: SigningKey::from_bytes(&form.sign),
                receive: ReceiveKey::from_bytes(form.receive),
            },
            token: token(&form.token),
            share: ShareSecret(Zeroizing::new(form.share)),
            former: Former {
                tokens: form.former_tokens.iter().map(token).collect(),
                shares: form.former_shares.iter().map(|share| ShareSecret(Zeroizing::new(**share))).collect(),
                identities: form.former_identities.iter().map(identity).collect::<Result<_>>()?,
            },
        })
    }
}

#[derive(Encode, Decode)]
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
    #[cbor(n(4), with = "minicbor::bytes")]
    share: [u8; 32],
    #[n(5)]
    former_tokens: Vec<TokenForm>,
    #[n(6)]
    former_shares: Vec<minicbor::bytes::ByteArray<32>>,
    #[n(7)]
    former_identities: Vec<IdentityForm>,
}

impl Drop for KeysForm {
    fn drop(&mut self) {
        self.sign.zeroize();
        self.receive.zeroize();
        self.share.zeroize();
        self.former_shares.iter_mut().for_each(|share| share.zeroize());
    }
}

#[derive(Encode, Decode, Zeroize, ZeroizeOnDrop)]
#[cbor(array)]
struct TokenForm {
    #[cbor(n(0), with = "minicbor::bytes")]
    key_id: [u8; KeyId::BYTES],
    #[cbor(n(1), with = "minicbor::bytes")]
    secret: [u8; 32],
}

#[derive(Encode, Decode, Zeroize, ZeroizeOnDrop)]
#[cbor(array)]
struct IdentityForm {
    #[cbor(n(0), with = "minicbor::bytes")]
    verify: [u8; 32],
    #[cbor(n(1), with = "minicbor::bytes")]
    receive: [u8; 32],
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

/// What is kept of an identity that was replaced: enough to open what was sealed to it, not to sign as it.
pub struct FormerIdentity {
    verify: [u8; 32],
    receive: ReceiveKey,
}

impl FormerIdentity {
    fn of(identity: Identity) -> Self {
        Self { verify: identity.sign.verifying_key().to_bytes(), receive: identity.receive }
    }

    /// The public name that it had.
    ///
    /// # Panics
    /// Never: both halves were checked when they were read or made.
    #[must_use]
    pub fn public_name(&self) -> PublicName {
        PublicName::new(self.verify, self.receive.public()).expect("the halves of a former name are valid")
    }

    /// The key that opens what was sealed to that name.
    #[must_use]
    pub fn receive_key(&self) -> &ReceiveKey {
        &self.receive
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
    fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(random(rng))
    }

    /// Computes `S_j = s_j*G`, which tells one share of a space and epoch from another and gives nothing of it away.
    ///
    /// # Errors
    /// [`Error::InvalidScalar`] where the share is zero (once in 2^252).
    pub fn share_point(&self, root: &Root, epoch: Epoch) -> Result<[u8; 32]> {
        Ok(self.share(root, epoch)?.mul_base_encoded())
    }

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
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    use super::*;

    fn rng(seed: u64) -> ChaCha20Rng {
        ChaCha20Rng::seed_from_u64(seed)
    }

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
    fn rotating_keeps_the_former_token_secret_and_everything_else() {
        let (mut keys, before) = (test_keys(1), test_keys(1));
        keys.rotate(&mut rng(7));
        assert_eq!(keys.identity().public_name(), before.identity().public_name());
        assert_eq!(*keys.share().0, *before.share().0);
        assert_ne!(keys.token().key_id(), before.token().key_id());
        assert_eq!(*keys.token_of(before.token().key_id()).unwrap().secret, *before.token().secret);
        assert!(keys.token_of(test_keys(2).token().key_id()).is_none());
    }

    #[test]
    fn replacing_changes_all_three_secrets_and_keeps_what_opens_earlier_files() {
        let (mut keys, before) = (test_keys(1), test_keys(1));
        keys.replace(&mut rng(7));
        keys.replace(&mut rng(8));
        let again = PartyKeys::decode(&keys.encode()).unwrap();
        assert_eq!(again.encode().as_slice(), keys.encode().as_slice());
        let secrets = |keys: &PartyKeys| {
            (keys.identity.sign.to_bytes(), *keys.identity.receive.as_bytes(), *keys.token.secret, *keys.share.0)
        };
        let (now, then) = (secrets(&again), secrets(&before));
        assert!(now.0 != then.0 && now.1 != then.1 && now.2 != then.2 && now.3 != then.3);
        let former = &again.former_identities()[1];
        assert_eq!(former.public_name(), before.identity().public_name());
        assert_eq!(former.receive_key().as_bytes(), before.identity().receive_key().as_bytes());
        assert_eq!((again.former_tokens().len(), again.former_shares().len()), (2, 2));
        let signing_key = before.identity.sign.to_bytes();
        assert!(!again.encode().windows(32).any(|window| window == signing_key));

        keys.forget_former(false);
        assert!(keys.former_tokens().is_empty() && keys.former_identities().is_empty());
        assert_eq!(keys.former_shares().len(), 2);
        keys.forget_former(true);
        assert!(keys.former_shares().is_empty());
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
