//! What loom and shuttle see of the counts, and the numbers of their threads.

use std::cell::Cell;

use super::Ordering;
use super::imp::{self, AtomicU64};

std::thread_local! {
    static TALLIES_ARE_MODELLED: Cell<bool> = const { Cell::new(false) };
    static RINGS_ARE_MODELLED: Cell<bool> = const { Cell::new(false) };
}

/// Chooses whether the models that run on this thread see the totals. They do not by default: the totals
/// decide nothing in most models and would multiply the executions.
pub fn model_tallies(modelled: bool) {
    TALLIES_ARE_MODELLED.set(modelled);
}

/// Chooses whether the models that run on this thread see the slices of the windows. They do not by default.
pub fn model_rings(modelled: bool) {
    RINGS_ARE_MODELLED.set(modelled);
}

/// An atomic that the model sees if it is told to.
macro_rules! seen_on_request {
    ($(#[$meta:meta])* $name:ident, $is_modelled:expr) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub(crate) enum $name {
            Modelled(AtomicU64),
            Unmodelled(std::sync::atomic::AtomicU64),
        }

        impl $name {
            pub(crate) fn new(value: u64) -> Self {
                if $is_modelled {
                    $name::Modelled(AtomicU64::new(value))
                } else {
                    $name::Unmodelled(std::sync::atomic::AtomicU64::new(value))
                }
            }

            pub(crate) fn load(&self, order: Ordering) -> u64 {
                match self {
                    $name::Modelled(atomic) => atomic.load(order),
                    $name::Unmodelled(atomic) => atomic.load(order),
                }
            }

            pub(crate) fn load_to_swap(&self, order: Ordering) -> u64 {
                match self {
                    $name::Modelled(atomic) if imp::loops_begin_with_a_swap() => atomic.fetch_or(0, order),
                    _ => self.load(order),
                }
            }

            pub(crate) fn store(&self, new: u64, order: Ordering) {
                match self {
                    $name::Modelled(atomic) => atomic.store(new, order),
                    $name::Unmodelled(atomic) => atomic.store(new, order),
                }
            }

            pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
                match self {
                    $name::Modelled(atomic) => atomic.fetch_add(value, order),
                    $name::Unmodelled(atomic) => atomic.fetch_add(value, order),
                }
            }

            pub(crate) fn fetch_max(&self, value: u64, order: Ordering) -> u64 {
                match self {
                    $name::Modelled(atomic) => atomic.fetch_max(value, order),
                    $name::Unmodelled(atomic) => atomic.fetch_max(value, order),
                }
            }

            pub(crate) fn fetch_or(&self, value: u64, order: Ordering) -> u64 {
                match self {
                    $name::Modelled(atomic) => atomic.fetch_or(value, order),
                    $name::Unmodelled(atomic) => atomic.fetch_or(value, order),
                }
            }

            pub(crate) fn compare_exchange_weak(
                &self,
                seen: u64,
                next: u64,
                ok: Ordering,
                err: Ordering,
            ) -> Result<u64, u64> {
                match self {
                    $name::Modelled(atomic) => atomic.compare_exchange_weak(seen, next, ok, err),
                    $name::Unmodelled(atomic) => atomic.compare_exchange_weak(seen, next, ok, err),
                }
            }
        }
    };
}

seen_on_request! {
    /// Of the totals.
    TallyU64, TALLIES_ARE_MODELLED.get()
}
seen_on_request! {
    /// Of the windows' slices.
    RingU64, RINGS_ARE_MODELLED.get()
}

imp::thread_local! {
    static NUMBER: Cell<u32> = const { Cell::new(0) };
}

/// The number of this thread of the model, from 1 on.
pub(crate) fn thread_number() -> u32 {
    NUMBER.with(|number| {
        if number.get() == 0 {
            // The models name their threads in the order in which they were spawned.
            let name = format!("{:?}", imp::this_thread());
            let digits: String = name.chars().filter(char::is_ascii_digit).collect();
            number.set(digits.parse::<u32>().expect("the name of a thread holds its number") + 1);
        }
        number.get()
    })
}

pub(crate) fn taken_thread_number() -> Option<u32> {
    Some(thread_number())
}

pub(crate) fn thread_number_or_take() -> u32 {
    thread_number()
}

/// A box for counts, which is made when it is first needed. Where the model sees counts, it sees when a thread finds
/// the box for the first time: what is in it has to have been made before, also by the orderings. A box that is not
/// there, or that the thread has found before, is looked up without an access that the model sees.
pub(crate) struct CountBox<T> {
    made: Option<AtomicU64>,
    /// A bit for each thread that has found it.
    found_by: std::sync::atomic::AtomicU64,
    value: super::OnceBox<T>,
}

impl<T> CountBox<T> {
    pub(crate) fn new() -> Self {
        let is_modelled = TALLIES_ARE_MODELLED.get() || RINGS_ARE_MODELLED.get();
        CountBox {
            made: is_modelled.then(|| AtomicU64::new(0)),
            found_by: std::sync::atomic::AtomicU64::new(0),
            value: super::OnceBox::new(),
        }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        let value = self.value.get()?;
        let Some(made) = &self.made else { return Some(value) };
        let this_thread = 1 << (thread_number() % u64::BITS);
        let unseen = Ordering::Relaxed;
        if self.found_by.load(unseen) & this_thread == 0 {
            if made.load(Ordering::Acquire) == 0 {
                return None;
            }
            self.found_by.fetch_or(this_thread, unseen);
        }
        Some(value)
    }

    pub(crate) fn set(&self, value: Box<T>) -> Result<(), Box<T>> {
        // A model switches threads before this and not after it, so the box is there when it is said to be.
        if let Some(made) = &self.made {
            made.fetch_add(1, Ordering::AcqRel);
        }
        self.value.set(value)
    }

    pub(crate) fn get_or_init(&self, make: impl FnOnce() -> Box<T>) -> &T {
        if let Some(value) = self.get() {
            return value;
        }
        let _made_by_another = self.set(make());
        self.value.get().expect("it has just been set")
    }
}
