//! What the platform tells its workloads through environment variables, and which queue follows from it. Variables come
//! in through a function, so that nothing here depends on the process; `docs/platform.md` has the table.
//!
//! Unset and empty are the same. The rooms below talk to what the variables name:
//!
//! | module | talks to |
//! | --- | --- |
//! | [`control_plane`] | the control plane: who takes part, the space's public key |
//! | [`connector`] | the configurations of data holders' connectors |
//! | [`secret_manager`] | the secret manager: sign, decrypt |
//! | [`log_push`] | the log server |
//! | [`error`] | what can go wrong with them |

mod client;
pub mod connector;
pub mod control_plane;
pub mod error;
pub mod log_push;
pub mod secret_manager;
mod variables;

use std::{
    collections::HashMap,
    env, fmt,
    path::{Path, PathBuf},
};

use url::Url;
use zeroize::Zeroizing;

use crate::{
    error::{Error, Result},
    queue::{QueueChoice, RedisUrl},
};

pub use client::Patience;
pub use control_plane::ControlPlane;
pub use error::PlatformError;
pub use secret_manager::{PlatformSigner, SecretManager};
pub use variables::Variables;

/// A value that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Keeps a value from being shown.
    #[must_use]
    pub fn new(value: Zeroizing<String>) -> Self {
        Self(value)
    }

    /// Gives the value, for sending it where it belongs.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Where log lines go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LogSink {
    /// Standard output.
    Stdout,
    /// Standard error.
    #[default]
    Stderr,
    /// A log server's base URL: lines are pushed to it, and written to standard error as well.
    Server(Url),
}

/// From which severity on log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// What happens.
    #[default]
    Info,
    /// What should not be.
    Warning,
    /// What failed.
    Error,
}

impl LogLevel {
    /// Gives the corresponding level of `tracing`.
    #[must_use]
    pub fn as_tracing(self) -> tracing::Level {
        match self {
            Self::Debug => tracing::Level::DEBUG,
            Self::Info => tracing::Level::INFO,
            Self::Warning => tracing::Level::WARN,
            Self::Error => tracing::Level::ERROR,
        }
    }
}

/// The platform's environment variables, read and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Environment {
    /// `DV_APP_ID`: the collaboration space's id. Set means: on the platform.
    pub app_id: Option<String>,
    /// `DV_CLIENT_ID`: the id of the space's owner.
    pub client_id: Option<String>,
    /// `DV_URL`: the control plane's base URL.
    pub control_plane: Option<Url>,
    /// `DV_TOKEN`: the control plane's bearer token.
    pub token: Option<Secret>,
    /// `DV_CAGE_ID`: the id of the confidential environment.
    pub cage_id: Option<String>,
    /// `DV_LOKI`: `STDOUT`, `STDERR`, or the log server's base URL.
    pub log_sink: LogSink,
    /// `LOGLEVEL`: DEBUG, INFO, WARNING or ERROR.
    pub log_level: LogLevel,
    /// `DAEMON`: keep listening instead of ending after one event. None if the variable is not set.
    pub daemon: Option<bool>,
    /// `REDIS_SERVICE_HOST`: the event queue's host. None if the variable is not set.
    pub redis_host: Option<String>,
    /// `REDIS_SERVICE_PORT`: the event queue's port.
    pub redis_port: u16,
    /// `TLS_CAFILE`: the certificates to trust for the event queue.
    pub tls_ca_file: Option<PathBuf>,
    /// `SECRET_MANAGER_URL`: signs and decrypts inside the environment.
    pub secret_manager: Url,
    /// `DATA_CONNECTOR_CONFIG_LOCATION`: a folder, or an http base, with the connectors' configuration.
    pub connector_configuration: String,
    /// `DATA_USER_OUTPUT_LOCATION`: the folder for the data user's outputs. None if the variable is not set.
    pub user_output: Option<PathBuf>,
    /// `DATAFUSE_CONNECTOR_FILES`: the folder below which the files of connectors lie.
    pub connector_files: PathBuf,
    /// What connectors may refer to by `${NAME}`.
    pub variables: Variables,
}

impl Environment {
    /// Where the platform expects the data user's outputs unless it says otherwise.
    pub const DEFAULT_USER_OUTPUT: &str = "/resources/outputs";

