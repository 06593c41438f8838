//! The verbs that the README names are there, and say so where they cannot begin.

mod no_threads;

use std::process::Command;

fn readme() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    std::fs::read_to_string(path).expect("the README is there")
}

#[test]
fn every_verb_of_the_readme_explains_itself() {
    let readme = readme();
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `samestate "));
    let verbs: Vec<_> = rows.filter_map(|row| row.split([' ', '`']).next()).collect();
    assert!(verbs.len() >= 6, "the README's table of verbs: {verbs:?}");
    for verb in verbs {
        let help = Command::new(env!("CARGO_BIN_EXE_samestate")).args([verb, "--help"]).output();
        let help = help.expect("the program starts");
        assert!(help.status.success(), "{verb}: {}", String::from_utf8_lossy(&help.stderr));
        assert!(String::from_utf8_lossy(&help.stdout).contains("Usage: samestate"), "{verb}");
    }
}

#[test]
fn every_scenario_of_the_readme_is_there() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios");
    for name in readme().split('`').filter(|word| word.ends_with(".yaml") && !word.contains('*')) {
        let name = name.rsplit('/').next().unwrap_or(name);
        let kept = name == "scenario.yaml" || std::path::Path::new(folder).join(name).is_file();
        assert!(kept, "{name}");
    }
}
