//! The distribution of latencies, by percentile.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

use super::chart::{Axis, Chart, Line, Shape};
use super::scale::{Scale, Unit};
use crate::record::{Case, Quantiles};
use crate::units;

/// The longest encoded histogram that is read: one of three digits over a day has some 200 kB.
const ENCODED_MAX: usize = 1 << 20;

/// The percentiles that are marked on the axis.
const MARKED: [f64; 6] = [0.0, 50.0, 90.0, 99.0, 99.9, 99.99];

/// Draws the distribution; `None` if the record has neither histograms nor quantiles.
pub(super) fn chart(case: &Case, id: &str) -> Option<Chart<'static>> {
    let shown =
        [("at each replica", &case.latency_us.replica, 0), ("answered", &case.latency_us.local, 2)];
    let mut lines = Vec::new();
    for (name, quantiles, colour) in shown {
        let Some(quantiles) = quantiles else { continue };
        let points = points(quantiles);
        let note = format!(
            "p50 {}, p99 {}, max {}",
            units::microseconds(quantiles.p50),
            units::microseconds(quantiles.p99),
            units::microseconds(quantiles.max)
        );
        lines.push(Line { name: name.to_owned(), colour, shape: Shape::Line, points, note });
    }
    let values = || lines.iter().flat_map(|line| &line.points).filter_map(|point| point.1);
    let least = values().filter(|value| *value > 0.0).min_by(f64::total_cmp)?;
    let most = values().max_by(f64::total_cmp)?;
    let end = lines.iter().flat_map(|line| line.points.last()).map(|point| point.0);
    let end = end.fold(1.0, f64::max);
    let x = Axis {
        scale: Scale::between(0.0, end),
        unit: Unit::Count,
        title: "percentile".to_owned(),
        ticks: MARKED
            .iter()
            .filter(|percent| nines(**percent) <= end)
            .map(|percent| (nines(*percent), format!("{percent} %")))
            .collect(),
    };
    Some(Chart {
        id: format!("{id}-distribution"),
        figure: "distribution".to_owned(),
        title: "Distribution of latency".to_owned(),
        about: "How many dispatches in a hundred were at least this fast, over the whole load."
            .to_owned(),
        x,
        y: Axis::new(Scale::decades(least, most), Unit::Microseconds, "latency, logarithmic scale"),
        lines,
        bands: &[],
        low: false,
    })
}

/// The place of a percentile: 90, 99 and 99.9 are equally far apart.
fn nines(percent: f64) -> f64 {
    -(1.0 - percent.min(99.999_999) / 100.0).log10()
}

/// The latencies over percentiles: of the histogram if it can be read, else of the quantiles.
fn points(quantiles: &Quantiles) -> Vec<(f64, Option<f64>)> {
    let encoded = quantiles.histogram.as_ref().filter(|text| text.len() <= ENCODED_MAX);
    let histogram = encoded.and_then(|text| {
        let bytes = STANDARD.decode(text).ok()?;
        let read: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).ok()?;
        Some(read).filter(|histogram| !histogram.is_empty())
    });
    let Some(histogram) = histogram else {
        let known = [
            (50.0, quantiles.p50),
            (90.0, quantiles.p90),
            (99.0, quantiles.p99),
            (99.9, quantiles.p999),
        ];
        return known.map(|(percent, value)| (nines(percent), Some(value))).to_vec();
    };
    let end = (histogram.len() as f64).log10().max(0.5);
    let steps = 160;
    let places = (0..=steps).map(|step| end * f64::from(step) / f64::from(steps));
    let value = |place: f64| {
        let quantile = 1.0 - 10_f64.powf(-place);
        histogram.value_at_quantile(quantile.clamp(0.0, 1.0)) as f64 / 1e3
    };
    let mut points: Vec<_> = places.map(|place| (place, Some(value(place)))).collect();
    points.push((end, Some(histogram.max() as f64 / 1e3)));
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_that_cannot_be_read_leaves_the_quantiles() {
        let quantiles =
            Quantiles { p50: 5.0, histogram: Some("no base64!".into()), ..<_>::default() };
        assert_eq!(points(&quantiles).len(), 4);
        let truncated = Quantiles { histogram: Some("HISTFAAAACd4".into()), ..quantiles };
        assert_eq!(points(&truncated)[0], (nines(50.0), Some(5.0)));
    }
}
