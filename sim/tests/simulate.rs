//! `samestate simulate`, as a person or a script uses it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A scenario that is shipped.
fn scenario(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios").join(name)
}

fn simulate(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_samestate"));
    command.arg("simulate").args(args).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_articles_tests_pass_and_leave_a_record() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let out = temp.path().join("out");
    for name in ["one-cluster.yaml", "two-clusters.yaml"] {
        let (file, out) = (scenario(name), out.join(name));
        let (file, shown) = (file.to_string_lossy(), out.to_string_lossy());
        let done = simulate(&[&file, "--duration", "1m", "--out", &shown]);
        assert!(done.status.success(), "{}{}", text(&done.stdout), text(&done.stderr));
        let record = std::fs::read_to_string(out.join("record.json")).expect("a record");
        let record: serde_json::Value = serde_json::from_str(&record).expect("as JSON");
        assert_eq!((&record["kind"], &record["verdict"]), (&"virtual".into(), &"pass".into()));
        assert!(record["virtual_seconds"].as_f64() >= Some(60.0), "{record}");
        assert!(record["cases"][0]["dispatches"]["ok"].as_u64() > Some(400), "{record}");
        assert!(record["cases"][0]["cost"]["cpu_seconds"].is_null(), "nobody measured it");
        assert!(out.join("scenario.yaml").is_file());
    }
}

#[test]
fn tls_is_not_simulated_and_that_is_said() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let out = temp.path().join("out");
    let (file, shown) = (scenario("two-clusters-tls.yaml"), out.to_string_lossy());
    let file = file.to_string_lossy();
    let done = simulate(&[&file, "--duration", "5s", "--out", &shown]);
    let said = text(&done.stderr);
    assert!(done.status.success(), "{said}");
    assert!(said.contains("note: two-clusters-tls: no TLS in virtual time"), "{said}");
    let record = std::fs::read_to_string(out.join("record.json")).expect("a record");
    let record: serde_json::Value = serde_json::from_str(&record).expect("as JSON");
    let transport = &record["cases"][0]["stores"]["test1"]["transport"];
    assert!(transport.is_null(), "nothing that was not spoken is in the record: {transport}");
    let args = [&*file, "--set", "links.0.tls=false", "--set", "links.1.tls=false"];
    let done = simulate(&[&args[..], &["--duration", "5s", "--out", &shown]].concat());
    assert_eq!(text(&done.stderr), "");
}

#[test]
fn a_seeds_trace_is_the_same_to_the_byte_and_another_seeds_is_not() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let (out, file) = (temp.path().to_string_lossy(), scenario("disconnect.yaml"));
    let file = file.to_string_lossy();
    let traced = |seed: &str| {
        let args = ["--duration", "20s", "--trace", "100000", "--out", &out, "--quiet"];
        let done = simulate(&[&[&*file, "--seed", seed], &args[..]].concat());
        assert!(done.status.success(), "{}", text(&done.stderr));
        text(&done.stdout)
    };
    let once = traced("7");
    assert!(once.lines().count() > 1000 && once.contains("connects"), "{once:.2000}");
    assert_eq!(once, traced("7"));
    assert_ne!(once, traced("8"));
}

#[test]
fn what_a_seed_draws_is_a_scenario_file_that_comes_to_the_same() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let (file, out) = (temp.path().join("drawn.yaml"), temp.path().join("out"));
    let drawn = simulate(&["--swarm", "--print-scenario", "77"]);
    assert!(drawn.status.success());
    std::fs::write(&file, &drawn.stdout).expect("writable");
    let (file, out) = (file.to_string_lossy(), out.to_string_lossy());
    let common = ["--seeds", "77..78", "--json", "-", "--quiet", "--out", &out];
    let of_file = simulate(&[&[&*file], &common[..]].concat());
    let of_swarm = simulate(&[&["--swarm"], &common[..]].concat());
    assert!(of_file.status.success() && of_swarm.status.success());
    let history = |done: &Output| {
        let json: serde_json::Value = serde_json::from_slice(&done.stdout).expect("JSON alone");
        json["seeds"]["history"].as_str().expect("a history").to_owned()
    };
    assert_eq!(history(&of_file), history(&of_swarm));
}

#[test]
fn an_expectation_that_is_not_met_fails_and_a_wrong_flag_says_what_is_right() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let (file, out) = (scenario("disconnect.yaml"), temp.path().to_string_lossy());
    let file = file.to_string_lossy();
    let strict = "expect=[{metric: dispatches.ok, max: 0}]";
    let done = simulate(&[&file, "--set", strict, "--duration", "1s", "--out", &out]);
    assert_eq!(done.status.code(), Some(3), "{}", text(&done.stdout));
    let many =
        simulate(&[&file, "--set", strict, "--duration", "1s", "--seeds", "0..2", "--out", &out]);
    assert_eq!(many.status.code(), Some(3), "{}", text(&many.stdout));
    for (args, said) in [
        (&["--seeds", "5..5"][..], "0..1000"),
        (&["--seeds", "0..9", "--trace"], "--seed"),
        (&["--swarm"], "--swarm"),
    ] {
        let done = simulate(&[&[&*file], args].concat());
        assert_eq!(done.status.code(), Some(2), "{args:?}");
        assert!(text(&done.stderr).contains(said), "{args:?}: {}", text(&done.stderr));
    }
}
