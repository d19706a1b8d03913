//! JSON in: objects, one per line or in one array, to Arrow text columns.
//!
//! In: newline-delimited JSON, or an array of objects, which is read object by object as well. Out: [`SourceBatch`]es of
//! nullable `Utf8` columns: a string is its text, a number or a boolean its text as written, an array or an object its
//! JSON text as written, `null` and an absent key are null. What is not an object, not JSON, not in the encoding, or
//! longer than 16 MiB is rejected with its row number, and reading goes on.
//!
//! The columns are the keys of the objects within the first MiB, in the order in which they appear; a key that appears
//! later only is not read. Nested values are not flattened.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::io::{Cursor, Read};

use arrow::datatypes::SchemaRef;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::column::TextBatch;
use super::header::{project, text_schema};
use super::input::{Input, check_text};
use super::reader::{MAX_COLUMNS, MAX_RECORD_BYTES, RowReader};
use super::source::{Encoding, Format, Original, ReadOptions, RejectReason, Rejected, SourceBatch};
use crate::error::{Error, Result};

/// How much of a file is looked at to find its keys.
const SAMPLE_BYTES: usize = 1 << 20;

/// Reads one JSON file.
pub(super) struct JsonReader {
    place: String,
    records: Records,
    encoding: Encoding,
    available: Vec<String>,
    /// The place of each read key among the batch's columns.
    wanted: HashMap<String, usize>,
    schema: SchemaRef,
    batch_rows: usize,
}

impl JsonReader {
    /// Looks at the beginning of the file for its keys.
    ///
    /// # Errors
    ///
    /// [`Error::EmptySource`], [`Error::WrongFormat`], [`Error::NoJsonObject`], [`Error::Io`], and those of `project`.
    pub(super) fn open(
        reader: Box<dyn Read + Send>,
        place: &str,
        options: &ReadOptions,
        wanted: Option<&[String]>,
    ) -> Result<Self> {
        let failed = |source| Error::io(place, "read", source);
        let mut input = Input::new(reader);
        check_text(&mut input, place, Format::Json)?;
        skip_white_space(&mut input).map_err(failed)?;
        let is_array = match input.data().first() {
            None => return Err(Error::EmptySource { place: place.to_owned() }),
            Some(b'[') => {
                input.consume(1);
                true
            }
            Some(_) => false,
        };
        let mut available = sample_keys(&mut input, is_array, options.encoding, SAMPLE_BYTES).map_err(failed)?;
        if available.is_none() {
            // The first object may be larger than the sample.
            available = sample_keys(&mut input, is_array, options.encoding, MAX_RECORD_BYTES).map_err(failed)?;
        }
        let Some(available) = available else {
            skip_white_space(&mut input).map_err(failed)?;
            let is_empty_array = is_array && input.data().first() == Some(&b']');
            let place = place.to_owned();
            return Err(if is_empty_array { Error::EmptySource { place } } else { Error::NoJsonObject { place } });
        };
        let projection = project(place, &available, wanted, false)?;
        Ok(JsonReader {
            place: place.to_owned(),
            records: Records::new(input, is_array),
            encoding: options.encoding,
            wanted: projection.iter().enumerate().map(|(column, &key)| (available[key].clone(), column)).collect(),
            schema: text_schema(&available, &projection),
            available,
            batch_rows: options.batch_rows,
        })
    }

    /// Takes over the record in view as row `row`.
    fn take(&self, row: u64, batch: &mut TextBatch) {
        let raw = self.records.record();
        let reject = |column, reason| Rejected::new(row, column, reason, Original::raw(raw));
        let Some(text) = self.encoding.decode(raw) else {
            return batch.reject(reject(None, RejectReason::NotUtf8));
        };
        let mut cells = vec![None; self.wanted.len()];
        let mut repeated = false;
        let row_seed = RowSeed { wanted: &self.wanted, cells: &mut cells, repeated: &mut repeated };
        let mut json = serde_json::Deserializer::from_str(&text);
        if row_seed.deserialize(&mut json).and_then(|()| json.end()).is_err() {
            let is_json = serde_json::from_str::<IgnoredAny>(&text).is_ok();
            let reason = match (repeated, is_json) {
                (true, _) => RejectReason::DuplicateKey,
                (false, true) => RejectReason::NotAnObject,
                (false, false) => RejectReason::NotJson,
            };
            return batch.reject(reject(None, reason));
        }
        let mut values = Vec::with_capacity(cells.len());
        for (column, cell) in cells.into_iter().enumerate() {
            match cell.map_or(Some(None), text_of) {
                Some(value) => values.push(value),
                // A string with half a surrogate pair: JSON in form, but no text.
                None => {
                    return batch.reject(reject(Some(self.schema.field(column).name()), RejectReason::NotJson));
                }
            }
        }
        for (column, value) in values.iter().enumerate() {
            batch.push_value(column, value.as_deref());
        }
        batch.end_row(row);
    }
}

