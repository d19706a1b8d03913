//! Each holder's way from rows to matches, as one stacked bar in a row with its numbers, all to the same scale.

use maud::{Markup, html};

use super::{
    Chapter,
    marks::{ROWS, bar, count, scroll, stacked_bar, swatch},
};
use crate::report::{Funnel, number};

/// Draws the funnels.
pub(super) fn funnels(chapter: &Chapter<'_>) -> Markup {
    let parties = chapter.parties;
    let shown = &parties[..parties.len().min(ROWS)];
    let withheld = shown.iter().any(|party| party.rows.is_none() || party.unique.is_none());
    let body = html! {
        p { "What became of each row of each holder's dataset. Few matches can come from many empty or invalid identifiers." }
        ul class="legend" {
            (swatch("f-matched", "matched: another holder has it too"))
            (swatch("f-unique", "unique, at this holder only"))
            (swatch("f-duplicate", "duplicate"))
            (swatch("f-invalid", "invalid"))
            (swatch("f-empty", "empty"))
            @if withheld { (swatch("hatch", "withheld")) }
        }
        (scroll("", &chapter.label("Rows and matches of each holder"), &table(shown)))
        @if shown.iter().any(|party| party.matched.is_none() && party.unique.is_some()) {
            p class="note" { "Where the count of matched ones is withheld, they are drawn with the unique ones." }
        }
        @if parties.len() > ROWS { p class="note" { "The first " (ROWS) " of " (parties.len()) " holders; report.json has them all." } }
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
                        th scope="row" { (party.holder) }
                        td class="wide" { (funnel_bar(party, largest)) }
                        td class="n" { (count(party.rows)) }
                        td class="n" { (number(Some(party.empty))) }
                        td class="n" { (number(Some(party.invalid))) }
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
    let (Some(_), Some(duplicate), Some(unique)) = (party.rows, party.duplicate, party.unique) else {
        return bar(None, largest, "hatch", party.holder.as_str());
    };
    // With `matched` withheld, the distinct ones are one piece.
    let matched = party.matched.unwrap_or(0).min(unique);
    let rest = if party.matched.is_some() { "unique, not matched" } else { "unique" };
    let pieces = [
        ("f-matched", "matched", matched),
        ("f-unique", rest, unique - matched),
        ("f-duplicate", "duplicate", duplicate),
        ("f-invalid", "invalid", party.invalid),
        ("f-empty", "empty", party.empty),
    ];
    stacked_bar(&pieces, largest)
}
