//! Key files under a passphrase: an age file (age-encryption.org/v1, scrypt recipient, ASCII armor) whose plaintext is the plain
//! form, below the same comments in clear.
//!
//! ```text
//! # created: 2026-11-23T10:00:00Z
//! # public name: dfpub1...
//! -----BEGIN AGE ENCRYPTED FILE-----
//! ...
//! -----END AGE ENCRYPTED FILE-----
//! ```
//!
//! The standard tool opens what is below the comments. The comments in clear must be those within, so none can be altered.
//! scrypt's cost is fixed for new files and bounded for those that are read: a hostile one must not burn minutes. The buffers
//! of this module are wiped; age's own copy of a chunk of plaintext is not.

use std::io::{BufReader, Read, Write};

use age::{
    DecryptError, Decryptor, Encryptor,
    armor::{ArmoredReader, ArmoredWriter, Format},
    scrypt,
    secrecy::SecretString,
};
use zeroize::Zeroizing;

use super::{
    Problem,
    Problem::Damaged,
    text::{self, Plain},
};
use crate::error::{Error, Result};

const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";

/// What opens a key file. Never empty.
pub struct Passphrase {
    text: Zeroizing<String>,
    work_factor: u8,
}

impl Passphrase {
    /// log2 of scrypt's N for new files: 256 MiB and about a second.
    pub const WORK_FACTOR: u8 = 18;
    /// The most that is accepted when reading: 1 GiB and some seconds.
    pub const MAX_WORK_FACTOR: u8 = 20;

    /// Takes a passphrase as it was typed.
    ///
    /// # Errors
    /// [`Error::EmptyPassphrase`].
    pub fn new(text: Zeroizing<String>) -> Result<Self> {
        if text.is_empty() { Err(Error::EmptyPassphrase) } else { Ok(Self { text, work_factor: Self::WORK_FACTOR }) }
    }

    /// Makes new files cheaper to open, for tests; between 1 and [`Self::MAX_WORK_FACTOR`].
    #[must_use]
    pub fn with_work_factor(self, log2: u8) -> Self {
        Self { work_factor: log2.clamp(1, Self::MAX_WORK_FACTOR), ..self }
    }

    /// Whether both are the same. Variable-time: whoever asks has typed both.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.text == other.text
    }

    pub(super) fn secret(&self) -> SecretString {
        // Of exactly its length, so that boxing it does not move it and leave a copy.
        SecretString::from(String::from(self.text.as_str()))
    }
}

/// Whether a text is, or contains, a file under a passphrase.
pub(super) fn is_in(text: &str) -> bool {
    text.contains(BEGIN)
}

/// Puts a plain form under a passphrase, below its comments.
///
/// # Panics
/// Where the system gives no random bytes.
pub(super) fn seal(plain: &str, passphrase: &Passphrase) -> String {
    let mut sealed: String = text::comments(plain).flat_map(|line| [line, "\n"]).collect();
    sealed.push_str(&armor(plain, passphrase));
    sealed
}

/// Encrypts a text under a passphrase, in armor.
///
/// # Panics
/// Where the system gives no random bytes.
pub(super) fn armor(plain: &str, passphrase: &Passphrase) -> String {
    let mut recipient = scrypt::Recipient::new(passphrase.secret());
    recipient.set_work_factor(passphrase.work_factor);
    let armored = || -> std::io::Result<Vec<u8>> {
        let encryptor = Encryptor::with_recipients(std::iter::once(&recipient as _)).map_err(std::io::Error::other)?;
        let mut writer = encryptor.wrap_output(ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?)?;
        writer.write_all(plain.as_bytes())?;
        writer.finish()?.finish()
    };
    let armored = armored().expect("one recipient and a buffer in memory cannot fail");
    String::from_utf8(armored).expect("armor is ASCII")
}

/// A file under a passphrase whose outer form is right.
pub(super) struct Sealed<'a> {
    comments: &'a str,
    decryptor: Decryptor<ArmoredReader<BufReader<&'a [u8]>>>,
}

impl<'a> Sealed<'a> {
    /// Reads what can be read without the passphrase.
    pub(super) fn parse(text: &'a str) -> Result<Self, Problem> {
        let begins_line = |at: &usize| *at == 0 || text.as_bytes()[at - 1] == b'\n';
        let begin = text.match_indices(BEGIN).map(|(at, _)| at).find(begins_line);
        let (comments, armored) = text.split_at(begin.ok_or(Damaged("its encrypted part is damaged"))?);
        if comments.lines().map(str::trim).any(|line| !line.is_empty() && !line.starts_with('#')) {
            return Err(Damaged("it holds a line that is neither comment nor secret"));
        }
        let decryptor = Decryptor::new(ArmoredReader::new(armored.as_bytes()))
            .map_err(|_| Damaged("its encrypted part is damaged"))?;
        if !decryptor.is_scrypt() {
            return Err(Damaged("it is encrypted, but not under a passphrase"));
        }
        Ok(Self { comments, decryptor })
    }

