//! The nesting depth of MessagePack, computed without recursion.
//!
//! The decoder counts the levels of sequences and maps, but not those of enums, so bytes of a peer
//! could exhaust the stack. This scan counts all of them before the decoder sees the bytes.

/// Counts the levels of sequences, maps and extensions that these bytes nest, as far as
/// `levels_max` and one more. Bytes that end too early are left to the decoder.
pub(super) fn levels(bytes: &[u8], levels_max: usize) -> usize {
    let mut open: Vec<u64> = Vec::new();
    let (mut at, mut left, mut levels) = (0, 1_u64, 0);
    loop {
        while left == 0 {
            match open.pop() {
                Some(above) => left = above,
                None => return levels,
            }
        }
        left -= 1;
        let Some(item) = Item::at(bytes, at) else { return levels };
        at = at.saturating_add(item.bytes);
        if let Some(parts) = item.parts {
            open.push(left);
            left = parts;
            levels = levels.max(open.len());
            if levels > levels_max {
                return levels;
            }
        }
    }
}

/// A marker, with what belongs to it.
struct Item {
    /// Its length without its parts.
    bytes: usize,
    /// The number of items, if the value is a container.
    parts: Option<u64>,
}

impl Item {
    fn at(bytes: &[u8], at: usize) -> Option<Item> {
        let marker = *bytes.get(at)?;
        let leaf = |bytes: usize| Some(Item { bytes, parts: None });
        let holds = |bytes: usize, parts: u64| Some(Item { bytes, parts: Some(parts) });
        let number = |width: usize| {
            let digits = bytes.get(at + 1..at + 1 + width)?;
            Some(digits.iter().fold(0, |number: u64, digit| number << 8 | u64::from(*digit)))
        };
        let text = |width: usize| leaf((number(width)? as usize).saturating_add(1 + width));
        match marker {
            0x00..=0x7f | 0xc0..=0xc3 | 0xe0..=0xff => leaf(1),
            0x80..=0x8f => holds(1, 2 * u64::from(marker & 0x0f)),
            0x90..=0x9f => holds(1, u64::from(marker & 0x0f)),
            0xa0..=0xbf => leaf(1 + usize::from(marker & 0x1f)),
            0xc4 | 0xd9 => text(1),
            0xc5 | 0xda => text(2),
            0xc6 | 0xdb => text(4),
            0xc7 => text(1).map(Item::with_kind),
            0xc8 => text(2).map(Item::with_kind),
            0xc9 => text(4).map(Item::with_kind),
            0xcc | 0xd0 => leaf(2),
            0xcd | 0xd1 => leaf(3),
            0xca | 0xce | 0xd2 => leaf(5),
            0xcb | 0xcf | 0xd3 => leaf(9),
            0xd4..=0xd8 => leaf(2 + (1 << (marker - 0xd4))),
            0xdc => holds(3, number(2)?),
            0xdd => holds(5, number(4)?),
            0xde => holds(3, 2 * number(2)?),
            0xdf => holds(5, 2 * number(4)?),
        }
    }

    /// An extension has a byte more, which says of what kind it is.
    fn with_kind(self) -> Item {
        Item { bytes: self.bytes + 1, ..self }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// The levels of sequences and maps.
    fn levels_of(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(levels_of).max().unwrap_or(0),
            Value::Object(entries) => 1 + entries.values().map(levels_of).max().unwrap_or(0),
            _ => 0,
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,40}".prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 64, 20, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..20).prop_map(Value::from),
                prop::collection::btree_map(".{0,3}", inner, 0..20)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn all_levels_are_counted_and_no_more(value in any_value()) {
            let bytes = rmp_serde::to_vec_named(&value).expect("encodes");
            prop_assert_eq!(levels(&bytes, 1000), levels_of(&value));
            prop_assert_eq!(levels(&bytes, 2), levels_of(&value).min(3));
        }

        #[test]
        fn any_bytes_come_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            levels(&bytes, 8);
        }
    }

    #[test]
    fn texts_bytes_and_extensions_of_every_length_are_passed_over() {
        for len in [0, 31, 32, 255, 256, 65_535, 65_536] {
            let text = rmp_serde::to_vec_named(&json!(["x".repeat(len), [1]])).expect("encodes");
            assert_eq!(levels(&text, 9), 2, "{len}");
        }
        // Two extensions in a sequence, each of bytes that would look like containers.
        for extensions in [
            &[0x92, 0xd4, 1, 0x91, 0xd5, 1, 0x91, 0x91][..],
            &[0x92, 0xc7, 2, 1, 0x91, 0x91, 0xc8, 0, 1, 1, 0x91],
            &[0x92, 0xc4, 2, 0x91, 0x91, 0xc5, 0, 1, 0x91],
        ] {
            assert_eq!(levels(extensions, 9), 1, "{extensions:?}");
        }
    }
}
