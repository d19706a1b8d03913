#![allow(clippy::unwrap_used)]
use std::collections::BTreeMap;

use super::*;
use crate::{
    aggregate::{HolderColumn, ValueColumn, Values},
    report::tests::{inputs, table},
    report_html,
};

fn holders() -> Vec<ParticipantId> {
    vec!["acme".parse().unwrap(), "globex".parse().unwrap()]
}

fn asked(over: Over) -> Aggregate {
    let column =
        |holder: &str, column: &str| HolderColumn { holder: holder.parse().unwrap(), column: column.to_owned() };
    Aggregate {
        name: "balance-by-segment".to_owned(),
        kind: "email".parse().unwrap(),
        over,
        group_by: vec![column("acme", "segment")],
        values: vec![ValueColumn { column: column("globex", "balance"), sum: true, mean: true, quantiles: true }],
    }
}

/// A group with numbers for some of its customers.
fn group(name: &str, count: u64, numbers: &[i64]) -> (GroupName, Group) {
    let mut values = Values::default();
    for number in numbers {
        values.add(i128::from(*number) * 1_000_000_000, true);
    }
    (vec![(!name.is_empty()).then(|| name.to_owned())], Group { count, values: vec![values] })
}

fn report(groups: Vec<(GroupName, Group)>, min_count: u64) -> Report {
    let common = groups.iter().map(|(_, group)| group.count).sum();
    let matched = table(&["acme", "globex"], &[(&[0], 900), (&[0, 1], common), (&[1], 900)]);
    let mut report = Report::build(inputs(vec![("email", matched)], min_count)).unwrap();
    let tables =
        Tables::from([(HolderSet::new(2, [0, 1]), Table::Groups(groups.into_iter().collect::<BTreeMap<_, _>>()))]);
    let threshold = Threshold { min_count, set_by: "globex".to_owned() };
    report.add_aggregates(vec![(asked(Over::Pairs), tables)], &holders(), &threshold);
    report
}

fn cells(report: &Report) -> Vec<(&str, &str)> {
    let cells = report.suppressed.iter().map(|suppressed| (suppressed.cell.as_str(), suppressed.rule.as_str()));
    cells.filter(|(cell, _)| cell.starts_with("aggregates")).collect()
}

#[test]
fn is_a_section_of_every_form_of_the_report() {
    let report = report(vec![group("gold", 8, &[1, 2, 3, 4, 5, 6, 7, 9]), group("", 6, &[])], 1);
    let json: serde_json::Value = serde_json::from_str(&report.to_json_pretty()).unwrap();
    let bucket = |count, mean| serde_json::json!({ "count": count, "mean": mean });
    assert_eq!(
        json["aggregates"],
        serde_json::json!([{
            "name": "balance-by-segment",
            "kind": "email",
            "over": "pairs",
            "group_by": ["acme.segment"],
            "values": [{ "column": "globex.balance", "figures": ["sum", "mean", "quantiles"] }],
            "tables": [{
                "holders": ["acme", "globex"],
                "groups": [
                    { "by": [null], "count": 6, "values": [{ "count": 0, "sum": "0", "mean": null, "quantiles": [] }] },
                    { "by": ["gold"], "count": 8, "values": [{
                        "count": 8, "sum": "37", "mean": "4.625",
                        "quantiles": [bucket(2, "1.5"), bucket(2, "3.5"), bucket(2, "5.5"), bucket(2, "8")],
                    }] },
                ],
                "withheld_groups": 0,
            }],
        }])
    );
    assert_eq!(Report::from_json(report.to_json_pretty().as_bytes()).unwrap(), report);
    let text = report.summary_text();
    let expected = "
balance-by-segment: customers by email at acme and globex, by acme.segment

group                         customers
(none)  ###############               6
gold    ####################          8

globex.balance  with a number  sum   mean     means of buckets
(none)                      0    0      -                    -
gold                        8   37  4.625  1.5 | 3.5 | 5.5 | 8
";
    assert!(text.contains(expected), "{text}");
    let html = report_html::render(&report);
    for text in ["balance-by-segment", "gold", "(none)", "4.625", "1.5"] {
        assert!(html.contains(text), "{text}");
    }
}

#[test]
fn a_withheld_group_is_not_even_named() {
    let report =
        report(vec![group("bankrupt", 3, &[1, 2, 3]), group("gold", 40, &[5; 40]), group("silver", 30, &[5; 30])], 5);
    let table = &report.aggregates[0].tables[0];
    assert_eq!(table.groups.as_ref().unwrap().iter().map(AggregateGroup::name).collect::<Vec<_>>(), ["silver"]);
    assert_eq!(table.withheld_groups, 2);
    assert_eq!(cells(&report), [("aggregates[balance-by-segment].tables[acme,globex].withheld_groups", "min_count")]);
    for text in [report.to_json_pretty(), report.summary_text(), report_html::render(&report)] {
        assert!(!text.contains("bankrupt") && !text.contains("gold") && text.contains("silver"), "{text}");
    }
    assert!(report.summary_text().contains("and 2 groups that are withheld"));
}

