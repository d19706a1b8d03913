//! What a party remembers, in a file beside its key file (`acme.key.known` for `acme.key`): which names it approved in which
//! space, the newest announcement and status it saw, which share it serves the epoch with, and the last version it gave to
//! each of its datasets.
//!
//! The file is readable JSON, for its owner alone, and holds no secret; but who can change it can make its owner forget.
//! Every change is made under a lock and replaces the file whole, so that two processes lose nothing of each other's.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use datafuse_core::{
    announcement::Announcement,
    id::{DatasetId, Epoch, ParticipantId},
    name::PublicName,
    root::Root,
    status::Status,
};
use serde::{Deserialize, Serialize};

use crate::{
    agreement::Party,
    durable::{self, Readers},
    error::{Error, Result},
};

const VERSION: u64 = 1;
const MAX_FILE_BYTES: u64 = 64 << 20;

/// A party's memory.
#[derive(Clone, Debug)]
pub struct Memory {
    path: PathBuf,
}

/// Whether a party's name was approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// This very name was approved.
    Approved,
    /// No name of this party was approved yet.
    New,
    /// Another name of this party was approved.
    Changed {
        /// The name that was.
        approved: PublicName,
    },
}

/// The newest announcement or status that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its epoch.
    pub epoch: Epoch,
    /// Its serial.
    pub serial: u64,
}

impl Memory {
    /// The memory that belongs to a key file. Nothing is made until there is something to remember.
    #[must_use]
    pub fn beside(key_file: &Path) -> Self {
        let mut path = key_file.as_os_str().to_owned();
        path.push(".known");
        Self { path: path.into() }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tells of each of these parties whether its name was approved in a space, in their order.
    ///
    /// # Errors
    /// [`Error::MemoryDamaged`], [`Error::MemoryVersion`], [`Error::Io`].
    pub fn standings(&self, root: &Root, parties: &[(Party, &PublicName)]) -> Result<Vec<Standing>> {
        let known = self.load()?;
        let space = known.space(root);
        let standing = |(party, name): &(Party, &PublicName)| {
            let approved = space.and_then(|space| match party {
                Party::Workload => space.workload.as_ref(),
                Party::Participant(id) => space.participants.get(id),
            });
            match approved {
                None => Standing::New,
                Some(approved) if approved == *name => Standing::Approved,
                Some(approved) => Standing::Changed { approved: approved.clone() },
            }
        };
        Ok(parties.iter().map(standing).collect())
    }

    /// Remembers that these parties' names were approved in a space, in the place of former ones. Of a workload's former name
    /// no announcement counts any more: a thief of its key may have announced whatever it liked.
    ///
    /// # Errors
    /// [`Error::MemoryDamaged`], [`Error::MemoryVersion`], [`Error::Io`].
    pub fn approve<'a>(&self, root: &Root, names: impl IntoIterator<Item = (&'a Party, &'a PublicName)>) -> Result<()> {
        self.change(|known| {
            let space = known.space_mut(root);
            for (party, name) in names {
                match party {
                    Party::Workload => {
                        let former = space.workload.replace(name.clone());
                        if former.is_some_and(|former| former != *name) {
                            (space.announced, space.status) = (None, None);
                        }
                    }
                    Party::Participant(id) => {
                        space.participants.insert(id.clone(), name.clone());
                    }
                }
            }
            Ok(())
        })
    }

    /// Forgets the approval of participants that are not in the space, so that it is asked for when one comes back.
    ///
    /// # Errors
    /// [`Error::MemoryDamaged`], [`Error::MemoryVersion`], [`Error::Io`].
    pub fn retain(&self, root: &Root, present: impl Fn(&ParticipantId) -> bool) -> Result<()> {
        self.change(|known| {
            known.space_mut(root).participants.retain(|id, _| present(id));
            Ok(())
        })
    }

    /// The newest announcement of a space that was seen.
    ///
    /// # Errors
    /// [`Error::MemoryDamaged`], [`Error::MemoryVersion`], [`Error::Io`].
    pub fn seen(&self, root: &Root) -> Result<Option<Seen>> {
        let known = self.load()?;
        let announced = known.space(root).and_then(|space| space.announced.as_ref());
        Ok(announced.map(|seen| Seen { epoch: seen.epoch, serial: seen.serial }))
    }

