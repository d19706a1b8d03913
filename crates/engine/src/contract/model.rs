//! A data contract as this program understands it: models with their columns, and the rules that their rows have to keep.
//!
//! Both forms of contracts (`odcs`, `descriptor`) become these. What is in a contract and cannot be checked is a rule too, with
//! [`Check::NotChecked`], so that nothing is passed over in silence.

use std::collections::HashSet;

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{error::ContractError, moment::MomentFormat, text_format::TextFormat};

/// A data contract.
#[derive(Clone, Debug)]
pub struct Contract {
    /// Where it comes from: a file's path, or fixed words.
    pub origin: String,
    /// Its name or id, where it has one.
    pub name: Option<String>,
    /// Its version, where it has one.
    pub version: Option<String>,
    /// What it describes, in its order.
    pub models: Vec<Model>,
    /// Where it says that the data is.
    pub servers: Vec<Server>,
}

impl Contract {
    /// Finds a model; without a name the only one.
    ///
    /// # Errors
    /// [`ContractError::NoSuchModel`], [`ContractError::WhichModel`].
    pub fn model(&self, name: Option<&str>) -> Result<&Model, ContractError> {
        let has = || self.models.iter().map(|model| model.name.clone()).collect::<Vec<_>>();
        match (name, self.models.as_slice()) {
            (None, [only]) => Ok(only),
            (None, _) => Err(ContractError::WhichModel { origin: self.origin.clone(), has: has() }),
            (Some(name), models) => models.iter().find(|model| model.name == name).ok_or_else(|| {
                ContractError::NoSuchModel { origin: self.origin.clone(), model: name.to_owned(), has: has() }
            }),
        }
    }
}

/// Where a contract says that data is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `local`, `s3`, `azure`, ...
    pub kind: String,
    /// A path or an address; may hold `{model}`.
    pub location: Option<String>,
    /// `csv`, `json`, `parquet`, ...
    pub format: Option<String>,
}

/// One table that a contract describes.
#[derive(Clone, Debug)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// The name of the table in the source, where it is another one.
    pub physical_name: Option<String>,
    /// Its columns, in the contract's order.
    pub columns: Vec<Column>,
    /// What its rows have to keep, in the contract's order.
    pub rules: Vec<Rule>,
}

impl Model {
    /// The column of a name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// One column of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name in the data.
    pub name: String,
    /// What its values are, where the contract says so.
    pub logical: Option<LogicalType>,
    /// How dates and times are written, where not as in ISO 8601.
    pub format: Option<MomentFormat>,
}

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogicalType {
    /// Text.
    String,
    /// Whole numbers of 64 bits.
    Integer,
    /// Numbers.
    Number,
    /// True or false.
    Boolean,
    /// A day.
    Date,
    /// A time of the day.
    Time,
    /// A moment.
    Timestamp,
    /// Bytes.
    Binary,
    /// Fields.
    Object,
    /// A list.
    Array,
    /// Keys with values.
    Map,
}

impl LogicalType {
    /// The standard's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Time => "time",
            Self::Timestamp => "timestamp",
            Self::Binary => "bytes",
            Self::Object => "object",
            Self::Array => "array",
            Self::Map => "map",
        }
    }

    /// Whether values are made of other values.
    #[must_use]
    pub fn is_nested(self) -> bool {
        matches!(self, Self::Object | Self::Array | Self::Map)
    }
}

/// Something that the rows of a model have to keep.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Where the contract says so: `schema[0].properties[2].quality[1]`.
    pub place: String,
    /// Of which sort it is.
    pub kind: RuleKind,
    /// The column that it is about, where it is about one.
    pub column: Option<String>,
    /// What it asks, in words.
    pub words: String,
    /// How it is checked.
    pub check: Check,
    /// What must hold of the number that the check gives.
    pub expect: Expectation,
}

