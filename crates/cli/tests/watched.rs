//! How a workload is watched, as its operator sees it: readiness, numbers, and log lines that say which event they are about.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use std::{fs, time::Duration};

use serde_json::Value;
use world::{Serve, World, get};

const ACME: &str = "email\ncanary.person@canary.example\nbob@example.com\n";
const GLOBEX: &str = "email\ncanary.person@canary.example\nzoe@example.com\n";

#[test]
fn readiness_and_numbers_are_served_to_the_operator_alone() {
    let world = World::enrolled(&[("acme", ACME), ("globex", GLOBEX)]);
    let mut serve = Serve::start(&world, &["--http", "127.0.0.1:0", "--ops", "127.0.0.1:0"]);
    let mailbox = serve.says("The mailbox is served at ").replace("/mailbox", "");
    let ops = serve.says("Readiness and numbers are served at ");
    for path in ["/readyz", "/metrics"] {
        assert_eq!(get(&mailbox, path).0, 404, "{path}");
    }
    for address in [&mailbox, &ops] {
        assert_eq!(get(address, "/healthz").0, 200);
    }
    let (status, answer) = get(&ops, "/readyz");
    assert_eq!(status, 200, "{answer}");
    let document: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(document["ready"], true);
    let names: Vec<_> = document["checks"].as_array().unwrap().iter().map(|check| check["name"].clone()).collect();
    assert_eq!(names, ["running", "state", "queue", "mailbox", "state_disk", "outputs_disk"]);

    world.run("acme", &["send", "CHECK_COMMON_CUSTOMERS"]).done();
    world.run("acme", &["send", "CANARY_TYPE"]).done();
    world.run("acme", &["send", "FUSE", "--holders", "acme"]).done();
    let text = serve.await_number(&ops, r#"datafuse_events_total{type="FUSE",result="refused"} 1"#);
    for line in [
        r#"datafuse_events_total{type="CHECK_COMMON_CUSTOMERS",result="done"} 1"#,
        r#"datafuse_events_total{type="unknown",result="done"} 1"#,
        r#"datafuse_event_seconds_count{type="CHECK_COMMON_CUSTOMERS"} 1"#,
        r#"datafuse_refusals_total{class="too-few-holders"} 1"#,
        "datafuse_fused_rows_total 4",
        "datafuse_matched_rows_total 4",
        "datafuse_datasets_accepted_total 2",
        "datafuse_reports_total 1",
        "datafuse_queue_up 1",
    ] {
        assert!(text.lines().any(|found| found.trim_end() == line), "{line} is not in:\n{text}");
    }
    serve.await_number(&ops, "datafuse_queue_dead_letters 1");
    for secret in ["CANARY", "canary", "acme", world.folder.path().to_str().unwrap()] {
        assert!(!text.contains(secret) && !answer.contains(secret), "{secret} in:\n{text}\n{answer}");
    }

    // A state that is gone is told, and not made anew.
    fs::rename(world.path("workload/state/state.db"), world.path("workload/state/away.db")).unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    let (status, answer) = get(&ops, "/readyz");
    assert!(status == 503 && answer.contains(r#"{"name":"state","ok":false,"why":"state"}"#), "{status} {answer}");
    #[cfg(unix)]
    serve.terminate();
    drop(serve);
}

#[test]
fn without_an_address_of_their_own_they_are_beside_the_mailbox() {
    let world = World::new(&["acme", "globex"], &[]);
    let serve = Serve::start(&world, &["--http", "127.0.0.1:0"]);
    let mailbox = serve.says("The mailbox is served at ").replace("/mailbox", "");
    for path in ["/healthz", "/readyz", "/metrics", "/mailbox"] {
        assert_eq!(get(&mailbox, path).0, 200, "{path}");
    }
}

/// Every line in the log of events in JSON, checked for its fields.
fn check_lines(err: &str, ids: &[(&str, &str)]) {
    let lines: Vec<Value> = err.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let begin = |id: &str| lines.iter().position(|line| line["event"] == id).unwrap_or_else(|| panic!("{id}: {err}"));
    for (id, name) in ids {
        let end = lines.iter().rposition(|line| line["event"] == *id).unwrap();
        for line in &lines[begin(id)..=end] {
            assert_eq!((&line["event"], &line["type"]), (&Value::from(*id), &Value::from(*name)), "{line}");
            for field in ["ts", "level", "target", "msg"] {
                assert!(line[field].is_string(), "{field} in {line}");
            }
            assert!(line.get("fields").is_none() && line.get("span").is_none(), "{line}");
        }
        assert!(end > begin(id), "{id} has one line: {err}");
    }
}

#[test]
fn every_line_about_an_event_names_it_in_both_formats() {
    let world = World::enrolled(&[("acme", ACME), ("globex", GLOBEX)]);
    let send = |args: &[&str]| world.run("acme", &[&["send"], args].concat()).done().out.trim().to_owned();
    let serve = |format: &str| {
        let args = ["serve", "--key", "party.key", "--once", "--log-format", format];
        let mut command = world.command("workload");
        world::Said::from(command.env("LOGLEVEL", "DEBUG").args(args).output().unwrap())
    };
    let good = send(&["CHECK_COMMON_DEMO_CUSTOMERS"]);
    let said = serve("json").done();
    check_lines(&said.err, &[(&good, "CHECK_COMMON_DEMO_CUSTOMERS")]);
    // From the threads of the engine too.
    assert!(said.err.contains("fusing acme"), "{}", said.err);
    let bad = send(&["FUSE", "--holders", "acme"]);
    let said = serve("json");
    assert_eq!(said.code, 6);
    check_lines(&said.err, &[(&bad, "FUSE")]);
    assert!(said.err.contains(r#""error":"too-few-holders""#), "{}", said.err);

    let good = send(&["FUSE"]);
    let said = serve("human").done();
    let about: Vec<_> = said.err.lines().filter(|line| line.contains(" audit: ") && line.contains("FUSE")).collect();
    assert!(!about.is_empty(), "{}", said.err);
    for line in about {
        assert!(line.contains(&format!("event={good}")), "{line}");
    }
    for said in [&said.err, &said.out] {
        assert!(!said.contains("canary.person"));
    }
}

#[test]
fn a_level_keeps_lines_away_but_never_those_of_the_audit() {
    let world = World::new(&["acme", "globex"], &[]);
    let mut command = world.command("workload");
    command.env("LOGLEVEL", "ERROR").env("DATAFUSE_LOG_FORMAT", "json").args([
        "run",
        "INITIALIZE",
        "--key",
        "party.key",
    ]);
    let said = world::Said::from(command.output().unwrap()).done();
    let lines: Vec<Value> = said.err.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert!(lines.iter().any(|line| line["msg"] == "Event processing done" && line["state"] == "DONE"), "{}", said.err);
    assert!(lines.iter().all(|line| line["target"] == "audit"), "{}", said.err);
}
