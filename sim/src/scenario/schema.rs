//! The scenario file's shape as a JSON schema, made from the types that read it.

use super::model::Scenario;

/// The JSON schema of scenario files, as text that ends with a line's end.
pub fn json_schema() -> String {
    let schema = schemars::schema_for!(Scenario);
    format!("{:#}\n", schema.as_value())
}
