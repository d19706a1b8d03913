//! Normalisation: from the bytes of a value, as its owner keeps it, to the one form that can become a token.
//!
//! In: the bytes of a value, a [`Profile`] and, for phone numbers, the region of national numbers. Out: nothing
//! ([`Normalization::Empty`]), a reason ([`Normalization::Invalid`]) or a [`NormalizedIdentifier`]. Two holders meet on a
//! person exactly where their values normalise to the same bytes, so a profile is a promise: its name carries a version, and
//! what a version gives for a value never changes (`test-vectors/normalize_v1.json` is the judge, for other languages too).
//!
//! What all text profiles (all but `exact-v1`) have in common:
//! - the value is UTF-8, or it is invalid; no encoding is guessed;
//! - the *ends* lose white space (the Unicode property `White_Space`, so tabs, line ends and non-breaking spaces too) and
//!   invisible characters (byte order marks, zero-width spaces, soft hyphens, direction marks: `chars.rs` has the list);
//! - nothing left is `Empty`; words such as "null" or "n/a" are values like others;
//! - U+FFFD, the scar of a wrong decoding, makes a value invalid: different names with it would look the same;
//! - a normalised value normalises to itself.
//!
//! Unicode, IDNA, phone and bank tables come from the libraries pinned by the lock file. Unicode never changes the
//! normalisation or folding of a character once assigned, so newer tables alter only values with characters that the older
//! ones did not know; newer phone and bank tables move the border of what is valid.
//!
//! Not done here: reading files, splitting fields, guessing which column is what; folding of nicknames, typing errors or
//! disposable addresses. The result is wiped from memory when dropped; the caller's own copy of the value is the caller's.

use std::{fmt, str::FromStr};

use zeroize::Zeroizing;

mod chars;
mod email;
mod iban;
mod phone;
#[cfg(test)]
mod tests;
mod text;

pub use phone::region_is_known;

/// The rule by which values of a column are brought to one form. Part of every token: values normalised by different
/// profiles never match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Profile {
    /// `email-v1`, the default for email addresses.
    EmailV1,
    /// `email-gmail-v1`: `email-v1`, and the spellings of one Gmail mailbox become one.
    EmailGmailV1,
    /// `email-uid2-v1`: the rule published by Unified ID 2.0.
    EmailUid2V1,
    /// `phone-e164-v1`: a telephone number in its international form.
    PhoneE164V1,
    /// `iban-v1`: an international bank account number.
    IbanV1,
    /// `text-v1`: words, whatever their case and spacing.
    TextV1,
    /// `exact-v1`: the bytes as they are.
    ExactV1,
    /// `email-sha256-v1`: the SHA-256 of `email-v1`, from addresses or from hashes made elsewhere.
    EmailSha256V1,
}

