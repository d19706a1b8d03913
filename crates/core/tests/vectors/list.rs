//! `list_v1.json`, `list_v1_bad.json`.

use datafuse_core::{
    Error,
    id::Epoch,
    keys::PartyKeys,
    list::{Join, ListEnvelope, ListHeader},
    name::PublicName,
    root::Root,
};
use serde::{Deserialize, Serialize};

use super::{
    form::{Form, bad_forms},
    harness::{Cbor, Given, Hex, bytes, check, name, party, refusal},
};

const HOLDER: u64 = 1;
const WORKLOAD: u64 = 3;
const OTHER: u64 = 4;

const LABEL: &str = "datafuse/v1/list";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    note: String,
    workload_keys: Hex,
    holder_keys: Hex,
    ephemeral_ikm: Hex,
    root: Hex,
    epoch: u64,
    event: String,
    join: Join,
    kind: String,
    with: Vec<String>,
    file_key: Hex,
    info: Hex,
    payload: Hex,
    bytes: Hex,
}

impl Vector {
    fn new(note: &str) -> Self {
        Self {
            note: note.to_owned(),
            workload_keys: party(WORKLOAD).encode().as_slice().into(),
            holder_keys: party(HOLDER).encode().as_slice().into(),
            ephemeral_ikm: bytes::<32>(note).into(),
            root: bytes::<32>("root").into(),
            epoch: 1,
            event: "01J8ZQ4X7M6V9K3T2N1B0C5D7E".to_owned(),
            join: Join::Inner,
            kind: "email".to_owned(),
            with: vec!["globex".to_owned()],
            file_key: bytes::<32>("file key").into(),
            info: Hex::default(),
            payload: Hex::default(),
            bytes: Hex::default(),
        }
    }

    fn complete(mut self) -> Self {
        let (holder, workload) =
            (PartyKeys::decode(&self.holder_keys.0).unwrap(), PartyKeys::decode(&self.workload_keys.0).unwrap());
        let header = ListHeader {
            root: Root::from_bytes(self.root.array()),
            epoch: Epoch(self.epoch),
            event: self.event.parse().unwrap(),
            workload: workload.identity().public_name(),
            holder: holder.identity().public_name(),
            join: self.join,
            kind: self.kind.parse().unwrap(),
            with: self.with.iter().map(|holder| holder.parse().unwrap()).collect(),
        };
        let mut rng = Given::new(&self.ephemeral_ikm);
        let sealed = ListEnvelope::seal(header.clone(), &self.file_key.array(), workload.identity(), &mut rng).unwrap();
        self.payload = Cbor::default().array(2).uint(1).bytes(&self.file_key.0).end();
        self.bytes = sealed.encode().into();
        self.info = Form::of(LABEL, &self.bytes).info().into();
        let read = ListEnvelope::decode(&self.bytes.0).unwrap();
        assert_eq!(*read.header(), header);
        read.verify(&[name(WORKLOAD)]).unwrap();
        assert_eq!(*read.open(&holder).unwrap(), self.file_key.array());
        self
    }
}

#[test]
fn envelopes_are_those_of_the_vectors() {
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    let vectors = vec![
        Vector::new("inner, with one other holder"),
        Vector { join: Join::Left, with: names(&["acme-2", "globex", "initech"]), ..Vector::new("left, with three") },
        Vector { join: Join::Difference, kind: "iban".to_owned(), ..Vector::new("difference, by another kind") },
        Vector { epoch: 300, event: "1526919030474-0".to_owned(), ..Vector::new("a stream entry, and a large number") },
    ];
    let about = "The key_metadata of a holder's list: [1, root, epoch, event, workload, holder, join, kind, [with...], enc, ciphertext, \
                 signature]. Sealed is [1, file key]. HPKE base mode with `info` to the holder's receiving key, ephemeral key from \
                 DeriveKeyPair(ephemeral_ikm); Ed25519 by the workload over lp(info) lp(enc) lp(ciphertext). Keys are bodies of key \
                 files.";
    check("list_v1.json", about, vectors, Vector::complete);
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bad {
    note: String,
    holder_keys: Hex,
    workload: PublicName,
    root: Hex,
    bytes: Hex,
    error: String,
}

impl Bad {
    fn new(note: &str, bytes: Hex) -> Self {
        let Vector { holder_keys, root, .. } = Vector::new("");
        Self { note: note.to_owned(), holder_keys, workload: name(WORKLOAD), root, bytes, error: String::new() }
    }

    fn open(&self) -> Result<(), Error> {
        let envelope = ListEnvelope::decode(&self.bytes.0)?;
        envelope.header().check_root(&Root::from_bytes(self.root.array()))?;
        envelope.verify(std::slice::from_ref(&self.workload))?;
        envelope.open(&PartyKeys::decode(&self.holder_keys.0).unwrap()).map(drop)
    }

    fn complete(mut self) -> Self {
        self.error = refusal(self.open());
        self
    }
}

#[test]
fn altered_envelopes_and_those_for_others_are_refused() {
    let two = || Vector { with: vec!["globex".to_owned(), "initech".to_owned()], ..Vector::new("good") };
    let good = two().complete().bytes;
    assert_eq!(Bad::new("", good.clone()).open(), Ok(()));
    let form = Form::of(LABEL, &good);
    let cbor = Cbor::default;
    let names = |names: &[&str]| names.iter().fold(cbor().array(names.len()), |cbor, name| cbor.text(name));
    let fields = [
        ("the epoch", 2, cbor().uint(2)),
        ("the event", 3, cbor().text("01J8ZQ4X7M6V9K3T2N1B0C5D7F")),
        ("the join", 6, cbor().text("difference")),
        ("the kind", 7, cbor().text("phone")),
        ("the other holders", 8, names(&["globex", "hooli"])),
    ];
    let mut bad = bad_forms(&form, WORKLOAD, &fields);
    let mut push = |note: &str, bytes: Hex| bad.push((note.to_owned(), bytes));
    push("of another space", Vector { root: bytes::<32>("another root").into(), ..two() }.complete().bytes);
    let to_other = Vector { holder_keys: party(OTHER).encode().as_slice().into(), ..two() }.complete().bytes;
    push("for another holder", to_other.clone());
    let renamed = Form::of(LABEL, &to_other).with(5, cbor().bytes(name(HOLDER).to_bytes())).signed_by(WORKLOAD);
    push("for another holder, its name changed and signed anew", renamed.encode());
    push("of another workload", form.clone().with(4, cbor().bytes(name(OTHER).to_bytes())).signed_by(OTHER).encode());
    push("signed by another", form.clone().signed_by(OTHER).encode());
    let with = |at: usize, element: Cbor| form.clone().with(at, element).signed_by(WORKLOAD).encode();
    push("a join that does not exist, signed", with(6, cbor().text("outer")));
    push("an event that is no name, signed", with(3, cbor().text("../event")));
    push("the reserved kind, signed", with(7, cbor().text("datafuse-canary")));
    push("no other holder, signed", with(8, names(&[])));
    push("a holder twice, signed", with(8, names(&["globex", "globex"])));
    push("other holders not in order, signed", with(8, names(&["initech", "globex"])));
    push("a holder that is no name, signed", with(8, names(&["../globex", "initech"])));
    let vectors = bad.into_iter().map(|(note, bytes)| Bad::new(&note, bytes)).collect();
    let about = "key_metadata of lists that a holder refuses that has these keys, and knows the space and the workload by these.";
    check("list_v1_bad.json", about, vectors, Bad::complete);
}
