//! What a person is told when something fails: the fact, then the remedy; and the exit code that says of which sort it is.

use std::{error::Error, fmt::Display};

use datafuse_engine::{
    list::ListFileError,
    signed_report::{EncryptedReportError, SignedReportError},
};
use datafuse_space::{mailbox::Trouble, passes};
use datafuse_workload::delivery::DeliveryError;
use datafuse_workload::jobs::JobsError;

/// The exit codes, as the README tables them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Code {
    Internal = 1,
    Usage = 2,
    Configuration = 3,
    Data = 4,
    Peer = 5,
    Refused = 6,
    Interrupted = 7,
}

/// A failure, ready to print.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) fact: String,
    pub(crate) remedy: Option<String>,
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    pub(crate) fn new(code: Code, fact: impl Display, remedy: impl Into<String>) -> Self {
        Self { code, fact: fact.to_string(), remedy: Some(remedy.into()) }
    }

    fn of(code: Code, error: &dyn Error, remedy: Option<String>) -> Self {
        let mut fact = error.to_string();
        // An error says what was tried; the one below it says why that failed. Some say both already.
        let mut below = error.source();
        while let Some(cause) = below {
            let text = cause.to_string();
            if !fact.contains(&text) {
                fact.push_str(": ");
                fact.push_str(&text);
            }
            below = cause.source();
        }
        Self { code, fact, remedy }
    }

    /// A file that the command line itself reads or writes.
    pub(crate) fn file(action: &str, path: &std::path::Path, source: &std::io::Error) -> Self {
        let remedy = match source.kind() {
            std::io::ErrorKind::NotFound => "check the path",
            std::io::ErrorKind::AlreadyExists => "choose another path, or move that file away",
            std::io::ErrorKind::StorageFull => "free some space on that disk",
            _ => "check the permissions of the file and its folder",
        };
        Self::new(Code::Configuration, format!("could not {action} {}: {source}", path.display()), remedy)
    }
}

impl From<datafuse_group::BackendError> for Failure {
    fn from(error: datafuse_group::BackendError) -> Self {
        Self::of(Code::Configuration, &error, error.remedy())
    }
}

impl From<datafuse_core::Error> for Failure {
    fn from(error: datafuse_core::Error) -> Self {
        use datafuse_core::Error as E;
        let code = match &error {
            E::InvalidId { .. } | E::InvalidPublicName { .. } => Code::Usage,
            E::InvalidToken { .. } | E::StaleVersion { .. } => Code::Data,
            E::Mismatch { what: "dataset" | "list", .. } | E::BadSignature { what: "list", .. } => Code::Data,
            E::Unopenable { what: "list" } => Code::Data,
            _ => Code::Peer,
        };
        Self::of(code, &error, error.remedy())
    }
}

impl From<datafuse_space::Error> for Failure {
    fn from(error: datafuse_space::Error) -> Self {
        match error {
            datafuse_space::Error::Protocol(error) => error.into(),
            datafuse_space::Error::Mailbox { trouble: Trouble::Environment { .. } | Trouble::NoThreads, .. } => {
                Self::of(Code::Configuration, &error, error.remedy())
            }
            datafuse_space::Error::Mailbox { .. } => Self::of(Code::Peer, &error, error.remedy()),
            error @ datafuse_space::Error::InvalidScheme { .. } => Self::of(Code::Usage, &error, error.remedy()),
            error => Self::of(Code::Configuration, &error, error.remedy()),
        }
    }
}

impl From<datafuse_engine::Error> for Failure {
    fn from(error: datafuse_engine::Error) -> Self {
        use datafuse_engine::{Error as E, dataset::BucketProblem as P};
        let code = match &error {
            E::NoSpace { .. } | E::OutOfTempSpace { .. } | E::OutOfMemory { .. } => Code::Interrupted,
            E::FetchRefused { .. } => Code::Refused,
            E::Download { .. } | E::HttpStatus { .. } | E::DownloadTimeout { .. } => Code::Peer,
            E::Bucket { problem, .. } => match **problem {
                P::NotAsked { .. } | P::OperatorsAlone { .. } => Code::Refused,
                P::Setting { .. } | P::Credentials { .. } | P::NoThreads => Code::Configuration,
                P::NoObject | P::NoMatch | P::NotOneObject { .. } | P::TooMany { .. } => Code::Data,
                _ => Code::Peer,
            },
            E::Internal { .. } => Code::Internal,
            E::ParquetKeyLength { .. } => Code::Configuration,
            E::TableFormat { .. } => Code::Usage,
            _ => Code::Data,
        };
        Self::of(code, &error, error.remedy())
    }
}

