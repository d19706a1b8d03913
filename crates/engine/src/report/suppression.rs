//! Which counts a threshold withholds, so that none under it can be computed from those that are published.
//!
//! A count above zero and below `min_count` is *small*. Every count of identifiers in the report is a sum of regions, so where
//! any is small, at least one region is. The rule:
//!
//! 1. Each small region is withheld.
//! 2. For each holder in a small region, the region of that holder alone is withheld too: it is what takes up the slack.
//! 3. Each sum over a withheld region is withheld (`all`, pairs, at-least counts, `matched`), with one exception: a holder's
//!    dataset size (`rows`, `duplicate`, `unique`) stays, provided that what it says of the withheld regions leaves
//!    room: `unique` less the published regions is at least `min_count` + (`min_count` - 1) * (the number of small
//!    regions, of two holders or more, that the holder is in). Else the three are withheld as well.
//!
//! Why that suffices: give the small regions any other counts from 1 to `min_count` - 1. Where a holder's size is published,
//! let the region of it alone change by the opposite amount, which by rule 3 leaves it at `min_count` or more; where it is
//! withheld, nothing binds the two. All published counts stay as they were, and the rule withholds the same cells again. So
//! the report is the same for all these counts: a reader who has nothing but the report, and knows this rule, learns of a small
//! region that it is small, and no more. (With `min_count` 2, small means one: choose 3 or more to keep the number itself.)
//! The rule is simple rather than generous: it may withhold sums that could be published.
//!
//! Shares and Jaccard indices are made of published counts alone, and where there are more regions than a report lists, published
//! counts alone decide which are listed; of the others it gives the sum of the published ones. All of that could be computed from the
//! report with every region in it, so the argument above covers it.
//!
//! The rows that a wider profile would change are in no sum with any of these. They are withheld where they are few, and where the
//! holder's rows are.
//!
//! `empty` and `invalid` count rows without a usable identifier, nobody in common, and are always published. What a holder
//! knows of its own dataset, and what two reports say together, are outside of this rule.

use crate::match_table::MatchTable;

/// What to withhold of one match table.
#[derive(Clone, Debug)]
pub struct Suppression {
    min_count: u64,
    holders: usize,
    /// For each region of the table.
    regions: Vec<bool>,
    /// For each holder: `unique`.
    unique: Vec<bool>,
    /// For each holder: `rows` and `duplicate`.
    rows: Vec<bool>,
    /// For each holder: `matched`.
    matched: Vec<bool>,
    /// For each two holders, at `a * holders + b` with `a < b`; empty if nothing is withheld.
    pairs: Vec<bool>,
    /// The largest number of holders that a withheld region has; 0 if nothing is withheld.
    largest: usize,
}

impl Suppression {
    /// Applies the rule to a table.
    #[must_use]
    pub fn new(table: &MatchTable, min_count: u64) -> Self {
        let holders = table.holders.len();
        let mut this = Self {
            min_count,
            holders,
            regions: vec![false; table.regions.len()],
            unique: vec![false; holders],
            rows: vec![false; holders],
            matched: vec![false; holders],
            pairs: Vec::new(),
            largest: 0,
        };
        let small = |count: u64| (1..min_count).contains(&count);
        if !table.regions.iter().any(|(_, count)| small(*count)) {
            return this;
        }
        this.pairs = vec![false; holders * holders];
        // For each holder: whether it is in a small region; in how many small ones of two holders or more; the withheld rest.
        let mut touched = vec![false; holders];
        let mut shared = vec![0_u64; holders];
        let mut rest = vec![0_u64; holders];
        for (index, (set, count)) in table.regions.iter().enumerate().filter(|(_, (_, count))| small(*count)) {
            this.regions[index] = true;
            this.largest = this.largest.max(set.len());
            let members: Vec<_> = set.iter().collect();
            for (position, a) in members.iter().enumerate() {
                touched[*a] = true;
                if members.len() > 1 {
                    this.matched[*a] = true;
                    shared[*a] += 1;
                    rest[*a] += count;
                }
                for b in &members[position + 1..] {
                    this.pairs[a * holders + b] = true;
                }
            }
        }
        for (index, (set, count)) in table.regions.iter().enumerate().filter(|(_, (set, _))| set.len() == 1) {
            for holder in set.iter().filter(|holder| touched[*holder]) {
                this.regions[index] = true;
                rest[holder] += count;
            }
        }
        for holder in (0..holders).filter(|holder| touched[*holder]) {
            let room = (min_count - 1).saturating_mul(shared[holder]).saturating_add(min_count);
            this.unique[holder] = rest[holder] < room;
            this.rows[holder] = this.unique[holder];
        }
        this
    }

