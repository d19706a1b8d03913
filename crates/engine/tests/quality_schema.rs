//! The committed JSON schema of `quality.json` is the one that the types make.
//! `UPDATE_SCHEMA=1 cargo test -p datafuse-engine --test quality_schema` writes it anew.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use datafuse_engine::contract::quality_schema;

#[test]
fn the_committed_schema_is_that_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/quality.schema.json");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, format!("{:#}\n", quality_schema())).unwrap();
    }
    let committed: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(committed, quality_schema(), "docs/quality.schema.json is old: run with UPDATE_SCHEMA=1");
}
