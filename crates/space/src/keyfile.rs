//! Key files: one party's secret keys, as text in a file of its own.
//!
//! ```text
//! # created: 2026-11-23T10:00:00Z
//! # public name: dfpub1...
//! DATAFUSE-SECRET-KEY-1...
//! ```
//!
//! The form is age's: lines of comments, then the secret as upper-case Bech32m (BIP 350) with a prefix of our own. A Bech32m
//! checksum is good for 1023 characters, so a longer secret (one with former token keys) takes several lines. The payload of
//! each line is `version, line from 0, lines` as one byte each, then its part of the keys' bytes
//! ([`PartyKeys::encode`]). Version 1 is the plain form; a file of another version is refused by its number, so that one under
//! a passphrase can come.
//!
//! A key file is created for its owner alone and never overwritten; one that others can read is refused. Links are followed
//! (secret stores mount keys as links); what counts is the file at their end. Every buffer that held a secret is wiped.

use std::{fmt::Write, path::Path};

use bech32::{Bech32m, Hrp, primitives::decode::CheckedHrpstring};
use datafuse_core::keys::PartyKeys;
use zeroize::Zeroizing;

use crate::{
    durable,
    error::{Error, Result},
};

const HRP: Hrp = Hrp::parse_unchecked("datafuse-secret-key-");
const PREFIX: &str = "DATAFUSE-SECRET-KEY-";
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 3;
/// How much of the keys one line carries; with prefix, header and checksum 874 characters.
const PART_BYTES: usize = 525;
const MAX_FILE_BYTES: u64 = 256 << 10;
/// `DATAFUSE-SECRET-KEY-1`, the payload in base 32, the checksum.
const MAX_LINE_CHARS: usize = 1023;

/// Creates a key file for its owner alone (mode 0600). `created` is what the comment says, such as the time in RFC 3339.
///
/// # Errors
/// [`Error::KeyFileExists`] where anything is there already, [`Error::Io`].
pub fn create(path: &Path, keys: &PartyKeys, created: &str) -> Result<()> {
    let text = write(keys, created);
    if durable::create_private(path, text.as_bytes())? {
        Ok(())
    } else {
        Err(Error::KeyFileExists { path: path.to_owned() })
    }
}

/// Reads a key file.
///
/// # Errors
/// [`Error::NoFile`], [`Error::KeyFileExposed`] where its group or others can read it (Unix), [`Error::TooLarge`],
/// [`Error::KeyFileDamaged`], [`Error::KeyFileVersion`], [`Error::Keys`], [`Error::Io`].
pub fn read(path: &Path) -> Result<PartyKeys> {
    let Some(mut file) = durable::open_regular(path)? else {
        return Err(Error::NoFile { what: "key file", path: path.to_owned() });
    };
    refuse_if_exposed(&file, path)?;
    let mut bytes = Zeroizing::new(Vec::new());
    durable::read_capped(&mut file, path, "key file", MAX_FILE_BYTES, &mut bytes)?;
    parse(&bytes).map_err(|problem| problem.at(path))
}

/// Whether a text holds a secret key, well-formed or not, so that it can be kept out of errors.
pub(crate) fn holds_secret_key(text: &str) -> bool {
    let prefix = PREFIX.as_bytes();
    text.as_bytes().windows(prefix.len()).any(|window| window.eq_ignore_ascii_case(prefix))
}

fn write(keys: &PartyKeys, created: &str) -> Zeroizing<String> {
    let secret = keys.encode();
    let lines = secret.len().div_ceil(PART_BYTES);
    // Sized once: a String that grows leaves copies of the secret behind.
    let mut text = Zeroizing::new(String::with_capacity(512 + lines * (MAX_LINE_CHARS + 1)));
    let created: String = created.chars().filter(|c| !c.is_control()).take(64).collect();
    text.push_str("# created: ");
    text.push_str(&created);
    text.push_str("\n# public name: ");
    // Writing to a String cannot fail, here and below.
    let _ = write!(text, "{}", keys.identity().public_name());
    text.push('\n');
    for (line, part) in secret.chunks(PART_BYTES).enumerate() {
        let mut payload = Zeroizing::new(Vec::with_capacity(HEADER_BYTES + PART_BYTES));
        // A party with more than 255 lines of keys would have rotated some thousand times.
        payload.extend([VERSION, line as u8, lines as u8]);
        payload.extend_from_slice(part);
        let _ = bech32::encode_upper_to_fmt::<Bech32m, String>(&mut text, HRP, &payload);
        text.push('\n');
    }
    text
}

