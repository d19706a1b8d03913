//! What reports say of rows, from the agreement to every form of the report.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use std::fs;

use serde_json::json;
use world::World;

// Ada by either, Bob by phone, Eve by email, Zoe by nothing; one row without anything.
const ACME: &str = "email,phone\nada@example.com,0470 00 00 01\nb@example.com,0470 00 00 02\neve@example.com,0470 00 00 03\n\
                    zoe@example.com,\n,\n";
// Ada twice, with either identifier once; Bob with another address; Eve with another number.
const GLOBEX: &str =
    "email,phone\nada@example.com,\n,0470 00 00 01\nbob@example.com,0470 00 00 02\neve@example.com,0470 00 00 09\n";

/// Two holders who match on email and phone, with more in their agreement.
fn world(more: &str, files: &[(&str, &str)]) -> World {
    let kinds = ["--identifier", "email", "--identifier", "phone=phone-e164-v1:BE"];
    let holders: Vec<_> = files.iter().map(|(holder, _)| *holder).collect();
    let world = World::new(&holders, &kinds);
    for party in ["workload"].iter().chain(&holders) {
        let file = world.path(party).join("space.yaml");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("{text}{more}\n")).unwrap();
    }
    world.event("INITIALIZE").done();
    world.enrol_all(&holders);
    for (holder, csv) in files {
        world.protect(holder, csv).done();
    }
    world
}

#[test]
fn a_report_says_how_many_rows_came_by_which_identifier() {
    let world = world("analyses: { waterfall: [email, phone] }", &[("acme", ACME), ("globex", GLOBEX)]);
    world.run("workload", &["space", "check"]).done();
    world.event("CHECK_COMMON_CUSTOMERS").done();
    let report = world.report();
    let steps = |email, phone| json!([{ "kind": "email", "rows": email }, { "kind": "phone", "rows": phone }]);
    assert_eq!(
        report["waterfall"],
        json!({
            "order": ["email", "phone"],
            "holders": [
                { "holder": "acme", "rows": 5, "steps": steps(2, 1), "matched": 3 },
                { "holder": "globex", "rows": 4, "steps": steps(2, 2), "matched": 4 },
            ],
        })
    );
    // What is beside it is what it would be without.
    assert_eq!(report["common_customers"], json!({ "by_email": 2, "by_phone": 2 }));
    let event = report["provenance"]["event"].as_str().unwrap();
    let folder = world.path("workload/outputs").join(event);
    let opened = world.run("workload", &["report", "open", folder.to_str().unwrap()]).done();
    assert!(opened.out.contains("Rows that match at another holder by email, else phone"), "{}", opened.out);
    assert!(fs::read_to_string(folder.join("report.html")).unwrap().contains("Which identifier did it"));
    let args = ["report", "verify", folder.to_str().unwrap(), "--space", "space.yaml"];
    world.run("workload", &args).done();
}

#[test]
fn the_order_decides_and_small_groups_are_withheld() {
    let files = [("acme", ACME), ("globex", GLOBEX)];
    let first_phone = world("analyses: { waterfall: [phone, email] }", &files);
    first_phone.event("CHECK_COMMON_CUSTOMERS").done();
    let steps = &first_phone.report()["waterfall"]["holders"][0]["steps"];
    assert_eq!(steps, &json!([{ "kind": "phone", "rows": 2 }, { "kind": "email", "rows": 1 }]));

    let strict = world("analyses: { waterfall: [email, phone] }", &files);
    let file = strict.path("workload/space.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("  min_count: 1 ", "  min_count: 3 ")).unwrap();
    strict.event("CHECK_COMMON_CUSTOMERS").done();
    let report = strict.report();
    assert_eq!(report["waterfall"]["holders"][0]["matched"], json!(null));
    let cells: Vec<_> = report["suppressed"].as_array().unwrap().iter().map(|cell| &cell["cell"]).collect();
    assert!(cells.contains(&&json!("waterfall.holders[acme].steps[phone]")), "{cells:?}");
}

#[test]
fn a_waterfall_over_a_kind_that_is_not_there_is_refused() {
    let world = World::new(&["acme", "globex"], &[]);
    let file = world.path("workload/space.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}analyses: {{ waterfall: [email, phone] }}\n")).unwrap();
    let said = world.run("workload", &["space", "check"]);
    assert_eq!(said.code, 3, "{}{}", said.out, said.err);
    let text = said.out + &said.err;
    assert!(text.contains("'phone' is no identifier kind of this space"), "{text}");
}

#[test]
fn another_order_is_another_question_and_each_keeps_its_answer() {
    let world = world("analyses: { waterfall: [email, phone] }", &[("acme", ACME), ("globex", GLOBEX)]);
    let file = world.path("workload/space.yaml");
    let (first, second) = ("waterfall: [email, phone]", "waterfall: [phone, email]");
    let agreed = fs::read_to_string(&file).unwrap();
    let mut events: Vec<serde_json::Value> = Vec::new();
    for (order, answered) in [(first, None), (second, None), (first, Some(0)), (second, Some(1))] {
        fs::write(&file, agreed.replace(first, order)).unwrap();
        world.event("CHECK_COMMON_CUSTOMERS").done();
        let report = world.report();
        assert_eq!(
            json!(report["waterfall"]["order"]),
            json!(if order == first { ["email", "phone"] } else { ["phone", "email"] })
        );
        let expected = answered.map_or(serde_json::Value::Null, |position: usize| events[position].clone());
        assert_eq!(report["provenance"]["answered_from"], expected, "{order}");
        events.push(report["provenance"]["event"].clone());
    }
}
