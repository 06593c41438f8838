//! Actions with values that are hard on a codec: at the sequencer, a client, one that joins late,
//! and in the next life of the store.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use samestate::{Codec, DispatchError, Store};
use serde::{Deserialize, Serialize};

use crate::scene::{DEADLINE, Scene, reached, within};

/// The fate of a value.
#[derive(Clone, Debug, PartialEq)]
enum Fate {
    /// It is applied; this is what every node holds then.
    Held(String),
    /// It is refused where it was made, in these words.
    Invalid(&'static str),
}

use Fate::{Held, Invalid};

type List = Store<Vec<Hard>, Hard>;

/// Values that are hard on a codec, as one type: a store of each type by itself would say the
/// same, and take many times as long to compile.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Hard {
    F32(f32),
    F64(f64),
    U64(u64),
    I64(i64),
    U128(u128),
    I128(i128),
    Char(char),
    Text(String),
    Unit(Unit),
    Duration(Duration),
    Time(SystemTime),
    Result(Result<u8, String>),
    Value(serde_json::Value),
    Patch(Patch),
    Local(Local),
    Flat(Flat),
    Tagged(Tagged),
    Untagged(Untagged),
    ByPair(BTreeMap<(u32, u32), u8>),
    ByOption(BTreeMap<Option<u8>, u8>),
    ByNumber(BTreeMap<u64, u8>),
    ByBool(BTreeMap<bool, u8>),
    ByChar(BTreeMap<char, u8>),
    Tree(Tree),
}

fn shown(store: &List) -> String {
    format!("{:?}", store.state())
}

fn push(list: &mut Vec<Hard>, item: &Hard) {
    list.push(item.clone());
}

/// Dispatches values at the sequencer and at a client, and checks that each meets its fate at
/// both, and that all nodes and the next life hold the same.
async fn everywhere(codec: Codec, name: &str, values: Vec<(Hard, Fate)>) {
    let scene = Scene::new(codec);
    let open = || scene.store(push);
    let server: List = open().backup(scene.backup()).durable().open().await.expect("it opens");
    server.create_server(scene.server()).await.expect("it listens");
    let client: List = open().client(scene.client()).open().await.expect("it joins");
    let mut held = Vec::new();
    for (value, fate) in &values {
        for origin in [&server, &client] {
            let before = server.version();
            let met = match (within(origin.dispatch(value.clone())).await, fate) {
                (Ok(_), Held(text)) => {
                    held.push(text.clone());
                    true
                }
                (Err(DispatchError::Invalid(why)), Invalid(words)) => {
                    assert_eq!(server.version(), before, "{name}: it got a version");
                    assert!(why.contains(words), "{name}: {why}");
                    true
                }
                (other, _) => panic!("{codec:?} {name}: {other:?}, and not {fate:?}"),
            };
            assert!(met);
        }
    }
    let expected = format!("[{}]", held.join(", "));
    assert_eq!(shown(&server), expected, "{codec:?} {name}: at the server");
    reached(&client, server.version()).await;
    assert_eq!(shown(&client), expected, "{codec:?} {name}: at the client");
    let late: List = open().client(scene.client()).open().await.expect("it joins");
    assert_eq!(shown(&late), expected, "{codec:?} {name}: at one that joins late");
    let divergences = [&client, &late].map(|copy| copy.counters().divergences);
    assert_eq!(divergences, [0, 0], "{codec:?} {name}");
    server.close(DEADLINE).await.expect("it is written");
    drop(server);
    let again: List = open().backup(scene.backup()).open().await.expect("it is restored");
    assert_eq!(shown(&again), expected, "{codec:?} {name}: in the next life");
}

/// Values that every node is to hold as they are.
fn as_is<T>(of: fn(T) -> Hard, values: impl IntoIterator<Item = T>) -> Vec<(Hard, Fate)> {
    values
        .into_iter()
        .map(of)
        .map(|value| {
            let text = format!("{value:?}");
            (value, Held(text))
        })
        .collect()
}

