//! From source rows over a protected dataset to a fused file, with bad tokens, full memory and full disks on the way.

#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, fs, path::PathBuf, sync::atomic::AtomicUsize};

use arrow::{
    array::{DictionaryArray, StringArray, UInt64Array},
    datatypes::{DataType, Field, Int32Type, Schema},
};
use datafuse_core::{id::Epoch, keys::PartyKeys, kind::Kind, normalize::Profile, root::Root, token::Tokenizer};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use tempfile::TempDir;

use super::*;
use crate::{
    Caps,
    dataset::{
        Quarantine, SourceBatch,
        protected::{DatasetCounts, KindCounts, ProtectedWriter},
    },
    fused_file::FusedFile,
    tokenise::{KindSource, ProtectSpec, ProtectSummary, protect},
};

const FILE_KEY: [u8; 32] = [3; 32];
const STORE_KEY: [u8; 32] = [4; 32];
const CANARY: &str = "canary kept value";

fn kind(name: &str) -> KindName {
    name.parse().unwrap()
}

fn spec(keep: &[&str]) -> ProtectSpec {
    let keys = PartyKeys::generate(&mut ChaCha20Rng::seed_from_u64(1));
    let root = Root::from_bytes([1; 32]);
    let kinds = ["phone", "email"].map(|name| {
        let profile = if name == "email" { Profile::EmailV1 } else { Profile::PhoneE164V1 };
        let kind = Kind::single(kind(name), profile, Some("BE".to_owned()).filter(|_| name == "phone"));
        let tokenizer = Tokenizer::new(&root, &kind, keys.token().token_key(&root, Epoch(1)).unwrap());
        KindSource { kind, columns: vec![name.to_owned()], tokenizer }
    });
    ProtectSpec { kinds: kinds.into(), keep: keep.iter().map(ToString::to_string).collect() }
}

fn source_batch(first_row: u64, columns: &[(&str, Vec<Option<String>>)]) -> SourceBatch {
    let fields: Vec<_> = columns.iter().map(|(name, _)| Field::new(*name, DataType::Utf8, true)).collect();
    let arrays: Vec<ArrayRef> =
        columns.iter().map(|(_, values)| Arc::new(StringArray::from(values.clone())) as _).collect();
    let rows = columns[0].1.len() as u64;
    SourceBatch {
        rows: (first_row..first_row + rows).collect(),
        batch: RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap(),
        rejected: vec![],
    }
}

struct World {
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn protect(
        &self,
        batches: Vec<SourceBatch>,
        keep: &[&str],
        quarantine: Option<&mut Quarantine>,
    ) -> Result<ProtectSummary> {
        let spec = spec(keep);
        let kept = spec.kept(batches[0].batch.schema_ref())?;
        let writer = ProtectedWriter::create(&self.path("protected"), &kept, &spec.kind_names(), &FILE_KEY, vec![1])?;
        protect(batches.into_iter().map(Ok), &spec, writer, quarantine, 2, &|_| {})
    }

    fn open(&self) -> ProtectedFile {
        ProtectedFile::open(&self.path("protected"), &FILE_KEY, &Caps::default()).unwrap()
    }

    fn fuse(&self, name: &str, limits: &Limits) -> Result<(FusedSummary, u64)> {
        self.fuse_with(name, limits, [5; 32], &|_| {})
    }

    fn fuse_with(
        &self,
        name: &str,
        limits: &Limits,
        w: [u8; 32],
        progress: Progress<'_>,
    ) -> Result<(FusedSummary, u64)> {
        let mut two = [0; 32];
        two[0] = 2;
        let keys = FuseKeys { rekey: &ReKey::from_bytes(&two).unwrap(), match_secret: &MatchSecret::from_bytes(w) };
        let path = self.path(name);
        let out = FusedOutput { path: &path, store_key: &STORE_KEY, label: name };
        fuse_and_tell(&self.open(), &kind("email"), &keys, &out, limits, progress)
    }
}

