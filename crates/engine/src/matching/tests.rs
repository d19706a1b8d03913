//! Matching against the naive way, and at its edges.

#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, FixedSizeBinaryArray, UInt64Array},
    datatypes::Schema,
    record_batch::RecordBatch,
};
use proptest::prelude::*;
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};
use tempfile::TempDir;

use super::*;
use crate::fused_file::{FusedSummary, FusedWriter, schema};

pub(crate) const KEY: [u8; 32] = [9; 32];

fn holders(n: usize) -> Vec<ParticipantId> {
    (0..n).map(|index| format!("h{index:04}").parse().unwrap()).collect()
}

pub(crate) fn limits() -> Limits {
    Limits { threads: 2, ..Limits::default() }
}

/// Writes a fused file of keys in any order.
fn fused(path: &Path, mut keys: Vec<u128>) -> FusedSummary {
    keys.sort_unstable();
    let mut writer = FusedWriter::create(path, &Schema::empty(), &KEY, "label").unwrap();
    for (index, part) in keys.chunks(8192).enumerate() {
        let bytes: Vec<[u8; 16]> = part.iter().map(|key| key.to_be_bytes()).collect();
        let first = (index * 8192) as u64;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(FixedSizeBinaryArray::try_from_iter(bytes.into_iter()).unwrap()),
            Arc::new(UInt64Array::from_iter_values(first..first + part.len() as u64)),
        ];
        writer.write(&RecordBatch::try_new(schema(&Schema::empty()), columns).unwrap()).unwrap();
    }
    writer.finish().unwrap()
}

/// Fused files of keys, one for each of the given holders.
pub(crate) fn files(datasets: &[(usize, Vec<u128>)]) -> (TempDir, Vec<FusedInput>) {
    let folder = tempfile::tempdir().unwrap();
    let inputs = datasets.iter().enumerate().map(|(index, (holder, keys))| {
        let path = folder.path().join(index.to_string());
        fused(&path, keys.clone());
        FusedInput { holder: *holder, path, label: "label".to_owned() }
    });
    let inputs = inputs.collect();
    (folder, inputs)
}

fn matched(datasets: &[(usize, Vec<u128>)], n: usize) -> MatchTable {
    let (_folder, inputs) = files(datasets);
    match_datasets(&inputs, &holders(n), &KEY, &limits(), &|_| {}).unwrap()
}

/// The definition: every key with every holder that has it.
fn naive(datasets: &[(usize, Vec<u128>)], n: usize) -> MatchTable {
    let mut of_key: BTreeMap<u128, BTreeSet<usize>> = BTreeMap::new();
    for (holder, keys) in datasets {
        for key in keys {
            of_key.entry(*key).or_default().insert(*holder);
        }
    }
    let mut regions: BTreeMap<Vec<usize>, u64> = BTreeMap::new();
    for holders in of_key.into_values() {
        *regions.entry(holders.into_iter().collect()).or_default() += 1;
    }
    MatchTable::new(holders(n), regions.into_iter().map(|(set, count)| (HolderSet::new(n, set), count)))
}

fn random_keys(rng: &mut ChaCha20Rng, n: usize) -> Vec<u128> {
    let mut half = || u128::from(rng.next_u64());
    (0..n).map(|_| half() << 64 | half()).collect()
}

/// Datasets of `rows` keys each, drawn from a common pool so that they overlap.
fn overlapping(holders: usize, rows: usize, seed: u64) -> Vec<(usize, Vec<u128>)> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let pool = random_keys(&mut rng, rows * 3);
    (0..holders)
        .map(|holder| (holder, (0..rows).map(|_| pool[rng.next_u64() as usize % pool.len()]).collect()))
        .collect()
}

#[test]
fn agrees_with_the_naive_way_for_two_holders_in_many_pages() {
    let datasets = overlapping(2, 50_000, 1);
    assert_eq!(matched(&datasets, 2), naive(&datasets, 2));
}

#[test]
fn a_holder_set_reaches_past_64_holders() {
    let datasets = overlapping(70, 200, 2);
    let table = matched(&datasets, 70);
    assert_eq!(table, naive(&datasets, 70));
    assert!(table.unique(69) > 0 && table.matched(69) > 0);
}

#[test]
fn all_sizes_of_masks_agree() {
    for holders in [1, 2, 12, 13, 63, 64, 65, 129] {
        let datasets = overlapping(holders, 60, holders as u64);
        assert_eq!(matched(&datasets, holders), naive(&datasets, holders), "{holders} holders");
    }
}

#[test]
fn two_hundred_small_files_of_few_holders_match() {
    let datasets: Vec<_> = overlapping(200, 50, 3).into_iter().map(|(index, keys)| (index % 3, keys)).collect();
    assert_eq!(matched(&datasets, 3), naive(&datasets, 3));
}

#[test]
fn duplicates_within_a_holder_count_once() {
    let keys: Vec<u128> = (1..=5).map(|key| key << 120).collect();
    let often: Vec<u128> = keys.iter().cycle().take(30_000).copied().collect();
    let datasets = [(0, often.clone()), (0, keys.clone()), (1, often)];
    let table = matched(&datasets, 2);
    assert_eq!(table, naive(&datasets, 2));
    assert_eq!((table.all(), table.distinct()), (5, 5));
}

