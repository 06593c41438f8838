//! Standard output and standard error, written to without a panic.
//!
//! `println!` and `note!` panic if their stream takes nothing: because its disk is full, or
//! because its reader is gone. A run would then lose its result over a line. All of the program
//! writes through this module, and the lints `print_stdout` and `print_stderr` refuse the macros
//! of the standard library elsewhere.

use std::fmt;
use std::io::{self, ErrorKind, Write};

use samestate_report::printable;

/// Writes a result to standard output. A reader that has seen enough (`| head`) is no error.
///
/// # Errors
///
/// Returns why standard output did not take it, such as a full disk.
pub(crate) fn result(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Writes a line to standard error. A stream that is full or closed loses the line, and nothing
/// else: the exit code and the record say the same. Control codes are not written: lines quote
/// files and other machines.
pub(crate) fn line(line: fmt::Arguments<'_>) {
    drawn(printable(&format!("{line}\n")).as_ref());
}

/// Writes to standard error what was drawn for a terminal, its colours included.
pub(crate) fn drawn(text: &str) {
    // One write, so that the lines of several processes do not mix.
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Writes a line to standard error, as `note!` does, and never panics.
macro_rules! note {
    ($($words:tt)*) => { $crate::streams::line(format_args!($($words)*)) };
}
pub(crate) use note;
