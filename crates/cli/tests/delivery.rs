//! Reports delivered, and verified by who received them, with the program as its users run it.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

#[path = "../../workload/tests/endpoint_server/mod.rs"]
mod endpoint_server;
mod world;

use std::{fs, path::Path, process::Command};

use endpoint_server::{Answer, Endpoint};
use serde_json::{Value, json};
use world::{Said, World};

const ACME: &str = "email\nada@example.com\nbob@example.com\n";
const GLOBEX: &str = "email\nada@example.com\nzoe@example.com\n";
const TOKEN: &str = "hunter2hunter2";

fn world(deliver: &str) -> World {
    let world = World::enrolled(&[("acme", ACME), ("globex", GLOBEX)]);
    let path = world.path("workload/space.yaml");
    let yaml = fs::read_to_string(&path).unwrap();
    let with = yaml.replacen("    roles: [user]\n", &format!("    roles: [user]\n    deliver: {deliver}\n"), 1);
    assert_ne!(yaml, with);
    fs::write(path, with).unwrap();
    world
}

fn serve_once(world: &World, endpoint: &Endpoint) -> Said {
    let mut command = world.command("workload");
    command.args(["serve", "--key", "party.key", "--once"]).env("DATAFUSE_ALLOW_HOSTS", "localhost");
    command.env("DATAFUSE_DELIVERY_TOKEN_INSIGHTS", TOKEN);
    if let Some(ca_file) = &endpoint.ca_file {
        command.env("DATAFUSE_DELIVERY_CA_FILE", ca_file);
    }
    command.output().unwrap().into()
}

/// The one event's folder within a folder.
fn event_in(folder: &Path) -> std::path::PathBuf {
    fs::read_dir(folder).unwrap().next().unwrap().unwrap().path()
}

#[test]
fn a_report_reaches_folder_and_endpoint_and_its_receivers_verify_it() {
    let endpoint = Endpoint::careful();
    let world = world(&format!("['{}', ../insights]", endpoint.url));
    fs::create_dir(world.path("insights")).unwrap();
    let found = world.run("workload", &["space", "check"]).done().out;
    assert!(found.contains("participants.insights.deliver") && found.contains("--allow-host"), "{found}");

    let id = world.run("globex", &["send", "CHECK_COMMON_CUSTOMERS"]).done().out.trim().to_owned();
    let said = serve_once(&world, &endpoint).done();
    assert!(said.out.contains("delivered to 2 places"), "{}", said.out);
    assert!(!said.out.contains(TOKEN) && !said.err.contains(TOKEN), "{}", said.err);

    // The user has the space file of everybody, and what was delivered.
    let folder = world.path("insights").join(&id);
    fs::copy(world.path("space.yaml"), world.path("insights/space.yaml")).unwrap();
    let said = world.run("insights", &["report", "verify", &id]).done();
    assert!(said.out.starts_with("Good: signed by the workload of test-space ("), "{}", said.out);
    assert!(said.out.contains("report.json and report.html beside it are the files that were signed"), "{}", said.out);
    assert!(said.out.contains("Recipients: insights"), "{}", said.out);
    let said = world.run("insights", &["report", "verify", &format!("{id}/report.dsse.json"), "--json"]).done();
    let value: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&value["verified"], &value["signer_is_former"]), (&json!(true), &json!(false)));
    assert_eq!((&value["event"], &value["files"]), (&json!(id), &json!(["report.json", "report.html"])));
    let opened = world.run("insights", &["report", "open", &id, "--space", "space.yaml"]).done();
    assert!(opened.err.contains("Signed by the workload of test-space"), "{}", opened.err);
    let opened = world.run("insights", &["report", "open", &id]).done();
    assert!(opened.err.contains("A signed envelope lies beside it"), "{}", opened.err);

    // What the endpoint was sent is the very envelope, and enough by itself.
    let requests = endpoint.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].headers["authorization"], format!("Bearer {TOKEN}"));
    assert_eq!(requests[0].body, fs::read(folder.join("report.dsse.json")).unwrap());
    fs::write(world.path("insights/received.json"), &requests[0].body).unwrap();
    let said = world.run("insights", &["report", "verify", "received.json"]).done();
    // A received.json has no report.json of its own beside it.
    assert!(said.out.contains("the report is within the envelope"), "{}", said.out);
    the_snippet_of_the_guide_verifies(&world);
}

