//! A space with everything that may ever lie about: made by the real parties, with every message copied on its way.
//!
//! `n` holders enrol, deliver and are matched. Then one more comes, and the workload hears of it from all stewards but the last,
//! whose message is lost on the way: so blinds and an answer wait in the state. An event waits in the queue.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc, time::Duration};

use datafuse_core::{id::ParticipantId, keys::PartyKeys, kind::Kind, normalize::Profile};
use datafuse_engine::{
    dataset::{Encoding, FetchPolicy, ReadOptions, Source},
    report::Report,
    runtime::Limits,
};
use datafuse_holder::{
    Party,
    enrol::enrol,
    protect::{ProtectRequest, protect},
};
use datafuse_lab::{
    drill::{self, Artifact, Case, Dictionary, Evidence, Leaked, Part, Scene, Table},
    generate::{EMAIL_COLUMN, GenerateSpec, generate, holder_name},
    truth::{SourceEncoding, Truth},
};
use datafuse_space::{Draft, Layout, Memory, QueuePlace, Space, keyfile};
use datafuse_workload::{
    Options, Outcome, Workload,
    event::{Event, msg_data},
    process,
    queue::{self, QueueChoice},
    serve::{ServeOptions, Served, serve},
};
use rand_core::UnwrapErr;

pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) space: Space,
    pub(crate) truth: Truth,
    pub(crate) report: Report,
    /// Those that were matched.
    pub(crate) holders: Vec<ParticipantId>,
    /// The one whose enrolment is under way.
    pub(crate) newcomer: ParticipantId,
    pub(crate) stewards: Vec<ParticipantId>,
    pub(crate) dictionary: Dictionary,
    pub(crate) scene: Scene,
    keys: BTreeMap<String, PartyKeys>,
}

impl World {
    pub(crate) fn new(holders: usize, rows: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path();
        let spec = GenerateSpec { holders: holders + 1, rows, overlap: 0.4, seed: holders as u64 };
        let truth = generate(&spec, out).unwrap();
        let names: Vec<_> = (0..=holders).map(holder_name).collect();
        fs::create_dir_all(out.join("keys")).unwrap();
        fs::create_dir_all(out.join("intercepted")).unwrap();
        let mut keys = BTreeMap::new();
        for name in names.iter().map(ParticipantId::as_str).chain(["workload"]) {
            let made = PartyKeys::generate(&mut UnwrapErr(getrandom::SysRng));
            keyfile::create(&out.join(format!("keys/{name}.key")), &made, "now", None).unwrap();
            keys.insert(name.to_owned(), made);
        }
        let stewards = names[..(holders - 1).max(2)].to_vec();
        let nonce = Space::draw_nonce().unwrap();
        let found = |holders: &[ParticipantId]| {
            let mut draft = Draft::new("matrix".parse().unwrap(), keys["workload"].identity().public_name());
            draft.holders =
                holders.iter().map(|name| (name.clone(), keys[name.as_str()].identity().public_name())).collect();
            draft.stewards.clone_from(&stewards);
            draft.kinds.push(Kind::single("email".parse().unwrap(), Profile::EmailV1, None));
            let space = Space::found(draft, nonce).unwrap();
            fs::write(out.join("space.yaml"), space.to_yaml()).unwrap();
            Space::read(&out.join("space.yaml")).unwrap()
        };
        let founded = found(&names[..holders]);
        let stage = Stage { out: out.to_owned() };
        let mut workload = stage.workload(&founded);
        stage.process(&mut workload, "INITIALIZE");
        let parties = stage.parties(&founded, &names[..holders]);
        for _ in 0..2 {
            parties.iter().for_each(|party| stage.enrol(party));
        }
        parties.iter().for_each(|party| stage.protect(party, &truth));
        let report = stage.serve(workload, &founded);

        let space = found(&names);
        assert_eq!(space.root(), founded.root());
        stage.parties(&space, &stewards).iter().for_each(|party| stage.enrol(party));
        let newcomer = stage.parties(&space, &names[holders..]).remove(0);
        stage.enrol(&newcomer);
        stage.protect(&newcomer, &truth);
        let lost = keys[stewards.last().unwrap().as_str()].identity().public_name();
        stage.lose_blind(&lost.to_bytes());
        let mut workload = stage.workload(&space);
        stage.process(&mut workload, "ENROL");

        let mut dictionary = Dictionary::new(space.kinds());
        dictionary.read_example(&truth, out, &BTreeMap::new(), true).unwrap();
        let scene = Scene::of(&space);
        let (holders, newcomer) = (names[..holders].to_vec(), names[holders].clone());
        Self { space, truth, report, holders, newcomer, stewards, dictionary, scene, keys, folder }
    }

    /// Everybody with data.
    pub(crate) fn everybody(&self) -> impl Iterator<Item = &ParticipantId> {
        self.holders.iter().chain([&self.newcomer])
    }

    pub(crate) fn keys(&self, party: &str) -> &PartyKeys {
        &self.keys[party]
    }

    pub(crate) fn leak(&self, parties: &[&str], part: Part) -> Vec<Leaked> {
        parties.iter().map(|party| Leaked::of(&self.keys[*party], part)).collect()
    }

