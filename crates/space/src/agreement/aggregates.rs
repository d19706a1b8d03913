//! Aggregates over matches: what the agreement asks to be computed of kept columns, and what each holder allows of its own.
//!
//! A column that its holder does not name under `policy.columns`, or not for this use, is used for nothing. Tables whose withheld groups
//! could be computed from one another are refused here: no column is in two aggregates, and a space of more than two holders has tables
//! for pairs only of two named holders, because tables of pairs with a holder in common overlap.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use datafuse_core::id::{DatasetId, KindName, ParticipantId};
use schemars::{JsonSchema, Schema, json_schema};
use serde::Deserialize;

use super::{
    Participant, Parts,
    document::{REMEDY, Text, Textual},
    to_yaml::{quoted, scalar},
};
use crate::check::Finding;

/// The longest name of a column, in characters.
const COLUMN_CHARS: usize = 100;

/// What may be done with a kept column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ColumnUse {
    /// Groups may be made by it: its values are shown.
    Group,
    /// Its sum may be shown.
    Sum,
    /// Its mean may be shown.
    Mean,
    /// The means of up to four buckets of its values may be shown.
    Quantiles,
}

impl ColumnUse {
    /// Its name in `space.yaml`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Sum => "sum",
            Self::Mean => "mean",
            Self::Quantiles => "quantiles",
        }
    }
}

/// Of whom tables are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AggregateOver {
    /// For each two holders: those who are at both.
    Pairs,
    /// For each exact set of two holders or more.
    Regions,
    /// Those who are at every holder.
    All,
}

impl AggregateOver {
    /// Its name in `space.yaml`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pairs => "pairs",
            Self::Regions => "regions",
            Self::All => "all",
        }
    }
}

/// What is computed of the customers that holders have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AggregateRequest {
    /// The kind by which customers are matched.
    pub kind: KindName,
    /// Of whom tables are made.
    pub over: AggregateOver,
    /// The columns that groups are made by: holder and name.
    pub group_by: Vec<(ParticipantId, String)>,
    /// The columns that something is computed of, and what.
    pub values: BTreeMap<(ParticipantId, String), BTreeSet<ColumnUse>>,
}

impl AggregateRequest {
    fn columns(&self) -> impl Iterator<Item = &(ParticipantId, String)> {
        self.group_by.iter().chain(self.values.keys())
    }
}

/// What is computed of the customers that holders have in common.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AggregateSection {
    /// The kind by which customers are matched.
    kind: Text<KindName>,
    /// Of whom tables are made: `pairs` (at both of two holders), `regions` (at exactly these holders) or `all`.
    over: AggregateOver,
    /// The kept columns that groups are made by, as `holder.column`.
    #[serde(default)]
    #[schemars(extend("uniqueItems" = true))]
    group_by: Vec<Text<Reference>>,
    /// The kept columns that something is computed of, as `holder.column`, and what: `sum`, `mean`, `quantiles`.
    #[serde(default)]
    values: BTreeMap<Text<Reference>, BTreeSet<ColumnUse>>,
}

/// A column of a holder, as one text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Reference(String);

impl Textual for Reference {
    const NAME: &'static str = "HolderColumn";
    const EXPECTED: &'static str = "a kept column, as holder.column";

    fn read(text: &str) -> Result<Self, String> {
        let is_one = text.split_once('.').is_some_and(|(holder, column)| !holder.is_empty() && !column.is_empty());
        if !is_one || text.chars().any(char::is_control) || text.chars().count() > 64 + 1 + COLUMN_CHARS {
            return Err(format!("not a column of a holder{REMEDY}write holder.column, such as acme.segment"));
        }
        Ok(Self(text.to_owned()))
    }

    fn rule() -> Schema {
        json_schema!({ "pattern": "^[a-z0-9][a-z0-9._-]{0,63}\\..+$" })
    }
}

