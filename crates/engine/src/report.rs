//! The report: what the data user receives, as a document of a versioned schema.
//!
//! In go one [`MatchTable`] per identifier kind, the row counts that the holders' protected datasets carry, the output policy
//! and the provenance; out comes a [`Report`], whose JSON form is `report.json` (schema `datafuse/report/v1`). Everything is a
//! pure function of its inputs: the same inputs give the same bytes.
//!
//! Counts are of distinct normalised identifiers, except `rows`, `empty`, `invalid` and `duplicate`, which count rows. A count
//! that the policy withholds is `null`, and [`Report::suppressed`] names it; [`suppression`] has the rule and its reason.
//! This file neither signs nor writes; `report_html` makes the pictures.

mod aggregates;
mod group_suppression;
mod lists;
mod noise;
mod overlap;
mod ratio;
#[cfg(test)]
mod reference;
mod release;
mod schema;
mod summary;
pub mod suppression;
mod unauthenticated;
mod waterfall;

use std::collections::{BTreeMap, BTreeSet};

use datafuse_core::{
    id::{DatasetId, Epoch, EventId, KindName, ParticipantId, SpaceId},
    normalize::Profile,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::match_table::MatchTable;
pub use aggregates::{
    AggregateColumn, AggregateGroup, AggregateTable, AggregateValues, Aggregates, QuantileBucket, RULE_DOMINANCE,
    RULE_MAX_GROUPS,
};
pub use lists::{ListRef, NotMade, WantedList};
pub use noise::{DifferentialPrivacy, Error95, MAX_NOISY_HOLDERS, Noise, RULE_DIFFERENTIAL_PRIVACY, SpentEpsilon};
use overlap::Listing;
pub use overlap::{AtLeast, MAX_REGIONS, Overlap, Pair, Region, RegionsLeftOut};
pub use ratio::Ratio;
pub use release::{LeftOut, Output, RULE_OUTPUTS, RULE_ROUNDING};
pub use schema::{SCHEMA_ID, report_schema};
pub(crate) use summary::{number, share, would_change_texts};
use suppression::{Suppression, Withheld};
pub use unauthenticated::{ReportWarning, WARNING_WITHOUT_MATCH};
pub use waterfall::{HolderWaterfall, Step, Waterfall};

/// The schema that this version writes and reads.
pub const SCHEMA: &str = "datafuse/report/v1";

/// The rule by which a count is withheld for being small.
pub const RULE_MIN_COUNT: &str = "min_count";

/// The kind whose overlap is shown first, if the space matches it.
const PRIMARY_KIND: &str = "email";

/// A count, or `null` where the policy withholds it.
pub type Count = Option<u64>;

/// What a check of common customers found. The fields are in the order of the JSON document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("$id" = SCHEMA_ID))]
pub struct Report {
    /// The schema of this document.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// For each kind, under `by_<kind>`: how many are common to all holders taking part.
    pub common_customers: BTreeMap<String, Count>,
    /// The kind that `overlap` and `parties` are about: `email` if the space matches it, else the first by name.
    #[schemars(with = "schema::Name")]
    pub kind: KindName,
    /// Who shares how many with whom.
    pub overlap: Overlap,
    /// Each holder's way from rows to matches, sorted by holder.
    pub parties: Vec<Funnel>,
    /// The other kinds' overlaps and funnels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, KindReport>")]
    pub by_kind: BTreeMap<KindName, KindReport>,
    /// How many rows came by which kind, where the space asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waterfall: Option<Waterfall>,
    /// Which holders received which of their own rows, where the space asks for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<ListRef>,
    /// Counts, sums, means and quantile buckets of kept columns of common customers, where the space asks for any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aggregates: Vec<Aggregates>,
    /// Every count that is withheld; a ratio is where a count that it is made of is.
    pub suppressed: Vec<Suppressed>,
    /// What to know about datasets before trusting a figure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<ReportWarning>,
    /// The output policy that was applied.
    pub policy: Policy,
    /// What the report was made from, by what, and when.
    pub provenance: Provenance,
}

/// The overlap and the funnels of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KindReport {
    /// Who shares how many with whom.
    pub overlap: Overlap,
    /// Each holder's way from rows to matches, sorted by holder.
    pub parties: Vec<Funnel>,
}

