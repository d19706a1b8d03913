//! A mailbox that is a bucket with a prefix: one object for each message.
//!
//! In: an address (`s3://`, `gs://`, `az://`) and variables as the providers name them. Putting an object replaces the former
//! one whole, with every provider. Objects deeper below the prefix, or with names that no message has, are passed over.
//!
//! Credentials are in the variables alone. What the providers' library says of an error may hold signed addresses and account
//! names, so only the status and the provider's error code are taken from it.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use ::object_store::{
    BackoffConfig, ClientConfigKey, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    client::{HttpError, HttpErrorKind},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey},
    path::Path,
};
use futures::StreamExt;
use url::Url;

use super::{
    MAX_MESSAGE_BYTES, MAX_MESSAGES, Mailbox, MessageName, Patience, Trouble, refuse_too_large, trouble::innermost,
    waiting::Waiter,
};
use crate::{
    error::{Error, Result},
    location::MailboxPlace,
};

/// How long an unused connection may be taken again. Short: nobody hears of its end while nothing is asked, and then the library
/// has to try again.
const IDLE: Duration = Duration::from_secs(2);

/// A mailbox in a bucket.
pub struct ObjectStoreMailbox {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// The address, for errors.
    place: String,
    waiter: Waiter,
    patience: Patience,
}

impl ObjectStoreMailbox {
    /// Makes a client for the bucket at an address, with the variables that begin with `AWS_`, `GOOGLE_` or `AZURE_`.
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// [`Error::Mailbox`] where address and variables do not make a bucket.
    pub fn open(url: &Url, variables: impl Iterator<Item = (String, String)>, patience: Patience) -> Result<Self> {
        let place = MailboxPlace::Bucket(url.clone()).to_string();
        let failed = |trouble| Error::Mailbox { action: "open the mailbox", place: place.clone(), trouble };
        let environment = |error: ::object_store::Error| failed(Trouble::Environment { reason: innermost(&error) });
        let store: Arc<dyn ObjectStore> = match url.scheme() {
            "gs" => Arc::new(google(url, variables, patience).map_err(environment)?),
            "az" | "azure" | "abfs" | "abfss" => Arc::new(azure(url, variables, patience).map_err(environment)?),
            _ => Arc::new(amazon(url, variables, patience).map_err(environment)?),
        };
        let prefix = Path::from_url_path(url.path())
            .map_err(|_| failed(Trouble::Environment { reason: "the prefix is not a valid path".to_owned() }))?;
        let waiter = Waiter::new(patience.total).map_err(failed)?;
        Ok(Self { store, prefix, place, waiter, patience })
    }

    /// Takes a store that is open already, for tests and for stores of another sort.
    ///
    /// # Errors
    /// [`Error::Mailbox`] where the system gives no thread.
    pub fn with_store(store: Arc<dyn ObjectStore>, prefix: Path, patience: Patience) -> Result<Self> {
        let place = format!("{store}/{prefix}");
        let waiter = Waiter::new(patience.total).map_err(|trouble| Error::Mailbox {
            action: "open the mailbox",
            place: place.clone(),
            trouble,
        })?;
        Ok(Self { store, prefix, place, waiter, patience })
    }

    fn path(&self, name: &MessageName) -> Path {
        self.prefix.clone().join(name.as_str())
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(Trouble) -> Error {
        let place = self.place.clone();
        move |trouble| Error::Mailbox { action, place, trouble }
    }

    fn trouble(&self, error: &::object_store::Error) -> Trouble {
        describe(error, self.patience)
    }
}

impl Mailbox for ObjectStoreMailbox {
    fn put(&self, name: &MessageName, bytes: &[u8]) -> Result<()> {
        refuse_too_large(name, bytes.len() as u64)?;
        let path = self.path(name);
        let put = async {
            let payload = PutPayload::from(bytes.to_vec());
            self.store.put(&path, payload).await.map(drop).map_err(|error| self.trouble(&error))
        };
        self.waiter.wait(put).map_err(self.failed("put a message into"))
    }

    fn list(&self) -> Result<Vec<MessageName>> {
        let list = async {
            let mut names = Vec::new();
            let mut objects = self.store.list(Some(&self.prefix)).enumerate();
            while let Some((seen, object)) = objects.next().await {
                let object = object.map_err(|error| self.trouble(&error))?;
                if seen >= MAX_MESSAGES {
                    return Err(Trouble::TooMuch { what: "objects", limit: MAX_MESSAGES });
                }
                let Some(mut below) = object.location.prefix_match(&self.prefix) else { continue };
                if let (Some(name), None) = (below.next(), below.next())
                    && let Ok(name) = name.as_ref().parse()
                {
                    names.push(name);
                }
            }
            names.sort_unstable();
            Ok(names)
        };
        self.waiter.wait(list).map_err(self.failed("list"))
    }

