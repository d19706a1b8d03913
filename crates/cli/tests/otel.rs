//! Spans to an OpenTelemetry collector: a program built with the feature `otel` against a stub of one.
#![cfg(feature = "otel")]
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::mpsc,
    time::Duration,
};

use world::World;

/// Answers one request after the other, and hands on what was sent.
fn collector() -> (String, mpsc::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (give, requests) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
            loop {
                let head = bytes.windows(4).position(|window| window == b"\r\n\r\n");
                if let Some(head) = head {
                    let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
                    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                    if bytes.len() >= head + 4 + length.parse::<usize>().unwrap() {
                        break;
                    }
                }
                let read = stream.read(&mut buffer).unwrap();
                assert!(read > 0);
                bytes.extend_from_slice(&buffer[..read]);
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
            let _ = give.send(bytes);
        }
    });
    (address, requests)
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_collector_receives_a_span_of_an_event() {
    let world = World::new(&["acme", "globex"], &[]);
    let (address, requests) = collector();
    let mut command = world.command("workload");
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &address).args(["run", "INITIALIZE", "--key", "party.key"]);
    world::Said::from(command.output().unwrap()).done();
    let sent = requests.recv_timeout(Duration::from_secs(30)).unwrap();
    assert!(sent.starts_with(b"POST /v1/traces HTTP/1.1\r\n"));
    for text in ["datafuse", "work", "type", "INITIALIZE", "event"] {
        assert!(holds(&sent, text), "{text}");
    }
}

#[test]
fn a_collector_that_is_away_costs_no_event() {
    let world = World::new(&["acme", "globex"], &[]);
    let mut command = world.command("workload");
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1").args(["run", "INITIALIZE", "--key", "party.key"]);
    world::Said::from(command.output().unwrap()).done();
}
