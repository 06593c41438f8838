//! The bytes that a link over TLS carries.

use samestate::{ClientConfig, ServerConfig, Store, create_store};
use samestate::{ClientTls, ServerTls};

use super::pki::Ca;
use super::ports::free_port;
use super::scene::{List, Reports, Served, Tap, client, list, within};

async fn arrives(store: &List, item: &str) {
    let mut changes = store.watch();
    within(item, async {
        while !store.read(|list| list.iter().any(|found| found == item)) {
            changes.changed().await;
        }
    })
    .await;
}

/// Dispatches both ways through a tap; says whether that saw the actions and the login.
async fn sees(tls: Option<(ServerTls, ClientTls)>) -> [bool; 3] {
    let (at_server, at_client) = tls.unzip();
    let served = Served::new(at_server).await;
    let tap = Tap::before(served.port).await;
    let client = list().client(client(tap.port, at_client));
    let client = within("a client", client.open()).await.expect("it comes in");
    client.dispatch("upstream-marker".into()).await.expect("it is ok");
    served.store.dispatch("downstream-marker".into()).await.expect("it is ok");
    arrives(&client, "downstream-marker").await;
    assert_eq!(*served.store.state(), ["upstream-marker", "downstream-marker"]);
    ["upstream-marker", "downstream-marker", "n=app"].map(|words| tap.has_seen(words))
}

#[tokio::test]
async fn nobody_on_the_way_reads_actions_or_logins() {
    let ca = Ca::new();
    assert_eq!(sees(None).await, [true; 3], "the tap is one");
    assert_eq!(sees(Some((ca.server(), ca.client()))).await, [false; 3]);
}

#[tokio::test]
async fn a_link_that_is_cut_comes_back_and_goes_on() {
    let ca = Ca::new();
    let served = Served::new(Some(ca.server())).await;
    let tap = Tap::before(served.port).await;
    let client = list().client(client(tap.port, Some(ca.client())));
    let client = within("a client", client.open()).await.expect("it comes in");
    for round in 0..3 {
        tap.cut();
        within("the end", client.until_connected(false)).await;
        within("the link", client.until_connected(true)).await;
        let item = format!("round {round}");
        within("a dispatch", client.dispatch(item.clone())).await.expect("it is ok");
        arrives(&served.store, &item).await;
    }
    assert_eq!(served.store.state(), client.state());
}

#[tokio::test]
async fn a_state_of_megabytes_arrives_whole_and_so_do_as_many_dispatches() {
    let ca = Ca::new();
    let served = Served::new(Some(ca.server())).await;
    for item in 0..40 {
        let item = format!("{item}{}", "o".repeat(100_000));
        served.store.dispatch(item).await.expect("it is ok");
    }
    let client = served.is_served(ca.client()).await;
    assert_eq!(served.store.state(), client.state());
    for item in 0..40 {
        let item = format!("{item}{}", "x".repeat(100_000));
        within("a dispatch", client.dispatch(item)).await.expect("it is ok");
    }
    assert_eq!(served.store.state(), client.state());
    assert_eq!(client.state().len(), 81);
}

#[tokio::test]
async fn a_password_is_asked_for_inside_and_a_wrong_one_is_refused() {
    let ca = Ca::new();
    let mut served = Served::new(Some(ca.server())).await;
    let (mut reports, on_error) = Reports::new();
    let guess = ClientConfig::tcp(format!("localhost:{}", served.port)).login("app", "guess");
    let guess = list().client(guess.tls(ca.client())).on_error(on_error).start();
    let guess = guess.expect("it starts");
    reports.say("wrong").await;
    served.reports.say("password is wrong").await;
    assert!(!guess.is_connected());
    served.is_served(ca.client()).await;
}

#[tokio::test]
async fn a_server_with_a_client_ca_lets_in_whom_that_ca_has_signed() {
    let (ca, of_clients) = (Ca::new(), Ca::new());
    let tls = ca.server().client_ca(of_clients.path("ca.pem"));
    let mut served = Served::new(Some(tls)).await;
    let own = of_clients.issue("client", &["client"]);
    let with_own = ca.client().certificate(&own.certificate, &own.key);
    served.is_served(with_own.clone()).await;

    let said = served.is_refused(Some(ca.client()), "asks for a client's certificate").await;
    assert!(said.contains(".certificate(..)"), "{said}");
    served.reports.say("the client has no certificate").await;

    let stray = ca.issue("stray", &["stray"]);
    let stray = ca.client().certificate(&stray.certificate, &stray.key);
    served.is_refused(Some(stray), "does not know the CA that signed this side's").await;
    let said = served.reports.say("is not signed by a CA in").await;
    assert!(said.contains(&*of_clients.path("ca.pem").to_string_lossy()), "{said}");

    served.is_served(with_own).await;
}

#[tokio::test]
async fn plaintext_on_all_interfaces_is_warned_about_and_tls_is_not() {
    let ca = Ca::new();
    for (tls, warned) in [(None, true), (Some(ca.server()), false)] {
        let (mut reports, on_error) = Reports::new();
        let store = list().on_error(on_error).open().await.expect("it opens");
        let mut server = ServerConfig::tcp(format!("0.0.0.0:{}", free_port()));
        if let Some(tls) = tls {
            server = server.tls(tls);
        }
        store.create_server(server).await.expect("it listens");
        let reports = reports.so_far();
        assert_eq!(reports.iter().any(|text| text.contains("in plaintext")), warned, "{reports:?}");
    }
}

#[tokio::test]
async fn stores_share_a_server_with_the_same_tls_and_no_other() {
    let ca = Ca::new();
    let tls = ca.server();
    let served = Served::new(Some(tls.clone())).await;
    let other: Store<i64, i64> =
        create_store("other", |sum: &mut i64, by: &i64| *sum += by).open().await.expect("it opens");
    let at = || {
        ServerConfig::tcp(format!("127.0.0.1:{}", served.port))
            .login("app", "secret")
            .login_rounds(4096)
    };
    let said = other.create_server(at()).await.expect_err("it has none").to_string();
    assert!(said.contains("with another `.tls(..)`"), "{said}");
    other.create_server(at().tls(tls)).await.expect("it is the same");
    let follower: samestate::StoreBuilder<i64, i64> =
        create_store("other", |sum: &mut i64, by: &i64| *sum += by);
    let follower = follower.client(client(served.port, Some(ca.client())));
    let follower = within("a client", follower.open()).await.expect("it comes in");
    follower.dispatch(3).await.expect("it is ok");
    assert_eq!(*other.state(), 3);
}

#[tokio::test]
async fn strangers_that_wait_in_the_door_hold_nobody_up() {
    let ca = Ca::new();
    let served = Served::new(Some(ca.server())).await;
    let mut idle = Vec::new();
    for _ in 0..8 {
        idle.push(served.stranger().await);
    }
    served.is_served(ca.client()).await;
}
