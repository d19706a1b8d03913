#![allow(clippy::unwrap_used)]
//! What holds for all keys, identifiers and orders of arrival, through the public interface.
//!
//! Cases are drawn from a fixed seed, so that every run checks the same ones.

use datafuse_core::{
    enrolment::{Answer, AwaitingParts, AwaitingShares, BlindForWorkload, HolderStep, WorkloadStep, contribute},
    fused::ReKey,
    id::Epoch,
    keys::PartyKeys,
    kind::Kind,
    match_key::{MatchKey, MatchSecret},
    name::PublicName,
    normalize::{Normalization, NormalizedIdentifier, Profile},
    root::{Founding, Root},
    token::{Token, Tokenizer},
};
use proptest::{
    prelude::*,
    test_runner::{RngAlgorithm, RngSeed},
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

const EPOCH: Epoch = Epoch(1);

fn fixed_seed() -> ProptestConfig {
    ProptestConfig {
        cases: 48,
        failure_persistence: None,
        rng_algorithm: RngAlgorithm::ChaCha,
        rng_seed: RngSeed::Fixed(0x0da7_af05_e000_0002),
        ..ProptestConfig::default()
    }
}

/// A space of stewards, who are its first holders, and one holder more.
struct World {
    root: Root,
    kind: Kind,
    parties: Vec<PartyKeys>,
    stewards: Vec<PublicName>,
}

impl World {
    fn new(seed: u64, stewards: usize, nonce: [u8; 32]) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let workload = PartyKeys::generate(&mut rng);
        let parties: Vec<_> = (0..=stewards).map(|_| PartyKeys::generate(&mut rng)).collect();
        let stewards: Vec<_> = parties[..stewards].iter().map(name).collect();
        let kind = Kind::single("customer".parse().unwrap(), Profile::ExactV1, None);
        let root = Root::new(&Founding {
            id: &"retail-2026".parse().unwrap(),
            nonce: &nonce,
            workload: &name(&workload),
            stewards: &stewards,
            kinds: std::slice::from_ref(&kind),
        });
        Self { root, kind, parties, stewards }
    }

    /// The holder's answer, the stewards' shares coming in this order.
    fn answer(&self, holder: &PartyKeys, order: &[usize]) -> Answer {
        let mut state = AwaitingShares::new(&self.stewards);
        for &steward in order {
            let secret = self.parties[steward].share();
            let (share, _) = contribute(secret, &self.root, EPOCH, &name(holder)).unwrap();
            match state.receive(&self.stewards[steward], &share).unwrap() {
                HolderStep::Awaiting(awaiting) => state = awaiting,
                HolderStep::Ready(ready) => {
                    return ready.answer(&holder.token().token_key(&self.root, EPOCH).unwrap());
                }
            }
        }
        panic!("every steward is in the order")
    }

    /// The re-key, the parts coming in this order: a steward's number its blind, the number after the last the answer.
    fn enrol(&self, holder: &PartyKeys, shares: &[usize], parts: &[usize]) -> ReKey {
        let mut state = AwaitingParts::new(name(holder), &self.stewards);
        for &part in parts {
            let step = match self.stewards.get(part) {
                Some(steward) => state.receive_blind(steward, self.blind(part, holder)),
                None => state.receive_answer(self.answer(holder, shares)),
            };
            match step.unwrap() {
                WorkloadStep::Awaiting(awaiting) => state = awaiting,
                WorkloadStep::Enrolled(rekey) => return rekey,
            }
        }
        panic!("every part is in the order")
    }

    fn enrol_in_order(&self, holder: &PartyKeys) -> ReKey {
        let order: Vec<_> = (0..=self.stewards.len()).collect();
        self.enrol(holder, &order[..self.stewards.len()], &order)
    }

    fn blind(&self, steward: usize, holder: &PartyKeys) -> BlindForWorkload {
        contribute(self.parties[steward].share(), &self.root, EPOCH, &name(holder)).unwrap().1
    }

    fn tokens(&self, holder: &PartyKeys, identifiers: &[Vec<u8>]) -> Vec<Token> {
        let key = holder.token().token_key(&self.root, EPOCH).unwrap();
        let identifiers: Vec<_> = identifiers.iter().map(|identifier| self.identifier(identifier)).collect();
        Tokenizer::new(&self.root, &self.kind, key).tokenize(&identifiers)
    }

    fn identifier(&self, bytes: &[u8]) -> NormalizedIdentifier {
        match self.kind.normalize(&[Some(bytes)]) {
            Normalization::Valid(identifier) => identifier,
            other => panic!("{other:?}"),
        }
    }
}

