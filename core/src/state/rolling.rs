//! The digest of a sequence that follows what happens to it.
//!
//! A polynomial of the elements' hashes, modulo the prime p = 2^61 - 1:
//!
//! ```text
//! sum = h0 + h1 * B + h2 * B^2 + ... + h(n-1) * B^(n-1)    (mod p)
//! ```
//!
//! where B is a fixed base (Karp and Rabin, "Efficient randomized pattern-matching algorithms",
//! 1987). An element more or less at either end is a few multiplications; so is another value at
//! a known place, once B has been raised to it. p is prime, so that no power of B is worth less
//! than another: two elements that change places change the sum unless their hashes are the same
//! modulo p.

use super::digest::Digest;
use super::mix::{Mix, Tag};

/// 2^61 - 1.
const P: u64 = (1 << 61) - 1;

/// The first output of SplitMix64 seeded with 0, modulo p.
const BASE: u64 = 0xe220_a839_7b1d_cdaf % P;

/// The multiplicative inverse of [`BASE`]: its power p - 2, by Fermat's little theorem.
const INVERSE: u64 = power(BASE, P - 2);

/// The digest of a sequence. An element without a hash counts as 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rolling {
    sum: u64,
    len: u64,
    /// B to the `len`.
    next: u64,
}

impl Default for Rolling {
    fn default() -> Self {
        Rolling { sum: 0, len: 0, next: 1 }
    }
}

impl Rolling {
    pub(super) fn push_back(&mut self, hash: Option<u64>) {
        self.sum = plus(self.sum, times(reduced(hash), self.next));
        self.next = times(self.next, BASE);
        self.len += 1;
    }

    pub(super) fn push_front(&mut self, hash: Option<u64>) {
        self.sum = plus(times(self.sum, BASE), reduced(hash));
        self.next = times(self.next, BASE);
        self.len += 1;
    }

    pub(super) fn pop_back(&mut self, hash: Option<u64>) {
        self.next = times(self.next, INVERSE);
        self.sum = minus(self.sum, times(reduced(hash), self.next));
        self.len -= 1;
    }

    pub(super) fn pop_front(&mut self, hash: Option<u64>) {
        self.sum = times(minus(self.sum, reduced(hash)), INVERSE);
        self.next = times(self.next, INVERSE);
        self.len -= 1;
    }

    pub(super) fn replace(&mut self, index: usize, before: Option<u64>, after: Option<u64>) {
        let difference = minus(reduced(after), reduced(before));
        self.sum = plus(self.sum, times(difference, power(BASE, index as u64)));
    }

    pub(super) fn digest(&self) -> Digest {
        let mut mix = Mix::new(Tag::List);
        mix.word(Tag::List, self.sum);
        mix.word(Tag::End, self.len);
        Digest(mix.finish())
    }
}

/// A hash as a number below p.
fn reduced(hash: Option<u64>) -> u64 {
    hash.unwrap_or_default() % P
}

/// `a + b` modulo p; both are below it.
const fn plus(a: u64, b: u64) -> u64 {
    let sum = a + b;
    if sum >= P { sum - P } else { sum }
}

/// `a - b` modulo p; both are below it.
const fn minus(a: u64, b: u64) -> u64 {
    if a >= b { a - b } else { a + P - b }
}

/// `a * b` modulo p; both are below it. 2^61 is 1 modulo p, so the upper bits are added to the
/// lower.
const fn times(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    plus((product >> 61) as u64, product as u64 & P)
}

/// `base` to the `exponent`, modulo p.
const fn power(base: u64, exponent: u64) -> u64 {
    let (mut result, mut square, mut left) = (1, base, exponent);
    while left > 0 {
        if left & 1 == 1 {
            result = times(result, square);
        }
        square = times(square, square);
        left >>= 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(hashes: &[u64]) -> Rolling {
        let mut rolling = Rolling::default();
        hashes.iter().for_each(|hash| rolling.push_back(Some(*hash)));
        rolling
    }

    #[test]
    fn the_inverse_undoes_the_base() {
        assert_eq!(times(BASE, INVERSE), 1);
    }

    proptest! {
        #[test]
        fn arithmetic_is_that_of_the_integers_modulo_p(a in 0..P, b in 0..P) {
            let modulo = |value: u128| (value % u128::from(P)) as u64;
            prop_assert_eq!(times(a, b), modulo(u128::from(a) * u128::from(b)));
            prop_assert_eq!(plus(a, b), modulo(u128::from(a) + u128::from(b)));
            prop_assert_eq!(plus(minus(a, b), b), a);
        }

        #[test]
        fn two_elements_that_change_places_change_the_digest(
            hashes in prop::collection::vec(any::<u64>(), 2..200),
            one in any::<prop::sample::Index>(),
            other in any::<prop::sample::Index>(),
        ) {
            let (one, other) = (one.index(hashes.len()), other.index(hashes.len()));
            let mut swapped = hashes.clone();
            swapped.swap(one, other);
            let differ = hashes[one] % P != hashes[other] % P;
            prop_assert_eq!(of(&hashes).digest() != of(&swapped).digest(), differ);
        }
    }
}
