//! `datafuse contract check` and `init`: data contracts, for who holds data. What they print names rules and counts rows.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use datafuse_engine::{
    contract::{CheckOptions, Contract, Model, ModelResult, Rows, RuleOutcome, Verdict, check, draft},
    dataset::{BucketSettings, FetchPolicy, ReadOptions, Source, SourceReader},
};
use serde_json::json;

use super::{limits, reading, source};
use crate::{
    args::{ContractCheckArgs, ContractCommand, ContractInitArgs, FormatArg},
    console::{Console, count},
    failure::{Code, Failure, Result},
};

pub(super) fn contract(command: ContractCommand, console: &Console) -> Result<()> {
    match command {
        ContractCommand::Check(args) => check_data(args, console),
        ContractCommand::Init(args) => init(&args, console),
    }
}

fn check_data(mut args: ContractCheckArgs, console: &Console) -> Result<()> {
    let contract = Contract::read(&args.file)?;
    let data = match &args.data {
        Some(data) => data.clone(),
        None => {
            let (data, format) = of_server(&contract, &args.file, args.reading.format)?;
            args.reading.format = format;
            data
        }
    };
    let (source, read) = (data.parse()?, reading(&args.reading, &args.parquet_key)?);
    let options = CheckOptions::new(limits(&args.limits), jiff::Timestamp::now().as_second());
    let mut results = Vec::new();
    for (source, model) in sources(&contract, &source, args.model.as_deref())? {
        results.push(check_model(&source, &read, model, &options, console)?);
    }
    let nok = results.iter().filter(|result| result.verdict == Verdict::Nok).count();
    let value = json!({
        "contract": { "file": args.file, "name": contract.name, "version": contract.version },
        "verdict": if nok == 0 { Verdict::Ok } else { Verdict::Nok },
        "models": results,
    });
    console.result(&value, || results.iter().map(text).collect());
    if nok == 0 {
        return Ok(());
    }
    let of = |outcome| results.iter().map(|result| result.count(outcome)).sum::<usize>();
    let (failed, error) = (of(RuleOutcome::Failed), of(RuleOutcome::Error));
    let fact =
        format!("the data is not as {} says: {failed} rules failed, {error} could not be checked", args.file.display());
    Err(Failure::new(Code::Data, fact, "mend the rows that are counted above, or agree on another contract"))
}

/// The data of the one local server that a contract names.
fn of_server(contract: &Contract, file: &Path, format: Option<FormatArg>) -> Result<(String, Option<FormatArg>)> {
    let local = contract.servers.iter().find(|server| server.kind == "local" && server.location.is_some());
    let Some((server, location)) = local.and_then(|server| Some((server, server.location.as_deref()?))) else {
        let origin = file.display().to_string();
        return Err(datafuse_engine::contract::ContractError::NoServer { origin }.into());
    };
    let named = match server.format.as_deref() {
        Some("csv") => Some(FormatArg::Csv),
        Some("json") => Some(FormatArg::Json),
        Some("parquet") => Some(FormatArg::Parquet),
        _ => None,
    };
    let folder = file.parent().unwrap_or(Path::new(""));
    Ok((folder.join(location).to_string_lossy().into_owned(), format.or(named)))
}

/// The models to check, each with where its data is.
fn sources<'a>(contract: &'a Contract, source: &Source, model: Option<&str>) -> Result<Vec<(Source, &'a Model)>> {
    let mut each = Vec::new();
    for candidate in &contract.models {
        if model.is_some_and(|model| model != candidate.name) {
            continue;
        }
        match source.of_model(&candidate.name)? {
            Some(source) => each.push((source, candidate)),
            None => break,
        }
    }
    match each.is_empty() {
        true => Ok(vec![(source.clone(), contract.model(model)?)]),
        false => Ok(each),
    }
}

fn check_model(
    source: &Source,
    read: &ReadOptions,
    model: &Model,
    options: &CheckOptions,
    console: &Console,
) -> Result<ModelResult> {
    let rows = Rows::of_source(
        source,
        read,
        &FetchPolicy { bucket: BucketSettings::from_process(), ..FetchPolicy::trusting() },
        model,
    )?;
    let progress = console.progress(&format!("checking {}", shown(&model.name)), None);
    Ok(check(model, rows, options, &|rows| progress.advance_rows(rows))?)
}