    /// Whether a count is above zero and under the threshold.
    #[must_use]
    pub fn is_small(&self, count: u64) -> bool {
        (1..self.min_count).contains(&count)
    }

    /// Whether the count common to all holders is withheld.
    #[must_use]
    pub fn all(&self) -> bool {
        self.largest > 0 && self.largest == self.holders
    }

    /// Whether the count of a pair is withheld; `a < b`.
    #[must_use]
    pub fn pair(&self, a: usize, b: usize) -> bool {
        self.pairs.get(a * self.holders + b).copied().unwrap_or(false)
    }

    /// Whether the count at so many holders or more is withheld.
    #[must_use]
    pub fn at_least(&self, holders: usize) -> bool {
        holders <= self.largest
    }

    /// Whether the count of a region is withheld, by its position in the table.
    #[must_use]
    pub fn region(&self, index: usize) -> bool {
        self.regions[index]
    }

    /// Whether a holder's count of matched identifiers is withheld.
    #[must_use]
    pub fn matched(&self, holder: usize) -> bool {
        self.matched[holder]
    }

    /// Whether a holder's count of distinct identifiers is withheld.
    #[must_use]
    pub fn unique(&self, holder: usize) -> bool {
        self.unique[holder]
    }

    /// Whether a holder's counts of rows and of duplicates are withheld.
    #[must_use]
    pub fn rows(&self, holder: usize) -> bool {
        self.rows[holder]
    }

    /// Withholds a holder's counts of rows and of duplicates because another kind withholds that of rows: with either known, a
    /// holder's rows would be the sum of the funnel's other figures.
    pub(super) fn hide_rows(&mut self, holder: usize) {
        self.rows[holder] = true;
    }
}

/// The cells withheld so far, in the order of the document.
#[derive(Debug, Default)]
pub(super) struct Withheld(Vec<String>);

impl Withheld {
    /// Gives the count, or notes its cell and gives none.
    pub(super) fn apply(&mut self, count: u64, hide: bool, cell: impl FnOnce() -> String) -> Option<u64> {
        if hide {
            self.0.push(cell());
            return None;
        }
        Some(count)
    }

