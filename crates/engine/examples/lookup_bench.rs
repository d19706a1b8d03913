//! Times look-ups in fused files: `cargo run --release -p datafuse-engine --example lookup_bench -- [ROWS [HOLDERS]]`.
//!
//! Writes one fused file a holder with sorted keys, opens them, and looks up one key at a time, half of them known.
#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Instant};

use arrow::{
    array::{ArrayRef, FixedSizeBinaryArray, UInt64Array},
    datatypes::Schema,
    record_batch::RecordBatch,
};
use datafuse_core::match_key::MatchKey;
use datafuse_engine::{
    fused_file::{FusedWriter, schema},
    fused_index::{FusedIndex, IndexedFile},
};

const KEY: [u8; 32] = [7; 32];
const BATCH: u64 = 1 << 16;
const LOOKUPS: u64 = 2_000;

/// The key of a row: sorted and spread over all keys.
fn key(row: u64, rows: u64) -> u128 {
    u128::from(row) * (u128::MAX / u128::from(rows))
}

fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u64>().unwrap());
    let (rows, holders) = (args.next().unwrap_or(1_000_000), args.next().unwrap_or(1));
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..holders).map(|holder| folder.path().join(holder.to_string())).collect();
    for path in &paths {
        let mut writer = FusedWriter::create(path, &Schema::empty(), &KEY, "bench").unwrap();
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
    let files: Vec<_> = paths.iter().map(|path| IndexedFile { path, label: "bench" }).collect();
    let mut index = FusedIndex::default();
    let began = Instant::now();
    index.holds(&files, &KEY, &[]).unwrap();
    println!("opened {holders} files of {rows} rows in {:.1} ms", began.elapsed().as_secs_f64() * 1e3);
    let mut took: Vec<f64> = (0..LOOKUPS)
        .map(|number| {
            let row = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % rows;
            let known = number % 2 == 0;
            let asked = MatchKey::from_bytes((key(row, rows) + u128::from(!known)).to_be_bytes());
            let began = Instant::now();
            let held = index.holds(&files, &KEY, &[asked]).unwrap();
            let took = began.elapsed().as_secs_f64() * 1e3;
            assert_eq!(held, [known]);
            took
        })
        .collect();
    took.sort_by(f64::total_cmp);
    let at = |share: f64| took[(took.len() as f64 * share) as usize];
    println!("{LOOKUPS} look-ups: p50 {:.3} ms, p99 {:.3} ms, longest {:.3} ms", at(0.5), at(0.99), at(0.9999));
    let peak = std::fs::read_to_string("/proc/self/status").ok();
    if let Some(line) = peak.as_ref().and_then(|status| status.lines().find(|line| line.starts_with("VmRSS"))) {
        println!("{line}");
    }
}
