//! The environment of a case: its folder, its guardian, the control socket, the proxies.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use samestate_proto::with_causes;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::guardian::{Guardian, GuardianError, Report};
use super::proxy::{Place, Proxy, ProxyEvent, Server};
use crate::control::certificates::{self, CertificatesError};
use crate::control::{self, Briefing, LOGS, SOCKET, ToNode, ToRunner};
use crate::faults::{Fault, LinkFault, Target};
use crate::scenario::{Address, NodeId, Plan};

/// The number of nodes' messages that may wait for the runner. Beyond it, the nodes wait.
const MESSAGES_WAITING_MAX: usize = 256;

/// The number of a log's last lines that an error shows.
const LOG_LINES_SHOWN: usize = 8;

/// The reason why a case cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvError {
    /// There is no guardian.
    #[error(transparent)]
    Guardian(#[from] GuardianError),
    /// The runner cannot listen for its nodes.
    #[error("failed to listen for the nodes on {path}, which has to be on a local disk (TMPDIR)")]
    Control {
        /// The socket.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The nodes' briefing cannot be written.
    #[error(transparent)]
    Briefing(#[from] control::ControlError),
    /// The nodes' certificates cannot be made.
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
    /// A link's proxy cannot listen.
    #[error("failed to put a proxy before the link `{link}`, into which faults are injected")]
    Proxy {
        /// The link.
        link: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The program's own path is unknown.
    #[error("failed to find this program's own path, to start nodes from")]
    Program(#[source] io::Error),
}

/// A message of a node, over connections that are numbered in the order in which they come.
#[derive(Debug)]
pub(crate) enum FromNode {
    /// A node is there.
    Joined {
        /// The connection that later messages come from.
        connection: u64,
        /// The node.
        node: NodeId,
        /// The process that does its work.
        pid: u32,
        /// The process that speaks for it, which may be another.
        speaker: u32,
        /// The queue of messages to the node.
        outbox: mpsc::UnboundedSender<ToNode>,
    },
    /// It says something.
    Said {
        /// The connection.
        connection: u64,
        /// The message.
        message: ToRunner,
    },
    /// The connection is over.
    Left {
        /// The connection.
        connection: u64,
        /// The error that broke the connection, if it did not just end.
        error: Option<String>,
    },
}

/// Any other event.
#[derive(Debug)]
pub(crate) enum RunnerEvent {
    /// The guardian reports; `None`: it is gone.
    Guardian(Option<Report>),
    /// Something came of a fault of a link.
    Proxy(ProxyEvent),
}

/// The receivers of events.
#[derive(Debug)]
pub(crate) struct Events {
    pub(crate) nodes: mpsc::Receiver<FromNode>,
    pub(crate) runner: mpsc::UnboundedReceiver<RunnerEvent>,
}

/// A case that has been set up: nothing is launched yet.
#[derive(Debug)]
pub(crate) struct RunEnv {
    program: PathBuf,
    guardian: Guardian,
    proxies: BTreeMap<usize, Proxy>,
    listening: AbortHandle,
}

impl RunEnv {
    /// Makes the folder, listens for nodes, puts a proxy before each link that a fault strikes,
    /// and writes the nodes' certificates and briefing.
    pub(crate) async fn set_up(plan: &Plan) -> Result<(Self, Events), EnvError> {
        let program = std::env::current_exe().map_err(EnvError::Program)?;
        let (event, runner) = mpsc::unbounded_channel();
        let (said, nodes) = mpsc::channel(MESSAGES_WAITING_MAX);
        let heard = event.clone();
        let guardian = Guardian::start(&program, move |report| {
            // The receiver is gone once the case is over.
            let _ = heard.send(RunnerEvent::Guardian(report));
        })
        .await?;
        match Self::open_channels(guardian.folder(), plan, &event, said).await {
            Ok((proxies, listening)) => {
                for link in &plan.links {
                    if let Address::Unix(path) = &link.address
                        && path.is_absolute()
                        && !path.exists()
                    {
                        guardian.sweep(path.clone());
                    }
                }
                let env = Self { program, guardian, proxies, listening };
                Ok((env, Events { nodes, runner }))
            }
            Err(error) => {
                guardian.finish().await?;
                Err(error)
            }
        }
    }

    async fn open_channels(
        folder: &Path,
        plan: &Plan,
        event: &mpsc::UnboundedSender<RunnerEvent>,
        said: mpsc::Sender<FromNode>,
    ) -> Result<(BTreeMap<usize, Proxy>, AbortHandle), EnvError> {
        let path = folder.join(SOCKET);
        let listener = UnixListener::bind(&path)
            .map_err(|source| EnvError::Control { path: path.clone(), source })?;
        let listening = tokio::spawn(listen(listener, said)).abort_handle();
        let mut proxies = BTreeMap::new();
        for index in struck_links(plan) {
            let link = &plan.links[index];
            let address = match &link.address {
                Address::Unix(path) => Address::Unix(folder.join(path)), // as it is, if absolute
                Address::Tcp(port) => Address::Tcp(*port),
            };
            let failed = |source| EnvError::Proxy { link: link.name.clone(), source };
            let other = has_other_password(plan, index)
                .then(|| Place::before(&address, &folder.join(format!("other-{index}.sock"))));
            let other = other.transpose().map_err(failed)?;
            let server = Server { link: index, seed: plan.seed, address, other_password: other };
            let heard = event.clone();
            let told = move |event| {
                let _ = heard.send(RunnerEvent::Proxy(event));
            };
            let beside = folder.join(format!("proxy-{index}.sock"));
            let proxy = Proxy::start(server, &beside, told).map_err(failed)?;
            proxies.insert(index, proxy);
        }
        let dial = proxies.iter().map(|(link, proxy)| (*link, proxy.address().clone())).collect();
        let other = proxies.iter().filter_map(|(link, proxy)| Some((*link, proxy.other()?)));
        let other_passwords = other.collect();
        certificates::make(plan, folder)?;
        Briefing { plan: plan.clone(), dial, other_passwords }.write(folder)?;
        Ok((proxies, listening))
    }

    /// Starts a cluster's master, which forks its workers.
    pub(crate) fn launch(&self, cluster: &str) {
        let args = ["node", "--run", &self.guardian.folder().to_string_lossy(), "--cluster"]
            .map(str::to_owned)
            .into_iter()
            .chain([cluster.to_owned()])
            .collect();
        let log = self.log_path(&format!("{cluster}.master"));
        self.guardian.launch(cluster, &self.program, args, log);
    }

    /// Kills a process of the case.
    pub(crate) fn kill(&self, pid: u32) {
        self.guardian.kill(pid);
    }

    /// Stops a process until it is resumed.
    pub(crate) fn pause(&self, pid: u32) {
        self.guardian.pause(pid);
    }

    /// Lets a process go on that was stopped.
    pub(crate) fn resume(&self, pid: u32) {
        self.guardian.resume(pid);
    }

    /// Injects a fault into a link, which has to be one with a planned fault.
    pub(crate) fn inject(&self, link: usize, fault: usize, what: LinkFault) {
        if let Some(proxy) = self.proxies.get(&link) {
            proxy.inject(fault, what);
        }
    }

    /// Ends all processes and removes the folder; returns once that is done.
    pub(crate) async fn tear_down(self) -> Result<(), GuardianError> {
        self.listening.abort();
        drop(self.proxies);
        self.guardian.finish().await
    }

    /// The folder of the nodes' logs.
    pub(crate) fn logs(&self) -> PathBuf {
        self.guardian.folder().join(LOGS)
    }

    /// The last lines of a node's log, each indented; empty if it wrote none.
    pub(crate) fn log_tail(&self, node: &str) -> String {
        let log = std::fs::read(self.log_path(node)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
        shown.iter().map(|line| format!("\n    {line}")).collect()
    }

    fn log_path(&self, node: &str) -> PathBuf {
        self.logs().join(format!("{node}.log"))
    }
}

/// The links that a fault strikes, each of which needs a proxy.
fn struck_links(plan: &Plan) -> BTreeSet<usize> {
    let targets = plan.faults.iter().map(|timed| timed.fault.target());
    let links = targets.filter_map(|target| match target {
        Target::Link(link) => Some(link),
        Target::Node(_) | Target::Replica(..) => None,
    });
    links.collect()
}

/// Returns whether the link's server asks for another password for a while.
fn has_other_password(plan: &Plan, link: usize) -> bool {
    let mut on_link = plan.faults.iter().filter(|timed| timed.fault.target() == Target::Link(link));
    on_link.any(|timed| matches!(timed.fault, Fault::WrongPassword(_)))
}

async fn listen(listener: UnixListener, said: mpsc::Sender<FromNode>) {
    let mut connections = 0;
    // Accepting fails while descriptors are short; the nodes' deadline tells of that.
    while let Ok((stream, _)) = listener.accept().await {
        connections += 1;
        tokio::spawn(converse(stream, connections, said.clone()));
    }
}

/// Passes on what a node says, and to it what it is told.
async fn converse(stream: UnixStream, connection: u64, said: mpsc::Sender<FromNode>) {
    let (mut reader, mut writer) = stream.into_split();
    let Ok(Some(ToRunner::Hello { node, pid, speaker, .. })) = control::receive(&mut reader).await
    else {
        return; // not a node
    };
    let (outbox, mut letters) = mpsc::unbounded_channel::<ToNode>();
    tokio::spawn(async move {
        while let Some(letter) = letters.recv().await {
            if control::send(&mut writer, &letter).await.is_err() {
                return; // the reading half says so
            }
        }
    });
    let joined = FromNode::Joined { connection, node, pid, speaker, outbox };
    if said.send(joined).await.is_err() {
        return;
    }
    let error = loop {
        match control::receive(&mut reader).await {
            Ok(Some(message)) => {
                if said.send(FromNode::Said { connection, message }).await.is_err() {
                    return;
                }
            }
            Ok(None) => break None,
            Err(error) => break Some(with_causes(&error)),
        }
    };
    // The case may be over by now.
    let _ = said.send(FromNode::Left { connection, error }).await;
}
