//! The serializer between a value and its encoder: it counts levels, and records parts if asked to.
//!
//! Every encoding passes through it, so that none recurses deeper than the stack is good for. All
//! it does then is to count. With a recorder it keeps each part of the value in an [`Outline`],
//! in the order in which they are serialised.

use std::cell::{Cell, RefCell};
use std::fmt::Display;

use samestate_proto::wire::Codec;
use serde::ser::{self, Error, Serialize, Serializer};

use super::bytes::{levels_max, too_deep};
use super::outline::{Outline, Segment};

/// `Some` and newtypes add no level to the bytes, but they do to the stack: so many of them may
/// come for each level.
const WRAPPERS_A_LEVEL: u32 = 4;

/// The position of a walk.
pub(super) struct Trail {
    levels_max: u16,
    levels: Cell<u16>,
    wrappers: Cell<u32>,
    exceeded: Cell<bool>,
    recorder: Option<RefCell<Outline>>,
    /// A key is being serialised, whose parts are no parts of the value.
    in_key: Cell<bool>,
}

impl Trail {
    /// A trail that counts levels only, of which there may be so many.
    pub(super) fn counting(levels_max: u16) -> Self {
        Trail {
            levels_max,
            levels: Cell::default(),
            wrappers: Cell::default(),
            exceeded: Cell::default(),
            recorder: None,
            in_key: Cell::default(),
        }
    }

    /// A trail that keeps the parts too. The part with the number `blank` is serialised as a unit.
    pub(super) fn recording(codec: Codec, blank: Option<usize>) -> Self {
        let recorder = Some(RefCell::new(Outline::new(blank)));
        Trail { recorder, ..Trail::counting(levels_max(codec)) }
    }

    /// Returns whether there were more levels.
    pub(super) fn is_exceeded(&self) -> bool {
        self.exceeded.get()
    }

    #[cold]
    fn exceed<E: Error>(&self) -> E {
        self.exceeded.set(true);
        E::custom(too_deep(self.levels_max))
    }

    /// The parts that were recorded.
    pub(super) fn into_outline(self) -> Outline {
        self.recorder.map(RefCell::into_inner).unwrap_or_default()
    }

    #[inline]
    fn recorder(&self) -> Option<&RefCell<Outline>> {
        self.recorder.as_ref().filter(|_| !self.in_key.get())
    }

    #[inline]
    fn descend<E: Error>(&self) -> Result<(), E> {
        let levels = self.levels.get() + 1;
        if levels > self.levels_max {
            return Err(self.exceed());
        }
        self.levels.set(levels);
        Ok(())
    }

    #[inline]
    fn ascend(&self) {
        self.levels.set(self.levels.get() - 1);
    }

    /// Serialises by `inner` what a `Some` or a newtype holds.
    #[inline]
    fn wrapped<O, E: Error>(&self, inner: impl FnOnce() -> Result<O, E>) -> Result<O, E> {
        let wrappers = self.wrappers.get() + 1;
        if wrappers > WRAPPERS_A_LEVEL * u32::from(self.levels_max) {
            return Err(self.exceed());
        }
        self.wrappers.set(wrappers);
        let done = inner()?;
        self.wrappers.set(wrappers - 1);
        Ok(done)
    }

    /// Serialises one part by `inner`.
    #[inline]
    fn part<T: Serialize + ?Sized, O, E: Display>(
        &self,
        value: &T,
        segment: impl FnOnce() -> Segment,
        inner: impl FnOnce(&Part<'_, T>) -> Result<O, E>,
    ) -> Result<O, E> {
        let Some(recorder) = self.recorder() else {
            return inner(&Part { value: Some(value), trail: self });
        };
        let (number, blank) = recorder.borrow_mut().begin::<T>(segment());
        let value_or_blank = if blank { None } else { Some(value) };
        let done = inner(&Part { value: value_or_blank, trail: self });
        recorder.borrow_mut().end(number, value, done.is_ok());
        done
    }

    /// Notes something of the part that is being serialised that its own parts do not tell.
    #[inline]
    fn shape(&self, shape: &str) {
        if let Some(recorder) = self.recorder() {
            recorder.borrow_mut().shape(shape);
        }
    }
}

/// A part of a value on its way to the encoder; `None`: nothing in its place.
struct Part<'t, T: ?Sized> {
    value: Option<&'t T>,
    trail: &'t Trail,
}

