//! A server in a process of its own, and 10,000 strangers in another that all stay connected: what
//! the server's process then holds, and whether clients with a password are still served.
//!
//! This very program is that server, when it is told so by its environment.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use samestate::{ClientConfig, Mode, ServerConfig, Store, StoreBuilder, create_store};
use samestate_proto::wire::{FRAME_HEADER_BYTES, begin_frame, finish_frame};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

const CHILD: &str = "SAMESTATE_TEST_SERVER";
const STRANGERS: usize = 10_000;
/// The default numbers of connections that a server allows at a time, in all and from one address.
const PLACES: usize = 256;
const PLACES_PER_ADDRESS: usize = 64;
const DEADLINE: Duration = Duration::from_secs(20);
const KIB: usize = 1024;

fn sum() -> StoreBuilder<u64, u64> {
    create_store("sum", |sum: &mut u64, by: &u64| *sum += by).mode(Mode::Action).on_error(|_| {})
}

/// The child: serves until its standard input is closed.
async fn child() -> Result<(), Box<dyn std::error::Error>> {
    let store = sum().open().await?;
    // Longer than the test: nobody leaves by being late.
    let server = ServerConfig::tcp("127.0.0.1:0")
        .login("app", "secret")
        .login_rounds(4096)
        .login_within(DEADLINE * 10);
    let serving = store.create_server(server).await?;
    println!("{}", serving.address());
    std::io::stdout().flush()?;
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    Ok(())
}

struct Served {
    process: Child,
    address: SocketAddr,
}

impl Served {
    fn start() -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
        command.env(CHILD, "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("it starts");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("it is text");
        let address = line.trim().parse().expect("it says where it listens");
        Served { process, address }
    }

    /// The memory of its process that is in use now, in bytes.
    fn resident_bytes(&self) -> usize {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.process.id()));
        let statm = statm.expect("this is Linux, and it lives");
        let pages: Option<usize> = statm.split(' ').nth(1).and_then(|word| word.parse().ok());
        pages.expect("pages") * rustix::param::page_size()
    }

    /// Returns the number of files and sockets that the process has open.
    fn descriptors(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.process.id()));
        open.expect("this is Linux, and it lives").count()
    }

    async fn client(&self) -> Store<u64, u64> {
        let client = ClientConfig::tcp(self.address.to_string()).login("app", "secret");
        let client = client.backoff_max(Duration::from_millis(500));
        let opened = tokio::time::timeout(DEADLINE, sum().client(client).open()).await;
        opened.expect("it is let in before the deadline").expect("it comes in sync")
    }

    async fn stranger(&self, from: Ipv4Addr) -> TcpStream {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from((from, 0))).expect("all of 127/8 is this machine's");
        let connected = tokio::time::timeout(DEADLINE, socket.connect(self.address)).await;
        connected.expect("before the deadline").expect("it connects")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The longest frame that a stranger may begin, but for its last byte.
fn all_but_a_byte() -> Vec<u8> {
    let mut frame = Vec::new();
    let start = begin_frame(&mut frame, 0, 1);
    frame.resize(FRAME_HEADER_BYTES + 4096, 7);
    finish_frame(&mut frame, start);
    frame.pop();
    frame
}

/// The `number`th of so many addresses.
fn address(number: usize, addresses: usize) -> Ipv4Addr {
    let at = number % addresses;
    Ipv4Addr::new(127, 1, (at / 250) as u8, (at % 250) as u8 + 1)
}

/// All of them connect and stay; every other one sends as much as it can. Meanwhile and afterwards
/// clients are served.
async fn flood(server: &Served, good: &Store<u64, u64>, addresses: usize, before: usize) {
    let mut strangers = Vec::new();
    for number in 0..STRANGERS {
        let mut stranger = server.stranger(address(number, addresses)).await;
        if number % 2 == 0 {
            // One that was turned away already may be unable to.
            let _ = stranger.write_all(&all_but_a_byte()).await;
        }
        strangers.push(stranger);
        if number % 100 == 0 {
            applied(good).await;
        }
    }
    let newcomer = server.client().await;
    applied(&newcomer).await;
    applied(good).await;
    let grown = server.resident_bytes().saturating_sub(before);
    let open = server.descriptors();
    println!(
        "{} strangers from {addresses} addresses: {} KiB more than without, {open} descriptors",
        strangers.len(),
        grown / KIB
    );
    assert!(grown <= PLACES * 64 * KIB, "{grown} bytes");
    assert!(open <= PLACES + 64, "{open} descriptors");
    drop(strangers);
}

async fn applied(client: &Store<u64, u64>) {
    let outcome = tokio::time::timeout(DEADLINE, client.dispatch(1)).await;
    outcome.expect("before the deadline").expect("it is applied");
}

/// All places are taken, each by as much as a stranger can leave there before its login.
async fn filled(server: &Served) {
    let before = server.resident_bytes();
    let mut strangers = Vec::new();
    for number in 0..PLACES {
        let mut stranger = server.stranger(address(number / PLACES_PER_ADDRESS, 4)).await;
        stranger.write_all(&all_but_a_byte()).await.expect("it has a place");
        strangers.push(stranger);
    }
    // It is served behind them: what they sent was read by then, or is about to be.
    let newcomer = server.client().await;
    applied(&newcomer).await;
    let each = server.resident_bytes().saturating_sub(before) / PLACES;
    println!("{PLACES} strangers with all but a byte of a frame: {} KiB each", each / KIB);
    assert!(each <= 32 * KIB, "{each} bytes each");
}

async fn strangers_keep_nobody_out() {
    let server = Served::start();
    let good = server.client().await;
    applied(&good).await;
    let before = server.resident_bytes();
    filled(&server).await;
    // From few addresses, each with as many places as it may have; and from more than there are
    // places.
    flood(&server, &good, 40, before).await;
    flood(&server, &good, 2_500, before).await;
}

fn may_open(files: u64) {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < files) {
        limit.current = Some(files);
        setrlimit(Resource::Nofile, limit).unwrap_or_else(|error| {
            panic!(
                "this test opens {files} files at once, and the system allows {:?} ({error}): \
                 raise the hard limit with `ulimit -Hn {files}`",
                limit.maximum
            )
        });
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    if std::env::var(CHILD).is_ok() {
        let outcome = runtime.block_on(child());
        std::process::exit(i32::from(outcome.is_err()));
    }
    may_open(12_000);
    println!("strangers, however many, cost little and keep no client out");
    runtime.block_on(strangers_keep_nobody_out());
}
