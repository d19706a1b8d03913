//! The folders of one stream: what waits in it, what is at work, what was put aside. All of this work is synchronous.

use std::{
    collections::{BTreeSet, BinaryHeap, VecDeque},
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use ulid::Ulid;

use crate::{
    error::{Error, Result},
    event::MAX_EVENT_BYTES,
    queue::{MAX_DELIVERIES, StreamStats, stream::StreamName},
};

/// How many of the oldest waiting events are remembered at a time: what a backlog costs in memory, whatever its length. Each look
/// through the folder serves so many events.
const WINDOW: usize = if cfg!(test) { 16 } else { 8192 };

/// An event waiting in `ready/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Waiting {
    pub(super) event: Ulid,
    pub(super) attempts: u32,
}

/// An event in `work/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claim {
    pub(super) event: Ulid,
    pub(super) attempts: u32,
    pub(super) owner: Ulid,
}

impl Waiting {
    pub(super) fn file_name(self) -> String {
        format!("{}.{}.event", self.event, self.attempts)
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        let (event, attempts) = name.strip_suffix(".event")?.split_once('.')?;
        let waiting = Self { event: event.parse().ok()?, attempts: attempts.parse().ok()? };
        (waiting.file_name() == name).then_some(waiting)
    }
}

impl Claim {
    pub(super) fn file_name(self) -> String {
        format!("{}.{}.{}.event", self.event, self.attempts, self.owner)
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        let (rest, owner) = name.strip_suffix(".event")?.rsplit_once('.')?;
        let (event, attempts) = rest.split_once('.')?;
        let claim = Self { event: event.parse().ok()?, attempts: attempts.parse().ok()?, owner: owner.parse().ok()? };
        (claim.file_name() == name).then_some(claim)
    }

    pub(super) fn waiting(self) -> Waiting {
        Waiting { event: self.event, attempts: self.attempts }
    }
}

/// One stream.
pub(super) struct Lane {
    pub(super) name: StreamName,
    pub(super) ready: PathBuf,
    pub(super) dead: PathBuf,
    work: PathBuf,
    /// Who this consumer is.
    owner: Ulid,
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    /// What the last look into `ready/` found and is not taken yet, oldest first.
    candidates: VecDeque<Waiting>,
    /// Events given to the caller and not yet acknowledged, released or put aside.
    pub(super) in_hand: BTreeSet<Ulid>,
}

impl Lane {
    /// Makes the folders of a stream where they are missing.
    pub(super) fn open(folder: &Path, name: StreamName, owner: Ulid) -> Result<Self> {
        let inside = |name: &str| folder.join(name);
        let (ready, work, dead) = (inside("ready"), inside("work"), inside("dead"));
        for path in [folder, &ready, &work, &dead] {
            make_folder(path)?;
        }
        Ok(Self { name, ready, dead, work, owner, state: Mutex::default() })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn work_path(&self, claim: &Claim) -> PathBuf {
        self.work.join(claim.file_name())
    }

    /// Takes the next event, if there is one; `revive` puts the events of dead consumers among these claims back, and tells
    /// whether there were any.
    pub(super) fn take(&self, revive: impl FnOnce(&[Claim]) -> Result<bool>) -> Result<Option<(Claim, Vec<u8>)>> {
        let mut state = self.state();
        let claims = self.claims()?;
        if let Some(own) = claims.iter().find(|c| c.owner == self.owner && !state.in_hand.contains(&c.event)) {
            let again = Claim { attempts: own.attempts + 1, ..*own };
            if rename(&self.work_path(own), &self.work_path(&again))? {
                return self.read(again).map(Some);
            }
        }
        if revive(&claims)? || state.candidates.is_empty() {
            state.candidates = self.oldest()?.into();
        }
        while let Some(waiting) = state.candidates.pop_front() {
            let claim = Claim { event: waiting.event, attempts: waiting.attempts + 1, owner: self.owner };
            if rename(&self.ready.join(waiting.file_name()), &self.work_path(&claim))? {
                return self.read(claim).map(Some);
            }
        }
        Ok(None)
    }

    /// Reads a claimed event. One that cannot be read goes back; after the last attempt it is delivered empty, so that
    /// it ends as a dead letter instead of standing in the way for ever.
    fn read(&self, claim: Claim) -> Result<(Claim, Vec<u8>)> {
        let path = self.work_path(&claim);
        let mut payload = Vec::new();
        self.touch(&claim);
        let read = File::open(&path).and_then(|file| file.take(MAX_EVENT_BYTES as u64 + 1).read_to_end(&mut payload));
        match read {
            Ok(_) => Ok((claim, payload)),
            Err(_) if claim.attempts > MAX_DELIVERIES => Ok((claim, Vec::new())),
            Err(source) => {
                rename(&path, &self.ready.join(claim.waiting().file_name()))?;
                Err(Error::QueueFolder { action: "read", path, source })
            }
        }
    }

    /// Puts the events that a dead consumer had back; tells whether there were any.
    pub(super) fn revive(&self, owner: Ulid) -> Result<bool> {
        let mut revived = false;
        for claim in self.claims()?.into_iter().filter(|claim| claim.owner == owner) {
            revived |= rename(&self.work_path(&claim), &self.ready.join(claim.waiting().file_name()))?;
        }
        Ok(revived)
    }

    pub(super) fn acknowledge(&self, claim: &Claim) -> Result<()> {
        remove(&self.work_path(claim))?;
        self.state().in_hand.remove(&claim.event);
        sync_folder(&self.work)
    }

    /// Gives a claim back; tells whether it was still there.
    pub(super) fn release(&self, claim: &Claim) -> Result<bool> {
        let mut state = self.state();
        let waiting = self.ready.join(claim.waiting().file_name());
        let moved = rename(&self.work_path(claim), &waiting)?;
        state.in_hand.remove(&claim.event);
        state.candidates.clear();
        Ok(moved)
    }

    /// Acknowledges an event by moving it to where it can be found again, for nobody but the folder's owner.
    pub(super) fn put_aside(&self, claim: &Claim) -> Result<()> {
        let path = self.work_path(claim);
        #[cfg(unix)]
        {
            // Another user's file keeps its mode; nothing is lost by that.
            let owner_only = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o600);
            let _ = fs::set_permissions(&path, owner_only);
        }
        rename(&path, &self.dead_event(claim.event))?;
        self.state().in_hand.remove(&claim.event);
        sync_folder(&self.dead)?;
        sync_folder(&self.work)
    }

