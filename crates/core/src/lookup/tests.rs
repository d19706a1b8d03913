#![allow(clippy::unwrap_used)]
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

use super::*;
use crate::keys::{PartyKeys, test_keys};

fn header(asker: &PartyKeys, workload: &PartyKeys) -> RequestHeader {
    RequestHeader {
        root: Root::from_bytes([3; 32]),
        epoch: Epoch(1),
        id: RequestId([9; 16]),
        asker: asker.identity().public_name(),
        workload: workload.identity().public_name(),
        kind: "email".parse().unwrap(),
        profile: "email-v1".to_owned(),
        key_id: asker.token().key_id(),
        serial: 4,
        at: 1_800_000_000,
    }
}

fn tokens(count: usize) -> Vec<Token> {
    (0..count).map(|at| Token::from_bytes([at as u8; 32])).collect()
}

fn request(asker: &PartyKeys, workload: &PartyKeys, count: usize) -> LookupRequest {
    let key = workload.identity().receive_key().public();
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    LookupRequest::seal(header(asker, workload), &tokens(count), &key, asker.identity(), &mut rng).unwrap()
}

fn answer(request: &[u8], asker: &PartyKeys, workload: &PartyKeys, reply: &Reply) -> LookupAnswer {
    let asked = header(asker, workload);
    let header = AnswerHeader {
        root: asked.root,
        epoch: asked.epoch,
        id: asked.id,
        request: request_digest(request),
        asker: asked.asker,
        workload: asked.workload,
        at: 1_800_000_001,
    };
    LookupAnswer::seal(header, reply, workload.identity(), &mut ChaCha20Rng::seed_from_u64(6)).unwrap()
}

#[test]
fn a_request_opens_for_the_workload_alone_and_keeps_its_order() {
    let (asker, workload) = (test_keys(1), test_keys(2));
    let made = LookupRequest::decode(&request(&asker, &workload, 3).encode()).unwrap();
    let opened = made.open(workload.identity().receive_key()).unwrap();
    let bytes: Vec<_> = opened.iter().map(|token| *token.as_bytes()).collect();
    assert_eq!(bytes, [[0; 32], [1; 32], [2; 32]]);
    assert!(matches!(made.open(asker.identity().receive_key()), Err(Error::Unopenable { what: "look-up" })));
}

