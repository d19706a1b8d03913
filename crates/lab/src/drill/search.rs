//! Search: whether bytes hold the image of a dictionary entry, in whatever file and at whatever place.
//!
//! An image (token, match key, digest) is known by its first 16 bytes; that another 16 bytes are the same by chance has
//! probability 2^-128 a comparison. Hexadecimal and base64 are decoded wherever there is a run of them that is long enough.

use std::collections::HashMap;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};

/// How much of an image is compared.
pub(crate) const IMAGE_BYTES: usize = 16;

/// Bits of the filter that is asked first.
const FILTER_BITS: u32 = 24;

/// Digits of the shortest run that can hold an image.
const SHORTEST_HEX: usize = 2 * IMAGE_BYTES;
const SHORTEST_BASE64: usize = 22;

/// The first bytes of an image.
pub(crate) type Image = [u8; IMAGE_BYTES];

/// Takes the first bytes.
pub(crate) fn image(bytes: &[u8]) -> Option<Image> {
    bytes.first_chunk().copied()
}

/// Images with the number of the entry that each is of.
pub(crate) struct Index {
    filter: Vec<u64>,
    entries: HashMap<Image, u32>,
}

impl Index {
    pub(crate) fn new() -> Self {
        Self { filter: vec![0; 1 << (FILTER_BITS - 6)], entries: HashMap::new() }
    }

    pub(crate) fn insert(&mut self, image: Image, entry: u32) {
        let (word, bit) = place(&image);
        self.filter[word] |= bit;
        self.entries.insert(image, entry);
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entry whose image this is.
    pub(crate) fn entry(&self, image: &Image) -> Option<u32> {
        let (word, bit) = place(image);
        if self.filter[word] & bit == 0 { None } else { self.entries.get(image).copied() }
    }

    /// Looks at every place of some bytes.
    pub(crate) fn scan(&self, bytes: &[u8], mut hit: impl FnMut(u32)) {
        for window in bytes.windows(IMAGE_BYTES) {
            if let Some(entry) = image(window).and_then(|image| self.entry(&image)) {
                hit(entry);
            }
        }
    }
}

fn place(image: &Image) -> (usize, u64) {
    let mut first = [0; 8];
    first.copy_from_slice(&image[..8]);
    let hash = u64::from_le_bytes(first).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - FILTER_BITS);
    ((hash >> 6) as usize, 1 << (hash & 63))
}

/// Decodes every run of hexadecimal or base64 digits that is long enough, at each way of dividing it.
pub(crate) fn decoded_runs(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for run in runs(bytes, SHORTEST_HEX, |byte| byte.is_ascii_hexdigit()) {
        for shifted in [run, &run[1..]] {
            let even = shifted.len() & !1;
            found.extend(hex::decode(&shifted[..even]));
        }
    }
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte);
    for run in runs(bytes, SHORTEST_BASE64, is_base64) {
        let standard: Vec<u8> = run
            .iter()
            .map(|byte| match byte {
                b'-' => b'+',
                b'_' => b'/',
                other => *other,
            })
            .collect();
        for shift in 0..4 {
            let mut digits = standard[shift..].to_vec();
            // What does not fill a byte at the end says nothing; its bits need not be zero here.
            match digits.len() % 4 {
                1 => digits.truncate(digits.len() - 1),
                0 => {}
                left => {
                    let zero_bits = if left == 2 { 0x30 } else { 0x3c };
                    if let Some(last) = digits.last_mut() {
                        *last = base64_digit(base64_value(*last) & zero_bits);
                    }
                }
            }
            found.extend(STANDARD_NO_PAD.decode(&digits));
        }
    }
    found
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64_value(digit: u8) -> u8 {
    BASE64.iter().position(|known| *known == digit).unwrap_or(0) as u8
}

fn base64_digit(value: u8) -> u8 {
    BASE64[usize::from(value & 63)]
}

fn runs(bytes: &[u8], shortest: usize, is_digit: impl Fn(u8) -> bool) -> Vec<&[u8]> {
    bytes.split(|byte| !is_digit(*byte)).filter(|run| run.len() >= shortest).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_image_is_found_at_every_place_and_in_every_spelling() {
        let secret: Vec<u8> = (0..32).map(|number| number * 7 + 3).collect();
        let mut index = Index::new();
        index.insert(image(&secret).unwrap(), 5);
        let found = |bytes: &[u8]| {
            let mut hits = Vec::new();
            index.scan(bytes, |entry| hits.push(entry));
            decoded_runs(bytes).iter().for_each(|run| index.scan(run, |entry| hits.push(entry)));
            hits.contains(&5)
        };
        for before in 0..5 {
            let around = |middle: &[u8]| [&vec![b'x'; before], middle, b"yyy"].concat();
            assert!(found(&around(&secret)), "raw, {before}");
            assert!(found(&around(hex::encode(&secret).to_uppercase().as_bytes())), "hex, {before}");
            let spelled = |text: String| [&vec![b'"'; before], text.as_bytes(), b"\""].concat();
            assert!(found(&spelled(STANDARD_NO_PAD.encode(&secret))), "base64, {before}");
            assert!(found(&spelled(base64::engine::general_purpose::URL_SAFE.encode(&secret))), "base64url, {before}");
            // In the middle of a longer run.
            let longer = [&vec![1; before], secret.as_slice(), &[2; 9]].concat();
            assert!(found(STANDARD_NO_PAD.encode(longer).as_bytes()), "within base64, {before}");
        }
        assert!(!found(&secret[1..]) && !found(hex::encode(&secret[1..]).as_bytes()));
    }
}
