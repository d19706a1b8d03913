//! Any source as one local file: the file itself where it is one, else a download that goes when it is dropped.
//!
//! For readers that need a file with a name: protected datasets are read at many places at once, and may be large.

use std::path::{Path, PathBuf};

use super::bucket::{Bucket, BucketProblem};
use super::fetch::{self, FetchPolicy};
use super::reader::matching_files;
use super::source::{Format, Source};
use crate::error::{Error, Result};

/// A source at hand.
#[derive(Debug)]
pub struct LocalFile {
    path: PathBuf,
    format: Option<Format>,
    /// Removes the download.
    _downloaded: Option<tempfile::TempPath>,
}

impl LocalFile {
    /// Brings a source to this machine. What is downloaded lies in `folder`, readable for its owner only. A pattern has to match
    /// exactly one file.
    ///
    /// # Errors
    /// [`Error::Io`] with a source of kind `NotFound` for a path that is no file; [`Error::NotOneFile`]; those of reading the source
    /// by its address ([`Error::is_missing`] tells that nothing is there); [`Error::Io`] and [`Error::NoSpace`] for the temporary
    /// file.
    pub fn of(source: &Source, policy: &FetchPolicy, folder: &Path) -> Result<Self> {
        match source {
            Source::Path(path) => Self::at(path),
            Source::Glob(pattern) if Path::new(pattern).is_file() => Self::at(Path::new(pattern)),
            Source::Glob(pattern) => match &matching_files(pattern)?[..] {
                [path] => Self::at(path),
                files => Err(Error::NotOneFile { place: pattern.clone(), found: files.len() }),
            },
            Source::Url(url) => {
                let downloaded = fetch::fetch_to_file(url, policy, folder)?;
                Ok(Self::downloaded(downloaded, Format::from_name(url.path())))
            }
            Source::Bucket(address) => {
                let bucket = Bucket::open(address, policy)?;
                let key = match address.is_pattern() {
                    true => match &bucket.list()?[..] {
                        [object] => object.key.clone(),
                        [] => return Err(bucket.error_here("read", BucketProblem::NoMatch)),
                        found => return Err(Error::NotOneFile { place: address.to_string(), found: found.len() }),
                    },
                    false => address.key().to_owned(),
                };
                let failed = |source| Error::io(folder, "write a temporary file in", source);
                let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
                bucket.download(&key, file.as_file_mut())?;
                Ok(Self::downloaded(file.into_temp_path(), Format::from_name(&key)))
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its format, where its name tells.
    #[must_use]
    pub fn format(&self) -> Option<Format> {
        self.format
    }

    fn at(path: &Path) -> Result<Self> {
        let metadata = std::fs::metadata(path).map_err(|source| Error::io(path, "read", source))?;
        if metadata.is_dir() {
            return Err(Error::SourceIsFolder { place: path.display().to_string() });
        }
        let format = path.to_str().and_then(Format::from_name);
        Ok(Self { path: path.to_owned(), format, _downloaded: None })
    }

    fn downloaded(file: tempfile::TempPath, format: Option<Format>) -> Self {
        Self { path: file.to_path_buf(), format, _downloaded: Some(file) }
    }
}
