//! Mutated inputs at the workload: datasets, sources, agreements, events, queue files, the documents in the mailbox, and the
//! database. Each is an error or the right result; nothing panics, and memory stays within its limits.
//!
//! Enrolment messages, key files and shares are mutated in `parties/hostile.rs` and in `space`'s own tests.

use std::{
    fs,
    path::Path,
    sync::{
        Once,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use datafuse_engine::{
    dataset::{FetchPolicy, ReadOptions, Source, SourceReader},
    report::Report,
};
use datafuse_space::Space;
use datafuse_workload::{
    Outcome, Workload,
    event::Event,
    process,
    queue::{EmbeddedQueue, Queue},
};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::Map;

use crate::{
    long,
    place::block_on,
    seed,
    worlds::{Stage, files, message, names, workload},
};

/// How much more memory than at the start a test may have had at any time.
const MEMORY_BYTES: u64 = 512 << 20;

fn rounds() -> u32 {
    if long() { 10_000 } else { 150 }
}

static PANICS: AtomicU32 = AtomicU32::new(0);

/// Counts panics of all threads, and watches the memory of the process.
struct Watch {
    before_bytes: u64,
}

impl Watch {
    fn begin() -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let usual = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                PANICS.fetch_add(1, Ordering::Relaxed);
                usual(panic);
            }));
        });
        Self { before_bytes: peak_bytes() }
    }

    fn end(self, what: &str, rounds: u32, accepted: u32) {
        assert_eq!(PANICS.load(Ordering::Relaxed), 0, "a thread panicked");
        let more = peak_bytes().saturating_sub(self.before_bytes);
        assert!(more < MEMORY_BYTES, "{what}: {more} bytes more than before");
        println!("{what}: {rounds} mutated, {accepted} accepted, {} MiB more at most", more >> 20);
    }
}

/// The most memory that this process ever had; nothing where the system does not tell.
fn peak_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
}

/// Flips, cuts, doubles, overwrites, swaps or moves some bytes.
fn mutate(bytes: &[u8], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut mutated = bytes.to_vec();
    for _ in 0..=rng.next_u32() % 4 {
        // The ends of a file are where lengths and magic numbers are.
        let length = mutated.len().max(1);
        let at = match rng.next_u32() % 4 {
            0 => length.saturating_sub(1 + rng.next_u32() as usize % length.min(64)),
            1 => rng.next_u32() as usize % length.min(64),
            _ => rng.next_u32() as usize % length,
        };
        let value = [0, 0xff, 0x80, 0x7f, b'"', b'\n', b'{', b','][rng.next_u32() as usize % 8];
        match rng.next_u32() % 7 {
            0 if at < mutated.len() => mutated[at] ^= 1 << (rng.next_u32() % 8),
            1 => mutated.truncate(at.max(1)),
            2 => mutated.insert(at.min(mutated.len()), value),
            3 if at < mutated.len() => mutated[at] = value,
            4 => {
                let end = (at + 1 + rng.next_u32() as usize % 64).min(mutated.len());
                let piece = mutated[at.min(end)..end].to_vec();
                let to = rng.next_u32() as usize % length;
                mutated.splice(to.min(mutated.len())..to.min(mutated.len()), piece);
            }
            5 => {
                let end = (at + 1 + rng.next_u32() as usize % 64).min(mutated.len());
                mutated[at.min(end)..end].fill(value);
            }
            _ => mutated.extend(vec![value; rng.next_u32() as usize % 64]),
        }
    }
    mutated
}

fn handle(workload: &mut Workload, name: &str, number: u32) -> datafuse_workload::Result<Outcome> {
    let event =
        Event::new(format!("{}-{number}", name.replace('_', "-")).parse().unwrap(), name, Map::new(), None).unwrap();
    process(workload, &event, &|_| {})
}

