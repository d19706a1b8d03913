//! What can go wrong with a data contract: where in which file, and what to do about it.
//!
//! A contract is an agreement and no secret, so names and patterns of it may be shown. Nothing of the data ever is.

use std::{fmt, io};

/// Why a data contract cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContractError {
    /// The file cannot be read.
    #[error("the contract {origin} cannot be read")]
    Io {
        /// The file.
        origin: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is larger than any contract.
    #[error("the contract {origin} has more than {limit} bytes")]
    TooLarge {
        /// The file.
        origin: String,
        /// The largest size accepted.
        limit: u64,
    },
    /// The text is not YAML.
    #[error("the contract {origin} is not YAML (line {line}, column {column}): {reason}")]
    NotYaml {
        /// The file.
        origin: String,
        /// The line, from 1; 0 where unknown.
        line: u64,
        /// The column, from 1; 0 where unknown.
        column: u64,
        /// Why, in fixed words.
        reason: &'static str,
    },
    /// The text is not JSON.
    #[error("the contract {origin} is not JSON (line {line}, column {column})")]
    NotJson {
        /// Where it comes from.
        origin: String,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// A part of it does not have the form that it must have.
    #[error("the contract {origin} is malformed at {}: {}", problem.place, problem.fact)]
    Malformed {
        /// The file.
        origin: String,
        /// What is wrong, and where.
        problem: Problem,
    },
    /// A model that was asked for is not in it.
    #[error("the contract {origin} has no model '{model}' (it has: {})", has.join(", "))]
    NoSuchModel {
        /// The file.
        origin: String,
        /// The model asked for.
        model: String,
        /// The models it has.
        has: Vec<String>,
    },
    /// It has several models, and nothing says which one the data is of.
    #[error("the contract {origin} has {} models, and the data is of one", has.len())]
    WhichModel {
        /// The file.
        origin: String,
        /// The models it has.
        has: Vec<String>,
    },
    /// Nothing says where the data is.
    #[error("the contract {origin} names no server with local files")]
    NoServer {
        /// The file.
        origin: String,
    },
    /// The names of the columns look like values, which a draft would keep.
    #[error("{columns} of the source's columns have names that look like data")]
    LooksLikeData {
        /// How many.
        columns: usize,
    },
    /// A model's name cannot be part of a path.
    #[error("the name of model {position} cannot stand for {{model}} in a location")]
    ModelName {
        /// Its position in the contract, from 1.
        position: usize,
    },
}

impl ContractError {
    /// Says what to do about it, where there is something to do.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => "check the path; datafuse contract init DATA drafts a contract".to_owned(),
                io::ErrorKind::InvalidData => "save it as UTF-8".to_owned(),
                _ => "check the path and who may read there".to_owned(),
            },
            Self::TooLarge { .. } => "check that this is a data contract".to_owned(),
            Self::NotYaml { .. } => "check indentation, quotes and brackets at that line".to_owned(),
            Self::NotJson { .. } => "check quotes, commas and brackets there".to_owned(),
            Self::Malformed { problem, .. } => problem.remedy.clone(),
            Self::NoSuchModel { .. } | Self::WhichModel { .. } => "--model with one of its models".to_owned(),
            Self::NoServer { .. } => "--data with the file, pattern or address of the data".to_owned(),
            Self::LooksLikeData { .. } => {
                "--no-header if its first row is data; else name its columns with words".to_owned()
            }
            Self::ModelName { .. } => {
                "name models with letters, digits, '_' and '-', or write the location out".to_owned()
            }
        })
    }
}

/// What is wrong with a part of a contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where: `schema[0].properties[2].quality[1]`.
    pub place: String,
    /// The fact.
    pub fact: String,
    /// What to do.
    pub remedy: String,
}

impl Problem {
    pub(super) fn new(place: &str, fact: impl Into<String>, remedy: impl Into<String>) -> Self {
        let place = if place.is_empty() { "the top" } else { place };
        Self { place: place.to_owned(), fact: fact.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.fact)
    }
}
