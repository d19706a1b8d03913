//! What can go wrong with data, each with the file, column and row where it did, and what to do about it.
//!
//! No variant ever holds an identifier, a token, a key or any other value of a row. Errors of the libraries below are kept as
//! a source only where they cannot quote data; elsewhere they become fixed words.

use std::{io, path::PathBuf};

use arrow::datatypes::DataType;

use crate::dataset::{BucketProblem, EncryptionProblem, Refusal, SUPPORTED_DELIMITERS, TokenTableProblem};

/// The result of an engine operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the engine refused or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // ---- files ----
    /// A file or folder cannot be used.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried: "read", "create", ...
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The disk is full.
    #[error("no space left on the disk of {}; nothing was left behind", path.display())]
    NoSpace {
        /// The file that was being written.
        path: PathBuf,
    },

    // ---- protected datasets and fused files ----
    /// A file is not Parquet at all.
    #[error("{} is not a Parquet file", path.display())]
    NotParquet {
        /// The file.
        path: PathBuf,
    },
    /// A Parquet file without encryption was given as a protected dataset.
    #[error("{} is a plain Parquet file, not a protected dataset", path.display())]
    NotProtected {
        /// The file.
        path: PathBuf,
    },
    /// A file ends before it should.
    #[error("{} is truncated", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
    },
    /// A file was altered or damaged.
    #[error("{} is damaged: {part}", path.display())]
    Corrupted {
        /// The file.
        path: PathBuf,
        /// Which part does not hold together; never a value.
        part: String,
    },
    /// A file does not open with the key at hand.
    #[error("{} does not open with this key: the key is another one, or the file was altered", path.display())]
    WrongKey {
        /// The file.
        path: PathBuf,
    },
    /// A file asks for more than a reader may be made to spend.
    #[error("{} is refused: {what} is {found}, at most {limit} is accepted", path.display())]
    OverLimit {
        /// The file.
        path: PathBuf,
        /// What is too large or too many.
        what: &'static str,
        /// How much the file has.
        found: u64,
        /// How much is accepted.
        limit: u64,
    },
    /// A Parquet feature that protected datasets do not use.
    #[error("{} is refused: {what}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The feature.
        what: String,
    },
    /// The metadata of a protected dataset does not have the agreed form.
    #[error("{}: {source}", path.display())]
    Envelope {
        /// The file.
        path: PathBuf,
        /// Why it was refused.
        source: datafuse_core::Error,
    },
    /// A protected dataset has no tokens of a kind.
    #[error("{} has no tokens of kind '{kind}' (it has: {})", path.display(), if has.is_empty() { "none".to_owned() } else { has.join(", ") })]
    NoSuchKind {
        /// The file.
        path: PathBuf,
        /// The kind asked for.
        kind: String,
        /// The kinds that it has.
        has: Vec<String>,
    },
    /// A token is not the canonical encoding of a group element, or the identity.
    #[error("{}, column '{column}', row {row}: the token is {}", path.display(), if *identity { "the identity element" } else { "not a group element" })]
    BadToken {
        /// The dataset.
        path: PathBuf,
        /// The token column.
        column: String,
        /// The first row, as numbered by its holder, whose token is refused.
        row: u64,
        /// Whether it decodes, but to the identity.
        identity: bool,
    },
    /// The name of a table to be written tells no format.
    #[error("the format of the table cannot be told from {}", path.display())]
    TableFormat {
        /// The file.
        path: PathBuf,
    },
    /// A table of tokens is not as it has to be.
    #[error("{place}{}{}: {problem}", column.as_ref().map(|column| format!(", column '{column}'")).unwrap_or_default(), row.map(|row| format!(", row {row}")).unwrap_or_default())]
    TokenTable {
        /// The table.
        place: String,
        /// The column at fault, where one is.
        column: Option<String>,
        /// The first row at fault, counted from 1, where one is.
        row: Option<u64>,
        /// What is wrong.
        problem: TokenTableProblem,
    },
    /// A fused file is not the one that it is taken for.
    #[error("{} was made for '{found}', not for '{expected}'", path.display())]
    FusedMismatch {
        /// The file.
        path: PathBuf,
        /// The label expected.
        expected: String,
        /// The label inside.
        found: String,
    },

    // ---- columns ----
    /// A column to be kept has a name that protected datasets use themselves.
    #[error("column '{column}' cannot be kept: protected datasets use that name themselves")]
    ReservedColumn {
        /// The column.
        column: String,
    },
    /// A column has a type that cannot be kept.
    #[error("column '{column}' has type {data_type}, which cannot be kept")]
    KeptColumnType {
        /// The column.
        column: String,
        /// Its type.
        data_type: String,
    },
    /// No row of a source has a valid identifier of any kind.
    #[error("no row has a valid {} ({rows} rows)", kinds.join(" or "))]
    NothingValid {
        /// Rows of the source.
        rows: u64,
        /// The kinds that were looked for.
        kinds: Vec<String>,
    },
    /// A value to be kept is too long.
    #[error("column '{column}', row {row}: the value has {bytes} bytes, kept values have at most {limit}")]
    KeptValueTooLong {
        /// The column.
        column: String,
        /// The row, as numbered in the source.
        row: u64,
        /// The value's length.
        bytes: usize,
        /// The longest accepted.
        limit: usize,
    },

    // ---- sources of rows ----
    /// The text is not a path, a pattern or an http(s) address.
    #[error("'{place}' is not a source that can be read: {reason}")]
    UnsupportedSource {
        /// The source as given, without its query part.
        place: String,
        /// Why, in fixed words.
        reason: &'static str,
    },
    /// The name of a model that cannot stand in an address.
    #[error("the name of a model cannot stand in {place}: it has characters that could lead elsewhere")]
    ModelName {
        /// The source, with the place of the model.
        place: String,
    },
    /// A folder was given where a file is needed.
    #[error("{place} is a folder")]
    SourceIsFolder {
        /// The folder.
        place: String,
    },
    /// A pattern matched no file.
    #[error("no file matches '{pattern}'")]
    NoMatchingFile {
        /// The pattern.
        pattern: String,
    },
    /// A pattern matched several files where one is needed.
    #[error("'{place}' matches {found} files, where one is needed")]
    NotOneFile {
        /// The pattern.
        place: String,
        /// How many.
        found: usize,
    },
    /// A pattern is malformed.
    #[error("'{pattern}' is not a valid file pattern")]
    InvalidPattern {
        /// The pattern.
        pattern: String,
        /// Where it is wrong.
        #[source]
        source: glob::PatternError,
    },
    /// Neither the name of the source nor its content type tells its format.
    #[error("the format of {place} cannot be told from its name")]
    UnknownFormat {
        /// The source.
        place: String,
    },
    /// A name of no known format.
    #[error("there is no format '{name}'")]
    NoSuchFormat {
        /// The name.
        name: String,
    },
    /// A name of no known encoding.
    #[error("there is no encoding '{name}'")]
    NoSuchEncoding {
        /// The name.
        name: String,
    },
    /// The content is not what the name or `--format` says.
    #[error("{place} was to be read as {expected}, but it is {found}")]
    WrongFormat {
        /// The source.
        place: String,
        /// The format it was read as.
        expected: &'static str,
        /// What its first bytes show.
        found: &'static str,
        /// What to do about it.
        remedy: &'static str,
    },
    /// There is nothing in the file.
    #[error("{place} is empty")]
    EmptySource {
        /// The source.
        place: String,
    },
    /// The header is not UTF-8.
    #[error("the header of {place} is not UTF-8")]
    HeaderNotUtf8 {
        /// The source.
        place: String,
    },
    /// Two columns have the same name.
    #[error("{place} has two columns named {column}")]
    DuplicateColumn {
        /// The source.
        place: String,
        /// The name, masked where it looks like a value.
        column: String,
    },
    /// A column that was asked for is not there.
    #[error("column '{column}' not found in {place} (it has: {available})")]
    ColumnNotFound {
        /// The source.
        place: String,
        /// The column that was asked for.
        column: String,
        /// The columns there are, masked where they look like values.
        available: String,
        /// What to do about it.
        remedy: String,
        /// The column that is most like it, where the source's columns can be named.
        similar: Option<String>,
    },
    /// A source has more columns than the limit.
    #[error("{place} has more than {limit} columns")]
    TooManyColumns {
        /// The source.
        place: String,
        /// The limit.
        limit: usize,
    },
    /// A key of an encrypted Parquet file that no cipher takes.
    #[error("the key of the encrypted Parquet file has {characters} characters")]
    ParquetKeyLength {
        /// How many it has.
        characters: usize,
    },
    /// An encrypted Parquet file that cannot be read as it is, or with the key at hand.
    #[error("{place} {problem}")]
    EncryptedParquet {
        /// The file.
        place: String,
        /// Why.
        problem: EncryptionProblem,
    },
    /// A delimiter that cannot separate fields.
    #[error("{0:?} cannot be a delimiter")]
    InvalidDelimiter(char),
    /// Quotes open and never close, too often to go on.
    #[error("the quotes of {place} do not pair up ({})", if *row == 0 { "in the header".to_owned() } else { format!("row {row}") })]
    UnbalancedQuotes {
        /// The source.
        place: String,
        /// The row, counted from 1; 0 is the header.
        row: u64,
    },
    /// Nothing in the file is a JSON object.
    #[error("{place} has no JSON object on a line of its own, and is no array of objects")]
    NoJsonObject {
        /// The source.
        place: String,
    },
    /// The structure of a JSON array is broken.
    #[error("the JSON array of {place} is broken after row {row}: {reason}")]
    BrokenJsonArray {
        /// The source.
        place: String,
        /// The last row that could be told apart.
        row: u64,
        /// Why, in fixed words.
        reason: &'static str,
    },
    /// Files that are to be read as one have different columns.
    #[error("{place} has other columns than {first} (missing: {missing}; more: {more})")]
    DifferentColumns {
        /// The file that differs.
        place: String,
        /// The first file of the pattern.
        first: String,
        /// Columns it lacks.
        missing: String,
        /// Columns it has beyond those of the first.
        more: String,
    },
    /// Files that are to be read as one have different types in a column.
    #[error("column '{column}' is {found} in {place}, but {expected} in the files before it")]
    DifferentType {
        /// The file that differs.
        place: String,
        /// The column.
        column: String,
        /// The type in the files before.
        expected: DataType,
        /// The type in this file.
        found: DataType,
    },
    /// A column of a type that cannot hold identifiers.
    #[error("column '{column}' has type {data_type}, which cannot hold identifiers")]
    ColumnType {
        /// The column.
        column: String,
        /// Its type.
        data_type: DataType,
    },
    /// A Parquet source that cannot be decoded.
    #[error("{place} cannot be decoded as Parquet")]
    DecodeParquet {
        /// The file.
        place: String,
        /// What the decoder said.
        #[source]
        source: parquet::errors::ParquetError,
    },
    /// Columns that cannot be decoded or converted.
    #[error("{place} cannot be decoded")]
    DecodeColumns {
        /// The file.
        place: String,
        /// What the decoder said.
        #[source]
        source: arrow::error::ArrowError,
    },
    /// A file that asks for more than a sound file needs, or that the decoder stumbled over.
    #[error("{place} is malformed: {reason}")]
    MalformedSource {
        /// The file.
        place: String,
        /// Why, in fixed words.
        reason: &'static str,
    },
    /// An address that must not be fetched.
    #[error("{place} is not fetched: {refusal}")]
    FetchRefused {
        /// The address, without its query part.
        place: String,
        /// The rule it breaks.
        refusal: Refusal,
    },
    /// A download that failed.
    #[error("{place} could not be downloaded")]
    Download {
        /// The address, without its query part.
        place: String,
        /// What the HTTP client said.
        #[source]
        source: reqwest::Error,
    },
    /// The server answered with something else than the file.
    #[error("{place} answered with HTTP status {status}")]
    HttpStatus {
        /// The address, without its query part.
        place: String,
        /// The status code.
        status: u16,
    },
    /// A download that is larger than the limit.
    #[error("{place} is larger than the limit of {limit_bytes} bytes")]
    DownloadTooLarge {
        /// The address, without its query part.
        place: String,
        /// The limit.
        limit_bytes: u64,
    },
    /// A download that took longer than the limit.
    #[error("{place} was not downloaded within {limit_s} seconds")]
    DownloadTimeout {
        /// The address, without its query part.
        place: String,
        /// The limit.
        limit_s: u64,
    },
    /// A bucket that did not do what was asked.
    #[error("cannot {action} {place}: {problem}")]
    Bucket {
        /// What was asked: "read", "list", "write", ...
        action: &'static str,
        /// The address.
        place: String,
        /// Why.
        problem: Box<BucketProblem>,
    },

    // ---- running ----
    /// The configured memory does not suffice.
    #[error("{work} does not fit into {limit_bytes} bytes of memory")]
    OutOfMemory {
        /// What was being done.
        work: &'static str,
        /// The limit.
        limit_bytes: u64,
    },
    /// The configured temporary space does not suffice.
    #[error("{work} needs more than {limit_bytes} bytes of temporary files in {}", path.display())]
    OutOfTempSpace {
        /// What was being done.
        work: &'static str,
        /// The folder of temporary files.
        path: PathBuf,
        /// The limit.
        limit_bytes: u64,
    },
    /// Fused files are kept by holder number, and one is not in the list.
    #[error("a fused file names holder {holder}, but there are {holders} holders")]
    NoSuchHolder {
        /// The number given.
        holder: usize,
        /// How many holders there are.
        holders: usize,
    },
    /// A column that an aggregate needs was not kept.
    #[error("no dataset of '{holder}' has the kept column '{column}', which an aggregate of the space needs")]
    NotKept {
        /// The holder.
        holder: datafuse_core::id::ParticipantId,
        /// The column, as the space file names it.
        column: String,
    },
    /// The library below failed in a way that no input should cause.
    #[error("internal error while {work}")]
    Internal {
        /// What was being done.
        work: &'static str,
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// Says what to do about it, where there is something to do.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => "check the path".into(),
                io::ErrorKind::PermissionDenied => "check who may read and write there".into(),
                io::ErrorKind::FileTooLarge => "raise the limit on the size of files (ulimit -f), or free some space".into(),
                _ => return None,
            },
            Self::NoSpace { .. } => "free some space, or write elsewhere (--out)".into(),
            Self::NotParquet { .. } | Self::NotProtected { .. } => {
                "make a protected dataset of it first: datafuse protect".into()
            }
            Self::Truncated { .. } => "copy or upload the file again, then compare its SHA-256 with its holder".into(),
            Self::Corrupted { .. } => {
                "compare its SHA-256 with the one its holder sees; copy it again, or protect it again (datafuse protect)".into()
            }
            Self::WrongKey { .. } => {
                "compare its SHA-256 with the one its holder sees; have it protected again for this space and epoch (datafuse protect)".into()
            }
            Self::OverLimit { .. } | Self::Unsupported { .. } => {
                "have its holder make it with an unmodified datafuse protect".into()
            }
            Self::Envelope { source, .. } => return source.remedy(),
            Self::NoSuchKind { kind, .. } => format!("have it protected with --identifier {kind}=COLUMN"),
            Self::BadToken { .. } => "have its holder protect the dataset again; if it was altered on its way, find out where".into(),
            Self::TableFormat { .. } => "--table with a name that ends in .parquet, .csv or .jsonl".into(),
            Self::TokenTable { problem, .. } => problem.remedy().into(),
            Self::FusedMismatch { .. } => "remove the file: it is made again from the dataset".into(),
            Self::ReservedColumn { .. } => "rename the column in the source, or leave it out of --keep".into(),
            Self::KeptColumnType { column, .. } => {
                format!("leave '{column}' out of --keep, or turn it into text or numbers first")
            }
            Self::NothingValid { kinds, .. } => {
                format!("--identifier {}=COLUMN with another column; datafuse normalize shows what is in one", kinds.join("/"))
            }
            Self::KeptValueTooLong { column, .. } => format!("leave '{column}' out of --keep"),
            Self::UnsupportedSource { .. } => {
                "a path, a pattern such as 'data/*.csv', an http(s) address, or s3://, gs:// or az://BUCKET/KEY".into()
            }
            Self::ModelName { .. } => "name the model with letters, digits, '_', '-', '.' and spaces, and a letter first".into(),
            Self::SourceIsFolder { place } => format!("'{place}/*.csv' to read the files in it"),
            Self::NoMatchingFile { .. } => "check the pattern; it is taken from the current folder".into(),
            Self::NotOneFile { .. } => "the name of one of them".into(),
            Self::UnknownFormat { .. } | Self::NoSuchFormat { .. } => {
                "--format csv, --format json or --format parquet".into()
            }
            Self::NoSuchEncoding { .. } => "--encoding utf-8 or --encoding latin1".into(),
            Self::WrongFormat { remedy, .. } => (*remedy).into(),
            Self::HeaderNotUtf8 { .. } => "--encoding latin1".into(),
            Self::DuplicateColumn { .. } => {
                "rename one of them in the file, or --no-header if it has no header".into()
            }
            Self::ColumnNotFound { remedy, .. } => remedy.clone(),
            Self::TooManyColumns { .. } => "write a file with only the columns that are needed".into(),
            Self::ParquetKeyLength { .. } => "a key of 32 characters (16 and 24 are taken, too)".into(),
            Self::EncryptedParquet { problem, .. } => problem.remedy().into(),
            Self::InvalidDelimiter(_) => format!("--delimiter with one of {SUPPORTED_DELIMITERS}"),
            Self::UnbalancedQuotes { .. } => "write the file with every quote inside a value doubled".into(),
            Self::NoJsonObject { .. } => {
                "one object per line, as `jq -c` writes them, or an array of objects".into()
            }
            Self::BrokenJsonArray { .. } => "write the file again, best with one object per line".into(),
            Self::DifferentColumns { .. } | Self::DifferentType { .. } => "read the files one by one".into(),
            Self::ColumnType { data_type, .. } if data_type.is_floating() => {
                "write the column as text or as whole numbers".into()
            }
            Self::ColumnType { .. } => "write the column as text".into(),
            Self::DecodeParquet { .. } | Self::DecodeColumns { .. } | Self::MalformedSource { .. } => {
                "write the file again with the program that made it".into()
            }
            Self::FetchRefused { refusal, .. } => return refusal.remedy().map(Into::into),
            Self::Download { .. } => "check the address, or download the file and name its path".into(),
            Self::HttpStatus { .. } => "check the address, and that it needs no login".into(),
            Self::DownloadTooLarge { .. } | Self::DownloadTimeout { .. } => {
                "download the file and name its path".into()
            }
            Self::Bucket { problem, .. } => problem.remedy(),
            Self::EmptySource { .. } | Self::InvalidPattern { .. } => return None,
            Self::OutOfMemory { .. } => "give it more with --memory-limit".into(),
            Self::OutOfTempSpace { .. } => "free some space in that folder, or name another one with --temp-dir".into(),
            Self::NotKept { holder, column } => {
                format!("have '{holder}' protect its dataset again with the column kept (datafuse protect --keep {column})")
            }
            Self::NoSuchHolder { .. } | Self::Internal { .. } => return None,
        })
    }

    /// Whether the same may succeed later without anybody changing a thing: what failed is the network, a server, or room on a disk.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NoSpace { .. }
            | Self::OutOfTempSpace { .. }
            | Self::Download { .. }
            | Self::DownloadTimeout { .. } => true,
            Self::HttpStatus { status, .. } => *status >= 500 || matches!(status, 408 | 429),
            Self::Bucket { problem, .. } => problem.is_retryable(),
            Self::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::FileTooLarge
                    | io::ErrorKind::Interrupted
                    | io::ErrorKind::TimedOut
                    | io::ErrorKind::StaleNetworkFileHandle
            ),
            _ => false,
        }
    }

    /// Whether what is asked for is simply not there, and may still come.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        match self {
            Self::Io { source, action: "read", .. } => source.kind() == io::ErrorKind::NotFound,
            Self::NoMatchingFile { .. } | Self::HttpStatus { status: 404 | 410, .. } => true,
            Self::Bucket { problem, .. } => matches!(**problem, BucketProblem::NoObject | BucketProblem::NoMatch),
            _ => false,
        }
    }

    /// Makes an error of what the system said about a file; a full disk becomes [`Error::NoSpace`].
    pub(crate) fn io(path: impl Into<PathBuf>, action: &'static str, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { path },
            _ => Self::Io { path, action, source },
        }
    }
}
