//! Problems of a scenario: their places, and the text to write instead.
//!
//! A file is checked to its end before anything is said, so that one look mends it all. Every
//! problem that stands in the file knows its line and column; one that came in by `--set` or by
//! the command line does not.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode,
};
use samestate_report::{printable, printable_line};
use thiserror::Error;

/// The longest line that is shown around a problem.
const LINE_BYTES_MAX: usize = 400;

/// A place in a file's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The number of characters that it covers.
    pub length: usize,
}

impl Place {
    /// The place that the YAML reader gave; `None` where it knows none. Of a collection only the
    /// beginning is meant.
    pub(super) fn from_yaml(location: serde_saphyr::Location, scalar: bool) -> Option<Self> {
        if location.line() == 0 {
            return None;
        }
        let length = if scalar { location.span().len() as usize } else { 1 };
        Some(Self {
            line: location.line() as usize,
            column: location.column() as usize,
            length: length.max(1),
        })
    }

    /// The bytes of `text` that it covers, no further than its line's end; `None` in a line that
    /// is too long to be shown.
    fn bytes(self, text: &str) -> Option<(usize, usize)> {
        let line_start: usize = text.split_inclusive('\n').take(self.line - 1).map(str::len).sum();
        let line = text[line_start..].split('\n').next().unwrap_or_default();
        if line.len() > LINE_BYTES_MAX {
            return None;
        }
        let byte_of =
            |column: usize| line.char_indices().nth(column).map_or(line.len(), |(byte, _)| byte);
        let start = byte_of(self.column - 1);
        let end = byte_of(self.column - 1 + self.length);
        Some((line_start + start, end - start))
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// A description of the problem.
    pub message: String,
    /// The place of the problem.
    pub place: Option<Place>,
    /// The text to write instead, or the values that are allowed.
    pub help: Option<String>,
    /// True if the file names a reducer that this process does not know yet.
    pub(crate) is_unknown_reducer: bool,
}

impl Problem {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), place: None, help: None, is_unknown_reducer: false }
    }

    pub(super) fn at(mut self, place: Option<Place>) -> Self {
        self.place = self.place.or(place);
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The YAML reader's complaint, without the snippet that it would draw itself.
    pub(super) fn from_yaml(error: &serde_saphyr::Error) -> Self {
        use serde_saphyr::Error as Yaml;
        let error = error.without_snippet();
        let place = error.location().and_then(|location| Place::from_yaml(location, true));
        match error {
            Yaml::Eof { .. } => {
                Self::new("the file is empty").help("`samestate new FILE` writes one to start from")
            }
            Yaml::DuplicateMappingKey { key, .. } => {
                let key = key.as_deref().unwrap_or("?");
                Self::new(format!("the key `{key}` stands here twice"))
                    .at(place)
                    .help("keep one of the two")
            }
            Yaml::UnknownAnchor { .. } => Self::new("there is no anchor of this name before here")
                .at(place)
                .help("`&name` before a value makes an anchor, which `*name` repeats"),
            Yaml::MultipleDocuments { .. } => Self::new("a second document begins here")
                .at(place)
                .help("a scenario is one document: remove the `---` and what follows it"),
            Yaml::NullIntoString { .. } | Yaml::Unexpected { expected: "string scalar", .. } => {
                Self::new("a key is a text").at(place).help("put a key that is no word in quotes")
            }
            Yaml::MergeValueNotMapOrSeqOfMaps { .. } => {
                Self::new("`<<` takes a group of keys, or a list of such")
                    .at(place)
                    .help("write for example `<<: *name`, where `&name` stands before keys")
            }
            Yaml::RecursiveReferencesRequireWeakTypes { .. } => {
                Self::new("the alias stands within what it repeats").at(place)
            }
            Yaml::InvalidScalar { .. }
            | Yaml::InvalidBooleanStrict { .. }
            | Yaml::TaggedScalarCannotDeserializeIntoString { .. }
            | Yaml::InvalidBinaryBase64 { .. }
            | Yaml::BinaryNotUtf8 { .. } => {
                Self::new("the value is not what its tag says").at(place).help("remove the tag")
            }
            other => {
                let text = other.render_with_formatter(&serde_saphyr::UserMessageFormatter);
                // The reader ends its messages with the place, which is shown apart.
                let message = text.split(" at line ").next().unwrap_or(&text);
                // An alias that expands too far comes wrapped in an error of its own.
                if message.contains("too large or too complex") || message.contains("alias replay")
                {
                    return Self::new("the file is too large to be a scenario, aliases expanded")
                        .at(place);
                }
                let message = in_plain_words(message);
                let problem = Self::new(format!("not readable as YAML: {message}")).at(place);
                if message.contains("tabs") { problem.help("indent with spaces") } else { problem }
            }
        }
    }
}

