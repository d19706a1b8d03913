//! Who shares whom: how many people are at exactly which holders, before anybody has a name.
//!
//! In go the numbers of a specification; out come regions (exact sets of holders, each with a count) in which every holder has
//! the same number of distinct people, of which exactly the asked share is at another holder too. Up to [`FULL`] holders
//! every set of holders has its region, as far as there are people for it; beyond, neighbouring holders share. All in integers.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;

use crate::generate::below;

/// Up to so many holders, every set of them is a region.
const FULL: usize = 8;

/// People at exactly these holders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlannedRegion {
    /// The holders' positions, ascending.
    pub(crate) members: Vec<usize>,
    /// How many people.
    pub(crate) count: u64,
    /// The number of the first of them; the others follow.
    pub(crate) first: u64,
}

/// How many rows of a file are of which sort: `rows = empty + invalid + duplicate + unique`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sorts {
    pub(crate) unique: u64,
    pub(crate) duplicate: u64,
    pub(crate) invalid: u64,
    pub(crate) empty: u64,
}

/// The sorts of the holders' rows, per 480 rows that are not unique people: `(empty, invalid)`, the rest being duplicates. Holder
/// by holder, then from the start again.
const MISTAKES: [(u64, u64); 5] = [(31, 12), (118, 40), (54, 21), (9, 66), (77, 3)];

/// Gives the sorts of a holder's rows: about 2.3 % are mistakes, and in a small file at least a few of each sort.
pub(crate) fn sorts(holder: usize, rows: u64) -> Sorts {
    let mistakes = (rows * 3 / 128).max((rows / 10).min(12));
    let (empty, invalid) = MISTAKES[holder % MISTAKES.len()];
    let few = (mistakes / 4).min(3);
    let (empty, invalid) = ((mistakes * empty / 480).max(few), (mistakes * invalid / 480).max(few));
    Sorts { unique: rows - mistakes, duplicate: mistakes - empty - invalid, invalid, empty }
}

/// Plans the regions: `unique` people at each holder, `shared` of them at another one too. Regions are numbered one after the other.
pub(crate) fn regions(holders: usize, unique: u64, shared: u64, rng: &mut ChaCha8Rng) -> Vec<PlannedRegion> {
    let mut counts: BTreeMap<Vec<usize>, u64> = BTreeMap::new();
    let mut rest = shared;
    // Half of those shared are at two holders, a quarter at three, ...; each degree spread evenly over its sets.
    for degree in 2..holders.min(FULL + 1) {
        let sets = sets(holders, degree);
        let per_holder = sets.iter().filter(|set| set.contains(&0)).count() as u64;
        let count = (rest / 2 / per_holder).max(u64::from(rest > per_holder));
        rest -= count * per_holder;
        counts.extend(sets.into_iter().map(|set| (set, count)));
    }
    vary(&mut counts, holders, rng);
    // What does not divide evenly is at all holders.
    counts.insert((0..holders).collect(), rest);
    for holder in 0..holders {
        counts.insert(vec![holder], unique - shared);
    }
    let mut first = 0;
    let regions = counts.into_iter().filter(|(_, count)| *count > 0).map(|(members, count)| {
        first += count;
        PlannedRegion { members, count, first: first - count }
    });
    regions.collect()
}

/// The sets of a number of holders; every holder is in equally many.
fn sets(holders: usize, degree: usize) -> Vec<Vec<usize>> {
    if holders > FULL {
        let neighbours = |first: usize| {
            let mut set: Vec<_> = (first..first + degree).map(|holder| holder % holders).collect();
            set.sort_unstable();
            set
        };
        return (0..holders).map(neighbours).collect();
    }
    let members = |mask: usize| (0..holders).filter(|holder| mask >> holder & 1 == 1).collect();
    (0..1_usize << holders).filter(|mask| mask.count_ones() as usize == degree).map(members).collect()
}

