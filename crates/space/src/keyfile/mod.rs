//! Key files: one party's secret keys, as text in a file of its own.
//!
//! | module | noun |
//! | --- | --- |
//! | `lines` | secret bytes as lines of text |
//! | `text` | the plain form, and the comments of both forms |
//! | [`passphrase`] | the form under a passphrase |
//! | [`share`] | a key file in shares |
//! | [`identity`] | age identities of data users, which open encrypted reports |
//!
//! A key file is created for its owner alone and never overwritten; one that others can read is refused. It is rewritten only
//! through a [`LockedKeyFile`], whole, so that two processes lose nothing of each other's keys. Links are followed (secret
//! stores mount keys as links); what counts is the file at their end. Every buffer of ours that held a secret is wiped.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use datafuse_core::keys::PartyKeys;
use zeroize::Zeroizing;

use crate::{
    durable::{self, Readers},
    error::{Error, Result},
};

pub mod identity;
mod lines;
pub mod passphrase;
pub mod share;
#[cfg(test)]
mod tests;
mod text;

pub use passphrase::Passphrase;

use lines::{KEY_SHARE, SECRET_KEY};
use passphrase::Sealed;

const WHAT: &str = "key file";
/// The plain form takes at most 224 KiB, armor a third more.
const MAX_FILE_BYTES: u64 = 512 << 10;

/// Gives the passphrase of the key file at a path; called only where that file is under one.
pub type Ask<'a, E> = &'a mut dyn FnMut(&Path) -> Result<Passphrase, E>;

/// Creates a key file for its owner alone (mode 0600), under a passphrase where one is given. `created` is what the comment
/// says, such as the time in RFC 3339.
///
/// # Errors
/// [`Error::KeyFileExists`] where anything is there already, [`Error::KeyFileFull`], [`Error::Io`].
pub fn create(path: &Path, keys: &PartyKeys, created: &str, passphrase: Option<&Passphrase>) -> Result<()> {
    // Looked at first, so that nobody waits for scrypt in vain.
    let exists = || Error::KeyFileExists { path: path.to_owned() };
    if path.symlink_metadata().is_ok() {
        return Err(exists());
    }
    let text = write(path, keys, created, passphrase)?;
    if durable::create_private(path, text.as_bytes())? { Ok(()) } else { Err(exists()) }
}

/// Reads the keys in a key file.
///
/// # Errors
/// As [`open`].
pub fn read<E: From<Error>>(path: &Path, ask: Ask<'_, E>) -> Result<PartyKeys, E> {
    Ok(open(path, ask)?.keys)
}

/// What a key file holds.
pub struct Opened {
    /// The keys.
    pub keys: PartyKeys,
    /// What its comment says of when it was made; empty where it says nothing.
    pub created: String,
    passphrase: Option<Passphrase>,
}

impl Opened {
    /// Whether the file is under a passphrase.
    #[must_use]
    pub fn is_under_passphrase(&self) -> bool {
        self.passphrase.is_some()
    }
}

/// Reads a key file with what else it says.
///
/// # Errors
/// [`Error::NoFile`], [`Error::KeyFileExposed`] where its group or others can read it (Unix), [`Error::TooLarge`],
/// [`Error::KeyFileDamaged`], [`Error::KeyFileVersion`], [`Error::WrongPassphrase`], [`Error::WorkFactor`], [`Error::Keys`],
/// [`Error::Io`]; whatever `ask` gives.
pub fn open<E: From<Error>>(path: &Path, ask: Ask<'_, E>) -> Result<Opened, E> {
    let text = read_text(path, WHAT, &|text| SECRET_KEY.is_in(text) || passphrase::is_in(text))?;
    parse(&text, path, ask)
}

/// Answers an [`Ask`] where there is nobody to ask.
///
/// # Errors
/// Always [`Error::PassphraseNeeded`].
pub fn no_passphrase(path: &Path) -> Result<Passphrase> {
    Err(Error::PassphraseNeeded { path: path.to_owned() })
}

/// A key file held under a lock, to be changed. The lock is on `NAME.key.lock` beside it, because the file itself is replaced;
/// the system gives it back when this is dropped, a crash included. Reading a key file waits for nobody.
pub struct LockedKeyFile {
    path: PathBuf,
    /// What was read, and what [`LockedKeyFile::rewrite`] writes.
    pub opened: Opened,
    _lock: File,
}

