//! One file a command, or a family of them: takes parsed arguments, calls the crate that does it, prints the result.

mod audit;
mod contract;
mod demo;
mod doctor;
mod drill;
mod endpoint;
mod event;
mod jobs;
mod key;
mod list;
mod normalize;
mod party;
mod report;
mod space;
mod token;

use std::path::Path;

use clap::CommandFactory;
use datafuse_engine::{
    dataset::{Encoding, Format, ReadOptions, Source, SourceWarning},
    runtime::Limits,
};
use datafuse_group::Backend;

use crate::{
    args::{Cli, Command, EncodingArg, FormatArg, LimitArgs, ParquetKeyArgs, ReadingArgs, SourceArgs},
    console::Console,
    failure::{Code, Failure, Result},
    passphrase,
};

/// Runs a command.
pub(crate) fn run(command: Command, console: &Console) -> Result<()> {
    // A DATAFUSE_GROUP_BACKEND that cannot be followed is told before any work, and by every command alike.
    Backend::from_environment()?;
    match command {
        Command::Demo(args) => demo::demo(&args, console),
        Command::Keygen(args) => key::keygen(&args, console),
        Command::Key(command) => key::key(&command, console),
        Command::Space(command) => space::space(command, console),
        Command::Contract(command) => contract::contract(command, console),
        Command::Normalize(args) => normalize::normalize(&args, console),
        Command::Protect(args) => party::protect(args, console),
        Command::Enrol(args) => party::enrol(&args, console),
        Command::Send(args) => event::send(&args, console),
        Command::Run(args) => event::run(&args, console),
        Command::Serve(args) => event::serve(&args, console),
        Command::Jobs(args) => jobs::jobs(&args, console),
        Command::Audit(command) => audit::audit(&command, console),
        Command::Report(command) => report::report(&command, console),
        Command::Token(command) => token::token(&command, console),
        Command::List(command) => list::list(&command, console),
        Command::Doctor(args) => doctor::doctor(&args, console),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "datafuse", &mut std::io::stdout());
            Ok(())
        }
        Command::Man => man(),
    }
}

/// Tells what whoever reads a source should know about its files.
fn warn_of_source(reader: &[SourceWarning], console: &Console) {
    for warning in reader {
        console.warn(format_args!("{warning}\nTry: {}", warning.remedy()));
    }
}

fn man() -> Result<()> {
    let failed = |source| Failure::file("write", Path::new("standard output"), &source);
    clap_mangen::Man::new(Cli::command()).render(&mut std::io::stdout()).map_err(failed)
}

fn limits(args: &LimitArgs) -> Limits {
    let usual = Limits::default();
    Limits {
        memory_bytes: args.memory_limit,
        temp_dir: args.temp_dir.clone().unwrap_or(usual.temp_dir),
        max_temp_bytes: usual.max_temp_bytes,
        threads: args.threads.unwrap_or(usual.threads).max(1),
    }
}

fn source(args: &SourceArgs, read: &ReadingArgs, key: &ParquetKeyArgs) -> Result<(Source, ReadOptions)> {
    Ok((args.source.parse()?, reading(read, key)?))
}

fn reading(args: &ReadingArgs, key: &ParquetKeyArgs) -> Result<ReadOptions> {
    let format = args.format.map(|format| match format {
        FormatArg::Csv => Format::Csv,
        FormatArg::Json => Format::Json,
        FormatArg::Parquet => Format::Parquet,
    });
    let delimiter = match args.delimiter.as_deref() {
        None => None,
        Some("tab" | "\\t") => Some(b'\t'),
        Some(text) => match text.as_bytes() {
            [byte] => Some(*byte),
            _ => {
                let fact = "--delimiter takes one character";
                return Err(Failure::new(Code::Usage, fact, "--delimiter ';' or --delimiter tab"));
            }
        },
    };
    let encoding = match args.encoding {
        EncodingArg::Utf8 => Encoding::Utf8,
        EncodingArg::Latin1 => Encoding::Latin1,
    };
    let parquet_key = key.parquet_key_file.as_deref().map(passphrase::parquet_key).transpose()?;
    let header = !args.no_header;
    Ok(ReadOptions { format, delimiter, header, encoding, parquet_key, ..ReadOptions::default() })
}
