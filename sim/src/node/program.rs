//! A node's incarnation, from joining its cluster to leaving it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use samestate::LinkStats;
use samestate::{Cluster, DispatchError};
use samestate_proto::with_causes;
use tokio::task::JoinHandle;

use super::adapter::{self, Program, Started};
use super::clock::{Stop, sleep_until};
use super::compare::{self, Comparison, Found};
use super::log::Log;
use super::meter::Meter;
use super::mirror;
use super::open::{Opener, Tell};
use super::open_loop::Shift;
use super::session::{Outbox, Session};
use super::store::{AnyStore, Listening};
use crate::control::{Briefing, ControlError, ToNode, ToRunner, now_ns};
use crate::load::{Params, UnknownReducer};
use crate::record::{LinkFigures, NodeDelta, StoreDelta};
use crate::scenario::{Arrival, NodePlan, Observation, Plan};
use crate::threads::{self, NoThreads};

/// The interval at which a delta is cut: at the multiples of this, on the clock that all nodes
/// share, so that the digests that go with it are often of one version.
const DELTA_NS: u64 = 100_000_000;

/// The time that a worker which was killed may take to be reaped before it is forked again.
const REAPED_WITHIN: Duration = Duration::from_secs(2);

/// The time that stores and workers may take to close.
const CLOSED_WITHIN: Duration = Duration::from_secs(2);

/// A store into which no more than this is dispatched a second has a subscriber that checks what
/// it is told; past it, checking would be measured along with the store.
const CHECKED_PER_S_MAX: f64 = 2_000.0;

