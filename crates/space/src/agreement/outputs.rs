//! Which figures reports may have at all, and which that of a single data user: `outputs` and `outputs_for` of the space's policy and of
//! each participant's.
//!
//! A list allows what it names, and what can be computed of that: a list with `regions` allows `all`, `pairwise` and `at_least` too,
//! which are sums of regions. What is allowed by everybody is published. Whoever has no list allows everything. A list for one user
//! takes more away from that user's report and adds nothing.

use std::collections::{BTreeMap, BTreeSet};

use datafuse_core::id::ParticipantId;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{DeliverPlace, Parts, Policy, Space};
use crate::check::{Finding, Severity};

/// A part of the report that a policy can allow or leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// How many are common to all holders taking part.
    All,
    /// How many each two holders have in common.
    Pairwise,
    /// How many are at so many holders or more.
    AtLeast,
    /// How many are at exactly which holders.
    Regions,
    /// Each holder's way from rows to matches.
    Parties,
    /// How many rows came by which identifier kind.
    Waterfall,
    /// What the kept columns of common customers are like; of pairs, of regions or of all, where these are allowed too.
    Aggregates,
}

impl Output {
    /// All outputs, in the order of the report.
    pub const ALL: [Self; 7] =
        [Self::All, Self::Pairwise, Self::AtLeast, Self::Regions, Self::Parties, Self::Waterfall, Self::Aggregates];

    /// The word for it in `space.yaml`.
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

    /// The outputs that are sums of this one's counts, whatever the number of holders.
    #[must_use]
    pub fn says(self) -> &'static [Self] {
        match self {
            Self::Regions => &[Self::All, Self::Pairwise, Self::AtLeast],
            Self::AtLeast => &[Self::All],
            Self::All | Self::Pairwise | Self::Parties | Self::Waterfall | Self::Aggregates => &[],
        }
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// An output that a report does without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLeftOut<'a> {
    /// Which.
    pub output: Output,
    /// The participant whose list does without it; `None` where the space's does.
    pub set_by: Option<&'a ParticipantId>,
}

impl OutputLeftOut<'_> {
    /// Names whose list does without it: `space`, or a participant.
    #[must_use]
    pub fn set_by_name(&self) -> String {
        self.set_by.map_or_else(|| "space".to_owned(), ToString::to_string)
    }
}

impl Policy {
    /// Whether this policy lets an output be published at all.
    #[must_use]
    pub fn allows(&self, output: Output) -> bool {
        self.outputs.as_ref().is_none_or(|listed| is_in(listed, output))
    }

    /// Whether this policy lets an output be in the report of a data user.
    #[must_use]
    pub fn allows_for(&self, user: &ParticipantId, output: Output) -> bool {
        self.allows(output) && self.outputs_for.get(user).is_none_or(|listed| is_in(listed, output))
    }
}

/// Whether a list names an output, or another that it follows from.
fn is_in(listed: &BTreeSet<Output>, output: Output) -> bool {
    listed.contains(&output) || listed.iter().any(|other| other.says().contains(&output))
}

impl Space {
    /// The outputs that no report has, in the order of the report. Of several that leave one out the space is named, else the first
    /// by name.
    #[must_use]
    pub fn outputs_left_out(&self) -> Vec<OutputLeftOut<'_>> {
        left_out(&self.parts, Policy::allows)
    }

    /// The outputs that the report of a data user does not have, in the order of the report.
    #[must_use]
    pub fn outputs_left_out_for(&self, user: &ParticipantId) -> Vec<OutputLeftOut<'_>> {
        left_out(&self.parts, |policy, output| policy.allows_for(user, output))
    }

    /// The outputs that the report of at least one data user does not have, in the order of the report.
    #[must_use]
    pub fn outputs_left_out_for_some(&self) -> Vec<OutputLeftOut<'_>> {
        left_out_for_some(&self.parts)
    }

    /// The data users whose reports have more than what every user's has, sorted.
    #[must_use]
    pub fn users_with_own_outputs(&self) -> Vec<&ParticipantId> {
        users_with_own(&self.parts)
    }

    /// Looks at what is left out and follows nevertheless from what is published, with as few holders as there are.
    pub(crate) fn check_outputs(&self, findings: &mut Vec<Finding>) {
        let holders = self.holders().count();
        let mut check = |place: &str, left_out: Vec<OutputLeftOut<'_>>| {
            if hides_nothing(holders, &outputs(&left_out)) {
                findings.push(Finding::new(
                    Severity::Warning,
                    place,
                    format!(
                        "regions is left out, and with {holders} holders it can be computed from what is published"
                    ),
                    "leave out parties too, or list regions: leaving it out hides nothing",
                ));
            }
        };
        check("policy.outputs", self.outputs_left_out());
        for (user, _) in self.users() {
            let left_out = self.outputs_left_out_for(user);
            if left_out != self.outputs_left_out() {
                check(&format!("policy.outputs_for.{user}"), left_out);
            }
        }
    }
}

