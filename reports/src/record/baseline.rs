//! A record as a baseline to commit: small, and the same each time.

use serde_json::Value;

use super::{Case, Latency, Quantiles, Record, Repeat};
use crate::compare;

impl Record {
    /// Reduces the record to what a comparison reads, as JSON: no series, processes or paths of
    /// this machine, numbers with six digits, and nothing that was not measured.
    pub fn to_baseline(&self) -> String {
        let cases = self.cases.iter().map(reduced).collect();
        let record = Record {
            file: None,
            about: String::new(),
            command: Vec::new(),
            wall_seconds: self.wall_seconds.round(),
            cases,
            ..self.clone()
        };
        let mut json = serde_json::to_value(&record).unwrap_or_default();
        tidy(&mut json);
        let text = serde_json::to_string_pretty(&json).unwrap_or_default();
        text + "\n"
    }
}

fn reduced(case: &Case) -> Case {
    let quantiles = |of: &Option<Quantiles>| {
        of.as_ref().map(|quantiles| Quantiles { histogram: None, ..quantiles.clone() })
    };
    let latency_us = Latency {
        local: quantiles(&case.latency_us.local),
        replica: quantiles(&case.latency_us.replica),
    };
    let repeats = case.repeats.iter().map(|repeat| {
        let mut repeat: Repeat = repeat.clone();
        repeat.figures.retain(|name, _| compare::is_judged(name));
        repeat
    });
    Case {
        with: case.with.clone(),
        verdict: case.verdict,
        because: case.because.clone(),
        seconds: case.seconds,
        identical: case.identical.clone(),
        dispatches: case.dispatches.clone(),
        rate: case.rate.clone(),
        latency_us,
        cost: case.cost.clone(),
        violations: case.violations.clone(),
        repeats: repeats.collect(),
        shown_repeat: case.shown_repeat,
        ..Case::default()
    }
}

/// Removes what is empty, and rounds numbers.
fn tidy(json: &mut Value) {
    match json {
        Value::Object(fields) => {
            fields.values_mut().for_each(tidy);
            fields.retain(|_, value| !is_empty(value));
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Number(number) => {
            if let Some(value) = number.as_f64().filter(|_| number.is_f64()) {
                let short: f64 = format!("{value:.5e}").parse().unwrap_or(value);
                *json = Value::from(short);
            }
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::sample;

    #[test]
    fn a_baseline_is_small_and_compares_like_the_record() {
        let mut record = sample::big_store_repeated();
        record.command = vec!["/home/me/samestate".into()];
        let text = record.to_baseline();
        assert!(text.len() < 16_000 && !text.contains("null"), "{} bytes", text.len());
        assert!(!text.contains("/home/me") && !text.contains("processes\": ["), "{text}");
        let read = Record::from_json(text.as_bytes(), "it").expect("it can be read again");
        let compared = compare::compare(&[(vec![&read], vec![&record])], 0.02);
        assert!(!compared[0].worse() && !compared[0].says_nothing(), "{compared:?}");
        assert_eq!(read.to_baseline(), text, "and written again as the same");
    }
}
