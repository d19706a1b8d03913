//! Every figure of the report against the plainest reading of its definition: sets of strings in memory.
//!
//! Random rows of random holders go through fused files, matching and the report; the reference sees only the strings.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet, HashSet};

use datafuse_core::id::ParticipantId;
use proptest::{prelude::*, test_runner::RngSeed};
use sha2::{Digest, Sha256};

use super::{Count, Funnel, KindInputs, KindReport, Overlap, Ratio, Report, ReportInputs, RowCounts, tests};
use crate::{
    match_table::MatchTable,
    matching::{
        match_datasets,
        tests::{KEY, files, limits},
    },
};

/// One row of one holder, for one kind.
#[derive(Clone, Debug)]
enum Row {
    Empty,
    Invalid,
    Person(String),
}

/// The rows of one holder.
type Rows = Vec<Row>;

fn rows() -> impl Strategy<Value = Rows> {
    let row = prop_oneof![
        1 => Just(Row::Empty),
        1 => Just(Row::Invalid),
        12 => (0..40_u8).prop_map(|person| Row::Person(format!("person{person}@example.org"))),
    ];
    prop::collection::vec(row, 0..80)
}

/// One kind's rows of two to six holders.
fn kinds() -> impl Strategy<Value = Vec<Vec<Rows>>> {
    (2..=6_usize, 1..=2_usize)
        .prop_flat_map(|(holders, kinds)| prop::collection::vec(prop::collection::vec(rows(), holders), kinds))
}

fn people(rows: &Rows) -> HashSet<&str> {
    rows.iter().filter_map(|row| if let Row::Person(person) = row { Some(person.as_str()) } else { None }).collect()
}

fn name(index: usize) -> ParticipantId {
    format!("holder{index}").parse().unwrap()
}

/// As the workload does it: a fused file for each holder, matched.
fn matched(holders: &[Rows]) -> MatchTable {
    let key = |person: &str| u128::from_be_bytes(Sha256::digest(person)[..16].try_into().unwrap());
    let of = |rows: &Rows| -> Vec<u128> {
        rows.iter().filter_map(|row| if let Row::Person(person) = row { Some(key(person)) } else { None }).collect()
    };
    let datasets: Vec<_> = holders.iter().map(of).enumerate().collect();
    let names: Vec<_> = (0..holders.len()).map(name).collect();
    let (_folder, inputs) = files(&datasets);
    match_datasets(&inputs, &names, &KEY, &limits(), &|_| {}).unwrap()
}

fn kind_inputs(kind: &str, holders: &[Rows]) -> KindInputs {
    let count = |rows: &Rows, which: fn(&Row) -> bool| rows.iter().filter(|row| which(row)).count() as u64;
    let rows = holders.iter().enumerate().map(|(index, rows)| {
        let counts = RowCounts {
            rows: rows.len() as u64,
            empty: count(rows, |row| matches!(row, Row::Empty)),
            invalid: count(rows, |row| matches!(row, Row::Invalid)),
            ..RowCounts::default()
        };
        (name(index), counts)
    });
    KindInputs { kind: kind.parse().unwrap(), rows: rows.collect(), table: matched(holders) }
}

fn report(kinds: &[Vec<Rows>], min_count: u64, max_regions: usize) -> Report {
    let named = ["email", "phone"].iter().zip(kinds).map(|(kind, holders)| kind_inputs(kind, holders));
    let inputs = ReportInputs { kinds: named.collect(), ..tests::inputs(vec![], min_count) };
    Report::build_up_to(max_regions, inputs).unwrap()
}

/// A cell of the report: what it says, and what is true.
struct Cell {
    name: String,
    shown: Count,
    truth: u64,
}

