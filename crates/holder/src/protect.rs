//! Protecting a dataset: from a source in clear to the file that may leave the holder.
//!
//! Reads the source once, in batches; writes the protected dataset where the space file says (or elsewhere), and rejected rows
//! with their reasons into a quarantine file that stays here.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use datafuse_core::{
    announcement::Announcement,
    dataset::{DatasetEnvelope, DatasetHeader, DatasetSecret},
    id::{DatasetId, KindName},
    kind::Kind,
    token::Tokenizer,
};
use datafuse_engine::{
    dataset::{
        FetchPolicy, Quarantine, ReadOptions, Schema, Source, SourceBatch, SourceReader, SourceWarning,
        protected::ProtectedWriter,
    },
    tokenise::{self, KindSource, ProtectSpec, ProtectSummary, TokenSink},
};
use rand_core::UnwrapErr;

use crate::{
    destination::Destination,
    error::{Error, Result},
    party::{Approval, Party},
};

/// How a list of rejected rows begins.
const QUARANTINE_HEADER: &str = "row,column,reason";

/// What to protect, and how to read it.
#[derive(Debug)]
pub struct ProtectRequest {
    /// The source.
    pub source: Source,
    /// How to read it.
    pub read: ReadOptions,
    /// What an address may be fetched from, and the settings of buckets that are read or written.
    pub fetch: FetchPolicy,
    /// Where a dataset on its way to a bucket is written first.
    pub temp_dir: PathBuf,
    /// For each identifier kind that the dataset brings, its columns in the agreed order. Empty: every kind whose columns
    /// the source has under the kind's own names.
    pub identifiers: BTreeMap<KindName, Vec<String>>,
    /// Columns that are carried along.
    pub keep: Vec<String>,
    /// Which of the participant's datasets; may be left out where it has one.
    pub dataset: Option<DatasetId>,
    /// Where to write, where not to the space file's location.
    pub out: Option<PathBuf>,
    /// Where rejected rows go; beside the source where left out.
    pub quarantine: Option<PathBuf>,
    /// Threads at work.
    pub threads: usize,
}

/// What became of the source.
#[derive(Debug)]
pub struct Protected {
    /// Where the protected dataset is.
    pub place: Destination,
    /// Which dataset it is.
    pub dataset: DatasetId,
    /// Its version.
    pub version: u64,
    /// Its commitment, hex.
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

/// How far protecting is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Rows done since the last call.
    pub rows: u64,
    /// Bytes of the source read so far.
    pub bytes: u64,
    /// Bytes of the source, where they are known.
    pub of: Option<u64>,
}

/// A reader that lets others see how far it is while it is read.
struct Metered<'a> {
    reader: &'a mut SourceReader,
    bytes: &'a AtomicU64,
}

impl Iterator for Metered<'_> {
    type Item = datafuse_engine::Result<SourceBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.reader.next();
        self.bytes.store(self.reader.bytes_read(), Ordering::Relaxed);
        batch
    }
}

/// Protects a source.
///
/// # Errors
/// [`Error::NotApproved`], [`Error::NoEpoch`]; [`Error::WhichDataset`], [`Error::NotWritable`], [`Error::InTheWay`] for the
/// place; [`Error::UnknownKind`], [`Error::ColumnCount`], [`Error::NoIdentifierColumn`] for the columns;
/// [`Error::Engine`] for what the source holds and the disk or the bucket takes. Then no file appears, and the former version stays.
pub fn protect(
    party: &Party,
    request: &ProtectRequest,
    approval: Approval<'_>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Protected> {
    party.approve_founding(approval)?;
    let announcement = party.announcement()?;
    let (dataset, place) = Destination::of(party, request.dataset.as_ref(), request.out.as_ref())?;
    let work = Tokenising::prepare(party, request, &announcement)?;

    let former = place.former_version(party, &dataset, &request.fetch)?;
    let new = NewVersion::seal(party, &announcement, &dataset, DatasetHeader::kinds_of(&work.kinds), former)?;
    let writing = place.begin(&request.temp_dir)?;
    refuse_foreign_file(&quarantine_path(request))?;
    let writer = ProtectedWriter::create(
        writing.path(),
        &work.kept()?,
        &work.kind_names(),
        &new.secret.file_key,
        new.envelope.encode(),
    )?;
    let done = work.run(request, writer, progress)?;
    place.deliver(&writing, &request.fetch)?;
    Ok(Protected {
        place,
        dataset,
        version: new.envelope.header().version,
        sha256: done.sha256(),
        identifiers: done.identifiers,
        summary: done.summary,
        quarantine: done.quarantine,
        not_utf8_rows: done.not_utf8_rows,
        warnings: done.warnings,
    })
}