impl<T: Serialize + ?Sized> Serialize for Part<'_, T> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Some(value) => value.serialize(Walk::new(serializer, self.trail)),
            None => serializer.serialize_unit(),
        }
    }
}

/// A serializer that passes everything on to `inner`.
pub(super) struct Walk<'t, S> {
    inner: S,
    trail: &'t Trail,
}

impl<'t, S> Walk<'t, S> {
    #[inline]
    pub(super) fn new(inner: S, trail: &'t Trail) -> Self {
        Walk { inner, trail }
    }
}

impl<'t, S: Serializer> Walk<'t, S> {
    #[inline]
    fn compound<C>(
        self,
        shape: &str,
        begin: impl FnOnce(S) -> Result<C, S::Error>,
    ) -> Result<Compound<'t, C>, S::Error> {
        self.trail.descend()?;
        self.trail.shape(shape);
        let inner = begin(self.inner)?;
        Ok(Compound { inner, trail: self.trail, index: 0, key: None })
    }
}

macro_rules! scalars {
    ($($method:ident($($value:ident: $type:ty)?);)*) => {
        $(
            #[inline]
            fn $method(self $(, $value: $type)?) -> Result<S::Ok, S::Error> {
                self.inner.$method($($value)?)
            }
        )*
    };
}

impl<'t, S: Serializer> Serializer for Walk<'t, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Compound<'t, S::SerializeSeq>;
    type SerializeTuple = Compound<'t, S::SerializeTuple>;
    type SerializeTupleStruct = Compound<'t, S::SerializeTupleStruct>;
    type SerializeTupleVariant = Compound<'t, S::SerializeTupleVariant>;
    type SerializeMap = Compound<'t, S::SerializeMap>;
    type SerializeStruct = Compound<'t, S::SerializeStruct>;
    type SerializeStructVariant = Compound<'t, S::SerializeStructVariant>;

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }

    scalars! {
        serialize_bool(value: bool);
        serialize_i8(value: i8);
        serialize_i16(value: i16);
        serialize_i32(value: i32);
        serialize_i64(value: i64);
        serialize_i128(value: i128);
        serialize_u8(value: u8);
        serialize_u16(value: u16);
        serialize_u32(value: u32);
        serialize_u64(value: u64);
        serialize_u128(value: u128);
        serialize_f32(value: f32);
        serialize_f64(value: f64);
        serialize_char(value: char);
        serialize_str(value: &str);
        serialize_bytes(value: &[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(name: &'static str);
    }

    #[inline]
    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit_variant(name, index, variant)
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        let Walk { inner, trail } = self;
        trail.shape("some");
        trail.wrapped(|| inner.serialize_some(&Part { value: Some(value), trail }))
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let Walk { inner, trail } = self;
        trail.wrapped(|| inner.serialize_newtype_struct(name, &Part { value: Some(value), trail }))
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let Walk { inner, trail } = self;
        trail.descend()?;
        trail.shape(variant);
        let part = Part { value: Some(value), trail };
        let done = inner.serialize_newtype_variant(name, index, variant, &part)?;
        trail.ascend();
        Ok(done)
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        self.compound("sequence", |inner| inner.serialize_seq(len))
    }

    #[inline]
    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, S::Error> {
        self.compound("sequence", |inner| inner.serialize_tuple(len))
    }

    #[inline]
    fn serialize_tuple_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleStruct, S::Error> {
        self.compound("sequence", |inner| inner.serialize_tuple_struct(name, len))
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        self.compound(variant, |inner| inner.serialize_tuple_variant(name, index, variant, len))
    }

    #[inline]
    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        self.compound("map", |inner| inner.serialize_map(len))
    }

    #[inline]
    fn serialize_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStruct, S::Error> {
        self.compound("struct", |inner| inner.serialize_struct(name, len))
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        self.compound(variant, |inner| inner.serialize_struct_variant(name, index, variant, len))
    }
}

