//! `lookup_request_v1.json`, `lookup_answer_v1.json`, `bare_token_v1.json`, and what must be refused of each.

use datafuse_core::{
    Error,
    id::Epoch,
    keys::{KeyId, PartyKeys},
    lookup::{
        AnswerHeader, BareHeader, BareToken, Found, LookupAnswer, LookupRequest, RefusedLookup, Reply, RequestHeader,
        RequestId, request_digest,
    },
    name::PublicName,
    root::Root,
    seal::ReceiveKey,
    token::Token,
};
use serde::{Deserialize, Serialize};

use super::{
    form::{Form, bad_forms},
    harness::{Cbor, Given, Hex, bytes, check, name, party, refusal},
};

const ASKER: u64 = 2;
const WORKLOAD: u64 = 3;
const OTHER: u64 = 4;

const REQUEST: &str = "datafuse/v1/lookup-request";
const ANSWER: &str = "datafuse/v1/lookup-answer";

fn keys(seed: u64) -> Hex {
    party(seed).encode().as_slice().into()
}

/// A request, and what the code makes of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    note: String,
    asker_keys: Hex,
    receive_secret: Hex,
    ephemeral_ikm: Hex,
    root: Hex,
    epoch: u64,
    id: Hex,
    workload: PublicName,
    kind: String,
    profile: String,
    key_id: Hex,
    serial: u64,
    at: u64,
    tokens: Vec<Hex>,
    info: Hex,
    payload: Hex,
    bytes: Hex,
}

impl Request {
    fn new(note: &str) -> Self {
        Self {
            note: note.to_owned(),
            asker_keys: keys(ASKER),
            receive_secret: bytes::<32>("message key").into(),
            ephemeral_ikm: bytes::<32>(note).into(),
            root: bytes::<32>("root").into(),
            epoch: 1,
            id: bytes::<16>("request id").into(),
            workload: name(WORKLOAD),
            kind: "email".to_owned(),
            profile: "email-v1".to_owned(),
            key_id: bytes::<16>("key id").into(),
            serial: 5,
            at: 1_800_000_000,
            tokens: vec![bytes::<32>("a token").into()],
            info: Hex::default(),
            payload: Hex::default(),
            bytes: Hex::default(),
        }
    }

    fn complete(mut self) -> Self {
        let (asker, key) =
            (PartyKeys::decode(&self.asker_keys.0).unwrap(), ReceiveKey::from_bytes(self.receive_secret.array()));
        let header = RequestHeader {
            root: Root::from_bytes(self.root.array()),
            epoch: Epoch(self.epoch),
            id: RequestId::from_bytes(self.id.array()),
            asker: asker.identity().public_name(),
            workload: self.workload.clone(),
            kind: self.kind.parse().unwrap(),
            profile: self.profile.clone(),
            key_id: KeyId::from_bytes(self.key_id.array()),
            serial: self.serial,
            at: self.at,
        };
        let tokens: Vec<_> = self.tokens.iter().map(|token| Token::from_bytes(token.array())).collect();
        let mut rng = Given::new(&self.ephemeral_ikm);
        let request = LookupRequest::seal(header.clone(), &tokens, &key.public(), asker.identity(), &mut rng).unwrap();
        let sealed: Vec<_> = self.tokens.iter().flat_map(|token| token.0.clone()).collect();
        self.payload = Cbor::default().array(2).uint(1).bytes(sealed).end();
        self.bytes = request.encode().into();
        self.info = Form::of(REQUEST, &self.bytes).info().into();
        let read = LookupRequest::decode(&self.bytes.0).unwrap();
        assert_eq!(*read.header(), header);
        let opened: Vec<_> = read.open(&key).unwrap().iter().map(|token| Hex::from(token.as_bytes())).collect();
        assert_eq!(opened, self.tokens);
        self
    }
}

/// An answer, and what the code makes of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    note: String,
    workload_keys: Hex,
    asker_keys: Hex,
    ephemeral_ikm: Hex,
    request: Hex,
    at: u64,
    refused: String,
    holders: u32,
    at_least: u32,
    counts: bool,
    known: Vec<u32>,
    info: Hex,
    payload: Hex,
    bytes: Hex,
}

impl Answer {
    fn new(note: &str, request: &Hex) -> Self {
        Self {
            note: note.to_owned(),
            workload_keys: keys(WORKLOAD),
            asker_keys: keys(ASKER),
            ephemeral_ikm: bytes::<32>(note).into(),
            request: request.clone(),
            at: 1_800_000_060,
            refused: String::new(),
            holders: 3,
            at_least: 1,
            counts: false,
            known: vec![1],
            info: Hex::default(),
            payload: Hex::default(),
            bytes: Hex::default(),
        }
    }

