//! Contracts that are malformed or mean harm: an error that names the place, or a rule that ends in bounds.

use super::*;

#[test]
fn a_malformed_contract_is_refused_with_file_place_and_remedy() {
    let cases = [
        (
            "{ name: a, quality: [ { metric: nullValues, mustBe: 0 }, { type: sql, mustBe: 0 } ] }",
            "schema[0].properties[0].quality[1]",
        ),
        ("{ name: a, quality: [ { metric: rowCount, mustBeBetween: [1] } ] }", "quality[0].mustBeBetween"),
        ("{ name: a, quality: [ { metric: rowCount, mustBeBetween: [3, 1] } ] }", "lower number first"),
        ("{ name: a, quality: [ { metric: nullValues, mustBe: many } ] }", "schema[0].properties[0].quality[0].mustBe"),
        ("{ name: a, required: perhaps }", "schema[0].properties[0].required"),
        ("{ name: a, logicalType: quaternion }", "schema[0].properties[0].logicalType"),
        ("{ logicalType: string }", "'name' is missing"),
        ("{ name: a, logicalType: string, logicalTypeOptions: { minLength: -1 } }", "logicalTypeOptions.minLength"),
        ("{ name: a, logicalType: date, logicalTypeOptions: { minimum: yesterday } }", "logicalTypeOptions.minimum"),
        ("{ name: a, logicalTypeOptions: { multipleOf: 0 } }", "logicalTypeOptions.multipleOf"),
        ("{ name: a, quality: [ { type: library, mustBe: 0 } ] }", "'metric' is missing"),
        ("{ name: a, quality: { metric: nullValues } }", "schema[0].properties[0].quality"),
    ];
    for (property, expected) in cases {
        let error = Contract::parse(&contract(&[property], &[]), "c.yaml").unwrap_err();
        let words = error.to_string();
        assert!(words.contains("c.yaml") && words.contains(expected), "{property}: {words}");
        assert!(error.remedy().is_some(), "{words}");
    }
    let good = contract(&["{ name: a }"], &[]);
    for (from, to, expected) in [
        ("v3.1.0", "v2.2.2", "version of the standard"),
        ("DataContract", "Space", "not a data contract"),
        ("apiVersion: v3.1.0\n", "", "'apiVersion' is missing"),
        ("apiVersion: v3.1.0", "dataContractSpecification: 1.1.0", "Data Contract Specification"),
        ("id: test", "id: &a test\nx: *a", "anchors"),
        ("id: test", "id: [", "YAML"),
        ("id: test", "id: test\nid: test", "given twice"),
        ("schema:", "scheme:", "'schema' is missing"),
        ("- { name: a }", "- { name: a }\n      - { name: a }", "same name"),
    ] {
        let error = Contract::parse(&good.replacen(from, to, 1), "c.yaml").unwrap_err();
        assert!(error.to_string().contains(expected), "{to}: {error}");
        assert!(error.remedy().is_some());
    }
}

#[test]
fn deep_and_huge_contracts_are_refused() {
    let deep = format!("{}x: {}{}", contract(&["{ name: a }"], &[]), "[".repeat(100_000), "]".repeat(100_000));
    assert!(Contract::parse(&deep, "c").is_err());
    let huge = " ".repeat(9 << 20);
    assert!(matches!(Contract::parse(&huge, "c"), Err(ContractError::TooLarge { .. })));
    let many = (0..10_001).map(|index| format!("{{ name: c{index} }}")).collect::<Vec<_>>();
    let many = contract(&many.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    assert!(matches!(Contract::parse(&many, "c"), Err(ContractError::Malformed { .. })));
    assert!(Contract::of_descriptor(&serde_json::Value::String("[".repeat(100_000)), "d").is_err());
}

/// The detail of a query's refusal.
#[track_caller]
fn refused(query: &str) -> String {
    let quality = serde_json::json!({ "type": "sql", "query": query, "mustBe": 0 }).to_string();
    let result = checked(&contract(&["{ name: a }"], &[&quality]), "a\nsecret-value\nsecret-value-2\n");
    let rule = result.rules.iter().find(|rule| rule.rule == RuleKind::Sql).unwrap();
    assert_eq!(rule.outcome, RuleOutcome::Error, "{query}: {rule:?}");
    let detail = rule.detail.clone().unwrap();
    assert!(!detail.contains("secret-value"), "{detail}");
    detail
}

#[test]
fn a_query_reads_nothing_but_the_models_rows() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.csv");
    std::fs::write(&file, "a\n1\n").unwrap();
    let path = file.display();
    for query in [
        format!("SELECT count(*) FROM '{path}'"),
        format!("SELECT count(*) FROM \"{path}\""),
        format!("SELECT count(*) FROM read_csv('{path}')"),
        format!("SELECT count(*) FROM read_parquet('{path}')"),
        format!("CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '{path}'"),
        format!("COPY people TO '{path}.out'"),
        "SELECT count(*) FROM information_schema.tables".to_owned(),
        "SELECT count(*) FROM generate_series(1, 1000000000000)".to_owned(),
        "INSERT INTO people VALUES ('x')".to_owned(),
        "DELETE FROM people".to_owned(),
        "DROP TABLE people".to_owned(),
        "CREATE TABLE x AS SELECT * FROM people".to_owned(),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        "EXPLAIN SELECT 1".to_owned(),
        "SELECT 1; SELECT 2".to_owned(),
        "SHOW TABLES".to_owned(),
        "PREPARE x AS SELECT 1".to_owned(),
        String::from("SELECT"),
        "SELECT count(*) FROM nobody".to_owned(),
        "SELECT CAST(a AS BIGINT) FROM people LIMIT 1".to_owned(),
        "SELECT a FROM people LIMIT 1".to_owned(),
    ] {
        refused(&query);
    }
    assert!(!folder.path().join("other.csv.out").exists());
}

