//! The receipt of a report: `receipt.json`, what ran, signed by the workload as the report is (DSSE, in-toto), without any figure.
//!
//! In: a report, for whom it was made, the files in which it lies, and how far the audit log goes. Out: an envelope that may be
//! shown to holders and auditors: event, space, root, epoch, data users, dataset commitments, policy, version, time, the SHA-256 of
//! the report's file, and the audit log's last entry. Where the report is encrypted, it is what the workload itself can verify of it.
//!
//! It names the lists that holders received, and of the report's files the one that holds the whole report and a signature, `report.dsse.json` or `report.dsse.json.age`; that one
//! names the others. A list is encrypted under a random key. A digest of `report.json` would tell whoever guesses its figures whether the guess is right, and nobody can
//! guess a signature.

use datafuse_core::{keys::Identity, name::PublicName};
use serde::{Deserialize, Serialize};

use super::{FileSet, Readers, Run, SignedReportError, Statement, Subject, holder_of_list};
use crate::report::Report;

/// The type of what a receipt says. It names a form, and is not fetched.
pub const PREDICATE_TYPE: &str = "https://github.com/datavillage-me/datafuse/receipt/v1";

/// A receipt with the workload's signature, made here or verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// What is signed.
    pub statement: Statement<ReceiptPredicate>,
}

/// What the workload says in a receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptPredicate {
    /// What ran.
    #[serde(flatten)]
    pub run: Run,
    /// The last entry of the workload's audit log when the receipt was signed: the log tells of this report up to there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditEntry>,
}

/// An entry of an audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its number.
    pub seq: u64,
    /// SHA-256 of its line, hexadecimal.
    pub sha256: String,
}

/// Shows `SEQ:SHA256`, as `datafuse audit verify --expect` takes it.
impl std::fmt::Display for AuditEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.seq, self.sha256)
    }
}

impl Receipt {
    /// Signs the receipt of a report: gives the bytes of `receipt.json`. `envelope` is the file that [`FileSet::envelope`] names,
    /// `lists` are those of the event.
    ///
    /// # Errors
    /// [`SignedReportError::NotAStatement`], which cannot be for a report that was built here.
    pub fn sign(
        report: &Report,
        readers: Readers,
        envelope: &[u8],
        lists: &[Subject],
        audit: Option<AuditEntry>,
        signer: &Identity,
    ) -> Result<Vec<u8>, SignedReportError> {
        let mut subject = vec![Subject::of(readers.files().envelope(), envelope)];
        subject.extend_from_slice(lists);
        let predicate = ReceiptPredicate { run: Run::of(report, readers), audit };
        Statement::new(PREDICATE_TYPE, subject, predicate).sign(signer)
    }

    /// Verifies a receipt as one of these signers; gives which of them it is as well: the first that fits.
    ///
    /// # Errors
    /// [`SignedReportError::NotSigned`], and those about the form of an envelope and a statement.
    pub fn verify(bytes: &[u8], signers: &[PublicName]) -> Result<(Self, usize), SignedReportError> {
        let (statement, signer) = Statement::<ReceiptPredicate>::verify(bytes, signers, PREDICATE_TYPE)?;
        let receipt = Self { statement };
        match receipt.statement.subject.as_slice() {
            [subject, lists @ ..]
                if subject.name == receipt.files().envelope()
                    && lists.iter().all(|list| holder_of_list(&list.name).is_some()) =>
            {
                Ok((receipt, signer))
            }
            _ => Err(SignedReportError::Unnamed { name: receipt.files().envelope() }),
        }
    }

    /// What ran.
    #[must_use]
    pub fn run(&self) -> &Run {
        &self.statement.predicate.run
    }

    /// In which files the report lies.
    #[must_use]
    pub fn files(&self) -> FileSet {
        if self.run().encrypted_to.is_empty() { FileSet::Clear } else { FileSet::Encrypted }
    }

