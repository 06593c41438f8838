//! The plan's faults and events, as they come due.

use std::time::Duration;

use super::{Act, Simulation};
use crate::faults::{Cut, Fault, Kill, PULSE, SlowReader, Target};
use crate::scenario::{Event, NodeId};
use crate::virtual_time::world::{InjectedFault, Upstream};

impl Simulation<'_> {
    pub(super) fn begin_faults(&mut self, start: Duration) {
        for (number, timed) in self.plan.faults.iter().enumerate() {
            self.agenda.push(start + timed.at, Act::Fault { fault: number });
        }
        for (number, timed) in self.plan.events.iter().enumerate() {
            self.agenda.push(start + timed.at, Act::Event { event: number });
        }
    }

    /// Injects a fault of the plan.
    pub(super) fn inject(&mut self, number: usize) {
        let done = match &self.plan.faults[number].fault {
            Fault::Cut(Cut { link, lasts }) => {
                let mut done = 0;
                for slot in self.clients_of(*link) {
                    let (loses_up, loses_down) = (self.rng.percent(50), self.rng.percent(70));
                    let cut = InjectedFault::Cut { slot, loses_up, loses_down, lasts: *lasts };
                    done += u64::from(self.world.inject(cut));
                }
                counted(done, "connection cut")
            }
            Fault::Kill(Kill { node, moment: Some(moment), .. }) => {
                self.aimed.insert(node.index(), number);
                self.world.aim(node.index(), Some(*moment));
                let why = format!("the moment `{}` did not come", moment.name());
                return self.faults.not_injected(number, why);
            }
            Fault::Kill(Kill { node, restart_after, silent, moment: None }) => {
                self.kill(*node, *restart_after, *silent)
            }
            Fault::Churn(churn) => self.kill(churn.worker, Some(churn.restart_after), false),
            Fault::SlowReader(slow) => {
                self.pulse_later(slow);
                self.inject_at_target(&self.plan.faults[number].fault)
            }
            fault => self.inject_at_target(fault),
        };
        self.noted(number, done);
    }

    /// Has a process that is slow stand still again and again.
    fn pulse_later(&mut self, slow: &SlowReader) {
        let (SlowReader::Node { node, lasts, .. }, Some(still)) = (slow, slow.still()) else {
            return;
        };
        let (mut at, host) = (PULSE, node.index());
        while at < *lasts {
            let still = still.min(*lasts - at);
            self.agenda.push(self.world.now() + at, Act::Pulse { host, still });
            at += PULSE;
        }
    }

    /// A slow process stands still once more.
    pub(super) fn pulse(&mut self, host: usize, still: Duration) {
        self.world.inject(InjectedFault::Pause { host, lasts: still });
    }

    /// The moment has come that a fault waits for: a process is killed.
    pub(super) fn moment(&mut self, host: usize) {
        let Some(number) = self.aimed.remove(&host) else { return };
        if let Fault::Kill(kill) = &self.plan.faults[number].fault {
            let done = self.kill(kill.node, kill.restart_after, kill.silent);
            self.noted(number, done);
        }
    }

    /// No moment is waited for any more.
    pub(super) fn end_aims(&mut self) {
        for (host, _) in std::mem::take(&mut self.aimed) {
            self.world.aim(host, None);
        }
    }

    fn noted(&mut self, number: usize, done: Option<String>) {
        let at = self.since_start();
        match done {
            Some(evidence) => {
                self.faults.injected(number, at, evidence);
                if let Some(lasts) = self.plan.faults[number].fault.lasts() {
                    let ends = self.world.now() + lasts;
                    self.agenda.push(ends, Act::FaultEnds { fault: number });
                }
            }
            None => self.faults.not_injected(number, "there was nothing that it could happen to"),
        }
    }

    /// A fault is over.
    pub(super) fn fault_ends(&mut self, number: usize) {
        let at = self.since_start();
        self.faults.ended(number, at);
    }

    /// All replicas that follow another over this link.
    fn clients_of(&self, link: usize) -> Vec<usize> {
        let over = |slot: &usize| {
            self.world.upstream(*slot).is_some_and(|upstream| upstream.link == Some(link))
        };
        (0..self.placement.len()).filter(over).collect()
    }

    /// Injects a fault at all that it strikes. Returns what it was, if there was anything.
    fn inject_at_target(&mut self, fault: &Fault) -> Option<String> {
        let places = match fault.target() {
            Target::Link(link) => self.clients_of(link),
            Target::Node(node) => vec![node.index()],
            Target::Replica(node, store) => self.placement.slot(node, store).into_iter().collect(),
        };
        let (mut done, mut what) = (0, "");
        for at in places {
            let (injected, word) = fault.simulated(at)?;
            what = word;
            done += u64::from(self.world.inject(injected));
        }
        if let Target::Replica(_, store) = fault.target()
            && fault.spoils_state()
            && done > 0
        {
            self.slipped.insert(store.to_owned());
        }
        counted(done, what)
    }

    fn kill(&mut self, node: NodeId, lasts: Option<Duration>, silent: bool) -> Option<String> {
        // Workers end with their master.
        let planned = self.plan.node(node);
        let mut nodes = vec![node];
        if planned.is_master() {
            nodes.extend(self.plan.workers(&planned.cluster).map(|worker| worker.id));
        }
        let mut done = 0;
        for node in nodes {
            let host = node.index();
            if self.world.is_alive(host) {
                self.hand_over(host, false);
                let streams = self.forget_pending(host);
                done += u64::from(self.world.inject(InjectedFault::Kill { host, silent, lasts }));
                self.loads_died(host, streams);
            }
        }
        counted(done, "process killed")
    }

    /// Makes an event of the plan happen.
    pub(super) fn event(&mut self, number: usize) {
        // What was handed over before it belongs to the trees as they were.
        self.hand_over_all(Duration::from_nanos(1));
        let Event::CreateClient { client, link } = self.plan.events[number].event;
        let planned = &self.plan.links[link];
        for store in &planned.stores {
            let slots =
                (self.placement.slot(client, store), self.placement.slot(planned.server, store));
            if let (Some(slot), Some(server)) = slots {
                self.world.follow(slot, Upstream { slot: server, link: Some(link) });
            }
        }
        self.eras[client.index()] += 1;
    }
}

fn counted(done: u64, what: &str) -> Option<String> {
    match done {
        0 => None,
        1 => Some(format!("1 {what}")),
        more => Some(format!("{more} × {what}")),
    }
}
