//! Lists against a plain reading of the rows, and their files at the edges.

#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, FixedSizeBinaryArray, UInt64Array},
    datatypes::Schema,
    record_batch::RecordBatch,
};
use datafuse_core::{
    id::Epoch,
    keys::PartyKeys,
    list::{ListEnvelope, ListHeader},
    root::Root,
};
use proptest::prelude::*;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

use super::*;
use crate::fused_file::{FusedWriter, schema};

const KEY: [u8; 32] = [9; 32];
const FILE_KEY: [u8; 32] = [3; 32];

/// A dataset: whose it is, and for each row its identifier, if it has one.
type Rows = (usize, Vec<Option<u128>>);
/// The listed rows: dataset among the receiver's, row, number of holders.
type Listed = Vec<(usize, u64, Option<u32>)>;

fn names(n: usize) -> Vec<ParticipantId> {
    (0..n).map(|index| format!("h{index:02}").parse().unwrap()).collect()
}

fn limits() -> Limits {
    Limits { threads: 2, ..Limits::default() }
}

fn keys(seed: u64) -> PartyKeys {
    PartyKeys::generate(&mut ChaCha20Rng::seed_from_u64(seed))
}

fn envelope(join: Join) -> Vec<u8> {
    let header = ListHeader {
        root: Root::from_bytes([1; 32]),
        epoch: Epoch(1),
        event: "01J8ZQ4X7M6V9K3T2N1B0C5D7E".parse().unwrap(),
        workload: keys(1).identity().public_name(),
        holder: keys(2).identity().public_name(),
        join,
        kind: "email".parse().unwrap(),
        with: names(1),
    };
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    ListEnvelope::seal(header, &FILE_KEY, keys(1).identity(), &mut rng).unwrap().encode()
}

fn fused(path: &Path, mut rows: Vec<(u128, u64)>) {
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

fn listed_dataset(index: usize, rows: u64) -> ListedDataset {
    ListedDataset { dataset: format!("d{index}").parse().unwrap(), version: 1, sha256: "00".repeat(32), rows }
}

/// Writes a list of these datasets; windows of so many rows.
fn write(
    datasets: &[Rows],
    (join, receiver, with): (Join, usize, &[usize]),
    holders: usize,
    window_rows: Option<u64>,
    out: &Path,
) -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let (mut files, mut own) = (Vec::new(), Vec::new());
    for (index, (holder, rows)) in datasets.iter().enumerate() {
        let path = folder.path().join(index.to_string());
        fused(&path, (1..).zip(rows).filter_map(|(row, id)| Some(((*id)?, row))).collect());
        let dataset = (*holder == receiver).then(|| {
            own.push(listed_dataset(own.len(), rows.len() as u64));
            own.len() - 1
        });
        files.push((dataset, FusedInput { holder: *holder, path, label: "label".to_owned() }));
    }
    let order = ListOrder { join, receiver, with, datasets: &own, files: &files };
    let mut writer = ListWriter::create(out, join, with.len(), &own, &FILE_KEY, envelope(join))?;
    let window = window_rows.unwrap_or_else(|| super::window_rows(&order, &limits()));
    write_in_windows(&order, &names(holders), &KEY, &limits(), window, &mut writer, &|_| {})?;
    writer.finish().map(drop)
}

fn read(path: &Path, join: Join, with: usize) -> Result<Listed, ListFileError> {
    let file = ListFile::open(path, &FILE_KEY, join, with)?;
    let mut listed = Vec::new();
    for dataset in 0..file.datasets().len() {
        for row in file.rows(dataset)? {
            let (row, holders) = row?;
            listed.push((dataset, row, holders));
        }
    }
    Ok(listed)
}

/// The definition.
fn naive(datasets: &[Rows], (join, receiver, with): (Join, usize, &[usize])) -> Listed {
    let mut at: BTreeMap<u128, BTreeSet<usize>> = BTreeMap::new();
    for (holder, rows) in datasets {
        for id in rows.iter().flatten() {
            at.entry(*id).or_default().insert(*holder);
        }
    }
    let mut listed = Vec::new();
    for (dataset, (_, rows)) in datasets.iter().filter(|(holder, _)| *holder == receiver).enumerate() {
        for (row, id) in (1..).zip(rows) {
            let Some(id) = id else { continue };
            let known = with.iter().filter(|holder| at[id].contains(holder)).count();
            match join {
                Join::Inner if known == with.len() => listed.push((dataset, row, None)),
                Join::Difference if known == 0 => listed.push((dataset, row, None)),
                Join::Left => listed.push((dataset, row, Some(known as u32))),
                _ => {}
            }
        }
    }
    listed
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("acme.list");
    (folder, path)
}

