//! Aggregates over matches, from kept columns and the agreement to every form of the report.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use std::fs;

use serde_json::{Value, json};
use world::World;

const AGREED: &str = "analyses:\n  aggregates:\n    balance-by-segment:\n      kind: email\n      over: pairs\n      \
                      group_by: [acme.segment]\n      values: { globex.balance: [sum, mean, quantiles] }\n";

/// Writes what the holders allow, the aggregate, and the smallest count into every copy of the agreement.
fn agree(world: &World, min_count: u64) {
    for party in ["workload", "acme", "globex"] {
        let file = world.path(party).join("space.yaml");
        let mut text = fs::read_to_string(&file).unwrap();
        for (holder, columns) in [("acme", "segment: [group]"), ("globex", "balance: [sum, mean, quantiles]")] {
            let head = format!("\n  {holder}:\n");
            let with = format!("{head}    policy: {{ columns: {{ {columns} }} }}\n");
            assert!(text.contains(&head), "{text}");
            text = text.replacen(&head, &with, 1);
        }
        text = text.replace("  min_count: 1 ", &format!("  min_count: {min_count} "));
        fs::write(&file, format!("{text}{AGREED}")).unwrap();
    }
}

/// Customers 0 to 29 of both: ten gold, seventeen silver, three bankrupt; the balances of globex are ten times their number.
fn world(min_count: u64) -> World {
    let world = World::new(&["acme", "globex"], &[]);
    agree(&world, min_count);
    world.run("workload", &["space", "check"]).done();
    world.event("INITIALIZE").done();
    world.enrol_all(&["acme", "globex"]);
    let segment = |i| {
        if i < 10 {
            "gold"
        } else if i < 27 {
            "silver"
        } else {
            "bankrupt"
        }
    };
    let acme: String = (0..40).map(|i| format!("c{i}@example.com,{}\n", segment(i))).collect();
    let globex: String = (0..30).map(|i| format!("c{i}@example.com,{}\n", 10 * i)).collect();
    for (holder, column, rows) in [("acme", "segment", acme), ("globex", "balance", globex)] {
        let file = world.path(holder).join("customers.csv");
        fs::write(&file, format!("email,{column}\n{rows}")).unwrap();
        world.protect_file(holder, "customers.csv", &["--keep", column]).done();
    }
    world
}

fn table(report: &Value) -> &Value {
    &report["aggregates"][0]["tables"][0]
}

#[test]
fn a_report_says_sums_and_means_by_group_of_another_holder() {
    let world = world(1);
    world.event("CHECK_COMMON_CUSTOMERS").done();
    let report = world.report();
    let groups = table(&report)["groups"].as_array().unwrap();
    let found: Vec<_> = groups
        .iter()
        .map(|group| (group["by"][0].as_str().unwrap(), group["count"].as_u64().unwrap(), &group["values"][0]))
        .map(|(name, count, values)| (name, count, values["sum"].as_str().unwrap(), values["mean"].as_str().unwrap()))
        .collect();
    assert_eq!(found, [("bankrupt", 3, "840", "280"), ("gold", 10, "450", "45"), ("silver", 17, "3060", "180")]);
    let means: Vec<_> =
        groups[1]["values"][0]["quantiles"].as_array().unwrap().iter().map(|b| b["mean"].as_str().unwrap()).collect();
    assert_eq!(means, ["5", "30", "55", "80"]);
    assert_eq!(report["common_customers"], json!({ "by_email": 30 }));
    let folder = world.path("workload/outputs").join(report["provenance"]["event"].as_str().unwrap());
    let opened = world.run("workload", &["report", "open", folder.to_str().unwrap()]).done();
    assert!(
        opened.out.contains("balance-by-segment: customers by email at acme and globex, by acme.segment"),
        "{}",
        opened.out
    );
    assert!(fs::read_to_string(folder.join("report.html")).unwrap().contains("Aggregates: balance-by-segment"));
    world.run("workload", &["report", "verify", folder.to_str().unwrap(), "--space", "space.yaml"]).done();
}

