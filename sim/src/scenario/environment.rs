//! Environment variables in the values of a scenario file: `${NAME}` and `${NAME:-default}`.
//!
//! `$${` stands for a `${` that is meant as it stands. A variable that is not set and has no
//! default is an error, and so is any other form of `${`.
//!
//! The braces of a variable mean something else to YAML, in `{ mode: ${MODE} }`. Before YAML reads
//! a text, the characters of each variable are therefore exchanged for private ones ([`shielded`]),
//! one for one, and put back afterwards ([`unshielded`]).

use std::borrow::Cow;
use std::ffi::OsString;

use super::error::Problem;

/// Finds the value of a variable.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The beginning of a variable.
pub(super) const OPENING: &str = "${";

/// The escape of [`OPENING`] itself.
const ESCAPED: &str = "$${";

/// The text with the values of its variables.
///
/// # Errors
///
/// If a variable has neither a value nor a default, or a `${` begins nothing that is known.
pub(super) fn substituted(text: &str, lookup: Lookup<'_>) -> Result<String, Problem> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(OPENING) {
        if rest[..at].ends_with('$') {
            result.push_str(&rest[..at - 1]);
            result.push_str(OPENING);
            rest = &rest[at + OPENING.len()..];
            continue;
        }
        result.push_str(&rest[..at]);
        let inner = &rest[at + OPENING.len()..];
        let end = inner.find('}').ok_or_else(|| {
            Problem::new("`${` is not closed by a `}`").help(format!("{FORMS}; {LITERAL}"))
        })?;
        result.push_str(&value(&inner[..end], lookup)?);
        rest = &inner[end + 1..];
    }
    result.push_str(rest);
    Ok(result)
}

/// The first private character (Supplementary Private Use Area-A). The character that stands for an
/// ASCII one has its number above this.
const PRIVATE: u32 = 0xf_0000;

/// The text with private characters in place of those of each variable, `${` and `}` included.
pub(super) fn shielded(text: &str) -> Cow<'_, str> {
    if !text.contains(OPENING) || text.contains(is_private) {
        return Cow::Borrowed(text);
    }
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(OPENING) {
        let (before, variable) = rest.split_at(at);
        result.push_str(before);
        let length = variable.find('}').map_or(OPENING.len(), |end| end + 1);
        let ends_elsewhere = |c: char| !c.is_ascii() || matches!(c, '"' | '\'' | '\n' | '\r');
        if length == OPENING.len() || variable[..length].contains(ends_elsewhere) {
            result.push_str(OPENING);
            rest = &variable[OPENING.len()..];
            continue;
        }
        result
            .extend(variable[..length].chars().filter_map(|c| char::from_u32(PRIVATE + c as u32)));
        rest = &variable[length..];
    }
    result.push_str(rest);
    Cow::Owned(result)
}

/// The text that [`shielded`] was made from, or any part of it.
pub(super) fn unshielded(text: &str) -> Cow<'_, str> {
    if !text.contains(is_private) {
        return Cow::Borrowed(text);
    }
    let back = |c: char| if is_private(c) { (c as u32 - PRIVATE) as u8 as char } else { c };
    Cow::Owned(text.chars().map(back).collect())
}

fn is_private(c: char) -> bool {
    (PRIVATE..PRIVATE + 128).contains(&(c as u32))
}

/// A text whose `${` are read back as they stand.
pub(super) fn escaped(text: &str) -> String {
    text.replace(OPENING, ESCAPED)
}

const FORMS: &str = "write `${NAME}` or `${NAME:-default}`";
const LITERAL: &str = "`$${` stands for a `${` that is no variable";

/// The value of what stands between the braces.
fn value(inner: &str, lookup: Lookup<'_>) -> Result<String, Problem> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_good = !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(is_name);
    if name.is_empty() || !is_good || default.is_some_and(|default| default.contains(OPENING)) {
        let problem = Problem::new(format!("`${{{inner}}}` is not an environment variable"));
        return Err(problem.help(format!("{FORMS}; {LITERAL}")));
    }
    match (lookup(name).map(OsString::into_string), default) {
        (Some(Ok(value)), default) if !value.is_empty() || default.is_none() => Ok(value),
        (Some(Err(_)), _) => {
            Err(Problem::new(format!("the environment variable `{name}` is not UTF-8")))
        }
        (_, Some(default)) => Ok(default.to_owned()),
        (_, None) => Err(Problem::new(format!("the environment variable `{name}` is not set"))
            .help(format!("set it, or write `${{{name}:-default}}`; {LITERAL}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<OsString> {
        match name {
            "MODE" => Some("action".into()),
            "EMPTY" => Some("".into()),
            _ => None,
        }
    }

    #[test]
    fn variables_have_their_values_or_their_defaults() {
        for (text, expected) in [
            ("plain $ and $MODE and {x}", "plain $ and $MODE and {x}"),
            ("${MODE}", "action"),
            ("a ${MODE}, b ${NONE:-default: x}", "a action, b default: x"),
            ("${EMPTY}", ""),
            ("${EMPTY:-default}", "default"),
            ("${NONE:-}", ""),
            ("$${MODE}", "${MODE}"),
            ("$$${MODE} ${MODE}", "$${MODE} action"),
        ] {
            assert_eq!(substituted(text, &lookup).as_deref(), Ok(expected), "{text}");
            assert_eq!(substituted(&escaped(text), &lookup).as_deref(), Ok(text), "{text}");
        }
    }

    #[test]
    fn a_shield_hides_braces_and_keeps_columns() {
        for text in
            ["{ mode: ${MODE:-a, b}, x: $${Y} }", "${", "${A", "\"${A\"}", "${é}", "a\n${B\n}"]
        {
            let shield = shielded(text);
            assert_eq!(shield.chars().count(), text.chars().count(), "{text}");
            assert_eq!(unshielded(&shield), text);
        }
        assert!(!shielded("${MODE:-a, b}").contains(['{', ',', '}']));
    }

    #[test]
    fn what_is_no_variable_says_what_to_write() {
        for (text, says) in [
            ("${NONE}", "`NONE` is not set"),
            ("${NONE", "not closed"),
            ("${}", "`${}` is not an environment variable"),
            ("${MODE:?needed}", "`${NAME:-default}`"),
            ("${1X}", "is not an environment variable"),
            ("${A B}", "is not an environment variable"),
            ("${A:-${B}}", "is not an environment variable"),
        ] {
            let problem = substituted(text, &lookup).expect_err(text);
            let told = format!("{} ({})", problem.message, problem.help.unwrap_or_default());
            assert!(told.contains(says) && told.contains("$${"), "{text}: {told}");
        }
    }
}
