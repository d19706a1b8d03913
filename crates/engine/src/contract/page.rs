//! `quality.html`: the same as a page, in the manner of the report's: self-contained, no script, nothing from elsewhere; an
//! outcome is a sign and a word, so that nobody needs its colour.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{
    document::{DatasetQuality, QualityReport},
    result::{ModelResult, RuleOutcome, RuleResult, Verdict},
};
use crate::report::number;

const STYLE: &str = include_str!("../report_html/style.css");
const OWN_STYLE: &str = "\
.ok, .nok, .none { font-weight: 600; white-space: nowrap; } .ok { color: var(--all); } .nok { color: var(--invalid); }\
 .none { color: var(--muted); font-weight: 400; } td.asks { overflow-wrap: anywhere; } h3 { margin: 1.25rem 0 .25rem; font-size: 1rem; }";
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
/// How many rules of a model are listed, those that are not kept first.
const RULES: usize = 500;

/// Renders the page.
#[must_use]
pub fn render(report: &QualityReport) -> String {
    let from = &report.provenance;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(CONTENT_SECURITY_POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                title { "Data quality, " (from.space) }
                style { (PreEscaped(STYLE)) (PreEscaped(OWN_STYLE)) }
            }
            body {
                header {
                    h1 { "Data quality" }
                    p { "Space " strong { (from.space) } ", " (from.at) }
                }
                main {
                    (summary(report))
                    @for holder in &report.holders {
                        @for dataset in &holder.datasets { (of_dataset(&holder.holder, dataset)) }
                    }
                    section {
                        h2 { "Where it comes from" }
                        p { "Event " span class="mono" { (from.event) } ", " (from.event_type) ". Counts are of rows; no value of any dataset is in this page." }
                    }
                }
                footer { "Made by DataFuse " (from.datafuse) "." }
            }
        }
    };
    page.into_string()
}

fn summary(report: &QualityReport) -> Markup {
    html! {
        section {
            h2 { "Summary" }
            p {
                (verdict(Some(report.verdict))) ": "
                (report.count(RuleOutcome::Passed)) " rules passed, " (report.count(RuleOutcome::Failed)) " failed, "
                (report.count(RuleOutcome::Error)) " could not be checked, " (report.count(RuleOutcome::NotChecked))
                " are not checked by this program."
            }
            div class="scroll" { table {
                thead { tr { th scope="col" { "Holder" } th scope="col" { "Dataset" } th scope="col" { "Model" } th scope="col" { "Verdict" } th scope="col" class="n" { "Rows" } } }
                tbody {
                    @for holder in &report.holders { @for dataset in &holder.datasets {
                        @for model in &dataset.models {
                            tr { th scope="row" { (holder.holder) } td { (dataset.dataset) } td { (model.model) } td { (verdict(Some(model.verdict))) } td class="n" { (number(Some(model.rows))) } }
                        }
                        @if dataset.models.is_empty() {
                            tr { th scope="row" { (holder.holder) } td { (dataset.dataset) } td {} td { (verdict(dataset.verdict)) } td {} }
                        }
                    } }
                }
            } }
        }
    }
}

fn of_dataset(holder: &str, dataset: &DatasetQuality) -> Markup {
    html! {
        section {
            h2 { (holder) ", " (dataset.dataset) }
            @match &dataset.contract {
                None => p { "Nothing is agreed about this dataset: it has no data contract." },
                Some(contract) => p {
                    "Contract " strong { (contract.name.as_deref().unwrap_or("without a name")) }
                    @if let Some(version) = &contract.version { ", version " (version) }
                    "."
                    @if dataset.protected { " Checked as it was delivered: protected, so without the columns that became tokens." }
                },
            }
            @if let Some(error) = &dataset.error { p { (outcome(RuleOutcome::Error)) " " (error) } }
            @for model in &dataset.models { (of_model(model)) }
        }
    }
}

fn of_model(model: &ModelResult) -> Markup {
    let mut rules: Vec<&RuleResult> = model.rules.iter().collect();
    rules.sort_by_key(|rule| match rule.outcome {
        RuleOutcome::Failed => 0,
        RuleOutcome::Error => 1,
        RuleOutcome::NotChecked => 2,
        RuleOutcome::Passed => 3,
    });
    html! {
        h3 { (model.model) ": " (verdict(Some(model.verdict))) ", " (number(Some(model.rows))) " rows" }
        div class="scroll" { table {
            thead { tr { th scope="col" { "Outcome" } th scope="col" { "Rule" } th scope="col" { "Column" } th scope="col" { "Asks" } th scope="col" class="n" { "Rows" } th scope="col" { "Detail" } } }
            tbody {
                @for rule in rules.iter().take(RULES) {
                    tr {
                        td { (outcome(rule.outcome)) }
                        td { (rule.rule.as_str()) }
                        td { (rule.column.as_deref().unwrap_or_default()) }
                        td class="asks" { (rule.asks) }
                        td class="n" { @if let Some(rows) = rule.rows { (number(Some(rows))) } }
                        td class="asks" { (rule.detail.as_deref().unwrap_or_default()) }
                    }
                }
            }
        } }
        @if rules.len() > RULES { p class="note" { (rules.len() - RULES) " more in quality.json" } }
    }
}

fn verdict(verdict: Option<Verdict>) -> Markup {
    match verdict {
        Some(Verdict::Ok) => html! { span class="ok" { "\u{2713} OK" } },
        Some(Verdict::Nok) => html! { span class="nok" { "\u{2717} NOK" } },
        None => html! { span class="none" { "no contract" } },
    }
}

fn outcome(outcome: RuleOutcome) -> Markup {
    match outcome {
        RuleOutcome::Passed => html! { span class="ok" { "\u{2713} passed" } },
        RuleOutcome::Failed => html! { span class="nok" { "\u{2717} failed" } },
        RuleOutcome::Error => html! { span class="nok" { "! error" } },
        RuleOutcome::NotChecked => html! { span class="none" { "\u{2013} not checked" } },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{ContractRef, DatasetQuality, HolderQuality, QualityProvenance, RuleKind};

    #[test]
    fn every_text_is_escaped_and_nothing_comes_from_elsewhere() {
        let hostile = "<script src=x>";
        let rule = RuleResult {
            place: hostile.into(),
            rule: RuleKind::Text,
            column: Some(hostile.into()),
            asks: hostile.into(),
            outcome: RuleOutcome::Failed,
            rows: Some(12_345),
            detail: Some(hostile.into()),
        };
        let contract = ContractRef { name: Some(hostile.into()), version: Some(hostile.into()) };
        let checked = DatasetQuality::checked("d", contract, true, vec![ModelResult::new(hostile, 1, 0, vec![rule])]);
        let datasets = vec![checked, DatasetQuality::without_contract("other")];
        let provenance = QualityProvenance {
            space: hostile.into(),
            event: "e".into(),
            event_type: "CHECK_DATA_QUALITY".into(),
            datafuse: "0".into(),
            at: "now".into(),
        };
        let report = QualityReport::new(vec![HolderQuality { holder: "acme".into(), datasets }], provenance);
        assert_eq!(report.verdict, Verdict::Nok);
        let page = render(&report);
        assert!(!page.contains("<script") && page.contains("&lt;script"));
        assert!(!page.contains("http://") && !page.contains("https://"));
        assert!(page.contains("12,345") && page.contains("no contract") && page.contains("\u{2717} NOK"));
    }
}
