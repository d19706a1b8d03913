//! Bringing a protected dataset over to the present token key: after a rotation, after a change of identity, into a new epoch.
//!
//! The file opens for its own holder, every token is turned with one multiplication, and a new version is written under a
//! fresh file key. The source is not needed.

use std::path::PathBuf;

use datafuse_core::{
    dataset::DatasetHeader,
    id::{DatasetId, Epoch},
    rotation::Retokenizer,
};
use datafuse_engine::{
    Caps,
    dataset::{
        FetchPolicy,
        protected::{ProtectedFile, ProtectedWriter},
    },
    retokenise::retokenise,
};

use crate::{
    destination::Destination,
    error::{Error, Result},
    party::{Approval, Party},
    protect::NewVersion,
};

/// What to bring over.
#[derive(Debug)]
pub struct RekeyRequest {
    /// The protected dataset as it was.
    pub old: PathBuf,
    /// Where to write, where not to the space file's location.
    pub out: Option<PathBuf>,
    /// The settings of a bucket that is written.
    pub fetch: FetchPolicy,
    /// Where a dataset on its way to a bucket is written first.
    pub temp_dir: PathBuf,
    /// Threads at work.
    pub threads: usize,
}

/// What came of it.
#[derive(Debug)]
pub struct Rekeyed {
    /// Where the protected dataset is.
    pub place: Destination,
    /// Which dataset it is.
    pub dataset: DatasetId,
    /// Its version.
    pub version: u64,
    /// Its commitment, hex.
    pub sha256: String,
    /// Rows written.
    pub rows: u64,
    /// The epoch of the old file.
    pub from_epoch: Epoch,
    /// The open epoch.
    pub epoch: Epoch,
}

/// Brings a dataset over to the present token key of the open epoch; `None` where it is there already.
///
/// # Errors
/// [`Error::NotApproved`], [`Error::NoEpoch`]; [`Error::OtherSpace`], [`Error::KeyForgotten`] for what the file is; [`Error::Protocol`] where it is another holder's or altered; [`Error::NotWritable`], [`Error::InTheWay`]
/// for the place; [`Error::Engine`] for what it holds and the disk takes. Then no file appears, and the former one stays.
pub fn rekey(
    party: &Party,
    request: &RekeyRequest,
    approval: Approval<'_>,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Option<Rekeyed>> {
    party.approve_founding(approval)?;
    let announcement = party.announcement()?;
    let caps = Caps::default();
    let envelope = ProtectedFile::inspect(&request.old, &caps)?;
    let old = envelope.header();
    let agreed = DatasetHeader::kinds_of(party.space().kinds());
    if old.root != *party.root() || old.kinds.iter().any(|kind| !agreed.contains(kind)) {
        return Err(Error::OtherSpace { path: request.old.clone() });
    }
    let opened = envelope.open_as_holder(party.keys())?;
    if party.is_present(old, announcement.epoch) {
        return Ok(None);
    }
    let former = party.keys().token_of(old.key_id);
    let former = former.ok_or_else(|| Error::KeyForgotten { path: request.old.clone() })?;
    let from = former.token_key(party.root(), old.epoch)?;
    let to = party.keys().token().token_key(party.root(), announcement.epoch)?;
    let retokenizer = Retokenizer::new(&from, &to);
    let file = ProtectedFile::open(&request.old, &opened.file_key, &caps)?;

    let (dataset, place) = Destination::of(party, Some(&old.dataset), request.out.as_ref())?;
    let former = place.former_version(party, &dataset, &request.fetch)?.max(old.version);
    let new = NewVersion::seal(party, &announcement, &dataset, old.kinds.clone(), former)?;
    let writing = place.begin(&request.temp_dir)?;
    let writer = ProtectedWriter::create(
        writing.path(),
        &file.kept(),
        file.kinds(),
        &new.secret.file_key,
        new.envelope.encode(),
    )?;
    let delivered = retokenise(&file, &retokenizer, writer, request.threads, &progress)?;
    place.deliver(&writing, &request.fetch)?;
    Ok(Some(Rekeyed {
        place,
        dataset,
        version: new.envelope.header().version,
        sha256: delivered.sha256.iter().map(|byte| format!("{byte:02x}")).collect(),
        rows: delivered.rows,
        from_epoch: old.epoch,
        epoch: announcement.epoch,
    }))
}
