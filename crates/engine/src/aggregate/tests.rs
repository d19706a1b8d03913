//! Aggregates against a plain reading of the rows, and at their edges.

#![allow(clippy::unwrap_used)]

use std::{path::Path, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, Decimal128Array, FixedSizeBinaryArray, Float64Array, Int64Array, StringArray, UInt64Array,
    },
    datatypes::{Field, Schema},
    record_batch::RecordBatch,
};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::fused_file::{FusedWriter, schema};

pub(crate) const KEY: [u8; 32] = [9; 32];

/// A row: its identifier and the text of its kept columns.
pub(crate) type Row = (u128, Vec<Option<String>>);

/// A dataset: whose it is, the names of its kept columns, its rows; numbered from 1.
pub(crate) type Dataset = (usize, Vec<&'static str>, Vec<Row>);

pub(crate) fn names(n: usize) -> Vec<ParticipantId> {
    (0..n).map(|index| format!("h{index}").parse().unwrap()).collect()
}

pub(crate) fn limits() -> Limits {
    Limits { threads: 2, ..Limits::default() }
}

fn column(holder: usize, column: &str) -> HolderColumn {
    HolderColumn { holder: names(holder + 1)[holder].clone(), column: column.to_owned() }
}

pub(crate) fn asked(over: Over, group_by: &[(usize, &str)], values: &[(usize, &str)]) -> Aggregate {
    let value = |(holder, name): &(usize, &str)| ValueColumn {
        column: column(*holder, name),
        sum: true,
        mean: true,
        quantiles: true,
    };
    Aggregate {
        name: "a".to_owned(),
        kind: "email".parse().unwrap(),
        over,
        group_by: group_by.iter().map(|(holder, name)| column(*holder, name)).collect(),
        values: values.iter().map(value).collect(),
    }
}

/// Writes a fused file of rows in any order, each with its number.
fn write(path: &Path, mut rows: Vec<(u128, u64, usize)>, kept: &[(&str, ArrayRef)]) {
    rows.sort_unstable();
    let keys = rows.iter().map(|(key, ..)| Some(key.to_be_bytes()));
    let order = UInt64Array::from_iter_values(rows.iter().map(|(_, _, index)| *index as u64));
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(keys, 16).unwrap()),
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(|(_, row, _)| *row))),
    ];
    columns.extend(kept.iter().map(|(_, values)| arrow::compute::take(values, &order, None).unwrap()));
    let fields: Vec<_> =
        kept.iter().map(|(name, values)| Field::new(*name, values.data_type().clone(), true)).collect();
    let kept = Schema::new(fields);
    let mut writer = FusedWriter::create(path, &kept, &KEY, "label").unwrap();
    writer.write(&RecordBatch::try_new(schema(&kept), columns).unwrap()).unwrap();
    writer.finish().unwrap();
}

pub(crate) fn files(datasets: &[Dataset]) -> (TempDir, Vec<FusedInput>) {
    let folder = tempfile::tempdir().unwrap();
    let inputs = datasets.iter().enumerate().map(|(number, (holder, names, rows))| {
        let path = folder.path().join(number.to_string());
        let texts = |column: usize| rows.iter().map(move |(_, values)| values[column].clone()).collect::<StringArray>();
        let kept: Vec<_> = names.iter().enumerate().map(|(i, name)| (*name, Arc::new(texts(i)) as ArrayRef)).collect();
        write(&path, rows.iter().enumerate().map(|(i, (key, _))| (*key, i as u64 + 1, i)).collect(), &kept);
        FusedInput { holder: *holder, path, label: "label".to_owned() }
    });
    let inputs = inputs.collect();
    (folder, inputs)
}

