//! Secret bytes as lines of text: upper-case Bech32m (BIP 350) with a prefix that says what they are.
//!
//! A Bech32m checksum is good for 1023 characters, so longer secrets take several lines. The payload of each line is
//! `version, line from 0, lines` as one byte each, then its part of the secret.

use bech32::{Bech32m, Hrp, primitives::decode::CheckedHrpstring};
use zeroize::Zeroizing;

use super::{Problem, Problem::Damaged};

/// The version of both forms.
pub(super) const VERSION: u8 = 1;
const HEADER_BYTES: usize = 3;
/// How much of the secret one line carries; with prefix, header and checksum at most 874 characters.
const PART_BYTES: usize = 525;
/// Prefix, the payload in base 32, the checksum.
const MAX_LINE_CHARS: usize = 1023;
const MAX_LINES: usize = 255;

/// What a secret text is.
pub(super) struct Form {
    hrp: Hrp,
    prefix: &'static str,
}

/// All keys of a party.
pub(super) const SECRET_KEY: Form =
    Form { hrp: Hrp::parse_unchecked("datafuse-secret-key-"), prefix: "DATAFUSE-SECRET-KEY-" };
/// One share of them.
pub(super) const KEY_SHARE: Form =
    Form { hrp: Hrp::parse_unchecked("datafuse-key-share-"), prefix: "DATAFUSE-KEY-SHARE-" };

impl Form {
    /// Whether a text holds such a secret, well-formed or not.
    pub(super) fn is_in(&self, text: &str) -> bool {
        let prefix = self.prefix.as_bytes();
        text.as_bytes().windows(prefix.len()).any(|window| window.eq_ignore_ascii_case(prefix))
    }

    /// Writes the lines below a heading; `None` where the secret is too long for any number of them.
    pub(super) fn write(&self, heading: &str, secret: &[u8]) -> Option<Zeroizing<String>> {
        let lines = secret.len().div_ceil(PART_BYTES);
        if lines > MAX_LINES {
            return None;
        }
        // Sized once: a String that grows leaves copies of the secret behind.
        let mut text = Zeroizing::new(String::with_capacity(heading.len() + lines * (MAX_LINE_CHARS + 1)));
        text.push_str(heading);
        for (line, part) in secret.chunks(PART_BYTES).enumerate() {
            let mut payload = Zeroizing::new(Vec::with_capacity(HEADER_BYTES + PART_BYTES));
            payload.extend([VERSION, line as u8, lines as u8]);
            payload.extend_from_slice(part);
            // Writing to a String cannot fail.
            let _ = bech32::encode_upper_to_fmt::<Bech32m, String>(&mut text, self.hrp, &payload);
            text.push('\n');
        }
        Some(text)
    }

    /// Reads the lines among comments and blank lines.
    pub(super) fn read(&self, text: &str) -> Result<Zeroizing<Vec<u8>>, Problem> {
        let mut secret = Zeroizing::new(Vec::with_capacity(text.len()));
        let (mut read, mut announced) = (0, None);
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line.get(..self.prefix.len()) != Some(self.prefix) {
                return Err(Damaged("it holds a line that is neither comment nor secret"));
            }
            let checked = CheckedHrpstring::new::<Bech32m>(line)
                .map_err(|_| Damaged("the checksum of its secret does not fit: a character was lost or changed"))?;
            if checked.hrp() != self.hrp {
                return Err(Damaged("its secret has another prefix"));
            }
            let mut payload = checked.byte_iter();
            let version = payload.next().ok_or(Damaged("its secret is empty"))?;
            if version != VERSION {
                return Err(Problem::Version(version));
            }
            let (Some(index), Some(lines)) = (payload.next(), payload.next()) else {
                return Err(Damaged("its secret is cut short"));
            };
            if usize::from(index) != read || announced.is_some_and(|announced| announced != lines) {
                return Err(Damaged("the lines of its secret are not in order, or of two secrets"));
            }
            read += 1;
            announced = Some(lines);
            secret.extend(payload);
        }
        match announced {
            None => Err(Damaged("it holds no secret")),
            Some(lines) if usize::from(lines) != read => Err(Damaged("a line of its secret is missing")),
            Some(_) => Ok(secret),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn line_of(payload: &[u8]) -> String {
        bech32::encode_upper::<Bech32m>(SECRET_KEY.hrp, payload).unwrap()
    }

    fn refused(text: &str) -> Problem {
        match SECRET_KEY.read(text) {
            Ok(_) => panic!("accepted"),
            Err(problem) => problem,
        }
    }

    #[test]
    fn secrets_of_any_length_read_back_up_to_the_last_line() {
        for bytes in [1, PART_BYTES, PART_BYTES + 1, MAX_LINES * PART_BYTES] {
            let secret = vec![0xa5; bytes];
            let text = SECRET_KEY.write("# heading\n", &secret).unwrap();
            assert!(text.lines().all(|line| line.len() <= MAX_LINE_CHARS));
            assert_eq!(text.lines().count(), 1 + bytes.div_ceil(PART_BYTES));
            assert_eq!(*SECRET_KEY.read(&text).ok().unwrap(), secret);
        }
        assert!(SECRET_KEY.write("", &vec![0; MAX_LINES * PART_BYTES + 1]).is_none());
    }

    #[test]
    fn lines_out_of_order_lost_or_doubled_are_refused() {
        let line = |index: u8, lines: u8| line_of(&[VERSION, index, lines, 7]);
        for wrong in [
            vec![line(0, 3), line(2, 3), line(1, 3)],
            vec![line(0, 3), line(1, 3)],
            vec![line(0, 3), line(1, 2)],
            vec![line(1, 3), line(2, 3)],
            vec![line(0, 3), line(0, 3), line(1, 3), line(2, 3)],
            vec![line(0, 0)],
        ] {
            assert!(matches!(refused(&wrong.join("\n")), Damaged(_)));
        }
    }

    #[test]
    fn every_changed_lost_or_doubled_character_is_found() {
        let text = SECRET_KEY.write("", &[0x5a; 40]).unwrap();
        for at in 0..text.trim_end().len() {
            let other = if text.as_bytes()[at] == b'Q' { 'P' } else { 'Q' };
            let (before, after) = (&text[..at], &text[at + 1..]);
            for wrong in [format!("{before}{other}{after}"), format!("{before}{after}")] {
                assert!(SECRET_KEY.read(&wrong).is_err(), "at {at}");
            }
            let doubled = format!("{before}{}{}", &text[at..=at], &text[at..]);
            assert!(SECRET_KEY.read(&doubled).is_err(), "doubled at {at}");
        }
    }

    #[test]
    fn an_unknown_version_is_refused_by_its_number() {
        assert!(matches!(refused(&line_of(&[2, 0, 1, 9, 9])), Problem::Version(2)));
    }

    #[test]
    fn other_texts_are_refused() {
        let share = KEY_SHARE.write("", &[1; 9]).unwrap();
        let lower = SECRET_KEY.write("", &[1; 9]).unwrap().to_ascii_lowercase();
        for text in ["", "# only a comment\n", "hunter2", &share, &lower, &line_of(&[]), &line_of(&[1, 0])] {
            assert!(matches!(refused(text), Damaged(_)));
        }
    }

    proptest! {
        #[test]
        fn any_payload_is_read_or_refused(payload in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = SECRET_KEY.read(&line_of(&payload));
        }
    }
}
