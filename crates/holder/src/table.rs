//! A table of tokens of a source, for the holder's own warehouse: from there its tools may deliver it, where the space allows that,
//! in the place of a protected dataset.
//!
//! The tokens are those that a protected dataset would hold. The table itself is plain: what the file's reader can do is up to who
//! gets it. It carries no version, no signature and no canary; `docs/encrypted-parquet.md` says what follows.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use datafuse_core::id::KindName;
use datafuse_engine::{
    dataset::{SourceWarning, TableWriter},
    tokenise::ProtectSummary,
};

use crate::{
    error::{Error, Result},
    party::{Approval, Party},
    protect::{Progress, ProtectRequest, Tokenising},
};

/// A table that was written.
#[derive(Debug)]
pub struct TokenTable {
    /// Where it is.
    pub path: PathBuf,
    /// Its SHA-256, hex.
    pub sha256: String,
    /// The columns that each kind was read from.
    pub identifiers: BTreeMap<KindName, Vec<String>>,
    /// Counts.
    pub summary: ProtectSummary,
    /// The quarantine file, where something was rejected.
    pub quarantine: Option<PathBuf>,
    /// Rows that were not UTF-8.
    pub not_utf8_rows: u64,
    /// What else should be known about the source's files.
    pub warnings: Vec<SourceWarning>,
}

/// Writes a table of a source's tokens to `out`, whose name tells the format. The request's dataset and place mean nothing here.
///
/// # Errors
/// As [`protect`](crate::protect::protect) but for the place; [`Error::TableInTheWay`].
pub fn write_table(
    party: &Party,
    request: &ProtectRequest,
    out: &Path,
    approval: Approval<'_>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<TokenTable> {
    party.approve_founding(approval)?;
    let announcement = party.announcement()?;
    if out.exists() {
        return Err(Error::TableInTheWay { path: out.to_owned() });
    }
    let work = Tokenising::prepare(party, request, &announcement)?;
    let writer = TableWriter::create(out, &work.kept()?, &work.kind_names())?;
    let done = work.run(request, writer, progress)?;
    Ok(TokenTable {
        path: out.to_owned(),
        sha256: done.sha256(),
        identifiers: done.identifiers,
        summary: done.summary,
        quarantine: done.quarantine,
        not_utf8_rows: done.not_utf8_rows,
        warnings: done.warnings,
    })
}
