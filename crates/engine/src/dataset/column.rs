//! Columns of values: text columns being built row by row, and finished columns seen as bytes.
//!
//! [`column_as_bytes`] is how identifiers leave an Arrow array: text and binary as they are, whole numbers (phone
//! numbers are often stored so) as decimal text. Floating-point and other types are refused: their text form is a matter
//! of taste, and two holders would match on the taste.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray, FixedSizeBinaryArray, LargeBinaryArray, LargeStringArray,
    RecordBatch, StringArray, StringBuilder, StringViewArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Int8Type, Int16Type, Int32Type, Int64Type, SchemaRef, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};

use super::reader::MAX_BATCH_BYTES;
use super::source::{Rejected, SourceBatch};
use crate::error::{Error, Result};

/// A column of any type that can hold identifiers, seen as bytes.
#[derive(Clone)]
pub struct ByteColumn(Bytes);

#[derive(Clone)]
enum Bytes {
    Utf8(StringArray),
    LargeUtf8(LargeStringArray),
    Utf8View(StringViewArray),
    Binary(BinaryArray),
    LargeBinary(LargeBinaryArray),
    BinaryView(BinaryViewArray),
    FixedSizeBinary(FixedSizeBinaryArray),
    Null(usize),
    Dictionary { keys: Vec<usize>, nulls: Option<NullBuffer>, values: Box<ByteColumn> },
}

/// Gives the bytes of a column, row by row.
///
/// Takes `Utf8`, `LargeUtf8`, `Utf8View`, `Binary`, `LargeBinary`, `BinaryView`, `FixedSizeBinary` and `Null` as they
/// are, dictionaries of these, and integers of all widths as decimal text. `column` is the name for the error.
///
/// # Errors
///
/// [`Error::ColumnType`] for every other type.
pub fn column_as_bytes(column: &str, array: &ArrayRef) -> Result<ByteColumn> {
    let bytes = match array.data_type() {
        DataType::Utf8 => Bytes::Utf8(array.as_string::<i32>().clone()),
        DataType::LargeUtf8 => Bytes::LargeUtf8(array.as_string::<i64>().clone()),
        DataType::Utf8View => Bytes::Utf8View(array.as_string_view().clone()),
        DataType::Binary => Bytes::Binary(array.as_binary::<i32>().clone()),
        DataType::LargeBinary => Bytes::LargeBinary(array.as_binary::<i64>().clone()),
        DataType::BinaryView => Bytes::BinaryView(array.as_binary_view().clone()),
        DataType::FixedSizeBinary(_) => Bytes::FixedSizeBinary(array.as_fixed_size_binary().clone()),
        DataType::Null => Bytes::Null(array.len()),
        DataType::Int8 => decimal_text::<Int8Type>(array),
        DataType::Int16 => decimal_text::<Int16Type>(array),
        DataType::Int32 => decimal_text::<Int32Type>(array),
        DataType::Int64 => decimal_text::<Int64Type>(array),
        DataType::UInt8 => decimal_text::<UInt8Type>(array),
        DataType::UInt16 => decimal_text::<UInt16Type>(array),
        DataType::UInt32 => decimal_text::<UInt32Type>(array),
        DataType::UInt64 => decimal_text::<UInt64Type>(array),
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_any_dictionary();
            if dictionary.values().is_empty() {
                // Every key is null: there is no value it could point at.
                Bytes::Null(array.len())
            } else {
                Bytes::Dictionary {
                    keys: dictionary.normalized_keys(),
                    nulls: dictionary.keys().nulls().cloned(),
                    values: Box::new(column_as_bytes(column, dictionary.values())?),
                }
            }
        }
        other => return Err(Error::ColumnType { column: column.to_owned(), data_type: other.clone() }),
    };
    Ok(ByteColumn(bytes))
}

impl ByteColumn {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Bytes::Utf8(array) => array.len(),
            Bytes::LargeUtf8(array) => array.len(),
            Bytes::Utf8View(array) => array.len(),
            Bytes::Binary(array) => array.len(),
            Bytes::LargeBinary(array) => array.len(),
            Bytes::BinaryView(array) => array.len(),
            Bytes::FixedSizeBinary(array) => array.len(),
            Bytes::Null(len) => *len,
            Bytes::Dictionary { keys, .. } => keys.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of a row; `None` if it is null.
    ///
    /// # Panics
    ///
    /// If `index` is not below [`Self::len`].
    pub fn value(&self, index: usize) -> Option<&[u8]> {
        match &self.0 {
            Bytes::Utf8(array) => array.is_valid(index).then(|| array.value(index).as_bytes()),
            Bytes::LargeUtf8(array) => array.is_valid(index).then(|| array.value(index).as_bytes()),
            Bytes::Utf8View(array) => array.is_valid(index).then(|| array.value(index).as_bytes()),
            Bytes::Binary(array) => array.is_valid(index).then(|| array.value(index)),
            Bytes::LargeBinary(array) => array.is_valid(index).then(|| array.value(index)),
            Bytes::BinaryView(array) => array.is_valid(index).then(|| array.value(index)),
            Bytes::FixedSizeBinary(array) => array.is_valid(index).then(|| array.value(index)),
            Bytes::Null(len) => {
                assert!(index < *len, "row {index} of {len}");
                None
            }
            Bytes::Dictionary { keys, nulls, values } => {
                let key = keys[index];
                if nulls.as_ref().is_some_and(|nulls| nulls.is_null(index)) { None } else { values.value(key) }
            }
        }
    }
}

fn decimal_text<T: ArrowPrimitiveType>(array: &ArrayRef) -> Bytes
where
    T::Native: ToString,
{
    let array = array.as_primitive::<T>();
    Bytes::Utf8(array.iter().map(|value| value.map(|value| value.to_string())).collect())
}

