//! The waterfall on the page: for each holder how many rows came by which identifier kind, as a table with a bar.

use maud::{Markup, html};

use super::{
    marks::{ROWS, bar, count, row_head, scroll, stacked_bar, swatch},
    section,
};
use crate::report::{HolderWaterfall, Waterfall, share};

/// The fills of the steps, the first kind's first; later steps share the last.
const FILLS: [&str; 4] = ["f-matched", "f-unique", "f-duplicate", "f-invalid"];

fn fill(position: usize) -> &'static str {
    FILLS[position.min(FILLS.len() - 1)]
}

/// Draws one line per holder.
pub(super) fn by_kind(waterfall: &Waterfall, several: bool) -> Markup {
    let body = html! {
        p {
            "Rows of each holder that match at another holder by " strong { (waterfall.in_words()) }
            ". A row counts once, for the first kind by which it matches. Rows are counted here, not distinct identifiers."
        }
        ul class="legend" {
            @for (position, kind) in waterfall.order.iter().enumerate() {
                (swatch(fill(position), &format!("{}{kind}", if position == 0 { "by " } else { "else " })))
            }
            @if waterfall.holders.iter().any(|holder| holder.matched.is_none()) { (swatch("hatch", "withheld")) }
        }
        (scroll("", "Rows by identifier kind", &table(waterfall)))
        @if waterfall.holders.len() > ROWS {
            p class="note" { "The first " (ROWS) " of " (waterfall.holders.len()) " holders; report.json has them all." }
        }
    };
    section(several, "Which identifier did it", &body)
}

fn table(waterfall: &Waterfall) -> Markup {
    let largest = waterfall.holders.iter().filter_map(|holder| holder.rows).max().unwrap_or(0);
    html! {
        table {
            thead {
                tr {
                    th scope="col" { "Holder" }
                    th scope="col" { span class="hidden" { "Bar" } }
                    @for (position, kind) in waterfall.order.iter().enumerate() {
                        th scope="col" class="n" { (if position == 0 { "by " } else { "else " }) (kind) }
                    }
                    th scope="col" class="n" { "Any of them" }
                    th scope="col" class="n" { "Of its rows" }
                }
            }
            tbody {
                @for holder in waterfall.holders.iter().take(ROWS) {
                    tr {
                        (row_head(&holder.holder))
                        td class="wide" { (steps(holder, largest)) }
                        @for step in &holder.steps { td class="n" { (count(step.rows)) } }
                        td class="n" { (count(holder.matched)) }
                        td class="n share" { (share(holder.matched, holder.rows)) }
                    }
                }
            }
        }
    }
}

/// The steps one after the other; nothing is drawn of what is withheld.
fn steps(holder: &HolderWaterfall, largest: u64) -> Markup {
    let pieces: Option<Vec<_>> = holder
        .steps
        .iter()
        .enumerate()
        .map(|(position, step)| Some((fill(position), step.kind.as_str(), step.rows?)))
        .collect();
    match pieces {
        Some(pieces) => stacked_bar(&pieces, largest),
        None => bar(None, largest, "hatch", holder.holder.as_str()),
    }
}
