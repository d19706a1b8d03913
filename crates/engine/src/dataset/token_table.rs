//! Tables of tokens: what a data holder may deliver, where its space allows that, in the place of a protected dataset.
//!
//! Any tool may have written them, as CSV, JSON or Parquet (plain, or encrypted under one AES key), in one file or several. A
//! column per identifier kind holds the tokens: 32 bytes (`FixedSizeBinary(32)` or binary), or in text 64 lower-case hex digits;
//! null and the empty value are rows without an identifier. All other columns are kept, but for one named `row`: rows are
//! numbered as they come.
//!
//! Nothing in such a table says whose it is, of which version, and under which token key: whoever reads one has to be told, and
//! believes it. Whether a token is a group element is found when it is fused.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray, RecordBatch, UInt64Array};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafuse_core::{id::KindName, token::Token};
use sha2::{Digest, Sha256};

use super::column::column_as_bytes;
use super::protected::{self, ROW_COLUMN, check_kept, token_column};
use super::reader::SourceReader;
use super::source::{ReadOptions, SourceBatch, SourceWarning};
use crate::error::{Error, Result};
use crate::tokenise::check_lengths;

/// The most columns of a table: fused files take no more.
pub const MAX_TABLE_COLUMNS: usize = 250;
/// How many rows are looked at to tell how large a row is.
const PEEKED_ROWS: usize = 256;

/// What is wrong with a table of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenTableProblem {
    /// A value that is no token by its form.
    NotAToken,
    /// A column of a type that holds no tokens.
    NotATokenColumn,
    /// A row that cannot be read.
    UnreadableRow,
    /// No column of tokens is there.
    NoTokenColumn,
}

impl TokenTableProblem {
    /// Says what to do about it.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::NotAToken | Self::NotATokenColumn => {
                "have its holder make the table anew (datafuse protect FILE --table OUT), and keep its values as they are"
            }
            Self::UnreadableRow => "have its holder write the table again; Parquet has no rows that cannot be read",
            Self::NoTokenColumn => "name the columns in the agreement: table: { columns: { KIND: COLUMN } }",
        }
    }
}

impl std::fmt::Display for TokenTableProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotAToken => "the value is neither 32 bytes nor 64 lower-case hex digits",
            Self::NotATokenColumn => "its type holds no tokens (32 bytes, or 64 lower-case hex digits in text)",
            Self::UnreadableRow => "the row cannot be read",
            Self::NoTokenColumn => "it has no column of tokens",
        })
    }
}

/// A table of tokens, its columns known.
#[derive(Debug)]
pub struct TokenTable {
    files: Vec<PathBuf>,
    options: ReadOptions,
    place: String,
    /// For each kind that the table brings, its column.
    columns: BTreeMap<KindName, String>,
    kept: Schema,
    rows: u64,
    row_bytes: u64,
    warnings: Vec<SourceWarning>,
}

impl TokenTable {
    /// Opens a table that lies in files of the same columns, read as one in their order. `place` names it in errors.
    ///
    /// `columns` says in which column each of the `kinds` is; one that it does not say of is in a column of its own name, or not
    /// in this table.
    ///
    /// # Errors
    /// Those of [`SourceReader`]; [`Error::TokenTable`]; [`Error::ColumnNotFound`], [`Error::TooManyColumns`],
    /// [`Error::ReservedColumn`], [`Error::KeptColumnType`].
    pub fn open(
        files: &[PathBuf],
        place: &str,
        options: &ReadOptions,
        kinds: &[KindName],
        columns: &BTreeMap<KindName, String>,
    ) -> Result<Self> {
        let peek = ReadOptions { batch_rows: PEEKED_ROWS, ..options.clone() };
        let mut reader = SourceReader::open_all(files, &peek, None)?;
        let available = reader.available_columns().to_vec();
        let mut found = BTreeMap::new();
        for kind in kinds {
            let named = columns.get(kind);
            let column = named.map_or(kind.as_str(), String::as_str);
            if available.iter().any(|name| name == column) {
                found.insert(kind.clone(), column.to_owned());
            } else if named.is_some() {
                return Err(Error::ColumnNotFound {
                    place: place.to_owned(),
                    column: column.to_owned(),
                    available: available.join(", "),
                    remedy: format!("table: {{ columns: {{ {kind}: COLUMN }} }} with one of the columns that it has"),
                    similar: None,
                });
            }
        }
        if found.is_empty() {
            return Err(trouble(place, None, None, TokenTableProblem::NoTokenColumn));
        }
        if available.len() > MAX_TABLE_COLUMNS {
            return Err(Error::TooManyColumns { place: place.to_owned(), limit: MAX_TABLE_COLUMNS });
        }
        let kept = kept_columns(&reader.schema(), &found)?;
        let row_bytes = match reader.next().transpose()? {
            Some(batch) if batch.batch.num_rows() > 0 => {
                let bytes: usize = batch.batch.columns().iter().map(|column| column.get_array_memory_size()).sum();
                (bytes / batch.batch.num_rows()) as u64
            }
            _ => 0,
        };
        let warnings = reader.warnings().to_vec();
        // Counted without their values, so that whoever waits is told how much there is.
        let mut counting = SourceReader::open_all(files, options, Some(&[]))?;
        counting.try_for_each(|batch| batch.map(drop))?;
        Ok(Self {
            files: files.to_vec(),
            options: options.clone(),
            place: place.to_owned(),
            columns: found,
            kept,
            rows: counting.rows_read(),
            row_bytes,
            warnings,
        })
    }