    /// Checks that the file which holds the report, [`FileSet::envelope`], is the one that the workload made.
    ///
    /// # Errors
    /// [`SignedReportError::OtherFile`].
    pub fn check_envelope(&self, bytes: &[u8]) -> Result<(), SignedReportError> {
        self.statement.check_file(self.files().envelope(), bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{
        super::{
            AgeRecipient, PAYLOAD_TYPE, REPORT_AGE, REPORT_DSSE, SignedReport, is_receipt,
            tests::{keys, names, readers, report},
        },
        *,
    };
    use datafuse_core::dsse::Envelope;

    fn entry() -> AuditEntry {
        AuditEntry { seq: 12, sha256: "ab".repeat(32) }
    }

    fn encrypted() -> Readers {
        let recipient = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p".to_owned();
        Readers { encrypted_to: vec![AgeRecipient { user: "insights".parse().unwrap(), recipient }], ..readers() }
    }

    fn signed(readers: Readers) -> Vec<u8> {
        Receipt::sign(&report(), readers, b"the file", &[], Some(entry()), keys(1).identity()).unwrap()
    }

    #[test]
    fn a_receipt_says_what_ran_and_which_file_it_is_about() {
        for (readers, name) in [(readers(), REPORT_DSSE), (encrypted(), REPORT_AGE)] {
            let (receipt, signer) = Receipt::verify(&signed(readers.clone()), &names(&[2, 1])).unwrap();
            assert_eq!(signer, 1);
            assert_eq!(receipt.run().event, report().provenance.event);
            assert_eq!((&receipt.run().encrypted_to, receipt.files()), (&readers.encrypted_to, readers.files()));
            assert_eq!(receipt.statement.subject[0].name, name);
            assert_eq!(
                receipt.statement.predicate.audit.as_ref().unwrap().to_string(),
                format!("12:{}", "ab".repeat(32))
            );
            receipt.run().check_root(&report().provenance.root).unwrap();
            receipt.check_envelope(b"the file").unwrap();
            assert!(matches!(receipt.check_envelope(b"another"), Err(SignedReportError::OtherFile { .. })));
        }
    }

    #[test]
    fn no_figure_of_the_report_is_in_it() {
        let mut report = report();
        report.overlap.all = Some(314_159);
        for funnel in &mut report.parties {
            (funnel.rows, funnel.empty, funnel.invalid) = (Some(271_828), Some(161_803), Some(141_421));
        }
        let bytes = Receipt::sign(&report, readers(), b"the file", &[], None, keys(1).identity()).unwrap();
        let (receipt, _) = Receipt::verify(&bytes, &names(&[1])).unwrap();
        let text = serde_json::to_string(&receipt.statement).unwrap();
        let json = report.to_json_pretty();
        for figure in ["314159", "271828", "161803", "141421"] {
            assert!(json.contains(figure) && !text.contains(figure), "{figure}");
        }
        let expected = ["_type", "predicate", "predicateType", "subject"];
        let value = serde_json::to_value(&receipt.statement).unwrap();
        assert_eq!(value.as_object().unwrap().keys().collect::<Vec<_>>(), expected);
        let mut fields: Vec<_> = value["predicate"].as_object().unwrap().keys().cloned().collect();
        fields.sort_unstable();
        let allowed = ["at", "datafuse", "datasets", "epoch", "event", "policy", "recipients", "root", "space", "type"];
        assert_eq!(fields, allowed);
    }

    #[test]
    fn receipt_and_report_are_not_taken_for_each_other() {
        let receipt = signed(readers());
        assert!(is_receipt(&receipt));
        assert!(matches!(SignedReport::verify(&receipt, &names(&[1])), Err(SignedReportError::Receipt)));
        assert!(matches!(SignedReport::unverified(&receipt), Err(SignedReportError::Receipt)));
        let json = report().to_json_pretty();
        let report =
            SignedReport::sign(&report(), json.as_bytes(), None, &[], encrypted(), keys(1).identity()).unwrap();
        assert!(!is_receipt(&report) && !is_receipt(b"{}"));
        assert!(matches!(Receipt::verify(&report, &names(&[1])), Err(SignedReportError::NotAStatement)));
    }

    #[test]
    fn a_receipt_of_another_signer_or_about_another_file_is_refused() {
        let error = Receipt::verify(&signed(readers()), &names(&[2])).unwrap_err();
        assert!(error.is_signature(), "{error}");
        let (good, _) = Receipt::verify(&signed(readers()), &names(&[1])).unwrap();
        let mut statement = good.statement;
        statement.subject[0].name = REPORT_AGE.to_owned();
        let envelope = Envelope::sign(PAYLOAD_TYPE, serde_json::to_vec(&statement).unwrap(), keys(1).identity());
        let error = Receipt::verify(&serde_json::to_vec(&envelope).unwrap(), &names(&[1])).unwrap_err();
        assert!(matches!(error, SignedReportError::Unnamed { name: REPORT_DSSE }), "{error}");
    }
}
