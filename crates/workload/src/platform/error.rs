//! What can go wrong between the workload and the platform's services, and with what they say. No variant ever holds a
//! token, a key, a variable's value or a server's answer: services are named by their address without credentials,
//! connectors by their descriptor's id, settings by their name.

use std::{error::Error as StdError, fmt, io, path::PathBuf, time::Duration};

use datafuse_core::id::{DatasetId, ParticipantId};

use super::connector::RESERVED;

/// One of the platform's services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Service {
    /// Knows who takes part (`DV_URL`).
    ControlPlane,
    /// Signs and decrypts inside the environment (`SECRET_MANAGER_URL`).
    SecretManager,
    /// Takes log lines (`DV_LOKI`).
    LogServer,
    /// Gives the configuration of connectors, where that is no folder (`DATA_CONNECTOR_CONFIG_LOCATION`).
    Connectors,
}

impl Service {
    /// The variable that says where it is.
    #[must_use]
    pub fn variable(self) -> &'static str {
        match self {
            Self::ControlPlane => "DV_URL",
            Self::SecretManager => "SECRET_MANAGER_URL",
            Self::LogServer => "DV_LOKI",
            Self::Connectors => "DATA_CONNECTOR_CONFIG_LOCATION",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ControlPlane => "control plane",
            Self::SecretManager => "secret manager",
            Self::LogServer => "log server",
            Self::Connectors => "server of connector configurations",
        })
    }
}

/// Why a service did not do what was asked.
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
    #[error("no answer within {} s", limit.as_secs())]
    TimedOut {
        /// How long was waited.
        limit: Duration,
    },
    /// The connection ended in the middle.
    #[error("the connection broke off")]
    BrokenOff,
    /// It sends elsewhere, which is not followed.
    #[error("it redirects to another address (status {status})")]
    Redirects {
        /// The status.
        status: u16,
    },
    /// It answered with a status that is no success.
    #[error("it answered with status {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// It answered with more than is read.
    #[error("its answer is larger than {limit} bytes")]
    TooLarge {
        /// The most that is read.
        limit: usize,
    },
    /// It answered in another form than its documentation says.
    #[error("its answer {reason}")]
    Reply {
        /// What is wrong with the answer; never its content.
        reason: &'static str,
    },
    /// The system gives no thread to wait on.
    #[error("the system gives no thread to wait on")]
    NoThreads,
}

impl Trouble {
    /// Tells whether the same may succeed later without anybody changing a thing.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } | Self::BrokenOff | Self::NoThreads => true,
            Self::Status { status } => *status >= 500 || matches!(status, 408 | 425 | 429),
            Self::Redirects { .. } | Self::TooLarge { .. } | Self::Reply { .. } => false,
        }
    }

    /// Takes the error of an HTTP client; its own text may hold an address with a secret, so it is not used.
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

