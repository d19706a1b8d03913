#![allow(clippy::unwrap_used)]
//! Every backend gives byte for byte the same, errors included, whatever the batch: as `portable` over drawn cases, and
//! as curve25519-dalek, one point at a time, over a million points.
//!
//! Cases are drawn from fixed seeds. Backends that the processor cannot run are left out.

use std::io::Write;
use std::thread;

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar as DalekScalar;
use datafuse_group::{Backend, PointError, Scalar, encode, mul};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, RngSeed};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha512};

const DST: &[u8] = b"BACKENDS-V01-R255_XMD:SHA-512_R255MAP_RO_";

fn fixed_seed() -> ProptestConfig {
    ProptestConfig {
        cases: 64,
        failure_persistence: None,
        rng_algorithm: RngAlgorithm::ChaCha,
        rng_seed: RngSeed::Fixed(0x0da7_af05_e000_0002),
        ..ProptestConfig::default()
    }
}

fn portable() -> Backend {
    Backend::named("portable").unwrap()
}

/// Backends of this machine, `portable` among them.
fn backends() -> impl Iterator<Item = Backend> {
    Backend::names().iter().filter_map(|name| Backend::named(name).ok())
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
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..=300), 0..=40)
}

fn valid() -> impl Strategy<Value = [u8; 32]> {
    any_scalar().prop_map(|k| k.mul_base_encoded())
}

/// One bit of a valid encoding changed: the sign, the highest, or another.
fn changed() -> impl Strategy<Value = [u8; 32]> {
    (valid(), prop_oneof![Just(0usize), Just(255), 0..256usize]).prop_map(|(mut encoding, bit)| {
        encoding[bit / 8] ^= 1 << (bit % 8);
        encoding
    })
}

fn mixed() -> impl Strategy<Value = [u8; 32]> {
    prop_oneof![
        40 => valid(),
        1 => Just([0; 32]),
        1 => Just([0xff; 32]),
        1 => any::<[u8; 32]>(),
        2 => changed(),
    ]
}

fn any_encodings() -> impl Strategy<Value = Vec<[u8; 32]>> {
    prop_oneof![prop::collection::vec(valid(), 0..=40), prop::collection::vec(mixed(), 0..=40)]
}

fn borrowed(messages: &[Vec<u8>]) -> Vec<&[u8]> {
    messages.iter().map(Vec::as_slice).collect()
}

/// What a backend answers on the path of a holder, step by step and at once.
fn hashed(backend: Backend, dst: &[u8], messages: &[&[u8]], k: &Scalar) -> [Vec<[u8; 32]>; 3] {
    let points = backend.hash_to_group(dst, messages);
    let mut at_once = vec![[0xaa; 32]; messages.len()];
    backend.hash_mul_encode(dst, messages, k, &mut at_once);
    [encode(&points), encode(&mul(k, &points)), at_once]
}

/// What a backend answers on the path of the workload, step by step and at once.
type Answers = (Result<[Vec<[u8; 32]>; 2], PointError>, Result<(), PointError>, Vec<[u8; 32]>);

fn decoded(backend: Backend, encodings: &[[u8; 32]], k: &Scalar) -> Answers {
    let steps = backend.decode(encodings).map(|points| [encode(&points), encode(&mul(k, &points))]);
    let mut out = vec![[0xaa; 32]; encodings.len()];
    let outcome = backend.decode_mul_encode(k, encodings, &mut out);
    (steps, outcome, out)
}

proptest! {
    #![proptest_config(fixed_seed())]

    #[test]
    fn every_backend_hashes_as_portable(
        dst in prop::collection::vec(any::<u8>(), 1..=300), messages in any_messages(), k in any_scalar(),
    ) {
        let messages = borrowed(&messages);
        let expected = hashed(portable(), &dst, &messages, &k);
        for backend in backends() {
            prop_assert_eq!(&hashed(backend, &dst, &messages, &k), &expected, "{:?}", backend);
        }
    }

    #[test]
    fn every_backend_decodes_as_portable(encodings in any_encodings(), k in any_scalar()) {
        let expected = decoded(portable(), &encodings, &k);
        for backend in backends() {
            prop_assert_eq!(&decoded(backend, &encodings, &k), &expected, "{:?}", backend);
        }
    }
}

