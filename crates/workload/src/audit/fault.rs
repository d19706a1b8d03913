//! What is wrong with an audit log, and what to do about it.

use std::{io, path::PathBuf};

/// The first thing that is wrong with an audit log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditFault {
    /// A file cannot be read.
    #[error("could not read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// There is no line at all.
    #[error("{} holds no line", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The log is of a version that did not chain lines.
    #[error("the {lines} lines of {} are of a version that did not sign them", path.display())]
    NotSigned {
        /// The file.
        path: PathBuf,
        /// How many.
        lines: u64,
    },
    /// A line is not what the workload signed.
    #[error("line {line} of {} was altered, or is not the workload's", path.display())]
    Altered {
        /// The file.
        path: PathBuf,
        /// The line's place in the file, from 1.
        line: u64,
    },
    /// Lines are missing before a line.
    #[error("entries {from} to {to} are missing before line {line} of {}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The line's place in the file, from 1.
        line: u64,
        /// The first missing entry.
        from: u64,
        /// The last missing entry.
        to: u64,
    },
    /// A line stands where another belongs.
    #[error("line {line} of {} is entry {found}, where entry {expected} belongs", path.display())]
    OutOfOrder {
        /// The file.
        path: PathBuf,
        /// The line's place in the file, from 1.
        line: u64,
        /// Its number.
        found: u64,
        /// The number that belongs there.
        expected: u64,
    },
    /// A line does not follow the one before it.
    #[error("line {line} of {} follows another line than the one before it", path.display())]
    DoesNotFollow {
        /// The file.
        path: PathBuf,
        /// The line's place in the file, from 1.
        line: u64,
    },
    /// What a crash left of a line is not there any more, or is something else.
    #[error("what a crash left before line {line} of {} was altered or removed", path.display())]
    CutAltered {
        /// The file.
        path: PathBuf,
        /// The line's place in the file, from 1.
        line: u64,
    },
    /// The lines of a version without a chain are not those that the chain began with.
    #[error("the lines before line {line} of {}, of a version that did not sign them, were altered", path.display())]
    BeforeAltered {
        /// The file.
        path: PathBuf,
        /// The line's place in the file, from 1.
        line: u64,
    },
    /// A former name signs after the present one.
    #[error("{what} is signed by a name that the workload had before, and has replaced")]
    FormerName {
        /// Which line, or the head.
        what: String,
    },
    /// The log does not begin with its first line.
    #[error("{} begins with entry {found}; those before are not here", path.display())]
    BeginsLater {
        /// The file.
        path: PathBuf,
        /// The first entry.
        found: u64,
    },
    /// The head is missing or not the workload's.
    #[error("{} is missing, damaged, or not signed by the workload", path.display())]
    NoHead {
        /// The file.
        path: PathBuf,
    },
    /// The log ends before its head.
    #[error("the log ends with entry {last}, and had at least {known}: its end was cut off")]
    CutOff {
        /// The last entry that is there.
        last: u64,
        /// The last entry that is known to have been there.
        known: u64,
    },
    /// An entry is another than the one that is known.
    #[error("entry {seq} is another than {what} says: the log was replaced from there or before")]
    Replaced {
        /// The entry.
        seq: u64,
        /// Who knows it: the head, or what was kept.
        what: &'static str,
    },
}

impl AuditFault {
    /// Gives what to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        const COPY: &str = "compare with a copy of the log that was kept elsewhere; keep this one as evidence";
        match self {
            Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "--state with the folder of the workload's state, or the file itself".to_owned()
            }
            Self::Unreadable { .. } => "check the permissions of the file and its folder".to_owned(),
            Self::Empty { .. } => "--state with the folder of a workload that has run".to_owned(),
            Self::NotSigned { .. } => "start the workload once with this version: it binds what is there".to_owned(),
            Self::BeginsLater { .. } => "--archive FILE with each file that was put away, oldest first".to_owned(),
            Self::NoHead { .. } => {
                "audit.head belongs beside the log; after a power failure the workload's next line writes it anew".to_owned()
            }
            Self::FormerName { what } if what == "the head" => {
                "start the workload once with its present key; if it has run with it since, somebody uses the former key"
                    .to_owned()
            }
            _ => COPY.to_owned(),
        }
    }
}
