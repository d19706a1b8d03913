//! The directory that is the agreement itself: every holder of the space takes part, with the datasets that the space file names.

use std::path::Path;

use datafuse_engine::dataset::{BucketSettings, Source};
use datafuse_space::{Location, Space};

use super::{ContractPlace, DatasetPlace, Directory, Holder};
use crate::error::{Error, Result};

/// Takes participants and datasets from the space file; credentials of buckets from the process's variables.
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
                datasets.push(DatasetPlace {
                    dataset: dataset.clone(),
                    source,
                    format: None,
                    parquet_key: None,
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
    path.to_str().is_some_and(|text| text.contains(['*', '?', '[']))
}
