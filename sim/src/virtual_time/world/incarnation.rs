//! Processes start, die, pause, and choose their upstreams.

use std::time::Duration;

use samestate_proto::replication::Replica;
use samestate_proto::with_causes;
use samestate_proto::{Epoch, NodeId, TOKEN_KEY_BYTES, TokenKey};

use super::links::{CLIENT, SERVER};
use super::slot::{Running, Upstream, origin};
use super::{Event, Notice, World};
use crate::invariants::{Invariant, Violation, Witness};
use crate::virtual_time::check::Tap;
use crate::virtual_time::machine::{ErasedMachine, Mishap};
use crate::virtual_time::network::EndId;
use crate::virtual_time::trace::{Moment, What};

impl World {
    /// Starts a process at a host where there is none.
    pub fn start(&mut self, host: usize) {
        let place = &mut self.hosts[host];
        if place.alive {
            return;
        }
        (place.alive, place.incarnation) = (true, place.incarnation + 1);
        let incarnation = place.incarnation;
        for slot in place.slots.clone() {
            self.slot_down(slot);
        }
        let tick = self.rng.micros(100, 10_000);
        self.heap.push(self.now + tick, Event::Tick { host, incarnation });
        self.notice(|| Notice::Lives { host });
        for slot in self.hosts[host].slots.clone() {
            self.reconnect(slot, Duration::from_micros(100));
            self.watch(slot);
        }
    }

    /// Puts a new replica at a slot.
    fn slot_down(&mut self, slot: usize) {
        let mishap = Mishap::default();
        let mut replica = self.replica_of(slot, &mishap);
        match self.slots[slot].spec.durable && replica.is_sequencer() {
            true => self.begin_disk(slot, &mut replica),
            // It may have become a client while its process was gone.
            false => self.slots[slot].disk = None,
        }
        self.begins(slot, &replica);
        let (version, sequencer) = (replica.version(), replica.is_sequencer());
        let witness = self.clock.is_some().then(|| self.witness_of(slot, &replica));
        let tap = Tap::new(sequencer, witness.clone());
        let mut running = Running::new(replica, tap.clone(), mishap);
        running.replica.set_observer(Box::new(tap));
        running.replica.set_changes_wanted(true);
        let place = &mut self.slots[slot];
        (place.running, place.witness) = (Some(running), witness);
        let name = place.spec.name.clone();
        let origin = origin(slot, self.hosts[place.spec.host].incarnation);
        self.check(slot, |checker, view, _| {
            checker.started(view, &name, origin);
            Ok(())
        });
        let place = &self.slots[slot];
        if self.slipped.contains(&place.spec.config.store) {
            self.checker.excuse(slot);
        }
        let words = if sequencer { "orders" } else { "follows" };
        self.say(slot, || {
            Moment::new(What::Up(true), format!("starts at {version:?}, {words}")).at(version)
        });
    }

    /// Tells the checker of an incarnation that begins.
    fn begins(&mut self, slot: usize, replica: &Replica<ErasedMachine>) {
        let spec = &self.slots[slot].spec;
        let store = &spec.config.store;
        let of_it = self.slots.iter().map(|place| &place.spec);
        let mut roots = of_it.filter(|spec| spec.config.store == *store && spec.upstream.is_none());
        let durable = roots.all(|root| root.durable);
        let again = (self.hosts[spec.host].incarnation > 1 && !spec.durable).then_some(self.now);
        let facts = self.checker.facts(store);
        facts.durable = durable;
        if replica.is_sequencer() {
            facts.begins(&spec.config, again);
        }
    }

    fn witness_of(&self, slot: usize, replica: &Replica<ErasedMachine>) -> Witness {
        let spec = &self.slots[slot].spec;
        let name = &*self.hosts[spec.host].spec.name;
        let (clock, at) = (self.clock(), (replica.version(), replica.history()));
        if !replica.is_sequencer() {
            return Witness::of_replica(name, clock, at.0, at.1);
        }
        let kept = crate::invariants::KEPT_BYTES_MAX;
        let epoch = replica.lineage().head().unwrap_or(at.0.epoch);
        Witness::of_root(&spec.config.store, name, clock, at, epoch, kept)
    }

