//! Fused files: what the workload keeps of a protected dataset, ready to be matched again and again.
//!
//! One file per holder, dataset version and kind; Parquet under Modular Encryption with the store key, sorted by match key:
//!
//! | column | type | |
//! | --- | --- | --- |
//! | `match_key` | `FixedSizeBinary(16)`, not null | equal where the identifiers are |
//! | `row` | `UInt64`, not null | the row's number in its holder's source |
//! | kept columns | as in the protected dataset | |
//!
//! The encrypted footer says what the file was made of (a label that its maker chooses, key `datafuse.fused`), how many
//! distinct keys it has, a hash of their set and one of all rows, which a change of the holder's token key does not alter. The page index of
//! the key column lets a reader open any range of keys without reading the rest.

mod rows_digest;

use std::{cmp::Ordering, path::Path, sync::Arc};

use arrow::{
    array::{Array, AsArray, FixedSizeBinaryArray},
    datatypes::{DataType, Field, Schema, SchemaRef},
    record_batch::RecordBatch,
};
use datafuse_core::match_key::MatchKey;
use parquet::{
    arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions},
    basic::{Compression, ZstdLevel},
    file::{
        metadata::{KeyValue, ParquetMetaData, RowGroupMetaData, SortingColumn},
        page_index::{column_index::ColumnIndexMetaData, offset_index::PageLocation},
        properties::EnabledStatistics,
    },
    schema::types::ColumnPath,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use rows_digest::RowsDigest;

use crate::{
    atomic_file::{AtomicFile, Readers},
    dataset::protected::{ROW_COLUMN, finish, write_error},
    error::{Error, Result},
    sealed::{self, Caps, SealedFile, corrupted},
};

/// The column of match keys.
pub const KEY_COLUMN: &str = "match_key";

const KEY_METADATA: &[u8] = b"datafuse-store";
const NOTE: &str = "datafuse.fused";
const ROW_GROUP_ROWS: usize = 1 << 20;

/// Bytes of a page of keys: what a reader of a range may have to read in vain at either end.
const KEY_PAGE_BYTES: usize = 256 << 10;

/// What a fused file says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FusedSummary {
    /// What it was made of.
    pub label: String,
    /// Rows: those of the dataset with a token of the kind.
    pub rows: u64,
    /// Distinct match keys.
    pub distinct: u64,
    /// SHA-256 of the distinct match keys in ascending order, in hex.
    pub fused_set: String,
    /// A digest of all rows, with their numbers and kept columns, whatever their order; hex. Empty in files of before it was made.
    #[serde(default)]
    pub fused_rows: String,
}

/// The columns of a fused file with the given kept columns.
#[must_use]
pub fn schema(kept: &Schema) -> SchemaRef {
    let mut fields = vec![
        Arc::new(Field::new(KEY_COLUMN, DataType::FixedSizeBinary(MatchKey::BYTES as i32), false)),
        Arc::new(Field::new(ROW_COLUMN, DataType::UInt64, false)),
    ];
    fields.extend(kept.fields().iter().map(Arc::clone));
    Arc::new(Schema::new(fields))
}

/// Writes one fused file from batches sorted by match key; it appears under its name when [finished](Self::finish).
pub struct FusedWriter {
    writer: ArrowWriter<AtomicFile>,
    summary: FusedSummary,
    set: Sha256,
    rows: RowsDigest,
    last: Option<[u8; MatchKey::BYTES]>,
}

impl FusedWriter {
    /// Begins a file; `label` says what it is made of.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NoSpace`].
    pub fn create(path: &Path, kept: &Schema, store_key: &[u8; 32], label: &str) -> Result<Self> {
        let key = ColumnPath::new(vec![KEY_COLUMN.to_owned()]);
        let properties = sealed::writer_properties(store_key, KEY_METADATA.to_vec())?
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_write_batch_size(256)
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_sorting_columns(Some(vec![SortingColumn { column_idx: 0, descending: false, nulls_first: true }]))
            .set_column_compression(key.clone(), Compression::UNCOMPRESSED)
            .set_column_data_page_size_limit(key.clone(), KEY_PAGE_BYTES)
            .set_column_statistics_enabled(key, EnabledStatistics::Page);
        let options = ArrowWriterOptions::new().with_properties(properties.build()).with_skip_arrow_metadata(true);
        let file = AtomicFile::create(path, Readers::Owner)?;
        let beginning = |source| Error::Internal { work: "beginning a fused file", source };
        let rows = RowsDigest::new(&schema(kept), store_key).map_err(|source| beginning(source.into()))?;
        let writer = ArrowWriter::try_new_with_options(file, schema(kept), options)
            .map_err(|source| beginning(source.into()))?;
        let (fused_set, fused_rows) = Default::default();
        let summary = FusedSummary { label: label.to_owned(), rows: 0, distinct: 0, fused_set, fused_rows };
        Ok(Self { writer, summary, set: Sha256::new(), rows, last: None })
    }