    /// Remembers a verified announcement, and refuses one that is older than what was seen, or another of the same serial.
    ///
    /// # Errors
    /// [`Error::Protocol`] with [`Replayed`](datafuse_core::Error::Replayed) or
    /// [`TwoAnnouncements`](datafuse_core::Error::TwoAnnouncements); [`Error::MemoryDamaged`], [`Error::MemoryVersion`],
    /// [`Error::Io`].
    pub fn see(&self, announcement: &Announcement) -> Result<()> {
        let Announcement { epoch, serial, .. } = *announcement;
        let digest = hex::encode(announcement.digest());
        self.change(|known| {
            let space = known.space_mut(&announcement.root);
            if let Some(seen) = &space.announced {
                announcement.check_not_older(seen.epoch, seen.serial)?;
                let other = seen.digest.as_ref().is_some_and(|seen| *seen != digest);
                if (seen.epoch, seen.serial) == (epoch, serial) && other {
                    return Err(datafuse_core::Error::TwoAnnouncements { epoch, serial }.into());
                }
            }
            space.announced = Some(SeenForm { epoch, serial, digest: Some(digest) });
            Ok(())
        })
    }

    /// Remembers a verified status, and refuses one that is older than what was seen.
    ///
    /// # Errors
    /// [`Error::Protocol`] with [`Replayed`](datafuse_core::Error::Replayed); [`Error::MemoryDamaged`],
    /// [`Error::MemoryVersion`], [`Error::Io`].
    pub fn see_status(&self, status: &Status) -> Result<()> {
        self.change(|known| {
            let space = known.space_mut(&status.root);
            if let Some(seen) = &space.status {
                status.check_not_older(seen.epoch, seen.serial)?;
            }
            space.status = Some(SeenForm { epoch: status.epoch, serial: status.serial, digest: None });
            Ok(())
        })
    }

    /// Tells which of these share points (`S_j`) serves an epoch, by its position: the one that did before, else the first,
    /// which is remembered from now on. So a share that is replaced in mid-epoch serves it to its end.
    ///
    /// # Errors
    /// [`Error::ShareLost`] where the one that did before is not among them; [`Error::MemoryDamaged`],
    /// [`Error::MemoryVersion`], [`Error::Io`].
    ///
    /// # Panics
    /// When there is none to choose from.
    pub fn share_of(&self, root: &Root, epoch: Epoch, points: &[[u8; 32]]) -> Result<usize> {
        let points: Vec<_> = points.iter().map(hex::encode).collect();
        self.change(|known| {
            let space = known.space_mut(root);
            match &space.share {
                Some(share) if share.epoch == epoch => {
                    points.iter().position(|point| *point == share.point).ok_or(Error::ShareLost { epoch })
                }
                _ => {
                    space.share = Some(ShareForm { epoch, point: points[0].clone() });
                    Ok(0)
                }
            }
        })
    }

    /// The last version given to a dataset of a space; 0 where there was none.
    ///
    /// # Errors
    /// [`Error::MemoryDamaged`], [`Error::MemoryVersion`], [`Error::Io`].
    pub fn dataset_version(&self, root: &Root, dataset: &DatasetId) -> Result<u64> {
        let known = self.load()?;
        let version = known.space(root).and_then(|space| space.datasets.get(dataset));
        Ok(version.copied().unwrap_or(0))
    }

    /// Gives a dataset its next version, above the last one given and above `at_least` (the version of a file that is about
    /// to be replaced, where there is one; 0 else). No two calls give the same, not even from two processes.
    ///
    /// # Errors
    /// [`Error::MemoryDamaged`], [`Error::MemoryVersion`], [`Error::Io`].
    pub fn next_dataset_version(&self, root: &Root, dataset: &DatasetId, at_least: u64) -> Result<u64> {
        self.change(|known| {
            let last = known.space_mut(root).datasets.entry(dataset.clone()).or_default();
            *last = (*last).max(at_least).saturating_add(1);
            Ok(*last)
        })
    }

    fn load(&self) -> Result<Known> {
        let Some(mut file) = durable::open_regular(&self.path)? else {
            return Ok(Known::default());
        };
        let mut bytes = Vec::new();
        durable::read_capped(&mut file, &self.path, "memory file", MAX_FILE_BYTES, &mut bytes)?;
        let damaged = |error: serde_json::Error| Error::MemoryDamaged {
            path: self.path.clone(),
            line: error.line() as u64,
            column: error.column() as u64,
        };
        // The version first: a later form may have fields that this one refuses.
        let Versioned { version } = serde_json::from_slice(&bytes).map_err(damaged)?;
        if version != VERSION {
            return Err(Error::MemoryVersion { path: self.path.clone(), found: version, known: VERSION });
        }
        serde_json::from_slice(&bytes).map_err(damaged)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Known) -> Result<T>) -> Result<T> {
        let _lock = durable::lock_beside(&self.path)?;
        let mut known = self.load()?;
        let before = known.clone();
        let result = change(&mut known)?;
        if known != before {
            let mut bytes =
                serde_json::to_vec_pretty(&known).map_err(|error| Error::io("write", &self.path, error.into()))?;
            bytes.push(b'\n');
            durable::replace(&self.path, &bytes, Readers::Owner)?;
        }
        Ok(result)
    }
}

