//! `message_v1.json`, `message_v1_bad_header.json`, `message_v1_bad_bytes.json`.

use datafuse_core::{
    Error,
    id::Epoch,
    keys::{KeyId, PartyKeys},
    lp::Lp,
    message::{Header, Message, Round},
    name::PublicName,
    root::Root,
    seal::ReceiveKey,
};
use ed25519_dalek::{Signer, SigningKey};
use serde::{Deserialize, Serialize};

use super::harness::{Cbor, Given, Hex, bytes, check, name, party, refusal};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    note: String,
    sender_keys: Hex,
    receive_secret: Hex,
    ephemeral_ikm: Hex,
    root: Hex,
    epoch: u64,
    round: String,
    receiver: PublicName,
    subject: Option<PublicName>,
    key_ids: Vec<Hex>,
    serial: u64,
    payload: Hex,
    info: Hex,
    bytes: Hex,
    mailbox_name: String,
}

const SENDER: u64 = 1;
const HOLDER: u64 = 2;
const WORKLOAD: u64 = 3;
const OTHER: u64 = 4;

impl Vector {
    fn share(note: &str) -> Self {
        Self {
            note: note.to_owned(),
            sender_keys: party(SENDER).encode().as_slice().into(),
            receive_secret: party(HOLDER).identity().receive_key().as_bytes().into(),
            ephemeral_ikm: bytes::<32>(note).into(),
            root: bytes::<32>("root").into(),
            epoch: 1,
            round: Round::ShareToHolder.as_str().to_owned(),
            receiver: name(HOLDER),
            subject: None,
            key_ids: vec![],
            serial: 0,
            payload: bytes::<36>("payload").into(),
            info: Hex::default(),
            bytes: Hex::default(),
            mailbox_name: String::new(),
        }
    }

    fn to_workload(note: &str, round: Round) -> Self {
        Self {
            receive_secret: bytes::<32>("message key").into(),
            round: round.as_str().to_owned(),
            receiver: name(WORKLOAD),
            serial: 5,
            ..Self::share(note)
        }
    }

    fn blind(note: &str) -> Self {
        Self { subject: Some(name(HOLDER)), ..Self::to_workload(note, Round::BlindToWorkload) }
    }

    fn answer(note: &str) -> Self {
        Self {
            sender_keys: party(HOLDER).encode().as_slice().into(),
            key_ids: vec![bytes::<16>("key id").into()],
            ..Self::to_workload(note, Round::AnswerToWorkload)
        }
    }

    fn header(&self) -> Header {
        let rounds = [Round::ShareToHolder, Round::BlindToWorkload, Round::AnswerToWorkload];
        Header {
            root: Root::from_bytes(self.root.array()),
            epoch: Epoch(self.epoch),
            round: rounds.into_iter().find(|round| round.as_str() == self.round).unwrap(),
            sender: PartyKeys::decode(&self.sender_keys.0).unwrap().identity().public_name(),
            receiver: self.receiver.clone(),
            subject: self.subject.clone(),
            key_ids: self.key_ids.iter().map(|id| KeyId::from_bytes(id.array())).collect(),
            serial: self.serial,
        }
    }

    fn complete(mut self) -> Self {
        let (keys, key) =
            (PartyKeys::decode(&self.sender_keys.0).unwrap(), ReceiveKey::from_bytes(self.receive_secret.array()));
        let header = self.header();
        let mut rng = Given::new(&self.ephemeral_ikm);
        let message = Message::seal(header.clone(), &self.payload.0, &key.public(), keys.identity(), &mut rng).unwrap();
        self.info = Form::of(&message).info().into();
        self.bytes = message.encode().into();
        self.mailbox_name = header.message_name();
        let message = Message::decode(&self.bytes.0).unwrap();
        message.header().check(&header.root, header.epoch, &header.receiver).unwrap();
        assert_eq!(*message.header(), header);
        assert_eq!(message.open(&key).unwrap().as_slice(), self.payload.0);
        self
    }
}

