//! The replicated part of the service: the state, its actions, and the reducer that every process
//! runs.

use std::collections::BTreeMap;
use std::fmt;

use samestate::Reject;
use serde::{Deserialize, Serialize};

/// By this name all processes know the store.
pub const STORE: &str = "flags";

const NAME_BYTES_MAX: usize = 64;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Flags {
    pub flags: BTreeMap<String, Flag>,
    /// The number of heartbeats of each worker.
    pub beats: BTreeMap<usize, u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flag {
    pub on: bool,
    pub changed_by: String,
    pub changes: u64,
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Flag { on, changed_by, changes } = self;
        write!(f, "{}, by {changed_by}, changes: {changes}", word(*on))
    }
}

pub fn word(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Action {
    Create { name: String, on: bool, by: String },
    Set { name: String, on: bool, by: String },
    Beat { worker: usize },
}

/// Checks first and changes then: what is refused leaves the state as it was, everywhere.
pub fn reduce(state: &mut Flags, action: &Action) -> Result<(), Reject> {
    match action {
        Action::Create { name, on, by } => {
            check_name(name)?;
            if state.flags.contains_key(name) {
                return Err(format!("there is a flag `{name}` already").into());
            }
            let flag = Flag { on: *on, changed_by: by.clone(), changes: 0 };
            state.flags.insert(name.clone(), flag);
        }
        Action::Set { name, on, by } => {
            let Some(flag) = state.flags.get_mut(name) else {
                return Err(format!("there is no flag `{name}`: create it with --create").into());
            };
            if flag.on != *on {
                *flag = Flag { on: *on, changed_by: by.clone(), changes: flag.changes + 1 };
            }
        }
        Action::Beat { worker } => *state.beats.entry(*worker).or_default() += 1,
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), Reject> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(allowed) {
        return Err(format!(
            "`{name}` is no name for a flag: 1 to {NAME_BYTES_MAX} of a-z, 0-9 and `-`"
        )
        .into());
    }
    Ok(())
}
