//! What can go wrong with the list of jobs.

use std::path::PathBuf;

use datafuse_core::id::EventId;

use super::JobState;

/// Why a list of jobs cannot be read, or a job not be sent again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JobsError {
    /// There is no state.
    #[error("there is no state at {}", path.display())]
    NoState {
        /// Where it would be.
        path: PathBuf,
    },
    /// The state was made by a version that kept no jobs.
    #[error("the state {} has no list of jobs yet", path.display())]
    NoJobs {
        /// The database.
        path: PathBuf,
    },
    /// No such job.
    #[error("no job of event {event} is known")]
    Unknown {
        /// The event.
        event: EventId,
    },
    /// A job need not be sent again, or not yet.
    #[error("the job of event {event} is {state}")]
    NotRetryable {
        /// The event.
        event: EventId,
        /// Where the job stands.
        state: JobState,
    },
    /// A job was sent again before.
    #[error("event {event} was sent again before, as {retried_as}")]
    AlreadyRetried {
        /// The event.
        event: EventId,
        /// The event in its place.
        retried_as: EventId,
    },
    /// A job that came without a queue cannot be sent to one.
    #[error("event {event} was run without a queue, which would have kept it")]
    WithoutQueue {
        /// The event.
        event: EventId,
        /// Its type.
        event_type: String,
    },
    /// The queue does not have the event any more.
    #[error("event {event} is not among the dead letters of this queue")]
    EventGone {
        /// The event.
        event: EventId,
        /// Its type.
        event_type: String,
    },
}

impl JobsError {
    /// Gives the error's class: a short fixed name.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::NoState { .. } => "no-state",
            Self::NoJobs { .. } => "no-jobs",
            Self::Unknown { .. } => "job-unknown",
            Self::NotRetryable { .. } => "job-not-retryable",
            Self::AlreadyRetried { .. } => "job-retried",
            Self::WithoutQueue { .. } => "event-without-queue",
            Self::EventGone { .. } => "event-gone",
        }
    }

    /// Tells whether the same operation may succeed later without anybody changing anything: never.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        false
    }

    /// Gives what to do about it: the text after "Try:".
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::NoState { .. } => "--state DIR with the folder that datafuse serve keeps its state in".to_owned(),
            Self::NoJobs { .. } => {
                "start this version of datafuse serve once, which brings the state up to date".to_owned()
            }
            Self::Unknown { .. } => {
                "datafuse jobs, which lists those that are known; they are forgotten after 90 days".to_owned()
            }
            Self::NotRetryable { state, .. } => match state {
                JobState::Done => "datafuse send TYPE for a new event: this one is done".to_owned(),
                JobState::Started => "wait for it: a process is at work on it".to_owned(),
                _ => "wait for it: it is in the queue still and comes again by itself".to_owned(),
            },
            Self::AlreadyRetried { retried_as, .. } => format!("datafuse jobs show {retried_as}"),
            Self::WithoutQueue { event_type, .. } => {
                format!("datafuse run {event_type} again, or datafuse send {event_type}")
            }
            Self::EventGone { event_type, .. } => {
                format!(
                    "--redis URL where it came from another queue; else datafuse send {event_type}, which sends a new one"
                )
            }
        }
    }
}
