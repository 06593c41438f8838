//! The roles of a store in this process.

use std::fmt;

/// A role; a store may have several at once, but never `Worker` and `Client`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Gets dispatches from workers and sends them actions.
    Master,
    /// Gets actions from its master and sends it dispatches.
    Worker,
    /// Gets dispatches from clients and sends them actions.
    Server,
    /// Gets actions from its server and sends it dispatches.
    Client,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Master => "master",
            Role::Worker => "worker",
            Role::Server => "server",
            Role::Client => "client",
        })
    }
}
