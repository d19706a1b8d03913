//! Sources of rows: what can be read and how, and what comes out: rows with their numbers, and rejected rows.
//!
//! Types only; the reading is done by the reader of each format behind [`SourceReader`](super::SourceReader). Archives are no
//! sources, and no value has a meaning here.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use arrow::array::RecordBatch;
use url::Url;

use super::bucket::BucketAddress;
use super::fetch;
use super::opening::ParquetKey;
use crate::error::{Error, Result};

/// Where rows come from.
///
/// `FromStr` takes `http://` and `https://` as [`Source::Url`], addresses of buckets as [`Source::Bucket`], a text with `*`, `?`
/// or `[` as [`Source::Glob`], all else as [`Source::Path`]. `Display` leaves out the query part of an address, which may hold a
/// secret. In each of them `{model}` may stand for the name of a model ([`Source::with_model`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// One local file.
    Path(PathBuf),
    /// All local files that match a pattern, read one after the other in the order of their names.
    Glob(String),
    /// A file behind an http(s) address, downloaded first.
    Url(Url),
    /// An object in a bucket, or all that match a pattern, downloaded first and read in the order of their keys.
    Bucket(BucketAddress),
}

/// What stands for the name of a model.
const MODEL: &str = "{model}";

/// [`MODEL`] as it stands in the path of an http(s) address.
const MODEL_IN_URL: &str = "%7Bmodel%7D";

impl Source {
    /// Takes an address, of a file or of a bucket.
    ///
    /// # Errors
    /// [`Error::UnsupportedSource`].
    pub fn from_url(url: &Url) -> Result<Self> {
        match url.scheme() {
            "http" | "https" => Ok(Source::Url(url.clone())),
            _ => url.as_str().parse(),
        }
    }

    /// Whether `{model}` stands in it.
    #[must_use]
    pub fn names_model(&self) -> bool {
        match self {
            Source::Path(path) => path.to_str().is_some_and(|text| text.contains(MODEL)),
            Source::Glob(pattern) => pattern.contains(MODEL),
            Source::Url(url) => url.as_str().contains(MODEL) || url.as_str().contains(MODEL_IN_URL),
            Source::Bucket(address) => address.key().contains(MODEL),
        }
    }

    /// Gives the source of a model; `None` where the source is the same for all.
    ///
    /// # Errors
    /// [`Error::ModelName`], as [`with_model`](Self::with_model).
    pub fn of_model(&self, model: &str) -> Result<Option<Self>> {
        self.names_model().then(|| self.with_model(model)).transpose()
    }

    /// Puts the name of a model in the place of each `{model}`.
    ///
    /// # Errors
    /// [`Error::ModelName`] for a name with anything but letters, digits, `_`, `-`, `.` and spaces, or with `.` first: it could
    /// lead elsewhere.
    pub fn with_model(&self, model: &str) -> Result<Self> {
        const MAX_BYTES: usize = 200;
        let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ');
        let invalid = || Error::ModelName { place: self.to_string() };
        if model.trim().is_empty() || model.len() > MAX_BYTES || model.starts_with('.') || !model.chars().all(is_plain)
        {
            return Err(invalid());
        }
        Ok(match self {
            // A path that is not text holds no model's place.
            Source::Path(path) => match path.to_str() {
                Some(text) => Source::Path(text.replace(MODEL, model).into()),
                None => self.clone(),
            },
            Source::Glob(pattern) => Source::Glob(pattern.replace(MODEL, model)),
            Source::Url(url) => {
                let text = url.as_str().replace(MODEL_IN_URL, model).replace(MODEL, model);
                Source::Url(Url::parse(&text).map_err(|_| invalid())?)
            }
            Source::Bucket(address) => Source::Bucket(address.with_key(address.key().replace(MODEL, model))),
        })
    }
}

