//! A digest of the rows of a fused file, in whatever order they come: files of the same rows have the same, and a row more, a row
//! under another key or another kept value makes another.
//!
//! Rows with the same match key come in no certain order. So each row is hashed under the store key, and the hashes are added modulo
//! 2^256 (MSet-Add-Hash of Clarke et al., ASIACRYPT 2003). Without the key nobody can look for rows whose sums are equal.

use arrow::{
    array::RecordBatch,
    datatypes::Schema,
    error::ArrowError,
    row::{RowConverter, SortField},
};
use sha2::{Digest, Sha256};

const LABEL: &[u8] = b"datafuse/fused-rows/v1";

pub(super) struct RowsDigest {
    /// The state after label and store key.
    keyed: Sha256,
    converter: RowConverter,
    /// Least significant first.
    sum: [u64; 4],
}

impl RowsDigest {
    /// Of rows with these columns.
    pub(super) fn new(schema: &Schema, store_key: &[u8; 32]) -> Result<Self, ArrowError> {
        let fields = schema.fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
        let keyed = Sha256::new().chain_update(LABEL).chain_update(store_key);
        Ok(Self { keyed, converter: RowConverter::new(fields)?, sum: [0; 4] })
    }

    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let rows = self.converter.convert_columns(batch.columns())?;
        for row in &rows {
            let hash: [u8; 32] = self.keyed.clone().chain_update(row.as_ref()).finalize().into();
            let mut carry = false;
            for (sum, word) in self.sum.iter_mut().zip(hash.as_chunks().0) {
                let (added, first) = sum.overflowing_add(u64::from_le_bytes(*word));
                let (added, second) = added.overflowing_add(u64::from(carry));
                (*sum, carry) = (added, first || second);
            }
        }
        Ok(())
    }

    /// In hex.
    pub(super) fn finish(self) -> String {
        hex::encode(self.sum.map(u64::to_le_bytes).as_flattened())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use arrow::array::{ArrayRef, StringArray, UInt64Array};

    use super::*;

    fn digest(key: u8, rows: &[(u64, Option<&str>)]) -> String {
        let numbers: ArrayRef = Arc::new(UInt64Array::from_iter_values(rows.iter().map(|(number, _)| *number)));
        let kept: ArrayRef = Arc::new(StringArray::from_iter(rows.iter().map(|(_, kept)| *kept)));
        let batch = RecordBatch::try_from_iter([("row", numbers), ("kept", kept)]).unwrap();
        let mut digest = RowsDigest::new(&batch.schema(), &[key; 32]).unwrap();
        // In two batches or in one is the same.
        let half = rows.len() / 2;
        digest.add(&batch.slice(0, half)).unwrap();
        digest.add(&batch.slice(half, rows.len() - half)).unwrap();
        digest.finish()
    }

    #[test]
    fn the_order_of_rows_does_not_matter_and_everything_else_does() {
        let rows = [(1, Some("gold")), (2, None), (3, Some(""))];
        let known = digest(7, &rows);
        assert_eq!(digest(7, &[rows[2], rows[0], rows[1]]), known);
        for other in [
            &rows[..2],
            &[rows[0], rows[1], rows[2], rows[2]],
            &[(1, None), (2, Some("gold")), rows[2]],
            &[(2, Some("gold")), (1, None), rows[2]],
            &[rows[0], (2, Some("")), rows[2]],
        ] {
            assert_ne!(digest(7, other), known, "{other:?}");
        }
        assert_ne!(digest(8, &rows), known, "it is keyed");
        assert_eq!(digest(7, &[]), "0".repeat(64));
    }
}
