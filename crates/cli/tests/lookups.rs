//! Look-ups as holders make them: ask with own identifiers, get an answer that nobody else can read.
#![allow(clippy::unwrap_used, missing_docs)]

mod world;

use std::fs;

use serde_json::Value;
use world::{Said, World, files};

const ACME: &str = "email\nada@example.com\nbob@example.com\neve@example.com\n";
const GLOBEX: &str = "email\nada@example.com\nzoe@example.com\n";
const INITECH: &str = "email\nada@example.com\neve@example.com\nyan@example.com\n";

/// Three holders whose datasets are fused, and an agreement with this section for look-ups.
fn world(section: &str) -> World {
    let world = World::enrolled(&[("acme", ACME), ("globex", GLOBEX), ("initech", INITECH)]);
    world.event("FUSE").done();
    if !section.is_empty() {
        for party in ["workload", "acme", "globex", "initech"] {
            let file = world.path(party).join("space.yaml");
            let yaml = fs::read_to_string(&file).unwrap();
            fs::write(&file, format!("{yaml}  lookups: {section}\n")).unwrap();
        }
    }
    world
}

fn make(world: &World, party: &str, lines: &str, out: &str) -> Said {
    fs::write(world.path(party).join("ask.txt"), lines).unwrap();
    world.run(party, &["token", "make", "--file", "ask.txt", "--party", party, "--key", "party.key", "--out", out])
}

fn look_up(world: &World, party: &str, request: &str) -> Said {
    let request = world.path(party).join(request);
    world
        .run("workload", &["run", "CHECK_VALID_CUSTOMER", "--key", "party.key", "--request", request.to_str().unwrap()])
}

fn open(world: &World, party: &str, request: &str) -> Said {
    world.run(party, &["token", "open", request, "--party", party, "--key", "party.key"])
}

fn known(world: &World, party: &str, request: &str) -> Value {
    let args = ["token", "open", request, "--party", party, "--key", "party.key", "--json"];
    serde_json::from_str::<Value>(&world.run(party, &args).done().out).unwrap()["known"].clone()
}

#[test]
fn a_holder_hears_whether_others_know_its_customers() {
    let world = world("{ answer: yes_no }");
    // bob is known to the asker alone, and no holder is asked about what it brought itself.
    make(&world, "acme", "Ada@Example.com\nbob@example.com\nzoe@example.com\nnobody@example.com\n", "r.lookup").done();
    look_up(&world, "acme", "r.lookup").done();
    assert_eq!(known(&world, "acme", "r.lookup"), serde_json::json!([true, false, true, false]));
    let text = open(&world, "acme", "r.lookup").done().out;
    assert!(text.contains("line 1: known\nline 2: not known\n") && text.contains("2 of 4 known"), "{text}");
}

#[test]
fn counts_agree_with_a_plain_reading_of_the_files_and_come_through_the_queue() {
    let world = world("{ answer: count, at_least: 2 }");
    let asked = ["ada@example.com", "eve@example.com", "zoe@example.com", "yan@example.com"];
    make(&world, "globex", &asked.join("\n"), "r.lookup").done();
    let request = world.path("globex").join("r.lookup");
    world.run("globex", &["send", "CHECK_VALID_CUSTOMER", "--request", request.to_str().unwrap()]).done();
    world.run("workload", &["serve", "--key", "party.key", "--once"]).done();
    let naive: Vec<_> = asked
        .iter()
        .map(|email| [ACME, INITECH].iter().filter(|file| file.lines().any(|line| line == *email)).count())
        .map(|holders| if holders >= 2 { holders } else { 0 })
        .collect();
    assert_eq!(known(&world, "globex", "r.lookup"), serde_json::json!(naive));
    assert_eq!(naive, [2, 2, 0, 0]);
}

#[test]
fn nobody_but_the_asker_reads_the_answer_and_nothing_tells_of_it() {
    let world = world("{}");
    make(&world, "acme", "ada@example.com\n", "r.lookup").done();
    let said = look_up(&world, "acme", "r.lookup").done();
    assert!(!said.out.contains("\"known\"") && !said.err.contains("ada@"), "{}{}", said.out, said.err);
    // The request in other hands: the answer does not open.
    fs::copy(world.path("acme/r.lookup"), world.path("globex/r.lookup")).unwrap();
    open(&world, "globex", "r.lookup").refused(5, "does not open");
    // Nothing in clear of who was asked for.
    for file in files(&world.path("workload")).iter().chain(&files(&world.path("shared"))) {
        let bytes = fs::read(file).unwrap();
        assert!(!bytes.windows(15).any(|window| window == b"ada@example.com"), "{}", file.display());
    }
}

#[test]
fn an_agreement_that_says_nothing_allows_no_look_up() {
    let world = world("");
    let made = make(&world, "acme", "ada@example.com\n", "r.lookup").done();
    assert!(made.err.contains("allows no look-ups"), "{}", made.err);
    look_up(&world, "acme", "r.lookup").refused(6, "the agreement allows no look-ups");
}

