//! Every construct of both forms of contracts, on data that keeps it and data that does not.

use serde_json::json;

use super::*;

use RuleOutcome::{Error, Failed, NotChecked, Passed};

#[test]
fn each_rule_counts_the_rows_that_do_not_keep_it() {
    let contract = contract(
        &[
            "{ name: id, logicalType: integer, primaryKey: true, logicalTypeOptions: { minimum: 1, exclusiveMaximum: 100, multipleOf: 1 } }",
            "{ name: mail, logicalType: string, required: true, unique: true, logicalTypeOptions: { format: email, minLength: 5, maxLength: 20, pattern: '@' } }",
            "{ name: segment, logicalType: string, enum: [retail, premium] }",
            "{ name: balance, logicalType: number, logicalTypeOptions: { minimum: 0 }, quality: [ { metric: nullValues, mustBeLessThan: 50, unit: percent } ] }",
            "{ name: born, logicalType: date, logicalTypeOptions: { minimum: '1900-01-01', format: dd/MM/yyyy } }",
            "{ name: active, logicalType: boolean }",
            "{ name: seen, logicalType: timestamp }",
        ],
        &["{ metric: rowCount, mustBeBetween: [3, 5] }", "{ metric: duplicateValues, arguments: { properties: [segment, active] }, mustBe: 1 }"],
    )
    .replace("'1900-01-01'", "'01/01/1900'");
    let csv = "\
id,mail,segment,balance,born,active,seen
1,a@b.example,retail,1.5,01/02/1980,true,2026-01-01T00:00:00Z
2,a@b.example,gold,-3,1980-02-01,false,2025-12-31
2,x,premium,,01/02/1800,true,yesterday
abc,,retail,zero,,true,
";
    let result = checked(&contract, csv);
    let of = |kind| outcomes(&result, kind);
    assert_eq!(result.rows, 4);
    assert_eq!(
        of(RuleKind::Type),
        [
            (Failed, Some(1)),
            (Passed, Some(0)),
            (Passed, Some(0)),
            (Failed, Some(1)),
            (Failed, Some(1)),
            (Passed, Some(0)),
            (Failed, Some(1)),
        ]
    );
    // A primary key is required and unique; so is the address, of its own.
    assert_eq!(of(RuleKind::Required), [(Failed, Some(1)), (Passed, Some(0))]);
    assert_eq!(of(RuleKind::Unique), [(Failed, Some(1)), (Failed, Some(1))]);
    assert_eq!(of(RuleKind::Range), [(Passed, Some(0)), (Failed, Some(1)), (Failed, Some(1))]);
    assert_eq!(of(RuleKind::MultipleOf), [(Passed, Some(0))]);
    assert_eq!(of(RuleKind::Format), [(Failed, Some(1))]);
    assert_eq!(of(RuleKind::Length), [(Failed, Some(1))]);
    assert_eq!(of(RuleKind::Pattern), [(Failed, Some(1))]);
    assert_eq!(of(RuleKind::Allowed), [(Failed, Some(1))]);
    assert_eq!(of(RuleKind::NullValues), [(Passed, Some(1))]);
    assert_eq!(of(RuleKind::RowCount), [(Passed, Some(4))]);
    assert_eq!(of(RuleKind::DuplicateValues), [(Passed, Some(1))]);
    assert_eq!(result.verdict, Verdict::Nok);
}

#[test]
fn data_that_keeps_everything_is_ok_in_every_format() {
    let contract = contract(
        &[
            "{ name: id, logicalType: integer, required: true, unique: true }",
            "{ name: name, logicalType: string, quality: [ { metric: invalidValues, arguments: { validValues: [Ann, Bob] }, mustBe: 0 } ] }",
        ],
        &["{ type: sql, query: 'SELECT COUNT(*) FROM {object} WHERE id < 0', mustBe: 0 }"],
    );
    let json = "{\"id\": 1, \"name\": \"Ann\"}\n{\"id\": 2, \"name\": \"Bob\"}\n";
    for (bytes, name) in [("id,name\n1,Ann\n2,Bob\n", "d.csv"), (json, "d.jsonl")] {
        let result = checked_file(&contract, bytes.as_bytes(), name);
        assert_eq!(result.verdict, Verdict::Ok, "{result:#?}");
        assert_eq!((result.rows, result.count(Passed)), (2, result.rules.len()));
    }
}