fn limits() -> Limits {
    Limits { threads: 2, ..Limits::default() }
}

/// Addresses of which every tenth is blank, every eleventh invalid, and many repeat.
fn addresses(rows: u64) -> Vec<Option<String>> {
    (0..rows)
        .map(|row| match row {
            row if row % 10 == 0 => None,
            row if row % 11 == 0 => Some(format!("nobody{row}")),
            row => Some(format!("Person{}@Example.com ", row % 700)),
        })
        .collect()
}

#[test]
fn a_source_becomes_a_sorted_fused_file() {
    let world = World::new();
    let emails = addresses(2_000);
    let phones: Vec<_> = (0..2_000).map(|row| (row % 4 == 0).then(|| format!("+3247012{row:04}"))).collect();
    let segments: Vec<_> = (0..2_000).map(|row| Some(format!("segment {row}"))).collect();
    let batches = (0..4)
        .map(|part| {
            let of = |values: &[Option<String>]| values[part * 500..][..500].to_vec();
            let columns = [("email", of(&emails)), ("phone", of(&phones)), ("segment", of(&segments))];
            source_batch(part as u64 * 500 + 1, &columns)
        })
        .collect();
    let summary = world.protect(batches, &["segment"], None).unwrap();
    let valid = emails.iter().flatten().filter(|email| email.contains('@')).count() as u64;
    let email = &summary.kinds[&kind("email")];
    assert_eq!((summary.rows, email.valid, email.empty), (2_000, valid, 200));
    assert_eq!(email.invalid.iter().collect::<Vec<_>>(), [(&"no @".to_owned(), &(2_000 - 200 - valid))]);
    let written =
        (0..2_000).filter(|row| phones[*row].is_some() || emails[*row].as_ref().is_some_and(|e| e.contains('@')));
    assert_eq!(summary.delivered.rows, written.count() as u64);
    assert_eq!(world.open().counts().valid(&kind("phone")), Some(500));

    let (fused, spilled) = world.fuse("fused", &limits()).unwrap();
    let distinct: BTreeSet<_> = emails.iter().flatten().filter(|email| email.contains('@')).collect();
    assert_eq!((fused.rows, fused.distinct, spilled), (valid, distinct.len() as u64, 0));

    let file = FusedFile::open(&world.path("fused"), &STORE_KEY, "fused").unwrap();
    let mut last = Vec::new();
    let mut of_address = std::collections::BTreeMap::new();
    for batch in file.batches(300).unwrap() {
        let batch = batch.unwrap();
        let keys = batch.column(0).as_fixed_size_binary();
        let rows = batch.column(1).as_primitive::<UInt64Type>();
        let kept = batch.column(2).as_string::<i32>();
        for index in 0..batch.num_rows() {
            assert!(last.as_slice() <= keys.value(index), "sorted");
            last = keys.value(index).to_vec();
            let row = rows.value(index) as usize - 1;
            assert_eq!(kept.value(index), format!("segment {row}"));
            let key = of_address.entry(emails[row].clone()).or_insert_with(|| last.clone());
            assert_eq!(*key, last, "one key for one address");
        }
    }
    assert_eq!(of_address.len(), distinct.len());
    assert_eq!(of_address.values().collect::<BTreeSet<_>>().len(), distinct.len(), "another key for another address");
}

#[test]
fn rows_that_a_wider_profile_would_change_are_counted() {
    let world = World::new();
    let emails = [
        "ann.example@gmail.com",
        " Ann.Example+news@GoogleMail.com",
        "annexample@gmail.com",
        "ann.example@example.org",
        "+@gmail.com",
        "nobody",
        "bob@googlemail.com",
    ];
    // In two batches; the third and the fourth are as they would be, the fifth would be refused.
    let batch = |first: usize, part: &[&str]| {
        let emails = part.iter().map(|email| Some((*email).to_owned())).collect();
        source_batch(first as u64, &[("email", emails), ("phone", vec![None; part.len()])])
    };
    let summary = world.protect(vec![batch(1, &emails[..2]), batch(3, &emails[2..])], &[], None).unwrap();
    assert_eq!(summary.kinds[&kind("email")].would_change, [(Profile::EmailGmailV1, 3)].into());
    assert!(summary.kinds[&kind("phone")].would_change.is_empty());
    let counts = world.open().counts().clone();
    assert_eq!(counts.would_change, [(kind("email"), [(Profile::EmailGmailV1, 3)].into())].into());
}

