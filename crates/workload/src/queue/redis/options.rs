//! Which Redis server is the queue, and how it is used as one.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use ulid::Ulid;

use crate::{
    error::{Error, Result},
    queue::stream::StreamName,
};

/// The address of a Redis server: `redis://[user[:password]@]host[:port][/database]`, or `rediss://` for TLS. Shown
/// without user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(url::Url);

impl RedisUrl {
    /// Gives the whole address, credentials included: for connecting, never for showing.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }

    /// Tells whether the connection is to use TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.0.scheme() == "rediss"
    }
}

impl FromStr for RedisUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |reason| Error::QueueLocation { origin: "the Redis URL", reason };
        let url = url::Url::parse(text).map_err(|_| wrong("it is not a URL"))?;
        if !matches!(url.scheme(), "redis" | "rediss") {
            return Err(wrong("its scheme is neither redis nor rediss"));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(wrong("it has no host"));
        }
        if url.fragment().is_some() {
            return Err(wrong("it has a part after '#'"));
        }
        Ok(Self(url))
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.0.host_str().unwrap_or_default();
        let port = self.0.port().unwrap_or(6379);
        write!(f, "{}://{host}:{port}{}", self.0.scheme(), self.0.path().trim_end_matches('/'))
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

/// How to use a Redis server as a queue.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    /// The server.
    pub url: RedisUrl,
    /// PEM certificates to trust instead of the system's, for `rediss://`.
    pub ca_file: Option<PathBuf>,
    /// The keys of the streams, most urgent first; dead letters of each go to its name with `:dead` behind it. Events are published
    /// in `events` where it is among them, else in the first.
    pub streams: Vec<StreamName>,
    /// The consumer group.
    pub group: String,
    /// This consumer's name in the group. Two living consumers must never share one; a process that starts again
    /// under its old name takes up at once what it had in hand.
    pub consumer: String,
    /// How long an event may idle in a consumer's hands before another takes it over.
    pub claim_after: Duration,
    /// How long a server that does not answer is tried again before an operation fails.
    pub patience: Duration,
}

impl RedisOptions {
    /// Gives the platform's names, a consumer name of this process's own, and times that suit a workload whose jobs may
    /// take long: heartbeats every 30 seconds, take-over after two minutes without one.
    #[must_use]
    pub fn new(url: RedisUrl) -> Self {
        Self {
            url,
            ca_file: None,
            streams: vec![StreamName::default()],
            group: "consummers".to_owned(),
            consumer: format!("{}{}", super::watch::OWN_PREFIX, Ulid::generate()),
            claim_after: crate::queue::DEFAULT_CLAIM_AFTER,
            patience: Duration::from_secs(10),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        let url: RedisUrl = "rediss://alice:hunter2@queue.example:6390/2?protocol=resp3".parse().unwrap();
        assert_eq!(url.to_string(), "rediss://queue.example:6390/2");
        assert!(!format!("{:?}", RedisOptions::new(url.clone())).contains("hunter2"));
        assert!(url.expose().contains("hunter2"));
        assert!(url.is_tls());
    }

    #[test]
    fn refuses_addresses_of_other_things_without_repeating_them() {
        for text in [
            "http://u:hunter2@host",
            "redis:hunter2",
            "redis://",
            "hunter2",
            "rediss://host:6379/#insecure",
            "redis://u:hunter2@host:port",
        ] {
            let error = text.parse::<RedisUrl>().unwrap_err();
            assert!(matches!(error, Error::QueueLocation { .. }), "{text}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{text}");
        }
    }
}