#[test]
fn mutated_datasets_are_refused_or_give_the_right_report() {
    let watch = Watch::begin();
    let mut rng = ChaCha8Rng::seed_from_u64(seed());
    let begin = || {
        let copied = Stage::Waiting.copy();
        let mut workload = workload(&copied.path).unwrap();
        handle(&mut workload, "ENROL", 0).unwrap();
        (copied, workload)
    };
    let (mut copied, mut workload) = begin();
    let path = |copied: &crate::worlds::Copied| copied.path.join("datasets/globex.parquet");
    let good = fs::read(path(&copied)).unwrap();
    let mut accepted = 0;
    for number in 1..=rounds() {
        let mutated = mutate(&good, &mut rng);
        fs::write(path(&copied), &mutated).unwrap();
        match handle(&mut workload, "CHECK_COMMON_CUSTOMERS", number) {
            Ok(Outcome::Reported { report, .. }) => {
                let truth = &Stage::Waiting.world().truth;
                assert_eq!(truth.differences(&report), Vec::<&str>::new(), "mutation {number}");
                accepted += 1;
                (copied, workload) = begin();
            }
            Ok(other) => panic!("mutation {number}: {other:?}"),
            Err(error) => {
                assert!(error.class() != "processor-panicked", "mutation {number}: {error}");
                assert!(names(&copied.path.join("outputs")).is_empty(), "mutation {number} left an output");
            }
        }
    }
    fs::write(path(&copied), &good).unwrap();
    handle(&mut workload, "CHECK_COMMON_CUSTOMERS", 0).unwrap();
    watch.end("protected datasets", rounds(), accepted);
}

#[test]
fn mutated_sources_are_read_or_refused() {
    let watch = Watch::begin();
    let mut rng = ChaCha8Rng::seed_from_u64(seed());
    let folder = tempfile::tempdir().unwrap();
    let csv = {
        let copied = Stage::Founded.copy();
        fs::read(copied.path.join("source/acme.csv")).unwrap()
    };
    let mut json = Vec::new();
    for number in 0..200 {
        json.extend(
            format!("{{\"email\":\"p{number}@example.com\",\"age\":{number},\"nested\":{{\"a\":[1,2]}}}}\n")
                .into_bytes(),
        );
    }
    let parquet = plain_parquet(folder.path());
    let mut read = 0;
    for number in 0..rounds() {
        let (name, good) = [("x.csv", &csv), ("x.json", &json), ("x.parquet", &parquet)][number as usize % 3];
        let path = folder.path().join(name);
        fs::write(&path, mutate(good, &mut rng)).unwrap();
        let options = ReadOptions { batch_rows: 64, ..ReadOptions::default() };
        let reader = SourceReader::open(&Source::Path(path), &options, &FetchPolicy::strict(), None);
        let Ok(reader) = reader else { continue };
        // Rows that cannot be read are rejected; a batch that cannot be read ends the reading.
        if reader.take(10_000).all(|batch| batch.is_ok()) {
            read += 1;
        }
    }
    assert!(read > 0, "some mutations change a value only");
    // A panic of the Parquet decoder is caught where it is called; one that gets further has ended this test.
    PANICS.store(0, Ordering::Relaxed);
    watch.end("CSV, JSON and Parquet sources", rounds(), read);
}

