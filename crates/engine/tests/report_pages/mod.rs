//! Reports whose pages a browser opens: few holders and many, one kind and several, withheld counts, nothing in common.
//!
//! Counts come from a seeded generator, so every run draws the same pictures.

use std::collections::BTreeMap;

use datafuse_engine::aggregate::{Aggregate, Group, HolderColumn, Over, Table, Tables, ValueColumn, Values};
use datafuse_engine::match_table::{HolderSet, MatchTable};
use datafuse_engine::report::{DatasetRef, KindInputs, Provenance, Report, ReportInputs, RowCounts, Threshold};
use datafuse_engine::waterfall::{HolderRows, StepRows, WaterfallRows};

/// One report with a name for its files.
pub(crate) struct Page {
    /// What the report is an example of.
    pub(crate) name: &'static str,
    /// The report.
    pub(crate) report: Report,
}

/// Gives every report that is looked at.
pub(crate) fn all() -> Vec<Page> {
    let two = || table(&["acme", "globex"], &[(&[0], 15_790), (&[0, 1], 4_210), (&[1], 15_790)]);
    let page = |name, kinds, min_count| Page { name, report: report(kinds, min_count) };
    let mut hostile = page("hostile", vec![("email", two())], 1);
    let text = "</style><script>fetch('//evil.example/')</script><img src=//evil.example/a onerror=alert(1)>";
    hostile.report.provenance.event_type = text.into();
    hostile.report.provenance.at = text.into();
    hostile.report.provenance.root = text.into();
    vec![
        page("two", vec![("email", two())], 1),
        page("three", vec![("email", three(1_203))], 1),
        page("several-kinds", vec![("email", three(1_203)), ("phone", two()), ("iban", two())], 1),
        with_waterfall(page("waterfall", vec![("email", three(1_203)), ("phone", two())], 1), 1),
        with_waterfall(page("waterfall-withheld", vec![("email", three(1_203)), ("phone", two())], 100), 100),
        page("two-withheld", vec![("email", table(&["acme", "globex"], &[(&[0], 90), (&[0, 1], 3), (&[1], 80)]))], 5),
        page("three-withheld", vec![("email", three(7))], 50),
        page("four", vec![("email", many(4))], 1),
        page("ten", vec![("email", many(10))], 1),
        page("ten-withheld", vec![("email", many(10))], 200),
        page("forty", vec![("email", many(40))], 1),
        page("forty-withheld", vec![("email", many(40))], 100),
        page("no-match", vec![("email", table(&["acme", "globex"], &[(&[0], 15_790), (&[1], 9_120)]))], 1),
        page("nobody", vec![("email", table(&["acme", "globex"], &[]))], 1),
        page(
            "lopsided",
            vec![("email", table(&["acme", "globex"], &[(&[0], 12_482_113), (&[0, 1], 41), (&[1], 102)]))],
            1,
        ),
        page("long-names", vec![("email", long_names())], 1),
        Page { name: "aggregates", report: with_aggregates() },
        hostile,
    ]
}

/// Adds steps to a page of two kinds; the second holder matches by the second kind alone in 47 rows.
fn with_waterfall(mut page: Page, min_count: u64) -> Page {
    let funnels: Vec<_> = page.report.kinds().next().map(|kind| kind.parties.to_vec()).unwrap_or_default();
    let counted = WaterfallRows {
        order: vec!["email".parse().unwrap(), "phone".parse().unwrap()],
        holders: (funnels.iter().zip([512, 47, 0]))
            .map(|(funnel, first)| {
                let matched = funnel.matched.unwrap();
                let steps = vec![StepRows { matched, first: matched }, StepRows { matched: first, first }];
                HolderRows { holder: funnel.holder.clone(), rows: funnel.rows.unwrap(), steps }
            })
            .collect(),
    };
    page.report.add_waterfall(&counted, &Threshold { min_count, set_by: "globex".into() });
    page
}

/// Groups with names from a holder's rows, some withheld, figures that one customer makes up, and a table that is withheld.
fn with_aggregates() -> Report {
    let mut report =
        report(vec![("email", table(&["acme", "globex"], &[(&[0], 15_790), (&[0, 1], 1_200), (&[1], 15_790)]))], 5);
    let column =
        |holder: &str, column: &str| HolderColumn { holder: holder.parse().unwrap(), column: column.to_owned() };
    let aggregate = |name: &str| Aggregate {
        name: name.to_owned(),
        kind: "email".parse().unwrap(),
        over: Over::Pairs,
        group_by: vec![column("acme", "segment")],
        values: vec![ValueColumn { column: column("globex", "balance"), sum: true, mean: true, quantiles: true }],
    };
    let group = |name: Option<&str>, count: u64, largest: i128| {
        let numbers: Vec<i128> = (1..count as i128).chain([largest]).map(|number| number * 1_000_000_000).collect();
        let mut sizes: Vec<_> = numbers.iter().map(|number| number.unsigned_abs()).collect();
        sizes.sort_unstable();
        let values = Values {
            count,
            sum: numbers.iter().sum(),
            sum_of_sizes: sizes.iter().sum(),
            largest: [sizes[sizes.len() - 1], sizes[sizes.len() - 2]],
            all: numbers,
        };
        (vec![name.map(str::to_owned)], Group { count, values: vec![values] })
    };
    let groups = [
        group(None, 140, 200),
        group(Some("<img src=//evil.example/a onerror=alert(1)>"), 300, 310),
        group(Some("bankrupt"), 3, 9),
        group(Some("gold"), 400, 410),
        group(Some("silver, with a rather long name of its own that goes on and on"), 57, 900_000_000),
        group(Some("standard"), 300, 305),
    ];
    let set = HolderSet::new(2, [0, 1]);
    let shown = Tables::from([(set.clone(), Table::Groups(groups.into_iter().collect()))]);
    let withheld = Tables::from([(set, Table::TooManyGroups)]);
    let threshold = Threshold { min_count: 5, set_by: "globex".into() };
    let holders = ["acme".parse().unwrap(), "globex".parse().unwrap()];
    report.add_aggregates(
        vec![(aggregate("balance-by-segment"), shown), (aggregate("too-many"), withheld)],
        &holders,
        &threshold,
    );
    report
}

