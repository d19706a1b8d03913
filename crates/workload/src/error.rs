//! What can go wrong between an event and its outcome. No variant ever holds the content of an event, an identifier,
//! a token, a key or a password: events are described by their size and shape, queues by their address without
//! credentials.

use std::{
    io,
    path::{Path, PathBuf},
};

use datafuse_core::id::{DatasetId, Epoch, ParticipantId};
use datafuse_space::{is_mendable, passes};

/// The result of an operation of the workload.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the workload could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An event is larger than any real one.
    #[error("the event has {bytes} bytes, {limit} are allowed")]
    EventTooLarge {
        /// Its size; at least this many when the rest was not read.
        bytes: usize,
        /// The largest size allowed.
        limit: usize,
    },
    /// An event nests objects and lists deeper than any real one.
    #[error("the event nests more than {limit} levels deep")]
    EventTooDeep {
        /// The deepest nesting allowed.
        limit: usize,
    },
    /// An event is not JSON.
    #[error("the event is not valid JSON (line {line}, column {column})")]
    EventNotJson {
        /// Line of the first fault, from 1.
        line: usize,
        /// Column of the first fault, from 1; 0 when the text ended too early.
        column: usize,
    },
    /// An event is JSON, but not an object.
    #[error("the event is not a JSON object")]
    EventNotObject,
    /// An event does not say of which type it is.
    #[error("the event has no field 'type'")]
    EventTypeMissing,
    /// The type of an event does not have the form of one.
    #[error("the event's 'type' is not 1 to 64 of the characters A-Z, 0-9 and '_'")]
    EventTypeInvalid,
    /// The queue does not answer: it is down, unreachable, or the connection broke.
    #[error("the queue {place} cannot be reached: {reason}")]
    QueueUnreachable {
        /// The queue's address, without credentials.
        place: String,
        /// What the operating system or the TLS library says.
        reason: String,
    },
    /// The queue's server could not prove who it is, or speaks no TLS.
    #[error("no trusted TLS connection to the queue {place}: {reason}")]
    QueueTls {
        /// The queue's address, without credentials.
        place: String,
        /// What the TLS library says.
        reason: String,
    },
    /// The queue's server answered a command with an error.
    #[error("the queue {place} refused {command}: {code}")]
    QueueRefused {
        /// The queue's address, without credentials.
        place: String,
        /// The command's name.
        command: &'static str,
        /// The server's error code, or the kind of the error. Never its text, which may repeat an event.
        code: String,
    },
    /// The queue's server answered something that this program does not understand.
    #[error("the queue {place} answered {command} in an unknown form")]
    QueueReply {
        /// The queue's address, without credentials.
        place: String,
        /// The command's name.
        command: &'static str,
    },
    /// A text does not say where a queue is.
    #[error("{origin} does not name a queue: {reason}")]
    QueueLocation {
        /// Where the text was given.
        origin: &'static str,
        /// What is wrong with it; never the text, which may hold a password.
        reason: &'static str,
    },
    /// The folder of the embedded queue could not be used.
    #[error("could not {action} {}", path.display())]
    QueueFolder {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// The file of trusted certificates could not be used.
    #[error("the CA file {} {reason}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A delivery is no longer this consumer's: another one took it over.
    #[error("event {event} was taken over by another consumer")]
    ClaimLost {
        /// The event.
        event: String,
    },
    /// The audit log could not be written.
    #[error("could not write the audit log {}", path.display())]
    Audit {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// An environment variable does not have the form it must have.
    #[error("the environment variable {name} is not {expected}")]
    Environment {
        /// The variable; its value stays out of the error.
        name: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// The key file is not the workload's.
    #[error("the key file is not the workload's: its public name is {found}, the space file says {expected}")]
    NotTheWorkload {
        /// Fingerprint of the key file's name.
        found: String,
        /// Fingerprint of the name in the space file.
        expected: String,
    },
    /// A folder of the workload's could not be used.
    #[error("could not {action} {}", path.display())]
    Folder {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// The state database failed.
    #[error("the workload's state database failed: {0}")]
    State(#[from] rusqlite::Error),
    /// The state was made for another space.
    #[error("the workload's state belongs to another space")]
    StateOfAnotherSpace,
    /// What is sealed in the state does not open.
    #[error("the workload's state does not open: it was sealed with another key, or altered")]
    StateSealed,
    /// The state was made by a newer program.
    #[error("the workload's state has schema {found}, this program knows up to {known}")]
    StateNewer {
        /// The schema found.
        found: usize,
        /// The newest schema known.
        known: usize,
    },
    /// The operating system gives no random numbers.
    #[error("the operating system gives no random numbers")]
    NoRandomness,
    /// No epoch is open.
    #[error("no epoch is open")]
    NoEpoch,
    /// An epoch is open already.
    #[error("epoch {epoch} is open already")]
    EpochOpen {
        /// The open epoch.
        epoch: Epoch,
    },
    /// The state knows of no epoch, but the workload announced one before.
    #[error("epoch {epoch} was announced before, and this state knows nothing of it")]
    EpochAnnounced {
        /// The announced epoch.
        epoch: Epoch,
    },
    /// The state is older than what the workload announced.
    #[error(
        "this state is of epoch {epoch} and older than the announcement in the mailbox, which is of epoch {announced}"
    )]
    StateBehind {
        /// The state's epoch.
        epoch: Epoch,
        /// The announced epoch.
        announced: Epoch,
    },
    /// A number that only grows has come to its end.
    #[error("an epoch or serial has reached the largest number there is")]
    NumbersExhausted,
    /// The agreement cannot be read again.
    #[error("the agreement cannot be read any more")]
    SpaceUnreadable {
        /// Why.
        #[source]
        source: Box<datafuse_space::Error>,
    },
    /// The agreement's file holds another space now.
    #[error("the agreement's file holds another space than when the workload started")]
    SpaceReplaced,
    /// A steward's share is not the same for all holders of an epoch.
    #[error("steward {steward} sent another share for this holder than for others")]
    StewardChangedShare {
        /// The steward's fingerprint.
        steward: String,
    },
    /// An enrolled holder answered with another token key.
    #[error("holder {holder} is enrolled with another token key")]
    KeyChanged {
        /// The holder's fingerprint.
        holder: String,
    },
    /// Holders that take part are not enrolled.
    #[error("not enrolled yet: {}", names(holders))]
    NotEnrolled {
        /// The holders.
        holders: Vec<ParticipantId>,
    },
    /// A participant that should take part is no data holder.
    #[error("'{participant}' is not a data holder of this space")]
    NotAHolder {
        /// The participant.
        participant: ParticipantId,
    },
    /// A holder brings no dataset.
    #[error("'{holder}' brings no dataset")]
    NoDataset {
        /// The holder.
        holder: ParticipantId,
    },
    /// A dataset was not delivered.
    #[error("dataset '{dataset}' of '{holder}' is not at {}", path.display())]
    DatasetMissing {
        /// The holder.
        holder: ParticipantId,
        /// The dataset.
        dataset: DatasetId,
        /// Where it should be.
        path: PathBuf,
    },
    /// A dataset is not what the agreement says.
    #[error("dataset '{dataset}' of '{holder}': {source}")]
    Dataset {
        /// The holder.
        holder: ParticipantId,
        /// The dataset.
        dataset: DatasetId,
        /// What differs.
        #[source]
        source: Box<datafuse_core::Error>,
    },
    /// A dataset was replaced while it was read.
    #[error("dataset '{dataset}' of '{holder}' was replaced while it was read")]
    DatasetChanged {
        /// The holder.
        holder: ParticipantId,
        /// The dataset.
        dataset: DatasetId,
    },
    /// Two holders' canaries do not agree, so none of their identifiers would.
    #[error("the canaries of '{holder}' and '{other}' disagree: with these keys nothing of theirs would match")]
    CanaryDisagrees {
        /// The holder whose dataset came now.
        holder: ParticipantId,
        /// The holder whose dataset came first in this epoch.
        other: String,
    },
    /// No report can be made for these data users, or the one that is there is for others.
    #[error(transparent)]
    Readers(Box<crate::readers::ReadersError>),
    /// There is nothing to compare.
    #[error("{found} data holder takes part, two are needed")]
    TooFewHolders {
        /// How many take part.
        found: usize,
    },
    /// A field of an event does not have the form it must have.
    #[error("the event's '{field}' is not {expected}")]
    EventField {
        /// The field.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// An event of a type that this version does not process.
    #[error("events of type {event_type} are not processed by this version")]
    NotProvided {
        /// The type's name.
        event_type: String,
    },
    /// An event was taken again and again, and never came to an end.
    #[error("the event was delivered {attempts} times and never came to an end")]
    TooManyAttempts {
        /// How often.
        attempts: u32,
    },
    /// A processor ended in a panic; what it was about to write was not written.
    #[error("the processor stopped unexpectedly")]
    ProcessorPanicked,
    /// An output could not be written.
    #[error("could not {action} {}", path.display())]
    Output {
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
    OutputInTheWay {
        /// The folder.
        path: PathBuf,
    },
    /// The policy of the space or of a participant refuses a report.
    #[error(transparent)]
    Policy(Box<crate::policy::PolicyError>),
    /// Something about the list of jobs.
    #[error(transparent)]
    Jobs(Box<crate::jobs::JobsError>),
    /// The report could not be made.
    #[error(transparent)]
    Report(Box<datafuse_engine::report::ReportError>),
    /// The protocol refused something.
    #[error(transparent)]
    Protocol(Box<datafuse_core::Error>),
    /// The data engine failed.
    #[error(transparent)]
    Engine(Box<datafuse_engine::Error>),
    /// A table of tokens, or what was found in the place of one.
    #[error(transparent)]
    TokenTable(Box<crate::processor::TokenTableError>),
    /// A look-up ended without an answer.
    #[error(transparent)]
    Lookup(Box<crate::processor::LookupError>),
    /// The space or the mailbox failed.
    #[error(transparent)]
    Space(Box<datafuse_space::Error>),
    /// A report could not be signed.
    #[error(transparent)]
    SignedReport(Box<datafuse_engine::signed_report::SignedReportError>),
    /// A report was not delivered.
    #[error(transparent)]
    Delivery(Box<crate::delivery::DeliveryError>),
    /// The platform, or what it says, failed.
    #[error(transparent)]
    Platform(Box<crate::platform::PlatformError>),
    /// The file that `DOTENV_FILE` names could not be read.
    #[error("the file {} named by DOTENV_FILE {reason}", path.display())]
    DotenvFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it; never a line of it.
        reason: String,
    },
}

impl Error {
    /// Tells whether the same operation may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::QueueUnreachable { .. } | Self::DatasetChanged { .. } | Self::NoRandomness => true,
            // What is missing may still come: an epoch, an enrolment, a file.
            Self::NoEpoch | Self::NotEnrolled { .. } | Self::DatasetMissing { .. } | Self::SpaceUnreadable { .. } => {
                true
            }
            // The right disk may be mounted yet.
            Self::EpochAnnounced { .. } => true,
            Self::Space(error) => error.is_retryable(),
            Self::Delivery(error) => error.is_retryable(),
            Self::Engine(error) => error.is_retryable(),
            Self::Platform(error) => error.is_retryable(),
            Self::State(error) => matches!(
                error.sqlite_error_code(),
                Some(
                    rusqlite::ErrorCode::DatabaseBusy
                        | rusqlite::ErrorCode::DatabaseLocked
                        | rusqlite::ErrorCode::DiskFull
                        // How a full disk shows where it is a file or a flush that finds it full.
                        | rusqlite::ErrorCode::SystemIoFailure
                        | rusqlite::ErrorCode::CannotOpen
                        | rusqlite::ErrorCode::ReadOnly
                        | rusqlite::ErrorCode::PermissionDenied
                )
            ),
            Self::QueueFolder { source, .. } | Self::Audit { source, .. } => passes(source.kind()),
            Self::Folder { source, .. } | Self::Output { source, .. } => {
                passes(source.kind()) || is_mendable(source.kind())
            }
            _ => false,
        }
    }

    /// Gives the error's class: a short fixed name for audit lines, dead letters and metrics.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::EventTooLarge { .. } => "event-too-large",
            Self::EventTooDeep { .. } => "event-too-deep",
            Self::EventNotJson { .. } => "event-not-json",
            Self::EventNotObject => "event-not-object",
            Self::EventTypeMissing => "event-type-missing",
            Self::EventTypeInvalid => "event-type-invalid",
            Self::QueueUnreachable { .. } => "queue-unreachable",
            Self::QueueTls { .. } => "queue-tls",
            Self::QueueRefused { .. } => "queue-refused",
            Self::QueueReply { .. } => "queue-reply",
            Self::QueueLocation { .. } => "queue-location",
            Self::QueueFolder { .. } => "queue-folder",
            Self::CaFile { .. } => "ca-file",
            Self::ClaimLost { .. } => "claim-lost",
            Self::Audit { .. } => "audit",
            Self::Environment { .. } => "environment",
            Self::DotenvFile { .. } => "dotenv-file",
            Self::NotTheWorkload { .. } => "not-the-workload",
            Self::Folder { .. } => "folder",
            Self::State(_) => "state",
            Self::StateOfAnotherSpace => "state-of-another-space",
            Self::StateSealed => "state-sealed",
            Self::StateNewer { .. } => "state-newer",
            Self::NoRandomness => "no-randomness",
            Self::NoEpoch => "no-epoch",
            Self::EpochOpen { .. } => "epoch-open",
            Self::EpochAnnounced { .. } => "epoch-announced",
            Self::StateBehind { .. } => "state-behind",
            Self::NumbersExhausted => "numbers-exhausted",
            Self::SpaceUnreadable { .. } => "space-unreadable",
            Self::SpaceReplaced => "space-replaced",
            Self::StewardChangedShare { .. } => "steward-changed-share",
            Self::KeyChanged { .. } => "key-changed",
            Self::NotEnrolled { .. } => "not-enrolled",
            Self::NotAHolder { .. } => "not-a-holder",
            Self::NoDataset { .. } => "no-dataset",
            Self::DatasetMissing { .. } => "dataset-missing",
            Self::Dataset { .. } => "dataset-refused",
            Self::DatasetChanged { .. } => "dataset-changed",
            Self::CanaryDisagrees { .. } => "canary-disagrees",
            Self::TooFewHolders { .. } => "too-few-holders",
            Self::Readers(error) => error.class(),
            Self::EventField { .. } => "event-field",
            Self::NotProvided { .. } => "not-provided",
            Self::TooManyAttempts { .. } => "too-many-attempts",
            Self::ProcessorPanicked => "processor-panicked",
            Self::Output { .. } => "output",
            Self::OutputInTheWay { .. } => "output-in-the-way",
            Self::Policy(error) => error.class(),
            Self::Jobs(error) => error.class(),
            Self::Report(_) => "report",
            Self::Protocol(_) => "protocol",
            Self::Engine(_) => "engine",
            Self::TokenTable(error) => error.class(),
            Self::Lookup(error) => error.class(),
            Self::Space(error) => error.class(),
            Self::SignedReport(_) => "signed-report",
            Self::Delivery(error) => error.class(),
            Self::Platform(error) => error.class(),
        }
    }

    /// Gives what to do about it, where there is something to do: the text after "Try:".
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::EventTooLarge { .. } => {
                "send data through datasets; an event only says what to do".to_owned()
            }
            Self::EventTooDeep { .. } | Self::EventNotJson { .. } | Self::EventNotObject => {
                "datafuse send TYPE, which writes well-formed events".to_owned()
            }
            Self::EventTypeMissing | Self::EventTypeInvalid => {
                "a type such as CHECK_COMMON_CUSTOMERS or INITIALIZE, in capitals".to_owned()
            }
            Self::QueueUnreachable { .. } => {
                "start the server, or name another with --redis redis://HOST:PORT".to_owned()
            }
            Self::QueueTls { .. } => {
                "TLS_CAFILE=FILE with the certificate of the server's authority, or --redis redis://HOST:PORT for a server without TLS".to_owned()
            }
            Self::QueueRefused { code, .. } => match code.as_str() {
                "NOAUTH" | "WRONGPASS" | "authentication failed" => {
                    "--redis redis://USER:PASSWORD@HOST:PORT".to_owned()
                }
                "NOPERM" => "allow the user the commands and keys of the table in docs/queue.md".to_owned(),
                "WRONGTYPE" => "another database (redis://HOST:PORT/1): the key of the stream holds something else".to_owned(),
                _ => "a Redis server of version 6.2 or later".to_owned(),
            },
            Self::QueueReply { .. } => "a Redis server of version 6.2 or later".to_owned(),
            Self::QueueLocation { .. } => {
                "redis://HOST:PORT, rediss://HOST:PORT, or the path of a folder in the space file's 'queue'".to_owned()
            }
            Self::QueueFolder { source, path, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    format!("make {} writable, or name another folder in the space file's 'queue'", path.display())
                }
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                    "free some space on that disk".to_owned()
                }
                io::ErrorKind::NotFound => missing(path, "the space file's 'queue'"),
                _ => "another folder in the space file's 'queue'".to_owned(),
            },
            Self::CaFile { .. } => "TLS_CAFILE=FILE with PEM certificates".to_owned(),
            Self::Audit { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                    "free some space on that disk".to_owned()
                }
                _ => "make the space file's 'state' folder writable".to_owned(),
            },
            Self::Environment { name, expected } => format!("{name} = {expected}, or unset it"),
            Self::DotenvFile { .. } => "lines of the form NAME=VALUE".to_owned(),
            Self::NotTheWorkload { .. } => "--key with the workload's own key file".to_owned(),
            Self::Folder { source, path, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                    "free some space on that disk".to_owned()
                }
                io::ErrorKind::NotFound => missing(path, "--state or the space file's 'state'"),
                _ => format!("make {} writable, or name another folder in the space file's 'state'", path.display()),
            },
            Self::State(_) => "see that the disk has room, and that the space file's 'state' folder can be written".to_owned(),
            Self::StateOfAnotherSpace => "another folder in the space file's 'state': one for each space".to_owned(),
            Self::StateSealed => "--key with the key file that this state was made with".to_owned(),
            Self::StateNewer { .. } => "the version of datafuse that made it, or a later one".to_owned(),
            Self::NoEpoch => "datafuse run INITIALIZE --space space.yaml --key workload.key".to_owned(),
            Self::EpochOpen { .. } => {
                "go on with it: holders enrol (datafuse enrol) and protect (datafuse protect); only to have everybody enrol \
                 anew: datafuse run INITIALIZE --new-epoch"
                    .to_owned()
            }
            Self::EpochAnnounced { .. } => {
                "--state with the folder of that epoch; where it is lost: datafuse run INITIALIZE --new-epoch, and everybody \
                 enrols anew"
                    .to_owned()
            }
            Self::StateBehind { .. } => {
                "go on with the newest state; where it is lost: datafuse run INITIALIZE --new-epoch, and everybody enrols anew"
                    .to_owned()
            }
            Self::NumbersExhausted => {
                "somebody has announced with the workload's key: datafuse key replace, and a new epoch".to_owned()
            }
            Self::SpaceUnreadable { source } => {
                source.remedy().unwrap_or_else(|| "mend the space file; the event is tried again".to_owned())
            }
            Self::SpaceReplaced => "restore the space file, or start the workload anew for the other space".to_owned(),
            Self::StewardChangedShare { .. } | Self::KeyChanged { .. } => {
                "have it use the key file with which it enrolled first".to_owned()
            }
            Self::NotEnrolled { .. } => {
                "each of them and every steward runs: datafuse enrol; or name those that take part with --holders A,B".to_owned()
            }
            Self::NotAHolder { .. } => "--holders with data holders of the space".to_owned(),
            Self::NoDataset { holder } => format!("give '{holder}' a dataset in the space file, or leave it out with --holders"),
            Self::DatasetMissing { holder, .. } => {
                format!("'{holder}' runs: datafuse protect; or name those that take part with --holders A,B")
            }
            Self::Dataset { source, .. } => return source.remedy(),
            Self::DatasetChanged { .. } => "run the event again".to_owned(),
            Self::CanaryDisagrees { holder, .. } => {
                format!("'{holder}' protects again with the key file it enrolled with; if it stays, both look at who changed keys")
            }
            Self::Readers(error) => error.remedy(),
            Self::TooFewHolders { .. } => "--holders with at least two data holders".to_owned(),
            Self::EventField { field, .. } if *field == "holders" => r#"{"type": "...", "holders": ["acme", "globex"]}"#.to_owned(),
            Self::NotProvided { .. } => "CHECK_COMMON_CUSTOMERS, CHECK_DATA_QUALITY, CHECK_VALID_CUSTOMER, FUSE, ENROL or INITIALIZE".to_owned(),
            Self::Output { source, path, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                    "free some space on that disk; the event is tried again".to_owned()
                }
                io::ErrorKind::NotFound => missing(path, "the space file's 'outputs' or DATA_USER_OUTPUT_LOCATION"),
                _ => format!(
                    "make {} writable, or name another folder in the space file's 'outputs' or DATA_USER_OUTPUT_LOCATION",
                    path.parent().unwrap_or(path).display()
                ),
            },
            Self::OutputInTheWay { .. } => "move that folder away; reports are never overwritten".to_owned(),
            Self::Policy(error) => error.remedy(),
            Self::Jobs(error) => return Some(error.remedy()),
            Self::Report(error) => return error.remedy(),
            Self::Protocol(error) => return error.remedy(),
            Self::Engine(error) => return error.remedy(),
            Self::TokenTable(error) => return error.remedy(),
            Self::Lookup(error) => error.remedy().to_owned(),
            Self::Space(error) => return error.remedy(),
            Self::SignedReport(error) => error.remedy(),
            Self::Delivery(error) => return error.remedy(),
            Self::Platform(error) => return error.remedy(),
            Self::TooManyAttempts { .. } => "look into the logs for what ends the process; then send the event again".to_owned(),
            Self::ClaimLost { .. } | Self::NoRandomness | Self::EventField { .. } | Self::ProcessorPanicked => return None,
        };
        Some(text)
    }
}

