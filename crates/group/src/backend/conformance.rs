#![allow(clippy::unwrap_used)]
//! What every backend must do, checked on each with the same functions.
//!
//! Comes in through `suite!`, which a backend's tests call with its type. Expected values are those of RFC 9496,
//! appendix A, and, beyond them, of dalek one point at a time.

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar as DalekScalar;
use num_bigint::BigUint;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::Value;

use super::{Backend, Kernel, POINTS_PER_PIECE};
use crate::error::PointError;
use crate::hash::{Expander, UniformBatch};
use crate::scalar::Scalar;

/// Makes one test of each check, for one backend. Where the processor cannot run the backend, the tests say so and do
/// nothing.
macro_rules! suite {
    ($backend:ty) => {
        crate::backend::conformance::suite! {
            $backend:
            encodes_the_multiples_of_the_generator,
            rejects_every_invalid_encoding_of_rfc_9496,
            maps_uniform_bytes_as_rfc_9496,
            rejects_identity_point,
            names_the_first_bad_encoding,
            names_the_first_bad_encoding_in_every_lane,
            refuses_exactly_what_dalek_refuses,
            agrees_with_dalek_at_every_length,
            agrees_with_dalek_on_boundary_scalars,
            one_changes_nothing_and_minus_one_negates,
            hashes_messages_of_different_lengths_side_by_side,
            zero_scalar_gives_the_identity,
        }
    };
    ($backend:ty: $($check:ident),* $(,)?) => {
        $(
            #[test]
            fn $check() {
                if crate::backend::conformance::is_here::<$backend>() {
                    crate::backend::conformance::$check::<$backend>();
                }
            }
        )*
    };
}
pub(crate) use suite;

/// Tells whether the processor can run the backend, and if not says why on stderr: no kernel may be called before
/// that is known.
pub(crate) fn is_here<B: Kernel>() -> bool {
    match Backend::named(B::NAME) {
        Ok(_) => true,
        Err(error) => {
            eprintln!("skipped: {error}");
            false
        }
    }
}

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

/// The scalar that dalek holds.
fn of_dalek(scalar: &DalekScalar) -> Scalar {
    Scalar::from_canonical_bytes(&scalar.to_bytes()).unwrap()
}

/// The integer that has these signed digits of base 16, the first the lowest.
fn of_digits(digits: impl DoubleEndedIterator<Item = i8>) -> DalekScalar {
    digits.rev().fold(DalekScalar::ZERO, |sum, digit| {
        let size = DalekScalar::from(digit.unsigned_abs());
        sum * DalekScalar::from(16u8) + if digit < 0 { -size } else { size }
    })
}

/// Scalars at the ends of the range, with one bit, and with extreme digits of base 16; all of them also twice as large,
/// as the paths that encode together multiply by the half.
fn boundary_scalars() -> Vec<DalekScalar> {
    let one = DalekScalar::ONE;
    let half = one.div_by_2();
    let mut scalars = vec![-one, -(one + one), half, -half];
    let mut power = one;
    for _ in 0..=252 {
        scalars.push(power);
        power += power;
    }
    let highest = power.div_by_2();
    scalars.extend((0..=17u8).map(|small| highest + DalekScalar::from(small)));
    scalars.extend((0..=17u8).map(DalekScalar::from));
    // Digits 0 to 62, and above them a 1 where the number would be negative.
    scalars.push(of_digits([7; 63].into_iter()));
    scalars.push(of_digits([-8; 63].into_iter().chain([1])));
    scalars.push(of_digits((0..63).map(|i| [7, -8][i % 2])));
    scalars.push(of_digits((0..63).map(|i| [-8, 7][i % 2]).chain([1])));
    scalars.push(of_digits((0..63).map(|i| [0, 7][i % 2])));
    scalars.push(of_digits((0..63).map(|i| [-8, 0][i % 2]).chain([1])));
    let mut rng = ChaCha20Rng::seed_from_u64(0x5ca1_a125);
    for _ in 0..16 {
        let mut wide = [0; 64];
        rng.fill_bytes(&mut wide);
        scalars.push(DalekScalar::from_bytes_mod_order_wide(&wide));
    }
    let twice: Vec<DalekScalar> = scalars.iter().map(|k| k + k).collect();
    scalars.extend(twice);
    scalars.sort_by_key(DalekScalar::to_bytes);
    scalars.dedup();
    scalars
}