    /// Reads the variables of this process, and those of the file that `DOTENV_FILE` names; the process's come first.
    ///
    /// # Errors
    /// [`Error::Environment`] and [`Error::DotenvFile`].
    pub fn from_process() -> Result<Self> {
        let process = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let file = match process("DOTENV_FILE") {
            Some(path) => read_dotenv(Path::new(&path))?,
            None => HashMap::new(),
        };
        let environment = Self::from_source(|name| process(name).or_else(|| file.get(name).cloned()))?;
        Ok(Self { variables: Variables::of_process(file), ..environment })
    }

    /// Reads the variables from a function that gives the value of a name.
    ///
    /// # Errors
    /// [`Error::Environment`], naming the variable that does not have the form it must have.
    pub fn from_source(source: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let text = |name: &'static str| source(name).filter(|value| !value.trim().is_empty());
        let wrong = |name, expected| Error::Environment { name, expected };
        let http = |name: &'static str, value: &str| match Url::parse(value) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
            _ => Err(wrong(name, "an http or https URL")),
        };
        let log_sink = match text("DV_LOKI").as_deref() {
            None => LogSink::default(),
            Some("STDOUT") => LogSink::Stdout,
            Some("STDERR") => LogSink::Stderr,
            Some(url) => LogSink::Server(
                http("DV_LOKI", url).map_err(|_| wrong("DV_LOKI", "STDOUT, STDERR, or an http or https URL"))?,
            ),
        };
        let upper = |name| text(name).map(|value| value.trim().to_ascii_uppercase());
        let log_level = match upper("LOGLEVEL").as_deref() {
            None => LogLevel::default(),
            Some("DEBUG") => LogLevel::Debug,
            Some("INFO") => LogLevel::Info,
            Some("WARNING" | "WARN") => LogLevel::Warning,
            Some("ERROR" | "CRITICAL") => LogLevel::Error,
            Some(_) => return Err(wrong("LOGLEVEL", "DEBUG, INFO, WARNING or ERROR")),
        };
        let daemon = match upper("DAEMON").as_deref() {
            None => None,
            Some("TRUE" | "1" | "YES" | "ON") => Some(true),
            Some("FALSE" | "0" | "NO" | "OFF") => Some(false),
            Some(_) => return Err(wrong("DAEMON", "true or false")),
        };
        let redis_port = match text("REDIS_SERVICE_PORT") {
            None => 6379,
            Some(port) => match port.trim().parse() {
                Ok(port) if port != 0 => port,
                _ => return Err(wrong("REDIS_SERVICE_PORT", "a port number")),
            },
        };
        let secret_manager = text("SECRET_MANAGER_URL").unwrap_or_else(|| "http://secret-manager".to_owned());
        Ok(Self {
            app_id: text("DV_APP_ID"),
            client_id: text("DV_CLIENT_ID"),
            control_plane: text("DV_URL").map(|url| http("DV_URL", &url)).transpose()?,
            token: text("DV_TOKEN").map(|token| Secret(Zeroizing::new(token.trim().to_owned()))),
            cage_id: text("DV_CAGE_ID"),
            log_sink,
            log_level,
            daemon,
            redis_host: text("REDIS_SERVICE_HOST"),
            redis_port,
            tls_ca_file: text("TLS_CAFILE").map(PathBuf::from),
            secret_manager: http("SECRET_MANAGER_URL", &secret_manager)?,
            connector_configuration: text("DATA_CONNECTOR_CONFIG_LOCATION")
                .unwrap_or_else(|| "/resources/data".to_owned()),
            user_output: text("DATA_USER_OUTPUT_LOCATION").map(PathBuf::from),
            connector_files: text("DATAFUSE_CONNECTOR_FILES").map_or_else(|| "/resources".into(), PathBuf::from),
            variables: Variables::default(),
        })
    }

    /// Tells whether the platform started this process.
    #[must_use]
    pub fn is_platform(&self) -> bool {
        self.app_id.is_some()
    }

    /// Gives the namespace under which the platform files this environment's log lines.
    #[must_use]
    pub fn log_namespace(&self) -> Option<String> {
        self.cage_id.as_ref().map(|id| format!("app-{id}"))
    }

    /// Gives the address of the platform's event queue. It speaks TLS on the platform, and wherever a CA file is given.
    ///
    /// # Errors
    /// [`Error::Environment`] if `REDIS_SERVICE_HOST` is not a host.
    pub fn redis_url(&self) -> Result<RedisUrl> {
        let scheme = match self.is_platform() || self.tls_ca_file.is_some() {
            true => "rediss",
            false => "redis",
        };
        let host = self.redis_host.as_deref().unwrap_or("localhost").trim();
        let port = self.redis_port;
        let bad_host = |_| Error::Environment { name: "REDIS_SERVICE_HOST", expected: "a host name or an IP address" };
        // Anything that would turn into another part of a URL is no host.
        if host.contains(['/', '@', '?', '#', '\\']) {
            return Err(bad_host(()));
        }
        let address = match host.contains(':') && !host.starts_with('[') {
            true => format!("{scheme}://[{host}]:{port}"),
            false => format!("{scheme}://{host}:{port}"),
        };
        address.parse().map_err(|_: Error| bad_host(()))
    }
}

