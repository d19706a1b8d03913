//! The field of 2^255 - 19, one element a lane: what both representations offer, and what follows from that alone.
//!
//! There are two types, because carrying is a third of the cost of a multiplication, and most sums need none. An
//! element ([`Field`]) may be multiplied; a product is a [`Sum`], columns without carries, which may be added and
//! subtracted; [`Sum::carry`] makes an element of it again. So each value that is multiplied is carried once,
//! whatever it was added up from. How many products a sum may hold is stated with each representation.
//!
//! All functions are constant-time: no branch and no address depends on a value.
//!
//! Sources: RFC 9496, sections 4.1 (constants) and 4.2 (SQRT_RATIO_M1); RFC 7748, section 4.1 (the curve).

use zeroize::Zeroize;

use super::vector::Vector;

/// Columns of a number that have not been carried; as many numbers as there are lanes.
pub(crate) trait Sum: Copy {
    /// What it becomes when carried.
    type Element: Field<Sum = Self>;

    /// Returns zero.
    fn zero() -> Self;

    /// Returns a multiple of p whose columns are larger than those of several products.
    fn multiple_of_p() -> Self;

    /// Adds column by column.
    fn add(self, other: Self) -> Self;

    /// Subtracts column by column. `self` has [`Sum::multiple_of_p`] in it once more than `other`, and `other` beyond
    /// that only a few products.
    fn sub(self, other: Self) -> Self;

    /// Returns `yes` in the lanes where the mask is all ones, `no` where it is zero.
    fn select(mask: <Self::Element as Field>::Vector, yes: Self, no: Self) -> Self;

    /// Carries, so that the result may be multiplied.
    fn carry(self) -> Self::Element;

    /// Doubles.
    #[inline(always)]
    fn double(self) -> Self {
        self.add(self)
    }
}

/// Numbers modulo p = 2^255 - 19, one a lane, in a form that may be multiplied.
pub(crate) trait Field: Copy + Zeroize {
    /// What the lanes are made of.
    type Vector: Vector;

    /// What products are.
    type Sum: Sum<Element = Self>;

    /// The same in fewer registers, for tables that are scanned.
    type Packed: Copy + Zeroize;

    /// Takes four words a lane, little-endian, modulo 2^255: the highest bit is ignored. The number need not be below
    /// p.
    fn from_words(words: [Self::Vector; 4]) -> Self;

    /// Returns the least representative, below p, as four words a lane, little-endian.
    fn to_words(self) -> [Self::Vector; 4];

    /// Returns `start + self*other`.
    fn mul_onto(self, other: Self, start: Self::Sum) -> Self::Sum;

    /// Returns `start + self^2`.
    fn square_onto(self, start: Self::Sum) -> Self::Sum;

    /// Returns the number as a sum, to be added to others.
    fn widen(self) -> Self::Sum;

    /// Returns `yes` in the lanes where the mask is all ones, `no` where it is zero.
    fn select(mask: Self::Vector, yes: Self, no: Self) -> Self;

    /// Packs.
    fn pack(self) -> Self::Packed;

    /// Unpacks.
    fn unpack(packed: Self::Packed) -> Self;

    /// Returns the packed zero, on which a scan begins.
    fn packed_zero() -> Self::Packed;

    /// Returns `so_far`, or in the lanes where the mask is all ones, `so_far` with the bits of `entry` added to it.
    fn scan(so_far: Self::Packed, mask: Self::Vector, entry: Self::Packed) -> Self::Packed;

    /// Returns the same number in all lanes.
    #[inline(always)]
    fn splat(words: Words) -> Self {
        let [a, b, c, d] = words;
        let splat = Self::Vector::splat;
        Self::from_words([splat(a), splat(b), splat(c), splat(d)])
    }

    /// Returns `self*other`.
    #[inline(always)]
    fn mul_sum(self, other: Self) -> Self::Sum {
        self.mul_onto(other, Self::Sum::zero())
    }

