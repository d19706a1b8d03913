#![forbid(unsafe_code)]
//! The agreement of a collaboration space and its places.
//!
//! In: `space.yaml`, key files, what a party remembers, the mailbox. Out: a checked [`Space`], keys, messages as bytes, and
//! the paths and addresses at which everything else lies.
//!
//! | module | noun |
//! | --- | --- |
//! | [`agreement`] | the space file, parsed and checked: participants, identifiers, places, policy |
//! | [`check`] | what is missing from it, and what would go wrong |
//! | [`location`] | a path or an address, as the space file gives it |
//! | [`layout`] | where a space's things lie |
//! | [`keyfile`] | one party's secret keys, in a file of its own, plain, under a passphrase, or in shares |
//! | [`memory`] | what a party remembers beside its key file: approved names, highest epoch and serial, dataset versions |
//! | [`mailbox`] | how enrolment messages travel |
//!
//! This crate sees no row and no event, and runs nothing. It connects to nothing but the mailbox that the agreement names.

pub mod agreement;
pub mod check;
mod durable;
pub mod error;
pub mod keyfile;
pub mod layout;
pub mod location;
pub mod mailbox;
pub mod memory;
mod readership;
#[cfg(test)]
mod testing;

pub use agreement::{
    AggregateOver, AggregateRequest, Analyses, ColumnUse, Dataset, DifferentialPrivacy, Draft, List, LookupAnswerForm,
    LookupPolicy, Lookups, MAX_NOISY_HOLDERS, Output, OutputLeftOut, Participant, Party, Policy, Role, Rule, Space,
    Strictest, StrictestEpsilon, Table,
};
pub use check::{Finding, Severity};
pub use durable::make_folder;
pub use error::{Error, Result, is_mendable, passes};
pub use layout::Layout;
pub use location::{DeliverPlace, Location, MailboxPlace, QueuePlace, delivery_token_variable};
pub use mailbox::{FolderMailbox, HttpMailbox, Mailbox, MessageName, ObjectStoreMailbox};
pub use memory::Memory;
pub use readership::Readership;
