//! What the attacker knows as numbers, and what follows from it.
//!
//! Every number of the protocol is a product of shares `s_j`, blinds `r_ij` and token keys `k_i`:
//!
//! | number | product | where it may be had |
//! | --- | --- | --- |
//! | `s_j`, `r_ij`, `k_i` | itself | a key file |
//! | `v_ij` | `s_j r_ij` | a message to a holder |
//! | `r_ij` | itself | a message to the workload, the state |
//! | `y_i` | `s_1 ... s_c r_i1 ... r_ic / k_i` | a message to the workload, the state |
//! | `d_i` | `s_1 ... s_c / k_i` | the state |
//! | `u` | `k_i / k_i'` | a message to the workload |
//!
//! The targets are the matching key `s_1 ... s_c`, every token key and every re-key of every epoch that was seen.

use std::collections::{BTreeMap, BTreeSet};

use datafuse_group::Scalar;

use super::{
    algebra::{Lattice, Product, Solution},
    leak::{self, Leaked},
    scene::Scene,
};

/// A number that nothing is known of at first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unknown {
    Token { epoch: u64, key_id: [u8; 16] },
    Share { epoch: u64, steward: usize },
    Blind { epoch: u64, steward: usize, holder: Vec<u8> },
}

type Fact = (Product<Unknown>, Scalar);

/// Facts as they come in.
pub(crate) struct Knowledge<'a> {
    scene: &'a Scene,
    facts: Vec<Fact>,
    /// What follows from each share secret that a steward's key file holds: one of them was used in an epoch.
    alternatives: BTreeMap<(u64, usize), Vec<Vec<Fact>>>,
    /// `S_j`, which tells which.
    points: BTreeMap<(u64, usize), [u8; 32]>,
    pub(crate) epochs: BTreeSet<u64>,
    /// Every token key that was heard of, with its holder's name.
    pub(crate) key_ids: BTreeMap<[u8; 16], Vec<u8>>,
}

/// What follows.
pub(crate) struct Conclusion {
    /// Matching keys, with their epoch.
    pub(crate) matching: Vec<(u64, Scalar)>,
    /// Token keys, with epoch and key id.
    pub(crate) tokens: Vec<(u64, [u8; 16], Scalar)>,
    /// Re-keys, with epoch and key id.
    pub(crate) rekeys: BTreeMap<(u64, [u8; 16]), Scalar>,
    /// Every number that was taken in.
    pub(crate) others: Vec<Scalar>,
    /// Targets that are known but for a root.
    pub(crate) roots: usize,
    /// Facts that contradict each other.
    pub(crate) contradictions: usize,
}

impl<'a> Knowledge<'a> {
    pub(crate) fn new(scene: &'a Scene) -> Self {
        let epochs = BTreeSet::from([1]);
        let (alternatives, points, key_ids) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { scene, facts: Vec::new(), alternatives, points, epochs, key_ids }
    }

    /// Takes in what follows from a key file, for every epoch seen so far.
    pub(crate) fn learn_keys(&mut self, leaked: &Leaked) {
        let root = &self.scene.root;
        for &epoch in &self.epochs {
            for (key_id, secret) in &leaked.tokens {
                self.key_ids.entry(*key_id).or_insert_with(|| leaked.name.clone());
                let key = leak::token_key(secret, root, epoch, key_id);
                self.facts.push((Product::from([(Unknown::Token { epoch, key_id: *key_id }, 1)]), key));
            }
            let Some(steward) = self.scene.steward_of(&leaked.name) else { continue };
            for secret in &leaked.shares {
                let share = leak::share(secret, root, epoch);
                let mut facts = vec![(Product::from([(Unknown::Share { epoch, steward }, 1)]), share)];
                for name in self.scene.holders.values().flatten() {
                    let blind = Unknown::Blind { epoch, steward, holder: name.clone() };
                    facts.push((Product::from([(blind, 1)]), leak::blind(secret, root, epoch, name)));
                }
                self.alternatives.entry((epoch, steward)).or_default().push(facts);
            }
        }
    }

    /// `v_ij` of an opened message.
    pub(crate) fn learn_share(&mut self, epoch: u64, steward: &[u8], holder: &[u8], number: [u8; 32]) {
        let Some(steward) = self.scene.steward_of(steward) else { return };
        let blind = Unknown::Blind { epoch, steward, holder: holder.to_vec() };
        self.learn(Product::from([(Unknown::Share { epoch, steward }, 1), (blind, 1)]), number);
    }

