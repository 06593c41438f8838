//! Known bugs, put in on purpose, so that the simulator can show that it would find them.
//!
//! `--cfg samestate_mutants`, which only this workspace sets, compiles them in. In any other build,
//! and in one without debug assertions, every check for one is the constant `false`.

#[cfg(samestate_mutants)]
use std::{cell::Cell, fmt, str::FromStr};

#[cfg(samestate_mutants)]
use thiserror::Error;

/// Declares the mutants, each once: variant, name, and what it breaks.
#[cfg(samestate_mutants)]
macro_rules! mutants {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A known bug, put in on purpose, so that the simulator can show that it would find it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mutant {
            $($(#[$doc])* $variant,)*
        }

        impl Mutant {
            /// Every mutant there is.
            pub const ALL: &'static [Mutant] = &[$(Mutant::$variant),*];

            /// The name, in kebab case.
            pub fn name(self) -> &'static str {
                match self {
                    $(Mutant::$variant => $name,)*
                }
            }
        }
    };
}

#[cfg(samestate_mutants)]
mutants! {
    /// A dispatch sent again after a reconnect is applied again. Breaks I3.
    NoDeduplication = "no-deduplication",
    /// A snapshot holds one entry more than its version says. Breaks I1 and I2.
    SnapshotOneLate = "snapshot-one-late",
    /// A resumed link begins one entry too far. Breaks I7: the peer cuts it, each time anew.
    ResumeOffByOne = "resume-off-by-one",
    /// A version of another epoch resumes as if it were of this one. Breaks I1.
    StaleEpoch = "stale-epoch",
    /// A dispatch resolves before its entry is applied here. Breaks I6.
    EarlyAnswer = "early-answer",
    /// Digests are never compared: a copy that went wrong stays wrong. Breaks I2 and I7, where a
    /// copy goes wrong at all.
    DigestSkipped = "digest-skipped",
    /// The sequencer orders whatever it has no outcome for, whether or not one before it is missing
    /// or it came before; relays let dispatches of an old attachment through, for either guard
    /// alone hides the want of the other. Breaks I5, and I3.
    SessionGap = "session-gap",
    /// The outcome of an ordered dispatch is forgotten at once, though its origin still awaits it:
    /// a resent dispatch is answered as a refused one. Breaks I4.
    OutcomeForgotten = "outcome-forgotten",
    /// A relay heals from its own copy, bad as it is: it takes it for right, answers heals from
    /// below with it, and asks for none itself. Breaks I2 and I7.
    RelayHealsFromItself = "relay-heals-from-itself",
    /// Epochs are compared by number, in place of the random id: two epochs that began from one
    /// backup are taken for the same. Breaks I1.
    LineageByNumber = "lineage-by-number",
    /// The entries up to a snapshot's version are not dropped behind it: the newest of them is
    /// applied twice. Breaks I1 and I2.
    SnapshotRaced = "snapshot-raced",
    /// An answer counts whatever epoch it comes from. Breaks I3 and I6: `Ok` for
    /// what was rolled back.
    AnswerOfAnyLife = "answer-of-any-life",
    /// In mode `delta` a patch is not applied. Breaks I2.
    PatchSkipped = "patch-skipped",
    /// In mode `delta` an action whose patch was too large is passed over. Breaks I7: the peer cuts
    /// the link, each time anew.
    MissingPatchPassed = "missing-patch-passed",
    /// Subscribers are not told that the state was replaced. Breaks I10.
    JumpUntold = "jump-untold",
    /// A snapshot at the very version of this copy is taken for the same state: a copy that asks
    /// to be healed stays as it is. Breaks I2 and I7.
    HealSkipped = "heal-skipped",

    /// A node's digest is filed under the version that it has when the digest is ready, not under
    /// the one that it is of. Copies are healed that are right.
    DigestAtWrongVersion = "digest-at-wrong-version",
    /// The status and the heartbeat of a durable sequencer name a version that is not on disk.
    StatusAheadOfDisk = "status-ahead-of-disk",
    /// Dispatches of other nodes are answered before they are on disk. Breaks I3.
    AnswerBeforeDisk = "answer-before-disk",
    /// Entries of a durable store are sent before they are on disk. Breaks I3.
    EntriesBeforeDisk = "entries-before-disk",
    /// A node is in sync when it is attached, before it has what its upstream had then.
    ConnectedTooEarly = "connected-too-early",
    /// A failed write takes back what was committed before.
    CommitGoesBack = "commit-goes-back",
    /// A session that was issued is not written to the journal.
    IssuedSessionNotKept = "issued-session-not-kept",
    /// A node keeps the version that it was to reach when its upstream comes into sync again.
    TargetNotRenewed = "target-not-renewed",

    /// A session is issued at a version that is not on disk.
    SessionAheadOfDisk = "session-ahead-of-disk",
    /// One dispatch more than the window is taken. Breaks I8.
    WindowOneLonger = "window-one-longer",
    /// Dispatches that a relay forwards use up no credit. Its upstream cuts it.
    ForwardsAreFree = "forwards-are-free",
    /// A relay does not tell the nodes below that its way up was made anew.
    HopKept = "hop-kept",
    /// Dispatches under way are not sent again over a new attachment, but only when they seem lost.
    ResendForgotten = "resend-forgotten",
    /// A relay that goes on under another lineage does not pass that on.
    LineageUntold = "lineage-untold",
    /// A rejection is not written to the journal.
    RejectionNotKept = "rejection-not-kept",
    /// Only dispatches of the sequencer's own node are marked to be verified.
    OthersUnmarked = "others-unmarked",
    /// New entries wake no link: they go with the next heartbeat.
    WakeForgotten = "wake-forgotten",
    /// The result of a job is used although the state was replaced meanwhile.
    StaleJobTaken = "stale-job-taken",
    /// A durable sequencer's digest is told before its version is on disk.
    DigestBeforeDisk = "digest-before-disk",
    /// Outputs that wait for the disk are released one action early.
    ReleasedOneEarly = "released-one-early",
    /// A dispatch that waits for the disk has no deadline.
    DeadlineOnDiskIgnored = "deadline-on-disk-ignored",
    /// A sequencer that becomes a client keeps what is under way.
    RebaseKeepsDispatches = "rebase-keeps-dispatches",
    /// The log of a restored sequencer stands at 0.
    RestoredLogFromZero = "restored-log-from-zero",
    /// Nothing is said upwards over an idle link.
    NoHeartbeatUp = "no-heartbeat-up",
    /// Peers are taken for dead after half the time.
    BuriedEarly = "buried-early",
    /// A process that was stopped forgives only its upstream for the silence.
    OnlyUpstreamForgiven = "only-upstream-forgiven",
    /// A snapshot of a durable store is sent before its version is on disk.
    SnapshotBeforeDisk = "snapshot-before-disk",
    /// A relay keeps the first way back of a session, though the origin came by another.
    RouteNotRenewed = "route-not-renewed",
    /// A snapshot is sent under the lineage of another epoch than it was cut in.
    SnapshotOfAnyLife = "snapshot-of-any-life",
    /// A copy that heals is in sync.
    HealingInSync = "healing-in-sync",
    /// Nodes below are not told that this node came into sync, or went out of it.
    SyncUntold = "sync-untold",
    /// A node waits to reach a version that its upstream has lost.
    LostTargetKept = "lost-target-kept",
    /// A node below that waits for its relay's digest is forgotten.
    DoubtsForgotten = "doubts-forgotten",
    /// The lag of a link counts actions that may not be sent yet.
    LagOfState = "lag-of-state",
    /// Links go on from where they were after the state was replaced.
    RealignForgotten = "realign-forgotten",
    /// A loss of history is not reported.
    LossUnreported = "loss-unreported",
    /// A job on a state that was replaced counts as one on the new state.
    InstallKeepsJobs = "install-keeps-jobs",
    /// The mark of an entry that came by a dispatch is not passed on.
    MarkNotPassedOn = "mark-not-passed-on",
    /// The outcome that an origin still awaits is dropped.
    OldestOutcomeDropped = "oldest-outcome-dropped",
    /// One outcome less than the window is kept.
    OutcomesOneShort = "outcomes-one-short",
    /// A session is claimed without its token.
    TokenUnchecked = "token-unchecked",
    /// One session more than may be is remembered. Breaks I8.
    SessionsOneMore = "sessions-one-more",
    /// The way back that was used last is the first to give way.
    NewestRouteGivesWay = "newest-route-gives-way",
    /// An origin says that it awaits nothing of its oldest dispatch.
    AwaitsOneAhead = "awaits-one-ahead",
    /// With a session, what never left its node is lost too.
    UnsentLostToo = "unsent-lost-too",
    /// Dispatches past their deadline still take up room.
    ExpiredBytesHeld = "expired-bytes-held",
    /// An answer of an epoch that was lost is kept, and its dispatch not sent again.
    LostAnswerKept = "lost-answer-kept",
    /// More is sent up than there is credit for.
    RoomOverdrawn = "room-overdrawn",
    /// Forwarded dispatches of a link that is gone still count.
    ForgottenStillCounted = "forgotten-still-counted",
    /// A log is read one entry past where it is to stop.
    ReadsOnePast = "reads-one-past",
    /// A log is twice as long as it may be. Breaks I8.
    LogTwiceAsLong = "log-twice-as-long",
    /// Each block of a journal says that it begins at the first action.
    SpanFromTheStart = "span-from-the-start",
    /// A rejection is replayed under the next number.
    RejectedReplayedLate = "rejected-replayed-late",
    /// Actions are marked one early.
    MarksOneEarly = "marks-one-early",
    /// Digests take as much time as they like.
    BudgetIgnored = "budget-ignored",
    /// A copy that differs is not healed, but given up.
    GivesUpAtOnce = "gives-up-at-once",
    /// A copy that was replaced passes for confirmed.
    ConfirmedForEver = "confirmed-for-ever",
    /// A subscriber that fell behind is told the last reason, not the gravest.
    LastReasonTold = "last-reason-told",
    /// One change more than may be waits for subscribers. Breaks I8.
    RingOneLonger = "ring-one-longer",
    /// Epochs that were lost stay in the lineage.
    LostLivesKept = "lost-lives-kept",
    /// An epoch of the lineage has one action more than it had.
    LivesEndOneLate = "lives-end-one-late",
    /// A frame is no longer than the longest action.
    FramesOfActionsAlone = "frames-of-actions-alone",
    /// All sessions have the same token.
    OneTokenForAll = "one-token-for-all",
    /// A note of a link that fell off the log names no link.
    FallBelongsToNoLink = "fall-belongs-to-no-link",
    /// The resent dispatches of other epochs are not added up.
    ResentNotAdded = "resent-not-added",
    /// A node that is getting a snapshot is not told of another lineage.
    LineageUntoldAmidSnapshot = "lineage-untold-amid-snapshot",
    /// A copy that went wrong while its attach was under way does not ask to be healed.
    HealNotAskedAgain = "heal-not-asked-again",
    /// As many snapshots are sent at once as are asked for. Breaks I8.
    SnapshotsUnbounded = "snapshots-unbounded",
    /// A node that is to get a snapshot is told of another lineage before its head.
    LineageBeforeSnapshot = "lineage-before-snapshot",
    /// As many interrupted snapshots are kept as links end. Breaks I8.
    InterruptedUnbounded = "interrupted-unbounded",
    /// The snapshot that was interrupted last is the first to give way.
    NewestInterruptedGivesWay = "newest-interrupted-gives-way",
    /// Snapshots of links that have not caught up do not give way to others. Breaks I8.
    CopiesKept = "copies-kept",
    /// A node that waits for a snapshot and asks for the state gets another one after it.
    FetchedTwice = "fetched-twice",
    /// A node below that doubts its copy is given a state from before that.
    HealedFromBefore = "healed-from-before",
    /// A relay heals its own copy for each node below that says so, as often as it does.
    DoubtsHeededAlways = "doubts-heeded-always",
    /// A part of a snapshot that came over another link counts over a link of the first protocol.
    PartOfAnyProtocol = "part-of-any-protocol",
    /// A relay that once had a state that cannot be restored sends none ever after.
    UnsendableForEver = "unsendable-for-ever",
    /// Subscribers are told nothing at all. Breaks I10.
    ChangesUntold = "changes-untold",
}