    fn refusal(note: &str, request: &Hex, reason: RefusedLookup) -> Self {
        let refused = reason.as_str().to_owned();
        Self { refused, holders: 0, at_least: 0, known: Vec::new(), ..Self::new(note, request) }
    }

    fn reply(&self) -> Reply {
        use RefusedLookup as R;
        let reasons = [R::Asker, R::Budget, R::TooFewHolders, R::Stale, R::Key, R::Token];
        match reasons.into_iter().find(|reason| reason.as_str() == self.refused) {
            Some(reason) => Reply::Refused(reason),
            None => Reply::Found(Found {
                holders: self.holders,
                at_least: self.at_least,
                counts: self.counts,
                known: self.known.clone(),
            }),
        }
    }

    fn complete(mut self) -> Self {
        let (asker, workload) =
            (PartyKeys::decode(&self.asker_keys.0).unwrap(), PartyKeys::decode(&self.workload_keys.0).unwrap());
        let asked = datafuse_core::lookup::Asked::decode(&self.request.0).unwrap();
        let header = AnswerHeader {
            root: *asked.root(),
            epoch: asked.epoch(),
            id: asked.id(),
            request: request_digest(&self.request.0),
            asker: asker.identity().public_name(),
            workload: workload.identity().public_name(),
            at: self.at,
        };
        let mut rng = Given::new(&self.ephemeral_ikm);
        let reply = self.reply();
        let answer = LookupAnswer::seal(header, &reply, workload.identity(), &mut rng).unwrap();
        let known: Vec<_> = self.known.iter().flat_map(|known| known.to_be_bytes()).collect();
        let counts = if self.counts { 0xf5 } else { 0xf4 };
        let start = Cbor::default().array(6).uint(1).text(&self.refused);
        let start = start.uint(self.holders.into()).uint(self.at_least.into()).raw([counts]);
        self.payload = start.bytes(known).end();
        self.bytes = answer.encode().into();
        self.info = Form::of(ANSWER, &self.bytes).info().into();
        let read = LookupAnswer::decode(&self.bytes.0).unwrap();
        read.verify(&self.request.0, &[name(WORKLOAD)]).unwrap();
        assert_eq!(read.open(asker.identity().receive_key()).unwrap(), reply);
        self
    }
}

/// A bare token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bare {
    note: String,
    root: Hex,
    epoch: u64,
    nonce: Hex,
    asker: PublicName,
    kind: String,
    profile: String,
    key_id: Hex,
    token: Hex,
    bytes: Hex,
    id: Hex,
}

impl Bare {
    fn new(note: &str) -> Self {
        Self {
            note: note.to_owned(),
            root: bytes::<32>("root").into(),
            epoch: 1,
            nonce: bytes::<16>("nonce").into(),
            asker: name(ASKER),
            kind: "email".to_owned(),
            profile: "email-v1".to_owned(),
            key_id: bytes::<16>("key id").into(),
            token: bytes::<32>("a token").into(),
            bytes: Hex::default(),
            id: Hex::default(),
        }
    }

