//! Calls to a replica's observer, kept until the checker takes them.

use std::sync::Arc;

use parking_lot::Mutex;
use samestate_proto::Version;
use samestate_proto::replication::Observer;
use samestate_proto::wire::Entries;

use crate::invariants::Witness;
use crate::virtual_time::machine::parts;

/// An event of one replica's state.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seen {
    /// Actions were applied.
    Applied {
        /// The seq of the first.
        first: u64,
        /// The version after the last.
        last: Version,
        /// The rolling hash after the last.
        history: u64,
        /// The number of them that made sense.
        count: usize,
    },
    /// The state was replaced.
    Jumped {
        /// The version before.
        from: Version,
        /// The version after.
        to: Version,
        /// The rolling hash after.
        history: u64,
    },
}

/// An action as it was ordered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ordered<'a> {
    /// The id of the action.
    pub(crate) id: u64,
    /// Its encoding.
    pub(crate) encoded: &'a [u8],
}

/// All events since the last look.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// In its order.
    pub(crate) seen: Vec<Seen>,
    /// The actions of all batches, one after the other: their ids, and where their encodings end.
    ids: Vec<(u64, usize)>,
    bytes: Vec<u8>,
}

impl Told {
    /// Forgets all, and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.seen.clear();
        self.ids.clear();
        self.bytes.clear();
    }

    /// The actions, from the `start`-th on.
    pub(crate) fn actions(&self, start: usize, count: usize) -> impl Iterator<Item = Ordered<'_>> {
        (start..start + count).filter_map(|at| {
            let begins = match at {
                0 => 0,
                _ => self.ids.get(at - 1)?.1,
            };
            let &(id, ends) = self.ids.get(at)?;
            Some(Ordered { id, encoded: self.bytes.get(begins..ends)? })
        })
    }
}

struct Inner {
    told: Told,
    /// The encodings are kept too: this is a sequencer.
    encodings: bool,
    witness: Option<Witness>,
}

/// An observer that keeps what it is told, and hands it on to a witness where there is one.
#[derive(Clone)]
pub(crate) struct Tap(Arc<Mutex<Inner>>);

impl std::fmt::Debug for Tap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a tap")
    }
}

impl Tap {
    /// At a replica; `sequencer`: one that orders.
    pub(crate) fn new(sequencer: bool, witness: Option<Witness>) -> Self {
        let inner = Inner { told: Told::default(), encodings: sequencer, witness };
        Tap(Arc::new(Mutex::new(inner)))
    }

    /// It orders no more, and has another witness from now on.
    pub(crate) fn follows(&self, witness: Option<Witness>) {
        let mut inner = self.0.lock();
        inner.encodings = false;
        inner.witness = witness;
    }

    /// Exchanges what happened since this was last called for `empty`. Whether there is any.
    pub(crate) fn take(&self, empty: &mut Told) -> bool {
        let mut inner = self.0.lock();
        if inner.told.seen.is_empty() {
            return false;
        }
        std::mem::swap(&mut inner.told, empty);
        true
    }
}

impl Observer for Tap {
    fn applied(&mut self, first: u64, last: Version, history: u64, entries: Entries<'_>) {
        let mut inner = self.0.lock();
        let Inner { told, encodings, witness } = &mut *inner;
        let before = told.ids.len();
        for entry in entries.clone().map_while(Result::ok) {
            let Some((encoded, id)) = parts(entry.payload) else { break };
            if *encodings {
                told.bytes.extend_from_slice(encoded);
            }
            told.ids.push((id, told.bytes.len()));
        }
        let count = told.ids.len() - before;
        told.seen.push(Seen::Applied { first, last, history, count });
        if let Some(witness) = witness {
            witness.applied(first, last, history, entries);
        }
    }

    fn jumped(&mut self, from: Version, to: Version, history: u64) {
        let mut inner = self.0.lock();
        inner.told.seen.push(Seen::Jumped { from, to, history });
        if let Some(witness) = &mut inner.witness {
            witness.jumped(from, to, history);
        }
    }
}
