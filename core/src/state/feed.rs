//! The serializer by which a value reaches the hash. It allocates nothing; what a `Serialize` does
//! before it gets here (a value that serialises by its `Display` makes a string) is its own.

use std::fmt::Display;

use serde::ser::{self, Serialize, Serializer};

use super::mix::{Mix, Tag};

/// The name under which a value hands over its digest instead of its content. Only
/// `supply::serialize_with_digest` says it, and only to a [`Feed`].
pub(super) const SUPPLIED: &str = "$samestate::digest";

/// The depth that a digest follows: more than any codec decodes, and less than exhausts a stack.
const DEPTH_MAX: u16 = 6 * 1024;

/// The depth of a sequence, a map, a struct, or an enum with content.
const CONTAINER: u16 = 4;

/// The depth of a `Some` or a newtype, which takes less of the stack.
const WRAPPER: u16 = 1;

/// Feeds one value to a hash.
pub(super) struct Feed<'a> {
    mix: &'a mut Mix,
    depth: u16,
}

/// The message of a `Serialize` that failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refused(pub(super) String);

impl ser::Error for Refused {
    fn custom<T: Display>(message: T) -> Self {
        Refused(message.to_string())
    }
}

/// The hash of one entry of a map, which is summed with those of the others.
pub(super) fn entry_hash<K, V>(key: &K, value: &V) -> Result<u64, Refused>
where
    K: Serialize + ?Sized,
    V: Serialize + ?Sized,
{
    let mut mix = Mix::new(Tag::Entry);
    key.serialize(Feed::into_mix(&mut mix))?;
    value.serialize(Feed::into_mix(&mut mix))?;
    Ok(mix.finish())
}

/// The hash of one element of a set or a list.
pub(super) fn element_hash<T: Serialize + ?Sized>(value: &T) -> Result<u64, Refused> {
    let mut mix = Mix::new(Tag::Element);
    value.serialize(Feed::into_mix(&mut mix))?;
    Ok(mix.finish())
}

/// The digest of a map, or a set, of `count` items whose hashes add up to `sum`.
pub(super) fn unordered_digest(kind: Tag, sum: u64, count: u64) -> u64 {
    let mut mix = Mix::new(kind);
    mix.word(kind, sum);
    mix.word(Tag::End, count);
    mix.finish()
}

impl<'a> Feed<'a> {
    #[inline]
    pub(super) fn into_mix(mix: &'a mut Mix) -> Self {
        Feed { mix, depth: 0 }
    }

    #[inline]
    fn deeper(mix: &'a mut Mix, depth: u16) -> Result<Self, Refused> {
        if depth > DEPTH_MAX {
            return Err(Refused("it nests deeper than any codec decodes".to_owned()));
        }
        Ok(Feed { mix, depth })
    }

    #[inline]
    fn word(self, tag: Tag, word: u64) -> Result<(), Refused> {
        self.mix.word(tag, word);
        Ok(())
    }

    #[inline]
    fn variant(&mut self, kind: Kind, name: &str) {
        self.mix.word(Tag::Variant, kind as u64);
        self.mix.bytes(Tag::Text, name.as_bytes());
    }

    #[inline]
    fn ordered(self) -> Ordered<'a> {
        Ordered { mix: self.mix, depth: self.depth + CONTAINER, count: 0 }
    }
}

/// The kind of a variant's content. The numbers are part of the published scheme.
enum Kind {
    Unit = 0,
    Newtype = 1,
    Tuple = 2,
    Struct = 3,
}

impl<'a> Serializer for Feed<'a> {
    type Ok = ();
    type Error = Refused;
    type SerializeSeq = Ordered<'a>;
    type SerializeTuple = Ordered<'a>;
    type SerializeTupleStruct = Ordered<'a>;
    type SerializeTupleVariant = Ordered<'a>;
    type SerializeMap = Entries<'a>;
    type SerializeStruct = Ordered<'a>;
    type SerializeStructVariant = Ordered<'a>;

