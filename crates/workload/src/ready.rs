//! Whether events can be processed at the moment: the answer of `/readyz`.
//!
//! In: the workload's places and key, and what the queue says. Out: a document of named checks, without a path, an address or a
//! secret. It looks from beside the work and waits for none of it.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use datafuse_core::{announcement::Announcement, keys::PartyKeys, name::PublicName, root::Root};
use datafuse_space::{Layout, Mailbox, MailboxPlace, Space, mailbox::announcement_name, passes};
use serde::Serialize;

use crate::{
    error::{Error, Result},
    metrics::Metrics,
    queue::QueueStats,
    state::State,
};

/// The least free space on the disks of state and outputs with which the workload is ready.
pub const LEAST_FREE_BYTES: u64 = 128 << 20;

/// The class of [`Error::EpochAnnounced`].
const EPOCH_ANNOUNCED: &str = "epoch-announced";

/// Looks whether events can be processed.
pub struct Readiness {
    state: PathBuf,
    state_db: PathBuf,
    outputs: PathBuf,
    /// None where it could not be opened.
    mailbox: Option<Arc<dyn Mailbox>>,
    /// Where the mailbox is a folder.
    mailbox_folder: Option<PathBuf>,
    root: Root,
    /// Under which the workload announced epochs.
    names: Vec<PublicName>,
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
    /// What was looked at: `running`, `state`, `queue`, `mailbox`, `state_disk`, `outputs_disk`.
    pub name: &'static str,
    /// Whether it is well.
    pub ok: bool,
    /// What is wrong: the class of an error, or fixed words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'static str>,
}

impl Check {
    fn of((name, result): (&'static str, Result<(), &'static str>)) -> Self {
        Self { name, ok: result.is_ok(), why: result.err() }
    }
}

impl Readiness {
    /// Gets ready to look at the places of a workload, which is open or not.
    #[must_use]
    pub fn new(
        layout: &Layout,
        space: &Space,
        keys: Arc<PartyKeys>,
        mailbox: Option<Arc<dyn Mailbox>>,
        metrics: Metrics,
    ) -> Self {
        let mailbox_folder = match layout.workload_mailbox() {
            MailboxPlace::Folder(folder) => Some(folder),
            _ => None,
        };
        Self {
            state: layout.state.clone(),
            state_db: layout.state_db(),
            outputs: layout.outputs.clone(),
            mailbox,
            mailbox_folder,
            root: space.root(),
            names: std::iter::once(space.workload()).chain(space.workload_former()).cloned().collect(),
            keys,
            metrics,
            draining: AtomicBool::new(false),
        }
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
        let checks = [
            ("running", running),
            ("state", self.state().and_then(|knows_epoch| self.is_ours(knows_epoch))),
            ("queue", class_of(queue)),
            ("mailbox", self.mailbox()),
            ("state_disk", disk(&self.state)),
            ("outputs_disk", or_above(&self.outputs).and_then(disk)),
        ];
        let checks = checks.map(Check::of);
        Ready { ready: checks.iter().all(|check| check.ok), checks: checks.to_vec() }
    }

    /// Looks at the places before a workload is started at them: what is yet to be made is well where it can be made, and where no
    /// epoch was announced. May wait for the disk.
    #[must_use]
    pub fn look_before_start(&self) -> Vec<Check> {
        let state = if self.state_db.exists() { self.state() } else { Ok(false) };
        let checks = [
            ("state", state.and_then(|knows_epoch| self.is_ours(knows_epoch))),
            ("state_disk", or_above(&self.state).and_then(disk)),
            ("outputs_disk", or_above(&self.outputs).and_then(disk)),
        ];
        checks.map(Check::of).to_vec()
    }

    /// The first place that every event needs and that cannot be used now: its check, and what is wrong. A disk that only has
    /// little room left can be used. May wait for the disk.
    pub(crate) fn away(&self) -> Option<(&'static str, &'static str)> {
        let places = [
            ("state", self.state().map(drop)),
            ("mailbox", self.mailbox()),
            ("state_disk", writable(&self.state)),
            ("outputs_disk", or_above(&self.outputs).and_then(writable)),
        ];
        places.into_iter().find_map(|(name, result)| Some((name, result.err()?)))
    }

