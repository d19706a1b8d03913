//! Parquet files under Modular Encryption (apache/parquet-format, `Encryption.md`), written plainly and opened defensively.
//!
//! Protected datasets come from another party, perhaps a hostile one, and fused files may be damaged. The Parquet library
//! authenticates every module, but it trusts the framing around them, and a file that is properly encrypted may still
//! declare anything. So what reaches the library has been checked by this module's own small reader:
//!
//! - the tail, and the crypto metadata, which hold the key metadata in clear ([`Tail`]);
//! - the footer, decrypted here: counts and lengths that fit, flat columns, all encrypted with the footer key;
//! - every page, while it is read ([`pages`]): frame, header, size within [`Caps`], and content that is as it should be.
//!
//! Accepted is what this program writes: AES-GCM with a 32-byte footer key, encrypted footer, no AAD prefix, data pages V1,
//! PLAIN values, no dictionaries, plain or Zstandard.

mod content;
mod pages;
mod tail;
pub(crate) mod thrift;

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{ParquetRecordBatchReader, RowGroups},
        parquet_to_arrow_field_levels, parquet_to_arrow_schema,
    },
    basic::{Compression, Repetition, Type as PhysicalType},
    column::page::PageIterator,
    encryption::{decrypt::FileDecryptionProperties, encrypt::FileEncryptionProperties},
    file::{
        column_crypto_metadata::ColumnCryptoMetaData,
        metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData},
        properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion},
    },
};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::error::{Error, Result};
use pages::{ColumnOfFile, ColumnPages};
pub(crate) use tail::Tail;

/// Every encrypted module is `length (4, little-endian) nonce (12) ciphertext tag (16)`; the length counts what follows it.
const LENGTH_BYTES: usize = 4;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const FRAME_BYTES: usize = LENGTH_BYTES + NONCE_BYTES + TAG_BYTES;

/// Module types of the additional authenticated data.
const FOOTER_MODULE: u8 = 0;
const DATA_PAGE_MODULE: u8 = 2;
const DATA_PAGE_HEADER_MODULE: u8 = 4;

/// How much a file may make its reader spend.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Caps {
    /// Bytes of the encrypted footer.
    pub footer_bytes: u64,
    /// Bytes of the key metadata.
    pub key_metadata_bytes: u64,
    /// Columns.
    pub columns: u64,
    /// Rows of one row group.
    pub row_group_rows: u64,
    /// Bytes of one page, encrypted or decompressed.
    pub page_bytes: u64,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            footer_bytes: 16 << 20,
            key_metadata_bytes: 64 << 10,
            columns: 256,
            row_group_rows: 4 << 20,
            page_bytes: 64 << 20,
        }
    }
}

