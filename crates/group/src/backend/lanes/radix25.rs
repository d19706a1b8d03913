//! The field in ten limbs of 26 and 25 bits, in turn, for processors whose lanes multiply 32 bits.
//!
//! ```text
//! register    limb 0      limb 1      limb 2      limb 3          limb 8      limb 9
//! bits          26          25          26          25      ...     26          25
//! at bit         0          26          51          77             204         230
//! lane 3    [ a mod 2^26, a >> 26,    a >> 51,    a >> 77,  ...,  a >> 204,   a >> 230 ]   of record 3
//!   ...
//! lane 0    [ b mod 2^26, b >> 26,    b >> 51,    b >> 77,  ...,  b >> 204,   b >> 230 ]   of record 0
//! ```
//!
//! The number is the sum of limb i times 2^ceil(25.5 i). Limbs are below 2^26 + 2^18 (even i) and 2^25 + 2^18 (odd i). An
//! even limb is the low 32 bits of its word: what is above them is not part of the number, as the multiplication does
//! not read it, and in packed form it is the next limb. Odd limbs are whole words.
//!
//! A sum is ten columns of 64 bits with the same weights, all of whose bits count.
//!
//! Bounds, with which every function below is annotated. Column k of a product takes a_i*b_j with i + j = k, twice where i
//! and j are odd, and with i + j = k + 10, 19 times that. Column 0 takes the most: 1 + 19*(4 + 5*2/4) = 124.5 times
//! 2^52, or 2^58.96; with the bits that limbs may have more, below 2^58.98.
//!
//! | | each column below |
//! | --- | --- |
//! | product | 2^59 |
//! | multiple of p | 2^61 |
//! | what `carry` takes | 2^63 |
//!
//! So the multiple of p bears that 3 products are subtracted from it. What is added up before a carry is at most two
//! multiples of p and four products: 2^62 + 2^61.

use zeroize::Zeroize;

use super::field::{Field, Sum};
use super::vector::{Vector, add_each, select_each, sub_each};

const LIMBS: usize = 10;

/// Low 26 bits, of even limbs, and low 25 bits, of odd limbs.
const LOW_26: u64 = (1 << 26) - 1;
const LOW_25: u64 = (1 << 25) - 1;

/// Low 32 bits.
const LOW_32: u64 = (1 << 32) - 1;

/// 2^255 modulo p.
const FOLD: u64 = 19;

/// Vectors that multiply 32 by 32 bits.
pub(crate) trait Mul32: Vector {
    /// Returns the 64-bit product of the low 32 bits of both.
    fn product(self, other: Self) -> Self;

    /// Adds the 64-bit product of the low 32 bits of `a` and of `b`.
    fn add_product(self, a: Self, b: Self) -> Self;
}

impl<const N: usize> Mul32 for [u64; N] {
    #[inline(never)]
    fn product(self, other: Self) -> Self {
        std::array::from_fn(|lane| (self[lane] & LOW_32) * (other[lane] & LOW_32))
    }

    #[inline(never)]
    fn add_product(self, a: Self, b: Self) -> Self {
        self.add(a.product(b))
    }
}

/// Numbers modulo p, one a lane.
#[derive(Clone, Copy)]
pub(crate) struct Element25<V>([V; LIMBS]);

/// Columns of numbers modulo p, one a lane.
#[derive(Clone, Copy)]
pub(crate) struct Sum25<V>([V; LIMBS]);

/// Limbs 2i and 2i + 1 in the low and the high half of word i.
#[derive(Clone, Copy)]
pub(crate) struct Packed25<V>([V; LIMBS / 2]);

impl<V: Zeroize> Zeroize for Element25<V> {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

impl<V: Zeroize> Zeroize for Packed25<V> {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

impl<V: Mul32> Element25<V> {
    /// Limbs without the bits that are not part of them.
    #[inline(always)]
    fn clean(self) -> [V; LIMBS] {
        let low = V::splat(LOW_32);
        let [a, b, c, d, e, f, g, h, i, j] = self.0;
        [a.and(low), b, c.and(low), d, e.and(low), f, g.and(low), h, i.and(low), j]
    }
}

/// Repeats a block for each limb, with its number as the constant `$limb`: the compiler does not unroll loops of this
/// size by itself, and all indices must vanish.
macro_rules! for_each_limb {
    ($limb:ident, $body:block) => {
        for_each_limb!(@ $limb, $body, 0 1 2 3 4 5 6 7 8 9)
    };
    (@ $limb:ident, $body:block, $($number:literal)*) => {
        $({
            const $limb: usize = $number;
            $body
        })*
    };
}

/// Splits a column at the width of limb i: what stays, and what goes to the next.
#[inline(always)]
fn split<V: Mul32>(i: usize, column: V) -> (V, V) {
    if i.is_multiple_of(2) {
        (column.and(V::splat(LOW_26)), column.shr::<26>())
    } else {
        (column.and(V::splat(LOW_25)), column.shr::<25>())
    }
}

impl<V: Mul32> Field for Element25<V> {
    type Vector = V;
    type Sum = Sum25<V>;
    type Packed = Packed25<V>;