/// The definition: the holders of each identifier, the first row of each holder, and then groups.
pub(crate) fn naive(asked: &Aggregate, datasets: &[Dataset], holders: usize) -> Tables {
    let mut people: BTreeMap<u128, BTreeMap<usize, BTreeMap<&str, Option<String>>>> = BTreeMap::new();
    for (holder, names, rows) in datasets {
        for (key, values) in rows {
            let row = || names.iter().copied().zip(values.iter().cloned()).collect();
            people.entry(*key).or_default().entry(*holder).or_insert_with(row);
        }
    }
    let names = names(holders);
    let mut sets: Vec<Vec<usize>> = match asked.over {
        Over::All => vec![(0..holders).collect()],
        _ => (0..1_usize << holders).map(|mask| (0..holders).filter(|h| mask >> h & 1 == 1).collect()).collect(),
    };
    sets.retain(|set: &Vec<usize>| set.len() > 1 && asked.columns().all(|c| set.iter().any(|h| names[*h] == c.holder)));
    if asked.over == Over::Pairs {
        sets.retain(|set| set.len() == 2);
    }
    let mut tables = Tables::new();
    for set in sets {
        let mut groups: BTreeMap<GroupName, Group> = BTreeMap::new();
        for at in people.values() {
            let is_in = match asked.over {
                Over::Regions => at.keys().eq(set.iter()),
                _ => set.iter().all(|holder| at.contains_key(holder)),
            };
            if !is_in {
                continue;
            }
            let value = |c: &HolderColumn| {
                let holder = names.iter().position(|name| *name == c.holder).unwrap();
                at[&holder].get(c.column.as_str()).cloned().flatten()
            };
            let group = groups.entry(asked.group_by.iter().map(value).collect()).or_default();
            group.count += 1;
            group.values.resize_with(asked.values.len(), Values::default);
            for (asked, values) in asked.values.iter().zip(&mut group.values) {
                let Some(number) = value(&asked.column).and_then(|text| text.parse::<i32>().ok()) else { continue };
                values.all.push(i128::from(number) * 1_000_000_000);
            }
        }
        for values in groups.values_mut().flat_map(|group| &mut group.values) {
            values.all.sort_unstable();
            let mut sizes: Vec<u128> = values.all.iter().map(|number| number.unsigned_abs()).collect();
            sizes.sort_unstable();
            values.count = sizes.len() as u64;
            values.sum = values.all.iter().sum();
            values.sum_of_sizes = sizes.iter().sum();
            values.largest = [sizes.pop().unwrap_or(0), sizes.pop().unwrap_or(0)];
        }
        if !groups.is_empty() {
            tables.insert(HolderSet::new(holders, set), Table::Groups(groups));
        }
    }
    tables
}

fn computed(asked: &Aggregate, inputs: &[FusedInput], holders: usize, limits: &Limits) -> Result<Tables> {
    let asked = std::slice::from_ref(asked);
    let mut tables = compute(asked, inputs, &names(holders), &KEY, limits, &|_| {})?.remove(0);
    for table in tables.values_mut() {
        let Table::Groups(groups) = table else { continue };
        groups.values_mut().flat_map(|group| &mut group.values).for_each(|values| values.all.sort_unstable());
    }
    Ok(tables)
}

fn row(key: u128, values: &[&str]) -> Row {
    (key, values.iter().map(|value| (!value.is_empty()).then(|| (*value).to_owned())).collect())
}

#[test]
fn joins_the_columns_of_two_holders_by_identifier() {
    let datasets = [
        (
            0,
            vec!["segment"],
            vec![row(1, &["gold"]), row(2, &["gold"]), row(3, &["silver"]), row(4, &[""]), row(9, &["gold"])],
        ),
        (
            1,
            vec!["note", "balance"],
            vec![row(2, &["x", "2.5"]), row(1, &["x", "10"]), row(3, &["x", "none"]), row(4, &["x", "7"])],
        ),
    ];
    let (_folder, inputs) = files(&datasets);
    let tables = computed(&asked(Over::All, &[(0, "segment")], &[(1, "balance")]), &inputs, 2, &limits()).unwrap();
    let Table::Groups(groups) = &tables[&HolderSet::new(2, [0, 1])] else { panic!() };
    let shown: Vec<_> = groups
        .iter()
        .map(|(name, group)| {
            (name[0].as_deref(), group.count, group.values[0].count, decimal::text(group.values[0].sum))
        })
        .collect();
    let expected = [(None, 1, 1, "7"), (Some("gold"), 2, 2, "12.5"), (Some("silver"), 1, 0, "0")]
        .map(|(n, c, v, s)| (n, c, v, s.to_owned()));
    assert_eq!(shown, expected);
}