/// Writer properties that every encrypted file of this program shares: page format V1 (so that other readers can open it),
/// nothing of the values in the metadata, the key metadata in clear.
pub(crate) fn writer_properties(key: &[u8; 32], key_metadata: Vec<u8>) -> Result<WriterPropertiesBuilder> {
    let encryption = FileEncryptionProperties::builder(key.to_vec())
        .with_footer_key_metadata(key_metadata)
        .build()
        .map_err(|source| Error::Internal { work: "preparing encryption", source: source.into() })?;
    Ok(WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by(concat!("datafuse ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_max_row_group_bytes(Some(64 << 20))
        .with_file_encryption_properties(encryption))
}

/// An encrypted file whose footer has been checked, ready to be read.
pub(crate) struct SealedFile {
    opened: Arc<Opened>,
    schema: SchemaRef,
}

/// What the readers of a file share.
struct Opened {
    path: PathBuf,
    key: ModuleKey,
    metadata: ParquetMetaData,
    caps: Caps,
    /// What went wrong in a page: the Parquet library passes on no errors but its own.
    failure: Mutex<Option<Error>>,
}

impl Opened {
    fn path(&self) -> &Path {
        &self.path
    }

    fn keep_failure(&self, error: Error) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    fn take_failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl SealedFile {
    /// Opens a file with its key and checks its footer. With `page_index`, the index of pages that its writer made is read.
    ///
    /// # Errors
    /// Those of [`Tail::read`], and [`Error::WrongKey`].
    pub(crate) fn open(path: &Path, key: &[u8; 32], caps: &Caps, page_index: bool) -> Result<Self> {
        let file = open_file(path)?;
        let tail = Tail::read(path, &file, caps)?;
        let module_key = ModuleKey::new(key, tail.file_unique.clone())?;
        check_footer(path, &tail, &module_key, caps)?;

        let decryption = FileDecryptionProperties::builder(key.to_vec())
            .build()
            .map_err(|source| Error::Internal { work: "preparing decryption", source: source.into() })?;
        let mut reader = ParquetMetaDataReader::new()
            .with_decryption_properties(Some(decryption))
            .with_page_index_policy(PageIndexPolicy::Skip);
        let mut metadata = reader
            .try_parse_sized(&tail.bytes, tail.file_bytes)
            .and_then(|()| reader.finish())
            .map_err(|_| corrupted(path, "its footer"))?;
        check_metadata(path, &metadata, caps)?;
        if page_index {
            check_index_frames(path, &file, &metadata)?;
            let mut reader =
                ParquetMetaDataReader::new_with_metadata(metadata).with_page_index_policy(PageIndexPolicy::Required);
            reader.read_page_indexes(&file).map_err(|_| corrupted(path, "its page index"))?;
            metadata = reader.finish().map_err(|_| corrupted(path, "its page index"))?;
        }
        // Types come from Parquet's own schema: an Arrow schema inside a file of another party is not looked at.
        let schema = parquet_to_arrow_schema(metadata.file_metadata().schema_descr(), None)
            .map_err(|_| corrupted(path, "its schema"))?;
        let opened =
            Opened { path: path.into(), key: module_key, metadata, caps: caps.clone(), failure: Mutex::new(None) };
        Ok(Self { opened: Arc::new(opened), schema: Arc::new(schema) })
    }

    /// Where the file lies.
    pub(crate) fn path(&self) -> &Path {
        self.opened.path()
    }

    /// The columns.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// What the Parquet library knows of the file.
    pub(crate) fn metadata(&self) -> &ParquetMetaData {
        &self.opened.metadata
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> u64 {
        self.metadata().file_metadata().num_rows().unsigned_abs()
    }

    /// How many bytes a row takes, on average.
    pub(crate) fn row_bytes(&self) -> u64 {
        let chunks = self.metadata().row_groups().iter().flat_map(RowGroupMetaData::columns);
        let bytes = chunks.map(|chunk| chunk.uncompressed_size().unsigned_abs()).fold(0, u64::saturating_add);
        bytes.checked_div(self.rows()).unwrap_or(0)
    }

    /// The value of a key in the footer's own metadata.
    pub(crate) fn note(&self, key: &str) -> Option<&str> {
        let notes = self.metadata().file_metadata().key_value_metadata()?;
        notes.iter().find(|note| note.key == key)?.value.as_deref()
    }

    /// Reads some columns of all rows in batches. The columns come in the file's order.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Corrupted`], [`Error::OverLimit`], [`Error::Unsupported`], now or from the batches.
    pub(crate) fn batches(&self, columns: impl Fn(&str) -> bool, batch_rows: usize) -> Result<Batches> {
        let failed = || self.opened.take_failure().unwrap_or_else(|| corrupted(self.path(), "its pages"));
        let schema = self.metadata().file_metadata().schema_descr();
        let roots = (0..schema.num_columns()).filter(|index| columns(schema.column(*index).name()));
        let mask = ProjectionMask::leaves(schema, roots);
        let levels = parquet_to_arrow_field_levels(schema, mask, None).map_err(|_| failed())?;
        let all = AllRows(Arc::clone(&self.opened));
        let reader =
            ParquetRecordBatchReader::try_new_with_row_groups(&levels, &all, batch_rows, None).map_err(|_| failed())?;
        Ok(Batches { opened: Arc::clone(&self.opened), reader, rows: self.rows(), done: false })
    }

    /// Reads consecutive pages of a column without nulls, the first of which has the given number and offset in its row
    /// group: calls `each` with the plain values of one page after the other until it has had `pages` of them.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Corrupted`].
    pub(crate) fn plain_pages(
        &self,
        column: usize,
        row_group: usize,
        first: (usize, u64),
        pages: usize,
        mut each: impl FnMut(&[u8]),
    ) -> Result<()> {
        let file = Arc::new(open_file(self.path())?);
        let mut reader =
            ColumnPages::new(Arc::clone(&self.opened), file, row_group, column)?.starting_at(first.0, first.1)?;
        for _ in 0..pages {
            let page = reader.read()?.ok_or_else(|| corrupted(self.path(), "its page index"))?;
            each(&page.content);
        }
        Ok(())
    }
}

/// All row groups of a file, as the Parquet library asks for them.
struct AllRows(Arc<Opened>);

impl RowGroups for AllRows {
    fn num_rows(&self) -> usize {
        self.0.metadata.file_metadata().num_rows().unsigned_abs() as usize
    }

    fn column_chunks(&self, column: usize) -> parquet::errors::Result<Box<dyn PageIterator>> {
        Ok(Box::new(ColumnOfFile::new(Arc::clone(&self.0), column)))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(self.0.metadata.row_groups().iter())
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.0.metadata
    }
}

/// Batches of a [`SealedFile`].
pub(crate) struct Batches {
    opened: Arc<Opened>,
    reader: ParquetRecordBatchReader,
    /// Rows that are still to come.
    rows: u64,
    done: bool,
}

impl Iterator for Batches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let failed = |part| Err(corrupted(self.opened.path(), part));
        let batch = match self.reader.next() {
            Some(Ok(batch)) => {
                self.rows = self.rows.saturating_sub(batch.num_rows() as u64);
                return Some(Ok(batch));
            }
            Some(Err(_)) => self.opened.take_failure().map_or_else(|| failed("a page of it"), Err),
            None if self.rows > 0 => failed("its number of rows"),
            None => return None,
        };
        self.done = true;
        Some(batch)
    }
}

/// Opens modules of one file: AES-256-GCM, with what the module is as additional authenticated data.
struct ModuleKey {
    key: LessSafeKey,
    file_unique: Vec<u8>,
}

impl ModuleKey {
    fn new(key: &[u8; 32], file_unique: Vec<u8>) -> Result<Self> {
        let key = UnboundKey::new(&AES_256_GCM, key)
            .map_err(|source| Error::Internal { work: "preparing decryption", source: source.into() })?;
        Ok(Self { key: LessSafeKey::new(key), file_unique })
    }

    /// Decrypts a module in place; `None` where it does not authenticate. `place` is type and ordinals (Encryption.md, 4.4.2).
    fn open<'b>(&self, module: &'b mut [u8], place: &[u8]) -> Option<&'b [u8]> {
        if !is_module(module) {
            return None;
        }
        let (nonce, sealed) = module[LENGTH_BYTES..].split_at_mut(NONCE_BYTES);
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let aad = Aad::from([&self.file_unique, place].concat());
        self.key.open_in_place(nonce, aad, sealed).ok().map(|opened| &*opened)
    }
}