/// Decides which queue to use: the one that `--redis` names, or the `redis://` of the space file; else, on the platform
/// or with `REDIS_SERVICE_HOST` set, the Redis server there; else the embedded one in the folder that the space file
/// names.
///
/// # Errors
/// [`Error::QueueLocation`] or [`Error::Environment`], naming what does not say where a queue is.
pub fn which_queue(redis_argument: Option<&str>, space_queue: &str, environment: &Environment) -> Result<QueueChoice> {
    let redis = |url| QueueChoice::Redis { url, ca_file: environment.tls_ca_file.clone() };
    let at = |origin, text: &str| {
        let url = text.parse::<RedisUrl>();
        url.map_err(|error| match error {
            Error::QueueLocation { reason, .. } => Error::QueueLocation { origin, reason },
            other => other,
        })
    };
    if let Some(argument) = redis_argument {
        return Ok(redis(at("--redis", argument)?));
    }
    const SPACE_FILE: &str = "'queue' in the space file";
    if space_queue.contains("://") {
        return Ok(redis(at(SPACE_FILE, space_queue)?));
    }
    if environment.is_platform() || environment.redis_host.is_some() {
        return Ok(redis(environment.redis_url()?));
    }
    if space_queue.is_empty() {
        return Err(Error::QueueLocation { origin: SPACE_FILE, reason: "it is empty" });
    }
    Ok(QueueChoice::Embedded { folder: PathBuf::from(space_queue) })
}

