//! Openings and endings of stores and servers: the causes that `open` waits for, the options that
//! are refused, tasks that panic, and a reducer that calls its store.

mod closing;
mod opening;
mod options;
mod panics;
#[path = "../ports/mod.rs"]
mod ports;
mod reentrant;
mod scene;
