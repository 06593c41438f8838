//! Seeds of the swarm: what holds for all of them, and what it finds when something does not.
//!
//! `SAMESTATE_SEED_FIRST` and `SAMESTATE_SEEDS` choose other seeds. To see what a seed does:
//! `samestate simulate --swarm --print-scenario SEED > seed.yaml`, and
//! `samestate simulate seed.yaml --trace`.

use std::sync::Arc;

use samestate::replication::Mutant;
use samestate_sim::scenario::{Overrides, ScenarioFile};
use samestate_sim::virtual_time::shrink::shrink_failure;
use samestate_sim::virtual_time::{Options, Search, Searched, draw, simulate, why_of};

/// Each mutant is found within this many seeds.
const MUTANT_SEEDS_MAX: u64 = 1000;

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

/// What was found once is replayed for ever.
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

/// Each known bug, put into every replica, is found, and made small enough to be read: by the first
/// seed that shows it, or by one of the next.
#[test]
fn every_mutant_is_found_within_a_thousand_seeds_and_shrinks() {
    let mut missed = Vec::new();
    for mutant in Mutant::ALL {
        missed.extend(found_and_small(*mutant).err().map(|why| format!("{mutant}: {why}")));
    }
    assert!(missed.is_empty(), "in {MUTANT_SEEDS_MAX} seeds: {missed:?}");
}

fn found_and_small(mutant: Mutant) -> Result<(), String> {
    let adjust = Arc::new(move |config: &mut samestate::replication::Config| {
        config.mutant = Some(mutant);
    });
    let options = Options { adjust: Some(adjust), ..Options::default() };
    let (mut first, mut why) = (0, "not found".to_owned());
    for _ in 0..SHRUNK_MAX {
        let searched = swarm(first..MUTANT_SEEDS_MAX, options.clone(), false, 0);
        let Some(found) = searched.failures.first() else { break };
        let shrunk = shrink_failure(found, &options, |_| {}).ok_or("it does not show it again")?;
        let after = shrunk.after;
        println!("{mutant}: seed {}: {}; {after}, {} tries", found.seed, found.why, shrunk.tries);
        if after.nodes <= 4 && after.actions <= 5 && after.faults <= 2 {
            return Ok(());
        }
        (first, why) = (found.seed + 1, format!("shrunk to {after}"));
    }
    Err(why)
}
