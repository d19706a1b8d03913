//! What may come out: the rules of the space and of each participant, and which of them is the strictest.
//!
//! A rule that somebody leaves out asks for nothing. [`Space::strictest`] compares the space's own with those of the participants
//! concerned; who is concerned, and what follows from a rule, is the workload's to know.

use std::collections::{BTreeMap, BTreeSet};

use datafuse_core::id::ParticipantId;

use super::{ColumnUse, DifferentialPrivacy, Lookups, Output, Parts, Space};
use crate::check::Finding;

/// What the space, or one participant of it, asks of what may come out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The smallest count of distinct identifiers that a report may show.
    pub min_count: Option<u64>,
    /// The fewest distinct identifiers of a kind that a dataset may have.
    pub min_dataset_size: Option<u64>,
    /// The most distinct identifiers of a kind that a dataset may have.
    pub max_dataset_size: Option<u64>,
    /// How many different reports may be made in a day (UTC) of each two datasets.
    pub reports_per_pair_per_day: Option<u64>,
    /// By how many identifiers a dataset has to differ from each that was reported with the same partner before.
    pub differencing_guard: Option<u64>,
    /// To multiples of what the counts of a report are rounded.
    pub rounding: Option<u64>,
    /// The parts that a report may have; all of them where there is no list.
    pub outputs: Option<BTreeSet<Output>>,
    /// The parts that the report of a data user may have, of those that every report may have; all of them for whom it does not name.
    pub outputs_for: BTreeMap<ParticipantId, BTreeSet<Output>>,
    /// How much noise the figures of a report have, and how much a dataset may lose in all.
    pub differential_privacy: Option<DifferentialPrivacy>,
    /// The holders that may learn which of their own rows this participant has too, as the file says.
    pub lists: Vec<ParticipantId>,
    /// Whether and how holders may look single customers up.
    pub lookups: Option<Lookups>,
    /// What may be done with each kept column of a holder; what is not named is not used.
    pub columns: BTreeMap<String, BTreeSet<ColumnUse>>,
}

/// A rule with a limit: about whether a report is made at all, or how exactly it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// [`Policy::min_dataset_size`]; the largest is the strictest.
    MinDatasetSize,
    /// [`Policy::max_dataset_size`]; the smallest is the strictest.
    MaxDatasetSize,
    /// [`Policy::reports_per_pair_per_day`]; the smallest is the strictest.
    ReportsPerPairPerDay,
    /// [`Policy::differencing_guard`]; the largest is the strictest.
    DifferencingGuard,
    /// [`Policy::rounding`]; the largest is the strictest.
    Rounding,
}

impl Rule {
    /// All rules, in the order of the space file.
    pub const ALL: [Self; 5] = [
        Self::MinDatasetSize,
        Self::MaxDatasetSize,
        Self::ReportsPerPairPerDay,
        Self::DifferencingGuard,
        Self::Rounding,
    ];

    /// The largest guard: what a workload remembers of a reported dataset tells differences apart up to here.
    pub const LARGEST_GUARD: u64 = 10_000;

    /// Its name in `space.yaml`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MinDatasetSize => "min_dataset_size",
            Self::MaxDatasetSize => "max_dataset_size",
            Self::ReportsPerPairPerDay => "reports_per_pair_per_day",
            Self::DifferencingGuard => "differencing_guard",
            Self::Rounding => "rounding",
        }
    }

    /// What a policy asks by this rule.
    #[must_use]
    pub fn of(self, policy: &Policy) -> Option<u64> {
        match self {
            Self::MinDatasetSize => policy.min_dataset_size,
            Self::MaxDatasetSize => policy.max_dataset_size,
            Self::ReportsPerPairPerDay => policy.reports_per_pair_per_day,
            Self::DifferencingGuard => policy.differencing_guard,
            Self::Rounding => policy.rounding,
        }
    }

    /// Whether it is about the figures of a report, which concern everybody, and not about datasets, which concern those who bring
    /// them and those who meet them.
    #[must_use]
    pub fn concerns_everybody(self) -> bool {
        self == Self::Rounding
    }

    fn is_stricter(self, one: u64, other: u64) -> bool {
        match self {
            Self::MinDatasetSize | Self::DifferencingGuard | Self::Rounding => one > other,
            Self::MaxDatasetSize | Self::ReportsPerPairPerDay => one < other,
        }
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// The strictest of several limits, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strictest<'a> {
    /// The limit.
    pub limit: u64,
    /// The participant that asks for it; `None` where the space does, alone or too.
    pub set_by: Option<&'a ParticipantId>,
}

