//! `expand_message_xmd` with SHA-512, one message a lane.
//!
//! In: as many messages as there are lanes, of any lengths, and DST_prime. Out: 64 uniform bytes a lane, as eight words
//! in the order in which the map to the group reads them, so that they need not leave the lanes.
//!
//! Lanes whose message is shorter wait for the others with their state kept; how long messages are is public. Constant-
//! time in their contents. For whom there is one message, or another length of output, there is `crate::hash`.
//!
//! Sources: FIPS 180-4, sections 4.1.3, 4.2.3, 5.1.2, 5.3.5 and 6.4.2; RFC 9380, section 5.3.1.

use zeroize::{Zeroize, Zeroizing};

use super::vector::{MAX_LANES, Vector};
use crate::hash::UNIFORM_BYTES;

/// Input block in bytes, and in words.
const BLOCK_BYTES: usize = 128;
const BLOCK_WORDS: usize = 16;

/// State in words.
const STATE_WORDS: usize = 8;

/// Byte that ends a message, and bytes of its length in bits, which end its last block.
const END: u8 = 0x80;
const LENGTH_BYTES: usize = 16;

/// Messages to uniform bytes under one DST_prime.
pub(crate) struct LaneExpander<'a> {
    dst_prime: &'a [u8],
    /// What is hashed after b_0: I2OSP(1, 1), DST_prime and the end, in blocks of which the first begins with b_0.
    after_b_0: Vec<[u64; BLOCK_WORDS]>,
    /// Blocks of all lanes, one lane after the other. As secret as the messages.
    blocks: Zeroizing<Vec<u8>>,
}

impl<'a> LaneExpander<'a> {
    /// Prepares for messages under this DST_prime: a tag and its length in one byte.
    pub(crate) fn new(dst_prime: &'a [u8]) -> Self {
        let mut tail = vec![0; 8 * STATE_WORDS];
        tail.push(1);
        tail.extend_from_slice(dst_prime);
        pad(&mut tail, 0, 0);
        let after_b_0 = tail.chunks_exact(BLOCK_BYTES).map(|block| std::array::from_fn(|i| word(block, i))).collect();
        Self { dst_prime, after_b_0, blocks: Zeroizing::default() }
    }

    /// Expands up to as many messages as there are lanes; lanes without one get what the empty message gives.
    #[inline(always)]
    pub(crate) fn expand<V: Vector>(&mut self, messages: &[&[u8]]) -> [V; STATE_WORDS] {
        let mut counts = [0; MAX_LANES];
        let mut starts = [0; MAX_LANES];
        self.lay_out(V::LANES, messages, &mut starts, &mut counts);

        let mut state = splat_each(AFTER_ZERO_BLOCK);
        for position in 0..counts.iter().copied().max().unwrap_or(0) {
            let mut words = [V::splat(0); BLOCK_WORDS];
            for (i, vector) in words.iter_mut().enumerate() {
                let mut lanes = [0; MAX_LANES];
                for lane in 0..V::LANES {
                    if position < counts[lane] {
                        lanes[lane] = word(&self.blocks[starts[lane] + position * BLOCK_BYTES..], i);
                    }
                }
                *vector = V::from_words(&lanes);
            }
            let mut more = [0; MAX_LANES];
            for (more, count) in more.iter_mut().zip(counts) {
                *more = if position < count { u64::MAX } else { 0 };
            }
            let more = V::from_words(&more);
            let next = compress(state, words);
            for (word, next) in state.iter_mut().zip(next) {
                *word = more.select(next, *word);
            }
        }
        self.first_output(state)
    }

