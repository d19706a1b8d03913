//! The waterfall on the page: for each holder how many rows came by which identifier kind, as a table with a bar.

use maud::{Markup, html};

use super::{ROWS, count, pictures};
use crate::report::{HolderWaterfall, Waterfall, share};

/// The fills of the steps, the first kind's first; later steps share the last.
const FILLS: [&str; 4] = ["f-all", "f-some", "f-duplicate", "f-invalid"];

/// Draws one line per holder.
pub(super) fn section(waterfall: &Waterfall) -> Markup {
    html! {
        section {
            h2 { "Which identifier did it" }
            p {
                "Rows of each holder that match at another holder by " strong { (waterfall.in_words()) }
                ". A row counts once, for the first kind by which it matches. Rows are counted here, not distinct identifiers."
            }
            div class="scroll" role="region" aria-label="Rows by identifier kind" tabindex="0" {
                table {
                    thead {
                        tr {
                            th scope="col" { "Holder" }
                            th scope="col" { "Rows" }
                            @for (position, kind) in waterfall.order.iter().enumerate() {
                                th scope="col" class="n" { (if position == 0 { "by " } else { "else " }) (kind) }
                            }
                            th scope="col" class="n" { "any of them" }
                            th scope="col" class="n" { "of its rows" }
                        }
                    }
                    tbody {
                        @for holder in waterfall.holders.iter().take(ROWS) {
                            tr {
                                th scope="row" { (holder.holder) }
                                td class="wide" { (bar(holder)) }
                                @for step in &holder.steps { td class="n" { (count(step.rows)) } }
                                td class="n" { (count(holder.matched)) }
                                td class="n share" { (share(holder.matched, holder.rows)) }
                            }
                        }
                    }
                }
            }
            @if waterfall.holders.len() > ROWS {
                p class="note" { "The first " (ROWS) " of " (waterfall.holders.len()) " holders; report.json has them all." }
            }
        }
    }
}

/// The steps one after the other, of all rows; nothing is drawn of what is withheld.
fn bar(holder: &HolderWaterfall) -> Markup {
    let steps: Option<Vec<_>> = holder.steps.iter().map(|step| Some((&step.kind, step.rows?))).collect();
    let (Some(rows), Some(steps)) = (holder.rows, steps) else { return count(None) };
    let fills = FILLS.iter().chain(std::iter::repeat(&FILLS[FILLS.len() - 1]));
    let pieces: Vec<_> = fills.zip(&steps).map(|(fill, (kind, rows))| (*fill, kind.as_str(), *rows)).collect();
    pictures::pieces(&pieces, rows)
}
