//! Passphrases from a file, a file descriptor, the terminal or the platform's secret manager, and key files opened with them; keys of
//! encrypted Parquet files from a file. Never from an argument: those are seen by every user of the machine.

use std::{
    fs::File,
    io::{ErrorKind, IsTerminal, Read},
    path::{Path, PathBuf},
};

use datafuse_core::keys::PartyKeys;
use datafuse_engine::dataset::ParquetKey;
use datafuse_space::keyfile::{self, LockedKeyFile, Opened, Passphrase, identity::Identity};
use datafuse_workload::platform::{Environment, SecretManager};
use zeroize::Zeroizing;

use crate::{
    args::{ChangePassphraseArgs, NewPassphraseArgs, PassphraseArgs},
    failure::{Code, Failure, Result},
};

const MAX_BYTES: usize = 4096;

/// The most that is read of a sealed passphrase.
const MAX_SEALED_BYTES: u64 = 64 << 10;

/// Reads the keys in a key file; its passphrase is looked for only where it has one.
pub(crate) fn read_keys(path: &Path, args: &PassphraseArgs) -> Result<PartyKeys> {
    keyfile::read(path, &mut |path| present(args, path))
}

/// Reads a key file whose passphrase may be sealed; one that is given in clear comes first.
pub(crate) fn open_sealed(path: &Path, args: &PassphraseArgs, sealed: Option<&Path>) -> Result<Opened> {
    let is_given = args.passphrase_fd.is_some() || args.passphrase_file.is_some();
    match sealed.filter(|_| !is_given) {
        Some(sealed) => keyfile::open(path, &mut |_| unseal(sealed, &Environment::from_process()?)),
        None => open(path, args),
    }
}

/// Has the platform's secret manager open a sealed passphrase.
fn unseal(path: &Path, environment: &Environment) -> Result<Passphrase> {
    let file = File::open(path).map_err(|source| Failure::file("read", path, &source))?;
    let mut sealed = Vec::new();
    let read = file.take(MAX_SEALED_BYTES + 1).read_to_end(&mut sealed);
    read.map_err(|source| Failure::file("read", path, &source))?;
    if sealed.is_empty() || sealed.len() as u64 > MAX_SEALED_BYTES {
        let fact = format!("{} is no sealed passphrase: it is empty or larger than 64 KiB", path.display());
        let remedy = "--sealed-passphrase-file with the passphrase encrypted to the space's public key";
        return Err(Failure::new(Code::Configuration, fact, remedy));
    }
    let opened = SecretManager::of(environment).decrypt(&sealed).map_err(datafuse_workload::Error::from)?;
    let place = format!("what the secret manager opened of {}", path.display());
    Ok(Passphrase::new(first_line(&mut opened.as_slice(), &place, "passphrase")?)?)
}

/// Reads a key file with what else it says.
pub(crate) fn open(path: &Path, args: &PassphraseArgs) -> Result<Opened> {
    keyfile::open(path, &mut |path| present(args, path))
}

/// Reads a data user's age identities; the file's passphrase is looked for only where it has one.
pub(crate) fn read_identities(path: &Path, args: &PassphraseArgs) -> Result<Vec<Identity>> {
    keyfile::identity::read(path, &mut |path| present(args, path))
}

/// Opens a key file to change it.
pub(crate) fn lock(path: &Path, args: &PassphraseArgs) -> Result<LockedKeyFile> {
    LockedKeyFile::open(path, &mut |path| present(args, path))
}

/// The passphrase of a new key file, where it is to have one.
pub(crate) fn of_new_file(args: &NewPassphraseArgs, path: &Path) -> Result<Option<Passphrase>> {
    match given(args.passphrase_fd, args.passphrase_file.as_deref().filter(|_| !args.passphrase), "--passphrase") {
        None if args.passphrase => asked_twice(path, "--passphrase-file FILE or --passphrase-fd N").map(Some),
        given => given.transpose(),
    }
}

