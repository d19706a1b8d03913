//! Sources end to end: real files in temporary folders, a real HTTP server on loopback, damaged Parquet files.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Date32Array, Decimal128Array, DictionaryArray, Float64Array, Int32Array,
    Int64Array, LargeBinaryArray, LargeStringArray, ListArray, RecordBatch, StringArray, StringViewArray, StructArray,
    TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use datafuse_engine::Error;
use datafuse_engine::dataset::{
    FetchPolicy, Format, Quarantine, ReadOptions, Refusal, Source, SourceBatch, SourceReader, column_as_bytes,
};
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;

fn open(source: &str, columns: Option<&[&str]>) -> Result<SourceReader, Error> {
    let columns: Option<Vec<String>> = columns.map(|columns| columns.iter().map(|name| (*name).to_owned()).collect());
    SourceReader::open(&source.parse()?, &ReadOptions::default(), &FetchPolicy::strict(), columns.as_deref())
}

fn open_path(path: &Path, columns: Option<&[&str]>) -> Result<SourceReader, Error> {
    open(path.to_str().unwrap(), columns)
}

/// A row: its number, and its values as text.
type Row = (u64, Vec<Option<String>>);

fn rows_of(reader: SourceReader) -> Vec<Row> {
    let mut rows = Vec::new();
    for batch in reader {
        let SourceBatch { rows: numbers, batch, .. } = batch.unwrap();
        let columns: Vec<_> = batch.columns().iter().map(|column| column_as_bytes("c", column).unwrap()).collect();
        for (index, number) in numbers.into_iter().enumerate() {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            rows.push((number, columns.iter().map(|column| column.value(index).map(text)).collect()));
        }
    }
    rows
}

fn row(number: u64, values: &[&str]) -> Row {
    (number, values.iter().map(|value| Some((*value).to_owned())).collect())
}

fn write_parquet(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)));
    let batch = batch.unwrap();
    let mut writer = ArrowWriter::try_new(fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn strings(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

// ---- local files ----

#[test]
fn a_reader_can_be_sent_to_another_thread() {
    fn assert_send<T: Send>() {}
    assert_send::<SourceReader>();
}

#[test]
fn csv_json_and_parquet_give_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("a.csv"), "id,email\n1,a@x.org\n2,b@x.org\n").unwrap();
    fs::write(path("a.jsonl"), "{\"id\":1,\"email\":\"a@x.org\"}\n{\"id\":2,\"email\":\"b@x.org\"}\n").unwrap();
    fs::write(path("a.json"), r#"[{"id":1,"email":"a@x.org"},{"email":"b@x.org","id":2}]"#).unwrap();
    let id: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    write_parquet(&path("a.parquet"), vec![("id", id), ("email", strings(&["a@x.org", "b@x.org"]))]);
    let expected = vec![row(1, &["a@x.org", "1"]), row(2, &["b@x.org", "2"])];
    for name in ["a.csv", "a.jsonl", "a.json", "a.parquet"] {
        let reader = open_path(&path(name), Some(&["email", "id", "email"])).unwrap();
        assert_eq!(reader.columns(), ["email", "id"], "{name}");
        assert_eq!(reader.available_columns(), ["id", "email"], "{name}");
        assert_eq!(rows_of(reader), expected, "{name}");
    }
}

#[test]
fn counts_rows_rejections_and_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    fs::write(&path, b"a,b\n1,2\n\xe9,2\n3\n4,\xe9\n").unwrap();
    let mut reader = open_path(&path, None).unwrap();
    assert_eq!(reader.total_bytes(), Some(18));
    let batch = reader.next().unwrap().unwrap();
    assert_eq!(batch.rows, [1]);
    let rejected: Vec<_> = batch.rejected.iter().map(|r| (r.row, r.column.as_deref(), r.reason.as_str())).collect();
    let expected = [(2, Some("a"), "not UTF-8"), (3, None, "too few fields"), (4, Some("b"), "not UTF-8")];
    assert_eq!(rejected, expected);
    assert!(reader.next().is_none());
    assert!(reader.next().is_none());
    assert_eq!((reader.rows_read(), reader.rejected_rows(), reader.not_utf8_rows()), (4, 3, 2));
    assert_eq!(reader.bytes_read(), 18);
}

