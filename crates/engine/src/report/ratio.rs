//! A part of a whole, from 0 to 1, as reports write it: a number with up to six decimals.
//!
//! It is an integer of millionths within, so that the same counts give the same text everywhere, and reports can be compared.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

const MILLION: u32 = 1_000_000;

/// A part of a whole, rounded to the nearest millionth, halves up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ratio {
    millionths: u32,
}

impl Ratio {
    /// Divides a part by its whole; `None` where the whole is zero or smaller than the part.
    #[must_use]
    pub fn of(part: u64, whole: u64) -> Option<Self> {
        if whole == 0 || part > whole {
            return None;
        }
        let (part, whole) = (u128::from(part), u128::from(whole));
        let millionths = (2 * part * u128::from(MILLION) + whole) / (2 * whole);
        Some(Self { millionths: u32::try_from(millionths).ok()? })
    }

    /// Gives it in millionths, from 0 to 1,000,000.
    #[must_use]
    pub fn millionths(self) -> u32 {
        self.millionths
    }
}

impl Serialize for Ratio {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(f64::from(self.millionths) / f64::from(MILLION))
    }
}

impl<'de> Deserialize<'de> for Ratio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer)?;
        if !(0.0..=1.0).contains(&number) {
            return Err(D::Error::custom("a ratio is a number from 0 to 1"));
        }
        // Within 0 to 1,000,000, so nothing is cut off.
        Ok(Self { millionths: (number * f64::from(MILLION)).round() as u32 })
    }
}

impl JsonSchema for Ratio {
    fn schema_name() -> Cow<'static, str> {
        "Ratio".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A part of a whole, rounded to the nearest millionth.",
            "type": "number",
            "minimum": 0,
            "maximum": 1,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn is_rounded_to_the_nearest_millionth() {
        let millionths = |part, whole| Ratio::of(part, whole).unwrap().millionths();
        assert_eq!(
            [millionths(0, 3), millionths(1, 3), millionths(2, 3), millionths(3, 3)],
            [0, 333_333, 666_667, 1_000_000]
        );
        assert_eq!([millionths(1, 2_000_000), millionths(1, 2_000_001)], [1, 0]);
        assert_eq!(millionths(u64::MAX, u64::MAX), 1_000_000);
        assert_eq!(millionths(u64::MAX / 2, u64::MAX), 500_000);
    }

    #[test]
    fn there_is_none_of_nothing_and_none_above_one() {
        assert_eq!([Ratio::of(0, 0), Ratio::of(4, 3)], [None, None]);
    }

    #[test]
    fn every_millionth_comes_back_from_its_text() {
        for millionths in (0..=MILLION).step_by(7).chain([1, 2, 3, 999_999, MILLION]) {
            let text = serde_json::to_string(&Ratio { millionths }).unwrap();
            assert!(text.len() <= 8, "{text}");
            assert_eq!(serde_json::from_str::<Ratio>(&text).unwrap().millionths(), millionths);
        }
        assert_eq!(serde_json::from_str::<Ratio>("1").unwrap().millionths(), MILLION);
    }

    #[test]
    fn refuses_what_is_no_ratio() {
        for text in ["-0.1", "1.000001", "1e300", "\"0.5\"", "-1"] {
            assert!(serde_json::from_str::<Ratio>(text).is_err(), "{text}");
        }
    }
}
