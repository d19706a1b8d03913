//! Whether events can be processed at the moment: the answer of `/readyz`.
//!
//! In: the workload's places and key, and what the queue says. Out: a document of named checks, without a path, an address or a
//! secret. It looks from beside the work and waits for none of it.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use datafuse_core::{keys::PartyKeys, root::Root};
use datafuse_space::Layout;
use serde::Serialize;

use crate::{
    error::{Error, Result},
    metrics::Metrics,
    queue::QueueStats,
    state::State,
};

/// The least free space on the disks of state and outputs with which the workload is ready.
pub const LEAST_FREE_BYTES: u64 = 128 << 20;

/// Looks whether events can be processed.
pub struct Readiness {
    state: PathBuf,
    state_db: PathBuf,
    outputs: PathBuf,
    root: Root,
    keys: Arc<PartyKeys>,
    metrics: Metrics,
    draining: AtomicBool,
}

/// What a look found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// Whether every check is well.
    pub ready: bool,
    /// The checks, always the same in the same order.
    pub checks: Vec<Check>,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at: `running`, `state`, `queue`, `state_disk`, `outputs_disk`.
    pub name: &'static str,
    /// Whether it is well.
    pub ok: bool,
    /// What is wrong: the class of an error, or fixed words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'static str>,
}

impl Readiness {
    pub(crate) fn new(layout: &Layout, root: Root, keys: Arc<PartyKeys>, metrics: Metrics) -> Self {
        let (state, state_db, outputs) = (layout.state.clone(), layout.state_db(), layout.outputs.clone());
        Self { state, state_db, outputs, root, keys, metrics, draining: AtomicBool::new(false) }
    }

    /// Notes that a stop was asked for: from now on it is not ready.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.metrics.draining();
    }

    /// Looks at everything; `queue` is what the queue answered just now. May wait for the disk.
    #[must_use]
    pub fn look(&self, queue: &Result<QueueStats>) -> Ready {
        let running = if self.draining.load(Ordering::Relaxed) { Err("a stop was asked for") } else { Ok(()) };
        let state = State::probe(&self.state_db, self.keys.token().state_key(&self.root));
        let checks = [
            ("running", running),
            ("state", class_of(&state)),
            ("queue", class_of(queue)),
            ("state_disk", disk(&self.state)),
            ("outputs_disk", disk(&self.outputs)),
        ];
        let checks = checks.map(|(name, result)| Check { name, ok: result.is_ok(), why: result.err() });
        Ready { ready: checks.iter().all(|check| check.ok), checks: checks.to_vec() }
    }

    /// Brings those numbers up to date that are looked up rather than counted. May wait for the disk.
    pub fn measure(&self, queue: &Result<QueueStats>) {
        self.metrics.queue(queue.as_ref().ok());
        let free = [("state", free_bytes(&self.state)), ("outputs", free_bytes(existing(&self.outputs)))];
        self.metrics.disk(&self.state_db, &free);
    }

    /// The numbers.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

fn class_of<T>(result: &Result<T>) -> Result<(), &'static str> {
    result.as_ref().map(drop).map_err(Error::class)
}

/// Checks that a file can be made in a folder, and that there is room for more.
fn disk(folder: &Path) -> Result<(), &'static str> {
    // The outputs folder is made with the first report.
    let folder = existing(folder);
    tempfile::tempfile_in(folder).map_err(|_| "not writable")?;
    match free_bytes(folder) {
        Some(bytes) if bytes < LEAST_FREE_BYTES => Err("less than 128 MiB free"),
        _ => Ok(()),
    }
}

/// The folder, or the nearest one above it that is there.
fn existing(folder: &Path) -> &Path {
    folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(folder)
}

/// Asks the system how much room there is for this user; `None` where it does not say.
fn free_bytes(folder: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let found = rustix::fs::statvfs(folder).ok()?;
        found.f_bavail.checked_mul(found.f_frsize)
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rand_core::UnwrapErr;

    struct Place {
        folder: tempfile::TempDir,
        readiness: Readiness,
    }

    fn place() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let keys = Arc::new(PartyKeys::generate(&mut UnwrapErr(getrandom::SysRng)));
        let root = Root::from_bytes([7; 32]);
        let state = folder.path().join("state");
        std::fs::create_dir(&state).unwrap();
        let state_db = state.join("state.db");
        drop(State::open(&state_db, &root, keys.token().state_key(&root), &[]).unwrap());
        let outputs = folder.path().join("outputs");
        let (metrics, draining) = (Metrics::new(), AtomicBool::new(false));
        let readiness = Readiness { state, state_db, outputs, root, keys, metrics, draining };
        Place { folder, readiness }
    }

    fn wrong(ready: &Ready) -> Vec<(&'static str, &'static str)> {
        let wrong: Vec<_> = ready.checks.iter().filter_map(|check| Some((check.name, check.why?))).collect();
        assert_eq!(ready.ready, wrong.is_empty());
        wrong
    }

    #[test]
    fn is_ready_where_all_is_well_and_says_what_is_not() {
        let mut place = place();
        assert_eq!(wrong(&place.readiness.look(&Ok(QueueStats::default()))), []);
        let reason = "secret".to_owned();
        let gone = Err(Error::QueueUnreachable { place: "redis://user@db".to_owned(), reason });
        let found = place.readiness.look(&gone);
        assert_eq!(wrong(&found), [("queue", "queue-unreachable")]);
        assert!(!serde_json::to_string(&found).unwrap().contains("redis"));

        place.readiness.root = Root::from_bytes([8; 32]);
        assert_eq!(wrong(&place.readiness.look(&Ok(QueueStats::default()))), [("state", "state-sealed")]);
        place.readiness.root = Root::from_bytes([7; 32]);
        place.readiness.drain();
        assert_eq!(wrong(&place.readiness.look(&Ok(QueueStats::default()))), [("running", "a stop was asked for")]);
    }

    #[test]
    fn a_state_that_is_gone_is_not_made_anew() {
        let place = place();
        std::fs::remove_dir_all(place.folder.path().join("state")).unwrap();
        let found = place.readiness.look(&Ok(QueueStats::default()));
        assert_eq!(wrong(&found)[0], ("state", "state"));
        assert!(!place.folder.path().join("state").exists());
    }

    #[test]
    fn what_is_looked_up_is_among_the_numbers() {
        let place = place();
        place.readiness.measure(&Ok(QueueStats::default()));
        let text = place.readiness.metrics().text();
        let state_bytes = text.lines().find_map(|line| line.strip_prefix("datafuse_state_bytes ")).unwrap();
        assert!(state_bytes.parse::<u64>().unwrap() > 0);
        assert!(cfg!(not(unix)) || text.contains(r#"datafuse_free_bytes{place="state"} "#));
    }
}
