//! Things go wrong, and are put right.

use std::time::Duration;

use super::links::{CLIENT, SERVER};
use super::{Event, World};
use crate::invariants::{Invariant, Violation};
use crate::virtual_time::check::Tally;
use crate::virtual_time::fault::Fault;
use crate::virtual_time::machine::Mishap;
use crate::virtual_time::network::EndId;

impl World {
    /// Lets something go wrong.
    pub fn inject(&mut self, fault: Fault) {
        self.say(|| format!("-- {fault:?}"));
        match fault {
            Fault::Cut { node, loses_up, loses_down } => self.cut(node, loses_up, loses_down),
            Fault::Stall { node, up, down, lasts } => self.stall(node, up, down, lasts),
            Fault::Swallow { node } => self.swallow(node),
            Fault::Corrupt { node, up } => {
                let side = if up { CLIENT } else { SERVER };
                if let Some((_, connection)) = self.link_of(node) {
                    connection.trouble(side).corrupt = true;
                }
            }
            Fault::Partition { node, lasts } => {
                self.nodes[node].partitioned_until = self.now + lasts;
                self.cut(node, true, true);
            }
            Fault::Kill { node, silent, from_backup, lasts } => {
                self.kill(node, silent);
                let life = self.nodes[node].life;
                self.heap.push(self.now + lasts, Event::Restart { node, life, from_backup });
            }
            Fault::Backup { node } => self.back_up(node),
            Fault::Pause { node, lasts } => self.pause(node, lasts),
            Fault::Follow { node, upstream } => self.follow(node, upstream),
            Fault::Slip { node } => self.mishap(node, Mishap::SLIP),
            Fault::Fail { node } => self.mishap(node, Mishap::FAIL),
        }
    }

    /// The next action, or every one, goes wrong at a node that is no sequencer.
    pub fn mishap(&mut self, node: usize, what: u8) {
        let Some(process) = &self.nodes[node].process else { return };
        if !process.replica.is_sequencer() {
            process.mishap.set(what);
            if what == Mishap::ALWAYS_SLIP {
                self.checker.excuse(node);
            }
        }
    }

    fn link_of(
        &mut self,
        node: usize,
    ) -> Option<(u64, &mut crate::virtual_time::network::Connection)> {
        let connection = self.nodes[node].process.as_ref()?.upstream?;
        self.connections.get_mut(&connection).map(|found| (connection, found))
    }

    fn cut(&mut self, node: usize, loses_up: bool, loses_down: bool) {
        let Some((connection, found)) = self.link_of(node) else { return };
        if loses_up {
            found.lose(CLIENT);
        }
        if loses_down {
            found.lose(SERVER);
        }
        for side in [CLIENT, SERVER] {
            let wait = self.dice.micros(0, 3000);
            self.heap.push(self.now + wait, Event::Closed(EndId { connection, side }));
        }
    }

    fn stall(&mut self, node: usize, up: bool, down: bool, lasts: Duration) {
        let until = self.now + lasts;
        let Some((_, found)) = self.link_of(node) else { return };
        if up {
            found.trouble(CLIENT).stalled_until = until;
        }
        if down {
            found.trouble(SERVER).stalled_until = until;
        }
    }

    fn swallow(&mut self, node: usize) {
        let wait = self.link_deadline(node);
        let now = self.now;
        let Some((connection, found)) = self.link_of(node) else { return };
        for side in [CLIENT, SERVER] {
            found.trouble(side).swallowed = true;
        }
        for side in [CLIENT, SERVER] {
            self.heap.push(now + wait, Event::Closed(EndId { connection, side }));
        }
    }

    fn back_up(&mut self, node: usize) {
        let place = &mut self.nodes[node];
        if let Some(process) = place.process.as_ref().filter(|found| found.replica.is_sequencer()) {
            let state = process.replica.machine().state().clone();
            place.backup = Some((process.replica.image(), state));
        }
    }

    /// Puts right what is wrong: processes go on, links carry bytes again.
    pub fn heal(&mut self) {
        self.say(|| "-- all is put right".to_owned());
        for connection in self.connections.values_mut() {
            for side in [CLIENT, SERVER] {
                let trouble = connection.trouble(side);
                trouble.stalled_until = Duration::ZERO;
                trouble.corrupt = false;
            }
        }
        for node in 0..self.nodes.len() {
            self.nodes[node].partitioned_until = Duration::ZERO;
            self.resume(node);
            self.start(node, true);
        }
    }

    /// Why this is not yet what it should become once all is put right; `None` if it is.
    pub fn unsettled(&self) -> Option<String> {
        let root = self.nodes.iter().find(|node| node.spec.upstream.is_none());
        let Some(root) = root.and_then(|node| node.process.as_ref()) else {
            return Some("there is no sequencer".to_owned());
        };
        let (version, state) = (root.replica.version(), root.replica.machine().state());
        for (number, node) in self.nodes.iter().enumerate() {
            let Some(process) = &node.process else { return Some(format!("n{number} is gone")) };
            let replica = &process.replica;
            let why = if !replica.connected() {
                "is not in sync".to_owned()
            } else if replica.version() != version {
                format!("is at {:?}, and the sequencer at {version:?}", replica.version())
            } else if replica.machine().state() != state {
                format!("has another state at {version:?}")
            } else if replica.under_way() > 0 {
                "has dispatches under way".to_owned()
            } else {
                continue;
            };
            return Some(format!("n{number} {why}"));
        }
        self.checker.open().map(|id| format!("{id:x} has no answer"))
    }

    /// Lets all settle, within `most`, and holds the outcome against the history.
    pub fn settle(&mut self, most: Duration) -> Result<Tally, Box<Violation>> {
        let settled = self.run_while(most, |world| world.unsettled().is_some());
        if let Some(violation) = self.violation.clone() {
            return Err(violation);
        }
        if !settled {
            let detail = format!("not after {most:?}: {}", self.unsettled().unwrap_or_default());
            let violation = Violation { invariant: Invariant::I7, at: "the store".into(), detail };
            self.broken(Box::new(violation.clone()));
            return Err(Box::new(violation));
        }
        let digests = self.nodes.iter().enumerate().filter_map(|(number, node)| {
            Some((number, node.process.as_ref()?.replica.machine().state().digest()))
        });
        let version = self.nodes[0].process.as_ref().map(|found| found.replica.version());
        let tally = self.checker.settled(version.unwrap_or_default(), digests);
        if let Ok(tally) = &tally {
            self.moments.dispatches = *tally;
        }
        tally
    }
}
