//! Who may put what into a mailbox that is open to the network: only parties of the roster, only messages of this space that
//! they signed, only under the name that the message gives itself.
//!
//! So a stranger can neither fill the mailbox nor put something in the place of another's message. What a message holds is not
//! looked at: it is sealed, and its receiver checks it.

use std::sync::{Mutex, PoisonError};

use datafuse_core::message::Message;

use super::{MessageName, is_message, refuse_too_large};
use crate::{
    agreement::Space,
    error::{Error, Result},
};

/// The admission to a mailbox whose agreement may change while it is served.
pub struct Admission {
    space: Mutex<Space>,
}

impl Admission {
    /// Admits by a space, and by what its file becomes.
    #[must_use]
    pub fn new(space: Space) -> Self {
        Self { space: Mutex::new(space) }
    }

    /// As [`admit`]; whoever is refused may have joined since the agreement was read last, so it is read again.
    ///
    /// # Errors
    /// Those of [`admit`].
    pub fn admit(&self, name: &MessageName, bytes: &[u8]) -> Result<()> {
        let mut space = self.space.lock().unwrap_or_else(PoisonError::into_inner);
        match admit(&space, name, bytes) {
            Err(Error::NotAdmitted { rule: STRANGER }) => {}
            other => return other,
        }
        // One that cannot be read just now, or is another space, changes nothing.
        if let Ok(Some(newer)) = space.reread()
            && newer.root() == space.root()
        {
            *space = newer;
        }
        admit(&space, name, bytes)
    }
}

const STRANGER: &str = "its sender is not a party of the space";

/// Refuses what no party of the space could have sent. Variable-time in the message, which is public.
///
/// # Errors
/// [`Error::MessageTooLarge`]; [`Error::NotAdmitted`] with the rule that the message breaks.
pub fn admit(space: &Space, name: &MessageName, bytes: &[u8]) -> Result<()> {
    refuse_too_large(name, bytes.len() as u64)?;
    let refused = |rule| Error::NotAdmitted { rule };
    if !is_message(name) {
        return Err(refused("only the workload writes announcements and statuses"));
    }
    let message = Message::decode(bytes).map_err(|_| refused("it is not an enrolment message"))?;
    let header = message.header();
    if header.root != space.root() {
        return Err(refused("it is for another space"));
    }
    if space.party(&header.sender).is_none() {
        return Err(refused(STRANGER));
    }
    if header.message_name() != name.as_str() {
        return Err(refused("its name is not the one that the message gives itself"));
    }
    message.verify().map_err(|_| refused("its signature is not its sender's"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafuse_core::{
        id::Epoch,
        keys::PartyKeys,
        message::{Header, Round},
        root::Root,
    };
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    use super::*;
    use crate::{agreement::example, mailbox::MAX_MESSAGE_BYTES, testing::keys};

    /// A message from one party to another, and its name.
    fn message(sender: &PartyKeys, root: Root) -> (MessageName, Vec<u8>) {
        let header = Header {
            root,
            epoch: Epoch(1),
            round: Round::AnswerToWorkload,
            sender: sender.identity().public_name(),
            receiver: keys(1).identity().public_name(),
            subject: None,
            key_ids: vec![sender.token().key_id()],
            serial: 1,
        };
        let name = header.message_name().parse().unwrap();
        let to = keys(1).identity().receive_key().public();
        let message = Message::seal(header, b"payload", &to, sender.identity(), &mut ChaCha20Rng::seed_from_u64(9));
        (name, message.unwrap().encode())
    }

    #[test]
    fn only_a_partys_own_message_is_admitted_and_only_under_its_name() {
        let space = example::space();
        let rule = |name: &MessageName, bytes: &[u8]| match admit(&space, name, bytes) {
            Ok(()) => "",
            Err(Error::NotAdmitted { rule }) => rule,
            Err(other) => panic!("{other}"),
        };
        for seed in [1, 2, 3] {
            let (name, bytes) = message(&keys(seed), space.root());
            assert_eq!(rule(&name, &bytes), "");
        }
        let (name, bytes) = message(&keys(2), space.root());
        assert!(rule(&"announcement-x.cbor".parse().unwrap(), &bytes).contains("announcements"));
        assert!(rule(&name, b"noise").contains("not an enrolment message"));
        assert!(rule(&"answer-to-workload-00.msg".parse().unwrap(), &bytes).contains("name"));
        let (other, stranger) = message(&keys(9), space.root());
        assert!(rule(&other, &stranger).contains("sender"));
        let (other, foreign) = message(&keys(2), Root::from_bytes([7; 32]));
        assert!(rule(&other, &foreign).contains("another space"));
        let mut forged = bytes.clone();
        *forged.last_mut().unwrap() ^= 1;
        assert!(rule(&name, &forged).contains("signature"));
    }

    #[test]
    fn who_joined_since_is_admitted_and_who_did_not_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (path, yaml) = (folder.path().join("space.yaml"), example::yaml());
        std::fs::write(&path, &yaml).unwrap();
        let space = Space::read(&path).unwrap();
        let root = space.root();
        let admission = Admission::new(space);
        let (name, bytes) = message(&keys(4), root);
        assert!(matches!(admission.admit(&name, &bytes), Err(Error::NotAdmitted { rule: STRANGER })));
        let joined = format!("participants:\n  initech: {{ roles: [holder], name: {} }}", crate::testing::name(4));
        std::fs::write(&path, "broken: [").unwrap();
        assert!(admission.admit(&name, &bytes).is_err());
        std::fs::write(&path, yaml.replace("participants:", &joined)).unwrap();
        admission.admit(&name, &bytes).unwrap();
        let (name, bytes) = message(&keys(2), root);
        admission.admit(&name, &bytes).unwrap();
    }

    #[test]
    fn an_oversized_message_is_refused_undecoded() {
        let bytes = vec![0; MAX_MESSAGE_BYTES as usize + 1];
        let refused = admit(&example::space(), &"a.msg".parse().unwrap(), &bytes);
        assert!(matches!(refused, Err(Error::MessageTooLarge { .. })));
    }
}
