//! Servers and clients that mean well.

use samestate_proto::replication::LinkFault;
use samestate_proto::wire::Message;

use super::*;
use crate::auth::LockOutPolicy;

const LOGIN: (&str, &str) = ("app", "secret");

fn server_options() -> ServerConfig {
    ServerConfig { backoff_max: Duration::from_millis(100), ..ServerConfig::default() }
        .login(LOGIN.0, LOGIN.1)
}

fn client_options() -> ClientConfig {
    ClientConfig { backoff_max: Duration::from_millis(100), ..ClientConfig::default() }
        .login(LOGIN.0, LOGIN.1)
}

async fn goes_round(address: Address) {
    let (server, mut at_server) = FakePort::new("tasks");
    let (client, mut at_client) = FakePort::new("tasks");
    let listener = serve(address, server_options(), server.clone()).await;
    let dialer = dial(listener.address(), client_options(), client.clone());

    let below = at_client.up().await;
    let (above, attach) = at_server.heard().await;
    assert!(matches!(attach, Message::Attach(_)), "{attach:?}");
    server.say(above, &Message::Heartbeat { seq: 5 });
    assert_eq!(at_client.heard().await, (below, Message::Heartbeat { seq: 5 }));
    client.say(below, &Message::Heal { seq: 6 });
    assert_eq!(at_server.heard().await, (above, Message::Heal { seq: 6 }));

    within("the end of the client", dialer.close()).await;
    assert_eq!(at_client.down().await, below);
    assert_eq!(at_server.down().await, above);
    let (up, down) = (dialer.stats().counts(), listener.stats().counts());
    assert_eq!((up.bytes_written, up.bytes_read), (down.bytes_read, down.bytes_written));
    assert!(up.writes > 0 && up.reads > 0 && down.syscalls() > 0);
    within("the end of the server", listener.close()).await;
}

#[tokio::test]
async fn messages_go_round_over_tcp_after_a_login() {
    goes_round(any_port()).await;
}

#[tokio::test]
async fn messages_go_round_over_a_socket_file_that_is_gone_afterwards() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tasks.sock");
    goes_round(Address::unix(&path)).await;
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_messages_arrive_in_order_and_in_few_system_calls() {
    const MESSAGES: u64 = 200_000;
    let (server, mut at_server) = FakePort::new("tasks");
    let (client, mut at_client) = FakePort::new("tasks");
    let listener = serve(any_port(), ServerConfig::default(), server.clone()).await;
    let dialer = dial(listener.address(), ClientConfig::default(), client);
    let (above, _) = at_server.heard().await;
    for seq in 0..MESSAGES {
        server.say(above, &Message::Heartbeat { seq });
    }
    for seq in 0..MESSAGES {
        assert_eq!(at_client.heard().await.1, Message::Heartbeat { seq });
    }
    let writes = listener.stats().counts().writes;
    assert!(writes < MESSAGES / 10, "{writes} writes for {MESSAGES} messages");
    dialer.close().await;
}

/// Checks that what was said before a link is closed leaves, more than a socket takes at once.
#[tokio::test]
async fn messages_that_wait_when_a_link_is_closed_arrive() {
    const MESSAGES: u64 = 40_000;
    let (server, mut at_server) = FakePort::new("tasks");
    let (client, mut at_client) = FakePort::new("tasks");
    let listener = serve(any_port(), ServerConfig::default(), server.clone()).await;
    let _dialer = dial(listener.address(), ClientConfig::default(), client);
    let (above, _) = at_server.heard().await;
    for seq in 0..MESSAGES {
        server.say(above, &Message::Heartbeat { seq });
    }
    within("the end of the server", listener.close()).await;
    for seq in 0..MESSAGES {
        assert_eq!(at_client.heard().await.1, Message::Heartbeat { seq });
    }
}