    fn read(&self, name: &MessageName) -> Result<Option<Vec<u8>>> {
        let path = self.path(name);
        let read = async {
            let object = match self.store.get(&path).await {
                Ok(object) => object,
                Err(error) if is_absent(&error) => return Ok(Object::Absent),
                Err(error) => return Err(self.trouble(&error)),
            };
            if object.meta.size > MAX_MESSAGE_BYTES {
                return Ok(Object::TooLarge);
            }
            let mut bytes = Vec::new();
            let mut pieces = object.into_stream();
            while let Some(piece) = pieces.next().await {
                let piece = piece.map_err(|error| self.trouble(&error))?;
                if (bytes.len() + piece.len()) as u64 > MAX_MESSAGE_BYTES {
                    return Ok(Object::TooLarge);
                }
                bytes.extend_from_slice(&piece);
            }
            Ok(Object::Whole(bytes))
        };
        match self.waiter.wait(read).map_err(self.failed("read a message from"))? {
            Object::Whole(bytes) => Ok(Some(bytes)),
            Object::Absent => Ok(None),
            Object::TooLarge => refuse_too_large(name, u64::MAX).map(|()| None),
        }
    }

    fn remove(&self, name: &MessageName) -> Result<()> {
        let path = self.path(name);
        let remove = async {
            match self.store.delete(&path).await {
                Ok(()) => Ok(()),
                Err(error) if is_absent(&error) => Ok(()),
                Err(error) => Err(self.trouble(&error)),
            }
        };
        self.waiter.wait(remove).map_err(self.failed("remove a message from"))
    }
}

impl fmt::Debug for ObjectStoreMailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectStoreMailbox({})", self.place)
    }
}

enum Object {
    Whole(Vec<u8>),
    Absent,
    TooLarge,
}

/// Builds a client of one provider: its own variables first, then our waits, and the address last, which has the last word.
macro_rules! build {
    ($builder:ty, $key:ty, $prefix:literal, $other:expr, $url:expr, $variables:expr, $patience:expr) => {{
        let mut builder = <$builder>::default();
        for (name, value) in $variables {
            let key = match name.as_str() {
                name if name.starts_with($prefix) => name.to_ascii_lowercase().parse::<$key>().ok(),
                name => $other(name),
            };
            if let Some(key) = key {
                builder = builder.with_config(key, value);
            }
        }
        for (key, value) in waits($patience) {
            builder = builder.with_config(<$key>::Client(key), value);
        }
        builder.with_retry(retries($patience)).with_url($url.as_str()).build()
    }};
}

fn amazon(
    url: &Url,
    variables: impl Iterator<Item = (String, String)>,
    patience: Patience,
) -> ::object_store::Result<impl ObjectStore> {
    build!(AmazonS3Builder, AmazonS3ConfigKey, "AWS_", |_| None, url, variables, patience)
}

fn google(
    url: &Url,
    variables: impl Iterator<Item = (String, String)>,
    patience: Patience,
) -> ::object_store::Result<impl ObjectStore> {
    let other = |name: &str| (name == "SERVICE_ACCOUNT").then_some(GoogleConfigKey::ServiceAccount);
    build!(GoogleCloudStorageBuilder, GoogleConfigKey, "GOOGLE_", other, url, variables, patience)
}

fn azure(
    url: &Url,
    variables: impl Iterator<Item = (String, String)>,
    patience: Patience,
) -> ::object_store::Result<impl ObjectStore> {
    let other = |name: &str| (name == "IDENTITY_ENDPOINT").then_some(AzureConfigKey::MsiEndpoint);
    build!(MicrosoftAzureBuilder, AzureConfigKey, "AZURE_", other, url, variables, patience)
}

fn waits(patience: Patience) -> [(ClientConfigKey, String); 3] {
    let ms = |duration: Duration| format!("{}ms", duration.as_millis());
    [
        (ClientConfigKey::ConnectTimeout, ms(patience.connect)),
        (ClientConfigKey::Timeout, ms(patience.total)),
        (ClientConfigKey::PoolIdleTimeout, ms(IDLE)),
    ]
}

