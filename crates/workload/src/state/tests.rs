#![allow(clippy::unwrap_used)]
use datafuse_core::{
    enrolment::{AwaitingShares, HolderStep, contribute},
    epsilon::Epsilon,
    id::ParticipantId,
    keys::PartyKeys,
    lookup::RequestId,
};
use datafuse_engine::{
    match_table::{HolderSet, MatchTable},
    report::{KindInputs, Provenance, Report, ReportInputs, RowCounts, Threshold},
    set_sketch::SetSketch,
};
use rand_core::UnwrapErr;

use super::*;

const EPOCH: Epoch = Epoch(1);

fn keys() -> PartyKeys {
    PartyKeys::generate(&mut UnwrapErr(getrandom::SysRng))
}

fn root() -> Root {
    Root::from_bytes([1; 32])
}

fn secrets() -> EpochSecrets {
    let mut rng = UnwrapErr(getrandom::SysRng);
    EpochSecrets {
        dataset_key: ReceiveKey::generate(&mut rng),
        message_key: ReceiveKey::generate(&mut rng),
        match_secret: MatchSecret::generate(&mut rng),
        store_key: Zeroizing::new([5; 32]),
    }
}

fn event() -> EventId {
    "01J0".parse().unwrap()
}

struct Fixture {
    folder: tempfile::TempDir,
    workload: PartyKeys,
}

impl Fixture {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), workload: keys() }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("state.db")
    }

    fn open(&self) -> State {
        State::open(&self.path(), &root(), self.workload.token().state_key(&root()), &[]).unwrap()
    }

    fn opened(&self) -> State {
        let mut state = self.open();
        state.begin_epoch(&secrets(), &event(), None).unwrap();
        state
    }
}

#[test]
fn secrets_survive_reopening_and_one_epoch_is_open() {
    let fixture = Fixture::new();
    let before = secrets();
    fixture.open().begin_epoch(&before, &event(), None).unwrap();
    let state = fixture.open();
    assert_eq!(state.open_epoch().unwrap().unwrap().epoch, EPOCH);
    let after = state.secrets(EPOCH).unwrap();
    assert_eq!(after.dataset_key.public(), before.dataset_key.public());
    assert_eq!(after.store_key, before.store_key);
}

#[test]
fn another_key_or_another_space_does_not_open_it() {
    let fixture = Fixture::new();
    drop(fixture.opened());
    let other_key = keys().token().state_key(&root());
    assert!(matches!(State::open(&fixture.path(), &root(), other_key, &[]), Err(Error::StateSealed)));
    let other_root = Root::from_bytes([2; 32]);
    let key = fixture.workload.token().state_key(&other_root);
    assert!(matches!(State::open(&fixture.path(), &other_root, key, &[]), Err(Error::StateOfAnotherSpace)));
}

#[test]
fn a_newer_schema_is_refused() {
    let fixture = Fixture::new();
    let state = fixture.open();
    state.db.pragma_update(None, "user_version", 99).unwrap();
    drop(state);
    let key = fixture.workload.token().state_key(&root());
    assert!(matches!(State::open(&fixture.path(), &root(), key, &[]), Err(Error::StateNewer { found: 99, .. })));
}

#[test]
fn enrolling_erases_the_parts_from_database_and_disk() {
    let fixture = Fixture::new();
    let mut state = fixture.opened();
    let (steward, holder) = (keys(), keys());
    let (steward_name, holder_name) = (steward.identity().public_name(), holder.identity().public_name());
    let (_, blind) = contribute(steward.share(), &root(), EPOCH, &holder_name).unwrap();
    state.keep_blind(EPOCH, &holder_name, &steward_name, &blind).unwrap();
    state.keep_blind(EPOCH, &holder_name, &steward_name, &blind).unwrap();
    let kept = state.blinds(EPOCH, &holder_name).unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].1.encode(), blind.encode());
    let sealed: Vec<u8> = state.db.query_row("SELECT sealed FROM blind", [], |row| row.get(0)).unwrap();

    let mut one = [0; 32];
    one[0] = 1;
    let rekey = ReKey::from_bytes(&one).unwrap();
    let key_id = holder.token().key_id();
    state.enrol(EPOCH, &holder_name, key_id, &rekey).unwrap();
    assert!(state.blinds(EPOCH, &holder_name).unwrap().is_empty());
    let (kept_id, kept) = state.rekey(EPOCH, &holder_name).unwrap().unwrap();
    assert_eq!((kept_id, kept.to_bytes()), (key_id, rekey.to_bytes()));

    // No copy of the sealed blind is left in any file, the write-ahead log included.
    for entry in std::fs::read_dir(fixture.folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(sealed.len()).any(|window| window == sealed));
    }
}