const CODECS: [Codec; 2] = [Codec::MessagePack, Codec::Json];

#[tokio::test]
async fn numbers_are_the_same_on_every_node_to_the_last_bit() {
    for codec in CODECS {
        let floats = [0.1, -0.0, 1.577_777_777_777_000_1, f64::MIN_POSITIVE, 5e-324, f64::MAX];
        let more = [117.633_311_394_000_17, 0.091_443_385_121_928_87];
        everywhere(codec, "f64", as_is(Hard::F64, floats.into_iter().chain(more))).await;
        let floats = [0.1_f32, 16_777_217.0, f32::from_bits(0x95ae_43fd), -0.0];
        everywhere(codec, "f32", as_is(Hard::F32, floats)).await;
        everywhere(codec, "u64", as_is(Hard::U64, [u64::MAX, (1 << 53) + 1, 0])).await;
        everywhere(codec, "i64", as_is(Hard::I64, [i64::MIN, -1, i64::MAX])).await;
        everywhere(codec, "u128", as_is(Hard::U128, [u128::MAX, 1 << 64, 5])).await;
        everywhere(codec, "i128", as_is(Hard::I128, [i128::MIN, -1, i128::MAX])).await;
    }
}

#[tokio::test]
async fn a_number_that_json_has_no_form_for_is_refused_where_it_was_made() {
    let values = [1.0, f64::NAN, 2.0, f64::INFINITY, f64::NEG_INFINITY];
    let fates = values.map(|value: f64| match value.is_finite() {
        true => (Hard::F64(value), Held(format!("F64({value:?})"))),
        false => (Hard::F64(value), Invalid("invalid type: null, expected f64")),
    });
    everywhere(Codec::Json, "f64", fates.into()).await;
    everywhere(Codec::MessagePack, "f64", as_is(Hard::F64, values)).await;
}

/// `None`: leave it; `Some(None)`: clear it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Patch {
    name: Option<Option<String>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(dead_code, reason = "it is told apart by its `Debug`")]
struct Local {
    id: u32,
    #[serde(skip)]
    attempt: u32,
}

