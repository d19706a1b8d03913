//! The leak drill as a person plays it: what it prints, and with which code it ends.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

fn datafuse(args: &[&str], folder: &Path) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_datafuse")).args(args).current_dir(folder).output().unwrap();
    let printed = [output.stdout.as_slice(), &output.stderr].concat();
    // Every address of the example data has one.
    assert!(!printed.contains(&b'@'), "no identifier is shown");
    output
}

fn drill(args: &[&str], folder: &Path) -> (Option<i32>, Value) {
    let args = [&["key", "drill", "--space", "demo/space.yaml", "--json", "--quiet"], args].concat();
    let output = datafuse(&args, folder);
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default())
}

/// What was recovered of a party in all artifacts together.
fn recovered(value: &Value, party: &str) -> u64 {
    let rows = value["rows"].as_array().unwrap().iter().filter(|row| row["party"] == party);
    rows.map(|row| row["recovered"].as_u64().unwrap()).sum()
}

#[test]
fn the_drill_tables_what_falls_and_shows_no_identifier() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    assert!(datafuse(&["demo", "--rows", "300", "--out", "demo", "--quiet"], here).status.success());

    let (code, one) = drill(&["--leak", "acme"], here);
    assert_eq!((code, one["control"]["passed"].as_bool()), (Some(0), Some(true)));
    let identifiers = one["rows"][0]["identifiers"].as_u64().unwrap();
    assert_eq!((recovered(&one, "acme"), recovered(&one, "globex")), (identifiers, 0));

    let (code, workload) = drill(&["--leak", "all-workload"], here);
    assert_eq!((code, recovered(&workload, "acme") + recovered(&workload, "globex")), (Some(0), 0));
    assert!(workload["rows"][0]["linked"].as_u64().unwrap() > 0);

    let (code, both) = drill(&["--leak", "acme", "--leak", "all-workload"], here);
    assert!(code == Some(0) && recovered(&both, "globex") > 0);
    assert_eq!(both["leak"], serde_json::json!(["acme", "all-workload"]));

    // A source that is not the one that was protected: the attack cannot find what is not there, and says so.
    let source = here.join("demo/source/acme.csv");
    let text = fs::read_to_string(&source).unwrap();
    fs::write(&source, format!("{text}9999,Nobody,nobody@example.org,,gold,1.0,Ghent\n")).unwrap();
    let (code, broken) = drill(&["--leak", "acme"], here);
    assert_eq!((code, broken["control"]["passed"].as_bool()), (Some(1), Some(false)));

    assert_eq!(drill(&["--leak", "nobody"], here).0, Some(2));
    assert_eq!(drill(&["--leak", "acme", "--keys", "elsewhere"], here).0, Some(3));
    assert_eq!(drill(&["--leak", "acme", "--key", "acme=demo/keys/globex.key"], here).0, Some(3));
    assert_eq!(drill(&["--leak", "acme", "--dictionary", "missing.csv"], here).0, Some(3));
    fs::remove_file(here.join("demo/truth.json")).unwrap();
    assert_eq!(drill(&["--leak", "acme"], here).0, Some(3));
}
