#![forbid(unsafe_code)]
//! The DataFuse workload: events in, outcomes out.
//!
//! ```text
//! queue (embedded | Redis Streams)  ->  Event  ->  processor  ->  Outcome  ->  audit, acknowledge
//! ```
//!
//! | module | what it does |
//! | --- | --- |
//! | [`event`] | parses what comes from the queue, within limits |
//! | [`queue`] | where events wait: a folder, or Redis Streams; both at least once |
//! | [`workload`] | one space's agreement, keys, state and places, opened |
//! | [`directory`] | who takes part, and where what they bring lies |
//! | [`state`] | what is remembered between events, its secrets sealed |
//! | [`processor`] | one file an event type |
//! | [`outcome`] | what an event brought forth |
//! | [`serve`](mod@serve) | takes event after event until told to stop |
//! | [`audit`] | who did what, a signed line each |
//! | [`metrics`] | the numbers of all that, for Prometheus |
//! | [`ready`] | whether events can be processed at the moment |
//! | [`platform`] | the environment variables of the platform |
//!
//! No holder's secret ever comes here, and nothing here prints.

pub mod audit;
pub mod directory;
pub mod error;
pub mod event;
pub mod metrics;
pub mod outcome;
pub mod platform;
pub mod processor;
pub mod queue;
pub mod ready;
pub mod serve;
pub mod state;
pub mod workload;

pub use error::{Error, Result};
pub use outcome::Outcome;
pub use processor::process;
pub use workload::{Options, Workload};
