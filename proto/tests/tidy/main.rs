//! Rules of style that a test can check, for the whole workspace.
//!
//! A failure names each place as `file:line`, and the way to fix it. `CONTRIBUTING.md` explains the
//! rules. The test is part of the protocol crate because that crate compiles fast; the test itself
//! depends on nothing but the standard library.

mod tree;

use std::collections::BTreeSet;

use tree::{Source, Tree, anchors, code_spans, doc_paragraphs, link_targets};

const COLUMNS_MAX: usize = 100;
const LINES_MAX: usize = 500;

/// Folders that the docs name and git ignores.
const UNTRACKED: &[&str] = &["fuzz/work/"];

/// Words that make a noun clause of the beginning of a doc comment, also after a preposition.
const NOUN_CLAUSES: &[&str] = &[
    "how", "what", "whatever", "when", "where", "whether", "which", "who", "whoever", "whom",
    "whose", "why",
];

/// Prepositions that may precede a word of [`NOUN_CLAUSES`], as in "For how long ...".
const PREPOSITIONS: &[&str] =
    &["at", "by", "for", "from", "in", "of", "on", "over", "since", "to", "until", "with"];

/// Parts of `std` that do I/O, read a clock or start threads.
const IMPURE_STD: &[&str] = &["env", "fs", "io", "net", "os", "process", "thread"];

/// Names that the protocol may not use, wherever they come from.
const IMPURE_NAMES: &[&str] = &["Instant", "SystemTime", "getrandom", "rand", "tokio"];

/// Crates that the protocol may not depend on.
const IMPURE_CRATES: &[&str] =
    &["async-std", "getrandom", "libc", "mio", "rand", "rustix", "smol", "socket2", "tokio"];

/// Fails with all faults at once, so that they can be fixed in one pass.
fn assert_none(faults: &[String], advice: &str) {
    assert!(faults.is_empty(), "{advice}:\n\n{}\n", faults.join("\n"));
}

#[test]
fn a_doc_comment_begins_with_a_verb_or_a_noun() {
    let mut faults = Vec::new();
    for source in Tree::load().with_extension("rs") {
        for paragraph in doc_paragraphs(&source.text) {
            if begins_with_a_noun_clause(&paragraph.text) || paragraph.text.starts_with("...") {
                let start: String = paragraph.text.chars().take(60).collect();
                faults.push(format!("{}:{}: {start}", source.path, paragraph.line));
            }
        }
    }
    let advice = "begin these doc comments with a verb in the third person (\"Returns whether \
                  ...\") or with a noun (\"The number of ...\")";
    assert_none(&faults, advice);
}

fn begins_with_a_noun_clause(text: &str) -> bool {
    let mut words = text.split(|c: char| !c.is_alphabetic()).map(str::to_lowercase);
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let is_clause = |word: &String| NOUN_CLAUSES.contains(&word.as_str());
    // "When the limit is reached, the oldest is closed." is no noun clause.
    let is_condition = first == "when" && text.contains(", ");
    let begins = text.starts_with(char::is_uppercase);
    (begins && is_clause(&first) && !is_condition)
        || (begins && PREPOSITIONS.contains(&first.as_str()) && is_clause(&second))
}

#[test]
fn noun_clauses_are_told_from_other_beginnings() {
    for text in ["What it holds.", "Whether it is open.", "For how long it waits.", "Why not."] {
        assert!(begins_with_a_noun_clause(text), "{text}");
    }
    for text in ["Returns whether it is open.", "The wait.", "When it is full, it refuses."] {
        assert!(!begins_with_a_noun_clause(text), "{text}");
    }
}

#[test]
fn no_line_is_wider_than_a_hundred_columns() {
    let tree = Tree::load();
    let mut faults = Vec::new();
    for source in tree.with_extension("rs").chain(tree.with_extension("md")) {
        for (line, text) in source.lines() {
            let columns = text.chars().count();
            if columns > COLUMNS_MAX && !is_table_row(text) && !is_wide_by_links(text) {
                faults.push(format!("{}:{line}: {columns} columns", source.path));
            }
        }
    }
    assert_none(&faults, "wrap these lines at 100 columns, comments included");
}

/// Returns whether the line is a row of a Markdown table, which cannot be wrapped.
fn is_table_row(text: &str) -> bool {
    let text = text.trim_start();
    let text = text.strip_prefix("///").or_else(|| text.strip_prefix("//!")).unwrap_or(text);
    text.trim_start().starts_with('|')
}

/// Returns whether the line is narrow enough without the targets of its links.
fn is_wide_by_links(text: &str) -> bool {
    let targets: usize = link_targets(text).iter().map(|target| target.chars().count()).sum();
    text.chars().count() - targets <= COLUMNS_MAX
}

#[test]
fn no_file_is_longer_than_five_hundred_lines() {
    let mut faults = Vec::new();
    for source in Tree::load().with_extension("rs") {
        let lines = source.text.lines().count();
        if lines > LINES_MAX {
            faults.push(format!("{}:{}: {lines} lines", source.path, LINES_MAX + 1));
        }
    }
    assert_none(&faults, "split these files by subject");
}

#[test]
fn the_protocol_does_no_io_and_reads_no_clock() {
    let tree = Tree::load();
    let mut faults = Vec::new();
    for source in tree.with_extension("rs").filter(|source| source.path.starts_with("proto/src/")) {
        for (line, text) in source.lines() {
            let code = text.split("//").next().unwrap_or_default();
            let names = impure_names(code).into_iter();
            faults.extend(names.map(|name| format!("{}:{line}: {name}", source.path)));
        }
        let groups = impure_groups(&source.text).into_iter();
        faults.extend(groups.map(|name| format!("{}:1: std::{{{name}}}", source.path)));
    }
    let manifest = tree.read("proto/Cargo.toml").expect("the manifest of the protocol crate");
    for (line, text) in manifest.lines() {
        let name = text.split(['.', '=', ' ']).next().unwrap_or_default();
        if IMPURE_CRATES.contains(&name) {
            faults.push(format!("{}:{line}: {name}", manifest.path));
        }
    }
    let advice = "the protocol crate has no sockets, files, threads, clocks or random numbers: \
                  pass their results in from `core` or `sim`";
    assert_none(&faults, advice);
}

