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

#[test]
fn counts_are_rounded_to_what_the_strictest_asks_and_the_report_says_so() {
    // 20 and 20 customers, 10 of them common.
    let world = world("rounding: 3", "rounding: 7");
    check(&world).done();
    let report = newest(&world);
    assert_eq!(report["policy"]["rules"], json!([{ "rule": "rounding", "limit": 7, "set_by": "space" }]));
    assert_eq!((all_of(&report), &report["parties"][0]["unique"]), (7, &json!(21)));
    assert_eq!(report["overlap"]["pairwise"][0]["share_of_a"], json!(0.333333));
    assert_eq!(report["overlap"]["at_least"][0]["count"], json!(28));
    let folder = world.path("workload/outputs").join(report["provenance"]["event"].as_str().unwrap());
    let said = world.run("workload", &["report", "open", folder.to_str().unwrap()]).done();
    assert!(said.out.contains("rounded to multiples of 7 (rounding, set by space)"), "{}", said.out);
    assert!(fs::read_to_string(folder.join("report.html")).unwrap().contains("rounded to multiples of 7"));
}

#[test]
fn a_report_has_only_the_outputs_that_everybody_allows() {
    let world = world("outputs: [all, pairwise, parties]", "outputs: [regions]");
    let checked = world.run("workload", &["space", "check"]).done();
    assert!(!checked.out.contains("hides nothing"), "{}", checked.out);
    check(&world).done();
    let report = newest(&world);
    let by = |output: &str, set_by: &str| json!({ "output": output, "set_by": set_by });
    let left_out = [
        by("at_least", "acme"),
        by("regions", "acme"),
        by("parties", "space"),
        by("waterfall", "space"),
        by("aggregates", "space"),
    ];
    assert_eq!(report["policy"]["left_out"], json!(left_out));
    let overlap = &report["overlap"];
    assert_eq!((all_of(&report), &overlap["pairwise"][0]["count"]), (10, &json!(10)));
    // The sizes are not said, so no share of them is.
    assert_eq!(overlap["pairwise"][0]["jaccard"], Value::Null);
    assert_eq!((&overlap["regions"], &overlap["at_least"][1]["count"]), (&json!([]), &Value::Null));
    assert_eq!(
        report["parties"][0],
        json!({ "holder": "acme", "rows": null, "empty": null, "invalid": null,
                                             "duplicate": null, "unique": null, "matched": null })
    );
    let cells: Vec<_> =
        report["suppressed"].as_array().unwrap().iter().map(|s| (&s["cell"], &s["rule"], &s["set_by"])).collect();
    let cell = |cell: &str, set_by: &str| (json!(cell), json!("outputs"), json!(set_by));
    let expected = [cell("overlap.at_least", "acme"), cell("overlap.regions", "acme"), cell("parties", "space")];
    assert_eq!(cells, expected.iter().map(|(cell, rule, by)| (cell, rule, by)).collect::<Vec<_>>());

    let folder = world.path("workload/outputs").join(report["provenance"]["event"].as_str().unwrap());
    let said = world.run("workload", &["report", "open", folder.to_str().unwrap()]).done();
    assert!(said.out.contains("Left out of this report: at_least, regions (outputs, set by acme)."), "{}", said.out);
    let page = fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(page.contains("Left out of this report") && !page.contains("From rows to matches"));
    world.run("workload", &["report", "verify", folder.to_str().unwrap(), "--space", "space.yaml"]).done();
}

#[test]
fn another_policy_or_order_of_kinds_is_another_question() {
    let world = world("", "");
    let file = world.path("workload/space.yaml");
    let agreed = fs::read_to_string(&file).unwrap();
    let mut events = Vec::new();
    for more in ["", "  rounding: 5", "  outputs: [all]", "  outputs: [all, pairwise]"] {
        fs::write(&file, format!("{agreed}{more}\n")).unwrap();
        check(&world).done();
        let report = newest(&world);
        assert_eq!(report["provenance"]["answered_from"], Value::Null, "{more}");
        events.push((more, report["provenance"]["event"].clone()));
        check(&world).done();
    }
    // Each of them was answered, and still is.
    for (more, event) in events {
        fs::write(&file, format!("{agreed}{more}\n")).unwrap();
        check(&world).done();
        assert_eq!(newest(&world)["provenance"]["answered_from"], event, "{more}");
    }
}

