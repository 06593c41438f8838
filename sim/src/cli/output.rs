//! The results of a run: its folder, and the record at the path that was asked for.

use std::fs;
use std::path::{Path, PathBuf};

use samestate_proto::with_causes;
use samestate_report::{Record, Verdict, html, terminal, write_whole};

use super::args::OutputArgs;
use super::exit::ExitCode;
use super::github;
use super::terminal::{show, style};
use crate::results::{FolderError, ResultsFolder};
use crate::scenario::{Scenario, ScenarioFile};
use crate::streams::note;

/// The folder that runs go to if none is named.
pub(super) const RUNS: &str = "runs";

/// The record's file in a run's folder.
pub(super) const RECORD: &str = "record.json";

/// The page of the run, there.
pub(super) const PAGE: &str = "report.html";

/// The file of the scenario as it was resolved, there.
const RESOLVED: &str = "scenario.yaml";

impl OutputArgs {
    /// Checks that the results of these scenarios have a place each.
    pub(super) fn check(&self, files: &[ScenarioFile]) -> Result<(), String> {
        self.check_names(&files.iter().map(|file| &*file.name).collect::<Vec<_>>())
    }

    fn check_names(&self, names: &[&str]) -> Result<(), String> {
        if let Some(path) = self.json.as_ref().filter(|_| names.len() > 1 && !self.json_to_stdout())
        {
            return Err(format!(
                "--json {} would hold the last of {} records alone: use `--json -`, or read each \
                 run's record.json",
                path.display(),
                names.len()
            ));
        }
        let parent = self.json.as_ref().filter(|_| !self.json_to_stdout());
        let parent = parent.and_then(|path| path.ancestors().skip(1).find(|path| path.exists()));
        if let Some(parent) = parent.filter(|parent| !parent.is_dir()) {
            return Err(format!("--json: {} is a file, and not a folder", parent.display()));
        }
        let mut sorted = names.to_vec();
        sorted.sort_unstable();
        match (&self.out, sorted.windows(2).find(|pair| pair[0] == pair[1])) {
            (Some(folder), Some(pair)) => Err(format!(
                "two scenarios are named `{0}`, and both results would go to {1}: run them one \
                 after the other with an --out each, or leave --out away",
                pair[0],
                folder.join(pair[0]).display()
            )),
            _ => Ok(()),
        }
    }

    /// Returns whether the record is all that goes to standard output.
    pub(super) fn json_to_stdout(&self) -> bool {
        self.json.as_ref().is_some_and(|path| path.as_os_str() == "-")
    }

    /// Claims the folder for a run's results: the one asked for, with one inside it for each
    /// scenario of several, or a new `runs/<scenario>/<time>`. `utc` is when the run begins,
    /// `more` what it writes there besides the record and the scenario.
    pub(super) fn folder(
        &self,
        scenario: &str,
        one_of_several: bool,
        utc: &str,
        more: impl IntoIterator<Item = PathBuf>,
    ) -> Result<ResultsFolder, FolderError> {
        let mut folder = match &self.out {
            Some(wanted) if one_of_several => self.named(&wanted.join(scenario))?,
            Some(wanted) => self.named(wanted)?,
            None => {
                // No colons: a folder's name should go anywhere, Windows and URLs included.
                let time: String = utc.chars().filter(|c| !matches!(c, '-' | ':')).collect();
                ResultsFolder::fresh(&Path::new(RUNS).join(scenario).join(time))?
            }
        };
        folder.will_write([RECORD.into(), PAGE.into(), RESOLVED.into()].into_iter().chain(more))?;
        Ok(folder)
    }

    fn named(&self, wanted: &Path) -> Result<ResultsFolder, FolderError> {
        let folder = ResultsFolder::named(wanted)?;
        if folder.path() != wanted && !self.quiet {
            let (wanted, used) = (wanted.display(), folder.path().display());
            note!("note: another run is using {wanted}: the results go to {used}");
        }
        Ok(folder)
    }

    /// Writes the record to where it was asked for, and shows it. What cannot be written takes
    /// nothing away from the rest.
    pub(super) fn hand_out(
        &self,
        record: &Record,
        scenario: Option<&Scenario>,
        folder: &ResultsFolder,
    ) -> ExitCode {
        let kept = folder.path().join(RECORD);
        let page = folder.path().join(PAGE);
        let mut complaints = Vec::new();
        complaints.extend(record.write(&kept).err().map(|error| with_causes(&error)));
        let drawn = html::page(std::slice::from_ref(record));
        complaints
            .extend(write_whole(&page, drawn.as_bytes()).err().map(|error| with_causes(&error)));
        let resolved = folder.path().join(RESOLVED);
        complaints.extend(scenario.and_then(|scenario| write_scenario(scenario, &resolved).err()));
        if let Some(path) = self.json.as_ref().filter(|_| !self.json_to_stdout()) {
            complaints.extend(record.write(path).err().map(|error| with_causes(&error)));
        }
        for complaint in &complaints {
            note!("error: {complaint}");
        }
        let code = if complaints.is_empty() { ExitCode::Pass } else { ExitCode::NotDone };
        self.complain_of(record);
        github::announce(record);
        let shown = if self.json_to_stdout() {
            show(&record.to_json(), code)
        } else if self.quiet || self.stdout_taken {
            code
        } else {
            let summary = terminal::summary(record, &style(&std::io::stdout()));
            let place = |what: &str, path: &Path| {
                if path.is_file() {
                    format!("  {what} in {}\n", path.display())
                } else {
                    format!("  the {what} could not be kept\n")
                }
            };
            show(&(summary + &place("record", &kept) + &place("report", &page)), code)
        };
        ExitCode::worst([code, shown])
    }