    fn replica_of(&mut self, slot: usize, mishap: &Mishap) -> Replica<ErasedMachine> {
        let place = &self.slots[slot];
        let now = self.hosts[place.spec.host].clock(self.now);
        let (config, kind) = (place.spec.config.clone(), place.spec.kind);
        let follows = place.spec.upstream.is_some();
        let backup = match &place.disk {
            Some(disk) => match disk.restored(mishap) {
                Ok(found) => Some(found),
                Err(fault) => {
                    let (invariant, at) = (Invariant::I3, place.spec.name.clone());
                    let detail = format!("its journal cannot be replayed: {}", with_causes(&fault));
                    self.fails(Violation { invariant, at, detail });
                    None
                }
            },
            None => place.backup.clone(),
        };
        let id = NodeId(self.rng.any());
        let subject = ErasedMachine::new(kind, mishap.clone());
        if follows {
            return Replica::follower(config, id, subject, now);
        }
        let Some((image, state)) = backup else {
            let epoch = Epoch { number: 1, id: self.rng.any() };
            self.checker.founded(epoch, kind);
            return Replica::sequencer(config, id, subject, epoch, token_key(epoch), now);
        };
        let number = image.lineage.head().map_or(1, |head| head.number + 1);
        let epoch = Epoch { number, id: self.rng.any() };
        if let Err(violation) = self.checker.continued(slot, epoch, image.version, &state) {
            self.broken(violation);
        }
        self.moments.restores += 1;
        self.check_kept(slot, &image);
        let subject = ErasedMachine::from_still(&state, mishap.clone());
        Replica::restored(config, id, subject, &image, epoch, token_key(epoch), now)
    }

    /// Kills the process of a host. `silent`: its peers notice by themselves.
    pub(super) fn kill(&mut self, host: usize, silent: bool) {
        let place = &mut self.hosts[host];
        if !std::mem::take(&mut place.alive) {
            return;
        }
        place.paused_until = None;
        place.backlog.clear();
        let incarnation = place.incarnation;
        self.moments.kills += 1;
        for slot in self.hosts[host].slots.clone() {
            if let Some(running) = self.slots[slot].running.take() {
                self.moments.replicas.add(&running.replica.counters());
            }
            self.checker.died(slot, origin(slot, incarnation));
            self.lose_writes(slot);
            self.say(slot, || Moment::new(What::Up(false), "is killed"));
        }
        for end in self.ends_at(host) {
            let Some(connection) = self.connections.get_mut(end.connection) else { continue };
            let gone = connection.end_mut(end.side);
            gone.closed = true;
            self.checker.link_down(end, gone.slot);
            connection.lose(end.side);
            let slot = connection.end(end.side).slot;
            if connection.is_over() {
                self.connections.remove(end.connection);
                continue;
            }
            let latency = connection.model().latency;
            let wait =
                if silent { self.link_deadline(slot) } else { latency + self.rng.micros(0, 1000) };
            self.heap.push(self.now + wait, Event::Closed(end.peer()));
        }
    }

    fn ends_at(&self, host: usize) -> Vec<EndId> {
        let slots = &self.hosts[host].slots;
        let all = self.connections.iter().flat_map(|(connection, found)| {
            let at = |side| {
                let end = found.end(side);
                slots.contains(&end.slot) && !end.closed
            };
            let here = [CLIENT, SERVER].into_iter().filter(move |side| at(*side));
            here.map(move |side| EndId { connection, side })
        });
        all.collect()
    }

    /// Returns the time at which a dead link is ended by itself, whatever a replica does.
    pub(super) fn link_deadline(&mut self, slot: usize) -> Duration {
        self.slots[slot].spec.config.dead_after * 2 + self.rng.micros(0, 20_000)
    }

