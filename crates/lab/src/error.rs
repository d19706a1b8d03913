//! What can go wrong in the lab: a specification that cannot be met, and files.

use std::{io, path::PathBuf};

/// The result of a lab operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the lab refused or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A number of a specification is out of its range.
    #[error("{what} is {found}, it must be {range}")]
    OutOfRange {
        /// Which number: "the number of holders", ...
        what: &'static str,
        /// The number given.
        found: String,
        /// The numbers accepted.
        range: &'static str,
        /// The flag that sets it.
        flag: &'static str,
    },
    /// A file or folder cannot be used.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried: "write", "read", ...
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file is not a `truth.json`.
    #[error("{} is not a truth.json: {source}", path.display())]
    NotATruth {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// The folder for the demo holds something.
    #[error("{} is not empty", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// A file with identifiers has no column of any kind of the space.
    #[error("no column of {} holds an identifier of the space", path.display())]
    NoIdentifiers {
        /// The file.
        path: PathBuf,
    },
    /// There is nothing that a drill could try.
    #[error("there is no dictionary: {} is not there", path.display())]
    NoDictionary {
        /// The `truth.json` that would have named one.
        path: PathBuf,
    },
    /// The demo's space has no folder for its queue.
    #[error("the demo's queue is not a folder")]
    NoQueueFolder,
    /// The event ended without a report.
    #[error("the event ended without a report")]
    NoReport,
    /// The protocol refused something.
    #[error(transparent)]
    Protocol(#[from] datafuse_core::Error),
    /// The data engine failed.
    #[error(transparent)]
    Engine(Box<datafuse_engine::Error>),
    /// The space failed.
    #[error(transparent)]
    Space(#[from] datafuse_space::Error),
    /// A holder failed.
    #[error(transparent)]
    Holder(#[from] datafuse_holder::Error),
    /// The workload failed.
    #[error(transparent)]
    Workload(#[from] datafuse_workload::Error),
}

impl Error {
    /// Says what to do about it, where there is something to do.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::OutOfRange { flag, range, .. } => format!("{flag} with a number {range}"),
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "free some space, or write elsewhere (--out)".into()
                }
                io::ErrorKind::PermissionDenied => "choose a folder that you may write to (--out)".into(),
                _ => return None,
            },
            Self::NotATruth { .. } => "give the truth.json of a folder that the demo made".into(),
            Self::NotEmpty { .. } => "--out with a new folder".into(),
            Self::NoIdentifiers { .. } => {
                "--column NAME, or --column KIND=NAME where the space has several kinds".into()
            }
            Self::NoDictionary { .. } => {
                "--dictionary FILE, with a column of identifiers that holds as many true ones as you have".into()
            }
            Self::NoQueueFolder | Self::NoReport => return None,
            Self::Protocol(error) => return error.remedy(),
            Self::Engine(error) => return error.remedy(),
            Self::Space(error) => return error.remedy(),
            Self::Holder(error) => return error.remedy(),
            Self::Workload(error) => return error.remedy(),
        })
    }

    pub(crate) fn io(path: impl Into<PathBuf>, action: &'static str, source: io::Error) -> Self {
        Self::Io { path: path.into(), action, source }
    }
}

impl From<datafuse_engine::Error> for Error {
    fn from(error: datafuse_engine::Error) -> Self {
        Self::Engine(Box::new(error))
    }
}