#[test]
fn files_without_rows_and_holders_without_files_are_empty() {
    let table = matched(&[(0, vec![]), (1, vec![5, 6])], 3);
    assert_eq!([0, 1, 2].map(|holder| table.unique(holder)), [0, 2, 0]);
    assert_eq!(matched(&[], 2).distinct(), 0);
}

#[test]
fn extreme_keys_are_found() {
    let keys = vec![0, 1, u128::MAX - 1, u128::MAX, u128::MAX / 2, u128::MAX / 2 + 1];
    let datasets = [(0, keys.clone()), (1, keys), (65, vec![0, u128::MAX])];
    assert_eq!(matched(&datasets, 66), naive(&datasets, 66));
}

/// The datasets grouped with a given cut of the key space.
fn cut(
    datasets: &[(usize, Vec<u128>)],
    n: usize,
    range_bits: u32,
    slot_bits: u32,
    limits: &Limits,
) -> Result<MatchTable> {
    let (_folder, inputs) = files(datasets);
    let files = open_all(&inputs, &KEY, 2).unwrap();
    let job = Job { files: &files, holders: n, range_bits, slot_bits, limits };
    Ok(MatchTable::new(holders(n), job.run(2, &|_| {}, &CountsOnly)?))
}

#[test]
fn every_cut_of_the_key_space_gives_the_same() {
    for n in [3, 70] {
        let datasets = overlapping(n, 12_000 / n, 4);
        let expected = naive(&datasets, n);
        for (range_bits, slot_bits) in [(0, 16), (1, 15), (3, 13), (8, 6), (2, 6)] {
            assert_eq!(
                cut(&datasets, n, range_bits, slot_bits, &limits()).unwrap(),
                expected,
                "{range_bits} {slot_bits}"
            );
        }
    }
}

#[test]
fn keys_that_are_not_uniform_are_slow_but_right() {
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let crowded = |rng: &mut ChaCha20Rng| (0..2_000).map(|_| u128::MAX - u128::from(rng.next_u64() % 4_000)).collect();
    let datasets = [(0, crowded(&mut rng)), (1, crowded(&mut rng))];
    assert_eq!(cut(&datasets, 2, 4, 6, &limits()).unwrap(), naive(&datasets, 2));
}

#[test]
fn too_little_memory_is_an_error() {
    let datasets = overlapping(2, 5_000, 6);
    let little = Limits { memory_bytes: 64 << 10, ..limits() };
    assert!(matches!(cut(&datasets, 2, 0, 6, &little), Err(Error::OutOfMemory { .. })));
    let (_folder, inputs) = files(&datasets);
    let outcome = match_datasets(&inputs, &holders(2), &KEY, &little, &|_| {});
    assert!(matches!(outcome, Err(Error::OutOfMemory { .. })));
    let enough = Limits { memory_bytes: 4 << 20, ..limits() };
    assert_eq!(match_datasets(&inputs, &holders(2), &KEY, &enough, &|_| {}).unwrap(), naive(&datasets, 2));
}

#[test]
fn tables_keep_to_the_memory_limit_whatever_the_rows() {
    let (_folder, inputs) = files(&overlapping(2, 100, 7));
    let files = open_all(&inputs, &KEY, 1).unwrap();
    for memory_bytes in [64 << 20, 1 << 30] {
        let limits = Limits { memory_bytes, ..limits() };
        for rows in [100_u64, 1_000_000, 20_000_000, 100_000_000, 5_000_000_000] {
            for holders in [2, 1_000] {
                let Ok((range_bits, slot_bits)) = cut_of(rows, files.len(), holders, &limits) else {
                    assert!(holders == 1_000, "{rows} rows in {memory_bytes} bytes");
                    continue;
                };
                let table = (4_u64 << slot_bits) + (rows >> range_bits) * 2 * (16 + 8 * words(holders) as u64);
                assert!(2 * table <= memory_bytes, "{rows} rows: {range_bits} {slot_bits}");
            }
        }
    }
}

#[test]
fn an_unknown_holder_another_label_and_another_key_are_refused() {
    let (_folder, inputs) = files(&[(0, vec![1]), (2, vec![1])]);
    let outcome = match_datasets(&inputs, &holders(2), &KEY, &limits(), &|_| {});
    assert!(matches!(outcome, Err(Error::NoSuchHolder { holder: 2, holders: 2 })));
    let outcome = match_datasets(&inputs, &holders(3), &[0; 32], &limits(), &|_| {});
    assert!(matches!(outcome, Err(Error::WrongKey { .. })));
    let relabelled: Vec<_> =
        inputs.into_iter().map(|input| FusedInput { label: "another".to_owned(), ..input }).collect();
    let outcome = match_datasets(&relabelled, &holders(3), &KEY, &limits(), &|_| {});
    assert!(matches!(outcome, Err(Error::FusedMismatch { .. })));
}

