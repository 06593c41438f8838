//! A strict reader of the OpenMetrics text format, as far as counters and gauges go
//! (<https://prometheus.io/docs/specs/om/open_metrics_spec/>).

use std::collections::{BTreeMap, BTreeSet};

/// Samples by their names and labels, as written.
pub(super) type Samples = BTreeMap<String, f64>;

/// Reads a page, and panics over whatever the format does not allow.
pub(super) fn read(page: &str) -> Samples {
    let body = page.strip_suffix("# EOF\n").expect("it ends with the mark");
    let mut samples = Samples::new();
    let mut families = BTreeSet::new();
    let (mut family, mut kind) = (String::new(), String::new());
    for line in body.split_terminator('\n') {
        assert!(!line.is_empty() && !line.ends_with('\r'), "{line:?}");
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let mut word = || words.next().expect("a word").to_owned();
            let (what, name, rest) = (word(), word(), word());
            check_name(&name);
            match what.as_str() {
                "HELP" => {
                    assert!(families.insert(name.clone()), "{name} comes twice");
                    assert!(!rest.is_empty() && !rest.ends_with('.'), "{line}");
                    (family, kind) = (name, String::new());
                }
                "TYPE" => {
                    assert_eq!(name, family, "{line}");
                    assert!(kind.is_empty() && ["counter", "gauge"].contains(&&*rest), "{line}");
                    kind = rest;
                }
                "UNIT" => {
                    assert_eq!(name, family, "{line}");
                    assert!(name.ends_with(&format!("_{rest}")), "{line}");
                }
                _ => panic!("{line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let name = series.split('{').next().expect("a name");
        let expected = match kind.as_str() {
            "counter" => format!("{family}_total"),
            "gauge" => family.clone(),
            _ => panic!("{line:?} before its type"),
        };
        assert_eq!(name, expected, "{line:?} in another family");
        check_labels(&series[name.len()..]);
        let value = value.parse().expect("a number");
        assert!(samples.insert(series.to_owned(), value).is_none(), "{series} comes twice");
    }
    samples
}

fn check_name(name: &str) {
    assert!(name.starts_with("samestate_"), "{name}");
    assert!(
        name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'),
        "{name}"
    );
    assert!(!name.ends_with("_total"), "a counter's family has no suffix: {name}");
}

/// `{key="value",...}` with escapes, or nothing.
fn check_labels(labels: &str) {
    if labels.is_empty() {
        return;
    }
    let inner = labels.strip_prefix('{').and_then(|labels| labels.strip_suffix('}'));
    let mut rest = inner.expect("braces");
    let mut keys = BTreeSet::new();
    loop {
        let (key, value) = rest.split_once("=\"").expect("a key and a value");
        assert!(key.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{labels}");
        assert!(keys.insert(key.to_owned()), "{key} comes twice");
        let mut end = None;
        let mut escaped = false;
        for (at, c) in value.char_indices() {
            match (escaped, c) {
                (true, c) => {
                    assert!(['\\', '"', 'n'].contains(&c), "{labels}");
                    escaped = false;
                }
                (false, '\\') => escaped = true,
                (false, '"') => {
                    end = Some(at);
                    break;
                }
                (false, _) => {}
            }
        }
        rest = &value[end.expect("a closing quote") + 1..];
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => break,
        }
    }
    assert_eq!(rest, "", "{labels}");
}
