//! The `quality` lists of a contract, of a model or of a column: metrics of the library, queries, texts, rules of other tools.
//!
//! What is not known here becomes a rule that is reported as not checked; what is known and malformed is an error.

use std::collections::HashSet;

use super::{
    error::Problem,
    model::{Check, Comparison, Expectation, RowTest, Rule, RuleKind},
    options::{allowed_values, compile, not_checked},
    syntax::{Node, scalar_text},
};

/// The longest query.
const MAX_QUERY_BYTES: usize = 32 << 10;

/// Which form of contracts a list belongs to; they differ in what "between" means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// The standard's: the bounds are outside.
    Odcs,
    /// The platform's descriptors: the bounds are inside.
    Descriptor,
}

/// Whose quality it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Of<'a> {
    pub(super) dialect: Dialect,
    /// The tables' names that stand for the model in a query.
    pub(super) model: &'a str,
    pub(super) column: Option<&'a str>,
}

/// Reads the list `quality` of a node.
pub(super) fn rules(node: &Node<'_>, of: Of<'_>, rules: &mut Vec<Rule>) -> Result<(), Problem> {
    for entry in node.list("quality")? {
        rules.push(rule(&entry, of)?);
    }
    Ok(())
}

fn rule(entry: &Node<'_>, of: Of<'_>) -> Result<Rule, Problem> {
    entry.object()?;
    let words = entry.text_of("description")?.or(entry.text_of("name")?).unwrap_or_default();
    let metric = entry.text_of("metric")?.or(entry.text_of("rule")?);
    let stated = entry.text_of("type")?;
    let refused = |kind, why: &str| Ok(not_checked(&entry.place, kind, of.column, words, why));
    match stated.unwrap_or(if entry.field("query").is_some() { "sql" } else { "library" }) {
        "text" => refused(RuleKind::Text, "a text for people"),
        "custom" => refused(RuleKind::Custom, "a rule of another tool"),
        "sql" => sql(entry, of, words),
        "library" => match metric {
            Some(metric) => library(entry, metric, of, words),
            None if stated.is_none() => refused(RuleKind::Other, "it says neither what nor how to check"),
            None => Err(Problem::new(
                &entry.place,
                "the field 'metric' is missing",
                "add 'metric: nullValues' or another one",
            )),
        },
        _ => refused(RuleKind::Other, "this version does not know this type of rule"),
    }
}

fn sql(entry: &Node<'_>, of: Of<'_>, words: &str) -> Result<Rule, Problem> {
    let query = entry.needed("query")?;
    let text = query.text()?;
    if text.trim().is_empty() {
        return Err(query.expected("a query"));
    }
    if text.len() > MAX_QUERY_BYTES {
        let fact = format!("the query has more than {MAX_QUERY_BYTES} bytes");
        return Err(Problem::new(&query.place, fact, "write a shorter query, or several"));
    }
    let found = match expectation(entry, of.dialect)? {
        Ok(expect) => expect,
        Err(why) => return Ok(not_checked(&entry.place, RuleKind::Sql, of.column, words, &why)),
    };
    let words = if words.is_empty() { "a query" } else { words };
    Ok(Rule {
        place: entry.place.clone(),
        kind: RuleKind::Sql,
        column: of.column.map(str::to_owned),
        words: format!("{words}: {}", found.words()),
        check: Check::Sql(with_names(text, of)),
        expect: found,
    })
}

/// Puts the names of the table and the column in the place of what stands for them.
fn with_names(query: &str, of: Of<'_>) -> String {
    let mut query = query.to_owned();
    let mut put = |places: &[&str], name: &str| {
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        for place in places {
            // `${model}` before `{model}`, which is a part of it.
            query = query.replace(&format!("${{{place}}}"), &quoted).replace(&format!("{{{place}}}"), &quoted);
        }
    };
    put(&["object", "model", "table", "schema"], of.model);
    if let Some(column) = of.column {
        put(&["property", "column", "field"], column);
    }
    query
}

