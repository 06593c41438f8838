//! Log events: every change of a link, with the fields that the guide promises, and no secret.

mod captured;
mod links;
#[path = "../ports/mod.rs"]
mod ports;
mod secrets;
mod stores;
