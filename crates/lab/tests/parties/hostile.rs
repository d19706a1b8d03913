//! A mailbox in hostile hands: whatever is put into it, nobody is enrolled by it, nothing panics, and the honest parties
//! come through.

use datafuse_core::{
    id::Epoch,
    message::{Header, Message, Round},
    root::Root,
    seal::ReceiveKey,
};
use datafuse_holder::enrol::Awaited;
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};
use rand_core::UnwrapErr;
use serde_json::json;

use crate::world::{World, id};

/// A space in which the stewards have sent everything and two answers are on their way.
fn before_collection() -> World {
    let world = World::new(&["acme", "globex"], 2);
    world.event("INITIALIZE", json!({})).unwrap();
    for holder in ["acme", "globex", "acme"] {
        world.enrol(holder).unwrap();
    }
    world
}

/// What a message of an honest sender would be with another header or payload, validly sealed and signed by its sender.
fn forged(world: &World, signer: &str, round: Round, change: impl FnOnce(&mut Header, &mut Vec<u8>)) -> Vec<u8> {
    let (keys, announcement) = (world.keys(signer), world.party(signer).announcement().unwrap());
    let mut header = Header {
        root: world.space().root(),
        epoch: announcement.epoch,
        round,
        sender: keys.identity().public_name(),
        receiver: world.space().workload().clone(),
        subject: None,
        key_ids: vec![keys.token().key_id()],
        serial: announcement.serial,
    };
    let mut payload = scalar_payload([7; 32]);
    change(&mut header, &mut payload);
    let rng = &mut UnwrapErr(getrandom::SysRng);
    Message::seal(header, &payload, &announcement.message_key, keys.identity(), rng).unwrap().encode()
}

/// `[1, scalar]`, a share or a rotation.
fn scalar_payload(mut scalar: [u8; 32]) -> Vec<u8> {
    scalar[31] &= 0x0f;
    [[0x82, 1, 0x58, 32].as_slice(), &scalar].concat()
}

/// `[1, scalar, []]`, an answer without commitments.
fn answer_payload(scalar: [u8; 32]) -> Vec<u8> {
    [[0x83, 1, 0x58, 32].as_slice(), &scalar, &[0x80]].concat()
}

fn put_forged(world: &World, bytes: &[u8]) {
    let name = Message::decode(bytes).unwrap().header().message_name().parse().unwrap();
    world.put(&name, bytes);
}

#[test]
fn a_message_of_another_space_epoch_round_sender_or_receiver_enrols_nobody() {
    type Change = fn(&mut Header, &mut Vec<u8>);
    let cases: [(&str, Change, usize); 8] = [
        ("of another space", |header, _| header.root = Root::from_bytes([9; 32]), 0),
        ("of a later epoch", |header, _| header.epoch = Epoch(2), 1),
        ("of epoch 0", |header, _| header.epoch = Epoch(0), 1),
        (
            "of another round",
            |header, payload| {
                header.round = Round::BlindToWorkload;
                *payload = answer_payload([7; 32]);
            },
            1,
        ),
        ("a holder's share to the workload", |header, _| header.round = Round::ShareToHolder, 1),
        ("of an earlier announcement", |header, _| header.serial = 0, 1),
        ("without a key id", |header, _| header.key_ids.clear(), 1),
        ("with a zero for its number", |_, payload| *payload = answer_payload([0; 32]), 1),
    ];
    for (what, change, refused) in cases {
        let world = World::new(&["acme", "globex", "initech"], 2);
        world.event("INITIALIZE", json!({})).unwrap();
        put_forged(&world, &forged(&world, "initech", Round::AnswerToWorkload, change));
        let collected = world.collect();
        assert_eq!((collected.refused, collected.newly_enrolled.len()), (refused, 0), "{what}");
        assert!(collected.status.holders.iter().all(|holder| holder.answered.is_none()), "{what}");
        // The honest messages come through all the same.
        world.enrol_all(&["acme", "globex", "initech"]);
        assert!(world.enrol("initech").unwrap().is_complete(), "{what}");
    }
}

#[test]
fn a_stranger_and_a_party_in_anothers_name_are_not_heard() {
    let world = before_collection();
    let stranger = World::new(&["stranger", "other"], 2);
    let (keys, announcement) = (stranger.keys("stranger"), world.party("acme").announcement().unwrap());
    let header = Header {
        root: world.space().root(),
        epoch: announcement.epoch,
        round: Round::AnswerToWorkload,
        sender: keys.identity().public_name(),
        receiver: world.space().workload().clone(),
        subject: None,
        key_ids: vec![keys.token().key_id()],
        serial: announcement.serial,
    };
    let rng = &mut UnwrapErr(getrandom::SysRng);
    let message = Message::seal(header, &answer_payload([7; 32]), &announcement.message_key, keys.identity(), rng);
    let bytes = message.unwrap().encode();
    put_forged(&world, &bytes);
    // In the name of acme, the signature being the stranger's.
    let (own, acme) =
        (keys.identity().public_name().to_bytes(), world.keys("acme").identity().public_name().to_bytes());
    let at = bytes.windows(65).position(|window| window == own).unwrap();
    let mut in_anothers_name = bytes;
    in_anothers_name[at..at + 65].copy_from_slice(&acme);
    put_forged(&world, &in_anothers_name);
    let collected = world.collect();
    assert_eq!(collected.newly_enrolled.len(), 2);
    assert_eq!(collected.refused, 1);
    assert!(collected.status.refusals.iter().all(|refusal| refusal.sender.is_none()), "nobody is blamed for it");
}

