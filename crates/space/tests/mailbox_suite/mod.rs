//! What every mailbox does, whatever it is made of: one suite, run against each implementation.

use datafuse_space::{Error, Mailbox, MessageName, mailbox::MAX_MESSAGE_BYTES};

/// A mailbox to try, empty, and what the suite needs to know of it.
pub(crate) struct Place<'a> {
    /// The mailbox.
    pub(crate) mailbox: &'a dyn Mailbox,
    /// Whether it removes messages; an HTTP endpoint does not.
    pub(crate) removes: bool,
    /// Puts one byte under a name as it is, past the mailbox, as somebody else might.
    pub(crate) plant: &'a dyn Fn(&str),
    /// How often each of four writers puts while a reader reads.
    pub(crate) rounds: usize,
}

fn name(text: &str) -> MessageName {
    text.parse().unwrap()
}

/// Runs the suite.
pub(crate) fn conforms(place: &Place<'_>) {
    an_empty_mailbox_is_no_error(place);
    what_is_put_is_listed_sorted_and_read_back(place);
    putting_again_replaces_and_others_stay(place);
    removing_removes_one(place);
    the_largest_passes_and_one_byte_more_does_not(place);
    what_is_no_message_is_passed_over(place);
    every_message_that_is_read_is_one_that_was_put_whole(place);
}

fn an_empty_mailbox_is_no_error(Place { mailbox, removes, .. }: &Place<'_>) {
    assert_eq!(mailbox.list().unwrap(), []);
    assert_eq!(mailbox.read(&name("a.msg")).unwrap(), None);
    if *removes {
        mailbox.remove(&name("a.msg")).unwrap();
    }
}

fn what_is_put_is_listed_sorted_and_read_back(Place { mailbox, .. }: &Place<'_>) {
    mailbox.put(&name("b.0.msg"), b"second\0\xff\r\n").unwrap();
    mailbox.put(&name("a.msg"), b"first").unwrap();
    mailbox.put(&name("c-_.msg"), b"").unwrap();
    assert_eq!(mailbox.list().unwrap(), [name("a.msg"), name("b.0.msg"), name("c-_.msg")]);
    assert_eq!(mailbox.read(&name("b.0.msg")).unwrap().unwrap(), b"second\0\xff\r\n");
    assert_eq!(mailbox.read(&name("c-_.msg")).unwrap().unwrap(), b"");
    assert_eq!(mailbox.read(&name("b.0")).unwrap(), None);
}

fn putting_again_replaces_and_others_stay(Place { mailbox, .. }: &Place<'_>) {
    mailbox.put(&name("a.msg"), b"first again").unwrap();
    mailbox.put(&name("a.msg"), b"first again").unwrap();
    assert_eq!(mailbox.read(&name("a.msg")).unwrap().unwrap(), b"first again");
    assert_eq!(mailbox.list().unwrap().len(), 3);
}

fn removing_removes_one(Place { mailbox, removes, .. }: &Place<'_>) {
    if !removes {
        let error = mailbox.remove(&name("a.msg")).unwrap_err();
        assert!(matches!(error, Error::CannotRemove { .. }), "{error}");
        assert!(error.remedy().is_some());
        assert_eq!(mailbox.list().unwrap().len(), 3);
        return;
    }
    mailbox.remove(&name("a.msg")).unwrap();
    mailbox.remove(&name("a.msg")).unwrap();
    assert_eq!(mailbox.read(&name("a.msg")).unwrap(), None);
    assert_eq!(mailbox.list().unwrap(), [name("b.0.msg"), name("c-_.msg")]);
}

fn the_largest_passes_and_one_byte_more_does_not(Place { mailbox, removes, .. }: &Place<'_>) {
    let longest = name(&format!("{}.msg", "x".repeat(MessageName::MAX_CHARS - 4)));
    let largest = vec![0x5a; MAX_MESSAGE_BYTES as usize];
    mailbox.put(&longest, &largest).unwrap();
    assert!(mailbox.read(&longest).unwrap().unwrap() == largest);
    let larger = vec![0; MAX_MESSAGE_BYTES as usize + 1];
    assert!(matches!(mailbox.put(&longest, &larger), Err(Error::MessageTooLarge { .. })));
    assert!(mailbox.read(&longest).unwrap().unwrap() == largest);
    if *removes {
        mailbox.remove(&longest).unwrap();
    }
}

fn what_is_no_message_is_passed_over(Place { mailbox, plant, .. }: &Place<'_>) {
    let before = mailbox.list().unwrap();
    for foreign in ["README.MSG", "with space.msg", "ünïcode.msg", ".hidden.msg", "below/d.msg", "below/deeper/e.msg"]
    {
        plant(foreign);
    }
    assert_eq!(mailbox.list().unwrap(), before);
    plant("planted.msg");
    assert_eq!(mailbox.list().unwrap().len(), before.len() + 1);
    assert_eq!(mailbox.read(&name("planted.msg")).unwrap().unwrap(), b"x");
    // The name of what lies deeper is no message either.
    assert_eq!(mailbox.read(&name("below")).unwrap(), None);
}

fn every_message_that_is_read_is_one_that_was_put_whole(Place { mailbox, rounds, .. }: &Place<'_>) {
    let variants: Vec<Vec<u8>> = (0..4).map(|i| vec![i; 10_000 + usize::from(i)]).collect();
    let shared = name("shared.msg");
    let mut known = mailbox.list().unwrap();
    known.push(shared.clone());
    std::thread::scope(|scope| {
        for variant in &variants {
            let shared = &shared;
            scope.spawn(move || {
                for _ in 0..*rounds {
                    mailbox.put(shared, variant).unwrap();
                }
            });
        }
        for _ in 0..*rounds {
            if let Some(read) = mailbox.read(&shared).unwrap() {
                assert!(variants.contains(&read), "{} bytes", read.len());
            }
            for listed in mailbox.list().unwrap() {
                assert!(known.contains(&listed), "{listed}");
            }
        }
    });
    assert!(variants.contains(&mailbox.read(&shared).unwrap().unwrap()));
}
