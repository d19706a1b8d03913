//! Enrolment as its users run it: who is approved by which word, who stays to watch, what a kill in the middle leaves, and
//! how datasets come into a new epoch.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
    time::Duration,
};

use serde_json::Value;
use world::World;

const CSV: &str = "email\nada@example.com\nbob@example.com\n";

/// The public name of a party, as `keygen` printed it into the key file's comment.
fn public_name(world: &World, party: &str) -> String {
    let text = fs::read_to_string(world.path(party).join("party.key")).unwrap();
    text.lines().find_map(|line| line.strip_prefix("# public name: ")).unwrap().to_owned()
}

#[test]
fn names_are_approved_one_by_one_and_no_other_than_the_agreements() {
    let world = World::new(&["acme", "globex", "initech"], &[]);
    world.event("INITIALIZE").done();
    let enrol = |approvals: &[String]| {
        let mut args = vec!["enrol", "--party", "acme", "--key", "party.key"];
        args.extend(approvals.iter().flat_map(|approval| ["--approve", approval.as_str()]));
        world.run("acme", &args)
    };
    let approval = |party: &str, of: &str| format!("{party}={}", public_name(&world, of));
    enrol(&[]).refused(6, "not approved: the workload");
    enrol(&[approval("workload", "initech")]).refused(6, "another name in the space file");
    enrol(&["workload".to_owned()]).refused(2, "--approve 'workload' is not NAME=dfpub1");
    enrol(&[approval("nobody", "initech")]).refused(3, "no participant 'nobody'");
    // The founding names are enough to begin; the newcomer waits for a word of its own.
    let said = enrol(&[approval("workload", "workload"), approval("globex", "globex")]);
    assert!(said.out.contains("let globex in") && !said.out.contains("let initech in"), "{}", said.out);
    let said = said.refused(6, "not approved: initech");
    assert!(said.err.contains("--approve"), "{}", said.err);
    assert!(enrol(&[approval("initech", "initech")]).done().out.contains("let initech in"));
}