impl From<datafuse_engine::contract::ContractError> for Failure {
    fn from(error: datafuse_engine::contract::ContractError) -> Self {
        use datafuse_engine::contract::ContractError as E;
        let code = match &error {
            E::NoSuchModel { .. } | E::WhichModel { .. } | E::NoServer { .. } => Code::Usage,
            E::LooksLikeData { .. } => Code::Data,
            _ => Code::Configuration,
        };
        Self::of(code, &error, error.remedy())
    }
}

impl From<datafuse_engine::report::ReportError> for Failure {
    fn from(error: datafuse_engine::report::ReportError) -> Self {
        Self::of(Code::Data, &error, error.remedy())
    }
}

impl From<SignedReportError> for Failure {
    fn from(error: SignedReportError) -> Self {
        let code = if error.is_signature() { Code::Peer } else { Code::Data };
        Self::of(code, &error, Some(error.remedy()))
    }
}

impl From<EncryptedReportError> for Failure {
    fn from(error: EncryptedReportError) -> Self {
        let code = match error {
            EncryptedReportError::NotForThese { .. } => Code::Configuration,
            _ => Code::Data,
        };
        Self::of(code, &error, Some(error.remedy()))
    }
}

impl From<DeliveryError> for Failure {
    fn from(error: DeliveryError) -> Self {
        use DeliveryError as E;
        let code = match &error {
            E::Refused { .. } => Code::Refused,
            E::Token { .. } | E::CaFile { .. } | E::InTheWay { .. } | E::NoClient => Code::Configuration,
            E::Folder { source, .. } if passes(source.kind()) => Code::Interrupted,
            E::Folder { .. } => Code::Configuration,
            _ => Code::Peer,
        };
        Self::of(code, &error, error.remedy())
    }
}

impl From<datafuse_holder::Error> for Failure {
    fn from(error: datafuse_holder::Error) -> Self {
        use datafuse_holder::{Error as E, list::ListError, lookup::LookupError};
        let code = match error {
            E::List(error) => match *error {
                ListError::File(ListFileError::Engine(error)) => return error.into(),
                ListError::File(ListFileError::Envelope { source, .. }) => return source.into(),
                ListError::Report(error) => return error.into(),
                ListError::WhichDataset { .. } => return Self::of(Code::Usage, &error, error.remedy()),
                _ => return Self::of(Code::Data, &error, error.remedy()),
            },
            E::Protocol(error) => return (*error).into(),
            E::Engine(error) => return (*error).into(),
            E::Space(error) => return (*error).into(),
            E::NotApproved { .. } | E::OtherName { .. } => Code::Refused,
            E::NoEpoch { .. } => Code::Peer,
            E::WhichDataset { .. } | E::UnknownKind { .. } | E::ColumnCount { .. } => Code::Usage,
            E::NoIdentifierColumn { .. } | E::OtherSpace { .. } | E::KeyForgotten { .. } => Code::Data,
            E::Lookup(ref error) => match **error {
                LookupError::WhichKind { .. } => Code::Usage,
                LookupError::NoAnswer { .. } | LookupError::OtherCount { .. } => Code::Peer,
                _ => Code::Data,
            },
            E::OtherKeyEnrolled { .. } => Code::Peer,
            _ => Code::Configuration,
        };
        Self::of(code, &error, error.remedy())
    }
}