/// 2^255 - 19.
fn modulus() -> BigUint {
    (BigUint::from(1u8) << 255) - 19u8
}

fn bytes(number: &BigUint) -> [u8; 32] {
    let mut bytes = number.to_bytes_le();
    bytes.resize(32, 0);
    bytes.try_into().unwrap()
}

/// Encodings around all that a decoder must look at: the bounds of the field, representatives that are not the least,
/// negative numbers, the highest bit, and even numbers of which half encode nothing.
fn doubtful_encodings() -> Vec<[u8; 32]> {
    let p = modulus();
    let mut encodings = vec![bytes(&p), [0xff; 32], [0; 32]];
    let largest = (BigUint::from(1u8) << 255) - 1u8;
    encodings.extend((0..=40u8).map(|s| bytes(&(&largest - s))));
    encodings.extend((0..=40u8).map(|s| bytes(&(&largest + 1u8 + s))));
    encodings.extend((0..19u8).map(|s| bytes(&(&p + s))));
    encodings.extend((1..=40u8).map(|s| bytes(&(&p - s))));
    encodings.extend((0..=40u8).map(|s| bytes(&BigUint::from(s))));
    for multiple in 1..=16 {
        let valid = small(multiple).mul_base_encoded();
        let s = BigUint::from_bytes_le(&valid);
        encodings.push(valid);
        encodings.push(bytes(&(&p - &s)));
        encodings.push(bytes(&(&s + (BigUint::from(1u8) << 255))));
        encodings.push(bytes(&(&s ^ BigUint::from(1u8))));
        // One bit changed in each of the four words.
        encodings.extend([1usize, 11, 17, 30].map(|byte| {
            let mut changed = valid;
            changed[byte] ^= 0x10;
            changed
        }));
    }
    let mut rng = ChaCha20Rng::seed_from_u64(0xdec0_de00);
    for _ in 0..256 {
        let mut random = [0; 32];
        rng.fill_bytes(&mut random);
        random[0] &= 0xfe;
        random[31] &= 0x7f;
        encodings.push(random);
    }
    encodings
}

