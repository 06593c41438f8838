//! The hash under the digest: words go in one after another, one word comes out.
//!
//! A word is mixed in by a folded multiplication: `state = fold((state ^ word) * key)`, where the
//! product has 128 bits and `fold` is the xor of its halves. The key depends on what the word is
//! (its [`Tag`]), so that words of different kinds never pass for each other. The multiplier is a
//! constant and never data: no value can multiply the state by zero and so hide what came before.
//!
//! Nothing here depends on the platform: words are 64 bits, bytes are read as little-endian.
//! Against chance it is as good as 64 bits can be; it is not meant to withstand an enemy.

/// The meaning of a word. The numbers are part of the published scheme: never reuse one.
#[derive(Clone, Copy)]
#[repr(usize)]
pub(super) enum Tag {
    Unit = 0,
    Bool = 1,
    Positive = 2,
    Negative = 3,
    Wide = 4,
    Float = 5,
    Char = 6,
    Text = 7,
    Bytes = 8,
    None = 9,
    Some = 10,
    Sequence = 11,
    Struct = 12,
    Variant = 13,
    End = 14,
    Supplied = 15,
    Word = 16,
    LaneLow = 17,
    LaneHigh = 18,
    Finish = 19,
    Root = 20,
    Entry = 21,
    Map = 22,
    Element = 23,
    Set = 24,
    List = 25,
}

const TAGS: usize = 26;
const KEYS: [u64; TAGS] = keys();

/// The number of bytes that one turn of both lanes takes.
const BLOCK: usize = 16;

/// A hash under way.
#[derive(Clone, Copy)]
pub(super) struct Mix(u64);

impl Mix {
    /// A hash of nothing yet; what is hashed for one purpose never equals what is for another.
    #[inline]
    pub(super) const fn new(purpose: Tag) -> Self {
        Mix(KEYS[purpose as usize])
    }

    /// Mixes one word in.
    #[inline]
    pub(super) fn word(&mut self, tag: Tag, word: u64) {
        self.0 = fold(self.0 ^ word, KEYS[tag as usize]);
    }

    /// Mixes in how many bytes there are, then the bytes.
    #[inline]
    pub(super) fn bytes(&mut self, tag: Tag, bytes: &[u8]) {
        self.word(tag, bytes.len() as u64);
        let (blocks, tail) = bytes.as_chunks::<BLOCK>();
        if !blocks.is_empty() {
            self.blocks(blocks);
        }
        // The length is in, so reads may overlap: the same bytes at two places say nothing new.
        match tail.len() {
            0 => {}
            1..4 => {
                let middle = u64::from(tail[tail.len() / 2]);
                let last = u64::from(tail[tail.len() - 1]);
                self.word(Tag::Word, u64::from(tail[0]) | middle << 8 | last << 16);
            }
            4..8 => self.word(Tag::Word, half(tail, 0) | half(tail, tail.len() - 4) << 32),
            _ => {
                self.word(Tag::Word, whole(tail, 0));
                self.word(Tag::Word, whole(tail, tail.len() - 8));
            }
        }
    }

    /// Two lanes side by side: the processor multiplies for one while the other waits.
    fn blocks(&mut self, blocks: &[[u8; BLOCK]]) {
        let (mut low, mut high) = (self.0, !self.0);
        for block in blocks {
            low = fold(low ^ whole(block, 0), KEYS[Tag::LaneLow as usize]);
            high = fold(high ^ whole(block, 8), KEYS[Tag::LaneHigh as usize]);
        }
        self.0 = low;
        self.word(Tag::Word, high.rotate_left(32));
    }

    #[cfg(test)]
    pub(super) fn state(self) -> u64 {
        self.0
    }

    /// The hash of all that was mixed in.
    #[inline]
    pub(super) fn finish(mut self) -> u64 {
        self.word(Tag::Finish, 0);
        self.0
    }
}

#[inline]
const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    (product >> 64) as u64 ^ product as u64
}

#[inline]
fn whole(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[inline]
fn half(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u64::from(u32::from_le_bytes(word))
}

/// A key a tag: the first outputs of SplitMix64 (Steele, Lea and Flood, 2014) seeded with 0, each
/// with its lowest bit set, since an even multiplier would lose a bit.
const fn keys() -> [u64; TAGS] {
    let mut keys = [0; TAGS];
    let mut seed = 0u64;
    let mut at = 0;
    while at < TAGS {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        keys[at] = (z ^ (z >> 31)) | 1;
        at += 1;
    }
    keys
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn hash(bytes: &[u8]) -> u64 {
        let mut mix = Mix::new(Tag::Root);
        mix.bytes(Tag::Bytes, bytes);
        mix.finish()
    }

    #[test]
    fn the_keys_are_those_of_splitmix64() {
        assert_eq!(KEYS[0], 0xe220_a839_7b1d_cdaf);
        assert_eq!(KEYS[1], 0x6e78_9e6a_a1b9_65f5, "published as ...65f4, made odd");
    }

    #[test]
    fn every_byte_counts_at_every_length() {
        for len in 0..80 {
            let plain = vec![7u8; len];
            let mut seen = BTreeSet::from([hash(&plain)]);
            for at in 0..len {
                for flipped in 0..8 {
                    let mut changed = plain.clone();
                    changed[at] ^= 1 << flipped;
                    assert!(seen.insert(hash(&changed)), "bit {flipped} of byte {at} of {len}");
                }
            }
        }
    }

    #[test]
    fn zeros_of_different_lengths_differ() {
        let hashes: BTreeSet<u64> = (0..200).map(|len| hash(&vec![0; len])).collect();
        assert_eq!(hashes.len(), 200);
    }

    #[test]
    fn data_that_equals_a_key_hides_nothing_before_it() {
        for key in KEYS {
            let hide = |first: u8| {
                let mut bytes = vec![first; BLOCK];
                bytes.extend_from_slice(&key.to_le_bytes());
                bytes.extend_from_slice(&key.to_le_bytes());
                hash(&bytes)
            };
            assert_ne!(hide(1), hide(2));
        }
    }
}