const POINTS: usize = 1 << 20;

/// Points that go through a backend together, under one scalar, on the holder's way.
const POINTS_PER_BATCH: usize = 16;

fn wide_bytes(rng: &mut ChaCha20Rng) -> [u8; 64] {
    let mut wide = [0; 64];
    rng.fill_bytes(&mut wide);
    wide
}

/// `expand_message_xmd` to 64 bytes, as RFC 9380, section 5.3.1, has it, for a tag of at most 255 bytes.
fn expand(message: &[u8]) -> [u8; 64] {
    let dst_prime = [DST, &[DST.len() as u8]].concat();
    let b_0 = Sha512::digest([&[0; 128], message, &[0, 64, 0], &dst_prime].concat());
    Sha512::digest([&b_0, &[1][..], &dst_prime].concat()).into()
}

/// One batch, dalek one point at a time and then each backend: on the holder's way together under one scalar, on the
/// workload's way one by one, each under a scalar of its own.
fn compare(batch: usize, backends: &[Backend]) {
    let mut rng = ChaCha20Rng::seed_from_u64(0x0da7_af05_e000_0003);
    rng.set_stream(batch as u64);
    let for_holder = wide_bytes(&mut rng);
    let for_workload: [_; POINTS_PER_BATCH] = std::array::from_fn(|_| wide_bytes(&mut rng));
    let messages: Vec<Vec<u8>> = (0..POINTS_PER_BATCH)
        .map(|_| {
            let mut message = vec![0; (rng.next_u32() % 65) as usize];
            rng.fill_bytes(&mut message);
            message
        })
        .collect();
    let messages = borrowed(&messages);

    let k = DalekScalar::from_bytes_mod_order_wide(&for_holder);
    let hashed: Vec<[u8; 32]> = messages
        .iter()
        .map(|message| (RistrettoPoint::from_uniform_bytes(&expand(message)) * k).compress().to_bytes())
        .collect();
    let fused: Vec<[u8; 32]> = hashed
        .iter()
        .zip(&for_workload)
        .map(|(encoding, k)| {
            let k = DalekScalar::from_bytes_mod_order_wide(k);
            (CompressedRistretto(*encoding).decompress().unwrap() * k).compress().to_bytes()
        })
        .collect();

    for backend in backends {
        let mut out = vec![[0xaa; 32]; POINTS_PER_BATCH];
        backend.hash_mul_encode(DST, &messages, &Scalar::from_wide_bytes(&for_holder), &mut out);
        assert_eq!(out, hashed, "{backend:?}, batch {batch}");
        out.fill([0xaa; 32]);
        for (i, k) in for_workload.iter().enumerate() {
            let one = i..i + 1;
            backend.decode_mul_encode(&Scalar::from_wide_bytes(k), &hashed[one.clone()], &mut out[one]).unwrap();
        }
        assert_eq!(out, fused, "{backend:?}, batch {batch}");
    }
}

/// Says how it went on stderr, past the capture of the test runner.
#[test]
#[ignore = "a million points a backend, minutes: run in release"]
fn agrees_with_dalek_on_a_million_points() {
    let backends: Vec<Backend> = backends().collect();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for thread in 0..threads {
            let backends = &backends;
            scope.spawn(move || {
                for batch in (thread..POINTS / POINTS_PER_BATCH).step_by(threads) {
                    compare(batch, backends);
                }
            });
        }
    });
    let mut stderr = std::io::stderr();
    for name in Backend::names() {
        match Backend::named(name) {
            Ok(_) => writeln!(stderr, "{name}: {POINTS} points and as many scalars agree").unwrap(),
            Err(error) => writeln!(stderr, "{name}: skipped, {error}").unwrap(),
        }
    }
}
