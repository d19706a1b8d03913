//! Round trips, and what becomes of files that were cut, altered, or made to do harm.

#![allow(clippy::unwrap_used)]

use std::{fs, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, FixedSizeBinaryArray, Float64Array,
        Int64Array, ListArray, StringArray, UInt64Array,
    },
    compute::concat_batches,
    datatypes::{Int32Type, UInt64Type},
};
use datafuse_core::{
    dataset::{DatasetHeader, DatasetSecret},
    id::Epoch,
    keys::PartyKeys,
    kind::Kind,
    normalize::Profile,
    root::Root,
};
use parquet::{
    basic::Encoding,
    encryption::encrypt::FileEncryptionProperties,
    file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion},
};
use proptest::prelude::*;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::*;

const KEY: [u8; 32] = [7; 32];

fn kind(name: &str) -> KindName {
    name.parse().unwrap()
}

fn tokens(rows: usize, seed: u8) -> FixedSizeBinaryArray {
    let rows = (0..rows).map(|row| (row % 5 != 3).then_some([seed ^ row as u8; 32]));
    FixedSizeBinaryArray::try_from_sparse_iter_with_size(rows, 32).unwrap()
}

fn kept() -> Vec<(Field, ArrayRef)> {
    let segments = StringArray::from_iter((0..100).map(|row| (row % 7 != 0).then(|| format!("segment {}", row % 3))));
    let arrays: Vec<(&str, ArrayRef)> = vec![
        ("segment", Arc::new(segments)),
        ("balance", Arc::new(Int64Array::from_iter((0..100).map(|row| (row % 9 != 0).then_some(row * 1_000))))),
        ("score", Arc::new(Float64Array::from_iter_values((0..100).map(|row| f64::from(row) / 3.0)))),
        ("active", Arc::new(BooleanArray::from_iter((0..100).map(|row| Some(row % 2 == 0))))),
        ("since", Arc::new(Date32Array::from_iter_values(0..100))),
        ("blob", Arc::new(BinaryArray::from_iter_values((0..100_u8).map(|row| vec![row; row as usize])))),
    ];
    arrays.into_iter().map(|(name, array)| (Field::new(name, array.data_type().clone(), true), array)).collect()
}

fn kept_schema() -> Schema {
    Schema::new(kept().into_iter().map(|(field, _)| field).collect::<Vec<_>>())
}

fn batch(writer: &ProtectedWriter) -> RecordBatch {
    let mut columns: Vec<ArrayRef> = vec![Arc::new(UInt64Array::from_iter_values((0..100).map(|row| row * 2 + 1)))];
    columns.push(Arc::new(tokens(100, 0)));
    columns.push(Arc::new(tokens(100, 0x55)));
    columns.extend(kept().into_iter().map(|(_, array)| array));
    RecordBatch::try_new(Arc::clone(writer.schema()), columns).unwrap()
}

fn counts(rows: u64, kinds: &[(&str, u64)]) -> DatasetCounts {
    let kinds = kinds.iter().map(|(name, empty)| (kind(name), KindCounts { empty: *empty, invalid: 0 }));
    DatasetCounts { rows, kinds: kinds.collect(), ..DatasetCounts::default() }
}

/// Two batches of rows, kinds given out of order.
fn write(path: &Path, key_metadata: Vec<u8>) -> Delivered {
    let kinds = [kind("phone"), kind("email")];
    let mut writer = ProtectedWriter::create(path, &kept_schema(), &kinds, &KEY, key_metadata).unwrap();
    let batch = batch(&writer);
    writer.write(&batch).unwrap();
    writer.write(&batch).unwrap();
    writer.finish(&counts(210, &[("email", 50), ("phone", 50)])).unwrap()
}

fn written() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("acme.parquet");
    write(&path, b"key metadata".to_vec());
    (folder, path)
}

