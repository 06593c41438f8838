//! A part of a state: `.path.to.part`, and `["any key"]` for keys that are no plain words.

use samestate_report::{printable_json, printable_line};
use serde_json::Value;
use thiserror::Error;

/// At most this many keys are named in an error.
const NAMED_MAX: usize = 12;

/// Keys, and indices of lists, from the outside in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Part(Vec<String>);

/// An error of a part that does not exist.
#[derive(Debug, Error)]
#[error("there is no `{step}` in `{path}`, {there}")]
pub(super) struct NoSuchPart {
    step: String,
    path: String,
    there: String,
}

impl Part {
    /// Nothing, or steps such as `.key`, `.0`, `[0]` and `["a key"]`; anything else is no path.
    pub(super) fn parse(text: &str) -> Option<Part> {
        let mut steps = Vec::new();
        let mut rest = if text == "." { "" } else { text };
        while !rest.is_empty() {
            let (step, after) = first_step(rest)?;
            steps.push(step);
            rest = after;
        }
        Some(Part(steps))
    }

    pub(super) fn of<'a>(&self, state: &'a Value) -> Result<&'a Value, NoSuchPart> {
        let mut part = state;
        for (depth, step) in self.0.iter().enumerate() {
            part = child(part, step).ok_or_else(|| NoSuchPart {
                step: printable_line(step).into_owned(),
                path: shown(&self.0[..depth]),
                there: described(part),
            })?;
        }
        Ok(part)
    }
}

/// The first step of a path, and what follows it.
fn first_step(path: &str) -> Option<(String, &str)> {
    let step = path.strip_prefix('.').unwrap_or(path);
    if let Some(inner) = step.strip_prefix('[') {
        if inner.starts_with('"') {
            let mut keys = serde_json::Deserializer::from_str(inner).into_iter::<String>();
            let key = keys.next()?.ok()?;
            return Some((key, inner[keys.byte_offset()..].strip_prefix(']')?));
        }
        let (index, after) = inner.split_once(']')?;
        return index.parse::<usize>().ok().map(|index| (index.to_string(), after));
    }
    let step = path.strip_prefix('.')?;
    let (key, after) = step.split_at(step.find(['.', '[']).unwrap_or(step.len()));
    is_plain(key).then(|| (key.to_owned(), after))
}

/// Returns whether a key can stand after a dot.
fn is_plain(key: &str) -> bool {
    let good = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '.' | '[' | '"');
    !key.is_empty() && key.chars().all(good)
}

/// A key as a step without its dot: `key`, or `["a key"]`.
fn step(key: &str) -> String {
    if is_plain(key) {
        printable_line(key).into_owned()
    } else {
        format!("[{}]", printable_json(&Value::from(key).to_string()))
    }
}

fn shown(steps: &[String]) -> String {
    if steps.is_empty() {
        return ".".to_owned();
    }
    steps.iter().map(|key| format!(".{}", step(key))).collect()
}

fn child<'a>(value: &'a Value, step: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => map.get(step),
        Value::Array(list) => list.get(step.parse::<usize>().ok()?),
        _ => None,
    }
}

fn described(value: &Value) -> String {
    match value {
        Value::Object(map) if map.is_empty() => "which is empty".into(),
        Value::Object(map) => {
            let names: Vec<_> = map.keys().take(NAMED_MAX).map(|key| step(key)).collect();
            let more = if map.len() > NAMED_MAX { ", ..." } else { "" };
            format!("which has {}{more}", names.join(", "))
        }
        Value::Array(list) if list.is_empty() => "which is an empty list".into(),
        Value::Array(list) => format!("which is a list with the items 0 to {}", list.len() - 1),
        Value::Null => "which is null".into(),
        Value::Bool(_) => "which is true or false".into(),
        Value::Number(_) => "which is a number".into(),
        Value::String(_) => "which is a text".into(),
    }
}

