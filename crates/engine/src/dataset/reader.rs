//! The reader of sources: files one after the other, batch by batch, whatever their format.
//!
//! In: a [`Source`], [`ReadOptions`], a [`FetchPolicy`], the columns that are wanted. Out: [`SourceBatch`]es, each row with
//! its number in the source, and the rows that could not be read. A bad row never ends the reading; a bad file does.
//! Memory is bounded: one batch of rows, one record of at most [`MAX_RECORD_BYTES`], one file open at a time.

use std::fmt;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;

use super::bucket;
use super::csv::CsvReader;
use super::fetch::{self, FetchPolicy};
use super::header::{shown_column, shown_columns};
use super::json::JsonReader;
use super::parquet::ParquetReader;
use super::parquet::encryption::EncryptionProblem;
use super::source::{Format, ReadOptions, RejectReason, Source, SourceBatch, SourceWarning};
use crate::error::{Error, Result};

/// The largest record (a CSV record, a JSON object) that is read; a longer one is rejected.
pub(super) const MAX_RECORD_BYTES: usize = 16 << 20;

/// The most columns a source may have.
pub(super) const MAX_COLUMNS: usize = 10_000;

/// A batch of text ends early when its values reach this many bytes.
pub(super) const MAX_BATCH_BYTES: usize = 32 << 20;

/// Reads a source batch by batch. After an error it ends.
pub struct SourceReader {
    inputs: Vec<OneFile>,
    options: ReadOptions,
    /// The columns that were asked for; `None`: all of them.
    wanted: Option<Vec<String>>,
    current: Option<Box<dyn RowReader>>,
    /// The index of `current` in `inputs`.
    index: usize,
    columns: Vec<String>,
    available: Vec<String>,
    schema: SchemaRef,
    rows: u64,
    rejected: u64,
    not_utf8: u64,
    total_bytes: Option<u64>,
    finished_bytes: u64,
    warnings: Vec<SourceWarning>,
}

impl SourceReader {
    /// Opens a source, checks its columns, and gets ready to read the columns `columns` (`None`: all), in that order.
    ///
    /// All files of a pattern are opened and compared before the first row is read. What an address names is downloaded to
    /// nameless temporary files under the rules of `fetch` and `bucket`. Blocks; may be called from asynchronous code's blocking
    /// threads. The columns of a JSON source are those of the objects within its first MiB.
    ///
    /// # Errors
    ///
    /// Any variant of [`Error`] listed under "sources of rows", and [`Error::Io`]: a file that is missing, empty, of
    /// another format, without one of the columns, or with a header that names a column twice; an address that is
    /// refused or fails.
    pub fn open(
        source: &Source,
        options: &ReadOptions,
        fetch: &FetchPolicy,
        columns: Option<&[String]>,
    ) -> Result<Self> {
        let mut options = options.clone();
        options.batch_rows = options.batch_rows.max(1);
        if let Some(delimiter) = options.delimiter
            && matches!(delimiter, b'"' | b'\r' | b'\n' | 0 | 0x80..)
        {
            return Err(Error::InvalidDelimiter(char::from(delimiter)));
        }
        let wanted = columns.map(without_repeats);
        match source {
            Source::Url(url) => {
                let fetch::Download { file, place, format, bytes } = fetch::download(url, fetch)?;
                Self::open_files(vec![OneFile::Held { file, place, format, bytes }], options, wanted)
            }
            Source::Bucket(address) => {
                let held = bucket::download_all(address, fetch)?.into_iter().map(|download| OneFile::Held {
                    format: Format::from_name(&download.place),
                    file: download.file,
                    place: download.place,
                    bytes: download.bytes,
                });
                Self::open_files(held.collect(), options, wanted)
            }
            Source::Path(path) => Self::open_files(vec![OneFile::Path(path.clone())], options, wanted),
            Source::Glob(pattern) => {
                let files = matching_files(pattern)?;
                Self::open_files(files.into_iter().map(OneFile::Path).collect(), options, wanted)
            }
        }
    }

