//! How stores and servers begin and end: what `open` waits for, which options are refused, what
//! becomes of a task that panics, and a reducer that calls its store.

mod closing;
mod opening;
mod options;
mod panics;
mod reentrant;
mod scene;
