//! Look-ups: a holder asks at how many other holders some of its identifiers are known, and only it can read the answer.
//!
//! A request carries tokens, sealed to the workload's message key and signed by the asker; the answer is sealed to the asker and signed
//! by the workload, and bound to the very bytes of the request. Encodings, deterministic CBOR:
//! - request: `[1, root, epoch, id, asker, workload, kind, profile, key id, serial, at, enc, ciphertext, signature]`, sealed `[1, tokens]`
//! - answer, also that to a [bare token](BareToken): `[1, root, epoch, id, SHA-256 of the request, asker, workload, at, enc, ciphertext, signature]`, sealed [`Reply`]
//!
//! What stands in clear enters `info` whole, as in [messages](crate::message). Whether an id was seen before, and what the agreement
//! allows, is not known here.

use minicbor::{Decode, Encode};
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{
    cbor,
    error::{Error, Result},
    id::{Epoch, KindName},
    keys::{Identity, KeyId},
    kind::MAX_PROFILE_BYTES,
    lp::Lp,
    name::PublicName,
    root::Root,
    seal::{ReceiveKey, Sealed, seal},
    token::Token,
};

mod bare;

pub use bare::{Asked, BareHeader, BareToken};

const VERSION: u64 = 1;
const REQUEST: &str = "look-up";
const ANSWER: &str = "answer";

/// What is sealed beside tokens: three heads of CBOR in at least four bytes, and the tag.
const SEALED_BEYOND_TOKENS: usize = 4 + 16;

/// The most tokens of one request: with them an event stays below 64 KiB.
pub const MAX_TOKENS: usize = 1000;

/// 16 random bytes that name one request, drawn by its asker.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId([u8; Self::BYTES]);

impl RequestId {
    /// Length in bytes.
    pub const BYTES: usize = 16;

    /// Draws a new one.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = [0; Self::BYTES];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// Takes the bytes of one.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// Gives the bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&hex::encode(self.0))
    }
}

impl std::fmt::Debug for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RequestId({self})")
    }
}

/// What a request says of itself, in clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// The space.
    pub root: Root,
    /// The epoch.
    pub epoch: Epoch,
    /// Which request it is; the workload accepts each once.
    pub id: RequestId,
    /// Who asks, and signs.
    pub asker: PublicName,
    /// Who can open it.
    pub workload: PublicName,
    /// The identifier kind of all its tokens.
    pub kind: KindName,
    /// The kind's profile.
    pub profile: String,
    /// The asker's token key with which they were made.
    pub key_id: KeyId,
    /// The serial of the announcement whose message key it is sealed to.
    pub serial: u64,
    /// When it was made, in seconds since 1970.
    pub at: u64,
}

impl RequestHeader {
    /// Refuses a request that is not of this space, epoch, asker and workload, naming what differs.
    ///
    /// # Errors
    /// [`Error::Mismatch`].
    pub fn check(&self, root: &Root, epoch: Epoch, asker: &PublicName, workload: &PublicName) -> Result<()> {
        same(REQUEST, "root", root, &self.root, ToString::to_string)?;
        same(REQUEST, "epoch", &epoch, &self.epoch, ToString::to_string)?;
        same(REQUEST, "asker", asker, &self.asker, PublicName::fingerprint)?;
        same(REQUEST, "receiver", workload, &self.workload, PublicName::fingerprint)
    }

    fn info(&self) -> Vec<u8> {
        Lp::labelled("datafuse/v1/lookup-request")
            .field(self.root.as_bytes())
            .integer(self.epoch.0)
            .field(self.id.as_bytes())
            .field(&self.asker.to_bytes())
            .field(&self.workload.to_bytes())
            .field(self.kind.as_str().as_bytes())
            .field(self.profile.as_bytes())
            .field(self.key_id.as_bytes())
            .integer(self.serial)
            .integer(self.at)
            .into_bytes()
    }
}

/// A sealed and signed request.
pub struct LookupRequest {
    header: RequestHeader,
    sealed: Sealed,
    signature: [u8; 64],
}

