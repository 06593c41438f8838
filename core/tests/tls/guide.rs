//! The commands of `docs/tls.md` do what they say.

use std::process::Command;

use samestate::Tls;

use super::scene::Served;

const GUIDE: &str = include_str!("../../../docs/tls.md");

#[tokio::test]
#[ignore = "runs the `openssl` of this machine, version 3"]
async fn the_openssl_commands_of_the_guide_make_files_that_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut commands = 0;
    for block in GUIDE.split("```sh\n").skip(1) {
        let command = block.split("```").next().expect("a block");
        let ran = Command::new("sh").args(["-ec", command]).current_dir(&folder).output();
        let ran = ran.expect("it runs");
        assert!(ran.status.success(), "{command}\n{}", String::from_utf8_lossy(&ran.stderr));
        commands += 1;
    }
    assert_eq!(commands, 3);
    let file = |name| folder.path().join(name);
    let server = Tls::server(file("server.pem"), file("server.key")).client_ca(file("ca.pem"));
    let client = Tls::client(file("ca.pem")).certificate(file("client.pem"), file("client.key"));
    let served = Served::new(Some(server)).await;
    served.is_served(client.clone()).await;
    served.is_served(client.name("alpha.example")).await;
    let without = Tls::client(file("ca.pem"));
    served.is_refused(Some(without), "asks for a client's certificate").await;
}