    /// Opens local files of the same columns, whatever their names, as one source in their order.
    ///
    /// # Errors
    ///
    /// As [`Self::open`]; [`Error::NoMatchingFile`] where there is none.
    pub fn open_all(files: &[PathBuf], options: &ReadOptions, columns: Option<&[String]>) -> Result<Self> {
        let options = ReadOptions { batch_rows: options.batch_rows.max(1), ..options.clone() };
        Self::open_files(files.iter().cloned().map(OneFile::Path).collect(), options, columns.map(without_repeats))
    }

    /// The columns of the batches, in their order.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// All columns of the source, read or not, in the order of the file.
    pub fn available_columns(&self) -> &[String] {
        &self.available
    }

    /// The schema of the batches.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// The rows so far, rejected ones included; the number of the last row read.
    pub fn rows_read(&self) -> u64 {
        self.rows
    }

    /// The rows rejected so far.
    pub fn rejected_rows(&self) -> u64 {
        self.rejected
    }

    /// The rows rejected so far because they are not UTF-8; when there are any, `--encoding latin1` may help.
    pub fn not_utf8_rows(&self) -> u64 {
        self.not_utf8
    }

    /// What whoever uses the rows should know about the files they come from.
    pub fn warnings(&self) -> &[SourceWarning] {
        &self.warnings
    }

    /// The size of the source in bytes, for progress; `None` for a pipe.
    pub fn total_bytes(&self) -> Option<u64> {
        self.total_bytes
    }

    /// How many of [`Self::total_bytes`] were read so far.
    pub fn bytes_read(&self) -> u64 {
        self.finished_bytes + self.current.as_ref().map_or(0, |reader| reader.bytes_read())
    }

    fn open_files(inputs: Vec<OneFile>, options: ReadOptions, wanted: Option<Vec<String>>) -> Result<Self> {
        let Some((first_input, others)) = inputs.split_first() else {
            return Err(Error::NoMatchingFile { pattern: String::new() });
        };
        let (first, first_bytes) = first_input.open(&options, wanted.as_deref())?;
        let mut total_bytes = first_bytes;
        let mut reader = Self::over(Vec::new(), options, wanted, first, None);
        reader.name_unbound(&first_input.place());
        for input in others {
            let (other, bytes) = input.open(&reader.options, reader.wanted.as_deref())?;
            reader.check_same(input, first_input, other.as_ref())?;
            if !other.pages_are_bound() {
                reader.warnings.push(SourceWarning::PagesNotBound { place: input.place() });
            }
            total_bytes = total_bytes.zip(bytes).map(|(sum, bytes)| sum.saturating_add(bytes));
        }
        reader.total_bytes = total_bytes;
        reader.inputs = inputs;
        Ok(reader)
    }

    fn over(
        inputs: Vec<OneFile>,
        options: ReadOptions,
        wanted: Option<Vec<String>>,
        reader: Box<dyn RowReader>,
        total_bytes: Option<u64>,
    ) -> Self {
        let schema = reader.schema();
        SourceReader {
            inputs,
            options,
            wanted,
            columns: schema.fields().iter().map(|field| field.name().clone()).collect(),
            available: reader.available().to_vec(),
            schema,
            current: Some(reader),
            index: 0,
            rows: 0,
            rejected: 0,
            not_utf8: 0,
            total_bytes,
            finished_bytes: 0,
            warnings: Vec::new(),
        }
    }

    /// Notes where the file that is open came from, if its pages can be swapped unnoticed.
    fn name_unbound(&mut self, place: &str) {
        if self.current.as_ref().is_some_and(|reader| !reader.pages_are_bound()) {
            self.warnings.push(SourceWarning::PagesNotBound { place: place.to_owned() });
        }
    }