/// A source about to become tokens, whatever these are written to.
pub(crate) struct Tokenising {
    kinds: Vec<Kind>,
    identifiers: BTreeMap<KindName, Vec<String>>,
    spec: ProtectSpec,
    reader: SourceReader,
}

/// What became of a source.
pub(crate) struct Tokenised {
    pub(crate) identifiers: BTreeMap<KindName, Vec<String>>,
    pub(crate) summary: ProtectSummary,
    pub(crate) quarantine: Option<PathBuf>,
    pub(crate) not_utf8_rows: u64,
    pub(crate) warnings: Vec<SourceWarning>,
}

impl Tokenised {
    /// The SHA-256 of what was written, hex.
    pub(crate) fn sha256(&self) -> String {
        self.summary.delivered.sha256.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Tokenising {
    /// Finds the columns and opens the source, with the party's token key of the epoch.
    pub(crate) fn prepare(party: &Party, request: &ProtectRequest, announcement: &Announcement) -> Result<Self> {
        let identifiers = identifier_columns(party, request)?;
        let key = party.keys().token().token_key(party.root(), announcement.epoch)?;
        let spec = ProtectSpec {
            kinds: identifiers
                .iter()
                .map(|(kind, columns)| KindSource {
                    tokenizer: Tokenizer::new(party.root(), kind, key.clone()),
                    kind: (*kind).clone(),
                    columns: columns.clone(),
                })
                .collect(),
            keep: request.keep.clone(),
        };
        let reader =
            SourceReader::open(&request.source, &request.read, &request.fetch, Some(spec.columns().as_slice()))
                .map_err(|error| name_the_flag(error, &spec))?;
        Ok(Self {
            kinds: identifiers.iter().map(|(kind, _)| (*kind).clone()).collect(),
            identifiers: identifiers.into_iter().map(|(kind, columns)| (kind.name().clone(), columns)).collect(),
            spec,
            reader,
        })
    }

    /// The kept columns, as a writer takes them.
    pub(crate) fn kept(&self) -> Result<Schema> {
        Ok(self.spec.kept(&self.reader.schema())?)
    }

    pub(crate) fn kind_names(&self) -> Vec<KindName> {
        self.spec.kind_names()
    }

    /// Reads the source to its end and finishes the writer.
    pub(crate) fn run<W: TokenSink>(
        mut self,
        request: &ProtectRequest,
        writer: W,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Tokenised> {
        let quarantine_file = quarantine_path(request);
        refuse_foreign_file(&quarantine_file)?;
        let mut quarantine = Quarantine::new(quarantine_file, self.reader.columns());
        let (bytes, of) = (AtomicU64::new(0), self.reader.total_bytes());
        let told = |rows| progress(Progress { rows, bytes: bytes.load(Ordering::Relaxed), of });
        let metered = Metered { reader: &mut self.reader, bytes: &bytes };
        let summary = tokenise::protect(metered, &self.spec, writer, Some(&mut quarantine), request.threads, &told)?;
        Ok(Tokenised {
            identifiers: self.identifiers,
            summary,
            quarantine: quarantine.finish()?,
            not_utf8_rows: self.reader.not_utf8_rows(),
            warnings: self.reader.warnings().to_vec(),
        })
    }
}

/// The engine knows columns, not kinds: a missing column's remedy is to name the flag that asked for it.
fn name_the_flag(mut error: datafuse_engine::Error, spec: &ProtectSpec) -> datafuse_engine::Error {
    if let datafuse_engine::Error::ColumnNotFound { column, remedy, similar, .. } = &mut error {
        let asked = format!("--identifier {column}=");
        let flag = match spec.kinds.iter().find(|kind| kind.columns.contains(column)) {
            Some(kind) if kind.columns.len() == 1 => format!("--identifier {}=", kind.kind.name()),
            Some(kind) => {
                let near = similar.as_ref().unwrap_or(column);
                let columns = kind.columns.iter().map(|name| if name == column { near } else { name });
                *remedy =
                    format!("--identifier {}={}", kind.kind.name(), columns.cloned().collect::<Vec<_>>().join(","));
                return error;
            }
            None => "--keep ".to_owned(),
        };
        *remedy = remedy.replace(&asked, &flag);
    }
    error
}

/// A new version of a dataset under the present token key of the open epoch: its secrets, and the envelope that seals them.
pub(crate) struct NewVersion {
    pub(crate) secret: DatasetSecret,
    pub(crate) envelope: DatasetEnvelope,
}

impl NewVersion {
    /// Draws a file key, gives the next version above `former`, seals and signs.
    pub(crate) fn seal(
        party: &Party,
        announcement: &Announcement,
        dataset: &DatasetId,
        kinds: Vec<(KindName, String)>,
        former: u64,
    ) -> Result<Self> {
        let (root, epoch, token) = (party.root(), announcement.epoch, party.keys().token());
        let mut rng = UnwrapErr(getrandom::SysRng);
        let secret = DatasetSecret::generate(token.token_key(root, epoch)?.canary(root, epoch), &mut rng);
        let header = DatasetHeader {
            root: *root,
            epoch,
            holder: party.name().clone(),
            dataset: dataset.clone(),
            version: party.memory().next_dataset_version(root, dataset, former)?,
            kinds,
            key_id: token.key_id(),
        };
        let identity = party.keys().identity();
        let envelope = DatasetEnvelope::seal(header, &secret, &announcement.dataset_key, identity, &mut rng)?;
        Ok(Self { secret, envelope })
    }
}

/// The space's kinds that the source brings, each with its columns.
fn identifier_columns<'a>(party: &'a Party, request: &ProtectRequest) -> Result<Vec<(&'a Kind, Vec<String>)>> {
    let kinds = party.space().kinds();
    if request.identifiers.is_empty() {
        let reader = SourceReader::open(&request.source, &request.read, &request.fetch, None)?;
        let has = |kind: &Kind| kind.columns().iter().all(|column| reader.columns().contains(&column.name));
        let found: Vec<_> = kinds
            .iter()
            .filter(|kind| has(kind))
            .map(|kind| (kind, kind.columns().iter().map(|column| column.name.clone()).collect()))
            .collect();
        if found.is_empty() {
            return Err(Error::NoIdentifierColumn {
                similar: similar_column(kinds, reader.columns()),
                place: request.source.to_string(),
                kinds: kinds.iter().map(|kind| kind.name().to_string()).collect(),
                columns: reader.columns().to_vec(),
            });
        }
        return Ok(found);
    }
    let mut found = Vec::new();
    for (name, columns) in &request.identifiers {
        let kind = kinds.iter().find(|kind| kind.name() == name).ok_or_else(|| Error::UnknownKind {
            kind: name.to_string(),
            known: kinds.iter().map(|kind| kind.name().to_string()).collect(),
        })?;
        if kind.columns().len() != columns.len() {
            let agreed = kind.columns().iter().map(|column| column.name.clone()).collect();
            return Err(Error::ColumnCount { kind: name.clone(), columns: agreed, found: columns.len() });
        }
        found.push((kind, columns.clone()));
    }
    Ok(found)
}

/// Beside the source where that is a file, else in the working folder; never in a folder that others see.
fn quarantine_path(request: &ProtectRequest) -> PathBuf {
    if let Some(path) = &request.quarantine {
        return path.clone();
    }
    match &request.source {
        Source::Path(path) => path.with_extension("rejected.csv"),
        _ => PathBuf::from("rejected.csv"),
    }
}

/// A list of rejected rows replaces an earlier one, and nothing else: above all not the source.
fn refuse_foreign_file(path: &Path) -> Result<()> {
    let mut beginning = Vec::new();
    match File::open(path).and_then(|file| file.take(256).read_to_end(&mut beginning)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        // Where the source has such columns itself, the list's own have underscores behind their names.
        Ok(_) if String::from_utf8_lossy(&beginning).replace('_', "").starts_with(QUARANTINE_HEADER) => Ok(()),
        _ => Err(Error::QuarantineInTheWay { path: path.to_owned() }),
    }
}

/// A column whose name tells that it holds a kind, with that kind.
fn similar_column(kinds: &[Kind], columns: &[String]) -> Option<(String, String)> {
    kinds.iter().find_map(|kind| {
        let plain = |text: &str| text.to_lowercase().replace(['-', '_', ' '], "");
        let name = plain(kind.name().as_str());
        let stem = name.strip_prefix('e').filter(|_| name == "email").unwrap_or(&name);
        let column = columns.iter().find(|column| plain(column).contains(stem))?;
        Some((kind.name().to_string(), column.clone()))
    })
}
