//! The result of a search over many seeds.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A search over many seeds. Its record has one case, which holds the verdict and what did not
/// hold, and no measures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Seeds {
    /// The first seed.
    pub first: u64,
    /// The seed after the last.
    pub end: u64,
    /// The number of simulated seeds: a search ends at the first failure, unless it is told to
    /// continue.
    pub simulated: u64,
    /// The number of seeds that were simulated twice, to check that both histories are the same.
    pub twice: u64,
    /// The number of seeds without a verdict.
    pub inconclusive: u64,
    /// The histories of all seeds as one number, in hexadecimal.
    pub history: String,
    /// The number of times that each kind of moment occurred.
    pub moments: BTreeMap<String, u64>,
    /// The seeds that failed, in their order.
    pub failures: Vec<SeedFailure>,
}

/// A seed that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SeedFailure {
    /// The seed.
    pub seed: u64,
    /// The reason why it failed.
    pub why: String,
    /// The file with its scenario, beside the record; null where it was not written.
    pub scenario: Option<String>,
}