#[test]
fn nothing_secret_is_in_the_file_in_clear() {
    let fixture = Fixture::new();
    let mut state = fixture.open();
    let secrets = secrets();
    state.begin_epoch(&secrets, &event(), None).unwrap();
    state.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let bytes = std::fs::read(fixture.path()).unwrap();
    for secret in [secrets.dataset_key.as_bytes(), secrets.message_key.as_bytes(), secrets.match_secret.as_bytes()] {
        assert!(!bytes.windows(32).any(|window| window == secret));
    }
}

#[test]
fn a_sealed_row_does_not_open_in_another_place() {
    let fixture = Fixture::new();
    let state = fixture.opened();
    let swap =
        "UPDATE secret SET sealed = (SELECT sealed FROM secret WHERE name = 'message-key') WHERE name = 'dataset-key'";
    state.db.execute(swap, []).unwrap();
    assert!(matches!(state.secrets(EPOCH), Err(Error::StateSealed)));
}

#[test]
fn a_steward_with_another_share_for_another_holder_is_found() {
    let fixture = Fixture::new();
    let mut state = fixture.opened();
    let (steward, a, b) = (keys(), keys().identity().public_name(), keys().identity().public_name());
    let name = steward.identity().public_name();
    let (_, honest) = contribute(steward.share(), &root(), EPOCH, &a).unwrap();
    let (_, other) = contribute(keys().share(), &root(), EPOCH, &b).unwrap();
    state.keep_blind(EPOCH, &a, &name, &honest).unwrap();
    assert!(matches!(state.keep_blind(EPOCH, &b, &name, &other), Err(Error::StewardChangedShare { .. })));
    // Another blind of the same share for the same holder is refused as well.
    let (_, for_b) = contribute(steward.share(), &root(), EPOCH, &b).unwrap();
    let conflict = state.keep_blind(EPOCH, &a, &name, &for_b);
    assert!(matches!(conflict, Err(Error::Protocol(error)) if matches!(*error, datafuse_core::Error::Conflict { .. })));
    assert!(state.blinds(EPOCH, &b).unwrap().is_empty());
}

#[test]
fn a_canary_stands_as_soon_as_somebody_else_vouches_for_it() {
    let fixture = Fixture::new();
    let mut state = fixture.opened();
    let (a, b) = (keys().identity().public_name(), keys().identity().public_name());
    assert_eq!(state.canary(EPOCH).unwrap(), None);
    state.keep_canary(EPOCH, &a, &[1; 16]).unwrap();
    state.keep_canary(EPOCH, &b, &[2; 16]).unwrap();
    assert_eq!(state.canary(EPOCH).unwrap(), Some(([1; 16], a.clone())));
    // Who was mistaken and alone mends it; after that it is settled.
    state.keep_canary(EPOCH, &a, &[3; 16]).unwrap();
    assert_eq!(state.canary(EPOCH).unwrap(), Some(([3; 16], a.clone())));
    let mut accepted = AcceptedDataset {
        holder: b.clone(),
        dataset: "customers".parse().unwrap(),
        version: 1,
        sha256: "00".into(),
        key_id: keys().token().key_id(),
        rows: 1,
        kinds: BTreeMap::new(),
        unauthenticated: true,
    };
    // A table of tokens has no canary, and vouches for none.
    state.accept_dataset(EPOCH, &accepted).unwrap();
    assert!(!state.others_accepted(EPOCH, &a).unwrap());
    assert_eq!(state.dataset(EPOCH, &b, &accepted.dataset).unwrap().as_ref(), Some(&accepted));
    state.keep_canary(EPOCH, &a, &[5; 16]).unwrap();
    assert_eq!(state.canary(EPOCH).unwrap(), Some(([5; 16], a.clone())));
    state.keep_canary(EPOCH, &a, &[3; 16]).unwrap();
    accepted.unauthenticated = false;
    state.accept_dataset(EPOCH, &accepted).unwrap();
    assert!(state.others_accepted(EPOCH, &a).unwrap() && !state.others_accepted(EPOCH, &b).unwrap());
    state.keep_canary(EPOCH, &a, &[4; 16]).unwrap();
    assert_eq!(state.canary(EPOCH).unwrap(), Some(([3; 16], a)));
}