/// A file of few rows and bytes, for tests that try each of them.
fn small() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("acme.parquet");
    let kept = Schema::new(vec![Field::new("segment", DataType::Utf8, true)]);
    let key_metadata = b"key metadata".to_vec();
    let mut writer = ProtectedWriter::create(&path, &kept, &[kind("email")], &KEY, key_metadata).unwrap();
    let segments = StringArray::from_iter((0..12).map(|row| (row % 5 != 0).then(|| format!("segment {row}"))));
    let rows = UInt64Array::from_iter_values(1..=12);
    let columns: Vec<ArrayRef> = vec![Arc::new(rows), Arc::new(tokens(12, 0)), Arc::new(segments)];
    writer.write(&RecordBatch::try_new(Arc::clone(writer.schema()), columns).unwrap()).unwrap();
    writer.finish(&counts(12, &[("email", 2)])).unwrap();
    (folder, path)
}

/// Opens a file and reads all of it.
fn read(path: &Path, key: &[u8; 32]) -> Result<Vec<RecordBatch>> {
    let file = ProtectedFile::open(path, key, &Caps::default())?;
    let mut batches = Vec::new();
    for kind in file.kinds() {
        for batch in file.batches(kind, 64)? {
            batches.push(batch?);
        }
    }
    Ok(batches)
}

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn gives_back_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("acme.parquet");
    let delivered = write(&path, b"key metadata".to_vec());
    let bytes = fs::read(&path).unwrap();
    assert_eq!(delivered.sha256, <[u8; 32]>::from(Sha256::digest(&bytes)));
    assert_eq!((delivered.bytes, delivered.rows), (bytes.len() as u64, 200));
    assert_eq!(names(folder.path()), ["acme.parquet"]);

    let file = ProtectedFile::open(&path, &KEY, &Caps::default()).unwrap();
    assert_eq!(file.kinds(), [kind("email"), kind("phone")]);
    assert_eq!(file.rows(), 200);
    assert_eq!(file.counts(), &counts(210, &[("email", 50), ("phone", 50)]));
    assert_eq!(file.counts().valid(&kind("email")), Some(160));
    assert_eq!(file.kept(), kept_schema());
    let batches: Vec<_> = file.batches(&kind("phone"), 64).unwrap().collect::<Result<_>>().unwrap();
    let all = concat_batches(&batches[0].schema(), &batches).unwrap();
    assert_eq!(all.num_rows(), 200);
    let first = all.slice(100, 100);
    assert_eq!(first.column(0).as_primitive::<UInt64Type>().value(99), 199);
    assert_eq!(first.column(1).as_fixed_size_binary(), &tokens(100, 0x55));
    for (index, (_, array)) in kept().into_iter().enumerate() {
        assert_eq!(first.column(2 + index), &array);
    }
}

#[test]
fn no_token_and_no_kept_value_is_legible() {
    let (_folder, path) = written();
    let bytes = fs::read(path).unwrap();
    for needle in [&b"segment"[..], b"token_", b"datafuse.counts", &[1; 32]] {
        assert!(!bytes.windows(needle.len()).any(|window| window == needle));
    }
}

