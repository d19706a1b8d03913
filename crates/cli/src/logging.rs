//! Logs and audit lines go to standard error (to standard output where the platform asks for it by `DV_LOKI=STDOUT`), for people
//! or as one JSON object a line; and where `DV_LOKI` names a log server, there as well. Every line that is logged while an event is at work says which, by the span around it.
//!
//! Layers stand on one registry: a filter, the lines, and spans to an OpenTelemetry collector where the program was built for it.

mod fields;
mod json;
#[cfg(feature = "otel")]
mod otel;

use datafuse_group::Backend;
use datafuse_workload::platform::{Environment, LogSink};
use tracing::{Level, Metadata};
use tracing_subscriber::{
    Layer, Registry,
    filter::{FilterFn, filter_fn},
    fmt::{self, format::JsonFields, writer::BoxMakeWriter},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::{
    args::LogFormat,
    failure::{Failure, Result},
    log_server::LogServer,
};

pub(crate) use fields::Fields;

type BoxLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Keeps logging whole: what is on its way to the log server or to a collector is sent when this is dropped.
#[must_use]
pub(crate) struct Logging {
    server: Option<LogServer>,
    #[cfg(feature = "otel")]
    _spans: Option<otel::Spans>,
}

impl Logging {
    /// Tells the log server, where there is one, why the program ends.
    pub(crate) fn failure(&self, failure: &Failure) {
        if let Some(server) = &self.server {
            server.failure(failure);
        }
    }
}

/// Sets up logging for the commands that process events, and logs what they compute with.
pub(crate) fn start(environment: &Environment, format: LogFormat, quiet: bool) -> Result<Logging> {
    let level = if quiet { Level::WARN } else { environment.log_level.as_tracing() };
    let writer = match environment.log_sink {
        LogSink::Stdout => BoxMakeWriter::new(std::io::stdout),
        _ => BoxMakeWriter::new(std::io::stderr),
    };
    let lines: BoxLayer = match format {
        LogFormat::Json => fmt::layer()
            .fmt_fields(JsonFields::new())
            .event_format(json::FlatJson)
            .with_writer(writer)
            .with_filter(lines_at(level))
            .boxed(),
        LogFormat::Human => {
            fmt::layer().with_ansi(false).with_target(true).with_writer(writer).with_filter(lines_at(level)).boxed()
        }
    };
    let server = LogServer::start(environment)?;
    let mut layers = vec![lines];
    layers.extend(server.as_ref().map(|server| server.layer().with_filter(lines_at(level)).boxed()));
    #[cfg(feature = "otel")]
    let (spans, spans_layer) = otel::layer()?.unzip();
    #[cfg(feature = "otel")]
    layers.extend(spans_layer);
    // Setting it up twice fails, and changes nothing.
    let _ = tracing_subscriber::registry().with(layers).try_init();
    tracing::debug!(backend = Backend::active().name(), "group arithmetic");
    Ok(Logging {
        server,
        #[cfg(feature = "otel")]
        _spans: spans,
    })
}

/// Lets our own lines through at the level asked for, audit lines always, and what libraries say where it is a warning. Spans
/// pass at every level, or lines would not say which event they belong to.
fn lines_at(level: Level) -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
    filter_fn(move |metadata| {
        let ours = metadata.target().starts_with("datafuse");
        match metadata.target() {
            target if metadata.is_span() => target.starts_with("datafuse"),
            "audit" => true,
            _ => *metadata.level() <= if ours { level } else { level.min(Level::WARN) },
        }
    })
}