impl From<datafuse_core::Error> for Error {
    fn from(error: datafuse_core::Error) -> Self {
        Self::Protocol(Box::new(error))
    }
}

impl From<datafuse_engine::Error> for Error {
    fn from(error: datafuse_engine::Error) -> Self {
        Self::Engine(Box::new(error))
    }
}

impl From<datafuse_engine::report::ReportError> for Error {
    fn from(error: datafuse_engine::report::ReportError) -> Self {
        Self::Report(Box::new(error))
    }
}

impl From<crate::policy::PolicyError> for Error {
    fn from(error: crate::policy::PolicyError) -> Self {
        Self::Policy(Box::new(error))
    }
}

impl From<crate::jobs::JobsError> for Error {
    fn from(error: crate::jobs::JobsError) -> Self {
        Self::Jobs(Box::new(error))
    }
}

impl From<crate::processor::LookupError> for Error {
    fn from(error: crate::processor::LookupError) -> Self {
        Self::Lookup(Box::new(error))
    }
}

impl From<datafuse_space::Error> for Error {
    fn from(error: datafuse_space::Error) -> Self {
        Self::Space(Box::new(error))
    }
}

impl From<datafuse_engine::signed_report::SignedReportError> for Error {
    fn from(error: datafuse_engine::signed_report::SignedReportError) -> Self {
        Self::SignedReport(Box::new(error))
    }
}

