//! Buckets as they are at each provider, emulated: what is put is what is read, whole, and what is missing is said.
//!
//! `tests/emulators.py` starts the emulators; without them these tests say that they are skipped.
#![allow(clippy::unwrap_used, missing_docs)]

mod bucket_places;

use std::{fs, io::Read, io::Seek, path::Path};

use bucket_places::{BUCKET, Place, of_operator, places};
use datafuse_engine::{
    Error,
    dataset::{
        Bucket, BucketAddress, BucketProblem, FetchPolicy, Format, LocalFile, ReadOptions, Source, SourceReader,
        column_as_bytes,
    },
};

fn address(place: &Place, below: &str) -> BucketAddress {
    place.address(below).parse().unwrap()
}

fn put(place: &Place, below: &str, bytes: &[u8]) {
    let address = address(place, below);
    Bucket::open(&address, &place.policy()).unwrap().put_bytes(address.key(), bytes.to_vec()).unwrap();
}

fn read(address: &BucketAddress, policy: &FetchPolicy) -> Result<Vec<u8>, Error> {
    let (mut file, mut bytes) = (tempfile::tempfile().unwrap(), Vec::new());
    let length = Bucket::open(address, policy)?.download(address.key(), &mut file)?;
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    assert_eq!(length, bytes.len() as u64);
    Ok(bytes)
}

fn problem(error: Error) -> BucketProblem {
    match error {
        Error::Bucket { problem, .. } => *problem,
        other => panic!("{other:?}"),
    }
}

/// Bytes that differ from part to part.
fn large(bytes: usize) -> Vec<u8> {
    (0..bytes as u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).take(bytes).collect()
}

#[test]
fn what_is_put_is_read_and_listed_with_every_provider() {
    for place in places() {
        let here = address(&place, "small.bin");
        put(&place, "small.bin", b"first");
        put(&place, "small.bin", b"second");
        assert_eq!(read(&here, &place.policy()).unwrap(), b"second", "{}", place.name);
        for name in ["list/b.csv", "list/a.csv", "list/deep/c.csv", "list/a.txt", "listed.csv"] {
            put(&place, name, b"a\n1\n");
        }
        let listed = |below: &str| -> Vec<String> {
            let address = address(&place, below);
            let found = Bucket::open(&address, &place.policy()).unwrap().list().unwrap();
            assert!(found.iter().all(|object| object.bytes == 4), "{found:?}");
            found.iter().map(|object| object.key.rsplit_once("/list/").unwrap().1.to_owned()).collect()
        };
        assert_eq!(listed("list/"), ["a.csv", "a.txt", "b.csv", "deep/c.csv"], "{}", place.name);
        assert_eq!(listed("list/*.csv"), ["a.csv", "b.csv"], "{}", place.name);
        assert_eq!(listed("list/[b-z].csv"), ["b.csv"], "{}", place.name);
        assert_eq!(listed("list/**/*.csv"), ["a.csv", "b.csv", "deep/c.csv"], "{}", place.name);
        assert_eq!(listed("list/*/c.csv"), ["deep/c.csv"], "{}", place.name);
    }
}

#[test]
fn a_large_file_is_put_in_parts_and_comes_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large.bin");
    let bytes = large((11 << 20) + 7);
    fs::write(&file, &bytes).unwrap();
    for place in places() {
        let here = address(&place, "large.bin");
        Bucket::open(&here, &place.policy()).unwrap().put_file(here.key(), &file).unwrap();
        assert!(read(&here, &place.policy()).unwrap() == bytes, "{}", place.name);
        let small = FetchPolicy { max_bytes: (11 << 20) + 6, ..place.policy() };
        assert!(matches!(read(&here, &small), Err(Error::DownloadTooLarge { .. })), "{}", place.name);
    }
}

#[test]
fn what_is_missing_is_said() {
    for place in places() {
        let policy = place.policy();
        let error = read(&address(&place, "missing.bin"), &policy).unwrap_err();
        assert!(error.is_missing() && !error.is_retryable(), "{}: {error}", place.name);
        assert_eq!(problem(error), BucketProblem::NoObject, "{}", place.name);
        let elsewhere: BucketAddress = format!("{}://nosuchbucket/x.bin", place.scheme).parse().unwrap();
        let bucket = Bucket::open(&elsewhere, &policy).unwrap();
        for error in [
            read(&elsewhere, &policy).unwrap_err(),
            bucket.put_bytes("x.bin", b"x".to_vec()).unwrap_err(),
            bucket.list().unwrap_err(),
        ] {
            assert!(error.to_string().contains("nosuchbucket"), "{error}");
            assert!(!error.is_missing() && error.remedy().is_some());
            assert_eq!(problem(error), BucketProblem::NoBucket, "{}", place.name);
        }
        let nothing = address(&place, "nothing/*.csv").to_string().parse().unwrap();
        let error = SourceReader::open(&nothing, &ReadOptions::default(), &policy, None).unwrap_err();
        assert_eq!(problem(error), BucketProblem::NoMatch, "{}", place.name);
    }
}