/// Completes an unfinished path: returns the byte at which the completion begins, and the
/// candidates.
pub(super) fn complete(path: &str, state: &Value) -> (usize, Vec<String>) {
    if path.is_empty() {
        return (0, vec![".".into()]);
    }
    let (known, begun) = path.split_at(last_step(path));
    let after_dot = known.len() + usize::from(begun.starts_with('.'));
    let place = Part::parse(known).and_then(|part| part.of(state).ok());
    let Some(Value::Object(map)) = place else { return (path.len(), Vec::new()) };
    let begun = &path[after_dot..];
    let steps = map.keys().map(|key| step(key)).filter(|step| step.starts_with(begun));
    (after_dot, steps.take(100).collect())
}

/// Returns the offset of the last step of a path.
fn last_step(path: &str) -> usize {
    let (mut last, mut quoted, mut escaped) = (0, false, false);
    let mut after_dot = false;
    for (at, c) in path.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            '.' if !quoted => last = at,
            '[' if !quoted && !after_dot => last = at,
            _ => {}
        }
        after_dot = c == '.' && !quoted;
    }
    last
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_leads_through_keys_and_lists() {
        let state = json!({"a": [{"b": 7}]});
        let at = |path| Part::parse(path).expect(path).of(&state).expect(path).clone();
        assert_eq!(at(""), state);
        assert_eq!(at(".a.0.b"), json!(7));
        assert_eq!(Part::parse("a"), None);
        assert_eq!(Part::parse(".a..b"), None);
    }

    #[test]
    fn every_key_can_be_reached() {
        let state = json!({
            "a.b": 1, "sp ace": { "x": [1, { "": 2 }] }, "": 3, "0": 4, "[\"]": 5, "\u{9b}\n": 6
        });
        let at = |path: &str| Part::parse(path).expect(path).of(&state).expect(path).clone();
        for (path, value) in [
            (r#".["a.b"]"#, 1),
            (r#"["a.b"]"#, 1),
            (r#".["sp ace"].x[0]"#, 1),
            (r#".["sp ace"]["x"].1[""]"#, 2),
            (r#".[""]"#, 3),
            (".0", 4),
            (r#"["0"]"#, 4),
            (r#".["[\"]"]"#, 5),
            (r#".["\u009b\n"]"#, 6),
        ] {
            assert_eq!(at(path), json!(value), "{path}");
        }
        for key in state.as_object().expect("keys").keys() {
            let path = shown(std::slice::from_ref(key));
            assert_eq!(at(&path), state[key], "{path}");
            assert!(!path.contains(char::is_control), "{path:?}");
        }
        for path in ["[", "[\"", "[\"a\"", "[a]", "[-1]", ".a b", ".[\"a\"]b", "[\"a\" ]"] {
            assert_eq!(Part::parse(path), None, "{path}");
        }
    }

    #[test]
    fn odd_keys_are_completed_in_brackets() {
        let state = json!({ "a.b": { "c d": 1, "c": 2 }, "plain": 3 });
        assert_eq!(complete("", &state), (0, vec![".".to_owned()]));
        assert_eq!(complete(".", &state).1, [r#"["a.b"]"#, "plain"]);
        assert_eq!(complete(r#".["a."#, &state), (1, vec![r#"["a.b"]"#.to_owned()]));
        assert_eq!(complete(r#"["a."#, &state), (0, vec![r#"["a.b"]"#.to_owned()]));
        assert_eq!(complete(r#".["a.b"].c"#, &state), (9, vec!["c".to_owned()]));
        assert_eq!(complete(r#".["a.b"]["c"#, &state), (8, vec![r#"["c d"]"#.to_owned()]));
    }

    #[test]
    fn a_wrong_step_says_what_is_there() {
        let state = json!({"a": [1, 2], "b": {}});
        let error = |path| Part::parse(path).expect(path).of(&state).expect_err(path).to_string();
        assert_eq!(error(".c"), "there is no `c` in `.`, which has a, b");
        assert_eq!(error(".a.2"), "there is no `2` in `.a`, which is a list with the items 0 to 1");
        assert_eq!(error(".a.0.x"), "there is no `x` in `.a.0`, which is a number");
    }
}
