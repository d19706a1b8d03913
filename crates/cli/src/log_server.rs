//! Log lines on their way to the platform's log server: a layer of `tracing` that turns each line into the platform's words, and
//! what is done with them at the end.
//!
//! In: what `tracing` hears. Out: JSON objects with `msg`, the line's fields, those of the spans around it, `target` and
//! `app_id`, through `datafuse_workload::platform::log_push`. Lines of the target `audit` are of the level AUDIT.

use std::{fmt, time::Duration};

use datafuse_workload::platform::{
    Environment,
    log_push::{LineLevel, LogPush, PushLimits, PushNews},
};
use serde_json::{Map, Value};
use tracing::{
    Event, Level, Subscriber,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use crate::{
    failure::{Failure, Result},
    logging::Fields,
};

/// How long the end of the program waits for lines to be sent.
const LAST_LINES: Duration = Duration::from_secs(5);

/// Sends lines until it is dropped; then what is left, within a time limit.
pub(crate) struct LogServer {
    push: LogPush,
    app_id: Option<String>,
}

impl LogServer {
    /// Begins, where the environment names a log server.
    pub(crate) fn start(environment: &Environment) -> Result<Option<Self>> {
        let push = LogPush::start(environment, PushLimits::default(), tell).map_err(datafuse_workload::Error::from)?;
        Ok(push.map(|push| Self { push, app_id: environment.app_id.clone() }))
    }

    /// The layer that hears every line.
    pub(crate) fn layer(&self) -> LogServerLayer {
        let sender = self.push.sender();
        LogServerLayer { take: Box::new(move |level, line| sender.push(level, line)), app_id: self.app_id.clone() }
    }

    /// Sends why the program ends, which is printed and not logged.
    pub(crate) fn failure(&self, failure: &Failure) {
        let mut fields = Map::new();
        fields.insert("msg".to_owned(), failure.fact.as_str().into());
        fields.insert("try".to_owned(), failure.remedy.as_deref().into());
        fields.insert("code".to_owned(), (failure.code as u8).into());
        fields.insert("app_id".to_owned(), self.app_id.as_deref().into());
        self.push.sender().push(LineLevel::Error, fields);
    }
}

impl Drop for LogServer {
    fn drop(&mut self) {
        let unsent = self.push.finish(LAST_LINES);
        let lost = unsent.waiting as u64 + unsent.dropped;
        if lost > 0 {
            eprintln!("Warning: {lost} log lines did not reach the log server");
        }
    }
}

impl fmt::Debug for LogServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogServer(..)")
    }
}

/// Says that the log server does not take lines: to standard error, as it cannot be said there.
fn tell(news: &PushNews) {
    match news {
        PushNews::Failing { place, trouble } => {
            eprintln!(
                "Warning: the log server at {place} takes no lines: {trouble}; they wait, the oldest are dropped"
            );
        }
        PushNews::Recovered { dropped: 0 } => eprintln!("The log server takes lines again"),
        PushNews::Recovered { dropped } => {
            eprintln!("The log server takes lines again; {dropped} were dropped meanwhile");
        }
        _ => {}
    }
}

/// Hears every line that the filter lets through.
pub(crate) struct LogServerLayer {
    take: Box<dyn Fn(LineLevel, Map<String, Value>) + Send + Sync>,
    app_id: Option<String>,
}

/// The fields of a span, kept with it.
struct SpanFields(Map<String, Value>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LogServerLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(SpanFields(fields.0));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        values.record(&mut fields);
        if let Some(kept) = span.extensions_mut().get_mut::<SpanFields>() {
            kept.0.extend(fields.0);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        // What the sending itself says would be sent in turn.
        if std::thread::current().name() == Some("log-push") {
            return;
        }
        let mut line = Map::new();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(kept) = span.extensions().get::<SpanFields>() {
                line.extend(kept.0.clone());
            }
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        line.extend(fields.0);
        if let Some(message) = line.remove("message") {
            line.insert("msg".to_owned(), message);
        }
        let metadata = event.metadata();
        line.insert("target".to_owned(), metadata.target().into());
        line.insert("app_id".to_owned(), self.app_id.as_deref().into());
        let level = match *metadata.level() {
            _ if metadata.target() == "audit" => LineLevel::Audit,
            Level::ERROR => LineLevel::Error,
            Level::WARN => LineLevel::Warn,
            Level::INFO => LineLevel::Info,
            _ => LineLevel::Debug,
        };
        (self.take)(level, line);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::{Arc, Mutex};

    use serde_json::json;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn a_line_has_its_fields_those_of_the_spans_around_it_and_the_audits_level() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&lines);
        let take = Box::new(move |level, line| taken.lock().unwrap().push((level, Value::Object(line))));
        let layer = LogServerLayer { take, app_id: Some("space-1".to_owned()) };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let span = tracing::info_span!("event", event = "e-1", r#type = tracing::field::Empty);
            span.record("type", "FUSE");
            span.in_scope(|| {
                tracing::warn!(rows = 3_u64, share = 0.5, good = true, below = -1_i64, "so {}", "it is");
                let class = "no-epoch";
                tracing::error!(target: "audit", event = %"e-2", error = class, "Event processing failed");
            });
            tracing::debug!("outside");
        });
        let target = module_path!();
        let expected = [
            (
                LineLevel::Warn,
                json!({ "msg": "so it is", "event": "e-1", "type": "FUSE", "rows": 3, "share": 0.5, "good": true, "below": -1,
                        "target": target, "app_id": "space-1" }),
            ),
            (
                LineLevel::Audit,
                json!({ "msg": "Event processing failed", "event": "e-2", "type": "FUSE", "error": "no-epoch",
                        "target": "audit", "app_id": "space-1" }),
            ),
            (LineLevel::Debug, json!({ "msg": "outside", "target": target, "app_id": "space-1" })),
        ];
        assert_eq!(*lines.lock().unwrap(), expected);
    }
}
