//! A scenario file as a tree of values, each with its place in the text.
//!
//! The input is YAML text of any kind, hostile too: its size, depth and aliases are bounded, and
//! duplicate keys are refused. What goes out knows where every key and value stands, so that a
//! complaint about any of them can show it. Environment variables have their values in it, and keys
//! that begin with `x-` are gone. `--set` and `matrix` change values in the tree by path; what they
//! put in has no place.

use std::fmt;

use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_saphyr::Spanned;

use super::environment::{self, Lookup};
use super::error::{Place, Problem};

/// The largest file that is read.
pub(super) const FILE_BYTES_MAX: usize = 1 << 20;
const DEPTH_MAX: usize = 32;
const NODES_MAX: usize = 100_000;
const ALIASES_MAX: usize = 1_000;

/// Keys that begin with this are ignored: they hold notes, and values with anchors.
pub(super) const IGNORED: &str = "x-";

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) place: Option<Place>,
    /// A number, a boolean or nothing as it was written: `0x10`.
    pub(super) written: Option<String>,
    /// The bytes of the text that define it.
    source: Option<(usize, usize)>,
}

/// A value of YAML.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// In the file's order.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_place: Option<Place>,
    pub(super) node: Node,
}

impl Node {
    /// A value that does not stand in a file.
    pub(super) fn new(value: Value) -> Self {
        Self { value, place: None, written: None, source: None }
    }

