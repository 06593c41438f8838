//! The layout of a record's JSON: indented, but a list of numbers on one line.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter};

/// Writes a value as JSON, with a newline at its end.
pub(super) fn to_json(value: &impl Serialize) -> String {
    let mut json = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut json, Layout::default());
    value.serialize(&mut serializer).expect("a record has string keys and no type that refuses");
    json.push(b'\n');
    String::from_utf8(json).expect("the serializer writes UTF-8")
}

/// Indents like [`PrettyFormatter`], and puts lists of numbers and nulls on one line.
#[derive(Default)]
struct Layout {
    pretty: PrettyFormatter<'static>,
    /// A list was begun, or an entry of it ended: the kind of the next entry decides the layout.
    pending: Option<Pending>,
    /// For each open list, whether it is on one line.
    lists: Vec<bool>,
}

#[derive(Clone, Copy)]
enum Pending {
    First,
    Next,
}

impl Layout {
    /// An entry that is neither a number nor null begins.
    fn block<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        match self.pending.take() {
            None => Ok(()),
            Some(pending) => {
                if let Some(inline) = self.lists.last_mut() {
                    *inline = false;
                }
                self.pretty.begin_array_value(writer, matches!(pending, Pending::First))
            }
        }
    }

    /// A number or null begins. Returns whether it stands in a list on one line.
    fn inline<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<bool> {
        let listed = self.lists.last().copied().unwrap_or(false);
        match self.pending.take() {
            None => Ok(false),
            Some(Pending::Next) if listed => writer.write_all(b",").map(|()| true),
            Some(Pending::Next) => self.pretty.begin_array_value(writer, false).map(|()| false),
            Some(Pending::First) => {
                if let Some(inline) = self.lists.last_mut() {
                    *inline = true;
                }
                Ok(true)
            }
        }
    }
}

macro_rules! numbers {
    ($($name:ident: $type:ty),*) => {$(
        fn $name<W: ?Sized + Write>(&mut self, writer: &mut W, value: $type) -> io::Result<()> {
            self.inline(writer)?;
            self.pretty.$name(writer, value)
        }
    )*};
}

impl Formatter for Layout {
    numbers! { write_u8: u8, write_u16: u16, write_u32: u32, write_u64: u64, write_i64: i64 }

    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        let whole = value.fract() == 0.0 && value.abs() < 1e15;
        // `100` and not `100.0`: these lists are long.
        if self.inline(writer)? && whole {
            return self.pretty.write_i64(writer, value as i64);
        }
        self.pretty.write_f64(writer, value)
    }

    fn write_null<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.inline(writer)?;
        self.pretty.write_null(writer)
    }

    fn write_bool<W: ?Sized + Write>(&mut self, writer: &mut W, value: bool) -> io::Result<()> {
        self.block(writer)?;
        self.pretty.write_bool(writer, value)
    }

    fn begin_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.block(writer)?;
        self.pretty.begin_string(writer)
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.block(writer)?;
        self.lists.push(false);
        self.pretty.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if self.lists.pop().unwrap_or(false) {
            // Steps back by one indent, and writes no line end.
            self.pretty.end_array(&mut io::sink())?;
            return writer.write_all(b"]");
        }
        self.pretty.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, _: &mut W, first: bool) -> io::Result<()> {
        self.pending = Some(if first { Pending::First } else { Pending::Next });
        Ok(())
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.block(writer)?;
        self.pretty.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.pretty.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::to_json;

    #[test]
    fn lists_of_numbers_are_on_one_line_and_all_else_is_indented() {
        let value = json!({
            "a": [1, 2.5, null, 100.0],
            "b": [{ "c": [[1, 2], []], "d": "text" }, "text", 3],
            "e": [],
            "f": [null, { "g": 1.0 }],
        });
        let json = to_json(&value);
        assert_eq!(serde_json::from_str::<Value>(&json).expect("it is JSON")["b"], value["b"]);
        let expected = r#"{
  "a": [1,2.5,null,100],
  "b": [
    {
      "c": [
        [1,2],
        []
      ],
      "d": "text"
    },
    "text",
    3
  ],
  "e": [],
"#;
        assert!(json.starts_with(expected), "{json}");
        assert!(json.ends_with("}\n"), "{json}");
        let read: Value = serde_json::from_str(&json).expect("it is JSON");
        assert_eq!(read["f"], value["f"], "a list that begins with null");
    }
}