/// What is wrong with a connector's configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectorProblem {
    /// The descriptor names no connector.
    #[error("the descriptor names no connector")]
    NoConnector,
    /// The descriptor names a connector that is not read here.
    #[error("its kind is not one of File, S3, Gcs and Azure")]
    UnknownConnector,
    /// There is no configuration.
    #[error("there is no {}", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The configuration cannot be read.
    #[error("{} cannot be read: {}", path.display(), io::Error::from(*kind))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        kind: io::ErrorKind,
    },
    /// The configuration is larger than any real one.
    #[error("its configuration is larger than {limit} bytes")]
    TooLarge {
        /// The most that is read.
        limit: u64,
    },
    /// The configuration is not JSON.
    #[error("its configuration is not valid JSON (line {line}, column {column})")]
    NotJson {
        /// Line of the first fault, from 1.
        line: usize,
        /// Column of the first fault, from 1.
        column: usize,
    },
    /// The configuration lacks its object of settings.
    #[error("its configuration has no object 'connectorKeys'")]
    NoKeys,
    /// A setting is not a text.
    #[error("'{key}' is not a text")]
    NotText {
        /// The setting.
        key: &'static str,
    },
    /// A setting that has to be there is not.
    #[error("'{key}' is missing")]
    KeyMissing {
        /// The setting.
        key: &'static str,
    },
    /// A setting needs another one beside it.
    #[error("'{key}' is given without '{other}'")]
    KeyAlone {
        /// The setting that is there.
        key: &'static str,
        /// The one that is not.
        other: &'static str,
    },
    /// A setting refers to a variable that is not set.
    #[error("'{key}' refers to the environment variable {name}, which is not set")]
    VariableMissing {
        /// The setting.
        key: &'static str,
        /// The variable.
        name: String,
    },
    /// A setting refers to a variable that is the workload's own.
    #[error("'{key}' refers to the environment variable {name}, which is the workload's own")]
    VariableReserved {
        /// The setting.
        key: &'static str,
        /// The variable.
        name: String,
    },
    /// A setting has a variable in the middle of other text.
    #[error("'{key}' has ${{...}} within other text")]
    VariableWithin {
        /// The setting.
        key: &'static str,
    },
    /// The format is none that is read.
    #[error("'file_format' is not one of csv, json and parquet")]
    Format,
    /// The key of encrypted Parquet has a wrong length.
    #[error("'encryption_key' has {characters} characters")]
    EncryptionKey {
        /// How many it has.
        characters: usize,
    },
    /// A setting does not say where the data lies.
    #[error("'{key}' {reason}")]
    Place {
        /// The setting.
        key: &'static str,
        /// What is wrong with it; never its value.
        reason: &'static str,
    },
    /// A path leads out of the folder that connectors may read.
    #[error("'{key}' leads out of {}", folder.display())]
    OutsideFolder {
        /// The setting.
        key: &'static str,
        /// The folder.
        folder: PathBuf,
    },
}

impl ConnectorProblem {
    /// Says what to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::NoConnector | Self::UnknownConnector => {
                "a connector File, S3, Gcs or Azure for the descriptor, in the platform's console".to_owned()
            }
            Self::Missing { .. } => {
                "have the data holder configure its connector, or set DATA_CONNECTOR_CONFIG_LOCATION to where the files are; \
                 the event is tried again"
                    .to_owned()
            }
            Self::Unreadable { path, .. } => format!("give the workload's user the right to read {}", path.display()),
            Self::TooLarge { .. } | Self::NotJson { .. } | Self::NoKeys => {
                r#"{"connectorKeys": {"location": "...", "file_format": "parquet", ...}}"#.to_owned()
            }
            Self::NotText { key } => format!(r#""{key}": "...""#),
            Self::KeyMissing { key } => format!("give '{key}' in the connector's configuration"),
            Self::KeyAlone { other, .. } => format!("give '{other}' too, or neither of them for a public bucket"),
            Self::VariableMissing { name, .. } => format!("set {name} for the workload's process, or in DOTENV_FILE"),
            Self::VariableReserved { .. } => {
                format!("a variable of another name: connectors get none that begins with {}", RESERVED.join(", "))
            }
            Self::VariableWithin { key } => format!(r#""{key}": "${{NAME}}", with the whole value in the variable"#),
            Self::Format => r#""file_format": "csv", "json" or "parquet""#.to_owned(),
            Self::EncryptionKey { .. } => "the AES key of the file as 32 characters (16 and 24 are taken, too)".to_owned(),
            Self::Place { key, .. } => match *key {
                "location" => "s3://BUCKET/PATH, gs://BUCKET/PATH or az://CONTAINER/PATH, as the connector's kind".to_owned(),
                "schema" => "name the models in the descriptor's schema with letters, digits, '_', '-' and '.'".to_owned(),
                _ => "an http(s) address, or a path below the folder of connectors".to_owned(),
            },
            Self::OutsideFolder { .. } => {
                "put the file below that folder, or set DATAFUSE_CONNECTOR_FILES to the folder of the holders' files".to_owned()
            }
        }
    }
}

