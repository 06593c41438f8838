//! Lines from elsewhere than a terminal: no prompt, no colours, each outcome on a line.

use std::io::{self, BufRead, ErrorKind, Write};

use tokio::runtime::Runtime;

use super::command::HELP;
use super::session::{Outcome, Session};
use crate::streams::note;

/// Obeys each line of standard input. Whether all went well.
pub(crate) fn play(mut session: Session, runtime: &Runtime) -> io::Result<bool> {
    let mut all_well = true;
    for (number, line) in io::stdin().lock().lines().enumerate() {
        let outcome = match line {
            // Editors of some systems put a mark before a text.
            Ok(line) if number == 0 => {
                runtime.block_on(session.obey(line.trim_start_matches('\u{feff}')))
            }
            Ok(line) => runtime.block_on(session.obey(&line)),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                Outcome::Failed("a line is no text in UTF-8".into())
            }
            Err(error) => return Err(error),
        };
        match outcome {
            Outcome::Silent => {}
            Outcome::Text(text) => match writeln!(io::stdout(), "{text}") {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
                written => written?,
            },
            Outcome::Failed(why) => {
                all_well = false;
                note!("error: {why}");
            }
            Outcome::Unknown(why) => {
                all_well = false;
                note!("error: {why}\n{}", HELP.trim_end());
            }
            Outcome::Exit => break,
        }
    }
    runtime.block_on(session.end());
    Ok(all_well)
}