#[test]
fn a_query_makes_no_value_that_grows_without_bound() {
    let doubled = |times: usize| {
        let inner = (0..times).fold("(SELECT a AS a0 FROM people)".to_owned(), |from, level| {
            format!("(SELECT a{level} || a{level} AS a{} FROM {from})", level + 1)
        });
        format!("SELECT sum(character_length(a{times})) FROM {inner}")
    };
    for (query, word) in [
        ("SELECT max(octet_length(repeat(a, 2000000000))) FROM people".to_owned(), "'repeat'"),
        ("SELECT count(*) FROM people WHERE lpad(a, 2000000000) = rpad(a, 2000000000)".to_owned(), "pad'"),
        ("SELECT max(octet_length(replace(a, 'e', a))) FROM people".to_owned(), "'replace'"),
        ("SELECT count(arrow_cast(a, 'FixedSizeBinary(2000000000)')) FROM people".to_owned(), "'arrow_cast'"),
        ("SELECT octet_length(string_agg(a, a)) FROM people".to_owned(), "'string_agg'"),
        ("SELECT count(*) FROM people WHERE a = (SELECT max(repeat(a, 9)) FROM people)".to_owned(), "'repeat'"),
        ("SELECT count(*) FROM people p JOIN people q ON repeat(p.a, 9) = q.a".to_owned(), "'repeat'"),
        (doubled(20), "joins texts 20 times"),
        (
            "WITH RECURSIVE t AS (SELECT 'x' AS a UNION ALL SELECT a || a FROM t) SELECT count(*) FROM t".to_owned(),
            "recursive",
        ),
    ] {
        let detail = refused(&query);
        assert!(detail.contains(word), "{query}: {detail}");
    }
    let quality = serde_json::json!({ "type": "sql", "query": doubled(3), "mustBe": 8 * 26 });
    let result = checked(&contract(&["{ name: a }"], &[&quality.to_string()]), "a\nsecret-value\nsecret-value-2\n");
    assert_eq!(outcomes(&result, RuleKind::Sql), [(RuleOutcome::Passed, None)], "{result:#?}");
}

#[test]
fn what_multiplies_while_it_is_planned_is_refused() {
    let many = (0..40).map(|n| format!("a || '{n}'")).collect::<Vec<_>>().join(", ");
    for query in [
        format!("SELECT count(*) FROM (SELECT a FROM people GROUP BY a, CUBE({many}))"),
        format!("SELECT count(*) FROM people GROUP BY Cube({many})"),
        format!("SELECT count(*) FROM people GROUP BY ROLLUP({many})"),
        "SELECT count(*) FROM people GROUP BY GROUPING SETS ((a), ())".to_owned(),
    ] {
        assert!(refused(&query).contains("CUBE"), "{query}");
    }
    for query in [
        "SELECT sum(regexp_count('x', a)) FROM people",
        "SELECT count(*) FROM people WHERE 'x' ~ a",
        "SELECT count(*) FROM people WHERE 'x' SIMILAR TO a",
        "SELECT max(levenshtein(a, a)) FROM people",
    ] {
        refused(query);
    }
    let query =
        serde_json::json!({ "type": "sql", "query": "SELECT count(*) FROM people WHERE a ~ '^secret'", "mustBe": 2 });
    let result = checked(&contract(&["{ name: a }"], &[&query.to_string()]), "a\nsecret-value\nsecret-value-2\n");
    assert_eq!(outcomes(&result, RuleKind::Sql), [(RuleOutcome::Passed, None)], "{result:#?}");
}

