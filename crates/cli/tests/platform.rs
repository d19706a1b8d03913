//! The program as the platform runs it: environment variables only, a queue with TLS, the control plane, connectors, the secret
//! manager and the log server.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../../workload/tests/platform_server/mod.rs"]
mod platform_server;
#[path = "../../workload/tests/queue_places/redis_server.rs"]
#[allow(dead_code, unreachable_pub)]
mod redis_server;
mod world;

use std::{
    collections::BTreeMap,
    fs,
    process::Command,
    sync::{Arc, Mutex},
};

use platform_server::{Platform, Server, descriptor, provider};
use redis_server::{Certificates, Server as Redis};
use serde_json::{Value, json};
use world::{Said, World};

const TOKEN: &str = "token-hunter2";
const PASSPHRASE: &str = "correct horse hunter2";
const ACME: &str = "email\nada@example.com\nbob@example.com\neve@example.com\n";
const GLOBEX: &str = "email\neve@example.com\nada@example.com\nzoe@example.com\n";

/// A world on the platform: `acme` delivers behind an address, `globex` into the folder of connectors.
struct Space {
    world: World,
    redis: Redis,
    certificates: Certificates,
    server: Server,
    /// What the platform's server answers from; a test may change it.
    platform: Arc<Mutex<Platform>>,
}

impl Space {
    fn new() -> Self {
        let world = World::enrolled(&[("acme", ACME), ("globex", GLOBEX)]);
        let data = world.path("resources/data");
        fs::create_dir_all(&data).unwrap();
        let files = BTreeMap::from([("/files/acme.parquet".to_owned(), fs::read(world.dataset("acme")).unwrap())]);
        fs::rename(world.dataset("globex"), data.join("globex-customers.parquet")).unwrap();
        // Nothing of the agreement's own places is left to fall back on.
        fs::remove_file(world.dataset("acme")).unwrap();
        let platform = Arc::new(Mutex::new(Platform {
            space: "space-1".to_owned(),
            token: TOKEN.to_owned(),
            collaborators: json!([
                provider("ACME", "Accepted", json!([descriptor("d-1", "Our clients", "File")])),
                provider("globex", "Accepted", json!([descriptor("d-2", "customers", "File"), descriptor("d-3", "orders", "S3")])),
                { "clientId": "insights", "role": "DataConsumer", "invite": { "status": "Accepted" } },
                { "clientId": "maker", "role": "CodeProvider", "invite": { "status": "Accepted" } },
            ]),
            files,
        }));
        let answering = Arc::clone(&platform);
        let server = Server::start(move |request| {
            let platform = answering.lock().unwrap().clone();
            platform.answer(request)
        });
        let certificates = Certificates::new();
        let redis = Redis::tls(&certificates);
        let made = Self { world, redis, certificates, server, platform };
        made.configure(
            "d-1",
            json!({ "url": "${ACME_ADDRESS}", "file_name": "acme.parquet", "file_format": "parquet" }),
        );
        made.configure("d-2", json!({ "url": "data/globex-{model}.parquet", "file_format": "parquet" }));
        made
    }

    fn configure(&self, id: &str, keys: Value) {
        let path = self.world.path("resources/data").join(format!("configuration_{id}.json"));
        fs::write(path, json!({ "connectorKeys": keys }).to_string()).unwrap();
    }

    /// Without the one that has no connector's configuration.
    fn leave_one_descriptor_each(&self) {
        let one = json!([descriptor("d-2", "customers", "File")]);
        self.platform.lock().unwrap().collaborators[1]["dataDescriptors"] = one;
    }

    /// The program with the variables that the platform sets, and no argument but the command.
    fn command(&self, party: &str, command: &[&str]) -> Command {
        let mut program = self.world.command(party);
        let url = self.server.url();
        program
            .args(command)
            .env("DV_APP_ID", "space-1")
            .env("DV_CLIENT_ID", "owner-1")
            .env("DV_URL", format!("{url}/api"))
            .env("DV_TOKEN", TOKEN)
            .env("DV_CAGE_ID", "c7")
            .env("DV_LOKI", &url)
            .env("SECRET_MANAGER_URL", &url)
            .env("REDIS_SERVICE_HOST", "localhost")
            .env("REDIS_SERVICE_PORT", self.redis.port().to_string())
            .env("TLS_CAFILE", self.certificates.path("ca.pem"))
            .env("DATA_CONNECTOR_CONFIG_LOCATION", self.world.path("resources/data"))
            .env("DATA_USER_OUTPUT_LOCATION", self.world.path("resources/outputs"))
            .env("DATAFUSE_CONNECTOR_FILES", self.world.path("resources"))
            .env("DATAFUSE_SPACE", "space.yaml")
            .env("DATAFUSE_KEY", "party.key")
            .env("DATAFUSE_ALLOW_HOSTS", "127.0.0.1")
            .env("ACME_ADDRESS", format!("{url}/files/acme.parquet?signature=hunter2"));
        program
    }

