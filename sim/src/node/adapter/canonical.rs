//! Canonical JSON (RFC 8785), and its digest: programs in any language make the same bytes of the
//! same state.

use std::fmt::Write;

use serde_json::{Number, Value};
use sha2::{Digest, Sha256};

/// The first eight bytes of the SHA-256 of a state as canonical JSON.
pub(super) fn digest(state: &Value) -> u64 {
    let mut text = String::new();
    write(&mut text, state);
    let hash = Sha256::digest(text.as_bytes());
    u64::from_be_bytes(hash[..8].try_into().expect("a hash has 32 bytes"))
}

/// Reads a digest as a program reports it: the whole hash in hexadecimal.
pub(super) fn parse(hex: &str) -> Option<u64> {
    let whole = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    whole.then(|| u64::from_str_radix(&hex[..16], 16).ok()).flatten()
}

fn write(text: &mut String, value: &Value) {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => {
            // Writing into a string does not fail. Texts are escaped as RFC 8785 demands.
            let _ = write!(text, "{value}");
        }
        Value::Number(value) => number(text, value),
        Value::Array(values) => {
            text.push('[');
            for (at, value) in values.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                write(text, value);
            }
            text.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            // The RFC compares names by their UTF-16 code units.
            fields.sort_by(|one, other| one.0.encode_utf16().cmp(other.0.encode_utf16()));
            text.push('{');
            for (at, (name, value)) in fields.into_iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                let _ = write!(text, "{}:", Value::from(name.as_str()));
                write(text, value);
            }
            text.push('}');
        }
    }
}

/// A number as ECMAScript writes it. Whole numbers are written in full, beyond 2^53 too, where
/// ECMAScript has none.
fn number(text: &mut String, value: &Number) {
    let Some(float) = value.as_f64().filter(|_| value.is_f64()) else {
        let _ = write!(text, "{value}");
        return;
    };
    if float == 0.0 {
        text.push('0');
        return;
    }
    // The shortest digits that read back as the number, and the place of its point.
    let digits = format!("{:e}", float.abs());
    let (mantissa, exponent) = digits.split_once('e').unwrap_or((&digits, "0"));
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    let point = exponent.parse::<i32>().unwrap_or(0) + 1;
    let count = digits.len() as i32;
    if float < 0.0 {
        text.push('-');
    }
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or(0));
    match point {
        _ if count <= point && point <= 21 => {
            text.push_str(&digits);
            text.push_str(&zeros(point - count));
        }
        1..=21 => {
            let (whole, part) = digits.split_at(point as usize);
            let _ = write!(text, "{whole}.{part}");
        }
        -5..=0 => {
            let _ = write!(text, "0.{}{digits}", zeros(-point));
        }
        _ => {
            let (first, rest) = digits.split_at(1);
            let dot = if rest.is_empty() { "" } else { "." };
            let sign = if point > 0 { '+' } else { '-' };
            let _ = write!(text, "{first}{dot}{rest}e{sign}{}", (point - 1).abs());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn canonical(value: &Value) -> String {
        let mut text = String::new();
        write(&mut text, value);
        text
    }

    #[test]
    fn fields_are_sorted_and_nothing_is_between_them() {
        let value = json!({"b": [1, "x\n\"", null], "a": {"\u{1F600}": 1, "\u{FB33}": true}});
        // By UTF-16 code units the emoji, a surrogate pair, comes before U+FB33.
        let expected = "{\"a\":{\"\u{1F600}\":1,\"\u{FB33}\":true},\"b\":[1,\"x\\n\\\"\",null]}";
        assert_eq!(canonical(&value), expected);
    }

    #[test]
    fn numbers_are_written_as_ecmascript_writes_them() {
        for (number, expected) in [
            (1.0, "1"),
            (-0.0, "0"),
            (0.1, "0.1"),
            (-1.5, "-1.5"),
            (1e21, "1e+21"),
            (1e20, "100000000000000000000"),
            (1.25e-7, "1.25e-7"),
            (0.000_001, "0.000001"),
            (123_456.789, "123456.789"),
            (5e-324, "5e-324"),
        ] {
            assert_eq!(canonical(&json!(number)), expected);
        }
        assert_eq!(canonical(&json!(u64::MAX)), "18446744073709551615");
    }

    #[test]
    fn a_digest_is_the_beginning_of_the_hash_that_programs_report() {
        // python3 -c 'import hashlib; print(hashlib.sha256(b"{\"value\":3}").hexdigest())'
        let told = "d428e15b36ff064e22b6f8db60bd7a59bcfc07a04ccd0f15d9a96dc060c72e3c";
        assert_eq!(parse(told), Some(digest(&json!({"value": 3}))));
        assert_ne!(parse(told), Some(digest(&json!({"value": 4}))));
        assert_eq!(parse("d428"), None);
        assert_eq!(parse(&"x".repeat(64)), None);
    }
}