#[test]
fn shows_its_envelope_without_any_key() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let (holder, workload, root) =
        (PartyKeys::generate(&mut rng), PartyKeys::generate(&mut rng), Root::from_bytes([1; 32]));
    let key = workload.identity().receive_key();
    let canary = holder.token().token_key(&root, Epoch(1)).unwrap().canary(&root, Epoch(1));
    let secret = DatasetSecret::generate(canary, &mut rng);
    let header = DatasetHeader {
        root,
        epoch: Epoch(1),
        holder: holder.identity().public_name(),
        dataset: "customers".parse().unwrap(),
        version: 3,
        kinds: DatasetHeader::kinds_of(&[Kind::single(kind("email"), Profile::EmailV1, None)]),
        key_id: holder.token().key_id(),
    };
    let envelope = DatasetEnvelope::seal(header, &secret, &key.public(), holder.identity(), &mut rng).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("acme.parquet");
    let mut writer = ProtectedWriter::create(
        &path,
        &kept_schema(),
        &[kind("email"), kind("phone")],
        &secret.file_key,
        envelope.encode(),
    )
    .unwrap();
    writer.write(&batch(&writer)).unwrap();
    writer.finish(&counts(100, &[("email", 20), ("phone", 20)])).unwrap();

    let inspected = ProtectedFile::inspect(&path, &Caps::default()).unwrap();
    assert_eq!(inspected.header(), envelope.header());
    let opened = inspected.open_as_workload(key).unwrap();
    assert_eq!(read(&path, &opened.file_key).unwrap().len(), 4);

    let (_folder, path) = written();
    let refused = ProtectedFile::inspect(&path, &Caps::default()).map(drop).unwrap_err();
    assert!(matches!(refused, Error::Envelope { .. }), "{refused}");
    let small = Caps { key_metadata_bytes: 4, ..Caps::default() };
    assert!(matches!(ProtectedFile::inspect(&path, &small).map(drop), Err(Error::OverLimit { .. })));
}

#[test]
fn a_dataset_without_rows_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty.parquet");
    let writer = ProtectedWriter::create(&path, &Schema::empty(), &[kind("email")], &KEY, vec![1]).unwrap();
    writer.finish(&counts(3, &[("email", 3)])).unwrap();
    assert_eq!(read(&path, &KEY).unwrap().iter().map(RecordBatch::num_rows).sum::<usize>(), 0);
}

#[test]
fn refuses_kept_columns_that_it_could_not_tell_from_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let create = |name: &str, data_type: DataType| {
        let kept = Schema::new(vec![Field::new(name, data_type, true)]);
        ProtectedWriter::create(&folder.path().join("out"), &kept, &[kind("email")], &KEY, vec![]).map(drop)
    };
    for name in ["row", "token_email", "token_x", "match_key"] {
        assert!(matches!(create(name, DataType::Utf8), Err(Error::ReservedColumn { .. })), "{name}");
    }
    let list = DataType::new_list(DataType::Int32, true);
    assert!(matches!(create("list", list), Err(Error::KeptColumnType { .. })));
    create("segment", DataType::Utf8).unwrap();
    assert!(names(folder.path()).is_empty(), "nothing without finishing");
}

#[test]
fn a_full_disk_is_an_error_and_leaves_nothing_wherever_it_happens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("acme.parquet");
    let size = write(&path, vec![1; 50]).bytes;
    fs::remove_file(&path).unwrap();
    for space in (0..size).step_by(97).chain([size - 1]) {
        let mut writer =
            ProtectedWriter::create(&path, &kept_schema(), &[kind("email"), kind("phone")], &KEY, vec![1; 50]).unwrap();
        writer.limit_space(space);
        let batch = batch(&writer);
        let counts = counts(210, &[("email", 50), ("phone", 50)]);
        let outcome = writer.write(&batch).and_then(|()| writer.write(&batch)).and_then(|()| writer.finish(&counts));
        assert!(matches!(outcome, Err(Error::NoSpace { .. })), "{space} bytes: {outcome:?}");
        assert!(names(folder.path()).is_empty(), "{space} bytes");
    }
}

#[test]
fn another_key_does_not_open_it() {
    let (_folder, path) = written();
    assert!(matches!(read(&path, &[8; 32]), Err(Error::WrongKey { .. })));
}

#[test]
fn other_files_are_told_from_datasets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let open = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        read(&path, &KEY).unwrap_err()
    };
    assert!(matches!(open(b""), Error::NotParquet { .. }));
    assert!(matches!(open(b"email\na@b.example\n"), Error::NotParquet { .. }));
    assert!(matches!(open(b"PARE"), Error::Truncated { .. }));

    let plain = RecordBatch::try_from_iter([("a", Arc::new(UInt64Array::from(vec![1])) as ArrayRef)]).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, plain.schema(), None).unwrap();
    writer.write(&plain).unwrap();
    writer.close().unwrap();
    let error = open(&bytes);
    assert!(matches!(error, Error::NotProtected { .. }));
    assert!(error.remedy().unwrap().contains("datafuse protect"));

    let missing = read(&folder.path().join("missing"), &KEY).unwrap_err();
    assert!(matches!(missing, Error::Io { action: "read", .. }));
}

