//! What the program says of itself. `TRYCMD=overwrite cargo test -p datafuse-cli --test help` writes the snapshots anew.
#![allow(missing_docs)]

#[test]
fn help_and_usage_read_as_agreed() {
    trycmd::TestCases::new()
        .case("tests/cmd/*.trycmd")
        .env("COLUMNS", "100")
        .env("DATAFUSE_SPACE", "")
        .env("DATAFUSE_GROUP_BACKEND", "")
        .run();
}