    /// Writes the next rows, with the columns of [`schema`].
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NoSpace`]; [`Error::Internal`] where a key is less than the one before it.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let keys = batch.column(0).as_fixed_size_binary();
        let mut fresh = Vec::with_capacity(keys.len() * MatchKey::BYTES);
        for key in keys_of(keys) {
            match self.last.as_ref().map(|last| last.cmp(key)) {
                Some(Ordering::Equal) => {}
                None | Some(Ordering::Less) => {
                    fresh.extend_from_slice(key);
                    self.last = Some(*key);
                }
                Some(Ordering::Greater) => {
                    return Err(Error::Internal { work: "writing a fused file", source: "rows are not sorted".into() });
                }
            }
        }
        self.set.update(&fresh);
        self.rows.add(batch).map_err(|source| Error::Internal { work: "hashing rows", source: source.into() })?;
        self.summary.rows += keys.len() as u64;
        self.summary.distinct += (fresh.len() / MatchKey::BYTES) as u64;
        self.writer.write(batch).map_err(|error| write_error(&mut self.writer, error))
    }

    /// How many rows were written.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.summary.rows
    }

    /// Makes the file appear.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NoSpace`].
    pub fn finish(mut self) -> Result<FusedSummary> {
        self.summary.fused_set = hex::encode(self.set.finalize());
        self.summary.fused_rows = self.rows.finish();
        let note = serde_json::to_string(&self.summary)
            .map_err(|source| Error::Internal { work: "writing a summary", source: source.into() })?;
        self.writer.append_key_value_metadata(KeyValue::new(NOTE.to_owned(), note));
        finish(&mut self.writer)?;
        Ok(self.summary)
    }

    #[cfg(test)]
    pub(crate) fn limit_space(&mut self, bytes: u64) {
        self.writer.inner_mut().space = Some(bytes);
    }
}

/// A fused file that was opened with the store key.
pub struct FusedFile {
    file: SealedFile,
    summary: FusedSummary,
    pages: Vec<KeyPage>,
}

/// One page of the key column.
struct KeyPage {
    row_group: usize,
    /// Its number in the row group.
    number: usize,
    offset: u64,
    /// The position of its first key in the row group.
    first_row: u64,
    first_key: u128,
    last_key: u128,
}

impl FusedFile {
    /// Opens a fused file.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::WrongKey`], [`Error::FusedMismatch`] where it was made of something else than `label` says;
    /// [`Error::NotParquet`], [`Error::NotProtected`], [`Error::Truncated`], [`Error::Corrupted`] where it is damaged.
    pub fn open(path: &Path, store_key: &[u8; 32], label: &str) -> Result<Self> {
        // Its maker is this program; what the caps are for is a damaged length.
        let caps = Caps { footer_bytes: 256 << 20, ..Caps::default() };
        let file = SealedFile::open(path, store_key, &caps, true)?;
        let note = file.note(NOTE).ok_or_else(|| corrupted(path, "its summary"))?;
        let summary: FusedSummary = serde_json::from_str(note).map_err(|_| corrupted(path, "its summary"))?;
        if summary.label != label {
            return Err(Error::FusedMismatch { path: path.into(), expected: label.to_owned(), found: summary.label });
        }
        let columns = file.schema().fields();
        let is_fused = columns.len() >= 2
            && columns[0].name() == KEY_COLUMN
            && !columns[0].is_nullable()
            && *columns[0].data_type() == DataType::FixedSizeBinary(MatchKey::BYTES as i32)
            && columns[1].name() == ROW_COLUMN
            && summary.rows == file.rows();
        let pages = key_pages(file.metadata()).filter(|_| is_fused).ok_or_else(|| corrupted(path, "its columns"))?;
        Ok(Self { file, summary, pages })
    }

