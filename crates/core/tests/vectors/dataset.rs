//! `dataset_v1.json`, `dataset_v1_bad_header.json`, `dataset_v1_bad_bytes.json`.

use datafuse_core::{
    Error,
    dataset::{DatasetEnvelope, DatasetHeader, DatasetSecret, Expected},
    id::Epoch,
    keys::{KeyId, PartyKeys},
    kind::Kind,
    lp::Lp,
    name::PublicName,
    root::Root,
    seal::ReceiveKey,
    token::Token,
};
use ed25519_dalek::{Signer, SigningKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    harness::{Cbor, Given, Hex, bytes, check, party, refusal},
    root::KindForm,
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    note: String,
    holder_keys: Hex,
    dataset_secret: Hex,
    ephemeral_ikms: Hex,
    root: Hex,
    epoch: u64,
    dataset: String,
    version: u64,
    kinds: Vec<(String, String)>,
    key_id: Hex,
    file_key: Hex,
    canary: Hex,
    info_workload: Hex,
    info_holder: Hex,
    bytes: Hex,
}

const HOLDER: u64 = 1;
const OTHER: u64 = 2;

impl Vector {
    fn new(note: &str) -> Self {
        Self {
            note: note.to_owned(),
            holder_keys: party(HOLDER).encode().as_slice().into(),
            dataset_secret: bytes::<32>("dataset key").into(),
            ephemeral_ikms: bytes::<64>(note).into(),
            root: bytes::<32>("root").into(),
            epoch: 1,
            dataset: "customers".to_owned(),
            version: 3,
            kinds: vec![("email".to_owned(), "email-v1".to_owned())],
            key_id: party(HOLDER).token().key_id().as_bytes().into(),
            file_key: bytes::<32>("file key").into(),
            canary: bytes::<32>("canary").into(),
            info_workload: Hex::default(),
            info_holder: Hex::default(),
            bytes: Hex::default(),
        }
    }

    fn complete(mut self) -> Self {
        let keys = PartyKeys::decode(&self.holder_keys.0).unwrap();
        let key = ReceiveKey::from_bytes(self.dataset_secret.array());
        let kind = |(name, profile): &(String, String)| (name.parse().unwrap(), profile.clone());
        let header = DatasetHeader {
            root: Root::from_bytes(self.root.array()),
            epoch: Epoch(self.epoch),
            holder: keys.identity().public_name(),
            dataset: self.dataset.parse().unwrap(),
            version: self.version,
            kinds: self.kinds.iter().map(kind).collect(),
            key_id: KeyId::from_bytes(self.key_id.array()),
        };
        let secret = DatasetSecret {
            file_key: Zeroizing::new(self.file_key.array()),
            canary: Token::from_bytes(self.canary.array()),
        };
        let mut rng = Given::new(&self.ephemeral_ikms);
        let sealed = DatasetEnvelope::seal(header.clone(), &secret, &key.public(), keys.identity(), &mut rng).unwrap();
        self.bytes = sealed.encode().into();
        let form = Form::of(&self.bytes);
        self.info_workload = form.info("workload").into();
        self.info_holder = form.info("holder").into();
        let envelope = DatasetEnvelope::decode(&self.bytes.0).unwrap();
        assert_eq!(*envelope.header(), header);
        for opened in [envelope.open_as_workload(&key), envelope.open_as_holder(&keys)] {
            let opened = opened.unwrap();
            assert_eq!(*opened.file_key, self.file_key.array());
            assert_eq!(*opened.canary.as_bytes(), self.canary.array());
        }
        self
    }
}

