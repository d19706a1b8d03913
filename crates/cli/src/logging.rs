//! Logs and audit lines go to standard error (to standard output where the platform asks for it by `DV_LOKI=STDOUT`), and where
//! `DV_LOKI` names a log server, there as well.

use datafuse_group::Backend;
use datafuse_workload::platform::{Environment, LogSink};
use tracing_subscriber::{EnvFilter, Layer, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{failure::Result, log_server::LogServer};

/// Sets up logging for the commands that process events, and logs what they compute with. Lines go to the log server until what
/// is given back is dropped.
pub(crate) fn start(environment: &Environment, json: bool, quiet: bool) -> Result<Option<LogServer>> {
    let level = if quiet { tracing::Level::WARN } else { environment.log_level.as_tracing() };
    // Our own lines at the level asked for; what libraries say only where it is a warning.
    let filter = EnvFilter::new(format!(
        "warn,datafuse={level},datafuse_workload={level},datafuse_engine={level},audit={level}"
    ));
    let to_stdout = environment.log_sink == LogSink::Stdout;
    let lines = fmt::layer().with_ansi(false);
    let lines = match (json, to_stdout) {
        (true, true) => lines.json().with_writer(std::io::stdout).boxed(),
        (true, false) => lines.json().with_writer(std::io::stderr).boxed(),
        (false, true) => lines.with_writer(std::io::stdout).boxed(),
        (false, false) => lines.with_writer(std::io::stderr).boxed(),
    };
    let server = LogServer::start(environment)?;
    // Setting it up twice fails, and changes nothing.
    let layers = tracing_subscriber::registry().with(filter).with(lines).with(server.as_ref().map(LogServer::layer));
    let _ = layers.try_init();
    tracing::debug!(backend = Backend::active().name(), "group arithmetic");
    Ok(server)
}
