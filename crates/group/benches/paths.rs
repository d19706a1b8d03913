//! Nanoseconds a record of each step and of both whole paths, against dalek one point at a time.
//!
//! `cargo bench -p datafuse-group`; the throughput that criterion prints is records a second on one core.
#![allow(missing_docs)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar as DalekScalar;
use datafuse_group::{Scalar, decode, decode_mul_encode, encode, hash_mul_encode, hash_to_group, mul};
use sha2::{Digest, Sha512};

const DST: &[u8] = b"BENCH-V01-R255_XMD:SHA-512_R255MAP_RO_";
const RECORDS: usize = 1024;

/// Messages of the size that a tagged e-mail address has.
fn messages() -> Vec<Vec<u8>> {
    (0..RECORDS).map(|i| format!("{:060}person.{i:06}@example.com", 0).into_bytes()).collect()
}

/// `expand_message_xmd` as it is written in RFC 9380, without the saved state.
fn naive_hash(message: &[u8]) -> RistrettoPoint {
    let tail = [DST, &[DST.len() as u8]].concat();
    let b_0 = Sha512::new()
        .chain_update([0; 128])
        .chain_update(message)
        .chain_update([0, 64, 0])
        .chain_update(&tail)
        .finalize();
    let b_1 = Sha512::new().chain_update(b_0).chain_update([1]).chain_update(&tail).finalize();
    RistrettoPoint::from_uniform_bytes(&b_1.into())
}

fn steps(criterion: &mut Criterion) {
    let messages = messages();
    let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    let k = Scalar::from_wide_bytes(&[0x5a; 64]);
    let points = hash_to_group(DST, &messages);
    let encodings = encode(&points);

    let mut group = criterion.benchmark_group("step");
    group.throughput(Throughput::Elements(RECORDS as u64));
    group.bench_function("hash", |b| b.iter(|| hash_to_group(DST, &messages)));
    group.bench_function("decode", |b| b.iter(|| decode(&encodings)));
    group.bench_function("multiply", |b| b.iter(|| mul(&k, &points)));
    group.bench_function("encode", |b| b.iter(|| encode(&points)));
    group.finish();
}

fn whole_paths(criterion: &mut Criterion) {
    let messages = messages();
    let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    let k = Scalar::from_wide_bytes(&[0x5a; 64]);
    let encodings = encode(&hash_to_group(DST, &messages));
    let mut out = vec![[0; 32]; RECORDS];

    let mut group = criterion.benchmark_group("path");
    group.throughput(Throughput::Elements(RECORDS as u64));
    group.bench_function("hash_mul_encode", |b| {
        b.iter(|| hash_mul_encode(DST, &messages, &k, black_box(&mut out)));
    });
    group.bench_function("decode_mul_encode", |b| {
        b.iter(|| decode_mul_encode(&k, &encodings, black_box(&mut out)));
    });
    group.finish();
}

fn dalek_one_at_a_time(criterion: &mut Criterion) {
    let messages = messages();
    let k = DalekScalar::from_bytes_mod_order_wide(&[0x5a; 64]);
    let points: Vec<RistrettoPoint> = messages.iter().map(|m| naive_hash(m)).collect();
    let encodings: Vec<CompressedRistretto> = points.iter().map(RistrettoPoint::compress).collect();
    let decompress = |e: &CompressedRistretto| e.decompress().expect("made by compress");

    let mut group = criterion.benchmark_group("dalek_one_at_a_time");
    group.throughput(Throughput::Elements(RECORDS as u64));
    group.bench_function("hash", |b| {
        b.iter(|| messages.iter().map(|m| naive_hash(m)).collect::<Vec<_>>());
    });
    group.bench_function("decode", |b| {
        b.iter(|| encodings.iter().map(decompress).collect::<Vec<_>>());
    });
    group.bench_function("multiply", |b| {
        b.iter(|| points.iter().map(|p| p * k).collect::<Vec<_>>());
    });
    group.bench_function("encode", |b| {
        b.iter(|| points.iter().map(|p| p.compress()).collect::<Vec<_>>());
    });
    group.bench_function("hash_mul_encode", |b| {
        b.iter(|| messages.iter().map(|m| (naive_hash(m) * k).compress()).collect::<Vec<_>>());
    });
    group.bench_function("decode_mul_encode", |b| {
        b.iter(|| encodings.iter().map(|e| (decompress(e) * k).compress()).collect::<Vec<_>>());
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3));
    targets = steps, whole_paths, dalek_one_at_a_time
}
criterion_main!(benches);