impl FromStr for Source {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unsupported = |place: &str, reason| Error::UnsupportedSource { place: place.to_owned(), reason };
        if text.is_empty() {
            return Err(unsupported(text, "it is empty"));
        }
        let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        match scheme.as_deref() {
            Some("http" | "https") => match Url::parse(text) {
                Ok(url) => Ok(Source::Url(url)),
                // The text may hold a password: only the scheme is shown.
                Err(_) => Err(unsupported("http...", "it is not a valid address")),
            },
            Some(scheme) if BucketAddress::is_scheme(scheme) => Ok(Source::Bucket(text.parse()?)),
            Some(other) if other.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) => {
                Err(unsupported(&format!("{other}://..."), "addresses of this scheme are not read"))
            }
            _ if text.contains(['*', '?', '[']) => Ok(Source::Glob(text.to_owned())),
            _ => Ok(Source::Path(PathBuf::from(text))),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Path(path) => write!(f, "{}", path.display()),
            Source::Glob(pattern) => f.write_str(pattern),
            Source::Url(url) => f.write_str(&fetch::place(url)),
            Source::Bucket(address) => address.fmt(f),
        }
    }
}

/// A file format that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Delimited text.
    Csv,
    /// One JSON object per line, or one array of objects.
    Json,
    /// Apache Parquet, plain or encrypted under one key.
    Parquet,
}

impl Format {
    /// Tells the format from a file name's extension.
    pub fn from_name(name: &str) -> Option<Self> {
        let extension = Path::new(name).extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "csv" | "tsv" | "tab" | "txt" => Some(Format::Csv),
            "json" | "jsonl" | "ndjson" => Some(Format::Json),
            "parquet" | "pq" => Some(Format::Parquet),
            _ => None,
        }
    }

    /// The name as used in options and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Csv => "CSV",
            Format::Json => "JSON",
            Format::Parquet => "Parquet",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "csv" | "tsv" => Ok(Format::Csv),
            "json" | "jsonl" | "ndjson" => Ok(Format::Json),
            "parquet" => Ok(Format::Parquet),
            _ => Err(Error::NoSuchFormat { name: text.to_owned() }),
        }
    }
}

/// How the bytes of a text file are read as characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Encoding {
    /// UTF-8; a row that is not is rejected.
    #[default]
    Utf8,
    /// Latin-1, read as its superset Windows-1252 as browsers do; every byte is a character.
    Latin1,
}

impl Encoding {
    /// Decodes a header or a value; `None` if the bytes are not in this encoding.
    pub(super) fn decode(self, bytes: &[u8]) -> Option<Cow<'_, str>> {
        match self {
            Encoding::Utf8 => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Encoding::Latin1 => Some(encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0),
        }
    }
}

impl FromStr for Encoding {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "utf8" | "utf-8" => Ok(Encoding::Utf8),
            "latin1" | "latin-1" | "iso-8859-1" | "windows-1252" | "cp1252" => Ok(Encoding::Latin1),
            _ => Err(Error::NoSuchEncoding { name: text.to_owned() }),
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Encoding::Utf8 => "utf-8",
            Encoding::Latin1 => "latin1",
        })
    }
}

/// How a source is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOptions {
    /// The format; `None` tells it from the name (or, for an address, from the content type).
    pub format: Option<Format>,
    /// The field delimiter of a CSV file; `None` finds it among `,` `;` tab and `|`.
    pub delimiter: Option<u8>,
    /// Whether the first record of a CSV file names the columns; otherwise they are `column_1`, `column_2`, ...
    pub header: bool,
    /// The encoding of CSV and JSON files. A byte order mark is dropped.
    pub encoding: Encoding,
    /// The key of an encrypted Parquet file.
    pub parquet_key: Option<ParquetKey>,
    /// The most rows of a batch (at least 1).
    pub batch_rows: usize,
}

impl Default for ReadOptions {
    fn default() -> Self {
        ReadOptions {
            format: None,
            delimiter: None,
            header: true,
            encoding: Encoding::Utf8,
            parquet_key: None,
            batch_rows: 8192,
        }
    }
}

/// Some rows of a source, and the rows among them that could not be read.
pub struct SourceBatch {
    /// The number of each row of `batch` in the source, counted from 1; ascending.
    pub rows: Vec<u64>,
    /// The rows: the projected columns, in the order they were asked for. CSV and JSON: `Utf8`, an empty CSV field and
    /// a JSON `null` or absent key are null. Parquet: its own types.
    pub batch: RecordBatch,
    /// The rows that could not be read; their numbers are missing in `rows`.
    pub rejected: Vec<Rejected>,
}