#[test]
fn rotations_that_are_not_due_change_nothing() {
    let world = World::at_work(&["acme", "globex"]);
    let other = world.keys("workload").token().key_id();
    let key_id = |holder: &str| world.keys(holder).token().key_id();
    let before = world.collect().status.holders;
    type Ids = Vec<datafuse_core::keys::KeyId>;
    let cases: [(&str, Ids, usize); 4] = [
        ("of another holder's key", vec![key_id("acme"), other], 0),
        ("of one key only", vec![key_id("globex")], 1),
        ("to the same key", vec![key_id("globex"), key_id("globex")], 1),
        ("of a key that nobody has", vec![other, key_id("globex")], 0),
    ];
    for (what, key_ids, refused) in cases {
        let bytes = forged(&world, "globex", Round::RotationToWorkload, |header, _| header.key_ids = key_ids);
        put_forged(&world, &bytes);
        let collected = world.collect();
        assert_eq!((collected.refused, collected.rotated.len()), (refused, 0), "{what}");
        assert_eq!(collected.status.holders, before, "{what}");
    }
    let zero = forged(&world, "globex", Round::RotationToWorkload, |header, payload| {
        header.key_ids = vec![key_id("globex"), other];
        *payload = [[0x82, 1, 0x58, 32].as_slice(), &[0; 32]].concat();
    });
    put_forged(&world, &zero);
    assert_eq!(world.collect().refused, 1);
    assert_eq!(world.check().unwrap(), 2);
}

#[test]
fn replayed_messages_change_nothing() {
    let world = before_collection();
    let messages = world.messages();
    let first = world.collect();
    assert_eq!(first.newly_enrolled.len(), 2);
    for (name, bytes) in &messages {
        world.put(name, bytes);
    }
    let again = world.collect();
    assert_eq!((again.newly_enrolled.len(), again.rotated.len()), (0, 0));
    assert_eq!(again.status.holders, first.status.holders);
    assert!(world.messages().is_empty());
    for holder in ["acme", "globex"] {
        world.protect(holder);
    }
    assert_eq!(world.check().unwrap(), 2);
}