impl RowReader for JsonReader {
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
                Frame::Record => {
                    row += 1;
                    self.take(row, &mut batch);
                }
                Frame::TooLong => {
                    row += 1;
                    let original = Original::raw(&self.records.overlong);
                    batch.reject(Rejected::new(row, None, RejectReason::TooLong, original));
                }
                Frame::Broken(reason) => {
                    return Err(Error::BrokenJsonArray { place: self.place.clone(), row, reason });
                }
            }
        }
        batch.finish(&self.place)
    }

    fn bytes_read(&self) -> u64 {
        self.records.input.bytes_read()
    }
}

/// The text of a value; `None` inside for `null`, `None` outside for a string that is no text.
fn text_of(value: &RawValue) -> Option<Option<Cow<'_, str>>> {
    let raw = value.get();
    match raw.as_bytes().first() {
        Some(b'n') => Some(None),
        Some(b'"') if raw.contains('\\') => serde_json::from_str::<String>(raw).ok().map(|text| Some(text.into())),
        Some(b'"') => raw.get(1..raw.len() - 1).map(|text| Some(text.into())),
        _ => Some(Some(raw.into())),
    }
}

/// Reads an object's wanted keys into `cells`, and skips the others.
struct RowSeed<'a, 'de> {
    wanted: &'a HashMap<String, usize>,
    cells: &'a mut [Option<&'de RawValue>],
    repeated: &'a mut bool,
}

impl<'de> DeserializeSeed<'de> for RowSeed<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RowSeed<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        while let Some(column) = map.next_key_seed(ColumnOfKey(self.wanted))? {
            let Some(column) = column else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if self.cells[column].replace(map.next_value()?).is_some() {
                *self.repeated = true;
                return Err(A::Error::custom("repeated key"));
            }
        }
        Ok(())
    }
}

/// Looks a key up without making a string of it.
struct ColumnOfKey<'a>(&'a HashMap<String, usize>);

impl<'de> DeserializeSeed<'de> for ColumnOfKey<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for ColumnOfKey<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> std::result::Result<Self::Value, E> {
        Ok(self.0.get(key).copied())
    }
}

/// Collects an object's keys in order.
struct Keys<'a>(&'a mut Vec<String>);

impl<'de> DeserializeSeed<'de> for Keys<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Keys<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            map.next_value::<IgnoredAny>()?;
            self.0.push(key);
        }
        Ok(())
    }
}

/// The keys of the objects within the next `sample_bytes`, which stay in view; `None` if there is no whole object.
fn sample_keys(
    input: &mut Input,
    is_array: bool,
    encoding: Encoding,
    sample_bytes: usize,
) -> std::io::Result<Option<Vec<String>>> {
    let in_view = input.at_least(sample_bytes)?;
    let sample = in_view[..in_view.len().min(sample_bytes)].to_vec();
    let is_whole = input.ended() && sample.len() == input.data().len();
    let mut records = Records::new(Input::new(Box::new(Cursor::new(sample))), is_array);
    let (mut keys, mut known, mut objects) = (Vec::new(), HashSet::new(), 0_u64);
    while records.read()? == Frame::Record {
        if !is_whole && records.record_len >= records.input.data().len() {
            // The last record of the sample may be cut off.
            break;
        }
        let Some(text) = encoding.decode(records.record()) else { continue };
        let mut json = serde_json::Deserializer::from_str(&text);
        let mut own_keys = Vec::new();
        if Keys(&mut own_keys).deserialize(&mut json).and_then(|()| json.end()).is_err() {
            continue;
        }
        objects += 1;
        for key in own_keys {
            // One more than the limit is enough for the error.
            if keys.len() <= MAX_COLUMNS && known.insert(key.clone()) {
                keys.push(key);
            }
        }
    }
    Ok((objects > 0).then_some(keys))
}

