//! Batches of group elements, and the functions on them.
//!
//! In: messages or 32-byte encodings (RFC 9496, section 4.3.2). Out: [`Points`] or encodings, in the order given. The
//! bounds on time that each function states are about secrets; how many elements there are is always public.
//!
//! Nothing here compares points: two tokens are equal only after they have been brought under one key, and then their
//! encodings are.

use std::fmt;

use zeroize::Zeroize;

#[cfg(target_arch = "x86_64")]
use crate::backend::{Avx2, Ifma};
use crate::backend::{Backend, Kernel, Kind, Portable};
use crate::error::PointError;
use crate::hash::Expander;
use crate::scalar::Scalar;

/// Batch of group elements, wiped on drop: the hash of an identifier gives the identifier away to a dictionary.
///
/// It stays with the backend that made it.
pub struct Points {
    batch: Batch,
    len: usize,
}

/// The elements in the form of each backend.
enum Batch {
    Portable(<Portable as Kernel>::Points),
    #[cfg(target_arch = "x86_64")]
    Avx2(<Avx2 as Kernel>::Points),
    #[cfg(target_arch = "x86_64")]
    Ifma(<Ifma as Kernel>::Points),
}

/// Calls a function of the backend's kernel, which it names `K`.
macro_rules! of_kernel {
    ($backend:expr, $K:ident => $call:expr) => {
        match $backend.kind() {
            Kind::Portable => {
                type $K = Portable;
                $call
            }
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => {
                type $K = Avx2;
                $call
            }
            #[cfg(target_arch = "x86_64")]
            Kind::Ifma => {
                type $K = Ifma;
                $call
            }
        }
    };
}

/// Does the same with the elements of a batch, whichever kernel they are of.
macro_rules! of_batch {
    ($batch:expr, $K:ident, $points:ident => $call:expr) => {
        match $batch {
            Batch::Portable($points) => {
                type $K = Portable;
                $call
            }
            #[cfg(target_arch = "x86_64")]
            Batch::Avx2($points) => {
                type $K = Avx2;
                $call
            }
            #[cfg(target_arch = "x86_64")]
            Batch::Ifma($points) => {
                type $K = Ifma;
                $call
            }
        }
    };
}

/// Points of a kernel that are kept as a [`Batch`].
trait IntoBatch: Kernel {
    fn batch(points: Self::Points) -> Batch;
}

impl IntoBatch for Portable {
    fn batch(points: Self::Points) -> Batch {
        Batch::Portable(points)
    }
}

#[cfg(target_arch = "x86_64")]
impl IntoBatch for Avx2 {
    fn batch(points: Self::Points) -> Batch {
        Batch::Avx2(points)
    }
}

#[cfg(target_arch = "x86_64")]
impl IntoBatch for Ifma {
    fn batch(points: Self::Points) -> Batch {
        Batch::Ifma(points)
    }
}

impl Points {
    /// Returns how many elements the batch has.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Tells whether the batch has no element.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Drop for Points {
    fn drop(&mut self) {
        of_batch!(&mut self.batch, K, points => <K as Kernel>::Points::zeroize(points));
    }
}

impl fmt::Debug for Points {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Points({} elements)", self.len())
    }
}

/// The functions of this crate on a backend of the caller's choice, for comparing backends. Programs call the free
/// functions of the same names, which use [`Backend::active`] and are documented there.
impl Backend {
    /// See [`hash_to_group`].
    ///
    /// # Panics
    /// As there.
    pub fn hash_to_group(self, dst: &[u8], messages: &[&[u8]]) -> Points {
        let batch = of_kernel!(self, K => K::batch(K::hash_to_group(&Expander::new(dst), messages)));
        Points { batch, len: messages.len() }
    }

    /// See [`decode`].
    ///
    /// # Errors
    /// As there.
    pub fn decode(self, encodings: &[[u8; 32]]) -> Result<Points, PointError> {
        let batch = of_kernel!(self, K => K::batch(K::decode(encodings)?));
        Ok(Points { batch, len: encodings.len() })
    }

    /// See [`hash_mul_encode`].
    ///
    /// # Panics
    /// As there.
    pub fn hash_mul_encode(self, dst: &[u8], messages: &[&[u8]], k: &Scalar, out: &mut [[u8; 32]]) {
        assert_eq!(messages.len(), out.len(), "as many results as messages are written");
        of_kernel!(self, K => K::hash_mul_encode(&Expander::new(dst), messages, k, out));
    }

