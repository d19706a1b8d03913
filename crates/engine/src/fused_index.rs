//! Looking match keys up in fused files that stay open from one look-up to the next.
//!
//! Opening a fused file decrypts its footer and page index; after that a look-up reads one page of keys for each key and file. What
//! stays in memory is the page index: some 80 bytes for each 16,384 rows.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use datafuse_core::match_key::MatchKey;

use crate::{error::Result, fused_file::FusedFile};

/// One fused file to look into.
#[derive(Clone, Copy, Debug)]
pub struct IndexedFile<'a> {
    /// Where it lies.
    pub path: &'a Path,
    /// What it has to be made of.
    pub label: &'a str,
}

/// Fused files that were opened. A file is known by its path, and a new version of a dataset is a file of another name.
#[derive(Default)]
pub struct FusedIndex {
    open: HashMap<PathBuf, FusedFile>,
}

impl FusedIndex {
    /// Tells of each match key, in order, whether one of the files has it.
    ///
    /// # Errors
    /// Those of [`FusedFile::open`] and [`FusedFile::holds`].
    pub fn holds(&mut self, files: &[IndexedFile<'_>], store_key: &[u8; 32], keys: &[MatchKey]) -> Result<Vec<bool>> {
        let mut held = vec![false; keys.len()];
        for file in files {
            if self.open.get(file.path).is_none_or(|open| open.summary().label != file.label) {
                let opened = FusedFile::open(file.path, store_key, file.label)?;
                self.open.insert(file.path.to_owned(), opened);
            }
            if let Some(open) = self.open.get(file.path) {
                for (held, here) in held.iter_mut().zip(open.holds(keys)?) {
                    *held |= here;
                }
            }
        }
        Ok(held)
    }

    /// Closes every file that is not among these.
    pub fn retain(&mut self, is_current: impl Fn(&Path) -> bool) {
        self.open.retain(|path, _| is_current(path));
    }

    /// How many files are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{collections::BTreeSet, sync::Arc};

    use arrow::{
        array::{ArrayRef, FixedSizeBinaryArray, UInt64Array},
        datatypes::Schema,
        record_batch::RecordBatch,
    };
    use rand_chacha::{
        ChaCha20Rng,
        rand_core::{Rng, SeedableRng},
    };

    use super::*;
    use crate::{
        error::Error,
        fused_file::{FusedWriter, schema},
    };

    const KEY: [u8; 32] = [7; 32];

    /// Writes keys, which may repeat, as a fused file.
    fn write(path: &Path, mut keys: Vec<u128>, label: &str) {
        keys.sort_unstable();
        let mut writer = FusedWriter::create(path, &Schema::empty(), &KEY, label).unwrap();
        let column = FixedSizeBinaryArray::try_from_iter(keys.iter().map(|key| key.to_be_bytes())).unwrap();
        let rows = UInt64Array::from_iter_values(0..keys.len() as u64);
        let columns: Vec<ArrayRef> = vec![Arc::new(column), Arc::new(rows)];
        writer.write(&RecordBatch::try_new(schema(&Schema::empty()), columns).unwrap()).unwrap();
        writer.finish().unwrap();
    }

    fn key(key: u128) -> MatchKey {
        MatchKey::from_bytes(key.to_be_bytes())
    }

    #[test]
    fn agrees_with_a_set_over_many_pages_and_files() {
        let folder = tempfile::tempdir().unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        let mut half = || u128::from(rng.next_u64());
        let mut drawn = |n: usize| (0..n).map(|_| half() << 64 | half()).collect::<Vec<_>>();
        let (mut first, second) = (drawn(60_000), drawn(500));
        // One key goes on over more than one page.
        let repeated = first[7];
        first.extend(std::iter::repeat_n(repeated, 40_000));
        let paths = [folder.path().join("a"), folder.path().join("b")];
        write(&paths[0], first.clone(), "a");
        write(&paths[1], second.clone(), "b");
        let files = [IndexedFile { path: &paths[0], label: "a" }, IndexedFile { path: &paths[1], label: "b" }];

        let set: BTreeSet<_> = first.iter().chain(&second).copied().collect();
        let mut asked: Vec<_> = set.iter().step_by(17).copied().collect();
        asked.extend(drawn(2_000));
        asked.extend([0, u128::MAX, repeated, repeated + 1, repeated, *set.first().unwrap(), *set.last().unwrap()]);
        let keys: Vec<_> = asked.iter().map(|asked| key(*asked)).collect();
        let naive: Vec<_> = asked.iter().map(|asked| set.contains(asked)).collect();
        let mut index = FusedIndex::default();
        assert_eq!(index.holds(&files, &KEY, &keys).unwrap(), naive);
        assert_eq!(index.len(), 2);
        // Again, with the files open; then one at a time.
        assert_eq!(index.holds(&files, &KEY, &keys).unwrap(), naive);
        for (key, held) in keys.iter().zip(&naive).step_by(101) {
            assert_eq!(index.holds(&files, &KEY, &[*key]).unwrap(), [*held]);
        }
        assert_eq!(index.holds(&files, &KEY, &[]).unwrap(), Vec::<bool>::new());
        assert_eq!(index.holds(&[], &KEY, &keys[..2]).unwrap(), [false, false]);
        index.retain(|path| path == paths[1]);
        assert_eq!(index.len(), 1);
    }

    #[test]
    fn a_file_of_another_label_or_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, vec![1, 2, 3], "acme/customers/1/email");
        let mut index = FusedIndex::default();
        let other = [IndexedFile { path: &path, label: "globex/customers/1/email" }];
        assert!(matches!(index.holds(&other, &KEY, &[key(1)]), Err(Error::FusedMismatch { .. })));
        let right = [IndexedFile { path: &path, label: "acme/customers/1/email" }];
        assert!(matches!(index.holds(&right, &[8; 32], &[key(1)]), Err(Error::WrongKey { .. })));
        assert_eq!(index.holds(&right, &KEY, &[key(1), key(4)]).unwrap(), [true, false]);
        // Open under its own label it still does not answer to another.
        assert!(index.holds(&other, &KEY, &[key(1)]).is_err());
    }

    #[test]
    fn a_key_that_no_page_may_hold_costs_a_page_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, vec![100, 200, 300], "a");
        let mut bytes = std::fs::read(&path).unwrap();
        // Within the first page of keys: whoever reads it finds it damaged.
        bytes[60] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let files = [IndexedFile { path: &path, label: "a" }];
        for asked in [50, 100, 150, 400] {
            let read = FusedIndex::default().holds(&files, &KEY, &[key(asked)]);
            assert!(matches!(read, Err(Error::Corrupted { .. })), "{asked}: {read:?}");
        }
    }
}
