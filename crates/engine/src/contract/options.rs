//! What a contract says of the values of one column, as rules: `required`, `unique`, and the options of its type. The names of
//! the options are the same in both forms of contracts.

use std::collections::HashSet;

use regex::RegexBuilder;
use serde_json::Value;

use super::{
    error::Problem,
    model::{Bound, Check, Column, Expectation, Limit, LogicalType, Range, RowTest, Rule, RuleKind},
    moment::{MICROS_OF_A_DAY, MomentFormat},
    syntax::{Node, scalar_text},
    text_format::TextFormat,
};

/// The longest regular expression that is compiled, in bytes of its compiled form.
const PATTERN_BYTES: usize = 512 << 10;

/// Makes a rule whose number must be none.
pub(super) fn rule(place: &str, kind: RuleKind, column: Option<&str>, words: impl Into<String>, check: Check) -> Rule {
    Rule {
        place: place.to_owned(),
        kind,
        column: column.map(str::to_owned),
        words: words.into(),
        check,
        expect: Expectation::none(),
    }
}

/// Makes a rule that is shown and not checked.
pub(super) fn not_checked(place: &str, kind: RuleKind, column: Option<&str>, words: &str, why: &str) -> Rule {
    rule(place, kind, column, words, Check::NotChecked(why.to_owned()))
}

/// The rules that every column has: that it is there, and of its type.
pub(super) fn presence(place: &str, column: &Column, rules: &mut Vec<Rule>) {
    rules.push(rule(place, RuleKind::Present, Some(&column.name), "the column is there", Check::Present));
    match column.logical {
        None => {}
        // Inside of the text formats everything is text, so nothing can fail.
        Some(logical) => {
            let words = match &column.format {
                Some(format) => format!("{} written {}", logical.as_str(), format.pattern),
                None => logical.as_str().to_owned(),
            };
            rules.push(rule(place, RuleKind::Type, Some(&column.name), words, Check::Rows(vec![RowTest::Type])));
        }
    }
}

/// The rules of a column's options: those fields of `node` that are options.
pub(super) fn options(node: &Node<'_>, column: &Column, rules: &mut Vec<Rule>) -> Result<(), Problem> {
    let name = Some(column.name.as_str());
    let mut add = |place: &str, kind, words: String, test| {
        rules.push(rule(place, kind, name, words, Check::Rows(vec![test])));
    };
    let (min, max) = (node.field("minLength"), node.field("maxLength"));
    if let Some(either) = min.as_ref().or(max.as_ref()) {
        let bound = |field: &Option<Node<'_>>| field.as_ref().map(Node::whole).transpose();
        let (min, max) = (bound(&min)?, bound(&max)?);
        add(&either.place, RuleKind::Length, length_words(min, max), RowTest::Length { min, max });
    }
    let range = range(node, column)?;
    if let Some((place, range, words)) = range {
        add(&place, RuleKind::Range, words, RowTest::Range(range));
    }
    if let Some(multiple) = node.field("multipleOf") {
        let of = multiple.number()?;
        if of <= 0.0 {
            return Err(multiple.expected("a number above 0"));
        }
        add(&multiple.place, RuleKind::MultipleOf, format!("a multiple of {of}"), RowTest::MultipleOf(of));
    }
    if let Some(allowed) = node.field("enum") {
        let (texts, numbers) = allowed_values(&allowed)?;
        let words = format!("one of {} values", texts.len());
        add(&allowed.place, RuleKind::Allowed, words, RowTest::OneOf { texts, numbers });
    }
    if let Some(pattern) = node.field("pattern") {
        let words = pattern.text()?;
        match compile(words) {
            Ok(regex) => add(&pattern.place, RuleKind::Pattern, format!("matches {words}"), RowTest::Pattern(regex)),
            Err(why) => rules.push(not_checked(&pattern.place, RuleKind::Pattern, name, words, why)),
        }
    }
    if let Some(format) = node.field("format") {
        format_rule(&format, column, rules)?;
    }
    Ok(())
}

/// The pattern of a column of days or times, from its `format`.
pub(super) fn moment_format(node: &Node<'_>, logical: Option<LogicalType>) -> Result<Option<MomentFormat>, Problem> {
    let is_moment = matches!(logical, Some(LogicalType::Date | LogicalType::Time | LogicalType::Timestamp));
    match node.field("format") {
        Some(format) if is_moment => {
            let text = format.text()?;
            // Names of the usual form, which needs no pattern.
            Ok(if is_usual(text) { None } else { MomentFormat::parse(text) })
        }
        _ => Ok(None),
    }
}

fn is_usual(format: &str) -> bool {
    matches!(format, "date" | "time" | "date-time" | "timestamp" | "iso8601" | "ISO8601" | "yyyy-MM-dd" | "HH:mm:ss")
}

fn format_rule(format: &Node<'_>, column: &Column, rules: &mut Vec<Rule>) -> Result<(), Problem> {
    let (text, name) = (format.text()?, Some(column.name.as_str()));
    match column.logical {
        Some(LogicalType::Date | LogicalType::Time | LogicalType::Timestamp) => {
            if column.format.is_none() && !is_usual(text) {
                let why = "the pattern has fields that this version does not read; values are read as ISO 8601";
                rules.push(not_checked(&format.place, RuleKind::Format, name, text, why));
            }
        }
        Some(LogicalType::Integer) if whole_range(text).is_some() => {
            let range = whole_range(text).unwrap_or_default();
            let test = Check::Rows(vec![RowTest::Range(range)]);
            rules.push(rule(&format.place, RuleKind::Format, name, text, test));
        }
        None | Some(LogicalType::String) if TextFormat::from_name(text).is_some() => {
            let tests = TextFormat::from_name(text).map(RowTest::Format).into_iter().collect();
            rules.push(rule(&format.place, RuleKind::Format, name, text, Check::Rows(tests)));
        }
        _ => {
            let why = "this version does not know the format";
            rules.push(not_checked(&format.place, RuleKind::Format, name, text, why));
        }
    }
    Ok(())
}

