//! What every queue must do, tried on each: a folder, and streams on a real Redis server, with and without TLS. Then what only one of them
//! can get wrong: processes that are killed, connections that break, servers that restart, TLS.

#![allow(clippy::unwrap_used, missing_docs)]

mod queue_facts;
mod queue_places;

use queue_places::{Embedded, Stream};

/// Runs every fact of the suite in one kind of place.
macro_rules! conformance {
    ($module:ident, $place:expr, [$($fact:ident),* $(,)?]) => {
        mod $module {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $fact() {
                    queue_facts::$fact(&$place.await).await;
                }
            )*
        }
    };
}

macro_rules! both {
    ($($fact:ident),* $(,)?) => {
        conformance!(embedded, Embedded::new(), [$($fact),*]);
        conformance!(redis_stream, Stream::new(), [$($fact),*]);
        conformance!(redis_stream_over_tls, Stream::over_tls(), [$($fact),*]);
    };
}

both![
    events_come_in_order,
    an_empty_queue_gives_nothing_when_the_time_is_up,
    a_wait_ends_when_something_is_published,
    an_event_comes_again_when_its_consumer_dies,
    two_consumers_never_get_the_same_event,
    a_heartbeat_keeps_an_event,
    an_acknowledged_event_never_comes_again,
    a_released_event_comes_again_before_newer_ones,
    a_released_event_may_go_to_another_consumer,
    what_fails_too_often_becomes_a_dead_letter,
    malformed_events_are_delivered_and_stop_nothing,
    oversized_events_are_refused_on_both_ends,
    a_dropped_wait_loses_nothing,
    an_arrival_dropped_on_its_way_comes_again,
    tasks_that_share_a_consumer_share_no_event,
    a_thousand_events_reach_three_consumers_once_each,
    what_waits_survives_all_consumers,
    an_urgent_event_is_taken_before_any_less_urgent_one,
    a_wait_for_several_streams_ends_for_each,
    the_figures_tell_how_each_stream_stands,
    a_dead_letter_can_be_sent_again,
];

mod folder {
    use std::{
        io::{BufRead, BufReader},
        process::{Command, Stdio},
        time::Duration,
    };

    use datafuse_workload::queue::{EmbeddedQueue, Queue};

    use super::queue_places::{Embedded, LONG, Place};

    const FOLDER: &str = "QUEUE_TEST_FOLDER";

    /// Not a fact: what the process does that [`a_killed_process_loses_its_claim_and_nothing_else`] kills.
    #[tokio::test]
    #[ignore = "run by another test, in a process of its own"]
    async fn holds_a_claim_until_killed() {
        let Ok(folder) = std::env::var(FOLDER) else {
            return;
        };
        let queue = EmbeddedQueue::open(folder).unwrap();
        let delivery = queue.next(Some(LONG)).await.unwrap().unwrap();
        println!("\ntook {}", delivery.id);
        std::future::pending::<()>().await;
    }

    #[tokio::test]
    async fn a_killed_process_loses_its_claim_and_nothing_else() {
        let place = Embedded::new().await;
        let queue = place.consumer().await;
        for attempt in 1..=3 {
            let id = match attempt {
                1 => queue.publish(b"x").await.unwrap().to_string(),
                _ => String::new(),
            };
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "folder::holds_a_claim_until_killed"])
                .args(["--ignored", "--nocapture"])
                .env(FOLDER, place.path())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let output = BufReader::new(child.stdout.take().unwrap());
            let took = output.lines().find_map(|line| line.unwrap().strip_prefix("took ").map(str::to_owned));
            assert!(took.unwrap().starts_with(&id));
            // Alive, it keeps the event, however long it takes.
            let found = queue.next(Some(Duration::from_millis(300))).await.unwrap();
            assert!(found.is_none(), "{found:?}");
            child.kill().unwrap();
            child.wait().unwrap();
            let delivery = queue.next(Some(LONG)).await.unwrap().unwrap();
            assert_eq!(delivery.attempts, attempt * 2);
            queue.release(&delivery).await.unwrap();
        }
    }

    #[tokio::test]
    async fn foreign_files_are_left_alone() {
        let place = Embedded::new().await;
        let queue = place.consumer().await;
        let names = [
            "ready/notes.txt",
            "ready/x.0.event",
            "ready/01J8ZQ4X7M6V9K3T2N1B0C5D7E.+1.event",
            "ready/01j8zq4x7m6v9k3t2n1b0c5d7e.0.event",
            "work/01J8ZQ4X7M6V9K3T2N1B0C5D7E.1.event",
            "owners/readme",
        ];
        for name in names {
            std::fs::write(place.path().join(name), "foreign").unwrap();
        }
        assert!(queue.next(Some(Duration::ZERO)).await.unwrap().is_none());
        drop(queue);
        assert!(place.consumer().await.next(Some(Duration::ZERO)).await.unwrap().is_none());
        for name in names {
            assert!(place.path().join(name).exists(), "{name}");
        }
    }

    #[tokio::test]
    async fn a_consumer_that_owes_nothing_leaves_no_trace() {
        let place = Embedded::new().await;
        let queue = place.consumer().await;
        queue.publish(b"x").await.unwrap();
        let delivery = queue.next(Some(LONG)).await.unwrap().unwrap();
        queue.acknowledge(&delivery).await.unwrap();
        drop(queue);
        for folder in ["ready", "work", "owners", "dead", "tmp"] {
            let left = std::fs::read_dir(place.path().join(folder)).unwrap().count();
            assert_eq!(left, 0, "{folder}");
        }
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_made_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = EmbeddedQueue::open(file.path().join("queue")).err().unwrap();
        assert!(error.to_string().contains("queue"), "{error}");
        assert!(error.remedy().is_some());
    }
}