/// Every count of one kind with its true value.
fn cells(found: &KindReport, holders: &[Rows]) -> Vec<Cell> {
    let sets: Vec<HashSet<&str>> = holders.iter().map(people).collect();
    let everybody: BTreeSet<&str> = sets.iter().flatten().copied().collect();
    let at = |person: &str| -> BTreeSet<usize> { (0..sets.len()).filter(|h| sets[*h].contains(person)).collect() };
    let count = |which: &dyn Fn(&BTreeSet<usize>) -> bool| -> u64 {
        everybody.iter().filter(|person| which(&at(person))).count() as u64
    };
    let index = |holder: &ParticipantId| (0..sets.len()).find(|index| name(*index) == *holder).unwrap();
    let Overlap { all, pairwise, at_least, regions, .. } = &found.overlap;
    let cell = |name: String, shown: Count, truth: u64| Cell { name, shown, truth };
    let mut cells = vec![cell("overlap.all".into(), *all, count(&|at| at.len() == sets.len()))];
    assert_eq!(pairwise.len(), sets.len() * (sets.len() - 1) / 2);
    for pair in pairwise {
        let (a, b) = (&sets[index(&pair.a)], &sets[index(&pair.b)]);
        let both = a.intersection(b).count() as u64;
        cells.push(cell(format!("overlap.pairwise[{},{}]", pair.a, pair.b), pair.count, both));
    }
    assert_eq!(at_least.len(), sets.len());
    for (number, entry) in (1..).zip(at_least) {
        assert_eq!(entry.holders, number as u64);
        cells.push(cell(format!("overlap.at_least[{number}]"), entry.count, count(&|at| at.len() >= number)));
    }
    for region in regions {
        let members: BTreeSet<usize> = region.holders.iter().map(index).collect();
        let names: Vec<_> = region.holders.iter().map(ParticipantId::as_str).collect();
        cells.push(cell(format!("overlap.regions[{}]", names.join(",")), region.count, count(&|at| *at == members)));
    }
    assert_eq!(found.parties.len(), sets.len());
    for (index, party) in found.parties.iter().enumerate() {
        let Funnel { holder, rows, duplicate, unique, matched, .. } = party;
        assert_eq!(*holder, name(index));
        let with_a_person = holders[index].iter().filter(|row| matches!(row, Row::Person(_))).count();
        let distinct = sets[index].len();
        let elsewhere = sets[index].iter().filter(|person| at(person).len() > 1).count();
        for (name, shown, truth) in [
            ("rows", rows, holders[index].len()),
            ("duplicate", duplicate, with_a_person - distinct),
            ("unique", unique, distinct),
            ("matched", matched, elsewhere),
        ] {
            cells.push(cell(format!("parties[{holder}].{name}"), *shown, truth as u64));
        }
        let of_sort = |sort: fn(&Row) -> bool| Some(holders[index].iter().filter(|row| sort(row)).count() as u64);
        assert_eq!(party.empty, of_sort(|row| matches!(row, Row::Empty)));
        assert_eq!(party.invalid, of_sort(|row| matches!(row, Row::Invalid)));
    }
    cells
}

/// Every ratio that is shown is the quotient of the true sizes, and it is shown if and only if what it is made of is.
fn check_ratios(found: &KindReport, holders: &[Rows]) {
    let sets: Vec<HashSet<&str>> = holders.iter().map(people).collect();
    let party = |holder: &ParticipantId| found.parties.iter().position(|party| party.holder == *holder).unwrap();
    let check = |ratio: Option<Ratio>, part: usize, whole: usize, known: bool| {
        assert_eq!(ratio.is_some(), known && whole > 0, "{ratio:?} of {part} and {whole}");
        let Some(ratio) = ratio else { return };
        let exact = part as f64 / whole as f64;
        assert!((f64::from(ratio.millionths()) / 1e6 - exact).abs() <= 0.500_001e-6, "{ratio:?} for {exact}");
    };
    for pair in &found.overlap.pairwise {
        let (a, b) = (party(&pair.a), party(&pair.b));
        let both = sets[a].intersection(&sets[b]).count();
        let knows_a = pair.count.is_some() && found.parties[a].unique.is_some();
        let knows_b = pair.count.is_some() && found.parties[b].unique.is_some();
        check(pair.share_of_a, both, sets[a].len(), knows_a);
        check(pair.share_of_b, both, sets[b].len(), knows_b);
        check(pair.jaccard, both, sets[a].union(&sets[b]).count(), knows_a && knows_b);
    }
}

