#![allow(clippy::unwrap_used)]
use super::*;
use crate::{
    fused::ReKey,
    id::Epoch,
    keys::{PartyKeys, test_keys},
    kind::Kind,
    match_key::{MatchKey, MatchSecret},
    name::PublicName,
    normalize::{Normalization, Profile},
    root::Root,
    token::Tokenizer,
};

const EPOCH: Epoch = Epoch(1);

fn root() -> Root {
    Root::from_bytes([4; 32])
}

fn name(keys: &PartyKeys) -> PublicName {
    keys.identity().public_name()
}

fn answer(stewards: &[PartyKeys], holder: &PartyKeys) -> Answer {
    let names: Vec<_> = stewards.iter().map(name).collect();
    let mut state = AwaitingShares::new(&names);
    for steward in stewards.iter().rev() {
        let (share, _) = contribute(steward.share(), &root(), EPOCH, &name(holder)).unwrap();
        let share = ShareForHolder::decode(&share.encode()).unwrap();
        state = match state.receive(&name(steward), &share).unwrap() {
            HolderStep::Awaiting(state) => state,
            HolderStep::Ready(ready) => {
                return ready.answer(&holder.token().token_key(&root(), EPOCH).unwrap());
            }
        };
    }
    unreachable!("all stewards have sent their share")
}

fn enrol(stewards: &[PartyKeys], holder: &PartyKeys) -> Result<ReKey> {
    let names: Vec<_> = stewards.iter().map(name).collect();
    let mut state = AwaitingParts::new(name(holder), &names);
    for steward in stewards {
        let (_, blind) = contribute(steward.share(), &root(), EPOCH, &name(holder))?;
        state = match state.receive_blind(&name(steward), BlindForWorkload::decode(&blind.encode())?)? {
            WorkloadStep::Awaiting(state) => state,
            WorkloadStep::Enrolled(_) => panic!("the answer has not come yet"),
        };
    }
    match state.receive_answer(Answer::decode(&answer(stewards, holder).encode())?)? {
        WorkloadStep::Enrolled(rekey) => Ok(rekey),
        WorkloadStep::Awaiting(_) => panic!("everything has come"),
    }
}

fn match_key(holder: &PartyKeys, rekey: &ReKey, secret: &MatchSecret, email: &str) -> MatchKey {
    let kind = Kind::single("email".parse().unwrap(), Profile::EmailV1, None);
    let tokenizer = Tokenizer::new(&root(), &kind, holder.token().token_key(&root(), EPOCH).unwrap());
    let Normalization::Valid(identifier) = kind.normalize(&[Some(email.as_bytes())]) else { panic!("valid") };
    secret.match_keys(&rekey.fuse(&tokenizer.tokenize(&[identifier])).unwrap())[0]
}

#[test]
fn every_holder_reaches_the_same_match_key() {
    for stewards in 2..=4 {
        let parties: Vec<_> = (1..=5).map(test_keys).collect();
        let secret = MatchSecret::from_bytes([6; 32]);
        let rekeys: Vec<_> = parties.iter().map(|holder| enrol(&parties[..stewards], holder).unwrap()).collect();
        let of = |email: &str| -> Vec<_> {
            parties.iter().zip(&rekeys).map(|(holder, rekey)| match_key(holder, rekey, &secret, email)).collect()
        };
        let (ada, bob) = (of("Ada@example.com"), of("bob@example.com"));
        assert!(ada.iter().all(|key| *key == ada[0]));
        assert!(bob.iter().all(|key| *key == bob[0]));
        assert_ne!(ada[0], bob[0]);
    }
}

#[test]
fn canaries_agree_exactly_where_enrolment_was_right() {
    let parties: Vec<_> = (1..=3).map(test_keys).collect();
    let secret = MatchSecret::from_bytes([6; 32]);
    let canary = |keys: &PartyKeys, rekey: &ReKey| {
        let token = keys.token().token_key(&root(), EPOCH).unwrap().canary(&root(), EPOCH);
        secret.match_keys(&rekey.fuse(&[token]).unwrap())[0]
    };
    let rekeys: Vec<_> = parties.iter().map(|holder| enrol(&parties[..2], holder).unwrap()).collect();
    assert_eq!(canary(&parties[0], &rekeys[0]), canary(&parties[2], &rekeys[2]));
    assert_ne!(canary(&parties[0], &rekeys[0]), canary(&parties[2], &rekeys[0]));
}

