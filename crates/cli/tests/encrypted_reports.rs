//! Reports encrypted to their data user, opened and verified with the program as its users run it, and with the standard tool `age`.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod world;

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use world::{Said, World, files};

const ACME: &str = "email\nada@example.com\nbob@example.com\n";
const GLOBEX: &str = "email\nada@example.com\nzoe@example.com\n";

/// A space whose user has an identity and named its recipient; with one encrypted report. Gives the report's folder as well.
fn reported(acme: &str, globex: &str) -> (World, PathBuf, Said) {
    let world = World::enrolled(&[("acme", acme), ("globex", globex)]);
    fs::create_dir(world.path("insights")).unwrap();
    let recipient = keygen(&world, "insights.age", &[]);
    name_recipient(&world, &recipient);
    fs::copy(world.path("workload/space.yaml"), world.path("insights/space.yaml")).unwrap();
    let mut command = world.command("workload");
    command.args(["run", "CHECK_COMMON_CUSTOMERS", "--key", "party.key"]).env("LOGLEVEL", "DEBUG");
    let said = Said::from(command.output().unwrap()).done();
    let folder = fs::read_dir(world.path("workload/outputs")).unwrap().next().unwrap().unwrap().path();
    (world, folder, said)
}

fn keygen(world: &World, file: &str, more: &[&str]) -> String {
    let said = world.run("insights", &[&["keygen", "--recipient", "--out", file], more].concat()).done();
    assert!(said.err.contains("readable by you alone"), "{}", said.err);
    said.out.trim().to_owned()
}

fn name_recipient(world: &World, recipient: &str) {
    let path = world.path("workload/space.yaml");
    let yaml = fs::read_to_string(&path).unwrap();
    let with = yaml.replacen("    roles: [user]\n", &format!("    roles: [user]\n    recipient: {recipient}\n"), 1);
    assert_ne!(yaml, with);
    fs::write(path, with).unwrap();
}

fn open(world: &World, file: &Path, more: &[&str]) -> Said {
    world.run("insights", &[&["report", "open", file.to_str().unwrap()], more].concat())
}

fn verify(world: &World, file: &Path, more: &[&str]) -> Said {
    world.run("insights", &[&["report", "verify", file.to_str().unwrap()], more].concat())
}

#[test]
fn a_user_with_a_recipient_gets_a_report_that_it_alone_opens() {
    let (world, folder, said) = reported(ACME, GLOBEX);
    let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort_unstable();
    assert_eq!(names, ["receipt.json", "report.dsse.json.age"]);
    assert!(said.out.starts_with("The report is encrypted to insights; nobody else can read it"), "{}", said.out);
    let found = world.run("workload", &["space", "check"]).done().out;
    assert!(found.contains("participants.insights.recipient") && found.contains("encrypted to age1"), "{found}");

    let mine = ["--identity", "insights.age", "--space", "space.yaml", "--html", "report.html"];
    let opened = open(&world, &folder, &mine).done();
    assert!(opened.err.contains("Signed by the workload of test-space ("), "{}", opened.err);
    assert!(opened.out.contains("acme") && opened.out.contains("globex"), "{}", opened.out);
    assert!(fs::read_to_string(world.path("insights/report.html")).unwrap().contains("</html>"));
    let value = open(&world, &folder, &["--identity", "insights.age", "--json"]).done();
    assert!(value.err.contains("Not verified") && !value.err.contains("passed it on"), "{}", value.err);
    let value: Value = serde_json::from_str(&value.out).unwrap();
    assert_eq!(value["common_customers"], json!({ "by_email": 1 }));
    // Nothing decrypted is left beside the page.
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
}

