//! Deterministic CBOR (RFC 8949, 4.2) for structured bytes: definite-length arrays with the version first, no maps, so there is
//! one encoding for one value. Decoding refuses every other encoding of the same value, and bytes that are left over.

use minicbor::{Decode, Encode};

use crate::error::{Error, Result};

/// Encodes a value.
///
/// The buffer is measured first: growing it would leave copies of secrets behind, where nobody wipes them.
pub fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    let mut length = Length(0);
    minicbor::encode(value, &mut length).expect("counting bytes cannot fail");
    let mut bytes = Vec::with_capacity(length.0);
    minicbor::encode(value, &mut bytes).expect("writing CBOR to memory cannot fail");
    bytes
}

/// Counts what is written to it.
struct Length(usize);

impl minicbor::encode::Write for Length {
    type Error = std::convert::Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> std::result::Result<(), Self::Error> {
        self.0 += bytes.len();
        Ok(())
    }
}

/// Decodes a value from exactly these bytes.
///
/// # Errors
/// [`Error::Malformed`] naming `what`.
pub fn decode<'b, T: Decode<'b, ()> + Encode<()>>(bytes: &'b [u8], what: &'static str) -> Result<T> {
    let value: T = minicbor::decode(bytes).map_err(|_| Error::Malformed { what })?;
    // One comparison covers leftovers, long integer forms and indefinite lengths alike.
    if zeroize::Zeroizing::new(encode(&value)).as_slice() != bytes {
        return Err(Error::Malformed { what });
    }
    Ok(value)
}

/// Reads the version that opens every structure, before the rest is looked at.
///
/// # Errors
/// [`Error::Malformed`], [`Error::UnknownVersion`].
pub fn check_version(bytes: &[u8], what: &'static str, known: u64) -> Result<()> {
    let mut decoder = minicbor::Decoder::new(bytes);
    let found = decoder.array().and_then(|_| decoder.u64()).map_err(|_| Error::Malformed { what })?;
    if found == known { Ok(()) } else { Err(Error::UnknownVersion { what, found, known }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_never_grows() {
        let value = (1u64, vec![7u64; 1000], "text");
        let bytes = encode(&value);
        assert_eq!(bytes.len(), bytes.capacity());
        assert_eq!(decode::<(u64, Vec<u64>, &str)>(&bytes, "value"), Ok(value));
    }
}