    /// Where the file lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// What it says of itself.
    #[must_use]
    pub fn summary(&self) -> &FusedSummary {
        &self.summary
    }

    /// All columns.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        self.file.schema()
    }

    /// Reads all rows and columns in batches, sorted by match key.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Corrupted`] from the batches.
    pub fn batches(&self, batch_rows: usize) -> Result<impl Iterator<Item = Result<RecordBatch>> + Send + use<>> {
        self.file.batches(|_| true, batch_rows)
    }

    /// The names of the kept columns.
    pub(crate) fn kept(&self) -> impl Iterator<Item = &str> {
        self.schema().fields().iter().skip(2).map(|field| field.name().as_str())
    }

    /// As [`batches`](Self::batches), with keys, row numbers and some of the kept columns.
    pub(crate) fn columns(
        &self,
        wanted: &[String],
        batch_rows: usize,
    ) -> Result<impl Iterator<Item = Result<RecordBatch>> + Send + use<>> {
        let wanted = |name: &str| wanted.iter().any(|column| column == name);
        self.file.batches(|name| name == KEY_COLUMN || name == ROW_COLUMN || wanted(name), batch_rows)
    }

    /// Tells of each match key, in order, whether a row has it.
    ///
    /// Reads the pages that may hold one of them, each once: memory is that of one page, whatever the number of rows. Where no page may
    /// hold a key the nearest is read, so that the time does not tell such a key from one that is there. Variable-time in where the keys
    /// are.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Corrupted`].
    pub fn holds(&self, keys: &[MatchKey]) -> Result<Vec<bool>> {
        let mut sorted: Vec<_> =
            keys.iter().enumerate().map(|(at, key)| (u128::from_be_bytes(*key.as_bytes()), at)).collect();
        sorted.sort_unstable();
        let mut held = vec![false; keys.len()];
        let mut left = sorted.as_slice();
        while let Some(&(key, _)) = left.first() {
            // A key that goes on over several pages is in the first of them as well.
            let at = self.pages.partition_point(|page| page.last_key < key);
            let Some(page) = self.pages.get(at).or(self.pages.last()) else { break };
            let beyond = at >= self.pages.len();
            let (here, others) = left.split_at(left.partition_point(|&(key, _)| beyond || key <= page.last_key));
            left = others;
            self.file.plain_pages(0, page.row_group, (page.number, page.offset), 1, |plain| {
                let rows = plain.as_chunks::<{ MatchKey::BYTES }>().0;
                for &(key, at) in here {
                    held[at] = rows.binary_search(&key.to_be_bytes()).is_ok();
                }
            })?;
        }
        Ok(held)
    }

    /// Calls `each` with the match keys from `first` to `last`, both included, in ascending order, as big-endian numbers.
    ///
    /// Reads the pages of that range only. A key comes as often as it has rows.
    pub(crate) fn keys(&self, first: u128, last: u128, mut each: impl FnMut(u128)) -> Result<()> {
        for pages in self.pages_between(first, last) {
            let head = &pages[0];
            self.file.plain_pages(0, head.row_group, (head.number, head.offset), pages.len(), |plain| {
                for key in plain.as_chunks().0 {
                    let key = u128::from_be_bytes(*key);
                    if (first..=last).contains(&key) {
                        each(key);
                    }
                }
            })?;
        }
        Ok(())
    }

    /// As [`keys`](Self::keys), each key with the number that its row has in its holder's source. Holds the row numbers of
    /// one row group at a time.
    pub(crate) fn keys_and_rows(&self, first: u128, last: u128, mut each: impl FnMut(u128, u64)) -> Result<()> {
        for pages in self.pages_between(first, last) {
            let head = &pages[0];
            let rows = self.rows_of(pages)?;
            let mut rows = rows.iter();
            let mut whole = true;
            self.file.plain_pages(0, head.row_group, (head.number, head.offset), pages.len(), |plain| {
                for key in plain.as_chunks().0 {
                    let key = u128::from_be_bytes(*key);
                    let row = rows.next();
                    whole &= row.is_some();
                    if let Some(row) = row.filter(|_| (first..=last).contains(&key)) {
                        each(key, *row);
                    }
                }
            })?;
            if !whole {
                return Err(corrupted(self.path(), "its row numbers"));
            }
        }
        Ok(())
    }

    /// The pages that may hold keys from `first` to `last`, by row group.
    fn pages_between(&self, first: u128, last: u128) -> impl Iterator<Item = &[KeyPage]> {
        let begin = self.pages.partition_point(|page| page.last_key < first);
        let end = self.pages.partition_point(|page| page.first_key <= last);
        self.pages.get(begin..end).unwrap_or_default().chunk_by(|a, b| a.row_group == b.row_group)
    }

    /// The row numbers beside the keys of consecutive pages of one row group: from that of their first key on, to the end of
    /// the pages of row numbers that they reach into.
    fn rows_of(&self, pages: &[KeyPage]) -> Result<Vec<u64>> {
        let damaged = || corrupted(self.path(), "its page index");
        let (head, last) = (&pages[0], &pages[pages.len() - 1]);
        let metadata = self.file.metadata();
        let group_rows = metadata.row_groups().get(head.row_group).map_or(0, RowGroupMetaData::num_rows);
        let following =
            self.pages.iter().find(|page| page.row_group == last.row_group && page.number == last.number + 1);
        let end = following.map_or(group_rows.unsigned_abs(), |page| page.first_row);
        let index = metadata.offset_index().and_then(|index| index.get(head.row_group)?.get(1)).ok_or_else(damaged)?;
        let locations = index.page_locations();
        let first_row = |location: &PageLocation| location.first_row_index.unsigned_abs();
        let from = locations.partition_point(|location| first_row(location) <= head.first_row).checked_sub(1);
        let from = from.ok_or_else(damaged)?;
        let to = locations.partition_point(|location| first_row(location) < end).max(from + 1);
        let offset = locations[from].offset.unsigned_abs();
        let mut rows = Vec::new();
        self.file.plain_pages(1, head.row_group, (from, offset), to - from, |plain| {
            rows.extend(plain.as_chunks().0.iter().map(|row| u64::from_le_bytes(*row)));
        })?;
        let skipped = usize::try_from(head.first_row - first_row(&locations[from])).map_err(|_| damaged())?;
        if skipped > rows.len() {
            return Err(damaged());
        }
        Ok(rows.split_off(skipped))
    }
}