#[test]
fn datasets_events_and_refusals_are_remembered() {
    let fixture = Fixture::new();
    let mut state = fixture.opened();
    let holder = keys().identity().public_name();
    let dataset: DatasetId = "customers".parse().unwrap();
    let kind = FusedKind {
        empty: 1,
        invalid: 2,
        fused: 7,
        would_change: [("email-gmail-v1".to_owned(), 3)].into(),
        file: "a.parquet".into(),
    };
    let mut accepted = AcceptedDataset {
        holder: holder.clone(),
        dataset: dataset.clone(),
        version: 1,
        sha256: "00".into(),
        key_id: keys().token().key_id(),
        rows: 10,
        kinds: [("email".parse().unwrap(), kind)].into(),
        unauthenticated: false,
    };
    state.accept_dataset(EPOCH, &accepted).unwrap();
    accepted.version = 2;
    state.accept_dataset(EPOCH, &accepted).unwrap();
    assert_eq!(state.dataset(EPOCH, &holder, &dataset).unwrap(), Some(accepted));
    assert_eq!(state.fused_files().unwrap(), ["a.parquet"]);

    assert!(!state.is_done(&event()).unwrap());
    state.note_done(&event(), "FUSE", "done", None).unwrap();
    state.note_done(&event(), "FUSE", "done", None).unwrap();
    assert!(state.is_done(&event()).unwrap());

    for index in 0..40 {
        let refusal = Refusal { sender: Some(holder.clone()), reason: format!("reason {index}") };
        state.note_refusal(EPOCH, &refusal).unwrap();
    }
    let refusals = state.refusals(EPOCH).unwrap();
    assert_eq!(refusals.len(), datafuse_core::status::Status::MAX_REFUSALS);
    assert_eq!(refusals.last().unwrap().reason, "reason 39");
}

#[test]
fn a_database_of_the_first_schema_is_brought_up_to_date_and_keeps_what_it_has() {
    let fixture = Fixture::new();
    let (holder, key) = (keys().identity().public_name(), fixture.workload.token().state_key(&root()));
    let db = Connection::open(fixture.path()).unwrap();
    db.execute_batch(MIGRATIONS[0]).unwrap();
    db.pragma_update(None, "user_version", 1).unwrap();
    let sealed = |place: &str, bytes: &[u8]| seal_with(&key, place, bytes).unwrap();
    let check = sealed(SPACE_PLACE, root().as_bytes());
    db.execute("INSERT INTO space (id, root, check_value) VALUES (1, ?1, ?2)", params![root().as_bytes(), check])
        .unwrap();
    db.execute("INSERT INTO epoch (epoch, serial, opened_by) VALUES (1, 3, '01J0')", []).unwrap();
    for name in [DATASET_KEY, MESSAGE_KEY, MATCH_SECRET, STORE_KEY] {
        let bytes = sealed(&secret_place(EPOCH, name), &[7; 32]);
        db.execute("INSERT INTO secret (epoch, name, sealed) VALUES (1, ?1, ?2)", params![name, bytes]).unwrap();
    }
    let key_id = keys().token().key_id();
    let mut one = [0; 32];
    one[0] = 1;
    let rekey = sealed(&rekey_place(EPOCH, &holder, key_id), &one);
    db.execute(
        "INSERT INTO rekey (epoch, holder, key_id, sealed) VALUES (1, ?1, ?2, ?3)",
        params![holder.to_bytes(), key_id.as_bytes(), rekey],
    )
    .unwrap();
    drop(db);

    let mut state = fixture.open();
    assert_eq!(state.open_epoch().unwrap().unwrap().serial, 3);
    assert_eq!(*state.secrets(EPOCH).unwrap().store_key, [7; 32]);
    let (kept_id, kept) = state.rekey(EPOCH, &holder).unwrap().unwrap();
    assert_eq!((kept_id, *kept.to_bytes()), (key_id, one));
    assert_eq!(state.due(EPOCH).unwrap(), Due::default());
    let next = keys().token().key_id();
    state.rotate(EPOCH, &holder, key_id, next, &kept).unwrap();
    assert!(state.is_retired(EPOCH, &holder, key_id).unwrap() && !state.is_retired(EPOCH, &holder, next).unwrap());
    assert_eq!(state.due(EPOCH).unwrap(), Due { message_key: true, vacuum: true });
}

