#![allow(clippy::unwrap_used)]
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use super::*;

/// Unknowns `0..n` with values, so that every product can be computed and compared.
struct World {
    values: Vec<Scalar>,
    rng: ChaCha8Rng,
}

impl World {
    fn new(unknowns: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut draw = || {
            let mut wide = [0; 64];
            rng.fill_bytes(&mut wide);
            Scalar::from_wide_bytes(&wide)
        };
        let values = (0..unknowns).map(|_| draw()).collect();
        Self { values, rng }
    }

    fn fact(&self, exponents: &[(usize, i128)]) -> (Product<usize>, Scalar) {
        let product: Product<usize> = exponents.iter().copied().filter(|(_, exponent)| *exponent != 0).collect();
        let value = product
            .iter()
            .fold(one(), |value, (unknown, exponent)| value.mul(&power(&self.values[*unknown], *exponent)));
        (product, value)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.rng.next_u64() % bound
    }
}

fn known(lattice: &Lattice<usize>, target: &(Product<usize>, Scalar)) -> bool {
    match lattice.solve(&target.0) {
        Solution::Value(value) => {
            assert_eq!(value.to_bytes(), target.1.to_bytes(), "a value that is found is the right one");
            true
        }
        _ => false,
    }
}

#[test]
fn finds_the_key_from_a_re_key_and_a_token_key() {
    // 0, 1: shares; 2, 3: token keys.
    let world = World::new(4, 1);
    let rekey = |holder| world.fact(&[(0, 1), (1, 1), (holder, -1)]);
    let key = world.fact(&[(0, 1), (1, 1)]);
    let alone = Lattice::new([rekey(2), rekey(3)]);
    assert!(!known(&alone, &key) && !known(&alone, &world.fact(&[(2, 1)])));
    // The ratio of two token keys does follow from their re-keys, as the protocol says.
    assert!(known(&alone, &world.fact(&[(2, 1), (3, -1)])));
    let with_one = Lattice::new([rekey(2), rekey(3), world.fact(&[(2, 1)])]);
    assert!(known(&with_one, &key) && known(&with_one, &world.fact(&[(3, 1)])));
}

#[test]
fn all_shares_but_one_give_nothing_of_the_key() {
    let world = World::new(6, 2);
    let shares: Vec<_> = (0..5).map(|steward| world.fact(&[(steward, 1)])).collect();
    let key = world.fact(&[(0, 1), (1, 1), (2, 1), (3, 1), (4, 1)]);
    for missing in 0..5 {
        let lattice = Lattice::new((0..5).filter(|steward| *steward != missing).map(|steward| shares[steward].clone()));
        assert!(!known(&lattice, &key));
    }
    assert!(known(&Lattice::new(shares.clone()), &key));
    // Blinded, the last one gives nothing; with its blind it does.
    let blinded = world.fact(&[(4, 1), (5, 1)]);
    let mut facts = shares[..4].to_vec();
    facts.push(blinded);
    assert!(!known(&Lattice::new(facts.clone()), &key));
    facts.push(world.fact(&[(5, 1)]));
    assert!(known(&Lattice::new(facts), &key));
}

#[test]
fn every_planted_combination_is_found() {
    for seed in 0..60 {
        let mut world = World::new(8, seed);
        let exponents: Vec<Vec<(usize, i128)>> =
            (0..5).map(|_| (0..8).map(|unknown| (unknown, i128::from(world.below(5)) - 2)).collect()).collect();
        let facts: Vec<_> = exponents.iter().map(|exponents| world.fact(exponents)).collect();
        let lattice = Lattice::new(facts.clone());
        assert_eq!(lattice.contradictions(), 0);
        // Any whole multiples of the facts.
        let multiples: Vec<i128> = (0..5).map(|_| i128::from(world.below(9)) - 4).collect();
        let mut target = Product::new();
        for ((product, _), times) in facts.iter().zip(&multiples) {
            add(&mut target, product, *times);
        }
        let target: Vec<_> = target.into_iter().collect();
        assert!(known(&lattice, &world.fact(&target)), "seed {seed}");
    }
}

#[test]
fn what_is_independent_of_the_facts_is_not_found() {
    for seed in 0..60 {
        let mut world = World::new(8, seed);
        // Unknown 7 is in no fact, so nothing with it can follow.
        let facts: Vec<_> = (0..20)
            .map(|_| {
                let exponents: Vec<_> = (0..7).map(|unknown| (unknown, i128::from(world.below(5)) - 2)).collect();
                world.fact(&exponents)
            })
            .collect();
        let lattice = Lattice::new(facts);
        for others in 0..7 {
            assert!(!known(&lattice, &world.fact(&[(others, 1), (7, 1)])));
        }
        assert!(matches!(lattice.solve(&world.fact(&[(7, 2)]).0), Solution::Unknown));
    }
}

#[test]
fn a_known_square_is_as_good_as_known() {
    let world = World::new(2, 3);
    let lattice = Lattice::new([world.fact(&[(0, 2)]), world.fact(&[(1, 1)])]);
    assert!(matches!(lattice.solve(&world.fact(&[(0, 1), (1, 3)]).0), Solution::UpToRoot));
    assert!(known(&lattice, &world.fact(&[(0, 4), (1, -1)])));
    // Coprime powers give the number itself.
    let both = Lattice::new([world.fact(&[(0, 2)]), world.fact(&[(0, 3)])]);
    assert!(known(&both, &world.fact(&[(0, 1)])));
}

#[test]
fn a_fact_that_is_not_true_contradicts_the_others() {
    let world = World::new(2, 4);
    let (product, _) = world.fact(&[(0, 1), (1, 1)]);
    let lie = (product, world.values[0].clone());
    assert_eq!(Lattice::new([world.fact(&[(0, 1)]), world.fact(&[(1, 1)]), lie]).contradictions(), 1);
}