#[cfg(samestate_mutants)]
thread_local! {
    static PUT_IN: Cell<Option<Mutant>> = const { Cell::new(None) };
}

#[cfg(samestate_mutants)]
impl Mutant {
    /// Puts this bug into every replica that is driven by this thread while `run` runs.
    pub fn put_in<T>(self, run: impl FnOnce() -> T) -> T {
        /// Takes the bug out again, however the run ends.
        struct Before(Option<Mutant>);
        impl Drop for Before {
            fn drop(&mut self) {
                PUT_IN.set(self.0);
            }
        }
        let _before = Before(PUT_IN.replace(Some(self)));
        run()
    }

    #[cfg(debug_assertions)]
    pub(super) fn is_put_in(self) -> bool {
        PUT_IN.get() == Some(self)
    }
}

#[cfg(samestate_mutants)]
impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no mutant has.
#[cfg(samestate_mutants)]
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no mutant is called `{0}`; one of: {names}", names = names())]
pub struct UnknownMutant(String);

#[cfg(samestate_mutants)]
fn names() -> String {
    Mutant::ALL.iter().map(|mutant| mutant.name()).collect::<Vec<_>>().join(", ")
}

#[cfg(samestate_mutants)]
impl FromStr for Mutant {
    type Err = UnknownMutant;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Mutant::ALL.iter().find(|mutant| mutant.name() == name);
        found.copied().ok_or_else(|| UnknownMutant(name.to_owned()))
    }
}

/// Returns whether a test put this bug in.
macro_rules! mutant {
    ($name:ident) => {{
        #[cfg(all(samestate_mutants, debug_assertions))]
        let put_in = $crate::Mutant::$name.is_put_in();
        #[cfg(not(all(samestate_mutants, debug_assertions)))]
        let put_in = false;
        put_in
    }};
}
pub(super) use mutant;

#[cfg(all(test, samestate_mutants))]
mod tests {
    use super::*;

    #[test]
    fn a_mutant_is_found_by_its_name_and_a_wrong_name_lists_them() {
        for mutant in Mutant::ALL {
            assert_eq!(mutant.to_string().parse(), Ok(*mutant));
        }
        let error = "nonsense".parse::<Mutant>().unwrap_err().to_string();
        assert!(error.contains("`nonsense`") && error.contains("session-gap"), "{error}");
    }
}
