//! `document`: a big keyed document with small edits (A14), on the persistent map. Its first
//! action says how big it is, and every replica grows the same text from that; edits keep the
//! size.

use std::sync::Arc;

use rand::{Rng, RngExt, SeedableRng};
use samestate::state::{Delta, Map, Patching};
use serde::{Deserialize, Serialize};

use crate::load::reducer::{Params, Reducer, ReducerInfo, Reject};
use crate::load::text;

/// The default size of the document: a megabyte.
const BYTES: u64 = 1_000_000;

/// The biggest document: actions come from outside, and growing must stay bounded.
const BYTES_MAX: u64 = 1 << 30;

/// The number of bytes of text in a section.
const SECTION_BYTES: u64 = 1_000;

/// The default number of bytes that an edit writes.
const EDIT_BYTES: usize = 64;

/// A big keyed document.
pub struct Document;

/// The document: its sections by their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Delta)]
pub struct DocumentState {
    /// The sections.
    pub sections: Map<String, Section>,
}

/// A section of the document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Delta)]
pub struct Section {
    /// The number of edits.
    pub edits: u64,
    /// The text of the last edit.
    pub note: Arc<str>,
    /// The text that makes the document big.
    pub text: Arc<str>,
}

/// The actions on the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DocumentAction {
    /// Writes the document anew, with text drawn from a seed.
    Grow {
        /// The size, in bytes of text.
        bytes: u64,
        /// The seed of the text.
        seed: u64,
    },
    /// Writes a note into a section, which has to be there.
    Edit {
        /// The section.
        section: String,
        /// The note.
        note: Arc<str>,
    },
}

impl Reducer for Document {
    type State = DocumentState;
    type Action = DocumentAction;

    const INFO: ReducerInfo = ReducerInfo {
        name: "document",
        about: "a big document of `size` bytes, of which each action edits one small field",
        sized: true,
        payload: true,
        poisonable: false,
    };

    fn reduce(state: &mut DocumentState, action: &DocumentAction) -> Result<(), Reject> {
        match action {
            DocumentAction::Grow { bytes, .. } if *bytes > BYTES_MAX => {
                Err(Reject(format!("a document has at most {BYTES_MAX} bytes, not {bytes}")))
            }
            DocumentAction::Grow { bytes, seed } => {
                state.sections = grown(*bytes, *seed);
                Ok(())
            }
            DocumentAction::Edit { section, note } => {
                let edited = state.sections.update(section.as_str(), |section| {
                    section.edits += 1;
                    section.note = Arc::clone(note);
                });
                edited.ok_or_else(|| Reject(format!("the document has no section `{section}`")))
            }
        }
    }

    fn patching() -> Option<Patching<Self::State>> {
        Some(Patching::new())
    }

    fn action(random: &mut dyn Rng, n: u64, params: &Params) -> DocumentAction {
        let sections = sections(params.state_bytes.unwrap_or(BYTES));
        let section = key(random.random_range(0..sections));
        let note = text::numbered(random, n, params.payload_or(EDIT_BYTES)).into();
        DocumentAction::Edit { section, note }
    }

    fn opening(params: &Params) -> Vec<DocumentAction> {
        vec![DocumentAction::Grow { bytes: params.state_bytes.unwrap_or(BYTES), seed: 1 }]
    }
}

fn sections(bytes: u64) -> u64 {
    bytes.div_ceil(SECTION_BYTES).max(1)
}

fn key(section: u64) -> String {
    format!("section-{section:07}")
}

fn grown(bytes: u64, seed: u64) -> Map<String, Section> {
    let mut random = rand_pcg::Pcg64::seed_from_u64(seed);
    let mut left = bytes;
    let section = |number| {
        let length = left.min(SECTION_BYTES);
        left -= length;
        let mut content = String::with_capacity(length as usize);
        text::fill(&mut random, &mut content, length as usize);
        (key(number), Section { text: content.into(), ..Section::default() })
    };
    (0..sections(bytes)).map(section).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_has_the_size_asked_for_and_keeps_it() {
        let params = Params { state_bytes: Some(50_500), ..Params::default() };
        let mut state = DocumentState::default();
        for action in Document::opening(&params) {
            Document::reduce(&mut state, &action).expect("it fits");
        }
        let bytes = |state: &DocumentState| {
            state.sections.values().map(|section| section.text.len()).sum::<usize>()
        };
        assert_eq!((state.sections.len(), bytes(&state)), (51, 50_500));
        let mut random = rand_pcg::Pcg64::seed_from_u64(3);
        for n in 0..100 {
            let action = Document::action(&mut random, n, &params);
            Document::reduce(&mut state, &action).expect("the section is there");
        }
        assert_eq!(bytes(&state), 50_500);
        assert_eq!(state.sections.values().map(|section| section.edits).sum::<u64>(), 100);
    }

    #[test]
    fn what_cannot_be_done_is_rejected_and_changes_nothing() {
        let mut state = DocumentState::default();
        let grow = DocumentAction::Grow { bytes: u64::MAX, seed: 1 };
        assert!(Document::reduce(&mut state, &grow).is_err());
        let edit = DocumentAction::Edit { section: "none".into(), note: "".into() };
        assert!(Document::reduce(&mut state, &edit).is_err());
        assert_eq!(state, DocumentState::default());
    }
}
