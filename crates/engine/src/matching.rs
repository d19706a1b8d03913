//! Matching: groups the match keys of all holders and counts them by the exact set of holders that have them.
//!
//! It is `GROUP BY match_key` over the union of all fused files, with the party masks combined by bitwise or, and then a
//! count `GROUP BY` mask. What the files already give is used: they are sorted, and keys are uniformly distributed (they are
//! a keyed hash). So the key space is cut into equal ranges, small enough for memory; each core takes a range, reads just
//! that part of every file, and groups it in a table whose slots are in key order, so that a sorted file walks through it
//! from front to back. Nothing is sorted, shuffled or spilled, memory does not depend on the number of rows, and a record
//! costs the same with two holders or with a thousand.
//!
//! Duplicates within a holder, in one file or several, count once.
//!
//! Where rows matter and not only keys ([`crate::waterfall`]), each range is read a second time once its table is full, and a
//! `Visitor` sees every row with the holders of its key.

mod visit;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use datafuse_core::id::ParticipantId;

use crate::{
    error::{Error, Result},
    fused_file::FusedFile,
    match_table::{HolderSet, MatchTable, words},
    runtime::{Limits, Progress, in_this_span},
    sealed::corrupted,
};
pub(crate) use visit::{CountsOnly, Visitor};

/// Fewer rows than this are not worth a range of their own, and with memory for fewer than this nothing can be done.
const WORTHWHILE_ROWS: u64 = 1 << 16;
const LEAST_ROWS: u64 = 1 << 12;

/// Rows of a range: no more memory than is useful, yet some for each file, whose opening costs as much. With ranges of the
/// most rows the positions in a table fit into 32 bits.
const RANGE_ROWS: u64 = 1 << 20;
const RANGE_ROWS_PER_FILE: u64 = 1 << 11;
const MOST_ROWS: u64 = 1 << 28;

/// A fused file to be matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FusedInput {
    /// Whose it is: a position in the list of holders. A holder may have several files.
    pub holder: usize,
    /// Where it lies.
    pub path: PathBuf,
    /// What it was made of.
    pub label: String,
}

/// Matches fused files of one kind. `holders` must be sorted by name; `progress` is told of the files' rows.
///
/// # Errors
/// [`Error::NoSuchHolder`]; [`Error::OutOfMemory`] where the table of a single range does not fit; those of
/// [`FusedFile::open`].
pub fn match_datasets(
    inputs: &[FusedInput],
    holders: &[ParticipantId],
    store_key: &[u8; 32],
    limits: &Limits,
    progress: Progress<'_>,
) -> Result<MatchTable> {
    match_visiting(inputs, holders, store_key, limits, progress, &CountsOnly)
}

/// As [`match_datasets`], and shows each row to a visitor, with the holders of its key.
pub(crate) fn match_visiting(
    inputs: &[FusedInput],
    holders: &[ParticipantId],
    store_key: &[u8; 32],
    limits: &Limits,
    progress: Progress<'_>,
    visitor: &impl Visitor,
) -> Result<MatchTable> {
    if let Some(input) = inputs.iter().find(|input| input.holder >= holders.len()) {
        return Err(Error::NoSuchHolder { holder: input.holder, holders: holders.len() });
    }
    let files = open_all(inputs, store_key, limits.threads())?;
    let job = Job::new(&files, holders.len(), limits)?;
    let regions = job.run(limits.threads(), progress, visitor)?;
    Ok(MatchTable::new(holders.to_vec(), regions))
}

/// A fused file that was opened.
struct OpenInput {
    /// Its position among the inputs.
    input: usize,
    holder: usize,
    file: FusedFile,
}

/// Opens all files, on all cores: with many small files this is what takes time.
fn open_all(inputs: &[FusedInput], store_key: &[u8; 32], threads: usize) -> Result<Vec<OpenInput>> {
    let next = AtomicUsize::new(0);
    let open = || -> Result<Vec<OpenInput>> {
        let mut opened = Vec::new();
        loop {
            let input = next.fetch_add(1, Ordering::Relaxed);
            let Some(FusedInput { holder, path, label }) = inputs.get(input) else { break };
            opened.push(OpenInput { input, holder: *holder, file: FusedFile::open(path, store_key, label)? });
        }
        Ok(opened)
    };
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.min(inputs.len())).map(|_| scope.spawn(in_this_span(open))).collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    });
    let mut files = Vec::with_capacity(inputs.len());
    for result in results {
        files.extend(result.map_err(|_| stopped())??);
    }
    Ok(files)
}

/// The files and how the key space is cut: into `2^range_bits` ranges, each with a table of `2^slot_bits` slots.
struct Job<'a> {
    files: &'a [OpenInput],
    holders: usize,
    range_bits: u32,
    slot_bits: u32,
    limits: &'a Limits,
}

type Regions = HashMap<HolderSet, u64>;

impl<'a> Job<'a> {
    fn new(files: &'a [OpenInput], holders: usize, limits: &'a Limits) -> Result<Self> {
        let rows = files.iter().map(|opened| opened.file.summary().distinct).sum();
        let (range_bits, slot_bits) = cut_of(rows, files.len(), holders, limits)?;
        Ok(Self { files, holders, range_bits, slot_bits, limits })
    }

