//! The audit log: which event was processed when, how it ended and how long it took, and what came of it: epochs, enrolments,
//! datasets, reports. Goes to `tracing` under the target `audit`, in the platform's words and states, as one signed JSON line
//! each to a file, and to the metrics.
//!
//! A line names the event, its type and the class of an error, participants, datasets and digests; no identifier, token or field
//! of an event. Lines are numbered, chained by SHA-256, signed by the workload, and only ever appended, under a lock and synced, by
//! any number of processes. [`verify()`] checks a log with nothing but the agreement.

mod chain;
mod fault;
mod line;
mod verify;

use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};

use datafuse_core::{audit::AuditHead, id::EventId, keys::PartyKeys, name::PublicName, root::Root};
use jiff::Timestamp;

use crate::{
    error::{Error, Result},
    event::Event,
    metrics::{Ended, Metrics},
    workload::create_private_folder,
};
use chain::Chain;

pub use fault::AuditFault;
pub use line::{About, AuditLine, AuditState, Fact};
pub use verify::{AuditFiles, Entry, NotAnEntry, Verified, verify};

/// What stands for the type of a queue entry that is no event. No event can have this type: it is not upper-case.
pub const MALFORMED: &str = "malformed";

/// Writes the audit log. Clones write to the same.
#[derive(Clone)]
pub struct AuditLog {
    chain: Option<Arc<Chain>>,
    metrics: Metrics,
}

/// Shows where, never a key.
impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").field("path", &self.chain.as_ref().map(|chain| &chain.path)).finish_non_exhaustive()
    }
}

impl AuditLog {
    /// Writes to `tracing` and to a file, which is made with its folder where it is missing. `former` are the workload's names
    /// before its present one.
    ///
    /// # Errors
    /// [`Error::Audit`] if the file cannot be opened for appending, [`Error::Folder`].
    pub fn open(path: impl Into<PathBuf>, root: Root, keys: Arc<PartyKeys>, former: &[PublicName]) -> Result<Self> {
        let path = path.into();
        let names = std::iter::once(keys.identity().public_name()).chain(former.iter().cloned()).collect();
        let chain = Chain { path, root, keys, names };
        if let Some(folder) = chain.path.parent() {
            create_private_folder(folder)?;
        }
        match chain.create() {
            Ok(()) => Ok(Self { chain: Some(Arc::new(chain)), metrics: Metrics::default() }),
            Err(source) => Err(Error::Audit { path: chain.path, source }),
        }
    }

    /// Writes to `tracing` only.
    #[must_use]
    pub fn without_file() -> Self {
        Self { chain: None, metrics: Metrics::default() }
    }

    /// The numbers that grow with what is noted here.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Notes that a processor begins.
    ///
    /// # Errors
    /// [`Error::Audit`] if the line could not be written.
    pub fn started(&self, event: &Event) -> Result<()> {
        self.note(&event.id, event.name(), AuditState::Started, None, None, false)
    }

    /// Notes that an event is done.
    ///
    /// # Errors
    /// [`Error::Audit`] if the line could not be written.
    pub fn done(&self, event: &Event, took: Duration) -> Result<()> {
        self.metrics.ended(Some(&event.event_type), Ended::Done, took);
        self.note(&event.id, event.name(), AuditState::Done, Some(took), None, false)
    }

    /// Notes that an event failed, with the class of the error: a fixed word, never a message.
    ///
    /// # Errors
    /// [`Error::Audit`] if the line could not be written.
    pub fn failed(&self, event: &Event, took: Duration, class: &'static str) -> Result<()> {
        let refused = is_refusal(class);
        self.metrics.ended(Some(&event.event_type), Ended::Failed { class, refused }, took);
        self.note(&event.id, event.name(), AuditState::Failed, Some(took), Some(class), refused)
    }