#[test]
fn progress_adds_up_to_all_rows() {
    let datasets = overlapping(3, 1_000, 8);
    let (_folder, inputs) = files(&datasets);
    let told = AtomicU64::new(0);
    let tell = |rows| {
        told.fetch_add(rows, Ordering::Relaxed);
    };
    match_datasets(&inputs, &holders(3), &KEY, &limits(), &tell).unwrap();
    assert_eq!(told.into_inner(), 3_000);
}

#[test]
fn a_fused_file_tells_its_distinct_keys_and_their_set() {
    let folder = tempfile::tempdir().unwrap();
    let once = fused(&folder.path().join("a"), vec![3, 1, 2]);
    let twice = fused(&folder.path().join("b"), vec![1, 2, 3, 3, 1, 1]);
    let other = fused(&folder.path().join("c"), vec![1, 2, 4]);
    assert_eq!((once.rows, once.distinct), (3, 3));
    assert_eq!((twice.rows, twice.distinct), (6, 3));
    assert_eq!(once.fused_set, twice.fused_set);
    assert_ne!(once.fused_set, other.fused_set);
    let opened = FusedFile::open(&folder.path().join("b"), &KEY, "label").unwrap();
    assert_eq!(opened.summary(), &twice);
}

#[test]
fn a_fused_file_cut_or_altered_anywhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fused");
    fused(&path, random_keys(&mut ChaCha20Rng::seed_from_u64(9), 20));
    let bytes = std::fs::read(&path).unwrap();
    let read = || -> Result<usize> {
        let file = FusedFile::open(&path, &KEY, "label")?;
        let mut keys = 0;
        file.keys(0, u128::MAX, |_| keys += 1)?;
        for batch in file.batches(10)? {
            batch?;
        }
        Ok(keys)
    };
    assert_eq!(read().unwrap(), 20);
    for length in 0..bytes.len() {
        std::fs::write(&path, &bytes[..length]).unwrap();
        assert!(read().is_err(), "cut at {length}");
    }
    let note = bytes.windows(14).position(|window| window == b"datafuse-store").unwrap();
    for at in (0..bytes.len()).filter(|at| !(note - 2..note + 14).contains(at)) {
        let mut altered = bytes.clone();
        altered[at] ^= 0x41;
        std::fs::write(&path, &altered).unwrap();
        assert!(read().is_err(), "byte {at}");
    }
}

#[test]
fn a_full_disk_leaves_no_fused_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fused");
    let mut writer = FusedWriter::create(&path, &Schema::empty(), &KEY, "label").unwrap();
    writer.limit_space(100);
    assert!(matches!(writer.finish(), Err(Error::NoSpace { .. })));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn any_range_of_keys_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fused");
    let mut keys = random_keys(&mut ChaCha20Rng::seed_from_u64(10), 60_000);
    fused(&path, keys.clone());
    keys.sort_unstable();
    let file = FusedFile::open(&path, &KEY, "label").unwrap();
    for (first, last) in [(0, u128::MAX), (keys[100], keys[40_000]), (keys[59_999], u128::MAX), (0, keys[0] - 1)] {
        let mut found = Vec::new();
        file.keys(first, last, |key| found.push(key)).unwrap();
        let expected: Vec<u128> = keys.iter().copied().filter(|key| (first..=last).contains(key)).collect();
        assert!(found == expected, "{first:x}..={last:x}");
    }
}

#[test]
fn any_range_of_keys_can_be_read_with_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fused");
    // More rows than fit into one row group, more than a page of either column, and a key that is there often.
    let mut keys = random_keys(&mut ChaCha20Rng::seed_from_u64(11), 1_100_000);
    let often = keys[7];
    keys[..5_000].fill(often);
    fused(&path, keys.clone());
    keys.sort_unstable();
    let file = FusedFile::open(&path, &KEY, "label").unwrap();
    let ranges = [
        (0, u128::MAX),
        (keys[100_001], keys[140_000]),
        (keys[1_048_570], keys[1_048_580]),
        (keys[1_099_999], u128::MAX),
        (often, often),
        (0, keys[0] - 1),
    ];
    for (first, last) in ranges {
        let mut found = Vec::new();
        file.keys_and_rows(first, last, |key, row| found.push((key, row))).unwrap();
        let numbered = (0..).zip(&keys).filter(|(_, key)| (first..=last).contains(*key));
        assert!(found == numbered.map(|(row, key)| (*key, row)).collect::<Vec<_>>(), "{first:x}..={last:x}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, rng_seed: proptest::test_runner::RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn matching_is_the_naive_nested_loop(
        n in 1_usize..6,
        datasets in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(0_u128..40, 0..60)), 0..8),
        spread in any::<u128>(),
    ) {
        let datasets: Vec<_> = datasets
            .into_iter()
            .map(|(holder, keys)| (holder.index(n), keys.into_iter().map(|key| key.wrapping_mul(spread | 1)).collect()))
            .collect();
        prop_assert_eq!(matched(&datasets, n), naive(&datasets, n));
    }
}
