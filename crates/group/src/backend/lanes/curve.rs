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

    /// Multiplies all points by the integer of `digits`, as [`signed_digits`] makes them.
    ///
    /// From the highest digit down: four doublings, and the multiple of the digit added. So 256 doublings and 64
    /// additions, and 8 points to make first; a digit is 4 bits because one bit more makes the table, and the time to
    /// read it, twice as large for a fifth fewer additions.
    #[inline(always)]
    pub(crate) fn mul(self, digits: &[i8; DIGITS], table: &mut Table<F>) -> Self {
        table.fill(self);
        let mut sum = Self::identity().completed();
        for (position, digit) in digits.iter().enumerate().rev() {
            if position + 1 < DIGITS {
                for _ in 0..4 {
                    sum = sum.projective().double();
                }
            }
            let (addend, negative) = table.scan(*digit);
            sum = sum.augend().add(addend, negative);
        }
        sum.extended()
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
        let words = black_box([(size.cast_unsigned().into(), i64::from(sign).cast_unsigned()); MAX_LANES]);
        let size = F::Vector::from_words(&words.map(|(size, _)| size));
        let negative = F::Vector::from_words(&words.map(|(_, sign)| sign));

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
