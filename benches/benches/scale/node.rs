//! The roles of the processes of a run.

use std::io::BufRead;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use samestate::{
    ClientConfig, Mode, ServerConfig, Store, StoreBuilder, Subscription, create_store,
};
use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, sleep, sleep_until};

use crate::delays::{Delays, now_ns};
use crate::{APP, Failure, OPERATOR};

/// A state of the sum of all actions, each the instant at which it was made.
pub(crate) type Sum = Store<u64, u64>;

/// A role in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Orders the actions.
    Sequencer,
    /// A relay that can take the place of the sequencer.
    Standby,
    /// A client of the sequencer, and a server of others.
    Relay,
    /// Several clients.
    Clients,
}

fn sum() -> StoreBuilder<u64, u64> {
    let add = |sum: &mut u64, made_ns: &u64| *sum = sum.wrapping_add(*made_ns);
    create_store("sum", add).mode(Mode::Action).on_error(|_| {}).open_timeout(Duration::MAX)
}

fn client(servers: &[String]) -> ClientConfig {
    let client = ClientConfig::tcp(servers.to_vec()).login(APP.0, APP.1);
    client.login_within(Duration::from_secs(120)).backoff_max(Duration::from_secs(1))
}

fn server() -> ServerConfig {
    let server = ServerConfig::tcp("127.0.0.1:0").login(APP.0, APP.1);
    // All clients come at once, and from one address.
    let server = server.operator(OPERATOR.0, OPERATOR.1).login_rounds(4096);
    server.half_open_max(100_000).half_open_per_address_max(100_000).connections_max(100_000)
}

/// Runs a process of a run, until its input ends.
pub(crate) fn run(role: Role, servers: &[String], clients: usize) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        match role {
            Role::Clients => many(servers, clients).await,
            Role::Sequencer => serve(sum().open().await.expect("it opens")).await,
            Role::Standby | Role::Relay => {
                let store = match role {
                    Role::Standby => sum().standby(),
                    _ => sum(),
                };
                serve(store.client(client(servers)).open().await.expect("it opens")).await;
            }
        }
    });
}

/// Promotes the standby at this address.
pub(crate) fn promote(address: &str) -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let until = std::time::Instant::now() + Duration::from_secs(30);
    runtime.block_on(async {
        loop {
            let operator = ClientConfig::tcp(address).login(OPERATOR.0, OPERATOR.1);
            match operator.promote("sum").await {
                Ok(_) => return Ok(()),
                // It has not seen yet that the sequencer is gone.
                Err(_) if std::time::Instant::now() < until => {
                    sleep(Duration::from_millis(1)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    })
}

/// The lines that the process is told.
fn lines() -> UnboundedReceiver<String> {
    let (sender, lines) = unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Serves a store, and dispatches as it is told.
async fn serve(store: Sum) {
    let server = store.create_server(server()).await.expect("it listens");
    println!("listening {}", server.address());
    let mut lines = lines();
    while let Some(line) = lines.recv().await {
        let words: Vec<_> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<f64>().expect("a number");
        match words[0] {
            "paced" => {
                let begun = Instant::now();
                for n in 0..number(2) as u64 {
                    sleep_until(begun + Duration::from_secs_f64(n as f64 / number(1))).await;
                    store.dispatch(now_ns()).await.expect("it applies");
                }
            }
            "burst" => {
                let actions = std::iter::repeat_with(now_ns).take(number(1) as usize);
                for outcome in store.dispatch_many(actions).await {
                    outcome.expect("it applies");
                }
            }
            other => panic!("what is {other:?}?"),
        }
        println!("{}", store.version().seq);
    }
}

/// Several clients, each with a connection of its own.
async fn many(servers: &[String], count: usize) {
    let opening: Vec<_> =
        (0..count).map(|_| tokio::spawn(sum().client(client(servers)).open())).collect();
    let mut stores: Vec<Sum> = Vec::new();
    for store in opening {
        stores.push(store.await.expect("it goes on").expect("it comes in sync"));
    }
    let delays = Arc::<Delays>::default();
    let _told: Vec<Subscription> = stores.iter().map(|store| delays.of(store)).collect();
    println!("in sync");
    let mut lines = lines();
    while let Some(line) = lines.recv().await {
        if line == "delays" {
            println!("{}", delays.take());
            continue;
        }
        let seq: u64 = line.strip_prefix("reach ").expect("a version").parse().expect("a number");
        for store in &stores {
            let mut changes = store.watch();
            while store.version().seq < seq {
                changes.changed().await.expect("it is open");
            }
        }
        println!("reached");
    }
}
