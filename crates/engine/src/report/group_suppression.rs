//! Which groups of a table of aggregates are withheld, and which figures of those that are shown.
//!
//! The total of a table's counts is known: the report has it in the overlap. So a single group that is withheld could be computed. A
//! count above zero and under `min_count` is *small*. The rule:
//!
//! 1. Every small group is withheld.
//! 2. Where there is one, groups that are not small are withheld too, in the order of their names, until the customers in all withheld
//!    groups are more than `(min_count - 1)` for each small one and `min_count` for each other, and there is at least one other.
//! 3. Where all groups together do not reach that, the table is withheld whole.
//!
//! Why that suffices: give the small groups any other counts from 1 to `min_count` - 1, and let the others of rule 2 take up the
//! difference: the first of them as much as it can without falling under `min_count`, then the next. Rule 2 is what makes room for
//! that, and it stops at the same group again: while all others so far are down to `min_count` the sum is not more than it demands,
//! and from the first that is not, the sums are as they were. So the report is the same for all these counts. That a value exists at
//! few customers may be a secret itself, so a withheld group has no name: a table says how many of them there are.
//!
//! Figures of a column in a shown group stand together or not at all. They are withheld
//!
//! - where the customers with a number, or those without, are small (`min_count`);
//! - where one number makes up nearly all of the sum (`dominance`): where `min_count` is more than 1, all but the two largest absolute
//!   values have to be 10 % of the largest together, so that whoever has the second cannot estimate the first. Where this withholds the
//!   figures of only one group, those of the first other group by name go too, if there is another.
//!
//! Buckets of quantiles have at least `min_count` customers each; where one of them is dominated, all of the group are withheld. No total
//! of values is ever published, so nothing else binds them.

use crate::aggregate::Values;

/// Most buckets that the numbers of a group are cut into.
const BUCKETS: u64 = 4;

/// The whole that a dominated sum misses: all but the two largest have to be a tenth of the largest.
const DOMINANCE: u128 = 10;

/// Why figures are withheld.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// They are about few customers.
    Few,
    /// One customer makes up nearly all.
    Dominance,
}

/// Figures of one column in one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Figures {
    /// Shown; with the buckets of quantiles, which may be withheld for [`Why::Dominance`].
    Shown { buckets: Option<Vec<Bucket>> },
    /// Withheld.
    Withheld(Why),
}

/// Numbers that follow each other in size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    pub(super) count: u64,
    pub(super) sum: i128,
}

fn is_small(count: u64, min_count: u64) -> bool {
    (1..min_count).contains(&count)
}

/// Says of each group, in the order of their names, whether it is withheld; `None` where the table is.
pub(super) fn groups(counts: &[u64], min_count: u64) -> Option<Vec<bool>> {
    let mut hidden: Vec<_> = counts.iter().map(|count| is_small(*count, min_count)).collect();
    if !hidden.contains(&true) {
        return Some(hidden);
    }
    let (mut others, mut sum, mut demanded) = (false, 0_u128, 0_u128);
    for (count, _) in counts.iter().zip(&hidden).filter(|(_, hidden)| **hidden) {
        sum += u128::from(*count);
        demanded += u128::from(min_count - 1);
    }
    for (hidden, count) in hidden.iter_mut().zip(counts) {
        if others && sum > demanded {
            break;
        }
        if !*hidden {
            *hidden = true;
            others = true;
            sum += u128::from(*count);
            demanded += u128::from(min_count);
        }
    }
    (others && sum > demanded).then_some(hidden)
}

/// Decides about one column: `of` are the shown groups, in the order of their names, each with its customers and its numbers.
pub(super) fn figures(of: &[(u64, &Values)], min_count: u64) -> Vec<Figures> {
    let mut decided: Vec<_> = of.iter().map(|(count, values)| of_group(*count, values, min_count)).collect();
    let dominated = decided.iter().filter(|figures| **figures == Figures::Withheld(Why::Dominance)).count();
    let withheld = decided.iter().filter(|figures| matches!(figures, Figures::Withheld(_))).count();
    if dominated == 1 && withheld == 1 {
        let other = decided.iter_mut().find(|figures| matches!(figures, Figures::Shown { .. }));
        if let Some(other) = other {
            *other = Figures::Withheld(Why::Dominance);
        }
    }
    decided
}

