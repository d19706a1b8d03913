//! Encrypted Parquet as it comes: written at test time by DuckDB and pyarrow (`encrypted_parquet.py`), and by the Parquet library.
//!
//! The tools are in `target/emulators/python`, where `./test.sh` installs them. Without them those tests only say so; with
//! `DATAFUSE_TEST_EMULATORS=required` they fail. `data/duckdb.parquet` was written by DuckDB 2.0.1, so that its variant is read
//! everywhere. `DATAFUSE_TEST_MUTATIONS` says how many mutated files are read (a few hundred without it).
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeBinaryArray, Int64Array, RecordBatch, StringArray};
use datafuse_engine::Error;
use datafuse_engine::dataset::{
    EncryptionProblem, FetchPolicy, ReadOptions, Source, SourceReader, SourceWarning, column_as_bytes,
};
use parquet::arrow::ArrowWriter;
use parquet::encryption::encrypt::{EncryptionPropertiesBuilder, FileEncryptionProperties};
use parquet::file::properties::{WriterProperties, WriterVersion};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

const KEY: &str = "0123456789abcdef0123456789abcdef";
const KEY_OF_16: &str = "0123456789abcdef";
const KEY_OF_24: &str = "0123456789abcdefghijklmn";

fn open_with(path: &Path, key: Option<&str>, columns: Option<&[String]>) -> Result<SourceReader, Error> {
    let options =
        ReadOptions { parquet_key: key.map(|key| key.parse().unwrap()), batch_rows: 700, ..ReadOptions::default() };
    let source: Source = path.to_str().unwrap().parse()?;
    SourceReader::open(&source, &options, &FetchPolicy::strict(), columns)
}

/// The values of all rows as bytes.
fn read(path: &Path, key: Option<&str>) -> Result<Vec<Vec<Option<Vec<u8>>>>, Error> {
    let columns: Vec<String> = ["email", "token", "row_number", "segment"].map(str::to_owned).into();
    let mut rows = Vec::new();
    for batch in open_with(path, key, Some(&columns))? {
        let batch = batch?.batch;
        let columns: Vec<_> = batch.columns().iter().map(|column| column_as_bytes("c", column).unwrap()).collect();
        rows.extend(
            (0..batch.num_rows()).map(|row| columns.iter().map(|c| c.value(row).map(<[u8]>::to_vec)).collect()),
        );
    }
    Ok(rows)
}

/// Row `number` of the files that are written here, in the order of columns that [`read`] asks for.
fn row(number: usize) -> Vec<Option<Vec<u8>>> {
    let email = (!number.is_multiple_of(7)).then(|| format!("user{number}@example.com").into_bytes());
    let segment = if number.is_multiple_of(2) { "silver" } else { "gold" };
    vec![email, Some(vec![(number % 251) as u8; 32]), Some(number.to_string().into_bytes()), Some(segment.into())]
}

fn rows(count: usize) -> Vec<Vec<Option<Vec<u8>>>> {
    (1..=count).map(row).collect()
}

fn problem_of(result: Result<impl Sized, Error>) -> EncryptionProblem {
    match result {
        Err(error @ Error::EncryptedParquet { .. }) => {
            assert!(error.remedy().is_some());
            assert!(!format!("{error} {error:?}").contains(KEY_OF_16));
            let Error::EncryptedParquet { problem, .. } = error else { unreachable!() };
            problem
        }
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was read"),
    }
}

// ---- the real tools -----------------------------------------------------------------------------------------------------

