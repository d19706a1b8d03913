//! The shape of `space.yaml`, field by field, and its JSON schema. What a value means and whether the values fit together is
//! not decided here ([`super::contract`]).
//!
//! Values are parsed where they stand, so that an error has a line; it names the rule and never the value, because any file
//! at all may be given as a space file.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    str::FromStr,
};

use datafuse_core::{
    id::{DatasetId, KindName, ParticipantId, SpaceId},
    name::PublicName,
    normalize::{Profile, region_is_known},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::{ColumnUse, DifferentialPrivacy, Output, Role, analyses, lookups::LookupsSection};
use crate::location::{DeliverPlace, Location, LocationProblem, MailboxPlace, QueuePlace};

/// What stands between fact and remedy where both travel through serde as one text.
pub(super) const REMEDY: char = '\n';

/// The agreement of a collaboration space: who takes part, what is matched on, where things lie, what may come out.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "DataFuse collaboration space")]
pub(super) struct Document {
    /// The version of this format.
    pub(super) api_version: ApiVersion,
    /// What this file describes.
    pub(super) kind: DocumentKind,
    /// The readable name of the space.
    pub(super) id: Text<SpaceId>,
    /// 32 random bytes in hex, drawn when the space is made.
    pub(super) nonce: Text<Nonce>,
    /// The public name of the workload.
    pub(super) workload: Text<PublicName>,
    /// Names that the workload had before, the founding one first.
    #[serde(default)]
    pub(super) workload_former: Vec<Text<PublicName>>,
    /// The data holders that keep one share each of the matching key, in a fixed order; at least two.
    #[schemars(length(min = 2))]
    pub(super) stewards: Vec<Text<ParticipantId>>,
    /// What is matched on, by name.
    #[schemars(extend("minProperties" = 1))]
    pub(super) identifiers: BTreeMap<Text<KindName>, Identifier>,
    /// Who takes part, by name.
    #[schemars(extend("minProperties" = 2))]
    pub(super) participants: BTreeMap<Text<ParticipantId>, Participant>,
    /// Where enrolment messages travel: a folder, a bucket (`s3://`, `gs://`, `az://`), or the workload's endpoint
    /// (`https://`). Credentials of a bucket come from the environment, never from here.
    #[serde(default = "mailbox")]
    #[schemars(extend("default" = "mailbox"))]
    pub(super) mailbox: Text<MailboxPlace>,
    /// Where events wait: a folder, or the address of a Redis server (`redis://`, `rediss://`).
    #[serde(default = "queue")]
    #[schemars(extend("default" = "queue"))]
    pub(super) queue: Text<QueuePlace>,
    /// The workload's own folder.
    #[serde(default = "state")]
    #[schemars(extend("default" = "state"))]
    pub(super) state: Text<FolderPath>,
    /// The folder in which reports are written.
    #[serde(default = "outputs")]
    #[schemars(extend("default" = "outputs"))]
    pub(super) outputs: Text<FolderPath>,
    /// What may come out.
    #[serde(default)]
    pub(super) policy: Policy,
    /// What a report says beside the overlap.
    #[serde(default)]
    pub(super) analyses: analyses::Document,
}

/// The version of the format of a space file.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) enum ApiVersion {
    #[serde(rename = "datafuse/v1")]
    V1,
}

/// What a file in this format describes.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) enum DocumentKind {
    CollaborationSpace,
}

/// An identifier kind: one column with its profile, or several columns that identify together.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identifier {
    pub(super) profile: Option<Text<Profile>>,
    pub(super) default_region: Option<Text<Region>>,
    pub(super) columns: Option<Vec<Column>>,
}

/// One of several columns that identify together.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Column {
    /// The column's name within the identifier.
    pub(super) name: Text<ColumnName>,
    /// How its values are normalised.
    pub(super) profile: Text<Profile>,
    /// The region that national phone numbers belong to (ISO 3166-1 alpha-2).
    pub(super) default_region: Option<Text<Region>>,
}

