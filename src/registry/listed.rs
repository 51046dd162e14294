//! The breakers that are listed, by key.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::ptr;
use std::sync::Arc;

use papaya::Equivalent;

use crate::breaker::CircuitBreaker;

/// A map that a look-up only reads.
pub(super) type Map<K> = papaya::HashMap<Listed<K>, (), KnownHash>;

/// A key and its breaker, which knows the hash of the key.
pub(super) struct Listed<K> {
    pub(super) key: K,
    pub(super) breaker: Arc<CircuitBreaker>,
}

impl<K> Hash for Listed<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.breaker.membership().hash());
    }
}

impl<K: PartialEq> PartialEq for Listed<K> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<K: Eq> Eq for Listed<K> {}

/// Finds the breaker of a key.
pub(super) struct ByKey<'a, Q: ?Sized> {
    pub(super) hash: u64,
    pub(super) key: &'a Q,
}

impl<Q: ?Sized> Hash for ByKey<'_, Q> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl<K: Borrow<Q>, Q: Eq + ?Sized> Equivalent<Listed<K>> for ByKey<'_, Q> {
    #[inline]
    fn equivalent(&self, listed: &Listed<K>) -> bool {
        self.key == listed.key.borrow()
    }
}

/// Finds a breaker without any code of the key's type.
pub(super) struct ByBreaker<'a>(pub(super) &'a CircuitBreaker);

impl Hash for ByBreaker<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.membership().hash());
    }
}

impl<K> Equivalent<Listed<K>> for ByBreaker<'_> {
    fn equivalent(&self, listed: &Listed<K>) -> bool {
        ptr::eq(self.0, &raw const *listed.breaker)
    }
}

/// Hands on a hash that has been computed already.
#[derive(Clone, Copy, Default)]
pub(super) struct KnownHash;

impl BuildHasher for KnownHash {
    type Hasher = Known;

    #[inline]
    fn build_hasher(&self) -> Known {
        Known(0)
    }
}

pub(super) struct Known(u64);

impl Hasher for Known {
    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a known hash is one number");
    }

    #[inline]
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// The default hasher of a [`Registry`](crate::Registry): fast, and with a separate seed for each registry.
///
/// It does not resist an attacker who learns hashes, or times look-ups, to find dozens of keys with the same
/// hash. Such keys would make the registry's table grow without bound. If that is a concern, pass a
/// [`std::hash::RandomState`] to [`hasher`](crate::RegistryBuilder::hasher). It takes 16 to 18 ns for each
/// look-up.
///
/// ```
/// use std::hash::BuildHasher;
/// use tripcoil::DefaultHashBuilder;
///
/// let hash_builder = DefaultHashBuilder::default();
/// assert_eq!(hash_builder.hash_one("up.example"), hash_builder.hash_one("up.example"));
/// ```
#[derive(Clone, Default)]
pub struct DefaultHashBuilder(foldhash::fast::RandomState);

impl BuildHasher for DefaultHashBuilder {
    type Hasher = KeyHasher;

    #[inline]
    fn build_hasher(&self) -> KeyHasher {
        KeyHasher(self.0.build_hasher())
    }
}

impl fmt::Debug for DefaultHashBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DefaultHashBuilder").finish_non_exhaustive()
    }
}

/// The hasher of a [`DefaultHashBuilder`].
#[derive(Clone)]
pub struct KeyHasher(foldhash::fast::FoldHasher<'static>);

macro_rules! hand_on {
    ($($method:ident($number:ty)),*) => {
        $(#[inline]
        fn $method(&mut self, number: $number) {
            self.0.$method(number);
        })*
    };
}

impl Hasher for KeyHasher {
    #[inline]
    fn finish(&self) -> u64 {
        self.0.finish()
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    hand_on! {
        write_u8(u8), write_u16(u16), write_u32(u32), write_u64(u64), write_u128(u128), write_usize(usize)
    }
}

impl fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyHasher").finish_non_exhaustive()
    }
}
