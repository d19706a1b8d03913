//! Sealing to one receiver: HPKE (RFC 9180) base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305, empty `aad`.
//!
//! Base mode proves nothing about the sender; who sent it is proved by an Ed25519 signature around it. (Not HPKE's
//! authenticated mode: whoever steals a receiver's key could forge any sender to that receiver.)

use hpke::{
    Deserializable, Kem as _, OpModeR, OpModeS, Serializable, aead::ChaCha20Poly1305, kdf::HkdfSha256,
    kem::X25519HkdfSha256, single_shot_open, single_shot_seal_with_rng,
};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::{
    error::{Error, Result},
    lp::Lp,
};

type Kem = X25519HkdfSha256;

/// An X25519 secret key to open what is sealed to its public half.
pub struct ReceiveKey(Zeroizing<[u8; 32]>);

impl ReceiveKey {
    /// Draws a new key.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        rng.fill_bytes(key.as_mut());
        Self(key)
    }

    /// Takes the stored form.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Gives the stored form, to be sealed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Computes the public half.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        Kem::sk_to_pk(&self.hpke()).to_bytes().into()
    }

    /// Opens what [`seal`] made.
    ///
    /// # Errors
    /// [`Error::Unopenable`] where key, `info` or any byte is another.
    pub(crate) fn open(&self, what: &'static str, info: &[u8], sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>> {
        let unopenable = |_| Error::Unopenable { what };
        let encapped = <Kem as hpke::Kem>::EncappedKey::from_bytes(&sealed.enc).map_err(unopenable)?;
        single_shot_open::<ChaCha20Poly1305, HkdfSha256, Kem>(
            &OpModeR::Base,
            &self.hpke(),
            &encapped,
            info,
            &sealed.ciphertext,
            &[],
        )
        .map(Zeroizing::new)
        .map_err(unopenable)
    }

    fn hpke(&self) -> <Kem as hpke::Kem>::PrivateKey {
        <Kem as hpke::Kem>::PrivateKey::from_bytes(self.0.as_slice()).expect("any 32 bytes are an X25519 secret key")
    }
}

/// What HPKE gives: the encapsulated key and the ciphertext with its tag.
pub(crate) struct Sealed {
    pub(crate) enc: [u8; 32],
    pub(crate) ciphertext: Vec<u8>,
}

impl Sealed {
    /// What its sender signs: all of it, and what it is bound to.
    pub(crate) fn signed_with(&self, info: &[u8]) -> Vec<u8> {
        Lp::default().field(info).field(&self.enc).field(&self.ciphertext).into_bytes()
    }
}

/// Seals a plaintext to a receiver's public key, bound to `info`.
///
/// # Errors
/// [`Error::Unopenable`] where the receiver's key is not usable (a point of small order).
pub(crate) fn seal(
    what: &'static str,
    receiver: &[u8; 32],
    info: &[u8],
    plaintext: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Sealed> {
    let unusable = |_| Error::Unopenable { what };
    let receiver = <Kem as hpke::Kem>::PublicKey::from_bytes(receiver).map_err(unusable)?;
    let (enc, ciphertext) = single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, Kem>(
        &OpModeS::Base,
        &receiver,
        info,
        plaintext,
        &[],
        rng,
    )
    .map_err(unusable)?;
    Ok(Sealed { enc: enc.to_bytes().into(), ciphertext })
}
