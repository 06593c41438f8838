//! A server under a steady load, and a follower that says how far behind it is: what
//! `scripts/slow-link` runs at the two ends of a slow line.
//!
//! ```text
//! slow_link serve ADDRESS STATE_BYTES LOAD_BYTES_PER_S ACTION_BYTES
//! slow_link follow ADDRESS STALE_MS_MAX SECONDS
//! ```
//!
//! `serve` prints the latency of its own dispatches each second. `follow` prints when it came in
//! sync, and when it had caught up; from then on for so many seconds how old its newest action is,
//! and fails if that is ever over the bound.

use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use samestate::state::List;
use samestate::{ClientConfig, Mode, ServerConfig, StoreBuilder, create_store};
use serde::{Deserialize, Serialize};

/// The state is that many bytes in parts of this size, one of which each action replaces.
const PART_BYTES: usize = 1_000;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Log {
    parts: List<String>,
    /// The time of the newest dispatch, in milliseconds since 1970.
    newest_ms: u64,
    count: usize,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Line {
    sent_ms: u64,
    text: String,
}

fn write(log: &mut Log, line: &Line) {
    log.newest_ms = line.sent_ms;
    if !log.parts.is_empty() {
        log.parts.set(log.count % log.parts.len(), line.text.clone());
    }
    log.count += 1;
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

fn log(began: Instant) -> StoreBuilder<Log, Line> {
    create_store("log", write)
        .mode(Mode::Action)
        .on_error(move |event| println!("{:7.2} s {event}", began.elapsed().as_secs_f64()))
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["serve", address, state_bytes, load, action_bytes] => {
            serve(address, state_bytes.parse()?, load.parse()?, action_bytes.parse()?).await
        }
        ["follow", address, stale_ms_max, seconds] => {
            follow(address, stale_ms_max.parse()?, Duration::from_secs(seconds.parse()?)).await
        }
        _ => anyhow::bail!(
            "slow_link serve ADDRESS STATE_BYTES LOAD_BYTES_PER_S ACTION_BYTES, or slow_link \
             follow ADDRESS STALE_MS_MAX SECONDS"
        ),
    }
}

async fn serve(
    address: &str,
    state_bytes: usize,
    load_bytes_per_s: f64,
    action_bytes: usize,
) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let part = || "p".repeat(PART_BYTES);
    let parts = (0..state_bytes / PART_BYTES).map(|_| part()).collect();
    let store = log(began).preloaded(Log { parts, ..Log::default() }).open().await?;
    let _serving = store.create_server(ServerConfig::tcp(address)).await?;
    let every = Duration::from_secs(1).mul_f64(action_bytes as f64 / load_bytes_per_s);
    let mut ticks = tokio::time::interval(every);
    let (mut second, mut latencies, mut refused) = (Instant::now(), Vec::new(), 0);
    loop {
        ticks.tick().await;
        let line = Line { sent_ms: now_ms(), text: "a".repeat(action_bytes) };
        let sent = Instant::now();
        match store.dispatch(line).await {
            Ok(_) => latencies.push(sent.elapsed().as_micros()),
            Err(_) => refused += 1,
        }
        if second.elapsed() >= Duration::from_secs(1) {
            latencies.sort_unstable();
            let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
            let (count, seconds) = (latencies.len(), began.elapsed().as_secs_f64());
            match count {
                0 => println!("{seconds:7.2} s dispatches: 0 ok, {refused} refused"),
                _ => println!(
                    "{seconds:7.2} s dispatches: {count} ok, {refused} refused; p50 {} us, p99 {} \
                     us, max {} us",
                    at(0.5),
                    at(0.99),
                    at(1.0)
                ),
            }
            (second, refused) = (Instant::now(), 0);
            latencies.clear();
        }
    }
}

async fn follow(address: &str, stale_ms_max: u64, lasts: Duration) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let client = ClientConfig::tcp(address).backoff_max(Duration::from_millis(500));
    let store = log(began).client(client).open_timeout(Duration::from_secs(900)).open().await?;
    println!("{:7.2} s in sync", began.elapsed().as_secs_f64());
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let age_ms = || now_ms().saturating_sub(store.read(|log| log.newest_ms));
    // What came while the state was on its way follows it.
    while age_ms() > stale_ms_max && began.elapsed() < Duration::from_secs(900) {
        ticks.tick().await;
    }
    println!("{:7.2} s has caught up", began.elapsed().as_secs_f64());
    let (joined, mut stale, mut disconnected) = (Instant::now(), Vec::new(), 0);
    while joined.elapsed() < lasts {
        ticks.tick().await;
        stale.push(age_ms());
        disconnected += usize::from(!store.is_connected());
    }
    stale.sort_unstable();
    let at = |share: f64| stale[((stale.len() - 1) as f64 * share) as usize];
    let (samples, max) = (stale.len(), at(1.0));
    println!(
        "{:7.2} s {samples} samples, {disconnected} of them not in sync; the newest action was p50 \
         {} ms, p99 {} ms, at most {max} ms old",
        began.elapsed().as_secs_f64(),
        at(0.5),
        at(0.99)
    );
    Ok(if max > stale_ms_max || disconnected > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
