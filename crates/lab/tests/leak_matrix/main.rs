//! The leak matrix: every row of the table in `docs/threat-model.md`, played as an attack, for two to five holders.
//!
//! In each world everything at rest is handed to the attacker, with a copy of every message that was ever sent, a pending
//! enrolment in the state, and a dictionary that holds every true identifier. What must fall, falls wholly; what must not,
//! not by one identifier.

#![allow(clippy::unwrap_used)]

mod control;
mod world;

use std::{collections::BTreeSet, sync::OnceLock};

use datafuse_core::id::ParticipantId;
use datafuse_lab::drill::{Artifact, Part, Table};

use world::World;

const WORKLOAD: &str = "workload";

/// One world for each number of holders; what is played in them changes nothing.
fn worlds() -> impl Iterator<Item = &'static World> {
    static WORLDS: [OnceLock<World>; 4] = [const { OnceLock::new() }; 4];
    (2..).zip(&WORLDS).map(|(holders, world)| world.get_or_init(|| World::new(holders, 70 + 10 * holders as u64)))
}

/// Checks that exactly these holders fell, wholly, in their delivered datasets; and of the others nothing anywhere.
fn assert_falls(world: &World, table: &Table, fallen: &BTreeSet<&ParticipantId>) {
    for party in world.everybody() {
        let row = table.row(Artifact::Datasets, party).unwrap();
        assert_eq!(row.identifiers, Some(world.unique(party)));
        if fallen.contains(party) {
            assert_eq!(row.recovered, world.unique(party), "{party} falls wholly");
        } else {
            assert_eq!(table.most(party), 0, "nothing of {party} falls, in no artifact");
        }
    }
}

fn names(parties: &[ParticipantId]) -> Vec<&str> {
    parties.iter().map(ParticipantId::as_str).collect()
}

#[test]
fn without_keys_nothing_falls() {
    for world in worlds() {
        let table = world.drill(&world.everything(), &[]);
        assert_falls(world, &table, &BTreeSet::new());
        assert!(table.rows.iter().all(|row| row.kept == 0 && row.linked == 0));
        assert_eq!(table.control.passed, None);
    }
}

#[test]
fn each_key_file_opens_its_own_holders_data_and_nobody_elses() {
    for world in worlds() {
        let evidence = world.everything();
        for leaked in world.everybody() {
            let table = world.drill(&evidence, &world.leak(&[leaked.as_str()], Part::All));
            assert_falls(world, &table, &BTreeSet::from([leaked]));
            for row in &table.rows {
                let own = row.party == *leaked && row.artifact == Artifact::Datasets;
                assert_eq!(row.kept > 0, own, "kept columns of {} in {}", row.party, row.artifact.as_str());
                assert_eq!(row.linked, 0);
            }
            assert_eq!(table.control.passed, Some(true));
        }
    }
}

#[test]
fn the_workloads_key_shows_kept_columns_and_equality_and_no_identifier() {
    for world in worlds() {
        let table = world.drill(&world.everything(), &world.leak(&[WORKLOAD], Part::All));
        assert_falls(world, &table, &BTreeSet::new());
        for party in &world.holders {
            let matched = world.report.parties.iter().find(|funnel| funnel.holder == *party).unwrap().matched.unwrap();
            assert!(matched > 0);
            let fused = table.row(Artifact::Fused, party).unwrap();
            assert_eq!(fused.linked, matched);
            assert!(fused.kept > 0);
        }
        // In the datasets the newcomer shows too: its parts are in the state and in the messages.
        for funnel in &world.truth.parties {
            let datasets = table.row(Artifact::Datasets, &funnel.holder).unwrap();
            assert_eq!(Some(datasets.linked), funnel.matched);
            assert!(datasets.kept > 0);
        }
        let newcomer = table.row(Artifact::Fused, &world.newcomer).unwrap();
        assert_eq!((newcomer.linked, newcomer.kept), (0, 0));
    }
}

