//! `email-v1`, `email-gmail-v1`, `email-uid2-v1` and `email-sha256-v1`: addresses of people.
//!
//! `email-v1` in order: UTF-8; NFKC; trimmed; exactly one `@`; no white space, control, invisible or replacement character;
//! the local part (before the `@`) in lower case and NFKC again, 1 to 64 bytes of UTF-8 (RFC 5321, 4.5.3.1.1; RFC 6531); the
//! domain by UTS #46, non-transitional, to ASCII in lower case, without the dot of the DNS root if it has one, then letters,
//! digits and hyphens (none first or last in a label), a dot inside, labels of 1 to 63 and all of 1 to 253 characters
//! (RFC 1035, 2.3.4; RFC 1123, 2.1). Reasons are given in this order.
//!
//! - The local part is compared without regard to case, as every large mail service does, though RFC 5321 would allow
//!   otherwise. Its dots, quotes and `+suffix` stay: only its own service knows what they mean.
//! - `ß` in a domain stays itself (`xn--...`), it is not `ss`; a domain already in its `xn--` form is checked and kept.
//! - Not an address here: display names ("Ann <ann@example.org>"), lists, comments, spaces or `@` in quotes, domain
//!   literals (`[192.0.2.1]`), domains with an underscore. Whether a domain exists is not asked.
//!
//! `email-uid2-v1` follows <https://unifiedid.com/docs/getting-started/gs-normalization-encoding>: no NFKC, no IDNA, no
//! demands on the domain beyond one that is not empty, Gmail's folding for `gmail.com` alone. Beyond that page it trims all
//! blanks rather than spaces only and refuses unprintable characters inside, which no address has.

use std::borrow::Cow;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;

use super::{InvalidReason, Rejected, chars};

/// Most bytes before the `@`.
const LONGEST_LOCAL_PART: usize = 64;
/// Most characters of a label of a domain.
const LONGEST_LABEL: usize = 63;
/// Most characters of a domain.
const LONGEST_DOMAIN: usize = 253;
/// SHA-256 of nothing: what systems that hash without looking make of a missing address.
const HASH_OF_NOTHING: &[u8; 64] = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// An address in normal form and where its `@` is.
struct Address {
    bytes: Vec<u8>,
    at: usize,
}

impl Address {
    fn domain(&self) -> &[u8] {
        &self.bytes[self.at + 1..]
    }

    /// Drops dots and everything from the first `+` on from the local part.
    fn fold_local_part(&mut self) -> Result<(), InvalidReason> {
        let local_part = &self.bytes[..self.at];
        let kept = local_part.iter().position(|byte| *byte == b'+').unwrap_or(self.at);
        let mut folded: Vec<u8> = local_part[..kept].iter().copied().filter(|byte| *byte != b'.').collect();
        if folded.is_empty() {
            return Err(InvalidReason::EmptyLocalPart);
        }
        let at = folded.len();
        folded.extend_from_slice(&self.bytes[self.at..]);
        *self = Self { bytes: folded, at };
        Ok(())
    }
}

/// Normalises an address by `email-v1`.
pub(super) fn email_v1(value: &[u8]) -> Result<Vec<u8>, Rejected> {
    Ok(address(value)?.bytes)
}

/// Normalises an address by `email-v1`; then for Gmail drops dots and `+suffix` and names one domain.
pub(super) fn email_gmail_v1(value: &[u8]) -> Result<Vec<u8>, Rejected> {
    let mut address = address(value)?;
    if matches!(address.domain(), b"gmail.com" | b"googlemail.com") {
        address.fold_local_part()?;
        address.bytes.truncate(address.at + 1);
        address.bytes.extend_from_slice(b"gmail.com");
        if !address.bytes.is_ascii() {
            // Where a dot stood between them, a letter and its accent are to be composed now.
            return email_v1(&address.bytes);
        }
    }
    Ok(address.bytes)
}

