//! The pictures of a report: bars to scale as inline SVG, each within a table that has the numbers.
//!
//! Widths are integers over a fixed view box, so that no style attribute is needed. The colour of a group says whether it is at
//! one holder, at some, or at all; the dots beside it say the same without colour.

use maud::{Markup, html};

use super::{ROWS, count};
use crate::report::{AtLeast, Count, Funnel, Overlap, Region, number, share};

/// The width of every view box; bars are integers within it.
const FULL: u64 = 100_000;

/// The least width of a bar for a count above zero, so that it stays visible.
const VISIBLE: u64 = 350;

/// Up to so many holders the overlap is drawn to scale.
const SCALE_HOLDERS: usize = 6;

/// Draws one line per holder over a common axis: what stands above each other is the same customers.
pub(super) fn to_scale(overlap: &Overlap, parties: &[Funnel]) -> Markup {
    let widths: Option<Vec<u64>> = overlap.regions.iter().map(|region| region.count).collect();
    let Some(widths) = widths else { return html! {} };
    let total: u64 = widths.iter().sum();
    if !(2..=SCALE_HOLDERS).contains(&parties.len()) || total == 0 {
        return html! {};
    }
    let mut starts = Vec::with_capacity(widths.len());
    let mut before = 0;
    for width in &widths {
        starts.push(part(before, total));
        before += width;
    }
    starts.push(FULL);
    html! {
        section {
            h2 { "To scale" }
            p { "Each line is one holder; what stands one above the other are the same customers." }
            (group_legend(parties.len()))
            table {
                @for party in parties {
                    tr {
                        th scope="row" { (party.holder) }
                        td class="wide" {
                            svg class="bar tall" viewBox={ "0 0 " (FULL) " 10" } preserveAspectRatio="none" aria-hidden="true" {
                                @for (index, region) in overlap.regions.iter().enumerate() {
                                    @if region.holders.contains(&party.holder) {
                                        rect class=(fill(region, parties.len())) x=(starts[index]) width=(starts[index + 1] - starts[index]) height="10" {
                                            title { (names(region)) ": " (number(region.count)) }
                                        }
                                    }
                                }
                            }
                        }
                        td class="n" { (count(party.unique)) }
                    }
                }
            }
        }
    }
}

/// Draws the groups "at exactly these holders": first the shared ones, then those at one holder only, each largest first; dots
/// for the holders, a bar for the count.
pub(super) fn regions(overlap: &Overlap, parties: &[Funnel]) -> Markup {
    let (shared, alone): (Vec<_>, Vec<_>) = overlap.regions.iter().partition(|region| region.holders.len() > 1);
    let largest = |regions: &[&Region]| regions.iter().filter_map(|region| region.count).max().unwrap_or(0);
    let (largest_shared, largest_alone) = (largest(&shared), largest(&alone));
    // One scale for both parts, unless the shared groups would shrink to nothing beside the others.
    let one_scale = largest_alone <= largest_shared.saturating_mul(10);
    let scale = |own: u64| if one_scale { largest_shared.max(largest_alone) } else { own };
    let dots = parties.len() <= ROWS;
    let columns = if dots { parties.len() + 2 } else { 3 };
    html! {
        section {
            h2 { "At exactly which holders" }
            p { "Each customer counts in one group only: that of all the holders that have it." }
            (group_legend(parties.len()))
            @if overlap.regions.is_empty() { p { "No customers at all." } }
            @else {
                div class="scroll" {
                    table class=(if parties.len() > 3 { "sets many" } else { "sets" }) {
                        thead {
                            tr {
                                @if dots {
                                    @for party in parties { th scope="col" class="set" { span { (party.holder) } } }
                                } @else { th scope="col" { "Holders" } }
                                th scope="col" class="n" { "Customers" }
                                th scope="col" { span class="hidden" { "Bar" } }
                            }
                        }
                        (region_rows("Shared", shared, scale(largest_shared), parties, columns))
                        (region_rows(
                            if one_scale { "At one holder only" } else { "At one holder only (bars to a smaller scale)" },
                            alone, scale(largest_alone), parties, columns,
                        ))
                    }
                }
            }
        }
    }
}

/// One part of the groups, as a table body with a heading.
fn region_rows(title: &str, mut regions: Vec<&Region>, scale: u64, parties: &[Funnel], columns: usize) -> Markup {
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
                        @if parties.len() <= ROWS { (dot_cells(region, parties)) } @else { td class="names" { (short_names(region)) } }
                        td class="n" { (count(region.count)) }
                        td class="wide" { (bar(region.count, scale, fill(region, parties.len()), &names(region))) }
                    }
                }
                @if more > 0 {
                    tr { td class="more" colspan=(columns) { "Groups not shown here: " (more) ". They are in report.json." } }
                }
            }
        }
    }
}

