//! Who may look customers up, and what the answer says: `policy.lookups` of the agreement and of each holder.
//!
//! Without a section of the agreement's own nobody may. A holder's section is about what it brings: of all sections that concern a
//! look-up the strictest wins, and a holder that allows none is not looked at.

use std::collections::BTreeSet;

use datafuse_core::id::ParticipantId;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Participant, Parts, Space, document::Text};
use crate::check::Finding;

/// How many tokens an asker may look up in a day, where the agreement does not say.
pub const LOOKUPS_PER_DAY: u64 = 100;

/// What is allowed of look-ups.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LookupsSection {
    /// Whether look-ups are allowed.
    #[serde(default = "yes")]
    #[schemars(extend("default" = true))]
    allowed: bool,
    /// The holders that may ask; without this all.
    askers: Option<Vec<Text<ParticipantId>>>,
    /// What the answer says of a customer: whether it is known (`yes_no`), or at how many holders (`count`).
    #[schemars(extend("default" = "yes_no"))]
    answer: Option<LookupAnswerForm>,
    /// At how many other holders a customer has to be known to count as known.
    #[schemars(range(min = 1), extend("default" = 1))]
    at_least: Option<u32>,
    /// How many tokens an asker may look up in a day (UTC).
    #[schemars(extend("default" = 100))]
    per_day: Option<u64>,
    /// The smallest dataset, in rows with the identifier, that is looked at.
    #[schemars(extend("default" = 1))]
    min_rows: Option<u64>,
    /// The holders in whose name bare tokens may ask, which are neither sealed nor signed; without this, in the agreement's own
    /// section none.
    bare: Option<Vec<Text<ParticipantId>>>,
}

/// What an answer says of a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LookupAnswerForm {
    /// Whether it is known at enough holders.
    YesNo,
    /// At how many holders it is known, where these are enough.
    Count,
}

impl LookupAnswerForm {
    /// The word for it in `space.yaml`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::YesNo => "yes_no",
            Self::Count => "count",
        }
    }
}

/// One section, as the agreement or a participant wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookups {
    /// Whether look-ups are allowed.
    pub allowed: bool,
    /// Who may ask; `None` for every holder.
    pub askers: Option<BTreeSet<ParticipantId>>,
    /// What the answer says.
    pub answer: Option<LookupAnswerForm>,
    /// At how many other holders a customer has to be known.
    pub at_least: Option<u32>,
    /// Tokens of an asker in a day.
    pub per_day: Option<u64>,
    /// The smallest dataset that is looked at, in rows.
    pub min_rows: Option<u64>,
    /// In whose name bare tokens may ask; `None` for nobody in the agreement's own section, and for no objection in a holder's.
    pub bare: Option<BTreeSet<ParticipantId>>,
}

impl Lookups {
    fn lets(&self, asker: &ParticipantId) -> bool {
        self.allowed && self.askers.as_ref().is_none_or(|askers| askers.contains(asker))
    }

    /// Whether this section has nothing against a bare token in the name of somebody.
    fn bears(&self, asker: &ParticipantId) -> bool {
        self.bare.as_ref().is_none_or(|bare| bare.contains(asker))
    }

    /// Writes the section as one line of YAML.
    #[must_use]
    pub(super) fn to_yaml(&self) -> String {
        let mut fields = Vec::new();
        if !self.allowed {
            fields.push("allowed: false".to_owned());
        }
        for (field, names) in [("askers", &self.askers), ("bare", &self.bare)] {
            if let Some(names) = names {
                let names: Vec<_> = names.iter().map(|id| super::to_yaml::scalar(id.as_str())).collect();
                fields.push(format!("{field}: [{}]", names.join(", ")));
            }
        }
        fields.extend(self.answer.map(|answer| format!("answer: {}", answer.as_str())));
        fields.extend(self.at_least.map(|at_least| format!("at_least: {at_least}")));
        fields.extend(self.per_day.map(|per_day| format!("per_day: {per_day}")));
        fields.extend(self.min_rows.map(|min_rows| format!("min_rows: {min_rows}")));
        format!("{{ {} }}", fields.join(", "))
    }
}

impl From<LookupsSection> for Lookups {
    fn from(section: LookupsSection) -> Self {
        Self {
            allowed: section.allowed,
            askers: section.askers.map(|askers| askers.into_iter().map(|id| id.0).collect()),
            bare: section.bare.map(|bare| bare.into_iter().map(|id| id.0).collect()),
            answer: section.answer,
            at_least: section.at_least,
            per_day: section.per_day,
            min_rows: section.min_rows,
        }
    }
}

