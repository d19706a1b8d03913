//! The embedded queue: a folder. For one machine, or several on a shared file system that has file locks; no service.
//!
//! ```text
//! ready/  01J8….0.event            waiting; the number counts deliveries so far
//! work/   01J8….1.01J9….event      claimed by the consumer 01J9…
//! owners/ 01J9….lock               held locked as long as that consumer lives
//! dead/   01J8….json               dead letters: event id and error class
//! tmp/                             files on their way to ready/ and dead/
//! ```
//!
//! Every step is one rename, which exactly one of several processes can win. A claim is given up when its owner's lock
//! is free, that is when the process has died, however long a job takes: no clock is involved. Publishing and removing
//! are made durable; claiming is not, since a machine that loses power has lost the consumer too. Files whose names are
//! not of this form are left alone.

use std::{
    collections::{BTreeSet, VecDeque},
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use datafuse_core::id::EventId;
use futures::future::BoxFuture;
use tokio::time::Instant;
use ulid::{Generator, Ulid};

use super::{Delivery, MAX_DELIVERIES, Queue, QueueStats, StreamStats, check_size};
use crate::{
    error::{Error, Result},
    event::MAX_EVENT_BYTES,
};

/// How often the folder is looked at while waiting.
const POLL: Duration = Duration::from_millis(200);

/// The age at which a file that a crashed publisher left in `tmp/` is swept away.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// A consumer and publisher of the queue in one folder.
pub struct EmbeddedQueue {
    folder: Arc<Folder>,
    /// Held while taking an event until it is marked as in hand, so that no other call sees it in between.
    turn: tokio::sync::Mutex<()>,
}

impl EmbeddedQueue {
    /// Opens the queue in a folder, making the folder where it is missing.
    ///
    /// # Errors
    /// [`Error::QueueFolder`] if it cannot be made, written or locked.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        Ok(Self { folder: Arc::new(Folder::open(folder.into())?), turn: tokio::sync::Mutex::new(()) })
    }

    /// Does file work off the async threads.
    async fn blocking<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnOnce(&Folder) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let folder = Arc::clone(&self.folder);
        let path = self.folder.root.clone();
        match tokio::task::spawn_blocking(move || work(&folder)).await {
            Ok(result) => result,
            Err(stopped) => Err(Error::QueueFolder { action, path, source: io::Error::other(stopped) }),
        }
    }
}

impl Queue for EmbeddedQueue {
    fn publish<'a>(&'a self, payload: &'a [u8]) -> BoxFuture<'a, Result<EventId>> {
        Box::pin(async move {
            check_size(payload)?;
            let payload = payload.to_vec();
            self.blocking("publish to", move |folder| folder.publish(&payload)).await
        })
    }

    fn next(&self, wait: Option<Duration>) -> BoxFuture<'_, Result<Option<Delivery>>> {
        Box::pin(async move {
            let deadline = wait.and_then(|wait| Instant::now().checked_add(wait));
            let _turn = self.turn.lock().await;
            loop {
                let taken = self.blocking("take from", Folder::take).await?;
                if let Some((claim, payload)) = taken {
                    // No await between here and the return: a dropped future leaves the claim unmarked.
                    self.folder.state().in_hand.insert(claim.event);
                    return Ok(Some(Delivery { id: event_id(claim.event), payload, attempts: claim.attempts }));
                }
                let pause =
                    deadline.map_or(POLL, |deadline| POLL.min(deadline.saturating_duration_since(Instant::now())));
                if pause.is_zero() {
                    return Ok(None);
                }
                tokio::time::sleep(pause).await;
            }
        })
    }

    fn acknowledge<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let Some(claim) = self.folder.claim(delivery) else {
                return Ok(());
            };
            self.blocking("acknowledge in", move |folder| folder.acknowledge(&claim)).await
        })
    }

    fn release<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let lost = || Error::ClaimLost { event: delivery.id.to_string() };
            let claim = self.folder.claim(delivery).ok_or_else(lost)?;
            match self.blocking("give back to", move |folder| folder.release(&claim)).await? {
                true => Ok(()),
                false => Err(lost()),
            }
        })
    }

    fn dead_letter<'a>(&'a self, delivery: &'a Delivery, class: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let Some(claim) = self.folder.claim(delivery) else {
                return Ok(());
            };
            let letter = serde_json::json!({ "event": delivery.id.as_str(), "class": class });
            self.blocking("put aside in", move |folder| folder.dead_letter(&claim, letter.to_string().as_bytes())).await
        })
    }

    fn heartbeat<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let claim = self.folder.claim(delivery);
            match claim.is_some_and(|claim| touch(&self.folder.work_path(&claim))) {
                true => Ok(()),
                false => Err(Error::ClaimLost { event: delivery.id.to_string() }),
            }
        })
    }

    fn heartbeat_every(&self) -> Duration {
        Duration::from_secs(30)
    }

    fn stats(&self) -> BoxFuture<'_, Result<QueueStats>> {
        Box::pin(self.blocking("count what is in", Folder::stats))
    }

    fn place(&self) -> String {
        self.folder.root.display().to_string()
    }
}

