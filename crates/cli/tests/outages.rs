//! Places that are away when the program starts, or go while it runs: nothing is begun below them, and no event is lost to them.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use std::fs;

use world::{Serve, World, get};

const ACME: &str = "email\nann@example.com\nbob@example.com\n";
const GLOBEX: &str = "email\nann@example.com\nzoe@example.com\n";

#[test]
fn a_workload_that_starts_without_its_state_does_nothing_until_it_is_told_to_begin_anew() {
    let world = World::enrolled(&[("acme", ACME), ("globex", GLOBEX)]);
    fs::rename(world.path("workload/state"), world.path("workload/elsewhere")).unwrap();
    let doctor = world.run("workload", &["doctor", "--space", "space.yaml", "--key", "party.key"]);
    doctor.refused(3, "checks failed").says_in_out("an epoch was announced, and this state knows nothing of it");
    for event in ["CHECK_COMMON_CUSTOMERS", "ENROL", "FUSE", "CHECK_DATA_QUALITY", "INITIALIZE"] {
        world.event(event).refused(6, "epoch 1 was announced before, and this state knows nothing of it");
    }
    {
        let serve = Serve::start(&world, &["--ops", "127.0.0.1:0"]);
        let ops = serve.says("Readiness and numbers are served at ");
        let (status, answer) = get(&ops, "/readyz");
        assert_eq!(status, 503);
        assert!(answer.contains(r#"{"name":"state","ok":false,"why":"epoch-announced"}"#), "{answer}");
        world.run("acme", &["send", "FUSE"]).done();
        serve.says("epoch 1 was announced before");
        // It waits to be tried again, and is none of the dead letters.
        assert!(get(&ops, "/metrics").1.contains("datafuse_queue_dead_letters 0"));
    }
    fs::remove_dir_all(world.path("workload/state")).unwrap();
    fs::rename(world.path("workload/elsewhere"), world.path("workload/state")).unwrap();
    let serve = Serve::start(&world, &["--ops", "127.0.0.1:0"]);
    let ops = serve.says("Readiness and numbers are served at ");
    serve.await_number(&ops, r#"datafuse_events_total{type="FUSE",result="done"} 1"#);
    assert_eq!(get(&ops, "/readyz").0, 200);
}

#[test]
fn while_a_place_is_away_no_event_is_taken_and_none_is_lost() {
    let world = World::enrolled(&[("acme", ACME), ("globex", GLOBEX)]);
    let serve = Serve::start(&world, &["--ops", "127.0.0.1:0"]);
    let ops = serve.says("Readiness and numbers are served at ");
    let (mailbox, elsewhere) = (world.path("shared/mailbox"), world.path("shared/elsewhere"));
    fs::rename(&mailbox, &elsewhere).unwrap();
    for _ in 0..8 {
        world.run("acme", &["send", "CHECK_COMMON_CUSTOMERS"]).done();
    }
    serve.says(r#"no events are taken until this place can be used"#);
    let (status, answer) = get(&ops, "/readyz");
    assert_eq!(status, 503);
    assert!(answer.contains(r#"{"name":"mailbox","ok":false,"why":"not there"}"#), "{answer}");
    assert!(!mailbox.exists(), "nothing is made in its place");
    fs::rename(&elsewhere, &mailbox).unwrap();
    serve.says("every place can be used again");
    let text = serve.await_number(&ops, r#"datafuse_events_total{type="CHECK_COMMON_CUSTOMERS",result="done"} 8"#);
    // Of all that waited, the first alone was tried in vain.
    let failed = r#"datafuse_events_total{type="CHECK_COMMON_CUSTOMERS",result="failed"} 1"#;
    assert!(text.lines().any(|line| line.trim_end() == failed), "{text}");
}

#[test]
fn below_a_share_that_is_not_mounted_nothing_is_made() {
    let world = World::enrolled(&[("acme", ACME), ("globex", GLOBEX)]);
    fs::rename(world.path("shared"), world.path("elsewhere")).unwrap();
    world.run("acme", &["send", "FUSE"]).refused(3, "could not make the folder").tries("mount what lies at");
    world.event("FUSE").refused(3, "there is no mailbox folder at").tries("mount or make it");
    world.protect("acme", ACME).refused(3, "there is no mailbox folder at");
    let doctor = world.run("acme", &["doctor", "--space", "space.yaml", "--key", "party.key"]);
    doctor
        .refused(3, "checks failed")
        .says_in_out("BAD  mailbox")
        .says_in_out("BAD  queue")
        .says_in_out("BAD  dataset");
    world.run("acme", &["space", "check"]).done().says_in_out("would be made");
    assert!(!world.path("shared").exists());
    fs::rename(world.path("elsewhere"), world.path("shared")).unwrap();

    for (flag, place) in [("--state", "gone/state"), ("--outputs", "gone/outputs")] {
        let args = ["run", "CHECK_COMMON_CUSTOMERS", "--key", "party.key", flag, place];
        world.run("workload", &args).refused(3, place).tries("mount what lies at gone");
    }
    let args = ["run", "CHECK_COMMON_CUSTOMERS", "--key", "party.key", "--temp-dir", "gone/tmp"];
    world.run("workload", &args);
    assert!(!world.path("workload/gone").exists());
}

#[test]
fn doctor_tells_whose_key_it_is_and_looks_at_the_places_of_that_party() {
    let world = World::enrolled(&[("acme", ACME), ("globex", GLOBEX)]);
    let looks = |party: &str| world.run(party, &["doctor", "--space", "space.yaml", "--key", "party.key"]).done().out;
    let workload = looks("workload");
    for words in ["the workload's", "mailbox", "queue", "it opens with this key", "state folder", "outputs folder"] {
        assert!(workload.contains(words), "'{words}' is not in:\n{workload}");
    }
    assert!(workload.contains("acme/customers") && workload.contains("globex/customers"), "{workload}");
    let acme = looks("acme");
    assert!(acme.contains("that of 'acme'") && acme.contains("acme/customers"), "{acme}");
    assert!(!acme.contains("globex") && !acme.contains("state folder"), "{acme}");
    world.run("acme", &["keygen", "--out", "other.key"]).done();
    let other = world.run("acme", &["doctor", "--space", "space.yaml", "--key", "other.key"]);
    other.refused(3, "checks failed").says_in_out("nobody's in this space");
}
