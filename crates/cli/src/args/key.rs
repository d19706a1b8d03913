//! What concerns keys: `datafuse keygen`, `datafuse key ...`, and where passphrases come from.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use datafuse_core::id::ParticipantId;

/// Where the passphrase of a key file comes from. Never an argument: those are seen by every user of the machine.
#[derive(Debug, Args)]
pub(crate) struct PassphraseArgs {
    /// File whose first line is the key file's passphrase; without this it is asked for, where the key file has one
    #[arg(long, value_name = "FILE", env = "DATAFUSE_PASSPHRASE_FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Open file descriptor to read the passphrase from, before any --passphrase-file
    #[arg(long, value_name = "N")]
    pub(crate) passphrase_fd: Option<u32>,
}

/// Whether a new key file gets a passphrase, and which.
#[derive(Debug, Args)]
pub(crate) struct NewPassphraseArgs {
    /// Put the key file under a passphrase, which is asked for twice
    #[arg(long)]
    pub(crate) passphrase: bool,
    /// File whose first line is the passphrase to put the key file under
    #[arg(long, value_name = "FILE", env = "DATAFUSE_PASSPHRASE_FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Open file descriptor to read that passphrase from, before any --passphrase-file
    #[arg(long, value_name = "N", conflicts_with = "passphrase")]
    pub(crate) passphrase_fd: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct KeygenArgs {
    /// The key file to write; never overwritten
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Make a data user's age identity instead, and print its recipient, to which reports are encrypted
    #[arg(long)]
    pub(crate) recipient: bool,
    #[command(flatten)]
    pub(crate) passphrase: NewPassphraseArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Say what is in a key file, without any secret
    #[command(after_help = "Examples:\n  datafuse key show --key acme.key\n  datafuse key show --key acme.key --json")]
    Show(KeyArgs),
    /// Put a key file under another passphrase, or under none
    #[command(
        after_help = "Examples:\n  datafuse key change-passphrase --key acme.key\n  datafuse key change-passphrase --key acme.key --passphrase-file old.txt --new-passphrase-file new.txt\n  datafuse key change-passphrase --key acme.key --remove\n\nCopies of the key file keep the passphrase that they have."
    )]
    ChangePassphrase(ChangePassphraseArgs),
    /// Take a new token key; with a space and a party, tell the workload of it
    #[command(
        after_help = "Examples:\n  datafuse key rotate --key acme.key\n  datafuse key rotate --key acme.key --space space.yaml --party acme\n\nThe former token key stays in the file, for what was made with it. Afterwards run datafuse enrol in each space (done where --space and --party are given), and protect each dataset again."
    )]
    Rotate(RotateArgs),
    /// Draw all keys anew, after a leak; prints the new public name
    #[command(
        after_help = "Example:\n  datafuse key replace --key acme.key\n\nThe party gets a new public name; what to do with it is printed. Of the former keys only what opens one's own earlier files is kept, and what an open epoch needs of a steward."
    )]
    Replace(WipeArgs),
    /// Wipe the keys that were rotated or replaced
    #[command(
        after_help = "Example:\n  datafuse key forget --key acme.key\n\nFormer share secrets stay, as one may serve an open epoch; --shares wipes them too. What was made with them can then no longer be opened. Copies of the key file keep what they have."
    )]
    Forget(ForgetArgs),
    /// Write a key file as shares, of which some make it again
    #[command(
        after_help = "Example:\n  datafuse key split --key acme.key --shares 5 --threshold 3 --out shares\n\nFewer shares than the threshold say nothing. Shares have no passphrase: give each to another keeper. The key file stays as it is; split it again after it has changed."
    )]
    Split(SplitArgs),
    /// Make a key file again from its shares
    #[command(
        after_help = "Example:\n  datafuse key combine acme.key.share-1-of-5 acme.key.share-2-of-5 acme.key.share-5-of-5 --out acme.key"
    )]
    Combine(CombineArgs),
    /// Play the leak of keys against everything that lies about here, and table what falls
    #[command(
        after_help = "Examples:\n  datafuse key drill --space demo/space.yaml --leak acme\n  datafuse key drill --space demo/space.yaml --leak acme --leak all-workload\n  datafuse key drill --space space.yaml --leak acme --key acme=acme.key --dictionary customers.csv --column email\n\nNothing is changed, and no identifier is shown. It ends with 1 where the attack does not find what a leaked key must open."
    )]
    Drill(DrillArgs),
}

