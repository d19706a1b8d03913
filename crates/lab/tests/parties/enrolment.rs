//! Any order of parties, repeated runs, lost, doubled, late and damaged messages: the same result.

use datafuse_holder::enrol::Awaited;
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};
use serde_json::json;

use crate::world::{World, id};

#[test]
fn any_order_and_any_mailbox_lead_to_the_same_result() {
    let holders = ["acme", "globex", "initech", "umbrella"];
    for seed in 0..12 {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let stewards = 2 + (seed % 2) as usize;
        let world = World::new(&holders, stewards);
        world.event("INITIALIZE", json!({})).unwrap();
        let mut kept = Vec::new();
        let pick = |rng: &mut ChaCha20Rng, of: usize| rng.next_u32() as usize % of;
        for _ in 0..40 {
            match pick(&mut rng, 10) {
                0..=4 => drop(world.enrol(holders[pick(&mut rng, holders.len())]).unwrap()),
                5 => drop(world.collect()),
                6 => kept.extend(world.messages()),
                action => {
                    let messages = world.messages();
                    if messages.is_empty() {
                        continue;
                    }
                    let (name, bytes) = &messages[pick(&mut rng, messages.len())];
                    match action {
                        7 => world.lose(name),
                        8 => world.put(name, &bytes[..pick(&mut rng, bytes.len())]),
                        _ if !kept.is_empty() => {
                            let (name, bytes): &(_, Vec<u8>) = &kept[pick(&mut rng, kept.len())];
                            world.put(name, bytes);
                        }
                        _ => {}
                    }
                }
            }
        }
        // Now nothing is lost any more.
        for _ in 0..2 {
            world.enrol_all(&holders);
        }
        for holder in holders {
            let report = world.enrol(holder).unwrap();
            assert!(report.is_complete(), "seed {seed}, {holder}: {report:?}");
            world.protect(holder);
        }
        assert_eq!(world.check().unwrap(), 2, "seed {seed}");
        assert!(world.messages().is_empty(), "seed {seed}: what is spent is removed");
    }
}

#[test]
fn who_is_awaited_is_said_and_nothing_hangs() {
    let world = World::new(&["acme", "globex", "initech"], 2);
    assert_eq!(world.enrol("initech").unwrap().awaited, [Awaited::Epoch]);
    world.event("INITIALIZE", json!({})).unwrap();
    world.enrol("acme").unwrap();
    // A steward that never answers is named, to everybody, as often as one asks.
    for holder in ["initech", "acme", "initech"] {
        let report = world.enrol(holder).unwrap();
        assert_eq!(report.awaited, [Awaited::Share { from: id("globex"), refused: None }], "{holder}");
        assert!(!report.enrolled && !report.is_complete());
        world.collect();
    }
    assert!(world.check().is_err());
    world.enrol("globex").unwrap();
    let report = world.enrol("initech").unwrap();
    assert_eq!(report.awaited, [Awaited::Collection]);
    world.collect();
    let report = world.enrol("globex").unwrap();
    assert_eq!(report.awaited, [Awaited::Answer { from: id("acme") }]);
}
