//! Forms that a text may have to have, by the names that the standard gives them.
//!
//! Each is a check of the form alone; whether an address is anybody's is not asked. Whoever needs another rule writes a pattern.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A form of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextFormat {
    /// One `@`, something before it, a domain with a dot after it, no white space.
    Email,
    /// 8-4-4-4-12 hexadecimal digits.
    Uuid,
    /// An absolute address.
    Uri,
    /// Four numbers with dots.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// Labels of letters, digits and hyphens with dots.
    Hostname,
}

impl TextFormat {
    /// The format of a name; `None` for those that are not checked.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "email" => Self::Email,
            "uuid" => Self::Uuid,
            "uri" | "url" => Self::Uri,
            "ipv4" => Self::Ipv4,
            "ipv6" => Self::Ipv6,
            "hostname" => Self::Hostname,
            _ => return None,
        })
    }

    /// Whether a text has the form.
    #[must_use]
    pub fn fits(self, text: &str) -> bool {
        match self {
            Self::Email => match text.split_once('@') {
                Some((local, domain)) => {
                    !local.is_empty()
                        && !domain.contains('@')
                        && domain.split('.').count() >= 2
                        && domain.split('.').all(|label| !label.is_empty())
                        && !text.contains(char::is_whitespace)
                }
                None => false,
            },
            Self::Uuid => {
                text.len() == 36
                    && text.bytes().enumerate().all(|(index, byte)| match index {
                        8 | 13 | 18 | 23 => byte == b'-',
                        _ => byte.is_ascii_hexdigit(),
                    })
            }
            Self::Uri => url::Url::parse(text).is_ok(),
            Self::Ipv4 => text.parse::<Ipv4Addr>().is_ok(),
            Self::Ipv6 => text.parse::<Ipv6Addr>().is_ok(),
            Self::Hostname => {
                text.len() <= 253
                    && text.split('.').all(|label| {
                        (1..=63).contains(&label.len())
                            && !label.starts_with('-')
                            && !label.ends_with('-')
                            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                    })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_take_what_they_should_and_nothing_else() {
        let cases: [(TextFormat, &[&str], &[&str]); 6] = [
            (
                TextFormat::Email,
                &["a@b.example", "a+b@c.d.example"],
                &["a", "@b.example", "a@b", "a@b.", "a@@b.c", "a b@c.d"],
            ),
            (TextFormat::Uuid, &["123e4567-e89b-12d3-a456-426614174000"], &["123e4567e89b12d3a456426614174000", ""]),
            (TextFormat::Uri, &["https://a.example/x", "urn:a:b"], &["a.example/x", ""]),
            (TextFormat::Ipv4, &["127.0.0.1"], &["127.0.0", "256.0.0.1"]),
            (TextFormat::Ipv6, &["::1"], &["127.0.0.1", ":"]),
            (TextFormat::Hostname, &["a", "a-b.example"], &["", "-a.example", "a..b", "a_b"]),
        ];
        for (format, good, bad) in cases {
            assert!(good.iter().all(|text| format.fits(text)), "{format:?}");
            assert!(bad.iter().all(|text| !format.fits(text)), "{format:?}");
        }
    }
}