/// Checks that a store is told of bytes that come for it, also while it has no whole frame.
#[tokio::test]
async fn a_store_is_told_once_in_a_while_that_its_peer_lives() {
    let (server, mut at_server) = FakePort::new("tasks");
    let (client, mut at_client) = FakePort::new("tasks");
    let listener = serve(any_port(), ServerConfig::default(), server.clone()).await;
    let _dialer = dial(listener.address(), ClientConfig::default(), client.clone());
    let (above, _) = at_server.heard().await;
    within("a notice", async {
        while !client.noted.load(std::sync::atomic::Ordering::Relaxed) {
            server.say(above, &Message::Heartbeat { seq: 0 });
            at_client.heard().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_comes_back_after_its_server_did() {
    let (server, mut at_server) = FakePort::new("tasks");
    let (client, mut at_client) = FakePort::new("tasks");
    let listener = serve(any_port(), server_options(), server.clone()).await;
    let address = listener.address().clone();
    let _dialer = dial(&address, client_options(), client);
    let first = at_client.up().await;
    at_server.heard().await;
    listener.close().await;
    assert_eq!(at_client.down().await, first);
    at_client.report("lost its server").await;

    let _listener = serve(address, server_options(), server).await;
    assert_ne!(at_client.up().await, first);
    at_server.heard().await;
}

/// Returns the milliseconds after which a report says that there is another try.
fn again_in(report: &str) -> u64 {
    let wait = report.rsplit_once("again in ").and_then(|(_, wait)| wait.strip_suffix(" ms"));
    wait.expect("it says when").parse().expect("milliseconds")
}

/// Checks that the waits of a client grow while its server is away, and not from one loss of it to
/// the next.
#[tokio::test]
async fn a_client_that_was_linked_begins_with_a_short_wait_when_it_loses_its_server_again() {
    let (server, mut at_server) = FakePort::new("tasks");
    let (client, mut at_client) = FakePort::new("tasks");
    let mut listener = serve(any_port(), ServerConfig::default(), server.clone()).await;
    let address = listener.address().clone();
    let _dialer = dial(&address, ClientConfig::default(), client);
    for _ in 0..3 {
        at_client.up().await;
        at_server.heard().await;
        listener.close().await;
        let report = at_client.report("lost its server").await;
        assert!((50..=100).contains(&again_in(&report)), "{report}");
        listener = serve(address.clone(), ServerConfig::default(), server.clone()).await;
    }
}

#[tokio::test]
async fn a_client_whose_store_is_refused_tries_again_slowly() {
    let (server, _at_server) = FakePort::new("tasks");
    let (client, mut at_client) = FakePort::new("tasks");
    server.refuses.store(true, std::sync::atomic::Ordering::Relaxed);
    let listener = serve(any_port(), ServerConfig::default(), server).await;
    let retry_refused_after = Duration::from_secs(70);
    let options = ClientConfig { retry_refused_after, ..ClientConfig::default() };
    let _dialer = dial(listener.address(), options, client);
    let report = at_client.report("lost its server").await;
    assert_eq!(again_in(&report), 70_000, "{report}");
}

#[tokio::test]
async fn a_fault_of_a_store_ends_the_link_with_a_report_that_names_store_and_peer() {
    let (server, mut at_server) = FakePort::new("tasks");
    let (client, mut at_client) = FakePort::new("tasks");
    let listener = serve(any_port(), ServerConfig::default(), server.clone()).await;
    let _dialer = dial(listener.address(), ClientConfig::default(), client);
    let (above, _) = at_server.heard().await;
    server.cut(above, LinkFault::Silent(Duration::from_secs(5)));
    let report = at_server.report("\"tasks\"").await;
    assert!(
        report.contains("client 127.0.0.1:") && report.contains("nothing was heard"),
        "{report}"
    );
    at_client.report("lost its server 127.0.0.1").await;
    at_server.heard().await;
}

#[tokio::test]
async fn a_wrong_password_is_reported_once_and_tried_slowly() {
    let (server, mut at_server) = FakePort::new("tasks");
    let (client, mut at_client) = FakePort::new("tasks");
    let listener = serve(any_port(), server_options(), server).await;
    let options = ClientConfig {
        retry_refused_after: Duration::from_millis(50),
        ..ClientConfig::default().login("app", "guess")
    };
    let _dialer = dial(listener.address(), options, client);
    let report = at_client.report("failed to connect").await;
    assert!(
        report.contains("the password is wrong") && report.contains("again in 50 ms"),
        "{report}"
    );
    at_server.report("was not let in").await;
    at_server.report("locked out").await;
    at_client.report("locked out").await;
    assert_eq!(at_client.reports_so_far("the password is wrong"), 0);
    assert_eq!(listener.locked().len(), 1);
    assert!(listener.unlock(listener.locked()[0].address));
    assert!(listener.locked().is_empty());
}

#[tokio::test]
async fn a_client_and_a_server_that_differ_about_logins_say_so() {
    let (server, _at_server) = FakePort::new("tasks");
    let (client, mut at_client) = FakePort::new("tasks");
    let open = serve(any_port(), ServerConfig::default(), server.clone()).await;
    let _insists = dial(open.address(), client_options(), client.clone());
    at_client.report("the server requires no login").await;
    let guarded = serve(any_port(), server_options(), server).await;
    let _has_none = dial(guarded.address(), ClientConfig::default(), client);
    at_client.report("the server requires a login; give the client one by `.login(..)`").await;
}

#[tokio::test]
async fn a_port_in_use_is_an_error_that_says_which_and_what_to_do() {
    let (server, _events) = FakePort::new("tasks");
    let first = serve(any_port(), ServerConfig::default(), server.clone()).await;
    let second = Listener::start(
        first.address().clone(),
        ServerConfig::default(),
        StoreRegistry::only(server),
    );
    let error = second.await.expect_err("in use").to_string();
    let address = first.address().to_string();
    assert!(error.contains(&address) && error.contains("choose another port"), "{error}");
}

#[tokio::test]
async fn a_stale_socket_file_is_taken_over_and_a_live_one_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tasks.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("binds"));
    assert!(path.exists(), "as a killed server leaves it");
    let (server, _events) = FakePort::new("tasks");
    let options = ServerConfig::default();
    let _live = serve(Address::unix(&path), options.clone(), server.clone()).await;
    let start = |path| {
        Listener::start(Address::unix(path), options.clone(), StoreRegistry::only(server.clone()))
    };
    let error = start(path).await.expect_err("in use");
    assert!(matches!(error, LinkError::SocketInUse { .. }), "{error}");
    let file = folder.path().join("notes.txt");
    std::fs::write(&file, "mine").expect("writes");
    let error = start(file.clone()).await.expect_err("no socket");
    assert!(matches!(error, LinkError::NotASocket { .. }), "{error}");
    assert_eq!(std::fs::read(&file).expect("is still there"), b"mine");
}

#[tokio::test]
async fn a_socket_file_is_for_its_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tasks.sock");
    let (server, _events) = FakePort::new("tasks");
    let _listener = serve(Address::unix(&path), ServerConfig::default(), server).await;
    let mode = std::fs::metadata(&path).expect("is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_server_whose_socket_file_was_removed_comes_back_by_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tasks.sock");
    let (server, mut at_server) = FakePort::new("tasks");
    let (client, mut at_client) = FakePort::new("tasks");
    let listener = serve(Address::unix(&path), server_options(), server).await;
    std::fs::remove_file(&path).expect("is there");
    at_server.report("its socket file was removed").await;
    let _dialer = dial(listener.address(), client_options(), client);
    at_client.up().await;
}

/// Checks that the waits of a listener grow while it stays down, and not from one failure to the
/// next.
#[tokio::test]
async fn a_listener_that_was_restored_begins_with_a_short_wait_when_it_fails_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tasks.sock");
    let (server, mut at_server) = FakePort::new("tasks");
    let (client, mut at_client) = FakePort::new("tasks");
    let listener = serve(Address::unix(&path), ServerConfig::default(), server).await;
    for _ in 0..3 {
        std::fs::remove_file(&path).expect("is there");
        let report = at_server.report("its socket file was removed").await;
        assert!((50..=100).contains(&again_in(&report)), "{report}");
        let dialer = dial(listener.address(), ClientConfig::default(), client.clone());
        at_client.up().await;
        dialer.close().await;
    }
}

