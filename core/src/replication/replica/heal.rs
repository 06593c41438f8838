//! Jobs away from the lock, digests compared, snapshots put in place.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::{Decoded, Replica};
use crate::replication::downstream::{Downstream, Feed, Snapshot};
use crate::replication::mutant::mutant;
use crate::replication::verify::Finding;
use crate::replication::{
    Change, Frozen, Jump, Lineage, LinkFault, LinkId, Machine, Note, Output, Report, Version,
};
use crate::wire::{LinkMode, Message, SnapshotHead};

/// Work on a state held still.
pub enum Job<F> {
    /// Encode it.
    Cut {
        /// Discards what comes of a state that was replaced since.
        stamp: u64,
        /// Where it was held still.
        version: Version,
        /// The rolling hash there.
        history: u64,
        /// The lineage there.
        lineage: Lineage,
        /// The state.
        frozen: F,
    },
    /// Digest it.
    Digest {
        /// Discards what comes of a state that was replaced since.
        stamp: u64,
        /// Where it was held still.
        version: Version,
        /// The state.
        frozen: F,
    },
}

/// What a [`Job`] came to.
pub struct JobDone {
    stamp: u64,
    version: Version,
    product: Product,
}

enum Product {
    Cut(Result<Snapshot, String>),
    Digest(Result<u64, String>),
}

/// At most this many snapshots are on their way at a time, beside the one being cut.
const SENDING_MAX: usize = 2;

impl<F: Frozen> Job<F> {
    /// Does the work. A panic of the user's serialiser is an error like another.
    pub fn run(self) -> JobDone {
        match self {
            Job::Cut { stamp, version, history, lineage, frozen } => {
                let snapshot = guarded(|| frozen.encode()).map(|bytes| {
                    let (len, crc) = (bytes.len() as u64, crc32fast::hash(&bytes));
                    let head = SnapshotHead { version, history, len, crc, lineage };
                    Snapshot { head, bytes }
                });
                JobDone { stamp, version, product: Product::Cut(snapshot) }
            }
            Job::Digest { stamp, version, frozen } => {
                let digest = guarded(|| frozen.digest());
                JobDone { stamp, version, product: Product::Digest(digest) }
            }
        }
    }

    /// Whether the whole state is to be encoded; a digest may be kept up to date by the state.
    pub fn is_cut(&self) -> bool {
        matches!(self, Job::Cut { .. })
    }
}

fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("it panicked".into()))
}

impl<M: Machine> Replica<M> {
    /// Holds the state still for a snapshot, unless that is under way, or as many snapshots are
    /// being sent as memory is meant for.
    pub(super) fn cut(&mut self) {
        let may = !self.healing && !self.poisoned && !self.lineage.is_empty();
        if self.cutting.is_some() || !may || self.snapshots_sending() >= SENDING_MAX {
            return;
        }
        self.cutting = Some(self.version);
        let mut version = self.version;
        if mutant!(self.config, SnapshotOneLate) && version.seq > 1 {
            version = self.version_at(version.seq - 1);
        }
        self.outputs.push(Output::Run(Job::Cut {
            stamp: self.installs,
            version,
            history: self.history,
            lineage: self.lineage.clone(),
            frozen: self.machine.freeze(),
        }));
    }

    /// Holds the state still for its digest, unless one is under way.
    pub(super) fn start_digest(&mut self) {
        if self.machine.reduces() && self.verify.begin(self.version.seq) {
            self.outputs.push(Output::Run(Job::Digest {
                stamp: self.installs,
                version: self.version,
                frozen: self.machine.freeze(),
            }));
        }
    }

