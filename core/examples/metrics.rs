//! A store and its client, what they measure, and what they log.
//!
//! ```sh
//! RUST_LOG=samestate=debug cargo run -p samestate --features prometheus --example metrics
//! curl http://127.0.0.1:9464/metrics
//! ```
//!
//! It dispatches until it is interrupted. `--once` scrapes itself once and ends.

use std::time::Duration;

use samestate::metrics::Exporter;
use samestate::{ClientConfig, Mode, ServerConfig, create_store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tracing_subscriber::EnvFilter;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "samestate=info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let once = std::env::args().any(|argument| argument == "--once");

    let add = |count: &mut i64, by: &i64| *count += by;
    let server = create_store("counter", add).mode(Mode::Action).open().await?;
    let socket = std::env::temp_dir().join(format!("samestate-{}", std::process::id()));
    server.create_server(ServerConfig::unix(&socket).login("app", "secret")).await?;
    let client = ClientConfig::unix(&socket).login("app", "secret");
    let client = create_store("counter", add).client(client).open().await?;

    let exporter = Exporter::bind(if once { "127.0.0.1:0" } else { Exporter::LOCAL }).await?;
    let exporter = exporter.watch(&client);
    println!("http://{}/metrics", exporter.address());
    loop {
        client.dispatch(1).await?;
        if once {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    let mut scrape = TcpStream::connect(exporter.address()).await?;
    scrape.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
    let mut page = String::new();
    scrape.read_to_string(&mut page).await?;
    println!("{page}");
    println!("{}", serde_json::to_string_pretty(&server.metrics())?);
    Ok(())
}
