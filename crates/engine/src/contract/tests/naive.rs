//! The engine's counts are those of a plain loop over the rows.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const TEXTS: [&str; 9] = ["", "a", "bb", "ccc", "é", "1", "-7", "42", "2.5"];

/// Counts what the contract below asks, row by row.
fn counted(rows: &[(usize, usize)]) -> Vec<(RuleKind, u64)> {
    let text = |index: usize| Some(TEXTS[index]).filter(|text| !text.is_empty());
    let left: Vec<_> = rows.iter().map(|(left, _)| text(*left)).collect();
    let right: Vec<_> = rows.iter().map(|(_, right)| text(*right)).collect();
    let count = |of: &[Option<&str>], fails: &dyn Fn(&str) -> bool| {
        of.iter().flatten().filter(|text| fails(text)).count() as u64
    };
    let doubles = |of: Vec<Option<String>>| {
        let mut seen: BTreeMap<String, u64> = BTreeMap::new();
        of.into_iter().flatten().for_each(|value| *seen.entry(value).or_default() += 1);
        seen.values().map(|times| times - 1).sum::<u64>()
    };
    let owned = |of: &[Option<&str>]| of.iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>();
    let whole = |text: &str| text.parse::<i64>().ok();
    let pairs = left.iter().zip(&right).map(|(left, right)| Some(format!("{}\0{}", (*left)?, (*right)?))).collect();
    vec![
        (RuleKind::Required, left.iter().filter(|text| text.is_none()).count() as u64),
        (RuleKind::Unique, doubles(owned(&left))),
        (RuleKind::Length, count(&left, &|text| text.chars().count() < 2)),
        (RuleKind::Allowed, count(&left, &|text| !["a", "42"].contains(&text))),
        (RuleKind::Pattern, count(&left, &|text| !text.chars().any(|c| c.is_ascii_digit()))),
        (RuleKind::Type, count(&right, &|text| whole(text).is_none())),
        (RuleKind::Range, count(&right, &|text| whole(text).is_some_and(|whole| whole <= -7 || whole > 41))),
        (RuleKind::DuplicateValues, doubles(pairs)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn results_are_those_of_a_naive_loop(rows in proptest::collection::vec((0..TEXTS.len(), 0..TEXTS.len()), 0..40)) {
        let contract = contract(
            &[
                "{ name: left, required: true, unique: true, enum: [a, 42], logicalTypeOptions: { minLength: 2, pattern: '[0-9]' } }",
                "{ name: right, logicalType: integer, logicalTypeOptions: { exclusiveMinimum: -7, maximum: 41 } }",
            ],
            &["{ metric: duplicateValues, arguments: { properties: [left, right2] }, mustBe: 0 }"],
        );
        // The pair is compared as text, so the second column is there twice.
        let contract = contract.replace("    quality:", "      - { name: right2 }\n    quality:");
        let mut csv = String::from("left,right,right2\n");
        for (left, right) in &rows {
            csv.push_str(&format!("{},{},{}\n", TEXTS[*left], TEXTS[*right], TEXTS[*right]));
        }
        let result = checked(&contract, &csv);
        prop_assert_eq!(result.rows, rows.len() as u64);
        for (kind, expected) in counted(&rows) {
            let found = outcomes(&result, kind);
            let outcome = if expected == 0 { RuleOutcome::Passed } else { RuleOutcome::Failed };
            prop_assert_eq!(found, vec![(outcome, Some(expected))], "{:?}", kind);
        }
    }
}