#[tokio::test]
async fn what_a_codec_changes_is_changed_on_every_node() {
    for codec in CODECS {
        let clear =
            (Hard::Patch(Patch { name: Some(None) }), Held("Patch(Patch { name: None })".into()));
        everywhere(codec, "Option<Option>", vec![clear]).await;
        let skipped = Hard::Local(Local { id: 1, attempt: 7 });
        let held = Held("Local(Local { id: 1, attempt: 0 })".into());
        everywhere(codec, "serde(skip)", vec![(skipped, held)]).await;
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Meta {
    addr: IpAddr,
    weight: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Flat {
    id: u32,
    #[serde(flatten)]
    meta: Meta,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type")]
enum Tagged {
    Set { at: u64, ip: Option<IpAddr> },
    Clear,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Address(IpAddr),
    Number(i64),
}

#[tokio::test]
async fn an_address_that_serde_holds_back_is_refused_in_message_pack_by_its_path() {
    let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
    let flat = Flat { id: 1, meta: Meta { addr: ip("10.0.0.1"), weight: 3 } };
    let tagged = Tagged::Set { at: u64::MAX, ip: Some(ip("::1")) };
    everywhere(Codec::Json, "flatten", as_is(Hard::Flat, [flat.clone()])).await;
    everywhere(Codec::Json, "tag", as_is(Hard::Tagged, [tagged.clone(), Tagged::Clear])).await;
    let untagged = [Untagged::Address(ip("::1")), Untagged::Number(-3)];
    everywhere(Codec::Json, "untagged", as_is(Hard::Untagged, untagged.clone())).await;
    let packed = Codec::MessagePack;
    everywhere(packed, "flatten", vec![(Hard::Flat(flat), Invalid("addr: invalid type"))]).await;
    everywhere(packed, "tag", vec![(Hard::Tagged(tagged), Invalid("ip: invalid type"))]).await;
    let [address, number] = untagged.map(Hard::Untagged);
    let fates =
        vec![(address, Invalid("did not match")), (number, Held("Untagged(Number(-3))".into()))];
    everywhere(packed, "untagged", fates).await;
}

#[tokio::test]
async fn maps_whose_keys_are_no_text_are_refused_in_json_where_it_has_no_form_for_them() {
    let pair = || BTreeMap::from([((1_u32, 2_u32), 3_u8)]);
    let refused = Invalid("key must be a string");
    everywhere(Codec::MessagePack, "tuple keys", as_is(Hard::ByPair, [pair()])).await;
    everywhere(Codec::Json, "tuple keys", vec![(Hard::ByPair(pair()), refused.clone())]).await;
    let maybe = || BTreeMap::from([(None::<u8>, 1_u8), (Some(3), 2)]);
    everywhere(Codec::MessagePack, "option keys", as_is(Hard::ByOption, [maybe()])).await;
    everywhere(Codec::Json, "option keys", vec![(Hard::ByOption(maybe()), refused)]).await;
    for codec in CODECS {
        everywhere(
            codec,
            "number keys",
            as_is(Hard::ByNumber, [BTreeMap::from([(u64::MAX, 1), (3, 4)])]),
        )
        .await;
        everywhere(codec, "bool keys", as_is(Hard::ByBool, [BTreeMap::from([(true, 1)])])).await;
        everywhere(codec, "char keys", as_is(Hard::ByChar, [BTreeMap::from([('\u{0}', 1)])])).await;
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Unit;

#[tokio::test]
async fn texts_bytes_times_and_values_come_through() {
    for codec in CODECS {
        everywhere(codec, "char", as_is(Hard::Char, ['a', '\u{0}', '\u{10ffff}', '\u{feff}']))
            .await;
        let texts = ["é\u{0}\n\u{2028}\u{feff}", "e\u{301}", ""].map(str::to_owned);
        everywhere(codec, "String", as_is(Hard::Text, texts)).await;
        everywhere(codec, "unit struct", as_is(Hard::Unit, [Unit])).await;
        everywhere(
            codec,
            "Duration",
            as_is(Hard::Duration, [Duration::new(u64::MAX, 999_999_999)]),
        )
        .await;
        let (epoch, before) = (SystemTime::UNIX_EPOCH, Duration::from_secs(1));
        let times = vec![
            (Hard::Time(epoch + before), Held(format!("{:?}", Hard::Time(epoch + before)))),
            (Hard::Time(epoch - before), Invalid("cannot be encoded")),
        ];
        everywhere(codec, "SystemTime", times).await;
        everywhere(codec, "Result", as_is(Hard::Result, [Ok(3), Err("x".into())])).await;
        let json = serde_json::json!({
            "a": [1, -1, 1.5, null, true, u64::MAX, 1e300, 0.1, -0.0, 1.0], "b": {"": "\u{0}"}
        });
        everywhere(codec, "Value", as_is(Hard::Value, [json])).await;
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Tree {
    Leaf,
    Reply(Box<Tree>),
}

fn tree(levels: usize) -> Tree {
    (0..levels).fold(Tree::Leaf, |tree, _| Tree::Reply(Box::new(tree)))
}

#[tokio::test]
async fn an_action_that_nests_too_deep_is_refused_before_it_is_sent() {
    for (codec, levels_max) in [(Codec::MessagePack, 1023), (Codec::Json, 127)] {
        // The variant of `Hard` is a level, too.
        let fits = Hard::Tree(tree(levels_max - 2));
        let held = Held(format!("{fits:?}"));
        let too_deep = Invalid("nests deeper than");
        let trees = vec![(fits, held), (Hard::Tree(tree(levels_max)), too_deep.clone())];
        everywhere(codec, "tree", trees).await;
        let value = (0..1500).fold(serde_json::json!(1), |inner, _| serde_json::json!([inner]));
        everywhere(codec, "Value", vec![(Hard::Value(value), too_deep)]).await;
    }
}
