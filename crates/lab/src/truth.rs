//! What a check of common customers must find in generated data: `truth.json`.
//!
//! It comes from the plan by which the data were made and from a tally of the rows written, each figure by the plainest loop over
//! the definition; neither normalisation nor matching has a part in it. `overlap` and `parties` have the shape of `report.json`.

use std::{collections::BTreeMap, fs, path::Path};

use datafuse_core::id::{KindName, ParticipantId};
use datafuse_engine::report::{AtLeast, Count, Funnel, Overlap, Pair, Ratio, Region, Report};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    generate::GenerateSpec,
    plan::{PlannedRegion, Sorts},
};

/// The schema that this version writes and reads.
pub const SCHEMA: &str = "datafuse/truth/v1";

/// What is to be found in generated data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// What the data were generated from.
    pub generated: GenerateSpec,
    /// As in the report: `by_email`.
    pub common_customers: BTreeMap<String, Count>,
    /// The kind that it is about: `email`.
    pub kind: KindName,
    /// As in the report.
    pub overlap: Overlap,
    /// As in the report.
    pub parties: Vec<Funnel>,
    /// How each holder's file is to be read, sorted by holder.
    pub sources: Vec<SourceFile>,
}

/// One holder's file and how it is to be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Whose it is.
    pub holder: ParticipantId,
    /// The file's name in the folder of the sources.
    pub file: String,
    /// What separates its columns.
    pub delimiter: char,
    /// How its characters are encoded.
    pub encoding: SourceEncoding,
    /// Whether it begins with a byte order mark, as some spreadsheets write it.
    pub byte_order_mark: bool,
    /// Rows of data: without the header and blank lines.
    pub rows: u64,
}

/// How the characters of a file are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SourceEncoding {
    /// UTF-8.
    #[serde(rename = "utf-8")]
    Utf8,
    /// ISO 8859-1.
    #[serde(rename = "latin1")]
    Latin1,
}

impl Truth {
    /// Reads a `truth.json`.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NotATruth`].
    pub fn read(path: &Path) -> Result<Self> {
        let json = fs::read(path).map_err(|source| Error::io(path, "read", source))?;
        serde_json::from_slice(&json).map_err(|source| Error::NotATruth { path: path.into(), source })
    }

    /// Writes the truth as indented JSON with a final newline.
    #[must_use]
    pub fn to_json_pretty(&self) -> String {
        // Strings, numbers and maps with string keys always have a JSON form.
        let mut json = serde_json::to_string_pretty(self).unwrap_or_default();
        json.push('\n');
        json
    }

    /// Names every figure of a report that is not the true one; none if the report is right.
    #[must_use]
    pub fn differences(&self, report: &Report) -> Vec<&'static str> {
        let by_kind = format!("by_{}", self.kind);
        let checks = [
            ("kind", report.kind == self.kind),
            ("common_customers", report.common_customers.get(&by_kind) == self.common_customers.get(&by_kind)),
            ("overlap.all", report.overlap.all == self.overlap.all),
            ("overlap.pairwise", report.overlap.pairwise == self.overlap.pairwise),
            ("overlap.at_least", report.overlap.at_least == self.overlap.at_least),
            ("overlap.regions", same_regions(&report.overlap, &self.overlap)),
            ("parties", report.parties == self.parties),
        ];
        checks.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
    }

    /// Gives how a holder's file is to be read.
    #[must_use]
    pub fn source(&self, holder: &ParticipantId) -> Option<&SourceFile> {
        self.sources.iter().find(|source| source.holder == *holder)
    }
}

/// Whether a report lists the true regions; where it leaves some out, the largest, with the true number of the others.
fn same_regions(found: &Overlap, truth: &Overlap) -> bool {
    let Some(left_out) = found.regions_left_out else { return found.regions == truth.regions };
    let (listed, others): (Vec<&Region>, Vec<&Region>) = truth
        .regions
        .iter()
        .partition(|region| found.regions.binary_search_by(|f| f.holders.cmp(&region.holders)).is_ok());
    let of_all = |region: &Region| region.holders.len() == truth.at_least.len();
    let smallest = listed.iter().filter(|region| !of_all(region)).map(|region| region.count).min();
    found.regions.iter().eq(listed)
        && left_out.regions == others.len() as u64
        && left_out.count == others.iter().filter_map(|region| region.count).sum::<u64>()
        && left_out.withheld == 0
        && others.iter().all(|region| !of_all(region) && smallest.is_some_and(|smallest| region.count <= smallest))
}