/// Normalises an address by the rule of Unified ID 2.0.
pub(super) fn email_uid2_v1(value: &[u8]) -> Result<Vec<u8>, Rejected> {
    let text = chars::trim(chars::decode(value)?);
    if text.is_empty() {
        return Err(Rejected::Empty);
    }
    let at = only_at_sign(text.as_bytes())?;
    chars::refuse_unprintable(text)?;
    let mut bytes = text[..at].to_lowercase().into_bytes();
    if bytes.is_empty() {
        return Err(InvalidReason::EmptyLocalPart.into());
    }
    let at_in_bytes = bytes.len();
    bytes.extend_from_slice(text[at..].to_lowercase().as_bytes());
    let mut address = Address { bytes, at: at_in_bytes };
    if address.domain().is_empty() {
        return Err(InvalidReason::EmptyDomain.into());
    }
    if address.domain() == b"gmail.com" {
        address.fold_local_part()?;
    }
    Ok(address.bytes)
}

/// Normalises an address, or a SHA-256 of one in hex, to the SHA-256 in hex of its `email-v1`. The hash of nothing is empty.
pub(super) fn email_sha256_v1(value: &[u8]) -> Result<Vec<u8>, Rejected> {
    let text = chars::trim(chars::decode(value)?);
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let hash = text.to_ascii_lowercase().into_bytes();
        return if hash == HASH_OF_NOTHING { Err(Rejected::Empty) } else { Ok(hash) };
    }
    let address = zeroize::Zeroizing::new(email_v1(value)?);
    Ok(hex::encode(Sha256::digest(&*address)).into_bytes())
}

/// The rule of `email-v1`.
fn address(value: &[u8]) -> Result<Address, Rejected> {
    if value.is_ascii() { ascii_address(value) } else { unicode_address(chars::decode(value)?) }
}

/// The short way, for nearly all addresses: ASCII needs no NFKC, and the domain IDNA only where it claims to be in its
/// `xn--` form. One allocation.
fn ascii_address(value: &[u8]) -> Result<Address, Rejected> {
    let trimmed = chars::trim_ascii(value);
    if trimmed.is_empty() {
        return Err(Rejected::Empty);
    }
    let at = only_at_sign(trimmed)?;
    // Without a branch: all bytes are looked at, several at once.
    if !trimmed.iter().fold(true, |graphic, byte| graphic & byte.is_ascii_graphic()) {
        chars::refuse_unprintable(std::str::from_utf8(trimmed).map_err(|_| InvalidReason::NotUtf8)?)?;
    }
    check_local_part(&trimmed[..at])?;
    let mut bytes = trimmed.to_ascii_lowercase();
    if bytes[at + 1..].split(|byte| *byte == b'.').any(|label| label.starts_with(b"xn--")) {
        let domain = domain_to_ascii(&bytes[at + 1..])?.into_owned();
        bytes.truncate(at + 1);
        bytes.extend_from_slice(domain.as_bytes());
    }
    with_host_name(Address { bytes, at })
}

/// The whole rule.
fn unicode_address(value: &str) -> Result<Address, Rejected> {
    let compatible: String = value.nfkc().collect();
    let text = chars::trim(&compatible);
    if text.is_empty() {
        return Err(Rejected::Empty);
    }
    let at = only_at_sign(text.as_bytes())?;
    chars::refuse_unprintable(text)?;
    // Lower case can be shorter in composed form: J with caron has no capital of one character, its small letter has.
    let mut bytes = text[..at].to_lowercase().nfkc().collect::<String>().into_bytes();
    check_local_part(&bytes)?;
    let at_in_bytes = bytes.len();
    bytes.push(b'@');
    bytes.extend_from_slice(domain_to_ascii(&text.as_bytes()[at + 1..])?.as_bytes());
    with_host_name(Address { bytes, at: at_in_bytes })
}

/// Finds the one `@`.
fn only_at_sign(text: &[u8]) -> Result<usize, InvalidReason> {
    let at = text.iter().position(|byte| *byte == b'@').ok_or(InvalidReason::NoAt)?;
    if text[at + 1..].contains(&b'@') { Err(InvalidReason::SeveralAt) } else { Ok(at) }
}

