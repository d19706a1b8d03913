//! The field in five limbs of 52 bits, for processors with a 52-bit multiply-add.
//!
//! ```text
//! register    limb 0      limb 1      limb 2      limb 3      limb 4
//! lane 7    [ a mod 2^52, a >> 52,    a >> 104,   a >> 156,   a >> 208 ]   of record 7
//!   ...
//! lane 0    [ b mod 2^52, b >> 52,    b >> 104,   b >> 156,   b >> 208 ]   of record 0
//! ```
//!
//! The number is the sum of limb i times 2^(52 i), where limbs 0 to 3 are the low 52 bits of their words: the 12 bits
//! above are not part of the number, as the multiplication does not read them, and clearing them would cost an
//! instruction. Limb 4 is a whole word below 2^47 + 2^12. So a number is below 2^255 + 2^220.
//!
//! With this radix the high half of a product falls on the next limb exactly, so that the 25 products go into their
//! columns without shifts. A sum is five columns of 64 bits with the same weights, all of whose bits count.
//!
//! Bounds, with which every function below is annotated:
//!
//! | | column 0 | 1 | 2 | 3 | 4 |
//! | --- | --- | --- | --- | --- | --- |
//! | product, in units of 2^52 and up to 2^14 more | 2 | 4 | 6 | 8 | 10 |
//! | multiple of p | 2^60 - 19*2^13 | 2^60 - 2^8 | 2^60 - 2^8 | 2^60 - 2^8 | 2^60 - 2^8 |
//! | what `carry` takes | 2^63 | 2^63 | 2^63 | 2^63 | 2^63 |
//!
//! A product is below 2^56 in each column. So the multiple of p bears that up to 15 products are subtracted from it,
//! and carrying bears that up to 64 are added.

use zeroize::Zeroize;

use super::field::{Field, Sum};
use super::vector::{MulAdd52, add_each, select_each, sub_each};

const LIMBS: usize = 5;

/// Low 52 bits.
const LOW_52: u64 = (1 << 52) - 1;

/// Low 47 bits: what limb 4 has of a number below 2^255.
const LOW_47: u64 = (1 << 47) - 1;

/// 2^255 modulo p.
const FOLD_255: u64 = 19;

/// 2^260 modulo p: what column 5 weighs in column 0.
const FOLD_260: u64 = 19 << 5;

/// Numbers modulo p, one a lane.
#[derive(Clone, Copy)]
pub(crate) struct Element52<V>([V; LIMBS]);

/// Columns of numbers modulo p, one a lane.
#[derive(Clone, Copy)]
pub(crate) struct Sum52<V>([V; LIMBS]);

impl<V: Zeroize> Zeroize for Element52<V> {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

impl<V: MulAdd52> Element52<V> {
    /// Limbs without the bits that are not part of them.
    #[inline(always)]
    fn clean(self) -> [V; LIMBS] {
        let low = V::splat(LOW_52);
        let [a, b, c, d, e] = self.0;
        [a.and(low), b.and(low), c.and(low), d.and(low), e]
    }
}

/// Brings columns 5 to 9 of a product down to columns 0 to 4.
///
/// In: column k at most 9*2^52 (as many half products as fall there); column 9 is the high half of limb 4 times limb
/// 4, so below (2^47 + 2^12)^2/2^52 < 2^42 + 2^9. A column T of weight 2^(260 + 52 k) is T mod 2^52, of which 608
/// times goes to columns k and k + 1, and T >> 52 (at most 8), of which 608 times goes to column k + 1.
///
/// Out: each column of `low` has grown by less than 2^52 + 2^14. The high half of 608*T for column 9 is zero, as
/// 608*(2^42 + 2^9) < 2^52.
#[inline(always)]
fn fold<V: MulAdd52>(columns: [V; 2 * LIMBS]) -> Sum52<V> {
    let factor = V::splat(FOLD_260);
    let [mut r0, mut r1, mut r2, mut r3, mut r4, t5, t6, t7, t8, t9] = columns;
    r0 = r0.add_product_low(t5, factor);
    r1 = r1.add_product_high(t5, factor).add_product_low(t5.shr::<52>(), factor).add_product_low(t6, factor);
    r2 = r2.add_product_high(t6, factor).add_product_low(t6.shr::<52>(), factor).add_product_low(t7, factor);
    r3 = r3.add_product_high(t7, factor).add_product_low(t7.shr::<52>(), factor).add_product_low(t8, factor);
    r4 = r4.add_product_high(t8, factor).add_product_low(t8.shr::<52>(), factor).add_product_low(t9, factor);
    Sum52([r0, r1, r2, r3, r4])
}

impl<V: MulAdd52> Field for Element52<V> {
    type Vector = V;
    type Sum = Sum52<V>;
    type Packed = Self;