/// The keys of a column of 16-byte values without nulls.
fn keys_of(keys: &FixedSizeBinaryArray) -> impl Iterator<Item = &[u8; MatchKey::BYTES]> {
    let start = keys.offset() * MatchKey::BYTES;
    let bytes = &keys.value_data()[start..][..keys.len() * MatchKey::BYTES];
    bytes.as_chunks().0.iter()
}

/// The pages of the key column of all row groups, in order; `None` where the index is not that of a sorted key column.
fn key_pages(metadata: &ParquetMetaData) -> Option<Vec<KeyPage>> {
    let key = |bytes: Option<&[u8]>| bytes?.try_into().ok().map(u128::from_be_bytes);
    let mut pages: Vec<KeyPage> = Vec::new();
    for row_group in 0..metadata.num_row_groups() {
        let locations = metadata.offset_index()?.get(row_group)?.first()?.page_locations();
        let ColumnIndexMetaData::FIXED_LEN_BYTE_ARRAY(bounds) = metadata.column_index()?.get(row_group)?.first()?
        else {
            return None;
        };
        if bounds.num_pages() != locations.len() as u64 {
            return None;
        }
        for (number, location) in locations.iter().enumerate() {
            let page = KeyPage {
                row_group,
                number,
                offset: u64::try_from(location.offset).ok()?,
                first_row: u64::try_from(location.first_row_index).ok()?,
                first_key: key(bounds.min_value(number))?,
                last_key: key(bounds.max_value(number))?,
            };
            let sorted =
                page.first_key <= page.last_key && pages.last().is_none_or(|before| before.last_key <= page.first_key);
            if !sorted {
                return None;
            }
            pages.push(page);
        }
    }
    Some(pages)
}