#[test]
fn of_a_holders_rows_with_an_identifier_the_first_counts() {
    let datasets = [
        (0, vec!["segment"], vec![row(1, &["first"]), row(1, &["second"])]),
        (0, vec!["segment"], vec![row(1, &["other dataset"]), row(2, &["late"])]),
        (1, vec![], vec![row(2, &[]), row(1, &[]), row(1, &[])]),
    ];
    let (_folder, inputs) = files(&datasets);
    let tables = computed(&asked(Over::Pairs, &[(0, "segment")], &[]), &inputs, 2, &limits()).unwrap();
    let Table::Groups(groups) = &tables[&HolderSet::new(2, [0, 1])] else { panic!() };
    let found: Vec<_> = groups.iter().map(|(name, group)| (name[0].as_deref().unwrap(), group.count)).collect();
    assert_eq!(found, [("first", 1), ("late", 1)]);
}

#[test]
fn columns_of_any_type_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("whole", Arc::new(Int64Array::from(vec![Some(-3), None, Some(i64::from(u32::MAX))]))),
        ("float", Arc::new(Float64Array::from(vec![Some(0.1), Some(f64::NAN), Some(1.5e-7)]))),
        ("exact", Arc::new(Decimal128Array::from(vec![12_345, 5, -1]).with_precision_and_scale(10, 2).unwrap())),
    ];
    let path = folder.path().join("a");
    write(&path, (0..3).map(|i| (i as u128, i as u64 + 1, i)).collect(), &columns);
    let other = folder.path().join("b");
    write(&other, (0..3).map(|i| (i as u128, i as u64 + 1, i)).collect(), &[]);
    let input = |holder, path| FusedInput { holder, path, label: "label".to_owned() };
    let inputs = [input(0, path), input(1, other)];
    let values = [(0, "whole"), (0, "float"), (0, "exact")];
    let tables = computed(&asked(Over::All, &[], &values), &inputs, 2, &limits()).unwrap();
    let Table::Groups(groups) = &tables[&HolderSet::new(2, [0, 1])] else { panic!() };
    let found: Vec<_> = groups[&vec![]].values.iter().map(|values| (values.count, decimal::text(values.sum))).collect();
    let expected = [(2, "4294967292"), (2, "0.10000015"), (3, "123.49")].map(|(count, sum)| (count, sum.to_owned()));
    assert_eq!(found, expected);
}

#[test]
fn what_cannot_be_computed_is_an_error_that_says_what_to_do() {
    let datasets =
        |value: &str| [(0, vec!["segment"], vec![row(1, &["gold"])]), (1, vec!["balance"], vec![row(1, &[value])])];
    let run = |datasets: &[Dataset], asked: &Aggregate, limits: &Limits| {
        let (_folder, inputs) = files(datasets);
        computed(asked, &inputs, 2, limits)
    };
    let error = run(&datasets("1"), &asked(Over::All, &[(0, "city")], &[]), &limits()).unwrap_err();
    assert!(error.to_string().contains("no dataset of 'h0' has the kept column 'city'"), "{error}");
    assert!(error.remedy().unwrap().contains("--keep city"));
    // What is too large to be added up is no error: that would say that its customer is common.
    let balance = asked(Over::All, &[], &[(1, "balance")]);
    let of = |value: &str| run(&datasets(value), &balance, &limits()).unwrap();
    assert_eq!(of("4e15"), of("none"));
    assert_ne!(of("4e14"), of("none"));
    let many: Vec<_> = (0..2_000).map(|key| row(key, &["5"])).collect();
    let many = [(0, vec!["segment"], many.clone()), (1, vec!["balance"], many)];
    let little = Limits { memory_bytes: 100_000, ..limits() };
    let error = run(&many, &asked(Over::All, &[], &[(1, "balance")]), &little).unwrap_err();
    assert!(matches!(error, Error::OutOfMemory { work: "aggregating", .. }));
    let mut counted = asked(Over::All, &[], &[(1, "balance")]);
    counted.values[0].quantiles = false;
    assert!(run(&many, &counted, &little).is_ok(), "sums take no memory for each row");
}

