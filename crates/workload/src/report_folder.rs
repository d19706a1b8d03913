//! The folder of an event's report: written whole, and verified where it is found.
//!
//! In: a folder's path. Out: whether the report of an event lies there, signed by the workload and with the very files that were signed;
//! and the ways to write a file and to make a folder appear that survive a crash. Used for the workload's own outputs and for
//! folders that reports are delivered to.
//!
//! A report in clear is verified by its signature. One that is encrypted cannot be opened here: its receipt, signed as well, names the
//! SHA-256 of the encrypted file, so it is known to be the one that this workload made.
//!
//! What lies in the folder is for every data user. Users whose reports have more have one of their own below, in `users/USER`.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use datafuse_core::{
    id::{EventId, ParticipantId},
    name::PublicName,
    root::Root,
};
use datafuse_engine::{
    dataset::protected::commitment,
    report::Report,
    signed_report::{
        FileSet, RECEIPT_JSON, REPORT_AGE, REPORT_DSSE, REPORT_HTML, REPORT_JSON, Readers, Receipt, SignedReport,
        encrypted::MAX_ENCRYPTED_BYTES, list_name,
    },
};

use crate::step::{self, Step};

/// The folder, within that of a report, of the reports of single data users.
const USERS: &str = "users";

/// A file's name and content.
pub(crate) type NamedFile = (&'static str, Vec<u8>);

/// What lies at a path.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nothing.
    Nothing,
    /// The report of the event, whole and signed.
    Report {
        /// What it says.
        report: Box<Report>,
        /// The data users it was made for.
        users: Vec<ParticipantId>,
    },
    /// The report of the event, whole and encrypted to these.
    Encrypted(Box<Readers>),
    /// Something else.
    Other,
}

impl Found {
    /// In which files the report lies, where one does.
    pub(crate) fn files(&self) -> Option<FileSet> {
        match self {
            Self::Report { .. } => Some(FileSet::Clear),
            Self::Encrypted(_) => Some(FileSet::Encrypted),
            Self::Nothing | Self::Other => None,
        }
    }

    /// For whom the report that lies there was made; nobody where there is none.
    pub(crate) fn users(&self) -> &[ParticipantId] {
        match self {
            Self::Report { users, .. } => users,
            Self::Encrypted(readers) => &readers.users,
            Self::Nothing | Self::Other => &[],
        }
    }
}

/// The folder, within that of a report, of the report that one data user gets in its place.
pub(crate) fn own_folder(folder: &Path, user: &ParticipantId) -> PathBuf {
    folder.join(USERS).join(user.as_str())
}

/// The data users who get a report of their own in the place of the one that lies in a folder, with the folders of these; sorted.
pub(crate) fn own_folders(folder: &Path) -> io::Result<Vec<(ParticipantId, PathBuf)>> {
    let entries = match fs::read_dir(folder.join(USERS)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut own = Vec::new();
    for entry in entries {
        let entry = entry?;
        let user = entry.file_name().to_str().and_then(|name| name.parse().ok());
        own.extend(user.map(|user| (user, entry.path())));
    }
    own.sort();
    Ok(own)
}

/// Looks whether the report of an event of the space with this root lies in a folder. One workload may serve several spaces.
pub(crate) fn find(folder: &Path, event: &EventId, root: &Root, signers: &[PublicName]) -> io::Result<Found> {
    match fs::symlink_metadata(folder) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return Ok(Found::Other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    }
    let found = match files_in(folder) {
        FileSet::Clear => in_clear(folder, event, root, signers)?,
        FileSet::Encrypted => encrypted(folder, event, root, signers)?,
    };
    Ok(found.unwrap_or(Found::Other))
}

/// Reads the files of a report that was found: name and content, in the order in which they are delivered. A report of a version
/// before receipts has none.
pub(crate) fn read_all(folder: &Path) -> io::Result<(FileSet, Vec<NamedFile>)> {
    let files = files_in(folder);
    let mut all = Vec::new();
    for &name in files.names() {
        match read(folder, name)? {
            Some(bytes) => all.push((name, bytes)),
            None if (files, name) == (FileSet::Clear, RECEIPT_JSON) => {}
            None => {
                return Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no {name}, or a larger one")));
            }
        }
    }
    Ok((files, all))
}

/// Whether the lists that were signed with the report that lies in a folder lie there too, as they were made.
pub(crate) fn lists_are_whole(folder: &Path, signers: &[PublicName]) -> io::Result<bool> {
    let named: Option<Vec<_>> = match files_in(folder) {
        FileSet::Clear => read(folder, REPORT_DSSE)?
            .and_then(|envelope| SignedReport::verify(&envelope, signers).ok())
            .map(|(signed, _)| owned(signed.statement.lists())),
        FileSet::Encrypted => read(folder, RECEIPT_JSON)?
            .and_then(|receipt| Receipt::verify(&receipt, signers).ok())
            .map(|(receipt, _)| owned(receipt.statement.lists())),
    };
    let Some(named) = named else { return Ok(false) };
    for (holder, sha256) in named {
        match commitment(&folder.join(list_name(&holder))) {
            Ok(found) if found == sha256 => {}
            Ok(_) => return Ok(false),
            Err(error) if error.is_missing() => return Ok(false),
            Err(error) => return Err(io::Error::other(error)),
        }
    }
    Ok(true)
}

fn owned<'a>(lists: impl Iterator<Item = (ParticipantId, &'a str)>) -> Vec<(ParticipantId, String)> {
    lists.map(|(holder, sha256)| (holder, sha256.to_owned())).collect()
}

