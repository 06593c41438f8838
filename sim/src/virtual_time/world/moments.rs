//! Moments of a simulation, counted.

use samestate_proto::replication::Counters;

use crate::virtual_time::check::Tally;

/// The moments of a simulation, beyond the counters of replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moments {
    /// The counters of the replicas, all incarnations together.
    pub replicas: Counters,
    /// The fates of the dispatches.
    pub dispatches: Tally,
    /// Links that ended for a reason that a replica gave.
    pub links_faulted: u64,
    /// The number of these that ended for silence.
    pub links_silent: u64,
    /// The number of these that ended for bytes that made no sense.
    pub links_corrupt: u64,
    /// The number of these that ended for a loop.
    pub links_looped: u64,
    /// Replicas that were told that history is lost.
    pub histories_lost: u64,
    /// Sequencers that became clients.
    pub rebases: u64,
    /// Replicas that moved from one upstream to another.
    pub moves: u64,
    /// Processes that were killed.
    pub kills: u64,
    /// Of these, at a moment between two steps.
    pub aimed_kills: u64,
    /// Lives of sequencers that went on from a backup.
    pub restores: u64,
    /// Durable sequencers that died with records that were not on disk yet.
    pub writes_lost: u64,
    /// Durable sequencers whose disk failed, and that went on once it worked again.
    pub disks_recovered: u64,
    /// Actions that failed at one copy only.
    pub failed_here: u64,
    /// Copies that were given up.
    pub non_deterministic: u64,
    /// Relays that could not pass on actions.
    pub fed_by_snapshots: u64,
    /// Events.
    pub events: u64,
}

impl Moments {
    /// Adds what happened in another simulation.
    pub fn add(&mut self, other: &Moments) {
        self.replicas.add(&other.replicas);
        self.dispatches.add(&other.dispatches);
        for (sum, one) in [
            (&mut self.links_faulted, other.links_faulted),
            (&mut self.links_silent, other.links_silent),
            (&mut self.links_corrupt, other.links_corrupt),
            (&mut self.links_looped, other.links_looped),
            (&mut self.histories_lost, other.histories_lost),
            (&mut self.rebases, other.rebases),
            (&mut self.moves, other.moves),
            (&mut self.kills, other.kills),
            (&mut self.aimed_kills, other.aimed_kills),
            (&mut self.restores, other.restores),
            (&mut self.writes_lost, other.writes_lost),
            (&mut self.disks_recovered, other.disks_recovered),
            (&mut self.failed_here, other.failed_here),
            (&mut self.non_deterministic, other.non_deterministic),
            (&mut self.fed_by_snapshots, other.fed_by_snapshots),
            (&mut self.events, other.events),
        ] {
            *sum += one;
        }
    }

    /// The moments that make a search worth its name, in words, and how often each came about.
    pub fn named(&self) -> Vec<(&'static str, u64)> {
        let (replicas, dispatches) = (&self.replicas, &self.dispatches);
        vec![
            ("a link resumed", replicas.resumed),
            ("a snapshot raced a resume", replicas.resumed_beside_snapshot),
            ("a dispatch was sent again after a cut", replicas.resent),
            ("an epoch changed under a dispatch", replicas.epochs_changed_in_flight),
            ("a session expired", replicas.sessions_expired),
            ("a sequencer with dispatches in flight became a client", replicas.rebased_in_flight),
            ("a copy healed", replicas.healed),
            ("a copy healed through a relay", replicas.heals_through_relay),
            ("a cursor fell off the log", replicas.snapshots_forced),
            ("an interrupted snapshot went on", replicas.snapshots_resumed),
            ("a dispatch came again, and was not applied again", replicas.deduplicated),
            ("a relay dropped a dispatch of an old attachment", replicas.stale_hops),
            ("a copy diverged", replicas.divergences),
            ("an action failed at one copy", self.failed_here),
            ("a relay was fed by snapshots", self.fed_by_snapshots),
            ("an action was applied by its patch", replicas.patches_applied),
            ("a patch was too large to be sent", replicas.patches_too_large),
            ("a peer was silent", self.links_silent),
            ("a frame was garbled", self.links_corrupt),
            ("history was lost", self.histories_lost),
            ("a sequencer became a client", self.rebases),
            ("a replica moved to another upstream", self.moves),
            ("a process was killed between two steps", self.aimed_kills),
            ("a sequencer was restored", self.restores),
            ("a durable sequencer died while it wrote", self.writes_lost),
            ("a durable sequencer went on after its disk had failed", self.disks_recovered),
            ("a dispatch was rejected", dispatches.rejected),
            ("a dispatch was refused", dispatches.refused),
            ("an outcome was unknown", dispatches.unknown),
            ("an accepted dispatch was rolled back", dispatches.rolled_back),
        ]
    }

    /// The moments that never came about.
    pub fn never(&self) -> Vec<&'static str> {
        let never = self.named().into_iter().filter(|moment| moment.1 == 0);
        never.map(|moment| moment.0).collect()
    }
}