/// The terms of the YAML specification that its reader uses, and what they look like in a file. The
/// longer ones come first.
const TERMS: &[(&str, &str)] = &[
    (
        "mapping values are not allowed in this context",
        "no `key:` can stand here; a text with `: ` in it stands in quotes",
    ),
    ("mapping keys are not allowed in this context", "no `? key` can stand here"),
    ("block sequence entries are not allowed in this context", "no item `- ` can stand here"),
    ("simple key expected ':'", "a key has no `:` after it"),
    ("an implicit flow mapping", "`key: value` within `[ ]`"),
    ("a flow mapping", "`{ }`"),
    ("flow mapping", "`{ }`"),
    ("a block mapping", "a group of keys"),
    ("block mapping", "a group of keys"),
    ("mapping", "group of keys"),
    ("a block collection", "a list or a group of keys"),
    ("a flow sequence", "`[ ]`"),
    ("flow sequence", "`[ ]`"),
    ("a block sequence", "a list"),
    ("sequence", "list"),
    ("a block scalar", "the text after `|` or `>`"),
    ("double-quoted scalar", "a text in double quotes"),
    ("single-quoted scalar", "a text in single quotes"),
    ("scalar", "value"),
    ("EOF", "end of the file"),
];

fn in_plain_words(message: &str) -> String {
    let replaced = |message: String, (term, words): &(&str, &str)| message.replace(term, words);
    TERMS.iter().fold(message.to_owned(), replaced)
}

/// The reason why a scenario could not be used.
#[derive(Debug, Error)]
pub enum ScenarioError {
    /// The file could not be read.
    #[error("failed to read {}", printable_line(&path.display().to_string()))]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The file, or what was put into it from the command line, makes no sense.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

impl ScenarioError {
    /// Returns whether the file is wrong only in naming reducers that this process does not know
    /// yet.
    pub(crate) fn lacks_reducers(&self) -> bool {
        let ScenarioError::Invalid(invalid) = self else { return false };
        invalid.problems.iter().all(|problem| problem.is_unknown_reducer)
    }
}

/// Everything that is wrong with a scenario.
#[derive(Clone, Debug)]
pub struct Invalid {
    /// The file's name, as it was given.
    pub file: String,
    /// Its text.
    pub text: Arc<str>,
    /// The problems, in the file's order; never empty.
    pub problems: Vec<Problem>,
}

impl Invalid {
    pub(super) fn new(file: &str, text: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_cached_key(|problem| {
            (problem.place.map(|place| (place.line, place.column)), problem.message.clone())
        });
        problems.dedup();
        // What is shown of a file must not steer the terminal that it is shown on.
        for problem in &mut problems {
            problem.message = printable_line(&problem.message).into_owned();
            problem.help = problem.help.take().map(|help| printable_line(&help).into_owned());
        }
        let file = printable_line(file).into_owned();
        Self { file, text: Arc::from(printable(text)), problems }
    }

    /// Each problem with its snippet, drawn for a terminal; in colour if asked.
    pub fn render(&self, colour: bool) -> String {
        let theme =
            if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_width(100);
        let mut drawn = String::new();
        for problem in &self.problems {
            let shown = Shown {
                problem,
                source: NamedSource::new(&self.file, Arc::clone(&self.text)),
                bytes: problem.place.and_then(|place| place.bytes(&self.text)),
            };
            if handler.render_report(&mut drawn, &shown).is_err() {
                drawn.push_str(&problem.message);
            }
        }
        drawn
    }
}

/// One line a problem, as compilers write them: `file:line:column: message (help)`.
impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&self.file)?;
            if let Some(place) = problem.place {
                write!(f, ":{}:{}", place.line, place.column)?;
            }
            write!(f, ": {}", problem.message)?;
            if let Some(help) = &problem.help {
                write!(f, " ({help})")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

/// A problem as miette draws it.
#[derive(Debug)]
struct Shown<'a> {
    problem: &'a Problem,
    source: NamedSource<Arc<str>>,
    bytes: Option<(usize, usize)>,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bytes.is_none() {
            f.write_str(self.source.name())?;
            if let Some(place) = self.problem.place {
                write!(f, ":{}:{}", place.line, place.column)?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.problem.message)
    }
}

impl std::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn help<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        self.problem.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.bytes.map(|_| &self.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let (start, length) = self.bytes?;
        let label = LabeledSpan::new_primary_with_span(Some("here".to_owned()), (start, length));
        Some(Box::new(std::iter::once(label)))
    }
}
