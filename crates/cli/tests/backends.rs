//! The arithmetic that the program uses: the machine's fastest, or the one that `DATAFUSE_GROUP_BACKEND` names.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use std::fs;

use datafuse_group::Backend;
use serde_json::{Value, json};
use world::{Said, World};

const UNKNOWN: &str = "\
Error: DATAFUSE_GROUP_BACKEND is 'fast', which is no backend (there are: portable, avx2, ifma)
Try: unset DATAFUSE_GROUP_BACKEND: the fastest backend of this machine is then used
";
const ACME: &str = "email\nada@example.com\nbob@example.com\neve@example.com\n";
const GLOBEX: &str = "email\neve@example.com\nada@example.com\nzoe@example.com\n";

impl World {
    fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn run_with(&self, backend: &str, party: &str, args: &[&str]) -> Said {
        self.command(party).env("DATAFUSE_GROUP_BACKEND", backend).args(args).output().unwrap().into()
    }
}

fn json_of(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap()
}

#[test]
fn an_unknown_backend_is_refused_by_every_command_before_any_work() {
    let world = World::empty();
    for args in [&["doctor"][..], &["demo", "--out", "demo"], &["keygen", "--out", "party.key"], &["man"]] {
        let said = world.run_with("fast", ".", args);
        assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (3, "", UNKNOWN));
    }
    assert_eq!(fs::read_dir(world.path(".")).unwrap().count(), 0);

    let said = world.run_with("fast", ".", &["doctor", "--json"]);
    let error: Value = serde_json::from_str(&said.err).unwrap();
    assert_eq!((said.code, &error["code"]), (3, &json!(3)));
}

#[test]
fn a_backend_in_the_file_of_settings_is_refused_alike() {
    let world = World::empty();
    fs::write(world.path(".env"), "DATAFUSE_GROUP_BACKEND=fast\n").unwrap();
    world.run(".", &["doctor"]).refused(3, "DATAFUSE_GROUP_BACKEND is 'fast'");
    // The environment comes first.
    world.run_with("portable", ".", &["doctor"]).done();
}

#[test]
fn help_and_version_come_whatever_is_set() {
    let world = World::empty();
    for args in [&["--help"][..], &["--version"], &["doctor", "--help"]] {
        assert!(world.run_with("fast", ".", args).done().out.contains("datafuse"));
    }
}

#[test]
fn an_empty_value_is_as_none() {
    let world = World::empty();
    let unset = json_of(&world.run(".", &["doctor", "--json"]).done());
    let empty = json_of(&world.run_with("", ".", &["doctor", "--json"]).done());
    assert_eq!(empty["group_backend"], unset["group_backend"]);
    assert_eq!(unset["group_backend"]["overridden"], false);
    assert_eq!(unset["group_backend"]["used"], Backend::fastest().name());
}

#[test]
fn doctor_tells_that_portable_was_asked_for() {
    let world = World::empty();
    let said = world.run_with("portable", ".", &["doctor"]).done();
    let line = said.out.lines().find(|line| line.contains("group backend")).unwrap();
    assert!(line.starts_with("ok "), "{line}");
    assert!(line.contains("portable, as DATAFUSE_GROUP_BACKEND says"), "{line}");
    let value = json_of(&world.run_with("portable", ".", &["doctor", "--json"]).done());
    assert_eq!(value["group_backend"]["used"], "portable");
    assert_eq!(value["group_backend"]["overridden"], true);
}

#[test]
fn each_backend_is_used_or_refused_for_what_the_machine_lacks() {
    let world = World::empty();
    for name in Backend::names() {
        match Backend::named(name) {
            Ok(_) => {
                let value = json_of(&world.run_with(name, ".", &["doctor", "--json"]).done());
                assert_eq!(value["group_backend"]["used"], *name);
            }
            Err(error) => {
                world.run_with(name, ".", &["doctor"]).refused(3, &error.to_string());
                let said = world.run(".", &["doctor"]).done();
                assert!(said.out.contains(&format!("{name} does not: it needs ")), "{}", said.out);
            }
        }
    }
}

#[test]
fn the_log_names_the_backend() {
    let world = World::new(&["acme", "globex"], &[]);
    let mut command = world.command("workload");
    command.env("LOGLEVEL", "DEBUG").env("DATAFUSE_GROUP_BACKEND", "portable");
    let said = Said::from(command.args(["run", "INITIALIZE", "--key", "party.key"]).output().unwrap()).done();
    assert!(said.err.contains("backend=\"portable\""), "{}", said.err);
}

/// Tokens and re-keys of one backend are those of any other: a report does not show who computed with which.
#[test]
fn parties_with_different_backends_find_the_same_customers() {
    let world = World::enrolled(&[("acme", ACME), ("globex", GLOBEX)]);
    let here: Vec<_> = Backend::names().iter().filter(|name| Backend::named(name).is_ok()).collect();
    for (round, name) in here.iter().enumerate() {
        let protect = |backend: &str, holder: &str| {
            let args = ["protect", "customers.csv", "--party", holder, "--key", "party.key"];
            world.run_with(backend, holder, &args).done();
        };
        protect("portable", "acme");
        protect(name, "globex");
        let fuser = here[(round + 1) % here.len()];
        world.run_with(fuser, "workload", &["run", "CHECK_COMMON_CUSTOMERS", "--key", "party.key"]).done();
        let report = world.report();
        assert_eq!(report["overlap"]["all"], 2, "{name}, fused with {fuser}");
        assert_eq!(report["provenance"]["datasets"][1]["version"], 2 + round);
    }
}

#[test]
fn the_demo_counts_the_same_with_portable_and_with_the_fastest() {
    let world = World::empty();
    let reports = [("first", "portable"), ("second", Backend::fastest().name())].map(|(folder, backend)| {
        let args = ["demo", "--rows", "300", "--overlap", "0.4", "--seed", "7", "--out", folder, "--json"];
        let value = json_of(&world.run_with(backend, ".", &args).done());
        assert_eq!(value["agrees_with_truth"], true);
        let report = fs::read(world.path(value["report"].as_str().unwrap())).unwrap();
        serde_json::from_slice::<Value>(&report).unwrap()
    });
    for counts in ["common_customers", "parties", "overlap", "by_kind"] {
        assert_eq!(reports[0][counts], reports[1][counts]);
    }
    assert_ne!(reports[0]["parties"], Value::Null);
}
