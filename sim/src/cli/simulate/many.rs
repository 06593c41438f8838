//! Many seeds, of files or of the swarm.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::super::exit::ExitCode;
use super::super::terminal::show;
use super::{Wanted, found};
use crate::processes::Watching;
use crate::record::utc;
use crate::scenario::{Scenario, ScenarioFile};
use crate::virtual_time::{Glance, Options, Search, Searched, Source, draw};

/// A swarm of fewer seeds proves nothing by what never happened in it.
const SEEDS_FOR_ALL_MOMENTS: u64 = 2_000;

/// So many failures are shown of each file.
const SHOWN_MAX: usize = 10;

/// How seeds are simulated.
pub(super) struct Many {
    pub(super) threads: usize,
    pub(super) all: bool,
    pub(super) twice_every: u64,
}

impl Many {
    /// Each seed draws a scenario of its own.
    pub(super) fn swarm(&self, seeds: Range<u64>, wanted: &Wanted) -> ExitCode {
        let wide = seeds.end - seeds.start >= SEEDS_FOR_ALL_MOMENTS;
        let (code, searched) = self.search("swarm", seeds, &|seed| vec![draw(seed)], wanted, false);
        let never = searched.moments.never();
        if !wide || never.is_empty() || !searched.failures.is_empty() || wanted.interrupted() {
            return code;
        }
        eprintln!(
            "error: in {} seeds it never happened that: {}",
            searched.seeds,
            never.join("; ")
        );
        ExitCode::worst([code, ExitCode::Failed])
    }

    /// The same seeds of each file.
    pub(super) fn files(
        &self,
        files: &[ScenarioFile],
        seeds: &Range<u64>,
        wanted: &Wanted,
    ) -> ExitCode {
        let mut codes = Vec::new();
        for file in files {
            let cases: Vec<Scenario> =
                file.cases.iter().map(|case| case.scenario.clone()).collect();
            let source = |_| cases.clone();
            let several = files.len() > 1;
            codes.push(self.search(&file.name, seeds.clone(), &source, wanted, several).0);
            if wanted.interrupted() {
                break;
            }
        }
        ExitCode::worst(codes)
    }

    fn search(
        &self,
        name: &str,
        seeds: Range<u64>,
        source: &Source<'_>,
        wanted: &Wanted,
        several: bool,
    ) -> (ExitCode, Searched) {
        let folder = match wanted.output.folder(name, several, &utc(SystemTime::now())) {
            Ok(folder) => folder,
            Err(complaint) => {
                eprintln!("error: {complaint}");
                return (ExitCode::NotDone, Searched::default());
            }
        };
        let began = Instant::now();
        let bar = bar(name, &seeds, wanted.output.quiet);
        let search = Search {
            name: name.to_owned(),
            seeds,
            options: Options { interrupt: Some(wanted.interrupt.clone()), ..Options::default() },
            threads: self.threads,
            all: self.all,
            twice_every: self.twice_every,
        };
        let watch = |glance: Glance| {
            draw_bar(bar.as_ref(), &glance);
            !wanted.interrupted()
        };
        let searched = search.run(source, &watch);
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        let mut code = match searched.failures.is_empty() {
            true => ExitCode::Pass,
            false => ExitCode::Failed,
        };
        if wanted.interrupted() {
            code = ExitCode::Interrupted;
        }
        if !wanted.output.quiet {
            let words = in_words(name, &searched, began.elapsed());
            code = ExitCode::worst([code, show(&words, ExitCode::Pass)]);
        }
        if let Err(complaint) = self.write(&searched, wanted) {
            eprintln!("error: {complaint}");
            code = ExitCode::worst([code, ExitCode::NotDone]);
        }
        if let Some(first) = searched.failures.first() {
            found::shrink_and_write(name, first, &folder, wanted);
        }
        (code, searched)
    }

    /// Writes what the search came to as JSON, where that was asked for.
    fn write(&self, searched: &Searched, wanted: &Wanted) -> Result<(), String> {
        let Some(path) = &wanted.output.json else { return Ok(()) };
        let failures: Vec<_> = searched
            .failures
            .iter()
            .map(|one| serde_json::json!({ "seed": one.seed, "why": one.why.to_string() }))
            .collect();
        let moments: serde_json::Map<_, _> = (searched.moments.named().into_iter())
            .map(|(name, times)| (name.to_owned(), times.into()))
            .collect();
        let json = serde_json::json!({
            "seeds": searched.seeds,
            "twice": searched.twice,
            "virtual_seconds": searched.virtual_time.as_secs_f64(),
            "history": format!("{:016x}", searched.history),
            "moments": moments,
            "failures": failures,
        });
        let text = format!("{json:#}\n");
        if wanted.output.json_to_stdout() {
            print!("{text}");
            return Ok(());
        }
        let unwritable = |error| format!("failed to write {}: {error}", Path::display(path));
        std::fs::write(path, text).map_err(unwritable)
    }
}

fn in_words(name: &str, searched: &Searched, wall: Duration) -> String {
    let mut text = String::new();
    let hours = searched.virtual_time.as_secs_f64() / 3600.0;
    let _ = writeln!(
        text,
        "{name}: {} seeds, {hours:.2} virtual hours in {:.1} s; {} of them twice, with the same \
         histories (all: {:016x})",
        searched.seeds,
        wall.as_secs_f64(),
        searched.twice,
        searched.history,
    );
    let named = searched.moments.named();
    let width = named.iter().map(|moment| moment.0.len()).max().unwrap_or(0);
    for (moment, times) in named {
        let _ = writeln!(text, "  {moment:<width$}  {times:>10}");
    }
    match searched.failures.len() {
        0 => text.push_str("no violation\n"),
        count => {
            let _ = writeln!(text, "{count} failed:");
            for failure in searched.failures.iter().take(SHOWN_MAX) {
                let _ = writeln!(text, "  seed {}: {}", failure.seed, failure.why);
            }
        }
    }
    text
}

fn bar(name: &str, seeds: &Range<u64>, quiet: bool) -> Option<ProgressBar> {
    if Watching::on_stderr(quiet) != Watching::Bar {
        return None;
    }
    let target = ProgressDrawTarget::stderr_with_hz(10);
    let bar = ProgressBar::with_draw_target(Some(seeds.end - seeds.start), target);
    // The template is a constant: it is right, or the default look is used.
    if let Ok(style) = ProgressStyle::with_template("{bar:16} {pos}/{len} seeds  {msg}") {
        bar.set_style(style.progress_chars("━╸─"));
    }
    bar.set_message(name.to_owned());
    Some(bar)
}

fn draw_bar(bar: Option<&ProgressBar>, glance: &Glance) {
    let Some(bar) = bar else { return };
    bar.set_position(glance.seeds);
    let hours = glance.virtual_time.as_secs_f64() / 3600.0;
    bar.set_message(format!("{hours:.2} virtual hours, {} failed", glance.failed));
}