#[test]
fn requests_and_answers_altered_in_any_byte_are_refused() {
    let (asker, workload) = (test_keys(1), test_keys(2));
    let bytes = request(&asker, &workload, 1).encode();
    let found = Reply::Found(Found { holders: 2, at_least: 1, counts: false, known: vec![1] });
    let reply = answer(&bytes, &asker, &workload, &found).encode();
    let names = [workload.identity().public_name()];
    let read = |altered: &[u8]| {
        let answer = LookupAnswer::decode(altered)?;
        answer.verify(&bytes, &names)?;
        answer.open(asker.identity().receive_key())
    };
    assert_eq!(read(&reply).unwrap(), found);
    for flip in [0x01, 0x80] {
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= flip;
            let opened = LookupRequest::decode(&altered).and_then(|made| made.open(workload.identity().receive_key()));
            assert!(opened.is_err(), "byte {at} of the request");
        }
        for at in 0..reply.len() {
            let mut altered = reply.clone();
            altered[at] ^= flip;
            assert!(read(&altered).is_err(), "byte {at} of the answer");
        }
    }
    for cut in 0..bytes.len() {
        assert!(LookupRequest::decode(&bytes[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn an_answer_to_another_request_or_of_another_workload_is_refused() {
    let (asker, workload, other) = (test_keys(1), test_keys(2), test_keys(3));
    let first = request(&asker, &workload, 1).encode();
    let second = request(&asker, &workload, 2).encode();
    let reply = answer(&first, &asker, &workload, &Reply::Refused(RefusedLookup::Budget));
    let names = [workload.identity().public_name()];
    reply.verify(&first, &names).unwrap();
    assert_eq!(reply.open(asker.identity().receive_key()).unwrap(), Reply::Refused(RefusedLookup::Budget));
    assert!(matches!(reply.verify(&second, &names), Err(Error::Mismatch { field: "request's SHA-256", .. })));
    let others = [other.identity().public_name()];
    assert!(matches!(reply.verify(&first, &others), Err(Error::Mismatch { field: "workload", .. })));
    assert!(reply.open(workload.identity().receive_key()).is_err());
}

#[test]
fn a_request_for_others_names_what_differs() {
    let (asker, workload, other) = (test_keys(1), test_keys(2), test_keys(3));
    let header = header(&asker, &workload);
    let stranger = other.identity().public_name();
    let fields = [
        header.check(&Root::from_bytes([0; 32]), header.epoch, &header.asker, &header.workload),
        header.check(&header.root, Epoch(2), &header.asker, &header.workload),
        header.check(&header.root, header.epoch, &stranger, &header.workload),
        header.check(&header.root, header.epoch, &header.asker, &stranger),
    ];
    let fields = fields.map(|refused| match refused {
        Err(Error::Mismatch { field, .. }) => field,
        other => panic!("{other:?}"),
    });
    assert_eq!(fields, ["root", "epoch", "asker", "receiver"]);
    header.check(&header.root, header.epoch, &header.asker, &header.workload).unwrap();
}

#[test]
fn somebody_elses_signature_does_not_pass() {
    let (asker, workload, other) = (test_keys(1), test_keys(2), test_keys(3));
    let mut forged = request(&other, &workload, 1);
    forged.header.asker = asker.identity().public_name();
    assert!(matches!(forged.verify(), Err(Error::BadSignature { .. })));
}

#[test]
fn no_token_and_too_many_are_refused() {
    let (asker, workload) = (test_keys(1), test_keys(2));
    let key = workload.identity().receive_key().public();
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    for count in [0, MAX_TOKENS + 1] {
        let made = LookupRequest::seal(header(&asker, &workload), &tokens(count), &key, asker.identity(), &mut rng);
        assert!(matches!(made, Err(Error::Malformed { .. })), "{count}");
    }
    for count in [1, 2, 7, 8, 9, 100, MAX_TOKENS] {
        assert_eq!(request(&asker, &workload, count).customers(), count);
    }
    let largest = request(&asker, &workload, MAX_TOKENS);
    assert!(to_text(&largest.encode()).len() < 60 * 1024);
}

#[test]
fn the_length_of_an_answer_tells_nothing_but_how_many_were_asked() {
    let (asker, workload) = (test_keys(1), test_keys(2));
    let bytes = request(&asker, &workload, 3).encode();
    let length = |known: [u32; 3]| {
        let found = Reply::Found(Found { holders: 9, at_least: 1, counts: true, known: known.into() });
        answer(&bytes, &asker, &workload, &found).encode().len()
    };
    assert_eq!(length([0, 0, 0]), length([9, 0, 300]));
}

#[test]
fn debug_says_nothing_of_what_was_found_and_text_reads_back() {
    let found = Found { holders: 9, at_least: 1, counts: true, known: vec![777] };
    assert!(!format!("{:?}", Reply::Found(found)).contains("777"));
    assert_eq!(from_text(&format!("{}\n", to_text(b"abc"))).unwrap(), b"abc");
    assert!(from_text("not base64!").is_err());
}

#[test]
fn answers_to_two_askers_with_one_id_lie_in_two_places() {
    let (asker, other) = (test_keys(1).identity().public_name(), test_keys(2).identity().public_name());
    let word = answer_word(&asker, &RequestId([9; 16]));
    assert_eq!(word.len(), 32);
    assert_eq!(word, answer_word(&asker, &RequestId([9; 16])));
    assert_ne!(word, answer_word(&other, &RequestId([9; 16])));
    assert_ne!(word, answer_word(&asker, &RequestId([8; 16])));
}
