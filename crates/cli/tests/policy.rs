//! The rules of the space and of its holders, with the program as its users run it.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use std::fs;

use serde_json::{Value, json};
use world::{Said, World};

/// Customers by number, as a CSV file.
fn customers(numbers: impl Iterator<Item = u32>) -> String {
    let lines: String = numbers.map(|n| format!("person{n}@example.com\n")).collect();
    format!("email\n{lines}")
}

/// Acme with the customers 0 to 19, Globex with 10 to 29; `own` is Acme's policy and `space` the space's.
fn world(own: &str, space: &str) -> World {
    let world = World::enrolled(&[("acme", &customers(0..20)), ("globex", &customers(10..30))]);
    let path = world.path("workload/space.yaml");
    let yaml = fs::read_to_string(&path).unwrap();
    let acme = "acme.parquet\" }\n";
    assert!(yaml.contains(acme) && yaml.ends_with("shows\n"), "{yaml}");
    let yaml = yaml.replacen(acme, &format!("{acme}    policy: {{ {own} }}\n"), 1);
    fs::write(path, format!("{yaml}  {space}\n")).unwrap();
    world
}

fn check(world: &World) -> Said {
    world.event("CHECK_COMMON_CUSTOMERS")
}

fn all_of(report: &Value) -> u64 {
    report["overlap"]["all"].as_u64().unwrap()
}

/// The newest report, by when it was made.
fn newest(world: &World) -> Value {
    let folders = fs::read_dir(world.path("workload/outputs")).unwrap().map(|entry| entry.unwrap().path());
    let newest = folders.max_by_key(|folder| folder.metadata().unwrap().modified().unwrap()).unwrap();
    serde_json::from_slice(&fs::read(newest.join("report.json")).unwrap()).unwrap()
}

fn reports(world: &World) -> usize {
    fs::read_dir(world.path("workload/outputs")).map_or(0, Iterator::count)
}

#[test]
fn a_dataset_outside_the_sizes_that_a_partner_allows_is_refused() {
    for (own, rule, words) in [
        ("min_dataset_size: 21", "min_dataset_size", "fewer than 21 distinct identifiers of kind 'email'"),
        ("max_dataset_size: 19", "max_dataset_size", "more than 19 distinct identifiers of kind 'email'"),
    ] {
        let world = world(own, "");
        let said = check(&world).refused(6, words);
        assert!(said.err.contains(&format!("{rule}, set by acme")), "{}", said.err);
        assert_eq!(reports(&world), 0);
    }
    let world = world("min_dataset_size: 20, max_dataset_size: 20", "");
    check(&world).done();
    let rules = &newest(&world)["policy"]["rules"];
    assert_eq!(rules[0], json!({ "rule": "min_dataset_size", "limit": 20, "set_by": "acme" }));
    assert_eq!(rules[1], json!({ "rule": "max_dataset_size", "limit": 20, "set_by": "acme" }));
}

#[test]
fn a_pair_has_its_reports_of_a_day_and_the_same_question_is_free() {
    let world = world("reports_per_pair_per_day: 2", "reports_per_pair_per_day: 3");
    check(&world).done();
    let first = newest(&world);
    assert_eq!(first["provenance"]["answered_from"], Value::Null);
    for _ in 0..3 {
        check(&world).done();
        let again = newest(&world);
        assert_eq!(again["provenance"]["answered_from"], first["provenance"]["event"]);
        assert_ne!(again["provenance"]["event"], first["provenance"]["event"]);
        for field in ["overlap", "parties", "common_customers", "suppressed", "policy"] {
            assert_eq!(again[field], first[field], "{field}");
        }
    }
    // The same data under another seal is the same question; its own commitments stand in the report.
    world.protect("acme", &customers((0..20).rev())).done();
    check(&world).done();
    let again = newest(&world);
    assert_eq!(again["provenance"]["answered_from"], first["provenance"]["event"]);
    assert_ne!(again["provenance"]["datasets"][0]["sha256"], first["provenance"]["datasets"][0]["sha256"]);

    world.protect("acme", &customers(0..25)).done();
    check(&world).done();
    assert_eq!(all_of(&newest(&world)), 15);
    world.protect("acme", &customers(0..26)).done();
    let said = check(&world).refused(6, "were in 2 different reports today");
    assert!(said.err.contains("reports_per_pair_per_day, set by acme"), "{}", said.err);
    // What was asked before is still answered.
    world.protect("acme", &customers(0..25)).done();
    check(&world).done();
    assert_eq!(all_of(&newest(&world)), 15);
}

#[test]
fn a_dataset_that_differs_little_from_a_reported_one_is_refused_however_many_lie_between() {
    let world = world("", "differencing_guard: 5");
    check(&world).done();
    let differs = "dataset 'customers' of 'globex' differs in fewer than 5 identifiers of kind 'email'";
    world.protect("globex", &customers(10..31)).done();
    let said = check(&world).refused(6, differs);
    assert!(said.err.contains("with 'acme' before: differencing_guard, set by space"), "{}", said.err);
    // Replaced, not added.
    world.protect("globex", &customers(12..32)).done();
    check(&world).refused(6, differs);
    world.protect("globex", &customers(10..35)).done();
    check(&world).done();
    // Near to the second; then far from it and near to the first, whose file is gone.
    for near in [10..36, 10..31] {
        world.protect("globex", &customers(near)).done();
        check(&world).refused(6, differs);
    }
    world.protect("globex", &customers(10..30)).done();
    check(&world).done();
    assert_eq!(reports(&world), 3);

    let log = fs::read_to_string(world.path("workload/state/audit.jsonl")).unwrap();
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let refused: Vec<_> = lines.iter().filter(|line| line["refused"] == true).collect();
    assert_eq!(refused.len(), 4, "{log}");
    assert!(refused.iter().all(|line| line["error"] == "policy-differencing-guard"), "{log}");
    let by = lines.iter().filter(|line| line["participant"] == "space").count();
    assert_eq!(by, 4, "{log}");
}