/// The passphrase that replaces another.
pub(crate) fn replacing(args: &ChangePassphraseArgs) -> Result<Option<Passphrase>> {
    if args.remove {
        return Ok(None);
    }
    let given = given(args.new_passphrase_fd, args.new_passphrase_file.as_deref(), "--new-passphrase");
    let flags = "--new-passphrase-file FILE or --new-passphrase-fd N";
    given.unwrap_or_else(|| asked_twice(&args.key.key, flags)).map(Some)
}

/// The passphrase that a key file is under.
fn present(args: &PassphraseArgs, path: &Path) -> Result<Passphrase> {
    given(args.passphrase_fd, args.passphrase_file.as_deref(), "--passphrase").unwrap_or_else(|| {
        let flags = "--passphrase-file FILE or --passphrase-fd N";
        ask(&format!("Passphrase of {}: ", path.display()), path, flags)
    })
}

fn given(descriptor: Option<u32>, file: Option<&Path>, flag: &str) -> Option<Result<Passphrase>> {
    match (descriptor, file) {
        (Some(number), _) => Some(from_descriptor(number, &format!("{flag}-fd"))),
        (None, Some(path)) => Some(from_file(path, &format!("{flag}-file"))),
        (None, None) => None,
    }
}

fn asked_twice(path: &Path, flags: &str) -> Result<Passphrase> {
    let first = ask(&format!("New passphrase of {}: ", path.display()), path, flags)?;
    match first.is(&ask("The same again: ", path, flags)?) {
        true => Ok(first),
        false => Err(Failure::new(Code::Usage, "the two passphrases differ", "run it again and type the same twice")),
    }
}

/// Asks on the terminal, without showing what is typed.
fn ask(words: &str, path: &Path, flags: &str) -> Result<Passphrase> {
    let nobody = |_| {
        let fact = format!("the passphrase of {} cannot be asked for: this is no terminal", path.display());
        Failure::new(Code::Configuration, fact, flags)
    };
    if !std::io::stdin().is_terminal() {
        return Err(nobody(()));
    }
    let typed = Zeroizing::new(rpassword::prompt_password(words).map_err(|_| nobody(()))?);
    Ok(Passphrase::new(typed)?)
}

/// Reads the key of an encrypted Parquet file from the first line of a file.
pub(crate) fn parquet_key(path: &Path) -> Result<ParquetKey> {
    let text = line_of_file(path, "--parquet-key-file", "key")?;
    text.parse().map_err(|error: datafuse_engine::Error| {
        let fact = format!("--parquet-key-file {}: {error}", path.display());
        Failure::new(Code::Configuration, fact, error.remedy().unwrap_or_default())
    })
}

fn from_file(path: &Path, flag: &str) -> Result<Passphrase> {
    Ok(Passphrase::new(line_of_file(path, flag, "passphrase")?)?)
}

fn line_of_file(path: &Path, flag: &str, what: &str) -> Result<Zeroizing<String>> {
    let mut file = File::open(path).map_err(|source| Failure::file("read", path, &source))?;
    refuse_if_exposed(&file, path, what)?;
    first_line(&mut file, &format!("{flag} {}", path.display()), what)
}

fn from_descriptor(number: u32, flag: &str) -> Result<Passphrase> {
    let path = [format!("/proc/self/fd/{number}"), format!("/dev/fd/{number}")].map(PathBuf::from);
    let opened = File::open(&path[0]).or_else(|_| File::open(&path[1]));
    let mut file = opened.map_err(|source| {
        let remedy = format!("open it for the command, such as {flag} 3 3<FILE");
        Failure::new(Code::Configuration, format!("{flag} {number} cannot be read: {source}"), remedy)
    })?;
    Ok(Passphrase::new(first_line(&mut file, &format!("{flag} {number}"), "passphrase")?)?)
}

