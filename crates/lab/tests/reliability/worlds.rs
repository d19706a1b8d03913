//! Small spaces in different stages of their life, made once each through what holders and workload really do, and copied for
//! each trial: everything in a space is relative to its folder.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
    time::Duration,
};

use datafuse_core::{id::ParticipantId, keys::PartyKeys, kind::Kind, name::PublicName, normalize::Profile};
use datafuse_engine::{
    dataset::{Encoding, FetchPolicy, ReadOptions, Source},
    runtime::Limits,
};
use datafuse_holder::{
    Party,
    enrol::enrol,
    protect::{ProtectRequest, protect},
    rekey::{RekeyRequest, rekey},
};
use datafuse_lab::{
    generate::{GenerateSpec, generate},
    truth::{SourceEncoding, Truth},
};
use datafuse_space::{Draft, Memory, Space, keyfile};
use datafuse_workload::{Options, Workload, event::Event, process};
use rand_core::UnwrapErr;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// Rows of each holder.
const ROWS: u64 = 300;

/// A stage in the life of a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    /// The agreement and the keys.
    Founded,
    /// An epoch is open; everybody's messages and datasets have come.
    Waiting,
    /// Everything that came is enrolled and fused.
    Complete,
    /// As `Complete`; then one holder has changed its token key and brought its dataset over.
    Updated,
    /// As `Complete` with three holders, of whom one has left the agreement.
    Departed,
}

/// A stage, made.
pub(crate) struct World {
    folder: TempDir,
    pub(crate) truth: Truth,
}

impl Stage {
    /// The space of this stage.
    pub(crate) fn world(self) -> &'static World {
        static FOUNDED: LazyLock<World> = LazyLock::new(|| World::found(2));
        static WAITING: LazyLock<World> = LazyLock::new(|| FOUNDED.after(World::wait));
        static COMPLETE: LazyLock<World> = LazyLock::new(|| WAITING.after(World::complete));
        static UPDATED: LazyLock<World> = LazyLock::new(|| COMPLETE.after(World::update));
        static DEPARTED: LazyLock<World> = LazyLock::new(|| {
            let world = World::found(3);
            world.wait();
            world.complete();
            world.leave("initech");
            world
        });
        match self {
            Self::Founded => &FOUNDED,
            Self::Waiting => &WAITING,
            Self::Complete => &COMPLETE,
            Self::Updated => &UPDATED,
            Self::Departed => &DEPARTED,
        }
    }

    /// A copy to do anything with.
    pub(crate) fn copy(self) -> Copied {
        self.world().copied()
    }
}

/// A copy of a space, and the folder around it.
pub(crate) struct Copied {
    _around: TempDir,
    pub(crate) path: PathBuf,
}

impl World {
    /// Makes keys, sources and an agreement.
    fn found(holders: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let truth = generate(&GenerateSpec { holders, rows: ROWS, overlap: 0.3, seed: 5 }, folder.path()).unwrap();
        let world = Self { folder, truth };
        for below in ["keys", "tmp", "datasets"] {
            fs::create_dir(world.path(below)).unwrap();
        }
        let mut draft = Draft::new("reliability".parse().unwrap(), world.keygen("workload"));
        draft.holders = world.holders().map(|holder| (holder.clone(), world.keygen(holder.as_str()))).collect();
        draft.kinds.push(Kind::single("email".parse().unwrap(), Profile::EmailV1, None));
        let space = Space::found(draft, Space::draw_nonce().unwrap()).unwrap();
        fs::write(world.path("space.yaml"), space.to_yaml()).unwrap();
        world
    }

    fn after(&self, then: impl FnOnce(&Self)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy_folder(self.folder.path(), folder.path());
        let world = Self { folder, truth: self.truth.clone() };
        then(&world);
        world
    }

    fn copied(&self) -> Copied {
        let around = tempfile::tempdir().unwrap();
        let path = around.path().join("space");
        copy_folder(self.folder.path(), &path);
        Copied { _around: around, path }
    }

    fn wait(&self) {
        self.event("INITIALIZE");
        for _ in 0..2 {
            for holder in self.holders() {
                enrol(&self.party(holder), &mut |_| true).unwrap();
            }
        }
        for holder in self.holders() {
            self.protect(holder);
        }
    }

    fn complete(&self) {
        self.event("ENROL");
        self.event("FUSE");
    }

    fn update(&self) {
        let holder: ParticipantId = "acme".parse().unwrap();
        let mut keys = self.keys("acme");
        keys.rotate(&mut UnwrapErr(getrandom::SysRng));
        fs::remove_file(self.key_file("acme")).unwrap();
        keyfile::create(&self.key_file("acme"), &keys, "2026-11-25T10:00:00Z", None).unwrap();
        let party = self.party(&holder);
        enrol(&party, &mut |_| true).unwrap();
        let request = RekeyRequest {
            old: self.path("datasets/acme.parquet"),
            out: None,
            threads: 1,
            temp_dir: std::env::temp_dir(),
            fetch: FetchPolicy::strict(),
        };
        rekey(&party, &request, &mut |_| true, &|_| {}).unwrap().unwrap();
    }