/// Decrypts the footer and walks it before the Parquet library parses it.
fn check_footer(path: &Path, tail: &Tail, key: &ModuleKey, caps: &Caps) -> Result<()> {
    let mut footer = tail.bytes[tail.footer.clone()].to_vec();
    let footer = key.open(&mut footer, &[FOOTER_MODULE]).ok_or_else(|| Error::WrongKey { path: path.into() })?;
    let counts = thrift::check_footer(footer).map_err(|_| corrupted(path, "its footer"))?;
    limit(path, "its number of columns", counts.schema_elements as u64, caps.columns + 1)?;
    limit(path, "its number of row groups", counts.row_groups as u64, i16::MAX as u64)
}

/// Flat columns of plain types, all encrypted under the footer key, plain or Zstandard, in row groups of bounded size.
fn check_metadata(path: &Path, metadata: &ParquetMetaData, caps: &Caps) -> Result<()> {
    let unsupported = |column: String, what: &str| {
        Err(Error::Unsupported { path: path.into(), what: format!("column '{column}' {what}") })
    };
    let schema = metadata.file_metadata().schema_descr();
    limit(path, "its number of columns", schema.num_columns() as u64, caps.columns)?;
    for column in schema.columns() {
        let repeated = column.self_type().get_basic_info().repetition() == Repetition::REPEATED;
        if column.path().parts().len() != 1 || repeated || column.physical_type() == PhysicalType::INT96 {
            return unsupported(column.path().string(), "is not of a plain type");
        }
    }
    let mut rows = 0_u64;
    for (index, group) in metadata.row_groups().iter().enumerate() {
        let group_rows = u64::try_from(group.num_rows()).map_err(|_| corrupted(path, "its row groups"))?;
        limit(path, "the number of rows of a row group", group_rows, caps.row_group_rows)?;
        rows += group_rows;
        if group.ordinal().is_some_and(|ordinal| usize::try_from(ordinal) != Ok(index)) {
            return Err(corrupted(path, "its row groups"));
        }
        for column in group.columns() {
            let name = || column.column_path().string();
            if column.file_path().is_some()
                || column.crypto_metadata() != Some(&ColumnCryptoMetaData::ENCRYPTION_WITH_FOOTER_KEY)
            {
                return unsupported(name(), "is not encrypted with the file's key");
            }
            if column.dictionary_page_offset().is_some() {
                return unsupported(name(), "has a dictionary");
            }
            if !matches!(column.compression(), Compression::UNCOMPRESSED | Compression::ZSTD(_)) {
                return unsupported(name(), "is compressed in a way that datasets do not use");
            }
        }
    }
    if u64::try_from(metadata.file_metadata().num_rows()) != Ok(rows) {
        return Err(corrupted(path, "its number of rows"));
    }
    Ok(())
}

