//! What a check of common customers must find in generated data: `truth.json`.
//!
//! It comes from the plan by which the data were made and from a tally of the rows written, each figure by the plainest loop over
//! the definition; neither normalisation nor matching has a part in it. `overlap` and `parties` have the shape of `report.json`.

use std::{collections::BTreeMap, fs, path::Path};

use datafuse_core::id::{KindName, ParticipantId};
use datafuse_engine::report::{AtLeast, Count, Funnel, Overlap, Pair, Region, Report};
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
            ("overlap.regions", report.overlap.regions == self.overlap.regions),
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
    let pairwise =
        shared.into_iter().map(|((a, b), count)| Pair { a: a.clone(), b: b.clone(), count: Some(count) }).collect();
    let mut regions: Vec<_> = planned
        .iter()
        .map(|region| {
            let mut names: Vec<_> = region.members.iter().map(|member| holders[*member].clone()).collect();
            names.sort();
            Region { holders: names, count: Some(region.count) }
        })
        .collect();
    regions.sort_by(|x, y| x.holders.cmp(&y.holders));
    Overlap { all, pairwise, at_least, regions }
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
        empty,
        invalid,
        duplicate: Some(duplicate),
        unique: Some(unique),
        matched: Some(matched.sum()),
    }
}
