//! The seeds of the fuzzers, replayed without a fuzzer: each input under `fuzz/corpus/` goes
//! through the function that `fuzz/` feeds, and the seeds there are those that the code makes
//! today.
#![cfg(samestate_fuzzing)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use samestate::fuzzing::{TARGETS, Target};

/// Set: writes the seeds anew, instead of comparing them.
const RENEW: &str = "SAMESTATE_RENEW_SEEDS";

fn folder(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target.name)
}

fn seed_name(name: &str) -> String {
    format!("seed-{name}")
}

fn kept(target: &Target) -> BTreeMap<String, Vec<u8>> {
    let folder = folder(target);
    let files = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", folder.display()));
    let read = |file: std::io::Result<std::fs::DirEntry>| {
        let file = file.expect("a file");
        let name = file.file_name().into_string().expect("a name in UTF-8");
        (name, std::fs::read(file.path()).expect("its bytes"))
    };
    files.map(read).collect()
}

#[test]
fn the_seeds_are_those_that_the_code_makes() {
    for target in &TARGETS {
        let made: BTreeMap<_, _> =
            (target.seeds)().into_iter().map(|(name, bytes)| (seed_name(name), bytes)).collect();
        if std::env::var_os(RENEW).is_some() {
            std::fs::create_dir_all(folder(target)).expect("the folder");
            for (name, bytes) in &made {
                std::fs::write(folder(target).join(name), bytes).expect("it is written");
            }
        }
        let seeds = kept(target).into_iter().filter(|(name, _)| name.starts_with("seed-"));
        assert!(
            made == seeds.collect(),
            "the seeds of {} are not those that the code makes; run \
             `{RENEW}=1 cargo test -p samestate --all-features --test fuzz_corpus`",
            target.name
        );
    }
}

#[test]
fn every_kept_input_holds() {
    for target in &TARGETS {
        let inputs = kept(target);
        assert!(!inputs.is_empty(), "{} has no inputs", target.name);
        for (name, bytes) in &inputs {
            println!("{} {name}", target.name);
            (target.run)(bytes);
            // Cut and changed, as a fuzzer would begin.
            for at in 0..bytes.len().min(512) {
                (target.run)(&bytes[..at]);
                let mut changed = bytes.clone();
                changed[at] ^= 0x41;
                (target.run)(&changed);
            }
        }
    }
}
