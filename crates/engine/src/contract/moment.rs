//! How dates and times are written in text: ISO 8601, or a pattern such as `dd/MM/yyyy HH:mm`.
//!
//! The patterns are those of the standard's `logicalTypeOptions.format` (letters of Java's `DateTimeFormatter`); the fields
//! below are read, others are reported as not checked.

use jiff::civil::{Date, DateTime, Time};

/// A pattern, in the form that it is parsed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MomentFormat {
    /// As the contract has it.
    pub pattern: String,
    strptime: String,
}

impl MomentFormat {
    /// Reads a pattern; `None` where a field of it is not known.
    pub(super) fn parse(pattern: &str) -> Option<Self> {
        let mut strptime = String::new();
        let mut rest = pattern;
        while let Some(first) = rest.chars().next() {
            if first == '\'' {
                let (literal, after) = rest[1..].split_once('\'')?;
                strptime.push_str(&literal.replace('%', "%%"));
                rest = after;
                continue;
            }
            let length = rest.len() - rest.trim_start_matches(first).len();
            let field = &rest[..length];
            rest = &rest[length..];
            strptime.push_str(match field {
                "yyyy" | "uuuu" => "%Y",
                "yy" | "uu" => "%y",
                "MM" | "M" => "%m",
                "MMM" => "%b",
                "MMMM" => "%B",
                "dd" | "d" => "%d",
                "HH" | "H" => "%H",
                "mm" => "%M",
                "ss" => "%S",
                "SSS" | "SSSSSS" => "%f",
                _ if first.is_ascii_alphabetic() => return None,
                "%" => "%%",
                other => other,
            });
        }
        Some(Self { pattern: pattern.to_owned(), strptime })
    }

    /// Reads a day, in days since 1970.
    pub(super) fn days(&self, text: &str) -> Option<i32> {
        days_of(Date::strptime(&self.strptime, text).ok()?)
    }

    /// Reads a moment, in microseconds since 1970.
    pub(super) fn micros(&self, text: &str) -> Option<i64> {
        match DateTime::strptime(&self.strptime, text) {
            Ok(moment) => Some(i64::from(days_of(moment.date())?) * MICROS_OF_A_DAY + micros_of(moment.time())),
            Err(_) => Some(i64::from(self.days(text)?) * MICROS_OF_A_DAY),
        }
    }

    /// Reads a time of the day, in microseconds.
    pub(super) fn time(&self, text: &str) -> Option<i64> {
        Time::strptime(&self.strptime, text).ok().map(micros_of)
    }
}

/// Microseconds of a day.
pub(super) const MICROS_OF_A_DAY: i64 = 86_400_000_000;

fn days_of(date: Date) -> Option<i32> {
    date.since(Date::constant(1970, 1, 1)).ok().map(|span| span.get_days())
}

fn micros_of(time: Time) -> i64 {
    let seconds = i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    seconds * 1_000_000 + i64::from(time.subsec_nanosecond()) / 1000
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn patterns_read_what_they_say() {
        let day = MomentFormat::parse("dd/MM/yyyy").unwrap();
        assert_eq!(day.days("02/01/1970"), Some(1));
        assert_eq!(day.days("1970-01-02"), None);
        assert_eq!(day.micros("02/01/1970"), Some(MICROS_OF_A_DAY));
        let moment = MomentFormat::parse("yyyy-MM-dd'T'HH:mm:ss").unwrap();
        assert_eq!(moment.micros("1970-01-01T00:01:00"), Some(60_000_000));
        assert_eq!(moment.micros("1970-01-01 00:01:00"), None);
        assert_eq!(MomentFormat::parse("HH:mm").unwrap().time("01:30"), Some(5_400_000_000));
        assert_eq!(MomentFormat::parse("EEEE").map(|format| format.pattern), None);
        assert_eq!(MomentFormat::parse("'open").map(|format| format.pattern), None);
        assert_eq!(MomentFormat::parse("%dd%").unwrap().days("%01%"), None);
    }
}