/// The range of whole numbers of so many bits.
fn whole_range(format: &str) -> Option<Range> {
    let (low, high) = match format {
        "i8" => (i64::from(i8::MIN), i64::from(i8::MAX)),
        "i16" => (i64::from(i16::MIN), i64::from(i16::MAX)),
        "i32" => (i64::from(i32::MIN), i64::from(i32::MAX)),
        "i64" => (i64::MIN, i64::MAX),
        "u8" => (0, i64::from(u8::MAX)),
        "u16" => (0, i64::from(u16::MAX)),
        "u32" => (0, i64::from(u32::MAX)),
        "u64" => (0, i64::MAX),
        _ => return None,
    };
    let bound = |at| Some(Bound { at: Limit::Integer(at), exclusive: false });
    Some(Range { lower: bound(low), upper: bound(high) })
}

fn range(node: &Node<'_>, column: &Column) -> Result<Option<(String, Range, String)>, Problem> {
    let mut range = Range::default();
    let mut words = Vec::new();
    let mut place = None;
    for (inclusive, exclusive, sign) in [("minimum", "exclusiveMinimum", ">"), ("maximum", "exclusiveMaximum", "<")] {
        let (plain, strict) = (node.field(inclusive), node.field(exclusive));
        // Of older drafts: `minimum: 5, exclusiveMinimum: true`.
        let is_flag = strict.as_ref().and_then(|strict| strict.value.as_bool());
        let (field, is_exclusive) = match (plain, strict) {
            (Some(plain), _) if is_flag.is_some() => (plain, is_flag == Some(true)),
            (None, Some(_)) if is_flag.is_some() => continue,
            (_, Some(strict)) => (strict, true),
            (Some(plain), None) => (plain, false),
            (None, None) => continue,
        };
        let bound = Some(Bound { at: limit(&field, column)?, exclusive: is_exclusive });
        if sign == ">" {
            range.lower = bound;
        } else {
            range.upper = bound;
        }
        let text = scalar_text(field.value).unwrap_or_default();
        words.push(format!("{sign}{} {text}", if is_exclusive { "" } else { "=" }));
        place.get_or_insert(field.place);
    }
    Ok(place.map(|place| (place, range, words.join(" and "))))
}

fn limit(field: &Node<'_>, column: &Column) -> Result<Limit, Problem> {
    let of_text = |text: &str| match (column.logical, &column.format) {
        (Some(LogicalType::Time), Some(format)) => format.time(text),
        (Some(LogicalType::Time), None) => {
            let clock: jiff::civil::Time = text.parse().ok()?;
            let since = clock.since(jiff::civil::Time::midnight()).ok()?;
            since.total(jiff::Unit::Microsecond).ok().map(|micros| micros as i64)
        }
        (_, Some(format)) => format.micros(text),
        (_, None) => text
            .parse::<jiff::Timestamp>()
            .map(jiff::Timestamp::as_microsecond)
            .or_else(|_| {
                let moment: jiff::civil::DateTime = text.parse()?;
                moment.to_zoned(jiff::tz::TimeZone::UTC).map(|zoned| zoned.timestamp().as_microsecond())
            })
            .ok(),
    };
    match column.logical {
        Some(LogicalType::Date | LogicalType::Time | LogicalType::Timestamp) => {
            let micros = of_text(field.text()?).ok_or_else(|| field.expected("a date or time as in the column"))?;
            let whole_day = column.logical == Some(LogicalType::Date);
            Ok(Limit::Micros(if whole_day { micros - micros.rem_euclid(MICROS_OF_A_DAY) } else { micros }))
        }
        _ => match field.value.as_i64() {
            Some(whole) => Ok(Limit::Integer(whole)),
            None => Ok(Limit::Number(field.number()?)),
        },
    }
}

fn length_words(min: Option<u64>, max: Option<u64>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("{min} to {max} characters"),
        (Some(min), None) => format!("at least {min} characters"),
        (None, Some(max)) => format!("at most {max} characters"),
        (None, None) => String::new(),
    }
}

/// A list of values, as texts and, where they are numbers, as numbers; entries may be objects with a `value`.
pub(super) fn allowed_values(list: &Node<'_>) -> Result<(HashSet<String>, Vec<f64>), Problem> {
    let (mut texts, mut numbers) = (HashSet::new(), Vec::new());
    for element in list.elements()? {
        let value = match element.value {
            Value::Object(fields) => fields.get("value").unwrap_or(&Value::Null),
            value => value,
        };
        if value.is_null() {
            continue;
        }
        texts.insert(scalar_text(value).ok_or_else(|| element.expected("a text, a number, true or false"))?);
        numbers.extend(value.as_f64());
    }
    Ok((texts, numbers))
}

/// Compiles a regular expression; what it says when it cannot is for people.
pub(super) fn compile(pattern: &str) -> Result<regex::Regex, &'static str> {
    RegexBuilder::new(pattern).size_limit(PATTERN_BYTES).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the regular expression is too large",
        _ => {
            "not a regular expression that this version matches (look-around and back references are not: they take unbounded time)"
        }
    })
}
