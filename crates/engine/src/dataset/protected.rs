//! Protected datasets: what a data holder delivers. Written by the holder, read by the workload and by its own holder.
//!
//! Parquet under Modular Encryption with a random key of its own, which travels sealed in the footer's key metadata
//! ([`DatasetEnvelope`]). Columns, in this order:
//!
//! | column | type | |
//! | --- | --- | --- |
//! | `row` | `UInt64`, not null | the row's number in its holder's source, from 1 |
//! | `token_KIND` | `FixedSizeBinary(32)`, nullable | one for each identifier kind, sorted by name |
//! | kept columns | as in the source | in the order they were asked for |
//!
//! A row in which no kind is valid is not there; how many such rows there were stands in the encrypted footer
//! ([`DatasetCounts`], keys `datafuse.counts` and `datafuse.would_change`). Tokens are stored plainly, with neither statistics nor dictionary: they do
//! not compress. Whether a file is what the space expects of it is decided by who reads its envelope, not here.

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{Array, FixedSizeBinaryArray},
    buffer::{Buffer, NullBuffer},
    datatypes::{DataType, Field, Schema, SchemaRef},
    record_batch::RecordBatch,
};
use datafuse_core::{dataset::DatasetEnvelope, id::KindName, normalize::Profile, token::Token};
use parquet::{
    arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions},
    basic::{Compression, ZstdLevel},
    file::metadata::KeyValue,
    schema::types::ColumnPath,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    atomic_file::{AtomicFile, Readers, Written},
    dataset::Bucket,
    error::{Error, Result},
    fused_file::KEY_COLUMN,
    sealed::{self, Batches, Caps, SealedFile, Tail, corrupted},
    tokenise::TokenSink,
};

/// The column of row numbers.
pub const ROW_COLUMN: &str = "row";

/// Longest value of a kept column; together with small write batches it bounds the size of a page.
pub const MAX_KEPT_BYTES: usize = 64 << 10;

pub(crate) const TOKEN_PREFIX: &str = "token_";
const TOKEN_BYTES: i32 = 32;
const COUNTS_NOTE: &str = "datafuse.counts";
const WOULD_CHANGE_NOTE: &str = "datafuse.would_change";

/// Rows of a row group: some 8 MiB of tokens, which is what a writer holds in memory.
const ROW_GROUP_ROWS: usize = 1 << 18;

/// The name of the column that holds a kind's tokens.
#[must_use]
pub fn token_column(kind: &KindName) -> String {
    format!("{TOKEN_PREFIX}{kind}")
}

/// How many rows the source had, and how many of them have no token of a kind, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetCounts {
    /// Rows of the source, rejected ones included.
    pub rows: u64,
    /// For each kind.
    pub kinds: BTreeMap<KindName, KindCounts>,
    /// For each kind and each wider profile that its holder tried: the rows with a token whose identifier it would change. In a
    /// note of its own, which versions that do not know it pass over.
    #[serde(skip)]
    pub would_change: WouldChange,
}

/// For each kind, for each profile.
pub type WouldChange = BTreeMap<KindName, BTreeMap<Profile, u64>>;

/// The rows without a token of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindCounts {
    /// Rows without an identifier.
    pub empty: u64,
    /// Rows whose identifier breaks its profile's rules, and rows that could not be read.
    pub invalid: u64,
}

impl DatasetCounts {
    /// How many rows have a token of a kind; `None` where the kind is unknown or its counts exceed the rows.
    #[must_use]
    pub fn valid(&self, kind: &KindName) -> Option<u64> {
        let counts = self.kinds.get(kind)?;
        self.rows.checked_sub(counts.empty)?.checked_sub(counts.invalid)
    }
}

/// A protected dataset as it was delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// SHA-256 of the file: the dataset's commitment, as `sha256sum` shows it.
    pub sha256: [u8; 32],
    /// Length of the file.
    pub bytes: u64,
    /// Rows written: those with a token of at least one kind.
    pub rows: u64,
}

