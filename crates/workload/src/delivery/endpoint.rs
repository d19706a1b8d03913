//! Delivery to an endpoint: one POST of the signed envelope, which carries the report.
//!
//! ```text
//! POST <place>
//! Content-Type: application/vnd.dsse.envelope.v1+json    application/vnd.age where it is encrypted
//! Idempotency-Key: <event>        the same at every attempt
//! DataFuse-Event: <event>
//! DataFuse-Event-Type: <type>
//! Authorization: Bearer <token>   where the operator gave one
//! ```
//!
//! | answer | means |
//! | --- | --- |
//! | 2xx | delivered |
//! | 409 with the header `Idempotency-Key: <event>` | it was there already |
//! | 408, 409 without that header, 425, 429, 5xx, no answer | not now: tried again, after the pause that `Retry-After` asks for |
//! | 3xx | refused: redirects are not followed |
//! | anything else | refused |
//!
//! Nothing of an answer's body is read or shown.

use std::{
    error::Error as StdError,
    fs::File,
    io::{self, Read},
    path::Path,
    time::{Duration, Instant},
};

use datafuse_core::id::ParticipantId;
use datafuse_engine::dataset::{FetchPolicy, GuardedClient};
use reqwest::{
    Certificate, Method, Response,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER},
};
use url::Url;

use super::{Arrival, DeliveryError, DeliverySettings, Parcel, Patience};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const EVENT: HeaderName = HeaderName::from_static("datafuse-event");
const EVENT_TYPE: HeaderName = HeaderName::from_static("datafuse-event-type");

/// The largest file of certificates.
const MAX_CA_BYTES: u64 = 1 << 20;

pub(super) fn deliver(
    parcel: &Parcel<'_>,
    user: &ParticipantId,
    url: &Url,
    policy: &FetchPolicy,
    settings: &DeliverySettings,
) -> Result<Arrival, DeliveryError> {
    let token = settings.token(user).map(|(name, token)| bearer(name, token)).transpose()?;
    let trusted = settings.ca_file.as_deref().map(certificates).transpose()?.unwrap_or_default();
    let client = GuardedClient::new(policy, &trusted).map_err(|_| DeliveryError::NoClient)?;
    let endpoint = Endpoint { parcel, user, url, client, token, limit: settings.patience.request };
    let on_thread = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|_| DeliveryError::NoClient)?;
        let result = runtime.block_on(endpoint.deliver(Attempts::new(settings.patience)));
        // A name may still be being looked up; nobody waits for it.
        runtime.shutdown_background();
        result
    };
    // A thread of another runtime may not wait here itself.
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("delivery".to_owned()).spawn_scoped(scope, on_thread);
        thread.map_err(|_| DeliveryError::NoClient)?.join().unwrap_or(Err(DeliveryError::NoClient))
    })
}

struct Endpoint<'a> {
    parcel: &'a Parcel<'a>,
    user: &'a ParticipantId,
    url: &'a Url,
    client: GuardedClient,
    token: Option<HeaderValue>,
    limit: Duration,
}

impl Endpoint<'_> {
    async fn deliver(&self, mut attempts: Attempts) -> Result<Arrival, DeliveryError> {
        loop {
            let (error, asked) = match self.post().await {
                Ok(response) => match self.meaning(&response) {
                    Ok(arrival) => return Ok(arrival),
                    Err(error) => (error, retry_after(&response)),
                },
                Err(error) => (error, None),
            };
            match attempts.pause_after(&error, asked) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error),
            }
        }
    }

    async fn post(&self) -> Result<Response, DeliveryError> {
        let refused = |refusal| DeliveryError::Refused { user: self.user.clone(), place: self.place(), refusal };
        let mut request = self
            .client
            .request(Method::POST, self.url)
            .map_err(refused)?
            .header(CONTENT_TYPE, self.parcel.set.media_type())
            .header(IDEMPOTENCY_KEY, self.parcel.event.as_str())
            .header(EVENT, self.parcel.event.as_str())
            .header(EVENT_TYPE, self.parcel.event_type)
            .body(self.parcel.envelope().to_vec());
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.clone());
        }
        request.send().await.map_err(|error| match GuardedClient::refusal(&error) {
            Some(refusal) => refused(refusal),
            None if error.is_timeout() => {
                DeliveryError::TimedOut { user: self.user.clone(), place: self.place(), limit: self.limit }
            }
            None => {
                DeliveryError::Unreachable { user: self.user.clone(), place: self.place(), reason: innermost(&error) }
            }
        })
    }

    fn meaning(&self, response: &Response) -> Result<Arrival, DeliveryError> {
        let (user, place, status) = (self.user.clone(), self.place(), response.status().as_u16());
        let names_event = || {
            let key = response.headers().get(IDEMPOTENCY_KEY);
            key.is_some_and(|key| key.as_bytes() == self.parcel.event.as_str().as_bytes())
        };
        match status {
            200..=299 => Ok(Arrival::Sent),
            409 if names_event() => Ok(Arrival::WasThere),
            408 | 409 | 425 | 429 | 500.. => Err(DeliveryError::Busy { user, place, status }),
            300..=399 => Err(DeliveryError::Redirects { user, place, status }),
            _ => Err(DeliveryError::NotWanted { user, place, status }),
        }
    }

    fn place(&self) -> String {
        self.url.to_string()
    }
}

