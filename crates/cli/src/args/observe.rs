//! How a workload is watched: the arguments of its logs, its numbers and its audit log.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Human,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// How log lines look; without this as the results: for people, or JSON with --json
    #[arg(long, value_enum, value_name = "FORMAT", env = "DATAFUSE_LOG_FORMAT")]
    log_format: Option<LogFormat>,
}

impl LogArgs {
    /// The format that was asked for, else the one that goes with the results.
    pub(crate) fn format(&self, json: bool) -> LogFormat {
        self.log_format.unwrap_or(if json { LogFormat::Json } else { LogFormat::Human })
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Verify the workload's audit log, offline and without any key
    #[command(
        after_help = "Examples:\n  datafuse audit verify --space space.yaml\n  datafuse audit verify --space space.yaml --state /srv/datafuse/state --expect 4711:9f86d0...\n  datafuse audit verify --space space.yaml --archive state/audit-1.jsonl\n\nKeep the head that it prints somewhere else, and give it with --expect next time: only so is an\nolder log found that was put back with its own older head."
    )]
    Verify(AuditVerifyArgs),
    /// Verify the audit log, and print its head as SEQ:HASH, to be kept elsewhere
    #[command(after_help = "Example:\n  datafuse audit head --space space.yaml >> /mnt/elsewhere/audit-heads")]
    Head(AuditVerifyArgs),
}

#[derive(Debug, Args)]
pub(crate) struct AuditVerifyArgs {
    /// The agreement
    #[arg(long, env = "DATAFUSE_SPACE", default_value = "space.yaml")]
    pub(crate) space: PathBuf,
    /// Folder of the workload's state, or the log itself, where not the agreement's
    #[arg(long, value_name = "DIR|FILE", env = "DATAFUSE_STATE")]
    pub(crate) state: Option<PathBuf>,
    /// A file of the log that was put away, oldest first
    #[arg(long = "archive", value_name = "FILE")]
    pub(crate) archives: Vec<PathBuf>,
    /// A head that was kept: the log must hold that entry
    #[arg(long = "expect", value_name = "SEQ:HASH", value_parser = parse_entry)]
    pub(crate) expected: Vec<datafuse_workload::audit::Entry>,
}

fn parse_entry(text: &str) -> Result<datafuse_workload::audit::Entry, String> {
    text.parse().map_err(|error: datafuse_workload::audit::NotAnEntry| error.to_string())
}
