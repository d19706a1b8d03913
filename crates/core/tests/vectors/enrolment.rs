//! `enrolment_v1_bad_payloads.json`, `enrolment_v1_bad_parts.json`; the good ones are in `src/vectors/enrolment.rs`.

use datafuse_core::{
    Error,
    enrolment::{
        Answer, AwaitingParts, AwaitingShares, BlindForWorkload, HolderStep, ShareForHolder, WorkloadStep, contribute,
    },
    fused::ReKey,
    id::Epoch,
    keys::PartyKeys,
    name::PublicName,
    root::Root,
};
use serde::{Deserialize, Serialize};

use super::harness::{Cbor, Hex, bytes, check, party, refusal};

/// The group's order l, little-endian.
const ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
/// The generator's encoding, and the encoding of a point that is not canonical: its square root is negative (RFC 9496, A.2).
const GENERATOR: &str = "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76";
const NEGATIVE: &str = "0100000000000000000000000000000000000000000000000000000000000000";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BadPayload {
    note: String,
    /// `share`, `blind` or `answer`.
    payload: String,
    bytes: Hex,
    error: String,
}

#[test]
fn bad_payloads_are_refused() {
    let array = |text: &str| <[u8; 32]>::try_from(hex::decode(text).unwrap()).unwrap();
    let (order, generator, negative) = (array(ORDER), array(GENERATOR), array(NEGATIVE));
    let (zero, ones, identity) = ([0u8; 32], [0xff; 32], [0; 32]);
    let mut scalar = bytes::<32>("scalar");
    scalar[31] &= 0x0f;

    let share = |v: &[u8]| Cbor::default().array(2).uint(1).bytes(v).end();
    let blind = |r: &[u8], point: &[u8]| Cbor::default().array(3).uint(1).bytes(r).bytes(point).end();
    let answer = |y: &[u8], points: &[&[u8]]| {
        let start = Cbor::default().array(3).uint(1).bytes(y).array(points.len());
        points.iter().fold(start, |cbor, point| cbor.bytes(point)).end()
    };
    assert!(ShareForHolder::decode(&share(&scalar).0).is_ok());
    assert!(BlindForWorkload::decode(&blind(&scalar, &generator).0).is_ok());
    assert!(Answer::decode(&answer(&scalar, &[&generator, &generator]).0).is_ok());

    let bad = |payload: &str, note: &str, bytes: Hex| BadPayload {
        note: note.to_owned(),
        payload: payload.to_owned(),
        bytes,
        error: String::new(),
    };
    let head = |head: &[u8], rest: &[u8]| Cbor::default().raw(head).bytes(rest).end();
    let vectors = vec![
        bad("share", "zero", share(&zero)),
        bad("share", "the order, which is zero in another form", share(&order)),
        bad("share", "far above the order", share(&ones)),
        bad("share", "31 bytes", share(&scalar[..31])),
        bad("share", "empty", Hex::default()),
        bad("share", "version 0", head(&[0x82, 0], &scalar)),
        bad("share", "version 2", head(&[0x82, 2], &scalar)),
        bad("share", "the version in a long form", head(&[0x82, 0x18, 1], &scalar)),
        bad("share", "the version in the longest form", head(&[0x82, 0x1b, 0, 0, 0, 0, 0, 0, 0, 1], &scalar)),
        bad("share", "the array's length in a long form", head(&[0x98, 2, 1], &scalar)),
        bad("share", "an array of indefinite length", Cbor::default().raw([0x9f, 1]).bytes(scalar).raw([0xff]).end()),
        bad(
            "share",
            "the length of the bytes in a long form",
            Cbor::default().raw([0x82, 1, 0x59, 0, 32]).raw(scalar).end(),
        ),
        bad("share", "a byte left over", [share(&scalar).0.as_slice(), &[0]].concat().into()),
        bad("share", "the last byte missing", share(&scalar).0[..35].into()),
        bad("share", "a third element", Cbor::default().array(3).uint(1).bytes(scalar).null().end()),
        bad("share", "a tag", Cbor::default().array(2).uint(1).raw([0xc2]).bytes(scalar).end()),
        bad("blind", "zero", blind(&zero, &generator)),
        bad("blind", "the order", blind(&order, &generator)),
        bad("blind", "the identity", blind(&scalar, &identity)),
        bad("blind", "a negative field element", blind(&scalar, &negative)),
        bad("blind", "a field element above the prime", blind(&scalar, &ones)),
        bad("blind", "a point of 33 bytes", blind(&scalar, &[generator.as_slice(), &[0]].concat())),
        bad("blind", "a share instead", share(&scalar)),
        bad("answer", "zero", answer(&zero, &[&generator, &generator])),
        bad("answer", "the order", answer(&order, &[&generator, &generator])),
        bad("answer", "the identity, second", answer(&scalar, &[&generator, &identity])),
        bad("answer", "a negative field element, first", answer(&scalar, &[&negative, &generator])),
        bad("answer", "a commitment of 31 bytes", answer(&scalar, &[&generator, &generator[..31]])),
        bad(
            "answer",
            "commitments of indefinite length",
            Cbor::default().array(3).uint(1).bytes(scalar).raw([0x9f]).bytes(generator).raw([0xff]).end(),
        ),
        bad("answer", "no commitments", Cbor::default().array(2).uint(1).bytes(scalar).end()),
    ];
    let about =
        "Payloads of enrolment messages that are refused. share: [1, v]; blind: [1, r, S]; answer: [1, y, [v*G...]].";
    check("enrolment_v1_bad_payloads.json", about, vectors, |mut bad| {
        bad.error = match bad.payload.as_str() {
            "share" => refusal(ShareForHolder::decode(&bad.bytes.0)),
            "blind" => refusal(BlindForWorkload::decode(&bad.bytes.0)),
            "answer" => refusal(Answer::decode(&bad.bytes.0)),
            other => panic!("no payload is called {other}"),
        };
        bad
    });
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BadParts {
    note: String,
    holder: PublicName,
    stewards: Vec<PublicName>,
    /// Payloads with their senders, in the order in which they come.
    blinds: Vec<(PublicName, Hex)>,
    answer: Hex,
    /// Whom the error names, where it is a disagreement.
    named: Option<PublicName>,
    error: String,
}

struct World {
    root: Root,
    parties: Vec<PartyKeys>,
}

impl World {
    fn name(&self, party: usize) -> PublicName {
        self.parties[party].identity().public_name()
    }

    fn blind(&self, epoch: u64, steward: usize, holder: usize) -> Hex {
        let share = self.parties[steward].share();
        contribute(share, &self.root, Epoch(epoch), &self.name(holder)).unwrap().1.encode().as_slice().into()
    }

    fn answer(&self, epoch: u64, stewards: &[usize], holder: usize) -> Hex {
        let names: Vec<_> = stewards.iter().map(|steward| self.name(*steward)).collect();
        let mut state = AwaitingShares::new(&names);
        for (steward, name) in stewards.iter().zip(&names) {
            let share = self.parties[*steward].share();
            let (share, _) = contribute(share, &self.root, Epoch(epoch), &self.name(holder)).unwrap();
            match state.receive(name, &share).unwrap() {
                HolderStep::Awaiting(awaiting) => state = awaiting,
                HolderStep::Ready(ready) => {
                    let key = self.parties[holder].token().token_key(&self.root, Epoch(epoch)).unwrap();
                    return ready.answer(&key).encode().as_slice().into();
                }
            }
        }
        panic!("all stewards have sent their share")
    }
}

fn collect(parts: &BadParts) -> Result<ReKey, Error> {
    let mut state = AwaitingParts::new(parts.holder.clone(), &parts.stewards);
    for (steward, payload) in &parts.blinds {
        state = match state.receive_blind(steward, BlindForWorkload::decode(&payload.0)?)? {
            WorkloadStep::Awaiting(state) => state,
            WorkloadStep::Enrolled(_) => panic!("the answer has not come yet"),
        };
    }
    match state.receive_answer(Answer::decode(&parts.answer.0)?)? {
        WorkloadStep::Awaiting(_) => panic!("everything has come"),
        WorkloadStep::Enrolled(rekey) => Ok(rekey),
    }
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    let world = World { root: Root::from_bytes(bytes("root")), parties: (1..=4).map(party).collect() };
    let vector = |note: &str, blinds: &[(usize, Hex)], answer: Hex| BadParts {
        note: note.to_owned(),
        holder: world.name(2),
        stewards: vec![world.name(0), world.name(1)],
        blinds: blinds.iter().map(|(steward, payload)| (world.name(*steward), payload.clone())).collect(),
        answer,
        named: None,
        error: String::new(),
    };
    let good = || world.answer(1, &[0, 1], 2);
    // y, after four bytes of heads and version, and the first commitment, after three bytes of heads.
    let (y, commitment) = (good().0[4..36].to_vec(), good().0[39..71].to_vec());
    let shortened = Cbor::default().array(3).uint(1).bytes(y).array(1).bytes(commitment).end();
    let (first, second) = ((0, world.blind(1, 0, 2)), (1, world.blind(1, 1, 2)));
    assert!(collect(&vector("", &[first.clone(), second.clone()], good())).is_ok());
    let vectors = vec![
        vector("a blind for another holder", &[first.clone(), (1, world.blind(1, 1, 3))], good()),
        vector("a blind of another epoch", &[(0, world.blind(2, 0, 2)), second.clone()], good()),
        vector("the blinds of one another", &[(0, second.1.clone()), (1, first.1.clone())], good()),
        vector("commitments in another order", &[first.clone(), second.clone()], world.answer(1, &[1, 0], 2)),
        vector("the answer of another holder", &[first.clone(), second.clone()], world.answer(1, &[0, 1], 3)),
        vector("the answer of another epoch", &[first.clone(), second.clone()], world.answer(2, &[0, 1], 2)),
        vector("an answer for one steward", &[first.clone(), second.clone()], shortened),
        vector("an answer for three stewards", &[first.clone(), second.clone()], world.answer(1, &[0, 1, 3], 2)),
        vector("a blind of a party that is no steward", &[first.clone(), (3, world.blind(1, 3, 2))], good()),
        vector("two blinds of one steward", &[first.clone(), (0, world.blind(1, 0, 3)), second], good()),
        BadParts { stewards: vec![world.name(0)], ..vector("one steward alone", &[first], good()) },
    ];
    let about = "Blinds and an answer that do not belong together: the workload refuses to make a re-key of them.";
    check("enrolment_v1_bad_parts.json", about, vectors, |mut bad| {
        let result = collect(&bad);
        bad.named = match &result {
            Err(Error::Disagreement { steward, holder }) => {
                assert_eq!(**holder, bad.holder);
                Some((**steward).clone())
            }
            _ => None,
        };
        bad.error = refusal(result);
        bad
    });
}
