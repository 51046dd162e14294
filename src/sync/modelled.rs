//! Each thread's own values in a model, of loom or of shuttle.

use std::cell::Cell;
use std::sync::OnceLock;

use super::Ordering;
use super::imp::{AtomicI64, AtomicU64, ThreadId, this_thread};

std::thread_local! {
    static TALLIES_ARE_MODELLED: Cell<bool> = const { Cell::new(false) };
    static RINGS_ARE_MODELLED: Cell<bool> = const { Cell::new(false) };
}

/// Chooses whether the model sees the totals of the models that run on this thread; it does not by default,
/// as they decide nothing in most models and would multiply the executions.
pub fn model_tallies(modelled: bool) {
    TALLIES_ARE_MODELLED.set(modelled);
}

/// Chooses whether the model sees the slices that the windows keep for each thread; it does not by default.
pub fn model_rings(modelled: bool) {
    RINGS_ARE_MODELLED.set(modelled);
}

/// An atomic with one writer, which the model sees if it is told to.
macro_rules! single_writer {
    ($(#[$meta:meta])* $name:ident, $value:ident, $atomic:ident, $is_modelled:expr) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub(crate) enum $name {
            Modelled($atomic),
            Unmodelled(std::sync::atomic::$atomic),
        }

        impl Default for $name {
            fn default() -> Self {
                $name::new(0)
            }
        }

        impl $name {
            pub(crate) fn new(value: $value) -> Self {
                if $is_modelled {
                    $name::Modelled($atomic::new(value))
                } else {
                    $name::Unmodelled(std::sync::atomic::$atomic::new(value))
                }
            }

            pub(crate) fn load(&self, order: Ordering) -> $value {
                match self {
                    $name::Modelled(value) => value.load(order),
                    $name::Unmodelled(value) => value.load(order),
                }
            }

            pub(crate) fn store(&self, new: $value, order: Ordering) {
                match self {
                    $name::Modelled(value) => value.store(new, order),
                    $name::Unmodelled(value) => value.store(new, order),
                }
            }
        }
    };
}

single_writer! {
    /// Of the totals.
    TallyU64, u64, AtomicU64, TALLIES_ARE_MODELLED.get()
}
single_writer! {
    /// Of the windows' slices.
    RingU64, u64, AtomicU64, RINGS_ARE_MODELLED.get()
}
single_writer! {
    /// Of the windows' slices.
    RingI64, i64, AtomicI64, RINGS_ARE_MODELLED.get()
}

/// How many slots there are.
enum Known {
    Modelled(AtomicU64),
    Unmodelled(std::sync::atomic::AtomicU64),
}

impl Known {
    fn new() -> Self {
        if TALLIES_ARE_MODELLED.get() || RINGS_ARE_MODELLED.get() {
            Known::Modelled(AtomicU64::new(0))
        } else {
            Known::Unmodelled(std::sync::atomic::AtomicU64::new(0))
        }
    }

    fn load(&self) -> u64 {
        match self {
            Known::Modelled(value) => value.load(Ordering::SeqCst),
            Known::Unmodelled(value) => value.load(Ordering::SeqCst),
        }
    }

    fn add_one(&self) {
        match self {
            Known::Modelled(value) => value.fetch_add(1, Ordering::SeqCst),
            Known::Unmodelled(value) => value.fetch_add(1, Ordering::SeqCst),
        };
    }
}

/// A thread of the model.
#[derive(Clone, Copy)]
pub(crate) struct Here;

impl Here {
    pub(crate) fn now() -> Self {
        Here
    }
}

/// In a model no slot is inlined: each is made by its thread.
pub(crate) struct Owner;

impl Owner {
    pub(crate) const fn nobody() -> Self {
        Owner
    }

    pub(crate) fn is(&self, _here: Here) -> bool {
        false
    }

    pub(crate) fn claim(&self) -> bool {
        false
    }

    pub(crate) fn is_claimed(&self) -> bool {
        false
    }
}

/// One `T` for each thread of the model.
pub(crate) struct PerThread<T> {
    /// In a list that the model does not see.
    slots: List<T>,
    /// How many there are; the model sees by it that a slot was made before another thread finds it.
    known: Known,
}

struct List<T>(OnceLock<Box<Slot<T>>>);

struct Slot<T> {
    owner: ThreadId,
    value: T,
    next: List<T>,
}

impl<T: Default> PerThread<T> {
    pub(crate) fn new() -> Self {
        PerThread { slots: List(OnceLock::new()), known: Known::new() }
    }

    pub(crate) fn find_first(&self, here: Here) -> Option<&T> {
        self.find(here)
    }

    pub(crate) fn find(&self, _here: Here) -> Option<&T> {
        let owner = this_thread();
        self.slots.iter().find(|slot| slot.owner == owner).map(|slot| &slot.value)
    }

    pub(crate) fn here(&self) -> &T {
        if let Some(value) = self.find(Here) {
            return value;
        }
        let owner = this_thread();
        let mut new = Box::new(Slot { owner, value: T::default(), next: List(OnceLock::new()) });
        // A model switches threads before this and not after it, so the list is in the order of the count.
        self.known.add_one();
        let mut end = &self.slots;
        while let Err(refused) = end.0.set(new) {
            new = refused;
            end = &end.0.get().expect("it refuses because it is set").next;
        }
        &end.0.get().expect("it has just been set").value
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let known = usize::try_from(self.known.load()).unwrap_or(usize::MAX);
        self.slots.iter().take(known).map(|slot| &slot.value)
    }
}

impl<T> List<T> {
    fn iter(&self) -> impl Iterator<Item = &Slot<T>> {
        std::iter::successors(self.0.get(), |slot| slot.next.0.get()).map(|slot| &**slot)
    }
}
