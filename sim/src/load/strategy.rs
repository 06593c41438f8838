//! Actions drawn from the strategies of proptest.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, Reason, RngAlgorithm, TestRng, TestRunner};
use rand::Rng;

/// Draws a value of a strategy, for [`Reducer::action`](super::Reducer::action). The same `random`
/// gives the same value, so a seed of a scenario stands for the same actions everywhere.
///
/// ```
/// use proptest::prelude::*;
/// use samestate_sim::{load, rand::SeedableRng};
///
/// let orders = (0..200_u64, 1..10_u32);
/// let mut random = load::random(7, 0);
/// let (order, items) = load::sample(&orders, &mut random)?;
/// assert!(order < 200 && (1..10).contains(&items));
/// # Ok::<(), proptest::test_runner::Reason>(())
/// ```
///
/// # Errors
///
/// If the filters of the strategy reject too many values.
pub fn sample<S: Strategy>(strategy: &S, random: &mut dyn Rng) -> Result<S::Value, Reason> {
    let mut seed = [0; 32];
    random.fill_bytes(&mut seed);
    // Without the settings of the environment, which would change what a seed stands for.
    let config = Config { failure_persistence: None, ..Config::with_cases(1) };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(config, rng);
    strategy.new_tree(&mut runner).map(|tree| tree.current())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::load::random;

    #[test]
    fn the_same_seed_draws_the_same_values_and_another_draws_others() {
        let strategy = proptest::collection::vec(any::<u64>(), 1..20);
        let drawn = |seed| {
            let mut random = random(seed, 0);
            let values = (0..50).map(|_| sample(&strategy, &mut random));
            values.collect::<Result<Vec<_>, _>>().expect("nothing is filtered")
        };
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
    }

    #[test]
    fn a_strategy_that_rejects_every_value_is_an_error() {
        let nothing = (0..10_u8).prop_filter("there is none", |_| false);
        let error = sample(&nothing, &mut random(1, 0)).expect_err("there is none");
        assert!(error.message().contains("reject"), "{error}");
    }
}