impl fmt::Debug for SourceBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceBatch")
            .field("rows", &self.rows.len())
            .field("columns", &self.batch.num_columns())
            .field("rejected", &self.rejected.len())
            .finish()
    }
}

/// What whoever uses a source's rows should know about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceWarning {
    /// The file is encrypted as DuckDB does it: its pages are not bound to their places.
    PagesNotBound {
        /// The file.
        place: String,
    },
}

impl SourceWarning {
    /// Says what to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::PagesNotBound { .. } => {
                "keep the place where it lies writable to its owner alone, or write it with pyarrow (AES_GCM_V1)"
            }
        }
    }
}

impl fmt::Display for SourceWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PagesNotBound { place } => write!(
                f,
                "the pages of {place} are not bound to their place (DuckDB's encryption): parts of it can be swapped, left out or \
                 taken from another file under the same key, unnoticed"
            ),
        }
    }
}

/// A row that could not be read, or was found invalid later.
#[derive(Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The number of the row in the source, counted from 1.
    pub row: u64,
    /// The column at fault, where one is.
    pub column: Option<String>,
    /// Why, in fixed words; never a value.
    pub reason: String,
    /// What was in the row, for the eyes of its owner only.
    pub original: Original,
}

impl Rejected {
    /// Describes a row that a reader rejects.
    pub(super) fn new(row: u64, column: Option<&str>, reason: RejectReason, original: Original) -> Self {
        Rejected { row, column: column.map(str::to_owned), reason: reason.as_str().to_owned(), original }
    }
}

impl fmt::Debug for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejected")
            .field("row", &self.row)
            .field("column", &self.column)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

/// What was in a rejected row. It has no `Debug`, so that it cannot reach a log.
#[derive(Clone, PartialEq, Eq)]
pub enum Original {
    /// The values of the read columns, in their order; a text column's bytes as they are in the file.
    Values(Vec<Option<Vec<u8>>>),
    /// The beginning of the record as it is in the file, where its columns cannot be told apart.
    Raw(Vec<u8>),
}

impl Original {
    /// Keeps the beginning of a record; the rest would only help to fill a disk.
    pub(super) fn raw(record: &[u8]) -> Self {
        const KEPT_BYTES: usize = 64 << 10;
        let end = record.len().min(KEPT_BYTES);
        Original::Raw(record[..end].trim_ascii_end().to_vec())
    }

    /// The memory it takes.
    pub(super) fn byte_len(&self) -> usize {
        match self {
            Original::Values(values) => values.iter().flatten().map(Vec::len).sum(),
            Original::Raw(raw) => raw.len(),
        }
    }
}

/// Why a reader rejects a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectReason {
    /// A value of a read column is not in the encoding.
    NotUtf8,
    /// A CSV record has fewer fields than there are columns.
    TooFewFields,
    /// A CSV record has more fields than there are columns.
    TooManyFields,
    /// A quote opens and never closes.
    UnclosedQuote,
    /// A quoted field over several lines closes in the middle of other text: a stray quote.
    StrayQuote,
    /// A record is longer than 16 MiB.
    TooLong,
    /// The text is not JSON.
    NotJson,
    /// The JSON is something else than an object.
    NotAnObject,
    /// A JSON object has a read column twice.
    DuplicateKey,
}

