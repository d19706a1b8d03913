//! The report as a page: one self-contained HTML file with the pictures of the overlap.
//!
//! In goes a [`Report`], out comes the text of `report.html`. The file loads nothing from anywhere and runs no script (its
//! content security policy says so, and admits no style but its own); it follows the reader's light or dark setting, prints,
//! keeps apart its colours for colour-blind eyes, and every picture is a table with its numbers or stands beside one. All text is
//! escaped by the template engine. It shows only what the report holds: a withheld count is hatched, never drawn to a size.
//! `docs/report-pictures.md` says why the pictures are made here and not by a chart library.

mod aggregates;
mod funnels;
mod groups;
mod lanes;
mod lists;
mod marks;
mod matrix;
mod venn;
mod waterfall;

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use datafuse_core::id::KindName;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use crate::report::{
    Count, Funnel, KindInfo, Output, Overlap, RULE_DOMINANCE, RULE_MAX_GROUPS, RULE_MIN_COUNT, Report, Suppressed,
    number, share,
};
use marks::{bar, count, patterns, row_head, scroll};

const STYLE: &str = include_str!("report_html/style.css");

/// How many holders stand beside the key figure.
const KEY_HOLDERS: usize = 8;

/// How many withheld counts are named; the rest is said as a number.
const CELLS: usize = 200;