    /// The kinds that it has tokens of, sorted.
    pub fn kinds(&self) -> impl Iterator<Item = &KindName> {
        self.columns.keys()
    }

    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The kept columns.
    #[must_use]
    pub fn kept(&self) -> &Schema {
        &self.kept
    }

    /// What whoever uses it should know about its files.
    #[must_use]
    pub fn warnings(&self) -> &[SourceWarning] {
        &self.warnings
    }

    /// How many bytes a row takes, by the first ones.
    pub(crate) fn row_bytes(&self) -> u64 {
        self.row_bytes
    }

    /// Its name in errors.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// The column of a kind.
    pub(crate) fn column(&self, kind: &KindName) -> Option<&str> {
        self.columns.get(kind).map(String::as_str)
    }

    /// Reads row numbers, the tokens of one kind and the kept columns, as a protected dataset's batches are; rows without a
    /// token are null in it.
    pub(crate) fn read(&self, kind: &KindName, batch_rows: usize) -> Result<TableBatches> {
        let column = self.column(kind).ok_or_else(|| Error::NoSuchKind {
            path: self.place.clone().into(),
            kind: kind.to_string(),
            has: self.kinds().map(ToString::to_string).collect(),
        })?;
        let mut wanted = vec![column.to_owned()];
        wanted.extend(self.kept.fields().iter().map(|field| field.name().clone()));
        let options = ReadOptions { batch_rows, ..self.options.clone() };
        let reader = SourceReader::open_all(&self.files, &options, Some(&wanted))?;
        let mut fields = vec![
            Arc::new(Field::new(ROW_COLUMN, DataType::UInt64, false)),
            Arc::new(Field::new(token_column(kind), DataType::FixedSizeBinary(Token::BYTES as i32), true)),
        ];
        fields.extend(self.kept.fields().iter().map(Arc::clone));
        Ok(TableBatches {
            reader,
            place: self.place.clone(),
            column: column.to_owned(),
            schema: Arc::new(Schema::new(fields)),
        })
    }
}

/// Computes a table's commitment: of one file its SHA-256, of several that of their sorted lines as `sha256sum` writes them, each
/// with the file's own name.
///
/// # Errors
/// [`Error::Io`].
pub fn commitment(files: &[PathBuf]) -> Result<String> {
    if let [one] = files {
        return protected::commitment(one);
    }
    let mut lines = Vec::with_capacity(files.len());
    for file in files {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        lines.push(format!("{}  {name}\n", protected::commitment(file)?));
    }
    lines.sort();
    Ok(hex::encode(Sha256::digest(lines.concat())))
}

/// The columns that are kept: neither tokens nor row numbers.
fn kept_columns(source: &Schema, tokens: &BTreeMap<KindName, String>) -> Result<Schema> {
    let is_kept = |field: &&Arc<Field>| field.name() != ROW_COLUMN && !tokens.values().any(|name| name == field.name());
    let fields = source.fields().iter().filter(is_kept).map(|field| {
        let data_type = match field.data_type() {
            DataType::Dictionary(_, values) => (**values).clone(),
            other => other.clone(),
        };
        Field::new(field.name(), data_type, true)
    });
    let kept = Schema::new(fields.collect::<Vec<_>>());
    check_kept(&kept)?;
    Ok(kept)
}

