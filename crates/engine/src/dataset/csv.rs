//! CSV in: records of delimited text to Arrow text columns.
//!
//! In: bytes as in RFC 4180, with any one-byte delimiter, line ends of any kind, quoted line breaks and a byte order
//! mark. Out: [`SourceBatch`]es of nullable `Utf8` columns; an empty field is null. Blank lines are no rows. A record
//! with another number of fields than the header, with a value that is not in the encoding, or of more than 16 MiB is
//! rejected with its row number, and reading goes on.
//!
//! A stray quote can swallow the lines up to the next quote. Where a record of several lines ends in a way that no
//! writer of CSV would write, only its first line is rejected and reading goes on with the second; the bytes read twice
//! for this are limited.
//!
//! It does not trim values and knows no comments and no escape character beside the doubled quote.

mod delimiter;
mod records;

use std::io::Read;

use arrow::datatypes::SchemaRef;

pub use self::delimiter::SUPPORTED_DELIMITERS;
use self::delimiter::{SAMPLE_BYTES, sniff_delimiter};
use self::records::{Frame, Records};
use super::column::TextBatch;
use super::header::{project, text_schema};
use super::input::{Input, check_text};
use super::reader::{MAX_COLUMNS, RowReader};
use super::source::{Encoding, Format, Original, ReadOptions, RejectReason, Rejected, SourceBatch};
use crate::error::{Error, Result};

/// How many bytes of a file may be read a second time because of stray quotes.
const RESCAN_BYTES: usize = 512 << 20;

/// Reads one CSV file.
pub(super) struct CsvReader {
    place: String,
    records: Records,
    encoding: Encoding,
    available: Vec<String>,
    projection: Vec<usize>,
    schema: SchemaRef,
    batch_rows: usize,
    /// How many bytes may still be read twice.
    rescan_bytes: usize,
}

impl CsvReader {
    /// Reads the header and finds the columns.
    ///
    /// # Errors
    ///
    /// [`Error::EmptySource`], [`Error::WrongFormat`], [`Error::HeaderNotUtf8`], [`Error::UnbalancedQuotes`] for a quote in
    /// the header that never closes, [`Error::Io`], and those of `project`.
    pub(super) fn open(
        reader: Box<dyn Read + Send>,
        place: &str,
        options: &ReadOptions,
        wanted: Option<&[String]>,
    ) -> Result<Self> {
        let failed = |source| Error::io(place, "read", source);
        let mut input = Input::new(reader);
        check_text(&mut input, place, Format::Csv)?;
        let delimiter = match options.delimiter {
            Some(delimiter) => delimiter,
            None => {
                input.at_least(SAMPLE_BYTES).map_err(failed)?;
                sniff_delimiter(&input)
            }
        };
        let mut records = Records::new(input, delimiter);
        loop {
            match records.read().map_err(failed)? {
                Frame::Record if records.is_blank() => {}
                Frame::Record if records.field_count > MAX_COLUMNS => {
                    return Err(Error::TooManyColumns { place: place.to_owned(), limit: MAX_COLUMNS });
                }
                Frame::Record => break,
                Frame::Unclosed | Frame::TooLong => {
                    return Err(Error::UnbalancedQuotes { place: place.to_owned(), row: u64::from(!options.header) });
                }
                Frame::End => return Err(Error::EmptySource { place: place.to_owned() }),
            }
        }
        let available = if options.header {
            header_names(&records, options.encoding).ok_or_else(|| Error::HeaderNotUtf8 { place: place.to_owned() })?
        } else {
            (1..=records.field_count).map(|number| format!("column_{number}")).collect()
        };
        let projection = project(place, &available, wanted, options.header)?;
        records.keep_fields(available.len());
        if !options.header {
            records.rewind();
        }
        Ok(CsvReader {
            place: place.to_owned(),
            records,
            encoding: options.encoding,
            schema: text_schema(&available, &projection),
            available,
            projection,
            batch_rows: options.batch_rows,
            rescan_bytes: RESCAN_BYTES,
        })
    }

