//! Differential privacy: `differential_privacy` of the space's policy and of each holder's.
//!
//! `epsilon` is the privacy loss of each identifier kind's figures in a report: the smallest of the space's and of the holders taking
//! part is used. `budget` is what all reports together may spend of a dataset: the smaller of the space's and of its holder's. Whoever has no
//! section asks for nothing; without any, figures are exact.

use datafuse_core::{epsilon::Epsilon, id::ParticipantId};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Parts, Policy, Space};
use crate::check::{Finding, Severity};

/// Up to so many holders: with more, nearly all sets of holders have nobody in them, and noise alone.
pub const MAX_NOISY_HOLDERS: usize = 10;

/// What somebody asks of the noise of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DifferentialPrivacy {
    /// The most privacy loss of each identifier kind's figures in a report.
    #[schemars(with = "f64", extend("exclusiveMinimum" = 0))]
    pub epsilon: Epsilon,
    /// How much all reports together may spend of a dataset.
    #[schemars(with = "f64", extend("exclusiveMinimum" = 0))]
    pub budget: Epsilon,
}

impl DifferentialPrivacy {
    pub(super) fn to_yaml(self) -> String {
        format!("{{ epsilon: {}, budget: {} }}", self.epsilon, self.budget)
    }
}

/// The strictest of several amounts, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StrictestEpsilon<'a> {
    /// The amount.
    pub amount: Epsilon,
    /// The participant that asks for it; `None` where the space does, alone or too.
    pub set_by: Option<&'a ParticipantId>,
}

impl StrictestEpsilon<'_> {
    /// Names who asks for it: `space`, or a participant.
    #[must_use]
    pub fn set_by_name(&self) -> String {
        self.set_by.map_or_else(|| "space".to_owned(), ToString::to_string)
    }
}

impl Space {
    /// The privacy loss of each kind in a report of these holders; `None` where none of them, and not the space, asks for noise.
    #[must_use]
    pub fn epsilon(&self, concerned: &[&ParticipantId]) -> Option<StrictestEpsilon<'_>> {
        self.smallest(concerned, |asked| asked.epsilon)
    }

    /// What all reports together may spend of each dataset of a holder; `None` where nobody sets a budget for it.
    #[must_use]
    pub fn epsilon_budget(&self, holder: &ParticipantId) -> Option<StrictestEpsilon<'_>> {
        self.smallest(&[holder], |asked| asked.budget)
    }

    fn smallest(
        &self,
        concerned: &[&ParticipantId],
        of: fn(&DifferentialPrivacy) -> Epsilon,
    ) -> Option<StrictestEpsilon<'_>> {
        let asked = |policy: &Policy| policy.differential_privacy.as_ref().map(of);
        let own = asked(&self.parts.policy).map(|amount| StrictestEpsilon { amount, set_by: None });
        let theirs = self.participants().filter(|(id, _)| concerned.contains(id)).filter_map(|(id, participant)| {
            Some(StrictestEpsilon { amount: asked(&participant.policy)?, set_by: Some(id) })
        });
        // Of equal ones the first.
        own.into_iter().chain(theirs).min_by_key(|strictest| strictest.amount)
    }

    /// Says what beside noisy reports tells exactly what the noise hides.
    pub(crate) fn check_privacy(&self, findings: &mut Vec<Finding>) {
        let asks = asks_for_noise(&self.parts);
        if let Some(place) = asks.filter(|_| self.allows_lookups()) {
            findings.push(Finding::new(
                Severity::Warning,
                place,
                "look-ups are allowed beside it: they tell of single identifiers exactly, and spend no epsilon",
                "remove policy.lookups, or know that askers learn what noise hides from data users",
            ));
        }
    }
}

/// The place of the first section that asks for noise.
fn asks_for_noise(parts: &Parts) -> Option<String> {
    sections(parts).next().map(|(place, _)| place)
}