#[test]
fn messages_are_those_of_the_vectors() {
    let vectors = vec![
        Vector::share("a share for a holder"),
        Vector::blind("a blind for the workload"),
        Vector::answer("an answer"),
        Vector { key_ids: vec![bytes::<16>("a").into(), bytes::<16>("b").into()], ..Vector::answer("two key ids") },
        Vector { payload: Hex::default(), ..Vector::share("an empty payload") },
        Vector { payload: vec![7; 1000].into(), ..Vector::share("a long payload") },
        Vector { epoch: 24, serial: u64::MAX, ..Vector::answer("large numbers") },
    ];
    let about = "Sealed and signed messages: [1, root, epoch, round, sender, receiver, subject / null, [key id...], serial, enc, \
                 ciphertext, signature]. HPKE base mode with `info` to the public half of receive_secret, ephemeral key from \
                 DeriveKeyPair(ephemeral_ikm); Ed25519 over lp(info) lp(enc) lp(ciphertext). sender_keys is the body of the \
                 sender's key file.";
    check("message_v1.json", about, vectors, Vector::complete);
}

/// The fields of an encoded message, to be changed by hand.
#[derive(Clone)]
struct Form {
    root: Vec<u8>,
    epoch: u64,
    round: String,
    sender: Vec<u8>,
    receiver: Vec<u8>,
    subject: Option<Vec<u8>>,
    key_ids: Vec<Vec<u8>>,
    serial: u64,
    enc: Vec<u8>,
    ciphertext: Vec<u8>,
    signature: Vec<u8>,
}

impl Form {
    fn of(message: &Message) -> Self {
        let encoded = message.encode();
        let mut cbor = minicbor::Decoder::new(&encoded);
        assert_eq!((cbor.array().unwrap(), cbor.u64().unwrap()), (Some(12), 1));
        let root = cbor.bytes().unwrap().to_vec();
        let epoch = cbor.u64().unwrap();
        let round = cbor.str().unwrap().to_owned();
        let mut bytes = || cbor.bytes().unwrap().to_vec();
        let (sender, receiver) = (bytes(), bytes());
        let subject: Option<&minicbor::bytes::ByteSlice> = cbor.decode().unwrap();
        let subject = subject.map(|bytes| bytes.to_vec());
        let key_ids = (0..cbor.array().unwrap().unwrap()).map(|_| cbor.bytes().unwrap().to_vec()).collect();
        let serial = cbor.u64().unwrap();
        let mut bytes = || cbor.bytes().unwrap().to_vec();
        let (enc, ciphertext, signature) = (bytes(), bytes(), bytes());
        Self { root, epoch, round, sender, receiver, subject, key_ids, serial, enc, ciphertext, signature }
    }

    fn info(&self) -> Vec<u8> {
        Lp::labelled("datafuse/v1/message")
            .field(&self.root)
            .integer(self.epoch)
            .field(self.round.as_bytes())
            .field(&self.sender)
            .field(&self.receiver)
            .field(self.subject.as_deref().unwrap_or_default())
            .list(&self.key_ids)
            .integer(self.serial)
            .into_bytes()
    }

    /// Signs anew, as a party that cannot open what it signs.
    fn signed_by(mut self, seed: u64) -> Self {
        // The signing secret follows three bytes of heads and the version.
        let sign = SigningKey::from_bytes(party(seed).encode()[4..36].try_into().unwrap());
        let signed = Lp::default().field(&self.info()).field(&self.enc).field(&self.ciphertext).into_bytes();
        self.signature = sign.sign(&signed).to_bytes().into();
        self
    }

    fn start(&self) -> Cbor {
        let start = Cbor::default().array(12).uint(1).bytes(&self.root);
        let start = start.uint(self.epoch).text(&self.round).bytes(&self.sender).bytes(&self.receiver);
        let start = match &self.subject {
            Some(subject) => start.bytes(subject),
            None => start.null(),
        };
        self.key_ids.iter().fold(start.array(self.key_ids.len()), |cbor, id| cbor.bytes(id))
    }

