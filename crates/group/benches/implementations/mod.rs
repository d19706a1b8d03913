//! The implementations that the benches compare, behind one interface.
//!
//! In: a batch of [`Records`]. Out: for a step and an implementation, a closure that does the step once for the whole
//! batch. What a step makes is dropped within it, as it is in a program: our points are wiped then, the others are not.
//!
//! Compared are every [`Backend`] of this machine, curve25519-dalek as it is used for one point at a time and with its
//! own batched encoding, and crrl (github.com/pornin/crrl). The latter two get their uniform bytes from
//! `expand_message_xmd` as it stands in RFC 9380, section 5.3.1.

use std::hint::black_box;

use crrl::ristretto255 as crrl;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar as DalekScalar;
use datafuse_group::{Backend, Points, Scalar, encode, mul};
use sha2::{Digest, Sha512};

const DST: &[u8] = b"BENCH-V01-R255_XMD:SHA-512_R255MAP_RO_";

/// Records of a batch.
pub(crate) const RECORDS: usize = 1024;

/// Points that dalek encodes together; as many as our backends do.
const DALEK_BATCH: usize = 256;

/// What is measured: the four steps, and the two whole ways of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Hash,
    Decode,
    Multiply,
    Encode,
    HashMulEncode,
    DecodeMulEncode,
}

impl Step {
    pub(crate) const ALL: [Self; 6] =
        [Self::Hash, Self::Decode, Self::Multiply, Self::Encode, Self::HashMulEncode, Self::DecodeMulEncode];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::Decode => "decode",
            Self::Multiply => "multiply",
            Self::Encode => "encode",
            Self::HashMulEncode => "hash_mul_encode",
            Self::DecodeMulEncode => "decode_mul_encode",
        }
    }

    fn is_whole_path(self) -> bool {
        matches!(self, Self::HashMulEncode | Self::DecodeMulEncode)
    }
}

/// One step for a whole batch, ready to be timed.
pub(crate) type Work<'a> = Box<dyn FnMut() + 'a>;

/// What goes in: messages, a scalar below the order, and encodings of group elements.
pub(crate) struct Records {
    messages: Vec<Vec<u8>>,
    k: [u8; 32],
    encodings: Vec<[u8; 32]>,
}

impl Records {
    /// Makes messages of the size that a tagged e-mail address has.
    pub(crate) fn new() -> Self {
        let messages: Vec<_> =
            (0..RECORDS).map(|i| format!("{:060}person.{i:06}@example.com", 0).into_bytes()).collect();
        let encodings = messages.iter().map(|m| dalek_hash(m).compress().to_bytes()).collect();
        let k = Scalar::from_wide_bytes(&[0x5a; 64]).to_bytes();
        Self { messages, k, encodings }
    }

    fn messages(&self) -> Vec<&[u8]> {
        self.messages.iter().map(Vec::as_slice).collect()
    }
}

/// One of the implementations.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Implementation {
    Ours(Backend),
    DalekOneAtATime,
    DalekBatchedEncoding,
    Crrl,
}

impl Implementation {
    /// Lists all that this machine can run, and says on stderr which it cannot.
    ///
    /// # Panics
    /// If two of them disagree about any record: there would be nothing to compare.
    pub(crate) fn all(records: &Records) -> Vec<Self> {
        let mut all = Vec::new();
        for name in Backend::names() {
            match Backend::named(name) {
                Ok(backend) => all.push(Self::Ours(backend)),
                Err(error) => eprintln!("left out: {error}"),
            }
        }
        all.extend([Self::DalekOneAtATime, Self::DalekBatchedEncoding, Self::Crrl]);

        let expected = all[0].results(records);
        for implementation in &all[1..] {
            assert!(implementation.results(records) == expected, "{} gives other results", implementation.name());
        }
        all
    }

    pub(crate) fn name(self) -> String {
        let flags = if cfg!(all(target_feature = "avx512ifma", target_feature = "avx512vl")) {
            "native, with AVX-512"
        } else if cfg!(target_feature = "avx2") {
            "native"
        } else {
            "default flags"
        };
        match self {
            Self::Ours(backend) => backend.name().to_owned(),
            Self::DalekOneAtATime => format!("dalek ({flags})"),
            Self::DalekBatchedEncoding => format!("dalek, batched encoding ({flags})"),
            Self::Crrl => "crrl".to_owned(),
        }
    }

    /// Returns the step, ready to be timed, or `None` where it is the same as that of another implementation.
    pub(crate) fn prepare(self, step: Step, records: &Records) -> Option<Work<'_>> {
        match self {
            Self::Ours(backend) => Some(work(backend, step, records)),
            Self::DalekOneAtATime => Some(work(OneAtATime, step, records)),
            Self::DalekBatchedEncoding if step.is_whole_path() => Some(work(BatchedEncoding, step, records)),
            Self::DalekBatchedEncoding => None,
            Self::Crrl => Some(work(Crrl, step, records)),
        }
    }

    fn results(self, records: &Records) -> Vec<Vec<[u8; 32]>> {
        match self {
            Self::Ours(backend) => results(backend, records),
            Self::DalekOneAtATime => results(OneAtATime, records),
            Self::DalekBatchedEncoding => results(BatchedEncoding, records),
            Self::Crrl => results(Crrl, records),
        }
    }
}

