//! At exactly which holders, as an UpSet picture that is a table, with circles beside it for two or three holders; and at how many.
//!
//! A row is a group: dots for its holders, its count, its bar. Above the dots stand each holder's own customers. Shared groups
//! come first, then those at one holder, largest first and at most [`ROWS`] each; what is withheld comes last, hatched.

use maud::{Markup, html};

use super::{
    Chapter, lanes,
    marks::{ROWS, Tone, bar, count, names, part, scroll, tones_legend},
    venn,
};
use crate::report::{AtLeast, Funnel, Overlap, Region, number};

/// How many names stand for a group where there are too many holders for dots.
const NAMES: usize = 6;

/// The height of a holder's own bar above its dots.
const TOWER: u64 = 44;

/// Draws the groups "at exactly these holders".
pub(super) fn groups(chapter: &Chapter<'_>) -> Markup {
    let (overlap, parties) = (chapter.overlap, chapter.parties);
    let withheld = overlap.regions.iter().any(|region| region.count.is_none());
    let circles = venn::circles(overlap, parties, &chapter.label("Circles"));
    let body = html! {
        p {
            "Each customer counts in one group only: that of all the holders that have it."
            @if circles.is_some() { " The circles are not to scale, the bars are." }
        }
        (tones_legend(parties.len(), withheld))
        @if overlap.regions.is_empty() { p { "No customers at all." } }
        @else {
            div class="side-by-side" {
                @if let Some(circles) = circles { (circles) }
                (scroll("", &chapter.label("Groups of holders"), &table(overlap, parties)))
            }
            @if let Some(text) = overlap.left_out_text() { p class="note" { (text) } }
        }
    };
    chapter.section("At exactly which holders", &body)
}

/// Draws the overlap to scale, where that can be done.
pub(super) fn to_scale(chapter: &Chapter<'_>) -> Markup {
    let Some(lanes) = lanes::to_scale(chapter.overlap, chapter.parties, &chapter.label("To scale")) else {
        return html! {};
    };
    let body = html! {
        p { "Each line is one holder; what stands one above the other are the same customers." }
        (tones_legend(chapter.parties.len(), false))
        (lanes)
    };
    chapter.section("To scale", &body)
}

fn table(overlap: &Overlap, parties: &[Funnel]) -> Markup {
    let (shared, alone): (Vec<_>, Vec<_>) = overlap.regions.iter().partition(|region| region.holders.len() > 1);
    let largest = |regions: &[&Region]| regions.iter().filter_map(|region| region.count).max().unwrap_or(0);
    let (largest_shared, largest_alone) = (largest(&shared), largest(&alone));
    // One scale for both parts, unless the shared groups would shrink to nothing beside the others.
    let one_scale = largest_alone <= largest_shared.saturating_mul(10);
    let scale = |own: u64| if one_scale { largest_shared.max(largest_alone) } else { own };
    let dots = parties.len() <= ROWS;
    let columns = if dots { parties.len() + 2 } else { 3 };
    let largest_holder = parties.iter().filter_map(|party| party.unique).max().unwrap_or(0);
    let towers = dots && parties.len() > 3;
    html! {
        table.sets.many[parties.len() > 3] {
            thead {
                @if towers {
                    tr class="towers" {
                        @for party in parties { td class="set" { (tower(party, largest_holder)) } }
                        td class="more" colspan="2" { "each holder's own customers" }
                    }
                }
                tr {
                    @if dots {
                        @for party in parties { th scope="col" class="set" title=(party.holder) { span class="name" { (party.holder) } } }
                    } @else { th scope="col" { "Holders" } }
                    th scope="col" class="n" { "Customers" }
                    th scope="col" { span class="hidden" { "Bar" } }
                }
            }
            (rows("Shared", shared, scale(largest_shared), parties, columns))
            (rows(
                if one_scale { "At one holder only" } else { "At one holder only (bars to a smaller scale)" },
                alone, scale(largest_alone), parties, columns,
            ))
        }
    }
}

/// A holder's own customers as an upright bar.
fn tower(party: &Funnel, largest: u64) -> Markup {
    let height = party.unique.map(|unique| part(unique, largest) * TOWER / 100_000);
    let said = format!("{}: {} customers", party.holder, number(party.unique));
    html! {
        svg class="tower" width="12" height=(TOWER) aria-hidden="true" {
            @match height {
                Some(height) => rect class="f-own" y=(TOWER - height) width="100%" height=(height) { title { (said) } },
                None => rect class="hatch" width="100%" height="100%" { title { (said) } },
            }
        }
        span class="hidden" { (said) }
    }
}