/// Why bytes are no key file; without the path, which the caller knows.
enum Problem {
    Damaged(&'static str),
    Version(u8),
    Keys(datafuse_core::Error),
}

impl Problem {
    fn at(self, path: &Path) -> Error {
        let path = path.to_owned();
        match self {
            Self::Damaged(reason) => Error::KeyFileDamaged { path, reason },
            Self::Version(found) => Error::KeyFileVersion { path, found, known: VERSION },
            Self::Keys(source) => Error::Keys { path, source },
        }
    }
}

fn parse(bytes: &[u8]) -> Result<PartyKeys, Problem> {
    use Problem::Damaged;

    let text = std::str::from_utf8(bytes).map_err(|_| Damaged("it is not text"))?;
    let mut secret = Zeroizing::new(Vec::with_capacity(bytes.len()));
    let (mut read, mut announced) = (0, None);
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.get(..PREFIX.len()) != Some(PREFIX) {
            return Err(Damaged("it holds a line that is neither comment nor secret key"));
        }
        let checked = CheckedHrpstring::new::<Bech32m>(line)
            .map_err(|_| Damaged("the checksum of its secret key does not fit: a character was lost or changed"))?;
        if checked.hrp() != HRP {
            return Err(Damaged("its secret key has another prefix"));
        }
        let mut payload = checked.byte_iter();
        let version = payload.next().ok_or(Damaged("its secret key is empty"))?;
        if version != VERSION {
            return Err(Problem::Version(version));
        }
        let (Some(index), Some(lines)) = (payload.next(), payload.next()) else {
            return Err(Damaged("its secret key is cut short"));
        };
        if usize::from(index) != read || announced.is_some_and(|announced| announced != lines) {
            return Err(Damaged("the lines of its secret key are not in order, or of two keys"));
        }
        read += 1;
        announced = Some(lines);
        secret.extend(payload);
    }
    match announced {
        None => return Err(Damaged("it holds no secret key")),
        Some(lines) if usize::from(lines) != read => {
            return Err(Damaged("a line of its secret key is missing"));
        }
        Some(_) => {}
    }
    PartyKeys::decode(&secret).map_err(Problem::Keys)
}

/// Refuses a file that its group or others have any access to.
#[cfg(unix)]
fn refuse_if_exposed(file: &std::fs::File, path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file.metadata().map_err(|source| Error::io("read", path, source))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(Error::KeyFileExposed { path: path.to_owned(), mode }) }
}