/// Of which sort a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RuleKind {
    /// The data can be opened and read at all.
    Data,
    /// Rows can be told apart and read.
    Readable,
    /// The column is there.
    Present,
    /// There is no column that the contract does not name.
    Unexpected,
    /// Values are of the type.
    Type,
    /// There is a value in every row.
    Required,
    /// No value occurs twice.
    Unique,
    /// Texts match a regular expression.
    Pattern,
    /// Texts are of a length.
    Length,
    /// Values lie in a range.
    Range,
    /// Values are among those allowed.
    Allowed,
    /// Texts have a form: `email`, `uuid`, ...
    Format,
    /// Numbers are multiples of another.
    MultipleOf,
    /// The metric `nullValues`.
    NullValues,
    /// The metric `missingValues`.
    MissingValues,
    /// The metric `invalidValues`.
    InvalidValues,
    /// The metric `duplicateValues`.
    DuplicateValues,
    /// The metric `rowCount`.
    RowCount,
    /// The newest row is new enough.
    Freshness,
    /// A query.
    Sql,
    /// A text for people.
    Text,
    /// A rule of another tool.
    Custom,
    /// Anything else that a contract may say.
    Other,
}

impl RuleKind {
    /// The word for it in outputs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Readable => "readable",
            Self::Present => "present",
            Self::Unexpected => "unexpected",
            Self::Type => "type",
            Self::Required => "required",
            Self::Unique => "unique",
            Self::Pattern => "pattern",
            Self::Length => "length",
            Self::Range => "range",
            Self::Allowed => "allowed",
            Self::Format => "format",
            Self::MultipleOf => "multiple_of",
            Self::NullValues => "null_values",
            Self::MissingValues => "missing_values",
            Self::InvalidValues => "invalid_values",
            Self::DuplicateValues => "duplicate_values",
            Self::RowCount => "row_count",
            Self::Freshness => "freshness",
            Self::Sql => "sql",
            Self::Text => "text",
            Self::Custom => "custom",
            Self::Other => "other",
        }
    }
}

/// How a rule is checked.
#[derive(Clone, Debug)]
pub enum Check {
    /// The column is there.
    Present,
    /// No other column is there.
    Unexpected,
    /// No row was rejected.
    Readable,
    /// Counts the rows without a value in the column.
    Nulls,
    /// Counts the rows whose value is one of those that stand for none; `null` among them or not.
    Missing {
        /// The texts.
        values: HashSet<String>,
        /// Whether null is one of them.
        null: bool,
    },
    /// Counts the rows that have a value which fails one of these tests.
    Rows(Vec<RowTest>),
    /// Counts the rows.
    RowCount,
    /// Counts the rows beyond the first of each value of these columns together; a row with a null in one of them is not counted.
    Duplicates(Vec<String>),
    /// The newest value of the column is at most so many seconds old.
    Freshness {
        /// The age.
        max_age_s: i64,
    },
    /// A query that gives one number, or true or false.
    Sql(String),
    /// Nothing is checked, and why.
    NotChecked(String),
}

/// What a value must be like. Null passes every test.
#[derive(Clone, Debug)]
pub enum RowTest {
    /// Of the column's type.
    Type,
    /// A text in which the expression is found.
    Pattern(Regex),
    /// A text of so many characters.
    Length {
        /// The fewest.
        min: Option<u64>,
        /// The most.
        max: Option<u64>,
    },
    /// Within bounds.
    Range(Range),
    /// One of these.
    OneOf {
        /// As texts.
        texts: HashSet<String>,
        /// As numbers, where they are.
        numbers: Vec<f64>,
    },
    /// Of a form.
    Format(TextFormat),
    /// A multiple of this.
    MultipleOf(f64),
}

/// Bounds of a range.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Range {
    /// The lower bound.
    pub lower: Option<Bound>,
    /// The upper bound.
    pub upper: Option<Bound>,
}

/// One bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// Where it is.
    pub at: Limit,
    /// Whether the bound itself is outside.
    pub exclusive: bool,
}

/// Where a bound is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// A whole number, compared exactly with whole numbers.
    Integer(i64),
    /// A number.
    Number(f64),
    /// A moment or day, in microseconds since 1970; a time of the day, in microseconds.
    Micros(i64),
}

/// What must hold of a number: all of these.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expectation {
    /// The comparisons.
    pub all: Vec<Comparison>,
    /// Whether the number is taken in percent of the rows.
    pub percent: bool,
}

