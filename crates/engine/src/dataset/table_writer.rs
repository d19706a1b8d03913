//! Writes a table of tokens, for a holder to load into its own warehouse: Parquet, CSV or JSON lines, by the name's end.
//!
//! Columns: `row` (the number of the row in its source, from 1), one for each identifier kind under the kind's name
//! (`FixedSizeBinary(32)` in Parquet, lower-case hex in text, null or empty where there is no valid identifier), and the kept
//! columns. Every row of the source is there, so that who reads the table counts as its holder does; of a row without any token
//! nothing is kept. The file is not encrypted, only its owner may read it, and it appears whole or not at all. What such a table
//! is for is said in [`token_table`](super::token_table).

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use datafuse_core::id::KindName;
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};

use super::column::{ByteColumn, column_as_bytes};
use super::protected::{self, DatasetCounts, Delivered};
use super::source::Format;
use crate::atomic_file::{AtomicFile, Readers};
use crate::error::{Error, Result};
use crate::tokenise::TokenSink;

/// Rows of a row group: some 8 MiB of tokens, which is what a writer holds in memory.
const ROW_GROUP_ROWS: usize = 1 << 18;

/// Writes one table; it appears under its name when finished.
pub struct TableWriter {
    output: Output,
    /// The columns as they come, and as they are in the table.
    schema: SchemaRef,
    own: SchemaRef,
    rows: u64,
}

enum Output {
    Parquet(Box<ArrowWriter<AtomicFile>>),
    Csv(Box<AtomicFile>),
    Json(Box<AtomicFile>),
}

impl TableWriter {
    /// Begins a table with tokens of `kinds` and the columns of `kept`.
    ///
    /// # Errors
    /// [`Error::TableFormat`], [`Error::ReservedColumn`], [`Error::KeptColumnType`], [`Error::DuplicateColumn`], [`Error::Io`],
    /// [`Error::NoSpace`].
    pub fn create(path: &Path, kept: &Schema, kinds: &[KindName]) -> Result<Self> {
        let format = Format::from_name(&path.to_string_lossy());
        let format = format.ok_or_else(|| Error::TableFormat { path: path.into() })?;
        let schema = protected::schema(kept, kinds)?;
        let mut kinds: Vec<_> = kinds.iter().collect();
        kinds.sort();
        if let Some(field) = kept.fields().iter().find(|field| kinds.iter().any(|kind| kind.as_str() == field.name())) {
            return Err(Error::DuplicateColumn { place: "the table".to_owned(), column: field.name().clone() });
        }
        let own = schema.fields().iter().enumerate().map(|(index, field)| {
            let kind = index.checked_sub(1).and_then(|index| kinds.get(index));
            match kind {
                Some(kind) => Arc::new(Field::new(kind.as_str(), field.data_type().clone(), true)),
                None => Arc::clone(field),
            }
        });
        let own = Arc::new(Schema::new(own.collect::<Vec<_>>()));
        let mut file = AtomicFile::create(path, Readers::Owner)?;
        let output = match format {
            Format::Parquet => Output::Parquet(Box::new(parquet_writer(file, &own)?)),
            Format::Json => Output::Json(Box::new(file)),
            Format::Csv => {
                let header = csv_record(own.fields().iter().map(|field| field.name().as_bytes()))?;
                write_text(&mut file, &header)?;
                Output::Csv(Box::new(file))
            }
        };
        Ok(Self { output, schema, own, rows: 0 })
    }
}

impl TokenSink for TableWriter {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn takes_all_rows(&self) -> bool {
        true
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        let batch = RecordBatch::try_new(Arc::clone(&self.own), batch.columns().to_vec()).map_err(internal)?;
        match &mut self.output {
            Output::Parquet(writer) => writer.write(&batch).map_err(|error| protected::write_error(writer, error)),
            Output::Csv(file) => write_text(file, &csv_rows(&batch)?.concat()),
            Output::Json(file) => write_text(file, &json_rows(&batch)?),
        }
    }

