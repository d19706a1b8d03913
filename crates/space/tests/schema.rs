//! The committed JSON schema is the one that the types make.
//! `UPDATE_SCHEMA=1 cargo test -p datafuse-space --test schema` writes it anew.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use datafuse_space::agreement;

#[test]
fn the_committed_schema_is_that_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/space.schema.json");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        let made = format!("{:#}\n", agreement::schema());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &made).unwrap();
    }
    let committed: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    // As values: the order of fields means nothing.
    assert_eq!(committed, agreement::schema(), "docs/space.schema.json is old: run with UPDATE_SCHEMA=1");
}
