//! Parquet in: the wanted columns of a file, in their own types.
//!
//! In: a local Parquet file, plain or encrypted under one key ([`encryption`] tells which, [`modules`] decrypts pages as they
//! are read). Out: [`SourceBatch`]es; only the projected columns are read and decoded.
//!
//! The file may come from a stranger, so what it claims is held against limits before memory is spent on it: the size
//! of the footer, the number of columns and row groups, and how far its chunks and its values expand. A text column is
//! decoded to views first, in which a large repeated value takes its space once, and only then copied to its own type.
//! Should the decoder panic, it ends as [`Error::MalformedSource`]. One page of a plain file may still claim up to 2 GiB.
//!
//! Protected datasets, whose key is sealed in the file, are read elsewhere.

pub(super) mod encryption;
mod modules;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::ChunkReader;

use self::encryption::OpenedFooter;
use self::modules::SealedPages;
use super::header::project;
use super::reader::{MAX_COLUMNS, RowReader};
use super::source::{Format, ReadOptions, SourceBatch};
use crate::error::{Error, Result};

const MAX_FOOTER_BYTES: u64 = 64 << 20;
const MAX_ROW_GROUPS: usize = 100_000;
/// How far a column chunk may expand, and from which size on this matters.
const MAX_EXPANSION: u64 = 2_000;
const EXPANSION_MATTERS_BYTES: u64 = 256 << 20;
/// The most bytes that the values of one text column may take in one batch.
const MAX_VALUES_BYTES: u64 = 512 << 20;

/// Reads one Parquet file.
pub(super) struct ParquetReader {
    place: String,
    batches: ParquetRecordBatchReader,
    /// The file's pages, where they are encrypted.
    pages: Option<SealedPages>,
    available: Vec<String>,
    schema: SchemaRef,
    /// Where each column of `schema` is in the decoded batches, which keep the file's order.
    order: Vec<usize>,
    total_rows: u64,
    rows_read: u64,
    file_bytes: u64,
}

impl ParquetReader {
    /// Reads the footer and finds the columns.
    ///
    /// # Errors
    ///
    /// [`Error::EmptySource`], [`Error::WrongFormat`], [`Error::EncryptedParquet`], [`Error::MalformedSource`],
    /// [`Error::DecodeParquet`], [`Error::Io`], and those of `project`.
    pub(super) fn open(mut file: File, place: &str, options: &ReadOptions, wanted: Option<&[String]>) -> Result<Self> {
        let decode_error = |source| Error::DecodeParquet { place: place.to_owned(), source };
        let footer = check_file(&mut file, place)?;
        let file_bytes = footer.file_bytes;
        let own = file.try_clone().map_err(|source| Error::io(place, "read", source))?;
        let opened = encryption::open(own, &footer, options.parquet_key.as_ref(), place)?;
        let (metadata, pages) = match opened {
            Some(OpenedFooter { metadata, pages }) => {
                let metadata = Arc::new(metadata);
                (guarded(place, || ArrowReaderMetadata::try_new(metadata, ArrowReaderOptions::new()))?, pages)
            }
            None => (guarded(place, || ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()))?, None),
        };
        let metadata = metadata.map_err(decode_error)?;
        check_metadata(metadata.metadata(), place)?;

        let total_rows = metadata.metadata().row_groups().iter();
        let total_rows = total_rows.fold(0_u64, |sum, group| sum.saturating_add(group.num_rows().unsigned_abs()));
        let own_schema = metadata.schema().clone();
        let available: Vec<String> = own_schema.fields().iter().map(|field| field.name().clone()).collect();
        let projection = project(place, &available, wanted, false)?;
        let mut in_file_order = projection.clone();
        in_file_order.sort_unstable();
        let order = projection.iter().filter_map(|index| in_file_order.binary_search(index).ok()).collect();

