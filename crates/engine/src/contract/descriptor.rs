//! The `schema` of a data descriptor of the platform: model -> `{type: table, fields: {...}, quality: [...]}`, as an object or as
//! JSON text.
//!
//! The fields' options have the names that they have in the standard; `quality` lists queries with `{model}` and what must be.

use serde_json::Value;

use super::{
    error::{ContractError, Problem},
    model::{Check, Column, Contract, LogicalType, Model, Rule, RuleKind},
    odcs::{MAX_COLUMNS, MAX_MODELS, physical_type},
    options::{moment_format, not_checked, options, presence, rule},
    quality::{self, Dialect, Of},
    syntax::{Node, check_cost, parse_json},
};

/// Fields of a field that are read, or that say nothing which could be checked.
const KNOWN: [&str; 31] = [
    "type",
    "required",
    "unique",
    "primary",
    "primaryKey",
    "pii",
    "classification",
    "description",
    "title",
    "tags",
    "links",
    "example",
    "examples",
    "quality",
    "format",
    "minLength",
    "maxLength",
    "pattern",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "enum",
    "precision",
    "scale",
    "lineage",
    "config",
    "name",
    "id",
    "label",
];

impl Contract {
    /// Reads the `schema` of a data descriptor; `origin` is what errors call it.
    ///
    /// # Errors
    /// [`ContractError::NotJson`], [`ContractError::TooLarge`], [`ContractError::Malformed`].
    pub fn of_descriptor(schema: &Value, origin: &str) -> Result<Self, ContractError> {
        let malformed = |problem| ContractError::Malformed { origin: origin.to_owned(), problem };
        match schema {
            Value::String(text) => of_value(&parse_json(text, origin)?, origin).map_err(malformed),
            value => of_value(value, origin).map_err(malformed),
        }
    }
}

fn of_value(value: &Value, origin: &str) -> Result<Contract, Problem> {
    check_cost(value)?;
    let top = Node::top(value);
    // Some tools put the models one level deeper.
    let models = match top.field("models") {
        Some(models) if models.value.is_object() && models.value.get("fields").is_none() => models,
        _ => top,
    };
    let fields = models.fields()?;
    if fields.len() > MAX_MODELS {
        return Err(models.expected(&format!("at most {MAX_MODELS} models")));
    }
    let models = fields.iter().map(|(name, node)| model(name, node)).collect::<Result<Vec<_>, _>>()?;
    if models.is_empty() {
        return Err(Problem::new("", "there is no model", "add a model with its fields"));
    }
    Ok(Contract { origin: origin.to_owned(), name: None, version: None, models, servers: Vec::new() })
}

fn model(name: &str, node: &Node<'_>) -> Result<Model, Problem> {
    if name.is_empty() || name.len() > 256 || name.chars().any(char::is_control) {
        return Err(node.expected("a model with a name of 1 to 256 characters"));
    }
    node.object()?;
    let (mut columns, mut rules): (Vec<Column>, Vec<Rule>) = (Vec::new(), Vec::new());
    rules.push(rule(&node.place, RuleKind::Readable, None, "rows can be read", Check::Readable));
    if let Some(fields) = node.field("fields") {
        let fields = fields.fields()?;
        if fields.len() > MAX_COLUMNS {
            return Err(node.expected(&format!("at most {MAX_COLUMNS} fields")));
        }
        for (column, field) in &fields {
            field.object()?;
            columns.push(column_of(column, field, name, &mut rules)?);
        }
    }
    if !columns.is_empty() {
        rules.push(rule(&node.place, RuleKind::Unexpected, None, "no other columns", Check::Unexpected));
    }
    quality::rules(node, Of { dialect: Dialect::Descriptor, model: name, column: None }, &mut rules)?;
    Ok(Model { name: name.to_owned(), physical_name: None, columns, rules })
}

fn column_of(name: &str, field: &Node<'_>, model: &str, rules: &mut Vec<Rule>) -> Result<Column, Problem> {
    let stated = field.text_of("type")?;
    let logical = stated.and_then(physical_type);
    // The specification that descriptors follow calls a moment's time `timestamp`; an unknown type is said to be unknown.
    let column = Column { name: name.to_owned(), logical, format: moment_format(field, logical)? };
    presence(&field.place, &column, rules);
    let of = Some(name);
    if let (Some(stated), None) = (stated, logical) {
        rules.push(not_checked(&field.place, RuleKind::Type, of, stated, "this version does not know the type"));
    }
    let is_key = field.flag_of("primary")? || field.flag_of("primaryKey")?;
    if field.flag_of("required")? || is_key {
        rules.push(rule(&field.place, RuleKind::Required, of, "a value in every row", Check::Nulls));
    }
    if field.flag_of("unique")? || is_key {
        let check = Check::Duplicates(vec![name.to_owned()]);
        rules.push(rule(&field.place, RuleKind::Unique, of, "no value twice", check));
    }
    options(field, &column, rules)?;
    if logical.is_some_and(LogicalType::is_nested)
        && (field.field("fields").is_some() || field.field("items").is_some())
    {
        let why = "fields inside of a column are not checked";
        rules.push(not_checked(&field.place, RuleKind::Other, of, "fields", why));
    }
    for (option, node) in field.fields()? {
        if !KNOWN.contains(&option) && !matches!(option, "fields" | "items") && !node.value.is_null() {
            let why = "this version does not know this option";
            rules.push(not_checked(&node.place, RuleKind::Other, of, option, why));
        }
    }
    quality::rules(field, Of { dialect: Dialect::Descriptor, model, column: of }, rules)?;
    Ok(column)
}
