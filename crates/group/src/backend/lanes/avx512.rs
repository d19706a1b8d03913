//! Eight lanes in one register of AVX-512, with the 52-bit multiply-add of IFMA.
//!
//! ```text
//! bit    511      448 447      384                 127       64 63        0
//!        +-----------+-----------+-- ... --+-----------+-----------+
//!        |  lane 7   |  lane 6   |         |  lane 1   |  lane 0   |
//!        +-----------+-----------+-- ... --+-----------+-----------+
//! ```
//!
//! Each method is one or two instructions (`from_words` and `to_words` aside), with the meaning that its twin in `vector` spells out.
//! Instructions: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2.

use core::arch::x86_64::{
    __m512i, _mm512_add_epi64, _mm512_and_si512, _mm512_cmpeq_epi64_mask, _mm512_loadu_si512, _mm512_madd52hi_epu64,
    _mm512_madd52lo_epu64, _mm512_maskz_set1_epi64, _mm512_or_si512, _mm512_set1_epi64, _mm512_slli_epi64,
    _mm512_srli_epi64, _mm512_storeu_si512, _mm512_sub_epi64, _mm512_xor_si512,
};

use zeroize::Zeroize;

use super::vector::{MAX_LANES, MulAdd52, Vector};

/// Eight 64-bit lanes. A value of this type exists only in code that runs after the processor was found to have
/// AVX-512F and AVX-512IFMA (see `super::backends::Ifma`), on which every `unsafe` here rests.
#[derive(Clone, Copy)]
pub(crate) struct U64x8(__m512i);

impl Zeroize for U64x8 {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

impl Vector for U64x8 {
    const LANES: usize = 8;

    #[inline(always)]
    fn splat(value: u64) -> Self {
        // SAFETY: AVX-512F is there, by the type's contract.
        Self(unsafe { _mm512_set1_epi64(value.cast_signed()) })
    }

    #[inline(always)]
    fn from_words(words: &[u64; MAX_LANES]) -> Self {
        // SAFETY: AVX-512F is there, by the type's contract; the 64 bytes are readable, and need no alignment.
        Self(unsafe { _mm512_loadu_si512(words.as_ptr().cast()) })
    }

    #[inline(always)]
    fn to_words(self) -> [u64; MAX_LANES] {
        let mut words = [0; MAX_LANES];
        // SAFETY: AVX-512F is there, by the type's contract; the 64 bytes are writable, and need no alignment.
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), self.0) };
        words
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: AVX-512F is there, by the type's contract.
        Self(unsafe { _mm512_add_epi64(self.0, other.0) })
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: AVX-512F is there, by the type's contract.
        Self(unsafe { _mm512_sub_epi64(self.0, other.0) })
    }

    #[inline(always)]
    fn wrapping_add(self, other: Self) -> Self {
        self.add(other)
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        // SAFETY: AVX-512F is there, by the type's contract.
        Self(unsafe { _mm512_and_si512(self.0, other.0) })
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        // SAFETY: AVX-512F is there, by the type's contract.
        Self(unsafe { _mm512_or_si512(self.0, other.0) })
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        // SAFETY: AVX-512F is there, by the type's contract.
        Self(unsafe { _mm512_xor_si512(self.0, other.0) })
    }

    #[inline(always)]
    fn shl<const BITS: u32>(self) -> Self {
        // SAFETY: AVX-512F is there, by the type's contract.
        Self(unsafe { _mm512_slli_epi64::<BITS>(self.0) })
    }

    #[inline(always)]
    fn shr<const BITS: u32>(self) -> Self {
        // SAFETY: AVX-512F is there, by the type's contract.
        Self(unsafe { _mm512_srli_epi64::<BITS>(self.0) })
    }

    #[inline(always)]
    fn equal(self, other: Self) -> Self {
        // SAFETY: AVX-512F is there, by the type's contract.
        Self(unsafe { _mm512_maskz_set1_epi64(_mm512_cmpeq_epi64_mask(self.0, other.0), -1) })
    }
}

impl MulAdd52 for U64x8 {
    #[inline(always)]
    fn add_product_low(self, a: Self, b: Self) -> Self {
        // SAFETY: AVX-512IFMA is there, by the type's contract.
        Self(unsafe { _mm512_madd52lo_epu64(self.0, a.0, b.0) })
    }

    #[inline(always)]
    fn add_product_high(self, a: Self, b: Self) -> Self {
        // SAFETY: AVX-512IFMA is there, by the type's contract.
        Self(unsafe { _mm512_madd52hi_epu64(self.0, a.0, b.0) })
    }
}
