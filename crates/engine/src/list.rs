//! Lists: which rows of one holder's datasets other holders have too.
//!
//! In go the fused files of a kind and who receives which join with whom; out comes a file that only the receiver can open
//! ([`ListWriter`]): a value for every row of its datasets, in the order of their rows. Matching gives rows in the order of their
//! keys, so the values of a window of rows are gathered in memory, a bit or a few each, and written when all files were read. Where
//! they take more than an eighth of the memory that the job may use, the files are read once for each window. Nothing is sorted or
//! spilled, and nothing readable touches the disk.
//!
//! | module | |
//! | --- | --- |
//! | [`ListFile`], [`ListWriter`] | the file: written, opened, read |
//! | [`ListFileError`] | why a file is no list, or does not open |
//!
//! Who may receive what is decided elsewhere, and so is whether a list would tell of too few (`report/lists.rs`).

mod error;
mod file;
mod matched;

use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

use datafuse_core::{id::ParticipantId, list::Join};

use crate::{
    error::{Error, Result},
    match_table::HolderSet,
    matching::{FusedInput, Visitor, match_visiting},
    runtime::{Limits, Progress},
    sealed::corrupted,
};
pub use error::ListFileError;
pub use file::{ListFile, ListWriter, ListedDataset};

/// Which part of the memory the values may take.
const MEMORY_SHARE: u64 = 8;

/// A list that is to be made.
#[derive(Clone, Debug)]
pub struct ListOrder<'a> {
    /// Which rows.
    pub join: Join,
    /// Whose rows: a position in the list of holders.
    pub receiver: usize,
    /// The other holders of the list, by position.
    pub with: &'a [usize],
    /// The receiver's datasets.
    pub datasets: &'a [ListedDataset],
    /// The fused files of all holders, those of the receiver with the position of the dataset that they were made of.
    pub files: &'a [(Option<usize>, FusedInput)],
}

/// Matches the files, and writes the value of every row of the receiver's datasets into a list. `holders` must be sorted by name;
/// `progress` is told of the files' rows, once in each pass.
///
/// # Errors
/// [`Error::NoSuchHolder`]; [`Error::Corrupted`] where a row has a number that its dataset does not have, or two have the same;
/// [`Error::Io`] and [`Error::NoSpace`] of the list; those of [`match_datasets`](crate::matching::match_datasets).
pub fn write_list(
    order: &ListOrder<'_>,
    holders: &[ParticipantId],
    store_key: &[u8; 32],
    limits: &Limits,
    writer: &mut ListWriter,
    progress: Progress<'_>,
) -> Result<()> {
    write_in_windows(order, holders, store_key, limits, window_rows(order, limits), writer, progress)
}

/// How often all files are read.
#[must_use]
pub fn passes(order: &ListOrder<'_>, limits: &Limits) -> u64 {
    total(order.datasets).div_ceil(window_rows(order, limits)).max(1)
}

/// As [`write_list`], with values for so many rows at a time.
fn write_in_windows(
    order: &ListOrder<'_>,
    holders: &[ParticipantId],
    store_key: &[u8; 32],
    limits: &Limits,
    window_rows: u64,
    writer: &mut ListWriter,
    progress: Progress<'_>,
) -> Result<()> {
    let named = order.with.iter().chain([&order.receiver]);
    if let Some(holder) = named.copied().find(|holder| *holder >= holders.len()) {
        return Err(Error::NoSuchHolder { holder, holders: holders.len() });
    }
    if let Some(dataset) = order.files.iter().filter_map(|(dataset, _)| *dataset).find(|d| *d >= order.datasets.len()) {
        return Err(Error::NoSuchHolder { holder: dataset, holders: order.datasets.len() });
    }
    let inputs: Vec<_> = order.files.iter().map(|(_, input)| input.clone()).collect();
    let width = width(order.join, order.with.len());
    let total = total(order.datasets);
    // The values are memory that matching has not got.
    let rest = Limits { memory_bytes: limits.memory_bytes - limits.memory_bytes / MEMORY_SHARE, ..limits.clone() };
    let per_word = u64::from(u64::BITS / width);
    let words: Vec<AtomicU64> = (0..window_rows.min(total).div_ceil(per_word)).map(|_| AtomicU64::new(0)).collect();
    let mut begin = 0;
    while begin < total {
        let window = begin..total.min(begin.saturating_add(window_rows));
        words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        let marking = Marking {
            join: order.join,
            with: mask(order.with, holders.len()),
            files: order.files,
            datasets: order.datasets,
            starts: starts(order.datasets),
            window: window.clone(),
            width,
            words: &words,
        };
        match_visiting(&inputs, holders, store_key, &rest, progress, &marking)?;
        let used = (window.end - window.start).div_ceil(per_word);
        writer.write(words.iter().take(used as usize).map(|word| word.load(Ordering::Relaxed)))?;
        begin = window.end;
    }
    Ok(())
}