        let views = ArrowReaderOptions::new().with_schema(with_views(&own_schema));
        let plain = metadata.metadata().clone();
        let metadata = guarded(place, || ArrowReaderMetadata::try_new(plain, views))?.map_err(decode_error)?;
        let rows = options.batch_rows;
        let batches = guarded(place, || match pages.clone() {
            Some(pages) => batches(pages, metadata, in_file_order, rows),
            None => batches(file, metadata, in_file_order, rows),
        })?
        .map_err(decode_error)?;

        // Another file of the same pattern may have nulls where this one has none.
        let field = |&index: &usize| own_schema.field(index).clone().with_nullable(true);
        let fields: Vec<Field> = projection.iter().map(field).collect();
        Ok(ParquetReader {
            place: place.to_owned(),
            total_rows,
            batches,
            pages,
            available,
            schema: SchemaRef::new(Schema::new(fields)),
            order,
            rows_read: 0,
            file_bytes,
        })
    }

    /// Puts the columns into the order they were asked for and the types they have in the file.
    fn arrange(&self, decoded: &RecordBatch) -> Result<RecordBatch> {
        let failed = |source| Error::DecodeColumns { place: self.place.clone(), source };
        let mut columns = Vec::with_capacity(self.order.len());
        for (field, &index) in self.schema.fields().iter().zip(&self.order) {
            let column = decoded.column(index);
            if column.data_type() == field.data_type() {
                columns.push(column.clone());
                continue;
            }
            if values_bytes(column) > MAX_VALUES_BYTES {
                return Err(Error::MalformedSource {
                    place: self.place.clone(),
                    reason: "the values of one batch take more than 512 MiB",
                });
            }
            columns.push(arrow::compute::cast(column, field.data_type()).map_err(failed)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(decoded.num_rows()));
        RecordBatch::try_new_with_options(self.schema.clone(), columns, &options).map_err(failed)
    }
}

impl RowReader for ParquetReader {
    fn available(&self) -> &[String] {
        &self.available
    }

    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn next_batch(&mut self, rows_before: u64) -> Result<Option<SourceBatch>> {
        let batches = &mut self.batches;
        let decoded = guarded(&self.place, || batches.next());
        // What was wrong with an encrypted page says more than what the decoder made of it.
        if let Some(failure) = self.pages.as_ref().and_then(SealedPages::take_failure) {
            return Err(failure);
        }
        let Some(decoded) = decoded? else {
            return Ok(None);
        };
        let decoded = decoded.map_err(|source| Error::DecodeColumns { place: self.place.clone(), source })?;
        let batch = guarded(&self.place, || self.arrange(&decoded))??;
        let rows = batch.num_rows() as u64;
        self.rows_read += rows;
        Ok(Some(SourceBatch { rows: (rows_before + 1..=rows_before + rows).collect(), batch, rejected: Vec::new() }))
    }

    fn pages_are_bound(&self) -> bool {
        self.pages.as_ref().is_none_or(SealedPages::are_bound)
    }

    fn bytes_read(&self) -> u64 {
        // The decoder reads columns here and there; rows are the measure of its progress.
        let share = u128::from(self.rows_read.min(self.total_rows)) * u128::from(self.file_bytes);
        share.checked_div(u128::from(self.total_rows)).and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0)
    }
}

/// Prepares to read some columns, given in the file's order.
fn batches(
    input: impl ChunkReader + 'static,
    metadata: ArrowReaderMetadata,
    columns: Vec<usize>,
    batch_rows: usize,
) -> parquet::errors::Result<ParquetRecordBatchReader> {
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(input, metadata);
    let mask = ProjectionMask::roots(builder.parquet_schema(), columns);
    builder.with_projection(mask).with_batch_size(batch_rows).build()
}

/// Runs the decoder; a panic of its becomes an error.
fn guarded<T>(place: &str, decode: impl FnOnce() -> T) -> Result<T> {
    // After a panic the decoder is dropped, so that no broken state of it is ever seen.
    catch_unwind(AssertUnwindSafe(decode))
        .map_err(|_| Error::MalformedSource { place: place.to_owned(), reason: "the decoder gave up on it" })
}

