//! Buckets: objects of S3, Google Cloud Storage and Azure Blob Storage, and what speaks as they do.
//!
//! In: a [`BucketAddress`] and a [`FetchPolicy`] with the bucket's settings. Out: lists, objects in local files, and files in
//! buckets. Everything is bounded: waits, repetitions, the length of objects and lists, the memory of answers. An object appears
//! whole or not at all, with every provider.
//!
//! Where a bucket may be is the policy's rule (`fetch`), checked for each request at the time of connecting; redirects are not
//! followed. What the providers' library says of an error may hold signed addresses, so only the status and the provider's error
//! code are taken from it.

mod address;
mod client;
mod problem;
mod settings;

use std::{
    fmt,
    fs::File,
    future::Future,
    io::{Read, Seek, SeekFrom, Write},
    path::Path,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt;
use glob::{MatchOptions, Pattern};
use object_store::{GetOptions, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, path::Path as Key};
use tokio::runtime::{Builder, Handle, Runtime};

pub use self::{address::BucketAddress, problem::BucketProblem};
use super::fetch::FetchPolicy;
use crate::error::{Error, Result};

/// The most objects that are looked through for a pattern.
const MAX_LISTED: usize = 100_000;

/// The most objects that are read as one source; each is a file that stays open.
const MAX_MATCHING: usize = 500;

/// A list ends within this time, however long a download may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(300);

/// What is written in one request: S3's smallest part but one, so that it gets through a slow line within the idle timeout.
const PART_BYTES: u64 = 5 << 20;

/// The most parts of one object, S3's limit with room to spare.
const MAX_PARTS: u64 = 9_000;

/// How long to wait for a broken-off upload to be given up.
const ABORT_TIMEOUT: Duration = Duration::from_secs(10);

/// An object of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketObject {
    /// Its key.
    pub key: String,
    /// Its length.
    pub bytes: u64,
}

/// A bucket that can be listed, read and written. Calls block; they may be made from any thread, those of asynchronous code
/// included.
pub struct Bucket {
    store: Arc<dyn ObjectStore>,
    address: BucketAddress,
    policy: FetchPolicy,
    /// Only taken by `drop`.
    runtime: Option<Runtime>,
}