fn skip_white_space(input: &mut Input) -> std::io::Result<()> {
    loop {
        let data = input.data();
        let white = data.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let all = white == data.len();
        input.consume(white);
        if !all || !input.more()? {
            return Ok(());
        }
    }
}

/// What came into view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
    /// A record, not yet checked to be JSON.
    Record,
    /// A record longer than [`MAX_RECORD_BYTES`].
    TooLong,
    /// The array's structure does not hold, in fixed words.
    Broken(&'static str),
    /// Nothing: the file, or the array, ended.
    End,
}

/// Splits a stream into lines, or into the elements of an array whose `[` is already consumed.
struct Records {
    input: Input,
    /// How much of `input.data()` the record in view takes.
    record_len: usize,
    is_array: bool,
    ended: bool,
    /// Whether the array had an element.
    started: bool,
    /// The beginning of the record that was too long last.
    overlong: Vec<u8>,
}

impl Records {
    fn new(input: Input, is_array: bool) -> Self {
        Records { input, record_len: 0, is_array, ended: false, started: false, overlong: Vec::new() }
    }

    /// The bytes of the record in view.
    fn record(&self) -> &[u8] {
        &self.input.data()[..self.record_len]
    }

    /// Moves on to the next record.
    fn read(&mut self) -> std::io::Result<Frame> {
        self.input.consume(self.record_len);
        self.record_len = 0;
        if self.ended {
            return Ok(Frame::End);
        }
        let frame = if self.is_array { self.read_element()? } else { self.read_line()? };
        self.ended = matches!(frame, Frame::End | Frame::Broken(_));
        Ok(frame)
    }

    fn read_line(&mut self) -> std::io::Result<Frame> {
        skip_white_space(&mut self.input)?;
        let mut looked_at = 0;
        loop {
            let data = self.input.data();
            if let Some(line_end) = data[looked_at..].iter().position(|&byte| byte == b'\n') {
                self.record_len = looked_at + line_end;
                return Ok(Frame::Record);
            }
            looked_at = data.len();
            if looked_at > MAX_RECORD_BYTES {
                return self.too_long(&mut |byte| byte == b'\n');
            }
            if !self.input.more()? {
                self.record_len = self.input.data().len();
                return Ok(if self.record_len == 0 { Frame::End } else { Frame::Record });
            }
        }
    }

    fn read_element(&mut self) -> std::io::Result<Frame> {
        skip_white_space(&mut self.input)?;
        match self.input.data().first() {
            None => return Ok(Frame::Broken("it is not closed")),
            Some(b']') => {
                self.input.consume(1);
                skip_white_space(&mut self.input)?;
                let more = !self.input.data().is_empty();
                return Ok(if more { Frame::Broken("text follows its end") } else { Frame::End });
            }
            Some(b',') if self.started => {
                self.input.consume(1);
                skip_white_space(&mut self.input)?;
            }
            _ => {}
        }
        self.started = true;
        let mut scan = ElementScan::default();
        let mut looked_at = 0;
        loop {
            let data = self.input.data();
            if let Some(end) = data[looked_at..].iter().position(|&byte| scan.ends_before(byte)) {
                self.record_len = looked_at + end;
                return Ok(Frame::Record);
            }
            looked_at = data.len();
            if looked_at > MAX_RECORD_BYTES {
                return self.too_long(&mut |byte| scan.ends_before(byte));
            }
            if !self.input.more()? {
                return Ok(Frame::Broken("it is not closed"));
            }
        }
    }

