//! Whole conversations, honest and not.

use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use proptest::prelude::*;

use super::logins::Verifier;
use super::*;
use crate::auth::secret::ServerSecret;

fn fast() -> Iterations {
    Iterations::new(Iterations::MIN).expect("the least is allowed")
}

/// Derived once for all tests: it costs more than all the rest.
fn logins() -> Arc<Logins> {
    static LOGINS: OnceLock<Arc<Logins>> = OnceLock::new();
    let derived = LOGINS.get_or_init(|| {
        let mut logins = Logins::new(&ServerSecret::new([1; 32]), fast());
        logins.add("app", "secret").expect("valid");
        logins.add("a,b=c", "s,e=c").expect("valid");
        Arc::new(logins)
    });
    derived.clone()
}

fn server(nonce: u8) -> ServerHandshake {
    ServerHandshake::new(logins(), Nonce::new([nonce; NONCE_BYTES]))
}

fn client(login: &str, password: &str, nonce: u8) -> ClientHandshake {
    let credentials = Credentials::new(login, password).expect("valid");
    ClientHandshake::new(credentials, Nonce::new([nonce; NONCE_BYTES]))
}

fn challenge(server: &mut ServerHandshake, first: &[u8]) -> Vec<u8> {
    match server.step(first) {
        Ok(ServerStep::Reply(reply)) => reply,
        other => panic!("a challenge was expected, not {other:?}"),
    }
}

fn proof(client: &mut ClientHandshake, challenge: &[u8]) -> Vec<u8> {
    match client.step(challenge) {
        Ok(ClientStep::Reply(reply)) => reply,
        other => panic!("a proof was expected, not {other:?}"),
    }
}

/// All up to the server's verdict.
fn converse(
    client: &mut ClientHandshake,
    server: &mut ServerHandshake,
) -> Result<ServerStep, AuthError> {
    let asked = challenge(server, &client.start());
    let answer = proof(client, &asked);
    server.step(&answer)
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("the messages are text")
}

/// RFC 7677, section 3.
mod rfc7677 {
    pub(super) const CLIENT_FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    pub(super) const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
        s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    pub(super) const CLIENT_FINAL: &str = "c=biws,\
        r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    pub(super) const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
}

#[test]
fn the_client_says_what_rfc_7677_says() {
    let credentials = Credentials::new("user", "pencil").expect("valid");
    let mut client = ClientHandshake::new(credentials, Nonce::from_text("rOprNGfwEbeRWgbNEkqO"));
    assert_eq!(text(&client.start()), rfc7677::CLIENT_FIRST);
    let answer = proof(&mut client, rfc7677::SERVER_FIRST.as_bytes());
    assert_eq!(text(&answer), rfc7677::CLIENT_FINAL);
    assert_eq!(client.step(rfc7677::SERVER_FINAL.as_bytes()), Ok(ClientStep::Accepted));
}

#[test]
fn the_server_says_what_rfc_7677_says() {
    let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
    let mut logins = Logins::new(&ServerSecret::new([1; 32]), fast());
    logins.verifiers.insert("user".into(), Verifier::derive("pencil", &salt, fast()));
    let nonce = Nonce::from_text("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0");
    let mut server = ServerHandshake::new(Arc::new(logins), nonce);
    let asked = challenge(&mut server, rfc7677::CLIENT_FIRST.as_bytes());
    assert_eq!(text(&asked), rfc7677::SERVER_FIRST);
    let reply = rfc7677::SERVER_FINAL.as_bytes().to_vec();
    let accepted = ServerStep::Accepted { login: "user".into(), reply };
    assert_eq!(server.step(rfc7677::CLIENT_FINAL.as_bytes()), Ok(accepted));
}

#[test]
fn the_right_password_lets_in_and_both_sides_are_proved() {
    for (login, password) in [("app", "secret"), ("a,b=c", "s,e=c")] {
        let (mut client, mut server) = (client(login, password, 1), server(2));
        match converse(&mut client, &mut server) {
            Ok(ServerStep::Accepted { login: accepted, reply }) => {
                assert_eq!(accepted, login);
                assert_eq!(client.step(&reply), Ok(ClientStep::Accepted));
            }
            other => panic!("{login} was expected to be let in, not {other:?}"),
        }
    }
}

#[test]
fn the_password_never_travels() {
    let (mut client, mut server) = (client("app", "secret", 1), server(2));
    let asked = challenge(&mut server, &client.start());
    let answer = proof(&mut client, &asked);
    for message in [client.start(), asked, answer] {
        assert!(!text(&message).contains("secret"));
    }
}

