//! The last step of a report: what not everybody allows is left out, and what is published is rounded.
//!
//! In goes a report that is otherwise done, with every count withheld that is small or would give a small one away; out comes what its
//! readers get. Both steps see nothing but what would be published without them, and never a withheld count: so they can take away,
//! and tell nothing more. Ratios are made again of the counts that are left, as rounded.
//!
//! A part that is left out has `null` for each of its counts, or is missing; never zero. The withheld counts within it are not named
//! one by one, because that would tell which of them are small.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    AggregateGroup, AggregateTable, AggregateValues, Aggregates, AppliedRule, AtLeast, Count, Funnel, HolderWaterfall,
    KindReport, Overlap, Pair, Region, RegionsLeftOut, Report, Step, Suppressed, Waterfall,
};

/// The rule by which a part of the report is left out.
pub const RULE_OUTPUTS: &str = "outputs";

/// The rule by which counts are rounded.
pub const RULE_ROUNDING: &str = "rounding";

/// A part of the report that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Output {
    /// How many are common to all holders: `common_customers` and `overlap.all`.
    All,
    /// `overlap.pairwise`.
    Pairwise,
    /// `overlap.at_least`.
    AtLeast,
    /// `overlap.regions`.
    Regions,
    /// `parties`.
    Parties,
    /// `waterfall`.
    Waterfall,
    /// `aggregates`.
    Aggregates,
}

impl Output {
    /// All of them, in the order of the document.
    pub const ALL: [Self; 7] =
        [Self::All, Self::Pairwise, Self::AtLeast, Self::Regions, Self::Parties, Self::Waterfall, Self::Aggregates];

    /// The word for it in `space.yaml` and in the report.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Pairwise => "pairwise",
            Self::AtLeast => "at_least",
            Self::Regions => "regions",
            Self::Parties => "parties",
            Self::Waterfall => "waterfall",
            Self::Aggregates => "aggregates",
        }
    }
}

/// A part of the report that it does without.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// Which: `all`, `pairwise`, `at_least`, `regions`, `parties`, `waterfall` or `aggregates`.
    pub output: String,
    /// Who does not allow it: `space`, or a participant.
    pub set_by: String,
}

impl Report {
    /// Leaves out these parts, each with the name of who does not allow it, and rounds what is left to the multiples that
    /// `policy.rules` says. Nothing is added to the report after this.
    #[must_use]
    pub fn release(mut self, left_out: &[(Output, String)]) -> Self {
        for (output, set_by) in left_out {
            if self.shows(*output) {
                self.leave_out(*output, set_by);
                self.policy.left_out.push(LeftOut { output: output.as_str().to_owned(), set_by: set_by.clone() });
            }
        }
        self.leave_out_list_counts();
        self.round_counts(rounding(&self.policy.rules));
        self.each_kind(|_, _, KindParts { overlap, parties, .. }| overlap.fill_in_ratios(parties));
        self.warnings = self.find_warnings();
        self
    }

    /// Whether the report has this part, as far as the agreement is concerned.
    #[must_use]
    pub fn shows(&self, output: Output) -> bool {
        !self.policy.left_out.iter().any(|left_out| left_out.output == output.as_str())
    }

    /// Says to what the counts are rounded; `None` where they are exact.
    #[must_use]
    pub fn rounding_text(&self) -> Option<String> {
        let rule = self.policy.rules.iter().find(|rule| rule.rule == RULE_ROUNDING && rule.limit > 1)?;
        Some(format!(
            "Counts are rounded to multiples of {} ({RULE_ROUNDING}, set by {}): sums of them need not add up, and 0 can be a few.",
            rule.limit, rule.set_by
        ))
    }

    /// Says, of each who does not allow some parts of the report, which.
    #[must_use]
    pub fn left_out_texts(&self) -> Vec<String> {
        let left_out = &self.policy.left_out;
        let mut by: Vec<&str> = left_out.iter().map(|left_out| left_out.set_by.as_str()).collect();
        by.sort_unstable();
        by.dedup();
        let text = |who: &str| {
            let of_theirs = left_out.iter().filter(|left_out| left_out.set_by == who);
            let names: Vec<_> = of_theirs.map(|left_out| left_out.output.as_str()).collect();
            format!("Left out of this report: {} ({RULE_OUTPUTS}, set by {who}).", names.join(", "))
        };
        by.into_iter().map(text).collect()
    }

    fn leave_out(&mut self, output: Output, set_by: &str) {
        let mut cells = Vec::new();
        match output {
            Output::Waterfall => {
                if self.waterfall.take().is_some() {
                    cells.push("waterfall".to_owned());
                }
            }
            Output::Aggregates => {
                if !std::mem::take(&mut self.aggregates).is_empty() {
                    cells.push("aggregates".to_owned());
                }
            }
            _ => self.each_kind(|prefix, kind, KindParts { common, overlap, parties }| {
                match output {
                    Output::All => {
                        *common = None;
                        overlap.all = None;
                        cells.push(format!("common_customers.by_{kind}"));
                    }
                    Output::Pairwise => overlap.pairwise.iter_mut().for_each(|pair| pair.count = None),
                    Output::AtLeast => overlap.at_least.iter_mut().for_each(|entry| entry.count = None),
                    Output::Regions => {
                        overlap.regions.clear();
                        overlap.regions_left_out = None;
                    }
                    Output::Parties => parties.iter_mut().for_each(Funnel::clear),
                    Output::Waterfall | Output::Aggregates => {}
                }
                let part = if output == Output::Parties { "" } else { "overlap." };
                cells.push(format!("{prefix}{part}{}", output.as_str()));
            }),
        }
        // The groups of a table add up to the figure that it is about.
        let (stay, go) = std::mem::take(&mut self.aggregates).into_iter().partition(|of| of.is_of() != Some(output));
        self.aggregates = stay;
        cells.extend::<Vec<_>>(go.into_iter().map(|of: Aggregates| format!("aggregates[{}]", of.name)).collect());
        let within = |cell: &str| {
            cells.iter().any(|part| {
                cell.strip_prefix(part.as_str())
                    .is_some_and(|rest| matches!(rest, "" | "_left_out") || rest.starts_with(['[', '.']))
            })
        };
        self.suppressed.retain(|suppressed| !within(&suppressed.cell));
        let min_count = self.policy.min_count;
        self.suppressed.extend(cells.into_iter().map(|cell| Suppressed {
            cell,
            rule: RULE_OUTPUTS.to_owned(),
            min_count,
            set_by: set_by.to_owned(),
        }));
    }

