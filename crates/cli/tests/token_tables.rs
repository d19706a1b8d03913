//! Tables of tokens in the place of protected datasets, as their holders and the workload's operator would have them.
//!
//! Those that DuckDB and pyarrow encrypt need `target/emulators/python`, where `./test.sh` installs both. Without them these tests
//! only say so; with `DATAFUSE_TEST_EMULATORS=required` they fail.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod world;

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};
use world::{Said, World, files};

const ACME: &str = "email,segment\nAda@Example.com,a\nbob@example.com,b\n bob@example.com ,b\n,c\nnot an address,c\neve@example.com,d\n";
const GLOBEX: &str = "email,city\nada@example.com,Gent\nEVE@example.com,Huy\nzoe@example.com,Mons\n";
const KEY: &str = "0123456789abcdef0123456789abcdef";

impl World {
    /// Writes a table of tokens of a holder's `customers.csv` to a place that all share.
    fn table(&self, holder: &str, out: &str, more: &[&str]) -> Said {
        let out = self.path("shared").join(out);
        fs::create_dir_all(out.parent().unwrap()).unwrap();
        self.protect_file(holder, "customers.csv", &[&["--table", out.to_str().unwrap()], more].concat())
    }

    /// In the workload's copy of the agreement: a holder's dataset is a table at another place of the shared folder.
    fn allow_table(&self, holder: &str, location: &str, table: &str) {
        let path = self.path("workload/space.yaml");
        let mut agreement: Vec<String> = fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
        let begins = agreement.iter().position(|line| *line == format!("  {holder}:")).unwrap();
        let at = begins + agreement[begins..].iter().position(|line| line.contains("location:")).unwrap();
        let line = &agreement[at];
        let location = self.path("shared").join(location);
        let dataset = format!("customers: {{ location: \"{}\", table: {table} }}", location.display());
        let indent = line.len() - line.trim_start().len();
        if line.contains('{') {
            agreement[at] = format!("{}{dataset}", " ".repeat(indent));
        } else {
            // `customers:` stands on the line before.
            agreement[at - 1] = format!("{}{dataset}", " ".repeat(indent - 2));
            agreement.remove(at);
        }
        fs::write(path, agreement.join("\n") + "\n").unwrap();
    }

    fn workload(&self, event: &str, variables: &[(&str, &str)]) -> Said {
        let mut command = self.command("workload");
        command.args(["run", event, "--key", "party.key"]).envs(variables.iter().copied());
        command.output().unwrap().into()
    }

    /// Everybody enrolled, acme's dataset protected, globex's source at hand.
    fn with_one_protected() -> Self {
        let world = Self::new(&["acme", "globex"], &[]);
        world.event("INITIALIZE").done();
        world.enrol_all(&["acme", "globex"]);
        world.protect("acme", ACME).done();
        fs::write(world.path("globex/customers.csv"), GLOBEX).unwrap();
        world
    }
}

fn python(arguments: &[&str]) -> std::io::Result<std::process::Output> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    Command::new(root.join("target/emulators/python/bin/python")).args(arguments).output()
}

/// Whether DuckDB and pyarrow are there; says so where they are not.
fn have_tools() -> bool {
    let found = python(&["-c", "import duckdb, pyarrow"]).is_ok_and(|output| output.status.success());
    let required = std::env::var("DATAFUSE_TEST_EMULATORS").is_ok_and(|value| value == "required");
    assert!(
        found || !required,
        "DuckDB and pyarrow are not installed: run the tests with ./test.sh, or see CONTRIBUTING.md"
    );
    if !found {
        eprintln!("skipped: DuckDB and pyarrow are not in target/emulators/python");
    }
    found
}

