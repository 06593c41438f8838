//! A relay of bytes between a client and a server, that can look at them, spoil one, and cut.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

/// The bytes that pass through, and the faults to apply to them.
#[derive(Default)]
struct Passing {
    bytes: Vec<u8>,
    /// Spoil the next chunk from the server of at least this many bytes.
    spoil: Option<usize>,
    spoiled: usize,
}

/// Listens at a path of its own and passes on to the server's.
pub(super) struct Proxy {
    path: PathBuf,
    passing: Arc<Mutex<Passing>>,
    cut: watch::Sender<u64>,
}

impl Proxy {
    pub(super) fn before(server: &Path, path: PathBuf) -> Self {
        let listener = UnixListener::bind(&path).expect("it listens");
        let (passing, server) = (Arc::new(Mutex::new(Passing::default())), server.to_owned());
        let (cut, cutting) = watch::channel(0);
        let seen = Arc::clone(&passing);
        tokio::spawn(async move {
            while let Ok((guest, _)) = listener.accept().await {
                let Ok(host) = UnixStream::connect(&server).await else { continue };
                let (from_guest, to_guest) = guest.into_split();
                let (from_host, to_host) = host.into_split();
                tokio::spawn(pass(from_guest, to_host, Arc::clone(&seen), false, cutting.clone()));
                tokio::spawn(pass(from_host, to_guest, Arc::clone(&seen), true, cutting.clone()));
            }
        });
        Proxy { path, passing, cut }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// All bytes so far, of both ways.
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.passing.lock().bytes.clone()
    }

    pub(super) fn forget(&self) {
        self.passing.lock().bytes.clear();
    }

    /// Flips a bit in the last byte of the next chunk from the server of this length at least.
    pub(super) fn spoil_next(&self, bytes_min: usize) {
        self.passing.lock().spoil = Some(bytes_min);
    }

    pub(super) fn spoiled(&self) -> usize {
        self.passing.lock().spoiled
    }

    /// Ends all connections that there are.
    pub(super) fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    passing: Arc<Mutex<Passing>>,
    from_server: bool,
    mut cut: watch::Receiver<u64>,
) {
    let mut buffer = vec![0; 64 * 1024];
    cut.mark_unchanged();
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read.unwrap_or(0),
            _ = cut.changed() => 0,
        };
        if read == 0 {
            return;
        }
        let chunk = &mut buffer[..read];
        {
            let mut passing = passing.lock();
            passing.bytes.extend_from_slice(chunk);
            if from_server && passing.spoil.is_some_and(|bytes_min| read >= bytes_min) {
                chunk[read - 1] ^= 1;
                passing.spoil = None;
                passing.spoiled += 1;
            }
        }
        if to.write_all(chunk).await.is_err() {
            return;
        }
    }
}