fn trouble(place: &str, column: Option<&str>, row: Option<u64>, problem: TokenTableProblem) -> Error {
    Error::TokenTable { place: place.to_owned(), column: column.map(str::to_owned), row, problem }
}

/// Batches of a [`TokenTable`].
pub(crate) struct TableBatches {
    reader: SourceReader,
    place: String,
    column: String,
    schema: SchemaRef,
}

impl TableBatches {
    fn arrange(&self, source: &SourceBatch) -> Result<RecordBatch> {
        let failed = |source| Error::DecodeColumns { place: self.place.clone(), source };
        if let Some(rejected) = source.rejected.first() {
            return Err(trouble(&self.place, None, Some(rejected.row), TokenTableProblem::UnreadableRow));
        }
        let tokens = tokens(&self.place, &self.column, source.batch.column(0), &source.rows)?;
        let mut columns: Vec<ArrayRef> = vec![Arc::new(UInt64Array::from(source.rows.clone())), Arc::new(tokens)];
        for (field, column) in self.schema.fields().iter().skip(2).zip(source.batch.columns().iter().skip(1)) {
            check_lengths(field.name(), column, &source.rows)?;
            columns.push(match column.data_type() == field.data_type() {
                true => Arc::clone(column),
                false => cast(column, field.data_type()).map_err(failed)?,
            });
        }
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(failed)
    }
}

impl Iterator for TableBatches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.reader.next()?.and_then(|batch| self.arrange(&batch)))
    }
}