#[test]
fn columns_that_are_missing_or_too_many_are_found() {
    let contract = contract(
        &["{ name: id, logicalType: integer, required: true }", "{ name: gone, required: true, unique: true }"],
        &["{ type: sql, query: 'SELECT COUNT(gone) FROM people', mustBe: 0 }"],
    );
    let result = checked(&contract, "id,extra,more\n1,a,b\n");
    assert_eq!(outcomes(&result, RuleKind::Present), [(Passed, None), (Failed, None)]);
    assert_eq!(outcomes(&result, RuleKind::Required), [(Passed, Some(0)), (Error, None)]);
    assert_eq!(outcomes(&result, RuleKind::Unique), [(Error, None)]);
    assert_eq!(outcomes(&result, RuleKind::Sql), [(Error, None)]);
    let unexpected = result.rules.iter().find(|rule| rule.rule == RuleKind::Unexpected).unwrap();
    assert_eq!((unexpected.outcome, unexpected.detail.as_deref()), (Failed, Some("2 columns: extra, more")));
}

#[test]
fn rows_that_cannot_be_read_are_counted() {
    let contract = contract(&["{ name: a }", "{ name: b }"], &[]);
    let result = checked(&contract, "a,b\n1,2\n1\n3,4\n");
    assert_eq!(outcomes(&result, RuleKind::Readable), [(Failed, Some(1))]);
    assert_eq!((result.rows, result.rejected), (2, 1));
}

#[test]
fn metrics_take_their_arguments_and_both_spellings() {
    let contract = contract(
        &[
            "{ name: a, quality: [ { metric: missingValues, arguments: { missingValues: [null, '', 'N/A'] }, mustBe: 2 }, { rule: nullCheck }, { rule: duplicateCount, mustBeLessThan: 2 }, { type: library, metric: invalidValues, arguments: { pattern: '^[a-z]$' }, mustBeLessOrEqualTo: 25, unit: percent } ] }",
        ],
        &[
            "{ metric: rowCount, mustNotBe: 5 }",
            "{ metric: rowCount, mustNotBeBetween: [3, 5] }",
            "{ metric: rowCount, mustBeBetween: [4, 5] }",
        ],
    );
    let result = checked(&contract, "a,b\nx,\nx,\nN/A,\n,\n".replace("a,b", "a,c").as_str());
    let of = |kind| outcomes(&result, kind);
    assert_eq!(of(RuleKind::MissingValues), [(Passed, Some(2))]);
    assert_eq!(of(RuleKind::NullValues), [(Failed, Some(1))]);
    assert_eq!(of(RuleKind::DuplicateValues), [(Passed, Some(1))]);
    assert_eq!(of(RuleKind::InvalidValues), [(Passed, Some(1))]);
    // Between is between: the standard leaves the bounds out.
    assert_eq!(of(RuleKind::RowCount), [(Passed, Some(4)), (Failed, Some(4)), (Failed, Some(4))]);
}

#[test]
fn queries_give_numbers_or_truth_and_are_never_shown() {
    let quality = [
        "{ type: sql, query: 'SELECT SUM(n) FROM {model}', mustBe: 6 }",
        "{ type: sql, query: 'SELECT COUNT(*) FROM ${object}', mustBeGreaterOrEqualTo: 3 }",
        "{ type: sql, query: 'SELECT COUNT(*) = 3 FROM people' }",
        "{ type: sql, query: 'SELECT MAX(n) > 5 FROM people', mustBe: false }",
        "{ type: sql, query: 'SELECT COUNT(*) FROM people WHERE length(\"Name\") > 1', mustBe: 0 }",
        "{ type: sql, query: \"SELECT COUNT(*) FROM people WHERE NOT regexp_like(Name, '^[a-z]$') OR upper(Name) = 'C' OR abs(n) > 99\", mustBe: 1 }",
        "{ type: sql, query: 'SELECT avg(n) FROM people WHERE day > current_date', mustBe: 2 }",
        "{ type: sql, query: 'SELECT count(*) FROM people a JOIN people b ON a.n = b.n + 1', mustBe: 2 }",
        "{ type: sql, query: 'SELECT COUNT(*) FROM people' }",
        "{ type: sql, query: 'SELECT n FROM people', mustBe: 2 }",
        "{ type: sql, query: 'SELECT count(*), 1 FROM people', mustBe: 2 }",
        "{ type: sql, query: 'SELECT Name FROM people WHERE n = 1', mustBe: 2 }",
        "{ type: sql, query: 'SELECT 1 / (n - 1) FROM people WHERE n = 1', mustBe: 2 }",
        "{ type: sql, query: 'SELECT COUNT(*) FROM people', mustBeLessThan: 3 }",
    ];
    let properties = [
        "{ name: n, logicalType: integer }",
        "{ name: Name, logicalType: string }",
        "{ name: day, logicalType: date, quality: [ { type: sql, query: 'SELECT COUNT(DISTINCT {property}) FROM {object}', mustBe: 1 } ] }",
    ];
    let result =
        checked(&contract(&properties, &quality), "n,Name,day\n1,a,2020-01-01\n2,b,2020-01-01\n3,c,2020-01-01\n");
    let expected = [
        // The first is the property's.
        Passed, Passed, Passed, Passed, Passed, Passed, Passed, Error, Passed, NotChecked, Error, Error, Error, Error,
        Failed,
    ];
    let found: Vec<_> = outcomes(&result, RuleKind::Sql);
    assert_eq!(found.iter().map(|(outcome, _)| *outcome).collect::<Vec<_>>(), expected, "{result:#?}");
    assert!(found.iter().all(|(_, rows)| rows.is_none()));
}