impl LockedKeyFile {
    /// Waits for the lock and reads the file.
    ///
    /// # Errors
    /// As [`open`].
    pub fn open<E: From<Error>>(path: &Path, ask: Ask<'_, E>) -> Result<Self, E> {
        // A link stays a link: the file at its end is the one that is replaced.
        let path = match path.symlink_metadata() {
            Ok(metadata) if metadata.is_symlink() => std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()),
            _ => path.to_owned(),
        };
        if !path.is_file() {
            return Err(Error::NoFile { what: WHAT, path }.into());
        }
        let lock = durable::lock_beside(&path)?;
        Ok(Self { opened: open(&path, ask)?, path, _lock: lock })
    }

    /// Puts the file under another passphrase, or under none, with the next [`LockedKeyFile::rewrite`].
    pub fn set_passphrase(&mut self, passphrase: Option<Passphrase>) {
        self.opened.passphrase = passphrase;
    }

    /// Gives the lock back and keeps the keys.
    #[must_use]
    pub fn into_keys(self) -> PartyKeys {
        self.opened.keys
    }

    /// Replaces the file: mode 0600, the old bytes or the new ones at every moment. The time in its comment stays.
    ///
    /// # Errors
    /// [`Error::KeyFileFull`], [`Error::Io`]; then the file is as it was.
    pub fn rewrite(&self) -> Result<()> {
        let Opened { keys, created, passphrase } = &self.opened;
        let text = write(&self.path, keys, created, passphrase.as_ref())?;
        durable::replace(&self.path, text.as_bytes(), Readers::Owner)
    }
}

/// Whether a text holds a secret key, a share of one or an age identity, well-formed or not, so that it can be kept out of errors.
pub(crate) fn holds_secret_key(text: &str) -> bool {
    SECRET_KEY.is_in(text) || KEY_SHARE.is_in(text) || identity::is_in(text)
}

fn write(path: &Path, keys: &PartyKeys, created: &str, passphrase: Option<&Passphrase>) -> Result<Zeroizing<String>> {
    let plain = text::write(keys, created).ok_or_else(|| Error::KeyFileFull { path: path.to_owned() })?;
    Ok(match passphrase {
        Some(passphrase) => Zeroizing::new(passphrase::seal(&plain, passphrase)),
        None => plain,
    })
}

fn parse<E: From<Error>>(text: &str, path: &Path, ask: Ask<'_, E>) -> Result<Opened, E> {
    let at = |problem: Problem| problem.at(path, WHAT);
    let (plain, passphrase) = match passphrase::is_in(text) {
        true => {
            let sealed = Sealed::parse(text).map_err(at)?;
            let passphrase = ask(path)?;
            (sealed.open(&passphrase).map_err(at)?, Some(passphrase))
        }
        false => (text::read(text).map_err(at)?, None),
    };
    Ok(Opened { keys: plain.keys, created: plain.created, passphrase })
}

/// Reads the text of a file that holds a secret: what is none is told first, then that others can read it.
fn read_text(path: &Path, what: &'static str, holds: &dyn Fn(&str) -> bool) -> Result<Zeroizing<String>> {
    let Some(mut file) = durable::open_regular(path)? else {
        return Err(Error::NoFile { what, path: path.to_owned() });
    };
    let mut bytes = Zeroizing::new(Vec::new());
    durable::read_capped(&mut file, path, what, MAX_FILE_BYTES, &mut bytes)?;
    let damaged = |reason| Problem::Damaged(reason).at(path, what);
    // The buffer itself becomes the text, or is wiped.
    let text = match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => Zeroizing::new(text),
        Err(error) => {
            *bytes = error.into_bytes();
            return Err(damaged("it is not text"));
        }
    };
    if !holds(&text) {
        return Err(damaged("it holds no secret of that sort"));
    }
    refuse_if_exposed(&file, path)?;
    Ok(text)
}

/// Refuses a file that its group or others have any access to.
#[cfg(unix)]
fn refuse_if_exposed(file: &File, path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file.metadata().map_err(|source| Error::io("read", path, source))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(Error::KeyFileExposed { path: path.to_owned(), mode }) }
}

/// Elsewhere the folder's access list decides, which is not looked at.
#[cfg(not(unix))]
fn refuse_if_exposed(_file: &File, _path: &Path) -> Result<()> {
    Ok(())
}

/// Why a text holds no keys; without the path, which the caller knows.
enum Problem {
    Damaged(&'static str),
    Version(u8),
    WorkFactor(u8),
    WrongPassphrase,
    Keys(datafuse_core::Error),
}

impl Problem {
    fn at(self, path: &Path, what: &'static str) -> Error {
        let path = path.to_owned();
        match self {
            Self::Damaged(reason) => Error::KeyFileDamaged { path, what, reason },
            Self::Version(found) => Error::KeyFileVersion { path, what, found, known: lines::VERSION },
            Self::WorkFactor(found) => Error::WorkFactor { path, found, limit: Passphrase::MAX_WORK_FACTOR },
            Self::WrongPassphrase => Error::WrongPassphrase { path },
            Self::Keys(source) => Error::Keys { path, source },
        }
    }
}