    #[inline(always)]
    fn from_words([a, b, c, d]: [V; 4]) -> Self {
        let (even, odd) = (V::splat(LOW_26), V::splat(LOW_25));
        Self([
            a.and(even),
            a.shr::<26>().and(odd),
            a.shr::<51>().or(b.shl::<13>()).and(even),
            b.shr::<13>().and(odd),
            b.shr::<38>(),
            c.and(odd),
            c.shr::<25>().and(even),
            c.shr::<51>().or(d.shl::<13>()).and(odd),
            d.shr::<12>().and(even),
            d.shr::<38>().and(odd),
        ])
    }

    /// The number is below 2p, so p is subtracted at most once: where adding 19 carries into bit 255.
    #[inline(always)]
    fn to_words(self) -> [V; 4] {
        let mut least = self.clean();
        let mut excess = V::splat(FOLD);
        for (i, limb) in least.iter().enumerate() {
            (_, excess) = split(i, limb.add(excess));
        }
        let mut carry = excess.product(V::splat(FOLD));
        for (i, limb) in least.iter_mut().enumerate() {
            (*limb, carry) = split(i, limb.add(carry));
        }
        let [a, b, c, d, e, f, g, h, i, j] = least;
        [
            a.or(b.shl::<26>()).or(c.shl::<51>()),
            c.shr::<13>().or(d.shl::<13>()).or(e.shl::<38>()),
            f.or(g.shl::<25>()).or(h.shl::<51>()),
            h.shr::<13>().or(i.shl::<12>()).or(j.shl::<38>()),
        ]
    }

    /// Column by column, so that ten registers hold `self` and one the sum. What stands in for limb j of `other` is 19
    /// times it where it counts as limb j + 10, and twice that where i and j are odd: 100 products, and 18 instructions
    /// before them.
    #[inline(always)]
    #[expect(clippy::absurd_extreme_comparisons, reason = "the constants are those of one repetition")]
    fn mul_onto(self, other: Self, start: Sum25<V>) -> Sum25<V> {
        let (a, b) = (self.0, other.0);
        let b_19 = times_19(b);
        let (twice_b, twice_b_19) = (twice(b), twice(b_19));
        let mut columns = start.0;
        for_each_limb!(K, {
            for_each_limb!(I, {
                const J: usize = (K + LIMBS - I) % LIMBS;
                let right = match (I > K, I % 2 == 1 && J % 2 == 1) {
                    (false, false) => b[J],
                    (false, true) => twice_b[J],
                    (true, false) => b_19[J],
                    (true, true) => twice_b_19[J],
                };
                columns[K] = columns[K].add_product(a[I], right);
            });
        });
        Sum25(columns)
    }

    /// As a multiplication, with each pair of different limbs once, and twice as large: 55 products.
    #[inline(always)]
    #[expect(clippy::absurd_extreme_comparisons, reason = "the constants are those of one repetition")]
    fn square_onto(self, start: Sum25<V>) -> Sum25<V> {
        let a = self.0;
        let a_19 = times_19(a);
        let twice_a = twice(a);
        let four_times_a = twice(twice_a);
        let mut columns = start.0;
        for_each_limb!(K, {
            for_each_limb!(I, {
                const J: usize = (K + LIMBS - I) % LIMBS;
                if I <= J {
                    let left = match (I == J, I % 2 == 1 && J % 2 == 1) {
                        (true, false) => a[I],
                        (false, true) => four_times_a[I],
                        _ => twice_a[I],
                    };
                    let right = if I + J >= LIMBS { a_19[J] } else { a[J] };
                    columns[K] = columns[K].add_product(left, right);
                }
            });
        });
        Sum25(columns)
    }

    #[inline(always)]
    fn widen(self) -> Sum25<V> {
        Sum25(self.clean())
    }

    #[inline(always)]
    fn select(mask: V, yes: Self, no: Self) -> Self {
        Self(select_each(mask, yes.0, no.0))
    }

    #[inline(always)]
    fn pack(self) -> Packed25<V> {
        let limbs = self.clean();
        let mut words = [V::splat(0); LIMBS / 2];
        for (i, word) in words.iter_mut().enumerate() {
            *word = limbs[2 * i].or(limbs[2 * i + 1].shl::<32>());
        }
        Packed25(words)
    }

    #[inline(always)]
    fn unpack(packed: Packed25<V>) -> Self {
        let mut limbs = [V::splat(0); LIMBS];
        for (i, word) in packed.0.into_iter().enumerate() {
            limbs[2 * i] = word;
            limbs[2 * i + 1] = word.shr::<32>();
        }
        Self(limbs)
    }

    #[inline(always)]
    fn packed_zero() -> Packed25<V> {
        Packed25([V::splat(0); LIMBS / 2])
    }

