//! The report's short form for a terminal: the key figure, each holder's funnel, and who shares how much with whom.
//!
//! Plain text in columns, no colours; a count that is withheld is a word, never a blank or a zero.

use std::{collections::BTreeSet, fmt::Write};

use datafuse_core::id::ParticipantId;

use super::{
    Count, Funnel, KindInfo, Output, Overlap, RULE_DOMINANCE, RULE_MAX_GROUPS, RULE_MIN_COUNT, Ratio, Report,
    ReportWarning, lists,
};

/// How many lines a table has at most; the rest is said as a number.
const LINES: usize = 20;

/// What stands for a count that the policy withholds.
const WITHHELD: &str = "withheld";

/// Writes the summary, with a final newline.
pub(super) fn text(report: &Report) -> String {
    let mut out = String::new();
    for KindInfo { kind, overlap, parties } in report.kinds() {
        if !out.is_empty() {
            out.push('\n');
        }
        let holders = parties.len();
        let _ = writeln!(out, "Common customers by {kind}: {} (at all {holders} holders)", number(overlap.all));
        if report.shows(Output::Parties) {
            out.push('\n');
            funnel_table(&mut out, parties);
            for text in would_change_texts(parties) {
                let _ = writeln!(out, "{text}");
            }
        }
        if report.shows(Output::Pairwise) {
            pair_table(&mut out, overlap, parties);
        }
        if holders > 2 && report.shows(Output::AtLeast) {
            at_least_table(&mut out, overlap);
        }
    }
    if let Some(waterfall) = &report.waterfall {
        waterfall.write(&mut out);
    }
    lists::write(&mut out, &report.lists);
    for aggregates in &report.aggregates {
        aggregates.write(&mut out);
    }
    let from = &report.provenance;
    let _ = writeln!(
        out,
        "\nSpace {}, epoch {}, event {} ({}), {}",
        from.space, from.epoch, from.event, from.event_type, from.at
    );
    for text in report.unauthenticated_text().into_iter().chain(report.warnings.iter().map(ReportWarning::text)) {
        let _ = writeln!(out, "{text}");
    }
    for text in report.noise_text().into_iter().chain(report.rounding_text()).chain(report.left_out_texts()) {
        let _ = writeln!(out, "{text}");
    }
    let small: Vec<_> = report.suppressed.iter().filter(|suppressed| suppressed.rule == RULE_MIN_COUNT).collect();
    if let Some(first) = small.first() {
        let count = small.len();
        let _ = writeln!(
            out,
            "{count} counts withheld: under {} customers, or telling of such a count (rule {}, set by {})",
            first.min_count, first.rule, first.set_by
        );
    }
    for rule in [RULE_DOMINANCE, RULE_MAX_GROUPS] {
        let count = report.suppressed.iter().filter(|suppressed| suppressed.rule == rule).count();
        if count > 0 {
            let _ = writeln!(out, "{count} more figures withheld (rule {rule})");
        }
    }
    out
}

fn funnel_table(out: &mut String, parties: &[Funnel]) {
    let header = ["holder", "rows", "empty", "invalid", "duplicate", "unique", "matched", "share"].map(str::to_owned);
    let rows = parties.iter().map(|party| {
        [
            party.holder.to_string(),
            number(party.rows),
            number(party.empty),
            number(party.invalid),
            number(party.duplicate),
            number(party.unique),
            number(party.matched),
            share(party.matched, party.unique),
        ]
    });
    table(out, 1, &header, rows);
}

/// Says, of each profile that would bring more spellings together, how many rows of whom it would change; nothing of holders
/// where that is none, or withheld.
pub(crate) fn would_change_texts(parties: &[Funnel]) -> Vec<String> {
    let profiles: BTreeSet<&String> = parties.iter().flat_map(|party| party.would_change.keys()).collect();
    let text = |profile: &String| {
        let rows_of = |party: &Funnel| match party.would_change.get(profile)? {
            Some(0) | None => None,
            rows => Some(format!("{} rows of {}", number(*rows), party.holder)),
        };
        let mut changed: Vec<_> = parties.iter().filter_map(rows_of).collect();
        let more = changed.len().saturating_sub(LINES);
        changed.truncate(LINES);
        if more > 0 {
            changed.push(format!("and of {more} more holders"));
        }
        (!changed.is_empty()).then(|| format!("The profile {profile} would change {}.", changed.join(", ")))
    };
    profiles.into_iter().filter_map(text).collect()
}

