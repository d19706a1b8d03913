//! The output folder of an event: written beside its place first, then renamed as a whole.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use datafuse_core::id::EventId;

use crate::{
    error::{Error, Result},
    outcome::temporary_name,
};

/// Makes an empty folder beside the one to come.
pub(super) fn prepare(outputs: &Path, event: &EventId) -> Result<PathBuf> {
    let part = outputs.join(temporary_name(event));
    let _ = fs::remove_dir_all(&part);
    fs::create_dir_all(&part).map_err(|source| failed("create", &part, source))?;
    Ok(part)
}

/// Writes a new file, down to the disk.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create_new(path).map_err(|source| failed("create", path, source))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|source| failed("write", path, source))
}

/// Makes the output appear whole: the folder's entries, then its name, then its place among the outputs reach the disk.
pub(super) fn publish(part: &Path, folder: &Path) -> Result<()> {
    let sync = |path: &Path| File::open(path).and_then(|folder| folder.sync_all());
    sync(part).map_err(|source| failed("write", part, source))?;
    fs::rename(part, folder).map_err(|source| failed("create", folder, source))?;
    if let Some(outputs) = folder.parent() {
        sync(outputs).map_err(|source| failed("write", outputs, source))?;
    }
    Ok(())
}

pub(super) fn failed(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Output { action, path: path.to_owned(), source }
}
