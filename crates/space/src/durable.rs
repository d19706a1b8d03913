//! Files that survive a crash whole: written beside their place, flushed, then renamed into it; or created once and never
//! overwritten. Reading is capped and takes regular files only, so that a pipe or a huge file in a shared folder stops nobody.
//!
//! It does not choose names: callers give paths that are theirs.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Read, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use crate::error::{Error, Result};

/// Who may read a file that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Its owner alone (mode 0600).
    Owner,
    /// Whoever the process's umask lets: the file lies in a folder that parties share.
    Umask,
}

/// The name of a file that is on its way to its place ends with this.
const PARTIAL: &str = ".partial";

/// The age from which such a file is nobody's: its process was killed.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// Removes from a folder what killed processes left of files on their way. Only tidiness, so nothing here is an error.
pub(crate) fn sweep_abandoned(folder: &Path) {
    let now = SystemTime::now();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_partial = name.to_str().is_some_and(|name| name.starts_with('.') && name.ends_with(PARTIAL));
        let age = || now.duration_since(entry.metadata().ok()?.modified().ok()?).ok();
        if is_partial && age().is_some_and(|age| age > ABANDONED) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// Replaces the file at `path`, or makes it: at every moment the old bytes or the new ones are there, never a part.
pub(crate) fn replace(path: &Path, bytes: &[u8], readers: Readers) -> Result<()> {
    let folder = folder_of(path);
    let mut builder = tempfile::Builder::new();
    builder.prefix(".").suffix(PARTIAL);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = match readers {
            Readers::Owner => 0o600,
            Readers::Umask => 0o666,
        };
        builder.permissions(std::fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = readers;
    let mut file = builder.tempfile_in(folder).map_err(|source| Error::io("create a file in", folder, source))?;
    file.write_all(bytes)
        .and_then(|()| file.as_file().sync_all())
        .map_err(|source| Error::io("write", path, source))?;
    file.persist(path).map_err(|failed| Error::io("replace", path, failed.error))?;
    sync_folder(folder)
}

/// Creates the file at `path` for its owner alone (`O_EXCL`, mode 0600). Returns whether it was created: `false` where
/// something, a dangling link included, was there already.
pub(crate) fn create_private(path: &Path, bytes: &[u8]) -> Result<bool> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
        Err(source) => return Err(Error::io("create", path, source)),
    };
    if let Err(source) = file.write_all(bytes).and_then(|()| file.sync_all()) {
        drop(file);
        // What lies there now is a part of nothing; the error that is reported is the first one.
        let _ = std::fs::remove_file(path);
        return Err(Error::io("write", path, source));
    }
    sync_folder(folder_of(path))?;
    Ok(true)
}

/// Makes a folder where it is missing, and tells whether it is new; none above it. Below a share that is not mounted, what is
/// written would be out of sight once it is.
///
/// # Errors
/// What the system says where there is no folder afterwards.
pub fn make_folder(path: &Path) -> std::io::Result<bool> {
    match std::fs::create_dir(path) {
        Ok(()) => Ok(true),
        Err(_) if path.is_dir() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes a folder for its owner alone (mode 0700) where there is none.
pub(crate) fn create_private_folder(folder: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|source| Error::io("create", folder, source))
}

/// Waits for the lock that belongs to a file. It is on a file beside it (`NAME.lock`, mode 0600), because the file itself is
/// replaced; the system gives it back when the handle is closed, a crash included.
pub(crate) fn lock_beside(path: &Path) -> Result<File> {
    let mut path = path.to_owned().into_os_string();
    path.push(".lock");
    let path = PathBuf::from(path);
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path).map_err(|source| Error::io("create", &path, source))?;
    file.lock().map_err(|source| Error::io("lock", &path, source))?;
    Ok(file)
}

/// Opens a regular file to read it; `None` where there is none, or only something else under that name.
pub(crate) fn open_regular(path: &Path) -> Result<Option<File>> {
    // Looked at first because opening a pipe waits for its writer.
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::io("read", path, source)),
    }
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::io("read", path, source)),
    }
}

/// Reads an open file of at most `limit_bytes` into `bytes`, which is filled without being moved while it grows.
///
/// # Errors
/// [`Error::TooLarge`] naming `what`, [`Error::Io`].
pub(crate) fn read_capped(
    file: &mut File,
    path: &Path,
    what: &'static str,
    limit_bytes: u64,
    bytes: &mut Vec<u8>,
) -> Result<()> {
    let length = file.metadata().map_err(|source| Error::io("read", path, source))?.len();
    let too_large = || Error::TooLarge { what, path: path.to_owned(), limit_bytes };
    if length > limit_bytes {
        return Err(too_large());
    }
    // One more than the limit, because the file may grow between the two calls.
    bytes.reserve_exact(usize::try_from(length).unwrap_or(0).saturating_add(1));
    file.take(limit_bytes + 1).read_to_end(bytes).map_err(|source| Error::io("read", path, source))?;
    if bytes.len() as u64 > limit_bytes {
        return Err(too_large());
    }
    Ok(())
}

/// Makes the names in a folder as durable as the bytes behind them.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    #[cfg(unix)]
    File::open(folder).and_then(|opened| opened.sync_all()).map_err(|source| Error::io("flush", folder, source))?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

/// The folder in which a path lies; `.` for a bare name.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn replacing_leaves_the_new_bytes_and_no_other_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        replace(&path, b"one", Readers::Owner).unwrap();
        replace(&path, b"two", Readers::Owner).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_process_left_is_swept_when_it_is_old() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".old.partial", ".new.partial", "old.partial", ".old"] {
            let file = File::create(folder.path().join(name)).unwrap();
            if name != ".new.partial" {
                file.set_modified(SystemTime::now() - 2 * ABANDONED).unwrap();
            }
        }
        sweep_abandoned(folder.path());
        let mut left: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".new.partial", ".old", "old.partial"]);
    }

    #[test]
    fn creating_never_overwrites() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        assert!(create_private(&path, b"one").unwrap());
        assert!(!create_private(&path, b"two").unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
    }

    #[cfg(unix)]
    #[test]
    fn creating_does_not_write_through_a_dangling_link() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        let path = folder.path().join("x");
        std::os::unix::fs::symlink(&target, &path).unwrap();
        assert!(!create_private(&path, b"one").unwrap());
        assert!(!target.exists());
    }

    #[test]
    fn reading_stops_at_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, [7; 11]).unwrap();
        let mut bytes = Vec::new();
        let mut file = open_regular(&path).unwrap().unwrap();
        assert!(matches!(
            read_capped(&mut file, &path, "thing", 10, &mut bytes),
            Err(Error::TooLarge { limit_bytes: 10, .. })
        ));
        assert!(bytes.is_empty());
        let mut file = open_regular(&path).unwrap().unwrap();
        read_capped(&mut file, &path, "thing", 11, &mut bytes).unwrap();
        assert_eq!(bytes, [7; 11]);
    }
}