/// The regions that are listed are the right ones, and what is said of the others is true.
fn check_regions(found: &KindReport, whole: &KindReport, holders: &[Rows], max_regions: usize) {
    let listed = &found.overlap.regions;
    assert!(listed.iter().all(|region| whole.overlap.regions.contains(region)));
    assert!(listed.is_sorted_by(|a, b| a.holders < b.holders));
    let others: Vec<_> = whole.overlap.regions.iter().filter(|region| !listed.contains(region)).collect();
    assert_eq!(listed.len(), whole.overlap.regions.len().min(max_regions));
    let Some(left_out) = found.overlap.regions_left_out else { return assert!(others.is_empty()) };
    assert_eq!(left_out.regions, others.len() as u64);
    assert_eq!(left_out.count, others.iter().filter_map(|region| region.count).sum::<u64>());
    assert_eq!(left_out.withheld, others.iter().filter(|region| region.count.is_none()).count() as u64);
    assert!(others.iter().all(|region| region.holders.len() < holders.len()), "that of all holders is listed");
    let smallest = listed.iter().filter(|region| region.holders.len() < holders.len()).map(|region| region.count).min();
    assert!(others.iter().all(|region| Some(region.count) <= smallest || smallest.is_none()));
}

fn of_kind(report: &Report, position: usize) -> (String, KindReport) {
    let kind = report.kinds().nth(position).unwrap();
    let prefix = if position == 0 { String::new() } else { format!("by_kind.{}.", kind.kind) };
    (prefix, KindReport { overlap: kind.overlap.clone(), parties: kind.parties.to_vec() })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn every_figure_is_what_sets_of_strings_give(kinds in kinds(), min_count in 1..6_u64, max_regions in 1..20_usize) {
        let found = report(&kinds, min_count, max_regions);
        let every_region = report(&kinds, min_count, usize::MAX);
        let mut withheld: BTreeMap<String, u64> = BTreeMap::new();
        for (position, holders) in kinds.iter().enumerate() {
            let (prefix, kind) = of_kind(&found, position);
            for Cell { name, shown, truth } in cells(&kind, holders) {
                match shown {
                    Some(shown) => {
                        prop_assert_eq!(shown, truth, "{}", &name);
                        let of_rows = name.ends_with(".rows") || name.ends_with(".duplicate");
                        prop_assert!(of_rows || truth == 0 || truth >= min_count, "{} is {}", &name, truth);
                    }
                    None => drop(withheld.insert(format!("{prefix}{name}"), truth)),
                }
            }
            let common = found.common_customers.values().nth(position).unwrap();
            prop_assert_eq!(*common, kind.overlap.all);
            if common.is_none() {
                let kind = ["email", "phone"][position];
                withheld.insert(format!("common_customers.by_{kind}"), 0);
            }
            if kind.overlap.regions_left_out.is_some_and(|left_out| left_out.withheld > 0) {
                withheld.insert(format!("{prefix}overlap.regions_left_out"), 0);
            }
            check_ratios(&kind, holders);
            check_regions(&kind, &of_kind(&every_region, position).1, holders, max_regions);
        }
        let named: BTreeSet<_> = found.suppressed.iter().map(|suppressed| suppressed.cell.clone()).collect();
        prop_assert_eq!(named.len(), found.suppressed.len());
        prop_assert_eq!(named, withheld.keys().cloned().collect::<BTreeSet<_>>());
        prop_assert!(min_count > 1 || withheld.is_empty());
        prop_assert_eq!(Report::from_json(found.to_json_pretty().as_bytes()).unwrap(), found);
    }
}
