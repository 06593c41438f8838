//! The ways to watch a run that goes on.

use std::path::{Path, PathBuf};

use clap::Args;
use samestate_report::Record;
use samestate_report::live::{Event, LIVE, Line, RunEnd};

use super::args::OutputArgs;
use super::exit::ExitCode;
use super::output::{PAGE, RECORD};
use crate::live::{Feed, Feeds, Ndjson};

/// Outlets of a run that goes on.
#[derive(Args, Clone, Debug)]
pub(super) struct WatchArgs {
    /// Write what happens, and all measures twice a second, as JSON, a line each: to a file, or
    /// to standard output with `-`, where the summary is left out then
    #[arg(long, value_name = "PATH|-")]
    ndjson: Option<PathBuf>,
}

impl WatchArgs {
    /// Checks that no two results share standard output.
    pub(super) fn check(&self, output: &mut OutputArgs) -> Result<(), String> {
        output.stdout_taken = self.ndjson.as_deref() == Some(Path::new("-"));
        if output.stdout_taken && output.json_to_stdout() {
            return Err("--ndjson - and --json - would mix on standard output: write one of them \
                        to a file"
                .to_owned());
        }
        Ok(())
    }

    /// Begins the outlets that were asked for.
    pub(super) fn begin(&self) -> Result<Feeds, String> {
        let mut feeds = Feeds::default();
        if let Some(path) = &self.ndjson {
            let failed = |error| format!("--ndjson: failed to write {}: {error}", path.display());
            let outlet = Ndjson::open(path).map_err(failed)?;
            feeds.add("--ndjson", outlet).map_err(failed)?;
        }
        Ok(feeds)
    }
}

/// Tells the end of a run, whose results are in `folder`.
pub(super) fn tell_end(feed: &Feed, record: &Record, folder: &Path, code: ExitCode) {
    let path = |name: &str| {
        let path = folder.join(name);
        path.is_file().then(|| path.display().to_string())
    };
    let event = Event::End(RunEnd {
        verdict: record.verdict,
        exit_code: code as u8,
        wall_seconds: record.wall_seconds,
        record: path(RECORD),
        report: path(PAGE),
    });
    let (scenario, case) = (record.scenario.clone(), record.cases.len());
    feed.tell(Line { version: LIVE, scenario, case, at_seconds: None, event });
}
