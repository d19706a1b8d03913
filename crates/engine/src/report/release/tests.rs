//! What is published under all rules together: random reports against plain readings of the rules, and against linear algebra.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::{prelude::*, test_runner::RngSeed};
use serde_json::Value;

use super::*;
use crate::{
    match_table::{HolderSet, MatchTable},
    report::{
        KindInputs, ReportInputs, RowCounts,
        suppression::tests::{rank, table},
        tests,
    },
    report_html,
    waterfall::{HolderRows, StepRows, WaterfallRows},
};

/// What random holders have: regions of two kinds, and rows that come by the one, the other or both.
#[derive(Clone, Debug)]
struct World {
    holders: usize,
    /// Email's, then phone's.
    regions: [Vec<u64>; 2],
    rows: Vec<HolderWorld>,
}

/// The rows of one holder.
#[derive(Clone, Debug)]
struct HolderWorld {
    /// Rows of matched identifiers beyond the first of each, by email and by phone.
    second: [u64; 2],
    /// Rows that match by both kinds.
    both: u64,
    /// Rows beyond the fewest that there can be.
    more: u64,
    /// Empty and invalid ones by email, then by phone.
    unusable: [u64; 4],
}

/// The rules of a policy, as the agreement has them.
#[derive(Clone, Debug)]
struct Rules {
    min_count: u64,
    rounding: u64,
    left_out: BTreeSet<Output>,
}

impl World {
    fn tables(&self) -> [MatchTable; 2] {
        [0, 1].map(|kind| table(self.holders, &self.regions[kind]))
    }

    fn steps(&self, tables: &[MatchTable; 2], holder: usize) -> [StepRows; 2] {
        let HolderWorld { second, both, .. } = &self.rows[holder];
        let [email, phone] = [0, 1].map(|kind| tables[kind].matched(holder) + second[kind]);
        let both = (*both).min(email).min(phone);
        [StepRows { matched: email, first: email }, StepRows { matched: phone, first: phone - both }]
    }

    /// As many rows as hold what the holder has of either kind, and some more.
    fn rows(&self, tables: &[MatchTable; 2], holder: usize) -> u64 {
        let HolderWorld { unusable, more, .. } = &self.rows[holder];
        let of_kind = [0, 1].map(|kind| tables[kind].unique(holder) + unusable[2 * kind] + unusable[2 * kind + 1]);
        let matched: u64 = self.steps(tables, holder).iter().map(|step| step.first).sum();
        of_kind.into_iter().max().unwrap().max(matched) + more
    }

    fn report(&self, rules: &Rules) -> Report {
        let tables = self.tables();
        let names = tables[0].holders.clone();
        let counts = |kind: usize| {
            names.iter().cloned().enumerate().map(move |(holder, name)| {
                let [empty, invalid] = [0, 1].map(|sort| self.rows[holder].unusable[2 * kind + sort]);
                (name, empty, invalid)
            })
        };
        let kinds = ["email", "phone"].into_iter().enumerate().map(|(kind, name)| KindInputs {
            kind: name.parse().unwrap(),
            table: tables[kind].clone(),
            rows: counts(kind)
                .enumerate()
                .map(|(holder, (name, empty, invalid))| {
                    let rows = self.rows(&tables, holder);
                    let would_change = [(datafuse_core::normalize::Profile::EmailGmailV1, rows / 7)].into();
                    (name, RowCounts { rows, empty, invalid, would_change })
                })
                .collect(),
        });
        let rounding = AppliedRule { rule: RULE_ROUNDING.into(), limit: rules.rounding, set_by: "acme".into() };
        let inputs = tests::inputs(vec![], rules.min_count);
        let threshold = inputs.threshold.clone();
        let rules_applied = if rules.rounding > 1 { vec![rounding] } else { Vec::new() };
        let mut report =
            Report::build(ReportInputs { kinds: kinds.collect(), rules: rules_applied, ..inputs }).unwrap();
        let holders = names.iter().enumerate().map(|(holder, name)| HolderRows {
            holder: name.clone(),
            rows: self.rows(&tables, holder),
            steps: self.steps(&tables, holder).to_vec(),
        });
        let order = vec!["email".parse().unwrap(), "phone".parse().unwrap()];
        report.add_waterfall(&WaterfallRows { order, holders: holders.collect() }, &threshold);
        let left_out: Vec<_> = rules.left_out.iter().map(|output| (*output, "globex".to_owned())).collect();
        report.release(&left_out)
    }
}

