//! The plain form of a key file, and the comments that both forms begin with.
//!
//! ```text
//! # created: 2026-11-23T10:00:00Z
//! # public name: dfpub1...
//! DATAFUSE-SECRET-KEY-1...
//! ```
//!
//! The name in the comment must be that of the keys, so that nobody is shown another's. Other comments mean nothing.

use datafuse_core::{keys::PartyKeys, name::PublicName};
use zeroize::Zeroizing;

use super::{Problem, Problem::Damaged, lines::SECRET_KEY};

const CREATED: &str = "# created:";
const PUBLIC_NAME: &str = "# public name:";
const MAX_CREATED_CHARS: usize = 64;

/// What a key file says.
pub(super) struct Plain {
    pub(super) keys: PartyKeys,
    pub(super) created: String,
}

/// Writes the plain form; `None` where there are more former keys than a file takes.
pub(super) fn write(keys: &PartyKeys, created: &str) -> Option<Zeroizing<String>> {
    SECRET_KEY.write(&heading(keys, created), &keys.encode())
}

/// The comments above the secret.
pub(super) fn heading(keys: &PartyKeys, created: &str) -> String {
    format!("{CREATED} {}\n{PUBLIC_NAME} {}\n", one_line(created), keys.identity().public_name())
}

/// Reads the plain form.
pub(super) fn read(text: &str) -> Result<Plain, Problem> {
    let keys = PartyKeys::decode(&SECRET_KEY.read(text)?).map_err(Problem::Keys)?;
    check_name(text, &keys.identity().public_name())?;
    let created = comments(text).find_map(|line| line.strip_prefix(CREATED)).map(one_line).unwrap_or_default();
    Ok(Plain { keys, created })
}

/// Refuses a comment that gives the keys another name.
pub(super) fn check_name(text: &str, name: &PublicName) -> Result<(), Problem> {
    let name = name.to_string();
    match comments(text).filter_map(|line| line.strip_prefix(PUBLIC_NAME)).all(|said| said.trim() == name) {
        true => Ok(()),
        false => Err(Damaged("the public name in its comment is not that of its keys")),
    }
}

/// The lines that are comments.
pub(super) fn comments(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| line.starts_with('#'))
}

fn one_line(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(MAX_CREATED_CHARS).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing;

    #[test]
    fn what_is_written_reads_back_with_its_comments() {
        let text = write(&testing::keys(1), "2026-11-23T10:00:00Z").unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "# created: 2026-11-23T10:00:00Z");
        assert_eq!(lines[1], format!("# public name: {}", testing::name(1)));
        assert!(lines[2].starts_with("DATAFUSE-SECRET-KEY-1"));
        assert_eq!(lines.len(), 3);
        let plain = read(&text).ok().unwrap();
        assert_eq!(plain.keys.encode().as_slice(), testing::keys(1).encode().as_slice());
        assert_eq!(plain.created, "2026-11-23T10:00:00Z");
    }

    #[test]
    fn a_comment_with_another_name_is_refused() {
        let text = write(&testing::keys(1), "now").unwrap();
        let name = testing::name(1).to_string();
        for other in [testing::name(2).to_string(), name[..name.len() - 1].to_owned(), String::new()] {
            assert!(matches!(read(&text.replace(&name, &other)), Err(Damaged(_))), "{other}");
        }
        // Without the comment there is nothing to contradict.
        assert!(read(text.lines().last().unwrap()).is_ok());
    }

    #[test]
    fn line_ends_blank_lines_and_other_comments_do_not_matter() {
        let text = write(&testing::keys(1), "now").unwrap().replace('\n', "\r\n\r\n# for acme\r\n");
        assert!(read(&text).is_ok());
    }

    #[test]
    fn the_time_stays_one_short_line_without_control_characters() {
        let created = format!("now\nDATAFUSE-SECRET-KEY-1QQQ\u{1b}[2J{}", "x".repeat(100));
        let plain = read(&write(&testing::keys(1), &created).unwrap()).ok().unwrap();
        assert!(plain.created.len() == 64 && !plain.created.contains(char::is_control));
        let text = write(&testing::keys(1), "now").unwrap().replace("now", "n\u{1b}ow");
        assert_eq!(read(&text).ok().unwrap().created, "now");
    }
}
