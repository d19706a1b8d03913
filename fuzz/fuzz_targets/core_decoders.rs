//! Every structure of the protocol that is read from bytes: nothing panics, what is read has no other encoding, and a signature holds
//! for nothing but what was signed.
//!
//! The input is either the bytes themselves, or one of the test vectors with edits ([`Input::bytes`]): no fuzzer would come upon a
//! public name or a signature.
#![no_main]

use std::{collections::HashSet, fs, path::Path, sync::LazyLock};

use datafuse_core::{
    Result,
    announcement::Announcement,
    audit::{AuditHead, verify_line},
    dataset::DatasetEnvelope,
    enrolment::{Answer, BlindForWorkload, ShareForHolder},
    keys::PartyKeys,
    list::ListEnvelope,
    lookup::{Asked, BareToken, LookupAnswer, LookupRequest},
    message::Message,
    name::PublicName,
    root::Root,
    rotation::Rotation,
    status::Status,
};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const MAX_EDITS: usize = 8;

/// What the test vectors hold.
struct Vectors {
    /// All bytes in them of more than a hash.
    bytes: Vec<Vec<u8>>,
    known: HashSet<Vec<u8>>,
    /// The spaces and parties that signed some of them.
    roots: Vec<Root>,
    workloads: Vec<PublicName>,
    /// Requests that there are answers to.
    requests: Vec<Vec<u8>>,
}

static VECTORS: LazyLock<Vectors> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../test-vectors");
    let mut vectors = Vectors {
        bytes: Vec::new(),
        known: HashSet::new(),
        roots: Vec::new(),
        workloads: Vec::new(),
        requests: Vec::new(),
    };
    let mut paths: Vec<_> =
        fs::read_dir(folder).expect("the test vectors").map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    // Ends of two bad ones together can be a good one again, which stands in no file.
    let good = |path: &Path| path.to_str().is_some_and(|path| path.ends_with("_v1.json"));
    for path in paths.iter().filter(|path| good(path)) {
        let text = fs::read_to_string(path).expect("a file of vectors");
        vectors.collect("", &serde_json::from_str(&text).expect("JSON"));
    }
    vectors.roots.sort();
    vectors.roots.dedup();
    vectors.workloads.sort();
    vectors.workloads.dedup();
    assert!(vectors.bytes.len() > 100 && !vectors.requests.is_empty() && !vectors.workloads.is_empty());
    vectors
});

impl Vectors {
    fn collect(&mut self, name: &str, value: &Value) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| self.collect(name, value)),
            Value::Object(fields) => fields.iter().for_each(|(name, value)| self.collect(name, value)),
            Value::String(text) => self.collect_text(name, text),
            _ => {}
        }
    }

    fn collect_text(&mut self, name: &str, text: &str) {
        let bytes = match (hex::decode(text), name) {
            (Ok(bytes), _) => bytes,
            (Err(_), "line") => text.as_bytes().to_vec(),
            (Err(_), "workload") => return self.workloads.extend(text.parse::<PublicName>()),
            _ => return,
        };
        match name {
            "root" => self.roots.extend(<[u8; 32]>::try_from(&*bytes).ok().map(Root::from_bytes)),
            "workload_keys" => {
                self.workloads.extend(PartyKeys::decode(&bytes).map(|keys| keys.identity().public_name()))
            }
            "request" => self.requests.push(bytes.clone()),
            _ => {}
        }
        if bytes.len() > 32 && self.known.insert(bytes.clone()) {
            self.bytes.push(bytes);
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let vectors = &*VECTORS;
    let bytes = Input(input).bytes(vectors);
    has_one_encoding(&bytes, PartyKeys::decode, PartyKeys::encode);
    has_one_encoding(&bytes, ShareForHolder::decode, ShareForHolder::encode);
    has_one_encoding(&bytes, BlindForWorkload::decode, BlindForWorkload::encode);
    has_one_encoding(&bytes, Answer::decode, Answer::encode);
    has_one_encoding(&bytes, Rotation::decode, Rotation::encode);
    has_one_encoding(&bytes, BareToken::decode, BareToken::encode);
    has_one_encoding(&bytes, PublicName::from_bytes, PublicName::to_bytes);
    has_one_encoding(&bytes, DatasetEnvelope::decode, DatasetEnvelope::encode);
    let _ = Asked::decode(&bytes);
    let mut signed = Vec::new();
    if let Some(message) = has_one_encoding(&bytes, Message::decode, Message::encode) {
        signed.push(message.verify());
    }
    if let Some(request) = has_one_encoding(&bytes, LookupRequest::decode, LookupRequest::encode) {
        signed.push(request.verify());
    }
    if let Some(list) = has_one_encoding(&bytes, ListEnvelope::decode, ListEnvelope::encode) {
        signed.push(list.verify(&[list.header().workload.clone()]));
    }
    if let Some(answer) = has_one_encoding(&bytes, LookupAnswer::decode, LookupAnswer::encode) {
        signed.extend(vectors.requests.iter().map(|request| answer.verify(request, &vectors.workloads)));
    }
    for (root, workload) in vectors.roots.iter().flat_map(|root| vectors.workloads.iter().map(move |name| (root, name)))
    {
        signed.push(Announcement::verify(&bytes, root, workload).map(drop));
        signed.push(Status::verify(&bytes, root, workload).map(drop));
        signed.push(AuditHead::verify(&bytes, root, workload).map(drop));
        signed.push(verify_line(&bytes, root, workload));
    }
    assert!(vectors.known.contains(&bytes) || signed.iter().all(Result::is_err), "a signature over other bytes");
});

/// Reads the bytes, and sees that the encoding of what was read is those.
fn has_one_encoding<T, E: AsRef<[u8]>>(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Result<T>,
    encode: impl Fn(&T) -> E,
) -> Option<T> {
    let read = decode(bytes).ok()?;
    assert_eq!(encode(&read).as_ref(), bytes, "another encoding of the same");
    Some(read)
}

/// The bytes of the fuzzer, taken from the front.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> usize {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        usize::from(*first)
    }

    fn number(&mut self) -> usize {
        self.byte() << 8 | self.byte()
    }

    /// What comes, or a vector with a few bytes changed, put in or left out, its end cut off, or another's end in its place.
    fn bytes(&mut self, vectors: &Vectors) -> Vec<u8> {
        if self.byte().is_multiple_of(2) {
            return self.0.to_vec();
        }
        let vector = |number: usize| &vectors.bytes[number % vectors.bytes.len()];
        let mut bytes = vector(self.number()).clone();
        for _ in 0..MAX_EDITS {
            if self.0.is_empty() || bytes.is_empty() {
                break;
            }
            let (edit, at) = (self.byte() % 6, self.number() % bytes.len());
            match edit {
                0 => bytes[at] ^= 1 << (self.byte() % 8),
                1 => bytes[at] = self.byte() as u8,
                2 => bytes.insert(at, self.byte() as u8),
                3 => drop(bytes.remove(at)),
                4 => bytes.truncate(at),
                _ => {
                    let other = vector(self.number());
                    bytes.truncate(at);
                    bytes.extend(other.get(at..).unwrap_or_default());
                }
            }
        }
        bytes
    }
}