    /// Checks that a further file has the columns of the first: all of them by name, or only the ones asked for.
    fn check_same(&self, input: &OneFile, first: &OneFile, other: &dyn RowReader) -> Result<()> {
        let place = input.place();
        if self.wanted.is_none() {
            let lacking = |of: &[String], from: &[String]| -> Vec<String> {
                of.iter().filter(|name| !from.contains(name)).cloned().collect()
            };
            let missing = lacking(&self.available, other.available());
            let more = lacking(other.available(), &self.available);
            if !missing.is_empty() || !more.is_empty() {
                return Err(Error::DifferentColumns {
                    place,
                    first: first.place(),
                    missing: shown_columns(&missing),
                    more: shown_columns(&more),
                });
            }
        }
        let schema = other.schema();
        for field in self.schema.fields() {
            // A column is there by now: every wanted one was found, and all of them are the same.
            if let Ok(found) = schema.field_with_name(field.name())
                && found.data_type() != field.data_type()
            {
                return Err(Error::DifferentType {
                    place,
                    column: shown_column(field.name()).into_owned(),
                    expected: field.data_type().clone(),
                    found: found.data_type().clone(),
                });
            }
        }
        Ok(())
    }

    /// Moves on to the next file; `false` after the last.
    fn open_next(&mut self) -> Result<bool> {
        if let Some(done) = self.current.take() {
            self.finished_bytes += done.bytes_read();
        }
        self.index += 1;
        let Some(input) = self.inputs.get(self.index) else {
            return Ok(false);
        };
        // By name, in the order of the first file, whatever the order of this one.
        let (reader, _) = input.open(&self.options, Some(&self.columns))?;
        // The file may have changed since it was checked.
        self.check_same(input, &self.inputs[0], reader.as_ref())?;
        self.current = Some(reader);
        Ok(true)
    }

    fn read(&mut self) -> Result<Option<SourceBatch>> {
        loop {
            let Some(reader) = &mut self.current else {
                return Ok(None);
            };
            if let Some(mut batch) = reader.next_batch(self.rows)? {
                let last = batch.rows.last().copied().max(batch.rejected.last().map(|rejected| rejected.row));
                self.rows = last.unwrap_or(self.rows);
                self.rejected += batch.rejected.len() as u64;
                let not_utf8 = RejectReason::NotUtf8.as_str();
                self.not_utf8 += batch.rejected.iter().filter(|rejected| rejected.reason == not_utf8).count() as u64;
                // The metadata of a field may differ between files; the schema that was promised holds.
                if batch.batch.schema_ref() != &self.schema {
                    let options = RecordBatchOptions::new().with_row_count(Some(batch.batch.num_rows()));
                    let columns = batch.batch.columns().to_vec();
                    batch.batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
                        .map_err(|source| Error::DecodeColumns { place: self.place(), source })?;
                }
                return Ok(Some(batch));
            }
            if !self.open_next()? {
                return Ok(None);
            }
        }
    }

    fn place(&self) -> String {
        self.inputs.get(self.index).map_or_else(|| "the source".to_owned(), OneFile::place)
    }
}

impl Iterator for SourceReader {
    type Item = Result<SourceBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let result = self.read().transpose();
        if matches!(result, Some(Err(_)) | None) {
            if let Some(done) = self.current.take() {
                self.finished_bytes += done.bytes_read();
            }
            self.inputs.clear();
        }
        result
    }
}

impl fmt::Debug for SourceReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceReader")
            .field("columns", &self.columns.len())
            .field("rows", &self.rows)
            .field("rejected", &self.rejected)
            .finish_non_exhaustive()
    }
}

/// A reader of one file. Batches come with the projected columns.
pub(super) trait RowReader: Send {
    /// All columns of the file.
    fn available(&self) -> &[String];
    /// The schema of the batches.
    fn schema(&self) -> SchemaRef;
    /// The next rows, numbered from `rows_before + 1`; `None` at the end. A batch may hold only rejected rows.
    fn next_batch(&mut self, rows_before: u64) -> Result<Option<SourceBatch>>;
    /// Whether encrypted pages are bound to their file and place; what is not encrypted has nothing to bind.
    fn pages_are_bound(&self) -> bool {
        true
    }
    /// How many bytes of the file were read, for progress.
    fn bytes_read(&self) -> u64;
}

