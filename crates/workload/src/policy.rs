//! Why a report is refused: the rule, the datasets, and who set it. Never how many identifiers there are.

use datafuse_core::id::{DatasetId, KindName, ParticipantId};
use datafuse_space::Rule;

/// A refusal of the policy. Trying again changes nothing: data or agreement have to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A dataset is smaller than somebody allows.
    #[error(
        "dataset '{dataset}' of '{holder}' has fewer than {limit} distinct identifiers of kind '{kind}': min_dataset_size, set by {set_by}"
    )]
    TooSmall {
        /// Whose dataset.
        holder: ParticipantId,
        /// Which.
        dataset: DatasetId,
        /// The kind.
        kind: KindName,
        /// The limit.
        limit: u64,
        /// Who set it: `space`, or a participant.
        set_by: String,
    },
    /// A dataset is larger than somebody allows.
    #[error(
        "dataset '{dataset}' of '{holder}' has more than {limit} distinct identifiers of kind '{kind}': max_dataset_size, set by {set_by}"
    )]
    TooLarge {
        /// Whose dataset.
        holder: ParticipantId,
        /// Which.
        dataset: DatasetId,
        /// The kind.
        kind: KindName,
        /// The limit.
        limit: u64,
        /// Who set it: `space`, or a participant.
        set_by: String,
    },
    /// A dataset differs too little from one that was reported before.
    #[error(
        "dataset '{dataset}' of '{holder}' differs in fewer than {limit} identifiers of kind '{kind}' from one that was reported with '{partner}' before: differencing_guard, set by {set_by}"
    )]
    TooSimilar {
        /// Whose dataset.
        holder: ParticipantId,
        /// Which.
        dataset: DatasetId,
        /// With whom it was reported.
        partner: ParticipantId,
        /// The kind.
        kind: KindName,
        /// The limit.
        limit: u64,
        /// Who set it: `space`, or a participant.
        set_by: String,
    },
    /// Two datasets were reported as often as a day allows.
    #[error(
        "the datasets of '{a}' and '{b}' were in {limit} different reports today: reports_per_pair_per_day, set by {set_by}"
    )]
    Exhausted {
        /// The one holder.
        a: ParticipantId,
        /// The other.
        b: ParticipantId,
        /// The limit.
        limit: u64,
        /// Who set it: `space`, or a participant.
        set_by: String,
    },
}

impl PolicyError {
    /// Gives the rule that refused.
    #[must_use]
    pub fn rule(&self) -> Rule {
        match self {
            Self::TooSmall { .. } => Rule::MinDatasetSize,
            Self::TooLarge { .. } => Rule::MaxDatasetSize,
            Self::TooSimilar { .. } => Rule::DifferencingGuard,
            Self::Exhausted { .. } => Rule::ReportsPerPairPerDay,
        }
    }

    /// Names who set the rule: `space`, or a participant.
    #[must_use]
    pub fn set_by(&self) -> &str {
        match self {
            Self::TooSmall { set_by, .. }
            | Self::TooLarge { set_by, .. }
            | Self::TooSimilar { set_by, .. }
            | Self::Exhausted { set_by, .. } => set_by,
        }
    }

    /// Gives the error's class.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self.rule() {
            Rule::MinDatasetSize => "policy-min-dataset-size",
            Rule::MaxDatasetSize => "policy-max-dataset-size",
            Rule::ReportsPerPairPerDay => "policy-reports-per-pair-per-day",
            Rule::DifferencingGuard => "policy-differencing-guard",
        }
    }

    /// Says what to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::TooSmall { holder, .. } => {
                format!("--holders without '{holder}'; or it protects a larger dataset (datafuse protect)")
            }
            Self::TooLarge { holder, .. } => {
                format!("--holders without '{holder}'; or it protects a smaller dataset (datafuse protect)")
            }
            Self::TooSimilar { holder, .. } => format!(
                "ask again when the data of '{holder}' has changed more; with the data reported before the answer is the former one"
            ),
            Self::Exhausted { a, b, .. } => {
                format!(
                    "ask again tomorrow (UTC), or --holders without '{a}' or '{b}'; a question asked before is still answered"
                )
            }
        }
    }
}
