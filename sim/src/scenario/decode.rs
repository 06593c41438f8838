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
use super::tree::{Entry, Node, Value, excerpt};

/// Reads a `T` from a tree.
pub(super) fn decode<'de, T: Deserialize<'de>>(node: &'de Node) -> Result<T, Problem> {
    T::deserialize(NodeDeserializer { node }).map_err(|error| error.found(node).problem)
}

/// A problem on its way through serde.
#[derive(Debug)]
struct DecodeError {
    problem: Problem,
    /// The expected type of a value, until the value is known.
    expected: Option<String>,
}

impl DecodeError {
    fn new(message: impl Into<String>) -> Self {
        Self::from(Problem::new(message))
    }

    fn at(mut self, place: Option<Place>) -> Self {
        self.problem = self.problem.at(place);
        self
    }

    /// Says what was found where something else was expected, and where that stands.
    fn found(mut self, node: &Node) -> Self {
        if let Some(expected) = self.expected.take() {
            self.problem.message = format!("expected {expected}, found {}", node.shown());
            self.problem.help = hint(&expected, node);
        }
        self.at(node.place)
    }
}

impl From<Problem> for DecodeError {
    fn from(problem: Problem) -> Self {
        Self { problem, expected: None }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem.message)
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = in_words(expected);
        let problem = Problem::new(format!("expected {expected}"));
        Self { problem, expected: Some(expected) }
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Problem::new(format!("`{}` is not known here", excerpt(variant)))
            .help(suggest(variant, expected))
            .into()
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Problem::new(format!("unknown key `{}`", excerpt(field)))
            .help(suggest(field, expected))
            .into()
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("the key `{field}` is missing"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(format!("the key `{field}` stands here twice"))
    }
}

/// The phrase of [`in_words`] for a boolean.
const BOOLEAN: &str = "`true` or `false`";

/// The phrase of [`in_words`] for a number that need not be whole.
const NUMBER: &str = "a number";

/// The phrase of [`in_words`] for a value with keys.
const KEYS: &str = "a group of keys, as in `{ key: value }`";

/// Describes the expected type in words of the file, and not of the program.
fn in_words(expected: &dyn Expected) -> String {
    let expected = expected.to_string();
    let whole = |min: u64, max: u64| format!("a whole number from {min} to {max}");
    match expected.as_str() {
        "u8" => whole(0, u8::MAX.into()),
        "u16" => whole(0, u16::MAX.into()),
        "u32" => whole(0, u32::MAX.into()),
        "u64" | "usize" => whole(0, u64::MAX),
        "a nonzero u32" => whole(1, u32::MAX.into()),
        "a nonzero u64" => whole(1, u64::MAX),
        "f32" | "f64" => NUMBER.to_owned(),
        "a boolean" => BOOLEAN.to_owned(),
        "a string" => "a text".to_owned(),
        "path string" => "a path".to_owned(),
        "a sequence" => "a list, as in `[one, other]`".to_owned(),
        "a map" => KEYS.to_owned(),
        named if named.starts_with("struct ") => KEYS.to_owned(),
        _ => expected,
    }
}

/// Returns the text to write in place of one that only looks like the expected type.
fn hint(expected: &str, node: &Node) -> Option<String> {
    let Value::Text(text) = &node.value else { return None };
    let text = text.trim();
    if expected == BOOLEAN {
        let no = ["no", "n", "off", "0"].iter().any(|no| text.eq_ignore_ascii_case(no));
        let yes = ["yes", "y", "on", "1"].iter().any(|yes| text.eq_ignore_ascii_case(yes));
        return (no || yes).then(|| format!("write `{yes}`"));
    }
    if expected == NUMBER && text.ends_with('%') {
        return Some("write it without `%`".to_owned());
    }
    let digits = text.replace('_', "");
    let is_number = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
    if !expected.contains("number") || !is_number {
        return None;
    }
    let plain = digits.trim_start_matches('0');
    let plain = if plain.is_empty() { "0" } else { plain };
    Some(match (text == plain, digits.len() > plain.len()) {
        (true, _) => "write it without quotes".to_owned(),
        (false, true) if plain.chars().all(|c| c < '8') => {
            format!("a number has no leading zero: write `{plain}`, or `0o{plain}` for octal")
        }
        _ => format!("write `{plain}`"),
    })
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
        value.map_err(|error: DecodeError| error.found(self.node))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.node.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    /// A number or a boolean is a text where a text is asked for, as it was written.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match (&self.node.value, &self.node.written) {
            (Value::Null | Value::List(_) | Value::Map(_), _) | (_, None) => {
                self.deserialize_any(visitor)
            }
            (_, Some(written)) => visitor
                .visit_borrowed_str(written)
                .map_err(|error: DecodeError| error.found(self.node)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    /// Keys alone, or nothing for no keys; a list in the order of the keys would be a riddle.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let read = match &self.node.value {
            Value::Map(_) => return self.deserialize_any(visitor),
            Value::Null => visitor.visit_map(Entries { entries: [].iter(), next: None }),
            _ => Err(de::Error::invalid_type(Unexpected::Other(""), &visitor)),
        };
        read.map_err(|error: DecodeError| error.found(self.node))
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
                several => {
                    let keys: Vec<_> = several.iter().map(|entry| entry.key.as_str()).collect();
                    Err(DecodeError::new(format!(
                        "expected exactly one of {}, found {} keys: {}",
                        quoted(variants),
                        several.len(),
                        excerpt(&quoted(&keys))
                    )))
                }
            },
            _ => Err(DecodeError::new(format!(
                "expected one of {}, found {}",
                quoted(variants),
                self.node.shown()
            ))),
        };
        result.map_err(|error| error.at(self.node.place))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
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
        problem.at(self.name_place).help(format!("write `{}: …`", self.name)).into()
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = DecodeError;

    fn unit_variant(self) -> Result<(), DecodeError> {
        match self.content {
            None => Ok(()),
            Some(_) => {
                let problem = Problem::new(format!("`{}` takes no value", self.name));
                Err(problem.at(self.name_place).into())
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
