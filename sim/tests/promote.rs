//! `samestate promote` as its user has it: the program itself, and a standby in this process.

use std::process::Command;
use std::time::Duration;

use samestate::{ClientConfig, ServerConfig, Store, create_store};
use tokio::runtime::Runtime;

const DEADLINE: Duration = Duration::from_secs(30);

fn server(path: &std::path::Path) -> ServerConfig {
    ServerConfig::unix(path).login("app", "secret").operator("ops", "other").login_rounds(4096)
}

fn promote(address: &str, login: Option<(&str, &str)>) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_samestate"));
    command.args(["promote", address, "--store", "sum"]).env_remove("SAMESTATE_PASSWORD");
    if let Some((login, password)) = login {
        command.args(["--login", login]).env("SAMESTATE_PASSWORD", password);
    }
    let output = command.output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn an_operator_makes_a_standby_the_sequencer_and_is_told_why_where_that_cannot_be() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [first, second] = ["a", "b"].map(|name| folder.path().join(name));
    let runtime = Runtime::new().expect("a runtime");
    let add = |sum: &mut u64, by: &u64| *sum += by;
    let store = || create_store("sum", add).on_error(|_| {});
    let (root, standby): (Store<u64, u64>, Store<u64, u64>) = runtime.block_on(async {
        let root = store().open().await.expect("it opens");
        root.create_server(server(&first)).await.expect("it listens");
        let client = ClientConfig::unix(&first).login("app", "secret");
        let standby = store().standby().client(client).open().await.expect("it comes in sync");
        standby.create_server(server(&second)).await.expect("it listens");
        root.dispatch(3).await.expect("it applies");
        (root, standby)
    });
    let address = format!("unix:{}", second.display());
    let refused = |login, words: &str| {
        let (code, out, err) = promote(&address, login);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
        assert!(
            err.starts_with("error: store `sum` was not promoted: ") && err.contains(words),
            "{err}"
        );
    };
    refused(None, "give one with --login");
    refused(Some(("app", "secret")), "only an operator may promote a store");
    refused(Some(("ops", "other")), "its sequencer can be reached, and orders");
    let nowhere = format!("unix:{}", folder.path().join("nobody").display());
    let (code, _, err) = promote(&nowhere, Some(("ops", "other")));
    assert!(code == Some(1) && err.contains("nobody: failed to connect"), "{code:?} {err}");
    let (code, _, err) = promote("b:c:d", Some(("ops", "other")));
    assert!(code == Some(2) && err.contains("invalid address"), "{code:?} {err}");

    runtime.block_on(async {
        root.close(DEADLINE).await.expect("it closes");
        let gone = tokio::time::timeout(DEADLINE, standby.until_connected(false));
        gone.await.expect("it loses its sequencer");
    });
    let (code, out, err) = promote(&address, Some(("ops", "other")));
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.starts_with(&format!("store `sum` is ordered at {address} now, from")), "{out}");
    runtime.block_on(standby.dispatch(4)).expect("it orders");
    assert_eq!(*standby.state(), 7);
}
