//! Quantities that carry their unit: `55ms`, `10MB`, `200/s`.
//!
//! The input is a scalar of a scenario file or of `--set`, in any of the forms of `units`; the
//! output is a value whose type says its unit. A bare number is refused: a reader could not tell
//! whether `55` means milliseconds. Each quantity prints in a form that parses back to the same
//! value.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

use super::units::{
    self, RATE_EXAMPLES, SIZE_EXAMPLES, SPAN_EXAMPLES, bytes, nanoseconds, per_second,
};

/// A length of time, to the nanosecond: `55ms`, `1.5s`, `2m`, `8h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

/// A number of bytes: `100B`, `64KiB`, `10MB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

/// The largest size: what a double, and so any JSON reader, holds exactly.
const SIZE_MAX: u64 = 1 << 53;

/// A rate, in events per second: `200/s`, `30/m`. Always finite and above zero.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Rate(f64);

/// The reason why a text is not the quantity that it should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum QuantityError {
    /// A number stands alone.
    #[error("{} has no unit: write {expected}", unless_whole(number, text))]
    NoUnit {
        /// The text that was written.
        text: String,
        /// The number in it.
        number: String,
        /// The form of a quantity of this kind.
        expected: &'static str,
    },
    /// The unit is not one of this kind of quantity.
    #[error(
        "`{unit}` in `{text}` is not a unit that is known here: {}write {expected}",
        meant(near)
    )]
    UnknownUnit {
        /// The text that was written.
        text: String,
        /// The part of it that should have been a unit.
        unit: String,
        /// A unit that differs from it in its letters' case alone.
        near: Option<String>,
        /// The form of a quantity of this kind.
        expected: &'static str,
    },
    /// There is no number in it.
    #[error("`{text}` does not begin with a number: write {expected}")]
    NoNumber {
        /// The text that was written.
        text: String,
        /// The form of a quantity of this kind.
        expected: &'static str,
    },
    /// A number has a comma in it.
    #[error("`{text}` has a comma: write a fraction as in `1.5`, and thousands as in `1_000`")]
    Comma {
        /// The text that was written.
        text: String,
    },
    /// A duration has a unit twice, or a larger one after a smaller one.
    #[error("`{text}` is out of order: write each unit once and the largest first, as in `1h30m`")]
    OutOfOrder {
        /// The text that was written.
        text: String,
    },
    /// The number is below zero, or is zero where that has no meaning.
    #[error("`{text}` must be above zero")]
    NotPositive {
        /// The text that was written.
        text: String,
    },
    /// The number is not zero, and less than the smallest that there is.
    #[error("`{text}` is too small: the shortest duration is `1ns`, and the smallest size `1B`")]
    TooSmall {
        /// The text that was written.
        text: String,
    },
    /// The number does not fit.
    #[error("`{text}` is too large")]
    TooLarge {
        /// The text that was written.
        text: String,
    },
}

/// A number of a text, with the text where there is more in it.
fn unless_whole(number: &str, text: &str) -> String {
    if number == text { format!("`{text}`") } else { format!("`{number}` in `{text}`") }
}

fn meant(near: &Option<String>) -> String {
    near.as_ref().map(|near| format!("did you mean `{near}`? ")).unwrap_or_default()
}

impl Span {
    /// A span of whole milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// A span of whole seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The span as the standard library's type.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl Rate {
    /// One event a second.
    pub const ONE_PER_SECOND: Self = Self(1.0);

    /// A rate of `per_second` events a second; `None` unless that is finite and above zero.
    pub fn per_second(per_second: f64) -> Option<Self> {
        (per_second.is_finite() && per_second > 0.0).then_some(Self(per_second))
    }

    /// Events per second.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl FromStr for Span {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        match u64::try_from(nanoseconds(text)?) {
            Ok(nanos) => Ok(Self(Duration::from_nanos(nanos))),
            Err(_) => Err(QuantityError::TooLarge { text: text.to_owned() }),
        }
    }
}