    /// See [`decode_mul_encode`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// As there.
    pub fn decode_mul_encode(self, k: &Scalar, encodings: &[[u8; 32]], out: &mut [[u8; 32]]) -> Result<(), PointError> {
        assert_eq!(encodings.len(), out.len(), "as many results as encodings are written");
        of_kernel!(self, K => K::decode_mul_encode(k, encodings, out))
    }
}

/// Hashes each message to a group element: `hash_to_ristretto255` of RFC 9380, appendix B, with `expand_message_xmd`,
/// SHA-512 and 64 uniform bytes.
///
/// Constant-time in the contents of the messages; the time depends on their lengths. `dst`, the domain separation tag,
/// is public; of at most 45 bytes, it costs the fewest blocks. An element is the identity with probability below
/// 2^-250, which is not checked.
///
/// # Panics
/// If `dst` is empty.
pub fn hash_to_group(dst: &[u8], messages: &[&[u8]]) -> Points {
    Backend::active().hash_to_group(dst, messages)
}

/// Decodes group elements other than the identity (RFC 9496, section 4.3.1).
///
/// Variable-time in which encodings are refused, which is public because the error says it; constant-time in the
/// values of the others.
///
/// # Errors
/// For the first encoding that is refused, [`PointError::NotCanonical`] if it is not the canonical encoding of an
/// element, [`PointError::Identity`] if it is that of the identity.
pub fn decode(encodings: &[[u8; 32]]) -> Result<Points, PointError> {
    Backend::active().decode(encodings)
}

/// Multiplies each element by `k`. Constant-time in `k` and in the elements.
///
/// Where `k` is zero, every product is the identity: callers refuse a zero key before they come here.
pub fn mul(k: &Scalar, points: &Points) -> Points {
    let batch = of_batch!(&points.batch, K, points => K::batch(K::mul(k, points)));
    Points { batch, len: points.len }
}

/// Encodes each element (RFC 9496, section 4.3.2), one at a time; [`hash_mul_encode`] and [`decode_mul_encode`] encode
/// together, at a fraction of the cost. Constant-time in the elements.
pub fn encode(points: &Points) -> Vec<[u8; 32]> {
    let mut encodings = vec![[0; 32]; points.len];
    of_batch!(&points.batch, K, points => K::encode(points, &mut encodings));
    encodings
}

/// Writes the encoding of `k*H(messages[i])` to `out[i]`, where `H` is [`hash_to_group`] under `dst`.
///
/// Constant-time in `k` and in the contents of the messages; the time depends on their lengths. Where `k` is zero,
/// `out` is all zero (the identity): callers refuse a zero key before they come here.
///
/// # Panics
/// If `messages` and `out` differ in length, or `dst` is empty.
pub fn hash_mul_encode(dst: &[u8], messages: &[&[u8]], k: &Scalar, out: &mut [[u8; 32]]) {
    Backend::active().hash_mul_encode(dst, messages, k, out);
}

/// Decodes `encodings[i]` and writes the encoding of `k` times that element to `out[i]`.
///
/// Constant-time in `k` and in the values of the elements; variable-time in which encodings are refused, which is
/// public because the error says it. Where `k` is zero, `out` is all zero (the identity): callers refuse a zero key
/// before they come here.
///
/// # Errors
/// Those of [`decode`]. Then `out` is all zero: 32 zero bytes are the identity, which every decoder here refuses, so
/// that half a result cannot pass for a whole one.
///
/// # Panics
/// If `encodings` and `out` differ in length.
pub fn decode_mul_encode(k: &Scalar, encodings: &[[u8; 32]], out: &mut [[u8; 32]]) -> Result<(), PointError> {
    Backend::active().decode_mul_encode(k, encodings, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_says_only_how_many() {
        let points = hash_to_group(b"tag", &[b"one", b"two"]);
        assert_eq!(format!("{points:?}"), "Points(2 elements)");
        assert!(!points.is_empty());
        assert!(hash_to_group(b"tag", &[]).is_empty());
    }

    #[test]
    #[should_panic(expected = "as many results as messages")]
    fn refuses_too_few_places_for_messages() {
        let one = Scalar::from_wide_bytes(&[1; 64]);
        hash_mul_encode(b"tag", &[b"one", b"two"], &one, &mut [[0; 32]]);
    }

    #[test]
    #[should_panic(expected = "as many results as encodings")]
    fn refuses_too_many_places_for_encodings() {
        let one = Scalar::from_wide_bytes(&[1; 64]);
        let _ = decode_mul_encode(&one, &[], &mut [[0; 32]]);
    }
}
