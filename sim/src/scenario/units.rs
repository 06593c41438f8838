//! The forms in which quantities are written: `1h30m`, `1_000 ms`, `1e3/s`, `50 per minute`,
//! `5 MiB`.
//!
//! A text is one number and its unit, or for a duration several of them, the largest unit first.
//! The tables below hold every spelling of every unit; the patterns of the JSON schema are made
//! from the same tables.

use super::quantity::QuantityError;

/// The spellings of a unit, the usual one first, and how many of the smallest unit it is.
type Unit = (&'static [&'static str], u64);

/// Durations, in nanoseconds.
const SPAN_UNITS: &[Unit] = &[
    (&["ns", "nsec", "nanosecond", "nanoseconds"], 1),
    (&["us", "µs", "μs", "usec", "microsecond", "microseconds"], 1_000),
    (&["ms", "msec", "msecs", "millisecond", "milliseconds"], 1_000_000),
    (&["s", "sec", "secs", "second", "seconds"], SECOND),
    (&["m", "min", "mins", "minute", "minutes"], 60 * SECOND),
    (&["h", "hr", "hrs", "hour", "hours"], 3_600 * SECOND),
    (&["d", "day", "days"], 86_400 * SECOND),
    (&["w", "wk", "week", "weeks"], 7 * 86_400 * SECOND),
];
const SECOND: u64 = 1_000_000_000;

/// Sizes, in bytes.
const SIZE_UNITS: &[Unit] = &[
    (&["B", "byte", "bytes"], 1),
    (&["KB", "kB"], 1_000),
    (&["MB"], 1_000_000),
    (&["GB"], 1_000_000_000),
    (&["TB"], 1_000_000_000_000),
    (&["KiB"], 1 << 10),
    (&["MiB"], 1 << 20),
    (&["GiB"], 1 << 30),
    (&["TiB"], 1 << 40),
];

/// The units of a rate that stand for "per second" in one word.
const PER_SECOND: &[&str] = &["Hz", "hz", "rps", "qps", "tps"];

/// The multiples of a rate's number: `1k/s`.
const MULTIPLES: &[(&str, f64)] = &[("k", 1e3), ("K", 1e3), ("M", 1e6), ("G", 1e9)];

pub(super) const SPAN_EXAMPLES: &str = "a duration such as `55ms`, `1.5s`, `2min`, `1h30m` or `8h`";
pub(super) const SIZE_EXAMPLES: &str = "a size such as `100B`, `64KiB` or `10MB`";
pub(super) const RATE_EXAMPLES: &str = "a rate such as `200/s`, `1k/s`, `30/min` or `50Hz`";

/// The number of nanoseconds that a duration says.
pub(super) fn nanoseconds(text: &str) -> Result<u128, QuantityError> {
    let reading = Reading { text: text.trim(), expected: SPAN_EXAMPLES };
    let mut total = 0u128;
    let mut larger = None;
    let mut rest = reading.text;
    loop {
        let (number, after) = reading.number(rest)?;
        let end = after.find(|c: char| number_begins(c) || c.is_whitespace());
        let (unit, after) = after.split_at(end.unwrap_or(after.len()));
        let factor = reading.factor(number, unit, SPAN_UNITS)?;
        if larger.is_some_and(|larger| factor >= larger) {
            return Err(QuantityError::OutOfOrder { text: reading.owned() });
        }
        larger = Some(factor);
        total = total.saturating_add(reading.whole(number, factor)?);
        rest = after.trim_start();
        if rest.is_empty() {
            return Ok(total);
        }
        if !rest.starts_with(number_begins) {
            return Err(reading.unknown_unit(rest, None));
        }
    }
}

/// The number of bytes that a size says.
pub(super) fn bytes(text: &str) -> Result<u128, QuantityError> {
    let reading = Reading { text: text.trim(), expected: SIZE_EXAMPLES };
    let (number, unit) = reading.number(reading.text)?;
    let factor = reading.factor(number, unit, SIZE_UNITS)?;
    reading.whole(number, factor)
}

/// The number of events per second that a rate says.
pub(super) fn per_second(text: &str) -> Result<f64, QuantityError> {
    let reading = Reading { text: text.trim(), expected: RATE_EXAMPLES };
    let (number, unit) = reading.number(reading.text)?;
    if unit.is_empty() {
        return Err(reading.no_unit(number));
    }
    let in_multiples = || {
        let (name, multiple) = MULTIPLES.iter().find(|(name, _)| unit.starts_with(name))?;
        Some(multiple * rate_factor(unit[name.len()..].trim_start())?)
    };
    let lower = unit.to_lowercase();
    match rate_factor(unit).or_else(in_multiples) {
        Some(factor) => Ok(reading.float(number)? * factor),
        None => Err(reading.unknown_unit(unit, rate_factor(&lower).map(|_| lower.as_str()))),
    }
}

/// Returns the rate per second of one of a rate's units: `/s`, `per minute`, `Hz`.
fn rate_factor(unit: &str) -> Option<f64> {
    if PER_SECOND.contains(&unit) {
        return Some(1.0);
    }
    let time = unit.strip_prefix('/').or_else(|| unit.strip_prefix("per "))?.trim_start();
    let (_, nanos) = SPAN_UNITS.iter().find(|(names, _)| names.contains(&time))?;
    Some(SECOND as f64 / *nanos as f64)
}