impl LookupRequest {
    /// Seals tokens to the workload's message key and signs them as the asker.
    ///
    /// # Errors
    /// [`Error::Unopenable`] where the key cannot be sealed to; [`Error::Malformed`] for no token, or more than [`MAX_TOKENS`].
    ///
    /// # Panics
    /// When `identity` is not the header's asker.
    pub fn seal(
        header: RequestHeader,
        tokens: &[Token],
        message_key: &[u8; 32],
        identity: &Identity,
        rng: &mut impl CryptoRng,
    ) -> Result<Self> {
        assert_eq!(header.asker, identity.public_name(), "a party signs its own requests");
        check_count(tokens.len())?;
        let tokens = tokens.iter().flat_map(|token| *token.as_bytes()).collect();
        let payload = zeroize::Zeroizing::new(cbor::encode(&TokensForm { version: VERSION, tokens }));
        let info = header.info();
        let sealed = seal(REQUEST, message_key, &info, &payload, rng)?;
        let signature = identity.sign(&sealed.signed_with(&info));
        Ok(Self { header, sealed, signature })
    }

    /// What the request says of itself; not yet verified.
    #[must_use]
    pub fn header(&self) -> &RequestHeader {
        &self.header
    }

    /// How many tokens it brings, by its length: anybody can tell.
    #[must_use]
    pub fn customers(&self) -> usize {
        self.sealed.ciphertext.len().saturating_sub(SEALED_BEYOND_TOKENS) / Token::BYTES
    }

    /// Verifies the asker's signature, as anybody can.
    ///
    /// # Errors
    /// [`Error::BadSignature`].
    pub fn verify(&self) -> Result<()> {
        self.header.asker.verify(REQUEST, &self.sealed.signed_with(&self.header.info()), &self.signature)
    }

    /// Verifies the signature, then opens the tokens, in the order of the asker. Whether they are group elements shows when they are
    /// fused.
    ///
    /// # Errors
    /// [`Error::BadSignature`], [`Error::Unopenable`], [`Error::UnknownVersion`], [`Error::Malformed`].
    pub fn open(&self, key: &ReceiveKey) -> Result<Vec<Token>> {
        self.verify()?;
        let payload = key.open(REQUEST, &self.header.info(), &self.sealed)?;
        cbor::check_version(&payload, REQUEST, VERSION)?;
        let form: TokensForm = cbor::decode(&payload, REQUEST)?;
        let (tokens, []) = form.tokens.as_chunks() else { return Err(Error::Malformed { what: REQUEST }) };
        check_count(tokens.len())?;
        Ok(tokens.iter().map(|token| Token::from_bytes(*token)).collect())
    }

    /// Encodes the request.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let header = &self.header;
        cbor::encode(&RequestForm {
            version: VERSION,
            root: *header.root.as_bytes(),
            epoch: header.epoch.0,
            id: header.id.0,
            asker: header.asker.to_bytes(),
            workload: header.workload.to_bytes(),
            kind: header.kind.as_str().to_owned(),
            profile: header.profile.clone(),
            key_id: *header.key_id.as_bytes(),
            serial: header.serial,
            at: header.at,
            enc: self.sealed.enc,
            ciphertext: self.sealed.ciphertext.clone(),
            signature: self.signature,
        })
    }

    /// Decodes a request; nothing in it is verified yet.
    ///
    /// # Errors
    /// [`Error::UnknownVersion`], [`Error::Malformed`], [`Error::InvalidPublicName`], [`Error::InvalidId`].
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        cbor::check_version(bytes, REQUEST, VERSION)?;
        let form: RequestForm = cbor::decode(bytes, REQUEST)?;
        if form.profile.len() > MAX_PROFILE_BYTES {
            return Err(Error::Malformed { what: REQUEST });
        }
        let header = RequestHeader {
            root: Root::from_bytes(form.root),
            epoch: Epoch(form.epoch),
            id: RequestId(form.id),
            asker: PublicName::from_bytes(&form.asker)?,
            workload: PublicName::from_bytes(&form.workload)?,
            kind: form.kind.parse()?,
            profile: form.profile,
            key_id: KeyId::from_bytes(form.key_id),
            serial: form.serial,
            at: form.at,
        };
        Ok(Self { header, sealed: Sealed { enc: form.enc, ciphertext: form.ciphertext }, signature: form.signature })
    }
}

/// What an answer says of itself, in clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerHeader {
    /// The space.
    pub root: Root,
    /// The epoch.
    pub epoch: Epoch,
    /// The request that it answers.
    pub id: RequestId,
    /// SHA-256 of that request's bytes ([`request_digest`]).
    pub request: [u8; 32],
    /// Who asked, and can open it.
    pub asker: PublicName,
    /// Who answers, and signs.
    pub workload: PublicName,
    /// When it was made, in seconds since 1970.
    pub at: u64,
}