/// A participant of the space.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Participant {
    /// What it does: bring data (holder), receive the report (user), or both.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub(super) roles: Vec<Role>,
    /// Its public name; every holder has one.
    pub(super) name: Option<Text<PublicName>>,
    /// Names that it had before, the founding one first.
    #[serde(default)]
    pub(super) former: Vec<Text<PublicName>>,
    /// The datasets that it brings, by name.
    #[serde(default)]
    pub(super) datasets: BTreeMap<Text<DatasetId>, Dataset>,
    /// The age recipient to which its reports are encrypted. Every user has one, or none has.
    pub(super) recipient: Option<Text<Recipient>>,
    /// Where its reports are delivered beside the workload's outputs: one place or a list of places.
    #[serde(default)]
    pub(super) deliver: OneOrMore<DeliverPlace>,
    /// What this participant asks of what may come out; of all policies the strictest wins.
    #[serde(default)]
    pub(super) policy: ParticipantPolicy,
}

/// A dataset.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Dataset {
    /// Where it lies: a path, an http(s) address, or an object in a bucket (`s3://`, `gs://`, `az://`).
    pub(super) location: Text<Location>,
    /// Allows a table of tokens, made by any tool, in the place of a protected dataset. It is reported as unauthenticated.
    pub(super) table: Option<Table>,
    /// The data contract that it has to keep: a file of the Open Data Contract Standard, relative to the folder of this file.
    pub(super) contract: Option<Text<FolderPath>>,
}

impl From<Dataset> for super::Dataset {
    fn from(dataset: Dataset) -> Self {
        Self {
            location: dataset.location.0,
            table: dataset.table.map(|table| super::Table {
                format: table.format.map(|format| format.as_str().to_owned()),
                columns: table.columns.into_iter().map(|(kind, column)| (kind.0, column)).collect(),
                encryption_key_from: table.encryption_key_from,
            }),
            contract: dataset.contract.map(|path| path.0.0),
        }
    }
}

/// How a table of tokens is read.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    /// Its format, where the name does not tell.
    pub(super) format: Option<TableFormat>,
    /// The column that holds each kind's tokens; without one it is named as the kind.
    #[serde(default)]
    pub(super) columns: BTreeMap<Text<KindName>, String>,
    /// The environment variable, on the workload's side, that holds the AES key of an encrypted Parquet file.
    pub(super) encryption_key_from: Option<String>,
}

/// The format of a table.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum TableFormat {
    Csv,
    Json,
    Parquet,
}

impl TableFormat {
    fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Parquet => "parquet",
        }
    }
}

/// What may come out.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    /// The smallest count of distinct identifiers that a report shows.
    #[schemars(range(min = 1), extend("default" = 1))]
    pub(super) min_count: Option<u64>,
    /// The fewest distinct identifiers of a kind that a dataset may have.
    #[schemars(range(min = 1))]
    pub(super) min_dataset_size: Option<u64>,
    /// The most distinct identifiers of a kind that a dataset may have.
    #[schemars(range(min = 1))]
    pub(super) max_dataset_size: Option<u64>,
    /// How many different reports may be made in a day (UTC) of each two datasets.
    #[schemars(range(min = 1))]
    pub(super) reports_per_pair_per_day: Option<u64>,
    /// By how many identifiers a dataset has to differ from each that was reported with the same partner before.
    #[schemars(range(min = 1, max = 10_000))]
    pub(super) differencing_guard: Option<u64>,
    /// To multiples of what the counts of a report are rounded.
    #[schemars(range(min = 1))]
    pub(super) rounding: Option<u64>,
    /// The parts that a report may have, and with them what can be computed of these; all of them without this list.
    pub(super) outputs: Option<BTreeSet<Output>>,
    /// The parts that the report of single data users may have, by their names; nobody gets what `outputs` leaves out.
    #[serde(default)]
    pub(super) outputs_for: BTreeMap<Text<ParticipantId>, BTreeSet<Output>>,
    /// Adds random noise to the figures of reports, so that they are differentially private.
    pub(super) differential_privacy: Option<DifferentialPrivacy>,
    /// Whether and how holders may look single customers up at the others; without this section they may not.
    pub(super) lookups: Option<LookupsSection>,
}

