//! Times the matching of fused files of random keys, the making of the report, and protecting and fusing of random addresses.
//!
//! ```text
//! cargo run --profile bench -p datafuse-engine --example match_bench -- match [ROWS] [HOLDERS] [FOLDER]
//! cargo run --profile bench -p datafuse-engine --example match_bench -- report [ROWS] [HOLDERS] [FOLDER]
//! cargo run --profile bench -p datafuse-engine --example match_bench -- fuse [ROWS] [FOLDER]
//! ```
//!
//! `match` makes one fused file of ROWS keys for each holder, half of which every holder has, and beside each a plain Parquet
//! file of the same keys (`keys-N.parquet`, column `match_key`) for other engines; then it matches them several times.
//! `report` makes one fused file of about ROWS keys for each of up to 20 holders, such that every set of holders has keys that exactly
//! it has; it matches them and makes the report (counts, JSON and page) several times, and compares the medians.
//! `fuse` protects and fuses ROWS addresses, and computes the same tokens and keys without any file.
//! Printed are seconds by the clock and of all cores, and the peak of memory.

use std::{
    error::Error,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use arrow::{
    array::{ArrayRef, FixedSizeBinaryArray, RecordBatch, StringArray, UInt64Array},
    buffer::Buffer,
    datatypes::{DataType, Field, Schema},
};
use datafuse_core::{
    fused::ReKey,
    id::{Epoch, ParticipantId},
    keys::PartyKeys,
    kind::Kind,
    match_key::MatchSecret,
    normalize::{Normalization, Profile},
    root::Root,
    token::Tokenizer,
};
use datafuse_engine::{
    Caps,
    dataset::{
        SourceBatch,
        protected::{ProtectedFile, ProtectedWriter},
    },
    fuse::{FuseKeys, FusedOutput, fuse},
    fused_file::{FusedWriter, schema},
    match_table::MatchTable,
    matching::{FusedInput, match_datasets},
    report::{DatasetRef, KindInputs, Provenance, Report, ReportInputs, RowCounts, Threshold},
    report_html,
    runtime::Limits,
    tokenise::{KindSource, ProtectSpec, protect},
};
use parquet::arrow::ArrowWriter;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

const KEY: [u8; 32] = [1; 32];
const BATCH: usize = 8192;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, default: usize| arguments.get(index).map_or(Ok(default), |text| text.parse());
    let folder =
        |index: usize| arguments.get(index).map_or_else(std::env::temp_dir, PathBuf::from).join("datafuse-bench");
    match arguments.first().map(String::as_str) {
        Some("match") => bench_match(number(1, 10_000_000)?, number(2, 2)?, &folder(3)),
        Some("report") => bench_report(number(1, 1_000_000)?, number(2, 10)?, &folder(3)),
        Some("fuse") => bench_fuse(number(1, 1_000_000)?, &folder(2)),
        _ => Err("say 'match', 'report' or 'fuse'".into()),
    }
}

fn bench_match(rows: usize, holders: usize, folder: &Path) -> Outcome {
    std::fs::create_dir_all(folder)?;
    let common: Vec<u128> = keys(0, rows / 2);
    let mut inputs = Vec::new();
    for holder in 0..holders {
        let path = folder.join(format!("fused-{rows}-{holder}"));
        if !path.exists() {
            let mut keys: Vec<u128> = common.iter().copied().chain(keys(holder as u64 + 1, rows - rows / 2)).collect();
            write_plain(&folder.join(format!("keys-{rows}-{holder}.parquet")), &keys)?;
            keys.sort_unstable();
            write_fused(&path, &keys)?;
        }
        inputs.push(FusedInput { holder, path, label: "bench".to_owned() });
    }
    let names: Vec<ParticipantId> =
        (0..holders).map(|holder| format!("h{holder:05}").parse()).collect::<Result<_, _>>()?;
    for run in 1..=5 {
        let timer = Timer::start();
        let table = match_datasets(&inputs, &names, &KEY, &Limits::default(), &|_| {})?;
        timer.print(&format!("match {run}: {holders} x {rows} rows, {} at all", table.all()), rows * holders);
        assert_eq!(table.all(), (rows / 2) as u64);
    }
    Ok(())
}

