//! What must be true of a space when all of its events are done, however often the process died on the way: exactly one
//! complete and right output for each, nothing lost, nothing done twice, nothing left lying about.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::LazyLock,
};

use datafuse_core::id::{DatasetId, Epoch, EventId};
use datafuse_engine::{
    report::Report,
    signed_report::{SignedReport, encrypted},
};
use datafuse_holder::list::open_list;
use datafuse_space::{
    Space,
    keyfile::{self, identity::Identity},
    mailbox::MessageName,
};
use datafuse_workload::{
    audit::{AuditFiles, AuditLine, AuditState, MALFORMED, verify},
    state::State,
};
use serde_json::json;

use crate::{
    child::Order,
    place::Place,
    worlds::{self, Copied, Stage, message, names},
};

/// Of the data user who asked for encrypted reports.
static IDENTITY: LazyLock<Identity> = LazyLock::new(Identity::generate);

const CHECK: &str = "CHECK_COMMON_CUSTOMERS";
const DEMO_CHECK: &str = "CHECK_COMMON_DEMO_CUSTOMERS";

/// Some events in a space of some stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Story {
    /// An epoch is opened.
    Opening,
    /// Holders are enrolled, their datasets fused and matched; among the events are an unknown one and one that is none.
    First,
    /// As `First`, and the data user asked for encrypted reports.
    Encrypted,
    /// As `First`; a holder gets a list of its rows, and one data user a report with more than the other's.
    Divided,
    /// A holder has a new token key and a new version of its dataset.
    Update,
    /// A holder has left.
    Departure,
    /// A new epoch takes the place of the former.
    NewEpoch,
}

impl Story {
    pub(crate) const ALL: [Self; 7] =
        [Self::Opening, Self::First, Self::Encrypted, Self::Divided, Self::Update, Self::Departure, Self::NewEpoch];

    pub(crate) fn stage(self) -> Stage {
        match self {
            Self::Opening => Stage::Founded,
            Self::First | Self::Encrypted | Self::Divided => Stage::Waiting,
            Self::Update => Stage::Updated,
            Self::Departure => Stage::Departed,
            Self::NewEpoch => Stage::Complete,
        }
    }

    fn events(self) -> Vec<(&'static str, Vec<u8>)> {
        let plain = |name: &'static str| (name, message(name, json!({})));
        match self {
            Self::Opening => vec![plain("INITIALIZE"), plain("ENROL")],
            Self::First | Self::Encrypted | Self::Divided => vec![
                plain("ENROL"),
                plain("FUSE"),
                plain(CHECK),
                plain("GREETINGS"),
                (MALFORMED, b"{\"type\":".to_vec()),
                plain(DEMO_CHECK),
            ],
            Self::Update | Self::Departure => vec![plain("ENROL"), plain(CHECK)],
            Self::NewEpoch => vec![("INITIALIZE", message("INITIALIZE", json!({ "new_epoch": true })))],
        }
    }

    /// Puts into the agreement what the story needs beside that of its stage.
    fn amend(self, space: &Path) {
        let yaml = fs::read_to_string(space).unwrap();
        let put = |yaml: String, below: &str, more: &str| yaml.replacen(below, &format!("{below}{more}"), 1);
        let yaml = match self {
            Self::Encrypted => {
                let user = format!("  insights:\n    roles: [user]\n    recipient: {}\n", IDENTITY.to_public());
                put(yaml, "participants:\n", &user)
            }
            Self::Divided => {
                let users = "  insights: { roles: [user] }\n  press: { roles: [user] }\n";
                let yaml = put(yaml, "participants:\n", users);
                let yaml = put(yaml, "  globex:\n", "    policy: { lists: [acme] }\n");
                put(yaml, "\npolicy:\n", "  outputs_for: { press: [all] }\n")
                    + "analyses: { lists: { acme: { join: inner, kind: email } } }\n"
            }
            _ => return,
        };
        fs::write(space, yaml).unwrap();
    }