fn check_local_part(local_part: &[u8]) -> Result<(), InvalidReason> {
    match local_part.len() {
        0 => Err(InvalidReason::EmptyLocalPart),
        1..=LONGEST_LOCAL_PART => Ok(()),
        _ => Err(InvalidReason::LongLocalPart),
    }
}

/// UTS #46 ToASCII, non-transitional, lengths left to [`with_host_name`].
fn domain_to_ascii(domain: &[u8]) -> Result<Cow<'_, str>, InvalidReason> {
    Uts46::new()
        .to_ascii(domain, AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Ignore)
        .map_err(|_| InvalidReason::BadDomain)
}

/// Drops the dot of the DNS root and checks that the domain, in ASCII and lower case, is a host name of several labels.
fn with_host_name(mut address: Address) -> Result<Address, Rejected> {
    if address.domain().last() == Some(&b'.') {
        address.bytes.pop();
    }
    let domain = address.domain();
    if domain.is_empty() {
        return Err(InvalidReason::EmptyDomain.into());
    }
    let mut labels = 0;
    let mut long = domain.len() > LONGEST_DOMAIN;
    let mut empty = false;
    for label in domain.split(|byte| *byte == b'.') {
        let ldh = label.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if !ldh || label.first() == Some(&b'-') || label.last() == Some(&b'-') {
            return Err(InvalidReason::BadDomain.into());
        }
        labels += 1;
        long |= label.len() > LONGEST_LABEL;
        empty |= label.is_empty();
    }
    match () {
        () if empty => Err(InvalidReason::BadDomain.into()),
        () if labels < 2 => Err(InvalidReason::DomainWithoutDot.into()),
        () if long => Err(InvalidReason::LongDomain.into()),
        () => Ok(address),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::{super::tests::seeded, *};

    fn bytes(outcome: Result<Address, Rejected>) -> Result<(Vec<u8>, usize), Rejected> {
        outcome.map(|address| (address.bytes, address.at))
    }

    /// ASCII that is nearly an address.
    fn ascii_value() -> impl Strategy<Value = String> {
        prop_oneof![
            "[ \t]{0,2}[a-zA-Z0-9.+_-]{0,12}@[a-zA-Z0-9.-]{0,16}[.]?[ \r\n]{0,2}",
            "[a-z]{1,3}@(xn--[a-z0-9-]{0,8}|XN--bcher-kva|axn--b)[.][a-z]{0,3}[.]?",
            "[a-z]{60,66}@([a-z]{60,64}[.]){1,4}[a-z]{1,63}",
            "[\0-\x7f]{0,20}@[\0-\x7f]{0,20}",
            "[\0-\x7f]{0,12}",
        ]
    }

    proptest! {
        #![proptest_config(seeded(8192))]

        #[test]
        fn the_short_way_equals_the_whole_rule(value in ascii_value()) {
            prop_assert_eq!(bytes(ascii_address(value.as_bytes())), bytes(unicode_address(&value)));
        }
    }

    #[test]
    fn a_normal_address_of_every_character_is_its_own_normal_form() {
        // Beyond plane 2 no character has a case or a decomposition.
        for c in '\0'..='\u{2FFFF}' {
            for value in [format!("{c}@example.com"), format!("x{c}@example.com"), format!("x@a{c}b.com")] {
                for profile in [email_v1, email_uid2_v1] {
                    if let Ok(normal) = profile(value.as_bytes()) {
                        assert_eq!(profile(&normal), Ok(normal.clone()), "U+{:04X}", u32::from(c));
                    }
                }
            }
        }
    }

    #[test]
    fn upper_case_of_every_lower_case_letter_is_the_same_address() {
        // Upper-casing loses some small letters (final sigma, dotless i, ligatures), and NFKC makes such of others.
        let lost = |c: char| c.to_uppercase().flat_map(char::to_lowercase).ne([c]) || [c].into_iter().nfkc().ne([c]);
        for c in ('\0'..='\u{2FFFF}').filter(|c| c.is_lowercase() && !lost(*c)) {
            let address = |c: String| email_v1(format!("{c}x@example.com").as_bytes());
            assert_eq!(address(c.to_uppercase().collect()), address(c.to_string()), "U+{:04X}", u32::from(c));
        }
    }
}
