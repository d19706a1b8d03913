//! From the text of a space file to its shape: YAML within tight limits, and errors that say line, column and what is known
//! there.
//!
//! The file may come from anybody: no anchors or aliases (so no expansion), bounded depth and size, no panic. Somebody may also
//! name the wrong file, so an error repeats nothing of its content but field names.

use serde_saphyr::{DuplicateKeyPolicy, MergeKeyPolicy};

use super::document::{Document, REMEDY};

/// The largest space file: 16 MiB, some ten thousand participants and more.
pub(crate) const MAX_BYTES: u64 = 16 << 20;

const MAX_DEPTH: usize = 16;
const MAX_NODES: usize = 2_000_000;

/// What is wrong with the text of a space file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A field that this program does not know.
    #[error("unknown field '{field}' (known here: {})", known.join(", "))]
    UnknownField {
        /// The field as written.
        field: String,
        /// The fields known at this place.
        known: Vec<&'static str>,
    },
    /// A field that is needed is not there.
    #[error("the field '{field}' is missing")]
    MissingField {
        /// The field.
        field: &'static str,
    },
    /// A field or name is given twice.
    #[error("the field '{field}' is given twice")]
    Duplicate {
        /// The field or name.
        field: String,
    },
    /// A word that this program does not know.
    #[error("unknown word (known here: {})", known.join(", "))]
    UnknownWord {
        /// The words known at this place.
        known: Vec<&'static str>,
    },
    /// A value of another shape than is expected.
    #[error("expected {expected}")]
    WrongShape {
        /// What is expected.
        expected: String,
    },
    /// A value that breaks the rule for its field.
    #[error("{fact}")]
    Value {
        /// The rule that is broken.
        fact: String,
        /// What to do about it.
        remedy: Option<String>,
    },
    /// Anchors, aliases and the like.
    #[error("anchors, aliases, merge keys and tags are not used in a space file")]
    Aliases,
    /// More than a space file can hold.
    #[error("the file holds more, or is nested deeper, than a space file can be")]
    TooMuch,
    /// No YAML.
    #[error("not YAML: {reason}")]
    NotYaml {
        /// What the parser says.
        reason: String,
    },
}

impl Problem {
    /// Says what to do about it.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::UnknownField { field, known } => match closest(field, known) {
                Some(meant) => format!("write '{meant}' there, or remove the field"),
                None => "remove the field; docs/space.schema.json lists what is known".into(),
            },
            Self::MissingField { field } => format!("add '{field}:'"),
            Self::Duplicate { field } => format!("keep one '{field}'"),
            Self::UnknownWord { known } => format!("write {}", known.join(" or ")),
            Self::WrongShape { .. } => {
                "compare with what `datafuse space init` writes, or with docs/space.schema.json".into()
            }
            Self::Value { remedy, .. } => return remedy.clone(),
            Self::Aliases => "write the values out".into(),
            Self::TooMuch => "check that this is a space file".into(),
            Self::NotYaml { .. } => "check indentation, quotes and brackets at that line; is this a space file?".into(),
        })
    }
}

/// A problem and where it is; line and column from 1, or 0 where unknown.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) line: u64,
    pub(super) column: u64,
    pub(super) problem: Problem,
}

/// Parses the text into the shape.
pub(super) fn parse(text: &str) -> Result<Document, Located> {
    if text.len() as u64 > MAX_BYTES {
        return Err(Located { line: 0, column: 0, problem: Problem::TooMuch });
    }
    serde_saphyr::from_str_with_options(text, options()).map_err(|error| locate(&error))
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_anchors: 0,
            max_aliases: 0,
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_documents: 1,
            max_nodes: MAX_NODES,
            max_events: 2 * MAX_NODES,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        reject_unsupported_tags: true,
        // A snippet would show lines of whatever file was given.
        with_snippet: false,
        emit_comments: false,
    }
}

fn locate(error: &serde_saphyr::Error) -> Located {
    let (line, column) = error.location().map_or((0, 0), |location| (location.line(), location.column()));
    Located { line, column, problem: describe(error) }
}

