#![forbid(unsafe_code)]
//! The DataFuse protocol as pure functions and states on bytes.
//!
//! The data's way through this crate:
//!
//! ```text
//! bytes -> NormalizedIdentifier -> Token -> FusedToken -> MatchKey
//! ```
//!
//! Around it: who may do that ([`keys`], [`name`]), for which agreement ([`root`], [`kind`]), and how the workload comes by
//! the one number it needs for each holder without anybody giving a key away ([`enrolment`], carried by [`message`]s).
//! `docs/protocol.md` is the specification.
//!
//! This crate knows no file, no clock, no network and no thread: time and randomness are arguments.

pub mod announcement;
pub mod audit;
pub mod cbor;
pub mod dataset;
pub mod dsse;
pub mod enrolment;
pub mod epsilon;
pub mod error;
pub mod fused;
pub mod id;
pub mod keys;
pub mod kind;
pub mod list;
pub mod lookup;
pub mod lp;
pub mod match_key;
pub mod message;
pub mod name;
pub mod normalize;
pub mod root;
pub mod rotation;
pub mod seal;
pub mod status;
pub mod token;
#[cfg(test)]
mod vectors;

pub use error::{Error, Result};

/// The hash-to-group domain separation tag (RFC 9380, 3.1); 41 bytes, so that the last step of `expand_message_xmd` is one block.
pub const DST: &[u8] = b"DATAFUSE-V01-R255_XMD:SHA-512_R255MAP_RO_";
