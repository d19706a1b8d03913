//! A full disk: at every single write that an event makes, then for good; below a size that no file may pass; and on a small
//! file system. Each time there must be an error that says so and what to do, nothing partial, and success when there is room.

use std::{fs, path::PathBuf, process::Command};

use datafuse_engine::signed_report::FileSet;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    child::{Ended, Order},
    long,
    place::Place,
    seed,
    verdict::{Story, Trial},
    worlds::{self, Stage, message, names},
};

/// A library that makes calls fail, built from `disk.c`.
pub(crate) struct Faults {
    folder: TempDir,
    shared_object: PathBuf,
}

impl Faults {
    /// Builds the library; `None`, with a word on why, where that cannot be done here.
    pub(crate) fn build() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("disk.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reliability/disk.c");
        let built =
            Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).args([source, "-ldl"]).output();
        match built {
            Ok(output) if cfg!(target_os = "linux") && output.status.success() => {
                Some(Self { folder, shared_object: library })
            }
            _ => {
                println!("skipped: faults of single calls need Linux with glibc and a C compiler");
                None
            }
        }
    }

    fn run(&self, order: &Order, mode: &str, at: u64) -> Ended {
        let under_faults = |mut command: Command| {
            // The operating system gives paths without links, as the library compares them.
            let folder = fs::canonicalize(&order.space).unwrap();
            command.env("LD_PRELOAD", &self.shared_object).env("FAULT_MODE", mode).env("FAULT_AT", at.to_string());
            command.env("FAULT_FOLDER", folder.join("")).env("FAULT_COUNT", self.folder.path().join("count"));
            command
        };
        order.start(under_faults).end()
    }

    /// Runs a story to its end; gives how many calls changed the disk.
    pub(crate) fn count(&self, trial: &Trial) -> u64 {
        self.count_of(&trial.order)
    }

    fn count_of(&self, order: &Order) -> u64 {
        self.run(order, "count", 0).expect_done();
        let count: u64 = fs::read_to_string(self.folder.path().join("count")).unwrap().trim().parse().unwrap();
        assert!(count > 10, "{count} calls: the library does not see them");
        count
    }

    /// Runs a story until just before the call of a number.
    pub(crate) fn kill_at(&self, trial: &Trial, number: u64) -> Ended {
        self.run(&trial.order, "kill", number)
    }

    /// Runs an order; from the call of a number on, the disk is full.
    fn full_from(&self, order: &Order, number: u64) -> Ended {
        self.run(order, "fail", number)
    }
}

/// Asserts that what went wrong was said, with what to do about it.
fn assert_said(order: &Order, ended: &Ended, what: &str) {
    let journal = order.journal();
    let failed = journal.iter().find(|line| line.starts_with("failed"));
    let said = match (failed, ended.status.code()) {
        (Some(line), _) => line.clone(),
        (None, Some(3)) => ended.errors.clone(),
        // Only tidying up failed, which the next run does.
        (None, Some(0)) => return,
        _ => panic!("{what}: {ended:?}"),
    };
    let disk = ["full", "space", "room", "large", "limit"];
    assert!(disk.iter().any(|word| said.to_lowercase().contains(word)), "{what}: {said}");
    let remedy = said.rsplit(if failed.is_some() { "| " } else { "Try: " }).next().unwrap().trim();
    assert!(!remedy.is_empty(), "{what} has no remedy: {said}");
}

/// Runs a story event by event, each in a process of its own, until one fails or all are done.
fn until_something_fails(trial: &mut Trial, run: impl Fn(&Order) -> Ended) -> (Ended, usize) {
    trial.order.once = true;
    trial.may_fail = true;
    for number in 0..trial.events.len() {
        let ended = run(&trial.order);
        let failed = trial.order.journal().iter().any(|line| line.starts_with("failed"));
        if failed || !ended.status.success() {
            return (ended, number);
        }
    }
    let ended = trial.order.run();
    (ended, trial.events.len())
}

fn with_room_again(trial: &mut Trial, what: &str) {
    trial.assert_nothing_partial();
    trial.order.once = false;
    let ended = trial.order.run();
    assert!(ended.status.success(), "{what}: {ended:?}");
    trial.assert_settled();
}

#[test]
fn a_disk_that_is_full_at_any_write_is_an_error_and_spoils_nothing() {
    let Some(faults) = Faults::build() else { return };
    let mut trials = 0;
    // One event each, so that it is clear which one fails.
    for (stage, event) in [
        (Stage::Founded, "INITIALIZE"),
        (Stage::Waiting, "ENROL"),
        (Stage::Updated, "CHECK_COMMON_CUSTOMERS"),
        (Stage::Departed, "ENROL"),
        (Stage::Complete, "INITIALIZE"),
    ] {
        let begin = || {
            let copied = stage.copy();
            let place = Place::folder(&copied.path);
            let new_epoch = event == "INITIALIZE" && stage == Stage::Complete;
            let fields = if new_epoch { json!({ "new_epoch": true }) } else { json!({}) };
            let ids = place.publish(&[message(event, fields)]);
            let mut order = Order::new(&copied.path, place.clone());
            order.once = true;
            (copied, place, ids, order)
        };
        let (_keep, _, _, order) = begin();
        let writes = faults.count_of(&order);
        let stride = if long() { 1 } else { (writes / 10).max(1) };
        for number in (1 + seed() % stride..=writes).step_by(stride as usize) {
            let what = format!("{event} ({stage:?}), full from call {number} of {writes}");
            let (copied, place, ids, mut order) = begin();
            let ended = faults.full_from(&order, number);
            assert_said(&order, &ended, &what);
            let outputs = names(&copied.path.join("outputs"));
            let seen: Vec<_> = outputs.iter().filter(|name| !name.starts_with('.')).collect();
            for name in &seen {
                assert_eq!(
                    names(&copied.path.join("outputs").join(name)).len(),
                    FileSet::Clear.names().len(),
                    "{what}"
                );
            }
            order.once = false;
            let ended = order.run();
            assert!(ended.status.success(), "{what}: {ended:?}");
            assert_eq!(place.assert_empty(), 0, "{what}: put aside: {:?}", order.journal());
            if event.starts_with("CHECK") {
                let report = copied.path.join("outputs").join(ids[0].as_str()).join("report.json");
                let report = datafuse_engine::report::Report::from_json(&fs::read(report).unwrap()).unwrap();
                assert_eq!(stage.world().truth.differences(&report), Vec::<&str>::new(), "{what}");
            }
            trials += 1;
        }
    }
    println!("disk full from a single write on: {trials} trials");
}