/// Makes a column of tokens of what a table has: bytes as they are, hex digits decoded, null where there is nothing.
fn tokens(place: &str, column: &str, array: &ArrayRef, rows: &[u64]) -> Result<FixedSizeBinaryArray> {
    let holds_text = |data_type: &DataType| {
        matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null)
    };
    let holds_bytes = |data_type: &DataType| {
        matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
            || *data_type == DataType::FixedSizeBinary(Token::BYTES as i32)
    };
    let data_type = match array.data_type() {
        DataType::Dictionary(_, values) => values,
        other => other,
    };
    let is_text = holds_text(data_type);
    if !is_text && !holds_bytes(data_type) {
        return Err(trouble(place, Some(column), None, TokenTableProblem::NotATokenColumn));
    }
    // Fixed columns without nulls, the usual ones, need no look at each value.
    if let Some(fixed) = array.as_fixed_size_binary_opt() {
        return Ok(fixed.clone());
    }
    let values = column_as_bytes(column, array)?;
    let mut bytes = vec![0; rows.len() * Token::BYTES];
    let mut valid = vec![false; rows.len()];
    for ((index, row), token) in rows.iter().enumerate().zip(bytes.chunks_exact_mut(Token::BYTES)) {
        let value = values.value(index).unwrap_or_default();
        if value.is_empty() {
            continue;
        }
        let good = match is_text {
            true => value.iter().all(|digit| !digit.is_ascii_uppercase()) && hex::decode_to_slice(value, token).is_ok(),
            false => {
                value.len() == token.len() && {
                    token.copy_from_slice(value);
                    true
                }
            }
        };
        if !good {
            return Err(trouble(place, Some(column), Some(*row), TokenTableProblem::NotAToken));
        }
        valid[index] = true;
    }
    FixedSizeBinaryArray::try_new(Token::BYTES as i32, Buffer::from_vec(bytes), Some(NullBuffer::from(valid)))
        .map_err(|source| Error::Internal { work: "reading tokens", source: source.into() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use arrow::array::{BinaryArray, Float64Array, StringArray};

    use super::*;

    const ROWS: &[u64] = &[1, 2, 3];

    fn problem(array: ArrayRef) -> (Option<u64>, TokenTableProblem) {
        match tokens("t", "email", &array, ROWS) {
            Err(Error::TokenTable { column: Some(column), row, problem, .. }) if column == "email" => (row, problem),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn takes_bytes_and_lower_case_hex_and_nothing_else() {
        let hex = "ab".repeat(32);
        let text: ArrayRef = Arc::new(StringArray::from(vec![Some(hex.as_str()), None, Some("")]));
        let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![Some(&[0xab; 32][..]), None, Some(b"")]));
        for array in [text, bytes] {
            let found = tokens("t", "email", &array, ROWS).unwrap();
            assert_eq!(found.value(0), [0xab; 32]);
            assert!(found.is_null(1) && found.is_null(2));
        }
        for bad in [hex.to_uppercase(), hex[1..].to_owned(), format!("{hex}00"), "zz".repeat(32), " ".to_owned()] {
            let array = Arc::new(StringArray::from(vec![None, Some(bad.as_str()), Some("x")]));
            assert_eq!(problem(array), (Some(2), TokenTableProblem::NotAToken));
        }
        for bad in [&[0xab; 31][..], &[0xab; 33], hex.as_bytes()] {
            let array = Arc::new(BinaryArray::from(vec![Some(&[0xab; 32][..]), None, Some(bad)]));
            assert_eq!(problem(array), (Some(3), TokenTableProblem::NotAToken));
        }
        let floats = Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0]));
        assert_eq!(problem(floats), (None, TokenTableProblem::NotATokenColumn));
        let short = FixedSizeBinaryArray::try_from_iter([[1_u8; 16], [2; 16], [3; 16]].iter()).unwrap();
        assert_eq!(problem(Arc::new(short)), (None, TokenTableProblem::NotATokenColumn));
    }

    #[test]
    fn all_columns_but_tokens_and_row_numbers_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t.csv");
        std::fs::write(&file, format!("row,mail,phone,segment\n9,{},,gold\n8,,,\n", "ab".repeat(32))).unwrap();
        let kinds: Vec<KindName> = ["email", "iban", "phone"].map(|kind| kind.parse().unwrap()).into();
        let columns = BTreeMap::from([(kinds[0].clone(), "mail".to_owned())]);
        let open =
            |columns| TokenTable::open(std::slice::from_ref(&file), "t", &ReadOptions::default(), &kinds, columns);
        let table = open(&columns).unwrap();
        assert_eq!(table.kinds().map(KindName::as_str).collect::<Vec<_>>(), ["email", "phone"]);
        assert_eq!(table.kept().fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(), ["segment"]);
        let batch = table.read(&kinds[0], 10).unwrap().next().unwrap().unwrap();
        assert_eq!(batch.column(0).as_primitive::<arrow::datatypes::UInt64Type>().values(), &[1, 2]);
        assert_eq!(batch.column(1).null_count(), 1);
        assert!(matches!(table.read(&kinds[1], 10).err().unwrap(), Error::NoSuchKind { .. }));

        let missing = BTreeMap::from([(kinds[0].clone(), "e-mail".to_owned())]);
        assert!(open(&missing).unwrap_err().remedy().unwrap().contains("email: COLUMN"));
        std::fs::write(&file, "a,b\n1,2\n").unwrap();
        let error = open(&BTreeMap::new()).unwrap_err();
        assert!(matches!(error, Error::TokenTable { problem: TokenTableProblem::NoTokenColumn, .. }));
    }

    #[test]
    fn several_files_have_one_commitment_whatever_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["a.csv", "b.csv"].map(|name| folder.path().join(name));
        std::fs::write(&a, "a").unwrap();
        std::fs::write(&b, "b").unwrap();
        let both = commitment(&[a.clone(), b.clone()]).unwrap();
        assert_eq!(both, commitment(&[b.clone(), a.clone()]).unwrap());
        // printf of the two sorted lines of `sha256sum a.csv b.csv`, through sha256sum.
        let lines = "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d  b.csv\n\
                     ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  a.csv\n";
        assert_eq!(both, hex::encode(Sha256::digest(lines)));
        assert_eq!(commitment(&[a]).unwrap(), "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb");
    }

    #[test]
    fn a_row_that_cannot_be_read_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t.csv");
        std::fs::write(&file, format!("email,b\n{0},2\n{0},2,3\n", "ab".repeat(32))).unwrap();
        let kind: KindName = "email".parse().unwrap();
        let kinds = [kind.clone()];
        let table = TokenTable::open(&[file], "t", &ReadOptions::default(), &kinds, &BTreeMap::new()).unwrap();
        let error = table.read(&kind, 10).unwrap().find_map(Result::err).unwrap();
        assert!(matches!(error, Error::TokenTable { row: Some(2), problem: TokenTableProblem::UnreadableRow, .. }));
    }
}
