//! One line of the audit log, and the facts that a line can state.
//!
//! A line names events, participants, datasets and digests; never an identifier, a token or a field of an event.

use std::fmt;

use datafuse_core::id::{DatasetId, Epoch, EventId, ParticipantId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where an event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AuditState {
    /// A processor begins.
    Started,
    /// Its outcome is in its place.
    Done,
    /// It ended with an error.
    Failed,
}

impl AuditState {
    /// Gives the platform's words for it.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Started => "Event processing started",
            Self::Done => "Event processing done",
            Self::Failed => "Event processing failed",
        }
    }
}

impl fmt::Display for AuditState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Started => "STARTED",
            Self::Done => "DONE",
            Self::Failed => "FAILED",
        })
    }
}

/// One line of the audit log, as it stands in the file, without its signature. A line of a version before the chain has no
/// `prev`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AuditLine {
    /// The line's number, from 1.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// What happened; of an event the platform's words.
    pub msg: String,
    /// The type of the event at work, under the name it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evt: Option<String>,
    /// The id of the event at work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<EventId>,
    /// Where the event stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<AuditState>,
    /// How long processing took, in seconds; not when it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processing_time: Option<f64>,
    /// The class of the error with which it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Set where the agreement's policy refused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<bool>,
    /// What else the line is about.
    #[serde(flatten)]
    pub about: About,
    /// Of the first line after lines of a version without a chain: how many bytes lie before it, whose SHA-256 is `prev`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// SHA-256 of the bytes that a crash left of a line between this and the one before, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<String>,
    /// SHA-256 of the line before, hex; zeros in the first.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prev: String,
}

/// What a line is about, besides an event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// A participant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participant: Option<String>,
    /// A dataset of that participant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<DatasetId>,
    /// The dataset's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// A model of that dataset's data contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// `OK` or `NOK`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// SHA-256 of the file that the line is about, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// SHA-256 of each dataset that a report was made of, hex.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub datasets: Vec<String>,
    /// An epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// The version of this program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
}

/// What happened, apart from an event's beginning and end.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Fact<'a> {
    /// The workload waits for events.
    WorkloadStarted,
    /// The workload ended in order.
    WorkloadStopped,
    /// An epoch was opened.
    EpochOpened {
        /// The epoch.
        epoch: Epoch,
    },
    /// A holder was enrolled.
    HolderEnrolled {
        /// The holder.
        holder: &'a ParticipantId,
    },
    /// A holder's token key was replaced by its next.
    HolderRotated {
        /// The holder.
        holder: &'a ParticipantId,
    },
    /// A participant has a new public name.
    ParticipantRenamed {
        /// The participant.
        participant: &'a ParticipantId,
    },
    /// A participant left the agreement; what it brought was deleted.
    ParticipantRemoved {
        /// The fingerprint of its public name.
        fingerprint: &'a str,
    },
    /// An enrolment message was refused.
    MessageRefused,
    /// A dataset was fused and accepted.
    DatasetAccepted {
        /// Whose.
        holder: &'a ParticipantId,
        /// Which.
        dataset: &'a DatasetId,
        /// Its version.
        version: u64,
        /// SHA-256 of the file as delivered, hex.
        sha256: &'a str,
        /// Whether it was a table of tokens, in which nothing shows who made it.
        unauthenticated: bool,
    },
    /// A report was made.
    ReportMade {
        /// SHA-256 of its signed envelope, as encrypted where it is, hex.
        sha256: &'a str,
        /// SHA-256 of the datasets that it is made of, hex.
        datasets: &'a [String],
    },
    /// A list of its own rows was made for a holder.
    ListMade {
        /// The holder, who alone can open it.
        to: &'a ParticipantId,
        /// SHA-256 of the file, hex.
        sha256: &'a str,
    },
    /// The policy refused to make a report.
    ReportRefused {
        /// Who set the rule: `space`, or a participant.
        set_by: &'a str,
        /// SHA-256 of the datasets that it would be made of, hex.
        datasets: &'a [String],
    },
    /// A report was delivered, or could not be.
    Delivered {
        /// The participant that it is for.
        to: &'a ParticipantId,
        /// SHA-256 of what was delivered, hex.
        sha256: &'a str,
        /// Whether it arrived.
        ok: bool,
    },
    /// Customers were looked up for a holder.
    LookedUp {
        /// Who asked.
        asker: &'a ParticipantId,
        /// SHA-256 of the sealed answer, hex.
        sha256: &'a str,
        /// Whether it was answered, or refused by the agreement.
        ok: bool,
    },
    /// A model of a dataset was checked against its data contract.
    Quality {
        /// Whose dataset.
        holder: &'a ParticipantId,
        /// Which.
        dataset: &'a DatasetId,
        /// The contract's model.
        model: &'a str,
        /// Whether it keeps every rule.
        ok: bool,
    },
}