/// Runs `encrypted_parquet.py` with the tools; `None` where they are not installed.
fn tools(arguments: &[&str]) -> Option<String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = here.join("../../target/emulators/python/bin/python");
    let run = |arguments: &[&str]| Command::new(&python).args(arguments).output();
    if !run(&["-c", "import duckdb, pyarrow"]).is_ok_and(|output| output.status.success()) {
        let required = std::env::var("DATAFUSE_TEST_EMULATORS").is_ok_and(|value| value == "required");
        assert!(
            !required,
            "DuckDB and pyarrow are not installed: run the tests with ./test.sh, or see CONTRIBUTING.md"
        );
        eprintln!("skipped: DuckDB and pyarrow are not in {}", python.display());
        return None;
    }
    let script = here.join("tests/encrypted_parquet.py");
    let output = run(&[&[script.to_str().unwrap()], arguments].concat()).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn files_of_duckdb_and_pyarrow_give_the_rows_that_were_written() {
    let folder = tempfile::tempdir().unwrap();
    if tools(&["write", folder.path().to_str().unwrap()]).is_none() {
        return;
    }
    let path = |name: &str| folder.path().join(format!("{name}.parquet"));
    let expected = rows(5000);
    assert_eq!(read(&path("plain"), None).unwrap(), expected);
    let pyarrow = [
        ("v1", KEY),
        ("v1_key16", KEY_OF_16),
        ("v2", KEY),
        ("prefix_stored", KEY),
        ("plain_footer", KEY),
        ("plain_footer_v2_prefix", KEY),
        ("v1_none", KEY),
        ("v1_zstd", KEY),
        ("v1_lz4", KEY),
    ];
    for (name, key) in pyarrow {
        let path = path(&format!("pyarrow_{name}"));
        assert!(read(&path, Some(key)).unwrap() == expected, "{name}");
        assert!(open_with(&path, Some(key), None).unwrap().warnings().is_empty(), "{name}");
    }
    let duckdb = [("key32", KEY), ("key16", KEY_OF_16), ("row_groups", KEY), ("v2", KEY), ("uncompressed", KEY)];
    for (name, key) in duckdb {
        let path = path(&format!("duckdb_{name}"));
        assert!(read(&path, Some(key)).unwrap() == expected, "{name}");
        let reader = open_with(&path, Some(key), None).unwrap();
        let place = path.display().to_string();
        assert_eq!(reader.warnings(), [SourceWarning::PagesNotBound { place }], "{name}");
    }

    // What cannot be read is named with what to write instead.
    for (name, key, problem) in [
        ("pyarrow_ctr", KEY, EncryptionProblem::CtrPages),
        ("pyarrow_prefix_not_stored", KEY, EncryptionProblem::PrefixNotStored),
        ("pyarrow_v1_key24", KEY_OF_24, EncryptionProblem::KeyOf24Bytes),
    ] {
        assert_eq!(problem_of(read(&path(name), Some(key))), problem, "{name}");
    }
    for name in ["pyarrow_v1", "pyarrow_v2", "pyarrow_plain_footer", "duckdb_key32", "duckdb_v2", "pyarrow_ctr"] {
        assert_eq!(problem_of(read(&path(name), None)), EncryptionProblem::KeyMissing, "{name}");
    }
    for name in ["pyarrow_v1", "pyarrow_v2", "pyarrow_plain_footer", "duckdb_key32", "duckdb_v2"] {
        for wrong in ["another key, of thirty-two bytes", "of sixteen bytes"] {
            assert_eq!(problem_of(read(&path(name), Some(wrong))), EncryptionProblem::WrongKey, "{name}");
        }
    }
    assert_eq!(problem_of(read(&path("plain"), Some(KEY))), EncryptionProblem::KeyUnneeded);

    // Several files as one source, each with its own kind of encryption under the same key.
    let chosen = tempfile::tempdir().unwrap();
    for (number, name) in ["pyarrow_v1", "duckdb_v2", "pyarrow_plain_footer"].into_iter().enumerate() {
        fs::copy(path(name), chosen.path().join(format!("{number}.parquet"))).unwrap();
    }
    let all = chosen.path().join("*.parquet");
    // The token is 32 bytes of fixed size for the one, any bytes for the other: what is the same is read.
    let columns: Vec<String> = ["row_number", "email", "segment"].map(str::to_owned).into();
    let reader = open_with(&all, Some(KEY), Some(&columns)).unwrap();
    assert_eq!(reader.warnings().len(), 1);
    assert_eq!(reader.map(|batch| batch.unwrap().rows.len()).sum::<usize>(), 15_000);
}

// ---- the Parquet library ------------------------------------------------------------------------------------------------

