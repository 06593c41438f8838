//! A store of a program, as its lines tell of it.

mod node;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use samestate::DispatchError;
use samestate_proto::{Epoch, Version};
use serde_json::Value;
use tokio::sync::{oneshot, watch};

use super::canonical;
use super::ids::{Actions, Id, Series};
use super::messages::{FromProgram, Numbered, OfStore, Refusal, RefusalKind, ToProgram};
use super::process::{Listener, Program};
use crate::control::now_ns;
use crate::invariants::{History, KEPT_BYTES_MAX, Ledger, Testimony};
use crate::load::{Params, Reducer};
use crate::node::store::Place;
use crate::record::Recorder;
use crate::scenario::{NodeId, Plan};

/// Versions at programs are positions in one history.
const EPOCH: Epoch = Epoch { number: 1, id: 1 };

/// The number of dispatches of a store that a program has under way at most.
const UNDER_WAY_MAX: usize = 1 << 16;

/// The time that a program has to send a state.
const STATE_MAX: Duration = Duration::from_secs(25);

/// After a digest, the next one is asked for when so many times the time that it took has passed.
const DIGEST_SHARE: u64 = 50;

/// A store of a program, with its reducer's types.
pub(super) struct ProgramStore<R: Reducer> {
    name: Arc<str>,
    /// The number of the node, for ids.
    node_number: u32,
    /// The incarnation of the node: later incarnations have higher numbers.
    incarnation: u64,
    program: Program,
    recorder: Recorder,
    opening: Vec<R::Action>,
    told: Mutex<Told<R>>,
    connected: watch::Sender<bool>,
    changed: watch::Sender<u64>,
}

/// The state of the store, as the program has told so far.
struct Told<R: Reducer> {
    seen: Testimony,
    position: u64,
    /// The number of times that the state was replaced by another.
    jumps: u64,
    under_way: HashMap<Id, UnderWay>,
    /// The number of the newest action of each series in the state here, as far as is known.
    newest: HashMap<Series, u64>,
    twice: Twice,
    /// At the root: the actions behind ids.
    actions: Option<Actions<R>>,
    states: Vec<oneshot::Sender<(Version, Value)>>,
    digest: DigestTurn,
    mirrored: u64,
}

/// The actions that were applied here although the state had them.
#[derive(Default)]
struct Twice {
    count: u64,
    first: Option<(Id, u64)>,
}

/// A dispatch under way.
struct UnderWay {
    resolve: oneshot::Sender<Result<Version, DispatchError>>,
    /// The program has said `ok`.
    accepted: bool,
    /// The version at which it was applied here.
    applied: Option<Version>,
    /// The number of jumps before it was dispatched.
    jumps: u64,
}

/// The time at which to ask for a digest.
#[derive(Default)]
struct DigestTurn {
    asked_ns: Option<u64>,
    next_ns: u64,
    last: Option<Version>,
    never: bool,
}

fn version(position: u64) -> Version {
    Version { epoch: EPOCH, seq: position }
}

/// A dispatch under way, as loads see it.
pub(super) struct Answer(Result<oneshot::Receiver<Resolved>, Resolved>);

type Resolved = Result<Version, DispatchError>;

impl Future for Answer {
    type Output = Resolved;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Resolved> {
        match &mut self.0 {
            Ok(waiting) => std::pin::Pin::new(waiting)
                .poll(context)
                .map(|resolved| resolved.unwrap_or(Err(DispatchError::OutcomeUnknown))),
            Err(known) => std::task::Poll::Ready(known.clone()),
        }
    }
}

impl<R: Reducer> ProgramStore<R> {
    /// The store `name` of a program that was just started at a node.
    pub(super) fn new(
        plan: &Plan,
        name: &str,
        (node, incarnation): (NodeId, u64),
        program: &Program,
        is_root: bool,
    ) -> Arc<Self> {
        let node_name = plan.node(node).name.clone();
        let mut seen = Testimony::of(&*node_name);
        seen.timeline.applied(now_ns(), version(0), 0);
        if is_root {
            seen.ledger = Some(Ledger::of(name));
            // A mirror's actions are other stores' states, which the root does not know.
            let is_mirror = plan.mirrors.iter().any(|mirror| mirror.to == name);
            seen.history = (!is_mirror).then(|| History::bounded(KEPT_BYTES_MAX));
        }
        let state_bytes = plan.stores.get(name).and_then(|store| store.size_bytes);
        let params = Params { state_bytes, ..Params::default() };
        let told = Told {
            seen,
            position: 0,
            jumps: 0,
            newest: HashMap::new(),
            twice: Twice::default(),
            under_way: HashMap::new(),
            actions: is_root.then(|| Actions::of(plan, name)),
            states: Vec::new(),
            digest: DigestTurn::default(),
            mirrored: 0,
        };
        Arc::new(ProgramStore {
            name: name.into(),
            recorder: Recorder::new(&node_name),
            node_number: node.0,
            incarnation,
            program: program.clone(),
            opening: R::opening(&params),
            told: Mutex::new(told),
            connected: watch::Sender::new(true),
            changed: watch::Sender::new(0),
        })
    }

