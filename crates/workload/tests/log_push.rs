//! Lines on their way to a log server: none lost while it takes them, none that hold up the work while it does not.
#![allow(clippy::unwrap_used, missing_docs)]

mod platform_server;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use datafuse_workload::platform::{
    Environment, Patience,
    error::Trouble,
    log_push::{LineLevel, LogPush, LogSender, PushLimits, PushNews, Unsent, push_one},
};
use platform_server::{Answer, Request, Server};
use serde_json::{Map, Value};

const LONG: Duration = Duration::from_secs(30);

fn environment(server: &Server) -> Environment {
    let url = server.url();
    Environment::from_source(|name| match name {
        "DV_LOKI" => Some(format!("{url}/logs/")),
        "DV_CAGE_ID" => Some("c7".to_owned()),
        _ => None,
    })
    .unwrap()
}

fn quick() -> PushLimits {
    let short = Duration::from_millis(20);
    PushLimits { every: short, pause: short, ..PushLimits::default() }
}

fn start(server: &Server, limits: PushLimits) -> (LogPush, mpsc::Receiver<PushNews>) {
    let (tell, news) = mpsc::channel();
    let push = LogPush::start(&environment(server), limits, move |news| drop(tell.send(news.clone())));
    (push.unwrap().unwrap(), news)
}

fn say(sender: &LogSender, level: LineLevel, words: &str) {
    let mut fields = Map::new();
    fields.insert("msg".to_owned(), words.into());
    sender.push(level, fields);
}

/// The lines that a server was given, in the order of their times.
fn lines(asked: &[Request]) -> Vec<(String, Value)> {
    let mut lines = Vec::new();
    for request in asked {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        for stream in body["streams"].as_array().unwrap() {
            let labels = stream["stream"].as_object().unwrap();
            assert_eq!(labels.keys().collect::<Vec<_>>(), ["app", "level"]);
            assert_eq!(labels["app"], "datafuse");
            for value in stream["values"].as_array().unwrap() {
                let at: u64 = value[0].as_str().unwrap().parse().unwrap();
                let line: Value = serde_json::from_str(value[1].as_str().unwrap()).unwrap();
                lines.push((at, labels["level"].as_str().unwrap().to_owned(), line));
            }
        }
    }
    lines.sort_by_key(|(at, ..)| *at);
    lines.into_iter().map(|(_, level, line)| (level, line)).collect()
}

#[test]
fn lines_arrive_in_batches_under_the_environments_tenant() {
    let server = Server::start(|_| Answer::Status(204));
    let (push, _) = start(&server, quick());
    let sender = push.sender();
    say(&sender, LineLevel::Info, "first");
    say(&sender, LineLevel::Audit, "Event processing started");
    for number in 0..2000 {
        say(&sender, LineLevel::Debug, &format!("line {number}"));
    }
    assert_eq!(push.finish(LONG), Unsent::default());
    let asked = server.asked();
    for request in &asked {
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/logs/loki/api/v1/push"));
        assert_eq!(request.header("x-scope-orgid"), "app-c7");
        assert_eq!(request.header("content-type"), "application/json");
    }
    assert!(asked.len() < 100, "{} requests for 2002 lines", asked.len());
    let lines = lines(&asked);
    assert_eq!(lines.len(), 2002);
    assert_eq!((lines[0].0.as_str(), &lines[0].1["msg"]), ("info", &Value::from("first")));
    assert_eq!((lines[1].0.as_str(), &lines[1].1["level"]), ("audit", &Value::from("AUDIT")));
    assert!(lines[1].1["timestamp"].as_u64().unwrap() > 1_700_000_000_000_000_000);
    assert_eq!(lines[2001].1["msg"], "line 1999");
    // What is said after the end is lost, and costs nothing.
    say(&sender, LineLevel::Info, "late");
}

#[test]
fn what_a_server_refuses_for_now_is_sent_again() {
    let failures = AtomicUsize::new(3);
    let server = Server::start(move |_| {
        let left = failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_ok() { Answer::Status(503) } else { Answer::Status(204) }
    });
    let (push, news) = start(&server, quick());
    say(&push.sender(), LineLevel::Error, "once");
    let place = format!("{}/logs/", server.url());
    assert_eq!(news.recv_timeout(LONG).unwrap(), PushNews::Failing { place, trouble: Trouble::Status { status: 503 } });
    assert_eq!(news.recv_timeout(LONG).unwrap(), PushNews::Recovered { dropped: 0 });
    assert_eq!(push.finish(LONG), Unsent::default());
    let asked = server.asked();
    assert_eq!(asked.len(), 4);
    assert_eq!(lines(&asked[3..])[0].1["msg"], "once");
}

