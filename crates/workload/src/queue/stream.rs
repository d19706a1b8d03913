//! The name of a stream of events within a queue. A queue may have several, which a consumer reads in an order of urgency.
//!
//! Event ids name outputs, so they must differ between streams. A Redis server numbers the entries of each stream on its own: the id of
//! an entry of `events` is the event's id, as on the platform; an entry of another stream has that stream's tag behind it.

use std::{fmt, str::FromStr};

use datafuse_core::id::EventId;
use sha2::{Digest, Sha256};

/// The platform's stream, which is read and written where nobody says otherwise.
pub const DEFAULT_STREAM: &str = "events";

/// The longest name, in characters.
const LONGEST_NAME: usize = 64;

/// The longest name that is its own tag: the longest entry id, a hyphen and it have 64 characters, as many as an event id may have.
const LONGEST_PLAIN_TAG: usize = 22;

/// The name of a stream: 1 to 64 of letters, digits, `-`, `_`, `.` and `:`, beginning with a letter or digit. Where streams are
/// folders it is one plain component of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName(String);

/// A text is not the name of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a stream's name is 1 to 64 of letters, digits, '-', '_', '.' and ':', begins with a letter or digit and does not end with ':dead'"
)]
pub struct InvalidStreamName;

impl StreamName {
    /// Gives the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Gives the name of the stream that holds this one's dead letters.
    #[must_use]
    pub fn dead(&self) -> String {
        format!("{}:dead", self.0)
    }

    /// Makes the event's id of an entry's; none if that would be no event id.
    pub(super) fn event_of(&self, entry: &str) -> Option<EventId> {
        match self.tag() {
            None => entry.parse().ok(),
            Some(tag) => format!("{entry}-{tag}").parse().ok(),
        }
    }

    /// Finds the entry's id in an event's; none if the event is not of this stream.
    pub(super) fn entry_of<'a>(&self, event: &'a EventId) -> Option<&'a str> {
        let entry = match self.tag() {
            None => event.as_str(),
            Some(tag) => event.as_str().strip_suffix(&tag)?.strip_suffix('-')?,
        };
        let (ms, sequence) = entry.split_once('-')?;
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        (is_number(ms) && is_number(sequence)).then_some(entry)
    }

    /// What event ids of this stream end with: the name where it may stand in one, else a hash of it.
    fn tag(&self) -> Option<String> {
        if self.0 == DEFAULT_STREAM {
            return None;
        }
        let is_plain = self.0.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if is_plain && self.0.len() <= LONGEST_PLAIN_TAG {
            return Some(self.0.clone());
        }
        Some(hex::encode(&Sha256::digest(&self.0)[..8]))
    }
}

impl Default for StreamName {
    fn default() -> Self {
        Self(DEFAULT_STREAM.to_owned())
    }
}

impl FromStr for StreamName {
    type Err = InvalidStreamName;

    fn from_str(text: &str) -> Result<Self, InvalidStreamName> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        match first && text.len() <= LONGEST_NAME && text.bytes().all(allowed) && !text.ends_with(":dead") {
            true => Ok(Self(text.to_owned())),
            false => Err(InvalidStreamName),
        }
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Gives the streams without repetitions; the default one where there is none.
pub(super) fn in_order(streams: &[StreamName]) -> Vec<StreamName> {
    let mut ordered: Vec<StreamName> = Vec::new();
    for stream in streams {
        if !ordered.contains(stream) {
            ordered.push(stream.clone());
        }
    }
    if ordered.is_empty() {
        ordered.push(StreamName::default());
    }
    ordered
}

/// Chooses the stream that events go to where nobody says which: the default one, else the most urgent.
pub(super) fn main_of(streams: &[StreamName]) -> usize {
    streams.iter().position(|stream| stream.as_str() == DEFAULT_STREAM).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn name(text: &str) -> StreamName {
        text.parse().unwrap()
    }

    #[test]
    fn names_that_are_paths_or_other_keys_are_refused() {
        for text in ["events", "urgent", "a", "9", "app:urgent", "a_b.c-d", &"x".repeat(64)] {
            assert_eq!(name(text).as_str(), text);
        }
        for text in ["", ".", "..", ".a", "-a", "a/b", "a\\b", "a b", "é", "a\0", "events:dead", &"x".repeat(65)] {
            assert!(text.parse::<StreamName>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_event_of_the_default_stream_has_the_entrys_id() {
        assert_eq!(name("events").event_of("1700000000000-0").unwrap().as_str(), "1700000000000-0");
    }

    #[test]
    fn events_of_two_streams_never_share_an_id_and_find_their_entry_again() {
        let longest = format!("{}-{}", u64::MAX, u64::MAX);
        let names = ["events", "urgent", "a-b", "a_b", "a.b", "a:b", "x1", &"x".repeat(22), &"x".repeat(23)].map(name);
        for entry in ["1700000000000-0", "0-1", &longest] {
            let ids: Vec<_> = names.iter().map(|name| name.event_of(entry).unwrap()).collect();
            for (of, id) in names.iter().zip(&ids) {
                let found: Vec<_> = names.iter().filter(|name| name.entry_of(id) == Some(entry)).collect();
                assert_eq!(found, [of]);
                assert_eq!(ids.iter().filter(|other| *other == id).count(), 1);
            }
        }
    }

    #[test]
    fn what_is_no_entry_is_found_in_no_stream() {
        for id in ["01J8ZQ4X7M6V9K3T2N1B0C5D7E", "1-", "1", "1-2-3", "a-1"] {
            assert_eq!(name("events").entry_of(&id.parse().unwrap()), None, "{id}");
        }
        assert_eq!(name("urgent").entry_of(&"1-2".parse().unwrap()), None);
        assert_eq!(name("urgent").entry_of(&"1-2urgent".parse().unwrap()), None);
    }

    #[test]
    fn the_order_is_kept_and_never_empty() {
        assert_eq!(in_order(&[]), [name("events")]);
        assert_eq!(in_order(&[name("b"), name("a"), name("b")]), [name("b"), name("a")]);
        assert_eq!(main_of(&[name("urgent"), name("events")]), 1);
        assert_eq!(main_of(&[name("urgent"), name("other")]), 0);
    }
}
