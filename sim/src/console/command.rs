//! Parsing of a line.

use samestate::{Untyped, UntypedError};
use samestate_report::printable_line;
use serde_json::Value;
use thiserror::Error;

use super::part::Part;

/// The table of commands.
pub(super) const HELP: &str = "\
Commands:
  P                   print the state of the store
  P .path.to.part     print a part of it: keys, and numbers for the items of a list
  P .[\"any key\"].0    the same, for a key with a space, a dot or nothing in it
  {\"type\": ...}       any JSON value: dispatch it as an action, and print what came of it
  watch [on|off]      print each action as it is applied
  status              store, server, role, connection and version
  help, --help        print this table
  exit, quit, Ctrl-D  close the console; the store goes on
";

/// The candidates of [`complete`] for a first word.
const WORDS: [&str; 6] = ["P", "watch", "status", "help", "exit", "quit"];

/// A line, understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Command {
    /// An empty line.
    Nothing,
    Help,
    Print(Part),
    Dispatch(Value),
    Watch(bool),
    Status,
    Exit,
}

/// An error of a line that has no meaning.
#[derive(Debug, Error)]
pub(super) enum LineError {
    #[error("`{0}` is no command, and no JSON value to dispatch")]
    Unknown(String, #[source] serde_json::Error),
    #[error(transparent)]
    Number(UntypedError),
    #[error("`P` takes one path, as in `P .path.to.part` or `P .[\"any key\"]`, and not `{0}`")]
    Part(String),
    #[error("`watch` is on or off, and not `{0}`")]
    Watch(String),
    #[error("`{0}` takes nothing after it")]
    Trailing(String),
}

impl Command {
    pub(super) fn parse(line: &str) -> Result<Command, LineError> {
        let line = line.trim();
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let alone = |command| match rest {
            "" => Ok(command),
            _ => Err(LineError::Trailing(shortened(word))),
        };
        match word {
            "" => Ok(Command::Nothing),
            "P" | "p" => {
                Part::parse(rest).map(Command::Print).ok_or(LineError::Part(shortened(rest)))
            }
            "watch" => match rest {
                "" | "on" => Ok(Command::Watch(true)),
                "off" => Ok(Command::Watch(false)),
                other => Err(LineError::Watch(shortened(other))),
            },
            "status" => alone(Command::Status),
            "help" | "--help" | "-h" | "?" => alone(Command::Help),
            "exit" | "quit" => alone(Command::Exit),
            _ => match line.parse::<Untyped>() {
                Ok(Untyped(action)) => Ok(Command::Dispatch(action)),
                Err(UntypedError::Json(error)) => Err(LineError::Unknown(shortened(line), error)),
                Err(error) => Err(LineError::Number(error)),
            },
        }
    }
}

/// An excerpt for a message.
fn shortened(line: &str) -> String {
    const LENGTH_MAX: usize = 60;
    let line = printable_line(line);
    match line.char_indices().nth(LENGTH_MAX) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.into_owned(),
    }
}

/// Completes an unfinished line: returns the byte at which the completion begins, and the
/// candidates.
pub(super) fn complete(line: &str, state: &Value) -> (usize, Vec<String>) {
    let Some((word, rest)) = line.split_once(char::is_whitespace) else {
        let fits = |word: &&str| word.starts_with(line) && !line.is_empty();
        return (0, WORDS.into_iter().filter(fits).map(str::to_owned).collect());
    };
    match word {
        "P" | "p" => {
            let (known, names) = super::part::complete(rest.trim_start(), state);
            (line.len() - rest.trim_start().len() + known, names)
        }
        "watch" => {
            let fits = ["on", "off"].into_iter().filter(|word| word.starts_with(rest.trim_start()));
            (line.len() - rest.trim_start().len(), fits.map(str::to_owned).collect())
        }
        _ => (line.len(), Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use samestate_proto::with_causes;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_is_a_command_or_an_action() {
        let parsed = |line| Command::parse(line).expect(line);
        assert_eq!(parsed("  "), Command::Nothing);
        assert_eq!(parsed("--help"), Command::Help);
        assert_eq!(parsed("watch off"), Command::Watch(false));
        assert_eq!(parsed(" {\"Push\": \"a b\"} "), Command::Dispatch(json!({"Push": "a b"})));
        assert_eq!(parsed("\"Clear\""), Command::Dispatch(json!("Clear")));
        assert_eq!(parsed("-3"), Command::Dispatch(json!(-3)));
    }

    #[test]
    fn a_line_that_means_nothing_says_what_would() {
        for (line, words) in [
            ("push", "no command, and no JSON"),
            ("{\"a\": }", "no JSON value to dispatch: expected value"),
            ("P a", "P .path.to.part"),
            ("watch me", "on or off"),
            ("exit now", "takes nothing after it"),
        ] {
            let error = with_causes(&Command::parse(line).expect_err(line));
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn the_table_of_commands_is_aligned() {
        for line in HELP.lines().skip(1) {
            assert!(line.starts_with("  ") && &line[20..22] == "  ", "{line}");
        }
    }

    #[test]
    fn commands_and_parts_of_the_state_are_completed() {
        let state = json!({"names": ["a"], "next": {"id": 3}});
        assert_eq!(complete("st", &state), (0, vec!["status".to_owned()]));
        assert_eq!(complete("watch o", &state).1, ["on", "off"]);
        assert_eq!(complete("P .n", &state), (3, vec!["names".to_owned(), "next".to_owned()]));
        assert_eq!(complete("P .next.", &state), (8, vec!["id".to_owned()]));
        assert_eq!(complete("{\"a", &state).1, Vec::<String>::new());
    }
}