impl From<crate::delivery::DeliveryError> for Error {
    fn from(error: crate::delivery::DeliveryError) -> Self {
        Self::Delivery(Box::new(error))
    }
}

impl From<crate::readers::ReadersError> for Error {
    fn from(error: crate::readers::ReadersError) -> Self {
        Self::Readers(Box::new(error))
    }
}

impl From<crate::platform::PlatformError> for Error {
    fn from(error: crate::platform::PlatformError) -> Self {
        Self::Platform(Box::new(error))
    }
}

/// What to do about a folder that cannot be made because the one above it is not there.
fn missing(path: &Path, named_in: &str) -> String {
    let above = path.parent().unwrap_or(path).display();
    format!("mount what lies at {above}, or make it (mkdir -p {above}), or name another folder in {named_in}")
}

fn names(ids: &[ParticipantId]) -> String {
    ids.iter().map(ParticipantId::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_retryable_and_a_forbidden_one_is_not() {
        let error = |kind: io::ErrorKind| Error::QueueFolder {
            action: "write",
            path: PathBuf::from("queue"),
            source: kind.into(),
        };
        assert!(error(io::ErrorKind::StorageFull).is_retryable());
        assert!(!error(io::ErrorKind::PermissionDenied).is_retryable());
        let engine = |error: datafuse_engine::Error| Error::from(error).is_retryable();
        assert!(engine(datafuse_engine::Error::NoSpace { path: PathBuf::from("state") }));
        assert!(!engine(datafuse_engine::Error::NotParquet { path: PathBuf::from("data") }));
    }

    #[test]
    fn a_wrong_password_is_answered_with_the_flag_that_takes_one() {
        let error =
            Error::QueueRefused { place: "redis://db:6379".to_owned(), command: "XADD", code: "WRONGPASS".to_owned() };
        assert!(error.remedy().is_some_and(|text| text.contains("--redis")));
        assert!(!error.is_retryable());
    }
}
