//! Redis: Streams as a log, and Pub/Sub as a bus.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use futures_util::StreamExt;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo,
};
use tokio::process::Command;
use tokio::sync::mpsc;

use crate::broker::{Address, Kind, Place};
use crate::bus::Bus;
use crate::log::{Log, Writer};
use crate::replica::{Entry, Snapshot};

/// A connection that answers nothing for this long is lost.
const RESPONSE_MAX: Duration = Duration::from_secs(3);

/// An empty read returns after this long.
const BLOCK_MS: u64 = 1000;

/// The number of entries that are read together.
const READ_MAX: usize = 1024;

const MISSING: &str = "install Debian's redis-server with: scripts/peers setup";

/// A server for Streams, which are to outlive it: the append-only file is synced each second, as
/// the documentation recommends.
pub const DURABLE: Kind = Kind {
    command: |folder, place| {
        let mut command = server(folder, place);
        command.args(["--appendonly", "yes", "--appendfsync", "everysec"]);
        Ok(command)
    },
    unix: true,
    missing: MISSING,
};

/// A server for Pub/Sub, of which nothing is kept.
pub const VOLATILE: Kind =
    Kind { command: |folder, place| Ok(server(folder, place)), unix: true, missing: MISSING };

fn server(folder: &str, place: &Place) -> Command {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--save", "", "--loglevel", "warning", "--dir", folder]);
    command.args(["--port", &place.tcp.unwrap_or_default().to_string()]);
    if let Some(path) = &place.unix {
        command.args(["--unixsocket", path, "--unixsocketperm", "700"]);
    }
    if let Some(login) = &place.login {
        command.args(["--user", &login.name, "on", &format!(">{}", login.password)]);
        command.args(["~*", "&*", "+@all", "--user", "default", "off"]);
    }
    command
}

fn client(address: &Address) -> anyhow::Result<Client> {
    let place = address.place()?;
    let at = match place.unix {
        Some(path) => ConnectionAddr::Unix(path.into()),
        None => ConnectionAddr::Tcp("127.0.0.1".into(), place.tcp.context("no port")?),
    };
    let mut info = RedisConnectionInfo::default();
    if let Some(login) = place.login {
        info = info.set_username(login.name).set_password(login.password);
    }
    let info = at.into_connection_info()?.set_redis_settings(info);
    Ok(Client::open(info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))?)
}

async fn connection(client: &Client) -> anyhow::Result<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(RESPONSE_MAX))
        .set_response_timeout(Some(RESPONSE_MAX));
    Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
}

/// A stream whose ids are `0-1`, `0-2` and so on.
pub struct Stream {
    connection: MultiplexedConnection,
    key: String,
}

/// Appends to a stream.
pub struct StreamWriter(Stream);

/// The reply of XREAD: streams, with their entries, with their fields.
type Read = Option<Vec<(String, Vec<(String, Vec<Vec<u8>>)>)>>;

impl Log for Stream {
    type Writer = StreamWriter;

    const DEDUPLICATES: bool = false;

    async fn connect(address: &Address, store: &str) -> anyhow::Result<(StreamWriter, Self)> {
        let client = client(address)?;
        let stream = async || {
            let key = store.to_owned();
            anyhow::Ok(Stream { connection: connection(&client).await?, key })
        };
        Ok((StreamWriter(stream().await?), stream().await?))
    }

    async fn tail(&mut self) -> anyhow::Result<u64> {
        let newest: Vec<(String, Vec<Vec<u8>>)> = redis::cmd("XREVRANGE")
            .arg(&self.key)
            .arg(&["+", "-", "COUNT", "1"])
            .query_async(&mut self.connection)
            .await?;
        newest.first().map_or(Ok(0), |(id, _)| number(id))
    }

    async fn read(&mut self, after: u64) -> anyhow::Result<Vec<(u64, Entry)>> {
        let read: Read = redis::cmd("XREAD")
            .arg("COUNT")
            .arg(READ_MAX)
            .arg("BLOCK")
            .arg(BLOCK_MS)
            .arg("STREAMS")
            .arg(&self.key)
            .arg(format!("0-{after}"))
            .query_async(&mut self.connection)
            .await?;
        let entries = read.into_iter().flatten().flat_map(|(_, entries)| entries);
        let entries = entries.map(|(id, fields)| {
            let [_, dispatch, _, action] = <[Vec<u8>; 4]>::try_from(fields)
                .ok()
                .with_context(|| format!("the entry {id} has other fields"))?;
            Ok((number(&id)?, Entry { id: String::from_utf8(dispatch)?, action }))
        });
        entries.collect()
    }

    async fn load(&mut self) -> anyhow::Result<Option<Snapshot>> {
        let saved: Option<Vec<u8>> = redis::cmd("GET")
            .arg(format!("{}:snapshot", self.key))
            .query_async(&mut self.connection)
            .await?;
        Ok(saved.map(|saved| rmp_serde::from_slice(&saved)).transpose()?)
    }

    async fn save(&mut self, snapshot: &Snapshot, keep_from: u64) -> anyhow::Result<()> {
        let () = redis::pipe()
            .atomic()
            .cmd("SET")
            .arg(format!("{}:snapshot", self.key))
            .arg(rmp_serde::to_vec(snapshot)?)
            .ignore()
            .cmd("XTRIM")
            .arg(&self.key)
            .arg(&["MINID", "~"])
            .arg(format!("0-{keep_from}"))
            .ignore()
            .query_async(&mut self.connection)
            .await?;
        Ok(())
    }
}

/// The position of an entry: `0-7` is number 7.
fn number(id: &str) -> anyhow::Result<u64> {
    let number = id.strip_prefix("0-").and_then(|number| number.parse().ok());
    number.with_context(|| format!("the stream has an entry {id} of somebody else"))
}

impl Writer for StreamWriter {
    async fn append(&mut self, entries: &[Entry]) -> anyhow::Result<()> {
        let Stream { connection, key } = &mut self.0;
        let mut pipe = redis::pipe();
        for entry in entries {
            pipe.cmd("XADD").arg(&**key).arg("0-*").arg("i").arg(&entry.id);
            pipe.arg("a").arg(&*entry.action).ignore();
        }
        let () = pipe.query_async(connection).await?;
        Ok(())
    }
}

/// A publisher, beside a connection that is subscribed.
pub struct PubSub(MultiplexedConnection);

impl Bus for PubSub {
    async fn connect(
        address: &Address,
        topics: Vec<String>,
    ) -> anyhow::Result<(Self, mpsc::Receiver<Bytes>)> {
        let client = client(address)?;
        let connecting = async {
            let mut subscribed = client.get_async_pubsub().await?;
            for topic in topics {
                subscribed.subscribe(topic).await?;
            }
            anyhow::Ok(subscribed)
        };
        let subscribed = tokio::time::timeout(RESPONSE_MAX, connecting).await??;
        let (sender, inbox) = mpsc::channel(1024);
        tokio::spawn(async move {
            let mut messages = subscribed.into_on_message();
            while let Some(message) = messages.next().await {
                if sender.send(message.get_payload_bytes().to_vec().into()).await.is_err() {
                    return; // the session is over
                }
            }
        });
        Ok((PubSub(connection(&client).await?), inbox))
    }

    async fn publish(&mut self, messages: Vec<(String, Bytes)>) -> anyhow::Result<()> {
        let mut pipe = redis::pipe();
        for (topic, message) in &messages {
            pipe.cmd("PUBLISH").arg(topic).arg(&**message).ignore();
        }
        if !messages.is_empty() {
            let () = pipe.query_async(&mut self.0).await?;
        }
        Ok(())
    }
}
