//! A run, shown while it goes on.
//!
//! The runner hands what it hears of a case to a `LiveCase`, which tells it as
//! [lines](samestate_report::live::Line): what happened, and twice a second a sample of all
//! measures. A [`Feed`] takes the lines to outlets, each with a thread and a bounded queue, so that
//! nothing which reads them can hold up the run. Without an outlet there is no `LiveCase`, and a
//! run does none of this.
//!
//! | file | holds |
//! |---|---|
//! | `case` | a case, told line by line |
//! | `tracker` | samples, from the parts that processes hand over |
//! | `replicas` | the replicas of a tree over the last few seconds |
//! | `readings` | readings of a counter, and its growth |
//! | `feed` | the way of a line to the outlets |
//! | `ndjson` | the outlet of `--ndjson` |
//! | `metrics` | the outlets of `--metrics` |
//! | `dashboard` | the outlet of `--dashboard` |
//! | `screen` | the outlet of `--live` |
//! | `server` | the HTTP server of both |

mod case;
mod dashboard;
mod feed;
mod metrics;
mod ndjson;
mod readings;
mod replicas;
mod screen;
mod server;
mod tracker;

pub(crate) use case::{LiveCase, ProcessSeen, View};
pub(crate) use dashboard::Dashboard;
pub use feed::Feed;
pub(crate) use feed::Feeds;
pub(crate) use metrics::{MetricsFile, MetricsServer};
pub(crate) use ndjson::Ndjson;
pub(crate) use screen::Screen;
