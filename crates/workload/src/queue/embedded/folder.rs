//! The folder as one consumer sees it: who lives, and the streams in it. All of this work is synchronous.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use ulid::{Generator, Ulid};

use super::lane::{Claim, Lane, Waiting, failed, list, make_folder, remove, sync_folder};
use crate::{
    error::{Error, Result},
    queue::{
        Delivery, QueueStats,
        stream::{DEFAULT_STREAM, StreamName, in_order, main_of},
    },
};

/// The age at which a file that a crashed publisher left in `tmp/` is swept away.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// The folder.
pub(super) struct Folder {
    pub(super) root: PathBuf,
    owners: PathBuf,
    tmp: PathBuf,
    owner: Ulid,
    /// Most urgent first; at least one.
    lanes: Vec<Lane>,
    /// Which of the lanes events are published to.
    main: usize,
    /// Held from naming an event until it is in its place: this publisher's events appear in the order of their ids.
    ids: Mutex<Generator>,
    /// Locked for as long as this value lives; the operating system unlocks it when the process dies.
    _lock: File,
}

impl Folder {
    pub(super) fn open(root: PathBuf, streams: &[StreamName]) -> Result<Self> {
        let (owners, tmp) = (root.join("owners"), root.join("tmp"));
        let streams_folder = root.join("streams");
        for path in [&root, &owners, &tmp] {
            make_folder(path)?;
        }
        let owner = Ulid::generate();
        let streams = in_order(streams);
        let main = main_of(&streams);
        let folder_of = |stream: &StreamName| match stream.as_str() {
            DEFAULT_STREAM => root.clone(),
            name => streams_folder.join(name),
        };
        if streams.iter().any(|stream| stream.as_str() != DEFAULT_STREAM) {
            make_folder(&streams_folder)?;
        }
        let lanes = streams.into_iter().map(|stream| Lane::open(&folder_of(&stream), stream, owner));
        let lanes = lanes.collect::<Result<_>>()?;
        // Locked before it appears under its name: nobody ever sees it unlocked while this consumer lives.
        let unnamed = tmp.join(format!("{owner}.lock"));
        let lock = File::create_new(&unnamed).map_err(failed("create", &unnamed))?;
        lock.try_lock().map_err(io::Error::from).map_err(failed("lock", &unnamed))?;
        let named = owners.join(format!("{owner}.lock"));
        fs::rename(&unnamed, &named).map_err(failed("create", &named))?;
        let ids = Mutex::new(Generator::new());
        let folder = Self { root, owners, tmp, owner, lanes, main, ids, _lock: lock };
        folder.sweep();
        Ok(folder)
    }

    pub(super) fn lane(&self, index: usize) -> &Lane {
        &self.lanes[index]
    }

    /// Finds this consumer's claim of a delivery; none if the delivery came from another queue.
    pub(super) fn claim(&self, delivery: &Delivery) -> Option<(usize, Claim)> {
        let lane = self.lanes.iter().position(|lane| lane.name.as_str() == delivery.stream)?;
        let event = delivery.id.as_str().parse().ok()?;
        Some((lane, Claim { event, attempts: delivery.attempts, owner: self.owner }))
    }

    pub(super) fn publish(&self, payload: &[u8]) -> Result<Ulid> {
        self.name_event(|event| {
            let waiting = Waiting { event, attempts: 0 };
            self.write(payload, &self.lanes[self.main].ready, &waiting.file_name())
        })
    }