    /// Takes over the record in view as row `row`.
    fn take(&mut self, row: u64, batch: &mut TextBatch) {
        let records = &self.records;
        let reason = match records.field_count.cmp(&self.available.len()) {
            std::cmp::Ordering::Less => Some(RejectReason::TooFewFields),
            std::cmp::Ordering::Greater => Some(RejectReason::TooManyFields),
            std::cmp::Ordering::Equal => None,
        };
        if let Some(reason) = reason {
            batch.reject(Rejected::new(row, None, reason, Original::raw(records.raw())));
            return;
        }
        if self.encoding == Encoding::Utf8 {
            // One look at the whole record is cheaper than one at each field; a field that borrows half a character from
            // its neighbour is caught by `get`.
            if let Ok(text) = std::str::from_utf8(records.output())
                && self.projection.iter().all(|&index| text.get(records.span(index)).is_some())
            {
                for (column, &index) in self.projection.iter().enumerate() {
                    batch.push_value(column, text.get(records.span(index)).filter(|value| !value.is_empty()));
                }
                batch.end_row(row);
                return;
            }
        }
        let decoded: Vec<_> = self.projection.iter().map(|&index| self.encoding.decode(records.field(index))).collect();
        if let Some(column) = decoded.iter().position(Option::is_none) {
            let name = self.schema.field(column).name();
            let values = self.projection.iter().map(|&index| Some(records.field(index).to_vec())).collect();
            batch.reject(Rejected::new(row, Some(name), RejectReason::NotUtf8, Original::Values(values)));
            return;
        }
        for (column, value) in decoded.iter().enumerate() {
            batch.push_value(column, value.as_deref().filter(|value| !value.is_empty()));
        }
        batch.end_row(row);
    }

    /// Rejects the first line of the record in view and goes on with the second.
    fn resume_at_second_line(&mut self, row: u64, reason: RejectReason, batch: &mut TextBatch) -> Result<()> {
        let read_twice = self.records.raw().len();
        self.rescan_bytes = self
            .rescan_bytes
            .checked_sub(read_twice)
            .ok_or_else(|| Error::UnbalancedQuotes { place: self.place.clone(), row })?;
        batch.reject(Rejected::new(row, None, reason, Original::raw(self.records.first_line())));
        self.records.resume_at_second_line().map_err(|source| Error::io(&self.place, "read", source))
    }
}

