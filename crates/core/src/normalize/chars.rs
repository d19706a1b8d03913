//! The characters that text profiles trim, drop or refuse, and the way from bytes to text.
//!
//! White space is the Unicode property `White_Space`. "Invisible" is a list of ours: format characters that copying from web
//! pages, office programs and telephones leaves behind and that carry no meaning of their own. The joiners U+200C and U+200D
//! are not on it: Persian and Indic words and emoji are spelled with them.

use super::InvalidReason;

/// Tells whether a character shows nothing and means nothing.
pub(super) fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{00AD}' // soft hyphen
        | '\u{061C}' // Arabic letter mark
        | '\u{180E}' // Mongolian vowel separator
        | '\u{200B}' // zero-width space
        | '\u{200E}' | '\u{200F}' // direction marks
        | '\u{202A}'..='\u{202E}' // direction embeddings and overrides
        | '\u{2060}'..='\u{206F}' // word joiner, invisible operators, direction isolates
        | '\u{FEFF}' // byte order mark
    )
}

/// Tells whether a character is dropped at the ends of a value (and in bank and telephone numbers everywhere).
pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace() || is_invisible(c)
}

/// Drops blanks at both ends.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(is_blank)
}

/// Drops blanks at both ends of ASCII bytes: space, tab, line feed, vertical tab, form feed, carriage return.
pub(super) fn trim_ascii(mut value: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = value
        && is_ascii_blank(*first)
    {
        value = rest;
    }
    while let [rest @ .., last] = value
        && is_ascii_blank(*last)
    {
        value = rest;
    }
    value
}

/// [`is_blank`] for ASCII. (Rust's `is_ascii_whitespace` lacks the vertical tab.)
pub(super) fn is_ascii_blank(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

/// Reads bytes as UTF-8.
pub(super) fn decode(value: &[u8]) -> Result<&str, InvalidReason> {
    std::str::from_utf8(value).map_err(|_| InvalidReason::NotUtf8)
}

/// Refuses U+FFFD.
pub(super) fn refuse_replacement(text: &str) -> Result<(), InvalidReason> {
    if text.contains(char::REPLACEMENT_CHARACTER) { Err(InvalidReason::ReplacementCharacter) } else { Ok(()) }
}

/// Refuses white space, control, invisible and replacement characters: the first one found gives the reason.
pub(super) fn refuse_unprintable(text: &str) -> Result<(), InvalidReason> {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    text.chars().try_for_each(|c| match c {
        _ if c.is_whitespace() => Err(InvalidReason::WhiteSpace),
        _ if c.is_control() => Err(InvalidReason::ControlCharacter),
        _ if is_invisible(c) => Err(InvalidReason::InvisibleCharacter),
        char::REPLACEMENT_CHARACTER => Err(InvalidReason::ReplacementCharacter),
        _ => Ok(()),
    })
}
