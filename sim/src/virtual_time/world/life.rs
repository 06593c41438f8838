//! Processes start, die, pause, and choose their upstreams.

use std::time::Duration;

use samestate_proto::replication::Replica;
use samestate_proto::with_causes;
use samestate_proto::{Epoch, NodeId, TOKEN_KEY_BYTES, TokenKey};

use super::links::{CLIENT, SERVER};
use super::seat::{Running, Upstream, origin};
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
        (place.alive, place.life) = (true, place.life + 1);
        let life = place.life;
        for seat in place.seats.clone() {
            self.seat_down(seat);
        }
        let tick = self.rng.micros(100, 10_000);
        self.heap.push(self.now + tick, Event::Tick { host, life });
        self.notice(|| Notice::Lives { host });
        for seat in self.hosts[host].seats.clone() {
            self.reconnect(seat, Duration::from_micros(100));
            self.watch(seat);
        }
    }

    /// Puts a new replica at a seat.
    fn seat_down(&mut self, seat: usize) {
        let mishap = Mishap::default();
        let mut replica = self.replica_of(seat, &mishap);
        match self.seats[seat].spec.durable && replica.is_sequencer() {
            true => self.begin_disk(seat, &mut replica),
            // It may have become a client while its process was gone.
            false => self.seats[seat].disk = None,
        }
        self.begins(seat, &replica);
        let (version, sequencer) = (replica.version(), replica.is_sequencer());
        let witness = self.clock.is_some().then(|| self.witness_of(seat, &replica));
        let tap = Tap::new(sequencer, witness.clone());
        let mut running = Running::new(replica, tap.clone(), mishap);
        running.replica.set_observer(Box::new(tap));
        running.replica.set_changes_wanted(true);
        let place = &mut self.seats[seat];
        (place.running, place.witness) = (Some(running), witness);
        let name = place.spec.name.clone();
        let origin = origin(seat, self.hosts[place.spec.host].life);
        self.check(seat, |checker, view, _| {
            checker.started(view, &name, origin);
            Ok(())
        });
        let place = &self.seats[seat];
        if self.slipped.contains(&place.spec.config.store) {
            self.checker.excuse(seat);
        }
        let words = if sequencer { "orders" } else { "follows" };
        self.say(seat, || {
            Moment::new(What::Life(true), format!("starts at {version:?}, {words}")).at(version)
        });
    }

    /// Tells the checker of a life that begins.
    fn begins(&mut self, seat: usize, replica: &Replica<ErasedMachine>) {
        let spec = &self.seats[seat].spec;
        let store = &spec.config.store;
        let of_it = self.seats.iter().map(|place| &place.spec);
        let mut roots = of_it.filter(|spec| spec.config.store == *store && spec.upstream.is_none());
        let durable = roots.all(|root| root.durable);
        let again = (self.hosts[spec.host].life > 1 && !spec.durable).then_some(self.now);
        let facts = self.checker.facts(store);
        facts.durable = durable;
        if replica.is_sequencer() {
            facts.begins(&spec.config, again);
        }
    }

    fn witness_of(&self, seat: usize, replica: &Replica<ErasedMachine>) -> Witness {
        let spec = &self.seats[seat].spec;
        let name = &*self.hosts[spec.host].spec.name;
        let (clock, at) = (self.clock(), (replica.version(), replica.history()));
        if !replica.is_sequencer() {
            return Witness::of_replica(name, clock, at.0, at.1);
        }
        let kept = crate::invariants::KEPT_BYTES_MAX;
        let epoch = replica.lineage().head().unwrap_or(at.0.epoch);
        Witness::of_root(&spec.config.store, name, clock, at, epoch, kept)
    }

    fn replica_of(&mut self, seat: usize, mishap: &Mishap) -> Replica<ErasedMachine> {
        let place = &self.seats[seat];
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
        if let Err(violation) = self.checker.continued(seat, epoch, image.version, &state) {
            self.broken(violation);
        }
        self.moments.restores += 1;
        self.check_kept(seat, &image);
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
        let life = place.life;
        self.moments.kills += 1;
        for seat in self.hosts[host].seats.clone() {
            if let Some(running) = self.seats[seat].running.take() {
                self.moments.replicas.add(&running.replica.counters());
            }
            self.checker.died(seat, origin(seat, life));
            self.lose_writes(seat);
            self.say(seat, || Moment::new(What::Life(false), "is killed"));
        }
        for end in self.ends_at(host) {
            let Some(connection) = self.connections.get_mut(end.connection) else { continue };
            let gone = connection.end_mut(end.side);
            gone.closed = true;
            self.checker.link_down(end, gone.seat);
            connection.lose(end.side);
            let seat = connection.end(end.side).seat;
            if connection.is_over() {
                self.connections.remove(end.connection);
                continue;
            }
            let latency = connection.model().latency;
            let wait =
                if silent { self.link_deadline(seat) } else { latency + self.rng.micros(0, 1000) };
            self.heap.push(self.now + wait, Event::Closed(end.peer()));
        }
    }

    fn ends_at(&self, host: usize) -> Vec<EndId> {
        let seats = &self.hosts[host].seats;
        let all = self.connections.iter().flat_map(|(connection, found)| {
            let at = |side| {
                let end = found.end(side);
                seats.contains(&end.seat) && !end.closed
            };
            let here = [CLIENT, SERVER].into_iter().filter(move |side| at(*side));
            here.map(move |side| EndId { connection, side })
        });
        all.collect()
    }

    /// Returns the time at which a dead link is ended by itself, whatever a replica does.
    pub(super) fn link_deadline(&mut self, seat: usize) -> Duration {
        self.seats[seat].spec.config.dead_after * 2 + self.rng.micros(0, 20_000)
    }

    pub(super) fn tick(&mut self, host: usize) {
        let life = self.hosts[host].life;
        let mut every = Duration::MAX;
        for at in 0..self.hosts[host].seats.len() {
            let seat = self.hosts[host].seats[at];
            every = every.min(self.seats[seat].spec.config.heartbeat / 3);
            self.step(seat, |replica, now| replica.tick(now));
            self.tell(seat);
            self.check(seat, |checker, view, _| checker.ticked(view));
            self.check_links(seat);
        }
        if every < Duration::MAX {
            self.heap.push(self.now + every, Event::Tick { host, life });
        }
    }

    /// A process stands still.
    pub(super) fn pause(&mut self, host: usize, lasts: Duration) {
        let place = &mut self.hosts[host];
        if !place.alive || place.paused_until.is_some() {
            return;
        }
        place.paused_until = Some(self.now + lasts);
        let life = place.life;
        for seat in place.seats.clone() {
            self.say(seat, || Moment::new(What::Paused(true), format!("stands still {lasts:?}")));
        }
        self.heap.push(self.now + lasts, Event::Resume { host, life });
    }

    /// Lets it continue, with the events that came meanwhile.
    pub(super) fn resume(&mut self, host: usize) {
        let place = &mut self.hosts[host];
        if place.paused_until.take().is_none() {
            return;
        }
        let mut backlog = std::mem::take(&mut place.backlog);
        for seat in place.seats.clone() {
            self.say(seat, || Moment::new(What::Paused(false), "goes on"));
        }
        // What woke first is a matter of chance: its timers, or its sockets.
        if self.rng.percent(50) {
            backlog.sort_by_key(|event| !matches!(event, Event::Tick { .. }));
        }
        for event in backlog {
            self.heap.push(self.now, event);
        }
    }

    /// A seat follows another one from now on. A sequencer becomes its client.
    pub fn follow(&mut self, seat: usize, upstream: Upstream) {
        let store = self.seats[seat].spec.config.store.clone();
        self.checker.facts(&store).moves(self.now);
        self.moved.insert(store);
        let before = self.seats[seat].spec.upstream.replace(upstream);
        let witness = self.clock.is_some();
        let Some(running) = &self.seats[seat].running else { return };
        let (link, root) = (running.upstream, running.replica.is_sequencer());
        let name = self.seats[upstream.seat].spec.name.clone();
        self.say(seat, || Moment::new(What::Link, format!("follows {name} from now on")));
        if root {
            self.moments.rebases += 1;
            self.checker.rebased(seat, self.now);
            let Some(running) = &self.seats[seat].running else { return };
            let (version, history) = (running.replica.version(), running.replica.history());
            let host = &self.hosts[self.seats[seat].spec.host];
            let clock = self.clock();
            let witness =
                witness.then(|| Witness::of_replica(&*host.spec.name, clock, version, history));
            running.tap.follows(witness.clone());
            self.seats[seat].witness = witness;
            // It will restart as a follower.
            (self.seats[seat].backup, self.seats[seat].disk) = (None, None);
            self.step(seat, |replica, now| replica.follow(now));
            self.check(seat, |checker, view, _| checker.abandoned(view));
        } else if before.is_some_and(|before| before.seat != upstream.seat) {
            self.moments.moves += 1;
        }
        match link {
            Some(connection) => self.close(EndId { connection, side: CLIENT }, None),
            None => self.reconnect(seat, Duration::from_micros(100)),
        }
    }

    /// Returns the upstream of a seat.
    pub fn upstream(&self, seat: usize) -> Option<Upstream> {
        self.seats[seat].spec.upstream
    }
}

/// Returns the token key of an epoch: its own random id, because the simulation has no attackers.
fn token_key(epoch: Epoch) -> TokenKey {
    let mut random = [0; TOKEN_KEY_BYTES];
    random[..8].copy_from_slice(&epoch.id.to_le_bytes());
    TokenKey::new(random)
}
