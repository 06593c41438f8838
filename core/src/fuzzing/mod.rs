//! Entry points for fuzzers, with the properties that must hold for any input. Behind the flag
//! `--cfg samestate_fuzzing`; not for users. A panic here is a finding.
//!
//! Two programs call these: `fuzz/` (libFuzzer, on nightly), and `core/tests/fuzz_corpus.rs`, which
//! replays the committed seeds on stable.
//!
//! - `script`: several messages in the bytes of one input
//! - `bytes`: frames and messages
//! - `logins`: the handshake, both sides
//! - `replicas`: a sequencer that hears a client, a follower that hears a server
//! - the files of a backup are fed in `crate::backup`, where their parts are known

mod bytes;
mod logins;
pub(crate) mod replicas;
pub(crate) mod script;

/// Something that reads what others wrote.
#[derive(Debug)]
pub struct Target {
    /// Also the name of its folder of seeds.
    pub name: &'static str,
    /// Feeds it these bytes. Panics if something does not hold.
    pub run: fn(&[u8]),
    /// Inputs made of real messages, each with a name: where a fuzzer begins.
    pub seeds: fn() -> Vec<(&'static str, Vec<u8>)>,
}

/// All of them.
pub const TARGETS: [Target; 6] = [
    Target { name: "frames", run: bytes::frames, seeds: bytes::frame_seeds },
    Target { name: "messages", run: bytes::messages, seeds: bytes::message_seeds },
    Target { name: "handshake", run: logins::handshake, seeds: logins::seeds },
    Target { name: "guest", run: replicas::guest, seeds: replicas::guest_seeds },
    Target { name: "snapshot", run: replicas::snapshot, seeds: replicas::snapshot_seeds },
    Target { name: "backup", run: crate::backup::fuzzed::run, seeds: crate::backup::fuzzed::seeds },
];

/// Feeds the target of this name. Panics if there is none.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    let target = target.unwrap_or_else(|| panic!("there is no target {name:?}"));
    (target.run)(data);
}
