//! `iban-v1`: international bank account numbers (ISO 13616).
//!
//! After NFKC (full-width letters and digits become ASCII), white space and invisible characters are dropped wherever they
//! are and letters become upper case. What remains must have the form of an IBAN, right check digits (ISO 7064, mod 97; 00,
//! 01 and 99 are not check digits), a country of the IBAN registry, and that country's length and form. Hyphens, dots and a
//! leading word "IBAN" are not dropped: such a value is invalid. Whether the account exists is not known here.

use iban::{Iban, IbanLike, ParseBaseIbanError, ParseIbanError};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::{InvalidReason, Rejected, chars};

/// Longer than any IBAN (34): where reading stops.
const ENOUGH: usize = 64;

/// Normalises a bank account number.
pub(super) fn iban_v1(value: &[u8]) -> Result<Vec<u8>, Rejected> {
    let text = chars::decode(value)?;
    let mut compact = Zeroizing::new(String::with_capacity(ENOUGH + 4));
    for c in text.nfkc().filter(|c| !chars::is_blank(*c)) {
        if compact.len() >= ENOUGH {
            return Err(InvalidReason::IbanForm.into());
        }
        compact.push(c.to_ascii_uppercase());
    }
    if compact.is_empty() {
        return Err(Rejected::Empty);
    }
    chars::refuse_replacement(&compact)?;
    match compact.parse::<Iban>() {
        Ok(iban) if iban.check_digits() > 98 => Err(InvalidReason::IbanChecksum.into()),
        Ok(iban) => Ok(iban.electronic_str().as_bytes().to_vec()),
        Err(error) => Err(reason(error).into()),
    }
}

/// Drops what the library's error carries of the value.
fn reason(error: ParseIbanError) -> InvalidReason {
    match error {
        ParseIbanError::InvalidBaseIban { source: ParseBaseIbanError::InvalidFormat } => InvalidReason::IbanForm,
        ParseIbanError::InvalidBaseIban { source: ParseBaseIbanError::InvalidChecksum } => InvalidReason::IbanChecksum,
        ParseIbanError::UnknownCountry(_) => InvalidReason::IbanCountry,
        ParseIbanError::InvalidBban(_) => InvalidReason::IbanLength,
    }
}
