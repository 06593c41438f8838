//! Messages between the runner and the node processes.
//!
//! A node reads its [`Briefing`] from the run's folder, connects to the runner's socket there and
//! says [`ToRunner::Hello`]. From then on both sides send messages, each a length (u32, little
//! endian) and so many bytes of MessagePack. What a node measures goes to the runner in small
//! parts, ten a second, so that a node that is killed takes little with it.
//!
//! All instants are nanoseconds of the machine's monotonic clock, which its processes share.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::load::{decode, encode};
use crate::record::NodeDelta;
use crate::scenario::{Address, NodeId, Plan};

/// The runner's socket in the run's folder.
pub const SOCKET: &str = "control.sock";

/// The briefing's file in the run's folder.
pub const BRIEFING: &str = "briefing.json";

/// The folder of the nodes' logs in the run's folder: `logs/alpha.worker[1].log`.
pub const LOGS: &str = "logs";

/// A message may have at most this many bytes: a state and a part of a history fit.
pub const MESSAGE_BYTES_MAX: usize = 1 << 30;

/// The information that every node of a run reads from a file before it connects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Briefing {
    /// The plan, as it was resolved.
    pub plan: Plan,
    /// The addresses that clients of a link connect to, by the link's position in [`Plan::links`],
    /// if they differ from the server's own address: those of proxies.
    pub dial: BTreeMap<usize, Address>,
    /// The addresses at which servers of links ask for another password than the link's, by the
    /// link's position.
    pub other_passwords: BTreeMap<usize, Address>,
}

impl Briefing {
    /// Reads the briefing of the run in `folder`.
    pub fn read(folder: &Path) -> Result<Self, ControlError> {
        let path = folder.join(BRIEFING);
        let unreadable = |source| ControlError::Briefing { path: path.clone(), source };
        let json = std::fs::read(&path).map_err(unreadable)?;
        serde_json::from_slice(&json).map_err(|error| unreadable(error.into()))
    }

    /// Writes the briefing into the run's `folder`.
    pub fn write(&self, folder: &Path) -> Result<(), ControlError> {
        let path = folder.join(BRIEFING);
        let json = serde_json::to_vec(self).map_err(io::Error::from);
        let written = json.and_then(|json| std::fs::write(&path, json));
        written.map_err(|source| ControlError::Briefing { path, source })
    }

    /// Returns the address that a client of that link connects to.
    pub fn dialled(&self, link: usize) -> Option<&Address> {
        self.dial.get(&link).or_else(|| self.plan.links.get(link).map(|link| &link.address))
    }
}

/// A message of a node to the runner.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToRunner {
    /// The first message on every connection.
    Hello {
        /// The node.
        node: NodeId,
        /// The process that does the node's work: the node's own, or its program's.
        pid: u32,
        /// The node's own process, which speaks for it.
        speaker: u32,
        /// The incarnation of the node: later incarnations have higher numbers.
        incarnation: u64,
    },
    /// All of the node's stores are in sync: it waits for [`ToNode::Start`].
    Ready,
    /// Hands over the measurements since the last delta.
    Delta(Box<NodeDelta>),
    /// Something went wrong.
    Problem {
        /// The node cannot go on and is about to end. Otherwise it is what a store said to its
        /// `on_error`, and links that are cut on purpose say such things too.
        fatal: bool,
        /// The message, for people.
        text: String,
    },
    /// Everything measured has been sent, the final states included.
    Drained,
}

/// A message of the runner to a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToNode {
    /// The load begins.
    Start {
        /// The time at which the first phase begins, or began: a node that was started again joins
        /// in at the present phase.
        at_ns: u64,
    },
    /// No more load; what is under way is finished.
    Stop,
    /// Send a last [`NodeDelta`] with the final states, then [`ToRunner::Drained`].
    Flush,
    /// Become a client of this link's server.
    CreateClient {
        /// The link's position in [`Plan::links`].
        link: usize,
    },
    /// Fork the worker of this number again; for masters.
    Fork {
        /// The number of the worker, from 1.
        worker: u32,
    },
    /// Close the stores and end.
    Exit,
}

