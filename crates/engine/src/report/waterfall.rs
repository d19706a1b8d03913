//! The waterfall in the report: how many rows of each holder came by which identifier kind.
//!
//! In go the counts of [`crate::waterfall`] and a report that is otherwise done; the section is added to it. A holder's
//! figures stand together or not at all. They are withheld where
//!
//! 1. the report withholds a count of that holder (`rows`, `unique` or `matched`, of any kind): with few duplicates a step
//!    comes close to `matched`; or
//! 2. one of these is above zero and under the threshold: the rows of a step; the rows that match by no kind; the rows that
//!    match by a kind and by one before it, which `matched` less the step may tell; the rows of matched identifiers beyond the
//!    first of each, which the first step less `matched` tells.
//!
//! What is then published of a holder are sums of groups of rows that are each empty or not small.

use std::fmt::Write;

use datafuse_core::id::{KindName, ParticipantId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Count, RULE_MIN_COUNT, Report, Suppressed, Threshold, schema,
    summary::{number, share, table},
};
use crate::waterfall::{HolderRows, WaterfallRows};

/// How many rows came by which kind. A row matches by a kind where at least one other holder has its identifier of that kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Waterfall {
    /// The kinds in the order in which they are tried.
    #[schemars(with = "Vec<schema::Name>")]
    pub order: Vec<KindName>,
    /// The holders, sorted by name.
    pub holders: Vec<HolderWaterfall>,
}

/// One holder's rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HolderWaterfall {
    /// The holder.
    #[schemars(with = "schema::Name")]
    pub holder: ParticipantId,
    /// The rows of its datasets, the same as in its funnels.
    pub rows: Count,
    /// For each kind of the order.
    pub steps: Vec<Step>,
    /// Rows that match by at least one of the kinds: the sum of the steps.
    pub matched: Count,
}

/// The rows that came by one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// The kind.
    #[schemars(with = "schema::Name")]
    pub kind: KindName,
    /// Rows that match by it, and by none before it in the order.
    pub rows: Count,
}

impl Report {
    /// Adds the waterfall, with everything withheld that the threshold asks for.
    pub fn add_waterfall(&mut self, counted: &WaterfallRows, threshold: &Threshold) {
        let mut holders = Vec::new();
        for HolderRows { holder, rows, steps } in &counted.holders {
            let hide = self.hides_rows_of(holder)
                || self.tells_of_few(&counted.order, &counted.holders, holder, threshold.min_count);
            let mut cell = |count: u64, name: &str| {
                if hide {
                    self.suppressed.push(Suppressed {
                        cell: format!("waterfall.holders[{holder}].{name}"),
                        rule: RULE_MIN_COUNT.to_owned(),
                        min_count: threshold.min_count,
                        set_by: threshold.set_by.clone(),
                    });
                }
                (!hide).then_some(count)
            };
            let rows = cell(*rows, "rows");
            let by = counted.order.iter().zip(steps);
            let by =
                by.map(|(kind, step)| Step { kind: kind.clone(), rows: cell(step.first, &format!("steps[{kind}]")) });
            let by = by.collect();
            let matched = cell(steps.iter().map(|step| step.first).sum(), "matched");
            holders.push(HolderWaterfall { holder: holder.clone(), rows, steps: by, matched });
        }
        self.waterfall = Some(Waterfall { order: counted.order.clone(), holders });
    }

    /// Whether a count of this holder is withheld, of any kind.
    fn hides_rows_of(&self, holder: &ParticipantId) -> bool {
        let parties = self.kinds().flat_map(|kind| kind.parties);
        parties
            .filter(|party| party.holder == *holder)
            .any(|party| party.rows.is_none() || party.unique.is_none() || party.matched.is_none())
    }

    /// Whether any group of a holder's rows that its waterfall tells of, itself or by a difference, is small.
    fn tells_of_few(&self, order: &[KindName], all: &[HolderRows], holder: &ParticipantId, min_count: u64) -> bool {
        let Some(counted) = all.iter().find(|counted| counted.holder == *holder) else { return true };
        let matched_by_any: u64 = counted.steps.iter().map(|step| step.first).sum();
        let mut groups = vec![counted.rows.saturating_sub(matched_by_any)];
        for (kind, step) in order.iter().zip(&counted.steps) {
            let of_kind = self.kinds().find(|info| info.kind == kind);
            let party = of_kind.and_then(|info| info.parties.iter().find(|party| party.holder == *holder));
            let identifiers = party.and_then(|party| party.matched).unwrap_or(0);
            groups.extend([step.first, step.matched - step.first, step.matched.saturating_sub(identifiers)]);
        }
        groups.into_iter().any(|count| count > 0 && count < min_count)
    }
}

