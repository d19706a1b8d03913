//! The text of a contract, read into values that know their place, so that every error can name it.
//!
//! A contract may come from somebody else: no anchors or aliases (so no expansion), bounded depth and size, no panic.

use std::{fs::File, io::Read, path::Path};

use serde_json::{Map, Value};
use serde_saphyr::{DuplicateKeyPolicy, MergeKeyPolicy};

use super::error::{ContractError, Problem};

/// The largest contract.
pub(super) const MAX_BYTES: u64 = 8 << 20;
const MAX_DEPTH: usize = 48;
const MAX_NODES: usize = 1_000_000;

/// How many regular expressions, and how many queries, a contract may have: each costs memory, or time.
const MAX_PATTERNS: usize = 1_000;
const MAX_QUERIES: usize = 100;

/// Refuses a contract that would cost too much, before anything of it is compiled.
pub(super) fn check_cost(contract: &Value) -> Result<(), Problem> {
    for (field, most) in [("pattern", MAX_PATTERNS), ("query", MAX_QUERIES)] {
        let found = occurrences(contract, field);
        if found > most {
            let fact = format!("'{field}' is there {found} times, at most {most} are accepted");
            return Err(Problem::new("", fact, "several contracts, one for each part of the models"));
        }
    }
    Ok(())
}

fn occurrences(value: &Value, field: &str) -> usize {
    match value {
        Value::Array(elements) => elements.iter().map(|element| occurrences(element, field)).sum(),
        Value::Object(fields) => {
            let below: usize = fields.values().map(|value| occurrences(value, field)).sum();
            below + usize::from(fields.contains_key(field))
        }
        _ => 0,
    }
}

/// Reads the text of a contract file.
pub(super) fn read_text(path: &Path) -> Result<String, ContractError> {
    let origin = || path.display().to_string();
    let failed = |source| ContractError::Io { origin: origin(), source };
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ContractError::TooLarge { origin: origin(), limit: MAX_BYTES });
    }
    String::from_utf8(bytes).map_err(|_| failed(std::io::ErrorKind::InvalidData.into()))
}

/// Parses YAML (JSON is YAML too).
pub(super) fn parse_yaml(text: &str, origin: &str) -> Result<Value, ContractError> {
    if text.len() as u64 > MAX_BYTES {
        return Err(ContractError::TooLarge { origin: origin.to_owned(), limit: MAX_BYTES });
    }
    serde_saphyr::from_str_with_options(text, options()).map_err(|error| {
        let (line, column) = error.location().map_or((0, 0), |location| (location.line(), location.column()));
        ContractError::NotYaml { origin: origin.to_owned(), line, column, reason: reason(&error) }
    })
}

/// Parses JSON.
pub(super) fn parse_json(text: &str, origin: &str) -> Result<Value, ContractError> {
    if text.len() as u64 > MAX_BYTES {
        return Err(ContractError::TooLarge { origin: origin.to_owned(), limit: MAX_BYTES });
    }
    serde_json::from_str(text).map_err(|error| ContractError::NotJson {
        origin: origin.to_owned(),
        line: error.line(),
        column: error.column(),
    })
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
        // `n` and `yes` are words, as in YAML 1.2: columns and values are called so.
        strict_booleans: true,
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        reject_unsupported_tags: true,
        // A snippet would show lines of whatever file was given.
        with_snippet: false,
        emit_comments: false,
    }
}

