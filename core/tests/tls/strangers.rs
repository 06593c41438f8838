//! Clients that are refused, and the reports of both sides. The server serves others afterwards.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use samestate::Tls;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::pki::{Ca, Pair};
use super::scene::{Reports, Served, client, list, within};

#[tokio::test]
async fn a_client_of_another_ca_is_told_which_file_to_look_into() {
    let ca = Ca::new();
    let mut served = Served::new(Some(ca.server())).await;
    let of_the_same_name = Ca::new();
    for other in [Ca::called("another CA"), of_the_same_name] {
        let said = served.is_refused(Some(other.client()), "is not signed by a CA in").await;
        assert!(said.contains(&*other.path("ca.pem").to_string_lossy()), "{said}");
        let said = served.reports.say("was not let in").await;
        assert!(said.contains("does not know the CA that signed this side's"), "{said}");
    }
    served.is_served(ca.client()).await;
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_and_the_name_can_be_given() {
    let ca = Ca::new();
    let pair = ca.issue("server", &["alpha.example", "10.1.2.3"]);
    let mut served = Served::new(Some(pair.server())).await;
    let said = served.is_refused(Some(ca.client()), "the server's certificate is for").await;
    for words in ["alpha.example", "10.1.2.3", "not for localhost", ".name(..)"] {
        assert!(said.contains(words), "{said}");
    }
    let said = served.reports.say("was not let in").await;
    assert!(said.contains("may be for another name"), "{said}");
    served.is_served(ca.client().name("alpha.example")).await;
    served.is_served(ca.client().name("10.1.2.3")).await;
}

#[tokio::test]
async fn an_expired_certificate_is_refused_by_the_client() {
    let ca = Ca::new();
    let port = any_tls_server(&ca.issue_expired("expired", &["localhost"])).await;
    let (mut reports, on_error) = Reports::new();
    let client = list().client(client(port, Some(ca.client()))).on_error(on_error);
    let _client = client.start().expect("it starts");
    let said = reports.say("the peer's certificate expired").await;
    assert!(said.contains("days ago: give it a new one"), "{said}");
}

/// A TLS server that looks at nothing, and speaks no samestate.
async fn any_tls_server(pair: &Pair) -> u16 {
    let certificate = CertificateDer::from_pem_file(&pair.certificate).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(&pair.key).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("they are a pair");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let port = listener.local_addr().expect("it has an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let _ = stream
                        .write_all(b"220 mail.example ESMTP ready, at your service\r\n")
                        .await;
                    let _ = stream.flush().await;
                    let _ = stream.read(&mut [0; 100]).await;
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn a_server_of_something_else_is_called_that() {
    let ca = Ca::new();
    let port = any_tls_server(&ca.issue("mail", &["localhost"])).await;
    let (mut reports, on_error) = Reports::new();
    let client = list().client(client(port, Some(ca.client()))).on_error(on_error);
    let _client = client.start().expect("it starts");
    reports.say("the peer does not speak samestate").await;
}

#[tokio::test]
async fn a_plaintext_client_and_a_tls_server_both_say_so() {
    let ca = Ca::new();
    let mut served = Served::new(Some(ca.server())).await;
    let said = served.is_refused(None, "the server speaks nothing but TLS").await;
    assert!(said.contains(".tls(Tls::client(..))"), "{said}");
    let said = served.reports.say("was not let in").await;
    assert!(said.contains("the client does not speak TLS"), "{said}");
    served.is_served(ca.client()).await;
}

#[tokio::test]
async fn a_tls_client_and_a_plaintext_server_both_say_so() {
    let ca = Ca::new();
    let mut served = Served::new(None).await;
    let said = served.is_refused(Some(ca.client()), "the server does not speak TLS").await;
    assert!(said.contains(".tls(Tls::server(..))"), "{said}");
    let said = served.reports.say("was not let in").await;
    assert!(said.contains("the client speaks TLS, and this server does not"), "{said}");
    let plain = within("a client", served.client(None).open()).await.expect("it comes in");
    assert!(plain.is_connected());
}

#[tokio::test]
async fn who_says_nothing_half_a_word_or_garbage_is_dropped_at_the_deadline_or_before() {
    let ca = Ca::new();
    let brief = Duration::from_millis(300);
    let mut served = Served::with(Some(ca.server()), |server| server.login_within(brief)).await;
    let mut silent = served.stranger().await;
    let mut half = served.stranger().await;
    // The head of a record of 512 bytes that never come.
    half.write_all(&[22, 3, 1, 2, 0, 1]).await.expect("it is taken");
    for stranger in [&mut silent, &mut half] {
        let mut said = Vec::new();
        let read = within("the end", stranger.read_to_end(&mut said)).await;
        assert!(read.is_err() || said.is_empty(), "{said:?}");
        served.reports.say("the login was not done within 300ms").await;
    }
    let mut garbage = served.stranger().await;
    garbage.write_all(&[22; 600]).await.expect("it is taken");
    served.reports.say("was not let in").await;
    let mut said = Vec::new();
    // An alert at most.
    let _ = within("the end", garbage.read_to_end(&mut said)).await;
    assert!(said.len() < 20, "{said:?}");
    served.is_served(ca.client()).await;
}

#[tokio::test]
async fn a_probe_of_the_port_is_not_worth_a_word() {
    let ca = Ca::new();
    let mut served = Served::new(Some(ca.server())).await;
    let mut probe = served.stranger().await;
    probe.shutdown().await.expect("it closes");
    let read = within("the end", probe.read(&mut [0; 10])).await;
    assert_eq!(read.expect("a clean end"), 0);
    served.is_served(ca.client()).await;
    assert_eq!(served.reports.so_far(), Vec::<String>::new());
}

#[tokio::test]
async fn a_peer_that_speaks_an_older_tls_only_is_refused() {
    let ca = Ca::new();
    let served = Served::new(Some(ca.server())).await;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    let own = CertificateDer::from_pem_file(ca.own().certificate).expect("a certificate");
    roots.add(own).expect("a CA");
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .expect("a version")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().expect("a name");
    let connecting =
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, served.stranger().await);
    let error = within("the end", connecting).await.expect_err("TLS 1.2");
    assert!(error.to_string().contains("ProtocolVersion"), "{error}");
    served.is_served(Tls::client(ca.path("ca.pem"))).await;
}