    /// Reads a file's text.
    pub(super) fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        Self::parse_with(text, &|name| std::env::var_os(name))
    }

    fn parse_with(text: &str, lookup: Lookup<'_>) -> Result<Self, Vec<Problem>> {
        let shielded = environment::shielded(text);
        let mut node = Self::parse_yaml(&shielded).map_err(|mut problem| {
            problem.message = environment::unshielded(&problem.message).into_owned();
            vec![problem]
        })?;
        let mut problems = Vec::new();
        node.finish(&shielded, lookup, &mut problems);
        if problems.is_empty() { Ok(node) } else { Err(problems) }
    }

    fn parse_yaml(text: &str) -> Result<Self, Problem> {
        if text.len() > FILE_BYTES_MAX {
            return Err(Problem::new(format!(
                "the file is too large: a scenario has {FILE_BYTES_MAX} bytes at most"
            )));
        }
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! {
                max_depth: DEPTH_MAX,
                max_nodes: NODES_MAX,
                max_events: NODES_MAX * 2,
                max_aliases: ALIASES_MAX,
            },
            strict_booleans: true,
            leading_zero_numbers_as_strings: true,
            underscored_numbers_as_strings: true,
            non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::PassThrough,
            with_snippet: false,
        };
        match serde_saphyr::from_str_with_options::<Spanned<Self>>(text, options) {
            Ok(spanned) => Ok(Self::placed(spanned)),
            Err(error) => Err(Problem::from_yaml(&error)),
        }
    }

    /// Reads the value of a `--set`: the scalar or the flow collection that the text stands for.
    pub(super) fn parse_override(text: &str) -> Result<Self, Vec<Problem>> {
        if text.trim().is_empty() {
            return Ok(Self::new(Value::Text(String::new())));
        }
        match Self::parse(text) {
            Ok(node) => Ok(node.without_places()),
            Err(mut problems) => {
                problems.iter_mut().for_each(|problem| problem.place = None);
                Err(problems)
            }
        }
    }

    fn placed(spanned: Spanned<Self>) -> Self {
        let mut node = spanned.value;
        node.place = Place::from_yaml(spanned.referenced, !node.is_collection());
        let span = spanned.defined.span();
        node.source = span.byte_offset().zip(span.byte_len()).map(|(start, length)| {
            let start = start as usize;
            (start, start + length as usize)
        });
        node
    }

    /// Drops ignored keys, notes how scalars are written, and puts in the values of variables.
    fn finish(&mut self, text: &str, lookup: Lookup<'_>, problems: &mut Vec<Problem>) {
        if let Value::Text(text) = &mut self.value {
            *text = environment::unshielded(text).into_owned();
        }
        let source = self.source.and_then(|(start, end)| text.get(start..end)).unwrap_or_default();
        match &mut self.value {
            Value::List(items) => {
                items.iter_mut().for_each(|item| item.finish(text, lookup, problems));
            }
            Value::Map(entries) => {
                entries.retain(|entry| !entry.key.starts_with(IGNORED));
                for entry in entries {
                    entry.key = environment::unshielded(&entry.key).into_owned();
                    if entry.key.contains(environment::OPENING) {
                        let message = format!("the key `{}` has a variable in it", entry.key);
                        let help = "variables stand in values alone: write the key out";
                        problems.push(Problem::new(message).at(entry.key_place).help(help));
                    }
                    entry.node.finish(text, lookup, problems);
                }
            }
            Value::Text(written) if written.contains(environment::OPENING) => {
                let is_plain = !source.starts_with(['"', '\'', '|', '>']);
                match environment::substituted(written, lookup) {
                    Ok(value) if is_plain => self.become_plain(value),
                    Ok(value) => self.value = Value::Text(value),
                    Err(problem) => problems.push(problem.at(self.place)),
                }
            }
            Value::Text(_) => {}
            _ => self.written = Some(source.to_owned()),
        }
    }

    /// Takes a text that stands without quotes: a number, a boolean or nothing, if it looks so.
    fn become_plain(&mut self, text: String) {
        match Self::parse_yaml(&text).map(|node| node.value) {
            Ok(
                value @ (Value::Bool(_) | Value::Unsigned(_) | Value::Signed(_) | Value::Float(_)),
            ) => {
                self.value = value;
                self.written = Some(text);
            }
            _ if text.trim().is_empty() => self.value = Value::Null,
            _ => self.value = Value::Text(text),
        }
    }

    fn without_places(mut self) -> Self {
        self.place = None;
        self.value = match self.value {
            Value::List(items) => {
                Value::List(items.into_iter().map(Self::without_places).collect())
            }
            Value::Map(entries) => Value::Map(
                entries
                    .into_iter()
                    .map(|entry| Entry {
                        key_place: None,
                        node: entry.node.without_places(),
                        ..entry
                    })
                    .collect(),
            ),
            scalar => scalar,
        };
        self
    }

    fn is_collection(&self) -> bool {
        matches!(self.value, Value::List(_) | Value::Map(_))
    }

    /// The value in the words of an error.
    pub(super) fn shown(&self) -> String {
        let written = self.written.as_deref().map(str::trim).filter(|text| !text.is_empty());
        let or_written = |value: String| written.map_or(value, str::to_owned);
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => format!("`{}`", or_written(value.to_string())),
            Value::Unsigned(value) => format!("the number `{}`", or_written(value.to_string())),
            Value::Signed(value) => format!("the number `{}`", or_written(value.to_string())),
            Value::Float(value) => format!("the number `{}`", or_written(value.to_string())),
            Value::Text(text) => format!("the text `{}`", excerpt(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a group of keys".to_owned(),
        }
    }

    /// The child that one segment of a path names.
    pub(super) fn child(&self, segment: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(_) => self.entry(segment).map(|entry| &entry.node),
            Value::List(items) => items.get(segment.parse::<usize>().ok()?),
            _ => None,
        }
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// Returns the place of the value at `path`, or of the closest thing around it that has a
    /// place.
    pub(super) fn place_of(&self, path: &str) -> Option<Place> {
        let mut at = self;
        let mut place = self.place;
        for segment in segments(path) {
            let Some(child) = at.child(segment) else { break };
            at = child;
            place = at.place.or(place);
        }
        place
    }

    /// Returns the place of the last key of `path`, or of the closest thing around it.
    pub(super) fn place_of_key(&self, path: &str) -> Option<Place> {
        let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
        let mut at = self;
        for segment in segments(parent) {
            match at.child(segment) {
                Some(child) => at = child,
                None => return self.place_of(path),
            }
        }
        at.entry(key).map_or_else(|| self.place_of(path), |entry| entry.key_place)
    }

    /// Puts a value at `path`. Missing keys of a map are made on the way, so that a default can
    /// be overridden; a list is not made longer.
    pub(super) fn set(&mut self, path: &str, value: Self) -> Result<(), Problem> {
        let mut at = self;
        let mut walked = String::new();
        for segment in segments(path) {
            let here =
                if walked.is_empty() { "the file".to_owned() } else { format!("`{walked}`") };
            if at.value == Value::Null {
                at.value = Value::Map(Vec::new());
            }
            at = match &mut at.value {
                Value::Map(entries) => {
                    let position = entries.iter().position(|entry| entry.key == segment);
                    let position = position.unwrap_or_else(|| {
                        let node = Self::new(Value::Null);
                        let key = segment.to_owned();
                        entries.push(Entry { key, key_place: value.place, node });
                        entries.len() - 1
                    });
                    &mut entries[position].node
                }
                Value::List(items) => {
                    let count = items.len();
                    let item = segment.parse::<usize>().ok().and_then(|i| items.get_mut(i));
                    item.ok_or_else(|| {
                        Problem::new(format!("{here} has no item `{segment}`"))
                            .help(format!("its {count} items are numbered from 0"))
                    })?
                }
                _ => {
                    return Err(Problem::new(format!(
                        "{here} is a single value: it has no `{segment}`"
                    )));
                }
            };
            if !walked.is_empty() {
                walked.push('.');
            }
            walked.push_str(segment);
        }
        *at = value;
        Ok(())
    }

    /// Takes the value of a key out of a map.
    pub(super) fn remove(&mut self, key: &str) -> Option<Self> {
        let Value::Map(entries) = &mut self.value else { return None };
        let position = entries.iter().position(|entry| entry.key == key)?;
        Some(entries.remove(position).node)
    }
}

/// The beginning of a text, for an error.
pub(super) fn excerpt(text: &str) -> String {
    const CHARS_MAX: usize = 80;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The segments of a path: `phases.0.duration`.
pub(super) fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('.').filter(|segment| !segment.is_empty())
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = deserializer.deserialize_any(ValueVisitor)?;
        Ok(Self::new(value))
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Unsigned(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(u64::try_from(value).map_or(Value::Signed(value), Value::Unsigned))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Node>>()? {
            list.push(Node::placed(item));
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = items.next_key::<Spanned<String>>()? {
            let item = items.next_value::<Spanned<Node>>()?;
            entries.push(Entry {
                key: key.value,
                key_place: Place::from_yaml(key.referenced, true),
                node: Node::placed(item),
            });
        }
        Ok(Value::Map(entries))
    }
}

/// For values that a case of the matrix is named by.
impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.value {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Unsigned(value) => serializer.serialize_u64(*value),
            Value::Signed(value) => serializer.serialize_i64(*value),
            Value::Float(value) => serializer.serialize_f64(*value),
            Value::Text(value) => serializer.serialize_str(value),
            Value::List(items) => serializer.collect_seq(items),
            Value::Map(entries) => {
                serializer.collect_map(entries.iter().map(|entry| (&entry.key, &entry.node)))
            }
        }
    }
}
