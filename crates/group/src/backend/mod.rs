//! The arithmetic behind the batch interface, replaceable as a whole.
//!
//! A [`Kernel`] turns messages and encodings into points of its own, multiplies them, and encodes them. The two whole
//! paths of a record are provided once, for all kernels, on top of these steps. `portable` runs anywhere; those under
//! `lanes` compute many records side by side, on processors that have the instructions. Each must pass `conformance`.
//! [`Backend`] is the choice among them.
//!
//! Sources: RFC 9496, sections 4.3.1 (decode), 4.3.2 (encode), 4.3.4 (map).

mod choice;
#[cfg(test)]
mod conformance;
#[cfg(any(test, target_arch = "x86_64"))]
mod lanes;
mod portable;

use zeroize::{Zeroize, Zeroizing};

pub(crate) use self::choice::Kind;
pub use self::choice::{Backend, BackendError};
#[cfg(target_arch = "x86_64")]
pub(crate) use self::lanes::backends::{Avx2, Ifma};
pub(crate) use self::portable::Portable;
use crate::error::PointError;
use crate::hash::{Expander, UNIFORM_BYTES};
use crate::scalar::Scalar;

/// Points that go through the whole paths together: enough that the one inversion of a piece (about 270
/// multiplications in the field) is nothing a point, few enough that the piece stays in a core's own cache
/// (150 to 300 KiB).
pub(crate) const POINTS_PER_PIECE: usize = 256;

/// Batched arithmetic in ristretto255.
///
/// A kernel is called only on a processor that has the features it is compiled for, which is so wherever a [`Backend`] of
/// its name exists. Elsewhere its functions panic.
pub(crate) trait Kernel {
    /// Name for logs, benchmarks and the override.
    const NAME: &'static str;

    /// A batch of group elements in the form that this kernel computes with. It may hold more than it was asked for;
    /// whoever reads results says how many.
    type Points: Zeroize;

    /// Looks at the processor, and returns the name of a feature that the kernel needs and it lacks.
    fn missing_feature() -> Option<&'static str>;

    /// Hashes each message to a group element, as `expander` expands it. Constant-time in the contents of the messages,
    /// not in their lengths.
    fn hash_to_group(expander: &Expander, messages: &[&[u8]]) -> Self::Points;

    /// Maps each 64 uniform bytes to a group element (RFC 9496, section 4.3.4). Constant-time.
    fn map_to_group(uniform: &[[u8; UNIFORM_BYTES]]) -> Self::Points;

    /// Decodes group elements other than the identity.
    ///
    /// Variable-time in which encodings are refused, which is public because the error says it; constant-time in the
    /// others.
    ///
    /// # Errors
    /// [`PointError::NotCanonical`] or [`PointError::Identity`] for the first encoding that is refused.
    fn decode(encodings: &[[u8; 32]]) -> Result<Self::Points, PointError>;

    /// Multiplies each point by `k`. Constant-time.
    fn mul(k: &Scalar, points: &Self::Points) -> Self::Points;

    /// Encodes each point into its place in `out`, which has as many as the batch. Constant-time.
    fn encode(points: &Self::Points, out: &mut [[u8; 32]]);

    /// Writes the encoding of `k*points[i]` to `out[i]`, all of them together; `k` may be zero. Constant-time. `out`
    /// has as many places as the batch.
    fn mul_encode(k: &Scalar, points: &Self::Points, out: &mut [[u8; 32]]);

    /// Writes the encoding of `k*H(messages[i])` to `out[i]`, piece by piece. The lengths are equal.
    ///
    /// Constant-time in `k` and in the contents of the messages, not in their lengths.
    fn hash_mul_encode(expander: &Expander, messages: &[&[u8]], k: &Scalar, out: &mut [[u8; 32]]) {
        debug_assert_eq!(messages.len(), out.len());
        let pieces = messages.chunks(POINTS_PER_PIECE);
        for (messages, out) in pieces.zip(out.chunks_mut(POINTS_PER_PIECE)) {
            Self::mul_encode(k, &Zeroizing::new(Self::hash_to_group(expander, messages)), out);
        }
    }

    /// Decodes `encodings[i]` and writes the encoding of `k` times it to `out[i]`, piece by piece. The lengths are
    /// equal.
    ///
    /// Constant-time in `k`; variable-time in which encodings are refused.
    ///
    /// # Errors
    /// Those of [`Kernel::decode`], and then `out` is all zero.
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

    /// Makes one point of the batch the identity, which no function of a kernel lets in.
    #[cfg(test)]
    fn put_identity(points: &mut Self::Points, index: usize);
}
