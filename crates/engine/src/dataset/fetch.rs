//! Downloads over http(s), and what may be downloaded.
//!
//! In: an address and a [`FetchPolicy`]. Out: a nameless temporary file that is gone when it is closed.
//!
//! An address in a space file or an event is written by somebody else, who could point it at services that only this
//! machine can reach (server-side request forgery). So only http and https, no credentials, and only public IP
//! addresses, checked on the address itself, on every address a name resolves to (at the time of connecting, so that a
//! name server cannot answer differently the second time), and anew after each redirect. Proxies of the environment are
//! not used: they would resolve names where this check does not reach.
//!
//! It sends no credentials, keeps no cookies, unpacks nothing and does not retry.

use std::error::Error as StdError;
use std::fmt;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Response, StatusCode, header, redirect};
use url::{Host, Url};

use super::address::is_public;
use super::opening::BucketSettings;
use super::source::Format;
use crate::error::{Error, Result};
use crate::runtime::in_this_span;

const MAX_REDIRECTS: usize = 5;

/// Looks a host name up; for tests, and for those who bring their own resolver.
pub type Lookup = Arc<dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync>;

/// Is told the bytes so far and, where the server says it, their total.
pub type FetchProgress = Arc<dyn Fn(u64, Option<u64>) + Send + Sync>;

/// What may be downloaded, and how much of it.
#[derive(Clone)]
pub struct FetchPolicy {
    /// Lets every address be fetched, private ones too.
    pub allow_private: bool,
    /// Hosts (names, or IP addresses as written in the URL) that may be at private addresses.
    pub allow_hosts: Vec<String>,
    /// Lets the host of the first address be private, because the user typed it; redirects to others are held to the rule.
    pub trust_first_host: bool,
    /// Settings and credentials of buckets.
    pub bucket: BucketSettings,
    /// The largest download.
    pub max_bytes: u64,
    /// The longest wait for a name and a connection.
    pub connect_timeout: Duration,
    /// The longest wait for the next bytes.
    pub idle_timeout: Duration,
    /// The longest download.
    pub total_timeout: Option<Duration>,
    /// Is called after each piece.
    pub progress: Option<FetchProgress>,
    /// Looks names up; `None`: the operating system does.
    pub lookup: Option<Lookup>,
}

impl FetchPolicy {
    /// For addresses from a space file or an event: public hosts only, 64 GiB, one hour.
    pub fn strict() -> Self {
        FetchPolicy {
            allow_private: false,
            allow_hosts: Vec::new(),
            trust_first_host: false,
            bucket: BucketSettings::default(),
            max_bytes: 64 << 30,
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            total_timeout: Some(Duration::from_secs(3600)),
            progress: None,
            lookup: None,
        }
    }

    /// For an address that the user typed: its own host may be anywhere, and it takes the time it takes.
    pub fn trusting() -> Self {
        FetchPolicy { trust_first_host: true, total_timeout: None, ..Self::strict() }
    }
}

impl fmt::Debug for FetchPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchPolicy")
            .field("allow_private", &self.allow_private)
            .field("allow_hosts", &self.allow_hosts)
            .field("trust_first_host", &self.trust_first_host)
            .field("max_bytes", &self.max_bytes)
            .finish_non_exhaustive()
    }
}

/// The rule that keeps an address from being fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// It is neither http nor https.
    Scheme,
    /// It has a user name or a password in it.
    Credentials,
    /// It names no host.
    NoHost,
    /// Its host is at no public address.
    PrivateAddress,
    /// It redirects more than 5 times.
    TooManyRedirects,
    /// It redirects from https to http.
    Downgrade,
    /// It redirects, but not to an address.
    BrokenRedirect,
}