fn describe(error: &serde_saphyr::Error) -> Problem {
    use serde_saphyr::Error as Yaml;
    match error.without_snippet() {
        Yaml::SerdeUnknownField { field, expected, .. } => {
            Problem::UnknownField { field: plain(field), known: expected.clone() }
        }
        Yaml::SerdeMissingField { field, .. } => Problem::MissingField { field },
        Yaml::DuplicateMappingKey { key, .. } => {
            Problem::Duplicate { field: plain(key.as_deref().unwrap_or_default()) }
        }
        Yaml::SerdeUnknownVariant { expected, .. } => Problem::UnknownWord { known: expected.clone() },
        Yaml::SerdeInvalidType { expected, .. }
        | Yaml::SerdeInvalidValue { expected, .. }
        | Yaml::SerdeInvalidLength { expected, .. } => Problem::WrongShape { expected: expected.clone() },
        Yaml::Unexpected { expected, .. } => Problem::WrongShape { expected: in_our_words(expected).to_owned() },
        Yaml::InvalidScalar { ty, .. } => Problem::WrongShape { expected: in_our_words(ty).to_owned() },
        Yaml::NullIntoString { .. } => Problem::WrongShape { expected: "a text, found nothing".into() },
        // Only our own refusals arrive as free text: they name rules.
        Yaml::Message { msg, .. } => {
            let (fact, remedy) = match msg.split_once(REMEDY) {
                Some((fact, remedy)) => (fact, Some(remedy.to_owned())),
                None => (msg.as_str(), None),
            };
            Problem::Value { fact: fact.to_owned(), remedy }
        }
        Yaml::MergeKeyNotAllowed { .. }
        | Yaml::UnknownAnchor { .. }
        | Yaml::AliasError { .. }
        | Yaml::UnsupportedTag { .. } => Problem::Aliases,
        Yaml::Budget { breach, .. } => {
            use serde_saphyr::budget::BudgetBreach;
            match breach {
                BudgetBreach::Anchors { .. } | BudgetBreach::Aliases { .. } | BudgetBreach::AliasAnchorRatio { .. } => {
                    Problem::Aliases
                }
                _ => Problem::TooMuch,
            }
        }
        Yaml::ExternalMessage { msg, .. } => Problem::NotYaml { reason: msg.clone() },
        Yaml::Eof { .. } => Problem::NotYaml { reason: "the file ends too early, or is empty".into() },
        Yaml::MultipleDocuments { .. } => {
            Problem::NotYaml { reason: "it holds more than one document (a line `---`)".into() }
        }
        _ => Problem::NotYaml { reason: "its structure cannot be read".into() },
    }
}