fn write(path: &Path, count: usize, encryption: Option<EncryptionPropertiesBuilder>, version: WriterVersion) {
    let numbers = 1..=count;
    let rows: Vec<_> = numbers.clone().map(row).collect();
    let text = |column: usize| -> ArrayRef {
        let values = rows.iter().map(|row| row[column].as_ref().map(|bytes| std::str::from_utf8(bytes).unwrap()));
        Arc::new(values.collect::<StringArray>())
    };
    let tokens = FixedSizeBinaryArray::try_from_iter(rows.iter().map(|row| row[1].as_ref().unwrap())).unwrap();
    let columns: [(&str, ArrayRef); 4] = [
        ("row_number", Arc::new(Int64Array::from_iter_values(numbers.map(|number| number as i64)))),
        ("email", text(0)),
        ("segment", text(3)),
        ("token", Arc::new(tokens)),
    ];
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)));
    let batch = batch.unwrap();
    let mut properties = WriterProperties::builder()
        .set_writer_version(version)
        .set_max_row_group_row_count(Some(400))
        .set_data_page_row_count_limit(100)
        .set_write_batch_size(50);
    if let Some(encryption) = encryption {
        properties = properties.with_file_encryption_properties(encryption.build().unwrap());
    }
    let file = fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties.build())).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn under(key: &str) -> EncryptionPropertiesBuilder {
    FileEncryptionProperties::builder(key.as_bytes().to_vec())
}

#[test]
fn files_of_the_parquet_library_give_the_rows_that_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let prefixed = || under(KEY).with_aad_prefix(b"acme".to_vec()).with_aad_prefix_storage(true);
    let expected = rows(1000);
    for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
        for (encryption, key) in [
            (under(KEY), KEY),
            (under(KEY_OF_16), KEY_OF_16),
            (prefixed(), KEY),
            (under(KEY).with_plaintext_footer(true), KEY),
            (prefixed().with_plaintext_footer(true), KEY),
        ] {
            write(&path, 1000, Some(encryption), version);
            assert!(read(&path, Some(key)).unwrap() == expected);
            assert_eq!(problem_of(read(&path, None)), EncryptionProblem::KeyMissing);
            assert_eq!(problem_of(read(&path, Some("another key, of thirty-two bytes"))), EncryptionProblem::WrongKey);
        }
    }
    let outside = under(KEY).with_aad_prefix(b"acme".to_vec()).with_aad_prefix_storage(false);
    write(&path, 10, Some(outside), WriterVersion::PARQUET_1_0);
    assert_eq!(problem_of(read(&path, Some(KEY))), EncryptionProblem::PrefixNotStored);
    for plain_footer in [false, true] {
        let own = under(KEY).with_plaintext_footer(plain_footer).with_column_key("segment", KEY_OF_16.into());
        write(&path, 10, Some(own), WriterVersion::PARQUET_1_0);
        let problem = problem_of(read(&path, Some(KEY)));
        let expected = EncryptionProblem::ColumnKey { column: "segment".to_owned() };
        // With a plain footer the library refuses such a file before its columns can be looked at.
        assert!(problem == expected || (plain_footer && problem == EncryptionProblem::WrongKey), "{problem:?}");
    }
    write(&path, 10, None, WriterVersion::PARQUET_1_0);
    assert_eq!(problem_of(read(&path, Some(KEY))), EncryptionProblem::KeyUnneeded);
    fs::write(folder.path().join("a.csv"), "email\nx\n").unwrap();
    assert_eq!(problem_of(read(&folder.path().join("a.csv"), Some(KEY))), EncryptionProblem::KeyUnneeded);
}

#[test]
fn swapped_pages_are_refused_where_pages_are_bound_and_warned_of_where_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    write(&path, 1000, Some(under(KEY)), WriterVersion::PARQUET_1_0);
    let bytes = fs::read(&path).unwrap();
    let modules = modules(&bytes, bytes.len() - 8);
    // Three row groups of four columns, each with four pages or two, and dictionaries: what binds pages counts further than one.
    assert!(modules.len() > 2 * 4 * (4 + 4 + 2), "{} modules", modules.len());
    // Two modules of the same length that stand in different pages: the bodies of tokens' pages, say.
    let (a, b) = (0..modules.len())
        .flat_map(|a| (a + 2..modules.len()).map(move |b| (a, b)))
        .find(|(a, b)| modules[*a].len() == modules[*b].len() && modules[*a].len() > 100)
        .unwrap();
    let mut swapped = bytes.clone();
    swapped[modules[a].clone()].copy_from_slice(&bytes[modules[b].clone()]);
    swapped[modules[b].clone()].copy_from_slice(&bytes[modules[a].clone()]);
    fs::write(&path, swapped).unwrap();
    assert_eq!(problem_of(read(&path, Some(KEY))), EncryptionProblem::PageAltered);
}

