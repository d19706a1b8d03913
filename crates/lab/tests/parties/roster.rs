//! Who comes, who goes, and who has a new name: the others do nothing.

use std::fs;

use datafuse_holder::enrol::{Done, enrol};
use datafuse_workload::Error;

use crate::world::{World, id};

#[test]
fn a_newcomer_needs_the_stewards_and_itself_only() {
    let world = World::at_work(&["acme", "globex", "initech"]);
    assert_eq!(world.check().unwrap(), 2);
    world.join("umbrella");
    let before = fs::read(world.dataset("initech")).unwrap();
    for holder in ["acme", "globex", "umbrella"] {
        world.enrol(holder).unwrap();
    }
    world.collect();
    world.protect("umbrella");
    assert_eq!(world.check().unwrap(), 2);
    assert!(world.enrol("umbrella").unwrap().enrolled);
    assert_eq!(fs::read(world.dataset("initech")).unwrap(), before);
}

#[test]
fn a_newcomer_is_let_in_by_a_word_and_until_then_everything_else_goes_on() {
    let world = World::new(&["acme", "globex"], 2);
    world.event("INITIALIZE", serde_json::json!({})).unwrap();
    world.enrol("acme").unwrap();
    world.join("umbrella");
    // No word: nobody is let in, and it is said who waits.
    let report = enrol(&world.party("acme"), &mut |_| false).unwrap();
    assert_eq!(report.unapproved.len(), 1);
    assert!(report.done.iter().all(|done| *done != Done::SharedWith(id("umbrella"))) && !report.is_complete());
    world.enrol("globex").unwrap();
    let report = enrol(&world.party("acme"), &mut |_| false).unwrap();
    assert!(report.done.contains(&Done::Answered), "its own enrolment goes on: {report:?}");
    // Another name than the agreement's is refused; the right one is approved once.
    let party = world.party("acme");
    let umbrella = datafuse_space::agreement::Party::Participant(id("umbrella"));
    let wrong = party.approve_named(&[(umbrella.clone(), world.keys("globex").identity().public_name())]);
    assert!(matches!(wrong, Err(datafuse_holder::Error::OtherName { .. })));
    party.approve_named(&[(umbrella, world.keys("umbrella").identity().public_name())]).unwrap();
    let report = enrol(&party, &mut |_| false).unwrap();
    assert!(report.done.contains(&Done::SharedWith(id("umbrella"))) && report.unapproved.is_empty());
}

#[test]
fn a_removed_holder_leaves_nothing_and_the_others_go_on() {
    let world = World::at_work(&["acme", "globex", "initech"]);
    assert_eq!(world.check().unwrap(), 2);
    assert_eq!(world.fused_files(), 3);
    let name = world.keys("initech").identity().public_name().to_bytes();
    assert!(world.holds("state", &name));
    world.leave("initech");
    let collected = world.collect();
    assert_eq!(collected.revoked.len(), 1);
    assert_eq!(world.fused_files(), 2);
    assert!(!world.holds("state", &name), "its name, and with it every row of it, has left the database");
    assert_eq!(world.check().unwrap(), 2);
    assert!(world.collect().revoked.is_empty());
    // Its dataset still lies there, and is nobody's.
    assert!(matches!(world.event("FUSE", serde_json::json!({ "holders": ["acme", "initech"] })), Err(Error::Space(_))));
}

#[test]
fn what_a_removed_holder_sent_and_was_sent_leaves_the_mailbox() {
    let world = World::new(&["acme", "globex", "initech"], 2);
    world.event("INITIALIZE", serde_json::json!({})).unwrap();
    for holder in ["acme", "globex", "initech"] {
        world.enrol(holder).unwrap();
    }
    world.collect();
    let name = world.keys("initech").identity().public_name().to_bytes();
    world.enrol("acme").unwrap();
    world.leave("initech");
    world.collect();
    assert!(!world.holds("mailbox", &name) && !world.holds("state", &name));
}