    /// Rounds every count of the document.
    fn round_counts(&mut self, to: u64) {
        // Every field is named, here and below, so that a new one is not forgotten.
        let Self {
            common_customers,
            overlap,
            parties,
            by_kind,
            waterfall,
            lists,
            aggregates,
            schema: _,
            kind: _,
            suppressed: _,
            warnings: _,
            policy: _,
            provenance: _,
        } = self;
        let each = |count: &mut Count| *count = count.map(|count| round(count, to));
        common_customers.values_mut().for_each(each);
        round_overlap(overlap, to);
        parties.iter_mut().for_each(|funnel| round_funnel(funnel, to));
        for KindReport { overlap, parties } in by_kind.values_mut() {
            round_overlap(overlap, to);
            parties.iter_mut().for_each(|funnel| round_funnel(funnel, to));
        }
        lists.iter_mut().for_each(|list| each(&mut list.identifiers));
        let tables = aggregates.iter_mut().flat_map(|of| &mut of.tables);
        for group in tables.flat_map(|AggregateTable { groups, .. }| groups.iter_mut().flatten()) {
            round_group(group, to);
        }
        let Some(Waterfall { order: _, holders }) = waterfall else { return };
        for HolderWaterfall { holder: _, rows, steps, matched } in holders {
            each(rows);
            each(matched);
            steps.iter_mut().for_each(|Step { kind: _, rows }| each(rows));
        }
    }

    /// Hands over what belongs to each kind, with what its cells' names begin with.
    pub(super) fn each_kind(&mut self, mut each: impl FnMut(&str, &str, KindParts<'_>)) {
        let mut none = None;
        let primary = self.kind.as_str();
        let common = self.common_customers.get_mut(&format!("by_{primary}")).unwrap_or(&mut none);
        each("", primary, KindParts { common, overlap: &mut self.overlap, parties: &mut self.parties });
        for (kind, KindReport { overlap, parties }) in &mut self.by_kind {
            let common = self.common_customers.get_mut(&format!("by_{kind}")).unwrap_or(&mut none);
            each(&format!("by_kind.{kind}."), kind.as_str(), KindParts { common, overlap, parties });
        }
    }
}

/// What a report has of one kind.
pub(super) struct KindParts<'a> {
    pub(super) common: &'a mut Count,
    pub(super) overlap: &'a mut Overlap,
    pub(super) parties: &'a mut [Funnel],
}

impl Funnel {
    fn clear(&mut self) {
        let Self { holder: _, rows, empty, invalid, duplicate, unique, matched, would_change } = self;
        for count in [rows, empty, invalid, duplicate, unique, matched] {
            *count = None;
        }
        would_change.clear();
    }
}

fn round_overlap(overlap: &mut Overlap, to: u64) {
    let Overlap { all, pairwise, at_least, regions, regions_left_out } = overlap;
    let each = |count: &mut Count| *count = count.map(|count| round(count, to));
    each(all);
    // Its ratios follow from its count.
    pairwise.iter_mut().for_each(|Pair { count, .. }| each(count));
    at_least.iter_mut().for_each(|AtLeast { holders: _, count }| each(count));
    regions.iter_mut().for_each(|Region { holders: _, count }| each(count));
    if let Some(RegionsLeftOut { regions: _, count, withheld: _ }) = regions_left_out {
        *count = round(*count, to);
    }
}

fn round_funnel(funnel: &mut Funnel, to: u64) {
    let Funnel { holder: _, rows, empty, invalid, duplicate, unique, matched, would_change } = funnel;
    let counts = [rows, empty, invalid, duplicate, unique, matched].into_iter().chain(would_change.values_mut());
    counts.for_each(|count| *count = count.map(|count| round(count, to)));
}

/// Sums and means stay as they are; the agreement has not both of them where counts are rounded.
fn round_group(group: &mut AggregateGroup, to: u64) {
    let AggregateGroup { by: _, count, values } = group;
    *count = round(*count, to);
    for AggregateValues { count, sum: _, mean: _, quantiles } in values {
        *count = count.map(|count| round(count, to));
        quantiles.iter_mut().flatten().for_each(|bucket| bucket.count = round(bucket.count, to));
    }
}

/// To multiples of what a policy with these rules rounds; 1 where it does not.
pub(super) fn rounding(rules: &[AppliedRule]) -> u64 {
    rules.iter().find(|rule| rule.rule == RULE_ROUNDING).map_or(1, |rule| rule.limit.max(1))
}

/// Rounds to the nearest multiple, ties up.
pub(super) fn round(count: u64, to: u64) -> u64 {
    let rest = count % to;
    if rest >= to - rest { count.saturating_add(to - rest) } else { count - rest }
}

#[cfg(test)]
mod tests;
