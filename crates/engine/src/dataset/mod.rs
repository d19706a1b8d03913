//! Datasets: rows in from files and addresses, rejected rows out to their owner, protected datasets in and out.
//!
//! [`SourceReader`] turns CSV, JSON and Parquet into Arrow batches with the number of each row; what cannot be read is
//! [`Rejected`] with a reason and can be kept in a [`Quarantine`] file on the owner's side. Nothing here knows what an
//! identifier means.

pub mod protected;
pub mod token_table;

mod address;
mod bucket;
mod column;
mod csv;
mod fetch;
mod guarded;
mod header;
mod input;
mod json;
mod local_file;
mod opening;
mod parquet;
mod quarantine;
mod reader;
mod source;
mod table_writer;

pub use arrow::datatypes::Schema;

pub use self::bucket::{Bucket, BucketAddress, BucketObject, BucketProblem};
pub use self::column::{ByteColumn, column_as_bytes};
pub use self::csv::SUPPORTED_DELIMITERS;
pub use self::fetch::{FetchPolicy, FetchProgress, Lookup, Refusal, fetch_to_file};
pub use self::guarded::GuardedClient;
pub(crate) use self::header::{looks_like_value, shown_columns};
pub use self::local_file::LocalFile;
pub use self::opening::{BucketSettings, ParquetKey};
pub use self::parquet::encryption::EncryptionProblem;
pub use self::quarantine::Quarantine;
pub use self::reader::{SourceReader, matching_files};
pub use self::source::{
    Encoding, Format, Original, ReadOptions, RejectReason, Rejected, Source, SourceBatch, SourceWarning,
};
pub use self::table_writer::TableWriter;
pub(crate) use self::table_writer::{csv_record, csv_rows};
pub use self::token_table::TokenTableProblem;
