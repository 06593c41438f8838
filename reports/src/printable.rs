//! Text of unknown origin, made safe for a terminal.
//!
//! Names, descriptions and states come from files and from other machines. A control code in such
//! a text could move the cursor, change colours or hide what stands beside it. Everything that
//! prints such a text passes it through here.

use std::borrow::Cow;
use std::fmt::Write;

/// The text with a visible character in place of each that would steer the terminal.
///
/// Line ends stay. Each character is replaced by exactly one, so that columns keep their numbers.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if steers(c) { picture(c) } else { c }).collect())
}

/// The text on one line: as [`printable`], and line ends are replaced too.
pub fn printable_line(text: &str) -> Cow<'_, str> {
    match printable(text) {
        text if text.contains('\n') => Cow::Owned(text.replace('\n', "\u{240a}")),
        text => text,
    }
}

/// Escapes each character of JSON's strings that would control the terminal (RFC 8259, section 7).
/// The value stays the same for a parser.
pub fn printable_json(json: &str) -> Cow<'_, str> {
    if !json.contains(steers) {
        return Cow::Borrowed(json);
    }
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if steers(c) {
            let _ = write!(safe, "\\u{:04x}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

/// Control codes of ASCII and Latin-1, line separators, and marks that reorder what is shown.
fn steers(c: char) -> bool {
    let reorders =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (c.is_control() && c != '\n') || reorders || matches!(c, '\u{61c}' | '\u{2028}' | '\u{2029}')
}

/// The picture of a control code, where Unicode has one.
fn picture(c: char) -> char {
    match c {
        '\t' => ' ',
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
        '\x7f' => '\u{2421}',
        _ => '\u{fffd}',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_is_left() {
        let text = "a\x1b[31mb\u{9b}2Jc\rd\u{7f}e\u{202e}f\u{2028}g\n\th";
        let safe = "a␛[31mb\u{fffd}2Jc␍d␡e\u{fffd}f\u{fffd}g\n h";
        assert_eq!(printable(text), safe);
        assert_eq!(printable_line(text), safe.replace('\n', "␊"));
        assert_eq!(safe.chars().count(), text.chars().count());
        assert!(matches!(printable("größer 日本 🦀"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_keeps_its_value() {
        let value = serde_json::json!({ "a\u{9b}": "\x1b[2J\u{7f}\u{202e}é" });
        let safe = printable_json(&value.to_string()).into_owned();
        assert!(!safe.contains(steers), "{safe}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).expect("JSON"), value);
    }
}
