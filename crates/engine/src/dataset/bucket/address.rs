//! Addresses in buckets: which provider, which bucket, and the key of an object, a pattern or a prefix in it.
//!
//! In: text such as `s3://bucket/exports/*.parquet`. Out: its parts, each of an alphabet that cannot turn a name into another host
//! or another request. Providers' own web addresses (`https://bucket.s3.amazonaws.com/...`) are not buckets here but files to
//! download.

use std::{fmt, str::FromStr};

use object_store::path::Path as Key;
use url::Url;

use crate::error::{Error, Result};

/// Which provider's interface a bucket has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Provider {
    Amazon,
    Google,
    Azure,
}

impl Provider {
    /// The beginning of the names of its settings.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Amazon => "AWS_",
            Self::Google => "GOOGLE_",
            Self::Azure => "AZURE_",
        }
    }
}

/// A place in a bucket: one object, a pattern with `*` and `[...]`, or what keys begin with.
///
/// `FromStr` takes `s3://` and `s3a://BUCKET/KEY`, `gs://BUCKET/KEY`, `az://`, `azure://` and `abfs(s)://CONTAINER/KEY`, and with
/// the storage account in it `abfs(s)://CONTAINER@ACCOUNT.dfs.core.windows.net/KEY` and
/// `az://ACCOUNT.blob.core.windows.net/CONTAINER/KEY`. In a key, a percent sign and two hexadecimal digits stand for a byte.
#[derive(Clone, PartialEq, Eq)]
pub struct BucketAddress {
    scheme: &'static str,
    /// The storage account's host, where the address names one (Azure).
    account_host: Option<String>,
    bucket: String,
    key: String,
    is_folder: bool,
}

const SCHEMES: [(&str, Provider); 7] = [
    ("s3", Provider::Amazon),
    ("s3a", Provider::Amazon),
    ("gs", Provider::Google),
    ("az", Provider::Azure),
    ("azure", Provider::Azure),
    ("abfs", Provider::Azure),
    ("abfss", Provider::Azure),
];

/// The hosts of Azure's storage accounts, behind the account's name.
const ACCOUNT_HOSTS: [&str; 4] =
    ["blob.core.windows.net", "dfs.core.windows.net", "blob.fabric.microsoft.com", "dfs.fabric.microsoft.com"];

impl BucketAddress {
    /// Whether a scheme is one of buckets.
    pub(crate) fn is_scheme(scheme: &str) -> bool {
        SCHEMES.iter().any(|(known, _)| *known == scheme)
    }

    /// The key of the object, pattern or prefix; empty for the whole bucket.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether the key is a pattern.
    #[must_use]
    pub fn is_pattern(&self) -> bool {
        self.key.contains(['*', '['])
    }

    /// Whether it names no object: the whole bucket, or a key that ends in `/`.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.is_folder || self.key.is_empty()
    }

    /// Gives the address of `name` below this one; `name` may have several components with `/` between them.
    ///
    /// # Errors
    /// [`Error::UnsupportedSource`] for a name with an empty component, `.`, `..` or control characters.
    pub fn join(&self, name: &str) -> Result<Self> {
        let below = Key::parse(name).ok().filter(|below| !below.as_ref().is_empty());
        let below = below.ok_or_else(|| unsupported(self.scheme, "a name below it is not a valid key"))?;
        let key = match self.key.is_empty() {
            true => below.to_string(),
            false => format!("{}/{below}", self.key),
        };
        Ok(self.with_key(key))
    }

    /// The same bucket with another key.
    pub(crate) fn with_key(&self, key: String) -> Self {
        Self { key, is_folder: false, ..self.clone() }
    }

    pub(super) fn provider(&self) -> Provider {
        SCHEMES.iter().find(|(known, _)| *known == self.scheme).map_or(Provider::Amazon, |(_, provider)| *provider)
    }

    pub(super) fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The storage account and whether it is one of Fabric, where the address names one.
    pub(super) fn account(&self) -> Option<(&str, bool)> {
        let (account, host) = self.account_host.as_deref()?.split_once('.')?;
        Some((account, host.ends_with("fabric.microsoft.com")))
    }
}

impl FromStr for BucketAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| unsupported("...", "it has no scheme"))?;
        let scheme = scheme.to_ascii_lowercase();
        let Some(&(scheme, provider)) = SCHEMES.iter().find(|(known, _)| *known == scheme) else {
            return Err(unsupported("...", "it is not the address of a bucket"));
        };
        let refused = |reason| unsupported(scheme, reason);
        if rest.contains(['?', '#']) {
            return Err(refused(
                "there is a '?' or '#' in it: credentials belong into settings, and patterns know * and [...] only",
            ));
        }
        let (authority, key) = rest.split_once('/').unwrap_or((rest, ""));
        let (bucket, account_host, key) = match (provider, authority.split_once('@')) {
            (Provider::Azure, Some((container, host))) => (container, Some(host), key),
            (_, Some(_)) => return Err(refused("there is a user name or a password in it")),
            (Provider::Azure, None) if authority.contains('.') => {
                let (container, key) = key.split_once('/').unwrap_or((key, ""));
                (container, Some(authority), key)
            }
            (_, None) => (authority, None, key),
        };
        if !is_bucket_name(bucket, provider) {
            return Err(refused("it names no bucket"));
        }
        let account_host = account_host.map(str::to_ascii_lowercase);
        if account_host.as_deref().is_some_and(|host| !is_account_host(host)) {
            return Err(refused("it names no storage account of Azure"));
        }
        let is_folder = key.ends_with('/');
        let key = Key::from_url_path(key).map_err(|_| refused("its key has an empty part, '.', '..' or odd bytes"))?;
        Ok(Self { scheme, account_host, bucket: bucket.to_owned(), key: key.into(), is_folder })
    }
}