#[test]
fn noisy_figures_are_paid_for_once_and_only_while_the_budget_lasts() {
    let world =
        world("differential_privacy: { epsilon: 0.4, budget: 1 }", "differential_privacy: { epsilon: 2, budget: 9 }");
    check(&world).done();
    let first = newest(&world);
    let noise = &first["policy"]["differential_privacy"];
    assert_eq!((&noise["epsilon"], &noise["set_by"], &noise["sensitivity"]), (&json!(0.4), &json!("acme"), &json!(2)));
    let spent = |holder: &str| json!({ "holder": holder, "dataset": "customers", "epsilon": 0.4 });
    assert_eq!(noise["spent"], json!([spent("acme"), spent("globex")]));
    let acme = &first["parties"][0];
    assert_eq!((&acme["rows"], &acme["empty"], &acme["duplicate"]), (&Value::Null, &Value::Null, &Value::Null));
    assert!(acme["unique"].is_u64(), "{acme}");
    // Whoever asks again gets the same noise, and nobody pays.
    for _ in 0..2 {
        check(&world).done();
        let again = newest(&world);
        assert_eq!(again["provenance"]["answered_from"], first["provenance"]["event"]);
        assert_eq!((&again["overlap"], &again["parties"]), (&first["overlap"], &first["parties"]));
    }
    let folder = world.path("workload/outputs").join(first["provenance"]["event"].as_str().unwrap());
    let said = world.run("workload", &["report", "open", folder.to_str().unwrap()]).done();
    assert!(
        said.out.contains("random noise (differential_privacy, epsilon 0.4 for each kind, set by acme)"),
        "{}",
        said.out
    );
    assert!(fs::read_to_string(folder.join("report.html")).unwrap().contains("random noise"));
    world.run("workload", &["report", "verify", folder.to_str().unwrap(), "--space", "space.yaml"]).done();

    // 0.8 of acme's 1 after the second question; a third would cost 0.4 more.
    world.protect("acme", &customers(0..25)).done();
    check(&world).done();
    world.protect("acme", &customers(0..26)).done();
    let made = reports(&world);
    let said = check(&world).refused(6, "has 0.2 of its epsilon budget of 1 left, and a report costs it 0.4");
    assert!(said.err.contains("differential_privacy, set by acme"), "{}", said.err);
    assert_eq!(reports(&world), made);
    let log = fs::read_to_string(world.path("workload/state/audit.jsonl")).unwrap();
    assert!(log.contains("policy-epsilon"), "{log}");
    // What was asked before is still answered; another epoch or name of the file fills nothing up.
    world.protect("acme", &customers(0..25)).done();
    check(&world).done();
    world.run("workload", &["run", "INITIALIZE", "--new-epoch", "--key", "party.key"]).done();
    world.enrol_all(&["acme", "globex"]);
    for (holder, numbers) in [("acme", 0..20), ("globex", 10..30)] {
        world.protect(holder, &customers(numbers)).done();
    }
    check(&world).refused(6, "has 0.2 of its epsilon budget of 1 left");
}

#[test]
fn with_a_guard_the_same_identifiers_are_reported_in_the_same_company_only() {
    let lists = [("acme", customers(0..20)), ("globex", customers(10..30)), ("initech", customers(13..40))];
    let world = World::enrolled(&lists.each_ref().map(|(holder, csv)| (*holder, csv.as_str())));
    let path = world.path("workload/space.yaml");
    let yaml = fs::read_to_string(&path).unwrap();
    let run = |holders: &str| {
        world.run("workload", &["run", "CHECK_COMMON_CUSTOMERS", "--key", "party.key", "--holders", holders])
    };
    fs::write(&path, format!("{yaml}  differencing_guard: 5\n")).unwrap();
    run("acme,globex,initech").done();
    // 10 in common, 7 of them with initech too: 3 would be at these two alone.
    let refused = run("acme,globex").refused(6, "together with other holders than now: differencing_guard");
    assert!(refused.err.contains("--holders with the same holders as before"), "{}", refused.err);
    run("globex,initech").refused(6, "together with other holders than now");
    run("acme,globex,initech").done();
    assert_eq!(reports(&world), 2);
    // Other identifiers at the one are not enough: the other's were reported with it as well.
    world.protect("globex", &customers(50..70)).done();
    run("acme,globex").refused(6, "dataset 'customers' of 'acme'");
    world.protect("acme", &customers(60..80)).done();
    run("acme,globex").done();
}

/// Acme and Globex with three users, each with a place of its own: `insights` may see everything, `office` pairs as well, and `press`
/// only what is common to all.
fn three_users() -> World {
    let world = world("outputs_for: { press: [all], office: [all, pairwise] }", "");
    let path = world.path("workload/space.yaml");
    let yaml = fs::read_to_string(&path).unwrap();
    let user = |name: &str| format!("  {name}:\n    roles: [user]\n    deliver: ../{name}\n");
    let yaml =
        yaml.replacen("  insights:\n    roles: [user]\n", &["insights", "office", "press"].map(user).concat(), 1);
    assert!(yaml.contains("../press"), "{yaml}");
    fs::write(path, yaml).unwrap();
    for user in ["insights", "office", "press"] {
        fs::create_dir(world.path(user)).unwrap();
        fs::copy(world.path("workload/space.yaml"), world.path(user).join("space.yaml")).unwrap();
    }
    world
}