    pub(super) fn into_cells(self) -> impl Iterator<Item = String> {
        self.0.into_iter()
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::{BTreeMap, BTreeSet};

    use crate::{
        match_table::{HolderSet, MatchTable},
        report::{Report, tests},
    };

    const NAMES: [&str; 4] = ["acme", "globex", "hooli", "initech"];

    /// A table of the regions 1, 2, 3, ... (as bit masks over the holders) with these counts.
    pub(in crate::report) fn table(holders: usize, counts: &[u64]) -> MatchTable {
        let set = |mask: usize| HolderSet::new(holders, (0..holders).filter(move |h| mask >> h & 1 == 1));
        MatchTable::new(
            NAMES[..holders].iter().map(|name| name.parse().unwrap()).collect(),
            counts.iter().enumerate().map(|(index, count)| (set(index + 1), *count)),
        )
    }

    fn report(table: MatchTable, min_count: u64) -> Report {
        Report::build(tests::inputs(vec![("email", table)], min_count)).unwrap()
    }

    fn cells(report: &Report) -> Vec<&str> {
        report.suppressed.iter().map(|s| s.cell.as_str()).collect()
    }

    #[test]
    fn withholds_nothing_when_nothing_is_small() {
        for min_count in [0, 1, 5] {
            assert_eq!(cells(&report(table(2, &[5, 9, 5]), min_count)), [""; 0]);
            assert_eq!(cells(&report(table(2, &[5, 9, 0]), min_count)), [""; 0]);
        }
    }

    #[test]
    fn withholds_a_small_overlap_and_what_gives_it_away() {
        let report = report(table(2, &[100, 200, 3]), 5);
        let expected = [
            "common_customers.by_email",
            "overlap.all",
            "overlap.pairwise[acme,globex]",
            "overlap.at_least[1]",
            "overlap.at_least[2]",
            "overlap.regions[acme]",
            "overlap.regions[acme,globex]",
            "overlap.regions[globex]",
            "parties[acme].matched",
            "parties[globex].matched",
        ];
        assert_eq!(cells(&report), expected);
        assert_eq!((report.common(), report.common_customers["by_email"]), (None, None));
        assert_eq!(report.parties[0].unique, Some(103));
        let first = &report.suppressed[0];
        assert_eq!((first.rule.as_str(), first.min_count, first.set_by.as_str()), ("min_count", 5, "globex"));
        assert!(report.to_json_pretty().contains("\"all\": null"));
    }

    #[test]
    fn withholds_the_size_of_a_dataset_without_slack() {
        // All that globex has is common: its size would be the small overlap.
        let report = report(table(2, &[100, 0, 3]), 5);
        assert!(cells(&report).ends_with(&[
            "parties[globex].rows",
            "parties[globex].duplicate",
            "parties[globex].unique",
            "parties[globex].matched"
        ]));
        assert_eq!(report.parties[0].unique, Some(103));
    }

    #[test]
    fn publishes_what_no_small_region_touches() {
        // Three of acme and globex alone; all else is large.
        let report = report(table(3, &[100, 200, 3, 300, 50, 60, 70]), 5);
        assert_eq!(report.overlap.all, Some(70));
        let pairs: Vec<_> = report.overlap.pairwise.iter().map(|pair| pair.count).collect();
        assert_eq!(pairs, [None, Some(120), Some(130)]);
        let at_least: Vec<_> = report.overlap.at_least.iter().map(|entry| entry.count).collect();
        assert_eq!(at_least, [None, None, Some(70)]);
        let matched: Vec<_> = report.parties.iter().map(|party| party.matched).collect();
        assert_eq!(matched, [None, None, Some(180)]);
    }

    #[test]
    fn rows_withheld_for_one_kind_are_not_read_in_another() {
        let kinds = vec![("email", table(2, &[100, 0, 3])), ("phone", table(2, &[50, 60, 70]))];
        let report = Report::build(tests::inputs(kinds, 5)).unwrap();
        let phone = &report.by_kind.values().next().unwrap().parties[1];
        assert_eq!((phone.rows, phone.duplicate, phone.unique), (None, None, Some(130)));
        assert_eq!(
            cells(&report)[12..],
            ["by_kind.phone.parties[globex].rows", "by_kind.phone.parties[globex].duplicate"]
        );
    }

    /// The strongest reading of the promise, by brute force: among all tables that give the same report, a region that is small
    /// in one takes every small count.
    #[test]
    fn a_report_fits_every_small_count_of_a_small_region() {
        const LARGEST: u64 = 14;
        for min_count in [2, 3, 4] {
            let mut worlds: BTreeMap<String, Vec<[u64; 3]>> = BTreeMap::new();
            for counts in (0..(LARGEST + 1).pow(3)).map(|i| [i % 15, i / 15 % 15, i / 225]) {
                let report = report_without_row_noise(&counts, min_count);
                worlds.entry(report).or_default().push(counts);
            }
            for same in worlds.values() {
                for region in 0..3 {
                    let found: BTreeSet<_> = same.iter().map(|counts| counts[region]).collect();
                    // Near the upper end of the counts tried, the table that would take up the slack may be missing.
                    let inner = same.iter().all(|counts| counts.iter().all(|c| *c + min_count <= LARGEST));
                    if inner && found.iter().any(|count| (1..min_count).contains(count)) {
                        let all: BTreeSet<_> = (1..min_count).collect();
                        assert!(found.is_superset(&all), "min_count {min_count}: {same:?}");
                    }
                }
            }
        }
    }

    fn report_without_row_noise(counts: &[u64], min_count: u64) -> String {
        report(table(2, counts), min_count).to_json_pretty()
    }

    /// Reports with every region in them that are alike stay alike when regions are left out: what is left out, and what is said of
    /// it, tells nothing that the whole report does not.
    #[test]
    fn what_is_left_out_follows_from_what_is_published() {
        const COUNTS: [u64; 4] = [1, 3, 7, 9];
        let mut same_but_for_counts = 0;
        for max_regions in [1, 3, 5] {
            let mut left: BTreeMap<String, String> = BTreeMap::new();
            for number in 0..COUNTS.len().pow(6) {
                let digits = (0..6).map(|digit| COUNTS[number / COUNTS.len().pow(digit) % COUNTS.len()]);
                let counts: Vec<_> = digits.chain([9]).collect();
                let inputs = || tests::inputs(vec![("email", table(3, &counts))], 5);
                let whole = Report::build(inputs()).unwrap().to_json_pretty();
                let some = Report::build_up_to(max_regions, inputs()).unwrap().to_json_pretty();
                if let Some(before) = left.insert(whole, some.clone()) {
                    assert_eq!(before, some, "{counts:?}");
                    same_but_for_counts += 1;
                }
            }
        }
        assert!(same_but_for_counts > 1_000, "{same_but_for_counts}");
    }

    /// Solving what is published for the withheld regions gives no small count, neither of a region nor of a sum.
    #[test]
    fn linear_algebra_finds_no_small_count() {
        let mut state = 7_u64;
        let mut next = move |n: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % n
        };
        let (mut withheld_somewhere, mut left_out_somewhere, mut ratios) = (0, 0, 0);
        for round in 0..600 {
            let holders = 2 + round % 3;
            let counts: Vec<_> =
                (1..1_usize << holders).map(|_| if next(3) == 0 { next(6) } else { next(60) }).collect();
            let (table, min_count) = (table(holders, &counts), 5);
            let inputs = tests::inputs(vec![("email", table.clone())], min_count);
            let report = Report::build_up_to([2, 5, 1_000][round / 3 % 3], inputs).unwrap();
            let row = |member: &dyn Fn(&HolderSet) -> bool| -> Vec<i128> {
                table.regions.iter().map(|(set, _)| i128::from(member(set))).collect()
            };
            // Every sum of the report: its coefficients over the regions, the true count, the published one.
            let mut sums = vec![(row(&|set| set.len() == holders), table.all(), report.overlap.all)];
            for (pair, (a, b, count)) in report.overlap.pairwise.iter().zip(table.pairwise()) {
                sums.push((row(&|set| set.contains(a) && set.contains(b)), count, pair.count));
            }
            for (h, (entry, count)) in report.overlap.at_least.iter().zip(table.at_least()).enumerate() {
                sums.push((row(&|set| set.len() > h), count, entry.count));
            }
            let names = |set: &HolderSet| set.iter().map(|holder| table.holders[holder].clone()).collect::<Vec<_>>();
            let listed = |set: &HolderSet| report.overlap.regions.iter().find(|region| region.holders == names(set));
            for (set, count) in &table.regions {
                let shown = listed(set).and_then(|region| region.count);
                sums.push((row(&|other| other == set), *count, shown));
            }
            if let Some(left_out) = report.overlap.regions_left_out {
                // Which of them are withheld is the rule's to say: here, of which the whole report has the count.
                let whole = super::Suppression::new(&table, min_count);
                let shown = |set: &HolderSet| !whole.region(table.regions.iter().position(|(s, _)| s == set).unwrap());
                let count =
                    table.regions.iter().filter(|(set, _)| listed(set).is_none() && shown(set)).map(|(_, c)| c).sum();
                sums.push((row(&|set| listed(set).is_none() && shown(set)), count, Some(left_out.count)));
                left_out_somewhere += 1;
            }
            for (index, party) in report.parties.iter().enumerate() {
                sums.push((row(&|set| set.contains(index)), table.unique(index), party.unique));
                sums.push((row(&|set| set.contains(index) && set.len() > 1), table.matched(index), party.matched));
                if let (Some(rows), Some(duplicate)) = (party.rows, party.duplicate) {
                    assert_eq!(party.unique, Some(rows - duplicate - party.empty.unwrap() - party.invalid.unwrap()));
                }
            }
            let mut published: Vec<_> =
                sums.iter().filter(|(_, _, shown)| shown.is_some()).map(|(row, ..)| row.clone()).collect();
            // A ratio says that two sums are in that proportion, were it not rounded: part * whole' - whole * part' is none.
            let weighted = |whole: &[i128], part: u64, of: &[i128], by: u64| -> Vec<i128> {
                whole.iter().zip(of).map(|(w, p)| i128::from(part) * w - i128::from(by) * p).collect()
            };
            for (pair, (a, b, count)) in report.overlap.pairwise.iter().zip(table.pairwise()) {
                let both = row(&|set| set.contains(a) && set.contains(b));
                let either = table.unique(a) + table.unique(b) - count;
                let wholes = [
                    (pair.share_of_a, row(&|set| set.contains(a)), table.unique(a)),
                    (pair.share_of_b, row(&|set| set.contains(b)), table.unique(b)),
                    (pair.jaccard, row(&|set| set.contains(a) || set.contains(b)), either),
                ];
                for (ratio, whole, size) in wholes {
                    if ratio.is_some() {
                        published.push(weighted(&whole, count, &both, size));
                        ratios += 1;
                    }
                }
            }
            let known = rank(published.clone());
            for (row, count, shown) in &sums {
                assert!(shown.is_none_or(|shown| shown == *count));
                if (1..min_count).contains(count) {
                    withheld_somewhere += 1;
                    let mut with = published.clone();
                    with.push(row.clone());
                    assert!(rank(with) > known, "{counts:?}: a sum of {count} follows from the others");
                }
            }
        }
        assert!(withheld_somewhere > 1_000 && left_out_somewhere > 100 && ratios > 500);
    }

    /// The rank of an integer matrix, by elimination without fractions modulo a large prime.
    pub(in crate::report) fn rank(mut rows: Vec<Vec<i128>>) -> usize {
        const P: i128 = (1 << 61) - 1;
        let inverse = |x: i128| {
            let (mut result, mut base, mut exponent) = (1, x, P - 2);
            while exponent > 0 {
                if exponent & 1 == 1 {
                    result = result * base % P;
                }
                base = base * base % P;
                exponent >>= 1;
            }
            result
        };
        for cell in rows.iter_mut().flatten() {
            *cell = cell.rem_euclid(P);
        }
        let (mut rank, width) = (0, rows.first().map_or(0, Vec::len));
        for column in 0..width {
            let Some(pivot) = (rank..rows.len()).find(|r| rows[*r][column] != 0) else { continue };
            rows.swap(rank, pivot);
            let scale = inverse(rows[rank][column]);
            let lead = rows[rank].clone();
            for row in rows.iter_mut().skip(rank + 1) {
                let factor = row[column] * scale % P;
                for (cell, lead) in row.iter_mut().zip(&lead) {
                    *cell = (*cell - factor * lead).rem_euclid(P);
                }
            }
            rank += 1;
        }
        rank
    }
}
