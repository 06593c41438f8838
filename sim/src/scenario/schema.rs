//! The scenario file's shape as a JSON schema, made from the types that read it.

use serde_json::{Map, Value, json};

use super::model::Scenario;

/// The JSON schema of scenario files, as text that ends with a line's end.
pub fn json_schema() -> String {
    let mut schema = schemars::schema_for!(Scenario).to_value();
    widen(&mut schema);
    format!("{schema:#}\n")
}

/// A text with an environment variable in it.
const VARIABLE: &str = "\\$\\{";

/// Adds to a schema what the types do not say, because it is gone before they read a file: keys
/// that begin with `x-`, and variables in place of numbers, booleans and names of choices.
fn widen(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(widen),
        Value::Object(members) => {
            members.values_mut().for_each(widen);
            widen_members(members);
        }
        _ => {}
    }
}

fn widen_members(members: &mut Map<String, Value>) {
    let variable = json!({ "type": "string", "pattern": VARIABLE });
    if members.contains_key("additionalProperties") {
        members.insert("patternProperties".to_owned(), json!({ "^x-": true }));
    }
    if let Some(Value::Array(choices)) = members.get_mut("oneOf")
        && choices.iter().any(|choice| choice.get("const").is_some())
    {
        choices.push(variable.clone());
    }
    if let Some(choices) = members.remove("enum") {
        members.remove("type");
        members.insert("anyOf".to_owned(), json!([{ "enum": choices }, variable]));
    }
    let is_of = |kind: &Value| matches!(kind.as_str(), Some("integer" | "number" | "boolean"));
    match members.get_mut("type") {
        Some(Value::Array(kinds)) if kinds.iter().any(is_of) => kinds.push("string".into()),
        Some(kind) if is_of(kind) => *kind = json!([kind.take(), "string"]),
        _ => {
            if let Some(Value::String(pattern)) = members.get_mut("pattern")
                && pattern != VARIABLE
            {
                *pattern = format!("{pattern}|{VARIABLE}");
            }
            return;
        }
    }
    members.insert("pattern".to_owned(), VARIABLE.into());
}
