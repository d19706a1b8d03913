//! What the workload remembers of a set of match keys, so that a later set can be told from it when only a few keys differ.
//!
//! A sketch is [`BITS`](SetSketch::BITS) bits, all zero for the empty set; each distinct key turns the one that its lowest 16 bits
//! name. The exclusive or of two sketches is the sketch of the symmetric difference, so the number of bits in which two differ
//! is never more than the number of keys in which the sets differ, and less only by keys that share a bit. So
//! [`at_most`](SetSketch::at_most) errs to one side: sets that differ in fewer keys than asked for are always found. Sets that
//! differ in a few per cent more than that may be found too.
//!
//! Match keys are a keyed hash under a secret that no party has, so nobody can choose keys that share bits. What a sketch tells
//! of a set is one bit in 65,536 per key, and nothing without that secret; it is kept sealed all the same.

use std::path::Path;

use crate::{error::Result, fused_file::FusedFile};

const BYTES: usize = SetSketch::BITS / 8;

/// The parities of the keys of a set.
#[derive(Clone, PartialEq, Eq)]
pub struct SetSketch(Box<[u8]>);

impl SetSketch {
    /// How many parities.
    pub const BITS: usize = 1 << 16;

    /// Reads the distinct keys of a fused file once.
    ///
    /// # Errors
    /// Those of [`FusedFile::open`]; [`Error::Corrupted`](crate::Error::Corrupted).
    pub fn of_file(path: &Path, store_key: &[u8; 32], label: &str) -> Result<Self> {
        let file = FusedFile::open(path, store_key, label)?;
        let mut sketch = Self::empty();
        let mut last = None;
        file.keys(0, u128::MAX, |key| {
            if last.replace(key) != Some(key) {
                sketch.turn(key);
            }
        })?;
        Ok(sketch)
    }

    /// Takes the bytes of [`as_bytes`](Self::as_bytes) back; `None` where they are of another length.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == BYTES).then(|| Self(bytes.into()))
    }

    /// Gives its 8,192 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the sets may differ in no more than so many keys: always so where they do.
    #[must_use]
    pub fn at_most(&self, other: &Self, keys: u64) -> bool {
        let differing: u64 = self.0.iter().zip(&other.0).map(|(a, b)| u64::from((a ^ b).count_ones())).sum();
        differing <= keys
    }

    fn empty() -> Self {
        Self(vec![0; BYTES].into())
    }

    fn turn(&mut self, key: u128) {
        let bit = (key % Self::BITS as u128) as usize;
        self.0[bit / 8] ^= 1 << (bit % 8);
    }
}

/// Tells nothing of the set.
impl std::fmt::Debug for SetSketch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SetSketch")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use arrow::{
        array::{FixedSizeBinaryArray, UInt64Array},
        datatypes::Schema,
        record_batch::RecordBatch,
    };
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::fused_file::{FusedWriter, schema};

    /// Keys as a keyed hash would spread them.
    fn key(n: u64) -> u128 {
        let hash = Sha256::digest(n.to_be_bytes());
        u128::from_be_bytes(hash[..16].try_into().unwrap())
    }

    fn sketch(keys: impl Iterator<Item = u64>) -> SetSketch {
        keys.fold(SetSketch::empty(), |mut sketch, n| {
            sketch.turn(key(n));
            sketch
        })
    }

    #[test]
    fn sets_that_differ_in_fewer_keys_are_always_found() {
        let first = sketch(0..50_000);
        for (removed, added) in [(1, 0), (0, 1), (7, 13), (500, 499), (0, 9_999)] {
            let other = sketch(removed..50_000 + added);
            assert!(first.at_most(&other, removed + added), "{removed} {added}");
            assert!(other.at_most(&first, removed + added), "{removed} {added}");
        }
    }

    #[test]
    fn sets_that_differ_clearly_in_more_keys_are_not() {
        let first = sketch(0..50_000);
        for (differing, guard) in [(2, 1), (110, 99), (1_100, 999), (12_000, 9_999), (1_000_000, 9_999)] {
            assert!(!first.at_most(&sketch(0..50_000 + differing), guard), "{differing} {guard}");
        }
    }

    #[test]
    fn a_key_counts_once_however_many_rows_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fused");
        let mut keys: Vec<_> = [1, 2, 3].map(key).to_vec();
        keys.sort_unstable();
        keys.insert(1, keys[0]);
        let rows = UInt64Array::from_iter_values(0..4);
        let column = FixedSizeBinaryArray::try_from_iter(keys.iter().map(|key| key.to_be_bytes())).unwrap();
        let batch = RecordBatch::try_new(schema(&Schema::empty()), vec![Arc::new(column), Arc::new(rows)]).unwrap();
        let mut writer = FusedWriter::create(&path, &Schema::empty(), &[7; 32], "of these").unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        let read = SetSketch::of_file(&path, &[7; 32], "of these").unwrap();
        assert!(read == sketch(1..4));
        assert!(SetSketch::from_bytes(read.as_bytes()).unwrap() == read);
        assert!(SetSketch::from_bytes(&read.as_bytes()[1..]).is_none());
        assert_eq!(format!("{read:?}"), "SetSketch");
    }
}
