//! Temporary files that are useless to whoever finds them.
//!
//! DataFusion spills sorted runs past the memory limit through [`EncryptedSpill`]: AES-256-GCM in chunks, under a random key
//! that is made with the factory and lives in memory only. The files are unlinked from the moment they are made (on Unix), so
//! that a killed process leaves neither content nor names behind. Framing:
//!
//! ```text
//! chunk = ciphertext (CHUNK_BYTES, the last one shorter) tag (16)
//! nonce = file number (4, little-endian) chunk number (8, little-endian)      aad = 1 in the last chunk, else 0
//! ```
//!
//! What is read back is exactly what was written, or an error: the Arrow data inside is decoded without further checks.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use datafusion::{
    common::DataFusionError,
    execution::{SpillFile, SpillWriter, TempFileFactory},
};
use futures::Stream;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// Plain bytes of a chunk.
const CHUNK_BYTES: usize = 64 << 10;
const TAG_BYTES: usize = 16;

/// Makes encrypted temporary files in one folder, up to a limit of bytes.
#[derive(Clone)]
pub(crate) struct EncryptedSpill(Arc<Shared>);

struct Shared {
    key: LessSafeKey,
    folder: PathBuf,
    limit_bytes: u64,
    next_file: AtomicU32,
    used_bytes: AtomicU64,
    written_bytes: AtomicU64,
    failure: Mutex<Option<Failure>>,
}

enum Failure {
    Io(io::Error),
    LimitReached,
}

impl EncryptedSpill {
    /// Draws a key; files will be made in `folder`.
    pub(crate) fn new(folder: &Path, limit_bytes: u64) -> Result<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut())
            .map_err(|source| Error::Internal { work: "drawing random numbers", source: source.into() })?;
        let key = UnboundKey::new(&AES_256_GCM, bytes.as_ref())
            .map_err(|source| Error::Internal { work: "preparing encryption", source: source.into() })?;
        Ok(Self(Arc::new(Shared {
            key: LessSafeKey::new(key),
            folder: folder.into(),
            limit_bytes,
            next_file: AtomicU32::new(0),
            used_bytes: AtomicU64::new(0),
            written_bytes: AtomicU64::new(0),
            failure: Mutex::new(None),
        })))
    }

    /// How many bytes were written in all.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.0.written_bytes.load(Ordering::Relaxed)
    }

    /// What went wrong with a temporary file, where something did.
    pub(crate) fn take_failure(&self, work: &'static str) -> Option<Error> {
        let path = self.0.folder.clone();
        Some(match lock(&self.0.failure).take()? {
            Failure::Io(source) => Error::io(path, "write temporary files in", source),
            Failure::LimitReached => Error::OutOfTempSpace { work, path, limit_bytes: self.0.limit_bytes },
        })
    }
}

impl TempFileFactory for EncryptedSpill {
    fn create_temp_file(&self, _description: &str) -> datafusion::common::Result<Arc<dyn SpillFile>> {
        let file = tempfile::tempfile_in(&self.0.folder).map_err(|error| self.0.failed(error))?;
        // A number is never used twice under one key: after 2^32 files there are no more.
        let number = self
            .0
            .next_file
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |number| number.checked_add(1))
            .map_err(|_| self.0.failed(io::Error::other("too many temporary files")))?;
        Ok(Arc::new(EncryptedFile(Arc::new(Contents {
            shared: Arc::clone(&self.0),
            number,
            file: Mutex::new(file),
            bytes: AtomicU64::new(0),
        }))))
    }
}

impl Shared {
    fn nonce(file: u32, chunk: u64) -> Nonce {
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&file.to_le_bytes());
        nonce[4..].copy_from_slice(&chunk.to_le_bytes());
        Nonce::assume_unique_for_key(nonce)
    }

    fn failed(&self, error: io::Error) -> DataFusionError {
        let kind = error.kind();
        lock(&self.failure).get_or_insert(Failure::Io(error));
        DataFusionError::IoError(kind.into())
    }
}

/// One temporary file.
struct EncryptedFile(Arc<Contents>);

struct Contents {
    shared: Arc<Shared>,
    number: u32,
    file: Mutex<File>,
    bytes: AtomicU64,
}

