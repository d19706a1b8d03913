//! Where a data user's reports go beside the workload's own outputs.
//!
//! An address here holds no credentials and no query: everybody reads the file that it stands in.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use url::Url;

use super::{LocationProblem, Parsed, has_credentials, is_bucket, is_loopback, parse, tidy};

/// A place to which reports are delivered.
#[derive(Clone, PartialEq, Eq)]
pub enum DeliverPlace {
    /// A folder that the workload reaches.
    Folder(PathBuf),
    /// A bucket with an optional prefix: `s3://bucket/prefix` (also `s3a`), `gs://bucket/prefix`, `az://container/prefix`
    /// (also `azure`, `abfs`, `abfss`).
    Bucket(Url),
    /// An endpoint that takes signed envelopes: `https`, or `http` on the workload's own machine.
    Endpoint(Url),
}

impl DeliverPlace {
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
            Self::Bucket(_) | Self::Endpoint(_) => None,
        }
    }

    /// The text by which the same place written in two ways is known, as far as the text alone tells.
    pub(crate) fn tidied(&self) -> String {
        match self {
            Self::Folder(path) => tidy(path).to_string_lossy().into_owned(),
            Self::Bucket(url) => url.as_str().trim_end_matches('/').to_owned(),
            Self::Endpoint(url) => url.to_string(),
        }
    }
}

/// The environment variable with the token for a user's endpoints: its name in capitals, with `_` for what is no letter or digit.
#[must_use]
pub fn delivery_token_variable(user: &str) -> String {
    let capital = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("DATAFUSE_DELIVERY_TOKEN_{}", user.chars().map(capital).collect::<String>())
}

impl FromStr for DeliverPlace {
    type Err = LocationProblem;

    fn from_str(text: &str) -> Result<Self, LocationProblem> {
        let url = match parse(text)? {
            Parsed::Path(path) => return Ok(Self::Folder(path)),
            Parsed::Url(url) => url,
        };
        // `abfss://container@account.dfs.core.windows.net` names the container where other addresses have a user.
        let names_container = matches!(url.scheme(), "abfs" | "abfss") && url.password().is_none();
        if (has_credentials(&url) && !names_container) || url.query().is_some() || url.fragment().is_some() {
            return Err(LocationProblem::Credentials);
        }
        let is_hostless = url.host_str().is_none_or(str::is_empty);
        match url.scheme() {
            "https" => Ok(Self::Endpoint(url)),
            "http" if is_loopback(&url) => Ok(Self::Endpoint(url)),
            "http" => Err(LocationProblem::NotEncrypted),
            _ if is_bucket(&url) && is_hostless => Err(LocationProblem::NoBucket),
            _ if is_bucket(&url) && url.path().contains(['*', '[']) => Err(LocationProblem::Pattern),
            _ if is_bucket(&url) => Ok(Self::Bucket(url)),
            _ => Err(LocationProblem::UnknownScheme { known: "https, s3, gs, az, abfs" }),
        }
    }
}

impl fmt::Display for DeliverPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            // What could be secret in an address is refused; the container of `abfss` stands where a user would.
            Self::Bucket(url) | Self::Endpoint(url) => f.write_str(url.as_str()),
        }
    }
}

impl fmt::Debug for DeliverPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeliverPlace({self})")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_place_to_deliver_to_is_a_folder_a_bucket_or_an_endpoint() {
        let place = |text: &str| text.parse::<DeliverPlace>().unwrap();
        let folder = place("delivered").resolve(Path::new("/space"));
        assert_eq!(folder, DeliverPlace::Folder("/space/delivered".into()));
        for text in ["s3://bucket", "gs://bucket/a/b", "az://container/x", "abfss://c@account.dfs.core.windows.net/x"] {
            assert!(matches!(place(text), DeliverPlace::Bucket(_)), "{text}");
            assert_eq!(place(text).resolve(Path::new("/space")), place(text));
            assert_eq!(place(text).to_string(), text);
        }
        for text in ["https://example.com/reports", "http://127.0.0.1:8080/x", "http://localhost/x", "http://[::1]/x"] {
            assert!(matches!(place(text), DeliverPlace::Endpoint(_)), "{text}");
        }
    }

    #[test]
    fn what_would_leak_or_is_no_one_place_is_refused_without_repeating_it() {
        use LocationProblem::*;
        for (text, expected) in [
            ("http://example.com/reports", NotEncrypted),
            ("http://10.0.0.1/reports", NotEncrypted),
            ("https://user:secret@example.com/", Credentials),
            ("https://example.com/?token=secret", Credentials),
            ("az://container/x?sig=secret", Credentials),
            ("s3:///secret", NoBucket),
            ("s3://bucket/secret/*.json", Pattern),
            ("", Empty),
        ] {
            let problem = text.parse::<DeliverPlace>().unwrap_err();
            assert_eq!(problem, expected, "{text}");
            assert!(!problem.to_string().contains("secret") && !problem.remedy().contains("secret"));
        }
        assert!(matches!("ftp://example.com/x".parse::<DeliverPlace>(), Err(UnknownScheme { .. })));
    }
}
