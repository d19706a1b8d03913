//! Columns as the contract types them: texts parsed, numbers brought to one width. What does not parse becomes null, and is
//! counted by whoever compares with the column as it was.
//!
//! ```text
//! integer -> Int64     number -> Float64     boolean -> Boolean     string -> Utf8
//! date -> Date32       time -> Time64(us)    timestamp -> Timestamp(us), of UTC     others and untyped: as they are
//! ```

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, Date32Array, Float64Array, StringArray, Time64MicrosecondArray,
        TimestampMicrosecondArray,
    },
    compute::{CastOptions, cast_with_options, kernels::cast_utils::Parser},
    datatypes::{DataType, Date32Type, Float64Type, TimeUnit},
    error::ArrowError,
};

use super::model::{Column, LogicalType};

/// The type that a column of the data has when it is checked.
pub(super) fn target(column: &Column, found: &DataType) -> DataType {
    match column.logical {
        Some(LogicalType::Integer) => DataType::Int64,
        Some(LogicalType::Number) => DataType::Float64,
        Some(LogicalType::Boolean) => DataType::Boolean,
        Some(LogicalType::Date) => DataType::Date32,
        Some(LogicalType::Time) => DataType::Time64(TimeUnit::Microsecond),
        Some(LogicalType::Timestamp) => DataType::Timestamp(TimeUnit::Microsecond, None),
        Some(LogicalType::String) => DataType::Utf8,
        None if is_text(found) => DataType::Utf8,
        _ => found.clone(),
    }
}

/// Whether a column of this type can hold values of that sort: by its own type, or as text that is parsed.
pub(super) fn may_hold(logical: LogicalType, found: &DataType) -> bool {
    let found = match found {
        DataType::Dictionary(_, values) => values.as_ref(),
        other => other,
    };
    match logical {
        LogicalType::String => is_text(found) || *found == DataType::Null,
        LogicalType::Binary => {
            matches!(
                found,
                DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_)
            ) || is_text(found)
        }
        LogicalType::Object => matches!(found, DataType::Struct(_)) || is_text(found),
        LogicalType::Array => {
            matches!(
                found,
                DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(_, _) | DataType::ListView(_)
            ) || is_text(found)
        }
        LogicalType::Map => matches!(found, DataType::Map(_, _)) || is_text(found),
        _ if is_text(found) || *found == DataType::Null => true,
        LogicalType::Integer => {
            found.is_integer() || matches!(found, DataType::Decimal128(_, 0) | DataType::Decimal256(_, 0))
        }
        LogicalType::Number => found.is_numeric(),
        LogicalType::Boolean => *found == DataType::Boolean,
        LogicalType::Date => matches!(found, DataType::Date32 | DataType::Date64),
        LogicalType::Time => matches!(found, DataType::Time32(_) | DataType::Time64(_)),
        LogicalType::Timestamp => matches!(found, DataType::Timestamp(_, _)),
    }
}