/// What the parser found, in words that repeat nothing of the file.
fn reason(error: &serde_saphyr::Error) -> &'static str {
    use serde_saphyr::{Error as Yaml, budget::BudgetBreach};
    match error.without_snippet() {
        Yaml::DuplicateMappingKey { .. } => "a field is given twice",
        Yaml::MergeKeyNotAllowed { .. }
        | Yaml::UnknownAnchor { .. }
        | Yaml::AliasError { .. }
        | Yaml::UnsupportedTag { .. } => "anchors, aliases, merge keys and tags are not read: write the values out",
        Yaml::Budget { breach, .. } => match breach {
            BudgetBreach::Anchors { .. } | BudgetBreach::Aliases { .. } | BudgetBreach::AliasAnchorRatio { .. } => {
                "anchors, aliases, merge keys and tags are not read: write the values out"
            }
            _ => "it holds more, or is nested deeper, than a contract can be",
        },
        Yaml::Eof { .. } => "it ends too early, or is empty",
        Yaml::MultipleDocuments { .. } => "it holds more than one document (a line `---`)",
        _ => "its structure cannot be read",
    }
}

/// A value of a contract and its place in it.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    pub(super) value: &'a Value,
    pub(super) place: String,
}

impl<'a> Node<'a> {
    pub(super) fn top(value: &'a Value) -> Self {
        Self { value, place: String::new() }
    }

    /// A field that is there and not null.
    pub(super) fn field(&self, name: &str) -> Option<Node<'a>> {
        let value = self.value.get(name).filter(|value| !value.is_null())?;
        Some(Node { value, place: below(&self.place, name) })
    }

    /// The elements of a list; of a field that is not there, none.
    pub(super) fn list(&self, name: &str) -> Result<Vec<Node<'a>>, Problem> {
        self.field(name).map_or_else(|| Ok(Vec::new()), |field| field.elements())
    }

    pub(super) fn elements(&self) -> Result<Vec<Node<'a>>, Problem> {
        let elements = self.value.as_array().ok_or_else(|| self.expected("a list"))?;
        let element = |(index, value)| Node { value, place: format!("{}[{index}]", self.place) };
        Ok(elements.iter().enumerate().map(element).collect())
    }

    pub(super) fn object(&self) -> Result<&'a Map<String, Value>, Problem> {
        self.value.as_object().ok_or_else(|| self.expected("fields (name: value)"))
    }

    /// The fields of an object with their places.
    pub(super) fn fields(&self) -> Result<Vec<(&'a str, Node<'a>)>, Problem> {
        let node =
            |(name, value): (&'a String, &'a Value)| (name.as_str(), Node { value, place: below(&self.place, name) });
        Ok(self.object()?.iter().map(node).collect())
    }

    pub(super) fn text(&self) -> Result<&'a str, Problem> {
        self.value.as_str().ok_or_else(|| self.expected("a text"))
    }

    pub(super) fn number(&self) -> Result<f64, Problem> {
        self.value.as_f64().filter(|number| number.is_finite()).ok_or_else(|| self.expected("a number"))
    }

    pub(super) fn whole(&self) -> Result<u64, Problem> {
        self.value.as_u64().ok_or_else(|| self.expected("a whole number that is not negative"))
    }

    pub(super) fn flag(&self) -> Result<bool, Problem> {
        self.value.as_bool().ok_or_else(|| self.expected("true or false"))
    }

    pub(super) fn text_of(&self, name: &str) -> Result<Option<&'a str>, Problem> {
        self.field(name).map(|field| field.text()).transpose()
    }

    pub(super) fn flag_of(&self, name: &str) -> Result<bool, Problem> {
        Ok(self.field(name).map(|field| field.flag()).transpose()?.unwrap_or(false))
    }

    /// A field that has to be there.
    pub(super) fn needed(&self, name: &str) -> Result<Node<'a>, Problem> {
        self.field(name).ok_or_else(|| {
            Problem::new(&self.place, format!("the field '{name}' is missing"), format!("add '{name}:'"))
        })
    }

    pub(super) fn expected(&self, what: &str) -> Problem {
        Problem::new(&self.place, format!("expected {what}"), format!("write {what} there (docs/data-quality.md)"))
    }
}

fn below(place: &str, name: &str) -> String {
    // A name from a hostile file does not make a message unreadable.
    let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    if place.is_empty() { name } else { format!("{place}.{name}") }
}

/// A value as the text that it would have in a column; `None` for null, lists and objects.
pub(super) fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