impl Fact<'_> {
    /// Gives the words for it.
    #[must_use]
    pub fn message(&self) -> &'static str {
        match self {
            Self::WorkloadStarted => "Workload started",
            Self::WorkloadStopped => "Workload stopped",
            Self::EpochOpened { .. } => "Epoch opened",
            Self::HolderEnrolled { .. } => "Holder enrolled",
            Self::HolderRotated { .. } => "Holder changed its token key",
            Self::ParticipantRenamed { .. } => "Participant changed its public name",
            Self::ParticipantRemoved { .. } => "Participant removed",
            Self::MessageRefused => "Enrolment message refused",
            Self::DatasetAccepted { unauthenticated: false, .. } => "Dataset accepted",
            Self::DatasetAccepted { unauthenticated: true, .. } => "Unauthenticated dataset accepted",
            Self::ReportMade { .. } => "Report made",
            Self::ListMade { .. } => "List made",
            Self::ReportRefused { .. } => "Report refused by policy",
            Self::Delivered { ok: true, .. } => "Report delivered",
            Self::Delivered { ok: false, .. } => "Report not delivered",
            Self::LookedUp { ok: true, .. } => "Customers looked up",
            Self::LookedUp { ok: false, .. } => "Look-up refused",
            Self::Quality { .. } => "Data quality checked",
        }
    }

    /// Gives what the line says besides.
    #[must_use]
    pub fn about(&self) -> About {
        let verdict = |ok: bool| Some(if ok { "OK" } else { "NOK" }.to_owned());
        let usual = About::default();
        match *self {
            Self::WorkloadStarted => About { program: Some(env!("CARGO_PKG_VERSION").to_owned()), ..usual },
            Self::WorkloadStopped | Self::MessageRefused => usual,
            Self::EpochOpened { epoch } => About { epoch: Some(epoch), ..usual },
            Self::HolderEnrolled { holder } | Self::HolderRotated { holder } => {
                About { participant: Some(holder.to_string()), ..usual }
            }
            Self::ParticipantRenamed { participant } => About { participant: Some(participant.to_string()), ..usual },
            Self::ParticipantRemoved { fingerprint } => About { participant: Some(fingerprint.to_owned()), ..usual },
            Self::DatasetAccepted { holder, dataset, version, sha256, .. } => About {
                participant: Some(holder.to_string()),
                dataset: Some(dataset.clone()),
                version: Some(version),
                sha256: Some(sha256.to_owned()),
                ..usual
            },
            Self::ReportMade { sha256, datasets } => {
                About { sha256: Some(sha256.to_owned()), datasets: datasets.to_vec(), ..usual }
            }
            Self::ListMade { to, sha256 } => {
                About { participant: Some(to.to_string()), sha256: Some(sha256.to_owned()), ..usual }
            }
            Self::ReportRefused { set_by, datasets } => {
                About { participant: Some(set_by.to_owned()), datasets: datasets.to_vec(), ..usual }
            }
            Self::Delivered { to, sha256, ok } | Self::LookedUp { asker: to, sha256, ok } => About {
                participant: Some(to.to_string()),
                sha256: Some(sha256.to_owned()),
                result: verdict(ok),
                ..usual
            },
            Self::Quality { holder, dataset, model, ok } => About {
                participant: Some(holder.to_string()),
                dataset: Some(dataset.clone()),
                model: Some(model.to_owned()),
                result: verdict(ok),
                ..usual
            },
        }
    }
}