/// What one participant asks of what may come out.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ParticipantPolicy {
    /// The smallest count of distinct identifiers that a report may show.
    #[schemars(range(min = 1))]
    pub(super) min_count: Option<u64>,
    /// The fewest distinct identifiers of a kind that a dataset may have.
    #[schemars(range(min = 1))]
    pub(super) min_dataset_size: Option<u64>,
    /// The most distinct identifiers of a kind that a dataset may have.
    #[schemars(range(min = 1))]
    pub(super) max_dataset_size: Option<u64>,
    /// How many different reports may be made in a day (UTC) of each two datasets.
    #[schemars(range(min = 1))]
    pub(super) reports_per_pair_per_day: Option<u64>,
    /// By how many identifiers a dataset has to differ from each that was reported with the same partner before.
    #[schemars(range(min = 1, max = 10_000))]
    pub(super) differencing_guard: Option<u64>,
    /// To multiples of what the counts of a report are rounded.
    #[schemars(range(min = 1))]
    pub(super) rounding: Option<u64>,
    /// The parts that a report may have, and with them what can be computed of these; all of them without this list.
    pub(super) outputs: Option<BTreeSet<Output>>,
    /// The parts that the report of single data users may have, by their names; nobody gets what `outputs` leaves out.
    #[serde(default)]
    pub(super) outputs_for: BTreeMap<Text<ParticipantId>, BTreeSet<Output>>,
    /// Adds random noise to the figures of reports, so that they are differentially private.
    pub(super) differential_privacy: Option<DifferentialPrivacy>,
    /// What this participant asks of look-ups in what it brings.
    pub(super) lookups: Option<LookupsSection>,
    /// The holders that may learn which of their own rows this holder has too (`analyses.lists`); nobody else may.
    #[serde(default)]
    #[schemars(extend("uniqueItems" = true))]
    pub(super) lists: Vec<Text<ParticipantId>>,
    /// What may be done with the columns that this holder keeps, by name; a column that is not named is used for nothing.
    #[serde(default)]
    pub(super) columns: BTreeMap<String, BTreeSet<ColumnUse>>,
}

macro_rules! into_policy {
    ($($document:ident: |$policy:ident| { $($field:ident: $value:expr),* }),*) => {$(
        impl From<$document> for super::Policy {
            fn from($policy: $document) -> Self {
                Self {
                    min_count: $policy.min_count,
                    min_dataset_size: $policy.min_dataset_size,
                    max_dataset_size: $policy.max_dataset_size,
                    reports_per_pair_per_day: $policy.reports_per_pair_per_day,
                    differencing_guard: $policy.differencing_guard,
                    rounding: $policy.rounding,
                    outputs: $policy.outputs,
                    outputs_for: $policy.outputs_for.into_iter().map(|(user, outputs)| (user.0, outputs)).collect(),
                    differential_privacy: $policy.differential_privacy,
                    lookups: $policy.lookups.map(Into::into),
                    $($field: $value,)*
                }
            }
        }
    )*};
}

// Lists and columns take the word of the holder whose rows they are about; the space's would not do.
into_policy!(
    Policy: |policy| { lists: Vec::new(), columns: BTreeMap::new() },
    ParticipantPolicy: |policy| {
        lists: policy.lists.into_iter().map(|holder| holder.0).collect(),
        columns: policy.columns
    }
);

/// Makes the JSON schema (draft 2020-12) of `space.yaml`.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Document).to_value()
}

impl JsonSchema for Identifier {
    fn schema_name() -> Cow<'static, str> {
        "Identifier".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let profile = generator.subschema_for::<Text<Profile>>();
        let region = generator.subschema_for::<Text<Region>>();
        let column = generator.subschema_for::<Column>();
        json_schema!({
            "description": "An identifier kind: one column with its profile, or several columns that identify together.",
            "oneOf": [
                {
                    "type": "object",
                    "properties": { "profile": profile, "default_region": region },
                    "required": ["profile"],
                    "additionalProperties": false,
                },
                {
                    "type": "object",
                    "properties": { "columns": { "type": "array", "items": column, "minItems": 1 } },
                    "required": ["columns"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

/// A value that is written as one text and parsed where it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Text<T>(pub(super) T);

/// What a [`Text`] may hold.
pub(super) trait Textual: Sized {
    /// The name of its schema.
    const NAME: &'static str;
    /// What is expected, in a few words.
    const EXPECTED: &'static str;

    /// Parses the text. The refusal is a fact and, after [`REMEDY`], what to do; it never holds the text.
    fn read(text: &str) -> Result<Self, String>;

    /// What its schema says beside the description.
    fn rule() -> Schema;
}

impl<'de, T: Textual> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(std::marker::PhantomData<T>);

        impl<T: Textual> de::Visitor<'_> for Visitor<T> {
            type Value = Text<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::EXPECTED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<T>, E> {
                T::read(text).map(Text).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Visitor(std::marker::PhantomData))
    }
}

impl<T: Textual> JsonSchema for Text<T> {
    fn schema_name() -> Cow<'static, str> {
        T::NAME.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut schema = T::rule();
        schema.insert("type".into(), "string".into());
        schema.insert("description".into(), T::EXPECTED.into());
        schema
    }
}

/// One value, or a list of them.
#[derive(Clone, Debug)]
pub(super) struct OneOrMore<T>(pub(super) Vec<Text<T>>);

impl<T> Default for OneOrMore<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Textual> Deserialize<'de> for OneOrMore<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(std::marker::PhantomData<T>);

        impl<'de, T: Textual> de::Visitor<'de> for Visitor<T> {
            type Value = OneOrMore<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}; or a list of such", T::EXPECTED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<OneOrMore<T>, E> {
                T::read(text).map(|value| OneOrMore(vec![Text(value)])).map_err(E::custom)
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMore<T>, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = list.next_element()? {
                    values.push(value);
                }
                Ok(OneOrMore(values))
            }
        }

