//! Bytes as the attacker reads them: CBOR of any shape, sealed messages, envelopes of datasets.
//!
//! Written from `docs/protocol.md` and `docs/formats.md`, not from the code of `core`, so that the drill also checks that they
//! say what the program does. Signatures are not looked at: an attacker takes what it can open.

use datafuse_core::lp::Lp;
use hpke::{Deserializable, OpModeR, aead::ChaCha20Poly1305, kdf::HkdfSha256, kem::X25519HkdfSha256, single_shot_open};
use minicbor::{Decoder, data::Type};

/// Deeper than anything that the program writes.
const MAX_DEPTH: usize = 8;

/// Any CBOR value that the program's structures are made of.
#[derive(Clone)]
pub(crate) enum Value {
    Integer(u64),
    Bytes(Vec<u8>),
    Text(String),
    Array(Vec<Value>),
    Null,
}

impl Value {
    /// Reads a value from exactly these bytes.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut decoder = Decoder::new(bytes);
        let value = read(&mut decoder, MAX_DEPTH)?;
        (decoder.position() == bytes.len()).then_some(value)
    }

    /// The elements of a structure after its version, which must be 1.
    pub(crate) fn structure(self) -> Option<Vec<Value>> {
        let Self::Array(mut elements) = self else { return None };
        match elements.first() {
            Some(Self::Integer(1)) => Some(elements.split_off(1)),
            _ => None,
        }
    }

    pub(crate) fn integer(&self) -> Option<u64> {
        if let Self::Integer(value) = self { Some(*value) } else { None }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        if let Self::Text(value) = self { Some(value) } else { None }
    }

    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        if let Self::Bytes(value) = self { Some(value) } else { None }
    }

    pub(crate) fn array(&self) -> Option<&[Value]> {
        if let Self::Array(value) = self { Some(value) } else { None }
    }

    /// A byte string of this length.
    pub(crate) fn fixed<const N: usize>(&self) -> Option<[u8; N]> {
        self.bytes()?.try_into().ok()
    }
}

fn read(decoder: &mut Decoder<'_>, depth: usize) -> Option<Value> {
    match decoder.datatype().ok()? {
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => decoder.u64().ok().map(Value::Integer),
        Type::Bytes => decoder.bytes().ok().map(|bytes| Value::Bytes(bytes.to_vec())),
        Type::String => decoder.str().ok().map(|text| Value::Text(text.to_owned())),
        Type::Null => decoder.null().ok().map(|()| Value::Null),
        Type::Array if depth > 0 => {
            let length = decoder.array().ok()??;
            (0..length).map(|_| read(decoder, depth - 1)).collect::<Option<_>>().map(Value::Array)
        }
        _ => None,
    }
}

/// A sealed payload with what it is bound to.
pub(crate) struct Sealed {
    info: Vec<u8>,
    enc: Vec<u8>,
    ciphertext: Vec<u8>,
}

impl Sealed {
    /// Tries a receive key.
    pub(crate) fn open(&self, key: &[u8; 32]) -> Option<Vec<u8>> {
        type Kem = X25519HkdfSha256;
        let key = <Kem as hpke::Kem>::PrivateKey::from_bytes(key).ok()?;
        let enc = <Kem as hpke::Kem>::EncappedKey::from_bytes(&self.enc).ok()?;
        let base = OpModeR::Base;
        single_shot_open::<ChaCha20Poly1305, HkdfSha256, Kem>(&base, &key, &enc, &self.info, &self.ciphertext, &[]).ok()
    }
}

/// A message of enrolment or rotation.
pub(crate) struct Message {
    pub(crate) epoch: u64,
    pub(crate) round: String,
    pub(crate) sender: Vec<u8>,
    pub(crate) receiver: Vec<u8>,
    pub(crate) subject: Vec<u8>,
    pub(crate) key_ids: Vec<[u8; 16]>,
    pub(crate) sealed: Sealed,
}

impl Message {
    /// Reads a message; its payload stays closed.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let fields = Value::parse(bytes)?.structure()?;
        let [root, epoch, round, sender, receiver, subject, key_ids, serial, enc, ciphertext, _signature] =
            fields.as_slice()
        else {
            return None;
        };
        let (epoch, round) = (epoch.integer()?, round.text()?.to_owned());
        let subject = subject.bytes().unwrap_or_default().to_vec();
        let key_ids = key_ids.array()?.iter().map(Value::fixed).collect::<Option<Vec<[u8; 16]>>>()?;
        let info = Lp::labelled("datafuse/v1/message")
            .field(root.bytes()?)
            .integer(epoch)
            .field(round.as_bytes())
            .field(sender.bytes()?)
            .field(receiver.bytes()?)
            .field(&subject)
            .list(&key_ids)
            .integer(serial.integer()?)
            .into_bytes();
        Some(Self {
            epoch,
            round,
            sender: sender.bytes()?.to_vec(),
            receiver: receiver.bytes()?.to_vec(),
            subject,
            key_ids,
            sealed: Sealed { info, enc: enc.bytes()?.to_vec(), ciphertext: ciphertext.bytes()?.to_vec() },
        })
    }
}

/// The key metadata of a protected dataset.
pub(crate) struct Envelope {
    pub(crate) epoch: u64,
    pub(crate) holder: Vec<u8>,
    pub(crate) key_id: [u8; 16],
    /// The sealed part of each opener, under the `info` of each: whoever mixed them up would be found out.
    pub(crate) sealed: Vec<Sealed>,
}

impl Envelope {
    /// Reads key metadata; the file key stays sealed.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let fields = Value::parse(bytes)?.structure()?;
        let [root, epoch, holder, dataset, version, kinds, key_id, enc, ciphertext, other_enc, other_ciphertext, _] =
            fields.as_slice()
        else {
            return None;
        };
        let pairs = kinds.array()?.iter().map(|pair| match pair.array()? {
            [kind, profile] => {
                Some(Lp::default().field(kind.text()?.as_bytes()).field(profile.text()?.as_bytes()).into_bytes())
            }
            _ => None,
        });
        let pairs = pairs.collect::<Option<Vec<_>>>()?;
        let parts = [(enc, ciphertext), (other_enc, other_ciphertext)];
        let mut sealed = Vec::new();
        for opener in ["workload", "holder"] {
            let info = Lp::labelled("datafuse/v1/dataset")
                .field(opener.as_bytes())
                .field(root.bytes()?)
                .integer(epoch.integer()?)
                .field(holder.bytes()?)
                .field(dataset.text()?.as_bytes())
                .integer(version.integer()?)
                .list(&pairs)
                .field(&key_id.fixed::<16>()?)
                .into_bytes();
            for (enc, ciphertext) in parts {
                let (enc, ciphertext) = (enc.bytes()?.to_vec(), ciphertext.bytes()?.to_vec());
                sealed.push(Sealed { info: info.clone(), enc, ciphertext });
            }
        }
        Some(Self { epoch: epoch.integer()?, holder: holder.bytes()?.to_vec(), key_id: key_id.fixed()?, sealed })
    }
}

/// The 32-byte strings of an opened payload, in order, those of a list within it left out.
pub(crate) fn payload(bytes: &[u8]) -> Option<Vec<[u8; 32]>> {
    let fields = Value::parse(bytes)?.structure()?;
    Some(fields.iter().filter_map(Value::fixed).collect())
}
