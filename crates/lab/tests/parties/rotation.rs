//! A new token key within the epoch: nobody else acts, and old and new are never mixed up.

use datafuse_core::message::Round;
use datafuse_holder::enrol::Done;
use datafuse_workload::Error;

use crate::world::World;

#[test]
fn a_rotated_holder_goes_on_and_nobody_else_acts() {
    let world = World::at_work(&["acme", "globex", "initech"]);
    assert_eq!(world.check().unwrap(), 2);
    let others = [world.dataset("globex"), world.dataset("initech")].map(|path| std::fs::read(path).unwrap());

    world.rotate("initech");
    let report = world.enrol("initech").unwrap();
    assert_eq!(report.done, [Done::Rotated]);
    assert!(!report.enrolled && report.due[0].earlier);
    // Until it is brought over, the dataset of the former key is refused by name.
    let collected = world.collect();
    assert_eq!(collected.rotated, [crate::world::id("initech")]);
    match world.check() {
        Err(Error::Dataset { holder, source, .. }) => {
            assert_eq!(holder.to_string(), "initech");
            assert!(matches!(*source, datafuse_core::Error::Mismatch { field: "key id", .. }), "{source}");
            assert!(source.remedy().unwrap().contains("--rekey"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(world.rekey("initech").unwrap().unwrap().rows, 3);
    assert_eq!(world.check().unwrap(), 2);
    let report = world.enrol("initech").unwrap();
    assert!(report.is_complete() && report.done.is_empty() && report.due.is_empty(), "{report:?}");
    assert_eq!(
        [world.dataset("globex"), world.dataset("initech")].map(|path| std::fs::read(path).unwrap())[0],
        others[0]
    );
    assert!(world.rekey("initech").unwrap().is_none(), "it is there already");
}

#[test]
fn protecting_again_serves_as_well_as_bringing_over() {
    let world = World::at_work(&["acme", "globex"]);
    world.rotate("globex");
    world.enrol("globex").unwrap();
    world.protect("globex");
    assert_eq!(world.check().unwrap(), 2);
}

#[test]
fn several_rotations_in_any_order_lead_to_the_last_key() {
    let world = World::at_work(&["acme", "globex"]);
    let mut kept = Vec::new();
    for _ in 0..3 {
        world.rotate("globex");
        world.enrol("globex").unwrap();
        kept.extend(world.messages_of(Round::RotationToWorkload));
    }
    assert!(kept.len() >= 3);
    for (name, bytes) in kept.iter().rev() {
        world.put(name, bytes);
    }
    // All lead from the enrolled key: one is applied, the others are overtaken, and the next run goes on from there.
    world.collect();
    assert!(world.messages_of(Round::RotationToWorkload).is_empty());
    world.enrol("globex").unwrap();
    world.collect();
    assert!(world.enrol("globex").unwrap().enrolled);
    world.rekey("globex").unwrap();
    assert_eq!(world.check().unwrap(), 2);
    // A replay of any of them is refused: the message key is another.
    for (name, bytes) in &kept {
        world.put(name, bytes);
    }
    assert_eq!(world.collect().rotated, []);
    assert!(world.enrol("globex").unwrap().enrolled);
}

#[test]
fn a_rotation_renews_the_message_key_and_applies_once() {
    let world = World::at_work(&["acme", "globex"]);
    let announced = |world: &World| world.party("acme").announcement().unwrap();
    let before = announced(&world);
    world.rotate("globex");
    world.enrol("globex").unwrap();
    let (name, bytes) = world.messages_of(Round::RotationToWorkload).remove(0);
    world.collect();
    let after = announced(&world);
    assert_eq!((after.epoch, after.serial, after.dataset_key), (before.epoch, before.serial + 1, before.dataset_key));
    assert_ne!(after.message_key, before.message_key);
    world.put(&name, &bytes);
    let collected = world.collect();
    assert_eq!((collected.rotated.len(), collected.refused), (0, 1));
    assert_eq!(announced(&world), after);
}

#[test]
fn a_key_that_changes_before_the_enrolment_is_complete_is_the_one_enrolled() {
    for collect_between in [false, true] {
        let world = World::new(&["acme", "globex", "initech"], 2);
        world.event("INITIALIZE", serde_json::json!({})).unwrap();
        world.enrol("acme").unwrap();
        world.enrol("globex").unwrap();
        world.enrol("initech").unwrap();
        let first = world.messages_of(Round::AnswerToWorkload);
        let blinds = world.messages_of(Round::BlindToWorkload);
        for (name, _) in &blinds {
            world.lose(name);
        }
        if collect_between {
            world.collect();
        }
        world.rotate("initech");
        world.enrol("initech").unwrap();
        // The answer for the former key comes late, after the one for the present key.
        for (name, bytes) in &first {
            world.put(name, bytes);
        }
        world.collect();
        for (name, bytes) in &first {
            world.put(name, bytes);
        }
        world.enrol_all(&["acme", "globex", "initech"]);
        let report = world.enrol("initech").unwrap();
        assert!(report.enrolled, "{report:?}");
        for holder in ["acme", "globex", "initech"] {
            world.protect(holder);
        }
        assert_eq!(world.check().unwrap(), 2);
    }
}

#[test]
fn the_workloads_own_key_change_reseals_its_state() {
    let world = World::at_work(&["acme", "globex"]);
    assert_eq!(world.check().unwrap(), 2);
    let former = world.keys("workload");
    world.rotate("workload");
    assert_eq!(world.check().unwrap(), 2);
    world.change_keys("workload", |keys| keys.forget_former(true));
    assert_eq!(world.check().unwrap(), 2);
    // The former key opens it no more.
    world.change_keys("workload", |keys| *keys = former);
    assert!(matches!(world.workload(), Err(Error::StateSealed)));
}