#[test]
fn a_missing_kind_names_those_there_are() {
    let (_folder, path) = written();
    let file = ProtectedFile::open(&path, &KEY, &Caps::default()).unwrap();
    let error = file.batches(&kind("iban"), 10).map(drop).unwrap_err();
    assert!(error.to_string().ends_with("has no tokens of kind 'iban' (it has: email, phone)"), "{error}");
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let (_folder, path) = small();
    let bytes = fs::read(&path).unwrap();
    for length in 0..bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        let error = read(&path, &KEY).unwrap_err();
        assert!(matches!(error, Error::Truncated { .. } | Error::NotParquet { .. }), "{length}: {error}");
    }
}

#[test]
fn a_file_altered_in_any_byte_is_refused() {
    let (_folder, path) = small();
    let bytes = fs::read(&path).unwrap();
    // What the file says of its key in clear is signed by its holder, and not Parquet's to protect.
    let note = bytes.windows(12).position(|window| window == b"key metadata").unwrap();
    let clear = note - 2..note + 12;
    for at in (0..bytes.len()).filter(|at| !clear.contains(at)) {
        for flip in [0x01, 0x80] {
            let mut altered = bytes.clone();
            altered[at] ^= flip;
            fs::write(&path, &altered).unwrap();
            assert!(read(&path, &KEY).is_err(), "byte {at} of {}", bytes.len());
        }
    }
}

/// A file that only somebody with its key can make, of any columns.
fn forge(
    columns: Vec<(&str, ArrayRef)>,
    counts: &str,
    properties: impl Fn(WriterPropertiesBuilder) -> WriterPropertiesBuilder,
) -> Result<Vec<RecordBatch>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("forged.parquet");
    let fields: Vec<_> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), *name != ROW_COLUMN)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
    let builder =
        WriterProperties::builder().set_writer_version(WriterVersion::PARQUET_1_0).set_dictionary_enabled(false);
    let builder =
        builder.with_file_encryption_properties(FileEncryptionProperties::builder(KEY.to_vec()).build().unwrap());
    let mut writer =
        ArrowWriter::try_new(fs::File::create(&path).unwrap(), batch.schema(), Some(properties(builder).build()))
            .unwrap();
    writer.write(&batch).unwrap();
    writer.append_key_value_metadata(KeyValue::new(COUNTS_NOTE.to_owned(), counts.to_owned()));
    writer.close().unwrap();
    read(&path, &KEY)
}

const FORGED_COUNTS: &str = r#"{"rows":100,"kinds":{"email":{"empty":20,"invalid":0}}}"#;

fn forged_columns(kept: ArrayRef) -> Vec<(&'static str, ArrayRef)> {
    let rows: ArrayRef = Arc::new(UInt64Array::from_iter_values(1..=100));
    vec![(ROW_COLUMN, rows), ("token_email", Arc::new(tokens(100, 0))), ("kept", kept)]
}

/// Writes a dataset of 80 tokens with that note of what profiles would change, and opens it.
fn with_note(note: &str) -> Result<WouldChange> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("noted.parquet");
    let mut writer = ProtectedWriter::create(&path, &Schema::empty(), &[kind("email")], &KEY, vec![]).unwrap();
    let columns: Vec<ArrayRef> = vec![Arc::new(UInt64Array::from_iter_values(1..=100)), Arc::new(tokens(100, 0))];
    writer.write(&RecordBatch::try_new(Arc::clone(writer.schema()), columns).unwrap()).unwrap();
    writer.writer.append_key_value_metadata(KeyValue::new(WOULD_CHANGE_NOTE.to_owned(), note.to_owned()));
    writer.finish(&counts(100, &[("email", 20)])).unwrap();
    Ok(ProtectedFile::open(&path, &KEY, &Caps::default())?.counts().would_change.clone())
}