#[test]
fn a_dictionary_is_kept_as_its_values() {
    let world = World::new();
    let emails = vec![Some("a@b.example".to_owned()), None, Some("c@d.example".to_owned())];
    let mut batch = source_batch(1, &[("email", emails), ("phone", vec![None; 3])]);
    let segments: DictionaryArray<Int32Type> = [Some("gold"), Some("iron"), None].into_iter().collect();
    let columns = batch.batch.columns().iter().cloned().chain([Arc::new(segments) as ArrayRef]).collect();
    let mut fields = batch.batch.schema().fields().to_vec();
    fields.push(Arc::new(Field::new_dictionary("segment", DataType::Int32, DataType::Utf8, true)));
    batch.batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    world.protect(vec![batch], &["segment"], None).unwrap();
    let read = world.open().batches(&kind("email"), 10).unwrap().next().unwrap().unwrap();
    assert_eq!(read.column(2).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("gold"), None]);
}

#[test]
fn another_match_secret_gives_other_keys() {
    let world = World::new();
    let batch = source_batch(1, &[("email", vec![Some("a@b.example".to_owned())]), ("phone", vec![None])]);
    world.protect(vec![batch], &[], None).unwrap();
    let (one, _) = world.fuse("one", &limits()).unwrap();
    let (again, _) = world.fuse("again", &limits()).unwrap();
    let (other, _) = world.fuse_with("other", &limits(), [6; 32], &|_| {}).unwrap();
    assert_eq!(one.fused_set, again.fused_set);
    assert_ne!(one.fused_set, other.fused_set);
}

#[test]
fn rejected_rows_are_counted_and_go_to_the_quarantine() {
    let world = World::new();
    let mut batch = source_batch(
        1,
        &[("email", vec![Some("a@b.example".to_owned()), Some("nobody".to_owned())]), ("phone", vec![None, None])],
    );
    batch.rows = vec![1, 3];
    batch.rejected = vec![crate::dataset::Rejected {
        row: 2,
        column: None,
        reason: "too few fields".to_owned(),
        original: crate::dataset::Original::Raw(b"x".to_vec()),
    }];
    let path = world.path("quarantine.csv");
    let mut quarantine = Quarantine::new(&path, &["email".to_owned(), "phone".to_owned()]);
    let summary = world.protect(vec![batch], &[], Some(&mut quarantine)).unwrap();
    quarantine.finish().unwrap();
    assert_eq!((summary.rows, summary.rejected, summary.delivered.rows), (3, 1, 1));
    assert_eq!(summary.kinds[&kind("email")].invalid_rows(), 2);
    assert_eq!(summary.kinds[&kind("phone")].invalid_rows(), 1);
    assert_eq!(summary.kinds[&kind("phone")].empty, 2);
    let counts = world.open().counts().clone();
    assert_eq!(counts.kinds[&kind("email")], KindCounts { empty: 0, invalid: 2 });
    let text = fs::read_to_string(path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[1].starts_with("2,") && lines[1].contains("too few fields"), "{text}");
    assert!(lines[2].starts_with("3,email,no @") && lines[2].contains("nobody"), "{text}");
}

#[test]
fn a_missing_and_a_too_long_column_are_named() {
    let world = World::new();
    let columns = |segment: String| {
        [("email", vec![Some("a@b.example".to_owned())]), ("phone", vec![None]), ("segment", vec![Some(segment)])]
    };
    let error = world.protect(vec![source_batch(1, &columns("x".to_owned()))], &["missing"], None).unwrap_err();
    assert!(matches!(error, Error::ColumnNotFound { .. }), "{error}");
    let error = world.protect(vec![source_batch(8, &columns("x".repeat(65 << 10)))], &["segment"], None).unwrap_err();
    assert_eq!(error.to_string(), "column 'segment', row 8: the value has 66560 bytes, kept values have at most 65536");
    assert!(!world.path("protected").exists());
}

