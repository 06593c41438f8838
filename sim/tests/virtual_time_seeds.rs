//! Seeds of the swarm: what holds for all of them, and what it finds when something does not.
//!
//! `SAMESTATE_SEED_FIRST` and `SAMESTATE_SEEDS` choose other seeds. To see what a seed does:
//! `samestate simulate --swarm --print-scenario SEED > seed.yaml`, and
//! `samestate simulate seed.yaml --trace`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use samestate_proto::Mutant;
use samestate_sim::scenario::{Overrides, ScenarioFile};
use samestate_sim::virtual_time::shrink::shrink_failure;
use samestate_sim::virtual_time::{
    Failure, Options, Search, Searched, Why, draw, simulate, why_of,
};

/// Each mutant is found within this many seeds.
const MUTANT_SEEDS_MAX: u64 = 2000;

/// Mutants that no seed shows, each with a test of its own: in `held/`, and beside the
/// protocol.
const HELD_BY_TESTS: &[Mutant] = &[
    Mutant::RebaseKeepsDispatches,
    Mutant::DoubtsForgotten,
    Mutant::OnlyUpstreamForgiven,
    Mutant::RejectionNotKept,
    Mutant::TokenUnchecked,
    Mutant::OneTokenForAll,
    Mutant::NewestRouteGivesWay,
    Mutant::LostLivesKept,
    Mutant::FramesOfActionsAlone,
    Mutant::FallBelongsToNoLink,
    Mutant::ResentNotAdded,
    Mutant::LastReasonTold,
    Mutant::ConfirmedForEver,
    Mutant::ForgottenStillCounted,
    Mutant::LostAnswerKept,
    Mutant::UnsentLostToo,
    Mutant::LineageUntoldAmidSnapshot,
    Mutant::HealNotAskedAgain,
    Mutant::SnapshotsUnbounded,
    Mutant::CopiesKept,
    Mutant::InterruptedUnbounded,
    Mutant::NewestInterruptedGivesWay,
    Mutant::LineageBeforeSnapshot,
    Mutant::FetchedTwice,
    Mutant::DoubtsHeededAlways,
    Mutant::PartOfAnyProtocol,
    Mutant::UnsendableForEver,
];

/// The first seed that showed each mutant when it was put in: it is tried first, which takes a
/// hundredth of the time. A mutant that it no longer shows is searched for in all of them.
const SHOWN_BY: &[(Mutant, u64)] = &[
    (Mutant::AnswerBeforeDisk, 3),
    (Mutant::AnswerOfAnyLife, 1707),
    (Mutant::AwaitsOneAhead, 0),
    (Mutant::BudgetIgnored, 71),
    (Mutant::BuriedEarly, 10),
    (Mutant::ChangesUntold, 0),
    (Mutant::CommitGoesBack, 8),
    (Mutant::ConnectedTooEarly, 0),
    (Mutant::DeadlineOnDiskIgnored, 96),
    (Mutant::DigestAtWrongVersion, 71),
    (Mutant::DigestBeforeDisk, 10),
    (Mutant::DigestSkipped, 86),
    (Mutant::EarlyAnswer, 0),
    (Mutant::EntriesBeforeDisk, 3),
    (Mutant::ExpiredBytesHeld, 278),
    (Mutant::ForwardsAreFree, 201),
    (Mutant::GivesUpAtOnce, 55),
    (Mutant::HealSkipped, 55),
    (Mutant::HealedFromBefore, 26),
    (Mutant::HealingInSync, 0),
    (Mutant::HopKept, 0),
    (Mutant::InstallKeepsJobs, 103),
    (Mutant::IssuedSessionNotKept, 10),
    (Mutant::JumpUntold, 0),
    (Mutant::LagOfState, 4),
    (Mutant::LineageByNumber, 10),
    (Mutant::LineageUntold, 10),
    (Mutant::LivesEndOneLate, 317),
    (Mutant::LogTwiceAsLong, 8),
    (Mutant::LossUnreported, 55),
    (Mutant::LostTargetKept, 276),
    (Mutant::MarkNotPassedOn, 3),
    (Mutant::MarksOneEarly, 3),
    (Mutant::MissingPatchPassed, 1532),
    (Mutant::NoDeduplication, 2),
    (Mutant::NoHeartbeatUp, 0),
    (Mutant::OldestOutcomeDropped, 2),
    (Mutant::OthersUnmarked, 3),
    (Mutant::OutcomeForgotten, 2),
    (Mutant::OutcomesOneShort, 2),
    (Mutant::PatchSkipped, 0),
    (Mutant::ReadsOnePast, 12),
    (Mutant::RealignForgotten, 0),
    (Mutant::RejectedReplayedLate, 1183),
    (Mutant::RelayHealsFromItself, 55),
    (Mutant::ReleasedOneEarly, 10),
    (Mutant::ResendForgotten, 2),
    (Mutant::RestoredLogFromZero, 10),
    (Mutant::ResumeOffByOne, 2),
    (Mutant::RingOneLonger, 115),
    (Mutant::RoomOverdrawn, 201),
    (Mutant::RouteNotRenewed, 93),
    (Mutant::SessionAheadOfDisk, 39),
    (Mutant::SessionGap, 323),
    (Mutant::SessionsOneMore, 12),
    (Mutant::SnapshotBeforeDisk, 17),
    (Mutant::SnapshotOfAnyLife, 10),
    (Mutant::SnapshotOneLate, 0),
    (Mutant::SnapshotRaced, 0),
    (Mutant::SpanFromTheStart, 7),
    (Mutant::StaleEpoch, 10),
    (Mutant::StaleJobTaken, 103),
    (Mutant::StatusAheadOfDisk, 3),
    (Mutant::SyncUntold, 0),
    (Mutant::TargetNotRenewed, 2),
    (Mutant::WakeForgotten, 0),
    (Mutant::WindowOneLonger, 2),
];

