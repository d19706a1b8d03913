//! A bounded walk over Thrift compact-protocol bytes (apache/thrift, `doc/specs/thrift-compact-protocol.md`).
//!
//! In goes what a Parquet file holds in its footer and page headers; out comes the assurance that every declared length and
//! count fits into the bytes that are there, and the few fields that have to be checked before the Parquet library sees them.
//! It does not build Parquet's structures: that stays the library's work.

/// Nesting deeper than this occurs in no Parquet structure.
const MAX_DEPTH: u8 = 16;

/// The bytes do not follow the protocol, or declare more than is there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

type Result<T> = std::result::Result<T, Malformed>;

/// Wire types of the compact protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    True,
    False,
    Byte,
    Integer,
    Double,
    Binary,
    List,
    Map,
    Struct,
}

impl Wire {
    fn from_nibble(nibble: u8) -> Result<Self> {
        Ok(match nibble {
            1 => Self::True,
            2 => Self::False,
            3 => Self::Byte,
            4..=6 => Self::Integer,
            7 => Self::Double,
            8 => Self::Binary,
            9 | 10 => Self::List,
            11 => Self::Map,
            12 => Self::Struct,
            _ => return Err(Malformed),
        })
    }
}

/// A position in bytes that somebody else wrote.
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes have been read.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Reads the head of the next field of a struct; `None` at its end. `last` is the id of the field before.
    ///
    /// Ids are accepted in ascending order only, as every Parquet writer has them.
    pub(crate) fn field(&mut self, last: &mut u8) -> Result<Option<(u8, Wire)>> {
        let head = self.byte()?;
        if head == 0 {
            return Ok(None);
        }
        let delta = head >> 4;
        if delta == 0 {
            return Err(Malformed);
        }
        *last = last.checked_add(delta).ok_or(Malformed)?;
        Ok(Some((*last, Wire::from_nibble(head & 0x0f)?)))
    }

    /// Reads a zigzag integer of at most 64 bits.
    pub(crate) fn integer(&mut self) -> Result<i64> {
        let zigzag = self.varint()?;
        Ok((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed())
    }

    /// Reads a byte string.
    pub(crate) fn binary(&mut self) -> Result<&'a [u8]> {
        let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
        self.take(length)
    }

    /// Reads the head of a list: how many elements, and of which type. The count is at most the number of bytes left.
    pub(crate) fn list(&mut self) -> Result<(usize, Wire)> {
        let head = self.byte()?;
        let count = match head >> 4 {
            15 => usize::try_from(self.varint()?).map_err(|_| Malformed)?,
            short => usize::from(short),
        };
        // Every element takes one byte at least.
        if count > self.bytes.len() - self.at {
            return Err(Malformed);
        }
        Ok((count, Wire::from_nibble(head & 0x0f)?))
    }

    /// Passes over a value that is a field of a struct.
    pub(crate) fn skip(&mut self, wire: Wire) -> Result<()> {
        match wire {
            Wire::True | Wire::False => Ok(()), // the field's head is its value
            other => self.skip_element(other, MAX_DEPTH),
        }
    }

    fn skip_element(&mut self, wire: Wire, depth: u8) -> Result<()> {
        let depth = depth.checked_sub(1).ok_or(Malformed)?;
        match wire {
            Wire::True | Wire::False | Wire::Byte => self.take(1).map(drop),
            Wire::Integer => self.varint().map(drop),
            Wire::Double => self.take(8).map(drop),
            Wire::Binary => self.binary().map(drop),
            Wire::List => {
                let (count, element) = self.list()?;
                (0..count).try_for_each(|_| self.skip_element(element, depth))
            }
            Wire::Map => {
                let count = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                if count == 0 {
                    return Ok(());
                }
                let types = self.byte()?;
                let (key, value) = (Wire::from_nibble(types >> 4)?, Wire::from_nibble(types & 0x0f)?);
                if count > self.bytes.len() - self.at {
                    return Err(Malformed);
                }
                (0..count).try_for_each(|_| {
                    self.skip_element(key, depth)?;
                    self.skip_element(value, depth)
                })
            }
            Wire::Struct => {
                let mut last = 0;
                while let Some((_, wire)) = self.field(&mut last)? {
                    match wire {
                        Wire::True | Wire::False => {}
                        other => self.skip_element(other, depth)?,
                    }
                }
                Ok(())
            }
        }
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(Malformed);
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    fn byte(&mut self) -> Result<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(length).ok_or(Malformed)?;
        let bytes = self.bytes.get(self.at..end).ok_or(Malformed)?;
        self.at = end;
        Ok(bytes)
    }
}

/// What a decrypted footer (`FileMetaData`) declares.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FooterCounts {
    pub(crate) schema_elements: usize,
    pub(crate) row_groups: usize,
}

/// Walks a whole footer: every count and length in it fits, and its two large lists are lists of structs.
pub(crate) fn check_footer(bytes: &[u8]) -> Result<FooterCounts> {
    let mut counts = FooterCounts { schema_elements: 0, row_groups: 0 };
    let mut cursor = Cursor::new(bytes);
    let mut last = 0;
    while let Some((id, wire)) = cursor.field(&mut last)? {
        if matches!(id, 2 | 4) {
            let (count, element) = if wire == Wire::List { cursor.list()? } else { return Err(Malformed) };
            if element != Wire::Struct {
                return Err(Malformed);
            }
            *(if id == 2 { &mut counts.schema_elements } else { &mut counts.row_groups }) = count;
            (0..count).try_for_each(|_| cursor.skip_element(Wire::Struct, MAX_DEPTH))?;
        } else {
            cursor.skip(wire)?;
        }
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reads_zigzag_integers() {
        for (bytes, value) in [(&[0][..], 0), (&[1], -1), (&[2], 1), (&[0xfe, 0x01], 127), (&[0xff, 0x01], -128)] {
            assert_eq!(Cursor::new(bytes).integer(), Ok(value));
        }
        let longest = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(Cursor::new(&longest).integer(), Ok(i64::MIN));
        assert_eq!(Cursor::new(&[0xff; 11]).integer(), Err(Malformed));
    }

    #[test]
    fn refuses_lists_longer_than_the_bytes_left() {
        // Field 4, a list of 2^31 - 1 structs, and nothing behind it.
        let bytes = [0x49, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07, 0x00];
        assert_eq!(check_footer(&bytes), Err(Malformed));
    }

    #[test]
    fn refuses_a_large_list_in_the_disguise_of_a_number() {
        let bytes = [0x46, 0xfc, 0xff, 0xff, 0xff, 0x07, 0x00];
        assert_eq!(check_footer(&bytes), Err(Malformed));
    }

    #[test]
    fn refuses_deep_nesting_and_ids_out_of_order() {
        let mut deep = vec![0x1c; 64];
        deep.extend([0; 64]);
        assert_eq!(check_footer(&deep), Err(Malformed));
        assert_eq!(check_footer(&[0x05, 0x02, 0x00]), Err(Malformed));
    }

    #[test]
    fn every_prefix_of_a_footer_is_refused() {
        // version 2, two schema elements of one field each, one row, one empty row group.
        let bytes = [0x15, 0x04, 0x19, 0x2c, 0x15, 0x02, 0x00, 0x15, 0x02, 0x00, 0x16, 0x02, 0x19, 0x1c, 0x00, 0x00];
        assert_eq!(check_footer(&bytes), Ok(FooterCounts { schema_elements: 2, row_groups: 1 }));
        for length in 0..bytes.len() {
            assert_eq!(check_footer(&bytes[..length]), Err(Malformed), "{length} bytes");
        }
    }
}
