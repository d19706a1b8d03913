//! `phone-e164-v1`: telephone numbers in their international form, `+` and digits (ITU-T E.164; not held to its 15 digits,
//! for Germany has longer numbers).
//!
//! First the value is reduced to digits, with a `+` before them where it has one: after NFKC, decimal digits of any script
//! become ASCII; white space, invisible characters, brackets, dashes, dots, slashes and tildes are dropped; anything else is
//! invalid. So letters are: "0800 FLOWERS", a leading "Tel.", an extension ("ext. 12", "#12"), since behind one switchboard
//! number sit many people. Then libphonenumber's rules read the digits: country calling code, trunk prefix ("(0)" too), the
//! international prefix of the default region ("00"). Without `+` and without a default region a value is invalid, "00..."
//! included: what it means depends on where it is dialled. A value with `+` ignores the default region.
//!
//! Only *valid* numbers pass, in libphonenumber's sense: in a range that its country has in use; the right number of digits
//! is not enough. Placeholders ("+1 000 000 0000") would otherwise match between holders, and different people with them.
//! The price: a range opened after the library's tables is refused (as [`InvalidReason::PhoneRange`]) until they are renewed.
//!
//! The library is `rlibphonenumber`, a port of Google's libphonenumber that agrees with the original on the corpus of
//! examples and mutations it was chosen by. The older `phonenumber` crate reads about one number in a hundred of the same
//! corpus wrongly (Italian mobile and Belarusian free-phone numbers among them) and takes milliseconds where countries mix.

use rlibphonenumber::{PHONE_NUMBER_UTIL, ParseError, PhoneNumberFormat, Region, ValidationError};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::{InvalidReason, Rejected, chars};

// The library tells `log` at level "trace" which digits it reads. Identifiers are never logged: the level is compiled out.
const _: () =
    assert!(!matches!(log::STATIC_MAX_LEVEL, log::LevelFilter::Trace), "log needs its feature max_level_debug");

/// More digits than any number with prefixes has: where reading stops.
const ENOUGH: usize = 40;

/// The zeros of the decimal digits that NFKC leaves as they are and that people write telephone numbers with: Arabic-Indic,
/// Persian, N'Ko, Devanagari, Bengali, Gurmukhi, Gujarati, Oriya, Tamil, Telugu, Kannada, Malayalam, Thai, Lao, Tibetan,
/// Myanmar, Khmer, Mongolian.
const ZEROS: [char; 18] = [
    '\u{0660}', '\u{06F0}', '\u{07C0}', '\u{0966}', '\u{09E6}', '\u{0A66}', '\u{0AE6}', '\u{0B66}', '\u{0BE6}',
    '\u{0C66}', '\u{0CE6}', '\u{0D66}', '\u{0E50}', '\u{0ED0}', '\u{0F20}', '\u{1040}', '\u{17E0}', '\u{1810}',
];

/// Tells whether telephone numbers of this region (ISO 3166 alpha-2, upper case) can be read.
#[must_use]
pub fn region_is_known(region: &str) -> bool {
    known_region(region).is_some()
}

/// Normalises a telephone number.
pub(super) fn phone_e164_v1(value: &[u8], default_region: Option<&str>) -> Result<Vec<u8>, Rejected> {
    let digits = dialled(chars::decode(value)?)?;
    let region = match default_region {
        _ if digits.starts_with('+') => None,
        None => return Err(InvalidReason::PhoneNeedsRegion.into()),
        Some(region) => Some(known_region(region).ok_or(InvalidReason::UnknownRegion)?),
    };
    let number = PHONE_NUMBER_UTIL.parse(&digits, region).map_err(unread)?;
    if !number.is_valid() {
        return Err(invalid(number.is_possible_with_reason().err()).into());
    }
    Ok(number.format_as(PhoneNumberFormat::E164).into_owned().into_bytes())
}

/// Names why the library cannot read digits as a number.
fn unread(error: ParseError) -> InvalidReason {
    match error {
        ParseError::InvalidCountryCode => InvalidReason::PhoneCountry,
        ParseError::NotANumber(_) | ParseError::TooShortAfterIdd | ParseError::TooShortNsn | ParseError::TooLongNsn => {
            InvalidReason::PhoneLength
        }
    }
}

/// Names why a number that can be read is not valid, given what is wrong with its length, if anything.
fn invalid(length: Option<ValidationError>) -> InvalidReason {
    match length {
        None => InvalidReason::PhoneRange,
        Some(ValidationError::InvalidCountryCode) => InvalidReason::PhoneCountry,
        Some(_) => InvalidReason::PhoneLength,
    }
}