#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    version: u64,
    /// By the root in hex.
    spaces: BTreeMap<String, KnownSpace>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KnownSpace {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    workload: Option<PublicName>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    participants: BTreeMap<ParticipantId, PublicName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    announced: Option<SeenForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<SeenForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    share: Option<ShareForm>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    datasets: BTreeMap<DatasetId, u64>,
}

/// How a [`Seen`] stands in the file; of an announcement with the digest of what is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeenForm {
    epoch: Epoch,
    serial: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

/// The share that serves an epoch, named by its point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShareForm {
    epoch: Epoch,
    point: String,
}

impl Default for Known {
    fn default() -> Self {
        Self { version: VERSION, spaces: BTreeMap::new() }
    }
}

impl Known {
    fn space(&self, root: &Root) -> Option<&KnownSpace> {
        self.spaces.get(&root.to_string())
    }

    fn space_mut(&mut self, root: &Root) -> &mut KnownSpace {
        self.spaces.entry(root.to_string()).or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::name;
    use proptest::prelude::*;

    const ROOT: [u8; 32] = [1; 32];

    fn memory() -> (tempfile::TempDir, Memory) {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory::beside(&folder.path().join("acme.key"));
        (folder, memory)
    }

    fn root() -> Root {
        Root::from_bytes(ROOT)
    }

    fn standing(memory: &Memory, root: &Root, party: &Party, seed: u64) -> Standing {
        memory.standings(root, &[(party.clone(), &name(seed))]).unwrap().remove(0)
    }

    fn other_root() -> Root {
        Root::from_bytes([2; 32])
    }

    fn announcement(epoch: u64, serial: u64) -> Announcement {
        Announcement { root: root(), epoch: Epoch(epoch), serial, dataset_key: [7; 32], message_key: [8; 32] }
    }

    #[test]
    fn lies_beside_the_key_file_and_is_not_made_by_reading() {
        let (folder, memory) = memory();
        assert_eq!(memory.path(), folder.path().join("acme.key.known"));
        assert_eq!(memory.seen(&root()).unwrap(), None);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_approved_name_is_asked_again_only_when_it_changes() {
        let (_keep, memory) = memory();
        let acme = Party::Participant("acme".parse().unwrap());
        // A participant may be called so: it is not the workload.
        let namesake = Party::Participant("workload".parse().unwrap());
        let standing = |party, seed| standing(&memory, &root(), party, seed);
        assert_eq!(standing(&acme, 1), Standing::New);
        memory.approve(&root(), [(&acme, &name(1)), (&Party::Workload, &name(2))]).unwrap();
        assert_eq!(standing(&acme, 1), Standing::Approved);
        assert_eq!(standing(&Party::Workload, 2), Standing::Approved);
        assert_eq!(standing(&namesake, 2), Standing::New);
        assert_eq!(standing(&acme, 3), Standing::Changed { approved: name(1) });
        assert_eq!(super::tests::standing(&memory, &other_root(), &acme, 1), Standing::New);
        memory.approve(&root(), [(&acme, &name(3))]).unwrap();
        assert_eq!(standing(&acme, 1), Standing::Changed { approved: name(3) });
    }

    #[test]
    fn an_older_announcement_is_refused_and_changes_nothing() {
        let (_keep, memory) = memory();
        memory.see(&announcement(2, 5)).unwrap();
        memory.see(&announcement(2, 5)).unwrap();
        for older in [announcement(2, 4), announcement(1, 9)] {
            let error = memory.see(&older).unwrap_err();
            assert!(matches!(error, Error::Protocol(datafuse_core::Error::Replayed { .. })));
            assert!(error.remedy().is_some());
        }
        assert_eq!(memory.seen(&root()).unwrap(), Some(Seen { epoch: Epoch(2), serial: 5 }));
        memory.see(&announcement(3, 6)).unwrap();
        assert_eq!(memory.seen(&other_root()).unwrap(), None);
    }

    #[test]
    fn two_announcements_of_one_serial_are_refused() {
        let (_keep, memory) = memory();
        memory.see(&announcement(2, 5)).unwrap();
        let other = Announcement { message_key: [9; 32], ..announcement(2, 5) };
        let error = memory.see(&other).unwrap_err();
        assert!(matches!(error, Error::Protocol(datafuse_core::Error::TwoAnnouncements { serial: 5, .. })));
        memory.see(&announcement(2, 5)).unwrap();
    }

    #[test]
    fn an_older_status_is_refused_and_a_new_epoch_begins_anew() {
        let (_keep, memory) = memory();
        let status = |epoch, serial| Status {
            root: root(),
            epoch: Epoch(epoch),
            serial,
            holders: Vec::new(),
            refusals: Vec::new(),
        };
        memory.see_status(&status(1, 7)).unwrap();
        memory.see_status(&status(1, 7)).unwrap();
        let error = memory.see_status(&status(1, 6)).unwrap_err();
        assert!(matches!(error, Error::Protocol(datafuse_core::Error::Replayed { what: "status", .. })));
        memory.see_status(&status(2, 1)).unwrap();
        assert!(memory.see_status(&status(1, 9)).is_err());
    }

    #[test]
    fn what_a_former_workload_announced_binds_nobody_and_who_left_is_asked_again() {
        let (_keep, memory) = memory();
        let acme = Party::Participant("acme".parse().unwrap());
        memory.approve(&root(), [(&Party::Workload, &name(1)), (&acme, &name(2))]).unwrap();
        memory.see(&announcement(1 << 60, 1 << 60)).unwrap();
        assert!(memory.see(&announcement(2, 7)).is_err());
        memory.approve(&root(), [(&Party::Workload, &name(1))]).unwrap();
        assert!(memory.see(&announcement(2, 7)).is_err(), "the same name changes nothing");
        memory.approve(&root(), [(&Party::Workload, &name(3))]).unwrap();
        memory.see(&announcement(2, 7)).unwrap();

        memory.retain(&root(), |id| id.as_str() == "acme").unwrap();
        assert_eq!(standing(&memory, &root(), &acme, 2), Standing::Approved);
        memory.retain(&root(), |_| false).unwrap();
        assert_eq!(standing(&memory, &root(), &acme, 2), Standing::New);
    }

    #[test]
    fn a_share_serves_its_epoch_to_the_end() {
        let (_keep, memory) = memory();
        let (old, new) = ([1; 32], [2; 32]);
        assert_eq!(memory.share_of(&root(), Epoch(1), &[old]).unwrap(), 0);
        assert_eq!(memory.share_of(&root(), Epoch(1), &[new, old]).unwrap(), 1);
        let error = memory.share_of(&root(), Epoch(1), &[new]).unwrap_err();
        assert!(matches!(error, Error::ShareLost { epoch: Epoch(1) }));
        assert!(error.remedy().is_some());
        assert_eq!(memory.share_of(&root(), Epoch(2), &[new, old]).unwrap(), 0);
    }

    #[test]
    fn dataset_versions_only_grow() {
        let (_keep, memory) = memory();
        let customers = "customers".parse().unwrap();
        let next = |at_least| memory.next_dataset_version(&root(), &customers, at_least).unwrap();
        assert_eq!([next(0), next(0), next(9), next(3)], [1, 2, 10, 11]);
        assert_eq!(memory.dataset_version(&root(), &customers).unwrap(), 11);
        assert_eq!(memory.dataset_version(&other_root(), &customers).unwrap(), 0);
    }

    #[test]
    fn concurrent_changes_lose_nothing() {
        let (_keep, memory) = memory();
        let customers: DatasetId = "customers".parse().unwrap();
        let mut versions: Vec<u64> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        (0..10)
                            .map(|_| memory.next_dataset_version(&root(), &customers, 0).unwrap())
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
        });
        versions.sort_unstable();
        assert_eq!(versions, (1..=40).collect::<Vec<_>>());
    }

    #[cfg(unix)]
    #[test]
    fn is_readable_by_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let (folder, memory) = memory();
        memory.see(&announcement(1, 1)).unwrap();
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_damaged_or_newer_file_is_refused_and_kept() {
        let (_keep, memory) = memory();
        for (text, damaged) in [
            ("", true),
            ("{", true),
            ("{\"version\": 1, \"spaces\": {}, \"colour\": 1}", true),
            ("{\"version\": 2, \"worlds\": []}", false),
        ] {
            std::fs::write(memory.path(), text).unwrap();
            let error = memory.see(&announcement(1, 1)).unwrap_err();
            assert_eq!(matches!(error, Error::MemoryDamaged { .. }), damaged, "{error}");
            assert_eq!(matches!(error, Error::MemoryVersion { .. }), !damaged, "{error}");
            assert!(error.remedy().is_some());
            assert_eq!(std::fs::read_to_string(memory.path()).unwrap(), text);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (_keep, memory) = memory();
            std::fs::write(memory.path(), bytes).unwrap();
            let _ = memory.seen(&root());
        }
    }
}