    /// Takes what a job came to. `cost` is the CPU time that it took.
    pub fn finish(&mut self, done: JobDone, cost: Duration, now: Duration) {
        self.now = now;
        let fresh = done.stamp == self.installs;
        let digested = matches!(done.product, Product::Digest(_));
        if digested {
            self.verify.finish(cost, self.config.verify_budget, now);
        } else if fresh {
            self.cutting = None;
        }
        match done.product {
            Product::Cut(Err(why)) | Product::Digest(Err(why)) => {
                self.report(Report::Unencodable { version: done.version, why });
            }
            Product::Cut(Ok(snapshot)) if fresh && !self.healing => self.on_cut(snapshot),
            Product::Digest(Ok(digest)) if fresh => self.on_own_digest(done.version.seq, digest),
            Product::Cut(Ok(_)) | Product::Digest(Ok(_)) => {}
        }
        if digested {
            self.answer_doubts();
        }
        self.settle();
    }

    /// How many snapshots are on their way over links.
    pub(super) fn snapshots_sending(&self) -> usize {
        let mut sending: Vec<_> =
            self.downstreams.values().filter_map(Downstream::sending).collect();
        sending.sort_unstable();
        sending.dedup();
        sending.len()
    }

    /// A snapshot has left: there may be room for the next one.
    pub(super) fn wake_wanting(&mut self) {
        for (link, downstream) in &mut self.downstreams {
            if matches!(downstream.feed, Feed::Wanting { .. }) {
                super::wake(&mut self.outputs, *link, downstream, self.now);
            }
        }
    }

    /// Takes old snapshots back from links that do not move, when others wait for a new one.
    pub(super) fn take_back_snapshots(&mut self) {
        let wanting = |link: &Downstream| matches!(link.feed, Feed::Wanting { .. });
        if !self.downstreams.values().any(wanting) {
            return;
        }
        if self.snapshots_sending() >= SENDING_MAX {
            let (now, grace) = (self.now, self.config.stall_grace);
            for downstream in self.downstreams.values_mut() {
                let stalled = now.saturating_sub(downstream.moved_at) >= grace;
                if stalled && downstream.sending().is_some() {
                    downstream.feed = Feed::Wanting { min: 0 };
                }
            }
        }
        self.wake_wanting();
    }

    fn on_cut(&mut self, snapshot: Snapshot) {
        self.counters.snapshots_cut += 1;
        let snapshot = Arc::new(snapshot);
        if std::mem::take(&mut self.resync_due) {
            self.resync = Some(Arc::clone(&snapshot));
        }
        for (link, downstream) in &mut self.downstreams {
            if !matches!(downstream.feed, Feed::Silent | Feed::Undecided { .. }) {
                super::wake(&mut self.outputs, *link, downstream, self.now);
            }
        }
        self.current = Some(snapshot);
    }

    fn on_own_digest(&mut self, seq: u64, digest: u64) {
        if self.is_sequencer() {
            if !self.defer_digest(seq, digest) {
                self.say_digest(seq, digest);
            }
        } else if !mutant!(self.config, DigestSkipped) {
            let relays = self.upper_path().len().saturating_sub(1);
            let finding = self.verify.keep(seq, digest, relays);
            self.act(finding, seq);
        }
    }

    /// The sequencer's digest came: it goes on downstream whatever this copy is like.
    pub(super) fn on_digest(&mut self, seq: u64, digest: u64) {
        self.verify.tell(seq);
        self.say_digest(seq, digest);
        let follows = self.machine.reduces() && !self.healing;
        if follows && !mutant!(self.config, DigestSkipped) {
            let relays = self.upper_path().len().saturating_sub(1);
            let finding = self.verify.claim(seq, digest, relays);
            self.act(finding, seq);
        }
    }

    pub(super) fn say_digest(&mut self, seq: u64, digest: u64) {
        for (link, downstream) in &mut self.downstreams {
            if matches!(downstream.feed, Feed::Cursor) && downstream.mode == LinkMode::Action {
                downstream.say(self.channel, &Message::Digest { seq, digest });
                super::wake(&mut self.outputs, *link, downstream, self.now);
            }
        }
    }