/// The bits of a row's value: a power of two, so that none lies across two words.
fn width(join: Join, with: usize) -> u32 {
    match join {
        Join::Inner | Join::Difference => 1,
        // 0 where there is no identifier, else one more than the number of holders.
        Join::Left => (usize::BITS - (with + 1).leading_zeros()).next_power_of_two(),
    }
}

/// How many rows have a value at the same time: whole pieces of the file.
fn window_rows(order: &ListOrder<'_>, limits: &Limits) -> u64 {
    let piece = file::piece_rows(width(order.join, order.with.len()));
    let fitting =
        (limits.memory_bytes / MEMORY_SHARE).saturating_mul(8) / u64::from(width(order.join, order.with.len()));
    (fitting / piece).max(1).saturating_mul(piece)
}

fn total(datasets: &[ListedDataset]) -> u64 {
    datasets.iter().map(|dataset| dataset.rows).sum()
}

/// The position of each dataset's first row among the rows of all.
fn starts(datasets: &[ListedDataset]) -> Vec<u64> {
    let ends = datasets.iter().scan(0, |end, dataset| {
        *end += dataset.rows;
        Some(*end - dataset.rows)
    });
    ends.collect()
}

fn mask(members: &[usize], holders: usize) -> HolderSet {
    HolderSet::new(holders, members.iter().copied())
}

/// Gathers the values of the receiver's rows.
struct Marking<'a> {
    join: Join,
    with: HolderSet,
    files: &'a [(Option<usize>, FusedInput)],
    datasets: &'a [ListedDataset],
    starts: Vec<u64>,
    window: Range<u64>,
    width: u32,
    words: &'a [AtomicU64],
}

impl Visitor for Marking<'_> {
    type Gathered = ();

    fn wants(&self, input: usize) -> bool {
        self.files[input].0.is_some()
    }

    fn begin(&self) {}

    fn row(&self, (): &mut (), input: usize, holders: &[u64], row: u64) -> Result<()> {
        let (Some(dataset), file) = &self.files[input] else { return Ok(()) };
        let rows = self.datasets[*dataset].rows;
        if !(1..=rows).contains(&row) {
            return Err(corrupted(&file.path, format!("a row has a number past the {rows} that its holder counted")));
        }
        let position = self.starts[*dataset] + row - 1;
        if !self.window.contains(&position) {
            return Ok(());
        }
        let known = self.with.common(holders);
        let value = match self.join {
            Join::Inner => u64::from(known == self.with.len()),
            Join::Difference => u64::from(known == 0),
            Join::Left => known as u64 + 1,
        };
        let bit = (position - self.window.start) * u64::from(self.width);
        let before = self.words[(bit / 64) as usize].fetch_or(value << (bit % 64), Ordering::Relaxed);
        match self.join {
            // Two values in one place would be a third.
            Join::Left if before >> (bit % 64) & ((1 << self.width) - 1) != 0 => {
                Err(corrupted(&file.path, "two rows have the same number"))
            }
            _ => Ok(()),
        }
    }

    fn end(&self, (): ()) {}
}

#[cfg(test)]
mod tests;
