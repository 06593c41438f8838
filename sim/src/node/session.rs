//! The conversation with the runner.

use std::path::Path;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::control::{ControlError, SOCKET, ToNode, ToRunner, now_ns, receive, send};
use crate::scenario::NodeId;

/// The time that the messages in the outbox may take to be sent at the end.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The node's end of the control channel. Each direction has a task of its own, so that neither
/// waits for the other and nothing is cut off half-way.
pub(super) struct Session {
    inbox: mpsc::UnboundedReceiver<ToNode>,
    outbox: Outbox,
    writer: JoinHandle<()>,
}

/// The queue of messages for the runner. They are sent in its order.
#[derive(Clone, Debug)]
pub(super) struct Outbox(mpsc::UnboundedSender<Option<ToRunner>>);

impl Outbox {
    /// One more message. A runner that is gone misses nothing: the node is about to end.
    pub(super) fn put(&self, message: ToRunner) {
        let _ = self.0.send(Some(message));
    }
}

impl Session {
    /// Connects to the runner whose run is in `folder`, as this node, whose work `pid` does.
    pub(super) async fn begin(folder: &Path, node: NodeId, pid: u32) -> Result<Self, ControlError> {
        let stream = UnixStream::connect(folder.join(SOCKET)).await?;
        let (mut from_runner, mut to_runner) = stream.into_split();
        let (sender, mut messages) = mpsc::unbounded_channel();
        let writer = tokio::spawn(async move {
            while let Some(Some(message)) = messages.recv().await {
                if send::<ToRunner>(&mut to_runner, &message).await.is_err() {
                    return;
                }
            }
        });
        let (received, inbox) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok(Some(message)) = receive::<ToNode>(&mut from_runner).await {
                if received.send(message).is_err() {
                    return;
                }
            }
        });
        let outbox = Outbox(sender);
        // Later incarnations begin later, on a clock that never runs back.
        let speaker = std::process::id();
        outbox.put(ToRunner::Hello { node, pid, speaker, incarnation: now_ns() });
        Ok(Session { inbox, outbox, writer })
    }

    /// Returns the outbox.
    pub(super) fn outbox(&self) -> Outbox {
        self.outbox.clone()
    }

    /// The next message: `None` if the runner is gone.
    pub(super) async fn next(&mut self) -> Option<ToNode> {
        self.inbox.recv().await
    }

    /// Sends what is in the outbox, and ends the conversation.
    pub(super) async fn end(self) {
        let _ = self.outbox.0.send(None);
        // A runner that does not read any more is not waited for.
        let _ = tokio::time::timeout(LAST_WORDS, self.writer).await;
    }
}
