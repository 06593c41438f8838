//! A5: who does not know the password learns nothing, and is locked out after five wrong ones.

use samestate::LockOutPolicy;
use samestate::{ClientConfig, ServerConfig, StoreBuilder};

use super::ports::free_port;
#[cfg(unix)]
use super::proxy::Proxy;
use super::scene::{DEADLINE, Place, client, list, push, within};

/// Returns the error that a client gets that tries once.
async fn told(client: ClientConfig) -> String {
    let (sender, mut errors) = tokio::sync::mpsc::unbounded_channel();
    let store: StoreBuilder<Vec<u64>, u64> = samestate::create_store("list", push);
    let store = store.on_error(move |event| drop(sender.send(event.to_string()))).client(client);
    let store = store.start().expect("it starts");
    let told = within("a refusal", errors.recv()).await.expect("it is said");
    assert!(!store.is_connected());
    store.close(DEADLINE).await.expect("it closes");
    told
}

#[tokio::test]
async fn a05_many_clients_share_a_login_and_each_login_has_its_password() {
    let place = Place::new();
    let server = list().open().await.expect("it opens");
    server.create_server(place.server().login("console", "other")).await.expect("it listens");
    let logins = [("app", "secret"), ("app", "secret"), ("console", "other")];
    for (number, (login, password)) in logins.into_iter().enumerate() {
        let client = place.client().login(login, password);
        let client = list().client(client).open().await.expect("it is let in");
        client.dispatch(number as u64).await.expect("it applies");
    }
    assert_eq!(*server.state(), [0, 1, 2]);
    let crossed = told(place.client().login("console", "secret")).await;
    assert!(crossed.contains("refuses login"), "{crossed}");
}

#[cfg(unix)]
#[tokio::test]
async fn a05_the_password_never_crosses_in_clear_nor_twice_in_the_same_form() {
    let place = Place::new();
    let server = list().open().await.expect("it opens");
    let serving =
        ServerConfig::path(place.path()).login("app", "correct horse battery").login_rounds(4096);
    server.create_server(serving).await.expect("it listens");
    let seen = Proxy::before(&place.path(), place.path().with_extension("seen"));
    let mut logins = Vec::new();
    for _ in 0..2 {
        let client = client(seen.path()).login("app", "correct horse battery");
        let client = list().client(client).open().await.expect("it comes in sync");
        client.close(DEADLINE).await.expect("it closes");
        logins.push(seen.bytes());
        seen.forget();
    }
    for bytes in &logins {
        let crossed = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
        assert!(crossed(b"n=app"), "the login itself is what SCRAM says in clear");
        assert!(!crossed(b"correct horse"));
    }
    let proof = |bytes: &[u8]| {
        let at = bytes.windows(3).position(|window| window == b",p=").expect("a proof");
        bytes[at..at + 40].to_vec()
    };
    assert_ne!(proof(&logins[0]), proof(&logins[1]), "nothing that could be sent again");
}

#[test]
fn a05_five_wrong_attempts_lock_an_address_out_for_three_hours() {
    let policy = LockOutPolicy::default();
    assert_eq!((policy.failures_max, policy.locked_for.as_secs()), (5, 3 * 60 * 60));
}

async fn locks_out(server: ServerConfig, client: impl Fn(&str) -> ClientConfig) {
    let store = list().open().await.expect("it opens");
    store.create_server(server).await.expect("it listens");
    for _ in 0..5 {
        let refused = told(client("wrong")).await;
        assert!(refused.contains("refuses login"), "{refused}");
    }
    let refused = told(client("secret")).await;
    assert!(refused.contains("locked out"), "even with the right password: {refused}");
}

#[tokio::test]
async fn a05_who_guessed_five_times_is_shut_out_on_tcp() {
    let address = format!("127.0.0.1:{}", free_port());
    let server = ServerConfig::tcp(&address).login("app", "secret").login_rounds(4096);
    locks_out(server, |password| ClientConfig::tcp(&address).login("app", password)).await;
}

#[tokio::test]
async fn a05_who_guessed_five_times_is_shut_out_on_a_file_socket_too() {
    let place = Place::new();
    locks_out(place.server(), |password| place.client().login("app", password)).await;
}