/// One kind of a report, by reference.
#[derive(Clone, Copy, Debug)]
pub struct KindInfo<'a> {
    /// The kind.
    pub kind: &'a KindName,
    /// Who shares how many with whom.
    pub overlap: &'a Overlap,
    /// Each holder's way from rows to matches, sorted by holder.
    pub parties: &'a [Funnel],
}

/// One holder's way from rows to matches: `rows = empty + invalid + duplicate + unique`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Funnel {
    /// The holder.
    #[schemars(with = "schema::Name")]
    pub holder: ParticipantId,
    /// The rows of its dataset.
    pub rows: Count,
    /// Rows without an identifier of this kind.
    pub empty: Count,
    /// Rows whose identifier the profile refuses.
    pub invalid: Count,
    /// Rows whose identifier an earlier row has already.
    pub duplicate: Count,
    /// Distinct identifiers.
    pub unique: Count,
    /// How many of these at least one other holder has.
    pub matched: Count,
    /// For each profile that would bring more spellings together than the space's: the rows whose identifier it would change.
    /// Missing where not all of the holder's datasets say it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub would_change: BTreeMap<String, Count>,
}

/// A count that is withheld.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Suppressed {
    /// Where it would stand: `overlap.all`, `overlap.pairwise`, `parties` (all counts there), `overlap.pairwise[a,b]`, `overlap.at_least[2]`, `overlap.regions[a,b]`,
    /// `overlap.regions_left_out` (those of regions that are not listed, together), `parties[a].matched`, `lists[a]` (the whole list),
    /// `lists[a].identifiers`, ...; for another kind
    /// than the first with `by_kind.<kind>.` before it. Of aggregates `aggregates[name].tables[a,b]` (a whole table), with
    /// `.withheld_groups` (groups without their names), with `.groups[0].values[a.column]` (all figures of a column in the group at
    /// this position of the list, from 0).
    pub cell: String,
    /// Why: `min_count`, as it is under the threshold, or would give away a count that is; `outputs`, as not everybody allows it;
    /// `differential_privacy`, as it counts rows; `dominance`, as one customer makes up nearly all of a sum, or it would give one
    /// away; `max_groups`, as a table has more than 1,000 groups.
    pub rule: String,
    /// The report's threshold, whatever the rule.
    pub min_count: u64,
    /// Who set it: `space`, or a participant.
    pub set_by: String,
}

/// The output policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Policy {
    /// Counts above zero and below this are withheld; 1 withholds nothing.
    pub min_count: u64,
    /// The other rules that somebody has set, and that the datasets and this report keep.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<AppliedRule>,
    /// The parts of the report that it does without, because not everybody allows them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// The noise of the figures, where they have some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differential_privacy: Option<DifferentialPrivacy>,
}

/// A rule of the output policy, and the strictest limit that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AppliedRule {
    /// Its name in `space.yaml`.
    pub rule: String,
    /// The limit.
    pub limit: u64,
    /// Who set it: `space`, or a participant.
    pub set_by: String,
}

/// What a report was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Provenance {
    /// The space.
    #[schemars(with = "schema::Name")]
    pub space: SpaceId,
    /// The space's root, in hexadecimal.
    #[schemars(with = "schema::Hash")]
    pub root: String,
    /// The epoch of the matching key.
    #[schemars(with = "u64")]
    pub epoch: Epoch,
    /// The event that asked for the report.
    #[schemars(with = "schema::EventName")]
    pub event: EventId,
    /// The event's type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The earlier event that asked the very same, of the same sets under the same policy: the figures are its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::EventName>")]
    pub answered_from: Option<EventId>,
    /// The datasets that were matched, sorted by holder and dataset.
    pub datasets: Vec<DatasetRef>,
    /// The version of DataFuse.
    pub datafuse: String,
    /// When the report was made, RFC 3339.
    #[schemars(with = "schema::Moment")]
    pub at: String,
}