/// Reads a file of `NAME=VALUE` lines, without touching the process's own variables.
fn read_dotenv(path: &Path) -> Result<HashMap<String, String>> {
    let wrong = |reason: String| Error::DotenvFile { path: path.to_owned(), reason };
    // The library's messages repeat the line at fault, which may hold a token.
    let explain = |error: dotenvy::Error| match error {
        dotenvy::Error::Io(error) => wrong(format!("cannot be read: {error}")),
        _ => wrong("has a line that is not NAME=VALUE".to_owned()),
    };
    dotenvy::from_path_iter(path).map_err(explain)?.collect::<Result<_, _>>().map_err(explain)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Result<Environment> {
        Environment::from_source(|name| {
            let found = pairs.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn chosen(argument: Option<&str>, space: &str, pairs: &[(&str, &str)]) -> String {
        match which_queue(argument, space, &environment(pairs).unwrap()).unwrap() {
            QueueChoice::Redis { url, ca_file } => match ca_file {
                Some(path) => format!("{url} trusting {}", path.display()),
                None => url.to_string(),
            },
            QueueChoice::Embedded { folder } => folder.display().to_string(),
        }
    }

    #[test]
    fn nothing_set_gives_the_defaults() {
        let environment = environment(&[("DV_APP_ID", ""), ("DAEMON", " ")]).unwrap();
        assert!(!environment.is_platform());
        assert_eq!(environment.daemon, None);
        assert_eq!(environment.log_level, LogLevel::Info);
        assert_eq!(environment.log_sink, LogSink::Stderr);
        assert_eq!(environment.redis_port, 6379);
        assert_eq!(environment.secret_manager.as_str(), "http://secret-manager/");
        assert_eq!(environment.connector_configuration, "/resources/data");
        assert_eq!(environment.user_output, None);
        assert_eq!(environment.log_namespace(), None);
    }

    #[test]
    fn reads_what_the_platform_sets() {
        let environment = environment(&[
            ("DV_APP_ID", "space-1"),
            ("DV_CLIENT_ID", "owner-1"),
            ("DV_URL", "https://api.example.org/v1"),
            ("DV_TOKEN", "hunter2"),
            ("DV_CAGE_ID", "c7"),
            ("DV_LOKI", "http://loki:3100"),
            ("LOGLEVEL", "warning"),
            ("DAEMON", "True"),
            ("DATA_USER_OUTPUT_LOCATION", "/out"),
        ])
        .unwrap();
        assert!(environment.is_platform());
        assert_eq!(environment.daemon, Some(true));
        assert_eq!(environment.log_level, LogLevel::Warning);
        assert_eq!(environment.log_namespace().as_deref(), Some("app-c7"));
        assert_eq!(environment.user_output, Some(PathBuf::from("/out")));
        assert!(matches!(environment.log_sink, LogSink::Server(_)));
        assert_eq!(environment.token.as_ref().unwrap().expose(), "hunter2");
        assert!(!format!("{environment:?}").contains("hunter2"));
    }

    #[test]
    fn names_the_variable_that_is_wrong_and_not_its_value() {
        for name in ["DV_URL", "DV_LOKI", "LOGLEVEL", "DAEMON", "REDIS_SERVICE_PORT", "SECRET_MANAGER_URL"] {
            let error = environment(&[(name, "hunter2")]).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
            assert!(error.remedy().unwrap().contains(name), "{error}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error}");
        }
        assert!(environment(&[("REDIS_SERVICE_PORT", "0")]).is_err());
        assert!(environment(&[("REDIS_SERVICE_PORT", "65536")]).is_err());
    }

    #[test]
    fn the_argument_comes_before_everything() {
        let platform = [("DV_APP_ID", "space-1")];
        assert_eq!(chosen(Some("redis://a:1"), "redis://b:2", &platform), "redis://a:1");
        assert_eq!(chosen(Some("redis://a:1"), "queue", &[]), "redis://a:1");
    }

    #[test]
    fn the_space_files_server_comes_before_the_platforms() {
        let platform = [("DV_APP_ID", "space-1"), ("TLS_CAFILE", "/ca.pem")];
        assert_eq!(chosen(None, "rediss://b:2/3", &platform), "rediss://b:2/3 trusting /ca.pem");
    }

    #[test]
    fn the_platforms_server_comes_before_the_folder_and_speaks_tls() {
        assert_eq!(chosen(None, "queue", &[("DV_APP_ID", "space-1")]), "rediss://localhost:6379");
        let here = [("REDIS_SERVICE_HOST", "db"), ("REDIS_SERVICE_PORT", "7000")];
        assert_eq!(chosen(None, "queue", &here), "redis://db:7000");
        let tls = [("REDIS_SERVICE_HOST", "db"), ("TLS_CAFILE", "/ca.pem")];
        assert_eq!(chosen(None, "queue", &tls), "rediss://db:6379 trusting /ca.pem");
        assert_eq!(chosen(None, "queue", &[("REDIS_SERVICE_HOST", "fd00::7")]), "redis://[fd00::7]:6379");
    }

    #[test]
    fn else_the_folder() {
        assert_eq!(chosen(None, "queue", &[]), "queue");
        assert_eq!(chosen(None, "/var/queue", &[("REDIS_SERVICE_PORT", "7000")]), "/var/queue");
    }

    #[test]
    fn what_is_no_queue_is_refused_with_its_origin() {
        let nothing = environment(&[]).unwrap();
        let error = which_queue(Some("queue"), "queue", &nothing).unwrap_err();
        assert!(error.to_string().starts_with("--redis"), "{error}");
        let error = which_queue(None, "amqp://u:hunter2@mq", &nothing).unwrap_err();
        assert!(error.to_string().contains("space file"), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(which_queue(None, "", &nothing).is_err());
        for host in ["a/b", "u@h", "h#x", "h?x", "a b"] {
            let odd = environment(&[("REDIS_SERVICE_HOST", host)]).unwrap();
            let error = which_queue(None, "queue", &odd).unwrap_err();
            assert!(matches!(error, Error::Environment { .. }), "{host}: {error}");
        }
    }

    #[test]
    fn a_dotenv_file_is_read_and_its_faults_stay_silent_about_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("env");
        std::fs::write(&path, "# x\nDV_TOKEN=\"hunter2\"\nexport DAEMON=true\n").unwrap();
        let read = read_dotenv(&path).unwrap();
        assert_eq!(read["DV_TOKEN"], "hunter2");
        assert_eq!(read["DAEMON"], "true");
        std::fs::write(&path, "DV_TOKEN=\"hunter2\n").unwrap();
        let error = read_dotenv(&path).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        assert!(read_dotenv(&folder.path().join("absent")).is_err());
    }
}
