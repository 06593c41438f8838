//! The console in a running store (article, E2): what `samestate attach` does once it knows where.
//!
//! It is a client like another, but for the types and the reducer, of which it has none: see
//! [`samestate::UntypedStore`]. Lines are commands or JSON actions; on a terminal with a prompt,
//! a history and completion, elsewhere as a script writes and reads them.
//!
//! - `command`: the parsing of a line, and the table of commands
//! - `session`: does it
//! - `part`: `.path.to.part` of a state
//! - `paint`: a change as a line
//! - `screen`: output of lines that no command waits for
//! - `prompt`, `script`: the two ways to get lines
//! - `history`: the lines of earlier sessions
//! - `password`: asked for without an echo

mod command;
mod history;
mod paint;
mod part;
mod password;
mod prompt;
mod screen;
mod script;
mod session;

pub(crate) use password::Password;
pub(crate) use prompt::Prompt;
pub(crate) use screen::Screen;
pub(crate) use script::play;
pub(crate) use session::Session;