        deserializer.deserialize_any(Visitor(std::marker::PhantomData))
    }
}

impl<T: Textual> JsonSchema for OneOrMore<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMore{}", T::NAME).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<Text<T>>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}

const ID_PATTERN: &str = "^[a-z0-9][a-z0-9._-]{0,63}$";

macro_rules! textual_id {
    ($type:ident, $expected:literal) => {
        impl Textual for $type {
            const NAME: &'static str = stringify!($type);
            const EXPECTED: &'static str = $expected;

            fn read(text: &str) -> Result<Self, String> {
                text.parse().map_err(|error| refusal(&error))
            }

            fn rule() -> Schema {
                json_schema!({ "pattern": ID_PATTERN })
            }
        }
    };
}

textual_id!(SpaceId, "the readable name of a space");
textual_id!(ParticipantId, "the name of a participant");
textual_id!(DatasetId, "the name of a dataset");
textual_id!(KindName, "the name of an identifier kind");

impl Textual for PublicName {
    const NAME: &'static str = "PublicName";
    const EXPECTED: &'static str = "a public name, dfpub1...";

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error| refusal(&error))
    }

    fn rule() -> Schema {
        json_schema!({ "pattern": "^dfpub1[02-9ac-hj-np-z]+$" })
    }
}

impl Textual for Profile {
    const NAME: &'static str = "Profile";
    const EXPECTED: &'static str = "a normalisation profile";

    fn read(text: &str) -> Result<Self, String> {
        Self::ALL.iter().find(|profile| profile.as_str() == text).copied().ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|profile| profile.as_str()).collect();
            format!("not a normalisation profile{REMEDY}choose one of {}", known.join(", "))
        })
    }

    fn rule() -> Schema {
        let known: Vec<_> = Self::ALL.iter().map(|profile| profile.as_str()).collect();
        json_schema!({ "enum": known })
    }
}

impl Textual for Location {
    const NAME: &'static str = "Location";
    const EXPECTED: &'static str =
        "a path, relative to the folder of this file, or the address of a file or object (https, s3, gs, az)";

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|problem| place_refusal(&problem))
    }

    fn rule() -> Schema {
        json_schema!({ "minLength": 1 })
    }
}

impl Textual for MailboxPlace {
    const NAME: &'static str = "MailboxPlace";
    const EXPECTED: &'static str =
        "a folder, or the address of a bucket or of an http(s) endpoint, without credentials";

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|problem| place_refusal(&problem))
    }

    fn rule() -> Schema {
        json_schema!({ "minLength": 1 })
    }
}

impl Textual for DeliverPlace {
    const NAME: &'static str = "DeliverPlace";
    const EXPECTED: &'static str =
        "a folder, a bucket with a prefix (s3, gs, az), or an https endpoint, without credentials";

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|problem| place_refusal(&problem))
    }

    fn rule() -> Schema {
        json_schema!({ "minLength": 1 })
    }
}

impl Textual for QueuePlace {
    const NAME: &'static str = "QueuePlace";
    const EXPECTED: &'static str = "a folder, or the address of a Redis server";

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|problem| place_refusal(&problem))
    }

    fn rule() -> Schema {
        json_schema!({ "minLength": 1 })
    }
}

/// A folder that can only be one.
#[derive(Clone, Debug)]
pub(super) struct FolderPath(pub(super) PathBuf);

impl Textual for FolderPath {
    const NAME: &'static str = "FolderPath";
    const EXPECTED: &'static str = "a folder, relative to that of this file";

