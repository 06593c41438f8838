//! Observation of a replica's step, and of its requests.

use std::time::Duration;

use samestate_proto::replication::{LinkFault, LinkId, Output, Replica, Report, Resolution};

use super::disk::Disk;
use super::{Done, Event, Notice, World};
use crate::faults::KillMoment;
use crate::virtual_time::check::{Checker, Seen, Told, Verdict, View};
use crate::virtual_time::machine::ErasedMachine;
use crate::virtual_time::network::EndId;
use crate::virtual_time::trace::{Moment, What};

impl World {
    /// Hands an input to the replica at a slot, holds what it did against the history, and carries
    /// out what it asks for. `None`: there is no process.
    pub(super) fn step<T>(
        &mut self,
        slot: usize,
        input: impl FnOnce(&mut Replica<ErasedMachine>, Duration) -> T,
    ) -> Option<T> {
        let place = &mut self.slots[slot];
        let now = self.hosts[place.spec.host].clock(self.now);
        let running = place.running.as_mut()?;
        let result = input(&mut running.replica, now);
        self.watch(slot);
        Some(result)
    }

    pub(super) fn watch(&mut self, slot: usize) {
        let changed = self.look(slot);
        if !self.slots[slot].spec.slow_subscriber && changed {
            self.tell(slot);
        }
        let Some(running) = &mut self.slots[slot].running else { return };
        let outputs = running.replica.take_outputs();
        self.check(slot, |checker, view, _| {
            checker.asked(view, &outputs)?;
            checker.stepped(view)
        });
        for output in outputs {
            self.carry_out(slot, output);
        }
        self.write_if_due(slot);
    }

