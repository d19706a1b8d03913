//! What every queue must do, whatever place it keeps its events in.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use datafuse_core::id::EventId;
use datafuse_workload::{
    Error,
    event::{Event, MAX_EVENT_BYTES},
    queue::{Delivery, MAX_DELIVERIES, Queue},
};

use crate::queue_places::{LONG, Place, SOON};

/// Takes an event that must be there.
async fn take(queue: &dyn Queue) -> Delivery {
    queue.next(Some(LONG)).await.unwrap().unwrap()
}

async fn publish(queue: &dyn Queue, payload: &str) -> EventId {
    queue.publish(payload.as_bytes()).await.unwrap()
}

async fn assert_empty(queue: &dyn Queue, wait: Duration) {
    let found = queue.next(Some(wait)).await.unwrap();
    assert!(found.is_none(), "{found:?}");
}

pub(crate) async fn events_come_in_order(place: &dyn Place) {
    let queue = place.consumer().await;
    let mut published = Vec::new();
    for n in 0..50 {
        published.push((publish(&*queue, &format!("event {n}")).await, n));
    }
    for (id, n) in published {
        let delivery = take(&*queue).await;
        assert_eq!((&delivery.id, delivery.attempts), (&id, 1));
        assert_eq!(delivery.payload, format!("event {n}").as_bytes());
        queue.acknowledge(&delivery).await.unwrap();
    }
    assert_empty(&*queue, Duration::ZERO).await;
}

pub(crate) async fn an_empty_queue_gives_nothing_when_the_time_is_up(place: &dyn Place) {
    let queue = place.consumer().await;
    let wait = Duration::from_millis(500);
    let begin = Instant::now();
    assert_empty(&*queue, wait).await;
    assert!(begin.elapsed() >= wait && begin.elapsed() < LONG);
}

pub(crate) async fn a_wait_ends_when_something_is_published(place: &dyn Place) {
    let (queue, other) = (place.consumer().await, place.consumer().await);
    let begin = Instant::now();
    for wait in [Some(2 * LONG), None] {
        let (found, id) = futures::join!(queue.next(wait), publish(&*other, "x"));
        assert_eq!(found.unwrap().unwrap().id, id);
    }
    assert!(begin.elapsed() < LONG);
}

pub(crate) async fn an_event_comes_again_when_its_consumer_dies(place: &dyn Place) {
    let publisher = place.consumer().await;
    let first = publish(&*publisher, "first").await;
    let second = publish(&*publisher, "second").await;
    let dying = place.consumer().await;
    assert_eq!(take(&*dying).await.id, first);
    drop(dying);
    let heir = place.heir().await;
    let mut attempts = BTreeMap::new();
    for _ in 0..2 {
        let delivery = take(&*heir).await;
        heir.acknowledge(&delivery).await.unwrap();
        attempts.insert(delivery.id, delivery.attempts);
    }
    assert_eq!(attempts, BTreeMap::from([(first, 2), (second, 1)]));
    assert_empty(&*heir, Duration::ZERO).await;
}

pub(crate) async fn two_consumers_never_get_the_same_event(place: &dyn Place) {
    let (a, b) = (place.consumer().await, place.consumer().await);
    let first = publish(&*a, "first").await;
    let second = publish(&*a, "second").await;
    assert_eq!(take(&*a).await.id, first);
    assert_eq!(take(&*b).await.id, second);
    let wait = Duration::from_millis(300);
    futures::join!(assert_empty(&*a, wait), assert_empty(&*b, wait));
}

pub(crate) async fn a_heartbeat_keeps_an_event(place: &dyn Place) {
    let (worker, heir) = (place.heir().await, place.heir().await);
    publish(&*worker, "long job").await;
    let delivery = take(&*worker).await;
    let beats = async {
        let mut interval = tokio::time::interval(SOON / 20);
        loop {
            interval.tick().await;
            worker.heartbeat(&delivery).await.unwrap();
        }
    };
    tokio::select! {
        () = beats => unreachable!(),
        () = assert_empty(&*heir, 3 * SOON) => {}
    }
    worker.acknowledge(&delivery).await.unwrap();
    let error = worker.heartbeat(&delivery).await.unwrap_err();
    assert!(matches!(error, Error::ClaimLost { .. }), "{error}");
}

