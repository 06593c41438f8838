//! Distributions of durations.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

/// The longest duration told apart from longer ones: a day.
const DURATION_NS_MAX: u64 = 86_400_000_000_000;

/// A histogram of durations in nanoseconds, to three digits. Merges; travels as
/// `[value, count]` pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct Latencies {
    histogram: Histogram<u64>,
}

/// The quantiles that a record shows, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Half were no slower.
    pub p50_ns: u64,
    /// 90 % were no slower.
    pub p90_ns: u64,
    /// 99 % were no slower.
    pub p99_ns: u64,
    /// 99.9 % were no slower.
    pub p999_ns: u64,
    /// The slowest.
    pub max_ns: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        let histogram = Histogram::new(3).expect("three digits are within the histogram's range");
        Latencies { histogram }
    }
}

impl Latencies {
    /// One more duration.
    pub fn record(&mut self, ns: u64) {
        self.record_n(ns, 1);
    }

    /// Those of `other` too.
    pub fn merge(&mut self, other: &Latencies) {
        for bucket in other.histogram.iter_recorded() {
            self.record_n(bucket.value_iterated_to(), bucket.count_at_value());
        }
    }

    fn record_n(&mut self, ns: u64, count: u64) {
        let recorded = self.histogram.record_n(ns.min(DURATION_NS_MAX), count);
        debug_assert!(recorded.is_ok(), "a histogram that resizes takes any value: {recorded:?}");
    }

    /// Returns the number of recorded durations.
    pub fn len(&self) -> u64 {
        self.histogram.len()
    }

    /// Returns whether no duration was recorded.
    pub fn is_empty(&self) -> bool {
        self.histogram.is_empty()
    }

    /// Returns the duration that the share `q` of the durations did not exceed: `None` if there are
    /// none.
    pub fn quantile_ns(&self, q: f64) -> Option<u64> {
        (!self.is_empty()).then(|| self.histogram.value_at_quantile(q))
    }

    /// The quantiles of a record: `None` if nothing was recorded.
    pub fn quantiles(&self) -> Option<Quantiles> {
        Some(Quantiles {
            p50_ns: self.quantile_ns(0.5)?,
            p90_ns: self.quantile_ns(0.9)?,
            p99_ns: self.quantile_ns(0.99)?,
            p999_ns: self.quantile_ns(0.999)?,
            max_ns: self.histogram.max(),
        })
    }

    /// The whole distribution in the standard form: HdrHistogram V2 with DEFLATE, in base64.
    /// `None` if nothing was recorded.
    pub fn encoded(&self) -> Option<String> {
        let mut bytes = Vec::new();
        let written = V2DeflateSerializer::new().serialize(&self.histogram, &mut bytes);
        debug_assert!(written.is_ok(), "a vector takes any histogram: {written:?}");
        (written.is_ok() && !self.is_empty()).then(|| STANDARD.encode(bytes))
    }
}

impl Serialize for Latencies {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let buckets = self.histogram.iter_recorded();
        serializer.collect_seq(buckets.map(|b| (b.value_iterated_to(), b.count_at_value())))
    }
}

impl<'de> Deserialize<'de> for Latencies {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut latencies = Latencies::default();
        for (value, count) in Vec::<(u64, u64)>::deserialize(deserializer)? {
            latencies.record_n(value, count);
        }
        Ok(latencies)
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::Deserializer;

    use super::*;

    #[test]
    fn the_encoded_form_is_read_by_others_and_merges() {
        let mut latencies = Latencies::default();
        (1..=1_000).for_each(|us| latencies.record(us * 1_000));
        let encoded = latencies.encoded().expect("it is not empty");
        assert!(encoded.starts_with("HISTFAAA"), "the cookie of V2 with DEFLATE: {encoded}");
        let bytes = STANDARD.decode(encoded).expect("it is base64");
        let mut read: Histogram<u64> =
            Deserializer::new().deserialize(&mut bytes.as_slice()).expect("it is a histogram");
        read.add(&latencies.histogram).expect("both have the same range");
        assert_eq!(read.len(), 2_000);
        assert_eq!(read.value_at_quantile(0.99), latencies.histogram.value_at_quantile(0.99));
        assert_eq!(Latencies::default().encoded(), None);
    }

    #[test]
    fn durations_of_all_sizes_are_kept_to_three_digits_and_travel() {
        let mut latencies = Latencies::default();
        let durations = [0, 5, 12_345, 6_789_012, 3_210_987_654, u64::MAX];
        durations.into_iter().for_each(|ns| latencies.record(ns));
        let text = serde_json::to_string(&latencies).expect("plain data");
        let mut merged: Latencies = serde_json::from_str(&text).expect("as it was written");
        assert_eq!(merged.quantiles(), latencies.quantiles());
        merged.merge(&latencies);
        assert_eq!((merged.len(), merged.quantiles()), (12, latencies.quantiles()));
        let median = latencies.quantile_ns(0.5).expect("some were recorded");
        assert!(median.abs_diff(12_345) <= 12, "{median}");
        let max = latencies.quantile_ns(1.0).expect("some were recorded");
        assert!(max.abs_diff(DURATION_NS_MAX) <= DURATION_NS_MAX / 1_000, "{max}");
    }
}
