//! Thousands of small events through a real Redis and two processes, and what a backlog costs in memory. The figures are printed
//! and belong to the machine that ran them; what is asserted is that nothing is lost or done twice, and that memory is bounded.

use std::{
    collections::BTreeMap,
    fs, thread,
    time::{Duration, Instant},
};

use datafuse_core::id::EventId;
use serde_json::json;

use crate::{
    child::{Order, Running},
    long,
    lookups::{Asker, Question},
    place::{Place, server},
    worlds::{Stage, message},
};

/// The small events: what goes into the queue, and what is to be answered, where something is. Two of three are look-ups.
fn small_events(count: u32, asker: &Asker) -> Vec<(Vec<u8>, Option<Question>)> {
    (0..count)
        .map(|number| match number % 6 {
            0 => (message("ENROL", json!({})), None),
            3 => (message("GREETINGS", json!({ "number": number })), None),
            at => {
                // 1, 2, 4 and 5 of every six.
                let question = asker.question(number / 6 * 4 + at - 1 - at / 4);
                (message("CHECK_VALID_CUSTOMER", question.fields.clone()), Some(question))
            }
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
    let asker = Asker::new(&copied.path, Stage::Complete.world());
    let place = Place::stream(&server).with_living_workers();
    let mut order = Order::new(&copied.path, place.clone());
    order.endless = true;
    order.quiet = true;
    let (payloads, questions): (Vec<_>, Vec<_>) = small_events(count, &asker).into_iter().unzip();
    let mut asked: Vec<(EventId, Question)> = Vec::new();
    let ids = place.publish(&payloads);
    asked.extend(ids.into_iter().zip(questions).filter_map(|(id, question)| Some((id, question?))));
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
    let mut looked_up: Vec<_> =
        asked.iter().map(|(id, _)| drained[id.as_str()]).map(|(taken, acknowledged)| acknowledged - taken).collect();
    looked_up.sort_unstable();

    // At half of that rate an event waits for nothing but the work.
    let paced = count / 10;
    let pause = Duration::from_secs_f64(2.0 / per_second);
    for (payload, question) in small_events(paced, &asker) {
        let began = Instant::now();
        let ids = place.publish(&[payload]);
        asked.extend(ids.into_iter().zip(question));
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
    // Every answer is the truth, and those to everybody together are as many as are common.
    let known: Vec<_> = asked.iter().map(|(id, question)| asker.judge(&copied.path, id, question)).collect();
    assert!(known.len() as u32 > count / 2, "{} look-ups", known.len());
    let everybody = asker.questions_about_everybody();
    assert!(everybody <= known.len(), "{everybody} look-ups ask about everybody, there are {}", known.len());
    assert_eq!(known[..everybody].iter().sum::<u64>(), asker.common(), "known of everybody");
    println!(
        "{} look-ups of {} customers, every answer the truth: from taken to acknowledged p50 {} ms, p99 {} ms",
        known.len(),
        asked.iter().map(|(_, question)| question.customers()).sum::<usize>(),
        percentile(&looked_up, 0.5),
        percentile(&looked_up, 0.99),
    );
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