/// An event waiting in `ready/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    event: Ulid,
    attempts: u32,
}

/// An event in `work/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    event: Ulid,
    attempts: u32,
    owner: Ulid,
}

impl Waiting {
    fn file_name(self) -> String {
        format!("{}.{}.event", self.event, self.attempts)
    }

    fn parse(name: &str) -> Option<Self> {
        let (event, attempts) = name.strip_suffix(".event")?.split_once('.')?;
        let waiting = Self { event: event.parse().ok()?, attempts: attempts.parse().ok()? };
        (waiting.file_name() == name).then_some(waiting)
    }
}

impl Claim {
    fn file_name(self) -> String {
        format!("{}.{}.{}.event", self.event, self.attempts, self.owner)
    }

    fn parse(name: &str) -> Option<Self> {
        let (rest, owner) = name.strip_suffix(".event")?.rsplit_once('.')?;
        let (event, attempts) = rest.split_once('.')?;
        let claim = Self { event: event.parse().ok()?, attempts: attempts.parse().ok()?, owner: owner.parse().ok()? };
        (claim.file_name() == name).then_some(claim)
    }

    fn waiting(self) -> Waiting {
        Waiting { event: self.event, attempts: self.attempts }
    }
}

/// The folder as one consumer sees it. All of its work is synchronous.
struct Folder {
    root: PathBuf,
    ready: PathBuf,
    work: PathBuf,
    owners: PathBuf,
    dead: PathBuf,
    tmp: PathBuf,
    owner: Ulid,
    /// Held from naming an event until it is in its place: this publisher's events appear in the order of their ids.
    ids: Mutex<Generator>,
    state: Mutex<State>,
    /// Locked for as long as this value lives; the operating system unlocks it when the process dies.
    _lock: File,
}

#[derive(Default)]
struct State {
    /// What the last look into `ready/` found and is not taken yet, oldest first.
    candidates: VecDeque<Waiting>,
    /// Events given to the caller and not yet acknowledged, released or put aside.
    in_hand: BTreeSet<Ulid>,
}