#[test]
fn a_small_group_is_not_named_anywhere_and_another_question_is_no_old_answer() {
    let world = world(5);
    world.event("CHECK_COMMON_CUSTOMERS").done();
    let report = world.report();
    assert_eq!(table(&report)["withheld_groups"], json!(2));
    let names: Vec<_> = table(&report)["groups"].as_array().unwrap().iter().map(|group| &group["by"][0]).collect();
    assert_eq!(names, [&json!("silver")]);
    let folder = world.path("workload/outputs").join(report["provenance"]["event"].as_str().unwrap());
    for file in ["report.json", "report.html"] {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        assert!(!text.contains("bankrupt") && !text.contains("gold"), "{file}");
    }
    let cells: Vec<_> = report["suppressed"].as_array().unwrap().iter().map(|cell| &cell["cell"]).collect();
    assert!(cells.contains(&&json!("aggregates[balance-by-segment].tables[acme,globex].withheld_groups")), "{cells:?}");

    // Other figures are another question.
    let file = world.path("workload/space.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("globex.balance: [sum, mean, quantiles]", "globex.balance: [mean]")).unwrap();
    let before = report["provenance"]["event"].clone();
    fs::remove_dir_all(&folder).unwrap();
    world.event("CHECK_COMMON_CUSTOMERS").done();
    let again = world.report();
    assert_ne!(again["provenance"]["event"], before);
    assert_eq!(again["provenance"]["answered_from"], json!(null));
    assert_eq!(again["aggregates"][0]["values"][0]["figures"], json!(["mean"]));
}

/// Two reports that differ in one customer's segment would tell this customer's balance by their sums.
#[test]
fn with_a_guard_other_kept_values_of_the_same_customers_are_refused() {
    let world = world(1);
    for party in ["workload", "acme", "globex"] {
        let file = world.path(party).join("space.yaml");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("  min_count: 1 ", "  differencing_guard: 5\n  min_count: 1 ")).unwrap();
    }
    world.event("CHECK_COMMON_CUSTOMERS").done();
    let first = world.report();
    let file = world.path("acme/customers.csv");
    let rows = fs::read_to_string(&file).unwrap();
    let protect = || world.protect_file("acme", "customers.csv", &["--keep", "segment"]).done();

    // The same rows in another file are the same question.
    protect();
    world.event("CHECK_COMMON_CUSTOMERS").done();
    let again = world.report();
    assert_eq!(again["provenance"]["answered_from"], first["provenance"]["event"]);
    assert_eq!(again["aggregates"], first["aggregates"]);

    fs::write(&file, rows.replace("c3@example.com,gold", "c3@example.com,only c3")).unwrap();
    protect();
    world.event("CHECK_COMMON_CUSTOMERS").refused(
        6,
        "has the same identifiers of kind 'email' as one that was reported with 'globex' before, and other rows",
    );

    // Without what looks at rows, the same customers are the same question.
    let agreement = world.path("workload/space.yaml");
    let text = fs::read_to_string(&agreement).unwrap();
    fs::write(&agreement, text.replace(AGREED, "")).unwrap();
    world.event("CHECK_COMMON_CUSTOMERS").done();
    assert_eq!(world.report()["common_customers"], first["common_customers"]);
}

#[test]
fn a_column_that_was_not_kept_is_said_with_what_to_do() {
    let world = world(1);
    world.protect_file("acme", "customers.csv", &[]).done();
    let said = world.event("CHECK_COMMON_CUSTOMERS");
    assert_ne!(said.code, 0);
    assert!(said.err.contains("no dataset of 'acme' has the kept column 'segment'"), "{}", said.err);
    assert!(said.err.contains("--keep segment"), "{}", said.err);
}

#[test]
fn a_column_that_its_holder_does_not_allow_is_refused_by_the_check() {
    let world = World::new(&["acme", "globex"], &[]);
    agree(&world, 1);
    let file = world.path("workload/space.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("segment: [group]", "segment: []")).unwrap();
    let said = world.run("workload", &["space", "check"]);
    assert_eq!(said.code, 3, "{}{}", said.out, said.err);
    assert!((said.out + &said.err).contains("'acme' does not allow its column 'segment' for group"));
}