/// Takes what a file says. A name of a holder may have points: the longest that fits is meant.
pub(super) fn from_document(
    sections: BTreeMap<Text<DatasetId>, AggregateSection>,
    participants: &BTreeMap<ParticipantId, Participant>,
    findings: &mut Vec<Finding>,
) -> BTreeMap<DatasetId, AggregateRequest> {
    let mut requests = BTreeMap::new();
    for (name, section) in sections {
        let mut resolve = |Text(Reference(text)): Text<Reference>| {
            let holders = participants.iter().filter(|(_, participant)| participant.is_holder()).map(|(id, _)| id);
            let fits = holders.filter_map(|id| Some((id, text.strip_prefix(id.as_str())?.strip_prefix('.')?)));
            let found = fits.filter(|(_, column)| !column.is_empty()).max_by_key(|(id, _)| id.as_str().len());
            if found.is_none() {
                findings.push(Finding::error(
                    format!("analyses.aggregates.{}", name.0),
                    format!("'{text}' is no column of a holder of this space"),
                    "write holder.column, the holder by its name under participants",
                ));
            }
            found.map(|(id, column)| (id.clone(), column.to_owned()))
        };
        let group_by = section.group_by.into_iter().filter_map(&mut resolve).collect();
        let values = section.values.into_iter().filter_map(|(column, uses)| Some((resolve(column)?, uses))).collect();
        requests.insert(name.0, AggregateRequest { kind: section.kind.0, over: section.over, group_by, values });
    }
    requests
}

/// Checks that what is asked for is there, and allowed.
pub(super) fn conclude(parts: &Parts, findings: &mut Vec<Finding>) {
    for (id, participant) in parts.participants.iter().filter(|(_, participant)| !participant.is_holder()) {
        if !participant.policy.columns.is_empty() {
            findings.push(Finding::error(
                format!("participants.{id}.policy.columns"),
                "only holders keep columns",
                "remove it here; each holder says what may be done with its own columns",
            ));
        }
    }
    let holders = parts.participants.values().filter(|participant| participant.is_holder()).count();
    let policies = parts.participants.values().map(|participant| &participant.policy).chain([&parts.policy]);
    let rounded = policies.filter_map(|policy| policy.rounding).any(|to| to > 1);
    let known: Vec<_> = parts.kinds.iter().map(|kind| kind.name().as_str()).collect();
    let mut used: BTreeMap<&(ParticipantId, String), &DatasetId> = BTreeMap::new();
    for (name, request) in &parts.analyses.aggregates {
        let place = format!("analyses.aggregates.{name}");
        let mut refuse =
            |message: String, remedy: String| findings.push(Finding::error(place.clone(), message, remedy));
        if !known.contains(&request.kind.as_str()) {
            refuse(
                format!("'{}' is no identifier kind of this space", request.kind),
                format!("name one of: {}", known.join(", ")),
            );
        }
        let named: BTreeSet<_> = request.columns().map(|(holder, _)| holder).collect();
        if named.is_empty() {
            refuse(
                "it names no column".to_owned(),
                "give it group_by or values, or remove it: the overlap counts customers".to_owned(),
            );
        }
        if request.over == AggregateOver::Pairs && named.len() > 2 {
            refuse(
                "no pair has columns of more than two holders".to_owned(),
                "write over: regions or over: all".to_owned(),
            );
        }
        if request.over == AggregateOver::Pairs && named.len() == 1 && holders > 2 {
            refuse(
                "the tables of one holder with each other one overlap, so they could give withheld groups away"
                    .to_owned(),
                "name columns of two holders, or write over: regions or over: all".to_owned(),
            );
        }
        for column in request.columns() {
            if let Some(other) = used.insert(column, name) {
                refuse(
                    format!(
                        "column '{}' is in '{other}' already, and two tables with the same column give withheld groups away",
                        reference(column)
                    ),
                    "name each column once in all aggregates".to_owned(),
                );
            }
        }
        let uses = request.group_by.iter().map(|column| (column, ColumnUse::Group));
        let values = request.values.iter().flat_map(|(column, uses)| uses.iter().map(move |of| (column, *of)));
        for (column, of) in uses.chain(values) {
            if !allows(parts, column, of) {
                refuse(
                    format!("'{}' does not allow its column '{}' for {}", column.0, column.1, of.as_str()),
                    format!(
                        "agree on it: participants.{}.policy.columns: {{ {}: [{}] }}",
                        column.0,
                        scalar(&column.1),
                        of.as_str()
                    ),
                );
            }
        }
        for (column, uses) in &request.values {
            if rounded && uses.len() > 1 {
                refuse(
                    format!(
                        "two figures of '{}' tell together how many customers they are of, which rounding hides",
                        reference(column)
                    ),
                    "compute one of sum, mean and quantiles, or remove rounding from all policies".to_owned(),
                );
            }
            if uses.is_empty() || uses.contains(&ColumnUse::Group) {
                refuse(
                    format!("'{}' needs one of sum, mean and quantiles, and nothing else", reference(column)),
                    "name what to compute; columns that groups are made by stand under group_by".to_owned(),
                );
            }
        }
    }
}