#[test]
fn what_is_due_is_done_once_and_survives_reopening() {
    let fixture = Fixture::new();
    let mut state = fixture.opened();
    let name = keys().identity().public_name();
    state.revoke(EPOCH, &name).unwrap();
    drop(state);
    let mut state = fixture.open();
    assert_eq!(state.due(EPOCH).unwrap(), Due { message_key: true, vacuum: true });
    let fresh = ReceiveKey::generate(&mut UnwrapErr(getrandom::SysRng));
    state.renew_message_key(EPOCH, &fresh).unwrap();
    state.vacuum(EPOCH).unwrap();
    assert_eq!(state.due(EPOCH).unwrap(), Due::default());
    assert_eq!(state.open_epoch().unwrap().unwrap().serial, 2);
    assert_eq!(state.secrets(EPOCH).unwrap().message_key.public(), fresh.public());
}

#[test]
fn a_new_epoch_follows_the_highest_that_is_known() {
    let fixture = Fixture::new();
    let mut state = fixture.open();
    let opened = state.begin_epoch(&secrets(), &event(), Some((Epoch(4), 9))).unwrap();
    assert_eq!((opened.epoch, opened.serial), (Epoch(5), 10));
    let opened = state.begin_epoch(&secrets(), &event(), Some((Epoch(2), 30))).unwrap();
    assert_eq!((opened.epoch, opened.serial), (Epoch(6), 31));
    assert!(state.secrets(Epoch(5)).is_err(), "nothing of the former epoch is left");
}

#[test]
fn a_new_key_opens_everything_that_the_former_sealed_and_the_former_nothing_more() {
    let mut fixture = Fixture::new();
    let mut state = fixture.opened();
    let (steward, waiting, enrolled) = (keys(), keys(), keys().identity().public_name());
    let (steward_name, holder) = (steward.identity().public_name(), waiting.identity().public_name());
    let (share, blind) = contribute(steward.share(), &root(), EPOCH, &holder).unwrap();
    state.keep_blind(EPOCH, &holder, &steward_name, &blind).unwrap();
    let HolderStep::Awaiting(half) = AwaitingShares::new(&[steward_name, enrolled.clone()])
        .receive(&steward.identity().public_name(), &share)
        .unwrap()
    else {
        panic!("one of two");
    };
    let HolderStep::Ready(ready) = half.receive(&enrolled, &share).unwrap() else { panic!("both") };
    let token = waiting.token();
    let answer = ready.answer(&token.token_key(&root(), EPOCH).unwrap());
    state.keep_answer(EPOCH, &holder, &KeptAnswer { key_id: token.key_id(), replaces: vec![], answer }).unwrap();
    let mut one = [0; 32];
    one[0] = 1;
    state.enrol(EPOCH, &enrolled, token.key_id(), &ReKey::from_bytes(&one).unwrap()).unwrap();
    state.keep_canary(EPOCH, &enrolled, &[9; 16]).unwrap();
    let before = state.secrets(EPOCH).unwrap();
    let running = fixture.open();
    drop(state);

    let former = fixture.workload.token().state_key(&root());
    fixture.workload.rotate(&mut UnwrapErr(getrandom::SysRng));
    let present = || fixture.workload.token().state_key(&root());
    let state = State::open(&fixture.path(), &root(), present(), &[former]).unwrap();
    assert!(matches!(running.check_key(), Err(Error::StateSealed)), "who runs on with the former key stops");
    drop((state, running));
    let state = fixture.open();
    assert_eq!(state.secrets(EPOCH).unwrap().dataset_key.public(), before.dataset_key.public());
    assert_eq!(state.blinds(EPOCH, &holder).unwrap()[0].1.encode(), blind.encode());
    assert_eq!(state.answer(EPOCH, &holder).unwrap().unwrap().key_id, token.key_id());
    assert_eq!(*state.rekey(EPOCH, &enrolled).unwrap().unwrap().1.to_bytes(), one);
    assert_eq!(state.canary(EPOCH).unwrap().unwrap().0, [9; 16]);
    assert!(state.due(EPOCH).unwrap().vacuum);
}

