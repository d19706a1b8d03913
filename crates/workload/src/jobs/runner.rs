//! Which processes are at work: each holds a lock on a file of its own beside the state, which the operating system frees when the
//! process dies. So a job that says it has begun can be told from one that was cut off, with no clock involved.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use ulid::Ulid;

use crate::error::{Error, Result};

const FOLDER: &str = "runners";

/// The age from which a file without its name is nobody's.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// This process, as long as the value lives.
#[derive(Debug)]
pub(super) struct Runner {
    pub(super) id: String,
    path: PathBuf,
    _lock: File,
}

impl Runner {
    /// Enters this process, and forgets those that died.
    pub(super) fn enter(state: &Path) -> Result<Self> {
        let folder = state.join(FOLDER);
        crate::workload::create_private_folder(&folder)?;
        let id = Ulid::generate().to_string();
        let path = file_of(state, &id);
        let wrong = |source| Error::Folder { action: "lock", path: path.clone(), source };
        // Locked before it has its name: nobody sees it unlocked while this process lives.
        let unnamed = tempfile::NamedTempFile::new_in(&folder).map_err(wrong)?;
        unnamed.as_file().try_lock().map_err(io::Error::from).map_err(wrong)?;
        let lock = unnamed.persist(&path).map_err(|error| wrong(error.error))?;
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let nobodys = match name.to_str().and_then(|name| name.strip_suffix(".lock")) {
                Some(other) => other != id && !is_alive(state, other),
                None => is_abandoned(&entry),
            };
            if nobodys {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(Self { id, path, _lock: lock })
    }
}

/// Tells whether a file on its way to its name is left of a process that was killed: one of a process at work gets its name at once.
fn is_abandoned(entry: &fs::DirEntry) -> bool {
    let modified = entry.metadata().and_then(|data| data.modified());
    modified.ok().and_then(|time| time.elapsed().ok()).is_some_and(|age| age > ABANDONED)
}

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Tells whether a process lives.
pub(super) fn is_alive(state: &Path, id: &str) -> bool {
    match File::open(file_of(state, id)) {
        Ok(file) => file.try_lock().is_err(),
        // A file that may not be read tells nothing; a process is not declared dead for that.
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

fn file_of(state: &Path, id: &str) -> PathBuf {
    state.join(FOLDER).join(format!("{id}.lock"))
}
