//! Parquet files as the attacker reads them: with any key that it has, through the Parquet library alone.

use std::sync::{Arc, Mutex};

use arrow::{
    array::{Array, AsArray},
    datatypes::DataType,
    util::display::array_value_to_string,
};
use bytes::Bytes;
use parquet::{
    arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
    encryption::decrypt::{FileDecryptionProperties, KeyRetriever},
    errors::ParquetError,
};

/// How an encrypted file begins and ends, and how one in clear does.
const MAGIC: [&[u8]; 2] = [b"PARE", b"PAR1"];

/// An opened file.
pub(crate) struct Opened {
    /// The columns of tokens and match keys.
    pub(crate) columns: Vec<Column>,
    /// Rows with kept columns that can be read.
    pub(crate) kept_rows: u64,
    /// All kept values, a line each.
    pub(crate) kept: Vec<u8>,
    /// What the footer notes: texts of its key-value metadata.
    pub(crate) notes: Vec<String>,
}

/// A column of tokens (32 bytes) or match keys (16).
pub(crate) struct Column {
    /// The identifier kind, where the column's name tells it.
    pub(crate) kind: Option<String>,
    pub(crate) values: Vec<Vec<u8>>,
}

pub(crate) fn is_parquet(bytes: &[u8]) -> bool {
    MAGIC.iter().any(|magic| bytes.len() > 12 && bytes.starts_with(magic) && bytes.ends_with(magic))
}

/// Reads the key metadata of an encrypted file, which is in clear.
pub(crate) fn key_metadata(bytes: &Bytes) -> Option<Vec<u8>> {
    /// Is asked for the key, with the metadata, and has none.
    struct Listener(Mutex<Option<Vec<u8>>>);
    impl KeyRetriever for Listener {
        fn retrieve_key(&self, key_metadata: &[u8]) -> parquet::errors::Result<Vec<u8>> {
            if let Ok(mut heard) = self.0.lock() {
                *heard = Some(key_metadata.to_vec());
            }
            Err(ParquetError::General("no key".to_owned()))
        }
    }
    let listener = Arc::new(Listener(Mutex::new(None)));
    let properties = FileDecryptionProperties::with_key_retriever(Arc::clone(&listener) as _).build().ok()?;
    let options = ArrowReaderOptions::new().with_file_decryption_properties(properties);
    // It fails for want of the key.
    drop(ParquetRecordBatchReaderBuilder::try_new_with_options(bytes.clone(), options));
    listener.0.lock().ok()?.take()
}

/// Opens a file: with a key, or one in clear without.
pub(crate) fn open(bytes: &Bytes, key: Option<&[u8; 32]>) -> Option<Opened> {
    let mut options = ArrowReaderOptions::new();
    if let Some(key) = key {
        options =
            options.with_file_decryption_properties(FileDecryptionProperties::builder(key.to_vec()).build().ok()?);
    }
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes.clone(), options).ok()?;
    let notes = builder.metadata().file_metadata().key_value_metadata().into_iter().flatten();
    let notes = notes.filter_map(|note| note.value.clone()).collect();
    let schema = Arc::clone(builder.schema());
    let is_key = |data_type: &DataType| matches!(data_type, DataType::FixedSizeBinary(16 | 32));
    let is_row = |name: &str| name == "row";
    let columns = schema
        .fields()
        .iter()
        .filter(|field| is_key(field.data_type()))
        .map(|field| Column { kind: field.name().strip_prefix("token_").map(str::to_owned), values: Vec::new() });
    let mut opened = Opened { columns: columns.collect(), kept_rows: 0, kept: Vec::new(), notes };
    for batch in builder.build().ok()? {
        let batch = batch.ok()?;
        let mut keys = opened.columns.iter_mut();
        let mut keeps = false;
        for (field, array) in schema.fields().iter().zip(batch.columns()) {
            if is_key(field.data_type()) {
                let (values, column) = (array.as_fixed_size_binary(), keys.next()?);
                let present = (0..values.len()).filter(|&row| !values.is_null(row));
                column.values.extend(present.map(|row| values.value(row).to_vec()));
            } else if !is_row(field.name()) {
                keeps = true;
                for row in 0..array.len() {
                    opened.kept.extend(array_value_to_string(array, row).ok()?.into_bytes());
                    opened.kept.push(b'\n');
                }
            }
        }
        opened.kept_rows += if keeps { batch.num_rows() as u64 } else { 0 };
    }
    Some(opened)
}