impl From<datafuse_workload::Error> for Failure {
    fn from(error: datafuse_workload::Error) -> Self {
        use datafuse_workload::{Error as E, TokenTableError};
        let code = match error {
            E::Protocol(error) => return (*error).into(),
            E::Engine(error) => return (*error).into(),
            E::Space(error) => return (*error).into(),
            E::Report(error) => return (*error).into(),
            E::SignedReport(error) => return (*error).into(),
            E::Delivery(error) => return (*error).into(),
            E::TokenTable(ref error) => match **error {
                TokenTableError::NoKey { .. } | TokenTableError::InvalidKey { .. } => Code::Configuration,
                _ => Code::Data,
            },
            E::Jobs(ref error) => match **error {
                JobsError::Unknown { .. } => Code::Usage,
                JobsError::EventGone { .. } => Code::Data,
                JobsError::NotRetryable { .. } | JobsError::AlreadyRetried { .. } | JobsError::WithoutQueue { .. } => {
                    Code::Refused
                }
                _ => Code::Configuration,
            },
            E::Platform(ref platform) => of_platform(platform),
            E::EventTooLarge { .. }
            | E::EventTooDeep { .. }
            | E::EventNotJson { .. }
            | E::EventNotObject
            | E::EventTypeMissing
            | E::EventTypeInvalid
            | E::EventField { .. }
            | E::DatasetMissing { .. }
            | E::DatasetChanged { .. }
            | E::Dataset { .. } => Code::Data,
            E::QueueUnreachable { .. }
            | E::QueueTls { .. }
            | E::QueueRefused { .. }
            | E::QueueReply { .. }
            | E::ClaimLost { .. }
            | E::NoEpoch
            | E::NotEnrolled { .. }
            | E::CanaryDisagrees { .. } => Code::Peer,
            E::EpochOpen { .. }
            | E::EpochAnnounced { .. }
            | E::TooFewHolders { .. }
            | E::NotProvided { .. }
            | E::Lookup(_)
            | E::Policy(_) => Code::Refused,
            E::Readers(ref error) => match **error {
                datafuse_workload::ReadersError::Mixed { .. } => Code::Refused,
                _ => Code::Configuration,
            },
            E::NoRandomness | E::ProcessorPanicked => Code::Internal,
            E::Folder { ref source, .. } | E::Output { ref source, .. } if !passes(source.kind()) => {
                Code::Configuration
            }
            ref error if error.is_retryable() => Code::Interrupted,
            _ => Code::Configuration,
        };
        Self::of(code, &error, error.remedy())
    }
}

impl From<datafuse_workload::audit::AuditFault> for Failure {
    fn from(fault: datafuse_workload::audit::AuditFault) -> Self {
        let remedy = fault.remedy();
        Self::of(Code::Data, &fault, Some(remedy))
    }
}

fn of_platform(error: &datafuse_workload::platform::PlatformError) -> Code {
    use datafuse_workload::platform::PlatformError as E;
    match error {
        E::Service { .. } | E::NotAccepted { .. } => Code::Peer,
        E::TooLargeToSend { .. } => Code::Data,
        E::TableNotAllowed { .. } => Code::Refused,
        _ => Code::Configuration,
    }
}

impl From<datafuse_lab::Error> for Failure {
    fn from(error: datafuse_lab::Error) -> Self {
        use datafuse_lab::Error as E;
        let code = match error {
            E::Protocol(error) => return error.into(),
            E::Engine(error) => return (*error).into(),
            E::Space(error) => return error.into(),
            E::Holder(error) => return error.into(),
            E::Workload(error) => return error.into(),
            E::OutOfRange { .. } => Code::Usage,
            E::NotATruth { .. } | E::NoIdentifiers { .. } => Code::Data,
            E::NoReport | E::NoQueueFolder => Code::Internal,
            _ => Code::Configuration,
        };
        Self::of(code, &error, error.remedy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_that_the_machine_lacks_is_a_matter_of_configuration() {
        let failure = Failure::from(datafuse_group::BackendError::Unsupported { name: "ifma", missing: "AVX-512IFMA" });
        assert_eq!(failure.code, Code::Configuration);
        assert_eq!(failure.fact, "backend 'ifma' needs AVX-512IFMA, which this machine does not have");
        assert!(failure.remedy.is_some_and(|remedy| remedy.contains("DATAFUSE_GROUP_BACKEND")));
    }

    #[test]
    fn the_cause_is_told_once() {
        let error = datafuse_workload::Error::Output {
            action: "create",
            path: "outputs/x".into(),
            source: std::io::ErrorKind::StorageFull.into(),
        };
        let failure = Failure::from(error);
        assert_eq!(failure.code, Code::Interrupted);
        assert!(failure.fact.starts_with("could not create outputs/x: "), "{}", failure.fact);
        assert!(failure.remedy.is_some_and(|remedy| remedy.contains("free some space")));
    }
}