impl AnswerHeader {
    fn info(&self) -> Vec<u8> {
        Lp::labelled("datafuse/v1/lookup-answer")
            .field(self.root.as_bytes())
            .integer(self.epoch.0)
            .field(self.id.as_bytes())
            .field(&self.request)
            .field(&self.asker.to_bytes())
            .field(&self.workload.to_bytes())
            .integer(self.at)
            .into_bytes()
    }
}

/// SHA-256 of a request's bytes: what an answer is bound to.
#[must_use]
pub fn request_digest(request: &[u8]) -> [u8; 32] {
    Sha256::digest(request).into()
}

/// The word under which an answer lies in the mailbox: SHA-256 over asker and request id, 16 bytes as hex.
///
/// Ids are their askers' choice: were the name the id alone, the answer to somebody who repeats another's id would lie in the place of
/// the other's.
#[must_use]
pub fn answer_word(asker: &PublicName, id: &RequestId) -> String {
    let named = Lp::labelled("datafuse/v1/lookup-answer-name").field(&asker.to_bytes()).field(id.as_bytes());
    hex::encode(&Sha256::digest(named.into_bytes())[..16])
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// What was found, a number for each token in the order of the request.
    Found(Found),
    /// Nothing was looked up.
    Refused(RefusedLookup),
}

/// What was found.
#[derive(Clone, PartialEq, Eq)]
pub struct Found {
    /// How many holders were looked at.
    pub holders: u32,
    /// At how many holders a token has to be known to count as known.
    pub at_least: u32,
    /// Whether `known` counts holders. If not, it is 1 for known and 0 for not.
    pub counts: bool,
    /// For each token 0, or what `counts` says.
    pub known: Vec<u32>,
}

/// Shows how much was asked; what came of it is the asker's alone.
impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Found").field("tokens", &self.known.len()).finish_non_exhaustive()
    }
}

/// Why nothing was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusedLookup {
    /// The asker is not among those whom the agreement lets ask.
    Asker,
    /// The asker's look-ups of the day do not suffice for all tokens.
    Budget,
    /// Fewer holders can be looked at than the agreement asks for.
    TooFewHolders,
    /// It is sealed to a message key that was replaced since, or was made too long ago.
    Stale,
    /// It was made with a token key, or for a kind or profile, that the asker is not enrolled for.
    Key,
    /// A token in it is none.
    Token,
}

impl RefusedLookup {
    const ALL: [Self; 6] = [Self::Asker, Self::Budget, Self::TooFewHolders, Self::Stale, Self::Key, Self::Token];

    /// The fixed word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asker => "asker",
            Self::Budget => "budget",
            Self::TooFewHolders => "too-few-holders",
            Self::Stale => "stale",
            Self::Key => "key",
            Self::Token => "token",
        }
    }

    /// The fact, for a person.
    #[must_use]
    pub fn fact(self) -> &'static str {
        match self {
            Self::Asker => "the agreement does not let this party look customers up",
            Self::Budget => "this party's look-ups of the day do not suffice for this request",
            Self::TooFewHolders => "fewer holders can be looked at than the agreement asks for",
            Self::Stale => "the request is sealed to a key of the workload that was replaced, or is older than a week",
            Self::Key => {
                "the request was made with a token key, a kind or a profile that the party is not enrolled for"
            }
            Self::Token => "the request holds a token that is not a group element",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Asker => "have all participants agree on it in space.yaml: policy.lookups.askers",
            Self::Budget => {
                "ask for fewer, or again tomorrow (UTC); space.yaml says how many in policy.lookups.per_day"
            }
            Self::TooFewHolders => {
                "ask again when more holders' datasets are fused; see policy.lookups: at_least and min_rows, and who allows look-ups"
            }
            Self::Stale => "make the request again: datafuse token make",
            Self::Key => {
                "run datafuse enrol with the key file in use, then make the request again: datafuse token make"
            }
            Self::Token => "make the request again with an unmodified datafuse",
        }
    }
}