/// Renders the whole page.
#[must_use]
pub fn render(report: &Report) -> String {
    let from = &report.provenance;
    let several = !report.by_kind.is_empty();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(content_security_policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { "Common customers, " (from.space) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (patterns())
                header {
                    h1 { "Common customers" }
                    p { "Space " strong { (from.space) } ", " (readable_time(&from.at)) }
                    @for text in report.noise_text().into_iter().chain(report.rounding_text()) { p { (text) } }
                    @if several {
                        nav aria-label="Kinds of identifiers" {
                            ul { @for kind in report.kinds() { li { a href={ "#by-" (kind.kind) } { "By " (kind.kind) ": " (number(kind.overlap.all)) } } } }
                        }
                    }
                }
                main {
                    @for KindInfo { kind, overlap, parties } in report.kinds() {
                        @let chapter = Chapter { kind, overlap, parties, several };
                        @if several { h2 class="kind" id={ "by-" (kind) } { "By " (kind) } }
                        (key_figure(report, &chapter))
                        @if report.shows(Output::Regions) {
                            (groups::groups(&chapter))
                            (groups::to_scale(&chapter))
                        }
                        @if report.shows(Output::AtLeast) { (groups::at_least(&chapter)) }
                        @if report.shows(Output::Pairwise) { (matrix::pairs(&chapter)) }
                        @if report.shows(Output::Parties) { (funnels::funnels(&chapter)) }
                    }
                    @if let Some(waterfall) = &report.waterfall { (waterfall::by_kind(waterfall, several)) }
                    @if !report.lists.is_empty() { (lists::received(&report.lists, several)) }
                    @for aggregates in &report.aggregates { (aggregates::tables(aggregates, several)) }
                    @if several { h2 class="kind" { "About this report" } }
                    (policy(report, several))
                    (trust(report, several))
                    (provenance(report, several))
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

/// Nothing from elsewhere, no script, and no style but the one in the page, which it names by its SHA-256.
fn content_security_policy() -> String {
    let hash = BASE64_STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'")
}

/// What the page says of one kind.
struct Chapter<'a> {
    kind: &'a KindName,
    overlap: &'a Overlap,
    parties: &'a [Funnel],
    /// Whether the page has chapters on other kinds.
    several: bool,
}

impl Chapter<'_> {
    /// Makes a section of the chapter.
    fn section(&self, title: &str, body: &Markup) -> Markup {
        section(self.several, title, body)
    }

    /// Names a picture or a region, unlike any other of the page.
    fn label(&self, what: &str) -> String {
        format!("{what}, by {}", self.kind)
    }
}

/// A section, with its heading below that of the chapter where there are several.
fn section(several: bool, title: &str, body: &Markup) -> Markup {
    html! {
        section {
            @if several { h3 { (title) } } @else { h2 { (title) } }
            (body)
        }
    }
}

fn key_figure(report: &Report, chapter: &Chapter<'_>) -> Markup {
    let Chapter { kind, overlap, parties, .. } = chapter;
    let shown = &parties[..parties.len().min(KEY_HOLDERS)];
    let holders = html! {
        table {
            thead {
                tr {
                    th scope="col" { "Holder" }
                    th scope="col" class="n" { "Customers" }
                    th scope="col" class="n" { "Shared with anyone" }
                    th scope="col" class="n" { "Share" }
                    th scope="col" { span class="hidden" { "Bar" } }
                }
            }
            tbody {
                @for party in shown {
                    tr {
                        (row_head(&party.holder))
                        td class="n" { (count(party.unique)) }
                        td class="n" { (count(party.matched)) }
                        td class="n share" { (share(party.matched, party.unique)) }
                        td class="meter" { (share_bar(party)) }
                    }
                }
            }
            @if parties.len() > KEY_HOLDERS { caption { "The first " (KEY_HOLDERS) " of " (parties.len()) " holders" } }
        }
    };
    html! {
        section class="key" {
            div {
                div class="figure" { (count(overlap.all)) }
                div class="what" { "customers in common by " strong { (kind) } ", at " (holders_in_words(parties)) }
                @if let Some(entry) = overlap.at_least.get(1).filter(|_| parties.len() > 2 && report.shows(Output::AtLeast)) {
                    div class="what share" { (count(entry.count)) " at two holders or more" }
                }
            }
            @if report.shows(Output::Parties) { (scroll("", &chapter.label("Holders"), &holders)) }
        }
    }
}

/// How much of a holder's customers anybody else has too.
fn share_bar(party: &Funnel) -> Markup {
    let whole = party.unique.unwrap_or(0);
    let value: Count = party.unique.and(party.matched);
    bar(value, whole, "f-matched", party.holder.as_str())
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

fn policy(report: &Report, several: bool) -> Markup {
    let min_count = report.policy.min_count;
    let mut rules: BTreeMap<_, usize> = BTreeMap::new();
    // What is left out, or not covered by noise, is said elsewhere on the page.
    let by_figure = |suppressed: &&Suppressed| {
        [RULE_MIN_COUNT, RULE_DOMINANCE, RULE_MAX_GROUPS].contains(&suppressed.rule.as_str())
    };
    let small: Vec<_> = report.suppressed.iter().filter(by_figure).collect();
    let counts_alone = small.iter().all(|suppressed| suppressed.rule == RULE_MIN_COUNT);
    for Suppressed { rule, min_count, set_by, .. } in &small {
        *rules.entry((rule, *min_count, set_by)).or_default() += 1;
    }
    let withheld = small.len();
    let left_out = report.left_out_texts();
    let table = html! {
        table {
            thead {
                tr {
                    th scope="col" { "Rule" } th scope="col" { "Set by" }
                    th scope="col" class="n" { "Smallest count" } th scope="col" class="n" { "Withheld" }
                }
            }
            tbody {
                @for ((rule, min_count, set_by), cells) in &rules {
                    tr {
                        th scope="row" { code { (rule) } }
                        td { (set_by) }
                        td class="n" { (number(Some(*min_count))) }
                        td class="n" { (number(Some(*cells as u64))) }
                    }
                }
            }
        }
    };
    let body = html! {
        @for text in &left_out { p { (text) } }
        @if withheld == 0 && min_count <= 1 && !left_out.is_empty() {
            p { "Of what is there, no count." }
        } @else if withheld == 0 && min_count <= 1 {
            p { "Nothing. The space sets no smallest count (" code { "min_count: " (min_count) } ")." }
        } @else if withheld == 0 {
            p { @if left_out.is_empty() { "Nothing. " } "No count is above zero and under the smallest one published (" code { "min_count: " (min_count) } ")." }
        } @else {
            p {
                (number(Some(withheld as u64))) @if withheld == 1 { " count" } @else { " counts" }
                @if counts_alone {
                    ": those above zero and under the smallest one published, and those that would give such a count away."
                } @else {
                    " and figures: counts above zero and under the smallest one published, those that would give such a count away, "
                    "figures of kept columns that one customer makes up nearly alone, and tables of too many groups."
                }
            }
            (scroll("", "Rules", &table))
            details {
                summary { "Which counts" }
                ul class="mono" {
                    @for cell in small.iter().take(CELLS) { li { (cell.cell) } }
                }
                @if withheld > CELLS { p class="note" { (withheld - CELLS) " more in report.json" } }
            }
        }
        @if !report.policy.rules.is_empty() {
            p { "Other rules that this report keeps:" }
            (scroll("", "Rules of the policy", &applied(report)))
        }
    };
    section(several, "What is withheld", &body)
}

/// The rules that decide whether there is a report, and how exactly it counts.
fn applied(report: &Report) -> Markup {
    html! {
        table {
            thead { tr { th scope="col" { "Rule" } th scope="col" { "Set by" } th scope="col" class="n" { "Limit" } } }
            tbody {
                @for rule in &report.policy.rules {
                    tr {
                        th scope="row" { code { (rule.rule) } }
                        td { (rule.set_by) }
                        td class="n" { (number(Some(rule.limit))) }
                    }
                }
            }
        }
    }
}

/// What a reader has to know of datasets that nothing authenticates; nothing where there are none.
fn trust(report: &Report, several: bool) -> Markup {
    let Some(text) = report.unauthenticated_text() else { return html! {} };
    let body = html! {
        p { (text) }
        @for warning in &report.warnings { p { strong { (warning.text()) } } }
    };
    section(several, "What is not authenticated", &body)
}

fn provenance(report: &Report, several: bool) -> Markup {
    let from = &report.provenance;
    let datasets = html! {
        table {
            thead { tr { th scope="col" { "Holder" } th scope="col" { "Dataset" } th scope="col" class="n" { "Version" } th scope="col" { "SHA-256" } } }
            tbody {
                @for dataset in &from.datasets {
                    tr {
                        (row_head(&dataset.holder))
                        td { (dataset.dataset) @if dataset.unauthenticated { " (unauthenticated)" } }
                        td class="n" { (dataset.version) }
                        td class="mono" { (dataset.sha256) }
                    }
                }
            }
        }
    };
    let body = html! {
        p { "The SHA-256 is of the protected dataset as its holder delivered it: each holder can compare it with its own." }
        dl {
            dt { "Event" } dd { (from.event_type) ", " span class="mono" { (from.event) } }
            @if let Some(first) = &from.answered_from {
                dt { "Asked first by" } dd { span class="mono" { (first) } ", whose figures these are" }
            }
            dt { "Space" } dd { (from.space) ", epoch " (from.epoch) }
            dt { "Root" } dd class="mono" { (from.root) }
            dt { "Made" } dd { (from.at) ", by DataFuse " (from.datafuse) }
            dt { "Schema" } dd { (report.schema) }
        }
        (scroll("", "Datasets", &datasets))
    };
    section(several, "Where it comes from", &body)
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
        for foreign in ["<script", "http:", "https:", "<link", "<img", "<iframe", "@import", "javascript:", " on"] {
            let tags_only = page.split('<').map(|tag| tag.split('>').next().unwrap()).collect::<Vec<_>>().join("<");
            let found = if foreign == " on" {
                tags_only.contains(" onclick") || tags_only.contains(" onload")
            } else {
                page.contains(foreign)
            };
            assert!(!found, "{foreign}");
        }
        // What is filled with a pattern names one of this page.
        assert_eq!(
            page.matches("url(").count(),
            page.matches("url(#hatch)").count() + page.matches("url(#mixed)").count()
        );
        assert!(!page.contains("style="));
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
        assert!(page.contains("<td>globex</td><td class=\"n\">5</td>"));
        assert!(!page.contains("To scale"));
        assert!(
            page.contains(
                "<rect class=\"hatch\" width=\"100%\" height=\"100%\"><title>acme and globex: withheld</title>"
            )
        );
        assert!(page.contains("aria-label=\"acme and globex: withheld\""), "the circles");
    }

    #[test]
    fn caps_every_picture_and_says_so() {
        let names: Vec<_> = (0..40).map(|i| format!("h{i:02}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let sets: Vec<_> = (0..40_usize).map(|i| ([i, (i + 1) % 40], i as u64 + 1)).collect();
        let regions: Vec<_> = sets.iter().map(|(set, count)| (set.as_slice(), *count)).collect();
        let page = page(table(&names, &regions), 1);
        assert!(page.contains("and 10 more groups, in report.json"), "regions");
        assert!(page.contains("The first 30 of 40 holders"), "funnels");
        assert!(!page.contains("The first 40 of 40 holders"), "pairs");
        assert!(page.len() < 500_000, "{}", page.len());
    }

    #[test]
    fn what_does_not_add_up_is_not_drawn_to_scale() {
        let mut report = Report::build(inputs(vec![("email", two_holders())], 1)).unwrap();
        assert!(render(&report).contains("To scale"));
        report.overlap.regions.pop();
        assert!(!render(&report).contains("To scale"));
    }

    #[test]
    fn a_bar_of_zero_and_a_withheld_one_differ() {
        let draw = |value| bar(value, 10, "f-all", "acme").into_string();
        assert!(!draw(Some(0)).contains("<rect"));
        assert!(draw(None).contains("<rect class=\"hatch\""));
        assert!(draw(Some(1)).contains("width=\"10.000%\""));
        assert!(draw(Some(10)).contains("width=\"100.000%\""));
    }

    #[test]
    fn several_kinds_have_a_heading_each() {
        let report = Report::build(inputs(vec![("email", two_holders()), ("phone", two_holders())], 1)).unwrap();
        assert!(render(&report).contains("<h2 class=\"kind\" id=\"by-phone\">By phone</h2>"));
    }

    #[test]
    fn an_empty_overlap_is_a_page_too() {
        let page = page(table(&["acme", "globex"], &[]), 1);
        assert!(page.contains("<div class=\"figure\">0</div>"));
        assert!(page.contains("No customers at all."));
    }
}
