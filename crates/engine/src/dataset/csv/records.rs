//! Splits a stream into CSV records and these into fields, keeping the bytes of the record in view.
//!
//! The automaton is `csv_core`'s; this adds what it leaves to its caller: a limit on the length of a record, knowing a
//! quote that never closes, and going back to a record's second line. It never fails but for the stream's own errors.

use std::io;

use csv_core::ReadRecordResult;

use super::super::input::Input;
use super::super::reader::{MAX_COLUMNS, MAX_RECORD_BYTES};

/// What came into view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// A record.
    Record,
    /// A record whose last quote is still open at the end of the file.
    Unclosed,
    /// A record longer than [`MAX_RECORD_BYTES`].
    TooLong,
    /// Nothing: the file ended.
    End,
}

/// Splits a stream into records and these into fields. The record read last stays in view with its raw bytes.
pub(super) struct Records {
    pub(super) input: Input,
    core: csv_core::Reader,
    delimiter: u8,
    /// How much of `input.data()` the record in view takes.
    raw_len: usize,
    /// The fields of the record in view, unquoted, one after the other.
    output: Vec<u8>,
    output_len: usize,
    /// Where each field ends in `output`.
    ends: Vec<usize>,
    pub(super) field_count: usize,
    /// How many fields are of interest at most; the ends of more are only counted.
    kept_fields: usize,
    several_lines: bool,
}

impl Records {
    pub(super) fn new(input: Input, delimiter: u8) -> Self {
        Records {
            input,
            core: csv_core::ReaderBuilder::new().delimiter(delimiter).build(),
            delimiter,
            raw_len: 0,
            output: vec![0; 4096],
            output_len: 0,
            ends: vec![0; 64],
            field_count: 0,
            kept_fields: MAX_COLUMNS + 1,
            several_lines: false,
        }
    }

    pub(super) fn keep_fields(&mut self, count: usize) {
        self.kept_fields = count;
    }

    /// Moves on to the next record.
    pub(super) fn read(&mut self) -> io::Result<Frame> {
        self.input.consume(self.raw_len);
        self.raw_len = 0;
        self.output_len = 0;
        self.field_count = 0;
        self.several_lines = false;
        let mut first_line = self.core.line();
        loop {
            let data = self.input.data();
            let at_end = self.raw_len == data.len();
            let input: &[u8] = if !at_end {
                &data[self.raw_len..]
            } else if self.raw_len > MAX_RECORD_BYTES {
                return Ok(Frame::TooLong);
            } else if !self.input.ended() {
                self.input.more()?;
                continue;
            } else if self.raw_len == 0 {
                return Ok(Frame::End);
            } else {
                // A line end ends a record, unless a quote is open: then it is one more character of the field.
                b"\n"
            };
            let mut spare_ends = [0; 64];
            let ends = if self.field_count < self.ends.len() {
                &mut self.ends[self.field_count..]
            } else {
                &mut spare_ends[..]
            };
            let (result, read, written, ended) =
                self.core.read_record(input, &mut self.output[self.output_len..], ends);
            self.output_len += written;
            self.field_count += ended;
            if !at_end {
                self.raw_len += read;
            }
            match result {
                ReadRecordResult::Record => {
                    self.drop_leading_line_ends(&mut first_line);
                    // The line end that ends the record is no second line.
                    let own_end = at_end || self.raw().last() == Some(&b'\n');
                    self.several_lines = self.core.line() > first_line + u64::from(own_end);
                    return Ok(Frame::Record);
                }
                ReadRecordResult::InputEmpty => {
                    self.drop_leading_line_ends(&mut first_line);
                    if at_end && self.raw_len > 0 {
                        return Ok(Frame::Unclosed);
                    }
                }
                ReadRecordResult::OutputFull => self.output.resize(self.output.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => {
                    if self.ends.len() <= self.kept_fields {
                        self.ends.resize(self.ends.len() * 2, 0);
                    }
                }
                // Only said to an empty input, which is never given.
                ReadRecordResult::End => return Ok(Frame::End),
            }
        }
    }

    /// Blank lines before a record are no part of it.
    fn drop_leading_line_ends(&mut self, first_line: &mut u64) {
        let data = &self.input.data()[..self.raw_len];
        let blank = data.iter().take_while(|&&byte| byte == b'\n' || byte == b'\r').count();
        *first_line += data[..blank].iter().filter(|&&byte| byte == b'\n').count() as u64;
        self.input.consume(blank);
        self.raw_len -= blank;
    }

    /// Goes back to the beginning of the record in view.
    pub(super) fn rewind(&mut self) {
        self.raw_len = 0;
        self.core.reset();
    }

    /// Goes back to the second line of the record in view, or past its only line.
    pub(super) fn resume_at_second_line(&mut self) -> io::Result<()> {
        let data = self.raw();
        let line_end = data.iter().position(|&byte| byte == b'\n' || byte == b'\r');
        if let Some(line_end) = line_end {
            self.raw_len = line_end + 1;
        } else if self.raw_len < self.input.data().len() || !self.input.ended() {
            // A single line longer than the limit: its rest is of no use to anybody.
            self.input.consume(self.raw_len);
            self.raw_len = 0;
            loop {
                let data = self.input.data();
                if let Some(line_end) = data.iter().position(|&byte| byte == b'\n' || byte == b'\r') {
                    self.raw_len = line_end + 1;
                    break;
                }
                let count = data.len();
                self.input.consume(count);
                if !self.input.more()? {
                    break;
                }
            }
        }
        self.core.reset();
        Ok(())
    }

    /// The bytes of the record in view.
    pub(super) fn raw(&self) -> &[u8] {
        &self.input.data()[..self.raw_len]
    }

    pub(super) fn first_line(&self) -> &[u8] {
        let raw = self.raw();
        let end = raw.iter().position(|&byte| byte == b'\n' || byte == b'\r').unwrap_or(raw.len());
        &raw[..end]
    }

    pub(super) fn output(&self) -> &[u8] {
        &self.output[..self.output_len]
    }

    pub(super) fn span(&self, index: usize) -> std::ops::Range<usize> {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        start..self.ends[index]
    }

    pub(super) fn field(&self, index: usize) -> &[u8] {
        &self.output[self.span(index)]
    }

    /// Whether the record is a line of white space only. A quoted empty field is a value.
    pub(super) fn is_blank(&self) -> bool {
        self.field_count == 1 && self.output().trim_ascii().is_empty() && self.raw().first() != Some(&b'"')
    }

    /// Whether a record of several lines has a quoted field with text after its closing quote: then the quote that
    /// opened it was a stray one, and what closed it belongs to a later line.
    pub(super) fn has_stray_quote(&self) -> bool {
        self.several_lines && !is_well_quoted(self.raw(), self.delimiter)
    }
}

fn is_well_quoted(record: &[u8], delimiter: u8) -> bool {
    enum At {
        FieldStart,
        Plain,
        Quoted,
        QuoteInQuoted,
    }
    let mut at = At::FieldStart;
    for &byte in record {
        at = match (at, byte) {
            (At::FieldStart, b'"') => At::Quoted,
            (At::Quoted, b'"') => At::QuoteInQuoted,
            (At::QuoteInQuoted, b'"') | (At::Quoted, _) => At::Quoted,
            (At::QuoteInQuoted, b'\r' | b'\n') => return true,
            (_, byte) if byte == delimiter => At::FieldStart,
            (At::QuoteInQuoted, _) => return false,
            (At::FieldStart | At::Plain, _) => At::Plain,
        };
    }
    !matches!(at, At::Quoted)
}
