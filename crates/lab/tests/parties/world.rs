//! A space of parties that share one folder, each with its key file and memory; driven through the same functions that the
//! command line calls.

use std::{
    fs,
    path::{Path, PathBuf},
};

use datafuse_core::{
    id::ParticipantId,
    keys::PartyKeys,
    kind::Kind,
    message::{Message, Round},
    name::PublicName,
    normalize::Profile,
};
use datafuse_engine::{
    dataset::{FetchPolicy, ReadOptions, Source},
    runtime::Limits,
};
use datafuse_holder::{
    Party,
    enrol::{EnrolReport, enrol},
    protect::{ProtectRequest, Protected, protect},
    rekey::{RekeyRequest, Rekeyed, rekey},
};
use datafuse_space::{Draft, Memory, Space, keyfile, mailbox::MessageName};
use datafuse_workload::{Options, Outcome, Workload, event::Event, outcome::Collected, process};
use rand_core::UnwrapErr;
use serde_json::{Map, Value, json};

pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    events: std::cell::Cell<u32>,
}

impl World {
    /// A space with these holders, of whom the first `stewards` are stewards. No epoch is open.
    pub(crate) fn new(holders: &[&str], stewards: usize) -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap(), events: 0.into() };
        let mut draft = Draft::new("parties".parse().unwrap(), world.keygen("workload"));
        draft.holders = holders.iter().map(|holder| (id(holder), world.keygen(holder))).collect();
        draft.stewards = holders[..stewards].iter().map(|holder| id(holder)).collect();
        draft.kinds.push(Kind::single("email".parse().unwrap(), Profile::EmailV1, None));
        let space = Space::found(draft, Space::draw_nonce().unwrap()).unwrap();
        fs::write(world.space_file(), space.to_yaml()).unwrap();
        world
    }

    /// With epoch 1 open, everybody enrolled, and a dataset of two common customers and one of its own for each.
    pub(crate) fn at_work(holders: &[&str]) -> Self {
        let world = Self::new(holders, 2);
        world.event("INITIALIZE", json!({})).unwrap();
        world.enrol_all(holders);
        for holder in holders {
            world.protect(holder);
        }
        world
    }

    fn keygen(&self, party: &str) -> PublicName {
        let keys = PartyKeys::generate(&mut UnwrapErr(getrandom::SysRng));
        keyfile::create(&self.key_file(party), &keys, "2026-11-23T10:00:00Z", None).unwrap();
        keys.identity().public_name()
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    pub(crate) fn space_file(&self) -> PathBuf {
        self.path("space.yaml")
    }

    pub(crate) fn key_file(&self, party: &str) -> PathBuf {
        self.path(&format!("{party}.key"))
    }

    pub(crate) fn dataset(&self, holder: &str) -> PathBuf {
        self.path("datasets").join(format!("{holder}.parquet"))
    }

    pub(crate) fn space(&self) -> Space {
        Space::read(&self.space_file()).unwrap()
    }

    pub(crate) fn keys(&self, party: &str) -> PartyKeys {
        keyfile::read(&self.key_file(party), &mut keyfile::no_passphrase).unwrap()
    }

    /// Changes the keys of a party, as the `key` commands do.
    pub(crate) fn change_keys(&self, party: &str, change: impl FnOnce(&mut PartyKeys)) {
        let mut keys = self.keys(party);
        change(&mut keys);
        fs::remove_file(self.key_file(party)).unwrap();
        keyfile::create(&self.key_file(party), &keys, "2026-11-23T10:00:00Z", None).unwrap();
    }

    pub(crate) fn rotate(&self, party: &str) {
        self.change_keys(party, |keys| keys.rotate(&mut UnwrapErr(getrandom::SysRng)));
    }

    /// Gives a party new keys and puts its new name into the agreement, the former one beside it.
    pub(crate) fn replace(&self, party: &str) {
        let former = self.keys(party).identity().public_name();
        self.change_keys(party, |keys| keys.replace(&mut UnwrapErr(getrandom::SysRng)));
        let name = self.keys(party).identity().public_name();
        let field = if party == "workload" { "workload_former" } else { "    former" };
        self.edit_space(|yaml| {
            let old = yaml.lines().find(|line| line.contains(&former.to_string())).unwrap().to_owned();
            let new = format!("{}\n{field}: [{former}]", old.replace(&former.to_string(), &name.to_string()));
            yaml.replace(&old, &new)
        });
    }

    pub(crate) fn edit_space(&self, edit: impl FnOnce(String) -> String) {
        let yaml = edit(fs::read_to_string(self.space_file()).unwrap());
        fs::write(self.space_file(), yaml).unwrap();
        self.space();
    }

    /// Adds a holder to the agreement, with keys and a place for its dataset.
    pub(crate) fn join(&self, holder: &str) {
        let name = self.keygen(holder);
        let entry = format!(
            "participants:\n  {holder}:\n    roles: [holder]\n    name: {name}\n    datasets:\n      customers: {{ location: \
             datasets/{holder}.parquet }}"
        );
        self.edit_space(|yaml| yaml.replacen("participants:", &entry, 1));
    }

    /// Takes a holder out of the agreement.
    pub(crate) fn leave(&self, holder: &str) {
        self.edit_space(|yaml| {
            let mut inside = false;
            let kept = yaml.lines().filter(|line| {
                let level = line.len() - line.trim_start().len();
                if level <= 2 {
                    inside = line.trim_end() == format!("  {holder}:");
                }
                !inside
            });
            kept.collect::<Vec<_>>().join("\n") + "\n"
        });
    }

    pub(crate) fn party(&self, holder: &str) -> Party {
        let memory = Memory::beside(&self.key_file(holder));
        Party::open(self.space(), &id(holder), self.keys(holder), memory).unwrap()
    }

    pub(crate) fn enrol(&self, holder: &str) -> datafuse_holder::Result<EnrolReport> {
        enrol(&self.party(holder), &mut |_| true)
    }

    /// Everybody enrols as often as it takes, and the workload collects.
    pub(crate) fn enrol_all(&self, holders: &[&str]) {
        for _ in 0..2 {
            for holder in holders {
                self.enrol(holder).unwrap();
            }
        }
        self.collect();
    }

    pub(crate) fn protect(&self, holder: &str) -> Protected {
        self.protect_rows(holder, &format!("ada@example.com,a\neve@example.com,b\n{holder}@example.com,c\n"))
    }

    /// Protects these rows of email and segment.
    pub(crate) fn protect_rows(&self, holder: &str, rows: &str) -> Protected {
        let source = self.path(&format!("{holder}.csv"));
        fs::write(&source, format!("email,segment\n{rows}")).unwrap();
        let request = ProtectRequest {
            source: Source::Path(source),
            read: ReadOptions::default(),
            fetch: FetchPolicy::strict(),
            temp_dir: std::env::temp_dir(),
            identifiers: [("email".parse().unwrap(), vec!["email".to_owned()])].into(),
            keep: vec!["segment".to_owned()],
            dataset: None,
            out: None,
            quarantine: None,
            threads: 1,
        };
        protect(&self.party(holder), &request, &mut |_| true, &|_| {}).unwrap()
    }

    pub(crate) fn rekey(&self, holder: &str) -> datafuse_holder::Result<Option<Rekeyed>> {
        let request = RekeyRequest {
            old: self.dataset(holder),
            out: None,
            fetch: FetchPolicy::strict(),
            temp_dir: std::env::temp_dir(),
            threads: 1,
        };
        rekey(&self.party(holder), &request, &mut |_| true, &|_| {})
    }

    pub(crate) fn workload(&self) -> datafuse_workload::Result<Workload> {
        let limits = Limits { threads: 1, memory_bytes: 128 << 20, ..Limits::default() };
        let options =
            Options { limits, outputs: None, state: None, allow_hosts: Vec::new(), delivery: Default::default() };
        Workload::open(self.space(), self.keys("workload"), options)
    }

    pub(crate) fn event(&self, name: &str, body: Value) -> datafuse_workload::Result<Outcome> {
        self.events.set(self.events.get() + 1);
        self.event_with_id(&format!("event-{}", self.events.get()), name, body)
    }

    pub(crate) fn event_with_id(&self, event: &str, name: &str, body: Value) -> datafuse_workload::Result<Outcome> {
        let body: Map<String, Value> = body.as_object().unwrap().clone();
        process(&mut self.workload()?, &Event::new(event.parse().unwrap(), name, body, None)?, &|_| {})
    }

    pub(crate) fn collect(&self) -> Collected {
        match self.event("ENROL", json!({})).unwrap() {
            Outcome::Collected(collected) => collected,
            other => panic!("{other:?}"),
        }
    }

    /// Checks the common customers; gives how many all holders have.
    pub(crate) fn check(&self) -> datafuse_workload::Result<u64> {
        match self.event("CHECK_COMMON_CUSTOMERS", json!({}))? {
            Outcome::Reported { report, .. } => {
                Ok(serde_json::to_value(&*report).unwrap()["overlap"]["all"].as_u64().unwrap())
            }
            other => panic!("{other:?}"),
        }
    }

    /// Everything in the mailbox, by name.
    pub(crate) fn messages(&self) -> Vec<(MessageName, Vec<u8>)> {
        let mut messages: Vec<_> = fs::read_dir(self.path("mailbox"))
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
            .filter(|(name, _)| name.ends_with(".msg"))
            .map(|(name, bytes)| (name.parse().unwrap(), bytes))
            .collect();
        messages.sort_by(|a: &(MessageName, _), b| a.0.cmp(&b.0));
        messages
    }

    /// The messages of a round.
    pub(crate) fn messages_of(&self, round: Round) -> Vec<(MessageName, Vec<u8>)> {
        let is_of =
            |(_, bytes): &(_, Vec<u8>)| Message::decode(bytes).is_ok_and(|message| message.header().round == round);
        self.messages().into_iter().filter(is_of).collect()
    }

    pub(crate) fn put(&self, name: &MessageName, bytes: &[u8]) {
        fs::write(self.path("mailbox").join(name.as_str()), bytes).unwrap();
    }

    pub(crate) fn lose(&self, name: &MessageName) {
        fs::remove_file(self.path("mailbox").join(name.as_str())).unwrap();
    }

    /// Whether some bytes are in any file below a folder.
    pub(crate) fn holds(&self, folder: &str, needle: &[u8]) -> bool {
        files(&self.path(folder)).iter().any(|file| {
            let bytes = fs::read(file).unwrap();
            bytes.windows(needle.len()).any(|window| window == needle)
        })
    }

    pub(crate) fn fused_files(&self) -> usize {
        files(&self.path("state/fused")).len()
    }
}

pub(crate) fn id(text: &str) -> ParticipantId {
    text.parse().unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}