impl Bucket {
    /// Makes a client for the bucket of an address. Connects to nothing yet.
    ///
    /// # Errors
    /// [`Error::Bucket`] where the settings do not make a client, or are not for others to make.
    pub fn open(address: &BucketAddress, policy: &FetchPolicy) -> Result<Self> {
        let failed = |problem| Self::error("open", address, problem);
        let store = settings::client(address, policy).map_err(failed)?;
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|_| failed(BucketProblem::NoThreads))?;
        Ok(Self { store, address: address.clone(), policy: policy.clone(), runtime: Some(runtime) })
    }

    /// Lists what the address names: the objects that its pattern matches, sorted by key, or else all below it. Empty objects,
    /// which stand for folders with some providers, are passed over.
    ///
    /// `*` and `[...]` match within one part of a key, `**` any number of parts, as with local files.
    ///
    /// # Errors
    /// [`Error::Bucket`]; past 100,000 objects looked through too. [`Error::InvalidPattern`].
    pub fn list(&self) -> Result<Vec<BucketObject>> {
        const OPTIONS: MatchOptions =
            MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };
        let key = self.address.key();
        let pattern = match self.address.is_pattern() {
            true => Some(
                Pattern::new(key)
                    .map_err(|source| Error::InvalidPattern { pattern: self.address.to_string(), source })?,
            ),
            false => None,
        };
        let fixed = match &pattern {
            Some(_) => key.split('/').take_while(|part| !part.contains(['*', '['])).collect::<Vec<_>>().join("/"),
            None => key.to_owned(),
        };
        let prefix = Key::parse(&fixed).ok();
        let listed = async {
            let mut found = Vec::new();
            let mut objects = self.store.list(prefix.as_ref()).enumerate();
            while let Some((seen, object)) = objects.next().await {
                let object = object.map_err(|error| self.failed("list", self.address.key(), &error))?;
                if seen >= MAX_LISTED {
                    let problem = BucketProblem::TooMany { what: "objects below that prefix", limit: MAX_LISTED };
                    return Err(Self::error("list", &self.address, problem));
                }
                let key = object.location.to_string();
                if object.size > 0 && pattern.as_ref().is_none_or(|pattern| pattern.matches_with(&key, OPTIONS)) {
                    found.push(BucketObject { key, bytes: object.size });
                }
            }
            found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
            Ok(found)
        };
        let limit = self.policy.total_timeout.map_or(LIST_TIMEOUT, |total| total.min(LIST_TIMEOUT));
        self.wait("list", self.address.key(), Some(limit), listed)
    }

    /// Downloads an object into `file`, from its present position on. Gives its length.
    ///
    /// # Errors
    /// [`Error::Bucket`]; [`Error::DownloadTooLarge`] past the policy's limit, [`Error::DownloadTimeout`]; [`Error::Io`] and
    /// [`Error::NoSpace`] for the file.
    pub fn download(&self, key: &str, file: &mut File) -> Result<u64> {
        let place = self.place(key);
        let path = self.path("read", key)?;
        let failed = |error: &object_store::Error| self.failed("read", key, error);
        let too_large = || Error::DownloadTooLarge { place: place.clone(), limit_bytes: self.policy.max_bytes };
        let downloaded = async {
            let object = self.store.get(&path).await.map_err(|error| failed(&error))?;
            let total = object.meta.size;
            if total > self.policy.max_bytes {
                return Err(too_large());
            }
            let mut bytes = 0_u64;
            let mut pieces = object.into_stream();
            while let Some(piece) = pieces.next().await {
                let piece = piece.map_err(|error| failed(&error))?;
                bytes += piece.len() as u64;
                if bytes > self.policy.max_bytes {
                    return Err(too_large());
                }
                file.write_all(&piece).map_err(|source| Error::io("the temporary download", "write", source))?;
                if let Some(progress) = &self.policy.progress {
                    progress(bytes, Some(total));
                }
            }
            if bytes != total {
                return Err(self.error_at("read", key, BucketProblem::BrokenOff));
            }
            Ok(bytes)
        };
        self.wait("read", key, self.policy.total_timeout, downloaded)
    }

    /// Downloads the first four bytes of an object and the last `tail_bytes` into `file`, each to its place; what is between reads
    /// as zeros. For formats that have what matters at their end.
    ///
    /// # Errors
    /// Those of [`download`](Self::download).
    pub(crate) fn download_ends(&self, key: &str, tail_bytes: u64, file: &mut File) -> Result<()> {
        const HEAD_BYTES: u64 = 4;
        let path = self.path("read", key)?;
        let failed = |error: &object_store::Error| self.failed("read", key, error);
        let write = |source| Error::io("the temporary download", "write", source);
        let downloaded = async {
            let length = self.store.head(&path).await.map_err(|error| failed(&error))?.size;
            if length > self.policy.max_bytes {
                return Err(Error::DownloadTooLarge { place: self.place(key), limit_bytes: self.policy.max_bytes });
            }
            file.set_len(length).map_err(write)?;
            for range in [0..length.min(HEAD_BYTES), length.saturating_sub(tail_bytes)..length] {
                if range.is_empty() {
                    continue;
                }
                let options = GetOptions { range: Some(range.clone().into()), ..GetOptions::default() };
                let part = self.store.get_opts(&path, options).await.map_err(|error| failed(&error))?;
                file.seek(SeekFrom::Start(range.start)).map_err(write)?;
                let mut bytes = 0;
                let mut pieces = part.into_stream();
                while let Some(piece) = pieces.next().await {
                    let piece = piece.map_err(|error| failed(&error))?;
                    bytes += piece.len() as u64;
                    if bytes > range.end - range.start {
                        return Err(self.error_at("read", key, BucketProblem::NotABucket));
                    }
                    file.write_all(&piece).map_err(write)?;
                }
                if bytes < range.end - range.start {
                    return Err(self.error_at("read", key, BucketProblem::BrokenOff));
                }
            }
            Ok(())
        };
        self.wait("read", key, self.policy.total_timeout, downloaded)
    }

    /// Writes bytes as an object, in the place of a former one.
    ///
    /// # Errors
    /// [`Error::Bucket`].
    pub fn put_bytes(&self, key: &str, bytes: Vec<u8>) -> Result<()> {
        let path = self.path("write", key)?;
        let put = async {
            let put = self.store.put(&path, PutPayload::from(bytes)).await;
            put.map(drop).map_err(|error| self.failed("write", key, &error))
        };
        self.wait("write", key, self.policy.total_timeout, put)
    }

    /// Writes a file as an object, in the place of a former one: in one request where it is small, else in parts, of which one is
    /// in memory at a time. It appears when it is complete.
    ///
    /// # Errors
    /// [`Error::Bucket`]; [`Error::Io`] for the file. Then the former object stays.
    pub fn put_file(&self, key: &str, file: &Path) -> Result<()> {
        let read = |source| Error::io(file, "read", source);
        let mut opened = File::open(file).map_err(read)?;
        let length = opened.metadata().map_err(read)?.len();
        let part_bytes = PART_BYTES.max(length.div_ceil(MAX_PARTS));
        if length <= part_bytes {
            let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
            opened.read_to_end(&mut bytes).map_err(read)?;
            return self.put_bytes(key, bytes);
        }
        let path = self.path("write", key)?;
        let failed = |error: &object_store::Error| self.failed("write", key, error);
        let put = async {
            let mut upload = self.store.put_multipart(&path).await.map_err(|error| failed(&error))?;
            let parts = async {
                loop {
                    let mut part = Vec::with_capacity(usize::try_from(part_bytes).unwrap_or(0));
                    (&mut opened).take(part_bytes).read_to_end(&mut part).map_err(read)?;
                    if part.is_empty() {
                        break;
                    }
                    upload.put_part(Bytes::from(part).into()).await.map_err(|error| failed(&error))?;
                }
                upload.complete().await.map(drop).map_err(|error| failed(&error))
            };
            let written = match self.policy.total_timeout {
                Some(limit) => {
                    let late = |_| Err(Self::error("write", &self.address, BucketProblem::TimedOut { limit }));
                    tokio::time::timeout(limit, parts).await.unwrap_or_else(late)
                }
                None => parts.await,
            };
            if written.is_err() {
                give_up(upload.as_mut()).await;
            }
            written
        };
        // The limit is within, so that the parts are removed when it is reached.
        self.wait("write", key, None, put)
    }

    /// An error about what the address names.
    pub(super) fn error_here(&self, action: &'static str, problem: BucketProblem) -> Error {
        Self::error(action, &self.address, problem)
    }

    fn error(action: &'static str, address: &BucketAddress, problem: BucketProblem) -> Error {
        Error::Bucket { action, place: address.to_string(), problem: Box::new(problem) }
    }

    fn failed(&self, action: &'static str, key: &str, error: &object_store::Error) -> Error {
        self.error_at(action, key, BucketProblem::of(error, self.policy.idle_timeout))
    }

    fn error_at(&self, action: &'static str, key: &str, problem: BucketProblem) -> Error {
        Self::error(action, &self.address.with_key(key.to_owned()), problem)
    }

    fn place(&self, key: &str) -> String {
        self.address.with_key(key.to_owned()).to_string()
    }

    fn path(&self, action: &'static str, key: &str) -> Result<Key> {
        let not_one = || {
            let found = "the bucket or a folder of it";
            Self::error(action, &self.address, BucketProblem::NotOneObject { found })
        };
        let path = Key::parse(key).map_err(|_| not_one())?;
        if path.as_ref().is_empty() || key.ends_with('/') {
            return Err(not_one());
        }
        Ok(path)
    }

    fn wait<T: Send>(
        &self,
        action: &'static str,
        key: &str,
        limit: Option<Duration>,
        work: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let stopped = || Self::error(action, &self.address, BucketProblem::NoThreads);
        let Some(runtime) = &self.runtime else { return Err(stopped()) };
        let limited = || {
            runtime.block_on(async {
                let Some(limit) = limit else { return work.await };
                let late = |_| match action {
                    "read" => Err(Error::DownloadTimeout { place: self.place(key), limit_s: limit.as_secs() }),
                    _ => Err(Self::error(action, &self.address, BucketProblem::TimedOut { limit })),
                };
                tokio::time::timeout(limit, work).await.unwrap_or_else(late)
            })
        };
        if Handle::try_current().is_err() {
            return limited();
        }
        // A thread of another runtime may not wait here itself.
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("bucket".to_owned()).spawn_scoped(scope, limited);
            thread.map_err(|_| stopped())?.join().unwrap_or_else(|_| Err(stopped()))
        })
    }
}