/// Runs `encrypted_parquet.py`.
fn tools(arguments: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/tests/encrypted_parquet.py");
    let output = python(&[&[script.to_str().unwrap()], arguments].concat()).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What the truth says of a holder whose dataset is a table: an invalid identifier is none.
fn as_of_a_table(mut party: Value) -> Value {
    party["empty"] = json!(party["empty"].as_u64().unwrap() + party["invalid"].as_u64().unwrap());
    party["invalid"] = json!(0);
    party.as_object_mut().unwrap().remove("would_change").unwrap();
    party
}

#[test]
fn tables_that_duckdb_and_pyarrow_encrypted_match_as_the_truth_says() {
    if !have_tools() {
        return;
    }
    let holders = ["acme", "globex", "initech"];
    let world = World::new(&holders, &[]);
    let generate = "demo --generate-only --holders 3 --rows 2000 --overlap 0.3 --seed 11 --out data";
    world.run(".", &generate.split(' ').collect::<Vec<_>>()).done();
    let truth: Value = serde_json::from_slice(&fs::read(world.path("data/truth.json")).unwrap()).unwrap();
    let source = |holder: &str| world.path("data/source").join(format!("{holder}.csv"));
    assert!(holders.iter().all(|holder| source(holder).exists()));
    world.event("INITIALIZE").done();
    world.enrol_all(&holders);
    for holder in holders {
        fs::copy(source(holder), world.path(holder).join("customers.csv")).unwrap();
    }
    let identifier = ["--identifier", "email=customer_email"];
    world.protect_file("acme", "customers.csv", &identifier).done();
    for (holder, tool) in [("globex", "duckdb"), ("initech", "pyarrow")] {
        let encoding: &[&str] = if holder == "globex" { &["--encoding", "latin1"] } else { &[] };
        let plain = format!("{holder}-plain.parquet");
        world.table(holder, &plain, &[&identifier[..], &["--keep", "segment"], encoding].concat()).done();
        let (plain, out) =
            (world.path("shared").join(plain), world.path("shared").join(format!("{holder}-out.parquet")));

        // Both tools read what was written, and see the same.
        let said = tools(&["read", plain.to_str().unwrap()]);
        let seen: Vec<_> = said.lines().map(|line| line.split_once(' ').unwrap().1).collect();
        assert_eq!(seen[0], seen[1]);
        assert!(seen[0].starts_with("row,email,segment "), "{said}");

        tools(&["encrypt", tool, plain.to_str().unwrap(), out.to_str().unwrap(), KEY]);
        let variable = format!("{}_PARQUET_KEY", holder.to_uppercase());
        world.allow_table(holder, &format!("{holder}-out.parquet"), &format!("{{ encryption_key_from: {variable} }}"));
    }

    world
        .workload("CHECK_COMMON_CUSTOMERS", &[("GLOBEX_PARQUET_KEY", KEY)])
        .refused(3, "INITECH_PARQUET_KEY is not set");
    let keys = [("GLOBEX_PARQUET_KEY", KEY), ("INITECH_PARQUET_KEY", KEY)];
    let wrong = [keys[0], ("INITECH_PARQUET_KEY", "another key, of thirty-two bytes")];
    let said = world.workload("CHECK_COMMON_CUSTOMERS", &wrong).refused(4, "does not open with the key");
    assert!(said.err.contains("set INITECH_PARQUET_KEY"), "{}", said.err);
    let said = world.workload("CHECK_COMMON_CUSTOMERS", &keys).done();
    assert!(said.out.contains("Unauthenticated: 'customers' of globex, 'customers' of initech."), "{}", said.out);

    let report = world.report();
    assert_eq!(report["overlap"], truth["overlap"]);
    for (index, party) in truth["parties"].as_array().unwrap().iter().enumerate() {
        let expected = if index == 0 { party.clone() } else { as_of_a_table(party.clone()) };
        assert_eq!(report["parties"][index], expected);
    }
    let datasets = report["provenance"]["datasets"].as_array().unwrap();
    let marks: Vec<_> = datasets.iter().map(|dataset| dataset.get("unauthenticated").cloned()).collect();
    assert_eq!(marks, [None, Some(json!(true)), Some(json!(true))]);
    assert!(report.get("warnings").is_none());
    // What was decrypted is nowhere, nor is the key.
    for file in files(&world.path("workload")) {
        let bytes = fs::read(&file).unwrap();
        assert!(!bytes.windows(KEY.len()).any(|window| window == KEY.as_bytes()), "{}", file.display());
    }
    let again = world.workload("FUSE", &keys).done();
    assert!(again.out.contains("already"), "{}", again.out);
}

#[test]
fn a_plain_table_in_any_format_matches_like_a_protected_dataset() {
    let world = World::with_one_protected();
    for (number, name) in ["t.csv", "t.jsonl", "t.parquet"].into_iter().enumerate() {
        let written = world.table("globex", name, &["--keep", "city", "--json"]).done();
        let written: Value = serde_json::from_str(&written.out).unwrap();
        assert_eq!((&written["rows"], &written["kinds"]["email"]["valid"]), (&json!(3), &json!(3)));
        world.allow_table("globex", name, "{}");
        world.workload("CHECK_COMMON_CUSTOMERS", &[]).done();
        let report = world.report();
        assert_eq!(report["overlap"]["all"], 2, "{name}");
        assert_eq!(report["parties"][1]["rows"], 3);
        let dataset = &report["provenance"]["datasets"][1];
        assert_eq!(dataset["version"], json!(number + 1), "{name}");
        assert_eq!(dataset["sha256"], written["sha256"]);
        assert_eq!(dataset["unauthenticated"], json!(true));
    }
    // One fused file of each holder is left, whatever came before.
    assert_eq!(files(&world.path("workload/state/fused")).len(), 2);
    let checked = world.run("workload", &["space", "check"]);
    assert!(checked.out.contains("unauthenticated") || checked.err.contains("unauthenticated"), "{}", checked.out);

    // A protected dataset takes the table's place with a version of its own, and is taken as one although a table may be there.
    world.protect("globex", GLOBEX).done();
    world.allow_table("globex", "datasets/globex.parquet", "{}");
    world.workload("CHECK_COMMON_CUSTOMERS", &[]).done();
    let report = world.report();
    assert_eq!(report["overlap"]["all"], 2);
    let dataset = &report["provenance"]["datasets"][1];
    assert_eq!((&dataset["version"], dataset.get("unauthenticated")), (&json!(1), None));
}

#[test]
fn a_table_in_several_files_is_one_dataset() {
    let world = World::with_one_protected();
    let (first, second) = GLOBEX.split_at(GLOBEX.find("zoe").unwrap());
    for (name, csv) in [("a", first.to_owned()), ("b", format!("email,city\n{second}"))] {
        fs::write(world.path("globex/customers.csv"), csv).unwrap();
        world.table("globex", &format!("parts/{name}.csv"), &[]).done();
    }
    world.allow_table("globex", "parts/*.csv", "{}");
    world.workload("CHECK_COMMON_CUSTOMERS", &[]).done();
    let report = world.report();
    assert_eq!((&report["overlap"]["all"], &report["parties"][1]["unique"]), (&json!(2), &json!(3)));
    let audit = fs::read_to_string(world.path("workload/state/audit.jsonl")).unwrap();
    let lines = audit.lines().filter(|line| line.contains("Unauthenticated dataset accepted"));
    assert!(lines.clone().all(|line| line.contains("globex")) && lines.count() == 1, "{audit}");
    let said = world.run("workload", &["run", "FUSE", "--key", "party.key", "--json"]).done();
    assert!(said.out.contains("\"unchanged\":2") || said.out.contains("\"unchanged\": 2"), "{}", said.out);
    fs::remove_file(world.path("shared/parts/b.csv")).unwrap();
    world.workload("CHECK_COMMON_CUSTOMERS", &[]).done();
    let report = world.report();
    assert_eq!(
        (&report["parties"][1]["unique"], &report["provenance"]["datasets"][1]["version"]),
        (&json!(2), &json!(2))
    );
}

#[test]
fn a_table_is_refused_where_it_is_not_allowed_or_not_sound() {
    let world = World::with_one_protected();
    world.table("globex", "t.csv", &[]).done();
    world.table("globex", "t.csv", &[]).refused(3, "exists already");
    let table = fs::read_to_string(world.path("shared/t.csv")).unwrap();

    // Nothing allows it.
    fs::create_dir_all(world.path("shared/datasets")).unwrap();
    fs::copy(world.path("shared/t.csv"), world.dataset("globex")).unwrap();
    let said = world.workload("FUSE", &[]).refused(4, "dataset 'customers' of 'globex' is not a protected dataset");
    assert!(said.err.contains("table: {}"), "{}", said.err);

    world.allow_table("globex", "t.csv", "{}");
    let line = table.lines().nth(2).unwrap();
    let token = line.split(',').nth(1).unwrap();
    let identity = "00".repeat(32);
    let no_point = "ff".repeat(32);
    for (bad, fact) in [
        (token.to_uppercase(), "column 'email', row 2: the value is neither 32 bytes nor 64 lower-case hex digits"),
        (token[1..].to_owned(), "column 'email', row 2: the value is neither"),
        ("ada@example.com".to_owned(), "column 'email', row 2: the value is neither"),
        (identity, "column 'email', row 2: the token is the identity element"),
        (no_point, "column 'email', row 2: the token is not a group element"),
        (format!("{token},too,many"), "row 2: the row cannot be read"),
    ] {
        fs::write(world.path("shared/t.csv"), table.replace(token, &bad)).unwrap();
        let said = world.workload("FUSE", &[]).refused(4, fact);
        assert!(said.err.contains("dataset 'customers' of 'globex'"), "{}", said.err);
        assert!(!said.err.contains(&bad), "{}", said.err);
    }
    fs::write(world.path("shared/t.csv"), &table).unwrap();
    world.allow_table("globex", "t.csv", "{ columns: { email: mail } }");
    world.workload("FUSE", &[]).refused(4, "column 'mail' not found");
    world.allow_table("globex", "t.csv", "{ encryption_key_from: GLOBEX_KEY }");
    world.workload("FUSE", &[]).refused(3, "GLOBEX_KEY is not set");
    world.workload("FUSE", &[("GLOBEX_KEY", "hunter2")]).refused(3, "has 7 characters");
    world.workload("FUSE", &[("GLOBEX_KEY", KEY)]).refused(4, "is not encrypted, but a key");
    world.allow_table("globex", "t.csv", "{}");
    world.workload("FUSE", &[]).done();
}

#[test]
fn a_table_under_another_key_matches_nothing_and_is_warned_of() {
    let world = World::with_one_protected();
    // The rows are globex's, the tokens acme's: nothing in the file tells.
    fs::write(world.path("acme/customers.csv"), GLOBEX).unwrap();
    world.table("acme", "t.parquet", &[]).done();
    world.allow_table("globex", "t.parquet", "{}");
    let said = world.workload("CHECK_COMMON_CUSTOMERS", &[]).done();
    assert!(said.out.contains("may have been made with another token key"), "{}", said.out);
    let report = world.report();
    assert_eq!(report["overlap"]["all"], 0);
    let warning = json!({ "warning": "unauthenticated-without-match", "holder": "globex", "dataset": "customers" });
    assert_eq!(report["warnings"], json!([warning]));
}

#[test]
fn a_table_of_a_former_token_key_is_refused_until_it_is_made_again() {
    let world = World::with_one_protected();
    world.table("globex", "t.parquet", &[]).done();
    world.allow_table("globex", "t.parquet", "{}");
    world.workload("FUSE", &[]).done();
    world.run("globex", &["key", "rotate", "--party", "globex", "--key", "party.key"]).done();
    world.enrol("globex").done();
    let said = world.workload("FUSE", &[]).refused(4, "was made with its former token key");
    assert!(said.err.contains("--table"), "{}", said.err);
    fs::remove_file(world.path("shared/t.parquet")).unwrap();
    world.table("globex", "t.parquet", &[]).done();
    world.workload("CHECK_COMMON_CUSTOMERS", &[]).done();
    assert_eq!(world.report()["overlap"]["all"], 2);
}

#[test]
fn an_encrypted_source_is_protected_with_its_key_from_a_file() {
    let world = World::with_one_protected();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/tests/data/duckdb.parquet");
    fs::copy(fixture, world.path("globex/source.parquet")).unwrap();
    fs::write(world.path("globex/source.aes"), format!("{KEY}\n")).unwrap();
    let key = ["--parquet-key-file", "source.aes"];
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let readers = |mode| fs::set_permissions(world.path("globex/source.aes"), fs::Permissions::from_mode(mode));
        readers(0o644).unwrap();
        let said = world.protect_file("globex", "source.parquet", &key).refused(3, "can be read by others");
        assert!(!said.err.contains(KEY));
        readers(0o600).unwrap();
    }
    world.protect_file("globex", "source.parquet", &[]).refused(4, "no key for it is given");
    let said = world.protect_file("globex", "source.parquet", &key).done();
    assert!(said.out.contains("258 valid, 42 empty"), "{}", said.out);
    assert!(said.err.contains("not bound to their place"), "{}", said.err);
    world.protect_file("globex", "customers.csv", &key).refused(4, "is not encrypted");
    let said = world.run("globex", &[&["normalize", "source.parquet", "--column", "email"], &key[..]].concat()).done();
    assert!(said.out.contains("258"), "{}", said.out);
    // By its variable as well.
    let mut command = world.command("globex");
    command.args(["normalize", "source.parquet", "--column", "email", "--json"]);
    let said = Said::from(command.env("DATAFUSE_PARQUET_KEY_FILE", "source.aes").output().unwrap()).done();
    assert!(said.out.contains("258"), "{}", said.out);
}
