//! The report as a page: one self-contained HTML file with the pictures of the overlap.
//!
//! In goes a [`Report`], out comes the text of `report.html`. The file loads nothing from anywhere and runs no script (its
//! content security policy says so); it follows the reader's light or dark setting, prints, keeps apart its colours for
//! colour-blind eyes, and every picture is a table with its numbers beside it. All text is escaped by the template engine. It
//! shows only what the report holds: a withheld count is said to be withheld, never drawn.

mod pictures;
mod waterfall;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::report::{Funnel, KindInfo, Report, number, share};

const STYLE: &str = include_str!("report_html/style.css");

/// Nothing from elsewhere, no script; the style is in the page.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// How many rows a picture or table has at most; the rest is said as a number.
pub(crate) const ROWS: usize = 30;

/// Renders the whole page.
#[must_use]
pub fn render(report: &Report) -> String {
    let from = &report.provenance;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(CONTENT_SECURITY_POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                title { "Common customers, " (from.space) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "Common customers" }
                    p { "Space " strong { (from.space) } ", " (readable_time(&from.at)) }
                }
                main {
                    @for (position, kind) in report.kinds().enumerate() {
                        @if position > 0 { h2 class="kind" { "By " (kind.kind) } }
                        (key_figure(&kind))
                        (pictures::to_scale(kind.overlap, kind.parties))
                        (pictures::regions(kind.overlap, kind.parties))
                        (pictures::at_least(kind.overlap))
                        (pictures::pairs(kind.overlap, kind.parties))
                        (pictures::funnels(kind.parties))
                    }
                    @if let Some(waterfall) = &report.waterfall { (waterfall::section(waterfall)) }
                    (policy(report))
                    (trust(report))
                    (provenance(report))
                }
                footer {
                    "Counts are of distinct identifiers, after normalisation. No plain identifier left its holder to make this report. "
                    "Made by DataFuse " (from.datafuse) "."
                }
            }
        }
    };
    page.into_string()
}

fn key_figure(KindInfo { kind, overlap, parties }: &KindInfo<'_>) -> Markup {
    html! {
        section class="key" {
            div {
                @match overlap.all {
                    Some(_) => div class="figure" { (number(overlap.all)) },
                    None => div class="figure" { (count(None)) },
                }
                div class="what" { "customers in common by " strong { (kind) } ", at " (holders_in_words(parties)) }
                @if let Some(entry) = overlap.at_least.get(1).filter(|_| parties.len() > 2) {
                    div class="what share" { (count(entry.count)) " at two holders or more" }
                }
            }
            table {
                thead { tr { th scope="col" { "Holder" } th scope="col" class="n" { "Customers" } th scope="col" class="n" { "Shared with anyone" } th {} } }
                tbody {
                    @for party in parties.iter().take(8) {
                        tr {
                            th scope="row" { (party.holder) }
                            td class="n" { (count(party.unique)) }
                            td class="n" { (count(party.matched)) }
                            td class="n share" { (share(party.matched, party.unique)) }
                        }
                    }
                }
                @if parties.len() > 8 { caption { "The first 8 of " (parties.len()) " holders" } }
            }
        }
    }
}

fn holders_in_words(parties: &[Funnel]) -> String {
    match parties {
        [one] => one.holder.to_string(),
        [a, b] => format!("both {} and {}", a.holder, b.holder),
        [first @ .., last] if first.len() < 5 => {
            let first: Vec<_> = first.iter().map(|party| party.holder.as_str()).collect();
            format!("all of {} and {}", first.join(", "), last.holder)
        }
        _ => format!("all {} holders", parties.len()),
    }
}

/// `2026-11-20T10:00:00Z` as `2026-11-20 10:00 UTC`; anything else as it is.
fn readable_time(at: &str) -> String {
    match (at.get(..10), at.get(10..11), at.get(11..16), at.ends_with('Z')) {
        (Some(day), Some("T"), Some(time), true) => format!("{day} {time} UTC"),
        _ => at.to_owned(),
    }
}

fn policy(report: &Report) -> Markup {
    let min_count = report.policy.min_count;
    html! {
        section {
            h2 { "What is withheld" }
            @match report.suppressed.first() {
                None if min_count <= 1 => p { "Nothing. The space sets no smallest count (" code { "min_count: " (min_count) } ")." },
                None => p { "Nothing. No count is above zero and under the smallest one published (" code { "min_count: " (min_count) } ")." },
                Some(first) => {
                    p {
                        (number(Some(report.suppressed.len() as u64))) " counts: those above zero and under " (first.min_count)
                        ", and those that would give such a count away. The rule is " code { (first.rule) } ", set by "
                        strong { (first.set_by) } "."
                    }
                    details {
                        summary { "Which counts" }
                        ul class="mono" {
                            @for cell in report.suppressed.iter().take(200) { li { (cell.cell) } }
                        }
                        @if report.suppressed.len() > 200 { p class="note" { (report.suppressed.len() - 200) " more in report.json" } }
                    }
                }
            }
        }
    }
}

