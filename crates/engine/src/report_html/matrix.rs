//! The overlap of each two holders as a table whose cells are shaded: a heat map that reads as numbers.
//!
//! The shade is the share of the row's own customers, in one hue from light to dark, so that it needs no eye for colours; its
//! steps are in the legend. Names stay in sight while a large matrix scrolls. At most [`HOLDERS`] holders are shown.

use maud::{Markup, html};

use super::{
    Chapter,
    marks::{count, row_head, scroll, swatch},
};
use crate::report::{Count, Funnel, Overlap, number, share};

/// How many holders the matrix shows at most.
pub(super) const HOLDERS: usize = 40;

/// Up to so many holders a cell has room for the share below the count.
const ROOMY: usize = 8;

/// The steps of the shade: from so many percent, its class, and the legend's words.
const STEPS: [(u64, &str, &str); 5] = [
    (0, "q0", "under 5 %"),
    (5, "q1", "5 to 20 %"),
    (20, "q2", "20 to 40 %"),
    (40, "q3", "40 to 60 %"),
    (60, "q4", "60 % and more"),
];

/// Draws the matrix of pairs; nothing for a single holder.
pub(super) fn pairs(chapter: &Chapter<'_>) -> Markup {
    let (overlap, parties) = (chapter.overlap, chapter.parties);
    if parties.len() < 2 {
        return html! {};
    }
    let shown = &parties[..parties.len().min(HOLDERS)];
    let withheld = shown.iter().any(|row| shown.iter().any(|column| find(overlap, row, column).is_none()));
    let body = html! {
        p { "How many customers two holders share, whoever else has them. The shade is the share that this is of the row's own customers." }
        ul class="legend" {
            @for (_, class, words) in STEPS { (swatch(class, words)) }
            @if withheld { (swatch("hatch", "withheld")) }
        }
        (scroll("both-ways", &chapter.label("Each two holders"), &table(overlap, shown)))
        @if parties.len() > HOLDERS { p class="note" { "The first " (HOLDERS) " of " (parties.len()) " holders; report.json has all pairs." } }
    };
    chapter.section("Each two together", &body)
}

fn table(overlap: &Overlap, shown: &[Funnel]) -> Markup {
    let roomy = shown.len() <= ROOMY;
    html! {
        table.matrix.many[!roomy] {
            thead { tr { th scope="col" { "Holder" } @for party in shown { th scope="col" title=(party.holder) { span { (party.holder) } } } } }
            tbody {
                @for row in shown {
                    tr {
                        (row_head(&row.holder))
                        @for column in shown {
                            @if row.holder == column.holder {
                                td class="self" title={ (row.holder) ": " (number(row.unique)) " customers of its own" } {
                                    (count(row.unique)) @if roomy { small { "its own" } }
                                }
                            } @else { (cell(find(overlap, row, column), row, column, roomy)) }
                        }
                    }
                }
            }
        }
    }
}

fn cell(shared: Count, row: &Funnel, column: &Funnel, roomy: bool) -> Markup {
    let share_of = |party: &Funnel| format!("{} of {}", share(shared, party.unique), party.holder);
    let said = match shared {
        Some(_) => {
            format!("{} and {}: {}, {}, {}", row.holder, column.holder, number(shared), share_of(row), share_of(column))
        }
        None => format!("{} and {}: withheld", row.holder, column.holder),
    };
    html! {
        td class=(shade(shared, row.unique)) title=(said) {
            @if roomy {
                (count(shared))
                @if shared.is_some() { small { (share(shared, row.unique)) } }
            } @else if shared.is_some() {
                (number(shared))
            } @else {
                span class="hidden" { "withheld" }
            }
        }
    }
}

fn find(overlap: &Overlap, a: &Funnel, b: &Funnel) -> Count {
    let (a, b) = if a.holder < b.holder { (a, b) } else { (b, a) };
    if a.holder == b.holder {
        return a.unique;
    }
    let position = overlap.pairwise.binary_search_by(|pair| (&pair.a, &pair.b).cmp(&(&a.holder, &b.holder)));
    position.ok().and_then(|position| overlap.pairwise[position].count)
}

fn shade(part: Count, whole: Count) -> &'static str {
    match (part, whole) {
        (None, _) => "hatched",
        (Some(part), Some(whole)) if whole > 0 => {
            let percent = u64::try_from(u128::from(part) * 100 / u128::from(whole)).unwrap_or(100);
            STEPS.iter().rev().find(|(from, ..)| percent >= *from).map_or("", |(_, class, _)| class)
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shade_begins_where_its_legend_says() {
        let shades = [0, 4, 5, 19, 20, 39, 40, 59, 60, 100].map(|part| shade(Some(part), Some(100)));
        assert_eq!(shades, ["q0", "q0", "q1", "q1", "q2", "q2", "q3", "q3", "q4", "q4"]);
        assert_eq!([shade(None, Some(9)), shade(Some(3), None), shade(Some(0), Some(0))], ["hatched", "", ""]);
        assert_eq!(shade(Some(u64::MAX), Some(u64::MAX)), "q4");
    }
}
