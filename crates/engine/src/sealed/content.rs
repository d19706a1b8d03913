//! What stands in a data page, checked before it is decoded.
//!
//! Parquet's data page V1 of a flat column is `[definition levels] values`. The levels tell nulls from values; they are
//! `length (4, little-endian)` and a run-length / bit-packed hybrid of single bits (apache/parquet-format, `Encodings.md`,
//! "RLE"). Values are PLAIN: bits, fixed widths, or byte strings with a length before each. The Parquet library decodes both
//! quickly, and trusts them: on content that breaks these rules it may stop the thread. Here the rules are walked through.

use parquet::basic::Type;

use super::thrift::Malformed;

type Result<T> = std::result::Result<T, Malformed>;

/// Checks a page of `values` values, nulls included, of which `optional` columns have levels.
pub(super) fn check(content: &[u8], values: usize, optional: bool, of: Type, width: usize) -> Result<()> {
    let (present, plain) = if optional { present(content, values)? } else { (values, content) };
    let expected = match of {
        Type::BOOLEAN => present.div_ceil(8),
        Type::INT32 | Type::FLOAT => present.checked_mul(4).ok_or(Malformed)?,
        Type::INT64 | Type::DOUBLE => present.checked_mul(8).ok_or(Malformed)?,
        Type::FIXED_LEN_BYTE_ARRAY => present.checked_mul(width).ok_or(Malformed)?,
        Type::BYTE_ARRAY => byte_strings(plain, present)?,
        Type::INT96 => return Err(Malformed),
    };
    if plain.len() == expected { Ok(()) } else { Err(Malformed) }
}

/// Reads the levels: how many values are not null, and the bytes after the levels.
fn present(content: &[u8], values: usize) -> Result<(usize, &[u8])> {
    let (length, rest) = content.split_first_chunk().ok_or(Malformed)?;
    let (levels, plain) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or(Malformed)?;
    Ok((count_ones(levels, values)?, plain))
}

/// Counts the ones among the first `values` single-bit levels; the runs must reach that far.
fn count_ones(mut levels: &[u8], values: usize) -> Result<usize> {
    let (mut left, mut ones) = (values, 0);
    while left > 0 {
        let head = varint(&mut levels)?;
        let count = (head >> 1) as usize;
        if count == 0 {
            return Err(Malformed);
        }
        if head & 1 == 0 {
            // A run: how often, and the level in one byte.
            let (level, rest) = levels.split_first().filter(|(level, _)| **level <= 1).ok_or(Malformed)?;
            let run = count.min(left);
            ones += run * usize::from(*level);
            left -= run;
            levels = rest;
        } else {
            // Groups of eight levels, one byte each, the lowest bit first.
            let (groups, rest) = levels.split_at_checked(count).ok_or(Malformed)?;
            for group in groups {
                let taken = left.min(8);
                ones += (u32::from(*group) & ((1 << taken) - 1)).count_ones() as usize;
                left -= taken;
            }
            levels = rest;
        }
    }
    Ok(ones)
}

fn varint(bytes: &mut &[u8]) -> Result<u32> {
    let mut value = 0_u64;
    for shift in [0, 7, 14, 21, 28] {
        let (byte, rest) = bytes.split_first().ok_or(Malformed)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return u32::try_from(value).map_err(|_| Malformed);
        }
    }
    Err(Malformed)
}

/// Walks over byte strings; gives the bytes that they take.
fn byte_strings(plain: &[u8], count: usize) -> Result<usize> {
    let mut rest = plain;
    for _ in 0..count {
        let (length, after) = rest.split_first_chunk().ok_or(Malformed)?;
        rest = after.get(u32::from_le_bytes(*length) as usize..).ok_or(Malformed)?;
    }
    Ok(plain.len() - rest.len())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn with_levels(levels: &[u8], plain: &[u8]) -> Vec<u8> {
        [&(levels.len() as u32).to_le_bytes(), levels, plain].concat()
    }

    #[test]
    fn counts_runs_and_packed_levels() {
        assert_eq!(count_ones(&[10 << 1, 1, 3 << 1, 0], 13), Ok(10));
        assert_eq!(count_ones(&[(2 << 1) | 1, 0b1010_0001, 0b0000_0111], 10), Ok(5));
        assert_eq!(count_ones(&[0xc8, 0x01, 1], 90), Ok(90), "a run may reach further");
        assert_eq!(count_ones(&[], 0), Ok(0));
    }

    #[test]
    fn refuses_levels_that_end_early_or_are_none() {
        for levels in
            [&[][..], &[20], &[20, 2], &[18, 1], &[0, 1], &[5, 0xff], &[1], &[0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]]
        {
            assert_eq!(count_ones(levels, 10), Err(Malformed), "{levels:?}");
        }
    }

    #[test]
    fn values_must_fill_the_page_exactly() {
        let check = |bytes: usize, values, of, width| super::check(&vec![0; bytes], values, false, of, width);
        assert_eq!(check(64, 2, Type::FIXED_LEN_BYTE_ARRAY, 32), Ok(()));
        assert_eq!(check(63, 2, Type::FIXED_LEN_BYTE_ARRAY, 32), Err(Malformed));
        assert_eq!(check(65, 2, Type::FIXED_LEN_BYTE_ARRAY, 32), Err(Malformed));
        assert_eq!(check(2, 9, Type::BOOLEAN, 0), Ok(()));
        assert_eq!(check(16, 4, Type::INT32, 0), Ok(()));
        assert_eq!(check(16, 2, Type::DOUBLE, 0), Ok(()));
        assert_eq!(check(12, 1, Type::INT96, 0), Err(Malformed));
        let nulls = with_levels(&[5 << 1, 0, 1 << 1, 1], &[0; 8]);
        assert_eq!(super::check(&nulls, 6, true, Type::INT64, 0), Ok(()));
        assert_eq!(super::check(&nulls, 5, true, Type::INT64, 0), Err(Malformed));
    }

    #[test]
    fn byte_strings_must_lie_within_the_page() {
        let strings = [&[2, 0, 0, 0][..], b"ab", &[0; 4], &[1, 0, 0, 0], b"c"].concat();
        let check = |bytes: &[u8], values| super::check(bytes, values, false, Type::BYTE_ARRAY, 0);
        assert_eq!(check(&strings, 3), Ok(()));
        assert_eq!(check(&strings, 2), Err(Malformed));
        assert_eq!(check(&strings, 4), Err(Malformed));
        for length in 0..strings.len() {
            assert_eq!(check(&strings[..length], 3), Err(Malformed), "{length} bytes");
        }
        assert_eq!(check(&[0xff; 8], 1), Err(Malformed));
    }
}
