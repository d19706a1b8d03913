//! The signed report: `report.dsse.json`, an in-toto statement about a report's files, signed by the workload (DSSE).
//!
//! In: a [`Report`], the bytes of its files, who receives it, and the workload's identity. Out: an envelope that lies beside the
//! report and travels with it. The statement (in-toto Statement v1) names the files with their SHA-256, and what a reader has to know
//! to trust them: event, space, root, epoch, recipients, dataset commitments, policy. It carries the text of `report.json` too,
//! so that the envelope alone is enough where a single document is sent.
//!
//! Reading takes an envelope apart in the safe order: signature, then statement, then whether its parts agree. This file reads and
//! writes no files, knows no keys but those it is given, and does not decide whose signature counts.

use datafuse_core::{
    dsse::{self, Envelope},
    id::{EventId, ParticipantId, SpaceId},
    keys::Identity,
    name::PublicName,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::report::{DatasetRef, Policy, Report, ReportError};

/// The media type of what is signed.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// The media type of the envelope.
pub const ENVELOPE_TYPE: &str = dsse::MEDIA_TYPE;

/// The type of the statement.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// The type of what the statement says. It names a form, and is not fetched.
pub const PREDICATE_TYPE: &str = "https://github.com/datavillage-me/datafuse/report/v1";

/// The largest envelope that is read.
pub const MAX_ENVELOPE_BYTES: u64 = 64 << 20;

/// The names of a report's files, in the order in which they are delivered.
pub const FILES: [&str; 3] = [REPORT_JSON, REPORT_HTML, REPORT_DSSE];
/// The report.
pub const REPORT_JSON: &str = "report.json";
/// The report as a page.
pub const REPORT_HTML: &str = "report.html";
/// The signed envelope. Where it lies, the others lie already.
pub const REPORT_DSSE: &str = "report.dsse.json";

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    /// Always [`STATEMENT_TYPE`].
    #[serde(rename = "_type")]
    pub statement_type: String,
    /// The files that it is about.
    pub subject: Vec<Subject>,
    /// Always [`PREDICATE_TYPE`].
    pub predicate_type: String,
    /// What it says about them.
    pub predicate: Predicate,
}

/// A file that a statement is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Its name.
    pub name: String,
    /// What tells its content from every other.
    pub digest: FileDigest,
}

/// The digest of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDigest {
    /// SHA-256, hexadecimal.
    pub sha256: String,
}

/// What the workload says about a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Predicate {
    /// The event that asked for the report.
    pub event: EventId,
    /// The event's type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The space.
    pub space: SpaceId,
    /// The space's root, hexadecimal.
    pub root: String,
    /// The epoch of the matching key.
    pub epoch: u64,
    /// The data users for whom it was made.
    pub recipients: Vec<ParticipantId>,
    /// The commitments of the datasets that were matched.
    pub datasets: Vec<DatasetRef>,
    /// The output policy that was applied.
    pub policy: Policy,
    /// The version of DataFuse.
    pub datafuse: String,
    /// When the report was made, RFC 3339.
    pub at: String,
    /// The text of `report.json`, byte for byte: its SHA-256 is the subject's.
    pub report: String,
}

/// A report with the workload's signature, made here or verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedReport {
    /// What is signed.
    pub statement: Statement,
    /// The report within.
    pub report: Report,
}