#[test]
fn an_error_of_the_source_leaves_no_dataset() {
    let world = World::new();
    let spec = spec(&[]);
    let writer =
        ProtectedWriter::create(&world.path("protected"), &Schema::empty(), &spec.kind_names(), &FILE_KEY, vec![])
            .unwrap();
    let source = std::iter::once(Err(Error::Truncated { path: "source".into() }));
    assert!(matches!(protect(source, &spec, writer, None, 2, &|_| {}), Err(Error::Truncated { .. })));
    assert_eq!(fs::read_dir(world.folder.path()).unwrap().count(), 0);
}

/// A dataset of one kind with the given tokens, rows numbered from 1001.
fn dataset_of(world: &World, tokens: &[Option<[u8; 32]>], counts: KindCounts) {
    let mut writer =
        ProtectedWriter::create(&world.path("protected"), &Schema::empty(), &[kind("email")], &FILE_KEY, vec![])
            .unwrap();
    let rows = UInt64Array::from_iter_values(1_001..1_001 + tokens.len() as u64);
    let array = FixedSizeBinaryArray::try_from_sparse_iter_with_size(tokens.iter().copied(), 32).unwrap();
    let batch = RecordBatch::try_new(Arc::clone(writer.schema()), vec![Arc::new(rows), Arc::new(array)]).unwrap();
    writer.write(&batch).unwrap();
    let kinds = [(kind("email"), counts)].into();
    writer.finish(&DatasetCounts { rows: tokens.len() as u64, kinds, ..DatasetCounts::default() }).unwrap();
}

fn valid_tokens(n: usize) -> Vec<Option<[u8; 32]>> {
    let spec = spec(&[]);
    let email = &spec.kinds[1];
    let identifiers: Vec<_> = (0..n)
        .map(|index| match email.kind.normalize(&[Some(format!("p{index}@b.example").as_bytes())]) {
            datafuse_core::normalize::Normalization::Valid(identifier) => identifier,
            _ => panic!("valid"),
        })
        .collect();
    email.tokenizer.tokenize(&identifiers).iter().map(|token| Some(*token.as_bytes())).collect()
}

#[test]
fn the_first_bad_token_is_named_and_no_file_appears() {
    let good = valid_tokens(64);
    let tokens: Vec<_> = (0..20_000).map(|row| good[row % 64].filter(|_| row % 8 != 1)).collect();
    for (bad, identity) in [([0; 32], true), ([0xff; 32], false), ([1; 32], false)] {
        let world = World::new();
        let mut tokens = tokens.clone();
        // In three different batches, so that a later one may well be met first.
        for at in [4_100, 4_099, 9_000, 15_000] {
            tokens[at] = Some(bad);
        }
        let empty = tokens.iter().filter(|token| token.is_none()).count() as u64;
        dataset_of(&world, &tokens, KindCounts { empty, invalid: 0 });
        match world.fuse("fused", &limits()) {
            Err(Error::BadToken { column, row, identity: found, path }) => {
                assert_eq!((column.as_str(), row, found), ("token_email", 1_001 + 4_099, identity));
                assert_eq!(path, world.path("protected"));
            }
            other => panic!("{other:?}"),
        }
        assert!(!world.path("fused").exists());
    }
}

#[test]
fn a_holder_that_counts_wrongly_is_refused() {
    let world = World::new();
    dataset_of(&world, &valid_tokens(10), KindCounts { empty: 1, invalid: 0 });
    let error = world.fuse("fused", &limits()).unwrap_err();
    assert!(matches!(error, Error::Corrupted { .. }), "{error}");
    assert!(!world.path("fused").exists());
}

