//! From the tree to typed values: a serde deserializer whose errors know their place.
//!
//! An unknown key is reported where it stands, with what is allowed and what may have been
//! meant; a value of the wrong kind with what was expected.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Expected, IntoDeserializer, MapAccess,
    SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};

use super::error::{Place, Problem};
use super::near::{quoted, suggest};
use super::tree::{Entry, Node, Value};

/// Reads a `T` from a tree.
pub(super) fn decode<'de, T: Deserialize<'de>>(node: &'de Node) -> Result<T, Problem> {
    T::deserialize(NodeDeserializer { node }).map_err(|error| error.0)
}

/// A problem on its way through serde.
#[derive(Debug)]
struct DecodeError(Problem);

impl DecodeError {
    fn at(self, place: Option<Place>) -> Self {
        Self(self.0.at(place))
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(Problem::new(message.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let is_number =
            matches!(found, Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_));
        let expected = in_words(expected);
        let problem = Problem::new(format!("expected {expected}, found {}", shown(found)));
        let wants_text = expected == TEXT;
        Self(if is_number && wants_text {
            problem.help("put it in quotes: a bare number is not a text")
        } else {
            problem
        })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self(Problem::new(format!("expected {}, found {}", in_words(expected), shown(found))))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self(
            Problem::new(format!("`{variant}` is not known here")).help(suggest(variant, expected)),
        )
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self(Problem::new(format!("unknown key `{field}`")).help(suggest(field, expected)))
    }

    fn missing_field(field: &'static str) -> Self {
        Self(Problem::new(format!("the key `{field}` is missing")))
    }
}

/// What [`in_words`] calls a string.
const TEXT: &str = "a text";

/// What was expected, in words of the file's and not of the program's.
fn in_words(expected: &dyn Expected) -> String {
    let expected = expected.to_string();
    let whole = |max: u64| format!("a whole number from 0 to {max}");
    match expected.as_str() {
        "u8" => whole(u8::MAX.into()),
        "u16" => whole(u16::MAX.into()),
        "u32" => whole(u32::MAX.into()),
        "u64" | "usize" => whole(u64::MAX),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "`true` or `false`".to_owned(),
        "a string" => TEXT.to_owned(),
        _ => expected,
    }
}

fn shown(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Unit => "nothing".to_owned(),
        Unexpected::Str(text) => format!("the text `{text}`"),
        Unexpected::Unsigned(number) => format!("the number `{number}`"),
        Unexpected::Signed(number) => format!("the number `{number}`"),
        Unexpected::Float(number) => format!("the number `{number}`"),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a map of keys".to_owned(),
        other => other.to_string(),
    }
}

#[derive(Clone, Copy)]
struct NodeDeserializer<'de> {
    node: &'de Node,
}

impl<'de> Deserializer<'de> for NodeDeserializer<'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let value = match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Unsigned(value) => visitor.visit_u64(*value),
            Value::Signed(value) => visitor.visit_i64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List(items) => visitor.visit_seq(Items { items: items.iter() }),
            Value::Map(entries) => {
                visitor.visit_map(Entries { entries: entries.iter(), next: None })
            }
        };
        value.map_err(|error| error.at(self.node.place))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.node.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let result = match &self.node.value {
            Value::Text(name) => {
                let place = self.node.place;
                visitor.visit_enum(Variant { name, name_place: place, content: None })
            }
            Value::Map(entries) => match entries.as_slice() {
                [entry] => visitor.visit_enum(Variant {
                    name: &entry.key,
                    name_place: entry.key_place,
                    content: Some(&entry.node),
                }),
                several => Err(DecodeError(Problem::new(format!(
                    "expected exactly one of {}, found {} keys",
                    quoted(variants),
                    several.len()
                )))),
            },
            _ => Err(DecodeError(Problem::new(format!("expected one of {}", quoted(variants))))),
        };
        result.map_err(|error| error.at(self.node.place))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Items<'de> {
    items: std::slice::Iter<'de, Node>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        self.items.next().map(|node| seed.deserialize(NodeDeserializer { node })).transpose()
    }
}

struct Entries<'de> {
    entries: std::slice::Iter<'de, Entry>,
    next: Option<&'de Node>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DecodeError> {
        let Some(entry) = self.entries.next() else { return Ok(None) };
        self.next = Some(&entry.node);
        let key: StrDeserializer<'_, DecodeError> = entry.key.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|error| error.at(entry.key_place))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<T::Value, DecodeError> {
        match self.next.take() {
            Some(node) => seed.deserialize(NodeDeserializer { node }),
            None => Err(de::Error::custom("a value was asked for before its key")),
        }
    }
}

struct Variant<'de> {
    name: &'de str,
    name_place: Option<Place>,
    content: Option<&'de Node>,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = DecodeError;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<(T::Value, Self), DecodeError> {
        let name: StrDeserializer<'_, DecodeError> = self.name.into_deserializer();
        let variant = seed.deserialize(name).map_err(|error| error.at(self.name_place))?;
        Ok((variant, self))
    }
}

impl<'de> Variant<'de> {
    fn needs_a_value(&self) -> DecodeError {
        let problem = Problem::new(format!("`{}` needs a value", self.name));
        DecodeError(problem.at(self.name_place).help(format!("write `{}: …`", self.name)))
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        match self.content {
            None => Ok(()),
            Some(_) => {
                let problem = Problem::new(format!("`{}` takes no value", self.name));
                Err(DecodeError(problem.at(self.name_place)))
            }
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<T::Value, DecodeError> {
        let node = self.content.ok_or_else(|| self.needs_a_value())?;
        seed.deserialize(NodeDeserializer { node })
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let node = self.content.ok_or_else(|| self.needs_a_value())?;
        NodeDeserializer { node }.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.tuple_variant(0, visitor)
    }
}