/// Why an envelope is not the signed report of a workload.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignedReportError {
    /// The bytes are no envelope.
    #[error("not a signed envelope (line {line}, column {column})")]
    NotAnEnvelope {
        /// The line, from 1.
        line: usize,
        /// The column in it.
        column: usize,
    },
    /// The envelope is larger than that of any report.
    #[error("the envelope has {bytes} bytes, {MAX_ENVELOPE_BYTES} are allowed")]
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// The envelope holds something else, or has more signatures than anybody needs.
    #[error(transparent)]
    Envelope(datafuse_core::Error),
    /// None of those whose word counts signed it.
    #[error("the report is not signed by the workload of this space ({})", signers.join(", or formerly "))]
    NotSigned {
        /// Their fingerprints.
        signers: Vec<String>,
    },
    /// What is signed is no statement about a report.
    #[error("what the workload signed is not a statement about a report")]
    NotAStatement,
    /// The report within cannot be read.
    #[error("the report within the envelope: {0}")]
    Report(#[source] ReportError),
    /// The parts of a statement contradict each other.
    #[error("the statement contradicts the report within it: another {field}")]
    Contradicts {
        /// In what.
        field: &'static str,
    },
    /// It was made for another space.
    #[error("the report was made for another space: root {found}, this space has {expected}")]
    OtherSpace {
        /// The root of the space at hand.
        expected: String,
        /// The root in the report.
        found: String,
    },
    /// A file is not the one that was signed.
    #[error("{name} is not the file that was signed: its SHA-256 is {found}, signed was {expected}")]
    OtherFile {
        /// The file's name.
        name: String,
        /// The digest that was signed.
        expected: String,
        /// The digest of the file at hand.
        found: String,
    },
    /// The statement does not name a file that should be there.
    #[error("the statement does not name {name}")]
    Unnamed {
        /// The file's name.
        name: &'static str,
    },
}

impl SignedReportError {
    /// Whether it is the signature that fails, and not what is signed.
    #[must_use]
    pub fn is_signature(&self) -> bool {
        matches!(self, Self::NotSigned { .. })
    }

    /// Says what to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::NotAnEnvelope { .. } | Self::TooLarge { .. } => {
                format!("give the {REPORT_DSSE} of an outputs folder, as it was delivered")
            }
            Self::Envelope(_) | Self::NotAStatement | Self::Contradicts { .. } | Self::Unnamed { .. } => {
                "verify it with the version of datafuse that made it, or a later one; if it stays, ask the workload's operator".to_owned()
            }
            Self::Report(error) => {
                error.remedy().unwrap_or_else(|| "ask the workload's operator for the report again".to_owned())
            }
            Self::NotSigned { .. } => "compare 'workload' in space.yaml with the workload's operator, and where it has a new name, \
                                       get the current space.yaml; else trust nothing in this report"
                .to_owned(),
            Self::OtherSpace { .. } => "--space with the space.yaml of the space that the report names".to_owned(),
            Self::OtherFile { .. } => {
                "get the files again from where they were delivered; one of them was altered, or is of another event".to_owned()
            }
        }
    }
}

