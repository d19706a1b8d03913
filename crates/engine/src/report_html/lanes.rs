//! The overlap to scale: one lane for each holder over a common axis, so that what stands above each other is the same customers.
//!
//! A linear diagram: exact for any counts, where circles are not. It is drawn for few holders, and only where every count is
//! published and they add up to all customers; the table of groups has the same numbers.

use maud::{Markup, html};

use super::marks::{Tone, names, part, percent};
use crate::report::{Funnel, Overlap, number};

/// Up to so many holders the overlap is drawn to scale.
const HOLDERS: usize = 5;

/// The height of a lane with the gap below it, and of the line of text above the lanes, in pixels; the style sheet has them too.
const LANE: usize = 34;
const HEAD: usize = 26;

/// Draws the lanes; nothing where there are too many holders or a count is missing.
pub(super) fn to_scale(overlap: &Overlap, parties: &[Funnel], label: &str) -> Option<Markup> {
    if !(2..=HOLDERS).contains(&parties.len()) {
        return None;
    }
    // By name, so that the first holder's customers stand together, and the second's in few pieces.
    let mut regions: Vec<_> = overlap.regions.iter().collect();
    regions.sort_by(|a, b| a.holders.cmp(&b.holders));
    let widths: Vec<u64> = regions.iter().map(|region| region.count).collect::<Option<_>>()?;
    let total: u64 = widths.iter().sum();
    let is_all = overlap.at_least.first().is_some_and(|all| all.count == Some(total));
    if total == 0 || !is_all {
        return None;
    }
    let ends: Vec<_> = widths
        .iter()
        .scan(0, |before, width| {
            *before += width;
            Some(*before)
        })
        .collect();
    Some(html! {
        div class="lanes" {
            ul { @for party in parties { li title=(party.holder) { (party.holder) } } }
            svg role="group" aria-label=(label) height=(HEAD + parties.len() * LANE) {
                text class="hint" x="0" y="16" aria-hidden="true" { "Point at a piece, or tab to it." }
                @for ((region, width), end) in regions.iter().zip(&widths).zip(&ends) {
                    @let (start, end) = (part(end - width, total), part(*end, total));
                    @let said = format!("{}: {}", names(&region.holders), number(region.count));
                    g class="mark" tabindex="0" role="img" aria-label=(said) {
                        @for (lane, _) in parties.iter().enumerate().filter(|(_, party)| region.holders.contains(&party.holder)) {
                            rect class=(Tone::of(region.holders.len(), parties.len()).fill()) x=(percent(start)) y=(HEAD + lane * LANE)
                                width=(percent(end - start)) height=(LANE - 6) { title { (said) } }
                        }
                        @let (anchor, at) = reading(start, end);
                        text class="reading" x=(percent(at)) y="16" text-anchor=(anchor) aria-hidden="true" { (said) }
                    }
                }
            }
        }
    })
}

/// Where the text of a piece stands, so that it stays within the picture.
fn reading(start: u64, end: u64) -> (&'static str, u64) {
    match (start + end) / 2 {
        left if left < 35_000 => ("start", start),
        right if right > 65_000 => ("end", end),
        middle => ("middle", middle),
    }
}