#[test]
fn old_announcements_and_statuses_put_back_are_refused_by_the_parties() {
    let world = World::at_work(&["acme", "globex"]);
    let kept: Vec<_> = ["announcement", "status"]
        .map(|what| world.path("mailbox").join(format!("{what}-{}.cbor", world.space().root())))
        .into_iter()
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    world.rotate("globex");
    world.enrol("globex").unwrap();
    world.collect();
    world.enrol("acme").unwrap();
    for (path, bytes) in kept {
        let present = std::fs::read(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let error = world.enrol("acme").unwrap_err();
        assert!(error.to_string().contains("older than what was seen"), "{error}");
        assert!(error.remedy().is_some());
        std::fs::write(&path, present).unwrap();
    }
    assert!(world.enrol("acme").unwrap().enrolled);
}

#[test]
fn a_steward_whose_share_changed_is_named_and_its_holders_are_not_enrolled() {
    let world = before_collection();
    world.collect();
    world.join("initech");
    // Another share under the same name: what a lost memory and a wrong backup would lead to.
    world.change_keys("acme", |keys| {
        let mut body = keys.encode().to_vec();
        // The share stands before the three empty lists of what was replaced.
        let at = body.len() - 3 - 32;
        body[at..at + 32].fill(0x5a);
        *keys = datafuse_core::keys::PartyKeys::decode(&body).unwrap();
    });
    let memory = world.path("acme.key.known");
    std::fs::remove_file(memory).unwrap();
    for holder in ["acme", "globex", "initech"] {
        world.enrol(holder).unwrap();
    }
    let collected = world.collect();
    assert_eq!(collected.newly_enrolled, []);
    let reasons: Vec<_> = collected.status.refusals.iter().map(|refusal| refusal.reason.as_str()).collect();
    assert!(reasons.iter().any(|reason| reason.contains("another share")), "{reasons:?}");
}

#[test]
fn ten_thousand_mutated_messages_are_refused() {
    let world = before_collection();
    let messages = world.messages();
    let state_key = world.keys("workload").token().state_key(&world.space().root());
    let state =
        datafuse_workload::state::State::open(&world.path("state/state.db"), &world.space().root(), state_key, &[]);
    let workload_key = state.unwrap().secrets(Epoch(1)).unwrap().message_key;
    let holders: Vec<_> = ["acme", "globex"].map(|holder| world.keys(holder)).into();
    let key_for = |message: &Message| {
        let receiver = holders.iter().find(|keys| keys.identity().public_name() == message.header().receiver);
        ReceiveKey::from_bytes(*receiver.map_or(&workload_key, |keys| keys.identity().receive_key()).as_bytes())
    };
    for (_, bytes) in &messages {
        let message = Message::decode(bytes).unwrap();
        assert!(message.open(&key_for(&message)).is_ok(), "the key is the right one");
    }
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    for round in 0..10_000 {
        let (_, bytes) = &messages[round % messages.len()];
        let mutated = mutate(bytes, &mut rng);
        if mutated == *bytes {
            continue;
        }
        let opened = Message::decode(&mutated).and_then(|message| message.open(&key_for(&message)));
        assert!(opened.is_err(), "mutation {round}");
    }
    // The whole way, through mailbox and state: nothing of it is taken in, and the honest messages are.
    for round in 0..200 {
        let (_, bytes) = &messages[round % messages.len()];
        let name = format!("answer-to-workload-{round:032x}.msg").parse().unwrap();
        world.put(&name, &mutate(bytes, &mut rng));
    }
    let collected = world.collect();
    assert_eq!(collected.newly_enrolled.len(), 2);
    assert!(world.enrol("acme").unwrap().is_complete());
}

/// Flips, cuts, doubles, overwrites or swaps a few bytes.
fn mutate(bytes: &[u8], rng: &mut ChaCha20Rng) -> Vec<u8> {
    let mut mutated = bytes.to_vec();
    for _ in 0..=rng.next_u32() % 3 {
        let at = rng.next_u32() as usize % mutated.len();
        match rng.next_u32() % 5 {
            0 => mutated[at] ^= 1 << (rng.next_u32() % 8),
            1 => mutated.truncate(at.max(1)),
            2 => mutated.insert(at, rng.next_u32() as u8),
            3 => mutated[at] = [0, 0xff, 0x80, 0x9f, 0x5f][rng.next_u32() as usize % 5],
            _ => {
                let other = rng.next_u32() as usize % mutated.len();
                mutated.swap(at, other);
            }
        }
    }
    mutated
}

#[test]
fn files_that_are_no_messages_keep_nobody_waiting() {
    let world = before_collection();
    let huge = vec![0; (datafuse_space::mailbox::MAX_MESSAGE_BYTES + 1) as usize];
    for name in ["answer-to-workload-00.msg", "rubbish.msg"] {
        world.put(&name.parse().unwrap(), &huge);
    }
    world.put(&"empty.msg".parse().unwrap(), b"");
    let status = world.path("mailbox").join(format!("status-{}.cbor", world.space().root()));
    std::fs::write(status, &huge).unwrap();
    let collected = world.collect();
    assert_eq!((collected.newly_enrolled.len(), collected.refused), (2, 3));
    assert!(world.enrol("acme").unwrap().is_complete());
}

#[test]
fn a_damaged_share_is_told_to_its_holder_and_sent_again_by_its_steward() {
    let world = World::new(&["acme", "globex"], 2);
    world.event("INITIALIZE", json!({})).unwrap();
    world.enrol("globex").unwrap();
    let (name, bytes) = world.messages_of(Round::ShareToHolder).remove(0);
    world.put(&name, &bytes[..bytes.len() / 2]);
    let report = world.enrol("acme").unwrap();
    assert!(
        matches!(&report.awaited[..], [Awaited::Share { from, refused: Some(_) }] if *from == id("globex")),
        "{report:?}"
    );
    world.enrol("globex").unwrap();
    assert_eq!(world.enrol("acme").unwrap().awaited, [Awaited::Collection]);
}

#[test]
fn a_mailbox_that_disappears_in_between_is_an_error_and_loses_nothing() {
    let world = before_collection();
    let party = world.party("globex");
    let (mailbox, away) = (world.path("mailbox"), world.path("away"));
    std::fs::rename(&mailbox, &away).unwrap();
    let error = datafuse_holder::enrol::enrol(&party, &mut |_| true).unwrap_err();
    assert!(error.is_retryable() || matches!(error, datafuse_holder::Error::NoEpoch { .. }), "{error:?}");
    let mut workload = world.workload().unwrap();
    let _ = std::fs::remove_dir(&mailbox);
    let event = |id: &str| {
        datafuse_workload::event::Event::new(id.parse().unwrap(), "ENROL", serde_json::Map::new(), None).unwrap()
    };
    assert!(datafuse_workload::process(&mut workload, &event("one"), &|_| {}).is_err());
    std::fs::rename(&away, &mailbox).unwrap();
    datafuse_workload::process(&mut workload, &event("one"), &|_| {}).unwrap();
    assert!(world.enrol("acme").unwrap().enrolled);
}
