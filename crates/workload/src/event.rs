//! An event: what the workload is asked to do. Comes in as the bytes of one queue entry, a JSON object
//! `{"type": "...", ..., "msg_dt": "<ISO time>"}`, and goes to a processor as an [`Event`].
//!
//! The bytes are somebody else's: size, depth and form are checked before anything is built from them, and neither an
//! error nor `Debug` repeats them. What the fields of a body mean is the processors' business.

use std::fmt;

use datafuse_core::id::EventId;
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// The largest event accepted, in bytes.
pub const MAX_EVENT_BYTES: usize = 64 * 1024;

/// The deepest nesting of objects and lists accepted; the event itself is level 1.
pub const MAX_EVENT_DEPTH: usize = 16;

/// The longest event type accepted, in characters.
pub const MAX_TYPE_LENGTH: usize = 64;

/// What an event asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventType {
    /// Opens the space: the workload announces its receive key.
    Initialize,
    /// Collects enrolment messages.
    Enrol,
    /// Fuses what is not fused yet.
    Fuse,
    /// Counts what the holders have in common.
    CheckCommonCustomers,
    /// Checks the datasets against their rules.
    CheckDataQuality,
    /// Looks one customer up at the holders.
    CheckValidCustomer,
    /// A type of another program or of a later version: logged and acknowledged, not an error.
    Unknown(String),
}

impl EventType {
    /// Finds the type that has a name. `CHECK_COMMON_DEMO_CUSTOMERS` is another name of
    /// [`CheckCommonCustomers`](Self::CheckCommonCustomers).
    ///
    /// # Errors
    /// [`Error::EventTypeInvalid`] unless the name is 1 to [`MAX_TYPE_LENGTH`] of `A-Z`, `0-9` and `_`.
    pub fn from_name(name: &str) -> Result<Self> {
        let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        if name.is_empty() || name.len() > MAX_TYPE_LENGTH || !name.bytes().all(allowed) {
            return Err(Error::EventTypeInvalid);
        }
        Ok(match name {
            "INITIALIZE" => Self::Initialize,
            "ENROL" => Self::Enrol,
            "FUSE" => Self::Fuse,
            "CHECK_COMMON_CUSTOMERS" | "CHECK_COMMON_DEMO_CUSTOMERS" => Self::CheckCommonCustomers,
            "CHECK_DATA_QUALITY" => Self::CheckDataQuality,
            "CHECK_VALID_CUSTOMER" => Self::CheckValidCustomer,
            other => Self::Unknown(other.to_owned()),
        })
    }

    /// Gives the type's own name. An event that came under another one keeps that: [`Event::name`].
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Initialize => "INITIALIZE",
            Self::Enrol => "ENROL",
            Self::Fuse => "FUSE",
            Self::CheckCommonCustomers => "CHECK_COMMON_CUSTOMERS",
            Self::CheckDataQuality => "CHECK_DATA_QUALITY",
            Self::CheckValidCustomer => "CHECK_VALID_CUSTOMER",
            Self::Unknown(name) => name,
        }
    }
}

/// One event, checked.
#[derive(Clone, PartialEq)]
pub struct Event {
    /// The id under which the queue delivered it, the same at each delivery.
    pub id: EventId,
    /// What it asks for.
    pub event_type: EventType,
    /// When the sender says it was sent, if it says so in a form that can be read. Times without a zone are UTC.
    pub sent: Option<Timestamp>,
    /// All its fields but `type` and `msg_dt`. May hold tokens: not for logs.
    pub body: Map<String, Value>,
    name: String,
}

impl Event {
    /// Makes an event from the name of its type, as [`parse`](Self::parse) would find it in a queue.
    ///
    /// # Errors
    /// [`Error::EventTypeInvalid`] if that is no name of an event type.
    pub fn new(id: EventId, name: &str, body: Map<String, Value>, sent: Option<Timestamp>) -> Result<Self> {
        Ok(Self { id, event_type: EventType::from_name(name)?, sent, body, name: name.to_owned() })
    }

