//! The arguments of `datafuse token`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use datafuse_core::id::KindName;

use super::PartyArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a sealed request from this party's own identifiers, to ask whether the other holders know them
    #[command(
        after_help = "Examples:\n  datafuse token make --file customers.txt --party acme --key acme.key --out request.lookup\n  datafuse send CHECK_VALID_CUSTOMER --request request.lookup\n\nOne identifier a line; the columns of an identifier of several columns are separated by tabs. There is no way to\ngive an identifier as an argument: arguments stay in the shell's history and show in the list of processes."
    )]
    Make(TokenMakeArgs),
    /// Open the answer to a request; nobody else can
    #[command(
        after_help = "Examples:\n  datafuse token open request.lookup --party acme --key acme.key\n  datafuse token open request.lookup --answer outputs/01J.../answer.lookup --party acme --key acme.key\n\nAnswers are numbered by the line of the identifier. Exit codes: 0 it was answered, 6 it was refused by policy"
    )]
    Open(TokenOpenArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TokenMakeArgs {
    /// The identifiers, one a line; without this standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The identifier kind, where the space has several
    #[arg(long, value_name = "NAME")]
    pub(crate) kind: Option<KindName>,
    /// The request to write; never overwritten. Keep it: the answer opens with it
    #[arg(long, default_value = "request.lookup", value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Make a bare token of one identifier, neither sealed nor signed: for systems that can only send a
    /// token, where the agreement allows it (policy.lookups.bare)
    #[arg(long)]
    pub(crate) bare: bool,
    #[command(flatten)]
    pub(crate) party: PartyArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TokenOpenArgs {
    /// The request that was made
    pub(crate) request: PathBuf,
    /// The answer; without this the one in the mailbox
    #[arg(long, value_name = "FILE")]
    pub(crate) answer: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) party: PartyArgs,
}
