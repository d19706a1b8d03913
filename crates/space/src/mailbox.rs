//! The mailbox: how enrolment messages travel between parties that are never online together.
//!
//! In and out: opaque bytes under safe names. A mailbox keeps nothing secret (messages are sealed and signed) and promises
//! little: everybody who can reach it may put, replace or remove anything, and readers check what they read. What it does
//! promise: a message is there whole or not at all, and no name that comes out of it can become another path.

use std::{
    fmt,
    io::ErrorKind,
    path::{Path, PathBuf},
    str::FromStr,
};

use datafuse_core::root::Root;

use crate::{
    durable::{self, Readers},
    error::{Error, Result},
    location::Location,
};

/// The largest message that is put or read: 1 MiB, room for the status of a few thousand participants.
pub const MAX_MESSAGE_BYTES: u64 = 1 << 20;

/// Where messages are left and found. Every implementation passes the same conformance suite (`tests/mailbox_conformance`).
pub trait Mailbox: fmt::Debug + Send + Sync {
    /// Puts a message, whole or not at all, in the place of one of the same name.
    ///
    /// # Errors
    /// [`Error::MessageTooLarge`] past [`MAX_MESSAGE_BYTES`], [`Error::Io`].
    fn put(&self, name: &MessageName, bytes: &[u8]) -> Result<()>;

    /// Lists the names of all messages, sorted. What is no message (hidden, half-written, oddly named) is passed over.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn list(&self) -> Result<Vec<MessageName>>;

    /// Reads a message; `None` where there is none of that name.
    ///
    /// # Errors
    /// [`Error::MessageTooLarge`] past [`MAX_MESSAGE_BYTES`], [`Error::Io`].
    fn read(&self, name: &MessageName) -> Result<Option<Vec<u8>>>;

    /// Removes a message; nothing happens where there is none of that name.
    ///
    /// # Errors
    /// [`Error::Io`].
    fn remove(&self, name: &MessageName) -> Result<()>;
}

/// Opens the mailbox at a place, making the folder where it is one and is not there yet.
///
/// # Errors
/// [`Error::UnsupportedPlace`] for an address, [`Error::Io`].
pub fn open(location: &Location) -> Result<Box<dyn Mailbox>> {
    match location {
        Location::Path(folder) => Ok(Box::new(FolderMailbox::open_or_create(folder)?)),
        Location::Url(url) => {
            Err(Error::UnsupportedPlace { field: "mailbox", scheme: url.scheme().to_owned(), known: "a folder" })
        }
    }
}

/// The name of a message: lower-case letters, digits, `.`, `_` and `-`, 1 to 128 of them, no dot first or last. So a name
/// that comes from elsewhere never leads out of the mailbox, and is one name on every file system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageName(String);

impl MessageName {
    /// The longest name, in characters.
    pub const MAX_CHARS: usize = 128;

    /// Gives the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MessageName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let safe = !text.is_empty()
            && text.len() <= Self::MAX_CHARS
            && !text.starts_with('.')
            && !text.ends_with('.')
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
        if safe { Ok(Self(text.to_owned())) } else { Err(Error::UnsafeMessageName) }
    }
}

impl fmt::Display for MessageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Where the workload's announcement of a space lies.
#[must_use]
pub fn announcement_name(root: &Root) -> MessageName {
    MessageName(format!("announcement-{root}.cbor"))
}

/// Where the workload's status of a space lies.
#[must_use]
pub fn status_name(root: &Root) -> MessageName {
    MessageName(format!("status-{root}.cbor"))
}

/// Whether a name is that of a message between two parties, not of an announcement or status.
#[must_use]
pub fn is_message(name: &MessageName) -> bool {
    name.0.ends_with(".msg")
}

/// A mailbox that is a folder, on a disk or a share that the parties have in common.
#[derive(Clone, Debug)]
pub struct FolderMailbox {
    folder: PathBuf,
}

