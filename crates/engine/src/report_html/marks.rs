//! What all pictures of the page are made of: bars, the tones of groups, the mark of a withheld count, legends, regions that scroll.
//!
//! A bar always stands in a table row beside its number, so it is hidden from screen readers; a withheld count has a hatched
//! bar over the whole width, which no count has, and none of a size. Lengths are percentages with three decimals.

use datafuse_core::id::ParticipantId;
use maud::{Markup, html};

use crate::report::{Count, number};

/// How many rows a picture or table has at most; the rest is said as a number.
pub(super) const ROWS: usize = 30;

/// The least length of a bar for a count above zero, in thousandths of a percent, so that it stays visible.
const VISIBLE: u64 = 400;

/// The gap after a piece of a stacked bar, in thousandths of a percent, so that pieces stand apart without colour.
const GAP: u64 = 200;

/// The whole length, in thousandths of a percent.
const FULL: u64 = 100_000;

/// How many of the holders a group is at; said by shade of colour, and by dots or words beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// At one holder only.
    One,
    /// At more than one, but not at all.
    Some,
    /// At all holders.
    All,
}

impl Tone {
    /// Gives the tone of a group at `members` of `holders`.
    pub(super) fn of(members: usize, holders: usize) -> Self {
        match members {
            0 | 1 => Self::One,
            all if all >= holders => Self::All,
            _ => Self::Some,
        }
    }

    /// Gives the class that fills a shape with it.
    pub(super) fn fill(self) -> &'static str {
        match self {
            Self::One => "f-one",
            Self::Some => "f-some",
            Self::All => "f-all",
        }
    }

    /// Gives the class that writes in it.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::One => "t-one",
            Self::Some => "t-some",
            Self::All => "t-all",
        }
    }
}

/// The patterns that marks are filled with; once in a page, before the marks.
pub(super) fn patterns() -> Markup {
    html! {
        svg class="patterns" width="0" height="0" aria-hidden="true" {
            defs {
                pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    rect class="hatch-ground" width="7" height="7" {}
                    rect class="hatch-line" width="2" height="7" {}
                }
                pattern id="mixed" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)" {
                    rect class="mixed-ground" width="7" height="7" {}
                    rect class="mixed-line" width="2" height="7" {}
                }
            }
        }
    }
}

/// A count, or the mark of one that is withheld.
pub(super) fn count(count: Count) -> Markup {
    match count {
        Some(_) => html! { (number(count)) },
        None => html! { span class="withheld" { "withheld" } },
    }
}

/// Draws a count as a bar, where `largest` is the whole length.
pub(super) fn bar(value: Count, largest: u64, class: &str, label: &str) -> Markup {
    html! {
        svg class="bar" aria-hidden="true" {
            @match value {
                Some(0) => {}
                Some(some) => rect class=(class) width=(percent(length(some, largest))) height="100%" {
                    title { (label) ": " (number(value)) }
                },
                None => (hatched(label)),
            }
        }
    }
}

/// Draws the pieces `(class, name, count)` of a whole one after the other, where `largest` is the whole length.
pub(super) fn stacked_bar(pieces: &[(&str, &str, u64)], largest: u64) -> Markup {
    let whole: u64 = pieces.iter().map(|(_, _, count)| count).sum();
    let mut lengths: Vec<_> = pieces.iter().map(|(_, _, count)| length(*count, largest)).collect();
    // What the small pieces gained in visibility, the largest gives.
    let excess = lengths.iter().sum::<u64>().saturating_sub(length(whole, largest));
    if let Some(longest) = lengths.iter_mut().max() {
        *longest = longest.saturating_sub(excess);
    }
    let starts = lengths.iter().scan(0, |before, length| {
        *before += length;
        Some(*before - length)
    });
    html! {
        svg class="bar stacked" aria-hidden="true" {
            @for (((class, name, count), length), start) in pieces.iter().zip(&lengths).zip(starts).filter(|((_, length), _)| **length > 0) {
                rect class=(class) x=(percent(start)) width=(percent(length.saturating_sub(GAP))) height="100%" { title { (name) ": " (number(Some(*count))) } }
            }
        }
    }
}

/// Draws the bar of a count that is withheld.
pub(super) fn hatched(label: &str) -> Markup {
    html! { rect class="hatch" width="100%" height="100%" { title { (label) ": withheld" } } }
}

/// Names the tones; `withheld` says whether there is a mark of that too.
pub(super) fn tones_legend(holders: usize, withheld: bool) -> Markup {
    html! {
        ul class="legend" {
            (swatch("f-all", &if holders == 2 { "at both holders".to_owned() } else { format!("at all {holders} holders") }))
            @if holders > 2 { (swatch("f-some", "at some")) }
            (swatch("f-one", "at one only"))
            @if withheld { (swatch("hatch", "withheld: the length says nothing")) }
        }
    }
}

/// One entry of a legend.
pub(super) fn swatch(class: &str, label: &str) -> Markup {
    html! { li { svg aria-hidden="true" { rect class=(class) width="100%" height="100%" {} } (label) } }
}

/// The head of a holder's row. A long name is cut to the width of its column; pointing at it shows all of it.
pub(super) fn row_head(holder: &ParticipantId) -> Markup {
    html! { th scope="row" title=(holder) { (holder) } }
}

/// A region that scrolls where it is wider or higher than the page; it can be reached, and scrolled, with the keyboard.
pub(super) fn scroll(class: &str, label: &str, inside: &Markup) -> Markup {
    html! { div class={ "scroll " (class) } role="region" aria-label=(label) tabindex="0" { (inside) } }
}

/// The names of a group's holders, all of them.
pub(super) fn names(holders: &[ParticipantId]) -> String {
    match holders {
        [one] => format!("{one} only"),
        holders => holders.iter().map(ParticipantId::as_str).collect::<Vec<_>>().join(" and "),
    }
}

/// `value` of `whole` in thousandths of a percent.
pub(super) fn part(value: u64, whole: u64) -> u64 {
    let scaled = u128::from(value) * u128::from(FULL) / u128::from(whole.max(1));
    u64::try_from(scaled).unwrap_or(FULL).min(FULL)
}

/// Thousandths of a percent as SVG has them: `12.345%`.
pub(super) fn percent(thousandths: u64) -> String {
    format!("{}.{:03}%", thousandths / 1000, thousandths % 1000)
}

fn length(value: u64, largest: u64) -> u64 {
    if value == 0 { 0 } else { part(value, largest).max(VISIBLE) }
}
