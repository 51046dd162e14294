//! A slot for each thread.

use std::sync::atomic::{AtomicU32, Ordering};

use once_cell::race::OnceBox;

use super::numbers;

/// A thread, as far as it is known: one that has found no slot of its own yet may not be.
#[derive(Clone, Copy)]
pub(crate) struct Here(u32);

impl Here {
    #[inline]
    pub(crate) fn now() -> Self {
        Here(numbers::here())
    }
}

/// Which thread a slot belongs to: the first that asks. That never changes; a thread that is given the same number
/// later takes over.
pub(crate) struct Owner(AtomicU32);

const NOBODY: u32 = u32::MAX;

impl Owner {
    pub(crate) const fn nobody() -> Self {
        Owner(AtomicU32::new(NOBODY))
    }

    /// Whether this thread, which is `here`, is known to be the owner.
    #[inline]
    pub(crate) fn is(&self, here: Here) -> bool {
        // Relaxed: to its own number a thread has set this itself, or was given the number by one that had.
        self.0.load(Ordering::Relaxed) == here.0
    }

    /// Whether somebody is.
    #[inline]
    pub(crate) fn is_claimed(&self) -> bool {
        self.0.load(Ordering::Relaxed) != NOBODY
    }

    /// Makes this thread the owner if nobody is. Returns whether it is.
    pub(crate) fn claim(&self) -> bool {
        let number = numbers::here_or_take();
        let claimed = self.0.compare_exchange(NOBODY, number, Ordering::Relaxed, Ordering::Relaxed);
        claimed.is_ok() || claimed == Err(number)
    }
}

/// One `T` for each thread, made on the thread's first use. Only that thread writes to it.
///
/// A tree, in which each slot hangs where the number of its thread leads: its lowest digit picks a child of the
/// root, the next one a child of that, and so on to the first place that was free. So a thread's slot is one
/// allocation, and few steps away. Nothing moves and nothing is taken out until the end.
///
/// A walk misses no slot that its thread wrote to before a full fence, if it comes after a full fence that comes
/// after that one: every link that leads to the slot had been read or written by that thread.
pub(crate) struct PerThread<T> {
    root: OnceBox<Node<T>>,
}

#[repr(C)]
struct Node<T> {
    value: T,
    link: Link<T>,
}

/// What other threads read, in cache lines of its own.
#[repr(align(64))]
struct Link<T> {
    owner: u32,
    children: [OnceBox<Node<T>>; 1 << DIGIT],
}

/// Bits of a thread's number that pick a child.
const DIGIT: u32 = 2;

impl<T: Default> PerThread<T> {
    pub(crate) const fn new() -> Self {
        PerThread { root: OnceBox::new() }
    }

    /// This thread's own `T`.
    #[inline]
    pub(crate) fn here(&self) -> &T {
        match self.find(Here::now()) {
            Some(value) => value,
            None => self.make(),
        }
    }

    /// As [`find`](Self::find), where this thread was the first to make one.
    #[inline]
    pub(crate) fn find_first(&self, Here(number): Here) -> Option<&T> {
        self.root.get().filter(|node| node.link.owner == number).map(|node| &node.value)
    }

    /// The own `T` of this thread, which is `here`, if it has been made.
    #[inline]
    pub(crate) fn find(&self, Here(number): Here) -> Option<&T> {
        let (mut place, mut digits) = (&self.root, number);
        while let Some(Node { value, link }) = place.get() {
            if link.owner == number {
                return Some(value);
            }
            (place, digits) = (link.child(digits), digits >> DIGIT);
        }
        None
    }

    #[cold]
    fn make(&self) -> &T {
        let number = numbers::here_or_take();
        let mut new = Box::new(Node { value: T::default(), link: Link::of(number) });
        let (mut place, mut digits) = (&self.root, number);
        loop {
            let refused = place.set(new).err();
            let Node { value, link } = place.get().expect("it is set, or refuses because it was");
            match refused {
                // Another's is in this place.
                Some(refused) if link.owner != number => new = refused,
                // This thread's own: new, or left by a thread that had the number before.
                _ => return value,
            }
            (place, digits) = (link.child(digits), digits >> DIGIT);
        }
    }

