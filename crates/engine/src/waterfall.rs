//! The waterfall: how many rows of each holder match by a first identifier kind, how many of the others by a second, and so on.
//!
//! In go, for each kind in the agreed order, the fused files that matching takes; out come the match tables of these kinds, as
//! [`match_datasets`](crate::matching::match_datasets) gives them, and for each holder and kind two counts of rows. A row
//! matches by a kind where at least one other holder has its identifier of that kind. Rows are counted, not identifiers: two
//! rows of one holder with the same identifier are two.
//!
//! Whether a row has matched before is one bit. The bits of all datasets lie behind each other; where they take more than an
//! eighth of the memory that the job may use, they are cut into windows, and all kinds are matched once for each window. So
//! memory is bounded whatever the number of rows: with 2 GiB one pass suffices for 2,000 million rows of all holders together.

use std::{
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use datafuse_core::id::{KindName, ParticipantId};

use crate::{
    error::{Error, Result},
    match_table::MatchTable,
    matching::{FusedInput, Visitor, match_visiting},
    runtime::Limits,
    sealed::corrupted,
};

/// Which part of the memory the bits may take.
const MEMORY_SHARE: u64 = 8;

/// One kind of the order, with what was fused of it.
#[derive(Clone, Debug)]
pub struct WaterfallKind {
    /// The kind.
    pub kind: KindName,
    /// Its fused files, each with the position of the dataset that it was made of.
    pub files: Vec<(usize, FusedInput)>,
}

/// A dataset, by what the waterfall has to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaterfallDataset {
    /// Whose it is: a position in the list of holders.
    pub holder: usize,
    /// The rows of its source; they are numbered from 1.
    pub rows: u64,
}

/// How many rows of a holder match by one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepRows {
    /// Rows that match by this kind.
    pub matched: u64,
    /// Those of them that match by no kind before it in the order.
    pub first: u64,
}

/// The rows that match, by holder and kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaterfallRows {
    /// The kinds in their order.
    pub order: Vec<KindName>,
    /// The holders that take part, sorted by name.
    pub holders: Vec<HolderRows>,
}

/// The rows of one holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HolderRows {
    /// The holder.
    pub holder: ParticipantId,
    /// The rows of its datasets.
    pub rows: u64,
    /// For each kind of the order.
    pub steps: Vec<StepRows>,
}

/// How often all files are read, given so many rows of all datasets together.
#[must_use]
pub fn passes(datasets: &[WaterfallDataset], limits: &Limits) -> u64 {
    let rows: u64 = datasets.iter().map(|dataset| dataset.rows).sum();
    passes_of(rows, window_rows(limits))
}

/// Matches the kinds one after the other, and counts for each holder the rows that match by each. `holders` must be sorted by
/// name; `progress` is told of the files' rows, with the position of the kind, in each pass. Gives the table of each kind too.
///
/// # Errors
/// [`Error::NoSuchHolder`]; [`Error::Corrupted`] where a row has a number that its dataset does not; those of
/// [`match_datasets`](crate::matching::match_datasets).
pub fn match_in_order(
    kinds: &[WaterfallKind],
    datasets: &[WaterfallDataset],
    holders: &[ParticipantId],
    store_key: &[u8; 32],
    limits: &Limits,
    progress: &(dyn Fn(usize, u64) + Sync),
) -> Result<(Vec<MatchTable>, WaterfallRows)> {
    match_in_windows(kinds, datasets, holders, store_key, limits, window_rows(limits), progress)
}

