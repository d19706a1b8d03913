#![allow(clippy::unwrap_used)]
//! What holds for all scalars and all messages, over batches of every length from 0 to 33.
//!
//! Cases are drawn from a fixed seed, so that every run checks the same ones.

use datafuse_group::{PointError, Scalar, decode, decode_mul_encode, encode, hash_mul_encode, hash_to_group, mul};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, RngSeed};
use subtle::ConstantTimeEq;

const DST: &[u8] = b"PROPERTIES-V01-R255_XMD:SHA-512_R255MAP_RO_";

fn fixed_seed() -> ProptestConfig {
    ProptestConfig {
        cases: 64,
        failure_persistence: None,
        rng_algorithm: RngAlgorithm::ChaCha,
        rng_seed: RngSeed::Fixed(0x0da7_af05_e000_0001),
        ..ProptestConfig::default()
    }
}

prop_compose! {
    fn any_scalar()(low in any::<[u8; 32]>(), high in any::<[u8; 32]>()) -> Scalar {
        let mut wide = [0; 64];
        wide[..32].copy_from_slice(&low);
        wide[32..].copy_from_slice(&high);
        Scalar::from_wide_bytes(&wide)
    }
}

fn any_messages() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..=150), 0..=33)
}

fn borrowed(messages: &[Vec<u8>]) -> Vec<&[u8]> {
    messages.iter().map(Vec::as_slice).collect()
}

fn hash_mul(messages: &[Vec<u8>], k: &Scalar) -> Vec<[u8; 32]> {
    let mut out = vec![[0xaa; 32]; messages.len()];
    hash_mul_encode(DST, &borrowed(messages), k, &mut out);
    out
}

fn decode_mul(encodings: &[[u8; 32]], k: &Scalar) -> Vec<[u8; 32]> {
    let mut out = vec![[0xaa; 32]; encodings.len()];
    decode_mul_encode(k, encodings, &mut out).unwrap();
    out
}

proptest! {
    #![proptest_config(fixed_seed())]

    #[test]
    fn multiplying_twice_is_multiplying_by_the_product(
        messages in any_messages(), a in any_scalar(), b in any_scalar(),
    ) {
        let points = hash_to_group(DST, &borrowed(&messages));
        let twice = encode(&mul(&b, &mul(&a, &points)));
        prop_assert_eq!(&twice, &encode(&mul(&a.mul(&b), &points)));
        prop_assert_eq!(&twice, &encode(&mul(&a, &mul(&b, &points))));
        prop_assert_eq!(&twice, &decode_mul(&hash_mul(&messages, &a), &b));
    }

    #[test]
    fn dividing_undoes_multiplying(messages in any_messages(), a in any_scalar()) {
        let plain = encode(&hash_to_group(DST, &borrowed(&messages)));
        prop_assert_eq!(decode_mul(&hash_mul(&messages, &a), &a.invert()), plain);
    }

    #[test]
    fn decoding_undoes_encoding(messages in any_messages()) {
        let encodings = encode(&hash_to_group(DST, &borrowed(&messages)));
        prop_assert_eq!(&encode(&decode(&encodings).unwrap()), &encodings);
    }

    #[test]
    fn whole_paths_are_their_steps(messages in any_messages(), k in any_scalar()) {
        let points = hash_to_group(DST, &borrowed(&messages));
        let expected = encode(&mul(&k, &points));
        prop_assert_eq!(&hash_mul(&messages, &k), &expected);
        prop_assert_eq!(&decode_mul(&encode(&points), &k), &expected);
    }

    #[test]
    fn batch_is_one_by_one(messages in any_messages(), k in any_scalar()) {
        let together = hash_mul(&messages, &k);
        for (message, expected) in messages.iter().zip(&together) {
            prop_assert_eq!(&hash_mul(std::slice::from_ref(message), &k)[0], expected);
        }
        let fused = decode_mul(&together, &k);
        for (encoding, expected) in together.iter().zip(&fused) {
            prop_assert_eq!(&decode_mul(std::slice::from_ref(encoding), &k)[0], expected);
        }
    }

    /// Random bytes are a canonical encoding about once in 16: what is accepted must come back unchanged.
    #[test]
    fn accepts_only_what_it_would_write(bytes in any::<[u8; 32]>()) {
        match decode(&[bytes]) {
            Ok(points) => prop_assert_eq!(encode(&points), [bytes]),
            Err(error) => prop_assert_eq!(error, PointError::NotCanonical { index: 0 }),
        }
    }

    #[test]
    fn scalars_form_a_field(a in any_scalar(), b in any_scalar(), c in any_scalar()) {
        let equal = |x: &Scalar, y: &Scalar| bool::from(x.ct_eq(y));
        prop_assert!(equal(&a.mul(&b), &b.mul(&a)));
        prop_assert!(equal(&a.mul(&b).mul(&c), &a.mul(&b.mul(&c))));
        prop_assert!(equal(&a.mul(&b).mul(&b.invert()), &a));
        prop_assert!(equal(&a.mul(&b).invert(), &a.invert().mul(&b.invert())));
        prop_assert!(!equal(&a, &b));
        prop_assert!(equal(&Scalar::from_canonical_bytes(&a.to_bytes()).unwrap(), &a));
    }

    #[test]
    fn multiples_of_the_generator_agree(a in any_scalar(), b in any_scalar()) {
        let expected = a.mul(&b).mul_base_encoded();
        prop_assert_eq!(decode_mul(&[a.mul_base_encoded()], &b), [expected]);
    }
}

/// Lengths are drawn at random above; here each one is met.
#[test]
fn every_length_from_0_to_33_is_its_prefix() {
    let messages: Vec<Vec<u8>> = (0..33u8).map(|i| vec![i; i.into()]).collect();
    let k = Scalar::from_wide_bytes(&[0x5a; 64]);
    let all = hash_mul(&messages, &k);
    let fused = decode_mul(&all, &k);
    for count in 0..=33 {
        assert_eq!(hash_mul(&messages[..count], &k), all[..count]);
        assert_eq!(decode_mul(&all[..count], &k), fused[..count]);
    }
}

#[test]
fn another_tag_gives_other_elements() {
    let hashed = encode(&hash_to_group(DST, &[b"x"]));
    assert_ne!(hashed, encode(&hash_to_group(b"OTHER-TAG", &[b"x"])));
    assert_ne!(hashed, encode(&hash_to_group(DST, &[b"y"])));
}
