//! The signed report: `report.dsse.json`, an in-toto statement about a report's files, signed by the workload (DSSE).
//!
//! In: a [`Report`], the bytes of its files, who receives it, and the workload's identity. Out: an envelope that lies beside the
//! report and travels with it. The statement (in-toto Statement v1) names the files with their SHA-256, and what a reader has to know
//! to trust them: event, space, root, epoch, recipients, dataset commitments, policy. It carries the text of `report.json` too,
//! so that the envelope alone is enough where a single document is sent.
//!
//! | module | |
//! | --- | --- |
//! | [`encrypted`] | the envelope encrypted to the data users: `report.dsse.json.age` |
//! | [`receipt`] | what ran, without any figure: `receipt.json` |
//!
//! Reading takes an envelope apart in the safe order: signature, then statement, then whether its parts agree. This file reads and
//! writes no files, knows no keys but those it is given, and does not decide whose signature counts.

pub mod encrypted;
mod error;
pub mod receipt;

use datafuse_core::{
    dsse::{self, Envelope},
    id::{EventId, ParticipantId, SpaceId},
    keys::Identity,
    name::PublicName,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::report::{DatasetRef, Policy, Report};
pub use encrypted::EncryptedReportError;
pub use error::SignedReportError;
pub use receipt::Receipt;

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

/// The report.
pub const REPORT_JSON: &str = "report.json";
/// The report as a page.
pub const REPORT_HTML: &str = "report.html";
/// The signed envelope.
pub const REPORT_DSSE: &str = "report.dsse.json";
/// The signed envelope, encrypted to the data users.
pub const REPORT_AGE: &str = "report.dsse.json.age";
/// The receipt.
pub const RECEIPT_JSON: &str = "receipt.json";
/// The folder of the lists that holders receive, beside the report. No list is delivered to data users.
pub const LISTS: &str = "lists";
/// What the name of a list ends with.
const LIST_END: &str = ".list";

/// The name of a holder's list, from the folder of the report: `lists/HOLDER.list`.
#[must_use]
pub fn list_name(holder: &ParticipantId) -> String {
    format!("{LISTS}/{holder}{LIST_END}")
}

/// Whose list has this name; `None` where it is no name of a list.
fn holder_of_list(name: &str) -> Option<ParticipantId> {
    name.strip_prefix(LISTS)?.strip_prefix('/')?.strip_suffix(LIST_END)?.parse().ok()
}

/// The files in which a report lies in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSet {
    /// Readable by whoever reads the folder.
    Clear,
    /// Readable by the data users alone.
    Encrypted,
}

impl FileSet {
    /// The files' names, in the order in which they are delivered: where the last lies, the others lie already.
    #[must_use]
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Clear => &[REPORT_JSON, REPORT_HTML, RECEIPT_JSON, REPORT_DSSE],
            Self::Encrypted => &[RECEIPT_JSON, REPORT_AGE],
        }
    }

    /// The name of the file that holds the whole report, signed.
    #[must_use]
    pub fn envelope(self) -> &'static str {
        match self {
            Self::Clear => REPORT_DSSE,
            Self::Encrypted => REPORT_AGE,
        }
    }

    /// The media type of that file.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Clear => ENVELOPE_TYPE,
            Self::Encrypted => encrypted::MEDIA_TYPE,
        }
    }
}

/// For whom a report is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readers {
    /// The data users.
    pub users: Vec<ParticipantId>,
    /// Their age recipients, where the report is encrypted: then of each of them.
    pub encrypted_to: Vec<AgeRecipient>,
}

impl Readers {
    /// Data users who receive it in clear.
    #[must_use]
    pub fn in_clear(users: Vec<ParticipantId>) -> Self {
        Self { users, encrypted_to: Vec::new() }
    }

    /// In which files a report for them lies.
    #[must_use]
    pub fn files(&self) -> FileSet {
        if self.encrypted_to.is_empty() { FileSet::Clear } else { FileSet::Encrypted }
    }
}

/// A data user and the age recipient to which its reports are encrypted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AgeRecipient {
    /// The data user.
    pub user: ParticipantId,
    /// Its recipient, `age1...`.
    pub recipient: String,
}

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement<P = Predicate> {
    /// Always [`STATEMENT_TYPE`].
    #[serde(rename = "_type")]
    pub statement_type: String,
    /// The files that it is about.
    pub subject: Vec<Subject>,
    /// What sort of statement it is: [`PREDICATE_TYPE`] of a report, [`receipt::PREDICATE_TYPE`] of a receipt.
    pub predicate_type: String,
    /// What it says about them.
    pub predicate: P,
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
    /// What ran.
    #[serde(flatten)]
    pub run: Run,
    /// The text of `report.json`, byte for byte: its SHA-256 is the subject's.
    pub report: String,
}

