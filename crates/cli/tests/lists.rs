//! Lists of a holder's own rows, from the agreement to the file that it alone opens.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use std::{fs, path::PathBuf};

use serde_json::{Value, json};
use world::{World, files};

const HOLDERS: [&str; 3] = ["acme", "globex", "initech"];
// Ann everywhere, twice at acme; Bob at globex; Cid at initech; Dan nowhere else; a blank; Eve at both.
const ACME: &str = "name,email\nAnn,ann@example.com\nBob,bob@example.com\nCid,cid@example.com\nDan,dan@example.com\n,\nEve,eve@example.com\nAnna,ANN@example.com\n";
const GLOBEX: &str = "email\nann@example.com\nbob@example.com\neve@example.com\nzoe@example.com\n";
const INITECH: &str = "email\nann@example.com\ncid@example.com\neve@example.com\n";

/// Three holders; globex and initech let acme learn which of its rows they have.
fn world(list: &str, allow: &[&str]) -> World {
    let world = World::new(&HOLDERS, &[]);
    for holder in allow {
        amend(&world, &format!("datasets/{holder}.parquet\" }}\n"), "    policy: { lists: [acme] }\n");
    }
    for party in ["workload"].iter().chain(&HOLDERS) {
        let file = world.path(party).join("space.yaml");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("{text}analyses: {{ lists: {{ acme: {list} }} }}\n")).unwrap();
    }
    world
}

/// Puts something behind a line of everybody's agreement.
fn amend(world: &World, line_end: &str, more: &str) {
    for party in ["workload"].iter().chain(&HOLDERS) {
        let file = world.path(party).join("space.yaml");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(line_end), "{text}");
        fs::write(&file, text.replacen(line_end, &format!("{line_end}{more}"), 1)).unwrap();
    }
}

fn protected(list: &str) -> World {
    let world = world(list, &["globex", "initech"]);
    world.event("INITIALIZE").done();
    world.enrol_all(&HOLDERS);
    for (holder, csv) in [("acme", ACME), ("globex", GLOBEX), ("initech", INITECH)] {
        world.protect(holder, csv).done();
    }
    world
}

fn folder(world: &World) -> PathBuf {
    world.path("workload/outputs").join(world.report()["provenance"]["event"].as_str().unwrap())
}

fn open(world: &World, list: &std::path::Path, more: &[&str]) -> world::Said {
    let mut args = vec!["list", "open", list.to_str().unwrap(), "--party", "acme", "--key", "party.key"];
    args.extend(more);
    world.run("acme", &args)
}

#[test]
fn a_holder_opens_the_list_of_its_rows_and_joins_it_with_its_file() {
    for (list, rows, numbers, matched) in [
        (
            "{ join: inner, kind: email }",
            3,
            "customers,1\ncustomers,6\ncustomers,7\n",
            "1,Ann,ann@example.com\n6,Eve,eve@example.com\n7,Anna,ANN@example.com\n",
        ),
        (
            "{ join: inner, kind: email, with: [initech] }",
            4,
            "customers,1\ncustomers,3\ncustomers,6\ncustomers,7\n",
            "",
        ),
        ("{ join: difference, kind: email }", 1, "customers,4\n", "4,Dan,dan@example.com\n"),
        (
            "{ join: left, kind: email }",
            6,
            "customers,1,2\ncustomers,2,1\ncustomers,3,1\ncustomers,4,0\ncustomers,6,2\ncustomers,7,2\n",
            "",
        ),
    ] {
        let world = protected(list);
        world.run("workload", &["space", "check"]).done();
        world.event("CHECK_COMMON_CUSTOMERS").done();
        let folder = folder(&world);
        let file = folder.join("lists/acme.list");
        let said = open(&world, &file, &["--out", "rows.csv", "--json"]).done();
        let value: Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!(value["rows"], json!(rows), "{list}: {value}");
        let text = fs::read_to_string(world.path("acme/rows.csv")).unwrap();
        assert_eq!(text.split_once('\n').unwrap().1, numbers, "{list}");
        open(&world, &file, &["--join", "customers.csv", "--out", "matched.csv"]).done();
        let text = fs::read_to_string(world.path("acme/matched.csv")).unwrap();
        assert_eq!(text.lines().count(), rows + 1, "{text}");
        assert!(matched.is_empty() || text == format!("row,name,email\n{matched}"), "{text}");
        // The report says that there is a list, and its signature names the file.
        let report = world.report();
        assert_eq!(report["lists"][0]["holder"], json!("acme"));
        assert_eq!(report["lists"][0]["not_made"], json!(null));
        let verify = ["report", "verify", folder.to_str().unwrap(), "--space", "space.yaml"];
        world.run("workload", &verify).done().says_in_out("lists/acme.list");
        let audit = fs::read_to_string(world.path("workload/state/audit.jsonl")).unwrap();
        let sha256 = value["sha256"].as_str().unwrap();
        assert!(audit.lines().any(|line| line.contains("List made") && line.contains(sha256)), "{audit}");
        // What a list says is not readable where the workload keeps its files.
        for file in files(&world.path("workload")) {
            let bytes = fs::read(&file).unwrap();
            assert!(!bytes.windows(11).any(|window| window == b"customers,1"), "{}", file.display());
        }
    }
}