/// One dataset that went into a report.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct DatasetRef {
    /// Whose it is.
    #[schemars(with = "schema::Name")]
    pub holder: ParticipantId,
    /// Its name.
    #[schemars(with = "schema::Name")]
    pub dataset: DatasetId,
    /// Its version.
    pub version: u64,
    /// The SHA-256 of the protected file as delivered, in hexadecimal. Of a table in several files that of their sorted
    /// `sha256sum` lines.
    #[schemars(with = "schema::Hash")]
    pub sha256: String,
    /// Whether it was a table of tokens: nothing in it shows who made it, and when.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unauthenticated: bool,
}

// The signature is serde's.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(value: &bool) -> bool {
    !value
}

/// What a report is made from.
#[derive(Clone, Debug)]
pub struct ReportInputs {
    /// One entry for each kind that was matched.
    pub kinds: Vec<KindInputs>,
    /// The strictest threshold.
    pub threshold: Threshold,
    /// The other rules that were applied before this, for the report to name.
    pub rules: Vec<AppliedRule>,
    /// Where everything came from; its datasets may be in any order.
    pub provenance: Provenance,
}

/// The result of matching one kind.
#[derive(Clone, Debug)]
pub struct KindInputs {
    /// The kind.
    pub kind: KindName,
    /// How many are at which holders.
    pub table: MatchTable,
    /// For each holder of the table: its rows.
    pub rows: BTreeMap<ParticipantId, RowCounts>,
}

/// What a protected dataset says about the rows it was made from, for one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowCounts {
    /// All rows.
    pub rows: u64,
    /// Rows without an identifier of this kind.
    pub empty: u64,
    /// Rows whose identifier the profile refuses.
    pub invalid: u64,
    /// For each wider profile: the rows whose identifier it would change.
    pub would_change: BTreeMap<Profile, u64>,
}

/// A threshold under which counts are withheld, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// Counts above zero and below this are withheld; 1 withholds nothing.
    pub min_count: u64,
    /// Who set it: `space`, or a participant.
    pub set_by: String,
}

impl Default for Threshold {
    fn default() -> Self {
        Self { min_count: 1, set_by: "space".to_owned() }
    }
}

/// Why a report cannot be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// Nothing was matched.
    #[error("no identifier kind was matched")]
    NoKinds,
    /// A holder was matched, but its rows were not counted.
    #[error("the row counts of holder '{holder}' for kind '{kind}' are missing")]
    MissingRows {
        /// The holder.
        holder: ParticipantId,
        /// The kind.
        kind: KindName,
    },
    /// A dataset has more distinct identifiers than the rows it claims could hold.
    #[error(
        "the row counts of holder '{holder}' for kind '{kind}' do not add up: {rows} rows, of these {empty} empty and {invalid} \
         invalid, but {unique} distinct identifiers"
    )]
    Inconsistent {
        /// The holder.
        holder: ParticipantId,
        /// The kind.
        kind: KindName,
        /// The rows it claims.
        rows: u64,
        /// How many of them without an identifier.
        empty: u64,
        /// How many of them with a refused one.
        invalid: u64,
        /// The distinct identifiers found.
        unique: u64,
    },
    /// More holders than counts can be noised of.
    #[error("{holders} holders take part, and figures of more than {MAX_NOISY_HOLDERS} would be nothing but noise")]
    TooManyHolders {
        /// How many.
        holders: usize,
    },
    /// No noise could be drawn.
    #[error("no noise could be drawn for the figures")]
    NoNoise,
    /// A text is not a report.
    #[error("not a report: line {line}, column {column}: {source}")]
    NotAReport {
        /// The line, from 1.
        line: usize,
        /// The column in it.
        column: usize,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A report of another schema.
    #[error("the report has schema '{found}', this version reads '{SCHEMA}'")]
    OtherSchema {
        /// The schema that it names.
        found: String,
    },
}

impl ReportError {
    /// Says what to do about it, where there is something to do.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::NoKinds | Self::MissingRows { .. } | Self::NoNoise => return None,
            Self::TooManyHolders { .. } => {
                format!("--holders with at most {MAX_NOISY_HOLDERS} of them, or a policy without differential_privacy")
            }
            Self::Inconsistent { holder, .. } => {
                format!("have '{holder}' protect its dataset again (datafuse protect)")
            }
            Self::NotAReport { .. } => "give the report.json of an outputs folder".to_owned(),
            Self::OtherSchema { .. } => "open it with the version of datafuse that made it, or a later one".to_owned(),
        })
    }
}