#[test]
fn a_budget_is_spent_once_an_event_and_never_beyond_its_limit() {
    let fixture = Fixture::new();
    let mut state = fixture.open();
    let (acme, globex): (ParticipantId, ParticipantId) = ("acme".parse().unwrap(), "globex".parse().unwrap());
    let customers = "customers".parse().unwrap();
    let subject = report_subject((&globex, &customers), (&acme, &customers));
    assert_eq!(subject, report_subject((&acme, &customers), (&globex, &customers)));
    let subjects = [subject.clone()];
    let id = |n: u32| format!("{n}-0").parse().unwrap();
    let day = "2026-01-02";
    assert_eq!(state.spend(&subjects, day, Some(0), &id(1)).unwrap(), Spent::Exhausted);
    for (event, expected) in [(1, Spent::Granted), (1, Spent::Granted), (2, Spent::Granted), (3, Spent::Exhausted)] {
        assert_eq!(state.spend(&subjects, day, Some(2), &id(event)).unwrap(), expected, "{event}");
    }
    assert_eq!(state.spent(&subject, day).unwrap(), 2);
    // All or none: what is exhausted keeps the other from being spent.
    let both = ["other".to_owned(), subject.clone()];
    assert_eq!(state.spend(&both, day, Some(2), &id(4)).unwrap(), Spent::Exhausted);
    assert_eq!(state.spent("other", day).unwrap(), 0);
    drop(state);
    let mut state = fixture.open();
    assert_eq!(state.spent(&subject, day).unwrap(), 2);
    assert_eq!(state.spend(&subjects, "2026-01-03", Some(2), &id(5)).unwrap(), Spent::Granted);
    assert_eq!(state.spend(&subjects, day, None, &id(6)).unwrap(), Spent::Granted);
}

#[test]
fn look_ups_of_a_day_end_at_its_limit_and_begin_anew_with_the_next() {
    let fixture = Fixture::new();
    let mut state = fixture.open();
    let (acme, globex) = ("acme".parse().unwrap(), "globex".parse().unwrap());
    let id = |n: u32| format!("{n}-0").parse().unwrap();
    let (today, tomorrow) = ("2026-11-26", "2026-11-27");
    assert_eq!(state.spend_lookups(&acme, today, 7, 10, &id(1)).unwrap(), Spent::Granted);
    assert_eq!(state.spend_lookups(&acme, today, 4, 10, &id(2)).unwrap(), Spent::Exhausted);
    // What did not fit spent nothing, and another holder has a day of its own.
    assert_eq!(state.spend_lookups(&acme, today, 3, 10, &id(3)).unwrap(), Spent::Granted);
    assert_eq!(state.spend_lookups(&acme, today, 1, 10, &id(4)).unwrap(), Spent::Exhausted);
    assert_eq!(state.spend_lookups(&globex, today, 10, 10, &id(5)).unwrap(), Spent::Granted);
    assert_eq!(state.spend_lookups(&acme, tomorrow, 8, 10, &id(6)).unwrap(), Spent::Granted);
    // An event that comes again after midnight has spent already.
    assert_eq!(state.spend_lookups(&acme, tomorrow, 7, 10, &id(1)).unwrap(), Spent::Granted);
    assert_eq!(state.spend_lookups(&acme, tomorrow, 2, 10, &id(7)).unwrap(), Spent::Granted);
    assert_eq!(state.spent("lookups/acme", tomorrow).unwrap(), 10);
}

