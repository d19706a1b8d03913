//! The steps at which it matters that the process may die: between any two of them something has become durable that was not before.
//!
//! The work says at each of them where it is. Only tests listen, to kill the process there; without a listener a step
//! costs one look at a flag. No setting and no environment variable reaches in here.

use std::sync::OnceLock;

macro_rules! steps {
    ($($(#[doc = $text:literal])* $step:ident = $name:literal,)*) => {
        /// A step of the work on an event.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Step {
            $($(#[doc = $text])* $step,)*
        }

        impl Step {
            /// Every step.
            pub const ALL: &[Self] = &[$(Self::$step,)*];

            /// The step's label.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$step => $name,)*
                }
            }
        }
    };
}

steps! {
    /// The queue has given the event to this consumer.
    Claimed = "claimed",
    /// The audit log says that processing began.
    AuditedStarted = "audited started",
    /// The epoch is in the state; nobody was told.
    EpochBegun = "epoch begun",
    /// What former epochs left in the fused store and the mailbox is gone.
    FormerEpochRemoved = "former epoch removed",
    /// A new name, or a departure, is in the state; files and messages of the former are still there.
    RosterChanged = "roster changed",
    /// Files and messages of those that left are gone.
    DepartedRemoved = "departed removed",
    /// A message's content is in the state; the message is still in the mailbox.
    MessageKept = "message kept",
    /// The message is gone from the mailbox.
    MessageRemoved = "message removed",
    /// A holder's re-key is in the state.
    HolderEnrolled = "holder enrolled",
    /// A holder's next re-key is in the state; its message is still in the mailbox.
    KeyRotated = "key rotated",
    /// The next message key is in the state; the former is still announced.
    MessageKeyRenewed = "message key renewed",
    /// The database was written anew without what was erased.
    Vacuumed = "vacuumed",
    /// The announcement is in the mailbox.
    Announced = "announced",
    /// The status has its number; it is not published.
    StatusNumbered = "status numbered",
    /// The status is in the mailbox.
    StatusPublished = "status published",
    /// What nothing refers to is gone from the fused store.
    StoreSwept = "store swept",
    /// A dataset's envelope was opened, and its canary agrees.
    DatasetOpened = "dataset opened",
    /// A fused file is in the store; nothing refers to it.
    FusedFileWritten = "fused file written",
    /// The canary is in the state.
    CanaryKept = "canary kept",
    /// The dataset is in the state, and refers to its fused files.
    DatasetAccepted = "dataset accepted",
    /// Fused files of the former version are gone.
    FormerVersionRemoved = "former version removed",
    /// The folder in which the report is made is there, empty.
    ReportBegun = "report begun",
    /// A file of the report is written.
    ReportFileWritten = "report file written",
    /// The report has its name; the folder around it is not synced.
    ReportRenamed = "report renamed",
    /// The report is in its place for good.
    ReportPublished = "report published",
    /// The state says that the event is done.
    DoneNoted = "done noted",
    /// The audit log says that the event is done.
    AuditedDone = "audited done",
    /// The event will not come again.
    Acknowledged = "acknowledged",
    /// The audit log says that the event failed.
    AuditedFailed = "audited failed",
    /// The event was given back.
    Released = "released",
    /// The event is a dead letter, and will not come again.
    PutAside = "put aside",
}

static LISTENER: OnceLock<fn(Step)> = OnceLock::new();

/// Has a function hear of every step from now on, in the thread that does the work. For tests; the first one stays.
#[doc(hidden)]
pub fn listen(listener: fn(Step)) {
    let _ = LISTENER.set(listener);
}

/// Says that the work is at a step.
pub(crate) fn at(step: Step) {
    if let Some(listener) = LISTENER.get() {
        listener(step);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_step_has_a_label_of_its_own() {
        let labels: BTreeSet<_> = Step::ALL.iter().map(|step| step.name()).collect();
        assert_eq!(labels.len(), Step::ALL.len());
    }
}
