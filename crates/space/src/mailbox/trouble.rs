//! What can go wrong with a mailbox on another machine, as far as it may be told: addresses, status codes and the server's
//! own short words, never a signature, a credential or the content of a message.

use std::{error::Error as StdError, io, time::Duration};

/// Why a mailbox on another machine did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// No connection came about.
    #[error("no connection: {reason}")]
    Unreachable {
        /// What the system said.
        reason: String,
    },
    /// It took too long.
    #[error("no answer within {} s", limit.as_secs_f32())]
    TimedOut {
        /// How long was waited.
        limit: Duration,
    },
    /// The connection ended in the middle.
    #[error("the connection broke off")]
    BrokenOff,
    /// The server refuses who asks, or what is asked.
    #[error("the server refuses it (status {status}{})", after_comma(said))]
    Refused {
        /// 401 or 403.
        status: u16,
        /// The server's words, short and plain; may be empty.
        said: String,
    },
    /// There is no bucket or endpoint at this place.
    #[error("there is nothing at this place (status 404{})", after_comma(said))]
    Absent {
        /// The server's words, short and plain; may be empty.
        said: String,
    },
    /// The server has no room for more.
    #[error("the mailbox is full (status {status}{})", after_comma(said))]
    Full {
        /// 413, 429 or 507.
        status: u16,
        /// The server's words, short and plain; may be empty.
        said: String,
    },
    /// The server failed, or answered with a status that a mailbox never has.
    #[error("the server answered with status {status}{}", after_comma(said))]
    Status {
        /// The status.
        status: u16,
        /// The server's words, short and plain; may be empty.
        said: String,
    },
    /// The server sends elsewhere; a mailbox is asked at one address only.
    #[error("the server redirects to another address (status {status})")]
    Redirects {
        /// The status.
        status: u16,
    },
    /// The answer is not that of a mailbox.
    #[error("the answer is not that of a mailbox: {reason}")]
    NotAMailbox {
        /// What is wrong with it, never its content.
        reason: &'static str,
    },
    /// There is more than a mailbox may hold.
    #[error("there are more than {limit} {what}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// The most.
        limit: usize,
    },
    /// The address and the environment do not make a bucket.
    #[error("the environment does not say how to reach it: {reason}")]
    Environment {
        /// What the library that reads it says.
        reason: String,
    },
    /// The system gives no thread to wait on.
    #[error("the system gives no thread to wait on")]
    NoThreads,
}

impl Trouble {
    /// Says what to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::BrokenOff => {
                "check 'mailbox' in space.yaml and the network, and that the workload serves it (datafuse serve --http); then \
                 run it again"
            }
            Self::Refused { .. } => {
                "for a bucket give credentials that may read, write and list, in AWS_..., GOOGLE_... or AZURE_...; for an \
                 endpoint ask the workload's operator for the current space.yaml"
            }
            Self::Absent { .. } => "make the bucket, or correct 'mailbox' in space.yaml",
            Self::Full { .. } => "ask the workload's operator to collect the mailbox (datafuse run ENROL)",
            Self::Status { .. } => "run it again; if it stays so, ask who operates that server",
            Self::Redirects { .. } => "give the address that it redirects to as 'mailbox' in space.yaml",
            Self::NotAMailbox { .. } => {
                "correct 'mailbox' in space.yaml: the address that datafuse serve --http answers at"
            }
            Self::TooMuch { .. } => {
                "give the mailbox a prefix of its own in space.yaml, and remove what does not belong there"
            }
            Self::Environment { .. } => {
                "set the variables of that provider: AWS_..., GOOGLE_... or AZURE_... (.env.example)"
            }
            Self::NoThreads => "raise the process limits",
        }
    }

    /// Whether the same may succeed later without anybody changing a thing.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::BrokenOff | Self::Full { .. } => true,
            Self::Status { status, .. } => *status >= 500 || *status == 408,
            _ => false,
        }
    }

    /// Takes the answer's status, and what the server said in words of its own.
    pub(super) fn of_status(status: u16, said: &str) -> Self {
        let said = plain(said);
        match status {
            300..=399 => Self::Redirects { status },
            401 | 403 => Self::Refused { status, said },
            404 => Self::Absent { said },
            413 | 429 | 507 => Self::Full { status, said },
            _ => Self::Status { status, said },
        }
    }

    /// Takes the error of an HTTP client; its own text may hold an address with a signature, so it is not used.
    pub(super) fn of_client(error: &reqwest::Error, limit: Duration) -> Self {
        if error.is_timeout() {
            Self::TimedOut { limit }
        } else if error.is_connect() {
            Self::Unreachable { reason: innermost(error) }
        } else {
            Self::BrokenOff
        }
    }
}

/// The innermost cause: an error of the system, of a name server or of TLS, which hold no address.
pub(super) fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    if let Some(system) = cause.downcast_ref::<io::Error>() {
        return plain(&system.to_string());
    }
    plain(&cause.to_string())
}

/// A server's words as they may be shown: one line of printable ASCII, at most 160 characters.
pub(super) fn plain(text: &str) -> String {
    const SHOWN: usize = 160;
    let printable = text.chars().map(|c| if c.is_ascii_graphic() { c } else { ' ' });
    let spaced: String = printable.take(4 * SHOWN).collect();
    spaced.split_ascii_whitespace().collect::<Vec<_>>().join(" ").chars().take(SHOWN).collect()
}

fn after_comma(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(", {said}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_words_become_one_short_line() {
        assert_eq!(plain(" a\r\n\x1b[31mb\u{202e}c  "), "a [31mb c");
        assert_eq!(plain(&"x".repeat(10_000)).len(), 160);
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        assert!(Trouble::of_status(503, "").is_retryable());
        assert!(Trouble::of_status(507, "").is_retryable());
        for status in [301, 400, 401, 403, 404] {
            assert!(!Trouble::of_status(status, "").is_retryable(), "{status}");
        }
        assert!(Trouble::TimedOut { limit: Duration::from_secs(1) }.is_retryable());
    }
}
