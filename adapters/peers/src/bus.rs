//! Replicas over a bus that delivers a message at most once: the root orders.
//!
//! Nodes send what they dispatch to the root, which numbers it, applies it and sends it to all.
//! The bus stores nothing, so a node that misses a number asks the root for a snapshot. A dispatch
//! of which nothing comes back counts as unknown: it was lost on the way to the root, or is late.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::broker::Address;
use crate::replica::{Entry, Replica, Snapshot};

/// The number of actions in one message at most.
const BATCH_MAX: usize = 256;

/// A dispatch of which nothing has come back for this long is given up.
const UNANSWERED: Duration = Duration::from_secs(2);

/// The root says this often how far it is, so that the loss of the last message is noticed.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// A node that has heard nothing for this long connects again.
const SILENCE_MAX: Duration = Duration::from_secs(3);

/// A node asks again for a snapshot that has not come for this long: the root may have been away.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// A node that waits for a snapshot keeps so many messages.
const KEPT_MAX: usize = 100_000;

/// The pause before a lost connection is made again.
const RECONNECT: Duration = Duration::from_millis(50);

/// A connection to a bus.
pub trait Bus: Sized + Send + 'static {
    /// Connects, and subscribes to topics. Messages come by the channel, whose end is that of the
    /// connection.
    fn connect(
        address: &Address,
        topics: Vec<String>,
    ) -> impl Future<Output = anyhow::Result<(Self, mpsc::Receiver<Bytes>)>> + Send;

    /// Sends messages, each to its topic, and returns once the broker has them.
    fn publish(
        &mut self,
        messages: Vec<(String, Bytes)>,
    ) -> impl Future<Output = anyhow::Result<()>> + Send;
}

#[derive(Serialize, Deserialize)]
enum Message {
    /// To the root: dispatches.
    Dispatch(Vec<Entry>),
    /// To the root: a node asks for a snapshot, to be sent to a topic.
    Ask { to: String },
    /// From the root: actions, of which the first has this number in the history, or in mode
    /// snapshot the state after them.
    Actions { history: u64, first: u64, entries: Vec<Entry> },
    /// From the root: the state.
    State { history: u64, snapshot: Snapshot },
}

impl Message {
    fn encoded(&self) -> anyhow::Result<Bytes> {
        Ok(rmp_serde::to_vec(self)?.into())
    }
}

/// The topics of a store, and how many actions its messages hold.
pub struct Topics {
    /// The name of the node.
    pub node: String,
    /// The number of actions in one message at most.
    pub batch: usize,
    /// Tells the histories of a root's incarnations apart.
    pub history: u64,
}

impl Topics {
    /// For a node; `one` means one action in a message.
    pub fn new(node: &str, one: bool) -> Self {
        let history = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Topics {
            // A subject of NATS has no `[`.
            node: node.replace(['.', '[', ']'], "-"),
            batch: if one { 1 } else { BATCH_MAX },
            history: history.unwrap_or_default().as_nanos() as u64,
        }
    }
}

fn up(store: &str) -> String {
    format!("{store}.up")
}

fn down(store: &str) -> String {
    format!("{store}.down")
}

/// Keeps a replica in sync for ever. Dispatches come by `outbox`.
pub async fn follow<B: Bus>(
    replica: Arc<Replica>,
    address: Arc<Address>,
    mut outbox: mpsc::Receiver<Entry>,
    topics: Arc<Topics>,
) {
    let mut said = String::new();
    loop {
        let ended = if replica.spec.root {
            lead::<B>(&replica, &address, &mut outbox, &topics).await
        } else {
            join::<B>(&replica, &address, &mut outbox, &topics).await
        };
        let Err(why) = ended else { return };
        let why = format!("{why:#}");
        if replica.is_connected() || said != why {
            replica.log(format_args!("no connection: {why}"));
        }
        said.clone_from(&why);
        replica.connected(false, &[], &why);
        while outbox.try_recv().is_ok() {} // they were answered just now
        tokio::time::sleep(RECONNECT).await;
    }
}

