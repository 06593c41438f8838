//! The state of each channel of a connection, and the frames that the connection itself sends for
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use samestate_proto::wire::{Frame, begin_frame, finish_frame};

use super::super::attached::Attached;
use super::super::hello::LINK_CHANNEL;

/// The kind of a link's own frame that says: this store, whose channel follows, is no longer here.
pub(super) const GONE: u8 = 16;

/// The kind of a link's own frame that answers `Detach`; the channel follows.
pub(super) const DETACHED: u8 = 17;

/// The kind of a link's own frame by which a master says that it ends; the time that its worker has
/// for the same follows, in milliseconds.
pub(super) const ENDING: u8 = 18;

pub(super) enum Channel {
    Attached(Arc<Attached>),
    /// The peer asked for a store that is not open here yet.
    Waiting(Frame),
    /// `Detach` was sent; what comes before [`DETACHED`] is dropped.
    Leaving(Then),
    /// It attaches again after a while.
    Resting,
    /// [`GONE`] was sent; what comes before the next `Attach` is dropped.
    Departed,
}

/// The next step of a store after [`DETACHED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// If it is registered again by then, it attaches at once.
    Attach,
    /// It attaches again after this.
    Rest(Duration),
    /// The upstream will not have it: no use to ask again.
    Nothing,
}

#[derive(Default)]
pub(super) struct Channels {
    pub(super) map: BTreeMap<u32, Channel>,
    /// Frames of the connection itself; they go before those of the stores.
    pub(super) control: Vec<u8>,
    /// Counts the changes of `map`.
    pub(super) version: u64,
    /// The stores that were refused to the peer.
    pub(super) refused: BTreeSet<u32>,
    /// The last report about each detached store, so that it is reported once.
    pub(super) said: BTreeMap<u32, String>,
}

impl Channels {
    pub(super) fn insert(&mut self, channel: u32, to: Channel) {
        self.map.insert(channel, to);
        self.version += 1;
    }

    /// Says that this side lives, to a peer that waits and hears nothing else. It is a
    /// [`DETACHED`] that names no store.
    pub(super) fn say_alive(&mut self) {
        write_link(&mut self.control, DETACHED, LINK_CHANNEL);
    }

    /// A store that was attached there gets and gives nothing from here on.
    pub(super) fn remove(&mut self, channel: u32) -> Option<Channel> {
        self.version += 1;
        let removed = self.map.remove(&channel);
        if let Some(Channel::Attached(attached)) = &removed {
            attached.leave();
        }
        removed
    }
}

/// Writes a frame of the connection itself, which holds a channel or a time.
pub(super) fn write_link(out: &mut Vec<u8>, kind: u8, value: u32) {
    let start = begin_frame(out, LINK_CHANNEL, kind);
    out.extend_from_slice(&value.to_le_bytes());
    finish_frame(out, start);
}