impl Profile {
    /// Every profile, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::EmailV1,
        Self::EmailGmailV1,
        Self::EmailUid2V1,
        Self::PhoneE164V1,
        Self::IbanV1,
        Self::TextV1,
        Self::ExactV1,
        Self::EmailSha256V1,
    ];

    /// Gives the profile's name as written in a space file and bound into every token.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EmailV1 => "email-v1",
            Self::EmailGmailV1 => "email-gmail-v1",
            Self::EmailUid2V1 => "email-uid2-v1",
            Self::PhoneE164V1 => "phone-e164-v1",
            Self::IbanV1 => "iban-v1",
            Self::TextV1 => "text-v1",
            Self::ExactV1 => "exact-v1",
            Self::EmailSha256V1 => "email-sha256-v1",
        }
    }

    /// Gives the profile's rule in one line, for help texts.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::EmailV1 => {
                "Unicode NFKC, trimmed, lower case; one @, something before it, a domain with a dot; the domain in ASCII (IDNA)"
            }
            Self::EmailGmailV1 => {
                "email-v1; for gmail.com and googlemail.com dots and +suffix dropped before the @, and the domain gmail.com"
            }
            Self::EmailUid2V1 => "UID2's published rule: trimmed, lower case; for gmail.com dots and +suffix dropped",
            Self::PhoneE164V1 => "E.164 with +; national numbers need a default region; only numbers of a range in use",
            Self::IbanV1 => "spaces dropped, upper case; length and form of the country; check digits (mod 97)",
            Self::TextV1 => "Unicode NFKC, trimmed, white space inside to one space, case-folded",
            Self::ExactV1 => "the bytes as they are",
            Self::EmailSha256V1 => {
                "64 hex digits as they are, in lower case; anything else is an address: SHA-256 of its email-v1"
            }
        }
    }

    /// Gives the profiles that bring still more spellings together, all that this one does among them: a space could agree on
    /// one of them instead, and would lose no match.
    #[must_use]
    pub const fn wider(self) -> &'static [Self] {
        match self {
            Self::EmailV1 => &[Self::EmailGmailV1],
            Self::ExactV1 => &[Self::TextV1],
            Self::EmailGmailV1
            | Self::EmailUid2V1
            | Self::PhoneE164V1
            | Self::IbanV1
            | Self::TextV1
            | Self::EmailSha256V1 => &[],
        }
    }

    /// Tells whether values may need a default region (national telephone numbers do).
    #[must_use]
    pub const fn needs_region(self) -> bool {
        matches!(self, Self::PhoneE164V1)
    }

    /// Normalises one value. `default_region` (ISO 3166 alpha-2, upper case) is read by profiles that
    /// [need one](Self::needs_region), and there only for values that do not name their country.
    #[must_use]
    pub fn normalize(self, value: &[u8], default_region: Option<&str>) -> Normalization {
        let outcome = match self {
            Self::EmailV1 => email::email_v1(value),
            Self::EmailGmailV1 => email::email_gmail_v1(value),
            Self::EmailUid2V1 => email::email_uid2_v1(value),
            Self::PhoneE164V1 => phone::phone_e164_v1(value, default_region),
            Self::IbanV1 => iban::iban_v1(value),
            Self::TextV1 => text::text_v1(value),
            Self::ExactV1 => exact_v1(value),
            Self::EmailSha256V1 => email::email_sha256_v1(value),
        };
        match outcome {
            Ok(bytes) => Normalization::Valid(NormalizedIdentifier::new(bytes)),
            Err(Rejected::Empty) => Normalization::Empty,
            Err(Rejected::Invalid(reason)) => Normalization::Invalid(reason),
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|profile| profile.as_str() == name)
            .ok_or_else(|| UnknownProfile { name: name.to_owned() })
    }
}

/// A profile name that this program does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownProfile {
    /// The name as given.
    pub name: String,
}

impl fmt::Display for UnknownProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Profile::ALL.map(Profile::as_str).join(", ");
        write!(f, "unknown normalisation profile '{}' (known: {known})", self.name)
    }
}

impl std::error::Error for UnknownProfile {}

/// What became of a value.
#[derive(Debug)]
pub enum Normalization {
    /// There is nothing in it.
    Empty,
    /// There is something in it that the profile refuses.
    Invalid(InvalidReason),
    /// Its normal form.
    Valid(NormalizedIdentifier),
}

/// Why a profile refuses a value. Says nothing of the value itself, so it may be counted, logged and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum InvalidReason {
    /// The bytes are not UTF-8.
    NotUtf8,
    /// U+FFFD: the text was decoded wrongly before.
    ReplacementCharacter,
    /// A control character inside, such as NUL.
    ControlCharacter,
    /// White space inside.
    WhiteSpace,
    /// An invisible character inside, such as a zero-width space.
    InvisibleCharacter,
    /// No `@`.
    NoAt,
    /// More than one `@`.
    SeveralAt,
    /// Nothing before the `@`.
    EmptyLocalPart,
    /// More before the `@` than RFC 5321 allows.
    LongLocalPart,
    /// Nothing after the `@`.
    EmptyDomain,
    /// A domain of one label.
    DomainWithoutDot,
    /// A domain or a label longer than DNS allows.
    LongDomain,
    /// A domain that is not a host name.
    BadDomain,
    /// A character that telephone numbers do not have.
    PhoneCharacter,
    /// A national number, and no default region.
    PhoneNeedsRegion,
    /// A national number, and a default region that does not exist.
    UnknownRegion,
    /// A country calling code that does not exist.
    PhoneCountry,
    /// More or fewer digits than numbers of the country have.
    PhoneLength,
    /// Outside of the ranges that the country has in use.
    PhoneRange,
    /// Not two letters, two digits and then letters and digits.
    IbanForm,
    /// Wrong check digits.
    IbanChecksum,
    /// A country without IBANs.
    IbanCountry,
    /// Not the length or form of the country.
    IbanLength,
    /// Some, but not all columns of the identifier are empty.
    Incomplete,
}

