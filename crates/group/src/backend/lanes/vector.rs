//! The few operations on 64-bit lanes that all else here is written in, and their portable twin.
//!
//! A [`Vector`] is a register of [`Vector::LANES`] unsigned 64-bit words; lane i of a result depends on lane i of the
//! operands only, so that no record sees another. `avx2` and `avx512` implement the traits with one or two
//! instructions a method; `[u64; N]` implements them in plain Rust, and defines what they mean. Every operation is constant-time:
//! none looks at a value to decide what to do, and none has an address.

use zeroize::Zeroize;

/// Most lanes that a vector has.
pub(crate) const MAX_LANES: usize = 8;

/// Unsigned 64-bit words, one a lane.
pub(crate) trait Vector: Copy + Zeroize {
    /// Number of lanes, at most [`MAX_LANES`].
    const LANES: usize;

    /// Returns the vector with `value` in every lane.
    fn splat(value: u64) -> Self;

    /// Returns the vector with `words[i]` in lane i; words past the last lane are ignored.
    fn from_words(words: &[u64; MAX_LANES]) -> Self;

    /// Returns the word of each lane, and zeros past the last lane.
    fn to_words(self) -> [u64; MAX_LANES];

    /// Adds modulo 2^64. Callers keep sums below 2^64, which the twin checks.
    fn add(self, other: Self) -> Self;

    /// Subtracts modulo 2^64. Callers subtract nothing larger than what is there, which the twin checks.
    fn sub(self, other: Self) -> Self;

    /// Adds modulo 2^64, where that is what is meant: the words of SHA-512.
    fn wrapping_add(self, other: Self) -> Self;

    /// Returns the bits that are set in both.
    fn and(self, other: Self) -> Self;

    /// Returns the bits that are set in either.
    fn or(self, other: Self) -> Self;

    /// Returns the bits that are set in one of the two.
    fn xor(self, other: Self) -> Self;

    /// Shifts left by `BITS`, below 64; bits that leave are lost.
    fn shl<const BITS: u32>(self) -> Self;

    /// Shifts right by `BITS`, below 64, filling with zeros.
    fn shr<const BITS: u32>(self) -> Self;

    /// Returns all ones in the lanes where both are equal, zero in the others.
    fn equal(self, other: Self) -> Self;

    /// Rotates right by `BITS`, which is `64 - BACK`, neither of them zero.
    #[inline(always)]
    fn rotate_right<const BITS: u32, const BACK: u32>(self) -> Self {
        self.shr::<BITS>().or(self.shl::<BACK>())
    }

    /// Returns `yes` in the lanes where the mask `self` is all ones, `no` where it is zero.
    #[inline(always)]
    fn select(self, yes: Self, no: Self) -> Self {
        no.xor(self.and(yes.xor(no)))
    }

    /// Returns all ones where the lowest bit is set, zero where it is not.
    #[inline(always)]
    fn odd(self) -> Self {
        self.and(Self::splat(1)).equal(Self::splat(1))
    }

    /// Returns the complement.
    #[inline(always)]
    fn not(self) -> Self {
        self.xor(Self::splat(u64::MAX))
    }
}

/// Adds word by word.
#[inline(always)]
pub(crate) fn add_each<V: Vector, const N: usize>(mut words: [V; N], others: [V; N]) -> [V; N] {
    for (word, other) in words.iter_mut().zip(others) {
        *word = word.add(other);
    }
    words
}

/// Subtracts word by word.
#[inline(always)]
pub(crate) fn sub_each<V: Vector, const N: usize>(mut words: [V; N], others: [V; N]) -> [V; N] {
    for (word, other) in words.iter_mut().zip(others) {
        *word = word.sub(other);
    }
    words
}

/// Selects, word by word, of two numbers of as many words each.
#[inline(always)]
pub(crate) fn select_each<V: Vector, const N: usize>(mask: V, yes: [V; N], mut no: [V; N]) -> [V; N] {
    for (no, yes) in no.iter_mut().zip(yes) {
        *no = mask.select(yes, *no);
    }
    no
}

/// Vectors that multiply 52 by 52 bits and add one half of the product.
pub(crate) trait MulAdd52: Vector {
    /// Adds bits 0 to 51 of the product of the low 52 bits of `a` and of `b`.
    fn add_product_low(self, a: Self, b: Self) -> Self;

