//! The encrypted report: `report.dsse.json.age`, the signed envelope as an age file (age-encryption.org/v1) to the data users.
//!
//! In: the bytes of an envelope and X25519 recipients (`age1...`), or such a file and identities. Out: the other. Signed first, then
//! encrypted: who signed it is seen by the data users alone, and the signature names to whom it was encrypted, so that nobody passes
//! it on as if it had been meant for another. The standard tool opens what is written here, and what it writes is read here, in ASCII
//! armor too.
//!
//! age says whether bytes were altered, and nothing about who made them: everybody can encrypt to a recipient. The signature does.

use std::io::{ErrorKind, Read, Write};

use age::{
    DecryptError, Decryptor, Encryptor, Identity, Recipient,
    armor::ArmoredReader,
    x25519::{self, Identity as X25519Identity},
};

use super::{AgeRecipient, MAX_ENVELOPE_BYTES, REPORT_AGE};

/// The media type of the file, as IANA registers it.
pub const MEDIA_TYPE: &str = "application/vnd.age";

/// The largest file that is read: an envelope, its header and a tag for each 64 KiB, in armor.
pub const MAX_ENCRYPTED_BYTES: u64 = 2 * MAX_ENVELOPE_BYTES;

const BEGINNINGS: [&[u8]; 2] = [b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED FILE-----"];

/// Why a report is not encrypted, or not opened. No variant holds an identity or a figure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptedReportError {
    /// There is nobody to encrypt to.
    #[error("nobody is named to whom the report is to be encrypted")]
    Nobody,
    /// A recipient is none.
    #[error("the recipient of '{user}' is no age recipient of the form age1...")]
    Recipient {
        /// The data user.
        user: String,
    },
    /// The bytes are no age file.
    #[error("it is no file that age encrypted")]
    NotEncrypted,
    /// It is an age file of another sort: under a passphrase, or of a later form.
    #[error("it was encrypted in a way in which the workload never does")]
    OtherForm,
    /// None of the identities opens it.
    #[error("it is encrypted to others than {}", recipients.join(" or "))]
    NotForThese {
        /// The recipients of the identities that were tried.
        recipients: Vec<String>,
    },
    /// A byte is another than was encrypted, or some are missing.
    #[error("it was altered, or its end is missing")]
    Damaged,
    /// What is encrypted is larger than any report.
    #[error("what is encrypted has more than {MAX_ENVELOPE_BYTES} bytes")]
    TooLarge,
}

impl EncryptedReportError {
    /// Says what to do about it.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::Nobody | Self::Recipient { .. } => {
                "give each data user in the space file a recipient that age-keygen, or datafuse keygen --recipient, printed".to_owned()
            }
            Self::NotEncrypted | Self::OtherForm | Self::TooLarge => format!("give the {REPORT_AGE} of an outputs folder, as it was delivered"),
            Self::NotForThese { .. } => {
                "--identity FILE with the identity whose recipient stands in the space file; where it was replaced since, the former one"
                    .to_owned()
            }
            Self::Damaged => "get the file again from where it was delivered".to_owned(),
        }
    }
}

/// Whether bytes begin as an age file does.
#[must_use]
pub fn is_encrypted(bytes: &[u8]) -> bool {
    BEGINNINGS.iter().any(|beginning| bytes.starts_with(beginning))
}

/// Encrypts an envelope to all of these recipients: each of them alone can open it. Other bytes come out each time.
///
/// # Errors
/// [`EncryptedReportError::Nobody`], [`EncryptedReportError::Recipient`].
pub fn encrypt(envelope: &[u8], to: &[AgeRecipient]) -> Result<Vec<u8>, EncryptedReportError> {
    let parsed = to.iter().map(|AgeRecipient { user, recipient }| {
        recipient.parse::<x25519::Recipient>().map_err(|_| EncryptedReportError::Recipient { user: user.to_string() })
    });
    let parsed = parsed.collect::<Result<Vec<_>, _>>()?;
    let encryptor = Encryptor::with_recipients(parsed.iter().map(|recipient| recipient as &dyn Recipient))
        .map_err(|_| EncryptedReportError::Nobody)?;
    let mut bytes = Vec::with_capacity(envelope.len() + 1024);
    let written = encryptor.wrap_output(&mut bytes).and_then(|mut writer| {
        writer.write_all(envelope)?;
        writer.finish().map(drop)
    });
    // A buffer in memory takes everything.
    written.map_err(|_| EncryptedReportError::TooLarge)?;
    Ok(bytes)
}

/// Opens an encrypted envelope with one of these identities.
///
/// # Errors
/// Those of [`EncryptedReportError`] but [`Nobody`](EncryptedReportError::Nobody) and
/// [`Recipient`](EncryptedReportError::Recipient).
pub fn decrypt(bytes: &[u8], identities: &[X25519Identity]) -> Result<Vec<u8>, EncryptedReportError> {
    if !is_encrypted(bytes) {
        return Err(EncryptedReportError::NotEncrypted);
    }
    let decryptor = Decryptor::new_buffered(ArmoredReader::new(bytes)).map_err(|error| refusal(&error, identities))?;
    if decryptor.is_scrypt() {
        return Err(EncryptedReportError::OtherForm);
    }
    let reader = decryptor
        .decrypt(identities.iter().map(|identity| identity as &dyn Identity))
        .map_err(|error| refusal(&error, identities))?;
    let mut envelope = Vec::with_capacity(bytes.len());
    reader.take(MAX_ENVELOPE_BYTES + 1).read_to_end(&mut envelope).map_err(|_| EncryptedReportError::Damaged)?;
    if envelope.len() as u64 > MAX_ENVELOPE_BYTES {
        return Err(EncryptedReportError::TooLarge);
    }
    Ok(envelope)
}

