//! Certificates that change while a server runs.

use super::pki::Ca;
use super::scene::Served;

#[tokio::test]
async fn a_renewed_certificate_is_used_from_the_next_connection_on() {
    let (old, new) = (Ca::new(), Ca::new());
    let pair = old.issue("server", &["localhost"]);
    let mut served = Served::new(Some(pair.server())).await;
    let first = served.is_served(old.client()).await;

    new.issue("renewed", &["localhost"]).replace(&pair);
    served.is_served(new.client()).await;
    served.reports.say("certificates were read again").await;
    served.is_refused(Some(old.client()), "is not signed by a CA in").await;
    first.dispatch("still here".into()).await.expect("a link that was up stays up");
}

#[tokio::test]
async fn a_server_keeps_its_certificate_while_the_new_one_is_of_no_use() {
    let ca = Ca::new();
    let pair = ca.issue("server", &["localhost"]);
    let mut served = Served::new(Some(pair.server())).await;
    served.is_served(ca.client()).await;

    ca.issue_expired("expired", &["localhost"]).replace(&pair);
    served.is_served(ca.client()).await;
    let said = served.reports.say("goes on with the certificates it has").await;
    assert!(said.contains("server.pem expired"), "{said}");

    ca.issue("other", &["localhost", "beta.example"]).replace(&pair);
    served.is_served(ca.client().name("beta.example")).await;
    served.reports.say("certificates were read again").await;
}

#[tokio::test]
async fn a_client_whose_ca_file_was_renewed_comes_in_without_a_restart() {
    let (old, new) = (Ca::new(), Ca::new());
    let served = Served::new(Some(new.server())).await;
    let ca_file = old.path("trusted.pem");
    std::fs::copy(old.path("ca.pem"), &ca_file).expect("it is copied");
    let (mut reports, on_error) = super::scene::Reports::new();
    let client = served.client(Some(samestate::Tls::client(&ca_file))).on_error(on_error);
    let client = client.start().expect("it starts");
    reports.say("is not signed by a CA in").await;
    std::fs::copy(new.path("ca.pem"), &ca_file).expect("it is copied");
    super::scene::within("the link", client.until_connected(true)).await;
}