#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// The key file
    #[arg(long, env = "DATAFUSE_KEY")]
    pub(crate) key: PathBuf,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ChangePassphraseArgs {
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    /// File whose first line is the new passphrase; without this it is asked for twice
    #[arg(long, value_name = "FILE")]
    pub(crate) new_passphrase_file: Option<PathBuf>,
    /// Open file descriptor to read the new passphrase from
    #[arg(long, value_name = "N", conflicts_with = "new_passphrase_file")]
    pub(crate) new_passphrase_fd: Option<u32>,
    /// Leave the key file without a passphrase
    #[arg(long, conflicts_with_all = ["new_passphrase_file", "new_passphrase_fd"])]
    pub(crate) remove: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    /// The agreement of a space to enrol in with the new key
    #[arg(long, env = "DATAFUSE_SPACE")]
    pub(crate) space: Option<PathBuf>,
    /// This party's name in that agreement
    #[arg(long, env = "DATAFUSE_PARTY")]
    pub(crate) party: Option<ParticipantId>,
    /// Approve the shown names without being asked
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// Of commands that cannot be taken back.
#[derive(Debug, Args)]
pub(crate) struct ForgetArgs {
    #[command(flatten)]
    pub(crate) wipe: WipeArgs,
    /// Former share secrets too: none of them serves an open epoch any more
    #[arg(long)]
    pub(crate) shares: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WipeArgs {
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    /// Do it without being asked
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SplitArgs {
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    /// How many shares to make, at most 255
    #[arg(long, value_name = "N")]
    pub(crate) shares: u8,
    /// How many of them make the key file again, at least 2
    #[arg(long, value_name = "N")]
    pub(crate) threshold: u8,
    /// Folder for the shares; made where there is none, and no file in it is overwritten
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct CombineArgs {
    /// Shares of one set, as many as its threshold, in any order
    #[arg(required = true)]
    pub(crate) share: Vec<PathBuf>,
    /// The key file to write; never overwritten
    #[arg(long)]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) passphrase: NewPassphraseArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DrillArgs {
    /// The agreement
    #[arg(long, env = "DATAFUSE_SPACE", default_value = "space.yaml")]
    pub(crate) space: PathBuf,
    /// Whose key file leaks: a data holder, or all-workload for the workload's; several may
    #[arg(long = "leak", value_name = "PARTY", required = true)]
    pub(crate) leaks: Vec<String>,
    /// Folder of the key files, named NAME.key and workload.key; without this `keys` beside the agreement
    #[arg(long, value_name = "DIR")]
    pub(crate) keys: Option<PathBuf>,
    /// The key file of a party, where it is elsewhere
    #[arg(long = "key", value_name = "PARTY=FILE")]
    pub(crate) key: Vec<String>,
    #[command(flatten)]
    pub(crate) passphrase: PassphraseArgs,
    /// Identifiers to try: a CSV, JSON-lines or Parquet file. Without this the sources of example data beside the agreement
    #[arg(long, value_name = "FILE")]
    pub(crate) dictionary: Option<PathBuf>,
    /// Which column of the dictionary holds them; for one of several kinds KIND=COLUMN, columns separated by commas
    #[arg(long = "column", value_name = "NAME")]
    pub(crate) columns: Vec<String>,
    /// Who really has what: a truth.json with its sources beside it, or a folder of such. Without this the one beside the agreement
    #[arg(long, value_name = "PATH")]
    pub(crate) truth: Option<PathBuf>,
    /// A log file to search as well
    #[arg(long = "log", value_name = "FILE")]
    pub(crate) logs: Vec<PathBuf>,
}