/// Reads up to the first line end; what comes after it is left alone.
fn first_line(file: &mut impl Read, place: &str, secret: &str) -> Result<Zeroizing<String>> {
    let refused = |what: &str| {
        let fact = format!("{place}: {what}");
        Failure::new(Code::Configuration, fact, format!("give a file whose first line is the {secret}, as UTF-8"))
    };
    let mut bytes = Zeroizing::new([0; MAX_BYTES]);
    let mut read = 0;
    let line = loop {
        if let Some(end) = bytes[..read].iter().position(|byte| *byte == b'\n') {
            break &bytes[..end];
        }
        if read == MAX_BYTES {
            return Err(refused(&format!("its first line is longer than a {secret} can be")));
        }
        match file.read(&mut bytes[read..]) {
            Ok(0) => break &bytes[..read],
            Ok(more) => read += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(refused(&format!("it cannot be read: {error}"))),
        }
    };
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = std::str::from_utf8(line).map_err(|_| refused("its first line is not UTF-8"))?;
    if text.is_empty() {
        return Err(refused("its first line is empty"));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

/// Refuses a file that its group or others have any access to.
#[cfg(unix)]
fn refuse_if_exposed(file: &File, path: &Path, what: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = file.metadata().map_err(|source| Failure::file("read", path, &source))?;
    match metadata.permissions().mode() & 0o077 {
        0 => Ok(()),
        _ => {
            let fact = format!("the {what} file {} can be read by others than its owner", path.display());
            Err(Failure::new(Code::Configuration, fact, format!("chmod 600 {}", path.display())))
        }
    }
}

/// Elsewhere the folder's access list decides, which is not looked at.
#[cfg(not(unix))]
fn refuse_if_exposed(_file: &File, _path: &Path, _what: &str) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use super::*;

    fn passphrase(bytes: &[u8]) -> Result<Passphrase> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        from_file(file.path(), "--passphrase-file")
    }

    #[test]
    fn the_first_line_is_the_passphrase_without_its_end() {
        let same = |bytes: &[u8], text: &str| {
            passphrase(bytes).unwrap().is(&Passphrase::new(Zeroizing::new(text.to_owned())).unwrap())
        };
        assert!(same(b"correct horse", "correct horse"));
        assert!(same(b"correct horse\nmore\n", "correct horse"));
        assert!(same(b"correct horse\r\n", "correct horse"));
        assert!(same(b" spaces stay \n", " spaces stay "));
        assert!(!same(b"correct horse", "correct hors"));
    }

    #[cfg(unix)]
    #[test]
    fn a_parquet_key_is_a_first_line_that_only_its_owner_reads() {
        use std::os::unix::fs::PermissionsExt;
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"0123456789abcdef0123456789abcdef\n").unwrap();
        assert_eq!(parquet_key(file.path()).unwrap().as_bytes().len(), 32);
        file.write_all(b"more").unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o640)).unwrap();
        let failure = parquet_key(file.path()).err().unwrap();
        assert!(failure.fact.contains("key file") && failure.remedy.unwrap().contains("chmod 600"));
        let mut short = tempfile::NamedTempFile::new().unwrap();
        short.write_all(b"hunter2\n").unwrap();
        let failure = parquet_key(short.path()).err().unwrap();
        assert_eq!(failure.code, Code::Configuration);
        assert!(failure.fact.contains("7 characters") && !failure.fact.contains("hunter2"), "{}", failure.fact);
    }

    #[test]
    fn empty_long_and_foreign_lines_are_refused_without_repeating_them() {
        let long = [b'x'; MAX_BYTES + 1];
        for bytes in [&b""[..], b"\n", b"\r\nsecond\n", &long, b"hunter2\xff\n"] {
            let failure = passphrase(bytes).err().unwrap();
            assert_eq!(failure.code, Code::Configuration);
            assert!(!failure.fact.contains("hunter2") && !failure.fact.contains("xxx"), "{}", failure.fact);
        }
    }
}
