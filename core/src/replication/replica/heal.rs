//! Jobs away from the lock, digests compared, snapshots put in place.

use std::sync::Arc;
use std::time::Duration;

use super::{Decoded, Replica};
use crate::replication::config::mutant;
use crate::replication::downstream::{Feed, Snapshot};
use crate::replication::verify::Finding;
use crate::replication::{
    Change, Frozen, Jump, Lineage, LinkFault, LinkId, Machine, Output, Report, Version,
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
    result: Result<Product, String>,
}

enum Product {
    Cut(Snapshot),
    Digest(u64),
}

impl<F: Frozen> Job<F> {
    /// Does the work.
    pub fn run(self) -> JobDone {
        match self {
            Job::Cut { stamp, version, history, lineage, frozen } => {
                let result = frozen.encode().map(|bytes| {
                    let (len, crc) = (bytes.len() as u64, crc32fast::hash(&bytes));
                    let head = SnapshotHead { version, history, len, crc, lineage };
                    Product::Cut(Snapshot { head, bytes })
                });
                JobDone { stamp, version, result }
            }
            Job::Digest { stamp, version, frozen } => {
                JobDone { stamp, version, result: frozen.digest().map(Product::Digest) }
            }
        }
    }
}

impl<M: Machine> Replica<M> {
    /// Holds the state still for a snapshot, unless that is under way.
    pub(super) fn cut(&mut self) {
        if self.cutting.is_some() || self.healing || self.lineage.is_empty() {
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
        if self.verify.begin() {
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
        match done.result {
            Ok(Product::Cut(snapshot)) if fresh => self.on_cut(snapshot),
            Ok(Product::Digest(digest)) => {
                self.verify.finish(cost, self.config.verify_budget, now);
                if fresh {
                    self.on_own_digest(done.version.seq, digest);
                }
            }
            Ok(Product::Cut(_)) => {}
            Err(why) => {
                self.verify.finish(cost, self.config.verify_budget, now);
                self.cutting = None;
                self.report(Report::Unencodable { version: done.version, why });
            }
        }
        self.settle();
    }

    fn on_cut(&mut self, snapshot: Snapshot) {
        self.cutting = None;
        self.counters.snapshots_cut += 1;
        let snapshot = Arc::new(snapshot);
        let seq = snapshot.head.version.seq;
        let resync = std::mem::take(&mut self.resync_due);
        for (link, downstream) in &mut self.downstreams {
            let stands_there = matches!(downstream.feed, Feed::Cursor)
                && downstream.mode == LinkMode::Action
                && downstream.cursor == seq;
            if resync && stands_there {
                downstream.feed = Feed::Sending { snapshot: Arc::clone(&snapshot), offset: None };
            }
            if !matches!(downstream.feed, Feed::Silent | Feed::Undecided { .. }) {
                super::wake(&mut self.outputs, *link, downstream, self.now);
            }
        }
        self.current = Some(snapshot);
    }

    fn on_own_digest(&mut self, seq: u64, digest: u64) {
        if self.is_sequencer() {
            self.say_digest(seq, digest);
        } else {
            let finding = self.verify.keep(seq, digest);
            self.act(finding, seq);
        }
    }

    /// The sequencer's digest came: it goes on downstream whatever this copy is like.
    pub(super) fn on_digest(&mut self, seq: u64, digest: u64) {
        self.say_digest(seq, digest);
        if !self.healing {
            let finding = self.verify.claim(seq, digest);
            self.act(finding, seq);
        }
    }

    fn say_digest(&mut self, seq: u64, digest: u64) {
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
        self.healing = true;
        self.current = None;
        let attached = self.upstream.as_ref().is_some_and(|upstream| upstream.status.is_some());
        if attached {
            self.say_upstream(|_| Message::Heal { seq });
        }
    }

    /// A node below asks for a snapshot since its copy is wrong. A relay that does not know its
    /// own to be right heals first, so that a bad copy never spreads.
    pub(super) fn on_heal(&mut self, link: LinkId, seq: u64) {
        let sure = self.is_sequencer() || seq == 0 || self.verify.confirms(seq);
        if !sure {
            self.heal(seq);
        }
        let Some(downstream) = self.downstreams.get_mut(&link) else { return };
        if !matches!(downstream.feed, Feed::Silent | Feed::Undecided { .. }) {
            downstream.feed = Feed::Wanting { min: downstream.cursor };
            super::wake(&mut self.outputs, link, downstream, self.now);
        }
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
        let diverged = !self.healing && !lost && from == to && !self.rebasing;
        self.machine.install(state);
        self.version = to;
        self.history = head.history;
        self.log.reset(to.seq);
        self.installs += 1;
        self.cutting = None;
        self.resync_due = false;
        self.counters.snapshots_installed += 1;
        self.verify.replaced(self.healing);
        self.healing = false;
        let why = match (std::mem::take(&mut self.rebasing), lost) {
            (true, _) => Jump::Rebased,
            (false, true) => Jump::HistoryLost,
            (false, false) => Jump::Jumped,
        };
        if why == Jump::HistoryLost {
            self.report(Report::HistoryLost { from, to });
        }
        if diverged {
            self.counters.divergences += 1;
            self.report(Report::Diverged(to));
        }
        self.changes.push(Change::Jumped { why, from, to }, 0);
        if let Some(observer) = &mut self.observer {
            observer.jumped(from, to, self.history);
        }
        self.current = Some(Arc::new(Snapshot { head, bytes }));
        self.retarget();
        self.origin.lineage_changed(&self.lineage);
        self.realign(&before, to);
    }

    /// After the state was replaced, a cursor is of use only where it stands on just that version.
    fn realign(&mut self, before: &Lineage, to: Version) {
        let lineage = Message::Lineage(self.lineage.clone());
        for (link, downstream) in &mut self.downstreams {
            let stands_there = matches!(downstream.feed, Feed::Cursor)
                && downstream.cursor == to.seq
                && before
                    .epoch_of(to.seq)
                    .is_some_and(|epoch| self.lineage.contains(Version { epoch, seq: to.seq }));
            match downstream.feed {
                Feed::Silent | Feed::Undecided { .. } => continue,
                _ if stands_there && *before == self.lineage => continue,
                _ if stands_there => downstream.say(self.channel, &lineage),
                _ => downstream.feed = Feed::Wanting { min: 0 },
            }
            super::wake(&mut self.outputs, *link, downstream, self.now);
        }
        self.decide_all();
    }
}
