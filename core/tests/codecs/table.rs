//! The table of `docs/states.md` that lists what survives which codec, each row held by values.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use samestate::Codec;
use samestate::testing::check_codec_as;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A row: what it is of, and whether it survives MessagePack and JSON.
struct Row {
    of: &'static str,
    survives: [bool; 2],
}

fn row<T: Serialize + DeserializeOwned + Send + Sync>(
    of: &'static str,
    values: impl Fn() -> Vec<T>,
) -> Row {
    let survives = |codec| {
        let all = values().into_iter().map(|value| check_codec_as(codec, [value]).is_ok());
        let all: Vec<bool> = all.collect();
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{of}, {codec:?}: {all:?}");
        all[0]
    };
    Row { of, survives: [survives(Codec::MessagePack), survives(Codec::Json)] }
}

#[derive(Serialize, Deserialize)]
struct Unit;

#[derive(Serialize, Deserialize)]
struct Newtype(u64);

#[derive(Serialize, Deserialize)]
struct Pair(u8, String);

#[derive(Serialize, Deserialize)]
struct Point {
    x: i32,
    #[serde(rename = "Y", alias = "why")]
    y: f64,
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Name {
    A,
    B(u8),
}

#[derive(Serialize, Deserialize)]
enum Shape {
    Unit,
    Newtype(u64),
    Pair(u8, Vec<i32>),
    Struct { x: IpAddr, y: Option<f32> },
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type")]
enum Internally<T> {
    Unit,
    Struct { x: T },
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", content = "content")]
enum Adjacently<T> {
    Unit,
    Newtype(T),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged<T> {
    Struct { x: T },
}

#[derive(Serialize, Deserialize)]
struct Flat<T> {
    id: u8,
    #[serde(flatten)]
    rest: Rest<T>,
}

#[derive(Serialize, Deserialize)]
struct Rest<T> {
    x: T,
}

#[derive(Serialize, Deserialize)]
struct FlatMap<K: Ord> {
    id: u8,
    #[serde(flatten, bound(deserialize = "K: Deserialize<'de>"))]
    rest: BTreeMap<K, u8>,
}

#[derive(Serialize, Deserialize)]
struct SkippedIf<T> {
    #[serde(skip_serializing_if = "always", bound(deserialize = "T: Deserialize<'de>"))]
    x: T,
}

fn always<T>(_: &T) -> bool {
    true
}

#[derive(Serialize, Deserialize)]
struct Defaulted {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    x: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[expect(dead_code, reason = "nobody reads what is lost")]
struct Skipped {
    #[serde(skip)]
    x: u8,
}

/// A type that serialises as one thing for readers and as another for machines, as `uuid::Uuid`
/// and `time::OffsetDateTime` do.
struct Compact(u64);

impl Serialize for Compact {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serializer.is_human_readable() {
            true => self.0.to_string().serialize(serializer),
            false => self.0.to_be_bytes().serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Compact {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.is_human_readable() {
            true => {
                let text = String::deserialize(deserializer)?;
                text.parse().map(Compact).map_err(serde::de::Error::custom)
            }
            false => <[u8; 8]>::deserialize(deserializer).map(u64::from_be_bytes).map(Compact),
        }
    }
}

fn ip() -> IpAddr {
    IpAddr::from([10, 0, 0, 1])
}

fn map<K: Ord>(keys: impl IntoIterator<Item = K>) -> BTreeMap<K, u8> {
    keys.into_iter().zip(1..).collect()
}

fn nested(levels: usize) -> serde_json::Value {
    (0..levels).fold(1.into(), |inner, _| serde_json::Value::Array(vec![inner]))
}

fn numbers() -> Vec<Row> {
    vec![
        row("integers of up to 64 bits", || vec![(u64::MAX, i64::MIN), (0, -1)]),
        row("`u128`, `i128`", || vec![(u128::MAX, i128::MIN), (5, -5)]),
        row("`f32`, `f64`: finite, `-0.0` too", || {
            vec![(0.1_f32, 1.577_777_777_777_000_1), (-0.0, -0.0), (f32::MAX, 5e-324)]
        }),
        row("`f32`, `f64`: NaN and infinities", || vec![f64::NAN, f64::INFINITY]),
        row("the same in an `Option`", || vec![Some(f64::NAN), Some(f64::NEG_INFINITY)]),
        row("`bool`, `char`, `String`, `Box<str>`, `Arc<T>`, `Cow`", || {
            vec![(true, '\u{0}', "é\u{2028}".to_owned(), Box::<str>::from(""), Arc::new(1_u8))]
        }),
    ]
}

fn containers() -> Vec<Row> {
    vec![
        row("`()`, unit structs, newtypes, tuples, arrays", || {
            vec![((), Unit, Newtype(7), Pair(1, "a".into()), [1.5_f32; 3])]
        }),
        row("structs, with `rename`, `rename_all`, `alias`", || vec![Point { x: -1, y: 0.5 }]),
        row("`Option<T>`", || {
            vec![None, Some("a")].into_iter().map(|a| a.map(str::to_owned)).collect()
        }),
        row("`Option<Option<T>>`, `Option<()>`: `Some` of what is written as null", || {
            vec![(Some(None::<u8>), None), (None, Some(()))]
        }),
        row("`Vec`, `VecDeque`, `BTreeSet`, `state::List`", || {
            vec![(
                vec![1],
                std::collections::VecDeque::from([2]),
                samestate::state::List::from_iter([3]),
            )]
        }),
        row("`HashSet`", || vec![(0..50).collect::<HashSet<u8>>()]),
        row("maps with keys that are texts, `char`, `bool` or integers", || {
            vec![(
                map(["a".to_owned()]),
                map(['b']),
                map([true]),
                map([u64::MAX]),
                map([i128::MIN]),
            )]
        }),
        row("maps whose keys are enums without content", || vec![map([Name::A])]),
        row("maps whose keys are tuples, structs, `Option` or enums with content", || {
            vec![
                (map([(1, 2)]), map([]), map([])),
                (map([]), map([Some(3), None]), map([])),
                (map([]), map([]), map([Name::B(1)])),
            ]
        }),
        row("`HashMap`, `BTreeMap`, `state::Map`", || {
            let of_text = || (0..20).map(|n: u8| (n.to_string(), n));
            let map: samestate::state::Map<String, u8> = of_text().collect();
            vec![(of_text().collect::<HashMap<_, _>>(), map)]
        }),
        row("`serde_json::Value`", || {
            vec![serde_json::json!({"a": [1, -1, 1.5, null, u64::MAX, 1e300, -0.0], "": {}})]
        }),
        row("up to 127 levels of sequences, maps, structs and enums", || vec![nested(127)]),
        row("up to 1,023 levels of them", || vec![nested(1023), nested(128)]),
        row("more", || vec![nested(1024), nested(1500)]),
    ]
}

fn enums() -> Vec<Row> {
    vec![
        row("enums as serde derives them", || {
            let named = Shape::Struct { x: ip(), y: Some(0.1) };
            vec![Shape::Unit, Shape::Newtype(1), Shape::Pair(1, vec![-1]), named]
        }),
        row("`tag`, `tag` with `content`, `untagged`, `flatten`", || {
            let some = || Some("a".to_owned());
            let internally = [Internally::Unit, Internally::Struct { x: some() }];
            let adjacently = [Adjacently::Unit, Adjacently::Newtype(-1.5)];
            let rest = Rest { x: vec![i64::MIN] };
            vec![(internally, adjacently, Untagged::Struct { x: u64::MAX }, Flat { id: 1, rest })]
        }),
        row("`tag`, `untagged` or `flatten` around a compact type", || {
            let tagged = |x| Internally::Struct { x };
            let (untagged, flat) =
                (|x| Untagged::Struct { x }, |x| Flat { id: 1, rest: Rest { x } });
            vec![
                (Some(tagged(Some(ip()))), None, None),
                (None, Some(untagged(Compact(5))), None),
                (None, None, Some(flat(ip()))),
            ]
        }),
        row("`tag` with `content` around a compact type", || vec![Adjacently::Newtype(ip())]),
        row("`tag`, `untagged` or `flatten` around `u128` beyond 64 bits", || {
            let flat = Flat { id: 1, rest: Rest { x: u128::MAX } };
            vec![(Some(Internally::Struct { x: u128::MAX }), None), (None, Some(flat))]
        }),
        row("`flatten` of a map whose keys are texts", || {
            vec![FlatMap { id: 1, rest: map(["a".to_owned()]) }]
        }),
        row("`flatten` of a map whose keys are numbers", || {
            vec![FlatMap { id: 1, rest: map([7]) }]
        }),
    ]
}

fn attributes_and_types() -> Vec<Row> {
    vec![
        row("`skip_serializing_if` with `default`", || {
            vec![Defaulted { x: vec![] }, Defaulted { x: vec![1] }]
        }),
        row("`skip_serializing_if` without `default`", || vec![SkippedIf { x: 1_u8 }]),
        row("`skip`", || vec![Skipped { x: 0 }, Skipped { x: 7 }]),
        row("compact types: `IpAddr`, `SocketAddr`, `Uuid`, `OffsetDateTime`", || {
            vec![(ip(), SocketAddr::new(ip(), 80), Compact(u64::MAX))]
        }),
        row("`Duration`, `SystemTime` since 1970", || {
            vec![(Duration::MAX, SystemTime::UNIX_EPOCH + Duration::from_nanos(1))]
        }),
        row("`SystemTime` before 1970", || vec![SystemTime::UNIX_EPOCH - Duration::from_secs(1)]),
        row("`PathBuf` in UTF-8", || vec![PathBuf::from("/é")]),
        #[cfg(unix)]
        row("`PathBuf` otherwise", || {
            use std::os::unix::ffi::OsStringExt;
            vec![PathBuf::from(std::ffi::OsString::from_vec(vec![0x66, 0xff]))]
        }),
        row("`Result<T, E>`, ranges, `NonZero`", || {
            let one = std::num::NonZeroU8::MIN;
            vec![(Ok::<u8, String>(1), 1..3, one), (Err("e".into()), 3..3, one)]
        }),
    ]
}

#[test]
fn the_table_of_the_guide_says_what_survives_which_codec() {
    let guide = include_str!("../../../docs/states.md");
    let section = guide.split("## What survives a codec").nth(1).expect("the section");
    let section = section.split("\n## ").next().expect("its text");
    let cells = |line: &str| {
        line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
    };
    let said: Vec<_> =
        section.lines().filter(|line| line.starts_with("| ")).skip(1).map(cells).collect();
    let rows = [numbers(), containers(), enums(), attributes_and_types()];
    let word = |survives| if survives { "yes" } else { "no" };
    let held: Vec<_> = rows
        .iter()
        .flatten()
        .map(|row| {
            let [packed, json] = row.survives.map(word);
            vec![row.of.to_owned(), packed.to_owned(), json.to_owned()]
        })
        .collect();
    let text = |rows: &[Vec<String>]| {
        let lines = rows.iter().map(|cells| format!("| {} |\n", cells[..3].join(" | ")));
        lines.collect::<String>()
    };
    assert_eq!(text(&said), text(&held), "docs/states.md says:");
}
