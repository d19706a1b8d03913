//! Who takes part, and where what they bring lies: one trait, two sources of it.
//!
//! [`space_file`] takes both from the agreement; [`platform`] takes participants and datasets from the platform's control plane and
//! connectors. The public names of the participants are the agreement's either way: nobody else vouches for keys.
//!
//! It opens no dataset.

pub mod platform;
pub mod space_file;

use std::{collections::BTreeSet, path::PathBuf};

use datafuse_core::{
    id::{DatasetId, ParticipantId},
    name::PublicName,
};
use datafuse_engine::dataset::{BucketSettings, Format, ParquetKey, Source};
use datafuse_space::{Space, Table};

use crate::{
    error::Result,
    platform::{Environment, PlatformError},
};

pub use platform::PlatformDirectory;
pub use space_file::SpaceFile;

/// Chooses the directory: the platform's where the environment names its control plane (`DV_URL`) and a space (`DV_APP_ID`), else
/// the agreement.
///
/// # Errors
/// Those of [`PlatformDirectory::of`].
pub fn of(environment: &Environment) -> Result<Box<dyn Directory>> {
    Ok(match PlatformDirectory::of(environment)? {
        Some(platform) => Box::new(platform),
        None => Box::new(SpaceFile),
    })
}

/// Where participants and their datasets are looked up.
pub trait Directory: Send + Sync {
    /// Gives the data holders that take part at the moment, sorted by name.
    ///
    /// # Errors
    /// That they cannot be looked up, or what is found there makes no sense.
    fn holders(&self, space: &Space) -> Result<Vec<Holder>>;

    /// Gives those of them that are named, or all; what the others bring is not looked up.
    ///
    /// # Errors
    /// As [`holders`](Self::holders); that one which is named does not take part.
    fn holders_among(&self, space: &Space, named: Option<&BTreeSet<ParticipantId>>) -> Result<Vec<Holder>> {
        let mut holders = self.holders(space)?;
        holders.retain(|holder| named.is_none_or(|named| named.contains(&holder.id)));
        Ok(holders)
    }
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

impl DatasetPlace {
    /// Gives the place of what is matched: where the source stands for several models, that of the model that has the dataset's
    /// name.
    ///
    /// # Errors
    /// [`PlatformError::WhichModel`] where none has.
    pub fn for_matching(&self, holder: &ParticipantId) -> Result<Self> {
        if !self.source.names_model() {
            return Ok(self.clone());
        }
        let which = || PlatformError::WhichModel { holder: holder.clone(), dataset: self.dataset.clone() };
        let models = match &self.contract {
            Some(ContractPlace::Descriptor(schema)) => schema.as_object(),
            _ => None,
        };
        let named = models.into_iter().flatten().map(|(model, _)| model);
        let model =
            named.into_iter().find(|model| model.to_ascii_lowercase() == self.dataset.as_str()).ok_or_else(which)?;
        let source = self.source.with_model(model).map_err(|_| which())?;
        Ok(Self { source, ..self.clone() })
    }
}

/// Where a data contract comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum ContractPlace {
    /// A file of the Open Data Contract Standard.
    File(PathBuf),
    /// The `schema` of a data descriptor of the platform.
    Descriptor(serde_json::Value),
}
