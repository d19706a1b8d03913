//! Enrolment over HTTP, as its users run it: parties in folders of their own, who share nothing but the workload's address.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Stdio},
};

use world::World;

/// `datafuse serve --http`, killed when it is dropped.
struct Serve(Child);

impl Serve {
    /// Starts it at a port of its own choice, and gives the address that it says.
    fn start(world: &World) -> (Self, String) {
        let mut command = world.command("workload");
        command.args(["serve", "--key", "party.key", "--http", "127.0.0.1:0"]).stderr(Stdio::piped());
        let mut serve = Self(command.spawn().unwrap());
        let mut said = BufReader::new(serve.0.stderr.take().unwrap()).lines();
        let address = said.by_ref().find_map(|line| {
            let line = line.unwrap();
            line.split_once("The mailbox is served at ").map(|(_, address)| address.to_owned())
        });
        // Read on, so that it never waits for a reader.
        std::thread::spawn(move || said.for_each(drop));
        (serve, address.unwrap())
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn set_mailbox(world: &World, parties: &[&str], address: &str) {
    for party in parties {
        let path = world.path(party).join("space.yaml");
        let lines = fs::read_to_string(&path).unwrap();
        let lines = lines.lines().map(|line| match line.starts_with("mailbox:") {
            true => format!("mailbox: \"{address}\"\n"),
            false => format!("{line}\n"),
        });
        fs::write(&path, lines.collect::<String>()).unwrap();
    }
}

#[test]
fn holders_enrol_over_http_and_the_workload_collects() {
    let world = World::new(&["acme", "globex"], &[]);
    // The workload serves its own folder wherever the parties find it.
    set_mailbox(&world, &["workload"], "http://127.0.0.1:1/mailbox");
    world.event("INITIALIZE").done();
    let (serve, address) = Serve::start(&world);
    set_mailbox(&world, &["acme", "globex"], &address);

    world.enrol_all(&["acme", "globex"]);
    world.event("ENROL").done();
    for holder in ["acme", "globex"] {
        let said = world.enrol(holder).done();
        assert!(said.out.contains("is enrolled in epoch 1"), "{}{}", said.out, said.err);
    }
    assert!(!world.path("shared/mailbox").exists(), "nothing goes through a shared folder");

    let checked = world.run("acme", &["space", "check"]).done();
    assert!(!checked.out.contains("no epoch is announced"), "{}", checked.out);
    drop(serve);
    world.enrol("acme").refused(5, "no connection");
}

#[test]
fn an_address_that_is_taken_is_an_error() {
    let world = World::new(&["acme", "globex"], &[]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    world.run("workload", &["serve", "--key", "party.key", "--http", &address]).refused(3, "cannot listen");
}

#[test]
fn an_address_with_a_password_is_refused_and_not_repeated() {
    let world = World::new(&["acme", "globex"], &[]);
    set_mailbox(&world, &["acme"], "https://user:secretword@example.com/mailbox");
    let said = world.enrol("acme").refused(3, "user name, password");
    assert!(!said.err.contains("secretword"), "{}", said.err);
}
