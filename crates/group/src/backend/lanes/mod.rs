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
//! compiler is told of the instructions. Closures are avoided on the way, as they are not sure to be inlined, and one
//! product out of line costs ten times that of the others. Unsafe code is allowed in `avx2`, `avx512` and `backends`,
//! and nowhere else.

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
    let mut index = 0;
    for encodings in encodings.chunks(GROUPS * lanes) {
        let (first, second) = encodings.split_at(encodings.len().min(lanes));
        let decoded = ristretto::decode::<F, GROUPS>([load(first), load(second)]);
        for (decoded, group) in decoded.into_iter().zip(encodings.chunks(lanes)) {
            let (canonical, identity) = (decoded.canonical.to_words(), decoded.identity.to_words());
            for lane in 0..group.len() {
                if identity[lane] != 0 {
                    return Err(PointError::Identity { index });
                }
                if canonical[lane] == 0 {
                    return Err(PointError::NotCanonical { index });
                }
                index += 1;
            }
            points.0.push(decoded.points);
        }
    }
    Ok(LanePoints(std::mem::take(&mut points.0)))
}

/// See [`Kernel::mul`](super::Kernel::mul).
#[inline(always)]
pub(crate) fn mul<F: Field>(k: &Scalar, points: &LanePoints<F>) -> LanePoints<F> {
    let digits = Zeroizing::new(signed_digits(&Zeroizing::new(k.to_bytes())));
    let mut tables = Zeroizing::new([Table::new(), Table::new()]);
    let mut products = points.clone();
    for groups in products.0.chunks_mut(GROUPS) {
        let both = Extended::mul(padded(groups), &digits, &mut tables);
        groups.copy_from_slice(&both[..groups.len()]);
    }
    products
}

/// See [`Kernel::encode`](super::Kernel::encode).
#[inline(always)]
pub(crate) fn encode<F: Field>(points: &LanePoints<F>, out: &mut [[u8; 32]]) {
    let lanes = F::Vector::LANES;
    for (points, out) in points.0.chunks(GROUPS).zip(out.chunks_mut(GROUPS * lanes)) {
        let encodings = ristretto::encode(padded(points));
        for (encodings, out) in encodings.into_iter().zip(out.chunks_mut(lanes)) {
            store(encodings, out);
        }
    }
}

/// See [`Kernel::mul_encode`](super::Kernel::mul_encode).
#[inline(always)]
pub(crate) fn mul_encode<F: Field>(k: &Scalar, points: &LanePoints<F>, out: &mut [[u8; 32]]) {
    let products = Zeroizing::new(mul(&k.half(), points));
    let mut doubled = Zeroizing::new(Vec::with_capacity(products.0.len()));
    for product in &products.0 {
        doubled.push(Doubled::new(*product));
    }
    encode_doubled(&doubled, out);
}

/// Groups that are computed at the same time, so that one fills the time that the other waits.
const GROUPS: usize = 2;

/// As many groups as are computed at the same time, of which those that are not there are the first once more.
#[inline(always)]
fn padded<F: Field>(points: &[Extended<F>]) -> [Extended<F>; GROUPS] {
    [points[0], points.get(1).copied().unwrap_or(points[0])]
}

