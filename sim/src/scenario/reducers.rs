//! The reducers that a scenario can name, and what each lets a file say about it.

/// A reducer that ships.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReducerInfo {
    /// Its name in files.
    pub name: &'static str,
    /// What its state is and what an action does.
    pub about: &'static str,
    /// Whether the state's size can be given (`size`).
    pub sized: bool,
    /// Whether actions carry bytes whose number can be given (`payload`).
    pub payload: bool,
}

static REDUCERS: &[ReducerInfo] = &[
    ReducerInfo {
        name: "ring",
        about: "the article's: pushes a text onto a list, of which the oldest 100 go once it has \
                more than 500",
        sized: false,
        payload: true,
    },
    ReducerInfo {
        name: "replace",
        about: "keeps the newest payload as opaque bytes; what mirrors dispatch into",
        sized: false,
        payload: true,
    },
    ReducerInfo { name: "counter", about: "adds to a number", sized: false, payload: false },
    ReducerInfo {
        name: "logger",
        about: "keeps the latest record of a cluster-wide log: a type and a text",
        sized: false,
        payload: true,
    },
    ReducerInfo {
        name: "document",
        about: "a big document of `size` bytes, of which each action edits one small field",
        sized: true,
        payload: true,
    },
    ReducerInfo {
        name: "map",
        about: "keys and values, of which each action sets one",
        sized: false,
        payload: true,
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