// ---- DuckDB's variant, and hostile files --------------------------------------------------------------------------------

fn duckdb_fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/duckdb.parquet")
}

/// Where the modules of a file lie that has nothing else between its first four bytes and `end`.
fn modules(bytes: &[u8], end: usize) -> Vec<std::ops::Range<usize>> {
    let (mut at, mut found) = (4, Vec::new());
    while at + 32 <= end {
        let length = 4 + u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        if at + length > end {
            break;
        }
        found.push(at..at + length);
        at += length;
    }
    found
}

/// The last module of a file of DuckDB's, which is its footer.
fn footer_of(bytes: &[u8]) -> std::ops::Range<usize> {
    let length = u32::from_le_bytes(bytes[bytes.len() - 8..bytes.len() - 4].try_into().unwrap()) as usize;
    // Five bytes of crypto metadata stand before it.
    bytes.len() - 8 - length + 5..bytes.len() - 8
}

/// Opens a module of DuckDB's, lets its content be changed, and seals it again; its length stays.
fn reseal(module: &mut [u8], change: impl FnOnce(&mut [u8])) {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, KEY.as_bytes()).unwrap());
    let nonce: [u8; 12] = module[4..16].try_into().unwrap();
    let sealed = &mut module[16..];
    let length = sealed.len() - 16;
    key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::empty(), sealed).unwrap();
    change(&mut sealed[..length]);
    let tag = key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed[..length]);
    sealed[length..].copy_from_slice(tag.unwrap().as_ref());
}

#[test]
fn a_file_of_duckdb_is_read_without_duckdb() {
    let columns: Vec<String> = ["email", "segment"].map(str::to_owned).into();
    let reader = open_with(&duckdb_fixture(), Some(KEY), Some(&columns)).unwrap();
    assert_eq!(reader.warnings().len(), 1);
    assert!(reader.warnings()[0].to_string().contains("not bound"));
    let mut number = 0;
    for batch in reader {
        let batch = batch.unwrap().batch;
        let columns: Vec<_> = batch.columns().iter().map(|column| column_as_bytes("c", column).unwrap()).collect();
        for index in 0..batch.num_rows() {
            number += 1;
            let expected = row(number);
            assert_eq!(columns[0].value(index), expected[0].as_deref());
            assert_eq!(columns[1].value(index), expected[3].as_deref());
        }
    }
    assert_eq!(number, 300);
    assert_eq!(problem_of(open_with(&duckdb_fixture(), None, None)), EncryptionProblem::KeyMissing);
    let wrong = "another key, of thirty-two bytes";
    assert_eq!(problem_of(open_with(&duckdb_fixture(), Some(wrong), None)), EncryptionProblem::WrongKey);
}

#[test]
fn an_altered_page_of_duckdb_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let bytes = fs::read(duckdb_fixture()).unwrap();
    for module in modules(&bytes, footer_of(&bytes).start - 5) {
        let mut altered = bytes.clone();
        altered[module.end - 1] ^= 1;
        fs::write(&path, altered).unwrap();
        let read = open_with(&path, Some(KEY), None).and_then(|reader| reader.collect::<Result<Vec<_>, _>>());
        assert_eq!(problem_of(read), EncryptionProblem::PageAltered, "{module:?}");
    }
}

