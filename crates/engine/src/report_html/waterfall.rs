//! The waterfall on the page: for each holder how many rows came by which identifier kind, as a table with a bar.

use maud::{Markup, html};

use super::{ROWS, count};
use crate::report::{HolderWaterfall, Waterfall, number, share};

/// The width of the view box; pieces are integers within it, and one above zero stays visible.
const FULL: u64 = 100_000;
const VISIBLE: u64 = 350;

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
    let starts = steps.iter().scan(0, |before, (_, count)| {
        *before += count;
        Some(part(*before - count, rows))
    });
    let pieces = steps.iter().zip(fills).zip(starts).filter(|(((_, count), _), _)| *count > 0);
    html! {
        svg class="bar" viewBox={ "0 0 " (FULL) " 10" } preserveAspectRatio="none" aria-hidden="true" {
            @for (((kind, count), fill), start) in pieces {
                rect class=(fill) x=(start) width=(part(*count, rows).max(VISIBLE)) height="10" {
                    title { (kind) ": " (number(Some(*count))) }
                }
            }
        }
    }
}

/// `count` of `whole` in units of [`FULL`].
fn part(count: u64, whole: u64) -> u64 {
    let scaled = u128::from(count) * u128::from(FULL) / u128::from(whole.max(1));
    u64::try_from(scaled).unwrap_or(FULL).min(FULL)
}