#[test]
fn envelopes_are_those_of_the_vectors() {
    let kind = |name: &str, profile: &str| (name.to_owned(), profile.to_owned());
    let vectors = vec![
        Vector::new("one kind"),
        Vector {
            kinds: vec![
                kind("email", "email-v1"),
                kind("person", "text-v1+exact-v1+phone-e164-v1"),
                kind("phone", "phone-e164-v1"),
            ],
            ..Vector::new("several kinds, sorted by name")
        },
        Vector { kinds: vec![], ..Vector::new("no kind") },
        Vector { epoch: 300, version: u64::MAX, ..Vector::new("large numbers") },
    ];
    let about = "The key_metadata of a protected dataset: [1, root, epoch, holder, dataset, version, [[kind, profile]...], key id, \
                 enc, ciphertext, enc, ciphertext, signature]; first for the public half of dataset_secret, with info_workload, \
                 then for the holder's receiving key, with info_holder. The plaintext is [1, file key, canary]; Ed25519 over the \
                 lps of info, enc and ciphertext of both. The ephemeral keys are from DeriveKeyPair of the two halves of \
                 ephemeral_ikms; holder_keys is the body of the holder's key file.";
    check("dataset_v1.json", about, vectors, Vector::complete);
}

/// The fields of an encoded envelope, to be changed by hand.
#[derive(Clone)]
struct Form {
    root: Vec<u8>,
    epoch: u64,
    holder: Vec<u8>,
    dataset: String,
    version: u64,
    kinds: Vec<(String, String)>,
    key_id: Vec<u8>,
    /// Encapsulated key and ciphertext, for the workload and for the holder.
    sealed: [[Vec<u8>; 2]; 2],
    signature: Vec<u8>,
}

impl Form {
    fn of(bytes: &Hex) -> Self {
        let mut cbor = minicbor::Decoder::new(&bytes.0);
        assert_eq!((cbor.array().unwrap(), cbor.u64().unwrap()), (Some(13), 1));
        let (root, epoch) = (cbor.bytes().unwrap().to_vec(), cbor.u64().unwrap());
        let (holder, dataset) = (cbor.bytes().unwrap().to_vec(), cbor.str().unwrap().to_owned());
        let (version, kinds) = (cbor.u64().unwrap(), cbor.decode().unwrap());
        let mut bytes = || cbor.bytes().unwrap().to_vec();
        let (key_id, sealed, signature) = (bytes(), [[bytes(), bytes()], [bytes(), bytes()]], bytes());
        Self { root, epoch, holder, dataset, version, kinds, key_id, sealed, signature }
    }

    fn info(&self, opener: &str) -> Vec<u8> {
        let kind = |(name, profile): &(String, String)| {
            Lp::default().field(name.as_bytes()).field(profile.as_bytes()).into_bytes()
        };
        Lp::labelled("datafuse/v1/dataset")
            .field(opener.as_bytes())
            .field(&self.root)
            .integer(self.epoch)
            .field(&self.holder)
            .field(self.dataset.as_bytes())
            .integer(self.version)
            .list(self.kinds.iter().map(kind))
            .field(&self.key_id)
            .into_bytes()
    }

    fn signed_by(mut self, seed: u64) -> Self {
        // The signing secret follows three bytes of heads and the version.
        let sign = SigningKey::from_bytes(party(seed).encode()[4..36].try_into().unwrap());
        let parts = ["workload", "holder"].into_iter().zip(&self.sealed);
        let signed = parts.fold(Lp::default(), |lp, (opener, [enc, ciphertext])| {
            lp.field(&self.info(opener)).field(enc).field(ciphertext)
        });
        self.signature = sign.sign(&signed.into_bytes()).to_bytes().into();
        self
    }

