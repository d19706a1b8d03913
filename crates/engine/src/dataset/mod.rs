//! Datasets: rows in from files and addresses, rejected rows out to their owner, protected datasets in and out.
//!
//! [`SourceReader`] turns CSV, JSON and Parquet into Arrow batches with the number of each row; what cannot be read is
//! [`Rejected`] with a reason and can be kept in a [`Quarantine`] file on the owner's side. Nothing here knows what an
//! identifier means.

pub mod protected;

mod address;
mod column;
mod csv;
mod fetch;
mod header;
mod input;
mod json;
mod opening;
mod parquet;
mod quarantine;
mod reader;
mod source;

pub use self::column::{ByteColumn, column_as_bytes};
pub use self::csv::SUPPORTED_DELIMITERS;
pub use self::fetch::{FetchPolicy, FetchProgress, Lookup, Refusal, fetch_to_file};
pub(crate) use self::header::{looks_like_value, shown_columns};
pub use self::opening::{BucketSettings, ParquetKey};
pub use self::quarantine::Quarantine;
pub use self::reader::SourceReader;
pub use self::source::{Encoding, Format, Original, ReadOptions, RejectReason, Rejected, Source, SourceBatch};
