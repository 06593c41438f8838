//! The terminal that the program writes to.

use std::io::{ErrorKind, IsTerminal, Write};

use samestate_report::terminal::Style;

use super::exit::ExitCode;

/// Whether output may be in colour: only to a terminal, and not where `NO_COLOR` is set
/// (<https://no-color.org>).
pub(super) fn in_colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// How results are laid out on standard output: in colour and as wide as the terminal, plain where
/// it is none.
pub(super) fn style() -> Style {
    let out = std::io::stdout();
    match in_colour(&out) {
        true => {
            let columns = rustix::termios::tcgetwinsize(&out).map_or(0, |size| size.ws_col);
            let width = if columns == 0 { Style::PLAIN.width } else { usize::from(columns) };
            Style { colour: true, width }
        }
        false => Style::PLAIN,
    }
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
