//! The few operations on 64-bit lanes that all else here is written in, and their portable twin.
//!
//! A [`Vector`] is a register of [`Vector::LANES`] unsigned 64-bit words; lane i of a result depends on lane i of the
//! operands only, so that no record sees another. `avx2` and `avx512` implement the traits with one instruction a
//! method; `[u64; N]` implements them in plain Rust, and defines what they mean. Every operation is constant-time:
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

/// The twin: one plain word a lane. Overflow panics where debug assertions are on.
impl<const N: usize> Vector for [u64; N] {
    const LANES: usize = N;

    fn splat(value: u64) -> Self {
        [value; N]
    }

    fn from_words(words: &[u64; MAX_LANES]) -> Self {
        std::array::from_fn(|lane| words[lane])
    }

    fn to_words(self) -> [u64; MAX_LANES] {
        std::array::from_fn(|lane| self.get(lane).copied().unwrap_or(0))
    }

    fn add(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane] + other[lane])
    }

    fn sub(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane] - other[lane])
    }

    fn wrapping_add(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane].wrapping_add(other[lane]))
    }

    fn and(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane] & other[lane])
    }

    fn or(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane] | other[lane])
    }

    fn xor(self, other: Self) -> Self {
        std::array::from_fn(|lane| self[lane] ^ other[lane])
    }

    fn shl<const BITS: u32>(self) -> Self {
        self.map(|word| word << BITS)
    }

    fn shr<const BITS: u32>(self) -> Self {
        self.map(|word| word >> BITS)
    }

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
    fn add_product_low(self, a: Self, b: Self) -> Self {
        std::array::from_fn(|lane| self[lane] + (product_52(a[lane], b[lane]) as u64 & ((1 << 52) - 1)))
    }

    fn add_product_high(self, a: Self, b: Self) -> Self {
        std::array::from_fn(|lane| self[lane] + (product_52(a[lane], b[lane]) >> 52) as u64)
    }
}