/// What a decoder says of one encoding, by dalek.
fn verdict(encoding: &[u8; 32], index: usize) -> Option<PointError> {
    match CompressedRistretto(*encoding).decompress() {
        None => Some(PointError::NotCanonical { index }),
        Some(_) if *encoding == [0; 32] => Some(PointError::Identity { index }),
        Some(_) => None,
    }
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

/// Every position of every ragged batch holds the first bad encoding once, of either kind, with and without bad ones of
/// the other kind behind it.
pub(crate) fn names_the_first_bad_encoding_in_every_lane<B: Kernel>() {
    let k = scalar();
    let good: Vec<[u8; 32]> = (1..=33).map(|i| small(i).mul_base_encoded()).collect();
    for count in 1..=good.len() {
        for index in 0..count {
            let kinds = [([1; 32], PointError::NotCanonical { index }), ([0; 32], PointError::Identity { index })];
            for ((bad, error), (other, _)) in [(kinds[0], kinds[1]), (kinds[1], kinds[0])] {
                for behind in [None, Some(other)] {
                    let mut encodings = good[..count].to_vec();
                    encodings[index] = bad;
                    if let Some(other) = behind {
                        encodings[index + 1..].fill(other);
                    }
                    assert_eq!(B::decode(&encodings).err(), Some(error), "{count} encodings");
                    let mut out = vec![[0xaa; 32]; count];
                    assert_eq!(B::decode_mul_encode(&k, &encodings, &mut out), Err(error), "{count} encodings");
                    assert!(out.iter().all(|o| *o == [0; 32]), "half a result was left behind");
                }
            }
        }
    }
}

/// Each doubtful encoding alone, and then among good ones, by turns in each place of two groups of the most lanes.
pub(crate) fn refuses_exactly_what_dalek_refuses<B: Kernel>() {
    let good: Vec<[u8; 32]> = (1..=17).map(|i| small(i).mul_base_encoded()).collect();
    let doubtful = doubtful_encodings();
    let refused = doubtful.iter().filter(|encoding| verdict(encoding, 0).is_some()).count();
    assert!(refused > 300 && doubtful.len() - refused > 60, "both kinds must be there: {refused} are refused");
    for (turn, encoding) in doubtful.iter().enumerate() {
        for (index, among) in [(0, false), (turn % good.len(), true), ((5 * turn + 3) % good.len(), true)] {
            let mut encodings = if among { good.clone() } else { vec![[0; 32]] };
            encodings[index] = *encoding;
            let expected = verdict(encoding, index);
            match B::decode(&encodings) {
                Ok(points) => {
                    assert_eq!(expected, None, "accepts {encoding:x?}");
                    assert_eq!(encode::<B>(&points, encodings.len()), encodings);
                }
                Err(error) => assert_eq!(Some(error), expected, "refuses {encoding:x?}"),
            }
        }
    }
}

pub(crate) fn agrees_with_dalek_on_boundary_scalars<B: Kernel>() {
    let expander = Expander::new(DST);
    let naive: Vec<RistrettoPoint> = messages(9).iter().map(|m| naive_hash(&expander, m)).collect();
    let encodings: Vec<[u8; 32]> = naive.iter().map(|p| p.compress().to_bytes()).collect();
    let points = B::decode(&encodings).ok().unwrap();
    for k in boundary_scalars() {
        let expected: Vec<[u8; 32]> = naive.iter().map(|p| (p * k).compress().to_bytes()).collect();
        let ours = of_dalek(&k);
        assert_eq!(encode::<B>(&B::mul(&ours, &points), 9), expected, "mul by {k:?}");
        let mut out = [[0xaa; 32]; 9];
        B::mul_encode(&ours, &points, &mut out);
        assert_eq!(out, *expected, "mul_encode by {k:?}");
        out.fill([0xaa; 32]);
        B::decode_mul_encode(&ours, &encodings, &mut out).unwrap();
        assert_eq!(out, *expected, "decode_mul_encode by {k:?}");
    }
}

pub(crate) fn one_changes_nothing_and_minus_one_negates<B: Kernel>() {
    let expander = Expander::new(DST);
    let messages = messages(33);
    let naive: Vec<RistrettoPoint> = messages.iter().map(|m| naive_hash(&expander, m)).collect();
    let same: Vec<[u8; 32]> = naive.iter().map(|p| p.compress().to_bytes()).collect();
    let negative: Vec<[u8; 32]> = naive.iter().map(|p| (-p).compress().to_bytes()).collect();
    let points = B::decode(&same).ok().unwrap();
    for (k, expected) in [(DalekScalar::ONE, &same), (-DalekScalar::ONE, &negative)] {
        let k = of_dalek(&k);
        assert_eq!(encode::<B>(&B::mul(&k, &points), 33), *expected);
        let mut out = [[0xaa; 32]; 33];
        B::mul_encode(&k, &points, &mut out);
        assert_eq!(out, **expected);
        out.fill([0xaa; 32]);
        B::decode_mul_encode(&k, &same, &mut out).unwrap();
        assert_eq!(out, **expected);
        out.fill([0xaa; 32]);
        B::hash_mul_encode(&expander, &borrowed(&messages), &k, &mut out);
        assert_eq!(out, **expected);
    }
}

/// Messages of 0 to 300 bytes, which end in the first to the third block, shuffled so that every group of lanes has
/// several numbers of blocks; under tags around every length at which a block more begins, and hashed ones.
pub(crate) fn hashes_messages_of_different_lengths_side_by_side<B: Kernel>() {
    let messages: Vec<Vec<u8>> = (0..=300usize)
        .map(|i| i * 113 % 301)
        .map(|length| (0..length).map(|byte| (byte * 31 + length * 7) as u8).collect())
        .collect();
    let messages = borrowed(&messages);
    assert_eq!(messages.iter().map(|m| m.len()).sum::<usize>(), 300 * 301 / 2, "each length is there once");
    for tag_bytes in [1, 44, 45, 46, 100, 111, 112, 255, 256, 300] {
        let tag: Vec<u8> = (0..tag_bytes).map(|byte: usize| (byte * 5 + tag_bytes) as u8).collect();
        let expander = Expander::new(&tag);
        let expected: Vec<[u8; 32]> = messages.iter().map(|m| naive_hash(&expander, m).compress().to_bytes()).collect();
        let points = B::hash_to_group(&expander, &messages);
        for ((encoding, expected), message) in encode::<B>(&points, messages.len()).iter().zip(&expected).zip(&messages)
        {
            assert_eq!(encoding, expected, "tag of {tag_bytes} bytes, message of {}", message.len());
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
