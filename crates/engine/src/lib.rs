#![forbid(unsafe_code)]
//! The DataFuse data engine: datasets in and out, tokenise and fuse columns, match, report.
//!
//! The data's way through this crate:
//!
//! ```text
//! source file -> SourceBatch -> protected dataset -> fused file -> MatchTable -> Report
//!   dataset::source   tokenise       fuse             matching        report
//! ```
//!
//! Everything streams in record batches on all cores within the configured memory ([`runtime::Limits`]); what does not fit is
//! spilled to disk, encrypted under a key that lives in memory only. This crate knows no event, no queue and no enrolment.

pub mod aggregate;
mod atomic_file;
pub mod contract;
pub mod dataset;
pub mod error;
pub mod fuse;
pub mod fused_file;
pub mod fused_index;
pub mod list;
pub mod match_table;
pub mod matching;
mod pipeline;
pub mod report;
pub mod report_html;
pub mod retokenise;
pub mod runtime;
mod sealed;
pub mod set_sketch;
pub mod signed_report;
mod spill;
pub mod tokenise;
pub mod waterfall;

pub use error::{Error, Result};
pub use sealed::Caps;
