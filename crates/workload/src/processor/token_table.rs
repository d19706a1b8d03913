//! Tables of tokens in the place of protected datasets, where the space allows them: read, checked and fused like these.
//!
//! Such a table has no envelope. So the token key is taken to be the one that its holder is enrolled with, the version is one
//! above the last accepted whenever the content changes, and no canary tells a wrong key: it shows as matches that are missing.
//! Who can write the place where it lies can swap or replay data unnoticed. Both are said wherever the dataset is named
//! (`unauthenticated`).

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use datafuse_core::id::{DatasetId, KindName, ParticipantId};
use datafuse_engine::{
    dataset::{
        EncryptionProblem, Format, LocalFile, ReadOptions,
        token_table::{TokenTable, commitment},
    },
    fuse::{FuseKeys, FusedOutput, fuse_table},
};
use datafuse_space::Table;

use super::fuse::{Delivered, fused_file_name, fused_label};
use crate::{
    audit::Fact,
    directory::DatasetPlace,
    error::{Error, Result},
    outcome::{FusedDataset, Progress, Stage},
    state::{AcceptedDataset, EpochSecrets, FusedKind, OpenEpoch},
    workload::Workload,
};

/// Why a dataset was not taken as a table of tokens.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenTableError {
    /// No protected dataset lies where one should, and the space allows no table.
    #[error("dataset '{dataset}' of '{holder}' is not a protected dataset: {source}")]
    NotAllowed {
        /// Whose it is.
        holder: ParticipantId,
        /// Which.
        dataset: DatasetId,
        /// What was found.
        source: datafuse_engine::Error,
    },
    /// The environment variable that holds a table's key is not set.
    #[error(
        "the key of dataset '{dataset}' of '{holder}' is not there: the environment variable {variable} is not set"
    )]
    NoKey {
        /// Whose it is.
        holder: ParticipantId,
        /// Which.
        dataset: DatasetId,
        /// The variable that the space file names.
        variable: String,
    },
    /// The environment variable of a table's key holds none.
    #[error(
        "the environment variable {variable}, for dataset '{dataset}' of '{holder}', does not hold a key: {source}"
    )]
    InvalidKey {
        /// Whose it is.
        holder: ParticipantId,
        /// Which.
        dataset: DatasetId,
        /// The variable that the space file names.
        variable: String,
        /// What is wrong, without the key.
        source: datafuse_engine::Error,
    },
    /// The table is the one that was made with a token key that has been replaced since.
    #[error("dataset '{dataset}' of '{holder}' was made with its former token key")]
    FormerKey {
        /// Whose it is.
        holder: ParticipantId,
        /// Which.
        dataset: DatasetId,
    },
    /// The table cannot be read, or is not as it has to be.
    #[error("dataset '{dataset}' of '{holder}': {source}")]
    Refused {
        /// Whose it is.
        holder: ParticipantId,
        /// Which.
        dataset: DatasetId,
        /// The variable that the space file names for its key.
        variable: Option<String>,
        /// Why.
        source: datafuse_engine::Error,
    },
}

impl TokenTableError {
    /// A short word for the kind of error, for audit and metrics.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::NotAllowed { .. } => "dataset-not-protected",
            Self::NoKey { .. } | Self::InvalidKey { .. } => "dataset-key",
            Self::FormerKey { .. } => "dataset-former-key",
            Self::Refused { .. } => "dataset-refused",
        }
    }

    /// Whether trying again may help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        false
    }

    /// Says what to do about it.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::NotAllowed { holder, .. } => format!(
                "'{holder}' runs: datafuse protect; or, where all agree to a table of tokens that nothing authenticates, add \
                 `table: {{}}` to the dataset in the space file"
            ),
            Self::NoKey { variable, .. } => format!("set {variable} to the AES key that the file was encrypted with"),
            Self::InvalidKey { source, .. } => return source.remedy(),
            Self::FormerKey { holder, .. } => {
                format!("'{holder}' makes the table again with its present key: datafuse protect FILE --table OUT")
            }
            Self::Refused { source: datafuse_engine::Error::EncryptedParquet { problem, .. }, variable, .. } => {
                match (problem, variable) {
                    (EncryptionProblem::KeyMissing, _) => {
                        "table: { encryption_key_from: VARIABLE } in the space file, and the file's AES key in that variable \
                         of the workload"
                            .to_owned()
                    }
                    (EncryptionProblem::KeyUnneeded, _) => {
                        "see why it was written in clear; if it is meant to be, leave out encryption_key_from".to_owned()
                    }
                    (EncryptionProblem::WrongKey, Some(variable)) => {
                        format!("set {variable} to the key that its holder encrypted it with")
                    }
                    _ => problem.remedy().to_owned(),
                }
            }
            Self::Refused { source, .. } => return source.remedy(),
        })
    }
}

impl From<TokenTableError> for Error {
    fn from(error: TokenTableError) -> Self {
        Self::TokenTable(Box::new(error))
    }
}

/// What a file that is no protected dataset means where the space allows no table.
pub(super) fn not_allowed(delivered: &Delivered<'_>, source: datafuse_engine::Error) -> Error {
    use datafuse_engine::Error as E;
    match source {
        E::NotParquet { .. }
        | E::NotProtected { .. }
        | E::Envelope { source: datafuse_core::Error::Malformed { .. }, .. } => {
            let (holder, dataset) = (delivered.holder.id.clone(), delivered.dataset.clone());
            TokenTableError::NotAllowed { holder, dataset, source }.into()
        }
        other => other.into(),
    }
}

