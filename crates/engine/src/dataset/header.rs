//! Column names: finding the wanted ones, and showing them in messages without showing what is none.
//!
//! Where a file has no header but is read as if it had one, its first row stands in the names' place. Errors list the
//! columns there are; a name that looks like a value is masked in them.

use std::borrow::Cow;
use std::collections::HashMap;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::reader::MAX_COLUMNS;
use crate::error::{Error, Result};

/// The schema of a text source: every column `Utf8`, nullable.
pub(super) fn text_schema(available: &[String], projection: &[usize]) -> SchemaRef {
    let fields: Vec<Field> =
        projection.iter().map(|&index| Field::new(&available[index], DataType::Utf8, true)).collect();
    SchemaRef::new(Schema::new(fields))
}

/// Finds the wanted columns (`None`: all) among the available ones.
///
/// # Errors
///
/// [`Error::TooManyColumns`], [`Error::DuplicateColumn`], [`Error::ColumnNotFound`].
pub(super) fn project(
    place: &str,
    available: &[String],
    wanted: Option<&[String]>,
    header: bool,
) -> Result<Vec<usize>> {
    if available.len() > MAX_COLUMNS {
        return Err(Error::TooManyColumns { place: place.to_owned(), limit: MAX_COLUMNS });
    }
    let mut positions: HashMap<&str, usize> = HashMap::with_capacity(available.len());
    for (index, name) in available.iter().enumerate() {
        if positions.insert(name, index).is_some() {
            return Err(Error::DuplicateColumn { place: place.to_owned(), column: shown_column(name).into_owned() });
        }
    }
    let Some(wanted) = wanted else {
        return Ok((0..available.len()).collect());
    };
    let position = |column: &String| {
        positions.get(column.as_str()).copied().ok_or_else(|| Error::ColumnNotFound {
            place: place.to_owned(),
            column: column.clone(),
            available: shown_columns(available),
            remedy: remedy_for_missing(column, available, header),
            similar: similar(column, available),
        })
    };
    wanted.iter().map(position).collect()
}

/// What to try when a column is not there: another delimiter, no header, or another name.
fn remedy_for_missing(column: &str, available: &[String], header: bool) -> String {
    if let [only] = available
        && header
        && let Some(delimiter) = [',', ';', '\t', '|'].into_iter().find(|&delimiter| only.contains(delimiter))
    {
        let shown = if delimiter == '\t' { "'\\t'".to_owned() } else { format!("'{delimiter}'") };
        return format!("--delimiter {shown}");
    }
    if header && available.iter().any(|name| looks_like_value(name)) {
        return format!("--no-header --identifier {column}=column_1 (the first row looks like data)");
    }
    format!("--identifier {column}={}", similar(column, available).as_deref().unwrap_or("COLUMN"))
}

/// The column that is most like the one asked for.
fn similar(column: &str, available: &[String]) -> Option<String> {
    let folded = column.to_lowercase();
    let near = available.iter().filter(|name| !looks_like_value(name)).max_by_key(|name| {
        let name = name.to_lowercase();
        let related = name.contains(&folded) || folded.contains(name.as_str());
        (name == folded, related, shared_prefix(&name, &folded))
    });
    near.cloned()
}

fn shared_prefix(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count()
}

/// Column names for a message, at most 20 of them.
pub(crate) fn shown_columns(columns: &[String]) -> String {
    const SHOWN: usize = 20;
    if columns.is_empty() {
        return "none".to_owned();
    }
    let mut shown: Vec<Cow<'_, str>> = columns.iter().take(SHOWN).map(|name| shown_column(name)).collect();
    if columns.len() > SHOWN {
        shown.push(format!("and {} more", columns.len() - SHOWN).into());
    }
    shown.join(", ")
}

/// A column name for a message: where a file has no header its first row's values stand in the names' place, and those
/// are never shown; nor are control characters, which could play tricks on a terminal.
pub(super) fn shown_column(name: &str) -> Cow<'_, str> {
    if looks_like_value(name) {
        Cow::Borrowed("(hidden: looks like a value)")
    } else if name.chars().any(char::is_control) {
        Cow::Owned(name.escape_debug().collect())
    } else {
        Cow::Borrowed(name)
    }
}

pub(crate) fn looks_like_value(name: &str) -> bool {
    let digits = name.chars().filter(char::is_ascii_digit).count();
    name.contains('@') || name.chars().count() > 64 || (digits >= 4 && digits * 2 > name.len())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn missing(column: &str, available: &[&str]) -> (String, String) {
        let available: Vec<String> = available.iter().map(|name| (*name).to_owned()).collect();
        let error = project("c.csv", &available, Some(&[column.to_owned()]), true).unwrap_err();
        (error.to_string(), error.remedy().unwrap())
    }

    #[test]
    fn a_missing_column_suggests_the_likeliest_name() {
        assert_eq!(missing("email", &["name", "mail", "phone"]).1, "--identifier email=mail");
        assert_eq!(missing("email", &["id", "E-Mail", "Email"]).1, "--identifier email=Email");
        assert_eq!(missing("phone", &["id", "phone_number"]).1, "--identifier phone=phone_number");
        assert_eq!(missing("email", &[]).1, "--identifier email=COLUMN");
    }

    #[test]
    fn values_in_place_of_names_are_hidden() {
        for value in ["anna@example.com", "+32470123456", "BE71096123456769", &"x".repeat(65)] {
            let (fact, remedy) = missing("email", &["name", value]);
            assert!(!fact.contains(value) && !remedy.contains(value), "{fact} {remedy}");
            assert!(fact.contains("hidden") && remedy.contains("--no-header"), "{fact} {remedy}");
        }
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert!(missing("email", &["a\u{1b}[2J"]).0.contains("a\\u{1b}[2J"));
    }

    #[test]
    fn long_headers_are_cut() {
        let names: Vec<String> = (0..30).map(|number| format!("c{number}")).collect();
        assert!(shown_columns(&names).ends_with("c19, and 10 more"));
    }

    #[test]
    fn columns_come_in_the_order_asked() {
        let available = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(project("c.csv", &available, Some(&["c".to_owned(), "a".to_owned()]), true).unwrap(), [2, 0]);
        assert_eq!(project("c.csv", &available, None, true).unwrap(), [0, 1, 2]);
    }
}