/// Mutants whose first failures are made small, too.
const SHRUNK: &[Mutant] = &[Mutant::NoDeduplication, Mutant::ResumeOffByOne, Mutant::EarlyAnswer];

/// So many of the seeds that show a mutant are shrunk, until one is small enough.
const SHRUNK_MAX: u32 = 5;

fn swarm(seeds: std::ops::Range<u64>, options: Options, all: bool, twice_every: u64) -> Searched {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let search = Search { name: "swarm".into(), seeds, options, threads, all, twice_every };
    search.run(&|seed| vec![draw(seed)], &|_| true)
}

fn from_env(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn two_thousand_seeds_hold_and_come_to_the_same_twice() {
    let first = from_env("SAMESTATE_SEED_FIRST", 0);
    let count = from_env("SAMESTATE_SEEDS", 2000);
    let searched = swarm(first..first + count, Options::default(), true, 20);
    for (moment, times) in searched.moments.named() {
        println!("{moment}: {times}");
    }
    let failed: Vec<_> =
        searched.failures.iter().map(|one| format!("seed {}: {}", one.seed, one.why)).collect();
    assert!(failed.is_empty(), "{} of {count} seeds failed:\n{}", failed.len(), failed.join("\n"));
    let never = searched.moments.never();
    assert!(count < 2000 || never.is_empty(), "in {count} seeds never: {never:?}");
    assert_eq!((searched.seeds, searched.twice > 0), (count, count >= 20));
}

/// A panic that is not a reducer's fails its seed, and no other seed is lost by it.
#[test]
fn a_panic_of_the_protocol_fails_its_seed_alone() {
    let seeds = AtomicUsize::new(0);
    let adjust = move |_: &mut _| {
        assert!(seeds.fetch_add(1, Ordering::Relaxed) != 5, "planted");
    };
    let options = Options { adjust: Some(Arc::new(adjust)), ..Options::default() };
    let searched = swarm(0..10, options, true, 0);
    let failed: Vec<_> = searched.failures.iter().map(|one| one.why.to_string()).collect();
    assert_eq!((searched.seeds, failed.len()), (10, 1), "{failed:?}");
    let names_it = failed[0].contains("virtual_time_seeds.rs") && failed[0].contains(" planted");
    assert!(names_it, "{failed:?}");
}

/// Checks that violations that were once found hold now.
#[test]
fn what_was_found_holds_now() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/found");
    let mut replayed = 0;
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("readable").path();
        let file = ScenarioFile::load(&path, &Overrides::default()).expect("a scenario");
        for case in &file.cases {
            let recorded = !case.plan.expect.is_empty();
            let options = Options { recorded, ..Options::default() };
            let outcome = simulate(&case.plan, &options).expect("its reducers ship");
            let why = why_of(&outcome).map(|why| why.to_string());
            assert_eq!(why, None, "{}", path.display());
            replayed += 1;
        }
    }
    assert!(replayed > 0);
}

/// Each known bug, put into every replica, is found: by the first seed that shows it, or by a test
/// that is named for it.
#[test]
fn every_mutant_is_found_within_two_thousand_seeds() {
    let next = AtomicUsize::new(0);
    let missed = Mutex::new(Vec::new());
    let work = || {
        while let Some(mutant) = Mutant::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
            if !HELD_BY_TESTS.contains(mutant) && !mutant.put_in(|| found(*mutant)) {
                missed.lock().expect("no panic").push(mutant.name());
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let missed = missed.into_inner().expect("no panic");
    assert!(missed.is_empty(), "in {MUTANT_SEEDS_MAX} seeds: {missed:?}");
}

/// The first seed that shows a mutant, if any does. Some are made small enough to be read, by the
/// first seed or one of the next.
fn found(mutant: Mutant) -> bool {
    let shrinks = SHRUNK.contains(&mutant);
    let mut tries = 0;
    let shown_by = SHOWN_BY.iter().filter(|(shown, _)| *shown == mutant);
    for seed in shown_by.map(|(_, seed)| *seed).chain(0..MUTANT_SEEDS_MAX) {
        let Some(failure) = failure(seed) else { continue };
        if !shrinks {
            println!("{mutant}: seed {seed}: {}", failure.why);
            return true;
        }
        tries += 1;
        let shrunk = shrink_failure(&failure, &Options::default(), |_| {});
        let after = shrunk.expect("it shows it again").after;
        println!("{mutant}: seed {seed}: {}; {after}", failure.why);
        if after.nodes <= 4 && after.actions <= 5 && after.faults <= 2 {
            return true;
        }
        if tries == SHRUNK_MAX {
            return false;
        }
    }
    println!("{mutant}: not found");
    false
}

/// Returns the reason why a seed fails in this thread, if it does. A mutant may let the protocol
/// panic, too.
fn failure(seed: u64) -> Option<Failure> {
    let mut scenario = draw(seed);
    scenario.seed = seed;
    let plan = scenario.plan("swarm").expect("it validates");
    let why = match simulate(&plan, &Options::default()) {
        Ok(outcome) => why_of(&outcome)?,
        Err(error) => Why::NotPlayable(error.to_string()),
    };
    Some(Failure { seed, scenario, why })
}
