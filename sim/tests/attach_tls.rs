//! `samestate attach` over TLS: the program itself, against a server of this process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use samestate::{Address, ServerTls};
use samestate::{ServerConfig, Store, Tls, create_store};
use tokio::runtime::Runtime;

const DEADLINE: Duration = Duration::from_secs(30);

/// A CA, its files, and those of certificates for `localhost`.
struct Ca {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("it is written");
        let ca = Ca { issuer: Issuer::new(params, key), folder };
        ca.issue("server", "localhost");
        ca.issue("console", "console");
        ca
    }

    /// Makes `FILE.pem` and `FILE.key`.
    fn issue(&self, file: &str, name: &str) {
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        std::fs::write(self.path(&format!("{file}.pem")), certificate.pem()).expect("written");
        std::fs::write(self.path(&format!("{file}.key")), key.serialize_pem()).expect("written");
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn server(&self) -> ServerTls {
        Tls::server(self.path("server.pem"), self.path("server.key"))
    }
}

/// A served counter.
struct Served {
    store: Store<i64, i64>,
    port: u16,
    _runtime: Runtime,
}

impl Served {
    fn new(tls: Option<ServerTls>) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let mut server = ServerConfig::tcp("127.0.0.1:0").login("admin", "secret");
        if let Some(tls) = tls {
            server = server.tls(tls);
        }
        let (store, serving) = runtime.block_on(async {
            let add = |sum: &mut i64, by: &i64| *sum += by;
            let store = create_store("sum", add).on_error(|_| {}).open().await.expect("it opens");
            let serving = store.create_server(server).await.expect("it listens");
            (store, serving)
        });
        let Address::Tcp { port, .. } = *serving.address() else { panic!("it listens on TCP") };
        Served { store, port, _runtime: runtime }
    }

    /// Runs a script with these options: exit code, output, complaints.
    fn attach(&self, options: &[&str], script: &str) -> (Option<i32>, String, String) {
        attach(&format!("localhost:{}", self.port), options, script)
    }
}

fn attach(address: &str, options: &[&str], script: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_samestate"));
    command.args(["attach", address, "--store", "sum", "--login", "admin"]).args(options);
    command.env("SAMESTATE_PASSWORD", "secret");
    let mut command = assert_cmd::Command::from_std(command);
    let output = command.timeout(DEADLINE).write_stdin(script).output().expect("it ends in time");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn word(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn a_console_with_the_ca_reads_and_dispatches_over_tls() {
    let ca = Ca::new();
    let served = Served::new(Some(ca.server()));
    let (code, out, err) = served.attach(&["--tls-ca", word(&ca.path("ca.pem"))], "5\nP\nstatus\n");
    assert_eq!((err.as_str(), code), ("", Some(0)));
    assert!(out.starts_with("applied at e1:1\n5\n"), "{out}");
    assert!(out.contains(&format!("localhost:{}, by TLS", served.port)), "{out}");
    assert_eq!(*served.store.state(), 5);
}

#[test]
fn a_host_that_the_certificate_is_not_for_is_named_and_so_is_the_option_that_helps() {
    let ca = Ca::new();
    ca.issue("server", "alpha.example");
    let served = Served::new(Some(ca.server()));
    let ca_file = ca.path("ca.pem");
    let trusting = ["--tls-ca", word(&ca_file)];
    let (code, _, err) = served.attach(&[&trusting[..], &["--timeout", "500ms"]].concat(), "P\n");
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("for alpha.example, not for localhost"), "{err}");
    assert!(err.contains("give it with --tls-name"), "{err}");
    assert!(err.contains("refuses: the server's certificate is for alpha.example"), "{err}");
    let named = [&trusting[..], &["--tls-name", "alpha.example"]].concat();
    assert_eq!(served.attach(&named, "P\n"), (Some(0), "0\n".into(), String::new()));
}

#[test]
fn a_server_that_asks_for_a_certificate_gets_the_consoles_own() {
    let ca = Ca::new();
    let served = Served::new(Some(ca.server().client_ca(ca.path("ca.pem"))));
    let (ca_file, own, key) = (ca.path("ca.pem"), ca.path("console.pem"), ca.path("console.key"));
    let without = ["--tls-ca", word(&ca_file)];
    let (code, _, err) = served.attach(&[&without[..], &["--timeout", "500ms"]].concat(), "P\n");
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("give this client one with --tls-cert and --tls-key"), "{err}");
    let with = [&without[..], &["--tls-cert", word(&own), "--tls-key", word(&key)]].concat();
    assert_eq!(served.attach(&with, "P\n"), (Some(0), "0\n".into(), String::new()));
}

#[test]
fn each_file_of_no_use_is_named_before_anything_is_tried() {
    let (ca, other) = (Ca::new(), Ca::new());
    let (ca_file, own) = (ca.path("ca.pem"), ca.path("console.pem"));
    let (missing, key, others) =
        (ca.path("no.pem"), ca.path("server.key"), other.path("server.key"));
    let (ca_file, own, missing) = (word(&ca_file), word(&own), word(&missing));
    let (key, others) = (word(&key), word(&others));
    let nowhere = "localhost:1";
    for (address, options, words, more) in [
        (nowhere, vec!["--tls-ca", missing], "failed to read the CA certificate", "No such file"),
        (nowhere, vec!["--tls-ca", key], "no CA certificate in", "are two files mixed up?"),
        (
            nowhere,
            vec!["--tls-ca", ca_file, "--tls-cert", own, "--tls-key", others],
            "does not belong to the certificate in",
            "console.pem",
        ),
        (
            nowhere,
            vec!["--tls-ca", ca_file, "--tls-name", "not a name"],
            "\"not a name\" is no name",
            "--tls-name",
        ),
        ("unix:/nowhere", vec!["--tls-ca", ca_file], "TLS is for TCP", "leave out --tls-ca"),
    ] {
        let (code, out, err) = attach(address, &options, "P\n");
        assert_eq!((code, out.as_str()), (Some(2), ""), "{options:?}: {err}");
        assert!(err.contains(words) && err.contains(more), "{options:?}: {err}");
        assert!(!err.contains("`."), "an option's name, not a method's: {err}");
    }
    for options in [vec!["--tls-cert", own], vec!["--tls-ca", ca_file, "--tls-cert", own]] {
        let (code, _, err) = attach(nowhere, &options, "P\n");
        assert_eq!(code, Some(2), "{err}");
        assert!(err.contains("--tls-key"), "{err}");
    }
}

#[test]
fn a_ca_that_did_not_sign_the_servers_certificate_is_named() {
    let (ca, other) = (Ca::new(), Ca::new());
    let served = Served::new(Some(ca.server()));
    let file = other.path("ca.pem");
    let (code, _, err) = served.attach(&["--tls-ca", word(&file), "--timeout", "500ms"], "P\n");
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains(&format!("not signed by a CA in {}", word(&file))), "{err}");
}

#[test]
fn where_one_side_alone_speaks_tls_the_console_says_which_option_to_give_or_leave() {
    let ca = Ca::new();
    let served = Served::new(Some(ca.server()));
    let (code, out, err) = served.attach(&[], "P\n");
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    assert!(err.contains("refuses: the server speaks nothing but TLS"), "{err}");
    assert!(err.contains("give its CA with --tls-ca"), "{err}");

    let plain = Served::new(None);
    let ca_file = ca.path("ca.pem");
    let tls = ["--tls-ca", word(&ca_file), "--timeout", "500ms"];
    let (code, _, err) = plain.attach(&tls, "P\n");
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("the server does not speak TLS"), "{err}");
    assert!(err.contains("leave out --tls-ca"), "{err}");
}
