//! What an event brought forth.

use std::path::{Path, PathBuf};

use datafuse_core::{
    id::{Epoch, EventId, ParticipantId},
    lookup::RefusedLookup,
    status::Status,
};
use datafuse_engine::{contract::QualityReport, dataset::SourceWarning, report::Report};

use crate::delivery::Delivered;

/// What processing an event led to.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// The event had been processed before; nothing was done again.
    AlreadyDone,
    /// A type this program does not know: logged, nothing else.
    Ignored {
        /// The type's name.
        event_type: String,
    },
    /// An epoch was opened.
    Opened {
        /// The epoch.
        epoch: Epoch,
    },
    /// Enrolment messages were collected.
    Collected(Collected),
    /// Datasets were fused.
    Fused(Fused),
    /// A report was written, and delivered where the agreement says so.
    Reported {
        /// The folder with `report.json`, `report.html`, `report.dsse.json` and `receipt.json`.
        folder: PathBuf,
        /// The report.
        report: Box<Report>,
        /// The users who get a report of their own in its place, with the folders of these.
        own: Vec<(ParticipantId, PathBuf)>,
        /// What was fused for it.
        fused: Fused,
        /// The places that have it.
        delivered: Vec<Delivered>,
    },
    /// A report was written, encrypted to its users, and delivered where the agreement says so. Its figures are theirs alone.
    Encrypted {
        /// The folder with `report.dsse.json.age` and `receipt.json`.
        folder: PathBuf,
        /// The data users.
        recipients: Vec<ParticipantId>,
        /// The users who get a report of their own in its place, with the folders of these.
        own: Vec<(ParticipantId, PathBuf)>,
        /// What was fused for it.
        fused: Fused,
        /// The places that have it.
        delivered: Vec<Delivered>,
    },
    /// Datasets were held against their data contracts.
    Checked {
        /// The folder with `quality.json` and `quality.html`.
        folder: PathBuf,
        /// What was found.
        report: Box<QualityReport>,
    },
    /// A holder's look-up was answered; what the answer says is the asker's alone.
    LookedUp {
        /// The folder with the sealed answer.
        folder: PathBuf,
        /// Who asked.
        asker: ParticipantId,
        /// Why the agreement refused it, where it did.
        refused: Option<RefusedLookup>,
    },
}

impl Outcome {
    /// Says in a few words what came of an event, for the list of jobs: counts only, no names.
    #[must_use]
    pub fn summary(&self) -> String {
        #[allow(unreachable_patterns)]
        match self {
            Self::AlreadyDone => "done before".to_owned(),
            Self::Ignored { .. } => "unknown type, nothing done".to_owned(),
            Self::Opened { epoch } => format!("epoch {epoch} opened"),
            Self::Collected(collected) => {
                format!("mailbox collected, {} newly enrolled", collected.newly_enrolled.len())
            }
            Self::Fused(fused) => format!("{} datasets fused, {} unchanged", fused.datasets.len(), fused.unchanged),
            Self::Reported { .. } => "report written".to_owned(),
            Self::LookedUp { refused: None, .. } => "look-up answered".to_owned(),
            Self::LookedUp { refused: Some(_), .. } => "look-up refused, its answer says why".to_owned(),
            Self::Encrypted { .. } => "report written, encrypted".to_owned(),
            _ => "done".to_owned(),
        }
    }

    /// Gives the folder that was written, where there is one.
    #[must_use]
    pub fn output(&self) -> Option<&Path> {
        match self {
            Self::Reported { folder, .. } | Self::Encrypted { folder, .. } | Self::LookedUp { folder, .. } => {
                Some(folder)
            }
            _ => None,
        }
    }
}

/// What collecting the mailbox led to.
#[derive(Debug)]
pub struct Collected {
    /// How far each holder's enrolment is now.
    pub status: Status,
    /// The holders that were enrolled by it.
    pub newly_enrolled: Vec<ParticipantId>,
    /// The holders whose token key changed.
    pub rotated: Vec<ParticipantId>,
    /// The participants that have a new name.
    pub renamed: Vec<ParticipantId>,
    /// Fingerprints of those that are participants no more; what they brought is deleted.
    pub revoked: Vec<String>,
    /// How many messages were refused.
    pub refused: usize,
}

/// What fusing led to.
#[derive(Debug, Default)]
pub struct Fused {
    /// The datasets that were fused, with the rows fused of all kinds together.
    pub datasets: Vec<FusedDataset>,
    /// How many were fused already.
    pub unchanged: usize,
}

impl Fused {
    /// The datasets among those just fused that nothing authenticates, as `holder/dataset version`.
    #[must_use]
    pub fn unauthenticated(&self) -> Vec<String> {
        let names = self.datasets.iter().filter(|dataset| dataset.unauthenticated);
        names.map(|dataset| format!("{}/{}", dataset.holder, dataset.name)).collect()
    }
}

/// A dataset that was fused.
#[derive(Debug)]
pub struct FusedDataset {
    /// Whose it is.
    pub holder: ParticipantId,
    /// Which, with its version: `customers v3`.
    pub name: String,
    /// Rows fused, all kinds together.
    pub rows: u64,
    /// Whether it is a table of tokens, of which nothing shows who made it.
    pub unauthenticated: bool,
    /// What else should be known about its files.
    pub warnings: Vec<SourceWarning>,
}

/// What a processor is told about its progress.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Stage<'a> {
    /// Rows of a dataset are being fused.
    Fusing {
        /// Whose dataset.
        holder: &'a ParticipantId,
        /// Rows done.
        rows: u64,
        /// Rows in all.
        of: u64,
    },
    /// The fused files are being matched.
    Matching {
        /// Rows done.
        rows: u64,
        /// Rows in all.
        of: u64,
    },
    /// Rows of a dataset are being held against its contract.
    Checking {
        /// Whose dataset.
        holder: &'a ParticipantId,
        /// Rows done.
        rows: u64,
    },
    /// The report is being written.
    Reporting,
}

/// Hears of progress; called often, from several threads.
pub type Progress<'a> = &'a (dyn Fn(Stage<'_>) + Sync);

/// The id under which an event is known, for places that name files after it.
pub(crate) fn temporary_name(event: &EventId) -> String {
    format!(".{event}.part")
}