impl FolderMailbox {
    /// Opens a mailbox that is there.
    ///
    /// # Errors
    /// [`Error::NoFolder`], [`Error::Io`].
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        match std::fs::metadata(&folder) {
            Ok(metadata) if metadata.is_dir() => Ok(Self { folder }),
            Ok(_) => Err(Error::NoFolder { what: "mailbox", path: folder }),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Error::NoFolder { what: "mailbox", path: folder }),
            Err(source) => Err(Error::io("open", &folder, source)),
        }
    }

    /// Opens a mailbox, making its folder first where it is missing. Who may enter it is left to the umask, because parties
    /// share it.
    ///
    /// # Errors
    /// [`Error::NoFolder`] where something else lies under that name, [`Error::Io`].
    pub fn open_or_create(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        if !folder.exists() {
            std::fs::create_dir_all(&folder).map_err(|source| Error::io("create", &folder, source))?;
        }
        Self::open(folder)
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, name: &MessageName) -> PathBuf {
        self.folder.join(name.as_str())
    }
}

impl Mailbox for FolderMailbox {
    fn put(&self, name: &MessageName, bytes: &[u8]) -> Result<()> {
        if bytes.len() as u64 > MAX_MESSAGE_BYTES {
            return Err(Error::MessageTooLarge { name: name.clone(), limit_bytes: MAX_MESSAGE_BYTES });
        }
        durable::replace(&self.path(name), bytes, Readers::Umask)
    }

    fn list(&self) -> Result<Vec<MessageName>> {
        let failed = |source| Error::io("list", &self.folder, source);
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
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::io("read", &path, source)),
        }
        let Some(mut file) = durable::open_regular(&path)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        match durable::read_capped(&mut file, &path, "message", MAX_MESSAGE_BYTES, &mut bytes) {
            Ok(()) => Ok(Some(bytes)),
            Err(Error::TooLarge { .. }) => {
                Err(Error::MessageTooLarge { name: name.clone(), limit_bytes: MAX_MESSAGE_BYTES })
            }
            Err(error) => Err(error),
        }
    }

    fn remove(&self, name: &MessageName) -> Result<()> {
        let path = self.path(name);
        match std::fs::remove_file(&path) {
            Ok(()) => durable::sync_folder(&self.folder),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(source) => Err(Error::io("remove", &path, source)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn mailbox() -> (tempfile::TempDir, FolderMailbox) {
        let folder = tempfile::tempdir().unwrap();
        let mailbox = FolderMailbox::open_or_create(folder.path().join("a/mailbox")).unwrap();
        (folder, mailbox)
    }

    fn name(text: &str) -> MessageName {
        text.parse().unwrap()
    }

    #[test]
    fn refuses_names_that_could_become_paths() {
        let long = "x".repeat(129);
        for text in ["", ".", "..", ".a", "a.", "a/b", "/a", "a\\b", "A", "é", "a b", "a\0", "a\n", &long] {
            assert!(text.parse::<MessageName>().is_err(), "{text:?}");
        }
        for text in ["a", "0", "-", "a.b_c-9", &"x".repeat(128)] {
            assert_eq!(name(text).as_str(), text);
        }
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
    fn a_missing_folder_is_an_error_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let error = FolderMailbox::open(folder.path().join("none")).unwrap_err();
        assert!(error.to_string().contains("none"), "{error}");
        assert!(error.remedy().is_some());
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

    proptest! {
        #[test]
        fn a_name_that_is_accepted_is_one_plain_component(text in "\\PC{0,140}|[a-z0-9._-]{0,140}") {
            if let Ok(name) = text.parse::<MessageName>() {
                let path = Path::new(name.as_str());
                prop_assert_eq!(path.components().count(), 1);
                prop_assert_eq!(path.file_name().and_then(|n| n.to_str()), Some(text.as_str()));
            }
        }
    }
}