#[test]
fn columns_have_their_physical_names_in_the_data() {
    let contract = contract(
        &[
            "{ name: id, physicalName: ID_COL, physicalType: bigint, required: true }",
            "{ name: odd, physicalType: geography }",
        ],
        &["{ metric: duplicateValues, arguments: { properties: [id, odd] }, mustBe: 1 }"],
    );
    let result = checked(&contract, "ID_COL,odd\n1,x\n1,x\n");
    assert_eq!(result.verdict, Verdict::Ok, "{result:#?}");
    assert_eq!(outcomes(&result, RuleKind::DuplicateValues), [(Passed, Some(1))]);
    assert_eq!(outcomes(&result, RuleKind::Type), [(Passed, Some(0)), (NotChecked, None)]);
}

#[test]
fn freshness_is_measured_from_the_present() {
    let text = |value: &str, element: &str| {
        contract(&["{ name: at, logicalType: timestamp }"], &[])
            + &format!(
                "slaProperties:\n  - {{ property: latency, value: {value}, unit: d, element: {element} }}\n  - {{ property: retention, value: 3, unit: y }}\n"
            )
    };
    let csv = "at\n2025-12-01T00:00:00Z\n2025-12-30T00:00:00Z\n\n";
    for (value, outcome) in [("2", Passed), ("1", Failed)] {
        let result = checked(&text(value, "people.at"), csv);
        assert_eq!(outcomes(&result, RuleKind::Freshness), [(outcome, None)]);
        assert_eq!(outcomes(&result, RuleKind::Other), [(NotChecked, None)]);
    }
    assert_eq!(outcomes(&checked(&text("1", "at"), "at\n"), RuleKind::Freshness), [(Failed, None)]);
    assert_eq!(outcomes(&checked(&text("1", "people.nothing"), csv), RuleKind::Other).len(), 2);
}

#[test]
fn a_misspelt_key_is_said_to_be_unknown() {
    let contract = contract(&["{ name: id, requird: true, description: a number, tags: [a] }"], &[]);
    let result = checked(&contract, "id\n1\n\n");
    let unknown: Vec<_> = result.rules.iter().filter(|rule| rule.outcome == NotChecked).collect();
    assert_eq!(unknown.len(), 1, "{unknown:?}");
    assert_eq!((unknown[0].asks.as_str(), unknown[0].column.as_deref()), ("requird", Some("id")));
    assert!(unknown[0].detail.as_deref().unwrap().contains("misspelt"), "{unknown:?}");
}

#[test]
fn what_is_not_checked_is_said() {
    let contract = contract(
        &[
            "{ name: a, logicalType: string, logicalTypeOptions: { format: password, something: 1, pattern: '(?=x)' }, quality: [ { type: text, description: nice }, { type: custom, engine: soda, implementation: x }, { metric: newMetric, mustBe: 0 }, { metric: nullValues, mustBeSimilarTo: 3 }, { metric: nullValues }, { metric: rowCount, mustBe: 1 }, { type: telepathy } ] }",
            "{ name: b, logicalType: array, items: { logicalType: string } }",
        ],
        &["{ metric: nullValues, mustBe: 0 }", "{ metric: nullValues, unit: furlongs, mustBe: 0 }"],
    );
    let result = checked(&contract, "a,b\nx,y\n");
    assert_eq!(result.verdict, Verdict::Ok);
    assert_eq!(result.count(NotChecked), 14, "{result:#?}");
    assert!(result.rules.iter().filter(|rule| rule.outcome == NotChecked).all(|rule| rule.detail.is_some()));
}

