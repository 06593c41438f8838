//! A record as a page: one HTML file that needs no other file, no network, and no script.
//!
//! Everything is drawn from the record alone, so a page can be made of an old record too. The
//! drawings are SVG. A plot is stretched to the width of the page, and its labels are HTML, so that
//! text has the same size on a phone and on a wide screen. The script adds readings under the
//! pointer, sorting of tables and buttons that copy commands; without it, the page says the same.
//!
//! | file | holds |
//! |---|---|
//! | `page` | the page: verdict first, then the sections |
//! | `scale` | scales, ticks and units of axes |
//! | `chart` | a plot with its axes, lines, bands and legend |
//! | `over_time` | the charts of a case over time |
//! | `latency` | the distribution of latencies |
//! | `topology` | the trees of a store as a drawing |
//! | `matrix` | cases side by side, over a numeric axis, and the best of them |
//! | `picture` | a figure as a file of its own |
//! | `tables` | all figures in tables |
//! | `live` | the page of a run that goes on, and its updates |
//! | `commands` | the commands that made the run, and those to look closer |
//!
//! Texts of scenarios are escaped by the template, and what the script reads is JSON without `<`.

mod chart;
mod commands;
mod latency;
mod live;
mod matrix;
mod over_time;
mod page;
mod picture;
mod scale;
mod tables;
#[cfg(test)]
mod tests;
mod topology;

pub use live::{LivePage, final_update, live_page, live_update};
pub use page::page;
pub use picture::{figures, picture};
