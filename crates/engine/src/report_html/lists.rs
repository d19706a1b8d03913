//! The lists on the page: which holder received which of its own rows, as a table. The rows are not in the report.

use maud::{Markup, html};

use super::{
    marks::{ROWS, row_head, scroll},
    section,
};
use crate::report::ListRef;

/// Draws one line per list.
pub(super) fn received(lists: &[ListRef], several: bool) -> Markup {
    let table = html! {
        table {
            thead {
                tr {
                    th scope="col" { "Holder" }
                    th scope="col" { "By" }
                    th scope="col" { "Which of its rows" }
                    th scope="col" { "How many" }
                }
            }
            tbody {
                @for list in lists.iter().take(ROWS) {
                    tr {
                        (row_head(&list.holder))
                        td { (list.kind) }
                        td { (list.in_words()) }
                        td { (list.outcome_in_words()) }
                    }
                }
            }
        }
    };
    let body = html! {
        p { "Some holders receive the numbers of their own rows, in a file that nobody else can open. Every other holder named here allowed it." }
        (scroll("", "Lists of rows that holders received", &table))
        @if lists.len() > ROWS {
            p class="note" { "The first " (ROWS) " of " (lists.len()) " lists; report.json has them all." }
        }
    };
    section(several, "Who received its rows", &body)
}