#[test]
fn what_profiles_would_change_is_read_as_far_as_it_is_known_and_possible() {
    let of_email = |profiles: BTreeMap<Profile, u64>| WouldChange::from([(kind("email"), profiles)]);
    assert_eq!(
        with_note(r#"{"email":{"email-gmail-v1":80}}"#).unwrap(),
        of_email([(Profile::EmailGmailV1, 80)].into())
    );
    assert_eq!(with_note(r#"{"email":{"email-gmail-v9":80}}"#).unwrap(), of_email(BTreeMap::new()));
    for bad in [
        r#"{"email":{"email-gmail-v1":81}}"#,
        r#"{"email":{"email-gmail-v9":81}}"#,
        r#"{"phone":{"email-gmail-v1":1}}"#,
        r#"{"email":{"email-gmail-v1":-1}}"#,
        r#"{"email":3}"#,
        "",
    ] {
        let error = with_note(bad).unwrap_err();
        assert!(matches!(&error, Error::Corrupted { .. }), "{bad}: {error}");
    }
}

#[test]
fn what_profiles_would_change_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("counted.parquet");
    let writer = ProtectedWriter::create(&path, &Schema::empty(), &[kind("email")], &KEY, vec![]).unwrap();
    let would_change = WouldChange::from([(kind("email"), [(Profile::EmailGmailV1, 0)].into())]);
    let counted = DatasetCounts { would_change, ..counts(9, &[("email", 9)]) };
    writer.finish(&counted).unwrap();
    assert_eq!(*ProtectedFile::open(&path, &KEY, &Caps::default()).unwrap().counts(), counted);
}

#[test]
fn an_honest_file_of_another_writer_is_read() {
    let kept: ArrayRef = Arc::new(StringArray::from_iter_values((0..100).map(|row| (row % 3).to_string())));
    forge(forged_columns(Arc::clone(&kept)), FORGED_COUNTS, |p| p).unwrap();
    forge(forged_columns(Arc::clone(&kept)), FORGED_COUNTS, |p| p.set_statistics_enabled(EnabledStatistics::Page))
        .unwrap();
    forge(forged_columns(kept), FORGED_COUNTS, |p| p.set_compression(Compression::ZSTD(ZstdLevel::default()))).unwrap();
}

#[test]
fn what_could_swell_in_memory_is_refused() {
    // A dictionary, of which each row could repeat the longest value.
    let text: ArrayRef = Arc::new(StringArray::from_iter_values((0..100).map(|row| format!("{row}"))));
    let dictionary = |p: WriterPropertiesBuilder| p.set_dictionary_enabled(true);
    let error = forge(forged_columns(Arc::clone(&text)), FORGED_COUNTS, dictionary).unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    let snappy = |p: WriterPropertiesBuilder| p.set_compression(Compression::SNAPPY);
    let error = forge(forged_columns(Arc::clone(&text)), FORGED_COUNTS, snappy).unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    // Values that each repeat the one before.
    let delta = |p: WriterPropertiesBuilder| {
        p.set_column_encoding(ColumnPath::new(vec!["kept".to_owned()]), Encoding::DELTA_BYTE_ARRAY)
    };
    assert!(matches!(forge(forged_columns(Arc::clone(&text)), FORGED_COUNTS, delta), Err(Error::Unsupported { .. })));
    // One page of many compressed zeros.
    let zeros: ArrayRef = Arc::new(StringArray::from_iter_values((0..100).map(|_| "\0".repeat(1 << 20))));
    let squeezed = |p: WriterPropertiesBuilder| {
        p.set_compression(Compression::ZSTD(ZstdLevel::default())).set_data_page_size_limit(usize::MAX)
    };
    let error = forge(forged_columns(zeros), FORGED_COUNTS, squeezed).unwrap_err();
    assert!(matches!(error, Error::OverLimit { what: "the length of a page in bytes", .. }), "{error}");
    let v2 = |p: WriterPropertiesBuilder| p.set_writer_version(WriterVersion::PARQUET_2_0);
    assert!(matches!(forge(forged_columns(text), FORGED_COUNTS, v2), Err(Error::Unsupported { .. })));
}

#[test]
fn other_columns_than_a_datasets_are_refused() {
    let text: ArrayRef = Arc::new(StringArray::from_iter_values((0..100).map(|row| format!("{row}"))));
    let rows: ArrayRef = Arc::new(UInt64Array::from_iter_values(1..=100));
    let token: ArrayRef = Arc::new(tokens(100, 0));
    let short = FixedSizeBinaryArray::try_from_iter((0..100).map(|_| [0_u8; 16])).unwrap();
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>((0..100).map(|row| Some(vec![Some(row)])));
    let bad: Vec<Vec<(&str, ArrayRef)>> = vec![
        vec![("token_email", Arc::clone(&token))],
        vec![(ROW_COLUMN, Arc::clone(&text)), ("token_email", Arc::clone(&token))],
        vec![(ROW_COLUMN, Arc::clone(&rows)), ("token_email", Arc::new(short))],
        vec![(ROW_COLUMN, Arc::clone(&rows)), ("token_Email", Arc::clone(&token))],
        vec![(ROW_COLUMN, Arc::clone(&rows)), ("kept", Arc::clone(&text)), ("token_email", Arc::clone(&token))],
        vec![(ROW_COLUMN, Arc::clone(&rows)), ("token_email", Arc::clone(&token)), ("list", Arc::new(list))],
        vec![
            (ROW_COLUMN, Arc::clone(&rows)),
            ("token_email", Arc::clone(&token)),
            ("kept", Arc::clone(&text)),
            ("kept", Arc::clone(&text)),
        ],
    ];
    for columns in bad {
        let error = forge(columns, FORGED_COUNTS, |p| p).unwrap_err();
        assert!(matches!(error, Error::Corrupted { .. } | Error::Unsupported { .. }), "{error}");
    }
}

#[test]
fn a_column_that_is_not_encrypted_is_refused() {
    let text: ArrayRef = Arc::new(StringArray::from_iter_values((0..100).map(|row| format!("{row}"))));
    let partly = FileEncryptionProperties::builder(KEY.to_vec()).with_column_key("token_email", KEY.to_vec()).build();
    let partly = partly.unwrap();
    let error = forge(forged_columns(text), FORGED_COUNTS, |p| p.with_file_encryption_properties(Arc::clone(&partly)))
        .unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
}

#[test]
fn counts_that_cannot_be_are_refused() {
    let text: ArrayRef = Arc::new(StringArray::from_iter_values((0..100).map(|row| format!("{row}"))));
    for counts in [
        "",
        "{}",
        r#"{"rows":99,"kinds":{"email":{"empty":0,"invalid":0}}}"#,
        r#"{"rows":100,"kinds":{"email":{"empty":90,"invalid":11}}}"#,
        r#"{"rows":300,"kinds":{"email":{"empty":1,"invalid":1}}}"#,
        r#"{"rows":18446744073709551615,"kinds":{"email":{"empty":18446744073709551615,"invalid":1}}}"#,
        r#"{"rows":100,"kinds":{}}"#,
        r#"{"rows":100,"kinds":{"phone":{"empty":0,"invalid":0}}}"#,
        r#"{"rows":100,"kinds":{"email":{"empty":20,"invalid":0}},"more":1}"#,
    ] {
        let error = forge(forged_columns(Arc::clone(&text)), counts, |p| p).unwrap_err();
        assert!(matches!(error, Error::Corrupted { .. }), "{counts}: {error}");
    }
}

/// A dataset whose encrypted modules can be altered and encrypted again, as a hostile holder could.
struct Workshop {
    bytes: Vec<u8>,
    key: LessSafeKey,
    file_unique: Vec<u8>,
    /// Where each module lies, and the additional authenticated data of its place.
    modules: Vec<(usize, usize, Vec<u8>)>,
}

impl Workshop {
    /// A file of one row group, all of whose modules are known.
    fn new() -> Self {
        let (_folder, path) = small();
        let bytes = fs::read(&path).unwrap();
        let file = SealedFile::open(&path, &KEY, &Caps::default(), false).unwrap();
        let length = |at: usize| 4 + u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let footer_length = u32::from_le_bytes(bytes[bytes.len() - 8..][..4].try_into().unwrap()) as usize;
        let note = bytes.windows(12).position(|window| window == b"key metadata").unwrap();
        let footer = note + 12 + 1;
        assert_eq!(footer + length(footer) + 8, bytes.len());
        // FileCryptoMetaData: { 1: { 1: { 2: file unique } }, 2: key metadata }.
        let crypto = bytes.len() - 8 - footer_length;
        let file_unique = bytes[crypto..].iter().skip_while(|byte| **byte != 0x28).skip(2).take(8).copied().collect();
        let mut modules = vec![(footer, length(footer), vec![0])];
        for (index, column) in file.metadata().row_group(0).columns().iter().enumerate() {
            let (start, chunk) = column.byte_range();
            let (mut at, mut page) = (start as usize, 0_u16);
            while at < (start + chunk) as usize {
                for kind in [4, 2] {
                    let mut place = vec![kind, 0, 0, index as u8, 0];
                    place.extend(page.to_le_bytes());
                    modules.push((at, length(at), place));
                    at += length(at);
                }
                page += 1;
            }
        }
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &KEY).unwrap());
        Self { bytes, key, file_unique, modules }
    }

    /// The file with one module's content changed, its length kept.
    fn alter(&self, module: usize, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        let (start, length, place) = &self.modules[module];
        let aad = [self.file_unique.as_slice(), place].concat();
        let (nonce, sealed) = bytes[start + 4..start + length].split_at_mut(12);
        let nonce: [u8; 12] = (*nonce).try_into().unwrap();
        let plain = self.key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(&aad), sealed).unwrap();
        change(plain);
        let tag =
            self.key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(&aad), plain).unwrap();
        let end = sealed.len() - 16;
        sealed[end..].copy_from_slice(tag.as_ref());
        bytes
    }
}

