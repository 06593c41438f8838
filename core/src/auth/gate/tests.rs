//! Clients at a gate: those that are accepted, those that are refused, and the cost.

use super::*;
use crate::auth::scram::{ClientHandshake, ClientStep, Credentials, NONCE_BYTES};
use crate::auth::tickets::TICKET_BYTES;

const NOW: Duration = Duration::from_secs(1000);
const THREE_HOURS: Duration = Duration::from_secs(3 * 60 * 60);
const HERE: PeerAddress = PeerAddress::User(1000);

fn gate() -> Arc<Gate> {
    let secret = ServerSecret::new([1; 32]);
    let iterations = Iterations::new(Iterations::MIN).expect("the least is allowed");
    let mut logins = Logins::new(&secret, iterations);
    logins.add("app", "secret").expect("valid");
    logins.add("other", "secret").expect("valid");
    Gate::with(&secret, logins, LockOutPolicy::default())
}

/// A connection whose client has answered the challenge, and whose server has yet to look.
struct Pending {
    client: ClientHandshake,
    visit: Visit,
    proof: Vec<u8>,
}

impl Pending {
    fn conclude(&mut self, now: Duration) -> Result<VisitStep, Refused> {
        self.visit.step(&self.proof, now)
    }
}

/// Client 7 comes as `login` and goes as far as it gets before its proof is looked at.
fn open(
    gate: &Arc<Gate>,
    login: &str,
    password: &str,
    ticket: Option<Ticket>,
    now: Duration,
) -> Result<Pending, Refused> {
    let credentials = Credentials::new(login, password).expect("valid");
    let mut client = ClientHandshake::new(credentials, Nonce::new([1; NONCE_BYTES]));
    let mut visit = gate.visit(HERE, 7, ticket, Nonce::new([2; NONCE_BYTES]));
    let VisitStep::Reply(challenge) = visit.step(&client.start(), now)? else {
        panic!("nobody is let in without a proof");
    };
    let Ok(ClientStep::Reply(proof)) = client.step(&challenge) else {
        panic!("the challenge is honest");
    };
    Ok(Pending { client, visit, proof })
}

fn login(gate: &Arc<Gate>, password: &str, now: Duration) -> Result<VisitStep, Refused> {
    open(gate, "app", password, None, now)?.conclude(now)
}

fn ticket_of(step: Result<VisitStep, Refused>) -> Ticket {
    match step {
        Ok(VisitStep::Accepted { ticket, .. }) => ticket,
        other => panic!("a login was expected, not {other:?}"),
    }
}

fn lock(gate: &Arc<Gate>, now: Duration) {
    for _ in 0..5 {
        login(gate, "wrong", now).expect_err("the password is wrong");
    }
}

fn is_locked_out(step: &Result<VisitStep, Refused>) -> bool {
    matches!(step, Err(Refused::LockedOut(_)))
}

#[test]
fn both_sides_end_up_accepted() {
    let mut pending = open(&gate(), "app", "secret", None, NOW).expect("free");
    match pending.conclude(NOW) {
        Ok(VisitStep::Accepted { login, reply, .. }) => {
            assert_eq!(login, "app");
            assert_eq!(pending.client.step(&reply), Ok(ClientStep::Accepted));
        }
        other => panic!("a login was expected, not {other:?}"),
    }
}

#[test]
fn six_sockets_opened_beforehand_get_five_guesses_and_not_even_a_right_sixth() {
    let gate = gate();
    let open = |password| open(&gate, "app", password, None, NOW).expect("not locked yet");
    let mut wrong: Vec<_> = (0..5).map(|_| open("wrong")).collect();
    let mut right = open("secret");
    for (nth, pending) in wrong.iter_mut().enumerate() {
        match pending.conclude(NOW) {
            Err(Refused::Failed { locked_out, .. }) => assert_eq!(locked_out.is_some(), nth == 4),
            other => panic!("a refusal was expected, not {other:?}"),
        }
    }
    let refused = right.conclude(NOW);
    assert!(is_locked_out(&refused), "{refused:?}");
    assert!(is_locked_out(&login(&gate, "secret", NOW)), "nor does a new one");
    assert!(is_locked_out(&login(&gate, "secret", NOW + THREE_HOURS / 2)));
    assert!(login(&gate, "secret", NOW + THREE_HOURS).is_ok(), "until three hours have passed");
}

