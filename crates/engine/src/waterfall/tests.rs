//! The waterfall against a plain reading of the rows, and at its edges.

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
use tempfile::TempDir;

use super::*;
use crate::{
    fused_file::{FusedWriter, schema},
    matching::match_datasets,
};

const KEY: [u8; 32] = [9; 32];

/// A dataset: whose it is, and for each row its identifier of each kind, if it has one.
type Rows = (usize, Vec<Vec<Option<u128>>>);

fn names(n: usize) -> Vec<ParticipantId> {
    (0..n).map(|index| format!("h{index:02}").parse().unwrap()).collect()
}

fn limits() -> Limits {
    Limits { threads: 2, ..Limits::default() }
}

fn write(path: &Path, mut rows: Vec<(u128, u64)>) {
    rows.sort_unstable();
    let keys: Vec<[u8; 16]> = rows.iter().map(|(key, _)| key.to_be_bytes()).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(keys.into_iter().map(Some), 16).unwrap()),
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(|(_, row)| *row))),
    ];
    let mut writer = FusedWriter::create(path, &Schema::empty(), &KEY, "label").unwrap();
    writer.write(&RecordBatch::try_new(schema(&Schema::empty()), columns).unwrap()).unwrap();
    writer.finish().unwrap();
}

/// Fused files of all kinds of these datasets.
fn files(datasets: &[Rows], kinds: usize) -> (TempDir, Vec<WaterfallKind>, Vec<WaterfallDataset>) {
    let folder = tempfile::tempdir().unwrap();
    let kinds = (0..kinds).map(|kind| {
        let files = datasets.iter().enumerate().map(|(dataset, (holder, rows))| {
            let path = folder.path().join(format!("{kind}-{dataset}"));
            write(&path, (1..).zip(rows).filter_map(|(row, ids)| Some((ids[kind]?, row))).collect());
            (dataset, FusedInput { holder: *holder, path, label: "label".to_owned() })
        });
        WaterfallKind { kind: format!("kind{kind}").parse().unwrap(), files: files.collect() }
    });
    let kinds = kinds.collect();
    let datasets = datasets.iter().map(|(holder, rows)| WaterfallDataset { holder: *holder, rows: rows.len() as u64 });
    (folder, kinds, datasets.collect())
}

/// The definition: a row matches by a kind where another holder has its identifier of that kind.
fn naive(datasets: &[Rows], kinds: usize, holders: usize) -> Vec<Vec<StepRows>> {
    let mut of_key: BTreeMap<(usize, u128), BTreeSet<usize>> = BTreeMap::new();
    for (holder, rows) in datasets {
        for ids in rows {
            for (kind, key) in ids.iter().enumerate().filter_map(|(kind, id)| Some((kind, (*id)?))) {
                of_key.entry((kind, key)).or_default().insert(*holder);
            }
        }
    }
    let mut steps = vec![vec![StepRows::default(); kinds]; holders];
    for (holder, rows) in datasets {
        for ids in rows {
            let by: Vec<_> =
                (0..kinds).filter(|kind| ids[*kind].is_some_and(|id| of_key[&(*kind, id)].len() > 1)).collect();
            for kind in &by {
                steps[*holder][*kind].matched += 1;
                steps[*holder][*kind].first += u64::from(by[0] == *kind);
            }
        }
    }
    steps
}

fn counted(datasets: &[Rows], kinds: usize, holders: usize, limits: &Limits) -> Vec<Vec<StepRows>> {
    let (_folder, kinds, datasets) = files(datasets, kinds);
    let (tables, rows) = match_in_order(&kinds, &datasets, &names(holders), &KEY, limits, &|_, _| {}).unwrap();
    for (kind, table) in kinds.iter().zip(tables) {
        let inputs: Vec<_> = kind.files.iter().map(|(_, input)| input.clone()).collect();
        assert_eq!(table, match_datasets(&inputs, &names(holders), &KEY, limits, &|_| {}).unwrap());
    }
    rows.holders.into_iter().map(|holder| holder.steps).collect()
}

