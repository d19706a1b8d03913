//! Why a file is no list, or does not open. No variant holds a row number or a key.

use std::path::{Path, PathBuf};

use crate::error::Error;

/// Why a list is not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListFileError {
    /// A file is something else.
    #[error("{} is not a list", path.display())]
    NotAList {
        /// The file.
        path: PathBuf,
    },
    /// What stands at its end for whom it was made is not what it should be.
    #[error("{}: {source}", path.display())]
    Envelope {
        /// The file.
        path: PathBuf,
        /// Why.
        source: datafuse_core::Error,
    },
    /// It ends before it should.
    #[error("{} is truncated", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
    },
    /// It was altered.
    #[error("{} was altered: {part}", path.display())]
    Altered {
        /// The file.
        path: PathBuf,
        /// Which part does not hold together.
        part: String,
    },
    /// The source that its rows are taken from is not the one that the dataset was made of.
    #[error("the source has {found} rows, and the dataset was made of {expected}{}", row_that_cannot_be_read(*unreadable))]
    OtherSource {
        /// The rows that the dataset was made of.
        expected: u64,
        /// The rows of the source.
        found: u64,
        /// A listed row that cannot be read in the source.
        unreadable: Option<u64>,
    },
    /// It cannot be read.
    #[error(transparent)]
    Engine(#[from] Error),
}

fn row_that_cannot_be_read(row: Option<u64>) -> String {
    row.map(|row| format!("; row {row} of it cannot be read")).unwrap_or_default()
}

impl ListFileError {
    /// Takes an error about the file under a list.
    pub(super) fn of(error: Error, path: &Path) -> Self {
        let path = path.to_owned();
        match error {
            Error::NotParquet { .. } | Error::NotProtected { .. } => Self::NotAList { path },
            Error::Truncated { .. } => Self::Truncated { path },
            Error::Corrupted { part, .. } => Self::Altered { path, part },
            // The key is the one that was sealed with it.
            Error::WrongKey { .. } => Self::Altered { path, part: "its footer".to_owned() },
            Error::OverLimit { what, .. } => Self::Altered { path, part: what.to_owned() },
            Error::Unsupported { what, .. } => Self::Altered { path, part: what },
            other => Self::Engine(other),
        }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::NotAList { .. } => "give lists/HOLDER.list of the folder of an event, as the workload wrote it".to_owned(),
            Self::Envelope { source, .. } => return source.remedy(),
            Self::Truncated { .. } | Self::Altered { .. } => {
                "copy the file again from the workload's outputs, and compare its SHA-256".to_owned()
            }
            Self::OtherSource { .. } => {
                "give the file that was protected, as it was then, and the same --format, --delimiter, --no-header and --encoding"
                    .to_owned()
            }
            Self::Engine(error) => return error.remedy(),
        })
    }
}
