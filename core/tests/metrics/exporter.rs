//! Scrapes over real sockets.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use samestate::metrics::Exporter;
use samestate::{ClientConfig, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::open_metrics::{self, Samples};
use super::ports::free_port;
use super::values::{within, words};

const DEADLINE: Duration = Duration::from_secs(10);

/// One request, and all of the answer: the head and the body.
async fn request(address: SocketAddr, words: &str) -> (String, String) {
    within(async {
        let mut stream = TcpStream::connect(address).await.expect("it connects");
        let head = format!("{words} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("it is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        (head.to_ascii_lowercase(), body.to_owned())
    })
    .await
}

async fn scrape(exporter: &Exporter) -> Samples {
    let (head, body) = request(exporter.address(), "GET /metrics").await;
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{head}");
    open_metrics::read(&body)
}

#[tokio::test]
async fn a_scrape_is_well_formed_and_its_values_move_with_dispatches() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("s");
    let server = words("tasks").open().await.expect("it opens");
    server.create_server(ServerConfig::unix(&path)).await.expect("it listens");
    let client = words("tasks").client(ClientConfig::unix(&path)).open().await.expect("in sync");
    let exporter = Exporter::bind("127.0.0.1:0").await.expect("it listens").watch(&server);
    let before = scrape(&exporter).await;
    let of = |samples: &Samples, series: &str| {
        let value = samples.get(series).copied();
        value.unwrap_or_else(|| panic!("no {series} in {samples:#?}"))
    };
    assert!(
        (of(&before, "samestate_dispatches_total{store=\"tasks\",outcome=\"ok\"}")).abs() < 0.5
    );
    for word in ["one", "two", "three", ""] {
        let _ = server.dispatch(word.to_owned()).await;
        let _ = client.dispatch(word.to_owned()).await;
    }
    let after = scrape(&exporter).await;
    let exactly = |series: &str, expected: u32| {
        let value = of(&after, series);
        assert!((value - f64::from(expected)).abs() < 0.5, "{series} is {value}, not {expected}");
    };
    exactly("samestate_dispatches_total{store=\"tasks\",outcome=\"ok\"}", 3);
    exactly("samestate_dispatches_total{store=\"tasks\",outcome=\"rejected\"}", 1);
    exactly("samestate_version_seq{store=\"tasks\"}", 6);
    exactly("samestate_connected{store=\"tasks\"}", 1);
    exactly("samestate_role{store=\"tasks\",role=\"server\"}", 1);
    exactly("samestate_links{store=\"tasks\",side=\"downstream\"}", 1);
    exactly("samestate_links{store=\"tasks\",side=\"upstream\"}", 0);
    exactly("samestate_link_lag_versions{store=\"tasks\",side=\"downstream\"}", 0);
    exactly("samestate_applied_total{store=\"tasks\"}", 6);
    exactly("samestate_divergences_total{store=\"tasks\"}", 0);
    assert!(!after.contains_key("samestate_link_lag_versions{store=\"tasks\",side=\"upstream\"}"));
    let sent = "samestate_link_bytes_total{store=\"tasks\",side=\"downstream\",direction=\"sent\"}";
    assert!(of(&after, sent) > of(&before, sent));
    let all = "samestate_process_link_bytes_total{direction=\"sent\"}";
    assert!(of(&after, all) >= of(&after, sent));
    for (series, value) in &before {
        let counter = series.split('{').next().is_some_and(|name| name.ends_with("_total"));
        assert!(!counter || after[series] >= *value, "{series} went back");
    }
    // The client takes the place of the server, which has the same name.
    exporter.add(&client);
    let after = scrape(&exporter).await;
    assert!(after.contains_key("samestate_link_lag_versions{store=\"tasks\",side=\"upstream\"}"));
}

#[tokio::test]
async fn names_are_escaped_and_a_store_that_is_gone_is_not_served() {
    let odd = words("a \"b\"\\c{d}").open().await.expect("it opens");
    let even = words("even").open().await.expect("it opens");
    let exporter = Exporter::bind("127.0.0.1:0").await.expect("it listens");
    let exporter = exporter.watch(&odd).watch(&even);
    let samples = scrape(&exporter).await;
    assert!(samples.contains_key("samestate_connected{store=\"a \\\"b\\\"\\\\c{d}\"}"));
    assert!(samples.contains_key("samestate_connected{store=\"even\"}"));
    odd.close(DEADLINE).await.expect("it closes");
    drop(odd);
    within(async {
        while scrape(&exporter).await.keys().any(|series| series.contains("{d}")) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(scrape(&exporter).await.contains_key("samestate_connected{store=\"even\"}"));
    open_metrics::read(&exporter.text());
}

#[tokio::test]
async fn what_is_no_scrape_is_answered_in_words() {
    let exporter = Exporter::bind("127.0.0.1:0").await.expect("it listens");
    let address = exporter.address();
    let (head, body) = request(address, "GET /").await;
    assert!(head.starts_with("http/1.1 404 ") && body.contains("/metrics"), "{head} {body}");
    let (head, body) = request(address, "POST /metrics").await;
    assert!(head.starts_with("http/1.1 405 ") && head.contains("allow: get, head"), "{head}");
    assert!(body.contains("GET"), "{body}");
    let (head, body) = request(address, "HEAD /metrics").await;
    assert!(head.starts_with("http/1.1 200 ") && body.is_empty(), "{head} {body}");
    assert!(head.contains("content-length: "), "{head}");
    let (head, _) = request(address, "GET /metrics?a=b").await;
    assert!(head.starts_with("http/1.1 200 "), "{head}");
}

#[tokio::test]
async fn a_port_in_use_is_an_error_and_a_closed_exporter_gives_its_port_back() {
    let address = format!("127.0.0.1:{}", free_port());
    let first = Exporter::bind(&address).await.expect("it listens");
    let error = Exporter::bind(&address).await.expect_err("the port is taken");
    let advice = "stop the process that has it, or choose another port";
    assert_eq!(error.to_string(), format!("failed to listen on {address}; {advice}"));
    assert!(error.source().is_some_and(|cause| cause.to_string().contains("in use")), "{error:?}");
    let mut held = TcpStream::connect(first.address()).await.expect("it connects");
    first.close().await;
    let mut rest = Vec::new();
    // Cut or closed, at once.
    let _ = within(held.read_to_end(&mut rest)).await;
    assert!(rest.is_empty());
    let second = Exporter::bind(&address).await.expect("the port is free");
    drop(second);
    for wrong in ["unix:/tmp/metrics", "::1", "127.0.0.1:99999"] {
        let error = Exporter::bind(wrong).await.expect_err("it is no address").to_string();
        assert!(error.contains("invalid address"), "{error}");
    }
    let alone = Exporter::bind(":0").await.expect("it listens");
    assert!(alone.address().ip().is_loopback(), "without a host, on this machine alone");
}

#[tokio::test]
async fn scrapers_that_linger_or_flood_keep_nobody_out() {
    let store = words("steady").open().await.expect("it opens");
    let exporter = Exporter::bind("127.0.0.1:0").await.expect("it listens").watch(&store);
    let mut lingering = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(exporter.address()).await.expect("it connects");
        stream.write_all(b"GET /metr").await.expect("it is sent");
        lingering.push(stream);
    }
    for word in ["one", "two"] {
        within(store.dispatch(word.to_owned())).await.expect("it applies");
        let samples = scrape(&exporter).await;
        assert!(samples.contains_key("samestate_connected{store=\"steady\"}"));
    }
    // The first that lingered gave way.
    let mut rest = Vec::new();
    let _ = within(lingering[0].read_to_end(&mut rest)).await;
    assert!(rest.is_empty());

    let mut flood = TcpStream::connect(exporter.address()).await.expect("it connects");
    let head = format!("GET /metrics HTTP/1.1\r\nX-Long: {}", "x".repeat(1 << 20));
    // It may be cut before all is sent.
    let _ = within(flood.write_all(head.as_bytes())).await;
    let mut answer = Vec::new();
    let _ = within(flood.read_to_end(&mut answer)).await;
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    scrape(&exporter).await;
}