/// The rows of a text source on their way to a [`SourceBatch`].
pub(super) struct TextBatch {
    schema: SchemaRef,
    builders: Vec<StringBuilder>,
    rows: Vec<u64>,
    rejected: Vec<Rejected>,
    byte_count: usize,
    batch_rows: usize,
}

impl TextBatch {
    pub(super) fn new(schema: SchemaRef, batch_rows: usize) -> Self {
        // A hint only: a huge `batch_rows` must not allocate before there are rows.
        let hint = batch_rows.min(8192);
        TextBatch {
            builders: schema.fields().iter().map(|_| StringBuilder::with_capacity(hint, hint * 16)).collect(),
            rows: Vec::with_capacity(hint),
            rejected: Vec::new(),
            byte_count: 0,
            batch_rows,
            schema,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows.len() + self.rejected.len() >= self.batch_rows || self.byte_count >= MAX_BATCH_BYTES
    }

    /// Adds one value of the row that [`Self::end_row`] will end; `None` and the empty text are null or kept as told.
    pub(super) fn push_value(&mut self, column: usize, value: Option<&str>) {
        self.byte_count += value.map_or(0, str::len);
        self.builders[column].append_option(value);
    }

    /// Ends a row of which every column was pushed once.
    pub(super) fn end_row(&mut self, row: u64) {
        self.rows.push(row);
    }

    pub(super) fn reject(&mut self, rejected: Rejected) {
        self.byte_count += rejected.original.byte_len();
        self.rejected.push(rejected);
    }

    /// Takes the batch; `None` if nothing was added.
    pub(super) fn finish(mut self, place: &str) -> Result<Option<SourceBatch>> {
        if self.rows.is_empty() && self.rejected.is_empty() {
            return Ok(None);
        }
        let arrays: Vec<ArrayRef> =
            self.builders.iter_mut().map(|builder| Arc::new(builder.finish()) as ArrayRef).collect();
        // With no columns asked for there is no array to tell the number of rows.
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(self.rows.len()));
        let batch = RecordBatch::try_new_with_options(self.schema, arrays, &options)
            .map_err(|source| Error::DecodeColumns { place: place.to_owned(), source })?;
        Ok(Some(SourceBatch { rows: self.rows, batch, rejected: self.rejected }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use arrow::array::{DictionaryArray, Float64Array, Int64Array, NullArray, UInt64Array};
    use proptest::prelude::*;

    use super::*;

    fn values(array: ArrayRef) -> Vec<Option<Vec<u8>>> {
        let column = column_as_bytes("c", &array).unwrap();
        (0..column.len()).map(|index| column.value(index).map(<[u8]>::to_vec)).collect()
    }

    fn texts(texts: &[Option<&str>]) -> Vec<Option<Vec<u8>>> {
        texts.iter().map(|text| text.map(|text| text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn every_text_and_binary_type_gives_the_same_bytes() {
        let given = [Some("ab"), None, Some("")];
        let expected = texts(&given);
        let bytes = || given.iter().map(|text| text.map(str::as_bytes));
        assert_eq!(values(Arc::new(StringArray::from(given.to_vec()))), expected);
        assert_eq!(values(Arc::new(LargeStringArray::from(given.to_vec()))), expected);
        assert_eq!(values(Arc::new(StringViewArray::from(given.to_vec()))), expected);
        assert_eq!(values(Arc::new(BinaryArray::from_iter(bytes()))), expected);
        assert_eq!(values(Arc::new(LargeBinaryArray::from_iter(bytes()))), expected);
        assert_eq!(values(Arc::new(BinaryViewArray::from_iter(bytes()))), expected);
        assert_eq!(values(Arc::new(given.into_iter().collect::<DictionaryArray<Int32Type>>())), expected);
        let fixed = FixedSizeBinaryArray::try_from_sparse_iter_with_size([Some(b"ab"), None].into_iter(), 2).unwrap();
        assert_eq!(values(Arc::new(fixed)), expected[..2]);
    }

    #[test]
    fn whole_numbers_become_decimal_text() {
        assert_eq!(values(Arc::new(Int64Array::from(vec![Some(-5), None]))), texts(&[Some("-5"), None]));
        let largest = UInt64Array::from(vec![u64::MAX]);
        assert_eq!(values(Arc::new(largest)), texts(&[Some("18446744073709551615")]));
    }

    #[test]
    fn all_null_columns_and_dictionaries_give_none() {
        assert_eq!(values(Arc::new(NullArray::new(2))), vec![None, None]);
        let nulls: DictionaryArray<Int8Type> = [None::<&str>, None].into_iter().collect();
        assert_eq!(values(Arc::new(nulls)), vec![None, None]);
    }

    #[test]
    fn floating_point_is_refused_naming_column_and_type() {
        let array: ArrayRef = Arc::new(Float64Array::from(vec![1.0]));
        let error = column_as_bytes("phone", &array).err().unwrap();
        assert_eq!(error.to_string(), "column 'phone' has type Float64, which cannot hold identifiers");
        assert!(error.remedy().unwrap().contains("whole numbers"));
    }

    proptest! {
        #[test]
        fn text_survives_a_dictionary(given in proptest::collection::vec(proptest::option::of(".{0,5}"), 1..20)) {
            let dictionary: DictionaryArray<Int32Type> = given.iter().map(|text| text.as_deref()).collect();
            let expected = texts(&given.iter().map(|text| text.as_deref()).collect::<Vec<_>>());
            prop_assert_eq!(values(Arc::new(dictionary)), expected);
        }
    }
}
