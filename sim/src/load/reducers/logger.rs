//! `logger`: the article's cluster-wide log (E1). Holds the latest record.

use rand::{Rng, RngExt};
use samestate::state::{Delta, Patching};
use serde::{Deserialize, Serialize};

use crate::load::reducer::{Params, Reducer, ReducerInfo, Reject};
use crate::load::text;

/// The latest record of a log.
pub struct Logger;

/// The latest record: none before the first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Delta)]
pub struct LoggerState {
    /// The article's `{type, text}`.
    pub latest: Option<LogRecord>,
}

/// A record of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Delta)]
pub struct LogRecord {
    /// The name of the action that made it, such as `WARN`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The text of the record.
    pub text: String,
}

/// The actions on the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum LoggerAction {
    /// Something happened.
    Log(String),
    /// Something odd happened.
    Warn(String),
    /// Something failed.
    Error(String),
    /// A request was served.
    Http(String),
    /// For developers.
    Debug(String),
}

impl Reducer for Logger {
    type State = LoggerState;
    type Action = LoggerAction;

    const INFO: ReducerInfo = ReducerInfo {
        name: "logger",
        about: "keeps the latest record of a cluster-wide log: a type and a text",
        sized: false,
        payload: true,
        poisonable: false,
    };

    fn reduce(state: &mut LoggerState, action: &LoggerAction) -> Result<(), Reject> {
        let (kind, text) = match action {
            LoggerAction::Log(text) => ("LOG", text),
            LoggerAction::Warn(text) => ("WARN", text),
            LoggerAction::Error(text) => ("ERROR", text),
            LoggerAction::Http(text) => ("HTTP", text),
            LoggerAction::Debug(text) => ("DEBUG", text),
        };
        state.latest = Some(LogRecord { kind: kind.to_owned(), text: text.clone() });
        Ok(())
    }

    fn patching() -> Option<Patching<Self::State>> {
        Some(Patching::new())
    }

    fn action(random: &mut dyn Rng, n: u64, params: &Params) -> LoggerAction {
        let text = text::numbered(random, n, params.payload_or(40));
        match random.random_range(0..5u8) {
            0 => LoggerAction::Log(text),
            1 => LoggerAction::Warn(text),
            2 => LoggerAction::Error(text),
            3 => LoggerAction::Http(text),
            _ => LoggerAction::Debug(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_as_in_the_article() {
        let mut state = LoggerState::default();
        let action = serde_json::from_str(r#"{"WARN":"disk"}"#).expect("an action");
        Logger::reduce(&mut state, &action).expect("never rejects");
        let json = serde_json::to_string(&state).expect("plain data");
        assert_eq!(json, r#"{"latest":{"type":"WARN","text":"disk"}}"#);
    }
}
