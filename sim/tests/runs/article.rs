//! The article's two tests and its drawings, each as the scenario that is shipped, on real
//! processes and briefly.

use std::path::Path;
use std::process::Command;

use samestate_report::{Case, Record};

/// Runs a shipped scenario for as long, and returns its one case, which violates nothing.
fn case_of(name: &str, duration: &str) -> Case {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios").join(name);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output = Command::new(env!("CARGO_BIN_EXE_samestate"))
        .args([Path::new("run"), &file, Path::new("--out"), &folder.path().join("out")])
        .args(["--quiet", "--json", "-", "--duration", duration])
        .output()
        .expect("it starts");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let record = Record::from_json(&output.stdout, "standard output")
        .unwrap_or_else(|error| panic!("{name}: {error}: {}\n{told}", output.status));
    // 6: the machine was too busy to load the cluster as planned. Nothing was found wrong.
    assert!(matches!(output.status.code(), Some(0 | 6)), "{name}: {}\n{told}", output.status);
    let mut cases = record.cases;
    assert_eq!(cases.len(), 1, "{name}");
    let case = cases.remove(0);
    assert!(case.violations.is_empty(), "{name}: {:#?}", case.violations);
    case
}

/// A run of both clusters' stores in which every comparison at one version was equal.
fn assert_identical(name: &str) {
    let case = case_of(name, "6s");
    let (identical, dispatches) = (&case.identical, &case.dispatches);
    assert_eq!(identical.at_equal_version_percent, Some(100.0), "{identical:?}");
    assert!(identical.samples > 0, "the article's own comparison was made: {identical:?}");
    assert!(dispatches.ok > 0 && dispatches.from_mirrors > 0, "{dispatches:?}");
    assert_eq!((dispatches.lost, dispatches.duplicated), (Some(0), Some(0)), "{dispatches:?}");
}

#[test]
fn t01_one_cluster_stays_identical() {
    assert_identical("one-cluster.yaml");
}

#[test]
fn t02_two_clusters_over_tcp_stay_identical() {
    assert_identical("two-clusters.yaml");
}

/// The roles and links that each drawing asks for are expectations in its file.
#[test]
fn a17_every_scheme_of_the_articles_drawings_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let files = std::fs::read_dir(folder).expect("the scenarios that are shipped");
    let names = files.filter_map(|file| file.ok()?.file_name().into_string().ok());
    let mut schemes: Vec<_> = names.filter(|name| name.starts_with("scheme-")).collect();
    schemes.sort();
    for drawn in ["cluster", "server", "client-master", "client-worker", "client-alone", "graph"] {
        assert!(schemes.contains(&format!("scheme-{drawn}.yaml")), "{drawn}: {schemes:?}");
    }
    for scheme in schemes {
        assert!(case_of(&scheme, "2s").dispatches.ok > 0, "{scheme}");
    }
}
