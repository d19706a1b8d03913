//! The backend for every processor, on curve25519-dalek.
//!
//! dalek itself picks vector instructions for one multiplication where the processor has them. What is batched here is
//! the encoding: for points `Q = (k/2)*P` it computes the encodings of `2*Q = k*P` together, with one field inversion
//! for the whole batch, where the plain encoding takes an inverse square root a point.

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use zeroize::Zeroizing;

use super::Kernel;
use crate::error::PointError;
use crate::hash::{Expander, UNIFORM_BYTES, UniformBatch};
use crate::scalar::Scalar;

/// Canonical encoding of the identity (RFC 9496, appendix A.1).
const IDENTITY: [u8; 32] = [0; 32];

/// The portable backend.
pub(crate) struct Portable;

impl Kernel for Portable {
    const NAME: &'static str = "portable";

    type Points = Vec<RistrettoPoint>;

    fn missing_feature() -> Option<&'static str> {
        None
    }

    fn hash_to_group(expander: &Expander, messages: &[&[u8]]) -> Vec<RistrettoPoint> {
        Self::map_to_group(UniformBatch::with_len(messages.len()).fill(expander, messages))
    }

    fn map_to_group(uniform: &[[u8; UNIFORM_BYTES]]) -> Vec<RistrettoPoint> {
        uniform.iter().map(RistrettoPoint::from_uniform_bytes).collect()
    }

    fn decode(encodings: &[[u8; 32]]) -> Result<Vec<RistrettoPoint>, PointError> {
        let mut points = Vec::with_capacity(encodings.len());
        for (index, encoding) in encodings.iter().enumerate() {
            if *encoding == IDENTITY {
                return Err(PointError::Identity { index });
            }
            let point = CompressedRistretto(*encoding).decompress();
            points.push(point.ok_or(PointError::NotCanonical { index })?);
        }
        Ok(points)
    }

    fn mul(k: &Scalar, points: &Vec<RistrettoPoint>) -> Vec<RistrettoPoint> {
        points.iter().map(|point| point * k.as_dalek()).collect()
    }

    fn encode(points: &Vec<RistrettoPoint>, out: &mut [[u8; 32]]) {
        debug_assert_eq!(points.len(), out.len());
        for (out, point) in out.iter_mut().zip(points) {
            *out = point.compress().to_bytes();
        }
    }

    fn mul_encode(k: &Scalar, points: &Vec<RistrettoPoint>, out: &mut [[u8; 32]]) {
        debug_assert_eq!(points.len(), out.len());
        let halves = Zeroizing::new(Self::mul(&k.half(), points));
        let encodings = RistrettoPoint::double_and_compress_batch(halves.iter());
        for (out, encoding) in out.iter_mut().zip(encodings) {
            *out = encoding.to_bytes();
        }
    }

    #[cfg(test)]
    fn put_identity(points: &mut Vec<RistrettoPoint>, index: usize) {
        points[index] = RistrettoPoint::default();
    }
}

#[cfg(test)]
mod tests {
    super::super::conformance::suite!(super::Portable);
}
