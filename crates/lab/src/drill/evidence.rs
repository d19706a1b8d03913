//! Everything that a space has at rest, as bytes: what the attacker finds when it has broken in.
//!
//! Files are read whole and nothing is changed. Links are not followed.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use datafuse_core::id::ParticipantId;
use datafuse_space::{Layout, Location, MailboxPlace, QueuePlace, Space};
use serde::Serialize;

use crate::error::{Error, Result};

/// A sort of things at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Artifact {
    /// Protected datasets.
    Datasets,
    /// Messages, announcement and status.
    Mailbox,
    /// The workload's database and what lies beside it.
    State,
    /// Fused files.
    Fused,
    /// Audit log and other logs.
    Logs,
    /// Everything below the outputs.
    Reports,
    /// Events that wait.
    Queue,
}

impl Artifact {
    /// Every sort, in the order of the table.
    pub const ALL: [Self; 7] =
        [Self::Datasets, Self::Mailbox, Self::State, Self::Fused, Self::Logs, Self::Reports, Self::Queue];

    /// Gives the name as the table has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Datasets => "datasets",
            Self::Mailbox => "mailbox",
            Self::State => "state",
            Self::Fused => "fused",
            Self::Logs => "logs",
            Self::Reports => "reports",
            Self::Queue => "queue",
        }
    }
}

/// One file that the attacker has.
pub struct Evidence {
    /// What it is part of.
    pub artifact: Artifact,
    /// Whose data it is made of alone, where its place tells.
    pub owner: Option<ParticipantId>,
    /// Its name, to tell a database from what lies beside it.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Collects everything that a space has at rest on this machine, and further log files.
///
/// # Errors
/// [`Error::Io`]; [`Error::Space`] for places that do not hold together.
pub fn collect(space: &Space, logs: &[PathBuf]) -> Result<Vec<Evidence>> {
    let layout = Layout::new(space);
    let mut found = Vec::new();
    for (holder, participant) in space.holders() {
        for dataset in participant.datasets.keys() {
            if let Location::Path(path) = space.dataset_location(holder, dataset)? {
                take(&mut found, Artifact::Datasets, Some(holder), &path, false)?;
            }
        }
    }
    // The workload's own side of an HTTP mailbox lies within its state.
    let mailbox = match layout.workload_mailbox() {
        MailboxPlace::Folder(folder) => Some(folder),
        _ => None,
    };
    if let Some(folder) = mailbox.iter().find(|folder| !folder.starts_with(&layout.state)) {
        walk(folder, &mut |path| take(&mut found, Artifact::Mailbox, None, path, false))?;
    }
    let fused = layout.fused();
    walk(&layout.state, &mut |path| {
        let artifact = match path {
            path if path.starts_with(&fused) => Artifact::Fused,
            path if mailbox.as_ref().is_some_and(|mailbox| path.starts_with(mailbox)) => Artifact::Mailbox,
            path if *path == layout.audit() || is_log(path) => Artifact::Logs,
            _ => Artifact::State,
        };
        take(&mut found, artifact, None, path, false)
    })?;
    walk(&layout.outputs, &mut |path| take(&mut found, Artifact::Reports, None, path, false))?;
    if let QueuePlace::Folder(folder) = &layout.queue {
        walk(folder, &mut |path| take(&mut found, Artifact::Queue, None, path, false))?;
    }
    for entry in fs::read_dir(space.folder()).into_iter().flatten().flatten() {
        if is_log(&entry.path()) && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            take(&mut found, Artifact::Logs, None, &entry.path(), false)?;
        }
    }
    for log in logs {
        take(&mut found, Artifact::Logs, None, log, true)?;
    }
    Ok(found)
}

/// Takes in every file of a folder, and of those below it.
///
/// # Errors
/// [`Error::Io`].
pub fn collect_folder(folder: &Path, artifact: Artifact, found: &mut Vec<Evidence>) -> Result<()> {
    walk(folder, &mut |path| take(found, artifact, None, path, false))
}

fn is_log(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "log")
}

fn take(
    found: &mut Vec<Evidence>,
    artifact: Artifact,
    owner: Option<&ParticipantId>,
    path: &Path,
    must_be_there: bool,
) -> Result<()> {
    match fs::read(path) {
        Ok(bytes) => {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            found.push(Evidence { artifact, owner: owner.cloned(), name, bytes });
            Ok(())
        }
        // A dataset that was not delivered yet, or a message that was collected meanwhile.
        Err(error) if error.kind() == ErrorKind::NotFound && !must_be_there => Ok(()),
        Err(source) => Err(Error::io(path, "read", source)),
    }
}

fn walk(folder: &Path, each: &mut dyn FnMut(&Path) -> Result<()>) -> Result<()> {
    let failed = |source| Error::io(folder, "list", source);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(failed(source)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        paths.push((entry.path(), entry.file_type().map_err(failed)?));
    }
    paths.sort_by(|a, b| a.0.cmp(&b.0));
    for (path, kind) in paths {
        if kind.is_dir() {
            walk(&path, each)?;
        } else if kind.is_file() {
            each(&path)?;
        }
    }
    Ok(())
}
