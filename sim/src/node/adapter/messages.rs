//! The adapter protocol: JSON lines between the runner and a program that is a node.
//!
//! `docs/adapters.md` describes it for those who write adapters, and `samestate schema --adapter`
//! prints it as a JSON schema. Both sides ignore fields that they do not know.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of the protocol that this runner speaks.
pub(crate) const PROTOCOL: u32 = 1;

/// The longest line in either direction, in bytes: states are sent as one line.
pub(crate) const LINE_BYTES_MAX: usize = 64 << 20;

/// A line from the runner to the program, on its standard input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ToProgram {
    /// The first line: the place of the node in the scenario.
    Init(Init),
    /// Dispatch these actions, in this order. Each is answered by `ok` or `error`.
    Dispatch(Dispatch),
    /// Send the state of a store, as `state`.
    State(OfStore),
    /// Send the digest of a state, as `digest`.
    Digest(OfStore),
    /// End. The program has two seconds; its standard input is closed, too.
    Stop(Empty),
}

/// A line from the program to the runner, on its standard output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FromProgram {
    /// All stores of the node are in sync: it can take dispatches.
    Ready(Empty),
    /// Dispatches were accepted: they are, or will be, in the store's history exactly once.
    Ok(Ids),
    /// A dispatch was not accepted.
    Error(Refusal),
    /// Actions were applied to this node's state, in this order.
    Applied(Ids),
    /// The state was replaced by another: a snapshot, for example.
    Jumped(Jumped),
    /// The store came into sync, or fell out of it.
    Connected(Connected),
    /// The state that was asked for.
    State(StateOf),
    /// The digest that was asked for.
    Digest(DigestOf),
    /// A text for the node's log.
    Log(Text),
}

/// Any line, in either direction.
#[derive(JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "it stands for its schema")]
enum Line {
    /// A line from the runner to the program.
    ToProgram(ToProgram),
    /// A line from the program to the runner.
    FromProgram(FromProgram),
}

/// The JSON schema of the protocol's lines, as text that ends with a line's end.
pub(crate) fn json_schema() -> String {
    format!("{:#}\n", schemars::schema_for!(Line).to_value())
}

/// No fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Empty {}

/// The place of a node in the scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Init {
    /// The version of this protocol: 1.
    pub(crate) protocol: u32,
    /// The node's name: `alpha.master`, `alpha.worker[1]`.
    pub(crate) node: String,
    /// The seed of the scenario, for random choices of the program.
    pub(crate) seed: u64,
    /// A folder for the files of this node. It is there until the run ends, so that a node that is
    /// started again finds its files.
    pub(crate) folder: String,
    /// The stores that the node opens.
    pub(crate) stores: Vec<InitStore>,
    /// The addresses that the node listens on.
    pub(crate) listen: Vec<Endpoint>,
    /// The addresses that the node connects to. The other end may start later: try again until it
    /// is there, and whenever the connection is lost.
    pub(crate) connect: Vec<Endpoint>,
}

/// A store of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct InitStore {
    /// Its name.
    pub(crate) name: String,
    /// Its reducer, which determines the shape of actions and state.
    pub(crate) reducer: String,
    /// The mode in which the node feeds others: `action`, `snapshot` or `delta`.
    pub(crate) mode: String,
    /// In mode `action`: the number of actions after which a snapshot is sent, too; `null` for
    /// none.
    #[serde(default)]
    pub(crate) snapshot_every: Option<u64>,
    /// True at the node that orders the store's actions: it follows no other.
    pub(crate) root: bool,
}

/// An address, and the stores that are replicated over it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Endpoint {
    /// The stores.
    pub(crate) stores: Vec<String>,
    /// A TCP port of 127.0.0.1. Either this or `unix` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tcp: Option<u16>,
    /// The path of a Unix socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unix: Option<String>,
    /// The login that the link asks for, if it asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) login: Option<InitLogin>,
}

/// A login and its password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct InitLogin {
    /// The login.
    pub(crate) name: String,
    /// Its password.
    pub(crate) password: String,
}

/// Actions to dispatch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Dispatch {
    /// The store.
    pub(crate) store: String,
    /// The actions, oldest first.
    pub(crate) actions: Vec<Numbered>,
}

/// An action to dispatch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Numbered {
    /// Names the dispatch. It has to travel with the action, since every node that applies the
    /// action reports it.
    pub(crate) id: String,
    /// The action, in the shape of the store's reducer.
    pub(crate) action: Value,
}

/// A store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct OfStore {
    /// Its name.
    pub(crate) store: String,
}

/// Dispatches of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Ids {
    /// The store.
    pub(crate) store: String,
    /// The ids of the dispatches.
    pub(crate) ids: Vec<String>,
}

/// A dispatch that was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Refusal {
    /// The store.
    pub(crate) store: String,
    /// The dispatch.
    pub(crate) id: String,
    /// The meaning for the action.
    pub(crate) kind: RefusalKind,
    /// The reason, for people.
    #[serde(default)]
    pub(crate) message: String,
}

/// The meaning of a refusal for the action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RefusalKind {
    /// It was not sent, since the store is not in sync; it never applies.
    NotConnected,
    /// It was not sent, since too many are under way; it never applies.
    Busy,
    /// The reducer, or the one who orders, refused it; it never applies.
    Rejected,
    /// It may or may not have been accepted.
    Unknown,
}

/// A state was replaced by another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Jumped {
    /// The store.
    pub(crate) store: String,
    /// The number of actions of the history that the new state contains.
    pub(crate) position: u64,
    /// The id of the last of these actions; `null` if the program does not know it.
    #[serde(default)]
    pub(crate) last: Option<String>,
}

/// The connection of a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Connected {
    /// The store.
    pub(crate) store: String,
    /// True if it is in sync.
    pub(crate) connected: bool,
}

/// A state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct StateOf {
    /// The store.
    pub(crate) store: String,
    /// The state, in the shape of the store's reducer.
    pub(crate) state: Value,
}

/// A digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct DigestOf {
    /// The store.
    pub(crate) store: String,
    /// The SHA-256 of the state as canonical JSON (RFC 8785), in hexadecimal; `null` if the
    /// program makes none.
    pub(crate) digest: Option<String>,
}

/// A text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Text {
    /// The text.
    pub(crate) text: String,
}