impl Refusal {
    /// What to try next, where there is something to try.
    pub fn remedy(self) -> Option<&'static str> {
        match self {
            Refusal::Scheme | Refusal::NoHost => Some("an address that begins with https://"),
            Refusal::Credentials => Some("an address without a password, or download the file and name its path"),
            Refusal::PrivateAddress => Some("add the host to the allowed hosts if it is meant to be reached"),
            Refusal::TooManyRedirects | Refusal::Downgrade | Refusal::BrokenRedirect => {
                Some("the address that it redirects to")
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Scheme => "only http and https are allowed",
            Refusal::Credentials => "there is a user name or password in it",
            Refusal::NoHost => "it names no host",
            Refusal::PrivateAddress => "its host is at a private, local or reserved address",
            Refusal::TooManyRedirects => "it redirects more than 5 times",
            Refusal::Downgrade => "it redirects from https to http",
            Refusal::BrokenRedirect => "it redirects without naming an address",
        })
    }
}

impl StdError for Refusal {}

/// A downloaded file.
pub(super) struct Download {
    /// The file, at its beginning; it has no name and is gone when closed.
    pub(super) file: File,
    /// The address it was asked for under, without its query part.
    pub(super) place: String,
    /// The format, as told by the address or the content type.
    pub(super) format: Option<Format>,
    pub(super) bytes: u64,
}

/// An address for a message: without credentials, query and fragment, which may hold secrets.
pub(super) fn place(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    // These fail only for addresses that cannot have credentials.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.into()
}

/// Downloads a file. Blocks; runs on a thread of its own, so that it may be called from anywhere.
///
/// # Errors
///
/// [`Error::FetchRefused`], [`Error::Download`], [`Error::HttpStatus`], [`Error::DownloadTooLarge`],
/// [`Error::DownloadTimeout`], [`Error::Io`] for the temporary file.
pub(super) fn download(url: &Url, policy: &FetchPolicy) -> Result<Download> {
    let failed = |source| Error::io(place(url), "read", source);
    let on_thread = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let result = runtime.block_on(async {
            let Some(limit) = policy.total_timeout else {
                return fetch(url, policy).await;
            };
            let timed_out = |_| Error::DownloadTimeout { place: place(url), limit_s: limit.as_secs() };
            tokio::time::timeout(limit, fetch(url, policy)).await.map_err(timed_out)?
        });
        // A name may still be being looked up; nobody waits for it.
        runtime.shutdown_background();
        result
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("fetch".to_owned()).spawn_scoped(scope, in_this_span(on_thread));
        let joined = thread.map_err(failed)?.join();
        joined.unwrap_or_else(|_| Err(failed(io::Error::other("the download gave up"))))
    })
}

/// Downloads a file to a temporary one in `folder`, which only its owner reads and which goes when the path is dropped.
///
/// # Errors
///
/// Those of reading a source by its address; [`Error::Io`] for the temporary file.
pub fn fetch_to_file(url: &Url, policy: &FetchPolicy, folder: &Path) -> Result<tempfile::TempPath> {
    let mut download = download(url, policy)?;
    let failed = |source| Error::io(folder, "write a temporary file in", source);
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    io::copy(&mut download.file, &mut file).map_err(failed)?;
    Ok(file.into_temp_path())
}