    fn complete(mut self) -> Self {
        let header = BareHeader {
            root: Root::from_bytes(self.root.array()),
            epoch: Epoch(self.epoch),
            nonce: self.nonce.array(),
            asker: self.asker.clone(),
            kind: self.kind.parse().unwrap(),
            profile: self.profile.clone(),
            key_id: KeyId::from_bytes(self.key_id.array()),
        };
        let bare = BareToken::new(header.clone(), Token::from_bytes(self.token.array()));
        self.bytes = bare.encode().into();
        self.id = bare.id().as_bytes().into();
        let read = BareToken::decode(&self.bytes.0).unwrap();
        assert_eq!((read.header(), Hex::from(read.token().as_bytes())), (&header, self.token.clone()));
        self
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BadRequest {
    note: String,
    receive_secret: Hex,
    bytes: Hex,
    error: String,
}

impl BadRequest {
    fn complete(mut self) -> Self {
        let key = ReceiveKey::from_bytes(self.receive_secret.array());
        self.error = refusal(LookupRequest::decode(&self.bytes.0).and_then(|request| request.open(&key)));
        self
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BadAnswer {
    note: String,
    asker_keys: Hex,
    workload: PublicName,
    request: Hex,
    bytes: Hex,
    error: String,
}

impl BadAnswer {
    fn complete(mut self) -> Self {
        let asker = PartyKeys::decode(&self.asker_keys.0).unwrap();
        let read = || -> Result<Reply, Error> {
            let answer = LookupAnswer::decode(&self.bytes.0)?;
            answer.verify(&self.request.0, std::slice::from_ref(&self.workload))?;
            answer.open(asker.identity().receive_key())
        };
        self.error = refusal(read());
        self
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BadBare {
    note: String,
    bytes: Hex,
    error: String,
}

impl BadBare {
    fn complete(mut self) -> Self {
        self.error = refusal(BareToken::decode(&self.bytes.0));
        self
    }
}

fn requests() -> Vec<Request> {
    let many = (0..1000).map(|number| Hex::from(bytes::<32>(&format!("token {number}"))));
    vec![
        Request::new("one token"),
        Request { tokens: many.take(3).collect(), ..Request::new("three tokens") },
        Request { epoch: 24, serial: u64::MAX, at: 0, ..Request::new("large and small numbers") },
        Request {
            kind: "person".to_owned(),
            profile: "surname=text-v1,birth_date=exact-v1".to_owned(),
            ..Request::new("another kind")
        },
    ]
}

#[test]
fn requests_are_those_of_the_vectors() {
    let about = "Sealed and signed requests of look-ups: [1, root, epoch, id, asker, workload, kind, profile, key id, serial, at, enc, \
                 ciphertext, signature]. Sealed is [1, tokens one after the other]. HPKE base mode with `info` to the public half of \
                 receive_secret, ephemeral key from DeriveKeyPair(ephemeral_ikm); Ed25519 by the asker over lp(info) lp(enc) \
                 lp(ciphertext). asker_keys is the body of the asker's key file.";
    check("lookup_request_v1.json", about, requests(), Request::complete);
}

#[test]
fn altered_requests_are_refused() {
    let good = Request::new("one token").complete();
    let form = Form::of(REQUEST, &good.bytes);
    let cbor = Cbor::default;
    let fields = [
        ("the root", 1, cbor().bytes(bytes::<32>("another root"))),
        ("the epoch", 2, cbor().uint(2)),
        ("the id", 3, cbor().bytes(bytes::<16>("another id"))),
        ("the workload", 5, cbor().bytes(name(OTHER).to_bytes())),
        ("the kind", 6, cbor().text("phone")),
        ("the profile", 7, cbor().text("email-gmail-v1")),
        ("the key id", 8, cbor().bytes(bytes::<16>("another key id"))),
        ("the serial", 9, cbor().uint(6)),
        ("the time", 10, cbor().uint(1_800_000_001)),
    ];
    let mut bad = bad_forms(&form, ASKER, &fields);
    let other = form.clone().with(4, cbor().bytes(name(OTHER).to_bytes()));
    bad.push(("another asker".to_owned(), other.encode()));
    bad.push(("another asker, and signed by it".to_owned(), other.signed_by(OTHER).encode()));
    bad.push(("signed by another".to_owned(), form.signed_by(OTHER).encode()));
    let bad = bad.into_iter().map(|(note, bytes)| BadRequest {
        note,
        receive_secret: good.receive_secret.clone(),
        bytes,
        error: String::new(),
    });
    let about = "Requests that a workload refuses that has this receive key.";
    check("lookup_request_v1_bad.json", about, bad.collect(), BadRequest::complete);
}

#[test]
fn answers_are_those_of_the_vectors() {
    let request = Request::new("one token").complete().bytes;
    let three = Answer { holders: 300, at_least: 2, counts: true, ..Answer::new("counts for three tokens", &request) };
    let vectors = vec![
        Answer::new("known", &request),
        Answer { known: vec![0], ..Answer::new("not known", &request) },
        Answer { known: vec![0, 2, 300], ..three },
        Answer::refusal("refused: the day is spent", &request, RefusedLookup::Budget),
        Answer::refusal("refused: too few holders", &request, RefusedLookup::TooFewHolders),
        Answer::new("to a bare token", &Bare::new("a bare token").complete().bytes),
    ];
    let about = "Sealed and signed answers to look-ups: [1, root, epoch, id, SHA-256 of the request, asker, workload, at, enc, \
                 ciphertext, signature]. Sealed is [1, refused, holders, at least, counts, known], where known has four bytes \
                 big-endian for each token, and refused is empty where something was looked up. root, epoch and id are those of \
                 the request or bare token. HPKE base mode with `info` to the asker's receive key, ephemeral key from \
                 DeriveKeyPair(ephemeral_ikm); Ed25519 by the workload over lp(info) lp(enc) lp(ciphertext). Keys are bodies of \
                 key files.";
    check("lookup_answer_v1.json", about, vectors, Answer::complete);
}

#[test]
fn altered_answers_and_those_to_other_requests_are_refused() {
    let request = Request::new("one token").complete().bytes;
    let good = Answer::new("known", &request).complete();
    let form = Form::of(ANSWER, &good.bytes);
    let cbor = Cbor::default;
    let fields = [
        ("the root", 1, cbor().bytes(bytes::<32>("another root"))),
        ("the epoch", 2, cbor().uint(2)),
        ("the id", 3, cbor().bytes(bytes::<16>("another id"))),
        ("the digest of the request", 4, cbor().bytes(bytes::<32>("another digest"))),
        ("the asker", 5, cbor().bytes(name(OTHER).to_bytes())),
        ("the time", 7, cbor().uint(1_800_000_061)),
    ];
    let mut bad = bad_forms(&form, WORKLOAD, &fields);
    let other = form.clone().with(6, cbor().bytes(name(OTHER).to_bytes()));
    bad.push(("another workload, and signed by it".to_owned(), other.signed_by(OTHER).encode()));
    bad.push(("signed by another".to_owned(), form.signed_by(OTHER).encode()));
    let bad_of = |note: String, request: &Hex, bytes: Hex| BadAnswer {
        note,
        asker_keys: good.asker_keys.clone(),
        workload: name(WORKLOAD),
        request: request.clone(),
        bytes,
        error: String::new(),
    };
    let mut vectors: Vec<_> = bad.into_iter().map(|(note, bytes)| bad_of(note, &request, bytes)).collect();
    let second = Request { serial: 6, ..Request::new("one token") }.complete().bytes;
    vectors.push(bad_of("to other bytes with the same id".to_owned(), &second, good.bytes.clone()));
    let bare = Bare::new("a bare token").complete().bytes;
    vectors.push(bad_of("to a bare token instead".to_owned(), &bare, good.bytes.clone()));
    let about =
        "Answers that an asker refuses that made this request, knows the workload by this name, and has these keys.";
    check("lookup_answer_v1_bad.json", about, vectors, BadAnswer::complete);
}

#[test]
fn bare_tokens_are_those_of_the_vectors() {
    let vectors = vec![
        Bare::new("a bare token"),
        Bare { epoch: 24, nonce: bytes::<16>("another nonce").into(), ..Bare::new("another epoch and nonce") },
        Bare { kind: "phone".to_owned(), profile: "phone-e164-v1".to_owned(), ..Bare::new("another kind") },
    ];
    let about = "Bare tokens: [1, root, epoch, nonce, asker, kind, profile, key id, token], neither sealed nor signed. id is the first 16 \
                 bytes of SHA-256 over lp(\"datafuse/v1/bare-token\") lp(bytes).";
    check("bare_token_v1.json", about, vectors, Bare::complete);
}

#[test]
fn damaged_bare_tokens_are_refused() {
    let good = Bare::new("a bare token").complete().bytes;
    let form = Form::of("", &good);
    let cbor = Cbor::default;
    let with = |at: usize, element: Cbor| form.clone().with(at, element).encode();
    let bad = |note: &str, bytes: Hex| BadBare { note: note.to_owned(), bytes, error: String::new() };
    let vectors = vec![
        bad("empty", Hex::default()),
        bad("version 2", with(0, cbor().uint(2))),
        bad("the last byte missing", good.0[..good.0.len() - 1].into()),
        bad("a byte left over", [good.0.as_slice(), &[0]].concat().into()),
        bad("the epoch in a long form", with(2, cbor().raw([0x18, 1]))),
        bad("a nonce of 15 bytes", with(3, cbor().bytes(bytes::<15>("nonce")))),
        bad("an asker of version 2", with(4, cbor().bytes([&[2], &name(ASKER).to_bytes()[1..]].concat()))),
        bad("a kind with a capital", with(5, cbor().text("Email"))),
        bad("a token of 31 bytes", with(8, cbor().bytes(bytes::<31>("a token")))),
        bad("a request in its place", Request::new("one token").complete().bytes),
    ];
    let about = "What is no bare token.";
    check("bare_token_v1_bad.json", about, vectors, BadBare::complete);
}