/// The root: orders, applies and sends.
async fn lead<B: Bus>(
    replica: &Arc<Replica>,
    address: &Address,
    outbox: &mut mpsc::Receiver<Entry>,
    topics: &Topics,
) -> anyhow::Result<()> {
    let (store, history) = (&*replica.spec.name, topics.history);
    let sends_states = replica.spec.mode == "snapshot";
    let (mut bus, mut inbox) = B::connect(address, vec![up(store)]).await?;
    replica.connected(true, &[], "");
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut entries, mut messages) = (Vec::new(), Vec::new());
    loop {
        let first = replica.position() + 1;
        let mut beat = false;
        tokio::select! {
            taken = outbox.recv_many(&mut entries, BATCH_MAX) => if taken == 0 { return Ok(()) },
            taken = inbox.recv_many(&mut messages, BATCH_MAX) => {
                ensure!(taken > 0, "no connection");
            }
            _ = heartbeat.tick() => beat = true,
        }
        let mut askers = Vec::new();
        for message in messages.drain(..) {
            match rmp_serde::from_slice(&message)? {
                Message::Dispatch(more) => entries.extend(more),
                Message::Ask { to } => askers.push(to),
                Message::Actions { .. } | Message::State { .. } => {}
            }
        }
        let mine: Vec<String> = entries.iter().map(|entry| entry.id.clone()).collect();
        replica.apply(&entries, false)?;
        let mut out = Vec::new();
        if sends_states && (!entries.is_empty() || beat) {
            let message = Message::State { history, snapshot: replica.snapshot()? };
            out.push((down(store), message.encoded()?));
            entries.clear();
        }
        let mut number = first;
        while !entries.is_empty() || (beat && out.is_empty()) {
            let rest = entries.split_off(entries.len().min(topics.batch));
            let entries = std::mem::replace(&mut entries, rest);
            let count = entries.len() as u64;
            let message = Message::Actions { history, first: number, entries };
            out.push((down(store), message.encoded()?));
            number += count;
        }
        if !askers.is_empty() {
            let state = Message::State { history, snapshot: replica.snapshot()? }.encoded()?;
            out.extend(askers.into_iter().map(|to| (to, state.clone())));
        }
        bus.publish(out).await?;
        replica.accepted(mine.into_iter());
    }
}

/// Any other node: sends what it dispatches, and applies what the root sends.
async fn join<B: Bus>(
    replica: &Arc<Replica>,
    address: &Address,
    outbox: &mut mpsc::Receiver<Entry>,
    topics: &Topics,
) -> anyhow::Result<()> {
    let store = &*replica.spec.name;
    let mine = format!("{store}.to.{}", topics.node);
    let (mut bus, mut inbox) = B::connect(address, vec![down(store), mine.clone()]).await?;
    let ask = Message::Ask { to: mine.clone() }.encoded()?;
    bus.publish(vec![(up(store), ask.clone())]).await?;
    // The history that the state is of; none while a snapshot is awaited.
    let mut of = None;
    let mut kept = VecDeque::new();
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let (mut oldest, mut heard, mut asked) =
        ((None, Instant::now()), Instant::now(), Instant::now());
    let mut entries = Vec::new();
    loop {
        tokio::select! {
            taken = outbox.recv_many(&mut entries, topics.batch) => {
                if taken == 0 {
                    return Ok(()); // the node ends
                }
                let message = Message::Dispatch(std::mem::take(&mut entries)).encoded()?;
                bus.publish(vec![(up(store), message)]).await?;
            }
            message = inbox.recv() => {
                heard = Instant::now();
                let message = message.context("no connection")?;
                let gap = match rmp_serde::from_slice(&message)? {
                    Message::State { history, snapshot } => {
                        if of != Some(history) || snapshot.position > replica.position() {
                            replica.jump(&snapshot, true)?;
                        }
                        of = Some(history);
                        let mut gap = false;
                        for (first, entries) in kept.drain(..) {
                            gap = gap || !take(replica, first, entries)?;
                        }
                        if !gap {
                            replica.connected(true, &[], "");
                        }
                        gap
                    }
                    Message::Actions { history, first, entries } if of == Some(history) => {
                        !take(replica, first, entries)?
                    }
                    Message::Actions { history, .. } if of.is_some_and(|of| of != history) => true,
                    Message::Actions { first, entries, .. } => {
                        kept.push_back((first, entries));
                        ensure!(kept.len() <= KEPT_MAX, "no snapshot came");
                        false
                    }
                    Message::Dispatch(_) | Message::Ask { .. } => false, // to the root
                };
                if gap {
                    replica.log("a message is missing");
                    replica.connected(false, &[], "a message is missing");
                    of = None;
                    asked = Instant::now();
                    bus.publish(vec![(up(store), ask.clone())]).await?;
                }
            }
            _ = tick.tick() => {
                ensure!(heard.elapsed() < SILENCE_MAX, "nothing was heard of the root");
                if of.is_none() && asked.elapsed() > ASK_AGAIN {
                    asked = Instant::now();
                    bus.publish(vec![(up(store), ask.clone())]).await?;
                }
                let now = replica.oldest_waiting();
                if now != oldest.0 {
                    oldest = (now, Instant::now());
                } else if oldest.1.elapsed() > UNANSWERED
                    && let (Some(id), _) = &oldest
                {
                    replica.give_up(id, "nothing came back");
                }
            }
        }
    }
}

/// Applies actions that follow, or are older. Returns false if there is a gap before them.
fn take(replica: &Replica, first: u64, mut entries: Vec<Entry>) -> anyhow::Result<bool> {
    let next = replica.position() + 1;
    if first > next {
        return Ok(false);
    }
    let known = usize::try_from(next - first)?.min(entries.len());
    entries.drain(..known);
    replica.apply(&entries, true)?;
    Ok(true)
}
