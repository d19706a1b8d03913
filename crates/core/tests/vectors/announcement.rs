//! `announcement_v1.json`, `announcement_v1_bad.json`.

use datafuse_core::{
    Error, announcement::Announcement, id::Epoch, keys::PartyKeys, lp::Lp, name::PublicName, root::Root,
};
use serde::{Deserialize, Serialize};

use super::harness::{Cbor, Hex, bytes, check, party, refusal};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    note: String,
    workload_keys: Hex,
    root: Hex,
    epoch: u64,
    serial: u64,
    dataset_key: Hex,
    message_key: Hex,
    signed: Hex,
    bytes: Hex,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bad {
    note: String,
    workload: PublicName,
    root: Hex,
    seen_epoch: u64,
    seen_serial: u64,
    bytes: Hex,
    error: String,
}

fn announcement(epoch: u64, serial: u64) -> Announcement {
    Announcement {
        root: Root::from_bytes(bytes("root")),
        epoch: Epoch(epoch),
        serial,
        dataset_key: bytes("dataset key"),
        message_key: bytes("message key"),
    }
}

#[test]
fn announcements_are_those_of_the_vectors() {
    let vector = |note: &str, epoch, serial| Vector {
        note: note.to_owned(),
        workload_keys: party(1).encode().as_slice().into(),
        root: bytes::<32>("root").into(),
        epoch,
        serial,
        dataset_key: bytes::<32>("dataset key").into(),
        message_key: bytes::<32>("message key").into(),
        signed: Hex::default(),
        bytes: Hex::default(),
    };
    let vectors = vec![
        vector("the first", 1, 1),
        vector("numbers of two bytes and of three in CBOR", 24, 1000),
        vector("large numbers", 1 << 32, u64::MAX),
    ];
    let about = "The workload's announcement: [1, root, epoch, serial, dataset key, message key, signature], with Ed25519 over \
                 `signed`; workload_keys is the body of its key file.";
    check("announcement_v1.json", about, vectors, |mut vector| {
        let keys = PartyKeys::decode(&vector.workload_keys.0).unwrap();
        let announcement = Announcement {
            root: Root::from_bytes(vector.root.array()),
            epoch: Epoch(vector.epoch),
            serial: vector.serial,
            dataset_key: vector.dataset_key.array(),
            message_key: vector.message_key.array(),
        };
        vector.signed = Lp::labelled("datafuse/v1/announcement")
            .field(&vector.root.0)
            .integer(vector.epoch)
            .integer(vector.serial)
            .field(&vector.dataset_key.0)
            .field(&vector.message_key.0)
            .into_bytes()
            .into();
        vector.bytes = announcement.sign(keys.identity()).into();
        let name = keys.identity().public_name();
        assert_eq!(Announcement::verify(&vector.bytes.0, &announcement.root, &name), Ok(announcement));
        vector
    });
}

#[test]
fn bad_announcements_are_refused() {
    let workload = party(1);
    let good = announcement(2, 5).sign(workload.identity());
    let bad = |note: &str, bytes: &[u8]| Bad {
        note: note.to_owned(),
        workload: workload.identity().public_name(),
        root: announcement(2, 5).root.as_bytes().into(),
        seen_epoch: 2,
        seen_serial: 5,
        bytes: bytes.into(),
        error: String::new(),
    };
    let changed = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    // `[1, root, 2, 5, dataset key, message key, signature]`: the head, 34 bytes of root, two numbers, two keys, a signature.
    let (epoch, serial, key, signature) = (36, 37, 40, good.len() - 64);
    let long_form = |at: usize| [&good[..at], &[0x18], &good[at..]].concat();
    let signed_by = |seed| announcement(2, 5).sign(party(seed).identity());
    let vectors = vec![
        bad("empty", &[]),
        bad("the last byte missing", &good[..good.len() - 1]),
        bad("a byte left over", &[good.as_slice(), &[0]].concat()),
        bad("version 2", &Cbor::default().raw(&good[..1]).uint(2).raw(&good[2..]).end().0),
        bad("the epoch in a long form", &long_form(epoch)),
        bad("the serial in a long form", &long_form(serial)),
        bad("an array of indefinite length", &[&[0x9f], &good[1..], &[0xff]].concat()),
        bad("another epoch than was signed", &changed(epoch)),
        bad("another serial than was signed", &changed(serial)),
        bad("another dataset key than was signed", &changed(key)),
        bad("another message key than was signed", &changed(key + 34)),
        bad("a changed signature", &changed(signature)),
        bad("a changed signature, at its end", &changed(good.len() - 1)),
        bad("signed by another party", &signed_by(2)),
        Bad { workload: party(2).identity().public_name(), ..bad("of another workload", &good) },
        bad("another space than was signed", &changed(10)),
        Bad { root: bytes::<32>("other root").into(), ..bad("of another space", &good) },
        Bad { seen_serial: 6, ..bad("an older serial", &good) },
        Bad { seen_epoch: 3, seen_serial: 1, ..bad("an older epoch", &good) },
    ];
    let about = "Announcements that are refused for this workload, root and newest epoch and serial seen.";
    check("announcement_v1_bad.json", about, vectors, |mut bad| {
        let result = Announcement::verify(&bad.bytes.0, &Root::from_bytes(bad.root.array()), &bad.workload);
        let result = result.and_then(|announcement| -> Result<(), Error> {
            announcement.check_not_older(Epoch(bad.seen_epoch), bad.seen_serial)
        });
        bad.error = refusal(result);
        bad
    });
}