    #[inline(always)]
    fn scan(so_far: Packed25<V>, mask: V, entry: Packed25<V>) -> Packed25<V> {
        let mut words = so_far.0;
        for (word, entry) in words.iter_mut().zip(entry.0) {
            *word = word.or(mask.and(entry));
        }
        Packed25(words)
    }
}

/// Each limb times 19, but the first, which never counts as limb 10.
#[inline(always)]
fn times_19<V: Mul32>(mut limbs: [V; LIMBS]) -> [V; LIMBS] {
    for limb in &mut limbs[1..] {
        *limb = limb.product(V::splat(FOLD));
    }
    limbs
}

/// Each limb twice.
#[inline(always)]
fn twice<V: Mul32>(limbs: [V; LIMBS]) -> [V; LIMBS] {
    add_each(limbs, limbs)
}

impl<V: Mul32> Sum for Sum25<V> {
    type Element = Element25<V>;

    #[inline(always)]
    fn zero() -> Self {
        Self([V::splat(0); LIMBS])
    }

    /// (2^36 + 2^10)*p with nearly 2^61 in each column: each pair of columns, which is 51 bits, lends 2^10 to the pair
    /// below it.
    #[inline(always)]
    fn multiple_of_p() -> Self {
        let lowest = V::splat((1 << 61) - (FOLD << 10));
        let other = V::splat((1 << 61) - (1 << 10));
        Self([lowest, lowest, other, other, other, other, other, other, other, other])
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

    /// In: columns below 2^63. Two chains, from column 0 and from column 4, go around once and a step further, so that a
    /// column's carry is taken after that of the one before it:
    ///
    /// ```text
    /// 0 -> 1 -> 2 -> 3 -> 4 -> 5
    /// 4 -> 5 -> 6 -> 7 -> 8 -> 9 -> 0 -> 1      from 9 to 0: times 19
    /// ```
    ///
    /// The carry from 9 is below 2^39, and 19 times it below 2^44. Out: limb 1 below 2^25 + 2^18, limb 5 below 2^25 +
    /// 2^13, the others below 2^26 and 2^25.
    #[inline(always)]
    fn carry(self) -> Element25<V> {
        let mut columns = self.0;
        for i in 0..5 {
            let (low, high) = split(i, columns[i]);
            columns[i] = low;
            columns[i + 1] = columns[i + 1].add(high);

            let (low, high) = split(i + 4, columns[i + 4]);
            columns[i + 4] = low;
            columns[i + 5] = columns[i + 5].add(high);
        }
        let (low, high) = split(9, columns[9]);
        columns[9] = low;
        columns[0] = columns[0].add(high.add(high.shl::<1>()).add(high.shl::<4>()));
        let (low, high) = split(0, columns[0]);
        columns[0] = low;
        columns[1] = columns[1].add(high);
        Element25(columns)
    }
}

#[cfg(test)]
mod tests {
    //! The bounds of the file's head, for the checks in `field`.

    use super::super::field::tests::{Lanes, Probe};
    use super::super::vector::MAX_LANES;
    use super::*;

    /// One more than what an even and an odd limb may be.
    const EVEN: u64 = (1 << 26) + (1 << 18);
    const ODD: u64 = (1 << 25) + (1 << 18);

    /// Above an even limb: the largest limb that may be packed with it.
    const NEXT: u64 = (ODD - 1) << 32;

    impl<V: Mul32> Probe for Element25<V> {
        const WEIGHTS: &'static [u32] = &[0, 26, 51, 77, 102, 128, 153, 179, 204, 230];
        const PARTS: &'static [u64] =
            &[LOW_32, u64::MAX, LOW_32, u64::MAX, LOW_32, u64::MAX, LOW_32, u64::MAX, LOW_32, u64::MAX];
        const DIRT: &'static [u64] = &[NEXT, 0, NEXT, 0, NEXT, 0, NEXT, 0, NEXT, 0];
        const LIMITS: &'static [u64] = &[EVEN, ODD, EVEN, ODD, EVEN, ODD, EVEN, ODD, EVEN, ODD];
        const CARRIED: &'static [u64] = &[
            1 << 26,
            (1 << 25) + (1 << 18),
            1 << 26,
            1 << 25,
            1 << 26,
            (1 << 25) + (1 << 13),
            1 << 26,
            1 << 25,
            1 << 26,
            1 << 25,
        ];
        const PRODUCTS: &'static [u64] = &[1 << 59; LIMBS];
        const SUBTRAHENDS: u64 = 3;
        const ADDENDS: u64 = 4;
        const MULTIPLE: u64 = (1 << 36) + (1 << 10);

        fn from_limbs(limbs: &[[u64; MAX_LANES]]) -> Self {
            Self(std::array::from_fn(|i| V::from_words(&limbs[i])))
        }

        fn limbs(self) -> Lanes {
            self.0.map(V::to_words).into()
        }

        fn from_columns(columns: &[[u64; MAX_LANES]]) -> Sum25<V> {
            Sum25(std::array::from_fn(|i| V::from_words(&columns[i])))
        }

        fn columns(sum: Sum25<V>) -> Lanes {
            sum.0.map(V::to_words).into()
        }
    }
}
