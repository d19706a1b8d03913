//! The file of a list: a value for every row of a holder's datasets, Parquet under Modular Encryption with a key of its own.
//!
//! The key travels in the footer's key metadata, sealed to the holder ([`ListEnvelope`]). There is one column, `values`
//! (`FixedSizeBinary(65536)`, not null, neither compressed nor with statistics): the values of the rows of all datasets behind each
//! other, as many bits each as `width` says, the lowest bits of a byte first; what is left of the last piece is zero. So the length of
//! a file follows from the number of rows, in steps of a piece, and tells nothing of how many are listed. The footer's note
//! `datafuse.list` has the width and the datasets ([`ListedDataset`]), encrypted like the rest.

use std::{path::Path, sync::Arc};

use arrow::{
    array::{Array, AsArray, FixedSizeBinaryBuilder},
    datatypes::{DataType, Field, Schema, SchemaRef},
    record_batch::RecordBatch,
};
use datafuse_core::{
    id::DatasetId,
    list::{Join, ListEnvelope},
};
use parquet::{
    arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions},
    basic::Compression,
    file::metadata::KeyValue,
};
use serde::{Deserialize, Serialize};

use super::{ListFileError, starts, total, width};
use crate::{
    atomic_file::{AtomicFile, Readers},
    dataset::protected::{finish, write_error},
    error::{Error, Result},
    sealed::{self, Caps, SealedFile, Tail},
};

const COLUMN: &str = "values";
const NOTE: &str = "datafuse.list";
const PIECE_BYTES: usize = 64 << 10;
/// Pieces of a page, and of a row group: what a writer holds in memory.
const PAGE_PIECES: usize = 16;
const ROW_GROUP_PIECES: usize = 128;

/// How many rows a piece has the values of.
pub(super) fn piece_rows(width: u32) -> u64 {
    8 * PIECE_BYTES as u64 / u64::from(width)
}

/// A dataset whose rows a list is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListedDataset {
    /// Which.
    pub dataset: DatasetId,
    /// Its version.
    pub version: u64,
    /// The SHA-256 of the file as delivered, in hexadecimal.
    pub sha256: String,
    /// The rows of its source; they are numbered from 1.
    pub rows: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    width: u32,
    datasets: Vec<ListedDataset>,
}

/// Writes one list; it appears under its name when [finished](Self::finish), or not at all.
pub struct ListWriter {
    writer: ArrowWriter<AtomicFile>,
    schema: SchemaRef,
    note: Note,
    /// The piece at work.
    piece: Vec<u8>,
    pieces: u64,
}

impl ListWriter {
    /// Begins a list of these datasets, with so many other holders. `key_metadata` is the encoded [`ListEnvelope`] that seals
    /// `file_key`.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NoSpace`].
    pub fn create(
        path: &Path,
        join: Join,
        with: usize,
        datasets: &[ListedDataset],
        file_key: &[u8; 32],
        key_metadata: Vec<u8>,
    ) -> Result<Self> {
        let properties = sealed::writer_properties(file_key, key_metadata)?
            .set_max_row_group_row_count(Some(ROW_GROUP_PIECES))
            .set_write_batch_size(PAGE_PIECES)
            .set_data_page_row_count_limit(PAGE_PIECES)
            .set_offset_index_disabled(true)
            .set_compression(Compression::UNCOMPRESSED);
        let options = ArrowWriterOptions::new().with_properties(properties.build()).with_skip_arrow_metadata(true);
        let schema = schema();
        let file = AtomicFile::create(path, Readers::Default)?;
        let writer = ArrowWriter::try_new_with_options(file, Arc::clone(&schema), options).map_err(internal)?;
        let note = Note { width: width(join, with), datasets: datasets.to_vec() };
        Ok(Self { writer, schema, note, piece: Vec::with_capacity(PIECE_BYTES), pieces: 0 })
    }

    /// Writes the next values, 64 bits at a time.
    pub(super) fn write(&mut self, words: impl Iterator<Item = u64>) -> Result<()> {
        for word in words {
            self.piece.extend_from_slice(&word.to_le_bytes());
            if self.piece.len() == PIECE_BYTES {
                self.write_piece()?;
            }
        }
        Ok(())
    }

    /// Makes the file appear; gives its SHA-256.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NoSpace`]; [`Error::Internal`] where there are not as many values as rows.
    pub fn finish(mut self) -> Result<[u8; 32]> {
        if !self.piece.is_empty() {
            self.piece.resize(PIECE_BYTES, 0);
            self.write_piece()?;
        }
        if self.pieces != total(&self.note.datasets).div_ceil(piece_rows(self.note.width)) {
            return Err(Error::Internal { work: "writing a list", source: "rows are missing".into() });
        }
        let note = serde_json::to_string(&self.note)
            .map_err(|source| Error::Internal { work: "writing a list", source: source.into() })?;
        self.writer.append_key_value_metadata(KeyValue::new(NOTE.to_owned(), note));
        Ok(finish(&mut self.writer)?.sha256)
    }

    fn write_piece(&mut self) -> Result<()> {
        let failed = |source| Error::Internal { work: "writing a list", source };
        let mut values = FixedSizeBinaryBuilder::with_capacity(1, PIECE_BYTES as i32);
        values.append_value(&self.piece).map_err(|error| failed(error.into()))?;
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), vec![Arc::new(values.finish())]);
        let batch = batch.map_err(|error| failed(error.into()))?;
        self.writer.write(&batch).map_err(|error| write_error(&mut self.writer, error))?;
        self.piece.clear();
        self.pieces += 1;
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn limit_space(&mut self, bytes: u64) {
        self.writer.inner_mut().space = Some(bytes);
    }
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new(COLUMN, DataType::FixedSizeBinary(PIECE_BYTES as i32), false)]))
}