fn sections(parts: &Parts) -> impl Iterator<Item = (String, &DifferentialPrivacy)> {
    let own = parts.policy.differential_privacy.iter().map(|asked| ("policy.differential_privacy".to_owned(), asked));
    let theirs = parts.participants.iter().filter_map(|(id, participant)| {
        let place = format!("participants.{id}.policy.differential_privacy");
        participant.policy.differential_privacy.as_ref().map(|asked| (place, asked))
    });
    own.chain(theirs)
}

/// Checks that what is asked can be kept, and that nothing else is asked for that noise does not cover.
pub(super) fn conclude(parts: &Parts, findings: &mut Vec<Finding>) {
    for (place, asked) in sections(parts) {
        if asked.epsilon.millionths() == 0 {
            findings.push(Finding::error(
                format!("{place}.epsilon"),
                "with an epsilon of 0 a report would be nothing but noise",
                "write more than 0, such as 0.5",
            ));
        } else if asked.budget < asked.epsilon {
            findings.push(Finding::error(
                format!("{place}.budget"),
                "the budget is less than epsilon: no report could be made",
                "write a budget of at least one epsilon for each identifier kind",
            ));
        }
    }
    for (id, participant) in &parts.participants {
        if participant.policy.differential_privacy.is_some() && !participant.is_holder() {
            findings.push(Finding::error(
                format!("participants.{id}.policy.differential_privacy"),
                "only holders have datasets that it could protect",
                "remove it here, or set it in the space's own policy",
            ));
        }
    }
    let Some(place) = asks_for_noise(parts) else { return };
    let holders = parts.participants.values().filter(|participant| participant.is_holder()).count();
    if holders > MAX_NOISY_HOLDERS {
        findings.push(Finding::error(
            place.clone(),
            format!(
                "there are {holders} holders, and figures of more than {MAX_NOISY_HOLDERS} would be nothing but noise"
            ),
            "remove it, or divide the holders among several spaces",
        ));
    }
    // The noise is made for counts of distinct identifiers. Whatever counts or names rows, or sums what they hold, is refused here.
    let analyses = &parts.analyses;
    let asked_for = [
        ("waterfall", "counts", !analyses.waterfall.is_empty()),
        ("lists", "names", !analyses.lists.is_empty()),
        ("aggregates", "sums what is kept beside", !analyses.aggregates.is_empty()),
    ];
    for (analysis, does, is_asked_for) in asked_for {
        if is_asked_for {
            findings.push(Finding::error(
                format!("analyses.{analysis}"),
                format!("it {does} rows, which the noise of {place} does not cover"),
                format!("remove analyses.{analysis}, or {place}"),
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Error, agreement::example};

    fn yaml(own: &str, acme: &str, globex: &str) -> String {
        let section = |asked: &str| match asked {
            "" => String::new(),
            asked => format!("differential_privacy: {{ {asked} }}"),
        };
        let yaml = example::yaml()
            .replacen("  acme:\n", &format!("  acme:\n    policy: {{ {} }}\n", section(acme)), 1)
            .replacen("  globex:\n", &format!("  globex:\n    policy: {{ {} }}\n", section(globex)), 1);
        format!("{yaml}  {}\n", section(own))
    }

    fn refused(yaml: &str) -> Vec<Finding> {
        let Err(Error::Contract { findings, .. }) = Space::parse(yaml) else { unreachable!("{yaml}") };
        findings
    }

    #[test]
    fn the_smallest_epsilon_and_the_smaller_budget_win() {
        let space = Space::parse(&yaml("epsilon: 1, budget: 5", "epsilon: 0.25, budget: 8", "epsilon: 1, budget: 2.5"))
            .unwrap();
        let (acme, globex) = ("acme".parse().unwrap(), "globex".parse().unwrap());
        let said = |found: Option<StrictestEpsilon<'_>>| {
            found.map(|found| format!("{} by {}", found.amount, found.set_by_name()))
        };
        assert_eq!(said(space.epsilon(&[&acme, &globex])).as_deref(), Some("0.25 by acme"));
        assert_eq!(said(space.epsilon(&[&globex])).as_deref(), Some("1 by space"));
        assert_eq!(said(space.epsilon_budget(&acme)).as_deref(), Some("5 by space"));
        assert_eq!(said(space.epsilon_budget(&globex)).as_deref(), Some("2.5 by globex"));
        assert_eq!(Space::parse(&space.to_yaml()).unwrap(), space);
        assert_eq!(example::space().epsilon(&[&acme, &globex]), None);
        let of_acme = Space::parse(&yaml("", "epsilon: 1, budget: 5", "")).unwrap();
        assert_eq!(of_acme.epsilon_budget(&globex), None);
    }

    #[test]
    fn what_cannot_be_kept_is_refused_with_its_place() {
        for (asked, place, words) in [
            ("epsilon: 0, budget: 5", "policy.differential_privacy.epsilon", "nothing but noise"),
            ("epsilon: 1, budget: 0.9", "policy.differential_privacy.budget", "less than epsilon"),
        ] {
            let findings = refused(&yaml(asked, "", ""));
            assert!(findings[0].place == place && findings[0].message.contains(words), "{findings:?}");
        }
        for asked in ["epsilon: -1, budget: 5", "epsilon: 0.0000001, budget: 5", "epsilon: 1"] {
            assert!(matches!(Space::parse(&yaml(asked, "", "")), Err(Error::Syntax { .. })), "{asked}");
        }
        let of_user = example::yaml()
            .replace("roles: [user]", "roles: [user]\n    policy: { differential_privacy: { epsilon: 1, budget: 5 } }");
        assert_eq!(refused(&of_user)[0].place, "participants.insights.policy.differential_privacy");
    }

    #[test]
    fn counts_of_rows_and_too_many_holders_do_not_go_with_noise() {
        let phone = "identifiers:\n  phone: { profile: phone-e164-v1, default_region: BE }";
        let with_waterfall = yaml("", "epsilon: 1, budget: 5", "").replacen("identifiers:", phone, 1);
        let findings = refused(&format!("{with_waterfall}analyses: {{ waterfall: [email, phone] }}\n"));
        assert_eq!(findings[0].place, "analyses.waterfall");
        assert!(findings[0].message.contains("participants.acme.policy.differential_privacy"), "{findings:?}");

        let line = "customers: { location: datasets/globex.parquet }\n";
        let allowed = yaml("epsilon: 1, budget: 5", "", "")
            .replace("    policy: {  }\n", "")
            .replace(line, &format!("{line}    policy: {{ lists: [acme] }}\n"));
        let findings =
            refused(&format!("{allowed}analyses: {{ lists: {{ acme: {{ join: inner, kind: email }} }} }}\n"));
        assert_eq!((findings.len(), findings[0].place.as_str()), (1, "analyses.lists"), "{findings:?}");

        let more: String = (4..13_u64)
            .map(|n| {
                let name = crate::testing::name(n);
                format!("  h{n:02}:\n    roles: [holder]\n    name: {name}\n    datasets:\n      customers: {{ location: datasets/h{n}.parquet }}\n")
            })
            .collect();
        let crowded =
            yaml("epsilon: 1, budget: 5", "", "").replacen("  insights:\n", &format!("{more}  insights:\n"), 1);
        let findings = refused(&crowded);
        assert!(findings[0].message.contains("11 holders") && !findings[0].remedy.is_empty(), "{findings:?}");
    }

    #[test]
    fn look_ups_beside_it_are_warned_of() {
        let warned = |yaml: &str| {
            let mut findings = Vec::new();
            Space::parse(yaml).unwrap().check_privacy(&mut findings);
            findings.len()
        };
        assert_eq!(warned(&yaml("epsilon: 1, budget: 5", "", "")), 0);
        assert_eq!(warned(&format!("{}  lookups: {{}}\n", yaml("epsilon: 1, budget: 5", "", ""))), 1);
        assert_eq!(warned(&format!("{}  lookups: {{}}\n", yaml("", "", ""))), 0);
    }
}