    /// Types with a short and a readable form give the short one.
    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline]
    fn serialize_bool(self, v: bool) -> Result<(), Refused> {
        self.word(Tag::Bool, u64::from(v))
    }

    #[inline]
    fn serialize_i8(self, v: i8) -> Result<(), Refused> {
        self.serialize_i64(i64::from(v))
    }

    #[inline]
    fn serialize_i16(self, v: i16) -> Result<(), Refused> {
        self.serialize_i64(i64::from(v))
    }

    #[inline]
    fn serialize_i32(self, v: i32) -> Result<(), Refused> {
        self.serialize_i64(i64::from(v))
    }

    #[inline]
    fn serialize_i64(self, v: i64) -> Result<(), Refused> {
        self.word(if v < 0 { Tag::Negative } else { Tag::Positive }, v as u64)
    }

    fn serialize_i128(self, v: i128) -> Result<(), Refused> {
        match (u64::try_from(v), i64::try_from(v)) {
            (Ok(positive), _) => self.serialize_u64(positive),
            (_, Ok(negative)) => self.serialize_i64(negative),
            // The third word tells a negative from the positive of the same bits.
            _ => {
                self.mix.word(Tag::Wide, v as u64);
                self.mix.word(Tag::Wide, (v >> 64) as u64);
                self.word(Tag::Wide, u64::from(v < 0))
            }
        }
    }

    #[inline]
    fn serialize_u8(self, v: u8) -> Result<(), Refused> {
        self.serialize_u64(u64::from(v))
    }

    #[inline]
    fn serialize_u16(self, v: u16) -> Result<(), Refused> {
        self.serialize_u64(u64::from(v))
    }

    #[inline]
    fn serialize_u32(self, v: u32) -> Result<(), Refused> {
        self.serialize_u64(u64::from(v))
    }

    #[inline]
    fn serialize_u64(self, v: u64) -> Result<(), Refused> {
        self.word(Tag::Positive, v)
    }

    fn serialize_u128(self, v: u128) -> Result<(), Refused> {
        match u64::try_from(v) {
            Ok(narrow) => self.serialize_u64(narrow),
            Err(_) => {
                self.mix.word(Tag::Wide, v as u64);
                self.mix.word(Tag::Wide, (v >> 64) as u64);
                self.word(Tag::Wide, 0)
            }
        }
    }

    #[inline]
    fn serialize_f32(self, v: f32) -> Result<(), Refused> {
        self.serialize_f64(f64::from(v))
    }

    #[inline]
    fn serialize_f64(self, v: f64) -> Result<(), Refused> {
        const NAN: u64 = 0x7ff8_0000_0000_0000;
        self.word(Tag::Float, if v.is_nan() { NAN } else { v.to_bits() })
    }

    #[inline]
    fn serialize_char(self, v: char) -> Result<(), Refused> {
        self.word(Tag::Char, u64::from(v))
    }

    #[inline]
    fn serialize_str(self, v: &str) -> Result<(), Refused> {
        self.mix.bytes(Tag::Text, v.as_bytes());
        Ok(())
    }

    #[inline]
    fn serialize_bytes(self, v: &[u8]) -> Result<(), Refused> {
        self.mix.bytes(Tag::Bytes, v);
        Ok(())
    }

    #[inline]
    fn serialize_none(self) -> Result<(), Refused> {
        self.word(Tag::None, 0)
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Refused> {
        self.mix.word(Tag::Some, 0);
        value.serialize(Feed::deeper(self.mix, self.depth + WRAPPER)?)
    }

    #[inline]
    fn serialize_unit(self) -> Result<(), Refused> {
        self.word(Tag::Unit, 0)
    }

    #[inline]
    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), Refused> {
        self.serialize_unit()
    }

    #[inline]
    fn serialize_unit_variant(
        mut self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<(), Refused> {
        self.variant(Kind::Unit, variant);
        Ok(())
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Refused> {
        if name == SUPPLIED {
            self.mix.word(Tag::Supplied, 0);
        }
        value.serialize(Feed::deeper(self.mix, self.depth + WRAPPER)?)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        mut self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Refused> {
        self.variant(Kind::Newtype, variant);
        value.serialize(Feed::deeper(self.mix, self.depth + CONTAINER)?)
    }

    #[inline]
    fn serialize_seq(self, _len: Option<usize>) -> Result<Ordered<'a>, Refused> {
        self.mix.word(Tag::Sequence, 0);
        Ok(self.ordered())
    }

    #[inline]
    fn serialize_tuple(self, len: usize) -> Result<Ordered<'a>, Refused> {
        self.serialize_seq(Some(len))
    }

    #[inline]
    fn serialize_tuple_struct(
        self,
        _name: &'static str,
        len: usize,
    ) -> Result<Ordered<'a>, Refused> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_variant(
        mut self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Ordered<'a>, Refused> {
        self.variant(Kind::Tuple, variant);
        Ok(self.ordered())
    }

    #[inline]
    fn serialize_map(self, _len: Option<usize>) -> Result<Entries<'a>, Refused> {
        let entry = Mix::new(Tag::Entry);
        Ok(Entries { mix: self.mix, depth: self.depth + CONTAINER, entry, sum: 0, count: 0 })
    }

    #[inline]
    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<Ordered<'a>, Refused> {
        self.mix.word(Tag::Struct, 0);
        Ok(self.ordered())
    }

    fn serialize_struct_variant(
        mut self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Ordered<'a>, Refused> {
        self.variant(Kind::Struct, variant);
        Ok(self.ordered())
    }
}