/// One part of the groups, as a table body with a heading.
fn rows(title: &str, mut regions: Vec<&Region>, scale: u64, parties: &[Funnel], columns: usize) -> Markup {
    // Largest first; withheld ones last; then by name as they come.
    regions.sort_by_key(|region| std::cmp::Reverse(region.count));
    let more = regions.len().saturating_sub(ROWS);
    // The group of all holders is the one that was asked for: it is shown however small it is.
    let all = regions.iter().skip(ROWS).position(|region| region.holders.len() == parties.len());
    if let Some(position) = all {
        regions.swap(ROWS - 1, ROWS + position);
    }
    regions.truncate(ROWS);
    html! {
        @if !regions.is_empty() {
            tbody {
                tr class="part" { th scope="rowgroup" colspan=(columns) { (title) } }
                @for region in &regions {
                    tr {
                        @if parties.len() <= ROWS { (dots(region, parties)) } @else { td class="names" { (first_names(region, parties.len())) } }
                        td class="n" { (count(region.count)) }
                        td class="wide" { (bar(region.count, scale, Tone::of(region.holders.len(), parties.len()).fill(), &names(&region.holders))) }
                    }
                }
                @if more > 0 {
                    tr { td class="more" colspan=(columns) { "and " (number(Some(more as u64))) " more groups, in report.json" } }
                }
            }
        }
    }
}

fn dots(region: &Region, parties: &[Funnel]) -> Markup {
    let inside = |party: &Funnel| region.holders.binary_search(&party.holder).is_ok();
    let first = parties.iter().position(inside).unwrap_or(0);
    let last = parties.iter().rposition(inside).unwrap_or(0);
    let tone = Tone::of(region.holders.len(), parties.len()).text();
    html! {
        @for (index, party) in parties.iter().enumerate() {
            @let link = (first..=last).contains(&index);
            td.set.(tone).in[inside(party)].link[link].first[index == first].last[index == last] {
                i {}
                span class="hidden" { (if inside(party) { "yes" } else { "no" }) }
            }
        }
    }
}

fn first_names(region: &Region, holders: usize) -> String {
    if region.holders.len() == holders {
        return format!("all {holders} holders");
    }
    let first: Vec<_> = region.holders.iter().take(NAMES).map(|holder| holder.as_str()).collect();
    match region.holders.len() - first.len() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// Draws how many are at one holder or more, at two or more, and so on.
pub(super) fn at_least(chapter: &Chapter<'_>) -> Markup {
    let entries = &chapter.overlap.at_least;
    let holders = entries.len();
    let largest = entries.iter().filter_map(|entry| entry.count).max().unwrap_or(0);
    // Of a run of zeros the first says it all; the line of all holders is always there.
    let zero = |index: usize| entries[index].count == Some(0);
    let worth_a_line = |index: usize| index + 1 == holders || index == 0 || !(zero(index) && zero(index - 1));
    let mut lines: Vec<&AtLeast> =
        entries.iter().enumerate().filter(|(index, _)| worth_a_line(*index)).map(|(_, entry)| entry).collect();
    let all = lines.pop();
    let more = lines.len().saturating_sub(ROWS - 1);
    lines.truncate(ROWS - 1);
    let label = |entry: &AtLeast| match entry.holders {
        all if all == holders as u64 => format!("all {all}"),
        some => format!("{some} or more"),
    };
    let line = |entry: &AtLeast| {
        let tone = Tone::of(usize::try_from(entry.holders).unwrap_or(holders), holders);
        html! {
            tr {
                th scope="row" class="n" { (label(entry)) }
                td class="n" { (count(entry.count)) }
                td class="wide" { (bar(entry.count, largest, tone.fill(), &label(entry))) }
            }
        }
    };
    let table = html! {
        table {
            thead { tr { th scope="col" class="n" { "Holders" } th scope="col" class="n" { "Customers" } th scope="col" { span class="hidden" { "Bar" } } } }
            tbody {
                @for entry in &lines { (line(entry)) }
                @if more > 0 { tr { td class="more" colspan="3" { "and " (more) " more lines, in report.json" } } }
                @if let Some(entry) = all { (line(entry)) }
            }
        }
    };
    let body = html! {
        p { "Customers at this many holders, or at more." }
        (scroll("", &chapter.label("At how many holders"), &table))
    };
    chapter.section("At how many holders", &body)
}