impl InvalidReason {
    /// Every reason.
    pub const ALL: [Self; 24] = [
        Self::NotUtf8,
        Self::ReplacementCharacter,
        Self::ControlCharacter,
        Self::WhiteSpace,
        Self::InvisibleCharacter,
        Self::NoAt,
        Self::SeveralAt,
        Self::EmptyLocalPart,
        Self::LongLocalPart,
        Self::EmptyDomain,
        Self::DomainWithoutDot,
        Self::LongDomain,
        Self::BadDomain,
        Self::PhoneCharacter,
        Self::PhoneNeedsRegion,
        Self::UnknownRegion,
        Self::PhoneCountry,
        Self::PhoneLength,
        Self::PhoneRange,
        Self::IbanForm,
        Self::IbanChecksum,
        Self::IbanCountry,
        Self::IbanLength,
        Self::Incomplete,
    ];

    /// Gives the reason's fixed code, for machines.
    #[must_use]
    pub const fn as_code(self) -> &'static str {
        self.code_and_words().0
    }

    const fn code_and_words(self) -> (&'static str, &'static str) {
        match self {
            Self::NotUtf8 => ("not_utf8", "not UTF-8 text"),
            Self::ReplacementCharacter => ("replacement_character", "text damaged by a wrong encoding"),
            Self::ControlCharacter => ("control_character", "control character inside"),
            Self::WhiteSpace => ("white_space", "white space inside"),
            Self::InvisibleCharacter => ("invisible_character", "invisible character inside"),
            Self::NoAt => ("no_at", "no @"),
            Self::SeveralAt => ("several_at", "more than one @"),
            Self::EmptyLocalPart => ("empty_local_part", "nothing before the @"),
            Self::LongLocalPart => ("long_local_part", "more than 64 bytes before the @"),
            Self::EmptyDomain => ("empty_domain", "nothing after the @"),
            Self::DomainWithoutDot => ("domain_without_dot", "domain has no dot"),
            Self::LongDomain => ("long_domain", "domain is too long"),
            Self::BadDomain => ("bad_domain", "domain is not a host name"),
            Self::PhoneCharacter => ("phone_character", "character that is not part of a phone number"),
            Self::PhoneNeedsRegion => ("phone_needs_region", "national number without a default region"),
            Self::UnknownRegion => ("unknown_region", "default region is unknown"),
            Self::PhoneCountry => ("phone_country", "unknown country calling code"),
            Self::PhoneLength => ("phone_length", "wrong number of digits for its country"),
            Self::PhoneRange => ("phone_range", "not in a number range in use"),
            Self::IbanForm => ("iban_form", "does not have the form of an IBAN"),
            Self::IbanChecksum => ("iban_checksum", "wrong check digits"),
            Self::IbanCountry => ("iban_country", "country without IBANs"),
            Self::IbanLength => ("iban_length", "not the length or form of its country"),
            Self::Incomplete => ("incomplete", "some columns of the identifier are empty"),
        }
    }
}

impl fmt::Display for InvalidReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code_and_words().1)
    }
}

/// A value in normal form: the only thing that can become a token. Wiped from memory when dropped; it has no `Display`, its
/// `Debug` shows nothing, and it cannot be compared (tokens are compared, not identifiers).
pub struct NormalizedIdentifier(Zeroizing<Vec<u8>>);

impl NormalizedIdentifier {
    /// Takes bytes that a profile (or several, joined) gave.
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Gives the bytes to hash.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Tells whether another profile has another normal form for it; not where it refuses it. For counting.
    #[must_use]
    pub fn is_changed_by(&self, profile: Profile) -> bool {
        match profile.normalize(&self.0, None) {
            Normalization::Valid(other) => *other.0 != *self.0,
            Normalization::Empty | Normalization::Invalid(_) => false,
        }
    }

    /// Gives the normal form for the eyes of the value's own holder, on its own machine (a preview of what will match).
    /// Never for logs, errors, reports or anything that leaves.
    #[must_use]
    pub fn preview(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for NormalizedIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NormalizedIdentifier(..)")
    }
}

/// The two ways in which a profile gives nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rejected {
    Empty,
    Invalid(InvalidReason),
}

impl From<InvalidReason> for Rejected {
    fn from(reason: InvalidReason) -> Self {
        Self::Invalid(reason)
    }
}

/// `exact-v1`: the bytes as they are, white space and all; only a value of no bytes is empty.
fn exact_v1(value: &[u8]) -> Result<Vec<u8>, Rejected> {
    if value.is_empty() { Err(Rejected::Empty) } else { Ok(value.to_vec()) }
}
