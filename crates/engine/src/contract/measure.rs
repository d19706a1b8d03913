//! What can be counted in one pass: for each rule of rows, how many of a batch's rows fail it; and the newest value of a column.
//!
//! Batches are measured on all cores and their counts added up, so nothing here depends on their order.

use arrow::{
    array::{Array, ArrayRef, AsArray, StringArray},
    compute::cast,
    datatypes::{DataType, Date32Type, Float64Type, Int64Type, Time64MicrosecondType, TimestampMicrosecondType},
    error::ArrowError,
    record_batch::RecordBatch,
};

use super::{
    model::{Bound, Check, Column, Limit, LogicalType, Range, RowTest},
    moment::MICROS_OF_A_DAY,
    typed::{is_text, texts, typed},
};

/// One rule to measure, with the place of its column among those of the batches.
pub(super) struct Measured<'a> {
    pub(super) check: &'a Check,
    pub(super) column: usize,
}

/// What a batch, or all of them, came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) rows: u64,
    pub(super) rejected: u64,
    /// For each measured rule: the rows that fail it.
    pub(super) failing: Vec<u64>,
    /// For each measured rule: the newest value of its column in microseconds, where it asks for that.
    pub(super) newest: Vec<Option<i64>>,
}

impl Counts {
    pub(super) fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.rejected += other.rejected;
        self.failing.resize(other.failing.len().max(self.failing.len()), 0);
        self.newest.resize(other.newest.len().max(self.newest.len()), None);
        for (sum, more) in self.failing.iter_mut().zip(&other.failing) {
            *sum += more;
        }
        for (newest, other) in self.newest.iter_mut().zip(&other.newest) {
            *newest = (*newest).max(*other);
        }
    }
}

/// Types the columns of a batch and measures all rules; gives the typed columns back.
pub(super) fn measure(
    batch: &RecordBatch,
    columns: &[Column],
    rules: &[Measured<'_>],
) -> Result<(Vec<ArrayRef>, Counts), ArrowError> {
    let cells = columns
        .iter()
        .zip(batch.columns())
        .map(|(column, raw)| Ok(Cells { column, raw, typed: typed(column, raw)?, texts: None }))
        .collect::<Result<Vec<_>, ArrowError>>();
    let mut cells = cells?;
    let mut counts = Counts { rows: batch.num_rows() as u64, ..Counts::default() };
    for rule in rules {
        let cells = &mut cells[rule.column];
        let (mut failing, mut newest) = (0, None);
        match rule.check {
            Check::Nulls => failing = cells.raw.logical_null_count() as u64,
            Check::Missing { values, null } => {
                let nulls = if *null { cells.raw.logical_null_count() as u64 } else { 0 };
                let found = cells.texts()?.iter().flatten().filter(|text| values.contains(*text)).count();
                failing = nulls + found as u64;
            }
            Check::Rows(tests) => failing = failing_rows(cells, tests)?,
            Check::Freshness { .. } => newest = cells.micros().into_iter().flatten().max(),
            _ => {}
        }
        counts.failing.push(failing);
        counts.newest.push(newest);
    }
    Ok((cells.into_iter().map(|cells| cells.typed).collect(), counts))
}

/// One column of a batch.
struct Cells<'a> {
    column: &'a Column,
    raw: &'a ArrayRef,
    typed: ArrayRef,
    texts: Option<StringArray>,
}

impl Cells<'_> {
    /// The values as texts: of a text column as they are in the data, of others as they are when typed.
    fn texts(&mut self) -> Result<&StringArray, ArrowError> {
        if self.texts.is_none() {
            let is_plain =
                matches!(self.column.logical, None | Some(LogicalType::String)) || self.column.format.is_some();
            let of = if is_plain && is_text(self.raw.data_type()) { self.raw } else { &self.typed };
            self.texts = Some(texts(of)?);
        }
        self.texts.as_ref().ok_or_else(|| ArrowError::ComputeError("no texts".into()))
    }

    /// Moments, days and times in microseconds; of other types none.
    fn micros(&self) -> Vec<Option<i64>> {
        match self.typed.data_type() {
            DataType::Timestamp(_, _) => {
                match cast(&self.typed, &DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None)) {
                    Ok(array) => array.as_primitive::<TimestampMicrosecondType>().iter().collect(),
                    Err(_) => Vec::new(),
                }
            }
            DataType::Date32 => {
                let days = self.typed.as_primitive::<Date32Type>().iter();
                days.map(|days| days.map(|days| i64::from(days) * MICROS_OF_A_DAY)).collect()
            }
            DataType::Time64(arrow::datatypes::TimeUnit::Microsecond) => {
                self.typed.as_primitive::<Time64MicrosecondType>().iter().collect()
            }
            _ => Vec::new(),
        }
    }
}

/// Counts the rows that fail at least one of the tests.
fn failing_rows(cells: &mut Cells<'_>, tests: &[RowTest]) -> Result<u64, ArrowError> {
    if let [RowTest::Type] = tests {
        return Ok(wrong_type(cells));
    }
    let mut failing = vec![false; cells.raw.len()];
    for test in tests {
        mark(cells, test, &mut failing)?;
    }
    Ok(failing.iter().filter(|failing| **failing).count() as u64)
}

/// Rows that had a value before the column was typed and have none now.
fn wrong_type(cells: &Cells<'_>) -> u64 {
    if let Some(logical) = cells.column.logical
        && !super::typed::may_hold(logical, cells.raw.data_type())
    {
        return (cells.raw.len() - cells.raw.logical_null_count()) as u64;
    }
    cells.typed.logical_null_count().saturating_sub(cells.raw.logical_null_count()) as u64
}

