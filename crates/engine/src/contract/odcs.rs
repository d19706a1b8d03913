//! Files of the Open Data Contract Standard, version 3 (`apiVersion: v3.0.x` or `v3.1.x`; Bitol, LF AI & Data).
//!
//! Read are `servers`, `schema` with `properties`, `quality` on both, and of `slaProperties` freshness and latency. What else can
//! be asked of data becomes a rule that is not checked; what says nothing about data (team, price, support) is passed over.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;

use super::{
    error::{ContractError, Problem},
    model::{Check, Column, Contract, LogicalType, Model, Rule, RuleKind, Server},
    options::{moment_format, not_checked, options, presence, rule},
    quality::{self, Dialect, Of},
    syntax::{Node, check_cost, parse_yaml, read_text, scalar_text},
};

/// More models, columns or rules than these are no contract.
pub(super) const MAX_MODELS: usize = 1_000;
pub(super) const MAX_COLUMNS: usize = 10_000;

/// The options of types that are checked; `options` reads them.
const KNOWN_OPTIONS: [&str; 10] = [
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "enum",
];

/// The keys of an object and of a property, versions 3.0 and 3.1. Another one may be a slip that silences a rule.
const OBJECT_KEYS: [&str; 15] = [
    "id",
    "name",
    "physicalName",
    "physicalType",
    "businessName",
    "description",
    "logicalType",
    "dataGranularityDescription",
    "properties",
    "relationships",
    "quality",
    "tags",
    "customProperties",
    "authoritativeDefinitions",
    "deprecated",
];
const PROPERTY_KEYS: [&str; 31] = [
    "id",
    "name",
    "physicalName",
    "physicalType",
    "businessName",
    "description",
    "logicalType",
    "logicalTypeOptions",
    "primaryKey",
    "primaryKeyPosition",
    "required",
    "unique",
    "partitioned",
    "partitionKeyPosition",
    "classification",
    "encryptedName",
    "transformSourceObjects",
    "transformLogic",
    "transformDescription",
    "examples",
    "criticalDataElement",
    "properties",
    "items",
    "map",
    "relationships",
    "quality",
    "tags",
    "customProperties",
    "authoritativeDefinitions",
    "enum",
    "deprecated",
];

/// Shows the keys that the standard does not have as rules that are not checked.
fn unknown_keys(node: &Node<'_>, known: &[&str], column: Option<&str>, rules: &mut Vec<Rule>) -> Result<(), Problem> {
    for (key, field) in node.fields()? {
        if !known.contains(&key) {
            let why = "the standard has no such key here; is it misspelt?";
            rules.push(not_checked(&field.place, RuleKind::Other, column, key, why));
        }
    }
    Ok(())
}

impl Contract {
    /// Reads a contract file of the Open Data Contract Standard.
    ///
    /// # Errors
    /// [`ContractError::Io`], [`ContractError::TooLarge`], [`ContractError::NotYaml`], [`ContractError::Malformed`] with the
    /// place in the file.
    pub fn read(path: &Path) -> Result<Self, ContractError> {
        Self::parse(&read_text(path)?, &path.display().to_string())
    }

    /// Parses the text of such a file; `origin` is what errors call it.
    ///
    /// # Errors
    /// Those of [`read`](Self::read) but the first.
    pub fn parse(text: &str, origin: &str) -> Result<Self, ContractError> {
        let value = parse_yaml(text, origin)?;
        of_value(&value, origin).map_err(|problem| ContractError::Malformed { origin: origin.to_owned(), problem })
    }
}

fn of_value(value: &Value, origin: &str) -> Result<Contract, Problem> {
    let top = Node::top(value);
    check_head(&top)?;
    check_cost(value)?;
    let schema = top.needed("schema")?;
    let objects = schema.elements()?;
    if objects.is_empty() {
        return Err(schema.expected("at least one object with a name"));
    }
    if objects.len() > MAX_MODELS {
        return Err(schema.expected(&format!("at most {MAX_MODELS} objects")));
    }
    let mut models: Vec<Model> = Vec::new();
    for object in &objects {
        let model = model(object)?;
        if models.iter().any(|other| other.name == model.name) {
            return Err(Problem::new(
                &object.place,
                "another object has the same name",
                "give each object its own name",
            ));
        }
        models.push(model);
    }
    service_levels(&top, &mut models)?;
    let servers = top.list("servers")?.iter().map(server).collect::<Result<_, _>>()?;
    let named = |field| Ok::<_, Problem>(top.field(field).and_then(|node| scalar_text(node.value)));
    let name = match named("name")? {
        Some(name) => Some(name),
        None => named("id")?,
    };
    Ok(Contract { origin: origin.to_owned(), name, version: named("version")?, models, servers })
}

