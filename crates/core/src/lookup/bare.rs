//! A bare token: what the platform's event carries in the place of a request, neither sealed nor signed.
//!
//! Encoding, deterministic CBOR: `[1, root, epoch, nonce, asker, kind, profile, key id, token]`. What stands beside the token is there
//! so that a token of another space, epoch, kind or key is refused instead of being known nowhere. Nothing in it is proved: whoever has
//! read it can change it or send it again. The answer is that of a request, sealed to the asker it names and bound to its bytes.

use minicbor::{Decode, Encode};
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};

use super::{LookupRequest, RequestId, VERSION, same};
use crate::{
    cbor,
    error::{Error, Result},
    id::{Epoch, KindName},
    keys::KeyId,
    kind::MAX_PROFILE_BYTES,
    lp::Lp,
    name::PublicName,
    root::Root,
    token::Token,
};

const BARE: &str = "bare token";

/// The head of an array of nine; a request is one of fourteen.
const FIRST_BYTE: u8 = 0x89;

/// What a bare token says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BareHeader {
    /// The space.
    pub root: Root,
    /// The epoch.
    pub epoch: Epoch,
    /// Drawn by who made it, so that no two are the same bytes.
    pub nonce: [u8; 16],
    /// In whose name it asks, and who can open the answer.
    pub asker: PublicName,
    /// The identifier kind.
    pub kind: KindName,
    /// The kind's profile.
    pub profile: String,
    /// The asker's token key with which it was made.
    pub key_id: KeyId,
}

impl BareHeader {
    /// Draws a nonce.
    #[must_use]
    pub fn draw_nonce(rng: &mut impl CryptoRng) -> [u8; 16] {
        let mut nonce = [0; 16];
        rng.fill_bytes(&mut nonce);
        nonce
    }

    /// Refuses a token that is not of this space, epoch and asker, naming what differs.
    ///
    /// # Errors
    /// [`Error::Mismatch`].
    pub fn check(&self, root: &Root, epoch: Epoch, asker: &PublicName) -> Result<()> {
        same(BARE, "root", root, &self.root, ToString::to_string)?;
        same(BARE, "epoch", &epoch, &self.epoch, ToString::to_string)?;
        same(BARE, "asker", asker, &self.asker, PublicName::fingerprint)
    }
}

/// One token, and what it says of itself.
pub struct BareToken {
    header: BareHeader,
    token: Token,
}

impl BareToken {
    /// Takes a token of the asker.
    #[must_use]
    pub fn new(header: BareHeader, token: Token) -> Self {
        Self { header, token }
    }

    /// What it says of itself; nothing of it is proved.
    #[must_use]
    pub fn header(&self) -> &BareHeader {
        &self.header
    }

    /// The token. Whether it is a group element shows when it is fused.
    #[must_use]
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// The id under which it is answered: made of all its bytes, so that nobody can take the id of another request.
    #[must_use]
    pub fn id(&self) -> RequestId {
        let digest = Sha256::digest(Lp::labelled("datafuse/v1/bare-token").field(&self.encode()).into_bytes());
        let mut id = [0; RequestId::BYTES];
        id.copy_from_slice(&digest[..RequestId::BYTES]);
        RequestId(id)
    }

    /// Encodes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let header = &self.header;
        cbor::encode(&BareForm {
            version: VERSION,
            root: *header.root.as_bytes(),
            epoch: header.epoch.0,
            nonce: header.nonce,
            asker: header.asker.to_bytes(),
            kind: header.kind.as_str().to_owned(),
            profile: header.profile.clone(),
            key_id: *header.key_id.as_bytes(),
            token: *self.token.as_bytes(),
        })
    }

    /// Decodes one.
    ///
    /// # Errors
    /// [`Error::UnknownVersion`], [`Error::Malformed`], [`Error::InvalidPublicName`], [`Error::InvalidId`].
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        cbor::check_version(bytes, BARE, VERSION)?;
        let form: BareForm = cbor::decode(bytes, BARE)?;
        if form.profile.len() > MAX_PROFILE_BYTES {
            return Err(Error::Malformed { what: BARE });
        }
        let header = BareHeader {
            root: Root::from_bytes(form.root),
            epoch: Epoch(form.epoch),
            nonce: form.nonce,
            asker: PublicName::from_bytes(&form.asker)?,
            kind: form.kind.parse()?,
            profile: form.profile,
            key_id: KeyId::from_bytes(form.key_id),
        };
        Ok(Self { header, token: Token::from_bytes(form.token) })
    }
}

/// What a holder asks with: a request, or a bare token.
pub enum Asked {
    /// Sealed and signed.
    Sealed(LookupRequest),
    /// Neither.
    Bare(BareToken),
}