#[test]
fn too_many_groups_make_no_table() {
    for (groups, fits) in [(MAX_GROUPS, true), (MAX_GROUPS + 1, false)] {
        let rows: Vec<_> = (0..groups).map(|key| row(key as u128, &[&format!("g{key}")])).collect();
        let (_folder, inputs) = files(&[(0, vec!["segment"], rows.clone()), (1, vec!["segment"], rows)]);
        let tables = computed(&asked(Over::All, &[(0, "segment")], &[]), &inputs, 2, &limits()).unwrap();
        assert_eq!(matches!(&tables[&HolderSet::new(2, [0, 1])], Table::Groups(_)), fits);
    }
}

#[test]
fn names_of_groups_are_fit_to_be_shown() {
    assert_eq!(clean_name("  gold "), Some("gold".to_owned()));
    assert_eq!(clean_name(" "), None);
    assert_eq!(clean_name("a\u{1b}[31mb\u{202e}c\nd"), Some("a\u{fffd}[31mb\u{fffd}c\u{fffd}d".to_owned()));
    let long = clean_name(&"é".repeat(500)).unwrap();
    assert_eq!((long.chars().count(), long.chars().last()), (100, Some('…')));
    assert_eq!(clean_name(&"é".repeat(100)).unwrap().chars().last(), Some('é'));
}

/// Rows with keys from a small pool, a segment of three or none, and a number, a word or nothing.
fn rows() -> impl Strategy<Value = Vec<Row>> {
    let segment = prop_oneof![Just(None), (0..3).prop_map(|i| Some(format!("s{i}")))];
    let number =
        prop_oneof![Just(None), Just(Some("word".to_owned())), (-500_i32..500).prop_map(|n| Some(n.to_string()))];
    prop::collection::vec((0_u128..25, segment, number).prop_map(|(key, a, b)| (key << 100, vec![a, b])), 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, rng_seed: proptest::test_runner::RngSeed::Fixed(3), ..ProptestConfig::default() })]

    #[test]
    fn aggregates_are_the_naive_ones(
        holders in 2_usize..5,
        datasets in prop::collection::vec((any::<prop::sample::Index>(), rows()), 2..7),
        over in prop_oneof![Just(Over::Pairs), Just(Over::Regions), Just(Over::All)],
        shape in 0..4,
    ) {
        let mut datasets: Vec<Dataset> =
            datasets.into_iter().map(|(holder, rows)| (holder.index(holders), vec!["segment", "balance"], rows)).collect();
        datasets.push((0, vec!["segment", "balance"], vec![]));
        datasets.push((1, vec!["segment", "balance"], vec![]));
        datasets.sort_by_key(|dataset| dataset.0);
        let asked = match shape {
            0 => asked(over, &[(0, "segment")], &[(1, "balance")]),
            1 => asked(over, &[(0, "segment"), (1, "segment")], &[]),
            2 => asked(over, &[], &[(1, "balance"), (0, "balance")]),
            _ => asked(over, &[(0, "segment")], &[(0, "balance")]),
        };
        let (_folder, inputs) = files(&datasets);
        prop_assert_eq!(computed(&asked, &inputs, holders, &limits()).unwrap(), naive(&asked, &datasets, holders));
    }
}
