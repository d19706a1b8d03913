//! Where something lies, as a space file gives it: a path, relative to the folder of that file, or an address.
//!
//! Addresses may carry credentials (a password, a signed query): `Display` and `Debug` leave them out.

mod deliver;

use std::{
    fmt,
    path::{Component, Path, PathBuf},
    str::FromStr,
};

use url::Url;

pub use deliver::{DeliverPlace, delivery_token_variable};

/// Where a dataset lies.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A file or folder.
    Path(PathBuf),
    /// An address: of a file (`http`, `https`) or of an object in a bucket (`s3`, `s3a`, `gs`, `az`, `azure`, `abfs`, `abfss`).
    Url(Url),
}

impl Location {
    /// Gives the same location with a relative path taken from `folder`.
    #[must_use]
    pub fn resolve(&self, folder: &Path) -> Self {
        match self {
            Self::Path(path) => Self::Path(folder.join(path)),
            Self::Url(url) => Self::Url(url.clone()),
        }
    }

    /// The path, where it is one.
    #[must_use]
    pub fn as_path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            Self::Url(_) => None,
        }
    }
}

impl FromStr for Location {
    type Err = LocationProblem;

    fn from_str(text: &str) -> Result<Self, LocationProblem> {
        match parse(text)? {
            Parsed::Path(path) => Ok(Self::Path(path)),
            Parsed::Url(url) if matches!(url.scheme(), "http" | "https") => Ok(Self::Url(url)),
            Parsed::Url(url) if is_bucket(&url) => match url.host_str().is_none_or(str::is_empty) {
                true => Err(LocationProblem::NoBucket),
                false if holds_secret(&url) => Err(LocationProblem::Credentials),
                false => Ok(Self::Url(url)),
            },
            Parsed::Url(_) => Err(LocationProblem::UnknownScheme { known: "https, http, s3, gs, az, abfs" }),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Url(url) => show(url, f),
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

/// Where enrolment messages travel. An address holds no credentials: those of a bucket come from the environment.
#[derive(Clone, PartialEq, Eq)]
pub enum MailboxPlace {
    /// A folder that all parties reach.
    Folder(PathBuf),
    /// A bucket with an optional prefix: `s3://bucket/prefix` (also `s3a`), `gs://bucket/prefix`, `az://container/prefix`
    /// (also `azure`, `abfs`, `abfss`).
    Bucket(Url),
    /// An endpoint that serves a mailbox, `http` or `https`.
    Http(Url),
}

impl MailboxPlace {
    /// Gives the same place with a relative path taken from `folder`.
    #[must_use]
    pub fn resolve(&self, folder: &Path) -> Self {
        match self {
            Self::Folder(path) => Self::Folder(folder.join(path)),
            address => address.clone(),
        }
    }

    /// The path, where it is one.
    #[must_use]
    pub fn as_path(&self) -> Option<&Path> {
        match self {
            Self::Folder(path) => Some(path),
            Self::Bucket(_) | Self::Http(_) => None,
        }
    }
}

impl FromStr for MailboxPlace {
    type Err = LocationProblem;

    fn from_str(text: &str) -> Result<Self, LocationProblem> {
        let url = match parse(text)? {
            Parsed::Path(path) => return Ok(Self::Folder(path)),
            Parsed::Url(url) => url,
        };
        if holds_secret(&url) {
            return Err(LocationProblem::Credentials);
        }
        let is_hostless = url.host_str().is_none_or(str::is_empty);
        match url.scheme() {
            "http" | "https" => Ok(Self::Http(url)),
            _ if is_bucket(&url) && is_hostless => Err(LocationProblem::NoBucket),
            _ if is_bucket(&url) => Ok(Self::Bucket(url)),
            _ => Err(LocationProblem::UnknownScheme { known: "s3, gs, az, abfs, https, http" }),
        }
    }
}

impl fmt::Display for MailboxPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::Bucket(url) | Self::Http(url) => show(url, f),
        }
    }
}

impl fmt::Debug for MailboxPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MailboxPlace({self})")
    }
}

/// Where events wait: a folder (the embedded queue), or a Redis server.
#[derive(Clone, PartialEq, Eq)]
pub enum QueuePlace {
    /// The folder of the embedded queue.
    Folder(PathBuf),
    /// The address of a Redis server, `redis` or `rediss` (TLS).
    Redis(Url),
}

impl QueuePlace {
    /// Gives the same place with a relative path taken from `folder`.
    #[must_use]
    pub fn resolve(&self, folder: &Path) -> Self {
        match self {
            Self::Folder(path) => Self::Folder(folder.join(path)),
            Self::Redis(url) => Self::Redis(url.clone()),
        }
    }
}

