#![deny(unsafe_code)]
//! Batched ristretto255: one secret scalar times many group elements.
//!
//! In go messages or 32-byte encodings, a batch at a time, and one [`Scalar`]; out come [`Points`] or encodings. Two
//! functions are the whole way of a record, without anything in between leaving the crate:
//!
//! - [`hash_mul_encode`]: message to `k*H(message)`, encoded;
//! - [`decode_mul_encode`]: encoding of `P` to encoding of `k*P`.
//!
//! Both encode in batches: each point is multiplied by `k/2`, and the encodings of the doubles are computed together
//! with a single field inversion instead of an inverse square root a point. The single steps ([`hash_to_group`],
//! [`decode`], [`mul`], [`encode`]) exist for everything that is not a batch of records.
//!
//! Sources: the group and its encoding are RFC 9496; `H` is `hash_to_ristretto255` of RFC 9380, appendix B, with
//! `expand_message_xmd` over SHA-512 (section 5.3.1).
//!
//! The crate does not know what is hashed or what a scalar is for, starts no threads, and reads no files. It accepts
//! the zero scalar, as the mathematics does; whoever calls it refuses one.
//!
//! ```
//! use datafuse_group::{Scalar, decode_mul_encode, hash_mul_encode};
//!
//! let dst = b"EXAMPLE-V01-R255_XMD:SHA-512_R255MAP_RO_";
//! let (a, b) = (Scalar::from_wide_bytes(&[1; 64]), Scalar::from_wide_bytes(&[2; 64]));
//!
//! // a*H(x), and then b*(a*H(x)) ...
//! let mut first = [[0; 32]; 1];
//! hash_mul_encode(dst, &[b"x"], &a, &mut first);
//! let mut both = [[0; 32]; 1];
//! decode_mul_encode(&b, &first, &mut both)?;
//!
//! // ... is (a*b)*H(x).
//! let mut at_once = [[0; 32]; 1];
//! hash_mul_encode(dst, &[b"x"], &a.mul(&b), &mut at_once);
//! assert_eq!(both, at_once);
//! # Ok::<(), datafuse_group::PointError>(())
//! ```

mod backend;
mod error;
mod hash;
mod points;
mod scalar;

pub use backend::{Backend, BackendError};
pub use error::PointError;
pub use points::{Points, decode, decode_mul_encode, encode, hash_mul_encode, hash_to_group, mul};
pub use scalar::Scalar;
