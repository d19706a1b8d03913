//! Numbers shuffled by a formula: a permutation of `0..len` that needs no memory, whatever its length.
//!
//! A Feistel network over the next even number of bits, walked until it falls within the range (Black and Rogaway, "Ciphers
//! with arbitrary finite domains", 2002, method 2). It makes data look drawn; it is no cipher and hides nothing.

use rand_chacha::{ChaCha8Rng, rand_core::Rng};

const ROUNDS: usize = 4;

/// A permutation of the numbers below a length.
#[derive(Clone, Debug)]
pub(crate) struct Permutation {
    len: u64,
    half_bits: u32,
    keys: [u64; ROUNDS],
}

impl Permutation {
    /// Draws a permutation of `0..len`; `len` is at least 1 and below 2^62.
    pub(crate) fn new(len: u64, rng: &mut ChaCha8Rng) -> Self {
        let bits = u64::BITS - len.saturating_sub(1).leading_zeros();
        Self { len, half_bits: bits.div_ceil(2).max(1), keys: std::array::from_fn(|_| rng.next_u64()) }
    }

    /// Gives the number at a position, both below the length.
    pub(crate) fn at(&self, position: u64) -> u64 {
        debug_assert!(position < self.len);
        let mask = (1 << self.half_bits) - 1;
        let mut number = position;
        loop {
            let (mut left, mut right) = (number >> self.half_bits, number & mask);
            for key in self.keys {
                (left, right) = (right, left ^ (mix(right ^ key) & mask));
            }
            number = left << self.half_bits | right;
            if number < self.len {
                return number;
            }
        }
    }
}

/// Scrambles a number (the finaliser of SplitMix64).
pub(crate) fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn takes_every_number_once() {
        let mut rng = ChaCha8Rng::from_seed([7; 32]);
        for len in (1..70).chain([1_000, 4_096, 4_097, 65_537]) {
            let permutation = Permutation::new(len, &mut rng);
            let mut numbers: Vec<_> = (0..len).map(|position| permutation.at(position)).collect();
            let shuffled = !numbers.is_sorted();
            numbers.sort_unstable();
            assert!(numbers.into_iter().eq(0..len), "{len}");
            assert!(shuffled || len < 10, "{len}");
        }
    }
}
