//! The adapter protocol of Samestate (version 1): JSON lines on standard input and output.
//!
//! Implement [`Adapter`] and pass it to [`run`]. `docs/adapters.md` of Samestate describes the
//! protocol. The runner takes the order of the lines for the order of the changes, so report a
//! change while you hold the lock under which you made it.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, stdin, stdout};
use tokio::sync::mpsc;

/// The version of the protocol.
const PROTOCOL: u32 = 1;

/// The place of the node in the scenario.
#[derive(Debug, Deserialize)]
pub struct Init {
    protocol: u32,
    /// Its name.
    pub node: String,
    /// A folder for its files, which it finds again after a restart.
    pub folder: String,
    /// The stores that it opens.
    pub stores: Vec<Spec>,
    /// The addresses that it listens on.
    pub listen: Vec<Endpoint>,
    /// The addresses that it connects to.
    pub connect: Vec<Endpoint>,
}

/// A store of the node.
#[derive(Clone, Debug, Deserialize)]
pub struct Spec {
    /// Its name.
    pub name: Arc<str>,
    /// Its reducer.
    pub reducer: String,
    /// The mode in which others are fed: `action`, `snapshot` or `delta`.
    pub mode: String,
    /// True at the node whose order is the history.
    pub root: bool,
}

/// An address, and the stores that it carries.
#[derive(Clone, Debug, Deserialize)]
pub struct Endpoint {
    /// The stores.
    pub stores: Vec<String>,
    /// A port of 127.0.0.1.
    pub tcp: Option<u16>,
    /// The path of a Unix socket.
    pub unix: Option<String>,
    /// The login that the address asks for.
    pub login: Option<Login>,
}

/// A login and its password.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Login {
    /// The login.
    pub name: String,
    /// Its password.
    pub password: String,
}

/// An action to dispatch, under its id.
#[derive(Debug, Deserialize)]
pub struct Numbered {
    /// The id, which travels with the action.
    pub id: String,
    /// The action.
    pub action: Box<RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Init(Init),
    Dispatch { store: String, actions: Vec<Numbered> },
    State { store: String },
    Digest { store: String },
    Stop {},
}

/// Something to report.
enum Report {
    Applied(Arc<str>, Vec<String>),
    Ok(Arc<str>, Vec<String>),
    Line(String),
}

/// The program's side of the conversation: what it reports.
#[derive(Clone)]
pub struct Node(mpsc::UnboundedSender<Report>);

impl Node {
    /// Reports that all stores of this node are in sync.
    pub fn ready(&self) {
        self.send("ready", json!({}));
    }

    /// Reports that dispatches are, or will be, in the history exactly once.
    pub fn ok(&self, store: &Arc<str>, ids: Vec<String>) {
        let _ = self.0.send(Report::Ok(Arc::clone(store), ids));
    }

    /// Reports that a dispatch was not accepted.
    pub fn error(&self, store: &str, id: &str, kind: &str, message: &str) {
        let fields = json!({ "store": store, "id": id, "kind": kind, "message": message });
        self.send("error", fields);
    }

    /// Reports that actions were applied to the state here, in this order.
    pub fn applied(&self, store: &Arc<str>, ids: Vec<String>) {
        let _ = self.0.send(Report::Applied(Arc::clone(store), ids));
    }

    /// Reports that the state was replaced by one with so many actions.
    pub fn jumped(&self, store: &str, position: u64, last: Option<&str>) {
        let fields = json!({ "store": store, "position": position, "last": last });
        self.send("jumped", fields);
    }

    /// Reports that the store came into sync, or fell out of it.
    pub fn connected(&self, store: &str, connected: bool) {
        self.send("connected", json!({ "store": store, "connected": connected }));
    }

    /// Writes a line into the node's log.
    pub fn log(&self, text: impl std::fmt::Display) {
        self.send("log", json!({ "text": text.to_string() }));
    }

    fn digest(&self, store: &str, state: &Value) {
        // A state that has no canonical form has no digest.
        let digest = serde_json_canonicalizer::to_vec(state).ok().map(|text| {
            Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        });
        self.send("digest", json!({ "store": store, "digest": digest }));
    }

