//! A snapshot put in place of the state.

use std::sync::Arc;

use super::outputs::wake;
use super::{Decoded, Place, Replica};
use crate::mutant::mutant;
use crate::replication::downstream::{Feed, Snapshot};
use crate::replication::upstream::Incoming;
use crate::replication::{Change, Jump, LinkFault, LinkId, Note, Report, StateMachine, StateView};
use crate::wire::Message;
use crate::{Lineage, Version};

impl<M: StateMachine> Replica<M> {
    /// Puts a decoded snapshot in the place of the state.
    pub(super) fn put_in_place(
        &mut self,
        link: LinkId,
        decoded: Result<Decoded<M::State>, LinkFault>,
    ) -> Result<(), LinkFault> {
        let ours = |link_now: &super::Upstream| link_now.link == link && link_now.decoding;
        let Some(upstream) = self.upstream.as_mut().filter(|upstream| ours(upstream)) else {
            // The link of the snapshot ended meanwhile. The snapshot is whole, so it is kept.
            if let Ok(Decoded { head, bytes, .. }) = decoded {
                self.fetching.keep_whole(Incoming { head, bytes });
            }
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

    /// Returns whether a snapshot at this very version holds this very state, so that subscribers
    /// need no notice.
    fn is_same(&self, decoded: &Decoded<M::State>) -> bool {
        if mutant!(HealSkipped) && decoded.head.version == self.position.version {
            return true;
        }
        !self.integrity.healing.is_active()
            && decoded.head.version == self.position.version
            && decoded.head.history == self.position.history
            && decoded.digest.is_some()
            && decoded.digest == self.machine.freeze().digest().ok()
    }

    fn replace(&mut self, decoded: Decoded<M::State>) {
        let Decoded { head, bytes, state, .. } = decoded;
        let len = head.len;
        let before = std::mem::replace(&mut self.position.lineage, head.lineage.clone());
        let (from, to) = (self.position.version, self.version_at(head.version.seq));
        let lost = !before.is_empty() && !self.position.lineage.contains(from);
        let reduces = self.machine.reduces();
        let same = !self.integrity.healing.is_active()
            && !lost
            && from == to
            && !self.condition.is_rebasing();
        let diverged = same && reduces;
        self.machine.install(state);
        // The entries before it were not seen here, so what became of them is not known.
        self.place = Place::follower(&self.config);
        self.position.version = to;
        self.fetching.came(to);
        self.position.history = head.history;
        self.log.reset(to.seq);
        let snapshot = Snapshot { head, bytes };
        self.snapshots.replaced(self.log.is_wanted().then(|| Arc::new(snapshot)));
        self.integrity.restore_check.reset();
        self.counters.snapshots_installed += 1;
        if self.integrity.healing.end() {
            self.counters.healed += 1;
            self.note(Note::Healed { version: to, bytes: len });
        }
        self.count_lives(&before);
        self.integrity.digests.replaced(lost || self.condition.is_rebasing());
        let related =
            before.epochs().iter().any(|one| self.position.lineage.epochs().contains(one));
        let why = match (self.condition.end_rebase(), lost) {
            // A sequencer whose place another took comes back to what was its own history.
            (true, true) if related => Jump::HistoryLost,
            (true, _) => Jump::Rebased,
            (false, true) => Jump::HistoryLost,
            (false, false) => Jump::Jumped,
        };
        if why == Jump::Rebased {
            self.note(Note::Rebased { from, to });
        }
        if why == Jump::HistoryLost && !mutant!(LossUnreported) {
            self.report(Report::HistoryLost { from, to });
        }
        if diverged {
            self.counters.divergences += 1;
            self.report(Report::Diverged(to));
        }
        if (reduces || !same) && !mutant!(JumpUntold) {
            self.changes.push(Change::Jumped { why, from, to }, 0);
        }
        self.observed.jumped(from, to, self.position.history);
        self.retarget();
        self.origin.lineage_changed(&self.position.lineage);
        if !mutant!(RealignForgotten) {
            self.realign(&before, to);
        }
    }

    /// Restarts the downstream links after the state was replaced. A cursor continues only at the
    /// new version, or ahead of it on the same lineage.
    fn realign(&mut self, before: &Lineage, to: Version) {
        let lineage = Message::Lineage(self.position.lineage.clone());
        for (link, downstream) in &mut self.downstreams {
            downstream.resynced = 0;
            let stands_ahead = *before == self.position.lineage && downstream.cursor > to.seq;
            if stands_ahead && matches!(downstream.feed, Feed::Cursor) {
                continue;
            }
            let stands_there = matches!(downstream.feed, Feed::Cursor)
                && downstream.cursor == to.seq
                && before.epoch_of(to.seq).is_some_and(|epoch| {
                    self.position.lineage.contains(Version { epoch, seq: to.seq })
                });
            match downstream.feed {
                Feed::Silent | Feed::Undecided { .. } => continue,
                _ if stands_there && *before == self.position.lineage => continue,
                _ if stands_there => downstream.say(self.channel, &lineage),
                _ => {
                    downstream.feed = Feed::Wanting { min: 0 };
                    downstream.fetching = false;
                    downstream.copy = None;
                }
            }
            wake(&mut self.outputs, *link, downstream, self.now);
        }
        self.decide_all();
    }
}
