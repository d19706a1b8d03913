//! `datafuse doctor`: looks for what could go wrong, before it does.

use std::path::Path;

use datafuse_space::{Severity, check, keyfile};
use datafuse_workload::{
    platform::{Environment, which_queue},
    queue,
};
use serde_json::json;

use crate::{
    args::DoctorArgs,
    console::Console,
    failure::{Code, Failure, Result},
};

struct Check {
    what: &'static str,
    good: bool,
    words: String,
}

pub(super) fn doctor(args: &DoctorArgs, console: &Console) -> Result<()> {
    let mut checks = vec![machine(), randomness(), temporary_files(), environment()];
    if let Some(key) = &args.key {
        checks.push(key_file(key));
    }
    if let Some(space) = &args.space {
        checks.push(space_file(space));
    }
    if let Some(redis) = &args.redis {
        checks.push(redis_server(redis)?);
    }
    let list: Vec<_> =
        checks.iter().map(|check| json!({ "check": check.what, "ok": check.good, "says": check.words })).collect();
    console.result(&json!({ "version": env!("CARGO_PKG_VERSION"), "checks": list }), || {
        checks
            .iter()
            .map(|check| format!("{:4} {:16} {}\n", if check.good { "ok" } else { "BAD" }, check.what, check.words))
            .collect()
    });
    match checks.iter().filter(|check| !check.good).count() {
        0 => Ok(()),
        bad => {
            let fact = format!("{bad} of {} checks failed", checks.len());
            Err(Failure::new(Code::Configuration, fact, "mend what is marked BAD above"))
        }
    }
}

fn machine() -> Check {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let words = format!(
        "datafuse {}, {} on {}, {cores} cores",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH
    );
    Check { what: "machine", good: true, words }
}

fn randomness() -> Check {
    match getrandom::fill(&mut [0; 32]) {
        Ok(()) => Check { what: "randomness", good: true, words: "the operating system gives random numbers".into() },
        Err(error) => Check { what: "randomness", good: false, words: error.to_string() },
    }
}

fn temporary_files() -> Check {
    let folder = std::env::temp_dir();
    let file = folder.join(format!(".datafuse-doctor-{}", std::process::id()));
    let tried = std::fs::File::create_new(&file).and_then(|_| std::fs::remove_file(&file));
    let words = match &tried {
        Ok(()) => format!("{} can be written", folder.display()),
        Err(error) => format!("{} cannot be written ({error}); set TMPDIR or give --temp-dir", folder.display()),
    };
    Check { what: "temporary files", good: tried.is_ok(), words }
}

fn environment() -> Check {
    match Environment::from_process() {
        Ok(environment) if environment.is_platform() => {
            Check { what: "environment", good: true, words: "on the platform (DV_APP_ID is set)".into() }
        }
        Ok(_) => Check { what: "environment", good: true, words: "not on the platform".into() },
        Err(error) => Check { what: "environment", good: false, words: error.to_string() },
    }
}

fn key_file(path: &Path) -> Check {
    match keyfile::read(path) {
        Ok(keys) => {
            let words = format!("{}: fingerprint {}", path.display(), keys.identity().public_name().fingerprint());
            Check { what: "key file", good: true, words }
        }
        Err(error) => Check { what: "key file", good: false, words: with_remedy(&error, error.remedy()) },
    }
}

fn space_file(path: &Path) -> Check {
    let (space, findings) = check::check_file(path);
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    let good = space.is_some() && errors == 0;
    let words = if good {
        format!("{} holds together", path.display())
    } else {
        format!("{}: {errors} errors; datafuse space check tells which", path.display())
    };
    Check { what: "space file", good, words }
}

fn redis_server(url: &str) -> Result<Check> {
    let runtime = super::event::runtime()?;
    let tried = Environment::from_process()
        .and_then(|environment| which_queue(Some(url), "", &environment))
        .and_then(|choice| runtime.block_on(async { Ok(queue::open(&choice).await?.place()) }));
    Ok(match tried {
        Ok(place) => Check { what: "redis", good: true, words: format!("{place} answers") },
        Err(error) => Check { what: "redis", good: false, words: with_remedy(&error, error.remedy()) },
    })
}

fn with_remedy(error: &dyn std::error::Error, remedy: Option<String>) -> String {
    match remedy {
        Some(remedy) => format!("{error}; try: {remedy}"),
        None => error.to_string(),
    }
}