impl FromStr for Size {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        match u64::try_from(bytes(text)?) {
            Ok(bytes) if bytes <= SIZE_MAX => Ok(Self(bytes)),
            _ => Err(QuantityError::TooLarge { text: text.to_owned() }),
        }
    }
}

impl FromStr for Rate {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let per_second = per_second(text)?;
        Self::per_second(per_second).ok_or_else(|| {
            if per_second > 0.0 {
                QuantityError::TooLarge { text: text.to_owned() }
            } else {
                QuantityError::NotPositive { text: text.to_owned() }
            }
        })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        for (unit, factor) in [
            ("h", 3_600_000_000_000u128),
            ("m", 60_000_000_000),
            ("s", 1_000_000_000),
            ("ms", 1_000_000),
            ("us", 1_000),
        ] {
            if nanos >= factor && nanos.is_multiple_of(factor) {
                return write!(f, "{}{unit}", nanos / factor);
            }
        }
        // Not a whole number of any unit that it reaches: nanoseconds lose nothing.
        if nanos == 0 { f.write_str("0s") } else { write!(f, "{nanos}ns") }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, factor) in [
            ("GB", 1_000_000_000),
            ("MB", 1_000_000),
            ("KB", 1_000),
            ("GiB", 1 << 30),
            ("MiB", 1 << 20),
            ("KiB", 1 << 10),
        ] {
            if self.0 >= factor && self.0.is_multiple_of(factor) {
                return write!(f, "{}{unit}", self.0 / factor);
            }
        }
        write!(f, "{}B", self.0)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

/// Takes the text of a quantity, and refuses bare numbers with a message that shows the unit.
struct QuantityVisitor<T> {
    expected: &'static str,
    kind: std::marker::PhantomData<T>,
}

impl<T: FromStr<Err = QuantityError>> Visitor<'_> for QuantityVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

macro_rules! quantity_in_files {
    ($type:ident, $examples:ident, $about:literal, $pattern:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(QuantityVisitor::<Self> {
                    expected: $examples,
                    kind: std::marker::PhantomData,
                })
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "description": $about,
                    "pattern": $pattern,
                })
            }
        }
    };
}