    fn state(&self, store: &str, state: &Value) {
        self.send("state", json!({ "store": store, "state": state }));
    }

    fn send(&self, kind: &str, fields: Value) {
        // The runner is gone if nobody takes the lines.
        let _ = self.0.send(Report::Line(line(kind, &fields)));
    }
}

fn line(kind: &str, fields: &Value) -> String {
    format!("{{\"{kind}\":{fields}}}\n")
}

/// A node of the system under test.
pub trait Adapter: Sized {
    /// Dispatches actions, in this order. Answer each by [`Node::ok`] or [`Node::error`].
    fn dispatch(&mut self, store: &str, actions: Vec<Numbered>) -> anyhow::Result<()>;

    /// Calls `tell` with the state of a store, under the lock with which its changes are reported.
    fn with_state(&self, store: &str, tell: impl FnOnce(&Value)) -> anyhow::Result<()>;

    /// Runs after the last line. The process ends when this returns.
    fn stop(self) -> impl Future<Output = ()>;
}

/// Speaks with the runner until it says stop or is gone. `open` listens and connects.
pub async fn run<A: Adapter>(
    open: impl AsyncFnOnce(Init, Node) -> anyhow::Result<A>,
) -> anyhow::Result<()> {
    let (sender, reports) = mpsc::unbounded_channel();
    let writing = tokio::spawn(write(reports));
    let node = Node(sender);
    let mut input = BufReader::new(stdin()).lines();
    let Some(first) = input.next_line().await? else { return Ok(()) };
    let Line::Init(init) = serde_json::from_str(&first).context("the first line")? else {
        anyhow::bail!("the first line is not `init`: this program is started by samestate run");
    };
    ensure!(init.protocol == PROTOCOL, "the runner speaks version {}", init.protocol);
    let mut adapter = open(init, node.clone()).await?;
    while let Some(line) = input.next_line().await? {
        match serde_json::from_str(&line).with_context(|| line.clone())? {
            Line::Dispatch { store, actions } => adapter.dispatch(&store, actions)?,
            Line::State { store } => {
                adapter.with_state(&store, |state| node.state(&store, state))?;
            }
            Line::Digest { store } => {
                adapter.with_state(&store, |state| node.digest(&store, state))?;
            }
            Line::Init(_) => anyhow::bail!("a second `init`"),
            Line::Stop {} => break,
        }
    }
    adapter.stop().await;
    drop(node);
    writing.abort();
    Ok(())
}

/// Writes reports: those that wait go out together, and neighbours in one line.
async fn write(mut reports: mpsc::UnboundedReceiver<Report>) {
    let mut out = stdout();
    let mut waiting = Vec::new();
    while reports.recv_many(&mut waiting, 1024).await > 0 {
        let text = together(waiting.drain(..));
        if out.write_all(text.as_bytes()).await.is_err() || out.flush().await.is_err() {
            return; // the runner is gone
        }
    }
}

fn together(reports: impl Iterator<Item = Report>) -> String {
    let mut text = String::new();
    // An answer may come later than what is applied, but not later than other lines.
    let (mut applied, mut ok) = (BTreeMap::new(), BTreeMap::new());
    let flush = |text: &mut String, kind: &str, of: &mut BTreeMap<Arc<str>, Vec<String>>| {
        for (store, ids) in std::mem::take(of) {
            *text += &line(kind, &json!({ "store": &*store, "ids": ids }));
        }
    };
    for report in reports {
        match report {
            Report::Applied(store, ids) => {
                applied.entry(store).or_insert_with(Vec::new).extend(ids)
            }
            Report::Ok(store, ids) => ok.entry(store).or_insert_with(Vec::new).extend(ids),
            Report::Line(line) => {
                flush(&mut text, "applied", &mut applied);
                flush(&mut text, "ok", &mut ok);
                text += &line;
            }
        }
    }
    flush(&mut text, "applied", &mut applied);
    flush(&mut text, "ok", &mut ok);
    text
}
