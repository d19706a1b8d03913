//! The audit log: which event was processed when, how it ended and how long it took. Goes to `tracing` under the target
//! `audit`, in the platform's words and states, and as one JSON line each to a file.
//!
//! A line names the event, its type and the class of an error; no identifier, token or field of an event. Lines are
//! numbered and only ever appended, under a lock and synced, by any number of processes. The line before is at hand when
//! a line is written, which is all that a chain of hashes needs; there is none yet.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use datafuse_core::id::EventId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    event::Event,
};

/// What stands for the type of a queue entry that is no event. No event can have this type: it is not upper-case.
pub const MALFORMED: &str = "malformed";

/// How far back from the end of the file the last line is sought; no line is longer.
const LONGEST_LINE: u64 = 4096;

/// Where an event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AuditState {
    /// A processor begins.
    Started,
    /// Its outcome is in its place.
    Done,
    /// It ended with an error.
    Failed,
}

impl AuditState {
    /// Gives the platform's words for it.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Started => "Event processing started",
            Self::Done => "Event processing done",
            Self::Failed => "Event processing failed",
        }
    }
}

impl fmt::Display for AuditState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Started => "STARTED",
            Self::Done => "DONE",
            Self::Failed => "FAILED",
        })
    }
}

/// One line of the audit log, as it stands in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditLine {
    /// The line's number, from 1.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// The platform's words.
    pub msg: String,
    /// The event's type, under the name it came with.
    pub evt: String,
    /// The event's id.
    pub event: EventId,
    /// Where the event stands.
    pub state: AuditState,
    /// How long processing took, in seconds; not when it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processing_time: Option<f64>,
    /// The class of the error with which it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Writes the audit log.
#[derive(Clone, Debug)]
pub struct AuditLog {
    path: Option<PathBuf>,
}

impl AuditLog {
    /// Writes to `tracing` and to a file, which is made with its folder where it is missing.
    ///
    /// # Errors
    /// [`Error::Audit`] if the file cannot be opened for appending.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let log = Self { path: Some(path.clone()) };
        let opened = match path.parent() {
            Some(folder) => fs::create_dir_all(folder),
            None => Ok(()),
        }
        .and_then(|()| open_file(&path));
        opened.map_err(|source| Error::Audit { path, source })?;
        Ok(log)
    }

    /// Writes to `tracing` only.
    #[must_use]
    pub fn without_file() -> Self {
        Self { path: None }
    }

    /// Notes that a processor begins.
    ///
    /// # Errors
    /// [`Error::Audit`] if the line could not be written.
    pub fn started(&self, event: &Event) -> Result<()> {
        self.note(event.name(), &event.id, AuditState::Started, None, None)
    }

    /// Notes that an event is done.
    ///
    /// # Errors
    /// [`Error::Audit`] if the line could not be written.
    pub fn done(&self, event: &Event, took: Duration) -> Result<()> {
        self.note(event.name(), &event.id, AuditState::Done, Some(took), None)
    }

    /// Notes that an event failed, with the class of the error: a fixed word, never a message.
    ///
    /// # Errors
    /// [`Error::Audit`] if the line could not be written.
    pub fn failed(&self, event: &Event, took: Duration, class: &'static str) -> Result<()> {
        let (name, id) = (event.name(), &event.id);
        self.note(name, id, AuditState::Failed, Some(took), Some(class))
    }

    /// Notes that a queue entry is no event: it failed before it began, and its type is [`MALFORMED`].
    ///
    /// # Errors
    /// [`Error::Audit`] if the line could not be written.
    pub fn malformed(&self, id: &EventId, class: &'static str) -> Result<()> {
        self.note(MALFORMED, id, AuditState::Failed, None, Some(class))
    }

    fn note(
        &self,
        evt: &str,
        id: &EventId,
        state: AuditState,
        took: Option<Duration>,
        class: Option<&'static str>,
    ) -> Result<()> {
        let processing_time = took.map(|took| (took.as_secs_f64() * 1000.0).round() / 1000.0);
        let msg = state.message();
        match class {
            None => tracing::info!(target: "audit", evt, event = %id, %state, processing_time, "{msg}"),
            Some(error) => {
                tracing::error!(target: "audit", evt, event = %id, %state, processing_time, error, "{msg}");
            }
        }
        let Some(path) = &self.path else {
            return Ok(());
        };
        append(path, |seq| AuditLine {
            seq,
            at: Timestamp::now(),
            msg: msg.to_owned(),
            evt: evt.to_owned(),
            event: id.clone(),
            state,
            processing_time,
            error: class.map(str::to_owned),
        })
        .map_err(|source| Error::Audit { path: path.clone(), source })
    }
}

