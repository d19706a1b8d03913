//! A report on its way to its user, when the process dies on the way or the event comes again.

use std::fs;

use datafuse_engine::signed_report::{SignedReport, encrypted};
use datafuse_space::keyfile::identity::Identity;
use datafuse_workload::{Error, Outcome, ReadersError, delivery::Arrival};
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
        Outcome::Reported { delivered, .. } | Outcome::Encrypted { delivered, .. } => {
            Ok(delivered.iter().map(|delivered| delivered.arrival).collect())
        }
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

/// As [`world`], with the user's recipient in the agreement.
fn encrypted_world() -> (World, Identity) {
    let (world, identity) = (world(), Identity::generate());
    name_recipient(&world, &identity);
    (world, identity)
}

fn name_recipient(world: &World, identity: &Identity) {
    let recipient = format!("    recipient: {}\n    deliver: [one, two]", identity.to_public());
    world.edit_space(|yaml| {
        let without: String =
            yaml.lines().filter(|line| !line.contains("recipient:")).flat_map(|l| [l, "\n"]).collect();
        without.replacen("    deliver: [one, two]", &recipient, 1)
    });
}

fn names(folder: &std::path::Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

#[test]
fn an_encrypted_report_is_found_again_by_its_receipt_and_delivered_as_it_was() {
    let (world, identity) = encrypted_world();
    fs::create_dir(world.path("one")).unwrap();
    assert!(matches!(check(&world), Err(Error::Delivery(_))));
    let report = |place: &str| fs::read(world.path(place).join(EVENT).join("report.dsse.json.age")).unwrap();
    let made = report("outputs");
    assert_eq!(names(&world.path("outputs").join(EVENT)), ["receipt.json", "report.dsse.json.age"]);

    fs::create_dir(world.path("two")).unwrap();
    assert_eq!(check(&world).unwrap(), [Arrival::NotedBefore, Arrival::Sent]);
    assert_eq!((report("outputs"), report("one"), report("two")), (made.clone(), made.clone(), made.clone()));
    assert!(check(&world).unwrap().is_empty());

    let envelope = encrypted::decrypt(&made, &[identity]).unwrap();
    let signer = world.space().workload().clone();
    let (signed, _) = SignedReport::verify(&envelope, &[signer]).unwrap();
    assert_eq!(signed.report.overlap.all, Some(2));
    assert_eq!(signed.statement.predicate.run.encrypted_to[0].user.as_str(), "insights");
}

#[test]
fn a_crash_after_an_encrypted_delivery_changes_nothing_at_the_receiver() {
    let (world, _) = encrypted_world();
    fs::create_dir(world.path("one")).unwrap();
    fs::create_dir(world.path("two")).unwrap();
    assert_eq!(check(&world).unwrap(), [Arrival::Sent, Arrival::Sent]);
    let bytes = || fs::read(world.path("one").join(EVENT).join("report.dsse.json.age")).unwrap();
    let before = bytes();
    let db = rusqlite::Connection::open(world.path("state/state.db")).unwrap();
    db.execute_batch("DELETE FROM delivery; DELETE FROM event").unwrap();
    assert_eq!(check(&world).unwrap(), [Arrival::WasThere, Arrival::WasThere]);
    assert_eq!(bytes(), before);
}

#[test]
fn an_encrypted_output_that_was_altered_or_opened_beside_it_is_not_delivered() {
    let (world, _) = encrypted_world();
    assert!(check(&world).is_err());
    let output = world.path("outputs").join(EVENT);
    for (file, content) in [("report.dsse.json.age", "age-encryption.org/v1\n"), ("receipt.json", "{}")] {
        let good = fs::read(output.join(file)).unwrap();
        fs::write(output.join(file), content).unwrap();
        assert!(matches!(check(&world), Err(Error::OutputInTheWay { .. })), "{file}");
        assert_eq!(fs::read(output.join(file)).unwrap(), content.as_bytes());
        fs::write(output.join(file), good).unwrap();
    }
    fs::write(output.join("report.json"), "{}").unwrap();
    assert!(matches!(check(&world), Err(Error::OutputInTheWay { .. })));
    fs::remove_file(output.join("report.json")).unwrap();
    fs::create_dir(world.path("one")).unwrap();
    fs::create_dir(world.path("two")).unwrap();
    assert_eq!(check(&world).unwrap(), [Arrival::Sent, Arrival::Sent]);
}

#[test]
fn a_report_that_was_made_for_other_recipients_is_not_delivered_to_the_present_ones() {
    let world = world();
    assert!(check(&world).is_err());
    fs::create_dir(world.path("one")).unwrap();
    fs::create_dir(world.path("two")).unwrap();
    let changed = |world: &World| {
        let error = check(world).unwrap_err();
        assert!(matches!(&error, Error::Readers(of) if matches!(**of, ReadersError::Changed { .. })), "{error}");
        assert!(error.remedy().unwrap().contains("move that folder away") && !error.is_retryable());
        assert!(names(&world.path("one")).is_empty());
    };
    // In clear, before anybody asked for encryption; then to a recipient that was replaced since.
    name_recipient(&world, &Identity::generate());
    changed(&world);
    fs::remove_dir_all(world.path("outputs").join(EVENT)).unwrap();
    assert!(fs::remove_dir(world.path("two")).is_ok() && check(&world).is_err());
    assert_eq!(names(&world.path("outputs").join(EVENT)), ["receipt.json", "report.dsse.json.age"]);
    fs::remove_dir_all(world.path("one").join(EVENT)).unwrap();
    name_recipient(&world, &Identity::generate());
    changed(&world);
}

#[test]
fn no_report_is_made_where_only_some_users_have_a_recipient() {
    let (world, _) = encrypted_world();
    world.edit_space(|yaml| yaml.replacen("participants:", "participants:\n  office:\n    roles: [user]", 1));
    let error = check(&world).unwrap_err();
    assert_eq!(error.class(), "recipients-mixed");
    assert_eq!(
        error.to_string(),
        "'insights' asked for encrypted reports, and 'office' has no recipient: no report is made"
    );
    assert!(!world.path("outputs").join(EVENT).exists());
}