/// A value with parts, while the parts are serialised.
pub(super) struct Compound<'t, C> {
    inner: C,
    trail: &'t Trail,
    index: usize,
    /// The key whose value comes next, if parts are recorded.
    key: Option<Segment>,
}

impl<C> Compound<'_, C> {
    #[inline]
    fn element<T: Serialize + ?Sized, O, E: Display>(
        &mut self,
        value: &T,
        write: impl FnOnce(&mut C, &Part<'_, T>) -> Result<O, E>,
    ) -> Result<O, E> {
        let index = self.index;
        self.index += 1;
        let inner = &mut self.inner;
        self.trail.part(value, || Segment::Index(index), |part| write(inner, part))
    }

    #[inline]
    fn field<T: Serialize + ?Sized, O, E: Display>(
        &mut self,
        name: &'static str,
        value: &T,
        write: impl FnOnce(&mut C, &Part<'_, T>) -> Result<O, E>,
    ) -> Result<O, E> {
        let inner = &mut self.inner;
        self.trail.part(value, || Segment::Field(name), |part| write(inner, part))
    }
}

macro_rules! ordered {
    ($($trait:ident::$method:ident;)*) => {
        $(
            impl<C: ser::$trait> ser::$trait for Compound<'_, C> {
                type Ok = C::Ok;
                type Error = C::Error;

                #[inline]
                fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
                    self.element(value, |inner, part| inner.$method(part))
                }

                #[inline]
                fn end(self) -> Result<C::Ok, C::Error> {
                    self.trail.ascend();
                    self.inner.end()
                }
            }
        )*
    };
}

ordered! {
    SerializeSeq::serialize_element;
    SerializeTuple::serialize_element;
    SerializeTupleStruct::serialize_field;
    SerializeTupleVariant::serialize_field;
}

macro_rules! named {
    ($($trait:ident;)*) => {
        $(
            impl<C: ser::$trait> ser::$trait for Compound<'_, C> {
                type Ok = C::Ok;
                type Error = C::Error;

                #[inline]
                fn serialize_field<T: Serialize + ?Sized>(
                    &mut self,
                    name: &'static str,
                    value: &T,
                ) -> Result<(), C::Error> {
                    self.field(name, value, |inner, part| inner.serialize_field(name, part))
                }

                #[inline]
                fn skip_field(&mut self, name: &'static str) -> Result<(), C::Error> {
                    self.inner.skip_field(name)
                }

                #[inline]
                fn end(self) -> Result<C::Ok, C::Error> {
                    self.trail.ascend();
                    self.inner.end()
                }
            }
        )*
    };
}

named! {
    SerializeStruct;
    SerializeStructVariant;
}

impl<C: ser::SerializeMap> ser::SerializeMap for Compound<'_, C> {
    type Ok = C::Ok;
    type Error = C::Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), C::Error> {
        if self.trail.recorder.is_some() {
            self.key = Some(Segment::of_key(key));
        }
        let in_key = self.trail.in_key.replace(true);
        self.inner.serialize_key(&Part { value: Some(key), trail: self.trail })?;
        self.trail.in_key.set(in_key);
        Ok(())
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
        let (key, inner) = (&mut self.key, &mut self.inner);
        let segment = || key.take().unwrap_or(Segment::Index(0));
        self.trail.part(value, segment, |part| inner.serialize_value(part))
    }

    #[inline]
    fn end(self) -> Result<C::Ok, C::Error> {
        self.trail.ascend();
        self.inner.end()
    }
}