/// Removes the parts of an upload that is not completed. They cost room only, so nobody waits long and a failure is no error.
async fn give_up(upload: &mut dyn MultipartUpload) {
    let _ = tokio::time::timeout(ABORT_TIMEOUT, upload.abort()).await;
}

impl Drop for Bucket {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Dropping it otherwise would wait, which a thread of another runtime may not.
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({})", self.address)
    }
}

/// An object in a nameless temporary file.
pub(super) struct Downloaded {
    /// The file, at its beginning; it has no name and is gone when closed.
    pub(super) file: File,
    /// The object's address.
    pub(super) place: String,
    pub(super) bytes: u64,
}

/// Downloads what an address names: one object, or all that its pattern matches, in the order of their keys. The policy's limit
/// of bytes is for all of them together.
///
/// # Errors
/// Those of [`Bucket::open`], [`Bucket::list`] and [`Bucket::download`].
pub(super) fn download_all(address: &BucketAddress, policy: &FetchPolicy) -> Result<Vec<Downloaded>> {
    let mut bucket = Bucket::open(address, policy)?;
    let keys = match address.is_pattern() {
        true => {
            let found = bucket.list()?;
            let refused = |problem| Err(Bucket::error("read", address, problem));
            match found.len() {
                0 => return refused(BucketProblem::NoMatch),
                count if count > MAX_MATCHING => {
                    return refused(BucketProblem::TooMany { what: "objects that match", limit: MAX_MATCHING });
                }
                _ => found.into_iter().map(|object| object.key).collect(),
            }
        }
        false => vec![address.key().to_owned()],
    };
    let mut downloads = Vec::with_capacity(keys.len());
    for key in keys {
        let failed = |source| Error::io("the temporary download", "write", source);
        let mut file = tempfile::tempfile().map_err(failed)?;
        let bytes = bucket.download(&key, &mut file)?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        bucket.policy.max_bytes -= bytes;
        downloads.push(Downloaded { file, place: bucket.place(&key), bytes });
    }
    Ok(downloads)
}