    /// Where the event of a dead letter is kept.
    pub(super) fn dead_event(&self, event: Ulid) -> PathBuf {
        self.dead.join(format!("{event}.event"))
    }

    /// Marks a claimed event as at work now, for the figures; tells whether it is there.
    pub(super) fn touch(&self, claim: &Claim) -> bool {
        match File::open(self.work_path(claim)) {
            Ok(file) => {
                // A file of another user's cannot be marked; nothing but a figure depends on it.
                let _ = file.set_modified(SystemTime::now());
                true
            }
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    pub(super) fn stats(&self, consumers: u64) -> Result<StreamStats> {
        let now = SystemTime::now();
        let claims = self.claims()?;
        let idle = |claim: &Claim| -> Option<Duration> {
            let touched = fs::metadata(self.work_path(claim)).and_then(|data| data.modified()).ok()?;
            Some(now.duration_since(touched).unwrap_or_default())
        };
        let letter = |name: &str| name.strip_suffix(".json")?.parse::<Ulid>().ok();
        let (mut waiting, mut dead_letters) = (0, 0);
        each(&self.ready, Waiting::parse, |_| waiting += 1)?;
        each(&self.dead, letter, |_| dead_letters += 1)?;
        Ok(StreamStats {
            stream: self.name.to_string(),
            waiting,
            pending: claims.len() as u64,
            oldest_pending: claims.iter().filter_map(idle).max(),
            dead_letters,
            trimmed: 0,
            consumers,
        })
    }

    /// The events at work, oldest first: one or a few for each consumer.
    pub(super) fn claims(&self) -> Result<Vec<Claim>> {
        list(&self.work, Claim::parse)
    }

    /// The oldest events that wait, in order: as many as the window holds.
    fn oldest(&self) -> Result<Vec<Waiting>> {
        let mut oldest = BinaryHeap::with_capacity(WINDOW + 1);
        each(&self.ready, Waiting::parse, |waiting| {
            oldest.push(waiting);
            if oldest.len() > WINDOW {
                oldest.pop();
            }
        })?;
        Ok(oldest.into_sorted_vec())
    }
}

/// Goes through the files of a folder whose names have the right form, in no order.
fn each<T>(folder: &Path, parse: fn(&str) -> Option<T>, mut found: impl FnMut(T)) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(failed("list", folder))? {
        let entry = entry.map_err(failed("list", folder))?;
        if let Some(name) = entry.file_name().to_str().and_then(parse) {
            found(name);
        }
    }
    Ok(())
}

/// Lists the files of a folder whose names have the right form, sorted: oldest event first.
pub(super) fn list<T: Ord>(folder: &Path, parse: fn(&str) -> Option<T>) -> Result<Vec<T>> {
    let mut all = Vec::new();
    each(folder, parse, |one| all.push(one))?;
    all.sort_unstable();
    Ok(all)
}

pub(super) fn make_folder(path: &Path) -> Result<()> {
    datafuse_space::make_folder(path).map(drop).map_err(failed("make the folder", path))
}

pub(super) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::QueueFolder { action, path, source }
}

/// Renames; false if the file was not there any more, because another consumer was faster.
pub(super) fn rename(from: &Path, to: &Path) -> Result<bool> {
    match fs::rename(from, to) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(failed("move", from)(source)),
    }
}

/// Removes; fine if it was not there.
pub(super) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(source)),
        _ => Ok(()),
    }
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|file| file.sync_all()).map_err(failed("sync", folder))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_backlog_longer_than_the_window_is_taken_in_order_and_no_more_of_it_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let lane = Lane::open(folder.path(), StreamName::default(), Ulid::generate()).unwrap();
        let mut ids = ulid::Generator::new();
        let mut published: Vec<Ulid> = (0..5 * WINDOW).map(|_| ids.generate().unwrap()).collect();
        // Names come from the folder in no order.
        published.reverse();
        for event in &published {
            let name = Waiting { event: *event, attempts: 0 }.file_name();
            fs::write(lane.ready.join(name), "x").unwrap();
        }
        published.reverse();
        for expected in published {
            let (claim, _) = lane.take(|_| Ok(false)).unwrap().unwrap();
            assert_eq!(claim.event, expected);
            assert!(lane.state().candidates.len() < WINDOW);
            lane.acknowledge(&claim).unwrap();
        }
        assert!(lane.take(|_| Ok(false)).unwrap().is_none());
    }
}
