//! `datafuse list open`: which of its rows a holder has learned that others have too.

use std::{fs::File, io::Read, path::Path};

use datafuse_core::list::Join;
use datafuse_engine::{
    dataset::{BucketSettings, FetchPolicy, SourceReader},
    signed_report::{MAX_ENVELOPE_BYTES, RECEIPT_JSON, REPORT_DSSE},
};
use datafuse_holder::list::{OpenedList, open_list};
use serde_json::json;

use super::{party::open as open_party, reading, warn_of_source};
use crate::{
    args::{ListCommand, ListOpenArgs},
    console::{Console, count},
    failure::{Failure, Result},
};

pub(super) fn list(command: &ListCommand, console: &Console) -> Result<()> {
    match command {
        ListCommand::Open(args) => open(args, console),
    }
}

fn open(args: &ListOpenArgs, console: &Console) -> Result<()> {
    let party = open_party(&args.party)?;
    let report = match &args.report {
        Some(path) => Some(path.clone()),
        None => args.list.parent().and_then(Path::parent).and_then(|folder| {
            [REPORT_DSSE, RECEIPT_JSON].map(|name| folder.join(name)).into_iter().find(|path| path.is_file())
        }),
    };
    let bytes = report.as_deref().map(read).transpose()?;
    let opened = open_list(&party, &args.list, bytes.as_deref())?;
    let mut written = None;
    if let Some(out) = &args.out {
        match &args.join {
            None => {
                opened.write_row_numbers(out)?;
                written = Some(opened.rows());
            }
            Some(source) => {
                let fetch = FetchPolicy { bucket: BucketSettings::from_process(), ..FetchPolicy::trusting() };
                let read = reading(&args.reading, &args.parquet_key)?;
                let source = SourceReader::open(&source.parse()?, &read, &fetch, None)?;
                warn_of_source(source.warnings(), console);
                written = Some(opened.write_matched(args.dataset.as_ref(), source, out)?);
            }
        }
    }
    let header = opened.header();
    let with: Vec<_> = header.with.iter().map(ToString::to_string).collect();
    let datasets: Vec<_> = opened
        .datasets()
        .map(|(dataset, listed)| {
            json!({
                "dataset": dataset.dataset.to_string(), "version": dataset.version, "sha256": dataset.sha256,
                "rows": dataset.rows, "listed": listed,
            })
        })
        .collect();
    let value = json!({
        "event": header.event, "epoch": header.epoch, "join": header.join, "kind": header.kind.to_string(), "with": with,
        "rows": opened.rows(), "datasets": datasets, "sha256": opened.sha256(),
        "signer": header.workload.fingerprint(), "report": report, "out": args.out, "written": written,
    });
    console.result(&value, || {
        let mut text = words(&opened, &with.join(", "));
        text.push_str(&match &report {
            Some(report) => format!("Good: signed by the workload, and named in {}\n", report.display()),
            None => "Good: signed by the workload; no report lies beside it (--report FILE)\n".to_owned(),
        });
        if let (Some(out), Some(written)) = (&args.out, written) {
            text.push_str(&format!("{} rows written: {}\n", count(written), out.display()));
        }
        text
    });
    Ok(())
}

fn words(opened: &OpenedList, with: &str) -> String {
    let header = opened.header();
    let which = match header.join {
        Join::Inner => format!("that all of {with} have too"),
        Join::Difference => format!("that none of {with} has"),
        Join::Left => format!("with an identifier, each with how many of {with} have it"),
    };
    let mut text = format!("{} rows {which}, by {} (event {})\n", count(opened.rows()), header.kind, header.event);
    for (dataset, listed) in opened.datasets() {
        text.push_str(&format!(
            "  {} version {}: {} of {} rows\n",
            dataset.dataset,
            dataset.version,
            count(listed),
            count(dataset.rows)
        ));
    }
    text
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = |source| Failure::file("read", path, &source);
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(MAX_ENVELOPE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