/// One of the files of a source.
enum OneFile {
    /// A file of this machine.
    Path(PathBuf),
    /// A download, which has no name any more.
    Held { file: File, place: String, format: Option<Format>, bytes: u64 },
}

impl OneFile {
    /// How messages name it.
    fn place(&self) -> String {
        match self {
            OneFile::Path(path) => path.display().to_string(),
            OneFile::Held { place, .. } => place.clone(),
        }
    }

    /// Opens it from its beginning; with its size, where it has one.
    fn open(&self, options: &ReadOptions, wanted: Option<&[String]>) -> Result<(Box<dyn RowReader>, Option<u64>)> {
        let place = self.place();
        let failed = |source| Error::io(&place, "read", source);
        let told = |format: Option<Format>| {
            let format = options.format.or(format);
            format.ok_or_else(|| Error::UnknownFormat { place: place.clone() })
        };
        let (file, format, bytes) = match self {
            OneFile::Path(path) => {
                let metadata = std::fs::metadata(path).map_err(failed)?;
                if metadata.is_dir() {
                    return Err(Error::SourceIsFolder { place });
                }
                let format = told(Format::from_name(&place))?;
                (File::open(path).map_err(failed)?, format, metadata.is_file().then_some(metadata.len()))
            }
            OneFile::Held { file, format, bytes, .. } => {
                // The clone shares the position; only one of them is read at a time.
                let mut file = file.try_clone().map_err(failed)?;
                file.seek(SeekFrom::Start(0)).map_err(failed)?;
                (file, told(*format)?, Some(*bytes))
            }
        };
        Ok((open_rows(file, &place, format, options, wanted)?, bytes))
    }
}

fn open_rows(
    file: File,
    place: &str,
    format: Format,
    options: &ReadOptions,
    wanted: Option<&[String]>,
) -> Result<Box<dyn RowReader>> {
    if options.parquet_key.is_some() && format != Format::Parquet {
        let problem = EncryptionProblem::KeyUnneeded;
        return Err(Error::EncryptedParquet { place: place.to_owned(), problem });
    }
    Ok(match format {
        Format::Csv => Box::new(CsvReader::open(Box::new(file), place, options, wanted)?),
        Format::Json => Box::new(JsonReader::open(Box::new(file), place, options, wanted)?),
        Format::Parquet => Box::new(ParquetReader::open(file, place, options, wanted)?),
    })
}

/// How the names end of the files in which `protect` leaves the rows of a source that it rejected, beside that source.
const REJECTED_SUFFIX: &str = ".rejected.csv";

/// Gives the files that match a pattern, sorted by name; of a file that is named like a pattern, itself. Files of rejected rows lie
/// beside their sources and are none themselves: only a pattern that names them finds them.
///
/// # Errors
///
/// [`Error::InvalidPattern`], [`Error::NoMatchingFile`], [`Error::Io`].
pub fn matching_files(pattern: &str) -> Result<Vec<PathBuf>> {
    // A file may really be named `data[1].csv`.
    if Path::new(pattern).is_file() {
        return Ok(vec![PathBuf::from(pattern)]);
    }
    let invalid = |source| Error::InvalidPattern { pattern: pattern.to_owned(), source };
    let mut files = Vec::new();
    for entry in glob::glob(pattern).map_err(invalid)? {
        let path = entry.map_err(|error| Error::io(error.path().to_owned(), "read", error.into()))?;
        let is_rejected = path.to_string_lossy().ends_with(REJECTED_SUFFIX);
        if !path.is_dir() && (!is_rejected || pattern.ends_with(REJECTED_SUFFIX)) {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(Error::NoMatchingFile { pattern: pattern.to_owned() });
    }
    files.sort();
    Ok(files)
}

fn without_repeats(columns: &[String]) -> Vec<String> {
    let mut kept: Vec<String> = Vec::with_capacity(columns.len());
    for column in columns {
        if !kept.contains(column) {
            kept.push(column.clone());
        }
    }
    kept
}