fn count() -> impl Strategy<Value = u64> {
    prop_oneof![2 => Just(0_u64), 3 => 1..8_u64, 5 => 8..90_u64]
}

fn worlds() -> impl Strategy<Value = World> {
    (2..=4_usize).prop_flat_map(|holders| {
        let regions = || prop::collection::vec(count(), (1 << holders) - 1);
        let rows = (count(), count(), count(), count(), [count(), count(), count(), count()])
            .prop_map(|(one, other, both, more, unusable)| HolderWorld { second: [one, other], both, more, unusable });
        (regions(), regions(), prop::collection::vec(rows, holders)).prop_map(move |(email, phone, rows)| World {
            holders,
            regions: [email, phone],
            rows,
        })
    })
}

fn rules() -> impl Strategy<Value = Rules> {
    let left_out = prop::collection::btree_set(prop::sample::select(Output::ALL.to_vec()), 0..4);
    (1..7_u64, prop_oneof![Just(1_u64), 2..30_u64], left_out).prop_map(|(min_count, rounding, left_out)| Rules {
        min_count,
        rounding,
        left_out,
    })
}

/// Every figure that a report says, by its place: regions by their holders.
fn figures(report: &Report) -> BTreeMap<String, u64> {
    fn walk(place: &str, value: &Value, found: &mut BTreeMap<String, u64>) {
        match value {
            Value::Object(fields) => {
                // How many holders is no count of customers, and ratios follow from counts.
                let is_figure = |name: &str| !matches!(name, "holders" | "jaccard" | "share_of_a" | "share_of_b");
                for (name, field) in fields.iter().filter(|(name, field)| is_figure(name) || field.is_array()) {
                    walk(&format!("{place}/{name}"), field, found);
                }
            }
            Value::Array(entries) => {
                for (position, entry) in entries.iter().enumerate() {
                    let of_region = entry.get("holders").filter(|holders| holders.is_array());
                    let name = of_region.map_or_else(|| position.to_string(), ToString::to_string);
                    walk(&format!("{place}/{name}"), entry, found);
                }
            }
            Value::Number(number) => drop(found.insert(place.to_owned(), number.as_u64().unwrap())),
            _ => {}
        }
    }
    let json = serde_json::to_value(report).unwrap();
    let mut found = BTreeMap::new();
    for part in ["common_customers", "overlap", "parties", "by_kind", "waterfall"] {
        walk(part, &json[part], &mut found);
    }
    found
}

/// The nearest multiple, by trying them.
fn nearest(count: u64, to: u64) -> u64 {
    (0..=count / to + 1)
        .map(|times| times * to)
        .min_by_key(|multiple| (multiple.abs_diff(count), u64::MAX - multiple))
        .unwrap()
}

fn is_region(place: &str) -> bool {
    place.contains("/regions/")
}

/// A sum over what random holders have: what of it is in the report, and what is true.
struct Sum {
    coefficients: Vec<i128>,
    shown: Count,
    truth: i128,
}