/// The run that made a report. No figure of it is in here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
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
    /// To what it was encrypted, where it was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub encrypted_to: Vec<AgeRecipient>,
    /// The commitments of the datasets that were matched.
    pub datasets: Vec<DatasetRef>,
    /// The output policy that was applied.
    pub policy: Policy,
    /// The version of DataFuse.
    pub datafuse: String,
    /// When the report was made, RFC 3339.
    pub at: String,
}

impl Run {
    /// Takes what a report says of it.
    fn of(report: &Report, readers: Readers) -> Self {
        let provenance = &report.provenance;
        Self {
            event: provenance.event.clone(),
            event_type: provenance.event_type.clone(),
            space: provenance.space.clone(),
            root: provenance.root.clone(),
            epoch: provenance.epoch.0,
            recipients: readers.users,
            encrypted_to: readers.encrypted_to,
            datasets: provenance.datasets.clone(),
            policy: report.policy.clone(),
            datafuse: provenance.datafuse.clone(),
            at: provenance.at.clone(),
        }
    }

    /// Checks that it was for the space with this root.
    ///
    /// # Errors
    /// [`SignedReportError::OtherSpace`].
    pub fn check_root(&self, root: &str) -> Result<(), SignedReportError> {
        if self.root == root {
            return Ok(());
        }
        Err(SignedReportError::OtherSpace { expected: root.to_owned(), found: self.root.clone() })
    }
}

/// A report with the workload's signature, made here or verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedReport {
    /// What is signed.
    pub statement: Statement,
    /// The report within.
    pub report: Report,
}

impl SignedReport {
    /// Signs a report: gives the bytes of `report.dsse.json`. The same report and identity give the same bytes.
    ///
    /// `json` and `html` are its files as they are written; `json` has to be UTF-8. A report that is encrypted has no page
    /// beside it. `lists` are those of the event.
    ///
    /// # Errors
    /// [`SignedReportError::NotAStatement`] where `json` is no text.
    pub fn sign(
        report: &Report,
        json: &[u8],
        html: Option<&[u8]>,
        lists: &[Subject],
        readers: Readers,
        signer: &Identity,
    ) -> Result<Vec<u8>, SignedReportError> {
        let mut subject = vec![Subject::of(REPORT_JSON, json)];
        subject.extend(html.map(|html| Subject::of(REPORT_HTML, html)));
        subject.extend_from_slice(lists);
        let report_text = String::from_utf8(json.to_vec()).map_err(|_| SignedReportError::NotAStatement)?;
        let predicate = Predicate { run: Run::of(report, readers), report: report_text };
        Statement::new(PREDICATE_TYPE, subject, predicate).sign(signer)
    }

    /// Verifies an envelope as one of these signers, and takes it apart. Gives which of the signers it is as well: the first that
    /// fits.
    ///
    /// # Errors
    /// Those of [`SignedReportError`] but [`OtherSpace`](SignedReportError::OtherSpace) and
    /// [`OtherFile`](SignedReportError::OtherFile).
    pub fn verify(bytes: &[u8], signers: &[PublicName]) -> Result<(Self, usize), SignedReportError> {
        let (statement, signer) = Statement::verify(bytes, signers, PREDICATE_TYPE)?;
        Ok((Self::of_statement(statement)?, signer))
    }

    /// Takes an envelope apart whoever signed it: for showing a report, never for trusting it.
    ///
    /// # Errors
    /// As [`verify`](Self::verify), but for the signature.
    pub fn unverified(bytes: &[u8]) -> Result<Self, SignedReportError> {
        Self::of_statement(Statement::parse(unverified(&envelope(bytes)?)?, PREDICATE_TYPE)?)
    }

    /// Checks that the report was made for the space with this root.
    ///
    /// # Errors
    /// [`SignedReportError::OtherSpace`].
    pub fn check_root(&self, root: &str) -> Result<(), SignedReportError> {
        self.statement.predicate.run.check_root(root)
    }

    /// Checks that a file is the one of this name that was signed.
    ///
    /// # Errors
    /// [`SignedReportError::OtherFile`], [`SignedReportError::Unnamed`].
    pub fn check_file(&self, name: &'static str, bytes: &[u8]) -> Result<(), SignedReportError> {
        self.statement.check_file(name, bytes)
    }