#[test]
fn a_wrong_password_is_refused_and_the_client_is_told() {
    let (mut client, mut server) = (client("app", "Secret", 1), server(2));
    let error = converse(&mut client, &mut server).expect_err("the password is wrong");
    assert_eq!(error, AuthError::WrongProof { login: "app".into() });
    let told = AuthError::Refused { login: "app".into(), refusal: Refusal::WrongLogin };
    assert_eq!(client.step(&error.reply()), Err(told));
}

#[test]
fn an_unknown_login_cannot_be_told_from_a_wrong_password() {
    let shape = |login: &str, nonce: u8| {
        let (mut client, mut server) = (client(login, "wrong", nonce), server(nonce));
        let asked = challenge(&mut server, &client.start());
        let parsed = super::message::ServerFirst::parse(&asked).expect("a challenge");
        let answer = proof(&mut client, &asked);
        let error = server.step(&answer).expect_err("the password is wrong");
        (asked.len(), parsed.salt, parsed.iterations, error.reply())
    };
    let (known, unknown) = (shape("app", 1), shape("zzz", 2));
    assert_eq!((known.0, known.2, &known.3), (unknown.0, unknown.2, &unknown.3));
    assert_ne!(known.1, unknown.1, "each login has its own salt");
    assert_eq!(unknown.1, shape("zzz", 3).1, "which is the same each time");
}

#[test]
fn a_server_that_does_not_know_the_password_is_found_out() {
    let (mut client, mut server) = (client("app", "secret", 1), server(2));
    let Ok(ServerStep::Accepted { reply, .. }) = converse(&mut client, &mut server) else {
        panic!("the password is right");
    };
    let mut signature = BASE64.decode(&reply[2..]).expect("base64");
    signature[31] ^= 1;
    let tampered = format!("v={}", BASE64.encode(signature));
    let found_out = AuthError::ServerNotProved { login: "app".into() };
    assert_eq!(client.step(tampered.as_bytes()), Err(found_out));
    assert_eq!(client.step(&reply), Err(AuthError::Over), "and gets no second chance");
}

#[test]
fn a_recorded_conversation_does_not_let_its_replayer_in() {
    let mut honest = client("app", "secret", 1);
    let mut recorded = server(2);
    let first = honest.start();
    let asked = challenge(&mut recorded, &first);
    let answer = proof(&mut honest, &asked);
    assert!(matches!(recorded.step(&answer), Ok(ServerStep::Accepted { .. })));
    assert_eq!(recorded.step(&answer), Err(AuthError::Over));

    let mut anew = server(3);
    let asked_anew = challenge(&mut anew, &first);
    assert_eq!(anew.step(&answer), Err(AuthError::NonceMismatch));

    // Nor with the new nonce written over the old one: the proof covers it.
    let (old, new) = (text(&asked), text(&asked_anew));
    let nonce = |message: &str| message.split(',').next().expect("a nonce").to_owned();
    let forged = text(&answer).replace(&nonce(old), &nonce(new));
    let mut anew = server(3);
    challenge(&mut anew, &first);
    assert_eq!(anew.step(forged.as_bytes()), Err(AuthError::WrongProof { login: "app".into() }));
}