#[tokio::test]
async fn plaintext_beyond_this_machine_is_warned_about_once() {
    let (server, mut at_server) = FakePort::new("tasks");
    let address = Address::tcp(Address::ALL_INTERFACES, 0);
    let listener = serve(address, ServerConfig::default(), server.clone()).await;
    at_server.report("in plaintext").await;
    listener.close().await;
    let _local = serve(any_port(), ServerConfig::default(), server).await;
    assert_eq!(at_server.reports_so_far("in plaintext"), 0);
}

#[tokio::test]
async fn a_server_on_all_interfaces_is_found_under_localhost() {
    let (server, _at_server) = FakePort::new("tasks");
    let (client, mut at_client) = FakePort::new("tasks");
    let address = Address::tcp(Address::ALL_INTERFACES, 0);
    let listener = serve(address, ServerConfig::default(), server).await;
    let Address::Tcp { port, .. } = *listener.address() else { panic!("listens on TCP") };
    let address = Address::tcp(Address::LOCALHOST, port);
    let _dialer = dial(&address, ClientConfig::default(), client);
    at_client.up().await;
}

#[tokio::test]
async fn a_store_that_the_server_does_not_have_is_refused_in_words_on_both_sides() {
    let (server, mut at_server) = FakePort::new("tasks");
    let (client, mut at_client) = FakePort::new("wishes");
    let listener = serve(any_port(), ServerConfig::default(), server).await;
    let _dialer = dial(listener.address(), ClientConfig::default(), client.clone());
    at_server.report("store `wishes` is not served here").await;
    let report = at_client.report("store `wishes` is not served here").await;
    assert!(!report.contains("again in 30000 ms"), "it may be served in a moment: {report}");
}