fn of_group(customers: u64, values: &Values, min_count: u64) -> Figures {
    if is_small(values.count, min_count) || is_small(customers.saturating_sub(values.count), min_count) {
        return Figures::Withheld(Why::Few);
    }
    if min_count > 1 && is_dominated(values.sum_of_sizes, values.largest) {
        return Figures::Withheld(Why::Dominance);
    }
    let mut sorted = values.all.clone();
    sorted.sort_unstable();
    let buckets = cut(&sorted, min_count);
    let dominated = |numbers: &[i128]| {
        let mut sizes: Vec<_> = numbers.iter().map(|number| number.unsigned_abs()).collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        let largest = [sizes.first(), sizes.get(1)].map(|size| size.copied().unwrap_or(0));
        is_dominated(sizes.iter().sum(), largest)
    };
    let hide = min_count > 1 && buckets.iter().any(|bucket| dominated(bucket));
    let of_bucket = |numbers: &&[i128]| Bucket { count: numbers.len() as u64, sum: numbers.iter().sum() };
    Figures::Shown { buckets: (!hide).then(|| buckets.iter().map(of_bucket).collect()) }
}

/// The p % rule, p being 10.
fn is_dominated(sum_of_sizes: u128, largest: [u128; 2]) -> bool {
    sum_of_sizes.saturating_sub(largest[0]).saturating_sub(largest[1]).saturating_mul(DOMINANCE) < largest[0]
}