pub(crate) async fn an_acknowledged_event_never_comes_again(place: &dyn Place) {
    let queue = place.consumer().await;
    publish(&*queue, "x").await;
    let delivery = take(&*queue).await;
    queue.acknowledge(&delivery).await.unwrap();
    queue.acknowledge(&delivery).await.unwrap();
    assert_empty(&*queue, Duration::ZERO).await;
    let error = queue.release(&delivery).await.unwrap_err();
    assert!(matches!(error, Error::ClaimLost { .. }), "{error}");
    drop(queue);
    assert_empty(&*place.heir().await, 2 * SOON).await;
}

pub(crate) async fn a_released_event_comes_again_before_newer_ones(place: &dyn Place) {
    let queue = place.consumer().await;
    let first = publish(&*queue, "first").await;
    let second = publish(&*queue, "second").await;
    for attempt in 1..=3 {
        let delivery = take(&*queue).await;
        assert_eq!((&delivery.id, delivery.attempts), (&first, attempt));
        assert_eq!(delivery.payload, b"first");
        queue.release(&delivery).await.unwrap();
    }
    let delivery = take(&*queue).await;
    assert_eq!((&delivery.id, delivery.attempts), (&first, 4));
    // Still in hand: the next one is the newer.
    assert_eq!(take(&*queue).await.id, second);
}

pub(crate) async fn a_released_event_may_go_to_another_consumer(place: &dyn Place) {
    let (worker, other) = (place.consumer().await, place.consumer().await);
    let id = publish(&*worker, "x").await;
    worker.release(&take(&*worker).await).await.unwrap();
    let delivery = take(&*other).await;
    assert_eq!((&delivery.id, delivery.attempts), (&id, 2));
    assert_empty(&*worker, Duration::ZERO).await;
}

pub(crate) async fn what_fails_too_often_becomes_a_dead_letter(place: &dyn Place) {
    let queue = place.consumer().await;
    let poison = publish(&*queue, "poison 4711").await;
    let healthy = publish(&*queue, "healthy").await;
    let delivery = loop {
        let delivery = take(&*queue).await;
        assert_eq!(delivery.id, poison);
        if delivery.attempts > MAX_DELIVERIES {
            break delivery;
        }
        queue.release(&delivery).await.unwrap();
    };
    queue.dead_letter(&delivery, "dataset-damaged").await.unwrap();
    assert_eq!(place.dead_letters().await, [format!("{poison} dataset-damaged")]);
    assert_eq!(take(&*queue).await.id, healthy);
    drop(queue);
    let heir = place.heir().await;
    assert_eq!(take(&*heir).await.id, healthy);
    assert_empty(&*heir, 2 * SOON).await;
}