fn mark(cells: &mut Cells<'_>, test: &RowTest, failing: &mut [bool]) -> Result<(), ArrowError> {
    match test {
        RowTest::Pattern(regex) => mark_texts(cells, failing, |text| regex.is_match(text))?,
        RowTest::Format(format) => mark_texts(cells, failing, |text| format.fits(text))?,
        RowTest::Length { min, max } => mark_texts(cells, failing, |text| {
            let length = text.chars().count() as u64;
            min.is_none_or(|min| length >= min) && max.is_none_or(|max| length <= max)
        })?,
        RowTest::OneOf { numbers, .. } if cells.column.logical == Some(LogicalType::Number) => {
            for (mark, number) in failing.iter_mut().zip(cells.typed.as_primitive::<Float64Type>().iter()) {
                *mark |= number.is_some_and(|number| !numbers.contains(&number));
            }
        }
        RowTest::OneOf { texts, .. } => mark_texts(cells, failing, |text| texts.contains(text))?,
        RowTest::MultipleOf(of) => {
            for (mark, number) in failing.iter_mut().zip(numbers_of(&cells.typed)?) {
                *mark |= number.is_some_and(|number| {
                    let quotient = number / of;
                    // Of 0.1 multiples are meant as they are written, not as they are in binary.
                    (quotient - quotient.round()).abs() > 1e-9 * quotient.abs().max(1.0)
                });
            }
        }
        RowTest::Range(range) => mark_outside(cells, range, failing)?,
        RowTest::Type => {
            for (index, mark) in failing.iter_mut().enumerate() {
                *mark |= cells.raw.is_valid(index) && cells.typed.is_null(index);
            }
        }
    }
    Ok(())
}

fn mark_texts(cells: &mut Cells<'_>, failing: &mut [bool], fits: impl Fn(&str) -> bool) -> Result<(), ArrowError> {
    for (mark, text) in failing.iter_mut().zip(cells.texts()?.iter()) {
        *mark |= text.is_some_and(|text| !fits(text));
    }
    Ok(())
}

fn mark_outside(cells: &Cells<'_>, range: &Range, failing: &mut [bool]) -> Result<(), ArrowError> {
    let bounds = [range.lower, range.upper].into_iter().flatten();
    if bounds.clone().any(|bound| matches!(bound.at, Limit::Micros(_))) {
        for (mark, micros) in failing.iter_mut().zip(cells.micros()) {
            *mark |= micros.is_some_and(|micros| !range.holds_whole(micros));
        }
        return Ok(());
    }
    if *cells.typed.data_type() == DataType::Int64 {
        for (mark, whole) in failing.iter_mut().zip(cells.typed.as_primitive::<Int64Type>().iter()) {
            *mark |= whole.is_some_and(|whole| !range.holds_whole(whole));
        }
        return Ok(());
    }
    for (mark, number) in failing.iter_mut().zip(numbers_of(&cells.typed)?) {
        *mark |= number.is_some_and(|number| !range.holds(number));
    }
    Ok(())
}

/// A column's numbers; of a column that has no type in the contract, those of its texts that are numbers.
fn numbers_of(array: &ArrayRef) -> Result<Vec<Option<f64>>, ArrowError> {
    let options = arrow::compute::CastOptions { safe: true, ..Default::default() };
    if !(array.data_type().is_numeric() || is_text(array.data_type())) {
        return Ok(vec![None; array.len()]);
    }
    let numbers = arrow::compute::cast_with_options(array, &DataType::Float64, &options)?;
    Ok(numbers.as_primitive::<Float64Type>().iter().collect())
}

impl Range {
    fn holds_whole(&self, whole: i64) -> bool {
        let compare = |bound: &Bound| match bound.at {
            Limit::Integer(at) | Limit::Micros(at) => whole.cmp(&at),
            Limit::Number(at) => (whole as f64).total_cmp(&at),
        };
        self.lower.is_none_or(|lower| inside(compare(&lower), &lower))
            && self.upper.is_none_or(|upper| inside(compare(&upper).reverse(), &upper))
    }

    fn holds(&self, number: f64) -> bool {
        let compare = |bound: &Bound| match bound.at {
            Limit::Integer(at) | Limit::Micros(at) => number.total_cmp(&(at as f64)),
            Limit::Number(at) => number.total_cmp(&at),
        };
        self.lower.is_none_or(|lower| inside(compare(&lower), &lower))
            && self.upper.is_none_or(|upper| inside(compare(&upper).reverse(), &upper))
    }
}

/// Whether a value that compares so with a lower bound is inside.
fn inside(compared: std::cmp::Ordering, bound: &Bound) -> bool {
    compared.is_gt() || (compared.is_eq() && !bound.exclusive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_inside_unless_they_are_exclusive() {
        let bound = |at, exclusive| Some(Bound { at, exclusive });
        let closed = Range { lower: bound(Limit::Integer(1), false), upper: bound(Limit::Number(3.0), false) };
        let open = Range { lower: bound(Limit::Integer(1), true), upper: bound(Limit::Number(3.0), true) };
        assert!([1, 2, 3].iter().all(|whole| closed.holds_whole(*whole)));
        assert!(open.holds_whole(2) && !open.holds_whole(1) && !open.holds_whole(3));
        assert!(!closed.holds_whole(0) && !closed.holds_whole(4) && !closed.holds(3.1));
        let exact = Range { lower: bound(Limit::Integer(i64::MAX), false), upper: None };
        assert!(exact.holds_whole(i64::MAX) && !exact.holds_whole(i64::MAX - 1));
    }
}