/// Whether a column holds text.
pub(super) fn is_text(found: &DataType) -> bool {
    match found {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

/// Brings a column of the data into its type.
pub(super) fn typed(column: &Column, raw: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let target = target(column, raw.data_type());
    if *raw.data_type() == target {
        return Ok(Arc::clone(raw));
    }
    if let Some(logical) = column.logical
        && !may_hold(logical, raw.data_type())
    {
        return Ok(arrow::array::new_null_array(&target, raw.len()));
    }
    if let (Some(format), true) = (&column.format, is_text(raw.data_type())) {
        let texts = cast(raw, &DataType::Utf8)?;
        let texts = texts.as_string::<i32>().iter();
        return Ok(match column.logical {
            Some(LogicalType::Date) => {
                Arc::new(texts.map(|text| format.days(text?)).collect::<Date32Array>()) as ArrayRef
            }
            Some(LogicalType::Time) => {
                Arc::new(texts.map(|text| format.time(text?)).collect::<Time64MicrosecondArray>())
            }
            _ => Arc::new(texts.map(|text| format.micros(text?)).collect::<TimestampMicrosecondArray>()),
        });
    }
    if target == DataType::Date32 && is_text(raw.data_type()) {
        // A day is a day: the cast would take a moment too, and drop its time.
        let texts = cast(raw, &DataType::Utf8)?;
        let days = texts.as_string::<i32>().iter().map(|text| Date32Type::parse(text.filter(|text| text.len() == 10)?));
        return Ok(Arc::new(days.collect::<Date32Array>()));
    }
    let array = cast(raw, &target)?;
    if target == DataType::Float64 && is_text(raw.data_type()) {
        // "NaN" and "inf" are words, not numbers.
        let numbers = array.as_primitive::<Float64Type>();
        if numbers.iter().flatten().any(|number| !number.is_finite()) {
            let finite = numbers.iter().map(|number| number.filter(|number| number.is_finite()));
            return Ok(Arc::new(finite.collect::<Float64Array>()));
        }
    }
    Ok(array)
}

/// A column as texts, for tests of texts.
pub(super) fn texts(array: &ArrayRef) -> Result<StringArray, ArrowError> {
    let texts = cast(array, &DataType::Utf8)?;
    Ok(texts.as_string::<i32>().clone())
}

/// Null where a value cannot be brought into the type.
fn cast(array: &ArrayRef, target: &DataType) -> Result<ArrayRef, ArrowError> {
    let options = CastOptions { safe: true, ..CastOptions::default() };
    // A moment with a zone becomes the moment of UTC.
    cast_with_options(array, target, &options)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use arrow::datatypes::{Int64Type, TimestampMicrosecondType};

    use super::*;

    fn column(logical: LogicalType) -> Column {
        Column { name: "c".into(), logical: Some(logical), format: None }
    }

    fn text(values: &[&str]) -> ArrayRef {
        Arc::new(StringArray::from(values.to_vec()))
    }

    #[test]
    fn texts_are_parsed_and_what_is_none_is_null() {
        let whole = typed(&column(LogicalType::Integer), &text(&["12", "-3", "1.5", "x", ""])).unwrap();
        let whole: Vec<_> = whole.as_primitive::<Int64Type>().iter().collect();
        assert_eq!(whole, [Some(12), Some(-3), None, None, None]);
        let numbers = typed(&column(LogicalType::Number), &text(&["1.5", "NaN", "inf", "1,5"])).unwrap();
        let numbers: Vec<_> = numbers.as_primitive::<Float64Type>().iter().collect();
        assert_eq!(numbers, [Some(1.5), None, None, None]);
        let days =
            typed(&column(LogicalType::Date), &text(&["1970-01-02", "02/01/1970", "1970-01-02T00:00:00"])).unwrap();
        assert_eq!((days.len(), days.null_count()), (3, 2));
    }

    #[test]
    fn moments_with_a_zone_are_brought_to_utc() {
        let moments = typed(
            &column(LogicalType::Timestamp),
            &text(&["1970-01-01T01:00:00+01:00", "1970-01-01T00:00:01Z", "1970-01-01 00:00:02", "1970-01-01"]),
        );
        let moments: Vec<_> = moments.unwrap().as_primitive::<TimestampMicrosecondType>().iter().collect();
        assert_eq!(moments, [Some(0), Some(1_000_000), Some(2_000_000), Some(0)]);
    }

    #[test]
    fn a_column_of_another_type_holds_no_value_of_this_one() {
        let numbers: ArrayRef = Arc::new(Float64Array::from(vec![1.0]));
        assert_eq!(typed(&column(LogicalType::Integer), &numbers).unwrap().null_count(), 1);
        assert_eq!(typed(&column(LogicalType::String), &numbers).unwrap().null_count(), 1);
        assert_eq!(typed(&column(LogicalType::Number), &numbers).unwrap().null_count(), 0);
    }
}
