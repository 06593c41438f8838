//! What is logged: every change of a link, with the fields that the guide promises, and no secret.

mod captured;
mod links;
mod secrets;
mod stores;
