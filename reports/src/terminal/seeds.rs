//! The result of a search over many seeds, for the terminal.

use std::fmt::Write;

use super::style::{Style, Tone};
use crate::record::Seeds;

/// So many failures are shown; the record has them all.
const SHOWN_MAX: usize = 10;

/// Renders the number of simulated seeds, the moments and how often each occurred, and the seeds
/// that failed.
pub(super) fn of_search(seeds: &Seeds, style: &Style) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "  {} seeds of {}..{}; {} of them twice, with the same histories (all: {})",
        seeds.simulated, seeds.first, seeds.end, seeds.twice, seeds.history
    );
    let width = seeds.moments.keys().map(String::len).max().unwrap_or(0);
    for (moment, times) in &seeds.moments {
        let _ = writeln!(text, "    {moment:<width$}  {times:>10}");
    }
    if seeds.inconclusive > 0 {
        let words = format!("{} seeds came to no verdict", seeds.inconclusive);
        let _ = writeln!(text, "  {}", style.paint(&words, Tone::Careful));
    }
    match seeds.failures.len() {
        0 => text.push_str("  no violation\n"),
        count => {
            let _ = writeln!(text, "  {}", style.paint(&format!("{count} failed:"), Tone::Bad));
            for failure in seeds.failures.iter().take(SHOWN_MAX) {
                let _ = writeln!(text, "    seed {}: {}", failure.seed, failure.why);
                if let Some(scenario) = &failure.scenario {
                    let _ = writeln!(text, "      its scenario: {scenario}");
                }
            }
            if count > SHOWN_MAX {
                let _ = writeln!(text, "    and {} more", count - SHOWN_MAX);
            }
        }
    }
    text
}