#[test]
fn a_watcher_stays_until_all_is_done_and_approves_nobody() {
    let world = World::new(&["acme", "globex"], &[]);
    world.run("acme", &["enrol", "--party", "acme", "--key", "party.key", "--watch"]).refused(6, "not approved");
    world.enrol("acme").done();
    let mut watcher = world
        .command("acme")
        .args(["enrol", "--party", "acme", "--key", "party.key", "--watch", "--interval", "1", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watcher.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(next()["epoch"], Value::Null);
    world.event("INITIALIZE").done();
    assert_eq!(next()["awaited"][0], "globex, a steward, runs datafuse enrol");
    world.enrol("globex").done();
    // It answers by itself, and sees who is still to come.
    while next()["done"][0] != "answered the stewards" {}
    world.enrol("globex").done();
    world.event("ENROL").done();
    while next()["enrolled"] != true {}
    assert!(watcher.wait().unwrap().success());
}

#[test]
fn a_watcher_that_is_interrupted_says_so() {
    let world = World::new(&["acme", "globex"], &[]);
    world.enrol("acme").done();
    let mut command = world.command("acme");
    command.args(["enrol", "--party", "acme", "--key", "party.key", "--watch"]).stdout(Stdio::piped());
    let mut watcher = command.stderr(Stdio::piped()).spawn().unwrap();
    // It has said what it awaits: from now on it only waits.
    let mut line = String::new();
    BufReader::new(watcher.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    std::process::Command::new("kill").args(["-TERM", &watcher.id().to_string()]).status().unwrap();
    let said: world::Said = watcher.wait_with_output().unwrap().into();
    said.refused(7, "stopped before enrolment was complete");
}

#[test]
fn killed_at_any_moment_the_workload_goes_on_from_there() {
    let holders = ["acme", "globex", "initech"];
    let world = World::new(&holders, &[]);
    let mut killed = 0;
    let mut kill_often = |args: &[&str]| {
        for attempt in 0..20_u64 {
            let mut child =
                world.command("workload").args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(attempt * 7 % 90));
            killed += usize::from(child.try_wait().unwrap().is_none() && child.kill().is_ok());
            child.wait().unwrap();
        }
    };
    // Before there is an epoch it fails, which is no harm either.
    kill_often(&["run", "ENROL", "--key", "party.key"]);
    world.event("INITIALIZE").done();
    for _ in 0..2 {
        for holder in holders {
            world.enrol(holder).done();
            kill_often(&["run", "ENROL", "--key", "party.key"]);
        }
    }
    for _ in 0..2 {
        for holder in holders {
            world.enrol(holder).done();
        }
        world.event("ENROL").done();
    }
    assert!(killed > 20, "the test must kill: {killed}");
    for holder in holders {
        assert!(world.enrol(holder).done().out.contains("is enrolled"), "{holder}");
        world.protect(holder, CSV).done();
    }
    world.event("CHECK_COMMON_CUSTOMERS").done();
    assert_eq!(world.report()["overlap"]["all"], 2);
}

#[test]
fn datasets_come_into_a_new_epoch_without_their_sources() {
    let world = World::enrolled(&[("acme", CSV), ("globex", CSV)]);
    world.event("CHECK_COMMON_CUSTOMERS").done();
    world.event("INITIALIZE").refused(6, "epoch 1 is open already");
    world.run("workload", &["run", "ENROL", "--key", "party.key", "--new-epoch"]).refused(2, "means nothing to ENROL");
    world.event("INITIALISE").refused(2, "not an event type");
    world.run("workload", &["run", "INITIALIZE", "--key", "party.key", "--new-epoch"]).done();
    world.enrol_all(&["acme", "globex"]);
    let said = world.event("CHECK_COMMON_CUSTOMERS").refused(4, "of another epoch");
    assert!(said.err.contains("--rekey"), "{}", said.err);
    for holder in ["acme", "globex"] {
        fs::remove_file(world.path(holder).join("customers.csv")).unwrap();
        let old = world.dataset(holder);
        let rekey = ["protect", "--rekey", old.to_str().unwrap(), "--party", holder, "--key", "party.key"];
        let said = world.run(holder, &rekey).done();
        assert!(said.out.contains("in epoch 2"), "{}", said.out);
        assert!(world.run(holder, &rekey).done().out.contains("already"));
    }
    world.event("CHECK_COMMON_CUSTOMERS").done();
    let report = world.report();
    assert_eq!((&report["overlap"]["all"], &report["provenance"]["epoch"]), (&2.into(), &2.into()));
    // Somebody else's file, and one that is none.
    let others = world.dataset("globex");
    let rekey = ["protect", "--rekey", others.to_str().unwrap(), "--party", "acme", "--key", "party.key"];
    world.run("acme", &rekey).refused(4, "of another holder");
    world
        .run("acme", &["protect", "--rekey", "space.yaml", "--party", "acme", "--key", "party.key"])
        .refused(4, "space.yaml");
    world.run("acme", &["protect", "--party", "acme", "--key", "party.key"]).code.eq(&2).then_some(()).unwrap();
}

#[test]
fn a_holder_with_new_keys_is_led_from_step_to_step() {
    let world = World::enrolled(&[("acme", CSV), ("globex", CSV), ("initech", CSV)]);
    world.event("ENROL").done();
    let former = public_name(&world, "initech");
    let said = world.run("initech", &["key", "replace", "--key", "party.key", "--yes"]).done();
    let present = said.out.trim().to_owned();
    let said = world.enrol("initech").refused(3, "the key file is not 'initech's");
    assert!(said.err.contains("former"), "{}", said.err);
    for party in ["workload", "acme", "globex", "initech"] {
        let file = world.path(party).join("space.yaml");
        let yaml = fs::read_to_string(&file).unwrap();
        let both = format!("name: {present}\n    former: [{former}]");
        fs::write(&file, yaml.replace(&format!("name: {former}"), &both)).unwrap();
    }
    assert!(world.enrol("initech").done().out.contains("the workload reads the new name"));
    assert!(world.event("ENROL").done().out.contains("changed to a new name: initech"));
    assert!(world.enrol("initech").done().out.contains("told the workload of the next token key"));
    world.event("ENROL").done();
    // A steward that runs unattended has nothing to approve: nobody waits for its share.
    world.run("acme", &["enrol", "--party", "acme", "--key", "party.key"]).done();
    let said = world.event("CHECK_COMMON_CUSTOMERS").refused(4, "of another holder");
    assert!(said.err.contains("--rekey"), "{}", said.err);
    let old = world.dataset("initech");
    world
        .run("initech", &["protect", "--rekey", old.to_str().unwrap(), "--party", "initech", "--key", "party.key"])
        .done();
    world.event("CHECK_COMMON_CUSTOMERS").done();
    assert_eq!(world.report()["overlap"]["all"], 2);
}

#[test]
fn two_parties_with_one_key_are_refused() {
    let world = World::new(&["acme", "globex"], &[]);
    let (workload, name) = (public_name(&world, "workload"), public_name(&world, "acme"));
    let holders = [format!("acme={name}"), format!("globex={name}")];
    let args =
        ["space", "init", "--id", "twice", "--workload", &workload, "--holder", &holders[0], "--holder", &holders[1]];
    let said = world.run(".", &[&args[..], &["--identifier", "email", "--out", "twice.yaml"]].concat());
    said.refused(3, "this public name is that of acme too");
    assert!(!world.path("twice.yaml").exists());
}
