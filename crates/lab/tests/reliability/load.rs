//! Thousands of small events through a real Redis and two processes, and what a backlog costs in memory. The figures are printed
//! and belong to the machine that ran them; what is asserted is that nothing is lost or done twice, and that memory is bounded.

use std::{
    collections::BTreeMap,
    fs, thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    child::{Order, Running},
    long,
    place::{Place, server},
    worlds::{Stage, message},
};

/// The fields of an event, by its number.
type Fields = fn(u32) -> Value;

/// The small events: their types, and their fields by number. Another type is one more line.
const EVENTS: &[(&str, Fields)] = &[("ENROL", |_| json!({})), ("GREETINGS", |number| json!({ "number": number }))];

fn small_events(count: u32) -> Vec<Vec<u8>> {
    (0..count)
        .map(|number| {
            let (name, fields) = EVENTS[number as usize % EVENTS.len()];
            message(name, fields(number))
        })
        .collect()
}

fn wait_until_empty(place: &Place, patience: Duration) {
    let began = Instant::now();
    while place.group() != (0, Some(0)) {
        assert!(began.elapsed() < patience, "still at work: {:?}", place.group());
        thread::sleep(Duration::from_millis(20));
    }
}

/// When each event was taken first and acknowledged, in milliseconds; asserts that each was once.
fn times(order: &Order) -> BTreeMap<String, (u64, u64)> {
    let mut taken = BTreeMap::new();
    let mut times = BTreeMap::new();
    for line in order.journal() {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["taken", id, at] => {
                assert!(taken.insert(id.to_owned(), at.parse::<u64>().unwrap()).is_none(), "{id} was taken twice");
            }
            ["acknowledged", id, at] => {
                let began = taken[id];
                let before = times.insert(id.to_owned(), (began, at.parse().unwrap()));
                assert!(before.is_none(), "{id} was acknowledged twice");
            }
            _ => {}
        }
    }
    times
}

fn percentile(sorted: &[u64], share: f64) -> u64 {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

#[test]
fn small_events_pass_through_two_processes_once_each() {
    let server = server();
    let count: u32 = if long() { 10_000 } else { 100 };
    let copied = Stage::Complete.copy();
    let place = Place::stream(&server).with_living_workers();
    let mut order = Order::new(&copied.path, place.clone());
    order.endless = true;
    order.quiet = true;
    place.publish(&small_events(count));
    let workers: Vec<Running> = (0..2).map(|_| order.start(|command| command)).collect();
    wait_until_empty(&place, Duration::from_secs(600));
    // The journal is written after the acknowledgement.
    thread::sleep(Duration::from_millis(200));
    let drained = times(&order);
    assert_eq!(drained.len(), count as usize, "lost");
    let first = drained.values().map(|(taken, _)| *taken).min().unwrap();
    let last = drained.values().map(|(_, acknowledged)| *acknowledged).max().unwrap();
    let per_second = f64::from(count) * 1000.0 / (last - first).max(1) as f64;
    let mut work: Vec<_> = drained.values().map(|(taken, acknowledged)| acknowledged - taken).collect();
    work.sort_unstable();

    // At half of that rate an event waits for nothing but the work.
    let paced = count / 10;
    let pause = Duration::from_secs_f64(2.0 / per_second);
    for event in small_events(paced) {
        let began = Instant::now();
        place.publish(&[event]);
        thread::sleep(pause.saturating_sub(began.elapsed()));
    }
    wait_until_empty(&place, Duration::from_secs(600));
    thread::sleep(Duration::from_millis(200));
    let all = times(&order);
    assert_eq!(all.len(), (count + paced) as usize, "lost");
    // The id of an entry begins with the time of its publication.
    let mut waited: Vec<_> = all
        .iter()
        .filter(|(id, _)| !drained.contains_key(*id))
        .map(|(id, (_, acknowledged))| acknowledged.saturating_sub(id.split('-').next().unwrap().parse().unwrap()))
        .collect();
    waited.sort_unstable();
    for worker in workers {
        assert!(worker.kill().was_killed());
    }
    println!(
        "{count} events, 2 processes: {per_second:.0} events/s; from taken to acknowledged p50 {} ms, p99 {} ms; {paced} \
         published at half of that rate: from published to acknowledged p50 {} ms, p99 {} ms",
        percentile(&work, 0.5),
        percentile(&work, 0.99),
        percentile(&waited, 0.5),
        percentile(&waited, 0.99),
    );
}

/// The peak of a process's memory once it has done some events of a backlog.
fn peak_with(place: &Place, order: &Order, done: usize) -> u64 {
    let worker = order.start(|command| command);
    let began = Instant::now();
    while order.journal().iter().filter(|line| line.starts_with("acknowledged")).count() < done {
        assert!(began.elapsed() < Duration::from_secs(300), "{place:?} is too slow");
        thread::sleep(Duration::from_millis(20));
    }
    let status = fs::read_to_string(format!("/proc/{}/status", worker.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    assert!(worker.kill().was_killed());
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn a_backlog_costs_no_memory() {
    let server = server();
    let backlog: u32 = if long() { 100_000 } else { 3_000 };
    let done = if long() { 200 } else { 30 };
    for redis in [false, true] {
        let mut peaks = Vec::new();
        for waiting in [done, backlog] {
            let copied = Stage::Complete.copy();
            let place = match redis {
                true => Place::stream(&server).with_living_workers(),
                false => Place::folder(&copied.path),
            };
            place.pile_up(waiting, &message("GREETINGS", json!({})));
            let mut order = Order::new(&copied.path, place.clone());
            order.endless = true;
            order.quiet = true;
            peaks.push(peak_with(&place, &order, done as usize));
        }
        let ratio = peaks[1] as f64 / peaks[0] as f64;
        let queue = if redis { "Redis" } else { "folder" };
        println!("{queue}: {} KiB with {done} events waiting, {} KiB with {backlog}: {ratio:.2}", peaks[0], peaks[1]);
        assert!(ratio < 1.3, "{queue}: memory grows with the backlog: {peaks:?} KiB");
    }
}
