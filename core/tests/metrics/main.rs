//! Metrics of stores, and the page that Prometheus reads.

#[cfg(feature = "prometheus")]
mod exporter;
#[cfg(feature = "prometheus")]
mod open_metrics;
#[path = "../ports/mod.rs"]
mod ports;
mod values;
