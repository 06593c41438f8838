//! The handshake: hellos, and the proof of password on both sides.

use std::sync::LazyLock;
use std::time::Duration;

use super::script::{Script, put};
use crate::auth::scram::MESSAGE_BYTES_MAX;
use crate::auth::{
    AuthError, ClientHandshake, ClientStep, Credentials, Gate, Iterations, LockOutPolicy, Logins,
    NONCE_BYTES, Nonce, PeerAddress, Refused, ServerSecret, Ticket, VisitStep,
};
use crate::link::hello::fuzzed;

const LOGIN: &str = "app";
const PASSWORD: &str = "secret";
const NOW: Duration = Duration::from_secs(60);

/// The kinds of a script's messages.
const HELLO: u8 = 0;
const TO_SERVER: u8 = 1;
const TO_CLIENT: u8 = 2;
const TICKET: u8 = 3;
/// The next visitor of the same server.
const NEXT: u8 = 4;

static LOGINS: LazyLock<Logins> = LazyLock::new(|| {
    let mut logins = Logins::new(&secret(), Iterations::new(Iterations::MIN).expect("the least"));
    logins.add(LOGIN, PASSWORD).expect("valid");
    logins
});

static CREDENTIALS: LazyLock<Credentials> =
    LazyLock::new(|| Credentials::new(LOGIN, PASSWORD).expect("valid"));

fn secret() -> ServerSecret {
    ServerSecret::new([7; 32])
}

fn client() -> ClientHandshake {
    ClientHandshake::new(CREDENTIALS.clone(), Nonce::new([1; NONCE_BYTES]))
}

fn gate() -> std::sync::Arc<Gate> {
    Gate::with(&secret(), LOGINS.clone(), LockOutPolicy::default())
}

/// Feeds clients of one server, each with the same nonce, which real ones never have, so that a
/// recorded proof is valid here. Checks that a client that is accepted proved the one login there
/// is, that five wrong proofs lock an address out, that no answer is longer than a message may be,
/// and that nothing follows the end.
pub(super) fn handshake(data: &[u8]) {
    let (gate, mut client) = (gate(), client());
    let mut ticket = None;
    let visit = |ticket| {
        let address = PeerAddress::User(1);
        gate.visit(address, 9, ticket, Nonce::new([2; NONCE_BYTES]))
    };
    let (mut visitor, mut over) = (visit(None), false);
    let (mut wrong, mut client_over) = (0, false);
    for (kind, body) in Script(data) {
        match kind {
            HELLO => fuzzed::read(body),
            NEXT => (visitor, over) = (visit(ticket), false),
            TICKET => {
                ticket = Ticket::from_bytes(body).ok();
                let again = ticket.map(|ticket| ticket.to_bytes());
                assert!(again.is_none_or(|again| again == body), "a ticket is not what was sent");
            }
            TO_SERVER => match visitor.step(body, NOW) {
                Ok(VisitStep::Reply(reply)) => {
                    assert!(!over && reply.len() <= MESSAGE_BYTES_MAX);
                }
                Ok(VisitStep::Accepted { login, reply, .. }) => {
                    assert!(!over && login == LOGIN && reply.len() <= MESSAGE_BYTES_MAX);
                    (over, wrong) = (true, 0);
                }
                Err(refused) => {
                    assert!(refused.reply().len() <= MESSAGE_BYTES_MAX);
                    let late = Refused::Failed {
                        address: PeerAddress::User(1),
                        error: AuthError::Over,
                        locked_out: None,
                    };
                    let locked_out = matches!(refused, Refused::LockedOut(_));
                    assert!(!over || locked_out || refused == late, "{refused} after the end");
                    let failed = matches!(
                        refused,
                        Refused::Failed { error: AuthError::WrongProof { .. }, .. }
                    );
                    wrong += u32::from(failed);
                    assert!(wrong <= 5 || ticket.is_some(), "{wrong} proofs were looked at");
                    over = true;
                }
            },
            TO_CLIENT => match client.step(body) {
                Ok(ClientStep::Reply(reply)) => {
                    assert!(!client_over && reply.len() <= MESSAGE_BYTES_MAX);
                }
                Ok(ClientStep::Accepted) | Err(_) => client_over = true,
            },
            _ => {}
        }
    }
}

/// Returns the messages of both sides in one login, and the ticket at its end.
fn conversation(gate: &std::sync::Arc<Gate>) -> (Vec<Vec<u8>>, Vec<Vec<u8>>, Ticket) {
    let mut client = client();
    let mut server = gate.visit(PeerAddress::User(1), 9, None, Nonce::new([2; NONCE_BYTES]));
    let (mut to_server, mut to_client) = (vec![client.start()], Vec::new());
    loop {
        let heard = to_server.last().expect("the client speaks first");
        match server.step(heard, NOW).expect("it goes well") {
            VisitStep::Reply(reply) => {
                to_client.push(reply);
                let heard = to_client.last().expect("just pushed");
                let ClientStep::Reply(reply) = client.step(heard).expect("it goes well") else {
                    panic!("accepted before its proof");
                };
                to_server.push(reply);
            }
            VisitStep::Accepted { reply, ticket, .. } => {
                to_client.push(reply);
                return (to_server, to_client, ticket);
            }
        }
    }
}

pub(super) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let (to_server, to_client, ticket) = conversation(&gate());
    let (mut served, mut met, mut guesses, mut hellos) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    to_server.iter().for_each(|message| put(&mut served, TO_SERVER, message));
    to_client.iter().for_each(|message| put(&mut met, TO_CLIENT, message));
    put(&mut guesses, TICKET, &ticket.to_bytes());
    for _ in 0..6 {
        put(&mut guesses, TO_SERVER, &to_server[0]);
        let mut wrong = to_server[1].clone();
        let at = wrong.len() - 8;
        wrong[at] ^= 1;
        put(&mut guesses, TO_SERVER, &wrong);
        put(&mut guesses, NEXT, b"");
    }
    guesses.extend_from_slice(&served);
    put(&mut hellos, HELLO, &fuzzed::hello(9, None));
    put(&mut hellos, HELLO, &fuzzed::hello(9, Some(ticket)));
    let mut refused = Vec::new();
    put(&mut refused, TO_CLIENT, b"e=other-error");
    vec![
        ("served", served),
        ("met", met),
        ("guesses", guesses),
        ("hellos", hellos),
        ("refused", refused),
    ]
}