/// Makes the regions differ: two regions swap one member each for some of their people, which leaves every holder's sum as it was.
fn vary(counts: &mut BTreeMap<Vec<usize>, u64>, holders: usize, rng: &mut ChaCha8Rng) {
    let sets: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).map(|(set, _)| set.clone()).collect();
    if sets.is_empty() {
        return;
    }
    let index = |bound: usize, rng: &mut ChaCha8Rng| usize::try_from(below(bound as u64, rng)).unwrap_or(0);
    for _ in 0..holders * 8 {
        let (a, b) = (&sets[index(sets.len(), rng)], &sets[index(sets.len(), rng)]);
        let only_a: Vec<_> = a.iter().filter(|holder| !b.contains(holder)).collect();
        let only_b: Vec<_> = b.iter().filter(|holder| !a.contains(holder)).collect();
        if only_a.is_empty() || only_b.is_empty() {
            continue;
        }
        let (from_a, from_b) = (*only_a[index(only_a.len(), rng)], *only_b[index(only_b.len(), rng)]);
        let swapped = |set: &[usize], out: usize, into: usize| {
            let mut set: Vec<_> = set.iter().map(|holder| if *holder == out { into } else { *holder }).collect();
            set.sort_unstable();
            set
        };
        // At least half of each stays, so that no region becomes empty.
        let people = below(counts[a].min(counts[b]) / 2 + 1, rng);
        for set in [a, b] {
            counts.entry(set.clone()).and_modify(|count| *count -= people);
        }
        for set in [swapped(a, from_a, from_b), swapped(b, from_b, from_a)] {
            *counts.entry(set).or_default() += people;
        }
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    fn plan(holders: usize, unique: u64, shared: u64) -> Vec<PlannedRegion> {
        regions(holders, unique, shared, &mut ChaCha8Rng::from_seed([3; 32]))
    }

    #[test]
    fn every_holder_has_the_people_and_the_share_asked_for() {
        for holders in [2, 3, 4, 5, 8, 9, 30] {
            for shared in [0, 1, 2, 7, 100, 4_210, 20_000] {
                let regions = plan(holders, 20_000, shared);
                for holder in 0..holders {
                    let mine = regions.iter().filter(|region| region.members.contains(&holder));
                    let (all, alone) = mine.fold((0, 0), |(all, alone), region| {
                        (all + region.count, alone + if region.members.len() == 1 { region.count } else { 0 })
                    });
                    assert_eq!((all, all - alone), (20_000, shared), "{holders} holders");
                }
            }
        }
    }

    #[test]
    fn every_set_of_a_few_holders_has_people() {
        for (holders, shared) in [(2, 1), (3, 10), (5, 47), (5, 4_000), (8, 20_000)] {
            assert_eq!(plan(holders, 30_000, shared).len(), (1 << holders) - 1, "{holders} holders");
        }
    }

    #[test]
    fn regions_of_the_same_degree_differ() {
        let pairs: std::collections::BTreeSet<_> = plan(5, 20_000, 5_000)
            .iter()
            .filter(|region| region.members.len() == 2)
            .map(|region| region.count)
            .collect();
        assert!(pairs.len() > 3, "{pairs:?}");
    }

    #[test]
    fn people_are_numbered_without_gaps() {
        let regions = plan(5, 1_000, 300);
        let mut next = 0;
        for region in &regions {
            assert_eq!(region.first, next);
            next += region.count;
        }
    }

    #[test]
    fn rows_are_of_exactly_one_sort() {
        assert_eq!(sorts(0, 20_480), Sorts { unique: 20_000, duplicate: 437, invalid: 12, empty: 31 });
        for holder in 0..7 {
            for rows in (1..300).chain([20_000, 1_000_003]) {
                let Sorts { unique, duplicate, invalid, empty } = sorts(holder, rows);
                assert_eq!(unique + duplicate + invalid + empty, rows);
                assert!(unique * 10 >= rows * 9);
                assert!(rows < 120 || (duplicate > 0 && invalid > 0 && empty > 0));
            }
        }
    }
}