#[test]
fn mutated_files_end_in_rows_or_an_error_within_bounded_memory() {
    let count: u64 = std::env::var("DATAFUSE_TEST_MUTATIONS").map_or(600, |count| count.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    write(&at("bound.parquet"), 1000, Some(under(KEY)), WriterVersion::PARQUET_2_0);
    let signed = under(KEY).with_plaintext_footer(true);
    write(&at("signed.parquet"), 500, Some(signed), WriterVersion::PARQUET_1_0);
    write(&at("plain.parquet"), 500, None, WriterVersion::PARQUET_2_0);
    fs::copy(duckdb_fixture(), at("duckdb.parquet")).unwrap();
    let line = |number: usize| format!("{number},user{number}@example.com,\"go\"\"ld\"\r\n");
    fs::write(at("a.csv"), format!("row_number,email,segment\r\n{}", (1..300).map(line).collect::<String>())).unwrap();
    let line = |number: usize| format!("{{\"email\":\"user{number}@example.com\",\"n\":[{number},{{}}],\"x\":null}}\n");
    fs::write(at("a.jsonl"), (1..300).map(line).collect::<String>()).unwrap();
    let names = ["bound.parquet", "signed.parquet", "duckdb.parquet", "plain.parquet", "a.csv", "a.jsonl"];
    let originals: Vec<Vec<u8>> = names.iter().map(|name| fs::read(at(name)).unwrap()).collect();

    let (mut read, mut refused) = (0, 0);
    for number in 0..count {
        let mut random = ChaCha8Rng::seed_from_u64(number);
        let chosen = (number % names.len() as u64) as usize;
        let mut bytes = originals[chosen].clone();
        // Of DuckDB's file every second one is sealed again after its inside was changed: the holder itself may be hostile.
        match names[chosen] == "duckdb.parquet" && (number / names.len() as u64).is_multiple_of(2) {
            true => {
                let mut modules = modules(&bytes, footer_of(&bytes).start - 5);
                modules.push(footer_of(&bytes));
                let module = match random.next_u32() % 2 {
                    0 => modules.last().unwrap().clone(),
                    _ => modules[random.next_u32() as usize % modules.len()].clone(),
                };
                reseal(&mut bytes[module], |content| flip(content, &mut random));
            }
            false => mutate(&mut bytes, &mut random),
        }
        let path = at(&format!("mutated-{}", names[chosen]));
        fs::write(&path, &bytes).unwrap();
        let key = (names[chosen].ends_with(".parquet") && names[chosen] != "plain.parquet").then_some(KEY);
        let rows = open_with(&path, key, None).and_then(|reader| {
            reader.map(|batch| batch.map(|batch| batch.rows.len() + batch.rejected.len())).sum::<Result<usize, _>>()
        });
        match rows {
            Ok(_) => read += 1,
            Err(Error::Internal { .. }) => panic!("seed {number} is an internal error"),
            Err(error) => {
                assert!(!error.to_string().contains("example.com"), "seed {number}");
                refused += 1;
            }
        }
    }
    assert!(refused > count / 4, "{refused} of {count} were refused: the mutations reach too little");
    assert!(read > count / 20, "{read} of {count} were read");
    let peak = peak_memory_bytes();
    eprintln!("{count} mutated files: {read} read, {refused} refused, peak memory {peak:?} bytes");
    assert!(peak.is_none_or(|peak| peak < 1 << 30), "{peak:?}");
}

/// Changes some bytes of a file, cuts it, or repeats a part of it.
fn mutate(bytes: &mut Vec<u8>, random: &mut ChaCha8Rng) {
    let length = bytes.len();
    let mut position = || random.next_u32() as usize % length;
    let (a, b) = (position(), position());
    match a % 8 {
        0 => bytes.truncate(b),
        1 => drop(bytes.splice(b..b, [0xff; 9])),
        2 => drop(bytes.drain(a.min(b)..a.max(b).min(a.min(b) + 64))),
        3 => {
            let part = bytes[a.min(b)..a.max(b).min(a.min(b) + 4096)].to_vec();
            bytes.extend(part);
        }
        // The tail tells where everything lies.
        4 => {
            let tail = length.saturating_sub(64);
            flip(&mut bytes[tail..], random);
        }
        _ => flip(bytes, random),
    }
}

fn flip(bytes: &mut [u8], random: &mut ChaCha8Rng) {
    for _ in 0..=random.next_u32() % 4 {
        let at = random.next_u32() as usize % bytes.len();
        bytes[at] = match random.next_u32() % 4 {
            0 => 0xff,
            1 => 0,
            2 => bytes[at] ^ 1 << (random.next_u32() % 8),
            _ => random.next_u32() as u8,
        };
    }
}

/// The most memory that this process has had at once, where the system tells.
fn peak_memory_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib << 10)
}
