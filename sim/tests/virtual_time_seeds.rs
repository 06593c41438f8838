//! Seeds of the simulator: what holds for all of them, and what it finds when something does not.
//!
//! `SAMESTATE_SEED_FIRST` and `SAMESTATE_SEEDS` choose other seeds, `SAMESTATE_TRACE` says how many
//! lines of a failure's trace are printed.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use samestate::replication::{Config, Mutant};
use samestate_sim::virtual_time::{Failure, Moments, Options, Outcome, run_seed};

/// Each mutant is found within this many seeds.
const MUTANT_SEEDS_MAX: u64 = 1000;

type Found = Vec<(u64, Result<Outcome, Box<Failure>>)>;

/// Runs seeds on all cores, until `enough`.
fn sweep(seeds: Range<u64>, options: &Options, enough: fn(&Failure) -> bool) -> Found {
    let (next, stop) = (AtomicU64::new(seeds.start), AtomicU64::new(seeds.end));
    let work = || {
        let mut found = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= stop.load(Ordering::Relaxed) {
                return found;
            }
            let outcome = run_seed(seed, options);
            if outcome.as_ref().is_err_and(|failure| enough(failure)) {
                stop.store(0, Ordering::Relaxed);
            }
            found.push((seed, outcome));
        }
    };
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let mut found: Found = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect()
    });
    found.sort_by_key(|found| found.0);
    found
}

fn from_env(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn two_thousand_seeds_hold() {
    let first = from_env("SAMESTATE_SEED_FIRST", 0);
    let count = from_env("SAMESTATE_SEEDS", 2000);
    let trace_lines_max = from_env("SAMESTATE_TRACE", 150) as usize;
    let options = Options { trace_lines_max, ..Options::default() };
    let all = sweep(first..first + count, &options, |_| false);
    let failed: Vec<_> = all.iter().filter_map(|found| found.1.as_ref().err()).collect();
    for failure in &failed {
        println!("seed {}: {}", failure.seed, failure.violation);
    }
    if let Some(failure) = failed.first() {
        panic!("{} of {count} seeds failed; the first:\n{failure}", failed.len());
    }
    let all = all.iter().filter_map(|found| found.1.as_ref().ok());
    let never = never_seen(all.map(|outcome| outcome.moments));
    assert!(count < 2000 || never.is_empty(), "in {count} seeds never: {never:?}");
}

/// The moments that make a sweep worth its name, and did not come about in any of its seeds.
fn never_seen(all: impl Iterator<Item = Moments>) -> Vec<&'static str> {
    let mut seen = BTreeMap::new();
    for moments in all {
        let (replicas, dispatches) = (moments.replicas, moments.dispatches);
        for (name, times) in [
            ("a cursor fell off the log", replicas.snapshots_forced),
            ("a link resumed", replicas.resumed),
            ("a copy diverged", replicas.divergences),
            ("a dispatch of an old attachment was dropped", replicas.stale_hops),
            ("a dispatch came again, and was not applied again", replicas.deduplicated),
            ("a dispatch was rejected", dispatches.rejected),
            ("an outcome was unknown", dispatches.unknown),
            ("a dispatch was refused", dispatches.refused),
            ("an accepted dispatch was rolled back", dispatches.rolled_back),
            ("a peer was silent", moments.links_silent),
            ("a frame was garbled", moments.links_corrupt),
            ("a loop was refused", moments.links_looped),
            ("history was lost", moments.histories_lost),
            ("a sequencer became a client", moments.rebases),
            ("a sequencer was restored", moments.restores),
            ("an action failed at one copy", moments.failed_here),
            ("a relay was fed by snapshots", moments.fed_by_snapshots),
        ] {
            *seen.entry(name).or_insert(0) += times;
        }
    }
    println!("{seen:#?}");
    seen.into_iter().filter(|seen| seen.1 == 0).map(|seen| seen.0).collect()
}

#[test]
fn the_same_seed_twice_gives_the_same_history() {
    for seed in 0..40 {
        let once = run_seed(seed, &Options::default()).expect("it holds");
        assert_eq!(run_seed(seed, &Options::default()).expect("it holds"), once, "seed {seed}");
    }
}

/// Puts a known bug into every node.
fn assert_found(adjust: fn(&mut Config)) {
    let options = Options { adjust: Some(adjust), ..Options::default() };
    let all = sweep(0..MUTANT_SEEDS_MAX, &options, |_| true);
    let found = all.iter().find_map(|found| found.1.as_ref().err());
    let found = found.expect("a seed that shows the bug");
    println!("seed {}: {}", found.seed, found.violation);
}

#[test]
fn a_sequencer_that_does_not_deduplicate_is_found() {
    assert_found(|config| config.mutant = Some(Mutant::NoDeduplication));
}

#[test]
fn a_snapshot_that_is_cut_one_entry_late_is_found() {
    assert_found(|config| config.mutant = Some(Mutant::SnapshotOneLate));
}

#[test]
fn a_resume_that_is_off_by_one_is_found() {
    assert_found(|config| config.mutant = Some(Mutant::ResumeOffByOne));
}

#[test]
fn a_stale_epoch_that_is_accepted_is_found() {
    assert_found(|config| config.mutant = Some(Mutant::StaleEpoch));
}

#[test]
fn an_answer_before_its_entry_is_applied_is_found() {
    assert_found(|config| config.mutant = Some(Mutant::EarlyAnswer));
}
