//! What a store keeps running: its server, its client, its place among the cluster's links.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{Client, Error, Result, Role, Server};
use crate::link::Port;

/// Where a store was created.
#[derive(Clone, Debug)]
pub(super) enum Home {
    /// In a process by itself.
    Alone,
}

impl Home {
    pub(super) fn is_worker(&self) -> bool {
        false
    }
}

pub(super) struct Upkeep {
    home: Home,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    client: bool,
}

impl Upkeep {
    pub(super) fn new(home: Home) -> Self {
        Upkeep { home, running: Mutex::default() }
    }
    pub(super) fn register(&self, _port: &Arc<dyn Port>, _follows_home: bool) -> Result<()> {
        Ok(())
    }
    pub(super) async fn listen(&self, _s: Server, _p: Arc<dyn Port>) -> Result<()> {
        Ok(())
    }
    pub(super) fn dial(&self, _c: Client, _p: Arc<dyn Port>, f: impl FnOnce()) -> Result<()> {
        f();
        Ok(())
    }
    pub(super) fn roles(&self) -> Vec<Role> {
        vec![]
    }
    pub(super) async fn close(&self) {}
}
