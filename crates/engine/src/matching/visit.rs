//! What is done with single rows, once it is known which holders have their keys.
//!
//! A range of keys is grouped first and read again then, so that a visitor sees the rows of all files with the complete set of
//! holders of each key. Every thread gathers for itself; what it has gathered is put together when it ends.

use crate::error::Result;

/// Sees the rows of all fused files.
pub(crate) trait Visitor: Sync {
    /// What one thread gathers.
    type Gathered;

    /// Whether there is anything to be shown; without it no row is read.
    const WANTS_ROWS: bool = true;

    /// Whether the rows of an input are to be shown; those of others are not read.
    fn wants(&self, _input: usize) -> bool {
        true
    }

    /// Begins on a thread.
    fn begin(&self) -> Self::Gathered;

    /// Sees one row: of which input it is, the mask of the holders that have its key, and its number in its holder's source.
    fn row(&self, gathered: &mut Self::Gathered, input: usize, holders: &[u64], row: u64) -> Result<()>;

    /// Ends on a thread, when all its ranges are done.
    fn end(&self, gathered: Self::Gathered);
}

/// Wants no rows: matching counts keys and nothing else.
pub(crate) struct CountsOnly;

impl Visitor for CountsOnly {
    type Gathered = ();

    const WANTS_ROWS: bool = false;

    fn begin(&self) {}

    fn row(&self, (): &mut (), _input: usize, _holders: &[u64], _row: u64) -> Result<()> {
        Ok(())
    }

    fn end(&self, (): ()) {}
}
