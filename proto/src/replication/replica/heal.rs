//! Digests compared, and a copy that differs renewed.

use super::Replica;
use super::outputs::wake;
use crate::mutant::mutant;
use crate::replication::downstream::Feed;
use crate::replication::verify::Finding;
use crate::replication::{LinkId, Note, Report, StateMachine};
use crate::wire::Message;

impl<M: StateMachine> Replica<M> {
    pub(super) fn on_own_digest(&mut self, seq: u64, digest: u64) {
        if self.is_sequencer() {
            if !self.defer_digest(seq, digest) {
                self.say_digest(seq, digest);
            }
        } else if !mutant!(DigestSkipped) {
            let relays = self.upper_path().len().saturating_sub(1);
            let finding = self.integrity.digests.keep(seq, digest, relays);
            self.act(finding, seq);
        }
    }

    /// Handles the sequencer's digest, and forwards it downstream whatever this copy is like.
    pub(super) fn on_digest(&mut self, seq: u64, digest: u64) {
        self.integrity.digests.tell(seq);
        self.say_digest(seq, digest);
        let follows = self.machine.reduces() && !self.integrity.healing.is_active();
        if follows && !mutant!(DigestSkipped) {
            let relays = self.upper_path().len().saturating_sub(1);
            let finding = self.integrity.digests.claim(seq, digest, relays);
            self.act(finding, seq);
        }
    }

    pub(super) fn say_digest(&mut self, seq: u64, digest: u64) {
        for (link, downstream) in &mut self.downstreams {
            if matches!(downstream.feed, Feed::Cursor) && downstream.mode.reads_log() {
                downstream.say(self.channel, &Message::Digest { seq, digest });
                wake(&mut self.outputs, *link, downstream, self.now);
            }
        }
    }

    fn act(&mut self, finding: Option<Finding>, seq: u64) {
        let version = self.version_at(seq);
        match finding {
            None => {}
            Some(Finding::Same) => self.counters.verified += 1,
            Some(Finding::Diverged) => {
                self.counters.divergences += 1;
                self.report(Report::Diverged(version));
                self.heal(seq);
            }
            Some(Finding::NonDeterministic) => {
                self.counters.divergences += 1;
                self.report(Report::NonDeterministic(version));
            }
        }
    }

    /// This copy is wrong: asks for a snapshot, and takes no entries until it comes.
    pub(super) fn heal(&mut self, seq: u64) {
        if self.is_sequencer() || self.integrity.healing.is_active() {
            return;
        }
        if mutant!(RelayHealsFromItself) && !self.downstreams.is_empty() {
            return;
        }
        self.integrity.healing.begin();
        self.note(Note::Healing(self.position.version));
        self.snapshots.drop_newest();
        let attached = self.upstream.as_ref().is_some_and(|upstream| upstream.status.is_some());
        if attached {
            self.say_upstream(|_| Message::Heal { seq });
        }
        self.look_ahead();
    }

    /// Handles a request of a node below for a snapshot because its copy is wrong. A relay that
    /// does not know its own copy to be right heals first, so that a bad copy never spreads; one
    /// whose digest is being made waits for that. A malicious node can claim to differ as often as
    /// it likes, so a relay heals for others once in `dead_after` at most.
    pub(super) fn on_heal(&mut self, link: LinkId, seq: u64) {
        let relay = !self.is_sequencer();
        let sure = !relay || !self.integrity.digests.doubts(seq);
        if !sure && self.integrity.digests.is_digesting(seq) {
            self.integrity.healing.wait(link, seq);
            return;
        }
        self.counters.heals_through_relay += u64::from(relay);
        self.counters.heals_unfounded += u64::from(relay && sure && seq != 0);
        let (now, after) = (self.now, self.config.dead_after);
        let itself = mutant!(RelayHealsFromItself);
        if !sure && !itself && self.integrity.healing.heeds(now, after) {
            self.counters.heals_deferred += 1;
            self.heal(seq);
        }
        let Some(downstream) = self.downstreams.get_mut(&link) else { return };
        match &mut downstream.feed {
            Feed::Silent => return,
            Feed::Undecided { resume, .. } => *resume = None,
            feed if mutant!(HealedFromBefore) => *feed = Feed::Wanting { min: 0 },
            feed => *feed = Feed::Wanting { min: downstream.cursor.min(self.position.version.seq) },
        }
        wake(&mut self.outputs, link, downstream, self.now);
    }

    /// The digest that nodes below waited for is there, or will not come.
    pub(super) fn answer_doubts(&mut self) {
        for (link, seq) in self.integrity.healing.take_waiting() {
            if mutant!(DoubtsForgotten) {
                continue;
            }
            self.on_heal(link, seq);
        }
    }

    /// A node below cannot run the actions, and asks for the state too: the entries go on up to
    /// where it is cut. One that waits for a snapshot already gets no other.
    pub(super) fn on_fetch(&mut self, link: LinkId) {
        let head = self.position.version.seq;
        let Some(downstream) = self.downstreams.get_mut(&link) else { return };
        match &mut downstream.feed {
            Feed::Undecided { resume, .. } => *resume = None,
            Feed::Sending { snapshot, .. } if mutant!(FetchedTwice) => {
                downstream.feed = Feed::Wanting { min: snapshot.head.version.seq + 1 };
            }
            Feed::Cursor => {
                downstream.feed = Feed::Wanting { min: downstream.cursor.min(head) };
                downstream.fetching = downstream.mode.reads_log();
                wake(&mut self.outputs, link, downstream, self.now);
            }
            _ => {}
        }
    }

    /// Asks the upstream for its state, unless that was done.
    pub(super) fn ask_for_state(&mut self) {
        if self.is_sequencer() || !self.fetching.ask() {
            return;
        }
        if self.upstream.as_ref().is_some_and(|upstream| upstream.status.is_some()) {
            self.say_upstream(|_| Message::Fetch);
        }
    }
}