    fn encode(&self) -> Hex {
        let start = Cbor::default().array(13).uint(1).bytes(&self.root).uint(self.epoch).bytes(&self.holder);
        let start = start.text(&self.dataset).uint(self.version).array(self.kinds.len());
        let start = self.kinds.iter().fold(start, |cbor, (name, profile)| cbor.array(2).text(name).text(profile));
        let sealed = self.sealed.iter().flatten();
        sealed.fold(start.bytes(&self.key_id), |cbor, part| cbor.bytes(part)).bytes(&self.signature).end()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bad {
    note: String,
    expected: ExpectedForm,
    dataset_secret: Hex,
    bytes: Hex,
    error: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedForm {
    root: Hex,
    epoch: u64,
    holder: PublicName,
    dataset: String,
    kinds: Vec<KindForm>,
    key_id: Hex,
    /// The version that was accepted before; 0 where there is none.
    seen_version: u64,
}

impl Bad {
    fn new(note: &str, bytes: Hex) -> Self {
        let vector = Vector::new("");
        Self {
            note: note.to_owned(),
            expected: ExpectedForm {
                root: vector.root,
                epoch: vector.epoch,
                holder: party(HOLDER).identity().public_name(),
                dataset: vector.dataset,
                kinds: vec![
                    KindForm::single("email", "email-v1", None),
                    KindForm::single("phone", "phone-e164-v1", Some("BE")),
                ],
                key_id: vector.key_id,
                seen_version: 2,
            },
            dataset_secret: vector.dataset_secret,
            bytes,
            error: String::new(),
        }
    }

    fn accept(&self) -> Result<(), Error> {
        let expected = &self.expected;
        let kinds: Vec<Kind> = expected.kinds.iter().map(KindForm::kind).collect();
        let envelope = DatasetEnvelope::decode(&self.bytes.0)?;
        envelope.header().check(&Expected {
            root: &Root::from_bytes(expected.root.array()),
            epoch: Epoch(expected.epoch),
            holder: &expected.holder,
            dataset: &expected.dataset.parse().unwrap(),
            kinds: &kinds,
            key_id: KeyId::from_bytes(expected.key_id.array()),
        })?;
        envelope.header().check_newer_than(expected.seen_version)?;
        envelope.open_as_workload(&ReceiveKey::from_bytes(self.dataset_secret.array())).map(drop)
    }

    fn complete(mut self) -> Self {
        self.error = refusal(self.accept());
        self
    }
}

#[test]
fn envelopes_with_another_header_are_refused() {
    let good = Vector::new("good").complete();
    assert_eq!(Bad::new("", good.bytes.clone()).accept(), Ok(()));
    let kinds = |kinds: &[(&str, &str)]| -> Vec<_> {
        kinds.iter().map(|(name, profile)| ((*name).to_owned(), (*profile).to_owned())).collect()
    };
    let other = party(OTHER);
    let base = || Vector::new("good");
    // Rightly made, for something else than lies here.
    let strays = [
        ("another space", Vector { root: bytes::<32>("other root").into(), ..base() }),
        ("another epoch", Vector { epoch: 2, ..base() }),
        ("another holder", Vector { holder_keys: other.encode().as_slice().into(), ..base() }),
        ("another dataset", Vector { dataset: "prospects".to_owned(), ..base() }),
        ("a kind that the space does not have", Vector { kinds: kinds(&[("iban", "iban-v1")]), ..base() }),
        ("another profile", Vector { kinds: kinds(&[("email", "email-gmail-v1")]), ..base() }),
        ("another key id", Vector { key_id: other.token().key_id().as_bytes().into(), ..base() }),
        ("an older version", Vector { version: 1, ..base() }),
        ("the version that was accepted before", Vector { version: 2, ..base() }),
        ("another dataset key", Vector { dataset_secret: bytes::<32>("other dataset key").into(), ..base() }),
    ];
    let mut vectors: Vec<_> =
        strays.iter().map(|(note, vector)| Bad::new(note, vector.clone().complete().bytes)).collect();
    // The same, with a header that was changed to pass; and signed anew by the holder itself, so that only the seal can notice.
    let expected = Form::of(&good.bytes);
    for (note, vector) in &strays[..9] {
        let stray = Form::of(&vector.clone().complete().bytes);
        let form = Form { sealed: stray.sealed, signature: stray.signature, ..expected.clone() };
        vectors.push(Bad::new(&format!("{note}, its header changed to pass"), form.encode()));
        let resigned = form.signed_by(HOLDER).encode();
        vectors.push(Bad::new(&format!("{note}, its header changed to pass and signed anew"), resigned));
    }
    let stolen = expected.clone().signed_by(OTHER);
    vectors.push(Bad::new("signed by another party", stolen.encode()));
    let swapped = Form { sealed: [expected.sealed[1].clone(), expected.sealed[0].clone()], ..expected.clone() };
    vectors.push(Bad::new("the two sealed parts in the place of each other", swapped.encode()));
    vectors.push(Bad::new("the same, signed", swapped.signed_by(HOLDER).encode()));

    let about = "key_metadata that a workload refuses that expects this, and has this dataset key: it is for something else, or its \
                 header is not the one that was signed and sealed.";
    check("dataset_v1_bad_header.json", about, vectors, Bad::complete);
}

#[test]
fn envelopes_with_other_bytes_are_refused() {
    let good = Vector::new("good").complete().bytes;
    let form = Form::of(&good);
    let changed = |at: usize| {
        let mut bytes = good.0.clone();
        bytes[at] ^= 1;
        Hex(bytes)
    };
    let with = |change: &dyn Fn(&mut Form)| {
        let mut form = form.clone();
        change(&mut form);
        form.signed_by(HOLDER).encode()
    };
    let kinds = |kinds: &[(&str, &str)]| -> Vec<_> {
        kinds.iter().map(|(name, profile)| ((*name).to_owned(), (*profile).to_owned())).collect()
    };
    let length = good.0.len();
    let vectors = vec![
        Bad::new("empty", Hex::default()),
        Bad::new("cut within the header", good.0[..100].into()),
        Bad::new("the last byte missing", good.0[..length - 1].into()),
        Bad::new("a byte left over", [good.0.as_slice(), &[0]].concat().into()),
        Bad::new("version 2", [&good.0[..1], &[2], &good.0[2..]].concat().into()),
        Bad::new("the version in a long form", [&good.0[..1], &[0x18, 1], &good.0[2..]].concat().into()),
        Bad::new("an array of indefinite length", [&[0x9f], &good.0[1..], &[0xff]].concat().into()),
        Bad::new("the epoch in a long form", [&good.0[..36], &[0x18, 1], &good.0[37..]].concat().into()),
        Bad::new(
            "a holder whose signing key has order 1",
            with(&|form| {
                form.holder[1..33].fill(0);
                form.holder[1] = 1;
            }),
        ),
        Bad::new(
            "kinds that are not sorted",
            with(&|form| {
                form.kinds = kinds(&[("phone", "phone-e164-v1"), ("email", "email-v1")]);
            }),
        ),
        Bad::new("a kind twice", with(&|form| form.kinds = kinds(&[("email", "email-v1"), ("email", "email-v1")]))),
        Bad::new("the reserved kind", with(&|form| form.kinds = kinds(&[("datafuse-canary", "")]))),
        Bad::new("a kind that is no name", with(&|form| form.kinds = kinds(&[("../email", "email-v1")]))),
        Bad::new("a profile with an escape sequence", with(&|form| form.kinds = kinds(&[("email", "\u{1b}[2J")]))),
        Bad::new("a dataset that is no name", with(&|form| form.dataset = "../customers".to_owned())),
        Bad::new("an encapsulated key of zeros, signed", with(&|form| form.sealed[0][0].fill(0))),
        Bad::new("a changed ciphertext, signed", with(&|form| form.sealed[0][1][0] ^= 1)),
        Bad::new("a ciphertext of its tag alone, signed", with(&|form| form.sealed[0][1].truncate(16))),
        Bad::new("a changed part of the holder", changed(length - 64 - 2 - 20)),
        Bad::new("a changed signature", changed(length - 64)),
    ];
    let about = "key_metadata that a workload refuses: damaged, or not the one encoding.";
    check("dataset_v1_bad_bytes.json", about, vectors, Bad::complete);
}
