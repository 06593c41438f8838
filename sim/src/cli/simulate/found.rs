//! A found violation: its scenario is shrunk, and written as a file of its own.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use samestate_proto::with_causes;

use super::Wanted;
use crate::cli::args::program;
use crate::results::ResultsFolder;
use crate::runner::Watching;
use crate::streams::note;
use crate::virtual_time::shrink::{Found, Progress, shrink_failure, write_found};
use crate::virtual_time::{Failure, Options, Why};

/// The file of what was shrunk, in the results' folder.
const FOUND: &str = "found.yaml";

/// Shrinks what failed, writes it into the folder, and says how to run it again.
pub(super) fn shrink_and_write(
    name: &str,
    failure: &Failure,
    folder: &mut ResultsFolder,
    wanted: &Wanted,
) {
    let Why::Violation(_, violation) = &failure.why else { return };
    if !wanted.shrinks || wanted.interrupted() {
        return;
    }
    let options = Options { interrupt: Some(wanted.interrupt.clone()), ..Options::default() };
    let bar = bar(wanted.output.quiet);
    let shrunk = shrink_failure(failure, &options, |progress| draw(bar.as_ref(), progress));
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let Some(shrunk) = shrunk else {
        note!("error: seed {} does not show it again, so it is not shrunk", failure.seed);
        return;
    };
    let found = Found {
        invariant: violation.invariant.to_string(),
        detail: violation.to_string(),
        origin: format!("seed {} of {name}", failure.seed),
        program: program(),
    };
    let path = folder.path().join(FOUND);
    let announced = folder.will_write([FOUND.into()]).map_err(|error| with_causes(&error));
    let written = announced
        .and_then(|()| write_found(&path, &shrunk, &found).map_err(|error| with_causes(&error)));
    if let Err(error) = written {
        note!("error: {error}");
        return;
    }
    note!("shrunk from {} to {} in {} tries", shrunk.before, shrunk.after, shrunk.tries);
    if !shrunk.is_certain {
        note!("it does not fail each time: a reducer may read a clock, or the order of a hash map");
    }
    note!("run it again: {} simulate {} --trace", program(), path.display());
}

fn bar(quiet: bool) -> Option<ProgressBar> {
    if Watching::on_stderr(quiet) != Watching::Bar {
        return None;
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
    // The template is a constant: it is right, or the default look is used.
    if let Ok(style) = ProgressStyle::with_template("shrinking: {wide_msg}") {
        bar.set_style(style);
    }
    Some(bar)
}

fn draw(bar: Option<&ProgressBar>, progress: &Progress) {
    if let Some(bar) = bar {
        bar.set_message(format!("{} tries, {} left", progress.tries, progress.smallest));
        bar.tick();
    }
}
