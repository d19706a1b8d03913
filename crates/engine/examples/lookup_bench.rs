//! Times look-ups in fused files, for `benches/lookups.sh`:
//!
//! - `lookup_bench write ROWS HOLDERS FOLDER` writes one fused file a holder, with sorted keys;
//! - `lookup_bench look ROWS HOLDERS FOLDER` opens them in a process of its own, so that its memory is that of looking up, and looks up
//!   one key at a time, half of them known; then a scan of one file for one key.
//!
//! Every answer is compared with what is known of the keys.
#![allow(clippy::unwrap_used)]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use arrow::{
    array::{Array, ArrayRef, FixedSizeBinaryArray, UInt64Array},
    datatypes::Schema,
    record_batch::RecordBatch,
};
use datafuse_core::match_key::MatchKey;
use datafuse_engine::{
    fused_file::{FusedFile, FusedWriter, schema},
    fused_index::{FusedIndex, IndexedFile},
};

const KEY: [u8; 32] = [7; 32];
const LABEL: &str = "bench";
const BATCH: u64 = 1 << 16;
const LOOKUPS: u64 = 20_000;

/// The key of a row: sorted and spread over all keys.
fn key(row: u64, rows: u64) -> u128 {
    u128::from(row) * (u128::MAX / u128::from(rows))
}

fn main() {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [mode, rows, holders, folder] = args.as_slice() else {
        panic!("usage: lookup_bench write|look ROWS HOLDERS FOLDER")
    };
    let (rows, holders) = (rows.parse().unwrap(), holders.parse::<u64>().unwrap());
    let paths: Vec<_> = (0..holders).map(|holder| Path::new(folder).join(format!("{rows}-{holder}"))).collect();
    match mode.as_str() {
        "write" => paths.iter().for_each(|path| write(path, rows)),
        "look" => look(&paths, rows),
        _ => panic!("usage: lookup_bench write|look ROWS HOLDERS FOLDER"),
    }
}

fn write(path: &Path, rows: u64) {
    let mut writer = FusedWriter::create(path, &Schema::empty(), &KEY, LABEL).unwrap();
    for start in (0..rows).step_by(BATCH as usize) {
        let range = start..rows.min(start + BATCH);
        let keys = range.clone().map(|row| key(row, rows).to_be_bytes());
        let columns: Vec<ArrayRef> = vec![
            Arc::new(FixedSizeBinaryArray::try_from_iter(keys).unwrap()),
            Arc::new(UInt64Array::from_iter_values(range)),
        ];
        writer.write(&RecordBatch::try_new(schema(&Schema::empty()), columns).unwrap()).unwrap();
    }
    writer.finish().unwrap();
}

fn look(paths: &[PathBuf], rows: u64) {
    let files: Vec<_> = paths.iter().map(|path| IndexedFile { path, label: LABEL }).collect();
    let before = resident();
    let mut index = FusedIndex::default();
    let began = Instant::now();
    index.holds(&files, &KEY, &[]).unwrap();
    let opened = milliseconds(began);
    let mut took: Vec<f64> = (0..LOOKUPS)
        .map(|number| {
            let row = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % rows;
            let known = number % 2 == 0;
            let asked = MatchKey::from_bytes((key(row, rows) + u128::from(!known)).to_be_bytes());
            let began = Instant::now();
            let held = index.holds(&files, &KEY, &[asked]).unwrap();
            let took = milliseconds(began);
            assert_eq!(held, [known]);
            took
        })
        .collect();
    took.sort_by(f64::total_cmp);
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    println!(
        "DataFuse, {} files of {rows} rows: opened in {opened:.1} ms; {LOOKUPS} look-ups: p50 {:.3} ms, p99 {:.3} ms, longest {:.3} \
         ms; {before} KiB resident before, {} KiB after",
        paths.len(),
        at(0.5),
        at(0.99),
        at(1.0),
        resident()
    );
    let wanted = key(rows / 2, rows).to_be_bytes();
    let began = Instant::now();
    let file = FusedFile::open(&paths[0], &KEY, LABEL).unwrap();
    let found: usize = file
        .batches(BATCH as usize)
        .unwrap()
        .map(|batch| {
            let batch = batch.unwrap();
            let keys = batch.column(0).as_any().downcast_ref::<FixedSizeBinaryArray>().unwrap();
            (0..keys.len()).filter(|row| keys.value(*row) == wanted).count()
        })
        .sum();
    assert_eq!(found, 1);
    println!("DataFuse, scan of one file of {rows} rows for one key: {:.1} ms", milliseconds(began));
}

fn milliseconds(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}

/// Memory of this process, in KiB; 0 where the system does not say.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