impl RowReader for CsvReader {
    fn available(&self) -> &[String] {
        &self.available
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn next_batch(&mut self, rows_before: u64) -> Result<Option<SourceBatch>> {
        let mut batch = TextBatch::new(self.schema.clone(), self.batch_rows);
        let mut row = rows_before;
        while !batch.is_full() {
            let frame = self.records.read().map_err(|source| Error::io(&self.place, "read", source))?;
            match frame {
                Frame::End => break,
                Frame::Record if self.records.is_blank() => {}
                Frame::Record => {
                    row += 1;
                    if self.records.has_stray_quote() {
                        self.resume_at_second_line(row, RejectReason::StrayQuote, &mut batch)?;
                    } else {
                        self.take(row, &mut batch);
                    }
                }
                Frame::Unclosed => {
                    row += 1;
                    self.resume_at_second_line(row, RejectReason::UnclosedQuote, &mut batch)?;
                }
                Frame::TooLong => {
                    row += 1;
                    self.resume_at_second_line(row, RejectReason::TooLong, &mut batch)?;
                }
            }
        }
        batch.finish(&self.place)
    }

    fn bytes_read(&self) -> u64 {
        self.records.input.bytes_read()
    }
}

/// The names of the header, trimmed; a column without one is named by its position.
fn header_names(records: &Records, encoding: Encoding) -> Option<Vec<String>> {
    (0..records.field_count)
        .map(|index| {
            let name = encoding.decode(records.field(index))?;
            let name = name.trim();
            Some(if name.is_empty() { format!("column_{}", index + 1) } else { name.to_owned() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Cursor;

    use arrow::array::{Array, AsArray};
    use proptest::prelude::*;

    use super::*;

    /// What came out: each row with its number and values, and (row, reason) of the rejected ones.
    type Read = (Vec<(u64, Vec<Option<String>>)>, Vec<(u64, String)>);

    fn open(bytes: &[u8], options: &ReadOptions) -> Result<CsvReader> {
        CsvReader::open(Box::new(Cursor::new(bytes.to_vec())), "test.csv", options, None)
    }

    fn drain(mut reader: CsvReader) -> Result<Read> {
        let (mut rows, mut rejected, mut before) = (Vec::new(), Vec::new(), 0);
        while let Some(batch) = reader.next_batch(before)? {
            assert_eq!(batch.rows.len(), batch.batch.num_rows());
            for (index, &row) in batch.rows.iter().enumerate() {
                let value = |column: &arrow::array::ArrayRef| {
                    let column = column.as_string::<i32>();
                    column.is_valid(index).then(|| column.value(index).to_owned())
                };
                rows.push((row, batch.batch.columns().iter().map(value).collect()));
            }
            before = before.max(batch.rows.last().copied().unwrap_or(0));
            before = before.max(batch.rejected.last().map_or(0, |rejected| rejected.row));
            rejected.extend(batch.rejected.into_iter().map(|rejected| (rejected.row, rejected.reason)));
        }
        Ok((rows, rejected))
    }

    fn read_with(bytes: &[u8], options: &ReadOptions) -> Read {
        drain(open(bytes, options).unwrap()).unwrap()
    }

    fn read(text: &str) -> Read {
        read_with(text.as_bytes(), &ReadOptions::default())
    }

    fn row(number: u64, values: &[&str]) -> (u64, Vec<Option<String>>) {
        (number, values.iter().map(|value| (!value.is_empty()).then(|| (*value).to_owned())).collect())
    }

    fn rejection(number: u64, reason: &str) -> (u64, String) {
        (number, reason.to_owned())
    }

    #[test]
    fn reads_quotes_line_breaks_and_empty_fields() {
        let text = "id,name\r\n1,\"a, \"\"b\"\"\r\nc\"\r\n2,\r\n\"\",x";
        let expected = vec![row(1, &["1", "a, \"b\"\r\nc"]), row(2, &["2", ""]), row(3, &["", "x"])];
        assert_eq!(read(text), (expected, vec![]));
    }

    #[test]
    fn every_kind_of_line_end_gives_the_same_rows() {
        let expected = (vec![row(1, &["1", "2"]), row(2, &["3", "4"])], vec![]);
        for line_end in ["\n", "\r\n", "\r"] {
            let text = ["a,b", "1,2", "3,4", ""].join(line_end);
            assert_eq!(read(&text), expected, "{line_end:?}");
            assert_eq!(read(text.trim_end()), expected, "{line_end:?} without a last one");
        }
    }

    #[test]
    fn blank_lines_are_no_rows_but_a_quoted_empty_value_is() {
        assert_eq!(read("\n \nemail\n\n  \nx\n\t\n\"\"\n\n").0, vec![row(1, &["x"]), row(2, &[""])]);
    }

    #[test]
    fn ragged_rows_are_rejected_with_their_number_and_reading_goes_on() {
        let (rows, rejected) = read("a,b\n1,2\n3\n4,5,6\n7,8\n");
        assert_eq!(rows, vec![row(1, &["1", "2"]), row(4, &["7", "8"])]);
        assert_eq!(rejected, vec![rejection(2, "too few fields"), rejection(3, "too many fields")]);
    }

    #[test]
    fn drops_a_byte_order_mark_even_before_a_quote() {
        let reader = open("\u{feff}\"e mail\",b\nx,y\n".as_bytes(), &ReadOptions::default()).unwrap();
        assert_eq!(reader.available(), ["e mail", "b"]);
    }

    #[test]
    fn finds_each_delimiter() {
        for delimiter in [",", ";", "\t", "|"] {
            let text = ["id,x", "1 a;b", "2 c|d"].map(|line| line.replace(' ', delimiter)).join("\n");
            let text = text.replace("id,x", &format!("id{delimiter}x"));
            let reader = open(text.as_bytes(), &ReadOptions::default()).unwrap();
            assert_eq!(reader.available(), ["id", "x"], "{delimiter:?}");
        }
    }

    #[test]
    fn decimal_commas_do_not_hide_the_semicolon() {
        let reader = open(b"name;amount\na;1,5\nb;2,7\n", &ReadOptions::default()).unwrap();
        assert_eq!(reader.available(), ["name", "amount"]);
    }

    #[test]
    fn wrong_delimiter_is_named_in_the_remedy() {
        let options = ReadOptions { delimiter: Some(b','), ..ReadOptions::default() };
        let bytes = Box::new(Cursor::new(b"id;email\n1;x\n".to_vec()));
        let error = CsvReader::open(bytes, "test.csv", &options, Some(&["email".to_owned()])).err().unwrap();
        assert_eq!(error.to_string(), "column 'email' not found in test.csv (it has: id;email)");
        assert_eq!(error.remedy().unwrap(), "--delimiter ';'");
    }

    #[test]
    fn without_a_header_the_first_record_is_row_one() {
        let options = ReadOptions { header: false, ..ReadOptions::default() };
        let reader = open(b"\n1,2\n3,4\n", &options).unwrap();
        assert_eq!(reader.available(), ["column_1", "column_2"]);
        assert_eq!(drain(reader).unwrap().0, vec![row(1, &["1", "2"]), row(2, &["3", "4"])]);
    }

    #[test]
    fn rejects_rows_that_are_not_utf8_in_a_read_column_only() {
        let bytes = b"id,name,note\n1,caf\xe9,\n2,x,\xff\n3,\xc3,\xa9\n";
        let wanted = ["name".to_owned()];
        let reader =
            CsvReader::open(Box::new(Cursor::new(bytes.to_vec())), "test.csv", &ReadOptions::default(), Some(&wanted));
        let (rows, rejected) = drain(reader.unwrap()).unwrap();
        assert_eq!(rows, vec![row(2, &["x"])]);
        // The last row's name and note are halves of one character.
        assert_eq!(rejected, vec![rejection(1, "not UTF-8"), rejection(3, "not UTF-8")]);
    }

    #[test]
    fn latin1_reads_every_byte() {
        let options = ReadOptions { encoding: Encoding::Latin1, ..ReadOptions::default() };
        let (rows, rejected) = read_with(b"pr\xe9nom,b\nJos\xe9,\x80\n", &options);
        assert_eq!((rows, rejected), (vec![row(1, &["José", "€"])], vec![]));
        let error = open(b"pr\xe9nom,b\n", &ReadOptions::default()).err().unwrap();
        assert_eq!(error.remedy().unwrap(), "--encoding latin1");
    }

    #[test]
    fn a_quote_that_never_closes_costs_one_row() {
        let (rows, rejected) = read("a,b\n1,\"x\n2,y\n3,z\n");
        assert_eq!(rows, vec![row(2, &["2", "y"]), row(3, &["3", "z"])]);
        assert_eq!(rejected, vec![rejection(1, "quote is never closed")]);
    }

    #[test]
    fn a_stray_quote_that_a_later_quote_closes_costs_one_row() {
        for line_end in ["\n", "\r\n"] {
            let text = ["a,b", "1,\"x", "2,y", "3,\"z\"", "4,w", ""].join(line_end);
            let (rows, rejected) = read(&text);
            assert_eq!(rows, vec![row(2, &["2", "y"]), row(3, &["3", "z"]), row(4, &["4", "w"])]);
            assert_eq!(rejected, vec![rejection(1, "quote in the wrong place")]);
        }
    }

    #[test]
    fn a_record_over_the_limit_is_rejected_and_reading_goes_on() {
        let mut quoted = b"a,b\n1,\"".to_vec();
        quoted.resize(quoted.len() + 17 * 1024 * 1024, b'x');
        let mut plain = b"a,b\n1,".to_vec();
        plain.resize(plain.len() + 17 * 1024 * 1024, b',');
        for mut bytes in [quoted, plain] {
            bytes.extend_from_slice(b"\n2,y\n");
            let (rows, rejected) = read_with(&bytes, &ReadOptions::default());
            assert_eq!(rows, vec![row(2, &["2", "y"])]);
            assert_eq!(rejected, vec![rejection(1, "record longer than 16 MiB")]);
        }
    }

    #[test]
    fn quotes_made_to_be_read_again_and_again_end_in_an_error() {
        // Each line opens a quote that the next one closes and opens anew, so that no record ever ends.
        let bytes = b"p\",b,\"\n".repeat(6 << 20);
        let options = ReadOptions { header: false, delimiter: Some(b','), ..ReadOptions::default() };
        let error = open(&bytes, &options).err().unwrap();
        assert!(matches!(error, Error::UnbalancedQuotes { row: 1, .. }), "{error}");
        let bytes = [b"a\n".as_slice(), &bytes].concat();
        let error = drain(open(&bytes, &ReadOptions::default()).unwrap()).unwrap_err();
        assert!(matches!(error, Error::UnbalancedQuotes { .. }), "{error}");
    }

    #[test]
    fn empty_files_duplicate_names_and_foreign_formats_are_clear_errors() {
        let remedy_of = |bytes: &[u8]| {
            let error = open(bytes, &ReadOptions::default()).err().unwrap();
            (error.to_string(), error.remedy().unwrap_or_default())
        };
        for empty in [b"".as_slice(), b"\n\r\n  \n", b"\xef\xbb\xbf"] {
            assert_eq!(remedy_of(empty).0, "test.csv is empty");
        }
        assert_eq!(remedy_of(b"a,b,a\n1,2,3\n").0, "test.csv has two columns named a");
        assert!(remedy_of(b"x@y.z,x@y.z\n").0.ends_with("named (hidden: looks like a value)"));
        assert!(remedy_of(b"PAR1....").1.contains("--format parquet"));
        assert!(remedy_of(b"\x1f\x8b\x08").1.contains("gunzip"));
        assert!(remedy_of(b"PK\x03\x04").0.contains("Excel"));
        assert!(remedy_of(b"\xff\xfea\0").0.contains("UTF-16"));
        assert!(remedy_of(b"a,\"b\n1,2\n").0.contains("in the header"));
    }

    #[test]
    fn more_fields_than_there_is_room_for_are_only_counted() {
        let header = (0..200).map(|number| format!("c{number}")).collect::<Vec<_>>().join(",");
        let text = format!("{header}\n{}\n{}\n", ",".repeat(199), ",".repeat(100_000));
        let (rows, rejected) = read(&text);
        assert_eq!(rows.len(), 1);
        assert_eq!(rejected, vec![rejection(2, "too many fields")]);
        let error = open(",".repeat(20_000).as_bytes(), &ReadOptions::default()).err().unwrap();
        assert!(matches!(error, Error::TooManyColumns { .. }));
    }

    #[test]
    fn batches_are_as_large_as_asked_and_rows_run_on() {
        let text = format!("a\n{}", (0..10).map(|n| format!("{n}\n")).collect::<String>());
        let mut reader = open(text.as_bytes(), &ReadOptions { batch_rows: 4, ..ReadOptions::default() }).unwrap();
        let sizes: Vec<_> =
            std::iter::from_fn(|| reader.next_batch(0).unwrap()).map(|batch| batch.rows.len()).collect();
        assert_eq!(sizes, [4, 4, 2]);
    }

    /// A field that is neither blank (a line of one blank field is no row) nor looks empty.
    fn field() -> impl Strategy<Value = String> {
        "[a-z]([a-z0-9 ,;\"\r\né€]{0,8})"
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic_and_end(bytes in proptest::collection::vec(any::<u8>(), 0..2000), header: bool) {
            let options = ReadOptions { header, batch_rows: 7, ..ReadOptions::default() };
            let _ = open(&bytes, &options).and_then(drain);
        }

        #[test]
        fn any_mix_of_special_characters_never_panics_and_numbers_rows_in_order(text in "[a\",;\r\n\t é]{0,300}") {
            if let Ok(reader) = open(text.as_bytes(), &ReadOptions::default()) {
                let (rows, rejected) = drain(reader).unwrap();
                let mut numbers: Vec<u64> = rows.iter().map(|row| row.0).chain(rejected.iter().map(|r| r.0)).collect();
                numbers.sort_unstable();
                let expected: Vec<u64> = (1..=numbers.len() as u64).collect();
                prop_assert_eq!(numbers, expected);
            }
        }

        #[test]
        fn what_a_csv_writer_wrote_is_read_back(
            records in proptest::collection::vec((field(), field(), field()), 1..30),
            delimiter in proptest::sample::select(vec![b',', b';', b'\t', b'|']),
        ) {
            let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
            writer.write_record(["one", "two", "three"]).unwrap();
            for (a, b, c) in &records {
                writer.write_record([a, b, c]).unwrap();
            }
            let bytes = writer.into_inner().unwrap();
            let (rows, rejected) = read_with(&bytes, &ReadOptions { delimiter: Some(delimiter), ..ReadOptions::default() });
            prop_assert_eq!(rejected, vec![]);
            let expected: Vec<_> =
                records.iter().zip(1..).map(|((a, b, c), number)| row(number, &[a, b, c])).collect();
            prop_assert_eq!(rows, expected);
        }
    }
}