/// What the end of a file tells of its footer.
struct Footer {
    file_bytes: u64,
    /// The length of the footer, and of what stands before it where it is encrypted.
    bytes: u64,
    /// Whether it is encrypted.
    sealed: bool,
}

/// Checks the first and last bytes and the footer's size.
fn check_file(file: &mut File, place: &str) -> Result<Footer> {
    let failed = |source| Error::io(place, "read", source);
    let not_parquet = |found, remedy| {
        Err(Error::WrongFormat { place: place.to_owned(), expected: Format::Parquet.as_str(), found, remedy })
    };
    let file_bytes = file.seek(SeekFrom::End(0)).map_err(failed)?;
    if file_bytes == 0 {
        return Err(Error::EmptySource { place: place.to_owned() });
    }
    if file_bytes < 12 {
        return not_parquet("too short", "check that the file is complete");
    }
    let (mut head, mut tail) = ([0; 4], [0; 8]);
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    file.read_exact(&mut head).map_err(failed)?;
    file.seek(SeekFrom::End(-8)).map_err(failed)?;
    file.read_exact(&mut tail).map_err(failed)?;
    let [l0, l1, l2, l3, end_magic @ ..] = tail;
    let sealed = match (&head, &end_magic) {
        (b"PAR1", b"PAR1") => false,
        (b"PAR1" | b"PARE", b"PARE") => true,
        (b"PAR1" | b"PARE", _) => return not_parquet("cut off at its end", "copy or download the file again"),
        _ => return not_parquet("something else", "--format csv or --format json"),
    };
    let footer_bytes = u64::from(u32::from_le_bytes([l0, l1, l2, l3]));
    if footer_bytes > file_bytes - 8 {
        return Err(Error::MalformedSource { place: place.to_owned(), reason: "the footer is longer than the file" });
    }
    if footer_bytes > MAX_FOOTER_BYTES {
        return Err(Error::MalformedSource { place: place.to_owned(), reason: "the footer is longer than 64 MiB" });
    }
    Ok(Footer { file_bytes, bytes: footer_bytes, sealed })
}

fn check_metadata(metadata: &ParquetMetaData, place: &str) -> Result<()> {
    let malformed = |reason| Err(Error::MalformedSource { place: place.to_owned(), reason });
    if metadata.file_metadata().schema_descr().num_columns() > MAX_COLUMNS {
        return Err(Error::TooManyColumns { place: place.to_owned(), limit: MAX_COLUMNS });
    }
    if metadata.num_row_groups() > MAX_ROW_GROUPS {
        return malformed("it has more than 100000 row groups");
    }
    for row_group in metadata.row_groups() {
        if row_group.num_rows() < 0 {
            return malformed("a row group has a negative number of rows");
        }
        for column in row_group.columns() {
            let (Ok(compressed), Ok(uncompressed)) =
                (u64::try_from(column.compressed_size()), u64::try_from(column.uncompressed_size()))
            else {
                return malformed("a column has a negative size");
            };
            if uncompressed > EXPANSION_MATTERS_BYTES && uncompressed / MAX_EXPANSION > compressed {
                return malformed("a column expands more than 2000 times");
            }
        }
    }
    Ok(())
}

/// The schema with views in place of top-level text and binary columns.
fn with_views(schema: &Schema) -> SchemaRef {
    let field = |field: &Field| match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 => field.clone().with_data_type(DataType::Utf8View),
        DataType::Binary | DataType::LargeBinary => field.clone().with_data_type(DataType::BinaryView),
        _ => field.clone(),
    };
    let fields: Vec<Field> = schema.fields().iter().map(|one| field(one)).collect();
    SchemaRef::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// How many bytes the values of a view column take when each is copied.
fn values_bytes(column: &ArrayRef) -> u64 {
    // The length of a value is in the low 32 bits of its view.
    let length = |view: &u128| u64::from(*view as u32);
    match column.data_type() {
        DataType::Utf8View => column.as_string_view().views().iter().map(length).sum(),
        DataType::BinaryView => column.as_binary_view().views().iter().map(length).sum(),
        _ => 0,
    }
}
