//! One connection to a Redis server that comes back after it was lost. Commands go in, the protocol's values come out;
//! errors come out without the server's text, which may repeat an event or a password.

use std::{error::Error as StdError, fs, io, sync::Arc, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, IntoConnectionInfo, Pipeline, ProtocolVersion, RedisError,
    RedisResult, RetryMethod, TlsCertificates, Value, aio::MultiplexedConnection,
};
use tokio::{sync::Mutex, time::Instant};

use super::RedisOptions;
use crate::{
    backoff::Backoff,
    error::{Error, Result},
};

/// How long the server may take to accept a connection, and to answer a command beyond the time it was told to wait.
const ANSWER: Duration = Duration::from_secs(5);

/// The pauses between attempts to connect: doubled from the first to the last, and spread.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// Prepares the client: address, protocol version, TLS.
pub(super) fn client(options: &RedisOptions) -> Result<Client> {
    let wrong = |_| Error::QueueLocation { origin: "the Redis URL", reason: "the Redis client does not understand it" };
    let info = options.url.expose().into_connection_info().map_err(wrong)?;
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP2);
    let info = info.set_redis_settings(settings);
    if !options.url.is_tls() {
        return Client::open(info).map_err(wrong);
    }
    // Another part of the process may have installed a provider already; whichever it is, it serves.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let Some(path) = &options.ca_file else {
        return Client::open(info).map_err(wrong);
    };
    let unusable = |reason: String| Error::CaFile { path: path.clone(), reason };
    let certificates = fs::read(path).map_err(|e| unusable(format!("cannot be read: {e}")))?;
    if !certificates.windows(b"-----BEGIN CERTIFICATE-----".len()).any(|w| w == b"-----BEGIN CERTIFICATE-----") {
        return Err(unusable("holds no PEM certificate".to_owned()));
    }
    Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert: Some(certificates) })
        .map_err(|_| unusable("holds a certificate that cannot be used".to_owned()))
}

/// Gives the code with which the server refused a command.
pub(super) fn code_of(error: &Error) -> Option<&str> {
    match error {
        Error::QueueRefused { code, .. } => Some(code),
        _ => None,
    }
}

/// What can be sent: one command, or several in a transaction.
pub(super) trait Request: Sync {
    /// Sends it and waits for the answer.
    fn send(&self, connection: MultiplexedConnection) -> impl Future<Output = RedisResult<Value>> + Send;
}

impl Request for Cmd {
    async fn send(&self, mut connection: MultiplexedConnection) -> RedisResult<Value> {
        self.query_async(&mut connection).await
    }
}

impl Request for Pipeline {
    async fn send(&self, mut connection: MultiplexedConnection) -> RedisResult<Value> {
        self.query_async(&mut connection).await
    }
}

/// One connection, made when first needed and again after each loss.
pub(super) struct Link {
    client: Client,
    place: String,
    name: String,
    patience: Duration,
    connection: Mutex<Connection>,
}

#[derive(Default)]
struct Connection {
    current: Option<MultiplexedConnection>,
    /// Counts the connections made, so that a late failure of an old one does not end a newer one.
    generation: u64,
}

impl Link {
    /// Prepares a link. `name` is what the server lists the connection under, `patience` how long a lost connection is
    /// sought.
    pub(super) fn new(client: Client, place: String, name: &str, patience: Duration) -> Self {
        Self { client, place, name: name.to_owned(), patience, connection: Mutex::default() }
    }

    /// Runs a request that may safely run twice, connecting again as often as patience allows.
    pub(super) async fn run(&self, command: &'static str, request: &impl Request) -> Result<Value> {
        let deadline = Instant::now() + self.patience;
        let mut backoff = Backoff::new(FIRST_PAUSE, LAST_PAUSE);
        loop {
            let error = match self.run_once(command, request, Duration::ZERO).await {
                Err(error) if error.is_retryable() => error,
                result => return result,
            };
            let pause = backoff.pause();
            if Instant::now() + pause > deadline {
                return Err(error);
            }
            tracing::warn!(%error, "waiting for the queue");
            tokio::time::sleep(pause).await;
        }
    }

    /// Runs a request once. The server may take `wait` longer than usual to answer.
    pub(super) async fn run_once(
        &self,
        command: &'static str,
        request: &impl Request,
        wait: Duration,
    ) -> Result<Value> {
        let (mut connection, generation) = self.connect().await?;
        connection.set_response_timeout(ANSWER + wait);
        match request.send(connection).await {
            Ok(value) => Ok(value),
            Err(error) => {
                let error = self.explain(command, &error);
                if error.is_retryable() {
                    self.forget(generation).await;
                }
                Err(error)
            }
        }
    }

    /// Tells whether there is a connection, as far as is known.
    pub(super) async fn is_open(&self) -> bool {
        self.connection.lock().await.current.is_some()
    }

    /// Gives the connection, made now if there is none.
    async fn connect(&self) -> Result<(MultiplexedConnection, u64)> {
        let mut state = self.connection.lock().await;
        if let Some(connection) = &state.current {
            return Ok((connection.clone(), state.generation));
        }
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(ANSWER)).set_response_timeout(Some(ANSWER));
        let mut connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(|error| self.explain("connecting", &error))?;
        // Only so that an operator can tell connections apart; not every user may do it.
        let _: RedisResult<()> = redis::cmd("CLIENT").arg("SETNAME").arg(&self.name).query_async(&mut connection).await;
        state.generation += 1;
        state.current = Some(connection.clone());
        Ok((connection, state.generation))
    }

    async fn forget(&self, generation: u64) {
        let mut state = self.connection.lock().await;
        if state.generation == generation {
            state.current = None;
        }
    }

    fn explain(&self, command: &'static str, error: &RedisError) -> Error {
        let place = self.place.clone();
        if matches!(error.kind(), ErrorKind::Io | ErrorKind::Parse) {
            // The client's text for these comes from the operating system or from the TLS library.
            let reason = match error.kind() {
                ErrorKind::Io => error.to_string(),
                _ => "the connection broke within an answer".to_owned(),
            };
            return match is_distrust(error) {
                true => Error::QueueTls { place, reason },
                false => Error::QueueUnreachable { place, reason },
            };
        }
        if matches!(error.retry_method(), RetryMethod::WaitAndRetry) {
            return Error::QueueUnreachable {
                place,
                reason: format!("the server is not ready ({})", error.category()),
            };
        }
        let code = error.code().unwrap_or_else(|| error.category()).to_owned();
        Error::QueueRefused { place, command, code }
    }
}

/// Tells whether the TLS library refused the server: trying again will not help.
fn is_distrust(error: &RedisError) -> bool {
    // The client keeps its cause behind a counted pointer, which is an error of its own in the chain.
    type Shared = Arc<dyn StdError + Send + Sync>;
    let source = error.source();
    let cause = match source.and_then(|source| source.downcast_ref::<Shared>()) {
        Some(shared) => Some(&**shared as &(dyn StdError + 'static)),
        None => source,
    };
    cause
        .and_then(|cause| cause.downcast_ref::<io::Error>())
        .and_then(io::Error::get_ref)
        .is_some_and(|inner| inner.is::<rustls::Error>())
}