/// Refuses what is no contract of a version that is read.
fn check_head(top: &Node<'_>) -> Result<(), Problem> {
    let fields = top.object()?;
    if fields.contains_key("dataContractSpecification") {
        let fact = "this is a file of the Data Contract Specification";
        return Err(Problem::new(
            "dataContractSpecification",
            fact,
            "datacontract export --format odcs, or write it anew",
        ));
    }
    let kind = top.needed("kind")?;
    if kind.text()? != "DataContract" {
        return Err(Problem::new("kind", "this is not a data contract", "kind: DataContract"));
    }
    let version = top.needed("apiVersion")?;
    if !version.text()?.trim_start_matches('v').starts_with("3.") {
        let fact = "this version of the standard is not read";
        return Err(Problem::new("apiVersion", fact, "write the contract for version 3 (apiVersion: v3.1.0)"));
    }
    Ok(())
}

fn server(node: &Node<'_>) -> Result<Server, Problem> {
    let location = match node.text_of("location")? {
        Some(location) => Some(location),
        None => node.text_of("path")?,
    };
    Ok(Server {
        kind: node.text_of("type")?.unwrap_or_default().to_owned(),
        location: location.map(str::to_owned),
        format: node.text_of("format")?.map(str::to_owned),
    })
}

fn model(object: &Node<'_>) -> Result<Model, Problem> {
    let name = name_of(object)?;
    let physical_name = object.text_of("physicalName")?.filter(|physical| *physical != name).map(str::to_owned);
    let (mut columns, mut rules): (Vec<Column>, Vec<Rule>) = (Vec::new(), Vec::new());
    rules.push(rule(&object.place, RuleKind::Readable, None, "rows can be read", Check::Readable));
    let properties = object.list("properties")?;
    if properties.len() > MAX_COLUMNS {
        return Err(object.expected(&format!("at most {MAX_COLUMNS} properties")));
    }
    let mut key: Vec<(u64, String, String)> = Vec::new();
    // What rules call a column, and what the data calls it.
    let mut physical: BTreeMap<String, String> = BTreeMap::new();
    for property in &properties {
        let column = column(property)?;
        physical.insert(name_of(property)?, column.name.clone());
        if columns.iter().any(|other| other.name == column.name) {
            return Err(Problem::new(
                &property.place,
                "another property has the same name",
                "give each property its own name",
            ));
        }
        property_rules(property, &column, &name, &mut rules)?;
        if property.flag_of("primaryKey")? {
            let position = property.field("primaryKeyPosition").and_then(|node| node.value.as_u64());
            key.push((position.unwrap_or(u64::MAX), column.name.clone(), property.place.clone()));
        }
        columns.push(column);
    }
    primary_key(key, &mut rules);
    if !columns.is_empty() {
        let words = "no other columns";
        rules.push(rule(&object.place, RuleKind::Unexpected, None, words, Check::Unexpected));
    }
    if let Some(relationships) = object.field("relationships") {
        let why = "relationships between models are not checked";
        rules.push(not_checked(&relationships.place, RuleKind::Other, None, "relationships", why));
    }
    unknown_keys(object, &OBJECT_KEYS, None, &mut rules)?;
    quality::rules(object, Of { dialect: Dialect::Odcs, model: &name, column: None }, &mut rules)?;
    for rule in &mut rules {
        if let Check::Duplicates(columns) = &mut rule.check {
            for column in columns {
                if let Some(name) = physical.get(column.as_str()) {
                    column.clone_from(name);
                }
            }
        }
    }
    Ok(Model { name, physical_name, columns, rules })
}

fn name_of(node: &Node<'_>) -> Result<String, Problem> {
    let name = node.needed("name")?;
    let text = name.text()?;
    if text.is_empty() || text.len() > 256 || text.chars().any(char::is_control) {
        return Err(name.expected("a name of 1 to 256 characters"));
    }
    Ok(text.to_owned())
}