/// Counts the overlap of the planned regions; the regions' members are positions in `holders`.
pub(crate) fn overlap(holders: &[ParticipantId], planned: &[PlannedRegion]) -> Overlap {
    let people = |at: &dyn Fn(&[usize]) -> bool| -> Count {
        Some(planned.iter().filter(|region| at(&region.members)).map(|region| region.count).sum())
    };
    let all = people(&|members| members.len() == holders.len());
    let at_least = (1..=holders.len())
        .map(|number| AtLeast { holders: number as u64, count: people(&|members| members.len() >= number) })
        .collect();
    let mut shared: BTreeMap<(&ParticipantId, &ParticipantId), u64> = BTreeMap::new();
    for (index, a) in holders.iter().enumerate() {
        shared.extend(holders[index + 1..].iter().map(|b| ((a.min(b), a.max(b)), 0)));
    }
    for region in planned {
        for (position, a) in region.members.iter().enumerate() {
            for b in &region.members[position + 1..] {
                let (a, b) = (&holders[*a], &holders[*b]);
                *shared.entry((a.min(b), a.max(b))).or_default() += region.count;
            }
        }
    }
    let at_one_of = |some: &[&ParticipantId]| -> u64 {
        let found =
            planned.iter().filter(|region| region.members.iter().any(|member| some.contains(&&holders[*member])));
        found.map(|region| region.count).sum()
    };
    let pair = |((a, b), count): ((&ParticipantId, &ParticipantId), u64)| Pair {
        a: a.clone(),
        b: b.clone(),
        count: Some(count),
        jaccard: Ratio::of(count, at_one_of(&[a, b])),
        share_of_a: Ratio::of(count, at_one_of(&[a])),
        share_of_b: Ratio::of(count, at_one_of(&[b])),
    };
    let pairwise = shared.into_iter().map(pair).collect();
    let mut regions: Vec<_> = planned
        .iter()
        .map(|region| {
            let mut names: Vec<_> = region.members.iter().map(|member| holders[*member].clone()).collect();
            names.sort();
            Region { holders: names, count: Some(region.count) }
        })
        .collect();
    regions.sort_by(|x, y| x.holders.cmp(&y.holders));
    Overlap { all, pairwise, at_least, regions, regions_left_out: None }
}

/// Makes a holder's funnel of the rows written and the planned regions.
pub(crate) fn funnel(holder: &ParticipantId, index: usize, written: Sorts, planned: &[PlannedRegion]) -> Funnel {
    let matched = planned
        .iter()
        .filter(|region| region.members.len() > 1 && region.members.contains(&index))
        .map(|region| region.count);
    let Sorts { unique, duplicate, invalid, empty } = written;
    Funnel {
        holder: holder.clone(),
        rows: Some(unique + duplicate + invalid + empty),
        empty: Some(empty),
        invalid: Some(invalid),
        duplicate: Some(duplicate),
        unique: Some(unique),
        matched: Some(matched.sum()),
        // Addresses are at services of our own making, and Gmail is none of them.
        would_change: [("email-gmail-v1".to_owned(), Some(0))].into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafuse_engine::report::RegionsLeftOut;

    use super::*;

    /// Regions of 1, 2, 3, ... people at acme and at as many of the others as the position says.
    fn regions(counts: impl IntoIterator<Item = u64>) -> Overlap {
        let holders: Vec<ParticipantId> = (0..9).map(|index| format!("h{index}").parse().unwrap()).collect();
        let planned: Vec<_> = counts
            .into_iter()
            .enumerate()
            .map(|(index, count)| PlannedRegion { members: (0..=index).collect(), count, first: 0 })
            .collect();
        overlap(&holders, &planned)
    }

    #[test]
    fn of_regions_that_are_left_out_number_and_size_are_compared() {
        let truth = regions([10, 40, 30, 20]);
        assert!(same_regions(&truth, &truth));
        let mut capped = truth.clone();
        capped.regions.retain(|region| region.count >= Some(30));
        assert!(!same_regions(&capped, &truth), "it does not say what it leaves out");
        capped.regions_left_out = Some(RegionsLeftOut { regions: 2, count: 30, withheld: 0 });
        assert!(same_regions(&capped, &truth));
        for wrong in [
            RegionsLeftOut { regions: 1, count: 30, withheld: 0 },
            RegionsLeftOut { regions: 2, count: 31, withheld: 0 },
            RegionsLeftOut { regions: 2, count: 30, withheld: 1 },
        ] {
            assert!(!same_regions(&Overlap { regions_left_out: Some(wrong), ..capped.clone() }, &truth));
        }
        // Not the largest, though the sums are right.
        let mut smaller = truth.clone();
        smaller.regions.retain(|region| region.count <= Some(30));
        smaller.regions_left_out = Some(RegionsLeftOut { regions: 1, count: 40, withheld: 0 });
        assert!(!same_regions(&smaller, &truth));
        let mut other = capped.clone();
        other.regions[0].count = Some(41);
        assert!(!same_regions(&other, &truth));
    }

    #[test]
    fn shares_are_of_the_planned_people() {
        let overlap = regions([10, 40, 30, 20]);
        let pair = &overlap.pairwise[0];
        let found = [pair.jaccard, pair.share_of_a, pair.share_of_b].map(|ratio| ratio.unwrap().millionths());
        assert_eq!((pair.count, found), (Some(90), [900_000, 900_000, 1_000_000]));
    }
}
