//! Kills the process that works on events, with SIGKILL: at each labelled step, before each change of the disk, and at
//! random moments. Then another process finishes, and everything must be as if nothing had happened.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use datafuse_workload::step::Step;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::json;

use crate::{
    disk::Faults,
    long,
    place::{Place, server},
    redis_server::Server,
    seed,
    verdict::{Story, Trial},
    worlds::{Stage, message},
};

fn folder(story: Story) -> Trial {
    story.begin(Place::folder)
}

fn stream(story: Story, server: &Server) -> Trial {
    story.begin(|_| Place::stream(server))
}

/// Runs a story without any fault; gives the steps that it passed, with how often each, and how long the serving took.
fn undisturbed(trial: &Trial) -> (BTreeMap<String, u32>, Duration) {
    let child = trial.order.start(|command| command);
    let began = Instant::now();
    child.end().expect_done();
    let took = began.elapsed();
    trial.assert_settled();
    let mut steps = BTreeMap::new();
    for line in trial.order.journal() {
        if let Some(step) = line.strip_prefix("step ") {
            *steps.entry(step.to_owned()).or_insert(0) += 1;
        }
    }
    (steps, took)
}

/// Lets another process finish, under the name of the one that died or under a new one, and judges.
fn finish(trial: &mut Trial, same_name: bool) {
    if !same_name {
        trial.order.consumer = None;
    }
    trial.order.die_at = None;
    trial.assert_nothing_partial();
    trial.order.run().expect_done();
    trial.assert_settled();
}

/// Where each event needs the one before: a stream gives what a dead consumer had to another one late, and the events behind
/// it first.
fn keeps_its_name(story: Story) -> bool {
    story == Story::Opening
}

#[test]
fn every_story_ends_well_without_any_crash() {
    let server = server();
    for story in Story::ALL {
        undisturbed(&folder(story));
        undisturbed(&stream(story, &server));
    }
}

#[test]
fn a_process_killed_at_any_labelled_step_leaves_nothing_undone() {
    let server = server();
    let mut reached = BTreeSet::new();
    let mut trials = 0;
    for story in Story::ALL {
        let (steps, _) = undisturbed(&folder(story));
        for (index, (step, times)) in steps.iter().enumerate() {
            // The first time, and in the long run every time, with both queues.
            for time in 1..=if long() { *times } else { 1 } {
                for redis in if long() { vec![false, true] } else { vec![index % 4 == 3] } {
                    let mut trial = if redis { stream(story, &server) } else { folder(story) };
                    trial.order.consumer = Some("worker".to_owned());
                    trial.order.die_at = Some((step.clone(), time));
                    let ended = trial.order.run();
                    assert!(ended.was_killed(), "{story:?} {step} {time}: {ended:?}");
                    finish(&mut trial, keeps_its_name(story) || index % 2 == 0);
                    trials += 1;
                }
            }
            reached.insert(step.clone());
        }
    }
    trials += killed_where_an_event_failed(&mut reached);
    let all: BTreeSet<_> = Step::ALL.iter().map(|step| step.name().to_owned()).collect();
    assert_eq!(reached, all, "a step that no trial reaches is not tested");
    println!("killed at labelled steps: {trials} trials, {} steps", reached.len());
}

/// An event that cannot succeed yet is given back; a kill around that loses it no more than any other.
fn killed_where_an_event_failed(reached: &mut BTreeSet<String>) -> u32 {
    let mut trials = 0;
    for step in [Step::AuditedFailed, Step::Released] {
        let copied = Stage::Waiting.copy();
        let (dataset, away) = (copied.path.join("datasets/globex.parquet"), copied.path.join("away"));
        std::fs::rename(&dataset, &away).unwrap();
        let place = Place::folder(&copied.path);
        place.publish(&[message("FUSE", json!({}))]);
        let mut order = crate::child::Order::new(&copied.path, place.clone());
        order.once = true;
        order.die_at = Some((step.name().to_owned(), 1));
        // A dataset that is not there may still come.
        assert!(order.run().was_killed(), "{step:?}");
        order.die_at = None;
        order.run().expect_done();
        assert!(order.journal().iter().any(|line| line.starts_with("failed dataset-missing")), "{:?}", order.journal());
        std::fs::rename(&away, &dataset).unwrap();
        order.once = false;
        order.run().expect_done();
        assert_eq!(place.assert_empty(), 0);
        assert_eq!(crate::worlds::names(&copied.path.join("state/fused")).len(), 2);
        reached.insert(step.name().to_owned());
        trials += 1;
    }
    trials
}

#[test]
fn a_process_killed_at_random_moments_loses_and_doubles_nothing() {
    let trials: u64 = if long() { 1000 } else { 40 };
    let server = server();
    let durations: BTreeMap<_, _> =
        Story::ALL.iter().map(|story| (*story as usize, undisturbed(&folder(*story)).1)).collect();
    let (kills, early) = (AtomicU64::new(0), AtomicU64::new(0));
    let began = Instant::now();
    let next = AtomicU64::new(0);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= trials {
                return;
            }
            // Each trial has random numbers of its own, so that one alone can be run again.
            let mut rng = ChaCha8Rng::seed_from_u64(seed().wrapping_add(number));
            let story = Story::ALL[number as usize % Story::ALL.len()];
            let redis = rng.next_u32() % 3 == 0;
            let mut trial = if redis { stream(story, &server) } else { folder(story) };
            let same_name = keeps_its_name(story) || rng.next_u32() % 2 == 0;
            trial.order.consumer = same_name.then(|| "worker".to_owned());
            // Below the number of deliveries after which an event is put aside.
            for _ in 0..=rng.next_u32() % 3 {
                let child = trial.order.start(|command| command);
                let most = durations[&(story as usize)].as_micros() as u64;
                thread::sleep(Duration::from_micros(rng.next_u64() % most));
                let counter = if child.kill().was_killed() { &kills } else { &early };
                counter.fetch_add(1, Ordering::Relaxed);
                trial.assert_nothing_partial();
            }
            finish(&mut trial, same_name);
        }
    };
    thread::scope(|scope| (0..if long() { 4 } else { 2 }).for_each(|_| drop(scope.spawn(work))));
    let (kills, early) = (kills.into_inner(), early.into_inner());
    println!(
        "killed at random moments: {trials} trials, {kills} kills, {early} ended before, seed {}, {:?}",
        seed(),
        began.elapsed()
    );
}

#[test]
fn a_process_killed_before_any_change_of_the_disk_leaves_nothing_undone() {
    let Some(faults) = Faults::build() else { return };
    let mut trials = 0;
    for story in Story::ALL {
        let trial = folder(story);
        let changes = faults.count(&trial);
        trial.assert_settled();
        // In the short run some of them, others with each seed.
        let stride = if long() { 1 } else { (changes / 6).max(1) };
        let first = 1 + seed() % stride;
        for number in (first..=changes).step_by(stride as usize) {
            let mut trial = folder(story);
            let ended = faults.kill_at(&trial, number);
            // Nothing says that two runs change the disk in the same number of steps.
            assert!(ended.was_killed() || ended.status.success(), "{story:?} {number}: {ended:?}");
            finish(&mut trial, false);
            trials += 1;
        }
    }
    println!("killed before changes of the disk: {trials} trials");
}
