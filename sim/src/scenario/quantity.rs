//! Quantities that carry their unit: `55ms`, `10MB`, `200/s`.
//!
//! What comes in is a scalar of a scenario file or of `--set`; what goes out is a value whose
//! type says its unit. A bare number is refused: nobody should have to guess whether `55`
//! meant milliseconds. Each quantity prints in a form that parses back to the same value.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

/// A length of time, to the nanosecond: `55ms`, `1.5s`, `2m`, `8h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

/// A number of bytes: `100B`, `64KiB`, `10MB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

/// How often, in events per second: `200/s`, `30/m`. Always finite and above zero.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Rate(f64);

/// Why a text is not the quantity that it should be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum QuantityError {
    /// A number stands alone.
    #[error("`{text}` has no unit: write {expected}")]
    NoUnit {
        /// What was written.
        text: String,
        /// What a quantity of this kind looks like.
        expected: &'static str,
    },
    /// The unit is not one of this kind of quantity.
    #[error("`{unit}` in `{text}` is not a unit that is known here: write {expected}")]
    UnknownUnit {
        /// What was written.
        text: String,
        /// The part of it that should have been a unit.
        unit: String,
        /// What a quantity of this kind looks like.
        expected: &'static str,
    },
    /// There is no number in it.
    #[error("`{text}` does not begin with a number: write {expected}")]
    NoNumber {
        /// What was written.
        text: String,
        /// What a quantity of this kind looks like.
        expected: &'static str,
    },
    /// The number is below zero, or is zero where that has no meaning.
    #[error("`{text}` must be above zero")]
    NotPositive {
        /// What was written.
        text: String,
    },
    /// The number does not fit.
    #[error("`{text}` is too large")]
    TooLarge {
        /// What was written.
        text: String,
    },
}

const SPAN_EXAMPLES: &str = "a duration such as `55ms`, `1.5s`, `2m` or `8h`";
const SIZE_EXAMPLES: &str = "a size such as `100B`, `64KiB` or `10MB`";
const RATE_EXAMPLES: &str = "a rate such as `200/s` or `30/m`";

const SPAN_UNITS: &[(&str, f64)] = &[
    ("ns", 1.0),
    ("us", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3_600e9),
    ("d", 86_400e9),
];
const SIZE_UNITS: &[(&str, f64)] = &[
    ("B", 1.0),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
];
const RATE_UNITS: &[(&str, f64)] =
    &[("/s", 1.0), ("/m", 1.0 / 60.0), ("/h", 1.0 / 3_600.0), ("/ms", 1e3)];

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
        let nanos = parse(text, SPAN_UNITS, SPAN_EXAMPLES)?;
        if nanos > u64::MAX as f64 {
            return Err(QuantityError::TooLarge { text: text.to_owned() });
        }
        Ok(Self(Duration::from_nanos(nanos.round() as u64)))
    }
}

impl FromStr for Size {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let bytes = parse(text, SIZE_UNITS, SIZE_EXAMPLES)?;
        if bytes > (1u64 << 53) as f64 {
            return Err(QuantityError::TooLarge { text: text.to_owned() });
        }
        Ok(Self(bytes.round() as u64))
    }
}

impl FromStr for Rate {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let per_second = parse(text, RATE_UNITS, RATE_EXAMPLES)?;
        Self::per_second(per_second)
            .ok_or_else(|| QuantityError::NotPositive { text: text.to_owned() })
    }
}

/// Reads `text` as a non-negative number times one of `units`.
fn parse(text: &str, units: &[(&str, f64)], expected: &'static str) -> Result<f64, QuantityError> {
    let trimmed = text.trim();
    let owned = || trimmed.to_owned();
    let digits_end = trimmed
        .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_' || c == '-' || c == '+'))
        .unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits_end);
    let unit = unit.trim();
    let number: f64 = number
        .replace('_', "")
        .parse()
        .map_err(|_| QuantityError::NoNumber { text: owned(), expected })?;
    if unit.is_empty() {
        return Err(QuantityError::NoUnit { text: owned(), expected });
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err(QuantityError::UnknownUnit { text: owned(), unit: unit.to_owned(), expected });
    };
    if number < 0.0 {
        return Err(QuantityError::NotPositive { text: owned() });
    }
    Ok(number * factor)
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

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

macro_rules! quantity_in_files {
    ($type:ident, $examples:ident, $about:literal, $pattern:literal) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(QuantityVisitor::<Self> {
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
    "A duration with its unit: 55ms, 1.5s, 2m, 8h.",
    "^[0-9][0-9_.]* ?(ns|us|ms|s|m|h|d)$"
);
quantity_in_files!(
    Size,
    SIZE_EXAMPLES,
    "A number of bytes with its unit: 100B, 64KiB, 10MB.",
    "^[0-9][0-9_.]* ?(B|KB|MB|GB|KiB|MiB|GiB)$"
);
quantity_in_files!(
    Rate,
    RATE_EXAMPLES,
    "Events per unit of time: 200/s, 30/m.",
    "^[0-9][0-9_.]* ?/(ms|s|m|h)$"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_reads_with_each_of_its_units() {
        assert_eq!("1.5s".parse(), Ok(Span::from_millis(1_500)));
        assert_eq!("55 ms".parse(), Ok(Span::from_millis(55)));
        assert_eq!("8h".parse(), Ok(Span::from_secs(28_800)));
        assert_eq!("250us".parse(), Ok(Span(Duration::from_micros(250))));
        assert_eq!("10MB".parse(), Ok(Size(10_000_000)));
        assert_eq!("64KiB".parse(), Ok(Size(65_536)));
        assert_eq!("30/m".parse::<Rate>().map(Rate::get), Ok(0.5));
    }

    #[test]
    fn a_number_without_a_unit_is_refused_with_examples() {
        let error = "55".parse::<Span>().unwrap_err().to_string();
        assert!(error.contains("`55` has no unit") && error.contains("55ms"), "{error}");
    }

    #[test]
    fn a_rate_of_zero_or_less_is_refused() {
        assert!(matches!("0/s".parse::<Rate>(), Err(QuantityError::NotPositive { .. })));
        assert!(matches!("-5/s".parse::<Rate>(), Err(QuantityError::NotPositive { .. })));
        assert!(matches!("-5ms".parse::<Span>(), Err(QuantityError::NotPositive { .. })));
    }

    #[test]
    fn nonsense_is_refused_without_a_panic() {
        for text in ["", "ms", "1.2.3s", "5 parsecs", "99999999999999999999h", "--5ms", "é5ms"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
            assert!(text.parse::<Size>().is_err(), "{text}");
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_printed_parses_back_to_the_same() {
        for nanos in [0, 1, 999, 1_500_000, 55_000_000, 3_600_000_000_000, 90_000_000_001] {
            let span = Span(Duration::from_nanos(nanos));
            assert_eq!(span.to_string().parse(), Ok(span));
        }
        for bytes in [0, 1, 1_000, 1_024, 10_000_000, 1_234_567] {
            assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
        }
    }
}