/// Elsewhere the folder's access list decides, which is not looked at.
#[cfg(not(unix))]
fn refuse_if_exposed(_file: &std::fs::File, _path: &Path) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing;
    use proptest::prelude::*;

    fn file() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acme.key");
        create(&path, &testing::keys(1), "2026-11-23T10:00:00Z").unwrap();
        (folder, path)
    }

    fn refused(text: &str) -> Problem {
        match parse(text.as_bytes()) {
            Ok(_) => panic!("accepted"),
            Err(problem) => problem,
        }
    }

    fn line_of(payload: &[u8]) -> String {
        bech32::encode_upper::<Bech32m>(HRP, payload).unwrap()
    }

    #[test]
    fn what_is_written_reads_back() {
        let (_keep, path) = file();
        let keys = read(&path).unwrap();
        assert_eq!(keys.encode().as_slice(), testing::keys(1).encode().as_slice());
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "# created: 2026-11-23T10:00:00Z");
        assert_eq!(lines[1], format!("# public name: {}", testing::name(1)));
        assert!(lines[2].starts_with("DATAFUSE-SECRET-KEY-1"));
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn an_existing_file_is_never_overwritten() {
        let (_keep, path) = file();
        let error = create(&path, &testing::keys(2), "now").unwrap_err();
        assert!(matches!(error, Error::KeyFileExists { .. }));
        assert!(error.remedy().unwrap().contains("--out"));
        assert_eq!(read(&path).unwrap().identity().public_name(), testing::name(1));
    }

    #[cfg(unix)]
    #[test]
    fn a_key_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let (_keep, path) = file();
        let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for exposed in [0o640, 0o604, 0o644, 0o620, 0o610] {
            mode(exposed);
            let error = read(&path).err().unwrap();
            assert!(matches!(error, Error::KeyFileExposed { mode, .. } if mode == exposed));
            assert_eq!(error.remedy().unwrap(), format!("chmod 600 {}", path.display()));
        }
        mode(0o400);
        assert!(read(&path).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_a_key_file_is_followed_and_judged_by_its_end() {
        use std::os::unix::fs::PermissionsExt;
        let (keep, path) = file();
        let link = keep.path().join("link.key");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(read(&link).is_ok());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(read(&link).err(), Some(Error::KeyFileExposed { .. })));
        assert!(matches!(create(&link, &testing::keys(2), "now"), Err(Error::KeyFileExists { .. })));
    }

    #[test]
    fn a_missing_file_and_a_folder_are_no_key_files() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_owned(), folder.path().join("none")] {
            let error = read(&path).err().unwrap();
            assert!(matches!(error, Error::NoFile { what: "key file", .. }), "{error}");
            assert!(error.remedy().unwrap().contains("keygen"));
        }
    }

    #[test]
    fn every_changed_lost_or_doubled_character_of_the_secret_is_found() {
        let text = write(&testing::keys(1), "now");
        let start = text.find(PREFIX).unwrap();
        for at in start..text.trim_end().len() {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'Q' { b'P' } else { b'Q' };
            assert!(parse(&bytes).is_err(), "changed at {at}");
            let mut bytes = text.as_bytes().to_vec();
            bytes.remove(at);
            assert!(parse(&bytes).is_err(), "lost at {at}");
            let mut bytes = text.as_bytes().to_vec();
            bytes.insert(at, bytes[at]);
            assert!(parse(&bytes).is_err(), "doubled at {at}");
        }
    }

    #[test]
    fn a_long_secret_takes_several_lines_in_order() {
        // As the keys of a party that rotated often: only the lines matter here, not what is in them.
        let body = vec![0xa5; 3 * PART_BYTES - 7];
        let line = |index: u8, lines: u8| {
            let part = body.chunks(PART_BYTES).nth(index.into()).unwrap();
            line_of(&[&[VERSION, index, lines], part].concat())
        };
        assert!(line(0, 3).len() <= MAX_LINE_CHARS);
        let joined = |order: &[String]| refused(&order.join("\n"));
        // In order, the lines pass and the keys are looked at.
        assert!(matches!(joined(&[line(0, 3), line(1, 3), line(2, 3)]), Problem::Keys(_)));
        for wrong in [
            vec![line(0, 3), line(2, 3), line(1, 3)],
            vec![line(0, 3), line(1, 3)],
            vec![line(0, 3), line(1, 2)],
            vec![line(1, 3), line(2, 3)],
            vec![line(0, 3), line(0, 3), line(1, 3), line(2, 3)],
        ] {
            assert!(matches!(joined(&wrong), Problem::Damaged(_)));
        }
    }

    #[test]
    fn an_unknown_version_is_refused_by_its_number() {
        let path = Path::new("acme.key");
        let error = refused(&line_of(&[2, 0, 1, 9, 9])).at(path);
        assert!(matches!(error, Error::KeyFileVersion { found: 2, known: 1, .. }));
        assert!(error.remedy().is_some());
    }

    #[test]
    fn what_is_no_key_file_is_refused_without_repeating_it() {
        let lower = write(&testing::keys(1), "now").to_ascii_lowercase();
        let other = bech32::encode_upper::<Bech32m>(Hrp::parse_unchecked("age-secret-key-"), &[1; 32]).unwrap();
        for text in ["", "# only a comment\n", "hunter2", &lower, &other, &line_of(&[]), &line_of(&[1, 0])] {
            let error = refused(text).at(Path::new("acme.key"));
            assert!(matches!(error, Error::KeyFileDamaged { .. }), "{error}");
            let shown = format!("{error}{error:?}");
            assert!(!shown.contains("hunter2") && !shown.contains(PREFIX), "{shown}");
        }
        assert!(parse(&[0xff, 0xfe]).is_err());
    }

    #[test]
    fn line_ends_and_blank_lines_do_not_matter() {
        let text = write(&testing::keys(1), "now").replace('\n', "\r\n\r\n");
        assert!(parse(text.as_bytes()).is_ok());
    }

    #[test]
    fn the_comment_stays_one_line() {
        let text = write(&testing::keys(1), "now\nDATAFUSE-SECRET-KEY-1QQQ");
        assert!(parse(text.as_bytes()).is_ok());
    }

    #[test]
    fn a_secret_key_is_recognised_anywhere_in_a_text() {
        let text = write(&testing::keys(1), "now");
        assert!(holds_secret_key(&format!("name: {}", text.to_ascii_lowercase())));
        assert!(!holds_secret_key("name: dfpub1..."));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(parse(&bytes).is_err());
        }

        #[test]
        fn any_payload_is_read_or_refused(payload in proptest::collection::vec(any::<u8>(), 0..300)) {
            let payload = [[VERSION, 0, 1].as_slice(), &payload].concat();
            prop_assert!(parse(line_of(&payload).as_bytes()).is_err());
        }
    }
}
