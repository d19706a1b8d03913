//! The list of a holder: opened, verified, and written as row numbers or as the rows of its source.
//!
//! In: the file that the workload wrote for this holder. Out: how many rows are in it, and CSV files on the holder's own machine. What is
//! said of a list is said only once its signature, its space, and every byte of it hold.

use std::path::Path;

use datafuse_core::{
    id::DatasetId,
    list::{Join, ListHeader},
};
use datafuse_engine::{
    dataset::{SourceReader, protected::commitment},
    list::{ListFile, ListFileError, ListedDataset},
    signed_report::{Receipt, SignedReport, SignedReportError, is_receipt},
};

use crate::{error::Result, party::Party};

/// A list that was opened and verified.
pub struct OpenedList {
    header: ListHeader,
    file: ListFile,
    counts: Vec<u64>,
    sha256: String,
}

/// Why a list is not opened, or its rows are not written. No variant holds a row.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// The file is none, or does not hold together.
    #[error(transparent)]
    File(#[from] ListFileError),
    /// The report beside it does not verify.
    #[error(transparent)]
    Report(#[from] SignedReportError),
    /// The report is of another event.
    #[error("the list was made for event {list}, the report for event {report}")]
    OtherEvent {
        /// The event of the list.
        list: String,
        /// The event of the report.
        report: String,
    },
    /// The report names another list of this holder, or none.
    #[error("the report of event {event} was not signed with this list: {}", expected.as_ref().map_or_else(
        || "it names none of this holder".to_owned(), |expected| format!("its SHA-256 is {expected} there, and {found} here")
    ))]
    OtherList {
        /// The event.
        event: String,
        /// The SHA-256 that is signed.
        expected: Option<String>,
        /// That of the file.
        found: String,
    },
    /// The list is of several datasets, or not of the one that was named.
    #[error("which dataset's rows are meant is not clear: the list is of {}", known.join(", "))]
    WhichDataset {
        /// The datasets of the list.
        known: Vec<String>,
    },
}

impl ListError {
    /// Says what to do about it, where there is something to do.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::File(error) => return error.remedy(),
            Self::Report(error) => error.remedy(),
            Self::OtherEvent { .. } => "--report with the report.dsse.json or receipt.json of the list's event".to_owned(),
            Self::OtherList { .. } => {
                "copy the list again from the workload's outputs; a list that the report does not name is not of that run".to_owned()
            }
            Self::WhichDataset { known } => format!("--dataset {}", known.first().map_or("NAME", String::as_str)),
        })
    }
}

/// Opens a list of this party, verifies it, and counts its rows. `report` is the signed report of its event, or the receipt.
///
/// # Errors
/// [`Error::List`](crate::Error::List); [`Error::Protocol`](crate::Error::Protocol) where it is of another space, holder or workload.
pub fn open_list(party: &Party, path: &Path, report: Option<&[u8]>) -> Result<OpenedList> {
    let envelope = ListFile::inspect(path).map_err(ListError::from)?;
    let header = envelope.header().clone();
    header.check_root(party.root())?;
    let space = party.space();
    let signers: Vec<_> = std::iter::once(space.workload()).chain(space.workload_former()).cloned().collect();
    envelope.verify(&signers)?;
    let file_key = envelope.open(party.keys())?;
    let sha256 = commitment(path)?;
    if let Some(report) = report {
        let (event, lists) = signed_lists(report, &signers).map_err(ListError::from)?;
        let own = lists.into_iter().find(|(holder, _)| holder == party.id().as_str()).map(|(_, sha256)| sha256);
        if event != header.event.as_str() {
            return Err(ListError::OtherEvent { list: header.event.to_string(), report: event }.into());
        }
        if own.as_ref() != Some(&sha256) {
            return Err(ListError::OtherList { event, expected: own, found: sha256 }.into());
        }
    }
    let file = ListFile::open(path, &file_key, header.join, header.with.len()).map_err(ListError::from)?;
    let counts = file.count().map_err(ListError::from)?;
    Ok(OpenedList { header, file, counts, sha256 })
}

/// The event of a signed report or of a receipt, and the lists that it names.
fn signed_lists(
    bytes: &[u8],
    signers: &[datafuse_core::name::PublicName],
) -> std::result::Result<(String, Vec<(String, String)>), SignedReportError> {
    let owned = |(holder, sha256): (datafuse_core::id::ParticipantId, &str)| (holder.to_string(), sha256.to_owned());
    Ok(match is_receipt(bytes) {
        true => {
            let (receipt, _) = Receipt::verify(bytes, signers)?;
            (receipt.run().event.to_string(), receipt.statement.lists().map(owned).collect())
        }
        false => {
            let (signed, _) = SignedReport::verify(bytes, signers)?;
            (signed.statement.predicate.run.event.to_string(), signed.statement.lists().map(owned).collect())
        }
    })
}

impl OpenedList {
    /// For which event and of what it was made.
    #[must_use]
    pub fn header(&self) -> &ListHeader {
        &self.header
    }

    /// Its datasets, each with the number of its listed rows.
    pub fn datasets(&self) -> impl Iterator<Item = (&ListedDataset, u64)> {
        self.file.datasets().iter().zip(self.counts.iter().copied())
    }

    /// How many rows are listed.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The SHA-256 of the file, in hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Whether each row comes with a number of holders.
    #[must_use]
    pub fn has_holders(&self) -> bool {
        self.header.join == Join::Left
    }

    /// Writes the row numbers as CSV.
    ///
    /// # Errors
    /// [`Error::List`](crate::Error::List).
    pub fn write_row_numbers(&self, out: &Path) -> Result<()> {
        Ok(self.file.write_row_numbers(out).map_err(ListError::from)?)
    }

    /// Writes the listed rows of a dataset from its source, as CSV; gives how many there are. The dataset may be left out where the list
    /// has one.
    ///
    /// # Errors
    /// [`Error::List`](crate::Error::List).
    pub fn write_matched(&self, dataset: Option<&DatasetId>, source: SourceReader, out: &Path) -> Result<u64> {
        let datasets = self.file.datasets();
        let index = match dataset {
            Some(named) => datasets.iter().position(|listed| listed.dataset == *named),
            None if datasets.len() == 1 => Some(0),
            None => None,
        };
        let index = index.ok_or_else(|| ListError::WhichDataset {
            known: datasets.iter().map(|listed| listed.dataset.to_string()).collect(),
        })?;
        Ok(self.file.write_matched(index, source, out).map_err(ListError::from)?)
    }
}
