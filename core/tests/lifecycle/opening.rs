//! `open` fails at once where it is refused, waits where the server is not reached, and names the
//! cause when its time is up.

use std::time::Duration;

use samestate::{
    ClientConfig, Cluster, Codec, Error, NotInSync, RefusalReason, ServerConfig, Store,
    create_store,
};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use super::ports::free_port;
use super::scene::{Place, Reports, add, sum, within};

/// Longer than any of these tests may take.
const LONG: Duration = Duration::from_secs(300);

/// Short, for what cannot come in sync.
const BRIEF: Duration = Duration::from_millis(300);

type Opened<S = i64, A = i64> = Result<Store<S, A>, Error>;

fn refusal<S, A>(opened: Opened<S, A>) -> (RefusalReason, String)
where
    S: samestate::State,
    A: samestate::Action,
{
    match opened {
        Err(error @ Error::Refused { reason, .. }) => (reason, error.to_string()),
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("it opened"),
    }
}

fn not_in_sync<S, A>(opened: Opened<S, A>) -> (NotInSync, String)
where
    S: samestate::State,
    A: samestate::Action,
{
    match opened {
        Err(error) => {
            let text = error.to_string();
            let Error::NotInSync { why, .. } = error else { panic!("another error: {text}") };
            (why, text)
        }
        Ok(_) => panic!("it opened"),
    }
}

#[tokio::test]
async fn a_wrong_login_is_refused_at_once_with_the_reason() {
    let place = Place::new();
    let server = sum().open().await.expect("it opens");
    server.create_server(place.server().login("app", "right")).await.expect("it listens");
    let open = async |client: ClientConfig| {
        within("the refusal", sum().client(client).open_timeout(LONG).open()).await
    };
    let wrong = refusal(open(place.client().login("app", "wrong")).await);
    assert_eq!(wrong.0, RefusalReason::Login);
    assert!(wrong.1.contains("store `sum` is refused: unix:"), "{}", wrong.1);
    assert!(wrong.1.contains("login \"app\": unknown, or the password is wrong"), "{}", wrong.1);
    let unknown = refusal(open(place.client().login("nobody", "right")).await);
    assert_eq!(unknown.0, RefusalReason::Login);
    let missing = refusal(open(place.client()).await);
    assert!(missing.1.contains("the server requires a login"), "{}", missing.1);
    // With five failures the address is locked out, whatever the password.
    for _ in 0..3 {
        refusal(open(place.client().login("app", "wrong")).await);
    }
    let locked = refusal(open(place.client().login("app", "right")).await);
    assert!(locked.1.contains("locked out"), "{}", locked.1);
}

#[tokio::test]
async fn a_login_where_none_is_asked_for_is_refused_at_once() {
    let place = Place::new();
    let server = sum().open().await.expect("it opens");
    server.create_server(place.server()).await.expect("it listens");
    let client = place.client().login("app", "secret");
    let opened = within("the refusal", sum().client(client).open_timeout(LONG).open()).await;
    assert_eq!(refusal(opened).0, RefusalReason::Login);
}

#[tokio::test]
async fn another_schema_or_codec_is_refused_at_once() {
    let place = Place::new();
    let server = sum().open().await.expect("it opens");
    server.create_server(place.server()).await.expect("it listens");
    let builder = || sum().client(place.client()).open_timeout(LONG);
    let opened = within("the refusal", builder().schema_version(2).open()).await;
    let (reason, text) = refusal(opened);
    assert_eq!(reason, RefusalReason::Schema);
    assert!(text.contains("schema_version 2 at the client, 1 at the server"), "{text}");
    let opened = within("the refusal", builder().codec(Codec::Json).open()).await;
    assert_eq!(refusal(opened).0, RefusalReason::Codec);
}

#[tokio::test]
async fn a_store_that_a_server_of_another_does_not_serve_is_refused_after_a_second() {
    let place = Place::new();
    let server = sum().open().await.expect("it opens");
    server.create_server(place.server()).await.expect("it listens");
    let mistyped = create_store("summ", add).on_error(|_| {}).client(place.client());
    let opened = within("the refusal", mistyped.open_timeout(LONG).open()).await;
    let (reason, text) = refusal(opened);
    assert_eq!(reason, RefusalReason::Store);
    assert!(text.contains("`summ` is not served"), "{text}");
}

#[tokio::test]
async fn a_store_that_its_server_begins_to_serve_a_little_later_is_waited_for() {
    let place = Place::new();
    let server = sum().open().await.expect("it opens");
    server.create_server(place.server()).await.expect("it listens");
    let other = create_store("other", add).on_error(|_| {});
    let reports = Reports::default();
    let waiting = other.client(place.client()).on_error(reports.collect()).open_timeout(LONG);
    let waiting = tokio::spawn(waiting.open());
    reports.with("not served").await;
    let late = create_store("other", add).open().await.expect("it opens");
    late.create_server(place.server()).await.expect("the same server");
    within("the store", waiting).await.expect("no panic").expect("it opens");
}

#[tokio::test]
async fn a_store_that_a_server_of_a_cluster_has_not_opened_yet_is_waited_for() {
    let place = Place::new();
    let cluster = Cluster::alone();
    cluster.create_server(place.server()).await.expect("it listens");
    let brief = sum().client(place.client()).open_timeout(BRIEF).open().await;
    let (why, text) = not_in_sync(brief);
    assert_eq!(why, NotInSync::NotOpen);
    assert!(text.contains("was reached, but has no open store of this name yet"), "{text}");
    let waiting = tokio::spawn(sum().client(place.client()).open_timeout(LONG).open());
    let _late = cluster.create_store("sum", add).open().await.expect("it opens");
    within("the store", waiting).await.expect("no panic").expect("it opens");
}