/// Fuses a table where it is new; `None` where it is fused already.
pub(super) fn fuse(
    delivered: &Delivered<'_>,
    workload: &mut Workload,
    (open, secrets): (&OpenEpoch, &EpochSecrets),
    (place, table): (&DatasetPlace, &Table),
    files: &[LocalFile],
    progress: Progress<'_>,
) -> Result<Option<FusedDataset>> {
    let (holder, dataset) = (&delivered.holder.id, delivered.dataset);
    if let (None, Some(variable)) = (&place.parquet_key, &table.encryption_key_from) {
        let (holder, dataset, variable) = (holder.clone(), dataset.clone(), variable.clone());
        return Err(TokenTableError::NoKey { holder, dataset, variable }.into());
    }
    let refused = |source| {
        let variable = table.encryption_key_from.clone();
        Error::from(TokenTableError::Refused { holder: holder.clone(), dataset: dataset.clone(), variable, source })
    };
    let paths: Vec<_> = files.iter().map(|file| file.path().to_owned()).collect();
    let sha256 = commitment(&paths)?;
    let accepted = workload.state().dataset(open.epoch, &delivered.holder.name, dataset)?;
    if let Some(accepted) = accepted.as_ref().filter(|accepted| accepted.sha256 == sha256) {
        return match accepted.key_id == delivered.key_id {
            true => Ok(None),
            false => Err(TokenTableError::FormerKey { holder: holder.clone(), dataset: dataset.clone() }.into()),
        };
    }
    let last = accepted.as_ref().map_or(0, |accepted| accepted.version);
    let version = last.checked_add(1).ok_or(Error::NumbersExhausted)?;

    let options = ReadOptions {
        format: format(place, table).or_else(|| files.first().and_then(LocalFile::format)),
        parquet_key: place.parquet_key.clone(),
        ..ReadOptions::default()
    };
    let names: Vec<_> = workload.space().kinds().iter().map(|kind| kind.name().clone()).collect();
    let opened =
        TokenTable::open(&paths, &place.source.to_string(), &options, &names, &table.columns).map_err(refused)?;
    let kinds = fuse_kinds(delivered, workload, secrets, &opened, version, progress, &refused)?;
    // The files may have been replaced while they were read.
    if commitment(&paths)? != sha256 {
        delivered.discard(workload, &kinds);
        return Err(Error::DatasetChanged { holder: holder.clone(), dataset: dataset.clone() });
    }
    let rows = kinds.values().map(|kind| kind.fused).sum();
    workload.state_mut().accept_dataset(
        open.epoch,
        &AcceptedDataset {
            holder: delivered.holder.name.clone(),
            dataset: dataset.clone(),
            version,
            sha256: sha256.clone(),
            key_id: delivered.key_id,
            rows: opened.rows(),
            kinds,
            unauthenticated: true,
        },
    )?;
    if let Some(former) = accepted {
        delivered.discard(workload, &former.kinds);
    }
    workload.note(&Fact::DatasetAccepted { holder, dataset, version, sha256: &sha256, unauthenticated: true })?;
    for warning in opened.warnings() {
        tracing::warn!(holder = %holder, dataset = %dataset, "{warning}");
    }
    Ok(Some(FusedDataset {
        holder: holder.clone(),
        name: format!("{dataset} v{version}"),
        rows,
        unauthenticated: true,
        warnings: opened.warnings().to_vec(),
    }))
}

fn fuse_kinds(
    delivered: &Delivered<'_>,
    workload: &Workload,
    secrets: &EpochSecrets,
    table: &TokenTable,
    version: u64,
    progress: Progress<'_>,
    refused: &dyn Fn(datafuse_engine::Error) -> Error,
) -> Result<BTreeMap<KindName, FusedKind>> {
    let keys = FuseKeys { rekey: delivered.rekey, match_secret: &secrets.match_secret };
    let of = table.rows();
    let mut kinds = BTreeMap::new();
    for kind in table.kinds() {
        let name = fused_file_name()?;
        let out = workload.layout().fused().join(&name);
        let label = fused_label(&delivered.holder.name, delivered.dataset, version, kind);
        let done = AtomicU64::new(0);
        let told = |rows| {
            let rows = done.fetch_add(rows, Ordering::Relaxed) + rows;
            progress(Stage::Fusing { holder: &delivered.holder.id, rows, of });
        };
        let output = FusedOutput { path: &out, store_key: &secrets.store_key, label: &label };
        let summary = fuse_table(table, kind, &keys, &output, workload.limits(), &told).map_err(|error| {
            delivered.discard(workload, &kinds);
            refused(error)
        })?;
        // What is wrong with an identifier is not in a table: such rows have no token, either.
        let empty = of.saturating_sub(summary.rows);
        kinds.insert(
            kind.clone(),
            FusedKind { empty, invalid: 0, fused: summary.rows, would_change: BTreeMap::new(), file: name },
        );
    }
    Ok(kinds)
}

/// The format that the directory or the agreement gives, or that the place's name tells: a file that was fetched has another.
fn format(place: &DatasetPlace, table: &Table) -> Option<Format> {
    let agreed = table.format.as_deref().and_then(|format| format.parse().ok());
    place.format.or(agreed).or_else(|| Format::from_name(&place.source.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn remedies_name_the_space_file_and_never_a_key() {
        let refused = |problem, variable: Option<&str>| TokenTableError::Refused {
            holder: "globex".parse().unwrap(),
            dataset: "customers".parse().unwrap(),
            variable: variable.map(str::to_owned),
            source: datafuse_engine::Error::EncryptedParquet { place: "t.parquet".to_owned(), problem },
        };
        let remedy = refused(EncryptionProblem::KeyMissing, None).remedy().unwrap();
        assert!(remedy.contains("encryption_key_from"), "{remedy}");
        let remedy = refused(EncryptionProblem::WrongKey, Some("GLOBEX_KEY")).remedy().unwrap();
        assert!(remedy.contains("GLOBEX_KEY"), "{remedy}");
    }
}
