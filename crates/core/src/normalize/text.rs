//! `text-v1`: names, streets, towns - words that people write in any case and with any spacing.
//!
//! The folded form is NFKC(fold(NFKD(value))) with Unicode's full case folding (The Unicode Standard, 3.13). Decomposing
//! first puts a letter's marks in order before folding makes a letter of one of them (the Greek iota subscript); composing
//! last makes one form of what folding took apart. Then the ends are trimmed and every run of white space inside becomes one
//! space; this comes last, because NFKC makes spaces of other characters.
//!
//! What folds: case (`ß` and `ẞ` to `ss`, final sigma to sigma, `İ` to `i` with a dot above), width, ligatures, composed and
//! decomposed accents. What stays: accents themselves (`é` is not `e`), punctuation, order of words, invisible characters
//! inside. `I` folds to `i` and the Turkish dotless `ı` stays itself: the rule knows no language.

use caseless::Caseless;
use unicode_normalization::UnicodeNormalization;

use super::{Rejected, chars};

/// Normalises words.
pub(super) fn text_v1(value: &[u8]) -> Result<Vec<u8>, Rejected> {
    let normal = if value.is_ascii() { ascii(value) } else { unicode(chars::decode(value)?)? };
    if normal.is_empty() { Err(Rejected::Empty) } else { Ok(normal) }
}

/// The short way, for most values: ASCII needs no normalisation, and folding is lower-casing.
fn ascii(value: &[u8]) -> Vec<u8> {
    let trimmed = chars::trim_ascii(value);
    let mut normal = Vec::with_capacity(trimmed.len());
    for byte in trimmed {
        if !chars::is_ascii_blank(*byte) {
            normal.push(byte.to_ascii_lowercase());
        } else if normal.last() != Some(&b' ') {
            normal.push(b' ');
        }
    }
    normal
}

/// The whole rule.
fn unicode(value: &str) -> Result<Vec<u8>, Rejected> {
    let folded: String = value.nfkd().default_case_fold().nfkc().collect();
    chars::refuse_replacement(&folded)?;
    let mut normal = String::with_capacity(folded.len());
    for word in chars::trim(&folded).split_whitespace() {
        if !normal.is_empty() {
            normal.push(' ');
        }
        normal.push_str(word);
    }
    Ok(normal.into_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::{super::tests::seeded, *};

    #[test]
    fn folding_every_character_twice_changes_nothing_more() {
        // Beyond plane 2 no character has a case or a decomposition.
        for c in '\0'..='\u{2FFFF}' {
            let once = match unicode(&c.to_string()) {
                Ok(once) => String::from_utf8(once).unwrap(),
                Err(_) => continue,
            };
            assert_eq!(unicode(&once).unwrap(), once.as_bytes(), "U+{:04X}", u32::from(c));
        }
    }

    #[test]
    fn upper_and_lower_case_of_every_character_fold_together() {
        // Not those of Turkish, and not the pairs of Unicode 17: the folding table is of Unicode 16.
        let exception = |c| matches!(c, 'ı' | 'İ' | '\u{A7CE}'..='\u{A7D5}' | '\u{16EA0}'..='\u{16ED3}');
        for c in ('\0'..='\u{2FFFF}').filter(|c| !exception(*c)) {
            let fold = |text: String| unicode(&text).unwrap_or_default();
            assert_eq!(fold(c.to_uppercase().collect()), fold(c.to_string()), "U+{:04X}", u32::from(c));
            assert_eq!(fold(c.to_lowercase().collect()), fold(c.to_string()), "U+{:04X}", u32::from(c));
        }
    }

    proptest! {
        #![proptest_config(seeded(1024))]

        #[test]
        fn the_ascii_way_equals_the_whole_rule(value in "[ -~\t\n\u{b}\u{c}\r\0\u{1f}]{0,40}") {
            prop_assert_eq!(ascii(value.as_bytes()), unicode(&value).unwrap());
        }
    }
}
