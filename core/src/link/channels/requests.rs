//! Requests of a peer about a store that is served here.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use samestate_proto::wire::{Frame, Reply, Request, RequestKind, channel_of};

use super::super::LinkEndpoint;
use super::super::close_reason::CloseReason;
use super::super::hello::LINK_CHANNEL;
use super::hear::quoted;
use super::{CONTROL_BYTES_MAX, Shared};
use crate::event::EventKind;
use crate::task::{self, Panicked};

/// A reply has to fit into a frame of a peer that reads no stores.
const REASON_CHARS_MAX: usize = 800;

/// The requests of one peer.
#[derive(Default)]
pub(in crate::link) struct Requests {
    under_way: AtomicUsize,
    /// The login by which the peer may promote.
    operator: OnceLock<String>,
}

impl Requests {
    /// Lets the peer promote, if it has such a login.
    pub(in crate::link) fn operator(&self, login: Option<String>) {
        if let Some(login) = login {
            self.operator.get_or_init(|| login);
        }
    }

    /// Returns whether the peer waits for a reply.
    pub(super) fn are_under_way(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) > 0
    }
}

impl Shared {
    /// Handles a request.
    pub(super) fn asked(self: &Arc<Self>, frame: &Frame) -> Result<(), CloseReason> {
        let Request { kind, store } = Request::read(frame).map_err(CloseReason::Garbage)?;
        if self.channels.lock().control.len() > CONTROL_BYTES_MAX {
            return Err(CloseReason::Flooded);
        }
        let port = self.ports.lock().ports.get(&channel_of(&store)).cloned();
        let Some(port) = port.filter(|port| port.name() == store) else {
            let served = self.ports.served();
            self.reply(&refused(format!("store {} is not served here, {served}", quoted(&store))));
            return Ok(());
        };
        match kind {
            RequestKind::Lineage => self.reply(&port.lineage().map_or_else(
                || refused("it has no state of a sequencer yet".to_owned()),
                |(orders, lineage)| Reply::Lineage { orders, lineage },
            )),
            RequestKind::Promote => self.promote(port),
        }
        Ok(())
    }

    fn promote(self: &Arc<Self>, port: Arc<dyn LinkEndpoint>) {
        let Some(operator) = self.requests.operator.get() else {
            self.reply(&refused(
                "only an operator may promote a store; give the server one by \
                 `ServerConfig::operator`, and log in as that"
                    .to_owned(),
            ));
            return;
        };
        if self.requests.under_way.fetch_add(1, Ordering::Relaxed) > 0 {
            self.requests.under_way.fetch_sub(1, Ordering::Relaxed);
            self.reply(&refused("an earlier request is under way".to_owned()));
            return;
        }
        let (shared, operator, reporter) = (Arc::clone(self), operator.clone(), Arc::clone(&port));
        let panicked = {
            let shared = Arc::clone(self);
            move |panic: &Panicked| {
                shared.reply(&refused(format!("a bug: {panic}")));
                shared.requests.under_way.fetch_sub(1, Ordering::Relaxed);
                shared.ports.report_panic(panic);
            }
        };
        task::spawn("promotion for an operator", panicked, async move {
            let reply = match port.promote().await {
                Ok(version) => {
                    let kind = EventKind::Promoted { version, operator: operator.clone() };
                    let text = format!(
                        "store `{}` was promoted by operator {operator:?}: it orders its actions \
                         from version {version} on",
                        port.name()
                    );
                    reporter.report(kind, &text);
                    Reply::Promoted(version)
                }
                Err(why) => refused(why),
            };
            shared.reply(&reply);
            shared.requests.under_way.fetch_sub(1, Ordering::Relaxed);
        });
    }

    fn reply(&self, reply: &Reply) {
        reply.write(&mut self.channels.lock().control, LINK_CHANNEL);
        self.say();
    }
}

fn refused(why: String) -> Reply {
    Reply::Refused(why.chars().take(REASON_CHARS_MAX).collect())
}
