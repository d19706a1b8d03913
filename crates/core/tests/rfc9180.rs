#![allow(clippy::unwrap_used)]
//! RFC 9180, appendix A.2.1: the sealing that messages and dataset keys travel under.
//!
//! DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305, base mode, as the `hpke` crate does it. Both directions:
//! what the appendix sealed opens, and the same ephemeral key seals the same bytes.

use std::convert::Infallible;

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, HpkeError, Kem, OpModeR, OpModeS, Serializable, setup_receiver, setup_sender_with_rng};
use serde_json::Value;

type PrivateKey = <X25519HkdfSha256 as Kem>::PrivateKey;
type PublicKey = <X25519HkdfSha256 as Kem>::PublicKey;
type EncappedKey = <X25519HkdfSha256 as Kem>::EncappedKey;
type Receiver = hpke::aead::AeadCtxR<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>;

/// A source of randomness that gives out the appendix's ikmE, once: the ephemeral key is derived from it.
struct Once(Option<Vec<u8>>);

impl TryRng for Once {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("only bytes are drawn")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("only bytes are drawn")
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.copy_from_slice(&self.0.take().expect("drawn once"));
        Ok(())
    }
}

impl TryCryptoRng for Once {}

fn vectors() -> Value {
    let file: Value =
        serde_json::from_str(include_str!("../../../test-vectors/rfc9180_base_x25519_chacha20poly1305.json")).unwrap();
    assert_eq!(file["encryptions"].as_array().unwrap().len(), 6);
    file
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn receiver(file: &Value, info: &[u8]) -> Receiver {
    let private = PrivateKey::from_bytes(&bytes(&file["sk_rm"])).unwrap();
    let enc = EncappedKey::from_bytes(&bytes(&file["enc"])).unwrap();
    setup_receiver(&OpModeR::Base, &private, &enc, info).unwrap()
}

#[test]
fn derives_the_recipient_key_of_the_appendix() {
    let file = vectors();
    let private = PrivateKey::from_bytes(&bytes(&file["sk_rm"])).unwrap();
    let public = X25519HkdfSha256::sk_to_pk(&private);
    assert_eq!(public.to_bytes().to_vec(), bytes(&file["pk_rm"]));
    let (_, derived) = X25519HkdfSha256::derive_keypair(&bytes(&file["ikm_r"]));
    assert_eq!(derived.to_bytes(), public.to_bytes());
}

#[test]
fn opens_what_the_appendix_sealed() {
    let file = vectors();
    let mut receiver = receiver(&file, &bytes(&file["info"]));
    // The first three follow one another.
    for vector in &file["encryptions"].as_array().unwrap()[..3] {
        let opened = receiver.open(&bytes(&vector["ct"]), &bytes(&vector["aad"])).unwrap();
        assert_eq!(opened, bytes(&vector["pt"]));
    }
}

#[test]
fn seals_what_the_appendix_sealed() {
    let file = vectors();
    let info = bytes(&file["info"]);
    let public = PublicKey::from_bytes(&bytes(&file["pk_rm"])).unwrap();
    let (enc, mut sender) = setup_sender_with_rng::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeS::Base,
        &public,
        &info,
        &mut Once(Some(bytes(&file["ikm_e"]))),
    )
    .unwrap();
    assert_eq!(enc.to_bytes().to_vec(), bytes(&file["enc"]));

    // The appendix leaves numbers out; the ones between are sealed and opened here, to get to the next of its.
    let mut receiver = receiver(&file, &info);
    let encryptions = file["encryptions"].as_array().unwrap();
    let plaintext = bytes(&encryptions[0]["pt"]);
    let mut checked = 0;
    for number in 0..=256u64 {
        let aad = format!("Count-{number}").into_bytes();
        let sealed = sender.seal(&plaintext, &aad).unwrap();
        if let Some(vector) = encryptions.iter().find(|v| v["sequence_number"].as_u64() == Some(number)) {
            assert_eq!(bytes(&vector["aad"]), aad);
            assert_eq!(sealed, bytes(&vector["ct"]), "number {number}");
            checked += 1;
        }
        assert_eq!(receiver.open(&sealed, &aad).unwrap(), plaintext);
    }
    assert_eq!(checked, 6);
}

#[test]
fn opens_nothing_under_other_info_aad_or_bytes() {
    let file = vectors();
    let info = bytes(&file["info"]);
    let first = &file["encryptions"][0];
    let (sealed, aad) = (bytes(&first["ct"]), bytes(&first["aad"]));

    let refused = |info: &[u8], sealed: &[u8], aad: &[u8]| {
        assert_eq!(receiver(&file, info).open(sealed, aad), Err(HpkeError::OpenError));
    };
    refused(b"another purpose", &sealed, &aad);
    refused(&info, &sealed, b"");
    refused(&info, &sealed[..15], &aad);
    for position in [0, sealed.len() - 1] {
        let mut changed = sealed.clone();
        changed[position] ^= 1;
        refused(&info, &changed, &aad);
    }
    assert!(receiver(&file, &info).open(&sealed, &aad).is_ok());
}