#[test]
fn an_event_cannot_be_half_published_on_a_full_disk() {
    let Some(faults) = Faults::build() else { return };
    let copied = Stage::Founded.copy();
    let place = Place::folder(&copied.path);
    let mut order = Order::new(&copied.path, place.clone());
    let payload = message("GREETINGS", json!({ "text": "x".repeat(20_000) }));
    order.publish = Some(String::from_utf8(payload.clone()).unwrap());
    let ready = copied.path.join("queue/ready");
    let writes = faults.count_of(&order);
    let mut waiting = names(&ready).len();
    for number in 1..=writes {
        let ended = faults.full_from(&order, number);
        if ended.status.success() {
            waiting += 1;
        } else {
            assert_said(&order, &ended, &format!("publishing, full from call {number}"));
        }
        // The last flush may fail after the event has its name: then it may be there, whole.
        let now = names(&ready);
        assert!(now.len() >= waiting, "an event was lost");
        waiting = now.len();
        for name in now {
            assert_eq!(fs::read(ready.join(name)).unwrap(), payload);
        }
    }
}

#[test]
fn files_that_may_not_grow_are_an_error_and_spoil_nothing() {
    // In blocks of 512 bytes, as the shells count them by the standard. The journal and what is said must fit too, so not below 2.
    let sizes: &[u32] =
        if long() { &[2, 4, 8, 12, 16, 24, 32, 48, 64, 80, 96, 128, 160, 192, 256] } else { &[2, 16, 64, 128] };
    for blocks in sizes {
        let mut trial = Story::First.begin(Place::folder);
        let limited = |order: &Order| {
            let wrap = |command: Command| {
                let mut shell = Command::new("sh");
                let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
                shell.arg("-c").arg(script).arg(command.get_program()).args(command.get_args());
                shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
                shell
            };
            order.start(wrap).end()
        };
        let (ended, done) = until_something_fails(&mut trial, limited);
        let what = format!("files of at most {blocks} blocks, after {done} events");
        // The malformed event fails as it should.
        if !trial.order.journal().iter().any(|line| line.starts_with("failed event-not-json")) {
            assert_said(&trial.order, &ended, &what);
        }
        with_room_again(&mut trial, &what);
    }
}

#[test]
fn a_small_file_system_that_is_full_is_an_error_and_spoils_nothing() {
    let probe = Command::new("unshare").args(["--mount", "sh", "-c", "mount -t tmpfs none /mnt"]).output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        println!("skipped: a file system of one's own needs root, and a kernel that lets it mount one");
        return;
    }
    // How much room there is beside what is there already.
    let rooms: &[u64] = if long() { &[8, 16, 32, 48, 64, 96, 128, 160, 192, 256, 384] } else { &[16, 64, 256] };
    let mut failed = 0;
    for room in rooms {
        let trial = Story::First.begin(Place::folder);
        // A file takes whole pages.
        let pages = |file: &PathBuf| fs::metadata(trial.copied.path.join(file)).unwrap().len().div_ceil(4096);
        let size = 4 * worlds::files(&trial.copied.path).iter().map(pages).sum::<u64>() + room;
        let space = fs::canonicalize(&trial.copied.path).unwrap();
        // The space is copied into the small file system, worked on there, and copied back.
        let small = |order: &Order| {
            let wrap = |command: Command| {
                let script = format!(
                    "cp -a {space} {space}.copy && mount -t tmpfs -o size={size}k none {space} \
                     && cp -a {space}.copy/. {space}/ && {{ \"$0\" \"$@\"; ended=$?; rm -rf {space}.copy; cp -a {space} {space}.copy; \
                     umount {space}; rm -rf {space}; mv {space}.copy {space}; exit $ended; }}",
                    space = space.display()
                );
                let mut unshare = Command::new("unshare");
                unshare.args(["--mount", "sh", "-c"]).arg(script).arg(command.get_program()).args(command.get_args());
                unshare.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
                unshare
            };
            order.start(wrap).end()
        };
        let mut trial = trial;
        let (ended, done) = until_something_fails(&mut trial, small);
        let what = format!("a file system of {size} KiB, {room} of them free, after {done} events");
        if !trial.order.journal().iter().any(|line| line.starts_with("failed event-not-json")) {
            assert_said(&trial.order, &ended, &what);
            failed += 1;
        }
        with_room_again(&mut trial, &what);
    }
    println!("file systems with {rooms:?} KiB of room: {failed} were too small");
    assert!(failed > 0, "none was too small");
}
