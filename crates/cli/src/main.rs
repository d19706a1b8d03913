#![forbid(unsafe_code)]
//! The program `datafuse`: parses the command line, calls the crates that do the work, prints what they say.
//!
//! Data goes to standard output, everything else to standard error. Exit codes: 0 done; 1 internal; 2 usage; 3 configuration or
//! contract; 4 data; 5 peer, queue or attestation; 6 refused by policy; 7 interrupted, can be resumed. No algorithm lives here.

mod args;
mod chart;
mod commands;
mod console;
mod failure;
mod log_server;
mod logging;
mod passphrase;

use std::process::ExitCode;

use clap::Parser;

use crate::{args::Cli, console::Console};

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|info| {
        // The message of a panic may hold a value; its place in the code never does.
        let place = info.location().map(|at| format!(" at {}:{}", at.file(), at.line())).unwrap_or_default();
        eprintln!("Error: datafuse stopped unexpectedly{place}\nTry: report this, with the command that led to it");
    }));
    keep_memory_private();
    // A file of settings beside the command, for those that the environment does not have; the arguments come first of all.
    let _ = dotenvy::dotenv();
    let cli = Cli::parse();
    let console = Console::new(cli.json, cli.quiet);
    // The planner of the data engine recurses deeply in unoptimised builds; the main thread's stack may be small.
    let worker = std::thread::Builder::new().name("datafuse".into()).stack_size(32 << 20);
    let result = worker.spawn(move || {
        let result = commands::run(cli.command, &console);
        if let Err(failure) = &result {
            console.failure(failure);
        }
        result
    });
    match result.map(std::thread::JoinHandle::join) {
        Ok(Ok(Ok(()))) => ExitCode::SUCCESS,
        Ok(Ok(Err(failure))) => ExitCode::from(failure.code as u8),
        _ => ExitCode::FAILURE,
    }
}

/// Keeps secrets in memory from core dumps and from the user's other processes. Where the system refuses, the work goes on: it
/// is a second line of defence.
fn keep_memory_private() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}
