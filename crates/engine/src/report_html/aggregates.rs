//! Aggregates on the page: each table with a bar for the customers of a group and with its figures as numbers.

use maud::{Markup, html};

use super::{
    marks::{ROWS, bar, count, scroll},
    section,
};
use crate::report::{AggregateColumn, AggregateGroup, AggregateTable, AggregateValues, Aggregates};

/// How many tables of an aggregate are shown; the rest is said as a number.
const TABLES: usize = 12;

/// Draws all tables of one aggregate.
pub(super) fn tables(aggregates: &Aggregates, several: bool) -> Markup {
    let shown = &aggregates.tables[..aggregates.tables.len().min(TABLES)];
    let body = html! {
        p {
            "Customers that holders have in common, each counted once, with what the holders keep beside them. "
            "Of duplicate rows the first counts."
        }
        @if shown.is_empty() { p { "No table: nobody is in a group of holders that it could be about." } }
        @for table in shown {
            p { strong { (sentence(&aggregates.in_words(&table.holders))) } }
            (of_holders(aggregates, table))
        }
        @if aggregates.tables.len() > TABLES {
            p class="note" { "and " (aggregates.tables.len() - TABLES) " more tables, in report.json" }
        }
    };
    section(several, &format!("Aggregates: {}", aggregates.name), &body)
}

/// Begins with a capital letter.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn of_holders(aggregates: &Aggregates, table: &AggregateTable) -> Markup {
    let label = format!("{}, {}", aggregates.name, aggregates.in_words(&table.holders));
    match &table.groups {
        None => html! { p { span class="withheld" { "This table is withheld." } } },
        Some(groups) => html! {
            @if groups.is_empty() && table.withheld_groups == 0 { p { "No customers." } }
            @if !groups.is_empty() { (scroll("", &label, &rows(aggregates, groups))) }
            @match table.withheld_groups {
                0 => {}
                1 => p class="note" { "and 1 group that is withheld, with its name" }
                more => p class="note" { "and " (more) " groups that are withheld, with their names" }
            }
            @if groups.len() > ROWS { p class="note" { "The first " (ROWS) " of " (groups.len()) " groups; report.json has them all." } }
        },
    }
}

fn rows(aggregates: &Aggregates, groups: &[AggregateGroup]) -> Markup {
    let largest = groups.iter().map(|group| group.count).max().unwrap_or(0);
    html! {
        table {
            thead {
                tr {
                    th scope="col" { "Group" }
                    th scope="col" { span class="hidden" { "Bar" } }
                    th scope="col" class="n" { "Customers" }
                    @for column in &aggregates.values {
                        th scope="col" class="n" { "With a number in " (column.column) }
                        @for figure in &column.figures { th scope="col" class="n" { (heading(figure)) " of " (column.column) } }
                    }
                }
            }
            tbody {
                @for group in groups.iter().take(ROWS) {
                    tr {
                        th scope="row" title=(group.name()) { (group.name()) }
                        td class="wide" { (bar(Some(group.count), largest, "f-matched", &group.name())) }
                        td class="n" { (count(Some(group.count))) }
                        @for (column, values) in aggregates.values.iter().zip(&group.values) { (cells(column, values)) }
                    }
                }
            }
        }
    }
}

fn heading(figure: &str) -> &str {
    match figure {
        "sum" => "Sum",
        "mean" => "Mean",
        _ => "Means of buckets",
    }
}

fn cells(column: &AggregateColumn, values: &AggregateValues) -> Markup {
    let cell = |text: String| html! { td class="n" { @if text == "withheld" { span class="withheld" { (text) } } @else { (text) } } };
    html! {
        td class="n" { (count(values.count)) }
        @if column.has("sum") { (cell(values.text(values.sum.as_ref()))) }
        @if column.has("mean") { (cell(values.text(values.mean.as_ref()))) }
        @if column.has("quantiles") { (cell(values.quantiles_text())) }
    }
}
