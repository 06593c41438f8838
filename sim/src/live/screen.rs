//! The outlet of `--live`: sparklines on a terminal, redrawn in place, or a line for each second.

use std::io::{IsTerminal, stderr};
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;
use samestate_report::live::{Event, Line};
use samestate_report::terminal::{LiveView, Style};

use super::feed::{Closed, Outlet};
use crate::streams::note;

/// Without a terminal, one sample of so many is a line.
const SAMPLES_PER_LINE: u64 = 2;

/// The drawing of a run on standard error.
#[derive(Clone)]
pub(crate) struct Screen(Arc<Mutex<Drawn>>);

struct Drawn {
    view: LiveView,
    style: fn() -> Style,
    /// The place of the drawing; `None` while no case goes on.
    bar: Option<ProgressBar>,
    is_terminal: bool,
    samples: u64,
}

impl Screen {
    /// Draws in the style that the terminal has at each moment.
    pub(crate) fn new(style: fn() -> Style) -> Self {
        Self(Arc::new(Mutex::new(Drawn {
            view: LiveView::default(),
            style,
            bar: None,
            is_terminal: stderr().is_terminal(),
            samples: 0,
        })))
    }

    /// Takes the drawing away, until the next case begins.
    pub(crate) fn clear(&self) {
        if let Some(bar) = self.0.lock().bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drawn {
    fn draw(&mut self) {
        if let Some(bar) = &self.bar {
            bar.set_message(self.view.draw(&(self.style)()));
            bar.tick();
        }
    }
}

impl Outlet for Screen {
    fn take(&mut self, line: &Line) -> Result<(), Closed> {
        let mut drawn = self.0.lock();
        drawn.view.take(line);
        match &line.event {
            Event::Start(_) if drawn.is_terminal => {
                let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
                // The template is a constant: it is right, or the default look is used.
                if let Ok(style) = ProgressStyle::with_template("{msg}") {
                    bar.set_style(style);
                }
                drawn.bar = Some(bar);
                drawn.draw();
            }
            Event::Phase(_) => drawn.draw(),
            Event::Sample(_) if drawn.is_terminal => drawn.draw(),
            Event::Sample(_) => {
                drawn.samples += 1;
                if drawn.samples.is_multiple_of(SAMPLES_PER_LINE)
                    && let Some(line) = drawn.view.in_a_line()
                {
                    note!("{line}");
                }
            }
            _ => {}
        }
        Ok(())
    }
}