impl SignedReport {
    /// Signs a report: gives the bytes of `report.dsse.json`. The same report and identity give the same bytes.
    ///
    /// `json` and `html` are its files as they are written; `json` has to be UTF-8.
    ///
    /// # Errors
    /// [`SignedReportError::NotAStatement`] where `json` is no text.
    pub fn sign(
        report: &Report,
        json: &[u8],
        html: &[u8],
        recipients: Vec<ParticipantId>,
        signer: &Identity,
    ) -> Result<Vec<u8>, SignedReportError> {
        let provenance = &report.provenance;
        let subject = |name: &str, bytes: &[u8]| Subject { name: name.to_owned(), digest: FileDigest::of(bytes) };
        let statement = Statement {
            statement_type: STATEMENT_TYPE.to_owned(),
            subject: vec![subject(REPORT_JSON, json), subject(REPORT_HTML, html)],
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate: Predicate {
                event: provenance.event.clone(),
                event_type: provenance.event_type.clone(),
                space: provenance.space.clone(),
                root: provenance.root.clone(),
                epoch: provenance.epoch.0,
                recipients,
                datasets: provenance.datasets.clone(),
                policy: report.policy.clone(),
                datafuse: provenance.datafuse.clone(),
                at: provenance.at.clone(),
                report: String::from_utf8(json.to_vec()).map_err(|_| SignedReportError::NotAStatement)?,
            },
        };
        let payload = serde_json::to_vec(&statement).map_err(|_| SignedReportError::NotAStatement)?;
        let envelope = Envelope::sign(PAYLOAD_TYPE, payload, signer);
        let mut bytes = serde_json::to_vec(&envelope).map_err(|_| SignedReportError::NotAStatement)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Verifies an envelope as one of these signers, and takes it apart. Gives which of the signers it is as well: the first that
    /// fits.
    ///
    /// # Errors
    /// Those of [`SignedReportError`] but [`OtherSpace`](SignedReportError::OtherSpace) and
    /// [`OtherFile`](SignedReportError::OtherFile).
    pub fn verify(bytes: &[u8], signers: &[PublicName]) -> Result<(Self, usize), SignedReportError> {
        if bytes.len() as u64 > MAX_ENVELOPE_BYTES {
            return Err(SignedReportError::TooLarge { bytes: bytes.len() as u64 });
        }
        let envelope: Envelope = serde_json::from_slice(bytes)
            .map_err(|error| SignedReportError::NotAnEnvelope { line: error.line(), column: error.column() })?;
        for (index, signer) in signers.iter().enumerate() {
            match envelope.verify(PAYLOAD_TYPE, signer) {
                Ok(payload) => return Ok((Self::of_payload(payload)?, index)),
                Err(datafuse_core::Error::BadSignature { .. }) => {}
                Err(error) => return Err(SignedReportError::Envelope(error)),
            }
        }
        Err(SignedReportError::NotSigned { signers: signers.iter().map(PublicName::fingerprint).collect() })
    }

    /// Checks that the report was made for the space with this root.
    ///
    /// # Errors
    /// [`SignedReportError::OtherSpace`].
    pub fn check_root(&self, root: &str) -> Result<(), SignedReportError> {
        let found = &self.statement.predicate.root;
        if found == root {
            return Ok(());
        }
        Err(SignedReportError::OtherSpace { expected: root.to_owned(), found: found.clone() })
    }

    /// Checks that a file is the one of this name that was signed.
    ///
    /// # Errors
    /// [`SignedReportError::OtherFile`], [`SignedReportError::Unnamed`].
    pub fn check_file(&self, name: &'static str, bytes: &[u8]) -> Result<(), SignedReportError> {
        let subject = self.statement.subject.iter().find(|subject| subject.name == name);
        let expected = &subject.ok_or(SignedReportError::Unnamed { name })?.digest;
        let found = FileDigest::of(bytes);
        if found == *expected {
            return Ok(());
        }
        let (expected, found) = (expected.sha256.clone(), found.sha256);
        Err(SignedReportError::OtherFile { name: name.to_owned(), expected, found })
    }

    fn of_payload(payload: &[u8]) -> Result<Self, SignedReportError> {
        let statement: Statement = serde_json::from_slice(payload).map_err(|_| SignedReportError::NotAStatement)?;
        if statement.statement_type != STATEMENT_TYPE || statement.predicate_type != PREDICATE_TYPE {
            return Err(SignedReportError::NotAStatement);
        }
        let report = Report::from_json(statement.predicate.report.as_bytes()).map_err(SignedReportError::Report)?;
        let signed = Self { statement, report };
        signed.agrees()?;
        Ok(signed)
    }

    /// Checks that what the statement says is what the report says.
    fn agrees(&self) -> Result<(), SignedReportError> {
        let (said, found) = (&self.statement.predicate, &self.report.provenance);
        let fields = [
            ("event", said.event == found.event && said.event_type == found.event_type),
            ("space", said.space == found.space && said.root == found.root),
            ("epoch", said.epoch == found.epoch.0),
            ("list of datasets", said.datasets == found.datasets),
            ("policy", said.policy == self.report.policy),
            ("text", self.check_file(REPORT_JSON, said.report.as_bytes()).is_ok()),
        ];
        match fields.into_iter().find(|(_, agrees)| !agrees) {
            Some((field, _)) => Err(SignedReportError::Contradicts { field }),
            None => Ok(()),
        }
    }
}

impl FileDigest {
    fn of(bytes: &[u8]) -> Self {
        Self { sha256: hex::encode(Sha256::digest(bytes)) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafuse_core::keys::PartyKeys;
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    use super::*;
    use crate::report::tests::{inputs, two_holders};

    fn keys(seed: u64) -> PartyKeys {
        PartyKeys::generate(&mut ChaCha20Rng::seed_from_u64(seed))
    }

    fn report() -> Report {
        Report::build(inputs(vec![("email", two_holders())], 1)).unwrap()
    }

    fn signed(report: &Report) -> Vec<u8> {
        let json = report.to_json_pretty();
        let recipients = vec!["insights".parse().unwrap()];
        SignedReport::sign(report, json.as_bytes(), b"<html>", recipients, keys(1).identity()).unwrap()
    }

    fn names(seeds: &[u64]) -> Vec<PublicName> {
        seeds.iter().map(|seed| keys(*seed).identity().public_name()).collect()
    }

    /// The envelope around a statement that was changed before it was signed.
    fn changed(change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
        let (good, _) = SignedReport::verify(&signed(&report()), &names(&[1])).unwrap();
        let mut statement = serde_json::to_value(good.statement).unwrap();
        change(&mut statement);
        let envelope = Envelope::sign(PAYLOAD_TYPE, serde_json::to_vec(&statement).unwrap(), keys(1).identity());
        serde_json::to_vec(&envelope).unwrap()
    }

    #[test]
    fn a_signed_report_verifies_with_its_files_and_says_what_it_is_about() {
        let report = report();
        let (found, signer) = SignedReport::verify(&signed(&report), &names(&[2, 1])).unwrap();
        assert_eq!((&found.report, signer), (&report, 1));
        assert_eq!(found.statement.predicate.recipients[0].as_str(), "insights");
        found.check_root(&report.provenance.root).unwrap();
        found.check_file(REPORT_JSON, report.to_json_pretty().as_bytes()).unwrap();
        found.check_file(REPORT_HTML, b"<html>").unwrap();
        assert!(matches!(found.check_file(REPORT_HTML, b"<HTML>"), Err(SignedReportError::OtherFile { .. })));
        assert!(matches!(found.check_file(REPORT_DSSE, b""), Err(SignedReportError::Unnamed { .. })));
        assert!(matches!(found.check_root("other"), Err(SignedReportError::OtherSpace { .. })));
        assert_eq!(signed(&report), signed(&report));
    }

    #[test]
    fn any_changed_byte_is_found() {
        let good = signed(&report());
        for at in (0..good.len()).step_by(7) {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            if let Ok((found, _)) = SignedReport::verify(&bytes, &names(&[1])) {
                // A key id is a hint and is not signed; a field's name that is not known is passed over.
                assert_eq!(found.report, report(), "byte {at}");
                assert!(String::from_utf8_lossy(&good[..=at]).contains("signatures"), "byte {at}");
            }
        }
    }

    #[test]
    fn another_signer_is_told_from_damage() {
        let refused = |bytes: &[u8], seeds: &[u64]| SignedReport::verify(bytes, &names(seeds)).unwrap_err();
        let error = refused(&signed(&report()), &[2, 3]);
        assert!(error.is_signature() && error.to_string().contains("or formerly"), "{error}");
        let error = refused(b"{\"payload\": 1}", &[1]);
        assert!(matches!(error, SignedReportError::NotAnEnvelope { line: 1, .. }) && !error.is_signature());
        let other = Envelope::sign("text/plain", b"x".to_vec(), keys(1).identity());
        let error = refused(&serde_json::to_vec(&other).unwrap(), &[1]);
        assert!(matches!(error, SignedReportError::Envelope(_)), "{error}");
        assert!(!error.remedy().is_empty());
    }

    #[test]
    fn statements_that_contradict_their_report_are_refused_although_signed() {
        let refused = |bytes: &[u8]| SignedReport::verify(bytes, &names(&[1])).unwrap_err();
        let cases: [(&str, serde_json::Value, &str); 5] = [
            ("/predicate/event", "01J8ZQ4X7M6V9K3T2N1B0C5D7F".into(), "event"),
            ("/predicate/root", "9c".repeat(32).into(), "space"),
            ("/predicate/epoch", 2.into(), "epoch"),
            ("/predicate/policy/min_count", 9.into(), "policy"),
            ("/subject/0/digest/sha256", "00".repeat(32).into(), "text"),
        ];
        for (pointer, value, field) in cases {
            let error = refused(&changed(|statement| *statement.pointer_mut(pointer).unwrap() = value));
            assert!(
                matches!(error, SignedReportError::Contradicts { field: found } if found == field),
                "{pointer}: {error}"
            );
        }
        let error = refused(&changed(|statement| statement["predicateType"] = "https://example.com/other".into()));
        assert!(matches!(error, SignedReportError::NotAStatement), "{error}");
        let error = refused(&changed(|statement| statement["predicate"]["report"] = "{}".into()));
        assert!(matches!(error, SignedReportError::Report(_)), "{error}");
    }
}
