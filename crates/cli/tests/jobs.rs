//! `datafuse jobs`, and streams by their urgency, with the program as it is; with a folder and with a real redis-server as the queue.
#![allow(clippy::unwrap_used, missing_docs)]

mod redis_server;
mod world;

use redis_server::Redis;
use serde_json::Value;
use world::World;

const CSV: &str = "email\nada.canary-4711@example.com\nbob@example.com\n";

fn world() -> World {
    World::enrolled(&[("acme", CSV), ("globex", CSV)])
}

fn jobs(world: &World, more: &[&str]) -> Vec<Value> {
    let args: Vec<&str> = ["jobs", "--json"].iter().chain(more).copied().collect();
    let value: Value = serde_json::from_str(&world.run("workload", &args).done().out).unwrap();
    value["jobs"].as_array().unwrap().clone()
}

#[test]
fn jobs_are_listed_newest_first_without_any_key() {
    let world = world();
    world.event("CHECK_COMMON_CUSTOMERS").done();
    let listed = jobs(&world, &[]);
    let types: Vec<_> = listed.iter().map(|job| job["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["CHECK_COMMON_CUSTOMERS", "INITIALIZE"]);
    assert_eq!((&listed[0]["state"], &listed[0]["outcome"]), (&"done".into(), &"report written".into()));
    assert_eq!(jobs(&world, &["--limit", "1"]).len(), 1);
    assert_eq!(jobs(&world, &["--failed"]).len(), 0);
    let text = world.run("workload", &["jobs"]).done().out;
    assert!(text.starts_with("EVENT ") && text.lines().count() == 3, "{text}");
    let event = listed[0]["event"].as_str().unwrap();
    let shown = world.run("workload", &["jobs", "show", event]).done().out;
    let output = world.path("workload/outputs").join(event);
    assert!(shown.contains(output.to_str().unwrap()), "{shown}");
    // Without a queue nothing holds the event: a failed one is to be sent anew.
    world.run("workload", &["run", "FUSE", "--holders", "acme", "--key", "party.key"]).refused(6, "two data holders");
    let failed = jobs(&world, &["--failed"]);
    assert_eq!((&failed[0]["state"], &failed[0]["error"]), (&"failed".into(), &"too-few-holders".into()));
    let event = failed[0]["event"].as_str().unwrap();
    world.run("workload", &["jobs", "retry", event]).refused(6, "was run without a queue").tries("datafuse run FUSE");
    world.run("workload", &["jobs", "retry", "01J8ZQ4X7M6V9K3T2N1B0C5D7E"]).refused(2, "no job");
    world.run("acme", &["jobs"]).refused(3, "no state");
}

/// Has an event put aside, sends it again twice, and looks at what is told of it.
fn an_event_that_was_put_aside_is_sent_again_once(queue: &[&str]) -> World {
    let world = world();
    let run = |args: &[&str]| {
        let args: Vec<&str> = args.iter().chain(queue).copied().collect();
        world.run("workload", &args)
    };
    let first = run(&["send", "CHECK_COMMON_CUSTOMERS", "--holders", "acme", "--stream", "urgent"]).done().out;
    let first = first.trim();
    let serve = ["serve", "--key", "party.key", "--once", "--stream", "urgent,events"];
    run(&serve).refused(6, "two data holders");
    let job = &jobs(&world, &["--failed"])[0];
    assert_eq!((&job["event"], &job["state"], &job["stream"]), (&first.into(), &"dead".into(), &"urgent".into()));
    let second = run(&["jobs", "retry", first]).done().out;
    let second = second.trim();
    assert_ne!(first, second);
    run(&serve).refused(6, "two data holders");
    let listed = jobs(&world, &["--failed"]);
    assert_eq!((&listed[0]["event"], &listed[0]["state"]), (&second.into(), &"dead".into()));
    assert_eq!((&listed[1]["event"], &listed[1]["retried_as"]), (&first.into(), &second.into()));
    run(&["jobs", "retry", first]).refused(6, "sent again before");
    world
}

#[test]
fn an_event_that_was_put_aside_in_a_folder_is_sent_again_once() {
    let world = an_event_that_was_put_aside_is_sent_again_once(&[]);
    let dead = world::files(&world.path("shared/queue/streams/urgent/dead"));
    let events: Vec<_> = dead.iter().filter(|path| path.extension().is_some_and(|e| e == "event")).collect();
    // The first was sent again; the second waits for that.
    assert_eq!((dead.len(), events.len()), (3, 1), "{dead:?}");
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(events[0]).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn an_event_that_was_put_aside_in_redis_is_sent_again_once() {
    let redis = Redis::start();
    an_event_that_was_put_aside_is_sent_again_once(&["--redis", &redis.url()]);
}

#[test]
fn an_urgent_event_is_processed_first_and_the_variable_names_the_streams() {
    let redis = Redis::start();
    for queue in [vec![], vec!["--redis".to_owned(), redis.url()]] {
        let world = world();
        let queue: Vec<&str> = queue.iter().map(String::as_str).collect();
        let send = |more: &[&str]| {
            let args: Vec<&str> = ["send", "FUSE"].iter().chain(more).chain(&queue).copied().collect();
            world.run("acme", &args).done().out.trim().to_owned()
        };
        let usual = send(&[]);
        let urgent = send(&["--stream", "urgent"]);
        let serve = || {
            let mut serve = world.command("workload");
            serve.args(["serve", "--key", "party.key", "--once"]).args(&queue).env("DATAFUSE_STREAMS", "urgent,events");
            world::Said::from(serve.output().unwrap()).done().out
        };
        assert!(serve().starts_with(&urgent));
        assert!(serve().starts_with(&usual));
    }
    let world = world();
    let said = world.run("acme", &["send", "FUSE", "--stream", "../x"]);
    assert_eq!(said.code, 2, "{}", said.err);
    assert!(said.err.contains("a stream's name is"), "{}", said.err);
}

#[test]
fn the_state_tells_no_secret_and_counts_the_reports_of_each_pair() {
    let world = world();
    world.event("CHECK_COMMON_CUSTOMERS").done();
    world.event("CHECK_COMMON_CUSTOMERS").done();
    let db = rusqlite::Connection::open(world.path("workload/state/state.db")).unwrap();
    let used: Vec<u64> = {
        let mut statement = db.prepare("SELECT used FROM budget WHERE subject LIKE 'reports/%'").unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    assert_eq!(used, [1], "the same question is answered again without a report of its own");
    let seen: u64 = db.query_row("SELECT count(*) FROM dataset_seen", [], |row| row.get(0)).unwrap();
    assert_eq!(seen, 2);
    drop(db);

    let mut secrets = vec!["canary-4711".to_owned(), "example.com".to_owned()];
    for party in ["workload", "acme", "globex"] {
        let key = std::fs::read_to_string(world.path(party).join("party.key")).unwrap();
        secrets.extend(key.lines().filter(|line| !line.starts_with('#') && line.len() > 20).map(str::to_owned));
    }
    assert!(secrets.len() >= 5, "the key files hold no keys");
    let files = world::files(&world.path("workload/state"));
    assert!(files.iter().any(|path| path.ends_with("state.db")));
    for path in files {
        let bytes = std::fs::read(&path).unwrap();
        for secret in &secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} holds a secret in clear", path.display());
        }
    }
}