    /// Every thread's `T`, those of threads that have ended among them.
    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let first = self.root.get().map(|node| (node, 0));
        std::iter::successors(first, |(node, level)| self.after(node, *level)).map(|(node, _)| &node.value)
    }

    /// The node that comes after one at `level`, where the root's is 0: parents come before their children.
    fn after<'a>(&'a self, node: &'a Node<T>, level: u32) -> Option<(&'a Node<T>, u32)> {
        let child = node.link.children.iter().find_map(OnceBox::get).map(|child| (child, level + 1));
        child.or_else(|| {
            let number = node.link.owner;
            (0..level).rev().find_map(|level| {
                let siblings = &self.ancestor(number, level)?.link.children[digit(number >> (DIGIT * level)) + 1..];
                siblings.iter().find_map(OnceBox::get).map(|sibling| (sibling, level + 1))
            })
        })
    }

    /// The node at `level` on the way to that of `number`.
    fn ancestor(&self, number: u32, level: u32) -> Option<&Node<T>> {
        (0..level).try_fold(self.root.get()?, |node, level| node.link.child(number >> (DIGIT * level)).get())
    }
}

impl<T> Link<T> {
    fn of(owner: u32) -> Self {
        Link { owner, children: [const { OnceBox::new() }; 1 << DIGIT] }
    }

    #[inline]
    fn child(&self, digits: u32) -> &OnceBox<Node<T>> {
        &self.children[digit(digits)]
    }
}

/// The lowest of `digits`.
#[inline]
fn digit(digits: u32) -> usize {
    (digits & ((1 << DIGIT) - 1)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::AtomicU64;
    use std::thread;

    type Counts = PerThread<AtomicU64>;

    fn add_one(count: &AtomicU64) {
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    fn sum(counts: &Counts) -> u64 {
        counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    #[test]
    fn threads_at_the_same_time_have_slots_of_their_own_and_none_is_missed() {
        const THREADS: u64 = 100;
        let (counts, together) = (Counts::new(), Barrier::new(100));
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    together.wait();
                    for _ in 0..1_000 {
                        add_one(counts.here());
                    }
                    together.wait();
                });
            }
        });
        assert_eq!(counts.iter().count(), 100);
        assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1_000));
    }

    #[test]
    fn a_thread_takes_over_the_slot_of_one_that_has_ended() {
        let counts = Counts::new();
        for _ in 0..1_000 {
            thread::scope(|scope| {
                scope.spawn(|| add_one(counts.here())).join().expect("no panic");
            });
        }
        assert_eq!(sum(&counts), 1_000);
        // Other tests run at the same time, and take numbers that these threads would have had again.
        assert!(counts.iter().count() < 200, "{}", counts.iter().count());
    }

    #[test]
    fn a_slot_that_is_made_during_a_walk_hides_no_other() {
        let (counts, together) = (Counts::new(), Barrier::new(21));
        thread::scope(|scope| {
            for thread in 0..20 {
                let (counts, together) = (&counts, &together);
                scope.spawn(move || {
                    if thread < 10 {
                        add_one(counts.here());
                    }
                    together.wait();
                    together.wait();
                    add_one(counts.here());
                    together.wait();
                });
            }
            together.wait();
            let mut walk = counts.iter();
            let first_seen: u64 = walk.by_ref().take(5).map(|count| count.load(Ordering::Relaxed)).sum();
            together.wait();
            together.wait();
            let seen = first_seen + walk.map(|count| count.load(Ordering::Relaxed)).sum::<u64>();
            assert!((15..=25).contains(&seen), "{seen}");
            assert_eq!(sum(&counts), 30);
        });
    }

    #[test]
    fn every_number_finds_its_place_whatever_the_others_are() {
        let counts = Counts::new();
        let numbers = [1, 5, 9, 4, 20, 84, 1 << 31, u32::MAX - 1, 3 << 30, 2, 6, 1 << 30];
        for round in 0..2 {
            for number in numbers {
                numbers::with(number, || {
                    let count = counts.here();
                    assert_eq!(count.load(Ordering::Relaxed), if round == 0 { 0 } else { number.into() });
                    count.store(number.into(), Ordering::Relaxed);
                });
            }
        }
        let mut found: Vec<_> = counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        found.sort_unstable();
        let mut expected = numbers.map(u64::from);
        expected.sort_unstable();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_slot_has_one_owner_for_good() {
        let owner = Owner::nobody();
        assert!(!owner.is(Here::now()));
        assert!(owner.claim() && owner.is(Here::now()) && owner.claim());
        thread::scope(|scope| {
            scope.spawn(|| assert!(!owner.is(Here::now()) && !owner.claim() && !owner.is(Here::now())));
        });
    }

    #[test]
    fn what_a_thread_writes_and_what_others_read_share_no_cache_line() {
        assert_eq!(size_of::<Node<[u64; 8]>>(), 128);
        assert_eq!(std::mem::offset_of!(Node<u64>, link), 64);
    }
}
