//! The files of the workspace, and the parts of them that the rules are about.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A text file of the workspace.
pub(super) struct Source {
    /// The path from the root of the workspace, with `/`.
    pub(super) path: String,
    /// The content of the file.
    pub(super) text: String,
}

/// A link of a Markdown file to another file.
pub(super) struct Link {
    /// The line of the link, from 1.
    pub(super) line: usize,
    /// The target as written, with its anchor.
    pub(super) target: String,
}

/// A paragraph of a doc comment, without lists, tables and code.
pub(super) struct DocParagraph {
    /// The line of its beginning, from 1.
    pub(super) line: usize,
    /// The text on one line.
    pub(super) text: String,
}

/// All files of the workspace that are under version control.
pub(super) struct Tree {
    root: PathBuf,
    paths: BTreeSet<String>,
    sources: Vec<Source>,
}

impl Tree {
    /// Lists the files and reads those that the rules are about.
    pub(super) fn load() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut paths = listed_by_git(&root).unwrap_or_else(|| {
            let mut found = BTreeSet::new();
            walk(&root, "", &mut found);
            found
        });
        paths.retain(|path| root.join(path).is_file());
        assert!(paths.contains("README.md"), "{} is no workspace", root.display());
        let is_read = |path: &&String| path.ends_with(".rs") || path.ends_with(".md");
        let sources = paths.iter().filter(is_read).map(|path| read(&root, path)).collect();
        Self { root, paths, sources }
    }

    /// Returns the paths of all files.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(String::as_str)
    }

    /// Returns the Rust or Markdown files.
    pub(super) fn with_extension(&self, extension: &'static str) -> impl Iterator<Item = &Source> {
        let has = move |path: &str| path.rsplit_once('.').is_some_and(|(_, it)| it == extension);
        self.sources.iter().filter(move |source| has(&source.path))
    }

    /// Reads a file, if it is under version control.
    pub(super) fn read(&self, path: &str) -> Option<Source> {
        self.paths.contains(path).then(|| read(&self.root, path))
    }

    /// Returns whether a file or a folder with files has this path.
    pub(super) fn exists(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.paths.contains(path) || self.paths().any(|it| it.starts_with(&folder))
    }
}

impl Source {
    /// Returns the lines with their numbers, from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Returns the lines outside of code blocks, with their numbers.
    pub(super) fn prose(&self) -> impl Iterator<Item = (usize, &str)> {
        let mut fenced = false;
        self.lines().filter(move |(_, text)| {
            let fence = text.trim_start().starts_with("```");
            fenced ^= fence;
            !fenced && !fence
        })
    }

    /// Returns the links to other files of the workspace, outside of code blocks.
    pub(super) fn links(&self) -> impl Iterator<Item = Link> {
        self.prose().flat_map(|(line, text)| {
            let targets = link_targets(text).into_iter().filter(|target| !target.contains(':'));
            targets.map(move |target| Link { line, target: target.to_owned() })
        })
    }

    /// Resolves a link of this file to a path from the root of the workspace.
    pub(super) fn resolve(&self, target: &str) -> String {
        let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
        for part in target.split('/').filter(|part| !part.is_empty()) {
            match part {
                "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        parts.join("/")
    }
}

fn read(root: &Path, path: &str) -> Source {
    let text = std::fs::read_to_string(root.join(path));
    let text = text.unwrap_or_else(|error| panic!("failed to read {path}: {error}"));
    Source { path: path.to_owned(), text }
}

/// Returns the files that git tracks, and new ones; `None` if this is no repository of git.
fn listed_by_git(root: &Path) -> Option<BTreeSet<String>> {
    let arguments = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
    let output = Command::new("git").args(arguments).current_dir(root).output().ok()?;
    let names = String::from_utf8(output.stdout).ok()?;
    let paths: BTreeSet<_> =
        names.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect();
    (output.status.success() && !paths.is_empty()).then_some(paths)
}

/// Lists the files below a folder, without build products and hidden folders.
fn walk(root: &Path, folder: &str, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(root.join(folder)).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => {
                if name != "target" && name != "runs" && !name.starts_with('.') {
                    walk(root, &path, found);
                }
            }
            _ => drop(found.insert(path)),
        }
    }
}

/// Returns the targets of the links `[text](target)` on a line.
pub(super) fn link_targets(line: &str) -> Vec<&str> {
    let rests = line.match_indices("](").map(|(at, bracket)| &line[at + bracket.len()..]);
    rests.filter_map(|rest| rest.split_once(')').map(|(target, _)| target)).collect()
}

/// Returns the code spans on a line of Markdown.
pub(super) fn code_spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Returns the anchors of a Markdown file's headings, as GitHub makes them.
pub(super) fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let slug = |heading: &str| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(slug).collect()
}

/// The part of a doc comment that a line goes on with.
enum Part {
    Nothing,
    Paragraph,
    ListOrTable,
    Code,
}

/// Returns the paragraphs of all doc comments of a Rust file.
pub(super) fn doc_paragraphs(text: &str) -> Vec<DocParagraph> {
    let mut found: Vec<DocParagraph> = Vec::new();
    let mut part = Part::Nothing;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        let doc = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")).map(str::trim);
        part = match (doc, part) {
            (None, _) => Part::Nothing,
            (Some(doc), Part::Code) if doc.starts_with("```") => Part::Nothing,
            (Some(_), Part::Code) => Part::Code,
            (Some(""), _) => Part::Nothing,
            (Some(doc), _) if doc.starts_with("```") => Part::Code,
            (Some(_), Part::ListOrTable) => Part::ListOrTable,
            (Some(doc), _) if doc.starts_with(['|', '#', '-', '*']) => Part::ListOrTable,
            (Some(doc), Part::Paragraph) => {
                if let Some(paragraph) = found.last_mut() {
                    paragraph.text.push(' ');
                    paragraph.text.push_str(doc);
                }
                Part::Paragraph
            }
            (Some(doc), Part::Nothing) => {
                found.push(DocParagraph { line: index + 1, text: doc.to_owned() });
                Part::Paragraph
            }
        };
    }
    found
}
