//! `expand_message_xmd` with SHA-512: messages to uniform bytes.
//!
//! In: a domain separation tag, once, and then messages of any length. Out: uniform bytes, 64 for each group element.
//! Source: RFC 9380, section 5.3.1, and section 5.3.3 for tags above 255 bytes.
//!
//! The first block that the function hashes is all zero whatever the message, so its compression is done once an
//! [`Expander`] and the state after it is copied for each message. The map from uniform bytes to the group is a
//! backend's.

use sha2::{Digest, Sha512};
use zeroize::{Zeroize, Zeroizing};

/// Output of SHA-512 in bytes: b_in_bytes of the RFC.
const DIGEST_BYTES: usize = 64;

/// Input block of SHA-512 in bytes: s_in_bytes of the RFC.
const BLOCK_BYTES: usize = 128;

/// Longest tag that is taken as it is.
const LONGEST_PLAIN_TAG: usize = 255;

/// What the hash of a longer tag begins with.
const OVERSIZE_TAG_PREFIX: &[u8] = b"H2C-OVERSIZE-DST-";

/// Bytes that make one group element (`hash_to_ristretto255`, RFC 9380, appendix B).
pub(crate) const UNIFORM_BYTES: usize = 64;

/// `expand_message_xmd` under one domain separation tag.
pub(crate) struct Expander {
    /// SHA-512 after Z_pad, the block of zeros.
    after_zero_block: Sha512,
    /// DST_prime: the tag and its length in one byte.
    dst_prime: Vec<u8>,
}

impl Expander {
    /// Prepares for messages under this tag, which is public.
    ///
    /// # Panics
    /// If the tag is empty, which RFC 9380, section 3.1, forbids.
    pub(crate) fn new(dst: &[u8]) -> Self {
        assert!(!dst.is_empty(), "the domain separation tag must not be empty");
        let mut dst_prime = if dst.len() > LONGEST_PLAIN_TAG {
            let mut hash = Sha512::new();
            hash.update(OVERSIZE_TAG_PREFIX);
            hash.update(dst);
            hash.finalize().to_vec()
        } else {
            dst.to_vec()
        };
        // At most 255, by the branch above.
        dst_prime.push(dst_prime.len() as u8);

        let mut after_zero_block = Sha512::new();
        after_zero_block.update([0; BLOCK_BYTES]);
        Self { after_zero_block, dst_prime }
    }

    /// Returns DST_prime: the tag, or its hash if it is long, and its length in one byte. Public.
    #[cfg(any(test, target_arch = "x86_64"))]
    pub(crate) fn dst_prime(&self) -> &[u8] {
        &self.dst_prime
    }

    /// Fills `uniform[i]` from `messages[i]`.
    ///
    /// Constant-time in the contents of the messages; the time depends on how many and how long they are. `uniform` is
    /// as secret as the messages: the caller wipes it.
    pub(crate) fn expand_batch(&self, messages: &[&[u8]], uniform: &mut [[u8; UNIFORM_BYTES]]) {
        debug_assert_eq!(messages.len(), uniform.len());
        for (message, uniform) in messages.iter().zip(uniform) {
            self.expand(message, uniform);
        }
    }

    /// Fills `uniform`, whose length enters the hash; RFC 9380, section 5.3.1, step by step.
    ///
    /// # Panics
    /// If more than 255 digests are asked for.
    fn expand(&self, message: &[u8], uniform: &mut [u8]) {
        let digests = uniform.len().div_ceil(DIGEST_BYTES);
        assert!(digests <= 255, "at most 255 digests in one expansion");
        let length = uniform.len() as u16;

        // b_0 = H(Z_pad || msg || I2OSP(length, 2) || I2OSP(0, 1) || DST_prime)
        let mut hash = self.after_zero_block.clone();
        hash.update(message);
        hash.update(length.to_be_bytes());
        hash.update([0]);
        hash.update(&self.dst_prime);
        let mut b_0 = Zeroizing::new([0; DIGEST_BYTES]);
        hash.finalize_into((&mut *b_0).into());

        // b_i = H((b_0 xor b_(i-1)) || I2OSP(i, 1) || DST_prime), where the one before b_1 is zero
        let mut b_i = Zeroizing::new([0; DIGEST_BYTES]);
        for (i, out) in (1..=255u8).zip(uniform.chunks_mut(DIGEST_BYTES)) {
            for (byte, first) in b_i.iter_mut().zip(b_0.iter()) {
                *byte ^= first;
            }
            let mut hash = Sha512::new();
            hash.update(*b_i);
            hash.update([i]);
            hash.update(&self.dst_prime);
            hash.finalize_into((&mut *b_i).into());
            out.copy_from_slice(&b_i[..out.len()]);
        }
    }
}

