//! Points of the Edwards curve -x^2 + y^2 = 1 + d x^2 y^2, one a lane, and their multiplication by one scalar.
//!
//! The formulas are complete: as d is not a square and -1 is one, they hold for every pair of points of the curve, so
//! that there is no case to tell apart. Names of coordinates and of the values in between are those of the source.
//!
//! Constant-time in the points, and in the scalar: each digit of it is looked up by reading the whole table.
//!
//! Source: Hisil, Wong, Carter, Dawson, "Twisted Edwards Curves Revisited" (2008), sections 3.1, 3.3 and 4.3 (mixing
//! coordinates), for a = -1.

use std::hint::black_box;

use zeroize::Zeroize;

use super::field::{Field, ONE, Sum, TWO_D, ZERO};
use super::vector::{MAX_LANES, Vector};

/// Points as x = X/Z, y = Y/Z, T = XY/Z.
#[derive(Clone, Copy)]
pub(crate) struct Extended<F> {
    pub(crate) x: F,
    pub(crate) y: F,
    pub(crate) z: F,
    pub(crate) t: F,
}

/// Points as x = X/Z, y = Y/Z: enough to be doubled.
#[derive(Clone, Copy)]
pub(crate) struct Projective<F> {
    x: F,
    y: F,
    z: F,
}

/// Points as x = E/G, y = H/F: what a formula ends in, before its last multiplications.
#[derive(Clone, Copy)]
pub(crate) struct Completed<F> {
    e: F,
    f: F,
    g: F,
    h: F,
}

/// Left side of an addition: extended coordinates, but for X and Y their difference and sum.
#[derive(Clone, Copy)]
pub(crate) struct Augend<F> {
    y_minus_x: F,
    y_plus_x: F,
    z: F,
    t: F,
}

/// Right side of an addition, prepared to be used many times.
#[derive(Clone, Copy)]
pub(crate) struct Addend<F: Field> {
    y_minus_x: F::Packed,
    y_plus_x: F::Packed,
    two_z: F::Packed,
    two_d_t: F::Packed,
}

impl<F: Field> Zeroize for Extended<F> {
    fn zeroize(&mut self) {
        for coordinate in [&mut self.x, &mut self.y, &mut self.z, &mut self.t] {
            coordinate.zeroize();
        }
    }
}

impl<F: Field> Zeroize for Addend<F> {
    fn zeroize(&mut self) {
        for coordinate in [&mut self.y_minus_x, &mut self.y_plus_x, &mut self.two_z, &mut self.two_d_t] {
            coordinate.zeroize();
        }
    }
}

impl<F: Field> Extended<F> {
    /// Returns the identity in every lane.
    #[inline(always)]
    pub(crate) fn identity() -> Self {
        let (zero, one) = (F::splat(ZERO), F::splat(ONE));
        Self { x: zero, y: one, z: one, t: zero }
    }

    /// Makes one lane the identity.
    #[cfg(test)]
    #[inline(always)]
    pub(crate) fn put_identity(&mut self, lane: usize) {
        let mut words = [0; MAX_LANES];
        words[lane] = u64::MAX;
        let (mask, identity) = (F::Vector::from_words(&words), Self::identity());
        self.x = F::select(mask, identity.x, self.x);
        self.y = F::select(mask, identity.y, self.y);
        self.z = F::select(mask, identity.z, self.z);
        self.t = F::select(mask, identity.t, self.t);
    }

    #[inline(always)]
    fn projective(self) -> Projective<F> {
        Projective { x: self.x, y: self.y, z: self.z }
    }

    #[inline(always)]
    fn augend(self) -> Augend<F> {
        Augend { y_minus_x: self.y.minus(self.x), y_plus_x: self.y.plus(self.x), z: self.z, t: self.t }
    }

    #[inline(always)]
    fn addend(self) -> Addend<F> {
        Addend {
            y_minus_x: self.y.minus(self.x).pack(),
            y_plus_x: self.y.plus(self.x).pack(),
            two_z: self.z.plus(self.z).pack(),
            two_d_t: self.t.mul(F::splat(TWO_D)).pack(),
        }
    }

