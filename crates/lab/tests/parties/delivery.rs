//! A report on its way to its user, when the process dies on the way or the event comes again.

use std::fs;

use datafuse_workload::{Error, Outcome, delivery::Arrival};
use serde_json::json;

use super::world::World;

const EVENT: &str = "01J8ZQ4X7M6V9K3T2N1B0C5D7E";

fn world() -> World {
    let world = World::at_work(&["acme", "globex"]);
    world.edit_space(|yaml| {
        yaml.replacen("participants:", "participants:\n  insights:\n    roles: [user]\n    deliver: [one, two]", 1)
    });
    world
}

fn check(world: &World) -> datafuse_workload::Result<Vec<Arrival>> {
    match world.event_with_id(EVENT, "CHECK_COMMON_CUSTOMERS", json!({}))? {
        Outcome::Reported { delivered, .. } => Ok(delivered.iter().map(|delivered| delivered.arrival).collect()),
        Outcome::AlreadyDone => Ok(Vec::new()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_event_that_comes_again_delivers_the_same_report_to_whom_it_was_not_delivered() {
    let world = world();
    fs::create_dir(world.path("one")).unwrap();
    let error = check(&world).unwrap_err();
    assert!(matches!(error, Error::Delivery(_)) && error.is_retryable(), "{error}");
    assert_eq!(error.class(), "delivery-folder");
    let report = |place: &str| fs::read(world.path(place).join(EVENT).join("report.dsse.json")).unwrap();
    let made = report("outputs");

    fs::create_dir(world.path("two")).unwrap();
    assert_eq!(check(&world).unwrap(), [Arrival::NotedBefore, Arrival::Sent]);
    assert_eq!((report("outputs"), report("one"), report("two")), (made.clone(), made.clone(), made));
    assert!(check(&world).unwrap().is_empty());
}

#[test]
fn a_crash_after_delivery_and_before_its_note_changes_nothing_at_the_receiver() {
    let world = world();
    fs::create_dir(world.path("one")).unwrap();
    fs::create_dir(world.path("two")).unwrap();
    assert_eq!(check(&world).unwrap(), [Arrival::Sent, Arrival::Sent]);
    let written = || fs::metadata(world.path("one").join(EVENT).join("report.json")).unwrap().modified().unwrap();
    let before = written();
    let db = rusqlite::Connection::open(world.path("state/state.db")).unwrap();
    db.execute_batch("DELETE FROM delivery; DELETE FROM event").unwrap();
    assert_eq!(check(&world).unwrap(), [Arrival::WasThere, Arrival::WasThere]);
    assert_eq!(written(), before);
}

#[test]
fn an_output_that_was_altered_is_neither_delivered_nor_overwritten() {
    let world = world();
    assert!(check(&world).is_err());
    let output = world.path("outputs").join(EVENT);
    for (file, content) in [("report.json", "{}"), ("report.html", "<html>"), ("report.dsse.json", "{}")] {
        let good = fs::read(output.join(file)).unwrap();
        fs::write(output.join(file), content).unwrap();
        assert!(matches!(check(&world), Err(Error::OutputInTheWay { .. })), "{file}");
        assert_eq!(fs::read(output.join(file)).unwrap(), content.as_bytes());
        fs::write(output.join(file), good).unwrap();
    }
    fs::create_dir(world.path("one")).unwrap();
    fs::create_dir(world.path("two")).unwrap();
    assert_eq!(check(&world).unwrap(), [Arrival::Sent, Arrival::Sent]);
}

#[test]
fn reports_that_were_signed_by_a_former_name_of_the_workload_are_still_its_own() {
    let world = world();
    fs::create_dir(world.path("one")).unwrap();
    assert!(check(&world).is_err());
    world.replace("workload");
    fs::create_dir(world.path("two")).unwrap();
    assert_eq!(check(&world).unwrap(), [Arrival::NotedBefore, Arrival::Sent]);
}
