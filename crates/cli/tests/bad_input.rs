//! Bad input gets a clear error, the fact and then the remedy, and loses nothing.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use std::{fs, os::unix::fs::PermissionsExt};

use world::World;

const CSV: &str = "email,segment\nada@example.com,a\nbob@example.com,b\n";

fn two() -> World {
    World::enrolled(&[("acme", CSV), ("globex", CSV)])
}

#[test]
fn a_missing_column_is_named_with_those_that_are_there() {
    let world = two();
    fs::write(world.path("acme/customers.csv"), "mail,phone\nada@example.com,1\n").unwrap();
    let before = fs::read(world.dataset("acme")).unwrap();
    let said =
        world.protect_file("acme", "customers.csv", &["--identifier", "email=email"]).refused(4, "column 'email'");
    assert!(said.err.contains("mail, phone"), "{}", said.err);
    world.protect_file("acme", "customers.csv", &[]).refused(4, "none of the space's identifiers (email)");
    assert_eq!(fs::read(world.dataset("acme")).unwrap(), before, "the former version stays");
}

#[test]
fn a_wrong_delimiter_is_found_out() {
    let world = two();
    fs::write(world.path("acme/customers.csv"), "email;segment\nada@example.com;a\n").unwrap();
    let said = world
        .protect_file("acme", "customers.csv", &["--identifier", "email=email", "--delimiter", ","])
        .refused(4, "column 'email'");
    assert!(said.err.contains("--delimiter"), "{}", said.err);
}

#[test]
fn a_list_of_rejected_rows_never_replaces_the_source() {
    let world = two();
    let before = fs::read(world.path("acme/customers.csv")).unwrap();
    fs::write(world.path("acme/bad.csv"), "email\nnot an address\nada@example.com\n").unwrap();
    let args = ["--identifier", "email=email", "--quarantine", "customers.csv"];
    world.protect_file("acme", "bad.csv", &args).refused(3, "not an earlier list of rejected rows");
    assert_eq!(fs::read(world.path("acme/customers.csv")).unwrap(), before);
    // An earlier list is replaced.
    world.protect_file("acme", "bad.csv", &args[..2]).done();
    world.protect_file("acme", "bad.csv", &args[..2]).done();
}

#[test]
fn a_source_without_one_valid_identifier_replaces_nothing() {
    let world = two();
    let before = fs::read(world.dataset("acme")).unwrap();
    world.protect_file("acme", "customers.csv", &["--identifier", "email=segment"]).refused(4, "no row has a valid");
    assert_eq!(fs::read(world.dataset("acme")).unwrap(), before);
}

#[test]
fn rows_that_are_not_utf8_are_rejected_and_the_flag_is_named() {
    let world = two();
    fs::write(world.path("acme/latin.csv"), b"email,city\nada@example.com,Li\xe8ge\nbob@example.com,Gent\n").unwrap();
    let args = ["--identifier", "email=email", "--keep", "city"];
    let said = world.protect_file("acme", "latin.csv", &args).done();
    assert!(said.err.contains("--encoding latin1"), "{}", said.err);
    let rejected = world.path("acme/latin.rejected.csv");
    assert!(fs::read(&rejected).unwrap().starts_with(b"row,"));
    assert_eq!(fs::metadata(&rejected).unwrap().permissions().mode() & 0o777, 0o600);
    let said = world.protect_file("acme", "latin.csv", &[&args[..], &["--encoding", "latin1"]].concat()).done();
    assert!(said.out.contains("2 valid, 0 empty, 0 invalid"), "{}", said.out);
}

