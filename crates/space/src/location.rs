//! Where something lies, as a space file gives it: a path, relative to the folder of that file, or an address.
//!
//! Addresses may carry credentials (a password, a signed query): `Display` and `Debug` leave them out.

use std::{
    fmt,
    path::{Component, Path, PathBuf},
    str::FromStr,
};

use url::Url;

/// Where a dataset or the mailbox lies.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A file or folder.
    Path(PathBuf),
    /// An address, `http` or `https`.
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
            Parsed::Url(_) => Err(LocationProblem::UnknownScheme { known: "http, https" }),
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

/// Writes an address without user, password, query and fragment.
fn show(url: &Url, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{}://{}", url.scheme(), url.host_str().unwrap_or_default())?;
    if let Some(port) = url.port() {
        write!(f, ":{port}")?;
    }
    f.write_str(url.path())
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
        for text in ["s3://bucket/x", "file:///etc/passwd", "redis://localhost"] {
            assert!(matches!(refused(text), UnknownScheme { .. }), "{text}");
        }
        assert!("http://localhost".parse::<QueuePlace>().is_err());
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
            let _ = text.parse::<QueuePlace>().map(|place| format!("{place}{place:?}"));
        }
    }
}
