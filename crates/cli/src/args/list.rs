//! The arguments of `datafuse list`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use datafuse_core::id::DatasetId;

use super::{ParquetKeyArgs, PartyArgs, ReadingArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum ListCommand {
    /// Open a list of this party: which of its rows other holders have too; nobody else can
    #[command(
        after_help = "Examples:\n  datafuse list open outputs/01J.../lists/acme.list --party acme --key acme.key\n  datafuse list open acme.list --party acme --key acme.key --out rows.csv\n  datafuse list open acme.list --party acme --key acme.key --join customers.csv --out matched.csv\n\nRows are numbered from 1 as in the file that was protected, its header aside. With --join that file is read again, with the\nsame --format, --delimiter, --no-header and --encoding as then, and its listed rows are written with all their columns."
    )]
    Open(Box<ListOpenArgs>),
}

#[derive(Debug, Args)]
pub(crate) struct ListOpenArgs {
    /// The list, lists/PARTY.list of the folder of an event
    pub(crate) list: PathBuf,
    /// The report.dsse.json or receipt.json of the event; without this the one in the folder above the list's, if there is one
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// The CSV file to write: the numbers of the listed rows, or with --join the rows
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// The source of the dataset, as it was when it was protected: CSV, JSON lines or Parquet, a path, a pattern or an address
    #[arg(long, value_name = "SOURCE", requires = "out")]
    pub(crate) join: Option<String>,
    /// Whose rows the source has, where the list is of several datasets
    #[arg(long, value_name = "NAME", requires = "join")]
    pub(crate) dataset: Option<DatasetId>,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
    #[command(flatten)]
    pub(crate) parquet_key: ParquetKeyArgs,
    #[command(flatten)]
    pub(crate) party: PartyArgs,
}
