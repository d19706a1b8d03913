//! Key files as their owners handle them: passphrases, rotation, replacement, shares, and what is refused.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use std::{fs, io::Read, os::unix::fs::PermissionsExt};

use world::{Said, World};

const OLD: &str = "correct horse battery staple";
const NEW: &str = "a quite different one";

/// A folder with one key file, and two passphrases in files.
fn one(passphrase: bool) -> World {
    let world = World { folder: tempfile::tempdir().unwrap() };
    private(&world, "old.txt", &format!("{OLD}\nmore\n"));
    private(&world, "new.txt", NEW);
    let mut args = vec!["keygen", "--out", "acme.key"];
    if passphrase {
        args.extend(["--passphrase-file", "old.txt"]);
    }
    world.run(".", &args).done();
    world
}

fn private(world: &World, name: &str, text: &str) {
    fs::write(world.path(name), text).unwrap();
    mode(world, name, 0o600);
}

fn mode(world: &World, name: &str, mode: u32) {
    fs::set_permissions(world.path(name), fs::Permissions::from_mode(mode)).unwrap();
}

fn key(world: &World, command: &str, more: &[&str]) -> Said {
    world.run(".", &[&["key", command, "--key", "acme.key"], more].concat())
}

fn show(world: &World, more: &[&str]) -> serde_json::Value {
    serde_json::from_str(&key(world, "show", &[&["--json"], more].concat()).done().out).unwrap()
}

fn text(world: &World) -> String {
    fs::read_to_string(world.path("acme.key")).unwrap()
}

const UNDER_OLD: [&str; 2] = ["--passphrase-file", "old.txt"];

#[test]
fn showing_a_key_file_tells_everything_but_secrets() {
    let world = one(false);
    let shown = show(&world, &[]);
    assert!(shown["public_name"].as_str().unwrap().starts_with("dfpub1"));
    assert_eq!((&shown["passphrase"], &shown["former_shares"]), (&false.into(), &0.into()));
    assert!(shown["created"].as_str().unwrap().ends_with('Z'));
    let said = key(&world, "show", &[]).done();
    for word in ["public_name", "fingerprint", "created", "key_id"] {
        assert!(said.out.contains(shown[word].as_str().unwrap()), "{word} is not in:\n{}", said.out);
    }
    assert!(!said.out.contains("SECRET"));
}

#[test]
fn a_key_file_under_a_passphrase_opens_with_it_from_a_file_a_descriptor_or_the_environment() {
    let world = one(true);
    assert!(!text(&world).contains("DATAFUSE-SECRET-KEY"));
    assert_eq!(show(&world, &UNDER_OLD)["passphrase"], true);
    let run = |program: &str| -> Said {
        let script = format!("exec '{}' key show --key acme.key {program}", env!("CARGO_BIN_EXE_datafuse"));
        let mut command = std::process::Command::new("bash");
        command.args(["-c", &script]).current_dir(world.path(".")).stdin(std::process::Stdio::null());
        command.env_remove("DATAFUSE_PASSPHRASE_FILE").output().unwrap().into()
    };
    run("--passphrase-fd 3 3<old.txt").done();
    run("--passphrase-fd 3 --passphrase-file new.txt 3< <(head -1 old.txt)").done();
    run("--passphrase-fd 9").refused(3, "--passphrase-fd 9 cannot be read");
    let mut command = world.command(".");
    command.args(["key", "show", "--key", "acme.key"]).env("DATAFUSE_PASSPHRASE_FILE", "old.txt");
    Said::from(command.output().unwrap()).done();
    let doctor = world.run(".", &["doctor", "--key", "acme.key", "--passphrase-file", "old.txt"]).done();
    assert!(doctor.out.contains("under a passphrase"), "{}", doctor.out);
}

#[test]
fn a_wrong_missing_or_unsafe_passphrase_is_refused() {
    let world = one(true);
    let said =
        key(&world, "show", &["--passphrase-file", "new.txt"]).refused(3, "the passphrase does not open acme.key");
    assert!(said.err.contains("--passphrase-file") && !said.err.contains(NEW), "{}", said.err);
    let said =
        key(&world, "show", &[]).refused(3, "the passphrase of acme.key cannot be asked for: this is no terminal");
    assert!(said.err.contains("Try: --passphrase-file FILE or --passphrase-fd N"), "{}", said.err);
    key(&world, "show", &["--passphrase-file", "none.txt"]).refused(3, "none.txt");
    for exposed in [0o640, 0o604] {
        mode(&world, "old.txt", exposed);
        let said = key(&world, "show", &UNDER_OLD).refused(3, "the passphrase file old.txt can be read by others");
        assert!(said.err.contains("chmod 600 old.txt"), "{}", said.err);
    }
    private(&world, "old.txt", "\nsecond line\n");
    key(&world, "show", &UNDER_OLD).refused(3, "its first line is empty");
    // Told before any passphrase: that others can read the key file, and that it is none.
    mode(&world, "acme.key", 0o644);
    key(&world, "show", &[]).refused(3, "can be read by others");
    fs::write(world.path("acme.key"), "email\n").unwrap();
    key(&world, "show", &[]).refused(3, "is not a key file");
}