impl FromStr for QueuePlace {
    type Err = LocationProblem;

    fn from_str(text: &str) -> Result<Self, LocationProblem> {
        match parse(text)? {
            Parsed::Path(path) => Ok(Self::Folder(path)),
            Parsed::Url(url) if matches!(url.scheme(), "redis" | "rediss") => Ok(Self::Redis(url)),
            Parsed::Url(_) => Err(LocationProblem::UnknownScheme { known: "redis, rediss" }),
        }
    }
}

impl fmt::Display for QueuePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::Redis(url) => show(url, f),
        }
    }
}

impl fmt::Debug for QueuePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueuePlace({self})")
    }
}

/// Why a text is not a location.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LocationProblem {
    /// Nothing is given.
    #[error("the location is empty")]
    Empty,
    /// The text holds a control character.
    #[error("the location holds a control character")]
    ControlCharacter,
    /// It looks like an address and is none.
    #[error("the address is malformed")]
    MalformedUrl,
    /// An address of a scheme that cannot be used here.
    #[error("addresses of this scheme cannot be used here (known: {known}, or a path)")]
    UnknownScheme {
        /// The schemes that can.
        known: &'static str,
    },
    /// An address with something in it that may be secret, in a file that is not.
    #[error("the address holds a user name, password, query or fragment, which everybody with this file would read")]
    Credentials,
    /// The address of a bucket that names none.
    #[error("the address names no bucket")]
    NoBucket,
    /// An address to which reports would travel in clear.
    #[error("the address is http:// on another machine: whoever is on the way could read what is sent")]
    NotEncrypted,
    /// A pattern where one place is needed.
    #[error("the address holds '*' or '[', which stand for many objects")]
    Pattern,
}

impl LocationProblem {
    /// Says what to do about it.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Credentials => {
                "remove it from the address; buckets take credentials from the environment (AWS_..., GOOGLE_..., AZURE_...)"
            }
            Self::NoBucket => "write it after the scheme, such as s3://bucket/prefix",
            Self::NotEncrypted => "https://; http:// only on the workload's own machine (localhost)",
            Self::Pattern => "give one prefix, such as s3://bucket/prefix",
            _ => "give a path relative to the folder of this file, or an address that can be used here",
        }
    }
}

enum Parsed {
    Path(PathBuf),
    Url(Url),
}

fn parse(text: &str) -> Result<Parsed, LocationProblem> {
    if text.trim().is_empty() {
        return Err(LocationProblem::Empty);
    }
    if text.chars().any(char::is_control) {
        return Err(LocationProblem::ControlCharacter);
    }
    if !text.contains("://") {
        return Ok(Parsed::Path(PathBuf::from(text)));
    }
    let url = Url::parse(text).map_err(|_| LocationProblem::MalformedUrl)?;
    Ok(Parsed::Url(url))
}

/// Whether an address is one of a bucket.
pub(crate) fn is_bucket(url: &Url) -> bool {
    matches!(url.scheme(), "s3" | "s3a" | "gs" | "az" | "azure" | "abfs" | "abfss")
}

/// Whether an address has something in it that may be secret: a user, a password, a query or a fragment.
fn holds_secret(url: &Url) -> bool {
    // `abfss://container@account.dfs.core.windows.net` names the container where other addresses have a user.
    let names_container = matches!(url.scheme(), "abfs" | "abfss") && url.password().is_none();
    (has_credentials(url) && !names_container) || url.query().is_some() || url.fragment().is_some()
}

/// Writes an address without user, password, query and fragment.
fn show(url: &Url, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{}://{}", url.scheme(), url.host_str().unwrap_or_default())?;
    if let Some(port) = url.port() {
        write!(f, ":{port}")?;
    }
    f.write_str(url.path())
}

/// Whether an address names this machine. Hosts of schemes other than http(s) are not parsed as numbers by the URL standard.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let number = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || number.is_ok_and(|address| address.is_loopback())
}

/// Whether an address holds a user name or password.
pub(crate) fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// Brings a relative path into its shortest form without looking at any file: `a/./b/../c` is `a/c`. For comparing.
pub(crate) fn tidy(path: &Path) -> PathBuf {
    let mut tidied = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(tidied.components().next_back(), Some(Component::Normal(_))) => {
                tidied.pop();
            }
            other => tidied.push(other),
        }
    }
    tidied
}

