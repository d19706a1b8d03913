//! The program against a real redis-server, which the test starts on a port of its own.
#![allow(clippy::unwrap_used, missing_docs)]

mod redis_server;
mod world;

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use redis_server::Redis;
use world::World;

const CSV: &str = "email\nada@example.com\nbob@example.com\n";

#[test]
fn an_event_through_redis_becomes_a_report_and_is_acknowledged() {
    let redis = Redis::start();
    let world = World::enrolled(&[("acme", CSV), ("globex", CSV)]);
    let args = ["send", "CHECK_COMMON_DEMO_CUSTOMERS", "--redis", &redis.url()];
    let id = world.run("acme", &args).done().out.trim().to_owned();
    world.run("workload", &["serve", "--key", "party.key", "--redis", &redis.url(), "--once"]).done();
    assert_eq!(world.report()["overlap"]["all"], 2);
    assert_eq!(world.report()["provenance"]["event"], id);

    let port = redis.port.to_string();
    let pending = Command::new("redis-cli").args(["-p", &port, "XPENDING", "events", "consummers"]).output().unwrap();
    assert!(String::from_utf8(pending.stdout).unwrap().starts_with('0'), "nothing is pending");
}

#[test]
fn the_platform_names_the_server_by_its_variables() {
    let redis = Redis::start();
    let world = World::enrolled(&[("acme", CSV), ("globex", CSV)]);
    let serve = |command: &mut Command| {
        command.env("REDIS_SERVICE_HOST", "127.0.0.1").env("REDIS_SERVICE_PORT", redis.port.to_string());
        command.env("DAEMON", "false").env("DATA_USER_OUTPUT_LOCATION", world.path("user"));
        world::Said::from(command.output().unwrap())
    };
    serve(world.command("acme").args(["send", "CHECK_COMMON_CUSTOMERS"])).done();
    serve(world.command("workload").args(["serve", "--key", "party.key"])).done();
    assert_eq!(world::files(&world.path("user")).len(), 4);
}

#[test]
fn a_server_that_does_not_answer_is_named_without_its_password() {
    let world = World::enrolled(&[("acme", CSV), ("globex", CSV)]);
    let args = ["send", "FUSE", "--redis", "redis://:hush@127.0.0.1:1"];
    let said = world.run("acme", &args).refused(5, "127.0.0.1");
    assert!(!said.err.contains("hush"), "{}", said.err);
}

#[test]
fn a_stop_ends_the_waiting_and_loses_nothing() {
    let redis = Redis::start();
    let world = World::enrolled(&[("acme", CSV), ("globex", CSV)]);
    let mut serving = world
        .command("workload")
        .args(["serve", "--key", "party.key", "--redis", &redis.url()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let send = ["send", "CHECK_COMMON_CUSTOMERS", "--redis", &redis.url()];
    world.run("acme", &send).done();
    let until = Instant::now() + Duration::from_secs(60);
    let outputs = world.path("workload/outputs");
    let reports = || {
        std::fs::read_dir(&outputs).is_ok_and(|mut entries| {
            entries.any(|entry| !entry.unwrap().file_name().to_string_lossy().starts_with('.'))
        })
    };
    while !reports() {
        assert!(Instant::now() < until, "no report within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(Command::new("kill").arg(serving.id().to_string()).status().unwrap().success());
    assert_eq!(serving.wait().unwrap().code(), Some(0));
    // What is sent while nobody listens waits.
    world.run("acme", &send).done();
    world.run("workload", &["serve", "--key", "party.key", "--redis", &redis.url(), "--once"]).done();
    assert_eq!(std::fs::read_dir(&outputs).unwrap().count(), 2);
}
