//! The floor: each action as bytes on blocking sockets, from one process to the others. No bytes
//! are checked, nothing is kept, and nobody may come later.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Figures, Load, cpu};

/// The bytes of one action.
const ACTION: [u8; 40] = [7; 40];

/// In a storm, so many actions are written at once.
const BATCH: usize = 64;

/// The variable that makes this program a reader.
const READER: &str = "SAMESTATE_BENCH_READER";

/// Runs a case, or a reader of it.
pub(crate) fn run(load: Load, span: Duration) {
    if let Ok(address) = std::env::var(READER) {
        return read(&address);
    }
    let readers = match load {
        Load::Idle { workers } | Load::Paced { workers, .. } => workers,
        Load::Storm { clients } => clients,
    };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it listens").to_string();
    let mut children: Vec<Child> = (0..readers).map(|_| reader(&address)).collect();
    let mut streams: Vec<TcpStream> = (0..readers)
        .map(|_| {
            let (stream, _) = listener.accept().expect("a reader connects");
            stream.set_nodelay(true).expect("a socket");
            stream
        })
        .collect();
    let mut pids: Vec<u32> = children.iter().map(Child::id).collect();
    pids.push(std::process::id());
    let (began, before) = (Instant::now(), cpu::of(&pids));
    let actions = match load {
        Load::Idle { .. } => {
            thread::sleep(span);
            0
        }
        Load::Paced { rate, .. } => paced(&mut streams, rate, span),
        Load::Storm { .. } => storm(&mut streams, span),
    };
    for stream in &streams {
        stream.shutdown(Shutdown::Write).expect("a socket");
    }
    // Each reader says when it has read all, and then waits: it is still there to be measured.
    let reports: Vec<u64> = children
        .iter_mut()
        .map(|child| {
            let mut line = String::new();
            let output = child.stdout.as_mut().expect("it is piped");
            BufReader::new(output).read_line(&mut line).expect("a reader answers");
            line.trim().parse().expect("a number of bytes")
        })
        .collect();
    let seconds = began.elapsed().as_secs_f64();
    let usage = cpu::of(&pids) - before;
    for read in reports {
        assert_eq!(read, actions * ACTION.len() as u64, "a reader has read all");
    }
    for mut child in children {
        drop(child.stdin.take());
        child.wait().expect("a reader ends");
    }
    Figures { actions, seconds, usage }.print();
}

fn paced(streams: &mut [TcpStream], rate: f64, span: Duration) -> u64 {
    let (began, count) = (Instant::now(), (span.as_secs_f64() * rate) as u64);
    for n in 0..count {
        let due = began + Duration::from_secs_f64(n as f64 / rate);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        for stream in &mut *streams {
            stream.write_all(&ACTION).expect("a reader reads");
        }
    }
    count
}

fn storm(streams: &mut [TcpStream], span: Duration) -> u64 {
    let (began, batch) = (Instant::now(), ACTION.repeat(BATCH));
    let mut actions = 0;
    while began.elapsed() < span {
        for stream in &mut *streams {
            stream.write_all(&batch).expect("a reader reads");
        }
        actions += BATCH as u64;
    }
    actions
}

fn reader(address: &str) -> Child {
    let program = std::env::current_exe().expect("this program");
    Command::new(program)
        .args(std::env::args_os().skip(1))
        .env(READER, address)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a reader starts")
}

fn read(address: &str) {
    let mut stream = TcpStream::connect(address).expect("the writer listens");
    let (mut buffer, mut read) = (vec![0; 64 << 10], 0_u64);
    loop {
        match stream.read(&mut buffer).expect("the writer writes") {
            0 => break,
            bytes => read += bytes as u64,
        }
    }
    println!("{read}");
    let _ = std::io::stdin().read(&mut buffer);
}