    /// Fills `blocks`: for each lane its message, I2OSP(64, 2), I2OSP(0, 1), DST_prime, and the end. Tells where each
    /// lane's blocks start, in bytes, and how many they are.
    fn lay_out(
        &mut self,
        lanes: usize,
        messages: &[&[u8]],
        starts: &mut [usize; MAX_LANES],
        counts: &mut [usize; MAX_LANES],
    ) {
        let suffix = size_of::<u16>() + 1 + self.dst_prime.len();
        let padded = |message: &[u8]| (message.len() + suffix + 1 + LENGTH_BYTES).next_multiple_of(BLOCK_BYTES);
        let message = |lane: usize| messages.get(lane).copied().unwrap_or_default();
        let needed = (0..lanes).map(|lane| padded(message(lane))).sum();
        self.blocks.clear();
        if self.blocks.capacity() < needed {
            // Growing would leave what was there behind, unwiped.
            self.blocks.zeroize();
            *self.blocks = Vec::with_capacity(needed);
        }
        for lane in 0..lanes {
            let start = self.blocks.len();
            self.blocks.extend_from_slice(message(lane));
            self.blocks.extend_from_slice(&(UNIFORM_BYTES as u16).to_be_bytes());
            self.blocks.push(0);
            self.blocks.extend_from_slice(self.dst_prime);
            // Z_pad, one block of zeros, went before.
            pad(&mut self.blocks, start, BLOCK_BYTES);
            starts[lane] = start;
            counts[lane] = (self.blocks.len() - start) / BLOCK_BYTES;
        }
        debug_assert_eq!(self.blocks.len(), needed);
    }

    /// b_1 = H(b_0 || I2OSP(1, 1) || DST_prime), the whole of 64 bytes.
    #[inline(always)]
    fn first_output<V: Vector>(&self, b_0: [V; STATE_WORDS]) -> [V; STATE_WORDS] {
        let mut state = splat_each(INITIAL);
        for (position, block) in self.after_b_0.iter().enumerate() {
            let mut words = splat_each(*block);
            if position == 0 {
                words[..STATE_WORDS].copy_from_slice(&b_0);
            }
            state = compress(state, words);
        }
        let mut swapped = state;
        for word in &mut swapped {
            *word = swap_bytes(*word);
        }
        swapped
    }
}

/// Ends the message that begins at `start` and of which `before` bytes were hashed earlier.
fn pad(blocks: &mut Vec<u8>, start: usize, before: usize) {
    let bits = 8 * (before + blocks.len() - start) as u128;
    blocks.push(END);
    let length = (blocks.len() - start + LENGTH_BYTES).next_multiple_of(BLOCK_BYTES) - LENGTH_BYTES;
    blocks.resize(start + length, 0);
    blocks.extend_from_slice(&bits.to_be_bytes());
}

/// Word i of a block, which is big-endian.
#[inline(always)]
fn word(block: &[u8], i: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&block[8 * i..8 * i + 8]);
    u64::from_be_bytes(bytes)
}

/// Each word in all lanes.
#[inline(always)]
fn splat_each<V: Vector, const N: usize>(words: [u64; N]) -> [V; N] {
    let mut vectors = [V::splat(0); N];
    for (vector, word) in vectors.iter_mut().zip(words) {
        *vector = V::splat(word);
    }
    vectors
}

/// Turns the order of the bytes of each word.
#[inline(always)]
fn swap_bytes<V: Vector>(word: V) -> V {
    let by_8 = V::splat(0x00ff_00ff_00ff_00ff);
    let by_16 = V::splat(0x0000_ffff_0000_ffff);
    let word = word.shr::<8>().and(by_8).or(word.and(by_8).shl::<8>());
    let word = word.shr::<16>().and(by_16).or(word.and(by_16).shl::<16>());
    word.shr::<32>().or(word.shl::<32>())
}

/// Sum of two words modulo 2^64.
#[inline(always)]
fn sum<V: Vector>(words: [V; 2]) -> V {
    words[0].wrapping_add(words[1])
}