/// Runs the Python of docs/delivery.md on what the endpoint received, and on the same with a changed byte.
fn the_snippet_of_the_guide_verifies(world: &World) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let guide = fs::read_to_string(root.join("docs/delivery.md")).unwrap();
    let snippet = guide.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    let python = root.join("target/emulators/python/bin/python");
    if !python.exists() {
        let required = std::env::var("DATAFUSE_TEST_EMULATORS").is_ok_and(|value| value == "required");
        assert!(!required, "{} is missing: ./test.sh installs it", python.display());
        eprintln!("skipped: there is no {}", python.display());
        return;
    }
    fs::write(world.path("insights/verify.py"), snippet).unwrap();
    let space = fs::read_to_string(world.path("insights/space.yaml")).unwrap();
    let name = space.lines().find_map(|line| line.strip_prefix("workload: ")).unwrap();
    let run = |file: &str| {
        let mut command = Command::new(&python);
        command.args(["verify.py", file, name]).current_dir(world.path("insights"));
        Said::from(command.output().unwrap())
    };
    assert!(run("received.json").done().out.contains("\"common_customers\""));
    let altered = fs::read_to_string(world.path("insights/received.json")).unwrap().replacen(
        "\"payload\":\"e",
        "\"payload\":\"f",
        1,
    );
    fs::write(world.path("insights/altered.json"), altered).unwrap();
    let said = run("altered.json");
    assert!(said.code != 0 && said.err.contains("InvalidSignature"), "{}", said.err);
}

#[test]
fn each_way_in_which_a_report_is_not_the_workloads_has_a_fact_a_remedy_and_a_code() {
    let world = world("../insights");
    fs::create_dir(world.path("insights")).unwrap();
    let said = world.event("CHECK_COMMON_CUSTOMERS").done();
    assert!(said.out.contains("Delivered:  to insights at"), "{}", said.out);
    let folder = event_in(&world.path("insights"));
    let envelope = folder.join("report.dsse.json");
    let verify =
        |space: &str| world.run("workload", &["report", "verify", envelope.to_str().unwrap(), "--space", space]);
    verify("space.yaml").done();

    let (report, good) = (folder.join("report.json"), fs::read_to_string(folder.join("report.json")).unwrap());
    fs::write(&report, good.replace("\"all\": 1", "\"all\": 2")).unwrap();
    verify("space.yaml").refused(4, "report.json is not the file that was signed");
    let open = ["report", "open", report.to_str().unwrap(), "--space", "space.yaml"];
    world.run("workload", &open).refused(4, "report.json is not the file that was signed");
    fs::write(&report, good).unwrap();
    fs::write(folder.join("report.html"), "<html>").unwrap();
    verify("space.yaml").refused(4, "report.html is not the file that was signed");
    fs::remove_file(folder.join("report.html")).unwrap();
    verify("space.yaml").done();

    let other = World::new(&["acme", "globex"], &[]);
    verify(other.path("space.yaml").to_str().unwrap()).refused(5, "not signed by the workload of this space");

    // The same workload, another space.
    let yaml = fs::read_to_string(world.path("workload/space.yaml")).unwrap();
    fs::write(world.path("workload/other.yaml"), yaml.replacen("id: test-space", "id: other-space", 1)).unwrap();
    verify("other.yaml").refused(4, "made for another space");

    // The workload has a new name since.
    world.run("workload", &["key", "replace", "--key", "party.key", "--yes"]);
    let new = world.run("workload", &["key", "show", "--key", "party.key", "--json"]).done().out;
    let new: Value = serde_json::from_str(&new).unwrap();
    let old = yaml.lines().find_map(|line| line.strip_prefix("workload: ")).unwrap().to_owned();
    let new = new["public_name"].as_str().unwrap();
    assert_ne!(old, new);
    let renamed = yaml.replacen(&format!("workload: {old}"), &format!("workload: {new}\nworkload_former: [{old}]"), 1);
    fs::write(world.path("workload/renamed.yaml"), renamed).unwrap();
    let said = verify("renamed.yaml").done();
    assert!(said.out.contains("signed by a former name of the workload"), "{}", said.out);

    fs::write(&envelope, "{}").unwrap();
    verify("space.yaml").refused(4, "not a signed envelope");
    fs::remove_file(&envelope).unwrap();
    verify("space.yaml").refused(4, "there is no ");
    let opened = world.run("workload", &["report", "open", report.to_str().unwrap()]).done();
    assert!(opened.err.contains("No signed envelope lies beside it"), "{}", opened.err);
}

#[test]
fn a_refused_delivery_fails_the_event_and_leaves_the_report_in_the_outputs() {
    let endpoint = Endpoint::plain(|_, _| Answer::Status(403, Vec::new()));
    let world = world(&format!("'{}'", endpoint.url));
    world.run("globex", &["send", "CHECK_COMMON_CUSTOMERS"]).done();
    serve_once(&world, &endpoint).refused(5, "refused it (status 403)");
    let outputs = event_in(&world.path("workload/outputs"));
    assert!(outputs.join("report.dsse.json").exists());
    // Its host is at a private address: without the operator's word nothing is sent.
    world.event("CHECK_COMMON_CUSTOMERS").refused(6, "private, local or reserved address");
    assert_eq!(endpoint.requests().len(), 1);
}
