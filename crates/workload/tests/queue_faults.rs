//! Faults of a queue, many times over: a server that restarts, connections that are cut at any byte, consumers that fall silent. After
//! each nothing may be lost, and nothing that was acknowledged may come again.
//!
//! A few of each in a usual run; with `DATAFUSE_LONG=1` two hundred, and a backlog of a hundred thousand events.

#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code)]
mod queue_places;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use datafuse_core::id::EventId;
use datafuse_workload::{
    Error,
    queue::{Delivery, Queue, RedisQueue},
};
use queue_places::{Embedded, LONG, Place, Stream, redis_server::Server};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

fn trials(usual: u64, long: u64) -> u64 {
    match std::env::var("DATAFUSE_LONG") {
        Ok(value) if value == "1" => long,
        _ => usual,
    }
}

/// What became of every event.
#[derive(Default)]
struct Tally {
    published: BTreeSet<EventId>,
    acknowledged: BTreeSet<EventId>,
    again: Vec<EventId>,
}

impl Tally {
    fn published(&mut self, id: EventId) {
        assert!(self.published.insert(id), "two events have one id");
    }

    fn delivered(&mut self, delivery: &Delivery) {
        if self.acknowledged.contains(&delivery.id) {
            self.again.push(delivery.id.clone());
        }
    }

    fn acknowledged(&mut self, delivery: &Delivery) {
        self.acknowledged.insert(delivery.id.clone());
    }

