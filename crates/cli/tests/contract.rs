//! Data contracts through the program: holders check and draft, the workload checks what was delivered.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use std::fs;

use world::{Said, World, files};

const CONTRACT: &str = "\
apiVersion: v3.1.0
kind: DataContract
id: test
name: people
version: 1.0.0
schema:
  - name: people
    properties:
      - { name: email, logicalType: string, required: true }
      - { name: segment, logicalType: string, required: true, enum: [retail, premium] }
    quality:
      - { metric: rowCount, mustBeGreaterThan: 0 }
      - { type: sql, query: \"SELECT COUNT(*) FROM {object} WHERE segment = 'retail'\", mustBe: 1 }
";
const GOOD: &str = "email,segment\nann.c4nary@mail.example,retail\nbob.c4nary@mail.example,premium\n";
const BAD: &str = "email,segment\nann.c4nary@mail.example,gold\nbob.c4nary@mail.example,\n";

fn folder(files: &[(&str, &str)]) -> World {
    let world = World { folder: tempfile::tempdir().unwrap() };
    for (name, text) in files {
        fs::write(world.path(name), text).unwrap();
    }
    world
}

fn check(world: &World, more: &[&str]) -> Said {
    world.run(".", &[&["contract", "check", "c.yaml"], more].concat())
}

#[test]
fn data_that_keeps_its_contract_is_ok_and_other_data_ends_with_four() {
    let world = folder(&[("c.yaml", CONTRACT), ("good.csv", GOOD), ("bad.csv", BAD)]);
    let good = check(&world, &["--data", "good.csv"]).done();
    assert!(good.out.starts_with("people: OK, 2 rows\n"), "{}", good.out);
    let bad = check(&world, &["--data", "bad.csv"]).refused(4, "3 rules failed, 0 could not be checked");
    assert!(bad.out.contains("people: NOK, 2 rows") && bad.out.contains("FAILED"), "{}", bad.out);
    for text in [&good.out, &bad.out, &bad.err] {
        assert!(!text.contains("c4nary") && !text.contains("gold"), "{text}");
    }
    let json = check(&world, &["--data", "bad.csv", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((json.code, &value["verdict"]), (4, &"NOK".into()));
    let rules = value["models"][0]["rules"].as_array().unwrap();
    let allowed = rules.iter().find(|rule| rule["rule"] == "allowed").unwrap();
    assert_eq!((&allowed["outcome"], &allowed["rows"]), (&"failed".into(), &1.into()));
}

#[test]
fn a_contract_that_is_malformed_ends_with_three_and_its_place() {
    let world = folder(&[("c.yaml", &CONTRACT.replace("type: sql, query:", "type: sql, kwery:")), ("good.csv", GOOD)]);
    check(&world, &["--data", "good.csv"]).refused(3, "c.yaml is malformed at schema[0].quality[1]");
    fs::remove_file(world.path("c.yaml")).unwrap();
    check(&world, &["--data", "good.csv"]).refused(3, "cannot be read");
}

#[test]
fn models_are_found_by_name_and_by_server() {
    let two = CONTRACT.replace("schema:\n", "schema:\n  - name: other\n    properties: [ { name: a } ]\n");
    let served = format!("{two}servers: [ {{ server: s, type: local, path: 'in/{{model}}.csv', format: csv }} ]\n");
    let world = folder(&[("c.yaml", &served), ("good.csv", GOOD)]);
    fs::create_dir(world.path("in")).unwrap();
    fs::write(world.path("in/people.csv"), GOOD).unwrap();
    fs::write(world.path("in/other.csv"), "a\n1\n").unwrap();
    let both = check(&world, &[]).done().out;
    assert!(both.contains("other: OK, 1 rows") && both.contains("people: OK, 2 rows"), "{both}");
    check(&world, &["--data", "in/{model}.csv"]).done();
    check(&world, &["--model", "people", "--data", "good.csv"]).done();
    check(&world, &["--data", "good.csv"]).refused(2, "has 2 models");
    check(&world, &["--model", "nobody", "--data", "good.csv"]).refused(2, "no model 'nobody'");
    fs::write(world.path("c.yaml"), CONTRACT).unwrap();
    check(&world, &[]).refused(2, "names no server");
}

#[test]
fn a_draft_is_written_once_and_passes_its_own_check() {
    let world = folder(&[("good.csv", GOOD)]);
    let init = ["contract", "init", "good.csv", "--out", "c.yaml"];
    world.run(".", &init).done();
    world.run(".", &init).refused(3, "c.yaml");
    let text = fs::read_to_string(world.path("c.yaml")).unwrap();
    assert!(text.contains("format: email") && !text.contains("c4nary") && !text.contains("retail"), "{text}");
    check(&world, &["--data", "good.csv"]).done();
    assert_eq!(world.run(".", &["contract", "init", "good.csv"]).done().out, text);
}

#[test]
fn the_example_contract_reads_the_example_data() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let world = folder(&[]);
    let (contract, data) = (format!("{root}/data/customers.odcs.yaml"), format!("{root}/data/acme.csv"));
    let said = world.run(".", &["contract", "check", &contract, "--data", &data, "--json"]);
    let value: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let rules = value["models"][0]["rules"].as_array().unwrap();
    assert!(rules.iter().all(|rule| rule["outcome"] != "error" && rule["outcome"] != "not_checked"), "{}", said.out);
    let of = |kind: &str| rules.iter().find(|rule| rule["rule"] == kind).unwrap()["outcome"].clone();
    assert_eq!((of("row_count"), of("sql"), of("present")), ("passed".into(), "passed".into(), "passed".into()));
}

#[test]
fn the_event_checks_what_was_delivered_and_puts_out_counts_only() {
    let world = World::new(&["acme", "globex"], &[]);
    world.event("INITIALIZE").done();
    world.enrol_all(&["acme", "globex"]);
    for (holder, csv) in [("acme", BAD), ("globex", GOOD)] {
        fs::write(world.path(holder).join("customers.csv"), csv).unwrap();
        world.protect_file(holder, "customers.csv", &["--keep", "segment"]).done();
    }
    let space = world.path("workload/space.yaml");
    let text = fs::read_to_string(&space).unwrap();
    let more = "acme.parquet\", contract: c.yaml }\n      missing: { location: nothing.csv, contract: c.yaml }\n      people: { location: \"in/{model}.csv\", contract: c.yaml }\n      silent: { location: silent.csv }";
    let changed = text.replacen("acme.parquet\" }", more, 1);
    assert_ne!(text, changed);
    fs::write(&space, changed).unwrap();
    fs::write(world.path("workload/c.yaml"), CONTRACT).unwrap();
    fs::create_dir(world.path("workload/in")).unwrap();
    fs::write(world.path("workload/in/people.csv"), GOOD).unwrap();

    let said = world.event("CHECK_DATA_QUALITY").done();
    assert!(said.out.contains("acme people, people: OK, 2 rows"), "{}", said.out);
    let outputs = files(&world.path("workload/outputs"));
    let json = outputs.iter().find(|path| path.ends_with("quality.json")).unwrap();
    assert!(outputs.iter().any(|path| path.ends_with("quality.html")) && outputs.len() == 2, "{outputs:?}");
    let value: serde_json::Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    assert_eq!((&value["schema"], &value["verdict"]), (&"datafuse/quality/v1".into(), &"NOK".into()));
    let datasets = value["holders"][0]["datasets"].as_array().unwrap();
    let found: Vec<_> =
        datasets.iter().map(|dataset| (dataset["dataset"].as_str().unwrap(), dataset["verdict"].as_str())).collect();
    assert_eq!(found, [("customers", Some("NOK")), ("missing", Some("NOK")), ("people", Some("OK")), ("silent", None)]);
    assert_eq!(value["holders"][1]["datasets"][0]["contract"], serde_json::Value::Null);

    // Of the protected dataset the kept column is checked, and what became a token is not.
    let protected = &datasets[0];
    assert_eq!(protected["protected"], true);
    let rules = protected["models"][0]["rules"].as_array().unwrap();
    let of = |column: &str, kind: &str| {
        let rule = rules.iter().find(|rule| rule["rule"] == kind && rule["column"] == column).unwrap();
        (rule["outcome"].as_str().unwrap().to_owned(), rule["rows"].as_u64())
    };
    assert_eq!(of("segment", "required"), ("failed".into(), Some(1)));
    assert_eq!(of("segment", "allowed"), ("failed".into(), Some(1)));
    assert_eq!(of("email", "required"), ("not_checked".into(), None));
    assert!(rules.iter().any(|rule| rule["rule"] == "unexpected" && rule["outcome"] == "passed"));
    assert_eq!(datasets[1]["models"][0]["rules"][0]["detail"], "it was not delivered");

    for path in files(&world.path("workload/outputs")).iter().chain(&files(&world.path("workload/state"))) {
        let bytes = fs::read(path).unwrap();
        for c4nary in ["c4nary", "gold"] {
            assert!(!bytes.windows(c4nary.len()).any(|window| window == c4nary.as_bytes()), "{}", path.display());
        }
    }
    assert!(!said.out.contains("c4nary") && !said.err.contains("c4nary"));
    // The agreement's contracts are looked at where the agreement is checked.
    fs::write(world.path("workload/c.yaml"), "kind: DataContract\n").unwrap();
    world.run("workload", &["space", "check"]).refused(3, "does not hold together");
}