/// Computes the commitment of a dataset file: the SHA-256 of its bytes, in hex, as `sha256sum` shows it.
///
/// # Errors
/// [`Error::Io`].
pub fn commitment(path: &Path) -> Result<String> {
    let failed = |source| Error::io(path, "read", source);
    let (mut file, mut hash) = (std::fs::File::open(path).map_err(failed)?, Sha256::new());
    let mut piece = vec![0; 1 << 16];
    loop {
        match std::io::Read::read(&mut file, &mut piece).map_err(failed)? {
            0 => break,
            length => hash.update(&piece[..length]),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Writes one protected dataset; it appears under its name when [`finished`](Self::finish), or not at all.
pub struct ProtectedWriter {
    writer: ArrowWriter<AtomicFile>,
    schema: SchemaRef,
    path: PathBuf,
    rows: u64,
}

impl ProtectedWriter {
    /// Begins a dataset with tokens of `kinds` and with the columns of `kept`.
    ///
    /// `key_metadata` is the encoded [`DatasetEnvelope`] that seals `file_key`.
    ///
    /// # Errors
    /// [`Error::ReservedColumn`], [`Error::KeptColumnType`], [`Error::Io`], [`Error::NoSpace`].
    pub fn create(
        path: &Path,
        kept: &Schema,
        kinds: &[KindName],
        file_key: &[u8; 32],
        key_metadata: Vec<u8>,
    ) -> Result<Self> {
        let schema = schema(kept, kinds)?;
        let mut properties = sealed::writer_properties(file_key, key_metadata)?
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_write_batch_size(256)
            .set_offset_index_disabled(true)
            .set_compression(Compression::ZSTD(ZstdLevel::default()));
        for kind in kinds {
            let column = ColumnPath::new(vec![token_column(kind)]);
            properties = properties.set_column_compression(column, Compression::UNCOMPRESSED);
        }
        let options = ArrowWriterOptions::new().with_properties(properties.build()).with_skip_arrow_metadata(true);
        let file = AtomicFile::create(path, Readers::Default)?;
        let writer = ArrowWriter::try_new_with_options(file, Arc::clone(&schema), options)
            .map_err(|source| Error::Internal { work: "beginning a dataset", source: source.into() })?;
        Ok(Self { writer, schema, path: path.into(), rows: 0 })
    }

    /// The columns that [`write`](Self::write) takes.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Where the dataset will be.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes some rows.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NoSpace`].
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        self.writer.write(batch).map_err(|error| write_error(&mut self.writer, error))
    }

    /// Writes the counts and makes the file appear.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NoSpace`].
    pub fn finish(mut self, counts: &DatasetCounts) -> Result<Delivered> {
        let internal = |source: serde_json::Error| Error::Internal { work: "writing counts", source: source.into() };
        let note = serde_json::to_string(counts).map_err(internal)?;
        self.writer.append_key_value_metadata(KeyValue::new(COUNTS_NOTE.to_owned(), note));
        if !counts.would_change.is_empty() {
            let by_name = |profiles: &BTreeMap<Profile, u64>| -> BTreeMap<&str, u64> {
                profiles.iter().map(|(profile, rows)| (profile.as_str(), *rows)).collect()
            };
            let note: BTreeMap<_, _> = counts.would_change.iter().map(|(kind, of)| (kind, by_name(of))).collect();
            let note = serde_json::to_string(&note).map_err(internal)?;
            self.writer.append_key_value_metadata(KeyValue::new(WOULD_CHANGE_NOTE.to_owned(), note));
        }
        let written = finish(&mut self.writer)?;
        Ok(Delivered { sha256: written.sha256, bytes: written.bytes, rows: self.rows })
    }

    #[cfg(test)]
    fn limit_space(&mut self, bytes: u64) {
        self.writer.inner_mut().space = Some(bytes);
    }
}

impl TokenSink for ProtectedWriter {
    fn schema(&self) -> &SchemaRef {
        self.schema()
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.write(batch)
    }

    fn finish(self, counts: &DatasetCounts) -> Result<Delivered> {
        self.finish(counts)
    }
}

/// Writes what is left of a file, and makes it appear.
pub(crate) fn finish(writer: &mut ArrowWriter<AtomicFile>) -> Result<Written> {
    let finished = writer.finish().map(drop).and_then(|()| Ok(writer.sync()?));
    finished.map_err(|error| write_error(writer, error))?;
    writer.inner_mut().commit()
}

/// Tells what the disk said, where it was the disk.
pub(crate) fn write_error(writer: &mut ArrowWriter<AtomicFile>, error: parquet::errors::ParquetError) -> Error {
    let failure = writer.inner_mut().take_failure();
    failure.unwrap_or_else(|| Error::Internal { work: "writing Parquet", source: error.into() })
}

pub(super) fn schema(kept: &Schema, kinds: &[KindName]) -> Result<SchemaRef> {
    let mut kinds: Vec<_> = kinds.iter().collect();
    kinds.sort();
    let mut fields = vec![Field::new(ROW_COLUMN, DataType::UInt64, false)];
    fields.extend(
        kinds.into_iter().map(|kind| Field::new(token_column(kind), DataType::FixedSizeBinary(TOKEN_BYTES), true)),
    );
    check_kept(kept)?;
    fields.extend(kept.fields().iter().map(|field| Field::new(field.name(), field.data_type().clone(), true)));
    Ok(Arc::new(Schema::new(fields)))
}

/// Refuses kept columns of a name that is used otherwise, or of a type that does not come back as it was.
pub(crate) fn check_kept(kept: &Schema) -> Result<()> {
    for field in kept.fields() {
        let column = field.name();
        if column == ROW_COLUMN || column.starts_with(TOKEN_PREFIX) || column == KEY_COLUMN {
            return Err(Error::ReservedColumn { column: column.clone() });
        }
        if !can_be_kept(field.data_type()) {
            return Err(Error::KeptColumnType { column: column.clone(), data_type: field.data_type().to_string() });
        }
    }
    Ok(())
}

/// Types that Parquet holds without help: a kept column comes back with its values, though `LargeUtf8` as `Utf8` and the like.
fn can_be_kept(data_type: &DataType) -> bool {
    use DataType as T;
    matches!(
        data_type,
        T::Boolean
            | T::Utf8
            | T::LargeUtf8
            | T::Utf8View
            | T::Binary
            | T::LargeBinary
            | T::BinaryView
            | T::Date32
            | T::Date64
            | T::Time32(_)
            | T::Time64(_)
            | T::Timestamp(_, _)
            | T::Decimal128(_, _)
    ) || data_type.is_integer()
        || data_type.is_floating()
}

/// A protected dataset that was opened with its key, its structure checked.
pub struct ProtectedFile {
    file: SealedFile,
    kinds: Vec<KindName>,
    counts: DatasetCounts,
}

impl ProtectedFile {
    /// Reads the envelope of a dataset, without any key. Nothing in it is verified yet.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NotParquet`], [`Error::NotProtected`], [`Error::Truncated`], [`Error::Corrupted`],
    /// [`Error::OverLimit`], [`Error::Unsupported`], [`Error::Envelope`].
    pub fn inspect(path: &Path, caps: &Caps) -> Result<DatasetEnvelope> {
        let tail = Tail::read(path, &sealed::open_file(path)?, caps)?;
        DatasetEnvelope::decode(&tail.key_metadata).map_err(|source| Error::Envelope { path: path.into(), source })
    }

    /// Reads what a dataset in a bucket shows without any key, of the object's ends alone. Nothing of it is authenticated.
    ///
    /// # Errors
    /// [`Error::Bucket`], [`Error::Io`] and [`Error::NoSpace`] for a temporary file, and those of [`inspect`](Self::inspect).
    pub fn inspect_in_bucket(bucket: &Bucket, key: &str, caps: &Caps) -> Result<DatasetEnvelope> {
        /// Room for the tail of nearly every dataset.
        const USUAL_TAIL_BYTES: u64 = 256 << 10;
        let inspect = |tail_bytes| {
            let failed = |source| Error::io("the temporary download", "write", source);
            let mut file = tempfile::NamedTempFile::new().map_err(failed)?;
            bucket.download_ends(key, tail_bytes, file.as_file_mut())?;
            Self::inspect(file.path(), caps)
        };
        match inspect(USUAL_TAIL_BYTES) {
            // It may only be longer.
            Err(Error::Corrupted { .. }) => inspect(caps.footer_bytes + caps.key_metadata_bytes + 8),
            other => other,
        }
    }

    /// Opens a dataset with its key.
    ///
    /// # Errors
    /// Those of [`inspect`](Self::inspect) but the last, and [`Error::WrongKey`].
    pub fn open(path: &Path, file_key: &[u8; 32], caps: &Caps) -> Result<Self> {
        let file = SealedFile::open(path, file_key, caps, false)?;
        let kinds = check_columns(path, file.schema())?;
        let note = file.note(COUNTS_NOTE).ok_or_else(|| corrupted(path, "its counts"))?;
        let mut counts: DatasetCounts = serde_json::from_str(note).map_err(|_| corrupted(path, "its counts"))?;
        let agree = counts.kinds.keys().eq(&kinds)
            && file.rows() <= counts.rows
            && kinds.iter().all(|kind| counts.valid(kind).is_some_and(|valid| valid <= file.rows()));
        if !agree {
            return Err(corrupted(path, "its counts do not agree with its rows"));
        }
        if let Some(note) = file.note(WOULD_CHANGE_NOTE) {
            counts.would_change =
                would_change(note, &counts).ok_or_else(|| corrupted(path, "its counts of profiles"))?;
        }
        Ok(Self { file, kinds, counts })
    }

    /// Where the dataset lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// How many rows are there: those with a token of at least one kind.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.file.rows()
    }

    /// The kinds it has tokens of, sorted.
    #[must_use]
    pub fn kinds(&self) -> &[KindName] {
        &self.kinds
    }

    /// What its holder counted.
    #[must_use]
    pub fn counts(&self) -> &DatasetCounts {
        &self.counts
    }

    /// All its columns: `row`, the tokens of each kind, the kept ones.
    #[must_use]
    pub fn columns(&self) -> Schema {
        self.file.schema().as_ref().clone()
    }

    /// The kept columns.
    #[must_use]
    pub fn kept(&self) -> Schema {
        let kept = self.file.schema().fields().iter().skip(1 + self.kinds.len());
        Schema::new(kept.map(Arc::clone).collect::<Vec<_>>())
    }

    /// Reads `row`, the tokens of one kind, and the kept columns, in batches.
    ///
    /// # Errors
    /// [`Error::NoSuchKind`], [`Error::Io`]; [`Error::Corrupted`] from the batches.
    pub fn batches(
        &self,
        kind: &KindName,
        batch_rows: usize,
    ) -> Result<impl Iterator<Item = Result<RecordBatch>> + Send + use<>> {
        self.read(kind, batch_rows)
    }

    /// Reads all columns, in batches.
    pub(crate) fn all(&self, batch_rows: usize) -> Result<Batches> {
        self.file.batches(|_| true, batch_rows)
    }

    /// How many bytes a row takes, on average.
    pub(crate) fn row_bytes(&self) -> u64 {
        self.file.row_bytes()
    }

    pub(crate) fn read(&self, kind: &KindName, batch_rows: usize) -> Result<Batches> {
        if !self.kinds.contains(kind) {
            let has = self.kinds.iter().map(ToString::to_string).collect();
            return Err(Error::NoSuchKind { path: self.path().into(), kind: kind.to_string(), has });
        }
        let wanted = token_column(kind);
        self.file.batches(|column| !column.starts_with(TOKEN_PREFIX) || column == wanted, batch_rows)
    }
}

/// The tokens of a column, in order, those of null rows included, whatever their bytes.
pub(crate) fn tokens_of(array: &FixedSizeBinaryArray) -> impl Iterator<Item = Token> {
    let start = array.offset() * Token::BYTES;
    let bytes = &array.value_data()[start..][..array.len() * Token::BYTES];
    bytes.as_chunks().0.iter().map(|token| Token::from_bytes(*token))
}

/// Makes a column of tokens: the given ones at their positions, null everywhere else.
pub(crate) fn token_array(length: usize, positions: &[usize], tokens: &[Token]) -> Result<FixedSizeBinaryArray> {
    let mut bytes = vec![0; length * Token::BYTES];
    let mut valid = vec![false; length];
    for (&position, token) in positions.iter().zip(tokens) {
        bytes[position * Token::BYTES..][..Token::BYTES].copy_from_slice(token.as_bytes());
        valid[position] = true;
    }
    FixedSizeBinaryArray::try_new(TOKEN_BYTES, Buffer::from_vec(bytes), Some(NullBuffer::from(valid)))
        .map_err(|source| Error::Internal { work: "making tokens", source: source.into() })
}

/// Reads the note of the rows that wider profiles would change; `None` where it is not one, or counts more rows than there are.
/// Profiles of later versions are left out.
fn would_change(note: &str, counts: &DatasetCounts) -> Option<WouldChange> {
    let noted: BTreeMap<KindName, BTreeMap<String, u64>> = serde_json::from_str(note).ok()?;
    let mut known = WouldChange::new();
    for (kind, profiles) in noted {
        let valid = counts.valid(&kind)?;
        if profiles.values().any(|rows| *rows > valid) {
            return None;
        }
        let profiles = profiles.into_iter().filter_map(|(profile, rows)| Some((profile.parse().ok()?, rows)));
        known.insert(kind, profiles.collect());
    }
    Some(known)
}

/// Checks the columns of a dataset and gives its kinds.
fn check_columns(path: &Path, schema: &Schema) -> Result<Vec<KindName>> {
    let wrong = |column: &str| corrupted(path, format!("column '{column}' is not as in a dataset"));
    let mut fields = schema.fields().iter();
    match fields.next() {
        Some(row) if row.name() == ROW_COLUMN && *row.data_type() == DataType::UInt64 && !row.is_nullable() => {}
        _ => return Err(wrong(ROW_COLUMN)),
    }
    let mut kinds: Vec<KindName> = Vec::new();
    let mut names = HashSet::from([ROW_COLUMN, KEY_COLUMN]);
    for (index, field) in fields.enumerate() {
        match field.name().strip_prefix(TOKEN_PREFIX) {
            Some(kind) => {
                let kind = kind.parse().map_err(|_| wrong(field.name()))?;
                let in_order = index == kinds.len() && kinds.last().is_none_or(|last| *last < kind);
                if !in_order || *field.data_type() != DataType::FixedSizeBinary(TOKEN_BYTES) {
                    return Err(wrong(field.name()));
                }
                kinds.push(kind);
            }
            None if !names.insert(field.name().as_str()) => return Err(wrong(field.name())),
            None => {}
        }
    }
    Ok(kinds)
}

#[cfg(test)]
mod tests;
