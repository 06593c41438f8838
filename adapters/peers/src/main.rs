//! Redis, NATS and Samestate itself as programs of Samestate scenarios.
//!
//! `samestate run` starts this program: see `docs/adapters.md`, and `scenarios/peers/`.
//!
//! | file | holds |
//! |---|---|
//! | `protocol` | the lines to and from the runner |
//! | `replica` | a store of a node: its state, its place in the history, its dispatches under way |
//! | `broker` | starts the broker at the root, and finds it from any other node |
//! | `log` | replicas of a broker's log: Redis Streams, NATS JetStream |
//! | `bus` | replicas over messages that are delivered at most once: Redis Pub/Sub, NATS core |
//! | `redis`, `nats` | the clients |
//! | `samestate` | the library, by the same lines as the others |

mod broker;
mod bus;
mod log;
mod nats;
mod protocol;
mod redis;
mod replica;
mod samestate;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, ensure};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::broker::{Address, Brokers, Kind};
use crate::bus::{Bus, Topics};
use crate::log::Log;
use crate::protocol::{Adapter, Init, Node, Numbered};
use crate::replica::{Entry, Replica};

/// The number of dispatches of a store that wait to be sent at most.
const WAITING_MAX: usize = 1 << 16;

const USAGE: &str = "usage: samestate-peers SYSTEM, as the program of a scenario's cluster.
Systems: redis-streams, redis-pubsub, redis-pubsub-single, nats-core, nats-core-single,
nats-jetstream, samestate; `single` sends each action in a message of its own";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let system = std::env::args().nth(1).unwrap_or_default();
    match &*system {
        "redis-streams" => protocol::run(over_log::<redis::Stream>(&redis::DURABLE)).await,
        "nats-jetstream" => protocol::run(over_log::<nats::JetStream>(&nats::JETSTREAM)).await,
        "redis-pubsub" => protocol::run(over_bus::<redis::PubSub>(&redis::VOLATILE, false)).await,
        "redis-pubsub-single" => {
            protocol::run(over_bus::<redis::PubSub>(&redis::VOLATILE, true)).await
        }
        "nats-core" => protocol::run(over_bus::<nats::Core>(&nats::CORE, false)).await,
        "nats-core-single" => protocol::run(over_bus::<nats::Core>(&nats::CORE, true)).await,
        "samestate" => protocol::run(samestate::Samestate::open).await,
        _ => {
            eprintln!("{USAGE}");
            std::process::exit(2);
        }
    }
}

/// A node of a system with a broker.
struct Replicas {
    stores: BTreeMap<String, Store>,
    brokers: Brokers,
}

struct Store {
    replica: Arc<Replica>,
    outbox: mpsc::Sender<Entry>,
    following: JoinHandle<()>,
}

fn over_log<L: Log>(
    kind: &'static Kind,
) -> impl AsyncFnOnce(Init, Node) -> anyhow::Result<Replicas> {
    async move |init, node| {
        for store in &init.stores {
            // A log holds actions. Those of the reducer `replace` are whole states.
            let states = store.mode == "snapshot" && store.reducer != "replace";
            ensure!(!states, "a log holds actions: it has no mode snapshot");
        }
        Replicas::open(init, node, kind, |replica, address, outbox| {
            tokio::spawn(log::follow::<L>(replica, address, outbox))
        })
        .await
    }
}

fn over_bus<B: Bus>(
    kind: &'static Kind,
    single: bool,
) -> impl AsyncFnOnce(Init, Node) -> anyhow::Result<Replicas> {
    async move |init, node| {
        let topics = Arc::new(Topics::new(&init.node, single));
        Replicas::open(init, node, kind, |replica, address, outbox| {
            tokio::spawn(bus::follow::<B>(replica, address, outbox, Arc::clone(&topics)))
        })
        .await
    }
}

impl Replicas {
    async fn open(
        init: Init,
        node: Node,
        kind: &Kind,
        follow: impl Fn(Arc<Replica>, Arc<Address>, mpsc::Receiver<Entry>) -> JoinHandle<()>,
    ) -> anyhow::Result<Self> {
        for store in &init.stores {
            ensure!(store.mode != "delta", "only Samestate has the mode delta");
        }
        let brokers = Brokers::open(&init, kind).await?;
        let mut stores = BTreeMap::new();
        for replica in Replica::open_all(&init.stores, &node)? {
            let name = replica.spec.name.to_string();
            let address = brokers.addresses.get(&name).context("a store without a link")?;
            let (outbox, taken) = mpsc::channel(WAITING_MAX);
            let following = follow(Arc::clone(&replica), Arc::clone(address), taken);
            stores.insert(name, Store { replica, outbox, following });
        }
        Ok(Replicas { stores, brokers })
    }

    fn store(&self, name: &str) -> anyhow::Result<&Store> {
        self.stores.get(name).with_context(|| format!("no store {name}"))
    }
}

impl Adapter for Replicas {
    fn dispatch(&mut self, store: &str, actions: Vec<Numbered>) -> anyhow::Result<()> {
        let Store { replica, outbox, .. } = self.store(store)?;
        for Numbered { id, action } in actions {
            let Some(entry) = replica.dispatch(id, &action)? else { continue };
            if let Err(full) = outbox.try_send(entry) {
                replica.give_up(&full.into_inner().id, "too many dispatches wait");
            }
        }
        Ok(())
    }

    fn with_state(&self, store: &str, tell: impl FnOnce(&Value)) -> anyhow::Result<()> {
        self.store(store)?.replica.with_state(tell)
    }

    async fn stop(self) {
        for store in self.stores.values() {
            store.following.abort();
        }
        self.brokers.stop().await;
    }
}