#[test]
fn several_objects_are_one_source_and_a_model_names_one() {
    for place in places() {
        put(&place, "export/customers-1.csv", b"id,email\n1,ada@example.com\n2,bob@example.com\n");
        put(&place, "export/customers-2.csv", b"email,id\neve@example.com,3\n");
        let rows =
            |source: &Source| {
                let columns = ["email".to_owned()];
                let mut reader = SourceReader::open(source, &ReadOptions::default(), &place.policy(), Some(&columns))?;
                let mut rows = Vec::new();
                for batch in reader.by_ref() {
                    let batch = batch?;
                    let values = column_as_bytes("email", batch.batch.column(0))?;
                    rows.extend(
                        batch.rows.iter().enumerate().map(|(index, row)| {
                            (*row, String::from_utf8(values.value(index).unwrap().to_vec()).unwrap())
                        }),
                    );
                }
                assert_eq!(Some(reader.bytes_read()), reader.total_bytes());
                Ok::<_, Error>(rows)
            };
        let pattern: Source = place.address("export/{model}-*.csv").parse().unwrap();
        let of_model = pattern.with_model("customers").unwrap();
        let expected = [(1, "ada@example.com"), (2, "bob@example.com"), (3, "eve@example.com")];
        let expected: Vec<_> = expected.iter().map(|(row, email)| (*row, (*email).to_owned())).collect();
        assert_eq!(rows(&of_model).unwrap(), expected, "{}", place.name);
        put(&place, "export/customers-3.csv", b"mail\nx\n");
        let error = rows(&of_model).unwrap_err();
        assert!(error.to_string().contains("customers-3.csv"), "{error}");

        let folder = tempfile::tempdir().unwrap();
        let one: Source = place.address("export/*-2.csv").parse().unwrap();
        let file = LocalFile::of(&one, &place.policy(), folder.path()).unwrap();
        assert_eq!(fs::read(file.path()).unwrap(), b"email,id\neve@example.com,3\n");
        assert_eq!(file.format(), Some(Format::Csv));
        drop(file);
        assert!(is_empty(folder.path()), "a download stays behind");
        let several = LocalFile::of(&of_model, &place.policy(), folder.path()).unwrap_err();
        assert!(matches!(several, Error::NotOneFile { found: 3, .. }), "{several}");
    }
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn a_wrong_key_is_refused_without_showing_it() {
    // Of the emulators, only Azure's looks at signatures.
    for mut place in places().into_iter().filter(|place| place.name == "azure") {
        put(&place, "there.bin", b"x");
        for setting in &mut place.settings {
            if setting.0 == "AZURE_STORAGE_ACCOUNT_KEY" {
                setting.1 = "c2VjcmV0c2VjcmV0c2VjcmV0".to_owned();
            }
        }
        let error = read(&address(&place, "there.bin"), &place.policy()).unwrap_err();
        assert!(!format!("{error}{error:?}").contains("c2VjcmV0"), "{error:?}");
        assert!(matches!(problem(error), BucketProblem::Refused { status: 403, .. }));
    }
}

#[test]
fn without_credentials_nothing_is_signed() {
    let Some(place) = places().into_iter().find(|place| place.name == "s3") else { return };
    put(&place, "public.csv", b"a\n1\n");
    let unsigned: Vec<_> = place
        .settings
        .iter()
        .filter(|(name, _)| !["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"].contains(name))
        .cloned()
        .collect();
    let policy = FetchPolicy { bucket: of_operator(&unsigned), ..FetchPolicy::strict() };
    assert_eq!(read(&address(&place, "public.csv"), &policy).unwrap(), b"a\n1\n");
    assert!(place.address("x").contains(BUCKET));
}

#[test]
fn works_from_within_an_asynchronous_runtime() {
    let Some(place) = places().into_iter().next() else { return };
    put(&place, "async.csv", b"a\n1\n");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bytes = runtime.block_on(async { read(&address(&place, "async.csv"), &place.policy()) });
    assert_eq!(bytes.unwrap(), b"a\n1\n");
}
