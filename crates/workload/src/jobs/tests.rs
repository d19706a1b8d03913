#![allow(clippy::unwrap_used)]
use datafuse_core::{
    keys::{PartyKeys, StateKey},
    root::Root,
};
use rand_core::UnwrapErr;
use serde_json::Map;

use super::*;
use crate::{error::Error, state::State};

struct Fixture {
    folder: tempfile::TempDir,
    keys: PartyKeys,
}

impl Fixture {
    fn new() -> Self {
        let keys = PartyKeys::generate(&mut UnwrapErr(getrandom::SysRng));
        let fixture = Self { folder: tempfile::tempdir().unwrap(), keys };
        drop(fixture.state());
        fixture
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn state(&self) -> State {
        let root = Root::from_bytes([1; 32]);
        let key: StateKey = self.keys.token().state_key(&root);
        State::open(&self.path().join("state.db"), &root, key, &[]).unwrap()
    }

    fn jobs(&self) -> Jobs {
        Jobs::open(self.path()).unwrap()
    }

    fn read(&self) -> Vec<Job> {
        Jobs::read(self.path()).unwrap().list(100, false).unwrap()
    }
}

fn event(id: &str) -> Event {
    Event::new(id.parse().unwrap(), "FUSE", Map::new(), None).unwrap()
}

fn delivery(id: &str, attempts: u32) -> Delivery {
    Delivery { id: id.parse().unwrap(), stream: "urgent".to_owned(), payload: Vec::new(), attempts }
}

#[test]
fn a_job_goes_from_begun_to_done() {
    let fixture = Fixture::new();
    let mut jobs = fixture.jobs();
    jobs.started(&event("1-0"), Some(&delivery("1-0", 1))).unwrap();
    let job = &fixture.read()[0];
    assert_eq!((job.state, job.attempts, job.stream.as_deref()), (JobState::Started, 1, Some("urgent")));
    jobs.failed(&job.event, JobState::Retrying, "no-epoch").unwrap();
    let job = &fixture.read()[0];
    assert_eq!((job.state, job.class.as_deref()), (JobState::Retrying, Some("no-epoch")));
    let first_seen = job.first_seen.clone();
    jobs.started(&event("1-0"), Some(&delivery("1-0", 2))).unwrap();
    fixture.state().note_done(&job.event, "FUSE", "2 datasets fused", Some(Path::new("outputs/1-0"))).unwrap();
    let job = &fixture.read()[0];
    assert_eq!((job.state, job.attempts, job.class.as_deref()), (JobState::Done, 2, None));
    assert_eq!(job.outcome.as_deref(), Some("2 datasets fused"));
    assert_eq!(job.output.as_deref(), Some(Path::new("outputs/1-0")));
    assert_eq!(job.first_seen, first_seen);
    // It comes again, as after a crash between its end and its acknowledgement: nothing of it changes.
    jobs.started(&event("1-0"), Some(&delivery("1-0", 3))).unwrap();
    jobs.done_before(&job.event).unwrap();
    jobs.failed(&job.event, JobState::Dead, "state").unwrap();
    let again = &fixture.read()[0];
    assert_eq!((again.state, again.outcome.as_ref(), again.attempts), (JobState::Done, job.outcome.as_ref(), 3));
}

#[test]
fn a_job_whose_process_is_gone_shows_as_interrupted() {
    let fixture = Fixture::new();
    let mut dying = fixture.jobs();
    dying.started(&event("1-0"), Some(&delivery("1-0", 1))).unwrap();
    let mut living = fixture.jobs();
    living.started(&event("2-0"), Some(&delivery("2-0", 1))).unwrap();
    // As when a process is killed: the lock is free, its file stays.
    let runner = dying.runner.take().unwrap();
    let path = fixture.path().join("runners").join(format!("{}.lock", runner.id));
    drop(runner);
    std::fs::write(&path, "").unwrap();
    let states = |jobs: &[Job]| jobs.iter().map(|job| (job.event.to_string(), job.state)).collect::<Vec<_>>();
    let expected = [("2-0".to_owned(), JobState::Started), ("1-0".to_owned(), JobState::Interrupted)];
    assert_eq!(states(&fixture.read()), expected);
    let failed = Jobs::read(fixture.path()).unwrap().list(10, true).unwrap();
    assert_eq!(states(&failed), expected[1..]);
    // One that was killed before its file had a name left that file too.
    let [abandoned, fresh] = [".tmpA", ".tmpB"].map(|name| path.with_file_name(name));
    let days_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(2 * 24 * 60 * 60);
    std::fs::File::create(&abandoned).unwrap().set_modified(days_ago).unwrap();
    std::fs::write(&fresh, "").unwrap();
    // The next process to enter tidies up, and touches nothing that may be of a process at work.
    fixture.jobs().started(&event("3-0"), None).unwrap();
    assert!(!path.exists() && !abandoned.exists());
    assert!(fresh.exists());
}

#[test]
fn a_job_is_sent_again_once() {
    let fixture = Fixture::new();
    let mut jobs = fixture.jobs();
    let id: EventId = "1-0".parse().unwrap();
    jobs.started(&event("1-0"), Some(&delivery("1-0", 5))).unwrap();
    let refused = |jobs: &mut Jobs, id: &EventId| match jobs.retry(id, |_| Ok(None)).unwrap_err() {
        Error::Jobs(error) => *error,
        other => panic!("{other}"),
    };
    let mut editor = Jobs::edit(fixture.path()).unwrap();
    let started = JobsError::NotRetryable { event: id.clone(), state: JobState::Started };
    assert_eq!(refused(&mut editor, &id), started);
    jobs.failed(&id, JobState::Dead, "dataset-refused").unwrap();
    assert!(matches!(refused(&mut editor, &id), JobsError::EventGone { .. }));
    let sent = editor.retry(&id, |job| {
        assert_eq!(job.stream.as_deref(), Some("urgent"));
        Ok(Some("9-9".parse().unwrap()))
    });
    assert_eq!(sent.unwrap().as_str(), "9-9");
    assert!(matches!(refused(&mut editor, &id), JobsError::AlreadyRetried { .. }));
    assert_eq!(fixture.read()[0].retried_as.as_ref().map(EventId::as_str), Some("9-9"));
    let unknown = "7-7".parse().unwrap();
    assert_eq!(refused(&mut editor, &unknown), JobsError::Unknown { event: unknown.clone() });
    // A queue that fails leaves the job as it was.
    jobs.started(&event("2-0"), Some(&delivery("2-0", 5))).unwrap();
    let id = "2-0".parse().unwrap();
    jobs.failed(&id, JobState::Dead, "x").unwrap();
    assert!(editor.retry(&id, |_| Err(Error::NoEpoch)).is_err());
    assert_eq!(editor.find(&id).unwrap().retried_as, None);
}

#[test]
fn without_a_state_or_with_an_old_one_the_error_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let error = Jobs::read(folder.path()).err().unwrap();
    assert_eq!(error.class(), "no-state");
    assert!(error.remedy().unwrap().contains("--state"));
    let db = Connection::open(folder.path().join("state.db")).unwrap();
    db.pragma_update(None, "user_version", 2).unwrap();
    drop(db);
    assert_eq!(Jobs::read(folder.path()).err().unwrap().class(), "no-jobs");
}

#[test]
fn old_jobs_are_forgotten_and_that_they_were_done_is_not() {
    let fixture = Fixture::new();
    let mut jobs = fixture.jobs();
    for id in ["1-0", "2-0", "3-0"] {
        jobs.started(&event(id), Some(&delivery(id, 1))).unwrap();
    }
    let mut state = fixture.state();
    for id in ["1-0", "2-0"] {
        state.note_done(&id.parse().unwrap(), "FUSE", "done", None).unwrap();
    }
    let old = "UPDATE job SET first_seen = '2020-01-01T00:00:00.000Z' WHERE event <> '2-0'";
    jobs.db.execute(old, []).unwrap();
    drop(fixture.jobs());
    let left: Vec<_> = fixture.read().iter().map(|job| job.event.to_string()).collect();
    assert_eq!(left, ["2-0", "3-0"]);
    assert!(state.is_done(&"1-0".parse().unwrap()).unwrap());
}