    /// Notes that a queue entry is no event: it failed before it began, and its type is [`MALFORMED`].
    ///
    /// # Errors
    /// [`Error::Audit`] if the line could not be written.
    pub fn malformed(&self, id: &EventId, class: &'static str) -> Result<()> {
        self.metrics.ended(None, Ended::Failed { class, refused: false }, Duration::ZERO);
        self.note(id, MALFORMED, AuditState::Failed, None, Some(class), false)
    }

    /// Notes what happened, apart from an event's beginning and end; `event` is the id and type of the one at work.
    ///
    /// # Errors
    /// [`Error::Audit`] if the line could not be written.
    pub fn fact(&self, event: Option<(&EventId, &str)>, fact: &Fact<'_>) -> Result<()> {
        let (msg, about) = (fact.message(), fact.about());
        self.metrics.fact(fact);
        tracing::info!(
            target: "audit",
            participant = about.participant,
            dataset = about.dataset.as_ref().map(tracing::field::display),
            model = about.model,
            result = about.result,
            "{msg}"
        );
        self.append(AuditLine { about, ..line(msg, event) })
    }

    /// Notes whether a model of a dataset keeps its data contract.
    ///
    /// # Errors
    /// [`Error::Audit`] if the line could not be written.
    pub fn quality(
        &self,
        event: &Event,
        holder: &datafuse_core::id::ParticipantId,
        dataset: &datafuse_core::id::DatasetId,
        model: &str,
        ok: bool,
    ) -> Result<()> {
        self.fact(Some((&event.id, event.name())), &Fact::Quality { holder, dataset, model, ok })
    }

    /// The last entry of the log; `None` where nothing is written to a file, or nothing was yet.
    ///
    /// # Errors
    /// [`Error::Audit`] if the head could not be read.
    pub fn head(&self) -> Result<Option<AuditHead>> {
        let Some(chain) = &self.chain else { return Ok(None) };
        chain.head().map_err(|source| Error::Audit { path: chain.path.clone(), source })
    }

    fn note(
        &self,
        id: &EventId,
        evt: &str,
        state: AuditState,
        took: Option<Duration>,
        class: Option<&'static str>,
        refused: bool,
    ) -> Result<()> {
        let processing_time = took.map(|took| (took.as_secs_f64() * 1000.0).round() / 1000.0);
        let msg = state.message();
        match class {
            None => tracing::info!(target: "audit", evt, event = %id, %state, processing_time, "{msg}"),
            Some(error) => {
                tracing::error!(target: "audit", evt, event = %id, %state, processing_time, error, "{msg}");
            }
        }
        self.append(AuditLine {
            state: Some(state),
            processing_time,
            error: class.map(str::to_owned),
            refused: refused.then_some(true),
            ..line(msg, Some((id, evt)))
        })
    }

    fn append(&self, line: AuditLine) -> Result<()> {
        let Some(chain) = &self.chain else { return Ok(()) };
        let failed = |source: io::Error| Error::Audit { path: chain.path.clone(), source };
        let seq = chain.append(line).map_err(failed)?;
        self.metrics.audited(seq);
        Ok(())
    }
}

fn line(msg: &str, event: Option<(&EventId, &str)>) -> AuditLine {
    AuditLine {
        at: Timestamp::now(),
        msg: msg.to_owned(),
        evt: event.map(|(_, evt)| evt.to_owned()),
        event: event.map(|(id, _)| id.clone()),
        ..AuditLine::default()
    }
}

/// Whether errors of a class say that policy or agreement do not allow what was asked for.
fn is_refusal(class: &str) -> bool {
    const REFUSALS: [&str; 17] = [
        "epoch-open",
        "too-few-holders",
        "not-provided",
        "recipients-mixed",
        "not-a-holder",
        "dataset-refused",
        "canary-disagrees",
        "lookups-not-allowed",
        "lookup-without-request",
        "lookup-bare-not-allowed",
        "lookup-bare-token",
        "lookup-of-other-asker",
        "lookup-repeated",
        "policy-min-dataset-size",
        "policy-max-dataset-size",
        "policy-reports-per-pair-per-day",
        "policy-differencing-guard",
    ];
    REFUSALS.contains(&class)
}

#[cfg(test)]
mod tests;
