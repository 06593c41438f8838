//! Patches of `serde_json::Value`.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::elements::{self, ElementsPatch};
use super::{Delta, PatchMisfit};

/// The change of a JSON value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValuePatch {
    /// The value is replaced with this one.
    Set(Value),
    /// An object changed.
    Object {
        /// The keys removed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        remove: Vec<String>,
        /// The keys added or changed, each with the patch of its value.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        edit: Vec<(String, ValuePatch)>,
    },
    /// An array changed.
    Array(ElementsPatch<Value, ValuePatch>),
}

/// The levels of arrays and objects that a patch goes into: what changed further down is replaced
/// from there. A patch has four levels for each of them, and codecs bound both these levels and the
/// stack.
const LEVELS_MAX: usize = 16;

impl Delta for Value {
    type Patch = ValuePatch;

    fn diff(&self, before: &Self) -> Option<ValuePatch> {
        diff_within(LEVELS_MAX, before, self)
    }

    fn is_same(&self, before: &Self) -> bool {
        same(before, self)
    }

    fn apply(&mut self, patch: ValuePatch) -> Result<(), PatchMisfit> {
        match (patch, self) {
            (ValuePatch::Set(value), place) => *place = value,
            (ValuePatch::Object { remove, edit }, Value::Object(object)) => {
                for key in remove {
                    let gone = object.remove(&key);
                    gone.ok_or_else(|| {
                        PatchMisfit(format!("the patch removes `{key}`, which is not there"))
                    })?;
                }
                // A peer could have one expensive value changed any number of times otherwise.
                let keys: HashSet<&String> = edit.iter().map(|(key, _)| key).collect();
                if keys.len() < edit.len() {
                    return Err(PatchMisfit("the patch edits a value twice".into()));
                }
                for (key, patch) in edit {
                    object.entry(key).or_insert(Value::Null).apply(patch)?;
                }
            }
            (ValuePatch::Array(patch), Value::Array(array)) => {
                elements::apply(array, patch, Value::apply)?;
            }
            (ValuePatch::Object { .. }, _) => {
                return Err(PatchMisfit("the patch is of an object, and the value is none".into()));
            }
            (ValuePatch::Array(_), _) => {
                return Err(PatchMisfit("the patch is of an array, and the value is none".into()));
            }
        }
        Ok(())
    }
}

fn diff_within(levels: usize, before: &Value, after: &Value) -> Option<ValuePatch> {
    let replaced = || (!same(before, after)).then(|| ValuePatch::Set(after.clone()));
    let Some(levels) = levels.checked_sub(1) else { return replaced() };
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            let gone = before.keys().filter(|key| !after.contains_key(*key));
            let remove: Vec<_> = gone.cloned().collect();
            let change = |key: &String, value: &Value| match before.get(key) {
                Some(before) => diff_within(levels, before, value),
                None => Some(ValuePatch::Set(value.clone())),
            };
            let changes = after
                .iter()
                .filter_map(|(key, value)| change(key, value).map(|patch| (key.clone(), patch)));
            let edit: Vec<_> = changes.collect();
            let unchanged = remove.is_empty() && edit.is_empty();
            (!unchanged).then_some(ValuePatch::Object { remove, edit })
        }
        (Value::Array(before), Value::Array(after)) => {
            let diff = |before: &Value, after: &Value| diff_within(levels, before, after);
            elements::diff(before, after, same, diff).map(ValuePatch::Array)
        }
        _ => replaced(),
    }
}

/// Returns whether two values have the same encoding, apart from the order of keys. So 0.0 differs
/// from -0.0, and 1 from 1.0.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => bits(one) == bits(other) && one == other,
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let is_there = |(key, value)| other.get(key).is_some_and(|other| same(value, other));
            one.len() == other.len() && one.iter().all(is_there)
        }
        (one, other) => one == other,
    }
}

fn bits(number: &Number) -> Option<u64> {
    number.as_f64().filter(|_| number.is_f64()).map(f64::to_bits)
}
