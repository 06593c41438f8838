//! Processes start, die, pause, and choose whom they follow.

use std::time::Duration;

use samestate::replication::{Epoch, NodeId, Replica};

use super::node::Process;
use super::{Event, World, watch};
use crate::virtual_time::check::Tap;
use crate::virtual_time::machine::{Mishap, State, Subject};
use crate::virtual_time::network::EndId;

impl World {
    /// Starts a process at a node where there is none.
    pub(super) fn start(&mut self, node: usize, from_backup: bool) {
        let place = &mut self.nodes[node];
        if place.process.is_some() {
            return;
        }
        place.life += 1;
        let (tap, mishap) = (Tap::default(), Mishap::default());
        let mut replica = self.replica_of(node, from_backup, &mishap);
        replica.set_observer(Box::new(tap.clone()));
        replica.set_changes_wanted(true);
        let place = &mut self.nodes[node];
        self.checker.started(node, &place.spec.name, replica.version());
        let version = replica.version();
        place.process = Some(Process::new(replica, tap, mishap));
        let life = place.life;
        self.say(|| format!("n{node} starts life {life} at {version:?}"));
        let tick = self.dice.micros(100, 10_000);
        self.heap.push(self.now + tick, Event::Tick { node, life });
        self.reconnect(node, Duration::from_micros(100));
        self.watch(node);
    }

    fn replica_of(&mut self, node: usize, from_backup: bool, mishap: &Mishap) -> Replica<Subject> {
        let now = self.now;
        let id = NodeId(self.dice.any());
        let spec = self.nodes[node].spec.clone();
        let empty = State::new(spec.state_padding_bytes);
        if spec.upstream.is_some() {
            let subject = Subject::new(State::default(), mishap.clone());
            return Replica::follower(spec.config, id, subject, now);
        }
        let backup = self.nodes[node].backup.clone().filter(|_| from_backup);
        let Some((image, state)) = backup else {
            let epoch = Epoch { number: 1, id: self.dice.any() };
            self.checker.founded(epoch, empty.clone());
            let subject = Subject::new(empty, mishap.clone());
            return Replica::sequencer(spec.config, id, subject, epoch, now);
        };
        let number = image.lineage.head().map_or(1, |head| head.number + 1);
        let epoch = Epoch { number, id: self.dice.any() };
        self.checker.continued(epoch, image.version);
        self.moments.restores += 1;
        let subject = Subject::new(state, mishap.clone());
        Replica::restored(spec.config, id, subject, &image, epoch, now)
    }

    /// Kills the process of a node. `silent`: its peers notice by themselves.
    pub(super) fn kill(&mut self, node: usize, silent: bool) {
        let place = &mut self.nodes[node];
        let Some(process) = place.process.take() else { return };
        let origin = place.origin(node);
        place.paused = false;
        place.backlog.clear();
        self.moments.kills += 1;
        watch::add(&mut self.moments.replicas, &process.replica.counters());
        self.checker.died(node, origin);
        self.say(|| format!("n{node} is killed"));
        let ends = self.ends_at(node);
        for end in ends {
            let Some(connection) = self.connections.get_mut(&end.connection) else { continue };
            connection.end_mut(end.side).closed = true;
            connection.lose(end.side);
            if connection.is_over() {
                self.connections.remove(&end.connection);
                continue;
            }
            let wait = match silent {
                true => self.link_deadline(node),
                false => connection.weather().latency + self.dice.micros(0, 1000),
            };
            self.heap.push(self.now + wait, Event::Closed(end.peer()));
        }
    }

    fn ends_at(&self, node: usize) -> Vec<EndId> {
        let sides = [super::links::CLIENT, super::links::SERVER];
        let all = self.connections.iter().flat_map(|(connection, found)| {
            let at = |side| found.end(side).node == node && !found.end(side).closed;
            let here = sides.into_iter().filter(move |side| at(*side));
            here.map(|side| EndId { connection: *connection, side })
        });
        all.collect()
    }

    /// When a link that has gone dead is ended by itself, whatever a replica does.
    pub(super) fn link_deadline(&mut self, node: usize) -> Duration {
        self.nodes[node].spec.config.dead_after * 2 + self.dice.micros(0, 20_000)
    }

    pub(super) fn tick(&mut self, node: usize) {
        let place = &self.nodes[node];
        let (life, every) = (place.life, place.spec.config.heartbeat / 3);
        self.heap.push(self.now + every, Event::Tick { node, life });
        self.step(node, |replica, now| replica.tick(now));
        self.tell(node);
    }

    /// A process stands still.
    pub(super) fn pause(&mut self, node: usize, lasts: Duration) {
        let place = &mut self.nodes[node];
        if place.process.is_none() || place.paused {
            return;
        }
        place.paused = true;
        let life = place.life;
        self.say(|| format!("n{node} is paused for {lasts:?}"));
        self.heap.push(self.now + lasts, Event::Resume { node, life });
    }

    /// It goes on, with what happened meanwhile.
    pub(super) fn resume(&mut self, node: usize) {
        let place = &mut self.nodes[node];
        if !std::mem::take(&mut place.paused) {
            return;
        }
        let mut backlog = std::mem::take(&mut place.backlog);
        self.say(|| format!("n{node} goes on"));
        // What woke first is a matter of chance: its timers, or its sockets.
        if self.dice.percent(50) {
            backlog.sort_by_key(|event| !matches!(event, Event::Tick { .. }));
        }
        for event in backlog {
            self.heap.push(self.now, event);
        }
    }

    /// A node follows another one from now on.
    pub(super) fn follow(&mut self, node: usize, upstream: usize) {
        self.nodes[node].spec.upstream = Some(upstream);
        let Some(process) = &self.nodes[node].process else { return };
        let (link, root) = (process.upstream, process.replica.is_sequencer());
        self.say(|| format!("n{node} follows n{upstream}"));
        if root {
            self.moments.rebases += 1;
            self.checker.rebased(node);
            self.step(node, |replica, now| replica.follow(now));
        }
        match link {
            Some(connection) => self.close(EndId { connection, side: super::links::CLIENT }, None),
            None => self.reconnect(node, Duration::from_micros(100)),
        }
    }

    /// Makes sure that a node follows `upstream`.
    pub fn settle_under(&mut self, node: usize, upstream: usize) {
        if self.nodes[node].spec.upstream != Some(upstream) {
            self.follow(node, upstream);
        }
    }
}