#[test]
fn the_oldest_lines_give_way_and_are_counted() {
    let open = Arc::new(AtomicBool::new(false));
    let opened = Arc::clone(&open);
    let server = Server::start(move |_| match opened.load(Ordering::SeqCst) {
        true => Answer::Status(204),
        false => Answer::Status(500),
    });
    let (push, news) = start(&server, PushLimits { lines: 100, bytes: 20_000, ..quick() });
    let sender = push.sender();
    say(&sender, LineLevel::Info, "in flight");
    assert!(matches!(news.recv_timeout(LONG).unwrap(), PushNews::Failing { .. }));
    let began = Instant::now();
    for number in 0..50_000 {
        say(&sender, LineLevel::Info, &format!("line {number}"));
    }
    say(&sender, LineLevel::Info, &"x".repeat(1 << 20));
    assert!(began.elapsed() < LONG, "the work waited for the log server");
    open.store(true, Ordering::SeqCst);
    assert!(matches!(news.recv_timeout(LONG).unwrap(), PushNews::Recovered { .. }));
    let unsent = push.finish(LONG);
    assert_eq!(unsent.waiting, 0);

    let taken: Vec<_> = lines(&server.asked()).into_iter().map(|(_, line)| line).collect();
    let dropped: u64 = taken.iter().filter_map(|line| line["dropped"].as_u64()).sum();
    assert!(dropped > 49_000 && dropped == unsent.dropped, "{dropped} {unsent:?}");
    let longest = taken.iter().max_by_key(|line| line.to_string().len()).unwrap();
    assert_eq!(longest["shortened"], true);
    assert!(longest.to_string().len() < 16 << 10 && longest["msg"].as_str().unwrap().starts_with("xxx"));
}

#[test]
fn a_server_that_is_away_holds_up_neither_the_work_nor_the_end() {
    let server = Server::start(|_| Answer::Hang);
    let (push, _) = start(&server, quick());
    let sender = push.sender();
    say(&sender, LineLevel::Info, "somebody waits");
    let began = Instant::now();
    for _ in 0..10_000 {
        say(&sender, LineLevel::Info, "more");
    }
    let unsent = push.finish(Duration::from_millis(300));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(unsent.waiting as u64 + unsent.dropped >= 10_000, "{unsent:?}");
}

#[test]
fn what_a_server_refuses_for_good_is_dropped_and_the_next_is_tried() {
    let asked = Mutex::new(0);
    let server = Server::start(move |_| {
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        if *asked == 1 { Answer::Redirect("http://169.254.169.254/".to_owned()) } else { Answer::Status(204) }
    });
    let (push, news) = start(&server, quick());
    say(&push.sender(), LineLevel::Info, "refused");
    let failing = news.recv_timeout(LONG).unwrap();
    assert!(matches!(failing, PushNews::Failing { trouble: Trouble::Redirects { status: 302 }, .. }));
    say(&push.sender(), LineLevel::Info, "taken");
    assert_eq!(push.finish(LONG), Unsent { waiting: 0, dropped: 1 });
    let taken = lines(&server.asked()[1..]);
    assert!(taken.iter().any(|(_, line)| line["msg"] == "taken"));
    assert!(taken.iter().any(|(_, line)| line["dropped"] == 1));
}

#[test]
fn no_line_is_pushed_without_a_log_server() {
    let nowhere = Environment::from_source(|_| None).unwrap();
    assert!(LogPush::start(&nowhere, quick(), |_| {}).unwrap().is_none());
}

#[test]
fn one_line_tells_whether_the_server_takes_any() {
    let server = Server::start(|_| Answer::Status(204));
    assert_eq!(push_one(&environment(&server), "here", Patience::brief()).unwrap(), format!("{}/logs/", server.url()));
    assert_eq!(lines(&server.asked())[0].1["msg"], "here");
    let refusing = Server::start(|_| Answer::Status(401));
    let error = push_one(&environment(&refusing), "here", Patience::brief()).unwrap_err();
    assert!(error.to_string().contains("status 401") && error.remedy().unwrap().contains("DV_LOKI"), "{error}");
}
