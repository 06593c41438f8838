//! A store of a node: its state, its place in the history, and its dispatches under way.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;
use parking_lot::Mutex;
use samestate_sim::load::{Reducer, Registry, Shipped, Visitor, decode, encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::protocol::{Node, Spec};

/// An action under its id, encoded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The id of the dispatch.
    pub id: String,
    /// The action, as MessagePack.
    #[serde(with = "serde_bytes")]
    pub action: Vec<u8>,
}

/// A state and its place in the history.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// The number of actions in it.
    pub position: u64,
    /// The id of the last of them; empty for none.
    pub last: String,
    /// The state, as MessagePack.
    #[serde(with = "serde_bytes")]
    pub state: Vec<u8>,
}

/// A state with its reducer, the types hidden.
trait Machine: Send {
    fn apply(&mut self, action: &[u8]) -> anyhow::Result<()>;
    fn json(&self) -> anyhow::Result<Value>;
    fn save(&self) -> anyhow::Result<Vec<u8>>;
    fn load(&mut self, state: &[u8]) -> anyhow::Result<()>;
    fn clear(&mut self);
}

struct Typed<R: Reducer>(R::State);

impl<R: Reducer> Machine for Typed<R> {
    fn apply(&mut self, action: &[u8]) -> anyhow::Result<()> {
        // An action that the reducer rejects changes nothing, here as everywhere.
        let _ = R::reduce(&mut self.0, &decode::<R::Action>(action)?);
        Ok(())
    }

    fn json(&self) -> anyhow::Result<Value> {
        Ok(serde_json::to_value(&self.0)?)
    }

    fn save(&self) -> anyhow::Result<Vec<u8>> {
        Ok(encode(&self.0)?)
    }

    fn load(&mut self, state: &[u8]) -> anyhow::Result<()> {
        self.0 = decode(state)?;
        Ok(())
    }

    fn clear(&mut self) {
        self.0 = R::State::default();
    }
}

type Encode = fn(&RawValue) -> anyhow::Result<Vec<u8>>;

struct Open;

impl Visitor for Open {
    type Output = (Box<dyn Machine>, Encode);

    fn visit<R: Reducer>(self) -> Self::Output {
        let encode: Encode = |json| {
            let action: R::Action = serde_json::from_str(json.get())?;
            Ok(encode(&action)?)
        };
        (Box::new(Typed::<R>(R::State::default())), encode)
    }
}

/// A store of a node.
pub struct Replica {
    /// Its place in the scenario.
    pub spec: Spec,
    node: Node,
    encode: Encode,
    inner: Mutex<Inner>,
    /// The stores of the node that were never in sync.
    missing: Arc<AtomicUsize>,
}

struct Inner {
    machine: Box<dyn Machine>,
    position: u64,
    last: String,
    connected: bool,
    was_connected: bool,
    /// The dispatches of this node under way, oldest first.
    waiting: VecDeque<String>,
}

impl Replica {
    /// Opens the stores of a node, which is ready once each was in sync.
    pub fn open_all(specs: &[Spec], node: &Node) -> anyhow::Result<Vec<Arc<Self>>> {
        let missing = Arc::new(AtomicUsize::new(specs.len()));
        let open = |spec: &Spec| {
            let known = Shipped::visit(&spec.reducer, Open);
            let (machine, encode) =
                known.ok().with_context(|| format!("no reducer {}", spec.reducer))?;
            let (spec, node) = (spec.clone(), node.clone());
            let inner = Mutex::new(Inner {
                machine,
                position: 0,
                last: String::new(),
                connected: false,
                was_connected: false,
                waiting: VecDeque::new(),
            });
            Ok(Arc::new(Replica { spec, node, encode, inner, missing: Arc::clone(&missing) }))
        };
        specs.iter().map(open).collect()
    }

    /// Takes a dispatch: returns what to send, unless the store is not in sync.
    pub fn dispatch(&self, id: String, action: &RawValue) -> anyhow::Result<Option<Entry>> {
        let action = (self.encode)(action)?;
        let mut inner = self.inner.lock();
        if !inner.connected {
            self.node.error(&self.spec.name, &id, "not_connected", "");
            return Ok(None);
        }
        inner.waiting.push_back(id.clone());
        Ok(Some(Entry { id, action }))
    }