    fn of_statement(statement: Statement) -> Result<Self, SignedReportError> {
        let report = Report::from_json(statement.predicate.report.as_bytes()).map_err(SignedReportError::Report)?;
        let signed = Self { statement, report };
        signed.agrees()?;
        Ok(signed)
    }

    /// Checks that what the statement says is what the report says.
    fn agrees(&self) -> Result<(), SignedReportError> {
        let (said, found) = (&self.statement.predicate.run, &self.report.provenance);
        let fields = [
            ("event", said.event == found.event && said.event_type == found.event_type),
            ("space", said.space == found.space && said.root == found.root),
            ("epoch", said.epoch == found.epoch.0),
            ("list of datasets", said.datasets == found.datasets),
            ("policy", said.policy == self.report.policy),
            ("list of lists", self.names_the_lists()),
            ("text", self.check_file(REPORT_JSON, self.statement.predicate.report.as_bytes()).is_ok()),
        ];
        match fields.into_iter().find(|(_, agrees)| !agrees) {
            Some((field, _)) => Err(SignedReportError::Contradicts { field }),
            None => Ok(()),
        }
    }
}

impl SignedReport {
    /// Whether the lists that are named are those that the report says were made.
    fn names_the_lists(&self) -> bool {
        let made = self.report.lists.iter().filter(|list| list.not_made.is_none()).map(|list| list.holder.clone());
        self.statement.lists().map(|(holder, _)| holder).eq(made)
    }
}

impl<P> Statement<P> {
    /// Gives the holders' lists that it names, each with its SHA-256 in hexadecimal.
    pub fn lists(&self) -> impl Iterator<Item = (ParticipantId, &str)> {
        self.subject.iter().filter_map(|subject| Some((holder_of_list(&subject.name)?, subject.digest.sha256.as_str())))
    }

    fn new(predicate_type: &str, subject: Vec<Subject>, predicate: P) -> Self {
        let predicate_type = predicate_type.to_owned();
        Self { statement_type: STATEMENT_TYPE.to_owned(), subject, predicate_type, predicate }
    }

    /// Checks that a file is the one of this name that was signed.
    fn check_file(&self, name: &'static str, bytes: &[u8]) -> Result<(), SignedReportError> {
        let subject = self.subject.iter().find(|subject| subject.name == name);
        let expected = &subject.ok_or(SignedReportError::Unnamed { name })?.digest;
        let found = FileDigest::of(bytes);
        if found == *expected {
            return Ok(());
        }
        let (expected, found) = (expected.sha256.clone(), found.sha256);
        Err(SignedReportError::OtherFile { name: name.to_owned(), expected, found })
    }
}

