//! What stores measure of themselves, and how Prometheus reads it.

#[cfg(feature = "prometheus")]
mod exporter;
#[cfg(feature = "prometheus")]
mod open_metrics;
#[path = "../ports/mod.rs"]
mod ports;
mod values;
