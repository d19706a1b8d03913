//! The committed JSON schema of `report.json` is the one that the types make, and reports of every form fit it.
//! `UPDATE_SCHEMA=1 cargo test -p datafuse-engine --test report_schema` writes it anew.
//!
//! The validator is Python's `jsonschema`, which is in `target/emulators/python`, where `./test.sh` installs it with the emulators.
//! Without it that test only says so; with `DATAFUSE_TEST_EMULATORS=required` it fails.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use datafuse_core::{
    epsilon::Epsilon,
    id::{Epoch, ParticipantId},
    normalize::Profile,
};
use datafuse_engine::{
    match_table::{HolderSet, MatchTable},
    report::{
        AppliedRule, DatasetRef, KindInputs, Noise, Output, Provenance, Report, ReportInputs, RowCounts, SCHEMA_ID,
        SpentEpsilon, Threshold, report_schema,
    },
};
use serde_json::{Value, json};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// One kind: every set of the holders has the count that is made of its mask.
fn kind(name: &str, holders: usize, count: impl Fn(usize) -> u64) -> KindInputs {
    let names: Vec<ParticipantId> = (0..holders).map(|index| format!("holder{index}").parse().unwrap()).collect();
    let set = |mask: usize| HolderSet::new(holders, (0..holders).filter(move |holder| mask >> holder & 1 == 1));
    let table = MatchTable::new(names.clone(), (1..1_usize << holders).map(|mask| (set(mask), count(mask))));
    let rows = (0..holders).map(|index| RowCounts {
        rows: table.unique(index) + 5,
        empty: 2,
        invalid: 1,
        would_change: [(Profile::EmailGmailV1, 2)].into(),
    });
    KindInputs { kind: name.parse().unwrap(), rows: names.into_iter().zip(rows).collect(), table }
}

fn report(kinds: Vec<KindInputs>, min_count: u64, unauthenticated: bool) -> Value {
    let report = Report::build(inputs(kinds, min_count, unauthenticated)).unwrap();
    serde_json::from_str(&report.to_json_pretty()).unwrap()
}

fn inputs(kinds: Vec<KindInputs>, min_count: u64, unauthenticated: bool) -> ReportInputs {
    let holders: Vec<_> = kinds[0].table.holders.clone();
    let datasets = holders.into_iter().map(|holder| DatasetRef {
        holder,
        dataset: "customers".parse().unwrap(),
        version: 7,
        sha256: "0a".repeat(32),
        unauthenticated,
    });
    ReportInputs {
        kinds,
        threshold: Threshold { min_count, set_by: "holder0".to_owned() },
        rules: Vec::new(),
        provenance: Provenance {
            space: "retail-2026".parse().unwrap(),
            root: "9b".repeat(32),
            epoch: Epoch(1),
            event: "1732600000000-0".parse().unwrap(),
            event_type: "CHECK_COMMON_CUSTOMERS".to_owned(),
            answered_from: None,
            datasets: datasets.collect(),
            datafuse: "0.1.0".to_owned(),
            at: "2026-11-26T10:00:00Z".to_owned(),
        },
    }
}