/// Every sum that a report of this world has or a reader may look for, as coefficients over the unknowns: the regions of both kinds,
/// then for each holder its rows, second rows of either kind, rows by both, and unusable rows.
fn sums(world: &World, report: &Report) -> Vec<Sum> {
    const OF_HOLDER: usize = 8;
    let tables = world.tables();
    let regions = (1 << world.holders) - 1;
    let width = 2 * regions + OF_HOLDER * world.holders;
    let set = |mask: usize| HolderSet::new(world.holders, (0..world.holders).filter(move |h| mask >> h & 1 == 1));
    let mut truth: Vec<i128> = world.regions.iter().flatten().map(|count| i128::from(*count)).collect();
    for holder in 0..world.holders {
        let steps = world.steps(&tables, holder);
        let HolderWorld { second, unusable, .. } = &world.rows[holder];
        let both = steps[1].matched - steps[1].first;
        let of_holder = [world.rows(&tables, holder), second[0], second[1], both].into_iter().chain(*unusable);
        truth.extend(of_holder.map(i128::from));
    }
    let over = |kind: usize, member: &dyn Fn(&HolderSet) -> bool| {
        let mut row = vec![0; width];
        for mask in (1..=regions).filter(|mask| member(&set(*mask))) {
            row[kind * regions + mask - 1] = 1;
        }
        row
    };
    let one = |holder: usize, position: usize| {
        let mut row = vec![0; width];
        row[2 * regions + OF_HOLDER * holder + position] = 1;
        row
    };
    let plus = |a: Vec<i128>, b: Vec<i128>, by: i128| a.into_iter().zip(b).map(|(a, b)| a + by * b).collect::<Vec<_>>();
    let mut found = Vec::new();
    let mut add = |coefficients: Vec<i128>, shown: Count| {
        let truth = coefficients.iter().zip(&truth).map(|(a, b)| a * b).sum();
        found.push(Sum { coefficients, shown, truth });
    };
    for (kind, info) in report.kinds().enumerate() {
        let names = &tables[kind].holders;
        let index = |name| names.iter().position(|other| other == name).unwrap();
        let all = over(kind, &|set| set.len() == world.holders);
        add(all.clone(), info.overlap.all);
        add(all, report.common_customers[&format!("by_{}", info.kind)]);
        for pair in &info.overlap.pairwise {
            let (a, b) = (index(&pair.a), index(&pair.b));
            add(over(kind, &|set| set.contains(a) && set.contains(b)), pair.count);
        }
        for (number, entry) in (1..).zip(&info.overlap.at_least) {
            add(over(kind, &|set| set.len() >= number), entry.count);
        }
        // With regions in the report, one that it does not name has nobody in it.
        for mask in 1..=regions {
            let set = set(mask);
            let members: Vec<_> = set.iter().map(|holder| names[holder].clone()).collect();
            let listed = info.overlap.regions.iter().find(|region| region.holders == members);
            let missing = if report.shows(Output::Regions) { Some(0) } else { None };
            add(over(kind, &|other| *other == set), listed.map_or(missing, |region| region.count));
        }
        for (holder, party) in info.parties.iter().enumerate() {
            let unique = over(kind, &|set| set.contains(holder));
            add(unique.clone(), party.unique);
            add(over(kind, &|set| set.contains(holder) && set.len() > 1), party.matched);
            let unusable = [0, 1].map(|sort| one(holder, 4 + 2 * kind + sort));
            add(one(holder, 0), party.rows);
            add(unusable[0].clone(), party.empty);
            add(unusable[1].clone(), party.invalid);
            let used = unusable.into_iter().fold(unique, |sum, row| plus(sum, row, 1));
            add(plus(one(holder, 0), used, -1), party.duplicate);
        }
    }
    let shown = report.waterfall.as_ref();
    for holder in 0..world.holders {
        let shown = shown.map(|waterfall| &waterfall.holders[holder]);
        let matched = [0, 1].map(|kind| over(kind, &|set| set.contains(holder) && set.len() > 1));
        let [email, phone] = matched;
        let first = plus(email, one(holder, 1), 1);
        let second = plus(plus(phone, one(holder, 2), 1), one(holder, 3), -1);
        let any = plus(first.clone(), second.clone(), 1);
        add(one(holder, 0), shown.and_then(|shown| shown.rows));
        add(first, shown.and_then(|shown| shown.steps[0].rows));
        add(second, shown.and_then(|shown| shown.steps[1].rows));
        add(any.clone(), shown.and_then(|shown| shown.matched));
        // What no report says in so many words: rows that match by nothing, by both, and second rows.
        add(plus(one(holder, 0), any, -1), None);
        (1..4).for_each(|position| add(one(holder, position), None));
    }
    found
}

/// Whether a sum is of people: rows that are empty, invalid or repeated are no matter of the smallest count.
fn is_of_people(sum: &Sum, world: &World) -> bool {
    let regions = 2 * ((1 << world.holders) - 1);
    let (people, rows) = sum.coefficients.split_at(regions);
    people.iter().any(|coefficient| *coefficient != 0) && rows.iter().all(|coefficient| *coefficient == 0)
        || is_of_matched_rows(rows)
}