    fn act(&mut self, finding: Option<Finding>, seq: u64) {
        let version = self.version_at(seq);
        match finding {
            None => {}
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
        if self.is_sequencer() || self.healing {
            return;
        }
        if mutant!(self.config, RelayHealsFromItself) && !self.downstreams.is_empty() {
            return;
        }
        self.healing = true;
        self.note(Note::Healing(self.version));
        self.current = None;
        let attached = self.upstream.as_ref().is_some_and(|upstream| upstream.status.is_some());
        if attached {
            self.say_upstream(|_| Message::Heal { seq });
        }
    }

    /// A node below asks for a snapshot since its copy is wrong. A relay that does not know its
    /// own to be right heals first, so that a bad copy never spreads; one whose digest is being made
    /// waits for that. Somebody who means ill can claim to differ as often as it likes, so a relay
    /// heals for others once in `dead_after` at most.
    pub(super) fn on_heal(&mut self, link: LinkId, seq: u64) {
        let relay = !self.is_sequencer();
        let sure = !relay || !self.verify.doubts(seq);
        if !sure && self.verify.is_digesting(seq) {
            self.doubted.insert(link, seq);
            return;
        }
        self.counters.heals_through_relay += u64::from(relay);
        self.counters.heals_unfounded += u64::from(relay && sure && seq != 0);
        let (now, after) = (self.now, self.config.dead_after);
        let lately = self.doubt_heeded_at.is_some_and(|at| now.saturating_sub(at) < after);
        if !sure && !lately && !mutant!(self.config, RelayHealsFromItself) {
            self.doubt_heeded_at = Some(now);
            self.counters.heals_deferred += 1;
            self.heal(seq);
        }
        let Some(downstream) = self.downstreams.get_mut(&link) else { return };
        match &mut downstream.feed {
            Feed::Silent => return,
            Feed::Undecided { resume } => *resume = None,
            feed => *feed = Feed::Wanting { min: downstream.cursor.min(self.version.seq) },
        }
        super::wake(&mut self.outputs, link, downstream, self.now);
    }

    /// The digest that nodes below waited for is there, or will not come.
    fn answer_doubts(&mut self) {
        for (link, seq) in std::mem::take(&mut self.doubted) {
            self.on_heal(link, seq);
        }
    }

    /// A node below cannot run the actions, and asks for the state too: the entries go on up to
    /// where it is cut. One that waits for a snapshot already gets no other.
    pub(super) fn on_fetch(&mut self, link: LinkId) {
        let head = self.version.seq;
        let Some(downstream) = self.downstreams.get_mut(&link) else { return };
        match &mut downstream.feed {
            Feed::Undecided { resume } => *resume = None,
            Feed::Cursor => {
                downstream.feed = Feed::Wanting { min: downstream.cursor.min(head) };
                downstream.fetching = downstream.mode == LinkMode::Action;
                super::wake(&mut self.outputs, link, downstream, self.now);
            }
            _ => {}
        }
    }

    /// Asks the upstream for its state, which [`Replica::fetched`] will be at. For a machine whose
    /// reducer is elsewhere; asking again before the answer has come changes nothing.
    pub fn fetch(&mut self, now: Duration) {
        self.now = now;
        if self.is_sequencer() || std::mem::replace(&mut self.fetching, true) {
            return;
        }
        if self.upstream.as_ref().is_some_and(|upstream| upstream.status.is_some()) {
            self.say_upstream(|_| Message::Fetch);
        }
        self.settle();
    }

    /// Where the newest snapshot was cut that this replica got; `None` before the first.
    pub fn fetched(&self) -> Option<Version> {
        self.fetched
    }

    /// Puts a decoded snapshot in the place of the state. An error means: cut the link.
    pub fn install(
        &mut self,
        link: LinkId,
        decoded: Result<Decoded<M::State>, LinkFault>,
        now: Duration,
    ) -> Result<(), LinkFault> {
        self.now = now;
        let ours = |link_now: &super::Upstream| link_now.link == link && link_now.decoding;
        let Some(upstream) = self.upstream.as_mut().filter(|upstream| ours(upstream)) else {
            return Ok(());
        };
        upstream.decoding = false;
        let decoded = decoded?;
        if self.is_same(&decoded) {
            self.adopt(decoded.head.lineage);
        } else {
            self.replace(decoded);
        }
        self.settle();
        Ok(())
    }

    /// Whether a snapshot at this very version holds this very state: nobody need be told.
    fn is_same(&self, decoded: &Decoded<M::State>) -> bool {
        if mutant!(self.config, HealSkipped) && decoded.head.version == self.version {
            return true;
        }
        !self.healing
            && decoded.head.version == self.version
            && decoded.head.history == self.history
            && decoded.digest.is_some()
            && decoded.digest == self.machine.freeze().digest().ok()
    }

    fn replace(&mut self, decoded: Decoded<M::State>) {
        let Decoded { head, bytes, state, .. } = decoded;
        let before = std::mem::replace(&mut self.lineage, head.lineage.clone());
        let (from, to) = (self.version, self.version_at(head.version.seq));
        let lost = !before.is_empty() && !self.lineage.contains(from);
        let reduces = self.machine.reduces();
        let same = !self.healing && !lost && from == to && !self.rebasing;
        let diverged = same && reduces;
        self.machine.install(state);
        self.version = to;
        self.fetched = Some(to);
        self.fetching = false;
        self.history = head.history;
        self.log.reset(to.seq);
        self.installs += 1;
        self.cutting = None;
        self.resync_due = false;
        self.resync = None;
        self.counters.snapshots_installed += 1;
        self.counters.healed += u64::from(self.healing);
        if self.healing {
            self.note(Note::Healed { version: to, bytes: head.len });
        }
        self.count_lives(&before);
        self.verify.replaced(lost || self.rebasing);
        self.healing = false;
        let why = match (std::mem::take(&mut self.rebasing), lost) {
            (true, _) => Jump::Rebased,
            (false, true) => Jump::HistoryLost,
            (false, false) => Jump::Jumped,
        };
        if why == Jump::Rebased {
            self.note(Note::Rebased { from, to });
        }
        if why == Jump::HistoryLost {
            self.report(Report::HistoryLost { from, to });
        }
        if diverged {
            self.counters.divergences += 1;
            self.report(Report::Diverged(to));
        }
        if (reduces || !same) && !mutant!(self.config, JumpUntold) {
            self.changes.push(Change::Jumped { why, from, to }, 0);
        }
        if let Some(observer) = &mut self.observer {
            observer.jumped(from, to, self.history);
        }
        self.current = self.log_wanted.then(|| Arc::new(Snapshot { head, bytes }));
        self.retarget();
        self.origin.lineage_changed(&self.lineage);
        self.realign(&before, to);
    }

    /// After the state was replaced, a cursor is of use only where it stands on just that version.
    fn realign(&mut self, before: &Lineage, to: Version) {
        let lineage = Message::Lineage(self.lineage.clone());
        for (link, downstream) in &mut self.downstreams {
            downstream.resynced = 0;
            let stands_ahead = *before == self.lineage && downstream.cursor > to.seq;
            if stands_ahead && matches!(downstream.feed, Feed::Cursor) {
                continue;
            }
            let stands_there = matches!(downstream.feed, Feed::Cursor)
                && downstream.cursor == to.seq
                && before
                    .epoch_of(to.seq)
                    .is_some_and(|epoch| self.lineage.contains(Version { epoch, seq: to.seq }));
            match downstream.feed {
                Feed::Silent | Feed::Undecided { .. } => continue,
                _ if stands_there && *before == self.lineage => continue,
                _ if stands_there => downstream.say(self.channel, &lineage),
                _ => {
                    downstream.feed = Feed::Wanting { min: 0 };
                    downstream.fetching = false;
                }
            }
            super::wake(&mut self.outputs, *link, downstream, self.now);
        }
        self.decide_all();
    }
}
