#![forbid(unsafe_code)]
//! A world to try DataFuse in: example data whose truth is known.
//!
//! ```text
//! GenerateSpec -> Plan (who shares whom) -> Person (a function of a number) -> source/<holder>.csv, truth.json
//!   generate        plan                      people                              generate, truth
//! ```
//!
//! [`generate::generate`] writes customer files of several holders with the mistakes that real ones have, and says exactly what a
//! check of common customers must find in them. The same specification gives the same bytes, on every machine. Nobody in the
//! files exists. [`demo::demo`] plays all parties of a space on such files, and holds the report against the truth.
//! [`drill`](mod@drill) plays a thief of keys who has everything that a space has at rest.

pub mod demo;
pub mod drill;
pub mod error;
pub mod generate;
mod people;
mod permutation;
mod plan;
pub mod truth;

pub use error::{Error, Result};