impl Waterfall {
    /// Says the order in words: `email, else phone`.
    #[must_use]
    pub fn in_words(&self) -> String {
        self.order.iter().map(KindName::as_str).collect::<Vec<_>>().join(", else ")
    }

    /// Writes the lines for a terminal.
    pub(super) fn write(&self, out: &mut String) {
        let _ = writeln!(out, "\nRows that match at another holder by {}\n", self.in_words());
        let header = ["holder", "by", "rows", "share"].map(str::to_owned);
        let rows: Vec<_> = self
            .holders
            .iter()
            .flat_map(|holder| {
                let steps = holder.steps.iter().enumerate().map(|(position, Step { kind, rows })| {
                    (if position == 0 { kind.to_string() } else { format!("else {kind}") }, *rows)
                });
                let lines = steps.chain([("any of them".to_owned(), holder.matched)]);
                lines.map(|(by, rows)| [holder.holder.to_string(), by, number(rows), share(rows, holder.rows)])
            })
            .collect();
        table(out, 2, &header, rows.into_iter());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        match_table::MatchTable,
        report::tests::{inputs, table, two_holders},
        report_html,
        waterfall::StepRows,
    };

    fn threshold(min_count: u64) -> Threshold {
        Threshold { min_count, set_by: "globex".to_owned() }
    }