    /// Reads an event from the bytes of a queue entry.
    ///
    /// # Errors
    /// [`Error::EventTooLarge`], [`Error::EventTooDeep`], [`Error::EventNotJson`], [`Error::EventNotObject`],
    /// [`Error::EventTypeMissing`], [`Error::EventTypeInvalid`]; none repeats any of the bytes.
    pub fn parse(id: EventId, payload: &[u8]) -> Result<Self> {
        if payload.len() > MAX_EVENT_BYTES {
            return Err(Error::EventTooLarge { bytes: payload.len(), limit: MAX_EVENT_BYTES });
        }
        if depth(payload) > MAX_EVENT_DEPTH {
            return Err(Error::EventTooDeep { limit: MAX_EVENT_DEPTH });
        }
        let value: Value =
            serde_json::from_slice(payload).map_err(|e| Error::EventNotJson { line: e.line(), column: e.column() })?;
        let Value::Object(mut body) = value else {
            return Err(Error::EventNotObject);
        };
        let name = match body.remove("type") {
            None => return Err(Error::EventTypeMissing),
            Some(Value::String(name)) => name,
            Some(_) => return Err(Error::EventTypeInvalid),
        };
        let sent = match body.remove("msg_dt") {
            Some(Value::String(text)) => parse_time(&text),
            _ => None,
        };
        Self::new(id, &name, body, sent)
    }

    /// Gives the name of the type under which this event came.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes the event as a queue entry's `msg_data`: its type, its fields, and when it was sent if that is known.
    #[must_use]
    pub fn to_msg_data(&self) -> Vec<u8> {
        msg_data(&self.name, &self.body, self.sent)
    }
}

/// Shows what is safe to show: field names and values of the body stay out.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("sent", &self.sent)
            .field("fields", &self.body.len())
            .finish()
    }
}

/// Writes `msg_data` for an event that has no id yet: the queue gives it one.
#[must_use]
pub fn msg_data(name: &str, body: &Map<String, Value>, sent: Option<Timestamp>) -> Vec<u8> {
    let mut object = Map::new();
    object.insert("type".to_owned(), Value::from(name));
    for (field, value) in body {
        if field != "type" && field != "msg_dt" {
            object.insert(field.clone(), value.clone());
        }
    }
    if let Some(sent) = sent {
        object.insert("msg_dt".to_owned(), Value::from(sent.to_string()));
    }
    Value::Object(object).to_string().into_bytes()
}

/// Reads a time with an offset, or one without as UTC: the platform's library writes the latter.
fn parse_time(text: &str) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok().or_else(|| {
        let local: DateTime = text.parse().ok()?;
        Some(local.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })
}

