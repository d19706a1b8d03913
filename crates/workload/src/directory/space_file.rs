//! The directory that is the agreement itself: every holder of the space takes part, with the datasets that the space file names.

use std::path::Path;

use datafuse_core::id::{DatasetId, ParticipantId};
use datafuse_engine::dataset::{BucketSettings, ParquetKey, Source};
use datafuse_space::{Location, Space};
use zeroize::Zeroizing;

use super::{ContractPlace, DatasetPlace, Directory, Holder};
use crate::{
    error::{Error, Result},
    processor::TokenTableError,
};

/// Takes participants and datasets from the space file; credentials of buckets, and keys of encrypted tables, from the process's
/// variables.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpaceFile;

impl Directory for SpaceFile {
    fn holders(&self, space: &Space) -> Result<Vec<Holder>> {
        let mut holders = Vec::new();
        for (id, participant) in space.holders() {
            let name = participant.name.clone().ok_or_else(|| Error::NotAHolder { participant: id.clone() })?;
            let mut datasets = Vec::new();
            for (dataset, described) in &participant.datasets {
                let source = match space.dataset_location(id, dataset)? {
                    // A protected dataset is one file, whatever its name; a table may be several.
                    Location::Path(path) if described.table.is_some() && is_pattern(&path) => {
                        Source::Glob(path.to_string_lossy().into_owned())
                    }
                    Location::Path(path) => Source::Path(path),
                    Location::Url(url) => Source::from_url(&url)?,
                };
                let parquet_key = described.table.as_ref().and_then(|table| table.encryption_key_from.as_ref());
                let parquet_key = parquet_key.map(|variable| key_from(variable, id, dataset)).transpose()?.flatten();
                datasets.push(DatasetPlace {
                    dataset: dataset.clone(),
                    source,
                    format: None,
                    parquet_key,
                    bucket: BucketSettings::from_process(),
                    table: described.table.clone(),
                    contract: described.contract.as_ref().map(|path| ContractPlace::File(space.folder().join(path))),
                });
            }
            holders.push(Holder { id: id.clone(), name, datasets });
        }
        Ok(holders)
    }
}

fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?', '['])
}

/// The key in a variable; `None` where it is not set, which matters only when the table is read.
fn key_from(variable: &str, holder: &ParticipantId, dataset: &DatasetId) -> Result<Option<ParquetKey>> {
    let Some(value) = std::env::var_os(variable) else { return Ok(None) };
    let text = Zeroizing::new(value.to_string_lossy().into_owned());
    // A line end comes with many ways to fill a variable from a file.
    let key = text.trim_end_matches(['\n', '\r']).parse().map_err(|source| TokenTableError::InvalidKey {
        holder: holder.clone(),
        dataset: dataset.clone(),
        variable: variable.to_owned(),
        source,
    })?;
    Ok(Some(key))
}