    /// Adds two points.
    #[inline(always)]
    pub(crate) fn add(self, other: Self) -> Self {
        self.augend().add(other.addend(), F::Vector::splat(0)).extended()
    }

    /// Multiplies the points of `N` groups by the integer of `digits`, as [`signed_digits`] makes them; each group has a
    /// table to work in.
    ///
    /// From the highest digit down: four doublings, and the multiple of the digit added. So 252 doublings and 64
    /// additions, and 8 multiples to make first; a digit is 4 bits because one bit more makes the table, and the time
    /// to read it, twice as large for a fifth fewer additions. The groups take turns, so that one computes while the
    /// other waits for its last product.
    #[inline(always)]
    pub(crate) fn mul<const N: usize>(
        points: [Self; N],
        digits: &[i8; DIGITS],
        tables: &mut [Table<F>; N],
    ) -> [Self; N] {
        for (table, point) in tables.iter_mut().zip(points) {
            table.fill(point);
        }
        let mut sums = [Self::identity().completed(); N];
        for (position, digit) in digits.iter().enumerate().rev() {
            if position + 1 < DIGITS {
                for _ in 0..4 {
                    for sum in &mut sums {
                        *sum = sum.projective().double();
                    }
                }
            }
            for (sum, table) in sums.iter_mut().zip(tables.iter()) {
                let (addend, negative) = table.scan(*digit);
                *sum = sum.augend().add(addend, negative);
            }
        }
        let mut products = points;
        for (product, sum) in products.iter_mut().zip(sums) {
            *product = sum.extended();
        }
        products
    }

    #[inline(always)]
    fn completed(self) -> Completed<F> {
        Completed { e: self.x, f: self.z, g: self.z, h: self.y }
    }
}

impl<F: Field> Projective<F> {
    /// Doubles: E = 2XY, G = Y^2 - X^2, F = 2Z^2 - G, H = X^2 + Y^2. The source has the signs of both F and H turned,
    /// which does not change H/F.
    #[inline(always)]
    fn double(self) -> Completed<F> {
        let Self { x, y, z } = self;
        let xx = x.square_onto(F::Sum::zero());
        let yy = y.square_onto(F::Sum::multiple_of_p());
        let zz = z.square_onto(F::Sum::multiple_of_p());
        let xy = x.mul_sum(y);
        let g = yy.sub(xx);
        Completed { e: xy.double().carry(), f: zz.double().sub(g).carry(), g: g.carry(), h: yy.add(xx).carry() }
    }
}

impl<F: Field> Completed<F> {
    #[inline(always)]
    fn projective(self) -> Projective<F> {
        let Self { e, f, g, h } = self;
        Projective { x: e.mul(f), y: g.mul(h), z: f.mul(g) }
    }

    #[inline(always)]
    fn extended(self) -> Extended<F> {
        let Self { e, f, g, h } = self;
        Extended { x: e.mul(f), y: g.mul(h), z: f.mul(g), t: e.mul(h) }
    }

    /// X and Y are added and subtracted before they are carried.
    #[inline(always)]
    fn augend(self) -> Augend<F> {
        let Self { e, f, g, h } = self;
        let x = e.mul_sum(f);
        let y = g.mul_onto(h, F::Sum::multiple_of_p());
        Augend { y_minus_x: y.sub(x).carry(), y_plus_x: y.add(x).carry(), z: f.mul(g), t: e.mul(h) }
    }
}