#[test]
fn nobody_else_opens_it_and_no_change_goes_unnoticed() {
    let world = protected("{ join: inner, kind: email }");
    world.event("CHECK_COMMON_CUSTOMERS").done();
    let folder = folder(&world);
    let file = folder.join("lists/acme.list");
    let as_globex = ["list", "open", file.to_str().unwrap(), "--party", "globex", "--key", "party.key"];
    world.run("globex", &as_globex).refused(4, "holder").tries("--key");

    // Without its report beside it the list's own signature holds it together.
    let alone = world.path("acme/alone.list");
    fs::copy(&file, &alone).unwrap();
    open(&world, &alone, &[]).done().says_in_out("no report lies beside it");
    let report = folder.join("report.dsse.json");
    open(&world, &alone, &["--report", report.to_str().unwrap()]).done().says_in_out("named in");
    let receipt = folder.join("receipt.json");
    open(&world, &alone, &["--report", receipt.to_str().unwrap()]).done().says_in_out("named in");
    let good = fs::read(&file).unwrap();
    let altered = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    for (bytes, words) in [
        (altered(1_000), "was altered"),
        (altered(good.len() - 30), "was altered"),
        (good[..good.len() - 9].to_vec(), "truncated"),
        (b"row\n1\n".to_vec(), "is not a list"),
    ] {
        fs::write(&alone, bytes).unwrap();
        open(&world, &alone, &["--out", "rows.csv"]).refused(4, words);
        assert!(!world.path("acme/rows.csv").exists());
    }
    // A list that was altered in its place is also not the one that was signed with the report.
    fs::write(&file, altered(1_000)).unwrap();
    open(&world, &file, &[]).refused(4, "was not signed with this list");
    let verify = ["report", "verify", folder.to_str().unwrap(), "--space", "space.yaml"];
    world.run("workload", &verify).refused(4, "lists/acme.list");
    fs::write(&file, &good).unwrap();

    // Its source has fewer rows now.
    let lines: Vec<_> = ACME.lines().take(4).collect();
    fs::write(world.path("acme/customers.csv"), lines.join("\n")).unwrap();
    open(&world, &file, &["--join", "customers.csv", "--out", "matched.csv"]).refused(4, "the source has 3 rows");
    assert!(!world.path("acme/matched.csv").exists());
}

#[test]
fn the_same_question_gives_the_same_list_again() {
    let world = protected("{ join: inner, kind: email }");
    world.event("CHECK_COMMON_CUSTOMERS").done();
    let first = folder(&world);
    world.event("CHECK_COMMON_CUSTOMERS").done();
    let second = folder(&world);
    assert_ne!(first, second);
    assert_eq!(world.report()["provenance"]["answered_from"].as_str(), first.file_name().unwrap().to_str());
    let numbers = [&first, &second].map(|folder| {
        open(&world, &folder.join("lists/acme.list"), &["--out", "rows.csv"]).done();
        fs::read_to_string(world.path("acme/rows.csv")).unwrap()
    });
    assert_eq!(numbers[0], numbers[1]);
    assert_eq!(numbers[0].lines().count(), 4);
    // One event's list does not pass for another's.
    let (list, other) = (first.join("lists/acme.list"), second.join("report.dsse.json"));
    open(&world, &list, &["--report", other.to_str().unwrap()]).refused(4, "the list was made for event");
}

#[test]
fn without_every_holders_word_there_is_no_list() {
    let world = world("{ join: inner, kind: email }", &["globex"]);
    let said = world.run("workload", &["space", "check"]);
    let text = said.out + &said.err;
    assert_eq!(said.code, 3, "{text}");
    assert!(text.contains("'initech' does not allow that 'acme' learns"), "{text}");
    assert!(text.contains("participants.initech.policy: { lists: [acme] }"), "{text}");
    // The workload takes no such agreement at all.
    world.event("INITIALIZE").refused(3, "initech");
}