impl Asked {
    /// Decodes either; nothing in it is verified yet.
    ///
    /// # Errors
    /// Those of [`LookupRequest::decode`] and [`BareToken::decode`].
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        match bytes.first() {
            Some(&FIRST_BYTE) => BareToken::decode(bytes).map(Self::Bare),
            _ => LookupRequest::decode(bytes).map(Self::Sealed),
        }
    }

    /// The space.
    #[must_use]
    pub fn root(&self) -> &Root {
        match self {
            Self::Sealed(request) => &request.header().root,
            Self::Bare(bare) => &bare.header().root,
        }
    }

    /// The epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        match self {
            Self::Sealed(request) => request.header().epoch,
            Self::Bare(bare) => bare.header().epoch,
        }
    }

    /// The id under which it is answered.
    #[must_use]
    pub fn id(&self) -> RequestId {
        match self {
            Self::Sealed(request) => request.header().id,
            Self::Bare(bare) => bare.id(),
        }
    }

    /// Who asks; of a bare token, in whose name.
    #[must_use]
    pub fn asker(&self) -> &PublicName {
        match self {
            Self::Sealed(request) => &request.header().asker,
            Self::Bare(bare) => &bare.header().asker,
        }
    }

    /// How many tokens it brings.
    #[must_use]
    pub fn customers(&self) -> usize {
        match self {
            Self::Sealed(request) => request.customers(),
            Self::Bare(_) => 1,
        }
    }

    /// The kind of its tokens.
    #[must_use]
    pub fn kind(&self) -> &KindName {
        match self {
            Self::Sealed(request) => &request.header().kind,
            Self::Bare(bare) => &bare.header().kind,
        }
    }

    /// The kind's profile.
    #[must_use]
    pub fn profile(&self) -> &str {
        match self {
            Self::Sealed(request) => &request.header().profile,
            Self::Bare(bare) => &bare.header().profile,
        }
    }

    /// The token key with which it was made.
    #[must_use]
    pub fn key_id(&self) -> &KeyId {
        match self {
            Self::Sealed(request) => &request.header().key_id,
            Self::Bare(bare) => &bare.header().key_id,
        }
    }
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct BareForm {
    #[n(0)]
    version: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    root: [u8; 32],
    #[n(2)]
    epoch: u64,
    #[cbor(n(3), with = "minicbor::bytes")]
    nonce: [u8; 16],
    #[cbor(n(4), with = "minicbor::bytes")]
    asker: [u8; PublicName::BYTES],
    #[n(5)]
    kind: String,
    #[n(6)]
    profile: String,
    #[cbor(n(7), with = "minicbor::bytes")]
    key_id: [u8; KeyId::BYTES],
    #[cbor(n(8), with = "minicbor::bytes")]
    token: [u8; Token::BYTES],
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    use super::{
        super::{AnswerHeader, Found, LookupAnswer, Reply, request_digest},
        *,
    };
    use crate::keys::test_keys;

    fn bare(nonce: u8) -> BareToken {
        let asker = test_keys(1);
        let header = BareHeader {
            root: Root::from_bytes([3; 32]),
            epoch: Epoch(1),
            nonce: [nonce; 16],
            asker: asker.identity().public_name(),
            kind: "email".parse().unwrap(),
            profile: "email-v1".to_owned(),
            key_id: asker.token().key_id(),
        };
        BareToken::new(header, Token::from_bytes([5; 32]))
    }

    #[test]
    fn reads_back_and_is_told_from_a_request() {
        let bytes = bare(1).encode();
        let Asked::Bare(read) = Asked::decode(&bytes).unwrap() else { panic!("a request") };
        assert_eq!(*read.header(), *bare(1).header());
        assert_eq!((read.token().as_bytes(), read.encode()), (&[5; 32], bytes.clone()));
        assert!(matches!(LookupRequest::decode(&bytes), Err(Error::Malformed { .. })));
        for cut in 0..bytes.len() {
            assert!(Asked::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(Asked::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
    }

    #[test]
    fn any_changed_byte_gives_another_id_or_is_refused() {
        let bytes = bare(1).encode();
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            if let Ok(read) = BareToken::decode(&altered) {
                assert_ne!(read.id(), bare(1).id(), "byte {at}");
            }
        }
        assert_ne!(bare(1).id(), bare(2).id());
    }

    #[test]
    fn what_is_of_elsewhere_is_named() {
        let header = bare(1).header().clone();
        let other = test_keys(2).identity().public_name();
        let fields = [
            header.check(&Root::from_bytes([0; 32]), header.epoch, &header.asker),
            header.check(&header.root, Epoch(2), &header.asker),
            header.check(&header.root, header.epoch, &other),
        ];
        let fields = fields.map(|refused| match refused {
            Err(Error::Mismatch { field, .. }) => field,
            other => panic!("{other:?}"),
        });
        assert_eq!(fields, ["root", "epoch", "asker"]);
    }

    #[test]
    fn its_answer_is_bound_to_its_bytes_and_opens_for_its_asker_alone() {
        let (asker, workload) = (test_keys(1), test_keys(2));
        let header = bare(1).header().clone();
        let answered = AnswerHeader {
            root: header.root,
            epoch: header.epoch,
            id: bare(1).id(),
            request: request_digest(&bare(1).encode()),
            asker: header.asker,
            workload: workload.identity().public_name(),
            at: 1_800_000_001,
        };
        let found = Reply::Found(Found { holders: 2, at_least: 1, counts: false, known: vec![1] });
        let mut rng = ChaCha20Rng::seed_from_u64(6);
        let answer = LookupAnswer::seal(answered, &found, workload.identity(), &mut rng).unwrap();
        let signers = [workload.identity().public_name()];
        answer.verify(&bare(1).encode(), &signers).unwrap();
        assert_eq!(answer.open(asker.identity().receive_key()).unwrap(), found);
        assert!(answer.open(workload.identity().receive_key()).is_err());
        let other = answer.verify(&bare(2).encode(), &signers);
        assert!(matches!(other, Err(Error::Mismatch { field: "request", .. })));
    }
}
