#![allow(clippy::unwrap_used)]
//! The project's own test vectors (`test-vectors/*.json`), through the public interface.
//!
//! `UPDATE_VECTORS=1 cargo test -p datafuse-core` writes them anew; `test-vectors/check.py` checks them with other code.
//! Those that need numbers which no interface gives out are checked in `src/vectors.rs`.

use datafuse_core as protocol;

mod announcement;
mod audit;
mod dataset;
mod dsse;
mod enrolment;
mod form;
mod harness;
mod keys;
mod list;
mod lookup;
mod message;
mod public_name;
mod root;
mod status;