fn bench_report(rows: usize, holders: usize, folder: &Path) -> Outcome {
    if !(2..=20).contains(&holders) {
        return Err("from 2 to 20 holders: every set of them is a region".into());
    }
    std::fs::create_dir_all(folder)?;
    let mut inputs = Vec::new();
    for holder in 0..holders {
        let path = folder.join(format!("report-{rows}-{holders}-{holder}"));
        if !path.exists() {
            let mut keys = keys_of_sets(2 * rows, holders, holder);
            keys.sort_unstable();
            write_fused(&path, &keys)?;
        }
        inputs.push(FusedInput { holder, path, label: "bench".to_owned() });
    }
    let names: Vec<ParticipantId> =
        (0..holders).map(|holder| format!("h{holder:05}").parse()).collect::<Result<_, _>>()?;
    let (mut matching, mut reporting) = (Vec::new(), Vec::new());
    for run in 1..=5 {
        let timer = Timer::start();
        let table = match_datasets(&inputs, &names, &KEY, &Limits::default(), &|_| {})?;
        matching.push(timer.wall.elapsed());
        timer.print(&format!("match {run}: {holders} x {rows} rows, {} regions", table.regions.len()), rows * holders);
        let inputs = report_inputs(table)?;
        let timer = Timer::start();
        let report = Report::build(inputs)?;
        let (json, page) = (report.to_json_pretty(), report_html::render(&report));
        reporting.push(timer.wall.elapsed());
        timer.print(&format!("report {run}: {} and {} bytes", json.len(), page.len()), rows * holders);
    }
    let [matching, reporting] = [matching, reporting].map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64()
    });
    let share = 100.0 * reporting / matching;
    println!("medians: match {matching:.4} s, report {reporting:.4} s, which is {share:.2} % of it");
    Ok(())
}

/// Of so many keys, each at a random set of holders, those of one holder.
fn keys_of_sets(count: usize, holders: usize, holder: usize) -> Vec<u128> {
    let mut rng = ChaCha8Rng::seed_from_u64(holders as u64);
    let mut drawn = || (u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64()), rng.next_u64());
    (0..count).map(|_| drawn()).filter(|(_, set)| set >> holder & 1 == 1).map(|(key, _)| key).collect()
}

/// What a workload adds to a table, with a threshold that withholds some of it.
fn report_inputs(table: MatchTable) -> Outcome<ReportInputs> {
    let rows = (0..table.holders.len()).map(|index| RowCounts { rows: table.unique(index), ..RowCounts::default() });
    let rows = table.holders.iter().cloned().zip(rows).collect();
    let datasets = table.holders.iter().map(|holder| {
        let dataset = "customers".parse()?;
        Ok(DatasetRef { holder: holder.clone(), dataset, version: 1, sha256: "00".repeat(32), unauthenticated: false })
    });
    Ok(ReportInputs {
        threshold: Threshold { min_count: 10, ..Threshold::default() },
        rules: Vec::new(),
        provenance: Provenance {
            space: "bench".parse()?,
            root: "00".repeat(32),
            epoch: Epoch(1),
            event: "bench".parse()?,
            event_type: "CHECK_COMMON_CUSTOMERS".to_owned(),
            answered_from: None,
            datasets: datasets.collect::<Outcome<_>>()?,
            datafuse: env!("CARGO_PKG_VERSION").to_owned(),
            at: "2026-11-26T00:00:00Z".to_owned(),
        },
        kinds: vec![KindInputs { kind: "email".parse()?, rows, table }],
    })
}

