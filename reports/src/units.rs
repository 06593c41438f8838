//! Numbers for people: three digits that matter, and the unit that suits them.
//!
//! One promise: rounding never makes a thing look perfect. 99.996 % is `99.99 %`, and not `100 %`;
//! a bare 0 is a measured zero.

/// A percentage, cut and not rounded, so that `100 %` is exactly that.
pub(crate) fn percent(value: f64) -> String {
    if value.fract() == 0.0 {
        return format!("{value} %");
    }
    // Two decimals, and more nines where that is what tells it from 100.
    let mut decimals = 2;
    while decimals < 6 && value < 100.0 && 100.0 - value < 10_f64.powi(-decimals) {
        decimals += 1;
    }
    let scale = 10_f64.powi(decimals);
    // The addend undoes what is lost to binary fractions: 99.83 is 99.829999…
    let cut = ((value * scale) + 1e-6).floor() / scale;
    format!("{} %", trimmed(format!("{cut:.*}", decimals as usize)))
}

/// The width of an interval as a share, rounded up: `±3.1 %`.
pub(crate) fn plus_minus(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        _ if percent > 200.0 => "±>200 %".to_owned(),
        _ if percent >= 10.0 => format!("±{:.0} %", percent.ceil()),
        _ => format!("±{} %", trimmed(format!("{:.1}", (percent * 10.0).ceil() / 10.0))),
    }
}

/// A count: whole up to 9,999, then in thousands and millions.
pub(crate) fn count(value: f64) -> String {
    if value.abs() < 10_000.0 && value.fract() == 0.0 {
        return grouped(value);
    }
    scaled(value, 1_000.0, &["", "k", "M", "G", "T"], "")
}

/// Passes of the reference work.
pub(crate) fn passes(value: f64) -> String {
    digits(value) + if value == 1.0 { " pass" } else { " passes" }
}

/// A rate a second.
pub(crate) fn per_second(value: f64) -> String {
    count(value) + "/s"
}

/// Bytes, in powers of 1000.
pub(crate) fn bytes(value: f64) -> String {
    scaled(value, 1_000.0, &["B", "kB", "MB", "GB", "TB"], " ")
}

/// A time given in microseconds.
pub(crate) fn microseconds(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if size == 0.0 => "0 µs".to_owned(),
        _ if size < 1.0 => digits(value * 1e3) + " ns",
        _ if size < 999.5 => digits(value) + " µs",
        _ if size < 999.5e3 => digits(value / 1e3) + " ms",
        _ => digits(value / 1e6) + " s",
    }
}

/// A time given in milliseconds.
pub(crate) fn milliseconds(value: f64) -> String {
    if value == 0.0 { "0 ms".to_owned() } else { microseconds(value * 1e3) }
}

/// A time given in seconds.
pub(crate) fn seconds(value: f64) -> String {
    if value == 0.0 { "0 s".to_owned() } else { microseconds(value * 1e6) }
}

/// Renders a duration: in seconds up to two minutes, then in minutes and hours.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..120 => digits(seconds) + " s",
        120..3_600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3_600, whole % 3_600 / 60),
    }
}

/// A number with as many digits as it takes not to mislead: four decimals, or all of them where
/// four would hide that it is not whole.
pub(crate) fn exactly(value: f64) -> String {
    let short = trimmed(format!("{value:.4}"));
    let looks_whole = !short.contains('.');
    if looks_whole && value.fract() != 0.0 { value.to_string() } else { short }
}

/// A whole number with its thousands apart.
fn grouped(value: f64) -> String {
    let plain = format!("{value:.0}");
    let (sign, number) = plain.strip_prefix('-').map_or(("", &*plain), |number| ("-", number));
    match number.len() {
        4.. => {
            let (thousands, rest) = number.split_at(number.len() - 3);
            format!("{sign}{thousands},{rest}")
        }
        _ => plain,
    }
}

/// `value` over the largest step that leaves at least 1, and that step's name.
fn scaled(value: f64, step: f64, names: &[&str], space: &str) -> String {
    let mut value = value;
    let mut names = names.iter();
    let mut name = names.next().copied().unwrap_or_default();
    // 999.5 shows as 1000: that is where the next unit reads better.
    while value.abs() >= step - 0.5 {
        let Some(larger) = names.next() else { break };
        value /= step;
        name = larger;
    }
    let number = digits(value);
    if name.is_empty() { number } else { format!("{number}{space}{name}") }
}

/// A number with three digits that matter, however small it is.
pub(crate) fn significant(value: f64) -> String {
    let decimals = 2.0 - value.abs().max(1e-9).log10().floor();
    format!("{value:.*}", decimals.clamp(0.0, 12.0) as usize)
}

/// A number with three digits that matter, and all that stand before the point.
fn digits(value: f64) -> String {
    let size = value.abs();
    let decimals = match size {
        _ if value.fract() == 0.0 || size >= 99.95 => 0,
        _ if size >= 9.995 => 1,
        _ if size >= 0.1 => 2,
        _ => 4,
    };
    trimmed(format!("{value:.decimals$}"))
}

/// A decimal number without the zeros at its end.
fn trimmed(number: String) -> String {
    if !number.contains('.') {
        return number;
    }
    number.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_rounded_up_to_perfection() {
        assert_eq!(percent(100.0), "100 %");
        assert_eq!(percent(99.83), "99.83 %");
        assert_eq!(percent(99.8), "99.8 %");
        assert_eq!(percent(99.996), "99.996 %");
        assert_eq!(percent(99.999_99), "99.99999 %");
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(percent(200.0 / 3.0), "66.66 %");
        assert_eq!(exactly(99.999_999), "99.999999");
        assert_eq!(exactly(99.833_333_333), "99.8333");
        assert_eq!(exactly(1_000.0), "1000");
    }

    #[test]
    fn times_take_the_unit_that_suits_them() {
        assert_eq!(microseconds(0.25), "250 ns");
        assert_eq!(microseconds(31.0), "31 µs");
        assert_eq!(microseconds(999.6), "1 ms");
        assert_eq!(microseconds(1_234.0), "1.23 ms");
        assert_eq!(microseconds(12_340_000.0), "12.3 s");
        assert_eq!(milliseconds(0.4), "400 µs");
        assert_eq!(milliseconds(0.0), "0 ms");
        assert_eq!(seconds(0.108), "108 ms");
        assert_eq!(duration(61.2), "61.2 s");
        assert_eq!(duration(185.0), "3 min 5 s");
        assert_eq!(duration(28_800.0), "8 h 0 min");
    }

    #[test]
    fn sizes_and_rates_keep_three_digits() {
        assert_eq!(bytes(0.0), "0 B");
        assert_eq!(bytes(512.0), "512 B");
        assert_eq!(bytes(9_000_000.0), "9 MB");
        assert_eq!(bytes(999_999.0), "1 MB");
        assert_eq!(bytes(445.4), "445 B");
        assert_eq!(count(898.0), "898");
        assert_eq!(count(9_000.0), "9,000");
        assert_eq!(count(500_123.0), "500k");
        assert_eq!(per_second(7.5), "7.5/s");
        assert_eq!(per_second(512_345.6), "512k/s");
        assert_eq!(count(0.02), "0.02");
    }
}
