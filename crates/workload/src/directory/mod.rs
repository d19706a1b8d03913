//! Who takes part, and where what they bring lies: one trait, two sources of it.
//!
//! [`space_file`] takes both from the agreement; on the platform, participants and datasets come from its control plane and its
//! connectors. The public names of the participants are the agreement's either way: nobody else vouches for keys.
//!
//! It opens no dataset.

pub mod space_file;

use std::path::PathBuf;

use datafuse_core::{
    id::{DatasetId, ParticipantId},
    name::PublicName,
};
use datafuse_engine::dataset::{BucketSettings, Format, ParquetKey, Source};
use datafuse_space::{Space, Table};

use crate::error::Result;

pub use space_file::SpaceFile;

/// Where participants and their datasets are looked up.
pub trait Directory: Send + Sync {
    /// Gives the data holders that take part at the moment, sorted by name.
    ///
    /// # Errors
    /// That they cannot be looked up, or what is found there makes no sense.
    fn holders(&self, space: &Space) -> Result<Vec<Holder>>;
}

/// A data holder, with what it brings.
#[derive(Clone, Debug)]
pub struct Holder {
    /// Its name in the agreement.
    pub id: ParticipantId,
    /// Its public name.
    pub name: PublicName,
    /// What it brings, sorted by name.
    pub datasets: Vec<DatasetPlace>,
}

/// Where a dataset lies, and what opens it.
#[derive(Clone, Debug)]
pub struct DatasetPlace {
    /// Which of its holder's datasets.
    pub dataset: DatasetId,
    /// Where.
    pub source: Source,
    /// Its format, where the name does not tell.
    pub format: Option<Format>,
    /// The key of an encrypted Parquet file. Protected datasets bring their own.
    pub parquet_key: Option<ParquetKey>,
    /// Settings and credentials of the bucket.
    pub bucket: BucketSettings,
    /// Set where it is a table of tokens in the place of a protected dataset, as the space allows.
    pub table: Option<Table>,
    /// The data contract that it has to keep.
    pub contract: Option<ContractPlace>,
}

/// Where a data contract comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum ContractPlace {
    /// A file of the Open Data Contract Standard.
    File(PathBuf),
    /// The `schema` of a data descriptor of the platform.
    Descriptor(serde_json::Value),
}
