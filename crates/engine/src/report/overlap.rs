//! Who shares how many distinct identifiers with whom: the overlap of one kind.
//!
//! In go a [`MatchTable`] and what is withheld of it; out comes an [`Overlap`]. Its counts are the table's. Its ratios are made of
//! published counts, and which regions are listed where there are too many is decided by published counts: so neither tells
//! more of a withheld count than the counts beside it do.

use std::{cmp::Reverse, collections::BTreeSet};

use datafuse_core::id::ParticipantId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Count, Funnel,
    ratio::Ratio,
    release::round,
    schema,
    suppression::{Suppression, Withheld},
};
use crate::match_table::MatchTable;

/// Up to so many regions of a kind are listed.
pub const MAX_REGIONS: usize = 1_000;

/// Who shares how many distinct identifiers with whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Overlap {
    /// At every holder taking part.
    pub all: Count,
    /// For each two holders: at both, whoever else has them. Sorted by `a`, then `b`.
    pub pairwise: Vec<Pair>,
    /// For each number of holders from 1: at so many or more.
    pub at_least: Vec<AtLeast>,
    /// At exactly these holders; those that nobody is in are left out, and beyond 1,000 all but the largest. Sorted by the list
    /// of holders.
    pub regions: Vec<Region>,
    /// How many more regions there are, where there are too many to list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regions_left_out: Option<RegionsLeftOut>,
}

/// How many two holders have in common. A ratio is `null` where a count that it is made of is, or its whole is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::ratios_may_be_missing)]
pub struct Pair {
    /// The one holder, the first by name.
    #[schemars(with = "schema::Name")]
    pub a: ParticipantId,
    /// The other holder.
    #[schemars(with = "schema::Name")]
    pub b: ParticipantId,
    /// How many distinct identifiers are at both.
    pub count: Count,
    /// The Jaccard index: the share of `count` in all the distinct identifiers that `a` or `b` has.
    #[serde(default)]
    pub jaccard: Option<Ratio>,
    /// The share of `count` in the distinct identifiers of `a`.
    #[serde(default)]
    pub share_of_a: Option<Ratio>,
    /// The share of `count` in the distinct identifiers of `b`.
    #[serde(default)]
    pub share_of_b: Option<Ratio>,
}

/// How many are at so many holders or more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AtLeast {
    /// The number of holders.
    pub holders: u64,
    /// How many distinct identifiers are at so many holders or more.
    pub count: Count,
}

/// How many are at exactly these holders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Region {
    /// The holders, sorted by name.
    #[schemars(with = "Vec<schema::Name>")]
    pub holders: Vec<ParticipantId>,
    /// How many distinct identifiers are at these holders and at no others.
    pub count: Count,
}

/// The regions that are not listed. But for the one of all holders, which always is, no listed region is smaller than one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RegionsLeftOut {
    /// How many regions they are.
    pub regions: u64,
    /// How many distinct identifiers are in them, those aside whose counts are withheld.
    pub count: u64,
    /// Of how many of them the count is withheld.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub withheld: u64,
}

// The signature is serde's.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Overlap {
    pub(super) fn new(
        table: &MatchTable,
        suppression: &Suppression,
        listing: Listing,
        prefix: &str,
        withheld: &mut Withheld,
    ) -> Self {
        let holder = |index: usize| table.holders[index].clone();
        let all = withheld.apply(table.all(), suppression.all(), || format!("{prefix}overlap.all"));
        let pairwise = table
            .pairwise()
            .into_iter()
            .map(|(a, b, count)| {
                let (hide, a, b) = (suppression.pair(a, b), holder(a), holder(b));
                let count = withheld.apply(count, hide, || format!("{prefix}overlap.pairwise[{a},{b}]"));
                Pair { a, b, count, jaccard: None, share_of_a: None, share_of_b: None }
            })
            .collect();
        let at_least = (1..)
            .zip(table.at_least())
            .map(|(holders, count)| {
                let hide = suppression.at_least(holders);
                let count = withheld.apply(count, hide, || format!("{prefix}overlap.at_least[{holders}]"));
                AtLeast { holders: holders as u64, count }
            })
            .collect();
        let Listed { shown: listed, left_out } = listing.choose(table, suppression);
        let regions = listed
            .into_iter()
            .map(|index| (index, &table.regions[index]))
            .map(|(index, (set, count))| {
                let holders: Vec<_> = set.iter().map(holder).collect();
                let count = withheld.apply(*count, suppression.region(index), || {
                    let names: Vec<_> = holders.iter().map(ParticipantId::as_str).collect();
                    format!("{prefix}overlap.regions[{}]", names.join(","))
                });
                Region { holders, count }
            })
            .collect();
        let regions_left_out = (!left_out.is_empty()).then(|| {
            let (hidden, shown): (Vec<usize>, Vec<usize>) =
                left_out.iter().partition(|index| suppression.region(**index));
            let hidden = hidden.len() as u64;
            let count = shown.iter().map(|index| table.regions[*index].1).sum();
            // One cell for them all: what is capped is not to come back as a list of names.
            withheld.apply(hidden, hidden > 0, || format!("{prefix}overlap.regions_left_out"));
            RegionsLeftOut { regions: left_out.len() as u64, count, withheld: hidden }
        });
        Self { all, pairwise, at_least, regions, regions_left_out }
    }

    /// Fills in the ratios that follow from the counts that are published here and in the funnels.
    pub(super) fn fill_in_ratios(&mut self, parties: &[Funnel]) {
        let unique = |holder: &ParticipantId| -> Count {
            let position = parties.binary_search_by(|party| party.holder.cmp(holder)).ok()?;
            parties[position].unique
        };
        for pair in &mut self.pairwise {
            (pair.jaccard, pair.share_of_a, pair.share_of_b) = (None, None, None);
            let Some(count) = pair.count else { continue };
            let (of_a, of_b) = (unique(&pair.a), unique(&pair.b));
            pair.share_of_a = of_a.and_then(|a| Ratio::of(count, a));
            pair.share_of_b = of_b.and_then(|b| Ratio::of(count, b));
            let either = of_a.zip(of_b).and_then(|(a, b)| a.checked_add(b)?.checked_sub(count));
            pair.jaccard = either.and_then(|either| Ratio::of(count, either));
        }
    }

    /// Says in a sentence how many regions are not listed; `None` where all are.
    #[must_use]
    pub fn left_out_text(&self) -> Option<String> {
        let RegionsLeftOut { regions, count, withheld } = self.regions_left_out?;
        let listed = self.regions.len();
        let beside = match withheld {
            0 => String::new(),
            _ => format!(", beside those of {withheld} groups whose counts are withheld"),
        };
        Some(format!(
            "Only the largest {listed} groups are listed. Not listed: {regions} groups, with {count} customers{beside}."
        ))
    }
}

