//! What can go wrong with a bucket, as far as it may be told: names of settings, status codes and the provider's own short words,
//! never a signature, a credential or content.

use std::{error::Error as StdError, io, time::Duration};

use object_store::client::{HttpError, HttpErrorKind};

use crate::dataset::fetch::Refusal;

/// Why a bucket did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BucketProblem {
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
    /// The provider refuses who asks, or what is asked.
    #[error("the provider refuses it (status {status}{})", after_comma(said))]
    Refused {
        /// 401 or 403.
        status: u16,
        /// The provider's word, short and plain; may be empty.
        said: String,
    },
    /// There is no bucket of that name.
    #[error("there is no such bucket")]
    NoBucket,
    /// There is no object of that name.
    #[error("there is no such object")]
    NoObject,
    /// There is no object that a pattern matches.
    #[error("no object matches the pattern")]
    NoMatch,
    /// There is more than is read.
    #[error("there are more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The most.
        limit: usize,
    },
    /// The address names no single object.
    #[error("it names {found}, where one object is needed")]
    NotOneObject {
        /// What it names.
        found: &'static str,
    },
    /// The provider failed, or answered with a status that a bucket never has.
    #[error("the provider answered with status {status}{}", after_comma(said))]
    Status {
        /// The status.
        status: u16,
        /// The provider's word, short and plain; may be empty.
        said: String,
    },
    /// The provider sends elsewhere, as it does for a bucket of another region.
    #[error("the provider redirects to another address")]
    Redirects,
    /// The answer is not that of a bucket.
    #[error("the answer is not that of a bucket")]
    NotABucket,
    /// An address that must not be asked.
    #[error("its endpoint is not asked: {refusal}")]
    NotAsked {
        /// The rule that it breaks.
        refusal: Refusal,
    },
    /// A setting that does not have the form it must have.
    #[error("the setting {name} is not {expected}")]
    Setting {
        /// Its name.
        name: String,
        /// What it must be.
        expected: &'static str,
    },
    /// A setting that only the operator of this process may make.
    #[error(
        "the setting {name} comes from a connector or an agreement, and only the process's own variables may have it"
    )]
    OperatorsAlone {
        /// Its name.
        name: String,
    },
    /// The settings do not make credentials.
    #[error("the settings do not make credentials: {reason}")]
    Credentials {
        /// What is wrong, in fixed words.
        reason: &'static str,
    },
    /// The system gives no thread to wait on.
    #[error("the system gives no thread to wait on")]
    NoThreads,
}

impl BucketProblem {
    /// Says what to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::BrokenOff => {
                "check the network and the endpoint, then run it again".into()
            }
            Self::Refused { .. } => {
                "credentials that may do this: in AWS_..., GOOGLE_... or AZURE_..., or in the connector (docs/sources.md)".into()
            }
            Self::NoBucket => "check the bucket's name, and its region or storage account".into(),
            Self::NoObject => "check the key; a pattern has * or [...] in it".into(),
            Self::NoMatch => "check the pattern: * stands for part of a name, ** for folders".into(),
            Self::TooMany { .. } => "a narrower pattern, or a prefix of its own".into(),
            Self::NotOneObject { .. } => "the address of one object".into(),
            Self::Status { .. } => "run it again; if it stays so, ask the provider".into(),
            Self::Redirects => "the bucket's own region (AWS_REGION)".into(),
            Self::NotABucket => "check the endpoint: AWS_ENDPOINT_URL, GOOGLE_BASE_URL or AZURE_STORAGE_ENDPOINT".into(),
            Self::NotAsked { refusal: Refusal::PlainHttp } => {
                "an https endpoint, or AWS_ALLOW_HTTP=true (GOOGLE_ALLOW_HTTP, AZURE_ALLOW_HTTP) in the process's variables".into()
            }
            Self::NotAsked { refusal } => {
                refusal.remedy().unwrap_or("an endpoint that begins with https://").to_owned()
            }
            Self::Setting { name, expected } => format!("{name} = {expected}"),
            Self::OperatorsAlone { name } => format!("leave {name} out, or set it for this process"),
            Self::Credentials { .. } => "docs/sources.md lists the variables of each provider".into(),
            Self::NoThreads => "raise the process limits".into(),
        }
    }

    /// Whether the same may succeed later without anybody changing a thing.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::BrokenOff | Self::NoThreads => true,
            Self::Status { status, .. } => *status >= 500 || matches!(status, 408 | 429),
            _ => false,
        }
    }

    /// Says what an error of the library comes from. Its texts may hold signed addresses and account names, and its types for
    /// status and code are its own, so these alone are read from its text.
    pub(super) fn of(error: &object_store::Error, idle: Duration) -> Self {
        let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
        let mut http = None;
        while let Some(error) = cause {
            if let Some(refusal) = error.downcast_ref::<Refusal>() {
                return Self::NotAsked { refusal: *refusal };
            }
            if http.is_none() {
                http = error.downcast_ref::<HttpError>();
            }
            cause = error.source();
        }
        if let Some(http) = http {
            return match http.kind() {
                HttpErrorKind::Timeout => Self::TimedOut { limit: idle },
                HttpErrorKind::Connect => Self::Unreachable { reason: innermost(http) },
                _ => Self::BrokenOff,
            };
        }
        let text = error.to_string();
        let said = code(&text).unwrap_or_default();
        match (status(&text), error) {
            (Some(status), _) => Self::of_status(status, said),
            (None, object_store::Error::NotFound { .. }) => Self::of_status(404, said),
            (None, object_store::Error::PermissionDenied { .. }) => Self::of_status(403, said),
            (None, object_store::Error::Unauthenticated { .. }) => Self::of_status(401, said),
            (None, _) if text.contains("redirect") => Self::Redirects,
            (None, _) => Self::NotABucket,
        }
    }

    fn of_status(status: u16, said: &str) -> Self {
        const NO_BUCKET: [&str; 2] = ["NoSuchBucket", "ContainerNotFound"];
        match status {
            300..=399 => Self::Redirects,
            401 | 403 => Self::Refused { status, said: said.to_owned() },
            404 if NO_BUCKET.contains(&said) => Self::NoBucket,
            404 => Self::NoObject,
            _ => Self::Status { status, said: said.to_owned() },
        }
    }
}

