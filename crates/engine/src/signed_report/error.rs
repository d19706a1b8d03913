//! Why an envelope is not what the workload signed. No variant holds a figure of a report.

use super::{MAX_ENVELOPE_BYTES, REPORT_AGE, REPORT_DSSE};
use crate::report::ReportError;

/// Why an envelope is not the signed report of a workload.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignedReportError {
    /// The bytes are no envelope.
    #[error("not a signed envelope (line {line}, column {column})")]
    NotAnEnvelope {
        /// The line, from 1.
        line: usize,
        /// The column in it.
        column: usize,
    },
    /// The envelope is larger than that of any report.
    #[error("the envelope has {bytes} bytes, {MAX_ENVELOPE_BYTES} are allowed")]
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// The envelope holds something else, or has more signatures than anybody needs.
    #[error(transparent)]
    Envelope(datafuse_core::Error),
    /// None of those whose word counts signed it.
    #[error("it is not signed by the workload of this space ({})", signers.join(", or formerly "))]
    NotSigned {
        /// Their fingerprints.
        signers: Vec<String>,
    },
    /// What is signed is the receipt of a report.
    #[error("it is the receipt of a report, and holds no report")]
    Receipt,
    /// What is signed is no statement about a report.
    #[error("what the workload signed is not a statement about a report")]
    NotAStatement,
    /// The report within cannot be read.
    #[error("the report within the envelope: {0}")]
    Report(#[source] ReportError),
    /// The parts of a statement contradict each other.
    #[error("the statement contradicts the report within it: another {field}")]
    Contradicts {
        /// In what.
        field: &'static str,
    },
    /// It was made for another space.
    #[error("it was made for another space: root {found}, this space has {expected}")]
    OtherSpace {
        /// The root of the space at hand.
        expected: String,
        /// The root in the report.
        found: String,
    },
    /// A file is not the one that was signed.
    #[error("{name} is not the file that was signed: its SHA-256 is {found}, signed was {expected}")]
    OtherFile {
        /// The file's name.
        name: String,
        /// The digest that was signed.
        expected: String,
        /// The digest of the file at hand.
        found: String,
    },
    /// The statement does not name a file that should be there.
    #[error("the statement does not name {name}")]
    Unnamed {
        /// The file's name.
        name: &'static str,
    },
}

impl SignedReportError {
    /// Whether it is the signature that fails, and not what is signed.
    #[must_use]
    pub fn is_signature(&self) -> bool {
        matches!(self, Self::NotSigned { .. })
    }

    /// Says what to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::NotAnEnvelope { .. } | Self::TooLarge { .. } => {
                format!("give the {REPORT_DSSE} of an outputs folder, as it was delivered")
            }
            Self::Envelope(_) | Self::NotAStatement | Self::Contradicts { .. } | Self::Unnamed { .. } => {
                "verify it with the version of datafuse that made it, or a later one; if it stays, ask the workload's operator".to_owned()
            }
            Self::Receipt => format!("give the {REPORT_DSSE} or the {REPORT_AGE} that lies beside it, or the folder"),
            Self::Report(error) => {
                error.remedy().unwrap_or_else(|| "ask the workload's operator for the report again".to_owned())
            }
            Self::NotSigned { .. } => "compare 'workload' in space.yaml with the workload's operator, and where it has a new name, \
                                       get the current space.yaml; else trust nothing in this report"
                .to_owned(),
            Self::OtherSpace { .. } => "--space with the space.yaml of the space that the report names".to_owned(),
            Self::OtherFile { .. } => {
                "get the files again from where they were delivered; one of them was altered, or is of another event".to_owned()
            }
        }
    }
}
