//! The reducers that a scenario can name, and what each lets a file say about it.

/// A reducer that ships.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReducerInfo {
    /// Its name in files.
    pub name: &'static str,
    /// A description of its state and its actions.
    pub about: &'static str,
    /// True if the state's size can be given (`size`).
    pub sized: bool,
    /// True if actions carry bytes whose number can be given (`payload`).
    pub payload: bool,
    /// True if the reducer supports actions that go wrong on purpose (`poison`).
    pub poisonable: bool,
}

static REDUCERS: &[ReducerInfo] = &[
    ReducerInfo {
        name: "ring",
        about: "the article's: pushes a text onto a list, of which the oldest 100 go once it has \
                more than 500",
        sized: false,
        payload: true,
        poisonable: false,
    },
    ReducerInfo {
        name: "replace",
        about: "keeps the newest payload as opaque bytes; what mirrors dispatch into",
        sized: false,
        payload: true,
        poisonable: false,
    },
    ReducerInfo {
        name: "counter",
        about: "adds to a number",
        sized: false,
        payload: false,
        poisonable: true,
    },
    ReducerInfo {
        name: "logger",
        about: "keeps the latest record of a cluster-wide log: a type and a text",
        sized: false,
        payload: true,
        poisonable: false,
    },
    ReducerInfo {
        name: "document",
        about: "a big document of `size` bytes, of which each action edits one small field",
        sized: true,
        payload: true,
        poisonable: false,
    },
    ReducerInfo {
        name: "map",
        about: "keys and values of about `size` bytes in all, of which each action sets one",
        sized: true,
        payload: true,
        poisonable: true,
    },
    ReducerInfo {
        name: "probe",
        about: "a small state, padded to `size` bytes, in which any slip in the order of actions \
                shows; it rejects one action in fifteen by itself",
        sized: true,
        payload: true,
        poisonable: true,
    },
];

/// Every reducer that ships.
pub fn all() -> &'static [ReducerInfo] {
    REDUCERS
}

/// The reducer of that name.
pub fn find(name: &str) -> Option<&'static ReducerInfo> {
    REDUCERS.iter().find(|reducer| reducer.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{Registry, Shipped};

    #[test]
    fn every_reducer_that_ships_can_be_named_and_no_other() {
        let mut here: Vec<_> = all().iter().map(|reducer| reducer.name).collect();
        here.sort_unstable();
        assert_eq!(here, Shipped::names());
    }
}
