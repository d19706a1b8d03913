//! The output folder of an event: written beside its place first, then renamed as a whole.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use datafuse_core::id::EventId;
use datafuse_space::make_folder;

use crate::{
    error::{Error, Result},
    outcome::temporary_name,
    report_folder,
    step::{self, Step},
};

/// Makes an empty folder beside the one to come; the folder of all outputs too, where it is missing, but none above that.
pub(super) fn prepare(outputs: &Path, event: &EventId) -> Result<PathBuf> {
    let part = outputs.join(temporary_name(event));
    let _ = fs::remove_dir_all(&part);
    for folder in [outputs, &part] {
        make_folder(folder).map_err(|source| failed("create", folder, source))?;
    }
    Ok(part)
}

/// Writes a new file, down to the disk.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    report_folder::write(path, bytes).map_err(|source| failed("write", path, source))?;
    step::at(Step::ReportFileWritten);
    Ok(())
}

/// Makes the output appear whole: the folder's entries, then its name, then its place among the outputs reach the disk.
pub(super) fn publish(part: &Path, folder: &Path) -> Result<()> {
    report_folder::publish(part, folder).map_err(|source| failed("create", folder, source))
}

pub(super) fn failed(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Output { action, path: path.to_owned(), source }
}
