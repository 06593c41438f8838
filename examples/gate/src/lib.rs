//! A service whose test lets its topology converge under faults, on virtual time: see
//! `tests/convergence.rs`.