    /// With `--quiet`: says on standard error why the run did not pass, and nothing else.
    fn complain_of(&self, record: &Record) {
        for line in findings(record).iter().filter(|_| self.quiet) {
            note!("{line}");
        }
    }
}

/// Writes a scenario into a file.
pub(super) fn write_scenario(scenario: &Scenario, path: &Path) -> Result<(), String> {
    let yaml = scenario.without_passwords().to_yaml().map_err(|error| error.to_string());
    yaml.and_then(|yaml| fs::write(path, yaml).map_err(|error| error.to_string()))
        .map_err(|error| format!("failed to write {}: {error}", path.display()))
}

/// Lists the reasons why a run did not pass, a line each: expectations, violations, and any other
/// reason.
fn findings(record: &Record) -> Vec<String> {
    let mut lines = Vec::new();
    for case in record.cases.iter().filter(|case| case.verdict != Verdict::Pass) {
        let name = match case.name() {
            with if with.is_empty() => record.scenario.clone(),
            with => format!("{} with {with}", record.scenario),
        };
        for one in case.failed_expectations() {
            lines.push(format!("failed: {name}: {}", one.in_a_line()));
        }
        for one in case.unwanted_violations() {
            let samestate_report::Violation { invariant, at, .. } = one;
            lines.push(format!(
                "failed: {name}: {invariant} violated at {at}: {}",
                one.detail_text()
            ));
        }
        for one in case.unmeasured_expectations() {
            lines.push(format!("inconclusive: {name}: {}", one.in_a_line()));
        }
        let word = match case.verdict {
            Verdict::Fail => "failed",
            Verdict::Pass | Verdict::Inconclusive => "inconclusive",
            Verdict::Interrupted => "interrupted",
        };
        lines.extend(case.because.iter().map(|why| format!("{word}: {name}: {why}")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use samestate_report::{Case, Kind};

    use super::*;

    fn output(out: Option<PathBuf>, json: Option<&str>) -> OutputArgs {
        let json = json.map(PathBuf::from);
        OutputArgs { out, json, stdout_taken: false, quiet: true }
    }

    #[test]
    fn several_records_do_not_go_into_one_file() {
        assert!(output(None, Some("all.json")).check_names(&["a", "b"]).is_err());
        assert_eq!(output(None, Some("one.json")).check_names(&["a"]), Ok(()));
        assert_eq!(output(None, Some("-")).check_names(&["a", "b"]), Ok(()));
    }

    #[test]
    fn results_of_one_name_do_not_go_into_one_folder() {
        let names = ["tasks", "log", "tasks"];
        let error = output(Some("results".into()), None).check_names(&names).expect_err("twice");
        assert!(error.contains("`tasks`") && error.contains("results/tasks"), "{error}");
        assert_eq!(output(None, None).check_names(&names), Ok(()), "each run has a folder then");
    }

    #[test]
    fn a_quiet_run_has_a_line_for_each_failure_and_none_for_success() {
        let expectation =
            |held| samestate_report::Expectation::in_words("connected", "true", "false", held);
        let case = |expectations| Case { expectations, ..Case::default() };
        let good = Record::new("tasks", 1, Kind::Virtual, vec![case(vec![expectation(true)])]);
        assert_eq!(findings(&good), Vec::<String>::new());
        let bad = case(vec![expectation(true), expectation(false)]);
        let bad = Case { verdict: Verdict::Fail, ..bad };
        let bad = Record::new("tasks", 1, Kind::Virtual, vec![bad]);
        assert_eq!(findings(&bad), ["failed: tasks: connected: expected true, measured false"]);
        let metric = "latency_us.local.p99";
        let unmeasured = samestate_report::Expectation::of_metric;
        let unmeasured = unmeasured(&Case::default(), None, metric, None, Some(1.0));
        let unsure = case(unmeasured.into_iter().collect());
        let unsure = Case { verdict: Verdict::Inconclusive, ..unsure };
        let unsure = Record::new("tasks", 1, Kind::Virtual, vec![unsure]);
        let told = findings(&unsure);
        assert!(told[0].starts_with("inconclusive: tasks: latency_us.local.p99: "), "{told:?}");
    }
}
