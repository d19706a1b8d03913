//! Two or three circles with the count of each group in its place.
//!
//! The circles have a fixed size: what is drawn to scale is in `lanes.rs`, which is exact for any counts, as circles cannot be,
//! and says nothing of a count that is withheld. The page's table of groups has the same numbers in rows.

use datafuse_core::id::ParticipantId;
use maud::{Markup, html};

use super::marks::{Tone, names};
use crate::report::{Count, Funnel, Overlap, number};

/// A place for one group.
struct Place {
    /// The holders by position.
    members: &'static [usize],
    outline: &'static str,
    /// Where its count stands.
    at: (u16, u16),
    /// How many characters have room there in letters of the usual size.
    room: usize,
}

/// How many characters of a holder's name stand at its circle.
const NAME_CHARACTERS: usize = 17;

/// Circles of radius 105 about (150, 145) and (270, 145), cut where they meet, at x = 210.
const TWO: [Place; 3] = [
    Place {
        members: &[0],
        outline: "M210 58.8A105 105 0 1 0 210 231.2A105 105 0 0 1 210 58.8Z",
        at: (104, 145),
        room: 9,
    },
    Place {
        members: &[1],
        outline: "M210 58.8A105 105 0 1 1 210 231.2A105 105 0 0 0 210 58.8Z",
        at: (316, 145),
        room: 9,
    },
    Place {
        members: &[0, 1],
        outline: "M210 58.8A105 105 0 0 1 210 231.2A105 105 0 0 1 210 58.8Z",
        at: (210, 145),
        room: 7,
    },
];

/// Circles of radius 110 about (154, 136), (266, 136) and (210, 233), cut where they meet.
const THREE: [Place; 7] = [
    Place {
        members: &[0],
        outline: "M210 41.3A110 110 0 1 0 100 231.8A110 110 0 0 1 156 137.2A110 110 0 0 1 210 41.3Z",
        at: (104, 112),
        room: 9,
    },
    Place {
        members: &[1],
        outline: "M210 41.3A110 110 0 1 1 320 231.8A110 110 0 0 0 264 137.2A110 110 0 0 0 210 41.3Z",
        at: (316, 112),
        room: 9,
    },
    Place {
        members: &[2],
        outline: "M100 231.8A110 110 0 1 0 320 231.8A110 110 0 0 1 210 230.7A110 110 0 0 1 100 231.8Z",
        at: (210, 296),
        room: 9,
    },
    Place {
        members: &[0, 1],
        outline: "M210 41.3A110 110 0 0 1 264 137.2A110 110 0 0 0 156 137.2A110 110 0 0 1 210 41.3Z",
        at: (210, 96),
        room: 5,
    },
    Place {
        members: &[0, 2],
        outline: "M100 231.8A110 110 0 0 0 210 230.7A110 110 0 0 1 156 137.2A110 110 0 0 0 100 231.8Z",
        at: (146, 204),
        room: 5,
    },
    Place {
        members: &[1, 2],
        outline: "M320 231.8A110 110 0 0 1 210 230.7A110 110 0 0 0 264 137.2A110 110 0 0 1 320 231.8Z",
        at: (274, 204),
        room: 5,
    },
    Place {
        members: &[0, 1, 2],
        outline: "M210 230.7A110 110 0 0 0 264 137.2A110 110 0 0 0 156 137.2A110 110 0 0 0 210 230.7Z",
        at: (210, 169),
        room: 7,
    },
];

/// Draws the circles of two or three holders; nothing for any other number.
pub(super) fn circles(overlap: &Overlap, parties: &[Funnel], label: &str) -> Option<Markup> {
    let holders: Vec<_> = parties.iter().map(|party| &party.holder).collect();
    let (places, view, names_at): (&[Place], _, &[_]) = match holders.len() {
        2 => (&TWO, "30 14 360 252", &[("middle", 135, 30), ("middle", 285, 30)]),
        3 => (&THREE, "40 0 340 366", &[("middle", 134, 16), ("middle", 286, 16), ("middle", 210, 360)]),
        _ => return None,
    };
    Some(html! {
        svg class="venn" viewBox=(view) role="group" aria-label=(label) {
            @for place in places {
                @let members: Vec<_> = place.members.iter().map(|at| holders[*at].clone()).collect();
                @let value = find(overlap, &members);
                @let tone = Tone::of(place.members.len(), holders.len());
                @let said = format!("{}: {}", names(&members), number(value));
                g class={ "mark " (tone.fill()) "-label" } tabindex="0" role="img" aria-label=(said) {
                    path class=(if value.is_some() { tone.fill() } else { "hatch" }) d=(place.outline) { title { (said) } }
                    text class=(label_class(value, place.room)) x=(place.at.0) y=(place.at.1) text-anchor="middle" dominant-baseline="central" { (number(value)) }
                }
            }
            @for (holder, (anchor, x, y)) in holders.iter().zip(names_at) {
                text class="circle-name" x=(x) y=(y) text-anchor=(anchor) aria-hidden="true" { title { (holder) } (shortened(holder)) }
            }
        }
    })
}

/// The count of exactly these holders; a group that the report does not name has nobody in it.
fn find(overlap: &Overlap, holders: &[ParticipantId]) -> Count {
    overlap.regions.iter().find(|region| region.holders == holders).map_or(Some(0), |region| region.count)
}

/// Long numbers stand in smaller letters, so that they stay within their shape.
fn label_class(value: Count, room: usize) -> &'static str {
    match value {
        None => "label small on-hatch",
        Some(_) if number(value).len() > room => "label small",
        Some(_) => "label",
    }
}

fn shortened(holder: &ParticipantId) -> String {
    let name = holder.as_str();
    if name.len() <= NAME_CHARACTERS { name.to_owned() } else { format!("{}…", &name[..NAME_CHARACTERS - 1]) }
}
