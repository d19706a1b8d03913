//! Key files as files: permissions, links, locks, passphrases; and hostile ones, of which none may be read as something else.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use proptest::prelude::*;
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};

use super::{passphrase::tests::passphrase, share::Scheme, *};
use crate::testing;

fn file(protection: Option<&Passphrase>) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("acme.key");
    create(&path, &testing::keys(1), "2026-11-23T10:00:00Z", protection).unwrap();
    (folder, path)
}

fn read_plain(path: &Path) -> Result<PartyKeys> {
    read(path, &mut no_passphrase)
}

fn read_under(path: &Path, words: &str) -> Result<PartyKeys> {
    read(path, &mut |_| Ok::<_, Error>(passphrase(words)))
}

/// Reads a text whose passphrase, if it has one, is "p".
fn parse(bytes: &[u8]) -> Result<PartyKeys> {
    let path = Path::new("x.key");
    let damaged = |_| Problem::Damaged("it is not text").at(path, WHAT);
    let text = std::str::from_utf8(bytes).map_err(damaged)?;
    Ok(super::parse(text, path, &mut |_| Ok::<_, Error>(passphrase("p")))?.keys)
}

fn is_the_original(keys: &PartyKeys) -> bool {
    keys.encode().as_slice() == testing::keys(1).encode().as_slice()
}

#[test]
fn what_is_written_reads_back_with_and_without_a_passphrase() {
    let (_keep, path) = file(None);
    assert!(is_the_original(&read_plain(&path).unwrap()));
    let opened = open(&path, &mut no_passphrase).unwrap();
    assert_eq!((opened.is_under_passphrase(), opened.created.as_str()), (false, "2026-11-23T10:00:00Z"));

    let (_keep, path) = file(Some(&passphrase("p")));
    assert!(is_the_original(&read_under(&path, "p").unwrap()));
    let opened = open(&path, &mut |_| Ok::<_, Error>(passphrase("p"))).unwrap();
    assert_eq!((opened.is_under_passphrase(), opened.created.as_str()), (true, "2026-11-23T10:00:00Z"));
}

#[test]
fn a_wrong_or_missing_passphrase_is_an_error_of_its_own() {
    let (_keep, path) = file(Some(&passphrase("correct")));
    let error = read_under(&path, "wrong").err().unwrap();
    assert!(matches!(error, Error::WrongPassphrase { .. }));
    assert!(error.remedy().unwrap().contains("passphrase") && !error.to_string().contains("wrong"));
    let error = read_plain(&path).err().unwrap();
    assert!(matches!(error, Error::PassphraseNeeded { .. }));
    assert!(error.remedy().unwrap().contains("--passphrase-file"));
}

#[test]
fn the_passphrase_is_asked_for_only_where_the_file_needs_one() {
    let damaged = |path: &Path| std::fs::write(path, "# only a comment\n").unwrap();
    for (protection, spoil, asked) in
        [(None, false, 0), (Some(passphrase("p")), false, 1), (Some(passphrase("p")), true, 0)]
    {
        let (_keep, path) = file(protection.as_ref());
        if spoil {
            damaged(&path);
        }
        let mut times = 0;
        let _ = read(&path, &mut |_| {
            times += 1;
            Ok::<_, Error>(passphrase("p"))
        });
        assert_eq!(times, asked);
    }
}

#[test]
fn an_existing_file_is_never_overwritten() {
    let (_keep, path) = file(None);
    let error = create(&path, &testing::keys(2), "now", None).unwrap_err();
    assert!(matches!(error, Error::KeyFileExists { .. }));
    assert!(error.remedy().unwrap().contains("--out"));
    assert!(is_the_original(&read_plain(&path).unwrap()));
}

#[cfg(unix)]
#[test]
fn a_key_file_that_others_can_read_is_refused_before_its_passphrase_is_asked_for() {
    use std::os::unix::fs::PermissionsExt;
    for protection in [None, Some(passphrase("p"))] {
        let (_keep, path) = file(protection.as_ref());
        let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for exposed in [0o640, 0o604, 0o644, 0o620, 0o610] {
            mode(exposed);
            let error = read_plain(&path).err().unwrap();
            assert!(matches!(error, Error::KeyFileExposed { mode, .. } if mode == exposed), "{error}");
            assert_eq!(error.remedy().unwrap(), format!("chmod 600 {}", path.display()));
            assert!(matches!(LockedKeyFile::open(&path, &mut no_passphrase), Err(Error::KeyFileExposed { .. })));
        }
        mode(0o400);
        assert!(read_under(&path, "p").is_ok());
        // What is no key file at all is told as that, whoever can read it.
        mode(0o644);
        std::fs::write(&path, "email\nada@example.com\n").unwrap();
        assert!(matches!(read_plain(&path), Err(Error::KeyFileDamaged { .. })));
    }
}