    pub(super) fn tick(&mut self, host: usize) {
        let incarnation = self.hosts[host].incarnation;
        let mut every = Duration::MAX;
        for at in 0..self.hosts[host].slots.len() {
            let slot = self.hosts[host].slots[at];
            every = every.min(self.slots[slot].spec.config.heartbeat / 3);
            self.step(slot, |replica, now| replica.tick(now));
            self.tell(slot);
            self.check(slot, |checker, view, _| checker.ticked(view));
            self.check_links(slot);
        }
        if every < Duration::MAX {
            self.heap.push(self.now + every, Event::Tick { host, incarnation });
        }
    }

    /// A process stands still.
    pub(super) fn pause(&mut self, host: usize, lasts: Duration) {
        let place = &mut self.hosts[host];
        if !place.alive || place.paused_until.is_some() {
            return;
        }
        place.paused_until = Some(self.now + lasts);
        let incarnation = place.incarnation;
        for slot in place.slots.clone() {
            self.say(slot, || Moment::new(What::Paused(true), format!("stands still {lasts:?}")));
        }
        self.heap.push(self.now + lasts, Event::Resume { host, incarnation });
    }

    /// Lets it continue, with the events that came meanwhile.
    pub(super) fn resume(&mut self, host: usize) {
        let place = &mut self.hosts[host];
        if place.paused_until.take().is_none() {
            return;
        }
        let mut backlog = std::mem::take(&mut place.backlog);
        for slot in place.slots.clone() {
            self.say(slot, || Moment::new(What::Paused(false), "goes on"));
        }
        // What woke first is a matter of chance: its timers, or its sockets.
        if self.rng.percent(50) {
            backlog.sort_by_key(|event| !matches!(event, Event::Tick { .. }));
        }
        for event in backlog {
            self.heap.push(self.now, event);
        }
    }

    /// A slot follows another one from now on. A sequencer becomes its client.
    pub fn follow(&mut self, slot: usize, upstream: Upstream) {
        let store = self.slots[slot].spec.config.store.clone();
        self.checker.facts(&store).moves(self.now);
        self.moved.insert(store);
        let before = self.slots[slot].spec.upstream.replace(upstream);
        let witness = self.clock.is_some();
        let Some(running) = &self.slots[slot].running else { return };
        let (link, root) = (running.upstream, running.replica.is_sequencer());
        let name = self.slots[upstream.slot].spec.name.clone();
        self.say(slot, || Moment::new(What::Link, format!("follows {name} from now on")));
        if root {
            self.moments.rebases += 1;
            self.checker.rebased(slot, self.now);
            let Some(running) = &self.slots[slot].running else { return };
            let (version, history) = (running.replica.version(), running.replica.history());
            let host = &self.hosts[self.slots[slot].spec.host];
            let clock = self.clock();
            let witness =
                witness.then(|| Witness::of_replica(&*host.spec.name, clock, version, history));
            running.tap.follows(witness.clone());
            self.slots[slot].witness = witness;
            // It will restart as a follower.
            (self.slots[slot].backup, self.slots[slot].disk) = (None, None);
            self.step(slot, |replica, now| replica.follow(now));
            self.check(slot, |checker, view, _| checker.abandoned(view));
        } else if before.is_some_and(|before| before.slot != upstream.slot) {
            self.moments.moves += 1;
        }
        match link {
            Some(connection) => self.close(EndId { connection, side: CLIENT }, None),
            None => self.reconnect(slot, Duration::from_micros(100)),
        }
    }

    /// Returns the upstream of a slot.
    pub fn upstream(&self, slot: usize) -> Option<Upstream> {
        self.slots[slot].spec.upstream
    }
}

/// Returns the token key of an epoch: its own random id, because the simulation has no attackers.
fn token_key(epoch: Epoch) -> TokenKey {
    let mut random = [0; TOKEN_KEY_BYTES];
    random[..8].copy_from_slice(&epoch.id.to_le_bytes());
    TokenKey::new(random)
}
