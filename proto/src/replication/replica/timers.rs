//! Time: heartbeats, dead peers, deadlines, and the pressure of slow links.

use std::time::Duration;

use super::Replica;
use super::outputs::wake;
use crate::mutant::mutant;
use crate::replication::downstream::{Downstream, Feed};
use crate::replication::{LinkFault, LinkId, Output, StateMachine};
use crate::wire::Message;

/// A link with this many bytes of answers unsent gets no credit.
pub(super) const CONTROL_BYTES_MAX: usize = 256 << 10;

/// An interrupted snapshot is kept for this many times `dead_after`.
pub(super) const KEPT_FOR: u32 = 6;

/// A relay holds at most about this many bytes of dispatches on their way up.
pub(super) const FORWARDS_BYTES_MAX: usize = 1 << 20;

/// While there are links, the time is passed this many times in `dead_after`: a longer gap shows
/// that this process was stopped itself.
const LOOKS: u32 = 4;

/// A node sends heartbeats downstream this part of a heartbeat early. Its followers answer them
/// before their own timers are over, so both ends of an idle link wake up at once.
const BEATS_EARLIER: u32 = 8;

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
        self.due = self.next_due();
    }

    /// Makes a tick due at `at`, unless one is due before that.
    pub(super) fn due_by(&mut self, at: Duration) {
        self.due = self.due.min(at);
    }

    /// Makes a tick due when this node next has something to do. It looks at every link, so it is
    /// for inputs that seldom come; the others know what they changed, and call
    /// [`Replica::due_by`].
    pub(super) fn look_ahead(&mut self) {
        self.due_by(self.next_due());
    }

    /// Returns the instant at which [`Replica::pass_time`] next has something to do. That is now
    /// while there is something that it has to check each time, such as the pressure. What the log
    /// no longer has to hold is not due: it goes at the next tick, whenever that comes.
    pub(super) fn next_due(&self) -> Duration {
        let is_wanting = |link: &Downstream| matches!(link.feed, Feed::Wanting { .. });
        let at_once = self.pressure.is_on()
            || (self.is_sequencer() && !self.origin.is_empty())
            || self
                .downstreams
                .values()
                .any(|link| is_wanting(link) || self.credit(link).is_some());
        if at_once {
            return self.now;
        }
        let dead_after = self.dead_after();
        // It is silent for too long a moment after that.
        let silent_at = |heard_at: Duration| {
            heard_at.saturating_add(dead_after).saturating_add(Duration::from_nanos(1))
        };
        let mut due = Duration::MAX;
        for downstream in self.downstreams.values() {
            due = due.min(silent_at(downstream.heard_at));
            if downstream.is_idle() {
                due = due.min(downstream.sent_at.saturating_add(self.heartbeat_down()));
            }
        }
        if let Some(upstream) = &self.upstream {
            due = due.min(silent_at(upstream.heard_at));
            if upstream.control.is_empty() {
                due = due.min(upstream.sent_at.saturating_add(self.config.heartbeat));
            }
        }
        if self.has_links() {
            due = due.min(self.ticked_at.saturating_add(self.config.dead_after / LOOKS));
        }
        let after = self.config.dead_after;
        let waits_since = self.origin.waits_since().filter(|_| self.condition.is_connected());
        let others = [
            self.origin.expires_at(),
            self.deferred_expires_at(),
            waits_since.map(|since| since.saturating_add(after)),
            self.snapshots.expires_at(after.saturating_mul(KEPT_FOR)),
        ];
        others.into_iter().flatten().fold(due, Duration::min)
    }

    pub(super) fn has_links(&self) -> bool {
        self.upstream.is_some() || !self.downstreams.is_empty()
    }

    /// A link is up: the time before the first one does not count.
    pub(super) fn begin_link(&mut self) {
        if !self.has_links() {
            self.ticked_at = self.now;
        }
    }

    /// Notes since when the oldest dispatch waits, if that may have changed.
    pub(super) fn note_oldest(&mut self) {
        if !self.origin.is_unnoted() {
            return;
        }
        self.origin.note_oldest(self.now);
        if let Some(since) = self.origin.waits_since() {
            self.due_by(since.saturating_add(self.config.dead_after));
        }
    }

    /// Takes a heartbeat of the upstream, which is an occasion to send one back.
    pub(super) fn on_heartbeat(&mut self) {
        let now = self.now;
        let is_due = self.upstream.as_ref().is_some_and(|upstream| {
            let idle_for = now.saturating_sub(upstream.sent_at);
            upstream.control.is_empty() && idle_for >= self.config.heartbeat / 2
        });
        if is_due && !mutant!(NoHeartbeatUp) {
            let seq = self.shown();
            self.say_upstream(|_| Message::Heartbeat { seq });
        }
        self.pass_time();
    }

    /// The time after which an idle link to a follower is sent a heartbeat.
    pub(super) fn heartbeat_down(&self) -> Duration {
        self.config.heartbeat - self.config.heartbeat / BEATS_EARLIER
    }

    /// The silence after which a link is cut.
    fn dead_after(&self) -> Duration {
        let after = self.config.dead_after;
        if mutant!(BuriedEarly) { after / 2 } else { after }
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
        let (now, down, up) = (self.now, self.heartbeat_down(), self.config.heartbeat);
        let ahead = mutant!(StatusAheadOfDisk);
        let message = Message::Heartbeat {
            seq: if ahead { self.position.version.seq } else { self.shown() },
        };
        for (link, downstream) in &mut self.downstreams {
            if downstream.is_idle() && now.saturating_sub(downstream.sent_at) >= down {
                downstream.say(self.channel, &message);
                wake(&mut self.outputs, *link, downstream, now);
            }
        }
        let idle = self.upstream.as_ref().is_some_and(|upstream| {
            upstream.control.is_empty() && now.saturating_sub(upstream.sent_at) >= up
        });
        if idle && !mutant!(NoHeartbeatUp) {
            self.say_upstream(|_| message);
        }
    }

    fn bury(&mut self) {
        let (now, after) = (self.now, self.dead_after());
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
            self.set_pressure(true);
        }
    }

    /// Sets whether dispatches wait. What waited for less of it, or is to be watched, is due.
    fn set_pressure(&mut self, on: bool) {
        if self.pressure.is_on() != on {
            self.due_by(self.now);
        }
        self.pressure.set(on);
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
        self.set_pressure(pressed);
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
        let granted = self.downstreams.get(&link).and_then(|downstream| self.credit(downstream));
        let Some((granted, downstream)) = granted.zip(self.downstreams.get_mut(&link)) else {
            return;
        };
        downstream.granted = granted;
        downstream.say(self.channel, &Message::Credit { bytes: granted });
        wake(&mut self.outputs, link, downstream, self.now);
    }

    /// Returns up to where a link may send dispatches, if that is worth telling it.
    fn credit(&self, downstream: &Downstream) -> Option<u64> {
        let waiting = self.upstream.as_ref().map_or(0, |upstream| upstream.forwards_bytes);
        if self.pressure.is_on() || waiting >= FORWARDS_BYTES_MAX {
            return None;
        }
        if !downstream.attached() || downstream.control.len() >= CONTROL_BYTES_MAX {
            return None;
        }
        let share = self.config.log_bytes_max / 4 / self.downstreams.len().max(1);
        let credit = share.clamp(*CREDIT_BYTES.start(), *CREDIT_BYTES.end()) as u64;
        let granted = downstream.received + credit;
        (granted >= downstream.granted + credit / 2).then_some(granted)
    }
}
