//! A new epoch: everybody enrols anew, and nothing of the former one is left.

use std::fs;

use datafuse_workload::{Error, Outcome};
use serde_json::json;

use crate::world::World;

#[test]
fn an_open_epoch_is_kept_unless_the_event_asks_for_a_new_one() {
    let world = World::at_work(&["acme", "globex"]);
    assert!(matches!(world.event("INITIALIZE", json!({})), Err(Error::EpochOpen { .. })));
    assert!(matches!(world.event("INITIALIZE", json!({ "new_epoch": false })), Err(Error::EpochOpen { .. })));
    let wrong = world.event("INITIALIZE", json!({ "new_epoch": "yes" }));
    assert!(matches!(wrong, Err(Error::EventField { field: "new_epoch", .. })));
    assert_eq!(world.check().unwrap(), 2);
}

#[test]
fn a_new_epoch_leaves_nothing_of_the_former_one() {
    let world = World::at_work(&["acme", "globex"]);
    assert_eq!(world.check().unwrap(), 2);
    world.join("initech");
    world.enrol("acme").unwrap();
    world.enrol("globex").unwrap();
    world.collect();
    assert!(!world.messages().is_empty(), "shares for the newcomer wait");
    let fused: Vec<_> = fs::read_dir(world.path("state/fused")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let sealed = sealed_values(&world);
    assert!(!sealed.is_empty());

    let opened = world.event("INITIALIZE", json!({ "new_epoch": true })).unwrap();
    assert!(matches!(opened, Outcome::Opened { epoch } if epoch.0 == 2));
    assert!(world.messages().is_empty());
    assert!(fused.iter().all(|path| !path.exists()));
    for value in sealed {
        assert!(!world.holds("state", &value), "a sealed value of epoch 1 is left");
    }
    let announcement = world.party("acme").announcement().unwrap();
    assert_eq!((announcement.epoch.0, announcement.serial > 1), (2, true));

    // Old datasets are refused with the remedy; brought over, they serve without their sources.
    assert!(matches!(world.check(), Err(Error::NotEnrolled { .. })));
    world.enrol_all(&["acme", "globex", "initech"]);
    match world.check() {
        Err(Error::Dataset { source, .. }) => {
            assert!(matches!(*source, datafuse_core::Error::Mismatch { field: "epoch", .. }), "{source}");
            assert!(source.remedy().unwrap().contains("--rekey"));
        }
        other => panic!("{other:?}"),
    }
    for holder in ["acme", "globex"] {
        assert!(world.enrol(holder).unwrap().due[0].earlier);
        fs::remove_file(world.path(&format!("{holder}.csv"))).unwrap();
        assert_eq!(world.rekey(holder).unwrap().unwrap().epoch.0, 2);
    }
    world.protect("initech");
    assert_eq!(world.check().unwrap(), 2);
}

#[test]
fn the_event_that_opened_an_epoch_opens_no_other_when_it_comes_again() {
    let world = World::new(&["acme", "globex"], 2);
    for _ in 0..2 {
        world.event_with_id("first", "INITIALIZE", json!({})).unwrap();
    }
    for _ in 0..2 {
        world.event_with_id("second", "INITIALIZE", json!({ "new_epoch": true })).unwrap();
    }
    // Nor does it where its end was never noted: the process died, and another epoch was opened since.
    let db = rusqlite::Connection::open(world.path("state/state.db")).unwrap();
    assert_eq!(db.execute("DELETE FROM event", []).unwrap(), 2);
    drop(db);
    for event in ["first", "second"] {
        world.event_with_id(event, "INITIALIZE", json!({ "new_epoch": true })).unwrap();
    }
    assert_eq!(world.party("acme").announcement().unwrap().epoch.0, 2);
}

#[test]
fn a_lost_state_is_told_and_a_new_epoch_follows_the_announced_one() {
    let world = World::at_work(&["acme", "globex"]);
    world.event("INITIALIZE", json!({ "new_epoch": true })).unwrap();
    world.party("acme").announcement().unwrap();
    fs::remove_dir_all(world.path("state")).unwrap();
    let error = world.event("INITIALIZE", json!({})).unwrap_err();
    assert!(matches!(error, Error::EpochAnnounced { epoch } if epoch.0 == 2));
    assert!(error.remedy().unwrap().contains("--new-epoch"));
    world.event("INITIALIZE", json!({ "new_epoch": true })).unwrap();
    assert_eq!(world.party("acme").announcement().unwrap().epoch.0, 3);
    world.enrol_all(&["acme", "globex"]);
    world.rekey("acme").unwrap();
    world.rekey("globex").unwrap();
    assert_eq!(world.check().unwrap(), 2);
}

#[test]
fn an_old_backup_of_the_state_is_not_gone_on_with() {
    let world = World::at_work(&["acme", "globex"]);
    let backup = fs::read(world.path("state/state.db")).unwrap();
    world.rotate("acme");
    world.enrol("acme").unwrap();
    world.collect();
    for leftover in ["state.db-wal", "state.db-shm"] {
        let _ = fs::remove_file(world.path("state").join(leftover));
    }
    fs::write(world.path("state/state.db"), backup).unwrap();
    let error = world.event("ENROL", json!({})).unwrap_err();
    assert!(matches!(error, Error::StateBehind { .. }), "{error}");
    assert!(error.remedy().is_some());
}

#[test]
fn a_steward_serves_an_epoch_with_one_share_and_the_next_with_its_new_one() {
    let world = World::at_work(&["acme", "globex"]);
    world.replace("acme");
    world.join("initech");
    // In mid-epoch the former share lets the newcomer in, under the steward's new name.
    world.enrol_all(&["acme", "globex", "initech"]);
    world.enrol_all(&["acme", "globex", "initech"]);
    world.rekey("acme").unwrap();
    world.protect("initech");
    assert_eq!(world.check().unwrap(), 2);

    world.event("INITIALIZE", json!({ "new_epoch": true })).unwrap();
    world.enrol_all(&["acme", "globex", "initech"]);
    for holder in ["acme", "globex", "initech"] {
        world.rekey(holder).unwrap();
    }
    assert_eq!(world.check().unwrap(), 2);
    world.change_keys("acme", |keys| keys.forget_former(true));
    world.join("umbrella");
    world.enrol_all(&["acme", "globex", "umbrella"]);
    world.protect("umbrella");
    assert_eq!(world.check().unwrap(), 2);
}

#[test]
fn what_a_thief_announced_in_the_former_workloads_name_binds_nobody() {
    use datafuse_core::{announcement::Announcement, id::Epoch};

    let world = World::at_work(&["acme", "globex"]);
    let stolen = world.keys("workload");
    let root = world.space().root();
    let forged =
        Announcement { root, epoch: Epoch(1 << 40), serial: 1 << 40, dataset_key: [9; 32], message_key: [9; 32] };
    let place = world.path("mailbox").join(format!("announcement-{root}.cbor"));
    fs::write(&place, forged.sign(stolen.identity())).unwrap();
    // The parties follow it: they cannot know better. The workload does not go on beside it.
    assert_eq!(world.party("acme").announcement().unwrap().epoch, Epoch(1 << 40));
    assert!(matches!(world.event("ENROL", json!({})), Err(Error::StateBehind { .. })));
    // With a new name the former one's announcements are nothing, to the workload and to whoever approves the new name.
    world.replace("workload");
    world.event("INITIALIZE", json!({ "new_epoch": true })).unwrap();
    world.enrol_all(&["acme", "globex"]);
    for holder in ["acme", "globex"] {
        assert_eq!(world.rekey(holder).unwrap().unwrap().epoch, Epoch(2));
    }
    assert_eq!(world.check().unwrap(), 2);
    fs::write(&place, forged.sign(stolen.identity())).unwrap();
    assert!(world.enrol("acme").is_err());
    assert_eq!(world.check().unwrap(), 2, "and the workload puts its own back");
    assert!(world.enrol("acme").unwrap().enrolled);
}

/// Every sealed value in the workload's database, and its re-keys and answers above all.
fn sealed_values(world: &World) -> Vec<Vec<u8>> {
    let db = rusqlite::Connection::open(world.path("state/state.db")).unwrap();
    let mut values = Vec::new();
    for table in ["secret", "blind", "answer", "rekey", "canary"] {
        let mut statement = db.prepare(&format!("SELECT sealed FROM {table}")).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
        values.extend(rows.map(|row| row.unwrap()));
    }
    values
}