/// The status within "non-2xx status code: 403 Forbidden".
fn status(text: &str) -> Option<u16> {
    let after = text.split_once("status code: ")?.1;
    after.get(..3)?.parse().ok()
}

/// The provider's short word for an error, within `<Code>AccessDenied</Code>`.
fn code(text: &str) -> Option<&str> {
    let code = text.split_once("<Code>")?.1.split_once("</Code>")?.0;
    (!code.is_empty() && code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(code)
}

/// The innermost cause: an error of the system, of a name server or of TLS, which hold no address. One short printable line.
fn innermost(error: &(dyn StdError + 'static)) -> String {
    const SHOWN: usize = 160;
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let text = cause.downcast_ref::<io::Error>().map_or_else(|| cause.to_string(), ToString::to_string);
    let printable: String = text.chars().take(4 * SHOWN).map(|c| if c.is_ascii_graphic() { c } else { ' ' }).collect();
    printable.split_ascii_whitespace().collect::<Vec<_>>().join(" ").chars().take(SHOWN).collect()
}

fn after_comma(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(", {said}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(1);

    #[test]
    fn only_status_and_code_are_taken_from_what_the_library_says() {
        let said = "Generic S3 error: Error performing GET http://h/b?sig=secret in 1ms - Server returned non-2xx status \
                    code: 403 Forbidden: <Error><Code>AccessDenied</Code><AWSAccessKeyId>secret</AWSAccessKeyId></Error>";
        let error = object_store::Error::Generic { store: "S3", source: said.into() };
        let problem = BucketProblem::of(&error, IDLE);
        assert_eq!(problem, BucketProblem::Refused { status: 403, said: "AccessDenied".to_owned() });
        let missing = |said: &str| {
            let source = format!("status code: 404 Not Found: <Error><Code>{said}</Code></Error>").into();
            BucketProblem::of(&object_store::Error::NotFound { path: "x".to_owned(), source }, IDLE)
        };
        assert_eq!(missing("NoSuchKey"), BucketProblem::NoObject);
        assert_eq!(missing("NoSuchBucket"), BucketProblem::NoBucket);
        assert_eq!(missing("ContainerNotFound"), BucketProblem::NoBucket);
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for status in [500, 503, 408, 429] {
            assert!(BucketProblem::of_status(status, "").is_retryable(), "{status}");
        }
        for status in [301, 400, 401, 403, 404] {
            assert!(!BucketProblem::of_status(status, "").is_retryable(), "{status}");
        }
        assert!(BucketProblem::BrokenOff.is_retryable());
        assert!(!BucketProblem::NotAsked { refusal: Refusal::PrivateAddress }.is_retryable());
    }
}