    fn run(&self, party: &str, command: &[&str]) -> Said {
        let said = Said::from(self.command(party, command).output().unwrap());
        assert!(!said.err.contains("hunter2") && !said.out.contains("hunter2"), "{}{}", said.out, said.err);
        said
    }

    /// The lines that the log server took, with their labels' level.
    fn log(&self) -> Vec<Value> {
        let mut lines = Vec::new();
        for request in self.server.asked_for("/loki/api/v1/push") {
            assert_eq!(request.header("x-scope-orgid"), "app-c7");
            let text = request.text();
            assert!(!text.contains("hunter2") && !text.contains("example.com"), "{text}");
            let body: Value = serde_json::from_str(&text).unwrap();
            for stream in body["streams"].as_array().unwrap() {
                for value in stream["values"].as_array().unwrap() {
                    lines.push(serde_json::from_str(value[1].as_str().unwrap()).unwrap());
                }
            }
        }
        lines
    }
}

#[test]
fn an_event_becomes_a_report_on_the_platform() {
    let space = Space::new();
    // As the platform's own library publishes events.
    let id = space.run("acme", &["send", "CHECK_COMMON_CUSTOMERS"]).done().out.trim().to_owned();
    space.run("workload", &["serve", "--once"]).done();

    let report = fs::read(space.world.path("resources/outputs").join(&id).join("report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report["common_customers"], json!({ "by_email": 2 }));
    assert_eq!(report["provenance"]["event"], json!(id));

    let asked = space.server.asked_for("/api/collaborationSpaces/space-1/collaborators");
    assert_eq!(asked.len(), 1);
    let fetched = space.server.asked_for("/files/acme.parquet?signature=hunter2");
    assert!(!fetched.is_empty());
    assert!(
        fetched.iter().all(|asked| asked.header("authorization").is_empty()),
        "the token is the control plane's alone"
    );

    let log = space.log();
    // Beside an event's beginning and end there are lines about facts, which have no state.
    let audit: Vec<_> = log.iter().filter(|line| line["level"] == "AUDIT" && line["state"].is_string()).collect();
    let states: Vec<_> = audit.iter().map(|line| line["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["STARTED", "DONE"]);
    assert_eq!(audit[1]["msg"], "Event processing done");
    assert_eq!(audit[1]["evt"], "CHECK_COMMON_CUSTOMERS");
    assert_eq!((&audit[1]["event"], &audit[1]["app_id"]), (&json!(id), &json!("space-1")));
    assert!(audit[1]["processing_time"].is_number());
    assert!(log.iter().any(|line| line["descriptor"] == "d-3" && line["level"] == "WARN"), "{log:?}");
}

#[test]
fn a_passphrase_may_come_sealed_from_the_secret_manager() {
    let space = Space::new();
    let world = &space.world;
    fs::write(world.path("workload/new.txt"), PASSPHRASE).unwrap();
    fs::set_permissions(world.path("workload/new.txt"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let change = ["key", "change-passphrase", "--key", "party.key", "--new-passphrase-file", "new.txt"];
    world.run("workload", &change).done();
    fs::remove_file(world.path("workload/new.txt")).unwrap();
    space.run("workload", &["run", "ENROL"]).refused(3, "passphrase");

    let sealed = world.path("workload/passphrase.sealed");
    fs::write(&sealed, format!("sealed:{PASSPHRASE}\n")).unwrap();
    let with_sealed = |command: &[&str]| {
        let output = space.command("workload", command).env("DATAFUSE_SEALED_PASSPHRASE_FILE", &sealed).output();
        let said = Said::from(output.unwrap());
        assert!(!said.err.contains("hunter2") && !said.out.contains("hunter2"), "{}{}", said.out, said.err);
        said
    };
    with_sealed(&["run", "CHECK_COMMON_CUSTOMERS"]).done();
    space.leave_one_descriptor_each();
    let doctor = with_sealed(&["doctor"]).done();
    assert!(doctor.out.contains("under a passphrase"), "{}", doctor.out);
    fs::write(&sealed, "something else").unwrap();
    with_sealed(&["run", "ENROL"]).refused(5, "the secret manager at http://127.0.0.1");
    fs::write(&sealed, "").unwrap();
    with_sealed(&["run", "ENROL"]).refused(3, "is no sealed passphrase");
    assert!(!serde_json::to_string(&space.log()).unwrap().contains(PASSPHRASE));
}

#[test]
fn doctor_looks_at_each_service_and_says_what_to_do() {
    let space = Space::new();
    space.leave_one_descriptor_each();
    let well = space.run("workload", &["doctor"]).done();
    for line in [
        "ok   control plane    http://127.0.0.1",
        "takes the token: 4 collaborators, 2 of them data providers that have accepted",
        "ok   public key       the space has one",
        "ok   connector        d-1: http://127.0.0.1",
        "globex-customers.parquet",
        "ok   taking part      2 of 2 holders of the agreement",
        "ok   secret manager   http://127.0.0.1",
        "ok   log server       http://127.0.0.1",
    ] {
        assert!(well.out.contains(line), "expected '{line}' in:\n{}", well.out);
    }
    assert!(space.log().iter().any(|line| line["msg"] == "datafuse doctor looked whether lines arrive"));

    fs::remove_file(space.world.path("resources/data/configuration_d-2.json")).unwrap();
    space.configure("d-1", json!({ "url": "${NOT_SET_ANYWHERE}" }));
    let ill = space.command("workload", &["doctor"]).env("SECRET_MANAGER_URL", "http://127.0.0.1:1").output().unwrap();
    let ill = Said::from(ill).refused(3, "checks failed");
    for line in [
        "BAD  connector        d-1: 'url' refers to the environment variable NOT_SET_ANYWHERE, which is not set; try: set",
        "BAD  connector        d-2: there is no ",
        "BAD  taking part ",
        "BAD  secret manager   the secret manager at http://127.0.0.1:1/: no connection",
    ] {
        assert!(ill.out.contains(line), "expected '{line}' in:\n{}", ill.out);
    }
    space.platform.lock().unwrap().token = "another".to_owned();
    let refused = space.run("workload", &["doctor"]).refused(3, "checks failed");
    assert!(refused.out.contains("status 401; try: DV_TOKEN with a token"), "{}", refused.out);
}

#[test]
fn what_ends_the_program_reaches_the_log_server() {
    let space = Space::new();
    space.platform.lock().unwrap().collaborators = json!({ "not": "a list" });
    space.run("acme", &["send", "CHECK_COMMON_CUSTOMERS"]).done();
    space.run("workload", &["serve", "--once"]).refused(5, "is not a JSON list of collaborators");
    let log = space.log();
    let failed: Vec<_> = log.iter().filter(|line| line["state"] == "FAILED").collect();
    assert_eq!(failed.len(), 1, "{log:?}");
    assert_eq!(failed[0]["error"], "control-plane");
    assert!(log.iter().any(|line| line["code"] == 5 && line["level"] == "ERROR"), "{log:?}");

    fs::write(space.world.path("workload/space.yaml"), "not: an agreement").unwrap();
    space.run("workload", &["serve", "--once"]).refused(3, "space.yaml");
    assert!(space.log().iter().any(|line| line["code"] == 3), "{:?}", space.log());
}

#[test]
fn a_log_server_that_is_away_changes_nothing_but_a_warning() {
    let space = Space::new();
    let output =
        space.command("workload", &["run", "CHECK_COMMON_CUSTOMERS"]).env("DV_LOKI", "http://127.0.0.1:1").output();
    let said = Said::from(output.unwrap()).done();
    assert!(
        said.err.contains("Warning: the log server at http://127.0.0.1:1/ takes no lines: no connection"),
        "{}",
        said.err
    );
    assert!(said.err.contains("log lines did not reach the log server"), "{}", said.err);
}

#[test]
fn a_holder_that_has_not_accepted_takes_no_part() {
    let space = Space::new();
    space.platform.lock().unwrap().collaborators[1]["invite"]["status"] = json!("Pending");
    let said = space.run("workload", &["run", "CHECK_COMMON_CUSTOMERS"]).refused(6, "1 data holder takes part");
    assert!(said.err.contains("has not accepted the invitation"), "{}", said.err);
    let named = ["run", "CHECK_COMMON_CUSTOMERS", "--holders", "acme,globex"];
    space.run("workload", &named).refused(5, "'globex' has not accepted the invitation");
}