/// The rows of a step, by both kinds, by none: among what is known of rows there is some of a waterfall.
fn is_of_matched_rows(rows: &[i128]) -> bool {
    rows.chunks(8).any(|holder| holder[1..4].iter().any(|coefficient| *coefficient != 0))
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 192, rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_published_counts_determine_a_small_one(world in worlds(), rules in rules()) {
        let report = world.report(&Rules { rounding: 1, ..rules.clone() });
        let sums = sums(&world, &report);
        let published: Vec<_> =
            sums.iter().filter(|sum| sum.shown.is_some()).map(|sum| sum.coefficients.clone()).collect();
        for sum in &sums {
            prop_assert!(sum.shown.is_none_or(|shown| i128::from(shown) == sum.truth));
        }
        let known = rank(published.clone());
        let small = sums.iter().filter(|sum| is_of_people(sum, &world) && (1..i128::from(rules.min_count)).contains(&sum.truth));
        for sum in small {
            let with: Vec<_> = published.iter().cloned().chain([sum.coefficients.clone()]).collect();
            prop_assert!(rank(with) > known, "a sum of {} follows from what is published: {report:?}", sum.truth);
        }
    }

    /// Rounding is a function of what would be published without it, so it tells nothing that this does not.
    #[test]
    fn a_rounded_report_is_the_exact_one_rounded(world in worlds(), rules in rules()) {
        let exact = figures(&world.report(&Rules { rounding: 1, ..rules.clone() }));
        let found = figures(&world.report(&rules));
        let expected = exact
            .into_iter()
            .map(|(place, count)| (place, nearest(count, rules.rounding)))
            .filter(|(place, count)| *count > 0 || !is_region(place));
        prop_assert_eq!(found, expected.collect::<BTreeMap<_, _>>());
    }

    #[test]
    fn ratios_are_made_of_the_counts_beside_them(world in worlds(), rules in rules()) {
        let report = world.report(&rules);
        for info in report.kinds() {
            let unique = |holder| info.parties.iter().find(|party| party.holder == holder).unwrap().unique;
            for pair in &info.overlap.pairwise {
                let (a, b) = (unique(pair.a.clone()), unique(pair.b.clone()));
                let share = |of: Count| super::super::Ratio::of(pair.count?, of?);
                prop_assert_eq!(pair.share_of_a, share(a));
                prop_assert_eq!(pair.share_of_b, share(b));
                prop_assert_eq!(pair.jaccard.is_some(), share(a.zip(b).map(|(a, b)| a + b)).is_some());
            }
        }
    }

    /// Stricter in any rule or in several: nothing is said that was not said before.
    #[test]
    fn a_report_under_a_stricter_policy_never_says_more(
        world in worlds(), rules in rules(), more in 0..5_u64, leave in prop::sample::select(Output::ALL.to_vec()),
    ) {
        let lax = Rules { rounding: 1, ..rules.clone() };
        let mut strict = Rules { min_count: rules.min_count + more, ..rules };
        strict.left_out.insert(leave);
        let said = figures(&world.report(&lax));
        for (place, count) in figures(&world.report(&strict)) {
            let before = said.get(&place).map(|count| nearest(*count, strict.rounding));
            prop_assert_eq!(before, Some(count), "{}", place);
        }
    }

    /// The report of one data user is made of that of all, which may have been released long before.
    #[test]
    fn leaving_more_out_later_is_leaving_all_out_at_once(
        world in worlds(),
        rules in rules(),
        later in prop::collection::btree_set(prop::sample::select(Output::ALL.to_vec()), 0..4),
    ) {
        let sorted = |mut report: Report| {
            report.policy.left_out.sort_by(|a, b| a.output.cmp(&b.output));
            report.suppressed.sort_by(|a, b| a.cell.cmp(&b.cell));
            report
        };
        let more: Vec<_> = later.iter().map(|output| (*output, "globex".to_owned())).collect();
        let in_two_steps = world.report(&rules).release(&more);
        let all = Rules { left_out: &rules.left_out | &later, ..rules };
        prop_assert_eq!(sorted(in_two_steps), sorted(world.report(&all)));
    }

    #[test]
    fn a_part_left_out_has_no_count_and_no_name_of_a_cell(world in worlds(), rules in rules()) {
        let report = world.report(&rules);
        let json = serde_json::to_value(&report).unwrap();
        let (overlap, of_phone) = (&report.overlap, &report.by_kind.values().next().unwrap().overlap);
        for output in &rules.left_out {
            prop_assert!(!report.shows(*output));
            for (prefix, overlap, parties) in
                [("", overlap, &json["parties"]), ("by_kind.phone.", of_phone, &json["by_kind"]["phone"]["parties"])]
            {
                let nothing = match output {
                    Output::All => overlap.all.is_none() && report.common_customers.values().all(Option::is_none),
                    Output::Pairwise => overlap.pairwise.iter().all(|pair| (pair.count, pair.jaccard) == (None, None)),
                    Output::AtLeast => overlap.at_least.iter().all(|entry| entry.count.is_none()),
                    Output::Regions => overlap.regions.is_empty() && overlap.regions_left_out.is_none(),
                    Output::Parties => parties.as_array().unwrap().iter().all(|party| {
                        party.as_object().unwrap().iter().all(|(name, value)| name == "holder" || value.is_null())
                    }),
                    Output::Waterfall => report.waterfall.is_none(),
                    Output::Aggregates => report.aggregates.is_empty(),
                };
                prop_assert!(nothing, "{output:?}");
                let (part, cell) = match output {
                    Output::Parties => ("", "parties"),
                    Output::Waterfall | Output::Aggregates => continue,
                    output => ("overlap.", output.as_str()),
                };
                let whole = format!("{prefix}{part}{cell}");
                let within: Vec<_> = report.suppressed.iter().filter(|s| s.cell.starts_with(&whole)).collect();
                prop_assert_eq!(within.len(), 1);
                prop_assert_eq!((&within[0].cell, within[0].rule.as_str(), within[0].set_by.as_str()), (&whole, "outputs", "globex"));
            }
        }
        let by_outputs = report.suppressed.iter().filter(|suppressed| suppressed.rule == RULE_OUTPUTS).count();
        let cells = |output: &Output| match output { Output::All => 4, Output::Waterfall => 1, Output::Aggregates => 0, _ => 2 };
        prop_assert_eq!(by_outputs, rules.left_out.iter().map(cells).sum::<usize>());
        prop_assert_eq!(Report::from_json(report.to_json_pretty().as_bytes()).unwrap(), report.clone());
        // Every form of it is made without them.
        let (text, page) = (report.summary_text(), report_html::render(&report));
        prop_assert_eq!(page.contains("At exactly which holders"), report.shows(Output::Regions));
        prop_assert_eq!(page.contains("At how many holders"), report.shows(Output::AtLeast));
        prop_assert_eq!(page.contains("Each two together"), report.shows(Output::Pairwise));
        prop_assert_eq!(page.contains("From rows to matches"), report.shows(Output::Parties));
        prop_assert_eq!(page.contains("Which identifier did it"), report.shows(Output::Waterfall));
        prop_assert_eq!(text.contains("duplicate"), report.shows(Output::Parties));
        for text_of in report.left_out_texts().iter().chain(&report.rounding_text()) {
            prop_assert!(text.contains(text_of) && page.contains(text_of));
        }
    }
}