#[test]
fn typed_columns_are_held_against_the_contracts_types() {
    use arrow::array::{Float64Array, Int32Array, RecordBatch, StringArray, TimestampMillisecondArray};
    let batch = RecordBatch::try_from_iter([
        ("id", std::sync::Arc::new(Int32Array::from(vec![1, 2])) as arrow::array::ArrayRef),
        ("amount", std::sync::Arc::new(Float64Array::from(vec![Some(1.5), None]))),
        ("name", std::sync::Arc::new(StringArray::from(vec!["a", "b"]))),
        ("at", std::sync::Arc::new(TimestampMillisecondArray::from(vec![0, 1]).with_timezone("+01:00"))),
    ])
    .unwrap();
    let mut bytes = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let contract = contract(
        &[
            "{ name: id, logicalType: integer, unique: true }",
            "{ name: amount, logicalType: integer }",
            "{ name: name, logicalType: string }",
            "{ name: at, logicalType: timestamp }",
        ],
        &["{ type: sql, query: 'SELECT sum(id) FROM people', mustBe: 3 }"],
    );
    let result = checked_file(&contract, &bytes, "d.parquet");
    let types = outcomes(&result, RuleKind::Type);
    assert_eq!(types, [(Passed, Some(0)), (Failed, Some(1)), (Passed, Some(0)), (Passed, Some(0))]);
    assert_eq!(outcomes(&result, RuleKind::Sql), [(Passed, None)]);
}

#[test]
fn the_platforms_descriptors_are_contracts() {
    let schema = json!({
        "customers": {
            "type": "table",
            "fields": {
                "email": { "type": "varchar", "required": true, "pii": true, "classification": "restricted", "unique": true, "pattern": "@" },
                "age": { "type": "int", "minimum": 18, "maximum": 120, "exclusiveMaximum": true },
                "odd": { "type": "quaternion", "colour": "red" },
            },
            "quality": [
                { "type": "sql", "query": "SELECT COUNT(*) FROM {model}", "mustBeGreaterThan": 1 },
                { "type": "sql", "query": "SELECT COUNT(*) FROM {model}", "mustBeBetween": [2, 3] },
                { "type": "text", "description": "by hand" },
            ],
        },
        "other": { "type": "table", "fields": {} },
    });
    for schema in [schema.clone(), serde_json::Value::String(schema.to_string())] {
        let contract = Contract::of_descriptor(&schema, "the data descriptor").unwrap();
        assert_eq!(contract.models.len(), 2);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.csv");
        std::fs::write(&path, "email,age,odd\na@b,18,x\na@b,120,y\n").unwrap();
        let result = check_path(contract.model(Some("customers")).unwrap(), &path);
        assert_eq!(outcomes(&result, RuleKind::Required), [(Passed, Some(0))]);
        assert_eq!(outcomes(&result, RuleKind::Unique), [(Failed, Some(1))]);
        assert_eq!(outcomes(&result, RuleKind::Range), [(Failed, Some(1))]);
        // Between the bounds, as the original's tool takes them: inside.
        assert_eq!(outcomes(&result, RuleKind::Sql), [(Passed, None), (Passed, None)]);
        assert_eq!(result.count(NotChecked), 3, "{result:#?}");
    }
    let error = Contract::of_descriptor(&json!({ "m": { "fields": { "a": { "minLength": "x" } } } }), "d").unwrap_err();
    assert!(error.to_string().contains("m.fields.a.minLength"), "{error}");
    assert!(Contract::of_descriptor(&json!("{"), "d").is_err());
    assert!(Contract::of_descriptor(&json!({}), "d").is_err());
}

#[test]
fn servers_and_names_are_read() {
    let text = contract(&["{ name: a }"], &[])
        + "name: my contract\nversion: 1.2.0\nservers:\n  - { server: x, type: local, path: './{model}.csv', format: csv }\n  - { server: y, type: s3, location: 's3://b/*.parquet' }\n";
    let contract = Contract::parse(&text, "c").unwrap();
    assert_eq!((contract.name.as_deref(), contract.version.as_deref()), (Some("my contract"), Some("1.2.0")));
    assert_eq!(contract.servers[0].location.as_deref(), Some("./{model}.csv"));
    assert_eq!(contract.servers[1].kind, "s3");
    assert!(contract.model(None).is_ok() && contract.model(Some("x")).is_err());
}
