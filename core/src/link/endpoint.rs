//! The interface between a connection and a store.

use std::sync::Arc;

use samestate_proto::replication::{LinkFault, LinkId};
use samestate_proto::wire::Frame;
use samestate_proto::{Lineage, Version};

use super::{Meter, Setback};
use crate::event::EventKind;
use crate::task::BoxFuture;

/// The side of a link that this process is on, for one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The peer is nearer to the sequencer: this store follows it.
    Upstream,
    /// The peer may follow this store.
    Downstream,
}

/// The operations that a store may request from a connection. They are cheap, and callable under
/// the store's lock.
pub(crate) trait LinkHandle: Send + Sync {
    /// There is something to send: call [`LinkEndpoint::fill`] until it writes nothing.
    fn wake(&self);

    /// The same, and the first bytes are written by this call if the connection is idle. Not to be
    /// called under the store's lock: it calls [`LinkEndpoint::fill`].
    fn write_now(&self) {
        self.wake();
    }

    /// End the connection, for this reason.
    fn cut(&self, why: LinkFault);

    /// Returns the name of the peer and the traffic so far.
    fn meter(&self) -> &Meter;
}

/// A store, as the connections of its process see it. A connection may carry several stores; each
/// is a `LinkId` to it alone, unique in the process.
pub(crate) trait LinkEndpoint: Send + Sync {
    /// The store's channel on every link.
    fn channel(&self) -> u32;

    /// The store's name, for the operator.
    fn name(&self) -> &str;

    /// The largest body of a frame that a peer may send, in bytes.
    fn frame_bytes_max(&self) -> usize;

    /// Notes that a connection is up and logged in, and the version of the protocol that its ends
    /// use.
    fn up(&self, link: LinkId, side: Side, protocol: u16, handle: Arc<dyn LinkHandle>);

    /// Takes a frame; decodes and installs a snapshot that it completes. An error: cut the link.
    ///
    /// # Errors
    ///
    /// An error if the link is to be cut: the frame is invalid, or cannot be served.
    fn receive(&self, link: LinkId, frame: &Frame) -> Result<(), LinkFault>;

    /// Bytes came from the peer, though not a whole frame yet.
    fn heard(&self, link: LinkId);

    /// Appends what goes over the link next, about `budget` bytes; nothing when there is nothing.
    fn fill(&self, link: LinkId, out: &mut Vec<u8>, budget: usize);

    /// Returns the epochs that its state descends from, and whether it is the sequencer; `None` if
    /// it has no state yet.
    fn lineage(&self) -> Option<(bool, Lineage)> {
        None
    }

    /// Takes the place of its sequencer. An error is a text for the operator.
    fn promote(&self) -> BoxFuture<Result<Version, String>> {
        Box::pin(std::future::ready(Err("it cannot be promoted".to_owned())))
    }

    /// The connection ended.
    fn down(&self, link: LinkId);

    /// Something for the operator (`on_error`).
    fn report(&self, kind: EventKind, text: &str);

    /// This store is not attached to its upstream, for this reason. It is tried again.
    fn set_back(&self, _why: Setback) {}

    /// The link to the upstream has ended, and is never made again.
    fn lost(&self) {}
}
