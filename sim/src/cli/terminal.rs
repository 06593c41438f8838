//! The terminal that the program writes to.

use std::io::{ErrorKind, IsTerminal, Write};

use super::exit::ExitCode;

/// Whether output may be in colour: only to a terminal, and not where `NO_COLOR` is set
/// (<https://no-color.org>).
pub(super) fn in_colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Writes a result to standard output. A reader that has seen enough (`| head`) is no error.
pub(super) fn show(text: &str, code: ExitCode) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => code,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => code,
        Err(error) => {
            eprintln!("error: failed to write to standard output: {error}");
            ExitCode::NotDone
        }
    }
}