fn pair_table(out: &mut String, overlap: &Overlap, parties: &[Funnel]) {
    if overlap.pairwise.is_empty() {
        return;
    }
    out.push('\n');
    let unique =
        |holder: &ParticipantId| parties.iter().find(|party| party.holder == *holder).and_then(|party| party.unique);
    let header = ["pair", "", "common", "of the 1st", "of the 2nd", "jaccard"].map(str::to_owned);
    let rows = overlap.pairwise.iter().map(|pair| {
        let (of_a, of_b) = (share(pair.count, unique(&pair.a)), share(pair.count, unique(&pair.b)));
        [pair.a.to_string(), pair.b.to_string(), number(pair.count), of_a, of_b, percent(pair.jaccard)]
    });
    table(out, 2, &header, rows);
}

fn at_least_table(out: &mut String, overlap: &Overlap) {
    out.push('\n');
    let header = ["at this many holders or more", "customers"].map(str::to_owned);
    table(out, 1, &header, overlap.at_least.iter().map(|entry| [entry.holders.to_string(), number(entry.count)]));
}

/// Writes columns two spaces apart, the first `left` of them aligned left, the others right.
pub(super) fn table<const N: usize>(
    out: &mut String,
    left: usize,
    header: &[String; N],
    rows: impl ExactSizeIterator<Item = [String; N]>,
) {
    let more = rows.len().saturating_sub(LINES);
    let rows: Vec<_> = std::iter::once(header.clone()).chain(rows.take(LINES)).collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in &rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let _ = if column < left { write!(line, "{cell:<width$}  ") } else { write!(line, "{cell:>width$}  ") };
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    if more > 0 {
        let _ = writeln!(out, "... {more} more in report.json");
    }
}

/// A count with its thousands apart.
pub(crate) fn number(count: Count) -> String {
    let Some(count) = count else { return WITHHELD.to_owned() };
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A part of a whole in percent, rounded to one decimal; nothing where either is withheld or the whole is none.
pub(crate) fn share(part: Count, whole: Count) -> String {
    match (part, whole) {
        (Some(part), Some(whole)) if whole > 0 => {
            let per_mille = (u128::from(part) * 1000 + u128::from(whole) / 2) / u128::from(whole);
            format!("{}.{} %", per_mille / 10, per_mille % 10)
        }
        _ => "-".to_owned(),
    }
}

/// A ratio in percent, as [`share`] has it.
fn percent(ratio: Option<Ratio>) -> String {
    share(ratio.map(|ratio| u64::from(ratio.millionths())), Some(1_000_000))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::report::tests::{inputs, table, two_holders};

    #[test]
    fn says_the_key_figure_the_funnels_and_the_pairs() {
        let report = Report::build(inputs(vec![("email", two_holders())], 1)).unwrap();
        let expected = "\
Common customers by email: 4,210 (at all 2 holders)

holder    rows  empty  invalid  duplicate  unique  matched   share
acme    20,480     31       12        437  20,000    4,210  21.1 %
globex  20,480     31       12        437  20,000    4,210  21.1 %

pair          common  of the 1st  of the 2nd  jaccard
acme  globex   4,210      21.1 %      21.1 %   11.8 %

Space retail-2026, epoch 1, event 01J8ZQ4X7M6V9K3T2N1B0C5D7E (CHECK_COMMON_DEMO_CUSTOMERS), 2026-11-20T10:00:00Z
";
        assert_eq!(report.summary_text(), expected);
    }

    #[test]
    fn says_what_is_withheld_and_by_whom() {
        let three =
            table(&["acme", "globex", "hooli"], &[(&[0], 90), (&[0, 1], 3), (&[1], 80), (&[2], 70), (&[0, 1, 2], 9)]);
        let text = Report::build(inputs(vec![("email", three)], 5)).unwrap().summary_text();
        assert!(text.contains("acme    globex  withheld           -           -        -"), "{text}");
        assert!(
            text.contains("at this many holders or more  customers\n1                              withheld"),
            "{text}"
        );
        assert!(
            text.contains(
                "counts withheld: under 5 customers, or telling of such a count (rule min_count, set by globex)"
            ),
            "{text}"
        );
    }

    #[test]
    fn says_how_many_lines_were_left_out() {
        let names: Vec<_> = (0..30).map(|i| format!("h{i:02}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let text = Report::build(inputs(vec![("email", table(&names, &[(&[0, 29], 5)]))], 1)).unwrap().summary_text();
        assert!(text.contains("... 10 more in report.json"), "{text}");
        assert!(text.contains("... 415 more in report.json"), "{text}");
    }

    #[test]
    fn numbers_are_grouped_and_shares_rounded() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(|n| number(Some(n))), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(share(Some(4_210), Some(20_000)), "21.1 %");
        assert_eq!(share(Some(u64::MAX), Some(u64::MAX)), "100.0 %");
        assert_eq!([share(None, Some(1)), share(Some(0), Some(0))], ["-", "-"]);
    }
}