    /// A holder, its rows, and of each step how many match and how many match first.
    type Counted<'a> = (&'a str, u64, [(u64, u64); 2]);

    fn counted(holders: &[Counted<'_>]) -> WaterfallRows {
        let step = |(matched, first)| StepRows { matched, first };
        WaterfallRows {
            order: vec!["email".parse().unwrap(), "phone".parse().unwrap()],
            holders: holders
                .iter()
                .map(|(holder, rows, steps)| HolderRows {
                    holder: holder.parse().unwrap(),
                    rows: *rows,
                    steps: steps.map(step).to_vec(),
                })
                .collect(),
        }
    }

    /// A report of two kinds with the same table, and a waterfall.
    fn report(table: MatchTable, min_count: u64, counted: &WaterfallRows) -> Report {
        let mut report = Report::build(inputs(vec![("email", table.clone()), ("phone", table)], min_count)).unwrap();
        report.add_waterfall(counted, &threshold(min_count));
        report
    }

    fn usual() -> WaterfallRows {
        counted(&[("acme", 20_480, [(4_210, 4_210), (4_210, 512)]), ("globex", 20_480, [(4_250, 4_250), (4_230, 0)])])
    }

    #[test]
    fn is_a_section_of_every_form_of_the_report() {
        let report = report(two_holders(), 5, &usual());
        let json: serde_json::Value = serde_json::from_str(&report.to_json_pretty()).unwrap();
        let acme = serde_json::json!({
            "holder": "acme",
            "rows": 20_480,
            "steps": [{ "kind": "email", "rows": 4_210 }, { "kind": "phone", "rows": 512 }],
            "matched": 4_722,
        });
        assert_eq!(json["waterfall"]["order"], serde_json::json!(["email", "phone"]));
        assert_eq!(json["waterfall"]["holders"][0], acme);
        assert_eq!(json["suppressed"], serde_json::json!([]));
        assert_eq!(Report::from_json(report.to_json_pretty().as_bytes()).unwrap(), report);
        let expected = "
Rows that match at another holder by email, else phone

holder  by            rows   share
acme    email        4,210  20.6 %
acme    else phone     512   2.5 %
acme    any of them  4,722  23.1 %
globex  email        4,250  20.8 %
globex  else phone       0   0.0 %
globex  any of them  4,250  20.8 %
";
        assert!(report.summary_text().contains(expected), "{}", report.summary_text());
        let html = report_html::render(&report);
        for text in ["Which identifier did it", "else phone", "4,722", "23.1 %"] {
            assert!(html.contains(text), "{text}");
        }
    }

    #[test]
    fn a_report_without_one_is_as_before() {
        let report = Report::build(inputs(vec![("email", two_holders())], 1)).unwrap();
        assert!(!report.to_json_pretty().contains("waterfall"));
        assert!(!report.summary_text().contains("else") && !report_html::render(&report).contains("Which identifier"));
    }

    fn hidden(report: &Report) -> Vec<&str> {
        let cells = report.suppressed.iter().map(|suppressed| suppressed.cell.as_str());
        cells.filter(|cell| cell.starts_with("waterfall")).collect()
    }

    #[test]
    fn all_figures_of_a_holder_are_withheld_where_any_group_of_its_rows_is_small() {
        let steps = |acme: [(u64, u64); 2], rows: u64| {
            let globex = ("globex", 20_480, [(4_250, 4_250), (4_230, 0)]);
            report(two_holders(), 5, &counted(&[("acme", rows, acme), globex]))
        };
        let cases = [
            ("nothing small", [(4_210, 4_210), (4_210, 512)], 20_480, false),
            ("a step", [(4_210, 4_210), (4_210, 3)], 20_480, true),
            ("the rows that match by nothing", [(4_210, 4_210), (4_210, 512)], 4_724, true),
            ("all rows match", [(4_210, 4_210), (4_210, 512)], 4_722, false),
            ("the rows that match by both", [(4_210, 4_210), (4_210, 4_206)], 20_480, true),
            ("second rows of matched identifiers", [(4_212, 4_212), (4_210, 512)], 20_480, true),
        ];
        for (what, acme, rows, small) in cases {
            let report = steps(acme, rows);
            let waterfall = report.waterfall.as_ref().unwrap();
            let figures = [waterfall.holders[0].rows, waterfall.holders[0].steps[0].rows, waterfall.holders[0].matched];
            assert_eq!(figures.iter().all(Option::is_none), small, "{what}");
            assert_eq!(figures.iter().all(Option::is_some), !small, "{what}");
            assert_eq!(waterfall.holders[1].matched, Some(4_250), "{what}");
            let expected = [
                "waterfall.holders[acme].rows",
                "waterfall.holders[acme].steps[email]",
                "waterfall.holders[acme].steps[phone]",
                "waterfall.holders[acme].matched",
            ];
            assert_eq!(hidden(&report), if small { &expected[..] } else { &[] }, "{what}");
            if small {
                assert_eq!((report.suppressed[0].min_count, report.suppressed[0].set_by.as_str()), (5, "globex"));
                assert!(report.summary_text().contains("acme    any of them  withheld"), "{}", report.summary_text());
            }
        }
    }

    #[test]
    fn a_withheld_count_of_a_holder_withholds_its_waterfall() {
        // acme and globex share three alone; hooli shares enough with either.
        let three = || {
            table(
                &["acme", "globex", "hooli"],
                &[(&[0], 90), (&[0, 1], 3), (&[1], 80), (&[0, 2], 40), (&[1, 2], 50), (&[2], 70), (&[0, 1, 2], 9)],
            )
        };
        let rows = counted(&[
            ("acme", 622, [(52, 52), (52, 20)]),
            ("globex", 622, [(62, 62), (62, 20)]),
            ("hooli", 649, [(99, 99), (99, 20)]),
        ]);
        let report = report(three(), 5, &rows);
        let matched: Vec<_> = report.waterfall.as_ref().unwrap().holders.iter().map(|holder| holder.matched).collect();
        assert_eq!(matched, [None, None, Some(119)]);
    }

    /// By brute force: of the worlds of one holder's rows that give the same report, none is alone with a small group.
    #[test]
    fn published_figures_are_sums_of_groups_that_are_empty_or_not_small() {
        const MIN: u64 = 3;
        let (mut published, mut withheld) = (0, 0);
        // Rows that match by email only, by phone only, by both, by none; second rows of matched emails.
        let worlds = (0..7_u64.pow(5)).map(|i| [i % 7, i / 7 % 7, i / 49 % 7, i / 343 % 7, i / 2401]);
        for [email, phone, both, none, second] in worlds {
            let by_email = email + both;
            let Some(identifiers) = by_email.checked_sub(second) else { continue };
            let table = table(&["acme", "globex"], &[(&[0], 9), (&[0, 1], identifiers), (&[1], 9)]);
            let phones = self::table(&["acme", "globex"], &[(&[0], 9), (&[0, 1], phone + both), (&[1], 9)]);
            let mut report = Report::build(inputs(vec![("email", table), ("phone", phones)], MIN)).unwrap();
            let rows = email + phone + both + none;
            report.add_waterfall(
                &counted(&[("acme", rows, [(by_email, by_email), (phone + both, phone)])]),
                &threshold(MIN),
            );
            let small = |count: u64| count > 0 && count < MIN;
            // What a reader computes: the steps, what is left, and differences with what the funnels say.
            let derived = [by_email, phone, none, by_email - identifiers, both, identifiers, phone + both];
            if report.waterfall.unwrap().holders[0].matched.is_some() {
                published += 1;
                assert!(!derived.into_iter().any(small), "{derived:?}");
            } else {
                withheld += 1;
                assert!(derived.into_iter().any(small), "withheld without cause: {derived:?}");
            }
        }
        assert!(published > 500 && withheld > 5_000, "{published} {withheld}");
    }
}
