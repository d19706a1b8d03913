//! What a Redis server says about streams and groups (`XINFO`), read into plain figures.
//!
//! The counters `entries-added` and `entries-read` are those of Redis 7; an older server leaves them out, and then nobody can
//! tell how many entries were removed unread.

use std::collections::BTreeMap;

use redis::{FromRedisValue, Value};

/// An entry's id as the server orders them.
pub(super) type EntryId = (u64, u64);

/// What `XINFO STREAM` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct StreamInfo {
    pub(super) length: u64,
    pub(super) last_generated: EntryId,
    pub(super) added: Option<u64>,
    pub(super) first: Option<EntryId>,
}

/// What `XINFO GROUPS` says of one group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct GroupInfo {
    pub(super) consumers: u64,
    pub(super) pending: u64,
    pub(super) last_delivered: EntryId,
    pub(super) read: Option<u64>,
    pub(super) lag: Option<u64>,
}

impl StreamInfo {
    pub(super) fn read(reply: Value) -> Option<Self> {
        let fields = fields(reply)?;
        Some(Self {
            length: number(&fields, "length")?,
            last_generated: fields.get("last-generated-id").and_then(id)?,
            added: number(&fields, "entries-added"),
            first: match fields.get("first-entry") {
                Some(Value::Array(entry)) => entry.first().and_then(id),
                _ => None,
            },
        })
    }
}

impl GroupInfo {
    /// Finds one group among those of a stream; a group that is not there yet has read nothing.
    pub(super) fn read(reply: Value, group: &str) -> Option<Self> {
        for entry in reply.into_sequence().ok()? {
            let fields = fields(entry)?;
            if fields.get("name").and_then(|name| String::from_redis_value_ref(name).ok()).as_deref() != Some(group) {
                continue;
            }
            return Some(Self {
                consumers: number(&fields, "consumers")?,
                pending: number(&fields, "pending")?,
                last_delivered: fields.get("last-delivered-id").and_then(id)?,
                read: number(&fields, "entries-read"),
                lag: number(&fields, "lag"),
            });
        }
        Some(Self::default())
    }

    /// Counts the entries that were removed before the group read them, where the server's counters tell; none while they
    /// cannot tell, which they can again when the group has read all there is.
    pub(super) fn removed_unread(&self, stream: &StreamInfo) -> Option<u64> {
        let added = stream.added?;
        // A group that never read anything has no counter.
        let read = match self.last_delivered {
            (0, 0) => self.read.unwrap_or(0),
            _ => self.read?,
        };
        let unread = if self.last_delivered >= stream.last_generated {
            0
        } else if stream.first.is_none_or(|first| first > self.last_delivered) {
            stream.length
        } else {
            return None;
        };
        Some(added.saturating_sub(read).saturating_sub(unread))
    }

    /// Counts the entries that wait; `removed` of the server's count are not there any more.
    pub(super) fn waiting(&self, stream: &StreamInfo, removed: u64) -> u64 {
        if self.last_delivered >= stream.last_generated {
            return 0;
        }
        if stream.first.is_none_or(|first| first > self.last_delivered) {
            return stream.length;
        }
        self.lag.map_or(stream.length, |lag| lag.saturating_sub(removed).min(stream.length))
    }
}

/// Reads a reply of names and values in turn.
pub(super) fn fields(reply: Value) -> Option<BTreeMap<String, Value>> {
    let mut parts = reply.into_sequence().ok()?.into_iter();
    let mut fields = BTreeMap::new();
    while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
        fields.insert(String::from_redis_value(name).ok()?, value);
    }
    Some(fields)
}

/// Gives a field that is a number.
pub(super) fn number(fields: &BTreeMap<String, Value>, name: &str) -> Option<u64> {
    match fields.get(name)? {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

fn id(value: &Value) -> Option<EntryId> {
    parse_id(&String::from_redis_value_ref(value).ok()?)
}

/// Reads an entry's id, `MILLISECONDS-SEQUENCE`.
pub(super) fn parse_id(text: &str) -> Option<EntryId> {
    let (ms, sequence) = text.split_once('-')?;
    Some((ms.parse().ok()?, sequence.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(added: u64, length: u64, first: u64, last: u64) -> StreamInfo {
        let first = (length > 0).then_some((first, 0));
        StreamInfo { length, last_generated: (last, 0), added: Some(added), first }
    }

    fn group(read: Option<u64>, last_delivered: u64) -> GroupInfo {
        GroupInfo { read, last_delivered: (last_delivered, 0), ..GroupInfo::default() }
    }

    #[test]
    fn entries_removed_after_they_were_read_are_not_counted() {
        assert_eq!(group(Some(4), 4).removed_unread(&stream(10, 6, 5, 10)), Some(0));
        assert_eq!(group(Some(10), 10).removed_unread(&stream(10, 3, 8, 10)), Some(0));
        assert_eq!(group(Some(10), 10).removed_unread(&stream(10, 0, 0, 10)), Some(0));
    }

    #[test]
    fn entries_removed_unread_are_counted_before_and_after_the_gap_is_passed() {
        assert_eq!(group(Some(4), 4).removed_unread(&stream(10, 3, 8, 10)), Some(3));
        // Redis 7.0 goes on counting by ones: the gap stays visible when everything is read.
        assert_eq!(group(Some(7), 10).removed_unread(&stream(10, 3, 8, 10)), Some(3));
        assert_eq!(group(None, 0).removed_unread(&stream(10, 3, 8, 10)), Some(7));
        assert_eq!(group(Some(4), 4).removed_unread(&stream(10, 0, 0, 10)), Some(6));
    }

    #[test]
    fn what_the_counters_do_not_tell_is_not_guessed() {
        assert_eq!(group(Some(8), 8).removed_unread(&stream(10, 5, 6, 10)), None);
        assert_eq!(group(None, 8).removed_unread(&stream(10, 2, 9, 10)), None);
        let old_server = StreamInfo { added: None, ..stream(0, 2, 9, 10) };
        assert_eq!(group(Some(8), 8).removed_unread(&old_server), None);
    }

    #[test]
    fn what_waits_is_counted_without_what_is_gone() {
        assert_eq!(group(Some(10), 10).waiting(&stream(10, 3, 8, 10), 3), 0);
        assert_eq!(group(Some(4), 4).waiting(&stream(10, 3, 8, 10), 3), 3);
        let lagging = GroupInfo { lag: Some(5), ..group(Some(5), 8) };
        assert_eq!(lagging.waiting(&stream(10, 3, 8, 10), 3), 2);
        assert_eq!(group(None, 8).waiting(&stream(10, 3, 8, 10), 0), 3);
    }
}
