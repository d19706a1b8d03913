#![forbid(unsafe_code)]
//! What a data holder does: enrol in an epoch, and protect its datasets. The command line calls this, and so can anything else.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`party`] | one participant at work: its space, key file, memory and mailbox; whom it approved; which epoch is open |
//! | [`enrol`] | does what this party owes, as steward and as holder, and says what is awaited from whom |
//! | [`protect`] | turns a dataset into a protected dataset |
//! | [`table`] | writes a dataset's tokens as a table, for the holder's own tools |
//! | [`list`] | opens the list of its own rows that a holder receives |
//! | [`rekey`] | brings a protected dataset over to another token key or epoch |
//!
//! Everything secret stays here: nothing in this crate hands out a key, and no error holds an identifier.

mod destination;
pub mod enrol;
pub mod error;
pub mod list;
pub mod lookup;
pub mod party;
pub mod protect;
pub mod rekey;
pub mod table;

pub use destination::Destination;
pub use error::{Error, Result};
pub use party::{Approval, NameToApprove, Party};