#[test]
fn rejected_rows_go_to_the_quarantine_with_their_values() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.csv"), b"id,email\n1,caf\xe9\n2,b@x.org,more\n3,c@x.org\n").unwrap();
    let reader = open_path(&folder.path().join("a.csv"), Some(&["email"])).unwrap();
    let mut quarantine = Quarantine::new(folder.path().join("q.csv"), reader.columns());
    for batch in reader {
        for rejected in &batch.unwrap().rejected {
            quarantine.push(rejected).unwrap();
        }
    }
    let path = quarantine.finish().unwrap().unwrap();
    let expected: &[u8] = b"row,column,reason,email,raw\n\
        1,email,not UTF-8,caf\xe9,\n\
        2,,too many fields,,\"2,b@x.org,more\"\n";
    assert_eq!(fs::read(path).unwrap(), expected);
}

#[test]
fn missing_files_folders_and_unknown_formats_are_clear_errors() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let error = open(&at("none.csv"), None).unwrap_err();
    assert!(error.to_string().contains("none.csv"), "{error}");
    assert!(matches!(error, Error::Io { .. }));
    fs::create_dir(at("folder.csv")).unwrap();
    assert!(open(&at("folder.csv"), None).unwrap_err().remedy().unwrap().contains("folder.csv/*.csv"));
    fs::write(at("data.bin"), "a\n1\n").unwrap();
    assert!(open(&at("data.bin"), None).unwrap_err().remedy().unwrap().contains("--format csv"));
    assert!(matches!(open(&at("*.nothing"), None).unwrap_err(), Error::NoMatchingFile { .. }));
    assert!(matches!(open(&at("a[.csv"), None).unwrap_err(), Error::InvalidPattern { .. }));
    let options = ReadOptions { delimiter: Some(b'"'), ..ReadOptions::default() };
    let source = Source::Path(at("data.bin").into());
    let error = SourceReader::open(&source, &options, &FetchPolicy::strict(), None).unwrap_err();
    assert!(matches!(error, Error::InvalidDelimiter('"')));
}

#[test]
fn a_format_can_be_given_for_any_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.bin");
    fs::write(&path, "a\n1\n").unwrap();
    let options = ReadOptions { format: Some(Format::Csv), ..ReadOptions::default() };
    let reader = SourceReader::open(&Source::Path(path), &options, &FetchPolicy::strict(), None).unwrap();
    assert_eq!(rows_of(reader), [row(1, &["1"])]);
}

// ---- patterns ----

#[test]
fn files_of_a_pattern_are_read_in_order_by_name_and_rows_run_on() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("b.csv"), "email;id\nx;2\nbad\ny;3\n").unwrap();
    fs::write(at("a.csv"), "id,email\n1,w\n").unwrap();
    fs::write(at("c.csv"), "id,email\n4,z\n").unwrap();
    fs::write(at("other.txt"), "q\n").unwrap();
    let mut reader = open(at("*.csv").to_str().unwrap(), None).unwrap();
    let total = ["a.csv", "b.csv", "c.csv"].map(|name| fs::metadata(at(name)).unwrap().len()).iter().sum();
    assert_eq!(reader.total_bytes(), Some(total));
    let mut rejected = Vec::new();
    let mut rows = Vec::new();
    for batch in reader.by_ref() {
        let batch = batch.unwrap();
        rejected.extend(batch.rejected.iter().map(|rejected| rejected.row));
        let ids = batch.batch.column(0).as_string::<i32>();
        rows.extend(batch.rows.iter().zip(ids).map(|(&row, id)| (row, id.unwrap().to_owned())));
    }
    assert_eq!(rows, [(1, "1"), (2, "2"), (4, "3"), (5, "4")].map(|(row, id)| (row, id.to_owned())));
    assert_eq!(rejected, [3]);
    assert_eq!(reader.bytes_read(), total);
}