/// See [`Kernel::put_identity`](super::Kernel::put_identity).
#[cfg(test)]
#[inline(always)]
fn put_identity<F: Field>(points: &mut LanePoints<F>, index: usize) {
    points.0[index / F::Vector::LANES].put_identity(index % F::Vector::LANES);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    //! An element of ristretto255 is four points of the curve, which differ by points of order 4 or less. What is
    //! encoded must not depend on which of them, nor on the Z, a lane holds.

    use curve25519_dalek::constants::EIGHT_TORSION;
    use curve25519_dalek::scalar::Scalar as DalekScalar;
    use curve25519_dalek::traits::Identity;
    use curve25519_dalek::{EdwardsPoint, RistrettoPoint};

    use super::curve::tests::{any_scalar, expect_extended, extended};
    use super::field::tests::{Probe, rng};
    use super::*;
    use crate::backend::conformance::{is_here, suite};
    use crate::backend::{Kernel, Portable};

    /// Makes a kernel of plain words, which runs wherever `portable` does. Where debug assertions are on, it panics on
    /// the overflow of any addition or subtraction.
    macro_rules! twin {
        ($twin:ident, $field:ty) => {
            struct $twin;

            impl Kernel for $twin {
                const NAME: &'static str = Portable::NAME;

                type Points = LanePoints<$field>;

                fn missing_feature() -> Option<&'static str> {
                    None
                }

                fn hash_to_group(expander: &Expander, messages: &[&[u8]]) -> Self::Points {
                    hash_to_group(expander, messages)
                }

                fn map_to_group(uniform: &[[u8; UNIFORM_BYTES]]) -> Self::Points {
                    map_to_group(uniform)
                }

                fn decode(encodings: &[[u8; 32]]) -> Result<Self::Points, PointError> {
                    decode(encodings)
                }

                fn mul(k: &Scalar, points: &Self::Points) -> Self::Points {
                    mul(k, points)
                }

                fn encode(points: &Self::Points, out: &mut [[u8; 32]]) {
                    encode(points, out);
                }

                fn mul_encode(k: &Scalar, points: &Self::Points, out: &mut [[u8; 32]]) {
                    mul_encode(k, points, out);
                }

                fn put_identity(points: &mut Self::Points, index: usize) {
                    put_identity(points, index);
                }
            }
        };
    }
    twin!(Twin25, field::tests::Twin25);
    twin!(Twin52, field::tests::Twin52);

    /// Makes one test of each check for each kernel in lanes.
    macro_rules! on_each_kernel {
        ($($check:ident),* $(,)?) => {
            on_each_kernel! { @ twin_25: super::Twin25, $($check),* }
            on_each_kernel! { @ twin_52: super::Twin52, $($check),* }
            #[cfg(target_arch = "x86_64")]
            on_each_kernel! { @ avx2: crate::backend::Avx2, $($check),* }
            #[cfg(target_arch = "x86_64")]
            on_each_kernel! { @ ifma: crate::backend::Ifma, $($check),* }
        };
        (@ $module:ident: $kernel:ty, $($check:ident),*) => {
            mod $module {
                $(#[test] fn $check() {
                    if super::is_here::<$kernel>() {
                        super::$check::<$kernel, _>();
                    }
                })*
            }
        };
    }

    mod conformance_of_twin_25 {
        super::suite!(super::Twin25);
    }

    mod conformance_of_twin_52 {
        super::suite!(super::Twin52);
    }

    const GROUPS_OF_LANES: usize = 3;

    /// Discrete logarithms of some elements, zero and small ones among them.
    fn logarithms<F: Probe>() -> Vec<DalekScalar> {
        let mut rng = rng();
        let count = GROUPS_OF_LANES * F::Vector::LANES;
        let mut logarithms: Vec<_> = (0..count).map(|_| any_scalar(&mut rng)).collect();
        logarithms[0] = DalekScalar::ZERO;
        logarithms[count - 1] = -DalekScalar::ONE;
        logarithms
    }

    /// Their points, and to each added the `torsion` of its position.
    fn points<F: Probe>(logarithms: &[DalekScalar], torsion: impl Fn(usize) -> EdwardsPoint) -> LanePoints<F> {
        let points: Vec<EdwardsPoint> =
            logarithms.iter().enumerate().map(|(i, k)| EdwardsPoint::mul_base(k) + torsion(i)).collect();
        let mut rng = rng();
        LanePoints(points.chunks(F::Vector::LANES).map(|points| extended(&mut rng, points)).collect())
    }

    fn encodings(logarithms: &[DalekScalar], k: &DalekScalar) -> Vec<[u8; 32]> {
        logarithms.iter().map(|point| RistrettoPoint::mul_base(&(point * k)).compress().to_bytes()).collect()
    }

    fn of_dalek(scalar: &DalekScalar) -> Scalar {
        Scalar::from_canonical_bytes(&scalar.to_bytes()).unwrap()
    }

    /// Scalars whose halves are odd, even, and 1 to 8, so that each point of the torsion is met after multiplying.
    fn scalars() -> Vec<DalekScalar> {
        let mut rng = rng();
        let mut scalars: Vec<_> = (0..=16u8).map(DalekScalar::from).collect();
        scalars.extend([-DalekScalar::ONE, DalekScalar::ONE.div_by_2()]);
        scalars.extend((0..8).map(|_| any_scalar(&mut rng)));
        scalars
    }

    fn encoding_forgets_the_4_torsion<K: Kernel<Points = LanePoints<F>>, F: Probe>() {
        let logarithms = logarithms::<F>();
        let expected = encodings(&logarithms, &DalekScalar::ONE);
        for shift in 0..4 {
            // Even multiples of a point of order 8, another in each lane.
            let points = points::<F>(&logarithms, |i| EIGHT_TORSION[2 * (i + i / F::Vector::LANES + shift) % 8]);
            let mut out = vec![[0xaa; 32]; logarithms.len()];
            K::encode(&points, &mut out);
            assert_eq!(out, expected);
        }
    }

    /// The converse: torsion of order 8 is not forgotten, so that the test above could fail.
    fn encoding_without_doubling_sees_the_8_torsion<K: Kernel<Points = LanePoints<F>>, F: Probe>() {
        let logarithms = logarithms::<F>();
        let expected = encodings(&logarithms, &DalekScalar::ONE);
        let points = points::<F>(&logarithms, |_| EIGHT_TORSION[1]);
        let mut out = vec![[0xaa; 32]; logarithms.len()];
        K::encode(&points, &mut out);
        for (i, (out, expected)) in out.iter().zip(&expected).enumerate() {
            assert_ne!(out, expected, "element {i}");
        }
    }

    fn multiplying_and_encoding_together_forgets_the_8_torsion<K: Kernel<Points = LanePoints<F>>, F: Probe>() {
        let logarithms = logarithms::<F>();
        for shift in 0..8 {
            // Another point of order 8 or less in each lane.
            let points = points::<F>(&logarithms, |i| EIGHT_TORSION[(i + i / F::Vector::LANES + shift) % 8]);
            for k in scalars() {
                let mut out = vec![[0xaa; 32]; logarithms.len()];
                K::mul_encode(&of_dalek(&k), &points, &mut out);
                assert_eq!(out, encodings(&logarithms, &k), "{k:?}, shift {shift}");
            }
        }
    }

    /// Also where the points lie beside the subgroup: the scalar is the integer, and not one congruent to it.
    fn multiplying_keeps_the_4_torsion_out_of_the_encoding<K: Kernel<Points = LanePoints<F>>, F: Probe>() {
        let logarithms = logarithms::<F>();
        let points = points::<F>(&logarithms, |i| EIGHT_TORSION[2 * i % 8]);
        for k in scalars() {
            let mut out = vec![[0xaa; 32]; logarithms.len()];
            K::encode(&K::mul(&of_dalek(&k), &points), &mut out);
            assert_eq!(out, encodings(&logarithms, &k), "{k:?}");
        }
    }

    /// As an integer times a point of the curve, torsion included, which an encoding would hide.
    fn multiplies_points_of_the_curve_as_dalek<K: Kernel<Points = LanePoints<F>>, F: Probe>() {
        let logarithms = logarithms::<F>();
        let torsion = |i: usize| EIGHT_TORSION[(3 * i + 1) % 8];
        let points = points::<F>(&logarithms, torsion);
        for k in scalars() {
            let expected: Vec<EdwardsPoint> = logarithms
                .iter()
                .enumerate()
                .map(|(i, point)| (EdwardsPoint::mul_base(point) + torsion(i)) * k)
                .collect();
            let products = K::mul(&of_dalek(&k), &points);
            for (products, expected) in products.0.into_iter().zip(expected.chunks(F::Vector::LANES)) {
                expect_extended(products, expected, &format!("{k:?}"));
            }
        }
    }

    fn put_identity_changes_one_lane<K: Kernel<Points = LanePoints<F>>, F: Probe>() {
        let logarithms = logarithms::<F>();
        let given = points::<F>(&logarithms, |_| EdwardsPoint::identity());
        for index in 0..logarithms.len() {
            let mut points = given.clone();
            K::put_identity(&mut points, index);
            let mut expected = encodings(&logarithms, &DalekScalar::ONE);
            expected[index] = [0; 32];
            let mut out = vec![[0xaa; 32]; logarithms.len()];
            K::encode(&points, &mut out);
            assert_eq!(out, expected);
        }
    }

    on_each_kernel! {
        encoding_forgets_the_4_torsion,
        encoding_without_doubling_sees_the_8_torsion,
        multiplying_and_encoding_together_forgets_the_8_torsion,
        multiplying_keeps_the_4_torsion_out_of_the_encoding,
        multiplies_points_of_the_curve_as_dalek,
        put_identity_changes_one_lane,
    }
}
