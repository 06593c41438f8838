//! Progress of a run on standard error.

use std::collections::VecDeque;
use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::streams::note;

/// The stretch of time over which the rate is shown.
const RATE_OVER: Duration = Duration::from_secs(1);

/// The way in which a run shows its progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watching {
    /// Not at all.
    Quiet,
    /// By a line for each phase.
    Lines,
    /// By a bar that moves.
    Bar,
}

impl Watching {
    /// A bar on a terminal, lines elsewhere, nothing if `quiet`.
    pub fn on_stderr(quiet: bool) -> Self {
        match (quiet, stderr().is_terminal()) {
            (true, _) => Self::Quiet,
            (false, true) => Self::Bar,
            (false, false) => Self::Lines,
        }
    }
}

/// The progress of a case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Glance {
    /// Since the load began.
    pub(crate) elapsed: Duration,
    /// The number of actions that every replica has applied, all stores together.
    pub(crate) applied: u64,
    /// Each store's newest version.
    pub(crate) stores: Vec<(String, u64)>,
    /// The number of replicas in sync, and the number of all replicas.
    pub(crate) connected: (usize, usize),
    /// The number of injected faults, and the number of planned ones.
    pub(crate) faults: (usize, usize),
}

/// Shows one case.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    lines: bool,
    title: String,
    phase: String,
    total: Duration,
    applied: VecDeque<(Duration, u64)>,
}

impl Progress {
    pub(crate) fn new(watching: Watching, title: &str, total: Duration) -> Self {
        let bar = (watching == Watching::Bar).then(|| {
            let millis = u64::try_from(total.as_millis()).unwrap_or(u64::MAX);
            let target = ProgressDrawTarget::stderr_with_hz(10);
            let bar = ProgressBar::with_draw_target(Some(millis.max(1)), target);
            // The template is a constant: it is right, or the default look is used.
            if let Ok(style) = ProgressStyle::with_template("{bar:16} {wide_msg}") {
                bar.set_style(style.progress_chars("━╸─"));
            }
            bar
        });
        Self {
            bar,
            lines: watching == Watching::Lines,
            title: title.to_owned(),
            phase: String::new(),
            total,
            applied: VecDeque::new(),
        }
    }

    /// Shows the present phase of the scenario, or of the work around it.
    pub(crate) fn phase(&mut self, phase: &str) {
        phase.clone_into(&mut self.phase);
        if self.lines {
            note!("{}: {phase}", self.title);
        }
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}  {phase}", self.title));
        }
    }

    /// Draws the progress.
    pub(crate) fn draw(&mut self, glance: &Glance) {
        let Some(bar) = &self.bar else { return };
        self.applied.push_back((glance.elapsed, glance.applied));
        while self.applied.len() > 2 && self.applied[1].0 + RATE_OVER <= glance.elapsed {
            self.applied.pop_front();
        }
        let position = glance.elapsed.min(self.total).as_millis();
        bar.set_position(u64::try_from(position).unwrap_or(u64::MAX));
        bar.set_message(self.line(glance));
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&self, glance: &Glance) -> String {
        let mut line = format!(
            "{}  {}  {}/{} s",
            self.title,
            self.phase,
            glance.elapsed.as_secs(),
            self.total.as_secs()
        );
        if let (Some(first), Some(last)) = (self.applied.front(), self.applied.back())
            && last.0 > first.0
        {
            let rate = last.1.saturating_sub(first.1) as f64 / (last.0 - first.0).as_secs_f64();
            line += &format!("  {rate:.0}/s");
        }
        for (store, seq) in &glance.stores {
            line += &format!("  {store} {seq}");
        }
        line += &format!("  {}/{} in sync", glance.connected.0, glance.connected.1);
        if glance.faults.1 > 0 {
            line += &format!("  faults {}/{}", glance.faults.0, glance.faults.1);
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_phase_time_rate_versions_links_and_faults() {
        let mut progress = Progress::new(Watching::Quiet, "disconnect", Duration::from_secs(30));
        progress.phase("storm");
        for (seconds, applied) in [(10, 1000), (11, 1200)] {
            progress.applied.push_back((Duration::from_secs(seconds), applied));
        }
        let glance = Glance {
            elapsed: Duration::from_secs(11),
            applied: 1200,
            stores: vec![("mirror".to_owned(), 700), ("tasks".to_owned(), 1210)],
            connected: (7, 8),
            faults: (3, 20),
        };
        assert_eq!(
            progress.line(&glance),
            "disconnect  storm  11/30 s  200/s  mirror 700  tasks 1210  7/8 in sync  faults 3/20"
        );
    }
}