/// The pattern of a duration in the JSON schema.
pub(super) fn span_pattern() -> String {
    format!("^\\+?({NUMBER} ?({}) ?)+$", spellings(SPAN_UNITS))
}

/// The pattern of a size in the JSON schema.
pub(super) fn size_pattern() -> String {
    format!("^\\+?{NUMBER} ?({})$", spellings(SIZE_UNITS))
}

/// The pattern of a rate in the JSON schema.
pub(super) fn rate_pattern() -> String {
    let multiples: String = MULTIPLES.iter().map(|(name, _)| *name).collect();
    let words = PER_SECOND.join("|");
    let times = spellings(SPAN_UNITS);
    format!("^\\+?{NUMBER} ?[{multiples}]? ?({words}|(/|per ) ?({times}))$")
}

/// A number in the JSON schema.
const NUMBER: &str = "[0-9.][0-9._]*([eE][+-]?[0-9]+)?";

fn spellings(units: &[Unit]) -> String {
    units.iter().flat_map(|(names, _)| *names).copied().collect::<Vec<_>>().join("|")
}

/// Returns whether a number may begin with this character.
fn number_begins(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '.' | '+' | '-')
}

/// A text that is read as a quantity, and what a quantity of its kind looks like.
struct Reading<'t> {
    text: &'t str,
    expected: &'static str,
}

impl<'t> Reading<'t> {
    /// The number that `rest` begins with, and what follows it without the space between.
    fn number(&self, rest: &'t str) -> Result<(&'t str, &'t str), QuantityError> {
        let signed = rest.strip_prefix(['+', '-']).unwrap_or(rest);
        let digits = |text: &str| text.find(|c: char| !(c.is_ascii_digit() || c == '_'));
        let end_of = |text: &str| digits(text).unwrap_or(text.len());
        let mut end = end_of(signed);
        if let Some(fraction) = signed[end..].strip_prefix('.') {
            end += 1 + end_of(fraction);
        }
        if !signed[..end].contains(|c: char| c.is_ascii_digit()) {
            return Err(QuantityError::NoNumber { text: self.owned(), expected: self.expected });
        }
        if let Some(power) = signed[end..].strip_prefix(['e', 'E']) {
            let sign = usize::from(power.starts_with(['+', '-']));
            let length = end_of(&power[sign..]);
            end += if length > 0 { 1 + sign + length } else { 0 };
        }
        let (number, after) = rest.split_at(rest.len() - signed.len() + end);
        if number.starts_with('-') && number_is_above_zero(number) {
            return Err(QuantityError::NotPositive { text: self.owned() });
        }
        if after.starts_with(',') {
            return Err(QuantityError::Comma { text: self.owned() });
        }
        Ok((number, after.trim_start()))
    }

    /// Returns the size of a unit in the smallest unit.
    fn factor(&self, number: &str, unit: &str, units: &[Unit]) -> Result<u64, QuantityError> {
        if unit.is_empty() {
            return Err(self.no_unit(number));
        }
        if let Some((_, factor)) = units.iter().find(|(names, _)| names.contains(&unit)) {
            return Ok(*factor);
        }
        let mut names = units.iter().flat_map(|(names, _)| *names);
        Err(self.unknown_unit(unit, names.find(|name| name.eq_ignore_ascii_case(unit)).copied()))
    }

    /// The number times `factor`: exact where it has no fraction, and rounded elsewhere.
    fn whole(&self, number: &str, factor: u64) -> Result<u128, QuantityError> {
        if let Ok(number) = number.replace('_', "").parse::<u128>() {
            return Ok(number.saturating_mul(factor.into()));
        }
        let product = self.float(number)? * factor as f64;
        let rounded = product.round() as u128;
        if rounded == 0 && number_is_above_zero(number) {
            return Err(QuantityError::TooSmall { text: self.owned() });
        }
        Ok(rounded)
    }

    fn float(&self, number: &str) -> Result<f64, QuantityError> {
        let number = number.replace('_', "").parse();
        number.map_err(|_| QuantityError::NoNumber { text: self.owned(), expected: self.expected })
    }

    fn no_unit(&self, number: &str) -> QuantityError {
        QuantityError::NoUnit {
            text: self.owned(),
            number: number.to_owned(),
            expected: self.expected,
        }
    }

    fn unknown_unit(&self, unit: &str, near: Option<&str>) -> QuantityError {
        QuantityError::UnknownUnit {
            text: self.owned(),
            unit: unit.to_owned(),
            near: near.map(str::to_owned),
            expected: self.expected,
        }
    }

    fn owned(&self) -> String {
        self.text.to_owned()
    }
}

/// Returns whether a number, as it is written, is not zero.
fn number_is_above_zero(number: &str) -> bool {
    number
        .split(['e', 'E'])
        .next()
        .is_some_and(|digits| digits.contains(|c| matches!(c, '1'..='9')))
}