mod server {
    use std::{
        collections::BTreeSet,
        time::{Duration, Instant},
    };

    use datafuse_workload::{
        Error,
        queue::{Queue, RedisOptions, RedisQueue},
    };

    use super::queue_places::{
        LONG, Place, SOON, Stream,
        redis_server::{Certificates, Server},
    };

    /// The ids of the connections that a consumer has.
    async fn connections(place: &Stream, name: &str) -> Vec<String> {
        let clients: String = place.command(redis::cmd("CLIENT").arg("LIST")).await;
        let name = format!("name={name}");
        let ours = clients.lines().filter(|line| line.split(' ').any(|field| field == name));
        ours.map(|line| line.split(' ').find_map(|field| field.strip_prefix("id=")).unwrap().to_owned()).collect()
    }

    async fn kill_connections(place: &Stream, name: &str) -> usize {
        let mut killed = 0;
        for id in connections(place, name).await {
            killed += place.command::<usize>(redis::cmd("CLIENT").arg("KILL").arg("ID").arg(id)).await;
        }
        killed
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn broken_connections_lose_and_repeat_nothing() {
        let place = Stream::new().await;
        let options = place.options(Duration::from_secs(3600));
        let name = options.consumer.clone();
        let queue = place.open(options).await;
        for n in 0..20 {
            let published = queue.publish(format!("{n}").as_bytes()).await.unwrap();
            kill_connections(&place, &name).await;
            let delivery = queue.next(Some(LONG)).await.unwrap().unwrap();
            assert_eq!((&delivery.id, delivery.attempts), (&published, 1));
            kill_connections(&place, &name).await;
            queue.heartbeat(&delivery).await.unwrap();
            assert!(kill_connections(&place, &name).await > 0);
            queue.acknowledge(&delivery).await.unwrap();
        }
        assert!(queue.next(Some(Duration::ZERO)).await.unwrap().is_none());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_connection_that_breaks_during_a_wait_is_sought_again() {
        let place = Stream::new().await;
        let options = place.options(Duration::from_secs(3600));
        let name = options.consumer.clone();
        let queue = place.open(options).await;
        let other = place.consumer().await;
        let breaking = async {
            // Both of its connections: the one that waits is there once it waits.
            while kill_connections(&place, &name).await < 2 {
                tokio::task::yield_now().await;
            }
            other.publish(b"x").await.unwrap()
        };
        let (found, id) = futures::join!(queue.next(Some(LONG)), breaking);
        assert_eq!(found.unwrap().unwrap().id, id);
    }

    #[tokio::test]
    async fn a_wait_longer_than_the_clients_patience_breaks_no_connection() {
        let place = Stream::new().await;
        let options = place.options(Duration::from_secs(3600));
        let name = options.consumer.clone();
        let queue = place.open(options).await;
        assert!(queue.next(Some(Duration::ZERO)).await.unwrap().is_none());
        let before = connections(&place, &name).await;
        assert_eq!(before.len(), 2);
        assert!(queue.next(Some(Duration::from_millis(5500))).await.unwrap().is_none());
        assert_eq!(connections(&place, &name).await, before);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_server_that_crashes_and_comes_back_loses_nothing() {
        let mut place = Stream::on(Server::own(&["--appendonly", "yes", "--appendfsync", "always"]));
        let queue = place.consumer().await;
        let first = queue.publish(b"1").await.unwrap();
        let second = queue.publish(b"2").await.unwrap();
        let delivery = queue.next(Some(LONG)).await.unwrap().unwrap();
        assert_eq!(delivery.id, first);
        place.server.crash_and_restart();
        queue.heartbeat(&delivery).await.unwrap();
        queue.acknowledge(&delivery).await.unwrap();
        place.server.crash_and_restart();
        let delivery = queue.next(Some(LONG)).await.unwrap().unwrap();
        assert_eq!(delivery.id, second);
        queue.acknowledge(&delivery).await.unwrap();
        assert!(queue.next(Some(Duration::ZERO)).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_restart_under_the_same_name_takes_up_its_own_at_once() {
        let place = Stream::new().await;
        let mut options = place.options(Duration::from_secs(3600));
        options.consumer = "workload-0".to_owned();
        let queue = place.open(options.clone()).await;
        let first = queue.publish(b"1").await.unwrap();
        queue.publish(b"2").await.unwrap();
        queue.next(Some(LONG)).await.unwrap().unwrap();
        drop(queue);
        let queue = place.open(options).await;
        let delivery = queue.next(Some(Duration::ZERO)).await.unwrap().unwrap();
        assert_eq!((&delivery.id, delivery.attempts), (&first, 2));
    }

    #[tokio::test]
    async fn a_silent_consumer_loses_its_event_and_is_told() {
        let place = Stream::new().await;
        let (silent, heir) = (place.consumer().await, place.heir().await);
        let id = silent.publish(b"x").await.unwrap();
        let lost = silent.next(Some(LONG)).await.unwrap().unwrap();
        let taken = heir.next(Some(LONG)).await.unwrap().unwrap();
        assert_eq!((&taken.id, taken.attempts), (&id, 2));
        for result in [silent.heartbeat(&lost).await, silent.release(&lost).await] {
            let error = result.unwrap_err();
            assert!(matches!(error, Error::ClaimLost { .. }), "{error}");
        }
        heir.heartbeat(&taken).await.unwrap();
    }

    #[tokio::test]
    async fn an_event_in_hand_is_not_delivered_again_to_the_same_consumer() {
        let place = Stream::new().await;
        let heir = place.heir().await;
        heir.publish(b"x").await.unwrap();
        heir.next(Some(LONG)).await.unwrap().unwrap();
        let found = heir.next(Some(3 * SOON)).await.unwrap();
        assert!(found.is_none(), "{found:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_stream_that_was_deleted_is_made_again() {
        let place = Stream::new().await;
        let (queue, other) = (place.consumer().await, place.consumer().await);
        other.publish(b"x").await.unwrap();
        let delivery = queue.next(Some(LONG)).await.unwrap().unwrap();
        let flushing = async {
            let _: u32 = place.command(redis::cmd("DEL").arg(&place.name)).await;
            other.publish(b"y").await.unwrap()
        };
        let (found, id) = futures::join!(queue.next(Some(LONG)), flushing);
        assert_eq!(found.unwrap().unwrap().id, id);
        let error = queue.heartbeat(&delivery).await.unwrap_err();
        assert!(matches!(error, Error::ClaimLost { .. }), "{error}");
        queue.acknowledge(&delivery).await.unwrap();
    }

    #[tokio::test]
    async fn events_published_before_the_group_existed_are_read() {
        let place = Stream::new().await;
        place.put(b"early".to_vec()).await;
        let delivery = place.consumer().await.next(Some(LONG)).await.unwrap();
        assert_eq!(delivery.unwrap().payload, b"early");
    }

    #[tokio::test]
    async fn entries_of_any_form_are_delivered_and_can_be_disposed_of() {
        let place = Stream::new().await;
        let queue = place.consumer().await;
        let mut add = redis::cmd("XADD");
        add.arg(&place.name).arg("*").arg(b"\xff\xfe").arg(b"\xfd");
        let _: String = place.command(&add).await;
        place.put(b"fine".to_vec()).await;
        let odd = queue.next(Some(LONG)).await.unwrap().unwrap();
        assert_eq!(odd.payload, b"");
        queue.acknowledge(&odd).await.unwrap();
        let fine = queue.next(Some(LONG)).await.unwrap().unwrap();
        assert_eq!(fine.payload, b"fine");
    }

    #[tokio::test]
    async fn an_entry_removed_while_pending_stops_nothing() {
        let place = Stream::new().await;
        let mut options = place.options(SOON);
        options.consumer = "workload-0".to_owned();
        for heir in ["workload-0", "workload-1"] {
            let queue = place.open(options.clone()).await;
            let removed = queue.publish(b"removed").await.unwrap();
            let kept = queue.publish(b"kept").await.unwrap();
            assert_eq!(queue.next(Some(LONG)).await.unwrap().unwrap().id, removed);
            drop(queue);
            let mut delete = redis::cmd("XDEL");
            delete.arg(&place.name).arg(place.entry(removed.as_str()));
            assert_eq!(place.command::<u32>(&delete).await, 1);
            let mut heirs = options.clone();
            heirs.consumer = heir.to_owned();
            let queue = place.open(heirs).await;
            let mut delivery = queue.next(Some(LONG)).await.unwrap().unwrap();
            if delivery.id == removed {
                assert_eq!(delivery.payload, b"");
                queue.acknowledge(&delivery).await.unwrap();
                delivery = queue.next(Some(LONG)).await.unwrap().unwrap();
            }
            assert_eq!((&delivery.id, &*delivery.payload), (&kept, &b"kept"[..]));
            queue.acknowledge(&delivery).await.unwrap();
            assert!(queue.next(Some(2 * SOON)).await.unwrap().is_none());
        }
    }

    #[tokio::test]
    async fn reads_what_the_platforms_library_writes() {
        let place = Stream::new().await;
        let mut group = redis::cmd("XGROUP");
        group.arg("CREATE").arg(&place.name).arg("consummers");
        let _: () = place.command(group.arg("$").arg("MKSTREAM")).await;
        let mut add = redis::cmd("XADD");
        add.arg(&place.name).arg("MAXLEN").arg("~").arg(1000).arg("*");
        add.arg("msg_data").arg(r#"{"type": "CHECK_COMMON_CUSTOMERS", "msg_dt": "2024-05-01T10:00:00.25"}"#);
        let id: String = place.command(&add).await;
        let delivery = place.consumer().await.next(Some(LONG)).await.unwrap();
        let delivery = delivery.unwrap();
        assert_eq!(place.entry(delivery.id.as_str()), id);
        let event = datafuse_workload::event::Event::parse(delivery.id, &delivery.payload);
        assert_eq!(event.unwrap().name(), "CHECK_COMMON_CUSTOMERS");
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_named_without_its_password() {
        let server = Server::own(&[]);
        let port = server.port();
        drop(server);
        let url = format!("redis://alice:hunter2@127.0.0.1:{port}");
        let mut options = RedisOptions::new(url.parse().unwrap());
        options.patience = Duration::from_millis(200);
        let begin = Instant::now();
        let error = RedisQueue::connect(options).await.err().unwrap();
        assert!(begin.elapsed() >= Duration::from_millis(50));
        assert!(matches!(error, Error::QueueUnreachable { .. }), "{error}");
        assert!(error.is_retryable());
        assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }

    #[tokio::test]
    async fn a_wrong_password_is_refused_at_once_and_not_shown() {
        let server = Server::own(&["--requirepass", "open-sesame"]);
        let port = server.port();
        let connect = async |credentials: &str| {
            let url = format!("redis://{credentials}127.0.0.1:{port}");
            let mut options = RedisOptions::new(url.parse().unwrap());
            options.patience = 10 * LONG;
            RedisQueue::connect(options).await
        };
        assert!(connect(":open-sesame@").await.is_ok());
        for credentials in [":hunter2@", "alice:hunter2@", ""] {
            let error = connect(credentials).await.err().unwrap();
            assert!(matches!(error, Error::QueueRefused { .. }), "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
            let remedy = error.remedy().unwrap();
            assert!(remedy.contains("PASSWORD"), "{error:?}: {remedy}");
        }
    }

    #[tokio::test]
    async fn a_key_that_is_no_stream_is_refused() {
        let place = Stream::new().await;
        let _: () = place.command(redis::cmd("SET").arg(&place.name).arg("x")).await;
        let queue = place.consumer().await;
        let error = queue.publish(b"canary-4711").await.unwrap_err();
        assert!(error.to_string().contains("WRONGTYPE"), "{error}");
        assert!(queue.next(Some(Duration::ZERO)).await.is_err());
        assert!(!format!("{error} {error:?}").contains("4711"), "{error}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn tls_trusts_the_given_authority_and_no_other() {
        let (ours, theirs) = (Certificates::new(), Certificates::new());
        let server = Server::tls(&ours);
        let connect = async |url: &str, ca_file: Option<std::path::PathBuf>| {
            let mut options = RedisOptions::new(url.parse().unwrap());
            options.ca_file = ca_file;
            options.patience = Duration::from_millis(500);
            RedisQueue::connect(options).await
        };
        let queue = connect(&server.url, Some(ours.path("ca.pem"))).await.unwrap();
        let id = queue.publish(b"x").await.unwrap();
        let delivery = queue.next(Some(LONG)).await.unwrap().unwrap();
        assert_eq!(delivery.id, id);
        queue.acknowledge(&delivery).await.unwrap();

        for ca_file in [Some(theirs.path("ca.pem")), None] {
            let error = connect(&server.url, ca_file).await.err().unwrap();
            assert!(matches!(error, Error::QueueTls { .. }), "{error:?}");
            assert!(error.remedy().unwrap().contains("TLS_CAFILE"));
        }
        for ca_file in [ours.path("absent.pem"), ours.path("server.key")] {
            let error = connect(&server.url, Some(ca_file)).await.err().unwrap();
            assert!(matches!(error, Error::CaFile { .. }), "{error:?}");
        }
        let plain = server.url.replace("rediss", "redis");
        assert!(connect(&plain, None).await.is_err());
        let plain_server = Server::own(&[]);
        let tls = format!("rediss://localhost:{}", plain_server.port());
        let error = connect(&tls, Some(ours.path("ca.pem"))).await.err().unwrap();
        let expected = matches!(error, Error::QueueTls { .. } | Error::QueueUnreachable { .. });
        assert!(expected, "{error:?}");
    }

    async fn consumers(place: &Stream) -> usize {
        let mut list = redis::cmd("XINFO");
        list.arg("CONSUMERS").arg(&place.name).arg("consummers");
        place.command::<Vec<redis::Value>>(&list).await.len()
    }

    #[tokio::test]
    async fn a_closed_consumer_is_forgotten_unless_it_owes_something() {
        let place = Stream::new().await;
        let (done, owing) = (place.consumer().await, place.consumer().await);
        done.publish(b"1").await.unwrap();
        let second = done.publish(b"2").await.unwrap();
        let delivery = done.next(Some(LONG)).await.unwrap().unwrap();
        done.acknowledge(&delivery).await.unwrap();
        owing.next(Some(LONG)).await.unwrap().unwrap();
        assert_eq!(consumers(&place).await, 2);
        done.close().await.unwrap();
        owing.close().await.unwrap();
        assert_eq!(consumers(&place).await, 1);
        let delivery = place.heir().await.next(Some(LONG)).await.unwrap().unwrap();
        assert_eq!((&delivery.id, delivery.attempts), (&second, 2));
        // One that only ever published has nothing to close.
        place.consumer().await.close().await.unwrap();
    }

    #[tokio::test]
    async fn a_closed_consumer_takes_nothing_more() {
        let place = Stream::new().await;
        let (closed, other) = (place.heir().await, place.consumer().await);
        assert!(closed.next(Some(Duration::ZERO)).await.unwrap().is_none());
        // Given up while the server still has it wait.
        let waiting = tokio::time::timeout(SOON / 10, closed.next(Some(LONG)));
        assert!(waiting.await.is_err());
        closed.close().await.unwrap();
        let id = other.publish(b"x").await.unwrap();
        let delivery = other.next(Some(LONG)).await.unwrap().unwrap();
        assert_eq!((&delivery.id, delivery.attempts), (&id, 1));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn closing_after_a_wait_that_was_given_up_loses_nothing() {
        let place = Stream::new().await;
        let publisher = place.consumer().await;
        let mut ids = BTreeSet::new();
        for n in 0..20 {
            let queue = place.heir().await;
            let patience = Duration::from_micros(500 * n);
            let giving_up = async {
                let _ = tokio::time::timeout(patience, queue.next(Some(LONG))).await;
                queue.close().await.unwrap();
            };
            let ((), id) = futures::join!(giving_up, publisher.publish(b"x"));
            ids.insert(id.unwrap());
        }
        let heir = place.heir().await;
        while !ids.is_empty() {
            let delivery = heir.next(Some(LONG)).await.unwrap().unwrap();
            assert!(ids.remove(&delivery.id));
            heir.acknowledge(&delivery).await.unwrap();
        }
    }

    #[tokio::test]
    async fn entries_of_the_platforms_stream_have_the_events_id() {
        let place = Stream::on(Server::own(&[]));
        let queue = RedisQueue::connect(RedisOptions::new(place.server.url.parse().unwrap())).await.unwrap();
        let mut add = redis::cmd("XADD");
        let id: String = place.command(add.arg("events").arg("*").arg("msg_data").arg("x")).await;
        assert_eq!(queue.next(Some(LONG)).await.unwrap().unwrap().id.as_str(), id);
    }

    #[tokio::test]
    async fn entries_removed_before_they_were_read_are_noticed_and_counted_once() {
        let place = Stream::new().await;
        let queue = place.consumer().await;
        let mut ids = Vec::new();
        for n in 0..10 {
            ids.push(queue.publish(format!("{n}").as_bytes()).await.unwrap());
        }
        let take = async || {
            let delivery = queue.next(Some(LONG)).await.unwrap().unwrap();
            queue.acknowledge(&delivery).await.unwrap();
            delivery.id
        };
        assert_eq!((take().await, take().await), (ids[0].clone(), ids[1].clone()));
        let trim = async |length: u64| {
            let mut trim = redis::cmd("XTRIM");
            place.command::<u64>(trim.arg(&place.name).arg("MAXLEN").arg(length)).await
        };
        // Only what was done goes.
        assert_eq!(trim(8).await, 2);
        let stats = async || queue.stats().await.unwrap().total();
        assert_eq!((stats().await.waiting, stats().await.trimmed), (8, 0));
        assert_eq!(trim(3).await, 5);
        assert_eq!((stats().await.waiting, stats().await.trimmed), (3, 5));
        assert_eq!(take().await, ids[7]);
        assert_eq!((stats().await.waiting, stats().await.trimmed), (2, 5));
        assert_eq!((take().await, take().await), (ids[8].clone(), ids[9].clone()));
        assert_eq!((stats().await.waiting, stats().await.trimmed), (0, 5));
        // Another consumer, which never saw the gap, notices it by the server's counters too.
        assert_eq!(place.consumer().await.stats().await.unwrap().total().trimmed, 5);
        queue.publish(b"11").await.unwrap();
        take().await;
        assert_eq!(stats().await.trimmed, 5);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_documented_permissions_suffice_and_less_is_said_to_be_too_little() {
        let place = Stream::on(Server::own(&[]));
        // As the table in docs/queue.md has it.
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/queue.md")).unwrap();
        let rules = |user: &str| {
            let line = page.lines().find(|line| line.starts_with(&format!("ACL SETUSER {user} "))).unwrap();
            line.replace("~events", &format!("~{}", place.name)).replace("PASSWORD", "open-sesame")
        };
        let set = async |line: &str| {
            let mut words = line.split_whitespace();
            let mut command = redis::cmd(words.next().unwrap());
            for word in words {
                command.arg(word);
            }
            place.command::<()>(&command).await;
        };
        set(&rules("sender")).await;
        set(&rules("workload")).await;
        let connect = async |user: &str| {
            let url = place.server.url.replace("redis://", &format!("redis://{user}:open-sesame@"));
            let options = RedisOptions { url: url.parse().unwrap(), ..place.options(SOON) };
            RedisQueue::connect(options).await
        };
        let (sender, worker) = (connect("sender").await.unwrap(), connect("workload").await.unwrap());
        sender.publish(b"1").await.unwrap();
        let dead = worker.next(Some(LONG)).await.unwrap().unwrap();
        worker.heartbeat(&dead).await.unwrap();
        worker.release(&dead).await.unwrap();
        let dead = worker.next(Some(LONG)).await.unwrap().unwrap();
        worker.dead_letter(&dead, "state").await.unwrap();
        worker.resend(&dead.id).await.unwrap().unwrap();
        let again = worker.next(Some(LONG)).await.unwrap().unwrap();
        worker.acknowledge(&again).await.unwrap();
        let stats = worker.stats().await.unwrap().total();
        assert_eq!((stats.waiting, stats.pending, stats.dead_letters), (0, 0, 1));
        worker.close().await.unwrap();
        for error in [
            sender.next(Some(LONG)).await.unwrap_err(),
            sender.stats().await.unwrap_err(),
            sender.acknowledge(&again).await.unwrap_err(),
        ] {
            assert!(matches!(&error, Error::QueueRefused { code, .. } if code == "NOPERM"), "{error:?}");
            assert!(error.remedy().unwrap().contains("queue.md"));
            assert!(!format!("{error} {error:?}").contains("open-sesame"));
        }
    }
}
