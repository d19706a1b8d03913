//! `datafuse doctor`: looks for what could go wrong, before it does.

mod places;
mod platform;

use std::path::Path;

use datafuse_core::keys::PartyKeys;
use datafuse_group::{Backend, BackendError};
use datafuse_space::{Party, Severity, Space, check};
use datafuse_workload::{
    platform::{Environment, which_queue},
    queue,
};
use serde_json::{Value, json};

use crate::{
    args::DoctorArgs,
    console::Console,
    failure::{Code, Failure, Result},
    passphrase,
};

struct Check {
    what: &'static str,
    good: bool,
    words: String,
}

pub(super) fn doctor(args: &DoctorArgs, console: &Console) -> Result<()> {
    let group = GroupBackends::of_this_machine();
    let mut checks = vec![machine(), randomness(), temporary_files(), environment(), group.check()];
    let space = args.space.as_deref().and_then(|path| space_file(path, &mut checks));
    let keys = args.key.as_deref().and_then(|path| key_file(path, args, space.as_ref(), &mut checks));
    if let Some(space) = &space {
        checks.extend(places::checks(args, space, keys)?);
    }
    if let Some(redis) = args.redis.as_deref().filter(|_| space.is_none()) {
        checks.push(redis_server(redis)?);
    }
    if let Ok(environment) = Environment::from_process() {
        checks.extend(platform::checks(args, &environment));
    }
    let list: Vec<_> =
        checks.iter().map(|check| json!({ "check": check.what, "ok": check.good, "says": check.words })).collect();
    let value = json!({ "version": env!("CARGO_PKG_VERSION"), "group_backend": group.json(), "checks": list });
    console.result(&value, || {
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

/// The backends of the group: which one is used, and which this machine cannot run.
struct GroupBackends {
    used: &'static str,
    /// Whether `DATAFUSE_GROUP_BACKEND` chose it.
    overridden: bool,
    fastest: &'static str,
    here: Vec<&'static str>,
    /// Those that do not run here, with what they need.
    lacking: Vec<(&'static str, String)>,
}

impl GroupBackends {
    fn of_this_machine() -> Self {
        let (mut here, mut lacking) = (Vec::new(), Vec::new());
        for name in Backend::names() {
            match Backend::named(name) {
                Ok(backend) => here.push(backend.name()),
                Err(BackendError::Unsupported { missing, .. }) => lacking.push((*name, missing.to_owned())),
                Err(error) => lacking.push((*name, error.to_string())),
            }
        }
        Self {
            used: Backend::active().name(),
            overridden: std::env::var_os("DATAFUSE_GROUP_BACKEND").is_some_and(|name| !name.is_empty()),
            fastest: Backend::fastest().name(),
            here,
            lacking,
        }
    }

    fn check(&self) -> Check {
        let mut words = if self.overridden {
            format!("{}, as DATAFUSE_GROUP_BACKEND says; the fastest that runs here is {}", self.used, self.fastest)
        } else {
            format!("{}, the fastest that runs here", self.used)
        };
        for (name, needs) in &self.lacking {
            words.push_str(&format!("; {name} does not: it needs {needs}"));
        }
        Check { what: "group backend", good: true, words }
    }

    fn json(&self) -> Value {
        let lacking: Vec<_> =
            self.lacking.iter().map(|(name, needs)| json!({ "name": name, "needs": needs })).collect();
        json!({
            "used": self.used, "overridden": self.overridden, "fastest": self.fastest,
            "here": self.here, "lacking": lacking,
        })
    }
}

/// Opens the key file, and tells whose it is in the space.
fn key_file(path: &Path, args: &DoctorArgs, space: Option<&Space>, checks: &mut Vec<Check>) -> Option<PartyKeys> {
    match passphrase::open_sealed(path, &args.passphrase, args.sealed_passphrase_file.as_deref()) {
        Ok(opened) => {
            let protection = if opened.is_under_passphrase() { "under a passphrase" } else { "without a passphrase" };
            let name = opened.keys.identity().public_name();
            let words = format!("{}: fingerprint {}, {protection}", path.display(), name.fingerprint());
            checks.push(Check { what: "key file", good: true, words });
            if let Some(space) = space {
                let (good, words) = match space.party(&name) {
                    Some(Party::Workload) => (true, "the workload's".to_owned()),
                    Some(Party::Participant(id)) => (true, format!("that of '{id}'")),
                    None => (false, "nobody's in this space; try: the space.yaml that has its public name".to_owned()),
                };
                checks.push(Check { what: "whose key", good, words });
            }
            Some(opened.keys)
        }
        Err(Failure { fact, remedy, .. }) => {
            let words = remedy.map(|remedy| format!("{fact}; try: {remedy}")).unwrap_or(fact);
            checks.push(Check { what: "key file", good: false, words });
            None
        }
    }
}

fn space_file(path: &Path, checks: &mut Vec<Check>) -> Option<Space> {
    let (space, findings) = check::check_file(path);
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    let good = space.is_some() && errors == 0;
    let words = if good {
        format!("{} holds together", path.display())
    } else {
        format!("{}: {errors} errors; datafuse space check tells which", path.display())
    };
    checks.push(Check { what: "space file", good, words });
    space
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_backend_and_what_the_machine_lacks() {
        let mut group = GroupBackends {
            used: "avx2",
            overridden: false,
            fastest: "avx2",
            here: vec!["portable", "avx2"],
            lacking: vec![("ifma", "AVX-512IFMA".to_owned())],
        };
        let words = group.check().words;
        assert_eq!(words, "avx2, the fastest that runs here; ifma does not: it needs AVX-512IFMA");
        assert_eq!(group.json()["lacking"], json!([{ "name": "ifma", "needs": "AVX-512IFMA" }]));

        (group.used, group.overridden) = ("portable", true);
        assert_eq!(
            group.check().words,
            "portable, as DATAFUSE_GROUP_BACKEND says; the fastest that runs here is avx2; ifma does not: it needs AVX-512IFMA"
        );
        assert_eq!((&group.json()["used"], &group.json()["overridden"]), (&json!("portable"), &json!(true)));
    }
}