impl TryFrom<&Url> for BucketAddress {
    type Error = Error;

    fn try_from(url: &Url) -> Result<Self> {
        url.as_str().parse()
    }
}

impl fmt::Display for BucketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.account_host {
            Some(host) => write!(f, "{}://{}@{host}/{}", self.scheme, self.bucket, self.key),
            None => write!(f, "{}://{}/{}", self.scheme, self.bucket, self.key),
        }
    }
}

impl fmt::Debug for BucketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BucketAddress({self})")
    }
}

/// Only the scheme of what is refused is shown: the rest may hold a secret.
fn unsupported(scheme: &str, reason: &'static str) -> Error {
    Error::UnsupportedSource { place: format!("{scheme}://..."), reason }
}

/// Whether a name is one that a bucket may have; no other can be part of a host or a path.
fn is_bucket_name(name: &str, provider: Provider) -> bool {
    let (longest, special): (usize, &[u8]) = match provider {
        Provider::Azure if matches!(name, "$root" | "$web" | "$logs") => return true,
        Provider::Azure => (63, b"-"),
        Provider::Amazon | Provider::Google => (255, b"-._"),
    };
    let ends = [name.bytes().next(), name.bytes().next_back()];
    (3..=longest).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || special.contains(&byte))
        && ends.into_iter().flatten().all(|byte| byte.is_ascii_alphanumeric())
        && !name.contains("..")
}

/// Whether a name is one that a storage account may have.
pub(super) fn is_account(name: &str) -> bool {
    (3..=24).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn is_account_host(host: &str) -> bool {
    host.split_once('.').is_some_and(|(account, host)| is_account(account) && ACCOUNT_HOSTS.contains(&host))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> BucketAddress {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn takes_every_form_apart() {
        for (text, bucket, key, account) in [
            ("s3://acme-exports/a/b.csv", "acme-exports", "a/b.csv", None),
            ("S3A://acme.exports_1/*.parquet", "acme.exports_1", "*.parquet", None),
            ("gs://bucket/a%20b/{model}.json", "bucket", "a b/{model}.json", None),
            ("az://container/x.csv", "container", "x.csv", None),
            ("azure://$web/x.csv", "$web", "x.csv", None),
            ("abfss://container@Account1.dfs.core.windows.net/x/y", "container", "x/y", Some(("account1", false))),
            ("az://account1.blob.core.windows.net/container/x/y", "container", "x/y", Some(("account1", false))),
            ("abfs://space@onelake.dfs.fabric.microsoft.com/x", "space", "x", Some(("onelake", true))),
            ("s3://bucket", "bucket", "", None),
        ] {
            let address = parsed(text);
            assert_eq!((address.bucket(), address.key(), address.account()), (bucket, key, account), "{text}");
            let again = parsed(&address.to_string().replace(' ', "%20"));
            assert_eq!(again, address, "{text}");
        }
    }

    #[test]
    fn knows_objects_patterns_and_folders() {
        for (text, is_pattern, is_folder) in [
            ("s3://bucket/a.csv", false, false),
            ("s3://bucket/a[12].csv", true, false),
            ("s3://bucket/**/a.csv", true, false),
            ("s3://bucket/a/", false, true),
            ("s3://bucket/", false, true),
        ] {
            let address = parsed(text);
            assert_eq!((address.is_pattern(), address.is_folder()), (is_pattern, is_folder), "{text}");
        }
    }

    #[test]
    fn no_name_becomes_another_host_or_request_and_no_secret_is_shown() {
        for text in [
            "s3://169.254.169.254%2Flatest/secret",
            "s3://bucket:80/secret",
            "s3://key:secret@bucket/x",
            "s3://secret@bucket/x",
            "s3://bu#cket/secret",
            "s3://bucket/x?X-Amz-Signature=secret",
            "az://container/x?sv=2022&sig=secret",
            "s3:///secret",
            "s3://ab/secret",
            "s3://-bucket/secret",
            "s3://bucket./secret",
            "s3://a..b/secret",
            "s3://bücket/secret",
            "gs://bucket\\evil.example/secret",
            "az://container@evil.example/secret",
            "az://container@account.blob.core.windows.net.evil.example/secret",
            "az://container@a.b.dfs.core.windows.net/secret",
            "az://container:secret@account.dfs.core.windows.net/x",
            "az://169.254.169.254/container/secret",
            "az://account.evil.example/container/secret",
            "s3://bucket/secret/../x",
            "s3://bucket/secret/%2e%2e/x",
            "s3://bucket/secret//x",
            "s3://bucket/secret%0d%0aHost:%20x",
            "s3://bucket/secret%ff",
            "https://bucket.s3.amazonaws.com/secret",
            "secret",
        ] {
            let error = text.parse::<BucketAddress>().unwrap_err();
            assert!(!error.to_string().contains("secret"), "{text}: {error}");
            assert!(error.remedy().is_some(), "{text}");
        }
    }

    #[test]
    fn names_below_stay_below() {
        let prefix = parsed("s3://bucket/reports/");
        assert_eq!(prefix.join("01J/report.json").unwrap().to_string(), "s3://bucket/reports/01J/report.json");
        assert_eq!(parsed("s3://bucket").join("x").unwrap().key(), "x");
        for name in ["", "/", "..", "a/../b", "a//b", "a\nb"] {
            assert!(prefix.join(name).is_err(), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_an_address_or_refused(text in "(s3|gs|az|abfss)://[\\PC]{0,60}") {
            if let Ok(address) = text.parse::<BucketAddress>() {
                prop_assert!(!address.bucket().contains(['/', ':', '@', '%', '?', '#']));
                prop_assert!(!address.key().split('/').any(|part| part == ".."));
            }
        }
    }
}
