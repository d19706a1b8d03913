//! Real parties and a real workload over a mailbox folder: enrolment in any order, rotation, new epochs, new names,
//! revocation, and everything that a mailbox may do to messages.
#![allow(clippy::unwrap_used, missing_docs)]

mod delivery;
mod enrolment;
mod epochs;
mod hostile;
mod lookups;
mod roster;
mod rotation;
mod world;
