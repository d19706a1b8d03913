//! Flags of `datafuse report`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum ReportCommand {
    /// Show what a report says
    #[command(
        after_help = "Examples:\n  datafuse report open outputs/01J.../report.json\n  datafuse report open outputs/01J... --space space.yaml"
    )]
    Open(ReportOpenArgs),
    /// Verify who signed a report, for which space, and that its files are the ones that were signed; needs no network
    #[command(
        after_help = "Examples:\n  datafuse report verify outputs/01J.../report.dsse.json --space space.yaml\n  datafuse report verify outputs/01J... --space space.yaml --json\n\nWhere report.json and report.html lie beside the envelope, they are verified too; the envelope alone holds the report as well.\nExit codes: 0 it is the workload's, 4 the files or the space are others, 5 the workload did not sign it"
    )]
    Verify(ReportVerifyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ReportOpenArgs {
    /// The report, or the folder of an event
    pub(crate) report: PathBuf,
    /// Also write it as one self-contained web page
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// The agreement: the signature beside the report is verified first
    #[arg(long)]
    pub(crate) space: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ReportVerifyArgs {
    /// The signed envelope, report.dsse.json, or the folder of an event
    pub(crate) envelope: PathBuf,
    /// The agreement
    #[arg(long, env = "DATAFUSE_SPACE", default_value = "space.yaml")]
    pub(crate) space: PathBuf,
}
