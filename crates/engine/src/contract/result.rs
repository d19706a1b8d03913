//! What a check found: for each rule whether it is kept, and how many rows it concerns. Never a value.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::RuleKind;

/// Whether a rule is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleOutcome {
    /// It is.
    Passed,
    /// It is not.
    Failed,
    /// It could not be checked although it should have been.
    Error,
    /// This program does not check it.
    NotChecked,
}

impl RuleOutcome {
    /// The words for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Error => "error",
            Self::NotChecked => "not checked",
        }
    }
}

/// Whether a model's data is as its contract says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// Every rule that was checked passed.
    Ok,
    /// At least one rule failed, or could not be checked although it should have been.
    Nok,
}

impl Verdict {
    /// The platform's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Nok => "NOK",
        }
    }
}

/// What became of one rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RuleResult {
    /// Where the contract has the rule: `schema[0].properties[2].quality[1]`.
    pub place: String,
    /// Of which sort it is.
    pub rule: RuleKind,
    /// The column that it is about, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// What it asks, in words.
    pub asks: String,
    /// Whether it is kept.
    pub outcome: RuleOutcome,
    /// How many rows do not keep it; for `row_count`, how many rows there are. Queries have none: their result may be a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Why, where there is more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What became of a model's rules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelResult {
    /// The model.
    pub model: String,
    /// Whether all is well.
    pub verdict: Verdict,
    /// How many rows were read.
    pub rows: u64,
    /// How many more could not be read.
    pub rejected: u64,
    /// Its rules, in the contract's order.
    pub rules: Vec<RuleResult>,
}

impl ModelResult {
    /// Sums up rules.
    #[must_use]
    pub fn new(model: &str, rows: u64, rejected: u64, rules: Vec<RuleResult>) -> Self {
        let bad = |rule: &RuleResult| matches!(rule.outcome, RuleOutcome::Failed | RuleOutcome::Error);
        let verdict = if rules.iter().any(bad) { Verdict::Nok } else { Verdict::Ok };
        Self { model: model.to_owned(), verdict, rows, rejected, rules }
    }

    /// Describes data that could not be read at all.
    #[must_use]
    pub fn unreadable(model: &str, why: impl Into<String>) -> Self {
        let rule = RuleResult {
            place: String::new(),
            rule: RuleKind::Data,
            column: None,
            asks: "the data can be read".to_owned(),
            outcome: RuleOutcome::Error,
            rows: None,
            detail: Some(why.into()),
        };
        Self::new(model, 0, 0, vec![rule])
    }

    /// How many rules came to an outcome.
    #[must_use]
    pub fn count(&self, outcome: RuleOutcome) -> usize {
        self.rules.iter().filter(|rule| rule.outcome == outcome).count()
    }
}