fn three(all: u64) -> MatchTable {
    let regions: [(&[usize], u64); 7] = [
        (&[0], 11_020),
        (&[1], 7_340),
        (&[2], 21_877),
        (&[0, 1], 2_480),
        (&[0, 2], 3_115),
        (&[1, 2], 640),
        (&[0, 1, 2], all),
    ];
    table(&["acme", "globex", "initech"], &regions)
}

fn long_names() -> MatchTable {
    let name =
        |first: char| format!("{first}-{}", "very-long-name-of-a-data-holder.".repeat(2).get(..62).unwrap_or_default());
    let names = ['a', 'b', 'c'].map(name);
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    table(&names, &[(&[0], 812_345_678), (&[1], 12_345), (&[0, 1], 4_210_333), (&[0, 1, 2], 77_312_009), (&[2], 999)])
}

/// Holders with customers of their own and groups of two, three and more, each smaller than the one before.
fn many(holders: usize) -> MatchTable {
    let names: Vec<_> =
        (0..holders).map(|at| format!("{}-{at:02}", ["bank", "retail", "telco", "clinic"][at % 4])).collect();
    let mut sorted: Vec<_> = names.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut draw = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let mut regions: BTreeMap<Vec<usize>, u64> = (0..holders).map(|at| (vec![at], 2_000 + draw(60_000))).collect();
    for _ in 0..holders * 6 {
        let most = draw(5) + 1;
        let size = 2 + draw(most);
        let mut members: Vec<_> = (0..size).map(|_| draw(holders as u64) as usize).collect();
        members.sort_unstable();
        members.dedup();
        if members.len() > 1 {
            let count = 1 + draw(12_000 / (members.len() * members.len()) as u64);
            regions.insert(members, count);
        }
    }
    regions.insert((0..holders).collect(), 318);
    let regions: Vec<_> = regions.iter().map(|(members, count)| (members.as_slice(), *count)).collect();
    table(&sorted, &regions)
}

fn table(names: &[&str], regions: &[(&[usize], u64)]) -> MatchTable {
    let holders = names.iter().map(|name| name.parse().unwrap()).collect();
    let set = |members: &[usize]| HolderSet::new(names.len(), members.iter().copied());
    MatchTable::new(holders, regions.iter().map(|(members, count)| (set(members), *count)))
}

fn report(kinds: Vec<(&str, MatchTable)>, min_count: u64) -> Report {
    let holders = kinds[0].1.holders.clone();
    let kinds = kinds.into_iter().map(|(kind, table)| {
        let rows = |at: usize| {
            let unique: u64 = table.regions.iter().filter(|(set, _)| set.contains(at)).map(|(_, count)| count).sum();
            let (empty, invalid) = (unique / 40 + 31, unique / 90 + 12);
            RowCounts { rows: unique + empty + invalid + unique / 25, empty, invalid, ..RowCounts::default() }
        };
        let rows = table.holders.iter().cloned().enumerate().map(|(at, holder)| (holder, rows(at))).collect();
        KindInputs { kind: kind.parse().unwrap(), rows, table }
    });
    let dataset = |(at, holder): (usize, _)| DatasetRef {
        holder,
        dataset: "customers".parse().unwrap(),
        version: 1,
        sha256: format!("{at:02x}").repeat(32),
        unauthenticated: false,
    };
    let inputs = ReportInputs {
        kinds: kinds.collect(),
        threshold: Threshold { min_count, set_by: "globex".into() },
        rules: Vec::new(),
        provenance: Provenance {
            space: "retail-2026".parse().unwrap(),
            root: "9b57e336".repeat(8),
            epoch: datafuse_core::id::Epoch(1),
            event: "01J8ZQ4X7M6V9K3T2N1B0C5D7E".parse().unwrap(),
            event_type: "CHECK_COMMON_DEMO_CUSTOMERS".into(),
            answered_from: None,
            datasets: holders.into_iter().enumerate().map(dataset).collect(),
            datafuse: "0.1.0".into(),
            at: "2026-11-20T10:00:00Z".into(),
        },
    };
    Report::build(inputs).unwrap()
}
