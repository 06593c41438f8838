//! A record on a terminal: what a person understands at a glance.
//!
//! The verdict stands first, then one sentence for each thing that matters, then tables, and
//! last whatever failed, with what was expected and what was measured. The cases of a matrix
//! stand side by side, one column each: that comparison is what a matrix is for.
//!
//! | module | subject |
//! |---|---|
//! | `style` | [`Style`]: width and colour, given by the caller; painting and wrapping text |
//! | `grid` | tables that fit the width, dropping their least important columns |
//! | `sentences` | the course of a run, one line for each event |
//! | `tables` | stores and processes |
//! | `matrix` | cases side by side |
//! | `findings` | failed expectations, violations, and reasons for a verdict |

mod findings;
mod grid;
mod live;
mod matrix;
mod seeds;
mod sentences;
mod style;
mod summary;
mod tables;

pub(crate) use grid::{Column, Grid, Text};
pub use live::LiveView;
pub(crate) use sentences::sentences;
pub use style::Style;
pub(crate) use style::{Tone, wrap};
pub use summary::summary;