impl<F: Field> Augend<F> {
    /// Adds, or subtracts in the lanes where the mask `negative` is all ones: the negative of a point has the other
    /// sign of X and T, so the two of Y - X and Y + X are exchanged, and those of F and G.
    #[inline(always)]
    fn add(self, other: Addend<F>, negative: F::Vector) -> Completed<F> {
        let (minus, plus) = (F::unpack(other.y_minus_x), F::unpack(other.y_plus_x));
        let a = self.y_minus_x.mul_sum(F::select(negative, plus, minus));
        let b = self.y_plus_x.mul_onto(F::select(negative, minus, plus), F::Sum::multiple_of_p());
        let c = self.t.mul_sum(F::unpack(other.two_d_t));
        let d = self.z.mul_onto(F::unpack(other.two_z), F::Sum::multiple_of_p());
        let (less, more) = (d.sub(c), d.add(c));
        Completed {
            e: b.sub(a).carry(),
            h: b.add(a).carry(),
            f: F::Sum::select(negative, more, less).carry(),
            g: F::Sum::select(negative, less, more).carry(),
        }
    }
}

/// Multiples 1 to 8 of one point a lane.
pub(crate) struct Table<F: Field>([Addend<F>; 8]);

impl<F: Field> Table<F> {
    /// Returns a table of the identity.
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self([Extended::identity().addend(); 8])
    }

    /// Computes the multiples of these points.
    #[inline(always)]
    fn fill(&mut self, point: Extended<F>) {
        let first = point.addend();
        self.0[0] = first;
        let mut multiple = point.projective().double().extended();
        self.0[1] = multiple.addend();
        for entry in &mut self.0[2..] {
            multiple = multiple.augend().add(first, F::Vector::splat(0)).extended();
            *entry = multiple.addend();
        }
    }

    /// Returns the multiple by the digit without its sign, and the mask of the sign. Every entry is read, whatever the
    /// digit: what is not meant is masked away.
    #[inline(always)]
    fn scan(&self, digit: i8) -> (Addend<F>, F::Vector) {
        let sign = digit >> 7;
        let size = (digit ^ sign).wrapping_sub(sign);
        // The compiler must not know that all lanes have one digit: it could branch on it.
        let size = F::Vector::from_words(&black_box([u64::from(size.cast_unsigned()); MAX_LANES]));
        let negative = F::Vector::from_words(&black_box([i64::from(sign).cast_unsigned(); MAX_LANES]));

        let zero = F::packed_zero();
        let mut found = Addend { y_minus_x: zero, y_plus_x: zero, two_z: zero, two_d_t: zero };
        let identity = Extended::identity().addend();
        for (multiple, entry) in std::iter::once(&identity).chain(&self.0).enumerate() {
            let mask = size.equal(F::Vector::splat(multiple as u64));
            found = Addend {
                y_minus_x: F::scan(found.y_minus_x, mask, entry.y_minus_x),
                y_plus_x: F::scan(found.y_plus_x, mask, entry.y_plus_x),
                two_z: F::scan(found.two_z, mask, entry.two_z),
                two_d_t: F::scan(found.two_d_t, mask, entry.two_d_t),
            };
        }
        (found, negative)
    }
}