#[test]
fn a_request_is_answered_for_one_event_only() {
    let world = world("{}");
    make(&world, "acme", "ada@example.com\n", "r.lookup").done();
    look_up(&world, "acme", "r.lookup").done();
    look_up(&world, "acme", "r.lookup").refused(6, "came before, with another event");
    make(&world, "acme", "ada@example.com\n", "r.lookup").refused(3, "r.lookup");
}

#[test]
fn what_a_day_allows_is_not_exceeded_and_the_asker_hears_of_it() {
    let world = world("{ per_day: 3 }");
    make(&world, "acme", "ada@example.com\nbob@example.com\n", "1.lookup").done();
    make(&world, "acme", "ada@example.com\nbob@example.com\n", "2.lookup").done();
    make(&world, "acme", "ada@example.com\n", "3.lookup").done();
    for request in ["1.lookup", "2.lookup", "3.lookup"] {
        look_up(&world, "acme", request).done();
    }
    open(&world, "acme", "1.lookup").done();
    open(&world, "acme", "2.lookup").refused(6, "look-ups of the day do not suffice");
    // What did not suffice for two is left for one.
    open(&world, "acme", "3.lookup").done();
    // Another holder has a day of its own.
    make(&world, "globex", "ada@example.com\n", "r.lookup").done();
    look_up(&world, "globex", "r.lookup").done();
    open(&world, "globex", "r.lookup").done();
}

#[test]
fn who_may_not_ask_and_who_is_not_looked_at_is_the_agreements_word() {
    let world = world("{ askers: [globex], at_least: 2, min_rows: 3 }");
    make(&world, "acme", "ada@example.com\n", "r.lookup").done();
    look_up(&world, "acme", "r.lookup").done();
    open(&world, "acme", "r.lookup").refused(6, "does not let this party look customers up");
    make(&world, "globex", "ada@example.com\n", "r.lookup").done();
    look_up(&world, "globex", "r.lookup").done();
    assert_eq!(known(&world, "globex", "r.lookup"), serde_json::json!([true]));
}

#[test]
fn small_datasets_are_not_looked_at() {
    let world = world("{ min_rows: 3, at_least: 2 }");
    make(&world, "acme", "ada@example.com\n", "r.lookup").done();
    look_up(&world, "acme", "r.lookup").done();
    open(&world, "acme", "r.lookup").refused(6, "fewer holders can be looked at");
}

#[test]
fn altered_foreign_and_mislabelled_requests_are_refused() {
    let world = world("{}");
    make(&world, "acme", "ada@example.com\n", "r.lookup").done();
    let text = fs::read_to_string(world.path("acme/r.lookup")).unwrap();
    // Within the ciphertext.
    let mut altered = text.clone().into_bytes();
    let at = altered.len() - 120;
    altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
    fs::write(world.path("acme/altered.lookup"), altered).unwrap();
    look_up(&world, "acme", "altered.lookup").refused(5, "not signed by");
    fs::write(world.path("acme/none.lookup"), "ada@example.com").unwrap();
    let refused = look_up(&world, "acme", "none.lookup").refused(5, "damaged");
    assert!(!refused.err.contains("ada@"), "{}", refused.err);
    // A request of a former epoch.
    world.run("workload", &["run", "INITIALIZE", "--new-epoch", "--key", "party.key"]).done();
    look_up(&world, "acme", "r.lookup").refused(5, "epoch");
}

#[test]
fn a_changed_token_key_needs_a_new_request() {
    let world = world("{}");
    make(&world, "acme", "ada@example.com\n", "old.lookup").done();
    world.run("acme", &["key", "rotate", "--key", "party.key"]).done();
    world.enrol("acme").done();
    world.event("ENROL").done();
    look_up(&world, "acme", "old.lookup").done();
    open(&world, "acme", "old.lookup").refused(6, "sealed to a key of the workload that was replaced");
    make(&world, "acme", "ada@example.com\n", "new.lookup").done();
    look_up(&world, "acme", "new.lookup").done();
    assert_eq!(known(&world, "acme", "new.lookup"), serde_json::json!([true]));
}

#[test]
fn the_command_line_says_what_is_missing() {
    let world = world("{}");
    world.event("CHECK_VALID_CUSTOMER").refused(2, "needs a request");
    world.run("workload", &["run", "FUSE", "--request", "x", "--key", "party.key"]).refused(2, "means nothing to FUSE");
    make(&world, "acme", "ada@example.com\nnot-an-address-4711\n", "r.lookup")
        .refused(4, "line 2 is not a valid email");
    make(&world, "acme", "", "r.lookup").refused(4, "the input is empty");
    make(&world, "acme", "ada@example.com\n", "r.lookup").done();
    open(&world, "acme", "r.lookup").refused(5, "no answer to request");
}