#[test]
fn any_order_and_repeated_messages_give_the_same_re_key() {
    let parties: Vec<_> = (1..=3).map(test_keys).collect();
    let names: Vec<_> = parties.iter().map(name).collect();
    let holder = &parties[2];
    let blind = |steward: &PartyKeys| contribute(steward.share(), &root(), EPOCH, &name(holder)).unwrap().1;

    let state = AwaitingParts::new(name(holder), &names[..2]);
    let Ok(WorkloadStep::Awaiting(state)) = state.receive_answer(answer(&parties[..2], holder)) else { panic!() };
    let Ok(WorkloadStep::Awaiting(state)) = state.receive_blind(&names[1], blind(&parties[1])) else { panic!() };
    let Ok(WorkloadStep::Awaiting(state)) = state.receive_blind(&names[1], blind(&parties[1])) else { panic!() };
    assert_eq!(state.awaited_blinds().collect::<Vec<_>>(), [&names[0]]);
    let Ok(WorkloadStep::Enrolled(rekey)) = state.receive_blind(&names[0], blind(&parties[0])) else { panic!() };
    assert_eq!(rekey.to_bytes(), enrol(&parties[..2], holder).unwrap().to_bytes());
}

#[test]
fn a_disagreement_names_steward_and_holder() {
    let parties: Vec<_> = (1..=4).map(test_keys).collect();
    let names: Vec<_> = parties.iter().map(name).collect();
    let holder = &parties[2];
    // Steward 1 tells the workload another blind than it told the holder.
    let honest = contribute(parties[0].share(), &root(), EPOCH, &name(holder)).unwrap().1;
    let wrong = contribute(parties[1].share(), &root(), EPOCH, &name(&parties[3])).unwrap().1;
    let state = AwaitingParts::new(name(holder), &names[..2]);
    let Ok(WorkloadStep::Awaiting(state)) = state.receive_blind(&names[0], honest) else { panic!() };
    let Ok(WorkloadStep::Awaiting(state)) = state.receive_blind(&names[1], wrong) else { panic!() };
    let error = state.receive_answer(answer(&parties[..2], holder)).err().unwrap();
    let expected = Error::Disagreement { steward: Box::new(names[1].clone()), holder: Box::new(names[2].clone()) };
    assert_eq!(error, expected);
}

#[test]
fn strangers_and_contradictions_are_refused() {
    let parties: Vec<_> = (1..=4).map(test_keys).collect();
    let names: Vec<_> = parties.iter().map(name).collect();
    let (share, blind) = contribute(parties[3].share(), &root(), EPOCH, &names[2]).unwrap();
    let awaiting = || AwaitingParts::new(names[2].clone(), &names[..2]);
    assert!(matches!(awaiting().receive_blind(&names[3], blind.clone()), Err(Error::NotASteward { .. })));
    assert!(matches!(AwaitingShares::new(&names[..2]).receive(&names[3], &share), Err(Error::NotASteward { .. })));
    let Ok(WorkloadStep::Awaiting(state)) = awaiting().receive_blind(&names[1], blind) else { panic!() };
    let other = contribute(parties[1].share(), &root(), EPOCH, &names[2]).unwrap().1;
    assert!(matches!(state.receive_blind(&names[1], other), Err(Error::Conflict { .. })));
    assert!(matches!(
        awaiting().receive_answer(answer(&parties[..3], &parties[2])),
        Err(Error::WrongStewardCount { expected: 2, found: 3 })
    ));
}

#[test]
fn one_steward_alone_is_refused() {
    let parties: Vec<_> = (1..=2).map(test_keys).collect();
    let names = [name(&parties[0])];
    let (share, blind) = contribute(parties[0].share(), &root(), EPOCH, &name(&parties[1])).unwrap();
    let refused = AwaitingShares::new(&names).receive(&names[0], &share).err();
    assert_eq!(refused, Some(Error::TooFewStewards { found: 1 }));
    let refused = AwaitingParts::new(name(&parties[1]), &names).receive_blind(&names[0], blind).err();
    assert_eq!(refused, Some(Error::TooFewStewards { found: 1 }));
}

#[test]
fn zero_scalars_and_bad_points_are_refused() {
    let zero = ShareForm { version: VERSION, v: [0; 32] };
    assert!(matches!(ShareForHolder::decode(&cbor::encode(&zero)), Err(Error::InvalidScalar { .. })));
    let not_canonical = ShareForm { version: VERSION, v: [0xff; 32] };
    assert!(matches!(ShareForHolder::decode(&cbor::encode(&not_canonical)), Err(Error::InvalidScalar { .. })));
    let mut one = [0; 32];
    one[0] = 1;
    let identity = BlindForm { version: VERSION, r: one, share_point: [0; 32] };
    assert!(matches!(BlindForWorkload::decode(&cbor::encode(&identity)), Err(Error::InvalidPoint { .. })));
    let zero = AnswerForm { version: VERSION, y: [0; 32], commitments: vec![] };
    assert!(matches!(Answer::decode(&cbor::encode(&zero)), Err(Error::InvalidScalar { .. })));
    assert!(ReKey::from_bytes(&[0; 32]).is_err());
}