#[test]
fn files_of_a_pattern_with_other_columns_are_refused_before_the_first_row() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("a.csv"), "id,email\n1,w\n").unwrap();
    fs::write(at("b.csv"), "id,mail\n1,w\n").unwrap();
    let pattern = at("*.csv").to_str().unwrap().to_owned();
    let error = open(&pattern, None).unwrap_err();
    assert!(error.to_string().contains("missing: email; more: mail"), "{error}");
    // Columns that are not asked for may differ; one that is may not.
    assert_eq!(rows_of(open(&pattern, Some(&["id"])).unwrap()).len(), 2);
    let error = open(&pattern, Some(&["email"])).unwrap_err();
    assert!(matches!(&error, Error::ColumnNotFound { place, .. } if place.ends_with("b.csv")), "{error}");
    write_parquet(&at("1.parquet"), vec![("id", strings(&["1"]))]);
    write_parquet(&at("2.parquet"), vec![("id", Arc::new(Int64Array::from(vec![2])) as ArrayRef)]);
    let error = open(at("*.parquet").to_str().unwrap(), None).unwrap_err();
    assert!(error.to_string().contains("column 'id' is Int64"), "{error}");
}

#[test]
fn a_file_whose_name_looks_like_a_pattern_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data[1].csv");
    fs::write(&path, "a\n1\n").unwrap();
    assert_eq!(rows_of(open_path(&path, None).unwrap()), [row(1, &["1"])]);
}

// ---- Parquet ----

#[test]
fn parquet_columns_keep_their_own_types_in_the_order_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1)]), None]);
    let inner: ArrayRef = strings(&["p", "q"]);
    let nested = StructArray::from(vec![(Arc::new(Field::new("inner", DataType::Utf8, true)), inner)]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("utf8", strings(&["a", "b"])),
        ("large", Arc::new(LargeStringArray::from(vec![Some("a"), None]))),
        ("view", Arc::new(StringViewArray::from(vec!["a", "b"]))),
        ("binary", Arc::new(BinaryArray::from(vec![b"a".as_slice(), b"\xff"]))),
        ("large_binary", Arc::new(LargeBinaryArray::from(vec![b"a".as_slice(), b"b"]))),
        ("dictionary", Arc::new(["x", "x"].into_iter().collect::<DictionaryArray<Int32Type>>())),
        ("integer", Arc::new(Int32Array::from(vec![1, 2]))),
        ("float", Arc::new(Float64Array::from(vec![1.5, 2.5]))),
        ("date", Arc::new(Date32Array::from(vec![1, 2]))),
        ("time", Arc::new(TimestampMillisecondArray::from(vec![1, 2]).with_timezone("Europe/Brussels"))),
        ("decimal", Arc::new(Decimal128Array::from(vec![1, 2]).with_precision_and_scale(10, 2).unwrap())),
        ("list", Arc::new(list)),
        ("struct", Arc::new(nested)),
    ];
    write_parquet(&path, columns.clone());
    let names: Vec<&str> = columns.iter().rev().map(|(name, _)| *name).collect();
    let mut reader = open_path(&path, Some(&names)).unwrap();
    let schema = reader.schema();
    let batch = reader.next().unwrap().unwrap();
    assert_eq!(batch.rows, [1, 2]);
    assert_eq!(batch.batch.schema(), schema);
    for (name, array) in &columns {
        let read = batch.batch.column_by_name(name).unwrap();
        assert_eq!(read.data_type(), array.data_type(), "{name}");
        assert_eq!(read, array, "{name}");
    }
    assert_eq!(reader.bytes_read(), fs::metadata(&path).unwrap().len());
    assert!(reader.next().is_none());
}

#[test]
fn parquet_errors_are_clear() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    write_parquet(&at("good.parquet"), vec![("mail", strings(&["a", "b"]))]);
    let good = fs::read(at("good.parquet")).unwrap();
    let error_of = |bytes: &[u8]| {
        fs::write(at("bad.parquet"), bytes).unwrap();
        open_path(&at("bad.parquet"), None).unwrap_err()
    };
    assert!(matches!(error_of(b""), Error::EmptySource { .. }));
    assert!(error_of(&good[..good.len() - 10]).to_string().contains("cut off"));
    assert!(error_of(b"id,email\n1,a@example.com\n").remedy().unwrap().contains("--format csv"));
    let mut encrypted = good.clone();
    let end = encrypted.len();
    encrypted[end - 4..].copy_from_slice(b"PARE");
    assert!(error_of(&encrypted).to_string().contains("encrypted"));
    let mut long_footer = good.clone();
    long_footer[end - 8..end - 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(error_of(&long_footer).to_string().contains("footer"));
    let error = open_path(&at("good.parquet"), Some(&["email"])).unwrap_err();
    assert!(error.to_string().ends_with("good.parquet (it has: mail)"), "{error}");
    assert_eq!(error.remedy().unwrap(), "--identifier email=mail");
}