    /// Leaves the end of an overlong record in view, having looked at all that was in view so far.
    fn too_long(&mut self, ends_before: &mut dyn FnMut(u8) -> bool) -> std::io::Result<Frame> {
        let data = self.input.data();
        self.overlong = data[..data.len().min(64 << 10)].to_vec();
        loop {
            let count = self.input.data().len();
            self.input.consume(count);
            if !self.input.more()? {
                return Ok(Frame::TooLong);
            }
            if let Some(end) = self.input.data().iter().position(|&byte| ends_before(byte)) {
                self.record_len = end;
                return Ok(Frame::TooLong);
            }
        }
    }
}

/// Finds the `,` or `]` after an array's element, without checking the element.
#[derive(Default)]
struct ElementScan {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl ElementScan {
    fn ends_before(&mut self, byte: u8) -> bool {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b',' | b']' if self.depth == 0 => return true,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use arrow::array::{Array, AsArray};
    use proptest::prelude::*;

    use super::*;

    /// What came out: each row with its number and values, and (row, reason) of the rejected ones.
    type Read = (Vec<(u64, Vec<Option<String>>)>, Vec<(u64, String)>);

    fn open(bytes: &[u8], wanted: Option<&[String]>) -> Result<JsonReader> {
        let options = ReadOptions { batch_rows: 3, ..ReadOptions::default() };
        JsonReader::open(Box::new(Cursor::new(bytes.to_vec())), "test.json", &options, wanted)
    }

    fn drain(mut reader: JsonReader) -> Result<Read> {
        let (mut rows, mut rejected, mut before) = (Vec::new(), Vec::new(), 0);
        while let Some(batch) = reader.next_batch(before)? {
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

    fn read(text: &str) -> Read {
        drain(open(text.as_bytes(), None).unwrap()).unwrap()
    }

    fn row(number: u64, values: &[Option<&str>]) -> (u64, Vec<Option<String>>) {
        (number, values.iter().map(|value| value.map(str::to_owned)).collect())
    }

    #[test]
    fn values_keep_their_text_form() {
        let text = r#"{"a":"x\u00e9\n","b":3.20E+05}
            {"b":true,"a":null}
            {"a":{"k": [1, "]}"]},"b":123456789012345678901234567890}
            {"a":""}"#;
        let expected = vec![
            row(1, &[Some("xé\n"), Some("3.20E+05")]),
            row(2, &[None, Some("true")]),
            row(3, &[Some(r#"{"k": [1, "]}"]}"#), Some("123456789012345678901234567890")]),
            row(4, &[Some(""), None]),
        ];
        assert_eq!(read(text), (expected, vec![]));
    }

    #[test]
    fn bad_lines_are_rejected_with_their_number_and_reading_goes_on() {
        let text = "{\"a\":1}\n\n{\"a\":\n[1]\n{\"a\":1,\"a\":2}\n{\"a\":\"\\ud800\"}\n{\"a\":2} x\n{\"a\":3}\r\n";
        let (rows, rejected) = read(text);
        assert_eq!(rows, vec![row(1, &[Some("1")]), row(7, &[Some("3")])]);
        let reasons = ["not JSON", "not a JSON object", "the same key twice", "not JSON", "not JSON"];
        let expected: Vec<_> = (2..).zip(reasons.map(str::to_owned)).collect();
        assert_eq!(rejected, expected);
    }

    #[test]
    fn rows_that_are_not_utf8_are_rejected() {
        let (rows, rejected) = drain(open(b"{\"a\":\"x\"}\n{\"a\":\"\xe9\"}\n", None).unwrap()).unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(rejected, vec![(2, "not UTF-8".to_owned())]);
    }

    #[test]
    fn an_array_gives_the_same_rows_as_lines() {
        let objects = [r#"{"a":"],{"}"#, r#"{"a":"\\\"","b":[[1],{}]}"#, r#"{"a":null}"#, r#"{"b":2,"a":1}"#];
        let lines = read(&objects.join("\n"));
        assert_eq!(lines.0.len(), 4);
        assert_eq!(read(&format!("\u{feff} [{}]\n", objects.join(","))), lines);
        assert_eq!(read(&format!("[\n  {}\n]", objects.join("\n ,\n  "))), lines);
    }

    #[test]
    fn a_bad_element_is_rejected_and_a_broken_array_is_an_error() {
        let (rows, rejected) = read(r#"[{"a":1},{"a"},7,{"a":2}]"#);
        assert_eq!(rows, vec![row(1, &[Some("1")]), row(4, &[Some("2")])]);
        assert_eq!(rejected.len(), 2);
        for broken in [r#"[{"a":1},{"a":2"#, r#"[{"a":1},"#, r#"[{"a":1}] {"a":2}"#] {
            let error = drain(open(broken.as_bytes(), None).unwrap()).unwrap_err();
            assert!(matches!(error, Error::BrokenJsonArray { .. }), "{broken}: {error}");
        }
    }

    #[test]
    fn only_the_wanted_keys_are_read_in_the_wanted_order() {
        let wanted = ["c".to_owned(), "a".to_owned()];
        let reader = open(br#"{"a":1,"b":2,"c":3}"#, Some(&wanted)).unwrap();
        assert_eq!(reader.available(), ["a", "b", "c"]);
        assert_eq!(drain(reader).unwrap().0, vec![row(1, &[Some("3"), Some("1")])]);
        let error = open(br#"{"mail":1}"#, Some(&["email".to_owned()])).err().unwrap();
        assert_eq!(error.to_string(), "column 'email' not found in test.json (it has: mail)");
        assert_eq!(error.remedy().unwrap(), "--identifier email=mail");
    }

    #[test]
    fn files_without_objects_are_clear_errors() {
        for empty in ["", " \n", "[]", "[ ]\n"] {
            assert!(matches!(open(empty.as_bytes(), None).err().unwrap(), Error::EmptySource { .. }), "{empty:?}");
        }
        for other in ["1\n2\n", "a,b\n1,2\n", "{\n \"a\": 1\n}\n", "[1,2]", "["] {
            assert!(matches!(open(other.as_bytes(), None).err().unwrap(), Error::NoJsonObject { .. }), "{other:?}");
        }
    }

    #[test]
    fn records_over_the_limit_are_rejected_and_reading_goes_on() {
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(17 << 20));
        for text in [format!("{{\"a\":1}}\n{long}\n{{\"a\":2}}"), format!("[{{\"a\":1}},{long},{{\"a\":2}}]")] {
            let (rows, rejected) = read(&text);
            assert_eq!(rows, vec![row(1, &[Some("1")]), row(3, &[Some("2")])]);
            assert_eq!(rejected, vec![(2, "record longer than 16 MiB".to_owned())]);
        }
    }

    #[test]
    fn a_first_object_larger_than_the_sample_is_found() {
        let text = format!("{{\"long\":\"{}\",\"a\":1}}\n{{\"a\":2}}", "x".repeat(2 << 20));
        assert_eq!(open(text.as_bytes(), None).unwrap().available(), ["long", "a"]);
    }

    #[test]
    fn deep_nesting_does_not_exhaust_the_stack() {
        let nested = format!("{}1{}", "[".repeat(1 << 20), "]".repeat(1 << 20));
        assert_eq!(read(&format!("{{\"a\":{nested}}}")), (vec![row(1, &[Some(&nested)])], vec![]));
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic_and_end(bytes in proptest::collection::vec(any::<u8>(), 0..1000)) {
            let _ = open(&bytes, None).and_then(drain);
        }

        #[test]
        fn any_mix_of_json_characters_never_panics(text in "[\\[{]{0,1}[a1:,\"{}\\[\\]\\\\\n ]{0,200}") {
            let with_object = format!("{{\"a\":1}}\n{text}");
            for text in [text, with_object] {
                let _ = open(text.as_bytes(), None).and_then(drain);
            }
        }

        #[test]
        fn any_text_is_read_back(texts in proptest::collection::vec(any::<String>(), 1..20), array: bool) {
            let objects: Vec<String> = texts.iter().map(|text| serde_json::json!({ "a": text }).to_string()).collect();
            let file = if array { format!("[{}]", objects.join(", ")) } else { objects.join("\n") };
            let expected: Vec<_> = (1..).zip(&texts).map(|(number, text)| row(number, &[Some(text)])).collect();
            prop_assert_eq!(read(&file), (expected, vec![]));
        }
    }
}
