//! `quality.json`: what a check of all datasets of a space found. For each holder, dataset and model a verdict, its rules with
//! their outcomes, and counts of rows; never a value, and never where a dataset lies.
//!
//! The schema is committed as `docs/quality.schema.json`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::result::{ModelResult, RuleOutcome, Verdict};

/// The name of this version of the document.
pub const QUALITY_SCHEMA: &str = "datafuse/quality/v1";

/// The document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "QualityReport")]
pub struct QualityReport {
    /// `datafuse/quality/v1`.
    pub schema: String,
    /// NOK where one of the datasets is.
    pub verdict: Verdict,
    /// The holders that take part, by name.
    pub holders: Vec<HolderQuality>,
    /// Where it all comes from.
    pub provenance: QualityProvenance,
}

/// What a holder brings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HolderQuality {
    /// The holder.
    pub holder: String,
    /// Its datasets, by name.
    pub datasets: Vec<DatasetQuality>,
}

/// What became of a dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DatasetQuality {
    /// The dataset.
    pub dataset: String,
    /// Its contract; without one nothing is checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<ContractRef>,
    /// Whether all is well; none without a contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Why nothing of it could be checked, where that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether it was checked as a protected dataset: without the columns that became tokens.
    #[serde(default)]
    pub protected: bool,
    /// Its models, in the contract's order.
    pub models: Vec<ModelResult>,
}

impl DatasetQuality {
    /// Describes a dataset that nothing was agreed about.
    #[must_use]
    pub fn without_contract(dataset: impl ToString) -> Self {
        Self {
            dataset: dataset.to_string(),
            contract: None,
            verdict: None,
            error: None,
            protected: false,
            models: Vec::new(),
        }
    }

    /// Describes a dataset that could not be checked.
    #[must_use]
    pub fn failed(dataset: impl ToString, contract: ContractRef, why: impl Into<String>) -> Self {
        let (contract, verdict) = (Some(contract), Some(Verdict::Nok));
        Self { contract, verdict, error: Some(why.into()), ..Self::without_contract(dataset) }
    }

    /// Describes a dataset that was checked.
    #[must_use]
    pub fn checked(dataset: impl ToString, contract: ContractRef, protected: bool, models: Vec<ModelResult>) -> Self {
        let nok = models.is_empty() || models.iter().any(|model| model.verdict == Verdict::Nok);
        let verdict = Some(if nok { Verdict::Nok } else { Verdict::Ok });
        Self { contract: Some(contract), verdict, protected, models, ..Self::without_contract(dataset) }
    }
}

/// Which contract a dataset was checked against.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContractRef {
    /// Its name or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Where a document comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QualityProvenance {
    /// The space.
    pub space: String,
    /// The event.
    pub event: String,
    /// The event's type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The version of DataFuse.
    pub datafuse: String,
    /// When.
    pub at: String,
}

impl QualityReport {
    /// Makes the document of what was found.
    #[must_use]
    pub fn new(holders: Vec<HolderQuality>, provenance: QualityProvenance) -> Self {
        let datasets = || holders.iter().flat_map(|holder| &holder.datasets);
        let nok = datasets().any(|dataset| dataset.verdict == Some(Verdict::Nok));
        let verdict = if nok { Verdict::Nok } else { Verdict::Ok };
        Self { schema: QUALITY_SCHEMA.to_owned(), verdict, holders, provenance }
    }

    /// Writes it as JSON with line breaks.
    #[must_use]
    pub fn to_json_pretty(&self) -> String {
        // Neither maps with other keys than texts nor anything else that could fail is in it.
        serde_json::to_string_pretty(self).map(|text| text + "\n").unwrap_or_default()
    }

    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with the JSON.
    pub fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// How many rules of all datasets came to an outcome.
    #[must_use]
    pub fn count(&self, outcome: RuleOutcome) -> usize {
        let datasets = self.holders.iter().flat_map(|holder| &holder.datasets);
        datasets.flat_map(|dataset| &dataset.models).map(|model| model.count(outcome)).sum()
    }
}

/// The JSON schema of the document.
#[must_use]
pub fn quality_schema() -> serde_json::Value {
    schemars::schema_for!(QualityReport).to_value()
}