    /// Holds a replica against what it should be, as it is now.
    pub(super) fn check(
        &mut self,
        slot: usize,
        check: impl FnOnce(&mut Checker, &View<'_>, Duration) -> Verdict,
    ) {
        let place = &self.slots[slot];
        let Some(running) = &place.running else { return };
        let view = View {
            slot,
            now: self.hosts[place.spec.host].clock(self.now),
            replica: &running.replica,
            on_disk: place.disk.as_ref().map(Disk::last),
        };
        if let Err(violation) = check(&mut self.checker, &view, self.now) {
            self.broken(violation);
        }
    }

    /// Holds what happened to the state against the canonical history. Whether anything did.
    fn look(&mut self, slot: usize) -> bool {
        let Some(running) = &self.slots[slot].running else { return false };
        let mut told = std::mem::take(&mut self.told);
        told.clear();
        let changed = running.tap.take(&mut told);
        if changed {
            let sequencer = running.replica.is_sequencer();
            if let Err(violation) = self.checker.seen(slot, &told, sequencer) {
                self.seen(slot, &told);
                self.broken(violation);
            } else {
                self.seen(slot, &told);
                self.back_up_if_due(slot);
                if sequencer {
                    self.comes(slot, KillMoment::Ordered);
                }
            }
        }
        self.told = told;
        let Some(running) = &self.slots[slot].running else { return changed };
        let replica = &running.replica;
        let digest = || replica.machine().still().digest_or_zero();
        let stands = match changed {
            true => self.checker.stands(slot, replica.version(), digest),
            // Nothing was seen to happen: its version has to be what it was.
            false => self.checker.stays(slot, replica.version()),
        };
        if let Err(violation) = stands {
            self.broken(violation);
        }
        changed
    }

    fn seen(&mut self, slot: usize, told: &Told) {
        let mut start = 0;
        for seen in &told.seen {
            let (version, history) = match seen {
                Seen::Applied { last, history, .. } => (last, history),
                Seen::Jumped { to, history, .. } => (to, history),
            };
            self.mix(slot as u64 ^ self.now.as_nanos() as u64);
            self.mix(version.epoch.id ^ version.seq ^ history);
            if let Seen::Applied { first, last, count, .. } = *seen {
                self.say(slot, || {
                    let ids = told.actions(start, count).map(|action| format!("{:x}", action.id));
                    let ids = ids.collect::<Vec<_>>().join(" ");
                    let text = format!("applies {first} to {last:?}: {ids}");
                    Moment::new(What::Applied, text).at(last)
                });
                start += count;
            } else if let Seen::Jumped { from, to, .. } = *seen {
                self.say(slot, || {
                    Moment::new(What::Jumped, format!("jumps from {from:?} to {to:?}")).at(to)
                });
            }
        }
    }

    /// The subscriber of a slot takes what it is told. With nothing to take, it has been told all.
    pub(super) fn tell(&mut self, slot: usize) {
        let durable = self.slots[slot].disk.is_some();
        let Some(running) = &mut self.slots[slot].running else { return };
        let on_disk = durable.then(|| running.replica.shown());
        let events_max = running.replica.config().events_max;
        let has_changes = running.replica.has_changes();
        let changes = if has_changes { running.replica.take_changes() } else { Default::default() };
        if let Err(violation) = self.checker.told(slot, changes, on_disk, events_max) {
            self.broken(violation);
        }
        if has_changes {
            self.notice(|| Notice::Told { slot });
        }
    }

    fn carry_out(&mut self, slot: usize, output: Output<ErasedMachine>) {
        match output {
            Output::Wake(link) => self.wake(EndId::of(link)),
            Output::Cut(link, fault) => self.cut_off(slot, link, fault),
            Output::Run(job) => {
                // Most states are small, and some take long.
                let slow = self.rng.percent(5);
                let cost =
                    if slow { self.rng.micros(1500, 20_000) } else { self.rng.micros(10, 1500) };
                let incarnation = self.hosts[self.slots[slot].spec.host].incarnation;
                let digest = !job.is_cut();
                let replaced = self.checker.replaced(slot);
                let done = Box::new(Done { job: job.run(), cost, digest, replaced });
                self.heap.push(self.now + cost, Event::Finish { slot, incarnation, done });
            }
            Output::Resolved { ticket, resolution } => {
                self.say(slot, || {
                    Moment::new(What::Resolved, format!("{ticket:x} is {resolution:?}"))
                });
                self.resolved(slot, ticket, resolution);
            }
            Output::Connected(connected) => {
                let word = if connected { "in sync" } else { "not in sync" };
                self.say(slot, || Moment::new(What::InSync(connected), word));
            }
            Output::Report(report) => self.reported(slot, &report),
            Output::Note(_) => {}
        }
    }

    fn cut_off(&mut self, slot: usize, link: LinkId, fault: LinkFault) {
        let end = EndId::of(link);
        let ours = self.connections.get(end.connection);
        if ours.is_some_and(|connection| connection.end(end.side).slot == slot) {
            self.close(end, Some(fault));
        }
    }

    pub(super) fn resolved(&mut self, slot: usize, id: u64, resolution: Resolution) {
        let Some(running) = &self.slots[slot].running else { return };
        let local = running.replica.version();
        self.mix(id ^ self.now.as_nanos() as u64);
        self.check(slot, |checker, view, _| checker.resolved(view, id, &resolution));
        self.notice(|| Notice::Resolved { slot, id, resolution, local });
    }

    /// Keeps what a sequencer has now as its backup, if it is time for one.
    fn back_up_if_due(&mut self, slot: usize) {
        let place = &self.slots[slot];
        let (Some(every), Some(running)) = (place.spec.backup_every, &place.running) else {
            return;
        };
        let seq = running.replica.version().seq;
        if running.replica.is_sequencer() && seq >= running.backed_up + every {
            self.back_up(slot);
        }
    }

    pub(super) fn back_up(&mut self, slot: usize) {
        let place = &mut self.slots[slot];
        let running = place.running.as_mut().filter(|found| found.replica.is_sequencer());
        if let Some(running) = running {
            running.backed_up = running.replica.version().seq;
            place.backup = Some((running.replica.image(), running.replica.machine().still()));
        }
    }

    fn reported(&mut self, slot: usize, report: &Report) {
        self.say(slot, || Moment::new(What::Report, report.to_string()));
        match report {
            Report::HistoryLost { .. } => self.moments.histories_lost += 1,
            Report::FailedHere { .. } => self.moments.failed_here += 1,
            Report::NonDeterministic(_) => self.moments.non_deterministic += 1,
            Report::FedBySnapshots => self.moments.fed_by_snapshots += 1,
            Report::Diverged(_)
            | Report::PanicUndone(_)
            | Report::Poisoned(_)
            | Report::Unrestorable { .. }
            | Report::Unproved(_)
            | Report::FellBehind { .. }
            | Report::FellOffAgain { .. }
            | Report::Refuses(_) => {}
        }
    }
}
