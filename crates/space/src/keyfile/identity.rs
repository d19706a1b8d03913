//! Identity files of data users: the secret half of an age recipient, to which reports are encrypted.
//!
//! ```text
//! # created: 2026-11-26T10:00:00Z
//! # public key: age1...
//! AGE-SECRET-KEY-1...
//! ```
//!
//! The form is age's own (age-encryption.org/v1): files that `age-keygen` wrote are read, several identities and a whole file under
//! a passphrase (`age -p`, armored or not) included, and `age` reads those that are written here. As with key files, one that others can
//! read is refused. Identities of plugins, of SSH and post-quantum ones are none of these.

use std::{
    io::{BufReader, Read},
    path::Path,
};

use age::{DecryptError, Decryptor, armor::ArmoredReader, scrypt, secrecy::ExposeSecret};
use zeroize::Zeroizing;

use super::{Ask, MAX_FILE_BYTES, Passphrase, Problem, Problem::Damaged, passphrase, refuse_if_exposed};
use crate::{
    durable,
    error::{Error, Result},
};

/// The secret half of a recipient.
pub use age::x25519::Identity;

const WHAT: &str = "identity file";
const SECRET: &str = "AGE-SECRET-KEY-";
const BINARY: &[u8] = b"age-encryption.org/";

/// Makes a new identity and writes it for its owner alone (mode 0600), under a passphrase where one is given. Gives the recipient,
/// which is for everybody.
///
/// # Errors
/// [`Error::KeyFileExists`] where anything is there already, [`Error::Io`].
pub fn create(path: &Path, created: &str, passphrase: Option<&Passphrase>) -> Result<String> {
    let exists = || Error::KeyFileExists { path: path.to_owned() };
    if path.symlink_metadata().is_ok() {
        return Err(exists());
    }
    let identity = Identity::generate();
    let recipient = identity.to_public().to_string();
    let secret = identity.to_string();
    let plain =
        Zeroizing::new(format!("# created: {created}\n# public key: {recipient}\n{}\n", secret.expose_secret()));
    let text = match passphrase {
        Some(passphrase) => Zeroizing::new(passphrase::armor(&plain, passphrase)),
        None => plain,
    };
    if durable::create_private(path, text.as_bytes())? { Ok(recipient) } else { Err(exists()) }
}

/// Reads the identities in a file, at least one.
///
/// # Errors
/// [`Error::NoFile`], [`Error::KeyFileExposed`] where its group or others can read it (Unix), [`Error::TooLarge`],
/// [`Error::KeyFileDamaged`], [`Error::WrongPassphrase`], [`Error::WorkFactor`], [`Error::Io`]; whatever `ask` gives.
pub fn read<E: From<Error>>(path: &Path, ask: Ask<'_, E>) -> Result<Vec<Identity>, E> {
    let at = |problem: Problem| problem.at(path, WHAT);
    let bytes = read_bytes(path)?;
    let is_encrypted = bytes.starts_with(BINARY) || std::str::from_utf8(&bytes).is_ok_and(passphrase::is_in);
    if !is_encrypted {
        return Ok(parse(&bytes).map_err(at)?);
    }
    let damaged = || Damaged("its encrypted part is damaged");
    let decryptor = Decryptor::new(ArmoredReader::new(BufReader::new(bytes.as_slice()))).map_err(|_| at(damaged()))?;
    if !decryptor.is_scrypt() {
        return Err(at(Damaged("it is an encrypted file, not an identity that opens one")).into());
    }
    let passphrase = ask(path)?;
    let mut identity = scrypt::Identity::new(passphrase.secret());
    identity.set_max_work_factor(Passphrase::MAX_WORK_FACTOR);
    let refused = |error| match error {
        DecryptError::ExcessiveWork { required, .. } => Problem::WorkFactor(required),
        DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => Problem::WrongPassphrase,
        _ => damaged(),
    };
    let mut reader =
        decryptor.decrypt(std::iter::once(&identity as _)).map_err(|error| at(refused(error)))?.take(MAX_FILE_BYTES);
    // Sized once, as the file is capped: a buffer that grows leaves copies of the secret behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(MAX_FILE_BYTES as usize));
    reader.read_to_end(&mut plain).map_err(|_| at(damaged()))?;
    Ok(parse(&plain).map_err(at)?)
}

fn read_bytes(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let Some(mut file) = durable::open_regular(path)? else {
        return Err(Error::NoFile { what: WHAT, path: path.to_owned() });
    };
    let mut bytes = Zeroizing::new(Vec::new());
    durable::read_capped(&mut file, path, WHAT, MAX_FILE_BYTES, &mut bytes)?;
    refuse_if_exposed(&file, path)?;
    Ok(bytes)
}

