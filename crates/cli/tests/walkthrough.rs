//! The walkthrough as its users run it: several parties in folders of their own, who share mailbox, datasets and queue.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use std::fs;

use serde_json::json;
use world::World;

const ACME: &str =
    "email,segment\nAda@Example.com,a\nb.ob@gmail.com,b\n B.Ob@gmail.com ,b\n,c\nnot an address,c\neve@example.com,d\n";
const GLOBEX: &str = "email;city\nada@example.com;Gent\nEVE@example.com;Huy\nzoe@example.com;Mons\n";
const INITECH: &str = "email\neve@example.com\nzoe@example.com\nyan@example.com\n";

#[test]
fn two_holders_from_nothing_to_a_report() {
    let world = World::new(&["acme", "globex"], &[]);
    world.run("workload", &["space", "check"]).done();
    world.event("INITIALIZE").done();

    // Any order, as often as one likes.
    assert!(world.enrol("acme").done().out.contains("Awaited: globex, a steward"));
    world.enrol("acme").done();
    world.enrol("globex").done();
    world.enrol("acme").done();
    let protected = world.protect_file_with(ACME);
    assert!(protected.out.contains("4 valid, 1 empty, 1 invalid"), "{}", protected.out);
    assert!(protected.out.contains("valid, and email-gmail-v1 would change it: 2"), "{}", protected.out);
    world.protect("globex", GLOBEX).done();

    let id = world.run("globex", &["send", "CHECK_COMMON_DEMO_CUSTOMERS"]).done().out.trim().to_owned();
    world.run("workload", &["serve", "--key", "party.key", "--once"]).done();
    let report = world.report();
    assert_eq!(report["schema"], "datafuse/report/v1");
    assert_eq!(report["common_customers"], json!({ "by_email": 2 }));
    assert_eq!(report["overlap"]["all"], 2);
    assert_eq!(
        report["overlap"]["regions"],
        json!([
            { "holders": ["acme"], "count": 1 },
            { "holders": ["acme", "globex"], "count": 2 },
            { "holders": ["globex"], "count": 1 }
        ])
    );
    assert_eq!(
        report["parties"][0],
        json!({
            "holder": "acme", "rows": 6, "empty": 1, "invalid": 1, "duplicate": 1, "unique": 3, "matched": 2,
            "would_change": { "email-gmail-v1": 2 }
        })
    );
    assert_eq!(report["provenance"]["event"], json!(id));
    assert_eq!(report["provenance"]["type"], "CHECK_COMMON_DEMO_CUSTOMERS");

    // The commitment is what sha256sum shows.
    use sha2::Digest;
    let sha256 = sha2::Sha256::digest(fs::read(world.dataset("acme")).unwrap());
    let sha256: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(report["provenance"]["datasets"][0]["sha256"], json!(sha256));

    let folder = world.path("workload/outputs").join(&id);
    let html = fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(html.contains("acme") && !html.contains("http://") && !html.contains("<script"));
    let opened = world.run("workload", &["report", "open", folder.to_str().unwrap()]).done();
    assert!(opened.out.contains("Common customers by email: 2"), "{}", opened.out);
    assert!(opened.out.contains("The profile email-gmail-v1 would change 2 rows of acme."), "{}", opened.out);
    assert!(opened.out.contains("\nAt exactly these holders\n  acme + globex  2  ####"), "{}", opened.out);
}

impl World {
    fn protect_file_with(&self, csv: &str) -> world::Said {
        fs::write(self.path("acme/customers.csv"), csv).unwrap();
        self.protect_file("acme", "customers.csv", &["--identifier", "email=email", "--keep", "segment"]).done()
    }
}

#[test]
fn a_third_holder_that_is_no_steward_joins_later_and_costs_its_own_rows_only() {
    let world = World::new(&["acme", "globex", "initech"], &[]);
    world.event("INITIALIZE").done();
    world.enrol_all(&["acme", "globex"]);
    world.protect("acme", ACME).done();
    world.protect("globex", GLOBEX).done();
    let said = world.event("CHECK_COMMON_CUSTOMERS").refused(5, "not enrolled yet: initech");
    assert!(said.err.contains("--holders"), "{}", said.err);
    let args = ["run", "CHECK_COMMON_CUSTOMERS", "--key", "party.key", "--holders", "acme,globex"];
    world.run("workload", &args).done();
    assert_eq!(world.report()["overlap"]["all"], 2);

    world.enrol("initech").done();
    world.protect("initech", INITECH).done();
    let said = world.run("workload", &["run", "FUSE", "--key", "party.key", "--json"]).done();
    let fused: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&fused["datasets"], &fused["unchanged"]), (&json!(1), &json!(2)));
    world.event("CHECK_COMMON_CUSTOMERS").done();
    let report = world.report();
    assert_eq!(report["overlap"]["all"], 1);
    assert_eq!(report["overlap"]["at_least"][1], json!({ "holders": 2, "count": 3 }));
    assert_eq!(
        report["overlap"]["pairwise"][2],
        json!({
            "a": "globex", "b": "initech", "count": 2, "jaccard": 0.5, "share_of_a": 0.666667, "share_of_b": 0.666667
        })
    );
}