impl Report {
    /// Makes the report, with everything withheld that the threshold asks for.
    ///
    /// # Errors
    /// [`ReportError::NoKinds`], [`ReportError::MissingRows`], [`ReportError::Inconsistent`].
    pub fn build(inputs: ReportInputs) -> Result<Self, ReportError> {
        Self::build_up_to(MAX_REGIONS, inputs)
    }

    /// As [`Report::build`], with up to so many regions of each kind.
    fn build_up_to(max_regions: usize, inputs: ReportInputs) -> Result<Self, ReportError> {
        let ReportInputs { mut kinds, threshold, rules, mut provenance } = inputs;
        kinds.sort_by(|a, b| {
            (a.kind.as_str() != PRIMARY_KIND, &a.kind).cmp(&(b.kind.as_str() != PRIMARY_KIND, &b.kind))
        });
        let rounding = release::rounding(&rules);
        let mut suppressions: Vec<_> = kinds.iter().map(|k| Suppression::new(&k.table, threshold.min_count)).collect();
        withhold_same_rows_everywhere(&kinds, &mut suppressions);

        let mut withheld = Withheld::default();
        let mut common_customers = BTreeMap::new();
        let mut reports = Vec::new();
        for (position, (inputs, suppression)) in kinds.iter().zip(&suppressions).enumerate() {
            let prefix = if position == 0 { String::new() } else { format!("by_kind.{}.", inputs.kind) };
            let common = format!("by_{}", inputs.kind);
            let all = withheld.apply(inputs.table.all(), suppression.all(), || format!("common_customers.{common}"));
            common_customers.insert(common, all);
            let listing = Listing { max_regions, rounding };
            let mut overlap = Overlap::new(&inputs.table, suppression, listing, &prefix, &mut withheld);
            let parties = funnels(inputs, suppression, &prefix, &mut withheld)?;
            overlap.fill_in_ratios(&parties);
            reports.push((inputs.kind.clone(), KindReport { overlap, parties }));
        }
        let mut reports = reports.into_iter();
        let (kind, KindReport { overlap, parties }) = reports.next().ok_or(ReportError::NoKinds)?;
        provenance.datasets.sort();
        let suppressed = withheld
            .into_cells()
            .map(|cell| Suppressed {
                cell,
                rule: RULE_MIN_COUNT.to_owned(),
                min_count: threshold.min_count,
                set_by: threshold.set_by.clone(),
            })
            .collect();
        let mut report = Self {
            schema: SCHEMA.to_owned(),
            common_customers,
            kind,
            overlap,
            parties,
            by_kind: reports.collect(),
            waterfall: None,
            lists: Vec::new(),
            aggregates: Vec::new(),
            suppressed,
            warnings: Vec::new(),
            policy: Policy { min_count: threshold.min_count, rules, left_out: Vec::new(), differential_privacy: None },
            provenance,
        };
        report.warnings = report.find_warnings();
        Ok(report)
    }

    /// Reads a `report.json`.
    ///
    /// # Errors
    /// [`ReportError::NotAReport`], [`ReportError::OtherSchema`].
    pub fn from_json(json: &[u8]) -> Result<Self, ReportError> {
        /// Only the schema, so that a report of a later one is named as such.
        #[derive(Deserialize)]
        struct Header {
            schema: String,
        }
        let not_a_report = |source: serde_json::Error| ReportError::NotAReport {
            line: source.line(),
            column: source.column(),
            source,
        };
        let header: Header = serde_json::from_slice(json).map_err(not_a_report)?;
        if header.schema != SCHEMA {
            return Err(ReportError::OtherSchema { found: header.schema.chars().take(64).collect() });
        }
        serde_json::from_slice(json).map_err(not_a_report)
    }

    /// Writes the report as indented JSON with a final newline.
    #[must_use]
    pub fn to_json_pretty(&self) -> String {
        // Strings, integers and maps with string keys always have a JSON form.
        let mut json = serde_json::to_string_pretty(self).unwrap_or_default();
        json.push('\n');
        json
    }