#[test]
fn a_new_passphrase_is_not_asked_for_without_a_terminal() {
    let world = one(false);
    let said = world.run(".", &["keygen", "--out", "b.key", "--passphrase"]).refused(3, "this is no terminal");
    assert!(said.err.contains("--passphrase-file"), "{}", said.err);
    assert!(!world.path("b.key").exists());
    let before = text(&world);
    let said = key(&world, "change-passphrase", &[]).refused(3, "this is no terminal");
    assert!(said.err.contains("--new-passphrase-file"), "{}", said.err);
    assert_eq!(text(&world), before);
}

#[test]
fn a_passphrase_is_set_changed_and_removed() {
    let world = one(false);
    let name = show(&world, &[])["public_name"].clone();
    key(&world, "change-passphrase", &["--new-passphrase-file", "old.txt"]).done();
    assert_eq!(show(&world, &UNDER_OLD)["public_name"], name);
    key(&world, "change-passphrase", &[&UNDER_OLD[..], &["--new-passphrase-file", "new.txt"]].concat()).done();
    key(&world, "show", &UNDER_OLD).refused(3, "the passphrase does not open");
    key(&world, "change-passphrase", &["--passphrase-file", "new.txt", "--remove"]).done();
    assert_eq!(show(&world, &[])["public_name"], name);
    assert_eq!(fs::metadata(world.path("acme.key")).unwrap().permissions().mode() & 0o777, 0o600);
}

/// What `age -d` does with the part below the comments.
#[test]
fn an_age_implementation_opens_what_is_below_the_comments() {
    let world = one(true);
    let file = text(&world);
    let armored: String = file.lines().filter(|line| !line.starts_with('#')).flat_map(|line| [line, "\n"]).collect();
    let reader = age::armor::ArmoredReader::new(armored.as_bytes());
    let identity = age::scrypt::Identity::new(age::secrecy::SecretString::from(OLD.to_owned()));
    let mut plain = String::new();
    let decryptor = age::Decryptor::new(reader).unwrap();
    decryptor.decrypt(std::iter::once(&identity as _)).unwrap().read_to_string(&mut plain).unwrap();
    assert!(plain.contains("DATAFUSE-SECRET-KEY-1"));
    // And what comes out is the plain form of the same keys.
    private(&world, "acme.key", &plain);
    assert_eq!(show(&world, &[])["passphrase"], false);
}

#[test]
fn rotating_keeps_the_former_key_id_and_the_name() {
    let world = one(true);
    let before = show(&world, &UNDER_OLD);
    let said = key(&world, "rotate", &UNDER_OLD).done();
    assert!(said.err.contains("datafuse enrol") && said.err.contains("protect --rekey"), "{}", said.err);
    let after = show(&world, &UNDER_OLD);
    assert_eq!(after["key_id"], said.out.trim());
    assert_eq!(after["former_key_ids"], serde_json::json!([before["key_id"]]));
    assert_eq!((&after["public_name"], &after["created"]), (&before["public_name"], &before["created"]));
    key(&world, "rotate", &["--passphrase-file", "new.txt"]).refused(3, "the passphrase does not open");
    assert_eq!(show(&world, &UNDER_OLD), after);
}

#[test]
fn rotating_in_a_space_enrols_and_another_partys_file_is_not_rotated() {
    let world = World::new(&["acme", "globex"], &[]);
    world.event("INITIALIZE").done();
    let rotate = |holder, party| {
        let args = ["key", "rotate", "--key", "party.key", "--space", "space.yaml", "--party", party, "--yes"];
        world.run(holder, &args)
    };
    let said = rotate("acme", "acme").done();
    assert!(said.out.contains("Awaited: globex, a steward, runs datafuse enrol"), "{}", said.out);
    let before = fs::read(world.path("acme/party.key")).unwrap();
    rotate("acme", "globex").refused(3, "the key file is not 'globex's");
    assert_eq!(fs::read(world.path("acme/party.key")).unwrap(), before);
    // A workload's file is rotated without a party.
    world.run("workload", &["key", "rotate", "--key", "party.key", "--space", "space.yaml"]).done();
}