#[cfg(unix)]
#[test]
fn a_link_to_a_key_file_is_followed_judged_by_its_end_and_stays_a_link() {
    use std::os::unix::fs::PermissionsExt;
    let (keep, path) = file(None);
    let link = keep.path().join("link.key");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(read_plain(&link).is_ok());
    LockedKeyFile::open(&link, &mut no_passphrase).unwrap().rewrite().unwrap();
    assert!(link.symlink_metadata().unwrap().is_symlink() && read_plain(&path).is_ok());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(read_plain(&link), Err(Error::KeyFileExposed { .. })));
    assert!(matches!(create(&link, &testing::keys(2), "now", None), Err(Error::KeyFileExists { .. })));
}

#[test]
fn a_missing_file_and_a_folder_are_no_key_files() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("none")] {
        for error in [read_plain(&path).err().unwrap(), LockedKeyFile::open(&path, &mut no_passphrase).err().unwrap()] {
            assert!(matches!(error, Error::NoFile { what: "key file", .. }), "{error}");
            assert!(error.remedy().unwrap().contains("keygen"));
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no lock is left behind");
}

#[test]
fn what_is_no_key_file_is_refused_without_repeating_it() {
    let (_keep, path) = file(None);
    for text in
        ["", "# only a comment\n", "hunter2", "DATAFUSE-SECRET-KEY-hunter2", "-----BEGIN AGE ENCRYPTED FILE-----"]
    {
        std::fs::write(&path, text).unwrap();
        let error = read_under(&path, "p").err().unwrap();
        assert!(matches!(error, Error::KeyFileDamaged { .. }), "{error}");
        let shown = format!("{error}{error:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("DATAFUSE-SECRET"), "{shown}");
    }
    std::fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(matches!(read_plain(&path), Err(Error::KeyFileDamaged { .. })));
}

#[test]
fn an_unknown_version_is_refused_by_its_number() {
    let text =
        bech32::encode_upper::<bech32::Bech32m>(bech32::Hrp::parse_unchecked("datafuse-secret-key-"), &[2, 0, 1, 9, 9]);
    let error = parse(text.unwrap().as_bytes()).err().unwrap();
    assert!(matches!(error, Error::KeyFileVersion { found: 2, known: 1, .. }));
    assert!(error.remedy().is_some());
}

#[test]
fn rewriting_keeps_the_time_and_the_passphrase_and_changes_what_it_is_told_to() {
    let (_keep, path) = file(Some(&passphrase("old")));
    let ask = |words: &'static str| move |_: &Path| Ok::<_, Error>(passphrase(words));
    let mut locked = LockedKeyFile::open(&path, &mut ask("old")).unwrap();
    locked.opened.keys.rotate(&mut ChaCha20Rng::seed_from_u64(7));
    locked.rewrite().unwrap();
    drop(locked);

    let mut locked = LockedKeyFile::open(&path, &mut ask("old")).unwrap();
    assert_eq!(locked.opened.created, "2026-11-23T10:00:00Z");
    assert_eq!(locked.opened.keys.former_tokens().len(), 1);
    locked.set_passphrase(Some(passphrase("new")));
    locked.rewrite().unwrap();
    drop(locked);
    assert!(matches!(read_under(&path, "old"), Err(Error::WrongPassphrase { .. })));

    let mut locked = LockedKeyFile::open(&path, &mut ask("new")).unwrap();
    locked.set_passphrase(None);
    locked.rewrite().unwrap();
    drop(locked);
    assert_eq!(read_plain(&path).unwrap().former_tokens().len(), 1);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        for entry in std::fs::read_dir(path.parent().unwrap()).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}

#[test]
fn concurrent_changes_lose_no_key() {
    let (_keep, path) = file(None);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let path = &path;
            scope.spawn(move || {
                for round in 0..5 {
                    let mut locked = LockedKeyFile::open(path, &mut no_passphrase).unwrap();
                    locked.opened.keys.rotate(&mut ChaCha20Rng::seed_from_u64(thread * 100 + round));
                    locked.rewrite().unwrap();
                }
            });
        }
    });
    let keys = read_plain(&path).unwrap();
    let ids: std::collections::BTreeSet<_> = keys.former_tokens().iter().map(|token| token.key_id()).collect();
    assert_eq!(ids.len(), 20);
}