/// Whether a path stays within the folder it is relative to.
pub(crate) fn stays_within(path: &Path) -> bool {
    tidy(path).components().all(|component| matches!(component, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tells_paths_from_addresses() {
        let path: Location = "datasets/acme.parquet".parse().unwrap();
        assert_eq!(path.resolve(Path::new("/space")), Location::Path("/space/datasets/acme.parquet".into()));
        let absolute: Location = "/mnt/acme.parquet".parse().unwrap();
        assert_eq!(absolute.resolve(Path::new("/space")), absolute);
        let url: Location = "https://example.com/acme.parquet".parse().unwrap();
        assert_eq!(url.resolve(Path::new("/space")), url);
        assert!(matches!("queue".parse(), Ok(QueuePlace::Folder(_))));
        assert!(matches!("rediss://h:6380/1".parse(), Ok(QueuePlace::Redis(_))));
    }

    #[test]
    fn refuses_what_is_neither() {
        use LocationProblem::*;
        let refused = |text: &str| text.parse::<Location>().unwrap_err();
        assert_eq!(refused(" "), Empty);
        assert_eq!(refused("a\nb"), ControlCharacter);
        assert_eq!(refused("http://"), MalformedUrl);
        for text in ["ftp://bucket/x", "file:///etc/passwd", "redis://localhost"] {
            assert!(matches!(refused(text), UnknownScheme { .. }), "{text}");
        }
        assert!("http://localhost".parse::<QueuePlace>().is_err());
        assert_eq!(refused("s3:///key"), NoBucket);
        for text in ["s3://key:secret@bucket/x", "az://container/x?sv=2022&sig=secret", "gs://bucket/x#secret"] {
            assert_eq!(refused(text), Credentials, "{text}");
        }
    }

    #[test]
    fn a_mailbox_is_a_folder_a_bucket_or_an_endpoint() {
        use LocationProblem::*;
        let place = |text: &str| text.parse::<MailboxPlace>();
        assert_eq!(
            place("mailbox").unwrap().resolve(Path::new("/space")),
            MailboxPlace::Folder("/space/mailbox".into())
        );
        for text in [
            "s3://bucket",
            "s3://bucket/a/prefix",
            "s3a://bucket/x",
            "gs://bucket/x",
            "az://container/x",
            "azure://container",
            "abfs://container/x",
            "abfss://container@account.dfs.core.windows.net/x",
        ] {
            assert!(matches!(place(text), Ok(MailboxPlace::Bucket(_))), "{text}");
        }
        for text in ["https://example.com/mailbox", "http://127.0.0.1:8080/mailbox", "http://[::1]:8080"] {
            assert!(matches!(place(text), Ok(MailboxPlace::Http(_))), "{text}");
            assert_eq!(place(text).unwrap().resolve(Path::new("/space")), place(text).unwrap());
        }
        for text in ["redis://localhost", "file:///etc", "ftp://example.com/x"] {
            assert!(matches!(place(text), Err(UnknownScheme { .. })), "{text}");
        }
        assert_eq!(place("s3:///prefix").unwrap_err(), NoBucket);
        for text in [
            "https://user@example.com/mailbox",
            "https://:secret@example.com/mailbox",
            "https://example.com/mailbox?sig=secret",
            "https://example.com/mailbox#secret",
            "s3://key:secret@bucket/prefix",
            "abfss://container:secret@account.dfs.core.windows.net/x",
            "az://container/prefix?sv=2022&sig=secret",
        ] {
            let problem = place(text).unwrap_err();
            assert_eq!(problem, Credentials, "{text}");
            assert!(!problem.to_string().contains("secret") && problem.remedy().contains("environment"));
        }
    }

    #[test]
    fn shows_no_credentials() {
        let url: Location =
            "https://user:secret1@example.com:8443/a.parquet?signature=secret2#secret3".parse().unwrap();
        assert_eq!(url.to_string(), "https://example.com:8443/a.parquet");
        let queue: QueuePlace = "redis://:secret1@example.com/0".parse().unwrap();
        for shown in [format!("{url:?}"), format!("{queue:?}{queue}")] {
            assert!(!shown.contains("secret"), "{shown}");
        }
    }

    #[test]
    fn knows_which_paths_leave_the_folder() {
        for path in ["a", "a/b", "./a", "a/../b", "a/b/../../c"] {
            assert!(stays_within(Path::new(path)), "{path}");
        }
        for path in ["..", "../a", "a/../../b", "/a"] {
            assert!(!stays_within(Path::new(path)), "{path}");
        }
        assert_eq!(tidy(Path::new("./a/b/../c/")), Path::new("a/c"));
    }

    proptest! {
        #[test]
        fn any_text_is_a_location_or_refused(text in "\\PC*|[a-z]{1,6}://[\\PC]{0,40}") {
            let _ = text.parse::<Location>().map(|location| format!("{location}{location:?}"));
            let _ = text.parse::<MailboxPlace>().map(|place| format!("{place}{place:?}"));
            let _ = text.parse::<QueuePlace>().map(|place| format!("{place}{place:?}"));
        }
    }
}