/// Checks that each entry of the page index lies within the file and is framed as one module.
fn check_index_frames(path: &Path, file: &File, metadata: &ParquetMetaData) -> Result<()> {
    let damaged = || corrupted(path, "its page index");
    for column in metadata.row_groups().iter().flat_map(RowGroupMetaData::columns) {
        let entries = [
            (column.column_index_offset(), column.column_index_length()),
            (column.offset_index_offset(), column.offset_index_length()),
        ];
        for entry in entries {
            let (offset, length) = match entry {
                (Some(offset), Some(length)) => (offset, length),
                (None, None) => continue,
                _ => return Err(damaged()),
            };
            let offset = u64::try_from(offset).map_err(|_| damaged())?;
            let mut frame = [0; LENGTH_BYTES];
            read_at(path, file, offset, &mut frame)?;
            let whole = LENGTH_BYTES + u32::from_le_bytes(frame) as usize;
            if whole < FRAME_BYTES || usize::try_from(length) != Ok(whole) {
                return Err(damaged());
            }
        }
    }
    Ok(())
}

/// Whether bytes are one whole encrypted module.
fn is_module(bytes: &[u8]) -> bool {
    bytes.len() >= FRAME_BYTES
        && u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize == bytes.len() - LENGTH_BYTES
}

pub(crate) fn open_file(path: &Path) -> Result<File> {
    File::open(path).map_err(|source| Error::io(path, "read", source))
}

fn read_at(path: &Path, mut file: &File, start: u64, bytes: &mut [u8]) -> Result<()> {
    file.seek(SeekFrom::Start(start)).and_then(|_| file.read_exact(bytes)).map_err(|source| match source.kind() {
        io::ErrorKind::UnexpectedEof => Error::Truncated { path: path.into() },
        _ => Error::io(path, "read", source),
    })
}

pub(crate) fn corrupted(path: &Path, part: impl Into<String>) -> Error {
    Error::Corrupted { path: path.into(), part: part.into() }
}

fn limit(path: &Path, what: &'static str, found: u64, limit: u64) -> Result<()> {
    if found > limit { Err(Error::OverLimit { path: path.into(), what, found, limit }) } else { Ok(()) }
}
