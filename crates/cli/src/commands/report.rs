//! `datafuse report open`.

use std::{fs, path::Path};

use datafuse_engine::{report::Report, report_html};

use crate::{
    args::ReportCommand,
    console::Console,
    failure::{Failure, Result},
};

pub(super) fn report(command: &ReportCommand, console: &Console) -> Result<()> {
    let ReportCommand::Open { report: path, html } = command;
    let report = read(path)?;
    if let Some(html) = html {
        fs::write(html, report_html::render(&report)).map_err(|source| Failure::file("write", html, &source))?;
        console.say(format_args!("The page: {}", html.display()));
    }
    let value = serde_json::to_value(&report).unwrap_or_default();
    console.result(&value, || report.summary_text());
    Ok(())
}

fn read(path: &Path) -> Result<Report> {
    // The folder of an event is as good as the file in it.
    let path = if path.is_dir() { &path.join("report.json") } else { path };
    let bytes = fs::read(path).map_err(|source| Failure::file("read", path, &source))?;
    Ok(Report::from_json(&bytes)?)
}
