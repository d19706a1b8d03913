#![allow(clippy::unwrap_used)]
//! The project's own test vectors (`test-vectors/*.json`) that hold numbers which no interface gives out: scalars above all.
//! The others are checked in `tests/vectors`, through the public interface.

use crate as protocol;

mod enrolment;
mod fused;
#[allow(dead_code, reason = "the public vectors need more of it")]
#[path = "../tests/vectors/harness.rs"]
mod harness;
mod keys;
mod rotation;
mod token;
