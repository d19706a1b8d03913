//! Replies of a Redis server, read by hand from the protocol's values, so that an entry of any form (foreign fields, not UTF-8) can be
//! delivered and disposed of instead of stopping the stream.

use std::time::Duration;

use redis::{FromRedisValue, Value};

use super::FIELD;
use crate::event::MAX_EVENT_BYTES;

/// An entry that some consumer has and that is not acknowledged.
pub(super) struct Pending {
    pub(super) id: String,
    pub(super) idle: Duration,
    pub(super) deliveries: u32,
}

/// A stream entry given to this consumer.
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) payload: Vec<u8>,
    pub(super) attempts: u32,
}

/// An entry's id and the event's bytes.
pub(super) type Unread = (String, Vec<u8>);

/// Reads an entry `[id, [field, value, ...]]`. Without the field, or with its fields gone, the payload is empty.
pub(super) fn entry(value: Value) -> Option<Unread> {
    let mut parts = sequence(value)?.into_iter();
    let id = parts.next().and_then(text)?;
    let fields = parts.next().and_then(sequence).unwrap_or_default();
    let mut fields = fields.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        if bytes(name).as_deref() == Some(FIELD.as_bytes()) {
            let mut payload = bytes(value).unwrap_or_default();
            payload.truncate(MAX_EVENT_BYTES + 1);
            return Some((id, payload));
        }
    }
    Some((id, Vec::new()))
}

pub(super) fn sequence(value: Value) -> Option<Vec<Value>> {
    value.into_sequence().ok()
}

pub(super) fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    }
}

pub(super) fn text(value: Value) -> Option<String> {
    String::from_utf8(bytes(value)?).ok()
}

/// Gives the largest id below an id; none below the smallest.
pub(super) fn id_before(id: &str) -> Option<String> {
    let (ms, sequence) = id.split_once('-')?;
    let (ms, sequence): (u64, u64) = (ms.parse().ok()?, sequence.parse().ok()?);
    match (ms, sequence.checked_sub(1)) {
        (ms, Some(before)) => Some(format!("{ms}-{before}")),
        (ms, None) => Some(format!("{}-{}", ms.checked_sub(1)?, u64::MAX)),
    }
}

/// Reads the reply to XPENDING in its long form.
pub(super) fn pending(reply: Value) -> Option<Vec<Pending>> {
    let row = |row| {
        let mut columns = sequence(row)?.into_iter();
        let id = columns.next().and_then(text)?;
        let idle = columns.nth(1).and_then(|value| u64::from_redis_value(value).ok())?;
        let deliveries = columns.next().and_then(|value| u32::from_redis_value(value).ok())?;
        Some(Pending { id, idle: Duration::from_millis(idle), deliveries })
    };
    sequence(reply)?.into_iter().map(row).collect()
}

/// Reads the reply to a read of several streams: for each that gave something its name and its first entry.
pub(super) fn streams(reply: Value) -> Option<Vec<(String, Unread)>> {
    let mut found = Vec::new();
    for stream in sequence(reply)? {
        let mut parts = sequence(stream)?.into_iter();
        let name = parts.next().and_then(text)?;
        let entries = parts.next().and_then(sequence).unwrap_or_default();
        found.extend(entries.into_iter().find_map(entry).map(|entry| (name, entry)));
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_id_before_an_id_is_the_next_smaller_one() {
        assert_eq!(id_before("5-7").as_deref(), Some("5-6"));
        assert_eq!(id_before("5-0"), Some(format!("4-{}", u64::MAX)));
        assert_eq!(id_before("0-0"), None);
        assert_eq!(id_before("5"), None);
    }

    fn bulk(bytes: &[u8]) -> Value {
        Value::BulkString(bytes.to_vec())
    }

    #[test]
    fn entries_of_any_form_can_be_read() {
        let with = |fields: Value| entry(Value::Array(vec![bulk(b"1-1"), fields]));
        let some = |payload: &[u8]| Some(("1-1".to_owned(), payload.to_vec()));
        let two = Value::Array(vec![bulk(b"\xff"), bulk(b"x"), bulk(b"msg_data"), bulk(b"\xfe")]);
        assert_eq!(with(two), some(b"\xfe"));
        assert_eq!(with(Value::Array(vec![bulk(b"other"), bulk(b"msg_data")])), some(b""));
        assert_eq!(with(Value::Nil), some(b""));
        let large = vec![b'x'; MAX_EVENT_BYTES * 2];
        let (_, payload) = with(Value::Array(vec![bulk(b"msg_data"), bulk(&large)])).unwrap();
        assert_eq!(payload.len(), MAX_EVENT_BYTES + 1);
    }
}