#[test]
fn the_receipt_verifies_offline_with_and_without_the_file_and_shows_no_figure() {
    let (world, folder, _) = reported(ACME, GLOBEX);
    let said = verify(&world, &folder, &[]).done();
    assert!(said.out.starts_with("Good: signed by the workload of test-space ("), "{}", said.out);
    for words in [
        "report.dsse.json.age beside it is the file that the workload made",
        "Recipients: insights (age1",
        "Dataset:    customers of acme, version 1, SHA-256 ",
    ] {
        assert!(said.out.contains(words), "{words}: {}", said.out);
    }
    let value: Value = serde_json::from_str(&verify(&world, &folder, &["--json"]).done().out).unwrap();
    assert_eq!((&value["verified"], &value["receipt"]), (&json!(true), &json!(true)));
    assert_eq!(value["files"], json!(["report.dsse.json.age"]));

    // The audit log holds the entry that the receipt names, and that entry tells of this very file.
    let entry = value["audit"].as_str().unwrap();
    world.run("workload", &["audit", "verify", "--expect", entry]).done();
    let log = fs::read_to_string(world.path("workload/state/audit.jsonl")).unwrap();
    let line = log.lines().find(|line| line.contains("Report made")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["sha256"], value["file"]["sha256"]);
    assert!(line["seq"].as_u64().unwrap() <= entry.split(':').next().unwrap().parse().unwrap());

    // Alone, as an auditor gets it.
    let alone = world.path("insights/receipt.json");
    fs::copy(folder.join("receipt.json"), &alone).unwrap();
    let said = verify(&world, &alone, &[]).done();
    assert!(said.out.contains("report.dsse.json.age, which does not lie beside it, has SHA-256"), "{}", said.out);
    open(&world, &alone, &[]).refused(4, "it is the receipt of a report");

    let file = folder.join("report.dsse.json.age");
    let good = fs::read(&file).unwrap();
    fs::write(&file, [&good[..], b"x"].concat()).unwrap();
    verify(&world, &folder, &[]).refused(4, "report.dsse.json.age is not the file that was signed");
    fs::write(&file, good).unwrap();
    verify(&world, &file, &[]).refused(2, "is encrypted");
    let other = World::new(&["acme", "globex"], &[]);
    let space = other.path("space.yaml");
    verify(&world, &folder, &["--space", space.to_str().unwrap()])
        .refused(5, "not signed by the workload of this space");
    let yaml = fs::read_to_string(world.path("insights/space.yaml")).unwrap();
    fs::write(world.path("insights/other.yaml"), yaml.replacen("id: test-space", "id: other-space", 1)).unwrap();
    verify(&world, &folder, &["--space", "other.yaml"]).refused(4, "made for another space");
    let receipt = fs::read_to_string(folder.join("receipt.json")).unwrap();
    fs::write(folder.join("receipt.json"), receipt.replacen("\"payload\":\"eyJ", "\"payload\":\"eyK", 1)).unwrap();
    assert_ne!(verify(&world, &folder, &[]).code, 0);
}

#[test]
fn each_way_in_which_a_report_does_not_open_has_a_fact_a_remedy_and_a_code() {
    let (world, folder, _) = reported(ACME, GLOBEX);
    open(&world, &folder, &[]).refused(2, "is encrypted to its data users");
    let other = keygen(&world, "other.age", &[]);
    let refused =
        open(&world, &folder, &["--identity", "other.age"]).refused(3, &format!("encrypted to others than {other}"));
    assert!(!refused.err.contains("AGE-SECRET"), "{}", refused.err);
    open(&world, &folder, &["--identity", "nowhere.age"]).refused(3, "nowhere.age");
    world.run("insights", &["keygen", "--out", "party.key"]).done();
    open(&world, &folder, &["--identity", "party.key"]).refused(3, "the key file of a party");
    fs::set_permissions(world.path("insights/other.age"), fs::Permissions::from_mode(0o644)).unwrap();
    open(&world, &folder, &["--identity", "other.age"]).refused(3, "other.age");

    let file = folder.join("report.dsse.json.age");
    let good = fs::read(&file).unwrap();
    let mut altered = good.clone();
    *altered.last_mut().unwrap() ^= 1;
    for bytes in [&altered[..], &good[..good.len() - 20], &good[..60]] {
        fs::write(&file, bytes).unwrap();
        open(&world, &folder, &["--identity", "insights.age"]).refused(4, "it was altered, or its end is missing");
    }
    fs::write(&file, &good).unwrap();

    // Of another workload, to the same recipient: everybody can encrypt to it.
    let stranger = World::new(&["acme", "globex"], &[]);
    let space = stranger.path("space.yaml");
    let forged = ["--identity", "insights.age", "--space", space.to_str().unwrap()];
    open(&world, &folder, &forged).refused(5, "not signed by the workload of this space");
}