#[test]
fn no_rows_make_an_empty_fused_file() {
    let world = World::new();
    dataset_of(&world, &[], KindCounts::default());
    let (summary, _) = world.fuse("fused", &limits()).unwrap();
    assert_eq!((summary.rows, summary.distinct), (0, 0));
    assert!(FusedFile::open(&world.path("fused"), &STORE_KEY, "fused").unwrap().batches(10).unwrap().next().is_none());
}

/// A dataset with much to carry and little to compute: few distinct tokens, long kept values.
fn heavy(world: &World, rows: usize) {
    let good = valid_tokens(64);
    let kept = Schema::new(vec![Field::new("note", DataType::Utf8, true)]);
    let mut writer =
        ProtectedWriter::create(&world.path("protected"), &kept, &[kind("email")], &FILE_KEY, vec![]).unwrap();
    for first in (0..rows).step_by(1_000) {
        let part = first..(first + 1_000).min(rows);
        let numbers = UInt64Array::from_iter_values(part.clone().map(|row| row as u64 + 1));
        let tokens =
            FixedSizeBinaryArray::try_from_sparse_iter_with_size(part.clone().map(|row| good[row * 7 % 64]), 32);
        let notes = StringArray::from_iter_values(part.map(|row| format!("{CANARY} {row} ").repeat(60)));
        let columns: Vec<ArrayRef> = vec![Arc::new(numbers), Arc::new(tokens.unwrap()), Arc::new(notes)];
        writer.write(&RecordBatch::try_new(Arc::clone(writer.schema()), columns).unwrap()).unwrap();
    }
    let kinds = [(kind("email"), KindCounts::default())].into();
    writer.finish(&DatasetCounts { rows: rows as u64, kinds, ..DatasetCounts::default() }).unwrap();
}

#[test]
fn what_does_not_fit_into_memory_is_spilled_encrypted() {
    let world = World::new();
    heavy(&world, 16_000);
    let temp_dir = world.path("temp");
    fs::create_dir(&temp_dir).unwrap();
    let small = Limits { memory_bytes: 12 << 20, temp_dir: temp_dir.clone(), ..limits() };
    let looked_at = AtomicUsize::new(0);
    let look = |_| {
        let files = temporary_files(&temp_dir);
        looked_at.fetch_add(files.iter().filter(|bytes| !bytes.is_empty()).count(), Ordering::Relaxed);
        for bytes in files {
            assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()));
        }
    };
    let (summary, spilled) = world.fuse_with("spilled", &small, [5; 32], &look).unwrap();
    assert!(spilled > 12 << 20, "{spilled} bytes");
    assert!(cfg!(not(target_os = "linux")) || looked_at.into_inner() > 0, "there was something to look at");
    assert_eq!(fs::read_dir(&temp_dir).unwrap().count(), 0);

    let (unspilled, none) = world.fuse("unspilled", &limits()).unwrap();
    assert_eq!(none, 0);
    assert_eq!((summary.rows, summary.distinct, &summary.fused_set), (16_000, 64, &unspilled.fused_set));
    let rows = |name: &str| -> BTreeSet<u64> {
        let file = FusedFile::open(&world.path(name), &STORE_KEY, name).unwrap();
        let batches: Vec<_> = file.batches(1_000).unwrap().map(|batch| batch.unwrap()).collect();
        batches.iter().flat_map(|batch| batch.column(1).as_primitive::<UInt64Type>().values().to_vec()).collect()
    };
    assert_eq!(rows("spilled").len(), 16_000);
    assert_eq!(rows("spilled"), rows("unspilled"));
}

/// What this process has open in a folder, though the files have no names any more.
fn temporary_files(folder: &Path) -> Vec<Vec<u8>> {
    let Ok(open) = fs::read_dir("/proc/self/fd") else { return vec![] };
    open.filter_map(|entry| {
        let path = entry.ok()?.path();
        fs::read_link(&path).ok()?.starts_with(folder).then(|| fs::read(&path).ok())?
    })
    .collect()
}

