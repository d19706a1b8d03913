//! The files of a report: made, signed, encrypted where its users ask for that, and written into a folder.
//!
//! ```text
//! in clear    report.json report.html report.dsse.json receipt.json
//! encrypted   report.dsse.json.age receipt.json
//! ```
//!
//! Signed, then encrypted. Of an encrypted report nothing readable is written, logged or noted: the audit log has the SHA-256 of the
//! encrypted file. The receipt comes last, because it names how far the audit log goes, which tells of this report by then.

use std::path::Path;

use datafuse_engine::{
    report::Report,
    report_html,
    signed_report::{
        FileSet, RECEIPT_JSON, REPORT_AGE, REPORT_DSSE, REPORT_HTML, REPORT_JSON, Readers, Receipt, SignedReport,
        encrypted, receipt::AuditEntry,
    },
};
use sha2::{Digest, Sha256};

use super::output;
use crate::{audit::Fact, error::Result, readers::ReadersError, workload::Workload};

/// Makes the files of a report for these readers, and writes them.
pub(super) fn write(workload: &Workload, report: &Report, readers: &Readers, folder: &Path) -> Result<()> {
    let json = report.to_json_pretty();
    let (envelope, noted) = match readers.files() {
        FileSet::Clear => {
            for warning in &report.warnings {
                tracing::warn!(holder = %warning.holder, dataset = %warning.dataset, "{}", warning.text());
            }
            let html = report_html::render(report);
            let signed = sign(workload, report, &json, Some(&html), readers)?;
            output::write(&folder.join(REPORT_JSON), json.as_bytes())?;
            output::write(&folder.join(REPORT_HTML), html.as_bytes())?;
            output::write(&folder.join(REPORT_DSSE), &signed)?;
            (signed, sha256(json.as_bytes()))
        }
        FileSet::Encrypted => {
            let signed = sign(workload, report, &json, None, readers)?;
            let bytes = encrypted::encrypt(&signed, &readers.encrypted_to).map_err(ReadersError::from)?;
            output::write(&folder.join(REPORT_AGE), &bytes)?;
            let noted = sha256(&bytes);
            (bytes, noted)
        }
    };
    let datasets: Vec<_> = report.provenance.datasets.iter().map(|dataset| dataset.sha256.clone()).collect();
    workload.note(&Fact::ReportMade { sha256: &noted, datasets: &datasets })?;
    let audit = workload.audit().head()?.map(|head| AuditEntry { seq: head.seq, sha256: hex::encode(head.hash) });
    let receipt = Receipt::sign(report, readers.clone(), &envelope, audit, workload.identity())?;
    output::write(&folder.join(RECEIPT_JSON), &receipt)
}

fn sign(workload: &Workload, report: &Report, json: &str, html: Option<&str>, readers: &Readers) -> Result<Vec<u8>> {
    let html = html.map(str::as_bytes);
    Ok(SignedReport::sign(report, json.as_bytes(), html, readers.clone(), workload.identity())?)
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
