//! The terminal that the program writes to.

use std::io::IsTerminal;
use std::os::fd::AsFd;

use samestate_report::terminal::Style;

use super::exit::ExitCode;
use crate::streams::{self, note};

/// Returns whether output may be in colour: only to a terminal, and not if `NO_COLOR` is set
/// (<https://no-color.org>).
pub(super) fn in_colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Returns the style of a summary on `stream`.
pub(super) fn style(stream: &(impl IsTerminal + AsFd)) -> Style {
    let window = rustix::termios::tcgetwinsize(stream).ok();
    let width = window.map_or(0, |window| usize::from(window.ws_col));
    Style { colour: in_colour(stream), width: if width > 0 { width } else { Style::PLAIN.width } }
}

/// Writes a result to standard output. A reader that has seen enough (`| head`) is no error.
pub(super) fn show(text: &str, code: ExitCode) -> ExitCode {
    match streams::result(text) {
        Ok(()) => code,
        Err(error) => {
            note!("error: failed to write to standard output: {error}");
            ExitCode::NotDone
        }
    }
}