impl Reply {
    /// Numbers of the same width, so that the length of what is sealed tells no more than how many tokens were asked.
    fn form(&self) -> ReplyForm {
        match self {
            Self::Found(found) => ReplyForm {
                version: VERSION,
                refused: String::new(),
                holders: found.holders,
                at_least: found.at_least,
                counts: found.counts,
                known: found.known.iter().flat_map(|known| known.to_be_bytes()).collect(),
            },
            Self::Refused(reason) => ReplyForm {
                version: VERSION,
                refused: reason.as_str().to_owned(),
                holders: 0,
                at_least: 0,
                counts: false,
                known: Vec::new(),
            },
        }
    }

    fn of(form: &ReplyForm) -> Result<Self> {
        let malformed = Error::Malformed { what: ANSWER };
        if !form.refused.is_empty() {
            let reason = RefusedLookup::ALL.into_iter().find(|reason| reason.as_str() == form.refused);
            return reason.map(Self::Refused).ok_or(malformed);
        }
        let (known, []) = form.known.as_chunks() else { return Err(malformed) };
        Ok(Self::Found(Found {
            holders: form.holders,
            at_least: form.at_least,
            counts: form.counts,
            known: known.iter().map(|known| u32::from_be_bytes(*known)).collect(),
        }))
    }
}

/// A sealed and signed answer.
pub struct LookupAnswer {
    header: AnswerHeader,
    sealed: Sealed,
    signature: [u8; 64],
}

impl LookupAnswer {
    /// Seals a reply to its asker and signs it as the workload.
    ///
    /// # Errors
    /// [`Error::Unopenable`] where the asker's key cannot be sealed to.
    ///
    /// # Panics
    /// When `identity` is not the header's workload.
    pub fn seal(header: AnswerHeader, reply: &Reply, identity: &Identity, rng: &mut impl CryptoRng) -> Result<Self> {
        assert_eq!(header.workload, identity.public_name(), "the workload signs its own answers");
        let payload = zeroize::Zeroizing::new(cbor::encode(&reply.form()));
        let info = header.info();
        let sealed = seal(ANSWER, header.asker.receive_key(), &info, &payload, rng)?;
        let signature = identity.sign(&sealed.signed_with(&info));
        Ok(Self { header, sealed, signature })
    }

    /// What the answer says of itself; not yet verified.
    #[must_use]
    pub fn header(&self) -> &AnswerHeader {
        &self.header
    }

    /// Verifies that it answers these very bytes of a request or bare token and is signed by a workload of these names.
    ///
    /// # Errors
    /// [`Error::Mismatch`], [`Error::BadSignature`]; those of [`Asked::decode`].
    pub fn verify(&self, request: &[u8], workload: &[PublicName]) -> Result<()> {
        let asked = Asked::decode(request)?;
        let header = &self.header;
        same(ANSWER, "root", asked.root(), &header.root, ToString::to_string)?;
        same(ANSWER, "epoch", &asked.epoch(), &header.epoch, ToString::to_string)?;
        same(ANSWER, "request", &asked.id(), &header.id, ToString::to_string)?;
        same(ANSWER, "request's SHA-256", &request_digest(request), &header.request, |digest| hex::encode(digest))?;
        same(ANSWER, "asker", asked.asker(), &header.asker, PublicName::fingerprint)?;
        if !workload.contains(&header.workload) {
            let expected = workload.first().map(PublicName::fingerprint).unwrap_or_default();
            let found = header.workload.fingerprint();
            return Err(Error::Mismatch { what: ANSWER, field: "workload", expected, found });
        }
        header.workload.verify(ANSWER, &self.sealed.signed_with(&header.info()), &self.signature)
    }

    /// Opens an answer that was [verified](Self::verify) as its asker.
    ///
    /// # Errors
    /// [`Error::Unopenable`], [`Error::UnknownVersion`], [`Error::Malformed`].
    pub fn open(&self, asker: &ReceiveKey) -> Result<Reply> {
        let payload = asker.open(ANSWER, &self.header.info(), &self.sealed)?;
        cbor::check_version(&payload, ANSWER, VERSION)?;
        Reply::of(&cbor::decode(&payload, ANSWER)?)
    }

