//! Contracts against data: every construct, a naive reading beside the engine's, contracts that mean harm.
#![allow(clippy::unwrap_used)]

mod constructs;
mod drafts;
mod harm;
mod naive;

use std::{path::Path, time::Duration};

use super::*;
use crate::{
    dataset::{FetchPolicy, ReadOptions, Source, SourceReader},
    runtime::Limits,
};

/// 2026-01-01T00:00:00Z.
pub(super) const NOW_S: i64 = 1_767_225_600;

pub(super) fn limits() -> Limits {
    Limits { memory_bytes: 256 << 20, threads: 2, ..Limits::default() }
}

pub(super) fn options() -> CheckOptions {
    CheckOptions { longest_query: Duration::from_secs(20), ..CheckOptions::new(limits(), NOW_S) }
}

pub(super) fn checked(contract: &str, csv: &str) -> ModelResult {
    checked_file(contract, csv.as_bytes(), "data.csv")
}

pub(super) fn checked_file(contract: &str, bytes: &[u8], name: &str) -> ModelResult {
    let contract = Contract::parse(contract, "contract.yaml").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    check_path(&contract.models[0], &path)
}

pub(super) fn check_path(model: &Model, path: &Path) -> ModelResult {
    let read = ReadOptions { batch_rows: 3, ..ReadOptions::default() };
    let rows = Rows::of_source(&Source::Path(path.into()), &read, &FetchPolicy::strict(), model).unwrap();
    check(model, rows, &options(), &|_| {}).unwrap()
}

pub(super) fn reader(path: &Path) -> crate::Result<SourceReader> {
    SourceReader::open(&Source::Path(path.into()), &ReadOptions::default(), &FetchPolicy::strict(), None)
}

/// The outcome of the rules of a sort, with rows.
#[track_caller]
pub(super) fn outcomes(result: &ModelResult, kind: RuleKind) -> Vec<(RuleOutcome, Option<u64>)> {
    result.rules.iter().filter(|rule| rule.rule == kind).map(|rule| (rule.outcome, rule.rows)).collect()
}

/// A contract of one model `people` with these properties and this quality, as YAML in one line each.
pub(super) fn contract(properties: &[&str], quality: &[&str]) -> String {
    let mut text =
        "apiVersion: v3.1.0\nkind: DataContract\nid: test\nschema:\n  - name: people\n    properties:\n".to_owned();
    text.extend(properties.iter().map(|property| format!("      - {property}\n")));
    if !quality.is_empty() {
        text.push_str("    quality:\n");
        text.extend(quality.iter().map(|entry| format!("      - {entry}\n")));
    }
    text
}