#[tokio::test]
async fn every_option_of_a_link_works_at_its_ends_or_is_refused_by_name() {
    let usual = ServerConfig::default;
    let ends = [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(1), Duration::MAX];
    let mut servers: Vec<(&str, ServerConfig)> = Vec::new();
    let mut clients: Vec<(&str, ClientConfig)> = Vec::new();
    for span in ends {
        let lock_out = LockOutPolicy { locked_for: span, ..LockOutPolicy::default() };
        servers.push(("login_within", ServerConfig { login_within: span, ..usual() }));
        servers.push(("stall_after", ServerConfig { stall_after: span, ..usual() }));
        servers.push(("backoff_max", ServerConfig { backoff_max: span, ..usual() }));
        servers.push(("locked_for", ServerConfig { lock_out, ..usual() }));
        let usual = ClientConfig::default;
        clients.push(("backoff_max", ClientConfig { backoff_max: span, ..usual() }));
        clients.push(("connect_within", ClientConfig { connect_within: span, ..usual() }));
        clients.push(("login_within", ClientConfig { login_within: span, ..usual() }));
        clients.push(("stall_after", ClientConfig { stall_after: span, ..usual() }));
        let options = ClientConfig { retry_refused_after: span, ..usual() };
        clients.push(("retry_refused_after", options));
    }
    for count in [0, 1, usize::MAX] {
        servers.push(("half_open_max", ServerConfig { half_open_max: count, ..usual() }));
        let options = ServerConfig { half_open_per_address_max: count, ..usual() };
        servers.push(("half_open_per_address_max", options));
        servers.push(("connections_max", ServerConfig { connections_max: count, ..usual() }));
        let failures_max = u32::try_from(count).unwrap_or(u32::MAX);
        let lock_out = LockOutPolicy { failures_max, entries_max: count, ..Default::default() };
        servers.push(("lock_out", ServerConfig { lock_out, ..usual() }));
    }
    for (name, options) in servers {
        links_or_refuses(name, options.login("app", "secret"), ClientConfig::default()).await;
    }
    for (name, options) in clients {
        links_or_refuses(name, usual().login("app", "secret"), options).await;
    }
}

/// With these options a client links to a server, or either is refused by the option's name.
async fn links_or_refuses(name: &str, server_options: ServerConfig, options: ClientConfig) {
    let server_options = server_options.login_rounds(Iterations::MIN);
    let (server, mut at_server) = FakePort::new("tasks");
    let (client, _at_client) = FakePort::new("tasks");
    let refused = |error: LinkError| match error {
        LinkError::BadOption { name: refused, .. } => assert_eq!(refused, name),
        error => panic!("{name}: {error}"),
    };
    let listener =
        match Listener::start(any_port(), server_options, StoreRegistry::only(server)).await {
            Ok(listener) => listener,
            Err(error) => return refused(error),
        };
    let options = options.login("app", "secret");
    match Connector::start(listener.address().clone(), options, StoreRegistry::only(client)) {
        Ok(dialer) => {
            at_server.first(name, |event| matches!(event, Event::Up(_)).then_some(())).await;
            dialer.close().await;
        }
        Err(error) => refused(error),
    }
    listener.close().await;
}
