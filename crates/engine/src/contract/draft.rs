//! Drafts a contract from data: what holds of all rows, as an Open Data Contract Standard file.
//!
//! In: two readings of the same source. Out: YAML that its own check passes on the same data (where every row can be read). It
//! holds names of columns and what sort of values they have, no value: smallest and largest ones only where they are asked for.

use std::fmt::Write;

use arrow::{
    array::{Array, ArrayRef, AsArray},
    compute::{max, min},
    datatypes::{DataType, Date32Type, Float64Type, Int64Type, TimestampMicrosecondType},
};

use super::{
    check::{CheckOptions, check},
    error::ContractError,
    model::{Check, Column, LogicalType, Model, RuleKind},
    moment::MICROS_OF_A_DAY,
    options::{compile, rule},
    result::RuleOutcome,
    rows::Rows,
    text_format::TextFormat,
    typed::{is_text, texts, typed},
};
use crate::{
    dataset::{SourceReader, looks_like_value},
    error::{Error, Result},
    runtime::Progress,
};

const IBAN: &str = "^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$";
const PHONE: &str = "^[+]?[0-9][0-9 ()./-]{5,24}$";

/// A drafted contract.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The file's text.
    pub yaml: String,
    /// The rows that it was drafted from.
    pub rows: u64,
    /// The rows that could not be read.
    pub rejected: u64,
    /// How many columns it has.
    pub columns: usize,
}

/// Drafts a contract of one model. `open` opens the source, and is called twice; `with_ranges` puts smallest and largest values of
/// numbers, dates and moments into it.
///
/// # Errors
/// [`ContractError::LooksLikeData`] where the columns have values for names; those of reading the source.
pub fn draft(
    name: &str,
    open: &dyn Fn() -> Result<SourceReader>,
    with_ranges: bool,
    options: &CheckOptions,
    progress: Progress<'_>,
) -> Result<Result<Draft, ContractError>> {
    let mut reader = open()?;
    let suspicious = reader.columns().iter().filter(|name| looks_like_value(name)).count();
    if suspicious > 0 {
        return Ok(Err(ContractError::LooksLikeData { columns: suspicious }));
    }
    let schema = reader.schema();
    let found = schema.fields().iter().map(|field| (field.name(), field.data_type()));
    let mut seen: Vec<Seen> = found.map(|(name, found)| Seen::new(name, found)).collect();
    let mut rows = 0;
    for batch in &mut reader {
        let batch = batch?;
        for (seen, array) in seen.iter_mut().zip(batch.batch.columns()) {
            seen.take(array)?;
        }
        rows += batch.batch.num_rows() as u64;
        progress((batch.batch.num_rows() + batch.rejected.len()) as u64);
    }
    let rejected = reader.rejected_rows();
    mark_unique(&mut seen, rows, open, options)?;
    let yaml = write(name, &seen, rows, with_ranges);
    Ok(Ok(Draft { yaml, rows, rejected, columns: seen.len() }))
}