impl Folder {
    fn open(root: PathBuf) -> Result<Self> {
        let inside = |name: &str| root.join(name);
        let (ready, work, owners) = (inside("ready"), inside("work"), inside("owners"));
        let (dead, tmp) = (inside("dead"), inside("tmp"));
        for path in [&ready, &work, &owners, &dead, &tmp] {
            fs::create_dir_all(path).map_err(failed("make the folder", path))?;
        }
        // Locked before it appears under its name: nobody ever sees it unlocked while this consumer lives.
        let owner = Ulid::generate();
        let unnamed = tmp.join(format!("{owner}.lock"));
        let lock = File::create_new(&unnamed).map_err(failed("create", &unnamed))?;
        lock.try_lock().map_err(io::Error::from).map_err(failed("lock", &unnamed))?;
        let named = owners.join(format!("{owner}.lock"));
        fs::rename(&unnamed, &named).map_err(failed("create", &named))?;
        let folder = Self {
            root,
            ready,
            work,
            owners,
            dead,
            tmp,
            owner,
            ids: Mutex::new(Generator::new()),
            state: Mutex::default(),
            _lock: lock,
        };
        folder.sweep();
        Ok(folder)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds this consumer's claim of a delivery; none if the delivery came from another queue.
    fn claim(&self, delivery: &Delivery) -> Option<Claim> {
        Some(Claim { event: delivery.id.as_str().parse().ok()?, attempts: delivery.attempts, owner: self.owner })
    }

    fn work_path(&self, claim: &Claim) -> PathBuf {
        self.work.join(claim.file_name())
    }

    fn publish(&self, payload: &[u8]) -> Result<EventId> {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let event = match ids.generate() {
            Ok(event) => event,
            Err(overflow) => overflow.commit_overflow_increment(),
        };
        let waiting = Waiting { event, attempts: 0 };
        self.write(payload, &self.ready, &waiting.file_name())?;
        drop(ids);
        Ok(event_id(event))
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

    fn take(&self) -> Result<Option<(Claim, Vec<u8>)>> {
        let mut state = self.state();
        let claims = self.claims()?;
        if let Some(own) = claims.iter().find(|c| c.owner == self.owner && !state.in_hand.contains(&c.event)) {
            let again = Claim { attempts: own.attempts + 1, ..*own };
            if rename(&self.work_path(own), &self.work_path(&again))? {
                return self.read(again).map(Some);
            }
        }
        if self.revive(&claims)? || state.candidates.is_empty() {
            state.candidates = self.list(&self.ready, Waiting::parse)?.into();
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
        touch(&path);
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

    /// Puts the events of dead consumers back into `ready/`; tells whether there were any.
    fn revive(&self, claims: &[Claim]) -> Result<bool> {
        let owners: BTreeSet<Ulid> = claims.iter().map(|c| c.owner).collect();
        let mut revived = false;
        for owner in owners.into_iter().filter(|owner| *owner != self.owner) {
            let path = self.owners.join(format!("{owner}.lock"));
            let lock = match File::open(&path) {
                Ok(lock) => match lock.try_lock() {
                    Ok(()) => Some(lock),
                    Err(fs::TryLockError::WouldBlock) => continue,
                    Err(fs::TryLockError::Error(source)) => {
                        return Err(failed("lock", &path)(source));
                    }
                },
                // No lock file at all: its consumer can only be one whose file somebody removed.
                Err(e) if e.kind() == io::ErrorKind::NotFound => None,
                Err(source) => return Err(failed("open", &path)(source)),
            };
            // Looked at again under the lock: another consumer may have been faster.
            for claim in self.claims()?.into_iter().filter(|c| c.owner == owner) {
                let waiting = self.ready.join(claim.waiting().file_name());
                revived |= rename(&self.work_path(&claim), &waiting)?;
            }
            if lock.is_some() {
                remove(&path)?;
            }
        }
        Ok(revived)
    }

    fn acknowledge(&self, claim: &Claim) -> Result<()> {
        remove(&self.work_path(claim))?;
        self.state().in_hand.remove(&claim.event);
        sync_folder(&self.work)
    }

    /// Gives a claim back; tells whether it was still there.
    fn release(&self, claim: &Claim) -> Result<bool> {
        let mut state = self.state();
        let waiting = self.ready.join(claim.waiting().file_name());
        let moved = rename(&self.work_path(claim), &waiting)?;
        state.in_hand.remove(&claim.event);
        state.candidates.clear();
        Ok(moved)
    }

    /// Writes the letter, then removes the event. A crash between the two delivers the event again, which writes the
    /// same letter again under the same name.
    fn dead_letter(&self, claim: &Claim, letter: &[u8]) -> Result<()> {
        self.write(letter, &self.dead, &format!("{}.json", claim.event))?;
        self.acknowledge(claim)
    }

    fn claims(&self) -> Result<Vec<Claim>> {
        self.list(&self.work, Claim::parse)
    }

    /// Lists the files of a folder whose names have the right form, sorted: oldest event first.
    fn list<T: Ord>(&self, folder: &Path, parse: fn(&str) -> Option<T>) -> Result<Vec<T>> {
        let wrong = failed("list", folder);
        let mut found = Vec::new();
        match fs::read_dir(folder) {
            Ok(entries) => {
                for entry in entries {
                    let entry = match entry {
                        Ok(entry) => entry,
                        Err(source) => return Err(wrong(source)),
                    };
                    found.extend(entry.file_name().to_str().and_then(parse));
                }
            }
            Err(source) => return Err(wrong(source)),
        }
        found.sort_unstable();
        Ok(found)
    }

    fn stats(&self) -> Result<QueueStats> {
        let now = SystemTime::now();
        let claims = self.claims()?;
        let idle = |claim: &Claim| {
            let touched = fs::metadata(self.work_path(claim)).and_then(|data| data.modified()).ok()?;
            Some(now.duration_since(touched).unwrap_or_default())
        };
        let letter = |name: &str| name.strip_suffix(".json")?.parse::<Ulid>().ok();
        Ok(QueueStats {
            streams: vec![StreamStats {
                stream: "events".to_owned(),
                waiting: self.count(&self.ready, Waiting::parse)?,
                pending: claims.len() as u64,
                oldest_pending: claims.iter().filter_map(idle).max(),
                dead_letters: self.count(&self.dead, letter)?,
                trimmed: 0,
                consumers: self.living()?,
            }],
        })
    }

    /// Counts the files of a folder whose names have the right form.
    fn count<T>(&self, folder: &Path, parse: fn(&str) -> Option<T>) -> Result<u64> {
        let mut count = 0;
        for entry in fs::read_dir(folder).map_err(failed("list", folder))? {
            let entry = entry.map_err(failed("list", folder))?;
            count += u64::from(entry.file_name().to_str().and_then(parse).is_some());
        }
        Ok(count)
    }

    /// Counts the consumers whose locks are held.
    fn living(&self) -> Result<u64> {
        let name = |name: &str| name.strip_suffix(".lock")?.parse::<Ulid>().ok();
        let owners = self.list(&self.owners, name)?;
        let lives = |owner: &Ulid| {
            let lock = File::open(self.owners.join(format!("{owner}.lock")));
            *owner == self.owner || lock.is_ok_and(|lock| lock.try_lock().is_err())
        };
        Ok(owners.iter().filter(|owner| lives(owner)).count() as u64)
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
        let Ok(claims) = self.claims() else { return };
        let name = |name: &str| name.strip_suffix(".lock")?.parse::<Ulid>().ok();
        for owner in self.list(&self.owners, name).into_iter().flatten() {
            if owner == self.owner || claims.iter().any(|c| c.owner == owner) {
                continue;
            }
            let path = self.owners.join(format!("{owner}.lock"));
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
        let idle = |claims: Vec<Claim>| claims.iter().all(|c| c.owner != self.owner);
        if self.claims().is_ok_and(idle) {
            let _ = fs::remove_file(self.owners.join(format!("{}.lock", self.owner)));
        }
    }
}

fn event_id(event: Ulid) -> EventId {
    let id = event.to_string().parse();
    id.expect("the letters and digits of a ULID are an event id")
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::QueueFolder { action, path, source }
}

/// Renames; false if the file was not there any more, because another consumer was faster.
fn rename(from: &Path, to: &Path) -> Result<bool> {
    match fs::rename(from, to) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(failed("move", from)(source)),
    }
}

/// Removes; fine if it was not there.
fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(source)),
        _ => Ok(()),
    }
}

/// Marks a claimed event as at work now, for [`Folder::stats`]; tells whether it is there.
fn touch(path: &Path) -> bool {
    match File::open(path) {
        Ok(file) => {
            // A file of another user's cannot be marked; nothing but a figure depends on it.
            let _ = file.set_modified(SystemTime::now());
            true
        }
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// Makes the names in a folder durable.
fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|file| file.sync_all()).map_err(failed("sync", folder))
}