/// Two datasets of the first holder and one of each other; identifiers from a small pool, some missing.
fn people(rows: u64, holders: usize, kinds: u64) -> Vec<Rows> {
    let id = |dataset: u64, row: u64, kind: u64| {
        let draw = (dataset * 1_000_003 + row * 7_919 + kind * 104_729).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 24;
        (!draw.is_multiple_of(5)).then(|| u128::from(draw % (3 * rows)) << 100 | u128::from(kind))
    };
    (0..=holders as u64)
        .map(|dataset| {
            let ids = |row| (0..kinds).map(|kind| id(dataset, row, kind)).collect();
            (dataset.saturating_sub(1) as usize, (0..rows).map(ids).collect())
        })
        .collect()
}

#[test]
fn the_first_kind_by_which_a_row_matches_takes_it() {
    // acme: by both kinds, by the second only, by none, without identifiers. globex: a duplicate.
    let acme = vec![vec![Some(1), Some(11)], vec![Some(2), Some(12)], vec![Some(3), None], vec![None, None]];
    let globex = vec![vec![Some(1), None], vec![Some(1), Some(12)], vec![None, Some(11)]];
    let steps = counted(&[(0, acme), (1, globex)], 2, 2, &limits());
    let rows = |matched, first| StepRows { matched, first };
    assert_eq!(steps[0], [rows(1, 1), rows(2, 1)]);
    assert_eq!(steps[1], [rows(2, 2), rows(2, 1)]);
}

#[test]
fn agrees_with_a_plain_reading_of_many_rows() {
    let datasets = people(4_000, 4, 3);
    let expected = naive(&datasets, 3, 4);
    assert_eq!(counted(&datasets, 3, 4, &limits()), expected);
    assert!(expected.iter().flatten().all(|step| 0 < step.first && step.first <= step.matched));
    assert!(expected.iter().flatten().any(|step| step.first < step.matched));
}

#[test]
fn rows_whose_bits_do_not_fit_are_counted_in_several_passes() {
    let datasets = people(3_000, 3, 2);
    let (_folder, kinds, spaces) = files(&datasets, 2);
    assert_eq!(passes(&spaces, &limits()), 1);
    assert_eq!(passes(&spaces, &Limits { memory_bytes: 1_000, ..limits() }), 12);
    let told = AtomicU64::new(0);
    let tell = |_, rows| {
        told.fetch_add(rows, Ordering::Relaxed);
    };
    let found = match_in_windows(&kinds, &spaces, &names(3), &KEY, &limits(), 1_000, &tell).unwrap();
    let steps: Vec<_> = found.1.holders.into_iter().map(|holder| holder.steps).collect();
    assert_eq!(steps, naive(&datasets, 2, 3));
    let rows = datasets.iter().flat_map(|(_, rows)| rows).flatten().flatten().count() as u64;
    assert_eq!(told.into_inner(), 12 * rows);
}

#[test]
fn a_row_past_the_rows_of_its_dataset_is_refused() {
    let (_folder, kinds, mut datasets) = files(&people(100, 2, 2), 2);
    datasets[0].rows = 50;
    let error = match_in_order(&kinds, &datasets, &names(2), &KEY, &limits(), &|_, _| {}).unwrap_err();
    assert!(matches!(&error, Error::Corrupted { part, .. } if part.contains("past the 50")), "{error}");
    datasets[0].rows = 100;
    datasets.pop();
    let outcome = match_in_order(&kinds, &datasets, &names(2), &KEY, &limits(), &|_, _| {});
    assert!(matches!(outcome, Err(Error::NoSuchHolder { .. })));
}

#[test]
fn a_kind_that_nobody_brings_and_a_holder_without_rows_count_nothing() {
    let steps = counted(&[(0, vec![vec![Some(1), None]]), (1, vec![vec![Some(1), None]])], 2, 3, &limits());
    let one = StepRows { matched: 1, first: 1 };
    assert_eq!(steps, [vec![one, StepRows::default()], vec![one, StepRows::default()], vec![StepRows::default(); 2]]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, rng_seed: proptest::test_runner::RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn the_waterfall_is_the_naive_one(
        holders in 2_usize..5,
        datasets in prop::collection::vec(
            (any::<prop::sample::Index>(), prop::collection::vec(prop::collection::vec(prop::option::of(0_u128..12), 3), 0..30)),
            0..6,
        ),
    ) {
        let datasets: Vec<_> = datasets.into_iter().map(|(holder, rows)| (holder.index(holders), rows)).collect();
        prop_assert_eq!(counted(&datasets, 3, holders, &limits()), naive(&datasets, 3, holders));
    }
}
