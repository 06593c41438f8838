//! Benchmarks of the hot paths; see the files beside this one.
