//! Checks that no fault logs a password, an action or a state.

use samestate::{
    ClientConfig, DispatchError, Mode, Reject, ServerConfig, StoreBuilder, UndoPanics, create_store,
};
use serde::{Deserialize, Serialize};
use tracing::Level;

use super::captured::{Line, Log};
use super::links::within;

const STORE: &str = "vault";
const PASSWORD: &str = "hush-password";
const ACTION: &str = "hush-action";
const STATE: &str = "hush-state";

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Vault {
    notes: Vec<String>,
}

/// A reducer that dies of `deadly` notes, quoting them, and refuses empty ones, quoting the state.
fn vault(deadly: bool) -> StoreBuilder<Vault, String> {
    let reduce = move |vault: &mut Vault, note: &String| -> Result<(), Reject> {
        if note.is_empty() {
            return Err(Reject::from(format!("no room beside {:?}", vault.notes)));
        }
        assert!(!(deadly && note.contains("deadly")), "I cannot take {note:?}");
        vault.notes.push(note.clone());
        Ok(())
    };
    create_store(STORE, reduce).mode(Mode::Action).on_error(|_| {})
}

#[tokio::test]
async fn no_password_action_or_state_is_ever_logged() {
    let mut log = Log::begin();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("s");
    let preloaded = Vault { notes: vec![STATE.to_owned()] };
    let server = vault(false).preloaded(preloaded).open().await.expect("it opens");
    server
        .create_server(ServerConfig::unix(&path).login("app", PASSWORD).login_rounds(4096))
        .await
        .expect("it listens");
    let login = || ClientConfig::unix(&path).login("app", PASSWORD);
    let client = vault(true).client(login()).open().await.expect("it comes in sync");

    // Dies at one replica only, which heals; is refused by all; kills the sequencer's reducer.
    server.dispatch(format!("deadly {ACTION}")).await.expect("it applies there");
    log.line(|line| line.field("store") == STORE && line.message == "healed").await;
    within(client.until_connected(true)).await;
    let refused = client.dispatch(String::new()).await.expect_err("it is refused");
    assert!(matches!(refused, DispatchError::Rejected(why) if why.contains(STATE)));
    let lonely = vault(true).undo_panics(UndoPanics::Never).open().await.expect("it opens");
    lonely.dispatch(format!("deadly {ACTION}")).await.expect_err("it dies");
    let poisoned = |line: &Line| line.field("store") == STORE && line.message == "poisoned";
    assert_eq!(log.line(poisoned).await.level, Level::ERROR);
    let undoing = vault(true).open().await.expect("it opens");
    undoing.dispatch(format!("deadly {ACTION}")).await.expect_err("it is undone");
    let undone = |line: &Line| line.field("store") == STORE && line.message == "panic undone";
    assert_eq!(log.line(undone).await.level, Level::ERROR);

    // A copy whose states are something else, so that its decoder complains of what it reads.
    let other = create_store(STORE, |count: &mut u32, by: &u32| *count += by).on_error(|_| {});
    let other = other.client(login()).start().expect("it starts");
    let lost = |line: &Line| {
        line.field("store") == STORE && line.field("reason") == "the snapshot cannot be decoded"
    };
    assert!(log.line(lost).await.is("link", "lost"));
    assert!(!other.is_connected());
    let wrong = vault(false).client(ClientConfig::unix(&path).login("app", "hush-other"));
    let _wrong = wrong.start().expect("it starts");
    let refused = |line: &Line| line.field("store") == STORE && line.message == "login refused";
    log.line(refused).await;

    let text = log.text();
    assert!(text.contains("vault"), "it is captured");
    assert!(!text.contains("hush"), "a secret is logged: {text}");
}