/// Feeds what comes in an order that counts. How many there were goes in last: a sequence need
/// not know its length beforehand, and what it says of it need not be true.
pub(super) struct Ordered<'a> {
    mix: &'a mut Mix,
    depth: u16,
    count: u64,
}

impl Ordered<'_> {
    #[inline]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
        self.count += 1;
        value.serialize(Feed::deeper(self.mix, self.depth)?)
    }

    #[inline]
    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Refused> {
        self.mix.bytes(Tag::Text, name.as_bytes());
        self.element(value)
    }

    #[inline]
    fn close(self) -> Result<(), Refused> {
        self.mix.word(Tag::End, self.count);
        Ok(())
    }
}

impl ser::SerializeSeq for Ordered<'_> {
    type Ok = ();
    type Error = Refused;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
        self.element(value)
    }

    #[inline]
    fn end(self) -> Result<(), Refused> {
        self.close()
    }
}

impl ser::SerializeTuple for Ordered<'_> {
    type Ok = ();
    type Error = Refused;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
        self.element(value)
    }

    #[inline]
    fn end(self) -> Result<(), Refused> {
        self.close()
    }
}

impl ser::SerializeTupleStruct for Ordered<'_> {
    type Ok = ();
    type Error = Refused;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
        self.element(value)
    }

    #[inline]
    fn end(self) -> Result<(), Refused> {
        self.close()
    }
}

impl ser::SerializeTupleVariant for Ordered<'_> {
    type Ok = ();
    type Error = Refused;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
        self.element(value)
    }

    #[inline]
    fn end(self) -> Result<(), Refused> {
        self.close()
    }
}

impl ser::SerializeStruct for Ordered<'_> {
    type Ok = ();
    type Error = Refused;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Refused> {
        self.field(name, value)
    }

    #[inline]
    fn end(self) -> Result<(), Refused> {
        self.close()
    }
}

impl ser::SerializeStructVariant for Ordered<'_> {
    type Ok = ();
    type Error = Refused;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Refused> {
        self.field(name, value)
    }

    #[inline]
    fn end(self) -> Result<(), Refused> {
        self.close()
    }
}

/// Feeds a map: each entry to a hash of its own, their sum to the parent's, as one word that a
/// map which keeps its digest can supply as well.
pub(super) struct Entries<'a> {
    mix: &'a mut Mix,
    depth: u16,
    entry: Mix,
    sum: u64,
    count: u64,
}

impl ser::SerializeMap for Entries<'_> {
    type Ok = ();
    type Error = Refused;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Refused> {
        self.entry = Mix::new(Tag::Entry);
        key.serialize(Feed::deeper(&mut self.entry, self.depth)?)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
        value.serialize(Feed::deeper(&mut self.entry, self.depth)?)?;
        self.sum = self.sum.wrapping_add(self.entry.finish());
        self.count += 1;
        Ok(())
    }

    #[inline]
    fn end(self) -> Result<(), Refused> {
        let digest = unordered_digest(Tag::Map, self.sum, self.count);
        Feed { mix: self.mix, depth: 0 }.serialize_newtype_struct(SUPPLIED, &digest)
    }
}
