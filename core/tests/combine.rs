//! Several reducers over parts of one state.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use samestate::{Reject, Store, UndoPanics, combine_reducers, create_store};
use serde::{Deserialize, Serialize};

/// A part that counts how often it was cloned.
#[derive(Default, Serialize, Deserialize)]
struct Sum {
    sum: i64,
    #[serde(skip)]
    clones: Arc<AtomicUsize>,
}

impl Clone for Sum {
    fn clone(&self) -> Self {
        self.clones.fetch_add(1, Ordering::Relaxed);
        Sum { sum: self.sum, clones: Arc::clone(&self.clones) }
    }
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Books {
    sums: Sum,
    cash: i64,
    notes: Vec<String>,
}

#[derive(Clone, Serialize, Deserialize)]
enum Action {
    Pay(i64),
    Note(String),
}

fn payment(action: &Action) -> Option<&i64> {
    match action {
        Action::Pay(amount) => Some(amount),
        Action::Note(_) => None,
    }
}

fn add(sum: &mut Sum, amount: &i64) {
    sum.sum += amount;
}

fn pay(cash: &mut i64, amount: &i64) -> Result<(), Reject> {
    if *cash + amount < 0 {
        return Err("not that much is left".into());
    }
    *cash += amount;
    Ok(())
}

/// Told of everything, and takes no long lines.
fn note(notes: &mut Vec<String>, action: &Action) -> Result<(), Reject> {
    let line = match action {
        Action::Pay(amount) => format!("paid {amount}"),
        Action::Note(line) => line.clone(),
    };
    if line.len() > 12 {
        return Err("too long a line".into());
    }
    notes.push(line);
    Ok(())
}

async fn open(
    reducer: impl Fn(&mut Books, &Action) -> Result<(), Reject> + Send + Sync + 'static,
) -> Store<Books, Action> {
    create_store("books", reducer).open().await.expect("a store alone is in sync")
}

/// Those that never reject first, so that they have to be kept.
fn kept() -> impl Fn(&mut Books, &Action) -> Result<(), Reject> + Send + Sync + 'static {
    combine_reducers::<Books, Action>()
        .slice(|books| &mut books.sums, payment, add)
        .slice(|books| &mut books.cash, payment, pay)
        .slice(|books| &mut books.notes, |action| Some(action), note)
        .reducer()
}

#[tokio::test]
async fn each_slice_is_told_of_the_actions_that_it_understands() {
    let books = open(kept()).await;
    books.dispatch(Action::Pay(5)).await.expect("it applies");
    books.dispatch(Action::Note("a note".into())).await.expect("it applies");
    books.read(|books| {
        assert_eq!((books.sums.sum, books.cash), (5, 5));
        assert_eq!(books.notes, ["paid 5", "a note"]);
    });
}

#[tokio::test]
async fn if_any_slice_rejects_none_changes() {
    let books = open(kept()).await;
    books.dispatch(Action::Pay(5)).await.expect("it applies");
    let by_the_second = books.dispatch(Action::Pay(-6)).await.expect_err("it is rejected");
    assert!(by_the_second.to_string().contains("not that much"), "{by_the_second}");
    let by_the_last = books.dispatch(Action::Pay(10_000_000_000)).await.expect_err("it is too");
    assert!(by_the_last.to_string().contains("too long a line"), "{by_the_last}");
    assert_eq!(books.version().seq, 1);
    books.read(|books| {
        assert_eq!((books.sums.sum, books.cash, books.notes.len()), (5, 5, 1));
    });
}

#[tokio::test]
async fn nothing_is_cloned_where_those_that_reject_come_first() {
    let reducer = combine_reducers::<Books, Action>()
        .slice(|books| &mut books.cash, payment, pay)
        .slice(|books| &mut books.sums, payment, add)
        .reducer();
    // To undo a panic takes a clone now and then.
    let books = create_store("books", reducer).undo_panics(UndoPanics::Never).open();
    let books = books.await.expect("a store alone is in sync");
    let before = books.read(|books| books.sums.clones.load(Ordering::Relaxed));
    books.dispatch(Action::Pay(5)).await.expect("it applies");
    books.dispatch(Action::Pay(-6)).await.expect_err("it is rejected");
    books.read(|books| {
        assert_eq!(books.sums.sum, 5);
        assert_eq!(books.sums.clones.load(Ordering::Relaxed), before);
    });
}