    /// A copy of the stage with the events of the story in its queue.
    pub(crate) fn begin(self, queue: impl FnOnce(&Path) -> Place) -> Trial {
        let copied = self.stage().copy();
        self.amend(&copied.path.join("space.yaml"));
        let place = queue(&copied.path);
        let (names, payloads): (Vec<_>, Vec<_>) = self.events().into_iter().unzip();
        let ids = place.publish(&payloads);
        let order = Order::new(&copied.path, place.clone());
        Trial { story: self, may_fail: false, copied, place, events: ids.into_iter().zip(names).collect(), order }
    }
}

/// A story under way.
pub(crate) struct Trial {
    pub(crate) story: Story,
    /// Whether events may fail before they succeed.
    pub(crate) may_fail: bool,
    pub(crate) copied: Copied,
    pub(crate) place: Place,
    pub(crate) events: Vec<(EventId, &'static str)>,
    pub(crate) order: Order,
}

impl Trial {
    /// Asserts what must be true at any moment: who looks into the folder of outputs sees whole, right reports only.
    pub(crate) fn assert_nothing_partial(&self) {
        let outputs = self.copied.path.join("outputs");
        for name in names(&outputs).into_iter().filter(|name| !name.starts_with('.')) {
            let event = self.events.iter().find(|(id, _)| id.as_str() == name);
            let (id, event_type) = event.unwrap_or_else(|| panic!("{name} is the output of no event"));
            assert!([CHECK, DEMO_CHECK].contains(event_type), "{event_type} has no output");
            self.assert_right_report(&outputs.join(&name), id);
        }
    }

    /// Asserts what must be true when the queue is empty.
    pub(crate) fn assert_settled(&self) {
        self.assert_nothing_partial();
        self.assert_one_output_each();
        self.assert_queue_is_done();
        self.assert_audit_is_whole();
        self.assert_audit_verifies();
        self.assert_state();
        self.assert_nothing_left();
    }

    fn assert_one_output_each(&self) {
        let with_output = self.events.iter().filter(|(_, name)| [CHECK, DEMO_CHECK].contains(name));
        let expected: BTreeSet<_> = with_output.map(|(id, _)| id.to_string()).collect();
        let found: BTreeSet<_> = names(&self.copied.path.join("outputs")).into_iter().collect();
        assert_eq!(found, expected, "outputs");
    }

    fn assert_right_report(&self, folder: &Path, id: &EventId) {
        let report = match self.story {
            Story::Encrypted => Self::decrypted_report(folder),
            Story::Divided => self.divided_report(folder),
            _ => Self::report_in_clear(folder, &[]),
        };
        assert_eq!(report.provenance.event, *id);
        let truth = &self.story.stage().world().truth;
        if self.story == Story::Departure {
            let pair = &truth.overlap.pairwise;
            let pair = pair.iter().find(|pair| pair.a.as_str() == "acme" && pair.b.as_str() == "globex").unwrap();
            assert_eq!(report.overlap.all, pair.count);
        } else {
            assert_eq!(truth.differences(&report), Vec::<&str>::new());
        }
    }

    /// The report of the one user who sees all; with it the other's, and the list, which the holder can open.
    fn divided_report(&self, folder: &Path) -> Report {
        let for_both = Self::report_in_clear(folder, &["lists", "users"]);
        let of_one = Self::report_in_clear(&folder.join("users/insights"), &[]);
        assert_eq!(names(&folder.join("users")), ["insights"]);
        assert_eq!((for_both.overlap.all, &for_both.overlap.pairwise[0].count), (of_one.overlap.all, &None));

        let envelope = fs::read(folder.join("report.dsse.json")).unwrap();
        let acme = worlds::party(&self.copied.path, &"acme".parse().unwrap());
        assert_eq!(names(&folder.join("lists")), ["acme.list"]);
        let list = open_list(&acme, &folder.join("lists/acme.list"), Some(&envelope)).unwrap();
        assert_eq!(list.header().event, of_one.provenance.event);
        // A row is listed for each common identifier, or more where acme has it twice.
        assert_eq!(of_one.lists[0].identifiers, of_one.overlap.all);
        assert!(of_one.overlap.all.is_some_and(|common| list.rows() >= common), "{} rows", list.rows());
        of_one
    }

