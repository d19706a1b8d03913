//! The list of jobs: which events were taken, how often, what came of them. For the operator; nothing that is processed depends on it,
//! and an event whose outcome is in place is known as such elsewhere ([`crate::state`]).
//!
//! It is in the state's database, in tables of their own that hold nothing sealed, so it is read without the workload's key and
//! written while an event is at work. It has ids, types, times, classes of errors and counts; nothing of an event's content.
//! Jobs are forgotten [`KEPT_DAYS`] days after they were first seen; that an event is done is never forgotten.

mod error;
mod runner;

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use datafuse_core::id::EventId;
use rusqlite::{Connection, OpenFlags, Row, TransactionBehavior, params};

pub use error::JobsError;
use runner::Runner;

use crate::{audit::MALFORMED, error::Result, event::Event, queue::Delivery, state::ledger::NOW};

/// How long a job is listed.
pub const KEPT_DAYS: u32 = 90;

/// Which version of the schema brought the list.
const SINCE_SCHEMA: u32 = 3;

const COLUMNS: &str =
    "event, type, stream, state, attempts, first_seen, started, finished, class, outcome, output, runner, retried_as";

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// A process is at work on it.
    Started,
    /// Its outcome is in place.
    Done,
    /// It failed and was given back to the queue: it comes again.
    Retrying,
    /// It failed, without a queue to give it back to.
    Failed,
    /// It was put aside: it does not come again by itself.
    Dead,
    /// Its process ended before it was done; from a queue it comes again.
    Interrupted,
}

impl JobState {
    /// Gives the word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Done => "done",
            Self::Retrying => "retrying",
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::Interrupted => "interrupted",
        }
    }
}

impl FromStr for JobState {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let all = [Self::Started, Self::Done, Self::Retrying, Self::Failed, Self::Dead, Self::Interrupted];
        all.into_iter().find(|state| state.as_str() == text).ok_or(())
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One job, as it stands at the moment of reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The event.
    pub event: EventId,
    /// Its type, under the name it came with; of a queue entry that is no event [`MALFORMED`].
    pub event_type: String,
    /// The stream of the queue; none where there was no queue.
    pub stream: Option<String>,
    /// Where it stands.
    pub state: JobState,
    /// How often it was begun.
    pub attempts: u32,
    /// When it was first taken: UTC, as `2026-01-02T03:04:05.678Z`, like every time here.
    pub first_seen: String,
    /// When its newest attempt began.
    pub started: Option<String>,
    /// When that ended.
    pub finished: Option<String>,
    /// The class of the error with which an attempt last failed.
    pub class: Option<String>,
    /// What came of it, in a few words.
    pub outcome: Option<String>,
    /// The folder with its output.
    pub output: Option<PathBuf>,
    /// The event that an operator sent in its place.
    pub retried_as: Option<EventId>,
}

/// The list, open. One value must not be shared by threads, but any number of processes may have it open.
pub struct Jobs {
    db: Connection,
    state: PathBuf,
    runner: Option<Runner>,
}

impl Jobs {
    /// Opens the list of the workload that this process runs, whose state is open. Forgets what is old.
    pub(crate) fn open(state: &Path) -> Result<Self> {
        let db = Connection::open(database(state))?;
        db.busy_timeout(Duration::from_secs(30))?;
        db.pragma_update(None, "synchronous", "FULL")?;
        db.execute(
            "DELETE FROM job WHERE state NOT IN ('started', 'retrying') AND first_seen < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?1)",
            [format!("-{KEPT_DAYS} days")],
        )?;
        Ok(Self { db, state: state.to_owned(), runner: None })
    }

    /// Opens the list for reading, without a key, while a workload may be at work.
    ///
    /// # Errors
    /// [`JobsError::NoState`], [`JobsError::NoJobs`], [`Error::State`](crate::Error::State).
    pub fn read(state: &Path) -> Result<Self> {
        Self::existing(state, OpenFlags::SQLITE_OPEN_READ_ONLY)
    }

