//! The files of a report: made, signed, encrypted where its users ask for that, and written into a folder.
//!
//! ```text
//! in clear    report.json report.html report.dsse.json receipt.json
//! encrypted   report.dsse.json.age receipt.json
//! ```
//!
//! The lists of holders lie there already, under `lists`; statement and receipt name them. Where data users may see different parts, those
//! who may see more than all get the same files of a report of their own, in `users/USER`.
//!
//! Signed, then encrypted. Of an encrypted report nothing readable is written, logged or noted: the audit log has the SHA-256 of the
//! encrypted file. The receipt comes last, because it names how far the audit log goes, which tells of this report by then.

use std::path::Path;

use datafuse_engine::{
    report::Report,
    report_html,
    signed_report::{
        FileSet, RECEIPT_JSON, REPORT_AGE, REPORT_DSSE, REPORT_HTML, REPORT_JSON, Readers, Receipt, SignedReport,
        Subject, encrypted, receipt::AuditEntry,
    },
};
use datafuse_space::make_folder;
use sha2::{Digest, Sha256};

use super::{output, policy};
use crate::{
    audit::Fact,
    error::Result,
    readers::{self, ReadersError},
    report_folder,
    workload::Workload,
};

/// Makes the files of a report for these readers, and writes them: what every data user may see into the folder, and below it the reports
/// of users who may see more. Gives the one that is for all. `lists` are those of the event.
pub(super) fn write(
    workload: &Workload,
    report: &Report,
    readers: &Readers,
    lists: &[Subject],
    folder: &Path,
) -> Result<Report> {
    let space = workload.space();
    let for_all = report.clone().release(&policy::left_out_for_some(space));
    if readers.files() == FileSet::Clear {
        for warning in &for_all.warnings {
            tracing::warn!(holder = %warning.holder, dataset = %warning.dataset, "{}", warning.text());
        }
    }
    let envelope = write_report(workload, &for_all, readers, lists, folder)?;
    let made = for_all.lists.iter().filter(|list| list.not_made.is_none());
    for (list, subject) in made.zip(lists) {
        workload.note(&Fact::ListMade { to: &list.holder, sha256: &subject.digest.sha256 })?;
    }
    write_receipt(workload, &for_all, readers, lists, &envelope, folder)?;
    for user in space.users_with_own_outputs() {
        let own = report.clone().release(&policy::left_out_for(space, user));
        let (readers, below) = (readers::only(readers, user), report_folder::own_folder(folder, user));
        for folder in below.parent().into_iter().chain([below.as_path()]) {
            make_folder(folder).map_err(|source| output::failed("create", folder, source))?;
        }
        let envelope = write_report(workload, &own, &readers, lists, &below)?;
        write_receipt(workload, &own, &readers, lists, &envelope, &below)?;
    }
    Ok(for_all)
}

/// Writes all files but the receipt; gives the content of the one that holds the whole report, and notes its SHA-256: that of the
/// figures alone could be found again by trying, by who knows most of them.
fn write_report(
    workload: &Workload,
    report: &Report,
    readers: &Readers,
    lists: &[Subject],
    folder: &Path,
) -> Result<Vec<u8>> {
    let json = report.to_json_pretty();
    let envelope = match readers.files() {
        FileSet::Clear => {
            let html = report_html::render(report);
            let signed = sign(workload, report, &json, Some(&html), lists, readers)?;
            output::write(&folder.join(REPORT_JSON), json.as_bytes())?;
            output::write(&folder.join(REPORT_HTML), html.as_bytes())?;
            output::write(&folder.join(REPORT_DSSE), &signed)?;
            signed
        }
        FileSet::Encrypted => {
            let signed = sign(workload, report, &json, None, lists, readers)?;
            let bytes = encrypted::encrypt(&signed, &readers.encrypted_to).map_err(ReadersError::from)?;
            output::write(&folder.join(REPORT_AGE), &bytes)?;
            bytes
        }
    };
    let datasets: Vec<_> = report.provenance.datasets.iter().map(|dataset| dataset.sha256.clone()).collect();
    workload.note(&Fact::ReportMade { sha256: &sha256(&envelope), datasets: &datasets })?;
    Ok(envelope)
}

fn write_receipt(
    workload: &Workload,
    report: &Report,
    readers: &Readers,
    lists: &[Subject],
    envelope: &[u8],
    folder: &Path,
) -> Result<()> {
    let audit = workload.audit().head()?.map(|head| AuditEntry { seq: head.seq, sha256: hex::encode(head.hash) });
    let receipt = Receipt::sign(report, readers.clone(), envelope, lists, audit, workload.identity())?;
    output::write(&folder.join(RECEIPT_JSON), &receipt)
}

fn sign(
    workload: &Workload,
    report: &Report,
    json: &str,
    html: Option<&str>,
    lists: &[Subject],
    readers: &Readers,
) -> Result<Vec<u8>> {
    let html = html.map(str::as_bytes);
    Ok(SignedReport::sign(report, json.as_bytes(), html, lists, readers.clone(), workload.identity())?)
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