#[test]
fn rounds_to_the_nearest_multiple_ties_up() {
    for (count, to, expected) in [
        (0, 1, 0),
        (7, 1, 7),
        (4, 10, 0),
        (5, 10, 10),
        (14, 10, 10),
        (15, 10, 20),
        (1, 3, 0),
        (2, 3, 3),
        (4, 5, 5),
        (0, 10, 0),
    ] {
        assert_eq!(round(count, to), expected, "{count} to {to}");
        assert_eq!(nearest(count, to), expected, "{count} to {to}");
    }
    assert_eq!(round(u64::MAX, u64::MAX - 1), u64::MAX - 1);
    assert_eq!(round(u64::MAX - 1, 1_000), u64::MAX);
}

#[test]
fn a_report_released_again_leaves_out_more_and_rounds_no_further() {
    let inputs = tests::inputs(vec![("email", tests::two_holders())], 1);
    let rule = AppliedRule { rule: RULE_ROUNDING.into(), limit: 50, set_by: "acme".into() };
    let first = Report::build(ReportInputs { rules: vec![rule], ..inputs }).unwrap();
    let first = first.release(&[(Output::Regions, "acme".into())]);
    assert_eq!(
        (first.overlap.all, first.parties[0].rows, first.parties[0].empty),
        (Some(4_200), Some(20_500), Some(50))
    );
    assert_eq!(first.overlap.pairwise[0].share_of_a.unwrap().millionths(), 210_000);
    assert_eq!(first.clone().release(&[(Output::Regions, "globex".into())]), first);
    let second = first.clone().release(&[(Output::Regions, "globex".into()), (Output::Parties, "globex".into())]);
    assert_eq!((second.overlap.all, second.overlap.pairwise[0].share_of_a), (first.overlap.all, None));
    let texts = [
        "Left out of this report: regions (outputs, set by acme).",
        "Left out of this report: parties (outputs, set by globex).",
    ];
    assert_eq!(second.left_out_texts(), texts);
}

