#![allow(clippy::unwrap_used)]
//! What every backend must do, checked on each with the same functions.
//!
//! Comes in through `suite!`, which a backend's tests call with its type. Expected values are those of RFC 9496,
//! appendix A, and, beyond them, of dalek one point at a time.

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use serde_json::Value;

use super::{Kernel, POINTS_PER_PIECE};
use crate::error::PointError;
use crate::hash::{Expander, UniformBatch};
use crate::scalar::Scalar;

/// Makes one test of each check, for one backend.
macro_rules! suite {
    ($backend:ty) => {
        use crate::backend::conformance as check;

        #[test]
        fn encodes_the_multiples_of_the_generator() {
            check::encodes_the_multiples_of_the_generator::<$backend>();
        }

        #[test]
        fn rejects_every_invalid_encoding_of_rfc_9496() {
            check::rejects_every_invalid_encoding_of_rfc_9496::<$backend>();
        }

        #[test]
        fn maps_uniform_bytes_as_rfc_9496() {
            check::maps_uniform_bytes_as_rfc_9496::<$backend>();
        }

        #[test]
        fn rejects_identity_point() {
            check::rejects_identity_point::<$backend>();
        }

        #[test]
        fn names_the_first_bad_encoding() {
            check::names_the_first_bad_encoding::<$backend>();
        }

        #[test]
        fn agrees_with_dalek_at_every_length() {
            check::agrees_with_dalek_at_every_length::<$backend>();
        }

        #[test]
        fn zero_scalar_gives_the_identity() {
            check::zero_scalar_gives_the_identity::<$backend>();
        }
    };
}
pub(crate) use suite;

const DST: &[u8] = b"CONFORMANCE-V01-R255_XMD:SHA-512_R255MAP_RO_";

/// Lengths with every remainder of a small lane count, and both sides of the edges between pieces.
fn ragged_lengths() -> impl Iterator<Item = usize> {
    (0..=33).chain([POINTS_PER_PIECE - 1, POINTS_PER_PIECE, POINTS_PER_PIECE + 1, 2 * POINTS_PER_PIECE + 1])
}

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../../test-vectors/rfc9496_ristretto255.json")).unwrap()
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    hex::decode(value.as_str().unwrap()).unwrap().try_into().unwrap()
}

fn small(value: u8) -> Scalar {
    let mut bytes = [0; 32];
    bytes[0] = value;
    Scalar::from_canonical_bytes(&bytes).unwrap()
}

fn scalar() -> Scalar {
    Scalar::from_wide_bytes(&std::array::from_fn(|i| (i * 37 + 11) as u8))
}

fn messages(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|i| format!("message {i}").into_bytes().repeat(i % 13)).collect()
}

fn borrowed(messages: &[Vec<u8>]) -> Vec<&[u8]> {
    messages.iter().map(Vec::as_slice).collect()
}

fn encode<B: Kernel>(points: &B::Points, count: usize) -> Vec<[u8; 32]> {
    let mut encodings = vec![[0xaa; 32]; count];
    B::encode(points, &mut encodings);
    encodings
}

/// H one message at a time, on dalek alone but for the expansion, which has vectors of its own.
fn naive_hash(expander: &Expander, message: &[u8]) -> RistrettoPoint {
    RistrettoPoint::from_uniform_bytes(&UniformBatch::with_len(1).fill(expander, &[message])[0])
}

pub(crate) fn encodes_the_multiples_of_the_generator<B: Kernel>() {
    let file = vectors();
    let multiples = file["multiples_of_the_generator"].as_array().unwrap();
    assert_eq!(multiples.len(), 16);
    let generator = B::decode(&[array(&multiples[1])]).ok().unwrap();
    for (i, expected) in multiples.iter().enumerate() {
        let expected: [u8; 32] = array(expected);
        let k = small(i as u8);
        assert_eq!(encode::<B>(&B::mul(&k, &generator), 1), [expected], "{i}*G");
        let mut together = [[0xff; 32]];
        B::mul_encode(&k, &generator, &mut together);
        assert_eq!(together, [expected], "{i}*G");
        assert_eq!(k.mul_base_encoded(), expected, "{i}*G");
        if i > 0 {
            let decoded = B::decode(&[expected]).ok().unwrap();
            assert_eq!(encode::<B>(&decoded, 1), [expected], "{i}*G");
        }
    }
}

pub(crate) fn rejects_every_invalid_encoding_of_rfc_9496<B: Kernel>() {
    let file = vectors();
    let invalid = file["invalid_encodings"].as_array().unwrap();
    assert_eq!(invalid.len(), 29);
    for vector in invalid {
        assert_eq!(
            B::decode(&[array(&vector["encoding"])]).err(),
            Some(PointError::NotCanonical { index: 0 }),
            "{}",
            vector["reason"]
        );
    }
}