    #[inline(always)]
    fn from_words([a, b, c, d]: [V; 4]) -> Self {
        Self([
            a,
            a.shr::<52>().or(b.shl::<12>()),
            b.shr::<40>().or(c.shl::<24>()),
            c.shr::<28>().or(d.shl::<36>()),
            d.shr::<16>().and(V::splat(LOW_47)),
        ])
    }

    /// The number is below 2p, so p is subtracted at most once: where adding 19 carries into bit 255.
    #[inline(always)]
    fn to_words(self) -> [V; 4] {
        let limbs = self.clean();
        let mut above = V::splat(FOLD_255);
        for limb in &limbs[..4] {
            above = limb.add(above).shr::<52>();
        }
        let excess = limbs[4].add(above).shr::<47>();

        let mut carry = V::splat(0).add_product_low(excess, V::splat(FOLD_255));
        let mut least = limbs;
        for limb in &mut least[..4] {
            let sum = limb.add(carry);
            *limb = sum.and(V::splat(LOW_52));
            carry = sum.shr::<52>();
        }
        let [a, b, c, d, e] = least;
        let e = e.add(carry).and(V::splat(LOW_47));
        [
            a.or(b.shl::<52>()),
            b.shr::<12>().or(c.shl::<40>()),
            c.shr::<24>().or(d.shl::<28>()),
            d.shr::<36>().or(e.shl::<16>()),
        ]
    }

    /// Column k of the ten takes the low halves of a_i*b_j with i + j = k and the high halves with i + j = k - 1:
    ///
    /// ```text
    /// column   0    1    2    3    4    5    6    7    8    9
    /// low      1    2    3    4    5    4    3    2    1    -    products
    /// high     -    1    2    3    4    5    4    3    2    1
    /// at most  1    3    5    7    9    9    7    5    3    1    times 2^52
    /// ```
    ///
    /// 50 multiply-adds and 17 instructions to fold.
    #[inline(always)]
    fn mul_onto(self, other: Self, start: Sum52<V>) -> Sum52<V> {
        let zero = V::splat(0);
        let [s0, s1, s2, s3, s4] = start.0;
        let mut columns = [s0, s1, s2, s3, s4, zero, zero, zero, zero, zero];
        let (a, b) = (self.0, other.0);
        for i in 0..LIMBS {
            for j in 0..LIMBS {
                columns[i + j] = columns[i + j].add_product_low(a[i], b[j]);
                columns[i + j + 1] = columns[i + j + 1].add_product_high(a[i], b[j]);
            }
        }
        fold(columns)
    }

    /// The products of two different limbs are added up, doubled together, and then those of a limb with itself are
    /// added: the same columns as in a multiplication, with 30 multiply-adds and 8 additions (5 more
    /// where there is something to start from) in the place of 50.
    #[inline(always)]
    fn square_onto(self, start: Sum52<V>) -> Sum52<V> {
        let a = self.0;
        let mut columns = [V::splat(0); 2 * LIMBS];
        for i in 0..LIMBS {
            for j in i + 1..LIMBS {
                columns[i + j] = columns[i + j].add_product_low(a[i], a[j]);
                columns[i + j + 1] = columns[i + j + 1].add_product_high(a[i], a[j]);
            }
        }
        for column in &mut columns[1..9] {
            *column = column.add(*column);
        }
        for (column, start) in columns.iter_mut().zip(start.0) {
            *column = column.add(start);
        }
        for i in 0..LIMBS {
            columns[2 * i] = columns[2 * i].add_product_low(a[i], a[i]);
            columns[2 * i + 1] = columns[2 * i + 1].add_product_high(a[i], a[i]);
        }
        fold(columns)
    }

    #[inline(always)]
    fn widen(self) -> Sum52<V> {
        Sum52(self.clean())
    }

    #[inline(always)]
    fn select(mask: V, yes: Self, no: Self) -> Self {
        Self(select_each(mask, yes.0, no.0))
    }