    fn run<V: Visitor>(&self, threads: usize, progress: Progress<'_>, visitor: &V) -> Result<Regions> {
        let ranges = 1_u64 << self.range_bits;
        let next = AtomicU64::new(0);
        let failed = AtomicBool::new(false);
        let merged = Mutex::new(Regions::new());
        let work = || -> Result<()> {
            let mut table = Table::new(self.holders, self.range_bits, self.slot_bits);
            let mut counts = Counts::new(self.holders);
            let mut gathered = visitor.begin();
            while !failed.load(Ordering::Relaxed) {
                let range = next.fetch_add(1, Ordering::Relaxed);
                if range >= ranges {
                    break;
                }
                self.group(range, &mut table, progress)?;
                if V::WANTS_ROWS {
                    self.visit(range, &table, visitor, &mut gathered)?;
                }
                table.drain(|mask| counts.add(mask));
            }
            visitor.end(gathered);
            counts.merge_into(&mut merged.lock().unwrap_or_else(PoisonError::into_inner));
            Ok(())
        };
        let work = || work().inspect_err(|_| failed.store(true, Ordering::Relaxed));
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..ranges.min(threads as u64)).map(|_| scope.spawn(in_this_span(work))).collect();
            workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| stopped())?)
        })?;
        Ok(merged.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// The first and the last key of a range.
    fn bounds(&self, range: u64) -> (u128, u128) {
        match self.range_bits {
            0 => (0, u128::MAX),
            bits => {
                let first = u128::from(range) << (128 - bits);
                (first, first | (u128::MAX >> bits))
            }
        }
    }

    /// Fills a table with one range of all files.
    fn group(&self, range: u64, table: &mut Table, progress: Progress<'_>) -> Result<()> {
        let (first, last) = self.bounds(range);
        let limit = self.limits.memory_bytes / self.limits.threads() as u64;
        for OpenInput { holder, file, .. } in self.files {
            let (mut rows, mut fits) = (0, true);
            let (word, bit) = (holder / 64, 1 << (holder % 64));
            file.keys(first, last, |key| {
                rows += 1;
                fits = fits && table.insert(key, word, bit, limit);
            })?;
            if !fits {
                return Err(Error::OutOfMemory { work: "matching", limit_bytes: self.limits.memory_bytes });
            }
            progress(rows);
        }
        Ok(())
    }

    /// Reads one range of all files again, and shows each row to the visitor with the holders of its key.
    fn visit<V: Visitor>(&self, range: u64, table: &Table, visitor: &V, gathered: &mut V::Gathered) -> Result<()> {
        let (first, last) = self.bounds(range);
        for OpenInput { input, file, .. } in self.files.iter().filter(|opened| visitor.wants(opened.input)) {
            let mut outcome = Ok(());
            file.keys_and_rows(first, last, |key, row| {
                if outcome.is_ok() {
                    outcome = match table.mask(key) {
                        Some(mask) => visitor.row(gathered, *input, mask, row),
                        // It was there when the table was filled.
                        None => Err(corrupted(file.path(), "its keys, which changed while they were read")),
                    };
                }
            })?;
            outcome?;
        }
        Ok(())
    }
}

/// Cuts the key space for so many distinct rows of so many files: bits of a range, and of a slot within it.
fn cut_of(rows: u64, files: usize, holders: usize, limits: &Limits) -> Result<(u32, u32)> {
    let preferred = RANGE_ROWS.max(RANGE_ROWS_PER_FILE * files as u64).min(MOST_ROWS);
    let fitting = limits.memory_bytes / limits.threads() as u64 / Table::key_bytes(holders);
    if fitting < LEAST_ROWS.min(rows) {
        return Err(Error::OutOfMemory { work: "matching", limit_bytes: limits.memory_bytes });
    }
    let range_rows = preferred.min(fitting).max(1);
    // Enough ranges for every core to have some.
    let ranges = rows.div_ceil(range_rows).max((rows / WORTHWHILE_ROWS).min(4 * limits.threads() as u64)).max(1);
    let range_bits = ranges.next_power_of_two().ilog2();
    // Half full at most. All but impossible to exceed for uniform keys; a table that fills up all the same grows.
    let slot_bits = ((rows >> range_bits) * 2 + 64).next_power_of_two().ilog2();
    Ok((range_bits, slot_bits))
}

/// Keys of one range and their masks, in the order in which they came, and a table with open addressing to find them. The
/// slot of a key is its most significant bits within the range, so that ascending keys visit ascending slots.
struct Table {
    range_bits: u32,
    slot_bits: u32,
    mask_words: usize,
    /// For each slot the position of its key, from 1; 0 where it is free.
    slots: Vec<u32>,
    keys: Vec<u128>,
    /// `mask_words` for each key.
    masks: Vec<u64>,
}

impl Table {
    /// More slots than positions fit into the slots' numbers.
    const MAX_SLOT_BITS: u32 = 31;