    /// Opens the list for [`retry`](Self::retry), without a key.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub fn edit(state: &Path) -> Result<Self> {
        Self::existing(state, OpenFlags::SQLITE_OPEN_READ_WRITE)
    }

    fn existing(state: &Path, mode: OpenFlags) -> Result<Self> {
        let path = database(state);
        if !path.exists() {
            return Err(JobsError::NoState { path }.into());
        }
        let db = Connection::open_with_flags(&path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        db.busy_timeout(Duration::from_secs(30))?;
        let schema: u32 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if schema < SINCE_SCHEMA {
            return Err(JobsError::NoJobs { path }.into());
        }
        Ok(Self { db, state: state.to_owned(), runner: None })
    }

    /// Gives the newest jobs, newest first; on request only those that are not done and that nobody is at work on.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State).
    pub fn list(&self, limit: usize, only_failed: bool) -> Result<Vec<Job>> {
        let mut statement =
            self.db.prepare(&format!("SELECT {COLUMNS} FROM job ORDER BY first_seen DESC, rowid DESC"))?;
        let mut rows = statement.query([])?;
        let mut jobs = Vec::new();
        while jobs.len() < limit
            && let Some(row) = rows.next()?
        {
            let job = self.job(row)?;
            if !only_failed || !matches!(job.state, JobState::Done | JobState::Started) {
                jobs.push(job);
            }
        }
        Ok(jobs)
    }

    /// Finds the job of an event.
    ///
    /// # Errors
    /// [`JobsError::Unknown`], [`Error::State`](crate::Error::State).
    pub fn find(&self, event: &EventId) -> Result<Job> {
        let mut statement = self.db.prepare(&format!("SELECT {COLUMNS} FROM job WHERE event = ?1"))?;
        let mut rows = statement.query([event.as_str()])?;
        match rows.next()? {
            Some(row) => self.job(row),
            None => Err(JobsError::Unknown { event: event.clone() }.into()),
        }
    }

    /// Has an event that was put aside or failed for good sent again, once: `send` puts it into the queue and gives its new id, none
    /// where the queue does not have it any more.
    ///
    /// # Errors
    /// [`JobsError::Unknown`], [`JobsError::NotRetryable`], [`JobsError::AlreadyRetried`], [`JobsError::WithoutQueue`], [`JobsError::EventGone`], those of `send`,
    /// [`Error::State`](crate::Error::State).
    pub fn retry(&mut self, event: &EventId, send: impl FnOnce(&Job) -> Result<Option<EventId>>) -> Result<EventId> {
        // Held over sending, so that of two who try at once only one sends.
        self.db.set_transaction_behavior(TransactionBehavior::Immediate);
        let transaction = self.db.unchecked_transaction()?;
        let job = self.find(event)?;
        if let Some(retried_as) = job.retried_as {
            return Err(JobsError::AlreadyRetried { event: event.clone(), retried_as }.into());
        }
        // Without a queue nothing brings it back by itself.
        let cut_off = job.state == JobState::Interrupted && job.stream.is_none();
        if !matches!(job.state, JobState::Dead | JobState::Failed) && !cut_off {
            return Err(JobsError::NotRetryable { event: event.clone(), state: job.state }.into());
        }
        let event_type = job.event_type.clone();
        if job.stream.is_none() {
            return Err(JobsError::WithoutQueue { event: event.clone(), event_type }.into());
        }
        let sent = send(&job)?.ok_or_else(|| JobsError::EventGone { event: event.clone(), event_type })?;
        self.db.execute("UPDATE job SET retried_as = ?2 WHERE event = ?1", params![event.as_str(), sent.as_str()])?;
        transaction.commit()?;
        Ok(sent)
    }

    /// Notes that an attempt begins. Without a delivery there is no queue.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State), [`Error::Folder`](crate::Error::Folder).
    pub fn started(&mut self, event: &Event, delivery: Option<&Delivery>) -> Result<()> {
        if self.runner.is_none() {
            self.runner = Some(Runner::enter(&self.state)?);
        }
        let runner = self.runner.as_ref().map(|runner| runner.id.as_str());
        let stream = delivery.map(|delivery| delivery.stream.as_str());
        let attempts = delivery.map_or(1, |delivery| delivery.attempts);
        self.db.execute(
            &format!(
                "INSERT INTO job (event, type, stream, state, attempts, first_seen, started, runner)
                 VALUES (?1, ?2, ?3, 'started', ?4, {NOW}, {NOW}, ?5)
                 ON CONFLICT DO UPDATE SET state = CASE state WHEN 'done' THEN 'done' ELSE 'started' END,
                   attempts = ?4, started = {NOW}, finished = CASE state WHEN 'done' THEN finished END, runner = ?5"
            ),
            params![event.id.as_str(), event.name(), stream, attempts, runner],
        )?;
        Ok(())
    }

    /// Notes that an attempt failed, with the class of the error.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State).
    pub fn failed(&self, event: &EventId, state: JobState, class: &str) -> Result<()> {
        self.db.execute(
            &format!(
                "UPDATE job SET state = ?2, class = ?3, finished = {NOW}, runner = NULL WHERE event = ?1 AND state <> 'done'"
            ),
            params![event.as_str(), state.as_str(), class],
        )?;
        Ok(())
    }

    /// Notes that a queue entry is no event and was put aside.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State).
    pub fn malformed(&self, delivery: &Delivery, class: &str) -> Result<()> {
        self.db.execute(
            &format!(
                "INSERT INTO job (event, type, stream, state, attempts, first_seen, started, finished, class)
                 VALUES (?1, ?2, ?3, 'dead', ?4, {NOW}, {NOW}, {NOW}, ?5) ON CONFLICT DO UPDATE SET attempts = ?4"
            ),
            params![delivery.id.as_str(), MALFORMED, delivery.stream, delivery.attempts, class],
        )?;
        Ok(())
    }

    /// Notes that an event is left before it is done, to be delivered again.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State).
    pub fn interrupted(&self, event: &EventId) -> Result<()> {
        self.db.execute(
            &format!("UPDATE job SET state = 'interrupted', finished = {NOW} WHERE event = ?1 AND state = 'started'"),
            [event.as_str()],
        )?;
        Ok(())
    }

    /// Notes that an event that came again was done before; what came of it then stays.
    ///
    /// # Errors
    /// [`Error::State`](crate::Error::State).
    pub(crate) fn done_before(&self, event: &EventId) -> Result<()> {
        self.db.execute(
            &format!(
                "UPDATE job SET state = 'done', finished = ifnull(finished, {NOW}), class = NULL, runner = NULL,
                   outcome = ifnull(outcome, 'done before') WHERE event = ?1"
            ),
            [event.as_str()],
        )?;
        Ok(())
    }

    fn job(&self, row: &Row<'_>) -> Result<Job> {
        let state: String = row.get(3)?;
        let runner: Option<String> = row.get(11)?;
        let mut state: JobState = state.parse().map_err(|()| rusqlite::Error::InvalidQuery)?;
        if state == JobState::Started && !runner.is_some_and(|runner| runner::is_alive(&self.state, &runner)) {
            state = JobState::Interrupted;
        }
        let retried_as: Option<String> = row.get(12)?;
        Ok(Job {
            event: row.get::<_, String>(0)?.parse()?,
            event_type: row.get(1)?,
            stream: row.get(2)?,
            state,
            attempts: row.get(4)?,
            first_seen: row.get(5)?,
            started: row.get(6)?,
            finished: row.get(7)?,
            class: row.get(8)?,
            outcome: row.get(9)?,
            output: row.get::<_, Option<String>>(10)?.map(PathBuf::from),
            retried_as: retried_as.map(|id| id.parse()).transpose()?,
        })
    }
}

fn database(state: &Path) -> PathBuf {
    state.join("state.db")
}

#[cfg(test)]
mod tests;