/// Uniform bytes for a batch, wiped on drop.
pub(crate) struct UniformBatch(Vec<[u8; UNIFORM_BYTES]>);

impl UniformBatch {
    /// Makes room for `len` messages.
    pub(crate) fn with_len(len: usize) -> Self {
        Self(vec![[0; UNIFORM_BYTES]; len])
    }

    /// Expands as many messages as there are, into the first places, and lends them.
    ///
    /// # Panics
    /// If there are more messages than places.
    pub(crate) fn fill(&mut self, expander: &Expander, messages: &[&[u8]]) -> &[[u8; UNIFORM_BYTES]] {
        let uniform = &mut self.0[..messages.len()];
        expander.expand_batch(messages, uniform);
        uniform
    }
}

impl Drop for UniformBatch {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn expand(dst: &[u8], message: &[u8], length: usize) -> Vec<u8> {
        let mut uniform = vec![0; length];
        Expander::new(dst).expand(message, &mut uniform);
        uniform
    }

    #[test]
    fn expands_as_rfc_9380_appendix_k_3() {
        let file: serde_json::Value =
            serde_json::from_str(include_str!("../../../test-vectors/rfc9380_expand_message_xmd_sha512.json")).unwrap();
        let dst = file["dst"].as_str().unwrap().as_bytes();
        let vectors = file["vectors"].as_array().unwrap();
        assert_eq!(vectors.len(), 10);
        for vector in vectors {
            let message = vector["msg"].as_str().unwrap().as_bytes();
            let length = vector["len_in_bytes"].as_u64().unwrap() as usize;
            assert_eq!(
                hex::encode(expand(dst, message, length)),
                vector["uniform_bytes"].as_str().unwrap(),
                "message of {} bytes to {length} bytes",
                message.len()
            );
        }
    }

    /// The appendix has no long tag for SHA-512; the rule is one line, so it is checked against its definition.
    #[test]
    fn hashes_a_tag_above_255_bytes() {
        let hashed = |tag: &[u8]| Sha512::digest([b"H2C-OVERSIZE-DST-", tag].concat());
        let long = [b'x'; 256];
        assert_eq!(expand(&long, b"m", 64), expand(&hashed(&long), b"m", 64));
        let longest_plain = &long[..255];
        assert_ne!(expand(longest_plain, b"m", 64), expand(&hashed(longest_plain), b"m", 64));
    }

    #[test]
    fn tag_and_message_do_not_run_together() {
        assert_ne!(expand(b"tag", b"message", 64), expand(b"ta", b"gmessage", 64));
        assert_ne!(expand(b"tagm", b"essage", 64), expand(b"tag", b"message", 64));
    }

    #[test]
    fn batch_is_one_by_one() {
        let expander = Expander::new(b"tag");
        let messages: [&[u8]; 4] = [b"", b"a", &[7; 200], b"a"];
        let mut batch = UniformBatch::with_len(5);
        let uniform = batch.fill(&expander, &messages);
        assert_eq!(uniform.len(), 4);
        for (message, uniform) in messages.iter().zip(uniform) {
            assert_eq!(expand(b"tag", message, 64), uniform);
        }
    }

    #[test]
    #[should_panic(expected = "must not be empty")]
    fn refuses_an_empty_tag() {
        Expander::new(b"");
    }
}