    /// Opens it.
    pub(super) fn open(self, passphrase: &Passphrase) -> Result<Plain, Problem> {
        let mut identity = scrypt::Identity::new(passphrase.secret());
        identity.set_max_work_factor(Passphrase::MAX_WORK_FACTOR);
        let mut reader = self.decryptor.decrypt(std::iter::once(&identity as _)).map_err(|error| match error {
            DecryptError::ExcessiveWork { required, .. } => Problem::WorkFactor(required),
            DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => Problem::WrongPassphrase,
            _ => Damaged("its encrypted part is damaged"),
        })?;
        // Sized once, as the file is capped: a buffer that grows leaves copies of the secret behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(super::MAX_FILE_BYTES as usize));
        reader.read_to_end(&mut bytes).map_err(|_| Damaged("its encrypted part is damaged or cut short"))?;
        let plain = std::str::from_utf8(&bytes).map_err(|_| Damaged("what is encrypted in it is not text"))?;
        if !text::comments(plain).eq(text::comments(self.comments)) {
            return Err(Damaged("its comments are not those of what is encrypted in it"));
        }
        text::read(plain)
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing;

    pub(in super::super) fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(Zeroizing::new(text.to_owned())).unwrap().with_work_factor(1)
    }

    fn plain() -> Zeroizing<String> {
        text::write(&testing::keys(1), "2026-11-23T10:00:00Z").unwrap()
    }

    fn open(text: &str, words: &str) -> Result<Plain, Problem> {
        Sealed::parse(text)?.open(&passphrase(words))
    }

    #[test]
    fn what_is_sealed_opens_under_its_passphrase_only() {
        let sealed = seal(&plain(), &passphrase("correct horse"));
        let opened = open(&sealed, "correct horse").ok().unwrap();
        assert_eq!(opened.keys.encode().as_slice(), testing::keys(1).encode().as_slice());
        assert_eq!(opened.created, "2026-11-23T10:00:00Z");
        for wrong in ["correct hors", "correct horse ", "Correct horse", "x"] {
            assert!(matches!(open(&sealed, wrong), Err(Problem::WrongPassphrase)), "{wrong}");
        }
    }

    #[test]
    fn comments_are_in_clear_and_keys_are_not() {
        let sealed = seal(&plain(), &passphrase("p"));
        let lines: Vec<_> = sealed.lines().collect();
        assert_eq!(lines[0], "# created: 2026-11-23T10:00:00Z");
        assert_eq!(lines[1], format!("# public name: {}", testing::name(1)));
        assert_eq!((lines[2], *lines.last().unwrap()), (BEGIN, "-----END AGE ENCRYPTED FILE-----"));
        assert!(!super::super::lines::SECRET_KEY.is_in(&sealed));
    }

    #[test]
    fn a_new_file_costs_what_is_fixed() {
        let sealed = seal(&plain(), &Passphrase::new(Zeroizing::new("p".to_owned())).unwrap());
        let mut header = [0; 80];
        ArmoredReader::new(&sealed.as_bytes()[sealed.find(BEGIN).unwrap()..]).read_exact(&mut header).unwrap();
        let header = String::from_utf8_lossy(&header);
        assert_eq!(header.lines().nth(1).unwrap().rsplit(' ').next(), Some("18"));
    }

    #[test]
    fn a_file_that_asks_for_minutes_is_refused_at_once() {
        let sealed = seal(&plain(), &passphrase("p"));
        let at = sealed.find(BEGIN).unwrap();
        let mut bytes = Vec::new();
        ArmoredReader::new(&sealed.as_bytes()[at..]).read_to_end(&mut bytes).unwrap();
        let end = bytes.iter().skip(22).position(|byte| *byte == b'\n').unwrap() + 22;
        for cost in ["21", "22", "40", "63"] {
            let bomb = [&bytes[..end - 1], cost.as_bytes(), &bytes[end..]].concat();
            let mut armored = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor).unwrap();
            armored.write_all(&bomb).unwrap();
            let text = format!("{}{}", &sealed[..at], String::from_utf8(armored.finish().unwrap()).unwrap());
            let Err(Problem::WorkFactor(found)) = open(&text, "p") else { panic!("{cost} was not refused") };
            assert_eq!(found.to_string(), cost);
        }
    }

    #[test]
    fn an_empty_passphrase_is_refused() {
        let error = Passphrase::new(Zeroizing::default()).err().unwrap();
        assert!(matches!(error, Error::EmptyPassphrase));
        assert!(error.remedy().is_some());
    }

    #[test]
    fn other_plaintexts_other_comments_and_other_lines_are_refused() {
        let sealed = seal(&plain(), &passphrase("p"));
        for wrong in [
            sealed.replace("2026-11-23", "2025-11-23"),
            sealed.replace("# created", "# born"),
            format!("# more\n{sealed}"),
            sealed.lines().skip(2).collect::<Vec<_>>().join("\n"),
            format!("hunter2\n{sealed}"),
            format!("{sealed}hunter2"),
            seal("hunter2", &passphrase("p")),
            seal("", &passphrase("p")),
        ] {
            assert!(matches!(open(&wrong, "p"), Err(Damaged(_))), "{wrong}");
        }
        assert!(open(&format!("\n{}\n", sealed.replace('\n', "\r\n")), "p").is_ok());
    }

    #[test]
    fn a_file_for_an_age_recipient_is_refused() {
        let recipient = age::x25519::Identity::generate().to_public();
        let armored = age::encrypt_and_armor(&recipient, plain().as_bytes()).unwrap();
        assert!(matches!(open(&armored, "p"), Err(Damaged(_))));
    }
}
