//! What connectors may say, and what they may not.
#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;

const HUSH: &str = "hunter2";
const KEY: &str = "0123456789abcdef0123456789abcdef";

fn variables() -> Variables {
    let value = |text: &str| Zeroizing::new(text.to_owned());
    Variables::only([
        ("ACME_SECRET".to_owned(), value(HUSH)),
        ("ACME_URL".to_owned(), value("https://files.example/acme.parquet")),
        ("ACME_KEY".to_owned(), value(KEY)),
        ("EMPTY".to_owned(), value("")),
        ("DV_TOKEN".to_owned(), value(HUSH)),
    ])
}

fn read_with(kind: Kind, keys: Value, models: &[&str], files: &Path) -> Result<Connected, ConnectorProblem> {
    let bytes = json!({ "connectorKeys": keys }).to_string();
    let variables = variables();
    let files = Files::new(files.to_owned(), Some(files.join("data")), files.join("outputs"));
    connect(kind, &Keys::parse(bytes.as_bytes(), &variables)?, models, &files)
}

fn read(kind: Kind, keys: Value) -> Result<Connected, ConnectorProblem> {
    read_with(kind, keys, &["customers"], Path::new("/resources"))
}

fn said(connected: &Connected) -> String {
    format!("{} {:?} {:?}", connected.source, connected.format, connected.bucket)
}