#[test]
fn one_asker_drives_no_answers_of_another_out_of_the_mailbox() {
    let fixture = Fixture::new();
    let mut state = fixture.open();
    let (quiet, loud) = (keys().identity().public_name(), keys().identity().public_name());
    let id = |number: u8| RequestId::from_bytes([number; 16]);
    let mut post = |asker: &PublicName, number: u8| {
        assert!(state.take_lookup(Epoch(1), asker, id(number), &format!("{number}-0").parse().unwrap()).unwrap());
        let old = state.note_answer(Epoch(1), asker, id(number), 4).unwrap();
        for answer in &old {
            state.note_answer_removed(answer).unwrap();
        }
        old.into_iter().map(|answer| (answer.asker, answer.id)).collect::<Vec<_>>()
    };
    assert!(post(&quiet, 1).is_empty());
    assert!(post(&quiet, 2).is_empty());
    assert!(post(&loud, 3).is_empty() && post(&loud, 4).is_empty());
    for number in 5..9 {
        assert_eq!(post(&loud, number), [(loud.clone(), id(number - 2))], "the oldest of its own");
    }
    // Who has as many as the other makes room itself.
    assert_eq!(post(&quiet, 9), [(quiet.clone(), id(1))]);
}

/// Not a fact: what each of the processes does that [`processes_together_spend_no_more_than_the_limit`] starts.
#[test]
#[ignore = "run by another test, in a process of its own"]
fn spends_until_exhausted() {
    let Ok(path) = std::env::var("STATE_TEST_DB") else { return };
    let db = Connection::open(path).unwrap();
    db.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
    // Spending needs no key.
    let mut state = State { db, key: keys().token().state_key(&root()) };
    let mut granted = 0;
    for n in 0..60 {
        let event = format!("{}-{n}", std::process::id()).parse().unwrap();
        if state.spend(&["x".to_owned()], "2026-01-02", Some(40), &event).unwrap() == Spent::Granted {
            granted += 1;
        }
    }
    println!("\ngranted {granted}");
}

#[test]
fn processes_together_spend_no_more_than_the_limit() {
    let fixture = Fixture::new();
    drop(fixture.open());
    let start = || {
        std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "state::tests::spends_until_exhausted", "--ignored", "--nocapture"])
            .env("STATE_TEST_DB", fixture.path())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    let processes = [start(), start(), start()];
    let granted = processes.map(|process| {
        let output = String::from_utf8(process.wait_with_output().unwrap().stdout).unwrap();
        output.lines().find_map(|line| line.strip_prefix("granted ")?.parse::<u64>().ok()).unwrap()
    });
    assert_eq!(granted.iter().sum::<u64>(), 40, "{granted:?}");
    assert_eq!(fixture.open().spent("x", "2026-01-02").unwrap(), 40);
}

#[test]
fn every_dataset_that_was_accepted_is_remembered_with_its_former_versions() {
    let fixture = Fixture::new();
    let mut state = fixture.opened();
    let holder = keys().identity().public_name();
    let accepted = |version, sha256: &str| AcceptedDataset {
        holder: holder.clone(),
        dataset: "customers".parse().unwrap(),
        version,
        sha256: sha256.to_owned(),
        key_id: keys().token().key_id(),
        rows: 10 * version,
        kinds: BTreeMap::new(),
        unauthenticated: false,
    };
    for (version, sha256) in [(1, "aa"), (2, "bb"), (3, "aa")] {
        state.accept_dataset(EPOCH, &accepted(version, sha256)).unwrap();
    }
    state.begin_epoch(&secrets(), &"9-9".parse().unwrap(), None).unwrap();
    let seen: Vec<_> = state.datasets_seen().unwrap().into_iter().map(|d| (d.version, d.sha256, d.rows)).collect();
    assert_eq!(seen, [(1, "aa".to_owned(), 10), (2, "bb".to_owned(), 20)]);
    // A used one has a later moment than it was first seen with.
    std::thread::sleep(std::time::Duration::from_millis(5));
    state.note_used(&["bb"]).unwrap();
    let seen = state.datasets_seen().unwrap();
    assert!(seen[1].last_used > seen[1].first_seen, "{seen:?}");
    // Who is removed takes it along.
    state.revoke(Epoch(2), &holder).unwrap();
    assert_eq!(state.datasets_seen().unwrap(), []);
}