impl<P: Serialize> Statement<P> {
    /// Gives the bytes of the envelope around it, with a line end.
    fn sign(&self, signer: &Identity) -> Result<Vec<u8>, SignedReportError> {
        let payload = serde_json::to_vec(self).map_err(|_| SignedReportError::NotAStatement)?;
        let envelope = Envelope::sign(PAYLOAD_TYPE, payload, signer);
        let mut bytes = serde_json::to_vec(&envelope).map_err(|_| SignedReportError::NotAStatement)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

impl<P: DeserializeOwned> Statement<P> {
    /// Verifies the envelope around a statement as one of these signers; gives which one it is as well.
    fn verify(
        bytes: &[u8],
        signers: &[PublicName],
        predicate_type: &'static str,
    ) -> Result<(Self, usize), SignedReportError> {
        let envelope = envelope(bytes)?;
        for (index, signer) in signers.iter().enumerate() {
            match envelope.verify(PAYLOAD_TYPE, signer) {
                Ok(payload) => return Ok((Self::parse(payload, predicate_type)?, index)),
                Err(datafuse_core::Error::BadSignature { .. }) => {}
                Err(error) => return Err(SignedReportError::Envelope(error)),
            }
        }
        Err(SignedReportError::NotSigned { signers: signers.iter().map(PublicName::fingerprint).collect() })
    }

    fn parse(payload: &[u8], predicate_type: &'static str) -> Result<Self, SignedReportError> {
        let found = predicate_type_of(payload)?;
        if found != predicate_type {
            return Err(match found.as_str() {
                receipt::PREDICATE_TYPE => SignedReportError::Receipt,
                _ => SignedReportError::NotAStatement,
            });
        }
        serde_json::from_slice(payload).map_err(|_| SignedReportError::NotAStatement)
    }
}

/// Whether bytes are an envelope around a receipt, whoever signed it.
#[must_use]
pub fn is_receipt(bytes: &[u8]) -> bool {
    let kind = envelope(bytes).and_then(|envelope| predicate_type_of(unverified(&envelope)?));
    kind.is_ok_and(|kind| kind == receipt::PREDICATE_TYPE)
}

/// Whether bytes are an envelope, whoever signed it and whatever it holds.
#[must_use]
pub fn is_envelope(bytes: &[u8]) -> bool {
    envelope(bytes).is_ok()
}

fn envelope(bytes: &[u8]) -> Result<Envelope, SignedReportError> {
    if bytes.len() as u64 > MAX_ENVELOPE_BYTES {
        return Err(SignedReportError::TooLarge { bytes: bytes.len() as u64 });
    }
    serde_json::from_slice(bytes)
        .map_err(|error| SignedReportError::NotAnEnvelope { line: error.line(), column: error.column() })
}

fn unverified(envelope: &Envelope) -> Result<&[u8], SignedReportError> {
    envelope.unverified(PAYLOAD_TYPE).map_err(SignedReportError::Envelope)
}

fn predicate_type_of(payload: &[u8]) -> Result<String, SignedReportError> {
    let statement: Statement<serde::de::IgnoredAny> =
        serde_json::from_slice(payload).map_err(|_| SignedReportError::NotAStatement)?;
    if statement.statement_type != STATEMENT_TYPE {
        return Err(SignedReportError::NotAStatement);
    }
    Ok(statement.predicate_type)
}

impl Subject {
    /// Names a holder's list.
    #[must_use]
    pub fn of_list(holder: &ParticipantId, sha256: [u8; 32]) -> Self {
        Self { name: list_name(holder), digest: FileDigest { sha256: hex::encode(sha256) } }
    }

    fn of(name: &str, bytes: &[u8]) -> Self {
        Self { name: name.to_owned(), digest: FileDigest::of(bytes) }
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

    pub(super) fn keys(seed: u64) -> PartyKeys {
        PartyKeys::generate(&mut ChaCha20Rng::seed_from_u64(seed))
    }

    pub(super) fn readers() -> Readers {
        Readers::in_clear(vec!["insights".parse().unwrap()])
    }

    pub(super) fn report() -> Report {
        Report::build(inputs(vec![("email", two_holders())], 1)).unwrap()
    }

    fn signed(report: &Report) -> Vec<u8> {
        let json = report.to_json_pretty();
        SignedReport::sign(report, json.as_bytes(), Some(b"<html>"), &[], readers(), keys(1).identity()).unwrap()
    }

    pub(super) fn names(seeds: &[u64]) -> Vec<PublicName> {
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
        assert_eq!(found.statement.predicate.run.recipients[0].as_str(), "insights");
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
    fn the_lists_that_are_named_are_those_that_the_report_says_were_made() {
        use crate::report::{ListRef, NotMade};
        let list = |holder: &str, not_made: Option<NotMade>| ListRef {
            holder: holder.parse().unwrap(),
            join: datafuse_core::list::Join::Inner,
            kind: "email".parse().unwrap(),
            with: vec!["initech".parse().unwrap()],
            identifiers: not_made.is_none().then_some(7),
            not_made,
        };
        let mut report = report();
        report.lists = vec![list("acme", None), list("globex", Some(NotMade::MinCount))];
        let verified = |lists: &[Subject]| {
            let json = report.to_json_pretty();
            let signed = SignedReport::sign(&report, json.as_bytes(), None, lists, readers(), keys(1).identity());
            SignedReport::verify(&signed.unwrap(), &names(&[1])).map(|(signed, _)| signed)
        };
        let of = |holder: &str| Subject::of_list(&holder.parse().unwrap(), [5; 32]);
        let signed = verified(&[of("acme")]).unwrap();
        let found: Vec<_> =
            signed.statement.lists().map(|(holder, hash)| (holder.to_string(), hash.to_owned())).collect();
        assert_eq!(found, [("acme".to_owned(), "05".repeat(32))]);
        for lists in [vec![], vec![of("globex")], vec![of("acme"), of("globex")]] {
            let error = verified(&lists).unwrap_err();
            assert!(matches!(error, SignedReportError::Contradicts { field: "list of lists" }), "{error}");
        }
        assert_eq!(holder_of_list("lists/acme.list").unwrap().as_str(), "acme");
        for name in ["lists/.list", "lists/../acme.list", "lists/a/b.list", "report.json", "lists", "lists/acme"] {
            assert_eq!(holder_of_list(name), None, "{name}");
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