fn refusal(error: &DecryptError, identities: &[X25519Identity]) -> EncryptedReportError {
    match error {
        DecryptError::NoMatchingKeys | DecryptError::DecryptionFailed => EncryptedReportError::NotForThese {
            recipients: identities.iter().map(|identity| identity.to_public().to_string()).collect(),
        },
        DecryptError::UnknownFormat => EncryptedReportError::OtherForm,
        DecryptError::Io(error) if error.kind() == ErrorKind::InvalidInput => EncryptedReportError::NotEncrypted,
        _ => EncryptedReportError::Damaged,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use age::armor::{ArmoredWriter, Format};

    use super::*;

    fn to(identities: &[&X25519Identity]) -> Vec<AgeRecipient> {
        let named = identities.iter().enumerate().map(|(index, identity)| AgeRecipient {
            user: format!("user{index}").parse().unwrap(),
            recipient: identity.to_public().to_string(),
        });
        named.collect()
    }

    #[test]
    fn each_recipient_opens_it_alone_and_nobody_else_does() {
        let [first, second, other] = [(); 3].map(|()| X25519Identity::generate());
        let bytes = encrypt(b"envelope", &to(&[&first, &second])).unwrap();
        assert!(is_encrypted(&bytes) && !bytes.windows(8).any(|window| window == b"envelope"));
        for identity in [&first, &second] {
            assert_eq!(decrypt(&bytes, std::slice::from_ref(identity)).unwrap(), b"envelope");
        }
        assert_eq!(decrypt(&bytes, &[other.clone(), second]).unwrap(), b"envelope");
        let error = decrypt(&bytes, std::slice::from_ref(&other)).unwrap_err();
        assert!(error.to_string().contains(&other.to_public().to_string()), "{error}");
        assert!(error.remedy().contains("--identity"), "{}", error.remedy());
        assert_ne!(encrypt(b"envelope", &to(&[&first])).unwrap(), encrypt(b"envelope", &to(&[&first])).unwrap());
    }

    #[test]
    fn any_changed_byte_and_any_missing_end_is_found() {
        let identity = X25519Identity::generate();
        let text = vec![b'x'; 70_000];
        let bytes = encrypt(&text, &to(&[&identity])).unwrap();
        for at in (0..bytes.len()).step_by(if cfg!(debug_assertions) { 997 } else { 61 }) {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            assert!(decrypt(&altered, std::slice::from_ref(&identity)).is_err(), "byte {at}");
        }
        for length in [0, 10, 100, 200, 300, 65_536, bytes.len() - 1] {
            assert!(decrypt(&bytes[..length], std::slice::from_ref(&identity)).is_err(), "{length} bytes");
        }
        // The end of a chunk is no end of the file.
        let whole_chunk = bytes.len() - (70_000 - 65_536) - 16;
        let cut = decrypt(&bytes[..whole_chunk], std::slice::from_ref(&identity));
        assert!(matches!(cut, Err(EncryptedReportError::Damaged)), "{cut:?}");
    }

    #[test]
    fn armor_is_read_and_other_forms_are_refused() {
        let identity = X25519Identity::generate();
        let bytes = encrypt(b"envelope", &to(&[&identity])).unwrap();
        let mut armored = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor).unwrap();
        armored.write_all(&bytes).unwrap();
        let armored = armored.finish().unwrap();
        assert!(is_encrypted(&armored));
        assert_eq!(decrypt(&armored, std::slice::from_ref(&identity)).unwrap(), b"envelope");

        let mut scrypt = age::scrypt::Recipient::new("correct horse".to_owned().into());
        scrypt.set_work_factor(1);
        let under_passphrase = age::encrypt(&scrypt, b"envelope").unwrap();
        let refused = |bytes: &[u8]| decrypt(bytes, std::slice::from_ref(&identity)).unwrap_err();
        assert!(matches!(refused(&under_passphrase), EncryptedReportError::OtherForm));
        assert!(matches!(refused(b"{}"), EncryptedReportError::NotEncrypted));
        assert!(matches!(refused(b"age-encryption.org/v2\n"), EncryptedReportError::Damaged));
    }

    #[test]
    fn who_is_no_recipient_is_named_and_not_repeated() {
        assert!(matches!(encrypt(b"x", &[]), Err(EncryptedReportError::Nobody)));
        let wrong = AgeRecipient { user: "insights".parse().unwrap(), recipient: "AGE-SECRET-KEY-1QQQ".to_owned() };
        let error = encrypt(b"x", &[wrong]).unwrap_err();
        assert!(error.to_string().contains("'insights'"), "{error}");
        assert!(!format!("{error} {error:?} {}", error.remedy()).contains("SECRET"), "{error:?}");
    }
}
