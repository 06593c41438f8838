//! What a search over many seeds came to.

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
    /// How many were simulated: a search ends at the first that fails, unless it is told to go on.
    pub simulated: u64,
    /// How many of those were simulated twice, to see that they come to the same.
    pub twice: u64,
    /// How many came to no verdict.
    pub inconclusive: u64,
    /// The histories of all seeds as one number, in hexadecimal.
    pub history: String,
    /// How often something happened, by what that is.
    pub moments: BTreeMap<String, u64>,
    /// The seeds that failed, in their order.
    pub failures: Vec<SeedFailure>,
}

/// A seed that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SeedFailure {
    /// Which one.
    pub seed: u64,
    /// What did not hold.
    pub why: String,
    /// The file with its scenario, beside the record; null where it was not written.
    pub scenario: Option<String>,
}