/// A batch in one implementation's own form, and the steps on it.
trait Group: Copy {
    type Points;

    fn hash(self, messages: &[&[u8]]) -> Self::Points;
    fn decode(self, encodings: &[[u8; 32]]) -> Self::Points;
    fn multiply(self, k: &[u8; 32], points: &Self::Points) -> Self::Points;
    fn encode(self, points: &Self::Points) -> Vec<[u8; 32]>;
    fn hash_mul_encode(self, messages: &[&[u8]], k: &[u8; 32], out: &mut [[u8; 32]]);
    fn decode_mul_encode(self, encodings: &[[u8; 32]], k: &[u8; 32], out: &mut [[u8; 32]]);
}

fn work<'a, G: Group + 'a>(group: G, step: Step, records: &'a Records) -> Work<'a> {
    let Records { k, encodings, .. } = records;
    let messages = records.messages();
    let mut out = vec![[0; 32]; RECORDS];
    match step {
        Step::Hash => Box::new(move || drop(black_box(group.hash(&messages)))),
        Step::Decode => Box::new(move || drop(black_box(group.decode(encodings)))),
        Step::Multiply => {
            let points = group.hash(&messages);
            Box::new(move || drop(black_box(group.multiply(k, &points))))
        }
        Step::Encode => {
            let points = group.hash(&messages);
            Box::new(move || drop(black_box(group.encode(&points))))
        }
        Step::HashMulEncode => Box::new(move || group.hash_mul_encode(&messages, k, black_box(&mut out))),
        Step::DecodeMulEncode => Box::new(move || group.decode_mul_encode(encodings, k, black_box(&mut out))),
    }
}

/// Returns the encodings after each way through the group.
fn results<G: Group>(group: G, records: &Records) -> Vec<Vec<[u8; 32]>> {
    let Records { k, encodings, .. } = records;
    let messages = records.messages();
    let (hashed, decoded) = (group.hash(&messages), group.decode(encodings));
    let mut whole_paths = [vec![[0; 32]; RECORDS], vec![[0; 32]; RECORDS]];
    group.hash_mul_encode(&messages, k, &mut whole_paths[0]);
    group.decode_mul_encode(encodings, k, &mut whole_paths[1]);

    let mut results = whole_paths.to_vec();
    for points in [&hashed, &decoded] {
        results.push(group.encode(points));
        results.push(group.encode(&group.multiply(k, points)));
    }
    results
}

impl Group for Backend {
    type Points = Points;

    fn hash(self, messages: &[&[u8]]) -> Points {
        self.hash_to_group(DST, messages)
    }

    fn decode(self, encodings: &[[u8; 32]]) -> Points {
        Backend::decode(self, encodings).expect("all are encodings")
    }

    fn multiply(self, k: &[u8; 32], points: &Points) -> Points {
        mul(&scalar(k), points)
    }

    fn encode(self, points: &Points) -> Vec<[u8; 32]> {
        encode(points)
    }

    fn hash_mul_encode(self, messages: &[&[u8]], k: &[u8; 32], out: &mut [[u8; 32]]) {
        Backend::hash_mul_encode(self, DST, messages, &scalar(k), out);
    }

    fn decode_mul_encode(self, encodings: &[[u8; 32]], k: &[u8; 32], out: &mut [[u8; 32]]) {
        Backend::decode_mul_encode(self, &scalar(k), encodings, out).expect("all are encodings");
    }
}

fn scalar(k: &[u8; 32]) -> Scalar {
    Scalar::from_canonical_bytes(k).expect("below the order")
}

/// dalek as it offers itself: every point from its bytes to its bytes, one after the other.
#[derive(Clone, Copy)]
struct OneAtATime;

impl Group for OneAtATime {
    type Points = Vec<RistrettoPoint>;

    fn hash(self, messages: &[&[u8]]) -> Vec<RistrettoPoint> {
        messages.iter().map(|m| dalek_hash(m)).collect()
    }

    fn decode(self, encodings: &[[u8; 32]]) -> Vec<RistrettoPoint> {
        encodings.iter().map(dalek_decode).collect()
    }

    fn multiply(self, k: &[u8; 32], points: &Vec<RistrettoPoint>) -> Vec<RistrettoPoint> {
        let k = dalek_scalar(k);
        points.iter().map(|point| point * k).collect()
    }

    fn encode(self, points: &Vec<RistrettoPoint>) -> Vec<[u8; 32]> {
        points.iter().map(|point| point.compress().to_bytes()).collect()
    }

    fn hash_mul_encode(self, messages: &[&[u8]], k: &[u8; 32], out: &mut [[u8; 32]]) {
        let k = dalek_scalar(k);
        for (message, out) in messages.iter().zip(out) {
            *out = (dalek_hash(message) * k).compress().to_bytes();
        }
    }

    fn decode_mul_encode(self, encodings: &[[u8; 32]], k: &[u8; 32], out: &mut [[u8; 32]]) {
        let k = dalek_scalar(k);
        for (encoding, out) in encodings.iter().zip(out) {
            *out = (dalek_decode(encoding) * k).compress().to_bytes();
        }
    }
}

/// dalek with its own function for encoding doubles together, which asks for multiplying by `k/2`.
#[derive(Clone, Copy)]
struct BatchedEncoding;

impl Group for BatchedEncoding {
    type Points = Vec<RistrettoPoint>;

    fn hash(self, messages: &[&[u8]]) -> Vec<RistrettoPoint> {
        OneAtATime.hash(messages)
    }

    fn decode(self, encodings: &[[u8; 32]]) -> Vec<RistrettoPoint> {
        OneAtATime.decode(encodings)
    }

    fn multiply(self, k: &[u8; 32], points: &Vec<RistrettoPoint>) -> Vec<RistrettoPoint> {
        OneAtATime.multiply(k, points)
    }

    fn encode(self, points: &Vec<RistrettoPoint>) -> Vec<[u8; 32]> {
        OneAtATime.encode(points)
    }

    fn hash_mul_encode(self, messages: &[&[u8]], k: &[u8; 32], out: &mut [[u8; 32]]) {
        let half = dalek_scalar(k).div_by_2();
        for (messages, out) in messages.chunks(DALEK_BATCH).zip(out.chunks_mut(DALEK_BATCH)) {
            encode_doubles(messages.iter().map(|m| dalek_hash(m) * half), out);
        }
    }

    fn decode_mul_encode(self, encodings: &[[u8; 32]], k: &[u8; 32], out: &mut [[u8; 32]]) {
        let half = dalek_scalar(k).div_by_2();
        for (encodings, out) in encodings.chunks(DALEK_BATCH).zip(out.chunks_mut(DALEK_BATCH)) {
            encode_doubles(encodings.iter().map(|e| dalek_decode(e) * half), out);
        }
    }
}

fn encode_doubles(points: impl Iterator<Item = RistrettoPoint>, out: &mut [[u8; 32]]) {
    let points: Vec<_> = points.collect();
    for (out, encoding) in out.iter_mut().zip(RistrettoPoint::double_and_compress_batch(&points)) {
        *out = encoding.to_bytes();
    }
}

fn dalek_scalar(k: &[u8; 32]) -> DalekScalar {
    DalekScalar::from_canonical_bytes(*k).expect("below the order")
}

fn dalek_decode(encoding: &[u8; 32]) -> RistrettoPoint {
    CompressedRistretto(*encoding).decompress().expect("an encoding")
}

fn dalek_hash(message: &[u8]) -> RistrettoPoint {
    RistrettoPoint::from_uniform_bytes(&expand_message(message))
}

/// crrl, one point at a time: it has no functions for batches.
#[derive(Clone, Copy)]
struct Crrl;

impl Group for Crrl {
    type Points = Vec<crrl::Point>;

    fn hash(self, messages: &[&[u8]]) -> Vec<crrl::Point> {
        messages.iter().map(|m| crrl::Point::one_way_map(&expand_message(m))).collect()
    }

    fn decode(self, encodings: &[[u8; 32]]) -> Vec<crrl::Point> {
        encodings.iter().map(crrl_decode).collect()
    }

    fn multiply(self, k: &[u8; 32], points: &Vec<crrl::Point>) -> Vec<crrl::Point> {
        let k = crrl_scalar(k);
        points.iter().map(|point| point * k).collect()
    }

    fn encode(self, points: &Vec<crrl::Point>) -> Vec<[u8; 32]> {
        points.iter().map(|point| point.encode()).collect()
    }

    fn hash_mul_encode(self, messages: &[&[u8]], k: &[u8; 32], out: &mut [[u8; 32]]) {
        let k = crrl_scalar(k);
        for (message, out) in messages.iter().zip(out) {
            *out = (crrl::Point::one_way_map(&expand_message(message)) * k).encode();
        }
    }

    fn decode_mul_encode(self, encodings: &[[u8; 32]], k: &[u8; 32], out: &mut [[u8; 32]]) {
        let k = crrl_scalar(k);
        for (encoding, out) in encodings.iter().zip(out) {
            *out = (crrl_decode(encoding) * k).encode();
        }
    }
}

fn crrl_scalar(k: &[u8; 32]) -> crrl::Scalar {
    crrl::Scalar::decode(k).expect("below the order")
}

fn crrl_decode(encoding: &[u8; 32]) -> crrl::Point {
    crrl::Point::decode(encoding).expect("an encoding")
}

/// `expand_message_xmd` to 64 bytes, without the saved state that our backends start from.
fn expand_message(message: &[u8]) -> [u8; 64] {
    let tail = [DST, &[DST.len() as u8]].concat();
    let b_0 = Sha512::new()
        .chain_update([0; 128])
        .chain_update(message)
        .chain_update([0, 64, 0])
        .chain_update(&tail)
        .finalize();
    Sha512::new().chain_update(b_0).chain_update([1]).chain_update(&tail).finalize().into()
}
