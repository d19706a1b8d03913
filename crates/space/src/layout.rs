//! Where a space's things lie: the places of the agreement, resolved against the folder of `space.yaml`, and the fixed names
//! below them.
//!
//! ```text
//! mailbox/        enrolment messages on their way
//! datasets/       protected datasets
//! queue/          embedded queue (only without Redis)
//! state/          the workload's: state.db, fused/ (encrypted), audit.jsonl, and mailbox/ where it serves that over HTTP
//! outputs/EVENT/  report.json report.html ...
//! ```
//!
//! It makes no folder and opens no file.

use std::path::{Path, PathBuf};

use datafuse_core::id::EventId;

use crate::{
    agreement::Space,
    location::{MailboxPlace, QueuePlace},
};

/// The places of one space, ready to open. A program that is told otherwise (by a flag) changes the fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Where enrolment messages travel.
    pub mailbox: MailboxPlace,
    /// Where events wait.
    pub queue: QueuePlace,
    /// The workload's own folder.
    pub state: PathBuf,
    /// Where reports go, one folder an event.
    pub outputs: PathBuf,
}

impl Layout {
    /// Takes the places from a space.
    #[must_use]
    pub fn new(space: &Space) -> Self {
        let folder = space.folder();
        Self {
            mailbox: space.mailbox().resolve(folder),
            queue: space.queue().resolve(folder),
            state: folder.join(space.state()),
            outputs: folder.join(space.outputs()),
        }
    }

    /// Where the workload itself finds the messages: where the parties' place is an HTTP endpoint, a folder of its state, which
    /// it serves there; else the same place.
    #[must_use]
    pub fn workload_mailbox(&self) -> MailboxPlace {
        match &self.mailbox {
            MailboxPlace::Http(_) => MailboxPlace::Folder(self.state.join("mailbox")),
            place => place.clone(),
        }
    }

    /// The workload's database.
    #[must_use]
    pub fn state_db(&self) -> PathBuf {
        self.state.join("state.db")
    }

    /// The folder of fused files, which are encrypted.
    #[must_use]
    pub fn fused(&self) -> PathBuf {
        self.state.join("fused")
    }

    /// The workload's audit log.
    #[must_use]
    pub fn audit(&self) -> PathBuf {
        self.state.join("audit.jsonl")
    }

    /// The folder of what an event brought forth. An [`EventId`] is always one plain path component.
    #[must_use]
    pub fn outputs_of(&self, event: &EventId) -> PathBuf {
        self.outputs.join(event.to_string())
    }

    /// The folder in which `space init` has protected datasets written, relative to the space's.
    #[must_use]
    pub fn datasets() -> &'static Path {
        Path::new("datasets")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::agreement::example;

    #[test]
    fn places_are_relative_to_the_folder_of_the_space_file() {
        let layout = Layout::new(&example::space().in_folder("/spaces/retail"));
        assert_eq!(layout.mailbox, MailboxPlace::Folder("/spaces/retail/mailbox".into()));
        assert_eq!(layout.queue, QueuePlace::Folder("/spaces/retail/queue".into()));
        assert_eq!(layout.state_db(), Path::new("/spaces/retail/state/state.db"));
        assert_eq!(layout.fused(), Path::new("/spaces/retail/state/fused"));
        assert_eq!(layout.audit(), Path::new("/spaces/retail/state/audit.jsonl"));
        let event = "01J8ZQ4X7M6V9K3T2N1B0C5D7E".parse().unwrap();
        assert_eq!(layout.outputs_of(&event), Path::new("/spaces/retail/outputs/01J8ZQ4X7M6V9K3T2N1B0C5D7E"));
    }

    #[test]
    fn the_workload_keeps_the_mailbox_that_it_serves() {
        let mut layout = Layout::new(&example::space().in_folder("/spaces/retail"));
        assert_eq!(layout.workload_mailbox(), layout.mailbox);
        layout.mailbox = "s3://bucket/prefix".parse().unwrap();
        assert_eq!(layout.workload_mailbox(), layout.mailbox);
        layout.mailbox = "https://example.com/mailbox".parse().unwrap();
        assert_eq!(layout.workload_mailbox(), MailboxPlace::Folder("/spaces/retail/state/mailbox".into()));
    }
}
