//! Tests that measure the memory of their process: each runs in a process of its own.
//!
//! The tests of one binary share a process, and what one of them allocates would count against the
//! bound of another.

use std::process::Command;

/// Names the one test that this process runs.
const ALONE: &str = "SAMESTATE_TEST_ALONE";

/// Runs `body`, the whole of the test that calls this, in a process that runs no other test.
pub(super) fn alone<F: AsyncFnOnce()>(body: F) {
    // The closure's path is that of the test: `hostile::costs::name_of_the_test::{{closure}}`.
    let closure = std::any::type_name::<F>();
    let path = closure.split_once("::").and_then(|(_, path)| path.rsplit_once("::"));
    let (test, _) = path.expect("a closure lies in a function of a crate");
    if std::env::var_os(ALONE).is_some_and(|alone| alone == test) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        return runtime.expect("a runtime starts").block_on(body());
    }
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.args([test, "--exact", "--nocapture"]).env(ALONE, test);
    let output = command.output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{test}, alone: {}\n{said}{failed}", output.status);
    assert!(said.contains("1 passed"), "{test} is no test of this program:\n{said}");
}
