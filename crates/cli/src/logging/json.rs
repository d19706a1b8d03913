//! Log lines as JSON: one flat object each, with `ts`, `level`, `target`, `msg`, the event's id and type as `event` and `type`
//! where one is at work, and whatever else the line says.
//!
//! The library's own JSON nests the fields of lines and spans, which log servers index badly.

use std::fmt;

use serde_json::{Map, Value};
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormattedFields,
        format::{JsonFields, Writer},
    },
    registry::LookupSpan,
};

use super::fields::Fields;

/// Writes a line as one flat JSON object.
pub(super) struct FlatJson;

impl<S> FormatEvent<S, JsonFields> for FlatJson
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut object = Map::new();
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            let Some(fields) = extensions.get::<FormattedFields<JsonFields>>() else { continue };
            if let Ok(Value::Object(fields)) = serde_json::from_str(&fields.fields) {
                object.extend(fields);
            }
        }
        let mut fields = Fields(object);
        event.record(&mut fields);
        let mut object = fields.0;
        let metadata = event.metadata();
        let message = object.remove("message").unwrap_or_default();
        // What a line always has wins over a field of the same name.
        object.insert("ts".to_owned(), jiff::Timestamp::now().to_string().into());
        object.insert("level".to_owned(), metadata.level().as_str().into());
        object.insert("target".to_owned(), metadata.target().into());
        object.insert("msg".to_owned(), message);
        writeln!(writer, "{}", Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_one_flat_object_with_the_event_at_work() {
        let written = Written::default();
        let to = written.clone();
        let layer = tracing_subscriber::fmt::layer()
            .fmt_fields(JsonFields::new())
            .event_format(FlatJson)
            .with_writer(move || to.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let span = tracing::info_span!("work", event = "01J", r#type = tracing::field::Empty);
            let _at_work = span.enter();
            span.record("type", "FUSE");
            tracing::warn!(rows = 7, level = "mine", "two \"words\"\nand a line");
        });
        let bytes = written.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.lines().count(), 1);
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&line["event"], &line["type"], &line["rows"]), (&"01J".into(), &"FUSE".into(), &7.into()));
        assert_eq!((&line["level"], &line["msg"]), (&"WARN".into(), &"two \"words\"\nand a line".into()));
        assert!(line["ts"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    }
}
