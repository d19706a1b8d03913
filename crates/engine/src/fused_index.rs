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
    pub fn holds(
        &mut self,
        files: &[IndexedFile<'_>],
        store_key: &[u8; 32],
        keys: &[MatchKey],
    ) -> Result<Vec<bool>> {
        let mut held = vec![false; keys.len()];
        for file in files {
            if !self.open.get(file.path).is_some_and(|open| open.summary().label == file.label) {
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
