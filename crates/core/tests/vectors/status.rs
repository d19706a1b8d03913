//! `status_v1.json`, `status_v1_bad.json`.

use datafuse_core::{
    id::Epoch,
    keys::{KeyId, PartyKeys},
    name::PublicName,
    root::Root,
    status::{HolderStatus, Refusal, Status},
};
use ed25519_dalek::{Signer, SigningKey};
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
    holders: Vec<HolderForm>,
    refusals: Vec<RefusalForm>,
    bytes: Hex,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HolderForm {
    holder: PublicName,
    blinds_from: Vec<PublicName>,
    answered: Option<Hex>,
    enrolled: Option<Hex>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RefusalForm {
    sender: Option<PublicName>,
    reason: String,
}

impl Vector {
    fn status(&self) -> Status {
        let key_id = |id: &Option<Hex>| id.as_ref().map(|id| KeyId::from_bytes(id.array()));
        Status {
            root: Root::from_bytes(self.root.array()),
            epoch: Epoch(self.epoch),
            serial: self.serial,
            holders: self
                .holders
                .iter()
                .map(|holder| HolderStatus {
                    holder: holder.holder.clone(),
                    blinds_from: holder.blinds_from.clone(),
                    answered: key_id(&holder.answered),
                    enrolled: key_id(&holder.enrolled),
                })
                .collect(),
            refusals: self
                .refusals
                .iter()
                .map(|refusal| Refusal { sender: refusal.sender.clone(), reason: refusal.reason.clone() })
                .collect(),
        }
    }
}

fn vectors() -> Vec<Vector> {
    let name = |seed| party(seed).identity().public_name();
    let holder = |seed, blinds_from: &[u64], answered: Option<&str>, enrolled: Option<&str>| HolderForm {
        holder: name(seed),
        blinds_from: blinds_from.iter().map(|seed| name(*seed)).collect(),
        answered: answered.map(|label| bytes::<16>(label).into()),
        enrolled: enrolled.map(|label| bytes::<16>(label).into()),
    };
    let vector = |note: &str, holders, refusals| Vector {
        note: note.to_owned(),
        workload_keys: party(1).encode().as_slice().into(),
        root: bytes::<32>("root").into(),
        epoch: 1,
        serial: 3,
        holders,
        refusals,
        bytes: Hex::default(),
    };
    let refusals = vec![
        RefusalForm { sender: None, reason: "message is damaged or not a message at all".to_owned() },
        RefusalForm { sender: Some(name(2)), reason: "é is two bytes in UTF-8".to_owned() },
    ];
    vec![
        vector("nobody yet", vec![], vec![]),
        vector("nulls at the end of an entry are written", vec![holder(2, &[], None, None)], vec![]),
        vector(
            "all states",
            vec![
                holder(2, &[2, 3], None, Some("key 2")),
                holder(3, &[2], Some("key 3"), None),
                holder(4, &[3, 2], Some("new key 4"), Some("key 4")),
                holder(5, &[], None, None),
            ],
            refusals,
        ),
    ]
}

#[test]
fn statuses_are_those_of_the_vectors() {
    let about = "The workload's status: [1, body, signature], body the bytes of [1, root, epoch, serial, [[holder, [steward...], \
                 answered / null, enrolled / null]...], [[sender / null, reason]...]], with Ed25519 over lp(label) lp(body).";
    check("status_v1.json", about, vectors(), |mut vector| {
        let keys = PartyKeys::decode(&vector.workload_keys.0).unwrap();
        let status = vector.status();
        vector.bytes = status.sign(keys.identity()).into();
        let verified = Status::verify(&vector.bytes.0, &status.root, &keys.identity().public_name());
        assert_eq!(verified, Ok(status));
        vector
    });
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bad {
    note: String,
    workload: PublicName,
    root: Hex,
    bytes: Hex,
    error: String,
}

/// A status of any body, rightly signed.
fn signed(body: &[u8]) -> Vec<u8> {
    let keys = party(1).encode();
    // The signing secret follows three bytes of heads and the version.
    let sign = SigningKey::from_bytes(keys[4..36].try_into().unwrap());
    let label = b"datafuse/v1/status";
    let lp = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
    let signature = sign.sign(&[lp(label), lp(body)].concat()).to_bytes();
    Cbor::default().array(3).uint(1).bytes(body).bytes(signature).end().0
}

#[test]
fn bad_statuses_are_refused() {
    let (workload, root) = (party(1), bytes::<32>("root"));
    let vector = vectors().remove(1);
    let good = vector.status().sign(workload.identity());
    let holder = vector.holders[0].holder.to_bytes();
    let start = |version| Cbor::default().array(6).uint(version).bytes(root).uint(1).uint(3);
    let body = |version| start(version).array(1).array(4).bytes(holder).array(0).null().null().array(0).end().0;
    assert_eq!(signed(&body(1)), good);

    let bad = |note: &str, bytes: &[u8]| Bad {
        note: note.to_owned(),
        workload: workload.identity().public_name(),
        root: root.into(),
        bytes: bytes.into(),
        error: String::new(),
    };
    let changed = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let entry = |entry: Cbor| signed(&start(1).array(1).raw(entry.end().0).array(0).end().0);
    let vectors = vec![
        bad("empty", &[]),
        bad("the last byte missing", &good[..good.len() - 1]),
        bad("a byte left over", &[good.as_slice(), &[0]].concat()),
        bad("version 2 outside", &changed_to(&good, 1, 2)),
        bad("version 2 inside, signed", &signed(&body(2))),
        bad("a changed body", &changed(10)),
        bad("a changed signature", &changed(good.len() - 20)),
        bad("signed by another party", &vector.status().sign(party(2).identity())),
        Bad { workload: party(2).identity().public_name(), ..bad("of another workload", &good) },
        Bad { root: bytes::<32>("other root").into(), ..bad("of another space", &good) },
        bad("nulls left away, signed", &entry(Cbor::default().array(2).bytes(holder).array(0))),
        bad(
            "a key id of 15 bytes, signed",
            &entry(Cbor::default().array(4).bytes(holder).array(0).null().bytes(bytes::<15>("id"))),
        ),
        bad("a name of 64 bytes, signed", &entry(Cbor::default().array(4).bytes(&holder[..64]).array(0).null().null())),
        bad(
            "the serial in a long form, signed",
            &signed(&Cbor::default().array(6).uint(1).bytes(root).uint(1).raw([0x18, 3]).array(0).array(0).end().0),
        ),
        bad("a byte left over inside, signed", &signed(&[body(1).as_slice(), &[0]].concat())),
    ];
    let about = "Statuses that are refused for this workload and root.";
    check("status_v1_bad.json", about, vectors, |mut bad| {
        bad.error = refusal(Status::verify(&bad.bytes.0, &Root::from_bytes(bad.root.array()), &bad.workload));
        bad
    });
}

fn changed_to(bytes: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] = byte;
    bytes
}