fn dot_cells(region: &Region, parties: &[Funnel]) -> Markup {
    let inside = |party: &Funnel| region.holders.binary_search(&party.holder).is_ok();
    let first = parties.iter().position(inside).unwrap_or(0);
    let last = parties.iter().rposition(inside).unwrap_or(0);
    let tone = match fill(region, parties.len()) {
        "f-all" => "t-all",
        "f-some" => "t-some",
        _ => "t-one",
    };
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

/// Draws how many are at one holder or more, at two or more, and so on.
pub(super) fn at_least(overlap: &Overlap) -> Markup {
    let holders = overlap.at_least.len();
    let largest = overlap.at_least.iter().filter_map(|entry| entry.count).max().unwrap_or(0);
    // Of a run of zeros the first says it all; the line of all holders is always there.
    let zero = |index: usize| overlap.at_least[index].count == Some(0);
    let worth_a_line = |index: usize| index + 1 == holders || index == 0 || !(zero(index) && zero(index - 1));
    let tone = |entry: &AtLeast| match entry.holders {
        all if all == holders as u64 && all > 1 => "f-all",
        1 => "f-one",
        _ => "f-some",
    };
    html! {
        section {
            h2 { "At how many holders" }
            table {
                thead { tr { th scope="col" { "At" } th scope="col" class="n" { "Customers" } th scope="col" { span class="hidden" { "Bar" } } } }
                tbody {
                    @for (_, entry) in overlap.at_least.iter().enumerate().filter(|(i, _)| worth_a_line(*i)).take(ROWS) {
                        tr {
                            th scope="row" class="n" {
                                @if entry.holders == holders as u64 { "all " (entry.holders) } @else { (entry.holders) " or more" }
                            }
                            td class="n" { (count(entry.count)) }
                            td class="wide" { (bar(entry.count, largest, tone(entry), "at least so many holders")) }
                        }
                    }
                }
            }
            @if holders > ROWS { p class="note" { "At most " (ROWS) " lines are shown; report.json has all " (holders) "." } }
        }
    }
}

/// Draws the matrix of pairs, shaded by the share of the smaller of the two.
pub(super) fn pairs(overlap: &Overlap, parties: &[Funnel]) -> Markup {
    let shown = &parties[..parties.len().min(ROWS)];
    let find = |a: &Funnel, b: &Funnel| -> Count {
        let (a, b) = if a.holder < b.holder { (a, b) } else { (b, a) };
        let position = overlap.pairwise.binary_search_by(|pair| (&pair.a, &pair.b).cmp(&(&a.holder, &b.holder)));
        position.ok().and_then(|position| overlap.pairwise[position].count)
    };
    if parties.len() < 2 {
        return html! {};
    }
    let roomy = shown.len() <= 8;
    html! {
        section {
            h2 { "Each two together" }
            p { "How many customers two holders share, whoever else has them. The shade is the share that this is of the row's own customers." }
            div class="scroll" {
                table class=(if roomy { "matrix" } else { "matrix many" }) {
                    thead { tr { td {} @for party in shown { th scope="col" { span { (party.holder) } } } } }
                    tbody {
                        @for row in shown {
                            tr {
                                th scope="row" { (row.holder) }
                                @for column in shown {
                                    @if row.holder == column.holder {
                                        td class="self" { (count(row.unique)) @if roomy { small { "its own" } } }
                                    } @else {
                                        @let shared = find(row, column);
                                        td class=(shade(shared, row.unique)) {
                                            (count(shared))
                                            @if roomy && shared.is_some() { small { (share(shared, row.unique)) } }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            @if parties.len() > ROWS { p class="note" { "The first " (ROWS) " of " (parties.len()) " holders; report.json has all pairs." } }
        }
    }
}

fn shade(part: Count, whole: Count) -> &'static str {
    match (part, whole) {
        (Some(part), Some(whole)) if whole > 0 => {
            let fifths = u128::from(part) * 5 / u128::from(whole);
            ["q0", "q1", "q2", "q3", "q4"][usize::try_from(fifths).unwrap_or(4).min(4)]
        }
        _ => "",
    }
}

/// Draws each holder's way from rows to matches as one stacked bar, all to the same scale.
pub(super) fn funnels(parties: &[Funnel]) -> Markup {
    let shown = &parties[..parties.len().min(ROWS)];
    let largest = shown.iter().filter_map(|party| party.rows).max().unwrap_or(0);
    html! {
        section {
            h2 { "From rows to matches" }
            p { "What became of each row of each holder's dataset. Few matches can come from many empty or invalid identifiers." }
            ul class="legend" {
                (swatch("f-matched", "matched: another holder has it too"))
                (swatch("f-unique", "unique, at this holder only"))
                (swatch("f-duplicate", "duplicate"))
                (swatch("f-invalid", "invalid"))
                (swatch("f-empty", "empty"))
            }
            div class="scroll" {
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
            @if shown.iter().any(|party| party.matched.is_none()) {
                p class="note" { "Where the count of matched ones is withheld, they are drawn with the unique ones." }
            }
            @if parties.len() > ROWS { p class="note" { "The first " (ROWS) " of " (parties.len()) " holders; report.json has them all." } }
        }
    }
}

fn funnel_bar(party: &Funnel, largest: u64) -> Markup {
    let (Some(rows), Some(duplicate), Some(unique)) = (party.rows, party.duplicate, party.unique) else {
        return count(None);
    };
    // With `matched` withheld, the distinct ones are one piece.
    let mut pieces = vec![
        ("f-matched", "matched", party.matched.unwrap_or(0)),
        (
            "f-unique",
            if party.matched.is_some() { "unique, not matched" } else { "unique" },
            unique - party.matched.unwrap_or(0).min(unique),
        ),
        ("f-duplicate", "duplicate", duplicate),
        ("f-invalid", "invalid", party.invalid),
        ("f-empty", "empty", party.empty),
    ];
    pieces.retain(|(_, _, count)| *count > 0);
    let mut widths: Vec<_> = pieces.iter().map(|(_, _, count)| part(*count, largest).max(VISIBLE)).collect();
    // What the small pieces gained in visibility, the largest gives.
    let excess = widths.iter().sum::<u64>().saturating_sub(part(rows, largest).max(VISIBLE));
    if let Some(widest) = widths.iter_mut().max() {
        *widest = widest.saturating_sub(excess);
    }
    let starts = widths.iter().scan(0, |before, width| {
        *before += width;
        Some(*before - width)
    });
    html! {
        svg class="bar" viewBox={ "0 0 " (FULL) " 10" } preserveAspectRatio="none" aria-hidden="true" {
            @for (((class, name, count), width), start) in pieces.iter().zip(&widths).zip(starts) {
                rect class=(class) x=(start) width=(width) height="10" { title { (name) ": " (number(Some(*count))) } }
            }
        }
    }
}

fn bar(value: Count, largest: u64, class: &str, label: &str) -> Markup {
    let Some(value) = value else { return html! {} };
    let width = if value == 0 { 0 } else { part(value, largest).max(VISIBLE) };
    html! {
        svg class="bar" viewBox={ "0 0 " (FULL) " 10" } preserveAspectRatio="none" aria-hidden="true" {
            rect class=(class) width=(width) height="10" { title { (label) ": " (number(Some(value))) } }
        }
    }
}

fn group_legend(holders: usize) -> Markup {
    html! {
        ul class="legend" {
            (swatch("f-all", &if holders == 2 { "at both holders".to_owned() } else { format!("at all {holders} holders") }))
            @if holders > 2 { (swatch("f-some", "at some")) }
            (swatch("f-one", "at one only"))
        }
    }
}

fn swatch(class: &str, label: &str) -> Markup {
    html! {
        li { svg viewBox="0 0 10 10" aria-hidden="true" { rect class=(class) width="10" height="10" {} } (label) }
    }
}

fn fill(region: &Region, holders: usize) -> &'static str {
    match region.holders.len() {
        1 => "f-one",
        all if all == holders => "f-all",
        _ => "f-some",
    }
}

fn names(region: &Region) -> String {
    region.holders.iter().map(|holder| holder.as_str()).collect::<Vec<_>>().join(" and ")
}

fn short_names(region: &Region) -> String {
    let first: Vec<_> = region.holders.iter().take(3).map(|holder| holder.as_str()).collect();
    match region.holders.len() - first.len() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// `value` of `whole` in units of [`FULL`].
fn part(value: u64, whole: u64) -> u64 {
    let scaled = u128::from(value) * u128::from(FULL) / u128::from(whole.max(1));
    u64::try_from(scaled).unwrap_or(FULL).min(FULL)
}