/// Whether regions are left out and follow from what is published. The funnels settle two holders, with one number more three; four need
/// every pair. With five there are more groups than figures.
fn hides_nothing(holders: usize, left_out: &BTreeSet<Output>) -> bool {
    let shown = |output: Output| !left_out.contains(&output);
    let settled = match holders {
        2 => true,
        3 => [Output::All, Output::Pairwise, Output::AtLeast].into_iter().any(shown),
        4 => shown(Output::Pairwise) && shown(Output::All),
        _ => false,
    };
    settled && shown(Output::Parties) && !shown(Output::Regions)
}

/// The outputs that somebody does not allow, with the first who does not: the space, else by name.
fn left_out(parts: &Parts, allows: impl Fn(&Policy, Output) -> bool) -> Vec<OutputLeftOut<'_>> {
    let find = |output: Output| {
        if !allows(&parts.policy, output) {
            return Some(OutputLeftOut { output, set_by: None });
        }
        let mut participants = parts.participants.iter();
        let (id, _) = participants.find(|(_, participant)| !allows(&participant.policy, output))?;
        Some(OutputLeftOut { output, set_by: Some(id) })
    };
    Output::ALL.into_iter().filter_map(find).collect()
}

fn left_out_for(parts: &Parts, user: &ParticipantId) -> BTreeSet<Output> {
    outputs(&left_out(parts, |policy, output| policy.allows_for(user, output)))
}

fn left_out_for_some(parts: &Parts) -> Vec<OutputLeftOut<'_>> {
    let users: Vec<_> = users(parts).collect();
    left_out(parts, |policy, output| policy.allows(output) && users.iter().all(|user| policy.allows_for(user, output)))
}

fn users_with_own(parts: &Parts) -> Vec<&ParticipantId> {
    let common = outputs(&left_out_for_some(parts));
    users(parts).filter(|user| left_out_for(parts, user) != common).collect()
}

fn users(parts: &Parts) -> impl Iterator<Item = &ParticipantId> {
    parts.participants.iter().filter(|(_, participant)| participant.is_user()).map(|(id, _)| id)
}