/// As [`match_in_order`], with bits for so many rows at a time.
fn match_in_windows(
    kinds: &[WaterfallKind],
    datasets: &[WaterfallDataset],
    holders: &[ParticipantId],
    store_key: &[u8; 32],
    limits: &Limits,
    window_rows: u64,
    progress: &(dyn Fn(usize, u64) + Sync),
) -> Result<(Vec<MatchTable>, WaterfallRows)> {
    let out_of_range = |index| Error::NoSuchHolder { holder: index, holders: holders.len() };
    if let Some(dataset) = datasets.iter().find(|dataset| dataset.holder >= holders.len()) {
        return Err(out_of_range(dataset.holder));
    }
    let starts: Vec<u64> = datasets.iter().scan(0, |next, dataset| Some(advance(next, dataset.rows))).collect();
    let total: u64 = datasets.iter().map(|dataset| dataset.rows).sum();
    let bits: Vec<AtomicU64> = (0..window_rows.min(total).div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
    // The bits are memory that matching has not got.
    let rest = Limits { memory_bytes: limits.memory_bytes - limits.memory_bytes / MEMORY_SHARE, ..limits.clone() };
    let mut tables = Vec::new();
    let mut steps = vec![vec![StepRows::default(); kinds.len()]; holders.len()];
    for pass in 0..passes_of(total, window_rows) {
        let begin = pass * window_rows;
        let window = begin..total.min(begin.saturating_add(window_rows));
        bits.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        for (position, WaterfallKind { files, .. }) in kinds.iter().enumerate() {
            if let Some((dataset, _)) = files.iter().find(|(dataset, _)| *dataset >= datasets.len()) {
                return Err(out_of_range(*dataset));
            }
            let inputs: Vec<_> = files.iter().map(|(_, input)| input.clone()).collect();
            let marking = Marking {
                files,
                datasets,
                starts: &starts,
                window: window.clone(),
                bits: &bits,
                counts: Mutex::new(vec![StepRows::default(); holders.len()]),
            };
            let table = match_visiting(&inputs, holders, store_key, &rest, &|rows| progress(position, rows), &marking)?;
            let counts = marking.counts.into_inner().unwrap_or_else(PoisonError::into_inner);
            for (steps, counted) in steps.iter_mut().zip(counts) {
                steps[position].add(counted);
            }
            if pass == 0 {
                tables.push(table);
            }
        }
    }
    let rows_of = |holder| datasets.iter().filter(|dataset| dataset.holder == holder).map(|dataset| dataset.rows).sum();
    let holders = holders.iter().zip(steps).enumerate().map(|(index, (holder, steps))| HolderRows {
        holder: holder.clone(),
        rows: rows_of(index),
        steps,
    });
    let order = kinds.iter().map(|kind| kind.kind.clone()).collect();
    Ok((tables, WaterfallRows { order, holders: holders.collect() }))
}

impl StepRows {
    fn add(&mut self, other: Self) {
        self.matched += other.matched;
        self.first += other.first;
    }
}

/// How many rows have a bit at the same time.
fn window_rows(limits: &Limits) -> u64 {
    (limits.memory_bytes / MEMORY_SHARE).saturating_mul(8).max(64)
}

fn passes_of(rows: u64, window_rows: u64) -> u64 {
    rows.div_ceil(window_rows).max(1)
}

/// Gives the present value and adds to it.
fn advance(next: &mut u64, by: u64) -> u64 {
    let present = *next;
    *next += by;
    present
}

/// Marks the rows that match by one kind, and counts those that were not marked before.
struct Marking<'a> {
    files: &'a [(usize, FusedInput)],
    datasets: &'a [WaterfallDataset],
    /// For each dataset: the position of its first row among the rows of all.
    starts: &'a [u64],
    window: Range<u64>,
    bits: &'a [AtomicU64],
    /// For each holder.
    counts: Mutex<Vec<StepRows>>,
}

impl Visitor for Marking<'_> {
    type Gathered = Vec<StepRows>;

    fn begin(&self) -> Vec<StepRows> {
        vec![StepRows::default(); self.counts.lock().unwrap_or_else(PoisonError::into_inner).len()]
    }

    fn row(&self, gathered: &mut Vec<StepRows>, input: usize, holders: &[u64], row: u64) -> Result<()> {
        let (dataset, file) = &self.files[input];
        let WaterfallDataset { holder, rows } = self.datasets[*dataset];
        if !(1..=rows).contains(&row) {
            return Err(corrupted(&file.path, format!("a row has a number past the {rows} that its holder counted")));
        }
        let position = self.starts[*dataset] + row - 1;
        let shared = holders.iter().map(|word| word.count_ones()).sum::<u32>() > 1;
        if !shared || !self.window.contains(&position) {
            return Ok(());
        }
        let bit = position - self.window.start;
        let mask = 1 << (bit % 64);
        // The threads agree about each bit; nothing else is read by it.
        let before = self.bits[(bit / 64) as usize].fetch_or(mask, Ordering::Relaxed);
        gathered[holder].add(StepRows { matched: 1, first: u64::from(before & mask == 0) });
        Ok(())
    }

    fn end(&self, gathered: Vec<StepRows>) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for (count, gathered) in counts.iter_mut().zip(gathered) {
            count.add(gathered);
        }
    }
}

#[cfg(test)]
mod tests;