#[test]
fn an_identity_under_a_passphrase_opens_with_it() {
    let (world, _, _) = reported(ACME, GLOBEX);
    for (name, text) in [("good.txt", "correct horse"), ("wrong.txt", "battery staple")] {
        let path = world.path("insights").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let recipient = keygen(&world, "locked.age", &["--passphrase-file", "good.txt"]);
    let yaml = fs::read_to_string(world.path("workload/space.yaml")).unwrap();
    let former = yaml.lines().find_map(|line| line.strip_prefix("    recipient: ")).unwrap();
    fs::write(world.path("workload/space.yaml"), yaml.replace(former, &recipient)).unwrap();
    let said = world.run("workload", &["run", "CHECK_COMMON_CUSTOMERS", "--key", "party.key", "--json"]).done();
    let value: Value = serde_json::from_str(said.out.lines().last().unwrap()).unwrap();
    assert_eq!((&value["outcome"], &value["recipients"]), (&json!("reported"), &json!(["insights"])));
    assert!(value.get("common_customers").is_none(), "{value}");
    let file = world.path("workload").join(value["encrypted"].as_str().unwrap());
    open(&world, &file, &["--identity", "locked.age", "--passphrase-file", "good.txt"]).done();
    open(&world, &file, &["--identity", "locked.age", "--passphrase-file", "wrong.txt"]).refused(3, "passphrase");
    open(&world, &file, &["--identity", "locked.age"]).refused(3, "passphrase");
}

#[test]
fn users_with_outputs_of_their_own_open_these_and_no_other_users() {
    let world = World::enrolled(&[("acme", ACME), ("globex", GLOBEX)]);
    fs::create_dir(world.path("insights")).unwrap();
    let [insights, press] = ["insights.age", "press.age"].map(|file| keygen(&world, file, &[]));
    name_recipient(&world, &insights);
    let path = world.path("workload/space.yaml");
    let yaml = fs::read_to_string(&path).unwrap();
    let press = format!("  press:\n    roles: [user]\n    recipient: {press}\n  insights:\n");
    let yaml = yaml.replacen("  insights:\n", &press, 1) + "  outputs_for: { press: [all] }\n";
    fs::write(path, yaml).unwrap();
    world.event("CHECK_COMMON_CUSTOMERS").done();
    let folder = fs::read_dir(world.path("workload/outputs")).unwrap().next().unwrap().unwrap().path();
    let own = folder.join("users/insights");
    let mut found = files(&folder);
    found.sort();
    let names =
        [folder.clone(), own.clone()].map(|f| ["receipt.json", "report.dsse.json.age"].map(|name| f.join(name)));
    assert_eq!(found, names.concat());

    let pairs = |folder: &Path, identity: &str| {
        let said = open(&world, folder, &["--identity", identity, "--json"]).done();
        serde_json::from_str::<Value>(&said.out).unwrap()["overlap"]["pairwise"][0]["count"].clone()
    };
    assert_eq!(pairs(&own, "insights.age"), json!(1));
    assert_eq!((pairs(&folder, "insights.age"), pairs(&folder, "press.age")), (Value::Null, Value::Null));
    open(&world, &own, &["--identity", "press.age"]).refused(3, "cannot be opened");
}

#[test]
fn users_with_and_without_a_recipient_get_no_report_and_are_named() {
    let (world, _, _) = reported(ACME, GLOBEX);
    let path = world.path("workload/space.yaml");
    let yaml = fs::read_to_string(&path).unwrap();
    fs::write(&path, yaml.replacen("participants:\n", "participants:\n  office:\n    roles: [user]\n", 1)).unwrap();
    let found = world.run("workload", &["space", "check"]);
    assert!(found.code != 0 && found.out.contains("'office' has no recipient and 'insights' has one"), "{}", found.out);
    world
        .event("CHECK_COMMON_CUSTOMERS")
        .refused(6, "'insights' asked for encrypted reports, and 'office' has no recipient");
    assert_eq!(fs::read_dir(world.path("workload/outputs")).unwrap().count(), 1);
}

/// 1,237 customers in common, whose number and addresses are looked for in everything that is written and said.
#[test]
fn no_figure_and_no_identifier_is_in_clear_on_disk_or_said() {
    let common: String = (0..1237).map(|number| format!("canary{number}@example.com\n")).collect();
    let acme = format!("email\n{common}{}", "only-acme@example.com\n");
    let globex = format!("email\n{common}{}", "only-globex@example.com\n");
    let (world, folder, said) = reported(&acme, &globex);
    let opened = open(&world, &folder, &["--identity", "insights.age", "--json"]).done();
    assert!(opened.out.contains("1237"), "the number is looked for in its right form: {}", opened.out);

    let words = ["canary12@example.com", "only-acme", "by_email", "pairwise", "common_customers"];
    let figure = |text: &str| {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != ',' || c == '\n');
        words.map(|word| word.trim_matches(',').replace(',', "")).any(|word| word == "1237")
    };
    assert!(figure("common: 1,237, of") && figure("{\"all\":1237}") && !figure("ab1237cd"));
    for text in [&said.out, &said.err] {
        assert!(!figure(text) && !words.iter().any(|word| text.contains(word)), "{text}");
    }
    let mut looked_at = 0;
    for file in files(&world.path("workload")).into_iter().chain(files(&world.path("shared"))) {
        let bytes = fs::read(&file).unwrap();
        let mut texts = vec![String::from_utf8_lossy(&bytes).into_owned()];
        // What an envelope holds is base64 to the eye only.
        if let Some(payload) =
            serde_json::from_slice::<Value>(&bytes).ok().and_then(|of| of["payload"].as_str().map(decoded))
        {
            texts.push(payload);
        }
        for text in texts {
            let found = words.iter().find(|word| text.contains(*word));
            assert!(found.is_none(), "{found:?} in {}", file.display());
            let is_text = !text.contains('\u{fffd}') && !text.contains('\0');
            assert!(!is_text || !figure(&text), "the figure in {}", file.display());
        }
        looked_at += 1;
    }
    assert!(looked_at >= 8, "{looked_at} files");
}