impl<F: Field> Zeroize for Table<F> {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

/// Number of digits of a scalar.
pub(crate) const DIGITS: usize = 64;

/// Writes a scalar, 32 bytes little-endian and below 2^253, as digits from -8 to 7, of which digit i weighs 16^i. The
/// digits are as secret as the scalar: the caller wipes them. Constant-time.
pub(crate) fn signed_digits(scalar: &[u8; 32]) -> [i8; DIGITS] {
    let mut digits = [0; DIGITS];
    let mut carry = 0;
    for (i, digit) in digits.iter_mut().enumerate() {
        let nibble = (scalar[i / 2] >> (4 * (i % 2)) & 15).cast_signed() + carry;
        // 1 where the nibble is 8 or above, which takes 16 from it and gives one to the next.
        carry = (nibble + 8) >> 4;
        *digit = nibble - (carry << 4);
    }
    digits
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    //! Points against dalek's, with its own encoding of points of the curve, which tells all of them apart.

    use curve25519_dalek::EdwardsPoint;
    use curve25519_dalek::constants::EIGHT_TORSION;
    use curve25519_dalek::edwards::CompressedEdwardsY;
    use curve25519_dalek::scalar::Scalar as DalekScalar;
    use curve25519_dalek::traits::Identity;
    use num_bigint::BigUint;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::Rng;

    use super::super::field::tests::{
        Probe, difference, from_numbers, inverse, lanes_of, mask, number, on_each_field, p, power, rng, to_numbers,
    };
    use super::super::field::{D, SQRT_M1};
    use super::*;

    /// A number modulo p other than zero.
    fn any_number(rng: &mut ChaCha20Rng) -> BigUint {
        number(std::array::from_fn(|_| rng.next_u64())) % (p() - 1u8) + 1u8
    }

    pub(crate) fn any_scalar(rng: &mut ChaCha20Rng) -> DalekScalar {
        let mut wide = [0; 64];
        rng.fill_bytes(&mut wide);
        DalekScalar::from_bytes_mod_order_wide(&wide)
    }

    /// Points of the prime-order subgroup, and points beside it.
    fn any_points(rng: &mut ChaCha20Rng, count: usize) -> Vec<EdwardsPoint> {
        let point = |i: usize| EdwardsPoint::mul_base(&any_scalar(rng)) + EIGHT_TORSION[i % 8];
        (0..count).map(point).collect()
    }

    /// Coordinates of a point, by the equation of the curve.
    fn affine(point: &EdwardsPoint) -> (BigUint, BigUint) {
        let mut bytes = point.compress().to_bytes();
        let sign = bytes[31] >> 7 == 1;
        bytes[31] &= 0x7f;
        let y = BigUint::from_bytes_le(&bytes);
        let yy = &y * &y % p();
        let xx = difference(&yy, &BigUint::from(1u8)) * inverse(&(number(D) * &yy + 1u8)) % p();
        let root = power(&xx, &((p() + 3u8) / 8u8));
        let root = if &root * &root % p() == xx { root } else { root * number(SQRT_M1) % p() };
        assert_eq!(&root * &root % p(), xx, "the point is on the curve");
        let x = if root.bit(0) == sign { root } else { difference(&BigUint::ZERO, &root) };
        (x, y)
    }

    /// One point a lane, each with a Z of its own.
    pub(crate) fn extended<F: Probe>(rng: &mut ChaCha20Rng, points: &[EdwardsPoint]) -> Extended<F> {
        let mut coordinates: [Vec<BigUint>; 4] = Default::default();
        for point in points {
            let ((x, y), z) = (affine(point), any_number(rng));
            let t = &x * &y % p() * &z % p();
            for (all, one) in coordinates.iter_mut().zip([x * &z % p(), y * &z % p(), z, t]) {
                all.push(one);
            }
        }
        let [x, y, z, t] = coordinates.map(|lanes| from_numbers(&lanes));
        Extended { x, y, z, t }
    }

    /// The encoding of the point (x/z, y/z).
    fn compressed(x: &BigUint, y: &BigUint, z: &BigUint) -> CompressedEdwardsY {
        assert_ne!(*z, BigUint::ZERO);
        let over_z = inverse(z);
        let (x, y) = (x * &over_z % p(), y * over_z % p());
        let mut bytes = y.to_bytes_le();
        bytes.resize(32, 0);
        bytes[31] |= u8::from(x.bit(0)) << 7;
        CompressedEdwardsY(bytes.try_into().unwrap())
    }

    /// Makes each formula a function that is compiled once a field, where the code itself inlines all of them
    /// everywhere.
    macro_rules! once {
        ($(fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? = $call:expr;)*) => {
            $(
                #[inline(never)]
                fn $name<F: Field>($($argument: $type),*) $(-> $result)? {
                    $call
                }
            )*
        };
    }
    once! {
        fn add(left: Extended<F>, right: Extended<F>) -> Extended<F> = left.add(right);
        fn addend(right: Extended<F>) -> Addend<F> = right.addend();
        fn augend(left: Completed<F>) -> Augend<F> = left.augend();
        fn add_signed(left: Augend<F>, right: Addend<F>, negative: F::Vector) -> Completed<F> = left.add(right, negative);
        fn double(point: Projective<F>) -> Completed<F> = point.double();
        fn finish(point: Completed<F>) -> Extended<F> = point.extended();
        fn fill(table: &mut Table<F>, points: Extended<F>) = table.fill(points);
        fn scan(table: &Table<F>, digit: i8) -> (Addend<F>, F::Vector) = table.scan(digit);
    }

    /// Asserts which points the lanes hold, and that T is theirs.
    pub(crate) fn expect_extended<F: Probe>(points: Extended<F>, expected: &[EdwardsPoint], what: &str) {
        let [x, y, z, t] = [points.x, points.y, points.z, points.t].map(to_numbers);
        for lane in 0..F::Vector::LANES {
            let expected = expected[lane % expected.len()].compress();
            assert_eq!(compressed(&x[lane], &y[lane], &z[lane]), expected, "{what}, lane {lane}");
            assert_eq!(&x[lane] * &y[lane] % p(), &t[lane] * &z[lane] % p(), "{what}: T, lane {lane}");
        }
    }

    /// An addend has 2X = (Y + X) - (Y - X), 2Y, 2Z and 2d*T.
    fn expect_addend<F: Probe>(addend: Addend<F>, expected: &[EdwardsPoint], what: &str) {
        let [minus, plus, two_z, two_d_t] =
            [addend.y_minus_x, addend.y_plus_x, addend.two_z, addend.two_d_t].map(F::unpack).map(to_numbers);
        for lane in 0..F::Vector::LANES {
            let (two_x, two_y) = (difference(&plus[lane], &minus[lane]), &plus[lane] + &minus[lane]);
            let expected = expected[lane % expected.len()].compress();
            assert_eq!(compressed(&two_x, &two_y, &two_z[lane]), expected, "{what}, lane {lane}");
            // T = XY/Z, so 2dT * 2Z = d * 2X * 2Y.
            let product = number(D) * two_x * two_y % p();
            assert_eq!(&two_d_t[lane] * &two_z[lane] % p(), product, "{what}: 2dT, lane {lane}");
        }
    }

    /// Any two points, a point and itself, its negative, the identity, and points whose difference is torsion: the
    /// formulas have no exceptions.
    fn pairs(rng: &mut ChaCha20Rng) -> Vec<(EdwardsPoint, EdwardsPoint)> {
        let mut pairs: Vec<_> = any_points(rng, 16).into_iter().zip(any_points(rng, 16)).collect();
        for point in any_points(rng, 4) {
            pairs.extend([(point, point), (point, -point), (point, EdwardsPoint::identity())]);
            pairs.extend([(EdwardsPoint::identity(), point)]);
            pairs.extend(EIGHT_TORSION.map(|torsion| (point, point + torsion)));
            pairs.extend(EIGHT_TORSION.map(|torsion| (torsion, point)));
        }
        pairs.extend(EIGHT_TORSION.iter().flat_map(|a| EIGHT_TORSION.map(|b| (*a, b))));
        pairs
    }

    fn adds_subtracts_and_doubles_as_dalek<F: Probe>() {
        let mut rng = rng();
        for pairs in pairs(&mut rng).chunks(F::Vector::LANES) {
            let (a, b): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
            let (left, right): (Extended<F>, Extended<F>) = (extended(&mut rng, &a), extended(&mut rng, &b));
            expect_extended(left, &a, "as given");
            let sums: Vec<_> = pairs.iter().map(|(a, b)| a + b).collect();
            expect_extended(add(left, right), &sums, "sum");
            expect_addend(addend(right), &b, "addend");

            for negative in [0, 1] {
                let expected: Vec<_> = pairs
                    .iter()
                    .enumerate()
                    .map(|(lane, (a, b))| if lane % 2 == negative { a - b } else { a + b })
                    .cycle()
                    .take(pairs.len())
                    .collect();
                if pairs.len() == F::Vector::LANES {
                    let mask = mask(|lane| lane % 2 == negative);
                    let sum = add_signed(left.augend(), addend(right), mask);
                    expect_extended(finish(sum), &expected, "sum or difference");
                    // The same from the other form of the left side, which comes of a formula before.
                    let again = add_signed(augend(sum), addend(Extended::identity()), mask);
                    expect_extended(finish(again), &expected, "sum or difference, plus the identity");
                }
            }

            let doubles: Vec<_> = a.iter().map(|a| a + a).collect();
            let doubled = double(left.projective());
            expect_extended(finish(doubled), &doubles, "double");
            let again: Vec<_> = doubles.iter().map(|a| a + a).collect();
            expect_extended(finish(double(doubled.projective())), &again, "double of the double");
        }
    }

    fn starts_from_the_identity<F: Probe>() {
        let identity = [EdwardsPoint::identity()];
        expect_extended(Extended::<F>::identity(), &identity, "identity");
        expect_extended(finish(Extended::<F>::identity().completed()), &identity, "completed identity");
        let mut rng = rng();
        let points = any_points(&mut rng, F::Vector::LANES);
        let given: Extended<F> = extended(&mut rng, &points);
        expect_extended(
            finish(double(given.completed().projective())),
            &points.iter().map(|a| a + a).collect::<Vec<_>>(),
            "double of a completed",
        );
    }

    fn scans_the_multiple_of_every_digit<F: Probe>() {
        let mut rng = rng();
        let points = any_points(&mut rng, F::Vector::LANES);
        let mut table = Table::<F>::new();
        for digit in -8..=7 {
            expect_addend(scan(&table, digit).0, &[EdwardsPoint::identity()], "multiple of the identity");
        }
        // A table is used again, for other points.
        let others = any_points(&mut rng, F::Vector::LANES);
        fill(&mut table, extended(&mut rng, &others));
        fill(&mut table, extended(&mut rng, &points));
        for digit in -8..=7i8 {
            let (found, negative) = scan(&table, digit);
            assert_eq!(lanes_of(negative), vec![digit < 0; F::Vector::LANES], "sign of {digit}");
            let size = DalekScalar::from(digit.unsigned_abs());
            let multiples: Vec<_> = points.iter().map(|point| point * size).collect();
            expect_addend(found, &multiples, &format!("multiple by {digit}"));
        }
    }

    on_each_field! {
        adds_subtracts_and_doubles_as_dalek,
        starts_from_the_identity,
        scans_the_multiple_of_every_digit,
    }

    /// Below 2^253: ends of the range, one bit, ones up to a bit, and random.
    fn numbers_of_253_bits() -> Vec<BigUint> {
        let one = BigUint::from(1u8);
        let mut numbers = vec![BigUint::ZERO];
        for bit in 0..253 {
            numbers.extend([&one << bit, (&one << (bit + 1)) - 1u8, (&one << 253) - (&one << bit)]);
        }
        // The same digit of 4 bits everywhere: 7, 8 and 9 are where the carry begins, 15 where it runs through.
        numbers.extend((0..16u8).map(|nibble| (&one << 252) / 15u8 * nibble));
        let mut rng = rng();
        numbers.extend((0..256).map(|_| number(std::array::from_fn(|_| rng.next_u64())) >> 3));
        numbers
    }

    #[test]
    fn digits_make_the_scalar_again() {
        for number in numbers_of_253_bits() {
            let mut bytes = number.to_bytes_le();
            bytes.resize(32, 0);
            let digits = signed_digits(&bytes.try_into().unwrap());
            assert!(digits.iter().all(|digit| (-8..=7).contains(digit)), "{digits:?}");
            // Both signs apart, as the reference has no negative numbers.
            let part = |sign: i8| {
                let sizes = digits.iter().rev().map(|digit| u8::try_from(digit * sign).unwrap_or(0));
                sizes.fold(BigUint::ZERO, |sum, size| sum * 16u8 + size)
            };
            assert_eq!(part(1), number + part(-1));
        }
    }
}
