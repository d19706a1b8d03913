//! Numbers of kept columns: decimal, nine digits after the point, exact.
//!
//! A number is a whole one scaled by 10^9. Sums of such do not depend on the order of what is added, as those of floating-point
//! numbers do, and have room for 10^14 of the largest. Texts are read as programs write numbers: a sign, digits, a point, an exponent;
//! `1.234,50` is none. Digits after the ninth are rounded, a half away from zero.

/// Digits after the point.
const DIGITS: i32 = 9;

/// One, scaled.
const ONE: i128 = 1_000_000_000;

/// The digits after the point that a mean is shown with.
const MEAN_UNIT: i128 = 1_000;

/// Numbers of so much and more, scaled, are not read: 10^15.
const LIMIT: i128 = 1_000_000_000_000_000 * ONE;

/// More digits than any number that is read has.
const MOST_DIGITS: usize = 40;

/// Reads a number. `None` where the text is none, or it is 10^15 or more, or -10^15 or less. Not an error: whether there is one would
/// tell whether the customer who has it is common.
#[must_use]
pub fn parse(text: &str) -> Option<i128> {
    let text = text.trim();
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: String = [whole, fraction].concat();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // The number is 0.DIGITS * 10^point, without zeros in front.
    let significant = digits.trim_start_matches('0');
    let leading = (digits.len() - significant.len()) as i64;
    if significant.is_empty() {
        return Some(0);
    }
    let point = whole.len() as i64 - leading + i64::from(exponent);
    let kept = point + i64::from(DIGITS);
    if point > 16 {
        return None;
    }
    if kept < 0 {
        return Some(0);
    }
    let digit = |index: usize| i128::from(significant.as_bytes().get(index).map_or(0, |byte| byte - b'0'));
    let kept = usize::try_from(kept).ok()?.min(MOST_DIGITS);
    let truncated = (0..kept).fold(0_i128, |value, index| value * 10 + digit(index));
    let rounded = truncated + i128::from(digit(kept) >= 5);
    (rounded < LIMIT).then_some(if negative { -rounded } else { rounded })
}

/// Writes a scaled number without needless zeros: `-12.5`.
#[must_use]
pub fn text(value: i128) -> String {
    let (size, one) = (value.unsigned_abs(), ONE.unsigned_abs());
    let sign = if value < 0 { "-" } else { "" };
    let text = format!("{sign}{}.{:09}", size / one, size % one);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The mean of so many numbers with this sum, rounded to six digits after the point, a half away from zero; `None` of none.
#[must_use]
pub fn mean(sum: i128, count: u64) -> Option<i128> {
    let divisor = i128::from(count).checked_mul(MEAN_UNIT).filter(|divisor| *divisor > 0)?;
    let (quotient, rest) = (sum / divisor, sum % divisor);
    let up = i128::from(rest.abs() >= divisor - rest.abs());
    Some((quotient + up * sum.signum()) * MEAN_UNIT)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reads_what_programs_write() {
        for (written, expected) in [
            ("0", "0"),
            ("-0.0", "0"),
            ("12", "12"),
            (" +12.50 ", "12.5"),
            ("-.5", "-0.5"),
            ("7.", "7"),
            ("1e3", "1000"),
            ("1.25E-2", "0.0125"),
            ("0.0000000005", "0.000000001"),
            ("0.0000000004", "0"),
            ("1e-400", "0"),
            ("00012", "12"),
            ("-1.0000000015", "-1.000000002"),
            ("999999999999999.999999999", "999999999999999.999999999"),
            ("0e99", "0"),
            ("0.1", "0.1"),
            ("0.000000000000000000000000000000000000000000000000001", "0"),
        ] {
            assert_eq!(text(parse(written).unwrap()), expected, "{written}");
        }
        for none in [
            "", " ", "-", ".", "e5", "1,5", "1.234,50", "NaN", "inf", "0x10", "1 000", "1.2.3", "1e", "--1", "1_0", "٣",
        ] {
            assert_eq!(parse(none), None, "{none}");
        }
        for large in ["1000000000000000", "-1e15", "1e400", "999999999999999.9999999999"] {
            assert_eq!(parse(large), None, "{large}");
        }
    }

    #[test]
    fn means_are_rounded_to_the_nearest() {
        for (sum, count, expected) in [
            ("10", 4, "2.5"),
            ("10", 3, "3.333333"),
            ("-10", 3, "-3.333333"),
            ("20", 3, "6.666667"),
            ("-20", 3, "-6.666667"),
            ("0", 9, "0"),
        ] {
            assert_eq!(text(mean(parse(sum).unwrap(), count).unwrap()), expected, "{sum} of {count}");
        }
        assert_eq!(mean(5, 0), None);
    }

    #[test]
    fn a_sum_is_the_same_in_any_order_where_floating_point_differs() {
        let numbers = ["0.1", "0.2", "0.3", "1e14", "-1e14", "0.7"];
        let read = |number: &&str| parse(number).unwrap();
        assert_eq!(text(numbers.iter().map(read).sum()), "1.3");
        assert_eq!(text(numbers.iter().rev().map(read).sum()), "1.3");
    }
}