    fn send(&self, id: Id, action: &R::Action) -> Answer {
        let Ok(action) = serde_json::to_value(action) else {
            let why = "the action has no form in JSON".to_owned();
            return Answer(Err(Err(DispatchError::Invalid(why))));
        };
        let mut told = self.told.lock();
        let under_way = told.under_way.len();
        if under_way >= UNDER_WAY_MAX {
            return Answer(Err(Err(DispatchError::Busy(under_way))));
        }
        let (resolve, resolved) = oneshot::channel();
        let jumps = told.jumps;
        told.under_way.insert(id, UnderWay { resolve, accepted: false, applied: None, jumps });
        // Under the lock, so that the order of the lines is that of the calls.
        self.program.dispatch(&self.name, Numbered { id: id.to_string(), action });
        Answer(Ok(resolved))
    }

    fn id(&self, place: Place) -> Id {
        let Place { stream, first, n } = place;
        Id { series: Series::Load { stream, incarnation: self.incarnation, first }, n }
    }

    /// Asks for the state: `None` if it does not come.
    async fn state(&self) -> Option<(Version, Value)> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut told = self.told.lock();
            told.states.push(sender);
            self.program.tell(ToProgram::State(OfStore { store: self.name.to_string() }));
        }
        tokio::time::timeout(STATE_MAX, receiver).await.ok()?.ok()
    }

    fn accepted(&self, ids: &[String]) -> Result<(), String> {
        let mut told = self.told.lock();
        let jumps = told.jumps;
        for text in ids {
            let known = text.parse().ok().filter(|id| told.under_way.contains_key(id));
            let Some(id) = known else { return Err(not_under_way(text)) };
            let entry = told.under_way.get_mut(&id).expect("it was just there");
            if std::mem::replace(&mut entry.accepted, true) {
                return Err(format!("`{text}` was answered before"));
            }
            match entry.applied {
                Some(at) => told.resolve(&id, Ok(at)),
                // The state that came may have it or not.
                None if entry.jumps < jumps => {
                    told.resolve(&id, Err(DispatchError::OutcomeUnknown))
                }
                None => {}
            }
        }
        Ok(())
    }

    fn refused(&self, refusal: Refusal) -> Result<(), String> {
        let mut told = self.told.lock();
        let known = refusal.id.parse().ok().filter(|id| told.under_way.contains_key(id));
        let Some(id) = known else { return Err(not_under_way(&refusal.id)) };
        let error = match refusal.kind {
            RefusalKind::NotConnected => DispatchError::NotConnected,
            RefusalKind::Busy => DispatchError::Busy(told.under_way.len()),
            RefusalKind::Rejected => DispatchError::Rejected(refusal.message),
            RefusalKind::Unknown => DispatchError::OutcomeUnknown,
        };
        told.resolve(&id, Err(error));
        Ok(())
    }

    fn applied(&self, ids: &[String]) -> Result<(), String> {
        let t_ns = now_ns();
        let mut told = self.told.lock();
        let first = told.position + 1;
        let mut ordered = Vec::new();
        for text in ids {
            let Ok(id) = text.parse::<Id>() else {
                return Err(format!("`{text}` is the id of no dispatch"));
            };
            told.position += 1;
            let at = version(told.position);
            told.seen.timeline.applied(t_ns, at, id.fingerprint());
            told.note(id);
            if let Some(actions) = &mut told.actions {
                ordered.push((id, actions.payload(&id)));
            }
            if let Some(entry) = told.under_way.get_mut(&id) {
                entry.applied.get_or_insert(at);
                if entry.accepted {
                    told.resolve(&id, Ok(at));
                }
            }
        }
        if ids.is_empty() {
            return Ok(());
        }
        let last = version(told.position);
        told.seen.continuity.applied(first, last);
        if ordered.iter().any(|(_, payload)| payload.is_none()) {
            told.seen.history = None;
        }
        if let Some(history) = &mut told.seen.history {
            let payloads = ordered.iter().filter_map(|(_, payload)| payload.as_deref());
            history.ordered(first, last, payloads);
        }
        if let Some(ledger) = &mut told.seen.ledger {
            // Where the action is not known, the text of its id stands for it, as at its origin.
            let entries = ordered.iter().zip(ids).map(|((id, payload), text)| {
                let payload = payload.as_deref().unwrap_or(text.as_bytes());
                (id.session(), id.n + 1, payload)
            });
            ledger.ordered(first, last, entries);
        }
        drop(told);
        self.changed.send_replace(t_ns);
        Ok(())
    }

    fn jumped(&self, position: u64, last: Option<&str>) -> Result<(), String> {
        let last = match last {
            Some(text) => match text.parse::<Id>() {
                Ok(id) => Some(id),
                Err(()) => return Err(format!("`{text}` is the id of no dispatch")),
            },
            None if position == 0 => None,
            None => return Err("`last` has to name the last action of the new state".to_owned()),
        };
        let history = last.map_or(0, |id| id.fingerprint());
        let t_ns = now_ns();
        let mut told = self.told.lock();
        let (from, to) = (version(told.position), version(position));
        told.position = position;
        told.jumps += 1;
        if position < from.seq {
            told.newest.clear(); // what comes again was taken back before
        }
        if let Some(id) = last {
            told.newest.insert(id.series, id.n);
            if let Some(entry) = told.under_way.get_mut(&id) {
                entry.applied = Some(to);
            }
        }
        told.seen.timeline.jumped(t_ns, from, to, history);
        told.seen.continuity.jumped(from, to);
        let accepted = told.under_way.iter().filter(|(_, entry)| entry.accepted);
        let accepted: Vec<_> = accepted.map(|(id, entry)| (*id, entry.applied)).collect();
        for (id, applied) in accepted {
            // The new state may have one that is not its last or not.
            told.resolve(&id, applied.ok_or(DispatchError::OutcomeUnknown));
        }
        drop(told);
        self.changed.send_replace(t_ns);
        Ok(())
    }

    fn digest(&self, digest: Option<&str>) -> Result<(), String> {
        let now = now_ns();
        let mut told = self.told.lock();
        let at = version(told.position);
        let turn = &mut told.digest;
        let Some(asked_ns) = turn.asked_ns.take() else {
            return Err("no digest was asked for".to_owned());
        };
        turn.next_ns = now + (now - asked_ns) * DIGEST_SHARE;
        let Some(hex) = digest else {
            turn.never = true;
            return Ok(());
        };
        let Some(digest) = canonical::parse(hex) else {
            return Err("a digest is a SHA-256 in hexadecimal, or null".to_owned());
        };
        turn.last = Some(at);
        drop(told);
        self.recorder.digest(at, digest);
        Ok(())
    }
}