fn text(result: &ModelResult) -> String {
    let mut lines = vec![["", "rule", "column", "rows", "asks"].map(str::to_owned).to_vec()];
    for rule in &result.rules {
        let mark = match rule.outcome {
            RuleOutcome::Passed => "passed",
            RuleOutcome::Failed => "FAILED",
            RuleOutcome::Error => "ERROR",
            RuleOutcome::NotChecked => "not checked",
        };
        let asks = match &rule.detail {
            Some(detail) => format!("{} ({detail})", rule.asks),
            None => rule.asks.clone(),
        };
        lines.push(vec![
            mark.to_owned(),
            rule.rule.as_str().to_owned(),
            shown(rule.column.as_deref().unwrap_or_default()),
            rule.rows.map(count).unwrap_or_default(),
            shown(&asks),
        ]);
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<_> = (0..4).map(width).collect();
    let mut text = format!("{}: {}, {} rows", shown(&result.model), result.verdict.as_str(), count(result.rows));
    if result.rejected > 0 {
        text.push_str(&format!(", {} more could not be read", count(result.rejected)));
    }
    match result.count(RuleOutcome::NotChecked) {
        0 => {}
        1 => text.push_str(", 1 rule not checked"),
        rules => text.push_str(&format!(", {rules} rules not checked")),
    }
    text.push('\n');
    for line in &lines {
        let row = format!(
            "  {:<w0$}  {:<w1$}  {:<w2$}  {:>w3$}  {}",
            line[0],
            line[1],
            line[2],
            line[3],
            line[4],
            w0 = widths[0],
            w1 = widths[1],
            w2 = widths[2],
            w3 = widths[3]
        );
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

/// A text of a contract as it may be printed to a terminal: on one line, without control characters.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn init(args: &ContractInitArgs, console: &Console) -> Result<()> {
    let (source, read) = source(&args.source, &args.reading, &args.parquet_key)?;
    let name = args.name.clone().unwrap_or_else(|| name_of(&args.source.source));
    let options = CheckOptions::new(limits(&args.limits), jiff::Timestamp::now().as_second());
    let fetch = FetchPolicy { bucket: BucketSettings::from_process(), ..FetchPolicy::trusting() };
    let open = || SourceReader::open(&source, &read, &fetch, None);
    let progress = console.progress("reading", None);
    let drafted = draft(&name, &open, args.with_ranges, &options, &|rows| progress.advance_rows(rows));
    drop(progress);
    let drafted = drafted??;
    if drafted.rejected > 0 {
        console.warn(format_args!(
            "{} rows could not be read: the contract will find them too; datafuse normalize says why",
            count(drafted.rejected)
        ));
    }
    if let Some(out) = &args.out {
        let failed = |source| Failure::file("write", out, &source);
        let mut file = File::create_new(out).map_err(failed)?;
        file.write_all(drafted.yaml.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    }
    let value = json!({
        "contract": args.out, "yaml": if args.out.is_none() { Some(&drafted.yaml) } else { None },
        "rows": drafted.rows, "rejected": drafted.rejected, "columns": drafted.columns,
    });
    console.result(&value, || match &args.out {
        None => drafted.yaml.clone(),
        Some(out) => format!(
            "{} drafted from {} rows, {} columns. Look through it; then: datafuse contract check {} --data {}\n",
            out.display(),
            count(drafted.rows),
            drafted.columns,
            out.display(),
            source
        ),
    });
    Ok(())
}

/// `exports/customers-2026.csv` is of `customers_2026`.
fn name_of(source: &str) -> String {
    let stem = PathBuf::from(source).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let name: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    let name = name.trim_matches('_').chars().take(64).collect::<String>();
    if name.is_empty() { "data".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_named_after_its_file() {
        assert_eq!(name_of("exports/Customers-2026.csv"), "customers_2026");
        assert_eq!(name_of("exports/*.csv"), "data");
    }
}