    /// Encodes the answer.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let header = &self.header;
        cbor::encode(&AnswerForm {
            version: VERSION,
            root: *header.root.as_bytes(),
            epoch: header.epoch.0,
            id: header.id.0,
            request: header.request,
            asker: header.asker.to_bytes(),
            workload: header.workload.to_bytes(),
            at: header.at,
            enc: self.sealed.enc,
            ciphertext: self.sealed.ciphertext.clone(),
            signature: self.signature,
        })
    }

    /// Decodes an answer; nothing in it is verified yet.
    ///
    /// # Errors
    /// [`Error::UnknownVersion`], [`Error::Malformed`], [`Error::InvalidPublicName`].
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        cbor::check_version(bytes, ANSWER, VERSION)?;
        let form: AnswerForm = cbor::decode(bytes, ANSWER)?;
        let header = AnswerHeader {
            root: Root::from_bytes(form.root),
            epoch: Epoch(form.epoch),
            id: RequestId(form.id),
            request: form.request,
            asker: PublicName::from_bytes(&form.asker)?,
            workload: PublicName::from_bytes(&form.workload)?,
            at: form.at,
        };
        Ok(Self { header, sealed: Sealed { enc: form.enc, ciphertext: form.ciphertext }, signature: form.signature })
    }
}

/// Writes a request or an answer as one line of text (base64).
#[must_use]
pub fn to_text(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Reads the text of a request or an answer; white space around it is passed over.
///
/// # Errors
/// [`Error::Malformed`].
pub fn from_text(text: &str) -> Result<Vec<u8>> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text.trim()).map_err(|_| Error::Malformed { what: REQUEST })
}

fn same<T: PartialEq>(
    what: &'static str,
    field: &'static str,
    expected: &T,
    found: &T,
    show: impl Fn(&T) -> String,
) -> Result<()> {
    if expected == found {
        Ok(())
    } else {
        Err(Error::Mismatch { what, field, expected: show(expected), found: show(found) })
    }
}

fn check_count(tokens: usize) -> Result<()> {
    if (1..=MAX_TOKENS).contains(&tokens) { Ok(()) } else { Err(Error::Malformed { what: REQUEST }) }
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct RequestForm {
    #[n(0)]
    version: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    root: [u8; 32],
    #[n(2)]
    epoch: u64,
    #[cbor(n(3), with = "minicbor::bytes")]
    id: [u8; RequestId::BYTES],
    #[cbor(n(4), with = "minicbor::bytes")]
    asker: [u8; PublicName::BYTES],
    #[cbor(n(5), with = "minicbor::bytes")]
    workload: [u8; PublicName::BYTES],
    #[n(6)]
    kind: String,
    #[n(7)]
    profile: String,
    #[cbor(n(8), with = "minicbor::bytes")]
    key_id: [u8; KeyId::BYTES],
    #[n(9)]
    serial: u64,
    #[n(10)]
    at: u64,
    #[cbor(n(11), with = "minicbor::bytes")]
    enc: [u8; 32],
    #[cbor(n(12), with = "minicbor::bytes")]
    ciphertext: Vec<u8>,
    #[cbor(n(13), with = "minicbor::bytes")]
    signature: [u8; 64],
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct AnswerForm {
    #[n(0)]
    version: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    root: [u8; 32],
    #[n(2)]
    epoch: u64,
    #[cbor(n(3), with = "minicbor::bytes")]
    id: [u8; RequestId::BYTES],
    #[cbor(n(4), with = "minicbor::bytes")]
    request: [u8; 32],
    #[cbor(n(5), with = "minicbor::bytes")]
    asker: [u8; PublicName::BYTES],
    #[cbor(n(6), with = "minicbor::bytes")]
    workload: [u8; PublicName::BYTES],
    #[n(7)]
    at: u64,
    #[cbor(n(8), with = "minicbor::bytes")]
    enc: [u8; 32],
    #[cbor(n(9), with = "minicbor::bytes")]
    ciphertext: Vec<u8>,
    #[cbor(n(10), with = "minicbor::bytes")]
    signature: [u8; 64],
}

#[derive(Encode, Decode, Zeroize, ZeroizeOnDrop)]
#[cbor(array)]
struct TokensForm {
    #[n(0)]
    version: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    tokens: Vec<u8>,
}

#[derive(Encode, Decode, Zeroize, ZeroizeOnDrop)]
#[cbor(array)]
struct ReplyForm {
    #[n(0)]
    version: u64,
    #[n(1)]
    refused: String,
    #[n(2)]
    holders: u32,
    #[n(3)]
    at_least: u32,
    #[n(4)]
    counts: bool,
    #[cbor(n(5), with = "minicbor::bytes")]
    known: Vec<u8>,
}

#[cfg(test)]
mod tests;