    fn finish(self, _: &DatasetCounts) -> Result<Delivered> {
        let written = match self.output {
            Output::Parquet(mut writer) => protected::finish(&mut writer)?,
            Output::Csv(mut file) | Output::Json(mut file) => file.commit()?,
        };
        Ok(Delivered { sha256: written.sha256, bytes: written.bytes, rows: self.rows })
    }
}

fn parquet_writer(file: AtomicFile, schema: &SchemaRef) -> Result<ArrowWriter<AtomicFile>> {
    let properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by(concat!("datafuse ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(64 << 20))
        .set_compression(Compression::ZSTD(ZstdLevel::default()));
    let options = ArrowWriterOptions::new().with_properties(properties.build()).with_skip_arrow_metadata(true);
    ArrowWriter::try_new_with_options(file, Arc::clone(schema), options)
        .map_err(|source| Error::Internal { work: "beginning a table", source: source.into() })
}

fn internal(source: ArrowError) -> Error {
    Error::Internal { work: "writing a table", source: source.into() }
}

fn write_text(file: &mut AtomicFile, text: &[u8]) -> Result<()> {
    file.write_all(text).map_err(|source| {
        file.take_failure().unwrap_or_else(|| Error::Internal { work: "writing a table", source: source.into() })
    })
}

/// A column on its way to text.
enum TextColumn {
    /// Bytes, as hex digits.
    Hex(ByteColumn),
    /// Text and what becomes text; of JSON's own types written without quotes.
    Text { values: ByteColumn, bare: bool },
}

impl TextColumn {
    fn of(name: &str, array: &ArrayRef) -> Result<Self> {
        use DataType as T;
        if let T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) = array.data_type() {
            return Ok(Self::Hex(column_as_bytes(name, array)?));
        }
        let bare = *array.data_type() == T::Boolean || array.data_type().is_numeric();
        let text = cast(array, &T::Utf8).map_err(internal)?;
        // Decimals are numbers, whose digits JSON's readers may round.
        let bare = bare && !matches!(array.data_type(), T::Decimal128(..));
        Ok(Self::Text { values: column_as_bytes(name, &text)?, bare })
    }

    /// The value of a row, and whether JSON may have it without quotes.
    fn value(&self, row: usize) -> Option<(Vec<u8>, bool)> {
        match self {
            Self::Hex(values) => values.value(row).map(|bytes| (hex::encode(bytes).into_bytes(), false)),
            Self::Text { values, bare } => values.value(row).map(|text| (text.to_vec(), *bare)),
        }
    }
}

fn text_columns(batch: &RecordBatch) -> Result<Vec<TextColumn>> {
    let schema = batch.schema();
    schema.fields().iter().zip(batch.columns()).map(|(field, array)| TextColumn::of(field.name(), array)).collect()
}

/// One line of CSV.
pub(crate) fn csv_record<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<Vec<u8>> {
    let failed = |source: csv::Error| Error::Internal { work: "writing a table", source: source.into() };
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(values).map_err(failed)?;
    writer.into_inner().map_err(|error| Error::Internal { work: "writing a table", source: error.to_string().into() })
}

/// The rows of a batch, each as a line of CSV.
pub(crate) fn csv_rows(batch: &RecordBatch) -> Result<Vec<Vec<u8>>> {
    let columns = text_columns(batch)?;
    let line = |row| {
        let values: Vec<_> =
            columns.iter().map(|column| column.value(row).map(|(text, _)| text).unwrap_or_default()).collect();
        csv_record(values.iter().map(Vec::as_slice))
    };
    (0..batch.num_rows()).map(line).collect()
}

fn json_rows(batch: &RecordBatch) -> Result<Vec<u8>> {
    let failed = |source: serde_json::Error| Error::Internal { work: "writing a table", source: source.into() };
    let columns = text_columns(batch)?;
    let names: Vec<_> = batch.schema().fields().iter().map(|field| serde_json::to_string(field.name())).collect();
    let names = names.into_iter().collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let mut text = Vec::new();
    for row in 0..batch.num_rows() {
        for (index, (name, column)) in names.iter().zip(&columns).enumerate() {
            text.push(if index == 0 { b'{' } else { b',' });
            text.extend_from_slice(name.as_bytes());
            text.push(b':');
            match column.value(row) {
                None => text.extend_from_slice(b"null"),
                // Numbers that JSON has no form for, such as NaN, are text.
                Some((value, true)) if serde_json::from_slice::<serde_json::Value>(&value).is_ok() => {
                    text.extend_from_slice(&value);
                }
                Some((value, _)) => {
                    let quoted = serde_json::to_string(&String::from_utf8_lossy(&value)).map_err(failed)?;
                    text.extend_from_slice(quoted.as_bytes());
                }
            }
        }
        text.extend_from_slice(b"}\n");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use arrow::array::{AsArray, FixedSizeBinaryArray, Float64Array, StringArray, UInt64Array};

    use super::*;
    use crate::dataset::{ReadOptions, token_table::TokenTable};

    fn batch(schema: &SchemaRef) -> RecordBatch {
        let tokens = [Some([0xab; 32]), None, Some([1; 32])];
        let tokens = FixedSizeBinaryArray::try_from_sparse_iter_with_size(tokens.into_iter(), 32).unwrap();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from(vec![1, 2, 4])),
            Arc::new(tokens),
            Arc::new(StringArray::from(vec![Some("a \"b\", c"), None, Some("é")])),
            Arc::new(Float64Array::from(vec![Some(1.5), None, Some(f64::NAN)])),
        ];
        RecordBatch::try_new(Arc::clone(schema), columns).unwrap()
    }

    fn kept() -> Schema {
        Schema::new(vec![Field::new("segment", DataType::Utf8, true), Field::new("amount", DataType::Float64, true)])
    }

    #[test]
    fn every_format_is_read_as_the_same_tokens_and_only_by_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let kind: KindName = "email".parse().unwrap();
        for name in ["t.parquet", "t.csv", "t.jsonl"] {
            let path = folder.path().join(name);
            let mut writer = TableWriter::create(&path, &kept(), std::slice::from_ref(&kind)).unwrap();
            writer.write(&batch(&Arc::clone(writer.schema()))).unwrap();
            assert!(!path.exists());
            let delivered = writer.finish(&DatasetCounts::default()).unwrap();
            assert_eq!(delivered.rows, 3);
            let kinds = [kind.clone()];
            let table = TokenTable::open(
                std::slice::from_ref(&path),
                "t",
                &ReadOptions::default(),
                &kinds,
                &Default::default(),
            );
            let table = table.unwrap();
            let found = table.read(&kind, 10).unwrap().next().unwrap().unwrap();
            let tokens = found.column(1).as_fixed_size_binary();
            assert_eq!((tokens.value(0), tokens.value(2)), (&[0xab; 32][..], &[1; 32][..]), "{name}");
            assert!(tokens.is_null(1), "{name}");
            assert_eq!(column_as_bytes("segment", found.column(2)).unwrap().value(2), Some("é".as_bytes()), "{name}");
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            }
        }
        let text = std::fs::read_to_string(folder.path().join("t.csv")).unwrap();
        assert!(
            text.starts_with(&format!(
                "row,email,segment,amount\n1,{},\"a \"\"b\"\", c\",1.5\n2,,,\n",
                "ab".repeat(32)
            ))
        );
        let text = std::fs::read_to_string(folder.path().join("t.jsonl")).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["segment"], "a \"b\", c");
        assert_eq!(lines[0]["amount"], 1.5);
        assert_eq!(lines[1], serde_json::json!({ "row": 2, "email": null, "segment": null, "amount": null }));
        assert_eq!(lines[2]["amount"], "NaN");
    }

    #[test]
    fn names_that_tell_no_format_and_columns_of_one_name_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let kind: KindName = "email".parse().unwrap();
        let create = |name: &str, kept: &Schema| {
            TableWriter::create(&folder.path().join(name), kept, std::slice::from_ref(&kind)).err().unwrap()
        };
        let error = create("table", &kept());
        assert!(matches!(error, Error::TableFormat { .. }) && error.remedy().unwrap().contains("--table"));
        let same = Schema::new(vec![Field::new("email", DataType::Utf8, true)]);
        assert!(matches!(create("t.csv", &same), Error::DuplicateColumn { .. }));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
