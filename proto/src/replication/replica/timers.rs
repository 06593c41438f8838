//! Time: heartbeats, dead peers, deadlines, and the pressure of slow links.

use std::time::Duration;

use super::Replica;
use super::outputs::wake;
use crate::mutant::mutant;
use crate::replication::{LinkFault, LinkId, Output, StateMachine};
use crate::wire::Message;

/// A link with this many bytes of answers unsent gets no credit.
pub(super) const CONTROL_BYTES_MAX: usize = 256 << 10;

/// An interrupted snapshot is kept for this many times `dead_after`.
pub(super) const KEPT_FOR: u32 = 6;

/// A relay holds at most about this many bytes of dispatches on their way up.
pub(super) const FORWARDS_BYTES_MAX: usize = 1 << 20;

/// The credit of one link, in bytes of dispatches: between these, by the room in the log.
const CREDIT_BYTES: std::ops::RangeInclusive<usize> = (16 << 10)..=(256 << 10);

impl<M: StateMachine> Replica<M> {
    /// Does what is due at this time.
    pub(super) fn pass_time(&mut self) {
        let now = self.now;
        let slept = now.saturating_sub(self.ticked_at) > self.config.dead_after / 2;
        self.ticked_at = now;
        if slept {
            self.forgive();
        }
        self.beat();
        self.bury();
        self.origin.expire(now);
        self.expire_deferred();
        if self.condition.is_connected() {
            self.origin.inquire(now, self.config.dead_after);
        }
        self.snapshots.expire_interrupted(now, self.config.dead_after.saturating_mul(KEPT_FOR));
        self.hold_log();
        self.relieve();
        self.take_back_snapshots();
        self.grant_all();
    }

    /// This process was stopped itself: what its peers said meanwhile is still unread.
    fn forgive(&mut self) {
        let now = self.now;
        if !mutant!(OnlyUpstreamForgiven) {
            self.downstreams.values_mut().for_each(|downstream| downstream.heard_at = now);
        }
        if let Some(upstream) = &mut self.upstream {
            upstream.heard_at = now;
        }
    }

    fn beat(&mut self) {
        let (now, every) = (self.now, self.config.heartbeat);
        let ahead = mutant!(StatusAheadOfDisk);
        let message = Message::Heartbeat {
            seq: if ahead { self.position.version.seq } else { self.shown() },
        };
        for (link, downstream) in &mut self.downstreams {
            let idle = downstream.attached() && downstream.control.is_empty();
            if idle && now.saturating_sub(downstream.sent_at) >= every {
                downstream.say(self.channel, &message);
                wake(&mut self.outputs, *link, downstream, now);
            }
        }
        let idle = self.upstream.as_ref().is_some_and(|upstream| {
            upstream.control.is_empty() && now.saturating_sub(upstream.sent_at) >= every
        });
        if idle && !mutant!(NoHeartbeatUp) {
            self.say_upstream(|_| message);
        }
    }

    fn bury(&mut self) {
        let (now, after) = (self.now, self.config.dead_after);
        let after = if mutant!(BuriedEarly) { after / 2 } else { after };
        let silent = |heard_at: Duration| {
            let silence = now.saturating_sub(heard_at);
            (silence > after).then_some(LinkFault::Silent(silence))
        };
        for (link, downstream) in &mut self.downstreams {
            if let Some(fault) = silent(downstream.heard_at) {
                downstream.heard_at = now;
                self.outputs.push(Output::Cut(*link, fault));
            }
        }
        if let Some(upstream) = &mut self.upstream
            && let Some(fault) = silent(upstream.heard_at)
        {
            let silence = now.saturating_sub(upstream.heard_at);
            upstream.heard_at = now;
            let answered = upstream.status.is_some();
            let fault = if answered { fault } else { LinkFault::Unanswered(silence) };
            self.outputs.push(Output::Cut(upstream.link, fault));
        }
    }

    /// Looks whether a moving link nears the end of the log, each time the log has grown a bit.
    pub(super) fn check_pressure(&mut self) {
        let step = (self.config.log_bytes_max / 16) as u64;
        if self.pressure.is_due(self.log.written(), step) {
            self.hold_log();
            self.look_at_pressure();
        }
        if self.disk_is_behind() {
            self.pressure.set(true);
        }
    }

    /// Makes dispatches wait if a link that moves, or a snapshot that is being cut, nears the end
    /// of the log, and they have not waited for it long enough.
    fn look_at_pressure(&mut self) {
        let (now, config, log) = (self.now, &self.config, &self.log);
        let grace = config.pressure_grace;
        let is_near = |seq: u64, room: usize| log.bytes_after(seq) > room / 4 * 3;
        for downstream in self.downstreams.values_mut() {
            let moving =
                downstream.awake && now.saturating_sub(downstream.moved_at) < config.stall_grace;
            let needs = downstream.needs_after().filter(|_| moving);
            let near = needs.is_some_and(|seq| is_near(seq, downstream.log_room(config)));
            downstream.patience.waits(near, downstream.carried, now, grace);
        }
        let links = self.downstreams.values().map(|downstream| &downstream.patience);
        let room = config.log_bytes_max.saturating_add(config.catch_up_bytes_max);
        let near = self.snapshots.cutting().is_some_and(|cut| is_near(cut.seq, room));
        let pressed = self.pressure.waits(links, near, now, grace) || self.disk_is_behind();
        self.pressure.set(pressed);
    }

    /// Checks the pressure again. When it has fallen, waiting dispatches continue.
    pub(super) fn relieve(&mut self) {
        if self.pressure.is_on() {
            self.look_at_pressure();
            if self.pressure.is_on() {
                return;
            }
            self.grant_all();
        }
        self.drain_local();
        if self.origin.has_resolved() || self.has_outputs() {
            self.settle();
        }
    }

    pub(super) fn grant_all(&mut self) {
        for link in self.downstreams.keys().copied().collect::<Vec<_>>() {
            self.grant(link);
        }
    }

    /// Lets a link send more dispatches, if there is room for what they will become.
    pub(super) fn grant(&mut self, link: LinkId) {
        let waiting = self.upstream.as_ref().map_or(0, |upstream| upstream.forwards_bytes);
        if self.pressure.is_on() || waiting >= FORWARDS_BYTES_MAX {
            return;
        }
        let share = self.config.log_bytes_max / 4 / self.downstreams.len().max(1);
        let credit = share.clamp(*CREDIT_BYTES.start(), *CREDIT_BYTES.end()) as u64;
        let Some(downstream) = self.downstreams.get_mut(&link) else { return };
        if !downstream.attached() || downstream.control.len() >= CONTROL_BYTES_MAX {
            return;
        }
        let granted = downstream.received + credit;
        if granted >= downstream.granted + credit / 2 {
            downstream.granted = granted;
            downstream.say(self.channel, &Message::Credit { bytes: granted });
            wake(&mut self.outputs, link, downstream, self.now);
        }
    }
}