/// The compression of one block a lane. Words of the schedule are made when they are needed, in the place of those 16
/// rounds back.
#[inline(always)]
fn compress<V: Vector>(state: [V; STATE_WORDS], mut w: [V; BLOCK_WORDS]) -> [V; STATE_WORDS] {
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
    for (turn, constants) in ROUND_CONSTANTS.chunks_exact(BLOCK_WORDS).enumerate() {
        for i in 0..BLOCK_WORDS {
            if turn > 0 {
                let (x, y) = (w[(i + 1) % 16], w[(i + 14) % 16]);
                let s0 = x.rotate_right::<1, 63>().xor(x.rotate_right::<8, 56>()).xor(x.shr::<7>());
                let s1 = y.rotate_right::<19, 45>().xor(y.rotate_right::<61, 3>()).xor(y.shr::<6>());
                w[i] = sum([sum([w[i], s0]), sum([w[(i + 9) % 16], s1])]);
            }
            let big_1 = e.rotate_right::<14, 50>().xor(e.rotate_right::<18, 46>()).xor(e.rotate_right::<41, 23>());
            let choice = g.xor(e.and(f.xor(g)));
            let t1 = sum([sum([h, big_1]), sum([choice, sum([V::splat(constants[i]), w[i]])])]);
            let big_0 = a.rotate_right::<28, 36>().xor(a.rotate_right::<34, 30>()).xor(a.rotate_right::<39, 25>());
            let majority = a.and(b).or(c.and(a.or(b)));
            let t2 = sum([big_0, majority]);
            (a, b, c, d, e, f, g, h) = (sum([t1, t2]), a, b, c, sum([d, t1]), e, f, g);
        }
    }
    let mut next = state;
    for (next, word) in next.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *next = next.wrapping_add(word);
    }
    next
}

/// First state (FIPS 180-4, section 5.3.5).
const INITIAL: [u64; STATE_WORDS] = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];

/// State after a block of zeros, which is what every b_0 begins with.
const AFTER_ZERO_BLOCK: [u64; STATE_WORDS] = [
    0xcf78_81d5_774a_cbe8,
    0x5333_62e0_fbc7_8070,
    0x0267_639d_8746_0eda,
    0x3086_cb40_e859_31b0,
    0x717d_c952_88a0_23a3,
    0x96ba_b2c1_4ce0_b5e0,
    0x6fc4_fe04_eae3_3e0b,
    0x91f4_d80c_bd66_8bee,
];

