//! Faults of files, which are reported when the files are read, with the path and a remedy.

use std::path::PathBuf;

use samestate::{ClientConfig, ServerConfig, Tls};
use samestate::{ClientTls, ServerTls};
use samestate_proto::with_causes;

use super::pki::{Ca, Pair};
use super::ports::free_port;
use super::scene::{Served, client, list};

async fn server_says(tls: ServerTls) -> String {
    let store = list().open().await.expect("it opens");
    let server = ServerConfig::tcp(format!("127.0.0.1:{}", free_port())).tls(tls);
    with_causes(&store.create_server(server).await.expect_err("it does not listen"))
}

fn client_says(tls: ClientTls) -> String {
    let refused = list().client(client(1, Some(tls))).start();
    with_causes(&refused.expect_err("it does not start"))
}

fn written(ca: &Ca, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = ca.path(name);
    std::fs::write(&path, bytes).expect("it is written");
    path
}

#[tokio::test]
async fn each_bad_file_of_a_server_is_named_with_what_to_do() {
    let ca = Ca::new();
    let Pair { certificate, key } = ca.issue("server", &["localhost"]);
    let other = ca.issue("other", &["localhost"]);
    let expired = ca.issue_expired("expired", &["localhost"]);
    let early = ca.issue_with("early", &["localhost"], |params| {
        params.not_before = rcgen::date_time_ymd(3000, 1, 1);
    });
    let for_clients = ca.issue_with("for-clients", &["localhost"], |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    let text = std::fs::read_to_string(&certificate).expect("it is read");
    let half = written(&ca, "half.pem", &text[..text.len() - 30]);
    let flipped = written(&ca, "flipped.pem", text.replacen("MII", "AAA", 1));
    let nothing = written(&ca, "nothing.pem", "a shopping list");
    let der = written(&ca, "der.pem", [0x30, 0x82, 0x01, 0x00]);
    let locked =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let locked = written(&ca, "locked.key", locked);
    let old_form = "  -----BEGIN EC PRIVATE KEY-----\r\n  Proc-Type: 4,ENCRYPTED\r\n  \
                    DEK-Info: AES-256-CBC,00\r\n\r\n  AAAA\r\n  -----END EC PRIVATE KEY-----\r\n";
    let old_form = written(&ca, "old-form.key", old_form);
    let pem = |kind| format!("-----BEGIN {kind}-----\nAAAA\n-----END {kind}-----\n");
    let ssh = written(&ca, "ssh.key", pem("OPENSSH PRIVATE KEY"));
    let trusted = written(&ca, "trusted.pem", pem("TRUSTED CERTIFICATE"));
    let request = written(&ca, "request.pem", pem("CERTIFICATE REQUEST"));
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf16 = written(&ca, "utf16.pem", [&[0xff, 0xfe], &utf16[..]].concat());
    let own = ca.own();
    let cases = [
        (Tls::server(ca.path("no.pem"), &key), "no.pem: No such file", "certificate"),
        (Tls::server(&certificate, ca.path("no.key")), "no.key: No such file", "private key"),
        (Tls::server(&nothing, &key), "no certificate in", "nothing.pem"),
        (Tls::server(&certificate, &nothing), "no private key in", "nothing.pem"),
        (Tls::server(&key, &certificate), "server.key", "are two files mixed up?"),
        (Tls::server(&der, &key), "der.pem", "openssl x509 -inform DER"),
        (Tls::server(&certificate, &locked), "locked.key", "openssl pkey"),
        (Tls::server(&certificate, &old_form), "old-form.key", "openssl pkey -in FILE -out NEW"),
        (Tls::server(&certificate, &ssh), "ssh.key", "a key of SSH"),
        (Tls::server(&trusted, &key), "trusted.pem", "openssl x509 -in FILE"),
        (Tls::server(&request, &key), "request.pem", "a CA has yet to sign"),
        (Tls::server(&utf16, &key), "utf16.pem", "save it as UTF-8"),
        (Tls::server(&half, &key), "half.pem is damaged", "-----END"),
        (Tls::server(&flipped, &key), "flipped.pem is damaged", "copy or make it anew"),
        (Tls::server(&certificate, &other.key), "other.key does not belong", "server.pem"),
        (expired.server(), "expired.pem expired", "days ago: make a new one"),
        (early.server(), "early.pem becomes valid only in", "clock"),
        (own.server(), "ca.pem is of no use here: it is a CA's own", "docs/tls.md"),
        (for_clients.server(), "for-clients.pem is of no use here", "docs/tls.md"),
        (
            Tls::server(&certificate, &key).client_ca(ca.path("no-ca.pem")),
            "no-ca.pem: No such file",
            "CA certificate",
        ),
    ];
    for (tls, words, more) in cases {
        let said = server_says(tls.clone()).await;
        assert!(said.contains(words) && said.contains(more), "{tls:?}: {said}");
    }
}

#[tokio::test]
async fn files_may_have_what_editors_add_to_them() {
    let ca = Ca::new();
    let Pair { certificate, key } = ca.issue("server", &["localhost"]);
    let edited = |name: &str, path: &PathBuf| {
        let text = std::fs::read_to_string(path).expect("it is read");
        let indented = text.lines().map(|line| format!(" \t{line} \r\n")).collect::<String>();
        written(&ca, name, format!("\u{feff}{indented}"))
    };
    let (certificate, key) = (edited("edited.pem", &certificate), edited("edited.key", &key));
    let trusted = edited("edited-ca.pem", &ca.path("ca.pem"));
    let served = Served::new(Some(Tls::server(certificate, key))).await;
    served.is_served(Tls::client(trusted)).await;
}

#[tokio::test]
async fn each_bad_file_of_a_client_is_named_before_it_begins() {
    let ca = Ca::new();
    let own = ca.issue("client", &["client"]);
    let expired = ca.issue_expired("expired", &["client"]);
    let nothing = written(&ca, "nothing.pem", "");
    let with = |certificate, key| ca.client().certificate(certificate, key);
    let cases = [
        (Tls::client(ca.path("no.pem")), "read the CA certificate in", "no.pem: No such file"),
        (Tls::client(&nothing), "no CA certificate in", "nothing.pem"),
        (Tls::client(&own.key), "client.key", "are two files mixed up?"),
        (ca.client().name("not a name"), "\"not a name\" is no name", ".name(..)"),
        (with(ca.path("no.pem"), own.key.clone()), "no.pem: No such file", "certificate"),
        (with(own.certificate.clone(), expired.key.clone()), "expired.key does not", "client.pem"),
        (with(expired.certificate.clone(), expired.key), "expired.pem expired", "make a new one"),
    ];
    for (tls, words, more) in cases {
        let said = client_says(tls.clone());
        assert!(said.contains(words) && said.contains(more), "{tls:?}: {said}");
    }
}

#[tokio::test]
async fn a_store_that_cannot_become_a_client_goes_on_as_it_was() {
    let ca = Ca::new();
    let store = list().open().await.expect("it opens");
    let bad = client(1, Some(Tls::client(ca.path("no.pem"))));
    store.create_client(bad).expect_err("there is no such file");
    assert!(store.is_connected(), "it is still its own root");
    store.dispatch("on".into()).await.expect("it orders");
    assert!(store.roles().is_empty(), "{:?}", store.roles());
}

#[tokio::test]
async fn a_certificate_may_have_the_name_of_its_ca() {
    let ca = Ca::called("alpha");
    let served = Served::new(Some(ca.issue("alpha", &["localhost"]).server())).await;
    served.is_served(ca.client()).await;
}

#[tokio::test]
async fn tls_on_a_socket_file_is_refused_on_both_sides() {
    let ca = Ca::new();
    let path = ca.path("socket");
    let store = list().open().await.expect("it opens");
    let said = store.create_server(ServerConfig::unix(&path).tls(ca.server())).await;
    let said = said.expect_err("it does not listen").to_string();
    assert!(said.contains("TLS is for TCP") && said.contains("without `.tls(..)`"), "{said}");
    let said = list().client(ClientConfig::unix(&path).tls(ca.client())).start();
    let said = said.expect_err("it does not start").to_string();
    assert!(said.contains("TLS is for TCP"), "{said}");
}