    /// Opens the state; tells whether it knows of an epoch.
    fn state(&self) -> Result<bool, &'static str> {
        State::probe(&self.state_db, self.keys.token().state_key(&self.root)).map_err(|error| error.class())
    }

    /// An empty state where an epoch was announced is another one than that which announced it.
    fn is_ours(&self, knows_epoch: bool) -> Result<(), &'static str> {
        if knows_epoch {
            return Ok(());
        }
        let announced = self.mailbox.as_ref().map(|mailbox| mailbox.read(&announcement_name(&self.root)));
        let Some(Ok(Some(bytes))) = announced else { return Ok(()) };
        match self.names.iter().any(|name| Announcement::verify(&bytes, &self.root, name).is_ok()) {
            true => Err(EPOCH_ANNOUNCED),
            false => Ok(()),
        }
    }

    /// A mailbox on another machine is not asked: its answers are not this machine's state, and may cost money.
    fn mailbox(&self) -> Result<(), &'static str> {
        self.mailbox_folder.as_deref().map_or(Ok(()), usable)
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

/// Checks that a folder can be read and written.
///
/// # Errors
/// What is wrong, in fixed words.
pub fn usable(folder: &Path) -> Result<(), &'static str> {
    std::fs::read_dir(folder).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => "not there",
        _ => "not readable",
    })?;
    writable(folder)
}

/// Checks that a folder can be written to, and that there is room for more.
fn disk(folder: &Path) -> Result<(), &'static str> {
    writable(folder)?;
    match free_bytes(folder) {
        Some(bytes) if bytes < LEAST_FREE_BYTES => Err("less than 128 MiB free"),
        _ => Ok(()),
    }
}

/// Checks that a file can be made in a folder, and something written into it.
fn writable(folder: &Path) -> Result<(), &'static str> {
    let file = tempfile::tempfile_in(folder).and_then(|mut file| file.write_all(&[0; 4096]));
    file.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "not there",
        kind if passes(kind) => "full",
        _ => "not writable",
    })
}

/// The folder; the one above it, where it is yet to be made.
fn or_above(folder: &Path) -> Result<&Path, &'static str> {
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    [folder, above].into_iter().find(|folder| folder.is_dir()).ok_or("not there")
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
    use datafuse_core::{id::Epoch, seal::ReceiveKey};
    use datafuse_space::FolderMailbox;
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
        let mailbox_folder = Some(folder.path().join("mailbox"));
        let mailbox = FolderMailbox::open_or_create(folder.path().join("mailbox")).unwrap();
        let mailbox: Option<Arc<dyn Mailbox>> = Some(Arc::new(mailbox));
        let (metrics, draining, names) = (Metrics::new(), AtomicBool::new(false), vec![keys.identity().public_name()]);
        let readiness =
            Readiness { state, state_db, outputs, mailbox, mailbox_folder, root, names, keys, metrics, draining };
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
    fn an_empty_state_is_not_that_which_announced_an_epoch() {
        let place = place();
        let (readiness, queue) = (&place.readiness, Ok(QueueStats::default()));
        let mut rng = UnwrapErr(getrandom::SysRng);
        let mut announce = |identity: &datafuse_core::keys::Identity| {
            let announcement = Announcement {
                root: readiness.root,
                epoch: Epoch(1),
                serial: 1,
                dataset_key: ReceiveKey::generate(&mut rng).public(),
                message_key: ReceiveKey::generate(&mut rng).public(),
            };
            readiness
                .mailbox
                .as_ref()
                .unwrap()
                .put(&announcement_name(&readiness.root), &announcement.sign(identity))
                .unwrap();
        };
        announce(PartyKeys::generate(&mut UnwrapErr(getrandom::SysRng)).identity());
        assert_eq!(wrong(&readiness.look(&queue)), [], "somebody else announced");
        announce(readiness.keys.identity());
        assert_eq!(wrong(&readiness.look(&queue)), [("state", Error::EpochAnnounced { epoch: Epoch(1) }.class())]);
        assert_eq!(readiness.away(), None, "an INITIALIZE can still be taken");
    }

    #[test]
    fn places_that_went_away_are_told_apart() {
        let place = place();
        let (readiness, queue) = (&place.readiness, Ok(QueueStats::default()));
        assert_eq!(readiness.away(), None);
        let path = |name: &str| place.folder.path().join(name);
        std::fs::rename(path("mailbox"), path("elsewhere")).unwrap();
        assert_eq!(wrong(&readiness.look(&queue)), [("mailbox", "not there")]);
        assert_eq!(readiness.away(), Some(("mailbox", "not there")));
        std::fs::rename(path("elsewhere"), path("mailbox")).unwrap();
        assert_eq!(readiness.away(), None);
    }

    #[test]
    fn outputs_are_made_in_a_folder_that_is_there() {
        let mut place = place();
        place.readiness.outputs = place.folder.path().join("share/outputs");
        let found = place.readiness.look(&Ok(QueueStats::default()));
        assert_eq!(wrong(&found), [("outputs_disk", "not there")]);
        std::fs::create_dir(place.folder.path().join("share")).unwrap();
        assert_eq!(wrong(&place.readiness.look(&Ok(QueueStats::default()))), []);
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
