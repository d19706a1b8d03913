//! What a report says beside the overlap, where the agreement asks for it: the `analyses` of a space file.
//!
//! All participants look at the same file, so what stands here is what all of them agreed to. Without it a report has none of
//! these sections.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use datafuse_core::id::{DatasetId, KindName, ParticipantId};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Participant, Parts,
    aggregates::{self, AggregateRequest, AggregateSection},
    document::Text,
    lists::{self, List},
    to_yaml::scalar,
};
use crate::check::Finding;

impl Analyses {
    /// Whether something is asked for that follows from rows, and not from sets of identifiers alone.
    #[must_use]
    pub fn look_at_rows(&self) -> bool {
        let Self { waterfall, lists, aggregates } = self;
        !(waterfall.is_empty() && lists.is_empty() && aggregates.is_empty())
    }
}

/// What a report says beside the overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Analyses {
    /// The identifier kinds in the order in which rows are matched by them; empty where no waterfall is asked for.
    pub waterfall: Vec<KindName>,
    /// The lists of rows, by the holder that receives one.
    pub lists: BTreeMap<ParticipantId, List>,
    /// What is computed of kept columns of common customers, by name.
    pub aggregates: BTreeMap<DatasetId, AggregateRequest>,
}

/// What a report says beside the overlap.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    /// Tells how many rows of each holder match by the first of these identifier kinds, by the second where not by the first,
    /// and so on.
    #[schemars(length(min = 2), extend("uniqueItems" = true))]
    pub(super) waterfall: Option<Vec<Text<KindName>>>,
    /// For each holder that receives a list of its own rows: which. Every other holder in it has to allow it in its own policy.
    #[serde(default)]
    pub(super) lists: BTreeMap<Text<ParticipantId>, lists::Document>,
    /// Counts, sums, means and quantile buckets of kept columns of common customers, by name.
    #[serde(default)]
    pub(super) aggregates: BTreeMap<Text<DatasetId>, AggregateSection>,
}

/// Takes what a file says.
pub(super) fn from_document(
    document: Document,
    participants: &BTreeMap<ParticipantId, Participant>,
    findings: &mut Vec<Finding>,
) -> Analyses {
    let waterfall = document.waterfall.map(|kinds| kinds.into_iter().map(|kind| kind.0).collect::<Vec<_>>());
    if waterfall.as_ref().is_some_and(|kinds| kinds.len() < 2) {
        findings.push(Finding::error(
            "analyses.waterfall",
            "a waterfall needs at least two identifier kinds",
            "list them in the order in which they are tried, such as [email, phone]; or remove the line",
        ));
    }
    let lists = document.lists.into_iter().map(|(holder, list)| (holder.0, list.into())).collect();
    let aggregates = aggregates::from_document(document.aggregates, participants, findings);
    Analyses { waterfall: waterfall.unwrap_or_default(), lists, aggregates }
}

/// Checks that what is asked for is there.
pub(super) fn conclude(parts: &Parts, findings: &mut Vec<Finding>) {
    let known: Vec<_> = parts.kinds.iter().map(|kind| kind.name().as_str()).collect();
    lists::conclude(parts, findings);
    aggregates::conclude(parts, findings);
    let mut seen = BTreeSet::new();
    for kind in &parts.analyses.waterfall {
        if !known.contains(&kind.as_str()) {
            findings.push(Finding::error(
                "analyses.waterfall",
                format!("'{kind}' is no identifier kind of this space"),
                format!("name one of: {}", known.join(", ")),
            ));
        }
        if !seen.insert(kind) {
            findings.push(Finding::error(
                "analyses.waterfall",
                format!("'{kind}' is named twice"),
                "name each kind once: a row counts for the first kind by which it matches",
            ));
        }
    }
}

/// Writes the section, if there is anything in it.
pub(super) fn write(out: &mut String, analyses: &Analyses) -> std::fmt::Result {
    if analyses == &Analyses::default() {
        return Ok(());
    }
    out.push_str("\n# What reports say beside the overlap.\nanalyses:\n");
    if !analyses.waterfall.is_empty() {
        let kinds: Vec<_> = analyses.waterfall.iter().map(|kind| scalar(kind.as_str())).collect();
        writeln!(
            out,
            "  waterfall: [{}]  # rows that match by the first of these, else by the next",
            kinds.join(", ")
        )?;
    }
    lists::write(out, &analyses.lists)?;
    aggregates::write(out, &analyses.aggregates)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::{
        agreement::{Space, example},
        error::Error,
    };

    fn with(analyses: &str) -> Result<Space, Error> {
        let phone = "identifiers:\n  phone: { profile: phone-e164-v1, default_region: BE }";
        Space::parse(&format!("{}{analyses}\n", example::yaml().replacen("identifiers:", phone, 1)))
    }

    #[test]
    fn a_waterfall_keeps_its_order_and_is_written_again() {
        let space = with("analyses: { waterfall: [phone, email] }").unwrap();
        let order: Vec<_> = space.analyses().waterfall.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(order, ["phone", "email"]);
        let again = Space::parse(&space.to_yaml()).unwrap();
        assert_eq!(again.analyses(), space.analyses());
        assert!(example::space().analyses().waterfall.is_empty());
        assert!(!example::space().to_yaml().contains("analyses"));
    }

    #[test]
    fn analyses_change_no_root() {
        assert_eq!(with("").unwrap().root(), with("analyses: { waterfall: [phone, email] }").unwrap().root());
    }

    #[test]
    fn a_waterfall_of_unknown_or_repeated_or_too_few_kinds_is_refused() {
        for (list, words) in [
            ("[email]", "at least two"),
            ("[]", "at least two"),
            ("[email, iban]", "'iban' is no identifier kind"),
            ("[email, phone, email]", "named twice"),
        ] {
            let Err(Error::Contract { findings, .. }) = with(&format!("analyses: {{ waterfall: {list} }}")) else {
                panic!("{list}")
            };
            assert!(findings.iter().all(|finding| finding.place == "analyses.waterfall"), "{findings:?}");
            assert!(findings.iter().any(|finding| finding.message.contains(words)), "{list}: {findings:?}");
        }
        assert!(matches!(with("analyses: { waterfalls: [email, phone] }"), Err(Error::Syntax { .. })));
    }
}