#[test]
fn truncated_and_corrupted_datasets_are_refused() {
    let world = two();
    let path = world.dataset("acme");
    let whole = fs::read(&path).unwrap();
    for cut in [0, 3, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..cut]).unwrap();
        world.event("FUSE").refused(4, "acme.parquet");
    }
    for at in (0..whole.len()).step_by(whole.len() / 40) {
        let mut altered = whole.clone();
        altered[at] ^= 1;
        fs::write(&path, &altered).unwrap();
        let said = world.event("FUSE");
        assert!(said.code == 4, "byte {at}: {} {}", said.code, said.err);
        assert!(!said.err.contains("panicked") && !said.err.contains("unexpectedly"), "byte {at}: {}", said.err);
    }
    fs::write(&path, whole).unwrap();
    world.event("CHECK_COMMON_CUSTOMERS").done();
}

#[test]
fn a_plain_parquet_or_other_file_is_no_dataset() {
    let world = two();
    fs::write(world.dataset("acme"), CSV).unwrap();
    world.event("FUSE").refused(4, "acme.parquet");
    fs::remove_file(world.dataset("acme")).unwrap();
    world.event("FUSE").refused(4, "dataset 'customers' of 'acme' is not at");
}

#[test]
fn a_dataset_of_another_holder_or_space_is_refused_by_name() {
    let (world, other) = (two(), two());
    fs::copy(world.dataset("globex"), world.dataset("acme")).unwrap();
    world.event("FUSE").refused(4, "of another holder");
    fs::copy(other.dataset("acme"), world.dataset("acme")).unwrap();
    world.event("FUSE").refused(4, "of another root");
}

#[test]
fn a_dataset_made_with_another_profile_is_refused_and_both_are_named() {
    let world = two();
    let yaml = fs::read_to_string(world.path("acme/space.yaml")).unwrap();
    fs::write(world.path("acme/space.yaml"), yaml.replace("email-v1", "email-gmail-v1")).unwrap();
    // Another profile is another root: the names have to be approved anew, and there is no announcement for it.
    world.enrol("acme").done();
    world.protect("acme", CSV).refused(5, "no epoch is open");
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    let world = two();
    let key = world.path("acme/party.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let said = world.enrol("acme").refused(3, "can be read by others");
    assert!(said.err.contains("chmod 600"), "{}", said.err);
}

#[test]
fn a_key_file_is_never_overwritten_and_belongs_to_one_party() {
    let world = two();
    world.run("acme", &["keygen", "--out", "party.key"]).refused(3, "never overwritten");
    let args = ["enrol", "--party", "globex", "--key", "party.key", "--yes"];
    world.run("acme", &args).refused(3, "the key file is not 'globex's");
    world.run("acme", &["run", "FUSE", "--key", "party.key"]).refused(3, "the key file is not the workload's");
}

#[test]
fn an_unknown_participant_kind_or_field_is_refused() {
    let world = two();
    world.run("acme", &["enrol", "--party", "umbrella", "--key", "party.key"]).refused(3, "no participant 'umbrella'");
    world.protect_file("acme", "customers.csv", &["--identifier", "iban=email"]).refused(2, "no identifier 'iban'");
    let yaml = fs::read_to_string(world.path("acme/space.yaml")).unwrap();
    fs::write(world.path("acme/space.yaml"), yaml.replace("outputs:", "outptus:")).unwrap();
    let said = world.enrol("acme").refused(3, "outptus");
    assert!(said.err.contains("outputs"), "{}", said.err);
    let args = ["run", "FUSE", "--key", "party.key", "--holders", "acme,umbrella"];
    world.run("workload", &args).refused(3, "no participant 'umbrella'");
}

#[test]
fn names_are_not_approved_without_a_word() {
    let world = World::new(&["acme", "globex"], &[]);
    world.event("INITIALIZE").done();
    let said = world.run("acme", &["enrol", "--party", "acme", "--key", "party.key"]).refused(6, "not approved");
    assert!(said.err.contains("founding name"), "{}", said.err);
    assert_eq!(
        fs::read_dir(world.path("shared/mailbox"))
            .unwrap()
            .filter(|entry| { entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".msg") })
            .count(),
        0
    );
    // A name that changes is asked for again.
    world.enrol("acme").done();
    let stranger = world.run("globex", &["keygen", "--out", "other.key"]).done().out;
    let yaml = fs::read_to_string(world.path("acme/space.yaml")).unwrap();
    let former = yaml.lines().skip_while(|line| !line.contains("globex:")).find(|line| line.contains("name:")).unwrap();
    let former = former.trim().trim_start_matches("name: ");
    let changed =
        yaml.replace(&format!("    name: {former}"), &format!("    name: {}\n    former: [{former}]", stranger.trim()));
    fs::write(world.path("acme/space.yaml"), changed).unwrap();
    let said = world.run("acme", &["enrol", "--party", "acme", "--key", "party.key"]).refused(6, "not approved");
    assert!(said.err.contains("CHANGED"), "{}", said.err);
}