/// What a reader has to know of datasets that nothing authenticates; nothing where there are none.
fn trust(report: &Report) -> Markup {
    html! {
        @if let Some(text) = report.unauthenticated_text() {
            section {
                h2 { "What is not authenticated" }
                p { (text) }
                @for warning in &report.warnings { p { strong { (warning.text()) } } }
            }
        }
    }
}

fn provenance(report: &Report) -> Markup {
    let from = &report.provenance;
    html! {
        section {
            h2 { "Where it comes from" }
            p { "The SHA-256 is of the protected dataset as its holder delivered it: each holder can compare it with its own." }
            dl {
                dt { "Event" } dd { (from.event_type) ", " span class="mono" { (from.event) } }
                dt { "Space" } dd { (from.space) ", epoch " (from.epoch) }
                dt { "Root" } dd class="mono" { (from.root) }
                dt { "Made" } dd { (from.at) ", by DataFuse " (from.datafuse) }
                dt { "Schema" } dd { (report.schema) }
            }
            div class="scroll" {
                table {
                    thead { tr { th scope="col" { "Holder" } th scope="col" { "Dataset" } th scope="col" class="n" { "Version" } th scope="col" { "SHA-256" } } }
                    tbody {
                        @for dataset in &from.datasets {
                            tr {
                                th scope="row" { (dataset.holder) }
                                td { (dataset.dataset) @if dataset.unauthenticated { " (unauthenticated)" } }
                                td class="n" { (dataset.version) }
                                td class="mono" { (dataset.sha256) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A count, or the mark of one that is withheld.
pub(crate) fn count(count: Option<u64>) -> Markup {
    match count {
        Some(_) => html! { (number(count)) },
        None => html! { span class="withheld" { "withheld" } },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        match_table::MatchTable,
        report::tests::{inputs, table, two_holders},
    };

    fn page(table: MatchTable, min_count: u64) -> String {
        render(&Report::build(inputs(vec![("email", table)], min_count)).unwrap())
    }

    #[test]
    fn shows_the_key_figure_and_loads_nothing() {
        let page = page(two_holders(), 1);
        assert!(page.contains("<div class=\"figure\">4,210</div>"));
        assert!(page.contains("both acme and globex"));
        for foreign in
            ["<script", "http:", "https:", "<link", "<img", "<iframe", "@import", "url(", "javascript:", " on"]
        {
            let tags_only = page.split('<').map(|tag| tag.split('>').next().unwrap()).collect::<Vec<_>>().join("<");
            let found = if foreign == " on" {
                tags_only.contains(" onclick") || tags_only.contains(" onload")
            } else {
                page.contains(foreign)
            };
            assert!(!found, "{foreign}");
        }
    }

    #[test]
    fn escapes_every_text() {
        let mut report = Report::build(inputs(vec![("email", two_holders())], 1)).unwrap();
        let hostile = "<script>alert('&\"')</script>";
        report.provenance.event_type = hostile.into();
        report.provenance.at = hostile.into();
        report.provenance.datafuse = hostile.into();
        report.provenance.root = hostile.into();
        report.provenance.datasets[0].sha256 = hostile.into();
        report.schema = hostile.into();
        let page = render(&report);
        assert!(!page.contains("<script"));
        assert_eq!(page.matches("&lt;script&gt;").count(), 8);
    }

    #[test]
    fn withheld_counts_are_not_drawn() {
        let page = page(table(&["acme", "globex"], &[(&[0], 90), (&[0, 1], 3), (&[1], 80)]), 5);
        assert!(page.contains("<span class=\"withheld\">withheld</span>"));
        assert!(page.contains("set by <strong>globex</strong>"));
        assert!(!page.contains("To scale"));
    }

    #[test]
    fn caps_every_picture_and_says_so() {
        let names: Vec<_> = (0..40).map(|i| format!("h{i:02}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let sets: Vec<_> = (0..40_usize).map(|i| ([i, (i + 1) % 40], i as u64 + 1)).collect();
        let regions: Vec<_> = sets.iter().map(|(set, count)| (set.as_slice(), *count)).collect();
        let page = page(table(&names, &regions), 1);
        assert!(page.contains("Groups not shown here: 10."), "regions");
        assert!(page.contains("The first 30 of 40 holders"), "pairs");
        assert!(page.len() < 400_000);
    }

    #[test]
    fn several_kinds_have_a_heading_each() {
        let report = Report::build(inputs(vec![("email", two_holders()), ("phone", two_holders())], 1)).unwrap();
        assert!(render(&report).contains("<h2 class=\"kind\">By phone</h2>"));
    }

    #[test]
    fn an_empty_overlap_is_a_page_too() {
        let page = page(table(&["acme", "globex"], &[]), 1);
        assert!(page.contains("<div class=\"figure\">0</div>"));
        assert!(page.contains("No customers at all."));
    }
}