    /// Takes what is left, and checks that the books balance.
    async fn close(mut self, queue: &dyn Queue, fault: &str, trials: u64, faults: u64) {
        while let Some(delivery) = queue.next(Some(Duration::from_millis(200))).await.unwrap() {
            self.delivered(&delivery);
            queue.acknowledge(&delivery).await.unwrap();
            self.acknowledged(&delivery);
        }
        let lost = self.published.difference(&self.acknowledged).count();
        println!(
            "{fault}: {trials} trials, {faults} faults, {} events, {lost} lost, {} came again after their acknowledgement",
            self.published.len(),
            self.again.len()
        );
        assert_eq!((lost, self.again.len()), (0, 0));
        let left = queue.stats().await.unwrap().total();
        assert_eq!((left.waiting, left.pending, left.trimmed), (0, 0, 0));
        assert!(faults >= trials, "not every trial had its fault");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_restarts_at_any_step_loses_nothing() {
    let trials = trials(10, 200);
    let mut place = Stream::on(Server::own(&["--appendonly", "yes", "--appendfsync", "always"]));
    let queue = place.consumer().await;
    let mut tally = Tally::default();
    for trial in 0..trials {
        if trial % 4 == 0 {
            place.server.crash_and_restart();
        }
        tally.published(queue.publish(b"x").await.unwrap());
        if trial % 4 == 1 {
            place.server.crash_and_restart();
        }
        let delivery = queue.next(Some(LONG)).await.unwrap().unwrap();
        tally.delivered(&delivery);
        if trial % 4 == 2 {
            place.server.crash_and_restart();
        }
        queue.heartbeat(&delivery).await.unwrap();
        queue.acknowledge(&delivery).await.unwrap();
        tally.acknowledged(&delivery);
        if trial % 4 == 3 {
            place.server.crash_and_restart();
        }
    }
    tally.close(&*queue, "restart", trials, trials).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_at_any_byte_loses_nothing() {
    let trials = trials(20, 200);
    let place = Stream::new().await;
    let proxy = Proxy::before(&place.server.url).await;
    let publisher = place.consumer().await;
    let mut options = place.options(Duration::from_secs(3600));
    options.url = format!("redis://127.0.0.1:{}", proxy.port).parse().unwrap();
    let queue = RedisQueue::connect(options).await.unwrap();
    let mut tally = Tally::default();
    for trial in 0..trials {
        tally.published(publisher.publish(b"x").await.unwrap());
        // Anywhere within the commands and answers of taking one event and acknowledging it.
        let before = proxy.cuts.load(Ordering::SeqCst);
        proxy.cut_after(trial * 1100 / trials);
        let delivery = queue.next(Some(LONG)).await.unwrap().unwrap();
        tally.delivered(&delivery);
        queue.heartbeat(&delivery).await.unwrap();
        queue.acknowledge(&delivery).await.unwrap();
        tally.acknowledged(&delivery);
        while proxy.cuts.load(Ordering::SeqCst) == before {
            // The cut is still to come: it meets whatever is said next.
            queue.stats().await.unwrap();
        }
    }
    let cuts = proxy.cuts.load(Ordering::SeqCst);
    tally.close(&queue, "disconnect", trials, cuts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_falls_silent_loses_its_event_to_one_other() {
    let trials = trials(10, 200);
    let place = Stream::new().await;
    let mut tally = Tally::default();
    let heirs = [place.open(place.options(LONG)).await, place.open(place.options(LONG)).await];
    for _ in 0..trials {
        let options = place.options(LONG);
        let name = options.consumer.clone();
        let silent = place.open(options).await;
        tally.published(silent.publish(b"x").await.unwrap());
        let stale = silent.next(Some(LONG)).await.unwrap().unwrap();
        tally.delivered(&stale);
        // As if it had said nothing for twice as long as is allowed.
        let mut idle = redis::cmd("XCLAIM");
        idle.arg(&place.name).arg("consummers").arg(&name).arg(0).arg(place.entry(stale.id.as_str()));
        let claimed: Vec<String> = place.command(idle.arg("IDLE").arg(2 * LONG.as_millis() as u64).arg("JUSTID")).await;
        assert_eq!(claimed.len(), 1);
        // Both heirs want it; one gets it.
        let [a, b] = &heirs;
        let found = futures::join!(a.next(Some(Duration::ZERO)), b.next(Some(Duration::ZERO)));
        let (heir, delivery) = match (found.0.unwrap(), found.1.unwrap()) {
            (Some(delivery), None) => (a, delivery),
            (None, Some(delivery)) => (b, delivery),
            other => panic!("not one of them has it: {other:?}"),
        };
        tally.delivered(&delivery);
        assert_eq!(delivery.id, stale.id);
        for lost in [silent.heartbeat(&stale).await, silent.release(&stale).await] {
            assert!(matches!(lost, Err(Error::ClaimLost { .. })), "{lost:?}");
        }
        heir.heartbeat(&delivery).await.unwrap();
        heir.acknowledge(&delivery).await.unwrap();
        tally.acknowledged(&delivery);
        // Late, and of no effect.
        silent.acknowledge(&stale).await.unwrap();
        silent.close().await.unwrap();
    }
    tally.close(&*heirs[0], "stale claim", trials, trials).await;
}

#[tokio::test]
async fn a_long_backlog_in_a_folder_costs_no_memory_to_speak_of() {
    let events = trials(2_000, 100_000);
    let place = Embedded::new().await;
    for _ in 0..events {
        place.put(br#"{"type":"FUSE"}"#.to_vec()).await;
    }
    let queue = place.consumer().await;
    let before = resident_kib();
    let begin = Instant::now();
    let mut last = None;
    let mut most = before;
    for taken in 0..events {
        let delivery = queue.next(Some(LONG)).await.unwrap().unwrap();
        assert!(last.as_ref().is_none_or(|last| *last < delivery.id), "out of order");
        queue.acknowledge(&delivery).await.unwrap();
        last = Some(delivery.id);
        if taken % 1000 == 0 {
            most = most.max(resident_kib());
        }
    }
    assert_eq!(queue.stats().await.unwrap().total().waiting, 0);
    let per_second = events as f64 / begin.elapsed().as_secs_f64();
    println!("backlog: {events} events, {} KiB more memory, {per_second:.0} events a second", most - before);
    assert!(most - before < 32 * 1024, "{} KiB more", most - before);
}

/// Memory of this process in use, in KiB.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Passes bytes on to a server, and cuts the connection that carries the last of a given number.
struct Proxy {
    port: u16,
    /// Bytes until the cut, of all connections and both directions; endless where none is due.
    left: Arc<AtomicI64>,
    cuts: Arc<AtomicU64>,
}

const ENDLESS: i64 = i64::MAX / 2;

impl Proxy {
    async fn before(url: &str) -> Self {
        let server = url.rsplit_once('/').unwrap().1.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            left: Arc::new(AtomicI64::new(ENDLESS)),
            cuts: Arc::default(),
        };
        let (left, cuts) = (Arc::clone(&proxy.left), Arc::clone(&proxy.cuts));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&server).await else { continue };
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                let (left, cuts) = (Arc::clone(&left), Arc::clone(&cuts));
                tokio::spawn(async move {
                    // The end of one direction ends both.
                    tokio::select! {
                        () = pass_on(from_client, to_server, &left, &cuts) => {}
                        () = pass_on(from_server, to_client, &left, &cuts) => {}
                    }
                });
            }
        });
        proxy
    }

    fn cut_after(&self, bytes: u64) {
        self.left.store(bytes as i64, Ordering::SeqCst);
    }
}

async fn pass_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, left: &AtomicI64, cuts: &AtomicU64) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let before = left.fetch_sub(count as i64, Ordering::SeqCst);
        if before < count as i64 {
            left.store(ENDLESS, Ordering::SeqCst);
            cuts.fetch_add(1, Ordering::SeqCst);
            let _ = to.write_all(&buffer[..before.max(0) as usize]).await;
            return;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