fn outputs(left_out: &[OutputLeftOut<'_>]) -> BTreeSet<Output> {
    left_out.iter().map(|entry| entry.output).collect()
}

/// Checks that there is something left to publish, to every user, and that reports which differ go to different places.
pub(super) fn conclude(parts: &Parts, findings: &mut Vec<Finding>) {
    let asked_for = |output: &Output| match output {
        Output::Waterfall => !parts.analyses.waterfall.is_empty(),
        Output::Aggregates => !parts.analyses.aggregates.is_empty(),
        _ => true,
    };
    let says_nothing = |left_out: &BTreeSet<Output>| {
        Output::ALL.iter().filter(|output| asked_for(output)).all(|o| left_out.contains(o))
    };
    if says_nothing(&outputs(&left_out(parts, Policy::allows))) {
        findings.push(Finding::error(
            "policy.outputs",
            "no output is allowed by the space and all its participants: reports would say nothing",
            "agree on at least one, such as all",
        ));
        return;
    }
    let own =
        parts.participants.iter().map(|(id, participant)| (format!("participants.{id}.policy"), &participant.policy));
    for (place, policy) in std::iter::once(("policy".to_owned(), &parts.policy)).chain(own) {
        for user in policy.outputs_for.keys().filter(|user| !users(parts).any(|known| known == *user)) {
            findings.push(Finding::error(
                format!("{place}.outputs_for"),
                format!("'{user}' is no user of this space, and receives no report"),
                "name users of the space, or remove it",
            ));
        }
    }
    for user in users(parts).filter(|user| says_nothing(&left_out_for(parts, user))) {
        findings.push(Finding::error(
            format!("policy.outputs_for.{user}"),
            format!(
                "no output is allowed for '{user}' by the space and all its participants: its report would say nothing"
            ),
            "agree on at least one, such as all; or remove the user",
        ));
    }
    one_place_each(parts, findings);
}

/// Refuses a place in which two users would find each other's report: one event has one folder there.
fn one_place_each(parts: &Parts, findings: &mut Vec<Finding>) {
    let own = users_with_own(parts);
    let mut taken: BTreeMap<String, &ParticipantId> = BTreeMap::new();
    for user in users(parts) {
        for place in parts.participants[user].deliver.iter().map(DeliverPlace::tidied) {
            let Some(other) = taken.insert(place, user).filter(|other| own.contains(other) || own.contains(&user))
            else {
                continue;
            };
            findings.push(Finding::error(
                format!("participants.{user}.deliver"),
                format!("the reports of '{other}' and '{user}' differ (outputs_for) and would go to one place"),
                "give each of them a place of its own",
            ));
        }
    }
}

/// The list as it stands in a space file.
pub(super) fn to_yaml(outputs: &BTreeSet<Output>) -> String {
    format!("[{}]", outputs.iter().map(|output| output.as_str()).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Error, agreement::example};

    fn space(own: &str, acme: &str, insights: &str) -> Result<Space, Error> {
        let line = |list: &str| match list {
            "" => String::new(),
            list => format!("outputs: {list}"),
        };
        let yaml = example::yaml()
            .replacen("  acme:\n", &format!("  acme:\n    policy: {{ {} }}\n", line(acme)), 1)
            .replacen("  insights:\n", &format!("  insights:\n    policy: {{ {} }}\n", line(insights)), 1);
        Space::parse(&format!("{yaml}  {}\n", line(own)))
    }

    fn names(space: &Space) -> Vec<String> {
        space.outputs_left_out().iter().map(|left| format!("{} by {}", left.output, left.set_by_name())).collect()
    }

    #[test]
    fn without_a_list_everything_is_allowed() {
        assert_eq!(names(&space("", "", "").unwrap()), [""; 0]);
        assert!(!example::space().to_yaml().contains("outputs: ["));
    }

    #[test]
    fn what_everybody_allows_is_published_and_the_first_who_does_not_is_named() {
        let space = space("[all, pairwise, parties]", "[all, parties]", "[all, pairwise]").unwrap();
        let expected = [
            "pairwise by acme",
            "at_least by space",
            "regions by space",
            "parties by insights",
            "waterfall by space",
            "aggregates by space",
        ];
        assert_eq!(names(&space), expected);
        let again = Space::parse(&space.to_yaml()).unwrap();
        assert_eq!(again, space);
        assert_eq!(names(&again), expected);
    }

    #[test]
    fn a_list_allows_what_can_be_computed_of_it() {
        let left = names(&space("[regions]", "[all, pairwise]", "").unwrap());
        assert_eq!(
            left,
            ["at_least by acme", "regions by acme", "parties by space", "waterfall by space", "aggregates by space"]
        );
        let left = names(&space("[at_least]", "", "").unwrap());
        assert!(
            !left.contains(&"all by space".to_owned()) && left.contains(&"pairwise by space".to_owned()),
            "{left:?}"
        );
    }

    #[test]
    fn lists_that_leave_nothing_are_refused() {
        for (own, acme) in [("[]", ""), ("[all]", "[parties]"), ("[waterfall]", "")] {
            let Err(Error::Contract { findings, .. }) = space(own, acme, "") else { unreachable!("{own} {acme}") };
            assert!(findings.iter().any(|finding| finding.message.contains("no output is allowed")), "{findings:?}");
        }
        let Err(error) = space("[all, groups]", "", "") else { unreachable!() };
        assert!(error.to_string().contains("known here: all, pairwise"), "{error}");
    }

    /// The example, whose user is `insights`, with the users `office` and `press`; all deliver to these places.
    fn with_users(own: &str, acme: &str, places: [&str; 3]) -> Result<Space, Error> {
        let user = |(name, place): (&str, &str)| format!("  {name}:\n    roles: [user]\n    deliver: {place}\n");
        let users: Vec<_> = ["office", "press", "insights"].into_iter().zip(places).map(user).collect();
        let yaml = example::yaml().replacen("  acme:\n", &format!("  acme:\n    policy: {{ {acme} }}\n"), 1).replacen(
            "  insights:\n    roles: [user]\n",
            &users.concat(),
            1,
        );
        Space::parse(&format!("{yaml}  {own}\n"))
    }

    #[test]
    fn a_list_for_one_user_takes_away_from_that_users_report_alone() {
        let places = ["a", "b", "c"];
        let space = with_users(
            "outputs_for: { press: [regions] }",
            "outputs_for: { press: [at_least], office: [all] }",
            places,
        );
        let space = space.unwrap();
        let left_out_for = |user: &str| -> Vec<String> {
            let left_out = space.outputs_left_out_for(&user.parse().unwrap());
            left_out.iter().map(|left| format!("{} by {}", left.output, left.set_by_name())).collect()
        };
        assert_eq!(names(&space), [""; 0]);
        assert_eq!(left_out_for("insights"), [""; 0]);
        let of_press =
            ["pairwise by acme", "regions by acme", "parties by space", "waterfall by space", "aggregates by space"];
        assert_eq!(left_out_for("press"), of_press);
        assert_eq!(left_out_for("office")[..2], ["pairwise by acme", "at_least by acme"]);
        let of_some: Vec<_> = space.outputs_left_out_for_some().iter().map(|left| left.output).collect();
        assert_eq!(of_some[..3], [Output::Pairwise, Output::AtLeast, Output::Regions]);
        // The office gets what everybody gets.
        assert_eq!(space.users_with_own_outputs(), [&"insights".parse().unwrap(), &"press".parse().unwrap()]);
        let again = Space::parse(&space.to_yaml()).unwrap();
        assert_eq!(again, space);
        assert!(example::space().users_with_own_outputs().is_empty());
    }

    #[test]
    fn users_whose_reports_differ_have_places_of_their_own() {
        let refused = |own: &str, places: [&str; 3]| match with_users(own, "", places) {
            Ok(_) => String::new(),
            Err(Error::Contract { findings, .. }) => findings[0].message.clone(),
            Err(error) => error.to_string(),
        };
        let own = "outputs_for: { press: [all] }";
        assert_eq!(refused(own, ["a", "b", "c"]), "");
        assert!(refused(own, ["a", "./a", "c"]).contains("'office' and 'press' differ"));
        assert!(refused(own, ["s3://bucket/x", "c", "s3://bucket/x/"]).contains("'insights' and 'office' differ"));
        assert_eq!(refused("outputs_for: { press: [all], office: [all], insights: [all] }", ["a", "a", "a"]), "");
        assert!(refused("outputs_for: { press: [] }", ["a", "b", "c"]).contains("no output is allowed for 'press'"));
        assert!(refused("outputs_for: { acme: [all] }", ["a", "b", "c"]).contains("'acme' is no user of this space"));
    }

    #[test]
    fn says_where_leaving_regions_out_hides_nothing() {
        let warned = |own: &str| {
            let mut findings = Vec::new();
            space(own, "", "").unwrap().check_outputs(&mut findings);
            findings.iter().any(|finding| finding.message.contains("with 2 holders it can be computed"))
        };
        assert!(warned("[all, parties]") && warned("[parties]"));
        assert!(!warned("[all, pairwise]") && !warned("[all, regions, parties]") && !warned("[all, at_least]"));
    }
}