    /// Adds bits 52 to 103 of the product of the low 52 bits of `a` and of `b`.
    fn add_product_high(self, a: Self, b: Self) -> Self;
}

/// The twin: one plain word a lane. Overflow panics where debug assertions are on. Never inlined: a whole multiplication by a
/// scalar in plain words is one function of more instructions than a compiler gets through in minutes.
impl<const N: usize> Vector for [u64; N] {
    const LANES: usize = N;

    #[inline(never)]
    fn splat(value: u64) -> Self {
        [value; N]
    }

    #[inline(never)]
    fn from_words(words: &[u64; MAX_LANES]) -> Self {
        std::array::from_fn(|lane| words[lane])
    }

    #[inline(never)]
    fn to_words(self) -> [u64; MAX_LANES] {
        std::array::from_fn(|lane| self.get(lane).copied().unwrap_or(0))
    }

    #[inline(never)]
    fn add(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane] + other[lane])
    }

    #[inline(never)]
    fn sub(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane] - other[lane])
    }

    #[inline(never)]
    fn wrapping_add(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane].wrapping_add(other[lane]))
    }

    #[inline(never)]
    fn and(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane] & other[lane])
    }

    #[inline(never)]
    fn or(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane] | other[lane])
    }

    #[inline(never)]
    fn xor(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane] ^ other[lane])
    }

    #[inline(never)]
    fn shl<const BITS: u32>(self) -> Self {
        self.map(|word| word << BITS)
    }

    #[inline(never)]
    fn shr<const BITS: u32>(self) -> Self {
        self.map(|word| word >> BITS)
    }

    #[inline(never)]
    fn equal(self, other: Self) -> Self {
        std::array::from_fn(|lane| if self[lane] == other[lane] { u64::MAX } else { 0 })
    }
}

/// The product of the low 52 bits of both.
fn product_52(a: u64, b: u64) -> u128 {
    const LOW_52: u64 = (1 << 52) - 1;
    u128::from(a & LOW_52) * u128::from(b & LOW_52)
}

impl<const N: usize> MulAdd52 for [u64; N] {
    #[inline(never)]
    fn add_product_low(self, a: Self, b: Self) -> Self {
        std::array::from_fn(|lane| self[lane] + (product_52(a[lane], b[lane]) as u64 & ((1 << 52) - 1)))
    }

    #[inline(never)]
    fn add_product_high(self, a: Self, b: Self) -> Self {
        std::array::from_fn(|lane| self[lane] + (product_52(a[lane], b[lane]) >> 52) as u64)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::radix25::Mul32;
    use super::*;

    /// The twin with one lane, whose operations are not inlined: what is written over them, thousands of operations long,
    /// is compiled in seconds, and overflow still panics in the operation.
    #[derive(Clone, Copy)]
    pub(crate) struct Twin([u64; 1]);

    impl Zeroize for Twin {
        fn zeroize(&mut self) {
            self.0.zeroize();
        }
    }

    macro_rules! twin {
        ($(fn $name:ident(self $(, $other:ident)*);)*) => {
            $(
                #[inline(never)]
                fn $name(self $(, $other: Self)*) -> Self {
                    Self(self.0.$name($($other.0),*))
                }
            )*
        };
    }

    impl Vector for Twin {
        const LANES: usize = 1;

        fn splat(value: u64) -> Self {
            Self([value])
        }

        fn from_words(words: &[u64; MAX_LANES]) -> Self {
            Self(Vector::from_words(words))
        }

        fn to_words(self) -> [u64; MAX_LANES] {
            self.0.to_words()
        }

        twin! {
            fn add(self, other);
            fn sub(self, other);
            fn wrapping_add(self, other);
            fn and(self, other);
            fn or(self, other);
            fn xor(self, other);
            fn equal(self, other);
        }

        #[inline(never)]
        fn shl<const BITS: u32>(self) -> Self {
            Self(self.0.shl::<BITS>())
        }

        #[inline(never)]
        fn shr<const BITS: u32>(self) -> Self {
            Self(self.0.shr::<BITS>())
        }
    }

    impl Mul32 for Twin {
        twin! {
            fn product(self, other);
            fn add_product(self, a, b);
        }
    }

    impl MulAdd52 for Twin {
        twin! {
            fn add_product_low(self, a, b);
            fn add_product_high(self, a, b);
        }
    }
}

/// The vectors of the processor against the twin, operation by operation.
#[cfg(all(test, target_arch = "x86_64"))]
mod tests_of_the_processor {
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    use super::super::avx2::U64x4;
    use super::super::avx512::U64x8;
    use super::super::backends::tests::{on_avx2, on_ifma};
    use super::super::radix25::Mul32;
    use super::*;

