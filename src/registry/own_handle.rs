//! Handles that a thread reuses, so that threads that use one breaker at the same time share no count.
//!
//! An [`Arc`] that two threads clone for each call costs them a cache line that goes to and fro. A thread that uses a
//! breaker often therefore keeps a handle of its own, and its calls count on that one: with an [`Rc`] where they end on the
//! thread, with an [`Arc`] of the thread's own otherwise.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use crate::breaker::CircuitBreaker;
use crate::clock::{Clock, MonotonicClock};

/// How many breakers a thread can have a handle of its own to.
const PLACES: usize = 64;
/// The number of neighbouring places that a breaker may take.
const WAYS: usize = 2;
/// The number of uses, with no other breaker of the same place in between, after which a breaker is timed.
const TIMED_FROM: u32 = 8;
/// The number of uses within [`PERIOD`] by which the thread earns a handle.
const USES: u32 = TIMED_FROM + 64;
/// In milliseconds. Below this rate the cost of a shared count does not show.
const PERIOD: u32 = 100;

/// A thread's own handle. Its count has cache lines for itself.
#[repr(align(64))]
pub(super) struct OwnHandle(Arc<CircuitBreaker>);

impl OwnHandle {
    fn new(breaker: &Arc<CircuitBreaker>) -> Self {
        let handle = OwnHandle(breaker.clone());
        breaker.membership().add_own_handle();
        handle
    }
}

impl Drop for OwnHandle {
    fn drop(&mut self) {
        self.0.membership().remove_own_handle();
    }
}

/// The one count needs no atomics, the other can go to another thread.
type Reused = Rc<Arc<OwnHandle>>;

/// A handle for a call that begins and ends on this thread.
pub(super) enum LocalHandle {
    Own(Reused),
    EngineOf(Arc<CircuitBreaker>),
}

impl LocalHandle {
    /// A handle that can go to another thread.
    pub(super) fn to_handle(&self) -> BreakerHandle {
        BreakerHandle(match self {
            LocalHandle::Own(own) => Handle::Own(Arc::clone(own)),
            LocalHandle::EngineOf(breaker) => Handle::EngineOf(breaker.clone()),
        })
    }
}

impl Deref for LocalHandle {
    type Target = CircuitBreaker;

    #[inline]
    fn deref(&self) -> &CircuitBreaker {
        match self {
            LocalHandle::Own(own) => &own.0,
            LocalHandle::EngineOf(breaker) => breaker,
        }
    }
}

/// Keeps the breaker of a [`Registry`](crate::Registry) alive while a call is in flight.
///
/// It appears in the type of the futures of [`tower::RegistryService`](crate::tower::RegistryService).
pub struct BreakerHandle(Handle);

enum Handle {
    Own(Arc<OwnHandle>),
    EngineOf(Arc<CircuitBreaker>),
}

impl Deref for BreakerHandle {
    type Target = CircuitBreaker;

    #[inline]
    fn deref(&self) -> &CircuitBreaker {
        match &self.0 {
            Handle::Own(own) => &own.0,
            Handle::EngineOf(breaker) => breaker,
        }
    }
}

impl fmt::Debug for BreakerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BreakerHandle").field(&**self).finish()
    }
}

/// Where a thread keeps a handle of its own, and what it knows of the breaker that may be next.
struct HandlePlace {
    /// The address of the breaker that `own` keeps alive, or 0.
    address: Cell<usize>,
    own: RefCell<Option<Reused>>,
    /// The address of the breaker that may be next.
    next: Cell<usize>,
    /// How often that one was used, from when on.
    uses: Cell<u32>,
    since: Cell<u32>,
}

impl HandlePlace {
    const fn empty() -> Self {
        HandlePlace {
            address: Cell::new(0),
            own: RefCell::new(None),
            next: Cell::new(0),
            uses: Cell::new(0),
            since: Cell::new(0),
        }
    }
}

thread_local! {
    static OWN_HANDLES: [HandlePlace; PLACES] = const { [const { HandlePlace::empty() }; PLACES] };
}

/// A handle to `breaker`: the thread's own, if it has one or earns one by this use.
#[inline]
pub(super) fn local_handle(breaker: &Arc<CircuitBreaker>) -> LocalHandle {
    let address = Arc::as_ptr(breaker).addr();
    let own = OWN_HANDLES.try_with(|places| {
        let set = &places[set_of(address)..][..WAYS];
        match set.iter().find(|place| place.address.get() == address) {
            Some(place) => place.own.borrow().clone(),
            None => earn(places, set, address, breaker),
        }
    });
    match own {
        Ok(Some(own)) => LocalHandle::Own(own),
        // Not earned yet, or the thread is about to end.
        _ => LocalHandle::EngineOf(breaker.clone()),
    }
}

/// The first place of a set.
#[inline]
const fn set_of(address: usize) -> usize {
    // Breakers take hundreds of bytes: the lowest bits are always the same. The multiplication brings all others in.
    let mixed = (address as u64 >> 4).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> (u64::BITS - (PLACES / WAYS).ilog2())) as usize * WAYS
}

#[cold]
fn earn(places: &[HandlePlace], set: &[HandlePlace], address: usize, breaker: &Arc<CircuitBreaker>) -> Option<Reused> {
    // The breaker that is counted already, or else one that nobody's handle depends on, or else that of fewest uses.
    let counted = set.iter().find(|place| place.next.get() == address);
    let place = counted.or_else(|| set.iter().min_by_key(|place| (place.address.get() != 0, place.uses.get())))?;
    if counted.is_none() {
        place.next.set(address);
        place.uses.set(0);
    }
    let uses = place.uses.get() + 1;
    place.uses.set(uses);
    if uses == TIMED_FROM {
        place.since.set(millis());
    }
    if uses < USES {
        return None;
    }
    place.uses.set(0);
    if millis().wrapping_sub(place.since.get()) > PERIOD {
        return None;
    }
    forget_evicted(places);
    let own = Rc::new(Arc::new(OwnHandle::new(breaker)));
    place.address.set(address);
    let former = place.own.replace(Some(own.clone()));
    // The last handle to a breaker may drop what is the user's, which may come here again.
    drop(former);
    Some(own)
}

/// Lets go of the breakers that were evicted.
fn forget_evicted(places: &[HandlePlace]) {
    for place in places {
        let is_evicted = place.own.borrow().as_ref().is_some_and(|own| own.0.membership().is_evicted());
        if is_evicted {
            place.address.set(0);
            let evicted = place.own.take();
            drop(evicted);
        }
    }
}

/// By the monotonic clock, modulo 2³².
fn millis() -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "modulo 2³²")]
    let millis = MonotonicClock.now().as_millis() as u32;
    millis
}