fn retries(patience: Patience) -> RetryConfig {
    let backoff = BackoffConfig { max_backoff: Duration::from_secs(2), ..BackoffConfig::default() };
    RetryConfig { backoff, max_retries: patience.retries, retry_timeout: patience.total }
}

/// Whether only the message is not there. A missing bucket has the same status, and is an error.
fn is_absent(error: &::object_store::Error) -> bool {
    const NO_BUCKET: [&str; 2] = ["NoSuchBucket", "ContainerNotFound"];
    matches!(error, ::object_store::Error::NotFound { .. })
        && !code(&error.to_string()).is_some_and(|code| NO_BUCKET.contains(&code))
}

/// Says what an error of the library comes from. Its types for that are its own, so status and code are read from its text.
fn describe(error: &::object_store::Error, patience: Patience) -> Trouble {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(http) = error.downcast_ref::<HttpError>() {
            return match http.kind() {
                HttpErrorKind::Timeout => Trouble::TimedOut { limit: patience.total },
                HttpErrorKind::Connect => Trouble::Unreachable { reason: innermost(http) },
                _ => Trouble::BrokenOff,
            };
        }
        cause = error.source();
    }
    let text = error.to_string();
    let said = code(&text).unwrap_or_default();
    match (status(&text), error) {
        (Some(status), _) => Trouble::of_status(status, said),
        (None, ::object_store::Error::NotFound { .. }) => Trouble::of_status(404, said),
        (None, ::object_store::Error::PermissionDenied { .. }) => Trouble::of_status(403, said),
        (None, ::object_store::Error::Unauthenticated { .. }) => Trouble::of_status(401, said),
        (None, _) if text.contains("redirect") => Trouble::Redirects { status: 301 },
        (None, _) => Trouble::NotAMailbox { reason: "it cannot be understood" },
    }
}

/// The status within "non-2xx status code: 403 Forbidden".
fn status(text: &str) -> Option<u16> {
    let after = text.split_once("status code: ")?.1;
    after.get(..3)?.parse().ok()
}

/// The provider's short word for an error, within `<Code>AccessDenied</Code>`.
fn code(text: &str) -> Option<&str> {
    let code = text.split_once("<Code>")?.1.split_once("</Code>")?.0;
    (!code.is_empty() && code.len() <= 64 && code.bytes().all(|b| b.is_ascii_alphanumeric())).then_some(code)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_status_and_code_are_taken_from_what_the_library_says() {
        let said = "Generic S3 error: Error performing GET http://h/b?sig=secret in 1ms - Server returned non-2xx status \
                    code: 403 Forbidden: <Error><Code>AccessDenied</Code><AWSAccessKeyId>secret</AWSAccessKeyId></Error>";
        assert_eq!((status(said), code(said)), (Some(403), Some("AccessDenied")));
        assert_eq!(code("<Code>a b</Code>"), None);
        let error = ::object_store::Error::Generic { store: "S3", source: said.into() };
        let trouble = describe(&error, Patience::default());
        assert_eq!(trouble, Trouble::Refused { status: 403, said: "AccessDenied".to_owned() });
    }

    #[test]
    fn a_missing_bucket_is_not_a_missing_message() {
        let absent = |source: &str| ::object_store::Error::NotFound { path: "x".to_owned(), source: source.into() };
        assert!(is_absent(&absent("status code: 404: <Error><Code>NoSuchKey</Code></Error>")));
        assert!(!is_absent(&absent("status code: 404: <Error><Code>NoSuchBucket</Code></Error>")));
        assert!(!is_absent(&absent("status code: 404: <Error><Code>ContainerNotFound</Code></Error>")));
    }

    #[test]
    fn neither_errors_nor_debug_repeat_a_credential() {
        let url = "az://container/prefix".parse().unwrap();
        let variables = || [("AZURE_STORAGE_ACCOUNT_KEY".to_owned(), "not base64: secret".to_owned())].into_iter();
        let named = variables().chain([("AZURE_STORAGE_ACCOUNT_NAME".to_owned(), "account".to_owned())]);
        for result in [
            ObjectStoreMailbox::open(&url, variables(), Patience::brief()),
            ObjectStoreMailbox::open(&url, named, Patience::brief()),
        ] {
            let error = result.unwrap_err();
            assert!(matches!(error, Error::Mailbox { trouble: Trouble::Environment { .. }, .. }), "{error}");
            assert!(error.to_string().contains("az://container/prefix"), "{error}");
            assert!(!format!("{error}{error:?}").contains("secret"), "{error}");
            assert!(error.remedy().unwrap().contains("AZURE_"));
        }
    }
}