    type Given = [u64; MAX_LANES];

    /// Words with bits around all widths that count, and random ones of every size, another in each lane.
    fn operands() -> Vec<Given> {
        let mut words = vec![0, 1, u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) - 1, 0x0123_4567_89ab_cdef];
        for width in [1, 8, 16, 25, 26, 31, 32, 33, 47, 51, 52, 53] {
            words.extend([1 << width, (1 << width) - 1, u64::MAX << width]);
        }
        let mut rng = ChaCha20Rng::seed_from_u64(0x4ec7_0125);
        words.extend((0..64).map(|size| rng.next_u64() >> size));
        (0..words.len()).map(|first| std::array::from_fn(|lane| words[(first + 11 * lane) % words.len()])).collect()
    }

    fn pairs() -> Vec<(Given, Given)> {
        let operands = operands();
        operands.iter().flat_map(|a| operands.iter().map(move |b| (*a, *b))).collect()
    }

    /// Asserts that a vector holds the words of its twin, and zeros past the last lane.
    #[track_caller]
    fn expect<V: Vector, const N: usize>(vector: V, twin: [u64; N], what: &str) {
        assert_eq!(V::LANES, N);
        assert_eq!(vector.to_words(), twin.to_words(), "{what}");
    }

    fn loads_and_stores<V: Vector, const N: usize>() {
        for words in operands() {
            expect(V::from_words(&words), <[u64; N]>::from_words(&words), "from_words");
            expect(V::splat(words[0]), <[u64; N]>::splat(words[0]), "splat");
            let mut stored = [0; MAX_LANES];
            stored[..N].copy_from_slice(&words[..N]);
            assert_eq!(V::from_words(&words).to_words(), stored);
        }
    }

    fn computes_with_two_words<V: Vector, const N: usize>() {
        for (a, b) in pairs() {
            let (v, w) = (V::from_words(&a), V::from_words(&b));
            let (x, y) = (<[u64; N]>::from_words(&a), <[u64; N]>::from_words(&b));
            expect(v.wrapping_add(w), x.wrapping_add(y), "wrapping_add");
            expect(v.and(w), x.and(y), "and");
            expect(v.or(w), x.or(y), "or");
            expect(v.xor(w), x.xor(y), "xor");
            expect(v.equal(w), x.equal(y), "equal");
            // Sums below 2^64 and differences of a smaller word, as callers keep to.
            expect(v.shr::<1>().add(w.shr::<1>()), x.shr::<1>().add(y.shr::<1>()), "add");
            expect(v.or(w).sub(v), x.or(y).sub(x), "sub");
        }
    }

