//! Tokens: what a data holder makes of its normalised identifiers with its own key.
//!
//! `T = k_i * H(x)`, where H is `hash_to_ristretto255` (RFC 9380 with `expand_message_xmd`, SHA-512, 64 uniform bytes) over
//! `lp(root) lp(kind) lp(profile) lp(x)`. Without `k_i` a token says nothing; tokens of two holders cannot be compared,
//! which is why [`Token`] has neither `Eq` nor `Hash`.

use datafuse_group as group;
use zeroize::Zeroizing;

use crate::{
    DST,
    id::Epoch,
    keys::TokenKey,
    kind::Kind,
    lp::{self, Lp},
    normalize::NormalizedIdentifier,
    root::Root,
};

/// The kind of the canary; no space can name a kind so.
pub const CANARY_KIND: &str = "datafuse-canary";

/// The encoding of one group element, made by one holder: 32 bytes.
#[derive(Clone)]
pub struct Token(pub(crate) [u8; 32]);

impl Token {
    /// Length of the encoding.
    pub const BYTES: usize = 32;

    /// Takes 32 bytes from a dataset. Whether they are a group element shows when they are fused.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// Gives the encoding, to be written into a dataset.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

/// Makes tokens of one kind for one holder, space and epoch.
pub struct Tokenizer {
    prefix: Vec<u8>,
    key: TokenKey,
}

impl Tokenizer {
    /// Prepares what is hashed before every identifier.
    #[must_use]
    pub fn new(root: &Root, kind: &Kind, key: TokenKey) -> Self {
        Self { prefix: prefix(root, kind.name().as_str(), &kind.profile()), key }
    }

    /// Makes a token of each identifier, in order.
    ///
    /// Constant-time in the key and in the identifiers' bytes; variable-time in their lengths, which the holder alone sees.
    #[must_use]
    pub fn tokenize(&self, identifiers: &[NormalizedIdentifier]) -> Vec<Token> {
        tokens(&self.prefix, identifiers.iter().map(NormalizedIdentifier::as_bytes), &self.key)
    }
}

impl TokenKey {
    /// Makes the holder's canary of an epoch, `k_i * H(canary)`: the token of a value that nobody chooses.
    #[must_use]
    pub fn canary(&self, root: &Root, epoch: Epoch) -> Token {
        let identifier = Lp::default().integer(epoch.0).into_bytes();
        tokens(&prefix(root, CANARY_KIND, ""), std::iter::once(identifier.as_slice()), self).remove(0)
    }
}

fn prefix(root: &Root, kind: &str, profile: &str) -> Vec<u8> {
    Lp::default().field(root.as_bytes()).field(kind.as_bytes()).field(profile.as_bytes()).into_bytes()
}

fn tokens<'a>(prefix: &[u8], identifiers: impl Iterator<Item = &'a [u8]> + Clone, key: &TokenKey) -> Vec<Token> {
    // One buffer for all messages, sized beforehand so that no copy of an identifier is left behind by growing.
    let bytes = identifiers.clone().map(|identifier| prefix.len() + 4 + identifier.len()).sum();
    let mut buffer = Zeroizing::new(Vec::with_capacity(bytes));
    let mut ends = Vec::new();
    for identifier in identifiers {
        buffer.extend_from_slice(prefix);
        lp::append(&mut buffer, identifier);
        ends.push(buffer.len());
    }
    let mut start = 0;
    let messages: Vec<&[u8]> = ends.iter().map(|&end| &buffer[std::mem::replace(&mut start, end)..end]).collect();
    let mut encoded = vec![[0; Token::BYTES]; messages.len()];
    group::hash_mul_encode(DST, &messages, &key.0, &mut encoded);
    encoded.into_iter().map(Token).collect()
}
