//! For whom a report is made, and whether it is encrypted to them.
//!
//! In: the agreement. Out: the data users with their age recipients, or why no report can be made for them; and whether a report that
//! lies in the outputs already was made for the same. A report is never in clear where one of its users asked for encryption.

use std::path::{Path, PathBuf};

use datafuse_core::id::ParticipantId;
use datafuse_engine::signed_report::{AgeRecipient, EncryptedReportError, Readers};
use datafuse_space::{Readership, Space};

use crate::report_folder::Found;

/// Why no report can be made for the data users, or the one that is there is not for them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadersError {
    /// Some users have a recipient, and others have none.
    #[error("{} asked for encrypted reports, and {} has no recipient: no report is made", names(with), names(without))]
    Mixed {
        /// Users who have one.
        with: Vec<ParticipantId>,
        /// Users who have none.
        without: Vec<ParticipantId>,
    },
    /// A report was made, and since then the agreement names other recipients, or none any more.
    #[error("the report of this event in {} was made for other recipients than the space file names now", path.display())]
    Changed {
        /// The folder.
        path: PathBuf,
    },
    /// It could not be encrypted.
    #[error(transparent)]
    Encrypt(#[from] EncryptedReportError),
}

impl ReadersError {
    /// Gives the error's class: a short fixed name for audit lines, dead letters and metrics.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Mixed { .. } => "recipients-mixed",
            Self::Changed { .. } => "recipients-changed",
            Self::Encrypt(_) => "report-encryption",
        }
    }

    /// Gives what to do about it: the text after "Try:".
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::Mixed { .. } => {
                "give every user in the space file a recipient, or none; then send the event again".to_owned()
            }
            Self::Changed { .. } => {
                "move that folder away, and send the event again: the report is made anew".to_owned()
            }
            Self::Encrypt(error) => error.remedy(),
        }
    }
}

/// The data users of a space, with their recipients where they have some.
pub(crate) fn of(space: &Space) -> Result<Readers, ReadersError> {
    let owned = |ids: Vec<&ParticipantId>| ids.into_iter().cloned().collect();
    let users = space.users().map(|(user, _)| user.clone()).collect();
    match space.readership() {
        Readership::Clear => Ok(Readers::in_clear(users)),
        Readership::Encrypted(recipients) => {
            let encrypted_to = recipients
                .into_iter()
                .map(|(user, recipient)| AgeRecipient { user: user.clone(), recipient: recipient.to_owned() });
            Ok(Readers { users, encrypted_to: encrypted_to.collect() })
        }
        Readership::Mixed { with, without } => Err(ReadersError::Mixed { with: owned(with), without: owned(without) }),
    }
}

/// One user alone of those.
pub(crate) fn only(readers: &Readers, user: &ParticipantId) -> Readers {
    Readers {
        users: vec![user.clone()],
        encrypted_to: readers.encrypted_to.iter().filter(|to| to.user == *user).cloned().collect(),
    }
}

/// Checks that a report which was found at a path is encrypted to whom it would be encrypted now.
pub(crate) fn check_found(found: &Found, readers: &Readers, path: &Path) -> Result<(), ReadersError> {
    let same = match found {
        Found::Nothing | Found::Other => true,
        Found::Report { .. } => readers.encrypted_to.is_empty(),
        Found::Encrypted(of) => of.encrypted_to == readers.encrypted_to,
    };
    if same { Ok(()) } else { Err(ReadersError::Changed { path: path.to_owned() }) }
}

fn names(ids: &[ParticipantId]) -> String {
    ids.iter().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(", ")
}
