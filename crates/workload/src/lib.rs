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
//! | [`jobs`] | which events were processed and how, for the operator |
//! | [`processor`] | one file an event type |
//! | [`delivery`] | brings a report to the places of the data users |
//! | [`outcome`] | what an event brought forth |
//! | [`serve`](mod@serve) | takes event after event until told to stop |
//! | [`step`] | where it matters that a process may die |
//! | [`audit`] | who did what, a signed line each |
//! | [`metrics`] | the numbers of all that, for Prometheus |
//! | [`ready`] | whether events can be processed at the moment |
//! | [`platform`] | the environment variables of the platform |
//!
//! No holder's secret ever comes here, and nothing here prints.

pub mod audit;
mod backoff;
pub mod delivery;
pub mod directory;
pub mod error;
pub mod event;
pub mod jobs;
pub mod metrics;
pub mod outcome;
pub mod platform;
pub mod policy;
pub mod processor;
pub mod queue;
mod readers;
pub mod ready;
mod report_folder;
pub mod serve;
pub mod state;
pub mod step;
pub mod workload;

pub use error::{Error, Result};
pub use outcome::Outcome;
pub use processor::{ANSWER_FILE, LookupError, TokenTableError, process};
pub use readers::ReadersError;
pub use workload::{Options, Workload};