/// Counts attempts at one place, and says how long to pause between them.
pub(super) struct Attempts {
    began: Instant,
    patience: Patience,
    next_pause: Duration,
}

impl Attempts {
    pub(super) fn new(patience: Patience) -> Self {
        Self { began: Instant::now(), patience, next_pause: patience.first_pause }
    }

    /// How long to wait before the next attempt, at least as long as the place asks for; `None` where there is to be none.
    pub(super) fn pause_after(&mut self, error: &DeliveryError, asked: Option<Duration>) -> Option<Duration> {
        // What a place asks for is its own word, and may be any number.
        let pause = self.next_pause.max(asked.unwrap_or_default()).min(self.patience.total);
        self.next_pause *= 2;
        let fits = self.began.elapsed() + pause < self.patience.total;
        (error.is_retryable() && fits).then_some(pause)
    }
}

/// The pause that an answer asks for, in seconds; a date is not read.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn bearer(name: &str, token: &str) -> Result<HeaderValue, DeliveryError> {
    let invalid = || DeliveryError::Token { name: name.to_owned() };
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(invalid());
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| invalid())?;
    value.set_sensitive(true);
    Ok(value)
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, DeliveryError> {
    let unusable = |reason: String| DeliveryError::CaFile { path: path.to_owned(), reason };
    let mut pem = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_CA_BYTES + 1).read_to_end(&mut pem));
    read.map_err(|error| unusable(format!("cannot be read: {error}")))?;
    if pem.len() as u64 > MAX_CA_BYTES {
        return Err(unusable(format!("is larger than {MAX_CA_BYTES} bytes")));
    }
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(unusable("holds no PEM certificates".to_owned())),
    }
}

/// The innermost cause as one short line: an error of the system, of a name server or of TLS, which hold no address.
fn innermost(error: &(dyn StdError + 'static)) -> String {
    const SHOWN: usize = 160;
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let text = match cause.downcast_ref::<io::Error>() {
        Some(system) => system.to_string(),
        // The client's own words name the address, query and all.
        None if cause.downcast_ref::<reqwest::Error>().is_some() => "the connection failed".to_owned(),
        None => cause.to_string(),
    };
    text.chars().map(|c| if c.is_ascii_graphic() { c } else { ' ' }).take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn busy() -> DeliveryError {
        DeliveryError::Busy { user: "insights".parse().unwrap(), place: "https://example.com/".to_owned(), status: 503 }
    }

    #[test]
    fn pauses_double_heed_the_place_and_end_with_the_patience() {
        let patience = Patience { total: Duration::from_secs(60), ..Patience::default() };
        let mut attempts = Attempts::new(patience);
        let second = Duration::from_secs(1);
        assert_eq!(attempts.pause_after(&busy(), None), Some(second));
        assert_eq!(attempts.pause_after(&busy(), None), Some(2 * second));
        assert_eq!(attempts.pause_after(&busy(), Some(30 * second)), Some(30 * second));
        assert_eq!(attempts.pause_after(&busy(), Some(second)), Some(8 * second));
        assert_eq!(attempts.pause_after(&busy(), Some(60 * second)), None);
        let refused = DeliveryError::Token { name: "X".to_owned() };
        assert_eq!(Attempts::new(patience).pause_after(&refused, None), None);
    }

    #[test]
    fn a_token_is_one_word_of_ascii_and_not_repeated() {
        let value = bearer("NAME", "hunter2").unwrap();
        assert!(value.is_sensitive() && value == "Bearer hunter2");
        for wrong in ["hunter 2", "hunter2\n", "h\u{fc}nter"] {
            let error = bearer("NAME", wrong).unwrap_err();
            assert!(!format!("{error}{error:?}").contains("nter"), "{error}");
        }
    }

    #[test]
    fn a_file_without_certificates_is_refused_with_its_variable() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for content in ["", "no certificate"] {
            std::fs::write(file.path(), content).unwrap();
            let error = certificates(file.path()).unwrap_err();
            assert!(error.to_string().contains("holds no PEM certificates"), "{error}");
            assert!(error.remedy().unwrap().contains("DATAFUSE_DELIVERY_CA_FILE"));
        }
        let error = certificates(Path::new("/nowhere/ca.pem")).unwrap_err();
        assert!(error.to_string().contains("cannot be read"), "{error}");
    }
}
