//! Images: what a key or a salt makes of every entry of the dictionary.
//!
//! Of numbers modulo l come tokens and fused tokens, and with a match secret match keys; of any 32 bytes come the digests that a
//! scheme with a shared salt would store.

use std::thread;

use datafuse_core::lp::Lp;
use datafuse_group::{Scalar, hash_mul_encode};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};

use super::{
    dictionary::{Dictionary, Entry},
    search::{Image, image},
};

/// The tag of H, as `docs/protocol.md` gives it.
const DST: &[u8] = b"DATAFUSE-V01-R255_XMD:SHA-512_R255MAP_RO_";

/// Entries that are multiplied together.
const BATCH: usize = 4096;

/// The message of H for an entry.
pub(crate) fn message(root: &[u8; 32], dictionary: &Dictionary, entry: &Entry) -> Vec<u8> {
    let kind = &dictionary.kinds()[entry.kind];
    Lp::default()
        .field(root)
        .field(kind.name().as_str().as_bytes())
        .field(kind.profile().as_bytes())
        .field(&entry.identifier)
        .into_bytes()
}

/// `key * H(x)` of every message, on all cores.
pub(crate) fn tokens(key: &Scalar, messages: &[Vec<u8>]) -> Vec<[u8; 32]> {
    let mut tokens = vec![[0; 32]; messages.len()];
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let share = messages.len().div_ceil(cores).max(1);
    thread::scope(|scope| {
        for (messages, tokens) in messages.chunks(share).zip(tokens.chunks_mut(share)) {
            scope.spawn(move || {
                for (messages, tokens) in messages.chunks(BATCH).zip(tokens.chunks_mut(BATCH)) {
                    let messages: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
                    hash_mul_encode(DST, &messages, key, tokens);
                }
            });
        }
    });
    tokens
}

/// The match key of a fused token.
pub(crate) fn match_key(secret: &[u8; 32], fused: &[u8; 32]) -> Image {
    let hash = blake3::keyed_hash(secret, fused);
    image(hash.as_bytes()).unwrap_or_default()
}

/// Digests of a text alone.
pub(crate) fn unsalted(text: &[u8]) -> Vec<Image> {
    let (short, long) = (Sha256::digest(text), Sha512::digest(text));
    [&short[..], &long[..], &blake3::hash(text).as_bytes()[..]].into_iter().filter_map(image).collect()
}

/// Digests of a text with a salt.
pub(crate) fn salted(salt: &[u8], text: &[u8]) -> Vec<Image> {
    let after = Sha256::new().chain_update(salt).chain_update(text).finalize();
    let before = Sha256::new().chain_update(text).chain_update(salt).finalize();
    let mut images: Vec<_> = [image(&after), image(&before)].into_iter().flatten().collect();
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(salt) {
        mac.update(text);
        images.extend(image(&mac.finalize().into_bytes()));
    }
    if let Ok(salt) = salt.try_into() {
        images.extend(image(blake3::keyed_hash(salt, text).as_bytes()));
    }
    images
}