/// Random worlds: up to two datasets of each of up to six holders, identifiers of a small pool, repeated and missing.
fn world() -> impl Strategy<Value = (usize, Vec<Rows>, usize, Vec<usize>)> {
    (2_usize..=6).prop_flat_map(|holders| {
        let id = prop_oneof![1 => Just(None), 6 => (0_u128..30).prop_map(|id| Some(id << 120 | id))];
        let rows = prop::collection::vec(id, 0..40);
        let datasets = prop::collection::vec((0..holders, rows), holders..=2 * holders);
        let with = prop::collection::vec(any::<bool>(), holders);
        (Just(holders), datasets, 0..holders, with).prop_map(|(holders, datasets, receiver, with)| {
            let mut others: Vec<_> = (0..holders).filter(|holder| with[*holder] && *holder != receiver).collect();
            if others.is_empty() {
                others.push((receiver + 1) % holders);
            }
            (holders, datasets, receiver, others)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_list_is_what_a_plain_reading_of_the_rows_finds((holders, datasets, receiver, with) in world()) {
        let (_folder, path) = place();
        for join in Join::ALL {
            let order = (join, receiver, with.as_slice());
            write(&datasets, order, holders, None, &path).unwrap();
            prop_assert_eq!(read(&path, join, with.len()).unwrap(), naive(&datasets, order));
        }
    }
}

/// Some 200,000 rows of the receiver, so that a list of four bits a row has several pieces; few of them have an identifier.
fn large() -> Vec<Rows> {
    let rows = |seed: u128, count: u128, every: u128| {
        (0..count).map(|row| (row + seed).is_multiple_of(every).then_some((row / every * (seed + 3)) << 90)).collect()
    };
    vec![
        (0, rows(0, 150_000, 50)),
        (1, rows(1, 2_000, 2)),
        (0, rows(2, 50_001, 40)),
        (2, rows(3, 1_500, 3)),
        (3, rows(5, 900, 1)),
    ]
}

#[test]
fn windows_change_nothing() {
    let (datasets, (_folder, path)) = (large(), place());
    for join in Join::ALL {
        let order = (join, 0, [1, 2, 3].as_slice());
        write(&datasets, order, 4, None, &path).unwrap();
        let whole = read(&path, join, 3).unwrap();
        assert_eq!(whole, naive(&datasets, order));
        let length = fs::metadata(&path).unwrap().len();
        // One piece at a time.
        write(&datasets, order, 4, Some(file::piece_rows(width(join, 3))), &path).unwrap();
        assert_eq!(read(&path, join, 3).unwrap(), whole);
        assert_eq!(fs::metadata(&path).unwrap().len(), length);
    }
    assert_eq!([1, 2, 14, 15, 254, 255].map(|with| width(Join::Left, with)), [2, 2, 4, 8, 8, 16]);
}

#[test]
fn its_length_does_not_tell_how_many_are_listed() {
    let (_folder, path) = place();
    let ids = |count: u128| (0..10_000).map(|id| (id < count).then_some(id)).collect::<Vec<_>>();
    let lengths = [0, 1, 77, 10_000].map(|count| {
        write(&[(0, ids(10_000)), (1, ids(count))], (Join::Inner, 0, &[1]), 2, None, &path).unwrap();
        assert_eq!(read(&path, Join::Inner, 1).unwrap().len() as u128, count);
        fs::metadata(&path).unwrap().len()
    });
    assert!(lengths.iter().all(|length| *length == lengths[0]), "{lengths:?}");
}

#[test]
fn any_changed_byte_and_any_missing_end_is_found() {
    let (_folder, path) = place();
    let ids: Vec<_> = (0..3_000).map(Some).collect();
    write(&[(0, ids.clone()), (1, ids)], (Join::Inner, 0, &[1]), 2, None, &path).unwrap();
    let good = fs::read(&path).unwrap();
    assert!(!good.windows(8).any(|window| window == [0xff; 8]), "values are not in clear");
    let tail = good.len() - 2_000;
    for at in (0..good.len()).filter(|at| at.is_multiple_of(9_973) || *at >= tail && at.is_multiple_of(13)) {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        // The envelope is verified by who reads it, by its signature.
        let same_envelope = ListFile::inspect(&path).is_ok_and(|found| found.encode() == envelope(Join::Inner));
        assert!(!same_envelope || read(&path, Join::Inner, 1).is_err(), "byte {at} of {}", good.len());
    }
    for length in [0, 3, 11, 1_000, 70_000, good.len() - 1] {
        fs::write(&path, &good[..length.min(good.len() - 1)]).unwrap();
        let error = read(&path, Join::Inner, 1).unwrap_err();
        assert!(error.remedy().is_some(), "{error}");
    }
    fs::write(&path, "row\n1\n").unwrap();
    assert!(matches!(ListFile::inspect(&path), Err(ListFileError::NotAList { .. })));
    // Another join's width, or more holders than were asked.
    fs::write(&path, &good).unwrap();
    assert!(matches!(read(&path, Join::Left, 1), Err(ListFileError::Altered { .. })));
}

#[test]
fn what_a_list_cannot_hold_is_refused_and_leaves_no_file() {
    let (folder, path) = place();
    let ids: Vec<_> = (0..10).map(Some).collect();
    let error = write(&[(0, ids.clone())], (Join::Inner, 0, &[4]), 2, None, &path).unwrap_err();
    assert!(matches!(error, Error::NoSuchHolder { holder: 4, .. }), "{error}");
    let mut writer =
        ListWriter::create(&path, Join::Inner, 1, &[listed_dataset(0, 10)], &FILE_KEY, envelope(Join::Inner)).unwrap();
    writer.limit_space(1_000);
    writer.write([1].into_iter()).unwrap();
    assert!(matches!(writer.finish(), Err(Error::NoSpace { .. })));
    let writer =
        ListWriter::create(&path, Join::Inner, 1, &[listed_dataset(0, 10)], &FILE_KEY, envelope(Join::Inner)).unwrap();
    assert!(matches!(writer.finish(), Err(Error::Internal { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_row_number_that_its_dataset_does_not_have_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (path, out) = (folder.path().join("fused"), folder.path().join("acme.list"));
    for (rows, words) in [(vec![(1, 11)], "past the 10"), (vec![(1, 4), (2, 4)], "the same number")] {
        fused(&path, rows);
        let files = [(Some(0), FusedInput { holder: 0, path: path.clone(), label: "label".to_owned() })];
        let own = [listed_dataset(0, 10)];
        let order = ListOrder { join: Join::Left, receiver: 0, with: &[1], datasets: &own, files: &files };
        let mut writer = ListWriter::create(&out, Join::Left, 1, &own, &FILE_KEY, envelope(Join::Left)).unwrap();
        let error = write_list(&order, &names(2), &KEY, &limits(), &mut writer, &|_| {}).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn row_numbers_and_rows_are_written_as_csv() {
    use crate::dataset::{FetchPolicy, ReadOptions, Source, SourceReader};
    let (folder, path) = place();
    let ids = |ids: &[u128]| ids.iter().map(|id| (*id > 0).then_some(*id)).collect::<Vec<_>>();
    let datasets = [(0, ids(&[1, 2, 0, 3])), (1, ids(&[2, 3])), (0, ids(&[4, 3])), (2, ids(&[3, 4]))];
    let csv = folder.path().join("customers.csv");
    fs::write(&csv, "row,name\n10,\"Ann, A.\"\n20,Bob\n30,\n40,Eve\n").unwrap();
    let out = folder.path().join("matched.csv");
    let open = || {
        let source = Source::Path(csv.clone());
        SourceReader::open(&source, &ReadOptions::default(), &FetchPolicy::strict(), None).unwrap()
    };
    let list = |join: Join, with: &[usize]| {
        write(&datasets, (join, 0, with), 3, None, &path).unwrap();
        ListFile::open(&path, &FILE_KEY, join, with.len()).unwrap()
    };

    let left = list(Join::Left, &[1, 2]);
    assert_eq!(left.count().unwrap(), [3, 2]);
    left.write_row_numbers(&out).unwrap();
    assert_eq!(fs::read_to_string(&out).unwrap(), "dataset,row,holders\nd0,1,0\nd0,2,1\nd0,4,2\nd1,1,1\nd1,2,2\n");
    assert_eq!(left.write_matched(0, open(), &out).unwrap(), 3);
    assert_eq!(
        fs::read_to_string(&out).unwrap(),
        "list_row,holders,row,name\n1,0,10,\"Ann, A.\"\n2,1,20,Bob\n4,2,40,Eve\n"
    );
    let inner = list(Join::Inner, &[1]);
    inner.write_row_numbers(&out).unwrap();
    assert_eq!(fs::read_to_string(&out).unwrap(), "dataset,row\nd0,2\nd0,4\nd1,2\n");
    assert_eq!(inner.write_matched(0, open(), &out).unwrap(), 2);

    // Fewer rows, or more, than the dataset was made of: what is there stays as it was.
    let before = fs::read_to_string(&out).unwrap();
    for rows in ["10,Ann\n20,Bob\n", "1,\n2,\n3,\n4,\n5,\n"] {
        fs::write(&csv, format!("row,name\n{rows}")).unwrap();
        let error = inner.write_matched(0, open(), &out).unwrap_err();
        assert!(matches!(error, ListFileError::OtherSource { expected: 4, .. }), "{error}");
    }
    fs::write(&csv, b"row,name\n10,Ann\n20,B\xffb\n30,\n40,Eve\n").unwrap();
    let error = inner.write_matched(0, open(), &out).unwrap_err();
    assert!(error.to_string().contains("row 2 of it cannot be read"), "{error}");
    assert_eq!(fs::read_to_string(&out).unwrap(), before);
}
