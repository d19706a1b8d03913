//! What all test vectors share: the files, bytes as hex, names for errors, fixed randomness, and CBOR written by hand.
//!
//! A family of vectors is a list of inputs and a function that completes them with what the code makes of them. A file is
//! right when completing each of its vectors changes nothing, and when it holds the very vectors that the family lists.
//! With `UPDATE_VECTORS=1` the file is written instead.
//!
//! Used from two places: `tests/vectors` (the public interface) and `src/vectors.rs` (numbers that no interface gives out).

use std::{convert::Infallible, fmt, fs, path::Path};

use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use rand_core::{TryCryptoRng, TryRng};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

use super::protocol::{Error, keys::PartyKeys, name::PublicName};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File<V> {
    about: String,
    vectors: Vec<V>,
}

/// Checks a file of vectors, or writes it.
pub(crate) fn check<V>(file: &str, about: &str, vectors: Vec<V>, complete: impl Fn(V) -> V)
where
    V: Clone + fmt::Debug + PartialEq + Serialize + DeserializeOwned,
{
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test-vectors").join(file);
    let made = File { about: about.to_owned(), vectors: vectors.into_iter().map(&complete).collect() };
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        fs::write(&path, serde_json::to_string_pretty(&made).unwrap() + "\n").unwrap();
        return;
    }
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
    let read: File<V> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
    assert!(!read.vectors.is_empty(), "{file} holds no vectors");
    for (index, vector) in read.vectors.iter().enumerate() {
        assert_eq!(complete(vector.clone()), *vector, "{file}, vector {index}");
    }
    assert_eq!(read, made, "{file} is not the file of these vectors; UPDATE_VECTORS=1 writes it anew");
}

/// Bytes, shown as hex.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Hex(pub(crate) Vec<u8>);

impl Hex {
    /// The bytes, where they are as many as are asked for.
    pub(crate) fn array<const N: usize>(&self) -> [u8; N] {
        self.0.as_slice().try_into().unwrap_or_else(|_| panic!("{N} bytes are needed, not {}", self.0.len()))
    }
}

impl<T: AsRef<[u8]>> From<T> for Hex {
    fn from(bytes: T) -> Self {
        Self(bytes.as_ref().to_vec())
    }
}

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        hex::decode(text).map(Self).map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

/// The name of an error in the files of bad vectors.
///
/// # Panics
/// When there is none: what a bad vector holds must be refused.
pub(crate) fn refusal<T>(result: Result<T, Error>) -> String {
    let error = result.err().expect("a bad vector is refused");
    #[allow(unreachable_patterns, reason = "from outside of the crate there may be more errors")]
    let name = match error {
        Error::InvalidId { .. } => "invalid id",
        Error::InvalidPublicName { .. } => "invalid public name",
        Error::UnknownVersion { .. } => "unknown version",
        Error::Malformed { .. } => "malformed",
        Error::Mismatch { field, .. } => return format!("mismatch of {field}"),
        Error::BadSignature { .. } => "bad signature",
        Error::Unopenable { .. } => "unopenable",
        Error::StaleVersion { .. } => "stale version",
        Error::InvalidToken { index, identity: true } => return format!("token {index} is the identity"),
        Error::InvalidToken { index, identity: false } => return format!("token {index} is not canonical"),
        Error::InvalidScalar { .. } => "invalid scalar",
        Error::InvalidPoint { .. } => "invalid point",
        Error::NotASteward { .. } => "not a steward",
        Error::Conflict { .. } => "conflict",
        Error::WrongStewardCount { .. } => "wrong steward count",
        Error::TooFewStewards { .. } => "too few stewards",
        Error::Disagreement { .. } => "disagreement",
        Error::Replayed { .. } => "replayed",
        other => panic!("no name for {other:?}"),
    };
    name.to_owned()
}

/// The keys of a made-up party: the same seed, the same keys.
pub(crate) fn party(seed: u64) -> PartyKeys {
    PartyKeys::generate(&mut ChaCha20Rng::seed_from_u64(seed))
}

/// The name of that party.
pub(crate) fn name(seed: u64) -> PublicName {
    party(seed).identity().public_name()
}

/// Fixed bytes that look random: the same label, the same bytes.
pub(crate) fn bytes<const N: usize>(label: &str) -> [u8; N] {
    use sha2::Digest;
    let mut bytes = [0; N];
    let digests = (0u8..).map(|counter| sha2::Sha256::digest([&[counter], label.as_bytes()].concat()));
    for (piece, digest) in bytes.chunks_mut(32).zip(digests) {
        piece.copy_from_slice(&digest[..piece.len()]);
    }
    bytes
}

/// A source of randomness that gives out fixed bytes, each once, and must be used up.
pub(crate) struct Given(Vec<u8>);

impl Given {
    pub(crate) fn new(bytes: &Hex) -> Self {
        Self(bytes.0.clone())
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        assert!(self.0.is_empty() || std::thread::panicking(), "{} bytes were not drawn", self.0.len());
    }
}

impl TryRng for Given {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("only bytes are drawn")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("only bytes are drawn")
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        assert!(bytes.len() <= self.0.len(), "more is drawn than was given");
        let rest = self.0.split_off(bytes.len());
        bytes.copy_from_slice(&std::mem::replace(&mut self.0, rest));
        Ok(())
    }
}

impl TryCryptoRng for Given {}

/// CBOR written by hand, to make what the code would not.
#[derive(Clone, Default)]
pub(crate) struct Cbor(Vec<u8>);

impl Cbor {
    /// The head of an array, in its one deterministic form.
    pub(crate) fn array(self, length: usize) -> Self {
        self.head(4, length as u64)
    }

    pub(crate) fn uint(self, value: u64) -> Self {
        self.head(0, value)
    }

    pub(crate) fn bytes(self, bytes: impl AsRef<[u8]>) -> Self {
        self.head(2, bytes.as_ref().len() as u64).raw(bytes)
    }

    pub(crate) fn text(self, text: &str) -> Self {
        self.head(3, text.len() as u64).raw(text)
    }

    pub(crate) fn null(self) -> Self {
        self.raw([0xf6])
    }

    /// Anything at all.
    pub(crate) fn raw(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.extend_from_slice(bytes.as_ref());
        self
    }

    pub(crate) fn end(self) -> Hex {
        Hex(self.0)
    }

    fn head(self, major: u8, value: u64) -> Self {
        let major = major << 5;
        match value {
            0..24 => self.raw([major | value as u8]),
            24..0x100 => self.raw([major | 24, value as u8]),
            0x100..0x1_0000 => self.raw([major | 25]).raw((value as u16).to_be_bytes()),
            0x1_0000..0x1_0000_0000 => self.raw([major | 26]).raw((value as u32).to_be_bytes()),
            _ => self.raw([major | 27]).raw(value.to_be_bytes()),
        }
    }
}