fn decoded(text: &str) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    String::from_utf8(STANDARD.decode(text).unwrap()).unwrap()
}

#[test]
fn the_standard_tool_opens_our_reports_and_we_open_its() {
    if Command::new("age").arg("--version").output().is_err() {
        let required = std::env::var("DATAFUSE_TEST_EMULATORS").is_ok_and(|value| value == "required");
        assert!(!required, "age is missing: ./test.sh installs it");
        eprintln!("skipped: there is no age");
        return;
    }
    let (world, folder, _) = reported(ACME, GLOBEX);
    let file = folder.join("report.dsse.json.age");
    let tool = |program: &str, args: &[&str], input: &[u8]| {
        let mut command = Command::new(program);
        command.args(args).current_dir(world.path("insights")).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };

    // Ours to age: what it decrypts verifies.
    let envelope = tool("age", &["-d", "-i", "insights.age", file.to_str().unwrap()], b"");
    fs::write(world.path("insights/decrypted.json"), &envelope).unwrap();
    let said = verify(&world, Path::new("decrypted.json"), &[]).done();
    assert!(said.out.contains("Good: signed by the workload"), "{}", said.out);
    let recipient = String::from_utf8(tool("age-keygen", &["-y", "insights.age"], b"")).unwrap();
    assert!(fs::read_to_string(world.path("workload/space.yaml")).unwrap().contains(recipient.trim()));

    // An identity of age-keygen, and a report that was passed on with age, in armor.
    tool("age-keygen", &["-o", "colleague.age"], b"");
    let colleague = String::from_utf8(tool("age-keygen", &["-y", "colleague.age"], b"")).unwrap();
    let passed_on = tool("age", &["-a", "-r", colleague.trim()], &envelope);
    fs::write(world.path("insights/passed-on.age"), passed_on).unwrap();
    let with = ["--identity", "colleague.age", "--space", "space.yaml"];
    let opened = open(&world, Path::new("passed-on.age"), &with).done();
    assert!(opened.err.contains("somebody who could read it passed it on"), "{}", opened.err);
    assert!(opened.err.contains("Signed by the workload of test-space"), "{}", opened.err);
    open(&world, &file, &with).refused(3, "encrypted to others");
}