async fn fetch(first: &Url, policy: &FetchPolicy) -> Result<Download> {
    let guard = Guard {
        first_host: first.host_str().filter(|_| policy.trust_first_host).map(str::to_owned),
        policy: policy.clone(),
    };
    let resolver = Arc::new(guard.clone());
    let failed = |url: &Url| {
        let place = place(url);
        move |source: reqwest::Error| match refusal_within(&source) {
            Some(refusal) => Error::FetchRefused { place, refusal },
            None => Error::Download { place, source: source.without_url() },
        }
    };
    let client = Client::builder()
        .user_agent(concat!("datafuse/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(redirect::Policy::none())
        .referer(false)
        .dns_resolver(resolver)
        .connect_timeout(policy.connect_timeout)
        .read_timeout(policy.idle_timeout)
        .build()
        .map_err(failed(first))?;

    let mut url = first.clone();
    for _ in 0..=MAX_REDIRECTS {
        let refused = |refusal| Error::FetchRefused { place: place(&url), refusal };
        guard.check(&url).map_err(refused)?;
        let response = client.get(url.clone()).send().await.map_err(failed(&url))?;
        if !is_redirect(response.status()) {
            return save(response, first, policy).await;
        }
        let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        let next =
            location.and_then(|location| url.join(location).ok()).ok_or(Refusal::BrokenRedirect).map_err(refused)?;
        if url.scheme() == "https" && next.scheme() == "http" {
            return Err(refused(Refusal::Downgrade));
        }
        url = next;
    }
    Err(Error::FetchRefused { place: place(first), refusal: Refusal::TooManyRedirects })
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

async fn save(mut response: Response, first: &Url, policy: &FetchPolicy) -> Result<Download> {
    let place = place(first);
    if response.status() != StatusCode::OK {
        return Err(Error::HttpStatus { place, status: response.status().as_u16() });
    }
    let too_large = || Error::DownloadTooLarge { place: place.clone(), limit_bytes: policy.max_bytes };
    let total = response.content_length();
    if total.is_some_and(|total| total > policy.max_bytes) {
        return Err(too_large());
    }
    let format = Format::from_name(first.path())
        .or_else(|| Format::from_name(response.url().path()))
        .or_else(|| content_format(&response));
    let write_failed = |source| Error::io("the temporary download", "write", source);
    let mut file = tempfile::tempfile().map_err(write_failed)?;
    let mut bytes = 0_u64;
    let read_failed = |source: reqwest::Error| Error::Download { place: place.clone(), source: source.without_url() };
    while let Some(piece) = response.chunk().await.map_err(read_failed)? {
        bytes += piece.len() as u64;
        if bytes > policy.max_bytes {
            return Err(too_large());
        }
        file.write_all(&piece).map_err(write_failed)?;
        if let Some(progress) = &policy.progress {
            progress(bytes, total);
        }
    }
    file.seek(SeekFrom::Start(0)).map_err(write_failed)?;
    Ok(Download { file, place, format, bytes })
}

fn content_format(response: &Response) -> Option<Format> {
    let content_type = response.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
    let content_type = content_type.split(';').next()?.trim().to_ascii_lowercase();
    match content_type.as_str() {
        "text/csv" | "text/tab-separated-values" => Some(Format::Csv),
        "application/json" | "application/x-ndjson" | "application/jsonl" => Some(Format::Json),
        "application/vnd.apache.parquet" => Some(Format::Parquet),
        _ => None,
    }
}

/// Holds addresses and the answers of name servers against the policy.
#[derive(Clone)]
struct Guard {
    policy: FetchPolicy,
    /// The host that is trusted because the user typed it.
    first_host: Option<String>,
}

impl Guard {
    /// Checks all of an address that can be checked without looking its name up.
    fn check(&self, url: &Url) -> Result<(), Refusal> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refusal::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::Credentials);
        }
        let address = match url.host() {
            None => return Err(Refusal::NoHost),
            Some(Host::Domain(_)) => return Ok(()),
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
        };
        if is_public(address) || url.host_str().is_some_and(|host| self.is_exempt(host)) {
            Ok(())
        } else {
            Err(Refusal::PrivateAddress)
        }
    }

    /// Whether a host may be at a private address.
    fn is_exempt(&self, host: &str) -> bool {
        let plain = |host: &str| host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
        let host = plain(host);
        self.policy.allow_private
            || self.first_host.as_deref().is_some_and(|first| plain(first) == host)
            || self.policy.allow_hosts.iter().any(|allowed| plain(allowed) == host)
    }
}