/// A report of two holders, as an event asked for it.
fn report(event: &str) -> Report {
    let holders: Vec<ParticipantId> = ["acme", "globex"].map(|holder| holder.parse().unwrap()).into();
    let both = HolderSet::new(2, 0..2);
    let rows = holders.iter().map(|holder| (holder.clone(), RowCounts { rows: 9, ..RowCounts::default() }));
    let kind = KindInputs {
        kind: "email".parse().unwrap(),
        rows: rows.collect(),
        table: MatchTable::new(holders, [(both, 9)]),
    };
    Report::build(ReportInputs {
        kinds: vec![kind],
        threshold: Threshold::default(),
        rules: Vec::new(),
        provenance: Provenance {
            space: "retail-2026".parse().unwrap(),
            root: root().to_string(),
            epoch: EPOCH,
            event: event.parse().unwrap(),
            event_type: "CHECK_COMMON_CUSTOMERS".to_owned(),
            answered_from: None,
            datasets: Vec::new(),
            datafuse: "0.1.0".to_owned(),
            at: "2026-11-20T10:00:00Z".to_owned(),
        },
    })
    .unwrap()
}

fn reported(holder: &PublicName, partner: &PublicName, fused_set: &str) -> (ReportedSet, SetSketch) {
    let byte = u8::from_str_radix(fused_set, 16).unwrap();
    let sketch = SetSketch::from_bytes(&[byte; SetSketch::BITS / 8]).unwrap();
    let (holder, partner, kind) = (holder.clone(), partner.clone(), "email".parse().unwrap());
    (ReportedSet { holder, partner, kind, fused_set: fused_set.to_owned() }, sketch)
}