    fn leave(&self, holder: &str) {
        let yaml = fs::read_to_string(self.path("space.yaml")).unwrap();
        let mut inside = false;
        let kept = yaml.lines().filter(|line| {
            if line.len() - line.trim_start().len() <= 2 {
                inside = line.trim_end() == format!("  {holder}:");
            }
            !inside
        });
        fs::write(self.path("space.yaml"), kept.collect::<Vec<_>>().join("\n") + "\n").unwrap();
        assert_eq!(Space::read(&self.path("space.yaml")).unwrap().holders().count(), 2);
    }

    fn holders(&self) -> impl Iterator<Item = &ParticipantId> {
        self.truth.sources.iter().map(|source| &source.holder)
    }

    fn keygen(&self, party: &str) -> PublicName {
        let keys = PartyKeys::generate(&mut UnwrapErr(getrandom::SysRng));
        keyfile::create(&self.key_file(party), &keys, "2026-11-25T10:00:00Z", None).unwrap();
        keys.identity().public_name()
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    fn key_file(&self, party: &str) -> PathBuf {
        self.path(&format!("keys/{party}.key"))
    }

    fn keys(&self, party: &str) -> PartyKeys {
        keyfile::read(&self.key_file(party), &mut keyfile::no_passphrase).unwrap()
    }

    fn party(&self, holder: &ParticipantId) -> Party {
        party(self.folder.path(), holder)
    }

    fn protect(&self, holder: &ParticipantId) {
        let source = self.truth.source(holder).unwrap();
        let encoding = match source.encoding {
            SourceEncoding::Utf8 => Encoding::Utf8,
            SourceEncoding::Latin1 => Encoding::Latin1,
        };
        let request = ProtectRequest {
            temp_dir: std::env::temp_dir(),
            source: Source::Path(self.path("source").join(&source.file)),
            read: ReadOptions { encoding, ..ReadOptions::default() },
            fetch: FetchPolicy::strict(),
            identifiers: [("email".parse().unwrap(), vec!["customer_email".to_owned()])].into(),
            keep: vec!["segment".to_owned()],
            dataset: None,
            out: None,
            quarantine: None,
            threads: 1,
        };
        protect(&self.party(holder), &request, &mut |_| true, &|_| {}).unwrap();
    }

    fn event(&self, name: &str) {
        let mut workload = workload(self.folder.path()).unwrap();
        let event = Event::new(name.parse().unwrap(), name, Map::new(), None).unwrap();
        process(&mut workload, &event, &|_| {}).unwrap();
    }
}

/// A holder of a space, with its keys.
pub(crate) fn party(space: &Path, holder: &ParticipantId) -> Party {
    let key_file = space.join(format!("keys/{holder}.key"));
    let keys = keyfile::read(&key_file, &mut keyfile::no_passphrase).unwrap();
    let memory = Memory::beside(&key_file);
    Party::open(Space::read(&space.join("space.yaml")).unwrap(), holder, keys, memory).unwrap()
}

/// Opens the workload of a space.
pub(crate) fn workload(space: &Path) -> datafuse_workload::Result<Workload> {
    let keys = keyfile::read(&space.join("keys/workload.key"), &mut keyfile::no_passphrase)?;
    let limits = Limits { threads: 1, memory_bytes: 64 << 20, temp_dir: space.join("tmp"), ..Limits::default() };
    let options = Options { limits, outputs: None, state: None, allow_hosts: Vec::new(), delivery: Default::default() };
    Workload::open(Space::read(&space.join("space.yaml"))?, keys, options)
}

/// Writes an event as a queue takes it.
pub(crate) fn message(name: &str, fields: Value) -> Vec<u8> {
    let mut event = json!({ "type": name });
    event.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    event.to_string().into_bytes()
}

/// Copies a folder with everything in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The names in a folder, sorted; none where it is not there.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

/// Every file below a folder, with its path from there.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push(path.strip_prefix(folder).unwrap().to_owned()),
            }
        }
    }
    found.sort_unstable();
    found
}

/// Makes everything below a folder look as if it had lain there for days.
pub(crate) fn age(folder: &Path) {
    let then = std::time::SystemTime::now() - Duration::from_secs(3 * 24 * 3600);
    for file in files(folder) {
        // A named pipe or what went meanwhile has no age to change.
        if let Ok(file) = fs::File::options().append(true).open(folder.join(file)) {
            let _ = file.set_modified(then);
        }
    }
}
