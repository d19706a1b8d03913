//! How many distinct identifiers are at exactly which holders: the one result of matching, from which the report is made.
//!
//! In goes one fused file or more per holder ([`match_datasets`](crate::matching::match_datasets)); out come the regions, each
//! an exact set of holders with the number of identifiers that are at these and at no others. Every other figure of the
//! report is a sum of regions. It holds counts alone: nothing here names an identifier.

use std::fmt;

use datafuse_core::id::ParticipantId;

/// A set of holders, as a bit mask over their positions in [`MatchTable::holders`]. As many 64-bit words as are needed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HolderSet(Box<[u64]>);

impl HolderSet {
    /// Makes the set of some of `holders` holders.
    ///
    /// # Panics
    /// When a member is not below `holders`.
    #[must_use]
    pub fn new(holders: usize, members: impl IntoIterator<Item = usize>) -> Self {
        let mut words = vec![0; words(holders)];
        for member in members {
            assert!(member < holders, "a member of the set is one of its holders");
            words[member / 64] |= 1 << (member % 64);
        }
        Self(words.into())
    }

    /// Takes the words of a mask, the lowest holders first.
    #[must_use]
    pub fn from_words(words: &[u64]) -> Self {
        Self(words.into())
    }

    /// Whether a holder is a member.
    #[must_use]
    pub fn contains(&self, holder: usize) -> bool {
        self.0.get(holder / 64).is_some_and(|word| word >> (holder % 64) & 1 == 1)
    }

    /// How many members it has in common with a mask of the same holders.
    pub(crate) fn common(&self, words: &[u64]) -> usize {
        self.0.iter().zip(words).map(|(own, other)| (own & other).count_ones() as usize).sum()
    }

    /// How many members it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether it has no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Gives the members' positions, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(index, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = rest.trailing_zeros() as usize;
                rest &= rest.checked_sub(1)?;
                Some(index * 64 + bit)
            })
        })
    }
}

impl fmt::Debug for HolderSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// How many 64-bit words a mask over so many holders takes; at least one.
#[must_use]
pub(crate) fn words(holders: usize) -> usize {
    holders.div_ceil(64).max(1)
}

/// The distinct identifiers of one kind, counted by the exact set of holders that have them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchTable {
    /// The holders that take part, sorted by name.
    pub holders: Vec<ParticipantId>,
    /// Every set of holders that shares at least one identifier with no others, and how many. Sorted by the members' names:
    /// first all sets with the first holder.
    pub regions: Vec<(HolderSet, u64)>,
}

impl MatchTable {
    /// Makes a table of holders sorted by name and of regions in any order; empty ones are left out.
    #[must_use]
    pub fn new(holders: Vec<ParticipantId>, regions: impl IntoIterator<Item = (HolderSet, u64)>) -> Self {
        debug_assert!(holders.is_sorted(), "holders are sorted by name");
        let mut regions: Vec<_> = regions.into_iter().filter(|(set, count)| *count > 0 && !set.is_empty()).collect();
        regions.sort_by(|(a, _), (b, _)| a.iter().cmp(b.iter()));
        Self { holders, regions }
    }

    /// How many distinct identifiers there are in all.
    #[must_use]
    pub fn distinct(&self) -> u64 {
        self.regions.iter().map(|(_, count)| count).sum()
    }

    /// How many are at every holder.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.sum(|set| set.len() == self.holders.len())
    }

    /// How many two holders have in common, for each pair `(a, b)` with `a < b`, in order.
    #[must_use]
    pub fn pairwise(&self) -> Vec<(usize, usize, u64)> {
        let n = self.holders.len();
        let mut counts = vec![0_u64; n * n];
        for (set, count) in &self.regions {
            let members: Vec<_> = set.iter().collect();
            for (position, a) in members.iter().enumerate() {
                for b in &members[position + 1..] {
                    counts[a * n + b] += count;
                }
            }
        }
        (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b))).map(|(a, b)| (a, b, counts[a * n + b])).collect()
    }

    /// How many are at `h` holders or more; element `h - 1` for each `h` from 1 to the number of holders.
    #[must_use]
    pub fn at_least(&self) -> Vec<u64> {
        let mut counts = vec![0; self.holders.len()];
        for (set, count) in &self.regions {
            counts[set.len() - 1] += count;
        }
        for h in (1..counts.len()).rev() {
            counts[h - 1] += counts[h];
        }
        counts
    }

    /// How many distinct identifiers a holder has.
    #[must_use]
    pub fn unique(&self, holder: usize) -> u64 {
        self.sum(|set| set.contains(holder))
    }

    /// How many of a holder's distinct identifiers at least one other holder has.
    #[must_use]
    pub fn matched(&self, holder: usize) -> u64 {
        self.sum(|set| set.contains(holder) && set.len() > 1)
    }

    fn sum(&self, filter: impl Fn(&HolderSet) -> bool) -> u64 {
        self.regions.iter().filter(|(set, _)| filter(set)).map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn holders(n: usize) -> Vec<ParticipantId> {
        (0..n).map(|index| format!("h{index:04}").parse().unwrap()).collect()
    }

    #[test]
    fn derived_figures_are_sums_of_regions() {
        let set = |members: &[usize]| HolderSet::new(3, members.iter().copied());
        let table = MatchTable::new(
            holders(3),
            [(set(&[1, 2]), 7), (set(&[0, 1, 2]), 5), (set(&[0]), 11), (set(&[0, 2]), 3), (set(&[1]), 0)],
        );
        assert_eq!(format!("{:?}", table.regions), "[({0}, 11), ({0, 1, 2}, 5), ({0, 2}, 3), ({1, 2}, 7)]");
        assert_eq!(table.distinct(), 26);
        assert_eq!(table.all(), 5);
        assert_eq!(table.pairwise(), [(0, 1, 5), (0, 2, 8), (1, 2, 12)]);
        assert_eq!(table.at_least(), [26, 15, 5]);
        assert_eq!([0, 1, 2].map(|holder| table.unique(holder)), [19, 12, 15]);
        assert_eq!([0, 1, 2].map(|holder| table.matched(holder)), [8, 12, 15]);
    }

    #[test]
    fn a_set_reaches_past_one_word() {
        let set = HolderSet::new(130, [0, 63, 64, 129]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, 129]);
        assert_eq!(set.len(), 4);
        assert!(set.contains(129) && !set.contains(128) && !set.contains(1000));
        let table = MatchTable::new(holders(130), [(set, 2), (HolderSet::new(130, 0..130), 3)]);
        assert_eq!(table.all(), 3);
        assert_eq!(table.unique(129), 5);
        assert_eq!(table.unique(128), 3);
    }

    #[test]
    fn no_identifiers_give_zeros() {
        let table = MatchTable::new(holders(2), []);
        assert_eq!((table.distinct(), table.all(), table.matched(0)), (0, 0, 0));
        assert_eq!(table.at_least(), [0, 0]);
        assert_eq!(table.pairwise(), [(0, 1, 0)]);
    }
}