#[test]
fn too_little_temporary_space_is_an_error() {
    let world = World::new();
    heavy(&world, 16_000);
    let temp_dir = world.path("temp");
    fs::create_dir(&temp_dir).unwrap();
    let small = Limits { memory_bytes: 12 << 20, max_temp_bytes: 1 << 20, temp_dir: temp_dir.clone(), ..limits() };
    let error = world.fuse("fused", &small).unwrap_err();
    assert!(matches!(error, Error::OutOfTempSpace { .. }), "{error}");
    assert_eq!(fs::read_dir(&temp_dir).unwrap().count(), 0);
    assert!(!world.path("fused").exists());
    let missing = Limits { temp_dir: world.path("missing"), ..small };
    let error = world.fuse("fused", &missing).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
}

#[test]
fn a_sort_without_any_memory_is_an_error() {
    let world = World::new();
    heavy(&world, 2_000);
    let none = Limits { memory_bytes: 64 << 10, ..limits() };
    let error = world.fuse("fused", &none).unwrap_err();
    assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
}

#[test]
fn a_dataset_damaged_in_its_data_is_an_error_here() {
    let world = World::new();
    dataset_of(&world, &valid_tokens(50), KindCounts::default());
    let path = world.path("protected");
    let bytes = fs::read(&path).unwrap();
    let file = world.open();
    let mut found = 0;
    for at in (4..bytes.len() - 700).step_by(11) {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        fs::write(&path, &altered).unwrap();
        // Opened before it was altered: what opening would have found shows up while reading.
        let keys = FuseKeys {
            rekey: &ReKey::from_bytes(&valid_scalar()).unwrap(),
            match_secret: &MatchSecret::from_bytes([1; 32]),
        };
        let fused = world.path("fused");
        let out = FusedOutput { path: &fused, store_key: &STORE_KEY, label: "x" };
        found += usize::from(fuse(&file, &kind("email"), &keys, &out, &limits(), &|_| {}).is_err());
        let _ = fs::remove_file(&fused);
    }
    assert!(found > 50, "{found}");
}

fn valid_scalar() -> [u8; 32] {
    let mut scalar = [0; 32];
    scalar[0] = 5;
    scalar
}

#[test]
fn may_be_called_inside_of_an_async_runtime() {
    let world = World::new();
    dataset_of(&world, &valid_tokens(5), KindCounts::default());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (summary, _) = runtime.block_on(async { world.fuse("fused", &limits()) }).unwrap();
    assert_eq!(summary.rows, 5);
}

