//! What the protocol refuses. No variant ever holds an identifier, a token or a key; public names and ids may appear.

use crate::{id::Epoch, name::PublicName};

/// The result of a protocol operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the protocol refused something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A readable name does not have the agreed form.
    #[error("{what} '{value}' is not a valid name: {rule}")]
    InvalidId {
        /// Which kind of name.
        what: &'static str,
        /// The text as given (names are public).
        value: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// A text is not a public name.
    #[error("not a public name: {reason}")]
    InvalidPublicName {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Structured bytes of a version that this program does not know.
    #[error("{what} has version {found}, this program knows version {known}")]
    UnknownVersion {
        /// Which structure.
        what: &'static str,
        /// The version found.
        found: u64,
        /// The version known.
        known: u64,
    },
    /// Bytes that are not the one encoding of the structure.
    #[error("{what} is damaged or not a {what} at all")]
    Malformed {
        /// Which structure.
        what: &'static str,
    },
    /// A structure says something else than is expected here.
    #[error("{what} is of another {field}: expected {expected}, found {found}")]
    Mismatch {
        /// Which structure.
        what: &'static str,
        /// The field that differs.
        field: &'static str,
        /// The value expected.
        expected: String,
        /// The value found.
        found: String,
    },
    /// A signature does not verify.
    #[error("{what} is not signed by {signer}")]
    BadSignature {
        /// Which structure.
        what: &'static str,
        /// Fingerprint of the party that should have signed.
        signer: String,
    },
    /// A sealed part does not open with the key at hand.
    #[error("{what} does not open: it was altered, or sealed to another key")]
    Unopenable {
        /// Which structure.
        what: &'static str,
    },
    /// A dataset is not newer than what was seen.
    #[error("dataset '{dataset}' has version {found}, but version {seen} was already accepted")]
    StaleVersion {
        /// The dataset.
        dataset: String,
        /// Its version.
        found: u64,
        /// The version already accepted.
        seen: u64,
    },
    /// A token is not the canonical encoding of a group element, or the identity.
    #[error("token {index} of the batch is {}", if *identity { "the identity element" } else { "not a group element" })]
    InvalidToken {
        /// Position in the batch, from 0.
        index: usize,
        /// Whether it decodes, but to the identity.
        identity: bool,
    },
    /// A scalar is zero or not in canonical form.
    #[error("{what} holds a number that is zero or not in canonical form")]
    InvalidScalar {
        /// Which structure.
        what: &'static str,
    },
    /// A point is not a group element, or the identity.
    #[error("{what} holds a point that is not a group element")]
    InvalidPoint {
        /// Which structure.
        what: &'static str,
    },
    /// A message came from a party that has no part in this step.
    #[error("{sender} is not a steward of this space")]
    NotASteward {
        /// Fingerprint of the sender.
        sender: String,
    },
    /// A repeated message says something else than the first.
    #[error("{sender} sent two different {what}s for the same step")]
    Conflict {
        /// Which structure.
        what: &'static str,
        /// Fingerprint of the sender.
        sender: String,
    },
    /// A holder answered with another number of commitments than there are stewards.
    #[error("the answer names {found} stewards, the space has {expected}")]
    WrongStewardCount {
        /// Stewards of the space.
        expected: usize,
        /// Commitments in the answer.
        found: usize,
    },
    /// An enrolment with fewer than two stewards: one alone would hold the matching key.
    #[error("an enrolment needs two stewards or more, and there are {found}")]
    TooFewStewards {
        /// How many there are.
        found: usize,
    },
    /// What a steward sent to a holder and what it sent to the workload do not belong together.
    #[error("steward {steward} and holder {holder} disagree about the share that one sent to the other", steward = steward.fingerprint(), holder = holder.fingerprint())]
    Disagreement {
        /// The steward.
        steward: Box<PublicName>,
        /// The holder.
        holder: Box<PublicName>,
    },
    /// The workload announced two things under one serial.
    #[error("two different announcements have serial {serial} of epoch {epoch}")]
    TwoAnnouncements {
        /// The epoch.
        epoch: Epoch,
        /// The serial.
        serial: u64,
    },
    /// An announcement or status is older than one already seen.
    #[error(
        "{what} of epoch {epoch}, serial {serial} is older than what was seen before (epoch {seen_epoch}, serial {seen_serial})"
    )]
    Replayed {
        /// Which structure.
        what: &'static str,
        /// Its epoch.
        epoch: Epoch,
        /// Its serial.
        serial: u64,
        /// The highest epoch seen.
        seen_epoch: Epoch,
        /// The highest serial seen in it.
        seen_serial: u64,
    },
}