    #[inline(always)]
    fn pack(self) -> Self {
        self
    }

    #[inline(always)]
    fn unpack(packed: Self) -> Self {
        packed
    }

    #[inline(always)]
    fn packed_zero() -> Self {
        Self([V::splat(0); LIMBS])
    }

    #[inline(always)]
    fn scan(so_far: Self, mask: V, entry: Self) -> Self {
        let mut limbs = so_far.0;
        for (limb, entry) in limbs.iter_mut().zip(entry.0) {
            *limb = limb.or(mask.and(entry));
        }
        Self(limbs)
    }
}

impl<V: MulAdd52> Sum for Sum52<V> {
    type Element = Element52<V>;

    #[inline(always)]
    fn zero() -> Self {
        Self([V::splat(0); LIMBS])
    }

    /// 2^13*p with 2^60 in each column, as each column lends 2^8 to the one below it.
    #[inline(always)]
    fn multiple_of_p() -> Self {
        const LOWEST: u64 = (1 << 60) - (FOLD_255 << 13);
        const OTHER: u64 = (1 << 60) - (1 << 8);
        let other = V::splat(OTHER);
        Self([V::splat(LOWEST), other, other, other, other])
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(add_each(self.0, other.0))
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(sub_each(self.0, other.0))
    }

    #[inline(always)]
    fn select(mask: V, yes: Self, no: Self) -> Self {
        Self(select_each(mask, yes.0, no.0))
    }

    /// In: columns below 2^63. Bits 255 and above, as they are in column 4 before the others are carried into it
    /// (below 2^16), weigh 19 in column 0, which the low 52 bits of the product hold whole. Then each column gives what
    /// is above 52 bits to the next.
    ///
    /// Out: limb 4 below 2^47 + 2^11 + 1. 11 instructions, a chain of 10.
    #[inline(always)]
    fn carry(self) -> Element52<V> {
        let [mut r0, mut r1, mut r2, mut r3, mut r4] = self.0;
        r0 = r0.add_product_low(r4.shr::<47>(), V::splat(FOLD_255));
        r4 = r4.and(V::splat(LOW_47));
        r1 = r1.add(r0.shr::<52>());
        r2 = r2.add(r1.shr::<52>());
        r3 = r3.add(r2.shr::<52>());
        r4 = r4.add(r3.shr::<52>());
        Element52([r0, r1, r2, r3, r4])
    }
}

#[cfg(test)]
mod tests {
    //! The bounds of the table above, for the checks in `field`.

    use super::super::field::tests::{Lanes, Probe};
    use super::super::vector::MAX_LANES;
    use super::*;

    impl<V: MulAdd52> Probe for Element52<V> {
        const WEIGHTS: &'static [u32] = &[0, 52, 104, 156, 208];
        const PARTS: &'static [u64] = &[LOW_52, LOW_52, LOW_52, LOW_52, u64::MAX];
        const DIRT: &'static [u64] = &[!LOW_52, !LOW_52, !LOW_52, !LOW_52, 0];
        const LIMITS: &'static [u64] = &[1 << 52, 1 << 52, 1 << 52, 1 << 52, (1 << 47) + (1 << 12)];
        const CARRIED: &'static [u64] = &[1 << 52, 1 << 52, 1 << 52, 1 << 52, (1 << 47) + (1 << 11) + 1];
        const PRODUCTS: &'static [u64] = &[
            (2 << 52) + (1 << 14),
            (4 << 52) + (1 << 14),
            (6 << 52) + (1 << 14),
            (8 << 52) + (1 << 14),
            (10 << 52) + (1 << 14),
        ];
        const SUBTRAHENDS: u64 = 15;
        const ADDENDS: u64 = 64;
        const MULTIPLE: u64 = 1 << 13;

        fn from_limbs(limbs: &[[u64; MAX_LANES]]) -> Self {
            Self(std::array::from_fn(|i| V::from_words(&limbs[i])))
        }

        fn limbs(self) -> Lanes {
            self.0.map(V::to_words).into()
        }

        fn from_columns(columns: &[[u64; MAX_LANES]]) -> Sum52<V> {
            Sum52(std::array::from_fn(|i| V::from_words(&columns[i])))
        }

        fn columns(sum: Sum52<V>) -> Lanes {
            sum.0.map(V::to_words).into()
        }
    }
}
