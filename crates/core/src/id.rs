//! Readable names of spaces, participants, datasets, kinds and events, parsed once at the edge; and the epoch number.
//!
//! All of them may safely become part of a file name: no separators, no leading dot, at most 64 characters.

use std::{fmt, str::FromStr};

use crate::error::Error;

const RULE: &str =
    "lower-case letters, digits, '-', '_' and '.', beginning with a letter or digit, at most 64 characters";
const EVENT_RULE: &str = "letters, digits and '-', at most 64 characters";

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:expr, $valid:path) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Gives the text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                if $valid(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    let value = text.chars().take(64).filter(|c| !c.is_control()).collect();
                    Err(Error::InvalidId { what: $what, value, rule: $rule })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self, Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

id!(
    /// The readable name of a collaboration space. Keys and hashing bind the [root](crate::root::Root), never this.
    SpaceId, "space id", RULE, is_id
);
id!(
    /// The name of a participant within its space.
    ParticipantId, "participant", RULE, is_id
);
id!(
    /// The name of a dataset of one holder.
    DatasetId, "dataset", RULE, is_id
);
id!(
    /// The name of an identifier kind: `email`, `iban`, any name a space gives.
    KindName, "identifier kind", RULE, is_kind
);
id!(
    /// The id of an event: a ULID, or a Redis stream entry id.
    EventId, "event id", EVENT_RULE, is_event_id
);

fn is_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= 64
        && bytes.first().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.'))
}

/// As [`is_id`], and not the kind that the protocol keeps for itself.
fn is_kind(text: &str) -> bool {
    is_id(text) && text != crate::token::CANARY_KIND
}

fn is_event_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// A generation of the matching key of one space, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn accepts_plain_names() {
        for name in ["acme", "a", "9-lives", "retail-2026", "a.b_c", &"x".repeat(64)] {
            assert_eq!(name.parse::<ParticipantId>().unwrap().as_str(), name);
        }
        assert!("01J8ZQ4X7M6V9K3T2N1B0C5D7E".parse::<EventId>().is_ok());
        assert!("1700000000000-0".parse::<EventId>().is_ok());
    }

    #[test]
    fn refuses_names_that_could_become_paths_or_confuse() {
        for name in ["", ".", "..", ".hidden", "a/b", "a\\b", "Acme", "a b", "é", "-x", &"x".repeat(65), "a\0"] {
            assert!(name.parse::<ParticipantId>().is_err(), "{name:?}");
        }
        for id in ["", "../x", "a/b", "a.b"] {
            assert!(id.parse::<EventId>().is_err(), "{id:?}");
        }
    }

    #[test]
    fn the_reserved_kind_is_refused() {
        assert!("datafuse-canary".parse::<KindName>().is_err());
    }
}