/// Which regions a report lists.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listing {
    /// How many at most.
    pub(super) max_regions: usize,
    /// To multiples of what counts are rounded; 1 where they are not.
    pub(super) rounding: u64,
}

/// Regions by their positions, ascending.
struct Listed {
    shown: BTreeSet<usize>,
    left_out: BTreeSet<usize>,
}

impl Listing {
    /// Lists the region of all holders, then the largest, then the first by name. What decides is what is published: a withheld
    /// count counts for nothing, others as they are rounded, and one that rounds to zero is as if nobody were in it. Were more to
    /// decide, a region's place would tell of it.
    fn choose(self, table: &MatchTable, suppression: &Suppression) -> Listed {
        let holders = table.holders.len();
        let published = |index: usize| match suppression.region(index) {
            true => None,
            false => Some(round(table.regions[index].1, self.rounding)),
        };
        let mut order: Vec<usize> =
            (0..table.regions.len()).filter(|index| published(*index).is_none_or(|count| count > 0)).collect();
        let mut left_out = Vec::new();
        if order.len() > self.max_regions {
            order.sort_by_cached_key(|index| {
                let count = published(*index);
                (table.regions[*index].0.len() != holders, count.is_none(), Reverse(count.unwrap_or(0)), *index)
            });
            left_out = order.split_off(self.max_regions);
        }
        Listed { shown: order.into_iter().collect(), left_out: left_out.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::{
        match_table::MatchTable,
        report::{
            Report, ReportInputs,
            tests::{inputs, table, two_holders},
        },
    };

    fn up_to(max_regions: usize, table: MatchTable, min_count: u64) -> Report {
        Report::build_up_to(max_regions, inputs(vec![("email", table)], min_count)).unwrap()
    }

    fn listed(report: &Report) -> Vec<(String, Option<u64>)> {
        let name =
            |region: &super::Region| region.holders.iter().map(|holder| holder.as_str()).collect::<Vec<_>>().join("+");
        report.overlap.regions.iter().map(|region| (name(region), region.count)).collect()
    }

    fn three() -> MatchTable {
        let regions: [(&[usize], u64); 6] =
            [(&[0], 50), (&[0, 1], 20), (&[0, 1, 2], 6), (&[0, 2], 20), (&[1], 40), (&[2], 30)];
        table(&["acme", "globex", "hooli"], &regions)
    }

    #[test]
    fn a_pair_says_its_shares_and_its_jaccard_index() {
        let report = Report::build(inputs(vec![("email", two_holders())], 1)).unwrap();
        let pair = &report.overlap.pairwise[0];
        let found = [pair.jaccard, pair.share_of_a, pair.share_of_b].map(|ratio| ratio.unwrap().millionths());
        // 4,210 of 35,790, and of 20,000.
        assert_eq!(found, [117_631, 210_500, 210_500]);
        let json = report.to_json_pretty();
        assert!(json.contains("\"jaccard\": 0.117631,\n        \"share_of_a\": 0.2105,"), "{json}");
    }

    #[test]
    fn a_ratio_needs_every_count_that_it_is_made_of() {
        // The pair is withheld: all three go. Of globex the size goes too, so that only acme's could be a divisor.
        let report = up_to(9, table(&["acme", "globex"], &[(&[0], 100), (&[0, 1], 3)]), 5);
        let pair = &report.overlap.pairwise[0];
        assert_eq!((pair.count, pair.jaccard, pair.share_of_a, pair.share_of_b), (None, None, None, None));
        // The pair of globex and hooli is published, the size of globex is not.
        let regions: [(&[usize], u64); 4] = [(&[0], 100), (&[0, 1], 3), (&[1, 2], 50), (&[2], 50)];
        let report = up_to(9, table(&["acme", "globex", "hooli"], &regions), 5);
        let pair = &report.overlap.pairwise[2];
        assert_eq!((pair.count, report.parties[1].unique), (Some(50), None));
        assert_eq!((pair.jaccard, pair.share_of_a), (None, None));
        assert_eq!(pair.share_of_b.unwrap().millionths(), 500_000);
        assert!(report.to_json_pretty().contains("\"jaccard\": null"));
    }

    #[test]
    fn there_is_no_share_of_nothing() {
        let report = up_to(9, table(&["acme", "globex"], &[(&[0], 100)]), 1);
        let pair = &report.overlap.pairwise[0];
        assert_eq!((pair.count, pair.share_of_b), (Some(0), None));
        assert_eq!([pair.jaccard, pair.share_of_a].map(|ratio| ratio.unwrap().millionths()), [0, 0]);
    }

    #[test]
    fn beyond_the_limit_the_largest_regions_are_listed_in_the_order_of_names() {
        let report = up_to(4, three(), 1);
        let expected = [("acme", 50), ("acme+globex+hooli", 6), ("globex", 40), ("hooli", 30)];
        assert_eq!(listed(&report), expected.map(|(name, count)| (name.to_owned(), Some(count))));
        let json = report.to_json_pretty();
        assert!(json.contains("\"regions_left_out\": {\n      \"regions\": 2,\n      \"count\": 40\n    }"), "{json}");
        assert_eq!(Report::from_json(json.as_bytes()).unwrap(), report);
        let text = report.overlap.left_out_text().unwrap();
        assert_eq!(text, "Only the largest 4 groups are listed. Not listed: 2 groups, with 40 customers.");
        // Of two that are equally large the first by name.
        assert_eq!(listed(&up_to(5, three(), 1))[1].0, "acme+globex");
        let whole = up_to(6, three(), 1);
        assert_eq!((whole.overlap.regions.len(), whole.overlap.regions_left_out), (6, None));
        assert_eq!(whole.overlap.left_out_text(), None);
        assert!(!whole.to_json_pretty().contains("regions_left_out"));
    }

    #[test]
    fn withheld_regions_are_left_out_first_and_counted_once() {
        // acme and globex share three alone, so their own regions go with it, though they are the largest.
        let regions: [(&[usize], u64); 6] =
            [(&[0], 90), (&[0, 1], 3), (&[0, 1, 2], 9), (&[0, 2], 20), (&[1], 80), (&[2], 7)];
        let report = up_to(3, table(&["acme", "globex", "hooli"], &regions), 5);
        let expected = [("acme+globex+hooli", 9), ("acme+hooli", 20), ("hooli", 7)];
        assert_eq!(listed(&report), expected.map(|(name, count)| (name.to_owned(), Some(count))));
        let left_out = report.overlap.regions_left_out.unwrap();
        assert_eq!((left_out.regions, left_out.count, left_out.withheld), (3, 0, 3));
        let cells: Vec<_> = report.suppressed.iter().map(|s| s.cell.as_str()).collect();
        assert!(cells.contains(&"overlap.regions_left_out"), "{cells:?}");
        assert!(!cells.iter().any(|cell| cell.starts_with("overlap.regions[")), "{cells:?}");
        assert!(
            report.overlap.left_out_text().unwrap().ends_with("beside those of 3 groups whose counts are withheld.")
        );
    }

    #[test]
    fn a_thousand_regions_are_listed() {
        let sets: Vec<Vec<usize>> =
            (1..1_usize << 10).map(|mask| (0..10).filter(|holder| mask >> holder & 1 == 1).collect()).collect();
        let names: Vec<_> = (0..10).map(|index| format!("h{index}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let regions: Vec<_> = sets.iter().zip(1..).map(|(set, count)| (set.as_slice(), count)).collect();
        let inputs: ReportInputs = inputs(vec![("email", table(&names, &regions))], 1);
        let overlap = Report::build(inputs).unwrap().overlap;
        let left_out = overlap.regions_left_out.unwrap();
        // The 23 smallest are those of 1 to 23.
        assert_eq!((overlap.regions.len(), left_out.regions, left_out.count), (1_000, 23, 276));
    }

    #[test]
    fn reads_a_report_that_has_no_ratios_yet() {
        let mut value: serde_json::Value = serde_json::from_str(&up_to(9, two_holders(), 1).to_json_pretty()).unwrap();
        let pair = value["overlap"]["pairwise"][0].as_object_mut().unwrap();
        for ratio in ["jaccard", "share_of_a", "share_of_b"] {
            pair.remove(ratio).unwrap();
        }
        let report = Report::from_json(value.to_string().as_bytes()).unwrap();
        assert_eq!((report.common(), report.overlap.pairwise[0].jaccard), (Some(4_210), None));
    }
}