#[test]
fn a_file_with_too_many_former_keys_is_refused_and_left_as_it_was() {
    let (_keep, path) = file(None);
    let mut locked = LockedKeyFile::open(&path, &mut no_passphrase).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    for _ in 0..2700 {
        locked.opened.keys.rotate(&mut rng);
    }
    let error = locked.rewrite().unwrap_err();
    assert!(matches!(error, Error::KeyFileFull { .. }));
    assert!(error.remedy().unwrap().contains("key forget"));
    assert!(is_the_original(&read_plain(&path).unwrap()));

    // The longest that a file takes reads back in both forms.
    locked.opened.keys.forget_former(true);
    for _ in 0..2550 {
        locked.opened.keys.rotate(&mut rng);
    }
    for protection in [None, Some(passphrase("p"))] {
        locked.set_passphrase(protection);
        locked.rewrite().unwrap();
        assert_eq!(read_under(&path, "p").unwrap().former_tokens().len(), 2550);
    }
}

#[test]
fn a_secret_is_recognised_anywhere_in_a_text() {
    let (_keep, path) = file(None);
    let text = std::fs::read_to_string(path).unwrap();
    assert!(holds_secret_key(&format!("name: {}", text.to_ascii_lowercase())));
    assert!(holds_secret_key("name: datafuse-key-share-1qqq"));
    assert!(holds_secret_key("recipient: AGE-SECRET-KEY-1QQQ"));
    assert!(!holds_secret_key("name: dfpub1..., recipient: age1..."));
}

fn sealed_text() -> String {
    passphrase::seal(&text::write(&testing::keys(1), "2026-11-23T10:00:00Z").unwrap(), &passphrase("p"))
}

#[test]
fn a_file_under_a_passphrase_is_refused_with_any_byte_altered_or_cut_off() {
    let text = sealed_text();
    let whole = text.trim_end().len();
    for at in 0..whole {
        assert!(parse(&text.as_bytes()[..at]).is_err(), "cut at {at}");
        let mut bytes = text.as_bytes().to_vec();
        bytes[at] ^= [0x01, 0x20][at % 2];
        assert!(parse(&bytes).is_err(), "altered at {at}");
        let mut bytes = text.as_bytes().to_vec();
        bytes.remove(at);
        assert!(parse(&bytes).is_err(), "lost at {at}");
    }
}

/// Characters that mean something in such files.
const OFTEN: &[u8] = b"QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L\n #-";

/// One to four changes of the sorts that disks, people and attackers make.
fn mutate(rng: &mut ChaCha20Rng, original: &[u8]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for _ in 0..1 + rng.next_u32() % 4 {
        let mut below = |limit: usize| rng.next_u32() as usize % limit.max(1);
        let at = below(bytes.len());
        match below(7) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, below(256) as u8),
            2 => drop(bytes.drain(at..(at + below(20)).min(bytes.len()))),
            3 => bytes.extend_from_slice(&original[at.min(original.len())..]),
            4 if !bytes.is_empty() => {
                let other = below(bytes.len());
                bytes.swap(at, other);
            }
            5 if !bytes.is_empty() => bytes[at] = OFTEN[below(OFTEN.len())],
            _ if !bytes.is_empty() => bytes[at] ^= 1 << below(8),
            _ => {}
        }
    }
    bytes
}

#[test]
fn ten_thousand_mutated_key_files_are_refused_or_the_same() {
    let original = text::write(&testing::keys(1), "2026-11-23T10:00:00Z").unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let mut refused = 0;
    for round in 0..10_000 {
        let bytes = mutate(&mut rng, original.as_bytes());
        match parse(&bytes) {
            Ok(keys) => assert!(is_the_original(&keys), "round {round}"),
            Err(_) => refused += 1,
        }
    }
    // What is left are changes of comments and line ends.
    assert!(refused > 7_000, "{refused}");
}

#[test]
fn ten_thousand_mutated_shares_make_no_other_keys() {
    let folder = tempfile::tempdir().unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let scheme = Scheme::new(2, 3).unwrap();
    let paths = share::create(folder.path(), "acme.key", &testing::keys(1), scheme, &mut rng).unwrap();
    let original = std::fs::read(&paths[0]).unwrap();
    let mut refused = 0;
    for round in 0..10_000 {
        std::fs::write(&paths[0], mutate(&mut rng, &original)).unwrap();
        match share::combine(&paths[..2]) {
            Ok(keys) => assert!(is_the_original(&keys), "round {round}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 7_000, "{refused}");
}

#[test]
fn three_hundred_mutated_files_under_a_passphrase_are_refused_or_the_same() {
    let original = sealed_text();
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    for round in 0..300 {
        if let Ok(keys) = parse(&mutate(&mut rng, original.as_bytes())) {
            assert!(is_the_original(&keys), "round {round}");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(parse(&bytes).is_err());
    }
}