/// Cuts numbers in order into up to four buckets of equal count, but for one, and none of fewer than `min_count`.
fn cut(sorted: &[i128], min_count: u64) -> Vec<&[i128]> {
    let count = sorted.len() as u64;
    let buckets = BUCKETS.min(count / min_count.max(1));
    let edge = |bucket: u64| usize::try_from(u128::from(count) * u128::from(bucket) / u128::from(buckets)).unwrap_or(0);
    (0..buckets).map(|bucket| &sorted[edge(bucket)..edge(bucket + 1)]).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn values(numbers: &[i128]) -> Values {
        let mut values = Values::default();
        numbers.iter().for_each(|number| values.add(*number, true));
        values
    }

    #[test]
    fn a_small_group_takes_others_with_it_in_the_order_of_their_names() {
        assert_eq!(groups(&[5, 9, 0], 5), Some(vec![false; 3]));
        assert_eq!(groups(&[1, 1, 1], 1), Some(vec![false; 3]));
        assert_eq!(groups(&[100, 3, 50], 5), Some(vec![true, true, false]));
        // Six alone leave no room for three to be four: 9 = 4 + 5.
        assert_eq!(groups(&[6, 3, 50], 5), Some(vec![true, true, true]));
        assert_eq!(groups(&[7, 3, 50], 5), Some(vec![true, true, false]));
        assert_eq!(groups(&[3, 6], 5), None);
        assert_eq!(groups(&[3, 3, 3, 3], 5), None);
        assert_eq!(groups(&[3], 5), None);
        assert_eq!(groups(&[], 5), Some(vec![]));
    }

    #[test]
    fn figures_about_few_or_one_are_withheld() {
        let even = values(&[10, 10, 10, 10, 10, 10]);
        let giant = values(&[1, 1, 1, 1, 1_000, 1_000_000]);
        let shown = |values: &Values| matches!(figures(&[(6, values)], 3)[0], Figures::Shown { .. });
        assert!(shown(&even));
        assert_eq!(figures(&[(8, &even)], 3), [Figures::Withheld(Why::Few)], "two have none");
        assert!(matches!(figures(&[(9, &even)], 3)[0], Figures::Shown { .. }), "three have none");
        assert_eq!(figures(&[(6, &values(&[1, 2]))], 3), [Figures::Withheld(Why::Few)]);
        assert_eq!(figures(&[(6, &giant)], 3), [Figures::Withheld(Why::Dominance)]);
        assert!(matches!(figures(&[(6, &giant)], 1)[0], Figures::Shown { .. }), "who withholds nothing");
        assert!(shown(&values(&[0; 6])) && shown(&values(&[-10, 10, -10, 10, 10, -10])));
        assert_eq!(figures(&[(6, &values(&[-1, 1, 1, 1, 1, -1_000]))], 3), [Figures::Withheld(Why::Dominance)]);
        // One alone goes with the first other; two stand for themselves.
        let by_dominance = |of: &[&Values]| {
            let of: Vec<_> = of.iter().map(|values| (6, *values)).collect();
            figures(&of, 3).iter().map(|figures| matches!(figures, Figures::Withheld(_))).collect::<Vec<_>>()
        };
        assert_eq!(by_dominance(&[&even, &even, &giant]), [true, false, true]);
        assert_eq!(by_dominance(&[&giant, &even, &giant]), [true, false, true]);
    }

    #[test]
    fn buckets_are_equal_and_not_small() {
        let numbers: Vec<_> = (1..=10).collect();
        let sizes = |min_count| cut(&numbers, min_count).iter().map(|bucket| bucket.len()).collect::<Vec<_>>();
        assert_eq!(
            [sizes(1), sizes(2), sizes(3), sizes(5), sizes(6), sizes(11)],
            [vec![2, 3, 2, 3], vec![2, 3, 2, 3], vec![3, 3, 4], vec![5, 5], vec![10], vec![]]
        );
        // The first bucket is dominated though the whole is not.
        let tail = values(&[900, 900, 900, 900, 900, 900, 1, 1, 5_000]);
        assert_eq!(figures(&[(9, &tail)], 3), [Figures::Shown { buckets: None }]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, rng_seed: proptest::test_runner::RngSeed::Fixed(7), ..ProptestConfig::default() })]

        /// For all that a reader knows (the total, what is shown, how many groups are withheld, and this rule), every small group may
        /// have any count from 1 to the threshold: there is a world with it that gives the very same report.
        #[test]
        fn no_small_group_can_be_computed(
            counts in prop::collection::vec(prop_oneof![0_u64..8, 0_u64..40], 0..9),
            min_count in 2_u64..7,
            wanted in prop::collection::vec(1_u64..7, 9),
        ) {
            let counts: Vec<_> = counts.into_iter().filter(|count| *count > 0).collect();
            let Some(hidden) = groups(&counts, min_count) else { return Ok(()) };
            let small = |count: u64| (1..min_count).contains(&count);
            let shown: Vec<_> = counts.iter().zip(&hidden).filter(|(_, hidden)| !**hidden).map(|(count, _)| *count).collect();
            prop_assert!(shown.iter().all(|count| !small(*count)));
            if !hidden.contains(&true) {
                return Ok(());
            }
            let withheld = hidden.iter().filter(|hidden| **hidden).count() as u64;
            let sum: u64 = counts.iter().zip(&hidden).filter(|(_, hidden)| **hidden).map(|(count, _)| *count).sum();
            // The single equation about the withheld cells, solved: each may be anything from 1 to the threshold at least.
            prop_assert!(withheld >= 2 && sum >= (min_count - 1) + (withheld - 1));
            prop_assert!(counts.iter().zip(&hidden).any(|(count, hidden)| *hidden && *count >= min_count));
            // The other world: small ones as wanted, the others take up the difference from the front.
            let mut other = counts.clone();
            let mut debt = 0_i128;
            for (index, count) in counts.iter().enumerate().filter(|(_, count)| small(**count)) {
                other[index] = wanted[index].min(min_count - 1);
                debt += i128::from(other[index]) - i128::from(*count);
            }
            for index in (0..counts.len()).filter(|index| hidden[*index] && !small(counts[*index])) {
                let given = debt.min(i128::from(counts[index] - min_count));
                other[index] = u64::try_from(i128::from(counts[index]) - given).unwrap();
                debt -= given;
            }
            prop_assert_eq!(debt, 0);
            prop_assert_eq!(groups(&other, min_count), Some(hidden));
        }
    }
}