/// The reason why a node could not do what the plan demands.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The threads of the runtime could not be started.
    #[error(transparent)]
    Threads(#[from] NoThreads),
    /// A load's thread could not be started.
    #[error("a load's thread could not be started")]
    Thread(#[source] std::io::Error),
    /// The conversation with the runner failed.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The library refused something.
    #[error(transparent)]
    Library(#[from] samestate::Error),
    /// A store could not be brought into its first state.
    #[error("the store's first state could not be dispatched")]
    Opening(#[from] DispatchError),
    /// A reducer has no such name.
    #[error(transparent)]
    Reducer(#[from] UnknownReducer),
    /// The node's program did not do its part; the text says who did what.
    #[error("{0}")]
    Program(String),
    /// The process is no node of the plan.
    #[error("the plan has no {0}: is the briefing of another run?")]
    Unplanned(String),
}

/// Runs one incarnation of a node process of `cluster`, in the run whose folder that is.
///
/// Returns once the runner said to exit, or is gone.
pub fn main(folder: &Path, cluster: &str) -> Result<(), NodeError> {
    let runtime = threads::runtime(1)?;
    let lived = runtime.block_on(live(folder, cluster));
    // Threads of loads that were stopped end with the process.
    runtime.shutdown_background();
    lived
}

async fn live(folder: &Path, cluster_name: &str) -> Result<(), NodeError> {
    let cluster = Cluster::join()?;
    let briefing = Briefing::read(folder)?;
    let worker = cluster.worker();
    let plan = briefing.plan.nodes.iter().find(|node| {
        node.cluster == cluster_name && node.worker.map_or(0, |number| number as usize) == worker
    });
    let missing = || NodeError::Unplanned(format!("worker {worker} of cluster `{cluster_name}`"));
    let plan = plan.ok_or_else(missing)?.clone();
    let started = plan.program.as_deref();
    let started = started.map(|command| adapter::start(command, folder, &briefing, &plan));
    let pid = match &started {
        Some(Ok(started)) => started.program.pid(),
        Some(Err(_)) | None => std::process::id(),
    };
    let session = Session::begin(folder, plan.id, pid).await?;
    let outbox = session.outbox();
    let mut node = Node::new(folder, briefing, plan, cluster, &outbox);
    let lived = node.serve(session, started).await;
    if let Err(error) = &lived {
        node.log.line(&format!("ends: {}", with_causes(error)));
    }
    lived
}

struct Node {
    folder: std::path::PathBuf,
    briefing: Arc<Briefing>,
    plan: NodePlan,
    cluster: Cluster,
    outbox: Outbox,
    log: Arc<Log>,
    tell: Tell,
    meter: Arc<Meter>,
    /// The program that does the node's work, if this process does not.
    program: Option<Program>,
    stores: BTreeMap<String, Arc<dyn AnyStore>>,
    found: Found,
    stop: Arc<Stop>,
    era: u32,
    started: bool,
    drained: bool,
    subscriptions: Vec<Listening>,
    getting_ready: Option<JoinHandle<()>>,
}

impl Node {
    fn new(
        folder: &Path,
        briefing: Briefing,
        plan: NodePlan,
        cluster: Cluster,
        outbox: &Outbox,
    ) -> Self {
        let log = Arc::new(Log::open(folder, &plan.name));
        let (to_log, to_runner) = (Arc::clone(&log), outbox.clone());
        let tell: Tell = Arc::new(move |text: &str| {
            to_log.line(text);
            to_runner.put(ToRunner::Problem { fatal: false, text: text.to_owned() });
        });
        Node {
            folder: folder.to_owned(),
            briefing: Arc::new(briefing),
            plan,
            cluster,
            outbox: outbox.clone(),
            log,
            tell,
            meter: Arc::default(),
            program: None,
            stores: BTreeMap::new(),
            found: Found::default(),
            stop: Arc::default(),
            era: 0,
            started: false,
            drained: false,
            subscriptions: Vec::new(),
            getting_ready: None,
        }
    }

    fn scenario(&self) -> &Plan {
        &self.briefing.plan
    }

    async fn serve(
        &mut self,
        mut session: Session,
        started: Option<Result<Started, NodeError>>,
    ) -> Result<(), NodeError> {
        let served = match self.open(started).await {
            Ok(()) => {
                let program = self.program.clone();
                let failed = async {
                    match program {
                        Some(program) => program.failed().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    served = self.converse(&mut session) => served,
                    why = failed => Err(NodeError::Program(why)),
                }
            }
            Err(error) => Err(error),
        };
        if let Some(program) = &self.program {
            program.stop().await;
        }
        if let Err(error) = &served {
            self.outbox.put(ToRunner::Problem { fatal: true, text: with_causes(error) });
        }
        session.end().await;
        // What does not close in time ends with the process.
        let _ = self.cluster.close(CLOSED_WITHIN).await;
        served
    }

    /// Opens the stores, and forks the workers, which open theirs.
    async fn open(&mut self, started: Option<Result<Started, NodeError>>) -> Result<(), NodeError> {
        let stores = match started {
            Some(started) => {
                let (program, stores) = started?.converse(&self.log);
                self.program = Some(program);
                stores
            }
            None => self.opener().open_all().await?,
        };
        self.stores = stores.into_iter().map(|store| (store.name().to_owned(), store)).collect();
        if self.plan.is_master() {
            let workers = self.scenario().workers(&self.plan.cluster).count();
            self.cluster.fork(workers)?;
        }
        self.get_ready();
        Ok(())
    }

    fn opener(&self) -> Opener<'_> {
        Opener {
            cluster: &self.cluster,
            briefing: &self.briefing,
            node: &self.plan,
            folder: &self.folder,
            tell: Arc::clone(&self.tell),
            meter: &self.meter,
        }
    }

    /// Says that it is ready once all stores are in sync and in their first state.
    fn get_ready(&mut self) {
        for (name, store) in &self.stores {
            if self.is_checked(name) {
                self.subscriptions.push(store.check_subscriber());
            }
        }
        for plan in self.scenario().mirrors.iter().filter(|mirror| mirror.at == self.plan.id) {
            if let (Some(from), Some(to)) = (self.stores.get(&plan.from), self.stores.get(&plan.to))
            {
                mirror::run(Arc::clone(from), Arc::clone(to));
            }
        }
        let topology = &self.scenario().topology;
        let is_root = |name: &str| {
            topology.replica(name, self.plan.id).is_some_and(|found| found.0.root == self.plan.id)
        };
        let stores: Vec<_> =
            self.stores.iter().map(|(name, store)| (Arc::clone(store), is_root(name))).collect();
        let outbox = self.outbox.clone();
        self.getting_ready = Some(tokio::spawn(async move {
            for (store, is_root) in stores {
                store.synced().await;
                if is_root && let Err(error) = store.begin().await {
                    let text = NodeError::from(error).to_string();
                    outbox.put(ToRunner::Problem { fatal: true, text });
                    return;
                }
            }
            outbox.put(ToRunner::Ready);
        }));
    }

    /// Returns whether a subscriber checks the store's changes.
    fn is_checked(&self, store: &str) -> bool {
        let loads = self.scenario().phases.iter().flat_map(|phase| &phase.load);
        let rate = |arrival: &Arrival| match arrival {
            Arrival::Every(every) => 1.0 / every.get().as_secs_f64(),
            Arrival::Rate(rate) | Arrival::Poisson(rate) => rate.get(),
            Arrival::Burst(burst) => f64::from(burst.of.get()) / burst.every.get().as_secs_f64(),
            Arrival::Ramp(ramp) => ramp.from.get().max(ramp.to.get()),
            Arrival::At(instants) => {
                let last = instants.last().copied().unwrap_or_default();
                instants.len() as f64 / last.get().as_secs_f64().max(1.0)
            }
            Arrival::Closed(_) => f64::INFINITY,
        };
        let total: f64 =
            loads.filter(|load| load.store == store).map(|load| rate(&load.arrival)).sum();
        total <= CHECKED_PER_S_MAX
    }

    async fn converse(&mut self, session: &mut Session) -> Result<(), NodeError> {
        loop {
            let next_ns = (now_ns() / DELTA_NS + 1) * DELTA_NS;
            let message = tokio::select! {
                message = session.next() => message,
                () = sleep_until(next_ns) => {
                    if !self.drained {
                        self.stores.values().for_each(|store| store.sample_digest());
                        self.cut();
                    }
                    continue;
                }
            };
            match message {
                Some(ToNode::Exit) | None => return Ok(()),
                Some(message) => self.hear(message).await?,
            }
        }
    }

    async fn hear(&mut self, message: ToNode) -> Result<(), NodeError> {
        match message {
            ToNode::Start { at_ns } => self.start(at_ns),
            ToNode::Stop => {
                self.stop.stop();
                Ok(())
            }
            ToNode::Flush => {
                self.stop.stop();
                self.cut_last().await?;
                self.outbox.put(ToRunner::Drained);
                self.drained = true;
                Ok(())
            }
            ToNode::CreateClient { link } => self.create_client(link),
            ToNode::Fork { worker } => self.fork(worker).await,
            ToNode::Exit => Ok(()),
        }
    }

    /// Begins the loads and the comparisons.
    fn start(&mut self, at_ns: u64) -> Result<(), NodeError> {
        if std::mem::replace(&mut self.started, true) {
            return Ok(());
        }
        let plan = &self.briefing.plan;
        let ns = |at: Duration| at_ns + at.as_nanos() as u64;
        // A process that replaces one that was killed may come later than planned.
        let there_from = Duration::from_nanos(now_ns().saturating_sub(at_ns));
        let standstills = plan.standstills_until(self.plan.id, there_from).into_iter();
        let standstills: Vec<_> = standstills.map(|span| ns(span.start)..ns(span.end)).collect();
        self.stores.values().for_each(|store| store.stands_still(&standstills));
        for phase in &plan.phases {
            for load in &phase.load {
                let here = load.at == self.plan.id;
                if !here && (!plan.null || !self.stores.contains_key(&load.store)) {
                    continue;
                }
                let (Some(store), Some(of)) =
                    (self.stores.get(&load.store), plan.stores.get(&load.store))
                else {
                    return Err(NodeError::Unplanned(format!("store `{}` here", load.store)));
                };
                let begin_ns = ns(phase.start);
                let params = Params::of(of, load);
                let (load, length, seed) = (load.clone(), phase.duration, plan.seed);
                let shift = Shift { load, params, begin_ns, length, seed };
                if here {
                    store.load(shift, &self.stop).map_err(NodeError::Thread)?;
                } else {
                    store.expect(shift);
                }
            }
        }
        for (index, observation) in plan.observe.iter().enumerate() {
            let Observation::Pair { at, stores, every } = observation else { continue };
            let [Some(one), Some(other)] = stores.each_ref().map(|name| self.stores.get(name))
            else {
                continue;
            };
            if *at == self.plan.id {
                let stores = [Arc::clone(one), Arc::clone(other)];
                let (every, length, seed) = (*every, plan.duration(), plan.seed);
                let comparison = Comparison { index, stores, every, length, seed };
                let (found, stop) = (Arc::clone(&self.found), Arc::clone(&self.stop));
                tokio::spawn(compare::run(comparison, at_ns, found, stop));
            }
        }
        Ok(())
    }

    /// Sends what was measured since the last delta.
    fn cut(&self) {
        let stores = self.stores.iter();
        let stores = stores.map(|(name, store)| (name.clone(), store.take(None))).collect();
        self.hand_over(stores, false);
    }

    /// Sends the last measurements, with the final states.
    async fn cut_last(&self) -> Result<(), NodeError> {
        let mut stores = BTreeMap::new();
        for (name, store) in &self.stores {
            let state = store.final_state().await?;
            stores.insert(name.clone(), store.take(Some(state)));
        }
        self.hand_over(stores, true);
        Ok(())
    }

    fn hand_over(&self, stores: BTreeMap<String, StoreDelta>, last: bool) {
        let samples = std::mem::take(&mut *self.found.lock());
        let links = LinkStats::process().counts();
        let links = self.program.is_none().then(|| LinkFigures {
            sent_bytes: links.bytes_written,
            received_bytes: links.bytes_read,
            syscalls: Some(links.syscalls()),
        });
        let (era, cpu) = (self.era, self.meter.take());
        let delta = NodeDelta { at_ns: now_ns(), era, stores, samples, links, cpu, last };
        self.outbox.put(ToRunner::Delta(Box::new(delta)));
    }

    /// Makes the stores of a link follow its server from now on.
    fn create_client(&mut self, link: usize) -> Result<(), NodeError> {
        let unplanned = || NodeError::Unplanned(format!("link {link}"));
        let carried = &self.scenario().links.get(link).ok_or_else(unplanned)?.stores;
        // What went before belongs to another tree of the store.
        self.cut();
        for store in self.stores.values().filter(|store| carried.iter().any(|c| c == store.name()))
        {
            store.follow(self.opener().client(link)?)?;
        }
        self.era += 1;
        Ok(())
    }

    /// Forks a worker again once the one before it is reaped.
    async fn fork(&self, worker: u32) -> Result<(), NodeError> {
        let number = worker as usize;
        let mut exits = self.cluster.exits();
        let running = || self.cluster.workers().iter().any(|(running, _)| *running == number);
        let reaped = async {
            while running() {
                exits.next().await;
            }
        };
        if tokio::time::timeout(REAPED_WITHIN, reaped).await.is_err() {
            // Another fault had it started again: one is enough.
            (self.tell)(&format!("worker {worker} runs already, and is not forked again"));
            return Ok(());
        }
        Ok(self.cluster.fork_as(number)?)
    }
}
