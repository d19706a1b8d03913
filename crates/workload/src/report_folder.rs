//! The folder of an event's report: written whole, and verified where it is found.
//!
//! In: a folder's path. Out: whether the report of an event lies there, signed by the workload and with the very files that were signed;
//! and the ways to write a file and to make a folder appear that survive a crash. Used for the workload's own outputs and for
//! folders that reports are delivered to.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
};

use datafuse_core::{id::EventId, name::PublicName, root::Root};
use datafuse_engine::{
    report::Report,
    signed_report::{MAX_ENVELOPE_BYTES, REPORT_DSSE, REPORT_HTML, REPORT_JSON, SignedReport},
};

use crate::step::{self, Step};

/// What lies at a path.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nothing.
    Nothing,
    /// The report of the event, whole and signed.
    Report(Box<Report>),
    /// Something else.
    Other,
}

/// Looks whether the report of an event of the space with this root lies in a folder. One workload may serve several spaces.
pub(crate) fn find(folder: &Path, event: &EventId, root: &Root, signers: &[PublicName]) -> io::Result<Found> {
    match fs::symlink_metadata(folder) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return Ok(Found::Other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    }
    let (Some(envelope), Some(json), Some(html)) =
        (read(folder, REPORT_DSSE)?, read(folder, REPORT_JSON)?, read(folder, REPORT_HTML)?)
    else {
        return Ok(Found::Other);
    };
    let verified = SignedReport::verify(&envelope, signers).and_then(|(signed, _)| {
        signed.check_root(&root.to_string())?;
        signed.check_file(REPORT_JSON, &json)?;
        signed.check_file(REPORT_HTML, &html)?;
        Ok(signed)
    });
    match verified {
        Ok(signed) if signed.report.provenance.event == *event => Ok(Found::Report(Box::new(signed.report))),
        _ => Ok(Found::Other),
    }
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
    file.take(MAX_ENVELOPE_BYTES + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= MAX_ENVELOPE_BYTES).then_some(bytes))
}
