//! A log of a whole cluster: a store that holds the newest record, to which a master, its workers
//! and clients elsewhere dispatch. Started with `-v`, it prints every record in its colour.
//!
//!     cargo run --release -p samestate --example logger -- -v
//!
//! Beside it, `-- --client 127.0.0.1:10001 -v` is a client, and `samestate attach 127.0.0.1:10001
//! --store log --login admin` a console in the running store.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use samestate::{Change, ClientConfig, Cluster, Mode, ServerConfig, Store, Subscription};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};

const HELP: &str = "\
logger: one log for a master, its workers, and clients elsewhere

Usage: logger [-v] [--workers N] [--every MS] [--server ADDRESS | --client ADDRESS]

  -v                 print every record, in its colour on a terminal
  --workers N        how many workers log beside the master [default: 2]
  --every MS         how often each process logs, in milliseconds; 0: never [default: 1000]
  --server ADDRESS   serve clients at host:port or unix:PATH [default: 127.0.0.1:10001]
  --client ADDRESS   be a client of the logger there, without workers

The login is `admin`, the password that of the environment variable SAMESTATE_PASSWORD, or
`example`. Ctrl-C ends it.";

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Type {
    #[default]
    Log,
    Warn,
    Error,
    Http,
    Debug,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Record {
    r#type: Type,
    text: String,
}

/// The state is the newest record; an action is the next.
fn reduce(newest: &mut Record, record: &Record) {
    newest.clone_from(record);
}

struct Options {
    verbose: bool,
    workers: usize,
    every: Duration,
    address: String,
    client: bool,
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let (address, every) = ("127.0.0.1:10001".into(), Duration::from_secs(1));
    let mut options = Options { verbose: false, workers: 2, every, address, client: false };
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} needs a value"));
        let number = |text: String| text.parse().map_err(|_| format!("{arg}: {text} is no number"));
        match &*arg {
            "-v" => options.verbose = true,
            "--workers" => options.workers = number(value()?)? as usize,
            "--every" => options.every = Duration::from_millis(number(value()?)?),
            "--server" => options.address = value()?,
            "--client" => (options.client, options.address) = (true, value()?),
            _ => return Err(format!("unknown argument {arg}")),
        }
    }
    Ok(options)
}

fn print(store: &Store<Record, Record>) -> Subscription {
    let colours = std::env::var_os("NO_COLOR").is_none() && std::io::stdout().is_terminal();
    store.subscribe(move |change| {
        let Change::Applied { action, .. } = change else { return };
        let (name, colour) = match action.r#type {
            Type::Log => ("LOG  ", "\x1b[32m"),
            Type::Warn => ("WARN ", "\x1b[33m"),
            Type::Error => ("ERROR", "\x1b[31m"),
            Type::Http => ("HTTP ", "\x1b[36m"),
            Type::Debug => ("DEBUG", "\x1b[90m"),
        };
        let (begin, end) = if colours { (colour, "\x1b[0m") } else { ("", "") };
        // That nobody reads any more is no reason to stop logging.
        let _ = writeln!(std::io::stdout(), "{begin}{name}{end} {}", action.text);
    })
}

async fn log_on(store: Store<Record, Record>, who: String, every: Duration) {
    let types = [Type::Log, Type::Http, Type::Debug, Type::Warn, Type::Error];
    for (number, r#type) in types.into_iter().cycle().enumerate() {
        let text = format!("record {number} of {who}");
        if let Err(error) = store.dispatch(Record { r#type, text }).await {
            eprintln!("{who}: {error}");
        }
        tokio::time::sleep(every).await;
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (words, code) = match options(std::env::args().skip(1)) {
        _ if std::env::args().any(|arg| arg == "--help") => return println!("{HELP}"),
        Err(error) => (format!("{error}\n\n{HELP}"), 2),
        Ok(options) => match run(options).await {
            Ok(()) => return,
            Err(error) => (format!("{error:#}"), 1),
        },
    };
    eprintln!("error: {words}");
    std::process::exit(code);
}

async fn run(options: Options) -> anyhow::Result<()> {
    let password = std::env::var("SAMESTATE_PASSWORD").unwrap_or_else(|_| "example".into());
    let cluster = Cluster::join()?; // the first process is the master, those it forks are workers
    // Ctrl-C reaches the workers too: they leave it to the master, and end with it.
    let (mut ctrl_c, mut end) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut store = cluster.create_store("log", reduce).mode(Mode::Action);
    if options.client {
        store = store.client(ClientConfig::tcp(&options.address).login("admin", &password));
    }
    let store = store.open().await?;
    let _printing = (options.verbose && cluster.is_master()).then(|| print(&store));
    let who = format!("{}, process {}", store.roles()[0], std::process::id());
    if cluster.is_master() && !options.client {
        store.create_server(ServerConfig::tcp(&options.address).login("admin", &password)).await?;
        cluster.fork(options.workers)?;
    }
    if !options.every.is_zero() {
        tokio::spawn(log_on(store.clone(), who, options.every));
    }
    if !cluster.is_master() {
        cluster.master_gone().await;
        return Ok(());
    }
    tokio::select! {
        _ = ctrl_c.recv() => {}
        _ = end.recv() => {}
    }
    Ok(cluster.close(Duration::from_secs(2)).await?)
}