fn report_in(folder: &std::path::Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("report.json")).unwrap()).unwrap()
}

#[test]
fn each_user_gets_the_outputs_that_it_may_see_and_nobody_elses() {
    let world = three_users();
    let run = ["run", "CHECK_COMMON_CUSTOMERS", "--key", "party.key", "--json"];
    let said: Value = serde_json::from_str(&world.run("workload", &run).done().out).unwrap();
    let report = newest(&world);
    let event = report["provenance"]["event"].as_str().unwrap().to_owned();
    let outputs = world.path("workload/outputs").join(&event);
    let own: Vec<_> = said["own"].as_object().unwrap().keys().collect();
    assert_eq!(own, ["insights", "office"]);

    // What everybody may see is what the workload's operator finds, and what the user gets who may see no more.
    let shown = |report: &Value| {
        let overlap = &report["overlap"];
        let has = |value: &Value| !value.is_null() && *value != json!([]);
        (
            has(&overlap["all"]),
            has(&overlap["pairwise"][0]["count"]),
            has(&overlap["regions"]),
            has(&report["parties"][0]["unique"]),
        )
    };
    assert_eq!(shown(&report), (true, false, false, false));
    for (user, parts) in [
        ("press", (true, false, false, false)),
        ("office", (true, true, false, false)),
        ("insights", (true, true, true, true)),
    ] {
        let folder = world.path(user).join(&event);
        let report = report_in(&folder);
        assert_eq!(shown(&report), parts, "{user}");
        assert_eq!(all_of(&report), 10);
        let place = if user == "press" { outputs.clone() } else { outputs.join("users").join(user) };
        for name in ["report.json", "report.html", "report.dsse.json", "receipt.json"] {
            assert_eq!(fs::read(folder.join(name)).unwrap(), fs::read(place.join(name)).unwrap(), "{user}: {name}");
        }
        let said = world.run(user, &["report", "verify", &event]).done();
        let recipients = if user == "press" { "insights, office, press" } else { user };
        assert!(said.out.contains(&format!("Recipients: {recipients}\n")), "{}", said.out);
        let left_out = report["policy"]["left_out"].as_array().map_or(&[][..], Vec::as_slice);
        assert!(left_out.iter().all(|left_out| left_out["set_by"] == "acme"), "{left_out:?}");
        assert_eq!(left_out.is_empty(), user == "insights");
    }
    world.run("workload", &["audit", "verify"]).done();

    // The same question is answered from what is remembered, to each user again.
    check(&world).done();
    let again = newest(&world);
    assert_eq!(again["provenance"]["answered_from"], json!(event));
    let folder = world.path("office").join(again["provenance"]["event"].as_str().unwrap());
    assert_eq!(report_in(&folder)["overlap"], report_in(&world.path("office").join(&event))["overlap"]);
}

#[test]
fn a_user_whose_own_report_is_not_where_it_was_made_gets_no_other() {
    type Damage = fn(&std::path::Path);
    let swapped: Damage = |users| {
        fs::rename(users.join("office"), users.join("spare")).unwrap();
        fs::rename(users.join("insights"), users.join("office")).unwrap();
        fs::rename(users.join("spare"), users.join("insights")).unwrap();
    };
    let missing: Damage = |users| fs::remove_dir_all(users.join("office")).unwrap();
    let none: Damage = |_| {};
    for (damage, is_delivered) in [(swapped, false), (missing, false), (none, true)] {
        let world = three_users();
        let id = world.run("workload", &["send", "CHECK_COMMON_CUSTOMERS"]).done().out.trim().to_owned();
        // A place that is not mounted: the reports are made, and the event comes again.
        let (office, away) = (world.path("office"), world.path("away"));
        fs::rename(&office, &away).unwrap();
        let serve = || world.run("workload", &["serve", "--key", "party.key", "--once"]);
        let said = serve();
        assert!(said.err.contains("delivery-folder"), "{}\n{}", said.out, said.err);
        fs::rename(&away, &office).unwrap();

        damage(&world.path("workload/outputs").join(&id).join("users"));
        let said = serve();
        assert_eq!(said.err.contains("output-in-the-way"), !is_delivered, "{}\n{}", said.out, said.err);
        let delivered = office.join(&id);
        assert_eq!(delivered.exists(), is_delivered);
        assert!(!is_delivered || report_in(&delivered)["overlap"]["regions"] == json!([]));
    }
}