#[test]
fn a_bare_token_is_answered_where_the_agreement_names_its_asker() {
    let world = world("{ bare: [acme], per_day: 2 }");
    for (line, out, expected) in [("Ada@Example.com", "1.token", true), ("bob@example.com", "2.token", false)] {
        make_bare(&world, "acme", line, out).done();
        look_up(&world, "acme", out).done();
        assert_eq!(known(&world, "acme", out), serde_json::json!([expected]), "{line}");
    }
    // The day is one and the same for bare tokens and requests.
    make(&world, "acme", "ada@example.com\n", "r.lookup").done();
    look_up(&world, "acme", "r.lookup").done();
    open(&world, "acme", "r.lookup").refused(6, "look-ups of the day do not suffice");
    // What came once is answered for one event only, and opens for its asker alone.
    look_up(&world, "acme", "1.token").refused(6, "came before, with another event");
    fs::copy(world.path("acme/1.token"), world.path("globex/1.token")).unwrap();
    open(&world, "globex", "1.token").refused(5, "does not open");
    assert!(
        !files(&world.path("shared"))
            .iter()
            .any(|file| { fs::read(file).unwrap().windows(15).any(|window| window == b"ada@example.com") })
    );
}

#[test]
fn the_platforms_event_carries_a_bare_token_and_nothing_else() {
    let world = world("{ bare: [acme] }");
    make_bare(&world, "acme", "eve@example.com", "r.token").done();
    let text = fs::read_to_string(world.path("acme/r.token")).unwrap();
    let event = serde_json::json!({ "type": "CHECK_VALID_CUSTOMER", "email": text.trim() });
    queue(&world, &event);
    world.run("workload", &["serve", "--key", "party.key", "--once"]).done();
    assert_eq!(known(&world, "acme", "r.token"), serde_json::json!([true]));
}

#[test]
fn bare_tokens_are_refused_where_nobody_agreed_to_them() {
    let world = world("{ bare: [globex] }");
    let made = make_bare(&world, "acme", "ada@example.com", "r.token").done();
    assert!(made.err.contains("takes no bare token in this party's name"), "{}", made.err);
    let refused = look_up(&world, "acme", "r.token").refused(6, "neither sealed nor signed");
    assert!(refused.err.contains("bare: [NAME]"), "{}", refused.err);
    make_bare(&world, "globex", "ada@example.com\nzoe@example.com", "r.token")
        .refused(4, "a bare token is of one customer");
    // A sealed request of the same party is not concerned.
    make(&world, "acme", "ada@example.com\n", "r.lookup").done();
    look_up(&world, "acme", "r.lookup").done();
    assert_eq!(known(&world, "acme", "r.lookup"), serde_json::json!([true]));
}

#[test]
fn a_bare_token_of_a_former_key_or_of_another_holder_is_never_just_unknown() {
    let world = world("{ bare: [acme, globex] }");
    make_bare(&world, "acme", "ada@example.com", "old.token").done();
    world.run("acme", &["key", "rotate", "--key", "party.key"]).done();
    world.enrol("acme").done();
    world.event("ENROL").done();
    look_up(&world, "acme", "old.token").done();
    open(&world, "acme", "old.token").refused(6, "a token key, a kind or a profile that the party is not enrolled for");
    // Whatever is in the field of the kind and is no bare token is no token that nobody knows.
    for text in ["ada@example.com", "aGVsbG8=", &"ab".repeat(32)] {
        queue(&world, &serde_json::json!({ "type": "CHECK_VALID_CUSTOMER", "email": text }));
        let said = world.run("workload", &["serve", "--key", "party.key", "--once"]);
        assert!(said.err.contains("not the text of a bare token"), "{}", said.err);
        assert!(!said.err.contains(text), "{}", said.err);
    }
    make_bare(&world, "globex", "ada@example.com", "r.token").done();
    world.run("workload", &["run", "INITIALIZE", "--new-epoch", "--key", "party.key"]).done();
    look_up(&world, "globex", "r.token").refused(5, "epoch");
}

#[test]
fn space_check_warns_of_what_bare_tokens_give_up() {
    let world = world("{ bare: [acme] }");
    let said = world.run("acme", &["space", "check"]);
    let text = format!("{}{}", said.out, said.err);
    assert!(text.contains("policy.lookups.bare") && text.contains("no seal and no signature"), "{text}");
}

fn make_bare(world: &World, party: &str, lines: &str, out: &str) -> Said {
    fs::write(world.path(party).join("ask.txt"), lines).unwrap();
    let args = ["token", "make", "--bare", "--file", "ask.txt", "--party", party, "--key", "party.key", "--out", out];
    world.run(party, &args)
}

/// Puts an event into the queue as another program would.
fn queue(world: &World, event: &Value) {
    world.run("acme", &["send", "ENROL"]).done();
    let [waiting] = &files(&world.path("shared/queue/ready"))[..] else { panic!("one event waits") };
    fs::write(waiting, event.to_string()).unwrap();
}