    fn report_in_clear(folder: &Path, folders: &[&str]) -> Report {
        let mut expected = vec!["receipt.json", "report.dsse.json", "report.html", "report.json"];
        expected.extend(folders);
        expected.sort_unstable();
        assert_eq!(names(folder), expected);
        let page = fs::read_to_string(folder.join("report.html")).unwrap();
        assert!(page.trim_end().ends_with("</html>"), "the page is whole");
        Report::from_json(&fs::read(folder.join("report.json")).unwrap()).unwrap()
    }

    fn decrypted_report(folder: &Path) -> Report {
        assert_eq!(names(folder), ["receipt.json", "report.dsse.json.age"]);
        let bytes = fs::read(folder.join("report.dsse.json.age")).unwrap();
        let envelope = encrypted::decrypt(&bytes, std::slice::from_ref(&*IDENTITY)).unwrap();
        SignedReport::unverified(&envelope).unwrap().report
    }

    /// Every event was taken and acknowledged; what was acknowledged never came again.
    fn assert_queue_is_done(&self) {
        let dead = self.events.iter().filter(|(_, name)| *name == MALFORMED).count();
        assert_eq!(self.place.assert_empty(), dead, "dead letters: {:?}", self.order.journal());
        let mut taken = BTreeSet::new();
        let mut acknowledged = BTreeSet::new();
        for line in self.order.journal() {
            let mut words = line.split(' ');
            match (words.next(), words.next()) {
                (Some("taken"), Some(id)) => {
                    assert!(!acknowledged.contains(id), "{id} came again after it was acknowledged");
                    taken.insert(id.to_owned());
                }
                (Some("acknowledged"), Some(id)) => {
                    assert!(acknowledged.insert(id.to_owned()), "{id} was acknowledged twice");
                }
                _ => {}
            }
        }
        let all: BTreeSet<_> = self.events.iter().map(|(id, _)| id.to_string()).collect();
        assert_eq!(taken, all, "every event was taken");
    }

    /// The chain holds: each line is signed and follows the one before, whatever a kill cut short.
    fn assert_audit_verifies(&self) {
        let state = self.copied.path.join("state");
        let space = Space::read(&self.copied.path.join("space.yaml")).unwrap();
        let files = AuditFiles {
            root: &space.root(),
            names: &[space.workload().clone()],
            archives: &[],
            log: &state.join("audit.jsonl"),
            known: &[],
        };
        if let Err(fault) = verify(&files) {
            panic!("the audit log does not verify: {fault}");
        }
    }

    /// Every line can be read but those that a kill cut short, numbers ascend, and every event has its beginning and its end.
    fn assert_audit_is_whole(&self) {
        let text = fs::read_to_string(self.copied.path.join("state/audit.jsonl")).unwrap();
        let mut states: BTreeMap<String, Vec<AuditState>> = BTreeMap::new();
        let mut last = 0;
        for line in text.lines().filter(|line| !line.is_empty()) {
            let Ok(line) = serde_json::from_str::<AuditLine>(line) else {
                panic!("a line of the audit log cannot be read: {line}");
            };
            assert!(line.seq > last, "line {} comes after line {last}", line.seq);
            last = line.seq;
            // Facts beside an event's beginning and end have no state.
            if let (Some(event), Some(state)) = (line.event, line.state) {
                states.entry(event.to_string()).or_default().push(state);
            }
        }
        for (id, name) in &self.events {
            let states = states.remove(id.as_str()).unwrap_or_default();
            let mut states = states;
            if self.may_fail && *name != MALFORMED {
                states.retain(|state| *state != AuditState::Failed);
            }
            let mut ends = states.iter().filter(|state| **state != AuditState::Started).peekable();
            let end = if *name == MALFORMED { AuditState::Failed } else { AuditState::Done };
            assert!(ends.peek().is_some() && ends.all(|state| *state == end), "{name} in the audit log: {states:?}");
            assert!(*name == MALFORMED || states[0] == AuditState::Started, "{name}: {states:?}");
        }
        assert!(states.is_empty(), "the audit log knows other events: {states:?}");
    }

