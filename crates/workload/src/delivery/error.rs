//! What can go wrong on the way to a data user. No variant holds a token, a credential, a server's answer or a report: places are
//! addresses without credentials, as the agreement has them.

use std::{io, path::PathBuf, time::Duration};

use datafuse_core::id::ParticipantId;
use datafuse_engine::dataset::Refusal;
use datafuse_space::{is_mendable, passes};

use super::settings::CA_FILE_VARIABLE;

/// Why a report was not delivered to a place. The report itself is in the workload's outputs either way.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryError {
    /// The address is one that the workload does not send to.
    #[error("reports for '{user}' are not sent to {place}: {refusal}")]
    Refused {
        /// The data user.
        user: ParticipantId,
        /// The place.
        place: String,
        /// The rule.
        refusal: Refusal,
    },
    /// No connection came about.
    #[error("{place} for reports of '{user}' cannot be reached: {reason}")]
    Unreachable {
        /// The data user.
        user: ParticipantId,
        /// The place.
        place: String,
        /// What the system or the TLS library says.
        reason: String,
    },
    /// The endpoint took too long.
    #[error("{place} for reports of '{user}' did not answer within {} s", limit.as_secs_f32())]
    TimedOut {
        /// The data user.
        user: ParticipantId,
        /// The place.
        place: String,
        /// How long was waited.
        limit: Duration,
    },
    /// The endpoint cannot take it now.
    #[error("{place} for reports of '{user}' cannot take it at the moment (status {status})")]
    Busy {
        /// The data user.
        user: ParticipantId,
        /// The place.
        place: String,
        /// Its status.
        status: u16,
    },
    /// The endpoint sends elsewhere. The agreement named this address and no other.
    #[error("{place} for reports of '{user}' redirects to another address (status {status})")]
    Redirects {
        /// The data user.
        user: ParticipantId,
        /// The place.
        place: String,
        /// Its status.
        status: u16,
    },
    /// The endpoint does not want it.
    #[error("{place} for reports of '{user}' refused it (status {status})")]
    NotWanted {
        /// The data user.
        user: ParticipantId,
        /// The place.
        place: String,
        /// Its status.
        status: u16,
    },
    /// A token cannot be sent.
    #[error("the environment variable {name} is not a token: it holds spaces, line ends or other than ASCII")]
    Token {
        /// The variable; its value stays out of the error.
        name: String,
    },
    /// The file of trusted certificates could not be used.
    #[error("the file {} named by {CA_FILE_VARIABLE} {reason}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No requests can be made from here.
    #[error("the system gives no connection or thread to deliver with")]
    NoClient,
    /// A bucket did not take it.
    #[error("a report for '{user}' was not delivered: {source}")]
    Bucket {
        /// The data user.
        user: ParticipantId,
        /// What the bucket's client says.
        #[source]
        source: Box<datafuse_engine::Error>,
    },
    /// A folder could not be used.
    #[error("could not {action} {} to deliver a report", path.display())]
    Folder {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// Something that is not this event's report is where it belongs.
    #[error("{} is there already and is not the report of this event", path.display())]
    InTheWay {
        /// The folder.
        path: PathBuf,
    },
}

impl DeliveryError {
    /// Tells whether the same delivery may succeed later without anybody changing anything here.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Busy { .. } | Self::NoClient => true,
            Self::Bucket { source, .. } => source.is_retryable(),
            Self::Folder { source, .. } => passes(source.kind()) || is_mendable(source.kind()),
            _ => false,
        }
    }

    /// Gives the error's class: a short fixed name for audit lines, dead letters and metrics.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "delivery-refused",
            Self::Unreachable { .. } => "delivery-unreachable",
            Self::TimedOut { .. } => "delivery-timed-out",
            Self::Busy { .. } => "delivery-busy",
            Self::Redirects { .. } => "delivery-redirects",
            Self::NotWanted { .. } => "delivery-not-wanted",
            Self::Token { .. } => "delivery-token",
            Self::CaFile { .. } => "delivery-ca-file",
            Self::NoClient => "delivery-no-client",
            Self::Bucket { .. } => "delivery-bucket",
            Self::Folder { .. } => "delivery-folder",
            Self::InTheWay { .. } => "delivery-in-the-way",
        }
    }

    /// Gives what to do about it: the text after "Try:".
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::Refused { refusal: Refusal::PrivateAddress, .. } => {
                "--allow-host HOST if that host is meant to be reached from here".to_owned()
            }
            Self::Refused { refusal, .. } => refusal.remedy()?.to_owned(),
            Self::Unreachable { .. } | Self::TimedOut { .. } => format!(
                "check the endpoint and the network; where its certificate is of an authority of your own, {CA_FILE_VARIABLE}=FILE. \
                 The event is tried again"
            ),
            Self::Busy { .. } => {
                "wait, the event is tried again; if it stays, ask who operates the endpoint".to_owned()
            }
            Self::Redirects { user, .. } => {
                format!("the address that it redirects to, as 'deliver' of '{user}' in the space file")
            }
            Self::NotWanted { user, status: 401 | 403, .. } => {
                format!(
                    "{}=TOKEN with a token that the endpoint accepts",
                    datafuse_space::delivery_token_variable(user.as_str())
                )
            }
            Self::NotWanted { user, .. } => {
                format!(
                    "correct 'deliver' of '{user}' in the space file, or ask who operates the endpoint; then send the event again"
                )
            }
            Self::Token { name } => format!("{name}=TOKEN, the token alone"),
            Self::CaFile { .. } => format!("{CA_FILE_VARIABLE}=FILE with PEM certificates"),
            Self::NoClient => "raise the process limits; the event is tried again".to_owned(),
            Self::Bucket { source, .. } => return source.remedy(),
            Self::Folder { source, path, .. } => match source.kind() {
                io::ErrorKind::NotFound => format!("make or mount {}: the workload never makes it", path.display()),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                    "free some space on that disk; the event is tried again".to_owned()
                }
                _ => format!("make {} writable for the workload", path.display()),
            },
            Self::InTheWay { .. } => "move that folder away; reports are never overwritten".to_owned(),
        })
    }
}