#[test]
fn the_first_answer_to_a_question_stays_and_goes_with_its_epoch() {
    let fixture = Fixture::new();
    let mut state = fixture.opened();
    assert!(state.answered(EPOCH, "q").unwrap().is_none());
    state.remember_answer(EPOCH, "q", &report("1-0"), &GuardNotes::default(), &[]).unwrap();
    state.remember_answer(EPOCH, "q", &report("2-0"), &GuardNotes::default(), &[]).unwrap();
    let answered = state.answered(EPOCH, "q").unwrap().unwrap();
    assert_eq!((answered.event.as_str(), answered.report), ("1-0", report("1-0")));
    assert!(state.answered(EPOCH, "other").unwrap().is_none());
    // An answer does not open as that of another question.
    state.db.execute("UPDATE answered SET question = 'other'", []).unwrap();
    assert!(matches!(state.answered(EPOCH, "other"), Err(Error::StateSealed)));
    state.begin_epoch(&secrets(), &"9-9".parse().unwrap(), None).unwrap();
    let left: u64 = state.db.query_row("SELECT count(*) FROM answered", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}

#[test]
fn an_answer_and_what_it_costs_are_kept_together_or_not_at_all() {
    let fixture = Fixture::new();
    let mut state = fixture.opened();
    let epsilon = Epsilon::from_millionths;
    let cost = |holder: &str, cost, budget: Option<u64>| EpsilonCost {
        holder: holder.parse().unwrap(),
        dataset: "customers".parse().unwrap(),
        cost: epsilon(cost),
        budget: budget.map(epsilon),
    };
    let costs = [cost("acme", 400_000, None), cost("globex", 400_000, Some(1_000_000))];
    let spent = |state: &State| {
        ["acme", "globex"].map(|holder| {
            state.epsilon_spent(&holder.parse().unwrap(), &"customers".parse().unwrap()).unwrap().to_string()
        })
    };
    assert_eq!(spent(&state), ["0", "0"]);
    assert_eq!(state.remember_answer(EPOCH, "a", &report("1-0"), &GuardNotes::default(), &costs).unwrap(), Kept::Yes);
    // The second noise of a question is neither kept nor paid for.
    assert_eq!(
        state.remember_answer(EPOCH, "a", &report("2-0"), &GuardNotes::default(), &costs).unwrap(),
        Kept::HadAnswer
    );
    assert_eq!(state.answered(EPOCH, "a").unwrap().unwrap().event.as_str(), "1-0");
    assert_eq!(spent(&state), ["0.4", "0.4"]);
    assert_eq!(state.remember_answer(EPOCH, "b", &report("3-0"), &GuardNotes::default(), &costs).unwrap(), Kept::Yes);
    // The third would cost Globex more than it has: Acme pays nothing either, and there is no answer.
    let kept = state.remember_answer(EPOCH, "c", &report("4-0"), &GuardNotes::default(), &costs).unwrap();
    assert_eq!(kept, Kept::Exhausted { position: 1 });
    assert!(state.answered(EPOCH, "c").unwrap().is_none());
    assert_eq!(spent(&state), ["0.8", "0.8"]);
    // The very last of a budget can be spent; and a new epoch fills nothing up.
    let rest = [cost("globex", 200_000, Some(1_000_000))];
    assert_eq!(state.remember_answer(EPOCH, "c", &report("5-0"), &GuardNotes::default(), &rest).unwrap(), Kept::Yes);
    state.begin_epoch(&secrets(), &"9-9".parse().unwrap(), None).unwrap();
    assert_eq!(spent(&state), ["0.8", "1"]);
}

#[test]
fn reported_sets_are_known_by_holder_and_partner_and_open_with_the_next_key() {
    let mut fixture = Fixture::new();
    let mut state = fixture.opened();
    let [acme, globex, initech] = [(); 3].map(|()| keys().identity().public_name());
    let sets = [reported(&acme, &globex, "aa"), reported(&acme, &globex, "bb"), reported(&globex, &acme, "cc")];
    let rows = vec![(sets[0].0.clone(), "r1".to_owned())];
    let companies = vec![(sets[1].0.clone(), "c1".to_owned())];
    state
        .remember_answer(EPOCH, "q", &report("1-0"), &GuardNotes { sets: sets.to_vec(), rows, companies }, &[])
        .unwrap();
    drop(state);
    let former = fixture.workload.token().state_key(&root());
    fixture.workload.rotate(&mut UnwrapErr(getrandom::SysRng));
    let present = fixture.workload.token().state_key(&root());
    let mut state = State::open(&fixture.path(), &root(), present, &[former]).unwrap();
    assert!(state.answered(EPOCH, "q").unwrap().is_some());
    let former_sets = |state: &State, holder, partner, set| {
        state.former_sets(EPOCH, &reported(holder, partner, set).0).unwrap().map(|sketches| sketches.len())
    };
    assert_eq!(former_sets(&state, &acme, &globex, "dd"), Some(2));
    assert_eq!(former_sets(&state, &acme, &globex, "bb"), None, "the very set was reported");
    assert_eq!(former_sets(&state, &globex, &acme, "bb"), Some(1), "by its partner, not by itself");
    assert_eq!(former_sets(&state, &acme, &initech, "bb"), Some(0));
    let rows_of =
        |state: &State, holder, partner, set| state.reported_rows(EPOCH, &reported(holder, partner, set).0).unwrap();
    assert_eq!(rows_of(&state, &acme, &globex, "aa").as_deref(), Some("r1"));
    assert_eq!(rows_of(&state, &acme, &globex, "bb"), None);
    assert_eq!(rows_of(&state, &globex, &acme, "aa"), None);
    let company_of =
        |state: &State, holder, partner, set| state.reported_company(EPOCH, &reported(holder, partner, set).0).unwrap();
    assert_eq!(company_of(&state, &acme, &globex, "bb").as_deref(), Some("c1"));
    assert_eq!(company_of(&state, &acme, &globex, "aa"), None);
    // Who leaves takes along what it was reported with.
    state.revoke(EPOCH, &globex).unwrap();
    assert_eq!(former_sets(&state, &acme, &globex, "bb"), Some(0));
    for table in ["reported_set", "reported_rows", "reported_company", "set_sketch"] {
        let left: u64 = state.db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0, "{table}");
    }
}
