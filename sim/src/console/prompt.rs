//! Lines from a terminal: a prompt, a history, completion, and lines that appear above the prompt.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::thread::JoinHandle;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, ExternalPrinter, Helper};
use samestate::UntypedStore;
use samestate_report::printable_line;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::command::{HELP, complete};
use super::history;
use super::screen::Screen;
use super::session::{Outcome, Session};
use crate::streams::{self, note};

const PROMPT: &str = "CLI> ";

/// The editor of lines.
pub(crate) struct Prompt {
    editor: Editor<Completion, FileHistory>,
}

impl Prompt {
    /// The editor, and where others may write while a line is being edited.
    pub(crate) fn new() -> io::Result<(Prompt, Screen, JoinHandle<()>)> {
        let config = Config::builder()
            .max_history_size(history::LINES_MAX)
            .map_err(io::Error::other)?
            .history_ignore_space(true)
            .completion_type(CompletionType::List)
            .auto_add_history(true)
            .build();
        let mut editor = Editor::with_config(config).map_err(io::Error::other)?;
        let (screen, thread) = match editor.create_external_printer() {
            // A terminal that is gone ends the prompt, too.
            Ok(mut printer) => Screen::begin(move |line| _ = printer.print(line))?,
            // A terminal without cursor movements.
            Err(_) => Screen::plain()?,
        };
        Ok((Prompt { editor }, screen, thread))
    }

    /// Obeys each line until the user has enough.
    pub(crate) fn converse(mut self, mut session: Session, runtime: &Runtime) -> io::Result<()> {
        self.editor.set_helper(Some(Completion { store: session.store().clone() }));
        let kept = history::path();
        if let Some(path) = &kept {
            // The first session has none.
            let _ = self.editor.load_history(path);
        }
        let name = printable_line(session.store().name()).into_owned();
        say(&format!("attached to store `{name}`; `help` lists the commands"))?;
        let link = runtime.spawn(tell_of_link(session.store().clone(), session.screen().clone()));
        let mut interrupted = false;
        let ended = loop {
            let line = match self.editor.readline(PROMPT) {
                Ok(line) => line,
                Err(ReadlineError::Interrupted) if !interrupted => {
                    interrupted = true;
                    match say("Ctrl-C again, or Ctrl-D, closes the console") {
                        Ok(()) => continue,
                        Err(error) => break Err(error),
                    }
                }
                Err(ReadlineError::Interrupted | ReadlineError::Eof) => break Ok(()),
                Err(error) => break Err(io::Error::other(error)),
            };
            interrupted = false;
            let said = match runtime.block_on(unless_interrupted(session.obey(&line))) {
                Outcome::Silent => Ok(()),
                Outcome::Text(text) => say(&text),
                Outcome::Failed(why) => say(&format!("error: {why}")),
                Outcome::Unknown(why) => say(&format!("error: {why}\n{HELP}")),
                Outcome::Exit => break Ok(()),
            };
            if let Err(error) = said {
                break Err(error);
            }
        };
        link.abort();
        if let Some(path) = &kept
            && let Err(error) = self.keep(path)
        {
            note!("the history is not kept in {}: {error}", path.display());
        }
        runtime.block_on(session.end());
        if ended.is_ok() {
            say("The console is closed; the store goes on.")?;
        }
        ended
    }

    /// Only its user may read it: actions may hold secrets.
    fn keep(&mut self, path: &std::path::Path) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        self.editor.append_history(path).map_err(io::Error::other)
    }
}

/// Writes a line below the prompt.
fn say(text: &str) -> io::Result<()> {
    streams::result(&format!("{}\n", text.trim_end_matches('\n')))
}

/// Says above the prompt that the server is back; that it went is among what the store reports.
async fn tell_of_link(store: UntypedStore, screen: Screen) {
    loop {
        store.until_connected(false).await;
        screen.say("not connected: dispatches are refused until the server is back".into());
        store.until_connected(true).await;
        screen.say(format!("connected again, at {}", store.version()));
    }
}

/// Ctrl-C ends the wait for a command, and not the console.
async fn unless_interrupted(command: impl Future<Output = Outcome>) -> Outcome {
    tokio::select! {
        outcome = command => outcome,
        Ok(()) = tokio::signal::ctrl_c() => {
            Outcome::Failed("interrupted: what became of it is not known here".into())
        }
    }
}

struct Completion {
    store: UntypedStore,
}

impl Completer for Completion {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let newest = self.store.newest();
        let state = newest.as_ref().map_or(&Value::Null, |(_, state)| &state.0);
        Ok(complete(line.get(..at).unwrap_or(line), state))
    }
}

impl Hinter for Completion {
    type Hint = String;
}

impl Highlighter for Completion {}
impl Validator for Completion {}
impl Helper for Completion {}