/// Why something that needs the platform could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlatformError {
    /// A service did not do what was asked.
    #[error("the {service} at {place}: {trouble}")]
    Service {
        /// Which.
        service: Service,
        /// Its address, without credentials.
        place: String,
        /// Why.
        trouble: Trouble,
    },
    /// A variable that the platform sets is missing.
    #[error("{name} is not set, and {needed_for}")]
    NotSet {
        /// The variable.
        name: &'static str,
        /// What it is for.
        needed_for: &'static str,
    },
    /// Two accepted collaborators have the same name here.
    #[error("two collaborators of the space are both '{participant}' in the agreement")]
    CollaboratorTwice {
        /// The name.
        participant: ParticipantId,
    },
    /// A data holder that an event names has not accepted the invitation.
    #[error("'{holder}' has not accepted the invitation to this space")]
    NotAccepted {
        /// The holder.
        holder: ParticipantId,
    },
    /// The id of a descriptor cannot stand in a file name.
    #[error("a data descriptor of '{holder}' has an id that cannot stand in a file name")]
    DescriptorId {
        /// The holder.
        holder: ParticipantId,
    },
    /// The schema of a descriptor is neither an object nor the JSON text of one.
    #[error("the schema of data descriptor {descriptor} of '{holder}' is not a JSON object")]
    DescriptorSchema {
        /// The holder.
        holder: ParticipantId,
        /// The descriptor's id.
        descriptor: String,
    },
    /// None of a holder's descriptors is one of its datasets in the agreement.
    #[error(
        "no data descriptor of '{holder}' is one of its datasets: the agreement has {}, the platform {}",
        listed(datasets),
        listed(descriptors)
    )]
    NoDescriptor {
        /// The holder.
        holder: ParticipantId,
        /// Its datasets in the agreement.
        datasets: Vec<String>,
        /// Ids of its descriptors on the platform.
        descriptors: Vec<String>,
    },
    /// Two descriptors of a holder are the same dataset.
    #[error("two data descriptors of '{holder}' are both dataset '{dataset}'")]
    DescriptorTwice {
        /// The holder.
        holder: ParticipantId,
        /// The dataset.
        dataset: DatasetId,
    },
    /// A connector's configuration cannot be used.
    #[error("the connector of data descriptor {descriptor} of '{holder}': {problem}")]
    Connector {
        /// The holder.
        holder: ParticipantId,
        /// The descriptor's id.
        descriptor: String,
        /// What is wrong.
        problem: ConnectorProblem,
    },
    /// The agreement does not allow a table in the place of a protected dataset.
    #[error(
        "the connector of dataset '{dataset}' of '{holder}' has an encryption_key, so it is a table, and the agreement allows \
         a protected dataset only"
    )]
    TableNotAllowed {
        /// The holder.
        holder: ParticipantId,
        /// The dataset.
        dataset: DatasetId,
    },
    /// A location stands for several files, and none is the dataset that is matched.
    #[error(
        "the location of dataset '{dataset}' of '{holder}' has {{model}}, and none of several models is named '{dataset}'"
    )]
    WhichModel {
        /// The holder.
        holder: ParticipantId,
        /// The dataset.
        dataset: DatasetId,
    },
    /// A sealed passphrase, or something else to be decrypted or signed, is larger than is sent.
    #[error("{bytes} bytes are more than the secret manager is sent ({limit})")]
    TooLargeToSend {
        /// Its size.
        bytes: usize,
        /// The most.
        limit: usize,
    },
}

