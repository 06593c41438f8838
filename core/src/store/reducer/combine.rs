//! One reducer of several, each for a part of the state: Redux's `combineReducers`.

use std::fmt;
use std::marker::PhantomData;

use crate::store::reducer::machine::{IntoReduction, Reject};

/// Begins a reducer of several, each for a part (a *slice*) of the state. Every slice is told of
/// every action that it understands, in the order in which the slices are declared.
///
/// If one slice rejects an action, no slice changes. A reducer of a slice checks first and then
/// changes, as any reducer does, so where one slice alone understands an action nothing is needed
/// for that. Where several do, the part of a slice is cloned before it changes if a slice that may
/// still reject comes after it: declare those that reject first, or let their parts clone in
/// O(1), as the persistent collections of [`crate::state`] do.
///
/// ```
/// use samestate::{Reject, combine_reducers, create_store};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone, Default, Serialize, Deserialize)]
/// struct Shop { stock: u32, sold: Vec<u32> }
///
/// #[derive(Serialize, Deserialize)]
/// enum Action { Deliver(u32), Sell(u32) }
///
/// fn stock(stock: &mut u32, action: &Action) -> Result<(), Reject> {
///     *stock = match action {
///         Action::Deliver(count) => *stock + count,
///         Action::Sell(count) => stock.checked_sub(*count).ok_or("not that many are left")?,
///     };
///     Ok(())
/// }
///
/// fn sold(sold: &mut Vec<u32>, count: &u32) { sold.push(*count) }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> anyhow::Result<()> {
/// let reducer = combine_reducers::<Shop, Action>()
///     .slice(|shop| &mut shop.stock, |action| Some(action), stock)
///     .slice(|shop| &mut shop.sold, |action| match action {
///         Action::Sell(count) => Some(count),
///         Action::Deliver(_) => None,
///     }, sold)
///     .reducer();
/// let shop = create_store("shop", reducer).open().await?;
/// shop.dispatch(Action::Deliver(3)).await?;
/// shop.dispatch(Action::Sell(2)).await?;
/// assert!(shop.dispatch(Action::Sell(2)).await.is_err());
/// shop.read(|shop| assert_eq!((shop.stock, &shop.sold), (1, &vec![2])));
/// # Ok(())
/// # }
/// ```
#[doc(alias = "combineReducers")]
pub fn combine_reducers<S: 'static, A: 'static>() -> CombineReducers<S, A> {
    CombineReducers { slices: Vec::new() }
}

/// Reducers to be combined: see [`combine_reducers`].
#[must_use = "`reducer()` makes the reducer"]
pub struct CombineReducers<S, A> {
    slices: Vec<Box<dyn Sliced<S, A>>>,
}

impl<S: 'static, A: 'static> CombineReducers<S, A> {
    /// Adds a slice: where its part lies in the state, what of an action concerns it (`None`:
    /// nothing; `|action| Some(action)`: all of it), and its reducer.
    pub fn slice<T, B, V>(
        mut self,
        part: impl Fn(&mut S) -> &mut T + Send + Sync + 'static,
        concerns: impl Fn(&A) -> Option<&B> + Send + Sync + 'static,
        reducer: impl Fn(&mut T, &B) -> V + Send + Sync + 'static,
    ) -> Self
    where
        T: Clone + 'static,
        B: 'static,
        V: IntoReduction + 'static,
    {
        self.slices.push(Box::new(Slice { part, concerns, reducer, types: PhantomData }));
        self
    }

    /// The reducer, for [`create_store`](crate::create_store).
    pub fn reducer(self) -> impl Fn(&mut S, &A) -> Result<(), Reject> + Send + Sync + 'static {
        let slices = self.slices;
        move |state, action| reduce(&slices, state, action)
    }
}

impl<S, A> fmt::Debug for CombineReducers<S, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CombineReducers").field("slices", &self.slices.len()).finish()
    }
}

/// Puts a slice's part back as it was.
type Undo<'a, S> = Box<dyn FnOnce(&mut S) + 'a>;

type Slices<S, A> = [Box<dyn Sliced<S, A>>];

fn reduce<S, A>(slices: &Slices<S, A>, state: &mut S, action: &A) -> Result<(), Reject> {
    let may_reject = slices.iter().rposition(|slice| slice.may_reject(action));
    let mut undo: Vec<Undo<'_, S>> = Vec::new();
    for (index, slice) in slices.iter().enumerate() {
        if !slice.is_concerned(action) {
            continue;
        }
        if may_reject.is_some_and(|last| index < last) {
            undo.push(slice.keep(state));
        }
        if let Err(reject) = slice.apply(state, action) {
            undo.into_iter().rev().for_each(|undo| undo(state));
            return Err(reject);
        }
    }
    Ok(())
}

/// A slice, whatever its part is.
trait Sliced<S, A>: Send + Sync {
    fn is_concerned(&self, action: &A) -> bool;

    fn may_reject(&self, action: &A) -> bool;

    /// Keeps the part as it is now.
    fn keep(&self, state: &mut S) -> Undo<'_, S>;

    fn apply(&self, state: &mut S, action: &A) -> Result<(), Reject>;
}

struct Slice<P, C, R, T, B, V> {
    part: P,
    concerns: C,
    reducer: R,
    /// Of the part, of what concerns it, and of the verdict.
    types: PhantomData<fn(&mut T, &B) -> V>,
}

impl<S, A, T, B, V, P, C, R> Sliced<S, A> for Slice<P, C, R, T, B, V>
where
    T: Clone + 'static,
    V: IntoReduction,
    P: Fn(&mut S) -> &mut T + Send + Sync,
    C: Fn(&A) -> Option<&B> + Send + Sync,
    R: Fn(&mut T, &B) -> V + Send + Sync,
{
    fn is_concerned(&self, action: &A) -> bool {
        (self.concerns)(action).is_some()
    }

    fn may_reject(&self, action: &A) -> bool {
        V::CAN_REJECT && self.is_concerned(action)
    }

    fn keep(&self, state: &mut S) -> Undo<'_, S> {
        let kept = (self.part)(state).clone();
        Box::new(move |state| *(self.part)(state) = kept)
    }

    fn apply(&self, state: &mut S, action: &A) -> Result<(), Reject> {
        match (self.concerns)(action) {
            Some(concern) => (self.reducer)((self.part)(state), concern).verdict(),
            None => Ok(()),
        }
    }
}