fn column(property: &Node<'_>) -> Result<Column, Problem> {
    let name = name_of(property)?;
    let logical = match property.field("logicalType") {
        Some(node) => Some(logical_type(&node)?),
        None => property.text_of("physicalType")?.and_then(physical_type),
    };
    let format = match property.field("logicalTypeOptions") {
        Some(node) => moment_format(&node, logical)?,
        None => None,
    };
    let name = property.text_of("physicalName")?.map_or(name, str::to_owned);
    Ok(Column { name, logical, format })
}

fn property_rules(property: &Node<'_>, column: &Column, model: &str, rules: &mut Vec<Rule>) -> Result<(), Problem> {
    let name = Some(column.name.as_str());
    presence(&property.place, column, rules);
    if let (None, Some(physical)) = (column.logical, property.text_of("physicalType")?) {
        rules.push(not_checked(&property.place, RuleKind::Type, name, physical, "this version does not know the type"));
    }
    if property.flag_of("required")? {
        rules.push(rule(&property.place, RuleKind::Required, name, "a value in every row", Check::Nulls));
    }
    if property.flag_of("unique")? {
        let check = Check::Duplicates(vec![column.name.clone()]);
        rules.push(rule(&property.place, RuleKind::Unique, name, "no value twice", check));
    }
    options(&Node { value: &only_enum(property), place: property.place.clone() }, column, rules)?;
    if let Some(node) = property.field("logicalTypeOptions") {
        options(&node, column, rules)?;
        for (option, field) in node.fields()? {
            if !KNOWN_OPTIONS.contains(&option) && !field.value.is_null() {
                let why = "this version does not know this option";
                rules.push(not_checked(&field.place, RuleKind::Other, name, option, why));
            }
        }
    }
    for (field, why) in [
        ("properties", "fields inside of a column are not checked"),
        ("items", "elements inside of a column are not checked"),
        ("map", "keys and values inside of a column are not checked"),
        ("relationships", "relationships between models are not checked"),
    ] {
        if let Some(node) = property.field(field) {
            rules.push(not_checked(&node.place, RuleKind::Other, name, field, why));
        }
    }
    unknown_keys(property, &PROPERTY_KEYS, name, rules)?;
    quality::rules(property, Of { dialect: Dialect::Odcs, model, column: name }, rules)
}

/// Of a property itself only `enum` is an option; the others are inside of `logicalTypeOptions`.
fn only_enum(property: &Node<'_>) -> Value {
    let allowed = property.value.get("enum").cloned().unwrap_or(Value::Null);
    Value::Object(std::iter::once(("enum".to_owned(), allowed)).collect())
}

/// The columns of a primary key have values, and together no value twice.
fn primary_key(mut key: Vec<(u64, String, String)>, rules: &mut Vec<Rule>) {
    key.sort();
    for (_, column, place) in &key {
        rules.push(rule(place, RuleKind::Required, Some(column), "a value in every row (primary key)", Check::Nulls));
    }
    if let Some((_, first, place)) = key.first() {
        let column = (key.len() == 1).then_some(first.as_str());
        let columns: Vec<_> = key.iter().map(|(_, column, _)| column.clone()).collect();
        let words = format!("no value of {} twice (primary key)", columns.join(", "));
        rules.push(rule(place, RuleKind::Unique, column, words, Check::Duplicates(columns)));
    }
}

fn logical_type(node: &Node<'_>) -> Result<LogicalType, Problem> {
    Ok(match node.text()? {
        "string" => LogicalType::String,
        "integer" => LogicalType::Integer,
        "number" => LogicalType::Number,
        "boolean" => LogicalType::Boolean,
        "date" => LogicalType::Date,
        "time" => LogicalType::Time,
        "timestamp" => LogicalType::Timestamp,
        "object" => LogicalType::Object,
        "array" => LogicalType::Array,
        "map" => LogicalType::Map,
        _ => {
            return Err(node.expected(
                "a logical type (string, integer, number, boolean, date, time, timestamp, object, array, map)",
            ));
        }
    })
}

