//! A scenario of two processes. Tests replace its duration, its load or its expectation.

/// A master that is loaded for a moment, and its worker.
pub(crate) const SHORT: &str = r#"
version: 1
seed: 5
stores: { tasks: { reducer: ring, mode: action } }
clusters: { main: { workers: 1 } }
phases:
  - name: busy
    duration: 300ms
    load: [ { at: main.master, store: tasks, arrival: { every: 20ms } } ]
expect:
  - { metric: dispatches.lost, max: 0 }
"#;
