#![allow(clippy::unwrap_used)]

//! What the log says, that it never says more, and that nothing can be done to it unseen.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use rand_core::{Rng, UnwrapErr};

use super::*;

fn event() -> Event {
    let payload = br#"{"type":"CHECK_VALID_CUSTOMER","email":"canary-4711"}"#;
    Event::parse("1700000000000-0".parse().unwrap(), payload).unwrap()
}

/// A log in a folder of its own, with the keys and the space it belongs to.
struct Place {
    folder: tempfile::TempDir,
    root: Root,
    keys: Arc<PartyKeys>,
}

impl Place {
    fn new() -> Self {
        let mut root = [0; 32];
        UnwrapErr(getrandom::SysRng).fill_bytes(&mut root);
        Self { folder: tempfile::tempdir().unwrap(), root: Root::from_bytes(root), keys: new_keys() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("state/audit.jsonl")
    }

    fn log(&self) -> AuditLog {
        AuditLog::open(self.path(), self.root, Arc::clone(&self.keys), &[]).unwrap()
    }

    /// A log of so many lines.
    fn of(lines: usize) -> Self {
        let place = Self::new();
        let log = place.log();
        (0..lines).for_each(|_| log.started(&event()).unwrap());
        place
    }

    fn verify_with(&self, archives: &[PathBuf], known: &[Entry]) -> Result<Verified, AuditFault> {
        let names = [self.keys.identity().public_name()];
        verify(&AuditFiles { root: &self.root, names: &names, archives, log: &self.path(), known })
    }

    fn verify(&self) -> Result<Verified, AuditFault> {
        self.verify_with(&[], &[])
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    fn lines(&self) -> Vec<AuditLine> {
        self.text().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Writes the lines anew, as somebody would who has the file.
    fn rewrite(&self, change: impl FnOnce(&mut Vec<String>)) {
        let mut lines: Vec<_> = self.text().lines().map(str::to_owned).collect();
        change(&mut lines);
        fs::write(self.path(), lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    }

    fn append(&self, bytes: &[u8]) {
        OpenOptions::new().append(true).create(true).open(self.path()).unwrap().write_all(bytes).unwrap();
    }
}

fn new_keys() -> Arc<PartyKeys> {
    Arc::new(PartyKeys::generate(&mut UnwrapErr(getrandom::SysRng)))
}

#[test]
fn notes_the_states_of_an_event_in_order() {
    let place = Place::new();
    let log = place.log();
    log.started(&event()).unwrap();
    log.failed(&event(), Duration::from_millis(1500), "queue-unreachable").unwrap();
    log.started(&event()).unwrap();
    log.done(&event(), Duration::from_micros(250_400)).unwrap();
    let lines = place.lines();
    let states: Vec<_> = lines.iter().filter_map(|line| line.state).collect();
    use AuditState::{Done, Failed, Started};
    assert_eq!(states, [Started, Failed, Started, Done]);
    assert_eq!(lines.iter().map(|line| line.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(lines[0].processing_time, None);
    assert_eq!(lines[1].processing_time, Some(1.5));
    assert_eq!(lines[1].error.as_deref(), Some("queue-unreachable"));
    assert_eq!(lines[3].processing_time, Some(0.25));
    assert_eq!(lines[3].msg, "Event processing done");
    let verified = place.verify().unwrap();
    assert_eq!((verified.first, verified.last.seq, verified.cut, verified.head_behind), (1, 4, 0, 0));
}

#[test]
fn holds_no_field_of_the_event() {
    let place = Place::of(1);
    assert!(place.text().contains("CHECK_VALID_CUSTOMER") && !place.text().contains("4711"));
}

#[test]
fn says_what_came_of_an_event() {
    let place = Place::new();
    let (log, event) = (place.log(), event());
    let (holder, dataset) = ("acme".parse().unwrap(), "customers".parse().unwrap());
    let fact =
        Fact::DatasetAccepted { holder: &holder, dataset: &dataset, version: 3, sha256: "ab", unauthenticated: false };
    log.fact(Some((&event.id, event.name())), &fact).unwrap();
    log.quality(&event, &holder, &dataset, "customers", false).unwrap();
    log.fact(None, &Fact::WorkloadStopped).unwrap();
    log.failed(&event, Duration::ZERO, "too-few-holders").unwrap();
    let lines = place.lines();
    assert_eq!((lines[0].msg.as_str(), lines[0].event.as_ref()), ("Dataset accepted", Some(&event.id)));
    assert_eq!((lines[0].about.version, lines[0].about.sha256.as_deref()), (Some(3), Some("ab")));
    assert_eq!(lines[1].about.result.as_deref(), Some("NOK"));
    assert_eq!((lines[2].event.as_ref(), lines[2].state), (None, None));
    assert_eq!(lines[3].refused, Some(true));
    place.verify().unwrap();
}

#[test]
fn notes_an_entry_that_is_no_event() {
    let place = Place::new();
    place.log().malformed(&event().id, "event-not-json").unwrap();
    let line = &place.lines()[0];
    assert_eq!((line.evt.as_deref(), line.state), (Some(MALFORMED), Some(AuditState::Failed)));
    assert_eq!(line.error.as_deref(), Some("event-not-json"));
}

#[test]
fn any_changed_byte_is_found_and_its_line_is_named() {
    let place = Place::of(3);
    let whole = fs::read(place.path()).unwrap();
    for at in (0..whole.len()).filter(|at| whole[*at] != b'\n') {
        let mut altered = whole.clone();
        altered[at] ^= 1;
        fs::write(place.path(), &altered).unwrap();
        let line = 1 + whole[..at].iter().filter(|byte| **byte == b'\n').count() as u64;
        match place.verify() {
            Err(AuditFault::Altered { line: found, .. }) => assert_eq!(found, line, "byte {at}"),
            // Without the form of a signed line, the first is what came before the log.
            Err(AuditFault::BeginsLater { found: 2, .. }) => assert_eq!(line, 1, "byte {at}"),
            other => panic!("byte {at}: {other:?}"),
        }
    }
}

#[test]
fn a_removed_line_is_found() {
    let place = Place::of(5);
    place.rewrite(|lines| drop(lines.remove(2)));
    assert!(matches!(place.verify(), Err(AuditFault::Missing { line: 3, from: 3, to: 3, .. })));
}

#[test]
fn a_removed_first_line_is_found() {
    let place = Place::of(3);
    place.rewrite(|lines| drop(lines.remove(0)));
    assert!(matches!(place.verify(), Err(AuditFault::BeginsLater { found: 2, .. })));
}

#[test]
fn an_inserted_line_is_found_whoever_signed_it() {
    let place = Place::of(4);
    place.rewrite(|lines| lines.insert(2, lines[1].clone()));
    assert!(matches!(place.verify(), Err(AuditFault::OutOfOrder { line: 3, found: 2, expected: 3, .. })));
    let other = Place::of(4);
    let forged = other.text().lines().nth(2).unwrap().to_owned();
    let place = Place::of(4);
    place.rewrite(|lines| lines[2] = forged);
    assert!(matches!(place.verify(), Err(AuditFault::Altered { line: 3, .. })));
    let place = Place::of(4);
    place.rewrite(|lines| lines.insert(3, "{}".to_owned()));
    assert!(matches!(place.verify(), Err(AuditFault::Altered { line: 4, .. })));
}

#[test]
fn moved_lines_are_found() {
    let place = Place::of(5);
    place.rewrite(|lines| lines.swap(1, 3));
    assert!(matches!(place.verify(), Err(AuditFault::Missing { line: 2, .. })));
}

#[test]
fn a_line_of_another_branch_of_the_same_log_is_found() {
    let place = Place::of(2);
    let head = chain::head_path(&place.path());
    let before = (fs::read(place.path()).unwrap(), fs::read(&head).unwrap());
    place.log().started(&event()).unwrap();
    let other = place.text().lines().last().unwrap().to_owned();
    // A backup is put back, and the workload goes on from there.
    fs::write(place.path(), before.0).unwrap();
    fs::write(&head, before.1).unwrap();
    (0..2).for_each(|_| place.log().done(&event(), Duration::ZERO).unwrap());
    place.verify().unwrap();
    place.rewrite(|lines| lines[2] = other);
    assert!(matches!(place.verify(), Err(AuditFault::DoesNotFollow { line: 4, .. })));
}

#[test]
fn an_end_that_was_cut_off_is_found() {
    let place = Place::of(4);
    place.rewrite(|lines| lines.truncate(2));
    assert!(matches!(place.verify(), Err(AuditFault::CutOff { last: 2, known: 4 })));
    // The workload goes on, and does not cover it up.
    place.log().started(&event()).unwrap();
    assert!(matches!(place.verify(), Err(AuditFault::Missing { line: 3, from: 3, to: 4, .. })));
}

#[test]
fn a_last_line_made_to_look_cut_short_is_found() {
    let place = Place::of(3);
    let text = fs::read(place.path()).unwrap();
    fs::write(place.path(), &text[..text.len() - 30]).unwrap();
    assert!(matches!(place.verify(), Err(AuditFault::CutOff { last: 2, known: 3 })));
    place.log().started(&event()).unwrap();
    assert!(place.verify().is_err());
}

#[test]
fn an_older_log_with_its_own_head_is_found_against_a_head_that_was_kept() {
    let place = Place::of(2);
    let head = chain::head_path(&place.path());
    let (log_before, head_before) = (fs::read(place.path()).unwrap(), fs::read(&head).unwrap());
    place.log().started(&event()).unwrap();
    let kept = place.verify().unwrap().last;
    fs::write(place.path(), log_before).unwrap();
    fs::write(&head, head_before).unwrap();
    place.verify().unwrap();
    assert!(matches!(place.verify_with(&[], &[kept]), Err(AuditFault::CutOff { last: 2, known: 3 })));
    place.log().done(&event(), Duration::ZERO).unwrap();
    assert!(matches!(place.verify_with(&[], &[kept]), Err(AuditFault::Replaced { seq: 3, .. })));
}

#[test]
fn a_head_that_is_missing_or_not_the_workloads_is_found() {
    let (place, other) = (Place::of(2), Place::of(2));
    let head = chain::head_path(&place.path());
    fs::copy(chain::head_path(&other.path()), &head).unwrap();
    assert!(matches!(place.verify(), Err(AuditFault::NoHead { .. })));
    fs::remove_file(&head).unwrap();
    assert!(matches!(place.verify(), Err(AuditFault::NoHead { .. })));
}

#[test]
fn goes_on_after_a_line_that_a_crash_cut_short() {
    let place = Place::of(1);
    for (before, cut) in [&br#"{"seq":2,"at":"20"#[..], b"{", b"\xff\xfe"].into_iter().enumerate() {
        place.append(cut);
        assert_eq!(place.verify().unwrap().cut, before as u64 + 1, "the end counts before it is noted");
        place.log().started(&event()).unwrap();
    }
    // Four whole lines, three that were cut short, and the end of the last.
    assert_eq!(fs::read(place.path()).unwrap().split(|byte| *byte == b'\n').count(), 8);
    let verified = place.verify().unwrap();
    assert_eq!((verified.last.seq, verified.cut), (4, 3));
    // What the crash left is bound as well.
    let bytes = fs::read(place.path()).unwrap();
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 3;
    let mut altered = bytes.clone();
    altered[at] ^= 1;
    fs::write(place.path(), altered).unwrap();
    assert!(matches!(place.verify(), Err(AuditFault::Altered { line: 2, .. })));
    let end = at + bytes[at..].iter().position(|byte| *byte == b'\n').unwrap() + 1;
    fs::write(place.path(), [&bytes[..at - 2], &bytes[end..]].concat()).unwrap();
    assert!(matches!(place.verify(), Err(AuditFault::CutAltered { line: 2, .. })));
}

#[test]
fn a_first_line_that_was_cut_short_is_noted() {
    let place = Place::of(0);
    let log = place.log();
    place.append(br#"{"seq":1,"#);
    log.started(&event()).unwrap();
    log.started(&event()).unwrap();
    assert_eq!(place.verify().unwrap().cut, 1);
}

#[test]
fn a_line_that_lacks_only_its_end_counts() {
    let place = Place::of(2);
    let bytes = fs::read(place.path()).unwrap();
    fs::write(place.path(), &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(place.verify().unwrap().last.seq, 2);
    place.log().started(&event()).unwrap();
    assert_eq!(place.verify().unwrap().last.seq, 3);
}

#[test]
fn a_head_that_a_crash_left_behind_is_brought_up() {
    let place = Place::of(2);
    let head = chain::head_path(&place.path());
    let before = fs::read(&head).unwrap();
    place.log().started(&event()).unwrap();
    fs::write(&head, before).unwrap();
    assert_eq!(place.verify().unwrap().head_behind, 1);
    place.log().started(&event()).unwrap();
    let verified = place.verify().unwrap();
    assert_eq!((verified.last.seq, verified.head_behind), (4, 0));
}

#[test]
fn lines_of_a_version_without_a_chain_are_bound() {
    let place = Place::of(0);
    let log = place.log();
    let old = r#"{"seq":1,"at":"2026-01-01T00:00:00Z","msg":"x","evt":"FUSE","event":"01J","state":"STARTED"}"#;
    place.append(format!("{old}\n{}\n{{\"se", old.replace("1,", "2,")).as_bytes());
    assert!(matches!(place.verify(), Err(AuditFault::NoHead { .. } | AuditFault::NotSigned { .. })));
    log.started(&event()).unwrap();
    log.started(&event()).unwrap();
    let verified = place.verify().unwrap();
    assert_eq!((verified.first, verified.last.seq, verified.unsigned), (3, 4, 3));
    place.rewrite(|lines| lines[0] = lines[0].replace("FUSE", "FUSF"));
    assert!(matches!(place.verify(), Err(AuditFault::BeforeAltered { line: 4, .. })));
}

#[test]
fn a_log_that_was_put_away_is_verified_with_the_one_that_goes_on() {
    let place = Place::of(3);
    let archive = place.folder.path().join("audit-2026-01.jsonl");
    fs::rename(place.path(), &archive).unwrap();
    (0..2).for_each(|_| place.log().started(&event()).unwrap());
    assert!(matches!(place.verify(), Err(AuditFault::BeginsLater { found: 4, .. })));
    let verified = place.verify_with(std::slice::from_ref(&archive), &[]).unwrap();
    assert_eq!((verified.first, verified.last.seq), (1, 5));
    // Without the former file, the entry that it ended with is enough.
    let text = fs::read_to_string(&archive).unwrap();
    let known = Entry { seq: 3, hash: datafuse_core::audit::digest(text.lines().last().unwrap().as_bytes()) };
    assert_eq!(place.verify_with(&[], &[known]).unwrap().first, 4);
    fs::write(&archive, text.lines().take(2).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    assert!(matches!(place.verify_with(&[archive], &[]), Err(AuditFault::Missing { line: 1, from: 3, .. })));
}

#[test]
fn a_new_key_goes_on_and_the_former_one_signs_nothing_after_it() {
    let mut place = Place::of(2);
    let former = place.keys.identity().public_name();
    let former_log = place.log();
    place.keys = new_keys();
    let names = [former.clone(), place.keys.identity().public_name()];
    let path = place.path();
    let check = || verify(&AuditFiles { root: &place.root, names: &names, archives: &[], log: &path, known: &[] });
    // A thief of the former key could have written all that is there.
    assert!(matches!(check(), Err(AuditFault::FormerName { .. })));
    let log = AuditLog::open(place.path(), place.root, Arc::clone(&place.keys), &[former]).unwrap();
    log.started(&event()).unwrap();
    assert_eq!(check().unwrap().last.seq, 3);
    former_log.started(&event()).unwrap();
    assert!(matches!(check(), Err(AuditFault::NoHead { .. } | AuditFault::FormerName { .. })));
}

#[test]
fn a_log_of_another_space_is_refused() {
    let (mut place, other) = (Place::of(2), Place::new());
    place.root = other.root;
    assert!(matches!(place.verify(), Err(AuditFault::NoHead { .. })));
}

#[test]
fn lines_of_several_writers_do_not_mix() {
    let place = Place::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let log = place.log();
            scope.spawn(move || {
                for _ in 0..25 {
                    log.done(&event(), Duration::ZERO).unwrap();
                }
            });
        }
    });
    assert_eq!(place.lines().iter().map(|line| line.seq).collect::<Vec<_>>(), (1..=100).collect::<Vec<_>>());
    assert_eq!(place.verify().unwrap().last.seq, 100);
}

#[test]
fn a_line_longer_than_the_tail_is_chained() {
    let place = Place::of(1);
    let datasets = vec!["00".repeat(32); 1000];
    place.log().fact(None, &Fact::ReportMade { sha256: "ab", datasets: &datasets }).unwrap();
    place.log().started(&event()).unwrap();
    assert_eq!(place.verify().unwrap().last.seq, 3);
}

#[cfg(unix)]
#[test]
fn others_cannot_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::of(1);
    for path in [place.path(), chain::head_path(&place.path())] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o077, 0);
    }
}

#[test]
fn a_file_that_cannot_be_made_is_an_error() {
    let place = Place::new();
    let opened = AuditLog::open(place.folder.path(), place.root, Arc::clone(&place.keys), &[]);
    assert!(matches!(opened, Err(Error::Audit { .. })));
}

#[test]
fn debug_says_no_key() {
    let place = Place::new();
    assert!(!format!("{:?}", place.log()).contains("keys"));
    assert!(Path::new(&place.path()).exists());
}