fn parse(bytes: &[u8]) -> Result<Vec<Identity>, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|_| Damaged("it is not text"))?;
    if super::SECRET_KEY.is_in(text) {
        return Err(Damaged("it is the key file of a party, which opens no reports"));
    }
    let mut identities = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if !line.starts_with(SECRET) {
            return Err(Damaged("it holds a line that is neither comment nor age identity"));
        }
        let identity =
            line.parse().map_err(|_| Damaged("an identity in it is cut short, mistyped or of another sort"))?;
        identities.push(identity);
    }
    if identities.is_empty() { Err(Damaged("it holds no age identity")) } else { Ok(identities) }
}

/// Whether a text holds an identity, well-formed or not.
pub(super) fn is_in(text: &str) -> bool {
    text.to_ascii_uppercase().contains(SECRET)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::keyfile::no_passphrase;
    use crate::keyfile::passphrase::tests::passphrase;

    const CREATED: &str = "2026-11-26T10:00:00Z";

    fn written(text: &[u8]) -> (TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("insights.age");
        assert!(durable::create_private(&path, text).unwrap());
        (folder, path)
    }

    fn refused(text: &[u8]) -> String {
        let (_folder, path) = written(text);
        let error = read(&path, &mut no_passphrase).err().unwrap();
        let shown = format!("{error} {error:?} {:?}", error.remedy());
        assert!(matches!(error, Error::KeyFileDamaged { .. }), "{shown}");
        assert!(!shown.contains("1QQQ") && error.remedy().unwrap().contains("--identity"), "{shown}");
        error.to_string()
    }

    #[test]
    fn what_is_written_is_read_and_its_recipient_is_the_one_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("insights.age");
        let recipient = create(&path, CREATED, None).unwrap();
        assert!(recipient.starts_with("age1"));
        let identities = read(&path, &mut no_passphrase).unwrap();
        assert_eq!((identities.len(), identities[0].to_public().to_string()), (1, recipient.clone()));
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            text.lines().take(2).collect::<Vec<_>>(),
            [format!("# created: {CREATED}"), format!("# public key: {recipient}"),]
        );
        assert!(matches!(create(&path, CREATED, None), Err(Error::KeyFileExists { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn a_passphrase_is_asked_for_and_must_be_the_right_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("insights.age");
        let recipient = create(&path, CREATED, Some(&passphrase("correct horse"))).unwrap();
        assert!(!is_in(&fs::read_to_string(&path).unwrap()));
        let with = |word: &'static str| read::<Error>(&path, &mut |_| Ok(passphrase(word)));
        assert_eq!(with("correct horse").unwrap()[0].to_public().to_string(), recipient);
        assert!(matches!(with("wrong"), Err(Error::WrongPassphrase { .. })));
        assert!(matches!(read(&path, &mut no_passphrase), Err(Error::PassphraseNeeded { .. })));
    }

    #[test]
    fn several_identities_and_a_binary_file_under_a_passphrase_are_read() {
        let identities = [Identity::generate(), Identity::generate()];
        let text: String =
            identities.iter().map(|of| format!("# one\n{}\r\n\n", of.to_string().expose_secret())).collect();
        let (_folder, path) = written(text.as_bytes());
        assert_eq!(read(&path, &mut no_passphrase).unwrap().len(), 2);
        let mut recipient = scrypt::Recipient::new("correct horse".to_owned().into());
        recipient.set_work_factor(1);
        let (_folder, path) = written(&age::encrypt(&recipient, text.as_bytes()).unwrap());
        assert_eq!(read::<Error>(&path, &mut |_| Ok(passphrase("correct horse"))).unwrap().len(), 2);
    }

    #[test]
    fn what_is_no_identity_says_so_and_repeats_nothing() {
        assert!(refused(b"").contains("holds no age identity"));
        assert!(refused(b"# public key: age1...\n").contains("holds no age identity"));
        assert!(refused(b"AGE-SECRET-KEY-1QQQ\n").contains("cut short, mistyped"));
        assert!(refused(b"AGE-SECRET-KEY-PQ-1QQQ\n").contains("of another sort"));
        assert!(refused(b"AGE-PLUGIN-X-1QQQ\n").contains("neither comment nor age identity"));
        assert!(refused(b"DATAFUSE-SECRET-KEY-1QQQ\n").contains("the key file of a party"));
        assert!(refused(b"\xff\xfe").contains("not text"));
        let to_somebody = age::encrypt(&Identity::generate().to_public(), b"x").unwrap();
        assert!(refused(&to_somebody).contains("not an identity"));
        assert!(refused(b"age-encryption.org/v1\n-> x").contains("damaged"));
    }

    #[cfg(unix)]
    #[test]
    fn an_identity_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("insights.age");
        create(&path, CREATED, None).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(read(&path, &mut no_passphrase), Err(Error::KeyFileExposed { .. })));
    }
}