    /// Moves the event of a dead letter among those that wait, as a new one: of several that try at once, one succeeds.
    pub(super) fn resend(&self, dead: Ulid) -> Result<Option<Ulid>> {
        for lane in &self.lanes {
            let from = lane.dead_event(dead);
            let mut found = true;
            let event = self.name_event(|event| {
                let to = lane.ready.join(Waiting { event, attempts: 0 }.file_name());
                found = super::lane::rename(&from, &to)?;
                Ok(())
            })?;
            if found {
                sync_folder(&lane.ready)?;
                sync_folder(&lane.dead)?;
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// Draws an event's id, and holds others up until the event is in its place.
    fn name_event(&self, place: impl FnOnce(Ulid) -> Result<()>) -> Result<Ulid> {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let event = match ids.generate() {
            Ok(event) => event,
            Err(overflow) => overflow.commit_overflow_increment(),
        };
        place(event)?;
        drop(ids);
        Ok(event)
    }

    /// Writes a file so that it is either whole under its name, also after a crash, or not there.
    fn write(&self, content: &[u8], folder: &Path, name: &str) -> Result<()> {
        let path = folder.join(name);
        let wrong = |source| Error::QueueFolder { action: "write", path: path.clone(), source };
        let mut file = tempfile::NamedTempFile::new_in(&self.tmp).map_err(wrong)?;
        file.write_all(content).map_err(wrong)?;
        file.as_file().sync_all().map_err(wrong)?;
        file.persist(&path).map_err(|e| wrong(e.error))?;
        sync_folder(folder)
    }

    /// Takes the next event of the most urgent stream that has one, with the stream's index.
    pub(super) fn take(&self) -> Result<Option<(usize, Claim, Vec<u8>)>> {
        for (index, lane) in self.lanes.iter().enumerate() {
            if let Some((claim, payload)) = lane.take(|claims| self.revive(lane, claims))? {
                return Ok(Some((index, claim, payload)));
            }
        }
        Ok(None)
    }

    /// Puts the events of dead consumers back into a stream's `ready/`; tells whether there were any.
    fn revive(&self, lane: &Lane, claims: &[Claim]) -> Result<bool> {
        let owners: BTreeSet<Ulid> = claims.iter().map(|c| c.owner).collect();
        let mut revived = false;
        for owner in owners.into_iter().filter(|owner| *owner != self.owner) {
            let path = self.owner_path(owner);
            let lock = match File::open(&path) {
                Ok(lock) => match lock.try_lock() {
                    Ok(()) => Some(lock),
                    Err(fs::TryLockError::WouldBlock) => continue,
                    Err(fs::TryLockError::Error(source)) => {
                        return Err(failed("lock", &path)(source));
                    }
                },
                // No lock file at all: somebody removed it, or revived what the same consumer had in another stream.
                Err(e) if e.kind() == io::ErrorKind::NotFound => None,
                Err(source) => return Err(failed("open", &path)(source)),
            };
            // Looked at again under the lock: another consumer may have been faster.
            revived |= lane.revive(owner)?;
            if lock.is_some() {
                remove(&path)?;
            }
        }
        Ok(revived)
    }

    /// Writes the letter, then moves the event. A crash between the two delivers the event again, which writes the
    /// same letter again under the same name.
    pub(super) fn dead_letter(&self, lane: usize, claim: &Claim, letter: &[u8]) -> Result<()> {
        let lane = self.lane(lane);
        self.write(letter, &lane.dead, &format!("{}.json", claim.event))?;
        lane.put_aside(claim)
    }

    pub(super) fn stats(&self) -> Result<QueueStats> {
        let consumers = self.living()?;
        let streams = self.lanes.iter().map(|lane| lane.stats(consumers));
        Ok(QueueStats { streams: streams.collect::<Result<_>>()? })
    }

    /// Counts the consumers whose locks are held.
    fn living(&self) -> Result<u64> {
        let lives = |owner: &Ulid| {
            let lock = File::open(self.owner_path(*owner));
            *owner == self.owner || lock.is_ok_and(|lock| lock.try_lock().is_err())
        };
        Ok(list(&self.owners, lock_name)?.iter().filter(|owner| lives(owner)).count() as u64)
    }

    fn owner_path(&self, owner: Ulid) -> PathBuf {
        self.owners.join(format!("{owner}.lock"))
    }

    /// Whether a consumer has claims in any of the streams.
    fn owes(&self, owner: Ulid) -> Result<bool> {
        for lane in &self.lanes {
            if lane.claims()?.iter().any(|claim| claim.owner == owner) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes what crashed processes left behind: old files in `tmp/`, locks of dead consumers without claims. Only
    /// tidiness, so nothing here is an error.
    fn sweep(&self) {
        let now = SystemTime::now();
        for entry in fs::read_dir(&self.tmp).into_iter().flatten().flatten() {
            let age =
                entry.metadata().and_then(|data| data.modified()).ok().and_then(|time| now.duration_since(time).ok());
            if age.is_some_and(|age| age > STALE) {
                let _ = fs::remove_file(entry.path());
            }
        }
        for owner in list(&self.owners, lock_name).into_iter().flatten() {
            if owner == self.owner || self.owes(owner).unwrap_or(true) {
                continue;
            }
            let path = self.owner_path(owner);
            if let Ok(lock) = File::open(&path)
                && lock.try_lock().is_ok()
            {
                let _ = fs::remove_file(&path);
            }
        }
    }
}

/// A consumer that leaves nothing behind takes its lock file along.
impl Drop for Folder {
    fn drop(&mut self) {
        if self.owes(self.owner).is_ok_and(|owes| !owes) {
            let _ = fs::remove_file(self.owner_path(self.owner));
        }
    }
}

fn lock_name(name: &str) -> Option<Ulid> {
    name.strip_suffix(".lock")?.parse().ok()
}
