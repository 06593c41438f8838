#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| samestate::fuzzing::run("snapshot", data));
