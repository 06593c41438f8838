//! Any state or action as JSON.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

/// A state or an action of whatever type, as JSON.
///
/// Values without a form in JSON appear as `serde_json` would write them: keys that are numbers as
/// text, bytes and `u128` of MessagePack as a list of numbers, infinities as null. In a store with
/// codec JSON an integer beyond 64 bits comes as the nearest float. It goes out as the JSON it is:
/// an action with a map whose keys are numbers cannot be written this way in MessagePack.
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

/// Text that is not a value, or that no [`Untyped`] can hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UntypedError {
    /// The text is not JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// An integer that would silently become the nearest float.
    #[error(
        "the integer {0} is beyond 64 bits, and would lose digits: write it as a float (with a \
         point), or dispatch it from a program that knows its type"
    )]
    Integer(String),
}

impl FromStr for Untyped {
    type Err = UntypedError;

    /// Reads JSON. Floats are read to the last bit; an integer beyond 64 bits is refused.
    fn from_str(text: &str) -> Result<Self, UntypedError> {
        let value = serde_json::from_str(text)?;
        match wide_integer(text) {
            Some(integer) => Err(UntypedError::Integer(integer.to_owned())),
            None => Ok(Untyped(value)),
        }
    }
}

/// The first integer in a JSON text that has more than 64 bits.
fn wide_integer(json: &str) -> Option<&str> {
    let mut rest = json;
    while let Some(at) = rest.find(|sign: char| sign == '"' || sign == '-' || sign.is_ascii_digit())
    {
        rest = &rest[at..];
        let len = if let Some(text) = rest.strip_prefix('"') {
            1 + end_of_text(text)
        } else {
            let part = |sign: char| sign.is_ascii_alphanumeric() || "+-.".contains(sign);
            rest.find(|sign| !part(sign)).unwrap_or(rest.len())
        };
        let (token, after) = rest.split_at(len);
        let is_integer = !token.starts_with('"') && !token.contains(['.', 'e', 'E']);
        if is_integer && token.parse::<u64>().is_err() && token.parse::<i64>().is_err() {
            return Some(token);
        }
        rest = after;
    }
    None
}

/// The length of the rest of a text in quotes, with the last one.
fn end_of_text(rest: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
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
    fn numbers_are_read_to_the_last_digit_or_refused() {
        let read = |text: &str| text.parse::<Untyped>();
        for (text, bits) in [
            ("1.5777777777770001", 1.577_777_777_777_000_1_f64.to_bits()),
            ("0.09144338512092887", 0.091_443_385_120_928_87_f64.to_bits()),
            ("1e308", 1e308_f64.to_bits()),
            ("-0.0", (-0.0_f64).to_bits()),
            ("123456789012345678901234567890.0", 1.234_567_890_123_456_8e29_f64.to_bits()),
        ] {
            let value = read(text).expect(text).0.as_f64().expect("a float");
            assert_eq!(value.to_bits(), bits, "{text}");
        }
        for text in ["18446744073709551615", "-9223372036854775808", "[0, -1, {\"1\": 2}]"] {
            assert_eq!(read(text).expect(text).to_string(), text.replace(' ', ""));
        }
        let texts = r#"{"a\"18446744073709551616": "-9223372036854775809 \\", "b": 1}"#;
        read(texts).expect("digits in a text are no number");
        for (text, integer) in [
            ("18446744073709551616", "18446744073709551616"),
            (r#"{"Big": [1.5, 340282366920938463463374607431768211455]}"#, "3402823669"),
            (r#"["\\", -9223372036854775809]"#, "-9223372036854775809"),
        ] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains(integer) && error.contains("beyond 64 bits"), "{error}");
        }
        assert!(matches!(read("[1,"), Err(UntypedError::Json(_))));
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
