//! The parts of a value with their paths, and the first one that differs from another value's.

use std::any::type_name;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;

use crate::state::{Digest, digest};

/// The maximum number of parts. In a larger value no part is named, because an outline takes more
/// memory than the value.
const PARTS_MAX: usize = 1 << 21;

/// The maximum number of segments that are shown. Of a longer path only both ends are shown.
const SHOWN_MAX: usize = 12;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Segment {
    /// A field of a struct.
    Field(&'static str),
    /// A key of a map, as text.
    Key(String),
    /// A place in a sequence.
    Index(usize),
}

impl Segment {
    /// Returns the segment for a key: a string as it is, any other key as JSON.
    pub(super) fn of_key<T: Serialize + ?Sized>(key: &T) -> Self {
        match serde_json::to_value(key) {
            Ok(serde_json::Value::String(text)) => Segment::Key(text),
            Ok(other) => Segment::Key(other.to_string()),
            Err(_) => Segment::Key("?".to_owned()),
        }
    }

    fn is_named(&self, name: &str) -> bool {
        match self {
            Segment::Field(field) => *field == name,
            Segment::Key(key) => key == name,
            Segment::Index(_) => false,
        }
    }
}

/// The way from a value to one of its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path(pub(super) Vec<Segment>);

impl Path {
    /// Returns the message with the path of the faulty part.
    pub(super) fn of(&self, why: &str) -> String {
        match self.0.len() {
            0 => why.to_owned(),
            _ => format!("{self}: {why}"),
        }
    }
}

impl From<&serde_path_to_error::Path> for Path {
    /// Converts the path up to its first unknown segment, and leaves out the names of variants.
    fn from(path: &serde_path_to_error::Path) -> Self {
        use serde_path_to_error::Segment as Theirs;
        let known = path.iter().take_while(|segment| !matches!(segment, Theirs::Unknown));
        let segments = known.filter_map(|segment| match segment {
            Theirs::Seq { index } => Some(Segment::Index(*index)),
            Theirs::Map { key } => Some(Segment::Key(key.clone())),
            Theirs::Enum { .. } | Theirs::Unknown => None,
        });
        Path(segments.collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let half = if self.0.len() > SHOWN_MAX { SHOWN_MAX / 2 } else { self.0.len() };
        for (at, segment) in self.0.iter().enumerate() {
            if at >= half && at < self.0.len() - half {
                if at == half {
                    f.write_str("[...]")?;
                }
                continue;
            }
            let dot = if at == 0 { "" } else { "." };
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Field(name) => write!(f, "{dot}{name}")?,
                Segment::Key(key) if is_word(key) => write!(f, "{dot}{key}")?,
                Segment::Key(key) => write!(f, "[{key:?}]")?,
            }
        }
        Ok(())
    }
}

fn is_word(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
}

/// One part of a value.
struct Part {
    segment: Segment,
    parent: usize,
    /// The number of the first part that comes after this one and is not in it.
    end: usize,
    /// A hash of the value's kind, without its parts.
    shape: u64,
    digest: Option<Digest>,
    /// A set, whose elements may be in any order.
    is_set: bool,
}

/// The parts of a value in the order in which they are serialised; the first one is the value.
#[derive(Default)]
pub(super) struct Outline {
    parts: Vec<Part>,
    at: usize,
    /// The part to be left out.
    blank: Option<usize>,
    /// The innermost part that could not be serialised.
    failed: usize,
    overflowed: bool,
}

impl Outline {
    /// Creates an empty outline. The part with the number `blank` is to be left out.
    pub(super) fn new(blank: Option<usize>) -> Self {
        let root = Part {
            segment: Segment::Index(0),
            parent: 0,
            end: usize::MAX,
            shape: 0,
            digest: None,
            is_set: false,
        };
        Outline { parts: vec![root], blank, ..Outline::default() }
    }

    /// Notes the type of the value.
    pub(super) fn is_of<T: ?Sized>(&mut self) {
        self.parts[0].is_set = is_set(type_name::<T>());
    }

    /// Begins a part of the current one. Returns its number, and whether to leave it out.
    pub(super) fn begin<T: ?Sized>(&mut self, segment: Segment) -> (usize, bool) {
        let number = self.parts.len();
        if number >= PARTS_MAX {
            self.overflowed = true;
            return (number, false);
        }
        let is_set = is_set(type_name::<T>());
        let parent = self.at;
        let (end, shape, digest) = (usize::MAX, 0, None);
        self.parts.push(Part { segment, parent, end, shape, digest, is_set });
        self.at = number;
        (number, self.blank == Some(number))
    }

    /// Ends the part with this number.
    pub(super) fn end<T: Serialize + ?Sized>(&mut self, number: usize, value: &T, done: bool) {
        let end = self.parts.len();
        let Some(part) = self.parts.get_mut(number).filter(|_| !self.overflowed) else { return };
        part.end = end;
        part.digest = digest(value).ok();
        self.at = part.parent;
        if !done && self.failed == 0 {
            self.failed = number;
        }
    }

    /// Adds a description of the current part, without its parts, to its hash.
    pub(super) fn shape(&mut self, shape: &str) {
        if let Some(part) = self.parts.get_mut(self.at) {
            let mut hasher = DefaultHasher::new();
            (part.shape, shape).hash(&mut hasher);
            part.shape = hasher.finish();
        }
    }

    /// The path of the part that could not be serialised.
    pub(super) fn failed(&self) -> Path {
        self.path_to(self.failed)
    }

    /// The path of the part with this number.
    pub(super) fn path_to(&self, mut number: usize) -> Path {
        let mut path = Vec::new();
        while number > 0 {
            path.push(self.parts[number].segment.clone());
            number = self.parts[number].parent;
        }
        path.reverse();
        Path(path)
    }

    /// The numbers of all parts inside the part at `path`, or inside the last part of the path that
    /// exists.
    pub(super) fn inside(&self, path: &Path) -> std::ops::Range<usize> {
        let mut at = 0;
        for segment in &path.0 {
            let is_next = |number: &usize| match (&self.parts[*number].segment, segment) {
                (ours, Segment::Key(name)) => ours.is_named(name),
                (ours, theirs) => ours == theirs,
            };
            match self.parts_of(at).find(is_next) {
                Some(next) => at = next,
                None => break,
            }
        }
        at + 1..self.end_of(at)
    }

    fn end_of(&self, number: usize) -> usize {
        self.parts.get(number).map_or(0, |part| part.end.min(self.parts.len()))
    }

    fn parts_of(&self, number: usize) -> impl Iterator<Item = usize> {
        let end = self.end_of(number);
        let first = Some(number + 1).filter(|first| *first < end);
        std::iter::successors(first, move |number| {
            Some(self.end_of(*number)).filter(|next| *next < end)
        })
    }

    /// The path of the first part that differs in `other`, the outline of a value that should be
    /// the same. `None` if nothing differs, or only the order of the elements of sets.
    pub(super) fn difference(&self, other: &Outline) -> Option<Path> {
        if self.overflowed || other.overflowed {
            return Some(Path::default());
        }
        self.differs(0, other, 0).map(|number| self.path_to(number))
    }

    /// The number of the part that differs from `theirs`: a part inside `ours`, or `ours` itself.
    fn differs(&self, ours: usize, other: &Outline, theirs: usize) -> Option<usize> {
        let (mine, others) = (&self.parts[ours], &other.parts[theirs]);
        if mine.digest.is_some() && mine.digest == others.digest {
            return None;
        }
        if mine.is_set {
            let same = self.elements(ours) == other.elements(theirs);
            return (!same).then_some(ours);
        }
        let is_leaf = self.parts_of(ours).next().is_none();
        if is_leaf || mine.shape != others.shape {
            return Some(ours);
        }
        let mut rest: BTreeMap<&Segment, usize> =
            other.parts_of(theirs).map(|part| (&other.parts[part].segment, part)).collect();
        for part in self.parts_of(ours) {
            match rest.remove(&self.parts[part].segment) {
                Some(theirs) => {
                    if let Some(found) = self.differs(part, other, theirs) {
                        return Some(found);
                    }
                }
                None => return Some(part),
            }
        }
        (!rest.is_empty()).then_some(ours)
    }

    /// The digests of the elements of a set, sorted.
    fn elements(&self, set: usize) -> Vec<Option<Digest>> {
        let mut elements: Vec<_> = self.parts_of(set).map(|part| self.parts[part].digest).collect();
        elements.sort_unstable();
        elements
    }
}

/// Returns whether this is the name of a hashed set, by itself or behind a pointer. Serde does not
/// mark such sets, and their order changes with each decoding.
fn is_set(name: &str) -> bool {
    let mut name = name.trim_start_matches('&');
    for pointer in ["alloc::sync::Arc<", "alloc::rc::Rc<", "alloc::boxed::Box<"] {
        name = name.strip_prefix(pointer).unwrap_or(name);
    }
    let outer = name.split('<').next().unwrap_or(name);
    outer.ends_with("HashSet")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_like_the_expression_that_leads_there() {
        use Segment::{Field, Index, Key};
        let path = Path(vec![Field("tasks"), Index(3), Field("addr")]);
        assert_eq!(path.to_string(), "tasks[3].addr");
        let path = Path(vec![Index(0), Key("by_id".into()), Key("a b".into()), Key("7".into())]);
        assert_eq!(path.to_string(), "[0].by_id[\"a b\"].7");
        let long = Path(vec![Index(1); 200]);
        assert_eq!(long.to_string(), format!("{0}[...]{0}", "[1]".repeat(6)));
        assert_eq!(Path::default().of("no"), "no");
    }

    #[test]
    fn hashed_sets_are_known_by_their_types() {
        use std::collections::{BTreeSet, HashMap, HashSet};
        use std::sync::Arc;
        assert!(is_set(type_name::<HashSet<u8>>()));
        assert!(is_set(type_name::<&Arc<HashSet<String>>>()));
        assert!(!is_set(type_name::<Vec<HashSet<u8>>>()));
        assert!(!is_set(type_name::<BTreeSet<u8>>()) && !is_set(type_name::<HashMap<u8, u8>>()));
    }
}