impl Error {
    /// Says what to do about it, where there is something to do.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::InvalidId { rule, .. } => format!("choose another name: {rule}"),
            Self::InvalidPublicName { .. } => {
                "copy the whole dfpub1... text again, from the party itself (datafuse keygen printed it)".into()
            }
            Self::UnknownVersion { .. } => "use the version of datafuse that the other parties use".into(),
            Self::Malformed { .. } | Self::Unopenable { .. } | Self::BadSignature { .. } => {
                "have its sender make it again, and compare the sender's public name in space.yaml with the sender"
                    .into()
            }
            Self::Mismatch { field: "profile" | "identifier kinds", .. } => {
                "all parties need the same space.yaml; protect the dataset again with it".into()
            }
            Self::Mismatch { field: "root", .. } => {
                "all parties need the very same space.yaml (id, nonce, workload, stewards, identifiers)".into()
            }
            Self::Mismatch { field: "epoch", .. } => {
                "enrol in the open epoch (datafuse enrol), then bring the dataset over (datafuse protect --rekey FILE) or protect \
                 it again"
                    .into()
            }
            Self::Mismatch { field: "key id", .. } => {
                "run datafuse enrol with the key file in use, then bring the dataset over (datafuse protect --rekey FILE) or \
                 protect it again"
                    .into()
            }
            Self::Mismatch { what: "dataset", field: "holder", .. } => {
                "where its holder has new keys: datafuse protect --rekey FILE; else check that the file lies where space.yaml \
                 says and belongs to that party"
                    .into()
            }
            Self::Mismatch { what: "list", field: "holder", .. } => {
                "a list opens with the key file of the holder for whom it was made: --key FILE".into()
            }
            Self::Mismatch { what: "list", .. } => {
                "give the space.yaml of the space in which the list was made, with its workload's name".into()
            }
            Self::Mismatch { .. } => "check that the file lies where space.yaml says and belongs to that party".into(),
            Self::StaleVersion { .. } => "protect the dataset again: each run of protect makes a newer version".into(),
            Self::InvalidToken { .. } => {
                "protect the dataset again; if it was altered on its way, find out where".into()
            }
            Self::InvalidScalar { .. } | Self::InvalidPoint { .. } => {
                "have its sender make it again with an unmodified datafuse".into()
            }
            Self::NotASteward { .. } => {
                "stewards are fixed when the space is made; the sender needs the same space.yaml".into()
            }
            Self::Conflict { .. } => {
                "have the sender check its key file: a party's messages within an epoch never change".into()
            }
            Self::WrongStewardCount { .. } => "the holder needs the same space.yaml".into(),
            Self::TooFewStewards { .. } => "name two data holders or more as stewards when the space is made".into(),
            Self::Disagreement { .. } => {
                "both enrol again (datafuse enrol); if it stays, one of the two runs a modified program".into()
            }
            Self::TwoAnnouncements { .. } => {
                "ask the workload's operator which is right: somebody else may announce with the workload's key".into()
            }
            Self::Replayed { .. } => {
                "somebody put an old file back into the mailbox; ask the workload's operator for the current one".into()
            }
        })
    }
}
