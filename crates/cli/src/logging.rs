//! Logs and audit lines go to standard error (to standard output where the platform asks for it by `DV_LOKI=STDOUT`).

use datafuse_group::Backend;
use datafuse_workload::platform::{Environment, LogSink};
use tracing_subscriber::{EnvFilter, fmt};

/// Sets up logging for the commands that process events, and logs what they compute with.
pub(crate) fn start(environment: &Environment, json: bool, quiet: bool) {
    let level = if quiet { tracing::Level::WARN } else { environment.log_level.as_tracing() };
    // Our own lines at the level asked for; what libraries say only where it is a warning.
    let filter = EnvFilter::new(format!(
        "warn,datafuse={level},datafuse_workload={level},datafuse_engine={level},audit={level}"
    ));
    let to_stdout = environment.log_sink == LogSink::Stdout;
    let builder = fmt().with_env_filter(filter).with_target(true);
    // Setting it up twice fails, and changes nothing.
    let _ = match (json, to_stdout) {
        (true, true) => builder.json().with_writer(std::io::stdout).try_init(),
        (true, false) => builder.json().with_writer(std::io::stderr).try_init(),
        (false, true) => builder.with_ansi(false).with_writer(std::io::stdout).try_init(),
        (false, false) => builder.with_ansi(false).with_writer(std::io::stderr).try_init(),
    };
    tracing::debug!(backend = Backend::active().name(), "group arithmetic");
}