pub(crate) async fn malformed_events_are_delivered_and_stop_nothing(place: &dyn Place) {
    let queue = place.consumer().await;
    let malformed: [&[u8]; 4] = [b"", b"\xff\xfe\x00", b"{\"type\":", b"[]"];
    for payload in malformed {
        place.put(payload.to_vec()).await;
    }
    place.put(br#"{"type":"FUSE"}"#.to_vec()).await;
    let mut found = BTreeSet::new();
    for _ in malformed {
        let delivery = take(&*queue).await;
        assert!(Event::parse(delivery.id.clone(), &delivery.payload).is_err());
        queue.acknowledge(&delivery).await.unwrap();
        found.insert(delivery.payload);
    }
    let good = take(&*queue).await;
    assert_eq!(Event::parse(good.id, &good.payload).unwrap().name(), "FUSE");
    assert_eq!(found, malformed.iter().map(|p| p.to_vec()).collect());
}

pub(crate) async fn oversized_events_are_refused_on_both_ends(place: &dyn Place) {
    let queue = place.consumer().await;
    let largest = vec![b' '; MAX_EVENT_BYTES];
    let error = queue.publish(&[&*largest, b" "].concat()).await.unwrap_err();
    assert!(matches!(error, Error::EventTooLarge { .. }), "{error}");
    assert_empty(&*queue, Duration::ZERO).await;
    queue.publish(&largest).await.unwrap();
    assert_eq!(take(&*queue).await.payload, largest);
    place.put(vec![b' '; 10 * MAX_EVENT_BYTES]).await;
    let delivery = take(&*queue).await;
    assert_eq!(delivery.payload.len(), MAX_EVENT_BYTES + 1);
    let error = Event::parse(delivery.id, &delivery.payload).unwrap_err();
    assert!(matches!(error, Error::EventTooLarge { .. }), "{error}");
}

pub(crate) async fn a_dropped_wait_loses_nothing(place: &dyn Place) {
    let (queue, publisher) = (place.consumer().await, place.consumer().await);
    let publishing = async {
        let mut ids = BTreeSet::new();
        for n in 0..40 {
            ids.insert(publish(&*publisher, &n.to_string()).await);
        }
        ids
    };
    let mut taken = Vec::new();
    let taking = async {
        // Waits that are given up at ever different moments, among them those of an arrival.
        for n in 0..200u64 {
            let patience = Duration::from_micros(n * 37 % 5000);
            let waiting = queue.next(Some(LONG));
            if let Ok(found) = tokio::time::timeout(patience, waiting).await {
                taken.push(found.unwrap().unwrap().id);
            }
        }
    };
    let (ids, ()) = futures::join!(publishing, taking);
    while taken.len() < ids.len() {
        taken.push(take(&*queue).await.id);
    }
    assert_eq!(taken.iter().cloned().collect::<BTreeSet<_>>(), ids);
    assert_empty(&*queue, Duration::ZERO).await;
}

pub(crate) async fn an_arrival_dropped_on_its_way_comes_again(place: &dyn Place) {
    let queue = place.consumer().await;
    for n in 0..60u64 {
        let id = publish(&*queue, &n.to_string()).await;
        let patience = Duration::from_micros(n * n);
        let delivery = match tokio::time::timeout(patience, queue.next(Some(LONG))).await {
            Ok(found) => found.unwrap().unwrap(),
            Err(_) => take(&*queue).await,
        };
        assert_eq!(delivery.id, id);
        queue.acknowledge(&delivery).await.unwrap();
    }
    assert_empty(&*queue, Duration::ZERO).await;
}

pub(crate) async fn tasks_that_share_a_consumer_share_no_event(place: &dyn Place) {
    let queue = place.consumer().await;
    for round in 0..20 {
        let mut ids = BTreeSet::new();
        for n in 0..4 {
            ids.insert(publish(&*queue, &format!("{round}.{n}")).await);
        }
        let taken = futures::join!(take(&*queue), take(&*queue), take(&*queue), take(&*queue));
        let taken = <[Delivery; 4]>::from(taken);
        assert_eq!(taken.iter().map(|d| d.id.clone()).collect::<BTreeSet<_>>(), ids);
        for delivery in &taken {
            queue.acknowledge(delivery).await.unwrap();
        }
    }
}

pub(crate) async fn a_thousand_events_reach_three_consumers_once_each(place: &dyn Place) {
    let publisher = place.consumer().await;
    let consumers = [place.consumer().await, place.consumer().await, place.consumer().await];
    let publishing = async {
        let mut ids = BTreeSet::new();
        for n in 0..1000 {
            ids.insert(publish(&*publisher, &n.to_string()).await);
        }
        ids
    };
    let mut handles = Vec::new();
    for queue in consumers {
        handles.push(tokio::spawn(async move {
            let mut taken = Vec::new();
            // The last one waits in vain: long enough for the publisher's slowest moment.
            while let Some(delivery) = queue.next(Some(5 * SOON)).await.unwrap() {
                assert_eq!(delivery.attempts, 1);
                queue.acknowledge(&delivery).await.unwrap();
                taken.push(delivery.id);
            }
            taken
        }));
    }
    let ids = publishing.await;
    let mut taken = Vec::new();
    for handle in handles {
        taken.extend(handle.await.unwrap());
    }
    assert_eq!(taken.len(), 1000);
    assert_eq!(taken.into_iter().collect::<BTreeSet<_>>(), ids);
}

pub(crate) async fn what_waits_survives_all_consumers(place: &dyn Place) {
    let publisher = place.consumer().await;
    let id = publish(&*publisher, "x").await;
    drop(publisher);
    let queue = place.consumer().await;
    let delivery = take(&*queue).await;
    assert_eq!((delivery.id, delivery.attempts), (id, 1));
}

pub(crate) async fn an_urgent_event_is_taken_before_any_less_urgent_one(place: &dyn Place) {
    let publishers = [place.consumer_of(&["urgent"]).await, place.consumer_of(&["events"]).await];
    let [urgent, usual] = &publishers;
    let first = publish(&**usual, "usual 1").await;
    let second = publish(&**usual, "usual 2").await;
    let alarm = publish(&**urgent, "urgent 1").await;
    let worker = place.consumer_of(&["urgent", "events"]).await;
    let delivery = take(&*worker).await;
    assert_eq!((&delivery.id, delivery.attempts), (&alarm, 1));
    worker.acknowledge(&delivery).await.unwrap();
    let delivery = take(&*worker).await;
    assert_eq!((&delivery.id, delivery.attempts), (&first, 1));
    // What is urgent comes before what was given back as well.
    let alarm = publish(&**urgent, "urgent 2").await;
    worker.release(&delivery).await.unwrap();
    let urgent_delivery = take(&*worker).await;
    assert_eq!(urgent_delivery.id, alarm);
    assert_ne!(urgent_delivery.stream, delivery.stream);
    worker.acknowledge(&urgent_delivery).await.unwrap();
    for (id, attempts) in [(first, 2), (second, 1)] {
        let delivery = take(&*worker).await;
        assert_eq!((&delivery.id, delivery.attempts), (&id, attempts));
        worker.heartbeat(&delivery).await.unwrap();
        worker.acknowledge(&delivery).await.unwrap();
    }
    assert_empty(&*worker, Duration::ZERO).await;
}

pub(crate) async fn a_wait_for_several_streams_ends_for_each(place: &dyn Place) {
    let (urgent, usual) = (place.consumer_of(&["urgent"]).await, place.consumer_of(&["events"]).await);
    let worker = place.consumer_of(&["urgent", "events"]).await;
    for _ in 0..20 {
        // Both may come with one reply: neither is lost, and neither counts as tried.
        let (delivery, a, b) = futures::join!(take(&*worker), publish(&*urgent, "a"), publish(&*usual, "b"));
        let other = take(&*worker).await;
        let found = BTreeSet::from([delivery.id.clone(), other.id.clone()]);
        assert_eq!(found, BTreeSet::from([a, b]));
        for delivery in [delivery, other] {
            assert_eq!(delivery.attempts, 1, "{delivery:?}");
            worker.acknowledge(&delivery).await.unwrap();
        }
    }
    assert_empty(&*worker, Duration::ZERO).await;
}

pub(crate) async fn the_figures_tell_how_each_stream_stands(place: &dyn Place) {
    let (urgent, usual) = (place.consumer_of(&["urgent"]).await, place.consumer_of(&["events"]).await);
    let worker = place.consumer_of(&["urgent", "events"]).await;
    for n in 0..3 {
        publish(&*usual, &n.to_string()).await;
    }
    publish(&*urgent, "poison").await;
    assert_eq!(worker.stats().await.unwrap().total().pending, 0);
    let poison = take(&*worker).await;
    worker.dead_letter(&poison, "dataset-damaged").await.unwrap();
    let delivery = take(&*worker).await;
    let stats = worker.stats().await.unwrap();
    let [urgent, usual] = &stats.streams[..] else { panic!("{stats:?}") };
    assert_eq!((urgent.waiting, urgent.pending, urgent.dead_letters), (0, 0, 1), "{stats:?}");
    assert_eq!((usual.waiting, usual.pending, usual.dead_letters), (2, 1, 0), "{stats:?}");
    assert_eq!((&usual.stream, urgent.oldest_pending), (&delivery.stream, None));
    assert!(usual.oldest_pending.unwrap() < LONG && usual.consumers >= 1, "{stats:?}");
    // Time at work is told, and a heartbeat begins it anew.
    let idles = async |at_least: Duration| {
        let begin = Instant::now();
        while worker.stats().await.unwrap().total().oldest_pending.unwrap() < at_least {
            assert!(begin.elapsed() < LONG);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    idles(SOON).await;
    worker.heartbeat(&delivery).await.unwrap();
    assert!(worker.stats().await.unwrap().total().oldest_pending.unwrap() < SOON);
    worker.acknowledge(&delivery).await.unwrap();
    let total = worker.stats().await.unwrap().total();
    assert_eq!((total.waiting, total.pending, total.dead_letters, total.trimmed), (2, 0, 1, 0));
}

pub(crate) async fn a_dead_letter_can_be_sent_again(place: &dyn Place) {
    let queue = place.consumer().await;
    let dead = publish(&*queue, "poison 4711").await;
    let newer = publish(&*queue, "newer").await;
    queue.dead_letter(&take(&*queue).await, "dataset-damaged").await.unwrap();
    // Whoever sends it again need not be who put it aside.
    let operator = place.consumer().await;
    let sent = operator.resend(&dead).await.unwrap().unwrap();
    assert_ne!(sent, dead);
    assert_eq!(take(&*queue).await.id, newer);
    let delivery = take(&*queue).await;
    assert_eq!((&delivery.id, delivery.attempts, &*delivery.payload), (&sent, 1, &b"poison 4711"[..]));
    for unknown in ["01J8ZQ4X7M6V9K3T2N1B0C5D7E", "1-1", "1-1-nowhere"] {
        assert_eq!(operator.resend(&unknown.parse().unwrap()).await.unwrap(), None);
    }
}