#[test]
fn a_client_that_is_locked_out_is_told_so() {
    let gate = gate();
    lock(&gate, NOW);
    let refused = login(&gate, "secret", NOW).expect_err("locked");
    assert_eq!(refused.reply(), b"e=locked-out");
    assert!(refused.to_string().contains("user 1000 is locked out for another 10800 s"));
}

#[test]
fn connections_cut_before_their_proof_lock_nobody_out() {
    let gate = gate();
    for _ in 0..100 {
        drop(gate.visit(HERE, 7, None, Nonce::new([2; NONCE_BYTES])));
        drop(open(&gate, "app", "wrong", None, NOW).expect("free"));
    }
    assert!(login(&gate, "secret", NOW).is_ok());
}

#[test]
fn a_garbled_proof_counts_and_a_garbled_greeting_does_not() {
    let gate = gate();
    for _ in 0..10 {
        let mut visit = gate.visit(HERE, 7, None, Nonce::new([2; NONCE_BYTES]));
        assert!(visit.step(b"garbage", NOW).is_err());
        assert!(visit.step(b"garbage", NOW).is_err());
    }
    assert!(gate.check(HERE, NOW).is_ok());
    for _ in 0..5 {
        let mut pending = open(&gate, "app", "wrong", None, NOW).expect("free");
        pending.proof.truncate(20);
        assert!(pending.conclude(NOW).is_err());
    }
    assert!(gate.check(HERE, NOW).is_err());
}

#[test]
fn a_hundred_honest_clients_at_once_are_all_let_in() {
    let gate = gate();
    let open = || open(&gate, "app", "secret", None, NOW).expect("free");
    let mut pending: Vec<_> = (0..100).map(|_| open()).collect();
    assert!(pending.iter_mut().all(|pending| pending.conclude(NOW).is_ok()));
}

#[test]
fn a_success_clears_the_failures_before_it() {
    let gate = gate();
    for _ in 0..3 {
        for _ in 0..4 {
            login(&gate, "wrong", NOW).expect_err("the password is wrong");
        }
        login(&gate, "secret", NOW).expect("the password is right");
    }
    assert_eq!(gate.locked(NOW), []);
}

#[test]
fn an_operator_lifts_a_lock() {
    let gate = gate();
    lock(&gate, NOW);
    assert_eq!(gate.locked(NOW), [LockedOut { address: HERE, remaining: THREE_HOURS }]);
    assert!(gate.unlock(HERE));
    assert!(login(&gate, "secret", NOW).is_ok());
}

#[test]
fn a_client_with_a_ticket_is_not_shut_out_by_its_neighbours() {
    let gate = gate();
    let ticket = ticket_of(login(&gate, "secret", NOW));
    lock(&gate, NOW);
    let come = |ticket| open(&gate, "app", "secret", Some(ticket), NOW);
    let next = ticket_of(come(ticket).expect("it has a ticket").conclude(NOW));
    assert!(come(next).expect("and a new one").conclude(NOW).is_ok());
    assert!(is_locked_out(&login(&gate, "secret", NOW)), "its neighbours stay locked out");
}

#[test]
fn a_ticket_gives_five_failures_and_no_more() {
    let gate = gate();
    let ticket = ticket_of(login(&gate, "secret", NOW));
    lock(&gate, NOW);
    let mut pending: Vec<_> = (0..6)
        .map(|_| open(&gate, "app", "wrong", Some(ticket), NOW).expect("it has a ticket"))
        .collect();
    let outcomes = pending.iter_mut().map(|pending| pending.conclude(NOW));
    let looked_at = outcomes.filter(|outcome| matches!(outcome, Err(Refused::Failed { .. })));
    assert_eq!(looked_at.count(), 5);
    assert!(open(&gate, "app", "secret", Some(ticket), NOW).is_err(), "the ticket is dead");
}

#[test]
fn a_ticket_of_another_login_or_a_made_up_one_does_not_pass_a_lock() {
    let gate = gate();
    let ticket = ticket_of(login(&gate, "secret", NOW));
    let made_up = Ticket::from_bytes(&[0; TICKET_BYTES]).expect("any bytes of that length");
    lock(&gate, NOW);
    assert!(open(&gate, "other", "secret", Some(ticket), NOW).is_err());
    assert!(open(&gate, "app", "secret", Some(made_up), NOW).is_err());
}

#[test]
fn a_made_up_ticket_does_no_harm_where_no_lock_is() {
    let made_up = Ticket::from_bytes(&[0; TICKET_BYTES]).expect("any bytes of that length");
    let mut pending = open(&gate(), "app", "secret", Some(made_up), NOW).expect("free");
    assert!(pending.conclude(NOW).is_ok());
}