impl Drop for Contents {
    fn drop(&mut self) {
        self.shared.used_bytes.fetch_sub(self.bytes.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl SpillFile for EncryptedFile {
    fn size(&self) -> Option<u64> {
        Some(self.0.bytes.load(Ordering::Relaxed))
    }

    fn open_writer(&self) -> datafusion::common::Result<Box<dyn SpillWriter>> {
        Ok(Box::new(Writer {
            contents: Arc::clone(&self.0),
            buffer: Zeroizing::new(Vec::with_capacity(CHUNK_BYTES + TAG_BYTES)),
            chunk: 0,
        }))
    }

    fn read_stream(
        &self,
    ) -> datafusion::common::Result<Pin<Box<dyn Stream<Item = datafusion::common::Result<Bytes>> + Send>>> {
        let reader = Reader { contents: Arc::clone(&self.0), chunk: 0, done: false };
        Ok(Box::pin(futures::stream::iter(reader)))
    }
}

/// Encrypts what is written to one file. There is one writer for each file.
struct Writer {
    contents: Arc<Contents>,
    buffer: Zeroizing<Vec<u8>>,
    chunk: u64,
}

impl Writer {
    /// Encrypts and writes the buffer as the next chunk.
    fn seal(&mut self, last: bool) -> io::Result<()> {
        let Contents { shared, number, file, bytes } = &*self.contents;
        let nonce = Shared::nonce(*number, self.chunk);
        let tag = shared
            .key
            .seal_in_place_separate_tag(nonce, Aad::from([u8::from(last)]), &mut self.buffer)
            .map_err(|_| io::Error::other("encryption failed"))?;
        self.buffer.extend_from_slice(tag.as_ref());
        let length = self.buffer.len() as u64;
        let used = shared.used_bytes.fetch_add(length, Ordering::Relaxed) + length;
        bytes.fetch_add(length, Ordering::Relaxed);
        if used > shared.limit_bytes {
            lock(&shared.failure).get_or_insert(Failure::LimitReached);
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let mut file = lock(file);
        let written = file.seek(SeekFrom::Start(start(self.chunk))).and_then(|_| file.write_all(&self.buffer));
        if let Err(error) = written {
            let kind = error.kind();
            lock(&shared.failure).get_or_insert(Failure::Io(error));
            return Err(kind.into());
        }
        shared.written_bytes.fetch_add(length, Ordering::Relaxed);
        self.buffer.clear();
        self.chunk += 1;
        Ok(())
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() == CHUNK_BYTES {
            self.seal(false)?;
        }
        let taken = bytes.len().min(CHUNK_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // a chunk is written when it is full, or the last
    }
}

impl SpillWriter for Writer {
    fn finish(&mut self) -> datafusion::common::Result<()> {
        self.seal(true).map_err(DataFusionError::IoError)
    }
}

/// Decrypts one file, chunk by chunk.
struct Reader {
    contents: Arc<Contents>,
    chunk: u64,
    done: bool,
}

impl Reader {
    fn open(&mut self) -> io::Result<Bytes> {
        let Contents { shared, number, file, bytes } = &*self.contents;
        let left = bytes.load(Ordering::Relaxed).saturating_sub(start(self.chunk));
        let length = left.min((CHUNK_BYTES + TAG_BYTES) as u64);
        let last = left == length;
        let mut chunk = vec![0; length as usize];
        {
            let mut file = lock(file);
            file.seek(SeekFrom::Start(start(self.chunk)))?;
            file.read_exact(&mut chunk)?;
        }
        let plain = shared
            .key
            .open_in_place(Shared::nonce(*number, self.chunk), Aad::from([u8::from(last)]), &mut chunk)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a temporary file was altered"))?
            .len();
        chunk.truncate(plain);
        self.chunk += 1;
        self.done = last;
        Ok(chunk.into())
    }
}

impl Iterator for Reader {
    type Item = datafusion::common::Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let chunk = self.open();
        self.done |= chunk.is_err();
        Some(chunk.map_err(|error| self.contents.shared.failed(error)))
    }
}

fn start(chunk: u64) -> u64 {
    chunk * (CHUNK_BYTES + TAG_BYTES) as u64
}

/// What these locks guard is whole at every moment, whoever stopped while holding one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures::{StreamExt, executor::block_on};

    use super::*;

    const CANARY: &[u8] = b"canary.identifier@example.com ";

    fn spill(limit: u64) -> (tempfile::TempDir, EncryptedSpill) {
        let folder = tempfile::tempdir().unwrap();
        let spill = EncryptedSpill::new(folder.path(), limit).unwrap();
        (folder, spill)
    }

    fn write(file: &Arc<dyn SpillFile>, bytes: &[u8]) -> io::Result<()> {
        let mut writer = file.open_writer().unwrap();
        writer.write_all(bytes)?;
        writer.finish().map_err(io::Error::other)
    }

    fn read(file: &Arc<dyn SpillFile>) -> datafusion::common::Result<Vec<u8>> {
        let chunks = block_on(file.read_stream().unwrap().collect::<Vec<_>>());
        Ok(chunks.into_iter().collect::<datafusion::common::Result<Vec<_>>>()?.concat())
    }

    /// A file of this test as the disk has it.
    fn raw(spill: &EncryptedSpill, bytes: &[u8]) -> (Contents, Vec<u8>) {
        let contents = Contents {
            shared: Arc::clone(&spill.0),
            number: 7,
            file: Mutex::new(tempfile::tempfile_in(&spill.0.folder).unwrap()),
            bytes: AtomicU64::new(0),
        };
        let contents = Arc::new(contents);
        let file: Arc<dyn SpillFile> = Arc::new(EncryptedFile(Arc::clone(&contents)));
        write(&file, bytes).unwrap();
        drop(file);
        let contents = Arc::into_inner(contents).unwrap();
        let mut stored = Vec::new();
        {
            let mut file = contents.file.lock().unwrap();
            file.seek(SeekFrom::Start(0)).unwrap();
            file.read_to_end(&mut stored).unwrap();
        }
        (contents, stored)
    }

    #[test]
    fn gives_back_what_was_written_at_every_chunk_boundary() {
        let (_folder, spill) = spill(u64::MAX);
        for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES] {
            let bytes: Vec<u8> = (0..length).map(|index| index as u8).collect();
            let file = spill.create_temp_file("test").unwrap();
            write(&file, &bytes).unwrap();
            assert_eq!(read(&file).unwrap(), bytes, "{length} bytes");
            assert_eq!(file.size(), Some((length + TAG_BYTES * length.div_ceil(CHUNK_BYTES).max(1)) as u64));
        }
        assert!(spill.written_bytes() > 6 * CHUNK_BYTES as u64);
        assert_eq!(spill.0.used_bytes.load(Ordering::Relaxed), 0, "dropped files give their space back");
    }

    #[test]
    fn stores_no_plain_byte_and_leaves_no_name() {
        let (folder, spill) = spill(u64::MAX);
        let (_contents, stored) = raw(&spill, &CANARY.repeat(10_000));
        assert_eq!(stored.len(), CANARY.len() * 10_000 + 5 * TAG_BYTES);
        assert!(!stored.windows(8).any(|window| window == &CANARY[..8]));
        #[cfg(unix)]
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_altered_or_cut_file_is_an_error() {
        let (_folder, spill) = spill(u64::MAX);
        let alter = |change: &dyn Fn(&File, &AtomicU64)| {
            let (contents, _) = raw(&spill, &CANARY.repeat(10_000));
            change(&contents.file.lock().unwrap(), &contents.bytes);
            let file: Arc<dyn SpillFile> = Arc::new(EncryptedFile(Arc::new(contents)));
            read(&file).map(drop)
        };
        alter(&|_, _| {}).unwrap();
        let flip = |mut file: &File, at| {
            file.seek(SeekFrom::Start(at)).unwrap();
            file.write_all(&[0xaa, 0x55]).unwrap();
        };
        alter(&|file, _| flip(file, 0)).unwrap_err();
        alter(&|file, bytes| flip(file, bytes.load(Ordering::Relaxed) - 2)).unwrap_err();
        let cut = start(2);
        alter(&|file, bytes| {
            file.set_len(cut).unwrap();
            bytes.store(cut, Ordering::Relaxed);
        })
        .unwrap_err();
        alter(&|file, _| file.set_len(cut).unwrap()).unwrap_err();
    }

    #[test]
    fn stops_at_its_limit() {
        let (folder, spill) = spill(2 * CHUNK_BYTES as u64);
        let file = spill.create_temp_file("test").unwrap();
        assert!(write(&file, &vec![0; 3 * CHUNK_BYTES]).is_err());
        match spill.take_failure("sorting") {
            Some(Error::OutOfTempSpace { path, .. }) => assert_eq!(path, folder.path()),
            other => panic!("{other:?}"),
        }
    }
}