    fn encode(&self) -> Hex {
        self.start().uint(self.serial).bytes(&self.enc).bytes(&self.ciphertext).bytes(&self.signature).end()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bad {
    note: String,
    root: Hex,
    epoch: u64,
    receiver: PublicName,
    receive_secret: Hex,
    bytes: Hex,
    error: String,
}

impl Bad {
    /// What the receiver of this message expects, and other bytes.
    fn of(vector: &Vector, note: &str, bytes: Hex) -> Self {
        Self {
            note: note.to_owned(),
            root: vector.root.clone(),
            epoch: vector.epoch,
            receiver: vector.receiver.clone(),
            receive_secret: vector.receive_secret.clone(),
            bytes,
            error: String::new(),
        }
    }

    fn receive(&self) -> Result<(), Error> {
        let message = Message::decode(&self.bytes.0)?;
        message.header().check(&Root::from_bytes(self.root.array()), Epoch(self.epoch), &self.receiver)?;
        message.open(&ReceiveKey::from_bytes(self.receive_secret.array())).map(drop)
    }

    fn complete(mut self) -> Self {
        self.error = refusal(self.receive());
        self
    }
}

#[test]
fn messages_with_another_header_are_refused() {
    let (blind, answer) = (Vector::blind("blind"), Vector::answer("answer").complete());
    let (blind_form, answer_form) = (form(blind), form(answer.clone()));
    assert_eq!(Bad::of(&answer, "", answer_form.encode()).receive(), Ok(()));
    let other_root = || bytes::<32>("other root");

    // What was made for elsewhere, and lies here.
    let strays = [
        ("of another space", Vector { root: other_root().into(), ..Vector::answer("answer") }),
        ("of another epoch", Vector { epoch: 2, ..Vector::answer("answer") }),
        ("for another receiver", Vector { receiver: name(OTHER), ..Vector::answer("answer") }),
    ];
    let mut vectors: Vec<_> =
        strays.into_iter().map(|(note, vector)| Bad::of(&answer, note, vector.complete().bytes)).collect();
    let elsewhere = Vector { receive_secret: bytes::<32>("former message key").into(), ..Vector::answer("answer") };
    vectors.push(Bad::of(&answer, "sealed to another key of the receiver", elsewhere.complete().bytes));

    // A header that was changed to pass; and the same, signed anew by the sender itself (a stranger, where that is the change),
    // so that nothing but the seal can notice.
    type Change = fn(&mut Form);
    let changes: [(&str, Form, u64, Change); 10] = [
        ("the space", form(Vector { root: other_root().into(), ..Vector::answer("answer") }), HOLDER, |form| {
            form.root = bytes::<32>("root").into();
        }),
        ("the epoch", form(Vector { epoch: 2, ..Vector::answer("answer") }), HOLDER, |form| form.epoch = 1),
        ("the round", answer_form.clone(), HOLDER, |form| form.round = Round::BlindToWorkload.as_str().to_owned()),
        ("the sender", answer_form.clone(), OTHER, |form| form.sender = name(OTHER).to_bytes().into()),
        ("the receiver", form(Vector { receiver: name(OTHER), ..Vector::answer("answer") }), HOLDER, |form| {
            form.receiver = name(WORKLOAD).to_bytes().into();
        }),
        ("the key id", answer_form.clone(), HOLDER, |form| form.key_ids = vec![bytes::<16>("other key id").into()]),
        ("the list of key ids", answer_form, HOLDER, |form| form.key_ids.clear()),
        ("the serial", blind_form.clone(), SENDER, |form| form.serial = 6),
        ("the subject", blind_form.clone(), SENDER, |form| form.subject = Some(name(OTHER).to_bytes().into())),
        ("whether there is a subject", blind_form, SENDER, |form| form.subject = None),
    ];
    for (field, mut form, signer, change) in changes {
        let before = form.info();
        change(&mut form);
        assert_ne!(form.info(), before, "{field}");
        vectors.push(Bad::of(&answer, &format!("{field} changed after signing"), form.encode()));
        let resigned = form.signed_by(signer).encode();
        vectors.push(Bad::of(&answer, &format!("{field} changed after sealing, and signed anew"), resigned));
    }

    let about = "Messages that a receiver refuses that expects this root, epoch and receiver, and has this receive key: the header \
                 is not the one that was signed and sealed, or is for elsewhere.";
    check("message_v1_bad_header.json", about, vectors, Bad::complete);
}

fn form(vector: Vector) -> Form {
    Form::of(&Message::decode(&vector.complete().bytes.0).unwrap())
}

#[test]
fn messages_with_other_bytes_are_refused() {
    let answer = Vector::answer("answer").complete();
    let good = &answer.bytes.0;
    let form = form(answer.clone());
    let bad = |note: &str, bytes: Hex| Bad::of(&answer, note, bytes);
    let cut = |length: usize| Hex::from(&good[..length]);
    let changed = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        Hex(bytes)
    };
    // Where the parts begin, from the end: two heads of two bytes before the signature and before the ciphertext.
    let signature = good.len() - 64;
    let ciphertext = signature - 2 - form.ciphertext.len();
    let enc = ciphertext - 2 - 32;
    let with = |change: &dyn Fn(&mut Form)| {
        let mut form = form.clone();
        change(&mut form);
        form.signed_by(HOLDER).encode()
    };
    let end = |cbor: Cbor| cbor.bytes(&form.enc).bytes(&form.ciphertext).bytes(&form.signature).end();
    let malleable = {
        // S + l is the same number in another form (RFC 8032, 8.4).
        let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
        let mut form = form.clone();
        let mut carry = 0u16;
        for (byte, order) in form.signature[32..].iter_mut().zip(order) {
            carry += u16::from(*byte) + u16::from(order);
            *byte = carry as u8;
            carry >>= 8;
        }
        form.encode()
    };
    let vectors = vec![
        bad("empty", Hex::default()),
        bad("one byte", cut(1)),
        bad("cut after the version", cut(2)),
        bad("cut within the sender", cut(100)),
        bad("cut before the ciphertext", cut(ciphertext)),
        bad("cut before the signature", cut(signature)),
        bad("the last byte missing", cut(good.len() - 1)),
        bad("a byte left over", [good.as_slice(), &[0]].concat().into()),
        bad("version 0", [&good[..1], &[0], &good[2..]].concat().into()),
        bad("version 2", [&good[..1], &[2], &good[2..]].concat().into()),
        bad("version 2 in a long form", [&good[..1], &[0x18, 2], &good[2..]].concat().into()),
        bad("the version in a long form", [&good[..1], &[0x18, 1], &good[2..]].concat().into()),
        bad("an array of indefinite length", [&[0x9f], &good[1..], &[0xff]].concat().into()),
        bad("a thirteenth element", [&[0x8d], &good[1..], &[0xf6]].concat().into()),
        bad("the serial in a long form", end(form.start().raw([0x19, 0, 5]))),
        bad("a negative serial", end(form.start().raw([0x24]))),
        bad("a serial that is a floating-point number", end(form.start().raw([0xf9, 0x45, 0]))),
        bad("an encapsulated key of 31 bytes", with(&|form| form.enc.truncate(31))),
        bad("an encapsulated key of zeros, signed", with(&|form| form.enc.fill(0))),
        bad("another encapsulated key, signed", with(&|form| form.enc[0] ^= 1)),
        bad("an empty ciphertext, signed", with(&|form| form.ciphertext.clear())),
        bad("a ciphertext of its tag alone, signed", with(&|form| form.ciphertext.truncate(16))),
        bad("a changed ciphertext, signed", with(&|form| form.ciphertext[0] ^= 1)),
        bad("a changed tag, signed", with(&|form| *form.ciphertext.last_mut().unwrap() ^= 0x80)),
        bad("an unknown round, signed", with(&|form| form.round = "answer-to-holder".to_owned())),
        bad("a subject of 64 bytes, signed", with(&|form| form.subject = Some(form.sender[..64].to_vec()))),
        bad("a key id of 15 bytes, signed", with(&|form| form.key_ids[0].truncate(15))),
        bad("a sender of version 2", with(&|form| form.sender[0] = 2)),
        bad(
            "a sender whose signing key has order 1",
            with(&|form| {
                form.sender[1..33].fill(0);
                form.sender[1] = 1;
            }),
        ),
        bad("a changed encapsulated key", changed(enc)),
        bad("a changed ciphertext", changed(ciphertext)),
        bad("a changed tag", changed(signature - 3)),
        bad("a changed point of the signature", changed(signature)),
        bad("a changed number of the signature", changed(signature + 32)),
        bad("the signature's number in another form", malleable),
        bad("a signature of zeros", {
            let mut form = form.clone();
            form.signature.fill(0);
            form.encode()
        }),
        bad("a signature of 63 bytes", {
            let mut form = form.clone();
            form.signature.truncate(63);
            form.encode()
        }),
    ];
    let about = "Messages that a receiver refuses that expects this root, epoch and receiver, and has this receive key: damaged, \
                 or not the one encoding.";
    check("message_v1_bad_bytes.json", about, vectors, Bad::complete);
}