    /// Gives the key figure: how many are common to all holders, by the primary kind.
    #[must_use]
    pub fn common(&self) -> Count {
        self.overlap.all
    }

    /// Gives every kind's overlap and funnels, the primary kind first.
    pub fn kinds(&self) -> impl Iterator<Item = KindInfo<'_>> {
        let first = KindInfo { kind: &self.kind, overlap: &self.overlap, parties: &self.parties };
        let others = self.by_kind.iter().map(|(kind, report)| {
            let KindReport { overlap, parties } = report;
            KindInfo { kind, overlap, parties }
        });
        std::iter::once(first).chain(others)
    }

    /// Gives the short form for a terminal: the key figure, the funnels, the pairs with their shares.
    #[must_use]
    pub fn summary_text(&self) -> String {
        summary::text(self)
    }
}

/// A row counts once whatever the kind, so a dataset's size that one kind withholds must not be read in another.
fn withhold_same_rows_everywhere(kinds: &[KindInputs], suppressions: &mut [Suppression]) {
    let hidden: BTreeSet<ParticipantId> = kinds
        .iter()
        .zip(suppressions.iter())
        .flat_map(|(k, s)| k.table.holders.iter().enumerate().filter(|(i, _)| s.rows(*i)).map(|(_, h)| h.clone()))
        .collect();
    for (inputs, suppression) in kinds.iter().zip(suppressions) {
        for (index, holder) in inputs.table.holders.iter().enumerate() {
            if hidden.contains(holder) {
                suppression.hide_rows(index);
            }
        }
    }
}

fn funnels(
    inputs: &KindInputs,
    suppression: &Suppression,
    prefix: &str,
    withheld: &mut Withheld,
) -> Result<Vec<Funnel>, ReportError> {
    let KindInputs { kind, table, rows } = inputs;
    let mut funnels = Vec::with_capacity(table.holders.len());
    let (unique, matched) = unique_and_matched(table);
    for (index, holder) in table.holders.iter().enumerate() {
        let unique = unique[index];
        let RowCounts { rows, empty, invalid, would_change } =
            rows.get(holder).ok_or_else(|| ReportError::MissingRows { holder: holder.clone(), kind: kind.clone() })?;
        let (rows, empty, invalid) = (*rows, *empty, *invalid);
        let duplicate = rows
            .checked_sub(empty)
            .and_then(|rest| rest.checked_sub(invalid))
            .and_then(|rest| rest.checked_sub(unique))
            .ok_or_else(|| ReportError::Inconsistent {
                holder: holder.clone(),
                kind: kind.clone(),
                rows,
                empty,
                invalid,
                unique,
            })?;
        let mut cell =
            |count, hide, name: &str| withheld.apply(count, hide, || format!("{prefix}parties[{holder}].{name}"));
        funnels.push(Funnel {
            holder: holder.clone(),
            rows: cell(rows, suppression.rows(index), "rows"),
            empty: Some(empty),
            invalid: Some(invalid),
            duplicate: cell(duplicate, suppression.rows(index), "duplicate"),
            unique: cell(unique, suppression.unique(index), "unique"),
            matched: cell(matched[index], suppression.matched(index), "matched"),
            would_change: would_change
                .iter()
                .map(|(profile, rows)| {
                    let hide = suppression.rows(index) || suppression.is_small(*rows);
                    (profile.to_string(), cell(*rows, hide, &format!("would_change[{profile}]")))
                })
                .collect(),
        });
    }
    Ok(funnels)
}