impl Resolve for Guard {
    /// Gives the public addresses of a name, or all of an exempt one. The connection is made to these and no others.
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        let host = name.as_str().to_owned();
        Box::pin(async move {
            let looked_up = tokio::task::spawn_blocking(move || {
                let addresses = match &guard.policy.lookup {
                    Some(lookup) => lookup(&host)?,
                    None => (host.as_str(), 0).to_socket_addrs()?.map(|address| address.ip()).collect(),
                };
                let found = addresses.len();
                let exempt = guard.is_exempt(&host);
                let allowed: Vec<SocketAddr> = addresses
                    .into_iter()
                    .filter(|&address| exempt || is_public(address))
                    // The port is set from the URL.
                    .map(|address| SocketAddr::new(address, 0))
                    .collect();
                if allowed.is_empty() && found > 0 {
                    return Err(Box::<dyn StdError + Send + Sync>::from(Refusal::PrivateAddress));
                }
                Ok(allowed)
            });
            let allowed = looked_up.await??;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Finds the refusal of [`Guard::resolve`] within the client's error.
fn refusal_within(error: &reqwest::Error) -> Option<Refusal> {
    let mut cause: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(error) = cause {
        if let Some(refusal) = error.downcast_ref::<Refusal>() {
            return Some(*refusal);
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn check(policy: &FetchPolicy, url: &str) -> Result<(), Refusal> {
        let url = Url::parse(url).unwrap();
        let first_host = url.host_str().filter(|_| policy.trust_first_host).map(str::to_owned);
        Guard { policy: policy.clone(), first_host }.check(&url)
    }

    #[test]
    fn refuses_schemes_credentials_and_literal_private_hosts_however_written() {
        let table = [
            ("https://example.com/a.csv", Ok(())),
            ("http://8.8.8.8/a.csv", Ok(())),
            ("http://[2606:4700::1111]/", Ok(())),
            ("ftp://example.com/a.csv", Err(Refusal::Scheme)),
            ("file:///etc/passwd", Err(Refusal::Scheme)),
            ("gopher://127.0.0.1/", Err(Refusal::Scheme)),
            ("https://user@example.com/", Err(Refusal::Credentials)),
            ("https://:secret@example.com/", Err(Refusal::Credentials)),
            ("http://127.0.0.1/", Err(Refusal::PrivateAddress)),
            ("http://127.1/", Err(Refusal::PrivateAddress)),
            ("http://2130706433/", Err(Refusal::PrivateAddress)),
            ("http://0x7f.0.0.1/", Err(Refusal::PrivateAddress)),
            ("http://0177.0.0.1/", Err(Refusal::PrivateAddress)),
            ("http://１２７.0.0.1/", Err(Refusal::PrivateAddress)),
            ("http://0/", Err(Refusal::PrivateAddress)),
            ("http://169.254.169.254/latest/meta-data", Err(Refusal::PrivateAddress)),
            ("http://[::1]/", Err(Refusal::PrivateAddress)),
            ("http://[::ffff:169.254.169.254]/", Err(Refusal::PrivateAddress)),
            ("http://[fd00:ec2::254]/", Err(Refusal::PrivateAddress)),
            ("http://[64:ff9b::7f00:1]/", Err(Refusal::PrivateAddress)),
            // Names are checked when they are looked up.
            ("http://localhost/", Ok(())),
        ];
        for (url, expected) in table {
            assert_eq!(check(&FetchPolicy::strict(), url), expected, "{url}");
        }
    }

    #[test]
    fn configured_and_typed_hosts_may_be_private() {
        let allowing = FetchPolicy { allow_hosts: vec!["10.0.0.7".into(), "[::1]".into()], ..FetchPolicy::strict() };
        assert_eq!(check(&allowing, "http://10.0.0.7:9000/a"), Ok(()));
        assert_eq!(check(&allowing, "http://[::1]/a"), Ok(()));
        assert_eq!(check(&allowing, "http://10.0.0.8/a"), Err(Refusal::PrivateAddress));
        assert_eq!(check(&FetchPolicy::trusting(), "http://127.0.0.1/a"), Ok(()));
        assert_eq!(check(&FetchPolicy::trusting(), "ftp://127.0.0.1/a"), Err(Refusal::Scheme));
        let anything = FetchPolicy { allow_private: true, ..FetchPolicy::strict() };
        assert_eq!(check(&anything, "http://192.168.1.1/a"), Ok(()));
    }

    #[test]
    fn names_in_messages_hold_no_secrets() {
        let url = Url::parse("https://user:pass@example.com/a.csv?signature=abc#frag").unwrap();
        assert_eq!(place(&url), "https://example.com/a.csv");
    }
}