fn bench_fuse(rows: usize, folder: &Path) -> Outcome {
    std::fs::create_dir_all(folder)?;
    let root = Root::from_bytes([1; 32]);
    let keys = PartyKeys::generate(&mut ChaCha8Rng::seed_from_u64(1));
    let kind = Kind::single("email".parse()?, Profile::EmailV1, None);
    let token_key = keys.token().token_key(&root, Epoch(1))?;
    let tokenizer = Tokenizer::new(&root, &kind, token_key.clone());
    let mut two = [0; 32];
    two[0] = 2;
    let (rekey, secret) = (ReKey::from_bytes(&two)?, MatchSecret::from_bytes([2; 32]));

    let batches = |first: usize| source_batch(first * BATCH, BATCH.min(rows - first * BATCH));
    let batch_count = rows.div_ceil(BATCH);
    let timer = Timer::start();
    (0..batch_count).for_each(|index| drop(std::hint::black_box(batches(index))));
    timer.print("making the source", rows);

    // The same work without any file, on as many threads.
    let threads = Limits::default().threads;
    let timer = Timer::start();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (kind, tokenizer, rekey, secret) = (&kind, &tokenizer, &rekey, &secret);
            scope.spawn(move || {
                for index in (thread..batch_count).step_by(threads) {
                    let identifiers: Vec<_> = (0..BATCH.min(rows - index * BATCH))
                        .filter_map(|row| match kind.normalize(&[Some(address(index * BATCH + row).as_bytes())]) {
                            Normalization::Valid(identifier) => Some(identifier),
                            _ => None,
                        })
                        .collect();
                    let tokens = tokenizer.tokenize(&identifiers);
                    std::hint::black_box(rekey.fuse(&tokens).map(|fused| secret.match_keys(&fused)).is_ok());
                }
            });
        }
    });
    timer.print("tokens and match keys, without files", rows);

    let path = folder.join("bench.parquet");
    let spec = ProtectSpec {
        kinds: vec![KindSource {
            kind: kind.clone(),
            columns: vec!["email".to_owned()],
            tokenizer: Tokenizer::new(&root, &kind, token_key),
        }],
        keep: vec![],
    };
    let timer = Timer::start();
    let writer = ProtectedWriter::create(&path, &Schema::empty(), &spec.kind_names(), &KEY, vec![])?;
    let source = (0..batch_count).map(|index| Ok(batches(index)));
    let summary = protect(source, &spec, writer, None, threads, &|_| {})?;
    timer.print(&format!("protect, {} bytes", summary.delivered.bytes), rows);

    let timer = Timer::start();
    let dataset = ProtectedFile::open(&path, &KEY, &Caps::default())?;
    let out = folder.join("bench.fused");
    let output = FusedOutput { path: &out, store_key: &KEY, label: "bench" };
    let keys = FuseKeys { rekey: &rekey, match_secret: &secret };
    let summary = fuse(&dataset, kind.name(), &keys, &output, &Limits::default(), &|_| {})?;
    timer.print(&format!("fuse, {} distinct", summary.distinct), rows);
    Ok(())
}

fn address(row: usize) -> String {
    format!("someone{}.{row}@mail{}.example", row.wrapping_mul(2_654_435_761) % 100_000, row % 97)
}

fn source_batch(first: usize, rows: usize) -> SourceBatch {
    let schema = Arc::new(Schema::new(vec![Field::new("email", DataType::Utf8, true)]));
    let column: ArrayRef = Arc::new(StringArray::from_iter_values((first..first + rows).map(address)));
    SourceBatch {
        rows: (first as u64 + 1..=(first + rows) as u64).collect(),
        batch: RecordBatch::try_new(schema, vec![column]).unwrap_or_else(|error| panic!("{error}")),
        rejected: vec![],
    }
}

fn keys(seed: u64, count: usize) -> Vec<u128> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64())).collect()
}

fn key_array(keys: &[u128]) -> Outcome<ArrayRef> {
    let bytes: Vec<u8> = keys.iter().flat_map(|key| key.to_be_bytes()).collect();
    Ok(Arc::new(FixedSizeBinaryArray::try_new(16, Buffer::from_vec(bytes), None)?))
}

fn write_fused(path: &Path, keys: &[u128]) -> Outcome {
    let mut writer = FusedWriter::create(path, &Schema::empty(), &KEY, "bench")?;
    for (index, part) in keys.chunks(BATCH).enumerate() {
        let first = (index * BATCH) as u64;
        let rows: ArrayRef = Arc::new(UInt64Array::from_iter_values(first..first + part.len() as u64));
        writer.write(&RecordBatch::try_new(schema(&Schema::empty()), vec![key_array(part)?, rows])?)?;
    }
    writer.finish()?;
    Ok(())
}

fn write_plain(path: &Path, keys: &[u128]) -> Outcome {
    let schema = Arc::new(Schema::new(vec![Field::new("match_key", DataType::FixedSizeBinary(16), false)]));
    let mut writer = ArrowWriter::try_new(File::create(path)?, Arc::clone(&schema), None)?;
    for part in keys.chunks(BATCH) {
        writer.write(&RecordBatch::try_new(Arc::clone(&schema), vec![key_array(part)?])?)?;
    }
    writer.close()?;
    Ok(())
}

/// Seconds by the clock and of all cores.
struct Timer {
    wall: Instant,
    cpu: f64,
}

impl Timer {
    fn start() -> Self {
        Self { wall: Instant::now(), cpu: cpu_seconds() }
    }

    fn print(&self, what: &str, rows: usize) {
        let (wall, cpu) = (self.wall.elapsed().as_secs_f64(), cpu_seconds() - self.cpu);
        let each = cpu * 1e6 / rows as f64;
        println!("{what}: {wall:.3} s, {cpu:.2} CPU s, {each:.3} CPU us a row, peak {} MiB", peak_mebibytes());
    }
}

/// User and system time of this process; Linux only, elsewhere 0.
fn cpu_seconds() -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}

fn peak_mebibytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0) / 1024
}
