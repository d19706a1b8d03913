//! What can go wrong with the agreement and its places. Paths, public names and ids may appear; no variant ever holds a key, a
//! value of a file given by mistake, or the content of a message.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    check::Finding,
    mailbox::{MessageName, Trouble},
};

pub use crate::agreement::Problem;

/// The result of what this crate does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused an action on a file or folder.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file is not there.
    #[error("there is no {what} at {}", path.display())]
    NoFile {
        /// Which file.
        what: &'static str,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A folder is not there, or is none.
    #[error("there is no {what} folder at {}", path.display())]
    NoFolder {
        /// Which folder.
        what: &'static str,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A file is larger than such a file can be.
    #[error("{} is larger than a {what} can be ({limit_bytes} bytes)", path.display())]
    TooLarge {
        /// What it should be.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The most it may hold.
        limit_bytes: u64,
    },
    /// A file that should be text is none.
    #[error("{} is not UTF-8 text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// The text of a space file cannot be understood.
    #[error("{}{}: {problem}", file.display(), place(*line, *column))]
    Syntax {
        /// The space file.
        file: PathBuf,
        /// Line, from 1; 0 where unknown.
        line: u64,
        /// Column, from 1; 0 where unknown.
        column: u64,
        /// What is wrong there.
        problem: Problem,
    },
    /// A space file says things that do not fit together.
    #[error("{}: {}{}", file.display(), first(findings), more(findings.len()))]
    Contract {
        /// The space file.
        file: PathBuf,
        /// All that is wrong, at least one.
        findings: Vec<Finding>,
    },
    /// A secret key lies in a file that everybody reads.
    #[error("{} holds a secret key, not (only) an agreement", file.display())]
    SecretInSpaceFile {
        /// The file.
        file: PathBuf,
    },
    /// A participant is not in the space.
    #[error("the space has no participant '{name}' (it has: {})", known.join(", "))]
    UnknownParticipant {
        /// The name asked for.
        name: String,
        /// Some of those that are there.
        known: Vec<String>,
    },
    /// A holder does not bring such a dataset.
    #[error("'{holder}' brings no dataset '{dataset}' (it brings: {})", known.join(", "))]
    UnknownDataset {
        /// The holder.
        holder: String,
        /// The dataset asked for.
        dataset: String,
        /// Those that it brings.
        known: Vec<String>,
    },
    /// A key file would be overwritten.
    #[error("{} is there already; a key file is never overwritten", path.display())]
    KeyFileExists {
        /// The file.
        path: PathBuf,
    },
    /// Others than its owner can read a key file.
    #[error("{} can be read by others than its owner (mode {mode:03o})", path.display())]
    KeyFileExposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file is no key file, or a damaged one.
    #[error("{} is not a {what}: {reason}", path.display())]
    KeyFileDamaged {
        /// The file.
        path: PathBuf,
        /// What it should be: a key file, a share of one, or an identity file.
        what: &'static str,
        /// What is wrong with it, never its content.
        reason: &'static str,
    },
    /// A key file of a form that this program does not know.
    #[error("{} is a {what} of version {found}; this program knows version {known}", path.display())]
    KeyFileVersion {
        /// The file.
        path: PathBuf,
        /// What it is: a key file, or a share of one.
        what: &'static str,
        /// The version found.
        found: u8,
        /// The version known.
        known: u8,
    },
    /// The keys in a key file are refused.
    #[error("{}: {source}", path.display())]
    Keys {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: datafuse_core::Error,
    },
    /// A key file is under a passphrase, and there is nobody to ask for it.
    #[error("{} is under a passphrase, and none was given", path.display())]
    PassphraseNeeded {
        /// The file.
        path: PathBuf,
    },
    /// A passphrase does not open a key file.
    #[error("the passphrase does not open {}", path.display())]
    WrongPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// A passphrase without a character.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// Opening a key file would take minutes and gigabytes.
    #[error("{} asks for 2^{found} rounds of work to open it; at most 2^{limit} are done", path.display())]
    WorkFactor {
        /// The file.
        path: PathBuf,
        /// log2 of the rounds that it asks for.
        found: u8,
        /// log2 of the most that are done.
        limit: u8,
    },
    /// A key file has room for no more former keys.
    #[error("{} has no room for more former keys", path.display())]
    KeyFileFull {
        /// The file.
        path: PathBuf,
    },
    /// So many shares with this threshold cannot be.
    #[error("{shares} shares of which {threshold} are needed cannot be made")]
    InvalidScheme {
        /// How many should make the key file again.
        threshold: u8,
        /// How many there should be.
        shares: u8,
    },
    /// Shares do not belong together.
    #[error("{} is a share of another set than {}", path.display(), other.display())]
    ShareOfAnotherSet {
        /// The share.
        path: PathBuf,
        /// The first share given.
        other: PathBuf,
    },
    /// One share was given twice.
    #[error("{} is the same share as {}", path.display(), other.display())]
    ShareTwice {
        /// The share.
        path: PathBuf,
        /// The same.
        other: PathBuf,
    },
    /// There are not enough shares to make a key file again.
    #[error("{given} shares are given; {threshold} are needed")]
    TooFewShares {
        /// How many are there.
        given: usize,
        /// How many are needed.
        threshold: u8,
    },
    /// Shares that seem to belong together do not make a key.
    #[error("the shares do not make a key file: at least one of them was altered")]
    SharesDoNotOpen,
    /// What a party remembers cannot be understood.
    #[error("{} is damaged{}", path.display(), place(*line, *column))]
    MemoryDamaged {
        /// The file.
        path: PathBuf,
        /// Line, from 1; 0 where unknown.
        line: u64,
        /// Column, from 1; 0 where unknown.
        column: u64,
    },
    /// What a party remembers is of a form that this program does not know.
    #[error("{} is of version {found}; this program knows version {known}", path.display())]
    MemoryVersion {
        /// The file.
        path: PathBuf,
        /// The version found.
        found: u64,
        /// The version known.
        known: u64,
    },
    /// The share that a steward served an epoch with is not in its key file any more.
    #[error("the share with which this key file served epoch {epoch} is not in it any more")]
    ShareLost {
        /// The epoch.
        epoch: datafuse_core::id::Epoch,
    },
    /// The protocol refuses something: see its own error.
    #[error(transparent)]
    Protocol(#[from] datafuse_core::Error),
    /// A text cannot name a message.
    #[error("not a message name: it needs 1 to 128 of a-z, 0-9, '.', '_', '-', and no dot first or last")]
    UnsafeMessageName,
    /// A message is larger than messages can be.
    #[error("message {name} is larger than {limit_bytes} bytes")]
    MessageTooLarge {
        /// The message.
        name: MessageName,
        /// The most it may hold.
        limit_bytes: u64,
    },
    /// A mailbox on another machine did not do what was asked.
    #[error("cannot {action} {place}: {trouble}")]
    Mailbox {
        /// What was tried.
        action: &'static str,
        /// The address, without credentials.
        place: String,
        /// Why it failed.
        trouble: Trouble,
    },
    /// A message should be removed where nobody may.
    #[error("cannot remove {place}: an HTTP mailbox lets nobody remove messages")]
    CannotRemove {
        /// The message's address, without credentials.
        place: String,
    },
    /// A message may not be put into the mailbox.
    #[error("the message is refused: {rule}")]
    NotAdmitted {
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes: {0}")]
    NoRandomness(getrandom::Error),
}

/// Whether what kept a file from being read or written may be over later by itself: room can be made, and a share can come back.
#[must_use]
pub fn passes(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge
            | io::ErrorKind::Interrupted
            | io::ErrorKind::TimedOut
            | io::ErrorKind::StaleNetworkFileHandle
    )
}

/// Whether a place that was good when the program began may be good again once somebody has seen to it: permissions come back,
/// a share is mounted. Where this is no new place, that is worth waiting for like what [`passes`].
#[must_use]
pub fn is_mendable(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::NotFound)
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    /// Whether the same may succeed later, at a place where it did before.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Mailbox { trouble, .. } => trouble.is_retryable(),
            // A share that parties have in common may be away for a while.
            Self::NoFolder { what, .. } => *what == "mailbox",
            Self::Io { source, .. } => passes(source.kind()) || is_mendable(source.kind()),
            _ => false,
        }
    }

    /// Gives the error's class where an event failed of it: a short fixed name for audit lines, dead letters and metrics.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Io { .. }
            | Self::NoFolder { .. }
            | Self::Mailbox { .. }
            | Self::MessageTooLarge { .. }
            | Self::UnsafeMessageName
            | Self::CannotRemove { .. }
            | Self::NotAdmitted { .. } => "mailbox",
            Self::UnknownParticipant { .. } => "participant-unknown",
            Self::UnknownDataset { .. } => "dataset-unknown",
            Self::Protocol(_) => "protocol",
            Self::NoRandomness(_) => "no-randomness",
            _ => "space",
        }
    }

    /// Says what to do about it, where there is something to do.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::Io { source, path, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    format!("give this user access to {}", path.display())
                }
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                    "make room on that disk and run it again".into()
                }
                io::ErrorKind::NotFound => "check the path".into(),
                _ => return None,
            },
            Self::NoFile { what: "space file", .. } => {
                "give its path with --space, or make one with `datafuse space init`".into()
            }
            Self::NoFile { what: "key share", .. } => "check the path of that share".into(),
            Self::NoFile { .. } => {
                "give its path with --key, or make one with `datafuse keygen --out FILE`".into()
            }
            Self::NoFolder { path, .. } => {
                format!("mount or make it (mkdir -p {}), or correct the path in space.yaml", path.display())
            }
            Self::TooLarge { .. } | Self::NotText { .. } => "check that this is the file you mean".into(),
            Self::Syntax { problem, .. } => return problem.remedy(),
            Self::Contract { findings, .. } => {
                return findings.first().map(|finding| match findings.len() {
                    1 => finding.remedy.clone(),
                    _ => format!("{}; `datafuse space check` lists all", finding.remedy),
                });
            }
            Self::SecretInSpaceFile { .. } => {
                "give the space file with --space and the key file with --key; if the key lies in a space file that others \
                 have seen, make a new one with `datafuse keygen`"
                    .into()
            }
            Self::UnknownParticipant { .. } => "give the name of one of the space's participants".into(),
            Self::UnknownDataset { .. } => "name one of them with --dataset, or add it to space.yaml".into(),
            Self::KeyFileExists { .. } => "choose another --out, or move the old key file away first".into(),
            Self::KeyFileExposed { path, .. } => format!("chmod 600 {}", path.display()),
            Self::KeyFileDamaged { what: "key share", .. } => {
                "check that this is a file that `datafuse key split` wrote, and use another share in its place".into()
            }
            Self::KeyFileDamaged { what: "identity file", .. } => {
                "--identity with a file that age-keygen or `datafuse keygen --recipient` wrote".into()
            }
            Self::KeyFileDamaged { .. } => {
                "check that --key names a key file; restore a damaged one from its backup".into()
            }
            Self::KeyFileVersion { .. } | Self::MemoryVersion { .. } => {
                "use the version of datafuse that wrote it, or a newer one".into()
            }
            Self::PassphraseNeeded { .. } => {
                "give it with --passphrase-file FILE or --passphrase-fd N, or run this on a terminal".into()
            }
            Self::WrongPassphrase { .. } => {
                "check the passphrase, or the file named by --passphrase-file; if it is right, the key file was altered: \
                 restore it from its backup"
                    .into()
            }
            Self::EmptyPassphrase => {
                "give a passphrase of at least one character; --passphrase-file takes the first line of its file".into()
            }
            Self::WorkFactor { .. } => "do not trust this file: `datafuse keygen` makes none like it".into(),
            Self::KeyFileFull { .. } => "wipe former keys with `datafuse key forget --key FILE`".into(),
            Self::InvalidScheme { .. } => "give --shares from 2 to 255, and --threshold from 2 to that number".into(),
            Self::ShareOfAnotherSet { .. } => {
                "give shares that were made by one `datafuse key split`; their file names tell how many there are".into()
            }
            Self::ShareTwice { .. } => "give each share once".into(),
            Self::TooFewShares { threshold, .. } => format!("give {threshold} different shares"),
            Self::SharesDoNotOpen => "leave one share out, or use others of the same set in their place".into(),
            Self::Keys { source, .. } => return source.remedy(),
            Self::MemoryDamaged { path, .. } => format!(
                "restore {} from a backup; if there is none, remove it: names will be asked again, and protect must be told \
                 the last version of each dataset",
                path.display()
            ),
            Self::ShareLost { .. } => {
                "give --key with a copy that still has it, or ask the workload's operator for a new epoch".into()
            }
            Self::Protocol(source) => return source.remedy(),
            Self::UnsafeMessageName => "use only names that a mailbox gave".into(),
            Self::MessageTooLarge { name, .. } => format!("remove {name} from the mailbox: no message is that large"),
            Self::Mailbox { trouble, .. } => trouble.remedy().into(),
            Self::CannotRemove { .. } => "leave it: the workload removes what it has collected".into(),
            Self::NotAdmitted { .. } => {
                "use the current space.yaml and your own key file, and enrol again; a newcomer waits until the workload has the \
                 new space.yaml"
                    .into()
            }
            Self::NoRandomness(_) => return None,
        })
    }
}

fn place(line: u64, column: u64) -> String {
    match line {
        0 => String::new(),
        _ => format!(", line {line}, column {column}"),
    }
}

fn first(findings: &[Finding]) -> String {
    findings.first().map(ToString::to_string).unwrap_or_default()
}

fn more(findings: usize) -> String {
    match findings {
        0 | 1 => String::new(),
        many => format!(" (and {} more)", many - 1),
    }
}
