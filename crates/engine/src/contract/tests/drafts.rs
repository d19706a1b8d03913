//! A draft holds of the data that it was drafted from, and holds nothing of that data.

use proptest::prelude::*;

use super::*;

fn drafted(csv: &str, with_ranges: bool) -> (String, ModelResult) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.csv");
    std::fs::write(&path, csv).unwrap();
    let draft = draft("people", &|| reader(&path), with_ranges, &options(), &|_| {}).unwrap().unwrap();
    let contract = Contract::parse(&draft.yaml, "draft").unwrap();
    let result = check_path(&contract.models[0], &path);
    (draft.yaml, result)
}

#[test]
fn a_draft_says_what_holds_of_all_rows() {
    let csv = "id,email,code,amount,born,at,active,note,phone\n\
        1,a@b.example,007,1.5,1980-01-01,2020-01-01T00:00:00Z,true,,+32 470 12 34 56\n\
        2,c@d.example,008,2,1981-01-01,2021-01-01T00:00:00Z,false,x,0470123456\n";
    let (yaml, result) = drafted(csv, true);
    assert_eq!(result.verdict, Verdict::Ok, "{result:#?}\n{yaml}");
    for expected in [
        "- name: \"id\"\n        logicalType: integer\n        required: true\n        unique: true\n        logicalTypeOptions:\n          minimum: 1\n          maximum: 2",
        "format: email",
        "- name: \"code\"\n        logicalType: string",
        "- name: \"amount\"\n        logicalType: number",
        "- name: \"born\"\n        logicalType: date\n        required: true\n        logicalTypeOptions:\n          minimum: \"1980-01-01\"",
        "- name: \"at\"\n        logicalType: timestamp",
        "- name: \"active\"\n        logicalType: boolean",
        "- name: \"note\"\n        logicalType: string\n      -",
        "pattern: \"^[+]?[0-9]",
        "metric: rowCount",
    ] {
        assert!(yaml.contains(expected), "{expected}\n{yaml}");
    }
    let (yaml, _) = drafted(csv, false);
    for value in ["1980", "2020", "a@b", "007", "470", "1.5", "minimum"] {
        assert!(!yaml.contains(value), "{value}\n{yaml}");
    }
}

#[test]
fn names_that_look_like_data_are_not_drafted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.csv");
    std::fs::write(&path, "ann@b.example,0470123456\nbob@b.example,0470123457\n").unwrap();
    let error = draft("d", &|| reader(&path), false, &options(), &|_| {}).unwrap().unwrap_err();
    assert!(matches!(error, ContractError::LooksLikeData { columns: 2 }));
    assert!(!error.to_string().contains("ann") && error.remedy().unwrap().contains("--no-header"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
    #[test]
    fn a_draft_passes_its_own_check(
        rows in proptest::collection::vec(
            (
                prop_oneof!["[0-9]{1,3}", "-?[0-9]{1,19}", "[0-9]{1,3}\\.[0-9]{1,3}", Just(String::new())],
                prop_oneof!["[a-z]{1,3}@[a-z]{1,3}\\.be", "[a-zé ]{0,4}", "20[0-9]{2}-0[1-9]-[0-9]{2}"],
                prop_oneof!["true|false|yes|1|t", "20[0-9]{2}-0[1-9]-1[0-9]", "nan|inf|1e5|\\+3|00"],
            ),
            0..20,
        ),
        with_ranges: bool,
    ) {
        let mut csv = String::from("a,email,phone\n");
        for (a, b, c) in &rows {
            csv.push_str(&format!("{a},{b},{c}\n"));
        }
        let (yaml, result) = drafted(&csv, with_ranges);
        prop_assert_eq!(result.verdict, Verdict::Ok, "{}\n{}\n{:#?}", csv, yaml, result);
    }
}
