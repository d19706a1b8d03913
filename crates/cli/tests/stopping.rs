//! Stopping the program while it serves: at work, in a pause, once and twice; with a folder and with a real redis-server as the queue.
//! Whatever the moment, after the next start there is exactly one output.
#![cfg(unix)]
#![allow(clippy::unwrap_used, missing_docs)]

mod redis_server;
mod world;

use std::{
    fs::File,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use redis_server::Redis;
use serde_json::Value;
use world::{World, get};

const CSV: &str = "email\nada@example.com\nbob@example.com\n";
const LONG: Duration = Duration::from_secs(90);

/// A world whose workload has a queue of one kind or the other.
struct Scene {
    world: World,
    redis: Option<Redis>,
}

impl Scene {
    fn new(redis: bool) -> Self {
        let world = World::enrolled(&[("acme", CSV), ("globex", CSV)]);
        Self { world, redis: redis.then(Redis::start) }
    }

    fn queue(&self) -> Vec<String> {
        self.redis.iter().flat_map(|redis| ["--redis".to_owned(), redis.url()]).collect()
    }

    fn send(&self) -> String {
        let mut send = self.world.command("workload");
        send.args(["send", "CHECK_COMMON_CUSTOMERS"]).args(self.queue());
        world::Said::from(send.output().unwrap()).done().out.trim().to_owned()
    }

    fn serve(&self, more: &[&str]) -> Serving {
        let mut serve = self.world.command("workload");
        serve.args(["serve", "--key", "party.key"]).args(self.queue()).args(more);
        let mut child = serve.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (say, lines) = channel();
        let output = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| say.send(line)));
        Serving { child, lines, said: Vec::new() }
    }

    /// Serves one event that must succeed.
    fn serve_once(&self) {
        let mut serve = self.world.command("workload");
        serve.args(["serve", "--key", "party.key", "--once", "--claim-after", "1"]).args(self.queue());
        world::Said::from(serve.output().unwrap()).done();
    }

    fn job(&self, event: &str) -> Value {
        let said = self.world.run("workload", &["jobs", "--json"]).done();
        let jobs: Value = serde_json::from_str(&said.out).unwrap();
        jobs["jobs"].as_array().unwrap().iter().find(|job| job["event"] == event).cloned().unwrap_or(Value::Null)
    }

    fn wait_for(&self, event: &str, state: &str) {
        let begin = Instant::now();
        while self.job(event)["state"] != state {
            assert!(begin.elapsed() < LONG, "{event} does not become {state}: {}", self.job(event));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Keeps an event at work from going on, as another process on the same state would.
    fn hold(&self) -> File {
        let lock = File::options().write(true).open(self.world.path("workload/state/lock")).unwrap();
        lock.lock().unwrap();
        lock
    }

    fn assert_one_output(&self, event: &str) {
        let outputs = std::fs::read_dir(self.world.path("workload/outputs")).unwrap();
        let names: Vec<_> = outputs.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(names, [event]);
        assert_eq!(self.world.report()["overlap"]["all"], 2);
        if let Some(redis) = &self.redis {
            let pending = Command::new("redis-cli")
                .args(["-p", &redis.port.to_string(), "XPENDING", "events", "consummers"])
                .output()
                .unwrap();
            assert!(String::from_utf8(pending.stdout).unwrap().starts_with('0'), "something is pending");
        }
    }
}

struct Serving {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Serving {
    fn wait_to_say(&mut self, words: &str) {
        let begin = Instant::now();
        while let Ok(line) = self.lines.recv_timeout(LONG.saturating_sub(begin.elapsed())) {
            self.said.push(line);
            if self.said.last().unwrap().contains(words) {
                return;
            }
        }
        panic!("it does not say '{words}': {:?}", self.said);
    }

    fn terminate(&self) {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
    }

    fn ends_with(mut self, code: i32, within: Duration) {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.said.extend(self.lines.try_iter());
                assert_eq!(status.code(), Some(code), "{:?}", self.said);
                return;
            }
            if begin.elapsed() > within {
                self.child.kill().unwrap();
                panic!("it does not end within {within:?}: {:?}", self.lines.try_iter().collect::<Vec<_>>());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn work_longer_than_the_drain_is_left_and_done_once(redis: bool) {
    let scene = Scene::new(redis);
    let mut serving = scene.serve(&["--drain", "1"]);
    serving.wait_to_say("Waiting for");
    let lock = scene.hold();
    let event = scene.send();
    scene.wait_for(&event, "started");
    serving.terminate();
    serving.wait_to_say("given back after 1 seconds");
    serving.ends_with(0, Duration::from_secs(30));
    assert_eq!(scene.job(&event)["state"], "interrupted");
    drop(lock);
    scene.serve_once();
    let job = scene.job(&event);
    assert_eq!((&job["state"], &job["attempts"]), (&"done".into(), &2.into()), "{job}");
    scene.assert_one_output(&event);
}

fn a_second_signal_ends_it_at_once_and_loses_nothing(redis: bool) {
    let scene = Scene::new(redis);
    let mut serving = scene.serve(&["--drain", "600", "--claim-after", "1", "--ops", "127.0.0.1:0"]);
    serving.wait_to_say("are served at http://");
    let ops = serving.said.last().unwrap().rsplit('/').next().unwrap().to_owned();
    serving.wait_to_say("Waiting for");
    let lock = scene.hold();
    let event = scene.send();
    scene.wait_for(&event, "started");
    serving.terminate();
    serving.wait_to_say("asked to stop");
    // The operator can watch it drain.
    let begin = Instant::now();
    while !get(&ops, "/readyz").1.contains(r#"{"name":"running","ok":false,"#) {
        assert!(begin.elapsed() < LONG, "{:?}", get(&ops, "/readyz"));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(get(&ops, "/metrics").1.contains("\ndatafuse_draining 1\n"));
    serving.terminate();
    serving.ends_with(7, Duration::from_secs(10));
    // Nobody wrote so: its process is gone.
    assert_eq!(scene.job(&event)["state"], "interrupted");
    drop(lock);
    scene.serve_once();
    assert_eq!(scene.job(&event)["state"], "done");
    scene.assert_one_output(&event);
}

fn a_stop_in_a_pause_gives_the_event_back_at_once(redis: bool) {
    let scene = Scene::new(redis);
    let (dataset, away) = (scene.world.dataset("globex"), scene.world.path("away.parquet"));
    std::fs::rename(&dataset, &away).unwrap();
    let event = scene.send();
    let serving = scene.serve(&[]);
    scene.wait_for(&event, "retrying");
    serving.terminate();
    serving.ends_with(0, Duration::from_secs(20));
    let job = scene.job(&event);
    assert_eq!((&job["state"], &job["error"]), (&"retrying".into(), &"dataset-missing".into()), "{job}");
    std::fs::rename(&away, &dataset).unwrap();
    scene.serve_once();
    assert_eq!(scene.job(&event)["state"], "done");
    scene.assert_one_output(&event);
}

#[test]
fn work_longer_than_the_drain_is_left_and_done_once_folder() {
    work_longer_than_the_drain_is_left_and_done_once(false);
}

#[test]
fn work_longer_than_the_drain_is_left_and_done_once_redis() {
    work_longer_than_the_drain_is_left_and_done_once(true);
}

#[test]
fn a_second_signal_ends_it_at_once_and_loses_nothing_folder() {
    a_second_signal_ends_it_at_once_and_loses_nothing(false);
}

#[test]
fn a_second_signal_ends_it_at_once_and_loses_nothing_redis() {
    a_second_signal_ends_it_at_once_and_loses_nothing(true);
}

#[test]
fn a_stop_in_a_pause_gives_the_event_back_at_once_folder() {
    a_stop_in_a_pause_gives_the_event_back_at_once(false);
}

#[test]
fn a_stop_in_a_pause_gives_the_event_back_at_once_redis() {
    a_stop_in_a_pause_gives_the_event_back_at_once(true);
}

#[test]
fn several_processes_on_one_queue_and_state_make_one_output_each() {
    let scene = Scene::new(true);
    let mut workers = [scene.serve(&[]), scene.serve(&[])];
    for worker in &mut workers {
        worker.wait_to_say("Waiting for");
    }
    let events: Vec<_> = (0..6).map(|_| scene.send()).collect();
    for event in &events {
        scene.wait_for(event, "done");
        assert_eq!(scene.job(event)["attempts"], 1);
    }
    for worker in workers {
        worker.terminate();
        worker.ends_with(0, Duration::from_secs(30));
    }
    let outputs = std::fs::read_dir(scene.world.path("workload/outputs")).unwrap();
    let mut names: Vec<_> = outputs.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, events);
}