fn allows(parts: &Parts, (holder, column): &(ParticipantId, String), of: ColumnUse) -> bool {
    let participant = parts.participants.get(holder);
    participant.and_then(|participant| participant.policy.columns.get(column)).is_some_and(|uses| uses.contains(&of))
}

fn reference((holder, column): &(ParticipantId, String)) -> String {
    format!("{holder}.{column}")
}

fn list(uses: &BTreeSet<ColumnUse>) -> String {
    uses.iter().map(|of| of.as_str()).collect::<Vec<_>>().join(", ")
}

/// Writes what a holder allows, as one line of YAML.
pub(super) fn columns_to_yaml(columns: &BTreeMap<String, BTreeSet<ColumnUse>>) -> String {
    let columns: Vec<_> =
        columns.iter().map(|(column, uses)| format!("{}: [{}]", scalar(column), list(uses))).collect();
    format!("{{ {} }}", columns.join(", "))
}

/// Writes the aggregates, if there are any.
pub(super) fn write(out: &mut String, requests: &BTreeMap<DatasetId, AggregateRequest>) -> std::fmt::Result {
    if requests.is_empty() {
        return Ok(());
    }
    writeln!(out, "  aggregates:  # of kept columns of common customers, as their holders allow")?;
    for (name, AggregateRequest { kind, over, group_by, values }) in requests {
        writeln!(out, "    {}:", scalar(name.as_str()))?;
        writeln!(out, "      kind: {}\n      over: {}", scalar(kind.as_str()), over.as_str())?;
        if !group_by.is_empty() {
            let columns: Vec<_> = group_by.iter().map(|column| quoted(&reference(column))).collect();
            writeln!(out, "      group_by: [{}]", columns.join(", "))?;
        }
        if !values.is_empty() {
            let columns: Vec<_> = values
                .iter()
                .map(|(column, uses)| format!("{}: [{}]", quoted(&reference(column)), list(uses)))
                .collect();
            writeln!(out, "      values: {{ {} }}", columns.join(", "))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::{
        agreement::{Space, example},
        error::Error,
    };

    const POLICY: &str = "segment: [group], city: [group], 'our share': [mean]";

    fn with(aggregates: &str) -> Result<Space, Error> {
        let mut text = example::yaml();
        for (holder, columns) in [("acme", POLICY), ("globex", "balance: [sum, mean, quantiles]")] {
            let line = format!("customers: {{ location: datasets/{holder}.parquet }}\n");
            text = text.replace(&line, &format!("{line}    policy: {{ columns: {{ {columns} }} }}\n"));
        }
        Space::parse(&format!("{text}analyses: {{ aggregates: {{ {aggregates} }} }}\n"))
    }

    const USUAL: &str =
        "a: { kind: email, over: pairs, group_by: [acme.segment], values: { globex.balance: [sum, quantiles] } }";

    #[test]
    fn aggregates_are_read_and_written_again() {
        let space =
            with(&format!("{USUAL}, b: {{ kind: email, over: all, values: {{ acme.our share: [mean] }} }}")).unwrap();
        let again = Space::parse(&space.to_yaml()).unwrap();
        assert_eq!(again, space);
        assert_eq!(space.analyses().aggregates.len(), 2);
        assert_eq!(space.root(), example::space().root());
    }

    #[test]
    fn what_is_not_allowed_or_gives_withheld_groups_away_is_refused() {
        for (aggregates, words) in [
            (
                "a: { kind: email, over: all, group_by: [globex.balance] }",
                "'globex' does not allow its column 'balance' for group",
            ),
            (
                "a: { kind: email, over: all, values: { acme.segment: [sum] } }",
                "does not allow its column 'segment' for sum",
            ),
            ("a: { kind: email, over: all, group_by: [acme.age] }", "'acme' does not allow its column 'age'"),
            ("a: { kind: email, over: all, group_by: [hooli.age] }", "'hooli.age' is no column of a holder"),
            ("a: { kind: email, over: all, group_by: [insights.age] }", "'insights.age' is no column of a holder"),
            ("a: { kind: iban, over: all, group_by: [acme.city] }", "'iban' is no identifier kind"),
            ("a: { kind: email, over: all }", "names no column"),
            ("a: { kind: email, over: all, values: { globex.balance: [] } }", "needs one of sum"),
            ("a: { kind: email, over: all, group_by: [acme.city, acme.city] }", "is in 'a' already"),
            (
                &format!("{USUAL}, b: {{ kind: email, over: all, group_by: [acme.segment, acme.city] }}"),
                "'acme.segment' is in 'a' already",
            ),
            (
                &format!("{USUAL}, b: {{ kind: email, over: all, values: {{ globex.balance: [mean] }} }}"),
                "is in 'a' already",
            ),
        ] {
            let Err(Error::Contract { findings, .. }) = with(aggregates) else { panic!("{aggregates}") };
            assert!(findings.iter().any(|finding| finding.message.contains(words)), "{aggregates}: {findings:?}");
        }
        for aggregates in
            ["a: { kind: email, over: some, group_by: [acme.city] }", "a: { kind: email, over: all, group_by: [acme] }"]
        {
            assert!(matches!(with(aggregates), Err(Error::Syntax { .. })), "{aggregates}");
        }
    }

    #[test]
    fn two_figures_of_a_column_do_not_go_with_rounding() {
        let text = with(USUAL).unwrap().to_yaml();
        let line = text.lines().find(|line| line.trim_start().starts_with("columns: { balance")).unwrap();
        let indent = &line[..line.len() - line.trim_start().len()];
        let rounded_text = text.replacen(line, &format!("{indent}rounding: 10\n{line}"), 1);
        let Err(Error::Contract { findings, .. }) = Space::parse(&rounded_text) else { panic!() };
        assert!(findings[0].message.contains("two figures of 'globex.balance'"), "{findings:?}");
        assert!(Space::parse(&rounded_text.replace("[sum, quantiles] }", "[sum] }")).is_ok());
    }

    #[test]
    fn tables_of_pairs_that_overlap_are_refused() {
        let text = with("a: { kind: email, over: pairs, group_by: [acme.segment] }").unwrap().to_yaml();
        let third = crate::testing::name(9);
        let hooli = format!(
            "participants:\n  hooli:\n    roles: [holder]\n    name: {third}\n    datasets:\n      customers: {{ location: datasets/hooli.parquet }}\n"
        );
        let three = text.replacen("participants:\n", &hooli, 1);
        let Err(Error::Contract { findings, .. }) = Space::parse(&three) else { panic!() };
        assert!(findings[0].message.contains("overlap"), "{findings:?}");
        assert!(Space::parse(&three.replace("over: pairs", "over: regions")).is_ok());
    }

    #[test]
    fn only_holders_allow_columns() {
        let text =
            example::yaml().replace("roles: [user]\n", "roles: [user]\n    policy: { columns: { age: [group] } }\n");
        let Err(Error::Contract { findings, .. }) = Space::parse(&text) else { panic!() };
        assert!(findings[0].message.contains("only holders keep columns"), "{findings:?}");
    }
}
