//! Match keys: what is stored, sorted and grouped.
//!
//! `M` is the first 16 bytes of keyed BLAKE3, under a random secret `w` of the epoch, over the encoding of a fused token.
//! The match is an equality of M; among 10^9 records two different identifiers share one with probability about 10^-21.

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::fused::FusedToken;

/// `w`: the workload's secret of one epoch.
pub struct MatchSecret(Zeroizing<[u8; 32]>);

impl MatchSecret {
    /// Draws a new secret.
    #[must_use]
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        rng.fill_bytes(secret.as_mut());
        Self(secret)
    }

    /// Takes the stored form.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Gives the stored form, to be sealed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Makes the match key of each fused token, in order. Constant-time.
    #[must_use]
    pub fn match_keys(&self, fused: &[FusedToken]) -> Vec<MatchKey> {
        fused
            .iter()
            .map(|token| {
                let hash = blake3::keyed_hash(&self.0, &token.0);
                let mut key = [0; MatchKey::BYTES];
                key.copy_from_slice(&hash.as_bytes()[..MatchKey::BYTES]);
                MatchKey(key)
            })
            .collect()
    }
}

/// 16 bytes that are equal where the identifiers are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MatchKey([u8; Self::BYTES]);

impl MatchKey {
    /// Length in bytes.
    pub const BYTES: usize = 16;

    /// Takes the bytes of a match key from a fused file.
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

/// Redacted: whoever sees match keys of two parties sees who is common.
impl std::fmt::Debug for MatchKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MatchKey(redacted)")
    }
}