/// What holds for the look-ups of one asker, the strictest of all that are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupPolicy {
    /// The holders whose datasets are looked at, sorted; never the asker.
    pub holders: BTreeSet<ParticipantId>,
    /// What the answer says.
    pub answer: LookupAnswerForm,
    /// At how many of these holders a customer has to be known.
    pub at_least: u32,
    /// Tokens of the asker in a day.
    pub per_day: u64,
    /// The smallest dataset that is looked at, in rows.
    pub min_rows: u64,
}

impl Space {
    /// Whether the agreement allows look-ups at all.
    #[must_use]
    pub fn allows_lookups(&self) -> bool {
        self.parts.policy.lookups.as_ref().is_some_and(|lookups| lookups.allowed)
    }

    /// The holders in whose name bare tokens may ask, which are neither sealed nor signed.
    pub fn bare_askers(&self) -> impl Iterator<Item = &ParticipantId> {
        let own = self.parts.policy.lookups.as_ref().filter(|own| own.allowed);
        own.into_iter().flat_map(|own| own.bare.iter().flatten().filter(|asker| own.lets(asker)))
    }

    /// What holds for bare tokens in the name of a holder; `None` where none are answered.
    #[must_use]
    pub fn bare_lookup_policy(&self, asker: &ParticipantId) -> Option<LookupPolicy> {
        self.bare_askers().any(|allowed| allowed == asker).then_some(())?;
        self.policy_towards(asker, |section| section.lets(asker) && section.bears(asker))
    }

    /// What holds for the look-ups of a holder; `None` where it may make none.
    #[must_use]
    pub fn lookup_policy(&self, asker: &ParticipantId) -> Option<LookupPolicy> {
        self.policy_towards(asker, |section| section.lets(asker))
    }

    /// What holds for an asker, where the sections of holders say which of them are looked at.
    fn policy_towards(&self, asker: &ParticipantId, lets: impl Fn(&Lookups) -> bool) -> Option<LookupPolicy> {
        let own = self.parts.policy.lookups.as_ref().filter(|own| own.lets(asker))?;
        if !self.parts.participants.get(asker)?.is_holder() {
            return None;
        }
        let others = self.holders().filter(|(id, _)| *id != asker);
        let looked_at: Vec<_> = others.filter(|(_, holder)| holder.policy.lookups.as_ref().is_none_or(&lets)).collect();
        let sections =
            || std::iter::once(own).chain(looked_at.iter().filter_map(|(_, holder)| holder.policy.lookups.as_ref()));
        Some(LookupPolicy {
            answer: sections()
                .map(|section| {
                    section.answer.unwrap_or(if std::ptr::eq(section, own) {
                        LookupAnswerForm::YesNo
                    } else {
                        LookupAnswerForm::Count
                    })
                })
                .min()
                .unwrap_or(LookupAnswerForm::YesNo),
            at_least: sections().filter_map(|section| section.at_least).max().unwrap_or(1),
            per_day: std::iter::once(own.per_day.unwrap_or(LOOKUPS_PER_DAY))
                .chain(sections().filter_map(|section| section.per_day))
                .min()
                .unwrap_or(0),
            min_rows: sections().filter_map(|section| section.min_rows).max().unwrap_or(1),
            holders: looked_at.iter().map(|(id, _)| (*id).clone()).collect(),
        })
    }
}

