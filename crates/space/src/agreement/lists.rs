//! Who receives a list of its own rows that other holders have too: `analyses.lists` of the agreement, and `policy.lists` of each holder.
//!
//! A list tells its receiver of single rows whether another holder has them. So the agreement alone does not do: every other holder
//! in it has to name the receiver in its own policy.

use std::{collections::BTreeMap, fmt::Write};

use datafuse_core::{
    id::{KindName, ParticipantId},
    list::Join,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Parts, Space, document::Text, to_yaml::scalar};
use crate::check::Finding;

/// The list of one holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Which of its rows.
    pub join: Join,
    /// The identifier kind.
    pub kind: KindName,
    /// The other holders, as the file says; empty for all ([`Space::list_with`] says who they are).
    pub with: Vec<ParticipantId>,
}

/// A list of a holder's own rows.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "List")]
pub(super) struct Document {
    /// Which rows: those that every other holder in it has too (inner), those that none of them has (difference), or all, each with
    /// the number of them that have it (left).
    join: JoinWord,
    /// The identifier kind that rows are matched by.
    kind: Text<KindName>,
    /// The other holders; without this all.
    #[serde(default)]
    #[schemars(extend("uniqueItems" = true))]
    with: Vec<Text<ParticipantId>>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Join")]
enum JoinWord {
    Inner,
    Left,
    Difference,
}

impl From<Document> for List {
    fn from(document: Document) -> Self {
        let join = match document.join {
            JoinWord::Inner => Join::Inner,
            JoinWord::Left => Join::Left,
            JoinWord::Difference => Join::Difference,
        };
        let with = document.with.into_iter().map(|holder| holder.0).collect();
        Self { join, kind: document.kind.0, with }
    }
}

impl Space {
    /// The other holders of a holder's list, sorted by name; empty where it receives none.
    #[must_use]
    pub fn list_with(&self, receiver: &ParticipantId) -> Vec<&ParticipantId> {
        let list = self.parts.analyses.lists.get(receiver);
        list.map(|list| with(&self.parts, receiver, list)).unwrap_or_default()
    }
}

fn with<'a>(parts: &'a Parts, receiver: &ParticipantId, list: &'a List) -> Vec<&'a ParticipantId> {
    let holders = parts.participants.iter().filter(|(id, holder)| holder.is_holder() && *id != receiver);
    let mut with: Vec<_> = match list.with.as_slice() {
        [] => holders.map(|(id, _)| id).collect(),
        named => named.iter().collect(),
    };
    with.sort();
    with.dedup();
    with
}

/// Checks that what is asked for is there, and that everybody concerned allows it.
pub(super) fn conclude(parts: &Parts, findings: &mut Vec<Finding>) {
    for (id, participant) in &parts.participants {
        let place = format!("participants.{id}.policy.lists");
        if !participant.policy.lists.is_empty() && !participant.is_holder() {
            findings.push(Finding::error(
                &place,
                "only holders have rows that others could be told of",
                "remove it here",
            ));
        }
        for named in &participant.policy.lists {
            if named == id || !parts.participants.get(named).is_some_and(super::Participant::is_holder) {
                let fact = format!("'{named}' is no other holder of this space");
                findings.push(Finding::error(&place, fact, "name other holders of the space, or remove it"));
            }
        }
    }
    for (receiver, list) in &parts.analyses.lists {
        of_receiver(parts, receiver, list, findings);
    }
}

fn of_receiver(parts: &Parts, receiver: &ParticipantId, list: &List, findings: &mut Vec<Finding>) {
    let place = format!("analyses.lists.{receiver}");
    let is_holder = |id: &ParticipantId| parts.participants.get(id).is_some_and(super::Participant::is_holder);
    let Some(holder) = parts.participants.get(receiver).filter(|participant| participant.is_holder()) else {
        let fact = format!("'{receiver}' is no holder of this space, and has no rows");
        findings.push(Finding::error(&place, fact, "name a holder: a list is of its receiver's own rows"));
        return;
    };
    if let Some((dataset, _)) = holder.datasets.iter().find(|(_, dataset)| dataset.table.is_some()) {
        findings.push(Finding::error(
            &place,
            format!("dataset '{dataset}' of '{receiver}' may be a table of tokens: nothing shows whose rows are in it"),
            format!("remove `table` from the dataset, so that '{receiver}' protects it (datafuse protect); or remove the list"),
        ));
    }
    let kinds: Vec<_> = parts.kinds.iter().map(|kind| kind.name().as_str()).collect();
    if !kinds.contains(&list.kind.as_str()) {
        let fact = format!("'{}' is no identifier kind of this space", list.kind);
        findings.push(Finding::error(format!("{place}.kind"), fact, format!("name one of: {}", kinds.join(", "))));
    }
    let named = |problem: String| {
        Finding::error(
            format!("{place}.with"),
            problem,
            "name each other holder once, or leave `with` out for all of them",
        )
    };
    for (at, other) in list.with.iter().enumerate() {
        if other == receiver || !is_holder(other) {
            findings.push(named(format!("'{other}' is no other holder of this space")));
        } else if list.with[..at].contains(other) {
            findings.push(named(format!("'{other}' is named twice")));
        }
    }
    for other in with(parts, receiver, list) {
        let Some(participant) = parts.participants.get(other).filter(|_| other != receiver && is_holder(other)) else {
            continue;
        };
        if !participant.policy.lists.contains(receiver) {
            findings.push(Finding::error(
                &place,
                format!("'{other}' does not allow that '{receiver}' learns which of its rows '{other}' has too"),
                format!(
                    "where '{other}' agrees: participants.{other}.policy: {{ lists: [{receiver}] }}; else leave '{other}' out of `with`, or remove the list"
                ),
            ));
        }
    }
}

/// Writes the lists, if there are any.
pub(super) fn write(out: &mut String, lists: &BTreeMap<ParticipantId, List>) -> std::fmt::Result {
    if lists.is_empty() {
        return Ok(());
    }
    out.push_str("  lists:  # which of its own rows a holder receives; the others allow it in their policies\n");
    for (receiver, List { join, kind, with }) in lists {
        write!(out, "    {}: {{ join: {join}, kind: {}", scalar(receiver.as_str()), scalar(kind.as_str()))?;
        if !with.is_empty() {
            let with: Vec<_> = with.iter().map(|holder| scalar(holder.as_str())).collect();
            write!(out, ", with: [{}]", with.join(", "))?;
        }
        out.push_str(" }\n");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Error, agreement::example};

    fn with_text(allows: &str, lists: &str) -> Result<Space, Error> {
        let line = "customers: { location: datasets/globex.parquet }\n";
        let text = example::yaml().replace(line, &format!("{line}    policy: {{ {allows} }}\n"));
        assert_ne!(text, example::yaml());
        Space::parse(&format!("{text}analyses: {{ lists: {{ {lists} }} }}\n"))
    }

    #[test]
    fn a_list_that_the_other_holder_allows_is_taken_and_written_again() {
        for (lists, join) in [
            ("acme: { join: inner, kind: email }", Join::Inner),
            ("acme: { join: left, kind: email, with: [globex] }", Join::Left),
            ("acme: { join: difference, kind: email }", Join::Difference),
        ] {
            let space = with_text("lists: [acme]", lists).unwrap();
            let acme: ParticipantId = "acme".parse().unwrap();
            assert_eq!(space.analyses().lists[&acme].join, join);
            assert_eq!(space.list_with(&acme).iter().map(|id| id.as_str()).collect::<Vec<_>>(), ["globex"]);
            assert!(space.list_with(&"globex".parse().unwrap()).is_empty());
            assert_eq!(Space::parse(&space.to_yaml()).unwrap(), space);
            assert_eq!(space.root(), example::space().root());
        }
    }

    #[test]
    fn the_space_alone_cannot_allow_a_list() {
        let Err(Error::Contract { findings, .. }) = with_text("min_count: 1", "acme: { join: inner, kind: email }")
        else {
            panic!("it was taken")
        };
        assert_eq!(findings[0].place, "analyses.lists.acme");
        assert!(findings[0].message.contains("'globex' does not allow that 'acme' learns"), "{findings:?}");
        assert!(findings[0].remedy.contains("participants.globex.policy: { lists: [acme] }"), "{findings:?}");
        let text = example::yaml().replace("policy:\n", "policy:\n  lists: [acme]\n");
        assert!(matches!(Space::parse(&text), Err(Error::Syntax { .. })));
    }

    #[test]
    fn lists_that_cannot_be_are_refused_with_their_place() {
        for (lists, place, words) in [
            ("insights: { join: inner, kind: email }", "analyses.lists.insights", "no holder"),
            ("acme: { join: inner, kind: iban }", "analyses.lists.acme.kind", "no identifier kind"),
            ("acme: { join: inner, kind: email, with: [acme] }", "analyses.lists.acme.with", "no other holder"),
            ("acme: { join: inner, kind: email, with: [globex, globex] }", "analyses.lists.acme.with", "named twice"),
        ] {
            let Err(Error::Contract { findings, .. }) = with_text("lists: [acme]", lists) else { panic!("{lists}") };
            assert_eq!(findings[0].place, place, "{findings:?}");
            assert!(findings[0].message.contains(words), "{findings:?}");
        }
        let Err(Error::Contract { findings, .. }) = with_text("lists: [globex, insights]", "") else { panic!() };
        assert!(findings.iter().all(|finding| finding.place == "participants.globex.policy.lists"), "{findings:?}");
        assert_eq!(findings.len(), 2);
        let table = "acme.parquet, table: {} }";
        let text = with_text("lists: [acme]", "").unwrap().to_yaml();
        let text = text.replace("acme.parquet }", table);
        let Err(Error::Contract { findings, .. }) =
            Space::parse(&format!("{text}analyses: {{ lists: {{ acme: {{ join: inner, kind: email }} }} }}\n"))
        else {
            panic!("a table of tokens was taken")
        };
        assert!(findings[0].message.contains("table of tokens"), "{findings:?}");
    }
}