    /// `r_ij`, with `S_j`.
    pub(crate) fn learn_blind(&mut self, epoch: u64, steward: &[u8], holder: &[u8], numbers: &[[u8; 32]]) {
        let (Some(steward), [number, point]) = (self.scene.steward_of(steward), numbers) else { return };
        self.points.insert((epoch, steward), *point);
        self.learn(Product::from([(Unknown::Blind { epoch, steward, holder: holder.to_vec() }, 1)]), *number);
    }

    /// `S_j` alone.
    pub(crate) fn learn_point(&mut self, epoch: u64, steward: &[u8], point: [u8; 32]) {
        if let Some(steward) = self.scene.steward_of(steward) {
            self.points.insert((epoch, steward), point);
        }
    }

    /// `y_i`.
    pub(crate) fn learn_answer(&mut self, epoch: u64, holder: &[u8], key_id: [u8; 16], number: [u8; 32]) {
        self.key_ids.insert(key_id, holder.to_vec());
        let mut product = self.rekey(epoch, key_id);
        for steward in 0..self.scene.stewards.len() {
            product.insert(Unknown::Blind { epoch, steward, holder: holder.to_vec() }, 1);
        }
        self.learn(product, number);
    }

    /// `d_i`.
    pub(crate) fn learn_rekey(&mut self, epoch: u64, holder: &[u8], key_id: [u8; 16], number: [u8; 32]) {
        self.key_ids.insert(key_id, holder.to_vec());
        self.learn(self.rekey(epoch, key_id), number);
    }

    /// `u`.
    pub(crate) fn learn_rotation(&mut self, epoch: u64, holder: &[u8], from: [u8; 16], to: [u8; 16], number: [u8; 32]) {
        self.key_ids.extend([(from, holder.to_vec()), (to, holder.to_vec())]);
        let (from, to) = (Unknown::Token { epoch, key_id: from }, Unknown::Token { epoch, key_id: to });
        self.learn(Product::from([(from, 1), (to, -1)]), number);
    }

    fn learn(&mut self, product: Product<Unknown>, number: [u8; 32]) {
        self.facts
            .extend(Scalar::from_canonical_bytes(&number).filter(|scalar| !scalar.is_zero()).map(|s| (product, s)));
    }

    fn matching(&self, epoch: u64) -> Product<Unknown> {
        (0..self.scene.stewards.len()).map(|steward| (Unknown::Share { epoch, steward }, 1)).collect()
    }

    fn rekey(&self, epoch: u64, key_id: [u8; 16]) -> Product<Unknown> {
        let mut product = self.matching(epoch);
        product.insert(Unknown::Token { epoch, key_id }, -1);
        product
    }

    /// Tries every combination.
    pub(crate) fn conclude(mut self) -> Conclusion {
        for ((epoch, steward), alternatives) in &mut self.alternatives {
            if let Some(point) = self.points.get(&(*epoch, *steward)) {
                alternatives.retain(|facts| facts[0].1.mul_base_encoded() == *point);
            }
        }
        // Where nothing tells which of a steward's share secrets was used, the stewards' newest go together, and so on.
        let tries = self.alternatives.values().map(Vec::len).max().unwrap_or(0).max(1);
        let mut conclusion = Conclusion {
            matching: Vec::new(),
            tokens: Vec::new(),
            rekeys: BTreeMap::new(),
            others: self.facts.iter().map(|(_, value)| value.clone()).collect(),
            roots: 0,
            contradictions: 0,
        };
        for number in 0..tries {
            let chosen = self.alternatives.values().filter_map(|all| all.get(number).or(all.first())).flatten();
            conclusion.others.extend(chosen.clone().map(|(_, value)| value.clone()));
            self.solve(&Lattice::new(self.facts.iter().chain(chosen).cloned()), &mut conclusion);
        }
        conclusion
    }

    fn solve(&self, lattice: &Lattice<Unknown>, found: &mut Conclusion) {
        found.contradictions += lattice.contradictions();
        let mut roots = 0;
        let mut value = |target: &Product<Unknown>| match lattice.solve(target) {
            Solution::Value(value) => Some(value),
            Solution::UpToRoot => {
                roots += 1;
                None
            }
            Solution::Unknown => None,
        };
        for &epoch in &self.epochs {
            // Without stewards there is no matching key; the empty product is no finding.
            let matching = self.matching(epoch);
            found.matching.extend(value(&matching).filter(|_| !matching.is_empty()).map(|key| (epoch, key)));
            for &key_id in self.key_ids.keys() {
                let token = Product::from([(Unknown::Token { epoch, key_id }, 1)]);
                found.tokens.extend(value(&token).map(|key| (epoch, key_id, key)));
                found.rekeys.extend(value(&self.rekey(epoch, key_id)).map(|rekey| ((epoch, key_id), rekey)));
            }
        }
        found.roots += roots;
    }
}
