//! Messages between parties: sealed to the receiver, signed by the sender, bound to space, epoch, round and both names.
//!
//! The header travels in clear (it holds names that are public anyway) and enters `info` whole, so a message for another
//! space, epoch, round, sender or receiver neither verifies nor opens. Encoding:
//! `[1, root, epoch, round, sender, receiver, subject / null, [key id...], serial, enc, ciphertext, signature]`, deterministic CBOR.

use minicbor::{Decode, Encode};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::{
    cbor,
    error::{Error, Result},
    id::Epoch,
    keys::{Identity, KeyId},
    lp::Lp,
    name::PublicName,
    root::Root,
    seal::{ReceiveKey, Sealed, seal},
};

const VERSION: u64 = 1;
const WHAT: &str = "message";

/// The steps of the protocol that send a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Round {
    /// A steward's blinded share, to a holder (`v_ij`).
    ShareToHolder,
    /// A steward's blind and the point of its share, to the workload (`r_ij`, `S_j`).
    BlindToWorkload,
    /// A holder's answer, to the workload (`y_i`).
    AnswerToWorkload,
    /// A holder's change to another token key, to the workload (`u`).
    RotationToWorkload,
    /// A holder's wish to be enrolled anew, to the workload (no number).
    WithdrawalToWorkload,
}

impl Round {
    /// The fixed name that is bound into every message of this round.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ShareToHolder => "share-to-holder",
            Self::BlindToWorkload => "blind-to-workload",
            Self::AnswerToWorkload => "answer-to-workload",
            Self::RotationToWorkload => "rotation-to-workload",
            Self::WithdrawalToWorkload => "withdrawal-to-workload",
        }
    }

    fn parse(text: &str) -> Result<Self> {
        let all = [
            Self::ShareToHolder,
            Self::BlindToWorkload,
            Self::AnswerToWorkload,
            Self::RotationToWorkload,
            Self::WithdrawalToWorkload,
        ];
        all.into_iter().find(|round| round.as_str() == text).ok_or(Error::Malformed { what: WHAT })
    }
}

/// What a message says of itself, in clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The space.
    pub root: Root,
    /// The epoch.
    pub epoch: Epoch,
    /// The step.
    pub round: Round,
    /// Who signs.
    pub sender: PublicName,
    /// Who can open.
    pub receiver: PublicName,
    /// The holder whom a steward's blind is for; nobody in the other rounds, where sender or receiver is the holder.
    pub subject: Option<PublicName>,
    /// The token keys it is about: of an answer the key answered with, then those that it replaces, newest first; of a
    /// rotation the key until now and the next; of a withdrawal the key that the workload has; none in a steward's messages.
    pub key_ids: Vec<KeyId>,
    /// To the workload: the serial of the announcement whose message key it is sealed to. To a holder: 0.
    pub serial: u64,
}

impl Header {
    /// Refuses a header that is not for this space, epoch and receiver, naming what differs.
    ///
    /// # Errors
    /// [`Error::Mismatch`].
    pub fn check(&self, root: &Root, epoch: Epoch, receiver: &PublicName) -> Result<()> {
        let mismatch = |field, expected: String, found: String| Error::Mismatch { what: WHAT, field, expected, found };
        if self.root != *root {
            return Err(mismatch("root", root.to_string(), self.root.to_string()));
        }
        if self.epoch != epoch {
            return Err(mismatch("epoch", epoch.to_string(), self.epoch.to_string()));
        }
        if self.receiver != *receiver {
            return Err(mismatch("receiver", receiver.fingerprint(), self.receiver.fingerprint()));
        }
        Ok(())
    }

    /// The name under which a message with this header lies in a mailbox: round and 16 bytes of the SHA-256 of the header in
    /// hex. Repeating a step meets the same name; a new key or a new announcement gives another.
    #[must_use]
    pub fn message_name(&self) -> String {
        use sha2::Digest;
        format!("{}-{}.msg", self.round.as_str(), hex::encode(&sha2::Sha256::digest(self.info())[..16]))
    }

    fn info(&self) -> Vec<u8> {
        Lp::labelled("datafuse/v1/message")
            .field(self.root.as_bytes())
            .integer(self.epoch.0)
            .field(self.round.as_str().as_bytes())
            .field(&self.sender.to_bytes())
            .field(&self.receiver.to_bytes())
            .field(self.subject.as_ref().map(PublicName::to_bytes).as_ref().map_or(&[], |name| name.as_slice()))
            .list(self.key_ids.iter().map(KeyId::as_bytes))
            .integer(self.serial)
            .into_bytes()
    }
}

/// A sealed and signed message.
pub struct Message {
    header: Header,
    sealed: Sealed,
    signature: [u8; 64],
}

impl Message {
    /// Seals a payload to `receive_key` and signs it as the header's sender.
    ///
    /// # Errors
    /// [`Error::Unopenable`] where the receiver's key cannot be sealed to.
    ///
    /// # Panics
    /// When `identity` is not the header's sender.
    pub fn seal(
        header: Header,
        payload: &[u8],
        receive_key: &[u8; 32],
        identity: &Identity,
        rng: &mut impl CryptoRng,
    ) -> Result<Self> {
        assert_eq!(header.sender, identity.public_name(), "a party signs its own messages");
        let info = header.info();
        let sealed = seal(WHAT, receive_key, &info, payload, rng)?;
        let signature = identity.sign(&sealed.signed_with(&info));
        Ok(Self { header, sealed, signature })
    }

    /// What the message says of itself; not yet verified.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Verifies the sender's signature, as anybody can.
    ///
    /// # Errors
    /// [`Error::BadSignature`].
    pub fn verify(&self) -> Result<()> {
        self.header.sender.verify(WHAT, &self.sealed.signed_with(&self.header.info()), &self.signature)
    }

