//! Many replicas on one machine: clients of one server, and clients of relays below it.
//!
//! ```sh
//! cargo bench -p samestate-bench --bench scale
//! cargo bench -p samestate-bench --bench scale -- --clients 500 --relays 2
//! ```
//!
//! Each row of the table is a run of its own. The sequencer and each relay are processes, and the
//! clients share some processes, each client with a store and a connection of its own. The CPU is
//! that of all processes between the end of the start and the last action at all clients. With
//! relays, the sequencer is killed at the end, and the first relay, a standby, is promoted by an
//! operator's request.

#[path = "../processes/cpu.rs"]
mod cpu;
mod delays;
mod node;
mod process;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use node::Role;
use process::Process;

/// The processes that the clients share.
const CLIENT_PROCESSES: usize = 8;

/// The login of clients and relays, and that of the operator.
const APP: (&str, &str) = ("app", "secret");
const OPERATOR: (&str, &str) = ("ops", "other secret");

type Failure = Box<dyn std::error::Error>;

/// Measures many replicas on one machine.
#[derive(Clone, Debug, Parser)]
struct Options {
    /// Client connections
    #[arg(long, default_value_t = 2000)]
    clients: usize,
    /// Relays, in the row that has some
    #[arg(long, default_value_t = 4)]
    relays: usize,
    /// Actions a second of the paced load
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// Seconds of the paced load
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Actions of the burst
    #[arg(long, default_value_t = 2000)]
    burst: u64,
    /// Be one process of a run
    #[arg(long, hide = true)]
    role: Option<Role>,
    /// The servers of that process
    #[arg(long, hide = true)]
    server: Vec<String>,
    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// The figures of a row.
struct Row {
    name: String,
    joined: Duration,
    paced_cpu_us: f64,
    delay_p50: Duration,
    delay_p99: Duration,
    burst_rate: f64,
    burst_cpu_us: f64,
    server_bytes: u64,
    client_bytes: u64,
    takeover: Option<Duration>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if let Some(role) = options.role {
        node::run(role, &options.server, options.clients);
        return ExitCode::SUCCESS;
    }
    if !cfg!(target_os = "linux") {
        eprintln!("the CPU of processes is only measured on Linux");
        return ExitCode::SUCCESS;
    }
    let mut rows = Vec::new();
    for relays in [0, options.relays] {
        match measure(&options, relays) {
            Ok(row) => rows.push(row),
            Err(error) => {
                eprintln!("{relays} relays: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    print(&options, &rows);
    ExitCode::SUCCESS
}

fn measure(options: &Options, relays: usize) -> Result<Row, Failure> {
    let mut root = Process::start(Role::Sequencer, &[], 0)?;
    let at_root = root.says("listening")?;
    let mut servers = Vec::new();
    for number in 0..relays {
        let role = if number == 0 { Role::Standby } else { Role::Relay };
        // The others follow the standby when the sequencer is gone.
        let mut upstreams = vec![at_root.clone()];
        if let Some((_, standby)) = servers.first() {
            upstreams.push(String::clone(standby));
        }
        let mut relay = Process::start(role, &upstreams, 0)?;
        let address = relay.says("listening")?;
        servers.push((relay, address));
    }
    let began = Instant::now();
    let share = options.clients.div_ceil(CLIENT_PROCESSES);
    let mut clients = Vec::new();
    let mut left = options.clients;
    while left > 0 {
        let count = share.min(left);
        let at = match servers.len() {
            0 => &at_root,
            relays => &servers[clients.len() % relays].1,
        };
        clients.push(Process::start(Role::Clients, std::slice::from_ref(at), count)?);
        left -= count;
    }
    for client in &mut clients {
        client.says("in sync")?;
    }
    let joined = began.elapsed();
    let mut all: Vec<u32> =
        clients.iter().chain(servers.iter().map(|(relay, _)| relay)).map(Process::pid).collect();
    all.push(root.pid());

    let before = cpu::of(&all);
    let paced = (options.rate * options.seconds) as u64;
    let last = root.asks(&format!("paced {} {paced}", options.rate))?;
    reach(&mut clients, &last)?;
    let paced_usage = cpu::of(&all) - before;
    let mut delays = Vec::new();
    for client in &mut clients {
        let nanoseconds = client.asks("delays")?;
        delays.extend(nanoseconds.split(' ').filter_map(|each| each.parse::<u64>().ok()));
    }
    delays.sort_unstable();
    let quantile = |share: f64| {
        let at = ((delays.len().saturating_sub(1)) as f64 * share) as usize;
        Duration::from_nanos(delays.get(at).copied().unwrap_or_default())
    };

    let (before, begun) = (cpu::of(&all), Instant::now());
    let last = root.asks(&format!("burst {}", options.burst))?;
    reach(&mut clients, &last)?;
    let (burst_took, burst_usage) = (begun.elapsed(), cpu::of(&all) - before);
    let busiest = servers.iter().map(|(relay, _)| relay.rss_bytes()).max();
    let server_bytes = busiest.unwrap_or_else(|| root.rss_bytes());
    let client_bytes: u64 = clients.iter().map(Process::rss_bytes).sum();

    let takeover = match servers.first_mut() {
        None => None,
        Some((standby, address)) => {
            let begun = Instant::now();
            root.kill();
            node::promote(address)?;
            let last = standby.asks("burst 1")?;
            reach(&mut clients, &last)?;
            Some(begun.elapsed())
        }
    };
    Ok(Row {
        name: match relays {
            0 => format!("{} clients of one server", options.clients),
            _ => format!("{} clients of {relays} relays", options.clients),
        },
        joined,
        paced_cpu_us: paced_usage.cpu.as_secs_f64() * 1e6 / paced as f64 / options.clients as f64,
        delay_p50: quantile(0.5),
        delay_p99: quantile(0.99),
        burst_rate: (options.burst * options.clients as u64) as f64 / burst_took.as_secs_f64(),
        burst_cpu_us: burst_usage.cpu.as_secs_f64() * 1e6
            / options.burst as f64
            / options.clients as f64,
        server_bytes,
        client_bytes: client_bytes / options.clients as u64,
        takeover,
    })
}

/// Waits until all clients have applied the action with this number.
fn reach(clients: &mut [Process], seq: &str) -> Result<(), Failure> {
    for client in &mut *clients {
        client.tell(&format!("reach {seq}"))?;
    }
    for client in clients {
        client.says("reached")?;
    }
    Ok(())
}

fn print(options: &Options, rows: &[Row]) {
    let ms = |span: Duration| format!("{:.1} ms", span.as_secs_f64() * 1e3);
    let mb = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let line = |title: &str, value: &dyn Fn(&Row) -> String| {
        let values: Vec<_> = rows.iter().map(|row| format!("{:>28}", value(row))).collect();
        println!("  {title:44}{}", values.concat());
    };
    line("", &|row| row.name.clone());
    line("all in sync after", &|row| format!("{:.1} s", row.joined.as_secs_f64()));
    let paced = format!("CPU an action and client, {} actions/s", options.rate);
    line(&paced, &|row| format!("{:.2} us", row.paced_cpu_us));
    line("time until a client has an action, p50", &|row| ms(row.delay_p50));
    line("the same, p99", &|row| ms(row.delay_p99));
    let burst = format!("actions applied a second, burst of {}", options.burst);
    line(&burst, &|row| format!("{:.0}", row.burst_rate));
    line("CPU an action and client, burst", &|row| format!("{:.2} us", row.burst_cpu_us));
    line("memory of the largest server", &|row| mb(row.server_bytes));
    line("memory of a client", &|row| mb(row.client_bytes));
    let took = |row: &Row| row.takeover.map_or("-".to_owned(), ms);
    line("from kill -9 to the next action at all clients", &took);
}