#[test]
fn a_small_file_with_huge_values_is_refused_not_expanded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.parquet");
    // One value of 1 MiB, 8192 times: a few hundred bytes of file, 8 GiB as text.
    let values: ArrayRef = Arc::new(LargeStringArray::from(vec!["x".repeat(1 << 20)]));
    let keys = Int32Array::from(vec![0; 8192]);
    let bomb: ArrayRef = Arc::new(DictionaryArray::new(keys, values));
    let schema = Arc::new(Schema::new(vec![Field::new("a", bomb.data_type().clone(), true)]));
    let batch = RecordBatch::try_new(schema.clone(), vec![bomb]).unwrap();
    let properties = parquet::file::properties::WriterProperties::builder()
        .set_compression(parquet::basic::Compression::SNAPPY)
        .set_dictionary_page_size_limit(64 << 20)
        .build();
    // Without the Arrow schema in it, the column comes as plain text.
    let options = parquet::arrow::arrow_writer::ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(true);
    let file = fs::File::create(&path).unwrap();
    let mut writer = ArrowWriter::try_new_with_options(file, schema, options).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    assert!(fs::metadata(&path).unwrap().len() < 4 << 20);
    let mut reader = open_path(&path, None).unwrap();
    let error = reader.next().unwrap().unwrap_err();
    assert!(error.to_string().ends_with("the values of one batch take more than 512 MiB"), "{error}");
    assert!(reader.next().is_none(), "a reader ends after an error");
}

#[test]
fn damaged_parquet_never_panics() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let emails: Vec<String> = (0..300).map(|number| format!("user{}@example.com", number % 50)).collect();
    let email: ArrayRef = Arc::new(StringArray::from(emails));
    let id: ArrayRef = Arc::new(Int64Array::from_iter((0..300).map(|n| (n % 7 != 0).then_some(n))));
    write_parquet(&path, vec![("email", email), ("id", id)]);
    let good = fs::read(&path).unwrap();
    let config = ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() };
    let changes = prop_oneof![
        proptest::collection::vec((0..good.len(), any::<u8>()), 1..4),
        // Half of the damage goes to the footer, which steers everything.
        proptest::collection::vec((good.len().saturating_sub(1000)..good.len(), any::<u8>()), 1..4),
    ];
    let rng = proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    proptest::test_runner::TestRunner::new_with_rng(config, rng)
        .run(&changes, |changes| {
            let mut bytes = good.clone();
            for (position, byte) in changes {
                bytes[position] = byte;
            }
            fs::write(&path, bytes).unwrap();
            if let Ok(reader) = open_path(&path, None) {
                for batch in reader.take(100) {
                    let Ok(batch) = batch else { break };
                    prop_assert_eq!(batch.rows.len(), batch.batch.num_rows());
                }
            }
            Ok(())
        })
        .unwrap();
}

// ---- addresses ----

/// A server that answers each path with what `answer` says, until the process ends. Gives its port.
fn serve(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let Some(Ok(request)) = lines.next() else { continue };
            for line in lines {
                if line.is_ok_and(|line| !line.is_empty()) {
                    continue;
                }
                break;
            }
            let path = request.split(' ').nth(1).unwrap_or("/").to_owned();
            // The client may hang up before the end.
            let _ = stream.write_all(&answer(&path));
        }
    });
    port
}

