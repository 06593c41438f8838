//! `docs/ARTICLE.md` names a test for every item, and every test that it names is there.

use std::collections::BTreeSet;
use std::path::Path;

/// The article's items: 17 of the library, its two tests, its two applications.
fn items() -> BTreeSet<String> {
    let numbered =
        |letter: &'static str, last: u32| (1..=last).map(move |number| format!("{letter}{number}"));
    numbered("A", 17).chain(numbered("T", 2)).chain(numbered("E", 2)).collect()
}

/// An item's mark in the name of a test: `A9` is `a09_`.
fn mark(item: &str) -> String {
    let (letter, number) = item.split_at(1);
    format!("{}{number:0>2}_", letter.to_lowercase())
}

fn marked_tests(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("it can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            marked_tests(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("it can be read");
            let marks: Vec<_> = items().iter().map(|item| mark(item)).collect();
            let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let marked = words.filter(|word| marks.iter().any(|mark| word.starts_with(mark)));
            found.extend(marked.map(str::to_owned));
        }
    }
}

#[test]
fn every_item_has_a_row_and_every_row_a_test_that_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("docs/ARTICLE.md")).expect("the page");
    let mut tests = BTreeSet::new();
    for folder in ["core/tests", "core/src", "sim/tests"] {
        marked_tests(&root.join(folder), &mut tests);
    }
    let (mut rows, mut named) = (BTreeSet::new(), BTreeSet::new());
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        let item = row.trim_start_matches("| ").split(' ').next().unwrap_or_default();
        if !items().contains(item) {
            continue;
        }
        rows.insert(item.to_owned());
        let mark = mark(item);
        let of_row: Vec<_> = row.split('`').filter(|word| word.starts_with(&mark)).collect();
        assert!(!of_row.is_empty(), "{item} has no test that bears its number");
        named.extend(of_row.into_iter().map(str::to_owned));
    }
    assert_eq!(rows, items(), "a row for every item");
    let missing: Vec<_> = named.difference(&tests).collect();
    assert!(missing.is_empty(), "the page names tests that are not there: {missing:?}");
}
