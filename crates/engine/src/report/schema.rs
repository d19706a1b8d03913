//! The JSON schema of `report.json`, made of the types that write it; `docs/report.schema.json` is a copy.
//!
//! It describes what this version writes. A report of an earlier version of the same schema fits it too: what came later is
//! not demanded.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};

use super::Report;

/// The identifier of the schema: another version has another.
pub const SCHEMA_ID: &str = "https://github.com/datavillage-me/datafuse/report/v1/report.schema.json";

/// Makes the JSON schema (draft 2020-12) of `report.json`.
#[must_use]
pub fn report_schema() -> serde_json::Value {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<Report>().to_value()
}

/// Reports without these were written before there were any.
pub(super) fn ratios_may_be_missing(schema: &mut Schema) {
    if let Some(required) = schema.get_mut("required").and_then(serde_json::Value::as_array_mut) {
        required.retain(|field| !matches!(field.as_str(), Some("jaccard" | "share_of_a" | "share_of_b")));
    }
}

/// A text of the report as the schema describes it.
macro_rules! text {
    ($name:ident, $description:literal, $($rule:tt)*) => {
        pub(super) struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "description": $description, "type": "string", $($rule)* })
            }
        }
    };
}

text!(Name, "A name of the agreement.", "pattern": "^[a-z0-9][a-z0-9._-]{0,63}$");
text!(EventName, "The id of an event.", "pattern": "^[A-Za-z0-9-]{1,64}$");
text!(Hash, "32 bytes in hexadecimal.", "pattern": "^[0-9a-f]{64}$");
text!(Moment, "A moment, RFC 3339.", "format": "date-time");