/// Checks that askers are holders, as nobody else has tokens, and that a customer known nowhere is not known.
pub(super) fn conclude(parts: &Parts, findings: &mut Vec<Finding>) {
    let own = parts.policy.lookups.iter().map(|section| ("policy.lookups".to_owned(), section));
    let holders = parts.participants.iter().filter_map(|(id, participant)| {
        Some((format!("participants.{id}.policy.lookups"), participant.policy.lookups.as_ref()?))
    });
    for (place, section) in own.chain(holders) {
        let is_holder = |id| parts.participants.get(id).is_some_and(Participant::is_holder);
        if section.askers.iter().flatten().any(|id| !is_holder(id)) {
            findings.push(Finding::error(
                format!("{place}.askers"),
                "an asker is not a data holder of this space",
                "name data holders: only they make tokens",
            ));
        }
        if section.bare.iter().flatten().any(|id| !is_holder(id)) {
            findings.push(Finding::error(
                format!("{place}.bare"),
                "a bare token is to ask in the name of somebody who is not a data holder of this space",
                "name data holders: only they make tokens",
            ));
        }
        if section.at_least == Some(0) {
            findings.push(Finding::error(
                format!("{place}.at_least"),
                "a customer cannot count as known at no holder",
                "write 1 or more",
            ));
        }
    }
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::agreement::example;

    fn space(own: &str, acme: &str, globex: &str) -> Space {
        let with = |yaml: String, holder: &str, section: &str| match section {
            "" => yaml,
            section => yaml.replacen(
                &format!("  {holder}:\n"),
                &format!("  {holder}:\n    policy: {{ lookups: {section} }}\n"),
                1,
            ),
        };
        let mut yaml = with(with(example::yaml(), "acme", acme), "globex", globex);
        if !own.is_empty() {
            yaml.push_str(&format!("  lookups: {own}\n"));
        }
        let space = Space::parse(&yaml).unwrap();
        assert_eq!(Space::parse(&space.to_yaml()).unwrap(), space);
        space
    }

    fn policy(space: &Space, asker: &str) -> Option<LookupPolicy> {
        space.lookup_policy(&asker.parse().unwrap())
    }

    #[test]
    fn without_a_section_nobody_may_look_up() {
        assert!(!space("", "{ per_day: 5 }", "").allows_lookups());
        assert_eq!(policy(&space("", "{ per_day: 5 }", ""), "acme"), None);
        assert_eq!(policy(&space("{ allowed: false }", "", ""), "acme"), None);
        assert_eq!(policy(&space("{ askers: [globex] }", "", ""), "acme"), None);
        // A data user has no token key.
        assert_eq!(policy(&space("{}", "", ""), "insights"), None);
    }

    #[test]
    fn the_usual_values_are_strict() {
        let found = policy(&space("{}", "", ""), "acme").unwrap();
        assert_eq!(found.answer, LookupAnswerForm::YesNo);
        assert_eq!((found.at_least, found.per_day, found.min_rows), (1, LOOKUPS_PER_DAY, 1));
        assert_eq!(found.holders, ["globex".parse().unwrap()].into());
    }

    #[test]
    fn the_strictest_of_those_concerned_wins() {
        let own = "{ answer: count, at_least: 1, per_day: 50, min_rows: 10 }";
        let strict = "{ answer: yes_no, at_least: 2, per_day: 7, min_rows: 100 }";
        let found = policy(&space(own, "", strict), "acme").unwrap();
        assert_eq!(found.answer, LookupAnswerForm::YesNo);
        assert_eq!((found.at_least, found.per_day, found.min_rows), (2, 7, 100));
        // What globex asks of others is not about what globex asks itself.
        let found = policy(&space(own, "", strict), "globex").unwrap();
        assert_eq!(found.answer, LookupAnswerForm::Count);
        assert_eq!((found.at_least, found.per_day, found.min_rows), (1, 50, 10));
        // A laxer section changes nothing.
        let lax = policy(&space(own, "", "{ answer: count, per_day: 1000, min_rows: 1 }"), "acme").unwrap();
        assert_eq!((lax.answer, lax.per_day, lax.min_rows), (LookupAnswerForm::Count, 50, 10));
    }

    #[test]
    fn a_holder_that_allows_none_is_not_looked_at() {
        assert!(policy(&space("{}", "", "{ allowed: false }"), "acme").unwrap().holders.is_empty());
        assert!(policy(&space("{}", "", "{ askers: [globex] }"), "acme").unwrap().holders.is_empty());
    }

    #[test]
    fn an_asker_that_is_nobody_and_zero_holders_are_refused() {
        for section in ["{ askers: [nobody] }", "{ at_least: 0 }", "{ askers: [insights] }", "{ bare: [insights] }"] {
            let yaml = format!("{}  lookups: {section}\n", example::yaml());
            assert!(Space::parse(&yaml).is_err(), "{section}");
        }
    }

    #[test]
    fn bare_tokens_ask_only_for_whom_the_agreement_names() {
        let bare = |space: &Space, asker: &str| space.bare_lookup_policy(&asker.parse().unwrap());
        for section in ["", "{}", "{ bare: [] }", "{ bare: [globex] }", "{ bare: [acme], allowed: false }"] {
            assert_eq!(bare(&space(section, "", ""), "acme"), None, "{section}");
        }
        // Who may not ask at all may not ask so.
        let narrowed = space("{ bare: [acme], askers: [globex] }", "", "");
        assert_eq!((bare(&narrowed, "acme"), narrowed.bare_askers().count()), (None, 0));
        // Only the agreement's own section allows it.
        assert_eq!(bare(&space("{}", "{ bare: [acme] }", "{ bare: [acme] }"), "acme"), None);
        let both = space("{ bare: [acme], per_day: 9 }", "", "{ per_day: 7 }");
        assert_eq!(bare(&both, "acme"), policy(&both, "acme"));
        assert_eq!(bare(&both, "acme").unwrap().per_day, 7);
    }

    #[test]
    fn a_holder_may_keep_bare_tokens_from_its_datasets_alone() {
        let space = space("{ bare: [acme] }", "", "{ bare: [], per_day: 1 }");
        let bare = space.bare_lookup_policy(&"acme".parse().unwrap()).unwrap();
        assert!(bare.holders.is_empty());
        assert_eq!(policy(&space, "acme").unwrap().holders, ["globex".parse().unwrap()].into());
    }
}
