//! Any state or action as JSON.

use std::fmt;

use serde::de::{Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

/// A state or an action of whatever type, as JSON.
///
/// What JSON has no form for comes as what `serde_json` would write: keys that are numbers as
/// text, bytes as a list of numbers, infinities as null. It goes out as the JSON it is: an action
/// with a map whose keys are numbers cannot be written this way in MessagePack.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Untyped(pub Value);

impl From<Value> for Untyped {
    fn from(value: Value) -> Self {
        Untyped(value)
    }
}

impl fmt::Display for Untyped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Untyped {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue).map(Untyped)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, some: D) -> Result<Value, D::Error> {
        some.deserialize_any(self)
    }

    /// An extension of MessagePack: its type and its bytes.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Value, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Untyped(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((Untyped(key), Untyped(value))) = entries.next_entry()? {
            let key = match key {
                Value::String(text) => text,
                other => other.to_string(),
            };
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<Value, A::Error> {
        let (name, content): (String, _) = variant.variant()?;
        let Untyped(content) = content.newtype_variant()?;
        Ok(Value::Object(Map::from_iter([(name, content)])))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn through_message_pack(value: &impl Serialize) -> Value {
        let mut bytes = Vec::new();
        rmp_serde::encode::write_named(&mut bytes, value).expect("encodes");
        let Untyped(value) = rmp_serde::from_slice(&bytes).expect("any value decodes");
        value
    }

    #[test]
    fn what_serde_derives_comes_out_of_message_pack_as_serde_json_would_write_it() {
        #[derive(Serialize)]
        enum Action {
            Clear,
            Push(String),
            Move { from: u8, to: i64 },
            Pair(f64, Option<bool>),
        }
        let actions = [
            Action::Clear,
            Action::Push("a".into()),
            Action::Move { from: 1, to: -2 },
            Action::Pair(0.5, None),
        ];
        for action in &actions {
            let expected = serde_json::to_value(action).expect("JSON");
            assert_eq!(through_message_pack(action), expected);
        }
    }

    #[test]
    fn keys_that_are_numbers_and_values_unknown_to_json_come_out_too() {
        let by_id = BTreeMap::from([(7, "seven"), (-1, "minus one")]);
        assert_eq!(through_message_pack(&by_id), json!({"7": "seven", "-1": "minus one"}));
        assert_eq!(through_message_pack(&f64::NAN), Value::Null);
        let Untyped(bytes) = rmp_serde::from_slice(&[0xc4, 2, 1, 255]).expect("bytes decode");
        assert_eq!(bytes, json!([1, 255]));
        let Untyped(extension) = rmp_serde::from_slice(&[0xd4, 5, 9]).expect("extensions decode");
        assert_eq!(extension, json!([5, [9]]));
    }
}
