//! The lines of earlier sessions, in the user's state directory.

use std::ffi::OsString;
use std::path::PathBuf;

/// At most this many lines are kept.
pub(super) const LINES_MAX: usize = 1000;

/// Returns the path of the history, by the XDG base directory specification: under
/// `XDG_STATE_HOME`, or `~/.local/state`. `None` where the user has no home.
pub(super) fn path() -> Option<PathBuf> {
    path_by(|name| std::env::var_os(name))
}

fn path_by(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local").join("state")))?;
    Some(state.join("samestate").join("console_history"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_lies_in_the_users_state_directory() {
        let of = |state: &str, home: &str| {
            let variables = [("XDG_STATE_HOME", state.to_owned()), ("HOME", home.to_owned())];
            path_by(|name| {
                let found = variables.iter().find(|(known, _)| *known == name)?;
                (!found.1.is_empty()).then(|| OsString::from(&found.1))
            })
        };
        assert_eq!(of("/s", "/h"), Some("/s/samestate/console_history".into()));
        assert_eq!(of("", "/h"), Some("/h/.local/state/samestate/console_history".into()));
        assert_eq!(of("relative", ""), None);
    }
}