fn name(keys: &PartyKeys) -> PublicName {
    keys.identity().public_name()
}

fn match_keys(rekey: &ReKey, tokens: &[Token]) -> Vec<MatchKey> {
    MatchSecret::from_bytes([9; 32]).match_keys(&rekey.fuse(tokens).unwrap())
}

fn orders() -> impl Strategy<Value = (usize, Vec<usize>, Vec<usize>)> {
    (2..=4usize).prop_flat_map(|stewards| {
        let order = |length: usize| Just((0..length).collect::<Vec<_>>()).prop_shuffle();
        (Just(stewards), order(stewards), order(stewards + 1))
    })
}

fn identifiers() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::btree_set(prop::collection::vec(any::<u8>(), 1..60), 1..8)
        .prop_map(|identifiers| identifiers.into_iter().collect())
}

proptest! {
    #![proptest_config(fixed_seed())]

    #[test]
    fn fusing_is_independent_of_the_order_in_which_messages_arrive(
        seed in any::<u64>(), (stewards, shares, parts) in orders(), identifiers in identifiers(),
    ) {
        let world = World::new(seed, stewards, [1; 32]);
        for holder in [&world.parties[0], &world.parties[stewards]] {
            let (rekey, usual) = (world.enrol(holder, &shares, &parts), world.enrol_in_order(holder));
            prop_assert_eq!(rekey.to_bytes(), usual.to_bytes());
            let tokens = world.tokens(holder, &identifiers);
            prop_assert_eq!(match_keys(&rekey, &tokens), match_keys(&usual, &tokens));
        }
    }

    #[test]
    fn tokens_of_two_holders_differ_and_their_fused_tokens_agree(
        seed in any::<u64>(), stewards in 2..=4usize, identifiers in identifiers(),
    ) {
        let world = World::new(seed, stewards, [1; 32]);
        let (one, other) = (&world.parties[0], &world.parties[stewards]);
        let (tokens, others) = (world.tokens(one, &identifiers), world.tokens(other, &identifiers));
        let all: std::collections::BTreeSet<_> = tokens.iter().chain(&others).map(Token::as_bytes).collect();
        prop_assert_eq!(all.len(), 2 * identifiers.len());
        let fused = match_keys(&world.enrol_in_order(one), &tokens);
        prop_assert_eq!(&fused, &match_keys(&world.enrol_in_order(other), &others));
        // Different identifiers stay different; a re-key of another holder brings nothing together.
        let distinct: std::collections::BTreeSet<_> = fused.iter().collect();
        prop_assert_eq!(distinct.len(), identifiers.len());
        let crossed = match_keys(&world.enrol_in_order(other), &tokens);
        prop_assert!(crossed.iter().all(|key| !distinct.contains(key)));
    }

    /// Same id, workload, stewards and kinds, and another nonce: neither the keys nor the elements have anything in common.
    #[test]
    fn tokens_of_an_imitation_of_a_space_are_unrelated(
        seed in any::<u64>(), nonce in any::<[u8; 32]>(), identifiers in identifiers(),
    ) {
        prop_assume!(nonce != [1; 32]);
        let (world, imitation) = (World::new(seed, 2, [1; 32]), World::new(seed, 2, nonce));
        prop_assert_ne!(world.root, imitation.root);
        let (holder, rekey) = (&world.parties[2], world.enrol_in_order(&world.parties[2]));
        let tokens = world.tokens(holder, &identifiers);
        let imitated = imitation.tokens(&imitation.parties[2], &identifiers);
        // Even under the same key, the root alone makes other elements.
        let key = holder.token().token_key(&world.root, EPOCH).unwrap();
        let same_key = Tokenizer::new(&imitation.root, &imitation.kind, key);
        let elsewhere: Vec<_> = identifiers.iter().map(|bytes| imitation.identifier(bytes)).collect();
        let rehashed = same_key.tokenize(&elsewhere);
        let all: std::collections::BTreeSet<_> =
            tokens.iter().chain(&imitated).chain(&rehashed).map(Token::as_bytes).collect();
        prop_assert_eq!(all.len(), 3 * identifiers.len());
        // What the imitation brought in fuses with nothing.
        let fused = match_keys(&rekey, &tokens);
        prop_assert!(match_keys(&rekey, &imitated).iter().chain(&match_keys(&rekey, &rehashed)).all(|key| !fused.contains(key)));
        prop_assert!(match_keys(&imitation.enrol_in_order(&imitation.parties[2]), &imitated).iter().all(|key| !fused.contains(key)));
    }
}
