//! A part of a state: `.path.to.part`.

use serde_json::Value;
use thiserror::Error;

/// At most this many keys are named in an error.
const NAMED_MAX: usize = 12;

/// Keys, and indices of lists, from the outside in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Part(Vec<String>);

/// Why there is no such part.
#[derive(Debug, Error)]
#[error("there is no `{step}` in `{path}`, {there}")]
pub(super) struct NoSuchPart {
    step: String,
    path: String,
    there: String,
}

impl Part {
    /// Nothing, or `.key.0.key`; anything else is no path.
    pub(super) fn parse(text: &str) -> Option<Part> {
        if matches!(text, "" | ".") {
            return Some(Part::default());
        }
        let steps: Vec<_> = text.strip_prefix('.')?.split('.').map(str::to_owned).collect();
        let good = steps.iter().all(|step| !step.is_empty() && !step.contains(char::is_whitespace));
        good.then_some(Part(steps))
    }

    pub(super) fn of<'a>(&self, state: &'a Value) -> Result<&'a Value, NoSuchPart> {
        let mut part = state;
        for (depth, step) in self.0.iter().enumerate() {
            part = child(part, step).ok_or_else(|| NoSuchPart {
                step: step.clone(),
                path: format!(".{}", self.0[..depth].join(".")),
                there: described(part),
            })?;
        }
        Ok(part)
    }
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
            let names: Vec<_> = map.keys().take(NAMED_MAX).map(String::as_str).collect();
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

/// How an unfinished path may go on: after how many bytes of it, and the candidates.
pub(super) fn complete(path: &str, state: &Value) -> (usize, Vec<String>) {
    let Some((known, begun)) = path.rsplit_once('.') else { return (0, vec![".".into()]) };
    let place = Part::parse(known).and_then(|part| part.of(state).ok());
    let Some(Value::Object(map)) = place else { return (path.len(), Vec::new()) };
    let names = map.keys().filter(|name| name.starts_with(begun)).take(100).cloned();
    (known.len() + 1, names.collect())
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
    fn a_wrong_step_says_what_is_there() {
        let state = json!({"a": [1, 2], "b": {}});
        let error = |path| Part::parse(path).expect(path).of(&state).expect_err(path).to_string();
        assert_eq!(error(".c"), "there is no `c` in `.`, which has a, b");
        assert_eq!(error(".a.2"), "there is no `2` in `.a`, which is a list with the items 0 to 1");
        assert_eq!(error(".a.0.x"), "there is no `x` in `.a.0`, which is a number");
    }
}
