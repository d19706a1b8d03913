//! A mailbox that is a folder. Files are written beside their place and renamed; links are not followed.
//!
//! It does not guard who may enter: that is the file system's.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::{MAX_MESSAGE_BYTES, Mailbox, MessageName, refuse_too_large};
use crate::{
    durable::{self, Readers},
    error::{Error, Result},
};

/// A mailbox that is a folder, on a disk or a share that the parties have in common.
#[derive(Clone, Debug)]
pub struct FolderMailbox {
    folder: PathBuf,
}

impl FolderMailbox {
    /// Opens a mailbox that is there; what was left in it by a process that was killed while writing goes after a day.
    ///
    /// # Errors
    /// [`Error::NoFolder`], [`Error::Io`].
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        match std::fs::metadata(&folder) {
            Ok(metadata) if metadata.is_dir() => {
                durable::sweep_abandoned(&folder);
                Ok(Self { folder })
            }
            Ok(_) => Err(Error::NoFolder { what: "mailbox", path: folder }),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Error::NoFolder { what: "mailbox", path: folder }),
            Err(source) => Err(Error::io("open", &folder, source)),
        }
    }

    /// Opens a mailbox, making its folder first where it is missing, but none above it: below a share that is not mounted,
    /// messages would be out of sight once it is. Who may enter it is left to the umask, because parties share it.
    ///
    /// # Errors
    /// [`Error::NoFolder`] where something else lies under that name, or no folder above it; [`Error::Io`].
    pub fn open_or_create(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        match durable::make_folder(&folder) {
            // What lies there, or that there is nothing, is seen when it is opened.
            Err(error) if !matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) => {
                Err(Error::io("create", &folder, error))
            }
            _ => Self::open(folder),
        }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, name: &MessageName) -> PathBuf {
        self.folder.join(name.as_str())
    }

    /// The error where the folder itself is no longer there (moved, unmounted): then nothing can be said of its messages.
    fn gone(&self) -> Option<Error> {
        (!self.folder.is_dir()).then(|| Error::NoFolder { what: "mailbox", path: self.folder.clone() })
    }
}

impl Mailbox for FolderMailbox {
    fn put(&self, name: &MessageName, bytes: &[u8]) -> Result<()> {
        refuse_too_large(name, bytes.len() as u64)?;
        durable::replace(&self.path(name), bytes, Readers::Umask).map_err(|error| self.gone().unwrap_or(error))
    }

    fn list(&self) -> Result<Vec<MessageName>> {
        let failed = |source| self.gone().unwrap_or_else(|| Error::io("list", &self.folder, source));
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // Links are passed over too: a message is a file that somebody put here.
            if !entry.file_type().map_err(failed)?.is_file() {
                continue;
            }
            if let Some(name) = entry.file_name().to_str().and_then(|text| text.parse().ok()) {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn read(&self, name: &MessageName) -> Result<Option<Vec<u8>>> {
        let path = self.path(name);
        match std::fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => return self.gone().map_or(Ok(None), Err),
            Err(source) => return Err(Error::io("read", &path, source)),
        }
        let Some(mut file) = durable::open_regular(&path)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        match durable::read_capped(&mut file, &path, "message", MAX_MESSAGE_BYTES, &mut bytes) {
            Ok(()) => Ok(Some(bytes)),
            Err(Error::TooLarge { .. }) => refuse_too_large(name, u64::MAX).map(|()| None),
            Err(error) => Err(error),
        }
    }

    fn remove(&self, name: &MessageName) -> Result<()> {
        let path = self.path(name);
        match std::fs::remove_file(&path) {
            Ok(()) => durable::sync_folder(&self.folder),
            Err(error) if error.kind() == ErrorKind::NotFound => self.gone().map_or(Ok(()), Err),
            Err(source) => Err(Error::io("remove", &path, source)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn mailbox() -> (tempfile::TempDir, FolderMailbox) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        let mailbox = FolderMailbox::open_or_create(folder.path().join("a/mailbox")).unwrap();
        (folder, mailbox)
    }

    fn name(text: &str) -> MessageName {
        text.parse().unwrap()
    }

    #[test]
    fn passes_over_what_is_no_message() {
        let (_keep, mailbox) = mailbox();
        mailbox.put(&name("a"), b"1").unwrap();
        for foreign in [".hidden", "README.TXT", "with space"] {
            std::fs::write(mailbox.folder().join(foreign), b"x").unwrap();
        }
        std::fs::create_dir(mailbox.folder().join("folder")).unwrap();
        assert_eq!(mailbox.list().unwrap(), [name("a")]);
        assert_eq!(mailbox.read(&name("folder")).unwrap(), None);
    }

    #[cfg(unix)]
    #[test]
    fn follows_no_link_out_of_the_mailbox() {
        let (keep, mailbox) = mailbox();
        let secret = keep.path().join("secret");
        std::fs::write(&secret, b"secret").unwrap();
        std::os::unix::fs::symlink(&secret, mailbox.folder().join("a")).unwrap();
        assert_eq!(mailbox.list().unwrap(), []);
        assert_eq!(mailbox.read(&name("a")).unwrap(), None);
        mailbox.put(&name("a"), b"message").unwrap();
        assert_eq!(std::fs::read(&secret).unwrap(), b"secret");
        assert_eq!(mailbox.read(&name("a")).unwrap().unwrap(), b"message");
    }

    #[test]
    fn an_oversized_file_is_refused_unread() {
        let (_keep, mailbox) = mailbox();
        let file = std::fs::File::create(mailbox.folder().join("big")).unwrap();
        file.set_len(1 << 40).unwrap();
        let error = mailbox.read(&name("big")).unwrap_err();
        assert!(matches!(error, Error::MessageTooLarge { .. }));
        assert!(error.remedy().is_some());
    }

    #[test]
    fn a_folder_that_goes_away_is_an_error_of_every_action() {
        let (keep, mailbox) = mailbox();
        mailbox.put(&name("a"), b"1").unwrap();
        std::fs::remove_dir_all(keep.path().join("a")).unwrap();
        let gone = |result: Result<()>| matches!(result, Err(Error::NoFolder { what: "mailbox", .. }));
        assert!(gone(mailbox.put(&name("a"), b"1")));
        assert!(gone(mailbox.list().map(drop)));
        assert!(gone(mailbox.read(&name("a")).map(drop)));
        assert!(gone(mailbox.remove(&name("a"))));
    }

    #[test]
    fn a_missing_folder_is_an_error_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let error = FolderMailbox::open(folder.path().join("none")).unwrap_err();
        assert!(error.to_string().contains("none"), "{error}");
        assert!(error.remedy().is_some());
    }

    #[test]
    fn below_a_share_that_is_not_mounted_no_mailbox_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let error = FolderMailbox::open_or_create(folder.path().join("share/mailbox")).unwrap_err();
        assert!(matches!(error, Error::NoFolder { what: "mailbox", .. }), "{error}");
        assert!(error.is_retryable());
        assert!(!folder.path().join("share").exists());
    }

    #[cfg(unix)]
    #[test]
    fn messages_are_readable_as_the_umask_says() {
        use std::os::unix::fs::PermissionsExt;
        let (_keep, mailbox) = mailbox();
        mailbox.put(&name("a"), b"1").unwrap();
        let reference = mailbox.folder().join("reference");
        std::fs::write(&reference, b"1").unwrap();
        let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(mailbox.folder().join("a")), mode(reference));
    }
}