/// One comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Comparison {
    /// Equal.
    Be(f64),
    /// Not equal.
    NotBe(f64),
    /// Greater.
    Greater(f64),
    /// Greater or equal.
    AtLeast(f64),
    /// Less.
    Less(f64),
    /// Less or equal.
    AtMost(f64),
    /// Outside of an interval: less or equal the first, or greater or equal the second.
    Outside(f64, f64),
    /// True or false, for queries that give one of these.
    BeTruth(bool),
}

impl Expectation {
    /// That there is none.
    #[must_use]
    pub fn none() -> Self {
        Self { all: vec![Comparison::Be(0.0)], percent: false }
    }

    /// Whether a number is as expected.
    #[must_use]
    pub fn holds(&self, number: f64) -> bool {
        self.all.iter().all(|comparison| match *comparison {
            Comparison::Be(other) => number == other,
            Comparison::NotBe(other) => number != other,
            Comparison::Greater(other) => number > other,
            Comparison::AtLeast(other) => number >= other,
            Comparison::Less(other) => number < other,
            Comparison::AtMost(other) => number <= other,
            Comparison::Outside(low, high) => number <= low || number >= high,
            Comparison::BeTruth(_) => false,
        })
    }

    /// Whether a count of rows is as expected, of so many rows.
    #[must_use]
    pub fn holds_of(&self, rows: u64, of: u64) -> bool {
        match (self.percent, of) {
            (false, _) => self.holds(rows as f64),
            (true, 0) => self.holds(0.0),
            (true, of) => self.holds(rows as f64 * 100.0 / of as f64),
        }
    }

    /// Whether true or false is as expected; where nothing is said, true is.
    #[must_use]
    pub fn holds_truth(&self, truth: bool) -> bool {
        self.all.iter().all(|comparison| match comparison {
            Comparison::BeTruth(expected) => *expected == truth,
            _ => false,
        }) && (truth || !self.all.is_empty())
    }

    /// The expectation in words: `must be 0`, `must be > 10 and < 20 percent`.
    #[must_use]
    pub fn words(&self) -> String {
        let words: Vec<_> = self
            .all
            .iter()
            .map(|comparison| match *comparison {
                Comparison::Be(other) => format!("{other}"),
                Comparison::NotBe(other) => format!("not {other}"),
                Comparison::Greater(other) => format!("> {other}"),
                Comparison::AtLeast(other) => format!(">= {other}"),
                Comparison::Less(other) => format!("< {other}"),
                Comparison::AtMost(other) => format!("<= {other}"),
                Comparison::Outside(low, high) => format!("<= {low} or >= {high}"),
                Comparison::BeTruth(truth) => format!("{truth}"),
            })
            .collect();
        let unit = if self.percent { " percent" } else { "" };
        if words.is_empty() { "must be true".to_owned() } else { format!("must be {}{unit}", words.join(" and ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expectations_hold_at_their_bounds_as_they_say() {
        let expect = |comparison| Expectation { all: vec![comparison], percent: false };
        assert!(expect(Comparison::AtLeast(5.0)).holds(5.0) && !expect(Comparison::Greater(5.0)).holds(5.0));
        assert!(expect(Comparison::AtMost(5.0)).holds(5.0) && !expect(Comparison::Less(5.0)).holds(5.0));
        assert!(expect(Comparison::Outside(1.0, 3.0)).holds(1.0) && !expect(Comparison::Outside(1.0, 3.0)).holds(2.0));
        assert!(expect(Comparison::NotBe(1.0)).holds(2.0) && !expect(Comparison::NotBe(1.0)).holds(1.0));
        let percent = Expectation { all: vec![Comparison::Less(1.0)], percent: true };
        assert!(percent.holds_of(0, 0) && percent.holds_of(9, 1000) && !percent.holds_of(10, 1000));
        assert_eq!(percent.words(), "must be < 1 percent");
    }

    #[test]
    fn truth_is_compared_with_truth_only() {
        assert!(Expectation::default().holds_truth(true) && !Expectation::default().holds_truth(false));
        let no = Expectation { all: vec![Comparison::BeTruth(false)], percent: false };
        assert!(no.holds_truth(false) && !no.holds_truth(true));
        assert!(!Expectation::none().holds_truth(true));
    }
}