/// What the parser calls things, for who has never seen a parser.
fn in_our_words(expected: &'static str) -> &'static str {
    match expected {
        "string scalar" => "a text",
        "mapping start" => "fields (name: value)",
        "sequence start" => "a list",
        "u8" | "u16" | "u32" | "u64" => "a whole number, not below 0",
        "i64" => "a whole number",
        "f64" => "a number",
        "bool" => "true or false",
        other => other,
    }
}

/// A field name as it may be repeated in an error: shortened, and without anything that is no plain word.
fn plain(field: &str) -> String {
    const MAX_CHARS: usize = 64;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !field.is_empty() && field.len() <= MAX_CHARS && field.chars().all(is_plain) {
        field.to_owned()
    } else {
        "(not a plain word)".to_owned()
    }
}

/// The known word that differs least from a written one, if one is near.
fn closest(written: &str, known: &[&'static str]) -> Option<&'static str> {
    known
        .iter()
        .map(|word| (distance(written, word), *word))
        .filter(|(distance, word)| *distance <= 1 + word.len() / 4)
        .min()
        .map(|(_, word)| word)
}

/// Counts the single-character edits between two words (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::agreement::example;
    use proptest::prelude::*;

    fn refused(text: &str) -> Located {
        parse(text).unwrap_err()
    }

    /// The example with one piece replaced, and the line of that piece.
    fn changed(from: &str, to: &str) -> (String, u64) {
        let text = example::yaml();
        let at = text.find(from).unwrap_or_else(|| panic!("no {from:?}"));
        let line = text[..at].lines().count().max(1) as u64;
        (text.replacen(from, to, 1), line)
    }

    #[test]
    fn the_walkthroughs_example_parses() {
        parse(&example::yaml()).unwrap();
    }

    #[test]
    fn an_unknown_field_is_named_with_its_line_and_the_known_ones() {
        let (text, _) = changed("\nstewards:", "\nsteward:");
        let line = text.lines().position(|l| l.starts_with("steward:")).unwrap() as u64 + 1;
        let found = refused(&text);
        assert_eq!(found.line, line);
        assert_eq!(found.problem.remedy().unwrap(), "write 'stewards' there, or remove the field");
        let Problem::UnknownField { field, known } = &found.problem else { panic!("{found:?}") };
        assert_eq!(field, "steward");
        assert!(known.contains(&"stewards") && known.contains(&"policy"), "{known:?}");
    }

    #[test]
    fn unknown_fields_are_refused_at_every_depth() {
        for (from, to) in [
            ("profile: email-v1", "profile: email-v1, colour: red"),
            ("    roles: [holder]", "    colour: red\n    roles: [holder]"),
            ("{ location:", "{ colour: red, location:"),
            ("  min_count:", "  colour: red\n  min_count:"),
        ] {
            let found = refused(&changed(from, to).0);
            assert!(matches!(&found.problem, Problem::UnknownField { field, .. } if field == "colour"), "{found:?}");
        }
    }

    #[test]
    fn every_kind_of_problem_is_told_with_fact_and_remedy() {
        let cases = [
            ("nonce:", "nonse:", "unknown field 'nonse'"),
            ("datafuse/v1", "datafuse/v9", "known here: datafuse/v1"),
            ("[holder]", "[owner]", "known here: holder, user"),
            ("email-v1", "email-v9", "not a normalisation profile"),
            ("id: retail-2026", "id: Retail 2026", "not a valid space id"),
            ("  acme:", "  Acme:", "not a valid participant"),
            ("dfpub1", "dfpub1q", "checksum"),
            ("mailbox: mailbox", "mailbox: \"\"", "the location is empty"),
            ("queue: queue", "queue: amqp://x", "scheme"),
            ("state: state", "state: https://x/y", "cannot be an address"),
            ("id: retail-2026", "id: &a retail-2026", "anchors"),
            ("id: retail-2026", "id: *a", "anchors"),
            ("id: retail-2026", "id: ]", "not YAML"),
            ("id: retail-2026", "id: [", "expected a text"),
            ("id: retail-2026", "id: !include x", "anchors"),
            ("id: retail-2026", "id: {a: b}", "expected"),
            ("id: retail-2026", "id:", "expected"),
            ("min_count: 1", "min_count: many", "expected a whole number"),
            ("min_count: 1", "min_count: -1", "expected"),
            ("id: retail-2026", "id: a\nid: b", "given twice"),
            ("  globex:", "  acme:", "given twice"),
        ];
        for (from, to, fact) in cases {
            let found = refused(&changed(from, to).0);
            assert!(found.problem.to_string().contains(fact), "{to}: {found:?}");
            assert!(found.problem.remedy().is_some(), "{to}: {found:?}");
            assert!(found.line > 0, "{to}: {found:?}");
        }
    }

    #[test]
    fn a_missing_field_is_named() {
        let text = example::yaml();
        let kept: Vec<_> = text.lines().filter(|l| !l.starts_with("workload:")).collect();
        let found = refused(&kept.join("\n"));
        assert_eq!(found.problem, Problem::MissingField { field: "workload" });
    }

    #[test]
    fn errors_repeat_nothing_of_a_file_given_by_mistake() {
        for text in [
            "email,name\njan.peeters@example.com,Jan\n",
            "{\"id\": \"jan.peeters@example.com\"}",
            "{\"jan.peeters@example.com\": 1}",
            "api_version: jan.peeters@example.com",
            "api_version: datafuse/v1\nid: [jan.peeters@example.com]",
            "- jan.peeters@example.com",
            "\"jan.peeters@example.com",
            "jan.peeters@example.com: &jan.peeters [",
            "jan.peeters@example.com: 1\njan.peeters@example.com: 2",
        ] {
            let found = refused(text);
            assert!(!format!("{found:?}{}", found.problem).contains("jan"), "{found:?}");
        }
    }

    #[test]
    fn expansion_and_depth_are_bounded() {
        let mut bomb = String::from("stewards:\n- &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for level in 1..30 {
            let former = format!("*a{}", level - 1);
            let row = [former.as_str(); 10].join(",");
            bomb.push_str(&format!("- &a{level} [{row}]\n"));
        }
        assert_eq!(refused(&bomb).problem, Problem::Aliases);
        let deep = format!("id: {}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(parse(&deep).is_err());
        let deep: String = (0..2_000).map(|d| format!("{}a:\n", " ".repeat(d))).collect();
        assert!(parse(&deep).is_err());
        assert_eq!(refused(&" ".repeat(MAX_BYTES as usize + 1)).problem, Problem::TooMuch);
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "[\\PC\\n\\t]{0,400}") {
            let _ = parse(&text);
        }

        #[test]
        fn any_damage_to_a_good_file_is_parsed_or_refused(
            at in 0usize..2_000, cut in 0usize..40, insert in "[\\PC\\n&*!|>'\"{}\\[\\]:#-]{0,12}"
        ) {
            let mut text: Vec<char> = example::yaml().chars().collect();
            let at = at.min(text.len());
            let end = (at + cut).min(text.len());
            text.splice(at..end, insert.chars());
            let _ = parse(&text.into_iter().collect::<String>());
        }
    }
}
