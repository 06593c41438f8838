//! What a run leaves: its folder, and the record where it was asked for.

use std::fs;
use std::path::{Path, PathBuf};

use samestate_report::{Expectation, Outcome, Record, Verdict};

use super::args::OutputArgs;
use crate::scenario::{Scenario, ScenarioFile};

/// The folder that runs go to if none is named.
const RUNS: &str = "runs";

/// How many runs of one scenario may begin in one second.
const SAME_SECOND_MAX: u32 = 1_000;

impl OutputArgs {
    /// Whether the results of these scenarios have a place each; if not, why.
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

    /// Whether the record is to be all that standard output gets.
    pub(super) fn json_to_stdout(&self) -> bool {
        self.json.as_ref().is_some_and(|path| path.as_os_str() == "-")
    }

    /// Where a run's results go: the folder asked for, with one inside it for each scenario of
    /// several, or `runs/<scenario>/<time>`. Makes sure that it can be made, and leaves nothing
    /// there yet.
    pub(super) fn folder(
        &self,
        scenario: &str,
        one_of_several: bool,
        utc: &str,
    ) -> Result<PathBuf, String> {
        let folder = match (&self.out, one_of_several) {
            (Some(folder), false) => folder.clone(),
            (Some(folder), true) => folder.join(scenario),
            (None, _) => {
                // No colons: a folder's name should go anywhere, Windows and URLs included.
                let parent = Path::new(RUNS).join(scenario);
                let name: String = utc.chars().filter(|c| !matches!(c, '-' | ':')).collect();
                let names = (2..SAME_SECOND_MAX).map(|count| format!("{name}-{count}"));
                let mut folders = [name.clone()].into_iter().chain(names).map(|n| parent.join(n));
                folders.find(|folder| !folder.exists()).unwrap_or_else(|| parent.join(&name))
            }
        };
        can_be_made(&folder)
            .map_err(|error| format!("failed to make the folder {}: {error}", folder.display()))?;
        Ok(folder)
    }

    /// With `--quiet`: says on standard error what failed, and nothing else.
    pub(super) fn complain_of(&self, record: &Record) {
        for line in failures(record).iter().filter(|_| self.quiet) {
            eprintln!("failed: {line}");
        }
    }

    /// Writes `record.json` and `scenario.yaml` into the folder, and the record where `--json`
    /// says.
    pub(super) fn write(
        &self,
        record: &Record,
        scenario: &Scenario,
        folder: &Path,
    ) -> Result<(), String> {
        record.write(folder.join("record.json")).map_err(|error| error.to_string())?;
        let resolved = folder.join("scenario.yaml");
        let yaml = scenario.to_yaml().map_err(|error| error.to_string());
        yaml.and_then(|yaml| fs::write(&resolved, yaml).map_err(|error| error.to_string()))
            .map_err(|error| format!("failed to write {}: {error}", resolved.display()))?;
        match &self.json {
            Some(path) if !self.json_to_stdout() => {
                record.write(path).map_err(|error| error.to_string())
            }
            _ => Ok(()),
        }
    }
}

/// What failed, a line each: expectations, violations, and whatever else stands in the way of a
/// pass.
fn failures(record: &Record) -> Vec<String> {
    let mut lines = Vec::new();
    for case in record.cases.iter().filter(|case| case.verdict != Verdict::Pass) {
        let with: Vec<_> =
            case.with.iter().map(|(path, value)| format!("{path}={value}")).collect();
        let name = match with.is_empty() {
            true => record.scenario.clone(),
            false => format!("{} with {}", record.scenario, with.join(" ")),
        };
        let failed = case.expectations.iter().filter(|held| held.outcome == Outcome::Failed);
        lines.extend(failed.map(|failed| {
            let Expectation { what, expected, measured, .. } = failed;
            format!("{name}: {what}: expected {expected}, measured {measured}")
        }));
        lines.extend(case.violations.iter().map(|violation| {
            let samestate_report::Violation { invariant, at, detail, .. } = violation;
            format!("{name}: {invariant} violated at {at}: {detail}")
        }));
        lines.extend(case.because.iter().map(|why| format!("{name}: {why}")));
    }
    lines
}

/// Makes a folder and takes away again what was not there before: a run of hours should not fail
/// at its end over a path, nor one that is killed leave an empty folder.
fn can_be_made(folder: &Path) -> std::io::Result<()> {
    let new: Vec<&Path> = folder
        .ancestors()
        .take_while(|path| !path.as_os_str().is_empty() && !path.exists())
        .collect();
    fs::create_dir_all(folder)?;
    let probe = folder.join(format!(".samestate-{}", std::process::id()));
    fs::write(&probe, "")?;
    fs::remove_file(&probe)?;
    for made in new {
        // Not empty any more: somebody else uses it by now.
        let _ = fs::remove_dir(made);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use samestate_report::{Case, Kind};

    use super::*;

    fn output(out: Option<PathBuf>, json: Option<&str>) -> OutputArgs {
        OutputArgs { out, json: json.map(PathBuf::from), quiet: true }
    }

    #[test]
    fn a_folder_is_tried_before_the_run_and_is_not_there_until_its_end() {
        let temp = tempfile::tempdir().expect("a temporary folder");
        let wanted = temp.path().join("a/b");
        let output = output(Some(wanted.clone()), None);
        assert_eq!(output.folder("tasks", false, "").as_ref(), Ok(&wanted));
        assert_eq!(output.folder("tasks", true, ""), Ok(wanted.join("tasks")));
        assert!(!temp.path().join("a").exists());
        fs::write(temp.path().join("a"), "in the way").expect("writable");
        let error = output.folder("tasks", false, "").expect_err("a file is no folder");
        assert!(error.contains("a/b"), "{error}");
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
        let expectation = |held| Expectation::in_words("connected", "true", "false", held);
        let case = |expectations| Case { expectations, ..Case::default() };
        let good = Record::new("tasks", 1, Kind::Virtual, vec![case(vec![expectation(true)])]);
        assert_eq!(failures(&good), Vec::<String>::new());
        let bad = case(vec![expectation(true), expectation(false)]);
        let bad = Case { verdict: Verdict::Fail, ..bad };
        let bad = Record::new("tasks", 1, Kind::Virtual, vec![bad]);
        assert_eq!(failures(&bad), ["tasks: connected: expected true, measured false"]);
    }
}
