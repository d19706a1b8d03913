//! What a report says of datasets that nothing authenticates: tables of tokens in the place of protected datasets.
//!
//! Who can write the place where one lies can swap or replay it unnoticed, and one that was made with another token key matches
//! nothing. So a report names them, and warns where a holder that brought one has no match at all.

use datafuse_core::id::{DatasetId, ParticipantId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DatasetRef, Report, schema};

/// The warning about an unauthenticated dataset whose holder has no match.
pub const WARNING_WITHOUT_MATCH: &str = "unauthenticated-without-match";

/// Something about a dataset that the reader should know before trusting a figure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportWarning {
    /// Which warning: `unauthenticated-without-match`.
    pub warning: String,
    /// Whose dataset.
    #[schemars(with = "schema::Name")]
    pub holder: ParticipantId,
    /// Its name.
    #[schemars(with = "schema::Name")]
    pub dataset: DatasetId,
}

impl ReportWarning {
    /// Says it in a sentence.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { holder, dataset, .. } = self;
        format!(
            "Dataset '{dataset}' of {holder} is unauthenticated and nothing of {holder} matched: it may have been made with \
             another token key, or be another file than {holder} delivered."
        )
    }
}

impl Report {
    /// Gives the datasets that nothing authenticates.
    pub fn unauthenticated(&self) -> impl Iterator<Item = &DatasetRef> {
        self.provenance.datasets.iter().filter(|dataset| dataset.unauthenticated)
    }

    /// Says in plain words what that means; `None` where there are none.
    #[must_use]
    pub fn unauthenticated_text(&self) -> Option<String> {
        let names: Vec<_> =
            self.unauthenticated().map(|dataset| format!("'{}' of {}", dataset.dataset, dataset.holder)).collect();
        if names.is_empty() {
            return None;
        }
        Some(format!(
            "Unauthenticated: {}. Nothing shows that its holder made it, and when: whoever can write the place where it lies could \
             have swapped or replayed data.",
            names.join(", ")
        ))
    }

    /// Makes the warnings of a report that is otherwise done.
    pub(super) fn find_warnings(&self) -> Vec<ReportWarning> {
        let nothing_matched = |holder: &ParticipantId| {
            self.kinds()
                .all(|kind| kind.parties.iter().all(|party| party.holder != *holder || party.matched == Some(0)))
        };
        self.unauthenticated()
            .filter(|dataset| nothing_matched(&dataset.holder))
            .map(|dataset| ReportWarning {
                warning: WARNING_WITHOUT_MATCH.to_owned(),
                holder: dataset.holder.clone(),
                dataset: dataset.dataset.clone(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        match_table::MatchTable,
        report::tests::{inputs, table, two_holders},
        report_html,
    };

    fn report(table: MatchTable, unauthenticated: bool) -> Report {
        let mut inputs = inputs(vec![("email", table)], 1);
        let globex = inputs.provenance.datasets.iter_mut().find(|dataset| dataset.holder.as_str() == "globex").unwrap();
        globex.unauthenticated = unauthenticated;
        Report::build(inputs).unwrap()
    }

    #[test]
    fn every_form_of_the_report_says_which_dataset_is_unauthenticated() {
        let report = report(two_holders(), true);
        let json = report.to_json_pretty();
        assert_eq!(json.matches("\"unauthenticated\": true").count(), 1);
        assert_eq!(Report::from_json(json.as_bytes()).unwrap(), report);
        for text in [report.summary_text(), report_html::render(&report)] {
            assert!(text.contains("Unauthenticated") && text.contains("globex") && text.contains("swapped"), "{text}");
        }
        assert!(report.warnings.is_empty(), "it matched");
    }

    #[test]
    fn a_report_of_protected_datasets_is_as_before() {
        let report = report(two_holders(), false);
        let json = report.to_json_pretty();
        assert!(!json.contains("unauthenticated") && !json.contains("warnings"));
        assert!(!report.summary_text().contains("nauthenticated"));
        assert!(!report_html::render(&report).contains("nauthenticated"));
    }

    #[test]
    fn no_match_at_all_is_warned_of_where_nothing_would_show_a_wrong_key() {
        let apart = || table(&["acme", "globex"], &[(&[0], 10), (&[1], 20)]);
        assert!(report(apart(), false).warnings.is_empty());
        let report = report(apart(), true);
        assert_eq!(report.warnings.len(), 1);
        assert_eq!(
            (report.warnings[0].holder.as_str(), report.warnings[0].warning.as_str()),
            ("globex", WARNING_WITHOUT_MATCH)
        );
        assert!(report.to_json_pretty().contains("unauthenticated-without-match"));
        for text in [report.summary_text(), report_html::render(&report)] {
            assert!(text.contains("another token key"), "{text}");
        }
    }
}
