//! A change as a line: a record of a log in the colour of its type, anything else as JSON.

use std::sync::Arc;

use samestate::Untyped;
use samestate::{Change, Jump, Version};
use samestate_report::{printable_json, printable_line};
use serde_json::Value;

/// A state that is told of in place of the actions is shown if its JSON is no longer than this.
const STATE_BYTES_MAX: usize = 400;

/// The look of changes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    pub(super) colours: bool,
}

impl Paint {
    /// A change as a line. `newest` is the newest state and its version, for where the server
    /// sends states instead of actions.
    pub(super) fn change(
        self,
        change: &Change<Arc<Untyped>>,
        newest: impl FnOnce() -> Option<(Version, Arc<Untyped>)>,
    ) -> String {
        match change {
            Change::Applied { version, action } => {
                format!("{} {}", self.faint(&version.to_string()), self.value(&action.0))
            }
            Change::Jumped { why: Jump::HistoryLost, from, to } => {
                format!("{from} -> {to}: the server lost its newest actions; they are undone")
            }
            Change::Jumped { from, to, .. } => {
                let state = newest().filter(|(version, _)| version.seq >= to.seq);
                let shown = state.map(|(version, state)| (version, self.value(&state.0)));
                match shown {
                    Some((at, text)) if text.len() <= STATE_BYTES_MAX => {
                        format!("{} the state is now {text}", self.faint(&at.to_string()))
                    }
                    _ => format!("{from} -> {to}: the state came as a whole; `P` prints it"),
                }
            }
        }
    }

    /// A value on one line: `{type, text}` as a log shows it.
    fn value(self, value: &Value) -> String {
        let text = |key| value.get(key).and_then(Value::as_str);
        match (value, text("type"), text("text")) {
            (Value::Object(map), Some(kind), Some(text)) if map.len() == 2 => {
                let (kind, text) = (printable_line(kind), printable_line(text));
                match colour_of(&kind).filter(|_| self.colours) {
                    Some(colour) => format!("\x1b[{colour}m{kind:<5}\x1b[0m {text}"),
                    None => format!("{kind:<5} {text}"),
                }
            }
            _ => printable_json(&value.to_string()).into_owned(),
        }
    }

    fn faint(self, text: &str) -> String {
        if self.colours { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The colours of the types of records.
fn colour_of(kind: &str) -> Option<u8> {
    Some(match kind {
        "LOG" => 32,
        "WARN" => 33,
        "ERROR" => 31,
        "HTTP" => 36,
        "DEBUG" => 90,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use samestate_proto::Epoch;
    use serde_json::json;

    use super::*;

    fn at(seq: u64) -> Version {
        Version { epoch: Epoch { number: 1, id: 7 }, seq }
    }

    fn applied(action: Value) -> Change<Arc<Untyped>> {
        Change::Applied { version: at(3), action: Arc::new(Untyped(action)) }
    }

    #[test]
    fn a_record_is_shown_as_a_log_does_and_anything_else_as_json() {
        let plain = Paint { colours: false };
        let record = json!({"type": "WARN", "text": "disk"});
        assert_eq!(plain.change(&applied(record.clone()), || None), "e1:3 WARN  disk");
        let action = json!({"type": "WARN", "text": "disk", "at": 1});
        let line = plain.change(&applied(action.clone()), || None);
        assert_eq!(line, format!("e1:3 {action}"));
        let coloured = Paint { colours: true }.change(&applied(record), || None);
        assert_eq!(coloured, "\x1b[2me1:3\x1b[0m \x1b[33mWARN \x1b[0m disk");
    }

    #[test]
    fn a_record_steers_no_terminal() {
        let record = json!({"type": "LOG", "text": "a\x1b[2Jb\nc"});
        let line = Paint { colours: false }.change(&applied(record), || None);
        assert_eq!(line, "e1:3 LOG   a␛[2Jb␊c");
        let action = json!({"text": "\u{9b}2J\u{202e}"});
        let line = Paint { colours: false }.change(&applied(action), || None);
        assert_eq!(line, r#"e1:3 {"text":"\u009b2J\u202e"}"#);
    }

    #[test]
    fn where_states_come_in_place_of_actions_a_small_one_is_shown() {
        let plain = Paint { colours: false };
        let jump = Change::Jumped { why: Jump::Jumped, from: at(3), to: at(5) };
        let small = (at(5), Arc::new(Untyped(json!({"type": "LOG", "text": "x"}))));
        assert_eq!(plain.change(&jump, || Some(small)), "e1:5 the state is now LOG   x");
        let big = (at(5), Arc::new(Untyped(json!("x".repeat(STATE_BYTES_MAX)))));
        let line = plain.change(&jump, || Some(big));
        assert_eq!(line, "e1:3 -> e1:5: the state came as a whole; `P` prints it");
    }
}
