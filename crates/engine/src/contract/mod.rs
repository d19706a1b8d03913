//! Data contracts: what a dataset has to be like, and whether it is.
//!
//! ```text
//! ODCS file | platform descriptor -> Contract -> check(model, rows) -> ModelResult -> quality.json, quality.html
//! data -> draft -> ODCS file
//! ```
//!
//! Results name rules and count rows. They never hold a value, and neither do errors.

mod check;
mod descriptor;
mod document;
mod draft;
mod error;
mod measure;
mod model;
mod moment;
mod odcs;
mod options;
mod page;
mod quality;
mod result;
mod rows;
mod sound;
mod spool;
mod sql;
mod syntax;
mod text_format;
mod typed;

#[cfg(test)]
mod tests;

pub use check::{CheckOptions, check};
pub use document::{
    ContractRef, DatasetQuality, HolderQuality, QUALITY_SCHEMA, QualityProvenance, QualityReport, quality_schema,
};
pub use draft::{Draft, draft};
pub use error::{ContractError, Problem};
pub use model::{
    Bound, Check, Column, Comparison, Contract, Expectation, Limit, LogicalType, Model, Range, RowTest, Rule, RuleKind,
    Server,
};
pub use moment::MomentFormat;
pub use page::render as render_page;
pub use result::{ModelResult, RuleOutcome, RuleResult, Verdict};
pub use rows::Rows;
pub use text_format::TextFormat;
