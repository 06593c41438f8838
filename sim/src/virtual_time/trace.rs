//! What happened last, for people.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// The last lines.
#[derive(Debug)]
pub(crate) struct Trace {
    lines: VecDeque<String>,
    lines_max: usize,
}

impl Trace {
    /// Keeps at most `lines_max` lines.
    pub(crate) fn new(lines_max: usize) -> Self {
        Trace { lines: VecDeque::new(), lines_max: lines_max.max(1) }
    }

    /// Something happened.
    pub(crate) fn line(&mut self, at: Duration, line: impl fmt::Display) {
        if self.lines.len() == self.lines_max {
            self.lines.pop_front();
        }
        self.lines.push_back(format!("{:>10.3} ms  {line}", at.as_secs_f64() * 1e3));
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