fn identifiers(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

/// Returns the impure names on a line of code.
fn impure_names(code: &str) -> Vec<String> {
    let named = identifiers(code).filter(|name| IMPURE_NAMES.contains(name)).map(str::to_owned);
    let in_std = code.match_indices("std::").filter_map(|(at, prefix)| {
        let rest = &code[at + prefix.len()..];
        let part = identifiers(rest).next().filter(|part| rest.starts_with(part))?;
        IMPURE_STD.contains(&part).then(|| format!("std::{part}"))
    });
    named.chain(in_std).collect()
}

/// Returns the impure parts of `use std::{..}`, which may extend over several lines.
fn impure_groups(code: &str) -> BTreeSet<String> {
    let groups = code.split("std::{").skip(1).filter_map(|rest| rest.split(';').next());
    let names = groups.flat_map(identifiers).filter(|name| IMPURE_STD.contains(name));
    names.map(str::to_owned).collect()
}

#[test]
fn every_link_in_markdown_leads_to_a_file_and_a_heading() {
    let tree = Tree::load();
    let mut faults = Vec::new();
    for source in tree.with_extension("md") {
        for link in source.links() {
            let (path, anchor) = link.target.split_once('#').unwrap_or((&link.target, ""));
            let path = if path.is_empty() { source.path.clone() } else { source.resolve(path) };
            let place = format!("{}:{}", source.path, link.line);
            if !tree.exists(&path) {
                faults.push(format!("{place}: {} does not exist", link.target));
            } else if !anchor.is_empty() && path.ends_with(".md") {
                let target = tree.read(&path).expect("a file that exists");
                if !anchors(&target.text).contains(anchor) {
                    faults.push(format!("{place}: {path} has no heading #{anchor}"));
                }
            }
        }
    }
    assert_none(&faults, "correct these links, or add the files that they name");
}

#[test]
fn every_path_in_markdown_exists() {
    let tree = Tree::load();
    let folders: BTreeSet<_> = tree.paths().filter_map(|path| path.split_once('/')).collect();
    let folders: BTreeSet<_> = folders.into_iter().map(|(folder, _)| folder).collect();
    let is_path = |code: &&str| {
        let plain = code.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
        plain && code.split_once('/').is_some_and(|(folder, _)| folders.contains(folder))
    };
    let mut faults = Vec::new();
    for source in tree.with_extension("md") {
        for (line, text) in source.prose() {
            let missing = code_spans(text).filter(is_path).filter(|path| !tree.exists(path));
            let missing = missing.filter(|path| {
                !UNTRACKED.contains(path) && !path.split(['/', '.']).any(is_placeholder)
            });
            faults.extend(missing.map(|path| format!("{}:{line}: {path}", source.path)));
        }
    }
    assert_none(&faults, "these files have moved or are gone: correct their paths");
}

/// Returns whether a part of a path stands for any name, such as `KIND` in `faults/KIND.rs`.
fn is_placeholder(part: &str) -> bool {
    part.len() > 1 && part.chars().all(|c| c.is_ascii_uppercase())
}

#[test]
fn every_page_of_the_docs_can_be_reached_from_the_readme() {
    let tree = Tree::load();
    let mut reached = BTreeSet::from(["README.md".to_owned()]);
    let mut waiting: Vec<String> = reached.iter().cloned().collect();
    while let Some(path) = waiting.pop() {
        let Some(page) = tree.read(&path) else { continue };
        for link in page.links() {
            let target = page.resolve(link.target.split('#').next().unwrap_or_default());
            if target.ends_with(".md") && tree.exists(&target) && reached.insert(target.clone()) {
                waiting.push(target);
            }
        }
    }
    let is_page = |source: &&Source| source.path.starts_with("docs/") || !source.path.contains('/');
    let lost = tree.with_extension("md").filter(is_page);
    let lost = lost.filter(|source| !reached.contains(&source.path));
    let faults: Vec<_> = lost.map(|page| format!("{}:1: no link leads here", page.path)).collect();
    assert_none(&faults, "link these pages from the README, or from a page that it links to");
}

#[test]
fn the_index_of_the_examples_names_each_of_them() {
    let tree = Tree::load();
    let index = tree.read("examples/README.md").expect("examples/README.md, the index");
    let linked: BTreeSet<_> = index.links().map(|link| index.resolve(&link.target)).collect();
    let programs = tree.with_extension("rs").map(|source| source.path.as_str());
    let programs = programs.filter(|path| path.starts_with("core/examples/"));
    let packages = tree.paths().filter_map(|path| path.strip_suffix("/Cargo.toml"));
    let packages = packages.filter(|path| path.starts_with("examples/"));
    let missing = programs.chain(packages).filter(|path| !linked.contains(*path));
    let faults: Vec<_> = missing.map(|path| format!("{path}:1: not in the index")).collect();
    assert_none(&faults, "add a row with a link to examples/README.md for each of these");
}

#[test]
fn no_product_of_a_build_is_in_the_tree() {
    let tree = Tree::load();
    let built = tree.paths().filter(|path| path.split('/').any(|part| part == "target"));
    let faults: Vec<_> = built.map(|path| format!("{path}:1: in a `target` folder")).collect();
    assert_none(&faults, "remove these files with `git rm`");
}
