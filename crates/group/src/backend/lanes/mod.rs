//! Backends that compute with one record a lane: as many points side by side as a register has 64-bit lanes.
//!
//! Everything but the instructions themselves is written once, over two traits: [`vector::Vector`], the operations on
//! lanes, and [`field::Field`], numbers modulo 2^255 - 19 in some number of limbs. `docs/group.md` has the algorithms,
//! the bounds and what was measured.
//!
//! ```text
//! sha512  ->  ristretto::map_to_group  \
//!                                        curve::mul  ->  ristretto::encode_doubled
//!             ristretto::decode        /
//!                       field <- radix52 <- avx512
//!                             <- radix25 <- avx2
//! ```
//!
//! The functions here take slices of any length and fill the last group of lanes with points whose results nobody
//! reads. All of them, and all that they call, are inlined into the entry points in `backends`, which is where the
//! compiler is told of the instructions. Unsafe code is allowed in `avx2`, `avx512` and `backends`, and nowhere else.

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod avx2;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod avx512;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
pub(crate) mod backends;
mod curve;
mod field;
mod radix25;
mod radix52;
mod ristretto;
mod sha512;
mod vector;

use zeroize::{Zeroize, Zeroizing};

use self::curve::{Extended, Table, signed_digits};
use self::field::Field;
use self::ristretto::{Doubled, encode_doubled, load, store};
use self::sha512::LaneExpander;
use self::vector::Vector;
use crate::error::PointError;
use crate::hash::{Expander, UNIFORM_BYTES};
use crate::scalar::Scalar;

/// Points in groups of as many as there are lanes; those past the last of the batch are the identity, or whatever a
/// function made of it.
#[derive(Clone)]
pub(crate) struct LanePoints<F: Field>(Vec<Extended<F>>);

impl<F: Field> Zeroize for LanePoints<F> {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

/// See [`Kernel::hash_to_group`](super::Kernel::hash_to_group).
#[inline(always)]
pub(crate) fn hash_to_group<F: Field>(expander: &Expander, messages: &[&[u8]]) -> LanePoints<F> {
    let mut lanes = LaneExpander::new(expander.dst_prime());
    let mut groups = Vec::with_capacity(messages.len().div_ceil(F::Vector::LANES));
    for messages in messages.chunks(F::Vector::LANES) {
        let [a, b, c, d, e, f, g, h] = lanes.expand(messages);
        groups.push(ristretto::map_to_group([[a, b, c, d], [e, f, g, h]]));
    }
    LanePoints(groups)
}

/// See [`Kernel::map_to_group`](super::Kernel::map_to_group).
#[inline(always)]
pub(crate) fn map_to_group<F: Field>(uniform: &[[u8; UNIFORM_BYTES]]) -> LanePoints<F> {
    let mut groups = Vec::with_capacity(uniform.len().div_ceil(F::Vector::LANES));
    for uniform in uniform.chunks(F::Vector::LANES) {
        let mut halves = [[[0; 32]; vector::MAX_LANES]; 2];
        for (lane, uniform) in uniform.iter().enumerate() {
            for (half, bytes) in halves.iter_mut().zip(uniform.as_chunks().0) {
                half[lane] = *bytes;
            }
        }
        groups.push(ristretto::map_to_group([load(&halves[0]), load(&halves[1])]));
        halves.zeroize();
    }
    LanePoints(groups)
}

/// See [`Kernel::decode`](super::Kernel::decode).
#[inline(always)]
pub(crate) fn decode<F: Field>(encodings: &[[u8; 32]]) -> Result<LanePoints<F>, PointError> {
    let lanes = F::Vector::LANES;
    let mut points = Zeroizing::new(LanePoints(Vec::with_capacity(encodings.len().div_ceil(lanes))));
    for (pair, encodings) in encodings.chunks(2 * lanes).enumerate() {
        let (first, second) = encodings.split_at(encodings.len().min(lanes));
        let decoded = ristretto::decode::<F, 2>([load(first), load(second)]);
        for (half, (decoded, count)) in decoded.into_iter().zip([first.len(), second.len()]).enumerate() {
            let (canonical, identity) = (decoded.canonical.to_words(), decoded.identity.to_words());
            for lane in 0..count {
                let index = (2 * pair + half) * lanes + lane;
                if identity[lane] != 0 {
                    return Err(PointError::Identity { index });
                }
                if canonical[lane] == 0 {
                    return Err(PointError::NotCanonical { index });
                }
            }
            if count > 0 {
                points.0.push(decoded.points);
            }
        }
    }
    Ok(LanePoints(std::mem::take(&mut points.0)))
}

/// See [`Kernel::mul`](super::Kernel::mul).
#[inline(always)]
pub(crate) fn mul<F: Field>(k: &Scalar, points: &LanePoints<F>) -> LanePoints<F> {
    let digits = Zeroizing::new(signed_digits(&Zeroizing::new(k.to_bytes())));
    let mut table = Zeroizing::new(Table::new());
    let mut products = points.clone();
    for product in &mut products.0 {
        *product = product.mul(&digits, &mut table);
    }
    products
}

/// See [`Kernel::encode`](super::Kernel::encode).
#[inline(always)]
pub(crate) fn encode<F: Field>(points: &LanePoints<F>, out: &mut [[u8; 32]]) {
    for (points, out) in points.0.chunks(2).zip(out.chunks_mut(2 * F::Vector::LANES)) {
        let encodings = ristretto::encode([points[0], points.get(1).copied().unwrap_or(points[0])]);
        for (encodings, out) in encodings.into_iter().zip(out.chunks_mut(F::Vector::LANES)) {
            store(encodings, out);
        }
    }
}

/// See [`Kernel::mul_encode`](super::Kernel::mul_encode).
#[inline(always)]
pub(crate) fn mul_encode<F: Field>(k: &Scalar, points: &LanePoints<F>, out: &mut [[u8; 32]]) {
    let digits = Zeroizing::new(signed_digits(&Zeroizing::new(k.half().to_bytes())));
    let mut table = Zeroizing::new(Table::new());
    let mut doubled = Zeroizing::new(Vec::with_capacity(points.0.len()));
    for point in &points.0 {
        doubled.push(Doubled::new(point.mul(&digits, &mut table)));
    }
    encode_doubled(&doubled, out);
}

/// See [`Kernel::put_identity`](super::Kernel::put_identity).
#[cfg(test)]
#[inline(always)]
fn put_identity<F: Field>(points: &mut LanePoints<F>, index: usize) {
    points.0[index / F::Vector::LANES].put_identity(index % F::Vector::LANES);
}
