//! `datafuse audit`, as an auditor runs it: with the agreement and the log, and no key.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use std::fs;

use serde_json::Value;
use world::World;

const ACME: &str = "email\nada@example.com\nbob@example.com\n";
const GLOBEX: &str = "email\nada@example.com\nzoe@example.com\n";

/// The auditor has a copy of the log and the agreement, nothing else.
fn auditor(world: &World) {
    let folder = world.path("auditor");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("state")).unwrap();
    for file in ["space.yaml", "state/audit.jsonl", "state/audit.head"] {
        fs::copy(world.path("workload").join(file), folder.join(file)).unwrap();
    }
}

fn lines(world: &World) -> Vec<Value> {
    let text = fs::read_to_string(world.path("auditor/state/audit.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn an_auditor_follows_what_happened_from_the_log_alone() {
    let world = World::enrolled(&[("acme", ACME), ("globex", GLOBEX)]);
    world.event("CHECK_COMMON_CUSTOMERS").done();
    world.run("workload", &["send", "FUSE", "--holders", "acme"]).done();
    world.run("workload", &["serve", "--key", "party.key", "--once"]).refused(6, "1 data holder takes part");
    auditor(&world);

    let said = world.run("auditor", &["audit", "verify"]).done();
    assert!(said.out.contains("The audit log is whole"), "{}", said.out);
    let lines = lines(&world);
    let of = |msg: &str| lines.iter().filter(|line| line["msg"] == msg).collect::<Vec<_>>();
    assert_eq!(of("Epoch opened")[0]["epoch"], 1);
    assert_eq!(of("Holder enrolled").len(), 2);
    let accepted = of("Dataset accepted");
    assert_eq!((accepted.len(), &accepted[0]["participant"]), (2, &"acme".into()));
    let report = of("Report made")[0];
    assert_eq!(report["datasets"], Value::from(vec![accepted[0]["sha256"].clone(), accepted[1]["sha256"].clone()]));
    use sha2::Digest;
    let file = world.path("workload/outputs").join(report["event"].as_str().unwrap()).join("report.dsse.json");
    let sha256 = sha2::Sha256::digest(fs::read(file).unwrap());
    let sha256: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(report["sha256"], sha256.as_str());
    let failed = of("Event processing failed");
    assert_eq!((&failed[0]["error"], &failed[0]["refused"]), (&"too-few-holders".into(), &true.into()));
    assert_eq!((of("Workload started").len(), of("Workload stopped").len()), (1, 1));
}

#[test]
fn what_was_done_to_the_log_is_named_with_a_remedy() {
    let world = World::enrolled(&[("acme", ACME), ("globex", GLOBEX)]);
    world.event("FUSE").done();
    auditor(&world);
    let log = world.path("auditor/state/audit.jsonl");
    let text = fs::read_to_string(&log).unwrap();
    let whole: Vec<_> = text.lines().collect();
    let change =
        |lines: &[&str]| fs::write(&log, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();

    let altered = whole[2].replace("2", "3");
    change(&[&whole[..2], &[altered.as_str()], &whole[3..]].concat());
    world.run("auditor", &["audit", "verify"]).refused(4, "line 3 of ");
    change(&[&whole[..2], &whole[3..]].concat());
    world.run("auditor", &["audit", "verify"]).refused(4, "entries 3 to 3 are missing");
    change(&whole[..whole.len() - 1]);
    world.run("auditor", &["audit", "verify"]).refused(4, "its end was cut off");
    fs::remove_file(&log).unwrap();
    world.run("auditor", &["audit", "verify"]).refused(4, "could not read");
}

#[test]
fn an_older_log_with_its_older_head_is_found_against_the_head_that_was_kept() {
    let world = World::new(&["acme", "globex"], &[]);
    world.event("INITIALIZE").done();
    let state = world.path("workload/state");
    let before = ["audit.jsonl", "audit.head"].map(|file| fs::read(state.join(file)).unwrap());
    world.event("ENROL").done();
    let head = world.run("workload", &["audit", "head"]).done().out;
    world.run("workload", &["audit", "verify", "--expect", head.trim()]).done();
    for (file, bytes) in ["audit.jsonl", "audit.head"].iter().zip(before) {
        fs::write(state.join(file), bytes).unwrap();
    }
    world.run("workload", &["audit", "verify"]).done();
    world.run("workload", &["audit", "verify", "--expect", head.trim()]).refused(4, "its end was cut off");
    let said = world.run("workload", &["audit", "verify", "--expect", "7"]);
    assert_eq!(said.code, 2, "{}", said.err);
}

#[test]
fn a_log_that_was_put_away_is_verified_with_the_one_that_goes_on() {
    let world = World::new(&["acme", "globex"], &[]);
    world.event("INITIALIZE").done();
    let state = world.path("workload/state");
    fs::rename(state.join("audit.jsonl"), state.join("audit-1.jsonl")).unwrap();
    world.event("ENROL").done();
    world.run("workload", &["audit", "verify"]).refused(4, "those before are not here");
    world.run("workload", &["audit", "verify", "--archive", "state/audit-1.jsonl"]).done();
}
