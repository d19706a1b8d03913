//! Why a report is refused: the rule, the datasets, and who set it. Never how many identifiers there are.

use datafuse_core::{
    epsilon::Epsilon,
    id::{DatasetId, KindName, ParticipantId},
};

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
    /// A dataset has the identifiers of one that was reported before, and other rows.
    #[error(
        "dataset '{dataset}' of '{holder}' has the same identifiers of kind '{kind}' as one that was reported with '{partner}' before, and other rows or kept columns: differencing_guard, set by {set_by}"
    )]
    OtherRows {
        /// Whose dataset.
        holder: ParticipantId,
        /// Which.
        dataset: DatasetId,
        /// With whom it was reported.
        partner: ParticipantId,
        /// The kind.
        kind: KindName,
        /// Who set it: `space`, or a participant.
        set_by: String,
    },
    /// The very identifiers were reported with this partner before, and fewer, more or other holders took part.
    #[error(
        "dataset '{dataset}' of '{holder}' has identifiers of kind '{kind}' that were reported with '{partner}' before, together with other holders than now: differencing_guard, set by {set_by}"
    )]
    OtherCompany {
        /// Whose dataset.
        holder: ParticipantId,
        /// Which.
        dataset: DatasetId,
        /// With whom it was reported.
        partner: ParticipantId,
        /// The kind.
        kind: KindName,
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
    /// A dataset has not enough of its privacy budget left.
    #[error(
        "dataset '{dataset}' of '{holder}' has {left} of its epsilon budget of {budget} left, and a report costs it {cost}: differential_privacy, set by {set_by}"
    )]
    EpsilonExhausted {
        /// Whose dataset.
        holder: ParticipantId,
        /// Which.
        dataset: DatasetId,
        /// What the report would spend.
        cost: Epsilon,
        /// What is left.
        left: Epsilon,
        /// What there is in all.
        budget: Epsilon,
        /// Who set it: `space`, or a participant.
        set_by: String,
    },
}

impl PolicyError {
    /// Names who set the rule: `space`, or a participant.
    #[must_use]
    pub fn set_by(&self) -> &str {
        match self {
            Self::TooSmall { set_by, .. }
            | Self::TooLarge { set_by, .. }
            | Self::TooSimilar { set_by, .. }
            | Self::OtherRows { set_by, .. }
            | Self::OtherCompany { set_by, .. }
            | Self::Exhausted { set_by, .. }
            | Self::EpsilonExhausted { set_by, .. } => set_by,
        }
    }

    /// Gives the error's class.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::TooSmall { .. } => "policy-min-dataset-size",
            Self::TooLarge { .. } => "policy-max-dataset-size",
            Self::Exhausted { .. } => "policy-reports-per-pair-per-day",
            Self::TooSimilar { .. } | Self::OtherRows { .. } | Self::OtherCompany { .. } => "policy-differencing-guard",
            Self::EpsilonExhausted { .. } => "policy-epsilon",
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
            Self::TooSimilar { holder, .. } | Self::OtherRows { holder, .. } => format!(
                "ask again when the data of '{holder}' has changed more; with the data reported before the answer is the former one"
            ),
            Self::OtherCompany { holder, partner, .. } => format!(
                "--holders with the same holders as before; or ask again when the data of '{holder}' and '{partner}' have changed more"
            ),
            Self::EpsilonExhausted { holder, .. } => format!(
                "--holders without '{holder}'; or all agree on a larger budget or a smaller epsilon; a question asked before is still answered"
            ),
            Self::Exhausted { a, b, .. } => {
                format!(
                    "ask again tomorrow (UTC), or --holders without '{a}' or '{b}'; a question asked before is still answered"
                )
            }
        }
    }
}