/// Constants of the rounds (FIPS 180-4, section 4.2.3).
const ROUND_CONSTANTS: [u64; 80] = [
    0x428a_2f98_d728_ae22,
    0x7137_4491_23ef_65cd,
    0xb5c0_fbcf_ec4d_3b2f,
    0xe9b5_dba5_8189_dbbc,
    0x3956_c25b_f348_b538,
    0x59f1_11f1_b605_d019,
    0x923f_82a4_af19_4f9b,
    0xab1c_5ed5_da6d_8118,
    0xd807_aa98_a303_0242,
    0x1283_5b01_4570_6fbe,
    0x2431_85be_4ee4_b28c,
    0x550c_7dc3_d5ff_b4e2,
    0x72be_5d74_f27b_896f,
    0x80de_b1fe_3b16_96b1,
    0x9bdc_06a7_25c7_1235,
    0xc19b_f174_cf69_2694,
    0xe49b_69c1_9ef1_4ad2,
    0xefbe_4786_384f_25e3,
    0x0fc1_9dc6_8b8c_d5b5,
    0x240c_a1cc_77ac_9c65,
    0x2de9_2c6f_592b_0275,
    0x4a74_84aa_6ea6_e483,
    0x5cb0_a9dc_bd41_fbd4,
    0x76f9_88da_8311_53b5,
    0x983e_5152_ee66_dfab,
    0xa831_c66d_2db4_3210,
    0xb003_27c8_98fb_213f,
    0xbf59_7fc7_beef_0ee4,
    0xc6e0_0bf3_3da8_8fc2,
    0xd5a7_9147_930a_a725,
    0x06ca_6351_e003_826f,
    0x1429_2967_0a0e_6e70,
    0x27b7_0a85_46d2_2ffc,
    0x2e1b_2138_5c26_c926,
    0x4d2c_6dfc_5ac4_2aed,
    0x5338_0d13_9d95_b3df,
    0x650a_7354_8baf_63de,
    0x766a_0abb_3c77_b2a8,
    0x81c2_c92e_47ed_aee6,
    0x9272_2c85_1482_353b,
    0xa2bf_e8a1_4cf1_0364,
    0xa81a_664b_bc42_3001,
    0xc24b_8b70_d0f8_9791,
    0xc76c_51a3_0654_be30,
    0xd192_e819_d6ef_5218,
    0xd699_0624_5565_a910,
    0xf40e_3585_5771_202a,
    0x106a_a070_32bb_d1b8,
    0x19a4_c116_b8d2_d0c8,
    0x1e37_6c08_5141_ab53,
    0x2748_774c_df8e_eb99,
    0x34b0_bcb5_e19b_48a8,
    0x391c_0cb3_c5c9_5a63,
    0x4ed8_aa4a_e341_8acb,
    0x5b9c_ca4f_7763_e373,
    0x682e_6ff3_d6b2_b8a3,
    0x748f_82ee_5def_b2fc,
    0x78a5_636f_4317_2f60,
    0x84c8_7814_a1f0_ab72,
    0x8cc7_0208_1a64_39ec,
    0x90be_fffa_2363_1e28,
    0xa450_6ceb_de82_bde9,
    0xbef9_a3f7_b2c6_7915,
    0xc671_78f2_e372_532b,
    0xca27_3ece_ea26_619c,
    0xd186_b8c7_21c0_c207,
    0xeada_7dd6_cde0_eb1e,
    0xf57d_4f7f_ee6e_d178,
    0x06f0_67aa_7217_6fba,
    0x0a63_7dc5_a2c8_98a6,
    0x113f_9804_bef9_0dae,
    0x1b71_0b35_131c_471b,
    0x28db_77f5_2304_7d84,
    0x32ca_ab7b_40c7_2493,
    0x3c9e_be0a_15c9_bebc,
    0x431d_67c4_9c10_0d4c,
    0x4cc5_d4be_cb3e_42b6,
    0x597f_299c_fc65_7e2a,
    0x5fcb_6fab_3ad6_faec,
    0x6c44_198c_4a47_5817,
];

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha512};

    use super::super::field::Field;
    use super::super::field::tests::on_each_field;
    use super::*;
    use crate::hash::{Expander, UniformBatch};

    /// One compression in each lane of the twin, of the same block.
    fn compress_bytes(state: [u64; STATE_WORDS], block: &[u8]) -> [u64; STATE_WORDS] {
        assert_eq!(block.len(), BLOCK_BYTES);
        let words: [u64; BLOCK_WORDS] = std::array::from_fn(|i| word(block, i));
        let lanes: [[u64; 2]; STATE_WORDS] = compress(splat_each(state), splat_each(words));
        lanes.map(|[first, second]| {
            assert_eq!(first, second);
            first
        })
    }

    fn digest(message: &[u8]) -> [u64; STATE_WORDS] {
        let digest = Sha512::digest(message);
        std::array::from_fn(|i| word(&digest, i))
    }

    /// The first state and the constants of the rounds, by what comes of them.
    #[test]
    fn compresses_as_sha2_from_the_first_state() {
        for length in 0..=111 {
            let message: Vec<u8> = (0..length).map(|i: usize| (i * 91 + 5) as u8).collect();
            let mut block = message.clone();
            pad(&mut block, 0, 0);
            assert_eq!(compress_bytes(INITIAL, &block), digest(&message), "{length} bytes");
        }
    }

    #[test]
    fn state_after_the_zero_block_is_that() {
        assert_eq!(compress_bytes(INITIAL, &[0; BLOCK_BYTES]), AFTER_ZERO_BLOCK);
        let mut end = Vec::new();
        pad(&mut end, 0, BLOCK_BYTES);
        assert_eq!(compress_bytes(AFTER_ZERO_BLOCK, &end), digest(&[0; BLOCK_BYTES]));
    }

    /// Sections 4.2.3 and 5.3.5: the first 64 bits of the fractional parts of the roots of the first primes.
    #[test]
    fn constants_are_roots_of_primes() {
        use num_bigint::BigUint;

        let primes: Vec<u32> = (2..410u32).filter(|n| (2..*n).all(|m| n % m != 0)).collect();
        assert_eq!(primes.len(), 80);
        let fraction = |root: BigUint| root.iter_u64_digits().next().unwrap_or(0);
        for (constant, prime) in INITIAL.into_iter().zip(&primes) {
            assert_eq!(constant, fraction((BigUint::from(*prime) << 128u32).sqrt()), "square root of {prime}");
        }
        for (constant, prime) in ROUND_CONSTANTS.into_iter().zip(&primes) {
            assert_eq!(constant, fraction((BigUint::from(*prime) << 192u32).cbrt()), "cube root of {prime}");
        }
    }

    #[test]
    fn padding_ends_with_the_length() {
        for before in [0, BLOCK_BYTES] {
            for length in 0..=300 {
                // Bytes of another message, which must stay as they are.
                let mut blocks = vec![0xaa; 128];
                blocks.extend(vec![0xbb; length]);
                pad(&mut blocks, 128, before);
                assert!(blocks[..128].iter().all(|byte| *byte == 0xaa));
                let padded = &blocks[128..];
                assert_eq!(padded.len(), (length + 1 + LENGTH_BYTES).next_multiple_of(BLOCK_BYTES));
                assert!(padded[..length].iter().all(|byte| *byte == 0xbb));
                assert_eq!(padded[length], END);
                assert!(padded[length + 1..padded.len() - LENGTH_BYTES].iter().all(|byte| *byte == 0));
                let bits = u128::from_be_bytes(padded[padded.len() - LENGTH_BYTES..].try_into().unwrap_or_default());
                assert_eq!(bits, 8 * (before + length) as u128);
            }
        }
    }

    /// Every length in every lane, beside others that need fewer and more blocks, and with lanes that have no message.
    fn expands_as_one_by_one<F: Field>() {
        let lanes = F::Vector::LANES;
        let messages: Vec<Vec<u8>> = (0..=300usize)
            .map(|i| i * 113 % 301)
            .map(|length| (0..length).map(|byte| (byte * 13 + length) as u8).collect())
            .collect();
        for tag_bytes in [1usize, 44, 45, 46, 62, 63, 64, 100, 111, 112, 190, 191, 192, 255, 256, 300] {
            let tag: Vec<u8> = (0..tag_bytes).map(|byte| (byte * 3 + 1) as u8).collect();
            let expander = Expander::new(&tag);
            let mut side_by_side = LaneExpander::new(expander.dst_prime());
            let mut first = 0;
            for turn in 0.. {
                // One message fewer than there are lanes, two fewer, and so on; then full groups again.
                let count = (lanes - turn % lanes).min(messages.len() - first);
                let group: Vec<&[u8]> = messages[first..first + count].iter().map(Vec::as_slice).collect();
                let words: [[u64; MAX_LANES]; STATE_WORDS] =
                    side_by_side.expand::<F::Vector>(&group).map(Vector::to_words);
                let mut batch = UniformBatch::with_len(count);
                for (lane, uniform) in batch.fill(&expander, &group).iter().enumerate() {
                    let expected = std::array::from_fn(|i| word(uniform, i).swap_bytes());
                    assert_eq!(
                        words.map(|word| word[lane]),
                        expected,
                        "tag of {tag_bytes} bytes, message of {} in lane {lane}",
                        group[lane].len()
                    );
                }
                first += count;
                if first == messages.len() {
                    break;
                }
            }
        }
    }

    on_each_field!(expands_as_one_by_one);
}
