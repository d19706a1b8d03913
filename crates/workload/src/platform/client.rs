//! One HTTP client for the platform's services: bounded in time and size, without redirects, without cookies.
//!
//! In: a service with its address and, for the control plane, a bearer token. Out: the body of a successful answer, or a
//! [`Trouble`]. The addresses are the operator's word (environment variables), so private ones are allowed; a server that
//! redirects is refused, so that no token and no request goes elsewhere than the operator said.
//!
//! It blocks, on a thread of its own, so that it may be called from any thread. It does not retry: events are.

use std::{fmt, future::Future, time::Duration};

use reqwest::{RequestBuilder, Response, redirect};
use url::Url;
use zeroize::Zeroizing;

use super::{
    Secret,
    error::{PlatformError, Service, Trouble},
};

/// How long to wait for a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// The longest wait for a name and a connection.
    pub connect: Duration,
    /// The longest time for one call, its answer included.
    pub total: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), total: Duration::from_secs(20) }
    }
}

impl Patience {
    /// For somebody who only wants to know whether it is there.
    #[must_use]
    pub fn brief() -> Self {
        Self { connect: Duration::from_secs(3), total: Duration::from_secs(5) }
    }
}

/// A client for one service.
#[derive(Clone)]
pub(crate) struct Client {
    service: Service,
    base: Url,
    bearer: Option<Secret>,
    patience: Patience,
}

/// The body of a successful answer.
pub(crate) struct Answer {
    /// Whether the server calls it JSON.
    pub(crate) is_json: bool,
    /// The bytes.
    pub(crate) bytes: Zeroizing<Vec<u8>>,
}

impl Client {
    pub(crate) fn new(service: Service, base: Url) -> Self {
        Self { service, base, bearer: None, patience: Patience::default() }
    }

    /// Sends this token with every call.
    pub(crate) fn with_bearer(self, token: Secret) -> Self {
        Self { bearer: Some(token), ..self }
    }

    pub(crate) fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// The address below the base. A segment is encoded as a whole, so none adds another.
    pub(crate) fn address(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// Gets what is there, at most `limit` bytes.
    ///
    /// # Errors
    /// [`PlatformError::Service`].
    pub(crate) fn get(&self, segments: &[&str], limit: usize) -> Result<Answer, PlatformError> {
        let url = self.address(segments);
        self.call(limit, |client| client.get(url))
    }

    /// Posts a body, and gives the answer, at most `limit` bytes of it.
    ///
    /// # Errors
    /// [`PlatformError::Service`].
    pub(crate) fn post(
        &self,
        segments: &[&str],
        content_type: &str,
        body: Vec<u8>,
        limit: usize,
    ) -> Result<Answer, PlatformError> {
        let url = self.address(segments);
        self.call(limit, |client| client.post(url).header("content-type", content_type).body(body))
    }

    /// Tells whether anything at all answers at the base address, whatever it says.
    ///
    /// # Errors
    /// [`PlatformError::Service`] where nothing does.
    pub(crate) fn is_there(&self) -> Result<(), PlatformError> {
        let url = self.base.clone();
        match self.call(0, |client| client.get(url)) {
            Ok(_) => Ok(()),
            Err(PlatformError::Service { trouble: Trouble::Status { .. } | Trouble::TooLarge { .. }, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Says that an answer is not what it has to be.
    pub(crate) fn odd(&self, reason: &'static str) -> PlatformError {
        self.failed(Trouble::Reply { reason })
    }

    pub(crate) fn place(&self) -> String {
        place(&self.base)
    }

    fn failed(&self, trouble: Trouble) -> PlatformError {
        PlatformError::Service { service: self.service, place: self.place(), trouble }
    }

    fn call(
        &self,
        limit: usize,
        request: impl FnOnce(&reqwest::Client) -> RequestBuilder + Send,
    ) -> Result<Answer, PlatformError> {
        let total = self.patience.total;
        let asked = async {
            let client = http_client(self.service, &self.base, self.patience)?;
            let mut request = request(&client);
            if let Some(token) = &self.bearer {
                request = request.bearer_auth(token.expose());
            }
            let response = request.send().await.map_err(|error| Trouble::of_client(&error, total))?;
            read(response, limit, total).await
        };
        wait(total, asked).map_err(|trouble| self.failed(trouble))
    }
}

/// Shows neither the token nor credentials in the address.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({} at {})", self.service, self.place())
    }
}

/// Makes the client of the HTTP library.
pub(super) fn http_client(service: Service, base: &Url, patience: Patience) -> Result<reqwest::Client, Trouble> {
    let mut client = reqwest::Client::builder()
        .user_agent(concat!("datafuse/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(patience.connect)
        .timeout(patience.total);
    // The others are services inside the environment; a proxy would only carry what they are sent out of it.
    if service != Service::ControlPlane || is_loopback(base) {
        client = client.no_proxy();
    }
    client.build().map_err(|error| Trouble::of_client(&error, patience.total))
}

/// Reads a successful answer, and of another only its status.
async fn read(mut response: Response, limit: usize, total: Duration) -> Result<Answer, Trouble> {
    let status = response.status().as_u16();
    match status {
        200..=299 => {}
        300..=399 => return Err(Trouble::Redirects { status }),
        _ => return Err(Trouble::Status { status }),
    }
    let announced = response.content_length();
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(Trouble::TooLarge { limit });
    }
    let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok());
    let is_json = content_type.is_some_and(|value| value.to_ascii_lowercase().contains("application/json"));
    // Sized once where the length is known: a buffer that grows leaves copies of a secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(announced.unwrap_or(0) as usize));
    while let Some(piece) = response.chunk().await.map_err(|error| Trouble::of_client(&error, total))? {
        if bytes.len() + piece.len() > limit {
            return Err(Trouble::TooLarge { limit });
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(Answer { is_json, bytes })
}

/// Runs a future to its end, or to that of the patience, on a thread of its own.
fn wait<T: Send>(total: Duration, work: impl Future<Output = Result<T, Trouble>> + Send) -> Result<T, Trouble> {
    let on_thread = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|_| Trouble::NoThreads)?;
        let result = runtime.block_on(async {
            tokio::time::timeout(total, work).await.unwrap_or(Err(Trouble::TimedOut { limit: total }))
        });
        // A name may still be being looked up; nobody waits for it.
        runtime.shutdown_background();
        result
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("platform".to_owned()).spawn_scoped(scope, on_thread);
        thread.map_err(|_| Trouble::NoThreads)?.join().unwrap_or(Err(Trouble::NoThreads))
    })
}

/// An address for a message: without user, password, query and fragment.
pub(super) fn place(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

/// Whether an address names this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn client(base: &str) -> Client {
        Client::new(Service::ControlPlane, base.parse().unwrap())
    }

    #[test]
    fn addresses_are_below_the_base_and_a_segment_stays_one() {
        for base in ["https://api.example/v1", "https://api.example/v1/"] {
            let url = client(base).address(&["collaborationSpaces", "a/../b?x#y", "publicKey"]);
            assert_eq!(url.as_str(), "https://api.example/v1/collaborationSpaces/a%2F..%2Fb%3Fx%23y/publicKey");
        }
        assert_eq!(client("http://h").address(&["sign"]).as_str(), "http://h/sign");
    }

    #[test]
    fn debug_shows_neither_token_nor_password() {
        let client = client("https://user:hunter2@api.example/v1?key=hunter2#hunter2");
        let client = client.with_bearer(Secret::new(Zeroizing::new("hunter2".to_owned())));
        assert_eq!(format!("{client:?}"), "Client(control plane at https://api.example/v1)");
    }
}