/// Appends one line and makes it durable. The lock ends with the file.
fn append(path: &Path, line: impl FnOnce(u64) -> AuditLine) -> io::Result<()> {
    let mut file = open_file(path)?;
    file.lock()?;
    let tail = tail(&mut file)?;
    let mut text = Vec::new();
    // A line that a crash cut short stays as it is, and alone.
    if tail.last().is_some_and(|byte| *byte != b'\n') {
        text.push(b'\n');
    }
    serde_json::to_writer(&mut text, &line(last_number(&tail) + 1))?;
    text.push(b'\n');
    file.write_all(&text)?;
    file.sync_data()
}

fn open_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Reads the end of the file, in which at least the last whole line lies.
fn tail(file: &mut File) -> io::Result<Vec<u8>> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(2 * LONGEST_LINE)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    Ok(tail)
}

/// Finds the number of the last line that is whole.
fn last_number(tail: &[u8]) -> u64 {
    #[derive(Deserialize)]
    struct Numbered {
        seq: u64,
    }
    tail.rsplit(|byte| *byte == b'\n')
        .find_map(|line| serde_json::from_slice::<Numbered>(line).ok())
        .map_or(0, |line| line.seq)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn event() -> Event {
        let payload = br#"{"type":"CHECK_VALID_CUSTOMER","email":"canary-4711"}"#;
        Event::parse("1700000000000-0".parse().unwrap(), payload).unwrap()
    }

    fn lines(path: &Path) -> Vec<AuditLine> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    #[test]
    fn notes_the_states_of_an_event_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/audit.jsonl");
        let log = AuditLog::open(&path).unwrap();
        log.started(&event()).unwrap();
        log.failed(&event(), Duration::from_millis(1500), "queue-unreachable").unwrap();
        log.started(&event()).unwrap();
        log.done(&event(), Duration::from_micros(250_400)).unwrap();
        let lines = lines(&path);
        let states: Vec<_> = lines.iter().map(|line| line.state).collect();
        use AuditState::{Done, Failed, Started};
        assert_eq!(states, [Started, Failed, Started, Done]);
        assert_eq!(lines.iter().map(|line| line.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(lines[0].processing_time, None);
        assert_eq!(lines[1].processing_time, Some(1.5));
        assert_eq!(lines[1].error.as_deref(), Some("queue-unreachable"));
        assert_eq!(lines[3].processing_time, Some(0.25));
        assert_eq!(lines[3].msg, "Event processing done");
    }

    #[test]
    fn holds_no_field_of_the_event() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        AuditLog::open(&path).unwrap().started(&event()).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("CHECK_VALID_CUSTOMER") && !text.contains("4711"));
    }

    #[test]
    fn notes_an_entry_that_is_no_event() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let log = AuditLog::open(&path).unwrap();
        log.malformed(&event().id, "event-not-json").unwrap();
        let line = &lines(&path)[0];
        assert_eq!((line.evt.as_str(), line.state), (MALFORMED, AuditState::Failed));
        assert_eq!(line.error.as_deref(), Some("event-not-json"));
    }

    #[test]
    fn goes_on_after_a_line_that_a_crash_cut_short() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let log = AuditLog::open(&path).unwrap();
        log.started(&event()).unwrap();
        let mut file = open_file(&path).unwrap();
        file.write_all(br#"{"seq":2,"at":"20"#).unwrap();
        log.started(&event()).unwrap();
        let numbers: Vec<_> = lines(&path).iter().map(|line| line.seq).collect();
        assert_eq!(numbers, [1, 2]);
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3);
    }

    #[test]
    fn lines_of_several_writers_do_not_mix() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let log = AuditLog::open(&path).unwrap();
                scope.spawn(move || {
                    for _ in 0..25 {
                        log.done(&event(), Duration::ZERO).unwrap();
                    }
                });
            }
        });
        let numbers: Vec<_> = lines(&path).iter().map(|line| line.seq).collect();
        assert_eq!(numbers, (1..=100).collect::<Vec<_>>());
    }

    #[cfg(unix)]
    #[test]
    fn others_cannot_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        AuditLog::open(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }

    #[test]
    fn a_file_that_cannot_be_made_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = AuditLog::open(folder.path()).unwrap_err();
        assert!(matches!(error, Error::Audit { .. }));
    }
}