#[test]
fn nothing_goes_before_the_epoch_is_open_and_it_opens_once() {
    let world = World::new(&["acme", "globex"], &[]);
    assert!(world.enrol("acme").done().out.contains("Awaited: the workload opens an epoch"));
    world.protect("acme", CSV).refused(5, "no epoch is open");
    world.event("CHECK_COMMON_CUSTOMERS").refused(5, "no epoch is open");
    world.event("INITIALIZE").done();
    world.event("INITIALIZE").refused(6, "epoch 1 is open already");
}

#[test]
fn a_message_altered_on_its_way_is_refused_named_and_sent_again() {
    let world = World::new(&["acme", "globex"], &[]);
    world.event("INITIALIZE").done();
    world.enrol("acme").done();
    let mailbox = world.path("shared/mailbox");
    let messages = || {
        world::files(&mailbox).into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "msg"))
    };
    assert_eq!(messages().count(), 3);
    for path in messages() {
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    let said = world.enrol("globex").done();
    assert!(said.out.contains("acme, a steward, runs datafuse enrol again: its message was refused"), "{}", said.out);
    world.event("ENROL").done();
    world.enrol_all(&["acme", "globex"]);
    world.protect("acme", CSV).done();
    world.protect("globex", CSV).done();
    world.event("CHECK_COMMON_CUSTOMERS").done();
    assert_eq!(world.report()["overlap"]["all"], 2);
}

#[test]
fn malformed_oversized_and_deep_events_are_put_aside() {
    let world = two();
    let (ready, dead) = (world.path("shared/queue/ready"), world.path("shared/queue/dead"));
    let oversized = format!("{{\"type\": \"FUSE\", \"x\": \"{}\"}}", "x".repeat(70_000));
    let deep = format!("{{\"type\": \"FUSE\", \"x\": {}1{}}}", "[".repeat(40), "]".repeat(40));
    let contents = ["not json", "[]", "{}", "{\"type\": 3}", &oversized, &deep];
    for (index, content) in contents.iter().enumerate() {
        world.run("acme", &["send", "CHECK_COMMON_CUSTOMERS"]).done();
        let [event] = &world::files(&ready)[..] else { panic!("one event") };
        fs::write(event, content).unwrap();
        let said = world.run("workload", &["serve", "--key", "party.key", "--once"]).refused(4, "the event");
        assert!(!said.err.contains("not json") && !said.err.contains("xxx"), "{}", said.err);
        let mut letters = world::files(&dead);
        // Beside each is the event itself, for the operator.
        letters.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        assert_eq!(letters.len(), index + 1);
        assert!(letters.iter().all(|letter| fs::metadata(letter).unwrap().len() < 1000));
    }
    // The queue goes on.
    world.run("acme", &["send", "CHECK_COMMON_CUSTOMERS"]).done();
    world.run("workload", &["serve", "--key", "party.key", "--once"]).done();
}

#[test]
fn an_output_folder_that_cannot_be_made_is_told_before_the_work() {
    let world = two();
    fs::write(world.path("workload/outputs"), "a file").unwrap();
    world.event("CHECK_COMMON_CUSTOMERS").refused(3, "outputs");
    // Nothing was fused for it.
    assert_eq!(world::files(&world.path("workload/state/fused")).len(), 0);
    fs::remove_file(world.path("workload/outputs")).unwrap();
    world.event("CHECK_COMMON_CUSTOMERS").done();
}