    fn read(text: &str) -> Result<Self, String> {
        match Location::from_str(text) {
            Ok(Location::Path(path)) => Ok(Self(path)),
            Ok(Location::Url(_)) | Err(LocationProblem::UnknownScheme { .. }) => {
                Err(format!("this place cannot be an address{REMEDY}give a folder"))
            }
            Err(problem) => Err(place_refusal(&problem)),
        }
    }

    fn rule() -> Schema {
        json_schema!({ "minLength": 1 })
    }
}

/// The 32 random bytes of a space.
#[derive(Clone, Debug)]
pub(super) struct Nonce(pub(super) [u8; 32]);

impl Textual for Nonce {
    const NAME: &'static str = "Nonce";
    const EXPECTED: &'static str = "32 bytes in hex (64 digits)";

    fn read(text: &str) -> Result<Self, String> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| {
            format!(
                "the nonce is not 64 hex digits{REMEDY}copy space.yaml again from who made it; \
                 for a new space let `datafuse space init` draw one"
            )
        })?;
        Ok(Self(bytes))
    }

    fn rule() -> Schema {
        json_schema!({ "pattern": "^[0-9a-fA-F]{64}$" })
    }
}

/// The code of a region.
#[derive(Clone, Debug)]
pub(super) struct Region(pub(super) String);

impl Textual for Region {
    const NAME: &'static str = "Region";
    const EXPECTED: &'static str = "an ISO 3166-1 alpha-2 code: two capital letters, such as BE";

    fn read(text: &str) -> Result<Self, String> {
        if region_is_known(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("not the code of a region{REMEDY}write two capital letters (ISO 3166-1), such as BE"))
        }
    }

    fn rule() -> Schema {
        json_schema!({ "pattern": "^[A-Z]{2}$" })
    }
}

/// The name of a column within an identifier kind.
#[derive(Clone, Debug)]
pub(super) struct ColumnName(pub(super) String);

impl Textual for ColumnName {
    const NAME: &'static str = "ColumnName";
    const EXPECTED: &'static str = "the name of a column within the identifier";

    fn read(text: &str) -> Result<Self, String> {
        let form = text.parse::<DatasetId>();
        form.map(|_| Self(text.to_owned())).map_err(|_| {
            format!(
                "not a valid column name{REMEDY}use lower-case letters, digits, '-', '_' and '.', beginning with a letter \
                 or digit; a file may name its columns otherwise, --identifier says which is which"
            )
        })
    }

    fn rule() -> Schema {
        json_schema!({ "pattern": ID_PATTERN })
    }
}

/// To whom reports are encrypted.
#[derive(Clone, Debug)]
pub(super) struct Recipient(pub(super) String);

impl Textual for Recipient {
    const NAME: &'static str = "Recipient";
    const EXPECTED: &'static str = "an age recipient, age1...";

    fn read(text: &str) -> Result<Self, String> {
        use bech32::{Bech32, primitives::decode::CheckedHrpstring};
        match CheckedHrpstring::new::<Bech32>(text) {
            Ok(checked) if checked.hrp().as_str() == "age" && checked.byte_iter().len() == 32 => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(format!(
                "not an age recipient{REMEDY}give the age1... text that `age-keygen`, or `datafuse keygen --recipient`, prints"
            )),
        }
    }

    fn rule() -> Schema {
        json_schema!({ "pattern": "^age1[02-9ac-hj-np-z]+$" })
    }
}

fn refusal(error: &datafuse_core::Error) -> String {
    // The core's own sentence about an id quotes it.
    let fact = match error {
        datafuse_core::Error::InvalidId { what, .. } => format!("not a valid {what}"),
        other => other.to_string(),
    };
    match error {
        datafuse_core::Error::InvalidId { rule, .. } => format!("{fact}{REMEDY}use {rule}"),
        other => match other.remedy() {
            Some(remedy) => format!("{fact}{REMEDY}{remedy}"),
            None => fact,
        },
    }
}

fn place_refusal(problem: &LocationProblem) -> String {
    format!("{problem}{REMEDY}{}", problem.remedy())
}

fn mailbox() -> Text<MailboxPlace> {
    Text(MailboxPlace::Folder("mailbox".into()))
}

fn queue() -> Text<QueuePlace> {
    Text(QueuePlace::Folder("queue".into()))
}

fn state() -> Text<FolderPath> {
    Text(FolderPath("state".into()))
}

fn outputs() -> Text<FolderPath> {
    Text(FolderPath("outputs".into()))
}
