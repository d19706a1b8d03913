//! What was stolen: key files, or parts of them, as bytes.
//!
//! The body of a key file is taken apart here, and every number derived from it here, by the tables of `docs/protocol.md`.

use bech32::{Bech32m, primitives::decode::CheckedHrpstring};
use datafuse_core::{keys::PartyKeys, lp::Lp};
use datafuse_group::Scalar;
use hkdf::Hkdf;
use sha2::Sha512;

use super::wire::Value;

/// The prefix of a key file's secret line.
const KEY_LINE: &[u8] = b"DATAFUSE-SECRET-KEY-1";

/// Version, number of the line, number of lines.
const LINE_HEADER_BYTES: usize = 3;

/// Which parts of a key file leak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The whole file.
    All,
    /// The identity and those before it.
    Identity,
    /// The token secret and those before it.
    Tokens,
    /// The share secret and those before it.
    Shares,
}

/// The secrets of one party.
#[derive(Clone, Default)]
pub struct Leaked {
    /// The public name of the party, 65 bytes; empty where the secrets are nobody's in particular.
    pub(crate) name: Vec<u8>,
    /// X25519 secret keys.
    pub(crate) receive: Vec<[u8; 32]>,
    /// Key ids and token secrets.
    pub(crate) tokens: Vec<([u8; 16], [u8; 32])>,
    /// Share secrets, the one in use first.
    pub(crate) shares: Vec<[u8; 32]>,
    /// Everything of 32 bytes in the file.
    pub(crate) bare: Vec<[u8; 32]>,
}

impl Leaked {
    /// Takes a key file's content.
    #[must_use]
    pub fn of(keys: &PartyKeys, part: Part) -> Self {
        let name = keys.identity().public_name().to_bytes().to_vec();
        let mut leaked = body(&keys.encode()).unwrap_or_default();
        leaked.name = name;
        if !matches!(part, Part::All | Part::Identity) {
            leaked.receive.clear();
        }
        if !matches!(part, Part::All | Part::Tokens) {
            leaked.tokens.clear();
        }
        if !matches!(part, Part::All | Part::Shares) {
            leaked.shares.clear();
        }
        if part != Part::All {
            leaked.bare.clear();
        }
        leaked
    }

    /// Takes a secret of some other scheme, with which whoever has it can do as it likes.
    #[must_use]
    pub fn bare(secret: [u8; 32]) -> Self {
        Self { bare: vec![secret], ..Self::default() }
    }

    /// Finds key files in bytes, wherever they lie.
    pub(crate) fn find_in(bytes: &[u8]) -> Vec<Self> {
        let mut found = Vec::new();
        let mut secret = Vec::new();
        for start in key_lines(bytes) {
            let line = &bytes[start..];
            let end = line.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-');
            let Ok(line) = std::str::from_utf8(&line[..end.unwrap_or(line.len())]) else { continue };
            let Ok(checked) = CheckedHrpstring::new::<Bech32m>(line) else { continue };
            let payload: Vec<u8> = checked.byte_iter().collect();
            let Some((header, part)) = payload.split_at_checked(LINE_HEADER_BYTES) else { continue };
            if header[1] == 0 {
                secret.clear();
            }
            secret.extend_from_slice(part);
            if let Ok(keys) = PartyKeys::decode(&secret) {
                found.push(Self::of(&keys, Part::All));
            }
        }
        found
    }
}

fn key_lines(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let last = bytes.len().saturating_sub(KEY_LINE.len());
    (0..=last).filter(|&start| bytes[start..].starts_with(KEY_LINE))
}

/// Takes the body of a key file apart: `[1, sign, receive, [key id, secret], share, former tokens, former shares, former
/// identities]`, the newest first.
fn body(bytes: &[u8]) -> Option<Leaked> {
    let fields = Value::parse(bytes)?.structure()?;
    let [sign, receive, token, share, former_tokens, former_shares, former_identities] = fields.as_slice() else {
        return None;
    };
    let pair = |value: &Value| match value.array()? {
        [id, secret] => Some((id.fixed::<16>()?, secret.fixed::<32>()?)),
        _ => None,
    };
    let former_receive = |value: &Value| value.array()?.get(1)?.fixed::<32>();
    let tokens: Vec<_> = std::iter::once(token).chain(former_tokens.array()?).map(pair).collect::<Option<_>>()?;
    let shares: Vec<_> =
        std::iter::once(share).chain(former_shares.array()?).map(Value::fixed).collect::<Option<_>>()?;
    let receive: Vec<_> = std::iter::once(receive.fixed())
        .chain(former_identities.array()?.iter().map(former_receive))
        .collect::<Option<_>>()?;
    let mut bare = vec![sign.fixed()?];
    bare.extend(receive.iter().chain(tokens.iter().map(|(_, secret)| secret)).chain(&shares));
    Some(Leaked { name: Vec::new(), receive, tokens, shares, bare })
}

/// `k_i` of a token secret.
pub(crate) fn token_key(secret: &[u8; 32], root: &[u8; 32], epoch: u64, key_id: &[u8; 16]) -> Scalar {
    derive(secret, Lp::labelled("datafuse/v1/token-key").field(root).integer(epoch).field(key_id))
}

/// `s_j` of a share secret.
pub(crate) fn share(secret: &[u8; 32], root: &[u8; 32], epoch: u64) -> Scalar {
    derive(secret, Lp::labelled("datafuse/v1/share").field(root).integer(epoch))
}

/// `r_ij` of a share secret, for a holder's name.
pub(crate) fn blind(secret: &[u8; 32], root: &[u8; 32], epoch: u64, holder: &[u8]) -> Scalar {
    derive(secret, Lp::labelled("datafuse/v1/blind").field(root).integer(epoch).field(holder))
}

/// The key that seals a workload's state.
pub(crate) fn state_key(secret: &[u8; 32], root: &[u8; 32]) -> [u8; 32] {
    expand(secret, Lp::labelled("datafuse/v1/state-key").field(root))
}

fn derive(secret: &[u8; 32], info: Lp) -> Scalar {
    Scalar::from_wide_bytes(&expand(secret, info))
}

fn expand<const N: usize>(secret: &[u8; 32], info: Lp) -> [u8; N] {
    let mut out = [0; N];
    Hkdf::<Sha512>::new(None, secret).expand(&info.into_bytes(), &mut out).expect("64 bytes are within HKDF's limit");
    out
}
