//! `datafuse normalize`: shows the owner what becomes of a column, and what would raise the match rate. What it prints is for
//! the owner's own eyes; nothing is written or sent.

use std::collections::{BTreeMap, HashSet};

use datafuse_core::normalize::{InvalidReason, Normalization, Profile};
use datafuse_engine::dataset::{BucketSettings, FetchPolicy, SourceReader, column_as_bytes};
use serde_json::json;

use super::{source, warn_of_source};
use crate::{
    args::NormalizeArgs,
    console::{Console, count, percent},
    failure::Result,
};

/// What became of a column.
#[derive(Default)]
struct Found {
    rows: u64,
    empty: u64,
    rejected: u64,
    valid: u64,
    changed: u64,
    invalid: BTreeMap<InvalidReason, u64>,
    /// A short hash of each distinct normal form: 16 bytes a value instead of the value.
    distinct: HashSet<[u8; 16]>,
    /// The same under Gmail's folding, for what it would merge.
    folded: HashSet<[u8; 16]>,
    changed_samples: Vec<(String, String)>,
    invalid_samples: Vec<(u64, String, InvalidReason)>,
}

pub(super) fn normalize(args: &NormalizeArgs, console: &Console) -> Result<()> {
    let (source, options) = source(&args.source, &args.reading, &args.parquet_key)?;
    let columns = [args.column.clone()];
    let fetch = FetchPolicy { bucket: BucketSettings::from_process(), ..FetchPolicy::trusting() };
    let mut reader = SourceReader::open(&source, &options, &fetch, Some(&columns)).map_err(|mut error| {
        if let datafuse_engine::Error::ColumnNotFound { column, remedy, .. } = &mut error {
            *remedy = remedy.replace(&format!("--identifier {column}="), "--column ");
        }
        error
    })?;
    warn_of_source(reader.warnings(), console);
    let progress = console.progress("reading", reader.total_bytes());
    let mut found = Found::default();
    while let Some(batch) = reader.next() {
        let batch = batch?;
        found.rejected += batch.rejected.len() as u64;
        let before = found.rows;
        found.rows += batch.rejected.len() as u64;
        let values = column_as_bytes(&args.column, batch.batch.column(0))?;
        for (index, row) in batch.rows.iter().enumerate() {
            take(args, &mut found, *row, values.value(index));
        }
        progress.advance(found.rows - before, reader.bytes_read());
    }
    drop(progress);
    let merged = (found.distinct.len() - found.folded.len()) as u64;
    let invalid: BTreeMap<_, _> = found.invalid.iter().map(|(reason, rows)| (reason.as_code(), rows)).collect();
    let value = json!({
        "column": args.column, "profile": args.profile.as_str(), "rows": found.rows, "empty": found.empty,
        "rejected": found.rejected, "valid": found.valid, "changed": found.changed, "distinct": found.distinct.len(),
        "invalid": invalid, "merged_by_gmail_folding": merged,
    });
    console.result(&value, || text(args, &found, merged, reader.not_utf8_rows()));
    Ok(())
}

fn take(args: &NormalizeArgs, found: &mut Found, row: u64, value: Option<&[u8]>) {
    found.rows += 1;
    let Some(value) = value else {
        found.empty += 1;
        return;
    };
    match args.profile.normalize(value, args.region.as_deref()) {
        Normalization::Empty => found.empty += 1,
        Normalization::Invalid(reason) => {
            *found.invalid.entry(reason).or_default() += 1;
            if found.invalid_samples.len() < args.samples {
                found.invalid_samples.push((row, shown(value), reason));
            }
        }
        Normalization::Valid(normal) => {
            found.valid += 1;
            let normal = normal.preview();
            if normal != value {
                found.changed += 1;
                if found.changed_samples.len() < args.samples {
                    found.changed_samples.push((shown(value), shown(normal)));
                }
            }
            found.distinct.insert(short_hash(normal));
            let folded = match args.profile {
                Profile::EmailV1 => match Profile::EmailGmailV1.normalize(value, None) {
                    Normalization::Valid(folded) => short_hash(folded.preview()),
                    _ => short_hash(normal),
                },
                _ => short_hash(normal),
            };
            found.folded.insert(folded);
        }
    }
}

fn short_hash(bytes: &[u8]) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&blake3::hash(bytes).as_bytes()[..16]);
    short
}

/// A value as it may be printed to a terminal: without control characters.
fn shown(value: &[u8]) -> String {
    String::from_utf8_lossy(value).escape_debug().to_string()
}

fn text(args: &NormalizeArgs, found: &Found, merged: u64, not_utf8: u64) -> String {
    let mut text = format!(
        "{} under {}: {}\n\n{:>12} rows\n{:>12} empty\n{:>12} invalid\n{:>12} valid, of these {} distinct, {} changed by the rule\n",
        args.column,
        args.profile,
        args.profile.describe(),
        count(found.rows),
        count(found.empty),
        count(found.invalid.values().sum::<u64>() + found.rejected),
        count(found.valid),
        count(found.distinct.len() as u64),
        count(found.changed),
    );
    let mut list = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            text.push_str(&format!("\n{title}\n"));
            text.extend(lines.iter().map(|line| format!("  {line}\n")));
        }
    };
    list(
        "Invalid, by reason",
        found.invalid.iter().map(|(reason, rows)| format!("{:>10}  {reason}", count(*rows))).collect(),
    );
    list(
        "Examples of what changes",
        found.changed_samples.iter().map(|(from, to)| format!("{from} -> {to}")).collect(),
    );
    list(
        "Examples of what is invalid",
        found.invalid_samples.iter().map(|(row, value, reason)| format!("row {row}: {value} ({reason})")).collect(),
    );
    let mut advice = Vec::new();
    if not_utf8 > 0 {
        advice.push(format!("{} rows are not UTF-8: try --encoding latin1.", count(not_utf8)));
    }
    if found.valid == 0 && found.rows > 0 {
        advice.push("Nothing is valid: is this the right column, and the right profile?".to_owned());
    }
    let repeated = found.valid - found.distinct.len() as u64;
    if repeated > 0 {
        advice.push(format!(
            "{} rows ({}) repeat an identifier; each counts once in a report.",
            count(repeated),
            percent(repeated, found.valid)
        ));
    }
    if merged > 0 {
        advice.push(format!(
            "{} addresses are the same Gmail mailbox as another: email-gmail-v1 would merge them. All parties must agree on it.",
            count(merged)
        ));
    }
    list("Advice", advice);
    text
}