impl Strictest<'_> {
    /// Names who asks for it: `space`, or a participant.
    #[must_use]
    pub fn set_by_name(&self) -> String {
        self.set_by.map_or_else(|| "space".to_owned(), ToString::to_string)
    }
}

impl Space {
    /// The strictest limit that the space and these participants ask by a rule, or all participants where the rule concerns
    /// everybody; `None` where none of them asks for any. Of equal ones the space's is named, then the first by name.
    #[must_use]
    pub fn strictest<'a>(&'a self, rule: Rule, concerned: &[&ParticipantId]) -> Option<Strictest<'a>> {
        let own = rule.of(&self.parts.policy).map(|limit| Strictest { limit, set_by: None });
        let asked = |id: &ParticipantId| rule.concerns_everybody() || concerned.contains(&id);
        let theirs = self.participants().filter(|(id, _)| asked(id)).filter_map(|(id, participant)| {
            rule.of(&participant.policy).map(|limit| Strictest { limit, set_by: Some(id) })
        });
        own.into_iter().chain(theirs).reduce(|first, next| match rule.is_stricter(next.limit, first.limit) {
            true => next,
            false => first,
        })
    }
}

/// Checks that every rule says something that can be kept.
pub(super) fn conclude(parts: &Parts, findings: &mut Vec<Finding>) {
    rules(&parts.policy, "policy", findings);
    for (id, participant) in &parts.participants {
        let place = format!("participants.{id}.policy");
        rules(&participant.policy, &place, findings);
        if !participant.is_holder() {
            let about_datasets = |rule: &Rule| !rule.concerns_everybody() && rule.of(&participant.policy).is_some();
            for rule in Rule::ALL.into_iter().filter(about_datasets) {
                findings.push(Finding::error(
                    format!("{place}.{rule}"),
                    "only holders have datasets that it could protect",
                    "remove it here, or set it in the space's own policy",
                ));
            }
        }
    }
    sizes(parts, findings);
}

fn rules(policy: &Policy, place: &str, findings: &mut Vec<Finding>) {
    if policy.min_count == Some(0) {
        findings.push(Finding::error(
            format!("{place}.min_count"),
            "the smallest count to show cannot be 0",
            "write 1 to show every count, or more to hide small ones",
        ));
    }
    for rule in Rule::ALL {
        let place = format!("{place}.{rule}");
        match rule.of(policy) {
            Some(0) => findings.push(Finding::error(
                place,
                "the limit cannot be 0",
                "write 1 or more, or remove the line: then there is no limit",
            )),
            Some(limit) if rule == Rule::DifferencingGuard && limit > Rule::LARGEST_GUARD => {
                findings.push(Finding::error(
                    place,
                    format!("the guard is larger than {}", Rule::LARGEST_GUARD),
                    format!("write {} or less", Rule::LARGEST_GUARD),
                ));
            }
            _ => {}
        }
    }
}

