//! What is seen at each node, in the order in which it happened.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use samestate::replication::{Change, Epoch, Observer, Resolution, Version};
use samestate::wire::Entries;

use super::canon::{Broken, Canon, place};
use super::origins::{Fate, Origins, Tally};
use super::subscribers::Subscriber;
use crate::invariants::{Invariant, Violation};
use crate::virtual_time::machine::{Action, State};

/// What happened to one replica's state.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    /// These actions were applied.
    Applied {
        /// The seq of the first.
        first: u64,
        /// The version after the last.
        last: Version,
        /// The rolling hash after the last.
        history: u64,
        /// What they were.
        actions: Vec<Option<Action>>,
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

/// An observer that keeps what it is told until somebody looks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tap(Arc<Mutex<Vec<Seen>>>);

impl Tap {
    /// What happened since this was last called.
    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl Observer for Tap {
    fn applied(&mut self, first: u64, last: Version, history: u64, entries: Entries<'_>) {
        let read = |entry: samestate::wire::Entry<'_>| Action::read(entry.payload);
        let actions = entries.map(|entry| entry.ok().and_then(read)).collect();
        self.0.lock().push(Seen::Applied { first, last, history, actions });
    }

    fn jumped(&mut self, from: Version, to: Version, history: u64) {
        self.0.lock().push(Seen::Jumped { from, to, history });
    }
}

/// Where one replica is.
#[derive(Debug)]
struct Standing {
    name: String,
    at: Version,
    /// Its state may be wrong, for a reason that the simulation knows.
    excused: bool,
    subscriber: Subscriber,
}

/// The checker of a simulation: the first violation ends it.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    canon: Canon,
    origins: Origins,
    standings: BTreeMap<usize, Standing>,
    /// Copies may be wrong, here and there, until they are healed.
    lenient: bool,
}

/// What holds, or what does not.
pub(crate) type Verdict = Result<(), Box<Violation>>;

impl Checker {
    /// Copies go wrong in this simulation: what a state is like is judged at the end alone.
    pub(crate) fn set_lenient(&mut self) {
        self.lenient = true;
    }

    /// A life of a sequencer begins with an empty history.
    pub(crate) fn founded(&mut self, epoch: Epoch, state: State) {
        self.canon.founded(epoch, state);
    }

    /// A life of a sequencer goes on from `at`.
    pub(crate) fn continued(&mut self, epoch: Epoch, at: Version) {
        self.canon.continued(epoch, at);
    }

    /// A node begins a life.
    pub(crate) fn started(&mut self, node: usize, name: &str, at: Version) {
        let (name, subscriber) = (name.to_owned(), Subscriber::new(at));
        self.standings.insert(node, Standing { name, at, excused: false, subscriber });
    }

    /// A node is killed. `origin`: what the ids of its actions begin with.
    pub(crate) fn died(&mut self, node: usize, origin: u64) {
        self.standings.remove(&node);
        self.origins.died(origin);
    }

    /// The state of a node goes wrong from here on, whatever it does.
    pub(crate) fn excuse(&mut self, node: usize) {
        if let Some(standing) = self.standings.get_mut(&node) {
            standing.excused = true;
        }
    }

    /// A node becomes the client of another.
    pub(crate) fn rebased(&mut self, node: usize) {
        if let Some(standing) = self.standings.get_mut(&node) {
            standing.subscriber.replica_rebased();
        }
    }

    /// Something happened to the state of a node.
    pub(crate) fn seen(&mut self, node: usize, seen: &Seen, sequencer: bool) -> Verdict {
        let Some(standing) = self.standings.get_mut(&node) else { return Ok(()) };
        let found = match seen {
            Seen::Applied { first, last, history, actions } => {
                let batch = Batch { first: *first, last: *last, actions };
                batch
                    .check(standing.at, sequencer, &mut self.canon, &self.origins)
                    .and_then(|()| self.canon.history_at(*last, *history))
                    .map(|()| *last)
            }
            Seen::Jumped { from, to, history } => {
                standing.subscriber.replica_jumped(*from, *to, &self.canon);
                if *from == standing.at {
                    self.canon.history_at(*to, *history).map(|()| *to)
                } else {
                    let at = standing.at;
                    Err((Invariant::I1, format!("a jump from {from:?} to {to:?} at {at:?}")))
                }
            }
        };
        match found {
            Ok(at) => {
                standing.at = at;
                Ok(())
            }
            Err(broken) => Err(self.violation(node, broken)),
        }
    }

    /// A node has done a step, and says that it is here.
    pub(crate) fn stands(&self, node: usize, version: Version, digest: u64) -> Verdict {
        let Some(standing) = self.standings.get(&node) else { return Ok(()) };
        if standing.at != version {
            let detail = format!("at {version:?}, and was seen to go to {:?}", standing.at);
            return Err(self.violation(node, (Invariant::I1, detail)));
        }
        if self.lenient || standing.excused || version == Version::default() {
            return Ok(());
        }
        self.canon.digest_at(version, digest).map_err(|broken| self.violation(node, broken))
    }

    /// An action is handed over.
    pub(crate) fn dispatched(&mut self, id: u64) {
        self.origins.dispatched(id);
    }

    /// ... and not taken.
    pub(crate) fn refused(&mut self, id: u64) {
        self.origins.refused(id);
    }

    /// ... or resolved.
    pub(crate) fn resolved(
        &mut self,
        node: usize,
        id: u64,
        resolution: &Resolution,
        local: Version,
    ) -> Verdict {
        let found = self.origins.resolved(id, resolution, local, &self.canon);
        found.map_err(|broken| self.violation(node, broken))
    }

    /// The subscriber of a node takes what it is told.
    pub(crate) fn told(
        &mut self,
        node: usize,
        changes: impl IntoIterator<Item = Change<Action>>,
    ) -> Verdict {
        let Some(standing) = self.standings.get_mut(&node) else { return Ok(()) };
        let told = changes
            .into_iter()
            .try_for_each(|change| standing.subscriber.told(&change, &self.canon))
            .and_then(|()| standing.subscriber.caught_up(standing.at));
        told.map_err(|broken| self.violation(node, broken))
    }

    /// What a dispatch came to.
    pub(crate) fn fate(&self, id: u64) -> Option<Fate> {
        self.origins.fate(id)
    }

    /// A dispatch that has no answer yet.
    pub(crate) fn open(&self) -> Option<u64> {
        self.origins.open()
    }

    /// All nodes have settled: at this version, with these digests.
    pub(crate) fn settled(
        &self,
        version: Version,
        digests: impl IntoIterator<Item = (usize, u64)>,
    ) -> Result<Tally, Box<Violation>> {
        for (node, digest) in digests {
            let found = self.canon.digest_at(version, digest);
            found.map_err(|broken| self.violation(node, broken))?;
        }
        let tally = self.origins.settled(version, &self.canon);
        tally.map_err(|broken| self.violation(usize::MAX, broken))
    }

    fn violation(&self, node: usize, (invariant, detail): Broken) -> Box<Violation> {
        let at = self.standings.get(&node).map_or("the store", |standing| &standing.name);
        Box::new(Violation { invariant, at: at.to_owned(), detail })
    }
}

/// Actions applied at one go.
struct Batch<'a> {
    first: u64,
    last: Version,
    actions: &'a [Option<Action>],
}