impl RejectReason {
    /// The fixed words.
    pub fn as_str(self) -> &'static str {
        match self {
            RejectReason::NotUtf8 => "not UTF-8",
            RejectReason::TooFewFields => "too few fields",
            RejectReason::TooManyFields => "too many fields",
            RejectReason::UnclosedQuote => "quote is never closed",
            RejectReason::StrayQuote => "quote in the wrong place",
            RejectReason::TooLong => "record longer than 16 MiB",
            RejectReason::NotJson => "not JSON",
            RejectReason::NotAnObject => "not a JSON object",
            RejectReason::DuplicateKey => "the same key twice",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn tells_paths_patterns_and_addresses_apart() {
        assert_eq!("data/a.csv".parse::<Source>().unwrap(), Source::Path("data/a.csv".into()));
        assert_eq!("data/*.csv".parse::<Source>().unwrap(), Source::Glob("data/*.csv".into()));
        assert!(matches!("HTTPS://example.com/a.csv?x=*".parse::<Source>().unwrap(), Source::Url(_)));
        assert_eq!(r"C:\data\a.csv".parse::<Source>().unwrap(), Source::Path(r"C:\data\a.csv".into()));
        for text in [
            "s3://bucket/a.csv",
            "gs://bucket/*.parquet",
            "AZ://container/a.csv",
            "abfss://c-1@acme.dfs.core.windows.net/a",
        ] {
            assert!(matches!(text.parse::<Source>().unwrap(), Source::Bucket(_)), "{text}");
        }
    }

    #[test]
    fn a_models_name_takes_its_place_in_every_form() {
        for (text, expected) in [
            ("data/{model}.csv", "data/customers v1.csv"),
            ("data/{model}/*.csv", "data/customers v1/*.csv"),
            ("https://example.com/{model}.csv?of={model}", "https://example.com/customers%20v1.csv"),
            ("s3://bucket/{model}/{model}-*.parquet", "s3://bucket/customers v1/customers v1-*.parquet"),
        ] {
            let source: Source = text.parse().unwrap();
            assert!(source.names_model(), "{text}");
            let of_model = source.with_model("customers v1").unwrap();
            assert_eq!(of_model.to_string(), expected);
            assert!(!of_model.names_model(), "{text}");
        }
        let query: Source = "https://example.com/x?of={model}".parse().unwrap();
        let Source::Url(url) = query.with_model("a b").unwrap() else { panic!("no address") };
        assert_eq!(url.query(), Some("of=a%20b"));
    }

    #[test]
    fn a_models_name_leads_nowhere_else() {
        for text in ["data/{model}.csv", "https://example.com/{model}", "s3://bucket/{model}/x"] {
            let source: Source = text.parse().unwrap();
            for model in [
                "", " ", ".", "..", "../x", "a/b", r"a\b", "a*", "a?b", "[a]", "a%2fb", "a#b", "a&b=c", "a\nb",
                "{model}",
            ] {
                assert!(matches!(source.with_model(model), Err(Error::ModelName { .. })), "{text} {model:?}");
            }
            assert!(source.with_model(&"a".repeat(201)).is_err());
        }
    }

    #[test]
    fn refuses_other_schemes_without_showing_what_follows() {
        for text in ["s3://secret@bucket", "file:///secret", "ftp://secret@host", "http://[secret", ""] {
            let error = text.parse::<Source>().unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
            assert!(error.remedy().is_some());
        }
    }

    #[test]
    fn an_address_is_shown_without_its_secrets() {
        let source: Source = "https://u:p@example.com/a.csv?token=secret#part".parse().unwrap();
        assert_eq!(source.to_string(), "https://example.com/a.csv");
    }

    #[test]
    fn formats_and_encodings_have_names() {
        assert_eq!(Format::from_name("a/b.TSV"), Some(Format::Csv));
        assert_eq!(Format::from_name("x.ndjson"), Some(Format::Json));
        assert_eq!(Format::from_name("x.parquet"), Some(Format::Parquet));
        assert_eq!(Format::from_name("parquet"), None);
        assert_eq!("ISO-8859-1".parse::<Encoding>().unwrap(), Encoding::Latin1);
        assert!("utf-16".parse::<Encoding>().unwrap_err().remedy().unwrap().contains("latin1"));
        assert!("xml".parse::<Format>().unwrap_err().remedy().unwrap().contains("--format"));
    }

    #[test]
    fn debug_of_a_rejected_row_shows_no_value() {
        let original = Original::Values(vec![Some(b"anna@example.com".to_vec())]);
        let rejected = Rejected::new(3, Some("email"), RejectReason::NotUtf8, original);
        assert!(!format!("{rejected:?}").contains("anna"));
    }
}