    fn computes_with_one_word<V: Vector, const N: usize>() {
        for a in operands() {
            let (v, x) = (V::from_words(&a), <[u64; N]>::from_words(&a));
            expect(v.equal(v), x.equal(x), "equal to itself");
            expect(v.not(), x.not(), "not");
            expect(v.odd(), x.odd(), "odd");
            macro_rules! shifts {
                ($($bits:literal)*) => {
                    $(
                        expect(v.shl::<$bits>(), x.shl::<$bits>(), concat!("shl by ", $bits));
                        expect(v.shr::<$bits>(), x.shr::<$bits>(), concat!("shr by ", $bits));
                    )*
                };
            }
            shifts!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31);
            shifts!(32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63);
            macro_rules! rotations {
                ($($bits:literal $back:literal),*) => {
                    $(
                        expect(v.rotate_right::<$bits, $back>(), x.map(|word| word.rotate_right($bits)), "rotate");
                        assert_eq!(x.rotate_right::<$bits, $back>(), x.map(|word| word.rotate_right($bits)));
                    )*
                };
            }
            rotations!(1 63, 8 56, 14 50, 18 46, 19 45, 28 36, 32 32, 34 30, 39 25, 41 23, 61 3, 63 1);
        }
    }

    fn selects<V: Vector, const N: usize>() {
        for (a, b) in pairs() {
            for which in 0..MAX_LANES {
                let mask: Given = std::array::from_fn(|lane| if lane % (which + 1) == 0 { u64::MAX } else { 0 });
                let chosen: Given = std::array::from_fn(|lane| if mask[lane] == 0 { b[lane] } else { a[lane] });
                let (v, w, m) = (V::from_words(&a), V::from_words(&b), V::from_words(&mask));
                expect(m.select(v, w), <[u64; N]>::from_words(&chosen), "select");
                let [first, second] = select_each(m, [v, w], [w, w]);
                expect(first, <[u64; N]>::from_words(&chosen), "select_each");
                expect(second, <[u64; N]>::from_words(&b), "select_each");
            }
        }
    }

    /// Lane i of a result is that of the operands, whatever the other lanes hold.
    fn keeps_lanes_apart<V: Vector, const N: usize>() {
        for lane in 0..N {
            let words: Given = std::array::from_fn(|i| if i == lane { 0 } else { u64::MAX });
            let (vector, ones) = (V::from_words(&words), V::splat(u64::MAX));
            let mut alone = [0; N];
            alone[lane] = u64::MAX;
            expect(vector.equal(V::splat(0)), alone, "equal");
            alone[lane] = 1;
            expect(vector.not().wrapping_add(V::splat(0)).and(V::splat(1)), alone, "not");
            // The carry out of the other lanes goes nowhere.
            let mut sum = [u64::MAX - 1; N];
            sum[lane] = u64::MAX;
            expect(vector.wrapping_add(ones), sum, "wrapping_add");
        }
    }

    #[test]
    fn avx2_is_its_twin() {
        on_avx2(|| {
            loads_and_stores::<U64x4, 4>();
            computes_with_two_words::<U64x4, 4>();
            computes_with_one_word::<U64x4, 4>();
            selects::<U64x4, 4>();
            keeps_lanes_apart::<U64x4, 4>();
        });
    }

    #[test]
    fn ifma_is_its_twin() {
        on_ifma(|| {
            loads_and_stores::<U64x8, 8>();
            computes_with_two_words::<U64x8, 8>();
            computes_with_one_word::<U64x8, 8>();
            selects::<U64x8, 8>();
            keeps_lanes_apart::<U64x8, 8>();
        });
    }

    #[test]
    fn avx2_multiplies_as_its_twin() {
        on_avx2(|| {
            for (a, b) in pairs() {
                let (v, w) = (U64x4::from_words(&a), U64x4::from_words(&b));
                let (x, y) = (<[u64; 4]>::from_words(&a), <[u64; 4]>::from_words(&b));
                expect(v.product(w), x.product(y), "product");
                // A start to which any product may be added.
                let (start, same) = (v.xor(w).shr::<32>(), x.xor(y).shr::<32>());
                expect(start.add_product(v, w), same.add_product(x, y), "add_product");
                let wide = |a: u64, b: u64| u128::from(a as u32) * u128::from(b as u32);
                assert_eq!(x.product(y).map(u128::from), std::array::from_fn(|lane| wide(a[lane], b[lane])));
            }
        });
    }

    #[test]
    fn ifma_multiplies_as_its_twin() {
        const LOW_52: u64 = (1 << 52) - 1;
        on_ifma(|| {
            for (a, b) in pairs() {
                let (v, w) = (U64x8::from_words(&a), U64x8::from_words(&b));
                let (x, y): ([u64; 8], [u64; 8]) = (a, b);
                let (start, same) = (v.xor(w).shr::<1>(), x.xor(y).shr::<1>());
                expect(start.add_product_low(v, w), same.add_product_low(x, y), "add_product_low");
                expect(start.add_product_high(v, w), same.add_product_high(x, y), "add_product_high");
                // Both halves are the product.
                let (low, high) = ([0; 8].add_product_low(x, y), [0; 8].add_product_high(x, y));
                for lane in 0..8 {
                    let product = u128::from(x[lane] & LOW_52) * u128::from(y[lane] & LOW_52);
                    assert_eq!(u128::from(low[lane]) + (u128::from(high[lane]) << 52), product);
                    assert!(low[lane] <= LOW_52);
                }
            }
        });
    }
}