pub(crate) fn maps_uniform_bytes_as_rfc_9496<B: Kernel>() {
    let file = vectors();
    let vectors = file["one_way_map"].as_array().unwrap();
    assert_eq!(vectors.len(), 11);
    let uniform: Vec<[u8; 64]> = vectors.iter().map(|v| array(&v["uniform_bytes"])).collect();
    let expected: Vec<[u8; 32]> = vectors.iter().map(|v| array(&v["encoding"])).collect();
    assert_eq!(encode::<B>(&B::map_to_group(&uniform), 11), expected);
}

pub(crate) fn rejects_identity_point<B: Kernel>() {
    assert_eq!(B::decode(&[[0; 32]]).err(), Some(PointError::Identity { index: 0 }));
    assert_eq!(B::decode_mul_encode(&scalar(), &[[0; 32]], &mut [[0xff; 32]]), Err(PointError::Identity { index: 0 }));
}

pub(crate) fn names_the_first_bad_encoding<B: Kernel>() {
    let count = 2 * POINTS_PER_PIECE + 7;
    let good = small(5).mul_base_encoded();
    for first in [0, 1, POINTS_PER_PIECE - 1, POINTS_PER_PIECE, 2 * POINTS_PER_PIECE + 6] {
        for (bad, error) in
            [([0xff; 32], PointError::NotCanonical { index: first }), ([0; 32], PointError::Identity { index: first })]
        {
            let mut encodings = vec![good; count];
            encodings[first] = bad;
            // One that is bad in the other way, after the first.
            if let Some(later) = encodings.get_mut(first + 3) {
                *later = [bad[0] ^ 0xff; 32];
            }
            assert_eq!(B::decode(&encodings).err(), Some(error));
            let mut out = vec![[0xaa; 32]; count];
            assert_eq!(B::decode_mul_encode(&scalar(), &encodings, &mut out), Err(error));
            assert!(out.iter().all(|o| *o == [0; 32]), "half a result was left behind");
        }
    }
}

pub(crate) fn agrees_with_dalek_at_every_length<B: Kernel>() {
    let expander = Expander::new(DST);
    let k = scalar();
    for count in ragged_lengths() {
        let messages = messages(count);
        let messages = borrowed(&messages);
        let naive: Vec<RistrettoPoint> = messages.iter().map(|m| naive_hash(&expander, m)).collect();
        let hashed: Vec<[u8; 32]> = naive.iter().map(|p| p.compress().to_bytes()).collect();
        let expected: Vec<[u8; 32]> = naive.iter().map(|p| (p * k.as_dalek()).compress().to_bytes()).collect();

        let mut uniform = UniformBatch::with_len(count);
        let points = B::map_to_group(uniform.fill(&expander, &messages));
        assert_eq!(encode::<B>(&points, count), hashed, "map, {count} points");
        let points = B::hash_to_group(&expander, &messages);
        assert_eq!(encode::<B>(&points, count), hashed, "hash, {count} points");
        assert_eq!(encode::<B>(&B::mul(&k, &points), count), expected, "mul, {count} points");

        let decoded = B::decode(&hashed).ok().unwrap();
        assert_eq!(encode::<B>(&decoded, count), hashed, "decode, {count} points");

        let mut out = vec![[0xaa; 32]; count];
        B::hash_mul_encode(&expander, &messages, &k, &mut out);
        assert_eq!(out, expected, "hash_mul_encode, {count} points");

        out.fill([0xaa; 32]);
        B::decode_mul_encode(&k, &hashed, &mut out).unwrap();
        assert_eq!(out, expected, "decode_mul_encode, {count} points");

        out.fill([0xaa; 32]);
        B::mul_encode(&k, &decoded, &mut out);
        assert_eq!(out, expected, "mul_encode, {count} points");
    }
}

pub(crate) fn zero_scalar_gives_the_identity<B: Kernel>() {
    let expander = Expander::new(DST);
    let zero = small(0);
    let messages = messages(5);
    let mut out = [[0xaa; 32]; 5];
    B::hash_mul_encode(&expander, &borrowed(&messages), &zero, &mut out);
    assert_eq!(out, [[0; 32]; 5]);

    let encodings = [small(1), small(2), scalar()].map(|k| k.mul_base_encoded());
    let mut out = [[0xaa; 32]; 3];
    B::decode_mul_encode(&zero, &encodings, &mut out).unwrap();
    assert_eq!(out, [[0; 32]; 3]);

    // One identity among others spoils none of them, though all share one inversion.
    let mut points = B::decode(&encodings).ok().unwrap();
    B::put_identity(&mut points, 1);
    let k = scalar();
    B::mul_encode(&k, &points, &mut out);
    assert_eq!(out[1], [0; 32]);
    for i in [0, 2] {
        let alone = CompressedRistretto(encodings[i]).decompress().unwrap() * k.as_dalek();
        assert_eq!(out[i], alone.compress().to_bytes());
    }
}