#[test]
fn a_new_name_takes_over_what_the_former_had_and_the_others_do_nothing() {
    for holder in ["initech", "acme"] {
        let world = World::at_work(&["acme", "globex", "initech"]);
        assert_eq!(world.check().unwrap(), 2);
        let former = world.keys(holder).identity().public_name();
        let stolen = fs::read(world.dataset(holder)).unwrap();
        world.replace(holder);
        let collected = world.collect();
        assert_eq!(collected.renamed, [id(holder)]);
        assert!(!world.holds("state", &former.to_bytes()));
        assert_eq!(world.fused_files(), 2, "what the former name brought is dropped");
        // What the thief can still bring is of the former name, and refused.
        match world.check() {
            Err(Error::Dataset { source, .. }) => {
                assert!(matches!(*source, datafuse_core::Error::Mismatch { field: "holder", .. }), "{source}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(world.enrol(holder).unwrap().done, [Done::Rotated]);
        world.rekey(holder).unwrap();
        assert_eq!(world.check().unwrap(), 2);
        assert!(world.enrol(holder).unwrap().enrolled);
        fs::write(world.dataset(holder), stolen).unwrap();
        assert!(matches!(world.check(), Err(Error::Dataset { .. })));
    }
}

#[test]
fn a_name_that_was_replaced_before_it_was_enrolled_is_not_heard() {
    let world = World::new(&["acme", "globex", "initech"], 2);
    world.event("INITIALIZE", serde_json::json!({})).unwrap();
    for holder in ["acme", "globex", "initech"] {
        world.enrol(holder).unwrap();
    }
    let former = world.keys("initech").identity().public_name();
    world.replace("initech");
    let collected = world.collect();
    assert!(collected.newly_enrolled.iter().all(|holder| *holder != id("initech")));
    assert!(!world.holds("mailbox", &former.to_bytes()), "its answer and what was for it are gone");
    world.enrol_all(&["acme", "globex", "initech"]);
    world.enrol_all(&["acme", "globex", "initech"]);
    assert!(world.enrol("initech").unwrap().is_complete());
}

#[test]
fn a_holder_whose_key_a_thief_changed_enrols_anew_under_its_new_name() {
    for holder in ["initech", "acme"] {
        let world = World::at_work(&["acme", "globex", "initech"]);
        let before = world.keys(holder);
        // The thief is faster: it rotates, and the owner's copy knows nothing of that key.
        world.rotate(holder);
        world.enrol(holder).unwrap();
        world.collect();
        world.change_keys(holder, |keys| *keys = before);
        world.replace(holder);
        world.collect();
        let error = world.enrol(holder).unwrap_err();
        assert!(matches!(error, datafuse_holder::Error::OtherKeyEnrolled { .. }), "{error}");
        assert!(error.remedy().unwrap().contains("--anew"));
        let report = datafuse_holder::enrol::enrol_anew(&world.party(holder), &mut |_| true).unwrap();
        assert!(report.done.contains(&Done::Withdrawn), "{report:?}");
        world.collect();
        world.enrol_all(&["acme", "globex", "initech"]);
        world.rekey(holder).unwrap();
        assert_eq!(world.check().unwrap(), 2, "{holder}");
        assert!(world.enrol(holder).unwrap().enrolled);
    }
}

#[test]
fn who_left_and_comes_back_is_approved_anew() {
    let world = World::at_work(&["acme", "globex", "initech"]);
    let with = fs::read_to_string(world.space_file()).unwrap();
    world.leave("initech");
    for holder in ["acme", "globex"] {
        world.enrol(holder).unwrap();
    }
    world.collect();
    fs::write(world.space_file(), with).unwrap();
    let report = enrol(&world.party("acme"), &mut |_| false).unwrap();
    assert_eq!(report.unapproved.len(), 1);
    assert!(report.done.is_empty());
}

#[test]
fn the_workloads_new_name_is_approved_by_the_parties_and_keeps_the_space() {
    let world = World::at_work(&["acme", "globex"]);
    let root = world.space().root();
    world.replace("workload");
    assert_eq!(world.space().root(), root);
    world.collect();
    assert!(matches!(enrol(&world.party("acme"), &mut |_| false), Err(datafuse_holder::Error::NotApproved { .. })));
    assert!(world.enrol("acme").unwrap().enrolled);
    assert_eq!(world.check().unwrap(), 2);
}

#[test]
fn other_stewards_are_another_space_to_everybody() {
    let world = World::at_work(&["acme", "globex", "initech"]);
    let yaml = fs::read_to_string(world.space_file()).unwrap();
    world.edit_space(|yaml| yaml.replace("stewards: [acme, globex]", "stewards: [acme, initech]"));
    assert_ne!(fs::read_to_string(world.space_file()).unwrap(), yaml);
    assert!(matches!(world.workload(), Err(Error::StateOfAnotherSpace)));
    assert!(enrol(&world.party("acme"), &mut |_| true).unwrap().epoch.is_none());
    let error = world.rekey("acme").unwrap_err();
    assert!(matches!(error, datafuse_holder::Error::NoEpoch { .. }), "{error}");
    fs::write(world.space_file(), yaml).unwrap();
    assert_eq!(world.check().unwrap(), 2);
}

#[test]
fn an_agreement_that_was_replaced_or_broken_is_told() {
    let world = World::at_work(&["acme", "globex"]);
    let mut workload = world.workload().unwrap();
    let mut party = world.party("acme");
    let event = |id: &str| {
        datafuse_workload::event::Event::new(id.parse().unwrap(), "ENROL", serde_json::Map::new(), None).unwrap()
    };
    let yaml = fs::read_to_string(world.space_file()).unwrap();
    fs::write(world.space_file(), "nonsense: [").unwrap();
    let error = datafuse_workload::process(&mut workload, &event("one"), &|_| {}).unwrap_err();
    assert!(matches!(error, Error::SpaceUnreadable { .. }) && error.is_retryable());
    fs::write(world.space_file(), yaml.replace("id: parties", "id: another")).unwrap();
    let error = datafuse_workload::process(&mut workload, &event("two"), &|_| {}).unwrap_err();
    assert!(matches!(error, Error::SpaceReplaced));
    assert!(matches!(party.refresh(), Err(datafuse_holder::Error::SpaceReplaced)));
    fs::write(world.space_file(), yaml).unwrap();
    datafuse_workload::process(&mut workload, &event("three"), &|_| {}).unwrap();
    party.refresh().unwrap();
}