#[test]
fn too_many_patterns_or_queries_are_refused_before_any_is_compiled() {
    let columns =
        (0..1_001).map(|n| format!("{{ name: c{n}, logicalTypeOptions: {{ pattern: 'x' }} }}")).collect::<Vec<_>>();
    let columns: Vec<_> = columns.iter().map(String::as_str).collect();
    let error = Contract::parse(&contract(&columns, &[]), "c").unwrap_err().to_string();
    assert!(error.contains("'pattern' is there 1001 times"), "{error}");
    let query = serde_json::json!({ "type": "sql", "query": "SELECT 1", "mustBe": 1 }).to_string();
    let error = Contract::parse(&contract(&["{ name: a }"], &vec![query.as_str(); 101]), "c").unwrap_err().to_string();
    assert!(error.contains("'query' is there 101 times"), "{error}");
}

#[test]
fn a_query_that_would_be_answered_wrongly_is_refused() {
    for filter in ["", " WHERE a <> 'x'"] {
        let query = format!(
            "SELECT max(n) FROM (SELECT n + 1 AS n FROM (SELECT n + 1 AS n FROM (SELECT character_length(a) AS n FROM people{filter})))"
        );
        assert!(refused(&query).contains("name the inner one otherwise"), "{query}");
    }
}

#[test]
fn deep_queries_end_in_an_error() {
    refused(&format!("SELECT {}1", "1+".repeat(600)));
    refused(&format!("SELECT {}1{}", "(".repeat(400), ")".repeat(400)));
    refused(&format!("SELECT {}", "NOT ".repeat(900)));
    refused(&format!("SELECT count(*) FROM {}people{}", "(SELECT * FROM ".repeat(120), ")".repeat(120)));
}

#[test]
fn a_query_as_deep_as_is_accepted_is_answered() {
    let quality = serde_json::json!({ "type": "sql", "query": format!("SELECT {}1 FROM people LIMIT 1", "1+".repeat(480)), "mustBe": 481 });
    let result = checked(&contract(&["{ name: a }"], &[&quality.to_string()]), "a\nx\n");
    assert_eq!(outcomes(&result, RuleKind::Sql), [(RuleOutcome::Passed, None)], "{result:#?}");
}

#[test]
fn a_query_that_never_ends_is_ended() {
    let query =
        "SELECT count(*) FROM people a, people b, people c, people d, people e WHERE a.n + b.n + c.n + d.n + e.n < 0";
    let quality = serde_json::json!({ "type": "sql", "query": query, "mustBe": 0 }).to_string();
    let text = contract(&["{ name: n, logicalType: integer }"], &[&quality]);
    let contract = Contract::parse(&text, "c").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.csv");
    std::fs::write(&path, format!("n\n{}", "1\n".repeat(3_000))).unwrap();
    let rows =
        Rows::of_source(&Source::Path(path), &ReadOptions::default(), &FetchPolicy::strict(), &contract.models[0]);
    let options = CheckOptions { longest_query: Duration::from_secs(1), ..options() };
    let began = std::time::Instant::now();
    let result = check(&contract.models[0], rows.unwrap(), &options, &|_| {}).unwrap();
    let rule = result.rules.iter().find(|rule| rule.rule == RuleKind::Sql).unwrap();
    assert_eq!(rule.outcome, RuleOutcome::Error);
    let detail = rule.detail.as_deref().unwrap();
    assert!(detail.contains("longer than") || detail.contains("memory"), "{detail}");
    assert!(began.elapsed() < Duration::from_secs(60));
}

proptest::proptest! {
    #[test]
    fn any_damage_to_a_good_contract_is_parsed_or_refused(
        at in 0usize..400, cut in 0usize..30, insert in "[\\PC\\n&*!|>'\"{}\\[\\]:#-]{0,12}"
    ) {
        let good = contract(
            &["{ name: a, logicalType: date, logicalTypeOptions: { format: dd/MM/yyyy, pattern: 'x' }, quality: [ { metric: invalidValues, arguments: { validValues: [a] }, mustBeBetween: [0, 1] } ] }"],
            &["{ type: sql, query: 'SELECT 1', mustBe: 1 }"],
        );
        let mut text: Vec<char> = good.chars().collect();
        let at = at.min(text.len());
        let end = (at + cut).min(text.len());
        text.splice(at..end, insert.chars());
        let text: String = text.into_iter().collect();
        if let Err(error) = Contract::parse(&text, "c.yaml") {
            proptest::prop_assert!(error.to_string().contains("c.yaml") && error.remedy().is_some());
        }
        let _ = Contract::of_descriptor(&serde_json::Value::String(text), "d");
    }
}