    /// Verifies the sender's signature, then opens the payload.
    ///
    /// # Errors
    /// [`Error::BadSignature`], [`Error::Unopenable`].
    pub fn open(&self, key: &ReceiveKey) -> Result<Zeroizing<Vec<u8>>> {
        self.verify()?;
        key.open(WHAT, &self.header.info(), &self.sealed)
    }

    /// Encodes the message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let header = &self.header;
        cbor::encode(&MessageForm {
            version: VERSION,
            root: *header.root.as_bytes(),
            epoch: header.epoch.0,
            round: header.round.as_str().to_owned(),
            sender: header.sender.to_bytes(),
            receiver: header.receiver.to_bytes(),
            subject: header.subject.as_ref().map(|name| name.to_bytes().into()),
            key_ids: header.key_ids.iter().map(|id| (*id.as_bytes()).into()).collect(),
            serial: header.serial,
            enc: self.sealed.enc,
            ciphertext: self.sealed.ciphertext.clone(),
            signature: self.signature,
        })
    }

    /// Decodes a message; nothing in it is verified yet.
    ///
    /// # Errors
    /// [`Error::UnknownVersion`], [`Error::Malformed`], [`Error::InvalidPublicName`].
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        cbor::check_version(bytes, WHAT, VERSION)?;
        let form: MessageForm = cbor::decode(bytes, WHAT)?;
        let header = Header {
            root: Root::from_bytes(form.root),
            epoch: Epoch(form.epoch),
            round: Round::parse(&form.round)?,
            sender: PublicName::from_bytes(&form.sender)?,
            receiver: PublicName::from_bytes(&form.receiver)?,
            subject: form.subject.map(|name| PublicName::from_bytes(name.as_slice())).transpose()?,
            key_ids: form.key_ids.iter().map(|id| KeyId::from_bytes(**id)).collect(),
            serial: form.serial,
        };
        Ok(Self { header, sealed: Sealed { enc: form.enc, ciphertext: form.ciphertext }, signature: form.signature })
    }
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct MessageForm {
    #[n(0)]
    version: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    root: [u8; 32],
    #[n(2)]
    epoch: u64,
    #[n(3)]
    round: String,
    #[cbor(n(4), with = "minicbor::bytes")]
    sender: [u8; PublicName::BYTES],
    #[cbor(n(5), with = "minicbor::bytes")]
    receiver: [u8; PublicName::BYTES],
    #[n(6)]
    subject: Option<minicbor::bytes::ByteArray<{ PublicName::BYTES }>>,
    #[n(7)]
    key_ids: Vec<minicbor::bytes::ByteArray<{ KeyId::BYTES }>>,
    #[n(8)]
    serial: u64,
    #[cbor(n(9), with = "minicbor::bytes")]
    enc: [u8; 32],
    #[cbor(n(10), with = "minicbor::bytes")]
    ciphertext: Vec<u8>,
    #[cbor(n(11), with = "minicbor::bytes")]
    signature: [u8; 64],
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    use super::*;
    use crate::keys::{PartyKeys, test_keys};

    fn sample(sender: &PartyKeys, receiver: &PartyKeys) -> Message {
        let header = Header {
            root: Root::from_bytes([3; 32]),
            epoch: Epoch(1),
            round: Round::AnswerToWorkload,
            sender: sender.identity().public_name(),
            receiver: receiver.identity().public_name(),
            subject: None,
            key_ids: vec![sender.token().key_id()],
            serial: 4,
        };
        let key = receiver.identity().receive_key().public();
        Message::seal(header, b"payload", &key, sender.identity(), &mut ChaCha20Rng::seed_from_u64(9)).unwrap()
    }

    #[test]
    fn opens_for_its_receiver_alone() {
        let (sender, receiver) = (test_keys(1), test_keys(2));
        let message = Message::decode(&sample(&sender, &receiver).encode()).unwrap();
        assert_eq!(message.open(receiver.identity().receive_key()).unwrap().as_slice(), b"payload");
        assert_eq!(message.open(sender.identity().receive_key()).err(), Some(Error::Unopenable { what: "message" }));
    }

    #[test]
    fn a_message_altered_in_any_byte_is_refused() {
        let (sender, receiver) = (test_keys(1), test_keys(2));
        let bytes = sample(&sender, &receiver).encode();
        for at in 0..bytes.len() {
            for flip in [0x01, 0x80] {
                let mut altered = bytes.clone();
                altered[at] ^= flip;
                let opened =
                    Message::decode(&altered).and_then(|message| message.open(receiver.identity().receive_key()));
                assert!(opened.is_err(), "byte {at} altered by {flip:#x} was accepted");
            }
        }
        for cut in 0..bytes.len() {
            assert!(Message::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn the_receiver_cannot_forge_another_sender() {
        let (sender, receiver, other) = (test_keys(1), test_keys(2), test_keys(3));
        let mut message = sample(&receiver, &receiver);
        message.header.sender = sender.identity().public_name();
        assert!(matches!(message.open(receiver.identity().receive_key()), Err(Error::BadSignature { .. })));
        let header = sample(&sender, &receiver).header;
        assert!(matches!(
            header.check(&header.root, Epoch(2), &header.receiver),
            Err(Error::Mismatch { field: "epoch", .. })
        ));
        assert!(matches!(
            header.check(&Root::from_bytes([0; 32]), header.epoch, &header.receiver),
            Err(Error::Mismatch { field: "root", .. })
        ));
        assert!(matches!(
            header.check(&header.root, header.epoch, &other.identity().public_name()),
            Err(Error::Mismatch { field: "receiver", .. })
        ));
    }
}