fn internal(source: parquet::errors::ParquetError) -> Error {
    Error::Internal { work: "beginning a list", source: source.into() }
}

/// A list that was opened.
pub struct ListFile {
    file: SealedFile,
    note: Note,
    pub(super) join: Join,
    with: usize,
}

impl ListFile {
    /// Reads for whom and of what a list was made, without any key. Nothing of it is verified yet.
    ///
    /// # Errors
    /// [`ListFileError`].
    pub fn inspect(path: &Path) -> Result<ListEnvelope, ListFileError> {
        let tail = sealed::open_file(path).and_then(|file| Tail::read(path, &file, &Caps::default()));
        let tail = tail.map_err(|error| ListFileError::of(error, path))?;
        ListEnvelope::decode(&tail.key_metadata).map_err(|source| match source {
            // What is there is the envelope of something else, such as a dataset.
            datafuse_core::Error::Malformed { .. } => ListFileError::NotAList { path: path.into() },
            source => ListFileError::Envelope { path: path.into(), source },
        })
    }

    /// Opens a list with its key; `join` and `with` are its envelope's.
    ///
    /// # Errors
    /// [`ListFileError`].
    pub fn open(path: &Path, file_key: &[u8; 32], join: Join, with: usize) -> Result<Self, ListFileError> {
        let altered = |part: &str| ListFileError::Altered { path: path.into(), part: part.to_owned() };
        let file = SealedFile::open(path, file_key, &Caps::default(), false);
        let file = file.map_err(|error| ListFileError::of(error, path))?;
        let note: Option<Note> = file.note(NOTE).and_then(|note| serde_json::from_str(note).ok());
        let note = note.ok_or_else(|| altered("its note"))?;
        let rows = note.datasets.iter().try_fold(0_u64, |sum, dataset| sum.checked_add(dataset.rows));
        let agrees = *file.schema() == schema()
            && note.width == width(join, with)
            && rows.is_some_and(|rows| file.rows() == rows.div_ceil(piece_rows(note.width)));
        if !agrees {
            return Err(altered("its number of rows"));
        }
        Ok(Self { file, note, join, with })
    }

    /// The datasets whose rows it is about.
    #[must_use]
    pub fn datasets(&self) -> &[ListedDataset] {
        &self.note.datasets
    }

    /// Gives the listed rows of a dataset in ascending order, each with the number of other holders that have its identifier where
    /// the list says that ([`Join::Left`]).
    ///
    /// # Errors
    /// [`ListFileError`], now or from the rows.
    pub fn rows(&self, dataset: usize) -> Result<ListedRows<'_>, ListFileError> {
        let batches =
            self.file.batches(|_| true, PAGE_PIECES).map_err(|error| ListFileError::of(error, self.file.path()))?;
        let begin = starts(&self.note.datasets)[dataset];
        Ok(ListedRows {
            list: self,
            batches: Box::new(batches),
            piece: Vec::new(),
            read: 0,
            next: begin,
            begin,
            end: begin + self.note.datasets[dataset].rows,
        })
    }
}

/// The listed rows of one dataset.
pub struct ListedRows<'a> {
    list: &'a ListFile,
    batches: Box<dyn Iterator<Item = Result<RecordBatch>> + 'a>,
    /// The bytes at work, and how many were read with them.
    piece: Vec<u8>,
    read: u64,
    /// The position of the next row among those of all datasets.
    next: u64,
    begin: u64,
    end: u64,
}

impl ListedRows<'_> {
    /// Reads on until the bytes at work have this one.
    fn fill(&mut self, byte: u64) -> Result<(), ListFileError> {
        let path = self.list.file.path();
        let cut = || ListFileError::Altered { path: path.into(), part: "its number of rows".to_owned() };
        while byte >= self.read {
            let batch = self.batches.next().ok_or_else(cut)?.map_err(|error| ListFileError::of(error, path))?;
            let values = batch.column(0).as_fixed_size_binary();
            let from = values.offset() * PIECE_BYTES;
            self.piece.clear();
            self.piece.extend_from_slice(&values.value_data()[from..][..values.len() * PIECE_BYTES]);
            self.read += self.piece.len() as u64;
        }
        Ok(())
    }
}

impl Iterator for ListedRows<'_> {
    /// The row's number, and how many holders have its identifier.
    type Item = Result<(u64, Option<u32>), ListFileError>;

    fn next(&mut self) -> Option<Self::Item> {
        let width = self.list.note.width;
        while self.next < self.end {
            let bit = self.next * u64::from(width);
            if let Err(error) = self.fill(bit / 8) {
                self.next = self.end;
                return Some(Err(error));
            }
            let first = self.read - self.piece.len() as u64;
            let at = (bit / 8 - first) as usize;
            // Nobody in a whole byte: the common case where few are listed. A byte is of one dataset's rows up to its end.
            let per_byte = u64::from(8 / width.min(8));
            if width <= 8 && bit.is_multiple_of(8) && self.piece[at] == 0 {
                self.next = self.end.min(self.next + per_byte);
                continue;
            }
            let bytes = &self.piece[at..][..width.div_ceil(8) as usize];
            let value = bytes.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
            let value = value >> (bit % 8) & ((1 << width) - 1);
            let row = self.next - self.begin + 1;
            self.next += 1;
            match (value, self.list.join) {
                (0, _) => {}
                (value, Join::Left) if value > self.list.with as u64 + 1 => {
                    self.next = self.end;
                    let path = self.list.file.path().to_owned();
                    return Some(Err(ListFileError::Altered { path, part: "a number of holders".to_owned() }));
                }
                (value, Join::Left) => return Some(Ok((row, u32::try_from(value - 1).ok()))),
                _ => return Some(Ok((row, None))),
            }
        }
        None
    }
}
