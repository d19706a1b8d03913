//! The table of a drill: what was found, where, of how much; who fell, and whether the attack itself works.

use std::collections::BTreeSet;

use datafuse_core::id::ParticipantId;
use serde::Serialize;

use super::{
    attack::{Case, Haul},
    dictionary::Dictionary,
    evidence::{Artifact, Evidence},
};

/// One artifact, one holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Where the attacker looked.
    pub artifact: Artifact,
    /// Whose identifiers.
    pub party: ParticipantId,
    /// Distinct identifiers of the holder that were found there.
    pub recovered: u64,
    /// Distinct identifiers that the holder has; unknown where nothing tells.
    pub identifiers: Option<u64>,
    /// Rows whose kept columns were read.
    pub kept: u64,
    /// Distinct identifiers, known or not, that were seen to be at another holder too.
    pub linked: u64,
}

/// The positive control: of whoever lost its key file everything must be found, or the attack is broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Control {
    /// Whether it passed; `None` where it could not be played.
    pub passed: Option<bool>,
    /// For each holder whose whole key file leaked and whose dataset is here.
    pub holders: Vec<ControlOf>,
}

/// The control of one holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ControlOf {
    /// The holder.
    pub party: ParticipantId,
    /// Its identifiers that the dictionary holds; unknown where nothing tells.
    pub expected: Option<u64>,
    /// How many of them were found in its own dataset.
    pub recovered: u64,
}

/// What a drill found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Table {
    /// Every artifact and holder.
    pub rows: Vec<Row>,
    /// The positive control.
    pub control: Control,
    /// Keys that the attacker stole or computed, and whether the dictionary confirmed them.
    pub keys: Vec<(String, bool)>,
    /// What the attacker could not read although it should know its form.
    pub unread: Vec<String>,
    /// Facts that contradict each other: not none, and something is not as the protocol says.
    pub contradictions: usize,
    /// Keys that the attacker knows but for a root: as good as known.
    pub roots: usize,
}

impl Table {
    pub(crate) fn new(case: &Case<'_>, haul: Haul) -> Self {
        let count = |set: Option<&std::collections::HashSet<u32>>| set.map_or(0, |set| set.len() as u64);
        let mut rows = Vec::new();
        for artifact in Artifact::ALL {
            for party in case.scene.holders.keys() {
                let at = (artifact, party.clone());
                rows.push(Row {
                    artifact,
                    party: party.clone(),
                    recovered: count(haul.recovered.get(&at)),
                    identifiers: identifiers(case, &haul, party),
                    kept: haul.kept.get(&at).copied().unwrap_or(0),
                    linked: haul.linked.get(&at).copied().unwrap_or(0),
                });
            }
        }
        let control = control(case, &haul, &rows);
        Self {
            rows,
            control,
            keys: haul.keys,
            unread: haul.unread,
            contradictions: haul.contradictions,
            roots: haul.roots,
        }
    }

    /// The row of an artifact and a holder.
    #[must_use]
    pub fn row(&self, artifact: Artifact, party: &ParticipantId) -> Option<&Row> {
        self.rows.iter().find(|row| row.artifact == artifact && row.party == *party)
    }

    /// The most that was found of a holder in any one artifact.
    #[must_use]
    pub fn most(&self, party: &ParticipantId) -> u64 {
        self.rows.iter().filter(|row| row.party == *party).map(|row| row.recovered).max().unwrap_or(0)
    }

    /// The holders of whom any identifier was found.
    #[must_use]
    pub fn fallen(&self) -> BTreeSet<&ParticipantId> {
        self.rows.iter().filter(|row| row.recovered > 0).map(|row| &row.party).collect()
    }

    /// The holders of whom none was.
    #[must_use]
    pub fn whole(&self) -> BTreeSet<&ParticipantId> {
        let fallen = self.fallen();
        self.rows.iter().map(|row| &row.party).filter(|party| !fallen.contains(party)).collect()
    }
}

/// How many identifiers a holder has: by its source, of the kinds that its dataset was seen to bring; else by the newest report;
/// else by the tokens that were opened.
fn identifiers(case: &Case<'_>, haul: &Haul, party: &ParticipantId) -> Option<u64> {
    true_identifiers(case.dictionary, haul, party, false)
        .or_else(|| from_reports(case.evidence, party))
        .or_else(|| haul.tokens.get(party).copied())
}

fn true_identifiers(dictionary: &Dictionary, haul: &Haul, party: &ParticipantId, tried_only: bool) -> Option<u64> {
    let kinds = haul.kinds.get(party);
    let counts = |number: &&u32| {
        let entry = &dictionary.entries()[**number as usize];
        let name = dictionary.kinds()[entry.kind].name().as_str();
        (entry.tried || !tried_only) && kinds.is_none_or(|kinds| kinds.contains(name))
    };
    dictionary.truth(party).map(|truth| truth.iter().filter(counts).count() as u64)
}

fn from_reports(evidence: &[Evidence], party: &ParticipantId) -> Option<u64> {
    let reports = evidence.iter().filter(|file| file.artifact == Artifact::Reports && file.name == "report.json");
    let reports = reports.filter_map(|file| serde_json::from_slice::<serde_json::Value>(&file.bytes).ok());
    let newest = reports.max_by_key(|report| report["provenance"]["at"].as_str().map(str::to_owned))?;
    let funnel = newest["parties"].as_array()?.iter().find(|funnel| funnel["holder"] == party.as_str())?;
    funnel["unique"].as_u64()
}

fn control(case: &Case<'_>, haul: &Haul, rows: &[Row]) -> Control {
    let mut holders = Vec::new();
    for (party, names) in &case.scene.holders {
        let whole_file = case
            .leaks
            .iter()
            .any(|leaked| names.contains(&leaked.name) && !leaked.receive.is_empty() && !leaked.tokens.is_empty());
        let its_own = |file: &&Evidence| file.artifact == Artifact::Datasets && file.owner.as_ref() == Some(party);
        if !whole_file || !case.evidence.iter().any(|file| its_own(&file)) {
            continue;
        }
        let row = rows.iter().find(|row| row.artifact == Artifact::Datasets && row.party == *party);
        let expected = true_identifiers(case.dictionary, haul, party, true);
        holders.push(ControlOf { party: party.clone(), expected, recovered: row.map_or(0, |row| row.recovered) });
    }
    // Where nothing tells what the dictionary holds of a holder's, finding some of it is all that can be asked; where it holds
    // nothing of it, there is nothing to find.
    holders.retain(|control| control.expected.unwrap_or(control.recovered) > 0);
    let passes = |control: &ControlOf| control.expected.is_none_or(|expected| expected == control.recovered);
    Control { passed: (!holders.is_empty()).then(|| holders.iter().all(passes)), holders }
}
