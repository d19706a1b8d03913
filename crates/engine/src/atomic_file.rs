//! A file that appears whole or not at all.
//!
//! Bytes go to a temporary file beside the target; [`AtomicFile::commit`] flushes it to the disk, gives it its name and
//! flushes the folder. Whoever fails before that leaves nothing behind. On the way the SHA-256 of what is written is made,
//! so that the commitment is that of the file as delivered, without reading it again.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Its owner alone.
    Owner,
    /// Whoever the process's file mode mask allows: files that are meant for others.
    Default,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) sha256: [u8; 32],
    pub(crate) bytes: u64,
}

/// A file on its way.
pub(crate) struct AtomicFile {
    /// `None` once it has its name.
    temporary: Option<NamedTempFile>,
    target: PathBuf,
    hash: Sha256,
    bytes: u64,
    failure: Option<io::Error>,
    /// In tests: how many bytes the disk still takes.
    #[cfg(test)]
    pub(crate) space: Option<u64>,
}

impl AtomicFile {
    /// Begins a file; an existing one of that name stays as it is until the commit.
    ///
    /// # Errors
    /// [`Error::Io`] where the folder cannot be written to, [`Error::NoSpace`].
    pub(crate) fn create(target: &Path, readers: Readers) -> Result<Self> {
        let name = target.file_name().ok_or_else(|| {
            Error::io(target, "create", io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))
        })?;
        let prefix = format!(".{}.", name.to_string_lossy());
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(".tmp");
        #[cfg(unix)]
        if readers == Readers::Default {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        #[cfg(not(unix))]
        let _ = readers;
        let temporary = builder.tempfile_in(folder(target)).map_err(|source| Error::io(target, "create", source))?;
        Ok(Self {
            temporary: Some(temporary),
            target: target.into(),
            hash: Sha256::new(),
            bytes: 0,
            failure: None,
            #[cfg(test)]
            space: None,
        })
    }

    /// What a failed write said, where one failed: libraries between here and the caller may hide it.
    pub(crate) fn take_failure(&mut self) -> Option<Error> {
        self.failure.take().map(|source| Error::io(&self.target, "write", source))
    }

    /// Makes the file appear under its name.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NoSpace`].
    pub(crate) fn commit(&mut self) -> Result<Written> {
        let failed = |source| Error::io(&self.target, "write", source);
        let temporary = self.temporary.take().ok_or_else(|| failed(already_committed()))?;
        temporary.as_file().sync_all().map_err(failed)?;
        temporary.persist(&self.target).map_err(|error| failed(error.error))?;
        #[cfg(unix)]
        File::open(folder(&self.target)).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(Written { sha256: self.hash.finalize_reset().into(), bytes: self.bytes })
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(test)]
        if let Some(space) = &mut self.space {
            match space.checked_sub(bytes.len() as u64) {
                Some(left) => *space = left,
                None => {
                    self.failure = Some(io::ErrorKind::StorageFull.into());
                    return Err(io::ErrorKind::StorageFull.into());
                }
            }
        }
        let Some(temporary) = &mut self.temporary else { return Err(already_committed()) };
        match temporary.as_file_mut().write_all(bytes) {
            Ok(()) => {
                self.hash.update(bytes);
                self.bytes += bytes.len() as u64;
                Ok(bytes.len())
            }
            Err(error) => {
                let kind = error.kind();
                self.failure = Some(error);
                Err(kind.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // nothing is buffered here
    }
}

fn already_committed() -> io::Error {
    io::Error::other("the file is closed")
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn the_file_appears_at_the_commit_with_its_hash() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out");
        std::fs::write(&target, "before").unwrap();
        let mut file = AtomicFile::create(&target, Readers::Default).unwrap();
        file.write_all(b"ab").unwrap();
        file.write_all(b"c").unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"before");
        let written = file.commit().unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"abc");
        assert_eq!(written.bytes, 3);
        assert_eq!(hex::encode(written.sha256), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(names(folder.path()), ["out"]);
    }

    #[test]
    fn nothing_is_left_without_a_commit() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = AtomicFile::create(&folder.path().join("out"), Readers::Owner).unwrap();
        file.write_all(b"abc").unwrap();
        drop(file);
        assert!(names(folder.path()).is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_reads_what_is_not_for_others() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out");
        AtomicFile::create(&target, Readers::Owner).unwrap().commit().unwrap();
        assert_eq!(std::fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_missing_folder_and_a_full_disk_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing").join("out");
        assert!(matches!(AtomicFile::create(&missing, Readers::Owner), Err(Error::Io { action: "create", .. })));
        let mut file = AtomicFile::create(&folder.path().join("out"), Readers::Owner).unwrap();
        file.space = Some(2);
        assert!(file.write_all(b"abc").is_err());
        assert!(matches!(file.take_failure(), Some(Error::NoSpace { .. })));
    }
}