#[test]
fn a_new_version_replaces_the_former_and_an_older_one_is_refused() {
    let world = World::enrolled(&[("acme", ACME), ("globex", GLOBEX)]);
    world.event("CHECK_COMMON_CUSTOMERS").done();
    let first = fs::read(world.dataset("acme")).unwrap();
    world.protect("acme", "email\nzoe@example.com\n").done();
    world.event("CHECK_COMMON_CUSTOMERS").done();
    assert_eq!(world.report()["overlap"]["all"], 1);
    assert_eq!(world.report()["provenance"]["datasets"][0]["version"], 2);
    // The former fused file is gone.
    assert_eq!(world::files(&world.path("workload/state/fused")).len(), 2);

    fs::write(world.dataset("acme"), first).unwrap();
    world.event("CHECK_COMMON_CUSTOMERS").refused(4, "version 1, but version 2 was already accepted");
}

#[test]
fn an_unknown_event_type_is_acknowledged_and_nothing_is_done() {
    let world = World::enrolled(&[("acme", ACME), ("globex", GLOBEX)]);
    world.run("acme", &["send", "SOMETHING_ELSE"]).done();
    let said = world.run("workload", &["serve", "--key", "party.key", "--once"]).done();
    assert!(said.out.contains("unknown type"), "{}", said.out);
    assert!(!world.path("workload/outputs").exists());
    world.run("acme", &["send", "CHECK_COMMON_CUSTOMERS"]).done();
    world.run("workload", &["serve", "--key", "party.key", "--once"]).done();
    assert_eq!(world.report()["overlap"]["all"], 2);
}

#[test]
fn several_kinds_are_matched_each_for_itself() {
    let world = World::new(&["acme", "globex"], &["--identifier", "email", "--identifier", "phone=phone-e164-v1:BE"]);
    world.event("INITIALIZE").done();
    world.enrol_all(&["acme", "globex"]);
    world.protect("acme", "email,phone\nada@example.com,0470 12 34 56\n,+32 2 200 01 23\n").done();
    world.protect("globex", "email,phone\nbob@example.com,+32470123456\nada@example.com,\n").done();
    world.event("CHECK_COMMON_CUSTOMERS").done();
    let report = world.report();
    assert_eq!(report["common_customers"], json!({ "by_email": 1, "by_phone": 1 }));
    assert_eq!(report["by_kind"]["phone"]["parties"][0]["unique"], 2);
}

#[test]
fn identifiers_are_in_nothing_that_is_written() {
    let csv = "email\ncanary.person@canary.example\nbob@example.com\n";
    let world = World::enrolled(&[("acme", csv), ("globex", csv)]);
    let said = world.event("CHECK_COMMON_CUSTOMERS").done();
    assert!(!said.err.contains("canary.person") && !said.out.contains("canary.person"));
    for folder in ["shared", "workload"] {
        for file in world::files(&world.path(folder)) {
            let bytes = fs::read(&file).unwrap();
            assert!(!bytes.windows(13).any(|window| window == b"canary.person"), "{}", file.display());
        }
    }
}

#[test]
fn the_demo_agrees_with_its_truth() {
    let world = World { folder: tempfile::tempdir().unwrap() };
    let args =
        ["demo", "--holders", "3", "--rows", "300", "--overlap", "0.4", "--seed", "7", "--out", "demo", "--json"];
    let said = world.run(".", &args).done();
    let value: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(value["agrees_with_truth"], true);
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(world.path(value["report"].as_str().unwrap())).unwrap()).unwrap();
    let truth: serde_json::Value = serde_json::from_slice(&fs::read(world.path("demo/truth.json")).unwrap()).unwrap();
    assert_eq!(report["overlap"], truth["overlap"]);
    assert_eq!(report["parties"], truth["parties"]);
    // Never twice into the same folder.
    world.run(".", &args).code.eq(&3).then_some(()).unwrap();
}