/// A report with everything left out that can be, rounded, and one with noise.
fn released() -> [(&'static str, Report); 2] {
    let inputs = || {
        let rounding = AppliedRule { rule: "rounding".to_owned(), limit: 10, set_by: "acme".to_owned() };
        ReportInputs { rules: vec![rounding], ..inputs(vec![kind("email", 3, |mask| mask as u64 * 100)], 1, false) }
    };
    let left_out: Vec<_> = Output::ALL.into_iter().map(|output| (output, "space".to_owned())).collect();
    let epsilon = Epsilon::from_millionths(500_000);
    let spent = SpentEpsilon { holder: "acme".parse().unwrap(), dataset: "customers".parse().unwrap(), epsilon };
    let noise = Noise { epsilon, set_by: "acme".to_owned(), spent: vec![spent] };
    [
        ("parts-left-out", Report::build(inputs()).unwrap().release(&left_out)),
        ("noisy", Report::build_noisy(inputs(), noise).unwrap()),
    ]
}

/// Reports that hold, together, every field there is.
fn good() -> Vec<(&'static str, Value)> {
    let large = |mask: usize| mask as u64 * 100;
    let several = || vec![kind("email", 3, large), kind("phone", 3, large), kind("iban", 3, |_| 0)];
    let mut good = vec![
        ("plain", report(vec![kind("email", 2, large)], 1, false)),
        ("several-kinds", report(several(), 1, false)),
        ("suppressed", report(vec![kind("email", 4, |mask| mask as u64), kind("phone", 4, |_| 3)], 5, false)),
        ("left-out", report(vec![kind("email", 10, |mask| mask as u64)], 5, false)),
        ("nothing-common", report(vec![kind("email", 3, |mask| u64::from(mask.is_power_of_two()) * 90)], 1, true)),
    ];
    for (name, report) in released() {
        good.push((name, serde_json::from_str(&report.to_json_pretty()).unwrap()));
    }
    let mut earlier = good[0].1.clone();
    for ratio in ["jaccard", "share_of_a", "share_of_b"] {
        earlier["overlap"]["pairwise"][0].as_object_mut().unwrap().remove(ratio).unwrap();
    }
    good.push(("without-ratios", earlier));
    good.push((
        "example",
        serde_json::from_slice(&fs::read(here("../../outputs/example/report.json")).unwrap()).unwrap(),
    ));
    for (name, field) in [("suppressed", "/suppressed/0"), ("left-out", "/overlap/regions_left_out/withheld")] {
        let report = &good.iter().find(|(found, _)| *found == name).unwrap().1;
        assert!(report.pointer(field).is_some(), "{name} shows {field}");
    }
    good
}

/// The first report with one thing wrong.
fn bad() -> Vec<(&'static str, Value)> {
    let wrong = |pointer: &str, value: Value| {
        let mut report = report(vec![kind("email", 2, |mask| mask as u64)], 1, false);
        *report.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
        report
    };
    let mut without = report(vec![kind("email", 2, |mask| mask as u64)], 1, false);
    without["parties"][0].as_object_mut().unwrap().remove("matched").unwrap();
    vec![
        ("without-matched", without),
        ("other-schema", wrong("/schema", json!("datafuse/report/v2"))),
        ("fraction", wrong("/overlap/all", json!(2.5))),
        ("negative", wrong("/overlap/regions/0/count", json!(-1))),
        ("text", wrong("/parties/0/rows", json!("7"))),
        ("ratio-above-one", wrong("/overlap/pairwise/0/jaccard", json!(1.5))),
        ("holder", wrong("/parties/0/holder", json!("Ann Example"))),
        ("hash", wrong("/provenance/datasets/0/sha256", json!("xyz"))),
        ("negative-empty", wrong("/parties/0/empty", json!(-1))),
    ]
}

#[test]
fn the_committed_schema_is_that_of_the_types() {
    let path = here("../../docs/report.schema.json");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(&path, format!("{:#}\n", report_schema())).unwrap();
    }
    let committed: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(committed, report_schema(), "docs/report.schema.json is old: run with UPDATE_SCHEMA=1");
    assert_eq!(committed["$id"], SCHEMA_ID);
}

#[test]
fn every_report_that_is_accepted_can_be_read() {
    for (name, report) in good() {
        let read = Report::from_json(report.to_string().as_bytes());
        assert!(read.is_ok(), "{name}: {}", read.unwrap_err());
    }
}

#[test]
fn reports_of_every_form_fit_the_schema_and_altered_ones_do_not() {
    let python = here("../../target/emulators/python/bin/python");
    let found = Command::new(&python).args(["-c", "import jsonschema"]).output();
    if !found.is_ok_and(|output| output.status.success()) {
        let required = std::env::var("DATAFUSE_TEST_EMULATORS").is_ok_and(|value| value == "required");
        assert!(!required, "jsonschema is not installed: run the tests with ./test.sh, or see CONTRIBUTING.md");
        eprintln!("skipped: jsonschema is not in {}", python.display());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let write = |(name, report): &(&str, Value)| {
        let path = folder.path().join(format!("{name}.json"));
        fs::write(&path, report.to_string()).unwrap();
        path
    };
    let (good, bad) = (good(), bad());
    let schema = write(&("schema", report_schema()));
    let output = Command::new(python)
        .arg(here("tests/report_schema.py"))
        .arg(schema)
        .args(good.iter().chain(&bad).map(write))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut expected: Vec<_> = good.iter().map(|(name, _)| format!("{name} fits")).collect();
    expected.extend(bad.iter().map(|(name, _)| format!("{name} does not fit")));
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.lines().collect::<Vec<_>>(), expected, "{}", String::from_utf8_lossy(&output.stderr));
}
