//! `FUSE`: turns what is delivered and not yet fused into fused files, and only that. Checks do so first as well.
//!
//! Nothing is believed of a file before its envelope is checked against the agreement and opened with the key of the epoch;
//! what it replaces goes only when the new one is in the state.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use datafuse_core::{
    dataset::{DatasetSecret, Expected},
    fused::ReKey,
    id::{DatasetId, KindName, ParticipantId},
    keys::KeyId,
    name::PublicName,
};
use datafuse_engine::{
    Caps,
    dataset::{
        FetchPolicy, LocalFile,
        protected::{ProtectedFile, commitment},
    },
    fuse::{FuseKeys, FusedOutput, fuse as fuse_file},
};

use super::token_table;
use crate::{
    audit::Fact,
    directory::{DatasetPlace, Holder},
    error::{Error, Result},
    event::Event,
    outcome::{Fused, FusedDataset, Progress, Stage},
    state::{AcceptedDataset, EpochSecrets, FusedKind, OpenEpoch},
    step::{self, Step},
    workload::Workload,
};

/// The holders that take part: those the event names in `holders`, else all that the directory has, sorted by name.
pub(super) fn taking_part(workload: &Workload, event: &Event) -> Result<Vec<Holder>> {
    let space = workload.space();
    let named: Option<BTreeSet<ParticipantId>> = match event.body.get("holders") {
        None => None,
        Some(value) => {
            let invalid = || Error::EventField { field: "holders", expected: "a list of participants of the space" };
            let list = value.as_array().ok_or_else(invalid)?;
            let ids = list.iter().map(|id| id.as_str().and_then(|id| id.parse().ok()).ok_or_else(invalid));
            Some(ids.collect::<Result<_>>()?)
        }
    };
    if let Some(named) = &named {
        for id in named {
            if !space.participant(id)?.is_holder() {
                return Err(Error::NotAHolder { participant: id.clone() });
            }
        }
    }
    let holders = workload.directory().holders_among(space, named.as_ref())?;
    if let Some(empty) = holders.iter().find(|holder| holder.datasets.is_empty()) {
        return Err(Error::NoDataset { holder: empty.id.clone() });
    }
    if holders.len() < 2 {
        return Err(Error::TooFewHolders { found: holders.len() });
    }
    Ok(holders)
}

/// Fuses every dataset of these holders that is not fused yet.
pub(super) fn fuse(workload: &mut Workload, holders: &[Holder], progress: Progress<'_>) -> Result<Fused> {
    let open = workload.open_epoch()?;
    let secrets = workload.state().secrets(open.epoch)?;
    // Everybody is looked at before the long work begins, so that what is missing is said in seconds, and all at once.
    let missing: Vec<_> = holders
        .iter()
        .filter_map(|holder| match workload.state().enrolled(open.epoch, &holder.name) {
            Ok(Some(_)) => None,
            Ok(None) => Some(Ok(holder.id.clone())),
            Err(error) => Some(Err(error)),
        })
        .collect::<Result<_>>()?;
    if !missing.is_empty() {
        return Err(Error::NotEnrolled { holders: missing });
    }
    sweep(workload)?;
    step::at(Step::StoreSwept);
    let mut fused = Fused::default();
    for holder in holders {
        let Some((key_id, rekey)) = workload.state().rekey(open.epoch, &holder.name)? else {
            return Err(Error::NotEnrolled { holders: vec![holder.id.clone()] });
        };
        for place in &holder.datasets {
            let delivered = Delivered { holder, dataset: &place.dataset, key_id, rekey: &rekey };
            let place = &place.for_matching(&holder.id)?;
            let files = obtain(workload, holder, place)?;
            match delivered.fuse_either(workload, &open, &secrets, place, &files, progress)? {
                Some(done) => fused.datasets.push(done),
                None => fused.unchanged += 1,
            }
        }
    }
    Ok(fused)
}

/// Brings a dataset to this machine, in several files only where it is a table; what was fetched goes when it is dropped.
fn obtain(workload: &Workload, holder: &Holder, place: &DatasetPlace) -> Result<Vec<LocalFile>> {
    let policy = FetchPolicy {
        allow_hosts: workload.allow_hosts().to_vec(),
        bucket: place.bucket.clone(),
        ..FetchPolicy::strict()
    };
    let folder = &workload.limits().temp_dir;
    let files = match place.table {
        Some(_) => LocalFile::all(&place.source, &policy, folder),
        None => LocalFile::of(&place.source, &policy, folder).map(|file| vec![file]),
    };
    files.map_err(|error| match error.is_missing() {
        true => Error::DatasetMissing {
            holder: holder.id.clone(),
            dataset: place.dataset.clone(),
            path: place.source.to_string().into(),
        },
        false => error.into(),
    })
}