#[test]
fn replacing_and_forgetting_ask_for_the_whole_word() {
    let world = one(false);
    let (before, bytes) = (show(&world, &[]), text(&world));
    key(&world, "replace", &[]).refused(6, "not confirmed");
    assert_eq!(text(&world), bytes);
    let said = key(&world, "replace", &["--yes"]).done();
    let after = show(&world, &[]);
    assert_eq!(after["public_name"], said.out.trim());
    assert_ne!(after["public_name"], before["public_name"]);
    assert_eq!(after["former_names"][0]["public_name"], before["public_name"]);
    assert_eq!(after["former_shares"], 1);
    assert!(said.err.contains("into the list `former`") && said.err.contains("datafuse run ENROL"), "{}", said.err);

    let said = key(&world, "forget", &[]).refused(6, "not confirmed");
    assert!(said.err.contains(before["key_id"].as_str().unwrap()), "{}", said.err);
    key(&world, "forget", &["--yes"]).done();
    let last = show(&world, &[]);
    assert_eq!((&last["former_key_ids"], &last["former_names"]), (&serde_json::json!([]), &serde_json::json!([])));
    assert_eq!(last["public_name"], after["public_name"]);
    assert!(key(&world, "forget", &[]).done().out.contains("nothing to wipe"));
}

#[test]
fn shares_make_the_key_file_again_and_too_few_do_not() {
    let world = one(true);
    let before = show(&world, &UNDER_OLD);
    let args = [&["--shares", "5", "--threshold", "3", "--out", "shares"], &UNDER_OLD[..]].concat();
    let said = key(&world, "split", &args).done();
    let shares: Vec<_> = said.out.lines().map(str::to_owned).collect();
    assert_eq!(shares.len(), 5);
    assert_eq!(shares[1], "shares/acme.key.share-2-of-5");
    for share in &shares {
        assert_eq!(fs::metadata(world.path(share)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    key(&world, "split", &args).refused(3, "is there already");

    let combine = |shares: &[&str], more: &[&str]| {
        world.run(".", &[&["key", "combine"], shares, &["--out", "again.key"], more].concat())
    };
    let said = combine(&[&shares[0], &shares[4]], &[]).refused(3, "2 shares are given; 3 are needed");
    assert!(said.err.contains("Try: give 3 different shares"), "{}", said.err);
    combine(&[&shares[0], &shares[4], &shares[0]], &[]).refused(3, "is the same share as");
    combine(&["acme.key"], &[]).refused(3, "is not a key share");
    assert!(!world.path("again.key").exists());
    combine(&[&shares[4], &shares[0], &shares[2]], &["--passphrase-file", "new.txt"]).done();
    combine(&[&shares[4], &shares[0], &shares[2]], &[]).refused(3, "is there already");
    let args = ["key", "show", "--key", "again.key", "--passphrase-file", "new.txt", "--json"];
    let again: serde_json::Value = serde_json::from_str(&world.run(".", &args).done().out).unwrap();
    assert_eq!((&again["public_name"], &again["key_id"]), (&before["public_name"], &before["key_id"]));

    key(&world, "split", &["--shares", "2", "--threshold", "3", "--out", "x"]).refused(2, "--threshold");
    key(&world, "split", &["--shares", "300", "--threshold", "3", "--out", "x"]).code.eq(&2).then_some(()).unwrap();
}

#[test]
fn a_party_and_a_workload_work_with_keys_under_a_passphrase() {
    let world = World::new(&["acme", "globex"], &[]);
    private(&world, "old.txt", OLD);
    for party in ["workload", "acme"] {
        let args = ["key", "change-passphrase", "--key", "party.key", "--new-passphrase-file", "../old.txt"];
        world.run(party, &args).done();
    }
    world.event("INITIALIZE").refused(3, "this is no terminal");
    let under = ["--key", "party.key", "--passphrase-file", "../old.txt"];
    world.run("workload", &[&["run", "INITIALIZE"], &under[..]].concat()).done();
    world.enrol("acme").refused(3, "this is no terminal");
    world.run("acme", &[&["enrol", "--party", "acme", "--yes"], &under[..]].concat()).done();
}

/// The limits of a process that runs.
#[cfg(target_os = "linux")]
#[test]
fn a_running_workload_dumps_no_core() {
    let world = World::new(&["acme", "globex"], &[]);
    world.event("INITIALIZE").done();
    let mut command = world.command("workload");
    command.args(["serve", "--key", "party.key", "--quiet"]).env("DAEMON", "true");
    let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    // The soft limit is often 0 already; the hard one is so only by the program's doing.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let limits = loop {
        let limits = fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap().to_owned();
        if core.split_whitespace().nth(5) == Some("0") || std::time::Instant::now() > until {
            break core;
        }
        std::thread::yield_now();
    };
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(limits.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{limits}");
}
