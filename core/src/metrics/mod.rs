//! Metrics of stores, as values and for Prometheus.
//!
//! [`Store::metrics`](crate::Store::metrics) gives a [`StoreMetrics`]. With the feature
//! `prometheus`, an `Exporter` serves those of a process's stores over HTTP:
//!
//! - `exporter`: the server, which no scraper can hold up or make grow
//! - `text`: names, labels and help, in the OpenMetrics format

#[cfg(feature = "prometheus")]
mod exporter;
#[cfg(feature = "prometheus")]
mod text;

#[cfg(feature = "prometheus")]
pub use exporter::Exporter;

pub use crate::link::Traffic;
pub use crate::store::{BackupMetrics, DispatchMetrics, LinkMetrics, LinkTotals, StoreMetrics};
pub use samestate_proto::replication::Counters;