#[test]
fn a_workshop_that_changes_nothing_makes_the_same_file() {
    let workshop = Workshop::new();
    for module in 0..workshop.modules.len() {
        assert!(workshop.alter(module, |_| {}) == workshop.bytes);
    }
}

#[test]
fn a_hostile_holders_modules_are_read_or_refused_and_nothing_else() {
    let workshop = Workshop::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.parquet");
    let (mut refused, mut tried) = (0, 0);
    for module in 0..workshop.modules.len() {
        for at in 0..workshop.modules[module].1 - 32 {
            for value in [0x00, 0x7f, 0xff] {
                fs::write(&path, workshop.alter(module, |plain| plain[at] = value)).unwrap();
                refused += usize::from(read(&path, &KEY).is_err());
                tried += 1;
            }
        }
    }
    assert!(refused > tried / 3, "{refused} of {tried}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, rng_seed: proptest::test_runner::RngSeed::Fixed(3), ..ProptestConfig::default() })]

    #[test]
    fn any_damage_is_an_error_and_never_a_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let workshop = &*WORKSHOP;
        let mut bytes = workshop.bytes.clone();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("damaged.parquet");
        fs::write(&path, &bytes).unwrap();
        let _ = ProtectedFile::inspect(&path, &Caps::default());
        let _ = read(&path, &KEY);
    }
}

static WORKSHOP: std::sync::LazyLock<Workshop> = std::sync::LazyLock::new(Workshop::new);
