//! Amounts of privacy loss: the epsilon of differential privacy (Dwork, McSherry, Nissim, Smith, "Calibrating Noise to Sensitivity",
//! TCC 2006), exact to the millionth, so that what is spent adds up and compares without rounding.
//!
//! As text and in documents it is a decimal number such as `0.5`. What an amount is spent on is decided elsewhere.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

const MILLION: u64 = 1_000_000;

/// An amount of privacy loss, from 0 to 1,000,000, with up to six decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epsilon {
    millionths: u64,
}

impl Epsilon {
    /// Takes millionths.
    #[must_use]
    pub fn from_millionths(millionths: u64) -> Self {
        Self { millionths }
    }

    /// Gives it in millionths.
    #[must_use]
    pub fn millionths(self) -> u64 {
        self.millionths
    }

    /// What several losses of this amount are together; the largest amount there is where they are more.
    #[must_use]
    pub fn times(self, how_often: usize) -> Self {
        Self { millionths: self.millionths.saturating_mul(how_often as u64) }
    }
}

impl fmt::Display for Epsilon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.millionths / MILLION, self.millionths % MILLION);
        let decimals = format!("{rest:06}");
        match decimals.trim_end_matches('0') {
            "" => f.pad(&whole.to_string()),
            decimals => f.pad(&format!("{whole}.{decimals}")),
        }
    }
}

impl Serialize for Epsilon {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.millionths as f64 / MILLION as f64)
    }
}

impl<'de> Deserialize<'de> for Epsilon {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer)?;
        if !(0.0..=MILLION as f64).contains(&number) {
            return Err(D::Error::custom("an epsilon is a number from 0 to 1000000"));
        }
        let millionths = number * MILLION as f64;
        if (millionths - millionths.round()).abs() > 0.001 {
            return Err(D::Error::custom("an epsilon has at most six decimals"));
        }
        Ok(Self { millionths: millionths.round() as u64 })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn is_written_without_needless_digits_and_read_again() {
        for (millionths, text) in [(500_000, "0.5"), (5_000_000, "5"), (1, "0.000001"), (12_340_000, "12.34"), (0, "0")]
        {
            let epsilon = Epsilon::from_millionths(millionths);
            assert_eq!(epsilon.to_string(), text);
            assert_eq!(serde_json::from_str::<Epsilon>(text).unwrap(), epsilon);
            assert_eq!(serde_json::from_str::<Epsilon>(&serde_json::to_string(&epsilon).unwrap()).unwrap(), epsilon);
        }
    }

    #[test]
    fn losses_add_up_exactly() {
        let tenth: Epsilon = serde_json::from_str("0.1").unwrap();
        assert_eq!(tenth.times(3).to_string(), "0.3");
        assert_eq!(Epsilon::from_millionths(u64::MAX).times(2).millionths(), u64::MAX);
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in ["-1", "1000001", "0.0000001", "1e300", "\"1\"", "null"] {
            assert!(serde_json::from_str::<Epsilon>(text).is_err(), "{text}");
        }
    }
}