#[test]
fn a_small_list_and_one_with_an_absent_holder_are_not_made() {
    let world = protected("{ join: inner, kind: email }");
    let event = ["run", "CHECK_COMMON_CUSTOMERS", "--key", "party.key", "--holders", "acme,globex"];
    world.run("workload", &event).done();
    assert_eq!(world.report()["lists"][0]["not_made"], json!("absent"));
    assert!(!folder(&world).join("lists").exists());

    let file = world.path("workload/space.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("  min_count: 1 ", "  min_count: 3 ")).unwrap();
    world.event("CHECK_COMMON_CUSTOMERS").done();
    let report = world.report();
    assert_eq!(report["lists"][0]["not_made"], json!("min_count"));
    assert_eq!(report["lists"][0]["identifiers"], json!(null));
    let cells: Vec<_> = report["suppressed"].as_array().unwrap().iter().map(|cell| &cell["cell"]).collect();
    assert!(cells.contains(&&json!("lists[acme]")), "{cells:?}");
    assert!(!folder(&world).join("lists").exists());
}

#[test]
fn no_list_is_delivered_to_a_data_user() {
    let world = protected("{ join: inner, kind: email }");
    fs::create_dir(world.path("inbox")).unwrap();
    let place = world.path("inbox");
    amend(&world, "roles: [user]\n", &format!("    deliver: {}\n", place.display()));
    world.event("CHECK_COMMON_CUSTOMERS").done();
    assert!(folder(&world).join("lists/acme.list").is_file());
    let delivered = files(&place);
    assert!(!delivered.is_empty());
    assert!(delivered.iter().all(|file| file.extension().is_none_or(|end| end != "list")), "{delivered:?}");
    // The report that was delivered verifies without it.
    let there = delivered.iter().find(|file| file.ends_with("report.dsse.json")).unwrap();
    world.run("workload", &["report", "verify", there.to_str().unwrap(), "--space", "space.yaml"]).done();
}

#[test]
fn of_an_encrypted_report_the_receipt_names_the_list() {
    let world = protected("{ join: inner, kind: email }");
    let recipient = world.run("workload", &["keygen", "--recipient", "--out", "insights.age"]).done().out;
    amend(&world, "roles: [user]\n", &format!("    recipient: {}\n", recipient.trim()));
    world.event("CHECK_COMMON_CUSTOMERS").done();
    let folder = fs::read_dir(world.path("workload/outputs")).unwrap().next().unwrap().unwrap().path();
    assert!(folder.join("report.dsse.json.age").is_file());
    let list = folder.join("lists/acme.list");
    open(&world, &list, &[]).done().says_in_out("named in").says_in_out("receipt.json");
    let receipt = folder.join("receipt.json");
    let verify = ["report", "verify", receipt.to_str().unwrap(), "--space", "space.yaml"];
    world.run("workload", &verify).done().says_in_out("lists/acme.list");
    let mut bytes = fs::read(&list).unwrap();
    bytes[1_000] ^= 1;
    fs::write(&list, bytes).unwrap();
    world.run("workload", &verify).refused(4, "lists/acme.list");
    // Its users receive what they received without.
    let args = ["report", "open", folder.to_str().unwrap(), "--identity", "insights.age", "--space", "space.yaml"];
    world.run("workload", &args).done().says_in_out("rows that globex, initech all have too");
}

#[test]
fn an_event_that_comes_again_finds_its_list_and_no_other() {
    let world = protected("{ join: inner, kind: email }");
    let place = world.path("inbox");
    amend(&world, "roles: [user]\n", &format!("    deliver: {}\n", place.display()));
    world.run("workload", &["send", "CHECK_COMMON_CUSTOMERS"]).done();
    let serve = || world.run("workload", &["serve", "--key", "party.key", "--once"]);
    // The folder to deliver to is not there: the report is made, and the event stays.
    assert_ne!(serve().code, 0);
    let list = folder(&world).join("lists/acme.list");
    let good = fs::read(&list).unwrap();
    fs::create_dir(&place).unwrap();
    let mut altered = good.clone();
    altered[1_000] ^= 1;
    fs::write(&list, altered).unwrap();
    let said = serve();
    assert_ne!(said.code, 0, "{}{}", said.out, said.err);
    assert!(files(&place).is_empty());
    fs::write(&list, &good).unwrap();
    let event = folder(&world).file_name().unwrap().to_str().unwrap().to_owned();
    let again = world.run("workload", &["jobs", "show", &event]);
    assert!(again.out.contains(&event), "{}{}", again.out, again.err);
}
