//! Cases assembled from deltas made by hand.