fn not_under_way(id: &str) -> String {
    format!("no dispatch `{id}` of this node is under way")
}

impl<R: Reducer> Told<R> {
    /// Notes that the action of an id was applied: the numbers of a series rise, so one that does
    /// not was in the state before.
    fn note(&mut self, id: Id) {
        let position = self.position;
        match self.newest.get_mut(&id.series) {
            Some(newest) if id.n <= *newest => {
                self.twice.count += 1;
                self.twice.first.get_or_insert((id, position));
            }
            Some(newest) => *newest = id.n,
            None => {
                self.newest.insert(id.series, id.n);
            }
        }
    }

    fn resolve(&mut self, id: &Id, resolved: Resolved) {
        if let Some(entry) = self.under_way.remove(id) {
            // The load may have been stopped.
            let _ = entry.resolve.send(resolved);
        }
    }
}

impl<R: Reducer> Listener for ProgramStore<R> {
    fn hear(&self, line: FromProgram) -> Result<(), String> {
        match line {
            FromProgram::Ok(of) => self.accepted(&of.ids),
            FromProgram::Error(refusal) => self.refused(refusal),
            FromProgram::Applied(of) => self.applied(&of.ids),
            FromProgram::Jumped(of) => self.jumped(of.position, of.last.as_deref()),
            FromProgram::Connected(of) => {
                self.connected.send_replace(of.connected);
                Ok(())
            }
            FromProgram::State(of) => {
                let mut told = self.told.lock();
                let at = version(told.position);
                if told.states.is_empty() {
                    return Err("no state was asked for".to_owned());
                }
                // It may have been waited for too long.
                let _ = told.states.remove(0).send((at, of.state));
                Ok(())
            }
            FromProgram::Digest(of) => self.digest(of.digest.as_deref()),
            FromProgram::Ready(_) | FromProgram::Log(_) => Ok(()), // of no store
        }
    }
}