    /// Applies actions to the state, from one position after the present one on. Those of this
    /// node are accepted by that if `accepts`.
    pub fn apply(&self, entries: &[Entry], accepts: bool) -> anyhow::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut inner = self.inner.lock();
        for entry in entries {
            inner.machine.apply(&entry.action)?;
        }
        inner.position += entries.len() as u64;
        inner.last = entries.last().map(|entry| entry.id.clone()).unwrap_or_default();
        if !inner.was_connected {
            return Ok(()); // what it reads before it is ready is told as one jump
        }
        let ids = || entries.iter().map(|entry| entry.id.clone());
        self.node.applied(&self.spec.name, ids().collect());
        if accepts {
            self.accept(&mut inner, ids());
        }
        Ok(())
    }

    /// Replaces the state.
    pub fn jump(&self, to: &Snapshot, accepts: bool) -> anyhow::Result<()> {
        let mut inner = self.inner.lock();
        match &*to.state {
            [] => inner.machine.clear(),
            state => inner.machine.load(state)?,
        }
        let is_same = inner.position == to.position && inner.last == to.last;
        (inner.position, inner.last) = (to.position, to.last.clone());
        if !is_same && inner.was_connected {
            let last = (!to.last.is_empty()).then_some(&*to.last);
            self.node.jumped(&self.spec.name, to.position, last);
        }
        if accepts {
            self.accept(&mut inner, [to.last.clone()].into_iter());
        }
        Ok(())
    }

    /// Reports that the dispatches are in the history.
    pub fn accepted(&self, ids: impl Iterator<Item = String>) {
        self.accept(&mut self.inner.lock(), ids);
    }

    fn accept(&self, inner: &mut Inner, ids: impl Iterator<Item = String>) {
        // Answers come in the order of the dispatches, but some may be missing.
        let mine = ids.filter(|id| match inner.waiting.iter().position(|waiting| waiting == id) {
            Some(0) => inner.waiting.pop_front().is_some(),
            Some(index) => inner.waiting.remove(index).is_some(),
            None => false,
        });
        let mine: Vec<String> = mine.collect();
        if !mine.is_empty() {
            self.node.ok(&self.spec.name, mine);
        }
    }

    /// Reports that the store is in sync, or is no longer. In the latter case nobody knows what
    /// became of the dispatches under way, unless they are `kept` to be sent again.
    pub fn connected(&self, connected: bool, kept: &[Entry], why: &str) {
        let mut inner = self.inner.lock();
        if !connected {
            let waiting = std::mem::take(&mut inner.waiting);
            for id in waiting {
                if kept.iter().any(|entry| entry.id == id) {
                    inner.waiting.push_back(id);
                } else {
                    self.node.error(&self.spec.name, &id, "unknown", why);
                }
            }
        }
        let is_first = connected && !std::mem::replace(&mut inner.was_connected, true);
        if is_first && inner.position > 0 {
            self.node.jumped(&self.spec.name, inner.position, Some(&inner.last));
        }
        if std::mem::replace(&mut inner.connected, connected) != connected {
            self.node.connected(&self.spec.name, connected);
        }
        if is_first && self.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.node.ready();
        }
    }

    /// Gives up on a dispatch under way.
    pub fn give_up(&self, id: &str, why: &str) {
        let mut inner = self.inner.lock();
        if let Some(index) = inner.waiting.iter().position(|waiting| waiting == id) {
            inner.waiting.remove(index);
            self.node.error(&self.spec.name, id, "unknown", why);
        }
    }

    /// Returns whether the store is in sync.
    pub fn is_connected(&self) -> bool {
        self.inner.lock().connected
    }

    /// The oldest dispatch under way.
    pub fn oldest_waiting(&self) -> Option<String> {
        self.inner.lock().waiting.front().cloned()
    }

    /// The number of actions in the state.
    pub fn position(&self) -> u64 {
        self.inner.lock().position
    }

    /// The state and its place.
    pub fn snapshot(&self) -> anyhow::Result<Snapshot> {
        let inner = self.inner.lock();
        let (position, last) = (inner.position, inner.last.clone());
        Ok(Snapshot { position, last, state: inner.machine.save()? })
    }

    /// Calls `tell` with the state.
    pub fn with_state(&self, tell: impl FnOnce(&Value)) -> anyhow::Result<()> {
        let inner = self.inner.lock();
        tell(&inner.machine.json()?);
        Ok(())
    }

    /// Writes a line into the node's log.
    pub fn log(&self, text: impl std::fmt::Display) {
        self.node.log(format_args!("{}: {text}", self.spec.name));
    }
}
