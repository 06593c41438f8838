//! The look of text. The caller chooses it, since it knows the terminal.

use crate::printable;

/// The capabilities of the terminal. The caller decides about colour: it is for terminals, and not
/// used if `NO_COLOR` is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// True if text may be coloured.
    pub colour: bool,
    /// The number of columns of a line.
    pub width: usize,
}

/// The narrowest width that text is laid out for; a terminal that says less is not believed.
const WIDTH_MIN: usize = 40;

impl Style {
    /// No colour, 100 columns: for files and pipes.
    pub const PLAIN: Style = Style { colour: false, width: 100 };

    /// The width to lay text out for.
    pub(crate) fn columns(&self) -> usize {
        self.width.max(WIDTH_MIN)
    }

    /// `text` in a tone.
    pub(crate) fn paint(&self, text: &str, tone: Tone) -> String {
        let text = printable(text);
        match tone.code().filter(|_| self.colour) {
            Some(code) => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            None => text.into_owned(),
        }
    }
}

/// The meaning of a piece of text that its look shows. Words show each meaning too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it is.
    #[default]
    Plain,
    /// A title.
    Strong,
    /// Less important.
    Dim,
    /// As it should be.
    Good,
    /// To be read with care.
    Careful,
    /// Wrong.
    Bad,
}

impl Tone {
    /// The parameters of the escape sequence (ECMA-48, SGR).
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Strong => Some("1"),
            Self::Dim => Some("2"),
            Self::Good => Some("1;32"),
            Self::Careful => Some("1;33"),
            Self::Bad => Some("1;31"),
        }
    }
}

/// `text` in lines of at most `width` characters, broken between words, but not between a number
/// and what it counts. A word that is longer has a line to itself.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in unbroken(&printable(text)) {
        let length = word.chars().count();
        let last = lines.len() - 1;
        if used == 0 {
            lines[last].push_str(&word);
            used = length;
        } else if used + 1 + length <= width {
            lines[last].push(' ');
            lines[last].push_str(&word);
            used += 1 + length;
        } else {
            lines.push(word);
            used = length;
        }
    }
    lines
}

/// The words of a text, a number with the word after it.
fn unbroken(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut after_number = false;
    for word in text.split_whitespace() {
        match words.last_mut().filter(|_| after_number) {
            Some(number) => {
                number.push(' ');
                number.push_str(word);
                after_number = false;
            }
            None => {
                words.push(word.to_owned());
                let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
                let bare = word.trim_start_matches('(');
                after_number = digit(bare.chars().next()) && digit(bare.chars().last());
            }
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_between_words() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("a-word-too-long b", 4), ["a-word-too-long", "b"]);
        assert_eq!(wrap("", 4), [""]);
    }

    #[test]
    fn a_number_is_not_parted_from_its_unit() {
        assert_eq!(wrap("at most 210 µs", 12), ["at most", "210 µs"]);
        assert_eq!(wrap("cost (120 µs an action)", 9), ["cost", "(120 µs", "an", "action)"]);
    }
}
