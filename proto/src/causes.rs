//! An error as one line of text, with its causes.

use std::error::Error;

/// Returns the text of an error and of its causes: `failed to read "x": permission denied`.
///
/// The errors of this project leave their causes to [`Error::source`], so a place that shows an
/// error to a person calls this. Other crates have errors that repeat their cause at their end; the
/// cause is not written again then.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Layer>>,
    }

    fn layers(texts: &[&'static str]) -> Layer {
        let source = (texts.len() > 1).then(|| Box::new(layers(&texts[1..])));
        Layer { text: texts[0], source }
    }

    #[test]
    fn each_cause_is_written_once() {
        for (texts, written) in [
            (&["no backup"][..], "no backup"),
            (&["no backup", "no file", "denied"], "no backup: no file: denied"),
            (&["no backup: no file", "no file", "denied"], "no backup: no file: denied"),
        ] {
            assert_eq!(with_causes(&layers(texts)), written);
        }
    }
}
