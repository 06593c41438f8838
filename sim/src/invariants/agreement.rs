//! Equal versions are equal (I1, I2), replicas converge (I7), and states are what they should be.

use serde_json::Value;

use super::violation::{Invariant, Violation, Violations};
use crate::measure::identity::{Compared, Convergence, EqualVersion};

/// Returns a violation for each disagreement at one version.
pub fn agreement(equal: &EqualVersion) -> Violations {
    let mut violations = Violations::default();
    for found in &equal.disagreements {
        let (invariant, what) = match found.compared {
            Compared::History => (Invariant::I1, "history"),
            Compared::Digest => (Invariant::I2, "digest"),
        };
        let detail = format!(
            "at {:?} its {what} is {:016x}, and that of {} is {:016x}",
            found.version, found.other.1, found.one.0, found.one.1
        );
        violations.add(invariant, &found.other.0, detail);
    }
    violations
}

/// Checks that the replicas of `store` settled within `deadline_ns` after load and faults stopped.
pub fn convergence(store: &str, found: &Convergence, deadline_ns: u64) -> Option<Violation> {
    let deadline_ms = deadline_ns as f64 / 1e6;
    let detail = match found.settled_ns {
        Some(settled_ns) if settled_ns <= deadline_ns => return None,
        Some(settled_ns) => {
            let settled_ms = settled_ns as f64 / 1e6;
            format!("converged after {settled_ms:.1} ms, later than {deadline_ms:.1} ms")
        }
        None => format!("did not converge; {deadline_ms:.1} ms were allowed"),
    };
    Some(Violation { invariant: Invariant::I7, at: store.to_owned(), detail })
}

/// Checks that the state of `at` is the result of the ordered history, put through the reducer
/// alone.
pub fn same_state(at: &str, expected: &Value, found: &Value) -> Option<Violation> {
    let difference = first_difference(expected, found)?;
    let detail = format!("not the state that the history gives: {difference}");
    Some(Violation { invariant: Invariant::I2, at: at.to_owned(), detail })
}

/// Describes the first difference between two states; `None` if they are the same.
pub fn first_difference(expected: &Value, found: &Value) -> Option<String> {
    let mut path = String::from("$");
    let (expected, found) = descend(expected, found, &mut path)?;
    Some(format!("{path} is {}, and should be {}", brief(found), brief(expected)))
}

/// The innermost values that differ, where `path` then leads.
fn descend<'a>(
    expected: &'a Value,
    found: &'a Value,
    path: &mut String,
) -> Option<(Option<&'a Value>, Option<&'a Value>)> {
    if expected == found {
        return None;
    }
    let differing = match (expected, found) {
        (Value::Object(one), Value::Object(other)) => {
            let key = one.keys().chain(other.keys()).find(|key| one.get(*key) != other.get(*key));
            key.map(|key| (format!(".{key}"), one.get(key), other.get(key)))
        }
        (Value::Array(one), Value::Array(other)) => {
            let longest = one.len().max(other.len());
            let at = (0..longest).find(|at| one.get(*at) != other.get(*at));
            at.map(|at| (format!("[{at}]"), one.get(at), other.get(at)))
        }
        _ => None,
    };
    let Some((step, one, other)) = differing else { return Some((Some(expected), Some(found))) };
    path.push_str(&step);
    match (one, other) {
        (Some(one), Some(other)) => descend(one, other, path),
        ends => Some(ends),
    }
}

/// The beginning of a value, for people.
fn brief(value: Option<&Value>) -> String {
    const CHARS_MAX: usize = 80;
    let Some(value) = value else { return "absent".to_owned() };
    let text = value.to_string();
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::measure::identity::at_equal_version;
    use crate::measure::timeline::tests::{trace, v};

    #[test]
    fn the_first_difference_is_named_by_its_path() {
        let one = json!({"tasks": {"versions": ["a", "b", "c"]}, "n": 1});
        let other = json!({"tasks": {"versions": ["a", "x", "c"]}, "n": 1});
        let found = first_difference(&one, &other);
        assert_eq!(found.as_deref(), Some(r#"$.tasks.versions[1] is "x", and should be "b""#));
        let shorter = json!({"tasks": {"versions": ["a", "b"]}, "n": 1});
        let found = first_difference(&one, &shorter);
        assert_eq!(found.as_deref(), Some(r#"$.tasks.versions[2] is absent, and should be "c""#));
        assert_eq!(first_difference(&one, &one.clone()), None);
        assert_eq!(same_state("a", &one, &other).map(|v| v.invariant), Some(Invariant::I2));
    }

    #[test]
    fn another_history_at_one_version_is_i1_and_another_digest_i2() {
        let mut a = trace("a", &[(0, 1)]);
        let mut b = trace("b", &[(0, 1)]);
        a.incarnation().applied(3, v(2), 1);
        b.incarnation().applied(3, v(2), 2);
        (a.digests, b.digests) = (vec![(v(1), 5)], vec![(v(1), 6)]);
        let violations = agreement(&at_equal_version(&[a, b]));
        let found: Vec<_> = violations.described().iter().map(|v| v.invariant).collect();
        assert_eq!(found, [Invariant::I1, Invariant::I2]);
    }

    #[test]
    fn converging_late_or_never_violates_i7() {
        let found = |settled_ns| Convergence { first_ns: None, settled_ns };
        assert_eq!(convergence("tasks", &found(Some(10)), 10), None);
        assert!(convergence("tasks", &found(Some(11)), 10).is_some());
        assert!(convergence("tasks", &found(None), 10).is_some());
    }
}
