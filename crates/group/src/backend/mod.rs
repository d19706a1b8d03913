//! The arithmetic behind the batch interface, replaceable as a whole.
//!
//! A [`Backend`] turns uniform bytes and encodings into its own points, multiplies them, and encodes them. The two
//! whole paths of a record are provided once, for all backends, on top of these steps; a backend may do them better.
//! `portable` is the only implementation. Another one is another file here, which must pass `conformance`.
//!
//! Sources: RFC 9496, sections 4.3.1 (decode), 4.3.2 (encode), 4.3.4 (map).

#[cfg(test)]
mod conformance;
pub(crate) mod portable;

use zeroize::{Zeroize, Zeroizing};

use crate::error::PointError;
use crate::hash::{Expander, UNIFORM_BYTES, UniformBatch};
use crate::scalar::Scalar;

/// The backend that the crate uses.
pub(crate) type Active = portable::Portable;

/// Points that go through the whole paths together: enough that the one inversion of a piece (about 270
/// multiplications in the field) is nothing a point, few enough that the piece stays in a core's own cache (about
/// 100 KiB).
pub(crate) const POINTS_PER_PIECE: usize = 256;

/// Batched arithmetic in ristretto255.
pub(crate) trait Backend {
    /// Name for logs and benchmarks.
    const NAME: &'static str;

    /// One group element in the form that this backend computes with.
    type Point: Clone + Zeroize;

    /// Maps each 64 uniform bytes to a group element (RFC 9496, section 4.3.4). Constant-time.
    fn map_to_group(uniform: &[[u8; UNIFORM_BYTES]]) -> Vec<Self::Point>;

    /// Decodes group elements other than the identity.
    ///
    /// Variable-time in which encodings are refused, which is public because the error says it; constant-time in the
    /// others.
    ///
    /// # Errors
    /// [`PointError::NotCanonical`] or [`PointError::Identity`] for the first encoding that is refused.
    fn decode(encodings: &[[u8; 32]]) -> Result<Vec<Self::Point>, PointError>;

    /// Multiplies each point by `k`. Constant-time.
    fn mul(k: &Scalar, points: &[Self::Point]) -> Vec<Self::Point>;

    /// Encodes each point. Constant-time.
    fn encode(points: &[Self::Point]) -> Vec<[u8; 32]>;

    /// Writes the encoding of `k*points[i]` to `out[i]`, all of them together; `k` may be zero. Constant-time. The
    /// lengths are equal.
    fn mul_encode(k: &Scalar, points: &[Self::Point], out: &mut [[u8; 32]]);

    /// Writes the encoding of `k*H(messages[i])` to `out[i]`, piece by piece. The lengths are equal.
    ///
    /// Constant-time in `k` and in the contents of the messages, not in their lengths.
    fn hash_mul_encode(expander: &Expander, messages: &[&[u8]], k: &Scalar, out: &mut [[u8; 32]]) {
        debug_assert_eq!(messages.len(), out.len());
        let mut uniform = UniformBatch::with_len(messages.len().min(POINTS_PER_PIECE));
        let pieces = messages.chunks(POINTS_PER_PIECE);
        for (messages, out) in pieces.zip(out.chunks_mut(POINTS_PER_PIECE)) {
            let points = Zeroizing::new(Self::map_to_group(uniform.fill(expander, messages)));
            Self::mul_encode(k, &points, out);
        }
    }

    /// Decodes `encodings[i]` and writes the encoding of `k` times it to `out[i]`, piece by piece. The lengths are
    /// equal.
    ///
    /// Constant-time in `k`; variable-time in which encodings are refused.
    ///
    /// # Errors
    /// Those of [`Backend::decode`], and then `out` is all zero.
    fn decode_mul_encode(k: &Scalar, encodings: &[[u8; 32]], out: &mut [[u8; 32]]) -> Result<(), PointError> {
        debug_assert_eq!(encodings.len(), out.len());
        let pieces = encodings.chunks(POINTS_PER_PIECE);
        let outcome =
            pieces.zip(out.chunks_mut(POINTS_PER_PIECE)).enumerate().try_for_each(|(piece, (encodings, out))| {
                let points = Self::decode(encodings).map_err(|e| e.after(piece * POINTS_PER_PIECE))?;
                Self::mul_encode(k, &Zeroizing::new(points), out);
                Ok(())
            });
        if outcome.is_err() {
            // Zeros are the identity, which every decoder refuses: half a result cannot pass for a whole one.
            out.fill([0; 32]);
        }
        outcome
    }
}