/// A dataset as its holder delivered it, with what the holder's enrolment brought.
pub(super) struct Delivered<'a> {
    pub(super) holder: &'a Holder,
    pub(super) dataset: &'a DatasetId,
    pub(super) key_id: KeyId,
    pub(super) rekey: &'a ReKey,
}

impl Delivered<'_> {
    /// Fuses the files as a protected dataset where they are one, else as a table of tokens where the space allows it.
    fn fuse_either(
        &self,
        workload: &mut Workload,
        open: &OpenEpoch,
        secrets: &EpochSecrets,
        place: &DatasetPlace,
        files: &[LocalFile],
        progress: Progress<'_>,
    ) -> Result<Option<FusedDataset>> {
        let looked = match files {
            [file] => Some((file.path(), ProtectedFile::inspect(file.path(), &Caps::default()))),
            _ => None,
        };
        match (looked, &place.table) {
            (Some((path, Ok(_))), _) => self.fuse(workload, open, secrets, path, progress),
            (Some((_, Err(error @ datafuse_engine::Error::Io { .. }))), _) => Err(error.into()),
            (_, Some(table)) => token_table::fuse(self, workload, (open, secrets), (place, table), files, progress),
            (Some((_, Err(error))), None) => Err(token_table::not_allowed(self, error)),
            (None, None) => Err(Error::NoDataset { holder: self.holder.id.clone() }),
        }
    }

    /// Fuses the file where it is new; `None` where it is fused already.
    fn fuse(
        &self,
        workload: &mut Workload,
        open: &OpenEpoch,
        secrets: &EpochSecrets,
        path: &Path,
        progress: Progress<'_>,
    ) -> Result<Option<FusedDataset>> {
        let caps = Caps::default();
        let envelope = ProtectedFile::inspect(path, &caps)?;
        let header = envelope.header();
        let refused = |source| Error::Dataset {
            holder: self.holder.id.clone(),
            dataset: self.dataset.clone(),
            source: Box::new(source),
        };
        header
            .check(&Expected {
                root: workload.root(),
                epoch: open.epoch,
                holder: &self.holder.name,
                dataset: self.dataset,
                kinds: workload.space().kinds(),
                key_id: self.key_id,
            })
            .map_err(refused)?;
        let sha256 = commitment(path)?;
        let accepted = workload.state().dataset(open.epoch, &self.holder.name, self.dataset)?;
        if let Some(accepted) = &accepted {
            if accepted.sha256 == sha256 {
                return Ok(None);
            }
            // Versions of tables are counted here, not by their holder: they say nothing of what it counts.
            if !accepted.unauthenticated {
                header.check_newer_than(accepted.version).map_err(refused)?;
            }
        }
        let secret = envelope.open_as_workload(&secrets.dataset_key).map_err(refused)?;
        let canary = self.check_canary(workload, open, secrets, &secret)?;
        step::at(Step::DatasetOpened);
        let file = ProtectedFile::open(path, &secret.file_key, &caps)?;
        let expected: Vec<_> = header.kinds.iter().map(|(kind, _)| kind).collect();
        if file.kinds().iter().collect::<Vec<_>>() != expected {
            return Err(refused(datafuse_core::Error::Malformed { what: "dataset" }));
        }

        let began = Instant::now();
        let kinds = self.fuse_kinds(workload, secrets, &file, header.version, progress)?;
        // The file may have been replaced while it was read.
        if commitment(path)? != sha256 {
            self.discard(workload, &kinds);
            return Err(Error::DatasetChanged { holder: self.holder.id.clone(), dataset: self.dataset.clone() });
        }
        let took = began.elapsed();
        let rows = kinds.values().map(|kind| kind.fused).sum();
        workload.state_mut().keep_canary(open.epoch, &self.holder.name, &canary)?;
        step::at(Step::CanaryKept);
        workload.state_mut().accept_dataset(
            open.epoch,
            &AcceptedDataset {
                holder: self.holder.name.clone(),
                dataset: self.dataset.clone(),
                version: header.version,
                sha256: sha256.clone(),
                key_id: self.key_id,
                rows: file.counts().rows,
                kinds,
                unauthenticated: false,
            },
        )?;
        step::at(Step::DatasetAccepted);
        if let Some(former) = accepted {
            self.discard(workload, &former.kinds);
            step::at(Step::FormerVersionRemoved);
        }
        let (holder, dataset) = (&self.holder.id, self.dataset);
        workload.note(&Fact::DatasetAccepted {
            holder,
            dataset,
            version: header.version,
            sha256: &sha256,
            unauthenticated: false,
        })?;
        workload.metrics().fused(rows, path.metadata().map_or(0, |file| file.len()), took);
        let name = format!("{} v{}", self.dataset, header.version);
        let holder = self.holder.id.clone();
        Ok(Some(FusedDataset { holder, name, rows, unauthenticated: false, warnings: Vec::new() }))
    }

    fn fuse_kinds(
        &self,
        workload: &Workload,
        secrets: &EpochSecrets,
        file: &ProtectedFile,
        version: u64,
        progress: Progress<'_>,
    ) -> Result<BTreeMap<KindName, FusedKind>> {
        let keys = FuseKeys { rekey: self.rekey, match_secret: &secrets.match_secret };
        let of = file.rows();
        let mut kinds = BTreeMap::new();
        for kind in file.kinds() {
            let name = fused_file_name()?;
            let out = workload.layout().fused().join(&name);
            let label = fused_label(&self.holder.name, self.dataset, version, kind);
            let done = AtomicU64::new(0);
            let told = |rows| {
                let rows = done.fetch_add(rows, Ordering::Relaxed) + rows;
                progress(Stage::Fusing { holder: &self.holder.id, rows, of });
            };
            let output = FusedOutput { path: &out, store_key: &secrets.store_key, label: &label };
            let summary = fuse_file(file, kind, &keys, &output, workload.limits(), &told)?;
            step::at(Step::FusedFileWritten);
            let counts = file.counts().kinds.get(kind).copied().unwrap_or_default();
            let would_change = file.counts().would_change.get(kind).into_iter().flatten();
            let fused = FusedKind {
                empty: counts.empty,
                invalid: counts.invalid,
                fused: summary.rows,
                would_change: would_change.map(|(profile, rows)| (profile.to_string(), *rows)).collect(),
                file: name,
            };
            kinds.insert(kind.clone(), fused);
        }
        Ok(kinds)
    }

    /// All converted canaries of an epoch are equal, or somebody's key or enrolment is not what it should be. Gives this one,
    /// to be kept when the dataset is accepted.
    fn check_canary(
        &self,
        workload: &Workload,
        open: &OpenEpoch,
        secrets: &EpochSecrets,
        secret: &DatasetSecret,
    ) -> Result<[u8; 16]> {
        let refused = |source| Error::Dataset {
            holder: self.holder.id.clone(),
            dataset: self.dataset.clone(),
            source: Box::new(source),
        };
        let fused = self.rekey.fuse(std::slice::from_ref(&secret.canary)).map_err(refused)?;
        let [canary] = secrets.match_secret.match_keys(&fused)[..] else {
            return Err(refused(datafuse_core::Error::Malformed { what: "dataset" }));
        };
        match workload.state().canary(open.epoch)? {
            Some((kept, first)) if kept != *canary.as_bytes() => {
                // One that was mistaken and alone disagrees with nobody but itself.
                if first == self.holder.name && !workload.state().others_accepted(open.epoch, &first)? {
                    return Ok(*canary.as_bytes());
                }
                let other = workload.space().party(&first).map_or_else(|| first.fingerprint(), ToString::to_string);
                Err(Error::CanaryDisagrees { holder: self.holder.id.clone(), other })
            }
            _ => Ok(*canary.as_bytes()),
        }
    }

    /// Removes fused files that nothing refers to any more; what cannot be removed now is swept later.
    pub(super) fn discard(&self, workload: &Workload, kinds: &BTreeMap<KindName, FusedKind>) {
        for kind in kinds.values() {
            let _ = fs::remove_file(workload.layout().fused().join(&kind.file));
        }
    }
}

/// What a fused file is made of; it opens under this very label only, so no file can stand in for another.
pub(super) fn fused_label(holder: &PublicName, dataset: &DatasetId, version: u64, kind: &KindName) -> String {
    format!("{holder}/{dataset}/{version}/{kind}")
}

/// Removes what nothing refers to from the fused store: what a crash, a revocation or a former epoch left.
pub(super) fn sweep(workload: &Workload) -> Result<()> {
    let folder = workload.layout().fused();
    let error = |source| Error::Folder { action: "list", path: folder.clone(), source };
    let known: BTreeSet<_> = workload.state().fused_files()?.into_iter().collect();
    for entry in fs::read_dir(&folder).map_err(error)? {
        let entry = entry.map_err(error)?;
        if entry.file_name().to_str().is_none_or(|name| !known.contains(name)) {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// A name that says nothing about whose file it is.
pub(super) fn fused_file_name() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| Error::NoRandomness)?;
    Ok(format!("{}.parquet", hex::encode(bytes)))
}
