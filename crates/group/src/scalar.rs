//! Integers modulo the group's prime order l.
//!
//! In and out: 32 bytes little-endian, below l, or 64 bytes little-endian that are reduced (RFC 9496, section 4.4).
//! A scalar is a secret: it is wiped when dropped, compared in constant time, and never printed. The crate does not
//! draw scalars; bytes come from the caller.

use std::fmt;

use curve25519_dalek::ristretto::RistrettoPoint;
use curve25519_dalek::scalar::Scalar as DalekScalar;
use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Integer modulo l = 2^252 + 27742317777372353535851937790883648493, the order of ristretto255; a secret.
///
/// Not `Copy` and without `PartialEq`: compare with [`ConstantTimeEq`].
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Scalar(DalekScalar);

impl Scalar {
    /// Reduces 64 bytes, a little-endian integer, modulo l. Constant-time.
    ///
    /// From 64 uniform bytes the result is uniform up to a bias below 2^-259.
    pub fn from_wide_bytes(bytes: &[u8; 64]) -> Self {
        Self(DalekScalar::from_bytes_mod_order_wide(bytes))
    }

    /// Reads 32 bytes, a little-endian integer, or returns `None` if it is l or above.
    ///
    /// Constant-time but for whether there is a result.
    pub fn from_canonical_bytes(bytes: &[u8; 32]) -> Option<Self> {
        DalekScalar::from_canonical_bytes(*bytes).into_option().map(Self)
    }

    /// Returns the integer as 32 bytes little-endian. The bytes are as secret as the scalar: the caller wipes them.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Tells whether this is zero. Constant-time; the answer itself is public.
    pub fn is_zero(&self) -> bool {
        self.0.ct_eq(&DalekScalar::ZERO).into()
    }

    /// Returns the product modulo l. Constant-time.
    pub fn mul(&self, other: &Scalar) -> Scalar {
        Self(self.0 * other.0)
    }

    /// Returns the inverse modulo l; the inverse of zero is zero. Constant-time.
    pub fn invert(&self) -> Scalar {
        Self(self.0.invert())
    }

    /// Returns the encoding of `self*G`, where G is the generator of RFC 9496, section 4; for zero the encoding of the
    /// identity, which is 32 zero bytes. Constant-time.
    pub fn mul_base_encoded(&self) -> [u8; 32] {
        RistrettoPoint::mul_base(&self.0).compress().to_bytes()
    }

    /// Returns `self/2` modulo l, for encoding in batches. Constant-time.
    pub(crate) fn half(&self) -> Scalar {
        Self(self.0.div_by_2())
    }

    /// Lends the number to a backend that is built on dalek.
    pub(crate) fn as_dalek(&self) -> &DalekScalar {
        &self.0
    }
}

impl ConstantTimeEq for Scalar {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl fmt::Debug for Scalar {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Scalar(..)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// The group's order, 32 bytes little-endian (RFC 9496, section 4).
    const ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

    fn order() -> [u8; 32] {
        hex::decode(ORDER).unwrap().try_into().unwrap()
    }

    fn small(value: u8) -> Scalar {
        let mut bytes = [0; 32];
        bytes[0] = value;
        Scalar::from_canonical_bytes(&bytes).unwrap()
    }

    fn equal(a: &Scalar, b: &Scalar) -> bool {
        a.ct_eq(b).into()
    }

    #[test]
    fn refuses_the_order_and_above() {
        let mut bytes = order();
        assert!(Scalar::from_canonical_bytes(&bytes).is_none());
        assert!(Scalar::from_canonical_bytes(&[0xff; 32]).is_none());
        bytes[0] -= 1;
        assert_eq!(Scalar::from_canonical_bytes(&bytes).unwrap().to_bytes(), bytes);
    }

    #[test]
    fn wide_bytes_are_little_endian_and_reduced() {
        let mut wide = [0; 64];
        wide[..32].copy_from_slice(&order());
        assert!(Scalar::from_wide_bytes(&wide).is_zero());
        wide[0] += 5;
        assert!(equal(&Scalar::from_wide_bytes(&wide), &small(5)));
    }

    #[test]
    fn half_doubles_to_the_whole() {
        for scalar in [small(0), small(1), small(2), small(7), Scalar::from_wide_bytes(&[0xa5; 64])] {
            assert!(equal(&scalar.half().mul(&small(2)), &scalar));
        }
    }

    #[test]
    fn inverse_of_zero_is_zero() {
        assert!(small(0).invert().is_zero());
        assert!(!small(3).invert().is_zero());
        assert!(equal(&small(3).invert().mul(&small(3)), &small(1)));
    }

    #[test]
    fn debug_says_nothing() {
        assert_eq!(format!("{:?}", small(9)), "Scalar(..)");
    }

    #[test]
    fn zeroize_makes_zero() {
        let mut scalar = small(9);
        scalar.zeroize();
        assert!(scalar.is_zero());
    }
}