    fn assert_state(&self) {
        let path = &self.copied.path;
        let database = path.join("state/state.db");
        let connection = rusqlite::Connection::open(&database).unwrap();
        let verdict: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(verdict, "ok");
        let done: usize = connection.query_row("SELECT count(*) FROM event", [], |row| row.get(0)).unwrap();
        let before = if self.story.stage() == Stage::Founded { 0 } else { 1 };
        let before = if [Stage::Founded, Stage::Waiting].contains(&self.story.stage()) { before } else { 3 };
        let mine = self.events.iter().filter(|(_, name)| *name != MALFORMED).count();
        assert_eq!(done, before + mine, "events that the state knows");
        drop(connection);

        let space = Space::read(&path.join("space.yaml")).unwrap();
        let keys = keyfile::read(&path.join("keys/workload.key"), &mut keyfile::no_passphrase).unwrap();
        let state = State::open(&database, &space.root(), keys.token().state_key(&space.root()), &[]).unwrap();
        let open = state.open_epoch().unwrap().unwrap();
        let (epoch, serial) = match self.story {
            Story::Opening | Story::First | Story::Encrypted | Story::Divided => (1, 1),
            // The message key was renewed, once.
            Story::Update | Story::Departure => (1, 2),
            Story::NewEpoch => (2, 2),
        };
        assert_eq!((open.epoch, open.serial), (Epoch(epoch), serial), "epoch, serial");

        let dataset: DatasetId = "customers".parse().unwrap();
        let mut fused = Vec::new();
        for (id, holder) in space.holders() {
            let name = holder.name.clone().unwrap();
            let enrolled = state.enrolled(open.epoch, &name).unwrap().is_some();
            let accepted = state.dataset(open.epoch, &name, &dataset).unwrap();
            let present = !matches!(self.story, Story::Opening | Story::NewEpoch);
            assert_eq!((enrolled, accepted.is_some()), (present, present), "{id}: enrolled, fused");
            if let Some(accepted) = accepted {
                let version = if self.story == Story::Update && id.as_str() == "acme" { 2 } else { 1 };
                assert_eq!(accepted.version, version, "{id}");
                fused.extend(accepted.kinds.into_values().map(|kind| kind.file));
            }
        }
        fused.sort_unstable();
        assert_eq!(names(&path.join("state/fused")), fused, "the fused store holds what the state knows");

        let messages = names(&path.join("mailbox"));
        let left: Vec<_> = messages.iter().filter(|name| name.ends_with(".msg")).collect();
        assert!(left.is_empty(), "messages that nobody needs: {left:?}");
        for file in [format!("announcement-{}.cbor", space.root()), format!("status-{}.cbor", space.root())] {
            assert!(messages.contains(&file), "{file} is in the mailbox");
        }
    }

    /// Nothing temporary stays: what a kill left goes with the next run, where it is old enough to be nobody's.
    fn assert_nothing_left(&self) {
        if strays(&self.copied.path).is_empty() {
            return;
        }
        worlds::age(&self.copied.path);
        self.place.publish(&[message("GREETINGS", json!({}))]);
        self.order.run().expect_done();
        assert_eq!(strays(&self.copied.path), Vec::<String>::new(), "left by a process that was killed");
    }
}

/// Files that should not be there while nobody works.
fn strays(space: &Path) -> Vec<String> {
    let known = |file: &Path| {
        let text = file.to_str().unwrap();
        let (folder, name) = text.rsplit_once('/').unwrap_or(("", text));
        let plain = !name.starts_with('.') && !name.contains(".tmp") && !name.contains("part");
        match folder {
            "queue/tmp" | "tmp" => false,
            "mailbox" => plain && name.parse::<MessageName>().is_ok(),
            "state" => {
                ["state.db", "state.db-wal", "state.db-shm", "audit.jsonl", "audit.head", "lock"].contains(&name)
            }
            _ => plain || folder.starts_with("state/fused"),
        }
    };
    worlds::files(space).into_iter().filter(|file| !known(file)).map(|file| file.display().to_string()).collect()
}