    /// What lies about at the end, without the copies of messages.
    pub(crate) fn at_rest(&self) -> Vec<Evidence> {
        drill::collect(&self.space, &[]).unwrap()
    }

    /// What lies about, and every message that was ever sent.
    pub(crate) fn everything(&self) -> Vec<Evidence> {
        let mut evidence = self.at_rest();
        drill::collect_folder(&self.folder.path().join("intercepted"), Artifact::Mailbox, &mut evidence).unwrap();
        evidence
    }

    pub(crate) fn drill(&self, evidence: &[Evidence], leaks: &[Leaked]) -> Table {
        let case = Case { scene: &self.scene, evidence, leaks, dictionary: &self.dictionary };
        let table = drill::drill(&case);
        assert!(table.unread.is_empty(), "{:?}", table.unread);
        assert_eq!((table.contradictions, table.roots), (0, 0), "the numbers are what the protocol says");
        table
    }

    /// How many distinct identifiers a holder has.
    pub(crate) fn unique(&self, party: &ParticipantId) -> u64 {
        self.truth.parties.iter().find(|funnel| funnel.holder == *party).and_then(|funnel| funnel.unique).unwrap()
    }
}

/// Where it is played.
struct Stage {
    out: PathBuf,
}

impl Stage {
    fn workload(&self, space: &Space) -> Workload {
        let keys = keyfile::read(&self.out.join("keys/workload.key"), &mut keyfile::no_passphrase).unwrap();
        let options = Options { limits: Limits::default(), outputs: None, state: None, allow_hosts: Vec::new() };
        Workload::open(space.clone(), keys, options).unwrap()
    }

    fn parties(&self, space: &Space, names: &[ParticipantId]) -> Vec<Party> {
        let open = |name: &ParticipantId| {
            let file = self.out.join(format!("keys/{name}.key"));
            let keys = keyfile::read(&file, &mut keyfile::no_passphrase).unwrap();
            Party::open(space.clone(), name, keys, Memory::beside(&file)).unwrap()
        };
        names.iter().map(open).collect()
    }

    fn process(&self, workload: &mut Workload, event: &str) {
        let id = format!("matrix-{}", event.to_lowercase()).parse().unwrap();
        process(workload, &Event::new(id, event, serde_json::Map::new(), None).unwrap(), &|_| {}).unwrap();
        self.intercept();
    }

    fn enrol(&self, party: &Party) {
        enrol(party, &mut |_| true).unwrap();
        self.intercept();
    }

    fn protect(&self, party: &Party, truth: &Truth) {
        let source = truth.source(party.id()).unwrap();
        let encoding = if source.encoding == SourceEncoding::Latin1 { Encoding::Latin1 } else { Encoding::Utf8 };
        let request = ProtectRequest {
            source: Source::Path(self.out.join("source").join(&source.file)),
            read: ReadOptions { encoding, ..ReadOptions::default() },
            fetch: FetchPolicy::strict(),
            identifiers: [("email".parse().unwrap(), vec![EMAIL_COLUMN.to_owned()])].into(),
            keep: vec!["segment".to_owned()],
            dataset: None,
            out: None,
            quarantine: None,
            threads: 2,
        };
        protect(party, &request, &mut |_| true, &|_| {}).unwrap();
    }

    /// Takes one event from the queue, in which another stays.
    fn serve(&self, workload: Workload, space: &Space) -> Report {
        let layout = Layout::new(space);
        let QueuePlace::Folder(folder) = layout.queue.clone() else { panic!("a folder") };
        let audit = workload.audit().clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let served = runtime.block_on(async {
            let queue = queue::open(&QueueChoice::Embedded { folder }).await.unwrap();
            for _ in 0..2 {
                let now = Some(jiff::Timestamp::now());
                let event = msg_data("CHECK_COMMON_DEMO_CUSTOMERS", &serde_json::Map::new(), now);
                queue.publish(&event).await.unwrap();
            }
            let (_keep, stop) = tokio::sync::watch::channel(false);
            let options = ServeOptions { once: true, drain: Duration::ZERO };
            serve(workload, queue.as_ref(), &audit, options, stop, Arc::new(|_| {}), |_| {}).await.unwrap()
        });
        self.intercept();
        match served {
            Served::Done(_, outcome) => match *outcome {
                Outcome::Reported { report, .. } => *report,
                _ => panic!("a report"),
            },
            _ => panic!("served"),
        }
    }

    /// Copies every message that is on its way.
    fn intercept(&self) {
        for entry in fs::read_dir(self.out.join("mailbox")).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, self.out.join("intercepted").join(path.file_name().unwrap())).unwrap();
        }
    }

    /// Loses what a steward tells the workload.
    fn lose_blind(&self, steward: &[u8]) {
        let mut lost = 0;
        for entry in fs::read_dir(self.out.join("mailbox")).unwrap() {
            let path = entry.unwrap().path();
            let is_blind = path.file_name().unwrap().to_str().unwrap().starts_with("blind-to-workload");
            let bytes = fs::read(&path).unwrap();
            if is_blind
                && datafuse_core::message::Message::decode(&bytes).unwrap().header().sender.to_bytes() == steward
            {
                fs::remove_file(path).unwrap();
                lost += 1;
            }
        }
        assert_eq!(lost, 1, "one blind for the newcomer is on its way");
    }
}
