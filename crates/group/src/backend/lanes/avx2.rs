//! Four lanes in one register of AVX2, with its 32-bit multiplication.
//!
//! ```text
//! bit    255      192 191      128 127       64 63        0
//!        +-----------+-----------+-----------+-----------+
//!        |  lane 3   |  lane 2   |  lane 1   |  lane 0   |
//!        +-----------+-----------+-----------+-----------+
//! product reads only the low half of each lane:
//!        |     | low |     | low |     | low |     | low |
//! ```
//!
//! Each method is one or two instructions (`from_words` and `to_words` aside), with the meaning that its twin in `vector` spells out.
//! Instructions: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2.

use core::arch::asm;
use core::arch::x86_64::{
    __m256i, _mm_cvtsi32_si128, _mm256_add_epi64, _mm256_and_si256, _mm256_cmpeq_epi64, _mm256_loadu_si256,
    _mm256_or_si256, _mm256_set1_epi64x, _mm256_sll_epi64, _mm256_srl_epi64, _mm256_storeu_si256, _mm256_sub_epi64,
    _mm256_xor_si256,
};

use zeroize::Zeroize;

use super::radix25::Mul32;
use super::vector::{MAX_LANES, Vector};

/// Four 64-bit lanes. A value of this type exists only in code that runs after the processor was found to have AVX2
/// (see `super::backends::Avx2`), on which every `unsafe` here rests.
#[derive(Clone, Copy)]
pub(crate) struct U64x4(__m256i);

impl Zeroize for U64x4 {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

impl Vector for U64x4 {
    const LANES: usize = 4;

    #[inline(always)]
    fn splat(value: u64) -> Self {
        // SAFETY: AVX2 is there, by the type's contract.
        Self(unsafe { _mm256_set1_epi64x(value.cast_signed()) })
    }

    #[inline(always)]
    fn from_words(words: &[u64; MAX_LANES]) -> Self {
        // SAFETY: AVX2 is there, by the type's contract; the first 32 of 64 bytes are readable, and need no alignment.
        Self(unsafe { _mm256_loadu_si256(words.as_ptr().cast()) })
    }

    #[inline(always)]
    fn to_words(self) -> [u64; MAX_LANES] {
        let mut words = [0; MAX_LANES];
        // SAFETY: AVX2 is there, by the type's contract; the first 32 of 64 bytes are writable, and need no alignment.
        unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), self.0) };
        words
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: AVX2 is there, by the type's contract.
        Self(unsafe { _mm256_add_epi64(self.0, other.0) })
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: AVX2 is there, by the type's contract.
        Self(unsafe { _mm256_sub_epi64(self.0, other.0) })
    }

    #[inline(always)]
    fn wrapping_add(self, other: Self) -> Self {
        self.add(other)
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        // SAFETY: AVX2 is there, by the type's contract.
        Self(unsafe { _mm256_and_si256(self.0, other.0) })
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        // SAFETY: AVX2 is there, by the type's contract.
        Self(unsafe { _mm256_or_si256(self.0, other.0) })
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        // SAFETY: AVX2 is there, by the type's contract.
        Self(unsafe { _mm256_xor_si256(self.0, other.0) })
    }

    #[inline(always)]
    fn shl<const BITS: u32>(self) -> Self {
        // The form with the count in a register: the compiler makes it the immediate one, as the count is constant.
        // SAFETY: AVX2 is there, by the type's contract.
        Self(unsafe { _mm256_sll_epi64(self.0, _mm_cvtsi32_si128(BITS.cast_signed())) })
    }

    #[inline(always)]
    fn shr<const BITS: u32>(self) -> Self {
        // SAFETY: AVX2 is there, by the type's contract.
        Self(unsafe { _mm256_srl_epi64(self.0, _mm_cvtsi32_si128(BITS.cast_signed())) })
    }

    #[inline(always)]
    fn equal(self, other: Self) -> Self {
        // SAFETY: AVX2 is there, by the type's contract.
        Self(unsafe { _mm256_cmpeq_epi64(self.0, other.0) })
    }
}

impl Mul32 for U64x4 {
    #[inline(always)]
    fn product(self, other: Self) -> Self {
        // SAFETY: AVX2 is there, by the type's contract.
        Self(unsafe { multiply(self.0, other.0) })
    }

    #[inline(always)]
    fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: AVX2 is there, by the type's contract.
        Self(unsafe { multiply_add(self.0, a.0, b.0) })
    }
}

/// The instruction itself, not the intrinsic: the compiler takes that for a 64-bit multiplication of masked operands,
/// drops masks that it finds needless, later no longer knows why they were, and ends in three instructions for one.
#[inline]
#[target_feature(enable = "avx2")]
fn multiply(a: __m256i, b: __m256i) -> __m256i {
    let product;
    // SAFETY: the instruction is there, as the function is compiled for AVX2; it touches the three registers only.
    unsafe {
        asm!(
            "vpmuludq {product}, {a}, {b}",
            product = lateout(ymm_reg) product,
            a = in(ymm_reg) a,
            b = in(ymm_reg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    product
}

/// Adds the product of both. Both instructions are given, as the compiler turns chains of sums into trees, for which
/// there are not enough registers.
#[inline]
#[target_feature(enable = "avx2")]
fn multiply_add(mut sum: __m256i, a: __m256i, b: __m256i) -> __m256i {
    // SAFETY: the instructions are there, as the function is compiled for AVX2; they touch the four registers only.
    unsafe {
        asm!(
            "vpmuludq {product}, {a}, {b}",
            "vpaddq {sum}, {sum}, {product}",
            product = out(ymm_reg) _,
            sum = inout(ymm_reg) sum,
            a = in(ymm_reg) a,
            b = in(ymm_reg) b,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sum
}