#[test]
fn turned_tokens_fuse_to_the_same_keys_under_the_turned_re_key() {
    use datafuse_core::rotation::{Retokenizer, Rotation};

    let world = World::new();
    let emails = addresses(5_000);
    let phones: Vec<_> = (0..5_000).map(|row| (row % 7 == 0).then(|| format!("+3247012{row:04}"))).collect();
    let segments: Vec<_> = (0..5_000).map(|row| Some(format!("segment {row}"))).collect();
    let batch = source_batch(1, &[("email", emails), ("phone", phones), ("segment", segments)]);
    world.protect(vec![batch], &["segment"], None).unwrap();

    let mut keys = PartyKeys::generate(&mut ChaCha20Rng::seed_from_u64(1));
    let root = Root::from_bytes([1; 32]);
    let key = |keys: &PartyKeys, epoch| keys.token().token_key(&root, epoch).unwrap();
    let from = key(&keys, Epoch(1));
    keys.rotate(&mut ChaCha20Rng::seed_from_u64(2));
    let to = key(&keys, Epoch(2));
    let file = world.open();
    let turned_path = world.path("turned");
    let turn = |retokenizer: &Retokenizer| {
        let kinds: Vec<_> = file.kinds().to_vec();
        let writer = ProtectedWriter::create(&turned_path, &file.kept(), &kinds, &FILE_KEY, vec![1]).unwrap();
        crate::retokenise::retokenise(&file, retokenizer, writer, 2, &|_| {}).unwrap()
    };
    assert_eq!(turn(&Retokenizer::new(&from, &to)).rows, file.rows());
    let turned = ProtectedFile::open(&turned_path, &FILE_KEY, &Caps::default()).unwrap();
    assert_eq!(turned.counts(), file.counts());

    let mut two = [0; 32];
    two[0] = 2;
    let (rekey, w) = (ReKey::from_bytes(&two).unwrap(), MatchSecret::from_bytes([5; 32]));
    let rotated = rekey.rotate(&Rotation::new(&from, &to));
    let fuse = |file: &ProtectedFile, rekey: &ReKey, name: &str| {
        let path = world.path(name);
        let out = FusedOutput { path: &path, store_key: &STORE_KEY, label: name };
        let summary =
            fuse_and_tell(file, &kind("email"), &FuseKeys { rekey, match_secret: &w }, &out, &limits(), &|_| {})
                .unwrap()
                .0;
        // In a set: the threads decide in which order rows of one key come.
        let mut rows = BTreeSet::new();
        for batch in FusedFile::open(&path, &STORE_KEY, name).unwrap().batches(8192).unwrap() {
            let batch = batch.unwrap();
            let keys = batch.column(0).as_fixed_size_binary().iter().map(|key| key.unwrap().to_vec());
            let numbers = batch.column(1).as_primitive::<UInt64Type>().values().iter().copied();
            let kept = batch.column(2).as_string::<i32>().iter().map(|kept| kept.unwrap().to_owned());
            rows.extend(keys.zip(numbers).zip(kept));
        }
        assert_eq!(rows.len() as u64, summary.rows);
        (summary.fused_set, rows)
    };
    let (before, after) = (fuse(&file, &rekey, "before"), fuse(&turned, &rotated, "after"));
    assert_eq!(before, after, "the same keys, rows and kept values");
    assert_ne!(fuse(&turned, &rekey, "mixed").0, before.0);
}

#[test]
fn a_bad_token_is_named_by_its_row_when_tokens_are_turned() {
    let world = World::new();
    let batch = source_batch(1, &[("email", addresses(50)), ("phone", vec![None; 50])]);
    world.protect(vec![batch], &[], None).unwrap();
    let file = world.open();
    let batch = file.all(100).unwrap().next().unwrap().unwrap();
    let tokens = batch.column(1).as_fixed_size_binary();
    let mut bytes = tokens.value_data().to_vec();
    bytes[3 * 32..4 * 32].fill(0xff);
    let bad = FixedSizeBinaryArray::try_new(32, Buffer::from_vec(bytes), tokens.nulls().cloned()).unwrap();
    let mut columns = batch.columns().to_vec();
    columns[1] = Arc::new(bad);
    let row = batch.column(0).as_primitive::<UInt64Type>().value(3);
    let path = world.path("bad");
    let kinds = file.kinds().to_vec();
    let mut writer = ProtectedWriter::create(&path, &file.kept(), &kinds, &FILE_KEY, vec![1]).unwrap();
    writer.write(&RecordBatch::try_new(batch.schema(), columns).unwrap()).unwrap();
    writer.finish(file.counts()).unwrap();

    let bad = ProtectedFile::open(&path, &FILE_KEY, &Caps::default()).unwrap();
    let keys = PartyKeys::generate(&mut ChaCha20Rng::seed_from_u64(1));
    let key = |epoch| keys.token().token_key(&Root::from_bytes([1; 32]), epoch).unwrap();
    let retokenizer = datafuse_core::rotation::Retokenizer::new(&key(Epoch(1)), &key(Epoch(2)));
    let out = world.path("out");
    let writer = ProtectedWriter::create(&out, &bad.kept(), &kinds, &FILE_KEY, vec![1]).unwrap();
    let error = crate::retokenise::retokenise(&bad, &retokenizer, writer, 2, &|_| {}).unwrap_err();
    assert!(matches!(error, Error::BadToken { row: found, .. } if found == row), "{error}");
    assert!(!out.exists());
}