#[test]
fn the_workloads_key_with_any_one_holders_token_secret_opens_everything() {
    for world in worlds() {
        let (evidence, everybody) = (world.everything(), world.everybody().collect());
        for leaked in world.everybody() {
            for part in [Part::All, Part::Tokens] {
                let mut leaks = world.leak(&[WORKLOAD], Part::All);
                leaks.extend(world.leak(&[leaked.as_str()], part));
                let table = world.drill(&evidence, &leaks);
                assert_falls(world, &table, &everybody);
                for party in &world.holders {
                    assert_eq!(table.row(Artifact::Fused, party).unwrap().recovered, world.unique(party));
                }
                assert!(table.keys.iter().any(|(key, confirmed)| key.starts_with("matching key") && *confirmed));
            }
        }
    }
}

#[test]
fn all_stewards_key_files_open_their_own_data_only() {
    for world in worlds() {
        let table = world.drill(&world.everything(), &world.leak(&names(&world.stewards), Part::All));
        assert_falls(world, &table, &world.stewards.iter().collect());
        let shares = world.drill(&world.everything(), &world.leak(&names(&world.stewards), Part::Shares));
        assert_falls(world, &shares, &BTreeSet::new());
    }
}

#[test]
fn all_stewards_shares_with_the_workloads_key_open_everything() {
    for world in worlds() {
        for part in [Part::All, Part::Shares] {
            let mut leaks = world.leak(&[WORKLOAD], Part::All);
            leaks.extend(world.leak(&names(&world.stewards), part));
            assert_falls(world, &world.drill(&world.everything(), &leaks), &world.everybody().collect());
        }
    }
}

#[test]
fn all_stewards_shares_but_one_give_nothing_even_with_the_workloads_key() {
    for world in worlds() {
        let evidence = world.everything();
        for missing in &world.stewards {
            let others: Vec<_> = world.stewards.iter().filter(|steward| *steward != missing).cloned().collect();
            let own = world.drill(&evidence, &world.leak(&names(&others), Part::All));
            assert_falls(world, &own, &others.iter().collect());
            let mut leaks = world.leak(&[WORKLOAD], Part::All);
            leaks.extend(world.leak(&names(&others), Part::Shares));
            assert_falls(world, &world.drill(&evidence, &leaks), &BTreeSet::new());
        }
    }
}

#[test]
fn an_identity_key_with_recorded_messages_and_the_workloads_key_opens_everything() {
    for world in worlds() {
        let (evidence, at_rest) = (world.everything(), world.at_rest());
        for leaked in world.everybody() {
            let mut leaks = world.leak(&[WORKLOAD], Part::All);
            leaks.extend(world.leak(&[leaked.as_str()], Part::Identity));
            // A steward never sends its share to itself: that number cannot be recorded, and its identity key is not enough.
            let steward = world.stewards.contains(leaked);
            let fallen = if steward { BTreeSet::new() } else { world.everybody().collect() };
            assert_falls(world, &world.drill(&evidence, &leaks), &fallen);
            // Without the recorded messages only what is still on its way can be opened.
            let fallen = if *leaked == world.newcomer { BTreeSet::from([leaked]) } else { BTreeSet::new() };
            assert_falls(world, &world.drill(&at_rest, &leaks), &fallen);
        }
    }
}

#[test]
fn the_identity_keys_of_two_stewards_with_recorded_messages_and_the_workloads_key_open_everything() {
    for world in worlds() {
        let mut leaks = world.leak(&[WORKLOAD], Part::All);
        leaks.extend(world.leak(&names(&world.stewards[..2]), Part::Identity));
        assert_falls(world, &world.drill(&world.everything(), &leaks), &world.everybody().collect());
    }
}

#[test]
fn a_newcomer_whose_blind_was_lost_stays_whole_where_no_copy_was_taken() {
    for world in worlds() {
        let leaked = world.holders.last().unwrap();
        let mut leaks = world.leak(&[WORKLOAD], Part::All);
        leaks.extend(world.leak(&[leaked.as_str()], Part::Tokens));
        assert_falls(world, &world.drill(&world.at_rest(), &leaks), &world.holders.iter().collect());
    }
}
