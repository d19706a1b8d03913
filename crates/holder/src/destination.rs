//! Where a protected dataset goes: a file, or an object in a bucket.
//!
//! A file appears by renaming; for a bucket it is written to a temporary file first and then put whole. Either way the former
//! version stays until the new one is complete, and what lies there and is something else is not touched.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use datafuse_core::{dataset::DatasetEnvelope, id::DatasetId};
use datafuse_engine::{
    Caps,
    dataset::{Bucket, BucketAddress, FetchPolicy, Source, protected::ProtectedFile},
};
use datafuse_space::Location;

use crate::{
    error::{Error, Result},
    party::Party,
};

/// Where a protected dataset goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A file of this machine.
    File(PathBuf),
    /// An object in a bucket.
    Bucket(BucketAddress),
}

/// A dataset that is being written.
pub(crate) struct Writing {
    path: PathBuf,
    /// Set where the file is on its way to a bucket; removes it.
    _temporary: Option<tempfile::TempDir>,
}

impl Writing {
    /// The file to write.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Destination {
    /// Which dataset, and where it is to be written: `out`, or where the space file says.
    pub(crate) fn of(party: &Party, dataset: Option<&DatasetId>, out: Option<&PathBuf>) -> Result<(DatasetId, Self)> {
        let known = &party.space().participant(party.id())?.datasets;
        let dataset = match (dataset, known.len()) {
            (Some(dataset), _) => dataset.clone(),
            (None, 1) => known.keys().next().cloned().unwrap_or_else(|| unreachable!("one dataset")),
            (None, _) => {
                let known = known.keys().map(ToString::to_string).collect();
                return Err(Error::WhichDataset { participant: party.id().clone(), known });
            }
        };
        let location = party.space().dataset_location(party.id(), &dataset)?;
        let destination = match (out, &location) {
            (Some(out), _) => Self::File(out.clone()),
            (None, Location::Path(path)) => Self::File(path.clone()),
            (None, Location::Url(url)) => match Source::from_url(url)? {
                Source::Bucket(address) if !address.is_folder() && !address.is_pattern() => Self::Bucket(address),
                _ => return Err(Error::NotWritable { dataset, place: location.to_string() }),
            },
        };
        Ok((dataset, destination))
    }

    /// The version of what is about to be replaced; 0 where there is none.
    ///
    /// # Errors
    /// [`Error::InTheWay`] for what is something else; [`Error::Engine`] where a bucket cannot be asked.
    pub(crate) fn former_version(&self, party: &Party, dataset: &DatasetId, fetch: &FetchPolicy) -> Result<u64> {
        let in_the_way = || Error::InTheWay { path: self.to_string().into() };
        let Some(envelope) = self.envelope(fetch, in_the_way)? else { return Ok(0) };
        let header = envelope.header();
        if !party.had_name(&header.holder) || header.dataset != *dataset {
            return Err(in_the_way());
        }
        // A version counts only within its space; a file of a former space or epoch may be replaced.
        Ok(if header.root == *party.root() { header.version } else { 0 })
    }

    fn envelope(&self, fetch: &FetchPolicy, in_the_way: impl Fn() -> Error) -> Result<Option<DatasetEnvelope>> {
        let caps = Caps::default();
        match self {
            Self::File(path) if !path.exists() => Ok(None),
            Self::File(path) => ProtectedFile::inspect(path, &caps).map(Some).map_err(|_| in_the_way()),
            Self::Bucket(address) => {
                let bucket = Bucket::open(address, fetch)?;
                match ProtectedFile::inspect_in_bucket(&bucket, address.key(), &caps) {
                    Ok(envelope) => Ok(Some(envelope)),
                    Err(error) if error.is_missing() => Ok(None),
                    Err(error @ datafuse_engine::Error::Bucket { .. }) => Err(error.into()),
                    Err(_) => Err(in_the_way()),
                }
            }
        }
    }

    /// Gets ready to write. Temporary files go to `temp_dir`.
    pub(crate) fn begin(&self, temp_dir: &Path) -> Result<Writing> {
        let folder = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Folder { path, source }
        };
        match self {
            Self::File(path) => {
                if let Some(parent) = path.parent() {
                    datafuse_space::make_folder(parent).map_err(folder(parent))?;
                }
                Ok(Writing { path: path.clone(), _temporary: None })
            }
            Self::Bucket(_) => {
                let temporary = tempfile::tempdir_in(temp_dir).map_err(folder(temp_dir))?;
                Ok(Writing { path: temporary.path().join("protected.parquet"), _temporary: Some(temporary) })
            }
        }
    }

    /// Brings what was written to its place.
    pub(crate) fn deliver(&self, written: &Writing, fetch: &FetchPolicy) -> Result<()> {
        match self {
            Self::File(_) => Ok(()),
            Self::Bucket(address) => Ok(Bucket::open(address, fetch)?.put_file(address.key(), written.path())?),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Bucket(address) => address.fmt(f),
        }
    }
}