/// Sums, in one pass over the regions, each holder's identifiers and those of them that another holder has.
fn unique_and_matched(table: &MatchTable) -> (Vec<u64>, Vec<u64>) {
    let (mut unique, mut matched) = (vec![0; table.holders.len()], vec![0; table.holders.len()]);
    for (set, count) in &table.regions {
        let shared = set.len() > 1;
        for holder in set.iter() {
            unique[holder] += count;
            matched[holder] += if shared { *count } else { 0 };
        }
    }
    (unique, matched)
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::match_table::HolderSet;

    /// A table of holders `names` (sorted) with the regions given as member lists.
    pub(crate) fn table(names: &[&str], regions: &[(&[usize], u64)]) -> MatchTable {
        let holders = names.iter().map(|name| name.parse().unwrap()).collect();
        let set = |members: &[usize]| HolderSet::new(names.len(), members.iter().copied());
        MatchTable::new(holders, regions.iter().map(|(members, count)| (set(members), *count)))
    }

    /// Inputs in which every holder has 31 empty, 12 invalid and 437 duplicate rows.
    pub(crate) fn inputs(kinds: Vec<(&str, MatchTable)>, min_count: u64) -> ReportInputs {
        let kinds = kinds.into_iter().map(|(kind, table)| {
            let rows =
                |i| RowCounts { rows: table.unique(i) + 31 + 12 + 437, empty: 31, invalid: 12, ..RowCounts::default() };
            let rows = table.holders.iter().cloned().enumerate().map(|(i, holder)| (holder, rows(i))).collect();
            KindInputs { kind: kind.parse().unwrap(), rows, table }
        });
        let dataset = |holder: &str| DatasetRef {
            holder: holder.parse().unwrap(),
            dataset: "customers".parse().unwrap(),
            version: 1,
            sha256: "ab".repeat(32),
            unauthenticated: false,
        };
        ReportInputs {
            kinds: kinds.collect(),
            threshold: Threshold { min_count, set_by: "globex".into() },
            rules: Vec::new(),
            provenance: Provenance {
                space: "retail-2026".parse().unwrap(),
                root: "9b57e336".repeat(8),
                epoch: Epoch(1),
                event: "01J8ZQ4X7M6V9K3T2N1B0C5D7E".parse().unwrap(),
                event_type: "CHECK_COMMON_DEMO_CUSTOMERS".into(),
                answered_from: None,
                datasets: vec![dataset("globex"), dataset("acme")],
                datafuse: "0.1.0".into(),
                at: "2026-11-20T10:00:00Z".into(),
            },
        }
    }

    pub(crate) fn two_holders() -> MatchTable {
        table(&["acme", "globex"], &[(&[0], 15_790), (&[0, 1], 4_210), (&[1], 15_790)])
    }

    #[test]
    fn has_the_documented_shape() {
        let report = Report::build(inputs(vec![("email", two_holders())], 1)).unwrap();
        let expected = r#"{
  "schema": "datafuse/report/v1",
  "common_customers": {
    "by_email": 4210
  },
  "kind": "email",
  "overlap": {
    "all": 4210,
    "pairwise": [
      {
        "a": "acme",
        "b": "globex",
        "count": 4210,
        "jaccard": 0.117631,
        "share_of_a": 0.2105,
        "share_of_b": 0.2105
      }
    ],
    "at_least": [
      {
        "holders": 1,
        "count": 35790
      },
      {
        "holders": 2,
        "count": 4210
      }
    ],
    "regions": [
      {
        "holders": [
          "acme"
        ],
        "count": 15790
      },
      {
        "holders": [
          "acme",
          "globex"
        ],
        "count": 4210
      },
      {
        "holders": [
          "globex"
        ],
        "count": 15790
      }
    ]
  },
  "parties": [
    {
      "holder": "acme",
      "rows": 20480,
      "empty": 31,
      "invalid": 12,
      "duplicate": 437,
      "unique": 20000,
      "matched": 4210
    },
    {
      "holder": "globex",
      "rows": 20480,
      "empty": 31,
      "invalid": 12,
      "duplicate": 437,
      "unique": 20000,
      "matched": 4210
    }
  ],
  "suppressed": [],
  "policy": {
    "min_count": 1
  },
  "provenance": {
    "space": "retail-2026",
"#;
        let json = report.to_json_pretty();
        assert!(json.starts_with(expected), "{json}");
        assert!(json.contains("\"type\": \"CHECK_COMMON_DEMO_CUSTOMERS\""));
        assert!(
            json.find("\"holder\": \"acme\",\n        \"dataset\"")
                < json.find("\"holder\": \"globex\",\n        \"dataset\"")
        );
        assert_eq!(Report::from_json(json.as_bytes()).unwrap(), report);
    }

    #[test]
    fn email_comes_first_and_the_other_kinds_beside_it() {
        let phone = table(&["acme", "globex"], &[(&[0], 7), (&[0, 1], 5)]);
        let report =
            Report::build(inputs(vec![("account", phone.clone()), ("email", two_holders()), ("phone", phone)], 1))
                .unwrap();
        assert_eq!(report.kind.as_str(), "email");
        let keys: Vec<_> = report.common_customers.iter().map(|(key, count)| (key.as_str(), count.unwrap())).collect();
        assert_eq!(keys, [("by_account", 5), ("by_email", 4210), ("by_phone", 5)]);
        let others: Vec<_> = report.by_kind.keys().map(KindName::as_str).collect();
        assert_eq!(others, ["account", "phone"]);
        assert_eq!(Report::from_json(report.to_json_pretty().as_bytes()).unwrap(), report);
    }

    #[test]
    fn without_email_the_first_kind_by_name_comes_first() {
        let report = Report::build(inputs(vec![("phone", two_holders()), ("iban", two_holders())], 1)).unwrap();
        assert_eq!(report.kind.as_str(), "iban");
    }

    #[test]
    fn refuses_rows_that_do_not_add_up() {
        let mut inputs = inputs(vec![("email", two_holders())], 1);
        let holder: ParticipantId = "globex".parse().unwrap();
        inputs.kinds[0].rows.get_mut(&holder).unwrap().rows = 20_042;
        let error = Report::build(inputs.clone()).unwrap_err();
        assert!(matches!(&error, ReportError::Inconsistent { unique: 20_000, .. }), "{error}");
        assert!(error.remedy().unwrap().contains("globex"));
        inputs.kinds[0].rows.remove(&holder);
        assert!(matches!(Report::build(inputs.clone()), Err(ReportError::MissingRows { .. })));
        inputs.kinds.clear();
        assert!(matches!(Report::build(inputs), Err(ReportError::NoKinds)));
    }

    #[test]
    fn what_a_wider_profile_would_change_is_said_under_the_threshold() {
        let holder = |name: &str| name.parse::<ParticipantId>().unwrap();
        let build = |table, min_count, rows| {
            let mut inputs = inputs(vec![("email", table)], min_count);
            let counts = inputs.kinds[0].rows.get_mut(&holder("globex")).unwrap();
            counts.would_change = [(Profile::EmailGmailV1, rows)].into();
            Report::build(inputs).unwrap()
        };
        let shown = |report: &Report| report.parties[1].would_change["email-gmail-v1"];
        let cell = "parties[globex].would_change[email-gmail-v1]";
        for (rows, expected) in [(0, Some(0)), (1, None), (4, None), (5, Some(5))] {
            let report = build(two_holders(), 5, rows);
            assert_eq!(shown(&report), expected);
            assert_eq!(report.suppressed.iter().any(|suppressed| suppressed.cell == cell), expected.is_none());
            assert_eq!(report.summary_text().contains("email-gmail-v1 would change 5 rows of globex"), rows == 5);
            assert!(report.parties[0].would_change.is_empty());
            assert_eq!(Report::from_json(report.to_json_pretty().as_bytes()).unwrap(), report);
        }
        // Where the size of the dataset is withheld, nothing may hint at it.
        let without_slack = table(&["acme", "globex"], &[(&[0], 100), (&[0, 1], 3)]);
        let report = build(without_slack, 5, 9);
        assert_eq!((report.parties[1].rows, shown(&report)), (None, None));
    }

    #[test]
    fn names_a_report_of_another_schema() {
        let error = Report::from_json(br#"{"schema": "datafuse/report/v2", "news": 1}"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the report has schema 'datafuse/report/v2', this version reads 'datafuse/report/v1'"
        );
        assert!(matches!(Report::from_json(b"[1]"), Err(ReportError::NotAReport { .. })));
        let json = Report::build(inputs(vec![("email", two_holders())], 1)).unwrap().to_json_pretty();
        let fraction = json.replace("\"all\": 4210", "\"all\": 4210.0");
        assert!(matches!(Report::from_json(fraction.as_bytes()), Err(ReportError::NotAReport { .. })));
    }
}
