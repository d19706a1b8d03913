//! Each holder's way from rows to matches, as one stacked bar in a row with its numbers, all to the same scale.

use maud::{Markup, html};

use super::{
    Chapter,
    marks::{ROWS, bar, count, row_head, scroll, stacked_bar, swatch},
};
use crate::report::{Funnel, would_change_texts};

/// Draws the funnels.
pub(super) fn funnels(chapter: &Chapter<'_>) -> Markup {
    let parties = chapter.parties;
    let shown = &parties[..parties.len().min(ROWS)];
    let withheld = shown.iter().any(|party| party.rows.is_none() || party.unique.is_none());
    let mixed = shown.iter().any(|party| party.matched.is_none() && party.unique.is_some());
    let body = html! {
        p { "What became of each row of each holder's dataset. Few matches can come from many empty or invalid identifiers." }
        ul class="legend" {
            (swatch("f-matched", "matched: another holder has it too"))
            (swatch("f-unique", "unique, at this holder only"))
            @if mixed { (swatch("mixed", "unique; how many of them matched is withheld")) }
            (swatch("f-duplicate", "duplicate"))
            (swatch("f-invalid", "invalid"))
            (swatch("f-empty", "empty"))
            @if withheld { (swatch("hatch", "withheld")) }
        }
        (scroll("", &chapter.label("Rows and matches of each holder"), &table(shown)))
        @if parties.len() > ROWS { p class="note" { "The first " (ROWS) " of " (parties.len()) " holders; report.json has them all." } }
        @for text in would_change_texts(parties) { p class="note" { (text) } }
    };
    chapter.section("From rows to matches", &body)
}

fn table(shown: &[Funnel]) -> Markup {
    let largest = shown.iter().filter_map(|party| party.rows).max().unwrap_or(0);
    html! {
        table {
            thead {
                tr {
                    th scope="col" { "Holder" }
                    th scope="col" { span class="hidden" { "Bar" } }
                    @for name in ["Rows", "Empty", "Invalid", "Duplicate", "Unique", "Matched"] { th scope="col" class="n" { (name) } }
                }
            }
            tbody {
                @for party in shown {
                    tr {
                        (row_head(&party.holder))
                        td class="wide" { (funnel_bar(party, largest)) }
                        td class="n" { (count(party.rows)) }
                        td class="n" { (count(party.empty)) }
                        td class="n" { (count(party.invalid)) }
                        td class="n" { (count(party.duplicate)) }
                        td class="n" { (count(party.unique)) }
                        td class="n" { (count(party.matched)) }
                    }
                }
            }
        }
    }
}

fn funnel_bar(party: &Funnel, largest: u64) -> Markup {
    let (Some(_), Some(duplicate), Some(unique), Some(invalid), Some(empty)) =
        (party.rows, party.duplicate, party.unique, party.invalid, party.empty)
    else {
        return bar(None, largest, "hatch", party.holder.as_str());
    };
    let matched = party.matched.unwrap_or(0).min(unique);
    let rest = match party.matched {
        Some(_) => ("f-unique", "unique, not matched", unique - matched),
        None => ("mixed", "unique; how many of them matched is withheld", unique),
    };
    let pieces = [
        ("f-matched", "matched", matched),
        rest,
        ("f-duplicate", "duplicate", duplicate),
        ("f-invalid", "invalid", invalid),
        ("f-empty", "empty", empty),
    ];
    stacked_bar(&pieces, largest)
}