fn files_in(folder: &Path) -> FileSet {
    if folder.join(REPORT_AGE).exists() { FileSet::Encrypted } else { FileSet::Clear }
}

fn in_clear(folder: &Path, event: &EventId, root: &Root, signers: &[PublicName]) -> io::Result<Option<Found>> {
    let (Some(envelope), Some(json), Some(html)) =
        (read(folder, REPORT_DSSE)?, read(folder, REPORT_JSON)?, read(folder, REPORT_HTML)?)
    else {
        return Ok(None);
    };
    let receipt = read(folder, RECEIPT_JSON)?;
    let verified = SignedReport::verify(&envelope, signers).and_then(|(signed, _)| {
        signed.check_root(&root.to_string())?;
        signed.check_file(REPORT_JSON, &json)?;
        signed.check_file(REPORT_HTML, &html)?;
        if let Some(receipt) = receipt {
            Receipt::verify(&receipt, signers)?.0.check_envelope(&envelope)?;
        }
        Ok(signed)
    });
    let of_event = verified.ok().filter(|signed| signed.report.provenance.event == *event);
    Ok(of_event.map(|signed| Found::Report {
        users: signed.statement.predicate.run.recipients,
        report: Box::new(signed.report),
    }))
}

fn encrypted(folder: &Path, event: &EventId, root: &Root, signers: &[PublicName]) -> io::Result<Option<Found>> {
    // What is encrypted never lies beside the same in clear.
    if [REPORT_DSSE, REPORT_JSON, REPORT_HTML].iter().any(|name| folder.join(name).exists()) {
        return Ok(None);
    }
    let (Some(receipt), Some(bytes)) = (read(folder, RECEIPT_JSON)?, read(folder, REPORT_AGE)?) else {
        return Ok(None);
    };
    let verified = Receipt::verify(&receipt, signers).and_then(|(receipt, _)| {
        receipt.run().check_root(&root.to_string())?;
        receipt.check_envelope(&bytes)?;
        Ok(receipt)
    });
    let of_event = verified.ok().filter(|of| of.run().event == *event && of.files() == FileSet::Encrypted);
    Ok(of_event.map(|receipt| {
        let run = receipt.run();
        Found::Encrypted(Box::new(Readers { users: run.recipients.clone(), encrypted_to: run.encrypted_to.clone() }))
    }))
}

/// Writes a new file, down to the disk.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes a folder appear whole under its name: its entries, then its name, then its place among the others reach the disk.
pub(crate) fn publish(part: &Path, folder: &Path) -> io::Result<()> {
    let sync = |path: &Path| File::open(path).and_then(|folder| folder.sync_all());
    sync(part)?;
    fs::rename(part, folder)?;
    step::at(Step::ReportRenamed);
    folder.parent().map_or(Ok(()), sync)
}

/// Reads a file of at most the largest size; `None` where there is none, or a larger one.
fn read(folder: &Path, name: &str) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(folder.join(name)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(MAX_ENCRYPTED_BYTES + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= MAX_ENCRYPTED_BYTES).then_some(bytes))
}
