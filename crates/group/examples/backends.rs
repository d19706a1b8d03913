//! Tells which backends run on this machine, one a line; with `--names`, only the names of those that run.
//!
//! For scripts that repeat something with each of them:
//!
//! ```text
//! for name in $(cargo run -q -p datafuse-group --example backends -- --names); do
//!   DATAFUSE_GROUP_BACKEND=$name ...
//! done
//! ```

use std::env;
use std::process::ExitCode;

use datafuse_group::{Backend, BackendError};

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let names_only = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--names"] => true,
        _ => {
            eprintln!("Error: this takes no argument but --names.\nTry: --names");
            return ExitCode::from(2);
        }
    };
    for name in Backend::names() {
        match Backend::named(name) {
            Ok(backend) if names_only => println!("{}", backend.name()),
            Ok(backend) => println!("{}: runs here", backend.name()),
            Err(_) if names_only => {}
            Err(error) => println!("{name}: does not run here: {}", why(&error)),
        }
    }
    ExitCode::SUCCESS
}

fn why(error: &BackendError) -> String {
    match error {
        BackendError::Unsupported { missing, .. } => format!("needs {missing}, which this machine does not have"),
        error => error.to_string(),
    }
}