#[test]
fn figures_that_one_customer_makes_up_are_withheld_by_name() {
    let mut giant = vec![1_i64; 9];
    giant.push(1_000_000);
    let report = report(vec![group("a", 10, &[5; 10]), group("b", 10, &giant), group("c", 10, &[7; 10])], 3);
    let cell =
        |group| format!("aggregates[balance-by-segment].tables[acme,globex].groups[{group}].values[globex.balance]");
    assert_eq!(cells(&report), [(cell(0).as_str(), "dominance"), (cell(1).as_str(), "dominance")]);
    let groups = report.aggregates[0].tables[0].groups.as_ref().unwrap();
    assert_eq!((groups[1].count, groups[1].values[0].count, &groups[1].values[0].sum), (10, None, &None));
    assert_eq!(groups[2].values[0].sum.as_deref(), Some("70"));
    assert!(!report.to_json_pretty().contains("1000009"));
    assert!(report.summary_text().contains("2 more figures withheld (rule dominance)"), "{}", report.summary_text());
    assert!(report_html::render(&report).contains("withheld"));
}

#[test]
fn a_table_is_withheld_with_the_count_that_it_is_about() {
    let withheld = |report: &Report| report.aggregates[0].tables[0].groups.is_none();
    let few = report(vec![group("gold", 3, &[1, 2, 3])], 5);
    assert!(withheld(&few));
    assert_eq!(cells(&few), [("aggregates[balance-by-segment].tables[acme,globex]", "min_count")]);
    assert!(!few.to_json_pretty().contains("gold") && few.summary_text().contains("This table is withheld."));
    assert!(report_html::render(&few).contains("This table is withheld"));
    // Two small ones and nothing to hide them in.
    assert!(withheld(&report(vec![group("gold", 3, &[]), group("silver", 4, &[])], 5)));
    let none = report(vec![], 5);
    assert_eq!(none.aggregates[0].tables[0].groups, Some(vec![]));
}

#[test]
fn too_many_groups_withhold_the_table_and_a_region_that_is_not_listed_has_none() {
    let matched = table(&["acme", "globex"], &[(&[0], 900), (&[0, 1], 2_000)]);
    let mut report = Report::build(inputs(vec![("email", matched)], 5)).unwrap();
    let tables = || Tables::from([(HolderSet::new(2, [0, 1]), Table::TooManyGroups)]);
    let threshold = Threshold { min_count: 5, set_by: "globex".to_owned() };
    report.add_aggregates(vec![(asked(Over::All), tables())], &holders(), &threshold);
    assert_eq!(cells(&report), [("aggregates[balance-by-segment].tables[acme,globex]", "max_groups")]);
    report.overlap.regions.clear();
    report.add_aggregates(vec![(asked(Over::Regions), tables())], &holders(), &threshold);
    assert_eq!(report.aggregates[1].tables, []);
}

#[test]
fn names_of_groups_are_escaped_on_the_page() {
    let page = report_html::render(&report(vec![group("<script>alert(1)</script>", 50, &[1; 50])], 5));
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;alert(1)"));
}

#[test]
fn tables_go_with_the_part_of_the_report_that_their_groups_add_up_to() {
    let whole = || report(vec![group("gold", 48, &[5; 40]), group("silver", 33, &[7; 33])], 5);
    for (left_out, cell) in [(Output::Pairwise, "aggregates[balance-by-segment]"), (Output::Aggregates, "aggregates")] {
        let released = whole().release(&[(left_out, "globex".to_owned())]);
        assert_eq!(released.aggregates, []);
        assert_eq!(cells(&released), [(cell, "outputs")]);
        for text in [released.to_json_pretty(), released.summary_text(), report_html::render(&released)] {
            assert!(!text.contains("silver"), "{text}");
        }
    }
    let other = whole().release(&[(Output::Regions, "globex".to_owned()), (Output::All, "globex".to_owned())]);
    assert_eq!(other.aggregates, whole().aggregates);
}

#[test]
fn counts_of_groups_are_rounded_as_all_others() {
    let mut report = report(vec![group("gold", 48, &[5; 33])], 5);
    let rule = crate::report::RULE_ROUNDING.to_owned();
    report.policy.rules.push(crate::report::AppliedRule { rule, limit: 10, set_by: "space".to_owned() });
    let released = report.release(&[]);
    let group = &released.aggregates[0].tables[0].groups.as_ref().unwrap()[0];
    assert_eq!((group.count, group.values[0].count), (50, Some(30)));
    let buckets = group.values[0].quantiles.as_ref().unwrap();
    assert!(buckets.iter().all(|bucket| bucket.count == 10), "{buckets:?}");
}
