//! Bringing a protected dataset over to the present token key: after a rotation, after a change of identity, into a new epoch.
//!
//! The file opens for its own holder, every token is turned with one multiplication, and a new version is written under a
//! fresh file key. The source is not needed.

use std::path::{Path, PathBuf};

use datafuse_core::{
    dataset::{DatasetEnvelope, DatasetHeader, DatasetSecret},
    id::{DatasetId, Epoch},
    rotation::Retokenizer,
};
use datafuse_engine::{
    Caps,
    dataset::protected::{ProtectedFile, ProtectedWriter},
    retokenise::retokenise,
};
use rand_core::UnwrapErr;

use crate::{
    error::{Error, Result},
    party::{Approval, Party},
    protect::{former_version, make_folder_of, place},
};

/// What to bring over.
#[derive(Debug)]
pub struct RekeyRequest {
    /// The protected dataset as it was.
    pub old: PathBuf,
    /// Where to write, where not to the space file's location.
    pub out: Option<PathBuf>,
    /// Threads at work.
    pub threads: usize,
}

/// What came of it.
#[derive(Debug)]
pub struct Rekeyed {
    /// Where the protected dataset is.
    pub path: PathBuf,
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

/// Brings a dataset over to the present token key of the open epoch.
///
/// # Errors
/// [`Error::NotApproved`], [`Error::NoEpoch`]; [`Error::OtherSpace`], [`Error::KeyForgotten`], [`Error::NothingToRekey`] for
/// what the file is; [`Error::Protocol`] where it is another holder's or altered; [`Error::NotWritable`], [`Error::InTheWay`]
/// for the place; [`Error::Engine`] for what it holds and the disk takes. Then no file appears, and the former one stays.
pub fn rekey(
    party: &Party,
    request: &RekeyRequest,
    approval: Approval<'_>,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Rekeyed> {
    party.approve_founding(approval)?;
    let announcement = party.announcement()?;
    let caps = Caps::default();
    let envelope = ProtectedFile::inspect(&request.old, &caps)?;
    let old = envelope.header().clone();
    if old.root != *party.root() {
        return Err(Error::OtherSpace { path: request.old.clone() });
    }
    let opened = envelope.open_as_holder(party.keys())?;
    let retokenizer = retokenizer(party, &request.old, &old, announcement.epoch)?;
    let file = ProtectedFile::open(&request.old, &opened.file_key, &caps)?;

    let (dataset, path) = place(party, Some(&old.dataset), request.out.as_ref())?;
    let former = former_version(party, &dataset, &path)?.max(old.version);
    let (token, identity) = (party.keys().token(), party.keys().identity());
    let key = token.token_key(party.root(), announcement.epoch)?;
    let mut rng = UnwrapErr(getrandom::SysRng);
    let secret = DatasetSecret::generate(key.canary(party.root(), announcement.epoch), &mut rng);
    let header = DatasetHeader {
        epoch: announcement.epoch,
        holder: party.name().clone(),
        version: party.memory().next_dataset_version(party.root(), &dataset, former)?,
        key_id: token.key_id(),
        ..old.clone()
    };
    let version = header.version;
    let envelope = DatasetEnvelope::seal(header, &secret, &announcement.dataset_key, identity, &mut rng)?;
    make_folder_of(&path)?;
    let writer = ProtectedWriter::create(&path, &file.kept(), file.kinds(), &secret.file_key, envelope.encode())?;
    let delivered = retokenise(&file, &retokenizer, writer, request.threads, &progress)?;
    Ok(Rekeyed {
        path,
        dataset,
        version,
        sha256: delivered.sha256.iter().map(|byte| format!("{byte:02x}")).collect(),
        rows: delivered.rows,
        from_epoch: old.epoch,
        epoch: announcement.epoch,
    })
}

/// What turns the file's tokens into those of the present key, where the file is of the space's identifiers and of a key that
/// the key file still has.
fn retokenizer(party: &Party, path: &Path, old: &DatasetHeader, epoch: Epoch) -> Result<Retokenizer> {
    let path = || path.to_owned();
    if old.kinds.iter().any(|kind| !DatasetHeader::kinds_of(party.space().kinds()).contains(kind)) {
        return Err(Error::OtherSpace { path: path() });
    }
    if (old.epoch, old.key_id) == (epoch, party.keys().token().key_id()) && old.holder == *party.name() {
        return Err(Error::NothingToRekey { path: path(), epoch });
    }
    let from = party.keys().token_of(old.key_id).ok_or_else(|| Error::KeyForgotten { path: path() })?;
    let from = from.token_key(party.root(), old.epoch)?;
    Ok(Retokenizer::new(&from, &party.keys().token().token_key(party.root(), epoch)?))
}
