//! `--trace-perfetto`: a trace of a case for profiler viewers, in a file.

use std::path::{Path, PathBuf};

use clap::Args;
use samestate_proto::with_causes;
use samestate_report::perfetto::Timeline;
use samestate_report::{Record, write_whole};
use serde_json::json;

use crate::scenario::ScenarioFile;
use crate::streams::note;

/// The place of a trace.
#[derive(Args, Clone, Debug)]
pub(super) struct ProfileArgs {
    /// Write processes, dispatches, links and faults as a trace to open at ui.perfetto.dev
    #[arg(long, value_name = "PATH")]
    pub(super) trace_perfetto: Option<PathBuf>,
}

impl ProfileArgs {
    /// Checks that a trace is of one case, and has a place.
    pub(super) fn check(&self, files: &[ScenarioFile]) -> Result<(), String> {
        let Some(path) = &self.trace_perfetto else { return Ok(()) };
        let cases: usize =
            files.iter().map(|file| file.cases.len() * file.repeats() as usize).sum();
        if cases > 1 {
            return Err(format!(
                "--trace-perfetto is of one case, and this runs {cases}: choose one file, set the \
                 axes of its `matrix` with --set, and add `--repeat 1`"
            ));
        }
        if path.is_dir() {
            return Err(format!("--trace-perfetto: {} is a folder: name a file", path.display()));
        }
        Ok(())
    }

    /// Writes the trace, if one is wanted. Returns whether all went well.
    pub(super) fn write(&self, drawn: Option<&Timeline>, record: &Record) -> bool {
        let Some(path) = &self.trace_perfetto else { return true };
        let Some(drawn) = drawn else {
            note!("error: there is no trace: the case was not done");
            return false;
        };
        if let Err(complaint) = write(path, drawn, record) {
            note!("error: {complaint}");
            return false;
        }
        if drawn.left_out() > 0 {
            note!("note: the trace is full: its last {} events were left out", drawn.left_out());
        }
        note!("trace in {}: open it at https://ui.perfetto.dev", path.display());
        true
    }
}

fn write(path: &Path, drawn: &Timeline, record: &Record) -> Result<(), String> {
    let json = drawn.to_json(vec![
        ("scenario", json!(record.scenario)),
        ("seed", json!(record.seed)),
        ("kind", json!(record.kind)),
        ("verdict", json!(record.verdict)),
        ("samestate", json!(record.machine.samestate)),
    ]);
    write_whole(path, json.as_bytes()).map_err(|error| with_causes(&error))
}
