//! Tables without borders that fit the width.

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table, presets};

use super::style::{Style, Tone};
use crate::printable;

/// A table: columns with a title, and rows of as many texts.
pub(crate) struct Grid {
    columns: Vec<Column>,
    rows: Vec<Vec<Text>>,
}

/// One column.
#[derive(Clone)]
pub(crate) struct Column {
    title: String,
    /// Numbers stand to the right.
    right: bool,
    /// The column with the highest rank is the first to go where the width does not suffice;
    /// those of rank 0 stay.
    rank: u8,
}

impl Column {
    /// A column of words.
    pub(crate) fn words(title: impl Into<String>, rank: u8) -> Self {
        Self { title: printable(&title.into()).into_owned(), right: false, rank }
    }

    /// A column of numbers.
    pub(crate) fn numbers(title: impl Into<String>, rank: u8) -> Self {
        Self { title: printable(&title.into()).into_owned(), right: true, rank }
    }
}

/// The text of one cell of a table.
#[derive(Clone, Default)]
pub(crate) struct Text {
    /// The characters; none where there is nothing to say.
    pub(crate) text: String,
    /// The look of the lines.
    pub(crate) tone: Tone,
}

impl Text {
    /// Text in a tone.
    pub(crate) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: printable(&text.into()).into_owned(), tone }
    }

    /// The widest of its lines, in characters.
    pub(super) fn width(&self) -> usize {
        widest(&self.text)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

impl From<Option<String>> for Text {
    fn from(text: Option<String>) -> Self {
        Self::from(text.unwrap_or_default())
    }
}

/// The text of a cell without a value, in a column that has values.
const NOTHING: &str = "–";
/// The padding that comfy-table puts around each column.
const PADDING: usize = 2;
/// The distance of a table from the left edge, with comfy-table's own padding.
const INDENT: &str = " ";

impl Grid {
    /// A table without rows.
    pub(crate) fn new(columns: Vec<Column>) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row; it has a text for each column.
    pub(crate) fn row(&mut self, texts: Vec<Text>) {
        debug_assert_eq!(texts.len(), self.columns.len(), "a text for each column");
        self.rows.push(texts);
    }

    /// The table as lines. Columns that no row fills are left out, and so are those of the
    /// highest ranks until the rest fits.
    pub(crate) fn render(mut self, style: &Style) -> String {
        for at in (0..self.columns.len()).rev() {
            if self.rows.iter().all(|row| row[at].text.is_empty()) {
                self.remove(at);
            }
        }
        let room = style.columns() - INDENT.len();
        while self.width() > room {
            let least = (0..self.columns.len()).max_by_key(|&at| self.columns[at].rank);
            match least {
                Some(at) if self.columns[at].rank > 0 => self.remove(at),
                _ => break,
            }
        }
        self.lay_out(style, room)
    }

    fn remove(&mut self, at: usize) {
        self.columns.remove(at);
        for row in &mut self.rows {
            row.remove(at);
        }
    }

    /// Returns the width of the table if nothing is wrapped.
    fn width(&self) -> usize {
        let width_of = |at: usize| {
            let widest_text = self.rows.iter().map(|row| row[at].width()).max().unwrap_or(0);
            widest_text.max(widest(&self.columns[at].title)) + PADDING
        };
        (0..self.columns.len()).map(width_of).sum()
    }

    fn lay_out(&self, style: &Style, room: usize) -> String {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .force_no_tty()
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(u16::try_from(room).unwrap_or(u16::MAX));
        if style.colour {
            table.enforce_styling();
            table.style_text_only();
        }
        let cell = |text: &str, tone: Tone, right: bool| {
            let cell = toned(Cell::new(text), tone);
            if right { cell.set_alignment(CellAlignment::Right) } else { cell }
        };
        let title = |column: &Column| cell(&column.title, Tone::Dim, column.right);
        table.set_header(self.columns.iter().map(title).collect::<Vec<_>>());
        for row in &self.rows {
            let texts = row.iter().zip(&self.columns).map(|(text, column)| match &*text.text {
                "" => cell(NOTHING, Tone::Dim, column.right),
                words => cell(words, text.tone, column.right),
            });
            table.add_row(texts.collect::<Vec<_>>());
        }
        let mut lines = String::new();
        for line in table.lines() {
            lines.push_str(INDENT);
            lines.push_str(&line);
            lines.truncate(lines.trim_end().len());
            lines.push('\n');
        }
        lines
    }
}

fn toned(cell: Cell, tone: Tone) -> Cell {
    match tone {
        Tone::Plain => cell,
        Tone::Strong => cell.add_attribute(Attribute::Bold),
        Tone::Dim => cell.add_attribute(Attribute::Dim),
        Tone::Good => cell.fg(Color::Green).add_attribute(Attribute::Bold),
        Tone::Careful => cell.fg(Color::Yellow).add_attribute(Attribute::Bold),
        Tone::Bad => cell.fg(Color::Red).add_attribute(Attribute::Bold),
    }
}

fn widest(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let mut grid = Grid::new(vec![
            Column::words("node", 0),
            Column::numbers("a figure of note", 1),
            Column::numbers("one more figure of note", 2),
            Column::words("nothing", 0),
        ]);
        for node in ["alpha.master", "alpha.worker[1]"] {
            let texts = [node, "1", "2", ""];
            grid.row(texts.map(|text| Text::from(text.to_owned())).to_vec());
        }
        grid
    }

    #[test]
    fn columns_that_say_nothing_are_left_out() {
        let wide = grid().render(&Style::PLAIN);
        assert!(wide.contains("one more figure"), "{wide}");
        assert!(!wide.contains("nothing"), "{wide}");
    }

    #[test]
    fn the_least_important_column_goes_first_where_the_width_does_not_suffice() {
        let narrow = grid().render(&Style { colour: false, width: 40 });
        assert!(!narrow.contains("one more"), "{narrow}");
        assert!(narrow.contains("a figure of note"), "{narrow}");
        assert!(narrow.lines().all(|line| line.chars().count() <= 40), "{narrow}");
    }
}
