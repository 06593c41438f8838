//! One state in every process.

pub mod auth;
pub mod link;
pub mod replication;
pub mod state;
pub mod store;
pub mod wire;

pub use store::{DispatchError, Error, Result};