fn plain_parquet(folder: &Path) -> Vec<u8> {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};

    let emails = StringArray::from_iter_values((0..300).map(|number| format!("p{number}@example.com")));
    let columns: [(&str, ArrayRef); 2] =
        [("email", Arc::new(emails)), ("age", Arc::new(Int64Array::from_iter_values(0..300)))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let path = folder.join("good.parquet");
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(fs::File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    fs::read(path).unwrap()
}

#[test]
fn mutated_agreements_are_parsed_or_refused() {
    let watch = Watch::begin();
    let mut rng = ChaCha8Rng::seed_from_u64(seed());
    let good = fs::read(Stage::Founded.copy().path.join("space.yaml")).unwrap();
    let mut parsed = 0;
    for _ in 0..rounds() {
        let text = String::from_utf8_lossy(&mutate(&good, &mut rng)).into_owned();
        match Space::parse(&text) {
            // What is accepted can be written and read again.
            Ok(space) => {
                assert_eq!(Space::parse(&space.to_yaml()).unwrap().root(), space.root());
                parsed += 1;
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    watch.end("agreements", rounds(), parsed);
}

#[test]
fn mutated_events_and_queue_files_are_taken_or_put_aside() {
    let watch = Watch::begin();
    let mut rng = ChaCha8Rng::seed_from_u64(seed());
    let good = message(
        "CHECK_COMMON_CUSTOMERS",
        serde_json::json!({ "holders": ["acme", "globex"], "n": [1, { "a": null }] }),
    );
    let mut accepted = 0;
    let folder = tempfile::tempdir().unwrap();
    let queue = EmbeddedQueue::open(folder.path()).unwrap();
    for round in 0..rounds() {
        let bytes = mutate(&good, &mut rng);
        if Event::parse("mutated".parse().unwrap(), &bytes).is_ok() {
            accepted += 1;
        }
        // Names are mutated as well; what remains a file name at all is put there.
        let name = format!("01J8ZQ4X7M{round:016}.0.event").into_bytes();
        let name = if round % 2 == 0 { name } else { mutate(&name, &mut rng) };
        let place = folder.path().join(["ready", "work", "owners"][(round / 2) as usize % 3]);
        if let Ok(name) = String::from_utf8(name)
            && !name.contains(['/', '\0'])
            && !name.trim_matches('.').is_empty()
        {
            let _ = fs::write(place.join(name), &bytes);
        }
    }
    let mut taken = 0;
    block_on(async {
        while let Some(delivery) = queue.next(Some(Duration::ZERO)).await.unwrap() {
            taken += 1;
            match Event::parse(delivery.id.clone(), &delivery.payload) {
                Ok(_) => queue.acknowledge(&delivery).await.unwrap(),
                Err(error) => queue.dead_letter(&delivery, error.class()).await.unwrap(),
            }
        }
    });
    assert!(taken > 0);
    watch.end("events and queue files", rounds(), accepted);
}

#[test]
fn mutated_documents_in_the_mailbox_are_replaced_or_refused() {
    let watch = Watch::begin();
    let mut rng = ChaCha8Rng::seed_from_u64(seed());
    let copied = Stage::Complete.copy();
    let mailbox = copied.path.join("mailbox");
    let documents: Vec<_> = files(&mailbox).into_iter().map(|file| mailbox.join(file)).collect();
    let good: Vec<_> = documents.iter().map(|path| fs::read(path).unwrap()).collect();
    let mut workload = workload(&copied.path).unwrap();
    for round in 1..=rounds() {
        let index = round as usize % documents.len();
        fs::write(&documents[index], mutate(&good[index], &mut rng)).unwrap();
        handle(&mut workload, "ENROL", round).unwrap();
        let announcement = documents.iter().position(|path| path.to_str().unwrap().contains("announcement")).unwrap();
        assert_eq!(fs::read(&documents[announcement]).unwrap(), good[announcement], "round {round}");
    }
    watch.end("announcements and statuses", rounds(), 0);
}

/// A database has no seal around everything, so an altered number is not always seen; but it stops nobody and opens nothing.
#[test]
fn a_mutated_database_is_an_error_or_a_report() {
    let watch = Watch::begin();
    let mut rng = ChaCha8Rng::seed_from_u64(seed());
    let copied = Stage::Complete.copy();
    let database = copied.path.join("state/state.db");
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(database.with_file_name(format!("state.db{suffix}")));
    }
    let good = fs::read(&database).unwrap();
    let before = files(&copied.path.join("state/fused"));
    let fused: Vec<_> =
        before.iter().map(|name| fs::read(copied.path.join("state/fused").join(name)).unwrap()).collect();
    let mut reported = 0;
    for round in 1..=rounds() {
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(database.with_file_name(format!("state.db{suffix}")));
        }
        for (name, bytes) in before.iter().zip(&fused) {
            fs::write(copied.path.join("state/fused").join(name), bytes).unwrap();
        }
        fs::write(&database, mutate(&good, &mut rng)).unwrap();
        let result = workload(&copied.path).and_then(|mut open| handle(&mut open, "CHECK_COMMON_CUSTOMERS", round));
        match result {
            Ok(Outcome::Reported { folder, .. }) => {
                Report::from_json(&fs::read(folder.join("report.json")).unwrap()).unwrap();
                reported += 1;
                fs::remove_dir_all(folder).unwrap();
            }
            Ok(Outcome::AlreadyDone) => {}
            Ok(other) => panic!("round {round}: {other:?}"),
            Err(error) => assert!(error.class() != "processor-panicked", "round {round}: {error}"),
        }
    }
    assert!(reported > 0, "some mutations hit nothing that is read");
    watch.end("databases", rounds(), reported);
}