fn library(entry: &Node<'_>, metric: &str, of: Of<'_>, words: &str) -> Result<Rule, Problem> {
    let kind = match metric {
        "nullValues" | "nullCheck" | "nullCount" => RuleKind::NullValues,
        "missingValues" | "missingCount" => RuleKind::MissingValues,
        "invalidValues" | "validValues" | "invalidCount" => RuleKind::InvalidValues,
        "duplicateValues" | "duplicateCount" | "uniqueCheck" | "duplicates" => RuleKind::DuplicateValues,
        "rowCount" => RuleKind::RowCount,
        _ => {
            let why = "this version does not know this metric";
            return Ok(not_checked(&entry.place, RuleKind::Other, of.column, metric, why));
        }
    };
    let refused = |why: &str| Ok(not_checked(&entry.place, kind, of.column, words, why));
    let mut expect = match expectation(entry, of.dialect)? {
        Ok(expect) => expect,
        Err(why) => return refused(&why),
    };
    // Rules of 3.0 that are a check by their name.
    let is_check = matches!(metric, "nullCheck" | "uniqueCheck" | "validValues");
    if expect.all.is_empty() {
        if !is_check {
            return refused("it says nothing that must be, such as mustBe: 0");
        }
        expect = Expectation::none();
    }
    if expect.all.iter().any(|comparison| matches!(comparison, Comparison::BeTruth(_))) {
        return Err(Problem::new(&entry.place, "a metric is a number", "mustBe: 0, or another number"));
    }
    let arguments = entry.field("arguments");
    // Some tools write arguments beside the metric.
    let argument = |name: &str| arguments.as_ref().and_then(|node| node.field(name)).or_else(|| entry.field(name));
    let needs_column = "the metric needs a property";
    let check = match kind {
        RuleKind::RowCount if of.column.is_none() => Check::RowCount,
        RuleKind::RowCount => return refused("the metric is one of the whole model"),
        RuleKind::DuplicateValues => match (argument("properties"), of.column) {
            (Some(list), _) => {
                let columns =
                    list.elements()?.iter().map(|name| Ok(name.text()?.to_owned())).collect::<Result<Vec<_>, _>>()?;
                if columns.is_empty() {
                    return Err(list.expected("at least one property"));
                }
                Check::Duplicates(columns)
            }
            (None, Some(column)) => Check::Duplicates(vec![column.to_owned()]),
            (None, None) => return refused("the metric needs the argument 'properties'"),
        },
        _ if of.column.is_none() => return refused(needs_column),
        RuleKind::NullValues => Check::Nulls,
        RuleKind::MissingValues => match argument("missingValues") {
            None => Check::Missing { values: HashSet::from([String::new()]), null: true },
            Some(list) => {
                let elements = list.elements()?;
                let null = elements.iter().any(|element| element.value.is_null());
                Check::Missing {
                    values: elements.iter().filter_map(|element| scalar_text(element.value)).collect(),
                    null,
                }
            }
        },
        _ => {
            let mut tests = Vec::new();
            if let Some(list) = argument("validValues") {
                let (texts, numbers) = allowed_values(&list)?;
                tests.push(RowTest::OneOf { texts, numbers });
            }
            if let Some(pattern) = argument("pattern") {
                match compile(pattern.text()?) {
                    Ok(regex) => tests.push(RowTest::Pattern(regex)),
                    Err(why) => return refused(why),
                }
            }
            if tests.is_empty() {
                return refused("the metric needs the argument 'validValues' or 'pattern'");
            }
            Check::Rows(tests)
        }
    };
    let words = if words.is_empty() { metric } else { words };
    Ok(Rule {
        place: entry.place.clone(),
        kind,
        column: of.column.map(str::to_owned),
        words: format!("{words}: {}", expect.words()),
        check,
        expect,
    })
}

/// Reads what must be: an expectation, or why there is none that can be checked.
fn expectation(entry: &Node<'_>, dialect: Dialect) -> Result<Result<Expectation, String>, Problem> {
    let mut expect = Expectation::default();
    for (name, field) in entry.fields()? {
        if field.value.is_null() {
            continue;
        }
        let one = |make: fn(f64) -> Comparison| field.number().map(make);
        match name {
            "mustBe" => expect.all.push(match field.value.as_bool() {
                Some(truth) => Comparison::BeTruth(truth),
                None => one(Comparison::Be)?,
            }),
            "mustNotBe" => expect.all.push(match field.value.as_bool() {
                Some(truth) => Comparison::BeTruth(!truth),
                None => one(Comparison::NotBe)?,
            }),
            "mustBeGreaterThan" => expect.all.push(one(Comparison::Greater)?),
            "mustBeGreaterOrEqualTo" | "mustBeGreaterThanOrEqualTo" => expect.all.push(one(Comparison::AtLeast)?),
            "mustBeLessThan" => expect.all.push(one(Comparison::Less)?),
            "mustBeLessOrEqualTo" | "mustBeLessThanOrEqualTo" => expect.all.push(one(Comparison::AtMost)?),
            "mustBeBetween" => {
                let (low, high) = pair(&field)?;
                expect.all.extend(match dialect {
                    Dialect::Odcs => [Comparison::Greater(low), Comparison::Less(high)],
                    Dialect::Descriptor => [Comparison::AtLeast(low), Comparison::AtMost(high)],
                });
            }
            "mustNotBeBetween" => {
                let (low, high) = pair(&field)?;
                expect.all.push(Comparison::Outside(low, high));
            }
            other if other.starts_with("must") => {
                let other: String = other.chars().filter(|c| c.is_ascii_alphanumeric()).take(40).collect();
                return Ok(Err(format!("this version does not know '{other}'")));
            }
            _ => {}
        }
    }
    match entry.text_of("unit")? {
        None | Some("rows" | "row") => {}
        Some("percent" | "%") => expect.percent = true,
        Some(_) => return Ok(Err("this version does not know the unit".to_owned())),
    }
    Ok(Ok(expect))
}

fn pair(field: &Node<'_>) -> Result<(f64, f64), Problem> {
    match field.elements()?.as_slice() {
        [low, high] => {
            let (low, high) = (low.number()?, high.number()?);
            if low > high { Err(field.expected("the lower number first")) } else { Ok((low, high)) }
        }
        _ => Err(field.expected("two numbers, such as [0, 100]")),
    }
}