fn ok(content_type: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn redirect(to: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into_bytes()
}

fn fetch(url: &str, policy: &FetchPolicy) -> Result<Vec<Row>, Error> {
    SourceReader::open(&url.parse()?, &ReadOptions::default(), policy, None).map(rows_of)
}

fn refusal(url: &str, policy: &FetchPolicy) -> Refusal {
    match fetch(url, policy) {
        Err(Error::FetchRefused { refusal, .. }) => refusal,
        other => panic!("{url}: {other:?}"),
    }
}

#[test]
fn downloads_and_reads_with_progress_and_format_by_name_or_content_type() {
    let port = serve(|path| match path {
        "/a.csv?token=secret" => ok("application/octet-stream", b"a,b\n1,2\n"),
        "/lines" => ok("application/x-ndjson; charset=utf-8", b"{\"a\":1}"),
        "/unknown" => ok("application/octet-stream", b"a\n1\n"),
        _ => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec(),
    });
    let seen = Arc::new(AtomicU64::new(0));
    let progress = seen.clone();
    let policy = FetchPolicy {
        progress: Some(Arc::new(move |bytes, total| {
            assert_eq!(total.unwrap(), 8);
            progress.store(bytes, Ordering::SeqCst);
        })),
        ..FetchPolicy::trusting()
    };
    let url = format!("http://127.0.0.1:{port}/a.csv?token=secret");
    assert_eq!(fetch(&url, &policy).unwrap(), [row(1, &["1", "2"])]);
    assert_eq!(seen.load(Ordering::SeqCst), 8);
    let trusting = FetchPolicy::trusting();
    assert_eq!(fetch(&format!("http://127.0.0.1:{port}/lines"), &trusting).unwrap(), [row(1, &["1"])]);
    let error = fetch(&format!("http://127.0.0.1:{port}/unknown"), &trusting).unwrap_err();
    assert!(matches!(error, Error::UnknownFormat { .. }), "{error}");
    let error = fetch(&format!("http://127.0.0.1:{port}/none.csv?token=secret"), &trusting).unwrap_err();
    assert!(matches!(error, Error::HttpStatus { status: 404, .. }), "{error}");
    assert!(!format!("{error} {error:?}").contains("secret"));
}

#[test]
fn works_from_within_an_asynchronous_runtime() {
    let port = serve(|_| ok("text/csv", b"a\n1\n"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let rows = runtime.block_on(async { fetch(&format!("http://127.0.0.1:{port}/a.csv"), &FetchPolicy::trusting()) });
    assert_eq!(rows.unwrap(), [row(1, &["1"])]);
}

#[test]
fn strict_policy_connects_to_no_private_address_by_number_or_by_name() {
    let hits = Arc::new(AtomicUsize::new(0));
    let counted = hits.clone();
    let port = serve(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        ok("text/csv", b"a\n1\n")
    });
    let strict = FetchPolicy::strict();
    for host in ["127.0.0.1", "127.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"] {
        assert_eq!(refusal(&format!("http://{host}:{port}/a.csv"), &strict), Refusal::PrivateAddress, "{host}");
    }
    assert_eq!(hits.load(Ordering::SeqCst), 0);
    let allowing = FetchPolicy { allow_hosts: vec!["LocalHost".into()], ..FetchPolicy::strict() };
    assert_eq!(fetch(&format!("http://localhost:{port}/a.csv"), &allowing).unwrap(), [row(1, &["1"])]);
}

/// A policy under which the name `public.test` leads to the server on loopback, as a public host would.
fn with_public_test(lookup: impl Fn(&str) -> Vec<IpAddr> + Send + Sync + 'static) -> FetchPolicy {
    FetchPolicy {
        lookup: Some(Arc::new(move |host| Ok(lookup(host)))),
        allow_hosts: vec!["public.test".into()],
        ..FetchPolicy::strict()
    }
}

#[test]
fn redirects_are_followed_but_not_to_private_addresses() {
    let port = serve(|path| match path {
        "/ok.csv" => redirect("/a.csv"),
        "/a.csv" => ok("text/csv", b"a\n1\n"),
        "/number.csv" => redirect("http://169.254.169.254/latest/meta-data"),
        "/name.csv" => redirect("http://internal.test/"),
        "/file.csv" => redirect("file:///etc/passwd"),
        "/login.csv" => redirect("http://user:pass@public.test/"),
        "/nowhere.csv" => b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec(),
        _ => redirect("/loop.csv"),
    });
    let policy = with_public_test(|host| match host {
        "public.test" => vec![Ipv4Addr::LOCALHOST.into()],
        _ => vec![Ipv4Addr::new(10, 0, 0, 1).into()],
    });
    let url = |path: &str| format!("http://public.test:{port}/{path}.csv");
    assert_eq!(fetch(&url("ok"), &policy).unwrap(), [row(1, &["1"])]);
    let table = [
        ("number", Refusal::PrivateAddress),
        ("name", Refusal::PrivateAddress),
        ("file", Refusal::Scheme),
        ("login", Refusal::Credentials),
        ("nowhere", Refusal::BrokenRedirect),
        ("loop", Refusal::TooManyRedirects),
    ];
    for (path, expected) in table {
        assert_eq!(refusal(&url(path), &policy), expected, "{path}");
    }
    // Trust in the host that the user typed does not reach the hosts it redirects to.
    let typed = |path: &str| format!("http://127.0.0.1:{port}/{path}.csv");
    assert_eq!(fetch(&typed("ok"), &FetchPolicy::trusting()).unwrap().len(), 1);
    assert_eq!(refusal(&typed("number"), &FetchPolicy::trusting()), Refusal::PrivateAddress);
}

#[test]
fn a_connection_is_made_with_the_very_answer_that_was_checked() {
    let hits = Arc::new(AtomicUsize::new(0));
    let counted = hits.clone();
    let port = serve(move |path| {
        counted.fetch_add(1, Ordering::SeqCst);
        match path {
            "/start.csv" => redirect("http://rebind.test:1/secret.csv"),
            _ => ok("text/csv", b"a\n1\n"),
        }
    });
    let lookups = Arc::new(AtomicUsize::new(0));
    let counted = lookups.clone();
    let policy = with_public_test(move |host| match host {
        "public.test" => vec![Ipv4Addr::LOCALHOST.into()],
        // A name server that would answer a second question differently is never asked one.
        _ => {
            counted.fetch_add(1, Ordering::SeqCst);
            vec![Ipv4Addr::LOCALHOST.into(), Ipv4Addr::new(192, 168, 0, 1).into()]
        }
    });
    let url = format!("http://public.test:{port}/start.csv");
    assert_eq!(refusal(&url, &policy), Refusal::PrivateAddress);
    assert_eq!((hits.load(Ordering::SeqCst), lookups.load(Ordering::SeqCst)), (1, 1));
}

#[test]
fn downloads_over_the_limit_end_whether_announced_or_not() {
    let port = serve(|path| match path {
        "/announced.csv" => ok("text/csv", &[b'a'; 1000]),
        _ => [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".as_slice(), &[b'a'; 1000]].concat(),
    });
    let policy = FetchPolicy { max_bytes: 999, ..FetchPolicy::trusting() };
    for path in ["announced", "silent"] {
        let error = fetch(&format!("http://127.0.0.1:{port}/{path}.csv"), &policy).unwrap_err();
        assert!(matches!(error, Error::DownloadTooLarge { limit_bytes: 999, .. }), "{path}: {error}");
    }
}

#[test]
fn broken_and_silent_servers_are_errors_not_hangs() {
    let port = serve(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\na\n1\n".to_vec());
    let error = fetch(&format!("http://127.0.0.1:{port}/short.csv"), &FetchPolicy::trusting()).unwrap_err();
    assert!(matches!(error, Error::Download { .. }), "{error}");
    // Connections are accepted by the system but never answered.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://127.0.0.1:{}/a.csv", silent.local_addr().unwrap().port());
    let idle = FetchPolicy { idle_timeout: Duration::from_millis(100), ..FetchPolicy::trusting() };
    assert!(matches!(fetch(&url, &idle).unwrap_err(), Error::Download { .. }));
    let total = FetchPolicy { total_timeout: Some(Duration::from_millis(100)), ..FetchPolicy::trusting() };
    assert!(matches!(fetch(&url, &total).unwrap_err(), Error::DownloadTimeout { .. }));
}

#[test]
fn https_is_spoken_and_a_server_that_does_not_speak_it_is_an_error() {
    let port = serve(|_| ok("text/csv", b"a\n1\n"));
    let error = fetch(&format!("https://127.0.0.1:{port}/a.csv"), &FetchPolicy::trusting()).unwrap_err();
    assert!(matches!(error, Error::Download { .. }), "{error}");
}