    /// Returns `self*other`, carried.
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.mul_sum(other).carry()
    }

    /// Returns `self^2`, carried.
    #[inline(always)]
    fn square(self) -> Self {
        self.square_onto(Self::Sum::zero()).carry()
    }

    /// Returns `self + other`, carried.
    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.widen().add(other.widen()).carry()
    }

    /// Returns `self - other`, carried.
    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self.widen().add(Self::Sum::multiple_of_p()).sub(other.widen()).carry()
    }

    /// Returns `-self`, carried.
    #[inline(always)]
    fn negate(self) -> Self {
        Self::Sum::multiple_of_p().sub(self.widen()).carry()
    }

    /// Returns the mask of the lanes that hold zero.
    #[inline(always)]
    fn is_zero(self) -> Self::Vector {
        let [a, b, c, d] = self.to_words();
        a.or(b).or(c.or(d)).equal(Self::Vector::splat(0))
    }

    /// Returns the mask of the lanes that hold a negative number: one whose least representative is odd (RFC 9496,
    /// section 4.1).
    #[inline(always)]
    fn is_negative(self) -> Self::Vector {
        self.to_words()[0].odd()
    }

    /// Negates in the lanes where the mask is all ones.
    #[inline(always)]
    fn negate_where(self, mask: Self::Vector) -> Self {
        Self::select(mask, self.negate(), self)
    }

    /// Returns whichever of the number and its negative is not negative: CT_ABS of RFC 9496, section 4.2.
    #[inline(always)]
    fn abs(self) -> Self {
        self.negate_where(self.is_negative())
    }
}

/// A number modulo p in four words, little-endian.
pub(crate) type Words = [u64; 4];

/// 0.
pub(crate) const ZERO: Words = [0; 4];

/// 1.
pub(crate) const ONE: Words = [1, 0, 0, 0];

/// d = -121665/121666, of the Edwards curve -x^2 + y^2 = 1 + d x^2 y^2.
pub(crate) const D: Words =
    [0x75eb_4dca_1359_78a3, 0x0070_0a4d_4141_d8ab, 0x8cc7_4079_7779_e898, 0x5203_6cee_2b6f_fe73];

/// 2d.
pub(crate) const TWO_D: Words =
    [0xebd6_9b94_26b2_f159, 0x00e0_149a_8283_b156, 0x198e_80f2_eef3_d130, 0x2406_d9dc_56df_fce7];

/// The square root of -1 that is not negative.
pub(crate) const SQRT_M1: Words =
    [0xc4ee_1b27_4a0e_a0b0, 0x2f43_1806_ad2f_e478, 0x2b4d_0099_3dfb_d7a7, 0x2b83_2480_4fc1_df0b];

/// A square root of -d - 1.
pub(crate) const SQRT_AD_MINUS_ONE: Words =
    [0x7e97_f6a0_497b_2e1b, 0xaf9d_8e0c_1b78_54bd, 0x0f3c_fcc9_31f5_d1fd, 0x3769_31bf_2b83_48ac];

/// A square root of 1/(-1 - d).
pub(crate) const INVSQRT_A_MINUS_D: Words =
    [0x99c8_fdaa_805d_40ea, 0x9d2f_1617_5a41_72be, 0x16c2_7b91_fe01_d840, 0x786c_8905_cfaf_fca2];

/// 1 - d^2.
pub(crate) const ONE_MINUS_D_SQ: Words =
    [0xe27c_09c1_945f_c176, 0x2c81_a138_cd5e_350f, 0x9994_abdd_be70_dfe4, 0x0290_72a8_b2b3_e0d7];

/// (d - 1)^2.
pub(crate) const D_MINUS_ONE_SQ: Words =
    [0x31ad_5aaa_44ed_4d20, 0xd29e_4a2c_b01e_1999, 0x4cdc_d32f_529b_4eeb, 0x5968_b37a_f66c_2241];

