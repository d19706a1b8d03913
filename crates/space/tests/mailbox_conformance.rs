//! What every mailbox does, whatever it is made of. One function, run against each implementation.
#![allow(clippy::unwrap_used)]

use datafuse_space::{
    Error, FolderMailbox, Location, Mailbox, MessageName,
    mailbox::{self, MAX_MESSAGE_BYTES},
};

fn name(text: &str) -> MessageName {
    text.parse().unwrap()
}

/// Runs the suite on an empty mailbox.
fn mailbox_conformance(mailbox: &dyn Mailbox) {
    // Empty: nothing listed, nothing read, removing is no error.
    assert_eq!(mailbox.list().unwrap(), []);
    assert_eq!(mailbox.read(&name("a")).unwrap(), None);
    mailbox.remove(&name("a")).unwrap();

    // What is put is listed, sorted, and read back byte for byte; empty messages too.
    mailbox.put(&name("b.0"), b"second\0\xff\n").unwrap();
    mailbox.put(&name("a"), b"first").unwrap();
    mailbox.put(&name("c-_"), b"").unwrap();
    assert_eq!(mailbox.list().unwrap(), [name("a"), name("b.0"), name("c-_")]);
    assert_eq!(mailbox.read(&name("b.0")).unwrap().unwrap(), b"second\0\xff\n");
    assert_eq!(mailbox.read(&name("c-_")).unwrap().unwrap(), b"");

    // Putting again replaces; others stay.
    mailbox.put(&name("a"), b"first again").unwrap();
    mailbox.put(&name("a"), b"first again").unwrap();
    assert_eq!(mailbox.read(&name("a")).unwrap().unwrap(), b"first again");
    assert_eq!(mailbox.list().unwrap().len(), 3);

    // Removing removes that one; again is no error.
    mailbox.remove(&name("a")).unwrap();
    mailbox.remove(&name("a")).unwrap();
    assert_eq!(mailbox.read(&name("a")).unwrap(), None);
    assert_eq!(mailbox.list().unwrap(), [name("b.0"), name("c-_")]);

    // The longest name and the largest message pass; one byte more does not, and leaves what was there.
    let longest = name(&"x".repeat(MessageName::MAX_CHARS));
    let largest = vec![0x5a; MAX_MESSAGE_BYTES as usize];
    mailbox.put(&longest, &largest).unwrap();
    assert_eq!(mailbox.read(&longest).unwrap().unwrap(), largest);
    let larger = vec![0; MAX_MESSAGE_BYTES as usize + 1];
    assert!(matches!(mailbox.put(&longest, &larger), Err(Error::MessageTooLarge { .. })));
    assert_eq!(mailbox.read(&longest).unwrap().unwrap(), largest);
    mailbox.remove(&longest).unwrap();

    // Writers and a reader at once: every message that is read is one that was put, whole.
    let variants: Vec<Vec<u8>> = (0..4).map(|i| vec![i; 10_000 + usize::from(i)]).collect();
    let shared = name("shared");
    std::thread::scope(|scope| {
        for variant in &variants {
            let shared = &shared;
            scope.spawn(move || {
                for _ in 0..20 {
                    mailbox.put(shared, variant).unwrap();
                }
            });
        }
        for _ in 0..200 {
            if let Some(read) = mailbox.read(&shared).unwrap() {
                assert!(variants.contains(&read), "{} bytes", read.len());
            }
            for listed in mailbox.list().unwrap() {
                assert!([name("b.0"), name("c-_"), name("shared")].contains(&listed), "{listed}");
            }
        }
    });
    assert!(variants.contains(&mailbox.read(&shared).unwrap().unwrap()));
}

#[test]
fn a_folder_conforms() {
    let folder = tempfile::tempdir().unwrap();
    mailbox_conformance(&FolderMailbox::open_or_create(folder.path().join("mailbox")).unwrap());
}

#[test]
fn a_folder_opened_by_its_place_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let place = Location::Path(folder.path().join("shared/mailbox"));
    mailbox_conformance(mailbox::open(&place).unwrap().as_ref());
}

#[test]
fn an_address_is_refused_with_what_can_be_used() {
    let place: Location = "https://example.com/mailbox".parse().unwrap();
    let error = mailbox::open(&place).unwrap_err();
    assert!(matches!(error, Error::UnsupportedPlace { .. }));
    assert!(error.remedy().unwrap().contains("folder"));
}
