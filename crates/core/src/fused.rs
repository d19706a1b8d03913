//! Re-keys and fused tokens: how the workload makes the same value of the same identifier, whoever brought it.
//!
//! `F = d_i * T`, with `d_i = K / k_i` from [enrolment](crate::enrolment). A fused token is made under a key K that nobody
//! holds; it is never stored, and has neither `Eq` nor `Hash`: what is compared is its [match key](crate::match_key).

use datafuse_group::{self as group, PointError, Scalar};
use zeroize::Zeroizing;

use crate::{
    error::{Error, Result},
    token::Token,
};

/// `d_i = K / k_i`: what turns one holder's tokens into fused tokens. Never zero.
#[derive(Clone)]
pub struct ReKey(pub(crate) Scalar);

impl ReKey {
    /// Length of the stored form.
    pub const BYTES: usize = 32;

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`Error::InvalidScalar`] where it is zero or not canonical.
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Result<Self> {
        nonzero_scalar(bytes, "re-key").map(Self)
    }

    /// Gives the stored form, to be sealed.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; Self::BYTES]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// Fuses a batch of this holder's tokens, in order.
    ///
    /// Constant-time in the re-key and in valid tokens.
    ///
    /// # Errors
    /// [`Error::InvalidToken`] with the position of the first token that is no group element, or the identity.
    pub fn fuse(&self, tokens: &[Token]) -> Result<Vec<FusedToken>> {
        let encodings: Vec<_> = tokens.iter().map(|token| token.0).collect();
        let mut fused = vec![[0; Token::BYTES]; encodings.len()];
        group::decode_mul_encode(&self.0, &encodings, &mut fused).map_err(|error| Error::InvalidToken {
            index: error.index(),
            identity: matches!(error, PointError::Identity { .. }),
        })?;
        Ok(fused.into_iter().map(FusedToken).collect())
    }
}

/// `K * H(x)`: the encoding of one group element, the same for the same identifier.
pub struct FusedToken(pub(crate) [u8; 32]);

impl Drop for FusedToken {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

/// Reads a canonical scalar that is not zero.
pub(crate) fn nonzero_scalar(bytes: &[u8; 32], what: &'static str) -> Result<Scalar> {
    match Scalar::from_canonical_bytes(bytes) {
        Some(scalar) if !scalar.is_zero() => Ok(scalar),
        _ => Err(Error::InvalidScalar { what }),
    }
}
