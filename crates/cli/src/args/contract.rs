//! The arguments of `datafuse contract`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{LimitArgs, ParquetKeyArgs, ReadingArgs, SourceArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum ContractCommand {
    /// Check data against a contract; nothing leaves this machine
    #[command(
        after_help = "Examples:\n  datafuse contract check customers.odcs.yaml --data customers.csv\n  datafuse contract check retail.odcs.yaml --data 'exports/{model}.parquet'\n  datafuse contract check retail.odcs.yaml --model customers --data customers.csv --json\n\nExit codes: 0 every rule that is checked passed, 3 the contract is malformed, 4 a rule failed or could not be checked"
    )]
    Check(ContractCheckArgs),
    /// Draft a contract from data: what holds of all its rows, without any value of it
    #[command(
        after_help = "Examples:\n  datafuse contract init customers.csv --out customers.odcs.yaml\n  datafuse contract init 'exports/*.parquet' --name customers --with-ranges"
    )]
    Init(ContractInitArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ContractCheckArgs {
    /// The contract, a file of the Open Data Contract Standard (version 3)
    pub(crate) file: PathBuf,
    /// The data: a CSV, JSON-lines or Parquet file, a pattern ('exports/*.csv'), or an http(s) address; {model} stands for the
    /// name of each model. Without this: the local server that the contract names
    #[arg(long, value_name = "SOURCE")]
    pub(crate) data: Option<String>,
    /// The model of the contract that the data is of, where it has several
    #[arg(long)]
    pub(crate) model: Option<String>,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
    #[command(flatten)]
    pub(crate) parquet_key: ParquetKeyArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ContractInitArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) reading: ReadingArgs,
    /// The name of contract and model; without this the source's
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Put the smallest and largest numbers and dates into it: these are values of the data
    #[arg(long)]
    pub(crate) with_ranges: bool,
    /// The file to write, never overwritten; without this standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) parquet_key: ParquetKeyArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}