/// Reduces a value to what is dialled: digits, and a `+` before them where it has one.
fn dialled(text: &str) -> Result<Zeroizing<String>, Rejected> {
    let mut digits = Zeroizing::new(String::with_capacity(ENOUGH));
    let mut blank = true;
    for c in text.nfkc().filter(|c| !chars::is_blank(*c)) {
        blank = false;
        if is_separator(c) {
            continue;
        }
        if digits.len() >= ENOUGH {
            return Err(InvalidReason::PhoneLength.into());
        }
        match c {
            char::REPLACEMENT_CHARACTER => return Err(InvalidReason::ReplacementCharacter.into()),
            '+' if digits.is_empty() => digits.push('+'),
            _ => digits.push(ascii_digit(c).ok_or(InvalidReason::PhoneCharacter)?),
        }
    }
    match digits.len() {
        0 if blank => Err(Rejected::Empty),
        0 | 1 => Err(InvalidReason::PhoneLength.into()),
        _ => Ok(digits),
    }
}

/// Tells whether a character only groups digits: punctuation of ASCII (NFKC has made it of the full-width), the middle dot,
/// hyphens and dashes, the swung dash, the minus, the tilde operator, the Japanese long vowel mark (used as a dash).
fn is_separator(c: char) -> bool {
    matches!(
        c,
        '-' | '.' | '/' | '(' | ')' | '[' | ']' | '~' | '\u{B7}' | '\u{2053}' | '\u{2212}' | '\u{223C}' | '\u{30FC}'
    ) || ('\u{2010}'..='\u{2015}').contains(&c)
}

fn ascii_digit(c: char) -> Option<char> {
    if c.is_ascii() {
        return c.is_ascii_digit().then_some(c);
    }
    let value = ZEROS.iter().find_map(|zero| u32::from(c).checked_sub(u32::from(*zero)).filter(|value| *value < 10))?;
    char::from_digit(value, 10)
}

/// Finds a region by its code. (The library's own parser takes any two letters, in any case.)
fn known_region(code: &str) -> Option<Region> {
    let region = code.parse::<Region>().ok().filter(|_| code.bytes().all(|byte| byte.is_ascii_uppercase()))?;
    PHONE_NUMBER_UTIL.get_country_code_for_region(region).map(|_| region)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use rlibphonenumber::PhoneNumberType;

    use super::{super::tests::seeded, *};

    #[test]
    fn every_region_reads_its_example_numbers_however_they_are_written() {
        let types = [PhoneNumberType::Mobile, PhoneNumberType::FixedLine, PhoneNumberType::TollFree];
        let mut read = 0;
        for region in PHONE_NUMBER_UTIL.get_supported_regions() {
            let code = region.to_string();
            for kind in types {
                let Ok(number) = PHONE_NUMBER_UTIL.get_example_number_for_type_and_region(region, kind) else {
                    continue;
                };
                let e164 = number.format_as(PhoneNumberFormat::E164).into_owned();
                for format in [PhoneNumberFormat::E164, PhoneNumberFormat::International, PhoneNumberFormat::National] {
                    let written = number.format_as(format);
                    let found = phone_e164_v1(written.as_bytes(), Some(&code));
                    assert_eq!(found, Ok(e164.clone().into_bytes()), "{code} {kind:?} {written}");
                    read += 1;
                }
            }
        }
        assert!(read > 1500, "{read}");
    }

    #[test]
    fn digits_of_every_script_are_read() {
        for zero in ZEROS {
            let digits = (0..10).map(|value| char::from_u32(u32::from(zero) + value).unwrap());
            assert_eq!(digits.map(|c| ascii_digit(c).unwrap()).collect::<String>(), "0123456789");
            assert!(char::from_u32(u32::from(zero) + 9).unwrap().is_numeric());
        }
        assert_eq!(ascii_digit('x'), None);
        assert_eq!(ascii_digit('\u{0665}'), Some('5'));
    }

    proptest! {
        #![proptest_config(seeded(4096))]

        #[test]
        fn what_passes_is_e164(value in "[+]?[0-9][0-9 ().-]{6,16}", region in "[A-Z]{2}") {
            if let Ok(normal) = phone_e164_v1(value.as_bytes(), Some(&region)) {
                prop_assert_eq!(normal[0], b'+');
                prop_assert!(normal[1..].iter().all(u8::is_ascii_digit));
                prop_assert!((8..=18).contains(&normal.len()), "{}", normal.len());
            }
        }
    }
}