    fn new(holders: usize, range_bits: u32, slot_bits: u32) -> Self {
        Self {
            range_bits,
            slot_bits,
            mask_words: words(holders),
            slots: vec![0; 1 << slot_bits],
            keys: Vec::new(),
            masks: Vec::new(),
        }
    }

    /// The most bytes that a key takes, while its table is half empty and its vectors have just grown.
    fn key_bytes(holders: usize) -> u64 {
        (2 * (size_of::<u128>() + words(holders) * size_of::<u64>()) + 4 * size_of::<u32>()) as u64
    }

    /// Adds a holder to a key's mask; `false` where the table would have to grow past `limit_bytes`.
    #[inline]
    fn insert(&mut self, key: u128, word: usize, bit: u64, limit_bytes: u64) -> bool {
        let wrap = self.slots.len() - 1;
        let mut slot = self.slot_of(key);
        loop {
            let position = self.slots[slot] as usize;
            if position == 0 {
                break;
            }
            if self.keys[position - 1] == key {
                self.masks[(position - 1) * self.mask_words + word] |= bit;
                return true;
            }
            slot = (slot + 1) & wrap;
        }
        if (self.keys.len() + 1) * 8 > self.slots.len() * 7 {
            return self.grow(limit_bytes) && self.insert(key, word, bit, limit_bytes);
        }
        self.keys.push(key);
        self.slots[slot] = self.keys.len() as u32;
        let mask = self.masks.len();
        self.masks.resize(mask + self.mask_words, 0);
        self.masks[mask + word] = bit;
        true
    }

    /// The mask of a key.
    #[inline]
    fn mask(&self, key: u128) -> Option<&[u64]> {
        let wrap = self.slots.len() - 1;
        let mut slot = self.slot_of(key);
        loop {
            let index = (self.slots[slot] as usize).checked_sub(1)?;
            if self.keys[index] == key {
                return Some(&self.masks[index * self.mask_words..][..self.mask_words]);
            }
            slot = (slot + 1) & wrap;
        }
    }

    fn slot_of(&self, key: u128) -> usize {
        ((key << self.range_bits) >> (128 - self.slot_bits)) as usize
    }

    /// Doubles the slots.
    #[cold]
    fn grow(&mut self, limit_bytes: u64) -> bool {
        let key_bytes = (size_of::<u128>() + self.mask_words * size_of::<u64>()) as u64;
        let bytes = 2 * (self.slots.len() * size_of::<u32>()) as u64 + 2 * self.keys.len() as u64 * key_bytes;
        if bytes > limit_bytes || self.slot_bits == Self::MAX_SLOT_BITS {
            return false;
        }
        self.slot_bits += 1;
        self.slots = vec![0; 1 << self.slot_bits];
        let wrap = self.slots.len() - 1;
        for (index, key) in self.keys.iter().enumerate() {
            let mut slot = self.slot_of(*key);
            while self.slots[slot] != 0 {
                slot = (slot + 1) & wrap;
            }
            self.slots[slot] = index as u32 + 1;
        }
        true
    }

    /// Gives the mask of every key, and empties the table.
    fn drain(&mut self, each: impl FnMut(&[u64])) {
        self.masks.chunks_exact(self.mask_words).for_each(each);
        self.slots.fill(0);
        self.keys.clear();
        self.masks.clear();
    }
}

/// Counts masks. Of few holders every mask has a counter; of more, those that occur.
enum Counts {
    Few(Vec<u64>),
    OneWord(HashMap<u64, u64>),
    Words(HashMap<Box<[u64]>, u64>),
}

impl Counts {
    const FEW: usize = 12;

    fn new(holders: usize) -> Self {
        match holders {
            0..=Self::FEW => Self::Few(vec![0; 1 << holders]),
            13..=64 => Self::OneWord(HashMap::new()),
            _ => Self::Words(HashMap::new()),
        }
    }

    #[inline]
    fn add(&mut self, mask: &[u64]) {
        match self {
            Self::Few(counts) => counts[mask[0] as usize] += 1,
            Self::OneWord(counts) => *counts.entry(mask[0]).or_default() += 1,
            Self::Words(counts) => match counts.get_mut(mask) {
                Some(count) => *count += 1,
                None => {
                    counts.insert(mask.into(), 1);
                }
            },
        }
    }

    fn merge_into(self, regions: &mut Regions) {
        let mut add = |words: &[u64], count: u64| {
            if count > 0 {
                *regions.entry(HolderSet::from_words(words)).or_default() += count;
            }
        };
        match self {
            Self::Few(counts) => counts.iter().enumerate().for_each(|(mask, count)| add(&[mask as u64], *count)),
            Self::OneWord(counts) => counts.iter().for_each(|(mask, count)| add(&[*mask], *count)),
            Self::Words(counts) => counts.iter().for_each(|(mask, count)| add(mask, *count)),
        }
    }
}

fn stopped() -> Error {
    Error::Internal { work: "matching", source: "a thread stopped".into() }
}

#[cfg(test)]
pub(crate) mod tests;
