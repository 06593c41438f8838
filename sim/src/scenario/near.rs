//! Near misses: names that the writer of a wrong name may have meant.

use super::tree::IGNORED;

/// The likeness that two names must have for one to be offered in place of the other.
const LIKENESS_MIN: f64 = 0.75;

/// The candidate most like `name`, if any is like it at all.
pub(super) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let lower = name.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, candidate)| candidate)
}

/// The help under a complaint about an unknown name: the near miss, and what there is.
pub(super) fn suggest(name: &str, candidates: &[&str]) -> String {
    let known = if candidates.is_empty() {
        "there are none".to_owned()
    } else {
        format!("known: {}", quoted(candidates))
    };
    if name.starts_with(IGNORED) {
        return format!(
            "keys that begin with `{IGNORED}` are ignored: give it another name; {known}"
        );
    }
    match nearest(name, candidates.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? {known}"),
        None => known,
    }
}

/// Names in backquotes, with commas between.
pub(super) fn quoted<S: AsRef<str>>(names: &[S]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    quoted.join(", ")
}
