//! Flags about Parquet files of other tools: the key that opens one, and the table that is made for them.

use std::path::PathBuf;

use clap::Args;

/// The key of an encrypted source.
#[derive(Debug, Args)]
pub(crate) struct ParquetKeyArgs {
    /// The source is encrypted Parquet: a file whose first line is its AES key, readable by its owner alone
    #[arg(long, value_name = "FILE", env = "DATAFUSE_PARQUET_KEY_FILE")]
    pub(crate) parquet_key_file: Option<PathBuf>,
}

/// The table that is written in the place of a protected dataset.
#[derive(Debug, Args)]
pub(crate) struct TableArgs {
    /// Instead of a protected dataset: a plain table of tokens for this party's own tools, in the format that the name's end tells
    /// (.parquet, .csv, .jsonl)
    #[arg(long, value_name = "OUT", conflicts_with_all = ["rekey", "out", "dataset"])]
    pub(crate) table: Option<PathBuf>,
}
