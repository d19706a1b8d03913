//! `enrolment_v1.json`.

use serde::{Deserialize, Serialize};

use super::harness::{Cbor, Hex, bytes, check, party};
use crate::{
    enrolment::{
        Answer, AwaitingParts, AwaitingShares, BlindForWorkload, HolderStep, ShareForHolder, WorkloadStep, contribute,
    },
    fused::nonzero_scalar,
    id::Epoch,
    keys::PartyKeys,
    name::PublicName,
    root::Root,
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    note: String,
    root: Hex,
    epoch: u64,
    stewards: Vec<Steward>,
    holders: Vec<Holder>,
    /// K, which nobody ever holds: for checks alone.
    matching_key: Hex,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Steward {
    keys: Hex,
    public_name: Option<PublicName>,
    share: Hex,
    share_point: Hex,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Holder {
    keys: Hex,
    public_name: Option<PublicName>,
    token_key: Hex,
    /// One for each steward, in their order.
    from_stewards: Vec<FromSteward>,
    answer: Hex,
    answer_payload: Hex,
    re_key: Hex,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FromSteward {
    blind: Hex,
    blinded_share: Hex,
    commitment: Hex,
    share_payload: Hex,
    blind_payload: Hex,
}

impl Vector {
    fn new(note: &str, epoch: u64, stewards: &[u64], holders: &[u64]) -> Self {
        let keys = |seed: &u64| Hex::from(party(*seed).encode().as_slice());
        let steward =
            |seed| Steward { keys: keys(seed), public_name: None, share: Hex::default(), share_point: Hex::default() };
        let holder = |seed| Holder {
            keys: keys(seed),
            public_name: None,
            token_key: Hex::default(),
            from_stewards: vec![],
            answer: Hex::default(),
            answer_payload: Hex::default(),
            re_key: Hex::default(),
        };
        Self {
            note: note.to_owned(),
            root: bytes::<32>("root").into(),
            epoch,
            stewards: stewards.iter().map(steward).collect(),
            holders: holders.iter().map(holder).collect(),
            matching_key: Hex::default(),
        }
    }

    fn complete(mut self) -> Self {
        let (root, epoch) = (Root::from_bytes(self.root.array()), Epoch(self.epoch));
        let stewards: Vec<_> =
            self.stewards.iter().map(|steward| PartyKeys::decode(&steward.keys.0).unwrap()).collect();
        let names: Vec<_> = stewards.iter().map(|keys| keys.identity().public_name()).collect();
        let mut product = None;
        for (steward, keys) in self.stewards.iter_mut().zip(&stewards) {
            let share = keys.share().share(&root, epoch).unwrap();
            steward.public_name = Some(keys.identity().public_name());
            steward.share = share.to_bytes().into();
            steward.share_point = share.mul_base_encoded().into();
            product =
                Some(product.map_or_else(|| share.clone(), |product: datafuse_group::Scalar| product.mul(&share)));
        }
        let matching_key = product.unwrap();
        for holder in &mut self.holders {
            holder.complete(&root, epoch, &stewards, &names);
            let key = nonzero_scalar(&holder.token_key.array(), "token key").unwrap();
            assert_eq!(holder.re_key, matching_key.mul(&key.invert()).to_bytes().into(), "d = K / k");
        }
        self.matching_key = matching_key.to_bytes().into();
        self
    }
}

impl Holder {
    fn complete(&mut self, root: &Root, epoch: Epoch, stewards: &[PartyKeys], names: &[PublicName]) {
        let keys = PartyKeys::decode(&self.keys.0).unwrap();
        let name = keys.identity().public_name();
        let key = keys.token().token_key(root, epoch).unwrap();
        let mut shares = AwaitingShares::new(names);
        let mut parts = AwaitingParts::new(name.clone(), names);
        let mut ready = None;
        self.from_stewards.clear();
        for (steward, steward_name) in stewards.iter().zip(names) {
            let (share, blind) = contribute(steward.share(), root, epoch, &name).unwrap();
            let v = first_bytes(&share.encode());
            self.from_stewards.push(FromSteward {
                blind: first_bytes(&blind.encode()).into(),
                blinded_share: v.into(),
                commitment: nonzero_scalar(&v, "share").unwrap().mul_base_encoded().into(),
                share_payload: share.encode().as_slice().into(),
                blind_payload: blind.encode().as_slice().into(),
            });
            let share = ShareForHolder::decode(&share.encode()).unwrap();
            match shares.receive(steward_name, &share).unwrap() {
                HolderStep::Awaiting(awaiting) => shares = awaiting,
                HolderStep::Ready(all) => {
                    ready = Some(all);
                    shares = AwaitingShares::new(names);
                }
            }
            let blind = BlindForWorkload::decode(&blind.encode()).unwrap();
            parts = match parts.receive_blind(steward_name, blind).unwrap() {
                WorkloadStep::Awaiting(parts) => parts,
                WorkloadStep::Enrolled(_) => panic!("the answer has not come yet"),
            };
        }
        let answer = ready.expect("all stewards have sent their share").answer(&key);
        let WorkloadStep::Enrolled(rekey) = parts.receive_answer(Answer::decode(&answer.encode()).unwrap()).unwrap()
        else {
            panic!("everything has come")
        };
        self.public_name = Some(name);
        self.token_key = key.0.to_bytes().into();
        self.answer = first_bytes(&answer.encode()).into();
        let payload = Cbor::default().array(3).uint(1).bytes(&self.answer.0).array(stewards.len());
        let payload = self.from_stewards.iter().fold(payload, |cbor, from| cbor.bytes(&from.commitment.0));
        assert_eq!(payload.end(), answer.encode().as_slice().into());
        self.answer_payload = answer.encode().as_slice().into();
        self.re_key = rekey.to_bytes().as_slice().into();
    }
}

/// The scalar of a payload: 32 bytes, after the heads of the array and of the bytes and the version.
fn first_bytes(payload: &[u8]) -> [u8; 32] {
    payload[4..36].try_into().unwrap()
}

#[test]
fn enrolments_are_those_of_the_vectors() {
    let vectors = vec![
        Vector::new("two stewards, both of them holders, and a third holder", 1, &[1, 2], &[1, 2, 3]),
        Vector::new("the same in the next epoch", 2, &[1, 2], &[1, 2, 3]),
        Vector::new("three stewards, all of them holders", 1, &[3, 1, 2], &[1, 2, 3]),
        Vector::new("three stewards, three other holders", 1, &[1, 2, 3], &[4, 5, 6]),
    ];
    let about = "Enrolments. For steward j and holder i: blinded_share v = s * r, commitment v*G, share_point S = s*G, answer \
                 y = (product of v) / k, re_key d = y / (product of r) = K / k. Payloads: [1, v]; [1, r, S]; [1, y, [v*G...]]. keys \
                 are the bodies of key files.";
    check("enrolment_v1.json", about, vectors, Vector::complete);
}