#[test]
fn each_kind_names_its_place_format_and_credentials() {
    let s3 = json!({ "location": "s3://bucket/{model}.parquet", "file_format": "Parquet", "region": "eu-west-1",
                     "key_id": "AKIA", "secret": "${ACME_SECRET}", "encryption_key": "${ACME_KEY}", "description": 7 });
    let s3 = read(Kind::S3, s3).unwrap();
    assert_eq!(s3.parquet_key, Some(KEY.parse().unwrap()));
    assert_eq!(
        said(&s3),
        r#"s3://bucket/customers.parquet Some(Parquet) ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]"#
    );
    let gcs = json!({ "location": "gcs://bucket/*.csv", "file_format": "csv", "key_id": "GOOG", "secret": "x" });
    let gcs = read(Kind::Gcs, gcs).unwrap();
    assert_eq!(said(&gcs), r#"gs://bucket/*.csv Some(Csv) ["GOOGLE_HMAC_KEY_ID", "GOOGLE_HMAC_SECRET"]"#);
    let azure = |more: Value| {
        let mut keys = json!({ "location": "az://container/a.json", "file_format": "json" });
        keys.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        said(&read(Kind::Azure, keys).unwrap())
    };
    let azure_says = "az://container/a.json Some(Json)";
    assert_eq!(
        azure(json!({ "connection_key": "AccountName=a;AccountKey=b" })),
        format!(r#"{azure_says} ["AZURE_STORAGE_CONNECTION_STRING"]"#)
    );
    assert_eq!(azure(json!({ "shared_access_token": "sv=1" })), format!(r#"{azure_says} ["AZURE_STORAGE_SAS_KEY"]"#));
    assert_eq!(azure(json!({ "connection_key": "", "shared_access_token": null })), format!("{azure_says} []"));
    let file = json!({ "url": "${ACME_URL}", "file_name": "acme.parquet", "file_format": "parquet" });
    assert_eq!(said(&read(Kind::File, file).unwrap()), "https://files.example/acme.parquet Some(Parquet) []");
}

#[test]
fn the_process_own_credentials_are_never_a_connectors() {
    let public = json!({ "location": "s3://bucket/a.csv", "region": "eu-west-1" });
    assert_eq!(said(&read(Kind::S3, public).unwrap()), r#"s3://bucket/a.csv None ["AWS_REGION"]"#);
}

#[test]
fn several_models_leave_their_place_open() {
    let keys = json!({ "location": "s3://bucket/{model}/*.parquet", "region": "x" });
    let connected = read_with(Kind::S3, keys, &["customers", "orders"], Path::new("/resources")).unwrap();
    assert!(connected.source.names_model());
    let orders = connected.source.with_model("orders").unwrap();
    assert_eq!(orders.to_string(), "s3://bucket/orders/*.parquet");
    assert!(!orders.names_model() && connected.source.with_model("../x").is_err());
    let keys = json!({ "url": "/resources/data/{model}.csv" });
    let connected = read_with(Kind::File, keys, &["a", "b"], Path::new("/resources")).unwrap();
    assert_eq!(connected.source.with_model("b").unwrap(), Source::Path("/resources/data/b.csv".into()));
    let none = read_with(Kind::File, json!({ "url": "{model}.csv" }), &[], Path::new("/resources"));
    assert!(matches!(none, Err(ConnectorProblem::Place { key: "schema", .. })));
    let hostile =
        read_with(Kind::File, json!({ "url": "{model}.csv" }), &["../../etc/passwd"], Path::new("/resources"));
    assert!(matches!(hostile, Err(ConnectorProblem::Place { key: "schema", .. })));
}

#[test]
fn variables_stand_for_whole_values_and_reach_nothing_of_the_workloads_own() {
    let url = |url: &str| read(Kind::File, json!({ "url": url })).unwrap_err();
    let missing = url("${NOBODY}");
    assert_eq!(missing.to_string(), "'url' refers to the environment variable NOBODY, which is not set");
    assert!(missing.remedy().contains("NOBODY"));
    assert!(matches!(url("${EMPTY}"), ConnectorProblem::VariableMissing { .. }));
    for text in [
        "https://evil.example/${ACME_SECRET}",
        "${ACME_SECRET}x",
        "x${ACME_SECRET}",
        "${}",
        "${A B}",
        "${A",
        "${A}${B}",
    ] {
        let error = url(text);
        assert_eq!(error, ConnectorProblem::VariableWithin { key: "url" }, "{text}");
        assert!(!error.to_string().contains(HUSH));
    }
    for name in
        ["DV_TOKEN", "DATAFUSE_REDIS", "DATAFUSE_SEALED_PASSPHRASE_FILE", "AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_KEY"]
    {
        let error = url(&format!("${{{name}}}"));
        assert!(matches!(error, ConnectorProblem::VariableReserved { .. }), "{name}");
        assert!(!format!("{error} {error:?} {}", error.remedy()).contains(HUSH));
    }
}

#[test]
fn what_is_missing_or_wrong_is_named_and_no_value_is_repeated() {
    let s3 = |keys: Value| read(Kind::S3, keys).unwrap_err();
    let place = "s3://bucket/a.csv";
    assert_eq!(s3(json!({ "region": "x" })), ConnectorProblem::KeyMissing { key: "location" });
    assert_eq!(s3(json!({ "location": place })), ConnectorProblem::KeyMissing { key: "region" });
    assert_eq!(
        s3(json!({ "location": place, "region": "x", "key_id": HUSH })),
        ConnectorProblem::KeyAlone { key: "key_id", other: "secret" }
    );
    assert_eq!(
        s3(json!({ "location": place, "region": "x", "secret": HUSH })),
        ConnectorProblem::KeyAlone { key: "secret", other: "key_id" }
    );
    assert_eq!(s3(json!({ "location": [HUSH] })), ConnectorProblem::NotText { key: "location" });
    assert_eq!(s3(json!({ "location": place, "file_format": HUSH })), ConnectorProblem::Format);
    assert_eq!(s3(json!({ "encryption_key": HUSH })), ConnectorProblem::EncryptionKey { characters: HUSH.len() });
    for location in [
        HUSH,
        "gs://hunter2/a",
        "file:///hunter2",
        "s3://",
        "s3://u:hunter2@bucket/a",
        "s3://hunter2@bucket/a",
        "s3://bucket/a?X-Amz-Signature=hunter2",
        "s3://bucket/a#hunter2",
        "s3://bucket/hunter2\n",
    ] {
        let error = s3(json!({ "location": location, "region": "x" }));
        let shown = format!("{error} {error:?} {}", error.remedy());
        assert!(matches!(error, ConnectorProblem::Place { key: "location", .. }), "{shown}");
        assert!(!shown.contains(HUSH), "{shown}");
    }
    for text in ["", "{", "[]", "7", r#"{"connectorKeys": []}"#, r#"{"other": "hunter2"}"#, "\u{0}hunter2"] {
        let variables = variables();
        let Err(error) = Keys::parse(text.as_bytes(), &variables) else { panic!("{text}") };
        assert!(matches!(error, ConnectorProblem::NotJson { .. } | ConnectorProblem::NoKeys), "{text}");
        assert!(!format!("{error:?}").contains(HUSH));
    }
}

#[test]
fn paths_stay_below_the_folder_of_connectors() {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("resources");
    std::fs::create_dir_all(files.join("data")).unwrap();
    let outside = folder.path().join("secret.csv");
    std::fs::write(&outside, "x").unwrap();
    let read = |keys: Value| read_with(Kind::File, keys, &["customers"], &files);
    let path = |below: &str| Source::Path(files.join(below));
    let text = |path: &Path| path.to_str().unwrap().to_owned();

    assert_eq!(read(json!({ "url": "data/a.csv" })).unwrap().source, path("data/a.csv"));
    assert_eq!(read(json!({ "url": text(&files.join("data/a.csv")) })).unwrap().source, path("data/a.csv"));
    let file_url = format!("file://{}", text(&files.join("data/{model}.csv")));
    assert_eq!(read(json!({ "url": file_url })).unwrap().source, path("data/customers.csv"));
    let named = json!({ "url": "data", "file_name": "{model}.csv" });
    assert_eq!(read(named).unwrap().source, path("data/customers.csv"));
    let downloaded = json!({ "file_name": "a.csv", "download_directory": text(&files.join("data")) });
    assert_eq!(read(downloaded).unwrap().source, path("data/a.csv"));
    let pattern = read(json!({ "url": "data/*.csv" })).unwrap().source;
    assert_eq!(pattern, Source::Glob(text(&files.join("data/*.csv"))));

    let leads_out = |keys: Value| match read(keys.clone()) {
        Err(ConnectorProblem::OutsideFolder { .. }) => {}
        other => panic!("{keys}: {other:?}"),
    };
    leads_out(json!({ "url": "/etc/passwd" }));
    leads_out(json!({ "url": "file:///etc/passwd" }));
    leads_out(json!({ "url": "../secret.csv" }));
    leads_out(json!({ "url": "data/../../secret.csv" }));
    leads_out(json!({ "url": text(&outside) }));
    leads_out(json!({ "url": format!("{}-other/a.csv", text(&files)) }));
    leads_out(json!({ "file_name": "passwd", "download_directory": "/etc" }));
    leads_out(json!({ "url": "a.csv", "download_directory": "/etc" }));
    for name in ["../a.csv", "a/b.csv", "/etc/passwd", "..", "."] {
        let error = read(json!({ "url": "data/", "file_name": name })).unwrap_err();
        assert!(matches!(error, ConnectorProblem::Place { key: "file_name", .. }), "{name}: {error}");
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(folder.path(), files.join("link")).unwrap();
        leads_out(json!({ "url": "link/secret.csv" }));
        leads_out(json!({ "url": "link/not-there.csv" }));
        leads_out(json!({ "url": "link/*.csv" }));
    }
}

#[test]
fn paths_lead_to_no_configuration_and_to_no_report() {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("resources");
    for folder in ["data", "outputs/event", "rows"] {
        std::fs::create_dir_all(files.join(folder)).unwrap();
    }
    for file in ["data/configuration_acme.json", "data/rows.json", "outputs/event/report.json"] {
        std::fs::write(files.join(file), "{}").unwrap();
    }
    let read = |url: &str, models: &[&str]| read_with(Kind::File, json!({ "url": url }), models, &files);
    let refused = |url: &str, models: &[&str]| match read(url, models) {
        Err(ConnectorProblem::Place { reason, .. }) if reason.contains("configurations") => {}
        other => panic!("{url}: {other:?}"),
    };
    refused("data/configuration_acme.json", &["customers"]);
    refused("data/configuration_not-there.json", &["customers"]);
    refused("data/{model}.json", &["configuration_acme"]);
    refused("data/{model}.json", &["a", "configuration_acme"]);
    for pattern in ["data/*", "data/*.json", "data/c*", "*/*.json", "**/*", "outputs/*/report.*"] {
        refused(pattern, &["customers"]);
    }
    refused("outputs/event/report.json", &["customers"]);
    refused("outputs/event/not-there.json", &["customers"]);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(files.join("data/configuration_acme.json"), files.join("rows/link.json")).unwrap();
        refused("rows/link.json", &["customers"]);
    }
    for path in ["data/rows.json", "data/*.csv", "*/*.parquet", "rows/*", "rows/{model}.json"] {
        assert!(read(path, &["a", "b"]).is_ok(), "{path}");
    }
}

#[test]
fn only_credentials_and_addresses_come_from_variables() {
    for keys in [
        json!({ "url": "${ACME_SECRET}" }),
        json!({ "url": "data/a.csv", "download_directory": "${ACME_SECRET}" }),
        json!({ "url": "data/", "file_name": "${ACME_SECRET}" }),
    ] {
        let error = read(Kind::File, keys.clone()).unwrap_err();
        assert!(matches!(error, ConnectorProblem::Place { .. }), "{keys}: {error}");
        assert!(!error.to_string().contains(HUSH), "{keys}");
    }
}

#[test]
fn only_plain_ids_become_file_names() {
    for id in ["d1", "6c7d-99_x", "a.b", &"x".repeat(128)] {
        assert!(DescriptorId::parse(id).is_some(), "{id}");
    }
    for id in ["", ".", "..", "../x", "a/b", "a\\b", "a\0", "a b", "é", ".hidden", &"x".repeat(129)] {
        assert!(DescriptorId::parse(id).is_none(), "{id:?}");
    }
}

#[test]
fn a_file_is_read_within_bounds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("configuration_d1.json");
    assert_eq!(load_file(&path).unwrap_err(), ConnectorProblem::Missing { path: path.clone() });
    std::fs::write(&path, vec![b' '; MAX_BYTES as usize + 1]).unwrap();
    assert_eq!(load_file(&path).unwrap_err(), ConnectorProblem::TooLarge { limit: MAX_BYTES });
    assert!(matches!(load_file(folder.path()).unwrap_err(), ConnectorProblem::Unreadable { .. }));
}