/// Squares each element `count` times.
#[inline(always)]
fn square_times<F: Field, const N: usize>(mut x: [F; N], count: usize) -> [F; N] {
    for _ in 0..count {
        for x in &mut x {
            *x = x.square();
        }
    }
    x
}

/// Multiplies element by element.
#[inline(always)]
fn mul_each<F: Field, const N: usize>(mut x: [F; N], y: [F; N]) -> [F; N] {
    for i in 0..N {
        x[i] = x[i].mul(y[i]);
    }
    x
}

/// Returns x^(2^252 - 3), which is x^((p - 5)/8), of each element.
///
/// The squarings of one element wait for each other; those of `N` elements do not, so that two fill the processor.
/// 251 squarings and 11 multiplications: the exponent is 250 ones, a zero and a one, and runs of ones double.
#[inline(always)]
pub(crate) fn pow_p58<F: Field, const N: usize>(x: [F; N]) -> [F; N] {
    // Each name is the number of ones in the exponent.
    let ones_2 = mul_each(square_times(x, 1), x);
    let ones_4 = mul_each(square_times(ones_2, 2), ones_2);
    let ones_5 = mul_each(square_times(ones_4, 1), x);
    let ones_10 = mul_each(square_times(ones_5, 5), ones_5);
    let ones_20 = mul_each(square_times(ones_10, 10), ones_10);
    let ones_40 = mul_each(square_times(ones_20, 20), ones_20);
    let ones_50 = mul_each(square_times(ones_40, 10), ones_10);
    let ones_100 = mul_each(square_times(ones_50, 50), ones_50);
    let ones_200 = mul_each(square_times(ones_100, 100), ones_100);
    let ones_250 = mul_each(square_times(ones_200, 50), ones_50);
    mul_each(square_times(ones_250, 2), x)
}

/// Returns 1/x, and 0 for 0: x^(p - 2), where p - 2 = 8(2^252 - 3) + 3.
#[inline(always)]
pub(crate) fn invert<F: Field>(x: F) -> F {
    let [power] = square_times(pow_p58([x]), 3);
    power.mul(x.square().mul(x))
}

/// The result of [`sqrt_ratio`] in each lane.
#[derive(Clone, Copy)]
pub(crate) struct SqrtRatio<F: Field> {
    /// Mask of the lanes where u/v is a square, zero among them.
    pub(crate) was_square: F::Vector,
    /// The square root of u/v, or where it has none, of sqrt(-1)*u/v; never negative. Zero where u or v is.
    pub(crate) root: F,
}

/// SQRT_RATIO_M1 of RFC 9496, section 4.2, of each pair `(u, v)`.
#[inline(always)]
pub(crate) fn sqrt_ratio<F: Field, const N: usize>(ratios: [(F, F); N]) -> [SqrtRatio<F>; N] {
    let one = F::splat(ONE);
    let (mut cubes, mut powers) = ([one; N], [one; N]);
    for i in 0..N {
        let (u, v) = ratios[i];
        let v3 = v.square().mul(v);
        cubes[i] = u.mul(v3);
        powers[i] = cubes[i].mul(v3.mul(v));
    }
    let powers = pow_p58(powers);
    let mut roots = [SqrtRatio { was_square: F::Vector::splat(0), root: one }; N];
    for i in 0..N {
        let (u, v) = ratios[i];
        let root = cubes[i].mul(powers[i]);
        let check = v.mul(root.square());
        let times_i = u.mul(F::splat(SQRT_M1));
        let correct = check.minus(u).is_zero();
        let flipped = check.plus(u).is_zero();
        let flipped_i = check.plus(times_i).is_zero();
        let turned = F::select(flipped.or(flipped_i), root.mul(F::splat(SQRT_M1)), root);
        roots[i] = SqrtRatio { was_square: correct.or(flipped), root: turned.abs() };
    }
    roots
}

#[cfg(test)]
pub(crate) mod tests;