impl PlatformError {
    /// Tells whether the same may succeed later without anybody changing the workload's settings.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Service { trouble, .. } => trouble.is_retryable(),
            Self::Connector { problem, .. } => matches!(problem, ConnectorProblem::Missing { .. }),
            Self::NotAccepted { .. } => true,
            _ => false,
        }
    }

    /// Gives the error's class: a short fixed name for audit lines, dead letters and metrics.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Service { service, .. } => match service {
                Service::ControlPlane => "control-plane",
                Service::SecretManager => "secret-manager",
                Service::LogServer => "log-server",
                Service::Connectors => "connector-server",
            },
            Self::NotSet { .. } => "environment",
            Self::CollaboratorTwice { .. } => "collaborator-twice",
            Self::NotAccepted { .. } => "not-accepted",
            Self::DescriptorId { .. } => "descriptor-id",
            Self::DescriptorSchema { .. } => "descriptor-schema",
            Self::NoDescriptor { .. } => "no-descriptor",
            Self::DescriptorTwice { .. } => "descriptor-twice",
            Self::Connector { .. } => "connector",
            Self::TableNotAllowed { .. } => "table-not-allowed",
            Self::WhichModel { .. } => "which-model",
            Self::TooLargeToSend { .. } => "too-large-to-send",
        }
    }

    /// Gives what to do about it, where there is something to do: the text after "Try:".
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::Service { service, trouble, .. } => {
                let variable = service.variable();
                match trouble {
                    Trouble::Unreachable { .. } | Trouble::TimedOut { .. } | Trouble::BrokenOff => {
                        format!("check {variable} and the network; what failed is tried again")
                    }
                    Trouble::Status { status: 401 | 403 } if *service == Service::ControlPlane => {
                        "DV_TOKEN with a token that is valid for the space of DV_APP_ID".to_owned()
                    }
                    Trouble::Status { status: 404 } if *service == Service::ControlPlane => {
                        "DV_URL with the base address of the API, and DV_APP_ID with the space's id there".to_owned()
                    }
                    Trouble::Status { status: 500.. } => {
                        format!("ask who operates the {service}; what failed is tried again")
                    }
                    Trouble::Redirects { .. } => format!("{variable} with the address that it redirects to"),
                    Trouble::NoThreads => "raise the process limits".to_owned(),
                    _ => format!("{variable} with the address of the platform's {service}"),
                }
            }
            Self::NotSet { name, .. } => format!("set {name}, as the platform does"),
            Self::CollaboratorTwice { .. } => "client ids that differ in more than capitals".to_owned(),
            Self::NotAccepted { holder } => {
                format!("have '{holder}' accept it on the platform, or leave it out with --holders")
            }
            Self::DescriptorId { .. } => "an id of letters, digits, '_', '-' and '.'".to_owned(),
            Self::DescriptorSchema { .. } => r#"{"MODEL": {"type": "table", "fields": {...}}}"#.to_owned(),
            Self::NoDescriptor { .. } | Self::DescriptorTwice { .. } => {
                "give each descriptor the id or the name of one dataset in the agreement".to_owned()
            }
            Self::Connector { problem, .. } => problem.remedy(),
            Self::TableNotAllowed { dataset, .. } => format!(
                "write 'table: {{}}' at dataset '{dataset}' in the agreement, or have the holder deliver what datafuse protect made \
                 and no encryption_key"
            ),
            Self::WhichModel { dataset, .. } => {
                format!("name the model with the tokens '{dataset}', or give the location without {{model}}")
            }
            Self::TooLargeToSend { .. } => "seal or sign less: a passphrase, or a digest".to_owned(),
        };
        Some(text)
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// The innermost cause: an error of the system, of a name server or of TLS, which hold no address.
fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    plain(&cause.to_string())
}

/// Words from elsewhere as they may be shown: one line of printable ASCII, at most 80 characters.
pub(crate) fn plain(text: &str) -> String {
    const SHOWN: usize = 80;
    let printable = text.chars().map(|c| if c.is_ascii_graphic() { c } else { ' ' });
    let spaced: String = printable.take(4 * SHOWN).collect();
    spaced.split_ascii_whitespace().collect::<Vec<_>>().join(" ").chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(service: Service, status: u16) -> PlatformError {
        PlatformError::Service { service, place: "https://api.example/".into(), trouble: Trouble::Status { status } }
    }

    #[test]
    fn a_server_that_is_down_is_tried_again_and_a_token_that_is_refused_is_not() {
        for status in [500, 502, 503, 429, 408] {
            assert!(answered(Service::ControlPlane, status).is_retryable(), "{status}");
        }
        for status in [301, 400, 401, 403, 404] {
            assert!(!answered(Service::ControlPlane, status).is_retryable(), "{status}");
        }
    }

    #[test]
    fn a_refused_token_is_answered_with_the_variable_that_holds_it() {
        let remedy = answered(Service::ControlPlane, 401).remedy();
        assert!(remedy.is_some_and(|remedy| remedy.contains("DV_TOKEN")));
        let remedy = answered(Service::LogServer, 401).remedy();
        assert!(remedy.is_some_and(|remedy| remedy.contains("DV_LOKI")));
    }

    #[test]
    fn words_from_elsewhere_become_one_short_line() {
        assert_eq!(plain(" a\r\n\x1b[31mb\u{202e}c  "), "a [31mb c");
        assert_eq!(plain(&"x".repeat(10_000)).len(), 80);
    }
}
