//! The mailbox: how enrolment messages travel between parties that are never online together.
//!
//! In and out: opaque bytes under safe names. A mailbox keeps nothing secret (messages are sealed and signed) and promises
//! little: everybody who can reach it may put, replace or remove anything, and readers check what they read. What it does
//! promise: a message is there whole or not at all, and no name that comes out of it can become another path.
//!
//! | file | a mailbox that is |
//! | --- | --- |
//! | [`folder`](FolderMailbox) | a folder, on a disk or a share |
//! | [`object_store`](ObjectStoreMailbox) | a bucket with a prefix: S3, Google Cloud Storage, Azure Blob Storage |
//! | [`http`](HttpMailbox) | an endpoint that the workload serves |
//!
//! What comes from another machine is capped before it is kept, and every wait has an end ([`Patience`]).

mod admit;
mod folder;
mod http;
mod object_store;
mod trouble;
mod waiting;

use std::{fmt, str::FromStr};

use datafuse_core::{
    lookup::{RequestId, answer_word},
    name::PublicName,
    root::Root,
};

use crate::{
    error::{Error, Result},
    location::MailboxPlace,
};

pub use admit::{Admission, admit};
pub use folder::FolderMailbox;
pub use http::{HttpMailbox, NO_SUCH_MESSAGE};
pub use object_store::ObjectStoreMailbox;
pub use trouble::Trouble;
pub use waiting::Patience;

/// The largest message that is put or read: 1 MiB, room for the status of a few thousand participants.
pub const MAX_MESSAGE_BYTES: u64 = 1 << 20;

/// The most messages that a mailbox on another machine may list.
pub const MAX_MESSAGES: usize = 20_000;

/// Where messages are left and found. Every implementation passes the same conformance suite (`tests/mailbox_suite`).
pub trait Mailbox: fmt::Debug + Send + Sync {
    /// Puts a message, whole or not at all, in the place of one of the same name.
    ///
    /// # Errors
    /// [`Error::MessageTooLarge`] past [`MAX_MESSAGE_BYTES`]; [`Error::Io`] of a folder, [`Error::Mailbox`] of others.
    fn put(&self, name: &MessageName, bytes: &[u8]) -> Result<()>;

    /// Lists the names of all messages, sorted. What is no message (hidden, half-written, oddly named) is passed over.
    ///
    /// # Errors
    /// [`Error::Io`] of a folder; [`Error::Mailbox`] of others, also for more than [`MAX_MESSAGES`].
    fn list(&self) -> Result<Vec<MessageName>>;

    /// Reads a message; `None` where there is none of that name.
    ///
    /// # Errors
    /// [`Error::MessageTooLarge`] past [`MAX_MESSAGE_BYTES`]; [`Error::Io`] of a folder, [`Error::Mailbox`] of others.
    fn read(&self, name: &MessageName) -> Result<Option<Vec<u8>>>;

    /// Removes a message; nothing happens where there is none of that name. An HTTP endpoint offers it to nobody.
    ///
    /// # Errors
    /// [`Error::Io`] of a folder, [`Error::Mailbox`] of others; [`Error::CannotRemove`] of an HTTP endpoint.
    fn remove(&self, name: &MessageName) -> Result<()>;
}

/// Opens the mailbox at a place, making the folder where it is one and is not there yet. Credentials of a bucket are those
/// of the process's environment. No connection is made before the first use.
///
/// # Errors
/// [`Error::Io`] and [`Error::NoFolder`] of a folder; [`Error::Mailbox`] where the environment does not suffice.
pub fn open(place: &MailboxPlace) -> Result<Box<dyn Mailbox>> {
    open_with(place, Patience::default())
}

/// Opens the mailbox at a place like [`open`], with waits of other lengths.
///
/// # Errors
/// Those of [`open`].
pub fn open_with(place: &MailboxPlace, patience: Patience) -> Result<Box<dyn Mailbox>> {
    Ok(match place {
        MailboxPlace::Folder(folder) => Box::new(FolderMailbox::open_or_create(folder)?),
        MailboxPlace::Bucket(url) => Box::new(ObjectStoreMailbox::open(url, environment(), patience)?),
        MailboxPlace::Http(url) => Box::new(HttpMailbox::open(url, patience)?),
    })
}

/// The variables of this process that are text.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
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

/// Where the answer to a look-up of somebody lies.
#[must_use]
pub fn answer_name(asker: &PublicName, id: &RequestId) -> MessageName {
    MessageName(format!("answer-{}.lookup", answer_word(asker, id)))
}

/// Whether a name is that of a message between two parties, not of an announcement or status.
#[must_use]
pub fn is_message(name: &MessageName) -> bool {
    name.0.ends_with(".msg")
}

/// Refuses what no message can be as large as.
fn refuse_too_large(name: &MessageName, bytes: u64) -> Result<()> {
    if bytes > MAX_MESSAGE_BYTES {
        return Err(Error::MessageTooLarge { name: name.clone(), limit_bytes: MAX_MESSAGE_BYTES });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::*;
    use proptest::prelude::*;

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