#[test]
fn a_challenge_that_is_not_for_this_client_is_refused() {
    let mut other = server(2);
    let for_another = challenge(&mut other, &client("app", "secret", 9).start());
    let error = client("app", "secret", 1).step(&for_another);
    assert_eq!(error, Err(AuthError::NonceMismatch));

    // And one to which the server added nothing of its own.
    let mut lonely = client("app", "secret", 1);
    let nonce = text(&lonely.start()).rsplit_once("r=").expect("a nonce").1.to_owned();
    let echo = format!("r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
    assert_eq!(lonely.step(echo.as_bytes()), Err(AuthError::NonceMismatch));
}

#[test]
fn a_hostile_server_can_ask_for_neither_too_little_work_nor_too_much() {
    for asked in [1, 4095, 1_000_001, u32::MAX] {
        let mut client = client("app", "secret", 1);
        let nonce = text(&client.start()).rsplit_once("r=").expect("a nonce").1.to_owned();
        let challenge = format!("r={nonce}more,s=W22ZaJ0SNY7soEsUEjb6gQ==,i={asked}");
        assert_eq!(client.step(challenge.as_bytes()), Err(AuthError::Iterations { asked }));
    }
}

#[test]
fn a_reconnect_derives_nothing_anew() {
    let credentials = Credentials::new("app", "secret").expect("valid");
    for nonce in 1..=2 {
        let mut client =
            ClientHandshake::new(credentials.clone(), Nonce::new([nonce; NONCE_BYTES]));
        let mut server = server(nonce + 100);
        assert!(matches!(converse(&mut client, &mut server), Ok(ServerStep::Accepted { .. })));
        assert!(credentials.has_derived(&logins().verifier("app").0.salt));
    }
}

#[test]
fn a_client_refused_before_it_was_asked_anything_says_why() {
    let refused = client("app", "secret", 1).step(&Refusal::LockedOut.reply());
    let told = AuthError::Refused { login: "app".into(), refusal: Refusal::LockedOut };
    assert_eq!(refused, Err(told));
}

#[test]
fn an_acceptance_nobody_asked_a_proof_for_is_refused() {
    let forged = format!("v={}", BASE64.encode([0; 32]));
    let refused = client("app", "secret", 1).step(forged.as_bytes());
    assert!(matches!(refused, Err(AuthError::Malformed { .. })), "{refused:?}");
}

#[test]
fn every_message_cut_short_is_an_error_and_never_a_login() {
    let mut honest = client("app", "secret", 1);
    let mut recorded = server(2);
    let first = honest.start();
    let asked = challenge(&mut recorded, &first);
    let answer = proof(&mut honest, &asked);
    let Ok(ServerStep::Accepted { reply, .. }) = recorded.step(&answer) else {
        panic!("the password is right");
    };
    for cut in 0..answer.len() {
        let mut server = server(2);
        challenge(&mut server, &first);
        assert!(server.step(&answer[..cut]).is_err(), "{cut} bytes of the proof");
    }
    let credentials = Credentials::new("app", "secret").expect("valid");
    for cut in 0..reply.len() {
        let nonce = Nonce::new([1; NONCE_BYTES]);
        let mut client = ClientHandshake::new(credentials.clone(), nonce);
        proof(&mut client, &asked);
        assert!(client.step(&reply[..cut]).is_err(), "{cut} bytes of the signature");
    }
    // A challenge cut inside its last number is another number: the proof made of it fails.
    for cut in 0..asked.len() - 4 {
        let nonce = Nonce::new([1; NONCE_BYTES]);
        let mut client = ClientHandshake::new(credentials.clone(), nonce);
        assert!(client.step(&asked[..cut]).is_err(), "{cut} bytes of the challenge");
    }
}

/// Any bytes, and bytes that begin as the messages do.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..1200),
        "(n,,n=|r=|c=biws,r=|v=|e=|n,,)[ -~]{0,80}".prop_map(String::into_bytes),
        "n,,n=(=|=2C|=3D|[a-zž🐎]){0,6},r=[!-~]{0,40}".prop_map(String::into_bytes),
        "r=[!-~]{0,20},s=[A-Za-z0-9+/=]{0,24},i=[0-9]{0,11}".prop_map(String::into_bytes),
        "c=biws,r=[!-~]{0,20},p=[A-Za-z0-9+/=]{0,50}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn no_message_makes_a_server_panic_or_let_anyone_in(
        first in garbage(),
        second in garbage(),
    ) {
        let mut fresh = server(2);
        let let_in = |step| matches!(step, Ok(ServerStep::Accepted { .. }));
        prop_assert!(!let_in(fresh.step(&first)));
        prop_assert!(!let_in(fresh.step(&second)));
        let mut asked = server(2);
        challenge(&mut asked, b"n,,n=app,r=nonce");
        prop_assert!(asked.step(&second).is_err());
    }

    #[test]
    fn no_message_makes_a_client_panic_or_believe(message in garbage()) {
        prop_assert!(client("app", "secret", 1).step(&message).is_err());
    }

    #[test]
    fn a_flipped_bit_anywhere_in_a_proof_is_refused(at in 0_usize..1000, bit in 0_u32..8) {
        static CREDENTIALS: OnceLock<Credentials> = OnceLock::new();
        let credentials =
            CREDENTIALS.get_or_init(|| Credentials::new("app", "secret").expect("valid"));
        let mut client = ClientHandshake::new(credentials.clone(), Nonce::new([1; NONCE_BYTES]));
        let mut server = server(2);
        let asked = challenge(&mut server, &client.start());
        let mut answer = proof(&mut client, &asked);
        let at = at % answer.len();
        answer[at] ^= 1 << bit;
        prop_assert!(server.step(&answer).is_err());
    }
}