#[tokio::test]
async fn a_server_that_is_not_reached_is_waited_for_and_the_last_error_is_named() {
    let place = Place::new();
    let brief = sum().client(place.client()).open_timeout(BRIEF).open().await;
    let (why, text) = not_in_sync(brief);
    assert!(matches!(why, NotInSync::Unreachable(_)), "{why:?}");
    assert!(text.contains("No such file"), "{text}");
    let waiting = tokio::spawn(sum().client(place.client()).open_timeout(LONG).open());
    let server = sum().open().await.expect("it opens");
    server.create_server(place.server()).await.expect("it listens");
    within("the server", waiting).await.expect("no panic").expect("it opens");
}

/// As a state that was written by another program: its snapshot has another shape.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Named {
    name: String,
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_used_is_named_when_the_time_is_up() {
    let place = Place::new();
    let server = sum().open().await.expect("it opens");
    server.create_server(place.server()).await.expect("it listens");
    let other = create_store("sum", |named: &mut Named, by: &i64| named.name = by.to_string());
    let other = other.on_error(|_| {}).client(place.client()).open_timeout(BRIEF);
    let (why, text) = not_in_sync(within("the end of its time", other.open()).await);
    assert!(matches!(why, NotInSync::Snapshot(_)), "{why:?}");
    assert!(text.contains("the snapshot cannot be used"), "{text}");
    let small = sum().configure(|config| config.snapshot_bytes_max = 1);
    let small = small.client(place.client()).open_timeout(BRIEF);
    let (why, text) = not_in_sync(within("the end of its time", small.open()).await);
    assert!(matches!(why, NotInSync::Snapshot(_)), "{why:?}");
    assert!(text.contains("exceeds the limit of 1 bytes"), "{text}");
}

#[tokio::test]
async fn a_relay_that_is_not_in_sync_itself_is_named_when_the_time_is_up() {
    let (above, below) = (Place::new(), Place::new());
    let relay = sum().client(above.client()).start().expect("it starts");
    relay.create_server(below.server()).await.expect("it listens");
    let leaf = sum().client(below.client()).open_timeout(BRIEF).open().await;
    let (why, text) = not_in_sync(leaf);
    assert_eq!(why, NotInSync::UpstreamNotInSync, "{text}");
}

#[tokio::test]
async fn a_peer_that_is_another_program_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("it listens");
    let address = listener.local_addr().expect("it has an address").to_string();
    let web = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let words = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n";
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, words).await;
        }
    });
    let client = ClientConfig::tcp(address).backoff_max(Duration::from_millis(50));
    let opened = within("the end", sum().client(client).open_timeout(BRIEF).open()).await;
    let text = opened.expect_err("it is no server of samestate").to_string();
    assert!(text.contains("does not speak samestate"), "{text}");
    web.abort();
}

/// Passes on what comes, and of what the server says only so many bytes over each connection.
async fn passes_only(bytes: u64, server: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("it listens");
    let address = listener.local_addr().expect("it has an address").to_string();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&server).await.expect("the server is there");
            tokio::spawn(pass(bytes, client, server));
        }
    });
    address
}

async fn pass(bytes: u64, client: TcpStream, server: TcpStream) {
    let (mut from_client, mut to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let mut some = from_server.take(bytes);
    let down = async move {
        // An error says that the client is gone.
        let passed = tokio::io::copy(&mut some, &mut to_client).await;
        if passed.is_ok_and(|passed| passed == bytes) {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
        () = down => {}
    }
}

#[tokio::test]
async fn a_snapshot_in_transit_is_named_with_how_much_of_it_has_come() {
    let server = create_store("text", |text: &mut String, more: &String| text.push_str(more));
    let server = server.preloaded("x".repeat(1 << 20)).open().await.expect("it opens");
    let serving = server.create_server(ServerConfig::tcp("127.0.0.1:0")).await.expect("it listens");
    let address = passes_only(500_000, serving.address().to_string()).await;
    let copy = create_store("text", |text: &mut String, more: &String| text.push_str(more));
    let copy = copy.on_error(|_| {}).client(ClientConfig::tcp(address));
    let opened = copy.open_timeout(Duration::from_secs(2)).open().await;
    let (why, text) = not_in_sync(opened);
    let NotInSync::InTransit { received, total } = why else { panic!("{text}") };
    assert!((1..500_000).contains(&received) && total > 1 << 20, "{text}");
    assert!(text.contains(&format!("in transit: {received} of {total} bytes")), "{text}");
}

/// Checks that a store that its server did not serve at first is not taken for refused while its
/// snapshot is on its way.
#[tokio::test]
async fn a_store_that_is_served_a_little_later_is_waited_for_while_its_snapshot_comes() {
    let text = || create_store("text", |text: &mut String, more: &String| text.push_str(more));
    let server = sum().open().await.expect("it opens");
    let address = format!("127.0.0.1:{}", free_port());
    server.create_server(ServerConfig::tcp(&address)).await.expect("it listens");
    let client = ClientConfig::tcp(passes_only(500_000, address.clone()).await);
    let reports = Reports::default();
    let copy = text().on_error(reports.collect());
    let copy = copy.client(client.backoff_max(Duration::from_millis(50)));
    let opening = tokio::spawn(copy.open_timeout(Duration::from_secs(3)).open());
    reports.with("not served").await;
    let late = text().preloaded("x".repeat(1 << 20)).open().await.expect("it opens");
    late.create_server(ServerConfig::tcp(&address)).await.expect("the same server");
    let (why, text) = not_in_sync(within("the end of its time", opening).await.expect("no panic"));
    assert!(matches!(why, NotInSync::InTransit { .. }), "{text}");
}