#[test]
fn which_regions_are_listed_is_decided_by_rounded_counts() {
    let regions: [(&[usize], u64); 4] = [(&[0], 41), (&[0, 1], 4), (&[0, 2], 43), (&[1], 38)];
    let table = || tests::table(&["acme", "globex", "hooli"], &regions);
    let rule = AppliedRule { rule: RULE_ROUNDING.into(), limit: 10, set_by: "acme".into() };
    let build = |max_regions| {
        let inputs = tests::inputs(vec![("email", table())], 1);
        let report = Report::build_up_to(max_regions, ReportInputs { rules: vec![rule.clone()], ..inputs }).unwrap();
        report.release(&[]).overlap
    };
    // Acme and globex together have four, which is as if there were none; of three that round to 40 the first by name is listed.
    let overlap = build(1);
    assert_eq!((overlap.regions[0].holders.len(), overlap.regions[0].holders[0].as_str()), (1, "acme"));
    let left_out = overlap.regions_left_out.unwrap();
    assert_eq!((left_out.regions, left_out.count, left_out.withheld), (2, 80, 0));
    assert_eq!(build(9).regions.iter().map(|region| region.count).collect::<Vec<_>>(), [Some(40); 3]);
}

#[test]
fn a_threshold_and_a_left_out_part_name_who_set_them() {
    let small = tests::table(&["acme", "globex"], &[(&[0], 90), (&[0, 1], 3), (&[1], 80)]);
    let report = Report::build(tests::inputs(vec![("email", small)], 5)).unwrap();
    let report = report.release(&[(Output::Pairwise, "space".into())]);
    let page = report_html::render(&report);
    assert!(page.contains("Left out of this report: pairwise (outputs, set by space)."), "{page}");
    assert!(page.contains("<td>globex</td><td class=\"n\">5</td>"), "{page}");
    assert!(report.summary_text().contains("9 counts withheld: under 5 customers"), "{}", report.summary_text());
}

/// What `docs/policy.md` says of leaving out the regions, and `datafuse space check` warns of.
#[test]
fn with_up_to_four_holders_the_regions_follow_from_the_sums() {
    let every = |holders: usize, outputs: &[Output]| {
        let masks = 1..1_usize << holders;
        let over =
            |member: &dyn Fn(usize) -> bool| masks.clone().map(|mask| i128::from(member(mask))).collect::<Vec<_>>();
        let size = |mask: usize| mask.count_ones() as usize;
        let mut rows = Vec::new();
        for output in outputs {
            match output {
                Output::All => rows.push(over(&|mask| size(mask) == holders)),
                Output::Pairwise => {
                    let pairs = (0..holders).flat_map(|a| (a + 1..holders).map(move |b| 1 << a | 1 << b));
                    rows.extend(pairs.map(|pair: usize| over(&|mask| mask & pair == pair)));
                }
                Output::AtLeast => rows.extend((1..=holders).map(|least| over(&|mask| size(mask) >= least))),
                Output::Parties => rows.extend((0..holders).flat_map(|holder| {
                    [over(&|mask| mask >> holder & 1 == 1), over(&|mask| mask >> holder & 1 == 1 && size(mask) > 1)]
                })),
                Output::Regions | Output::Waterfall | Output::Aggregates => {}
            }
        }
        rank(rows) == (1 << holders) - 1
    };
    use Output::{All, AtLeast, Pairwise, Parties};
    assert!(every(2, &[Parties]) && !every(2, &[All, Pairwise, AtLeast]));
    for one in [All, Pairwise, AtLeast] {
        assert!(every(3, &[Parties, one]), "{one:?}");
    }
    assert!(!every(3, &[Parties]) && !every(3, &[All, Pairwise, AtLeast]));
    assert!(every(4, &[Parties, Pairwise, All]));
    assert!(
        !every(4, &[Parties, Pairwise]) && !every(4, &[Parties, All, AtLeast]) && !every(4, &[All, Pairwise, AtLeast])
    );
    assert!(!every(5, &[All, Pairwise, AtLeast, Parties]));
}
