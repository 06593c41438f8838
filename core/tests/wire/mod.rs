//! A slow wire: a proxy on this machine that passes on so many bytes a second each way, and holds
//! few.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, tcp};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

/// The number of bytes that the system may hold on each side of the proxy.
const BUFFER_BYTES: u32 = 16 << 10;
/// The number of bytes that are passed on at once.
const PART_BYTES: usize = 2 << 10;

/// The wire to a server of this machine. Dropped, it is cut.
pub(crate) struct Wire {
    port: u16,
    bytes_per_s: watch::Sender<u64>,
    connections: watch::Receiver<usize>,
    task: AbortHandle,
}

impl Wire {
    /// A wire to the server at this port, which moves so many bytes a second each way; with 0 none
    /// moves.
    pub(crate) async fn to(server: u16, bytes_per_s: u64) -> Wire {
        let socket = socket().expect("a socket");
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("it binds");
        let listener = socket.listen(16).expect("it listens");
        let port = listener.local_addr().expect("it is bound").port();
        let (bytes_per_s, rate) = watch::channel(bytes_per_s);
        let (count, connections) = watch::channel(0);
        let server = (Ipv4Addr::LOCALHOST, server).into();
        let task = tokio::spawn(carry(listener, server, rate, count)).abort_handle();
        Wire { port, bytes_per_s, connections, task }
    }

    /// Returns the address that a client connects to.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Changes the rate.
    pub(crate) fn set_rate(&self, bytes_per_s: u64) {
        self.bytes_per_s.send_replace(bytes_per_s);
    }

    /// Returns the number of connections so far.
    pub(crate) fn connections(&self) -> usize {
        *self.connections.borrow()
    }

    /// Waits until there were so many connections.
    pub(crate) async fn has_carried(&self, connections: usize) {
        let mut count = self.connections.clone();
        count.wait_for(|count| *count >= connections).await.expect("the wire is there");
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn socket() -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(BUFFER_BYTES)?;
    socket.set_send_buffer_size(BUFFER_BYTES)?;
    Ok(socket)
}

async fn carry(
    listener: TcpListener,
    server: SocketAddr,
    rate: watch::Receiver<u64>,
    count: watch::Sender<usize>,
) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        count.send_modify(|count| *count += 1);
        connections.spawn(connect(client, server, rate.clone()));
    }
}

async fn connect(client: TcpStream, server: SocketAddr, rate: watch::Receiver<u64>) {
    let Ok(server) = async { socket()?.connect(server).await }.await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // Cut in one direction, it is cut in both.
    tokio::select! {
        () = pump(from_client, to_server, rate.clone()) => {}
        () = pump(from_server, to_client, rate) => {}
    }
}

async fn pump(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    mut rate: watch::Receiver<u64>,
) {
    let mut part = [0; PART_BYTES];
    let mut free_at = Instant::now();
    loop {
        let Ok(read @ 1..) = from.read(&mut part).await else { return };
        let Ok(rate) = rate.wait_for(|rate| *rate > 0).await.map(|rate| *rate) else { return };
        free_at =
            free_at.max(Instant::now()) + Duration::from_secs(1).mul_f64(read as f64 / rate as f64);
        tokio::time::sleep_until(free_at).await;
        if to.write_all(&part[..read]).await.is_err() {
            return;
        }
    }
}
