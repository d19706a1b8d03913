//! Flags of `datafuse report`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::PassphraseArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum ReportCommand {
    /// Show what a report says; an encrypted one is decrypted, and with a space its signature is verified
    #[command(
        after_help = "Examples:\n  datafuse report open outputs/01J.../report.json\n  datafuse report open outputs/01J... --space space.yaml\n  datafuse report open outputs/01J... --identity insights.age --space space.yaml --html report.html\n\nOf a folder, what lies in it is opened: report.json, or report.dsse.json.age with --identity. Nothing decrypted is written anywhere but to the page that --html names."
    )]
    Open(ReportOpenArgs),
    /// Verify who signed a report or its receipt, for which space, and that its files are the ones that were signed; needs no network
    #[command(
        after_help = "Examples:\n  datafuse report verify outputs/01J.../report.dsse.json --space space.yaml\n  datafuse report verify outputs/01J... --space space.yaml --json\n  datafuse report verify receipt.json --space space.yaml\n\nWhere report.json and report.html lie beside the envelope, they are verified too; the envelope alone holds the report as well. A receipt shows no figure, and is verified with the file that it names where that lies beside it. What is within an encrypted report is verified by datafuse report open.\nExit codes: 0 it is the workload's, 4 the files or the space are others, 5 the workload did not sign it"
    )]
    Verify(ReportVerifyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ReportOpenArgs {
    /// The report, in any of its forms, or the folder of an event
    pub(crate) report: PathBuf,
    /// The age identity that opens an encrypted report, as datafuse keygen --recipient or age-keygen wrote it
    #[arg(long, value_name = "FILE", env = "DATAFUSE_IDENTITY")]
    pub(crate) identity: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
    /// Also write it as one self-contained web page
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// The agreement: the signature is verified first
    #[arg(long)]
    pub(crate) space: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ReportVerifyArgs {
    /// The signed envelope, report.dsse.json, or the receipt, receipt.json, or the folder of an event
    pub(crate) envelope: PathBuf,
    /// The agreement
    #[arg(long, env = "DATAFUSE_SPACE", default_value = "space.yaml")]
    pub(crate) space: PathBuf,
}