/// An error of the control channel.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The briefing could not be read or written.
    #[error(
        "failed to read or write the run's briefing {path}, which is there while the run goes on"
    )]
    Briefing {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The connection broke.
    #[error("the control channel broke")]
    Io(#[from] io::Error),
    /// A length beyond the limit.
    #[error("a control message of {bytes} bytes; at most {MESSAGE_BYTES_MAX} are allowed")]
    TooLong {
        /// The length of the message.
        bytes: usize,
    },
    /// The bytes are no message.
    #[error("a control message that makes no sense")]
    Undecodable(#[from] rmp_serde::decode::Error),
    /// A message could not be written down.
    #[error("a control message cannot be encoded")]
    Unencodable(#[from] rmp_serde::encode::Error),
}

/// Sends one message.
pub async fn send<T: Serialize>(
    to: &mut (impl AsyncWrite + Unpin),
    message: &T,
) -> Result<(), ControlError> {
    let bytes = encode(message)?;
    let too_long = || ControlError::TooLong { bytes: bytes.len() };
    let length = u32::try_from(bytes.len()).map_err(|_| too_long())?;
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(too_long());
    }
    to.write_all(&length.to_le_bytes()).await?;
    to.write_all(&bytes).await?;
    to.flush().await?;
    Ok(())
}

/// Receives one message: `None` if the other side ended between two.
pub async fn receive<T: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
) -> Result<Option<T>, ControlError> {
    let mut length = [0; 4];
    if from.read(&mut length[..1]).await? == 0 {
        return Ok(None);
    }
    from.read_exact(&mut length[1..]).await?;
    let bytes = u32::from_le_bytes(length) as usize;
    if bytes > MESSAGE_BYTES_MAX {
        return Err(ControlError::TooLong { bytes });
    }
    // Read as it comes: a length that lies allocates nothing.
    let mut message = Vec::new();
    if from.take(bytes as u64).read_to_end(&mut message).await? < bytes {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(Some(decode(&message)?))
}

/// Now, on the clock that all processes of the machine share.
pub fn now_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use samestate_proto::Version;

    use super::*;
    use crate::invariants::{Continuity, OriginLog, Testimony};
    use crate::record::{Figures, LoadDelta, StoreDelta};
    use crate::scenario::Role;

    fn version(seq: u64) -> Version {
        Version { seq, ..Version::default() }
    }

    #[tokio::test]
    async fn messages_arrive_as_they_were_sent_and_in_order() {
        let (mut node, mut runner) = tokio::io::duplex(64);
        let sending = tokio::spawn(async move {
            for message in [ToNode::Start { at_ns: 7 }, ToNode::Stop, ToNode::Exit] {
                send(&mut runner, &message).await.expect("the other end reads");
            }
        });
        let mut received = Vec::new();
        while let Some(message) = receive::<ToNode>(&mut node).await.expect("whole messages") {
            received.push(message);
        }
        sending.await.expect("nothing panics");
        assert_eq!(received, [ToNode::Start { at_ns: 7 }, ToNode::Stop, ToNode::Exit]);
    }

    #[tokio::test]
    async fn a_delta_survives_its_journey() {
        let mut seen = Testimony::of("alpha.master");
        seen.timeline.applied(3, version(2), 77);
        let mut origin = OriginLog::of("alpha.master");
        origin.ok(version(2), version(2), Some(b"payload"));
        let store = StoreDelta {
            version: version(2),
            connected: true,
            roles: vec![Role::Master],
            seen: seen.clone(),
            subscriber: Some(Continuity::of_subscriber("alpha.master")),
            digests: vec![(version(2), 77)],
            loads: BTreeMap::from([(3, LoadDelta { due: 2, issued: 2, ..LoadDelta::default() })]),
            mirrors: LoadDelta::default(),
            opening: LoadDelta::default(),
            origin: origin.clone(),
            counters: Some(Figures::default()),
            state: None,
        };
        let stores = BTreeMap::from([("tasks".to_owned(), store)]);
        let delta = NodeDelta { at_ns: 5, stores, last: true, ..NodeDelta::default() };
        let (mut node, mut runner) = tokio::io::duplex(1 << 16);
        send(&mut node, &ToRunner::Delta(Box::new(delta))).await.expect("it fits");
        let message = receive::<ToRunner>(&mut runner).await.expect("a message");
        let Some(ToRunner::Delta(delta)) = message else { panic!("{message:?}") };
        let store = &delta.stores["tasks"];
        assert_eq!(store.seen, seen);
        assert_eq!(store.origin, origin);
        assert_eq!(store.loads[&3].due, 2);
    }

    #[tokio::test]
    async fn a_length_that_lies_allocates_nothing_and_is_an_error() {
        let (mut node, mut runner) = tokio::io::duplex(64);
        node.write_all(&u32::MAX.to_le_bytes()).await.expect("it fits");
        let error = receive::<ToNode>(&mut runner).await.expect_err("too long");
        assert!(matches!(error, ControlError::TooLong { .. }));
        node.write_all(&1000_u32.to_le_bytes()).await.expect("it fits");
        drop(node);
        let error = receive::<ToNode>(&mut runner).await.expect_err("it ends early");
        assert!(matches!(error, ControlError::Io(_)));
    }
}