/// Measures how deep brackets nest outside strings, before a parser with a stack sees them. Exact for valid JSON; for
/// anything else the parser refuses it anyway.
fn depth(json: &[u8]) -> usize {
    let (mut level, mut deepest) = (0usize, 0usize);
    let (mut in_string, mut escaped) = (false, false);
    for &byte in json {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
        } else {
            match byte {
                b'"' => in_string = true,
                b'{' | b'[' => {
                    level += 1;
                    deepest = deepest.max(level);
                }
                b'}' | b']' => level = level.saturating_sub(1),
                _ => {}
            }
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn id() -> EventId {
        "01J8ZQ4X7M6V9K3T2N1B0C5D7E".parse().unwrap()
    }

    fn parse(text: &str) -> Result<Event> {
        Event::parse(id(), text.as_bytes())
    }

    #[test]
    fn reads_what_the_platform_sends() {
        let event =
            parse(r#"{"type": "CHECK_VALID_CUSTOMER", "email": "abc", "msg_dt": "2024-05-01T10:00:00.250000"}"#)
                .unwrap();
        assert_eq!(event.event_type, EventType::CheckValidCustomer);
        assert_eq!(event.body.len(), 1);
        assert_eq!(event.body["email"], "abc");
        assert_eq!(event.sent, "2024-05-01T10:00:00.25Z".parse().ok());
    }

    #[test]
    fn the_demo_name_is_the_same_type_and_is_kept() {
        let event = parse(r#"{"type":"CHECK_COMMON_DEMO_CUSTOMERS"}"#).unwrap();
        assert_eq!(event.event_type, EventType::CheckCommonCustomers);
        assert_eq!(event.event_type.name(), "CHECK_COMMON_CUSTOMERS");
        assert_eq!(event.name(), "CHECK_COMMON_DEMO_CUSTOMERS");
        assert_eq!(event.to_msg_data(), br#"{"type":"CHECK_COMMON_DEMO_CUSTOMERS"}"#);
    }

    #[test]
    fn every_known_name_finds_its_type_again() {
        for name in
            ["INITIALIZE", "ENROL", "FUSE", "CHECK_COMMON_CUSTOMERS", "CHECK_DATA_QUALITY", "CHECK_VALID_CUSTOMER"]
        {
            let event_type = EventType::from_name(name).unwrap();
            assert!(!matches!(event_type, EventType::Unknown(_)), "{name}");
            assert_eq!(event_type.name(), name);
        }
    }

    #[test]
    fn an_unknown_type_is_no_error() {
        let event = parse(r#"{"type":"TRAIN_MODEL_2"}"#).unwrap();
        assert_eq!(event.event_type, EventType::Unknown("TRAIN_MODEL_2".to_owned()));
    }

    #[test]
    fn what_is_written_reads_back() {
        let sent = "2026-01-02T03:04:05Z".parse().ok();
        let body = serde_json::json!({"dataset": "customers", "type": "NOT_THIS"});
        let bytes = msg_data("FUSE", body.as_object().unwrap(), sent);
        let event = Event::parse(id(), &bytes).unwrap();
        assert_eq!(event.name(), "FUSE");
        assert_eq!(event.sent, sent);
        assert_eq!(event.body.len(), 1);
        assert_eq!(event, Event::parse(id(), &event.to_msg_data()).unwrap());
    }

    #[test]
    fn an_unreadable_time_is_left_out() {
        for time in [r#""yesterday""#, "17", "null", r#""""#] {
            let event = parse(&format!(r#"{{"type":"FUSE","msg_dt":{time}}}"#)).unwrap();
            assert_eq!(event.sent, None, "{time}");
        }
    }

    #[test]
    fn refuses_malformed_events() {
        assert!(matches!(parse(""), Err(Error::EventNotJson { .. })));
        assert!(matches!(parse("{\"type\":\n\"FUSE\""), Err(Error::EventNotJson { line: 2, .. })));
        assert!(matches!(Event::parse(id(), b"{\"type\":\"\xff\"}"), Err(Error::EventNotJson { .. })));
        assert!(matches!(parse("[1]"), Err(Error::EventNotObject)));
        assert!(matches!(parse("\"FUSE\""), Err(Error::EventNotObject)));
        assert!(matches!(parse("{}"), Err(Error::EventTypeMissing)));
        let long = format!("\"{}\"", "A".repeat(65));
        for name in ["7", "null", "\"\"", "\"fuse\"", "\"FUSE \"", "\"FÜSE\"", &long] {
            let text = format!(r#"{{"type":{name}}}"#);
            assert!(matches!(parse(&text), Err(Error::EventTypeInvalid)), "{text}");
        }
        assert!(parse(&format!(r#"{{"type":"{}"}}"#, "A".repeat(64))).is_ok());
    }

    #[test]
    fn refuses_an_oversized_event_and_accepts_the_largest() {
        let around = r#"{"type":"FUSE","x":""}"#.len();
        let fill = |n: usize| format!(r#"{{"type":"FUSE","x":"{}"}}"#, "a".repeat(n - around));
        assert!(parse(&fill(MAX_EVENT_BYTES)).is_ok());
        assert!(matches!(
            parse(&fill(MAX_EVENT_BYTES + 1)),
            Err(Error::EventTooLarge { bytes, .. }) if bytes == MAX_EVENT_BYTES + 1
        ));
    }

    #[test]
    fn refuses_a_deep_event_and_accepts_the_deepest() {
        let nest = |n: usize| format!(r#"{{"type":"FUSE","x":{}{}}}"#, "[".repeat(n - 1), "]".repeat(n - 1));
        assert!(parse(&nest(MAX_EVENT_DEPTH)).is_ok());
        assert!(matches!(parse(&nest(MAX_EVENT_DEPTH + 1)), Err(Error::EventTooDeep { .. })));
        assert!(matches!(parse(&nest(MAX_EVENT_BYTES / 4)), Err(Error::EventTooDeep { .. })));
    }

    #[test]
    fn brackets_in_strings_are_not_depth() {
        let text = format!(r#"{{"type":"FUSE","x":"\"{}\\"}}"#, "[{".repeat(100));
        assert!(parse(&text).is_ok());
    }

    #[test]
    fn neither_errors_nor_debug_repeat_the_content() {
        let secret = "canary-4711@example.org";
        for text in [
            format!(r#"{{"type":"{secret}"}}"#),
            format!(r#"{{"type":"FUSE" {secret}"#),
            format!(r#"{{"{secret}":1}}"#),
            secret.to_owned(),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(!format!("{error} {error:?} {:?}", error.remedy()).contains("4711"), "{error:?}");
        }
        let event = parse(&format!(r#"{{"type":"FUSE","email":"{secret}","{secret}":1}}"#)).unwrap();
        assert!(!format!("{event:?}").contains("4711"));
    }
}