/// A smallest size above a largest one would refuse every dataset.
fn sizes(parts: &Parts, findings: &mut Vec<Finding>) {
    let holders = parts.participants.iter().filter(|(_, participant)| participant.is_holder());
    let all: Vec<_> = std::iter::once(("policy".to_owned(), &parts.policy))
        .chain(holders.map(|(id, participant)| (format!("participants.{id}.policy"), &participant.policy)))
        .collect();
    for (place, policy) in &all {
        let Some(smallest) = policy.min_dataset_size else { continue };
        let above = all.iter().find(|(_, other)| other.max_dataset_size.is_some_and(|largest| largest < smallest));
        if let Some((other, _)) = above {
            findings.push(Finding::error(
                format!("{place}.min_dataset_size"),
                format!("it is more than {other}.max_dataset_size, so every dataset would be refused"),
                "agree on a smallest size that is not above the largest",
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Error, agreement::example};

    fn space(own: &str, acme: &str, globex: &str) -> Result<Space, Error> {
        let mut text = example::yaml().replace("min_count: 1", &format!("min_count: 1\n  {own}"));
        for (holder, policy) in [("acme", acme), ("globex", globex)] {
            let line = format!("customers: {{ location: datasets/{holder}.parquet }}\n");
            let with = text.replace(&line, &format!("{line}    policy: {{ {policy} }}\n"));
            assert_ne!(text, with);
            text = with;
        }
        Space::parse(&text)
    }

    fn strictest(space: &Space, rule: Rule, concerned: &[&str]) -> Option<(u64, String)> {
        let ids: Vec<ParticipantId> = concerned.iter().map(|id| id.parse().unwrap()).collect();
        let found = space.strictest(rule, &ids.iter().collect::<Vec<_>>())?;
        Some((found.limit, found.set_by_name()))
    }

    #[test]
    fn the_strictest_rule_of_those_concerned_wins() {
        let space = space(
            "max_dataset_size: 900",
            "min_dataset_size: 10, max_dataset_size: 900, reports_per_pair_per_day: 3, differencing_guard: 5",
            "min_dataset_size: 20, max_dataset_size: 800, reports_per_pair_per_day: 2",
        )
        .unwrap();
        let both = ["acme", "globex"];
        let found = |rule, of: &[&str]| strictest(&space, rule, of);
        let by = |limit, who: &str| Some((limit, who.to_owned()));
        assert_eq!(found(Rule::MinDatasetSize, &both), by(20, "globex"));
        assert_eq!(found(Rule::MinDatasetSize, &["acme"]), by(10, "acme"));
        assert_eq!(found(Rule::MinDatasetSize, &[]), None);
        assert_eq!(found(Rule::MaxDatasetSize, &both), by(800, "globex"));
        assert_eq!(found(Rule::MaxDatasetSize, &["acme"]), by(900, "space"));
        assert_eq!(found(Rule::ReportsPerPairPerDay, &both), by(2, "globex"));
        assert_eq!(found(Rule::DifferencingGuard, &both), by(5, "acme"));
        assert_eq!(found(Rule::DifferencingGuard, &["globex"]), None);
        assert_eq!(Space::parse(&space.to_yaml()).unwrap(), space);
    }

    #[test]
    fn rounding_concerns_everybody_data_users_too() {
        let space = space("rounding: 10", "rounding: 5", "").unwrap();
        assert_eq!(strictest(&space, Rule::Rounding, &[]), Some((10, "space".to_owned())));
        let yaml = space.to_yaml().replace("roles: [user]", "roles: [user]\n    policy: { rounding: 100 }");
        let space = Space::parse(&yaml).unwrap();
        assert_eq!(strictest(&space, Rule::Rounding, &["acme"]), Some((100, "insights".to_owned())));
        assert_eq!(Space::parse(&space.to_yaml()).unwrap(), space);
    }

    #[test]
    fn rules_that_cannot_be_kept_are_refused_with_their_place() {
        for (own, acme, globex, place, words) in [
            ("min_dataset_size: 0", "", "", "policy.min_dataset_size", "cannot be 0"),
            ("", "reports_per_pair_per_day: 0", "", "participants.acme.policy.reports_per_pair_per_day", "cannot be 0"),
            ("differencing_guard: 10001", "", "", "policy.differencing_guard", "larger than 10000"),
            ("rounding: 0", "", "", "policy.rounding", "cannot be 0"),
            (
                "",
                "min_dataset_size: 6",
                "max_dataset_size: 5",
                "participants.acme.policy.min_dataset_size",
                "participants.globex.policy.max_dataset_size",
            ),
        ] {
            let Err(Error::Contract { findings, .. }) = space(own, acme, globex) else { unreachable!("{own}{acme}") };
            assert_eq!(findings.len(), 1, "{findings:#?}");
            assert_eq!(findings[0].place, place);
            assert!(findings[0].message.contains(words) && !findings[0].remedy.is_empty(), "{findings:#?}");
        }
        let text = example::yaml().replace("roles: [user]", "roles: [user]\n    policy: { min_dataset_size: 5 }");
        let Err(Error::Contract { findings, .. }) = Space::parse(&text) else { unreachable!() };
        assert_eq!(findings[0].place, "participants.insights.policy.min_dataset_size");
    }
}