/// What the usual types of databases are; of others nothing is known. Their sizes are not checked.
pub(super) fn physical_type(text: &str) -> Option<LogicalType> {
    let word: String = text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    Some(match word.to_ascii_lowercase().as_str() {
        "string" | "text" | "varchar" | "char" | "character" | "nvarchar" | "nchar" | "utf8" => LogicalType::String,
        "int" | "integer" | "bigint" | "smallint" | "tinyint" | "long" | "short" | "int2" | "int4" | "int8"
        | "int16" | "int32" | "int64" => LogicalType::Integer,
        "number" | "numeric" | "decimal" | "float" | "double" | "real" | "float4" | "float8" | "float32"
        | "float64" => LogicalType::Number,
        "bool" | "boolean" => LogicalType::Boolean,
        "date" => LogicalType::Date,
        "time" => LogicalType::Time,
        "timestamp" | "datetime" | "timestamptz" | "timestamp_tz" | "timestamp_ntz" => LogicalType::Timestamp,
        "bytes" | "binary" | "varbinary" | "blob" | "bytea" => LogicalType::Binary,
        "object" | "record" | "struct" => LogicalType::Object,
        "array" | "list" => LogicalType::Array,
        "map" => LogicalType::Map,
        _ => return None,
    })
}

/// Freshness and latency of `slaProperties`: how old the newest value of an element may be.
fn service_levels(top: &Node<'_>, models: &mut [Model]) -> Result<(), Problem> {
    let usual = top.text_of("slaDefaultElement")?;
    for entry in top.list("slaProperties")? {
        let property = entry.needed("property")?;
        let word = property.text()?;
        let fresh = matches!(word.to_ascii_lowercase().as_str(), "freshness" | "latency" | "ly" | "fr");
        let elements = entry.text_of("element")?.or(usual);
        let (places, why) = match (fresh, elements) {
            (false, _) => (Vec::new(), "this version checks freshness and latency only"),
            (true, None) => (Vec::new(), "it names no element"),
            (true, Some(elements)) => (
                elements.split(',').map(|element| place_of(element.trim(), models)).collect(),
                "its element is no property",
            ),
        };
        let age = if fresh { age_s(&entry)? } else { None };
        let mut kept = false;
        for (model, column) in places.into_iter().flatten() {
            let Some(max_age_s) = age else { continue };
            let amount = entry.field("value").and_then(|value| scalar_text(value.value)).unwrap_or_default();
            let unit = entry.text_of("unit")?.unwrap_or("d");
            let words = format!("{word}: the newest value is at most {amount} {unit} old");
            let check = Check::Freshness { max_age_s };
            models[model].rules.push(rule(&entry.place, RuleKind::Freshness, Some(&column), words, check));
            kept = true;
        }
        if !kept {
            let why = if fresh && age.is_none() { "this version does not know the unit" } else { why };
            models[0].rules.push(not_checked(&entry.place, RuleKind::Other, None, word, why));
        }
    }
    Ok(())
}

/// The model and column of `model.column`, or of `column` where there is one model.
fn place_of(element: &str, models: &[Model]) -> Option<(usize, String)> {
    if let [only] = models
        && only.column(element).is_some()
    {
        return Some((0, element.to_owned()));
    }
    models.iter().enumerate().find_map(|(index, model)| {
        let named = |name: &str| element.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
        let column = named(&model.name).or_else(|| model.physical_name.as_deref().and_then(named))?;
        model.column(column).map(|column| (index, column.name.clone()))
    })
}

/// The age in seconds; `None` where the unit is not known.
fn age_s(entry: &Node<'_>) -> Result<Option<i64>, Problem> {
    let value = entry.needed("value")?;
    let amount = match value.value {
        Value::String(text) => text.trim().parse::<f64>().ok().filter(|amount| amount.is_finite()),
        _ => value.value.as_f64(),
    };
    let amount = amount.filter(|amount| *amount >= 0.0).ok_or_else(|| value.expected("a number"))?;
    let unit = match entry.text_of("unit")?.unwrap_or("d") {
        "s" | "sec" | "second" | "seconds" => 1.0,
        "m" | "min" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hour" | "hours" => 3_600.0,
        "d" | "day" | "days" => 86_400.0,
        "w" | "wk" | "week" | "weeks" => 7.0 * 86_400.0,
        "y" | "yr" | "year" | "years" => 365.0 * 86_400.0,
        _ => return Ok(None),
    };
    Ok(Some((amount * unit).min(1e15) as i64))
}