impl Batch<'_> {
    fn check(
        &self,
        before: Version,
        sequencer: bool,
        canon: &mut Canon,
        origins: &Origins,
    ) -> Result<(), Broken> {
        let broken = |detail: String| Err((Invariant::I1, detail));
        let count = self.last.seq + 1 - self.first;
        if self.first != before.seq + 1 || self.actions.len() as u64 != count {
            let (first, last, actions) = (self.first, self.last, self.actions.len());
            return broken(format!("{actions} actions from {first} to {last:?} after {before:?}"));
        }
        if !sequencer {
            return self.follow(before, canon);
        }
        let mut before = before;
        for (seq, action) in (self.first..).zip(self.actions) {
            let version = Version { seq, ..self.last };
            let Some(action) = action else { return broken(format!("{version:?} is no action")) };
            origins.ordered(action.id)?;
            canon.ordered(before, version, action)?;
            before = version;
        }
        Ok(())
    }

    /// Goes back from the end: the actions of one batch may be of several lives.
    fn follow(&self, before: Version, canon: &Canon) -> Result<(), Broken> {
        let broken = |detail: String| Err((Invariant::I1, detail));
        let mut at = place(self.last);
        for action in self.actions.iter().rev() {
            let (epoch, seq) = at;
            let version = Version { epoch, seq };
            let Some(action) = action else { return broken(format!("{version:?} is no action")) };
            let record = canon.record(version)?;
            if record.id != Some(action.id) {
                let id = action.id;
                return broken(format!("{id:x} is {version:?} here, {:x?} there", record.id));
            }
            let Some(parent) = record.parent else { break };
            at = parent;
        }
        if at == place(before) {
            return Ok(());
        }
        broken(format!("{:?} does not follow from {before:?}", self.last))
    }
}
