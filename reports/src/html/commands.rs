//! The commands that made a run, and those to look closer, each to copy.

use maud::{Markup, html};

use crate::record::{Case, Kind, Record, plain};

/// A command with the reason to run it.
pub(super) fn command(why: &str, command: &str) -> Markup {
    html! {
        div.command {
            span.why { (why) }
            pre { code { (command) } }
        }
    }
}

const REPORT: &str = "samestate report record.json";
const COMPARE: &str = "samestate compare record.json later/record.json";

/// The commands of a record.
pub(super) fn commands(record: &Record) -> Markup {
    let file = record.file.as_deref().filter(|file| *file != "-");
    let verb = match record.kind {
        Kind::Processes => "run",
        Kind::Virtual => "simulate",
    };
    html! {
        @if !record.command.is_empty() {
            (command("This run was made by", &in_shell(&record.command)))
        }
        @if let Some(file) = file {
            @if record.seeds.is_none() {
                @let again = ["samestate", verb, "scenario.yaml"].map(str::to_owned);
                (command("Run it again as it was, in the folder of the run", &in_shell(&again)))
            }
            @if record.kind == Kind::Processes {
                @let words = ["samestate", "simulate", file].map(str::to_owned);
                (command("The same scenario in virtual time", &in_shell(&words)))
            }
            @let words = ["samestate", "explain", file].map(str::to_owned);
            (command("What the scenario does, as text", &in_shell(&words)))
        }
        (command("This record on a terminal, in the folder of the run", REPORT))
        (command("Is a later run worse?", COMPARE))
    }
}

/// The command that runs one case of a matrix alone.
pub(super) fn of_case(record: &Record, case: &Case) -> Option<String> {
    let file = record.file.as_deref().filter(|file| *file != "-")?;
    if case.with.is_empty() {
        return None;
    }
    let verb = if record.kind == Kind::Virtual { "simulate" } else { "run" };
    let mut words = with_seed(record, verb, file);
    for (path, value) in &case.with {
        words.extend(["--set".to_owned(), format!("{path}={}", plain(value))]);
    }
    // The matrix of the file would set the same values again.
    words.extend(["--set".to_owned(), "matrix={}".to_owned()]);
    Some(in_shell(&words))
}

fn with_seed(record: &Record, verb: &str, file: &str) -> Vec<String> {
    ["samestate", verb, file, "--seed"]
        .into_iter()
        .map(str::to_owned)
        .chain([record.seed.to_string()])
        .collect()
}

/// Words as a line for a shell: quoted where that is needed.
fn in_shell(words: &[String]) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    let quoted = words.iter().map(|word| {
        if !word.is_empty() && word.chars().all(safe) {
            return word.clone();
        }
        format!("'{}'", word.replace('\'', r"'\''"))
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_a_shell_would_change_are_quoted() {
        let words = ["run", "a b.yaml", "--set=x=[1]", "it's", "$(reboot)", ""];
        let line = in_shell(&words.map(str::to_owned));
        assert_eq!(line, r"run 'a b.yaml' '--set=x=[1]' 'it'\''s' '$(reboot)' ''");
    }
}