quantity_in_files!(
    Span,
    SPAN_EXAMPLES,
    "A duration with its unit: 55ms, 1.5s, 2min, 1h30m, 8h.",
    units::span_pattern()
);
quantity_in_files!(
    Size,
    SIZE_EXAMPLES,
    "A number of bytes with its unit: 100B, 64KiB, 10MB.",
    units::size_pattern()
);
quantity_in_files!(
    Rate,
    RATE_EXAMPLES,
    "Events per unit of time: 200/s, 1k/s, 30/min, 50Hz.",
    units::rate_pattern()
);

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str) -> Span {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn durations_are_read_in_the_forms_that_people_write() {
        for (text, micros) in [
            ("1.5s", 1_500_000),
            ("55 ms", 55_000),
            ("\t.5s ", 500_000),
            ("2.s", 2_000_000),
            ("+2s", 2_000_000),
            ("250us", 250),
            ("2µs", 2),
            ("2μs", 2),
            ("1e3ms", 1_000_000),
            ("1.5E-1 s", 150_000),
            ("1_000ms", 1_000_000),
            ("90sec", 90_000_000),
            ("2min", 120_000_000),
            ("5 minutes", 300_000_000),
            ("1h30m", 5_400_000_000),
            ("1h 30min 5s", 5_405_000_000),
            ("500ms250us", 500_250),
            ("1 hour 0.5 minutes", 3_630_000_000),
            ("8h", 28_800_000_000),
            ("1w", 604_800_000_000),
            ("0s", 0),
            ("-0s", 0),
        ] {
            assert_eq!(span(text), Span(Duration::from_micros(micros)), "{text}");
        }
        assert_eq!(span("9007199254740993ns").get().as_nanos(), 9_007_199_254_740_993);
    }

    #[test]
    fn sizes_and_rates_are_read_in_the_forms_that_people_write() {
        for (text, bytes) in [
            ("10MB", 10_000_000),
            ("64KiB", 65_536),
            ("5 MiB", 5 << 20),
            ("1e6B", 1_000_000),
            ("1.5kB", 1_500),
            ("12 bytes", 12),
            ("1_024 B", 1_024),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for (text, per_second) in [
            ("200/s", 200.0),
            ("1_000/s", 1e3),
            ("1e3/s", 1e3),
            ("1k/s", 1e3),
            ("2.5 k/s", 2_500.0),
            ("1 MHz", 1e6),
            ("50Hz", 50.0),
            ("50rps", 50.0),
            ("1krps", 1e3),
            ("50/sec", 50.0),
            ("50 / second", 50.0),
            ("50 per second", 50.0),
            ("30/m", 0.5),
            ("30/min", 0.5),
            ("3600/hour", 1.0),
            ("86400/d", 1.0),
            ("1/ms", 1e3),
            ("5/us", 5e6),
        ] {
            assert_eq!(text.parse::<Rate>().map(Rate::get), Ok(per_second), "{text}");
        }
    }

    #[test]
    fn a_text_that_is_no_quantity_says_what_to_write() {
        for (text, says) in [
            ("55", "`55` has no unit: write a duration such as `55ms`"),
            ("1h30", "`30` in `1h30` has no unit"),
            ("2S", "did you mean `s`?"),
            ("5 parsecs", "`parsecs` in `5 parsecs` is not a unit"),
            ("60 secs later", "`later` in `60 secs later` is not a unit"),
            ("00:00:02", "`:` in `00:00:02` is not a unit"),
            ("PT2S", "does not begin with a number: write a duration"),
            ("1,5s", "has a comma: write a fraction as in `1.5`"),
            ("30m1h", "the largest first, as in `1h30m`"),
            ("1s1s", "write each unit once"),
            ("-5ms", "must be above zero"),
            ("1h-30m", "must be above zero"),
            ("0.1ns", "too small: the shortest duration is `1ns`"),
            ("99999999999999999999h", "too large"),
            ("1e400s", "too large"),
            (".inf", "does not begin with a number"),
        ] {
            let error = text.parse::<Span>().expect_err(text).to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        for (text, says) in [
            ("50", "`50` has no unit: write a rate such as `200/s`, `1k/s`"),
            ("50/S", "did you mean `/s`?"),
            ("50/fortnight", "`/fortnight` in `50/fortnight` is not a unit"),
            ("1,000/s", "thousands as in `1_000`"),
            ("0/s", "must be above zero"),
            ("-5/s", "must be above zero"),
            ("1e400/s", "too large"),
        ] {
            let error = text.parse::<Rate>().expect_err(text).to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        for (text, says) in [
            ("5mb", "did you mean `MB`?"),
            ("5M", "`M` in `5M`"),
            ("10PB", "`PB`"),
            ("1e300B", "large"),
        ] {
            let error = text.parse::<Size>().expect_err(text).to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn nonsense_is_refused_without_a_panic() {
        for text in
            ["", " ", "ms", "1.2.3s", "--5ms", "é5ms", "+", "-", ".", "_s", "e5s", "5e", "µ"]
        {
            assert!(text.parse::<Span>().is_err(), "{text}");
            assert!(text.parse::<Size>().is_err(), "{text}");
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_printed_parses_back_to_the_same() {
        for nanos in [0, 1, 999, 1_500_000, 3_600_000_000_000, 90_000_000_001, u64::MAX] {
            let span = Span(Duration::from_nanos(nanos));
            assert_eq!(span.to_string().parse(), Ok(span));
        }
        for bytes in [0, 1, 1_000, 1_024, 10_000_000, 1_234_567] {
            assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
        }
    }
}
