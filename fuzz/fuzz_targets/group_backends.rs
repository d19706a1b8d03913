//! Every backend of this machine against `portable`: the same results, the same errors, and zeros where there is an
//! error.
//!
//! The input is read as a count, a scalar, and that many messages and encodings ([`Case::read`]). Where it ends early,
//! what is missing is zero, so that short inputs have long batches.
#![no_main]

use std::sync::LazyLock;

use datafuse_group::{Backend, PointError, Points, Scalar, encode, mul};
use libfuzzer_sys::fuzz_target;

const DST: &[u8] = b"FUZZ-V01-R255_XMD:SHA-512_R255MAP_RO_";

/// Records that the whole paths take together.
const PIECE: usize = 256;

/// What no result may leave in place.
const UNWRITTEN: [u8; 32] = [0xaa; 32];

/// The order less one, little-endian (RFC 9496, section 4).
const MINUS_ONE: [u8; 32] = [
    0xec, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

static PORTABLE: LazyLock<Backend> = LazyLock::new(|| Backend::named("portable").expect("is always there"));

static OTHERS: LazyLock<Vec<Backend>> = LazyLock::new(|| {
    let others: Vec<_> = Backend::names().iter().filter_map(|name| Backend::named(name).ok()).collect();
    let others: Vec<_> = others.into_iter().filter(|backend| backend != &*PORTABLE).collect();
    assert!(!others.is_empty(), "this machine has no backend to compare with portable");
    eprintln!("comparing {others:?} with portable");
    others
});

fuzz_target!(|input: &[u8]| {
    let case = Case::read(&mut Input(input));
    let expected = Outcome::of(*PORTABLE, &case);
    expected.check();
    for backend in OTHERS.iter() {
        assert_eq!(Outcome::of(*backend, &case), expected, "{backend:?} differs from portable");
    }
});

/// A batch for both whole paths.
struct Case {
    k: Scalar,
    messages: Vec<Vec<u8>>,
    encodings: Vec<[u8; 32]>,
}

impl Case {
    fn read(input: &mut Input<'_>) -> Self {
        // Ragged batches mostly, and sometimes one that is longer than a piece of the whole paths. That is slow, so it has
        // no messages (both paths take their pieces in one way), and good encodings up to shortly before the second piece.
        let (messages, good, encodings) = match input.byte() {
            byte @ 0..252 => (usize::from(byte % 20), 0, usize::from(byte % 20)),
            byte => (0, PIECE - 2, PIECE + usize::from(byte - 252)),
        };
        let k = input.scalar();
        let mut case = Self { k, messages: Vec::new(), encodings: Vec::new() };
        for index in 0..encodings {
            if index < messages {
                case.messages.push(input.message());
            }
            case.encodings.push(if index < good { Input(&[]).hashed(index) } else { input.encoding(index) });
        }
        case
    }

    fn messages(&self) -> Vec<&[u8]> {
        self.messages.iter().map(Vec::as_slice).collect()
    }
}

/// The bytes of the fuzzer, taken from the front.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let taken = self.take(N);
        array[..taken.len()].copy_from_slice(taken);
        array
    }

    fn byte(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    /// Any scalar, or one at either end of the range, which no fuzzer would meet by reducing bytes.
    fn scalar(&mut self) -> Scalar {
        let kind = self.byte();
        let mut wide: [u8; 64] = self.array();
        if kind % 4 >= 2 {
            wide[2..].fill(0);
        }
        let scalar = Scalar::from_wide_bytes(&wide);
        if kind % 4 == 3 {
            return scalar.mul(&Scalar::from_canonical_bytes(&MINUS_ONE).expect("is below the order"));
        }
        scalar
    }

    fn message(&mut self) -> Vec<u8> {
        let length = self.byte().into();
        self.take(length).to_vec()
    }

    /// Bytes as they come, which are mostly no encoding; encodings; and what is close to one. `index` makes those
    /// differ that are made after the input has ended.
    fn encoding(&mut self, index: usize) -> [u8; 32] {
        match self.byte() % 8 {
            7 => self.array(),
            // A small number above the prime 2^255 - 19, which must be refused, or just below it.
            6 => {
                let mut encoding = [0xff; 32];
                (encoding[0], encoding[31]) = (self.byte(), 0x7f | self.byte());
                encoding
            }
            // A small number: the identity, or one half of the odd and of the non-squares.
            5 => {
                let mut encoding = [0; 32];
                encoding[..2].copy_from_slice(&self.array::<2>());
                encoding
            }
            4 => {
                let mut encoding = self.hashed(index);
                let bit = self.byte();
                encoding[usize::from(bit / 8)] ^= 1 << (bit % 8);
                encoding
            }
            _ => self.hashed(index),
        }
    }

    fn hashed(&mut self, index: usize) -> [u8; 32] {
        let message = [self.take(4), &index.to_le_bytes()].concat();
        encode(&PORTABLE.hash_to_group(DST, &[&message]))[0]
    }
}

/// All that a backend says of a case.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    hashed: Encodings,
    hash_mul_encode: Vec<[u8; 32]>,
    decoded: Result<Encodings, PointError>,
    decode_mul_encode: (Result<(), PointError>, Vec<[u8; 32]>),
}

/// Points encoded as they are, and multiplied.
#[derive(Debug, PartialEq, Eq)]
struct Encodings {
    plain: Vec<[u8; 32]>,
    multiplied: Vec<[u8; 32]>,
}

impl Encodings {
    fn of(points: &Points, k: &Scalar) -> Self {
        Self { plain: encode(points), multiplied: encode(&mul(k, points)) }
    }
}

impl Outcome {
    fn of(backend: Backend, case: &Case) -> Self {
        let Case { k, encodings, .. } = case;
        let messages = case.messages();
        let mut hashed_out = vec![UNWRITTEN; messages.len()];
        backend.hash_mul_encode(DST, &messages, k, &mut hashed_out);
        let mut decoded_out = vec![UNWRITTEN; encodings.len()];
        let outcome = backend.decode_mul_encode(k, encodings, &mut decoded_out);
        Self {
            hashed: Encodings::of(&backend.hash_to_group(DST, &messages), k),
            hash_mul_encode: hashed_out,
            decoded: backend.decode(encodings).map(|points| Encodings::of(&points, k)),
            decode_mul_encode: (outcome, decoded_out),
        }
    }

    /// What holds within one backend: a whole path is its steps, and an error leaves zeros.
    fn check(&self) {
        assert_eq!(self.hash_mul_encode, self.hashed.multiplied);
        let (outcome, out) = &self.decode_mul_encode;
        match &self.decoded {
            Ok(decoded) => {
                assert_eq!(*outcome, Ok(()));
                assert_eq!(*out, decoded.multiplied);
            }
            Err(error) => {
                assert_eq!(*outcome, Err(*error));
                assert!(out.iter().all(|encoding| *encoding == [0; 32]));
            }
        }
    }
}