#[test]
fn no_space_for_an_output_is_an_error_and_leaves_no_half_of_it() {
    let world = World { folder: tempfile::tempdir().unwrap() };
    let args = ["demo", "--holders", "8", "--rows", "300", "--overlap", "0.5", "--out", "demo", "--quiet"];
    world.run(".", &args).done();
    let outputs = world.path("demo/outputs");
    assert_eq!(fs::read_dir(&outputs).unwrap().count(), 1);

    // Files of at most 52 KiB can be written: enough for the state's, too little for this report.
    let limited = format!("ulimit -f 52; trap '' XFSZ; exec '{}' \"$@\"", env!("CARGO_BIN_EXE_datafuse"));
    let run = ["run", "CHECK_COMMON_CUSTOMERS", "--space", "demo/space.yaml", "--key", "demo/keys/workload.key"];
    let mut command = std::process::Command::new("bash");
    command.args(["-c", &limited, "datafuse"]).args(run).current_dir(world.path("."));
    let said = world::Said::from(command.output().unwrap()).refused(7, "could not write");
    assert!(said.err.contains("free some space"), "{}", said.err);
    assert_eq!(fs::read_dir(&outputs).unwrap().count(), 1, "nothing half-made is left");

    world.run(".", &run).done();
    assert_eq!(fs::read_dir(&outputs).unwrap().count(), 2);
}

#[test]
fn no_space_for_rejected_rows_is_an_error() {
    let world = two();
    fs::write(world.path("acme/bad.csv"), "email\nnot an address\nada@example.com\n").unwrap();
    let args = ["--identifier", "email=email", "--quarantine", "/dev/full/rejected.csv"];
    world.protect_file("acme", "bad.csv", &args).refused(3, "/dev/full/rejected.csv");
}

#[test]
fn an_address_within_the_machine_is_refused_unless_the_operator_allows_it() {
    let world = two();
    let yaml = fs::read_to_string(world.path("workload/space.yaml")).unwrap();
    let place = world.dataset("acme").to_str().unwrap().to_owned();
    let changed = yaml.replace(&place, "http://127.0.0.1:9/acme.parquet");
    assert_ne!(yaml, changed);
    fs::write(world.path("workload/space.yaml"), changed).unwrap();
    world.event("FUSE").refused(6, "127.0.0.1");
    let args = ["run", "FUSE", "--key", "party.key", "--allow-host", "127.0.0.1"];
    world.run("workload", &args).refused(5, "127.0.0.1");
}

#[test]
fn flags_that_make_no_sense_are_usage_errors() {
    let world = two();
    assert_eq!(world.run("acme", &["protect"]).code, 2);
    assert_eq!(world.run("acme", &["no-such-command"]).code, 2);
    let args = ["demo", "--rows", "0", "--out", "x"];
    world.run("acme", &args).refused(2, "the number of rows");
    world.protect_file("acme", "customers.csv", &["--delimiter", "||"]).refused(2, "--delimiter");
    world.protect_file("acme", "nothing.csv", &["--identifier", "email=email"]).refused(4, "nothing.csv");
}

#[test]
fn rejected_rows_of_an_earlier_run_are_no_source_of_the_next() {
    let world = World::new(&["acme", "globex"], &[]);
    world.event("INITIALIZE").done();
    world.enrol_all(&["acme", "globex"]);
    fs::create_dir(world.path("acme/in")).unwrap();
    fs::write(world.path("acme/in/a.csv"), "email\nann@example.com\nnot an address\n").unwrap();
    for _ in 0..2 {
        world.protect_file("acme", "in/*.csv", &["--quarantine", "in/a.rejected.csv"]).done();
        assert!(world.path("acme/in/a.rejected.csv").exists());
    }
    // Only a pattern that names them finds them.
    world.protect_file("acme", "in/*.rejected.csv", &[]).refused(4, "email");
}