/// What a column was so far.
struct Seen {
    name: String,
    nulls: u64,
    values: u64,
    /// The types that all its values have, the narrowest first.
    types: Vec<LogicalType>,
    /// What all its texts match.
    formats: Vec<Form>,
    smallest: Option<Extreme>,
    largest: Option<Extreme>,
    unique: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum Extreme {
    Whole(i64),
    Number(f64),
    Micros(i64),
}

#[derive(Clone)]
enum Form {
    Format(&'static str, TextFormat),
    /// A pattern, and parts of names one of which the column's has.
    Pattern(&'static str, regex::Regex),
}

impl Seen {
    fn new(name: &str, found: &DataType) -> Self {
        use LogicalType as T;
        let own = match found {
            _ if is_text(found) => None,
            DataType::Boolean => Some(T::Boolean),
            DataType::Date32 | DataType::Date64 => Some(T::Date),
            DataType::Time32(_) | DataType::Time64(_) => Some(T::Time),
            DataType::Timestamp(_, _) => Some(T::Timestamp),
            DataType::Decimal128(_, 0) | DataType::Decimal256(_, 0) => Some(T::Integer),
            other if other.is_integer() => Some(T::Integer),
            other if other.is_numeric() => Some(T::Number),
            DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(_, _) => Some(T::Array),
            DataType::Struct(_) => Some(T::Object),
            DataType::Map(_, _) => Some(T::Map),
            _ => None,
        };
        let types = match own {
            Some(T::Integer) => vec![T::Integer, T::Number],
            Some(own) => vec![own],
            None if is_text(found) => vec![T::Integer, T::Number, T::Boolean, T::Date, T::Timestamp, T::String],
            None => Vec::new(),
        };
        let lower = name.to_lowercase();
        let named = |parts: &[&str]| parts.iter().any(|part| lower.contains(part));
        let mut formats = Vec::new();
        if named(&["mail"]) {
            formats.push(Form::Format("email", TextFormat::Email));
        }
        formats.push(Form::Format("uuid", TextFormat::Uuid));
        if named(&["iban", "account"]) {
            formats.extend(compile(IBAN).map(|regex| Form::Pattern(IBAN, regex)));
        }
        if named(&["phone", "mobile", "gsm", "tel"]) {
            formats.extend(compile(PHONE).map(|regex| Form::Pattern(PHONE, regex)));
        }
        let (smallest, largest) = (None, None);
        Self { name: name.to_owned(), nulls: 0, values: 0, types, formats, smallest, largest, unique: false }
    }

    fn take(&mut self, array: &ArrayRef) -> Result<()> {
        let failed = |_| Error::Internal { work: "typing columns", source: "a column could not be typed".into() };
        let nulls = array.logical_null_count();
        self.nulls += nulls as u64;
        self.values += (array.len() - nulls) as u64;
        let texts = if is_text(array.data_type()) { Some(texts(array).map_err(failed)?) } else { None };
        if let Some(texts) = &texts {
            if texts.iter().flatten().any(is_code) {
                self.types.retain(|logical| *logical == LogicalType::String);
            }
            self.formats.retain(|form| texts.iter().flatten().all(|text| form.fits(text)));
        }
        let mut kept = Vec::new();
        let mut narrowest = None;
        for logical in &self.types {
            let column = Column { name: self.name.clone(), logical: Some(*logical), format: None };
            let typed = typed(&column, array).map_err(failed)?;
            if typed.logical_null_count() == nulls {
                kept.push(*logical);
                narrowest.get_or_insert(typed);
            }
        }
        self.types = kept;
        if let Some(typed) = narrowest {
            self.extend(&typed);
        }
        Ok(())
    }

    fn extend(&mut self, typed: &ArrayRef) {
        let ends = match typed.data_type() {
            DataType::Int64 => {
                let whole = typed.as_primitive::<Int64Type>();
                min(whole).zip(max(whole)).map(|(low, high)| (Extreme::Whole(low), Extreme::Whole(high)))
            }
            DataType::Float64 => {
                let numbers = typed.as_primitive::<Float64Type>();
                min(numbers).zip(max(numbers)).map(|(low, high)| (Extreme::Number(low), Extreme::Number(high)))
            }
            DataType::Date32 => {
                let days = typed.as_primitive::<Date32Type>();
                let micros = |days| Extreme::Micros(i64::from(days) * MICROS_OF_A_DAY);
                min(days).zip(max(days)).map(|(low, high)| (micros(low), micros(high)))
            }
            DataType::Timestamp(_, _) => {
                let moments = typed.as_primitive::<TimestampMicrosecondType>();
                min(moments).zip(max(moments)).map(|(low, high)| (Extreme::Micros(low), Extreme::Micros(high)))
            }
            _ => None,
        };
        let Some((low, high)) = ends else { return };
        self.smallest = Some(self.smallest.map_or(low, |so_far| so_far.lower(low)));
        self.largest = Some(self.largest.map_or(high, |so_far| so_far.higher(high)));
    }

    fn logical(&self) -> Option<LogicalType> {
        // A column without values says nothing of its type, but that it is text where it comes as text.
        if self.values == 0 { self.types.last().copied() } else { self.types.first().copied() }
    }

    fn column(&self) -> Column {
        Column { name: self.name.clone(), logical: self.logical(), format: None }
    }
}

impl Extreme {
    fn as_number(self) -> f64 {
        match self {
            Self::Whole(whole) | Self::Micros(whole) => whole as f64,
            Self::Number(number) => number,
        }
    }

    fn lower(self, other: Self) -> Self {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => Self::Whole(a.min(b)),
            (Self::Micros(a), Self::Micros(b)) => Self::Micros(a.min(b)),
            (a, b) => Self::Number(a.as_number().min(b.as_number())),
        }
    }

    fn higher(self, other: Self) -> Self {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => Self::Whole(a.max(b)),
            (Self::Micros(a), Self::Micros(b)) => Self::Micros(a.max(b)),
            (a, b) => Self::Number(a.as_number().max(b.as_number())),
        }
    }
}

impl Form {
    fn fits(&self, text: &str) -> bool {
        match self {
            Self::Format(_, format) => format.fits(text),
            Self::Pattern(_, regex) => regex.is_match(text),
        }
    }
}

/// Whether a text of digits is a code rather than a number: `00420`, `+32`.
fn is_code(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    text.starts_with('+') || (digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0."))
}

/// Finds out which columns have no value twice: those that could be names of rows, so texts and whole numbers without nulls.
fn mark_unique(
    seen: &mut [Seen],
    rows: u64,
    open: &dyn Fn() -> Result<SourceReader>,
    options: &CheckOptions,
) -> Result<()> {
    let candidates: Vec<_> = seen
        .iter()
        .filter(|seen| {
            let is_name = matches!(seen.logical(), Some(LogicalType::Integer | LogicalType::String));
            is_name && seen.nulls == 0 && rows > 1
        })
        .map(Seen::column)
        .collect();
    if candidates.is_empty() {
        return Ok(());
    }
    let rules = candidates.iter().map(|column| {
        let check = Check::Duplicates(vec![column.name.clone()]);
        rule("", RuleKind::Unique, Some(&column.name), "", check)
    });
    let rules = rules.collect();
    let model = Model { name: "rows".to_owned(), physical_name: None, columns: candidates, rules };
    let result = check(&model, Rows::of_reader(open()?), options, &|_| {})?;
    for rule in result.rules.iter().filter(|rule| rule.outcome == RuleOutcome::Passed) {
        if let Some(seen) = seen.iter_mut().find(|seen| Some(&seen.name) == rule.column.as_ref()) {
            seen.unique = true;
        }
    }
    Ok(())
}

fn write(name: &str, seen: &[Seen], rows: u64, with_ranges: bool) -> String {
    let name = quoted(name);
    let mut yaml = String::from(
        "# Drafted from data by `datafuse contract init`: look through it, and loosen what is so by accident.\n",
    );
    // Writing to a String does not fail.
    let _ = write!(
        yaml,
        "apiVersion: v3.1.0\nkind: DataContract\nid: {name}\nname: {name}\nversion: 0.1.0\nstatus: draft\nschema:\n  - name: {name}\n    logicalType: object\n    properties:\n"
    );
    for column in seen {
        let _ = writeln!(yaml, "      - name: {}", quoted(&column.name));
        if let Some(logical) = column.logical() {
            let _ = writeln!(yaml, "        logicalType: {}", logical.as_str());
        }
        if column.nulls == 0 && column.values > 0 {
            yaml.push_str("        required: true\n");
        }
        if column.unique {
            yaml.push_str("        unique: true\n");
        }
        let mut options = Vec::new();
        let is_text = column.logical() == Some(LogicalType::String) && column.values > 0;
        match column.formats.first().filter(|_| is_text) {
            Some(Form::Format(name, _)) => options.push(format!("format: {name}")),
            Some(Form::Pattern(pattern, _)) => options.push(format!("pattern: {}", quoted(pattern))),
            None => {}
        }
        if with_ranges && let (Some(low), Some(high)) = (column.smallest, column.largest) {
            options.extend(range(column.logical(), low, high));
        }
        if !options.is_empty() {
            yaml.push_str("        logicalTypeOptions:\n");
            yaml.extend(options.iter().map(|option| format!("          {option}\n")));
        }
    }
    if rows > 0 {
        yaml.push_str("    quality:\n      - metric: rowCount\n        mustBeGreaterThan: 0\n        description: there are rows\n");
    }
    yaml
}

fn range(logical: Option<LogicalType>, low: Extreme, high: Extreme) -> Vec<String> {
    let text = |end: Extreme| match (logical, end) {
        (Some(LogicalType::Integer), Extreme::Whole(whole)) => Some(whole.to_string()),
        (Some(LogicalType::Number), end) => Some(format!("{:?}", end.as_number())),
        (Some(LogicalType::Date), Extreme::Micros(micros)) => {
            Some(moment(micros)?.get(..10)?.to_owned()).map(|day| quoted(&day))
        }
        (Some(LogicalType::Timestamp), Extreme::Micros(micros)) => Some(quoted(&moment(micros)?)),
        _ => None,
    };
    match (text(low), text(high)) {
        (Some(low), Some(high)) => vec![format!("minimum: {low}"), format!("maximum: {high}")],
        _ => Vec::new(),
    }
}

fn moment(micros: i64) -> Option<String> {
    jiff::Timestamp::from_microsecond(micros).ok().map(|moment| moment.to_string())
}

/// A text in double quotes, as YAML and JSON read it alike.
fn quoted(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}
